/*
 * dp_fake.h - a data plane in memory, for tests.
 *
 * It does what dp.h says, with real ESP (esp.h) and without threads, sockets or clock, so that a
 * test can carry packets between two of them and so prove that both ends hold the same keys,
 * selectors and addresses.  Beyond that it is an instrument: it records every operation, makes
 * the n-th one fail, reports whatever the test wants, and holds reports back.
 *
 *	dp_fake_out(a, inner)  ->  dp_fake_next_out(a, &packet)
 *	dp_fake_in(b, packet)  ->  dp_fake_next_in(b, &packet)
 *
 * Time: DP_ACQUIRE_INTERVAL, DP_PROBE_INTERVAL and the pause between UNKNOWN_SPI reports pass when
 * the test says so (dp_fake_interval). Silence is looked for when the test asks (dp_fake_look), by
 * the clock that it sets (dp_fake_time).
 */
#pragma once

#include "dp/dp.h"

enum {
	DP_FAKE_PACKET_MAX = 65535,
	DP_FAKE_MTU = 1500, /* of its device's way out, for PROBE reports */
};

/* An operation as it arrived; keys and selectors are not kept (`child.ts_*` are empty). */
struct dp_fake_op {
	struct dp_op op;
	enum status answer; /* what its DONE says, or what submit() returned */
	bool refused; /* not even queued */
};

struct dp_fake_packet {
	struct endpoint local; /* empty for inner packets */
	struct endpoint remote;
	dp_child_id child; /* that sent or accepted it */
	size_t n;
	uint8_t data[DP_FAKE_PACKET_MAX];
};

MUST enum status dp_fake_new(const struct alloc *mem, struct dp **ret_dp);

/* ---- operations and reports ---- */

size_t dp_fake_ops(const struct dp *dp);
/* The i-th operation since creation, from 0; valid until the next one is submitted. */
const struct dp_fake_op *dp_fake_op(const struct dp *dp, size_t i);
/* How many operations of this kind there were. */
size_t dp_fake_ops_of(const struct dp *dp, enum dp_op_kind kind);
size_t dp_fake_children(const struct dp *dp);
/* For runs so long that keeping all operations costs too much: those so far are forgotten. */
void dp_fake_forget(struct dp *dp);
/* What DP_PATH_MTU said last of that address; 0: nothing. */
uint16_t dp_fake_path_mtu(const struct dp *dp, const struct ip *remote);

/* The n-th operation from now (1: the next) has no effect and is answered DONE with `st`, or is
 * refused by submit() with `st`. */
void dp_fake_fail(struct dp *dp, unsigned nth, enum status st);
void dp_fake_refuse(struct dp *dp, unsigned nth, enum status st);

/* While held, report() has nothing; what accumulated comes in order after release. */
void dp_fake_hold(struct dp *dp, bool hold);
MUST enum status dp_fake_report(struct dp *dp, const struct dp_report *r);

/* Lets the interval between ACQUIRE, PROBE and UNKNOWN_SPI reports pass. */
void dp_fake_interval(struct dp *dp);

/* The time is that, from now on. */
void dp_fake_time(struct dp *dp, mono_t now);
/* Reports SILENT and CEASED about whoever has been silent for long enough by now. */
void dp_fake_look(struct dp *dp);
/* When it would report the first, should nothing be heard; MONO_NEVER: nobody owes an answer. */
mono_t dp_fake_deadline(const struct dp *dp);

/* ---- packets ---- */

/* A packet from the protected side. What it leads to is asked by next_out(), report(), counters. */
void dp_fake_out(struct dp *dp, struct bytes inner);
/* Next ESP packet that goes to the network, false when there is none. */
bool dp_fake_next_out(struct dp *dp, struct dp_fake_packet *ret);

/* An ESP packet from the network (without UDP header), from `remote` to `local`. */
enum esp_fault dp_fake_in(struct dp *dp, const struct endpoint *local,
			  const struct endpoint *remote, struct bytes packet);
/* Next inner packet that was accepted. */
bool dp_fake_next_in(struct dp *dp, struct dp_fake_packet *ret);

/* All of it: `inner` into `from`, what comes out into `to`; true when exactly `inner` came out
 * there.  Addresses are swapped between the two, as without NAT. */
bool dp_fake_carry(struct dp *from, struct dp *to, struct bytes inner);
