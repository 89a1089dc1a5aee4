/*
 * idle.c - an SA without traffic that counts ends, where its section says so (`idle`).
 *
 * The data plane knows when a child was used last (dp_counts()), and is asked when it may have been
 * so long ago, and before the child is replaced.  One that was never used since it took the place
 * of another says nothing: new keys are no traffic.
 */
#include "ike/partner.h"

/* Within so much of its beginning the data plane's clock and ours are about the same thing. */
enum { IDLE_NEW_MS = 1000, IDLE_ASK_LEAST_MS = 1000 };

static void arm(struct ike *ike, struct ike_sa *sa, dur_t idle)
{
	mono_t least = mono_add(ike->now.mono, dur_ms(IDLE_ASK_LEAST_MS));
	mono_t due = mono_add(sa->used, idle);

	heap_arm(&ike->timers, &sa->idle, mono_before(due, least) ? least : due);
}

void idle_begin(struct ike *ike, struct ike_sa *sa)
{
	dur_t idle = sa->peer->conf->idle;

	if (sa->used.ns == 0)
		sa->used = ike->now.mono;
	if (idle.ns > 0)
		arm(ike, sa, idle);
	else
		idle_end(ike, sa);
}

void idle_end(struct ike *ike, struct ike_sa *sa)
{
	heap_disarm(&ike->timers, &sa->idle);
}

static void judge(struct ike *ike, struct ike_sa *sa)
{
	char why[80];
	struct text t = TEXT_OF(why);
	dur_t idle = sa->peer->conf->idle;

	if (idle.ns <= 0)
		return;
	/* An answer that never came may have said that it was used until just now. */
	if (sa->unsaid)
		sa->used = ike->now.mono;
	sa->unsaid = 0;
	if (mono_since(ike->now.mono, sa->used).ns < idle.ns) {
		arm(ike, sa, idle);
		return;
	}
	count(ike, C_IDLE);
	text_fmt(&t, "idle: no traffic that counts for %lld s",
		 (long long)(dur_to_ms(mono_since(ike->now.mono, sa->used)) / 1000));
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
void idle_timer(struct ike *ike, struct ike_sa *sa)
{
	sa->idle_asked = false;
	if (sa->state != SA_UP)
		return;
	heap_arm(&ike->timers, &sa->idle, mono_add(ike->now.mono, dur_ms(IDLE_ASK_LEAST_MS)));
	if (list_empty(&sa->children)) {
		judge(ike, sa);
	} else if (all_asked(sa, false)) {
		list_for_each(n, &sa->children)
			child_query(ike, CONTAINER_OF(n, struct child, node));
		sa->idle_asked = all_asked(sa, true);
	}
}

void idle_replaced(struct ike *ike, struct child *c)
{
	if (c->sa->peer->conf->idle.ns <= 0)
		return;
	child_query(ike, c);
	c->sa->unsaid = c->id;
}

/* They are asked, and answer, in their order. */
void idle_counted(struct ike *ike, const struct child *c, const struct dp_counters *counters)
{
	struct ike_sa *sa = c->sa;
	mono_t used, fresh = mono_add(c->created, dur_ms(IDLE_NEW_MS));

	if (sa->state != SA_UP)
		return;
	if (sa->unsaid == c->id)
		sa->unsaid = 0;
	used = (mono_t){ ike->now.mono.ns - counters->since_used.ns };
	/* Of before a reload that wants to know. */
	if (!c->counts)
		used = ike->now.mono;
	if (mono_before(fresh, used) && mono_before(sa->used, used))
		sa->used = used;
	if (!sa->idle_asked || &c->node != sa->children.prev)
		return;
	sa->idle_asked = false;
	judge(ike, sa);
}
