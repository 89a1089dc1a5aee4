/*
 * guarding.h - the block of guard.h in the daemon: what has to be guarded, and when.
 *
 * guarding_start() puts it up before any socket opens; guarding_attach() leads the domain into the
 * device once that is there; guarding_watch() sees to it from then on that what others take away is
 * put back, and guarding_network() that the preferred source of the domain's routes follows the
 * host's addresses and the device's routes come back after it was down.  All that works without
 * root, with CAP_NET_ADMIN.  guarding_stop() lets the device go; the block stays.
 *
 * The plan is kept in the state directory (guard.plan), together with the domains that hubs told
 * (NETWORK.domain), for guarding_boot(): the block at boot, from the configuration and the bundles,
 * which needs no key, no user and no valid dates.
 */
#pragma once

#include <jansson.h>

#include "conf/conf_creds.h"
#include "guard/guard.h"

struct host;
struct guarding;

/* ---- plans: pure but for `network` ------------------------------------------------------- */

/* What is known of a network: its domain (nothing: not known), and what of it is behind us. */
struct guarding_facts {
	struct guard_prefixes domain;
	struct guard_prefixes local;
	struct guard_prefixes given; /* to this host, by its gateway */
};

void guarding_facts_done(struct guarding_facts *f);

struct guarding_source {
	enum status (*network)(void *ctx, const struct conf *conf, size_t index,
			       struct guarding_facts *ret_facts);
	/* What the gateway of that section gave; NULL where there can be nothing. */
	enum status (*given)(void *ctx, const char *section, struct guard_prefixes *ret_given);
	void *ctx;
};

/* Every peer's remote_ts and every network's domain; every local_ts and protect.  Device and ports
 * are those of `conf`. */
MUST enum status guarding_plan(const struct conf *conf, const struct guarding_source *source,
			       struct guard_plan *ret_plan);

/* The preferred source for each prefix of plan->domain: the first of the host's addresses that its
 * peer or network gave us, or that lies in what that has as local; the first peer or network that
 * has the prefix decides. `ret_src` has plan->domain.n places. */
MUST enum status guarding_sources(const struct conf *conf, const struct guarding_source *source,
				  const struct guard_plan *plan, const struct ip *own, size_t n_own,
				  struct ip *ret_src);

/* Every prefix of every selector. */
MUST enum status guarding_add_ts(struct guard_prefixes *l, const struct wire_ts_list *ts);

/* ---- life -------------------------------------------------------------------------------- */

MUST enum status guarding_start(struct host *h, struct text *why);
MUST enum status guarding_attach(struct host *h, struct text *why);
/* From here on as the user whom the daemon became. */
MUST enum status guarding_watch(struct host *h, struct text *why);
/* Addresses or links have changed (roam.h).  `device`: ours as well, whose routes are gone if it
 * was down only for a moment.  Failures are logged, and tried again. */
void guarding_network(struct host *h, bool device);
/* What has to be guarded, and what of it is behind us, as it stands. */
const struct guard_plan *guarding_now(const struct host *h);

/* Another configuration, before it is adopted: what it has in its domain is blocked besides what
 * is, and nothing that is blocked now is let go.  On failure what stood stands. */
MUST enum status guarding_widen(struct host *h, const struct conf *conf,
				const struct conf_creds *creds, struct text *why);
/* Afterwards, or when it was not: what the host's configuration has no longer goes, everything else
 * stays without a gap.  Device and ports stay as they are.  Failures are logged, and tried again.
 */
void guarding_follow(struct host *h);

/* A hub told the domain of a network for which neither bundle nor configuration does: it is kept,
 * and guarded from now on.  Failures are logged. */
void guarding_learn(struct host *h, const char *network, const struct prefix *v, size_t n);

void guarding_stop(struct host *h); /* nothing is watched any more, the device is let go */
void guarding_free(struct host *h);

/* {"state": DIR, "domain": [..], "local": [..], "counters": {..}} for status; NULL: out of memory.
 */
json_t *guarding_json(const struct host *h);
/* An obs_counter_fn over a struct host. */
bool guarding_counter(const void *host, size_t index, const char **ret_name, uint64_t *ret_value);

/* ---- boot -------------------------------------------------------------------------------- */

/* `state`: where to look for the plan when the configuration cannot be read; NULL: the default.
 * Says on stderr what stands in the way.  The exit code: 0 when the block is what the configuration
 * wants, also when a daemon lives here, whose it is then; 1 otherwise, with as much of a block as
 * is known. */
int guarding_boot(const char *file, const char *state);
