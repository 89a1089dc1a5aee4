/*
 * What is published: from SPI to child, from destination to child.
 *
 * Every list here is changed by the control thread alone: a new element is filled in, then linked
 * with a release store; a removed one keeps its own pointer, so that a reader who stands on it
 * finds the way on, and is freed after a grace period.  Unlinking needs no memory, therefore
 * removing never fails.
 */
#include "dp/user/internal.h"

/* ---- SPIs ---------------------------------------------------------------------------------- */

enum {
	SPI_FIRST_SLOTS = 64,
};

/* Stands where a child was: a search goes on behind it. */
static struct child removed;

/* SPIs are random numbers of our own choice, so any mixing will do. */
static size_t spi_hash(uint32_t spi)
{
	return (size_t)((spi * 0x9e3779b97f4a7c15u) >> 24);
}

struct child *sadb_by_spi(const struct user *u, uint32_t spi)
{
	struct spi_table *t = atomic_load_explicit(&u->spis, memory_order_acquire);

	for (size_t i = spi_hash(spi);; i++) {
		struct child *c = atomic_load_explicit(&t->slot[i & t->mask], memory_order_acquire);

		if (!c)
			return NULL;
		if (c != &removed && c->spi_in == spi)
			return c;
	}
}

static void spi_put(struct spi_table *t, struct child *c)
{
	size_t i = spi_hash(c->spi_in);
	struct child *there;

	for (;; i++) {
		there = atomic_load_explicit(&t->slot[i & t->mask], memory_order_relaxed);
		if (!there || there == &removed)
			break;
	}
	t->used += !there;
	t->live++;
	atomic_store_explicit(&t->slot[i & t->mask], c, memory_order_release);
}

static void free_block(void *ctx, void *object)
{
	mem_free(ctx, object);
}

static void retire_block(struct user *u, void *object)
{
	qsbr_retire(&u->qsbr, free_block, (void *)(uintptr_t)u->mem, object);
}

static struct spi_table *spi_table_new(const struct user *u, size_t slots)
{
	struct spi_table *t = mem_new(u->mem, sizeof(*t) + slots * sizeof(t->slot[0]));

	if (t)
		t->mask = slots - 1;
	return t;
}

/* At most half the slots are ever used, so that searches are short and always end. */
static enum status spi_make_room(struct user *u)
{
	struct spi_table *old = atomic_load_explicit(&u->spis, memory_order_relaxed);
	struct spi_table *t;
	size_t slots = SPI_FIRST_SLOTS;

	if ((old->used + 1) * 2 <= old->mask + 1)
		return ST_OK;
	while (slots < (old->live + 1) * 4)
		slots *= 2;
	t = spi_table_new(u, slots);
	if (!t)
		return ST_NOMEM;
	for (size_t i = 0; i <= old->mask; i++) {
		struct child *c = atomic_load_explicit(&old->slot[i], memory_order_relaxed);

		if (c && c != &removed)
			spi_put(t, c);
	}
	atomic_store_explicit(&u->spis, t, memory_order_release);
	retire_block(u, old);
	return ST_OK;
}

enum status sadb_spi_add(struct user *u, struct child *c)
{
	enum status st = spi_make_room(u);

	if (st == ST_OK)
		spi_put(atomic_load_explicit(&u->spis, memory_order_relaxed), c);
	return st;
}

void sadb_spi_del(struct user *u, struct child *c)
{
	struct spi_table *t = atomic_load_explicit(&u->spis, memory_order_relaxed);
	size_t i = spi_hash(c->spi_in);

	while (atomic_load_explicit(&t->slot[i & t->mask], memory_order_relaxed) != c)
		i++;
	atomic_store_explicit(&t->slot[i & t->mask], &removed, memory_order_release);
	t->live--;
}

/* ---- routes -------------------------------------------------------------------------------- */

typedef _Atomic(struct hop *) hop_list;

static struct hop *next_hop(hop_list *from)
{
	return atomic_load_explicit(from, memory_order_acquire);
}

/* It may have been listed before, and a reader may still stand on it. */
static void list_hop(hop_list *list, struct hop *h)
{
	atomic_store_explicit(&h->next, next_hop(list), memory_order_release);
	atomic_store_explicit(list, h, memory_order_release);
}

/* It keeps its own pointer for readers who stand on it. */
static void unlist_hop(hop_list *list, struct hop *h)
{
	while (next_hop(list) != h)
		list = &next_hop(list)->next;
	atomic_store_explicit(list, next_hop(&h->next), memory_order_release);
}

void sadb_list_senders(struct child *c)
{
	list_hop(&c->peer->senders, &c->at_peer);
	for (size_t i = 0; i < c->hops.n; i++)
		list_hop(&c->hops.v[i].route->senders, &c->hops.v[i]);
}

void sadb_unlist_senders(struct child *c)
{
	unlist_hop(&c->peer->senders, &c->at_peer);
	for (size_t i = 0; i < c->hops.n; i++)
		unlist_hop(&c->hops.v[i].route->senders, &c->hops.v[i]);
}

void sadb_list_traps(struct hops *h)
{
	for (size_t i = 0; i < h->n; i++)
		list_hop(&h->v[i].route->traps, &h->v[i]);
}

void sadb_unlist_traps(struct hops *h)
{
	for (size_t i = 0; i < h->n; i++)
		unlist_hop(&h->v[i].route->traps, &h->v[i]);
}

/* The route of a prefix, made when there is none: empty, it lets lookups pass on. */
static enum status route_ref(struct user *u, const struct prefix *pfx, struct route **ret_route)
{
	struct route *r = policy_table_exact(u->routes, pfx);
	enum status st;

	if (!r) {
		r = mem_new(u->mem, sizeof(*r));
		if (!r)
			return ST_NOMEM;
		r->prefix = *pfx;
		st = policy_table_set(u->routes, pfx, r, NULL);
		if (st) {
			mem_free(u->mem, r);
			return st;
		}
	}
	r->refs++;
	*ret_route = r;
	return ST_OK;
}

static void route_unref(struct user *u, struct route *r)
{
	if (--r->refs)
		return;
	policy_table_remove(u->routes, &r->prefix);
	retire_block(u, r);
}

enum {
	TS_PREFIXES = 256, /* an IPv6 range needs at most 254 */
};

/* How many prefixes, 0: more than a limit. */
static size_t count_prefixes(const struct wire_ts_list *l, struct prefix *pfx)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		size_t k = policy_ts_prefixes(&l->ts[i], pfx, TS_PREFIXES);

		n += k;
		if (k == 0 || n > PREFIXES_MAX)
			return 0;
	}
	return n;
}

void sadb_hops_del(struct user *u, struct hops *h)
{
	for (size_t i = 0; i < h->n; i++)
		route_unref(u, h->v[i].route);
	h->n = 0;
}

static enum status ref_all(struct user *u, const struct wire_ts *ts, struct prefix *pfx,
			   struct hops *h)
{
	size_t k = policy_ts_prefixes(ts, pfx, TS_PREFIXES);
	enum status st = ST_OK;

	for (size_t i = 0; i < k && st == ST_OK; i++) {
		st = route_ref(u, &pfx[i], &h->v[h->n].route);
		h->n += st == ST_OK;
	}
	return st;
}

enum status sadb_hops_new(struct user *u, const struct wire_ts_list *remote, void *owner,
			  struct hops *ret_hops)
{
	struct prefix pfx[TS_PREFIXES];
	size_t n = count_prefixes(remote, pfx);
	struct hops h = { 0 };
	enum status st = ST_OK;

	if (remote->n && !n)
		return ST_NOMEM; /* a limit */
	h.v = mem_new(u->mem, (n ? n : 1) * sizeof(h.v[0]));
	if (!h.v)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++)
		h.v[i].owner = owner;
	for (size_t i = 0; i < remote->n && st == ST_OK; i++)
		st = ref_all(u, &remote->ts[i], pfx, &h);
	if (st) {
		sadb_hops_del(u, &h);
		mem_free(u->mem, h.v);
		return st;
	}
	*ret_hops = h;
	return ST_OK;
}

/* ---- what peers are given ------------------------------------------------------------------ */

static hop_list *given_list(struct route *r, bool last)
{
	return last ? &r->last : &r->first;
}

static struct given *given_in(struct route *r, const struct peer *p, bool last)
{
	for (struct hop *h = next_hop(given_list(r, last)); h; h = next_hop(&h->next))
		if (h->owner == p)
			return CONTAINER_OF(h, struct given, hop);
	return NULL;
}

static struct given *given_of(struct user *u, const struct peer *p, const struct prefix *pfx)
{
	struct route *r = policy_table_exact(u->routes, pfx);
	struct given *g = r ? given_in(r, p, false) : NULL;

	return r && !g ? given_in(r, p, true) : g;
}

static void given_del(struct user *u, struct given *g)
{
	unlist_hop(given_list(g->hop.route, g->last), &g->hop);
	list_del(&g->node);
	route_unref(u, g->hop.route);
	retire_block(u, g);
}

enum status sadb_give(struct user *u, struct peer *p, const struct prefix *pfx, enum dp_given given)
{
	struct given *old = given_of(u, p, pfx), *g = NULL;
	enum status st;

	if (given != DP_GIVEN_NOT) {
		g = mem_new(u->mem, sizeof(*g));
		st = g ? route_ref(u, pfx, &g->hop.route) : ST_NOMEM;
		if (st) {
			mem_free(u->mem, g);
			return st;
		}
		g->hop.owner = p;
		g->last = given == DP_GIVEN_LAST;
		list_init(&g->node);
		list_add_tail(&p->given, &g->node);
		list_hop(given_list(g->hop.route, g->last), &g->hop);
	}
	if (old)
		given_del(u, old);
	return ST_OK;
}

bool sadb_take_any(struct user *u, struct peer *p)
{
	if (list_empty(&p->given))
		return false;
	given_del(u, CONTAINER_OF(p->given.next, struct given, node));
	return true;
}

/* ---- lookups ------------------------------------------------------------------------------- */

static bool takes(struct child *c, const struct wire_ip *ip)
{
	return !atomic_load_explicit(&c->dead, memory_order_relaxed) && esp_ts_match_out(c->ts, ip);
}

static struct child *given_sender(hop_list *peers, const struct wire_ip *ip)
{
	for (struct hop *h = next_hop(peers); h; h = next_hop(&h->next)) {
		struct peer *p = h->owner;

		for (struct hop *s = next_hop(&p->senders); s; s = next_hop(&s->next))
			if (takes(s->owner, ip))
				return s->owner;
	}
	return NULL;
}

static struct child *own_sender(struct route *r, const struct wire_ip *ip)
{
	for (struct hop *h = next_hop(&r->senders); h; h = next_hop(&h->next)) {
		struct child *c = h->owner;

		if (!atomic_load_explicit(&c->peer->given_only, memory_order_relaxed) &&
		    takes(c, ip))
			return c;
	}
	return NULL;
}

static struct child *sender_of(struct route *r, const struct wire_ip *ip)
{
	struct child *c = given_sender(&r->first, ip);

	if (!c)
		c = own_sender(r, ip);
	return c ? c : given_sender(&r->last, ip);
}

static struct peer *trap_of(struct route *r, const struct wire_ip *ip)
{
	for (struct hop *h = next_hop(&r->traps); h; h = next_hop(&h->next)) {
		const struct trap *t = h->owner;

		if (!atomic_load_explicit(&t->peer->given_only, memory_order_relaxed) &&
		    esp_ts_match_out(t->ts, ip))
			return t->peer;
	}
	return NULL;
}

static struct route *shorter(const struct user *u, const struct route *r, const struct ip *dst)
{
	return r->prefix.len ? policy_table_find_within(u->routes, dst, r->prefix.len - 1u) : NULL;
}

/* The longest prefix first, and where nothing there takes the packet, the next shorter one. */
struct child *sadb_sender(const struct user *u, const struct wire_ip *ip, struct peer **ret_trap)
{
	struct route *r = policy_table_find(u->routes, &ip->dst);
	struct child *c = NULL;

	*ret_trap = NULL;
	for (; r; r = shorter(u, r, &ip->dst)) {
		c = sender_of(r, ip);
		if (c)
			break;
		*ret_trap = trap_of(r, ip);
		if (*ret_trap)
			break;
	}
	return c;
}

/* ---- lifecycle ----------------------------------------------------------------------------- */

static void retire_node(void *ctx, void *node)
{
	retire_block(ctx, node);
}

enum status sadb_init(struct user *u)
{
	struct spi_table *t = spi_table_new(u, SPI_FIRST_SLOTS);

	if (!t)
		return ST_NOMEM;
	atomic_init(&u->spis, t);
	return policy_table_new(u->mem, retire_node, u, &u->routes);
}

/* Children and traps are gone, and with them all routes. */
void sadb_done(struct user *u)
{
	policy_table_free(u->routes);
	mem_free(u->mem, atomic_load_explicit(&u->spis, memory_order_relaxed));
}
