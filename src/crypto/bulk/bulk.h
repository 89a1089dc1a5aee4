/*
 * bulk.h - AEAD for ESP, a batch at a time.
 *
 * A `struct bulk_key` is one direction of one SA, for the fastest implementation that CPU and build
 * have (intel-ipsec-mb, else libcrypto); it is immutable, so any thread may use it.  A batch may
 * mix keys.  Data is processed in place; nothing is allocated per packet.
 *
 * The nonce is the whole 12 bytes the AEAD takes: salt and IV of RFC 4106 section 4.
 *
 * What is made of a key to compute with it is large, so threads keep that for the keys they use and
 * nobody else.  Therefore a thread that has used keys calls bulk_forget() from time to time, and
 * when somebody has freed one: only then nothing of it is left.
 */
#pragma once

#include "crypto/crypto.h"

enum {
	BULK_NONCE_LEN = 12,
	BULK_AAD_MAX = 12, /* ESP: SPI and sequence number, extended or not */
	BULK_ICV_LEN = 16,
};

struct bulk_key;

/* Everything short is held by value, so that an operation has nothing to outlive. */
struct bulk_op {
	const struct bulk_key *key;
	uint8_t *data; /* n bytes, in place */
	uint8_t *icv; /* seal: written; open: compared, in constant time */
	uint32_t n;
	uint8_t aad_len;
	bool ok; /* result; false after open: `data` is wiped or undefined, never to be used; false
		  * after seal: the implementation failed, the packet must not be sent */
	uint8_t nonce[BULK_NONCE_LEN];
	uint8_t aad[BULK_AAD_MAX];
};

/* Whether ESP has this cipher here. */
bool bulk_has(struct crypto_cipher cipher);

/* `key` without salt.  ST_INVAL for a cipher that ESP does not have here. */
MUST enum status bulk_key_new(const struct alloc *mem, struct crypto_cipher cipher,
			      struct bytes key, struct bulk_key **ret_key);
void bulk_key_free(struct bulk_key *k);
/* Wipes what this thread has of keys that were freed (by whomever) since it was here last. */
void bulk_forget(void);

void bulk_seal(struct bulk_op *ops, size_t n);
void bulk_open(struct bulk_op *ops, size_t n);

/* "ipsec-mb avx512" or "openssl": for status and benches. */
const char *bulk_implementation(void);
