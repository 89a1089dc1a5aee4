#include "daemon/hostnet.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "esp/esp.h"
#include "plat/process.h"
#include "plat/udp.h"

/* An inner device with less than 1280 loses IPv6 (RFC 8200 section 5), with less than 576 IPv4's
 * minimum reassembly size; below them outer fragmentation is the lesser evil. */
#define MTU_FLOOR_6 1280
#define MTU_FLOOR_4 576

/* ---- addresses --------------------------------------------------------------------------- */

struct collect {
	struct plat_addr *v;
	size_t n;
	bool nomem;
};

static bool on_addr(void *ctx, const struct plat_addr *a)
{
	struct collect *c = ctx;
	struct plat_addr *v;

	if (!a) {
		c->n = 0;
		return true;
	}
	if ((a->scope != RT_SCOPE_UNIVERSE && a->scope != RT_SCOPE_SITE) || a->tentative)
		return true;
	v = realloc(c->v, (c->n + 1) * sizeof(*v));
	if (!v) {
		c->nomem = true;
		return false;
	}
	c->v = v;
	v[c->n++] = *a;
	return true;
}

static enum status only_ips(const struct collect *c, struct own_addrs *ret_addrs)
{
	struct ip *v = calloc(c->n + 1, sizeof(*v));

	if (!v || c->nomem) {
		free(v);
		return ST_NOMEM;
	}
	for (size_t i = 0; i < c->n; i++)
		v[i] = c->v[i].ip;
	*ret_addrs = (struct own_addrs){ v, c->n };
	return ST_OK;
}

enum status hostnet_addrs(struct plat_nl *nl, struct text *why, struct own_addrs *ret_addrs)
{
	struct collect c = { 0 };
	enum status st = plat_addr_each(nl, on_addr, &c, why);

	if (st == ST_OK)
		st = only_ips(&c, ret_addrs);
	free(c.v);
	return st;
}

void hostnet_addrs_done(struct own_addrs *a)
{
	free(a->v);
	*a = (struct own_addrs){ 0 };
}

/* An address is told of before it has its route. */
bool hostnet_is_ours(struct plat_nl *nl, const struct ip *ip)
{
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	struct plat_path path;

	return plat_route_get(nl, ip, PLAT_MARK, &why, &path) == ST_OK && path.local;
}

/* ---- outer addresses --------------------------------------------------------------------- */

/* A network of the host's, not its own address alone; halves of everything say nothing. */
static bool a_site(const struct prefix *p)
{
	return p->len > 1 && p->len < ip_bits(&p->ip);
}

static bool likely_inner(const struct hostnet_outer *o, const struct ip *ip)
{
	for (size_t k = 0; k < ARRAY_LEN(o->inner); k++)
		for (size_t i = 0; o->inner[k] && i < o->inner[k]->n; i++)
			if (a_site(&o->inner[k]->v[i]) && prefix_has(&o->inner[k]->v[i], ip))
				return true;
	return false;
}

/* Addresses of one device follow each other. */
static bool running(struct plat_nl *nl, int ifindex, struct plat_link *last)
{
	char ignored[8];
	struct text why = TEXT_OF(ignored);

	if (last->ifindex != ifindex && plat_link_get(nl, ifindex, &why, last) != ST_OK)
		*last = (struct plat_link){ .ifindex = ifindex };
	return last->running;
}

enum rank {
	IN_USE, /* first */
	PREFERRED,
	DEPRECATED,
	UNFIT,
};

static enum rank rank_of(struct plat_nl *nl, const struct hostnet_outer *o,
			 const struct plat_addr *a, struct plat_link *last)
{
	if (a->ifindex == o->device || !running(nl, a->ifindex, last) || !o->bound(o->ctx, &a->ip))
		return UNFIT;
	if (!o->in_use(o->ctx, &a->ip) && likely_inner(o, &a->ip))
		return UNFIT;
	if (!hostnet_is_ours(nl, &a->ip))
		return UNFIT;
	if (a->deprecated)
		return DEPRECATED;
	return o->in_use(o->ctx, &a->ip) ? IN_USE : PREFERRED;
}

static bool any_of_family(const struct outer_addr *v, size_t n, uint8_t family)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].ip.family == family)
			return true;
	return false;
}

static bool known_already(const struct outer_addr *v, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&v[i].ip, ip))
			return true;
	return false;
}

static size_t take_ranked(const struct collect *c, const uint8_t *rank, enum rank wanted,
			  struct outer_addr *ret, size_t n)
{
	const size_t better = n;

	for (size_t i = 0; i < c->n && n < HOSTNET_OUTER_MAX; i++) {
		const struct plat_addr *a = &c->v[i];

		if (rank[i] != wanted || known_already(ret, n, &a->ip) ||
		    (wanted == DEPRECATED && any_of_family(ret, better, a->ip.family)))
			continue;
		ret[n++] = (struct outer_addr){ a->ip, a->ifindex, prefix_of(&a->ip, a->len) };
	}
	return n;
}

static enum status choose(struct plat_nl *nl, const struct hostnet_outer *o,
			  const struct collect *c, struct outer_addr *ret, size_t *ret_n)
{
	uint8_t *rank = calloc(c->n + 1, sizeof(*rank));
	struct plat_link last = { 0 };
	size_t n = 0;

	if (!rank || c->nomem) {
		free(rank);
		return ST_NOMEM;
	}
	for (size_t i = 0; i < c->n; i++)
		rank[i] = (uint8_t)rank_of(nl, o, &c->v[i], &last);
	for (enum rank r = IN_USE; r < UNFIT; r++)
		n = take_ranked(c, rank, r, ret, n);
	free(rank);
	*ret_n = n;
	return ST_OK;
}

enum status hostnet_outer(struct plat_nl *nl, const struct hostnet_outer *o, struct text *why,
			  struct outer_addr *ret, size_t *ret_n)
{
	struct collect c = { 0 };
	enum status st = plat_addr_each(nl, on_addr, &c, why);

	if (st == ST_OK)
		st = choose(nl, o, &c, ret, ret_n);
	free(c.v);
	return st;
}

/* ---- MTU --------------------------------------------------------------------------------- */

uint16_t hostnet_inner_mtu(uint32_t outer, uint8_t family, const struct esp_shape *shape)
{
	const uint32_t headers = (family == 6 ? 40 : 20) + 8;

	if (outer > 65535)
		outer = 65535;
	return outer < headers ? 0 : (uint16_t)esp_inner_max(shape, outer - headers);
}

/* What a peer will choose nobody knows before: of the proposal that comes first, the cipher that
 * takes most.  When a peer takes another one, the data plane learns what fits.  With an AEAD a
 * proposal has no integrity algorithm. */
static void widen(const struct wire_sa *sa, struct esp_shape *s)
{
	const struct wire_proposal *p = sa->proposals;

	for (size_t i = 0; sa->n && i < p->n_transforms; i++) {
		const struct wire_transform *e = &p->transforms[i];

		for (size_t k = 0; e->type == WIRE_T_ENCR && k < p->n_transforms; k++) {
			const struct wire_transform *x = &p->transforms[k];
			uint16_t integ = x->type == WIRE_T_INTEG ? x->id : CRYPTO_INTEG_NONE;
			struct esp_shape one =
				esp_shape_of((struct crypto_cipher){ e->id, e->key_bits, integ });

			s->head = one.head > s->head ? one.head : s->head;
			s->align = one.align > s->align ? one.align : s->align;
			s->icv = one.icv > s->icv ? one.icv : s->icv;
		}
	}
}

static struct esp_shape widest(const struct conf *conf)
{
	struct esp_shape s = { 0, 4, 0 };

	for (const struct conf_peer *p = conf->peers; p; p = p->next)
		widen(&p->esp_proposals.sa, &s);
	for (const struct conf_network *n = conf->networks; n; n = n->next)
		widen(&n->esp_proposals.sa, &s);
	return s;
}

struct smallest {
	struct plat_nl *nl;
	struct esp_shape shape;
	int device; /* ours: no way out */
	unsigned asked; /* addresses of peers */
	uint32_t inner; /* 0: nothing known yet */
};

static void take(struct smallest *s, uint32_t outer, uint8_t family)
{
	uint32_t inner = hostnet_inner_mtu(outer, family, &s->shape);

	if (outer && (s->inner == 0 || inner < s->inner))
		s->inner = inner;
}

/* What the device of an address can carry: 0 when packets do not go out there. */
static uint32_t device_mtu(struct plat_nl *nl, int ifindex)
{
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	struct plat_link link;

	if (plat_link_get(nl, ifindex, &why, &link) != ST_OK || !link.up || link.loopback)
		return 0;
	return link.mtu;
}

/* Any device with an address may be the one that a peer comes in by. */
static void take_devices(struct smallest *s)
{
	struct collect c = { 0 };
	char ignored[8];
	struct text why = TEXT_OF(ignored);

	(void)!plat_addr_each(s->nl, on_addr, &c, &why);
	for (size_t i = 0; i < c.n; i++)
		if (c.v[i].ifindex != s->device)
			take(s, device_mtu(s->nl, c.v[i].ifindex), c.v[i].ip.family);
	free(c.v);
}

/* False when it is a name, or one of too many. */
static bool take_host(struct smallest *s, const char *host)
{
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	struct plat_path path;
	struct ip ip;

	if (s->asked++ >= HOSTNET_PEERS_MAX || ip_parse(host, &ip) != ST_OK)
		return false;
	if (plat_route_get(s->nl, &ip, PLAT_MARK, &why, &path) == ST_OK)
		take(s, path.mtu, ip.family);
	return true;
}

/* False when the addresses of the peer are not all known. */
static bool take_peer(struct smallest *s, const struct conf_peer *p)
{
	bool known = p->address.n > 0;

	for (size_t i = 0; i < p->address.n; i++)
		known &= take_host(s, p->address.v[i].s);
	return known;
}

/* Of a hub's members nobody knows an address. */
static bool take_network(struct smallest *s, const struct conf_network_creds *n)
{
	bool known = n->role != CONF_ROLE_HUB && n->n_hubs > 0;

	for (size_t i = 0; i < n->n_hubs; i++)
		known &= take_host(s, n->hubs[i]);
	return known;
}

static bool any_ipv6(const struct wire_ts_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ts[i].start.family == 6)
			return true;
	return false;
}

/* A network whose domain is not known yet may have both. */
static bool inner_ipv6(const struct conf *conf, const struct conf_creds *creds)
{
	for (const struct conf_peer *p = conf->peers; p; p = p->next)
		if (any_ipv6(&p->remote_ts.ts))
			return true;
	for (size_t i = 0; i < conf->n_networks; i++) {
		const struct conf_network_creds *n = conf_creds_network(creds, i);

		if (n->domain.n == 0 || any_ipv6(&n->domain))
			return true;
	}
	return false;
}

uint16_t hostnet_mtu(struct plat_nl *nl, const struct conf *conf, const struct conf_creds *creds,
		     int device, uint16_t known)
{
	const uint32_t floor = inner_ipv6(conf, creds) ? MTU_FLOOR_6 : MTU_FLOOR_4;
	struct smallest s = { .nl = nl, .shape = widest(conf), .device = device };
	bool all_known = true;

	for (const struct conf_peer *p = conf->peers; p; p = p->next)
		all_known &= take_peer(&s, p);
	for (size_t i = 0; i < conf->n_networks; i++)
		all_known &= take_network(&s, conf_creds_network(creds, i));
	if (all_known && s.inner == 0 && known)
		return known;
	if (!all_known || s.inner == 0)
		take_devices(&s);
	if (s.inner == 0)
		s.inner = hostnet_inner_mtu(1500, 6, &s.shape);
	if (conf->mtu.v && conf->mtu.v < s.inner)
		s.inner = conf->mtu.v;
	return (uint16_t)(s.inner < floor ? floor : s.inner);
}

/* ---- settings that get in the way -------------------------------------------------------- */

struct warn {
	const struct conf *conf;
	const struct conf_creds *creds;
	const struct own_addrs *own;
	hostnet_warn_fn *fn;
	void *ctx;
};

/* True when a selector is more than this very host. */
static bool behind_us(const struct wire_ts *ts, const struct own_addrs *own)
{
	if (!ip_eq(&ts->start, &ts->end))
		return true;
	for (size_t i = 0; i < own->n; i++)
		if (ip_eq(&own->v[i], &ts->start))
			return false;
	return true;
}

static bool list_behind_us(const struct wire_ts_list *l, const struct own_addrs *own,
			   uint8_t family)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ts[i].start.family == family && behind_us(&l->ts[i], own))
			return true;
	return false;
}

static bool any_of(const struct wire_ts_list *l, uint8_t family)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ts[i].start.family == family)
			return true;
	return false;
}

/* Hosts behind us, or sites that reach each other through us. */
static bool forwards(const struct warn *w, uint8_t family)
{
	for (const struct conf_peer *p = w->conf->peers; p; p = p->next)
		if (list_behind_us(&p->local_ts.ts, w->own, family))
			return true;
	for (size_t i = 0; i < w->conf->n_networks; i++) {
		const struct conf_network_creds *c = conf_creds_network(w->creds, i);

		if (list_behind_us(&c->protect, w->own, family) ||
		    (c->role == CONF_ROLE_HUB && any_of(&c->domain, family)))
			return true;
	}
	return false;
}

static void check_forwarding(const struct warn *w, uint8_t family, const char *sysctl)
{
	char text[160];
	long on;

	if (!forwards(w, family) || plat_sysctl_get(PLAT_NS_HERE, sysctl, &on) != ST_OK || on)
		return;
	snprintf(text, sizeof(text),
		 "the kernel does not forward IPv%u: hosts behind this one are cut off until "
		 "/proc/sys/net/%s is 1",
		 family, sysctl);
	w->fn(w->ctx, text);
}

/* An outer address inside what we route into the tunnel. */
static bool covers(const struct wire_ts_list *l, const char *host)
{
	struct ip ip;

	if (ip_parse(host, &ip) != ST_OK || ip.family != 4)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (l->ts[i].start.family == 4 && ip_cmp(&l->ts[i].start, &ip) <= 0 &&
		    ip_cmp(&ip, &l->ts[i].end) <= 0)
			return true;
	return false;
}

static bool covers_peer(const struct warn *w)
{
	for (const struct conf_peer *p = w->conf->peers; p; p = p->next)
		for (size_t i = 0; i < p->address.n; i++)
			if (covers(&p->remote_ts.ts, p->address.v[i].s))
				return true;
	for (size_t i = 0; i < w->conf->n_networks; i++) {
		const struct conf_network_creds *c = conf_creds_network(w->creds, i);

		for (size_t k = 0; k < c->n_hubs; k++)
			if (covers(&c->domain, c->hubs[k]))
				return true;
	}
	return false;
}

/* Strict reverse path filtering asks where an unmarked answer would go: into the tunnel, unless our
 * own address is in the domain as well (guard.h). */
static void check_rp_filter(const struct warn *w)
{
	long mode;

	if (plat_sysctl_get(PLAT_NS_HERE, "ipv4/conf/all/rp_filter", &mode) == ST_OK && mode == 1 &&
	    covers_peer(w))
		w->fn(w->ctx,
		      "a peer's own address lies in its remote_ts and reverse path filtering is "
		      "strict: its packets are dropped until "
		      "/proc/sys/net/ipv4/conf/all/rp_filter is 2 or 0");
}

void hostnet_check(const struct conf *conf, const struct conf_creds *creds,
		   const struct own_addrs *own, hostnet_warn_fn *fn, void *ctx)
{
	const struct warn w = { conf, creds, own, fn, ctx };

	check_forwarding(&w, 4, "ipv4/ip_forward");
	check_forwarding(&w, 6, "ipv6/conf/all/forwarding");
	check_rp_filter(&w);
}
