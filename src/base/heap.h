/*
 * heap.h - timers: an intrusive pairing heap ordered by due time.
 *
 * Needs no memory of its own, so arming a timer never fails.  Equal times come out in the order
 * they were armed: the engine's output must not depend on pointer values.
 */
#pragma once

#include "base/units.h"

struct timer {
	struct timer *child;
	struct timer *next; /* sibling */
	struct timer *prev; /* sibling before, or parent of a first child */
	mono_t due;
	uint64_t seq : 48; /* a million a second for eight years */
	bool armed;
	uint8_t kind; /* the owner's, to tell its timers apart; untouched here */
};

struct heap {
	struct timer *root;
	uint64_t seq : 48;
};

/* Arms `t`, or moves it when it is armed already. */
void heap_arm(struct heap *h, struct timer *t, mono_t due);

/* Takes `t` out; nothing happens when it is not armed. */
void heap_disarm(struct heap *h, struct timer *t);

/* MONO_NEVER when empty. */
mono_t heap_next_due(const struct heap *h);

/* Removes and returns the earliest timer that is due at `now`, or NULL. */
struct timer *heap_pop_due(struct heap *h, mono_t now);
