/* What must hold when nothing has gone wrong for a while: both ends agree, and nothing is left over
 * of what was. */
#include "check.h"

#include <stdlib.h>

enum {
	CHECK_S = 10,
	/* On top of the bound of black holes: what SAs need that one end has given up and the other
	 * does not know of, and then the pauses of a rekey that met another. */
	QUIET_S = 300,
	/* mesh/limits.h; an outcome is so much memory. */
	AWAY_S = 300,
	PAST = 64,
	PAST_BLOCKS = 4,
	PAST_BYTES = 2500,
	MOMENT_S = 90, /* no handshake takes longer, nor the end of what a rekey replaced */
};

/* ---- looking ------------------------------------------------------------------------------- */

static bool view_child(void *ctx, const struct ike_child_info *info)
{
	struct sa_view *sa = ctx;

	if (sa->n_children < CHILDREN_MAX)
		sa->child[sa->n_children] =
			(struct child_view){ info->spi_in, info->spi_out, info->installed };
	sa->n_children++;
	return true;
}

static bool is_looked_at(const struct view *v, const struct ike_sa_info *info)
{
	const struct machine *with = sim_by_name(v->m->s, info->remote_id.data);
	bool site = with && !with->hub;

	return v->which == VIEW_ALL || site == (v->which == VIEW_SITES);
}

static bool view_sa(void *ctx, const struct ike_sa_info *info)
{
	struct view *v = ctx;
	struct sa_view *sa = &v->sa[v->n];

	if (!is_looked_at(v, info))
		return true;
	if (v->n++ >= v->max)
		return true;
	*sa = (struct sa_view){
		.id = info->id,
		.with = sim_by_name(v->m->s, info->remote_id.data),
		.spi_i = info->spi_i,
		.spi_r = info->spi_r,
		.initiator = info->initiator,
		.established = info->established,
		.local = info->local,
		.remote = info->remote,
	};
	ike_each_child(v->m->ike, v->m->s->now, info, view_child, sa);
	return true;
}

static int by_machine(const void *a, const void *b)
{
	const struct sa_view *x = a, *y = b;

	return x->with < y->with ? -1 : x->with > y->with;
}

struct view view_of(struct machine *m, unsigned which)
{
	struct view v = { .m = m, .which = which };

	if (!m->ike)
		return v;
	v.max = ike_totals(m->ike).sas + ike_totals(m->ike).half_open + 1;
	v.sa = sim_alloc(v.max * sizeof(*v.sa));
	ike_each_sa(m->ike, m->s->now, view_sa, &v);
	if (v.n > v.max)
		check_failed(m->s, m, NULL, "more SAs than it says");
	return v;
}

/* All SAs of a hub, in the order of the machines at their other ends. */
static struct view hub_view(struct machine *hub)
{
	struct view v = view_of(hub, VIEW_ALL);

	if (!v.n)
		return v;
	qsort(v.sa, v.n, sizeof(*v.sa), by_machine);
	return v;
}

/* The SAs with that machine. */
static const struct sa_view *with(const struct view *v, const struct machine *m, size_t *ret_n)
{
	size_t lo = 0, hi = v->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (v->sa[mid].with < m)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (*ret_n = 0; lo + *ret_n < v->n && v->sa[lo + *ret_n].with == m; ++*ret_n)
		continue;
	return &v->sa[lo];
}

/* ---- agreement ----------------------------------------------------------------------------- */

/* Where the site is, as the other end sees it.  Without a mapping nobody can say. */
static bool is_seen_as(const struct machine *site, const struct sa_view *own,
		       const struct endpoint *there)
{
	struct endpoint outside;

	if (!site->nat || nat_neighbour(site->nat, &own->remote.ip))
		return endpoint_eq(&own->local, there);
	return !nat_seen_as(site->nat, &own->local, &own->remote, &outside) ||
	       endpoint_eq(&outside, there);
}

/* Between sites it is enough that what is sent there gets to it, if by another mapping of its NAT
 * than that which it sends by. */
static bool leads_to(const struct machine *from, const struct sa_view *own,
		     const struct machine *to, const struct sa_view *theirs)
{
	const struct place *at = sim_place(from->s, &own->remote.ip);
	struct endpoint src = own->local, dst = own->remote;

	if (is_seen_as(to, theirs, &dst))
		return true;
	if (from->hub || !to->nat || !at || at->nat != to->nat)
		return false;
	if (from->nat)
		(void)nat_seen_as(from->nat, &own->local, &own->remote, &src);
	return nat_in(to->nat, &src, &dst) == to;
}

const char *view_differ(const struct machine *m, const struct sa_view *a,
			const struct machine *other, const struct sa_view *b)
{
	if (!a->established || !b->established)
		return "one end is not up";
	if (a->spi_i != b->spi_i || a->spi_r != b->spi_r)
		return "they have other IKE SAs";
	if (a->initiator == b->initiator)
		return "both are the original initiator, or none is";
	if (a->n_children != 1 || b->n_children != 1)
		return "they do not have one child each";
	if (a->child[0].in != b->child[0].out || a->child[0].out != b->child[0].in)
		return "they have other children";
	if (!a->child[0].installed || !b->child[0].installed)
		return "a child is not installed";
	if (!leads_to(m, a, other, b) || !leads_to(other, b, m, a))
		return "they have other addresses";
	return NULL;
}

/* The site's one SA, with one hub. */
static const char *with_hubs(const struct machine *site, const struct view *v,
			     const struct view *hubs)
{
	const struct sa_view *theirs = NULL;
	size_t n_theirs = 0;

	if (v->n != 1)
		return v->n ? "the site has several IKE SAs" : "the site has no IKE SA";
	for (unsigned i = 0; i < site->s->sc->hubs; i++) {
		size_t n;
		const struct sa_view *sa = with(&hubs[i], site, &n);

		n_theirs += n;
		if (n && v->sa[0].with == hubs[i].m)
			theirs = sa;
	}
	if (n_theirs != 1 || !theirs)
		return n_theirs ? "hubs have several IKE SAs with it"
				: "no hub has an IKE SA with it";
	return view_differ(site, &v->sa[0], v->sa[0].with, theirs);
}

static const char *disagreement(struct machine *site, const struct view *hubs,
				const struct machine **ret_with)
{
	struct view v;
	const char *what;

	*ret_with = site->s->machine;
	if (!site->ike)
		return "it does not run";
	v = view_of(site, VIEW_HUBS);
	what = with_hubs(site, &v, hubs);
	mem_libc.free(NULL, v.sa);
	if (!what)
		what = hubs_unknown(site, ret_with);
	return what ? what : direct_disagreement(site, ret_with);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* What became of tunnels with how many partners a site remembers; in a full mesh a hub knows what
 * was wrong last between any two. */
static size_t remembered(const struct machine *m)
{
	size_t others = m->s->sc->sites - 1;

	if (m->s->sc->topology <= TOPOLOGY_STAR)
		return 0;
	if (m->hub)
		return m->s->sc->topology == TOPOLOGY_MESH ? others * (others + 1) / 2 : 0;
	return others < PAST ? others : PAST;
}

/* Tables that grew stay as they are, answers are kept for minutes, and paths and callers are
 * remembered: a leak of a day is more than that.  With several hubs one has more SAs than before.
 * When nobody talks all is as in the beginning, when nobody did. */
static void check_memory(struct machine *m)
{
	bool silent = m->s->silent && m->base_blocks;
	size_t sas = ike_totals(m->ike).sas;
	size_t more = sas > m->base_sas ? sas - m->base_sas : 0;
	size_t past = remembered(m), part = silent ? 8 : 2;

	if (!m->base_blocks) {
		m->base_blocks = m->mem.live;
		m->base_bytes = m->mem.live_bytes;
		m->base_sas = sas;
	}
	if (m->mem.live > m->base_blocks + m->base_blocks / part + (silent ? 32 : 64) + 24 * more +
				  PAST_BLOCKS * past ||
	    m->mem.live_bytes > m->base_bytes + m->base_bytes / part + (silent ? 16384 : 131072) +
					16384 * more + PAST_BYTES * past)
		check_failed(m->s, m, NULL,
			     "%zu blocks, %zu bytes for %zu SAs; in the first calm "
			     "%zu, %zu for %zu",
			     m->mem.live, m->mem.live_bytes, sas, m->base_blocks, m->base_bytes,
			     m->base_sas);
}

/* Of a hub: NULL, or what is left over.  What is under way is so for a moment: somebody rekeys at
 * any time. */
static const char *left_over(struct machine *hub, const struct view *hubs,
			     const struct machine **ret_with)
{
	struct sim *s = hub->s;
	const struct view *v = &hubs[hub - s->machine];
	ike_sa_id oldest = 0;
	const char *what;

	if (sim_absent(hub))
		return NULL;
	if (!hub->ike)
		return "it does not run";
	for (size_t i = 0; i < v->n; i++)
		if ((!v->sa[i].with || !v->sa[i].established) && (!oldest || v->sa[i].id < oldest))
			oldest = v->sa[i].id;
	if (oldest != hub->unfinished) {
		hub->unfinished = oldest;
		hub->unfinished_since = s->now.mono;
	}
	if (oldest && mono_since(s->now.mono, hub->unfinished_since).ns > dur_s(MOMENT_S).ns)
		return "an IKE SA with nobody";
	if (direct_remembered(hub))
		return "it remembers two sites that do not talk";
	what = hubs_disagreement(hub, hubs, ret_with);
	if (what)
		return what;
	return mono_since(s->now.mono, s->calm_since).ns > dur_s(MOMENT_S).ns
		       ? NULL
		       : "it was not looked at for long enough";
}

/* ---- a calm -------------------------------------------------------------------------------- */

/* One that failed waits for another attempt, one that is up until it is idle.  What was up when its
 * site left a hub is taken to be up for a while. */
static int64_t shortcuts_need(const struct scenario *sc)
{
	if (sc->topology == TOPOLOGY_NONE)
		return 0;
	return sc->idle.ns + sc->retry_max.ns + dur_s(AWAY_S).ns;
}

void check_calm(struct sim *s)
{
	fault_end_all(s);
	s->phase = PHASE_CALM;
	s->calm_since = s->now.mono;
	s->calm_until = mono_add(s->now.mono, (dur_t){ s->bound.ns + dur_s(QUIET_S).ns +
						       s->sc->arrival.hi + shortcuts_need(s->sc) });
	for (unsigned i = 0; i < s->n; i++)
		s->machine[i].settled = false;
}

/* It is so, or will be before the calm has to be over. */
static bool settled(struct machine *m, const char *what, const struct machine *with)
{
	struct sim *s = m->s;

	if (what && mono_before(s->calm_until, s->now.mono))
		check_failed(s, m, with, "%s, although all was calm for %lld s", what,
			     (long long)(mono_since(s->now.mono, s->calm_since).ns / 1000000000));
	return !what;
}

/* Sites that agreed once in this calm are not asked again: by then they may have begun to rekey. */
static bool all_settled(struct sim *s, const struct view *hubs)
{
	bool all = true;

	for (unsigned i = 0; i < s->n; i++) {
		struct machine *m = &s->machine[i];

		const struct machine *with = NULL;
		const char *what;

		if (!m->settled) {
			what = m->hub ? left_over(m, hubs, &with) : disagreement(m, hubs, &with);
			m->settled = settled(m, what, with);
		}
		all &= m->settled;
	}
	return all;
}

static void look_for_agreement(struct sim *s)
{
	struct view hubs[SCENARIO_HUBS];
	bool over;

	for (unsigned i = 0; i < s->sc->hubs; i++)
		hubs[i] = hub_view(&s->machine[i]);
	over = all_settled(s, hubs);
	for (unsigned i = 0; i < s->sc->hubs; i++)
		mem_libc.free(NULL, hubs[i].sa);
	if (!over)
		return;
	for (unsigned i = 0; i < s->n; i++)
		if (s->machine[i].ike)
			check_memory(&s->machine[i]);
	s->counts.checks++;
	s->phase = PHASE_FAULTS;
}

void check_timer(struct sim *s)
{
	heap_arm(&s->timers, &s->check, mono_add(s->now.mono, dur_s(CHECK_S)));
	for (unsigned i = s->sc->hubs; i < s->n; i++)
		check_black_hole(&s->machine[i]);
	check_tunnels(s);
	if (s->phase == PHASE_CALM)
		look_for_agreement(s);
}

void check_left(struct sim *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct machine *m = &s->machine[i];
		struct ike_totals t = m->ike ? ike_totals(m->ike) : (struct ike_totals){ 0 };

		if (t.sas || t.half_open || t.children || m->children.count)
			check_failed(s, m, NULL,
				     "%zu SAs, %zu half-open ones, %zu children, %zu in "
				     "the data plane after all said farewell",
				     t.sas, t.half_open, t.children, m->children.count);
	}
}
