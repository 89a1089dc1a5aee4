/*
 * lease_store.c - what is under way to the store, and what it answers.
 */
#include "ike/lease.h"

/* ---- the store ---------------------------------------------------------------------------- */

static enum status put_op(struct ike *ike, const struct leases *in, const struct lease *l,
			  enum ike_store_kind kind, struct outbox *ob)
{
	const char *name = in->section->peer->name;
	const struct policy_ident who = l ? lease_ident(l) : (struct policy_ident){ 0 };
	struct out_item *it = outbox_add(ob, IKE_OUT_STORE);
	struct ike_store_op *op;
	struct bytes peer, id;

	if (!it || arena_dup(&it->mem, bytes_of(name, strlen(name) + 1), &peer) ||
	    arena_dup(&it->mem, who.data, &id))
		return ST_NOMEM;
	op = &it->out.u.store.op;
	op->kind = kind;
	op->lease.peer = (const char *)peer.p;
	op->lease.identity = (struct policy_ident){ who.type, id };
	if (kind == IKE_STORE_LEASE_PUT) {
		op->lease.v4 = lease_address(l, INNER_4);
		op->lease.v6 = lease_address(l, INNER_6);
		op->lease.since = (wall_t){ l->since };
		op->lease.ended = l->used ? (wall_t){ 0 } : l->ended;
	}
	it->out.u.store.id = ++ike->last_store;
	return ST_OK;
}

/* Nobody waits for it. */
void lease_store_aside(struct ike *ike, const struct leases *in, struct lease *l,
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

/* With the number of the operation that was put last. */
static void enlist(struct ike *ike, struct leases *in, struct store *s)
{
	list_init(&s->waiters);
	s->id = ike->last_store;
	s->in = in;
	map_insert(&ike->stores, &s->by_id, store_hash(ike, s->id));
}

/* The lease changes at once, but nobody uses it before the store has it. */
enum status lease_change(struct ike *ike, struct leases *in, struct lease *l, bool fresh,
			 const struct ip picked[INNER_FAMILIES], struct store **ret)
{
	struct store *s = mem_new(ike->mem, sizeof(*s));
	struct lease before = *l;
	struct outbox ob;

	if (!s)
		return ST_NOMEM;
	for (unsigned f = 0; f < INNER_FAMILIES; f++) {
		s->before[f] = lease_address(l, f);
		s->stray[f] = l->stray[f];
		lease_set_address(l, f, &picked[f]);
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
	s->lease = l;
	s->fresh = fresh;
	enlist(ike, in, s);
	outbox_commit(ike, &ob);
	*ret = s;
	return ST_OK;
}

enum status leases_read(struct ike *ike, struct leases *in)
{
	struct store *s = mem_new(ike->mem, sizeof(*s));
	struct outbox ob;

	if (!s)
		return ST_NOMEM;
	outbox_init(&ob, ike->mem);
	if (put_op(ike, in, NULL, IKE_STORE_LEASES_READ, &ob)) {
		outbox_drop(&ob);
		mem_free(ike->mem, s);
		return ST_NOMEM;
	}
	enlist(ike, in, s);
	in->reading = s;
	outbox_commit(ike, &ob);
	return ST_OK;
}

void lease_wait(struct store *s, struct attempt *at, inner_step *step)
{
	at->stored = step;
	list_add_tail(&s->waiters, &at->waiting);
}

/* ---- what the store says ------------------------------------------------------------------- */

static void say_given(struct ike *ike, const struct store *s)
{
	const struct attempt *first =
		list_empty(&s->waiters)
			? NULL
			: CONTAINER_OF(s->waiters.next, const struct attempt, waiting);
	struct ip now[INNER_FAMILIES] = { lease_address(s->lease, INNER_4),
					  lease_address(s->lease, INNER_6) };
	struct policy_ident id = lease_ident(s->lease);
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	policy_ident_text(&t, &id);
	text_add(&t, " has the inner address ");
	lease_say_addresses(&t, now);
	if (!s->fresh) {
		text_add(&t, " in place of ");
		lease_say_addresses(&t, s->before);
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
		struct ip now = lease_address(l, f), was = s->before[f];

		if (ip_eq(&now, &was))
			continue;
		if (done) {
			lease_release(ike, s->in, &was, s->stray[f]);
		} else {
			lease_release(ike, s->in, &now, l->stray[f]);
			lease_set_address(l, f, &was);
			l->stray[f] = s->stray[f];
		}
	}
}

/* Not when the pool has changed again: then it is asked for again. */
static void was_read(struct store *s, bool done)
{
	if (!s->in)
		return;
	leases_end_reading(s->in);
	s->in->unread = !done;
}

static void stored(struct ike *ike, struct store *s, bool done)
{
	struct lease *l = s->lease;

	if (!l) {
		was_read(s, done);
		return;
	}
	l->storing = NULL;
	if (done)
		say_given(ike, s);
	settle_addresses(ike, s, done);
	if (!l->used)
		lease_shed_strays(ike, s->in, l);
	if (!lease_has_any(l))
		lease_unlink(ike, s->in, l);
	else if (done && list_empty(&s->waiters) && !l->used)
		/* Who asked is gone: the lease is his, and its time began. */
		lease_store_aside(ike, s->in, l, IKE_STORE_LEASE_PUT);
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
