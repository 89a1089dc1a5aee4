/*
 * dp.h - a data plane, as the host sees it.
 *
 * The engine decides, a data plane carries packets.  Operations are values that the engine emits
 * (DP output) and the host submits; what happened comes back as reports, which the host feeds to
 * the engine.  Three implementations: user/ (ESP in userspace), xfrm/ (Linux kernel), fake/
 * (tests); what they can do differently is said by `caps`, and one conformance suite runs against
 * all of them.
 *
 * Identity: the engine numbers children (`dp_child_id`) and peers (`dp_peer_id`); numbers are never
 * reused.  Operations are carried out in order; each is answered by exactly one DONE report with
 * its `op` number.
 *
 * Default discard: a packet from the protected side that no child and no trap covers is dropped
 * and counted; a packet from the network is delivered only if it was authenticated by a child and
 * lies in that child's selectors.
 *
 * Which child sends: the longest remote prefix that has the destination is asked first.  Of the
 * children with that prefix that are in use for sending and whose selectors cover the packet, the
 * one that began sending last sends it.  Without one, but covered by a trap with that prefix: the
 * first packets (at most DP_HELD_PACKETS of a peer) are held and sent as soon as a child can, and
 * ACQUIRE is reported, at most once per peer and DP_ACQUIRE_INTERVAL.  Without either the next
 * shorter prefix is asked: a more specific child that takes one port only leaves the others to
 * whoever has the wider prefix, as in an ordered SPD (RFC 4301 section 4.4.1).
 *
 * A peer may be given prefixes (PEER_PREFIX), beside the selectors of its children: whichever of
 * its children are in use for sending, and cover the packet, are asked for them, without a word
 * about the prefix when one replaces another.  They are asked before the children that have that
 * very prefix in their selectors, or behind them, as the operation says; of several peers with one
 * prefix the one that was given it last is asked first.  Children and the trap of a peer that is
 * GIVEN_ONLY are asked for nothing else: their selectors say what may go there, not what does.
 * What a peer was given is kept while it has no child, until it is taken away.
 *
 * What a child refuses to relay (struct dp_child.direct) goes by nothing else: it is held, at most
 * DP_HELD_DIRECT packets for one address of DP_HELD_PACKETS of a peer, until a child takes it that
 * refuses nothing of it; who is not held, or was for DP_HELD_DIRECT_S, is answered by ICMP
 * "administratively prohibited" (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1), at a bounded
 * rate.
 *
 * Counter names that all implementations share: "tx.discard" (default discard), "tx.no_sa" (neither
 * sent nor held, or held in vain), "tx.not_direct" (would have been relayed), "tx.reflected"
 * (struct dp_child.flows), "rx.unknown_spi", "rx.expired" (for a child past a hard limit), and
 * "esp.rx.<fault>" for each fault of esp.h.
 */
#pragma once

#include "base/base.h"
#include "esp/esp.h"

enum {
	DP_HELD_PACKETS = 16,
	DP_HELD_DIRECT = 4,
	DP_HELD_DIRECT_S = 3,
	DP_ACQUIRE_INTERVAL_MS = 1000,
	DP_SILENCE_MS = 500,
	DP_ANSWER_MS = 50,
	DP_SILENCE_MAX_S = 64, /* the longest pause between two SILENT about one peer */
	DP_CEASED_MS = 1250,
	DP_CEASED_MIN_S = 8, /* the shortest pause between two CEASED; the longest is that above */
	DP_PMTU_EXPIRY_S = 600, /* RFC 1191 section 6.3 */
	DP_PMTU_BASE = 1280, /* outer packets up to this size are taken to get through, unless
			      * somebody says otherwise (RFC 8899 section 5.1.2) */
	DP_PROBE_INTERVAL_MS = 10000,
	DP_FLOW_INTERVAL_MS = 1000,
};

typedef uint64_t dp_child_id;
typedef uint64_t dp_peer_id;

enum dp_cap {
	DP_CAP_FLOW_PAIRS = 1 << 0, /* reports which pairs of peers talk through us */
	DP_CAP_ESN = 1 << 1,
	DP_CAP_RAW_ESP = 1 << 2, /* protocol 50 without UDP */
	DP_CAP_TRANSPORT = 1 << 3, /* transport mode */
	DP_CAP_ADDRESS = 1 << 4, /* changes a child's endpoints in place, reports new ones */
};

enum dp_op_kind {
	DP_CHILD_ADD, /* install both directions of a child SA; again with the same id and
		       * `outbound`: begin to send on it (the rest is ignored) */
	DP_CHILD_QUIET, /* only receives from now on, for good: another one has its traffic */
	DP_CHILD_DEL,
	DP_CHILD_ADDRESS, /* new endpoints (MOBIKE, NAT) */
	DP_CHILD_QUERY, /* answered by DONE with counters */
	DP_TRAP_ADD, /* selectors of a peer without SA: the first packet reports ACQUIRE */
	DP_TRAP_DEL,
	DP_CHILD_DUMMY, /* one dummy packet (RFC 4303 section 2.6) on it now, whether it sends or
			 * not; nothing waits for an answer to it, and it is no traffic */
	DP_CHILD_PAUSE, /* sends nothing more until it is to begin again (ADD): what it would have
			 * sent goes by the next best child */
	DP_PATH_MTU, /* what probes found of the way to an address */
	DP_PEER_PREFIX, /* a prefix is given to a peer, or is no more */
	DP_PEER_GIVEN_ONLY, /* its children are asked for what it was given, and nothing else; or
			     * not any more, then nothing that it was given is left */
};

/* When children of a peer are asked for a prefix that it was given. */
enum dp_given {
	DP_GIVEN_NOT,
	DP_GIVEN_FIRST, /* before the children that have the very prefix in their selectors */
	DP_GIVEN_LAST, /* when none of these can send */
};

/* One child SA as the data plane needs it.  Keys: in = what we decrypt with. */
struct dp_child {
	dp_child_id id;
	dp_peer_id peer;
	uint32_t spi_in; /* unique among all children */
	uint32_t spi_out;
	bool esn;
	bool encap; /* UDP encapsulation (RFC 3948); else protocol 50, needs DP_CAP_RAW_ESP */
	bool outbound; /* use for sending at once; false: only receive until a later ADD says so */
	bool ceases; /* CEASED is reported about its peer, then and for all its children */
	/* The peer says where it is, and is told where we are (RFC 4555 section 3.12): what comes
	 * from elsewhere, or for elsewhere, is taken, and is no sign that it hears us. */
	bool told;
	/* What leaves on it and came from another peer is reported (FLOW); what came in from a peer
	 * and would go back to it is dropped, and counted as "tx.reflected": of two hubs that have
	 * the same routes to each other nothing goes to and fro. */
	bool flows;
	bool proves; /* CARRIES is reported when something authentic came in on it */
	bool counts; /* its `since_used` is kept */
	/* Its peer relays, and must not: of what its selectors have, only what goes to, or comes
	 * from, one of `relayed` is carried; all else is refused, both ways, and reported
	 * (NOT_DIRECT). */
	bool direct;
	uint16_t window;
	struct endpoint local;
	struct endpoint remote;
	struct esp_keys in;
	struct esp_keys out;
	struct wire_ts_list ts_local;
	struct wire_ts_list ts_remote;
	struct wire_ts_list relayed;
	uint64_t
		soft_packets; /* of either direction alone, 0: none. EXPIRE is reported once when */
	uint64_t hard_packets; /* one is reached; past a hard limit nothing is sent or accepted */
	uint64_t soft_bytes;
	uint64_t hard_bytes;
};

/* Pointers are valid while submit() runs; a data plane copies what it keeps and wipes copies of
 * keys it no longer needs. */
struct dp_op {
	uint64_t op;
	enum dp_op_kind kind;
	union {
		struct dp_child child; /* ADD */
		struct {
			dp_child_id id;
			struct endpoint local;
			struct endpoint remote;
			bool encap;
		} address;
		dp_child_id id; /* QUIET, DEL, QUERY, DUMMY, PAUSE */
		struct {
			dp_peer_id peer;
			struct wire_ts_list ts_local;
			struct wire_ts_list ts_remote;
		} trap;
		dp_peer_id peer; /* TRAP_DEL */
		/* Holds for all children that go there, until there is another one: what the
		 * network says may still lower it.  0: nothing is known any more. */
		struct {
			struct ip remote;
			uint16_t mtu; /* of outer IP packets */
		} path_mtu;
		struct {
			dp_peer_id peer;
			struct prefix prefix;
			enum dp_given given; /* instead of what was said before */
		} given;
		struct {
			dp_peer_id peer;
			bool on;
		} given_only;
	} u;
};

struct dp_counters {
	uint64_t packets_in, bytes_in; /* inner bytes, accepted */
	uint64_t packets_out, bytes_out;
	uint64_t dropped_in; /* replay, selectors */
	/* Since something authentic came in on any child of its peer, and since something went out
	 * on any, to a fraction of DP_SILENCE_MS; or since there is a child of it. */
	dur_t since_in, since_out;
	/* Of a child that counts: since a packet either way that is someone's traffic, or since
	 * there is the child.  Routing protocols and what only asks whether somebody is there do
	 * not count: see dp_counts(). */
	dur_t since_used;
};

/* Whether a packet is a reason for a tunnel: neither OSPF, EIGRP, PIM, VRRP, IGMP, IS-IS nor BGP,
 * BFD, RIP, LDP by their ports. `proto`: the upper one; ports 0 when there are none. */
bool dp_counts(uint8_t proto, uint16_t sport, uint16_t dport);

enum dp_report_kind {
	DP_REPORT_DONE, /* result of an operation */
	DP_REPORT_ACQUIRE, /* traffic for a trapped peer */
	DP_REPORT_EXPIRE, /* a soft or hard limit was passed */
	DP_REPORT_UNKNOWN_SPI, /* ESP for an SPI we do not have; rate-limited by the data plane */
	DP_REPORT_NEW_ADDRESS, /* authenticated packet from another remote endpoint */
	DP_REPORT_PMTU, /* path MTU towards a remote endpoint was learnt */
	/* Packets went out on children of a peer, and for DP_SILENCE_MS after the first of them
	 * nothing authentic came in on any child of that peer.  Nothing but traffic leads to it;
	 * what goes out less than DP_ANSWER_MS after something came in does not count, it may be
	 * the answer to that and the end of the matter.
	 * It may be traffic that nobody answers: then it comes again after pauses that double, as
	 * long as more is sent and nothing is heard. */
	DP_REPORT_SILENT,
	/* Something authentic came in on children of a peer, and then nothing for DP_CEASED_MS.
	 * Whoever only receives has no other sign.  It may be the end of the traffic: then it comes
	 * again after pauses that double, until traffic has lasted for longer than one of them. */
	DP_REPORT_CEASED,
	DP_REPORT_UNREACHABLE, /* ICMP, which nothing vouches for, says that nobody is there;
				* rate-limited by the data plane */
	/* Packets above DP_PMTU_BASE are sent to where nobody has found out in the last
	 * DP_PMTU_EXPIRY_S that such a size gets through; or the network said something smaller; or
	 * it seems that they do not get through any more.  At most once per remote address and
	 * DP_PROBE_INTERVAL; answered by DP_PATH_MTU, or not at all. */
	DP_REPORT_PROBE,
	/* A packet of one peer left for another (DP_CAP_FLOW_PAIRS), on a child that says `flows`;
	 * the source belongs to whoever a packet to there would go to.  At most once in
	 * DP_FLOW_INTERVAL for a pair of addresses, and rate-limited. */
	DP_REPORT_FLOW,
	DP_REPORT_CARRIES, /* the first authentic packet on a child that `proves`; once */
	/* A packet was refused for the peer relays it.  At most once in DP_FLOW_INTERVAL for a pair
	 * of addresses, and rate-limited. */
	DP_REPORT_NOT_DIRECT,
};

struct dp_report {
	enum dp_report_kind kind;
	union {
		struct {
			uint64_t op;
			enum status status;
			struct dp_counters counters; /* QUERY */
		} done;
		struct {
			dp_peer_id peer;
			struct ip src, dst;
			uint8_t proto;
			uint16_t sport, dport;
		} acquire;
		struct {
			dp_child_id id;
			bool hard;
		} expire;
		struct {
			uint32_t spi;
			struct endpoint local, remote;
		} unknown_spi;
		struct {
			dp_child_id id;
			struct endpoint local, remote;
		} new_address;
		struct {
			struct endpoint remote;
			uint16_t mtu; /* outer IP packet size */
			bool ours; /* our own stack says so, and is right */
		} pmtu;
		struct {
			dp_child_id id; /* of the peer */
		} silent; /* and CEASED */
		struct {
			struct endpoint remote;
		} unreachable;
		struct {
			dp_child_id id; /* one of those that send there */
			uint16_t most; /* no larger outer packet is ever made */
			uint16_t now; /* nor one larger than this at present */
			bool stalled; /* TCP sends the same large segment again and again */
		} probe;
		struct {
			dp_peer_id from, to;
			struct ip src, dst;
		} flow;
		struct {
			dp_child_id id;
		} carries;
		struct {
			dp_peer_id peer; /* who relays */
			bool in; /* it came from there */
			struct ip src, dst;
		} not_direct;
	} u;
};

struct dp;

struct dp_ops {
	const char *name; /* "user", "xfrm", "fake" */
	unsigned caps;
	/* Never blocks. A status other than ST_OK means the operation was not even queued, and no
	 * DONE follows (the host reports it as done with that status). */
	enum status (*submit)(struct dp *dp, const struct dp_op *op);
	/* Next report, false when there is none now. */
	bool (*report)(struct dp *dp, struct dp_report *ret_report);
	/* A descriptor that becomes readable when report() has something; -1: poll after submit. */
	int (*fd)(struct dp *dp);
	/* Names and values of this data plane's counters ("esp.rx.replay"); returns false after the
	 * last index. */
	bool (*counter)(struct dp *dp, size_t index, const char **ret_name, uint64_t *ret_value);
	/* Counters of a child, for status; false when it is unknown. May be asked at any time. */
	bool (*child_counters)(struct dp *dp, dp_child_id id, struct dp_counters *ret);
	void (*free)(struct dp *dp);
};

/* Every implementation's object begins with this. */
struct dp {
	const struct dp_ops *ops;
};
