/*
 * ruleset.h - what a ruleset of nftables (`nft -j list ruleset`) would do to one packet.
 *
 * The rules are walked as the kernel does, with every match that a packet of ours can be held
 * against: devices, addresses, protocols, ports, connection state, mark.  Any other match is one
 * that might hold; a verdict behind it is one that might be reached.  Only what is certain is
 * called a drop: a rule that might accept before makes it RULESET_MAYBE, one that might drop before
 * something accepts does not count.
 *
 * Pure; the JSON may be anything.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"

struct ruleset_packet {
	const char *hook; /* "input", "forward", "output" */
	const char *iif, *oif; /* "" where there is none; NULL: not known */
	struct ip src, dst; /* family 0: not known */
	uint8_t family; /* 4 or 6 */
	uint16_t dport; /* UDP; 0: any protocol, not known */
	const char *state; /* of the connection: "new", "established" */
	uint32_t mark;
};

enum ruleset_fate {
	RULESET_PASSES,
	RULESET_MAYBE, /* dropped, unless a rule that is not understood accepts it */
	RULESET_DROPPED,
};

/* Where it ends; the names point into the JSON. */
struct ruleset_where {
	const char *family, *table, *chain; /* the base chain */
	bool policy; /* by its policy, not by a rule */
};

/* Tables called `skip` are left out.  `*ret_where` is set unless it passes. */
enum ruleset_fate ruleset_fate(const json_t *ruleset, const char *skip,
			       const struct ruleset_packet *p, struct ruleset_where *ret_where);

/* Whether there is such a chain. */
bool ruleset_has_chain(const json_t *ruleset, const char *family, const char *table,
		       const char *chain);
