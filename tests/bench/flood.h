/*
 * flood.h - an IKE_SA_INIT request as a real initiator would send it (RFC 7296 section 1.2), with
 * an SPI, a key exchange value and a nonce of its own each time: a responder can refuse it only by
 * state or by cookie.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	REQUEST_LEN = 28 + 40 + 40 + 36,
	OFF_KE_DATA = 28 + 40 + 8,
	OFF_NONCE = 28 + 40 + 40 + 4,
};

/* HDR, SAi1 (ENCR_AES_GCM_16 with 128 bits, PRF_HMAC_SHA2_256, X25519), KEi, Ni. */
/* clang-format off */
static const uint8_t request_template[REQUEST_LEN] = {
	[16] = 33, 0x20, 34, 0x08,
	[27] = REQUEST_LEN,
	/* SA: one proposal, three transforms */
	[28] = 34, 0, 0, 40,
	0, 0, 0, 36, 1, 1, 0, 3,
	3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128,
	3, 0, 0, 8, 2, 0, 0, 5,
	0, 0, 0, 8, 4, 0, 0, 31,
	/* KE */
	40, 0, 0, 40, 0, 31, 0, 0,
	[28 + 40 + 40] = 0, 0, 0, 36,
};
/* clang-format on */

static inline uint64_t next_random(uint64_t *state)
{
	/* splitmix64: the bytes only have to differ. */
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline void fill(uint8_t *at, size_t n, uint64_t *state)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = next_random(state);

		memcpy(at + i, &word, 8);
	}
}

/* A request that nobody has sent yet, over one from the template. */
static inline void renew(uint8_t request[REQUEST_LEN], uint64_t *state)
{
	fill(request, 8, state);
	fill(request + OFF_KE_DATA, 32, state);
	fill(request + OFF_NONCE, 32, state);
}
