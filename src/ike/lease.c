/*
 * lease.c - whose each inner address of a section is.
 *
 * A lease is found by identity.  Those that nobody uses stand in a list, the one that ended first
 * in front: from there addresses are taken when none is free, and the time that its owner had is
 * over.  Addresses that are taken are bits of the pool, so a lease costs what its identity costs
 * and some 100 bytes, used or not.
 *
 * What is new or changed is in the store before anybody uses it: whoever asks waits.  That somebody
 * went, or came back to what he had, is stored too, but nobody waits for that: should it get lost,
 * an address is kept for longer or, when there was no SA for as long as leases are kept, not so
 * long.
 */
#include "ike/lease.h"

const uint8_t lease_family[INNER_FAMILIES] = { 4, 6 };

/* ---- values ------------------------------------------------------------------------------- */

struct ip lease_address(const struct lease *l, unsigned f)
{
	if (!l->has[f])
		return (struct ip){ 0 };
	return ip_from_raw(f == INNER_4 ? BYTES_OF(l->v4) : BYTES_OF(l->v6));
}

void lease_set_address(struct lease *l, unsigned f, const struct ip *ip)
{
	l->has[f] = ip->family != 0;
	memcpy(f == INNER_4 ? l->v4 : l->v6, ip->b, f == INNER_4 ? 4 : 16);
}

struct policy_ident lease_ident(const struct lease *l)
{
	return (struct policy_ident){ l->id_type, bytes_of(l->id, l->n_id) };
}

static bool same_ident(const struct map_node *n, const void *key)
{
	struct policy_ident id = lease_ident(CONTAINER_OF(n, const struct lease, by_ident));

	return policy_ident_eq(&id, key);
}

struct lease *lease_find(const struct leases *in, const struct policy_ident *id)
{
	struct map_node *n =
		map_find(&in->by_ident, policy_ident_hash(in->by_ident.key, id), same_ident, id);

	return n ? CONTAINER_OF(n, struct lease, by_ident) : NULL;
}

static struct leases *leases_of_peer(const struct peer *p)
{
	return p->section ? p->section->leases : p->under->section->leases;
}

static struct lease *lease_of_sa(const struct ike_sa *sa)
{
	struct leases *in = sa->peer ? leases_of_peer(sa->peer) : NULL;

	return in && sa->remote_id.type && !sa->called ? lease_find(in, &sa->remote_id) : NULL;
}

void lease_say_addresses(struct text *t, const struct ip ip[INNER_FAMILIES])
{
	const char *sep = "";
	char buf[IP_TEXT_MAX];

	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		if (!ip[f].family)
			continue;
		text_fmt(t, "%s%s", sep, ip_text(&ip[f], buf));
		sep = " and ";
	}
}

/* ---- the life of a lease ------------------------------------------------------------------- */

wall_t lease_now(const struct ike *ike)
{
	return ike->now.wall_ok ? ike->now.wall : (wall_t){ 0 };
}

void lease_make_idle(struct ike *ike, struct leases *in, struct lease *l)
{
	in->n_used -= l->used;
	l->used = false;
	l->ended = lease_now(ike);
	list_del(&l->node);
	list_add_tail(&in->idle, &l->node);
}

struct lease *lease_new(struct ike *ike, struct leases *in, const struct policy_ident *id)
{
	struct lease *l =
		id->data.n <= UINT16_MAX ? mem_new(ike->mem, sizeof(*l) + id->data.n) : NULL;

	if (!l)
		return NULL;
	l->id_type = id->type;
	l->n_id = (uint16_t)id->data.n;
	if (id->data.n)
		memcpy(l->id, id->data.p, id->data.n);
	l->number = ++in->last;
	l->since = (uint32_t)lease_now(ike).s;
	list_add_tail(&in->all, &l->order);
	list_init(&l->node);
	map_insert(&in->by_ident, &l->by_ident, policy_ident_hash(in->by_ident.key, id));
	lease_make_idle(ike, in, l);
	return l;
}

/* Its addresses stay what they are in the pool. */
void lease_unlink(struct ike *ike, struct leases *in, struct lease *l)
{
	in->n_used -= l->used;
	if (l->storing) {
		l->storing->in = NULL;
		l->storing->lease = NULL;
	}
	map_remove(&in->by_ident, &l->by_ident);
	list_del(&l->order);
	list_del(&l->node);
	mem_free(ike->mem, l);
}

void lease_drop(struct ike *ike, struct leases *in, struct lease *l)
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip ip = lease_address(l, f);
		const struct store *s = l->storing;

		lease_release(ike, in, &ip, l->stray[f]);
		if (s && !ip_eq(&s->before[f], &ip))
			lease_release(ike, in, &s->before[f], s->stray[f]);
	}
	lease_unlink(ike, in, l);
}

bool lease_has_any(const struct lease *l)
{
	return l->has[INNER_4] || l->has[INNER_6];
}

static bool has_any_but_strays(const struct lease *l)
{
	return (l->has[INNER_4] && !l->stray[INNER_4]) || (l->has[INNER_6] && !l->stray[INNER_6]);
}

/* What is nobody's to give is nobody's to keep, once its SAs are gone. */
void lease_shed_strays(struct ike *ike, struct leases *in, struct lease *l)
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip ip = lease_address(l, f);

		if (!l->stray[f])
			continue;
		lease_release(ike, in, &ip, true);
		l->has[f] = l->stray[f] = false;
	}
}

/* The wall clock was set, and no time has passed by that.  Ahead: what is left of a lease stays
 * what it was.  Back: nobody can have left later than now. */
static void move_ends(const struct ike *ike, const struct list *idle, int64_t ahead)
{
	int64_t latest = ahead > 0 ? ike->now.wall.s - ahead : ike->now.wall.s;

	list_for_each(n, idle) {
		struct lease *l = CONTAINER_OF(n, struct lease, node);

		if (l->ended.s == 0)
			continue;
		if (l->ended.s > latest)
			l->ended.s = latest;
		if (ahead > 0)
			l->ended.s += ahead;
	}
}

void lease_clock(struct ike *ike, int64_t ahead)
{
	list_for_each(n, &ike->pools) {
		const struct leases *in = CONTAINER_OF(n, struct leases, node);

		move_ends(ike, &in->idle, ahead);
		move_ends(ike, &in->read, ahead);
	}
}

/* ---- SAs ---------------------------------------------------------------------------------- */

size_t lease_addresses(const struct peer *p, const struct policy_ident *id,
		       struct ip ret[INNER_FAMILIES])
{
	const struct leases *in = leases_of_peer(p);
	const struct lease *l = in ? lease_find(in, id) : NULL;
	size_t n = 0;

	for (unsigned f = 0; l && f < INNER_FAMILIES; f++) {
		struct ip ip = l->storing ? l->storing->before[f] : lease_address(l, f);

		if (ip.family)
			ret[n++] = ip;
	}
	return n;
}

void lease_use(struct ike *ike, const struct ike_sa *sa)
{
	struct lease *l = lease_of_sa(sa);
	struct leases *in;

	if (!l || l->used)
		return;
	in = leases_of_peer(sa->peer);
	l->used = true;
	in->n_used++;
	list_del(&l->node);
	list_add_tail(&in->used, &l->node);
	if (!l->stored_used)
		lease_store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
}

/* Another SA of that identity, which has been up, or is. */
static bool has_another(const struct ike_sa *sa)
{
	list_for_each(n, &sa->peer->sas) {
		const struct ike_sa *other = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (other != sa && !other->called && other->remote_id.type &&
		    policy_ident_eq(&other->remote_id, &sa->remote_id))
			return true;
	}
	return false;
}

void lease_sa_gone(struct ike *ike, const struct ike_sa *sa)
{
	struct lease *l = lease_of_sa(sa);
	struct leases *in;

	if (!l || !l->used || has_another(sa))
		return;
	in = leases_of_peer(sa->peer);
	lease_make_idle(ike, in, l);
	if (l->storing)
		return; /* he is coming back with another one */
	/* Should the pool come back, the store has all of it still. */
	lease_store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
	if (has_any_but_strays(l)) {
		lease_shed_strays(ike, in, l);
	} else {
		leases_hand_over(ike, in, l);
		lease_drop(ike, in, l);
	}
}

bool lease_is_stray(const struct ike_sa *sa)
{
	const struct lease *l = lease_of_sa(sa);

	const bool *stray = l && l->storing ? l->storing->stray : l ? l->stray : NULL;

	return l && (stray[INNER_4] || stray[INNER_6]);
}

/* ---- looking ------------------------------------------------------------------------------- */

bool leases_info(const struct section *s, struct ike_pool_info *ret)
{
	const struct leases *in = s->leases;

	if (!in || !in->pool)
		return false;
	*ret = (struct ike_pool_info){
		.v4 = { policy_pool_size(in->pool, 4), policy_pool_left(in->pool, 4) },
		.v6 = { policy_pool_size(in->pool, 6), policy_pool_left(in->pool, 6) },
		.leases = in->by_ident.count,
		.in_use = in->n_used,
	};
	return true;
}

/* False: the visitor has had enough. */
static bool each(const struct leases *in, uint64_t after, ike_lease_fn *fn, void *ctx)
{
	list_for_each(n, &in->all) {
		const struct lease *l = CONTAINER_OF(n, const struct lease, order);
		const uint64_t number = (uint64_t)in->number << 32 | l->number;
		const struct ike_lease info = { .peer = in->section->peer->name,
						.identity = lease_ident(l),
						.v4 = lease_address(l, INNER_4),
						.v6 = lease_address(l, INNER_6),
						.since = { l->since },
						.ended = l->used ? (wall_t){ 0 } : l->ended };

		/* One that waits for the store is nobody's yet. */
		if (number > after && !l->storing && !fn(ctx, number, &info))
			return false;
	}
	return true;
}

void ike_each_lease(const struct ike *ike, uint64_t after, ike_lease_fn *fn, void *ctx)
{
	list_for_each(n, &ike->pools)
		if (!each(CONTAINER_OF(n, const struct leases, node), after, fn, ctx))
			return;
}
