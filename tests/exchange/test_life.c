/* After the set-up: liveness, farewells, traffic that starts a tunnel, peers that restart, other
 * configurations (RFC 7296 sections 1.4 and 2.4). */
#include "exchange/exchange.h"
#include "ike/limits.h"

/* ---- dead-peer detection (section 2.4) ----------------------------------------------------- */

static void probe_and_answer(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct opened o;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	/* Silence for the whole delay, since the pings of pair_up(). */
	world_advance(w, dur_ms(9999));
	assert_null(world_packet(w, 0));
	world_advance(w, dur_ms(1));
	/* a: INFORMATIONAL 2 {}  -> */
	next_is(w, p->a, WIRE_INFORMATIONAL, REQUEST, 2);
	assert_true(packet_open(w, world_packet(w, 0), &o));
	assert_true(o.open);
	assert_int_equal(o.plain.n, 0);
	opened_done(&o);
	deliver(w, p->a, WIRE_INFORMATIONAL, REQUEST, 2);
	/* <- b: INFORMATIONAL 2 {} */
	deliver(w, p->b, WIRE_INFORMATIONAL, RESPONSE, 2);
	assert_null(world_packet(w, 0));
	assert_int_equal(node_deadline_ms(p->a), 10000);
	world_live(w, dur_s(1000));
	assert_true(pair_is_up(p));
	assert_int_equal(node_counter(p->a, "ike.dead"), 0);
}

/* Traffic is a sign of life: no probe while packets come in. */
static void traffic_is_life(void **state)
{
	struct pair *p = *state;
	unsigned sent;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	sent = p->a->sent;
	for (int i = 0; i < 50; i++) {
		assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1"));
		world_live(p->w, dur_s(5));
	}
	assert_int_equal(p->a->sent, sent);
	/* What only goes out proves nothing. */
	for (int i = 0; i < 10; i++) {
		assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
		world_live(p->w, dur_s(5));
	}
	assert_true(p->a->sent > sent);
}

static void dead_peer(void **state)
{
	struct pair *p = *state;
	mono_t begin;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	world_live(p->w, dur_s(10));
	begin = p->w->now.mono;
	p->b->unplugged = true;
	while (!node_event(p->a, IKE_EV_DEAD))
		assert_true(world_timer(p->w));
	assert_int_equal(dur_to_ms(mono_since(p->w->now.mono, begin)),
			 10000 + 23744 + IKE_QUICK_WAIT_MIN_MS);
	assert_int_equal(p->a->n_children, 0);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_DOWN), 1);
	assert_int_equal(node_counter(p->a, "ike.dead"), 1);
	settle(p);
	assert_true(node_is_down(p->a));
}

/* The peer comes back within the retransmissions: nothing happened. */
static void slow_peer(void **state)
{
	struct pair *p = *state;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	p->b->unplugged = true;
	world_live(p->w, dur_s(20));
	p->b->unplugged = false;
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
}

/* ---- delete (section 1.4.1) ---------------------------------------------------------------- */

/* The network is back when the last scheduled try has long gone out in vain: one more finds out. */
static void back_in_the_last_wait(void **state)
{
	struct pair *p = *state;
	struct node_sa before;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	before = node_sa(p->a);
	world_live(p->w, dur_s(9));
	p->b->unplugged = true;
	world_live(p->w, dur_s(20));
	p->b->unplugged = false;
	world_live(p->w, dur_s(10));
	assert_int_equal(node_counter(p->a, "ike.dead"), 0);
	assert_true(pair_is_up(p));
	assert_true(node_sa(p->a).info.spi_i == before.info.spi_i);
}

static void delete_crossing(void **state)
{
	(void)state;
	/* Both say goodbye at once; every order of the four messages ends in nothing. */
	for (unsigned order = 0; order < 16; order++) {
		struct pair q;

		pair_init(&q, 200 + order);
		pair_up(&q);
		connect_down(q.a);
		connect_down(q.b);
		for (unsigned i = 0; world_packet(q.w, 0); i++) {
			size_t n = world_packets(q.w);

			world_deliver(q.w, world_packet(q.w, (order >> (i % 4) & 1) % n));
		}
		assert_int_equal(q.a->n_children + q.b->n_children, 0);
		settle(&q);
		assert_true(pair_is_down(&q));
		pair_done(&q);
	}
}

static void delete_lost(void **state)
{
	struct pair *p = *state;

	p->pb->dpd_delay = dur_s(20);
	pair_up(p);
	p->b->unplugged = true;
	connect_down(p->a);
	assert_int_equal(p->a->n_children, 0);
	/* A few tries, then a leaves without a confirmation. */
	world_live(p->w, dur_s(60));
	assert_true(node_is_down(p->a));
	p->b->unplugged = false;
	world_live(p->w, dur_s(200));
	assert_true(pair_is_down(p));
	assert_int_equal(node_events(p->b, IKE_EV_DEAD), 1);
}

/* Delete of the child alone: the answer names our direction, the IKE SA stays. */
static void delete_child(void **state)
{
	struct pair *p = *state;
	struct script s;
	uint8_t spi[4];
	uint32_t spi_in;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	spi_in = node_child(p->b)->spi_in;
	store_be32(spi, s.spi_esp);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	wire_put_delete(&s.out, WIRE_PROTO_ESP, 4, BYTES_OF(spi));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(s.in.n_deletes, 1);
	assert_int_equal(s.in.deletes[0].proto, WIRE_PROTO_ESP);
	assert_int_equal(load_be32(s.in.deletes[0].spis.p), spi_in);
	assert_int_equal(p->b->n_children, 0);
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_DOWN), 1);
	assert_int_equal(ike_totals(p->b->ike).sas, 1);
	script_done(&s);
}

/* Deletes of what is not there, of AH, of our own inbound SPI: answered, without effect. */
static void delete_nonsense(void **state)
{
	struct pair *p = *state;
	uint8_t spi[4], many[4 * WIRE_MAX_DELETE_SPIS];
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	memset(many, 0x33, sizeof(many));
	for (int i = 0; i < 3; i++) {
		store_be32(spi, i == 1 ? node_child(p->b)->spi_in : s.spi_esp);
		script_begin(&s, WIRE_INFORMATIONAL, false);
		switch (i) {
		case 0: wire_put_delete(&s.out, WIRE_PROTO_ESP, 4, BYTES_OF(many)); break;
		case 1: wire_put_delete(&s.out, WIRE_PROTO_ESP, 4, BYTES_OF(spi)); break;
		case 2: wire_put_delete(&s.out, WIRE_PROTO_AH, 4, BYTES_OF(spi)); break;
		}
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(p->b->n_children, 1);
		assert_int_equal(s.in.n_deletes, 0);
	}
	script_done(&s);
}

/* ---- traffic ------------------------------------------------------------------------------- */

static void traffic_starts(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_TRAFFIC;
	pair_start(p);
	assert_non_null(node_trap(p->a, PAIR_PEER));
	assert_null(world_packet(p->w, 0));
	/* Not for us. */
	node_packet(p->a, "10.1.0.1", "10.3.0.1");
	assert_null(world_packet(p->w, 0));
	/* The first packet waits in the data plane and is not lost. */
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	next_is(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	node_packet(p->a, "10.1.0.1", "10.2.0.2");
	assert_int_equal(world_packets(p->w), 1);
	world_run(p->w);
	assert_int_equal(p->b->inner_seen, 2);
	assert_true(pair_is_up(p));
	/* The trap is still there for the next time. */
	connect_down(p->a);
	world_live(p->w, dur_s(300));
	assert_true(pair_is_down(p));
	dp_fake_interval(p->a->dp);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_run(p->w);
	assert_true(pair_is_up(p));
}

static void traffic_to_a_dead_peer(void **state)
{
	struct pair *p = *state;
	unsigned sent = 0;

	p->pa->start = IKE_START_TRAFFIC;
	pair_start(p);
	p->b->unplugged = true;
	/* A packet each second for ten minutes: attempts, but not one for each packet. */
	for (int i = 0; i < 600; i++) {
		dp_fake_interval(p->a->dp);
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
		world_live(p->w, dur_s(1));
	}
	sent = p->a->sent;
	assert_in_range(sent, 8, 150);
	p->b->unplugged = false;
	for (int i = 0; i < 120 && !p->b->n_children; i++) {
		dp_fake_interval(p->a->dp);
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
		world_live(p->w, dur_s(1));
	}
	assert_true(pair_is_up(p));
}

static void listen_never_starts(void **state)
{
	struct pair *p = *state;

	pair_start(p);
	assert_int_equal(p->a->n_traps, 0);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_live(p->w, dur_s(1000));
	assert_int_equal(p->a->sent, 0);
}

static void up_starts_by_itself_and_again(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	p->pa->dpd_delay = dur_s(10);
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	/* b goes away for an hour and comes back as if nothing had been. */
	node_kill(p->b);
	world_live(p->w, dur_s(3600));
	assert_int_equal(p->a->n_children, 0);
	assert_string_not_equal(node_peer(p->a, PAIR_PEER).state, "up");
	assert_int_equal(node_start(p->b), ST_OK);
	/* The pause between attempts is bounded. */
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
	assert_string_equal(node_peer(p->a, PAIR_PEER).last_error, "");
}

/* ---- restarts ------------------------------------------------------------------------------ */

/* The initiator restarts and connects again: the old SA at the responder goes, packets flow. */
static void initiator_restarts(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	node_restart(p->a);
	world_live(p->w, dur_s(120));
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
}

/* The responder restarts: the initiator's probe meets INVALID_IKE_SPI, which proves nothing, so it
 * goes on probing, and connects again when it is sure. */
static void responder_restarts(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	p->pa->dpd_delay = dur_s(10);
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	node_restart(p->b);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
	/* It does not wait to be sure. */
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 0);
	assert_true(node_counter(p->b, "ike.rx.unknown_spi") > 0);
}

static void both_restart(void **state)
{
	struct pair *p = *state;

	p->pa->start = p->pb->start = IKE_START_UP;
	p->pa->dpd_delay = p->pb->dpd_delay = dur_s(10);
	pair_start(p);
	for (int i = 0; i < 10; i++) {
		world_live(p->w, dur_s(120));
		assert_true(pair_is_up(p));
		node_restart(i % 3 == 0 ? p->a : p->b);
		if (i % 3 == 2)
			node_restart(p->a);
	}
}

/* ---- the sequence numbers run out (dp.h, EXPIRE) -------------------------------------------- */

static void expire(struct node *n, bool hard)
{
	struct dp_report r = { .kind = DP_REPORT_EXPIRE };

	r.u.expire.id = n->child[0].child.id;
	r.u.expire.hard = hard;
	node_report(n, &r);
}

/* Soft: a successor is made before the old SA goes; not one packet is lost on the way. */
static void renewed_in_time(void **state)
{
	for (int who = 0; who < 2; who++) {
		struct pair q;
		uint32_t spi;

		(void)state;
		pair_init(&q, 230 + (unsigned)who);
		pair_up(&q);
		spi = node_child(q.a)->spi_in;
		expire(who ? q.b : q.a, false);
		while (world_packet(q.w, 0)) {
			/* A responder may send on the new SA behind its answer (section 2.8). */
			bool ahead = packet_exchange(world_packet(q.w, 0)) == WIRE_IKE_AUTH &&
				     packet_is_response(world_packet(q.w, 0));

			assert_true(world_ping(q.w, q.a, "10.1.0.1", q.b, "10.2.0.1"));
			if (!ahead)
				assert_true(world_ping(q.w, q.b, "10.2.0.1", q.a, "10.1.0.1"));
			world_deliver(q.w, world_packet(q.w, 0));
		}
		world_live(q.w, dur_s(100));
		assert_true(pair_is_up(&q));
		if (!who)
			assert_int_not_equal(node_child(q.a)->spi_in, spi);
		pair_done(&q);
	}
}

/* Hard: nothing may be sent on it any more; it goes at once, and whoever can connects again. */
static void renewed_too_late(void **state)
{
	struct pair *p = *state;
	uint32_t spi;

	p->pb->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	spi = node_child(p->b)->spi_in;
	expire(p->b, true);
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
	assert_int_not_equal(node_child(p->b)->spi_in, spi);
}

/* Who only listens does not connect for that reason either. */
static void used_up_while_listening(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	expire(p->b, true);
	world_live(p->w, dur_s(100));
	assert_int_equal(node_events(p->b, IKE_EV_CONNECTING), 0);
	/* The IKE SA is none the worse for it. */
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	assert_int_equal(node_counter(p->b, "ike.child.expired"), 1);
	says(p->b, IKE_EV_CHILD_DOWN, "as many bytes or packets as it may carry");
	assert_true(node_sa(p->a).info.established && node_sa(p->b).info.established);
}

/* ---- configurations ------------------------------------------------------------------------ */

static void same_configuration_again(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	node_reconfigure(p->a, test_conf_copy(p->ca));
	node_reconfigure(p->b, test_conf_copy(p->cb));
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
}

/* A peer that is removed is told so and forgotten; one that is added connects. */
static void peer_removed_and_added(void **state)
{
	struct pair *p = *state;
	struct test_conf *without = test_conf_copy(p->ca), *with = test_conf_copy(p->ca);

	without->conf.n_peers = 0;
	with->peer[0].start = IKE_START_UP;
	p->pa->start = IKE_START_TRAFFIC;
	pair_up(p);
	node_reconfigure(p->a, without);
	assert_int_equal(p->a->n_children, 0);
	assert_int_equal(p->a->n_traps, 0);
	world_live(p->w, dur_s(100));
	assert_true(pair_is_down(p));
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_INVAL);
	node_reconfigure(p->a, with);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
}

/* In the middle of a set-up, with a job outstanding. */
static void removed_while_connecting(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 4; after++) {
		struct pair p;
		struct test_conf *without;

		pair_init(&p, 220 + after);
		pair_start(&p);
		without = test_conf_copy(p.ca);
		without->conf.n_peers = 0;
		p.a->hold = HOLD_JOBS;
		connect(p.a);
		for (unsigned i = 0; i < after; i++) {
			node_answer(p.a, node_pending(p.a, PENDING_JOB, 0));
			world_run(p.w);
		}
		node_reconfigure(p.a, without);
		node_release(p.a);
		world_live(p.w, dur_s(100));
		assert_true(node_is_down(p.a));
		pair_done(&p);
	}
}

/* Commands about peers that do not exist or cannot be reached. */
static void commands(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->cb, p->pb, "");
	pair_start(p);
	assert_int_equal(node_command(p->a, IKE_CMD_UP, 77), ST_INVAL);
	assert_int_equal(node_command(p->a, IKE_CMD_DOWN, 77), ST_INVAL);
	assert_int_equal(node_command(p->b, IKE_CMD_UP, PAIR_PEER), ST_INVAL);
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	/* Twice is once. */
	connect(p->a);
	connect(p->a);
	assert_int_equal(world_packets(p->w), 1);
	world_run(p->w);
	connect(p->a);
	assert_null(world_packet(p->w, 0));
	assert_true(pair_is_up(p));
}

/* Results for ids that were never given out are dropped and counted. */
static void unknown_results(void **state)
{
	struct pair *p = *state;
	struct crypto_result r = { .kind = CRYPTO_JOB_SIGN };
	struct dp_report done = { .kind = DP_REPORT_DONE };
	struct ike_address a = { test_ip("192.0.2.2"), test_ip("192.0.2.1") };
	char before[4096], after[4096];

	pair_up(p);
	node_picture(p->a, before, sizeof(before));
	ike_job_done(p->a->ike, p->w->now, 4711, &r);
	ike_resolved(p->a->ike, p->w->now, 4711, &a, 1);
	done.u.done.op = 4711;
	node_report(p->a, &done);
	done = (struct dp_report){ .kind = DP_REPORT_EXPIRE };
	done.u.expire.id = 4711;
	node_report(p->a, &done);
	done = (struct dp_report){ .kind = DP_REPORT_ACQUIRE };
	done.u.acquire.peer = 4711;
	node_report(p->a, &done);
	done = (struct dp_report){ .kind = DP_REPORT_NEW_ADDRESS };
	done.u.new_address.id = 4711;
	node_report(p->a, &done);
	assert_string_equal(node_picture(p->a, after, sizeof(after)), before);
	assert_int_equal(node_counter(p->a, "ike.host.unknown_job"), 1);
	assert_int_equal(node_counter(p->a, "ike.host.unknown_result"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(probe_and_answer),
		pair_test(traffic_is_life),
		pair_test(dead_peer),
		pair_test(back_in_the_last_wait),
		pair_test(slow_peer),
		cmocka_unit_test(delete_crossing),
		pair_test(delete_lost),
		pair_test(delete_child),
		pair_test(delete_nonsense),
		pair_test(traffic_starts),
		pair_test(traffic_to_a_dead_peer),
		pair_test(listen_never_starts),
		pair_test(up_starts_by_itself_and_again),
		pair_test(initiator_restarts),
		pair_test(responder_restarts),
		pair_test(both_restart),
		cmocka_unit_test(renewed_in_time),
		pair_test(renewed_too_late),
		pair_test(used_up_while_listening),
		pair_test(same_configuration_again),
		pair_test(peer_removed_and_added),
		cmocka_unit_test(removed_while_connecting),
		pair_test(commands),
		pair_test(unknown_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
