/*
 * alloc.h - memory as an argument.
 *
 * Pure modules take a `struct alloc` when they are created and use nothing else, so that a test
 * can make the n-th allocation fail and can count what is left at the end.  `mem_libc` is the
 * host's.
 */
#pragma once

#include "base/bytes.h"
#include "base/status.h"

struct alloc {
	void *(*alloc)(void *ctx, size_t n); /* zeroed, aligned for anything; NULL when out of memory */
	void (*free)(void *ctx, void *p);    /* takes NULL */
	void *ctx;
};

extern const struct alloc mem_libc;

static inline void *mem_new(const struct alloc *a, size_t n)
{
	return a->alloc(a->ctx, n);
}

static inline void mem_free(const struct alloc *a, void *p)
{
	a->free(a->ctx, p);
}

/* Wipes `n` bytes before freeing. */
void mem_free_secret(const struct alloc *a, void *p, size_t n);

/* A copy owned by the caller; an empty view yields a non-NULL block of one byte. */
MUST enum status mem_dup(const struct alloc *a, struct bytes b, struct bytes *ret_copy);

/*
 * An arena: memory that lives as long as one message or one attempt.  Everything taken from it
 * goes at once, wiped, with arena_done().  It has an upper bound; what does not fit is NULL.
 */
struct arena_chunk;

struct arena {
	const struct alloc *mem;
	struct arena_chunk *head;
	size_t used;
	size_t limit;
};

void arena_init(struct arena *ar, const struct alloc *mem, size_t limit);
void arena_done(struct arena *ar);

/* Zeroed, aligned to 16; NULL when the limit or the allocator refuses. */
void *arena_new(struct arena *ar, size_t n);

/* A copy inside the arena. */
MUST enum status arena_dup(struct arena *ar, struct bytes b, struct bytes *ret_copy);
