/* An engine, its configuration, and its outputs carried out as the daemon would. */
#include "check.h"

#include <stdio.h>
#include <time.h>

enum {
	DEADLINE_SPINS = 64,
};

/* ---- life ---------------------------------------------------------------------------------- */

static struct ip ip4(unsigned a, unsigned b, unsigned c, unsigned d)
{
	const uint8_t raw[4] = { (uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d };

	return ip_from_raw(BYTES_OF(raw));
}

/* So many addresses are a site's own, one after the other. */
static struct ip site_address(const struct machine *m)
{
	return ip4(11 + m->moves % 64, m->number >> 16, m->number >> 8 & 0xff, m->number & 0xff);
}

/* The box of the site before, as long as that has room. */
static struct nat *next_nat(struct machine *m, const struct ip *outside)
{
	const struct scenario *sc = m->s->sc;
	struct nat *before = m > m->s->machine && m->moves == 0 ? m[-1].nat : NULL;

	if (before && nat_has_room(before) && dice_ppm(&m->dice, sc->nat_shared))
		return before;
	return nat_new(m->s, outside, &m->dice);
}

/* In another network than before. */
static void machine_arrive(struct machine *m)
{
	struct ip at = m->hub ? ip4(192, 0, 2, m->number - HUB_NUMBERS + 1) : site_address(m);

	if (!m->hub && dice_ppm(&m->dice, m->s->sc->nat)) {
		m->nat = next_nat(m, &at);
		m->address = nat_enter(m->nat, m);
	} else {
		m->address = at;
		sim_settle(m->s, &m->place, &at);
	}
}

static void machine_leave(struct machine *m)
{
	if (m->nat)
		nat_leave(m->nat, m);
	m->nat = NULL;
	sim_unsettle(m->s, &m->place);
	m->address.family = 0;
}

void machine_init(struct machine *m, struct sim *s, unsigned index)
{
	static const uint64_t key[2] = { 1, 2 };

	m->s = s;
	m->hub = index < s->sc->hubs;
	m->number = m->hub ? HUB_NUMBERS + index : index - s->sc->hubs + 1;
	if (m->hub)
		snprintf(m->name, sizeof(m->name), "hub-%u.example", index + 1);
	else
		snprintf(m->name, sizeof(m->name), "site-%u.example", m->number);
	m->inside = ip4(10, m->number >> 8, m->number & 0xff, 1);
	m->dice = dice_of(s->seed, 2, index);
	m->app.dice = dice_of(s->seed, 4, index);
	m->jobs = s->sc->jobs;
	m->disk = s->sc->disk;
	m->endpoint = !m->hub && dice_ppm(&m->dice, s->sc->endpoints);
	if (m->endpoint)
		m->inside.family = 0;
	m->apart = !m->hub && dice_ppm(&m->dice, s->sc->apart);
	m->named = s->sc->hubs;
	if (!m->hub && s->sc->named.hi)
		m->named = (unsigned)dice_in(&m->dice, &s->sc->named);
	m->good = MONO_NEVER;
	m->deadline.kind = T_ENGINE;
	m->interval.kind = T_PLANE;
	m->silence.kind = T_SILENCE;
	m->back.kind = T_RETURN;
	m->ask.kind = T_APP;
	m->renewal.kind = T_RENEWAL;
	list_init(&m->pending);
	list_init(&m->ready);
	list_init(&m->rows);
	map_init(&m->children, &mem_libc, key);
	map_init(&m->spis, &mem_libc, key);
	esp_window_init(&m->app.questions, ESP_WINDOW_MAX, true);
	esp_window_init(&m->app.answers, ESP_WINDOW_MAX, true);
	test_mem_init(&m->mem);
	line_init(&m->line, s, index);
	m->place.machine = m;
	machine_arrive(m);
}

/* The clock on its wall may be wrong. */
static struct now machine_now(const struct machine *m)
{
	struct now now = m->s->now;

	now.wall.s += m->clock_off;
	return now;
}

static void tell_network(struct machine *m)
{
	core_network(m, machine_now(m));
	machine_drain(m);
}

/* It has a certificate from now on, and another one when a third of its life is left. */
static void plan_renewal(struct machine *m)
{
	int64_t ns = m->s->sc->certificates.ns;
	const struct range when = { ns / 2, ns / 3 * 2 };

	m->certified = m->s->now.wall.s;
	if (ns)
		heap_arm(&m->s->timers, &m->renewal,
			 mono_add(m->s->now.mono, (dur_t){ dice_in(&m->dice, &when) }));
}

void machine_reconfigure(struct machine *m)
{
	struct test_conf *old = m->conf;

	m->conf = conf_new(m);
	if (m->ike) {
		if (core_reconfigure(m, machine_now(m)) != ST_OK)
			check_failed(m->s, m, NULL, "refuses another configuration");
		machine_drain(m);
	}
	ike_conf_unref(&old->conf);
}

void machine_renew(struct machine *m)
{
	plan_renewal(m);
	log_add(m, "has a new certificate", NULL, 0, 0);
	machine_reconfigure(m);
}

void machine_start(struct machine *m)
{
	uint64_t seed = m->s->seed * 1000003 + m->number * 1009 + m->starts++;
	const uint64_t key[2] = { seed, ~seed };

	if (!m->conf) {
		plan_renewal(m);
		m->conf = conf_new(m);
	}
	if (crypto_fake_new(&mem_libc, seed, &m->fake) != ST_OK)
		check_failed(m->s, m, NULL, "no memory for the provider");
	crypto_fake_qcd(m->fake, m->number);
	m->crypto = crypto_fake_ops(m->fake);
	plane_new(m);
	if (core_new(m, key, machine_now(m)) != ST_OK)
		check_failed(m->s, m, NULL, "the engine does not start");
	log_add(m, "starts", NULL, 0, 0);
	disk_load(m);
	if (m->knows)
		disk_load_hubs(m);
	if (m->steering)
		machine_steer(m);
	check_line(m);
	tell_network(m);
}

void machine_move(struct machine *m, bool somewhere)
{
	if (somewhere) {
		m->moves++;
		machine_arrive(m);
	} else {
		machine_leave(m);
	}
	log_add(m, "has another address", NULL, m->moves, somewhere);
	if (somewhere)
		app_moves(m);
	if (m->ike)
		tell_network(m);
	if (somewhere)
		app_moved(m);
}

static void pending_free(struct pending *p)
{
	heap_disarm(&p->m->s->timers, &p->timer);
	list_del(&p->link);
	crypto_job_free(p->job);
	mem_libc.free(NULL, p);
}

static void pending_free_all(struct list *l)
{
	list_for_each_safe(it, l)
		pending_free(CONTAINER_OF(it, struct pending, link));
}

/* Of those under way the first ones are on the disk. */
static void lose_writes(struct machine *m)
{
	list_for_each(it, &m->pending) {
		const struct pending *p = CONTAINER_OF(it, const struct pending, link);

		if (p->kind != PENDING_STORE)
			continue;
		if (p->status != ST_OK || dice_below(&m->dice, 2))
			return;
		disk_done(m, p);
	}
}

void machine_stop(struct machine *m)
{
	if (!m->ike)
		return;
	log_add(m, "stops", NULL, 0, 0);
	core_free(m);
	m->leaving = 0;
	lose_writes(m);
	pending_free_all(&m->pending);
	pending_free_all(&m->ready);
	heap_disarm(&m->s->timers, &m->deadline);
	heap_disarm(&m->s->timers, &m->back);
	plane_free(m);
	crypto_fake_free(m->fake);
	m->fake = NULL;
	while (m->children.count)
		check_child_gone(m,
				 CONTAINER_OF(map_any(&m->children), struct child_note, by_id)->id);
	if (m->mem.live)
		check_failed(m->s, m, NULL, "a leak of %zu blocks, %zu bytes; the oldest is %ld",
			     m->mem.live, m->mem.live_bytes, test_mem_oldest(&m->mem));
	check_line(m);
}

void machine_done(struct machine *m)
{
	machine_stop(m);
	machine_leave(m);
	disk_free(m);
	if (m->conf)
		ike_conf_unref(&m->conf->conf);
	map_done(&m->children);
	map_done(&m->spis);
}

/* ---- outputs ------------------------------------------------------------------------------- */

static struct pending *pending_new(struct machine *m, unsigned kind, uint64_t id)
{
	struct pending *p = sim_alloc(sizeof(*p));

	p->timer.kind = T_ANSWER;
	p->m = m;
	p->kind = kind;
	p->id = id;
	list_add_tail(&m->ready, &p->link);
	return p;
}

/* Answered later; at once without a delay. */
static void delay(struct pending *p, dur_t d)
{
	if (d.ns <= 0)
		return;
	list_del(&p->link);
	list_add_tail(&p->m->pending, &p->link);
	heap_arm(&p->m->s->timers, &p->timer, mono_add(p->m->s->now.mono, d));
}

static void out_job(struct machine *m, const struct ike_out *o)
{
	struct pending *p = pending_new(m, PENDING_JOB, o->u.job.id);

	p->job = o->u.job.job;
	m->s->counts.jobs++;
	m->load.jobs++;
	if (is_time_for(m->s, SABOTAGE_LATE))
		delay(p, dur_ms(500));
	else if (m->jobs.hi)
		delay(p, (dur_t){ dice_in(&m->dice, &m->jobs) });
}

/* As it is when it is asked for. */
static void out_store(struct machine *m, const struct ike_out *o)
{
	struct pending *p = pending_new(m, PENDING_STORE, o->u.store.id);
	mono_t at = m->s->now.mono;

	disk_write(m, &o->u.store.op, p);
	p->status = m->full ? ST_IO : ST_OK;
	if (m->disk.hi)
		at = mono_add(at, (dur_t){ dice_in(&m->dice, &m->disk) });
	/* One after the other, as they came. */
	if (mono_before(at, m->disk_idle))
		at = m->disk_idle;
	m->disk_idle = at;
	delay(p, mono_since(at, m->s->now.mono));
}

static void answer_store(struct machine *m, const struct pending *p)
{
	if (p->status == ST_OK)
		disk_done(m, p);
	ike_stored(m->ike, machine_now(m), p->id, p->status);
}

static void cancel(struct list *l, uint64_t id)
{
	list_for_each_safe(it, l) {
		struct pending *p = CONTAINER_OF(it, struct pending, link);

		if (p->kind == PENDING_JOB && p->id == id)
			pending_free(p);
	}
}

static void out_resolve(struct machine *m, const struct ike_out *o)
{
	struct pending *p = pending_new(m, PENDING_NAME, o->u.resolve.id);

	if (ip_parse(o->u.resolve.name, &p->name) != ST_OK)
		p->name.family = 0;
}

void machine_report_later(struct machine *m, const struct dp_report *r)
{
	pending_new(m, PENDING_REPORT, 0)->report = *r;
}

/* What ike.h promises of SEND. */
static void check_send(const struct machine *m, const struct ike_out *o)
{
	const struct ike_conf *c = &m->conf->conf;
	uint16_t port = o->u.send.local.port;

	if ((port != c->port && port != c->nat_port) || !o->u.send.remote.port ||
	    o->u.send.local.ip.family != o->u.send.remote.ip.family)
		check_failed(m->s, m, NULL, "a datagram from or to nowhere");
	if (o->u.send.keepalive ? o->u.send.data.n != 0 : o->u.send.data.n == 0)
		check_failed(m->s, m, NULL, "a datagram without sense");
	if (!o->u.send.keepalive && o->u.send.marker != (port == c->nat_port))
		check_failed(m->s, m, NULL, "a non-ESP marker on the wrong port");
}

static void disturb(const struct sim *s, const struct ip *ip)
{
	const struct place *p = sim_place(s, ip);

	if (p && p->machine)
		p->machine->app.disturbed = s->now.mono;
}

/* What tunnels between sites cost, and that there are none in a star. */
static void count_message(struct machine *m, const struct ike_out *o)
{
	struct bytes data = o->u.send.data;
	uint8_t exchange = data.n > 18 ? data.p[18] : 0;
	bool probe = exchange == SIM_PROBE, word = exchange == WIRE_SHORTCUT;
	bool direct = !m->hub && !net_is_hub(&o->u.send.remote.ip);

	if (direct && m->s->sc->topology <= TOPOLOGY_STAR)
		check_failed(m->s, m, sim_who(m->s, &o->u.send.remote.ip),
			     "it calls another site although the topology is a star");
	if (m->hub && data.n > 19 && !word && !(data.p[19] & WIRE_FLAG_RESPONSE))
		disturb(m->s, &o->u.send.remote.ip);
	m->load.words += word;
	m->load.probes += probe;
	m->load.direct += direct && !probe;
	m->s->counts.words += word;
	m->s->counts.probes += probe * (is_time_for(m->s, SABOTAGE_CHATTY) ? 10u : 1u);
	m->s->counts.calls += direct && !probe;
}

static void out_send(struct machine *m, const struct ike_out *o)
{
	static const uint8_t keepalive = 0xff;
	struct bytes data = o->u.send.keepalive ? bytes_of(&keepalive, 1) : o->u.send.data;

	check_send(m, o);
	if (!o->u.send.keepalive && data.n > 24)
		log_add(m, "sends to", sim_who(m->s, &o->u.send.remote.ip),
			(uint64_t)data.p[18] << 8 | data.p[19], load_be32(data.p + 20));
	/* An address that is not there any more. */
	if (!ip_eq(&o->u.send.local.ip, &m->address))
		return;
	if (!o->u.send.keepalive)
		count_message(m, o);
	net_send(m, &o->u.send.local, &o->u.send.remote, o->u.send.marker, false, data);
}

static void carry_out(struct machine *m, const struct ike_out *o)
{
	switch (o->kind) {
	case IKE_OUT_SEND: out_send(m, o); break;
	case IKE_OUT_DP: plane_submit(m, o->u.dp, pending_new(m, PENDING_DONE, o->u.dp->op)); break;
	case IKE_OUT_JOB: out_job(m, o); break;
	case IKE_OUT_CANCEL:
		cancel(&m->ready, o->u.cancel);
		cancel(&m->pending, o->u.cancel);
		break;
	case IKE_OUT_RESOLVE: out_resolve(m, o); break;
	case IKE_OUT_EVENT:
		check_event(m, o->u.event);
		if (o->u.event->kind == IKE_EV_HUBS && !m->hub)
			disk_keep_hubs(m);
		break;
	case IKE_OUT_STORE: out_store(m, o); break;
	case IKE_OUT_INNER: disk_got(m, o->u.inner); break;
	case IKE_OUT_KEYS: check_failed(m->s, m, NULL, "an output that nobody asked for");
	case IKE_OUT_TRACE:
	case IKE_OUT_ASKED:
	case IKE_OUT_ANSWERED:
	case IKE_OUT_NONE: break;
	}
}

/* ---- answers ------------------------------------------------------------------------------- */

static void answer_job(struct machine *m, struct pending *p)
{
	struct crypto_result r;

	crypto_fake_run(m->fake, p->job, &r);
	ike_job_done(m->ike, machine_now(m), p->id, &r);
	crypto_result_done(&r);
}

static void answer_done(struct machine *m, const struct pending *p)
{
	struct dp_report r = { .kind = DP_REPORT_DONE };

	r.u.done.op = p->id;
	r.u.done.status = p->status;
	r.u.done.counters = p->counters;
	core_dp(m, machine_now(m), &r);
}

static void answer_name(struct machine *m, const struct pending *p)
{
	const struct ike_address a = { p->name, m->address };

	ike_resolved(m->ike, machine_now(m), p->id, &a, p->name.family == m->address.family);
}

static void answer(struct pending *p)
{
	struct machine *m = p->m;

	list_del(&p->link);
	switch (p->kind) {
	case PENDING_JOB: answer_job(m, p); break;
	case PENDING_DONE: answer_done(m, p); break;
	case PENDING_NAME: answer_name(m, p); break;
	case PENDING_STORE: answer_store(m, p); break;
	case PENDING_REPORT: core_dp(m, machine_now(m), &p->report); break;
	}
	pending_free(p);
}

void machine_answer(struct pending *p)
{
	struct machine *m = p->m;

	answer(p);
	machine_drain(m);
}

static void drain_outputs(struct machine *m)
{
	struct ike_out o;

	for (core_next(m, machine_now(m), &o); o.kind != IKE_OUT_NONE;
	     core_next(m, machine_now(m), &o)) {
		digest_output(&m->s->hash, m->name, &o);
		carry_out(m, &o);
	}
}

void machine_drain(struct machine *m)
{
	mono_t due;

	drain_outputs(m);
	while (!list_empty(&m->ready)) {
		answer(CONTAINER_OF(m->ready.next, struct pending, link));
		drain_outputs(m);
	}
	due = core_deadline(m);
	if (due.ns == MONO_NEVER.ns)
		heap_disarm(&m->s->timers, &m->deadline);
	else if (!m->deadline.armed || m->deadline.due.ns != due.ns)
		heap_arm(&m->s->timers, &m->deadline, due);
}

/* ---- inputs -------------------------------------------------------------------------------- */

/* Nothing depends on it. */
uint64_t machine_cpu(const struct machine *m)
{
	struct timespec t;

	if (!m->s->measures || !m->hub)
		return 0;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void machine_input(struct machine *m, const struct endpoint *local, const struct endpoint *remote,
		   struct bytes data)
{
	const struct ike_datagram d = { .local = *local, .remote = *remote, .data = data };
	uint64_t began;

	if (data.n > 24)
		log_add(m, "hears from", sim_who(m->s, &remote->ip),
			(uint64_t)data.p[18] << 8 | data.p[19], load_be32(data.p + 20));
	began = machine_cpu(m);
	core_input(m, machine_now(m), &d);
	if (is_time_for(m->s, SABOTAGE_LEAK))
		(void)m->mem.alloc.alloc(m->mem.alloc.ctx, 8);
	machine_drain(m);
	m->load.cpu_ns += machine_cpu(m) - began;
}

void machine_deadline(struct machine *m)
{
	uint64_t began = machine_cpu(m);

	m->load.timers++;
	for (int i = 0; !mono_before(m->s->now.mono, core_deadline(m)); i++) {
		if (i == DEADLINE_SPINS)
			check_failed(m->s, m, NULL, "the deadline stays in the past");
		core_timer(m, machine_now(m));
		machine_drain(m);
	}
	machine_drain(m);
	m->load.cpu_ns += machine_cpu(m) - began;
}

static bool is_up(void *ctx, const struct mesh_shortcut_info *info)
{
	if (info->up)
		*(uint64_t *)ctx = info->number;
	return !info->up;
}

void machine_withdraw(struct machine *m)
{
	uint64_t number = 0;

	if (m->mesh)
		mesh_each_shortcut(m->mesh, machine_now(m), is_up, &number);
	if (!number)
		return;
	if (mesh_withdraw(m->mesh, machine_now(m), number) != ST_OK)
		check_failed(m->s, m, NULL, "a shortcut that is up cannot be withdrawn");
	machine_drain(m);
}

static void command(struct machine *m, const struct ike_cmd *cmd)
{
	if (ike_command(m->ike, machine_now(m), cmd) != ST_OK)
		log_add(m, "refuses command", NULL, cmd->kind, 0);
	machine_drain(m);
}

void machine_command(struct machine *m, enum ike_cmd_kind kind)
{
	command(m, &(struct ike_cmd){ .kind = kind, .peer = PEER_ID });
}

/* ---- from hub to hub ----------------------------------------------------------------------- */

static void send_on(struct machine *hub, ike_peer_id whom)
{
	const struct sim *s = hub->s;
	const struct machine *next = &s->machine[(hub->number - HUB_NUMBERS + 1) % s->sc->hubs];
	char ip[IP_TEXT_MAX];

	command(hub, &(struct ike_cmd){ .kind = IKE_CMD_REDIRECT,
					.peer = whom,
					.gateway = ip_text(&next->address, ip) });
}

void machine_steer(struct machine *m)
{
	if (!m->ike || !m->hub || !sim_hubs_know(m->s))
		return;
	if (m->steering)
		send_on(m, PEER_ID);
	else
		machine_command(m, IKE_CMD_REDIRECT_OFF);
}

struct attached {
	const struct machine *site;
	ike_peer_id peer; /* at the hub; 0: it is not there */
};

static bool match_attached(void *ctx, const struct ike_sa_info *info)
{
	struct attached *a = ctx;

	if (info->established && sim_by_name(a->site->s, info->remote_id.data) == a->site)
		a->peer = info->peer;
	return !a->peer;
}

void machine_hop(struct machine *m)
{
	struct sim *s = m->s;

	for (unsigned i = 0; i < s->sc->hubs && !m->hub && sim_hubs_know(s); i++) {
		struct attached a = { m, 0 };

		if (s->machine[i].ike)
			ike_each_sa(s->machine[i].ike, s->now, match_attached, &a);
		if (a.peer) {
			send_on(&s->machine[i], a.peer);
			return;
		}
	}
}
