/*
 * failing_libcrypto.h - an allocator for libcrypto that refuses when it is told to; it has to be
 * set before anything else of libcrypto is called.
 */
#pragma once

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>

static long left = -1; /* allocations until one fails; negative: none does */

static inline bool refuse(void)
{
	return left >= 0 && left-- == 0;
}

static inline void *failing_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return refuse() ? NULL : malloc(n);
}

static inline void *failing_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return refuse() ? NULL : realloc(p, n);
}

static inline void plain_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* False: it is too late. */
static inline bool failing_libcrypto(void)
{
	return CRYPTO_set_mem_functions(failing_malloc, failing_realloc, plain_free) == 1;
}
