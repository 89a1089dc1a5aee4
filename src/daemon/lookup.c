#include "daemon/lookup.h"

#include <stdlib.h>

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

/* Addresses that no route or no socket of ours leads to are left out; the last obstacle is told. */
static size_t with_sources(struct lookups *l, const struct plat_resolved *r,
			   struct ike_address *ret, struct text *why)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct plat_path path;
		char buf[IP_TEXT_MAX];
		struct ip from;

		if (plat_route_get(l->nl, &r->ip[i], PLAT_MARK, why, &path) != ST_OK) {
			text_add(why, "; ");
			continue;
		}
		from = underlay_source(l->u, &path.src);
		if (from.family == 0) {
			text_fmt(why, "%s: no listening socket of its family; ",
				 ip_text(&r->ip[i], buf));
			continue;
		}
		ret[n++] = (struct ike_address){ r->ip[i], from };
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
		n = with_sources(l, r, addrs, &why);
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

void lookups_start(struct lookups *l, uint64_t id, const char *name)
{
	size_t n = strlen(name) + 1;
	struct lookup *k = calloc(1, sizeof(*k) + n);

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
