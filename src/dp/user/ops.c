/* What the control thread does on behalf of the engine.  Each operation is all or nothing. */
#include "dp/user/internal.h"

/* ---- objects by number --------------------------------------------------------------------- */

static uint64_t id_hash(const struct map *m, uint64_t id)
{
	return map_hash(m, bytes_of(&id, sizeof(id)));
}

static bool child_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF((struct map_node *)(uintptr_t)n, struct child, by_id)->id ==
	       *(const dp_child_id *)key;
}

struct child *ops_child(const struct user *u, dp_child_id id)
{
	struct map_node *n = map_find(&u->children, id_hash(&u->children, id), child_eq, &id);

	return n ? CONTAINER_OF(n, struct child, by_id) : NULL;
}

static bool peer_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF((struct map_node *)(uintptr_t)n, struct peer, by_id)->id ==
	       *(const dp_peer_id *)key;
}

static struct peer *peer_find(const struct user *u, dp_peer_id id)
{
	struct map_node *n = map_find(&u->peers, id_hash(&u->peers, id), peer_eq, &id);

	return n ? CONTAINER_OF(n, struct peer, by_id) : NULL;
}

/* ---- peers --------------------------------------------------------------------------------- */

static enum status peer_ref(struct user *u, dp_peer_id id, struct peer **ret_peer)
{
	struct peer *p = peer_find(u, id);

	if (!p) {
		p = mem_new(u->mem, sizeof(*p));
		if (!p)
			return ST_NOMEM;
		p->id = id;
		p->held_tail = &p->held;
		list_init(&p->given);
		silence_init(p);
		pthread_mutex_init(&p->lock, NULL);
		map_insert(&u->peers, &p->by_id, id_hash(&u->peers, id));
	}
	p->refs++;
	*ret_peer = p;
	return ST_OK;
}

static void drop_held(struct user *u, struct held *h)
{
	while (h) {
		struct held *next = h->next;

		mem_free(u->mem, h);
		h = next;
	}
}

/* Whether a child takes what waits. */
static bool takes(const struct child *c, const struct held *h)
{
	enum wire_ip_fault why;
	struct wire_ip ip;

	return wire_ip_parse(bytes_of(h->data, h->n), &ip, &why) == ST_OK &&
	       esp_ts_match_out(c->ts, &ip) && (!c->relayed || esp_ts_match_out(c->relayed, &ip));
}

/* What that child takes; NULL: all. */
static struct held *take_held(struct peer *p, const struct child *c)
{
	struct held *taken = NULL, **end = &taken, **from, *h;

	pthread_mutex_lock(&p->lock);
	from = &p->held;
	while ((h = *from)) {
		if (c && !takes(c, h)) {
			from = &h->next;
			continue;
		}
		*from = h->next;
		h->next = NULL;
		*end = h;
		end = &h->next;
		p->n_held--;
		p->held_bytes -= h->n;
	}
	p->held_tail = from;
	pthread_mutex_unlock(&p->lock);
	return taken;
}

static void peer_free(void *ctx, void *object)
{
	struct user *u = ctx;
	struct peer *p = object;

	drop_held(u, p->held);
	pthread_mutex_destroy(&p->lock);
	mem_free(u->mem, p);
}

/* Nothing leads to it any more when the last reference goes. */
static void peer_unref(struct user *u, struct peer *p)
{
	if (--p->refs)
		return;
	map_remove(&u->peers, &p->by_id);
	qsbr_retire(&u->qsbr, peer_free, u, p);
}

/* Packets that waited for such a child: queue 0 sends them as if they came now. */
static void send_held(struct user *u, struct peer *p, const struct child *c)
{
	struct queue *q = &u->queue[0];
	struct held *h = take_held(p, c);
	int64_t oldest = user_clock_ns() - dur_s(HELD_S).ns;

	for (struct held *i = h; i; i = i->next) {
		struct control *r;

		if (i->since_ns < oldest)
			continue;
		r = ring_put(&q->control, sizeof(*r) + i->n);
		if (!r)
			break; /* as if they had not been held */
		*r = (struct control){ .vnet = i->vnet };
		memcpy(r + 1, i->data, i->n);
		ring_commit(&q->control);
	}
	if (h)
		queue_poke(q);
	drop_held(u, h);
}

/* ---- paths --------------------------------------------------------------------------------- */

/* A socket that can send from `local`, rather one that this queue reads: bound to that very
 * address, else to all of its family, with the right port. */
static int8_t pick_socket(const struct user *u, const struct endpoint *local, unsigned queue)
{
	int8_t best = -1;
	unsigned best_score = 0;

	for (size_t i = 0; i < u->n_sockets; i++) {
		const struct dp_user_socket *s = &u->socket[i];
		unsigned score = 1;

		if (s->local.ip.family != local->ip.family || s->local.port != local->port)
			continue;
		if (ip_eq(&s->local.ip, &local->ip))
			score += 2;
		else if (!ip_is_any(&s->local.ip))
			continue;
		score += s->queue == queue;
		if (score > best_score) {
			best = (int8_t)i;
			best_score = score;
		}
	}
	return best;
}

static int device_of(const struct user *u, const struct endpoint *local,
		     const struct endpoint *remote)
{
	return u->device ? u->device(u->device_ctx, local, remote) : 0;
}

static void path_free(void *ctx, void *object)
{
	struct user *u = ctx;
	struct path *p = object;

	pmtu_unref(u, p->pmtu);
	mem_free(u->mem, p);
}

/* ST_INVAL when none of the sockets can be used. */
static enum status path_new(struct user *u, const struct endpoint *local,
			    const struct endpoint *remote, bool encap, struct path **ret_path)
{
	struct path *p;
	enum status st;

	/* Without UDP encapsulation it would need a raw socket: no DP_CAP_RAW_ESP here. */
	if (!encap || local->ip.family != remote->ip.family || pick_socket(u, local, 0) < 0)
		return ST_INVAL;
	p = mem_new(u->mem, sizeof(*p));
	if (!p)
		return ST_NOMEM;
	st = pmtu_ref(u, &remote->ip, &p->pmtu);
	if (st) {
		mem_free(u->mem, p);
		return st;
	}
	p->local = *local;
	p->remote = *remote;
	atomic_init(&p->device, device_of(u, local, remote));
	for (unsigned i = 0; i < u->n_queues && i < ARRAY_LEN(p->socket); i++)
		p->socket[i] = pick_socket(u, local, i);
	*ret_path = p;
	return ST_OK;
}

/* ---- children ------------------------------------------------------------------------------ */

/* Its path is freed with it; whoever replaced an earlier one has retired that. */
static void child_free(void *ctx, void *object)
{
	struct user *u = ctx;
	struct child *c = object;
	struct path *p = atomic_load_explicit(&c->path, memory_order_relaxed);

	if (p)
		path_free(u, p);
	esp_out_free(c->out);
	esp_in_free(c->in);
	esp_ts_free(c->ts);
	esp_ts_free(c->relayed);
	mem_free(u->mem, c->hops.v);
	mem_free(u->mem, c);
	/* What they have of its keys they wipe at the end of a turn, so each takes one. */
	for (unsigned i = 0; i < u->n_queues; i++)
		queue_poke(&u->queue[i]);
}

/* All of a child that nobody else sees yet. */
static enum status child_build(struct user *u, const struct dp_child *d, struct child *c)
{
	struct path *path;
	enum status st = path_new(u, &d->local, &d->remote, d->encap, &path);

	if (st)
		return st;
	atomic_init(&c->path, path);
	c->id = d->id;
	c->spi_in = d->spi_in;
	c->queue = dp_user_queue_of(d->spi_in, u->n_queues);
	c->limit = dp_limit_of(d);
	c->told = d->told;
	c->flows = d->flows;
	c->counts = d->counts;
	c->proves = d->proves;
	atomic_init(&c->used, tick_of(user_clock_ns()));
	list_init(&c->refusing);
	st = esp_ts_new(u->mem, &d->ts_local, &d->ts_remote, &c->ts);
	if (st == ST_OK && d->direct)
		st = esp_ts_new(u->mem, &d->ts_local, &d->relayed, &c->relayed);
	if (st == ST_OK)
		st = esp_out_new(u->mem, d->spi_out, &d->out, d->esn, &c->out);
	if (st == ST_OK)
		st = esp_in_new(u->mem, d->spi_in, &d->in, d->esn, d->window, &c->in);
	return st;
}

/* The steps that others see; the last one cannot fail. */
static enum status child_publish(struct user *u, struct child *c, const struct dp_child *d)
{
	enum status st = peer_ref(u, d->peer, &c->peer);

	if (st)
		return st;
	st = sadb_hops_new(u, &d->ts_remote, c, &c->hops);
	if (st == ST_OK) {
		st = sadb_spi_add(u, c);
		if (st)
			sadb_hops_del(u, &c->hops);
	}
	if (st) {
		peer_unref(u, c->peer);
		return st;
	}
	c->at_peer.owner = c;
	silence_wanted(c->peer, d);
	map_insert(&u->children, &c->by_id, id_hash(&u->children, c->id));
	if (c->relayed)
		list_add_tail(&u->refusing, &c->refusing);
	return ST_OK;
}

static void start_sending(struct user *u, struct child *c)
{
	c->sends = true;
	sadb_list_senders(c);
	/* Later than that: a queue thread that did not see it yet has put its packet where we find
	 * it now, one that comes later finds the child (hold() in txin.c). */
	send_held(u, c->peer, c);
	/* Nor do others relay what it takes; of a peer with several, the rest finds nothing. */
	list_for_each(n, &u->refusing) {
		struct peer *p = CONTAINER_OF(n, struct child, refusing)->peer;

		if (p != c->peer)
			send_held(u, p, c);
	}
}

static enum status child_add(struct user *u, const struct dp_child *d)
{
	struct child *c = ops_child(u, d->id);
	enum status st;

	if (c) {
		if (c->quiet)
			return ST_INVAL;
		if (d->outbound && !c->sends)
			start_sending(u, c);
		return ST_OK;
	}
	if (sadb_by_spi(u, d->spi_in))
		return ST_INVAL;
	c = mem_new(u->mem, sizeof(*c));
	if (!c)
		return ST_NOMEM;
	st = child_build(u, d, c);
	if (st == ST_OK)
		st = child_publish(u, c, d);
	if (st) {
		child_free(u, c);
		return st;
	}
	if (d->outbound)
		start_sending(u, c);
	return ST_OK;
}

/* A queue thread that found it a moment ago may still send with it, as with one that goes. */
static void stop_sending(struct child *c)
{
	if (c->sends)
		sadb_unlist_senders(c);
	c->sends = false;
}

static enum status child_pause(struct user *u, dp_child_id id)
{
	struct child *c = ops_child(u, id);

	if (!c)
		return ST_INVAL;
	stop_sending(c);
	return ST_OK;
}

static enum status child_quiet(struct user *u, dp_child_id id)
{
	struct child *c = ops_child(u, id);

	if (!c)
		return ST_INVAL;
	stop_sending(c);
	c->quiet = true;
	return ST_OK;
}

/* Any queue can send it. */
static enum status child_dummy(struct user *u, dp_child_id id)
{
	const struct child *c = ops_child(u, id);
	struct queue *q = &u->queue[0];
	struct control *r;

	if (!c)
		return ST_INVAL;
	r = ring_put(&q->control, sizeof(*r));
	if (!r)
		return ST_AGAIN;
	*r = (struct control){ .dummy_on = c->spi_in };
	ring_commit(&q->control);
	queue_poke(q);
	return ST_OK;
}

static void child_remove(struct user *u, struct child *c)
{
	map_remove(&u->children, &c->by_id);
	list_del(&c->refusing);
	sadb_spi_del(u, c);
	stop_sending(c);
	sadb_hops_del(u, &c->hops);
	peer_unref(u, c->peer);
	qsbr_retire(&u->qsbr, child_free, u, c);
}

static enum status child_del(struct user *u, dp_child_id id)
{
	struct child *c = ops_child(u, id);

	if (!c)
		return ST_INVAL;
	child_remove(u, c);
	return ST_OK;
}

static enum status child_address(struct user *u, const struct dp_op *op)
{
	struct child *c = ops_child(u, op->u.address.id);
	struct path *p;
	enum status st;

	if (!c)
		return ST_INVAL;
	st = path_new(u, &op->u.address.local, &op->u.address.remote, op->u.address.encap, &p);
	if (st)
		return st;
	if (!ip_eq(&atomic_load_explicit(&c->path, memory_order_relaxed)->local.ip, &p->local.ip))
		pmtu_forget(u, p->pmtu);
	p = atomic_exchange_explicit(&c->path, p, memory_order_acq_rel);
	qsbr_retire(&u->qsbr, path_free, u, p);
	return ST_OK;
}

void ops_reroute(struct user *u)
{
	for (struct map_node *n = map_next(&u->children, NULL); n; n = map_next(&u->children, n)) {
		struct child *c = CONTAINER_OF(n, struct child, by_id);
		struct path *p = atomic_load_explicit(&c->path, memory_order_relaxed);

		atomic_store_explicit(&p->device, device_of(u, &p->local, &p->remote),
				      memory_order_relaxed);
	}
}

void ops_counters(const struct child *c, struct dp_counters *ret)
{
	struct peer *p = c->peer;
	uint32_t now = tick_of(user_clock_ns());

	*ret = (struct dp_counters){
		.packets_in = atomic_load_explicit(&c->packets_in, memory_order_relaxed),
		.bytes_in = atomic_load_explicit(&c->bytes_in, memory_order_relaxed),
		.packets_out = atomic_load_explicit(&c->packets_out, memory_order_relaxed),
		.bytes_out = atomic_load_explicit(&c->bytes_out, memory_order_relaxed),
		.dropped_in = atomic_load_explicit(&c->dropped_in, memory_order_relaxed),
		.since_in = tick_since(now, atomic_load_explicit(&p->heard, memory_order_relaxed)),
		.since_out = tick_since(now, atomic_load_explicit(&p->sent, memory_order_relaxed)),
		.since_used = tick_since(now, atomic_load_explicit(&c->used, memory_order_relaxed)),
	};
}

static enum status child_query(struct user *u, dp_child_id id, struct dp_counters *ret)
{
	const struct child *c = ops_child(u, id);

	if (!c)
		return ST_INVAL;
	ops_counters(c, ret);
	return ST_OK;
}

/* ---- traps --------------------------------------------------------------------------------- */

static void trap_free(void *ctx, void *object)
{
	struct user *u = ctx;
	struct trap *t = object;

	esp_ts_free(t->ts);
	mem_free(u->mem, t->hops.v);
	mem_free(u->mem, t);
}

/* Puts `t` (NULL: none) in the place of the present trap, which lets go of the peer. */
static void trap_swap(struct user *u, struct peer *p, struct trap *t)
{
	struct trap *old = p->trap;

	if (t)
		sadb_list_traps(&t->hops);
	p->trap = t;
	if (!old)
		return;
	sadb_unlist_traps(&old->hops);
	sadb_hops_del(u, &old->hops);
	qsbr_retire(&u->qsbr, trap_free, u, old);
	peer_unref(u, p);
}

static enum status trap_add(struct user *u, const struct dp_op *op)
{
	struct trap *t = mem_new(u->mem, sizeof(*t));
	enum status st;

	if (!t)
		return ST_NOMEM;
	st = esp_ts_new(u->mem, &op->u.trap.ts_local, &op->u.trap.ts_remote, &t->ts);
	if (st == ST_OK)
		st = sadb_hops_new(u, &op->u.trap.ts_remote, t, &t->hops);
	if (st == ST_OK) {
		st = peer_ref(u, op->u.trap.peer, &t->peer);
		if (st)
			sadb_hops_del(u, &t->hops);
	}
	if (st) {
		trap_free(u, t);
		return st;
	}
	trap_swap(u, t->peer, t);
	return ST_OK;
}

static enum status trap_del(struct user *u, dp_peer_id id)
{
	struct peer *p = peer_find(u, id);

	if (!p || !p->trap)
		return ST_INVAL;
	/* While we look at it, it must not go with the trap. */
	p->refs++;
	trap_swap(u, p, NULL);
	drop_held(u, take_held(p, NULL));
	peer_unref(u, p);
	return ST_OK;
}

/* ---- what peers are given ------------------------------------------------------------------ */

/* While there is anything of that kind to be remembered, the peer is there. */
static void peer_keep(struct user *u, struct peer *p)
{
	bool kept = !list_empty(&p->given) ||
		    atomic_load_explicit(&p->given_only, memory_order_relaxed);

	if (kept == p->kept)
		return;
	p->kept = kept;
	if (kept)
		p->refs++;
	else
		peer_unref(u, p);
}

static enum status peer_prefix(struct user *u, const struct dp_op *op)
{
	bool is_new = !peer_find(u, op->u.given.peer);
	struct peer *p;
	enum status st;

	if (is_new && op->u.given.given == DP_GIVEN_NOT)
		return ST_OK;
	st = peer_ref(u, op->u.given.peer, &p);
	if (st)
		return st;
	st = sadb_give(u, p, &op->u.given.prefix, op->u.given.given);
	peer_keep(u, p);
	peer_unref(u, p);
	return st;
}

static void set_given_only(struct user *u, struct peer *p, bool on)
{
	atomic_store_explicit(&p->given_only, on, memory_order_relaxed);
	while (!on && sadb_take_any(u, p))
		;
	peer_keep(u, p);
}

static enum status peer_given_only(struct user *u, const struct dp_op *op)
{
	struct peer *p = peer_find(u, op->u.given_only.peer);
	enum status st;

	if (!p && !op->u.given_only.on)
		return ST_OK;
	st = peer_ref(u, op->u.given_only.peer, &p);
	if (st)
		return st;
	set_given_only(u, p, op->u.given_only.on);
	peer_unref(u, p);
	return ST_OK;
}

/* ---- operations ---------------------------------------------------------------------------- */

static enum status carry_out(struct user *u, const struct dp_op *op, struct dp_counters *ret)
{
	switch (op->kind) {
	case DP_CHILD_ADD: return child_add(u, &op->u.child);
	case DP_CHILD_QUIET: return child_quiet(u, op->u.id);
	case DP_CHILD_DEL: return child_del(u, op->u.id);
	case DP_CHILD_ADDRESS: return child_address(u, op);
	case DP_CHILD_QUERY: return child_query(u, op->u.id, ret);
	case DP_TRAP_ADD: return trap_add(u, op);
	case DP_TRAP_DEL: return trap_del(u, op->u.peer);
	case DP_CHILD_DUMMY: return child_dummy(u, op->u.id);
	case DP_CHILD_PAUSE: return child_pause(u, op->u.id);
	case DP_PATH_MTU: pmtu_found(u, &op->u.path_mtu.remote, op->u.path_mtu.mtu); return ST_OK;
	case DP_PEER_PREFIX: return peer_prefix(u, op);
	case DP_PEER_GIVEN_ONLY: return peer_given_only(u, op);
	}
	return ST_INVAL;
}

enum status ops_submit(struct user *u, const struct dp_op *op)
{
	/* First the memory for the answer: what was carried out must be answered. */
	struct done *d = mem_new(u->mem, sizeof(*d));

	if (!d)
		return ST_NOMEM;
	d->report.kind = DP_REPORT_DONE;
	d->report.u.done.op = op->op;
	d->report.u.done.status = carry_out(u, op, &d->report.u.done.counters);
	*u->done_tail = d;
	u->done_tail = &d->next;
	user_signal_host(u);
	qsbr_poll(&u->qsbr);
	return ST_OK;
}

void ops_free_all(struct user *u)
{
	struct map_node *n;

	while ((n = map_any(&u->children)))
		child_remove(u, CONTAINER_OF(n, struct child, by_id));
	while ((n = map_any(&u->peers))) {
		struct peer *p = CONTAINER_OF(n, struct peer, by_id);

		p->refs++; /* while we look at it */
		set_given_only(u, p, false);
		if (p->trap)
			(void)trap_del(u, p->id);
		peer_unref(u, p);
	}
}
