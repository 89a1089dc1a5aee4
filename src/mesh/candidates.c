/*
 * candidates.c - where we can be reached, and where a partner may be.
 *
 * Whoever suggests, or answers for, a candidate may lie: it may be somebody who has nothing to do
 * with any of this.  What cannot be a partner's underlay address is not asked at all; what can be
 * is asked a few times, and path.c bounds how often anybody hears of us.
 */
#include "mesh/site.h"

/* Larger is tried first.  Section 6. */
enum { PRIORITY_HOST = 2 << 24, PRIORITY_CONFIGURED = 3 << 24 };

/* A selector for all addresses says nothing of where tunnels end. */
static bool is_all(const struct wire_ts *ts)
{
	struct ip before = ip_prev(&ts->start);

	return ip_eq(&before, &ts->end);
}

static bool inside(const struct ip *ip, const struct wire_ts_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (ip->family == l->ts[i].start.family && !is_all(&l->ts[i]) &&
		    ip_cmp(ip, &l->ts[i].start) >= 0 && ip_cmp(ip, &l->ts[i].end) <= 0)
			return true;
	return false;
}

static bool is_inner(const struct network *net, const struct ip *ip)
{
	return inside(ip, &net->section->domain) || inside(ip, &net->section->ts_remote) ||
	       inside(ip, &net->section->ts_local);
}

static bool is_own(const struct mesh *m, const struct ip *ip)
{
	for (size_t i = 0; i < m->n_own; i++)
		if (ip_eq(&m->own[i], ip))
			return true;
	return false;
}

bool own_gone(const struct mesh *m, const struct ip *local)
{
	return m->n_own && m->n_own < MESH_OWN && !is_own(m, local);
}

/* ---- ours ------------------------------------------------------------------------------------ */

static bool is_usable(const struct network *net, const struct ip *ip)
{
	return ip_is_host(ip) && !ip_is_link_local(ip) && !is_inner(net, ip);
}

struct newest {
	ike_sa_id id;
	struct ip local;
};

static bool look_at_sa(void *ctx, const struct ike_sa_info *info)
{
	struct newest *n = ctx;

	if (info->established && info->id >= n->id) {
		n->id = info->id;
		n->local = info->local.ip;
	}
	return true;
}

/* From where our hub is reached, the first that is; family 0: none is. */
static struct ip towards_hub(const struct network *net)
{
	struct newest n = { 0 };

	for (size_t i = 0; i < n_attached(net) && !n.id; i++)
		ike_each_sa_of(net->m->ike, net->m->now, hub_at(net, i), look_at_sa, &n);
	return n.local;
}

struct ips {
	struct ip *ip;
	size_t n, max;
};

static void ips_add(struct ips *l, const struct ip *ip)
{
	for (size_t i = 0; i < l->n; i++)
		if (ip_eq(&l->ip[i], ip))
			return;
	if (l->n < l->max)
		l->ip[l->n++] = *ip;
}

/* The one that leads to the hub first: it is the likeliest to lead anywhere. */
static size_t usable(const struct network *net, uint8_t family, struct ip *ret, size_t max)
{
	const struct mesh *m = net->m;
	struct ip first = towards_hub(net);
	struct ips l = { ret, 0, max };

	if (first.family && (!family || first.family == family) && !own_gone(m, &first) &&
	    is_usable(net, &first))
		ips_add(&l, &first);
	for (size_t i = 0; i < m->n_own; i++)
		if ((!family || m->own[i].family == family) && is_usable(net, &m->own[i]))
			ips_add(&l, &m->own[i]);
	return l.n;
}

size_t own_locals(const struct network *net, uint8_t family, struct ip ret[static MESH_LOCALS])
{
	return usable(net, family, ret, MESH_LOCALS);
}

static void offer(struct wire_mesh_candidate *ret, size_t n, uint8_t kind, uint32_t priority,
		  struct endpoint at)
{
	ret[n] = (struct wire_mesh_candidate){ .kind = kind,
					       .priority = priority - (uint32_t)n,
					       .at = at };
}

/* One place is the hub's, for where it sees us. */
size_t own_candidates(const struct network *net,
		      struct wire_mesh_candidate ret[static WIRE_MESH_CANDIDATES])
{
	uint16_t port = net->m->conf->ike->nat_port;
	struct ip host[WIRE_MESH_CANDIDATES - 1];
	size_t n = 0, hosts;

	for (size_t i = 0; i < net->conf->n_candidates && n < WIRE_MESH_CANDIDATES - 1; i++, n++)
		offer(ret, n, WIRE_MC_CONFIGURED, PRIORITY_CONFIGURED,
		      (struct endpoint){ net->conf->candidates[i], port });
	hosts = usable(net, 0, host, ARRAY_LEN(host) - n);
	for (size_t i = 0; i < hosts; i++, n++)
		offer(ret, n, WIRE_MC_HOST, PRIORITY_HOST, (struct endpoint){ host[i], port });
	return n;
}

/* ---- of others ------------------------------------------------------------------------------- */

const char *spot_unfit(const struct shortcut *c, const struct endpoint *at)
{
	if (!at->port)
		return "port 0";
	if (!ip_is_host(&at->ip))
		return "no address of a host";
	if (ip_is_link_local(&at->ip))
		return "a link-local address";
	if (is_own(c->net->m, &at->ip))
		return "an address of our own";
	if (is_inner(c->net, &at->ip) || inside(&at->ip, &c->ts_remote) ||
	    inside(&at->ip, &c->ts_local))
		return "an address inside the network";
	return NULL;
}

static struct spot *spot_at(struct probing *p, const struct endpoint *at)
{
	for (size_t i = 0; i < p->n_spots; i++)
		if (endpoint_eq(&p->spots[i].at, at))
			return &p->spots[i];
	return NULL;
}

/* By priority, those that came first in front. */
static void insert(struct probing *p, const struct spot *s)
{
	size_t i = p->n_spots++;

	for (; i > 0 && p->spots[i - 1].priority < s->priority; i--)
		p->spots[i] = p->spots[i - 1];
	p->spots[i] = *s;
}

static void forget_named(struct probing *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_spots; i++)
		if (!p->spots[i].kind)
			p->spots[n++] = p->spots[i];
	p->n_spots = n;
}

void spots_set(struct shortcut *c, const struct wire_mesh *msg)
{
	struct probing *p = c->probing;

	forget_named(p);
	for (size_t i = 0; i < msg->n_candidates && p->n_spots < WIRE_MESH_CANDIDATES; i++) {
		const struct wire_mesh_candidate *from = &msg->candidates[i];
		struct spot s = { from->kind, from->priority, from->at };
		struct spot *same = spot_at(p, &s.at);

		if (!same)
			insert(p, &s);
		else if (s.kind == WIRE_MC_HOST)
			same->kind = s.kind;
	}
}

void spots_add(struct shortcut *c, const struct endpoint *at)
{
	struct probing *p = c->probing;
	struct spot s = { .at = *at };

	if (p->n_spots < WIRE_MESH_CANDIDATES && !spot_at(p, at) && !spot_unfit(c, at))
		insert(p, &s);
}
