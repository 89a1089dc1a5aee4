/*
 * routing.c - the first lock: routes and rules, made what they have to be by comparing what is
 * there with what is wanted.
 *
 * The order keeps gaps away: what is new is added before anything goes; of the new, `throw` comes
 * before `unreachable`, so that a site that lies in a new domain is not cut off meanwhile; rules
 * come after the routes they lead to, and go first.
 */
#include "guard/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "plat/udp.h"

enum {
	PRIORITY_DHCP = GUARD_RULE - 3, /* its client has no source either */
	PRIORITY_SITES = GUARD_RULE - 2,
	PRIORITY_OWN = GUARD_RULE - 1,
	PRIORITY_SKIP = GUARD_RULE + 1,
	DHCP_CLIENT = 68,
	DHCP_SERVER = 67,
	PROTO_UDP = 17,
};

static const uint8_t families[] = { 4, 6 };

/* Which of several routes to one prefix counts: the lowest. */
static const uint32_t metrics[] = {
	[PLAT_ROUTE_DEVICE] = 1,
	[PLAT_ROUTE_UNREACHABLE] = 2,
	[PLAT_ROUTE_THROW] = 3,
};

/* Somebody else's deletion is no failure of ours: the aim is reached. */
static bool gone(const struct plat_nl *nl)
{
	int err = plat_nl_errno(nl);

	return err == ESRCH || err == ENOENT || err == ENODEV;
}

/* ---- routes ------------------------------------------------------------------------------ */

struct routes {
	struct plat_route *v;
	size_t n;
	size_t room;
	size_t before; /* where the family that is being read began */
	bool nomem;
};

static bool push(struct routes *l, const struct plat_route *r)
{
	struct plat_route *v = guard_more(l->v, l->n, sizeof(*v), &l->room);

	l->nomem = l->nomem || !v;
	if (!v)
		return false;
	l->v = v;
	v[l->n++] = *r;
	return true;
}

static int route_cmp(const struct plat_route *a, const struct plat_route *b)
{
	int c = ip_cmp(&a->dst.ip, &b->dst.ip);

	if (c == 0)
		c = (int)a->dst.len - (int)b->dst.len;
	if (c == 0)
		c = (int)a->kind - (int)b->kind;
	if (c == 0)
		c = (a->metric > b->metric) - (a->metric < b->metric);
	if (c == 0)
		c = a->ifindex - b->ifindex;
	return c ? c : ip_cmp(&a->src, &b->src);
}

static int by_route(const void *a, const void *b)
{
	return route_cmp(a, b);
}

static void sort(struct routes *l)
{
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_route);
}

static bool add(struct routes *l, enum plat_route_kind kind, const struct prefix *dst)
{
	const struct plat_route r = { .kind = kind,
				      .dst = *dst,
				      .table = GUARD_TABLE,
				      .metric = metrics[kind],
				      .protocol = GUARD_PROTOCOL };

	return push(l, &r);
}

static bool add_device(struct routes *l, const struct routing_want *w, size_t i)
{
	if (!add(l, PLAT_ROUTE_DEVICE, &w->plan->domain.v[i]))
		return false;
	l->v[l->n - 1].ifindex = w->ifindex;
	if (w->src)
		l->v[l->n - 1].src = w->src[i];
	return true;
}

static enum status wanted(const struct routing_want *w, struct routes *ret)
{
	bool ok = true;

	for (size_t i = 0; ok && i < w->plan->domain.n; i++)
		ok = add(ret, PLAT_ROUTE_UNREACHABLE, &w->plan->domain.v[i]) &&
		     (w->ifindex == 0 || add_device(ret, w, i));
	for (size_t i = 0; ok && i < w->shape->throws.n; i++)
		ok = add(ret, PLAT_ROUTE_THROW, &w->shape->throws.v[i]);
	sort(ret);
	return ok ? ST_OK : ST_NOMEM;
}

static bool on_route(void *ctx, const struct plat_route *r)
{
	struct routes *l = ctx;

	if (!r) {
		l->n = l->before;
		return true;
	}
	return push(l, r);
}

static enum status present(struct plat_nl *nl, struct text *why, struct routes *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		enum status st = plat_route_each(nl, families[i], GUARD_TABLE, GUARD_PROTOCOL,
						 on_route, ret, why);

		if (st != ST_OK)
			return st;
		ret->before = ret->n;
	}
	sort(ret);
	return ret->nomem ? ST_NOMEM : ST_OK;
}

/* What is in `a` and not in `b`; both are sorted. */
static enum status without(const struct routes *a, const struct routes *b, struct routes *ret)
{
	size_t k = 0;

	for (size_t i = 0; i < a->n; i++) {
		while (k < b->n && route_cmp(&b->v[k], &a->v[i]) < 0)
			k++;
		if (k < b->n && route_cmp(&b->v[k], &a->v[i]) == 0)
			continue;
		if (!push(ret, &a->v[i]))
			return ST_NOMEM;
	}
	return ST_OK;
}

/* The first failure is told; it keeps nothing else from being done. */
static enum status note(enum status st, const char *reason, struct text *why)
{
	if (st == ST_OK)
		text_add(why, reason);
	return ST_IO;
}

/* A kernel without IPv6 has no routes and rules for it, nor packets that could leave. */
static bool absent(const struct plat_nl *nl, uint8_t family)
{
	int err = plat_nl_errno(nl);

	return family == 6 && (err == EAFNOSUPPORT || err == EOPNOTSUPP);
}

/* A host on which IPv6 is turned off has nothing of it to lead into a device; `unreachable` it can
 * have. */
static bool turned_off(const struct plat_nl *nl, const struct plat_route *r)
{
	return absent(nl, r->dst.ip.family) ||
	       (r->kind == PLAT_ROUTE_DEVICE && r->dst.ip.family == 6 &&
		plat_nl_errno(nl) == EACCES);
}

/* A device that went away meanwhile leaves `unreachable`, and whoever asked hears of it. */
static enum status add_kind(struct plat_nl *nl, const struct routes *l, enum plat_route_kind kind,
			    struct text *why, unsigned *changes)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < l->n; i++) {
		char buf[256];
		struct text this_why = TEXT_OF(buf);

		if (l->v[i].kind != kind)
			continue;
		if (plat_route_add(nl, &l->v[i], &this_why) == ST_OK)
			++*changes;
		else if (!turned_off(nl, &l->v[i]))
			st = note(st, buf, why);
	}
	return st;
}

static enum status del_kind(struct plat_nl *nl, const struct routes *l, enum plat_route_kind kind,
			    struct text *why, unsigned *changes)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < l->n; i++) {
		char buf[256];
		struct text this_why = TEXT_OF(buf);

		if (l->v[i].kind != kind)
			continue;
		if (plat_route_del(nl, &l->v[i], &this_why) == ST_OK)
			++*changes;
		else if (!gone(nl))
			st = note(st, buf, why);
	}
	return st;
}

static enum status add_routes(struct plat_nl *nl, const struct routes *missing,
			      const struct routes *extra, struct text *why, unsigned *changes)
{
	enum status st = add_kind(nl, missing, PLAT_ROUTE_THROW, why, changes);
	enum status more = add_kind(nl, missing, PLAT_ROUTE_UNREACHABLE, why, changes);

	st = st == ST_OK ? more : st;
	/* One with another preferred source is in the way of the right one: the kernel tells routes
	 * of one prefix apart by their metric alone. */
	if (st == ST_OK)
		st = del_kind(nl, extra, PLAT_ROUTE_DEVICE, why, changes);
	if (st == ST_OK)
		st = add_kind(nl, missing, PLAT_ROUTE_DEVICE, why, changes);
	return st;
}

static enum status drop_routes(struct plat_nl *nl, const struct routes *extra, struct text *why,
			       unsigned *changes)
{
	enum status st = del_kind(nl, extra, PLAT_ROUTE_UNREACHABLE, why, changes);

	if (st == ST_OK)
		st = del_kind(nl, extra, PLAT_ROUTE_THROW, why, changes);
	return st;
}

/* ---- rules ------------------------------------------------------------------------------- */

struct rules {
	struct plat_rule *v;
	size_t n;
	size_t room;
	size_t before;
	bool nomem;
};

static bool push_rule(struct rules *l, const struct plat_rule *r)
{
	struct plat_rule *v = guard_more(l->v, l->n, sizeof(*v), &l->room);

	l->nomem = l->nomem || !v;
	if (!v)
		return false;
	l->v = v;
	v[l->n++] = *r;
	return true;
}

static void rule_jump(struct rules *l, uint32_t priority, const struct prefix *from)
{
	const struct plat_rule r = { .family = from->ip.family,
				     .action = PLAT_RULE_GOTO,
				     .priority = priority,
				     .target =
					     priority == PRIORITY_OWN ? PRIORITY_SKIP : GUARD_RULE,
				     .own = true,
				     .from = *from,
				     .protocol = GUARD_PROTOCOL };

	push_rule(l, &r);
}

/* Everything is two halves: the kernel takes a rule "from ::/0" for one without a source, and that
 * fits packets whose source is not chosen yet. */
static void rule_own(struct rules *l, const struct prefix *from)
{
	struct prefix half = *from;

	if (from->len > 0) {
		rule_jump(l, PRIORITY_OWN, from);
		return;
	}
	half.len = 1;
	rule_jump(l, PRIORITY_OWN, &half);
	half.ip.b[0] = 0x80;
	rule_jump(l, PRIORITY_OWN, &half);
}

/* An IPv4 socket without a source has 0.0.0.0, which a domain may have as well. */
static void rule_unchosen(struct rules *l)
{
	struct prefix none;

	if (prefix_parse("0.0.0.0/32", &none) == ST_OK)
		rule_jump(l, PRIORITY_SITES, &none);
}

static void rule_dhcp(struct rules *l)
{
	const struct plat_rule r = { .family = 4,
				     .action = PLAT_RULE_GOTO,
				     .priority = PRIORITY_DHCP,
				     .target = PRIORITY_SKIP,
				     .own = true,
				     .ip_proto = PROTO_UDP,
				     .sport = DHCP_CLIENT,
				     .dport = DHCP_SERVER,
				     .protocol = GUARD_PROTOCOL };

	push_rule(l, &r);
}

static size_t count(const struct guard_prefixes *l, uint8_t family)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->v[i].ip.family == family;
	return n;
}

static void rules_by_prefix(const struct guard_shape *s, uint8_t family, struct rules *l)
{
	for (size_t i = 0; i < s->sites.n; i++)
		if (s->sites.v[i].ip.family == family)
			rule_jump(l, PRIORITY_SITES, &s->sites.v[i]);
	for (size_t i = 0; i < s->outer.n; i++)
		if (s->outer.v[i].ip.family == family)
			rule_own(l, &s->outer.v[i]);
}

static void rules_by_address(const struct routing_want *w, uint8_t family, struct rules *l)
{
	for (size_t i = 0; i < w->n_own; i++) {
		struct prefix host = prefix_of(&w->own[i], 128);

		if (w->own[i].family == family && guard_ranges_have(&w->shape->domain, &w->own[i]))
			rule_jump(l, PRIORITY_OWN, &host);
	}
}

static void rules_common(uint8_t family, struct rules *l)
{
	const struct plat_rule look = { .family = family,
					.action = PLAT_RULE_TABLE,
					.priority = GUARD_RULE,
					.table = GUARD_TABLE,
					.not_mark = PLAT_MARK,
					.mask = PLAT_MARK_MASK,
					.protocol = GUARD_PROTOCOL };
	const struct plat_rule skip = { .family = family,
					.action = PLAT_RULE_NOP,
					.priority = PRIORITY_SKIP,
					.protocol = GUARD_PROTOCOL };

	push_rule(l, &skip);
	push_rule(l, &look);
}

/* In the order in which they have to come: what others go to stands first. */
static enum status rules_wanted(const struct routing_want *w, struct rules *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const uint8_t f = families[i];

		if (count(&w->shape->outer, f) == 0)
			continue;
		rules_common(f, ret);
		if (f == 4) {
			rule_unchosen(ret);
			rule_dhcp(ret);
		}
		if (count(&w->shape->outer, f) <= GUARD_RULES_MAX &&
		    count(&w->shape->sites, f) <= GUARD_RULES_MAX)
			rules_by_prefix(w->shape, f, ret);
		else
			rules_by_address(w, f, ret);
	}
	return ret->nomem ? ST_NOMEM : ST_OK;
}

static bool on_rule(void *ctx, const struct plat_rule *r)
{
	struct rules *l = ctx;

	if (!r) {
		l->n = l->before;
		return true;
	}
	/* Our number elsewhere is somebody else's business. */
	if (r->priority < PRIORITY_DHCP || r->priority > PRIORITY_SKIP)
		return true;
	return push_rule(l, r);
}

static enum status rules_present(struct plat_nl *nl, struct text *why, struct rules *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		enum status st = plat_rule_each(nl, families[i], GUARD_PROTOCOL, on_rule, ret, why);

		if (st != ST_OK)
			return st;
		ret->before = ret->n;
	}
	return ret->nomem ? ST_NOMEM : ST_OK;
}

static bool has_rule(const struct rules *l, const struct plat_rule *r)
{
	for (size_t i = 0; i < l->n; i++)
		if (plat_rule_eq(&l->v[i], r))
			return true;
	return false;
}

static enum status rules_add(struct plat_nl *nl, const struct rules *want, const struct rules *have,
			     struct text *why, unsigned *changes)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < want->n; i++) {
		char buf[256];
		struct text this_why = TEXT_OF(buf);

		if (has_rule(have, &want->v[i]))
			continue;
		if (plat_rule_add(nl, &want->v[i], &this_why) == ST_OK)
			++*changes;
		else if (!absent(nl, want->v[i].family))
			st = note(st, buf, why);
	}
	return st;
}

/* What opens goes before what keeps it from opening too much, jumps before what they jump to. */
static enum status rules_drop(struct plat_nl *nl, const struct rules *have,
			      const struct rules *want, struct text *why, unsigned *changes)
{
	static const uint32_t order[] = { PRIORITY_OWN, PRIORITY_DHCP, PRIORITY_SITES, GUARD_RULE,
					  PRIORITY_SKIP };
	enum status st = ST_OK;

	for (size_t k = 0; k < ARRAY_LEN(order); k++)
		for (size_t i = 0; i < have->n; i++) {
			char buf[256];
			struct text this_why = TEXT_OF(buf);

			if (have->v[i].priority != order[k] || has_rule(want, &have->v[i]))
				continue;
			if (plat_rule_del(nl, &have->v[i], &this_why) == ST_OK)
				++*changes;
			else if (!gone(nl))
				st = note(st, buf, why);
		}
	return st;
}

/* ---- both -------------------------------------------------------------------------------- */

struct work {
	struct routes want, have, missing, extra;
	struct rules rules, rules_have;
};

static void work_done(struct work *k)
{
	free(k->want.v);
	free(k->have.v);
	free(k->missing.v);
	free(k->extra.v);
	free(k->rules.v);
	free(k->rules_have.v);
}

static enum status look(struct plat_nl *nl, const struct routing_want *w, struct text *why,
			struct work *k)
{
	enum status st = wanted(w, &k->want);

	if (st == ST_OK)
		st = rules_wanted(w, &k->rules);
	if (st == ST_OK)
		st = present(nl, why, &k->have);
	if (st == ST_OK)
		st = rules_present(nl, why, &k->rules_have);
	if (st == ST_OK)
		st = without(&k->want, &k->have, &k->missing);
	if (st == ST_OK)
		st = without(&k->have, &k->want, &k->extra);
	return st;
}

enum status routing_apply(struct plat_nl *nl, const struct routing_want *w, struct text *why,
			  unsigned *changes)
{
	struct work k = { 0 };
	enum status st = look(nl, w, why, &k), rules = ST_OK;

	if (st == ST_OK) {
		st = add_routes(nl, &k.missing, &k.extra, why, changes);
		rules = rules_add(nl, &k.rules, &k.rules_have, why, changes);
	}
	st = st == ST_OK ? rules : st;
	if (st == ST_OK)
		st = rules_drop(nl, &k.rules_have, &k.rules, why, changes);
	if (st == ST_OK)
		st = drop_routes(nl, &k.extra, why, changes);
	work_done(&k);
	return st;
}

enum status routing_remove(struct plat_nl *nl, struct text *why)
{
	static const struct rules none = { 0 };
	unsigned changes = 0;
	struct work k = { 0 };
	enum status st = rules_present(nl, why, &k.rules_have), routes;

	if (st == ST_OK)
		st = rules_drop(nl, &k.rules_have, &none, why, &changes);
	routes = present(nl, why, &k.have);
	if (routes == ST_OK)
		routes = del_kind(nl, &k.have, PLAT_ROUTE_DEVICE, why, &changes);
	if (routes == ST_OK)
		routes = drop_routes(nl, &k.have, why, &changes);
	work_done(&k);
	return st == ST_OK ? routes : st;
}

enum status routing_busy(struct plat_nl *nl, struct text *why, bool *ret_busy)
{
	struct routes l = { 0 };
	enum status st = present(nl, why, &l);

	*ret_busy = false;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].kind == PLAT_ROUTE_DEVICE)
			*ret_busy = true;
	free(l.v);
	return st;
}
