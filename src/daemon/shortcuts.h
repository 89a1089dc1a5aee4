/*
 * shortcuts.h - what the mesh knows, as JSON for the control socket (docs/control.md has the
 * shapes): direct tunnels of a site, pairs and members of a hub.
 *
 * A hub of a large network has a great many pairs and members: they come in pages, which count
 * what is visited.  Who comes or goes between two pages moves what is behind it.
 */
#pragma once

#include "daemon/host.h"

struct shortcuts_page {
	bool members; /* those of the directory, instead of tunnels and pairs */
	const char *
		match; /* only what is about these: an identity, or a pattern with '*'; NULL: all */
	uint64_t after; /* so many were on the pages before */
	size_t limit; /* at most so many, from 1 */
};

/* NULL: out of memory. */
json_t *shortcuts_json(const struct host *h, const struct shortcuts_page *page);

/* "shortcuts" of `status`: how many there are in which state. */
json_t *shortcuts_status_json(const struct host *h);

/* "hubs" of `status`: those that we were told of. */
json_t *shortcuts_hubs_json(const struct host *h);

/* The network of a partner that the engine knows; NULL: it is none. */
const char *shortcuts_network(const struct host *h, ike_peer_id partner);

/* The tunnel that is meant, which is up or under way, by its partner's identity or its number;
 * false: there is none. */
bool shortcuts_find(const struct host *h, const char *what, uint64_t *ret_number,
		    ike_peer_id *ret_peer);
