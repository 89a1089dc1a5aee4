/*
 * why_checks.h - the checks of a report (why.h), among the files that make them:
 *
 *	why_checks.c	the order, what is a row, and which check it was that failed
 *	why_way.c	names, routes, what the way there says; packets through the tunnel
 *	why_auth.c	IKE_SA_INIT and IKE_AUTH: proposals, identities, certificates, keys, the
 *clock why_child.c	what a peer may have: authorisation, inner addresses, selectors
 *	why_shortcut.c	direct tunnels of members of a network
 *
 * Each check adds its row, or none where it says nothing about the subject.
 */
#pragma once

#include "daemon/why.h"

#include "pki/pki.h"

enum {
	WHY_VALUE_MAX = 1024,
};

enum why_result {
	WHY_UNKNOWN,
	WHY_OK,
	WHY_FAILED,
};

/* One row; empty texts are left out. */
struct why_row {
	const char *name;
	enum why_result result;
	char text[WHY_VALUE_MAX]; /* what was found, their values included */
	char ours[WHY_VALUE_MAX]; /* our values */
	char change[WHY_VALUE_MAX]; /* what to change, or where to look */
	struct text t, o, c; /* writing the above */
};

struct why_checks {
	const struct why *w;
	json_t *list;
};

/* ---- why_checks.c --------------------------------------------------------------------------- */

void why_begin(struct why_row *r, const char *name, enum why_result result);
void why_end(struct why_checks *k, const struct why_row *r);

/* What a check of that stage is worth when nothing else is known. */
enum why_result why_by_stage(const struct why *w, enum why_stage stage);

/* Of what failed last: its words (""), what it was about. */
const char *why_text(const struct why *w);
enum ike_reason why_reason(const struct why *w);
/* Which check it was; NULL: it is not known which. */
const char *why_failed_check(const struct why *w);
bool why_is_failed(const struct why *w, const char *check);
/* When it was this one that failed: says so, with what is known about it. */
bool why_mark(const struct why *w, struct why_row *r);

bool why_own_certificate(const struct ike_peer_conf *c, struct pki_cert_info *ret);

/* ---- why_way.c ------------------------------------------------------------------------------ */

/* For each address or name that is called. */
void why_ways(struct why_checks *k);
void why_redirect(struct why_checks *k);
void why_answers(struct why_checks *k);
void why_packets(struct why_checks *k);
void why_block(struct why_checks *k);

/* ---- why_auth.c ----------------------------------------------------------------------------- */

void why_init(struct why_checks *k);
void why_auth(struct why_checks *k);
/* Of one that has a section; of one that has none. */
void why_proofs(struct why_checks *k);
void why_nobody(struct why_checks *k);

/* ---- why_child.c ---------------------------------------------------------------------------- */

void why_authorised(struct why_checks *k);
void why_address(struct why_checks *k);
void why_store(struct why_checks *k);
void why_child(struct why_checks *k);

/* ---- why_shortcut.c ------------------------------------------------------------------------- */

/* Of a partner: all there is to say. */
void why_partner(struct why_checks *k);
/* Of a network at a site: what its hub must not relay. */
void why_wanted(struct why_checks *k);
/* Of a member, at its hub: whether it takes part, and each of its pairs. */
void why_pairs(struct why_checks *k);
