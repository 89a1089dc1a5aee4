/*
 * resolve.h - host names to addresses, without holding up the loop.
 *
 * An address text is itself, and answered at once from the next turn of the loop all the same, so
 * that callers have one path.  A name is looked up by getaddrinfo(3) in a thread of the pool, in
 * the network namespace given: all A and AAAA records, in the order RFC 6724 gives them.
 */
#pragma once

#include <uv.h>

#include "base/base.h"

enum { PLAT_RESOLVE_MAX = 16 };

struct plat_resolved {
	enum status status; /* ST_OK; ST_IO: `error` says why there is nothing */
	size_t n;
	struct ip ip[PLAT_RESOLVE_MAX];
	char error[128];
};

struct plat_resolve;
typedef void plat_resolve_fn(void *ctx, const struct plat_resolved *r);

/* `fn` is called exactly once in the loop's thread, never before this returns, unless cancelled. */
MUST enum status plat_resolve_start(uv_loop_t *loop, int ns, const char *name, plat_resolve_fn *fn,
				    void *ctx, struct plat_resolve **ret_resolve);
/* `fn` is not called any more. */
void plat_resolve_cancel(struct plat_resolve *r);
