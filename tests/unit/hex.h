/*
 * hex.h - bytes written as hex digits, with spaces for the reader.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline unsigned hex_nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* Into `out`, which has room for half as many bytes as there are digits.  Returns the number of
 * digits, so that the caller can notice an odd one. */
static inline size_t hex_decode(const char *s, uint8_t *out)
{
	size_t n = 0;

	for (; *s; s++) {
		if (*s == ' ')
			continue;
		out[n / 2] = (uint8_t)((n % 2 ? out[n / 2] << 4 : 0) | hex_nibble(*s));
		n++;
	}
	return n;
}
