/*
 * sim.h - hundreds to thousands of IKE engines in one process, on a virtual network and clock.
 *
 * A `machine` is a hub or a site: the real engine (ike.h) with the fake provider, the data plane
 * of tests (dp/fake, real ESP), a disk, applications, and a line to the internet.  Time is a heap
 * of timers; nothing else moves.  All randomness comes from the seed, drawn from dice of their
 * own for each line, machine and fault, so that taking a fault out of a scenario leaves the
 * others as they were.  No pointer, no reading of a clock and no floating point decides
 * anything: equal scenario and seed, equal run, and `hash` has every output of every engine.
 *
 *	scenario.c	what happens, as text
 *	world.c		begin, loop and end of a run
 *	conf.c		what a machine's configuration says
 *	engine.c	its engine, or the mesh around that
 *	machine.c	its life, and outputs carried out as the daemon would
 *	plane.c		its data plane; a hub forwards as its kernel does
 *	talk.c		who asks whom
 *	apps.c		questions and answers between sites, in numbered packets
 *	disk.c		what a hub stores, late or not at all
 *	nat.c		boxes that translate addresses
 *	net.c		lines: delay, jitter, loss, copies, reordering, bandwidth, queues
 *	fault.c		what goes wrong, when and for how long
 *	broken_hub.c	what a hub's mesh does that does not keep a rule
 *	broken_site.c	the same of a site's
 *	check.c		what must hold always
 *	calm.c		what must hold when all is calm
 *	direct.c	the same, of tunnels between sites
 *	hubs.c		the same, of hubs that know each other
 *	log.c		what happened last at each machine
 *
 * What must hold is listed in check.h.
 */
#pragma once

#include "crypto/fake/crypto_fake.h"
#include "dp/fake/dp_fake.h"
#include "harness/conf.h"
#include "harness/digest.h"
#include "harness/mem.h"
#include "mesh/mesh.h"
#include "scenario.h"

/* ---- chance -------------------------------------------------------------------------------- */

struct dice {
	uint64_t state;
};

struct dice dice_of(uint64_t seed, uint64_t what, uint64_t which);
uint64_t dice_roll(struct dice *d);
/* 0 to n - 1 */
uint64_t dice_below(struct dice *d, uint64_t n);
int64_t dice_in(struct dice *d, const struct range *r);
/* With a chance of `ppm` in a million. */
bool dice_ppm(struct dice *d, int64_t ppm);

/* ---- timers -------------------------------------------------------------------------------- */

enum timer_kind {
	T_ENGINE, /* machine.deadline */
	T_PLANE, /* machine.interval */
	T_SILENCE, /* machine.silence */
	T_APP, /* machine.ask */
	T_ANSWER, /* a pending */
	T_DATAGRAM,
	T_FAULT, /* begins */
	T_TROUBLE, /* ends */
	T_RETURN, /* machine.back: it starts again */
	T_RENEWAL, /* machine.renewal */
	T_CHECK,
};

/* ---- the network --------------------------------------------------------------------------- */

/* Who is reached at an address of the internet. */
struct place {
	struct map_node node;
	struct ip ip;
	struct machine *machine; /* either */
	struct nat *nat; /* or */
};

enum { NAT_SHARE = 8 };

/* What is on the wire; copies share it. */
struct payload {
	unsigned refs;
	struct machine *from;
	bool esp;
	bool probe;
	bool meshed; /* that, or a word: either may be lost, a word be late, by itself */
	bool taken; /* its receiver accepted it once */
	mono_t sent;
	size_t n;
	uint8_t data[]; /* of the UDP datagram */
};

struct datagram {
	struct timer timer;
	struct list link; /* of all under way */
	struct endpoint src, dst;
	bool down; /* it is on the line of its receiver */
	struct payload *payload;
};

enum { SEVERED = 4 };

/* One machine's way to the internet. */
struct line {
	struct dice dice;
	dur_t delay, jitter;
	int64_t loss, duplicates, reordering; /* parts of a million */
	int64_t rate; /* bytes in a second */
	mono_t up_free, down_free; /* when its queues are empty */
	/* Troubles in force; several may be at once. */
	unsigned deaf, mute, fenced;
	unsigned severed[SEVERED]; /* from sites whose number that divides */
	int64_t more_loss;
};

/* ---- machines ------------------------------------------------------------------------------ */

enum {
	LOG_LINES = 40,
	TALKS = 16,
	LOG_TEXT = 120,
	PEER_ID = 1, /* of the network, in everybody's configuration */
	SIM_PROBE =
		243, /* in the place of the exchange type: docs/protocol/shortcut.md section 7 */
	HUB_NUMBERS = 0xff00, /* 10.255.0.0/24 is the first hub's own */
};

struct log_line {
	mono_t at;
	const char *what; /* a constant; %s is `with`, the numbers are a and b */
	const struct machine *with;
	uint64_t a, b;
	char text[LOG_TEXT]; /* of an event */
};

/* An output that wants an answer. */
struct pending {
	struct timer timer;
	struct list link; /* machine.pending */
	struct machine *m;
	enum {
		PENDING_JOB,
		PENDING_DONE,
		PENDING_NAME,
		PENDING_REPORT,
		PENDING_STORE,
	} kind;
	uint64_t id;
	struct crypto_job *job;
	enum status status;
	struct dp_counters counters;
	struct ip name;
	struct dp_report report;
	enum ike_store_kind store; /* with `name` */
	const struct machine *owner;
	wall_t ended;
};

/* A child that was installed in a machine's data plane, and that is not deleted yet. */
struct child_note {
	struct map_node by_id, by_spi;
	dp_child_id id;
	dp_peer_id peer;
	struct machine *with; /* whom the engine takes the other end for; NULL: not known yet */
	uint32_t spi_in, spi_out;
	uint64_t key_in, key_out; /* digests */
	uint64_t ts_local, ts_remote;
};

/* Questions to one machine, from that number on. */
struct talk {
	struct machine *partner;
	uint64_t first;
};

/* Who a machine talks to. */
struct app {
	struct machine *partner;
	struct dice dice;
	struct talk talk[TALKS]; /* the last ones */
	unsigned talks;
	mono_t since, until; /* of the last one */
	bool resting; /* it is over, but for answers that are under way */
	uint64_t open; /* questions of it without an answer */
	bool counted; /* none of them may be lost */
	mono_t forwarded; /* when a hub forwarded something of it last */
	/* talk.c: a direct path has to carry so long after the first packet. */
	mono_t began; /* 0: is not looked at */
	dur_t within;
	uint64_t suggested; /* by hubs until then */
	mono_t disturbed; /* when a hub asked it something else last */
	uint64_t asked; /* number of the last question */
	bool awaited; /* its answer has to come before the next (scenario.lossless) */
	mono_t answered; /* when the last answer came */
	mono_t moved; /* it asks in a hurry since then; 0: it does not */
	unsigned trips; /* after which it is answered */
	uint64_t first; /* question since then */
	struct esp_window questions; /* of ours: seen by our partner */
	struct esp_window answers; /* seen */
};

/* What a machine has to do. */
struct load {
	uint64_t datagrams_in, bytes_in, datagrams_out, bytes_out; /* of UDP, headers left out */
	uint64_t timers, jobs, operations;
	uint64_t words, probes, direct; /* datagrams out: of SHORTCUT, probes, IKE between sites */
	uint64_t forwarded; /* packets */
	uint64_t cpu_ns; /* of its engine, with cryptography that costs nothing */
};

struct machine {
	struct sim *s;
	unsigned number; /* of sites from 1 on, of hubs from HUB_NUMBERS on */
	bool hub;
	char name[24]; /* its identity */
	struct place place; /* when it is not behind a NAT */
	struct nat *nat;
	struct ip address; /* its own; behind a NAT not that of the internet */
	struct ip inside; /* where its applications are */
	struct line line;
	struct dice dice;
	/* the host */
	struct test_conf *conf;
	struct test_mem mem;
	struct crypto_fake *fake;
	struct crypto crypto;
	struct ike *ike;
	struct mesh *mesh; /* NULL: none */
	struct dp *dp;
	unsigned starts; /* since the beginning: another seed each time */
	struct timer deadline, interval, silence, back, renewal;
	struct list pending, ready;
	struct list rows; /* of its disk */
	unsigned full; /* nothing can be written */
	struct range disk; /* time that a write takes */
	unsigned slow_disk;
	mono_t disk_idle; /* all writes so far are done then */
	bool endpoint; /* its inner address is one that the hub gives */
	struct map children, spis; /* of child_note */
	dp_child_id newest;
	unsigned down; /* troubles that keep it from running */
	unsigned moving; /* troubles that keep it without an address */
	unsigned moves; /* addresses that it had */
	unsigned leaving; /* an orderly farewell is under way */
	struct range jobs; /* time they take now */
	unsigned slow;
	int64_t clock_off; /* seconds that the clock on its wall is ahead */
	int64_t certified; /* when its certificate was made */
	unsigned starred; /* troubles that make its topology a star */
	unsigned steering; /* troubles that make it send its members on */
	bool apart; /* a rule forbids tunnels with others that are so */
	unsigned named; /* of hubs in its file */
	unsigned knows; /* of hubs, as it is stored: bits */
	/* applications */
	struct timer ask;
	struct app app;
	struct load load; /* since the first calm */
	/* check.c */
	mono_t good; /* it runs and its line works since then; MONO_NEVER: it does not */
	ike_sa_id unfinished; /* of a hub: the oldest IKE SA that is not up, or of nobody */
	mono_t unfinished_since;
	bool settled; /* agreed with its hub in this calm */
	size_t base_blocks, base_bytes, base_sas; /* memory when all was calm first */
	struct log_line log[LOG_LINES];
	unsigned logged;
};

/* ---- the world ----------------------------------------------------------------------------- */

struct trouble {
	struct timer timer;
	struct list link; /* sim.troubles */
	const struct fault *fault;
	struct machine *m;
	int64_t by;
};

struct planned {
	struct timer timer;
	struct sim *s;
	const struct fault *fault;
	struct dice dice;
};

struct sim_counts {
	uint64_t events, datagrams, bytes, lost, esp, jobs;
	uint64_t asked, answered, late;
	uint64_t faults, checks, sas, moves;
	uint64_t suggested, direct; /* by hubs; ends of tunnels that carried */
	uint64_t words, probes, calls; /* see struct load */
	uint64_t prompt; /* paths that were timed */
	int64_t prompt_worst; /* parts of a thousand of what one may take */
};

/* Something that must not be is made so, for seeing that it is found. */
enum sabotage {
	SABOTAGE_NONE,
	SABOTAGE_FORGE, /* a packet is taken for one of another site */
	SABOTAGE_REPLAY, /* one is accepted twice */
	SABOTAGE_CLEAR, /* one leaves as it is */
	SABOTAGE_KEYS, /* an end of a child has other keys */
	SABOTAGE_HOLE, /* a hub forwards nothing any more */
	SABOTAGE_GONE, /* a site does not start again */
	SABOTAGE_LEAK, /* of memory, a little each time */
	SABOTAGE_SILENCE, /* nobody asks who does not answer */
	SABOTAGE_TOKENS, /* who lost an SA has no token to prove it */
	SABOTAGE_DEAF, /* a child that has a successor is not heard any more */
	SABOTAGE_STAR, /* a hub suggests although its topology is a star */
	SABOTAGE_EAGER, /* a partner sends before anything has come in */
	SABOTAGE_IDLE, /* nobody ends what nobody uses */
	SABOTAGE_DETOUR, /* what carries is not used */
	SABOTAGE_CHATTY, /* each probe counts for ten */
	SABOTAGE_LATE, /* cryptography takes half a second */
	SABOTAGE_RULE, /* hubs suggest what a rule forbids */
	SABOTAGE_RELAY, /* of two suggestions at once the hub takes the second, whatever its id */
	SABOTAGE_DIRECTORY, /* a hub does not listen to who is at the other one */
	SABOTAGE_TWINS, /* a tunnel that is withdrawn stays, and another one is made */
	SABOTAGES,
};

struct sim {
	const struct scenario *sc;
	uint64_t seed;
	enum sabotage sabotage;
	const char *replay; /* how this run is made again */
	bool verbose;
	struct measured *measures; /* what the first hub does now; NULL: nothing is measured */
	struct now now;
	struct heap timers;
	struct machine *machine; /* hubs first */
	unsigned n;
	struct map addresses; /* of struct place */
	struct list datagrams, troubles, nats;
	struct planned planned[SCENARIO_FAULTS];
	dur_t bound;
	mono_t hubs_changed; /* when one of them became good, or was it no longer */
	enum {
		PHASE_FAULTS, /* as the scenario has it */
		PHASE_CALM, /* until everything has settled */
		PHASE_LEAVING, /* all sites say farewell */
	} phase;
	mono_t calm_since;
	mono_t calm_until; /* it must have settled by then */
	bool silent; /* nobody asks anybody */
	unsigned unsettled;
	mono_t *twins; /* direct.c: since when two sites have two tunnels; by their numbers */
	struct timer check;
	struct dp_fake_packet *packet; /* room for one */
	uint64_t hash;
	struct sim_counts counts;
};

/* The world begins at 1000 s of monotonic time; the wall clock is that of the harness. */
#define SIM_BEGIN ((mono_t){ 1000000000000 })
#define SIM_WALL 1700000000

void *sim_alloc(size_t n);

/* In the second half of a run. */
static inline bool is_time_for(const struct sim *s, enum sabotage what)
{
	return s->sabotage == what && mono_since(s->now.mono, SIM_BEGIN).ns > s->sc->lasts.ns / 2;
}

struct measured {
	struct load load;
	dur_t span;
	size_t bytes; /* of its memory, in the end */
};

/* There are several hubs, and their mesh is one. */
static inline bool sim_hubs_know(const struct sim *s)
{
	return s->sc->hubs > 1 && s->sc->topology != TOPOLOGY_NONE;
}

/* A hub that is added later. */
static inline bool sim_absent(const struct machine *m)
{
	return m->hub && m->starts == 0;
}

/* A rule of the hubs' forbids tunnels between the two. */
static inline bool sim_forbidden(const struct machine *a, const struct machine *b)
{
	return a->apart && b->apart;
}

/* world.c: one run from the beginning to the end, which ends the process if anything is wrong. */
struct sim_run {
	const struct scenario *sc;
	uint64_t seed;
	const char *replay; /* the command that makes it again */
	bool verbose;
	enum sabotage sabotage;
	/* Of the first hub, if wanted: since the first calm in which sites talk, and with a mesh
	 * for some minutes before. */
	struct measured *active, *idle;
};

struct sim_counts sim_run(const struct sim_run *run, uint64_t *ret_hash);
/* In the world that runs now, for what is inside a mesh; sim_broken() ends the run. */
bool sim_is_broken(enum sabotage what);
void sim_broken(const char *what);
const struct place *sim_place(const struct sim *s, const struct ip *ip);
void sim_settle(struct sim *s, struct place *p, const struct ip *ip);
void sim_unsettle(struct sim *s, struct place *p);
/* For people: who that is, or whose NAT. */
const struct machine *sim_who(const struct sim *s, const struct ip *ip);
/* Of that identity; NULL: nobody's. */
struct machine *sim_by_name(const struct sim *s, struct bytes name);

/* conf.c */
struct test_conf *conf_new(const struct machine *m);

/* engine.c */
MUST enum status core_new(struct machine *m, const uint64_t key[2], struct now now);
void core_free(struct machine *m);
void core_input(struct machine *m, struct now now, const struct ike_datagram *d);
void core_dp(struct machine *m, struct now now, const struct dp_report *r);
void core_timer(struct machine *m, struct now now);
void core_network(struct machine *m, struct now now);
MUST enum status core_reconfigure(struct machine *m, struct now now);
void core_next(struct machine *m, struct now now, struct ike_out *ret_out);
mono_t core_deadline(const struct machine *m);

/* machine.c */
void machine_init(struct machine *m, struct sim *s, unsigned index);
void machine_done(struct machine *m);
void machine_start(struct machine *m);
/* It loses everything that it had not stored. */
void machine_stop(struct machine *m);
void machine_input(struct machine *m, const struct endpoint *local, const struct endpoint *remote,
		   struct bytes data);
void machine_report_later(struct machine *m, const struct dp_report *r);
void machine_command(struct machine *m, enum ike_cmd_kind kind);
void machine_deadline(struct machine *m);
/* Its certificate is replaced in time. */
void machine_renew(struct machine *m);
/* conf_new() says something else. */
void machine_reconfigure(struct machine *m);
/* Its operator ends a shortcut, if it has one. */
void machine_withdraw(struct machine *m);
/* A hub sends its members to the next hub, or not any more. */
void machine_steer(struct machine *m);
/* A site is sent to the next hub by the one that it is at. */
void machine_hop(struct machine *m);
/* It is at its next address, or at none. */
void machine_move(struct machine *m, bool somewhere);
void machine_answer(struct pending *p);
/* Time that this thread took so far, while a hub is measured. */
uint64_t machine_cpu(const struct machine *m);
/* Carries out whatever the engine wants, and looks at the clock anew. */
void machine_drain(struct machine *m);

/* plane.c */
void plane_new(struct machine *m);
void plane_free(struct machine *m);
void plane_submit(struct machine *m, const struct dp_op *op, struct pending *p);
void plane_send(struct machine *m);
void plane_input(struct machine *m, const struct endpoint *local, const struct endpoint *remote,
		 struct payload *p);
void plane_interval(struct machine *m);
void plane_silence(struct machine *m);
/* A packet from its applications. */
void plane_out(struct machine *m, struct bytes inner);

/* random.c */
void random_scenario(uint64_t seed, struct scenario *sc);
/* One with tunnels between sites. */
void random_mesh(uint64_t seed, struct scenario *sc);
/* With several hubs that know each other. */
void random_hubs(uint64_t seed, struct scenario *sc);

/* talk.c */
/* It asks the next one, by its number, from now on. */
void talk_begin(struct machine *m);
/* Nobody asks anybody any more; and again. */
void talk_silence(struct sim *s);
void talk_resume(struct sim *s);
/* The next question may go out: to whoever it is now. False: it rests. */
bool talk_goes_on(struct machine *m);
/* Whom it asked that. NULL: nobody. */
const struct machine *talk_asked(const struct machine *m, uint64_t number);
void talk_answered(struct machine *m, uint64_t number);
/* A question of `m`, or the answer to one, was forwarded by a hub, */
void talk_forwarded(struct machine *m, uint64_t number);
/* or a question came by a tunnel of the two, and left at that time. */
void talk_carried(struct machine *m, uint64_t number, mono_t sent);
/* Pause until the next question while a path is timed. */
dur_t talk_hurry(const struct machine *m);

/* apps.c */
enum { INNER_LEN = 20 + 8 + 40 };
void app_ask(struct machine *m);
/* It is somewhere else (scenario.trips): before and after its engine hears of it. */
void app_moves(struct machine *m);
void app_moved(struct machine *m);
void app_input(struct machine *m, struct bytes inner);
/* Whose applications sent it, as its contents say; ends the run if it was changed on the way. */
struct machine *app_sender(const struct machine *at, struct bytes inner, struct machine **ret_to);
/* Who asked that, or is answered by it. */
struct machine *app_asker(const struct machine *at, struct bytes inner, uint64_t *ret_number,
			  bool *ret_question);
/* Whether something of an application can be read in these bytes. */
bool app_readable(struct bytes b);

/* disk.c */
void disk_write(struct machine *m, const struct ike_store_op *op, struct pending *p);
void disk_done(struct machine *m, const struct pending *p);
void disk_load(struct machine *m);
void disk_free(struct machine *m);
void disk_got(struct machine *m, const struct ike_inner *in);
/* What a site has been told of hubs, kept over restarts. */
void disk_keep_hubs(struct machine *m);
void disk_load_hubs(struct machine *m);

/* net.c */
void line_init(struct line *l, const struct sim *s, unsigned index);
void net_send(struct machine *from, const struct endpoint *src, const struct endpoint *dst,
	      bool marker, bool esp, struct bytes data);
void net_arrive(struct datagram *d);
void net_free(struct sim *s);

/* It is a hub's. */
bool net_is_hub(const struct ip *ip);

/* nat.c: a box lives as long as somebody is inside */
struct nat *nat_new(struct sim *s, const struct ip *outside, struct dice *d);
bool nat_has_room(const struct nat *n);
/* Returns the machine's address inside. */
struct ip nat_enter(struct nat *n, struct machine *m);
void nat_leave(struct nat *n, struct machine *m);
void nat_free_all(struct sim *s);
/* Who has that address behind it; NULL: nobody.  There is nothing between neighbours. */
struct machine *nat_neighbour(const struct nat *n, const struct ip *ip);
/* Whether the boxes in front of the two (NULL: none) let them find each other, whatever happened
 * before.  There are others of which nobody can say. */
bool nat_may_meet(const struct nat *a, const struct nat *b);
/* A reboot: all mappings are gone, and ports are others. */
void nat_forget(struct nat *n);
/* What goes out has that source from there on. */
struct endpoint nat_out(struct nat *n, const struct endpoint *inside,
			const struct endpoint *remote);
/* NULL: it does not let that in.  Changes the destination. */
struct machine *nat_in(struct nat *n, const struct endpoint *remote, struct endpoint *dst);
/* False: it has no such mapping now. */
bool nat_seen_as(const struct nat *n, const struct endpoint *inside, const struct endpoint *remote,
		 struct endpoint *ret);

/* fault.c */
void fault_plan(struct sim *s);
void fault_begin(struct planned *p);
void fault_end(struct trouble *t);
/* Everything is mended. */
void fault_end_all(struct sim *s);
void fault_back(struct machine *m);

/* log.c: printed only when something is wrong */
void log_add(struct machine *m, const char *what, const struct machine *with, uint64_t a,
	     uint64_t b);
void log_event(struct machine *m, const struct ike_event *e);
void log_text(struct machine *m, const char *what, const char *text);
void log_print(const struct machine *m);
