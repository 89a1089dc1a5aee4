/* What must hold of hubs that know each other: when nothing has gone wrong for a while they agree
 * on who is where, and everybody knows of all of them. */
#include "check.h"

/* ---- between two --------------------------------------------------------------------------- */

/* The other end of an SA. */
static const struct sa_view *other_end(const struct view *v, const struct machine *with,
				       const struct sa_view *sa)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->sa[i].with == with && v->sa[i].spi_i == sa->spi_i &&
		    v->sa[i].spi_r == sa->spi_r)
			return &v->sa[i];
	return NULL;
}

/* One SA, or where both call, one of each. */
static const char *between(const struct view *a, const struct view *b)
{
	unsigned most = a->m->s->sc->hubs_call == HUBS_CALL_ALL ? 2 : 1, n = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct sa_view *end;
		const char *what;

		if (a->sa[i].with != b->m)
			continue;
		end = other_end(b, a->m, &a->sa[i]);
		what = end ? view_differ(a->m, &a->sa[i], b->m, end)
			   : "an SA between hubs has one end";
		if (what)
			return what;
		n++;
	}
	if (!n)
		return "two hubs have no SA";
	return n > most ? "two hubs have more SAs than they need" : NULL;
}

/* ---- who is where -------------------------------------------------------------------------- */

struct look {
	const struct machine *hub;
	const struct view *hubs;
	const struct machine *wrong;
	unsigned n;
};

/* That hub has an SA with it. */
static bool is_at(const struct view *v, const struct machine *site)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->sa[i].with == site && v->sa[i].established)
			return true;
	return false;
}

static bool look_at_member(void *ctx, const struct mesh_member_info *info)
{
	struct look *l = ctx;
	const struct sim *s = l->hub->s;
	const struct machine *site = sim_by_name(s, info->identity.data);
	const struct machine *at = info->at.type ? sim_by_name(s, info->at.data) : l->hub;

	if (!site || site->hub || !at || !at->hub || (info->at.type && info->peer) ||
	    !is_at(&l->hubs[at - s->machine], site))
		l->wrong = site ? site : l->hub;
	l->n++;
	return !l->wrong;
}

static const char *directory(const struct machine *hub, const struct view *hubs,
			     const struct machine **ret_with)
{
	struct look l = { .hub = hub, .hubs = hubs };

	mesh_each_member(hub->mesh, look_at_member, &l);
	*ret_with = l.wrong;
	if (l.wrong)
		return "its directory has a site where it is not";
	return l.n == hub->s->sc->sites ? NULL : "its directory does not have all sites";
}

const char *hubs_disagreement(const struct machine *hub, const struct view *hubs,
			      const struct machine **ret_with)
{
	const struct sim *s = hub->s;

	for (unsigned i = 0; sim_hubs_know(s) && i < s->sc->hubs; i++) {
		const char *what;

		if (&s->machine[i] == hub || sim_absent(&s->machine[i]))
			continue;
		what = between(&hubs[hub - s->machine], &hubs[i]);
		*ret_with = &s->machine[i];
		if (what)
			return what;
	}
	return sim_hubs_know(s) ? directory(hub, hubs, ret_with) : NULL;
}

/* ---- what sites know ----------------------------------------------------------------------- */

const char *hubs_unknown(const struct machine *site, const struct machine **ret_with)
{
	const struct sim *s = site->s;

	for (unsigned i = 0; sim_hubs_know(s) && i < s->sc->hubs; i++) {
		*ret_with = &s->machine[i];
		if (!sim_absent(&s->machine[i]) && !(site->knows >> i & 1))
			return "a site has not heard of a hub";
	}
	return NULL;
}
