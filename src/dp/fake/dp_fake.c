#include "dp/fake/dp_fake.h"

#include "base/list.h"
#include "dp/common.h"
#include "wire/esp/wire_esp.h"

struct fake_child {
	struct list node;
	struct dp_child c; /* keys and selectors wiped */
	uint64_t sends_since; /* order in which children began to send; 0 does not */
	struct esp_out *out;
	struct esp_in *in;
	struct esp_ts *ts;
	struct dp_counters counters;
	struct endpoint reported; /* last NEW_ADDRESS */
	bool soft_reported;
	bool hard_reported;
};

/* A packet, or a report, in a queue. */
struct item {
	struct list node;
	struct dp_report report;
	struct endpoint local;
	struct endpoint remote;
	dp_child_id child;
	size_t n;
	uint8_t data[];
};

struct fake_trap {
	struct list node;
	dp_peer_id peer;
	struct esp_ts *ts;
	struct list held; /* of item */
	size_t n_held;
	bool acquired; /* reported in this interval */
};

enum {
	C_NO_MEMORY = DP_COUNTERS,
	COUNTERS,
};

static const char *const counter_names[COUNTERS] = {
	DP_COUNTER_NAMES,
	[C_NO_MEMORY] = "no_memory",
};

struct script {
	unsigned left; /* 0: none */
	enum status st;
};

struct fake {
	struct dp dp;
	const struct alloc *mem;
	struct list children;
	struct list traps;
	struct list reports;
	struct list to_network;
	struct list to_host;
	struct dp_fake_op *ops;
	size_t n_ops;
	size_t cap_ops;
	uint64_t sends; /* last number given to sends_since */
	struct script fail;
	struct script refuse;
	bool hold;
	bool unknown_reported;
	uint64_t counter[COUNTERS];
};

static struct fake *fake_of(const struct dp *dp)
{
	return CONTAINER_OF((struct dp *)(uintptr_t)dp, struct fake, dp);
}

/* ---- queues -------------------------------------------------------------------------------- */

static struct item *item_new(struct fake *f, struct bytes data)
{
	struct item *it = mem_new(f->mem, sizeof(*it) + data.n);

	if (!it) {
		f->counter[C_NO_MEMORY]++;
		return NULL;
	}
	list_init(&it->node);
	it->n = data.n;
	if (data.n)
		memcpy(it->data, data.p, data.n);
	return it;
}

static struct item *pop(struct list *l)
{
	struct item *it;

	if (list_empty(l))
		return NULL;
	it = CONTAINER_OF(l->next, struct item, node);
	list_del(&it->node);
	return it;
}

static void empty(struct fake *f, struct list *l)
{
	struct item *it;

	while ((it = pop(l)))
		mem_free(f->mem, it);
}

static bool push_report(struct fake *f, const struct dp_report *r)
{
	struct item *it = item_new(f, (struct bytes){ NULL, 0 });

	if (!it)
		return false;
	it->report = *r;
	list_add_tail(&f->reports, &it->node);
	return true;
}

/* ---- children and traps -------------------------------------------------------------------- */

static struct fake_child *child_by_id(const struct fake *f, dp_child_id id)
{
	list_for_each(n, &f->children) {
		struct fake_child *c = CONTAINER_OF(n, struct fake_child, node);

		if (c->c.id == id)
			return c;
	}
	return NULL;
}

static struct fake_child *child_by_spi(const struct fake *f, uint32_t spi)
{
	list_for_each(n, &f->children) {
		struct fake_child *c = CONTAINER_OF(n, struct fake_child, node);

		if (c->c.spi_in == spi)
			return c;
	}
	return NULL;
}

static struct fake_trap *trap_by_peer(const struct fake *f, dp_peer_id peer)
{
	list_for_each(n, &f->traps) {
		struct fake_trap *t = CONTAINER_OF(n, struct fake_trap, node);

		if (t->peer == peer)
			return t;
	}
	return NULL;
}

static void child_free(struct fake *f, struct fake_child *c)
{
	if (!c)
		return;
	list_del(&c->node);
	esp_out_free(c->out);
	esp_in_free(c->in);
	esp_ts_free(c->ts);
	mem_free(f->mem, c);
}

static void trap_free(struct fake *f, struct fake_trap *t)
{
	list_del(&t->node);
	empty(f, &t->held);
	esp_ts_free(t->ts);
	mem_free(f->mem, t);
}

static enum status child_build(struct fake *f, const struct dp_child *c, struct fake_child *to)
{
	enum status st = esp_ts_new(f->mem, &c->ts_local, &c->ts_remote, &to->ts);

	if (st == ST_OK)
		st = esp_out_new(f->mem, c->spi_out, &c->out, c->esn, &to->out);
	if (st == ST_OK)
		st = esp_in_new(f->mem, c->spi_in, &c->in, c->esn, c->window, &to->in);
	return st;
}

static void forget_secrets(struct dp_child *c)
{
	secret_done(&c->in.encr);
	secret_done(&c->in.integ);
	secret_done(&c->out.encr);
	secret_done(&c->out.integ);
	c->ts_local = c->ts_remote = (struct wire_ts_list){ 0 };
}

static void send_held(struct fake *f, struct fake_child *c);

static void start_sending(struct fake *f, struct fake_child *c)
{
	c->sends_since = ++f->sends;
	send_held(f, c);
}

static enum status child_add(struct fake *f, const struct dp_child *c)
{
	struct fake_child *fc = child_by_id(f, c->id);
	enum status st;

	if (fc) {
		if (c->outbound && !fc->sends_since)
			start_sending(f, fc);
		return ST_OK;
	}
	if (!c->encap || child_by_spi(f, c->spi_in))
		return ST_INVAL; /* without DP_CAP_RAW_ESP */
	fc = mem_new(f->mem, sizeof(*fc));
	if (!fc)
		return ST_NOMEM;
	list_init(&fc->node);
	st = child_build(f, c, fc);
	if (st) {
		child_free(f, fc);
		return st;
	}
	fc->c = *c;
	forget_secrets(&fc->c);
	list_add_tail(&f->children, &fc->node);
	if (c->outbound)
		start_sending(f, fc);
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

static enum status trap_add(struct fake *f, const struct dp_op *op)
{
	struct fake_trap *t = trap_by_peer(f, op->u.trap.peer);
	struct esp_ts *ts;
	enum status st = esp_ts_new(f->mem, &op->u.trap.ts_local, &op->u.trap.ts_remote, &ts);

	if (st)
		return st;
	if (t) {
		esp_ts_free(t->ts);
		t->ts = ts;
		return ST_OK;
	}
	t = mem_new(f->mem, sizeof(*t));
	if (!t) {
		esp_ts_free(ts);
		return ST_NOMEM;
	}
	t->peer = op->u.trap.peer;
	t->ts = ts;
	list_init(&t->held);
	list_init(&t->node);
	list_add_tail(&f->traps, &t->node);
	return ST_OK;
}

static enum status trap_del(struct fake *f, dp_peer_id peer)
{
	struct fake_trap *t = trap_by_peer(f, peer);

	if (!t)
		return ST_INVAL;
	trap_free(f, t);
	return ST_OK;
}

/* ---- operations ---------------------------------------------------------------------------- */

static enum status carry_out(struct fake *f, const struct dp_op *op, struct dp_counters *ret)
{
	const struct fake_child *c;

	switch (op->kind) {
	case DP_CHILD_ADD: return child_add(f, &op->u.child);
	case DP_CHILD_DEL: return child_del(f, op->u.id);
	case DP_CHILD_ADDRESS: return child_address(f, op);
	case DP_CHILD_QUERY:
		c = child_by_id(f, op->u.id);
		if (!c)
			return ST_INVAL;
		*ret = c->counters;
		return ST_OK;
	case DP_TRAP_ADD: return trap_add(f, op);
	case DP_TRAP_DEL: return trap_del(f, op->u.peer);
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
	done = item_new(f, (struct bytes){ NULL, 0 });
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
	struct item *it = f->hold ? NULL : pop(&f->reports);

	if (!it)
		return false;
	*ret = it->report;
	mem_free(f->mem, it);
	return true;
}

/* ---- packets from the protected side ------------------------------------------------------- */

static void check_limits(struct fake *f, struct fake_child *c, uint64_t packets, uint64_t bytes)
{
	struct dp_limit l = dp_limit_of(&c->c);
	struct dp_report r = { .kind = DP_REPORT_EXPIRE, .u.expire = { .id = c->c.id } };

	if (!c->soft_reported && dp_limit_soft(&l, packets, bytes))
		c->soft_reported = push_report(f, &r);
	r.u.expire.hard = true;
	if (!c->hard_reported && dp_limit_hard(&l, packets, bytes))
		c->hard_reported = push_report(f, &r);
}

static void seal(struct fake *f, struct fake_child *c, struct bytes inner, uint8_t version)
{
	struct item *it;
	struct bulk_op op;
	uint64_t seq;

	if (!esp_out_reserve(c->out, 1, &seq)) {
		f->counter[DP_C_TX_NO_SA]++;
		return;
	}
	it = mem_new(f->mem, sizeof(*it) + ESP_HEAD + inner.n + ESP_TAIL);
	if (!it) {
		f->counter[C_NO_MEMORY]++;
		return;
	}
	list_init(&it->node);
	it->local = c->c.local;
	it->remote = c->c.remote;
	it->child = c->c.id;
	it->n = esp_size(inner.n);
	memcpy(it->data + ESP_HEAD, inner.p, inner.n);
	esp_seal_prepare(c->out, seq, version == 4 ? ESP_NH_IPV4 : ESP_NH_IPV6, it->data + ESP_HEAD,
			 inner.n, &op);
	bulk_seal(&op, 1);
	if (!op.ok) {
		mem_free(f->mem, it);
		f->counter[C_NO_MEMORY]++;
		return;
	}
	list_add_tail(&f->to_network, &it->node);
	c->counters.packets_out++;
	c->counters.bytes_out += inner.n;
	check_limits(f, c, c->counters.packets_out, c->counters.bytes_out);
}

/* Packets that waited for a child of this peer. */
static void send_held(struct fake *f, struct fake_child *c)
{
	struct fake_trap *t = trap_by_peer(f, c->c.peer);
	struct list keep;
	struct item *it;

	if (!t)
		return;
	list_init(&keep);
	t->n_held = 0;
	while ((it = pop(&t->held))) {
		struct wire_ip ip;
		enum wire_ip_fault why;
		struct bytes inner = bytes_of(it->data, it->n);

		if (wire_ip_parse(inner, &ip, &why) || !esp_ts_match_out(c->ts, &ip)) {
			list_add_tail(&keep, &it->node);
			continue;
		}
		seal(f, c, inner, ip.version);
		mem_free(f->mem, it);
	}
	while ((it = pop(&keep))) {
		list_add_tail(&t->held, &it->node);
		t->n_held++;
	}
}

static struct fake_child *child_for(const struct fake *f, const struct wire_ip *ip)
{
	struct fake_child *best = NULL;

	list_for_each(n, &f->children) {
		struct fake_child *c = CONTAINER_OF(n, struct fake_child, node);

		if (c->sends_since && !c->hard_reported &&
		    (!best || c->sends_since > best->sends_since) && esp_ts_match_out(c->ts, ip))
			best = c;
	}
	return best;
}

static struct fake_trap *trap_for(const struct fake *f, const struct wire_ip *ip)
{
	list_for_each(n, &f->traps) {
		struct fake_trap *t = CONTAINER_OF(n, struct fake_trap, node);

		if (esp_ts_match_out(t->ts, ip))
			return t;
	}
	return NULL;
}

static void hold(struct fake *f, struct fake_trap *t, struct bytes inner, const struct wire_ip *ip)
{
	const struct dp_report r = { .kind = DP_REPORT_ACQUIRE,
				     .u.acquire = { .peer = t->peer,
						    .src = ip->src,
						    .dst = ip->dst,
						    .proto = ip->proto,
						    .sport = ip->sport,
						    .dport = ip->dport } };
	struct item *it = t->n_held < DP_HELD_PACKETS ? item_new(f, inner) : NULL;

	if (it) {
		list_add_tail(&t->held, &it->node);
		t->n_held++;
	} else {
		f->counter[DP_C_TX_NO_SA]++;
	}
	if (!t->acquired)
		t->acquired = push_report(f, &r);
}

void dp_fake_out(struct dp *dp, struct bytes inner)
{
	struct fake *f = fake_of(dp);
	struct fake_child *c;
	struct fake_trap *t;
	struct wire_ip ip;
	enum wire_ip_fault why;

	if (wire_ip_parse(inner, &ip, &why)) {
		f->counter[DP_C_TX_DISCARD]++;
		return;
	}
	inner.n = ip.len;
	c = child_for(f, &ip);
	t = c ? NULL : trap_for(f, &ip);
	if (c)
		seal(f, c, inner, ip.version);
	else if (t)
		hold(f, t, inner, &ip);
	else
		f->counter[DP_C_TX_DISCARD]++;
}

/* ---- packets from the network -------------------------------------------------------------- */

static void unknown_spi(struct fake *f, uint32_t spi, const struct endpoint *local,
			const struct endpoint *remote)
{
	const struct dp_report r = {
		.kind = DP_REPORT_UNKNOWN_SPI,
		.u.unknown_spi = { spi, *local, *remote },
	};

	f->counter[DP_C_RX_UNKNOWN_SPI]++;
	if (!f->unknown_reported)
		f->unknown_reported = push_report(f, &r);
}

/* Only the newest packet says where the peer is now: older ones may have been under way. */
static void check_address(struct fake *f, struct fake_child *c, const struct esp_in_pkt *pkt,
			  const struct endpoint *local, const struct endpoint *remote)
{
	const struct dp_report r = {
		.kind = DP_REPORT_NEW_ADDRESS,
		.u.new_address = { c->c.id, *local, *remote },
	};

	if (pkt->seq != esp_in_seq(c->in) || endpoint_eq(remote, &c->c.remote) ||
	    endpoint_eq(remote, &c->reported))
		return;
	if (push_report(f, &r))
		c->reported = *remote;
}

static void deliver(struct fake *f, struct fake_child *c, struct bytes inner)
{
	struct item *it = item_new(f, inner);

	if (!it)
		return;
	it->child = c->c.id;
	list_add_tail(&f->to_host, &it->node);
	c->counters.packets_in++;
	c->counters.bytes_in += inner.n;
	check_limits(f, c, c->counters.packets_in, c->counters.bytes_in);
}

static enum esp_fault open_packet(struct fake *f, struct fake_child *c, struct item *it)
{
	struct esp_in_pkt pkt;
	struct bulk_op op;
	struct wire_ip ip;
	struct bytes inner;
	enum esp_fault e = esp_in_prepare(c->in, it->data, it->n, &pkt, &op);

	if (e)
		return e;
	bulk_open(&op, 1);
	e = esp_in_finish(c->in, &pkt, op.ok, &ip, &inner);
	if (e != ESP_F_AUTH && e != ESP_F_REPLAY)
		check_address(f, c, &pkt, &it->local, &it->remote);
	if (e == ESP_OK)
		e = esp_in_check(c->ts, &ip);
	if (e == ESP_OK)
		deliver(f, c, inner);
	return e;
}

enum esp_fault dp_fake_in(struct dp *dp, const struct endpoint *local,
			  const struct endpoint *remote, struct bytes packet)
{
	struct fake *f = fake_of(dp);
	struct fake_child *c;
	struct wire_esp hdr;
	enum wire_esp_fault why;
	enum esp_fault e;
	struct item *it;

	if (wire_esp_parse(packet, &hdr, &why)) {
		f->counter[DP_C_ESP_RX + ESP_F_SHORT]++;
		return ESP_F_SHORT;
	}
	c = child_by_spi(f, hdr.spi);
	if (!c) {
		unknown_spi(f, hdr.spi, local, remote);
		return ESP_F_AUTH;
	}
	if (c->hard_reported) {
		f->counter[DP_C_RX_EXPIRED]++;
		return ESP_F_AUTH;
	}
	it = item_new(f, packet);
	if (!it)
		return ESP_F_AUTH;
	it->local = *local;
	it->remote = *remote;
	e = open_packet(f, c, it);
	mem_free(f->mem, it);
	f->counter[DP_C_ESP_RX + e]++;
	if (e && e != ESP_F_DUMMY)
		c->counters.dropped_in++;
	return e;
}

/* ---- the test's side ----------------------------------------------------------------------- */

static bool take(struct fake *f, struct list *l, struct dp_fake_packet *ret)
{
	struct item *it = pop(l);

	if (!it)
		return false;
	ret->local = it->local;
	ret->remote = it->remote;
	ret->child = it->child;
	ret->n = it->n < sizeof(ret->data) ? it->n : sizeof(ret->data);
	memcpy(ret->data, it->data, ret->n);
	mem_free(f->mem, it);
	return true;
}

bool dp_fake_next_out(struct dp *dp, struct dp_fake_packet *ret)
{
	struct fake *f = fake_of(dp);

	return take(f, &f->to_network, ret);
}

bool dp_fake_next_in(struct dp *dp, struct dp_fake_packet *ret)
{
	struct fake *f = fake_of(dp);

	return take(f, &f->to_host, ret);
}

bool dp_fake_carry(struct dp *from, struct dp *to, struct bytes inner)
{
	struct fake *a = fake_of(from);
	struct fake *b = fake_of(to);
	struct item *it;
	bool same;

	dp_fake_out(from, inner);
	while ((it = pop(&a->to_network))) {
		dp_fake_in(to, &it->remote, &it->local, bytes_of(it->data, it->n));
		mem_free(a->mem, it);
	}
	it = pop(&b->to_host);
	same = it && bytes_eq(bytes_of(it->data, it->n), inner) && list_empty(&b->to_host);
	mem_free(b->mem, it);
	return same;
}

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

size_t dp_fake_children(const struct dp *dp)
{
	size_t n = 0;

	list_for_each(it, &fake_of(dp)->children)
		n++;
	return n;
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
	return push_report(fake_of(dp), r) ? ST_OK : ST_NOMEM;
}

void dp_fake_interval(struct dp *dp)
{
	struct fake *f = fake_of(dp);

	f->unknown_reported = false;
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
		*ret = c->counters;
	return c != NULL;
}

static void fake_free(struct dp *dp)
{
	struct fake *f = fake_of(dp);

	list_for_each_safe(n, &f->children)
		child_free(f, CONTAINER_OF(n, struct fake_child, node));
	list_for_each_safe(n, &f->traps)
		trap_free(f, CONTAINER_OF(n, struct fake_trap, node));
	empty(f, &f->reports);
	empty(f, &f->to_network);
	empty(f, &f->to_host);
	mem_free(f->mem, f->ops);
	mem_free(f->mem, f);
}

static const struct dp_ops ops = {
	.name = "fake",
	.caps = DP_CAP_ESN | DP_CAP_ADDRESS,
	.submit = submit,
	.report = report,
	.fd = no_fd,
	.counter = counter,
	.child_counters = child_counters,
	.free = fake_free,
};

enum status dp_fake_new(const struct alloc *mem, struct dp **ret_dp)
{
	struct fake *f = mem_new(mem, sizeof(*f));

	if (!f)
		return ST_NOMEM;
	f->dp.ops = &ops;
	f->mem = mem;
	list_init(&f->children);
	list_init(&f->traps);
	list_init(&f->reports);
	list_init(&f->to_network);
	list_init(&f->to_host);
	*ret_dp = &f->dp;
	return ST_OK;
}
