#include "dp/user/ring.h"

enum {
	ALIGN = 8,
	SKIP = UINT32_MAX, /* instead of a length: go on at the start */
};

/* What stands before each record. */
struct prefix_word {
	uint32_t n;
	uint32_t unused;
};

enum status ring_init(struct ring *r, const struct alloc *mem, size_t size)
{
	r->buf = mem_new(mem, size);
	if (!r->buf)
		return ST_NOMEM;
	r->size = size;
	r->read = r->put = 0;
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	return ST_OK;
}

void ring_done(struct ring *r, const struct alloc *mem)
{
	mem_free(mem, r->buf);
	r->buf = NULL;
}

static struct prefix_word *word_at(struct ring *r, size_t at)
{
	return (struct prefix_word *)(void *)(r->buf + (at & (r->size - 1)));
}

void *ring_put(struct ring *r, size_t n)
{
	size_t need = (sizeof(struct prefix_word) + n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	size_t to_end = r->size - (tail & (r->size - 1));
	size_t skip = need > to_end ? to_end : 0;

	if (n >= r->size || need + skip > r->size - (tail - head))
		return NULL;
	if (skip)
		word_at(r, tail)->n = (uint32_t)SKIP;
	tail += skip;
	word_at(r, tail)->n = (uint32_t)n;
	r->put = tail + need;
	return word_at(r, tail) + 1;
}

void ring_commit(struct ring *r)
{
	atomic_store_explicit(&r->tail, r->put, memory_order_release);
}

void *ring_next(struct ring *r, size_t *ret_n)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	struct prefix_word *w;

	if (r->read == tail)
		return NULL;
	w = word_at(r, r->read);
	if (w->n == (uint32_t)SKIP) {
		r->read += r->size - (r->read & (r->size - 1));
		w = word_at(r, r->read);
	}
	*ret_n = w->n;
	r->read += (sizeof(*w) + w->n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	return w + 1;
}

void ring_release(struct ring *r)
{
	atomic_store_explicit(&r->head, r->read, memory_order_release);
}
