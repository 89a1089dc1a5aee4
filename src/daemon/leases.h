/*
 * leases.h - inner addresses that the engine gives away, in the store (store.h).
 *
 * The store is opened once a section has a pool: at the start, after the process has become the
 * user that it stays, or by a reload.  While it is ill the engine hears that nothing was stored,
 * and refuses newcomers; whoever is there stays.
 */
#pragma once

#include <jansson.h>

#include "daemon/host.h"

struct leases;

/* At the start, before the engine gets any input: waits for the disk. */
MUST enum status leases_start(struct host *h, struct text *why);
/* Another configuration is in force. */
void leases_follow(struct host *h);
/* What waits is written.  Takes a host without them. */
void leases_stop(struct host *h);

/* IKE_OUT_STORE */
void leases_store(struct host *h, uint64_t id, const struct ike_store_op *op);

/* Why nothing can be stored at present; NULL: it can, or nothing has to be. */
const char *leases_trouble(const struct host *h);

/* Of `status`: NULL without a store. */
json_t *leases_status_json(const struct host *h);

struct leases_page {
	uint64_t after; /* only numbers above */
	size_t limit;
};

/* Of `leases`. */
json_t *leases_json(const struct host *h, const struct leases_page *page);

/* "store.done"... */
bool leases_counter(const void *host, size_t index, const char **ret_name, uint64_t *ret_value);
