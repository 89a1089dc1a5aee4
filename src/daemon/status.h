/*
 * status.h - snapshots of the daemon as JSON, for the control socket (docs/control.md has the
 * shapes).  New references; NULL when out of memory.
 */
#pragma once

#include "daemon/host.h"

json_t *status_json(const struct host *h);

/* What we are in a network: "site", "hub", "endpoint". */
const char *status_role(const struct ike_peer_conf *network);

/* '*' in the pattern stands for anything. */
bool status_matches_text(const char *pattern, const char *s);
/* The same with the text of an identity. */
bool status_matches(const char *pattern, const struct policy_ident *id);

/* One page of the peers, in the order of their ids. */
struct status_page {
	const char *match; /* only these: a name, or a pattern with '*'; NULL: all */
	ike_peer_id after; /* only ids above */
	size_t limit; /* at most so many, from 1 */
};

enum {
	STATUS_PAGE =
		256, /* of one answer, when nothing else is said: a few milliseconds of work */
	STATUS_PAGE_MAX = 1024,
};

json_t *status_peers_json(const struct host *h, const struct status_page *page);
