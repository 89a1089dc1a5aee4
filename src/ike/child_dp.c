/*
 * child_dp.c - child SAs and the data plane: what it is told about them, and what it answers
 * (child.h).
 *
 * Operations are done in their order, each with one answer.  Of a child's answers the last counts
 * (struct child.op): what comes of it is child.c's matter.
 */
#include "ike/child.h"
#include "ike/partner.h"

static uint64_t op_hash(struct ike *ike, uint64_t op)
{
	return map_hash(&ike->child_by_op, bytes_of(&op, sizeof(op)));
}

static bool same_op(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child, by_op)->op == *(const uint64_t *)key;
}

/* ---- operations --------------------------------------------------------------------------- */

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

enum status child_dp_add(struct ike *ike, const struct child *c, const struct child_params *p,
			 struct outbox *ob, uint64_t *ret_op)
{
	struct arena *mem;
	struct dp_op *op = op_add(ike, ob, DP_CHILD_ADD, &mem);
	const struct path *path = moving_traffic(c->sa);
	struct dp_child *d;

	if (!op)
		return ST_NOMEM;
	d = &op->u.child;
	d->id = c->id;
	d->peer = p->peer;
	d->spi_in = c->spi_in;
	d->spi_out = c->spi_out;
	d->esn = c->suite.esn;
	d->encap = path->encap;
	d->outbound = c->told;
	d->flows = p->flows;
	d->direct = p->direct;
	d->proves = p->proves;
	d->counts = p->counts;
	d->ceases = c->sa->called;
	d->told = c->sa->mobike;
	d->window = ESP_WINDOW_DEFAULT;
	d->local = path->local;
	d->remote = path->remote;
	d->in = p->in;
	d->out = p->out;
	if (dup_ts_arena(mem, &p->ts_local, &d->ts_local) ||
	    dup_ts_arena(mem, &p->ts_remote, &d->ts_remote) ||
	    dup_ts_arena(mem, &p->relayed, &d->relayed)) {
		ob->failed = true;
		return ST_NOMEM;
	}
	life_child_limits(p->life, c, d);
	*ret_op = op->op;
	return ST_OK;
}

void child_dp_expect(struct ike *ike, struct child *c, uint64_t op, enum dp_op_kind kind)
{
	if (c->op)
		map_remove(&ike->child_by_op, &c->by_op);
	c->op = op;
	c->op_kind = kind;
	map_insert(&ike->child_by_op, &c->by_op, op_hash(ike, op));
}

/* ---- what the data plane hears ------------------------------------------------------------ */

static bool tell(struct ike *ike, const struct child *c, enum dp_op_kind kind, uint64_t *ret_op)
{
	struct outbox ob;
	struct dp_op *op;

	outbox_init(&ob, ike->mem);
	op = op_add(ike, &ob, kind, NULL);
	if (!op) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return false;
	}
	if (kind == DP_CHILD_ADD) {
		op->u.child.id = c->id;
		op->u.child.outbound = true;
	} else {
		op->u.id = c->id;
	}
	*ret_op = op->op;
	outbox_commit(ike, &ob);
	return true;
}

void child_dp_gone(struct ike *ike, struct child *c)
{
	uint64_t op;

	if (c->in_dp && tell(ike, c, DP_CHILD_DEL, &op))
		c->in_dp = false;
}

void child_pay_owed(struct ike *ike)
{
	list_for_each_safe(n, &ike->owed) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		child_dp_gone(ike, c);
		if (c->in_dp)
			return;
		list_del(n);
		child_free(ike, c);
	}
}

bool child_tell_sends(struct ike *ike, struct child *c)
{
	const struct peer *p = c->sa->peer;
	bool want = c->sends && !partner_holds(p, c->sa) && !attach_holds(p, c->sa);
	enum dp_op_kind kind = want ? DP_CHILD_ADD : DP_CHILD_PAUSE;
	uint64_t op = 0;

	if (want == c->told || !c->in_dp)
		return true;
	/* The answer to its installation is still to come, and to be known: then (agenda.c). */
	if (!want && !c->installed)
		return true;
	if (!tell(ike, c, kind, &op))
		return false;
	c->told = want;
	child_dp_expect(ike, c, op, kind);
	return true;
}

void children_tell(struct ike *ike, struct ike_sa *sa)
{
	list_for_each(n, &sa->children)
		if (!child_tell_sends(ike, CONTAINER_OF(n, struct child, node)))
			agenda_soon(ike, sa);
}

void child_dummy(struct ike *ike, const struct child *c)
{
	uint64_t op = 0;

	(void)tell(ike, c, DP_CHILD_DUMMY, &op);
}

void child_dp_quiet(struct ike *ike, struct child *c)
{
	uint64_t op = 0;

	c->lingers = c->in_dp && tell(ike, c, DP_CHILD_QUIET, &op);
	if (c->lingers)
		child_dp_expect(ike, c, op, DP_CHILD_QUIET);
	else
		child_dp_gone(ike, c);
}

/* ---- what peers are given ------------------------------------------------------------------ */

static struct dp_op *peer_op(struct ike *ike, struct outbox *ob, enum dp_op_kind kind)
{
	struct dp_op *op;

	outbox_init(ob, ike->mem);
	op = op_add(ike, ob, kind, NULL);
	if (!op) {
		outbox_drop(ob);
		count(ike, C_NO_MEMORY);
	}
	return op;
}

enum status ike_peer_prefix(struct ike *ike, ike_peer_id peer, const struct prefix *prefix,
			    enum dp_given given)
{
	struct outbox ob;
	struct dp_op *op = peer_op(ike, &ob, DP_PEER_PREFIX);

	if (!op)
		return ST_NOMEM;
	op->u.given.peer = peer;
	op->u.given.prefix = *prefix;
	op->u.given.given = given;
	outbox_commit(ike, &ob);
	return ST_OK;
}

enum status ike_peer_given_only(struct ike *ike, ike_peer_id peer, bool on)
{
	struct outbox ob;
	struct dp_op *op = peer_op(ike, &ob, DP_PEER_GIVEN_ONLY);

	if (!op)
		return ST_NOMEM;
	op->u.given_only.peer = peer;
	op->u.given_only.on = on;
	outbox_commit(ike, &ob);
	return ST_OK;
}

/* ---- questions and news ------------------------------------------------------------------- */

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
	child_dp_expect(ike, c, op->op, DP_CHILD_QUERY);
	outbox_commit(ike, &ob);
}

void child_move(struct ike *ike, struct child *c)
{
	c->strayed = true;
	if (!child_tell_path(ike, c))
		agenda_soon(ike, c->sa);
}

bool child_tell_path(struct ike *ike, struct child *c)
{
	const struct path *path = moving_traffic(c->sa);
	struct outbox ob;
	struct dp_op *op;

	if (!c->strayed || !c->in_dp)
		return true;
	outbox_init(&ob, ike->mem);
	op = op_add(ike, &ob, DP_CHILD_ADDRESS, NULL);
	if (!op) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return false;
	}
	c->strayed = false;
	op->u.address.id = c->id;
	op->u.address.local = path->local;
	op->u.address.remote = path->remote;
	op->u.address.encap = path->encap;
	if (!c->op)
		child_dp_expect(ike, c, op->op, DP_CHILD_ADDRESS);
	outbox_commit(ike, &ob);
	return true;
}

/* ---- reports ------------------------------------------------------------------------------ */

static void done(struct ike *ike, const struct dp_report *r)
{
	uint64_t op = r->u.done.op;
	struct map_node *n = map_find(&ike->child_by_op, op_hash(ike, op), same_op, &op);
	struct child *c;

	if (!n) {
		/* Of a child that is gone, or an operation without which we can go on: a trap, an
		 * address. The operator should know that there is none. */
		if (r->u.done.status != ST_OK) {
			count(ike, C_DATAPLANE_FAILED);
			event_emit(
				ike, IKE_EV_DATAPLANE,
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
		child_added(ike, c, r->u.done.status);
		return;
	}
	if (c->op_kind != DP_CHILD_QUERY) {
		if (r->u.done.status != ST_OK)
			child_refused(ike, c,
				      c->op_kind == DP_CHILD_ADDRESS ? "the child's new address"
								     : "to send no more on a child",
				      r->u.done.status);
		return;
	}
	liveness_counted(ike, c->sa, r->u.done.status == ST_OK ? &r->u.done.counters : NULL);
	if (r->u.done.status == ST_OK)
		idle_counted(ike, c, &r->u.done.counters);
}

void child_report(struct ike *ike, const struct dp_report *r)
{
	struct child *c;

	switch (r->kind) {
	case DP_REPORT_DONE: done(ike, r); break;
	case DP_REPORT_EXPIRE:
		c = child_by_id(ike, r->u.expire.id);
		if (c)
			life_child_report(ike, c, r->u.expire.hard);
		break;
	case DP_REPORT_CARRIES:
		c = child_by_id(ike, r->u.carries.id);
		if (c)
			partner_carries(ike, c);
		break;
	case DP_REPORT_NEW_ADDRESS:
		c = child_by_id(ike, r->u.new_address.id);
		if (c)
			sa_moved(ike, c->sa, &r->u.new_address.local, &r->u.new_address.remote);
		break;
	default: break;
	}
}
