/*
 * lease_pool.c - the pools of sections: what a reload makes of them, and what the store had.
 */
#include "ike/lease.h"

/* ---- addresses of other sections ----------------------------------------------------------- */

/* A stray address may be of the pool of another section by now: nobody gets it there. */
void lease_mark_stray(struct ike *ike, const struct ip *ip, bool taken)
{
	list_for_each(n, &ike->pools) {
		struct policy_pool *pool = CONTAINER_OF(n, struct leases, node)->pool;

		if (pool && taken)
			(void)policy_pool_take(pool, ip);
		else if (pool)
			policy_pool_give_back(pool, ip);
	}
}

void lease_release(struct ike *ike, struct leases *in, const struct ip *ip, bool stray)
{
	if (!ip->family)
		return;
	if (stray)
		lease_mark_stray(ike, ip, false);
	else if (in->pool)
		policy_pool_give_back(in->pool, ip);
}

void leases_put_back(struct leases *in, const struct lease *l,
		     const struct ip picked[INNER_FAMILIES])
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip had = l ? lease_address(l, f) : (struct ip){ 0 };

		if (picked[f].family && !ip_eq(&picked[f], &had))
			policy_pool_give_back(in->pool, &picked[f]);
	}
}

/* ---- pools -------------------------------------------------------------------------------- */

static bool same_ranges(const struct ike_peer_conf *a, const struct ike_peer_conf *b)
{
	if (a->n_pool != b->n_pool || a->n_pool_but != b->n_pool_but)
		return false;
	for (size_t i = 0; i < a->n_pool; i++)
		if (!ip_eq(&a->pool[i].first, &b->pool[i].first) ||
		    !ip_eq(&a->pool[i].last, &b->pool[i].last))
			return false;
	for (size_t i = 0; i < a->n_pool_but; i++)
		if (!ip_eq(&a->pool_but[i], &b->pool_but[i]))
			return false;
	return true;
}

static struct leases *leases_new(struct ike *ike, struct section *s)
{
	struct leases *in = mem_new(ike->mem, sizeof(*in));

	if (!in)
		return NULL;
	in->section = s;
	in->number = ++ike->last_pool;
	list_init(&in->all);
	list_init(&in->used);
	list_init(&in->idle);
	map_init(&in->by_ident, ike->mem, ike->peer_by_ident.key);
	list_add_tail(&ike->pools, &in->node);
	return in;
}

enum status leases_prepare(struct ike *ike, struct section *s, const struct ike_peer_conf *conf)
{
	struct leases *in = s->leases;

	if (!in && !conf->n_pool)
		return ST_OK;
	if (!in)
		in = s->leases = leases_new(ike, s);
	if (!in)
		return ST_NOMEM;
	in->changes = !(in->pool && same_ranges(s->peer->conf, conf));
	if (!in->changes || !conf->n_pool)
		return ST_OK;
	return policy_pool_new(ike->mem, conf->pool, conf->n_pool, conf->pool_but, conf->n_pool_but,
			       &in->next);
}

void leases_forget(struct section *s)
{
	if (!s->leases)
		return;
	policy_pool_free(s->leases->next);
	s->leases->next = NULL;
	s->leases->changes = false;
}

/* By the pool that there is now. */
static bool fits(struct leases *in, const struct ip *ip)
{
	return !ip->family || (in->pool && policy_pool_take(in->pool, ip));
}

static void refit(struct leases *in, struct lease *l)
{
	struct store *s = l->storing;

	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip ip = lease_address(l, f);
		bool same = s && ip_eq(&s->before[f], &ip);

		l->stray[f] = !fits(in, &ip);
		if (s)
			s->stray[f] = same ? l->stray[f] : !fits(in, &s->before[f]);
	}
}

void leases_commit(struct ike *ike, struct section *s)
{
	struct leases *in = s->leases;

	if (!in || !in->changes)
		return;
	policy_pool_free(in->pool);
	in->pool = in->next;
	in->next = NULL;
	in->changes = false;
	list_for_each(n, &in->used)
		refit(in, CONTAINER_OF(n, struct lease, node));
	list_for_each_safe(n, &in->idle) {
		struct lease *l = CONTAINER_OF(n, struct lease, node);

		refit(in, l);
		if (l->storing)
			continue;
		/* No other pool knows of them yet. */
		for (unsigned f = 0; f < INNER_FAMILIES; f++) {
			l->has[f] = l->has[f] && !l->stray[f];
			l->stray[f] = false;
		}
		if (!lease_has_any(l))
			lease_unlink(ike, in, l);
	}
}

void leases_close(struct ike *ike, struct section *s)
{
	if (!s->leases)
		return;
	s->leases->changes = true;
	leases_commit(ike, s);
}

static void mark_all(struct ike *ike, const struct list *list)
{
	list_for_each(n, list) {
		const struct lease *l = CONTAINER_OF(n, const struct lease, node);
		const struct store *s = l->storing;

		for (unsigned f = 0; f < INNER_FAMILIES; f++) {
			struct ip ip = lease_address(l, f);

			if (l->stray[f])
				lease_mark_stray(ike, &ip, true);
			if (s && s->stray[f])
				lease_mark_stray(ike, &s->before[f], true);
		}
	}
}

void leases_settle(struct ike *ike)
{
	list_for_each(n, &ike->pools) {
		const struct leases *in = CONTAINER_OF(n, const struct leases, node);

		mark_all(ike, &in->used);
		mark_all(ike, &in->idle); /* those that are being stored */
	}
}

void leases_free(struct ike *ike, struct section *s)
{
	struct leases *in = s->leases;
	struct map_node *n;

	if (!in)
		return;
	while ((n = map_any(&in->by_ident)))
		lease_drop(ike, in, CONTAINER_OF(n, struct lease, by_ident));
	map_done(&in->by_ident);
	policy_pool_free(in->pool);
	policy_pool_free(in->next);
	list_del(&in->node);
	mem_free(ike->mem, in);
	s->leases = NULL;
}

/* ---- after a start ------------------------------------------------------------------------- */

static struct leases *by_name(const struct ike *ike, const char *name)
{
	list_for_each(n, &ike->pools) {
		struct leases *in = CONTAINER_OF(n, struct leases, node);

		if (in->pool && strcmp(in->section->peer->name, name) == 0)
			return in;
	}
	return NULL;
}

/* Where it belongs by the time it ended, from behind: the store has them in that order. */
static void insert_idle(struct leases *in, struct lease *l)
{
	struct list *at;

	list_del(&l->node);
	at = in->idle.prev;
	while (at != &in->idle && CONTAINER_OF(at, struct lease, node)->ended.s > l->ended.s)
		at = at->prev;
	list_add_tail(at->next, &l->node);
}

static enum status load(struct ike *ike, struct leases *in, const struct ike_lease *from)
{
	struct ip ip[INNER_FAMILIES] = { from->v4, from->v6 };
	struct lease *l;

	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		if (ip[f].family != lease_family[f] || !policy_pool_take(in->pool, &ip[f]))
			ip[f] = (struct ip){ 0 };
	if (!ip[INNER_4].family && !ip[INNER_6].family)
		return ST_INVAL;
	l = lease_new(ike, in, &from->identity);
	if (!l) {
		leases_put_back(in, NULL, ip);
		return ST_NOMEM;
	}
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		lease_set_address(l, f, &ip[f]);
	l->since = (uint32_t)from->since.s;
	if (from->ended.s) {
		l->ended = from->ended;
		insert_idle(in, l);
	} else {
		/* It had SAs when we ended, whenever that was: its time begins now. */
		lease_store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
	}
	return ST_OK;
}

static void say_unfit(struct ike *ike, const struct ike_lease *from)
{
	const struct ip ip[INNER_FAMILIES] = { from->v4, from->v6 };
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_add(&t, "the stored lease of ");
	policy_ident_text(&t, &from->identity);
	text_fmt(&t, " in \"%s\", ", from->peer);
	lease_say_addresses(&t, ip);
	text_add(&t, ", is of no pool of today, or somebody else's: it will get another one");
	event_emit(ike, IKE_EV_LEASE, (struct event_about){ 0 }, "%s", buf);
}

enum status lease_load(struct ike *ike, const struct ike_lease *from)
{
	struct leases *in = by_name(ike, from->peer);
	enum status st = ST_INVAL;

	if (in && !lease_find(in, &from->identity))
		st = load(ike, in, from);
	if (st != ST_INVAL)
		return st;
	count(ike, C_LEASE_UNFIT);
	/* When the pool was moved, there may be as many as it had addresses. */
	if (ike->counters[C_LEASE_UNFIT] <= IKE_UNFIT_EVENTS)
		say_unfit(ike, from);
	return st;
}
