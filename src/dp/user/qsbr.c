#include "dp/user/qsbr.h"

#include <sched.h>

struct qsbr_note {
	struct qsbr_note *next;
	qsbr_free_fn *fn;
	void *ctx;
	void *object;
	uint64_t epoch;
};

void qsbr_init(struct qsbr *q, const struct alloc *mem, size_t n_threads)
{
	q->mem = mem;
	q->n_threads = n_threads;
	q->first = q->last = NULL;
	atomic_init(&q->epoch, 1);
	atomic_init(&q->waiting, false);
	for (size_t i = 0; i < QSBR_MAX_THREADS; i++)
		atomic_init(&q->thread[i].seen, 0);
}

/* Adding nothing makes the reading a read-modify-write, on which the argument in qsbr.h rests. */
static bool past(struct qsbr *q, uint64_t epoch)
{
	for (size_t i = 0; i < q->n_threads; i++) {
		uint64_t seen =
			atomic_fetch_add_explicit(&q->thread[i].seen, 0, memory_order_acq_rel);

		if (seen && seen < epoch)
			return false;
	}
	return true;
}

static uint64_t advance(struct qsbr *q)
{
	return atomic_fetch_add_explicit(&q->epoch, 1, memory_order_acq_rel) + 1;
}

void qsbr_retire(struct qsbr *q, qsbr_free_fn *fn, void *ctx, void *object)
{
	struct qsbr_note *n = mem_new(q->mem, sizeof(*n));
	uint64_t epoch = advance(q);

	if (!n) {
		while (!past(q, epoch))
			sched_yield();
		fn(ctx, object);
		return;
	}
	*n = (struct qsbr_note){ .fn = fn, .ctx = ctx, .object = object, .epoch = epoch };
	if (q->last)
		q->last->next = n;
	else
		q->first = n;
	q->last = n;
}

static void pop(struct qsbr *q)
{
	struct qsbr_note *n = q->first;

	q->first = n->next;
	if (!q->first)
		q->last = NULL;
	n->fn(n->ctx, n->object);
	mem_free(q->mem, n);
}

/* Epochs grow along the list, so the first that cannot go ends the walk. */
void qsbr_poll(struct qsbr *q)
{
	if (!q->first)
		return;
	atomic_store_explicit(&q->waiting, true, memory_order_relaxed);
	while (q->first && past(q, q->first->epoch))
		pop(q);
	if (!q->first)
		atomic_store_explicit(&q->waiting, false, memory_order_relaxed);
}

void qsbr_done(struct qsbr *q)
{
	while (q->first)
		pop(q);
}
