/* MOBIKE (RFC 4555): what both ends agree about, and moves of either of them (R06). */
#include "exchange/mobike.h"

/* ---- IKE_AUTH (sections 3.2 to 3.4) -------------------------------------------------------- */

static void agreed(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	p->ca->conf.force_encap = p->cb->conf.force_encap = false;
	pair_start(p);
	node_moves(p->a, HOME, HOME6);
	node_moves(p->b, "192.0.2.2", "2001:db8::2");
	connect(p->a);
	/* a:500 -> b:500, then a:4500 -> b:4500, also without a NAT */
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_int_equal(world_packet(w, 0)->dst.port, 4500);
	next_notifies(w, WIRE_N_MOBIKE_SUPPORTED);
	next_notifies(w, WIRE_N_ADDITIONAL_IP6_ADDRESS);
	assert_false(packet_notifies(w, world_packet(w, 0), WIRE_N_ADDITIONAL_IP4_ADDRESS));
	assert_false(packet_notifies(w, world_packet(w, 0), WIRE_N_NO_NATS_ALLOWED));
	deliver_any(w);
	next_notifies(w, WIRE_N_MOBIKE_SUPPORTED);
	next_notifies(w, WIRE_N_ADDITIONAL_IP6_ADDRESS);
	deliver_any(w);
	assert_true(pair_is_up(p));
	assert_true(node_sa(p->a).info.mobike && node_sa(p->b).info.mobike);
	assert_true(p->a->child[0].child.told && p->b->child[0].child.told);
	assert_true(node_sa(p->a).info.decides && !node_sa(p->b).info.decides);
	/* and ESP needs no UDP then */
	assert_false(node_child(p->a)->encap || node_child(p->b)->encap);
	assert_false(node_sa(p->b).info.nat_remote);
}

static void not_agreed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p;

		pair_init(&p, 1);
		mobike(&p, IKE_ROUTABILITY_NO);
		*(i ? &p.pa->mobike : &p.pb->mobike) = false;
		up(&p);
		assert_false(node_sa(p.a).info.mobike || node_sa(p.b).info.mobike);
		assert_false(p.a->child[0].child.told || p.b->child[0].child.told);
		pair_done(&p);
	}
}

/* ---- a move (section 3.5) ------------------------------------------------------------------ */

/* Without a check: out at once, back as soon as b knows; so a question has its answer one round
 * trip after the new address can be used. */
static void one_round_trip(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	mono_t usable;

	mobike(p, IKE_ROUTABILITY_NO);
	up(p);
	usable = w->now.mono;
	node_moves(p->a, AWAY, NULL);
	/* a -> b: {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*), N(NO_ADDITIONAL_ADDRESSES)} */
	next_notifies(w, WIRE_N_UPDATE_SA_ADDRESSES);
	next_notifies(w, WIRE_N_NAT_DETECTION_SOURCE_IP);
	next_notifies(w, WIRE_N_NO_ADDITIONAL_ADDRESSES);
	assert_int_equal(world_packets(w), 1);
	assert_true(flows_out(p));
	assert_false(flows_back(p));
	trip(w);
	assert_true(flows(p));
	says(p->b, IKE_EV_MOVED,
	     "from 192.0.2.2:4500 and 192.0.2.1:4500 to 192.0.2.2:4500 and "
	     "198.51.100.7:4500");
	trip(w);
	assert_int_equal(dur_to_ms(mono_since(w->now.mono, usable)), 2 * TRIP_MS);
	assert_int_equal(world_packets(w), 0);
	is_between(p, AWAY, "192.0.2.2");
	assert_true(flows(p));
	assert_int_equal(node_events(p->a, IKE_EV_MOVED), 1);
	assert_int_equal(node_events(p->b, IKE_EV_MOVED), 1);
}

/* With one (section 3.7): nothing but b's question goes there before it is answered. */
static void checked_before(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->a, AWAY, NULL);
	assert_true(flows_out(p));
	trip(w);
	assert_true(node_sa(p->b).info.checking);
	assert_int_equal(world_packets(w), 2);
	/* <- b: the answer, and {N(COOKIE2)} */
	assert_true(packet_notifies(w, world_packet(w, 1), WIRE_N_COOKIE2));
	assert_false(flows_back(p));
	trip(w);
	/* a -> b: {N(COOKIE2)} */
	next_is(w, p->a, WIRE_INFORMATIONAL, RESPONSE, 0);
	next_notifies(w, WIRE_N_COOKIE2);
	assert_false(flows_back(p));
	trip(w);
	assert_true(flows(p));
	is_between(p, AWAY, "192.0.2.2");
}

static void checked_after(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_AFTER);
	up(p);
	node_moves(p->a, AWAY, NULL);
	trip(w);
	assert_true(flows(p));
	assert_true(node_sa(p->b).info.checking);
	assert_true(packet_notifies(w, world_packet(w, 1), WIRE_N_COOKIE2));
	trip(w);
	trip(w);
	is_between(p, AWAY, "192.0.2.2");
	assert_int_equal(node_events(p->b, IKE_EV_MOVED), 1);
}

/* From one family to the other and back: only b's additional addresses make that possible. */
static void other_family(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->a, AWAY6, NULL);
	/* b's address is one that a has not been in touch with: a asks for a cookie back. */
	next_notifies(w, WIRE_N_UPDATE_SA_ADDRESSES);
	next_notifies(w, WIRE_N_COOKIE2);
	assert_true(node_sa(p->a).info.checking);
	world_run(w);
	is_between(p, AWAY6, "2001:db8::2");
	assert_true(flows(p));
	node_moves(p->a, HOME, NULL);
	world_run(w);
	is_between(p, HOME, "192.0.2.2");
	assert_true(flows(p));
}

/* Many tell all addresses that they have, those of their sites as well, where nobody is to be met
 * but through the tunnel: these are the last to be tried. */
static void inside_last(void **state)
{
	static const char *const b[] = { "2001:db8::2", "10.2.0.99", "192.0.2.2", NULL };
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->a, AWAY6, NULL);
	world_run(w);
	is_between(p, AWAY6, "2001:db8::2");
	node_network(p->b, b);
	world_run(w);
	node_moves(p->a, HOME, NULL);
	world_run(w);
	is_between(p, HOME, "192.0.2.2");
	assert_true(flows(p));
}

/* Requests in flight go to the new place at once, with the old one's number; then comes the update.
 */
static void request_in_flight(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	uint32_t id;

	mobike(p, IKE_ROUTABILITY_NO);
	up(p);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	id = packet_msgid(world_packet(w, 0));
	lose(w, p->a, WIRE_CREATE_CHILD_SA, REQUEST, id);
	node_moves(p->a, AWAY, NULL);
	next_is(w, p->a, WIRE_CREATE_CHILD_SA, REQUEST, id);
	trip(w);
	trip(w);
	next_is(w, p->a, WIRE_INFORMATIONAL, REQUEST, id + 1);
	next_notifies(w, WIRE_N_UPDATE_SA_ADDRESSES);
	world_run(w);
	is_between(p, AWAY, "192.0.2.2");
	assert_true(pair_is_up(p));
}

/* It moves again before the update is answered: that answer counts for nothing, the next one does.
 */
static void again_in_flight(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	uint32_t id;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->a, AWAY, NULL);
	id = packet_msgid(world_packet(w, 0));
	deliver_any(w);
	/* The answer and the question to AWAY are lost there. */
	node_moves(p->a, "203.0.113.9", NULL);
	world_deliver(w, world_packet(w, 0));
	world_deliver(w, world_packet(w, 0));
	next_is(w, p->a, WIRE_INFORMATIONAL, REQUEST, id);
	deliver_any(w);
	deliver_any(w);
	next_is(w, p->a, WIRE_INFORMATIONAL, REQUEST, id + 1);
	next_notifies(w, WIRE_N_UPDATE_SA_ADDRESSES);
	world_live(w, dur_s(20));
	is_between(p, "203.0.113.9", "192.0.2.2");
	assert_true(flows(p));
}

/* Who was called tells who called (section 3.6), and goes on from its other address when it has to
 * (section 3.5). */
static void responder_moves(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	mobike(p, IKE_ROUTABILITY_BEFORE);
	up(p);
	node_moves(p->b, "192.0.2.2", "203.0.113.2");
	next_is(w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	next_notifies(w, WIRE_N_ADDITIONAL_IP4_ADDRESS);
	world_run(w);
	is_between(p, HOME, "192.0.2.2");
	node_moves(p->b, "203.0.113.2", NULL);
	assert_true(flows_back(p));
	next_is(w, p->b, WIRE_INFORMATIONAL, REQUEST, 1);
	next_notifies(w, WIRE_N_NO_ADDITIONAL_ADDRESSES);
	world_run(w);
	is_between(p, HOME, "203.0.113.2");
	assert_true(flows(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(agreed),          cmocka_unit_test(not_agreed),
		pair_test(one_round_trip),  pair_test(checked_before),
		pair_test(checked_after),   pair_test(other_family),
		pair_test(inside_last),     pair_test(request_in_flight),
		pair_test(again_in_flight), pair_test(responder_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
