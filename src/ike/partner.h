/*
 * partner.h - another member of our network, whom a hub suggested: between the files that know of
 * them (docs/protocol/shortcut.md sections 8 and 11).
 *
 *	partner.c	made, called, up, carrying, over; a reload
 *	partner_auth.c	who may call, the key that both ends have of the hub, what it may source
 *
 * A partner is a peer with a section of its own, which is in no configuration: `conf` is what its
 * network says, but for who it is and what it may have.  It is for one IKE SA: when that has ended,
 * or the attempt at it has failed, the partner is over, which the mesh hears once, and is to be
 * dropped.  Only IKE_SA_INIT with a proof leads to it, and such a request leads to nobody else.
 *
 *	added -----> called, or calling -----> up -----> carries <---> suspect
 *	   \                  \                  \           \             \
 *	    `------------------`------------------`-----------`-------------`---> over -> dropped
 *
 * Nothing is sent on its children until something authentic came in on one of them, nor while its
 * SA is suspect: what they would take goes by the hub.
 */
#pragma once

#include "ike/internal.h"

struct partner {
	struct peer *peer;
	struct map_node by_key; /* of ike->partner_by_key: under `id` */
	struct list todo; /* of ike->partners_todo */
	struct list half_open; /* handshakes with its proof, oldest first */
	struct ike_peer_conf conf; /* what it names is its network's, or in `mem` */
	const struct ike_peer_conf *network; /* its section; kept by the owner of ours */
	struct arena mem;
	struct wire_ts_list given; /* that it may source without a certificate for it */
	uint8_t id[IKE_PARTNER_ID];
	uint8_t proof_key[IKE_PARTNER_KEY];
	struct secret ppk;
	struct timer timer;
	dur_t rtt; /* of the path to it; 0: not known */
	mono_t up; /* its SA is since then, */
	mono_t installed; /* and its child in the data plane */
	uint8_t dummies; /* that were sent */
	bool keys; /* proof_key and ppk are there still */
	bool begun; /* it has, or had, an SA or an attempt at one */
	bool carries;
	bool over; /* which was said */
	enum ike_reason reason; /* of what ended it */
	char why[IKE_EVENT_TEXT_MAX]; /* "": nothing did */
};

/* NULL: it is none; takes NULL. */
static inline struct partner *partner_of(const struct peer *p)
{
	return p && p->section ? p->section->partner : NULL;
}

/* ---- partner.c ---------------------------------------------------------------------------- */

MUST enum status partner_add(struct ike *ike, const struct ike_partner *from,
			     ike_peer_id *ret_peer);
MUST enum status partner_connect(struct ike *ike, struct peer *p, const struct endpoint *local,
				 const struct endpoint *remote);
void partner_measured(struct peer *p, dur_t rtt);
/* What was measured by others before an SA has done so; 0: nothing.  Takes any peer. */
dur_t partner_rtt(const struct peer *p);
/* The wait for the first answer of one that we call, and how often it is called.  There is no other
 * address to try, and it was there a moment ago: RFC 7296 section 2.4 leaves how long to us. */
dur_t partner_wait(const struct peer *p);
unsigned partner_tries(const struct peer *p);
void partner_drop(struct ike *ike, struct peer *p, const char *why);
/* The operator does not want it. */
void partner_down(struct ike *ike, struct peer *p, const char *why);
/* What a section's peer is freed with. */
void partner_free(struct ike *ike, struct section *s);
void partners_free(struct ike *ike);

/* Something has happened to an SA of it: looked at when the entry is over.  Takes any peer. */
void partner_soon(struct ike *ike, const struct peer *p);
void partners_run(struct ike *ike);
/* An SA, of whoever, is about to end for that: what the first says counts.  Nothing while the
 * partner has another one. */
void partner_ending(struct ike *ike, const struct ike_sa *sa, enum ike_reason reason,
		    const char *why);
/* An attempt of ours came to nothing, for that reason if none was said; takes any peer. */
void partner_failed(struct ike *ike, struct peer *p, const char *why);
/* Its SA is of no use. */
void partner_useless(struct ike *ike, const struct ike_sa *sa, enum ike_reason reason,
		     const char *why);
/* An SA is up, whoever's. */
void partner_up(struct ike *ike, struct ike_sa *sa);
/* The data plane has a child of whoever. */
void partner_installed(struct ike *ike, const struct child *c);
/* DP_REPORT_CARRIES */
void partner_carries(struct ike *ike, const struct child *c);
/* Whether nothing is to be sent on children of that SA, which is, or will be, of `p`. */
bool partner_holds(const struct peer *p, const struct ike_sa *sa);
void partner_due(struct ike *ike, struct timer *t);
/* Its network says what it said before, as far as it matters; or it does not. */
void partner_adopt(struct partner *pt, struct ike_conf *owner, const struct ike_peer_conf *network);
void partner_disowned(struct ike *ike, struct peer *p, const char *why);
/* Half-open with its proof; no longer. */
bool partner_half_open(const struct peer *p);

/* ---- partner_auth.c ----------------------------------------------------------------------- */

/* Whose proof an IKE_SA_INIT request has. */
struct proven {
	struct peer *partner; /* NULL: nobody's, there is none in it */
	uint8_t mac[IKE_PARTNER_KEY];
};

/* False: it has one that is not right, or not any more; counted, and to be dropped.  Costs a walk
 * over the message if there are partners at all, and a PRF if it names one. */
bool partner_proof(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   struct proven *ret);
/* Whether there may be another half-open SA for that request; an older one may have made way. */
bool partner_room(struct ike *ike, const struct proven *p);
void partner_enter(struct ike_sa *sa, const struct proven *p);
struct partner *partner_by_key(const struct ike *ike, const uint8_t id[IKE_PARTNER_ID]);
/* SHORTCUT_PROOF, in the request of our attempt. */
void partner_put_proof(struct ike *ike, const struct ike_sa *sa, struct wire_out *o);
/* Mixes the PPK into the keys of the handshake; ST_REFUSE: it is gone. */
MUST enum status partner_mix(struct ike *ike, const struct peer *p, struct ike_sa *sa);
/* What it may source at most, by its certificate and what it was given, inside ts_remote. */
MUST enum status partner_authorise(struct arena *ar, const struct peer *p, const struct cred *cred,
				   struct text *why, struct wire_ts_list *ret_allowed);
/* Whether it may source all of that. */
bool partner_may_source(const struct peer *p, const struct cred *cred,
			const struct wire_ts_list *ts, struct text *why);
