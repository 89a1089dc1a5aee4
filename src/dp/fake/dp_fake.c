#include "dp/fake/internal.h"

static const char *const counter_names[COUNTERS] = {
	DP_COUNTER_NAMES,
	[C_TX_TOO_BIG] = "tx.too_big",
	[C_NO_MEMORY] = "no_memory",
};

/* ---- children and traps -------------------------------------------------------------------- */

static bool has_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct fake_child, by_id)->c.id == *(const dp_child_id *)key;
}

static bool has_spi(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct fake_child, by_spi)->c.spi_in == *(const uint32_t *)key;
}

static uint64_t id_hash(const struct fake *f, dp_child_id id)
{
	return map_hash(&f->child_by_id, bytes_of(&id, sizeof(id)));
}

static uint64_t spi_hash(const struct fake *f, uint32_t spi)
{
	return map_hash(&f->child_by_spi, bytes_of(&spi, sizeof(spi)));
}

static struct fake_child *child_by_id(const struct fake *f, dp_child_id id)
{
	struct map_node *n = map_find(&f->child_by_id, id_hash(f, id), has_id, &id);

	return n ? CONTAINER_OF(n, struct fake_child, by_id) : NULL;
}

struct fake_child *fake_child_by_spi(const struct fake *f, uint32_t spi)
{
	struct map_node *n = map_find(&f->child_by_spi, spi_hash(f, spi), has_spi, &spi);

	return n ? CONTAINER_OF(n, struct fake_child, by_spi) : NULL;
}

static bool has_peer(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct fake_trap, by_peer)->peer == *(const dp_peer_id *)key;
}

static uint64_t peer_hash(const struct fake *f, dp_peer_id peer)
{
	return map_hash(&f->trap_by_peer, bytes_of(&peer, sizeof(peer)));
}

struct fake_trap *fake_trap_by_peer(const struct fake *f, dp_peer_id peer)
{
	struct map_node *n = map_find(&f->trap_by_peer, peer_hash(f, peer), has_peer, &peer);

	return n ? CONTAINER_OF(n, struct fake_trap, by_peer) : NULL;
}

struct fake_path *fake_path_to(const struct fake *f, const struct ip *remote)
{
	list_for_each(n, &f->paths) {
		struct fake_path *p = CONTAINER_OF(n, struct fake_path, node);

		if (ip_eq(&p->remote, remote))
			return p;
	}
	return NULL;
}

static void child_free(struct fake *f, struct fake_child *c)
{
	if (!c)
		return;
	if (!list_empty(&c->node)) {
		map_remove(&f->child_by_id, &c->by_id);
		map_remove(&f->child_by_spi, &c->by_spi);
	}
	list_del(&c->node);
	esp_out_free(c->out);
	esp_in_free(c->in);
	esp_ts_free(c->ts);
	esp_ts_free(c->relayed);
	list_del(&c->at_peer);
	fake_peer_unref(f, c->peer);
	fake_ways_free(f, c->ways);
	mem_free(f->mem, c);
}

static void trap_free(struct fake *f, struct fake_trap *t)
{
	map_remove(&f->trap_by_peer, &t->by_peer);
	list_del(&t->node);
	fake_empty(f, &t->held);
	esp_ts_free(t->ts);
	fake_ways_free(f, t->ways);
	mem_free(f->mem, t);
}

static enum status child_build(struct fake *f, const struct dp_child *c, struct fake_child *to)
{
	enum status st = esp_ts_new(f->mem, &c->ts_local, &c->ts_remote, &to->ts);

	if (st == ST_OK && c->direct)
		st = esp_ts_new(f->mem, &c->ts_local, &c->relayed, &to->relayed);
	if (st == ST_OK)
		st = fake_ways_new(f, &c->ts_remote, to, &to->ways);
	if (st == ST_OK)
		st = esp_out_new(f->mem, c->spi_out, &c->out, c->esn, &to->out);
	if (st == ST_OK)
		st = esp_in_new(f->mem, c->spi_in, &c->in, c->esn, c->window, &to->in);
	if (st == ST_OK) {
		to->peer = fake_peer_ref(f, c->peer);
		st = to->peer ? ST_OK : ST_NOMEM;
	}
	if (st == ST_OK)
		to->peer->ceases |= c->ceases;
	return st;
}

static void forget_secrets(struct dp_child *c)
{
	secret_done(&c->in.encr);
	secret_done(&c->in.integ);
	secret_done(&c->out.encr);
	secret_done(&c->out.integ);
	c->ts_local = c->ts_remote = c->relayed = (struct wire_ts_list){ 0 };
}

static void start_sending(struct fake *f, struct fake_child *c)
{
	c->sends = true;
	fake_list_senders(c);
	fake_send_held(f, c);
}

static enum status child_add(struct fake *f, const struct dp_child *c)
{
	struct fake_child *fc = child_by_id(f, c->id);
	enum status st;

	if (fc) {
		if (fc->quiet)
			return ST_INVAL;
		if (c->outbound && !fc->sends)
			start_sending(f, fc);
		return ST_OK;
	}
	if (!c->encap || fake_child_by_spi(f, c->spi_in))
		return ST_INVAL; /* without DP_CAP_RAW_ESP */
	fc = mem_new(f->mem, sizeof(*fc));
	if (!fc)
		return ST_NOMEM;
	list_init(&fc->node);
	list_init(&fc->at_peer);
	st = child_build(f, c, fc);
	if (st) {
		child_free(f, fc);
		return st;
	}
	fc->c = *c;
	fc->used = f->now;
	forget_secrets(&fc->c);
	list_add_tail(&f->children, &fc->node);
	map_insert(&f->child_by_id, &fc->by_id, id_hash(f, fc->c.id));
	map_insert(&f->child_by_spi, &fc->by_spi, spi_hash(f, fc->c.spi_in));
	if (c->outbound)
		start_sending(f, fc);
	return ST_OK;
}

static enum status child_pause(struct fake *f, dp_child_id id)
{
	struct fake_child *c = child_by_id(f, id);

	if (!c)
		return ST_INVAL;
	fake_unlist_senders(c);
	c->sends = false;
	return ST_OK;
}

static enum status child_quiet(struct fake *f, dp_child_id id)
{
	enum status st = child_pause(f, id);

	if (st == ST_OK)
		child_by_id(f, id)->quiet = true;
	return st;
}

static enum status child_dummy(struct fake *f, dp_child_id id)
{
	struct fake_child *c = child_by_id(f, id);

	if (!c)
		return ST_INVAL;
	fake_send_dummy(f, c);
	return ST_OK;
}

static enum status child_del(struct fake *f, dp_child_id id)
{
	struct fake_child *c = child_by_id(f, id);

	if (!c)
		return ST_INVAL;
	child_free(f, c);
	return ST_OK;
}

static enum status child_address(struct fake *f, const struct dp_op *op)
{
	struct fake_child *c = child_by_id(f, op->u.address.id);

	if (!c || !op->u.address.encap)
		return ST_INVAL;
	c->c.local = op->u.address.local;
	c->c.remote = op->u.address.remote;
	c->c.encap = op->u.address.encap;
	c->reported = (struct endpoint){ 0 };
	return ST_OK;
}

/* The trap of a peer, made when there is none. */
static struct fake_trap *trap_get(struct fake *f, dp_peer_id peer)
{
	struct fake_trap *t = fake_trap_by_peer(f, peer);

	if (t)
		return t;
	t = mem_new(f->mem, sizeof(*t));
	if (!t)
		return NULL;
	t->peer = peer;
	list_init(&t->held);
	list_add_tail(&f->traps, &t->node);
	map_insert(&f->trap_by_peer, &t->by_peer, peer_hash(f, peer));
	return t;
}

static enum status trap_add(struct fake *f, const struct dp_op *op)
{
	bool is_new = !fake_trap_by_peer(f, op->u.trap.peer);
	struct fake_trap *t = trap_get(f, op->u.trap.peer);
	struct fake_ways *ways = NULL;
	struct esp_ts *ts = NULL;
	enum status st;

	if (!t)
		return ST_NOMEM;
	st = esp_ts_new(f->mem, &op->u.trap.ts_local, &op->u.trap.ts_remote, &ts);
	if (st == ST_OK)
		st = fake_ways_new(f, &op->u.trap.ts_remote, t, &ways);
	if (st) {
		esp_ts_free(ts);
		if (is_new)
			trap_free(f, t);
		return st;
	}
	esp_ts_free(t->ts);
	fake_ways_free(f, t->ways);
	t->ts = ts;
	t->ways = ways;
	fake_list_traps(ways);
	return ST_OK;
}

static enum status trap_del(struct fake *f, dp_peer_id peer)
{
	struct fake_trap *t = fake_trap_by_peer(f, peer);

	if (!t)
		return ST_INVAL;
	trap_free(f, t);
	return ST_OK;
}

static struct dp_counters counters(const struct fake *f, const struct fake_child *c)
{
	struct dp_counters n = c->counters;

	n.since_in = mono_since(f->now, c->peer->heard);
	n.since_out = mono_since(f->now, c->peer->sent);
	n.since_used = mono_since(f->now, c->used);
	return n;
}

static enum status path_mtu(struct fake *f, const struct ip *remote, uint16_t mtu)
{
	struct fake_path *p = fake_path_to(f, remote);

	if (p) {
		p->mtu = mtu;
		return ST_OK;
	}
	p = mem_new(f->mem, sizeof(*p));
	if (!p)
		return ST_NOMEM;
	p->remote = *remote;
	p->mtu = mtu;
	list_add_tail(&f->paths, &p->node);
	return ST_OK;
}

/* ---- operations ---------------------------------------------------------------------------- */

static enum status carry_out(struct fake *f, const struct dp_op *op, struct dp_counters *ret)
{
	const struct fake_child *c;

	switch (op->kind) {
	case DP_CHILD_ADD: return child_add(f, &op->u.child);
	case DP_CHILD_QUIET: return child_quiet(f, op->u.id);
	case DP_CHILD_DEL: return child_del(f, op->u.id);
	case DP_CHILD_ADDRESS: return child_address(f, op);
	case DP_CHILD_QUERY:
		c = child_by_id(f, op->u.id);
		if (!c)
			return ST_INVAL;
		*ret = counters(f, c);
		return ST_OK;
	case DP_TRAP_ADD: return trap_add(f, op);
	case DP_TRAP_DEL: return trap_del(f, op->u.peer);
	case DP_CHILD_DUMMY: return child_dummy(f, op->u.id);
	case DP_CHILD_PAUSE: return child_pause(f, op->u.id);
	case DP_PATH_MTU: return path_mtu(f, &op->u.path_mtu.remote, op->u.path_mtu.mtu);
	case DP_PEER_PREFIX: return fake_give(f, op);
	case DP_PEER_GIVEN_ONLY:
		return fake_given_only(f, op->u.given_only.peer, op->u.given_only.on);
	}
	return ST_INVAL;
}

/* Whether this is the operation the script waits for. */
static bool script_hits(struct script *s)
{
	return s->left && --s->left == 0;
}

static struct dp_fake_op *record(struct fake *f, const struct dp_op *op)
{
	struct dp_fake_op *r;

	if (f->n_ops == f->cap_ops) {
		size_t cap = f->cap_ops ? 2 * f->cap_ops : 16;
		struct dp_fake_op *ops = mem_new(f->mem, cap * sizeof(*ops));

		if (!ops)
			return NULL;
		if (f->n_ops)
			memcpy(ops, f->ops, f->n_ops * sizeof(*ops));
		mem_free(f->mem, f->ops);
		f->ops = ops;
		f->cap_ops = cap;
	}
	r = &f->ops[f->n_ops++];
	*r = (struct dp_fake_op){ .op = *op };
	if (op->kind == DP_CHILD_ADD)
		forget_secrets(&r->op.u.child);
	if (op->kind == DP_TRAP_ADD)
		r->op.u.trap.ts_local = r->op.u.trap.ts_remote = (struct wire_ts_list){ 0 };
	return r;
}

static enum status submit(struct dp *dp, const struct dp_op *op)
{
	struct fake *f = fake_of(dp);
	struct dp_fake_op *r = record(f, op);
	struct item *done;

	if (!r)
		return ST_NOMEM;
	/* Both scripts count every operation, whatever the other does. */
	bool refuse = script_hits(&f->refuse);
	bool fail = script_hits(&f->fail);

	/* The answer's memory comes first: an operation that was carried out must be answered. */
	done = fake_item_new(f, (struct bytes){ NULL, 0 });
	if (refuse || !done) {
		mem_free(f->mem, done);
		r->refused = true;
		r->answer = refuse ? f->refuse.st : ST_NOMEM;
		return r->answer;
	}
	done->report.kind = DP_REPORT_DONE;
	done->report.u.done.op = op->op;
	r->answer = fail ? f->fail.st : carry_out(f, op, &done->report.u.done.counters);
	done->report.u.done.status = r->answer;
	list_add_tail(&f->reports, &done->node);
	return ST_OK;
}

static bool report(struct dp *dp, struct dp_report *ret)
{
	struct fake *f = fake_of(dp);
	struct item *it = f->hold ? NULL : fake_pop(&f->reports);

	if (!it)
		return false;
	*ret = it->report;
	mem_free(f->mem, it);
	return true;
}

/* ---- the test's side ----------------------------------------------------------------------- */

size_t dp_fake_ops(const struct dp *dp)
{
	return fake_of(dp)->n_ops;
}

const struct dp_fake_op *dp_fake_op(const struct dp *dp, size_t i)
{
	const struct fake *f = fake_of(dp);

	return i < f->n_ops ? &f->ops[i] : NULL;
}

size_t dp_fake_ops_of(const struct dp *dp, enum dp_op_kind kind)
{
	const struct fake *f = fake_of(dp);
	size_t n = 0;

	for (size_t i = 0; i < f->n_ops; i++)
		n += f->ops[i].op.kind == kind;
	return n;
}

uint16_t dp_fake_path_mtu(const struct dp *dp, const struct ip *remote)
{
	const struct fake_path *p = fake_path_to(fake_of(dp), remote);

	return p ? p->mtu : 0;
}

size_t dp_fake_children(const struct dp *dp)
{
	size_t n = 0;

	list_for_each(it, &fake_of(dp)->children)
		n++;
	return n;
}

void dp_fake_forget(struct dp *dp)
{
	fake_of(dp)->n_ops = 0;
}

void dp_fake_fail(struct dp *dp, unsigned nth, enum status st)
{
	fake_of(dp)->fail = (struct script){ nth, st };
}

void dp_fake_refuse(struct dp *dp, unsigned nth, enum status st)
{
	fake_of(dp)->refuse = (struct script){ nth, st };
}

void dp_fake_hold(struct dp *dp, bool on)
{
	fake_of(dp)->hold = on;
}

enum status dp_fake_report(struct dp *dp, const struct dp_report *r)
{
	return fake_push_report(fake_of(dp), r) ? ST_OK : ST_NOMEM;
}

void dp_fake_interval(struct dp *dp)
{
	struct fake *f = fake_of(dp);

	f->unknown_reported = f->probe_reported = false;
	list_for_each(n, &f->traps)
		CONTAINER_OF(n, struct fake_trap, node)->acquired = false;
}

/* ---- the interface ------------------------------------------------------------------------- */

static int no_fd(struct dp *dp)
{
	(void)dp;
	return -1;
}

static bool counter(struct dp *dp, size_t i, const char **ret_name, uint64_t *ret_value)
{
	if (i >= COUNTERS)
		return false;
	*ret_name = counter_names[i];
	*ret_value = fake_of(dp)->counter[i];
	return true;
}

static bool child_counters(struct dp *dp, dp_child_id id, struct dp_counters *ret)
{
	const struct fake_child *c = child_by_id(fake_of(dp), id);

	if (c)
		*ret = counters(fake_of(dp), c);
	return c != NULL;
}

static void fake_free(struct dp *dp)
{
	struct fake *f = fake_of(dp);

	list_for_each_safe(n, &f->children)
		child_free(f, CONTAINER_OF(n, struct fake_child, node));
	fake_take_all(f);
	list_for_each_safe(n, &f->traps)
		trap_free(f, CONTAINER_OF(n, struct fake_trap, node));
	list_for_each_safe(n, &f->paths) {
		list_del(n);
		mem_free(f->mem, CONTAINER_OF(n, struct fake_path, node));
	}
	fake_empty(f, &f->reports);
	fake_empty(f, &f->to_network);
	fake_empty(f, &f->to_host);
	map_done(&f->peer_by_id);
	map_done(&f->child_by_id);
	map_done(&f->child_by_spi);
	map_done(&f->trap_by_peer);
	fake_flows_done(f);
	policy_table_free(f->routes);
	mem_free(f->mem, f->ops);
	mem_free(f->mem, f);
}

static const struct dp_ops ops = {
	.name = "fake",
	.caps = DP_CAP_FLOW_PAIRS | DP_CAP_ESN | DP_CAP_ADDRESS,
	.submit = submit,
	.report = report,
	.fd = no_fd,
	.counter = counter,
	.child_counters = child_counters,
	.free = fake_free,
};

enum status dp_fake_new(const struct alloc *mem, struct dp **ret_dp)
{
	static const uint64_t key[2] = { 1, 2 };
	struct fake *f = mem_new(mem, sizeof(*f));

	if (!f)
		return ST_NOMEM;
	if (policy_table_new(mem, NULL, NULL, &f->routes)) {
		mem_free(mem, f);
		return ST_NOMEM;
	}
	f->dp.ops = &ops;
	f->mem = mem;
	list_init(&f->peers);
	map_init(&f->peer_by_id, mem, key);
	map_init(&f->child_by_id, mem, key);
	map_init(&f->child_by_spi, mem, key);
	map_init(&f->trap_by_peer, mem, key);
	fake_flows_init(f);
	list_init(&f->children);
	list_init(&f->traps);
	list_init(&f->paths);
	list_init(&f->reports);
	list_init(&f->to_network);
	list_init(&f->to_host);
	*ret_dp = &f->dp;
	return ST_OK;
}
