/*
 * ring.h - records from one thread to another without lock or allocation.
 *
 * One producer, one consumer.  A record is contiguous and aligned to 8, so that it is built and
 * used in place; one that would not fit before the end of the memory begins at its start again.
 *
 *	producer: ring_put() -> fill -> ring_commit()
 *	consumer: ring_next() until NULL -> ring_release() for all that were read
 *
 * The consumer may go on using records it has read until it releases them.
 */
#pragma once

#include <stdatomic.h>

#include "base/base.h"

struct ring {
	uint8_t *buf;
	size_t size; /* a power of two */
	uint8_t apart[64]; /* no cache line in common between the two */
	/* consumer's */
	_Atomic size_t head; /* counts bytes; never wrapped */
	size_t read;
	uint8_t apart2[64];
	/* producer's */
	_Atomic size_t tail;
	size_t put; /* tail after the commit under way */
};

/* `size` is a power of two; ST_NOMEM. */
MUST enum status ring_init(struct ring *r, const struct alloc *mem, size_t size);
void ring_done(struct ring *r, const struct alloc *mem);

/* Room for a record of `n` bytes, or NULL when there is none now. */
void *ring_put(struct ring *r, size_t n);
void ring_commit(struct ring *r);

/* The next record that was not read yet, or NULL. */
void *ring_next(struct ring *r, size_t *ret_n);
void ring_release(struct ring *r);

/* Whether the consumer would find something. */
static inline bool ring_empty(struct ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_acquire) == r->read;
}
