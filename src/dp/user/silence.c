/*
 * Traffic that nobody answers (DP_REPORT_SILENT) and such that comes to an end (DP_REPORT_CEASED);
 * and when a peer was last heard and sent to.
 *
 * Time is counted in ticks of 2^24 ns (17 ms), so that a packet costs a comparison and one in a
 * tick a store.  The first packet behind the last that was heard makes its peer watched: its queue
 * notes the SPI, and looks at what it noted as long as there is any, a few times in DP_SILENCE_MS.
 * A peer that was heard meanwhile is forgotten, and watched again from its next packet on.  What
 * goes out right behind what came in is taken for the answer to it and makes nobody watched.  A
 * peer that is watched for CEASED stays noted as long as it is heard.
 *
 * What is noted is an SPI rather than a pointer, since the child may go at any time; then nobody
 * looks at its peer any more, which the next packet finds out by the age of the question.
 */
#include "dp/user/internal.h"

enum {
	SILENCE_TICKS = ((int64_t)DP_SILENCE_MS * 1000000 >> TICK_BITS) + 1,
	ANSWER_TICKS = (int64_t)DP_ANSWER_MS * 1000000 >> TICK_BITS,
	LOOK_TICKS = 3,
	FORGOTTEN_TICKS = 4 * SILENCE_TICKS,
	CEASED_TICKS = ((int64_t)DP_CEASED_MS * 1000000 >> TICK_BITS) + 1,
	SILENCE_PAUSE_S = 1, /* the shortest */
	DOUBLED_MAX = 15,
};

/* 0 stands for never. */
static uint32_t not_zero(uint32_t tick)
{
	return tick ? tick : 1;
}

uint32_t tick_of(int64_t ns)
{
	return not_zero((uint32_t)(ns >> TICK_BITS));
}

uint32_t tick_after(uint32_t tick, uint32_t ticks)
{
	return not_zero(tick + ticks);
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

/* Reports of a kind, up to what makes no difference any more. */
static unsigned nth(_Atomic uint16_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void one_more(_Atomic uint16_t *v)
{
	unsigned n = nth(v);

	if (n < DOUBLED_MAX)
		atomic_store_explicit(v, (uint16_t)(n + 1), memory_order_relaxed);
}

static void begin_anew(_Atomic uint16_t *v)
{
	atomic_store_explicit(v, 0, memory_order_relaxed);
}

static bool reached(uint32_t now, uint32_t at)
{
	return (int32_t)(now - at) >= 0;
}

/* A packet in this very tick is one in another, and no answer. */
void silence_init(struct peer *p)
{
	uint32_t before = tick_of(user_clock_ns()) - ANSWER_TICKS;

	atomic_init(&p->sent, before);
	atomic_init(&p->heard, before);
	atomic_init(&p->not_before, before);
}

void silence_wanted(struct peer *p, const struct dp_child *d)
{
	if (d->ceases && !get(&p->ceased))
		set(&p->ceased, not_zero(get(&p->heard)));
}

/* ---- packets ------------------------------------------------------------------------------- */

static void note(struct queue *q, struct watch *w, const struct child *c)
{
	if (w->n < WATCHED_MAX)
		w->v[w->n++] = (struct watched){ c->spi_in, q->tick };
	else
		count(q, C_UNWATCHED, 1);
}

/* Of several queues with the same thought one goes on. */
static bool is_first(_Atomic uint32_t *v, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(v, &from, to, memory_order_relaxed,
						       memory_order_relaxed);
}

/* Once in a tick. */
void silence_sent(struct queue *q, const struct child *c)
{
	struct peer *p = c->peer;
	uint32_t asked = get(&p->asked);

	set(&p->sent, q->tick);
	if (asked ? !reached(q->tick, asked + FORGOTTEN_TICKS)
		  : !reached(q->tick, get(&p->not_before)) ||
			    !reached(q->tick, get(&p->heard) + ANSWER_TICKS))
		return;
	if (is_first(&p->asked, asked, q->tick))
		note(q, &q->asked, c);
}

static uint32_t after(const struct queue *q, uint32_t ticks)
{
	return tick_after(q->tick, ticks);
}

/* Once in a tick; whoever speaks is not used to be silent. */
void silence_heard(struct queue *q, const struct child *c, bool traffic)
{
	struct peer *p = c->peer;
	uint32_t ceased = get(&p->ceased);

	set(&p->heard, q->tick);
	if (traffic && ceased && reached(q->tick, ceased) &&
	    is_first(&p->ceased, ceased, after(q, FORGOTTEN_TICKS)))
		note(q, &q->flowing, c);
	if (nth(&p->reports)) {
		begin_anew(&p->reports);
		set(&p->not_before, q->tick);
	}
}

/* ---- looking ------------------------------------------------------------------------------- */

/* After that many reports. */
static uint32_t pause_after(int64_t shortest_s, unsigned reports)
{
	int64_t s = shortest_s << (reports - 1);

	return (uint32_t)(dur_s(s < DP_SILENCE_MAX_S ? s : DP_SILENCE_MAX_S).ns >> TICK_BITS);
}

/* False: it goes on being watched. */
static bool has_answered(struct queue *q, const struct child *c, uint32_t since)
{
	const struct dp_report r = { .kind = DP_REPORT_SILENT, .u.silent = { c->id } };
	struct peer *p = c->peer;

	if (get(&p->asked) != since)
		return true;
	if (!reached(get(&p->heard), since)) {
		if (!reached(q->tick, since + SILENCE_TICKS) || !queue_report(q, &r))
			return false;
		one_more(&p->reports);
		set(&p->not_before, q->tick + pause_after(SILENCE_PAUSE_S, nth(&p->reports)));
	}
	set(&p->asked, 0);
	return true;
}

/* As long as it is noted nobody else notes it. */
static bool has_ceased(struct queue *q, const struct child *c, uint32_t since)
{
	const struct dp_report r = { .kind = DP_REPORT_CEASED, .u.silent = { c->id } };
	struct peer *p = c->peer;

	if (!reached(q->tick, get(&p->heard) + CEASED_TICKS) || !queue_report(q, &r)) {
		set(&p->ceased, after(q, FORGOTTEN_TICKS));
		return false;
	}
	if (nth(&p->ends) &&
	    reached(get(&p->heard), since + pause_after(DP_CEASED_MIN_S, nth(&p->ends))))
		begin_anew(&p->ends);
	one_more(&p->ends);
	set(&p->ceased, after(q, pause_after(DP_CEASED_MIN_S, nth(&p->ends))));
	return true;
}

static void look(struct queue *q, struct watch *w,
		 bool (*is_done)(struct queue *q, const struct child *c, uint32_t since))
{
	unsigned kept = 0;

	for (unsigned i = 0; i < w->n; i++) {
		const struct child *c = sadb_by_spi(q->u, w->v[i].spi);

		if (c && !is_done(q, c, w->v[i].since))
			w->v[kept++] = w->v[i];
	}
	w->n = kept;
}

void silence_look(struct queue *q)
{
	if ((!q->asked.n && !q->flowing.n) || !reached(q->tick, q->looked + LOOK_TICKS))
		return;
	q->looked = q->tick;
	look(q, &q->asked, has_answered);
	look(q, &q->flowing, has_ceased);
}

int silence_wait_ms(const struct queue *q)
{
	return q->asked.n || q->flowing.n ? (LOOK_TICKS << TICK_BITS) / 1000000 + 1 : -1;
}
