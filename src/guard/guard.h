/*
 * guard.h - what keeps the packets of a network from leaving, or entering, in clear (S3).
 *
 * Two locks, each enough by itself against what it is for:
 *
 * Routing.  Rules before `main` (GUARD_RULE) send every packet that does not carry PLAT_MARK to a
 * table of our own (GUARD_TABLE):
 *
 *	domain        dev warren0, metric 1          while the daemon runs
 *	              unreachable, metric 2          always: a host behind us learns it at once
 *	local         throw (go on with `main`)      our own sites, link-local, multicast, broadcast
 *
 * Longest prefix wins, so what is ours inside the domain stays ours; a route of `main`, however
 * specific, never competes.  Encrypted packets carry the mark and see only `main`.  Where the
 * domain has an address of the host itself (a domain of 0.0.0.0/0 has them all), packets that the
 * host sends *from* that address go by `main` (rules GUARD_RULE_OWN): the host's uplink and the
 * sessions to it are no business of the network.
 *
 * Filter.  A table `inet warren` of nftables drops, and counts, what routing cannot stop: clear
 * packets *from* the domain that arrive elsewhere than through the tunnel, and packets of our sites
 * to the domain that somebody's rules lead out in clear after all.  IKE and ESP to the host itself
 * pass.
 *
 * Both stay when the daemon ends, however it ends; guard_open() takes them away.  They are put up
 * before any socket opens, at boot by `warrend --block`.  The plan that was last put up is kept in
 * the state directory, for a boot at which the configuration cannot be read.
 *
 * Anything of somebody else's in our table is an error, never touched.
 */
#pragma once

#include "base/base.h"
#include "plat/netlink.h"

enum {
	GUARD_TABLE = 21051,
	GUARD_RULE = 21051, /* priority: main has 32766 */
	GUARD_RULE_OWN = 21050,
	GUARD_PROTOCOL = 211, /* rtm_protocol, see /etc/iproute2/rt_protos */
};

/* What has to be guarded: values, nothing of any configuration. */
struct guard_plan {
	struct prefix *domain; /* sorted, without duplicates */
	size_t n_domain;
	struct prefix *local; /* our own sites; may lie inside the domain */
	size_t n_local;
	char device[16]; /* name of the tunnel */
	uint16_t ports[2]; /* UDP ports of IKE, ours */
};

void guard_plan_done(struct guard_plan *p);
/* Sorts, removes duplicates. */
void guard_plan_normalise(struct guard_plan *p);
