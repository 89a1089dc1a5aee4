/*
 * child.c - child SAs: what was negotiated, and its twin in the data plane.
 */
#include "ike/internal.h"

static uint64_t id_hash(struct ike *ike, dp_child_id id)
{
	return map_hash(&ike->child_by_id, bytes_of(&id, sizeof(id)));
}

static uint64_t spi_hash(struct ike *ike, uint32_t spi)
{
	return map_hash(&ike->child_by_spi, bytes_of(&spi, sizeof(spi)));
}

static uint64_t op_hash(struct ike *ike, uint64_t op)
{
	return map_hash(&ike->child_by_op, bytes_of(&op, sizeof(op)));
}

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child, by_id)->id == *(const dp_child_id *)key;
}

static bool same_spi(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child, by_spi)->spi_in == *(const uint32_t *)key;
}

static bool same_op(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child, by_op)->op == *(const uint64_t *)key;
}

struct child *child_by_id(struct ike *ike, dp_child_id id)
{
	struct map_node *n = map_find(&ike->child_by_id, id_hash(ike, id), same_id, &id);

	return n ? CONTAINER_OF(n, struct child, by_id) : NULL;
}

struct child *child_by_spi_out(struct ike_sa *sa, uint32_t spi)
{
	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->spi_out == spi)
			return c;
	}
	return NULL;
}

uint32_t child_pick_spi(struct ike *ike)
{
	uint32_t spi;

	do {
		uint8_t raw[4];

		ike->crypto.ops->random(ike->crypto.ctx, raw, sizeof(raw));
		spi = load_be32(raw);
	} while (spi < IKE_MIN_ESP_SPI ||
		 map_find(&ike->child_by_spi, spi_hash(ike, spi), same_spi, &spi));
	return spi;
}

static enum status dup_ts(const struct alloc *mem, const struct wire_ts_list *from,
			  struct wire_ts_list *ret)
{
	struct bytes copy;
	enum status st = mem_dup(mem, bytes_of(from->ts, from->n * sizeof(*from->ts)), &copy);

	if (!st)
		*ret = (struct wire_ts_list){ (const void *)copy.p, from->n, 0 };
	return st;
}

static enum status dup_ts_arena(struct arena *ar, const struct wire_ts_list *from,
				struct wire_ts_list *ret)
{
	struct bytes copy;
	enum status st = arena_dup(ar, bytes_of(from->ts, from->n * sizeof(*from->ts)), &copy);

	if (!st)
		*ret = (struct wire_ts_list){ (const void *)copy.p, from->n, 0 };
	return st;
}

/* An operation in `ob`; NULL when there is no memory (ob->failed is set). */
static struct dp_op *op_add(struct ike *ike, struct outbox *ob, enum dp_op_kind kind,
			    struct arena **ret_mem)
{
	struct out_item *it = outbox_add(ob, IKE_OUT_DP);
	struct dp_op *op = it ? arena_new(&it->mem, sizeof(*op)) : NULL;

	if (!op) {
		ob->failed = true;
		return NULL;
	}
	op->op = ++ike->last_op;
	op->kind = kind;
	it->out.u.dp = op;
	if (ret_mem)
		*ret_mem = &it->mem;
	return op;
}

static enum status op_install(struct ike *ike, const struct child *c, const struct child_params *p,
			      struct outbox *ob, uint64_t *ret_op)
{
	struct arena *mem;
	struct dp_op *op = op_add(ike, ob, DP_CHILD_ADD, &mem);
	struct dp_child *d;

	if (!op)
		return ST_NOMEM;
	d = &op->u.child;
	d->id = c->id;
	d->peer = p->peer;
	d->spi_in = c->spi_in;
	d->spi_out = c->spi_out;
	d->esn = c->suite.esn;
	d->encap = c->sa->path.encap;
	d->outbound = true;
	d->window = ESP_WINDOW_DEFAULT;
	d->local = c->sa->path.local;
	d->remote = c->sa->path.remote;
	d->in = p->in;
	d->out = p->out;
	if (dup_ts_arena(mem, &p->ts_local, &d->ts_local) ||
	    dup_ts_arena(mem, &p->ts_remote, &d->ts_remote)) {
		ob->failed = true;
		return ST_NOMEM;
	}
	/* Without extended numbers the SA ends at 2^32 packets; ask for another in good time. */
	if (!c->suite.esn) {
		d->soft_packets = 3ULL << 30;
		d->hard_packets = UINT32_MAX;
	}
	*ret_op = op->op;
	return ST_OK;
}

enum status child_new(struct ike *ike, struct ike_sa *sa, const struct child_params *p,
		      struct outbox *ob, struct child **ret_child)
{
	struct child *c = mem_new(ike->mem, sizeof(*c));
	enum status st = ST_NOMEM;

	if (!c)
		return ST_NOMEM;
	list_init(&c->node);
	c->sa = sa;
	c->suite = p->suite;
	c->spi_in = p->spi_in;
	c->spi_out = p->spi_out;
	c->created = ike->now.mono;
	c->id = ++ike->last_child;
	c->op_kind = DP_CHILD_ADD;
	if (dup_ts(ike->mem, &p->ts_local, &c->ts_local) == ST_OK &&
	    dup_ts(ike->mem, &p->ts_remote, &c->ts_remote) == ST_OK)
		st = op_install(ike, c, p, ob, &c->op);
	if (st) {
		child_free(ike, c);
		return st;
	}
	*ret_child = c;
	return ST_OK;
}

enum status child_make(struct ike *ike, struct ike_sa *sa, struct peer *peer,
		       struct child_params *p, const struct child_seed *seed, struct outbox *ob,
		       struct child **ret_child)
{
	enum status st = keys_child(&ike->crypto, sa->suite.prf, keys_d(&sa->keys), seed->shared,
				    &seed->nonces, &p->suite, seed->initiator, &p->in, &p->out);
	struct child *c;

	p->peer = peer->id;
	if (!st)
		st = child_new(ike, sa, p, ob, &c);
	wipe(&p->in, sizeof(p->in));
	wipe(&p->out, sizeof(p->out));
	if (st)
		return st;
	if (peer->conf->role == IKE_ROLE_MEMBERS)
		st = claims_take(ike, peer, c);
	if (st)
		child_free(ike, c);
	else
		*ret_child = c;
	return st;
}

void child_free(struct ike *ike, struct child *c)
{
	mem_free(ike->mem, (void *)(uintptr_t)c->ts_local.ts);
	mem_free(ike->mem, (void *)(uintptr_t)c->ts_remote.ts);
	mem_free(ike->mem, c);
}

static void expect(struct ike *ike, struct child *c, uint64_t op, enum dp_op_kind kind)
{
	c->op = op;
	c->op_kind = kind;
	map_insert(&ike->child_by_op, &c->by_op, op_hash(ike, op));
}

void child_link(struct ike *ike, struct child *c)
{
	list_add_tail(&c->sa->children, &c->node);
	c->sa->n_children++;
	ike->n_children++;
	map_insert(&ike->child_by_id, &c->by_id, id_hash(ike, c->id));
	map_insert(&ike->child_by_spi, &c->by_spi, spi_hash(ike, c->spi_in));
	expect(ike, c, c->op, DP_CHILD_ADD);
}

static void up_event(struct ike *ike, struct child *c)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	buf[0] = 0;
	policy_ts_list_text(&t, &c->ts_local);
	text_add(&t, " === ");
	policy_ts_list_text(&t, &c->ts_remote);
	text_add(&t, ", ");
	policy_suite_text(&t, &c->suite);
	count(ike, C_CHILD_UP);
	event_emit(ike, NULL, IKE_EV_CHILD_UP, (struct event_about){ .sa = c->sa, .child = c },
		   "%s", buf);
}

static bool tell_deleted(struct ike *ike, const struct child *c)
{
	struct outbox ob;
	struct dp_op *op;

	outbox_init(&ob, ike->mem);
	op = op_add(ike, &ob, DP_CHILD_DEL, NULL);
	if (!op) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return false;
	}
	op->u.id = c->id;
	outbox_commit(ike, &ob);
	return true;
}

void child_pay_owed(struct ike *ike)
{
	list_for_each_safe(n, &ike->owed) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (!tell_deleted(ike, c))
			return;
		list_del(n);
		child_free(ike, c);
	}
}

void child_remove(struct ike *ike, struct child *c, const char *why)
{
	claims_drop(ike, c->sa->peer, c);
	if (c->op)
		map_remove(&ike->child_by_op, &c->by_op);
	map_remove(&ike->child_by_id, &c->by_id);
	map_remove(&ike->child_by_spi, &c->by_spi);
	list_del(&c->node);
	c->sa->n_children--;
	ike->n_children--;
	event_emit(ike, NULL, IKE_EV_CHILD_DOWN, (struct event_about){ .sa = c->sa, .child = c },
		   "%s", why);
	/* The data plane must not keep what we forget, and need not forget what it never had. */
	if (c->refused || tell_deleted(ike, c))
		child_free(ike, c);
	else
		list_add_tail(&ike->owed, &c->node);
}

void child_query(struct ike *ike, struct child *c)
{
	struct outbox ob;
	struct dp_op *op;

	if (c->op)
		return;
	outbox_init(&ob, ike->mem);
	op = op_add(ike, &ob, DP_CHILD_QUERY, NULL);
	if (!op) {
		outbox_drop(&ob);
		return;
	}
	op->u.id = c->id;
	expect(ike, c, op->op, DP_CHILD_QUERY);
	outbox_commit(ike, &ob);
}

void child_move(struct ike *ike, struct child *c)
{
	struct outbox ob;
	struct dp_op *op;

	outbox_init(&ob, ike->mem);
	op = op_add(ike, &ob, DP_CHILD_ADDRESS, NULL);
	if (!op) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return;
	}
	op->u.address.id = c->id;
	op->u.address.local = c->sa->path.local;
	op->u.address.remote = c->sa->path.remote;
	op->u.address.encap = c->sa->path.encap;
	if (!c->op)
		expect(ike, c, op->op, DP_CHILD_ADDRESS);
	outbox_commit(ike, &ob);
}

/* ---- reports ------------------------------------------------------------------------------ */

/* The data plane cannot carry what was negotiated: the peer is told, and who wants it asks again.
 */
static void refused(struct ike *ike, struct child *c, const char *what, enum status st)
{
	struct ike_sa *sa = c->sa;
	uint32_t spi = c->spi_in;

	count(ike, C_DATAPLANE_FAILED);
	event_emit(ike, NULL, IKE_EV_DATAPLANE,
		   (struct event_about){ .sa = sa, .child = c, .reason = IKE_R_INTERNAL },
		   "the data plane refused %s (%s)", what, status_name(st));
	child_remove(ike, c, "the data plane refused it");
	peer_child_failed(ike, sa->peer);
	info_delete_child(ike, sa, spi, "its child could not be installed");
}

static void installed(struct ike *ike, struct child *c, enum status st)
{
	if (st == ST_OK) {
		c->installed = true;
		peer_child_installed(c->sa->peer);
		up_event(ike, c);
		return;
	}
	c->refused = true;
	refused(ike, c, "the child SA", st);
}

static void done(struct ike *ike, const struct dp_report *r)
{
	uint64_t op = r->u.done.op;
	struct map_node *n = map_find(&ike->child_by_op, op_hash(ike, op), same_op, &op);
	struct child *c;
	bool heard;

	if (!n) {
		/* Of a child that is gone, or an operation without which we can go on: a trap, an
		 * address. The operator should know that there is none. */
		if (r->u.done.status != ST_OK) {
			count(ike, C_DATAPLANE_FAILED);
			event_emit(
				ike, NULL, IKE_EV_DATAPLANE,
				(struct event_about){ .reason = IKE_R_INTERNAL },
				"the data plane refused operation %llu, which is no child's (%s)",
				(unsigned long long)op, status_name(r->u.done.status));
			peer_trap_failed(ike, op);
		}
		return;
	}
	c = CONTAINER_OF(n, struct child, by_op);
	map_remove(&ike->child_by_op, n);
	c->op = 0;
	if (c->op_kind == DP_CHILD_ADD) {
		installed(ike, c, r->u.done.status);
		return;
	}
	if (c->op_kind == DP_CHILD_ADDRESS) {
		if (r->u.done.status != ST_OK)
			refused(ike, c, "the child's new address", r->u.done.status);
		return;
	}
	heard = r->u.done.status == ST_OK && r->u.done.counters.packets_in != c->packets_in;
	if (r->u.done.status == ST_OK)
		c->packets_in = r->u.done.counters.packets_in;
	sa_alive_report(ike, c->sa, heard);
}

void child_report(struct ike *ike, const struct dp_report *r)
{
	struct child *c;

	switch (r->kind) {
	case DP_REPORT_DONE: done(ike, r); break;
	case DP_REPORT_EXPIRE:
		c = child_by_id(ike, r->u.expire.id);
		if (c)
			peer_expire(ike, c, r->u.expire.hard);
		break;
	case DP_REPORT_NEW_ADDRESS:
		c = child_by_id(ike, r->u.new_address.id);
		if (c)
			sa_moved(ike, c->sa, &r->u.new_address.local, &r->u.new_address.remote);
		break;
	default: break;
	}
}
