/*
 * internal.h - what the fake provider's files share.
 *
 * Everything is made of one mixing function: a chain of SipHash over 64-byte blocks with the total
 * length at the end, expanded to as many bytes as wanted.  A domain keeps its uses apart.
 */
#pragma once

#include "crypto/fake/crypto_fake.h"

enum mix_domain {
	MIX_PRF = 1,
	MIX_HASH,
	MIX_STREAM,
	MIX_ICV,
	MIX_PUBLIC,
	MIX_SHARED,
	MIX_SIGNATURE,
	MIX_FINGERPRINT,
	MIX_REVOCATION,
};

struct mix {
	uint64_t state[2];
	uint64_t total;
	size_t n;
	uint8_t block[64];
};

/* `id` tells algorithms of one domain apart. */
void mix_init(struct mix *m, enum mix_domain domain, uint32_t id);
/* Bytes as they come: add(a), add(b) is add(a | b). */
void mix_add(struct mix *m, struct bytes b);
/* With the length first: fields cannot run into each other. */
void mix_field(struct mix *m, struct bytes b);
/* Ends the mixing. */
void mix_out(struct mix *m, uint8_t *ret_out, size_t n);

void fake_prf(uint16_t prf, struct bytes key, const struct bytes *parts, size_t n_parts,
	      uint8_t *ret_out);
void fake_random(struct crypto_fake *p, void *buf, size_t n);
uint64_t fake_qcd_secret(const struct crypto_fake *p);

/* A certificate as read; `id` points into it. */
struct fake_cert {
	crypto_ref key;
	uint32_t issuer;
	uint8_t id_type;
	uint8_t id[128];
	size_t id_len;
	wall_t not_before;
	wall_t not_after;
	bool has_blocks;
	size_t n_blocks;
	struct ip_range blocks[CRYPTO_BLOCKS_MAX];
};

/* ST_DROP when `in` is anything but what crypto_fake_cert() writes. */
MUST enum status fake_cert_parse(struct bytes in, struct fake_cert *ret_cert);
