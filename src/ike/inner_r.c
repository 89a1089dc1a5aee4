/*
 * inner_r.c - inner addresses, given out (RFC 7296 sections 2.19 and 3.15).
 */
#include "ike/internal.h"

void ike_stored(struct ike *ike, struct now now, uint64_t id, enum status st)
{
	(void)now;
	(void)id;
	(void)st;
	count(ike, C_UNKNOWN_RESULT);
}

enum status ike_lease_load(struct ike *ike, const struct ike_lease *l)
{
	(void)ike;
	(void)l;
	return ST_INVAL;
}

void ike_each_lease(const struct ike *ike, uint64_t after, ike_lease_fn *fn, void *ctx)
{
	(void)ike;
	(void)after;
	(void)fn;
	(void)ctx;
}
