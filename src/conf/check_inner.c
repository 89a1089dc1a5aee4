/*
 * check_inner.c - inner addresses: who gives them out and who asks for them, and that no two pools
 * have an address in common.
 */
#include "conf/internal.h"

#include "wire/ike/cp.h"

static bool overlap(const struct wire_ts *a, const struct wire_ts *b)
{
	return a->start.family == b->start.family && ip_cmp(&a->start, &b->end) <= 0 &&
	       ip_cmp(&b->start, &a->end) <= 0;
}

/* Who asks takes no more, and a name that is left out would be asked for elsewhere. */
static void check_number(const struct conf_list *l, size_t max, const char *key,
			 struct conf_errors *errs)
{
	if (l->n > max)
		conf_error_add(errs, l->v[max].at, "%s has %zu elements, accepted: at most %zu",
			       key, l->n, max);
}

/* Only a pool makes sense of the rest. */
static void check_given(const struct conf_inner *in, const char *word, const char *name,
			struct conf_errors *errs)
{
	const struct {
		const char *key;
		struct conf_pos at;
	} with[] = { { "dns", in->dns.at },
		     { "lease_keep", in->lease_keep.at },
		     { "leases_max", in->leases_max.at } };

	for (size_t i = 0; i < ARRAY_LEN(with); i++)
		if (!given(in->pool.list.at) && given(with[i].at))
			conf_error_add(errs, with[i].at,
				       "%s of %s \"%s\" is for whoever gets an inner address, and "
				       "it has no pool to give one from",
				       with[i].key, word, name);
	check_number(&in->dns, WIRE_CFG_DNS, "dns", errs);
	check_number(&in->dns_domains, WIRE_CFG_DOMAINS, "dns_domains", errs);
	if (given(in->pool.list.at) && given(in->dns_domains.at) && !given(in->dns.at))
		conf_error_add(errs, in->dns_domains.at,
			       "%s \"%s\" has dns_domains and no dns, the servers that resolve "
			       "these names (RFC 8598 section 3.2)",
			       word, name);
}

/* ---- networks ---------------------------------------------------------------------------- */

static void check_apart(const struct conf_network *n, const struct conf_ts *pool,
			struct conf_errors *errs)
{
	for (size_t i = 0; i < pool->ts.n; i++)
		for (size_t k = 0; k < n->protect.ts.n; k++)
			if (overlap(&pool->ts.ts[i], &n->protect.ts.ts[k]))
				conf_error_add(errs, pool->list.v[i].at,
					       "pool \"%s\" has addresses of protect \"%s\" (line "
					       "%u), where somebody has them already",
					       pool->list.v[i].s, n->protect.list.v[k].s,
					       n->protect.list.v[k].at.line);
}

void check_inner_network(const struct conf_network *n, struct conf_errors *errs)
{
	const struct conf_inner *in = &n->inner;

	if (n->role.v != CONF_ROLE_HUB) {
		check_not_for(n, "pool", in->pool.list.at, "hub", errs);
		check_not_for(n, "dns", in->dns.at, "hub", errs);
		check_not_for(n, "lease_keep", in->lease_keep.at, "hub", errs);
		check_not_for(n, "leases_max", in->leases_max.at, "hub", errs);
		if (given(n->role.at) && n->role.v == CONF_ROLE_SITE)
			check_not_for(n, "dns_domains", in->dns_domains.at, "hub or endpoint",
				      errs);
		return;
	}
	check_given(in, "network", n->name, errs);
	if (given(in->dns_domains.at) && !given(in->pool.list.at))
		conf_error_add(errs, in->dns_domains.at,
			       "dns_domains of network \"%s\" is for whoever gets an inner "
			       "address, and it has no pool to give one from",
			       n->name);
	check_apart(n, &in->pool, errs);
}

/* ---- peers ------------------------------------------------------------------------------- */

/* What the schema would say of a key that is required. */
static void check_selectors(const struct conf_peer *p, struct conf_errors *errs)
{
	/* A value that was refused says nothing. */
	bool asks = p->virtual_ip.ask || p->virtual_ip.list.n == 0;

	if (!given(p->local_ts.list.at) && !asks)
		conf_error_add(
			errs, p->at,
			"peer \"%s\" lacks local_ts, traffic selectors of our side: what the "
			"peer may send to",
			p->name);
	if (!given(p->remote_ts.list.at) && !given(p->inner.pool.list.at))
		conf_error_add(errs, p->at,
			       "peer \"%s\" lacks remote_ts, traffic selectors of its side: what "
			       "goes through the tunnel",
			       p->name);
}

static void check_asked(const struct conf_peer *p, struct conf_errors *errs)
{
	const struct conf_virtual *v = &p->virtual_ip;

	if (!v->ask)
		return;
	if (given(p->inner.pool.list.at))
		conf_error_add(errs, p->inner.pool.list.at,
			       "peer \"%s\" gives inner addresses and asks for some (virtual_ip, "
			       "line %u), accepted: one of both",
			       p->name, v->list.at.line);
	if (!given(p->address.at))
		conf_error_add(
			errs, v->list.at,
			"virtual_ip of peer \"%s\" is asked for by who calls, which wants an "
			"address to connect to",
			p->name);
	for (size_t i = 0; i < ARRAY_LEN(v->want); i++) {
		char buf[IP_TEXT_MAX];

		if (v->want[i].family && p->remote_ts.ts.n &&
		    !policy_ts_has_family(&p->remote_ts.ts, v->want[i].family))
			conf_error_add(
				errs, v->list.at,
				"virtual_ip of peer \"%s\" is %s, and remote_ts has no IPv%u: "
				"nothing can pass",
				p->name, ip_text(&v->want[i], buf), v->want[i].family);
	}
}

void check_inner_peer(const struct conf_peer *p, struct conf_errors *errs)
{
	check_selectors(p, errs);
	check_asked(p, errs);
	check_given(&p->inner, "peer", p->name, errs);
	if (given(p->inner.dns_domains.at) && !given(p->inner.pool.list.at) && !p->virtual_ip.ask)
		conf_error_add(errs, p->inner.dns_domains.at,
			       "dns_domains of peer \"%s\" is for inner addresses, and there is "
			       "neither pool nor virtual_ip",
			       p->name);
	if (given(p->inner.pool.list.at) && !given(p->remote_ts.list.at) &&
	    p->start.v != CONF_START_LISTEN)
		conf_error_add(errs, p->at,
			       "peer \"%s\" may have nothing but inner addresses (a pool, and no "
			       "remote_ts), and so can only call us: start = listen",
			       p->name);
}

/* ---- pools against each other ------------------------------------------------------------- */

/* A range of some pool; sorted by family and first address. */
struct range {
	const struct wire_ts *ts;
	const struct conf_text *text;
};

/* Files have few pools, and these mostly in order. */
static void sort(struct range *r, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct range moved = r[i];
		size_t k = i;

		for (; k > 0 && ip_cmp(&moved.ts->start, &r[k - 1].ts->start) < 0; k--)
			r[k] = r[k - 1];
		r[k] = moved;
	}
}

static size_t collect(const struct conf_ts *pool, struct range *ret)
{
	for (size_t i = 0; ret && i < pool->ts.n; i++)
		ret[i] = (struct range){ &pool->ts.ts[i], &pool->list.v[i] };
	return pool->ts.n;
}

/* NULL only counts. */
static size_t collect_all(const struct conf *c, struct range *ret)
{
	size_t n = 0;

	for (const struct conf_peer *p = c->peers; p; p = p->next)
		n += collect(&p->inner.pool, ret ? ret + n : NULL);
	for (const struct conf_network *w = c->networks; w; w = w->next)
		n += collect(&w->inner.pool, ret ? ret + n : NULL);
	return n;
}

enum status check_pools(struct conf *c, struct conf_errors *errs)
{
	size_t n = collect_all(c, NULL);
	struct range *r = arena_new(&c->ar, (n + 1) * sizeof(*r));
	const struct range *widest = r;

	if (!r)
		return ST_NOMEM;
	(void)collect_all(c, r);
	sort(r, n);
	for (size_t i = 1; i < n; i++) {
		if (overlap(widest->ts, r[i].ts))
			conf_error_add(errs, r[i].text->at,
				       "pool \"%s\" has addresses of pool \"%s\" (line %u): they "
				       "would be given twice",
				       r[i].text->s, widest->text->s, widest->text->at.line);
		if (ip_cmp(&widest->ts->end, &r[i].ts->end) < 0)
			widest = &r[i];
	}
	return ST_OK;
}
