/* Long lives: SAs that are rekeyed again and again, by either end, by both, with losses; what the
 * peer refuses for a while, or for ever; what it never cleans up (RFC 7296 sections 2.8, 2.25). */
#include "exchange/exchange.h"

#include "ike/limits.h"

static const enum ike_cmd_kind kinds[] = { IKE_CMD_REKEY_CHILD, IKE_CMD_REKEY_SA };

static void command(struct node *n, enum ike_cmd_kind kind)
{
	assert_int_equal(node_command(n, kind, PAIR_PEER), ST_OK);
}

static int setup(void **state)
{
	static struct pair p;

	pair_init(&p, 950);
	p.pa->dpd_delay = p.pb->dpd_delay = dur_s(30);
	pair_up(&p);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	pair_done(*state);
	return 0;
}

static void only_one_is_left(struct pair *p)
{
	world_live(p->w, dur_s(IKE_REPLACED_S + 60));
	assert_int_equal(ike_totals(p->a->ike).sas, 1);
	assert_int_equal(ike_totals(p->b->ike).sas, 1);
	assert_int_equal(p->a->n_quiet, 0);
	assert_int_equal(p->b->n_quiet, 0);
	assert_true(pair_is_up(p));
}

/* ---- chains -------------------------------------------------------------------------------- */

/* Child and IKE SA in turn, by a and by b in turn; message ids begin anew with each IKE SA. */
static void a_hundred_rekeys(void **state)
{
	struct pair *p = *state;

	for (unsigned i = 0; i < 100; i++) {
		command(i & 1 ? p->b : p->a, kinds[i >> 1 & 1]);
		world_live(p->w, dur_s(60));
		assert_true(pair_is_up(p));
	}
	only_one_is_left(p);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 50);
	assert_int_equal(node_events(p->b, IKE_EV_SA_REKEYED), 50);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_DOWN), 0);
	settle(p);
	assert_true(pair_is_down(p));
}

/* No time between them: each leaves a child or an IKE SA that lingers, so many and no more. */
static void one_after_the_other(void **state)
{
	struct pair *p = *state;

	for (unsigned i = 0; i < 40; i++) {
		command(p->a, IKE_CMD_REKEY_CHILD);
		world_run(p->w);
		assert_true(p->a->n_quiet <= IKE_MAX_LINGERING);
		assert_true(p->b->n_quiet <= IKE_MAX_LINGERING);
		assert_true(pair_is_up(p));
	}
	for (unsigned i = 0; i < 40; i++) {
		command(p->a, IKE_CMD_REKEY_SA);
		world_run(p->w);
		assert_in_range(ike_totals(p->b->ike).sas, 1, 2 + IKE_MAX_SAS_PER_PEER);
		assert_true(pair_is_up(p));
	}
	only_one_is_left(p);
}

/* Both ends, every time. */
static void always_at_once(void **state)
{
	struct pair *p = *state;

	for (unsigned i = 0; i < 40; i++) {
		command(p->a, kinds[i & 1]);
		command(p->b, kinds[i >> 1 & 1]);
		world_live(p->w, dur_s(120));
		assert_true(pair_is_up(p));
	}
	only_one_is_left(p);
}

/* ---- losses -------------------------------------------------------------------------------- */

/* Each datagram of a rekey, one after the other, does not arrive: traffic flows all the time. */
static void each_datagram_lost(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (unsigned lost = 0; lost < 4; lost++) {
			struct pair p;

			pair_init(&p, 960 + lost);
			p.pa->dpd_delay = p.pb->dpd_delay = dur_s(30);
			pair_up(&p);
			command(p.a, kinds[k]);
			for (unsigned i = 0; world_packets(p.w); i++) {
				struct packet *next = world_packet(p.w, 0);

				if (i == lost)
					world_drop(p.w, next);
				else
					world_deliver(p.w, next);
				assert_true(world_ping(p.w, p.a, "10.1.0.1", p.b, "10.2.0.1"));
				assert_true(world_ping(p.w, p.b, "10.2.0.1", p.a, "10.1.0.1"));
			}
			only_one_is_left(&p);
			pair_done(&p);
		}
}

/* The keys of the old child are due at the other end as well before a has the answer: b leaves it
 * alone, since a knows no other one yet. */
static void answer_lost_until_the_old_ones_end(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 970);
	p.pa->start = IKE_START_UP;
	p.pa->life.child_soft = p.pb->life.child_soft = dur_s(100);
	p.pa->life.child_hard = p.pb->life.child_hard = dur_s(200);
	p.ca->conf.retransmit_timeout = dur_s(10);
	pair_up(&p);
	while (!world_packets(p.w))
		assert_true(world_timer(p.w));
	assert_int_equal(packet_exchange(world_packet(p.w, 0)), WIRE_CREATE_CHILD_SA);
	world_deliver(p.w, world_packet_to(p.w, p.b));
	world_drop_all(p.w);
	/* b wants to rekey it in the last twentieth of its time. */
	for (unsigned i = 0; i < 3; i++) {
		world_advance(p.w, dur_s(7));

		assert_null(world_packet_to(p.w, p.a));
		world_drop_all(p.w);
	}
	world_live(p.w, dur_s(40));
	assert_true(pair_is_up(&p));
	assert_int_equal(node_events(p.a, IKE_EV_CHILD_DOWN), 0);
	pair_done(&p);
}

/* b has waited long enough and deletes the old child before a has the answer: what a misses then is
 * what the answer brings. */
static void answer_after_the_old_one(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 971);
	p.pa->start = IKE_START_UP;
	p.ca->conf.retransmit_tries = 7;
	pair_up(&p);
	command(p.a, IKE_CMD_REKEY_CHILD);
	world_deliver(p.w, world_packet_to(p.w, p.b));
	while (!node_events(p.a, IKE_EV_CHILD_DOWN)) {
		struct packet *to_a;

		world_drop_all(p.w);
		assert_true(world_timer(p.w));
		to_a = world_packet_to(p.w, p.a);
		if (to_a)
			world_deliver(p.w, to_a);
	}
	world_live(p.w, dur_s(60));
	assert_int_equal(node_events(p.a, IKE_EV_DEAD), 0);
	assert_true(pair_is_up(&p));
	pair_done(&p);
}

/* ---- peers that cannot --------------------------------------------------------------------- */

/* The other end is cut off in the middle: the IKE SA ends as with any request. */
static void nobody_answers(void **state)
{
	struct pair *p = *state;

	command(p->a, IKE_CMD_REKEY_SA);
	p->b->unplugged = true;
	world_live(p->w, dur_s(300));
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 1);
	assert_int_equal(p->a->n_children, 0);
}

/* A child that the peer refuses to rekey lives on; we ask again, less and less often, and say what
 * was offered. */
static void refused_for_ever(void **state)
{
	struct pair *p = *state;
	size_t n;

	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes256gcm16");
	/* b's own terms have changed and it is not who can renew: a's child stays as it is. */
	node_reconfigure(p->b, test_conf_copy(p->cb));
	command(p->a, IKE_CMD_REKEY_CHILD);
	world_live(p->w, dur_s(600));
	says(p->a, IKE_EV_REFUSED, "to rekey a child");
	says(p->a, IKE_EV_REFUSED, "NO_PROPOSAL_CHOSEN; we offered");
	says(p->b, IKE_EV_REFUSED, "they offer");
	n = node_events(p->a, IKE_EV_REFUSED);
	assert_in_range(n, 5, 20);
	assert_true(pair_is_up(p));
	assert_true(node_counter(p->a, "ike.refused.by_peer") >= n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_hundred_rekeys, setup, teardown),
		cmocka_unit_test_setup_teardown(one_after_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(always_at_once, setup, teardown),
		cmocka_unit_test(each_datagram_lost),
		cmocka_unit_test(answer_lost_until_the_old_ones_end),
		cmocka_unit_test(answer_after_the_old_one),
		cmocka_unit_test_setup_teardown(nobody_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_for_ever, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
