/* Addresses: NAT detection and the move to port 4500, keepalives, a mapping that changes, names
 * with several addresses (RFC 7296 section 2.23, RFC 3948; R08). */
#include "exchange/exchange.h"

/* a is behind a translator: 192.0.2.1 leaves as 203.0.113.1. */
static void behind_nat(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct packet *next;

	world_nat(w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	pair_start(p);
	connect(p->a);
	/* a:500 -> b:500 */
	next = world_packet(w, 0);
	assert_int_equal(next->src.port, 40000);
	assert_int_equal(next->dst.port, 500);
	world_deliver(w, next);
	world_deliver(w, world_packet(w, 0));
	/* a:4500 -> b:4500 from here on, with the marker */
	next = world_packet(w, 0);
	assert_int_equal(next->src.port, 40001);
	assert_int_equal(next->dst.port, 4500);
	assert_int_equal(next->n, packet_ike(next).n + 4);
	world_run(w);
	assert_true(pair_is_up(p));
	assert_true(node_sa(p->a).info.nat_local && !node_sa(p->a).info.nat_remote);
	assert_true(node_sa(p->b).info.nat_remote && !node_sa(p->b).info.nat_local);
	assert_true(node_child(p->a)->encap && node_child(p->b)->encap);
	assert_int_equal(node_child(p->b)->remote.port, 40001);
	assert_int_equal(node_child(p->a)->remote.port, 4500);
	assert_int_equal(node_sa(p->b).info.remote.port, 40001);
}

/* The responder is: its address is forwarded to it. */
static void responder_behind_nat(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	/* Its mappings for 500 and 4500, in that order, are there beforehand. */
	world_nat(w, "192.0.2.2", "203.0.113.2", 500);
	w->nat.in[0] = test_endpoint("192.0.2.2", 500);
	w->nat.n = 1;
	test_conf_addresses(p->ca, p->pa, "203.0.113.2");
	pair_start(p);
	connect(p->a);
	deliver_any(w);
	deliver_any(w);
	/* The box forwards one port only in this harness: move it, as an operator would have. */
	assert_int_equal(world_packet(w, 0)->dst.port, 4500);
	w->nat = (struct nat){ .inside = test_ip("192.0.2.2"),
			       .outside = test_ip("203.0.113.2"),
			       .in = { test_endpoint("192.0.2.2", 4500) },
			       .n = 1,
			       .first_port = 4500 };
	world_run(w);
	assert_true(pair_is_up(p));
	assert_true(node_sa(p->a).info.nat_remote && node_sa(p->b).info.nat_local);
}

/* What leaves the initiator gets a port that leads back to it, as no other one does any more. */
static void by_another_mapping(struct world *w, const struct node *a)
{
	struct packet *q;

	while ((q = world_packet(w, 0))) {
		if (ip_eq(&q->src.ip, &a->address[0]))
			q->src.port = 4419;
		else if (q->dst.port == 4419)
			q->dst.port = 4500;
		else
			q->dst.ip = test_ip("198.51.100.1");
		world_deliver(w, q);
	}
}

/* Section 2.23: who is behind a NAT itself does not follow; what it sends to where the other one
 * was is lost from now on, so it asks there, and nobody answers. */
static void whom_it_may_not_follow(void **state)
{
	struct pair *p = *state;
	struct endpoint where;

	p->pa->dpd_delay = dur_s(10);
	responder_behind_nat(state);
	where = node_sa(p->b).info.remote;
	for (int i = 0; i < 300 && !node_events(p->b, IKE_EV_DEAD); i++) {
		struct endpoint now = node_sa(p->b).info.remote;

		assert_true(endpoint_eq(&now, &where));
		world_advance(p->w, dur_s(1));
		by_another_mapping(p->w, p->a);
	}
	assert_int_equal(node_events(p->b, IKE_EV_DEAD), 1);
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 0);
}

/* One that only seems to have moved answers, and all stays as it is (S2). */
static void who_only_seems_to_have_moved(void **state)
{
	struct pair *p = *state;
	struct packet *probe;
	unsigned asked;

	p->pa->dpd_delay = dur_s(10);
	responder_behind_nat(state);
	while (!world_packet(p->w, 0))
		assert_true(world_timer(p->w));
	probe = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	probe->src.port = 4419;
	asked = p->b->sent;
	world_hand_over(p->w, probe);
	packet_free(probe);
	assert_int_equal(p->b->sent, asked + 2); /* the answer, and the question */
	world_live(p->w, dur_s(60));
	assert_int_equal(node_events(p->b, IKE_EV_DEAD), 0);
	assert_true(pair_is_up(p));
}

/* No translator: IKE stays on 500, ESP goes without UDP when the data plane can. */
static void no_nat(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	assert_int_equal(node_sa(p->a).info.remote.port, 500);
	assert_false(node_child(p->a)->encap);
	assert_false(node_child(p->b)->encap);
}

/* Either end can force UDP encapsulation; the other follows. */
static void forced(void **state)
{
	(void)state;
	for (unsigned who = 1; who <= 3; who++) {
		struct pair p;

		pair_init(&p, 160 + who);
		p.ca->conf.force_encap = who & 1;
		p.cb->conf.force_encap = who & 2;
		pair_up(&p);
		assert_true(node_child(p.a)->encap && node_child(p.b)->encap);
		assert_int_equal(node_sa(p.a).info.remote.port, 4500);
		assert_int_equal(node_sa(p.b).info.remote.port, 4500);
		pair_done(&p);
	}
}

/* A peer that knows no NAT detection stays on port 500. */
static void peer_without_nat_detection(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.nat_detection = false;
	script_connect(&s);
	assert_int_equal(node_sa(p->b).info.remote.port, 500);
	script_done(&s);
}

static void keepalives(void **state)
{
	struct pair *p = *state;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->keepalive = p->pb->keepalive = dur_s(20);
	pair_up(p);
	world_live(p->w, dur_ms(19999));
	assert_int_equal(p->b->keepalives, 0);
	world_live(p->w, dur_ms(1));
	assert_int_equal(p->b->keepalives, 1);
	world_live(p->w, dur_s(40));
	assert_int_equal(p->b->keepalives, 3);
	/* Only who is behind the translator sends them (RFC 3948 section 4). */
	assert_int_equal(p->a->keepalives, 0);
	assert_int_equal(node_counter(p->a, "ike.tx.keepalives"), 3);
	connect_down(p->a);
	world_live(p->w, dur_s(60));
	assert_int_equal(p->b->keepalives, 3);
}

static void no_keepalives_without_nat(void **state)
{
	struct pair *p = *state;

	p->pa->keepalive = p->pb->keepalive = dur_s(20);
	pair_up(p);
	world_live(p->w, dur_s(100));
	assert_int_equal(p->a->keepalives + p->b->keepalives, 0);
}

/* The translator forgets its mapping and gives another port: b follows authenticated packets. */
static void mapping_changes(void **state)
{
	struct pair *p = *state;
	uint16_t port;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	port = node_sa(p->b).info.remote.port;
	world_nat_forget(p->w);
	/* a asks whether b is alive: INFORMATIONAL from the new port */
	world_live(p->w, dur_s(40));
	assert_int_not_equal(node_sa(p->b).info.remote.port, port);
	assert_true(pair_is_up(p));
	assert_int_equal(node_child(p->b)->remote.port, node_sa(p->b).info.remote.port);
}

/* The same seen by the data plane first: an authentic ESP packet from elsewhere. */
static void mapping_changes_for_esp(void **state)
{
	struct pair *p = *state;
	uint16_t port;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	pair_up(p);
	port = node_child(p->b)->remote.port;
	world_nat_forget(p->w);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
	assert_int_not_equal(node_child(p->b)->remote.port, port);
	assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1"));
}

/* Section 2.11: the answer goes to where the request came from, even where that does not move the
 * SA (nobody is behind a NAT here). */
static void asked_from_elsewhere(void **state)
{
	struct pair *p = *state;
	struct endpoint elsewhere = test_endpoint("198.51.100.66", 6666), path, now;
	struct packet *probe;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	path = node_sa(p->b).info.remote;
	while (!world_packet(p->w, 0))
		assert_true(world_timer(p->w));
	probe = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	for (int i = 0; i < 2; i++) {
		/* First as a new request, then as one repeated. */
		probe->src = elsewhere;
		probe->src.port = (uint16_t)(elsewhere.port + i);
		world_hand_over(p->w, probe);
		assert_true(packet_is_response(world_packet(p->w, 0)));
		assert_true(endpoint_eq(&world_packet(p->w, 0)->dst, &probe->src));
		assert_true(endpoint_eq(&world_packet(p->w, 0)->src, &probe->dst));
		world_drop_all(p->w);
	}
	packet_free(probe);
	now = node_sa(p->b).info.remote;
	assert_true(endpoint_eq(&now, &path));
	world_live(p->w, dur_s(20));
	assert_true(pair_is_up(p));
}

/* The mapping changes between a request and its repetition. */
static void mapping_changes_for_a_repetition(void **state)
{
	struct pair *p = *state;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	while (!world_packet(p->w, 0))
		assert_true(world_timer(p->w));
	deliver_any(p->w);
	world_drop_all(p->w);
	world_nat_forget(p->w);
	world_live(p->w, dur_s(200));
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 0);
	assert_true(pair_is_up(p));
}

/* Replaying a packet from another address moves nothing (S2). */
static void replay_moves_nothing(void **state)
{
	struct pair *p = *state;
	struct packet *probe;
	uint16_t port;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	port = node_sa(p->b).info.remote.port;
	while (!world_packet(p->w, 0))
		assert_true(world_timer(p->w));
	probe = packet_keep(world_packet(p->w, 0));
	world_run(p->w);
	probe->src = test_endpoint("198.51.100.66", 6666);
	world_hand_over(p->w, probe);
	assert_int_equal(node_sa(p->b).info.remote.port, port);
	assert_int_equal(node_child(p->b)->remote.port, port);
	/* The same answer once more, to where it was asked for (section 2.11), and no longer. */
	assert_int_equal(world_packets(p->w), 1);
	assert_int_equal(world_packet(p->w, 0)->dst.port, 6666);
	assert_true(world_packet(p->w, 0)->n <= probe->n);
	packet_free(probe);
}

/* ---- names --------------------------------------------------------------------------------- */

/* The first address does not answer, the second does. */
static void second_address(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->ca, p->pa, "gw.b.example");
	world_name(p->w, "gw.b.example", "192.0.2.99");
	world_name(p->w, "gw.b.example", "192.0.2.2");
	pair_start(p);
	connect(p->a);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
	assert_non_null(node_event(p->a, IKE_EV_UNREACHABLE));
}

static void second_name(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->ca, p->pa, "nowhere.example 2001:db8::2");
	pair_start(p);
	connect(p->a);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
	assert_int_equal(node_sa(p->a).info.remote.ip.family, 6);
}

static void no_name_resolves(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->ca, p->pa, "nowhere.example");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_true(strstr(node_peer(p->a, PAIR_PEER).last_error, "nowhere.example") != NULL);
	assert_true(node_is_down(p->a));
	/* Later it does. */
	world_name(p->w, "nowhere.example", "192.0.2.2");
	connect(p->a);
	world_live(p->w, dur_s(70));
	assert_true(pair_is_up(p));
}

enum { EQUALS = 3 };

/* All fail at once, and wait around that pause: in microseconds. */
static void pauses(struct pair *p, int64_t seconds, int64_t ret[EQUALS])
{
	for (size_t i = 0; i < EQUALS; i++)
		assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER + 1 + i), ST_OK);
	world_run(p->w);
	for (size_t i = 0; i < EQUALS; i++) {
		ret[i] = node_peer(p->a, PAIR_PEER + 1 + i).retry_in.ns / 1000;
		assert_in_range(ret[i], seconds * 750000, seconds * 1250000);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(ret[i] / 1000, ret[k] / 1000);
	}
}

/* Peers with the same history do not go on in step: their next attempts are in different
 * milliseconds, however often they failed, around a pause that doubles up to a minute. */
static void nobody_tries_in_step(void **state)
{
	static const int64_t seconds[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60 };
	int64_t pause[EQUALS], low = INT64_MAX, high = 0;
	struct pair *p = *state;

	for (size_t i = 0; i < EQUALS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "p%zu.example", i);
		test_conf_peer(p->ca, PAIR_PEER + 1 + i, "equal", "nowhere.example", "a.example",
			       name, 1);
	}
	pair_start(p);
	world_run(p->w);
	for (size_t k = 0; k < ARRAY_LEN(seconds); k++) {
		pauses(p, seconds[k], pause);
		for (size_t i = 0; i < EQUALS; i++) {
			int64_t part = pause[i] / seconds[k];

			low = part < low ? part : low;
			high = part > high ? part : high;
		}
	}
	/* The whole width is used. */
	assert_in_range(low, 750000, 800000);
	assert_in_range(high, 1200000, 1250000);
}

/* Answers of the resolver that nobody waits for any more. */
static void late_resolver(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->ca, p->pa, "gw.b.example");
	world_name(p->w, "gw.b.example", "192.0.2.2");
	pair_start(p);
	p->a->hold = HOLD_RESOLVE;
	connect(p->a);
	assert_int_equal(node_held(p->a, PENDING_NAME), 1);
	connect_down(p->a);
	node_release(p->a);
	assert_null(world_packet(p->w, 0));
	assert_true(node_is_down(p->a));
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* Somebody on the way forwards IKE_AUTH under another address: without a NAT on its side the
 * initiator is where it was in IKE_SA_INIT, which the NAT detection payloads vouch for. */
static void auth_under_another_address(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct ip a = test_ip("192.0.2.1");
	struct node_sa sa;

	test_conf_addresses(p->cb, p->pb, "");
	pair_start(p);
	connect(p->a);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	world_packet(w, 0)->src.ip = test_ip("192.0.2.77");
	world_deliver(w, world_packet(w, 0));
	sa = node_sa(p->b);
	assert_true(ip_eq(&sa.info.remote.ip, &a));
	assert_true(ip_eq(&node_child(p->b)->remote.ip, &a));
	/* The answer went to where the question came from (section 2.11). */
	assert_false(ip_eq(&world_packet(w, 0)->dst.ip, &a));
	world_drop_all(w);
	world_live(w, dur_s(10));
	assert_true(pair_is_up(p));
}

/* The same with the port, which may be another than the usual one: the next authentic packet from
 * the true one brings us back there. */
static void auth_under_another_port(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	test_conf_addresses(p->cb, p->pb, "");
	p->ca->conf.force_encap = p->cb->conf.force_encap = true;
	pair_start(p);
	connect(p->a);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_int_equal(world_packet(w, 0)->src.port, 4500);
	world_packet(w, 0)->src.port = 4419;
	world_deliver(w, world_packet(w, 0));
	assert_int_equal(node_child(p->b)->remote.port, 4419);
	world_drop_all(w);
	world_live(w, dur_s(10));
	assert_true(world_ping(w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
	world_run(w);
	assert_int_equal(node_child(p->b)->remote.port, 4500);
	assert_true(pair_is_up(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(behind_nat),
		pair_test(responder_behind_nat),
		pair_test(whom_it_may_not_follow),
		pair_test(who_only_seems_to_have_moved),
		pair_test(no_nat),
		cmocka_unit_test(forced),
		pair_test(peer_without_nat_detection),
		pair_test(keepalives),
		pair_test(no_keepalives_without_nat),
		pair_test(mapping_changes),
		pair_test(mapping_changes_for_esp),
		pair_test(asked_from_elsewhere),
		pair_test(mapping_changes_for_a_repetition),
		pair_test(replay_moves_nothing),
		pair_test(second_address),
		pair_test(second_name),
		pair_test(no_name_resolves),
		pair_test(nobody_tries_in_step),
		pair_test(late_resolver),
		pair_test(auth_under_another_address),
		pair_test(auth_under_another_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
