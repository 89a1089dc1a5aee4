/*
 * resolve.h - host names to addresses, without holding up the loop.
 *
 * An address text is itself, and answered from a later turn of the loop all the same, so that
 * callers have one path.  A name is looked up by c-ares: /etc/hosts and name servers, in the order
 * that nsswitch.conf gives, all A and AAAA records, sorted as RFC 6724 says.  The files are read
 * anew for each name, as they change with the network.
 *
 * What goes to the name servers carries PLAT_MARK, as do the encrypted packets: the name of a hub
 * has to be found before there is a tunnel, also where the domain has the name server.  (That is
 * why it is not getaddrinfo(3), whose sockets are its own.)  A name server on this host asks others
 * by sockets of its own.  systemd-resolved writes down whom it asks: then they are asked directly.
 *
 * Known gaps: other sources of nsswitch.conf than files and dns are left out (mDNS, NIS); with a
 * name server of another kind on this host, names do not resolve while the domain is everything and
 * no tunnel is up: give hubs by address then, or let that name server mark its packets.
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

/* `fn` is called exactly once in the loop's thread, never before this returns, unless cancelled.
 * The object is gone afterwards. */
MUST enum status plat_resolve_start(uv_loop_t *loop, int ns, const char *name, plat_resolve_fn *fn,
				    void *ctx, struct plat_resolve **ret_resolve);
/* `fn` is not called any more.  Takes NULL. */
void plat_resolve_cancel(struct plat_resolve *r);
