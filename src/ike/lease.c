/*
 * lease.c - a section's pool, and whose each address of it is.
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
#include "ike/inner.h"
#include "policy/pool.h"

struct lease {
	struct map_node by_ident;
	struct list order; /* of its section's `all` */
	struct list node; /* of its section's `used` or `idle` */
	struct store *storing; /* NULL: the store has it */
	wall_t ended; /* idle: since when; 0: not known, the clock is not trusted yet */
	uint8_t v6[16];
	uint8_t v4[4];
	bool has[INNER_FAMILIES];
	bool stray[INNER_FAMILIES]; /* of no pool of its section any more; used ones only */
	bool used;
	bool stored_used; /* so does the store have it */
	uint8_t id_type;
	uint16_t n_id;
	uint32_t number;
	uint32_t since; /* seconds of 1970 as below */
	uint8_t id[];
};

struct leases {
	struct list node; /* of ike->pools */
	struct section *section;
	struct policy_pool *pool; /* NULL: it has none any more */
	struct policy_pool *next; /* while configurations change */
	bool changes;
	struct map by_ident;
	uint32_t number;
	uint32_t last; /* number of a lease */
	struct list all; /* by number */
	struct list used;
	struct list idle; /* those that ended first in front */
	size_t n_used;
};

/* An operation under way that somebody waits for. */
struct store {
	struct map_node by_id;
	uint64_t id;
	struct leases *in; /* NULL: the section is gone, and its leases with it */
	struct lease *lease;
	struct ip before[INNER_FAMILIES]; /* its addresses until then, */
	bool stray[INNER_FAMILIES]; /* and of no pool */
	bool fresh; /* there was no lease before */
	struct list waiters; /* attempts */
};

static const uint8_t family_of[INNER_FAMILIES] = { 4, 6 };

/* ---- values ------------------------------------------------------------------------------- */

static struct ip address(const struct lease *l, unsigned f)
{
	if (!l->has[f])
		return (struct ip){ 0 };
	return ip_from_raw(f == INNER_4 ? BYTES_OF(l->v4) : BYTES_OF(l->v6));
}

static void set_address(struct lease *l, unsigned f, const struct ip *ip)
{
	l->has[f] = ip->family != 0;
	memcpy(f == INNER_4 ? l->v4 : l->v6, ip->b, f == INNER_4 ? 4 : 16);
}

static struct policy_ident ident_of(const struct lease *l)
{
	return (struct policy_ident){ l->id_type, bytes_of(l->id, l->n_id) };
}

static bool same_ident(const struct map_node *n, const void *key)
{
	struct policy_ident id = ident_of(CONTAINER_OF(n, const struct lease, by_ident));

	return policy_ident_eq(&id, key);
}

static struct lease *find(const struct leases *in, const struct policy_ident *id)
{
	struct map_node *n =
		map_find(&in->by_ident, policy_ident_hash(in->by_ident.key, id), same_ident, id);

	return n ? CONTAINER_OF(n, struct lease, by_ident) : NULL;
}

static struct leases *leases_of(const struct peer *p)
{
	return p->section ? p->section->leases : p->under->section->leases;
}

static struct lease *lease_of_sa(const struct ike_sa *sa)
{
	struct leases *in = sa->peer ? leases_of(sa->peer) : NULL;

	return in && sa->remote_id.type && !sa->called ? find(in, &sa->remote_id) : NULL;
}

static void say_addresses(struct text *t, const struct ip ip[INNER_FAMILIES])
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

/* ---- addresses of other sections ----------------------------------------------------------- */

/* A stray address may be of the pool of another section by now: nobody gets it there. */
static void mark_stray(struct ike *ike, const struct ip *ip, bool taken)
{
	list_for_each(n, &ike->pools) {
		struct policy_pool *pool = CONTAINER_OF(n, struct leases, node)->pool;

		if (pool && taken)
			(void)policy_pool_take(pool, ip);
		else if (pool)
			policy_pool_give_back(pool, ip);
	}
}

static void release(struct ike *ike, struct leases *in, const struct ip *ip, bool stray)
{
	if (!ip->family)
		return;
	if (stray)
		mark_stray(ike, ip, false);
	else if (in->pool)
		policy_pool_give_back(in->pool, ip);
}

/* ---- the store ---------------------------------------------------------------------------- */

static enum status put_op(struct ike *ike, const struct leases *in, const struct lease *l,
			  enum ike_store_kind kind, struct outbox *ob)
{
	const char *name = in->section->peer->name;
	struct out_item *it = outbox_add(ob, IKE_OUT_STORE);
	struct ike_store_op *op;
	struct bytes peer, id;

	if (!it || arena_dup(&it->mem, bytes_of(name, strlen(name) + 1), &peer) ||
	    arena_dup(&it->mem, bytes_of(l->id, l->n_id), &id))
		return ST_NOMEM;
	op = &it->out.u.store.op;
	op->kind = kind;
	op->lease.peer = (const char *)peer.p;
	op->lease.identity = (struct policy_ident){ l->id_type, id };
	if (kind == IKE_STORE_LEASE_PUT) {
		op->lease.v4 = address(l, INNER_4);
		op->lease.v6 = address(l, INNER_6);
		op->lease.since = (wall_t){ l->since };
		op->lease.ended = l->used ? (wall_t){ 0 } : l->ended;
	}
	it->out.u.store.id = ++ike->last_store;
	return ST_OK;
}

/* Nobody waits for it. */
static void store_aside(struct ike *ike, const struct leases *in, struct lease *l,
			enum ike_store_kind kind)
{
	struct outbox ob;

	outbox_init(&ob, ike->mem);
	if (put_op(ike, in, l, kind, &ob)) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return;
	}
	l->stored_used = l->used;
	outbox_commit(ike, &ob);
}

static bool same_store(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct store, by_id)->id == *(const uint64_t *)key;
}

static uint64_t store_hash(const struct ike *ike, uint64_t id)
{
	return map_hash(&ike->stores, bytes_of(&id, sizeof(id)));
}

/* ---- the life of a lease ------------------------------------------------------------------- */

static wall_t now_or_unknown(const struct ike *ike)
{
	return ike->now.wall_ok ? ike->now.wall : (wall_t){ 0 };
}

static void make_idle(struct ike *ike, struct leases *in, struct lease *l)
{
	in->n_used -= l->used;
	l->used = false;
	l->ended = now_or_unknown(ike);
	list_del(&l->node);
	list_add_tail(&in->idle, &l->node);
}

static struct lease *lease_new(struct ike *ike, struct leases *in, const struct policy_ident *id)
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
	l->since = (uint32_t)now_or_unknown(ike).s;
	list_add_tail(&in->all, &l->order);
	list_init(&l->node);
	map_insert(&in->by_ident, &l->by_ident, policy_ident_hash(in->by_ident.key, id));
	make_idle(ike, in, l);
	return l;
}

/* Its addresses stay what they are in the pool. */
static void unlink_lease(struct ike *ike, struct leases *in, struct lease *l)
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

static void lease_drop(struct ike *ike, struct leases *in, struct lease *l)
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip ip = address(l, f);
		const struct store *s = l->storing;

		release(ike, in, &ip, l->stray[f]);
		if (s && !ip_eq(&s->before[f], &ip))
			release(ike, in, &s->before[f], s->stray[f]);
	}
	unlink_lease(ike, in, l);
}

static bool has_any(const struct lease *l)
{
	return l->has[INNER_4] || l->has[INNER_6];
}

static bool has_any_but_strays(const struct lease *l)
{
	return (l->has[INNER_4] && !l->stray[INNER_4]) || (l->has[INNER_6] && !l->stray[INNER_6]);
}

/* What is nobody's to give is nobody's to keep, once its SAs are gone. */
static void shed_strays(struct ike *ike, struct leases *in, struct lease *l)
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip ip = address(l, f);

		if (!l->stray[f])
			continue;
		release(ike, in, &ip, true);
		l->has[f] = l->stray[f] = false;
	}
}

static dur_t keep_of(const struct leases *in)
{
	return in->section->peer->conf->lease_keep;
}

/* Seconds until its owner has no right to it any more; negative: not known. */
static int64_t left_of(const struct ike *ike, const struct leases *in, const struct lease *l)
{
	int64_t over = l->ended.s + keep_of(in).ns / dur_s(1).ns, left = over - ike->now.wall.s;

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
		make_idle(ike, in, l);
	}
}

/* The wall clock was set, and no time has passed by that.  Ahead: what is left of a lease stays
 * what it was.  Back: nobody can have left later than now. */
static void move_ends(const struct ike *ike, struct leases *in, int64_t ahead)
{
	int64_t latest = ahead > 0 ? ike->now.wall.s - ahead : ike->now.wall.s;

	list_for_each(n, &in->idle) {
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
	list_for_each(n, &ike->pools)
		move_ends(ike, CONTAINER_OF(n, struct leases, node), ahead);
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
		store_aside(ike, in, l, IKE_STORE_LEASE_DROP);
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
	struct ip ip = l ? address(l, f) : (struct ip){ 0 };

	if (ip.family && !l->stray[f])
		return ip;
	if (!req->family[f] || !policy_pool_size(in->pool, family_of[f]))
		return (struct ip){ 0 };
	ip = req->wish[f];
	if (ip.family && policy_pool_take(in->pool, &ip))
		return ip;
	if (policy_pool_take_any(in->pool, family_of[f], &ip))
		return ip;
	if (reclaim(ike, in, l, family_of[f]) && policy_pool_take_any(in->pool, family_of[f], &ip))
		return ip;
	return (struct ip){ 0 };
}

static void put_back(struct leases *in, const struct lease *l,
		     const struct ip picked[INNER_FAMILIES])
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip had = l ? address(l, f) : (struct ip){ 0 };

		if (picked[f].family && !ip_eq(&picked[f], &had))
			policy_pool_give_back(in->pool, &picked[f]);
	}
}

static void wait_for(struct store *s, struct attempt *at, inner_step *step)
{
	at->stored = step;
	list_add_tail(&s->waiters, &at->waiting);
}

/* The lease changes at once, but nobody uses it before the store has it. */
static enum status change(struct ike *ike, struct leases *in, struct lease *l, bool fresh,
			  const struct ip picked[INNER_FAMILIES], struct store **ret)
{
	struct store *s = mem_new(ike->mem, sizeof(*s));
	struct lease before = *l;
	struct outbox ob;

	if (!s)
		return ST_NOMEM;
	list_init(&s->waiters);
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		s->before[f] = address(l, f);
		s->stray[f] = l->stray[f];
		set_address(l, f, &picked[f]);
		l->stray[f] = false;
	}
	/* As if it were: what comes before the next word about it is its use. */
	l->ended = (wall_t){ 0 };
	outbox_init(&ob, ike->mem);
	if (put_op(ike, in, l, IKE_STORE_LEASE_PUT, &ob)) {
		outbox_drop(&ob);
		*l = before;
		mem_free(ike->mem, s);
		return ST_NOMEM;
	}
	l->ended = before.ended;
	l->stored_used = true;
	l->storing = s;
	s->id = ike->last_store;
	s->in = in;
	s->lease = l;
	s->fresh = fresh;
	map_insert(&ike->stores, &s->by_id, store_hash(ike, s->id));
	outbox_commit(ike, &ob);
	*ret = s;
	return ST_OK;
}

static bool changed(const struct lease *l, const struct ip picked[INNER_FAMILIES])
{
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip had = address(l, f);

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
	st = l ? change(ike, in, l, fresh, picked, ret) : ST_NOMEM;
	if (st && fresh && l)
		unlink_lease(ike, in, l);
	return st;
}

enum status lease_get(struct ike *ike, struct peer *section, const struct policy_ident *id,
		      struct inner_request *req, struct attempt *at, inner_step *step)
{
	struct leases *in = section->section->leases;
	struct lease *l = find(in, id);
	struct ip picked[INNER_FAMILIES];
	struct text why = TEXT_OF(req->why);
	struct store *s;
	enum status st;

	if (l && l->storing) {
		wait_for(l->storing, at, step);
		return ST_AGAIN;
	}
	/* Nobody takes from whom we are just about to serve. */
	if (l && !l->used)
		make_idle(ike, in, l);
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		picked[f] = pick(ike, in, l, f, req);
	if (!any_asked(req, picked)) {
		put_back(in, l, picked);
		say_exhausted(ike, in, &why);
		return ST_REFUSE;
	}
	if (l && !changed(l, picked))
		return ST_OK;
	st = store_change(ike, in, id, l, picked, &s);
	if (st) {
		put_back(in, l, picked);
		return st;
	}
	wait_for(s, at, step);
	return ST_AGAIN;
}

/* ---- what the store says ------------------------------------------------------------------- */

static void say_given(struct ike *ike, const struct store *s)
{
	const struct attempt *first =
		list_empty(&s->waiters)
			? NULL
			: CONTAINER_OF(s->waiters.next, const struct attempt, waiting);
	struct ip now[INNER_FAMILIES] = { address(s->lease, INNER_4), address(s->lease, INNER_6) };
	struct policy_ident id = ident_of(s->lease);
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	policy_ident_text(&t, &id);
	text_add(&t, " has the inner address ");
	say_addresses(&t, now);
	if (!s->fresh) {
		text_add(&t, " in place of ");
		say_addresses(&t, s->before);
	}
	count(ike, C_LEASE_GIVEN);
	event_emit(ike, IKE_EV_LEASE,
		   (struct event_about){ .sa = first ? first->sa : NULL,
					 .peer = s->in->section->peer },
		   "%s", buf);
}

/* Of what it has and what it had before, one stays. */
static void settle_addresses(struct ike *ike, struct store *s, bool done)
{
	struct lease *l = s->lease;

	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		struct ip now = address(l, f), was = s->before[f];

		if (ip_eq(&now, &was))
			continue;
		if (done) {
			release(ike, s->in, &was, s->stray[f]);
		} else {
			release(ike, s->in, &now, l->stray[f]);
			set_address(l, f, &was);
			l->stray[f] = s->stray[f];
		}
	}
}

static void stored(struct ike *ike, struct store *s, bool done)
{
	struct lease *l = s->lease;

	if (!l)
		return;
	l->storing = NULL;
	if (done)
		say_given(ike, s);
	settle_addresses(ike, s, done);
	if (!l->used)
		shed_strays(ike, s->in, l);
	if (!has_any(l))
		unlink_lease(ike, s->in, l);
	else if (done && list_empty(&s->waiters) && !l->used)
		/* Who asked is gone: the lease is his, and its time began. */
		store_aside(ike, s->in, l, IKE_STORE_LEASE_PUT);
}

/* A full disk is told once, and so is that it is over. */
static void store_state(struct ike *ike, bool works)
{
	if (!works)
		count(ike, C_STORE_FAILED);
	if (ike->store_fails == !works)
		return;
	ike->store_fails = !works;
	if (works)
		event_emit(ike, IKE_EV_LEASE, (struct event_about){ 0 },
			   "leases can be stored again");
	else
		event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .reason = IKE_R_STORE },
			   "leases of inner addresses cannot be stored: nobody gets one that is "
			   "new; look at the state directory and its disk");
}

static void resume(struct ike *ike, struct store *s, enum status st)
{
	while (!list_empty(&s->waiters)) {
		struct attempt *at = CONTAINER_OF(s->waiters.next, struct attempt, waiting);

		list_del(&at->waiting);
		if (attempt_resume(ike, at, true))
			at->stored(ike, at, st);
	}
}

void lease_stored(struct ike *ike, uint64_t id, enum status st)
{
	struct map_node *n = map_find(&ike->stores, store_hash(ike, id), same_store, &id);
	struct store *s;

	if (id == 0 || id > ike->last_store) {
		count(ike, C_UNKNOWN_RESULT);
		return;
	}
	store_state(ike, st == ST_OK);
	if (!n)
		return;
	s = CONTAINER_OF(n, struct store, by_id);
	map_remove(&ike->stores, n);
	stored(ike, s, st == ST_OK);
	resume(ike, s, st);
	mem_free(ike->mem, s);
}

void stores_free(struct ike *ike)
{
	struct map_node *n;

	while ((n = map_any(&ike->stores))) {
		map_remove(&ike->stores, n);
		mem_free(ike->mem, CONTAINER_OF(n, struct store, by_id));
	}
	map_done(&ike->stores);
}

/* ---- SAs ---------------------------------------------------------------------------------- */

size_t lease_addresses(const struct peer *p, const struct policy_ident *id,
		       struct ip ret[INNER_FAMILIES])
{
	const struct leases *in = leases_of(p);
	const struct lease *l = in ? find(in, id) : NULL;
	size_t n = 0;

	for (unsigned f = 0; l && f < INNER_FAMILIES; f++) {
		struct ip ip = l->storing ? l->storing->before[f] : address(l, f);

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
	in = leases_of(sa->peer);
	l->used = true;
	in->n_used++;
	list_del(&l->node);
	list_add_tail(&in->used, &l->node);
	if (!l->stored_used)
		store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
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
	in = leases_of(sa->peer);
	make_idle(ike, in, l);
	if (l->storing)
		return; /* he is coming back with another one */
	if (has_any_but_strays(l)) {
		shed_strays(ike, in, l);
		store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
	} else {
		/* Should the pool come back before our next start, the store has it still. */
		store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
		lease_drop(ike, in, l);
	}
}

bool lease_is_stray(const struct ike_sa *sa)
{
	const struct lease *l = lease_of_sa(sa);

	const bool *stray = l && l->storing ? l->storing->stray : l ? l->stray : NULL;

	return l && (stray[INNER_4] || stray[INNER_6]);
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
		struct ip ip = address(l, f);
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
		if (!has_any(l))
			unlink_lease(ike, in, l);
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
			struct ip ip = address(l, f);

			if (l->stray[f])
				mark_stray(ike, &ip, true);
			if (s && s->stray[f])
				mark_stray(ike, &s->before[f], true);
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
		if (ip[f].family != family_of[f] || !policy_pool_take(in->pool, &ip[f]))
			ip[f] = (struct ip){ 0 };
	if (!ip[INNER_4].family && !ip[INNER_6].family)
		return ST_INVAL;
	l = lease_new(ike, in, &from->identity);
	if (!l) {
		put_back(in, NULL, ip);
		return ST_NOMEM;
	}
	for (unsigned f = 0; f < INNER_FAMILIES; f++)
		set_address(l, f, &ip[f]);
	l->since = (uint32_t)from->since.s;
	if (from->ended.s) {
		l->ended = from->ended;
		insert_idle(in, l);
	} else {
		/* It had SAs when we ended, whenever that was: its time begins now. */
		store_aside(ike, in, l, IKE_STORE_LEASE_PUT);
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
	say_addresses(&t, ip);
	text_add(&t, ", is of no pool of today, or somebody else's: it will get another one");
	event_emit(ike, IKE_EV_LEASE, (struct event_about){ 0 }, "%s", buf);
}

enum status lease_load(struct ike *ike, const struct ike_lease *from)
{
	struct leases *in = by_name(ike, from->peer);
	enum status st = ST_INVAL;

	if (in && !find(in, &from->identity))
		st = load(ike, in, from);
	if (st != ST_INVAL)
		return st;
	count(ike, C_LEASE_UNFIT);
	/* When the pool was moved, there may be as many as it had addresses. */
	if (ike->counters[C_LEASE_UNFIT] <= IKE_UNFIT_EVENTS)
		say_unfit(ike, from);
	return st;
}

/* ---- looking ------------------------------------------------------------------------------- */

/* False: the visitor has had enough. */
static bool each(const struct leases *in, uint64_t after, ike_lease_fn *fn, void *ctx)
{
	list_for_each(n, &in->all) {
		const struct lease *l = CONTAINER_OF(n, const struct lease, order);
		const uint64_t number = (uint64_t)in->number << 32 | l->number;
		const struct ike_lease info = { .peer = in->section->peer->name,
						.identity = ident_of(l),
						.v4 = address(l, INNER_4),
						.v6 = address(l, INNER_6),
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
