/*
 * mem.h - an allocator for tests that counts what is alive and refuses on demand.
 *
 * Allocations are numbered from 0 in the order asked for.  `fail_at` names the one that is refused;
 * with `fail_on` every later one is refused too, as on a machine that stays out of memory.
 * What is alive at the end is a leak: every block is on a list with its number, so that a failing
 * test can name it and a second run can break there.
 */
#pragma once

#include "base/base.h"

struct test_mem {
	struct alloc alloc; /* hand this out; it points back here */
	long calls;
	long fail_at; /* -1: none */
	bool fail_on;
	long refused;
	size_t live;
	size_t live_bytes;
	struct list blocks;
};

void test_mem_init(struct test_mem *m);

/* The number of the oldest block still alive, -1 when there is none. */
long test_mem_oldest(const struct test_mem *m);
/* Whether some block that is alive has these bytes. */
bool test_mem_has(const struct test_mem *m, const void *what, size_t n);
