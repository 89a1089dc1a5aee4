/*
 * site.h - what a site keeps of the direct tunnels that its hubs suggest.
 *
 * A suggestion that is taken is a `struct shortcut`, from then until its end, and a while longer
 * as a memory of how it ended: the same structure, without what it needed while it lived.
 *
 *	SUGGEST --> checks.c --+--> REFUSED
 *	                       |
 *	                    PROBING ----------> CONNECTING --> PROVING --> UP
 *	                  (path.c)  \            (calls)          ^
 *	                             `--> WAITING (is called) ----'
 *
 * and from each of them to FAILED or ENDED, by one function (shortcut_over()), which tells the
 * hub.  Who has the smaller identity calls.  PROVING is an SA on which nothing has come in yet;
 * until UP, and whenever the engine suspects the other end, packets go by the hub.
 *
 * What there is to say to hubs is no queue but state (report.c): said when there is one that
 * listens, again when it was not heard.
 *
 *	partner.c	words of hubs, events of the engine, what changes here
 *	shortcut.c	memory, states, the end
 *	checks.c	may this suggestion be taken?
 *	path.c		questions and answers between the two, choice of the path
 *	candidates.c	where we are, and where others may be
 *	report.c	what we say to hubs
 *	wanted.c	what may not go by a hub
 *	known.c		what hubs there are
 *
 * Timers: T_PARTNER, the attempt takes too long; T_PROBE, the next question, or the end of them;
 * T_SITE, something could not be said for want of room.
 *
 * Somebody moved.  An attempt asks anew, from and to the new addresses.  A tunnel whose caller we
 * are moves by MOBIKE, in the engine.  Where we were called we cannot say where we are now, nor
 * can the other end: that tunnel ends as LOST, traffic goes by the hub, which suggests anew.  A
 * NAT that comes between changes no address here: both engines find out, and the tunnel stays.
 */
#pragma once

#include "mesh/internal.h"

enum stage {
	STAGE_PROBING,
	STAGE_CONNECTING,
	STAGE_WAITING,
	STAGE_PROVING,
	STAGE_UP,
	STAGE_FAILED,
	STAGE_ENDED,
	STAGES,
};

/* Where the partner may be. */
struct spot {
	uint8_t kind; /* enum wire_mesh_candidate_kind; 0: it asked from there */
	uint32_t priority;
	struct endpoint at;
};

/* Questions along one pair of addresses; beside the `tries` of the same number. */
struct questions {
	uint8_t n; /* asked so often */
	bool hurried; /* one of them because the partner is known to listen by now */
	mono_t due; /* of the next one */
	struct {
		uint32_t txn;
		mono_t at;
	} asked[MESH_PROBE_TRIES];
};

/* While a path is looked for. */
struct probing {
	struct map_node by_id;
	struct shortcut *of;
	struct timer timer; /* T_PROBE */
	uint8_t key[32];
	uint8_t nonce[8];
	uint32_t next_txn;
	uint8_t answered[MESH_TXNS / 8]; /* the partner's questions, a bit each */
	bool heard; /* some of them came */
	bool chosen; /* we ask nothing more */
	mono_t first; /* the first answer; MONO_NEVER: none */
	mono_t last; /* the last question, or candidate */
	struct spot spots[WIRE_MESH_CANDIDATES];
	size_t n_spots;
	struct questions questions[MESH_WAYS];
	struct mesh_try tries[MESH_WAYS];
};

struct shortcut {
	struct list node; /* of site->live, or site->past */
	struct network *net;
	uint64_t number;
	uint8_t id[WIRE_MESH_ID];
	struct policy_ident partner;
	struct wire_ts_list ts_local, ts_remote;
	uint8_t rests_on; /* 1 << enum ike_authority, of ts_remote */
	bool initiator, pq;
	bool suspect; /* its engine's word: the other end does not answer */
	uint64_t boot; /* of the partner; 0: unknown */
	uint64_t sequence; /* of the newest candidates, */
	uint64_t sequence_of; /* and who said them: hash of a hub's identity */
	ike_peer_id peer, hub;
	enum stage stage;
	mono_t since;
	enum wire_mesh_reason reason;
	uint8_t outcome; /* enum wire_mesh_outcome; 0: none yet */
	uint16_t owed; /* hubs that it is yet to be said to, */
	uint16_t unheard; /* and that have not answered yet: a bit each, see hub_at() */
	char text[MESH_WHY];
	struct endpoint local, remote;
	dur_t rtt;
	struct mesh_try *tries; /* of `probing`; then what there were, owned */
	size_t n_tries;
	struct probing *probing; /* NULL: no more */
	struct timer timer; /* T_PARTNER */
};

/* A suggestion that was taken once. */
struct spent {
	uint64_t hash; /* of its id */
	mono_t until; /* it would be void by then anyway */
};

/* What hubs there are, by what one of them says. */
struct told {
	struct list node; /* of site->told_by */
	struct policy_ident sender; /* owned; type 0: it was known when we started */
	uint64_t sequence;
	struct list hubs; /* struct known_hub */
};

/* An address that has to be reached directly, and is not; or (`in`) that sends by a hub. */
struct wanted {
	struct list node; /* of site->wanted */
	struct site *site;
	uint64_t number; /* never used again */
	ike_peer_id hub;
	struct ip far;
	bool in;
	bool asked; /* the hub was, and has not answered yet */
	mono_t since, seen; /* refused first, and last */
	mono_t next; /* not asked for before */
	int64_t backoff_ms; /* the last; 0: none */
	uint16_t reason; /* enum wire_mesh_reason; 0: the hub has not refused it */
	char text[MESH_WHY];
};

struct site {
	struct network *net;
	struct list told_by; /* struct told, newest first */
	struct list live, past; /* struct shortcut, oldest first */
	size_t n_live, n_past;
	struct spent spent[MESH_SPENT];
	size_t next_spent;
	struct timer timer; /* T_SITE */
	uint16_t announce; /* hubs that do not know yet where we are */
	mono_t quiet; /* a hub has heard too much of us: nothing is said before */
	ike_sa_id told[MESH_ATTACHED]; /* on that SA they were told */
	ike_peer_id hubs[MESH_ATTACHED]; /* who they are, 0 behind the last */
	struct wire_mesh_candidate said[WIRE_MESH_CANDIDATES];
	size_t n_said;
	struct list wanted; /* struct wanted, seen longest ago first */
	size_t n_wanted;
	uint64_t last_wanted;
	mono_t asks, wanted_told; /* pace() */
};

/* A suggestion, as far as it was taken. */
struct verdict {
	enum wire_mesh_reason reason; /* 0: taken */
	char text[MESH_WHY]; /* both sides' values */
	struct policy_ident own, partner;
	struct wire_ts_list ts_local, ts_remote, ts_given; /* in the word's arena */
	uint8_t rests_on;
	struct shortcut *instead; /* that one goes; NULL: none */
};

/* The hubs that we are attached to, the preferred one first: all up at once, or one that is tried
 * after the other. */
static inline size_t n_attached(const struct network *net)
{
	return 1 + net->conf->n_hubs;
}

static inline ike_peer_id hub_at(const struct network *net, size_t i)
{
	return i ? net->conf->hubs[i - 1] : net->conf->peer;
}

/* Which of them that peer is; n_attached(): none. */
static inline size_t hub_index(const struct network *net, ike_peer_id peer)
{
	size_t i = 0;

	while (i < n_attached(net) && hub_at(net, i) != peer)
		i++;
	return i;
}

static inline uint16_t all_hubs(const struct network *net)
{
	return (uint16_t)((1u << n_attached(net)) - 1);
}

/* ---- shortcut.c ---------------------------------------------------------------------------- */

/* On no list yet. */
struct shortcut *shortcut_new(struct network *net, const struct word *w, const struct verdict *v);
void shortcut_free(struct shortcut *c);
/* Of one partner the last outcome is worth knowing. */
void past_forget(struct site *s, const struct policy_ident *partner);
void past_add(struct site *s, struct shortcut *c);
void shortcut_stage(struct shortcut *c, enum stage stage);
struct mesh_about shortcut_about(const struct shortcut *c);
/* Its selectors. */
void shortcut_text(const struct shortcut *c, struct text *t);
void shortcut_say_over(const struct shortcut *c);
/* Needs nothing any more but to be remembered. */
void shortcut_close(struct shortcut *c, enum wire_mesh_reason reason, const char *text,
		    bool failed);
/* The end of it, in every state; `report`: its hub does not know yet. */
void shortcut_over(struct shortcut *c, enum wire_mesh_outcome outcome, enum wire_mesh_reason reason,
		   bool report, const char *text);
/* Along that way: calls, or notes where it will be called from. */
void shortcut_path_found(struct shortcut *c, const struct mesh_try *way);
struct shortcut *shortcut_with(const struct site *s, const struct policy_ident *partner);

/* ---- checks.c ------------------------------------------------------------------------------ */

void suggestion_check(struct network *net, const struct word *w, struct verdict *ret);
/* Whether the hub, on the SA that the word came on, is one that may say such things. */
bool word_of_hub(const struct word *w);
/* Whether what was taken would be taken now; else why not. */
enum wire_mesh_reason shortcut_fits(const struct shortcut *c, struct text *why);
void suggestion_spend(struct site *s, const struct wire_mesh *msg);

/* ---- path.c -------------------------------------------------------------------------------- */

MUST enum status probing_new(struct shortcut *c, const uint8_t key[static 32]);
void probing_free(struct shortcut *c);
/* Begins to ask, or goes on with other candidates (of the partner, of ours). */
void probing_go(struct shortcut *c);

/* ---- candidates.c -------------------------------------------------------------------------- */

/* Why nobody can be there, or may be asked there; NULL: he may. */
const char *spot_unfit(const struct shortcut *c, const struct endpoint *at);
/* Those of the partner: in the place of what was said before, but for where it asked from. */
void spots_set(struct shortcut *c, const struct wire_mesh *msg);
/* It asked from there. */
void spots_add(struct shortcut *c, const struct endpoint *at);
/* Addresses of ours, of that family, that questions go out from; at most MESH_LOCALS. */
size_t own_locals(const struct network *net, uint8_t family, struct ip ret[static MESH_LOCALS]);
/* What we offer. */
size_t own_candidates(const struct network *net,
		      struct wire_mesh_candidate ret[static WIRE_MESH_CANDIDATES]);
/* Whether an address that we had is not there any more. */
bool own_gone(const struct mesh *m, const struct ip *local);

/* ---- report.c ------------------------------------------------------------------------------ */

/* Says what there is to say, as far as there is a hub, and room. */
void site_speak(struct site *s);
/* That hub came up on that SA. */
void site_hub_up(struct site *s, size_t hub, ike_sa_id sa);
/* What has become of a shortcut is to be said. */
void site_owes(struct shortcut *c, enum wire_mesh_outcome outcome);
/* Other hubs, or in another order: which of them knows what nobody can say. */
void site_hubs_other(struct site *s);
/* That it has ended, by one hub's word, is to be said to the others, who took it for up. */
void site_owes_others(struct shortcut *c, uint16_t knows);
/* Our candidates may be others. */
void site_announce(struct site *s);

/* ---- wanted.c ------------------------------------------------------------------------------ */

void site_wanted_free(struct site *s);
/* A hub is another, or we are: what was refused may be asked for now. */
void site_ask_anew(struct site *s);

/* ---- known.c ------------------------------------------------------------------------------- */

void site_hubs_word(struct network *net, struct word *w);
/* A hub came up: whatever number its next list has is good. */
void site_hubs_anew(struct site *s);
/* The engine hears where all known hubs are. */
void site_teach(struct site *s);
void site_hubs_free(struct site *s);
