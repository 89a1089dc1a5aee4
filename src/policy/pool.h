/*
 * pool.h - addresses to give out: which are free, and the next one, at the same cost however many
 * there are.
 *
 * A pool is a few ranges.  Each has a bit for every address, a bit for every 64 of these that says
 * whether all are taken, and so on up to one word: a free one is found in as many steps as there
 * are levels.  A million addresses take 130 KiB.  Of a range only the first POLICY_POOL_RANGE_MAX
 * addresses are used, which matters for IPv6.
 *
 * Never given out: network and broadcast address of a range that is an IPv4 prefix (but of /31 and
 * /32, RFC 3021), the subnet-router anycast address of one that is an IPv6 prefix (RFC 4291 section
 * 2.6.1; but of /127 and /128, RFC 6164), and the addresses that the owner names.
 *
 * Nothing here knows who has an address.
 */
#pragma once

#include "base/base.h"

enum {
	POLICY_POOL_RANGE_MAX = 1 << 20,
};

struct policy_pool;

/* `but`: addresses that somebody has already.  ST_INVAL: two ranges have an address in common. */
MUST enum status policy_pool_new(const struct alloc *mem, const struct ip_range *ranges, size_t n,
				 const struct ip *but, size_t n_but, struct policy_pool **ret_pool);
void policy_pool_free(struct policy_pool *p); /* takes NULL */

/* Whether it may be given out at all, taken or not. */
bool policy_pool_has(const struct policy_pool *p, const struct ip *ip);
/* False: it may not, or is taken. */
bool policy_pool_take(struct policy_pool *p, const struct ip *ip);
/* A place in it; all zero: the beginning. */
struct policy_pool_at {
	uint32_t range, i;
};

/* The lowest that is free from there on, of the first range that has one, which is where `at` is
 * then; it is not taken by that.  False: there is none. */
bool policy_pool_next(const struct policy_pool *p, uint8_t family, struct policy_pool_at *at,
		      struct ip *ret_ip);
/* To behind `last`, which is no lower than what policy_pool_next() found there. */
void policy_pool_skip(const struct policy_pool *p, struct policy_pool_at *at,
		      const struct ip *last);
/* Nothing happens when it was not taken. */
void policy_pool_give_back(struct policy_pool *p, const struct ip *ip);

/* How many may be given out, and how many of them are free. */
size_t policy_pool_size(const struct policy_pool *p, uint8_t family);
size_t policy_pool_left(const struct policy_pool *p, uint8_t family);
