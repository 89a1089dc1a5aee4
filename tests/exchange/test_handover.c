/* From one IKE SA to another, which the same end made in its place: no packet is lost, whatever the
 * network and slow work do in between (RFC 7296 section 2.8.3). */
#include "exchange/exchange.h"
#include "ike/limits.h"

static void another_key(struct pair *p)
{
	struct test_conf *c = test_conf_copy(p->ca);

	c->peer[0].own_digest[0] ^= 1;
	node_reconfigure(p->a, c);
}

static void both_ways(struct pair *p)
{
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
	assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1"));
}

static bool is_answer_to_auth(const struct packet *k)
{
	return packet_exchange(k) == WIRE_IKE_AUTH && packet_is_response(k);
}

/* In every moment of it, packets get through both ways: the responder goes on with the old child
 * until the initiator has the new one. */
static void at_every_moment(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	another_key(p);
	while (world_packet(p->w, 0)) {
		both_ways(p);
		world_deliver(p->w, world_packet(p->w, 0));
	}
	world_live(p->w, dur_s(10));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_true(pair_is_up(p));
}

/* However long it takes until the initiator has the answer: lost, or slow to be looked at. */
static void the_answer_is_late(void **state)
{
	(void)state;
	for (int lost = 0; lost < 3; lost++) {
		struct pair p;
		struct packet *k;
		int n = 0;

		pair_init(&p, 60 + (unsigned)lost);
		pair_up(&p);
		/* Meanwhile both ends forget an SA that was rekeyed. */
		assert_int_equal(node_command(p.a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		world_live(p.w, dur_s(5));
		another_key(&p);
		for (int i = 0; i < 300; i++) {
			while ((k = world_packet(p.w, 0))) {
				if (is_answer_to_auth(k) && n++ < lost)
					world_drop(p.w, k);
				else
					world_deliver(p.w, k);
				both_ways(&p);
			}
			if (i % 20 == 0)
				node_release(p.a);
			else
				p.a->hold = HOLD_JOBS;
			world_advance(p.w, dur_ms(100));
			both_ways(&p);
		}
		node_release(p.a);
		world_live(p.w, dur_s(10));
		assert_true(n > lost && pair_is_up(&p));
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 2);
		pair_done(&p);
	}
}

/* The responder asks the initiator something. */
static bool asks(struct pair *p, const struct packet *k)
{
	return packet_exchange(k) == WIRE_INFORMATIONAL && !packet_is_response(k) &&
	       k == world_packet_to(p->w, p->a);
}

/* The old SA is being rekeyed when the new one comes up: its successor goes as it would have. */
static void while_it_is_rekeyed(void **state)
{
	struct pair *p = *state;
	struct packet *rekey;

	pair_up(p);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	rekey = packet_keep(world_packet(p->w, 0));
	assert_int_equal(packet_exchange(rekey), WIRE_CREATE_CHILD_SA);
	world_drop(p->w, world_packet(p->w, 0));
	another_key(p);
	world_run(p->w);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	world_hand_over(p->w, rekey);
	packet_free(rekey);
	world_run(p->w);
	assert_int_equal(node_events(p->a, IKE_EV_SA_REKEYED), 1);
	both_ways(p);
	world_live(p->w, dur_s(30));
	assert_true(pair_is_up(p));
}

/* Nothing that a says about the end of the old SA gets through.  That a is heard on the new one
 * does not keep the old one alive. */
static void the_farewell_is_lost(void **state)
{
	struct pair *p = *state;
	uint64_t old;

	p->pb->dpd_delay = dur_s(30);
	pair_up(p);
	old = node_sa(p->a).info.spi_i;
	another_key(p);
	world_run(p->w);
	for (int i = 0; i < 20; i++) {
		struct packet *k;

		world_advance(p->w, dur_s(5));
		while ((k = world_packet(p->w, 0)))
			if (load_be64(packet_ike(k).p) == old)
				world_drop(p->w, k);
			else
				world_deliver(p->w, k);
		both_ways(p);
	}
	assert_int_equal(ike_totals(p->a->ike).sas, 1);
	assert_int_equal(ike_totals(p->b->ike).sas, 1);
	assert_true(pair_is_up(p));
}

static void rekey_first(struct node *n)
{
	struct dp_report r = { .kind = DP_REPORT_EXPIRE };

	r.u.expire.id = n->child[0].child.id;
	node_report(n, &r);
}

/* What the responder sends on the old IKE SA when its Delete is under way arrives, however late. */
static void the_delete_is_under_way(struct pair *p, bool rekeys)
{
	struct packet *k, *late;
	unsigned seen;

	pair_up(p);
	another_key(p);
	for (int i = 0; i < 100 && node_events(p->a, IKE_EV_CHILD_DOWN) == 0; i++) {
		while ((k = world_packet(p->w, 0))) {
			if (!rekeys && asks(p, k))
				world_drop(p->w, k);
			else
				world_deliver(p->w, k);
			both_ways(p);
		}
		world_advance(p->w, dur_ms(100));
		if (rekeys && i == 10)
			rekey_first(p->b);
	}
	assert_int_equal(node_counter(p->b, "ike.child.rekeyed"), rekeys);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_DOWN), 1);
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_DOWN), 0);
	both_ways(p);
	node_packet(p->b, "10.2.0.1", "10.1.0.1");
	for (size_t i = 0; (k = world_packet(p->w, i)) && !k->esp; i++)
		;
	assert_non_null(k);
	late = packet_keep(k);
	world_drop(p->w, k);
	while ((k = world_packet(p->w, 0))) {
		world_deliver(p->w, k);
		both_ways(p);
	}
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_DOWN), 1);
	seen = p->a->inner_seen;
	world_hand_over(p->w, late);
	assert_int_equal(p->a->inner_seen, seen + 1);
	packet_free(late);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
	assert_int_equal(p->a->n_quiet + p->b->n_quiet, 0);
}

/* It asks whether the initiator has the new one, and all of that is lost. */
static void sent_on_the_old_child(void **state)
{
	the_delete_is_under_way(*state, false);
}

/* What was rekeyed last is what it sends on. */
static void sent_on_its_successor(void **state)
{
	the_delete_is_under_way(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(at_every_moment),       cmocka_unit_test(the_answer_is_late),
		pair_test(while_it_is_rekeyed),   pair_test(the_farewell_is_lost),
		pair_test(sent_on_the_old_child), pair_test(sent_on_its_successor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
