/* A machine's data plane: dp/fake, by the clock of the world. */
#include "check.h"

#include "wire/ip/wire_ip.h"

void plane_new(struct machine *m)
{
	if (dp_fake_new(&mem_libc, &m->dp) != ST_OK)
		check_failed(m->s, m, NULL, "no memory for the data plane");
}

void plane_free(struct machine *m)
{
	if (m->dp)
		m->dp->ops->free(m->dp);
	m->dp = NULL;
	heap_disarm(&m->s->timers, &m->interval);
	heap_disarm(&m->s->timers, &m->silence);
}

/* Looked for not before it may be so: a look walks all peers. */
static void watch_silence(struct machine *m)
{
	mono_t due = mono_add(m->s->now.mono, dur_ms(DP_SILENCE_MS));

	if (!m->silence.armed || mono_before(due, m->silence.due))
		heap_arm(&m->s->timers, &m->silence, due);
}

void plane_send(struct machine *m)
{
	struct dp_fake_packet *out = m->s->packet;

	while (dp_fake_next_out(m->dp, out)) {
		watch_silence(m);
		net_send(m, &out->local, &out->remote, false, true, bytes_of(out->data, out->n));
	}
}

static void reports(struct machine *m, uint64_t op, struct pending *p)
{
	struct dp_report r;

	while (m->dp->ops->report(m->dp, &r)) {
		if (r.kind == DP_REPORT_CARRIES && is_time_for(m->s, SABOTAGE_DETOUR))
			continue;
		if (r.kind != DP_REPORT_DONE) {
			machine_report_later(m, &r);
			if (!m->interval.armed)
				heap_arm(&m->s->timers, &m->interval,
					 mono_add(m->s->now.mono, dur_ms(DP_ACQUIRE_INTERVAL_MS)));
			continue;
		}
		if (!p || r.u.done.op != op)
			check_failed(m->s, m, NULL, "an answer to no operation");
		p->counters = r.u.done.counters;
		if (is_time_for(m->s, SABOTAGE_IDLE))
			p->counters.since_used = (dur_t){ 0 };
		p->status = r.u.done.status;
	}
}

void plane_submit(struct machine *m, const struct dp_op *op, struct pending *p)
{
	struct dp_op eager = *op;
	enum status st;

	m->load.operations++;
	dp_fake_time(m->dp, m->s->now.mono);
	if (op->kind == DP_CHILD_ADD && op->u.child.proves && is_time_for(m->s, SABOTAGE_EAGER))
		eager.u.child.outbound = true;
	st = m->dp->ops->submit(m->dp, &eager);
	if (st != ST_OK)
		check_failed(m->s, m, NULL, "the data plane refuses an operation: %s",
			     status_name(st));
	dp_fake_forget(m->dp);
	/* Packets that waited for this child, which may be gone by the end of these outputs. */
	plane_send(m);
	reports(m, op->op, p);
	if (op->kind == DP_CHILD_ADD && p->status == ST_OK)
		check_child_added(m, &op->u.child);
	if (op->kind == DP_CHILD_DEL)
		check_child_gone(m, op->u.id);
}

void plane_silence(struct machine *m)
{
	mono_t due;

	dp_fake_time(m->dp, m->s->now.mono);
	dp_fake_look(m->dp);
	due = dp_fake_deadline(m->dp);
	if (due.ns != MONO_NEVER.ns)
		heap_arm(&m->s->timers, &m->silence, due);
	reports(m, 0, NULL);
	machine_drain(m);
}

void plane_interval(struct machine *m)
{
	dp_fake_interval(m->dp);
	reports(m, 0, NULL);
	machine_drain(m);
}

void plane_out(struct machine *m, struct bytes inner)
{
	const struct endpoint here = { m->address, m->conf->conf.nat_port };

	if (is_time_for(m->s, SABOTAGE_CLEAR))
		net_send(m, &here, &here, false, true, inner);
	dp_fake_time(m->dp, m->s->now.mono);
	dp_fake_out(m->dp, inner);
	plane_send(m);
	reports(m, 0, NULL);
	machine_drain(m);
}

/* As a router does (RFC 1812 section 5.2.1). */
static void forward(struct machine *m, uint8_t *inner, size_t n)
{
	uint32_t sum = (uint32_t)load_be16(inner + 10) + 0x100;
	uint64_t number;
	bool question;
	struct machine *asker = app_asker(m, bytes_of(inner, n), &number, &question);

	m->load.forwarded++;
	if (asker)
		talk_forwarded(asker, number);

	if (inner[8] <= 1 || is_time_for(m->s, SABOTAGE_HOLE))
		return;
	inner[8]--;
	store_be16(inner + 10, (uint16_t)(sum + (sum >> 16)));
	dp_fake_out(m->dp, bytes_of(inner, n));
}

/* Whatever is said to one of the hubs, each of them answers. */
static bool is_ours(const struct machine *m, const uint8_t *inner)
{
	return memcmp(inner + 16, m->inside.b, m->hub ? 2 : m->endpoint ? 4 : 3) == 0;
}

/* A question that came straight from who asks. */
static void note_direct(struct machine *m, const struct payload *p, struct bytes inner)
{
	uint64_t number;
	bool question;
	struct machine *asker = app_asker(m, inner, &number, &question);

	if (asker == p->from && question && !m->hub)
		talk_carried(asker, number, p->sent);
}

void plane_input(struct machine *m, const struct endpoint *local, const struct endpoint *remote,
		 struct payload *p)
{
	struct dp_fake_packet *in = m->s->packet;
	uint8_t inner[INNER_LEN];
	uint64_t began;

	dp_fake_time(m->dp, m->s->now.mono);
	(void)dp_fake_in(m->dp, local, remote, bytes_of(p->data, p->n));
	while (dp_fake_next_in(m->dp, in)) {
		if (in->n != INNER_LEN)
			check_failed(m->s, m, p->from, "a packet of %zu bytes came out", in->n);
		memcpy(inner, in->data, in->n);
		check_accepted(m, in->child, p, BYTES_OF(inner));
		if (!m->hub && in->child != m->newest && is_time_for(m->s, SABOTAGE_DEAF))
			continue;
		if (is_time_for(m->s, SABOTAGE_REPLAY))
			check_accepted(m, in->child, p, BYTES_OF(inner));
		note_direct(m, p, BYTES_OF(inner));
		if (is_ours(m, inner))
			app_input(m, BYTES_OF(inner));
		else if (m->hub)
			forward(m, inner, in->n);
		else
			check_failed(m->s, m, p->from, "a packet for somebody else came out");
	}
	plane_send(m);
	reports(m, 0, NULL);
	began = machine_cpu(m);
	machine_drain(m);
	m->load.cpu_ns += machine_cpu(m) - began;
}
