/*
 * bulk.h - AEAD for ESP, a batch at a time.
 *
 * A `struct bulk_key` is one direction of one SA, expanded once for the fastest implementation the
 * CPU and the build have (intel-ipsec-mb, else libcrypto); it is immutable, so any thread may use
 * it.  A batch may mix keys.  Data is processed in place; nothing is allocated per call.
 *
 * The nonce is the whole 12 bytes the AEAD takes: salt and IV of RFC 4106 section 4.
 */
#pragma once

#include "crypto/crypto.h"

struct bulk_key;

struct bulk_op {
	const struct bulk_key *key;
	const uint8_t *aad;
	uint8_t nonce[12];
	uint8_t *data; /* n bytes, in place */
	uint32_t n;
	uint8_t aad_len;
	uint8_t *icv; /* seal: written; open: compared, in constant time */
	bool ok;      /* result of open: false leaves `data` wiped or undefined, never to be used */
};

/* `key` without salt.  ST_INVAL for a cipher that ESP does not have here. */
MUST enum status bulk_key_new(const struct alloc *mem, struct crypto_cipher cipher,
			      struct bytes key, struct bulk_key **ret_key);
void bulk_key_free(struct bulk_key *k);

void bulk_seal(struct bulk_op *ops, size_t n);
void bulk_open(struct bulk_op *ops, size_t n);

/* "ipsec-mb avx512" or "openssl": for status and benches. */
const char *bulk_implementation(void);
