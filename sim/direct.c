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

	if (!s->sc->lossless && !s->sc->prompt)
		return;
	/* Where sites are they say as often as they come up. */
	if (c->words > WORDS * n + 4 * c->sas || c->probes > PROBES * n || c->calls > CALLS * n)
		check_failed(s, NULL, NULL,
			     "%llu words, %llu probes, %llu IKE messages for %llu suggestions",
			     (unsigned long long)c->words, (unsigned long long)c->probes,
			     (unsigned long long)c->calls, (unsigned long long)n);
}
