/*
 * secret.h - bytes that must not outlive their use.
 *
 * Key material of at most SECRET_MAX bytes lives in a `struct secret`: by value inside its owner,
 * wiped by secret_done().  Comparison of anything secret or authenticated goes through ct_equal().
 */
#pragma once

#include "base/bytes.h"

#define SECRET_MAX 68 /* P-521 scalars and shared secrets are 66 bytes, SHA-512 output 64 */

struct secret {
	uint8_t n;
	uint8_t b[SECRET_MAX];
};

/* A store the compiler cannot remove. */
void wipe(void *p, size_t n);

/* True when equal; the time depends only on the lengths. */
bool ct_equal(struct bytes a, struct bytes b);

static inline struct bytes secret_bytes(const struct secret *s)
{
	return (struct bytes){ s->b, s->n };
}

/* Longer input than SECRET_MAX is a bug of the caller: the secret becomes empty and false returns. */
bool secret_set(struct secret *s, struct bytes b);

static inline void secret_done(struct secret *s)
{
	wipe(s, sizeof(*s));
}
