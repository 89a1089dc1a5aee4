/*
 * MOBIKE (RFC 4555): addresses that change, one trip of a datagram at a time (R06).
 *
 *	a, who called			b, who was called
 *	192.0.2.1, 2001:db8::1		192.0.2.2, 2001:db8::2
 *
 * A trip takes 20 ms of virtual time.  "Flows" means that a packet which enters the tunnel at that
 * moment comes out at the other end.
 */
#include "exchange/exchange.h"

#define HOME "192.0.2.1"
#define HOME6 "2001:db8::1"
#define AWAY "198.51.100.7"
#define AWAY6 "2001:db8:7::7"

enum { TRIP_MS = 20 };

static bool flows_out(struct pair *p)
{
	return world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1");
}

static bool flows_back(struct pair *p)
{
	return world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1");
}

static bool flows(struct pair *p)
{
	return flows_out(p) && flows_back(p);
}

/* All that is under way arrives; what that leads to is under way then. */
static void trip(struct world *w)
{
	size_t n = world_packets(w);

	world_advance(w, dur_ms(TRIP_MS));
	while (n--)
		world_deliver(w, world_packet(w, 0));
}

static void mobike(struct pair *p, enum ike_routability rr)
{
	p->pa->mobike = p->pb->mobike = true;
	p->pa->return_routability = p->pb->return_routability = rr;
	p->ca->conf.force_encap = p->cb->conf.force_encap = true;
}

static void up(struct pair *p)
{
	pair_start(p);
	node_moves(p->a, HOME, HOME6);
	node_moves(p->b, "192.0.2.2", "2001:db8::2");
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* Both ends agree about where each of them is, and the data planes with them. */
static void is_between(struct pair *p, const char *a, const char *b)
{
	struct ip ia = test_ip(a), ib = test_ip(b);
	struct node_sa sa = node_sa(p->a), sb = node_sa(p->b);

	assert_true(ip_eq(&sa.info.local.ip, &ia));
	assert_true(ip_eq(&sa.info.remote.ip, &ib));
	assert_true(ip_eq(&sb.info.remote.ip, &ia));
	assert_true(ip_eq(&sb.info.local.ip, &ib));
	assert_false(sa.info.checking || sb.info.checking);
	for (size_t i = 0; i < p->a->n_children; i++)
		assert_true(endpoint_eq(&p->a->child[i].child.local, &sa.info.local) &&
			    endpoint_eq(&p->a->child[i].child.remote, &sa.info.remote));
	for (size_t i = 0; i < p->b->n_children; i++)
		assert_true(endpoint_eq(&p->b->child[i].child.local, &sb.info.local) &&
			    endpoint_eq(&p->b->child[i].child.remote, &sb.info.remote));
}

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
		pair_test(agreed),
		cmocka_unit_test(not_agreed),
		pair_test(one_round_trip),
		pair_test(checked_before),
		pair_test(checked_after),
		pair_test(other_family),
		pair_test(inside_last),
		pair_test(request_in_flight),
		pair_test(again_in_flight),
		pair_test(responder_moves),
		pair_test(nat_comes_and_goes),
		pair_test(mapping_found_by_probe),
		pair_test(mapping_found_by_esp),
		pair_test(nat_and_rekey),
		pair_test(another_way),
		pair_test(same_way_after_all),
		pair_test(both_at_once),
		pair_test(gone_before_it_is_checked),
		cmocka_unit_test(no_network),
		pair_test(no_network_in_flight),
		pair_test(shut_down_without_network),
		pair_test(another_sa),
		cmocka_unit_test(same_address),
		cmocka_unit_test(attempt_begins_anew),
		pair_test(waiting_is_over),
		pair_test(reloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
