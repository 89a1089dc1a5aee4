/*
 * lookup.h - names of peers to addresses, each with the source address the host would use to it.
 *
 * At most LOOKUPS_AT_ONCE at a time; the others wait for their turn.
 */
#pragma once

#include <uv.h>

#include "daemon/underlay.h"
#include "ike/ike.h"
#include "plat/netlink.h"

enum { LOOKUPS_AT_ONCE = 8 };

struct lookups;

/* n == 0: `why` says what stood in the way. */
typedef void lookup_fn(void *ctx, uint64_t id, const char *name, const struct ike_address *addrs,
		       size_t n, const char *why);

MUST enum status lookups_new(uv_loop_t *loop, struct plat_nl *nl, const struct underlay *u,
			     lookup_fn *fn, void *ctx, struct lookups **ret_lookups);
/* No answer comes any more. */
void lookups_free(struct lookups *l);

/* Answered exactly once: an address at once, before this returns; a name later, in the order asked
 * as far as the resolver allows. */
void lookups_start(struct lookups *l, uint64_t id, const char *name);

/* The address that we would send from to that one: what the kernel would take, if a socket of ours
 * can, else one that a socket is bound to.  False: there is none; `why` says what is in the way. */
bool lookup_source(struct plat_nl *nl, const struct underlay *u, const struct ip *to,
		   struct text *why, struct ip *ret);
