/*
 * guard.h - what keeps the packets of a network from leaving, or entering, in clear (S3).
 *
 * Two locks, each enough by itself against what it is for:
 *
 * Routing.  A rule before `main` (GUARD_RULE) sends every packet that does not carry PLAT_MARK to
 * a table of our own (GUARD_TABLE):
 *
 *	domain        dev warren0, metric 1          while the daemon runs
 *	              unreachable, metric 2          always: a host behind us learns it at once
 *	local         throw (go on with the next     our own sites, and what never leaves a link:
 *	              rule), metric 3                multicast, link-local, limited broadcast
 *
 * An address that a gateway gave this very host, which is in the device, is like a site to the
 *rules and the filter, but has no `throw`: once the device is gone it is anybody's in the domain.
 *
 * Longest prefix wins, so what is ours inside the domain stays ours; of one prefix in both it is
 * the domain's.  A route of `main`, however specific, never competes.  Encrypted packets carry the
 * mark and are looked up as if we were not there.
 *
 * The host's own uplink and the sessions to it are no business of the network, also where the
 * domain has the addresses of the uplink (a domain of 0.0.0.0/0 has them all).  So what the host
 * itself sends *from* an address inside the domain that is not of our sites skips our table:
 *
 *	GUARD_RULE - 3   own, DHCP                                                goto GUARD_RULE +
 *1 GUARD_RULE - 2   own, from 0.0.0.0 (none yet), from each local prefix     goto GUARD_RULE
 *	GUARD_RULE - 1   own, from each prefix of the domain                      goto GUARD_RULE +
 *1 GUARD_RULE       not marked                                            lookup GUARD_TABLE
 *	GUARD_RULE + 1                                                                        nop
 *
 * These rules name no address of the host, so they hold at boot, before it has one, and when it
 * gets another: nobody is locked out of a gateway because its daemon does not start.  Rules are
 * tried one by one, so where the domain or the sites have more than GUARD_RULES_MAX prefixes the
 * host's addresses are named after all, and follow them (guard_host()).
 *
 * Filter.  A table `inet warren` of nftables drops, and counts, what routing cannot stop: packets
 * *from* the domain that arrive in clear; packets of our sites to the domain that somebody's rules
 * lead out in clear after all; packets out of the tunnel that claim to come from our own sites; and
 * the ICMP redirects by which a hub would tell its spokes of "shorter" ways.  IKE and ESP to the
 * host itself pass, and so does what is sent to the host's addresses inside the domain (its
 * uplink's), link-local multicast, and neighbour discovery.  It works on disjoint ranges, in which
 * the longest prefix has won already: a packet is looked up once for its source and once for its
 * destination, however many prefixes there are.
 *
 * Lifecycle.  guard_block() puts both up, or changes them to another plan without a gap: what is
 * new stands before what is old goes, and the filter changes in one transaction.  Nothing here
 * takes them down but guard_open(): when the daemon ends, however it ends, its device goes, the
 * device's routes with it, and `unreachable` is what is left.  The next daemon takes over what it
 * finds (our table, our protocol number).  The plan is kept in the state directory, for a boot at
 * which the configuration cannot be read.
 *
 * Others flush rules and rule sets (firewalls on reload, network managers): guard_fds() become
 * readable then, and guard_check() puts back what is missing.
 *
 * Anything of somebody else's in our table is an error, never touched.
 *
 * Known gaps: a socket of the host that sends without having chosen its source (an unconnected UDP
 * server that answers without naming the address it was asked at) is routed like a site's host.
 */
#pragma once

#include "base/base.h"

enum {
	GUARD_TABLE = 21051,
	GUARD_RULE = 21051, /* priority: main has 32766 */
	GUARD_PROTOCOL = 211, /* rtm_protocol, see /etc/iproute2/rt_protos */
	GUARD_RULES_MAX = 16, /* of one kind and family */
	GUARD_PREFIXES_MAX = 1 << 17,
	GUARD_DEVICE_MAX = 16, /* IFNAMSIZ */
	GUARD_FILE_MAX = 8 << 20,
	GUARD_NETWORK_MAX = 64, /* bytes of a network's name */
};

/* ---- the plan ---------------------------------------------------------------------------- */

struct guard_prefixes {
	struct prefix *v;
	size_t n;
	size_t room;
};

/* ST_NOMEM also beyond GUARD_PREFIXES_MAX. */
MUST enum status guard_prefixes_add(struct guard_prefixes *l, const struct prefix *p);
/* Sorts by family, address and length; removes duplicates. */
void guard_prefixes_sort(struct guard_prefixes *l);
void guard_prefixes_done(struct guard_prefixes *l);
bool guard_prefixes_eq(const struct guard_prefixes *a, const struct guard_prefixes *b);

/* What has to be guarded: values, nothing of any configuration. */
struct guard_plan {
	struct guard_prefixes domain;
	struct guard_prefixes local; /* our own sites; may lie inside the domain */
	struct guard_prefixes given; /* the host's own addresses in the device; never kept in files,
				      * since the device goes with the daemon */
	char device[GUARD_DEVICE_MAX]; /* name of the tunnel */
	uint16_t ports[2]; /* UDP ports of IKE, ours */
};

void guard_plan_done(struct guard_plan *p);
/* Sorts, removes duplicates. */
void guard_plan_normalise(struct guard_plan *p);
/* Letters, digits, '.', '_', '-': it goes into rule sets and files. */
bool guard_device_ok(const char *name);

/* What follows from a (normalised) plan.  Ranges are sorted, disjoint, not adjacent. */
struct guard_ranges {
	struct ip_range *v;
	size_t n;
	size_t room;
};

struct guard_shape {
	struct guard_ranges domain; /* addresses for which the longest prefix is the domain's */
	struct guard_ranges local; /* ... is a site's, or ours in the device */
	struct guard_prefixes throws; /* local ones and links' own talk, inside the domain */
	struct guard_prefixes sites; /* those of `throws` that are local, and what was given */
	struct guard_prefixes outer; /* prefixes of the domain that lie in no other one of it */
};

MUST enum status guard_shape_of(const struct guard_plan *p, struct guard_shape *ret_shape);
void guard_shape_done(struct guard_shape *s);
bool guard_ranges_have(const struct guard_ranges *r, const struct ip *ip);

/* ---- files in the state directory -------------------------------------------------------- */

/*
 * guard.plan, and NETWORK.domain for what a hub told: lines of text, see plan_text.c.  Reading
 * trusts nothing.  Writing replaces atomically.
 */
MUST enum status guard_plan_text(const struct guard_plan *p, struct text *why, char **ret_text,
				 size_t *ret_n);
/* ST_INVAL with `why`, which names the line. */
MUST enum status guard_plan_parse(struct bytes text, struct text *why, struct guard_plan *ret_plan);

MUST enum status guard_plan_save(const char *dir, const struct guard_plan *p, struct text *why);
/* ST_AGAIN: there is none. */
MUST enum status guard_plan_load(const char *dir, struct text *why, struct guard_plan *ret_plan);
/* One that is not there is no failure. */
MUST enum status guard_plan_forget(const char *dir, struct text *why);

/* The domain of a network, when neither bundle nor configuration say it. */
MUST enum status guard_learn(const char *dir, const char *network, const struct prefix *v, size_t n,
			     struct text *why);
MUST enum status guard_learnt(const char *dir, const char *network, struct text *why,
			      struct guard_prefixes *ret_domain);
MUST enum status guard_learnt_text(const struct prefix *v, size_t n, char **ret_text,
				   size_t *ret_n);
MUST enum status guard_learnt_parse(struct bytes text, struct text *why,
				    struct guard_prefixes *ret_domain);

/* NETWORK.hubs: where the hubs of a network are, as its mesh keeps it; read by nobody here. */
MUST enum status guard_hubs_save(const char *dir, const char *network, struct bytes list,
				 struct text *why);
/* `ret_list` is malloc()ed.  ST_AGAIN: there is none. */
MUST enum status guard_hubs_load(const char *dir, const char *network, struct text *why,
				 struct bytes *ret_list);

/* Makes the directory (not its parents) if it is missing, and gives it to `uid`, `gid` unless
 * those are -1. */
MUST enum status guard_state_make(const char *dir, int uid, int gid, struct text *why);

/* ---- the block --------------------------------------------------------------------------- */

struct guard;

/* ST_IO also when the kernel has no nf_tables.  Changes nothing yet. */
MUST enum status guard_new(int ns, struct text *why, struct guard **ret_guard);
/* What stands goes on standing.  Takes NULL. */
void guard_free(struct guard *g);

/*
 * Makes the block as `plan` (normalised; copied) wants it, whatever of ours is there.  Routes of
 * the device that was attached before stay where the plan still has their prefix.
 *
 * ST_REFUSE: another daemon lives in this network namespace; nothing was changed.  ST_IO: as much
 * as could be stands, and nothing that was there before went.
 */
MUST enum status guard_block(struct guard *g, const struct guard_plan *plan, struct text *why);

/* Addresses of the host, for GUARD_RULES_MAX; copied. */
MUST enum status guard_host(struct guard *g, const struct ip *own, size_t n_own, struct text *why);

/* Leads the domain into the device.  `src` has plan->domain.n preferred source addresses, family 0:
 * none.  Asked again, makes it so again: the kernel drops the routes of a device that goes down. */
MUST enum status guard_attach(struct guard *g, int ifindex, const struct ip *src, struct text *why);
MUST enum status guard_detach(struct guard *g, struct text *why);

/* Takes everything of ours away.  ST_REFUSE: a daemon lives here.  Goes on after a failure. */
MUST enum status guard_open(struct guard *g, struct text *why);

/* To be watched for readability: rules and routes, and the filter. */
enum { GUARD_FDS = 2 };
void guard_fds(const struct guard *g, int ret_fd[static GUARD_FDS]);
/* `what`: what was missing and is there again; empty when nothing was. */
MUST enum status guard_check(struct guard *g, struct text *what, struct text *why);

enum guard_counter {
	GUARD_IN_CLEAR, /* arrived in clear from the domain */
	GUARD_OUT_CLEAR, /* would have left in clear */
	GUARD_IN_OWN, /* came out of the tunnel with a source address of our sites */
	GUARD_REDIRECTS, /* ICMP redirects into the tunnel */
	GUARD_COUNTERS,
};

extern const char *const guard_counter_names[GUARD_COUNTERS]; /* "guard.in.clear" */

/* Packets, since the block was put up first. */
MUST enum status guard_counters(struct guard *g, uint64_t ret_counters[static GUARD_COUNTERS],
				struct text *why);
