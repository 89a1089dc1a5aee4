/*
 * What is published: from SPI to child, from destination to peer to child.
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

static struct target *next_target(_Atomic(struct target *) *from)
{
	return atomic_load_explicit(from, memory_order_acquire);
}

static struct target *target_of(struct route *r, const struct peer *p)
{
	struct target *t = next_target(&r->first);

	while (t && t->peer != p)
		t = next_target(&t->next);
	return t;
}

static enum status route_new(struct user *u, const struct prefix *pfx, struct route **ret_route)
{
	struct route *r = mem_new(u->mem, sizeof(*r));
	enum status st;

	if (!r)
		return ST_NOMEM;
	st = policy_table_set(u->routes, pfx, r, NULL);
	if (st) {
		mem_free(u->mem, r);
		return st;
	}
	*ret_route = r;
	return ST_OK;
}

static void route_drop_if_empty(struct user *u, const struct prefix *pfx, struct route *r)
{
	if (next_target(&r->first))
		return;
	policy_table_remove(u->routes, pfx);
	retire_block(u, r);
}

static enum status route_ref(struct user *u, const struct prefix *pfx, struct peer *p)
{
	struct route *r = policy_table_exact(u->routes, pfx);
	struct target *t = r ? target_of(r, p) : NULL;
	enum status st;

	if (t) {
		t->refs++;
		return ST_OK;
	}
	if (!r) {
		st = route_new(u, pfx, &r);
		if (st)
			return st;
	}
	t = mem_new(u->mem, sizeof(*t));
	if (!t) {
		route_drop_if_empty(u, pfx, r);
		return ST_NOMEM;
	}
	t->peer = p;
	t->refs = 1;
	atomic_init(&t->next, next_target(&r->first));
	atomic_store_explicit(&r->first, t, memory_order_release);
	return ST_OK;
}

static void route_unref(struct user *u, const struct prefix *pfx, struct peer *p)
{
	struct route *r = policy_table_exact(u->routes, pfx);
	_Atomic(struct target *) *at;
	struct target *t;

	if (!r)
		return;
	for (at = &r->first; (t = next_target(at)); at = &t->next)
		if (t->peer == p)
			break;
	if (!t || --t->refs)
		return;
	atomic_store_explicit(at, next_target(&t->next), memory_order_release);
	retire_block(u, t);
	route_drop_if_empty(u, pfx, r);
}

enum {
	TS_PREFIXES = 256, /* an IPv6 range needs at most 254 */
};

/* Undoes the first `n` prefixes of the selectors. */
static void unref_first(struct user *u, const struct wire_ts *ts, size_t n_ts, size_t n,
			struct peer *p)
{
	struct prefix pfx[TS_PREFIXES];

	for (size_t i = 0; i < n_ts; i++) {
		size_t k = policy_ts_prefixes(&ts[i], pfx, TS_PREFIXES);

		for (size_t j = 0; j < k && n; j++, n--)
			route_unref(u, &pfx[j], p);
	}
}

void sadb_route_del(struct user *u, const struct wire_ts *ts, size_t n, struct peer *p)
{
	unref_first(u, ts, n, SIZE_MAX, p);
}

enum status sadb_route_add(struct user *u, const struct wire_ts *ts, size_t n, struct peer *p)
{
	struct prefix pfx[TS_PREFIXES];
	size_t done = 0;
	enum status st = ST_OK;

	for (size_t i = 0; i < n && st == ST_OK; i++) {
		size_t k = policy_ts_prefixes(&ts[i], pfx, TS_PREFIXES);

		if (k == 0 || done + k > PREFIXES_MAX)
			st = ST_NOMEM; /* a limit */
		for (size_t j = 0; j < k && st == ST_OK; j++) {
			st = route_ref(u, &pfx[j], p);
			done += st == ST_OK;
		}
	}
	if (st)
		unref_first(u, ts, n, done, p);
	return st;
}

/* ---- lookups ------------------------------------------------------------------------------- */

struct child *sadb_peer_sender(const struct peer *p, const struct wire_ip *ip)
{
	struct child *c = atomic_load_explicit(&p->senders, memory_order_acquire);

	while (c && (atomic_load_explicit(&c->dead, memory_order_relaxed) ||
		     !esp_ts_match_out(c->ts, ip)))
		c = atomic_load_explicit(&c->next_sender, memory_order_acquire);
	return c;
}

struct child *sadb_sender(const struct user *u, const struct wire_ip *ip, struct peer **ret_trap)
{
	struct route *r = policy_table_find(u->routes, &ip->dst);
	struct peer *trapped = NULL;

	for (struct target *t = r ? next_target(&r->first) : NULL; t; t = next_target(&t->next)) {
		struct child *c = sadb_peer_sender(t->peer, ip);
		struct esp_ts *trap;

		if (c)
			return c;
		trap = atomic_load_explicit(&t->peer->trap, memory_order_acquire);
		if (!trapped && trap && esp_ts_match_out(trap, ip))
			trapped = t->peer;
	}
	*ret_trap = trapped;
	return NULL;
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
