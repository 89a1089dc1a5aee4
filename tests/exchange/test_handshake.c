/* The ordinary life of a tunnel: RFC 7296 sections 1.2 and 1.4, two messages each way and a
 * farewell, with everything that can be chosen chosen in turn. */
#include "exchange/exchange.h"

static void psk(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	pair_start(p);
	assert_null(world_packet(w, 0));
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	assert_int_equal(node_events(p->a, IKE_EV_CONNECTING), 1);

	/* a: IKE_SA_INIT 0 {SAi1, KEi, Ni, N(NAT), N(NAT)}  -> */
	next_is(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(w, WIRE_N_NAT_DETECTION_SOURCE_IP);
	next_notifies(w, WIRE_N_NAT_DETECTION_DESTINATION_IP);
	assert_int_equal(node_deadline_ms(p->a), 2000);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_int_equal(ike_totals(p->b->ike).half_open, 1);

	/* <- b: IKE_SA_INIT 0 {SAr1, KEr, Nr, N(NAT), N(NAT)} */
	next_notifies(w, WIRE_N_NAT_DETECTION_SOURCE_IP);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);

	/* a: IKE_AUTH 1 {IDi, AUTH, SAi2, TSi, TSr}  -> */
	assert_int_equal(p->b->n_children, 0);
	deliver(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_int_equal(p->b->n_children, 1);
	assert_int_equal(ike_totals(p->b->ike).half_open, 0);

	/* <- b: IKE_AUTH 1 {IDr, AUTH, SAr2, TSi, TSr} */
	assert_int_equal(p->a->n_children, 0);
	deliver(w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	assert_null(world_packet(w, 0));
	assert_true(pair_is_up(p));
}

static void events_and_snapshot(void **state)
{
	struct pair *p = *state;
	struct node_sa a, b;

	pair_up(p);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_UP), 1);
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_UP), 1);
	assert_int_equal(node_counter(p->a, "ike.sa.established"), 1);
	assert_int_equal(node_counter(p->b, "ike.child.established"), 1);
	a = node_sa(p->a);
	b = node_sa(p->b);
	assert_true(a.info.initiator && !b.info.initiator);
	assert_string_equal(a.remote_id, "b.example");
	assert_string_equal(b.remote_id, "a.example");
	assert_string_equal(a.info.auth_local, "psk");
	assert_string_equal(b.info.auth_remote, "psk");
	assert_false(a.info.nat_local || a.info.nat_remote || b.info.nat_local ||
		     b.info.nat_remote);
	assert_int_equal(node_child(p->a)->spi_in, node_child(p->b)->spi_out);
	assert_int_equal(node_child(p->b)->spi_in, node_child(p->a)->spi_out);
	assert_string_equal(node_peer(p->a, PAIR_PEER).state, "up");
	assert_string_equal(node_peer(p->a, PAIR_PEER).last_error, "");
	assert_string_equal(node_peer(p->b, PAIR_PEER).state, "up");
}

static void certificates(void **state)
{
	struct pair *p = *state;

	pair_certs(p);
	pair_up(p);
	assert_string_not_equal(node_sa(p->a).info.auth_remote, "psk");
	assert_string_not_equal(node_sa(p->a).info.auth_remote, "");
	assert_string_equal(node_sa(p->a).info.auth_local, node_sa(p->b).info.auth_remote);
}

static void ipv6_outside(void **state)
{
	struct pair *p = *state;

	pair_ipv6(p);
	pair_up(p);
	assert_int_equal(node_child(p->a)->remote.ip.family, 6);
	assert_int_equal(node_sa(p->b).info.local.ip.family, 6);
}

static void ipv6_inside(void **state)
{
	struct pair *p = *state;

	p->pa->ts_local = test_conf_ts(p->ca, "10.1.0.0/16 2001:db8:1::/48");
	p->pa->ts_remote = test_conf_ts(p->ca, "10.2.0.0/16 2001:db8:2::/48");
	p->pb->ts_local = test_conf_ts(p->cb, "10.2.0.0/16 2001:db8:2::/48");
	p->pb->ts_remote = test_conf_ts(p->cb, "10.1.0.0/16 2001:db8:1::/48");
	pair_up(p);
	assert_int_equal(node_child(p->a)->ts_local.n, 2);
	assert_int_equal(node_child(p->b)->ts_local.n, 2);
	assert_true(world_ping(p->w, p->a, "2001:db8:1::5", p->b, "2001:db8:2::7"));
	assert_false(world_ping(p->w, p->a, "2001:db8:3::5", p->b, "2001:db8:2::7"));
}

/* Every algorithm of the first set, alone and as the second choice. */
static void algorithms(void **state)
{
	static const struct {
		const char *ike, *esp;
	} row[] = {
		{ "aes128gcm16-prfsha256-x25519", "aes128gcm16-esn" },
		{ "aes256gcm16-prfsha384-ecp384", "aes256gcm16-noesn" },
		{ "aes128gcm16-prfsha384-ecp256", "aes256gcm16-esn" },
		{ "aes256gcm16-prfsha256-ecp256", "aes128gcm16-noesn" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pair p;
		char both[256];

		pair_init(&p, 2 + i);
		snprintf(both, sizeof(both), "aes128gcm16-prfsha512-ecp521 %s", row[i].ike);
		p.pa->ike = test_conf_sa(p.ca, WIRE_PROTO_IKE, both);
		p.pb->ike = test_conf_sa(p.cb, WIRE_PROTO_IKE, row[i].ike);
		p.pa->esp = test_conf_sa(p.ca, WIRE_PROTO_ESP, row[i].esp);
		p.pb->esp = test_conf_sa(p.cb, WIRE_PROTO_ESP, row[i].esp);
		pair_up(&p);
		assert_int_equal(node_child(p.a)->esn, !strstr(row[i].esp, "noesn"));
		assert_int_equal(node_sa(p.a).info.suite.encr, CRYPTO_AES_GCM_16);
		assert_int_equal(node_sa(p.b).info.suite.key_bits,
				 strstr(row[i].ike, "256gcm") ? 256 : 128);
		pair_done(&p);
	}
}

/* A peer written from the RFC text computes the same keys and the same AUTH. */
static void independent_peer_agrees(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	assert_true(script_check_auth(&s));
	assert_int_equal(node_child(p->b)->spi_out, s.spi_esp);
	assert_true(script_check_child(&s));
	script_done(&s);
}

static void delete_from_initiator(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	pair_up(p);
	assert_int_equal(node_command(p->a, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	/* a: INFORMATIONAL 2 {D}  -> */
	deliver(w, p->a, WIRE_INFORMATIONAL, REQUEST, 2);
	assert_int_equal(p->b->n_children, 0);
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_DOWN), 1);
	/* <- b: INFORMATIONAL 2 {} */
	deliver(w, p->b, WIRE_INFORMATIONAL, RESPONSE, 2);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 1);
	world_live(w, dur_s(300));
	assert_true(pair_is_down(p));
}

static void delete_from_responder(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	pair_up(p);
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	/* <- b: INFORMATIONAL 0 {D}: its own first request */
	deliver(w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	deliver(w, p->a, WIRE_INFORMATIONAL, RESPONSE, 0);
	world_live(w, dur_s(300));
	assert_true(pair_is_down(p));
}

static void shutdown_ends_idle(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	assert_false(ike_idle(p->a->ike));
	assert_int_equal(node_command(p->a, IKE_CMD_SHUTDOWN, 0), ST_OK);
	assert_int_equal(p->a->n_children, 0);
	world_run(p->w);
	assert_true(ike_idle(p->a->ike));
	/* Nothing starts any more. */
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	assert_null(world_packet(p->w, 0));
	world_live(p->w, dur_s(300));
	assert_true(ike_idle(p->a->ike));
}

/* The initiator's operator changes his mind while IKE_AUTH is under way: the responder, which may
 * hold the SA already, learns it. */
static void left_before_the_answer(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	for (int answered = 0; answered < 2; answered++) {
		if (!answered)
			pair_start(p);
		assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
		deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
		deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		if (answered) {
			deliver(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
			assert_int_equal(p->b->n_children, 1);
		}
		world_drop_all(w);
		assert_int_equal(node_command(p->a, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
		/* a: INFORMATIONAL 2 {D}  -> */
		deliver(w, p->a, WIRE_INFORMATIONAL, REQUEST, 2);
		if (answered) {
			assert_int_equal(p->b->n_children, 0);
			deliver(w, p->b, WIRE_INFORMATIONAL, RESPONSE, 2);
			assert_true(pair_is_down(p));
		}
		assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
		world_live(w, dur_s(60));
		assert_true(pair_is_down(p));
	}
}

/* Two engines, the same seed and inputs: byte-identical outputs.  Another seed: others. */
static uint64_t life(uint64_t seed, bool certs)
{
	struct pair p;
	uint64_t hash;

	pair_init(&p, seed);
	p.ca->conf.trace = p.cb->conf.trace = true;
	p.pa->dpd_delay = dur_s(10);
	if (certs)
		pair_certs(&p);
	pair_start(&p);
	assert_int_equal(node_command(p.a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	world_drop(p.w, world_packet(p.w, 0));
	world_live(p.w, dur_s(100));
	assert_true(pair_is_up(&p));
	assert_int_equal(node_command(p.b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_live(p.w, dur_s(100));
	hash = p.w->hash;
	pair_done(&p);
	return hash;
}

static void same_seed_same_bytes(void **state)
{
	(void)state;
	assert_true(life(7, false) == life(7, false));
	assert_true(life(7, true) == life(7, true));
	assert_true(life(7, false) != life(8, false));
	assert_true(life(7, false) != life(7, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(psk),
		pair_test(events_and_snapshot),
		pair_test(certificates),
		pair_test(ipv6_outside),
		pair_test(ipv6_inside),
		cmocka_unit_test(algorithms),
		pair_test(independent_peer_agrees),
		pair_test(delete_from_initiator),
		pair_test(delete_from_responder),
		pair_test(left_before_the_answer),
		pair_test(shutdown_ends_idle),
		cmocka_unit_test(same_seed_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
