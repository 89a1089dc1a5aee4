/*
 * test_util.h - what more than one unit test needs: an allocator that counts and refuses, and a
 * generator of repeatable variety.  Include it first: it brings cmocka.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/* An allocator that counts, and refuses once `left` reaches zero (negative: never). */
struct counting {
	long left;
	long live;
	long calls;
};

static inline void *counting_alloc(void *ctx, size_t n)
{
	struct counting *c = ctx;

	c->calls++;
	if (c->left == 0)
		return NULL;
	if (c->left > 0)
		c->left--;
	c->live++;
	return mem_libc.alloc(NULL, n);
}

static inline void counting_free(void *ctx, void *p)
{
	struct counting *c = ctx;

	if (p)
		c->live--;
	mem_libc.free(NULL, p);
}

static inline struct alloc counting_mem(struct counting *c, long left)
{
	*c = (struct counting){ .left = left };
	return (struct alloc){ counting_alloc, counting_free, c };
}

/* xorshift64*: the tests' only source of variety, so that a failure repeats. Never 0. */
static uint64_t rnd_state = 1;

static inline uint64_t rnd(uint64_t below)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return (rnd_state * 0x2545f4914f6cdd1d >> 11) % below;
}

/* Ends a test that cannot be done here, and says why. */
static inline void skip_unless(bool possible, const char *what)
{
	if (possible)
		return;
	print_message("# skipped: %s needs root\n", what);
	skip();
}
