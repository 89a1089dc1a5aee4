/*
 * members.h - a crowd: thousands of sites in one process, to put one hub under load.
 *
 * Every member is a site as a network has them: an identity, a key and a certificate with its own
 * address block (RFC 3779), an outer address, and the IKE engine that warrend runs, with its mesh,
 * over real sockets.  What is not like a site: all share one thread and one pair of sockets, jobs
 * run inline, and instead of a TUN there is a host that answers and sends pings, one address in
 * each member's block.
 *
 *	members.c        commands from standard input, a line of JSON for each
 *	members_sites.c  certificates and configuration
 *	members_host.c   the engines' outputs carried out: sockets, jobs, look-ups, time
 *	members_esp.c    their child SAs, and the pings through them
 *	members_mesh.c   their shortcuts, with each other and with anybody else
 *
 * The window: a peer's attempt begins with the look-up of its hub, and the answer is the host's.
 * Answers are given while fewer than `window` members are under way, the others wait in line.  So
 * nobody overflows a receive buffer by starting all at once, unless that is what is measured.  Who
 * was answered by the hub goes on before others start, as a site with a processor of its own would.
 *
 * Addresses: member i is at 198.18.0.0/15 + 1 + i outside, and has 10.0.0.0 + 16i / 28 inside, of
 * which the host has the second address.
 *
 * Any failure that is not a result ends the process.
 */
#pragma once

#include "base/base.h"
#include "crypto/openssl/crypto_openssl.h"
#include "mesh/mesh.h"

enum {
	MEMBERS_MAX = 65535, /* the sequence number of a ping names one */
	MEMBER_NAME_MAX = 40,
	MEMBER_PREFIX_LEN = 28,
	MEMBER_SUGGESTIONS = 64, /* that have come to nothing yet; hubs make fewer at a time */
};

enum member_state {
	MEMBER_DOWN,
	MEMBER_WAITING, /* for its look-up */
	MEMBER_CALLING,
	MEMBER_UP,
};

/* A suggestion that a member has taken. */
struct suggestion {
	char partner[IKE_IDENTITY_TEXT];
	mono_t taken;
};

struct member {
	char name[MEMBER_NAME_MAX]; /* identity, and what its engine looks up */
	const char *address; /* = name */
	struct ip outer;
	struct ip inner;
	enum member_state state;
	uint64_t lookup; /* the one that is waited for; 0: none */
	mono_t called; /* when the look-up was answered */
	mono_t up; /* since when */
	struct list tunnels; /* the last that began to send first: members_esp.c */
	struct ike_conf conf;
	struct mesh_network network;
	struct mesh_conf mesh_conf;
	struct ike *ike;
	struct mesh *mesh;
	struct timer due; /* its deadline */
	size_t sas; /* of its engine, */
	size_t direct; /* its shortcuts that are up, when somebody looked last */
	bool stirred; /* something has become of one since */
	struct suggestion *suggested; /* NULL: none yet */
	size_t n_suggested;
};

struct crowd_options {
	struct ip hub;
	size_t members;
	const char *ca; /* directory of the authority */
	const char *hub_id;
	dur_t dpd_delay;
	dur_t retransmit_timeout;
	unsigned retransmit_tries;
	bool shortcuts; /* are taken when a hub suggests them */
};

/* Since the last command. */
struct crowd_tally {
	uint64_t sent, received; /* IKE datagrams, probes included */
	uint64_t foreign; /* of those received: not from the crowd */
	uint64_t probes; /* of those sent */
	uint64_t tx_full;
	uint64_t esp_sent, esp_received, esp_refused;
	uint64_t by_hub; /* of the ESP sent: to the hub */
	uint64_t events[IKE_EVENTS];
};

/* members_host.c */
struct crowd_todo;

struct crowd_fifo {
	struct crowd_todo *item;
	size_t first, n, cap;
};

struct crowd {
	struct crowd_options opt;
	struct member *members;
	size_t n_up;
	size_t n_calling;
	size_t window;
	size_t admitted; /* of the first so many members only are look-ups answered */
	struct crowd_fifo waiting; /* look-ups that were not answered yet */
	struct crowd_fifo starting; /* first jobs of an attempt */
	struct crowd_fifo todo; /* everything else that the engine has to be told */
	struct crowd_tally tally;

	struct crypto_openssl *provider;
	struct crypto crypto;
	struct crypto_store *store;
	struct ike_peer_conf *peers; /* a member's section each */
	struct arena text; /* what the configuration points to */
	struct heap timers; /* struct member.due */
	size_t n_sas; /* of all engines */
	size_t n_direct; /* ends of shortcuts that are up */
	double *took; /* ms from a suggestion until its shortcut was up, each end for itself */
	size_t n_took, cap_took;
	int fd[2]; /* ports 500 and 4500 */
	struct map tunnel_by_id;
	struct map tunnel_by_spi;
	unsigned ping_round;
	size_t pongs; /* of this round */
	mono_t *ponged; /* when each member's came; {0}: not yet */
};

__attribute__((noreturn, format(printf, 1, 2))) void crowd_fail(const char *fmt, ...);
#define CROWD_NEED(what) ((what) ? (void)0 : crowd_fail("%s failed", #what))

/* ---- members_sites.c ----------------------------------------------------------------------- */

/* Everything up to the configuration of the engine. */
void crowd_make_sites(struct crowd *c);
void crowd_free_sites(struct crowd *c);

/* ---- members_host.c ------------------------------------------------------------------------ */

/* Opens the sockets and starts the engines; members wait in line. */
void crowd_open(struct crowd *c);
void crowd_close(struct crowd *c);

/* At most so many members under way from now on, of the first so many. */
void crowd_window(struct crowd *c, size_t window, size_t admitted);
void crowd_command(struct crowd *c, enum ike_cmd_kind kind, size_t member);

/* Serves whatever there is to serve, waiting at most `ms` for it; true when `fd` (-1: none) is
 * readable. */
bool crowd_turn(struct crowd *c, int ms, int fd);

/* An ESP packet, for members_esp.c. */
void crowd_send_esp(struct crowd *c, const struct endpoint *local, const struct endpoint *remote,
		    struct bytes packet);

/* ---- members_esp.c ------------------------------------------------------------------------- */

void tunnels_init(struct crowd *c);
void tunnels_done(struct crowd *c);

/* What its DONE says; `ret` is written by a query alone. */
enum status tunnel_op(struct crowd *c, struct member *m, const struct dp_op *op,
		      struct dp_counters *ret);
/* True: there is a report for the engine. */
bool tunnel_input(struct crowd *c, struct member *m, struct bytes packet,
		  struct dp_report *ret_report);

/* One echo request from a member to another (the address of the host behind it), in the round that
 * `ping_round` says. */
void crowd_ping(struct crowd *c, size_t from, const struct ip *to);

/* ---- members_mesh.c ------------------------------------------------------------------------ */

void shortcuts_done(struct crowd *c);
/* Of a member's mesh. */
void shortcut_event(struct crowd *c, struct member *m, const struct ike_event *e);
/* Counts them when something has become of one; the engine has no outputs. */
void shortcuts_count(struct crowd *c, struct member *m);
