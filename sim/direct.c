/* What must hold of tunnels between sites when nothing has gone wrong for a while; and what they
 * may cost. */
#include "check.h"

#include <stdlib.h>

/* ---- who should have one ------------------------------------------------------------------- */

static bool talk_to_each_other(const struct machine *a, const struct machine *b)
{
	return !a->s->silent && a->s->sc->traffic.hi &&
	       (a->app.partner == b || b->app.partner == a);
}

static bool may_have_one(const struct machine *a, const struct machine *b)
{
	if (sim_forbidden(a, b))
		return false;
	return a->s->sc->topology == TOPOLOGY_MESH ||
	       (a->s->sc->topology == TOPOLOGY_DYNAMIC && talk_to_each_other(a, b));
}

static bool has_one(const struct view *v, const struct machine *other)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->sa[i].with == other && v->sa[i].established)
			return true;
	return false;
}

/* All others in a mesh; else whom it asks itself, those who ask it being looked at, too. */
static const struct machine *missed(const struct machine *m, const struct view *v)
{
	const struct sim *s = m->s;

	for (unsigned i = s->sc->hubs; i < s->n; i++) {
		const struct machine *other = &s->machine[i];

		if (s->sc->topology != TOPOLOGY_MESH)
			other = m->app.partner;
		if (other != m && !other->hub && may_have_one(m, other) &&
		    nat_may_meet(m->nat, other->nat) && !has_one(v, other))
			return other;
		if (s->sc->topology != TOPOLOGY_MESH)
			break;
	}
	return NULL;
}

/* ---- one tunnel ---------------------------------------------------------------------------- */

static const char *at_the_other_end(const struct machine *m, const struct sa_view *a)
{
	struct machine *other = a->with;
	struct view v = view_of(other, VIEW_SITES);
	const struct sa_view *b = NULL;
	const char *what;

	for (size_t i = 0; i < v.n; i++)
		if (v.sa[i].with == m)
			b = &v.sa[i];
	what = b ? view_differ(m, a, other, b) : "a tunnel between sites has one end";
	mem_libc.free(NULL, v.sa);
	return what;
}

static const char *wrong_with(const struct machine *m, const struct view *v,
			      const struct sa_view *a)
{
	for (const struct sa_view *b = v->sa; b < v->sa + v->n; b++)
		if (b != a && b->with == a->with)
			return "it has two SAs with a partner";
	if (!may_have_one(m, a->with))
		return "it has an SA with a site that it does not talk to";
	if (!a->established && !nat_may_meet(m->nat, a->with->nat))
		return NULL; /* it is tried again and again */
	return at_the_other_end(m, a);
}

/* Packets of its talk went by the hub a moment ago.  Partners do not authenticate again: a tunnel
 * lives for as long as that may wait, and what was said before it was there is no sign. */
static bool is_forwarded(const struct machine *m)
{
	const struct scenario *sc = m->s->sc;
	int64_t pause = 3 * sc->traffic.hi + dur_s(1).ns;

	if (sc->reauth.ns && pause > sc->reauth.ns / 2)
		pause = sc->reauth.ns / 2;
	return m->app.forwarded.ns && mono_since(m->s->now.mono, m->app.forwarded).ns < pause;
}

const char *direct_disagreement(struct machine *m, const struct machine **ret_with)
{
	struct view v = view_of(m, VIEW_SITES);
	const char *what = NULL;

	*ret_with = NULL;
	for (size_t i = 0; i < v.n && !what; i++) {
		what = wrong_with(m, &v, &v.sa[i]);
		*ret_with = v.sa[i].with;
	}
	if (!what) {
		*ret_with = missed(m, &v);
		if (*ret_with)
			what = "it has no SA with a site that it talks to";
	}
	if (!what && talk_to_each_other(m, m->app.partner) && has_one(&v, m->app.partner) &&
	    is_forwarded(m)) {
		*ret_with = m->app.partner;
		what = "a hub forwards what it says to a site that it has an SA with";
	}
	mem_libc.free(NULL, v.sa);
	return what;
}

static bool any_pair(void *ctx, const struct mesh_pair_info *info)
{
	(void)info;
	*(bool *)ctx = true;
	return false;
}

bool direct_remembered(const struct machine *hub)
{
	bool any = false;

	if (hub->mesh && hub->s->silent && hub->s->sc->topology != TOPOLOGY_MESH)
		mesh_each_pair(hub->mesh, hub->s->now, any_pair, &any);
	return any;
}

/* ---- at any time --------------------------------------------------------------------------- */

enum {
	/* One that another takes the place of is gone so soon, unless trouble keeps the two from
	 * saying so to each other. */
	TWINS_S = 30,
	TWINS_SITES = 64, /* worlds of more are not looked at */
};

/* An SA that is up at both ends, with a child. */
static bool is_live(const struct machine *m, const struct sa_view *a, const struct view *other)
{
	for (size_t i = 0; i < other->n; i++) {
		const struct sa_view *b = &other->sa[i];

		if (b->with == m && b->spi_i == a->spi_i && b->spi_r == a->spi_r)
			return a->established && b->established && a->n_children && b->n_children;
	}
	return false;
}

static unsigned n_live(const struct view *a, const struct view *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < a->n; i++)
		n += a->sa[i].with == b->m && is_live(a->m, &a->sa[i], b);
	return n;
}

/* Nothing is wrong with either since then; MONO_NEVER: something is. */
static mono_t well_since(const struct machine *a, const struct machine *b)
{
	bool fenced = a->line.fenced || b->line.fenced;

	if (fenced || a->good.ns == MONO_NEVER.ns || b->good.ns == MONO_NEVER.ns)
		return MONO_NEVER;
	return mono_before(a->good, b->good) ? b->good : a->good;
}

static void check_twins(const struct view *a, const struct view *b, mono_t *since)
{
	const struct sim *s = a->m->s;
	mono_t well = well_since(a->m, b->m);
	int64_t most = dur_s(TWINS_S).ns;

	if (n_live(a, b) < 2) {
		*since = MONO_NEVER;
		return;
	}
	if (since->ns == MONO_NEVER.ns)
		*since = s->now.mono;
	if (well.ns == MONO_NEVER.ns || mono_before(*since, well) || s->sc->loss.hi)
		most = s->bound.ns;
	if (mono_since(s->now.mono, *since).ns > most)
		check_failed(s, a->m, b->m, "they have two tunnels for %lld s",
			     (long long)(mono_since(s->now.mono, *since).ns / 1000000000));
}

static mono_t *twins_new(const struct sim *s)
{
	size_t n = (size_t)s->sc->sites * s->sc->sites;
	mono_t *twins = sim_alloc(n * sizeof(*twins));

	for (size_t i = 0; i < n; i++)
		twins[i] = MONO_NEVER;
	return twins;
}

void check_tunnels(struct sim *s)
{
	unsigned n = s->sc->sites;
	struct view v[TWINS_SITES];

	if (s->sc->topology <= TOPOLOGY_STAR || n > TWINS_SITES)
		return;
	if (!s->twins)
		s->twins = twins_new(s);
	for (unsigned i = 0; i < n; i++)
		v[i] = view_of(&s->machine[s->sc->hubs + i], VIEW_SITES);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = i + 1; v[i].n && k < n; k++)
			if (v[k].n)
				check_twins(&v[i], &v[k], &s->twins[i * n + k]);
	for (unsigned i = 0; i < n; i++)
		mem_libc.free(NULL, v[i].sa);
}

/* ---- cost ---------------------------------------------------------------------------------- */

enum {
	/* Of one suggestion, in scenarios without loss: SUGGEST, CANDIDATES, REPORT up and over,
	 * and WITHDRAW, of or to both, with their answers. */
	WORDS = 2 * 5 * 2,
	/* Questions and answers of both along every way there is: host and seen. */
	PROBES = 2 * 2 * 2 * 5,
	/* IKE_SA_INIT, with a cookie and another group, IKE_AUTH, the end, and what is said in
	 * between: keys are replaced, and silence is asked about. */
	CALLS = 24,
};

void check_frugal(const struct sim *s)
{
	const struct sim_counts *c = &s->counts;
	uint64_t n = c->suggested;

	/* Hubs that know each other say more than what is about suggestions. */
	if ((!s->sc->lossless && !s->sc->prompt) || sim_hubs_know(s))
		return;
	/* Where sites are they say as often as they come up. */
	if (c->words > WORDS * n + 4 * c->sas || c->probes > PROBES * n || c->calls > CALLS * n)
		check_failed(s, NULL, NULL,
			     "%llu words, %llu probes, %llu IKE messages for %llu suggestions",
			     (unsigned long long)c->words, (unsigned long long)c->probes,
			     (unsigned long long)c->calls, (unsigned long long)n);
}
