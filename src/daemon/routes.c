#include "daemon/routes.h"

#include <errno.h>
#include <stdlib.h>

#include "plat/udp.h"

struct routes {
	struct plat_nl *nl;
	struct route_list have; /* as added; in their order */
	bool rule[2]; /* IPv4, IPv6 */
	bool rule_left[2]; /* was there before */
};

static const uint8_t families[2] = { 4, 6 };

static struct plat_rule rule_of(uint8_t family)
{
	return (struct plat_rule){ .family = family,
				   .priority = ROUTES_RULE,
				   .table = ROUTES_TABLE,
				   .not_mark = PLAT_MARK,
				   .mask = PLAT_MARK_MASK,
				   .protocol = ROUTES_PROTOCOL };
}

static bool same(const struct plat_route *a, const struct plat_route *b)
{
	return a->kind == b->kind && a->metric == b->metric && a->ifindex == b->ifindex &&
	       prefix_eq(&a->dst, &b->dst) && ip_eq(&a->src, &b->src);
}

static bool listed(const struct route_list *l, const struct plat_route *r)
{
	for (size_t i = 0; i < l->n; i++)
		if (same(&l->v[i], r))
			return true;
	return false;
}

/* Somebody else's deletion is no failure of ours: the aim is reached. */
static bool gone(const struct plat_nl *nl)
{
	int err = plat_nl_errno(nl);

	return err == ESRCH || err == ENOENT || err == ENODEV;
}

/* ---- leftovers --------------------------------------------------------------------------- */

struct leftovers {
	struct route_list list;
	size_t before; /* of the address families already read */
	bool nomem;
};

static bool on_leftover(void *ctx, const struct plat_route *r)
{
	struct leftovers *l = ctx;
	struct plat_route *v;

	if (!r) {
		l->list.n = l->before;
		return true;
	}
	v = realloc(l->list.v, (l->list.n + 1) * sizeof(*v));
	if (!v) {
		l->nomem = true;
		return false;
	}
	l->list.v = v;
	v[l->list.n++] = *r;
	return true;
}

/* A device is still there: so is whoever has it. */
static bool living(const struct route_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == PLAT_ROUTE_DEVICE)
			return true;
	return false;
}

/* What a daemon that was killed left here. */
static enum status find_leftovers(struct plat_nl *nl, struct text *why, struct leftovers *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		enum status st = plat_route_each(nl, families[i], ROUTES_TABLE, ROUTES_PROTOCOL,
						 on_leftover, ret, why);

		if (st != ST_OK)
			return st;
		ret->before = ret->list.n;
	}
	if (ret->nomem)
		return ST_NOMEM;
	if (living(&ret->list)) {
		text_fmt(why,
			 "routing table %d is in use by another warrend in this network namespace",
			 ROUTES_TABLE);
		return ST_INVAL;
	}
	return ST_OK;
}

/* ---- applying ---------------------------------------------------------------------------- */

/* A route that is there may be a leftover of ours; then it is what we want. */
static enum status add_route(struct routes *r, const struct plat_route *route,
			     const struct route_list *left, struct text *why)
{
	if (!listed(left, route) && plat_route_add(r->nl, route, why) != ST_OK)
		return ST_IO;
	r->have.v[r->have.n++] = *route;
	return ST_OK;
}

static bool family_wanted(const struct route_list *want, uint8_t family)
{
	for (size_t i = 0; i < want->n; i++)
		if (want->v[i].dst.ip.family == family)
			return true;
	return false;
}

/* Ours is recognised by all its numbers, so one that exists is a leftover. */
static enum status add_rules(struct routes *r, const struct route_list *want, struct text *why)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct plat_rule rule = rule_of(families[i]);
		char buf[256];
		struct text this_why = TEXT_OF(buf);

		if (!family_wanted(want, families[i]))
			continue;
		if (plat_rule_add(r->nl, &rule, &this_why) != ST_OK) {
			r->rule_left[i] = plat_nl_errno(r->nl) == EEXIST;
			if (!r->rule_left[i]) {
				text_add(why, buf);
				return ST_IO;
			}
		}
		r->rule[i] = true;
	}
	return ST_OK;
}

/* What the last one left and this one does not want.  A rule that stays leads to an empty table. */
static enum status drop_unwanted(struct plat_nl *nl, const struct route_list *left,
				 const struct route_list *want, struct text *why)
{
	char buf[256];

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct plat_rule rule = rule_of(families[i]);
		struct text ignore = TEXT_OF(buf);

		if (!family_wanted(want, families[i]))
			(void)!plat_rule_del(nl, &rule, &ignore);
	}
	for (size_t i = 0; i < left->n; i++) {
		struct text this_why = TEXT_OF(buf);

		if (listed(want, &left->v[i]) ||
		    plat_route_del(nl, &left->v[i], &this_why) == ST_OK || gone(nl))
			continue;
		text_add(why, buf);
		return ST_IO;
	}
	return ST_OK;
}

static enum status apply(struct routes *r, const struct route_list *want,
			 const struct route_list *left, struct text *why)
{
	for (size_t i = 0; i < want->n; i++)
		if (add_route(r, &want->v[i], left, why) != ST_OK)
			return ST_IO;
	if (add_rules(r, want, why) != ST_OK)
		return ST_IO;
	return drop_unwanted(r->nl, left, want, why);
}

static struct routes *routes_new(struct plat_nl *nl, size_t n)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->nl = nl;
	r->have.v = calloc(n + 1, sizeof(*r->have.v));
	if (!r->have.v) {
		free(r);
		return NULL;
	}
	return r;
}

/* What was found stays found: it may be all that keeps packets from leaving in clear. */
static void keep_leftovers(struct routes *r, const struct route_list *left)
{
	size_t n = 0;

	for (size_t i = 0; i < r->have.n; i++)
		if (!listed(left, &r->have.v[i]))
			r->have.v[n++] = r->have.v[i];
	r->have.n = n;
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		r->rule[i] = r->rule[i] && !r->rule_left[i];
}

enum status routes_apply(struct plat_nl *nl, const struct route_list *want, struct text *why,
			 struct routes **ret_routes)
{
	struct leftovers left = { 0 };
	char ignored[8];
	struct text ignore = TEXT_OF(ignored);
	struct routes *r = NULL;
	enum status st = find_leftovers(nl, why, &left);

	if (st == ST_OK) {
		r = routes_new(nl, want->n);
		st = r ? apply(r, want, &left.list, why) : ST_NOMEM;
	}
	if (st == ST_OK) {
		*ret_routes = r;
	} else if (r) {
		keep_leftovers(r, &left.list);
		(void)!routes_remove(r, &ignore);
	}
	route_list_done(&left.list);
	return st;
}

static enum status failed(struct text *why, const char *reason)
{
	text_fmt(why, "%s; ", reason);
	return ST_IO;
}

enum status routes_remove(struct routes *r, struct text *why)
{
	enum status st = ST_OK;
	char buf[256];

	if (!r)
		return ST_OK;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct plat_rule rule = rule_of(families[i]);
		struct text this_why = TEXT_OF(buf);

		if (r->rule[i] && plat_rule_del(r->nl, &rule, &this_why) != ST_OK && !gone(r->nl))
			st = failed(why, buf);
	}
	while (r->have.n > 0) {
		struct text this_why = TEXT_OF(buf);

		if (plat_route_del(r->nl, &r->have.v[--r->have.n], &this_why) != ST_OK &&
		    !gone(r->nl))
			st = failed(why, buf);
	}
	route_list_done(&r->have);
	free(r);
	return st;
}
