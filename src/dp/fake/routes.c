/* The fake: which child sends a packet, as dp.h says it. */
#include "dp/fake/internal.h"

enum {
	WAYS_MAX = 1024, /* as many as any data plane takes */
};

/* The route of a prefix, made when there is none: empty, it lets lookups pass on. */
static struct fake_route *route_ref(struct fake *f, const struct prefix *pfx)
{
	struct fake_route *r = policy_table_exact(f->routes, pfx);

	if (!r) {
		r = mem_new(f->mem, sizeof(*r));
		if (!r)
			return NULL;
		if (policy_table_set(f->routes, pfx, r, NULL)) {
			mem_free(f->mem, r);
			return NULL;
		}
		r->prefix = *pfx;
		list_init(&r->senders);
		list_init(&r->traps);
		list_init(&r->first);
		list_init(&r->last);
	}
	r->refs++;
	return r;
}

static void route_unref(struct fake *f, struct fake_route *r)
{
	if (--r->refs)
		return;
	policy_table_remove(f->routes, &r->prefix);
	mem_free(f->mem, r);
}

void fake_ways_free(struct fake *f, struct fake_ways *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++) {
		list_del(&w->v[i].node);
		route_unref(f, w->v[i].route);
	}
	mem_free(f->mem, w);
}

static size_t prefixes_of(const struct wire_ts_list *remote, struct prefix *pfx)
{
	size_t n = 0;

	for (size_t i = 0; i < remote->n; i++) {
		size_t k = policy_ts_prefixes(&remote->ts[i], pfx + n, WAYS_MAX - n);

		if (k == 0)
			return 0;
		n += k;
	}
	return n;
}

enum status fake_ways_new(struct fake *f, const struct wire_ts_list *remote, void *owner,
			  struct fake_ways **ret_ways)
{
	struct prefix pfx[WAYS_MAX];
	size_t n = prefixes_of(remote, pfx);
	struct fake_ways *w;

	if (remote->n && !n)
		return ST_NOMEM; /* a limit */
	w = mem_new(f->mem, sizeof(*w) + n * sizeof(w->v[0]));
	if (!w)
		return ST_NOMEM;
	for (; w->n < n; w->n++) {
		struct fake_way *way = &w->v[w->n];

		way->route = route_ref(f, &pfx[w->n]);
		if (!way->route) {
			fake_ways_free(f, w);
			return ST_NOMEM;
		}
		way->owner = owner;
		list_init(&way->node);
	}
	*ret_ways = w;
	return ST_OK;
}

static void add_first(struct list *l, struct list *n)
{
	list_add_tail(l->next, n);
}

void fake_list_senders(struct fake_child *c)
{
	struct fake_ways *w = c->ways;

	add_first(&c->peer->senders, &c->at_peer);
	for (size_t i = 0; i < w->n; i++)
		add_first(&w->v[i].route->senders, &w->v[i].node);
}

void fake_list_traps(struct fake_ways *w)
{
	for (size_t i = 0; i < w->n; i++)
		add_first(&w->v[i].route->traps, &w->v[i].node);
}

void fake_unlist_senders(struct fake_child *c)
{
	struct fake_ways *w = c->ways;

	list_del(&c->at_peer);
	for (size_t i = 0; i < w->n; i++)
		list_del(&w->v[i].node);
}

/* ---- what peers are given ------------------------------------------------------------------ */

/* While there is anything of that kind to be remembered, the peer is there. */
static void peer_keep(struct fake *f, struct fake_peer *p)
{
	bool kept = !list_empty(&p->given) || p->given_only;

	if (kept == p->kept)
		return;
	p->kept = kept;
	if (kept)
		p->refs++;
	else
		fake_peer_unref(f, p);
}

static void given_free(struct fake *f, struct fake_given *g)
{
	if (!g)
		return;
	list_del(&g->node);
	list_del(&g->of_peer);
	if (g->route)
		route_unref(f, g->route);
	mem_free(f->mem, g);
}

static struct fake_given *given_in(const struct list *l, const struct fake_peer *p)
{
	list_for_each(n, l) {
		struct fake_given *g = CONTAINER_OF(n, struct fake_given, node);

		if (g->peer == p)
			return g;
	}
	return NULL;
}

static struct fake_given *given_of(const struct fake *f, const struct fake_peer *p,
				   const struct prefix *pfx)
{
	const struct fake_route *r = policy_table_exact(f->routes, pfx);
	struct fake_given *g = r ? given_in(&r->first, p) : NULL;

	return r && !g ? given_in(&r->last, p) : g;
}

static enum status give(struct fake *f, struct fake_peer *p, const struct prefix *pfx, bool last)
{
	struct fake_given *g = mem_new(f->mem, sizeof(*g));

	if (!g)
		return ST_NOMEM;
	list_init(&g->node);
	list_init(&g->of_peer);
	g->peer = p;
	g->route = route_ref(f, pfx);
	if (!g->route) {
		given_free(f, g);
		return ST_NOMEM;
	}
	add_first(last ? &g->route->last : &g->route->first, &g->node);
	list_add_tail(&p->given, &g->of_peer);
	return ST_OK;
}

enum status fake_give(struct fake *f, const struct dp_op *op)
{
	const struct prefix *pfx = &op->u.given.prefix;
	enum dp_given given = op->u.given.given;
	struct fake_peer *p = fake_peer_ref(f, op->u.given.peer);
	struct fake_given *old;
	enum status st = ST_OK;

	if (!p)
		return ST_NOMEM;
	old = given_of(f, p, pfx);
	if (given != DP_GIVEN_NOT)
		st = give(f, p, pfx, given == DP_GIVEN_LAST);
	if (!st)
		given_free(f, old);
	peer_keep(f, p);
	fake_peer_unref(f, p);
	return st;
}

static void set_given_only(struct fake *f, struct fake_peer *p, bool on)
{
	p->given_only = on;
	while (!on && !list_empty(&p->given))
		given_free(f, CONTAINER_OF(p->given.next, struct fake_given, of_peer));
	peer_keep(f, p);
}

enum status fake_given_only(struct fake *f, dp_peer_id peer, bool on)
{
	struct fake_peer *p = fake_peer_ref(f, peer);

	if (!p)
		return ST_NOMEM;
	set_given_only(f, p, on);
	fake_peer_unref(f, p);
	return ST_OK;
}

void fake_take_all(struct fake *f)
{
	list_for_each_safe(n, &f->peers)
		set_given_only(f, CONTAINER_OF(n, struct fake_peer, node), false);
}

/* ---- who sends ----------------------------------------------------------------------------- */

static bool takes(const struct fake_child *c, const struct wire_ip *ip)
{
	return !c->hard_reported && esp_ts_match_out(c->ts, ip);
}

static struct fake_child *given_sender(const struct list *peers, const struct wire_ip *ip)
{
	list_for_each(n, peers) {
		const struct fake_peer *p = CONTAINER_OF(n, const struct fake_given, node)->peer;

		list_for_each(m, &p->senders) {
			struct fake_child *c = CONTAINER_OF(m, struct fake_child, at_peer);

			if (takes(c, ip))
				return c;
		}
	}
	return NULL;
}

static struct fake_child *own_sender(const struct fake_route *r, const struct wire_ip *ip)
{
	list_for_each(n, &r->senders) {
		struct fake_child *c = CONTAINER_OF(n, struct fake_way, node)->owner;

		if (!c->peer->given_only && takes(c, ip))
			return c;
	}
	return NULL;
}

static struct fake_child *sender_of(const struct fake_route *r, const struct wire_ip *ip)
{
	struct fake_child *c = given_sender(&r->first, ip);

	if (!c)
		c = own_sender(r, ip);
	return c ? c : given_sender(&r->last, ip);
}

static struct fake_trap *trap_of(const struct fake *f, const struct fake_route *r,
				 const struct wire_ip *ip)
{
	list_for_each(n, &r->traps) {
		struct fake_trap *t = CONTAINER_OF(n, struct fake_way, node)->owner;
		const struct fake_peer *p = fake_peer_find(f, t->peer);

		if (!(p && p->given_only) && esp_ts_match_out(t->ts, ip))
			return t;
	}
	return NULL;
}

static struct fake_route *shorter(const struct fake *f, const struct fake_route *r,
				  const struct ip *dst)
{
	return r->prefix.len ? policy_table_find_within(f->routes, dst, r->prefix.len - 1u) : NULL;
}

struct fake_child *fake_sender(const struct fake *f, const struct wire_ip *ip,
			       struct fake_trap **ret_trap)
{
	*ret_trap = NULL;
	for (struct fake_route *r = policy_table_find(f->routes, &ip->dst); r;
	     r = shorter(f, r, &ip->dst)) {
		struct fake_child *c = sender_of(r, ip);

		if (c)
			return c;
		*ret_trap = trap_of(f, r, ip);
		if (*ret_trap)
			return NULL;
	}
	return NULL;
}
