/*
 * bulk.h - ciphers for ESP, a batch at a time.
 *
 * A `struct bulk_key` is one direction of one SA, for the fastest implementation that CPU and build
 * have (intel-ipsec-mb, else libcrypto); it is immutable, so any thread may use it.  A batch may
 * mix keys and ciphers.  Data is processed in place; nothing is allocated per packet.
 *
 * With an AEAD (AES-GCM, ChaCha20-Poly1305) the nonce is the whole 12 bytes it takes: salt and IV
 * of RFC 4106 section 4 and RFC 7634 section 2.
 *
 * With AES-CBC and an HMAC the packet is laid out as RFC 4303 section 2 has it: the BULK_CBC_HEAD
 * bytes in front of `data` are its ESP header and its IV.  Sealing writes that IV: CBC needs one
 * that nobody can foretell (RFC 3602 section 2.1), so it is the nonce, encrypted with AES-128 under
 * a key that is derived from the integrity key and serves nothing else (the first method of NIST SP
 * 800-38A appendix C, but for the key of its own).  A nonce that is never used twice, as a sequence
 * number, makes IVs that are never the same.  The ICV covers header, IV, ciphertext and then `aad`:
 * the high half of an extended sequence number, which is not in the packet (RFC 4303
 * section 2.2.1). It is compared before anybody looks at what was decrypted.
 *
 * What is made of a key to compute with it is large, so threads keep that for the keys they use and
 * nobody else.  Therefore a thread that has used keys calls bulk_forget() from time to time, and
 * when somebody has freed one: only then nothing of it is left.
 */
#pragma once

#include "crypto/crypto.h"

enum {
	BULK_NONCE_LEN = 12,
	BULK_AAD_MAX = 12, /* AEAD: SPI and sequence number, extended or not */
	BULK_ICV_MAX = 32, /* HMAC-SHA-512-256 */
	BULK_CBC_IV = 16,
	BULK_CBC_HEAD = 8 + BULK_CBC_IV,
};

struct bulk_key;

/* Everything short is held by value, so that an operation has nothing to outlive. */
struct bulk_op {
	const struct bulk_key *key;
	uint8_t *data; /* n bytes, in place; with CBC a multiple of 16 */
	uint8_t *icv; /* directly behind them, as long as the cipher's; seal: written; open:
		       * compared, in constant time, and undefined afterwards */
	uint32_t n;
	uint8_t aad_len;
	bool ok; /* result; false after open: `data` is wiped or undefined, never to be used; false
		  * after seal: the implementation failed, the packet must not be sent */
	uint8_t nonce[BULK_NONCE_LEN]; /* CBC: to seal only */
	uint8_t aad[BULK_AAD_MAX];
};

/* Whether ESP has this cipher here. */
bool bulk_has(struct crypto_cipher cipher);

/* `key` without salt; `integ` is empty with an AEAD.  ST_INVAL for a cipher that ESP does not have
 * here, or keys that are not as long as its. */
MUST enum status bulk_key_new(const struct alloc *mem, struct crypto_cipher cipher,
			      struct bytes key, struct bytes integ, struct bulk_key **ret_key);
void bulk_key_free(struct bulk_key *k);
/* Wipes what this thread has of keys that were freed (by whomever) since it was here last. */
void bulk_forget(void);

void bulk_seal(struct bulk_op *ops, size_t n);
void bulk_open(struct bulk_op *ops, size_t n);

/* "ipsec-mb avx512" or "openssl": for status and benches. */
const char *bulk_implementation(void);
