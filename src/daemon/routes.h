/*
 * routes.h - what leads packets into the tunnel, and what keeps them from leaving in clear.
 *
 * Everything stands in a table of our own (ROUTES_TABLE), which one rule per address family
 * (ROUTES_RULE, before `main`) sends every packet to that does not carry PLAT_MARK:
 *
 *	every prefix of a peer's remote_ts	dev warren0, metric 1
 *	the same				unreachable, metric 2
 *	local_ts, link-local, multicast		throw (go on with `main`), metric 3
 *
 * Longest prefix wins, so a local prefix inside a remote one stays local, and a remote one inside
 * a local one goes into the tunnel.  A route of `main`, however specific, never competes.  When
 * the device goes its routes go with it, and what is left says unreachable: also after kill -9.
 * The encrypted packets themselves carry the mark and see only `main`: a remote_ts that covers the
 * peer's own address is no loop.
 *
 * routes_plan() is pure and says what has to be there; routes_apply() makes it so.  Leftovers of a
 * daemon that was killed (same table, our protocol number) are taken over without a gap; what is no
 * longer wanted is removed.  Anything of anybody else's in the table is an error.
 */
#pragma once

#include "conf/conf.h"
#include "plat/netlink.h"

enum {
	ROUTES_TABLE = 21051,
	ROUTES_RULE = 21051, /* priority: main has 32766 */
	ROUTES_PROTOCOL = 211, /* rtm_protocol, see /etc/iproute2/rt_protos */
};

struct route_list {
	struct plat_route *v;
	size_t n;
};

void route_list_done(struct route_list *l);

/* `own` are the host's addresses: the first inside a peer's local_ts becomes the preferred source
 * of the routes to it. */
MUST enum status routes_plan(const struct conf *conf, int ifindex, const struct ip *own,
			     size_t n_own, struct route_list *ret_routes);

struct routes;

/* On failure nothing of ours is left that was not there before. */
MUST enum status routes_apply(struct plat_nl *nl, const struct route_list *want, struct text *why,
			      struct routes **ret_routes);
/* Removes exactly what is ours; goes on after a failure, the last one is told. Takes NULL. */
MUST enum status routes_remove(struct routes *r, struct text *why);
