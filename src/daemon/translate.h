/*
 * translate.h - the configuration as people write it (conf.h) to the one the engine runs (ike.h).
 *
 * Everything was checked before, by conf_open(): all that can fail here is memory.
 */
#pragma once

#include "conf/conf_creds.h"
#include "ike/ike.h"

/* The engine's number of the i-th peer; its names in logs come from the configuration. */
static inline ike_peer_id translate_peer_id(size_t index)
{
	return index + 1;
}

/* The snapshot holds a reference to `conf`, and none to `creds`; the store must outlive it. */
MUST enum status translate(struct conf *conf, const struct conf_creds *creds,
			   struct ike_conf **ret_conf);
