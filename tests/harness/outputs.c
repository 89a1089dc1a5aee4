/* Carrying out what an engine puts out, as a host would. */
#include "harness/internal.h"

#include "crypto/fake/crypto_fake.h"

static struct pending *pending_new(enum pending_kind kind, uint64_t id)
{
	struct pending *p = mem_libc.alloc(NULL, sizeof(*p));

	if (!p)
		harness_fail("out of memory");
	list_init(&p->link);
	p->kind = kind;
	p->id = id;
	return p;
}

static void pending_free(struct pending *p)
{
	list_del(&p->link);
	crypto_job_free(p->job);
	mem_libc.free(NULL, p);
}

static void pending_add(struct node *n, struct pending *p, enum hold hold)
{
	list_add_tail(n->hold & (unsigned)hold ? &n->held : &n->ready, &p->link);
}

static void free_list(struct list *l)
{
	list_for_each_safe(it, l)
		pending_free(CONTAINER_OF(it, struct pending, link));
}

void node_pendings_free(struct node *n)
{
	free_list(&n->held);
	free_list(&n->ready);
}

/* ---- outputs ------------------------------------------------------------------------------- */

static void out_job(struct node *n, const struct ike_out *o)
{
	struct pending *p = pending_new(PENDING_JOB, o->u.job.id);

	p->job = o->u.job.job;
	p->fail = n->n_jobs++ == n->fail_job;
	p->status = n->fail_status;
	pending_add(n, p, HOLD_JOBS);
}

static void cancel(struct node *n, struct list *l, uint64_t id)
{
	list_for_each_safe(it, l) {
		struct pending *p = CONTAINER_OF(it, struct pending, link);

		if (p->kind != PENDING_JOB || p->id != id)
			continue;
		p->cancelled = true;
		if (!n->late_results)
			pending_free(p);
	}
}

static void out_dp(struct node *n, const struct dp_op *op)
{
	struct pending *p = pending_new(PENDING_DONE, op->op);

	p->fail = n->n_ops++ == n->fail_op;
	p->status = p->fail ? n->fail_status : ST_OK;
	/* A failed deletion still leaves nothing that carries packets. */
	if (!p->fail || op->kind == DP_CHILD_DEL || op->kind == DP_TRAP_DEL) {
		record_dp(n, op);
		dp_submit(n, op, p);
	}
	pending_add(n, p, HOLD_DP);
}

void node_report_later(struct node *n, const struct dp_report *r)
{
	struct pending *p = pending_new(PENDING_REPORT, 0);

	p->report = *r;
	list_add_tail(&n->ready, &p->link);
}

static void out_resolve(struct node *n, const struct ike_out *o)
{
	struct pending *p = pending_new(PENDING_NAME, o->u.resolve.id);
	size_t len = strlen(o->u.resolve.name);

	if (len >= sizeof(p->name))
		harness_fail("%s: a name of %zu bytes", n->name, len);
	memcpy(p->name, o->u.resolve.name, len);
	pending_add(n, p, HOLD_RESOLVE);
}

static void out_store(struct node *n, const struct ike_out *o)
{
	struct pending *p = pending_new(PENDING_STORE, o->u.store.id);

	p->fail = n->n_stores++ == n->fail_store || n->read_only;
	p->status = p->fail ? n->fail_status : ST_OK;
	p->store = o->u.store.op.kind;
	lease_copy(n, &o->u.store.op, &p->lease);
	pending_add(n, p, HOLD_STORE);
}

static void out_asked(struct node *n, const struct ike_out *o)
{
	struct pending *p = pending_new(PENDING_WORD, o->u.asked.id);
	struct bytes data = o->u.asked.word.data;

	record_asked(n, o);
	p->n_head = data.n < sizeof(p->head) ? data.n : sizeof(p->head);
	if (p->n_head)
		memcpy(p->head, data.p, p->n_head);
	pending_add(n, p, HOLD_WORDS);
}

static void carry_out(struct node *n, const struct ike_out *o)
{
	switch (o->kind) {
	case IKE_OUT_SEND: world_send(n->w, n, o); break;
	case IKE_OUT_DP: out_dp(n, o->u.dp); break;
	case IKE_OUT_JOB: out_job(n, o); break;
	case IKE_OUT_CANCEL:
		cancel(n, &n->held, o->u.cancel);
		cancel(n, &n->ready, o->u.cancel);
		break;
	case IKE_OUT_RESOLVE: out_resolve(n, o); break;
	case IKE_OUT_STORE: out_store(n, o); break;
	case IKE_OUT_INNER: record_inner(n, o->u.inner); break;
	case IKE_OUT_EVENT: record_event(n, o->u.event); break;
	case IKE_OUT_KEYS: record_keys(n, o); break;
	case IKE_OUT_TRACE:
		if (o->u.trace.point >= ike_n_trace_points)
			harness_fail("%s: unknown trace point %u", n->name, o->u.trace.point);
		break;
	case IKE_OUT_ASKED: out_asked(n, o); break;
	case IKE_OUT_ANSWERED: record_answered(n, o); break;
	case IKE_OUT_NONE: break;
	}
}

/* ---- answers ------------------------------------------------------------------------------- */

static void answer_job(struct node *n, struct pending *p)
{
	struct crypto_result r;

	if (p->fail)
		r = (struct crypto_result){ .kind = p->job->kind,
					    .status = p->status,
					    .reason = "made to fail by the test" };
	else if (n->provider)
		n->provider->run(n->provider->ctx, p->job, &r);
	else
		crypto_fake_run(n->fake, p->job, &r);
	ike_job_done(n->ike, n->w->now, p->id, &r);
	crypto_result_done(&r);
}

static void answer_done(struct node *n, const struct pending *p)
{
	struct dp_report r = { .kind = DP_REPORT_DONE };

	r.u.done.op = p->id;
	r.u.done.status = p->status;
	r.u.done.counters = p->counters;
	engine_dp(n, &r);
}

static size_t look_up(const struct node *n, const char *name, struct ike_address *ret, size_t max)
{
	const struct world *w = n->w;
	struct ip literal;
	size_t count = 0;

	if (ip_parse(name, &literal) == ST_OK)
		ret[count++].remote = literal;
	for (size_t i = 0; i < w->n_names && count < max; i++)
		if (strcmp(w->names[i].name, name) == 0)
			ret[count++].remote = w->names[i].ip;
	return count;
}

/* Addresses without a source address of ours towards them have no route and are left out. */
static size_t route(const struct node *n, struct ike_address *a, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < n->n_addresses; j++)
			if (n->address[j].family == a[i].remote.family) {
				a[kept] = (struct ike_address){ a[i].remote, n->address[j] };
				kept++;
				break;
			}
	return kept;
}

static void answer_name(struct node *n, const struct pending *p)
{
	struct ike_address a[WORLD_NAMES + 1];
	size_t count = p->fail ? 0 : look_up(n, p->name, a, ARRAY_LEN(a));

	ike_resolved(n->ike, n->w->now, p->id, a, route(n, a, count));
}

static void answer_store(struct node *n, const struct pending *p)
{
	if (!p->fail)
		store_carry_out(n, p);
	ike_stored(n->ike, n->w->now, p->id, p->fail ? p->status : ST_OK);
}

/* ST_REFUSE in words. */
static void answer_word(struct node *n, const struct pending *p)
{
	struct ike_word word = { p->fail ? WIRE_N_SHORTCUT_REFUSED : WIRE_N_SHORTCUT_ACCEPT,
				 bytes_of(p->head, p->n_head) };

	ike_answer(n->ike, n->w->now, p->id, &word);
}

static void answer(struct node *n, struct pending *p)
{
	list_del(&p->link);
	switch (p->kind) {
	case PENDING_JOB: answer_job(n, p); break;
	case PENDING_DONE: answer_done(n, p); break;
	case PENDING_NAME: answer_name(n, p); break;
	case PENDING_STORE: answer_store(n, p); break;
	case PENDING_REPORT: engine_dp(n, &p->report); break;
	case PENDING_WORD: answer_word(n, p); break;
	}
	pending_free(p);
}

static void drain_outputs(struct node *n)
{
	struct ike_out o;

	for (engine_next(n, &o); o.kind != IKE_OUT_NONE; engine_next(n, &o)) {
		record_output(n, &o);
		trace_output(n, &o);
		carry_out(n, &o);
	}
}

void node_drain(struct node *n)
{
	drain_outputs(n);
	while (!list_empty(&n->ready)) {
		answer(n, CONTAINER_OF(n->ready.next, struct pending, link));
		drain_outputs(n);
	}
	dp_pump(n);
}

/* ---- what the test does -------------------------------------------------------------------- */

struct pending *node_pending(const struct node *n, enum pending_kind kind, size_t i)
{
	list_for_each(it, &n->held) {
		struct pending *p = CONTAINER_OF(it, struct pending, link);

		if (p->kind == kind && i-- == 0)
			return p;
	}
	return NULL;
}

size_t node_held(const struct node *n, enum pending_kind kind)
{
	size_t i = 0;

	while (node_pending(n, kind, i))
		i++;
	return i;
}

void node_answer(struct node *n, struct pending *p)
{
	if (!p)
		harness_fail("%s: nothing is held back", n->name);
	answer(n, p);
	node_drain(n);
}

void node_refuse(struct node *n, struct pending *p, enum status status)
{
	if (!p)
		harness_fail("%s: nothing is held back", n->name);
	p->fail = true;
	p->status = status;
	node_answer(n, p);
}

void node_say(struct node *n, struct pending *p, uint16_t notify, struct bytes data)
{
	struct ike_word word = { notify, data };

	if (!p || p->kind != PENDING_WORD)
		harness_fail("%s: no word is held back", n->name);
	list_del(&p->link);
	ike_answer(n->ike, n->w->now, p->id, &word);
	pending_free(p);
	node_drain(n);
}

enum status node_ask(struct node *n, ike_peer_id peer, uint16_t notify, struct bytes data,
		     uint64_t *ret_id)
{
	struct ike_word word = { notify, data };
	enum status st = ike_ask(n->ike, n->w->now, peer, &word, ret_id);

	if (st == ST_OK)
		record_ask(n, *ret_id);
	node_drain(n);
	return st;
}

void node_release(struct node *n)
{
	n->hold = 0;
	while (!list_empty(&n->held))
		node_answer(n, CONTAINER_OF(n->held.next, struct pending, link));
}

void node_reconfigure(struct node *n, struct test_conf *conf)
{
	struct test_conf *old = n->conf;

	n->conf = conf;
	/* Refused for want of memory, the engine goes on with what it had; it holds references of
	 * its own. */
	(void)!engine_reconfigure(n, conf);
	ike_conf_unref(&old->conf);
	node_drain(n);
}

enum status node_cmd(struct node *n, const struct ike_cmd *cmd)
{
	enum status st = ike_command(n->ike, n->w->now, cmd);

	node_drain(n);
	return st;
}

enum status node_command(struct node *n, enum ike_cmd_kind kind, ike_peer_id peer)
{
	struct ike_cmd cmd = { .kind = kind, .peer = peer };

	return node_cmd(n, &cmd);
}

enum status node_partner_add(struct node *n, const struct ike_partner *p, ike_peer_id *ret_peer)
{
	enum status st = ike_partner_add(n->ike, n->w->now, p, ret_peer);

	node_drain(n);
	return st;
}

enum status node_partner_connect(struct node *n, ike_peer_id peer, const struct endpoint *local,
				 const struct endpoint *remote)
{
	enum status st = ike_partner_connect(n->ike, n->w->now, peer, local, remote);

	node_drain(n);
	return st;
}

void node_partner_measured(struct node *n, ike_peer_id peer, dur_t rtt)
{
	ike_partner_measured(n->ike, n->w->now, peer, rtt);
	node_drain(n);
}

void node_partner_drop(struct node *n, ike_peer_id peer, const char *why)
{
	ike_partner_drop(n->ike, n->w->now, peer, why);
	node_drain(n);
}

void node_report(struct node *n, const struct dp_report *r)
{
	engine_dp(n, r);
	node_drain(n);
}
