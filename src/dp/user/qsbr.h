/*
 * qsbr.h - when may what was unpublished be freed?
 *
 * Queue threads read shared structures without locks; one control thread changes them.  It makes
 * an object unreachable for newcomers and then gives it to qsbr_retire(), which frees it once no
 * thread can still hold a pointer to it.  That is the case when every thread has been, since then,
 * either *offline* (waiting for work) or in a *quiescent state* (between two batches, holding
 * nothing).  No reader ever waits or writes to shared memory within a batch.
 *
 * How it is known: retiring advances a global epoch.  A thread has one word, `seen`: 0 when it is
 * offline, else the epoch it read when it was last quiescent.  An object retired in epoch e can go
 * when every word is 0 or at least e.
 *
 * Why that is enough: coming online, and reading the word, are both atomic read-modify-writes, so
 * for each pair one comes first.  If the thread was first, the control thread sees it online with
 * an older epoch and waits.  If the control thread was first, the thread's operation synchronises
 * with it and therefore finds the object already unlinked.  (A fence between a plain store and a
 * load would do the same, but the thread sanitizer does not understand fences.)
 *
 * The control thread never waits either: what cannot go yet is looked at again by qsbr_poll(), for
 * which a thread that goes offline asks when there is something (qsbr_offline() says so): keys of
 * an SA that was deleted must not stay until something else happens.
 * Only when there is no memory for a note of 32 bytes does it wait for the threads (at most one
 * batch each) and free at once.
 */
#pragma once

#include <stdatomic.h>

#include "base/base.h"

enum {
	QSBR_MAX_THREADS = 8,
};

typedef void qsbr_free_fn(void *ctx, void *object);

struct qsbr_note;

struct qsbr {
	const struct alloc *mem;
	_Atomic uint64_t epoch;
	_Atomic bool
		waiting; /* something is on the list, and nobody has said that he was offline */
	size_t n_threads;
	struct qsbr_note *first; /* oldest */
	struct qsbr_note *last;
	struct {
		_Atomic uint64_t seen;
		uint8_t apart[56]; /* no cache line in common */
	} thread[QSBR_MAX_THREADS];
};

/* All threads begin offline. */
void qsbr_init(struct qsbr *q, const struct alloc *mem, size_t n_threads);
/* The threads have ended; frees what is left. */
void qsbr_done(struct qsbr *q);

/* For thread `i`, by itself: holds no pointers now, and goes on. */
static inline void qsbr_quiescent(struct qsbr *q, size_t i)
{
	uint64_t now = atomic_load_explicit(&q->epoch, memory_order_acquire);

	atomic_exchange_explicit(&q->thread[i].seen, now, memory_order_acq_rel);
}

static inline void qsbr_online(struct qsbr *q, size_t i)
{
	qsbr_quiescent(q, i);
}

/* True: qsbr_poll() may find something now.  If the control thread saw us online, it said before
 * that it waits, and the exchange of `seen` makes us see that. */
static inline bool qsbr_offline(struct qsbr *q, size_t i)
{
	atomic_exchange_explicit(&q->thread[i].seen, 0, memory_order_acq_rel);
	return atomic_load_explicit(&q->waiting, memory_order_relaxed) &&
	       atomic_exchange_explicit(&q->waiting, false, memory_order_relaxed);
}

/* Control thread: `object` was made unreachable; fn(ctx, object) will be called by this or a later
 * call of the control thread. */
void qsbr_retire(struct qsbr *q, qsbr_free_fn *fn, void *ctx, void *object);
/* Frees what can go. */
void qsbr_poll(struct qsbr *q);
