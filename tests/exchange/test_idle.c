/* SAs that end without traffic that counts, where their section says so, and what of a section goes
 * to the data plane with each child (U2, T3). */
#include "exchange/exchange.h"

/* Either end; what it hears last is why. */
static void ends(void **state)
{
	(void)state;
	for (int at_b = 0; at_b < 2; at_b++) {
		struct pair p;

		pair_init(&p, 1 + (uint64_t)at_b);
		*(at_b ? &p.pb->idle : &p.pa->idle) = dur_s(60);
		p.pa->dpd_delay = dur_s(10);
		pair_up(&p);
		assert_int_equal(node_child(p.a)->counts, !at_b);
		assert_int_equal(node_child(p.b)->counts, at_b);
		for (int i = 0; i < 4; i++) {
			world_live(p.w, dur_s(50));
			assert_true(pair_is_up(&p)); /* which is traffic */
		}
		world_live(p.w, dur_s(55));
		assert_int_equal(node_sa(p.a).info.n_children, 1);
		world_live(p.w, dur_s(10));
		assert_true(pair_is_down(&p));
		says(at_b ? p.b : p.a, IKE_EV_SA_DOWN, "deleted");
		says(at_b ? p.b : p.a, IKE_EV_CHILD_DOWN, "idle");
		assert_int_equal(node_counter(at_b ? p.b : p.a, "ike.sa.idle"), 1);
		/* The next packet finds the way as ever. */
		connect(p.a);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* Keys are new again and again, in between and at the end of which nobody uses it. */
static void new_keys(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 3);
	p.pa->idle = dur_s(300);
	pair_up(&p);
	for (int i = 0; i < 9; i++) {
		world_live(p.w, dur_s(30));
		if (i < 4)
			assert_true(pair_is_up(&p));
		assert_int_equal(node_command(p.b, i & 1 ? IKE_CMD_REKEY_SA : IKE_CMD_REKEY_CHILD,
					      PAIR_PEER),
				 ST_OK);
	}
	/* Used last 150 s ago. */
	world_live(p.w, dur_s(140));
	assert_int_equal(node_sa(p.a).info.n_children, 1);
	world_live(p.w, dur_s(20));
	assert_true(pair_is_down(&p));
	pair_done(&p);
}

/* A reload ends it; one that begins it is about children that come after it. */
static void reloads(void **state)
{
	(void)state;
	for (int begins = 0; begins < 2; begins++) {
		struct pair p;
		struct test_conf *c;

		pair_init(&p, 4);
		p.pa->idle = begins ? dur_s(0) : dur_s(60);
		pair_up(&p);
		c = test_conf_copy(p.ca);
		c->peer[0].idle = begins ? dur_s(60) : dur_s(0);
		node_reconfigure(p.a, c);
		assert_int_equal(node_command(p.a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		world_live(p.w, dur_s(300));
		assert_true(pair_is_up(&p));
		if (begins) {
			assert_int_equal(node_command(p.a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
			world_live(p.w, dur_s(70));
			assert_true(pair_is_down(&p));
		}
		pair_done(&p);
	}
}

/* What forwards between members hears who talks to whom. */
static void flows(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 5);
	p.pb->flows = true;
	pair_up(&p);
	assert_false(node_child(p.a)->flows);
	assert_true(node_child(p.b)->flows);
	assert_int_equal(node_command(p.a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	world_live(p.w, dur_s(60));
	assert_true(node_child(p.b)->flows);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),
		cmocka_unit_test(new_keys),
		cmocka_unit_test(reloads),
		cmocka_unit_test(flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
