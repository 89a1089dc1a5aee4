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

/* The lease that ended first, if its time is over. */
static bool expire_first(struct ike *ike, struct leases *in, const struct lease *but)
{
	struct lease *l;

	date(ike, in);
	if (list_empty(&in->idle))
		return false;
	l = CONTAINER_OF(in->idle.next, struct lease, node);
	if (l == but || l->storing || left_of(ike, in, l) != 0)
		return false;
	count(ike, C_LEASE_EXPIRED);
	lease_store_aside(ike, in, l, IKE_STORE_LEASE_DROP);
	lease_drop(ike, in, l);
	return true;
}

/* Addresses of those whose time is over, the oldest first, until one of that family is free. */
static bool reclaim(struct ike *ike, struct leases *in, const struct lease *but, uint8_t family)
{
	for (unsigned i = 0; i < IKE_RECLAIM_MAX && expire_first(ike, in, but); i++)
		if (policy_pool_left(in->pool, family))
			return true;
	return false;
}

/* ---- getting one -------------------------------------------------------------------------- */

/* Somebody who asks. */
struct asking {
	struct leases *in;
	struct peer *section;
	const struct policy_ident *id;
	const struct lease *l; /* NULL: it has none */
	struct inner_request *req;
	const struct ike_sa *sa;
};

static void say_the_others(const struct ike *ike, const struct leases *in, struct text *t)
{
	const struct lease *first = list_empty(&in->idle)
					    ? NULL
					    : CONTAINER_OF(in->idle.next, const struct lease, node);
	int64_t left = first ? left_of(ike, in, first) : -1;

	text_fmt(t, " and %zu identities have leases, %zu of them are connected",
		 in->by_ident.count, in->n_used);
	if (left >= 0)
		text_fmt(t, "; the first lease of the others ends in %lld s", (long long)left);
}

/* `only`: of that family; INNER_FAMILIES: of both. */
static void say_exhausted(const struct ike *ike, const struct leases *in, unsigned only,
			  struct text *t)
{
	static const char *const kinds[] = { " IPv4", " IPv6", "" };
	size_t size = 0, left = 0;

	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		if (only == INNER_FAMILIES || only == f) {
			size += policy_pool_size(in->pool, lease_family[f]);
			left += policy_pool_left(in->pool, lease_family[f]);
		}
	text_fmt(t, "no inner%s address is free: the pool of \"%s\" has %zu", kinds[only],
		 in->section->peer->name, size);
	if (left)
		text_fmt(t, " (%zu of them nobody's, but inside of what others have up)", left);
	say_the_others(ike, in, t);
	text_add(t, "; make `pool` larger, or `lease_keep` shorter");
}

/* The lowest that is free, but for those inside of prefixes that others have up: these are gone
 * past once, so they cost nothing the next time. */
static bool take_free(struct ike *ike, const struct asking *a, unsigned f, struct ip *ret)
{
	struct policy_pool_at *from = &a->in->from[f];
	bool began = !from->range && !from->i;

	for (unsigned i = 0; i < IKE_SKIP_MAX; i++) {
		struct policy_pool_at at = *from;
		struct prefix held;
		struct ip last;

		if (!policy_pool_next(a->in->pool, lease_family[f], &at, ret)) {
			*from = (struct policy_pool_at){ 0 };
			if (began)
				return false;
			began = true;
			continue;
		}
		if (!claims_have(ike, a->section, a->id, ret, &held))
			return policy_pool_take(a->in->pool, ret);
		count(ike, C_LEASE_SKIPPED);
		last = prefix_last(&held);
		policy_pool_skip(a->in->pool, &at, &last);
		*from = at;
	}
	return false;
}

static bool take_wish(struct ike *ike, const struct asking *a, const struct ip *wish)
{
	struct prefix held;

	return wish->family && !claims_have(ike, a->section, a->id, wish, &held) &&
	       policy_pool_take(a->in->pool, wish);
}

/* It may keep what it has, unless that is of no pool any more, or inside of what somebody else has
 * up since: with that it would have no tunnel. */
static bool keeps(struct ike *ike, const struct asking *a, unsigned f, const struct ip *ip)
{
	struct prefix held;

	return ip->family && !a->l->stray[f] &&
	       (a->in->unread || !claims_have(ike, a->section, a->id, ip, &held));
}

/* Of one family: what it has, what it would like, any.  Family 0: none. */
static struct ip pick(struct ike *ike, const struct asking *a, unsigned f)
{
	const struct ip none = { 0 }, had = a->l ? lease_address(a->l, f) : none;
	const struct ip rest = had.family && !a->l->stray[f] ? had : none;
	const struct ip wish = a->req->wish[f];
	struct ip ip;

	if (keeps(ike, a, f, &had))
		return had;
	if (!a->req->family[f] || !policy_pool_size(a->in->pool, lease_family[f]))
		return rest;
	if (take_wish(ike, a, &wish))
		return wish;
	if (take_free(ike, a, f, &ip))
		return ip;
	if (reclaim(ike, a->in, a->l, lease_family[f]) && take_free(ike, a, f, &ip))
		return ip;
	return rest;
}

/* Each family that it asks for, and is in the pool, and not to be had; once a request.  `partly`:
 * the other one is.  Returns how many. */
static size_t count_exhausted(struct ike *ike, const struct asking *a,
			      const struct ip picked[INNER_FAMILIES], bool partly)
{
	size_t n = 0;

	if (a->req->short_told)
		return 0;
	a->req->short_told = true;
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		char buf[IKE_EVENT_TEXT_MAX];
		struct text t = TEXT_OF(buf);

		if (picked[f].family || !a->req->family[f] ||
		    !policy_pool_size(a->in->pool, lease_family[f]))
			continue;
		count(ike, C_POOL_EXHAUSTED);
		n++;
		if (!partly)
			continue;
		policy_ident_text(&t, a->id);
		text_add(&t, " gets but one family: ");
		say_exhausted(ike, a->in, f, &t);
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){
				   .sa = a->sa, .peer = a->section, .reason = IKE_R_ADDRESS },
			   "%s", buf);
	}
	return n;
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

/* One more identity: there may be only so many. */
static bool is_full(struct ike *ike, struct leases *in)
{
	uint32_t max = in->section->peer->conf->leases_max;

	return max && in->by_ident.count >= max &&
	       !(expire_first(ike, in, NULL) && in->by_ident.count < max);
}

static enum status refuse_another(struct ike *ike, const struct asking *a)
{
	struct text why = TEXT_OF(a->req->why);

	count(ike, C_LEASES_MAX);
	text_fmt(&why, "no inner address for one more identity: `leases_max` of \"%s\" is %u",
		 a->in->section->peer->name, a->section->conf->leases_max);
	say_the_others(ike, a->in, &why);
	return ST_REFUSE;
}

static enum status refuse_exhausted(struct ike *ike, const struct asking *a,
				    const struct ip picked[INNER_FAMILIES])
{
	struct text why = TEXT_OF(a->req->why);

	leases_put_back(a->in, a->l, picked);
	if (!count_exhausted(ike, a, picked, false))
		count(ike, C_POOL_EXHAUSTED); /* it has none of what was asked for at all */
	say_exhausted(ike, a->in, INNER_FAMILIES, &why);
	return ST_REFUSE;
}

enum status lease_get(struct ike *ike, struct peer *section, const struct policy_ident *id,
		      struct inner_request *req, struct attempt *at, inner_step *step)
{
	struct leases *in = section->section->leases;
	struct lease *l = lease_find(in, id);
	const struct asking a = { in, section, id, l, req, at->sa };
	struct ip picked[INNER_FAMILIES];
	struct store *s;
	enum status st;

	if (l && l->storing) {
		lease_wait(l->storing, at, step);
		return ST_AGAIN;
	}
	if (in->unread && !is_served(in, l, req))
		return wait_for_reading(ike, in, at, step);
	if (!l && is_full(ike, in))
		return refuse_another(ike, &a);
	/* Nobody takes from whom we are just about to serve. */
	if (l && !l->used)
		lease_make_idle(ike, in, l);
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		picked[f] = pick(ike, &a, f);
	if (!any_asked(req, picked))
		return refuse_exhausted(ike, &a, picked);
	(void)count_exhausted(ike, &a, picked, true);
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
