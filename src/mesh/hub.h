/*
 * hub.h - the structures of a hub.  Only a hub's files include it: hub.c, directory.c, topology.c,
 * suggest.c, pair.c, walk.c, hubs.c, share.c, route.c, relay.c, view_hub.c.
 *
 * A member is an `entry` of the directory while it is up, here or at another hub (`at`); who has
 * left stays for as long as a tunnel of his may still be up.  Two members about whom there is
 * something to say are a `pair`; all other pairs do not exist.  What happens to a pair is one of
 * the functions of pair.c; what is said to members about it, suggest.c.
 *
 * In a full mesh an entry walks through the directory once, with a cursor (`at_slot`), and asks for
 * a suggestion with each of the others.  It halts while it, the other one or the hub has as many
 * under way as may be, and goes on when one of these is over: what is not begun takes no memory.
 * How many that are at the hub follows from how soon they come up (`room`); those who walk have one
 * each in turn.
 */
#pragma once

#include "mesh/internal.h"

struct pair;

/* A place in hub.changes (share.c). */
struct change {
	struct list node;
	bool mark; /* of another hub, which knows what is in front */
	bool gone; /* of a member that left */
};

struct entry {
	struct map_node by_ident;
	struct map_node by_peer; /* while `peer` is not 0 */
	struct policy_ident ident; /* owned */
	ike_peer_id peer; /* 0: at another hub, or gone */
	struct policy_ident at; /* that hub; owned; type 0: none */
	struct other *via; /* its prefixes are given to that hub, */
	bool via_first; /* before its child here, which it has left behind */
	uint8_t capabilities;
	bool post_quantum; /* what its hub says to it travels so */
	struct wire_ts_list ts[IKE_AUTHORITIES]; /* owned */
	struct wire_mesh_candidate seen; /* where its SA comes from; port 0: unknown */
	struct wire_mesh_candidate *own; /* as it says; owned */
	size_t n_own;
	uint64_t epoch; /* later ones win */
	uint64_t boot; /* 0: it has not said */
	uint64_t sequence; /* of its candidates */
	mono_t told; /* when its partners heard of them last */
	struct list late; /* hub.late: they will hear of newer ones */
	mono_t slow_until; /* it left another hub's suggestion unanswered */
	bool doubted; /* at another hub, which is lost, or has not said it again */
	bool spoken; /* since it came up it has said what it has, or nothing for too long */
	struct list unspoken; /* hub.unspoken: it has not, */
	mono_t patience; /* and is waited for until then */
	struct change change; /* hub.changes, when it is ours */
	struct list uninformed; /* hub.uninformed: of the newest list of hubs */
	mono_t hubs_at; /* when it heard one, */
	ike_sa_id hubs_sa; /* since it came up on that SA */
	struct list pairs; /* struct side */
	uint32_t n_pairs;
	unsigned pending; /* suggestions under way */
	mono_t said; /* its words: pace() */
	mono_t relayed; /* what other hubs suggest to it: pace() */
	/* Its walk. */
	uint32_t slot, at_slot, left; /* `left` 0: it is over */
	struct list walk; /* hub.ready, or `blocked` of who stands in the way */
	struct list blocked;
};

enum pair_state {
	PAIR_IDLE, /* they may; there is, or was, traffic */
	PAIR_WANTED, /* as soon as there is room */
	PAIR_SUGGESTED,
	PAIR_ACCEPTED, /* by both */
	PAIR_UP,
	PAIR_FAILED, /* it is not tried again for a while */
	PAIR_BARRED, /* topology */
	PAIR_STATES,
};

enum side_answer { SIDE_SILENT, SIDE_ACCEPTED, SIDE_REFUSED };

/* One of the two. */
struct side {
	struct list node; /* in entry.pairs */
	struct pair *pair;
	struct entry *entry;
	enum side_answer answer;
	uint16_t reason; /* REFUSED */
	bool reported; /* UP */
	bool doubted; /* it has left since, and not said yet that it still has it */
	bool owed; /* it has to hear WITHDRAW, as soon as that can be said */
};

struct pair {
	struct network *net;
	struct map_node by_members;
	struct map_node by_number; /* while a suggestion is under way */
	struct side side[2]; /* the first one initiates: the smaller identity */
	uint8_t id[WIRE_MESH_ID]; /* of the newest suggestion */
	uint8_t up_id[WIRE_MESH_ID]; /* of the tunnel; zeros: both say that there is one */
	uint8_t owed_id[WIRE_MESH_ID]; /* of WITHDRAW */
	uint64_t number; /* of the suggestion that is under way; 0: none */
	struct map_node by_id; /* relay.c: one of them is at another hub */
	bool in_by_id;
	bool theirs; /* the other hub suggested it, */
	uint64_t asked; /* and waits for an answer: id of the engine; 0: no more */
	mono_t turn; /* it is the other hub's to suggest until then */
	enum pair_state state;
	enum mesh_topology topology;
	const char *rule; /* by which; NULL: the network's */
	struct timer timer;
	mono_t since; /* in that state */
	mono_t until; /* for so long */
	bool up; /* there is a tunnel, also while another one is suggested */
	mono_t up_since;
	mono_t again; /* UP: not suggested anew before */
	mono_t told; /* what its members heard of it: pace() */
	mono_t traffic_since, traffic; /* seen here: without a pause since, and last */
	dur_t backoff; /* the newest; 0: none yet */
	bool hard; /* FAILED: only a change will help */
	bool stale; /* UP: one of them serves more than when it was suggested */
	bool lost; /* it was suggested anew at once, after it had been lost */
	uint16_t reason; /* of the last failure; of WITHDRAW, while it is owed */
	uint8_t by; /* 1 + index of the side that said so; 0: we */
	char *text; /* with it; owned; NULL: none */
	unsigned suggestions;
};

/* Another hub of the network. */
struct other {
	struct list node; /* of hub.others */
	struct hub *hub;
	struct policy_ident ident; /* owned */
	ike_peer_id way[MESH_HUB_WAYS]; /* peers that are it; the first came up last, and is spoken
					   to */
	size_t n_ways; /* 0: it is gone, */
	mono_t until; /* and forgotten then */
	struct known_hub *place; /* owned; NULL: it does not say where it is */
	uint64_t sequence; /* of its newest HUBS */
	bool tell; /* it does not know where we are */
	/* The directory (share.c). */
	unsigned index; /* among the others */
	struct change mark; /* in hub.changes: it knows what is in front; while it is there */
	bool anew; /* it has to forget what it knows */
	uint64_t told; /* word that has no answer yet; 0: none */
	uint64_t last_out, last_in; /* words; last_in 0: what comes has to begin anew */
	mono_t silent_until; /* it refused */
	mono_t doubts_until; /* of its entries those that are doubted go then */
	/* What goes there (route.c). */
	struct policy_table *given; /* of prefixes: of how many entries */
	bool given_only; /* it gets that, and nothing else */
	bool regive; /* something could not be said to the data plane */
	struct timer timer; /* T_OTHER */
};

struct hub {
	struct network *net;
	struct policy_table *prefixes; /* to entries */
	struct map by_ident, by_peer;
	struct entry **slots; /* all entries, with holes */
	uint32_t n_slots, cap_slots, free_slot; /* the lowest that may be free */
	uint64_t last_epoch;
	struct map pairs, suggested; /* by their members, by number */
	struct map by_id; /* relayed ones (relay.c) */
	struct list changes; /* struct change, oldest first */
	size_t in_state[PAIR_STATES]; /* of `pairs` so many */
	uint64_t last_number;
	unsigned pending;
	unsigned room; /* of full meshes so many may be */
	bool full; /* some pair may be of a full mesh */
	struct list ready; /* entries whose walk can go on */
	struct list late; /* entries with news for their partners */
	struct list unspoken; /* entries that have not said yet what they have, oldest first */
	struct timer timer; /* T_HUB: any of these */
	struct list others; /* struct other */
	struct known_hub *own; /* owned: where we said that we are */
	bool told_hubs; /* members know of hubs */
	struct list uninformed; /* entries that do not know the newest list of hubs */
	struct timer news; /* T_NEWS: they will */
};

/* ---- directory.c --------------------------------------------------------------------------- */

static inline bool entry_present(const struct entry *e)
{
	return e->peer || e->at.type;
}

/* It means to be up at several hubs at once. */
static inline bool entry_several(const struct entry *e)
{
	return e->capabilities & IKE_AT_SEVERAL;
}

/* It is up here, and nowhere else since; or it is at several hubs, here as well. */
static inline bool entry_here(const struct entry *e)
{
	return e->peer && (!e->at.type || entry_several(e));
}

static inline bool entry_takes(const struct entry *e)
{
	return entry_present(e) && (!e->doubted || entry_here(e)) &&
	       e->capabilities & IKE_CAN_PARTNER;
}

struct entry *entry_by_ident(const struct hub *h, const struct policy_ident *id);
struct entry *entry_by_peer(const struct hub *h, ike_peer_id peer);
/* Whom that address belongs to; NULL: nobody here. */
struct entry *entry_by_address(const struct hub *h, const struct ip *a);
/* What is known of one that is up, here (`peer`) or there (`at`). */
struct standing {
	ike_peer_id peer;
	const struct policy_ident *at; /* NULL: here */
	uint8_t capabilities;
	bool post_quantum;
	struct wire_mesh_candidate seen;
	const struct wire_ts_list *ts; /* IKE_AUTHORITIES of them */
	uint64_t epoch; /* counts when it was elsewhere before */
};

/* Known or new; NULL: no memory. */
struct entry *entry_get(struct hub *h, const struct policy_ident *id);
/* It is so from now on, and everything that follows is done.  ST_NOMEM: it is as it was, or what it
 * serves is not known; one that is new is to be settled. */
MUST enum status entry_stands(struct hub *h, struct entry *e, const struct standing *s);
/* It is neither here nor there any more, and may be freed. */
void entry_leaves(struct hub *h, struct entry *e);
/* Frees who has left, and has nothing up any more. */
void entry_settle(struct hub *h, struct entry *e);
/* What a suggestion carries: at most WIRE_MESH_TS selectors, WIRE_MESH_CANDIDATES places. */
size_t entry_ts(const struct entry *e, struct wire_mesh_ts ret[static IKE_AUTHORITIES]);
size_t entry_candidates(const struct entry *e,
			struct wire_mesh_candidate ret[static WIRE_MESH_CANDIDATES]);
/* Its own ones are these from now on; whether that is news. */
bool entry_offers(struct hub *h, struct entry *e, const struct wire_mesh_candidate *c, size_t n);
/* Its partners hear of it, at once (true) or soon. */
bool entry_moved(struct hub *h, struct entry *e);
/* To whom that is due. */
void entry_late(struct hub *h);
/* It has said something of what it has, and is waited for anew; it has said all. */
void entry_speaks(struct hub *h, struct entry *e);
void entry_spoke(struct hub *h, struct entry *e);
/* Who was waited for long enough. */
void entry_silent(struct hub *h);
/* It came up here, or there is nothing of it elsewhere: it is ours, as of now. */
void directory_again(struct hub *h, ike_peer_id peer);
/* Something happened to that peer, or to any. */
void directory_look(struct hub *h, ike_peer_id peer);
void directory_look_all(struct hub *h);
/* No pair is left. */
void directory_free(struct hub *h);

/* ---- hub.c --------------------------------------------------------------------------------- */

/* For whatever is next of `ready`, `late` and `unspoken`. */
void hub_arm(struct hub *h);

/* ---- hubs.c -------------------------------------------------------------------------------- */

MUST enum status hubs_init(struct hub *h);
void hubs_done(struct hub *h);
struct other *other_by_ident(const struct hub *h, const struct policy_ident *id);
struct other *other_by_peer(const struct hub *h, ike_peer_id peer);
/* Something happened to that peer (`info` NULL: it is no more); false: it is a member, or was. */
bool hubs_look(struct hub *h, const struct ike_event *e, const struct ike_peer_info *info);
/* What is said to that other hub, or heard, travels post-quantum. */
bool hub_post_quantum(const struct hub *h, ike_peer_id peer);
/* A member has a child, on that SA. */
void hubs_member_up(struct hub *h, struct entry *e, ike_sa_id sa);
/* Hubs, or where they are, are others. */
void hubs_changed(struct hub *h);
void hubs_reconfigured(struct hub *h);
/* What only hubs say to hubs. */
void other_word(struct hub *h, struct word *w);
/* Its timer goes in so many ms, at the latest. */
void other_wake(struct other *o, int64_t ms);

/* ---- share.c ------------------------------------------------------------------------------- */

/* Other hubs hear of one of ours: it is new or different; it leaves. */
void share_news(struct hub *h, struct entry *e);
void share_gone(struct hub *h, struct entry *e);
/* Another hub: made, came up (and knows nothing), lost, about to be freed. */
void share_new(struct other *o);
void share_begin(struct other *o);
void share_end(struct other *o);
void share_forget(struct other *o, bool all); /* its entries, or those that are doubted */
void share_doubt(struct other *o);
/* Whatever it is to be told now. */
void share_speak(struct other *o);
void directory_word(struct other *o, struct word *w);
void share_done(struct hub *h);

/* ---- route.c ------------------------------------------------------------------------------- */

MUST enum status route_init(struct other *o);
void route_done(struct other *o);
/* That entry is where it is now: its prefixes are the hub's; or they are about to be others. */
void route_entry(struct hub *h, struct entry *e);
void route_drop(struct entry *e);
/* A way to that hub is there, and asked before the others; or is lost. */
void route_way(struct other *o, ike_peer_id peer);
void route_way_lost(struct other *o, ike_peer_id peer);
/* What could not be said is said. */
void route_timer(struct other *o);
/* There is another hub more, or less. */
void route_judge(struct hub *h);

/* ---- relay.c ------------------------------------------------------------------------------- */

/* One of both is at another hub. */
bool pair_relayed(const struct pair *p);
/* Its suggestion has that id from now on. */
void pair_named(struct hub *h, struct pair *p, const uint8_t id[static WIRE_MESH_ID]);
void pair_unnamed(struct hub *h, struct pair *p);
/* It is for the hub of the smaller identity to begin: true, not yet for us. */
bool others_turn(const struct hub *h, struct pair *p);
/* Our member's answer goes to the hub that suggested; NULL: there is none. */
void relay_answered(struct hub *h, struct pair *p, const struct wire_mesh *answer);
/* Our member has not answered in time. */
void relay_late(struct hub *h, struct pair *p);
/* RELAY; answered when the member has. */
void relay_word(struct other *o, struct word *w);
/* REPORT, CANDIDATES, WITHDRAW of a relayed one. */
void relayed_word(struct other *o, struct word *w);
/* What our member reports is the other hub's to know, too. */
void report_on(struct hub *h, const struct pair *p, int side, const struct wire_mesh *report);

/* ---- topology.c ---------------------------------------------------------------------------- */

enum mesh_topology topology_of(const struct mesh_network *conf, const struct entry *a,
			       const struct entry *b, const char **ret_rule);
/* Whether MESH_FULL holds for anybody. */
bool topology_full(const struct mesh_network *conf);

/* ---- asked.c ------------------------------------------------------------------------------- */

/* ASK of a member; answered. */
void asked_word(struct hub *h, struct entry *e, struct word *w);

/* ---- pair.c -------------------------------------------------------------------------------- */

struct pair *pair_find(const struct hub *h, const struct entry *a, const struct entry *b);
/* NULL: no memory, or there are too many. */
struct pair *pair_get(struct hub *h, struct entry *a, struct entry *b);
struct pair *pair_by_number(const struct hub *h, uint64_t number);
void pair_free(struct hub *h, struct pair *p);
void pair_arm(struct hub *h, struct pair *p);
/* It leaves the state it is in, and what belongs to that. */
void pair_state(struct hub *h, struct pair *p, enum pair_state s, mono_t until);
static inline bool pair_pending(const struct pair *p)
{
	return p->number != 0;
}
static inline int pair_side(const struct pair *p, const struct entry *e)
{
	return p->side[1].entry == e;
}
/* Topology is asked anew, and what follows from it done. */
void pair_judge(struct hub *h, struct pair *p);
/* There is nothing against it: suggested now, or as soon as there is room. */
void pair_want(struct hub *h, struct pair *p, const char *why);

/* Why something did not come about, or ended. */
struct verdict {
	uint16_t reason;
	int by; /* side; -1: we */
	struct bytes text;
};

/* For status; what there is no memory for is left out. */
void pair_remember(struct hub *h, struct pair *p, struct verdict v);
/* It is not tried for a while: back-off by the reason.  Whoever of the sides in `tell` (bits) hears
 * WITHDRAW. */
void pair_failed(struct hub *h, struct pair *p, struct verdict v, unsigned tell);
/* There is nothing any more, and nothing against another one. */
void pair_over(struct hub *h, struct pair *p, struct verdict v);
/* Both hear that it has to end, and it does. */
void pair_withdraw(struct hub *h, struct pair *p, uint16_t reason, const char *text);
/* Both may be at other hubs now, who hear of it from them: then it is forgotten. */
void pair_elsewhere(struct hub *h, struct pair *p);
/* A member says that there is a tunnel, or both refused because there is one. */
void pair_carries(struct hub *h, struct pair *p, int side, const struct wire_mesh *report);
void pair_duplicate(struct hub *h, struct pair *p);
void pair_lost(struct hub *h, struct pair *p, struct verdict v);
/* What it waited for is there. */
void pair_hurry(struct hub *h, struct pair *p);
/* One of both is not here any more; the pair may be freed. */
void pair_left(struct hub *h, struct pair *p, struct entry *e);
/* One of both has lost what it had. */
void pair_rebooted(struct hub *h, struct pair *p);
/* Something about one of them is different: what failed may be tried again. */
void pair_changed(struct hub *h, struct pair *p);
/* One of them has a packet for the other one, here. */
void pair_traffic(struct hub *h, struct pair *p, const char *why);
void pair_event(struct hub *h, const struct pair *p, enum ike_event_kind kind,
		enum ike_reason reason, const char *what);
/* "idle", "wanted", ... */
const char *pair_state_name(enum pair_state s);

/* ---- suggest.c ----------------------------------------------------------------------------- */

/* ST_AGAIN: too many are under way. Anything else: it is suggested, or has failed. */
MUST enum status suggest(struct hub *h, struct pair *p, const char *why);
bool id_is_zero(const uint8_t id[static WIRE_MESH_ID]);
/* WITHDRAW to whom it is owed. */
void say_withdraw(struct hub *h, struct pair *p);
/* One end's candidates to the other. */
void say_candidates(struct hub *h, struct pair *p, int side);
/* REPORT; answered. */
void report_word(struct hub *h, struct entry *e, struct word *w);
/* What a member says, wherever it is. */
void pair_reported(struct hub *h, struct pair *p, int side, const struct wire_mesh *r);
/* A word to a member; where it is, or to its hub. */
MUST enum status tell(struct hub *h, const struct entry *e, uint16_t kind,
		      const struct wire_mesh *word, answered_fn *done, const struct pair *p);
void suggest_answered(struct mesh *m, const struct ask *a, uint16_t notify,
		      const struct wire_mesh *answer);

/* ---- walk.c -------------------------------------------------------------------------------- */

void walk_begin(struct hub *h, struct entry *e);
void walk_end(struct hub *h, struct entry *e);
/* A suggestion is over: who waited for that goes on. */
void walk_release(struct hub *h, struct pair *p);
/* Some steps of those who can. */
void walk_on(struct hub *h);
/* What was suggested came up, or not in time: others have to wait less, or longer. */
void walk_paced(struct hub *h, const struct pair *p, bool up);
