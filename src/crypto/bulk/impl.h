/*
 * impl.h - what an implementation of bulk.h provides; also the door through which tests reach all
 * of those that this build has.
 *
 * A key object begins with `struct bulk_key`, which names its implementation: one batch may mix
 * them, although in practice all keys of a process have the same.
 */
#pragma once

#include <stdatomic.h>

#include "crypto/bulk/bulk.h"

struct bulk_impl {
	const char *(*name)(void);
	/* Whether the CPU can run it. */
	bool (*usable)(void);
	enum status (*key_new)(const struct alloc *mem, struct bytes key,
			       struct bulk_key **ret_key);
	void (*key_free)(struct bulk_key *k);
	void (*seal)(struct bulk_op *op);
	void (*open)(struct bulk_op *op);
	/* bulk_forget() for this implementation. */
	void (*forget)(void);
};

struct bulk_key {
	const struct bulk_impl *impl;
	const struct alloc *mem;
};

/* A number for a key, never used again: the address of a freed key may come back. */
uint64_t bulk_serial(void);
/* How many keys were freed. */
extern _Atomic uint64_t bulk_freed;

/* Best first, NULL-terminated; some may not be usable on this CPU. */
extern const struct bulk_impl *const bulk_impls[];

extern const struct bulk_impl bulk_impl_openssl;
extern const struct bulk_impl bulk_impl_ipsec_mb;

MUST enum status bulk_key_new_with(const struct bulk_impl *impl, const struct alloc *mem,
				   struct crypto_cipher cipher, struct bytes key,
				   struct bulk_key **ret_key);
