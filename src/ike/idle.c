/*
 * idle.c - an SA without traffic that counts ends, where its section says so (`idle`).
 *
 * The data plane knows when a child was used last (dp_counts()), and is asked when it may have been
 * so long ago, and before the child is replaced.  One that was never used since it took the place
 * of another says nothing: new keys are no traffic.
 */
#include "ike/partner.h"

/* Within so much of its beginning the data plane's clock and ours are about the same thing. */
enum { IDLE_NEW_MS = 1000 };

/* Of ike_sa.used: 67 ms, so 32 bits of it are nine years. */
enum { UNIT_BITS = 26 };

/* Not before it was. */
static uint32_t in_units(mono_t t)
{
	return (uint32_t)((t.ns >> UNIT_BITS) + 1);
}

static mono_t last_used(const struct ike_sa *sa)
{
	return (mono_t){ (int64_t)sa->used << UNIT_BITS };
}

void idle_begin(struct ike *ike, struct ike_sa *sa)
{
	if (sa->used == 0)
		sa->used = in_units(ike->now.mono);
}

mono_t idle_due(const struct ike_sa *sa)
{
	dur_t idle = sa->peer->conf->idle;

	return idle.ns > 0 ? mono_add(last_used(sa), idle) : MONO_NEVER;
}

static void judge(struct ike *ike, struct ike_sa *sa)
{
	char why[80];
	struct text t = TEXT_OF(why);
	dur_t since;

	/* An answer that never came may have said that it was used until just now. */
	if (sa->unsaid)
		sa->used = in_units(ike->now.mono);
	sa->unsaid = false;
	if (mono_before(ike->now.mono, idle_due(sa)))
		return;
	since = mono_since(ike->now.mono, last_used(sa));
	count(ike, C_IDLE);
	text_fmt(&t, "idle: no traffic that counts for %lld s",
		 (long long)(dur_to_ms(since) / 1000));
	partner_ending(ike, sa, IKE_R_IDLE, why);
	sa_delete(ike, sa, why);
}

static bool all_asked(const struct ike_sa *sa, bool want)
{
	list_for_each(n, &sa->children)
		if ((CONTAINER_OF(n, const struct child, node)->op != 0) != want)
			return false;
	return true;
}

/* Should an answer never come (no memory for the question), or one be wanted of something else
 * first, it is asked again. */
void idle_ask(struct ike *ike, struct ike_sa *sa)
{
	sa->used_asked = false;
	if (sa->state != SA_UP)
		return;
	if (list_empty(&sa->children)) {
		judge(ike, sa);
	} else if (all_asked(sa, false)) {
		list_for_each(n, &sa->children)
			child_query(ike, CONTAINER_OF(n, struct child, node));
		sa->used_asked = all_asked(sa, true);
	}
}

void idle_replaced(struct ike *ike, struct child *c)
{
	if (c->sa->peer->conf->idle.ns <= 0)
		return;
	child_query(ike, c);
	c->unsaid = c->sa->unsaid = true;
}

static bool any_unsaid(const struct list *children)
{
	list_for_each(n, children)
		if (CONTAINER_OF(n, const struct child, node)->unsaid)
			return true;
	return false;
}

static void said(struct child *c)
{
	struct ike_sa *sa = c->sa;

	c->unsaid = false;
	sa->unsaid = any_unsaid(&sa->children) || any_unsaid(&sa->leaving);
}

/* They are asked, and answer, in their order. */
void idle_counted(struct ike *ike, struct child *c, const struct dp_counters *counters)
{
	struct ike_sa *sa = c->sa;
	mono_t used, fresh = mono_add(c->created, dur_ms(IDLE_NEW_MS));

	if (sa->state != SA_UP)
		return;
	if (c->unsaid)
		said(c);
	used = (mono_t){ ike->now.mono.ns - counters->since_used.ns };
	/* Of before a reload that wants to know. */
	if (!c->counts)
		used = ike->now.mono;
	if (mono_before(fresh, used) && mono_before(last_used(sa), used))
		sa->used = in_units(used);
	if (!sa->used_asked || &c->node != sa->children.prev)
		return;
	sa->used_asked = false;
	judge(ike, sa);
}
