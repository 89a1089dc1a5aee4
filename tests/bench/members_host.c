/*
 * members_host.c - the crowd's engines and the world: sockets, look-ups, jobs, time.
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

/* An engine may not be entered while it has outputs: results wait here until it has none. */
struct crowd_todo {
	enum { TODO_JOB, TODO_OP, TODO_LOOKUP } kind;
	uint64_t id;
	struct crypto_job *job;
	enum status status; /* OP */
	struct member *member;
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

static ike_peer_id section_of(const struct crowd *c, const struct member *m)
{
	return (ike_peer_id)(m - c->members) + 1;
}

static void complain(const struct crowd *c, const struct member *m, const struct ike_event *e)
{
	if (c->tally.events[e->kind] <= COMPLAINTS)
		fprintf(stderr, "%s: %s: %s: %s\n", m->name, e->peer_name, ike_event_name(e->kind),
			e->text);
}

/* Of its hub. */
static void hub_event(struct crowd *c, struct member *m, const struct ike_event *e)
{
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

static void event(struct crowd *c, struct member *m, const struct ike_event *e)
{
	c->tally.events[e->kind]++;
	if (e->kind == IKE_EV_REFUSED || e->kind == IKE_EV_BUG || e->kind == IKE_EV_DATAPLANE)
		complain(c, m, e);
	if (e->peer == section_of(c, m))
		hub_event(c, m, e);
	shortcut_event(c, m, e);
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
	c->tally.probes += wire_probe_is(out.data);
}

void crowd_send_esp(struct crowd *c, const struct endpoint *local, const struct endpoint *remote,
		    struct bytes packet)
{
	transmit(c, true,
		 &(struct plat_udp_out){ .from = local->ip, .to = *remote, .data = packet });
	c->tally.esp_sent++;
	c->tally.by_hub += ip_eq(&remote->ip, &c->opt.hub);
}

/* It is its hub's. */
static void look_up(struct crowd *c, struct member *m, uint64_t id)
{
	m->lookup = id;
	if (m->state != MEMBER_UP)
		set_state(c, m, MEMBER_WAITING);
	fifo_put(&c->waiting, (struct crowd_todo){ TODO_LOOKUP, id, .member = m });
}

static void job_out(struct crowd *c, struct member *m, uint64_t id, struct crypto_job *job)
{
	bool first = job->kind == CRYPTO_JOB_KE_GENERATE;

	fifo_put(first ? &c->starting : &c->todo,
		 (struct crowd_todo){ TODO_JOB, id, .job = job, .member = m });
}

static void op_out(struct crowd *c, struct member *m, const struct dp_op *op)
{
	struct crowd_todo t = { .kind = TODO_OP, .id = op->op, .member = m };

	t.status = tunnel_op(c, m, op, &t.counters);
	fifo_put(&c->todo, t);
}

static void output(struct crowd *c, struct member *m, const struct ike_out *o)
{
	switch (o->kind) {
	case IKE_OUT_SEND: send_out(c, o); break;
	case IKE_OUT_JOB: job_out(c, m, o->u.job.id, o->u.job.job); break;
	case IKE_OUT_DP: op_out(c, m, o->u.dp); break;
	case IKE_OUT_RESOLVE: look_up(c, m, o->u.resolve.id); break;
	case IKE_OUT_EVENT: event(c, m, o->u.event); break;
	default: break; /* CANCEL: the result of a job is dropped by the engine */
	}
}

static void drain(struct crowd *c, struct member *m)
{
	struct ike_out o;
	size_t sas;

	for (mesh_next(m->mesh, plat_now(), &o); o.kind != IKE_OUT_NONE;
	     mesh_next(m->mesh, plat_now(), &o))
		output(c, m, &o);
	sas = ike_totals(m->ike).sas;
	c->n_sas += sas - m->sas;
	m->sas = sas;
	shortcuts_count(c, m);
	heap_arm(&c->timers, &m->due, mesh_deadline(m->mesh));
}

/* ---- results ------------------------------------------------------------------------------- */

static void run_job(struct crowd *c, const struct crowd_todo *t)
{
	struct crypto_result r;

	crypto_openssl_run(c->store, t->job, &r);
	crypto_job_free(t->job);
	ike_job_done(t->member->ike, plat_now(), t->id, &r);
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
	ike_resolved(t->member->ike, plat_now(), t->id, &a, 1);
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
		mesh_dp(t->member->mesh, plat_now(), &r);
		break;
	}
	drain(c, t->member);
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
	for (size_t k = c->waiting.n; k && n < BURST && c->n_calling < c->window; k--) {
		struct crowd_todo t = fifo_take(&c->waiting);

		if ((size_t)(t.member - c->members) < c->admitted) {
			one_result(c, &t);
			n++;
		} else {
			fifo_put(&c->waiting, t);
		}
	}
	return n > 0;
}

/* ---- sockets ------------------------------------------------------------------------------- */

/* Who has that address; NULL: nobody. */
static struct member *at(struct crowd *c, const struct ip *outer)
{
	size_t i = load_be32(outer->b) - load_be32(c->members[0].outer.b);

	return outer->family == 4 && i < c->opt.members ? &c->members[i] : NULL;
}

static void esp_datagram(struct crowd *c, struct member *m, struct bytes packet)
{
	struct dp_report r;

	c->tally.esp_received++;
	if (!tunnel_input(c, m, packet, &r))
		return;
	mesh_dp(m->mesh, plat_now(), &r);
	drain(c, m);
}

static void datagram(struct crowd *c, bool nat, const struct plat_datagram *d)
{
	struct ike_datagram in = { d->local, d->remote, bytes_of(d->data, d->n) };
	enum wire_udp_kind kind = WIRE_UDP_IKE;
	struct member *m = at(c, &d->local.ip);
	enum wire_esp_fault fault;

	if (!m || (nat && wire_udp_demux(in.data, &kind, &in.data, &fault)))
		return;
	if (kind == WIRE_UDP_ESP) {
		esp_datagram(c, m, in.data);
	} else if (kind == WIRE_UDP_IKE) {
		c->tally.received++;
		c->tally.foreign += !at(c, &d->remote.ip);
		mesh_input(m->mesh, plat_now(), &in);
		drain(c, m);
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
	mono_t due = heap_next_due(&c->timers), now = plat_mono();
	int64_t left;

	if (due.ns == MONO_NEVER.ns)
		return ms;
	left = mono_before(due, now) ? 0 : dur_to_ms(mono_since(due, now)) + 1;
	return ms < 0 || left < ms ? (int)left : ms;
}

static void timers(struct crowd *c)
{
	mono_t now = plat_mono();
	struct timer *t;

	while ((t = heap_pop_due(&c->timers, now))) {
		struct member *m = CONTAINER_OF(t, struct member, due);

		mesh_timer(m->mesh, plat_now());
		drain(c, m);
	}
}

bool crowd_turn(struct crowd *c, int ms, int fd)
{
	struct pollfd p[] = { { c->fd[0], POLLIN, 0 }, { c->fd[1], POLLIN, 0 }, { fd, POLLIN, 0 } };
	int timeout = results(c) ? 0 : wait_ms(c, ms);

	CROWD_NEED(poll(p, ARRAY_LEN(p), timeout) >= 0 || errno == EINTR);
	for (int i = 0; i < 2; i++)
		if (p[i].revents)
			receive(c, i);
	timers(c);
	return p[2].revents != 0;
}

void crowd_window(struct crowd *c, size_t window, size_t admitted)
{
	c->window = window;
	c->admitted = admitted;
}

void crowd_command(struct crowd *c, enum ike_cmd_kind kind, size_t member)
{
	struct member *m = &c->members[member];
	struct ike_cmd cmd = { .kind = kind };

	if (kind != IKE_CMD_SHUTDOWN)
		cmd.peer = section_of(c, m);
	if (kind != IKE_CMD_UP) {
		m->lookup = 0;
		if (m->state == MEMBER_WAITING)
			set_state(c, m, MEMBER_DOWN);
	}
	CROWD_NEED(ike_command(m->ike, plat_now(), &cmd) == ST_OK);
	drain(c, m);
}

static void start_member(struct crowd *c, struct member *m)
{
	uint64_t key[2];

	plat_random(key, sizeof(key));
	CROWD_NEED(ike_new(&mem_libc, &c->crypto, key, &m->conf, plat_now(), &m->ike) == ST_OK);
	CROWD_NEED(mesh_new(&mem_libc, &c->crypto, key, m->ike, &m->mesh_conf, plat_now(),
			    &m->mesh) == ST_OK);
	mesh_network(m->mesh, plat_now(), &m->outer, 1);
	drain(c, m);
}

void crowd_open(struct crowd *c)
{
	c->fd[0] = open_socket(500);
	c->fd[1] = open_socket(4500);
	CROWD_NEED(crypto_openssl_new(&c->provider) == ST_OK);
	c->crypto = crypto_openssl_ops(c->provider);
	tunnels_init(c);
	for (size_t i = 0; i < c->opt.members; i++)
		start_member(c, &c->members[i]);
}

void crowd_close(struct crowd *c)
{
	for (size_t i = 0; i < c->opt.members; i++) {
		mesh_free(c->members[i].mesh);
		ike_free(c->members[i].ike);
	}
	fifo_done(&c->todo);
	fifo_done(&c->starting);
	fifo_done(&c->waiting);
	shortcuts_done(c);
	tunnels_done(c);
	crypto_openssl_free(c->provider);
	close(c->fd[0]);
	close(c->fd[1]);
}
