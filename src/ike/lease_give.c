/*
 * lease_give.c - which addresses an identity gets.
 */
#include "ike/lease.h"

/* ---- whose time is over -------------------------------------------------------------------- */

/* Seconds until its owner has no right to it any more; negative: not known. */
static int64_t left_of(const struct ike *ike, const struct leases *in, const struct lease *l)
{
	dur_t keep = in->section->peer->conf->lease_keep;
	int64_t over = l->ended.s + keep.ns / dur_s(1).ns, left = over - ike->now.wall.s;

	if (!ike->now.wall_ok || l->ended.s == 0)
		return -1;
	return left < 0 ? 0 : left;
}

/* The clock is trusted from now on: what ended before does so now. */
static void date(struct ike *ike, struct leases *in)
{
	while (ike->now.wall_ok && !list_empty(&in->idle)) {
		struct lease *l = CONTAINER_OF(in->idle.next, struct lease, node);

		if (l->ended.s)
			return;
		lease_make_idle(ike, in, l);
	}
}

/* Addresses of those whose time is over, the oldest first, until one of that family is free. */
static bool reclaim(struct ike *ike, struct leases *in, const struct lease *but, uint8_t family)
{
	date(ike, in);
	for (unsigned i = 0; i < IKE_RECLAIM_MAX && !list_empty(&in->idle); i++) {
		struct lease *l = CONTAINER_OF(in->idle.next, struct lease, node);

		if (l == but || l->storing || left_of(ike, in, l) != 0)
			return false;
		count(ike, C_LEASE_EXPIRED);
		lease_store_aside(ike, in, l, IKE_STORE_LEASE_DROP);
		lease_drop(ike, in, l);
		if (policy_pool_left(in->pool, family))
			return true;
	}
	return false;
}

/* ---- getting one -------------------------------------------------------------------------- */

static void say_exhausted(const struct ike *ike, const struct leases *in, struct text *t)
{
	const struct lease *first = list_empty(&in->idle)
					    ? NULL
					    : CONTAINER_OF(in->idle.next, const struct lease, node);
	size_t size = policy_pool_size(in->pool, 4) + policy_pool_size(in->pool, 6);
	int64_t left = first ? left_of(ike, in, first) : -1;

	text_fmt(t,
		 "no inner address is free: the pool of \"%s\" has %zu and %zu identities have "
		 "leases, %zu of them are connected",
		 in->section->peer->name, size, in->by_ident.count, in->n_used);
	if (left >= 0)
		text_fmt(t, "; the first lease of the others ends in %lld s", (long long)left);
	text_add(t, "; make `pool` larger, or `lease_keep` shorter");
}

/* Of one family: what it has, what it would like, any.  Family 0: none. */
static struct ip pick(struct ike *ike, struct leases *in, const struct lease *l, unsigned f,
		      const struct inner_request *req)
{
	struct ip ip = l ? lease_address(l, f) : (struct ip){ 0 };

	if (ip.family && !l->stray[f])
		return ip;
	if (!req->family[f] || !policy_pool_size(in->pool, lease_family[f]))
		return (struct ip){ 0 };
	ip = req->wish[f];
	if (ip.family && policy_pool_take(in->pool, &ip))
		return ip;
	if (policy_pool_take_any(in->pool, lease_family[f], &ip))
		return ip;
	if (reclaim(ike, in, l, lease_family[f]) &&
	    policy_pool_take_any(in->pool, lease_family[f], &ip))
		return ip;
	return (struct ip){ 0 };
}

static bool changed(const struct lease *l, const struct ip picked[INNER_FAMILIES])
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip had = lease_address(l, f);

		if (!ip_eq(&had, &picked[f]))
			return true;
	}
	return false;
}

static bool any_asked(const struct inner_request *req, const struct ip picked[INNER_FAMILIES])
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		if (req->family[f] && picked[f].family)
			return true;
	return false;
}

static enum status store_change(struct ike *ike, struct leases *in, const struct policy_ident *id,
				struct lease *l, const struct ip picked[INNER_FAMILIES],
				struct store **ret)
{
	bool fresh = !l;
	enum status st;

	if (fresh)
		l = lease_new(ike, in, id);
	st = l ? lease_change(ike, in, l, fresh, picked, ret) : ST_NOMEM;
	if (st && fresh && l)
		lease_unlink(ike, in, l);
	return st;
}

/* What it has is all that it may get of what it asks for. */
static bool is_served(const struct leases *in, const struct lease *l,
		      const struct inner_request *req)
{
	for (unsigned f = 0; l && f < INNER_FAMILIES; f++) {
		bool given = req->family[f] && policy_pool_size(in->pool, lease_family[f]);

		if (l->stray[f] || (given && !l->has[f]))
			return false;
	}
	return l;
}

/* Until the store has said whose the addresses of the pool are. */
static enum status wait_for_reading(struct ike *ike, struct leases *in, struct attempt *at,
				    inner_step *step)
{
	if (!in->reading && leases_read(ike, in))
		return ST_NOMEM;
	count(ike, C_LEASE_UNREAD);
	lease_wait(in->reading, at, step);
	return ST_AGAIN;
}

enum status lease_get(struct ike *ike, struct peer *section, const struct policy_ident *id,
		      struct inner_request *req, struct attempt *at, inner_step *step)
{
	struct leases *in = section->section->leases;
	struct lease *l = lease_find(in, id);
	struct ip picked[INNER_FAMILIES];
	struct text why = TEXT_OF(req->why);
	struct store *s;
	enum status st;

	if (l && l->storing) {
		lease_wait(l->storing, at, step);
		return ST_AGAIN;
	}
	if (in->unread && !is_served(in, l, req))
		return wait_for_reading(ike, in, at, step);
	/* Nobody takes from whom we are just about to serve. */
	if (l && !l->used)
		lease_make_idle(ike, in, l);
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		picked[f] = pick(ike, in, l, f, req);
	if (!any_asked(req, picked)) {
		leases_put_back(in, l, picked);
		say_exhausted(ike, in, &why);
		return ST_REFUSE;
	}
	if (l && !changed(l, picked))
		return ST_OK;
	st = store_change(ike, in, id, l, picked, &s);
	if (st) {
		leases_put_back(in, l, picked);
		return st;
	}
	lease_wait(s, at, step);
	return ST_AGAIN;
}
