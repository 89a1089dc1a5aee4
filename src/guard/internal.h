/*
 * internal.h - inside guard: the two locks.
 */
#pragma once

#include "guard/guard.h"
#include "plat/netlink.h"
#include "plat/nft.h"

/* Room for one more of `size` bytes behind the `n` at `v`; the same pointer or a new one, NULL when
 * out of memory, and `v` is as it was. */
void *guard_more(void *v, size_t n, size_t size, size_t *room);

/* ---- routing.c --------------------------------------------------------------------------- */

struct routing_want {
	const struct guard_plan *plan;
	const struct guard_shape *shape;
	int ifindex; /* 0: no device */
	const struct ip *src; /* plan->domain.n of them, or NULL */
	const struct ip *own;
	size_t n_own;
};

/* Adds what is missing, then removes what is too much; what was done is counted in `*changes`. */
MUST enum status routing_apply(struct plat_nl *nl, const struct routing_want *want,
			       struct text *why, unsigned *changes);
/* Everything with our protocol number in our table, all rules of ours. */
MUST enum status routing_remove(struct plat_nl *nl, struct text *why);
/* Whether some device's routes are in our table: its owner lives then. */
MUST enum status routing_busy(struct plat_nl *nl, struct text *why, bool *ret_busy);

/* ---- filter.c ---------------------------------------------------------------------------- */

#define FILTER_TABLE "warren"

struct filter;

MUST enum status filter_new(int ns, struct text *why, struct filter **ret_filter);
void filter_free(struct filter *f);

/* Replaces the table in one transaction, counters excepted. */
MUST enum status filter_apply(struct filter *f, const struct guard_plan *plan,
			      const struct guard_shape *shape, struct text *why);
MUST enum status filter_remove(struct filter *f, struct text *why);
MUST enum status filter_counters(struct filter *f, uint64_t ret[static GUARD_COUNTERS],
				 struct text *why);
int filter_fd(const struct filter *f);
/* Somebody else has changed the table. */
bool filter_touched(struct filter *f);
