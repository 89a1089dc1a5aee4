#include "daemon/lookup.h"

#include <stdlib.h>

#include "daemon/hostnet.h"
#include "plat/resolve.h"
#include "plat/process.h"
#include "plat/udp.h"

struct lookups {
	uv_loop_t *loop;
	struct plat_nl *nl;
	const struct underlay *u;
	lookup_fn *fn;
	void *ctx;
	struct list waiting;
	struct list running;
	size_t n_running;
};

struct lookup {
	struct list node;
	struct lookups *owner;
	struct plat_resolve *resolve;
	uint64_t id;
	char name[];
};

enum status lookups_new(uv_loop_t *loop, struct plat_nl *nl, const struct underlay *u,
			lookup_fn *fn, void *ctx, struct lookups **ret_lookups)
{
	struct lookups *l = calloc(1, sizeof(*l));

	if (!l)
		return ST_NOMEM;
	*l = (struct lookups){ .loop = loop, .nl = nl, .u = u, .fn = fn, .ctx = ctx };
	list_init(&l->waiting);
	list_init(&l->running);
	*ret_lookups = l;
	return ST_OK;
}

static void drop(struct list *head)
{
	list_for_each_safe(n, head) {
		struct lookup *k = CONTAINER_OF(n, struct lookup, node);

		plat_resolve_cancel(k->resolve);
		free(k);
	}
}

void lookups_free(struct lookups *l)
{
	if (!l)
		return;
	drop(&l->waiting);
	drop(&l->running);
	free(l);
}

/* A link-local address is what the kernel falls back to while another one is still tentative. */
static bool can_reach(const struct ip *from, const struct ip *to)
{
	return from->family == to->family && (!ip_is_link_local(from) || ip_is_link_local(to));
}

static bool is_usable(struct plat_nl *nl, const struct ip *from, const struct ip *to,
		      struct text *why)
{
	struct plat_path path;
	char buf[IP_TEXT_MAX];

	if (!hostnet_is_ours(nl, from)) {
		text_fmt(why, "%s cannot be used now", ip_text(from, buf));
		return false;
	}
	return plat_route_get_from(nl, to, from, 0, PLAT_MARK, why, &path) == ST_OK;
}

/* Of those that sockets are bound to, since it is not the one that the kernel would take. */
static bool find_bound(struct plat_nl *nl, const struct underlay *u, const struct ip *to,
		       struct text *why, struct ip *ret)
{
	char buf[IP_TEXT_MAX];
	bool any = false;

	for (size_t i = 0; underlay_address(u, i, ret); i++) {
		if (ret->family != to->family)
			continue;
		text_add(why, any ? ", " : "");
		any = true;
		if (is_usable(nl, ret, to, why))
			return true;
	}
	if (!any)
		text_fmt(why, "%s: no listening socket of its family", ip_text(to, buf));
	return false;
}

bool lookup_source(struct plat_nl *nl, const struct underlay *u, const struct ip *to,
		   struct text *why, struct ip *ret)
{
	struct plat_path path;
	char buf[IP_TEXT_MAX];

	if (plat_route_get(nl, to, PLAT_MARK, why, &path) != ST_OK)
		return false;
	if (!can_reach(&path.src, to)) {
		text_fmt(why, "%s: the host has no address to reach it from", ip_text(to, buf));
		return false;
	}
	if (!underlay_can_send(u, &path.src))
		return find_bound(nl, u, to, why, ret);
	*ret = path.src;
	return is_usable(nl, ret, to, why);
}

/* Addresses that no route or no socket of ours leads to are left out; the obstacles are told. */
static size_t with_sources(struct lookups *l, const struct ip *to, size_t n_to,
			   struct ike_address *ret, struct text *why)
{
	size_t n = 0;

	for (size_t i = 0; i < n_to; i++) {
		struct ip from;

		if (lookup_source(l->nl, l->u, &to[i], why, &from))
			ret[n++] = (struct ike_address){ to[i], from };
		else
			text_add(why, "; ");
	}
	return n;
}

static void start_next(struct lookups *l);

static void resolved(void *ctx, const struct plat_resolved *r)
{
	struct lookup *k = ctx;
	struct lookups *l = k->owner;
	struct ike_address addrs[PLAT_RESOLVE_MAX];
	char buf[512];
	struct text why = TEXT_OF(buf);
	size_t n = 0;

	if (r->status == ST_OK)
		n = with_sources(l, r->ip, r->n, addrs, &why);
	else
		text_add(&why, r->error);
	list_del(&k->node);
	l->n_running--;
	start_next(l);
	l->fn(l->ctx, k->id, k->name, addrs, n, buf);
	free(k);
}

static void give_up(struct lookup *k)
{
	k->owner->fn(k->owner->ctx, k->id, k->name, NULL, 0, "out of memory");
	free(k);
}

static void start_next(struct lookups *l)
{
	while (l->n_running < LOOKUPS_AT_ONCE && !list_empty(&l->waiting)) {
		struct lookup *k = CONTAINER_OF(l->waiting.next, struct lookup, node);

		list_del(&k->node);
		if (plat_resolve_start(l->loop, PLAT_NS_HERE, k->name, resolved, k, &k->resolve) !=
		    ST_OK) {
			give_up(k);
			continue;
		}
		list_add_tail(&l->running, &k->node);
		l->n_running++;
	}
}

/* What is no name needs nobody who answers: the way to a peer after a move is asked for like this,
 * and must not wait behind names. */
static void answer_address(struct lookups *l, uint64_t id, const struct ip *ip)
{
	struct ike_address addr;
	char name[IP_TEXT_MAX], buf[512];
	struct text why = TEXT_OF(buf);
	size_t n = with_sources(l, ip, 1, &addr, &why);

	l->fn(l->ctx, id, ip_text(ip, name), &addr, n, buf);
}

void lookups_start(struct lookups *l, uint64_t id, const char *name)
{
	size_t n = strlen(name) + 1;
	struct lookup *k;
	struct ip ip;

	if (ip_parse(name, &ip) == ST_OK) {
		answer_address(l, id, &ip);
		return;
	}
	k = calloc(1, sizeof(*k) + n);

	if (!k) {
		l->fn(l->ctx, id, name, NULL, 0, "out of memory");
		return;
	}
	k->owner = l;
	k->id = id;
	memcpy(k->name, name, n);
	list_add_tail(&l->waiting, &k->node);
	start_next(l);
}
