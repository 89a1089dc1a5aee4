/*
 * choices.h - depth-first search over all runs of a test, without keeping any state.
 *
 *	struct choices c = { 0 };
 *
 *	do {
 *		...one run, in which choose(&c, n) decides each time between n ways to go on...
 *	} while (next_run(&c));
 *
 * A run is a list of choices; like an odometer, the next list is the last one that still has an
 * alternative, advanced.  Behind CHOICES_MAX choices the first way is taken.
 *
 * With `walk`, which then is the seed, each run is a random walk instead, for what has too many.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CHOICES_MAX = 64 };

struct choices {
	unsigned at;
	unsigned pick[CHOICES_MAX];
	unsigned of[CHOICES_MAX];
	unsigned n; /* fixed ones */
	uint64_t walk;
};

/* Marsaglia's xorshift64. */
static inline uint64_t walk_on(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

static inline unsigned choose(struct choices *c, unsigned of)
{
	unsigned i = c->at++;

	if (c->walk) {
		c->walk = walk_on(c->walk);
		return (unsigned)(c->walk >> 33) % of;
	}
	if (i >= CHOICES_MAX || of < 2)
		return 0;
	if (i >= c->n) {
		c->pick[i] = 0;
		c->of[i] = of;
		c->n = i + 1;
	}
	return c->pick[i];
}

static inline bool next_run(struct choices *c)
{
	while (c->n > 0) {
		if (++c->pick[c->n - 1] < c->of[c->n - 1])
			break;
		c->n--;
	}
	c->at = 0;
	return c->n > 0;
}
