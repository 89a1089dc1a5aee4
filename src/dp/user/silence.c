/*
 * Traffic that nobody answers (DP_REPORT_SILENT), and when a peer was last heard and sent to.
 *
 * Time is counted in ticks of 2^24 ns (17 ms), so that a packet costs a comparison and one in a
 * tick a store.  The first packet behind the last that was heard makes its peer watched: its queue
 * notes the SPI, and looks at what it noted as long as there is any, a few times in DP_SILENCE_MS.
 * A peer that was heard meanwhile is forgotten, and watched again from its next packet on.
 *
 * What is noted is an SPI rather than a pointer, since the child may go at any time; then nobody
 * looks at its peer any more, which the next packet finds out by the age of the question.
 */
#include "dp/user/internal.h"

enum {
	TICK_BITS = 24,
	SILENCE_TICKS = ((int64_t)DP_SILENCE_MS * 1000000 >> TICK_BITS) + 1,
	LOOK_TICKS = 3,
	FORGOTTEN_TICKS = 4 * SILENCE_TICKS,
	FIRST_PAUSE_MS = 1000,
};

/* 0 stands for never. */
uint32_t tick_of(int64_t ns)
{
	uint32_t t = (uint32_t)(ns >> TICK_BITS);

	return t ? t : 1;
}

dur_t tick_since(uint32_t now, uint32_t then)
{
	int32_t ticks = (int32_t)(now - then);

	return (dur_t){ ticks > 0 ? (int64_t)ticks << TICK_BITS : 0 };
}

static uint32_t get(_Atomic uint32_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void set(_Atomic uint32_t *v, uint32_t to)
{
	atomic_store_explicit(v, to, memory_order_relaxed);
}

static bool reached(uint32_t now, uint32_t at)
{
	return (int32_t)(now - at) >= 0;
}

/* A packet in this very tick is one in another. */
void silence_init(struct peer *p)
{
	uint32_t before = tick_of(user_clock_ns()) - 1;

	atomic_init(&p->sent, before);
	atomic_init(&p->heard, before);
	atomic_init(&p->not_before, before);
}

/* ---- packets ------------------------------------------------------------------------------- */

/* Once in a tick. */
void silence_sent(struct queue *q, const struct child *c)
{
	struct peer *p = c->peer;
	uint32_t asked = get(&p->asked);

	set(&p->sent, q->tick);
	if (asked ? !reached(q->tick, asked + FORGOTTEN_TICKS)
		  : !reached(q->tick, get(&p->not_before)))
		return;
	if (q->n_watched == WATCHED_MAX) {
		count(q, C_UNWATCHED, 1);
		return;
	}
	/* Of several queues with the same thought one looks. */
	if (atomic_compare_exchange_strong_explicit(&p->asked, &asked, q->tick,
						    memory_order_relaxed, memory_order_relaxed))
		q->watched[q->n_watched++] = c->spi_in;
}

/* Once in a tick; whoever speaks is not used to be silent. */
void silence_heard(struct queue *q, struct peer *p)
{
	set(&p->heard, q->tick);
	if (get(&p->reports)) {
		set(&p->reports, 0);
		set(&p->not_before, q->tick);
	}
}

/* ---- looking ------------------------------------------------------------------------------- */

static uint32_t pause_after(uint32_t reports)
{
	int64_t ms = FIRST_PAUSE_MS;

	for (uint32_t i = 1; i < reports && ms < DP_SILENCE_MAX_S * 1000; i++)
		ms *= 2;
	if (ms > DP_SILENCE_MAX_S * 1000)
		ms = DP_SILENCE_MAX_S * 1000;
	return (uint32_t)(dur_ms(ms).ns >> TICK_BITS);
}

/* False: it goes on being watched. */
static bool settled(struct queue *q, const struct child *c)
{
	const struct dp_report r = { .kind = DP_REPORT_SILENT, .u.silent = { c->id } };
	struct peer *p = c->peer;
	uint32_t asked = get(&p->asked);

	if (!asked)
		return true;
	if (!reached(get(&p->heard), asked)) {
		if (!reached(q->tick, asked + SILENCE_TICKS) || !queue_report(q, &r))
			return false;
		set(&p->reports, get(&p->reports) + 1);
		set(&p->not_before, q->tick + pause_after(get(&p->reports)));
	}
	set(&p->asked, 0);
	return true;
}

void silence_look(struct queue *q)
{
	unsigned kept = 0;

	if (!q->n_watched || !reached(q->tick, q->looked + LOOK_TICKS))
		return;
	q->looked = q->tick;
	for (unsigned i = 0; i < q->n_watched; i++) {
		const struct child *c = sadb_by_spi(q->u, q->watched[i]);

		if (c && !settled(q, c))
			q->watched[kept++] = q->watched[i];
	}
	q->n_watched = kept;
}

int silence_wait_ms(const struct queue *q)
{
	return q->n_watched ? (LOOK_TICKS << TICK_BITS) / 1000000 + 1 : -1;
}
