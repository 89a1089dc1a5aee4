/*
 * internal.h - objects of the fake: dp_fake.c has operations and reports, packets.c what happens to
 * packets, routes.c who sends them, flows.c who talks to whom, silence.c what happens to none.
 */
#pragma once

#include "base/list.h"
#include "dp/common.h"
#include "dp/fake/dp_fake.h"
#include "policy/policy.h"

/* All children and traps that lead to one prefix: value of the prefix table. */
struct fake_route {
	struct prefix prefix;
	unsigned refs; /* ways */
	struct list senders; /* what began to send last first */
	struct list traps;
	struct list first, last; /* struct fake_given */
};

/* The prefixes that selectors lead to, each with a place in the list of its route. */
struct fake_ways {
	size_t n;
	struct fake_way {
		struct list node;
		void *owner; /* struct fake_child or fake_trap, as the list says */
		struct fake_route *route;
	} v[];
};

/* A prefix that a peer was given. */
struct fake_given {
	struct list node; /* of the route */
	struct list of_peer;
	struct fake_peer *peer;
	struct fake_route *route;
};

/* Who has children, or was given something; see silence.c. */
struct fake_peer {
	struct list node;
	struct map_node by_id;
	dp_peer_id id;
	unsigned refs; /* children; one while there is `kept` */
	struct list senders; /* children that send, the newest first */
	struct list given;
	bool given_only;
	bool kept;
	mono_t sent, heard;
	dp_child_id child; /* that sent */
	bool asked; /* nothing was heard since `since`, when something was sent */
	mono_t since;
	mono_t not_before; /* is it asked again */
	mono_t answers_until; /* what is sent may be an answer */
	unsigned reports; /* SILENT, since it was last heard */
	bool ceases; /* CEASED is reported */
	bool flows; /* ... when it is not heard any more */
	dp_child_id heard_on;
	mono_t flows_since;
	mono_t flows_not_before;
	unsigned ends; /* CEASED, since its traffic lasted */
	struct list refused; /* of item: what its children must not relay, and nobody takes */
	size_t n_refused;
};

struct fake_child {
	struct list node;
	struct map_node by_id, by_spi;
	struct fake_peer *peer;
	struct dp_child c; /* keys and selectors wiped */
	bool sends;
	struct list at_peer; /* then */
	bool quiet; /* never again */
	struct esp_out *out;
	struct esp_in *in;
	struct esp_ts *ts;
	struct esp_ts *relayed; /* refuses all but that; NULL: nothing */
	struct fake_ways *ways;
	struct dp_counters counters;
	mono_t used; /* when it carried what counts, or was made */
	struct endpoint reported; /* last NEW_ADDRESS */
	bool soft_reported;
	bool hard_reported;
};

/* A packet, or a report, in a queue. */
struct item {
	struct list node;
	struct dp_report report;
	struct endpoint local;
	struct endpoint remote;
	dp_child_id child;
	mono_t since; /* it is held */
	size_t n;
	uint8_t data[];
};

struct fake_trap {
	struct list node;
	struct map_node by_peer;
	dp_peer_id peer;
	struct esp_ts *ts;
	struct fake_ways *ways;
	struct list held; /* of item */
	size_t n_held;
	bool acquired; /* reported in this interval */
};

struct fake_path {
	struct list node;
	struct ip remote;
	uint16_t mtu; /* 0: nothing is known */
};

enum {
	C_TX_TOO_BIG = DP_COUNTERS,
	C_NO_MEMORY,
	COUNTERS,
};

/* Pairs of addresses, and of what came in the peer that it came from, for as long as each holds. */
struct fake_pairs {
	struct map map;
	struct list old_first;
	dur_t holds;
};

struct script {
	unsigned left; /* 0: none */
	enum status st;
};

struct fake {
	struct dp dp;
	const struct alloc *mem;
	mono_t now;
	struct list peers;
	struct map peer_by_id, child_by_id, child_by_spi, trap_by_peer;
	struct policy_table *routes;
	struct list children;
	struct list traps;
	struct list paths;
	struct list reports;
	struct list to_network;
	struct list to_host;
	struct dp_fake_op *ops;
	size_t n_ops;
	size_t cap_ops;
	struct script fail;
	struct script refuse;
	bool hold;
	bool unknown_reported;
	bool probe_reported;
	struct fake_pairs told; /* of FLOW */
	struct fake_pairs came;
	struct dp_bucket flows;
	uint64_t counter[COUNTERS];
};

static inline struct fake *fake_of(const struct dp *dp)
{
	return CONTAINER_OF((struct dp *)(uintptr_t)dp, struct fake, dp);
}

/* packets.c */
/* With a copy of `data`; NULL and counted without memory. */
struct item *fake_item_new(struct fake *f, struct bytes data);
struct item *fake_pop(struct list *l);
void fake_empty(struct fake *f, struct list *l);
bool fake_push_report(struct fake *f, const struct dp_report *r);
/* Sends what waited for a child of this peer. */
void fake_send_held(struct fake *f, struct fake_child *c);
void fake_send_dummy(struct fake *f, struct fake_child *c);

/* routes.c */
MUST enum status fake_ways_new(struct fake *f, const struct wire_ts_list *remote, void *owner,
			       struct fake_ways **ret_ways);
void fake_ways_free(struct fake *f, struct fake_ways *w); /* takes NULL; off their lists */
void fake_list_senders(struct fake_child *c);
void fake_unlist_senders(struct fake_child *c);
void fake_list_traps(struct fake_ways *w);
MUST enum status fake_give(struct fake *f, const struct dp_op *op);
MUST enum status fake_given_only(struct fake *f, dp_peer_id peer, bool on);
/* All that peers were given. */
void fake_take_all(struct fake *f);
/* Child that sends this packet, else the trap that covers it, else neither (dp.h). */
struct fake_child *fake_sender(const struct fake *f, const struct wire_ip *ip,
			       struct fake_trap **ret_trap);

/* flows.c */
void fake_flows_init(struct fake *f);
void fake_flows_done(struct fake *f);
void fake_came_in(struct fake *f, const struct fake_child *c, const struct wire_ip *ip);
/* Whether it came from the peer that it would go to. */
bool fake_is_reflected(const struct fake *f, const struct fake_child *c, const struct wire_ip *ip);
void fake_flow(struct fake *f, const struct fake_child *c, const struct wire_ip *ip);
/* It was refused: that child must not relay it. */
void fake_refused(struct fake *f, const struct fake_child *c, const struct wire_ip *ip, bool in);

/* silence.c */
struct fake_peer *fake_peer_find(const struct fake *f, dp_peer_id id); /* NULL: none */
struct fake_peer *fake_peer_ref(struct fake *f, dp_peer_id id); /* NULL: no memory */
void fake_peer_unref(struct fake *f, struct fake_peer *p); /* takes NULL */
void fake_peer_sent(struct fake *f, const struct fake_child *c);
/* `traffic`: such as may cease. */
void fake_peer_heard(struct fake *f, const struct fake_child *c, bool traffic);

/* dp_fake.c */
struct fake_child *fake_child_by_spi(const struct fake *f, uint32_t spi);
struct fake_trap *fake_trap_by_peer(const struct fake *f, dp_peer_id peer);
/* NULL: DP_PATH_MTU was never about that address. */
struct fake_path *fake_path_to(const struct fake *f, const struct ip *remote);
