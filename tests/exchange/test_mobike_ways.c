/* MOBIKE (RFC 4555): NATs that come and go, ways that fail and others that do not, no way at all;
 * and what happens without MOBIKE (R06, R08). */
#include "exchange/mobike.h"

/* ---- NATs (sections 2.3, 3.8) -------------------------------------------------------------- */

#define LAN "10.99.0.5"

/* a's data planes are told whether there is UDP around ESP. */
static bool in_udp(const struct pair *p)
{
	assert_int_equal(node_child(p->a)->encap, node_child(p->b)->encap);
	return node_child(p->a)->encap;
}

static void keepalive_every(struct pair *p, int64_t s)
{
	p->pa->keepalive = dur_s(s);
}

/* Into a NAT, where ESP goes in UDP and the mapping is kept, and out of it again. */
static void nat_comes_and_goes(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	unsigned before;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	p->ca->conf.force_encap = p->cb->conf.force_encap = false;
	keepalive_every(p, 20);
	up(p);
	assert_false(in_udp(p));
	world_nat(w, LAN, "203.0.113.1", 40000);
	node_moves(p->a, LAN, NULL);
	/* A private address: a expects a NAT before anybody has seen one. */
	assert_true(node_child(p->a)->encap);
	world_run(w);
	assert_true(node_sa(p->a).info.nat_local && node_sa(p->b).info.nat_remote);
	assert_int_equal(node_sa(p->b).info.remote.port, 40000);
	assert_true(in_udp(p) && flows(p));
	before = p->b->keepalives;
	world_live(w, dur_s(65));
	assert_true(p->b->keepalives > before);
	node_moves(p->a, AWAY, NULL);
	world_run(w);
	assert_false(node_sa(p->a).info.nat_local || node_sa(p->b).info.nat_remote);
	is_between(p, AWAY, "192.0.2.2");
	assert_true(!in_udp(p) && flows(p));
	before = p->b->keepalives;
	world_live(w, dur_s(65));
	assert_int_equal(p->b->keepalives, before);
}

static void behind_nat(struct pair *p)
{
	world_nat(p->w, HOME, "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	up(p);
	assert_true(node_sa(p->a).info.nat_local);
}

/* The box forgets: b's packets go nowhere, and a's next probe tells a so. */
static void mapping_found_by_probe(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	uint16_t port;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	p->pa->dpd_delay = dur_s(10);
	behind_nat(p);
	port = node_sa(p->b).info.remote.port;
	world_nat_forget(w);
	assert_false(flows_back(p));
	while (!world_packet(w, 0))
		world_timer(w);
	/* a -> b: {N(NAT_DETECTION_*)}, which moves nothing */
	next_notifies(w, WIRE_N_NAT_DETECTION_DESTINATION_IP);
	assert_false(packet_notifies(w, world_packet(w, 0), WIRE_N_UPDATE_SA_ADDRESSES));
	deliver_any(w);
	assert_int_equal(node_sa(p->b).info.remote.port, port);
	deliver_any(w);
	next_notifies(w, WIRE_N_UPDATE_SA_ADDRESSES);
	world_run(w);
	/* Another port of the same address: nobody has to show anything. */
	assert_int_equal(node_counter(p->b, "ike.moved"), 1);
	assert_true(node_sa(p->b).info.remote.port != port);
	assert_true(flows(p));
	/* Nothing has changed since: a's next probes lead to nothing. */
	world_live(w, dur_s(60));
	assert_int_equal(node_counter(p->b, "ike.moved"), 1);
}

/* The first packet of a that comes through the new mapping tells b. */
static void mapping_found_by_esp(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	behind_nat(p);
	world_nat_forget(w);
	assert_true(flows_out(p));
	assert_true(flows_back(p));
	says(p->b, IKE_EV_MOVED, "NAT has given it another");
	/* Another address has to be shown first, to b's question. */
	world_nat(w, HOME, "203.0.113.77", 41000);
	assert_true(flows_out(p));
	assert_true(node_sa(p->b).info.checking);
	next_is(w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	next_notifies(w, WIRE_N_COOKIE2);
	world_run(w);
	assert_true(flows(p));
}

/* A packet from where a was arrives after a's update, newer than any that came before it. */
static void esp_that_was_under_way(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct packet *late;

	mobike(p, IKE_ROUTABILITY_NO);
	behind_nat(p);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	late = packet_keep(world_packet(w, 0));
	world_drop_all(w);
	world_nat(w, LAN, "203.0.113.5", 40000);
	node_moves(p->a, LAN, NULL);
	world_run(w);
	assert_int_equal(node_counter(p->b, "ike.moved"), 1);
	world_hand_over(w, late);
	assert_int_equal(node_counter(p->b, "ike.moved"), 1);
	assert_true(flows(p));
	packet_free(late);
}

/* Rekeying changes the SPIs, which are in the hashes: an extra update at most. */
static void nat_and_rekey(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	p->pa->dpd_delay = dur_s(10);
	behind_nat(p);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(node_command(i ? p->b : p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		world_live(w, dur_s(100));
		assert_true(node_sa(p->a).info.decides && !node_sa(p->b).info.decides);
		assert_true(node_sa(p->a).info.mobike && node_sa(p->b).info.mobike);
		assert_int_equal(node_counter(p->b, "ike.moved"), 0);
	}
	world_nat(w, LAN, "203.0.113.5", 40000);
	node_moves(p->a, LAN, NULL);
	world_run(w);
	assert_true(flows(p));
}

/* ---- other ways (sections 3.5, 3.10) ------------------------------------------------------- */

static void silent(struct node *n)
{
	struct dp_report r = { .kind = DP_REPORT_SILENT };

	r.u.silent.id = node_child(n)->id;
	node_report(n, &r);
}

/* Nothing between two addresses arrives any more. */
static void cut(struct world *w, const char *one, const char *other)
{
	struct ip a = test_ip(one), b = test_ip(other);

	for (size_t i = 0; i < world_packets(w);) {
		struct packet *q = world_packet(w, i);
		bool between = (ip_eq(&q->src.ip, &a) && ip_eq(&q->dst.ip, &b)) ||
			       (ip_eq(&q->src.ip, &b) && ip_eq(&q->dst.ip, &a));

		if (between)
			world_drop(w, q);
		else
			i++;
	}
}

/* The way to b's first address is gone, and no interface of a: a tries the others as soon as it
 * suspects something. */
static void another_way(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	mono_t began;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->b, "192.0.2.2", "203.0.113.2");
	world_run(w);
	began = w->now.mono;
	silent(p->a);
	for (unsigned i = 0; i < 20; i++) {
		cut(w, HOME, "192.0.2.2");
		if (world_packet(w, 0))
			trip(w);
		else
			world_timer(w);
		if (node_events(p->a, IKE_EV_MOVED))
			break;
	}
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
	world_run(w);
	is_between(p, HOME, "203.0.113.2");
	assert_true(flows(p));
	assert_true(dur_to_ms(mono_since(w->now.mono, began)) < 1000);
	assert_int_equal(node_events(p->a, IKE_EV_ALIVE), 1);
}

/* It answers after all, on the way that there was: a says once more where it is, since b may have
 * missed that. */
static void same_way_after_all(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	silent(p->a);
	world_drop_all(w);
	while (!node_events(p->a, IKE_EV_SUSPECT))
		world_timer(w);
	cut(w, HOME6, "2001:db8::2");
	deliver_any(w);
	while (world_packet_to(w, p->b))
		world_drop(w, world_packet_to(w, p->b));
	deliver_any(w);
	next_notifies(w, WIRE_N_UPDATE_SA_ADDRESSES);
	world_run(w);
	is_between(p, HOME, "192.0.2.2");
	assert_int_equal(node_events(p->a, IKE_EV_MOVED), 0);
}

/* Both go at once: a's update finds nobody, and b's news find nobody; of b's addresses a tries the
 * other one. */
static void both_at_once(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->b, "192.0.2.2", "203.0.113.2");
	world_run(w);
	node_moves(p->a, AWAY, NULL);
	node_moves(p->b, "203.0.113.2", NULL);
	silent(p->a);
	world_live(w, dur_s(2));
	world_live(w, dur_s(12));
	is_between(p, AWAY, "203.0.113.2");
	assert_true(flows(p));
}

/* b's question has no answer where a said that it is, since a has gone on; the next update counts.
 */
static void gone_before_it_is_checked(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->a, AWAY, NULL);
	trip(w);
	assert_true(node_sa(p->b).info.checking);
	world_drop_all(w);
	node_moves(p->a, HOME, NULL);
	/* Where it was known to be: nothing has to be shown, and what is in flight comes along. */
	world_live(w, dur_s(5));
	is_between(p, HOME, "192.0.2.2");
	assert_true(flows(p));
	assert_int_equal(node_counter(p->b, "ike.move.not_there"), 0);
}

/* ---- no way at all ------------------------------------------------------------------------- */

/* In a tunnel of the other kind: nothing is sent and nothing given up, as long as it takes; then it
 * goes on, from the same address or another one. */
static void no_network(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const char *then = i ? AWAY : HOME;
		struct pair p;

		pair_init(&p, 1);
		mobike(&p, IKE_ROUTABILITY_NO);
		p.pa->dpd_delay = dur_s(10);
		up(&p);
		node_moves(p.a, NULL, NULL);
		world_live(p.w, dur_s(1800));
		assert_int_equal(p.a->unsent, 0);
		assert_int_equal(node_events(p.a, IKE_EV_DEAD), 0);
		node_moves(p.a, then, NULL);
		next_notifies(p.w, WIRE_N_UPDATE_SA_ADDRESSES);
		trip(p.w);
		assert_true(flows(&p));
		trip(p.w);
		is_between(&p, then, "192.0.2.2");
		pair_done(&p);
	}
}

/* The same with a request in flight, which goes out again at once. */
static void no_network_in_flight(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_NO);
	up(p);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	world_drop_all(w);
	node_moves(p->a, NULL, NULL);
	world_live(w, dur_s(600));
	assert_int_equal(p->a->unsent, 0);
	node_moves(p->a, AWAY, NULL);
	assert_int_equal(packet_exchange(world_packet(w, 0)), WIRE_CREATE_CHILD_SA);
	world_live(w, dur_s(10));
	is_between(p, AWAY, "192.0.2.2");
	assert_true(pair_is_up(p));
}

/* While there is no way, a farewell is short. */
static void shut_down_without_network(void **state)
{
	struct pair *p = *state;

	mobike(p, IKE_ROUTABILITY_NO);
	up(p);
	node_moves(p->a, NULL, NULL);
	connect_down(p->a);
	world_live(p->w, dur_s(20));
	assert_true(node_is_down(p->a));
	assert_int_equal(p->a->unsent, 0);
}

/* ---- without MOBIKE ------------------------------------------------------------------------ */

/* Another SA at once, from the new address, and the old one goes when that is in use. */
static void another_sa(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_NO);
	p->pb->mobike = false;
	test_conf_addresses(p->cb, p->pb, "");
	up(p);
	node_moves(p->a, AWAY, NULL);
	next_is(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	world_run(w);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_true(flows_out(p));
	world_live(w, dur_s(60));
	assert_true(pair_is_up(p));
	is_between(p, AWAY, "192.0.2.2");
	/* Once is enough. */
	node_moves(p->a, AWAY, NULL);
	world_live(w, dur_s(60));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
}

/* There is no address at all in between: the old one ends in order all the same, from the new
 * address, since nobody has the old one any more. */
static void another_sa_after_none(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_NO);
	p->pb->mobike = false;
	test_conf_addresses(p->cb, p->pb, "");
	up(p);
	node_moves(p->a, NULL, NULL);
	world_live(w, dur_s(5));
	node_moves(p->a, AWAY, NULL);
	next_is(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	world_live(w, dur_s(10));
	assert_int_equal(p->a->unsent, 0);
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
	assert_true(pair_is_up(p));
	is_between(p, AWAY, "192.0.2.2");
	assert_true(flows(p));
}

/* A farewell that could not be said for want of a network is said once there is one again. */
static void farewell_after_none(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_NO);
	p->pb->mobike = false;
	test_conf_addresses(p->cb, p->pb, "");
	up(p);
	node_moves(p->a, NULL, NULL);
	connect_down(p->a);
	world_live(w, dur_ms(500));
	node_moves(p->a, AWAY, NULL);
	world_live(w, dur_s(1));
	assert_int_equal(p->a->unsent, 0);
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
}

/* The same address again, by another road: only a question. */
static void same_address(void **state)
{
	(void)state;
	for (unsigned mobile = 0; mobile < 2; mobile++) {
		struct pair p;

		pair_init(&p, 1);
		mobike(&p, IKE_ROUTABILITY_NO);
		p.pb->mobike = mobile;
		up(&p);
		node_moves(p.a, HOME, HOME6);
		next_is(p.w, p.a, WIRE_INFORMATIONAL, REQUEST, 2);
		assert_false(
			packet_notifies(p.w, world_packet(p.w, 0), WIRE_N_UPDATE_SA_ADDRESSES));
		world_run(p.w);
		is_between(&p, HOME, "192.0.2.2");
		pair_done(&p);
	}
}

/* ---- connecting ---------------------------------------------------------------------------- */

/* An attempt from an address that is gone begins anew at once. */
static void attempt_begins_anew(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct pair p;

		pair_init(&p, 1);
		mobike(&p, IKE_ROUTABILITY_NO);
		test_conf_addresses(p.cb, p.pb, "");
		pair_start(&p);
		node_moves(p.a, HOME, NULL);
		node_moves(p.b, "192.0.2.2", NULL);
		connect(p.a);
		for (unsigned i = 0; i < k; i++)
			deliver_any(p.w);
		world_drop_all(p.w);
		node_moves(p.a, AWAY, NULL);
		next_is(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		world_live(p.w, dur_s(60));
		is_between(&p, AWAY, "192.0.2.2");
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* One that waits for its next try does not, now that something has changed. */
static void waiting_is_over(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_NO);
	p->pa->start = IKE_START_UP;
	pair_start(p);
	node_moves(p->b, "192.0.2.2", NULL);
	node_moves(p->a, NULL, NULL);
	world_live(w, dur_s(200));
	assert_string_equal(node_peer(p->a, PAIR_PEER).state, "waiting");
	node_moves(p->a, AWAY, NULL);
	next_is(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	world_run(w);
	assert_true(pair_is_up(p));
}

/* ---- what an operator does ----------------------------------------------------------------- */

/* mobike and nat are agreed when an SA is made; when the other end has to show where it is holds
 * from the next move on. */
static void reloads(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct test_conf *c;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	c = test_conf_copy(p->cb);
	c->peer[0].return_routability = IKE_ROUTABILITY_NO;
	node_reconfigure(p->b, c);
	world_run(w);
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 1);
	node_moves(p->a, AWAY, NULL);
	trip(w);
	assert_false(node_sa(p->b).info.checking);
	assert_true(flows(p));
	world_run(w);
	c = test_conf_copy(p->ca);
	c->peer[0].mobike = false;
	node_reconfigure(p->a, c);
	world_live(w, dur_s(60));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_false(node_sa(p->a).info.mobike || node_sa(p->b).info.mobike);
	assert_true(pair_is_up(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(nat_comes_and_goes),
		pair_test(mapping_found_by_probe),
		pair_test(mapping_found_by_esp),
		pair_test(esp_that_was_under_way),
		pair_test(nat_and_rekey),
		pair_test(another_way),
		pair_test(same_way_after_all),
		pair_test(both_at_once),
		pair_test(gone_before_it_is_checked),
		cmocka_unit_test(no_network),
		pair_test(no_network_in_flight),
		pair_test(shut_down_without_network),
		pair_test(another_sa),
		pair_test(another_sa_after_none),
		pair_test(farewell_after_none),
		cmocka_unit_test(same_address),
		cmocka_unit_test(attempt_begins_anew),
		pair_test(waiting_is_over),
		pair_test(reloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
