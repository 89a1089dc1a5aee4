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

enum { BULK_IV_KEY_LEN = 16 };

/* What a key object is made of; lengths have been checked. */
struct bulk_keys {
	struct crypto_cipher cipher;
	struct bytes encr;
	struct bytes integ; /* CBC only, as all below */
	uint8_t iv_key[BULK_IV_KEY_LEN];
	uint8_t icv_len;
};

struct bulk_impl {
	const char *(*name)(void);
	/* Whether the CPU can run it. */
	bool (*usable)(void);
	enum status (*key_new)(const struct alloc *mem, const struct bulk_keys *keys,
			       struct bulk_key **ret_key);
	void (*key_free)(struct bulk_key *k);
	/* An operation may be done at once or only by finish(). */
	void (*seal)(struct bulk_op *op);
	void (*open)(struct bulk_op *op);
	void (*finish)(void); /* NULL: never anything left to do */
	/* bulk_forget() for this implementation. */
	void (*forget)(void);
};

struct bulk_key {
	const struct bulk_impl *impl;
	const struct alloc *mem;
};

/* The block whose encryption under the IV key is the IV of a packet. */
static inline void bulk_iv_block(const struct bulk_op *op, uint8_t ret[static BULK_CBC_IV])
{
	memset(ret, 0, BULK_CBC_IV - BULK_NONCE_LEN);
	memcpy(ret + BULK_CBC_IV - BULK_NONCE_LEN, op->nonce, BULK_NONCE_LEN);
}

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
				   struct bytes integ, struct bulk_key **ret_key);
