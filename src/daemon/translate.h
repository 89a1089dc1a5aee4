/*
 * translate.h - the configuration as people write it (conf.h) to the one the engine runs (ike.h).
 *
 * Every check that has to look outside the file happens on the way: certificates, keys and trust
 * anchors are loaded and held against each other (conf_creds.h).  What is wrong becomes an error
 * at the place in the file.
 */
#pragma once

#include "conf/conf.h"
#include "crypto/openssl/crypto_openssl.h"
#include "ike/ike.h"

/* The engine's number of the i-th peer; its names in logs come from the configuration. */
static inline ike_peer_id translate_peer_id(size_t index)
{
	return index + 1;
}

/* The snapshot holds a reference to `conf`; what it names in the store must outlive it.  ST_INVAL
 * with `errs`. */
MUST enum status translate(struct conf *conf, struct crypto_store *store, struct conf_errors *errs,
			   struct ike_conf **ret_conf);
