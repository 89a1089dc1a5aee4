/*
 * policy_util.h - what the tests of policies share: an arena for all that a group of tests makes.
 */
#pragma once

#include "unit/test_util.h"

#include "policy/policy.h"

static struct arena arena;

static inline int arena_up(void **state)
{
	(void)state;
	arena_init(&arena, &mem_libc, 64 << 20);
	return 0;
}

static inline int arena_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}
