/*
 * inner.h - inner addresses (RFC 7296 sections 2.19 and 3.15): between the files that know of them.
 *
 *	lease*.c	a section's pool, and whose each address of it is (lease.h)
 *	inner_r.c	the configuration payload of who gives addresses out
 *	inner_i.c	of who asks for them
 *
 * A lease belongs to an identity, under one section, and outlives its SAs: it is the identity's own
 * for `lease_keep` after the last of them, and as long as nobody else needs the address. What a
 * lease says is stored before it is used, so nothing that happens to us can give an address twice.
 * All SAs of an identity have the same addresses; nothing is kept per SA or per peer, since a lease
 * is found by identity.
 *
 * An address that a reload takes out of the pool is *stray*: its owner keeps it for as long as its
 * SA lives, is asked to authenticate anew soon, and gets another one then.
 */
#pragma once

#include "ike/internal.h"

enum inner_family { INNER_4, INNER_6, INNER_FAMILIES };

/* What somebody asks for. */
struct inner_request {
	bool family[INNER_FAMILIES];
	struct ip wish[INNER_FAMILIES]; /* family 0: any */
	uint64_t empty; /* as in struct wire_cfg */
	bool short_told; /* that there is none of a family */
	bool refused;
	enum ike_reason reason;
	char why[IKE_EVENT_TEXT_MAX];
};

/* ---- leases (lease.h) -------------------------------------------------------------------- */

/* ST_OK: the identity has addresses of that section, at least of one family that it asks for, and
 * the store has them.  ST_AGAIN: they are being stored, `step` comes then.  ST_REFUSE: none are to
 * be had: `req->why`. */
MUST enum status lease_get(struct ike *ike, struct peer *section, const struct policy_ident *id,
			   struct inner_request *req, struct attempt *at, inner_step *step);
/* Addresses of that identity; `p` is the section, or an instance under it. */
size_t lease_addresses(const struct peer *p, const struct policy_ident *id,
		       struct ip ret[INNER_FAMILIES]);
/* The SA is up: what its identity has is in use. */
void lease_use(struct ike *ike, const struct ike_sa *sa);
/* The SA is about to be freed. */
void lease_sa_gone(struct ike *ike, const struct ike_sa *sa);
/* Whether it has an address that its section does not give out any more. */
bool lease_is_stray(const struct ike_sa *sa);

/* False: it has no pool. */
bool leases_info(const struct section *s, struct ike_pool_info *ret);

/* Results of the store; what it has. */
/* The wall clock was set so many seconds ahead, or back. */
void lease_clock(struct ike *ike, int64_t ahead);
void lease_stored(struct ike *ike, uint64_t id, enum status st);
MUST enum status lease_load(struct ike *ike, const struct ike_lease *from);

/* A reload, in three steps: all that can fail, which leases_forget() takes back; the pool of one
 * section; when all have theirs. */
MUST enum status leases_prepare(struct ike *ike, struct section *s,
				const struct ike_peer_conf *conf);
void leases_forget(struct section *s);
void leases_commit(struct ike *ike, struct section *s);
/* The section is removed: its pool is, too. */
void leases_close(struct ike *ike, struct section *s);
/* `first`: this is the start, and the host loads what the store has by itself. */
void leases_settle(struct ike *ike, bool first);
void leases_free(struct ike *ike, struct section *s);
/* After all sections are gone. */
void stores_free(struct ike *ike);

/* ---- giving (inner_r.c) ------------------------------------------------------------------- */

/* `*ret_req` NULL: the request asks for no address, or the section has none to give. */
MUST enum status inner_r_read(struct ike *ike, struct attempt *at, const struct peer *section,
			      struct inner_request **ret_req);
/* lease_get() for the request. ST_OK: go on, see `req->refused`. */
MUST enum status inner_r_lease(struct ike *ike, struct attempt *at, struct peer *section,
			       const struct policy_ident *id, struct inner_request *req,
			       inner_step *step);
void inner_r_not_stored(struct ike *ike, struct inner_request *req);
/* Whether the child is refused with INTERNAL_ADDRESS_FAILURE: then `ret` says why. */
bool inner_r_refuses(const struct claimant *who, const struct inner_request *req,
		     struct agreement *ret);
/* Whether it was refused because it did not ask for an address, without which it may have nothing
 * at all: then it is with FAILED_CP_REQUIRED. */
bool inner_r_required(struct arena *ar, const struct claimant *who, struct agreement *a);
/* CP(CFG_REPLY). */
void inner_r_put(const struct peer *p, const struct policy_ident *id,
		 const struct inner_request *req, struct wire_out *o);
/* The answer to the CP of an INFORMATIONAL request, if there is one. */
void inner_r_info(struct ike *ike, const struct ike_sa *sa, const struct wire_payloads *in,
		  struct wire_out *o);

/* ---- asking (inner_i.c) ------------------------------------------------------------------- */

static inline bool inner_i_asks(const struct ike_peer_conf *conf)
{
	return conf->ask_v4 || conf->ask_v6;
}

/* CP(CFG_REQUEST), when the section asks for addresses. */
void inner_i_put(const struct peer *p, struct wire_out *o);
/* Selectors of our end: as asked for in IKE_AUTH, and watched for by the data plane; and of later
 * children, with what we have. */
const struct wire_ts_list *inner_i_wanted(const struct ike_peer_conf *conf);
const struct wire_ts_list *inner_i_local(const struct peer *p);
/* Whether another child can be asked for: with no address there is none. */
bool inner_i_ready(const struct peer *p);

/* What an answer gave us, until it is committed. */
MUST enum ike_reason inner_i_read(struct ike *ike, const struct attempt *at,
				  const struct cred *cred, struct inner **ret_got,
				  struct text *why);
/* The selectors that the answer may have for our end. */
const struct wire_ts_list *inner_i_got(const struct inner *got);
/* Emits what changes, into `ob`; the commit then is without failure. */
void inner_i_emit(struct peer *p, const struct inner *got, struct outbox *ob);
void inner_i_commit(struct ike *ike, struct peer *p, struct inner *got);
/* There was none in an answer: to ask again at once is no use (section 3.15.4). */
void inner_i_refused(struct peer *p);
/* Takes NULL. */
void inner_i_free(struct ike *ike, struct inner *got);
/* An SA of the peer ends: with the last one that we made goes what it gave us. */
void inner_i_gone(struct ike *ike, struct peer *p);
/* What could not be told before. */
void inner_i_pay(struct ike *ike);
size_t inner_i_addresses(const struct peer *p, struct ip ret[INNER_FAMILIES]);
