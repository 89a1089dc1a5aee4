/* Who asks whom, until when; and how soon a direct path carries what one asks. */
#include "check.h"

enum {
	REST_S = 3, /* between two talks: what is under way arrives */
	PAUSES = 64, /* in the time that a path may take */
	SET_UP_MS = 50, /* on top of round trips */
};

static struct machine *sites(const struct sim *s)
{
	return s->machine + s->sc->hubs;
}

/* ---- whom ---------------------------------------------------------------------------------- */

static void talk_with(struct machine *m, struct machine *partner)
{
	struct app *a = &m->app;

	a->talk[a->talks++ % TALKS] = (struct talk){ partner, a->asked + 1 };
	a->partner = partner;
	a->since = m->s->now.mono;
	a->until = MONO_NEVER;
	if (m->s->sc->talk.hi)
		a->until = mono_add(a->since, (dur_t){ dice_in(&a->dice, &m->s->sc->talk) });
	a->open = 0;
	a->counted = m->s->counts.checks && (m->s->sc->lossless || m->s->sc->prompt);
}

void talk_begin(struct machine *m)
{
	const struct scenario *sc = m->s->sc;
	struct machine *site = sites(m->s);

	/* With one site alone, its hub. */
	talk_with(m, sc->sites == 1 || sc->to_hub ? m->s->machine : &site[m->number % sc->sites]);
}

/* Anybody but itself. */
static struct machine *draw(struct machine *m)
{
	unsigned own = m->number - 1;
	unsigned other = (unsigned)dice_below(&m->app.dice, m->s->sc->sites - 1);

	return &sites(m->s)[other + (other >= own)];
}

void talk_silence(struct sim *s)
{
	s->silent = true;
	for (unsigned i = s->sc->hubs; i < s->n; i++)
		heap_disarm(&s->timers, &s->machine[i].ask);
}

void talk_resume(struct sim *s)
{
	s->silent = false;
	if (!s->sc->traffic.hi)
		return;
	for (unsigned i = s->sc->hubs; i < s->n; i++) {
		struct machine *m = &s->machine[i];

		m->app.since = s->now.mono;
		app_ask(m);
	}
}

const struct machine *talk_asked(const struct machine *m, uint64_t number)
{
	const struct app *a = &m->app;

	for (unsigned i = a->talks; i > 0 && i + TALKS > a->talks; i--) {
		const struct talk *t = &a->talk[(i - 1) % TALKS];

		if (number >= t->first)
			return t->partner;
	}
	return NULL;
}

static bool is_of_this(const struct machine *m, uint64_t number)
{
	return number >= m->app.talk[(m->app.talks - 1) % TALKS].first;
}

void talk_answered(struct machine *m, uint64_t number)
{
	if (is_of_this(m, number) && m->app.open)
		m->app.open--;
}

void talk_forwarded(struct machine *m, uint64_t number)
{
	if (is_of_this(m, number))
		m->app.forwarded = m->s->now.mono;
}

/* ---- how soon ------------------------------------------------------------------------------ */

struct look {
	const struct machine *other;
	bool found;
};

static bool match_shortcut(void *ctx, const struct mesh_shortcut_info *info)
{
	struct look *l = ctx;

	l->found |= info->peer && sim_by_name(l->other->s, info->partner.data) == l->other;
	return !l->found;
}

static bool has_shortcut(const struct machine *m, const struct machine *other)
{
	struct look l = { other, false };

	mesh_each_shortcut(m->mesh, m->s->now, match_shortcut, &l);
	return l.found;
}

struct look_pair {
	const struct machine *a, *b;
	bool found;
};

static bool match_pair(void *ctx, const struct mesh_pair_info *info)
{
	struct look_pair *l = ctx;
	const struct machine *a = sim_by_name(l->a->s, info->a.data);
	const struct machine *b = sim_by_name(l->a->s, info->b.data);

	l->found = (a == l->a && b == l->b) || (a == l->b && b == l->a);
	return !l->found;
}

static bool hub_knows(const struct machine *a, const struct machine *b)
{
	struct look_pair l = { a, b, false };

	mesh_each_pair(a->s->machine[0].mesh, a->s->now, match_pair, &l);
	return l.found;
}

static bool match_asked(void *ctx, const struct ike_sa_info *info)
{
	struct look *l = ctx;

	l->found |= info->asks && sim_by_name(l->other->s, info->remote_id.data) == l->other;
	return !l->found;
}

/* The hub waits for an answer of it, and says nothing else before. */
static bool is_asked(const struct machine *m)
{
	struct look l = { m, false };

	ike_each_sa(m->s->machine[0].ike, m->s->now, match_asked, &l);
	return l.found;
}

/* Nobody has said anything to the other for long, and the way between them is as good as any. */
static bool is_fresh(const struct machine *m)
{
	const struct machine *other = m->app.partner;

	return m->mesh && other->mesh && m->s->machine[0].mesh &&
	       nat_may_meet(m->nat, other->nat) && !has_shortcut(m, other) &&
	       !has_shortcut(other, m) && !hub_knows(m, other) && !is_asked(m) && !is_asked(other);
}

/* One round trip through the hub and three direct ones. */
static dur_t time_for(const struct machine *m)
{
	int64_t direct = 2 * (m->line.delay.ns + m->app.partner->line.delay.ns);
	int64_t hub = direct + 4 * m->s->machine[0].line.delay.ns;

	return (dur_t){ hub + 3 * direct + dur_ms(SET_UP_MS).ns };
}

dur_t talk_hurry(const struct machine *m)
{
	return (dur_t){ m->app.within.ns / PAUSES };
}

static void begin_timing(struct machine *m)
{
	if (!m->s->sc->prompt || m->s->phase != PHASE_FAULTS || !is_fresh(m))
		return;
	m->app.began = m->s->now.mono;
	m->app.within = time_for(m);
	m->app.suggested = m->s->counts.suggested;
}

/* A hub says one thing at a time to a site: what it asks for other reasons may be in front. */
static void forget_disturbed(struct machine *m)
{
	if (m->s->counts.suggested > m->app.suggested + 1 ||
	    !mono_before(m->app.disturbed, m->app.began) ||
	    !mono_before(m->app.partner->app.disturbed, m->app.began))
		m->app.began.ns = 0;
}

/* What is asked just before is as late as the pause before the next question. */
static bool is_late(const struct machine *m, mono_t at)
{
	int64_t most = m->app.within.ns + talk_hurry(m).ns;

	return mono_since(at, m->app.began).ns > most;
}

static void check_late(const struct machine *m, mono_t at)
{
	if (m->app.began.ns && is_late(m, at))
		check_failed(m->s, m, m->app.partner,
			     "no direct path %lld us after the first packet, %lld are allowed",
			     (long long)(mono_since(at, m->app.began).ns / 1000),
			     (long long)(m->app.within.ns / 1000));
}

void talk_carried(struct machine *m, uint64_t number, mono_t sent)
{
	struct sim_counts *c = &m->s->counts;
	int64_t took;

	forget_disturbed(m);
	if (!m->app.began.ns || !is_of_this(m, number))
		return;
	check_late(m, sent);
	took = mono_since(sent, m->app.began).ns * 1000 / m->app.within.ns;
	c->prompt++;
	if (took > c->prompt_worst)
		c->prompt_worst = took;
	m->app.began.ns = 0;
}

/* ---- one after the other ------------------------------------------------------------------- */

static void rest(struct machine *m)
{
	m->app.resting = true;
	heap_arm(&m->s->timers, &m->ask, mono_add(m->s->now.mono, dur_s(REST_S)));
}

static void turn(struct machine *m)
{
	if (m->app.counted && m->app.open)
		check_failed(m->s, m, m->app.partner, "%llu questions, or their answers, were lost",
			     (unsigned long long)m->app.open);
	m->app.resting = false;
	m->app.began.ns = 0;
	talk_with(m, draw(m));
	begin_timing(m);
}

bool talk_goes_on(struct machine *m)
{
	struct sim *s = m->s;
	bool over = !mono_before(s->now.mono, m->app.until);

	forget_disturbed(m);
	/* It may be on its way by now. */
	if (m->app.began.ns && is_late(m, mono_add(s->now.mono, (dur_t){ -m->app.within.ns })))
		check_late(m, s->now.mono);
	if (m->app.resting) {
		turn(m);
		return true;
	}
	if (over && s->phase == PHASE_FAULTS)
		rest(m);
	return !m->app.resting;
}
