/*
 * mesh_town.h - a mesh at a hub, and members as many as a test wants, without an engine: the part
 * of ike.h that a hub's mesh uses is played by mesh_town.c.  A test says what the engine would
 * report, hears what members are told, and answers for them.
 *
 * Member n is "site-n.example", serves 10.(n / 256).(n % 256).0/24 by its certificate, and comes
 * from 192.0.2.x; its identity's order is that of its number among those with as many digits.
 */
#pragma once

#include "test_util.h"

#include "crypto/fake/crypto_fake.h"
#include "harness/mem.h"
#include "mesh/mesh.h"
#include "mesh/limits.h"

enum {
	TOWN_PEER = 1, /* the section */
	TOWN_MEMBERS = 10240,
	TOWN_KEPT = 64, /* words to a member that are kept, the newest ones */
	TOWN_EVENTS = 64,
};

struct town;

/* A word to a member. */
struct heard {
	uint64_t id; /* of the engine; 0: answered */
	uint64_t at; /* its number, of all words to anybody */
	uint16_t kind;
	struct bytes data;
	struct wire_mesh msg;
};

struct citizen {
	ike_peer_id peer;
	char name[40];
	struct policy_ident ident;
	struct wire_ts ts[4];
	struct wire_ts_list served[IKE_AUTHORITIES];
	struct wire_ts_list blocks; /* of its certificate: a hub's */
	uint8_t capabilities;
	bool up, nat, ppk;
	struct endpoint local, remote;
	ike_sa_id sa;
	struct heard *heard;
	size_t n_heard, room;
	uint64_t boot, sequence;
	enum status deaf; /* what asking it fails with */
};

/* What a town's engine is. */
struct ike {
	struct town *town;
	struct list outs;
	void *current;
	uint64_t last_ask, last_asked;
	unsigned refused_reconfigure;
};

struct town {
	struct test_mem mem;
	struct crypto_fake *fake;
	struct crypto crypto;
	struct ike engine;
	struct mesh *mesh;
	struct now now;
	struct arena ar; /* of the test */
	struct ike_conf ike_conf[2];
	struct ike_peer_conf section;
	struct mesh_network network;
	struct mesh_conf conf[2];
	unsigned n_conf;
	struct citizen *member; /* from 1 on */
	uint64_t words; /* to members */
	bool silent_events; /* of a large town are not kept */
	struct ike_event events[TOWN_EVENTS];
	size_t n_events; /* that there were */
	/* The last answer to what a member said, and to which word. */
	uint64_t answered;
	uint16_t answer;
	uint16_t reason;
	char text[WIRE_MESH_TEXT_MAX + 1];
};

/* Dynamic, nothing before `after`, 10 s to 10 min of back-off. */
void town_init(struct town *t);
/* With that network's configuration, changed before by the test. */
void town_open(struct town *t);
/* Memory may be refused on the way. */
enum status town_try_open(struct town *t);
void town_close(struct town *t);
/* Another one, as t->network is by now. */
enum status town_reload(struct town *t);

struct citizen *citizen(struct town *t, unsigned n);
/* Up, and its candidates are said. */
void town_join(struct town *t, unsigned n);
/* Up, not a word. */
void town_comes(struct town *t, unsigned n);
void town_leaves(struct town *t, unsigned n);
/* The engine reports something about it. */
void town_event(struct town *t, unsigned n, enum ike_event_kind kind);
/* It serves this instead, on whose word. */
void town_serves(struct town *t, unsigned n, enum ike_authority by, const char *prefix);

/* A packet of one goes to the other one. */
void town_flow(struct town *t, unsigned from, unsigned to);
void town_pass(struct town *t, int64_t ms);
/* Packets, once a second, for that long. */
void town_talk(struct town *t, unsigned from, unsigned to, unsigned seconds);
void town_drain(struct town *t);

/* The newest word of that kind that it heard; NULL: none. */
struct heard *town_heard(struct town *t, unsigned n, uint16_t kind);
size_t town_count(const struct town *t, unsigned n, uint16_t kind);
/* Answers the newest suggestion. */
void town_accepts(struct town *t, unsigned n);
void town_accepts_from(struct town *t, unsigned n, const char *address);
void town_refuses(struct town *t, unsigned n, enum wire_mesh_reason reason, const char *text);
/* There will be no answer. */
void town_dies(struct town *t, unsigned n);
/* To a word that it heard; msg NULL: none, for that reason. */
void town_answers(struct town *t, struct heard *h, enum status st, uint16_t kind,
		  const struct wire_mesh *msg);
/* It says a word, which need not be answered at once. */
void town_asks(struct town *t, unsigned n, uint16_t kind, const struct wire_mesh *word);
/* It is answered. */
void town_says(struct town *t, unsigned n, uint16_t kind, const struct wire_mesh *word);
void town_places(struct town *t, unsigned n, const char *address, uint16_t port);
/* About the newest suggestion with that partner that it heard. */
void town_reports(struct town *t, unsigned n, unsigned partner, enum wire_mesh_outcome outcome,
		  enum wire_mesh_reason reason);
/* A tunnel with that partner, which it had before this hub knew of it; whoever of the two says so
 * says the same. */
void town_has(struct town *t, unsigned n, unsigned partner);
/* All suggestions that are not answered are accepted, and reported as up by whoever answers last;
 * how many there were.  Memory may be short. */
size_t town_obeys(struct town *t);
/* Flow, both accept, both report. */
void town_up(struct town *t, unsigned a, unsigned b);

/* SUGGEST that it heard; the newest WITHDRAW, which there is. */
size_t town_suggestions(const struct town *t, unsigned n);
const struct wire_mesh *town_withdrawn(struct town *t, unsigned n);

const char *town_state(struct town *t, unsigned a, unsigned b, struct mesh_pair_info *ret);
/* By the hub's own count, which is compared with what there is. */
size_t town_pairs(struct town *t, const char *state);
size_t town_events(const struct town *t, enum ike_event_kind kind);
/* The newest of a kind; "" when there was none. */
const char *town_said(const struct town *t, enum ike_event_kind kind);
uint64_t town_counter(const struct town *t, const char *name);

#define SUGGEST WIRE_N_SHORTCUT_SUGGEST
#define WITHDRAW WIRE_N_SHORTCUT_WITHDRAW
#define CANDIDATES WIRE_N_SHORTCUT_CANDIDATES

int town_setup(void **state);
int town_teardown(void **state);
#define town_test(fn) cmocka_unit_test_setup_teardown(fn, town_setup, town_teardown)
/* Opened, with members 1 and 2. */
struct town *town_two(void **state);
