/*
 * roam.h - the host moves: news of links, addresses and routes, and what follows from them.
 *
 * Every change that can matter is heard of over netlink: links, addresses, rules, routes of the
 * table main.  What it was is not told; everything that follows is looked at again, at once: the
 * preferred sources of the domain's routes (guarding_network()), the MTU of our device, and for the
 * engine the addresses that outer packets may be sent from (mesh_network()), which then asks for
 * the way to each peer by RESOLVE.  A move is a handful of news, e.g. an address, then a route;
 * each is looked at, since the last of them is what makes the network usable.  A router whose
 * routes change a thousand times a second gets so many looks at once and in a second, and what
 * comes in between is put off, never forgotten.
 *
 * Clocks: what waits, waits on CLOCK_BOOTTIME, so a machine that wakes up finds everything due that
 * became due in its sleep.  A wall clock that is set, and the end of a sleep, are heard of as well:
 * the engine looks at its deadlines again, and so do we at the network, which may be another one.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"

struct host;
struct roam;

/* Looks for the first time as well. */
MUST enum status roam_start(struct host *h, struct text *why);
void roam_stop(struct host *h);
void roam_free(struct host *h);

/* The addresses that the engine was told, for status; NULL: out of memory. */
json_t *roam_json(const struct host *h);

/* ---- how often: pure --------------------------------------------------------------------- */

enum {
	ROAM_LOOKS_AT_ONCE = 16,
	ROAM_LOOKS_PER_S = 8,
	ROAM_REROUTE_S = 2, /* between two looks at the devices that all paths leave by */
};

/* A bucket of looks; begins full. */
struct roam_pace {
	mono_t full; /* when it is, if nothing is taken */
};

/* True: look now.  False: not before `*ret_when`. */
bool roam_pace_take(struct roam_pace *p, mono_t now, mono_t *ret_when);
