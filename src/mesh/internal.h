/*
 * internal.h - the mesh's own structures.  Only src/mesh/ includes it.
 *
 * Reading order: mesh.c (entries, words), directory.c, topology.c, suggest.c, partner.c, path.c,
 * hubs.c, view.c.
 */
#pragma once

#include "mesh/counters.h"
#include "mesh/mesh.h"
#include "policy/policy.h"

#include "mesh/limits.h"

struct ask;
struct hub;
struct mesh;
struct site;

/* `kind` of the timers. */
enum mesh_timer_kind {
	T_PARTNER, /* partner.c */
	T_PROBE, /* path.c */
	T_PAIR, /* suggest.c */
	T_HUB, /* directory.c */
	T_NEWS, /* hubs.c: for members */
	T_OTHER, /* hubs.c: for another hub */
	T_SITE,
};

/*
 * A network that we are part of: `hub` or `site`, whichever it is (or both for a moment, never).
 * Kept over reconfigurations by its name and role.
 */
struct network {
	struct list node;
	struct mesh *m;
	const struct mesh_network *conf; /* of m->conf */
	const struct ike_peer_conf *section; /* of m->conf->ike: `conf->peer` */
	struct hub *hub; /* owned */
	struct site *site; /* owned */
};

/* An output of ours, until it was handed out. */
struct mesh_out {
	struct list node;
	struct ike_out out;
	struct ike_event event; /* EVENT */
	uint8_t data[WIRE_PROBE_LEN]; /* SEND */
};

struct mesh {
	const struct alloc *mem;
	struct crypto crypto;
	struct ike *ike;
	uint64_t key[2];
	const struct mesh_conf *conf; /* with a reference to conf->ike */
	struct now now; /* of the entry under way */
	struct heap timers;
	struct list networks;
	struct list outs; /* struct mesh_out */
	struct mesh_out *current; /* handed out last */
	/* An event of the engine that the host has by now, and we have not looked at. */
	bool noted;
	struct ike_event event;
	struct map asks; /* words without an answer, by id */
	uint64_t last_number; /* of shortcuts */
	uint8_t boot[8]; /* drawn at the beginning */
	uint64_t sequence; /* of the last word that is numbered */
	struct ip own[MESH_OWN];
	size_t n_own;
	struct {
		mono_t since;
		unsigned n;
	} suggestions, probes; /* in the second under way */
	/* Questions and answers in that second, by the address they go to. */
	uint8_t towards[2][MESH_PROBE_GROUPS];
	struct map by_probe; /* struct probing, by the first half of its id */
	uint8_t *buf; /* MESH_WORD_MAX bytes, for building words */
	uint64_t counters[MESH_COUNTERS];
	uint64_t faults[WIRE_MESH_FAULTS];
	uint64_t refused[WIRE_MRS], failed[WIRE_MRS];
};

static inline void count(struct mesh *m, enum mesh_counter c)
{
	m->counters[c]++;
}

/* Whether there may be one more now: so many at once, then one each `gap`.  `*at` is ahead of the
 * clock by a gap for each that there was and that time has not made up for. */
static inline bool pace(mono_t *at, mono_t now, dur_t gap, int at_once)
{
	mono_t next = mono_add(mono_before(*at, now) ? now : *at, gap);

	if (mono_before(mono_add(now, (dur_t){ gap.ns * at_once }), next))
		return false;
	*at = next;
	return true;
}

/* ---- mesh.c -------------------------------------------------------------------------------- */

/* Hears of the answer; NULL: there will be none, or it made no sense.  `word->...` lives until it
 * returns.  `notify` of the answer: ACCEPT or REFUSED. */
typedef void answered_fn(struct mesh *m, const struct ask *a, uint16_t notify,
			 const struct wire_mesh *answer);

/* A word that we said. */
struct ask {
	struct map_node by_id;
	uint64_t id;
	struct network *net; /* NULL: it is gone */
	ike_peer_id peer;
	answered_fn *done; /* NULL: nobody wants to know */
	uint64_t about[2]; /* the asker's */
};

/* Says it. ST_NOMEM, or what ike_ask() says. */
MUST enum status say(struct network *net, ike_peer_id peer, uint16_t kind,
		     const struct wire_mesh *word, answered_fn *done, uint64_t a, uint64_t b);

/* A word of a peer, to be answered before the function returns by one of: */
struct word {
	struct mesh *m;
	struct network *net;
	uint64_t id; /* of the engine; 0: answered */
	ike_peer_id peer;
	ike_sa_id sa;
	uint16_t kind;
	struct wire_mesh msg;
	struct arena *ar;
};

/* ACCEPT; `extra` NULL: nothing but the id. */
void word_accept(struct word *w, const struct wire_mesh *extra);
/* REFUSED; counted. `text` may be "". */
void word_refuse(struct word *w, enum wire_mesh_reason reason, const char *text);

struct mesh_about {
	ike_peer_id peer;
	const char *peer_name; /* NULL: "" */
	const struct policy_ident *identity;
	const struct endpoint *local, *remote;
	enum ike_reason reason;
};

__attribute__((format(printf, 4, 5))) void
mesh_event(struct mesh *m, enum ike_event_kind kind, struct mesh_about about, const char *fmt, ...);
/* A probe leaves; the IKE ports have the non-ESP marker where it belongs. */
void mesh_send(struct mesh *m, const struct endpoint *local, const struct endpoint *remote,
	       const uint8_t data[static WIRE_PROBE_LEN]);

/* The network whose section, or whose member, that peer is; NULL: of none.  `ret` is filled when
 * the engine knows the peer. */
struct network *network_of(struct mesh *m, ike_peer_id peer, struct ike_peer_info *ret);
void mesh_random(struct mesh *m, void *buf, size_t n);
/* HMAC-SHA-256 of the parts, 32 bytes. */
MUST enum status mesh_mac(struct mesh *m, struct bytes key, const struct bytes *parts, size_t n,
			  uint8_t ret[static 32]);
/* A copy that the mesh's memory keeps; free with ident_done(). */
MUST enum status ident_dup(struct mesh *m, const struct policy_ident *id, struct policy_ident *ret);
void ident_done(struct mesh *m, struct policy_ident *id);
MUST enum status ts_dup(struct mesh *m, const struct wire_ts_list *l, struct wire_ts_list *ret);
void ts_done(struct mesh *m, struct wire_ts_list *l);
static inline struct policy_ident ident_of(const struct wire_mesh_ident *id)
{
	return (struct policy_ident){ id->type, id->data };
}
static inline struct wire_mesh_ident ident_put(const struct policy_ident *id)
{
	return (struct wire_mesh_ident){ id->type, id->data };
}
/* Who of two initiates: negative, `a` does. Type, then data, as bytes. */
int ident_order(const struct policy_ident *a, const struct policy_ident *b);

/* ---- what hubs there are (known.c) --------------------------------------------------------- */

/* Everything that it points to is in `data`. */
struct known_hub {
	struct list node;
	struct wire_mesh_hub hub;
	uint8_t data[];
};

struct known_hub *known_hub_new(struct mesh *m, const struct wire_mesh_hub *hub);
void known_hub_free(struct mesh *m, struct known_hub *k); /* takes NULL */
void known_hubs_free(struct mesh *m, struct list *l);
bool hub_eq(const struct wire_mesh_hub *a, const struct wire_mesh_hub *b);
void hub_text(struct text *t, const struct wire_mesh_hub *hub);
/* Who authenticated on the SA that it came on, until the next input of the engine; type 0: that is
 * gone. */
struct policy_ident word_sender(const struct word *w);
/* False: the visitor has had enough. */
bool site_each_hub(const struct site *s, mesh_hub_fn *fn, void *ctx);
bool hub_each_hub(const struct hub *h, mesh_hub_fn *fn, void *ctx);

/* ---- a hub (directory.c, topology.c, suggest.c, hubs.c) ------------------------------------- */

MUST enum status hub_new(struct network *net, struct hub **ret_hub);
void hub_free(struct network *net); /* net->hub, NULL as well */
/* conf is another; members and pairs stay, as far as it allows. */
void hub_reconfigured(struct network *net);
/* A member, or another hub, that is `info`. */
void hub_event(struct network *net, const struct ike_event *e, const struct ike_peer_info *info);
void hub_word(struct network *net, struct word *w, const struct ike_peer_info *info);
void hub_flow(struct network *net, const struct dp_report *r);
/* The data plane could not carry out an operation, perhaps one of ours. */
void hub_dp_failed(struct network *net);
void hub_timer(struct mesh *m, struct timer *t);
void hub_pair_timer(struct mesh *m, struct timer *t);
void news_timer(struct mesh *m, struct timer *t);
void other_timer(struct mesh *m, struct timer *t);

/* ---- a site (partner.c, path.c, hubs.c) ----------------------------------------------------- */

MUST enum status site_new(struct network *net, struct site **ret_site);
void site_free(struct network *net);
void site_reconfigured(struct network *net);
/* Of the section (a hub), or of a partner of ours. */
void site_event(struct network *net, const struct ike_event *e, const struct ike_peer_info *info);
void site_word(struct network *net, struct word *w, const struct ike_peer_info *info);
/* Whether a partner of the engine is one of its shortcuts. */
bool site_has(const struct site *s, ike_peer_id peer);
/* The data plane refused to have something relayed. */
void site_not_direct(struct network *net, const struct dp_report *r);
/* Our addresses are others. */
void site_moved(struct network *net);
void site_timer(struct mesh *m, struct timer *t);
void shortcut_timer(struct mesh *m, struct timer *t);

/* A probe came, which is one by its looks. */
void probe_input(struct mesh *m, const struct ike_datagram *d);
void probe_timer(struct mesh *m, struct timer *t);
