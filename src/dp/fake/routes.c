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

void fake_list_senders(struct fake_ways *w)
{
	for (size_t i = 0; i < w->n; i++)
		add_first(&w->v[i].route->senders, &w->v[i].node);
}

void fake_list_traps(struct fake_ways *w)
{
	for (size_t i = 0; i < w->n; i++)
		add_first(&w->v[i].route->traps, &w->v[i].node);
}

void fake_unlist(struct fake_ways *w)
{
	for (size_t i = 0; i < w->n; i++)
		list_del(&w->v[i].node);
}

static struct fake_child *sender_of(const struct fake_route *r, const struct wire_ip *ip)
{
	list_for_each(n, &r->senders) {
		struct fake_child *c = CONTAINER_OF(n, struct fake_way, node)->owner;

		if (!c->hard_reported && esp_ts_match_out(c->ts, ip))
			return c;
	}
	return NULL;
}

static struct fake_trap *trap_of(const struct fake_route *r, const struct wire_ip *ip)
{
	list_for_each(n, &r->traps) {
		struct fake_trap *t = CONTAINER_OF(n, struct fake_way, node)->owner;

		if (esp_ts_match_out(t->ts, ip))
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
		*ret_trap = trap_of(r, ip);
		if (*ret_trap)
			return NULL;
	}
	return NULL;
}
