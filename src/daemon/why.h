/*
 * why.h - why there is no tunnel, as JSON (docs/control.md has the shape).
 *
 * A *subject* is a peer or network of the configuration, an identity behind one of them, or anybody
 * at an address.  Its report is a list of checks in the order in which a tunnel comes up; each is
 * "ok", "failed" or "unknown" and has our values, and what to change.  What the peer's values are
 * stands in the words of the engine's events, which the journal keeps.
 *
 * What is known to have gone wrong is told apart by what the events carry (their kind and reason,
 * whether IKE_SA_INIT was done) and by the state of the SAs, never by their words.  Where this end
 * knows which check it was, that one has failed; where only the other end does, they stay unknown.
 */
#pragma once

#include "daemon/host.h"

enum {
	WHY_SUBJECTS_MAX = 32, /* of one answer */
};

/* `subject` NULL: every peer that is not up; of a hub's network, whom it refused last.  NULL with
 * `error`: there is nothing to say about it, or out of memory. */
json_t *why_json(struct host *h, const char *subject, struct text *error);

/* ---- why.c, why_checks.h, why_owner.c and why_shortcut.c among themselves ---- */

enum why_kind {
	WHY_PEER,
	WHY_SITE, /* we are a site of that network */
	WHY_HUB, /* we are its hub */
	WHY_MEMBER, /* an identity that has, or had, an SA of its own */
	WHY_PARTNER, /* another member of a network in which we are a site */
	WHY_STRANGER, /* an identity or address of nobody we know */
};

/* How far the last attempt came. */
enum why_stage {
	WHY_STAGE_NONE, /* nothing was tried */
	WHY_STAGE_LOOKUP,
	WHY_STAGE_INIT, /* IKE_SA_INIT did not end well */
	WHY_STAGE_AUTH, /* IKE_AUTH did not */
	WHY_STAGE_CHILD, /* there is an IKE SA without child SA */
	WHY_STAGE_UP,
};

/* Everything about a subject; views live as long as nothing enters the engine. */
struct why {
	struct host *h;
	struct now now;
	obs_time time;
	enum why_kind kind;
	const char *name;
	ike_peer_id id;
	const struct ike_peer_conf *conf; /* NULL for a stranger */
	char partner[IKE_IDENTITY_TEXT]; /* PARTNER: `name`, when an address was asked for */
	char authority[IKE_EVENT_TEXT_MAX]; /* MEMBER that is connected: what it may have, and why
					     */
	const char *state;
	const char *last_error;
	dur_t retry_in; /* negative: nothing planned */
	const char *gateway; /* where we were sent (RFC 5685), as in ike_peer_info */
	struct ip sent_by;
	size_t sent_on;
	dur_t held_in;
	bool has_sa, has_child;
	struct ike_sa_info sa; /* the best there is */
	struct ip inner[2]; /* addresses that are leased to it, or that it gave us */
	size_t n_inner;
	const struct journal_subject *memory; /* may be NULL */
	enum why_stage stage;
};

/* The newest note since it was up, of that kind; NULL: none. */
const struct journal_note *why_note(const struct why *w, enum ike_event_kind kind);
/* The one that tells why the last attempt failed; NULL: none did since it was up. */
const struct journal_note *why_failure(const struct why *w);

/* Who is at that address now, or has it behind it; 0: nobody, or no address. */
ike_peer_id why_owner(const struct host *h, const char *address);

/* The partner of that identity, or that has that address behind it, with whom there is, or was
 * tried, a direct tunnel; false: none. */
bool why_find_partner(const struct host *h, const char *name, char *ret_identity, size_t cap);
/* Whether we are a site (or an endpoint) of it. */
bool why_is_site(const struct host *h, ike_peer_id network);

json_t *why_checks_json(const struct why *w);
