#include "base/secret.h"

void wipe(void *p, size_t n)
{
	if (n == 0)
		return;
	memset(p, 0, n);
	/* The compiler must assume that somebody reads the zeros. */
	__asm__ volatile("" : : "r"(p) : "memory");
}

bool ct_equal(struct bytes a, struct bytes b)
{
	uint8_t diff = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		diff |= a.p[i] ^ b.p[i];
		/* Hides the value, so that the loop cannot be made to end early. */
		__asm__ volatile("" : "+r"(diff));
	}
	return diff == 0;
}

bool secret_set(struct secret *s, struct bytes b)
{
	if (b.n > SECRET_MAX) {
		secret_done(s);
		return false;
	}
	if (b.n)
		memmove(s->b, b.p, b.n);
	wipe(s->b + b.n, SECRET_MAX - b.n);
	s->n = (uint8_t)b.n;
	return true;
}
