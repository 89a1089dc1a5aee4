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
	list_init(&in->read);
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

void leases_end_reading(struct leases *in)
{
	struct list *at = in->idle.next;

	in->reading = NULL;
	list_for_each_safe(n, &in->read) {
		wall_t ended = CONTAINER_OF(n, struct lease, node)->ended;

		while (at != &in->idle && CONTAINER_OF(at, struct lease, node)->ended.s <= ended.s)
			at = at->next;
		list_del(n);
		list_add_tail(at, n);
	}
}

/* What comes of it still is as good as anything that the store says, but not all. */
static void stop_reading(struct leases *in)
{
	if (in->reading)
		in->reading->in = NULL;
	leases_end_reading(in);
}

void leases_commit(struct ike *ike, struct section *s)
{
	struct leases *in = s->leases;

	if (!in || !in->changes)
		return;
	stop_reading(in);
	in->unread = in->next;
	memset(in->from, 0, sizeof(in->from));
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

void leases_settle(struct ike *ike, bool first)
{
	list_for_each(n, &ike->pools) {
		struct leases *in = CONTAINER_OF(n, struct leases, node);

		mark_all(ike, &in->used);
		mark_all(ike, &in->idle); /* those that are being stored */
		in->unread = in->unread && !first;
		if (in->unread && !in->reading && leases_read(ike, in))
			count(ike, C_NO_MEMORY); /* then who asks for one asks for it */
	}
}

void leases_free(struct ike *ike, struct section *s)
{
	struct leases *in = s->leases;
	struct map_node *n;

	if (!in)
		return;
	stop_reading(in);
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

/* Where it belongs by the time it ended, from behind: the store has them in that order.  Among
 * those that we know already it finds its place later, with all of them. */
static void insert_idle(struct leases *in, struct lease *l)
{
	struct list *to = in->reading ? &in->read : &in->idle, *at;

	list_del(&l->node);
	at = to->prev;
	while (at != to && CONTAINER_OF(at, struct lease, node)->ended.s > l->ended.s)
		at = at->prev;
	list_add_tail(at->next, &l->node);
}

/* The addresses of a record that are to be had, but for families in which `l` has one. */
static bool take_all(struct leases *in, const struct lease *l, const struct ike_lease *from,
		     struct ip ret[INNER_FAMILIES])
{
	ret[INNER_4] = from->v4;
	ret[INNER_6] = from->v6;
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		if (ret[f].family != lease_family[f] || (l && l->has[f]) ||
		    !policy_pool_take(in->pool, &ret[f]))
			ret[f] = (struct ip){ 0 };
	return ret[INNER_4].family || ret[INNER_6].family;
}

static void put_all(struct lease *l, const struct ip ip[INNER_FAMILIES])
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		if (ip[f].family)
			lease_set_address(l, f, &ip[f]);
}

/* An identity that we know: it was there while its pool, or that of a family, was not.  What is
 * being stored for it takes the place of the record. */
static enum status rejoin(struct leases *in, struct lease *l, const struct ike_lease *from)
{
	struct ip ip[INNER_FAMILIES] = { from->v4, from->v6 };

	if (l->storing)
		return ST_OK;
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip has = lease_address(l, f);

		if (has.family && ip[f].family && !ip_eq(&has, &ip[f]))
			return ST_INVAL;
	}
	if (take_all(in, l, from, ip))
		put_all(l, ip);
	return ST_OK;
}

static enum status load(struct ike *ike, struct leases *in, const struct ike_lease *from)
{
	struct ip ip[INNER_FAMILIES];
	struct lease *l;

	if (!take_all(in, NULL, from, ip))
		return ST_INVAL;
	l = lease_new(ike, in, &from->identity);
	if (!l) {
		leases_put_back(in, NULL, ip);
		return ST_NOMEM;
	}
	put_all(l, ip);
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

void leases_hand_over(struct ike *ike, struct leases *in, struct lease *l)
{
	const char *name = in->section->peer->name;
	const struct ike_lease as = { .peer = name,
				      .identity = lease_ident(l),
				      .v4 = lease_address(l, INNER_4),
				      .v6 = lease_address(l, INNER_6),
				      .since = { l->since },
				      .ended = l->ended };
	struct leases *to = by_name(ike, name);

	lease_shed_strays(ike, in, l);
	if (to && to != in && !lease_find(to, &as.identity) && load(ike, to, &as) == ST_NOMEM)
		to->unread = true; /* the store has it */
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
	struct lease *known = in ? lease_find(in, &from->identity) : NULL;
	enum status st = ST_INVAL;

	if (in)
		st = known ? rejoin(in, known, from) : load(ike, in, from);
	if (st != ST_INVAL)
		return st;
	count(ike, C_LEASE_UNFIT);
	/* When the pool was moved, there may be as many as it had addresses. */
	if (ike->counters[C_LEASE_UNFIT] <= IKE_UNFIT_EVENTS)
		say_unfit(ike, from);
	return st;
}
