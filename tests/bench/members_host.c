/*
 * members_host.c - the crowd's engine and the world: sockets, look-ups, jobs, time.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/members.h"
#include "plat/clock.h"
#include "plat/process.h"
#include "plat/udp.h"
#include "wire/esp/wire_esp.h"

enum {
	BUFFER = 16 << 20, /* ours must not be the one that overflows */
	BURST = 64, /* datagrams of one socket, results, before anything else gets its turn */
	COMPLAINTS = 8, /* refusals that are shown */
};

/* ---- lists --------------------------------------------------------------------------------- */

/* The engine may not be entered while it has outputs: results wait here until it has none. */
struct crowd_todo {
	enum { TODO_JOB, TODO_OP, TODO_LOOKUP } kind;
	uint64_t id;
	struct crypto_job *job;
	enum status status; /* OP */
	struct member *member; /* LOOKUP */
	struct dp_counters counters; /* OP: a query */
};

static void fifo_put(struct crowd_fifo *f, struct crowd_todo t)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct crowd_todo *item = calloc(cap, sizeof(*item));

		CROWD_NEED(item);
		for (size_t i = 0; i < f->n; i++)
			item[i] = f->item[(f->first + i) % f->cap];
		free(f->item);
		*f = (struct crowd_fifo){ item, 0, f->n, cap };
	}
	f->item[(f->first + f->n++) % f->cap] = t;
}

static struct crowd_todo fifo_take(struct crowd_fifo *f)
{
	struct crowd_todo t = f->item[f->first];

	f->first = (f->first + 1) % f->cap;
	f->n--;
	return t;
}

static void fifo_done(struct crowd_fifo *f)
{
	while (f->n) {
		struct crowd_todo t = fifo_take(f);

		if (t.kind == TODO_JOB)
			crypto_job_free(t.job);
	}
	free(f->item);
}

/* ---- members ------------------------------------------------------------------------------- */

static void set_state(struct crowd *c, struct member *m, enum member_state state)
{
	if (m->state == state)
		return;
	c->n_calling -= m->state == MEMBER_CALLING;
	c->n_up -= m->state == MEMBER_UP;
	c->n_calling += state == MEMBER_CALLING;
	c->n_up += state == MEMBER_UP;
	m->state = state;
	if (state == MEMBER_CALLING)
		m->called = plat_mono();
	else if (state == MEMBER_UP)
		m->up = plat_mono();
}

static struct member *member_of(struct crowd *c, ike_peer_id peer)
{
	CROWD_NEED(peer >= 1 && peer <= c->opt.members);
	return &c->members[peer - 1];
}

static void complain(const struct crowd *c, const struct ike_event *e)
{
	if (c->tally.events[e->kind] <= COMPLAINTS)
		fprintf(stderr, "%s: %s: %s\n", e->peer_name, ike_event_name(e->kind), e->text);
}

static void event(struct crowd *c, const struct ike_event *e)
{
	struct member *m;

	c->tally.events[e->kind]++;
	if (e->kind == IKE_EV_REFUSED || e->kind == IKE_EV_BUG || e->kind == IKE_EV_DATAPLANE)
		complain(c, e);
	if (!e->peer)
		return;
	m = member_of(c, e->peer);
	switch (e->kind) {
	case IKE_EV_CHILD_UP: set_state(c, m, MEMBER_UP); break;
	case IKE_EV_CHILD_DOWN: set_state(c, m, MEMBER_DOWN); break;
	case IKE_EV_REFUSED:
	case IKE_EV_UNREACHABLE:
	case IKE_EV_SA_DOWN:
		if (m->state == MEMBER_CALLING)
			set_state(c, m, MEMBER_DOWN);
		break;
	default: break;
	}
}

/* ---- outputs ------------------------------------------------------------------------------- */

static void transmit(struct crowd *c, bool nat, const struct plat_udp_out *out)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	enum status st = plat_udp_send(c->fd[nat], out, false, &why);

	if (st == ST_AGAIN)
		c->tally.tx_full++;
	else if (st)
		crowd_fail("%s", buf);
}

static void send_out(struct crowd *c, const struct ike_out *o)
{
	static const uint8_t marker[4] = { 0 }, keepalive[1] = { 0xff };
	struct plat_udp_out out = { .from = o->u.send.local.ip,
				    .to = o->u.send.remote,
				    .data = o->u.send.data };

	if (o->u.send.keepalive)
		out.data = BYTES_OF(keepalive);
	else if (o->u.send.marker)
		out.head = BYTES_OF(marker);
	transmit(c, o->u.send.local.port == 4500, &out);
	c->tally.sent++;
}

void crowd_send_esp(struct crowd *c, const struct endpoint *local, const struct endpoint *remote,
		    struct bytes packet)
{
	transmit(c, true,
		 &(struct plat_udp_out){ .from = local->ip, .to = *remote, .data = packet });
	c->tally.esp_sent++;
}

/* The name is a member's: its number stands behind the first letter. */
static void look_up(struct crowd *c, uint64_t id, const char *name)
{
	size_t i = strtoul(name + 1, NULL, 10);
	struct member *m;

	CROWD_NEED(i < c->opt.members);
	m = &c->members[i];
	m->lookup = id;
	if (m->state != MEMBER_UP)
		set_state(c, m, MEMBER_WAITING);
	fifo_put(&c->waiting, (struct crowd_todo){ TODO_LOOKUP, id, .member = m });
}

static void job_out(struct crowd *c, uint64_t id, struct crypto_job *job)
{
	bool first = job->kind == CRYPTO_JOB_KE_GENERATE;

	fifo_put(first ? &c->starting : &c->todo, (struct crowd_todo){ TODO_JOB, id, .job = job });
}

static void op_out(struct crowd *c, const struct dp_op *op)
{
	struct crowd_todo t = { .kind = TODO_OP, .id = op->op };

	t.status = tunnel_op(c, op, &t.counters);
	fifo_put(&c->todo, t);
}

static void drain(struct crowd *c)
{
	struct ike_out o;

	for (ike_next(c->ike, &o); o.kind != IKE_OUT_NONE; ike_next(c->ike, &o)) {
		switch (o.kind) {
		case IKE_OUT_SEND: send_out(c, &o); break;
		case IKE_OUT_JOB: job_out(c, o.u.job.id, o.u.job.job); break;
		case IKE_OUT_DP: op_out(c, o.u.dp); break;
		case IKE_OUT_RESOLVE: look_up(c, o.u.resolve.id, o.u.resolve.name); break;
		case IKE_OUT_EVENT: event(c, o.u.event); break;
		default: break; /* CANCEL: the result of a job is dropped by the engine */
		}
	}
}

/* ---- results ------------------------------------------------------------------------------- */

static void run_job(struct crowd *c, const struct crowd_todo *t)
{
	struct crypto_result r;

	crypto_openssl_run(c->store, t->job, &r);
	crypto_job_free(t->job);
	ike_job_done(c->ike, plat_now(), t->id, &r);
	crypto_result_done(&r);
}

static void answer(struct crowd *c, const struct crowd_todo *t)
{
	struct ike_address a = { .remote = c->opt.hub, .local = t->member->outer };

	if (t->member->lookup != t->id)
		return; /* taken down meanwhile */
	t->member->lookup = 0;
	if (t->member->state != MEMBER_UP)
		set_state(c, t->member, MEMBER_CALLING);
	ike_resolved(c->ike, plat_now(), t->id, &a, 1);
}

static void one_result(struct crowd *c, const struct crowd_todo *t)
{
	struct dp_report r = { .kind = DP_REPORT_DONE };

	switch (t->kind) {
	case TODO_JOB: run_job(c, t); break;
	case TODO_LOOKUP: answer(c, t); break;
	case TODO_OP:
		r.u.done.op = t->id;
		r.u.done.status = t->status;
		r.u.done.counters = t->counters;
		ike_dp(c->ike, plat_now(), &r);
		break;
	}
	drain(c);
}

static int some_results(struct crowd *c, struct crowd_fifo *f)
{
	int n = 0;

	for (; n < BURST && f->n; n++) {
		struct crowd_todo t = fifo_take(f);

		one_result(c, &t);
	}
	return n;
}

/* True when there was something: there may be more, and what is waited for may be so. */
static bool results(struct crowd *c)
{
	int n = some_results(c, &c->todo);

	if (!n)
		n = some_results(c, &c->starting);
	for (; n < BURST && c->waiting.n && c->n_calling < c->window; n++) {
		struct crowd_todo t = fifo_take(&c->waiting);

		one_result(c, &t);
	}
	return n > 0;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void datagram(struct crowd *c, bool nat, const struct plat_datagram *d)
{
	struct ike_datagram in = { d->local, d->remote, bytes_of(d->data, d->n) };
	enum wire_udp_kind kind = WIRE_UDP_IKE;
	enum wire_esp_fault fault;

	if (nat && wire_udp_demux(in.data, &kind, &in.data, &fault))
		return;
	if (kind == WIRE_UDP_ESP) {
		c->tally.esp_received++;
		tunnel_input(c, in.data);
	} else if (kind == WIRE_UDP_IKE) {
		c->tally.received++;
		ike_input(c->ike, plat_now(), &in);
		drain(c);
	}
}

static void receive(struct crowd *c, bool nat)
{
	static struct plat_datagram d;

	for (int i = 0; i < BURST && plat_udp_recv(c->fd[nat], nat ? 4500 : 500, &d) == ST_OK; i++)
		datagram(c, nat, &d);
}

static int open_socket(uint16_t port)
{
	struct plat_udp_conf conf = { .ns = PLAT_NS_HERE,
				      .local = { { .family = 4 }, port },
				      .buffer = BUFFER };
	struct endpoint local;
	char buf[256];
	struct text why = TEXT_OF(buf);
	int fd;

	if (plat_udp_open(&conf, &why, &fd, &local))
		crowd_fail("%s", buf);
	return fd;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int wait_ms(const struct crowd *c, int ms)
{
	mono_t due = ike_deadline(c->ike), now = plat_mono();
	int64_t left;

	if (due.ns == MONO_NEVER.ns)
		return ms;
	left = mono_before(due, now) ? 0 : dur_to_ms(mono_since(due, now)) + 1;
	return ms < 0 || left < ms ? (int)left : ms;
}

bool crowd_turn(struct crowd *c, int ms, int fd)
{
	struct pollfd p[] = { { c->fd[0], POLLIN, 0 }, { c->fd[1], POLLIN, 0 }, { fd, POLLIN, 0 } };
	int timeout = results(c) ? 0 : wait_ms(c, ms);

	CROWD_NEED(poll(p, ARRAY_LEN(p), timeout) >= 0 || errno == EINTR);
	for (int i = 0; i < 2; i++)
		if (p[i].revents)
			receive(c, i);
	if (!mono_before(plat_mono(), ike_deadline(c->ike))) {
		ike_timer(c->ike, plat_now());
		drain(c);
	}
	return p[2].revents != 0;
}

void crowd_window(struct crowd *c, size_t window)
{
	c->window = window;
}

void crowd_command(struct crowd *c, enum ike_cmd_kind kind, size_t member)
{
	struct ike_cmd cmd = { .kind = kind, .peer = member + 1 };
	struct member *m = &c->members[member];

	if (kind == IKE_CMD_DOWN) {
		m->lookup = 0;
		if (m->state == MEMBER_WAITING)
			set_state(c, m, MEMBER_DOWN);
	}
	CROWD_NEED(ike_command(c->ike, plat_now(), &cmd) == ST_OK);
	drain(c);
}

void crowd_open(struct crowd *c)
{
	uint64_t key[2];

	c->fd[0] = open_socket(500);
	c->fd[1] = open_socket(4500);
	plat_random(key, sizeof(key));
	CROWD_NEED(crypto_openssl_new(&c->provider) == ST_OK);
	c->crypto = crypto_openssl_ops(c->provider);
	tunnels_init(c);
	CROWD_NEED(ike_new(&mem_libc, &c->crypto, key, &c->conf, plat_now(), &c->ike) == ST_OK);
	drain(c);
}

void crowd_close(struct crowd *c)
{
	ike_free(c->ike);
	fifo_done(&c->todo);
	fifo_done(&c->starting);
	fifo_done(&c->waiting);
	tunnels_done(c);
	crypto_openssl_free(c->provider);
	close(c->fd[0]);
	close(c->fd[1]);
}
