/*
 * harness.h - several IKE engines in one process, on a network and a clock that the test owns.
 *
 * A `world` holds virtual time, a queue of datagrams under way, a table of host names and up to
 * WORLD_NODES nodes.  A `node` is one engine with its own allocator (mem.h), provider and data
 * plane; with a mesh around the engine when its configuration has one (test_conf_network()).
 * Nothing moves by itself:
 *
 *	what a node sends, IKE and ESP, is appended to the queue, in order; the test delivers,
 * drops, duplicates, reorders, corrupts or readdresses each datagram by hand, or calls world_run();
 *	time stands still until world_advance() or world_timer();
 *	jobs, data-plane operations, stores and look-ups are answered at once, in order, after the
 *engine is drained, unless the test holds them back (`hold`) and releases them in its own order.
 *
 * Everything an engine puts out goes into a running hash, `world.hash`: two runs with the same
 * seed must end with the same one.  Events, operations and keys are kept for assertions, and,
 * with `world.trace`, a readable transcript for the golden traces.
 *
 * The harness knows no test framework.  A broken contract (an output that ike.h forbids, a leak, a
 * child deleted twice) ends the process with a message: no test may go on after it.
 */
#pragma once

#include "crypto/fake/crypto_fake.h"
#include "dp/fake/dp_fake.h"
#include "harness/conf.h"
#include "harness/mem.h"
#include "ike/ike.h"
#include "mesh/mesh.h"

enum {
	WORLD_NODES = 8,
	WORLD_NAMES = 8,
	WORLD_KEYS = 256,
	NODE_ADDRESSES = 4,
	NODE_CHILDREN = 80,
	NODE_TRAPS = 8,
	NODE_INNER_MAX = 128,
	NODE_LEASES = 64,
	NODE_GOT = 32, /* of each kind, of an inner configuration: as many as the engine takes */
	NAT_MAPPINGS = 8,
	WORLD_WAYS = 4,
	NODE_WORDS = 128,
	NODE_WORD_HEAD = 16, /* the id of what it is about, in every word */
	NODE_WORD_DATA = 512,
};

/* A datagram under way, as a router would see it. */
struct packet {
	struct list link;
	unsigned id; /* 1, 2, 3 … in the order sent */
	struct endpoint src; /* port 0 at both ends: ESP without UDP */
	struct endpoint dst;
	bool esp;
	bool df; /* not to be fragmented by routers */
	uint8_t *data; /* UDP payload, non-ESP marker included; without UDP the ESP packet */
	size_t n;
};

/* What may be held back; bits. */
enum hold {
	HOLD_JOBS = 1 << 0,
	HOLD_DP = 1 << 1,
	HOLD_RESOLVE = 1 << 2,
	HOLD_STORE = 1 << 3,
	HOLD_WORDS = 1 << 4,
};

/* A row of a node's store. */
struct node_lease {
	char peer[64];
	uint8_t type;
	uint8_t id[64];
	size_t n_id;
	struct ip v4, v6;
	wall_t ended;
};

/* An output that wants an answer. */
struct pending {
	struct list link;
	enum pending_kind {
		PENDING_JOB,
		PENDING_DONE, /* of a data-plane operation */
		PENDING_NAME,
		PENDING_STORE,
		PENDING_REPORT, /* of the data plane, unasked */
		PENDING_WORD, /* of a peer: node_answer() accepts it */
	} kind;
	uint64_t id;
	struct crypto_job *job; /* JOB */
	bool cancelled;
	bool fail; /* JOB, DONE, STORE: answer with `status` */
	enum status status;
	struct dp_counters counters; /* DONE */
	char name[64]; /* NAME */
	enum ike_store_kind store; /* STORE */
	struct node_lease lease;
	struct dp_report report; /* REPORT */
	uint8_t head[NODE_WORD_HEAD]; /* WORD: what it begins with */
	size_t n_head;
};

/* A word that came, or what came of one. */
struct node_word {
	uint64_t id;
	ike_peer_id peer;
	ike_sa_id sa; /* of one that came */
	enum status status; /* of what came of one */
	uint16_t notify;
	size_t n;
	uint64_t digest; /* of its bytes: word_digest() */
	uint8_t data[NODE_WORD_DATA]; /* the first of them */
};

/* A child as the data plane was told. */
struct node_child {
	struct dp_child child; /* its selectors point into ts[] */
	struct wire_ts ts[2][16];
};

struct node_trap {
	dp_peer_id peer;
	struct wire_ts_list ts_local, ts_remote;
	struct wire_ts ts[2][16];
};

/* The newest inner configuration that a node got. */
struct node_got {
	ike_peer_id peer;
	bool up;
	struct ike_inner_address addresses[NODE_GOT];
	struct ip dns[NODE_GOT];
	char domains[NODE_GOT][256];
	struct prefix subnets[NODE_GOT];
	size_t n_addresses, n_dns, n_domains, n_subnets;
};

/* Real cryptography makes a run different each time: not for traces and hashes. */
struct node_provider {
	struct crypto crypto;
	void (*run)(void *ctx, const struct crypto_job *job, struct crypto_result *ret);
	void *ctx;
};

struct node {
	struct world *w;
	const char *name;
	struct ip address[NODE_ADDRESSES];
	size_t n_addresses;
	uint64_t seed;
	uint64_t qcd_secret; /* survives node_restart() */
	struct test_conf *conf;
	struct test_mem mem;
	struct crypto_fake *fake;
	struct crypto crypto;
	/* Another provider than the fake one, set before node_start(); its owner is the test. */
	const struct node_provider *provider;
	struct ike *ike;
	struct mesh *mesh; /* NULL: its configuration is not `meshed` */
	struct dp *dp;

	unsigned hold;
	struct list held; /* struct pending, oldest first */
	struct list ready; /* the same, answered as soon as the engine is drained */
	bool late_results; /* results of cancelled jobs are handed in all the same */
	bool bugs_allowed; /* else an IKE_EV_BUG event ends the process */
	bool looks; /* its data plane looks for silence, as time passes */
	bool roams; /* its engine knows its addresses, which change */
	unsigned unsent; /* from an address that it has not: the kernel refuses */
	bool unplugged; /* nothing that it sends or that is sent to it arrives */

	/* The n-th job, operation or store (from 0) fails; -1: none. */
	long fail_job, fail_op, fail_store;
	enum status fail_status; /* ST_IO unless set */
	long n_jobs, n_ops, n_stores;
	bool read_only; /* every store fails */

	/* What it stored, which a restart finds again, but for what is held back. */
	struct node_lease leases[NODE_LEASES];
	size_t n_leases;
	size_t n_unfit; /* that the engine did not take at its start */
	struct node_got got;
	unsigned n_got; /* times that it changed */
	/* The newest words that upper modules got; and ids of theirs that nothing came of yet. */
	struct node_word asked[NODE_WORDS], answered[NODE_WORDS];
	size_t n_asked, n_answered; /* all there were: the i-th is in [i % NODE_WORDS] */
	uint64_t open[NODE_WORDS];
	size_t n_open;

	struct ike_event *events;
	size_t n_events, cap_events;
	struct node_child child[NODE_CHILDREN]; /* installed ones */
	size_t n_children;
	dp_child_id quiet[NODE_CHILDREN]; /* replaced ones, which only receive */
	size_t n_quiet;
	dp_child_id last_child; /* highest ever installed */
	struct node_trap trap[NODE_TRAPS];
	size_t n_traps;
	unsigned esp_seen; /* ESP packets received */
	unsigned inner_seen; /* packets delivered to the protected side */
	uint8_t inner[NODE_INNER_MAX]; /* the last of them */
	size_t inner_len;
	unsigned keepalives; /* received */
	unsigned sent;
};

struct world_keys {
	const struct node *node;
	uint64_t spi_i, spi_r;
	struct crypto_key ei, er;
};

struct nat {
	struct ip inside;
	struct ip outside;
	struct endpoint in[NAT_MAPPINGS]; /* mapping k has the outside port first_port + k */
	size_t n;
	uint16_t first_port;
};

struct world {
	struct now now;
	int64_t wall_set; /* seconds that somebody set the wall clock ahead of the other */
	uint64_t seed;
	struct node *node[WORLD_NODES];
	size_t n_nodes;
	struct list packets;
	unsigned next_packet;
	struct nat nat;
	struct {
		const char *name;
		struct ip ip;
	} names[WORLD_NAMES]; /* a name with several addresses has several rows */
	size_t n_names;
	/* What is too large for the way to an address disappears, without a word about it. */
	struct {
		struct ip to;
		uint16_t mtu;
	} way[WORLD_WAYS];
	size_t n_ways;
	unsigned swallowed; /* so many did */
	struct world_keys *keys;
	size_t n_keys;
	struct dp_fake_packet *esp; /* room for one, used again and again */
	uint64_t hash;
	struct text_buf *trace; /* NULL: no transcript; see trace.h */
};

/* ---- life ---------------------------------------------------------------------------------- */

/* The world begins at 1000 s of monotonic time, 2023-11-14 22:13:20 UTC. */
#define WORLD_WALL 1700000000

struct world *world_new(uint64_t seed);
/* Frees all engines and complains about leaks. */
void world_free(struct world *w);

/* Adds a node with an engine; `addresses` is a list of address texts ended by NULL. The node takes
 * over the reference to `conf`. */
struct node *world_node(struct world *w, const char *name, const char *const *addresses,
			struct test_conf *conf);

/* The same without an engine, which node_start() makes: its memory may be set to refuse before. */
struct node *world_node_bare(struct world *w, const char *name, const char *const *addresses,
			     struct test_conf *conf);
enum status node_start(struct node *n);

/* The machine has these addresses from now on, in order of preference, and tells its engine. What
 * is under way to another one is lost when it comes. */
void node_network(struct node *n, const char *const *addresses);
/* The same with one or two of them (NULL: none). */
void node_moves(struct node *n, const char *address, const char *second);

/* The machine loses everything it knew and starts again, with other randomness. */
void node_restart(struct node *n);
/* The machine is gone: datagrams to it vanish. */
void node_kill(struct node *n);

void world_name(struct world *w, const char *name, const char *address);

/* ---- time ---------------------------------------------------------------------------------- */

/* Moves the clock, stopping at every deadline on the way. Nothing is delivered. */
void world_advance(struct world *w, dur_t d);
/* Jumps to the next deadline of any node and serves it; false when nobody waits for anything. */
bool world_timer(struct world *w);
/* Milliseconds until a node's deadline; -1: it waits for nothing. */
int64_t node_deadline_ms(const struct node *n);

/* ---- datagrams ----------------------------------------------------------------------------- */

size_t world_packets(const struct world *w);
/* The i-th under way, oldest first; NULL past the end. */
struct packet *world_packet(struct world *w, size_t i);
/* Oldest towards that node, or NULL. */
struct packet *world_packet_to(struct world *w, const struct node *n);

/* Takes it out of the queue, hands it to whoever has its destination address, frees it. */
void world_deliver(struct world *w, struct packet *p);
void world_drop(struct world *w, struct packet *p);
/* Appends a copy to the queue. */
struct packet *world_copy(struct world *w, const struct packet *p);
/* A copy outside the queue, for later: packet_send() or packet_free(). */
struct packet *packet_keep(const struct packet *p);
void packet_free(struct packet *p);
/* Delivers a datagram that is not in the queue, which stays the caller's. */
void world_hand_over(struct world *w, const struct packet *p);
/* Puts a new datagram into the queue. */
struct packet *world_inject(struct world *w, struct endpoint src, struct endpoint dst,
			    struct bytes data);

/* Delivers until nothing is under way. More than 10,000 datagrams are an endless loop. */
void world_run(struct world *w);
/* world_run(), and the clock as well, until `d` has passed. */
void world_live(struct world *w, dur_t d);
void world_drop_all(struct world *w);

/* The IKE message in a datagram: without the non-ESP marker. */
struct bytes packet_ike(const struct packet *p);
uint8_t packet_exchange(const struct packet *p);
uint32_t packet_msgid(const struct packet *p);
bool packet_is_response(const struct packet *p);

/* IP packets with DF and more bytes than that do not get to the address; 0: all do. */
void world_path_mtu(struct world *w, const char *to, uint16_t mtu);
/* Of the IP packet that it is in. */
size_t packet_ip_size(const struct packet *p);

/* Everything from `inside` leaves with address `outside` and ports from `first_port` on. */
void world_nat(struct world *w, const char *inside, const char *outside, uint16_t first_port);
/* The box forgets its mappings: the next packet of every flow gets another port. */
void world_nat_forget(struct world *w);

/* ---- a node -------------------------------------------------------------------------------- */

/* Takes over the reference to the new configuration. */
void node_reconfigure(struct node *n, struct test_conf *conf);
enum status node_cmd(struct node *n, const struct ike_cmd *cmd);
/* One that is about a peer. */
enum status node_command(struct node *n, enum ike_cmd_kind kind, ike_peer_id peer);
/* ike_partner_add() and the like. */
enum status node_partner_add(struct node *n, const struct ike_partner *p, ike_peer_id *ret_peer);
enum status node_partner_connect(struct node *n, ike_peer_id peer, const struct endpoint *local,
				 const struct endpoint *remote);
void node_partner_measured(struct node *n, ike_peer_id peer, dur_t rtt);
void node_partner_drop(struct node *n, ike_peer_id peer, const char *why);
/* A packet from `src` to `dst` arrives at the node's protected side: an ESP datagram in the queue,
 * an ACQUIRE, or nothing, as the data plane sees fit. */
void node_packet(struct node *n, const char *src, const char *dst);
/* One of so many bytes, which its sender does not want cut. */
void node_packet_of(struct node *n, const char *src, const char *dst, size_t size);
void node_report(struct node *n, const struct dp_report *r);
/* Hands over bytes as a datagram from `src` to the node's first address, same port rules. */
void node_input(struct node *n, struct endpoint src, uint16_t port, struct bytes data);

/* Outputs held back. */
size_t node_held(const struct node *n, enum pending_kind kind);
/* The i-th of that kind, oldest first; NULL past the end. */
struct pending *node_pending(const struct node *n, enum pending_kind kind, size_t i);
/* Does the work and hands in the result. */
void node_answer(struct node *n, struct pending *p);
/* Hands in a failure instead (jobs and operations), or no address (names). */
void node_refuse(struct node *n, struct pending *p, enum status status);
/* Holds nothing more back and answers everything, oldest first. */
void node_release(struct node *n);

/* A word to a peer; the node accepts those that come (SHORTCUT_ACCEPT with the id that they begin
 * with), unless they are held back. */
enum status node_ask(struct node *n, ike_peer_id peer, uint16_t notify, struct bytes data,
		     uint64_t *ret_id);
/* Answers one that is held back otherwise. */
void node_say(struct node *n, struct pending *p, uint16_t notify, struct bytes data);
/* The newest that came, and the newest that something came of; NULL: there was none. */
const struct node_word *node_asked(const struct node *n);
const struct node_word *node_answered(const struct node *n);
uint64_t word_digest(struct bytes data);

/* Its row for that identity, of any section; NULL: there is none. */
const struct node_lease *node_lease(const struct node *n, const char *identity);

/* Newest event of a kind, NULL when there was none. */
const struct ike_event *node_event(const struct node *n, enum ike_event_kind kind);
size_t node_events(const struct node *n, enum ike_event_kind kind);
/* For runs so long that keeping all of them costs too much. */
void node_forget_events(struct node *n);

/* The only child there is; the process ends when there is none or more than one. */
const struct dp_child *node_child(const struct node *n);
const struct node_trap *node_trap(const struct node *n, dp_peer_id peer);

uint64_t node_counter(const struct node *n, const char *name);
/* Sum of all counters whose names begin so. */
uint64_t node_counters(const struct node *n, const char *prefix);

struct node_sa {
	struct ike_sa_info info;
	char remote_id[128];
};

/* SAs by age of their id; returns how many there are. */
size_t node_sas(const struct node *n, struct node_sa *ret, size_t max);
/* The only established SA; the process ends when there is none or more than one. */
struct node_sa node_sa(const struct node *n);
struct ike_peer_info node_peer(const struct node *n, ike_peer_id id);
/* What a member may source and on whose authority: "10.1.0.0/16 by certificate blocks ...". */
const char *node_authority(const struct node *n, ike_peer_id id, char *buf, size_t cap);

/* ---- shortcuts ----------------------------------------------------------------------------- */

enum {
	NODE_TRIES = 24,
	NODE_TEXT = 256,
};

/* A copy: pointers of `info` are to what follows, its lists of selectors are empty. */
struct node_shortcut {
	struct mesh_shortcut_info info;
	char partner[NODE_TEXT];
	char text[NODE_TEXT];
	char ts_local[NODE_TEXT], ts_remote[NODE_TEXT];
	struct mesh_try tries[NODE_TRIES];
};

struct node_pair {
	struct mesh_pair_info info;
	char a[NODE_TEXT], b[NODE_TEXT];
	char by[NODE_TEXT]; /* "": the hub itself */
	char text[NODE_TEXT];
};

/* Of a site: its tunnel with that partner, or the last attempt at one; false: there was none. */
bool node_shortcut(const struct node *n, const char *partner, struct node_shortcut *ret);
/* Its state, "" when there is none. */
const char *node_shortcut_state(const struct node *n, const char *partner);
/* Of a hub, in either order; false: it knows nothing of the two. */
bool node_pair(const struct node *n, const char *a, const char *b, struct node_pair *ret);
const char *node_pair_state(const struct node *n, const char *a, const char *b);
/* Members in its directory. */
size_t node_members(const struct node *n);
/* mesh_withdraw() of the tunnel with that partner, which there is. */
enum status node_withdraw(struct node *n, const char *partner);

/* All that status would show, counters left out, as text: for "nothing changed". */
const char *node_picture(struct node *n, char *buf, size_t cap);

/* node_packet() at `from`, and what ESP it sends reaches `to` at once, past the queue: does exactly
 * that packet come out there? */
bool world_ping(struct world *w, struct node *from, const char *src, struct node *to,
		const char *dst);

/* The same through a node between the two, which forwards what comes out of one tunnel into
 * another, as the kernel of a hub does. */
bool world_ping_via(struct world *w, struct node *from, const char *src, struct node *via,
		    struct node *to, const char *dst);

/* Ends the process: the test, or an engine, broke the harness's rules. */
__attribute__((noreturn, format(printf, 1, 2))) void harness_fail(const char *fmt, ...);
