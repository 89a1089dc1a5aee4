/*
 * claims.c - which member has which prefix up.
 *
 * Two identities may be authorised for one prefix: certificates overlap, rules do, a site moves to
 * other hardware under another name.  Who has it up keeps it until that child ends; the other gets
 * the rest of what it asks for, and tries again.  So nobody can take a running site's traffic by
 * connecting.
 *
 * A prefix inside another one is no conflict when it was granted so: the longest decides where a
 * packet goes, and who has 10.1.200.0/24 in its certificate has it also from within another's
 * 10.1.0.0/16.  But who was granted no less than the holder cannot cut its claim into pieces to be
 * the longer one: that would be taking.  What the operator grants with a lease is the pool, not the
 * one address of it that somebody asked for.
 *
 * Another hub claims nothing: it has the domain on behalf of its members, as each hub has.  Which
 * of them has what the mesh finds out (src/mesh/route.c).
 *
 * The table is from prefix to peer.  A peer that has two children with one prefix, while one
 * replaces the other, has it once.
 */
#include "ike/inner.h"

static bool list_has_prefix(const struct wire_ts_list *l, const struct prefix *p)
{
	struct prefix v[IKE_MAX_TS_PREFIXES];

	for (size_t i = 0; i < l->n; i++) {
		size_t n = policy_ts_prefixes(&l->ts[i], v, ARRAY_LEN(v));

		for (size_t k = 0; k < n; k++)
			if (prefix_eq(&v[k], p))
				return true;
	}
	return false;
}

/* Another child of the peer has it as well. */
static bool has_otherwise(const struct peer *p, const struct child *but,
			  const struct prefix *prefix)
{
	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		list_for_each(m, &sa->children) {
			const struct child *c = CONTAINER_OF(m, const struct child, node);

			if (c != but && c->claims && list_has_prefix(&c->ts_remote, prefix))
				return true;
		}
	}
	return false;
}

void claims_drop(struct ike *ike, struct peer *p, struct child *c)
{
	struct prefix v[IKE_MAX_TS_PREFIXES];

	if (!c->claims)
		return;
	for (size_t i = 0; i < c->ts_remote.n; i++) {
		size_t n = policy_ts_prefixes(&c->ts_remote.ts[i], v, ARRAY_LEN(v));

		for (size_t k = 0; k < n; k++)
			if (policy_table_exact(ike->claims, &v[k]) == p &&
			    !has_otherwise(p, c, &v[k]))
				(void)policy_table_remove(ike->claims, &v[k]);
	}
	c->claims = false;
}

enum status claims_take(struct ike *ike, struct peer *p, struct child *c)
{
	struct prefix v[IKE_MAX_TS_PREFIXES];
	enum status st = ST_OK;

	c->claims = true;
	for (size_t i = 0; i < c->ts_remote.n && !st; i++) {
		size_t n = policy_ts_prefixes(&c->ts_remote.ts[i], v, ARRAY_LEN(v));

		for (size_t k = 0; k < n && !st; k++)
			if (!policy_table_exact(ike->claims, &v[k]))
				st = policy_table_set(ike->claims, &v[k], p, NULL);
	}
	if (st)
		claims_drop(ike, p, c);
	return st;
}

/* ---- conflicts ----------------------------------------------------------------------------- */

struct resolving {
	struct ike *ike;
	const struct peer *claimant; /* an instance, or the section that gets one */
	const struct policy_ident *id;
	const struct wire_ts_list *granted; /* to the claimant */
	bool leasing; /* what it is granted is an address that it does not have yet */
	struct arena *ar;
	struct wire_ts kept[WIRE_MAX_TS];
	size_t n_kept;
	size_t n_prefixes;
	struct text *conflict;
};

/* Is the holder still there?  If not, its SA ends the sooner. */
static void ask_holder(struct ike *ike, struct peer *holder)
{
	list_for_each(n, &holder->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa->state == SA_UP && sa->n_children)
			info_probe(ike, sa);
	}
}

static void say_conflict(struct resolving *r, const struct prefix *p, struct peer *holder)
{
	char buf[PREFIX_TEXT_MAX];

	if (r->conflict->n == 0)
		ask_holder(r->ike, holder);
	else
		text_add(r->conflict, "; ");
	text_fmt(r->conflict, "%s is up for ", prefix_text(p, buf));
	text_add(r->conflict, holder->name);
	text_add(r->conflict, " and wanted by ");
	policy_ident_text(r->conflict, r->id);
}

/* The narrowest grant that has all of the prefix. */
static const struct wire_ts *grant_of(const struct wire_ts_list *granted, const struct prefix *p)
{
	const struct wire_ts want = { .port_end = 65535,
				      .start = prefix_first(p),
				      .end = prefix_last(p) };
	const struct wire_ts *best = NULL;

	for (size_t i = 0; i < granted->n; i++)
		if (policy_ts_has(&granted->ts[i], &want) &&
		    (!best || policy_ts_has(best, &granted->ts[i])))
			best = &granted->ts[i];
	return best;
}

/* As it is now: rules may have changed since the holder connected. */
static enum status grants_of(struct resolving *r, const struct peer *holder,
			     struct wire_ts_list *ret)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text ignored = TEXT_OF(buf);
	const struct cred *cred = NULL;

	list_for_each(n, &holder->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa->n_children)
			cred = sa->cred;
	}
	return member_authorise(r->ar, holder, &holder->ident, cred, &ignored, ret);
}

static bool is_lease(const struct resolving *r, const struct ip *ip)
{
	struct ip leased[INNER_FAMILIES];
	size_t n = lease_addresses(r->claimant, r->id, leased);

	for (size_t i = 0; i < n; i++)
		if (ip_eq(&leased[i], ip))
			return true;
	return false;
}

/* The range of the pool that it is out of. */
static struct wire_ts range_of(const struct resolving *r, const struct wire_ts *ts)
{
	const struct ike_peer_conf *conf = r->claimant->conf;

	for (size_t i = 0; i < conf->n_pool; i++) {
		struct wire_ts range = policy_range_ts(&conf->pool[i]);

		if (policy_ts_has(&range, ts))
			return range;
	}
	return *ts;
}

/* As large as it was meant: an address that we leased is out of a range of the pool. */
static struct wire_ts as_granted(const struct resolving *r, const struct wire_ts *ts)
{
	return ip_eq(&ts->start, &ts->end) && is_lease(r, &ts->start) ? range_of(r, ts) : *ts;
}

/* Whether the claimant was granted `p` as something smaller than what the holder was granted. */
static bool carved_out(struct resolving *r, const struct peer *holder, const struct prefix *p)
{
	const struct wire_ts *grant = grant_of(r->granted, p), *theirs;
	struct wire_ts_list granted;
	struct wire_ts ours;

	if (!grant || grants_of(r, holder, &granted))
		return false;
	ours = r->leasing ? range_of(r, grant) : as_granted(r, grant);
	theirs = grant_of(&granted, p);
	return theirs && policy_ts_has(theirs, &ours) && !policy_ts_has(&ours, theirs);
}

/* Who claims is the holder itself. */
static bool is_own(const struct resolving *r, const struct peer *holder)
{
	return holder == r->claimant || (r->leasing && holder->under == r->claimant &&
					 policy_ident_eq(&holder->ident, r->id));
}

/* NULL when the prefix is to be had; else what of it somebody has, that prefix or one around it. */
static struct peer *holder_of(struct resolving *r, const struct prefix *p, struct prefix *ret)
{
	struct peer *holder = policy_table_exact(r->ike->claims, p);

	*ret = *p;
	if (holder && !is_own(r, holder))
		return holder;
	for (unsigned len = p->len; len-- > 0;) {
		*ret = prefix_of(&p->ip, len);
		if (!policy_table_find_within(r->ike->claims, &p->ip, len))
			return NULL;
		holder = policy_table_exact(r->ike->claims, ret);
		if (holder && !is_own(r, holder) && !carved_out(r, holder, p))
			return holder;
	}
	return NULL;
}

bool claims_have(struct ike *ike, const struct peer *section, const struct policy_ident *id,
		 const struct ip *ip, struct prefix *ret)
{
	const struct wire_ts ts = { .port_end = 65535, .start = *ip, .end = *ip };
	const struct wire_ts_list granted = { &ts, 1, 0 };
	const struct prefix p = prefix_of(ip, ip_bits(ip));
	struct resolving r = {
		.ike = ike, .claimant = section, .id = id, .granted = &granted, .leasing = true
	};
	struct arena ar;
	bool had;

	if (!policy_table_find_within(ike->claims, ip, p.len))
		return false;
	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	r.ar = &ar;
	had = holder_of(&r, &p, ret);
	arena_done(&ar);
	return had;
}

static void keep(struct resolving *r, const struct wire_ts *ts, size_t n_prefixes)
{
	if (r->n_kept < WIRE_MAX_TS && r->n_prefixes + n_prefixes <= IKE_MAX_CLAIMS) {
		r->kept[r->n_kept++] = *ts;
		r->n_prefixes += n_prefixes;
	}
}

/* One of its prefixes alone, same protocol and ports. */
static void keep_prefix(struct resolving *r, const struct wire_ts *of, const struct prefix *p)
{
	struct wire_ts ts = *of;

	ts.start = prefix_first(p);
	ts.end = prefix_last(p);
	keep(r, &ts, 1);
}

static void resolve_selector(struct resolving *r, const struct wire_ts *ts, const struct prefix *v,
			     size_t n)
{
	bool free[IKE_MAX_TS_PREFIXES], whole = true;

	for (size_t i = 0; i < n; i++) {
		struct prefix held;
		struct peer *holder = holder_of(r, &v[i], &held);

		if (holder)
			say_conflict(r, &v[i], holder);
		free[i] = !holder;
		whole = whole && !holder;
	}
	if (whole) {
		keep(r, ts, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (free[i])
			keep_prefix(r, ts, &v[i]);
}

static void say_too_many(struct text *why, const struct wire_ts *ts)
{
	policy_ts_text(why, ts);
	text_fmt(why, " takes more than %d prefixes as routes; make it one, or a few",
		 IKE_MAX_TS_PREFIXES);
}

enum status claims_resolve(struct ike *ike, struct arena *ar, const struct peer *p,
			   const struct policy_ident *id, const struct wire_ts_list *granted,
			   struct wire_ts_list *ts, struct text *conflict, struct text *why)
{
	struct resolving r = { .ike = ike,
			       .claimant = p,
			       .id = id,
			       .granted = granted,
			       .ar = ar,
			       .conflict = conflict };
	struct prefix v[IKE_MAX_TS_PREFIXES];
	struct bytes copy;

	for (size_t i = 0; i < ts->n; i++) {
		size_t n = policy_ts_prefixes(&ts->ts[i], v, ARRAY_LEN(v));

		if (n == 0) {
			say_too_many(why, &ts->ts[i]);
			return ST_REFUSE;
		}
		resolve_selector(&r, &ts->ts[i], v, n);
	}
	if (conflict->n)
		text_add(conflict, "; who has a prefix up keeps it until its SA ends");
	if (r.n_kept == 0) {
		text_add(why, conflict->p);
		return ST_REFUSE;
	}
	if (arena_dup(ar, bytes_of(r.kept, r.n_kept * sizeof(r.kept[0])), &copy))
		return ST_NOMEM;
	*ts = (struct wire_ts_list){ (const void *)copy.p, r.n_kept, 0 };
	return ST_OK;
}
