#include "guard/internal.h"

#include <stdlib.h>

/* Against somebody who takes away as fast as we put back. */
enum { APPLY_TRIES = 4 };

/* A plan, and what goes with it. */
struct aim {
	struct guard_plan plan;
	struct guard_shape shape;
	struct ip *src; /* plan.domain.n */
};

struct guard {
	struct plat_nl *nl;
	struct plat_watch *watch;
	struct filter *filter;
	struct aim aim;
	bool up; /* the plan stands */
	int ifindex; /* 0: not attached */
	struct ip *own;
	size_t n_own;
};

const char *const guard_counter_names[GUARD_COUNTERS] = {
	[GUARD_IN_CLEAR] = "guard.in.clear",
	[GUARD_OUT_CLEAR] = "guard.out.clear",
	[GUARD_IN_OWN] = "guard.in.own",
	[GUARD_REDIRECTS] = "guard.redirects",
};

/* ---- life -------------------------------------------------------------------------------- */

enum status guard_new(int ns, struct text *why, struct guard **ret_guard)
{
	struct guard *g = calloc(1, sizeof(*g));
	enum status st;

	if (!g)
		return ST_NOMEM;
	st = plat_nl_new(ns, why, &g->nl);
	if (st == ST_OK)
		st = plat_watch_new(ns, PLAT_WATCH_RULES | PLAT_WATCH_ROUTES, why, &g->watch);
	if (st == ST_OK) {
		plat_watch_table(g->watch, GUARD_TABLE);
		st = filter_new(ns, why, &g->filter);
	}
	if (st != ST_OK) {
		guard_free(g);
		return st;
	}
	*ret_guard = g;
	return ST_OK;
}

static void aim_done(struct aim *a)
{
	guard_plan_done(&a->plan);
	guard_shape_done(&a->shape);
	free(a->src);
	*a = (struct aim){ 0 };
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	filter_free(g->filter);
	plat_watch_free(g->watch);
	plat_nl_free(g->nl);
	aim_done(&g->aim);
	free(g->own);
	free(g);
}

/* ---- applying ---------------------------------------------------------------------------- */

static struct routing_want want_of(const struct guard *g)
{
	return (struct routing_want){ .plan = &g->aim.plan,
				      .shape = &g->aim.shape,
				      .ifindex = g->ifindex,
				      .src = g->aim.src,
				      .own = g->own,
				      .n_own = g->n_own };
}

/* News of our own making are none.  They are taken away before we look, never after: what others
 * take away while we work is either seen by the next look, or is news. */
static enum status apply_routing(struct guard *g, struct text *why, unsigned *changes)
{
	const struct routing_want w = want_of(g);
	enum status st = ST_OK;
	unsigned done = 1;

	for (int i = 0; i < APPLY_TRIES && done && st == ST_OK; i++) {
		done = 0;
		(void)plat_watch_read(g->watch);
		st = routing_apply(g->nl, &w, why, &done);
		*changes += done;
	}
	return st;
}

static enum status refuse_second(struct guard *g, struct text *why)
{
	bool busy;
	enum status st = routing_busy(g->nl, why, &busy);

	if (st != ST_OK || !busy)
		return st;
	text_fmt(why, "routing table %d is in use by another warrend in this network namespace",
		 GUARD_TABLE);
	return ST_REFUSE;
}

static enum status copy_prefixes(const struct guard_prefixes *from, struct guard_prefixes *to)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < from->n; i++)
		st = guard_prefixes_add(to, &from->v[i]);
	return st;
}

static enum status copy_plan(const struct guard_plan *from, struct guard_plan *ret)
{
	enum status st;

	*ret = *from;
	ret->domain = ret->local = ret->given = (struct guard_prefixes){ 0 };
	st = copy_prefixes(&from->domain, &ret->domain);
	if (st == ST_OK)
		st = copy_prefixes(&from->local, &ret->local);
	if (st == ST_OK)
		st = copy_prefixes(&from->given, &ret->given);
	if (st != ST_OK)
		guard_plan_done(ret);
	return st;
}

/* The preferred sources of the old plan, for the prefixes that the new one still has; both are
 * sorted.  What is new has none until guard_attach() comes. */
static enum status carry_sources(const struct aim *old, struct aim *aim)
{
	const struct guard_prefixes *before = &old->plan.domain, *now = &aim->plan.domain;
	size_t k = 0;

	aim->src = calloc(now->n + 1, sizeof(*aim->src));
	if (!aim->src)
		return ST_NOMEM;
	for (size_t i = 0; old->src && i < now->n; i++) {
		const struct prefix *p = &now->v[i];

		while (k < before->n &&
		       (ip_cmp(&before->v[k].ip, &p->ip) < 0 ||
			(ip_eq(&before->v[k].ip, &p->ip) && before->v[k].len < p->len)))
			k++;
		if (k < before->n && prefix_eq(&before->v[k], p))
			aim->src[i] = old->src[k];
	}
	return ST_OK;
}

static enum status aim_at(const struct guard_plan *plan, const struct aim *old, struct aim *ret)
{
	struct aim a = { 0 };
	enum status st = copy_plan(plan, &a.plan);

	if (st != ST_OK)
		return st;
	st = guard_shape_of(&a.plan, &a.shape);
	if (st == ST_OK)
		st = carry_sources(old, &a);
	if (st == ST_OK)
		*ret = a;
	else
		aim_done(&a);
	return st;
}

/* The filter first: it changes in one step, and routes may take a while. */
static enum status apply(struct guard *g, struct text *why)
{
	unsigned changes = 0;
	enum status st = filter_apply(g->filter, &g->aim.plan, &g->aim.shape, why);

	return st == ST_OK ? apply_routing(g, why, &changes) : st;
}

/* Back to `old`: its routes and rules are there, since what is new is added before anything goes;
 * its filter may be gone.  Whoever asked hears of the first failure. */
static void fall_back(struct guard *g, struct aim *old)
{
	char ignored[8];
	struct text ignore = TEXT_OF(ignored);

	aim_done(&g->aim);
	g->aim = *old;
	if (g->up)
		(void)!filter_apply(g->filter, &g->aim.plan, &g->aim.shape, &ignore);
}

enum status guard_block(struct guard *g, const struct guard_plan *plan, struct text *why)
{
	struct aim old = g->aim, aim;
	enum status st = ST_OK;

	if (!guard_device_ok(plan->device)) {
		text_add(why, "the name of the device has characters that a rule cannot have");
		return ST_INVAL;
	}
	if (g->ifindex == 0)
		st = refuse_second(g, why);
	if (st == ST_OK)
		st = aim_at(plan, &old, &aim);
	if (st != ST_OK)
		return st;
	g->aim = aim;
	st = apply(g, why);
	if (st != ST_OK) {
		fall_back(g, &old);
		return st;
	}
	aim_done(&old);
	g->up = true;
	return ST_OK;
}

enum status guard_host(struct guard *g, const struct ip *own, size_t n_own, struct text *why)
{
	struct ip *copy;
	unsigned changes = 0;

	if (g->own && n_own == g->n_own && memcmp(g->own, own, n_own * sizeof(*own)) == 0)
		return ST_OK;
	copy = calloc(n_own + 1, sizeof(*copy));
	if (!copy)
		return ST_NOMEM;
	if (n_own)
		memcpy(copy, own, n_own * sizeof(*copy));
	free(g->own);
	g->own = copy;
	g->n_own = n_own;
	return g->up ? apply_routing(g, why, &changes) : ST_OK;
}

enum status guard_attach(struct guard *g, int ifindex, const struct ip *src, struct text *why)
{
	unsigned changes = 0;

	if (!g->up)
		return ST_BUG;
	memcpy(g->aim.src, src, g->aim.plan.domain.n * sizeof(*src));
	g->ifindex = ifindex;
	return apply_routing(g, why, &changes);
}

enum status guard_detach(struct guard *g, struct text *why)
{
	unsigned changes = 0;

	g->ifindex = 0;
	return g->up ? apply_routing(g, why, &changes) : ST_OK;
}

enum status guard_open(struct guard *g, struct text *why)
{
	enum status st = g->ifindex == 0 ? refuse_second(g, why) : ST_OK, filter;

	if (st == ST_REFUSE)
		return st;
	g->up = false;
	g->ifindex = 0;
	st = routing_remove(g->nl, why);
	filter = filter_remove(g->filter, why);
	return st == ST_OK ? filter : st;
}

/* ---- looking after it -------------------------------------------------------------------- */

void guard_fds(const struct guard *g, int ret_fd[static GUARD_FDS])
{
	ret_fd[0] = plat_watch_fd(g->watch);
	ret_fd[1] = filter_fd(g->filter);
}

enum status guard_check(struct guard *g, struct text *what, struct text *why)
{
	bool routing = plat_watch_read(g->watch) != 0, filter = filter_touched(g->filter);
	unsigned changes = 0;
	enum status st = ST_OK;

	if (!g->up)
		return ST_OK;
	if (filter) {
		st = filter_apply(g->filter, &g->aim.plan, &g->aim.shape, why);
		if (st == ST_OK)
			text_add(what, "the filter (table inet " FILTER_TABLE ")");
	}
	if (routing && st == ST_OK) {
		st = apply_routing(g, why, &changes);
		if (changes)
			text_fmt(what, "%s%u of the rules and routes", what->n ? ", " : "",
				 changes);
	}
	return st;
}

enum status guard_counters(struct guard *g, uint64_t ret_counters[static GUARD_COUNTERS],
			   struct text *why)
{
	memset(ret_counters, 0, GUARD_COUNTERS * sizeof(*ret_counters));
	return filter_counters(g->filter, ret_counters, why);
}
