/*
 * internal.h - structures of the userspace data plane.
 *
 *	            control thread (host)
 *	   submit  |   ^ report, ike    ^ counters
 *	           v   | rings          |
 *	  +---------------------------------------+   published with release stores:
 *	  |  SPI table    prefix table    paths   |   children, peers, routes, paths
 *	  +---------------------------------------+
 *	       ^ read without locks ^
 *	   queue thread 0       queue thread 1 ...     each: one TUN descriptor, its UDP sockets
 *	      |  ^ strangers (rings)  |
 *
 * The control thread alone changes what is published; what it unpublishes it frees when no queue
 * thread can still hold it (qsbr.h).  A queue thread is quiescent once per turn of its loop and
 * offline while it waits.
 *
 * Owners.  An inbound SA (replay window, `reported`) belongs to one queue thread, the one its SPI
 * names; packets of it that arrive elsewhere travel over a ring.  An outbound SA is anybody's: its
 * sequence numbers are reserved atomically, a batch at a time.  Packets held for a peer without an
 * SA are under the peer's mutex, which nobody takes while traffic flows.
 *
 * One turn of a queue thread: wait; drain TUN into a batch - look up, segment, lay out - seal it,
 * send it in as few system calls as runs of equal packets allow; drain the sockets - split,
 * look up, open as a batch, check, coalesce, write to TUN.  Files: txin.c, txout.c; rxin.c,
 * rxout.c; offload.c is the arithmetic, udp.c the socket calls, pmtu.c path MTU, silence.c traffic
 * without an answer, pairs.c who talks to whom, sadb.c what is published, ops.c what the control
 * thread does to it.
 */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "dp/common.h"
#include "dp/user/dp_user.h"
#include "dp/user/offload.h"
#include "dp/user/qsbr.h"
#include "dp/user/ring.h"
#include "policy/policy.h"

enum {
	TX_PACKETS = 256, /* per batch */
	TX_BYTES = 512 << 10,
	TX_READS = 64, /* reads of TUN per batch */
	TX_SEGMENTS = 64, /* UDP_SEGMENT: older kernels allow no more per call */
	TX_MESSAGE_MAX = 65000,
	RX_MESSAGES = 32, /* per recvmmsg */
	RX_BUFFER = 65536,
	RX_PACKETS = 512, /* opened at once */
	RX_ROUNDS = 4, /* recvmmsg per socket and turn */
	FLOWS = 16, /* flows coalesced at once */
	FLOW_PIECES = 64,
	RING_BYTES = 256 << 10,
	IKE_RING_BYTES = 4 << 20, /* the answers of 10,000 peers to their farewell */
	REPORT_RING_BYTES = 256 << 10, /* more than a second's worth of FLOW */
	HELD_BYTES = 128 << 10, /* per peer, besides DP_HELD_PACKETS */
	HELD_S = 30, /* nobody waits longer for an answer to what was held */
	PREFIXES_MAX = 1024, /* of one child or trap */
	STALLS = 64, /* flows that are watched at once, a power of two */
	STALL_REPEATS =
		2, /* a segment is sent again for the second time, with nothing in between */
	WATCHED_MAX = 16384, /* peers of a queue, each for SILENT and for CEASED */
	UDP_HDR_LEN = 8,
	TICK_BITS = 24, /* time in ticks of 17 ms, see silence.c */
};

enum user_counter {
	C_TX_BAD = DP_COUNTERS, /* TUN gave something that is no IP packet */
	C_TX_PACKETS,
	C_TX_SYSCALLS,
	C_TX_ERROR, /* the socket refused */
	C_TX_FULL, /* the socket's buffer was full for long, or the device's queue was */
	C_TX_TOO_BIG, /* larger than the path: answered, or found out by sending */
	C_TX_FRAGMENTED,
	C_RX_PACKETS,
	C_RX_SYSCALLS,
	C_RX_BAD, /* neither IKE, ESP nor keepalive */
	C_RX_KEEPALIVE,
	C_RX_IKE,
	C_RX_IKE_LOST, /* the host did not keep up */
	C_RX_STRANGER, /* handed to another queue */
	C_RX_STRANGER_LOST,
	C_RX_ECN_DROP,
	C_RX_ECN_ALARM,
	C_TUN_WRITES,
	C_TUN_ERROR,
	C_TUN_COALESCED, /* packets that went with another in one write */
	C_REPORT_LOST,
	C_FLOW_LATER, /* a FLOW that is not reported but with a later packet */
	C_UNWATCHED, /* too many peers that have not answered yet */
	C_PMTU_LEARNT,
	C_PMTU_IGNORED, /* an ICMP message that said nothing believable */
	C_PMTU_ASKED, /* probes are wanted */
	C_PMTU_STALLED, /* because large segments do not seem to get through */
	C_ICMP_SENT, /* answers to our own side */
	C_ICMP_LIMITED,
	C_NO_MEMORY,
	COUNTERS,
};

/* ---- published ----------------------------------------------------------------------------- */

/* What is known of the way to a remote address, shared by all children that go there. */
struct pmtu {
	struct map_node node;
	struct ip ip;
	unsigned refs; /* control thread */
	_Atomic uint32_t mtu; /* of outer IP packets */
	_Atomic int64_t until_ns; /* when it is forgotten; 0: nothing known */
	_Atomic int64_t ask_ns; /* no PROBE before, unless it stalls */
	_Atomic int64_t stall_ns; /* nor then before that */
	_Atomic bool doubt; /* any packet will do for asking */
};

/* Endpoints of a child; replaced as a whole. */
struct path {
	struct endpoint local;
	struct endpoint remote;
	struct pmtu *pmtu;
	_Atomic int device; /* 0: routing decides */
	int8_t socket[DP_USER_MAX_QUEUES]; /* per queue, -1: none fits */
};

struct peer;

/* All children and traps that lead to one prefix: value of the prefix table. */
struct route {
	_Atomic(struct hop *) senders; /* of children, what began to send last first */
	_Atomic(struct hop *) traps;
	_Atomic(struct hop *) first; /* of peers that were given it, the newest first */
	_Atomic(struct hop *) last;
	struct prefix prefix;
	unsigned refs; /* control thread: hops that say so, listed or not */
};

/* A child's, trap's or peer's place in the list of one of its prefixes.  So a lookup looks at those
 * alone that lead to the very prefix, however many children a peer has. */
struct hop {
	_Atomic(struct hop *) next;
	void *owner; /* struct child, trap or peer, as the list says */
	struct route *route; /* control thread */
};

/* A prefix that a peer was given: a place in the list of the prefix, and the peer's children have
 * theirs at the peer.  So neither costs anything when the other changes. */
struct given {
	struct hop hop;
	struct list node; /* of its peer; control thread */
	bool last; /* in that list; control thread */
};

struct hops {
	struct hop *v;
	size_t n;
};

struct child {
	struct esp_out *out;
	struct esp_in *in;
	struct esp_ts *ts;
	struct esp_ts *relayed; /* refuses all but that; NULL: nothing */
	_Atomic(struct path *) path;
	struct dp_limit limit;
	dp_child_id id;
	uint32_t spi_in;
	unsigned queue; /* that owns `in` */
	struct peer *peer;
	bool told; /* as in dp.h, with the next two */
	bool flows;
	bool counts;
	bool proves; /* until it has; queue thread */
	struct endpoint reported; /* last NEW_ADDRESS; queue thread */
	_Atomic bool dead; /* past a hard limit */
	_Atomic bool soft_reported;
	_Atomic bool hard_reported;
	_Atomic uint64_t packets_in, bytes_in, dropped_in;
	_Atomic uint64_t packets_out, bytes_out;
	_Atomic uint32_t used; /* tick of what counted last */
	/* control thread */
	bool sends;
	bool quiet; /* sends no more */
	struct map_node by_id;
	struct hops hops;
	struct list refusing; /* user.refusing, if `relayed` */
	struct hop at_peer;
};

struct trap {
	struct peer *peer;
	struct esp_ts *ts;
	struct hops hops; /* control thread */
};

/* A packet that waits for an SA, with its virtio-net header. */
struct held {
	struct held *next;
	int64_t since_ns;
	struct ip dst;
	size_t n;
	struct vnet vnet;
	uint8_t data[];
};

struct peer {
	dp_peer_id id;
	_Atomic int64_t acquire_ns; /* no ACQUIRE before */
	_Atomic(struct hop *) senders; /* its children that send, the newest first */
	_Atomic bool given_only;
	/* Of all its children, in ticks (silence.c). */
	_Atomic uint32_t sent; /* when the last packet was, or the peer was made */
	_Atomic uint32_t heard; /* the same for authentic ones */
	_Atomic uint32_t asked; /* the first packet that nothing was heard after; 0: not watched */
	_Atomic uint32_t not_before; /* it is watched again */
	_Atomic uint16_t reports; /* SILENT, since it was last heard */
	_Atomic uint16_t ends; /* CEASED, since its traffic lasted */
	_Atomic uint32_t ceased; /* whoever hears it then notes it for CEASED; 0: nobody wants it */
	struct held *held; /* with the three below: under the lock */
	struct held **held_tail;
	size_t held_bytes;
	unsigned n_held;
	/* control thread */
	unsigned refs; /* children, the trap; one while there is `kept` */
	struct list given; /* struct given */
	bool kept; /* it was given something, or is given_only */
	struct map_node by_id;
	struct trap *trap;
	pthread_mutex_t lock;
};

/* SPI to child: open addressing, replaced by a larger copy when it fills. */
struct spi_table {
	size_t mask;
	size_t used; /* control thread: slots that are not NULL, with those of removed children */
	size_t live;
	_Atomic(struct child *) slot[];
};

/* ---- queues -------------------------------------------------------------------------------- */

/* One inner packet of the batch under construction. */
struct tx_packet {
	struct child *child;
	const struct path *path;
	uint32_t at; /* of the ESP packet in the buffer */
	uint32_t n; /* of the inner packet */
	uint32_t size; /* of the ESP packet */
	uint8_t head; /* of it, before the inner one */
	uint8_t ds;
	uint8_t next_header;
	bool fragment; /* the outer packet may be, see pmtu.c */
	bool sealed;
};

/* Packets that one system call segments again: sealed, of one size but the last, contiguous. */
struct tx_message {
	const struct path *path;
	uint32_t at;
	uint32_t n; /* bytes in all */
	uint32_t size; /* of each but the last */
	unsigned packets;
	int socket;
	uint8_t ds;
	bool fragment;
};

struct tx {
	uint8_t *read_buf; /* vnet header and one packet from TUN */
	uint8_t *buf;
	size_t used;
	size_t n;
	uint8_t *scratch; /* one packet between steps */
	struct tx_packet packet[TX_PACKETS];
	struct bulk_op op[TX_PACKETS];
	struct tx_message message[TX_PACKETS];
};

/* Where a datagram came from; several packets share it. */
struct rx_from {
	struct endpoint local;
	struct endpoint remote;
	uint8_t ds;
};

struct rx_packet {
	struct child *child;
	const struct rx_from *from;
	struct esp_in_pkt esp;
};

/* TCP segments or UDP datagrams that go to TUN as one. */
struct flow {
	bool used;
	struct wire_ip ip;
	const uint8_t *first; /* first packet */
	size_t hdr_len;
	size_t size; /* of the first payload; the last may be shorter */
	uint32_t next_seq; /* TCP */
	size_t payload; /* bytes so far */
	size_t pieces;
	bool push; /* TCP: the last one was the end of something */
	struct bytes piece[FLOW_PIECES];
};

struct rx {
	uint8_t *bufs; /* RX_MESSAGES of RX_BUFFER */
	size_t n;
	struct rx_packet packet[RX_PACKETS];
	struct bulk_op op[RX_PACKETS];
	struct rx_from from[RX_MESSAGES];
	struct flow flow[FLOWS];
	unsigned next_victim;
};

/* A large TCP segment that was sent last of its flow, as far as its slot is its own. */
struct stall {
	uint32_t flow;
	uint32_t seq;
	uint32_t repeats;
};

struct user;
struct udp_io;

/* Children, one of each peer that is watched; and since when it is. */
struct watch {
	unsigned n;
	struct watched {
		uint32_t spi;
		uint32_t since;
	} * v;
};

struct queue {
	struct user *u;
	unsigned i;
	pthread_t thread;
	bool started;
	int epoll;
	int wake; /* eventfd */
	int tun;
	int64_t now_ns;
	uint32_t tick; /* the same, in ticks */
	uint32_t looked; /* at these two */
	struct watch asked; /* whose peers have not answered yet */
	struct watch flowing; /* whose peers were heard, and CEASED is to be reported */
	bool host_waiting; /* something was put into a ring for the host in this turn */
	bool poked[DP_USER_MAX_QUEUES]; /* ... or for another queue */
	struct ring from[DP_USER_MAX_QUEUES]; /* strangers */
	struct ring control; /* packets to send, from the control thread */
	struct ring reports;
	struct ring ike;
	struct dp_bucket unknown_spi;
	struct dp_bucket unreachable;
	struct dp_bucket icmp;
	struct dp_bucket prohibited;
	struct dp_bucket pmtu;
	struct dp_bucket flows;
	struct stall stall[STALLS];
	struct udp_io *io;
	struct tx tx;
	struct rx rx;
	_Atomic uint64_t counter[COUNTERS];
};

/* In the ring of a queue from the control thread; a packet follows, or none. */
struct control {
	uint32_t dummy_on; /* SPI of the child that is to send a dummy, 0: the packet */
	struct vnet vnet;
};

/* See pairs.c. */
struct pairs {
	uint64_t key[2];
	_Atomic uint64_t *came;
	_Atomic uint64_t *told;
};

/* DONE reports, made by the control thread for itself. */
struct done {
	struct done *next;
	struct dp_report report;
};

struct user {
	struct dp dp;
	const struct alloc *mem;
	unsigned n_queues;
	struct queue *queue;
	bool tun_plain;
	_Atomic uint16_t mtu; /* of the TUN */
	int (*device)(void *ctx, const struct endpoint *local, const struct endpoint *remote);
	void *device_ctx;
	size_t n_sockets;
	struct dp_user_socket socket[DP_USER_MAX_SOCKETS];
	_Atomic bool no_gso[DP_USER_MAX_SOCKETS]; /* the kernel refused UDP_SEGMENT */
	_Atomic bool no_uso; /* the kernel refused VNET_GSO_UDP_L4 */
	_Atomic bool stop;
	int host_event; /* eventfd */
	_Atomic bool host_signalled;
	struct qsbr qsbr;
	_Atomic(struct spi_table *) spis;
	struct policy_table *routes;
	struct pairs pairs;
	pthread_mutex_t pmtu_lock; /* of the map; ICMP is rare */
	struct map pmtus;
	/* control thread */
	struct map children;
	struct map peers;
	struct list refusing; /* children that relay nothing, or not everything */
	struct done *done;
	struct done **done_tail;
	unsigned next_queue; /* round robin over rings */
};

/* The MTU of the TUN; the host may change it at any time. */
static inline uint16_t tun_mtu(const struct queue *q)
{
	return atomic_load_explicit(&q->u->mtu, memory_order_relaxed);
}

/* The largest packet for a path that carries `max`. */
static inline uint32_t tun_most(const struct queue *q, size_t max)
{
	return max < tun_mtu(q) ? (uint32_t)max : tun_mtu(q);
}

/* ---- small things -------------------------------------------------------------------------- */

static inline void count(struct queue *q, unsigned c, uint64_t n)
{
	/* One writer: no atomic addition needed, only whole words for readers. */
	uint64_t v = atomic_load_explicit(&q->counter[c], memory_order_relaxed);

	atomic_store_explicit(&q->counter[c], v + n, memory_order_relaxed);
}

static inline uint64_t add_relaxed(_Atomic uint64_t *to, uint64_t n)
{
	return atomic_fetch_add_explicit(to, n, memory_order_relaxed) + n;
}

int64_t user_clock_ns(void);

/* queue.c */
MUST enum status queue_init(struct queue *q, struct user *u, unsigned i, int tun, struct text *why);
MUST enum status queue_start(struct queue *q, struct text *why);
void queue_stop(struct queue *q);
void queue_done(struct queue *q);
void queue_poke(struct queue *q);
/* Puts a report into the ring for the host; false and counted when it is full. */
bool queue_report(struct queue *q, const struct dp_report *r);

/* user.c */
void user_signal_host(struct user *u);

/* sadb.c: lookups are for queue threads, the rest for the control thread. */
struct child *sadb_by_spi(const struct user *u, uint32_t spi);
MUST enum status sadb_spi_add(struct user *u, struct child *c);
void sadb_spi_del(struct user *u, struct child *c);
/* Child that sends this packet, else the peer whose trap covers it, else neither (dp.h). */
struct child *sadb_sender(const struct user *u, const struct wire_ip *ip, struct peer **ret_trap);
/* Routes for all prefixes of the selectors, all or nothing; the hops are in no list yet.  Their
 * memory is the caller's, to be freed after a grace period if they ever were. */
MUST enum status sadb_hops_new(struct user *u, const struct wire_ts_list *remote, void *owner,
			       struct hops *ret_hops);
/* Lets go of the routes; the hops are in no list any more. */
void sadb_hops_del(struct user *u, struct hops *h);
void sadb_list_senders(struct child *c);
void sadb_unlist_senders(struct child *c);
void sadb_list_traps(struct hops *h);
void sadb_unlist_traps(struct hops *h);
/* The peer's children are asked for that prefix, before others or behind them; NOT: no more. */
MUST enum status sadb_give(struct user *u, struct peer *p, const struct prefix *pfx,
			   enum dp_given given);
/* One of what it was given is no more; false: there is nothing. */
bool sadb_take_any(struct user *u, struct peer *p);
MUST enum status sadb_init(struct user *u);
void sadb_done(struct user *u);

/* ops.c */
MUST enum status ops_submit(struct user *u, const struct dp_op *op);
struct child *ops_child(const struct user *u, dp_child_id id);
/* Every path is asked for its device again. */
void ops_reroute(struct user *u);
void ops_counters(const struct child *c, struct dp_counters *ret);
void ops_free_all(struct user *u);

/* pmtu.c */
MUST enum status pmtu_ref(struct user *u, const struct ip *ip, struct pmtu **ret_pmtu);
void pmtu_unref(struct user *u, struct pmtu *p);
/* What is known of the way, as outer IP packet size; 65535 when nothing is. */
uint32_t pmtu_outer(const struct queue *q, const struct path *p);
/* The largest inner packet that fits. */
size_t pmtu_inner(const struct queue *q, const struct path *p, const struct esp_shape *shape);
/* The network (or, `ours`, the local stack) says that `mtu` is the most for this address; 0: it
 * only says that `size` was too much. */
void pmtu_learn(struct queue *q, const struct endpoint *remote, uint32_t mtu, uint32_t size,
		bool ours);

/* For the control thread: what probes found; 0: nothing is known any more. */
void pmtu_found(struct user *u, const struct ip *ip, uint16_t mtu);
/* What was known was known of another way. */
void pmtu_forget(struct user *u, struct pmtu *p);
/* A packet is about to go there, whose sender may go on with larger ones. */
void pmtu_used(struct queue *q, const struct child *c, const struct path *p, const uint8_t *packet,
	       const struct wire_ip *ip);

/* udp.c */
MUST enum status udp_prepare(const struct dp_user_socket *s, struct text *why);
/* Room for what the system calls want, per queue. */
MUST enum status udp_io_new(const struct alloc *mem, struct udp_io **ret_io);
void udp_send(struct queue *q, const struct tx_message *m, size_t n);
void udp_receive(struct queue *q, size_t socket);
/* What the error queue says; whether it said anything. */
bool udp_errors(struct queue *q, size_t socket);

/* txin.c, txout.c */
void tx_drain_tun(struct queue *q);
void tx_drain_control(struct queue *q);
/* One packet from the protected side; `packet` may be changed. */
void tx_packet_in(struct queue *q, const struct vnet *v, uint8_t *packet, size_t n);
/* Room for an inner packet of at most `n` bytes for that child, NULL never: seals and sends what is
 * there when it is full.  Followed by tx_commit() with its true length. */
uint8_t *tx_room(struct queue *q, const struct child *c, size_t n);
void tx_commit(struct queue *q, struct child *c, const struct path *p, const struct wire_ip *ip,
	       size_t n, bool fragment);
void tx_flush(struct queue *q);

/* rxin.c, rxout.c */
/* One datagram (a piece of a GRO buffer); `from` and `data` stay until rx_flush(). */
void rx_datagram(struct queue *q, const struct rx_from *from, uint8_t *data, size_t n);
void rx_drain_strangers(struct queue *q);
void rx_flush(struct queue *q);
/* An accepted inner packet, on its way to TUN; stays in place until tun_flush(). */
void tun_deliver(struct queue *q, uint8_t *packet, const struct wire_ip *ip);
void tun_flush(struct queue *q);
/* At once, as it is. */
void tun_write(struct queue *q, const struct vnet *v, const struct bytes *part, size_t parts);

/* A dummy packet (RFC 4303 section 2.6) on that child. */
void tx_dummy(struct queue *q, struct child *c);

/* pairs.c */
MUST enum status pairs_init(struct pairs *p, const struct alloc *mem, const uint64_t key[2]);
void pairs_done(struct pairs *p, const struct alloc *mem);
/* A packet came in on a child that wants flows; one is about to leave on such a one, false: it came
 * from where it would go. */
void pair_came(struct queue *q, const struct child *c, const struct wire_ip *ip);
bool pair_may_leave(struct queue *q, const struct child *c, const struct wire_ip *ip);
/* It was refused, on its way out or in, for that child must not relay it. */
void pair_refused(struct queue *q, const struct child *c, const struct wire_ip *ip, bool in);

/* silence.c */
uint32_t tick_of(int64_t ns);
uint32_t tick_after(uint32_t tick, uint32_t ticks);
dur_t tick_since(uint32_t now, uint32_t then);
void silence_init(struct peer *p);
void silence_wanted(struct peer *p, const struct dp_child *d);
void silence_sent(struct queue *q, const struct child *c);
/* `traffic`: such as may cease. */
void silence_heard(struct queue *q, const struct child *c, bool traffic);
void silence_look(struct queue *q);
/* How long a queue may wait until it looks again; -1: as long as it likes. */
int silence_wait_ms(const struct queue *q);

/* A packet was sent on that child; one that came on it is authentic. */
static inline void peer_sent(struct queue *q, const struct child *c)
{
	if (atomic_load_explicit(&c->peer->sent, memory_order_relaxed) != q->tick)
		silence_sent(q, c);
}

static inline void peer_heard(struct queue *q, const struct child *c, bool traffic)
{
	if (atomic_load_explicit(&c->peer->heard, memory_order_relaxed) != q->tick)
		silence_heard(q, c, traffic);
}

/* It carries that packet, either way. */
static inline void child_used(const struct queue *q, struct child *c, const struct wire_ip *ip)
{
	if (c->counts && atomic_load_explicit(&c->used, memory_order_relaxed) != q->tick &&
	    dp_counts_packet(ip))
		atomic_store_explicit(&c->used, q->tick, memory_order_relaxed);
}

/* queue.c: reports what was reached, in one direction. */
void child_check_limits(struct queue *q, struct child *c, uint64_t packets, uint64_t bytes);
