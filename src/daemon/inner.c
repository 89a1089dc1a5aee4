#include "daemon/inner.h"

#include <errno.h>
#include <stdlib.h>

/* What one gateway gave. */
struct gift {
	struct list node;
	ike_peer_id peer;
	bool up; /* the SA that it came by is there, or its successor */
	bool taken_down; /* by the operator: it goes when that is lost */
	bool said; /* that an address of it cannot be had */
	struct arena mem; /* of all that follows */
	struct ike_inner in;
};

struct inner {
	struct list gifts; /* in the order in which they came */
	const struct gift *named; /* whose name servers are used */
	enum resolved_state state; /* of that, as it was said */
	char why[RESOLVED_TEXT_MAX];
};

enum {
	WHY_MAX = 512,
	GIFT_MAX = 65536, /* bytes; the engine takes no more of a peer than fits */
};

/* ---- gifts --------------------------------------------------------------------------------- */

static struct gift *gift_of(struct list *n)
{
	return CONTAINER_OF(n, struct gift, node);
}

static struct gift *find(const struct host *h, ike_peer_id peer)
{
	list_for_each(n, &h->inner->gifts)
		if (gift_of(n)->peer == peer)
			return gift_of(n);
	return NULL;
}

static void gift_free(struct gift *g)
{
	if (!g)
		return;
	arena_done(&g->mem);
	free(g);
}

/* NULL sets `*ok` to false. */
static const void *dup_bytes(struct arena *ar, const void *p, size_t n, bool *ok)
{
	struct bytes copy = { 0 };

	*ok = *ok && arena_dup(ar, bytes_of(p, n), &copy) == ST_OK;
	return copy.p;
}

static bool dup_gift(struct arena *ar, const struct ike_inner *in, struct ike_inner *ret)
{
	const char **domains = arena_new(ar, (in->n_domains + 1) * sizeof(*domains));
	bool ok = domains;

	*ret = *in;
	ret->peer_name = dup_bytes(ar, in->peer_name, strlen(in->peer_name) + 1, &ok);
	ret->addresses =
		dup_bytes(ar, in->addresses, in->n_addresses * sizeof(*in->addresses), &ok);
	ret->dns = dup_bytes(ar, in->dns, in->n_dns * sizeof(*in->dns), &ok);
	ret->subnets = dup_bytes(ar, in->subnets, in->n_subnets * sizeof(*in->subnets), &ok);
	for (size_t i = 0; ok && i < in->n_domains; i++)
		domains[i] = dup_bytes(ar, in->domains[i], strlen(in->domains[i]) + 1, &ok);
	ret->domains = domains;
	return ok;
}

static struct gift *gift_new(const struct ike_inner *in)
{
	struct gift *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	arena_init(&g->mem, &mem_libc, GIFT_MAX);
	g->peer = in->peer;
	g->up = true;
	if (dup_gift(&g->mem, in, &g->in))
		return g;
	gift_free(g);
	return NULL;
}

static bool given_by(const struct gift *g, const struct ip *ip)
{
	for (size_t i = 0; i < g->in.n_addresses; i++)
		if (ip_eq(&g->in.addresses[i].ip, ip))
			return true;
	return false;
}

static bool is_given(const struct host *h, const struct ip *ip)
{
	list_for_each(n, &h->inner->gifts)
		if (given_by(gift_of(n), ip))
			return true;
	return false;
}

enum status inner_given(const struct host *h, const char *section, struct guard_prefixes *ret)
{
	enum status st = ST_OK;

	if (!h->inner)
		return ST_OK;
	list_for_each(n, &h->inner->gifts) {
		const struct ike_inner *in = &gift_of(n)->in;

		for (size_t i = 0; strcmp(in->peer_name, section) == 0 && i < in->n_addresses;
		     i++) {
			const struct prefix host = prefix_of(&in->addresses[i].ip, 128);

			if (st == ST_OK)
				st = guard_prefixes_add(ret, &host);
		}
	}
	return st;
}

/* ---- addresses on the device --------------------------------------------------------------- */

/* False: it is there already, or cannot be had. */
static bool add_address(struct host *h, struct gift *g, const struct ip *ip)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	if (plat_addr_add(h->nl, h->tun.ifindex, ip, GUARD_PROTOCOL, &why) == ST_OK)
		return true;
	if (plat_nl_errno(h->nl) == EEXIST)
		return false;
	if (!g->said)
		host_log(h, OBS_ERROR, g->in.peer_name, buf);
	g->said = true;
	h->counters[HOST_INNER_FAILED]++;
	return false;
}

static void del_address(struct host *h, const struct ip *ip)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	if (plat_addr_del(h->nl, h->tun.ifindex, ip, &why) == ST_OK ||
	    plat_nl_errno(h->nl) == EADDRNOTAVAIL || plat_nl_errno(h->nl) == ENODEV)
		return;
	host_log(h, OBS_WARNING, NULL, buf);
}

/* Whether any was missing. */
static bool add_addresses(struct host *h, struct gift *g)
{
	bool any = false;

	for (size_t i = 0; i < g->in.n_addresses; i++)
		any |= add_address(h, g, &g->in.addresses[i].ip);
	return any;
}

/* `g` is in the list no more, and the routes have heard of that. */
static void del_addresses(struct host *h, const struct gift *g)
{
	for (size_t i = 0; i < g->in.n_addresses; i++)
		if (!is_given(h, &g->in.addresses[i].ip))
			del_address(h, &g->in.addresses[i].ip);
}

static bool same_addresses(const struct gift *a, const struct gift *b)
{
	if (a->in.n_addresses != b->in.n_addresses)
		return false;
	for (size_t i = 0; i < a->in.n_addresses; i++)
		if (!given_by(b, &a->in.addresses[i].ip))
			return false;
	return true;
}

/* ---- name servers -------------------------------------------------------------------------- */

static const struct gift *with_names(const struct host *h)
{
	list_for_each(n, &h->inner->gifts)
		if (gift_of(n)->up && gift_of(n)->in.n_dns)
			return gift_of(n);
	return NULL;
}

static void names_text(struct text *t, const struct ike_inner *in)
{
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; i < in->n_dns; i++)
		text_fmt(t, "%s%s", i ? ", " : "", ip_text(&in->dns[i], buf));
	for (size_t i = 0; i < in->n_domains; i++)
		text_fmt(t, "%s%s", i ? ", " : " for ", in->domains[i]);
}

/* Each state once. */
static void on_names(void *host, enum resolved_state state, const char *why)
{
	struct host *h = host;
	struct inner *in = h->inner;
	char servers[WHY_MAX], buf[2 * WHY_MAX + RESOLVED_TEXT_MAX];
	struct text s = TEXT_OF(servers), t = TEXT_OF(buf);
	bool same = state == in->state && strcmp(why, in->why) == 0;

	in->state = state;
	text_add(&(struct text){ in->why, 0, sizeof(in->why) }, why);
	if (!in->named || (same && state != RESOLVED_SET))
		return;
	names_text(&s, &in->named->in);
	if (state == RESOLVED_SET)
		text_fmt(&t, "systemd-resolved asks %s", servers);
	else if (state == RESOLVED_ABSENT)
		text_fmt(&t,
			 "there is no systemd-resolved (%s): the network's name servers, %s, are "
			 "not used, and nothing is changed",
			 why, servers);
	else
		text_fmt(&t, "systemd-resolved does not take the network's name servers, %s: %s",
			 servers, why);
	host_log(h, state == RESOLVED_SET ? OBS_INFO : OBS_WARNING, in->named->in.peer_name, buf);
}

static void follow_names(struct host *h)
{
	const struct gift *now = with_names(h);
	struct resolved_wish w = { 0 };

	if (now == h->inner->named || !h->resolved)
		return;
	h->inner->named = now;
	if (now)
		w = (struct resolved_wish){ now->in.dns, now->in.n_dns, now->in.domains,
					    now->in.n_domains };
	resolved_set(h->resolved, &w);
}

static void start_names(struct host *h)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	if (!h->resolved)
		return;
	resolved_on_change(h->resolved, on_names, h);
	if (resolved_device(h->resolved, h->tun.ifindex, &why) != ST_OK)
		host_log(h, OBS_WARNING, NULL, buf);
}

/* ---- giving and taking --------------------------------------------------------------------- */

/* `now` takes the place of `before`; either may be NULL.  Between what is new and what is old the
 * routes change over. */
static void replace(struct host *h, struct gift *before, struct gift *now)
{
	bool same = before && now && same_addresses(before, now);

	if (now) {
		(void)add_addresses(h, now);
		list_add_tail(&h->inner->gifts, &now->node);
	}
	if (before)
		list_del(&before->node);
	if (!same)
		guarding_follow(h);
	follow_names(h);
	if (before)
		del_addresses(h, before);
	gift_free(before);
}

struct search {
	const char *name;
	bool wanted;
};

static bool on_peer(void *ctx, const struct ike_peer_info *p)
{
	struct search *s = ctx;

	if (strcmp(p->name, s->name) != 0)
		return true;
	s->wanted = p->conf->ask_v4 || p->conf->ask_v6;
	return false;
}

/* Whether that section, if it is there, still asks for addresses, and is not taken down. */
static bool is_wanted(const struct host *h, const struct gift *g)
{
	struct search s = { .name = g->in.peer_name };

	if (g->taken_down)
		return false;
	ike_each_peer(h->ike, plat_now(), g->peer - 1, on_peer, &s);
	return s.wanted;
}

void inner_out(struct host *h, const struct ike_inner *in)
{
	struct gift *before = find(h, in->peer), *now;

	if (!in->up) {
		if (before)
			before->up = false;
		follow_names(h);
		inner_review(h);
		return;
	}
	now = gift_new(in);
	if (!now) {
		h->counters[HOST_INNER_FAILED]++;
		host_log(h, OBS_ERROR, in->peer_name, "its inner addresses: out of memory");
		return;
	}
	replace(h, before, now);
}

void inner_review(struct host *h)
{
	list_for_each_safe(n, &h->inner->gifts)
		if (!gift_of(n)->up && !is_wanted(h, gift_of(n)))
			replace(h, gift_of(n), NULL);
}

void inner_down(struct host *h, const char *section)
{
	list_for_each(n, &h->inner->gifts)
		if (strcmp(gift_of(n)->in.peer_name, section) == 0)
			gift_of(n)->taken_down = true;
	inner_review(h);
}

/* A device that went down loses its addresses of IPv6. */
bool inner_network(struct host *h)
{
	bool any = false;

	if (!h->inner)
		return false;
	list_for_each(n, &h->inner->gifts)
		any |= add_addresses(h, gift_of(n));
	return any;
}

/* ---- coming and going ---------------------------------------------------------------------- */

enum status inner_start(struct host *h)
{
	struct inner *in = calloc(1, sizeof(*in));

	if (!in)
		return ST_NOMEM;
	list_init(&in->gifts);
	h->inner = in;
	start_names(h);
	return ST_OK;
}

/* While the routes and the device are still there. */
void inner_stop(struct host *h)
{
	if (!h->inner || !h->nl)
		return;
	list_for_each_safe(n, &h->inner->gifts)
		replace(h, gift_of(n), NULL);
}

void inner_free(struct host *h)
{
	free(h->inner);
	h->inner = NULL;
}

/* ---- status -------------------------------------------------------------------------------- */

static json_t *ips_json(const struct ip *v, size_t n)
{
	json_t *list = json_array();
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; list && i < n; i++)
		json_array_append_new(list, json_string(ip_text(&v[i], buf)));
	return list;
}

static json_t *gift_json(const struct gift *g)
{
	json_t *addresses = json_array(), *domains = json_array(), *subnets = json_array();
	char buf[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < g->in.n_addresses; i++)
		json_array_append_new(addresses, json_string(ip_text(&g->in.addresses[i].ip, buf)));
	for (size_t i = 0; i < g->in.n_domains; i++)
		json_array_append_new(domains, json_string(g->in.domains[i]));
	for (size_t i = 0; i < g->in.n_subnets; i++)
		json_array_append_new(subnets, json_string(prefix_text(&g->in.subnets[i], buf)));
	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o}", "peer", g->in.peer_name, "up", g->up,
			 "addresses", addresses, "dns", ips_json(g->in.dns, g->in.n_dns),
			 "dns_domains", domains, "subnets", subnets);
}

json_t *inner_names_json(const struct host *h)
{
	const enum resolved_state state =
		h->resolved ? resolved_state(h->resolved) : RESOLVED_ABSENT;

	return json_pack("{s:s, s:s}", "state", resolved_state_name(state), "text", h->inner->why);
}

json_t *inner_json(const struct host *h)
{
	json_t *list = json_array();

	list_for_each(n, &h->inner->gifts)
		json_array_append_new(list, gift_json(gift_of(n)));
	return list;
}
