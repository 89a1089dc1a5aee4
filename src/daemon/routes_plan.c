#include "daemon/routes.h"

#include <stdlib.h>

/* Which of several routes to one prefix counts: the lowest. */
static const uint32_t metrics[] = {
	[PLAT_ROUTE_DEVICE] = 1,
	[PLAT_ROUTE_UNREACHABLE] = 2,
	[PLAT_ROUTE_THROW] = 3,
};

/* Talk of the link itself (neighbour discovery, DHCP, routing protocols): never another site's. */
static const char *const never_remote[] = { "169.254.0.0/16", "224.0.0.0/4", "fe80::/10",
					    "ff00::/8" };

struct plan {
	struct route_list list;
	size_t room;
	int ifindex;
	const struct ip *own;
	size_t n_own;
	enum status status;
};

void route_list_done(struct route_list *l)
{
	free(l->v);
	*l = (struct route_list){ 0 };
}

static bool planned(const struct plan *p, enum plat_route_kind kind, const struct prefix *dst)
{
	for (size_t i = 0; i < p->list.n; i++)
		if (p->list.v[i].kind == kind && prefix_eq(&p->list.v[i].dst, dst))
			return true;
	return false;
}

static bool make_room(struct plan *p)
{
	size_t room = p->room ? 2 * p->room : 16;
	struct plat_route *v;

	if (p->list.n < p->room)
		return true;
	v = realloc(p->list.v, room * sizeof(*v));
	if (!v) {
		p->status = ST_NOMEM;
		return false;
	}
	p->list.v = v;
	p->room = room;
	return true;
}

/* Two peers may have selectors in common: the first one's preferred source stands. */
static void add(struct plan *p, enum plat_route_kind kind, const struct prefix *dst,
		const struct ip *src)
{
	struct plat_route r = { .kind = kind,
				.dst = *dst,
				.table = ROUTES_TABLE,
				.metric = metrics[kind],
				.protocol = ROUTES_PROTOCOL };

	if (planned(p, kind, dst) || !make_room(p))
		return;
	if (kind == PLAT_ROUTE_DEVICE) {
		r.ifindex = p->ifindex;
		if (src)
			r.src = *src;
	}
	p->list.v[p->list.n++] = r;
}

static const struct ip *source_in(const struct plan *p, const struct wire_ts_list *local,
				  uint8_t family)
{
	for (size_t i = 0; i < p->n_own; i++)
		for (size_t k = 0; k < local->n; k++)
			if (p->own[i].family == family &&
			    ip_cmp(&local->ts[k].start, &p->own[i]) <= 0 &&
			    ip_cmp(&p->own[i], &local->ts[k].end) <= 0 &&
			    local->ts[k].start.family == family)
				return &p->own[i];
	return NULL;
}

static void add_remote(struct plan *p, const struct conf_peer *peer)
{
	struct prefix pre[CONF_TS_PREFIXES_MAX];

	for (size_t i = 0; i < peer->remote_ts.ts.n; i++) {
		uint8_t family = peer->remote_ts.ts.ts[i].start.family;
		const struct ip *src = source_in(p, &peer->local_ts.ts, family);
		size_t n = policy_ts_prefixes(&peer->remote_ts.ts.ts[i], pre, ARRAY_LEN(pre));

		for (size_t k = 0; k < n; k++) {
			add(p, PLAT_ROUTE_UNREACHABLE, &pre[k], NULL);
			add(p, PLAT_ROUTE_DEVICE, &pre[k], src);
		}
	}
}

static bool covered(const struct plan *p, const struct prefix *dst)
{
	for (size_t i = 0; i < p->list.n; i++)
		if (p->list.v[i].kind == PLAT_ROUTE_DEVICE && p->list.v[i].dst.len <= dst->len &&
		    prefix_has(&p->list.v[i].dst, &dst->ip))
			return true;
	return false;
}

/* A throw route is of use only inside something we catch. */
static void add_throw(struct plan *p, const struct prefix *dst)
{
	if (covered(p, dst))
		add(p, PLAT_ROUTE_THROW, dst, NULL);
}

static void add_local(struct plan *p, const struct conf_peer *peer)
{
	struct prefix pre[CONF_TS_PREFIXES_MAX];

	for (size_t i = 0; i < peer->local_ts.ts.n; i++) {
		size_t n = policy_ts_prefixes(&peer->local_ts.ts.ts[i], pre, ARRAY_LEN(pre));

		for (size_t k = 0; k < n; k++)
			add_throw(p, &pre[k]);
	}
}

static void add_never_remote(struct plan *p)
{
	struct prefix dst;

	for (size_t i = 0; i < ARRAY_LEN(never_remote); i++)
		if (prefix_parse(never_remote[i], &dst) == ST_OK)
			add_throw(p, &dst);
}

enum status routes_plan(const struct conf *conf, int ifindex, const struct ip *own, size_t n_own,
			struct route_list *ret_routes)
{
	struct plan p = { .ifindex = ifindex, .own = own, .n_own = n_own };

	for (const struct conf_peer *peer = conf->peers; peer; peer = peer->next)
		add_remote(&p, peer);
	for (const struct conf_peer *peer = conf->peers; peer; peer = peer->next)
		add_local(&p, peer);
	add_never_remote(&p);
	if (p.status != ST_OK) {
		route_list_done(&p.list);
		return p.status;
	}
	*ret_routes = p.list;
	return ST_OK;
}
