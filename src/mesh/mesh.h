/*
 * mesh.h - who has a direct tunnel with whom (RFC 7018): directory and suggester of a hub, partner
 * of a site, around one engine (ike.h).  docs/protocol/shortcut.md is the protocol.
 *
 * The contract is the engine's: everything goes in with the time, everything that has to happen
 * comes out of mesh_next(); nothing calls back, reads a clock or blocks; same inputs, same outputs.
 * The mesh stands between a host and its engine.  A host calls mesh_input(), mesh_dp(),
 * mesh_network(), mesh_timer(), mesh_next(), mesh_deadline() and mesh_reconfigure() in place of
 * those of the engine, which are called from here; all other entries of the engine (jobs, look-ups,
 * stores, commands) stay the host's, and mesh_next() is drained after them as well.  Outputs are
 * those of the engine, but for ASKED and ANSWERED, and the mesh's own: SEND (probes) and EVENT.
 *
 *	hub	hub.c		what comes in
 *		directory.c	members: identity, prefixes, candidates, since when
 *		topology.c	may these two?
 *		pair.c		pairs: suggested, up, failed, and when again
 *		suggest.c	what members are told of it, and say
 *		asked.c		or ask for
 *		walk.c		a full mesh, a few pairs at a time
 *	site	partner.c	suggestions taken: checks, path, tunnel, end
 *		path.c		candidates and probes
 *		wanted.c	what must not go by a hub: one is asked for a suggestion
 *		hubs.c		which other hubs there are, and what hubs and members are told
 *	both	mesh.c		entries, words
 *		known.c		where hubs are
 *
 * It sees the engine through ike.h alone, and needs nothing of SAs but what is said there.
 */
#pragma once

#include "base/base.h"
#include "crypto/crypto.h"
#include "ike/ike.h"
#include "wire/mesh/wire_mesh.h"

/* ---- configuration ----------------------------------------------------------------------- */

enum { MESH_ATTACHED = 16 };

enum mesh_topology {
	MESH_STAR, /* nobody is suggested to anybody, and what is up ends */
	MESH_DYNAMIC, /* who talks to each other is */
	MESH_FULL, /* all are, as soon as both are up */
	MESH_TOPOLOGIES,
};

/* "star", "dynamic", "mesh" */
const char *mesh_topology_name(enum mesh_topology t);

/* Members of a network: whose identity matches, or who has an address in one of the prefixes. */
struct mesh_group {
	const char *name;
	const struct policy_ident *identities; /* patterns */
	size_t n_identities;
	const struct prefix *networks;
	size_t n_networks;
};

/* For a pair of which one is in `a` and the other in `b`; NULL: everybody. */
struct mesh_rule {
	const char *name;
	const struct mesh_group *a, *b;
	enum mesh_topology topology;
};

struct mesh_network {
	const char *name; /* the context */
	ike_peer_id peer; /* the section: of role MEMBERS, then we are a hub, or HUB */
	const struct ip *candidates; /* where we can be reached, as configured */
	size_t n_candidates;
	/* More sections of role HUB.  A hub: the other hubs.  A site: the hubs that it is attached
	 * to beside the first, which is `peer`; at most MESH_ATTACHED - 1. */
	const ike_peer_id *hubs;
	size_t n_hubs;
	/* a hub */
	enum mesh_topology topology;
	const struct mesh_rule *rules; /* the first that is about a pair counts */
	size_t n_rules;
	const char *const *announce; /* where others reach us: addresses or names */
	size_t n_announce;
	uint16_t port; /* there */
	dur_t after; /* traffic has to last so long before anything is suggested */
	dur_t idle; /* without traffic that counts a tunnel ends */
	dur_t retry, retry_max; /* a pair that failed waits, twice as long each time */
	/* a site */
	bool takes; /* suggestions */
	uint32_t max; /* tunnels at a time, and suggestions under way */
	bool trust_hub; /* prefixes that rest on a hub's rule alone are good enough */
};

/* Lives as long as `ike`, of whose snapshot it is a part. */
struct mesh_conf {
	struct ike_conf *ike;
	const struct mesh_network *networks;
	size_t n_networks;
};

/* ---- inputs ------------------------------------------------------------------------------ */

struct mesh;

/* The engine was made with conf->ike, and outlives the mesh. */
MUST enum status mesh_new(const struct alloc *mem, const struct crypto *crypto,
			  const uint64_t hash_key[2], struct ike *ike, const struct mesh_conf *conf,
			  struct now now, struct mesh **ret_mesh);
/* Without a word to anybody.  Takes NULL. */
void mesh_free(struct mesh *m);

void mesh_input(struct mesh *m, struct now now, const struct ike_datagram *d);
void mesh_dp(struct mesh *m, struct now now, const struct dp_report *r);
void mesh_timer(struct mesh *m, struct now now);
void mesh_network(struct mesh *m, struct now now, const struct ip *own, size_t n);
/* As ike_reconfigure(): ST_NOMEM leaves everything as it was. */
MUST enum status mesh_reconfigure(struct mesh *m, struct now now, const struct mesh_conf *conf);

/* Ends the tunnel with that partner, and tells the hub, which suggests it no more for a while.
 * ST_INVAL: there is none. */
MUST enum status mesh_withdraw(struct mesh *m, struct now now, uint64_t shortcut);

/* ---- outputs ----------------------------------------------------------------------------- */

/* As ike_next(): IKE_OUT_NONE when there is nothing left to do. */
void mesh_next(struct mesh *m, struct now now, struct ike_out *ret_out);
mono_t mesh_deadline(const struct mesh *m);

/* ---- snapshots --------------------------------------------------------------------------- */

/* As with the engine's: the visitor changes nothing, and returns false to stop. */

enum mesh_try_result {
	MESH_TRY_WAITING, /* asked, no answer yet */
	MESH_TRY_ANSWERED,
	MESH_TRY_SILENT, /* all questions in vain */
	MESH_TRY_UNSENT, /* no address of ours towards it, or too many others */
	MESH_TRY_REFUSED, /* is not asked: what stands there is no address of a partner */
	MESH_TRIES,
};

const char *mesh_try_name(enum mesh_try_result r);

/* A candidate of the other end, and what became of it. */
struct mesh_try {
	uint8_t kind; /* enum wire_mesh_candidate_kind; 0: it called from there */
	struct endpoint local, remote;
	enum mesh_try_result result;
	dur_t rtt; /* ANSWERED */
	const char *why; /* REFUSED; NULL else */
};

/* What a site knows of a tunnel, or of the last attempt at one with that partner. */
struct mesh_shortcut_info {
	uint64_t number; /* never used again */
	uint8_t id[WIRE_MESH_ID];
	const struct mesh_network *network;
	struct policy_ident partner;
	ike_peer_id peer; /* of the engine; 0: none (any more) */
	ike_peer_id hub; /* who suggested it, if it is still known */
	const char
		*state; /* "probing", "connecting", "waiting", "proving", "up", "failed", "ended" */
	bool up;
	bool initiator; /* of IKE */
	dur_t age; /* in that state */
	dur_t retry_in; /* negative: unknown, or not failed */
	enum wire_mesh_reason reason; /* failed, ended; 0 else */
	const char *text; /* what there is to say beside */
	struct wire_ts_list ts_local, ts_remote;
	struct endpoint local, remote; /* the path that was chosen; family 0: none yet */
	dur_t rtt;
	const struct mesh_try *tries;
	size_t n_tries;
	bool post_quantum; /* the hub says that the suggestion travelled so */
};

typedef bool mesh_shortcut_fn(void *ctx, const struct mesh_shortcut_info *info);
void mesh_each_shortcut(const struct mesh *m, struct now now, mesh_shortcut_fn *fn, void *ctx);

/* What a site's data plane refused to have relayed (struct ike_peer_conf.direct), lately. */
struct mesh_wanted_info {
	const struct mesh_network *network;
	ike_peer_id hub; /* that would have relayed it */
	struct ip far; /* of the other end */
	bool in; /* it came from there; else it was for there, and a tunnel is asked for */
	const char *state; /* "asking", "asked", "suggested", "no tunnel"; `in`: "refused" */
	dur_t age; /* since it was refused first, */
	dur_t seen; /* and last */
	enum wire_mesh_reason reason; /* no tunnel: why, 0 else */
	const char *text;
	dur_t retry_in; /* no tunnel: until it is asked for again; negative: with the next packet */
};

typedef bool mesh_wanted_fn(void *ctx, const struct mesh_wanted_info *info);
void mesh_each_wanted(const struct mesh *m, struct now now, mesh_wanted_fn *fn, void *ctx);

/* What a hub knows of two members. */
struct mesh_pair_info {
	const struct mesh_network *network;
	struct policy_ident a, b; /* `a` initiates */
	const char *state; /* "wanted", "suggested", "accepted", "up", "failed", "not allowed",
			      "idle" */
	enum mesh_topology topology; /* that holds for them, */
	const char *rule; /* by that rule; NULL: the network's */
	bool traffic; /* seen here in the last second */
	enum wire_mesh_reason reason; /* of the last failure or refusal; 0: none */
	struct policy_ident by; /* who said so; type 0: this hub */
	const char *text;
	dur_t retry_in; /* negative: not waiting */
	dur_t age; /* in that state */
	unsigned suggestions; /* so many */
	bool relayed; /* one of them is at another hub */
};

typedef bool mesh_pair_fn(void *ctx, const struct mesh_pair_info *info);
void mesh_each_pair(const struct mesh *m, struct now now, mesh_pair_fn *fn, void *ctx);

/* How many pairs are in each state, of all networks together; their number does not matter. */
typedef void mesh_pairs_fn(void *ctx, const char *state, size_t n);
void mesh_count_pairs(const struct mesh *m, mesh_pairs_fn *fn, void *ctx);

/* The directory of a hub. */
struct mesh_member_info {
	const struct mesh_network *network;
	struct policy_ident identity;
	ike_peer_id peer; /* 0: at another hub, */
	struct policy_ident at; /* that one */
	uint8_t capabilities;
	struct wire_ts_list ts[IKE_AUTHORITIES]; /* enum ike_authority */
	struct wire_mesh_candidate candidates[WIRE_MESH_CANDIDATES];
	size_t n_candidates;
	uint64_t epoch;
};

typedef bool mesh_member_fn(void *ctx, const struct mesh_member_info *info);
void mesh_each_member(const struct mesh *m, mesh_member_fn *fn, void *ctx);

/* Hubs of a network as far as we were told, with where they are. */
typedef bool mesh_hub_fn(void *ctx, const struct mesh_network *network,
			 const struct wire_mesh_hub *hub, bool connected);
void mesh_each_hub(const struct mesh *m, mesh_hub_fn *fn, void *ctx);

/* What mesh_each_hub() said of a site's network before a restart, kept by the host since the last
 * IKE_EV_HUBS: so that any hub that is left suffices to begin.  Before the first input.  ST_INVAL:
 * there is no such network, or it has heard of hubs already. */
MUST enum status mesh_hubs_load(struct mesh *m, struct now now, const char *network,
				const struct wire_mesh_hub *hubs, size_t n);

/* Counters by index, names such as "mesh.suggested"; false after the last. */
bool mesh_counter(const struct mesh *m, size_t index, const char **ret_name, uint64_t *ret_value);
