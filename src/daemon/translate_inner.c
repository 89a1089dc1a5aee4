#include "daemon/translate_inner.h"

static enum status put_pool(struct arena *ar, const struct wire_ts_list *from,
			    struct ike_peer_conf *to)
{
	struct ip_range *r = arena_new(ar, from->n * sizeof(*r));

	if (!r)
		return ST_NOMEM;
	for (size_t i = 0; i < from->n; i++)
		r[i] = (struct ip_range){ from->ts[i].start, from->ts[i].end };
	to->pool = r;
	to->n_pool = from->n;
	return ST_OK;
}

/* conf_parse() has seen that they are addresses. */
static enum status put_dns(struct arena *ar, const struct conf_list *from, struct ike_peer_conf *to)
{
	struct ip *ip = arena_new(ar, from->n * sizeof(*ip));

	if (!ip)
		return ST_NOMEM;
	for (size_t i = 0; i < from->n; i++)
		if (ip_parse(from->v[i].s, &ip[i]) != ST_OK)
			return ST_BUG;
	to->dns = ip;
	to->n_dns = from->n;
	return ST_OK;
}

/* As they are compared: in lower case, without a dot at the end. */
static enum status put_domain(struct arena *ar, const char *from, const char **ret)
{
	size_t n = strlen(from);
	char *s = arena_new(ar, n + 1);

	if (!s)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++)
		s[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
	if (n && s[n - 1] == '.')
		s[n - 1] = '\0';
	*ret = s;
	return ST_OK;
}

static enum status put_domains(struct arena *ar, const struct conf_list *from,
			       struct ike_peer_conf *to)
{
	const char **v = arena_new(ar, from->n * sizeof(*v));
	enum status st = v ? ST_OK : ST_NOMEM;

	for (size_t i = 0; i < from->n && st == ST_OK; i++)
		st = put_domain(ar, from->v[i].s, &v[i]);
	to->dns_domains = v;
	to->n_dns_domains = from->n;
	return st;
}

static bool in_pool(const struct ike_peer_conf *p, const struct ip *ip)
{
	for (size_t i = 0; i < p->n_pool; i++)
		if (p->pool[i].first.family == ip->family && ip_cmp(&p->pool[i].first, ip) <= 0 &&
		    ip_cmp(ip, &p->pool[i].last) <= 0)
			return true;
	return false;
}

static size_t add_reserved(const struct ike_peer_conf *p, const struct ip *ip, size_t n,
			   struct ip *ret)
{
	size_t added = 0;

	for (size_t i = 0; i < n; i++)
		if (in_pool(p, &ip[i]))
			ret[added++] = ip[i];
	return added;
}

enum status translate_reserve(struct arena *ar, const struct ip *own, size_t n,
			      struct ike_peer_conf *p)
{
	struct ip *but = arena_new(ar, (n + p->n_dns) * sizeof(*but));

	if (!but)
		return ST_NOMEM;
	p->n_pool_but = add_reserved(p, p->dns, p->n_dns, but);
	p->n_pool_but += add_reserved(p, own, n, but + p->n_pool_but);
	p->pool_but = but;
	return ST_OK;
}

enum status translate_inner(struct arena *ar, const struct conf_inner *from,
			    struct ike_peer_conf *to)
{
	enum status st = put_pool(ar, &from->pool.ts, to);

	if (st == ST_OK)
		st = put_dns(ar, &from->dns, to);
	if (st == ST_OK)
		st = put_domains(ar, &from->dns_domains, to);
	to->lease_keep = from->lease_keep.v;
	to->leases_max = (uint32_t)from->leases_max.v;
	return st == ST_OK ? translate_reserve(ar, NULL, 0, to) : st;
}

void translate_virtual(const struct conf_peer *from, struct ike_peer_conf *to)
{
	const struct conf_virtual *v = &from->virtual_ip;
	bool any = !v->want[0].family && !v->want[1].family;

	if (!v->ask)
		return;
	to->ask_v4 = any ? policy_ts_has_family(&from->remote_ts.ts, 4) : v->want[0].family != 0;
	to->ask_v6 = any ? policy_ts_has_family(&from->remote_ts.ts, 6) : v->want[1].family != 0;
	to->ask[0] = v->want[0];
	to->ask[1] = v->want[1];
}
