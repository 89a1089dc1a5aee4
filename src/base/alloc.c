#include "base/alloc.h"

#include <stdlib.h>

#include "base/secret.h"

static void *libc_alloc(void *ctx, size_t n)
{
	(void)ctx;
	return calloc(1, n ? n : 1);
}

static void libc_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

const struct alloc mem_libc = { libc_alloc, libc_free, NULL };

void mem_free_secret(const struct alloc *a, void *p, size_t n)
{
	if (p)
		wipe(p, n);
	mem_free(a, p);
}

enum status mem_dup(const struct alloc *a, struct bytes b, struct bytes *ret_copy)
{
	uint8_t *p = mem_new(a, b.n ? b.n : 1);

	if (!p)
		return ST_NOMEM;
	if (b.n)
		memcpy(p, b.p, b.n);
	*ret_copy = bytes_of(p, b.n);
	return ST_OK;
}

#define ARENA_ALIGN 16
#define ARENA_FIRST_CHUNK 1024
#define ARENA_MAX_CHUNK 65536 /* larger ones only for a single larger block */

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

void arena_init(struct arena *ar, const struct alloc *mem, size_t limit)
{
	*ar = (struct arena){ .mem = mem, .limit = limit };
}

void arena_done(struct arena *ar)
{
	struct arena_chunk *c = ar->head;

	while (c) {
		struct arena_chunk *next = c->next;

		mem_free_secret(ar->mem, c, sizeof(*c) + c->used);
		c = next;
	}
	ar->head = NULL;
	ar->used = 0;
}

/* Chunks double, but never hold more than the limit leaves. */
static size_t chunk_size(const struct arena *ar, size_t n)
{
	size_t size = ar->head ? 2 * ar->head->size : ARENA_FIRST_CHUNK;

	if (size > ARENA_MAX_CHUNK)
		size = ARENA_MAX_CHUNK;
	if (size > ar->limit - ar->used)
		size = ar->limit - ar->used;
	return size > n ? size : n;
}

static struct arena_chunk *chunk_new(struct arena *ar, size_t n)
{
	size_t size = chunk_size(ar, n);
	struct arena_chunk *c;

	if (size > SIZE_MAX - sizeof(*c))
		return NULL;
	c = mem_new(ar->mem, sizeof(*c) + size);
	if (!c)
		return NULL;
	c->size = size;
	c->next = ar->head;
	ar->head = c;
	return c;
}

void *arena_new(struct arena *ar, size_t n)
{
	struct arena_chunk *c = ar->head;
	void *p;

	if (n > SIZE_MAX - ARENA_ALIGN)
		return NULL;
	n = n ? (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : ARENA_ALIGN;
	if (n > ar->limit - ar->used)
		return NULL;
	if (!c || n > c->size - c->used)
		c = chunk_new(ar, n);
	if (!c)
		return NULL;
	p = c->data + c->used;
	c->used += n;
	ar->used += n;
	return p;
}

enum status arena_dup(struct arena *ar, struct bytes b, struct bytes *ret_copy)
{
	uint8_t *p = arena_new(ar, b.n);

	if (!p)
		return ST_NOMEM;
	if (b.n)
		memcpy(p, b.p, b.n);
	*ret_copy = bytes_of(p, b.n);
	return ST_OK;
}
