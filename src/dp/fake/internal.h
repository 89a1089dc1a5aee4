/*
 * internal.h - objects of the fake: dp_fake.c has operations and reports, packets.c what happens to
 * packets, silence.c what happens to none.
 */
#pragma once

#include "base/list.h"
#include "dp/common.h"
#include "dp/fake/dp_fake.h"

/* The prefixes that selectors lead to. */
struct fake_ways {
	size_t n;
	struct prefix v[];
};

/* Who has children; see silence.c. */
struct fake_peer {
	struct list node;
	struct map_node by_id;
	dp_peer_id id;
	unsigned refs; /* children */
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
};

struct fake_child {
	struct list node;
	struct map_node by_id, by_spi;
	struct fake_peer *peer;
	struct dp_child c; /* keys and selectors wiped */
	uint64_t sends_since; /* order in which children began to send; 0 does not */
	bool quiet; /* never again */
	struct esp_out *out;
	struct esp_in *in;
	struct esp_ts *ts;
	struct fake_ways *ways;
	struct dp_counters counters;
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
	size_t n;
	uint8_t data[];
};

struct fake_trap {
	struct list node;
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

struct script {
	unsigned left; /* 0: none */
	enum status st;
};

struct fake {
	struct dp dp;
	const struct alloc *mem;
	mono_t now;
	struct list peers;
	struct map peer_by_id, child_by_id, child_by_spi;
	struct list children;
	struct list traps;
	struct list paths;
	struct list reports;
	struct list to_network;
	struct list to_host;
	struct dp_fake_op *ops;
	size_t n_ops;
	size_t cap_ops;
	uint64_t sends; /* last number given to sends_since */
	struct script fail;
	struct script refuse;
	bool hold;
	bool unknown_reported;
	bool probe_reported;
	uint64_t counter[COUNTERS];
};

static inline struct fake *fake_of(const struct dp *dp)
{
	return CONTAINER_OF((struct dp *)(uintptr_t)dp, struct fake, dp);
}

/* packets.c */
MUST enum status fake_ways_new(const struct alloc *mem, const struct wire_ts_list *remote,
			       struct fake_ways **ret_ways);
/* With a copy of `data`; NULL and counted without memory. */
struct item *fake_item_new(struct fake *f, struct bytes data);
struct item *fake_pop(struct list *l);
void fake_empty(struct fake *f, struct list *l);
bool fake_push_report(struct fake *f, const struct dp_report *r);
/* Sends what waited for a child of this peer. */
void fake_send_held(struct fake *f, struct fake_child *c);

/* silence.c */
struct fake_peer *fake_peer_ref(struct fake *f, dp_peer_id id); /* NULL: no memory */
void fake_peer_unref(struct fake *f, struct fake_peer *p); /* takes NULL */
void fake_peer_sent(struct fake *f, const struct fake_child *c);
void fake_peer_heard(struct fake *f, const struct fake_child *c);

/* dp_fake.c */
struct fake_child *fake_child_by_spi(const struct fake *f, uint32_t spi);
struct fake_trap *fake_trap_by_peer(const struct fake *f, dp_peer_id peer);
/* NULL: DP_PATH_MTU was never about that address. */
struct fake_path *fake_path_to(const struct fake *f, const struct ip *remote);
