/* A site takes suggestions, finds a path, has a tunnel: docs/protocol/shortcut.md (R09, R11). */
#include "exchange/shortcut.h"

static void from_suggestion_to_direct_packets(void **state)
{
	struct node_shortcut a, b;
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 1);
	assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
	play_both_up(&p, 7);
	a = play_look(p.one, TWO);
	b = play_look(p.two, ONE);
	assert_true(a.info.initiator && !b.info.initiator);
	assert_string_equal(a.ts_local, "10.1.0.0/16");
	assert_string_equal(a.ts_remote, "10.2.0.0/16");
	assert_string_equal(b.ts_remote, "10.1.0.0/16");
	assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
	assert_true(star_ping_direct(&p.s, p.two, 2, p.one, 1));
	for (unsigned i = 1; i <= 2; i++) {
		m = play_report(&p, i);
		assert_int_equal(m.outcome, WIRE_MO_UP);
		assert_memory_equal(m.id, a.info.id, sizeof(m.id));
		assert_true(WIRE_MESH_HAS(&m, PATH));
		assert_int_equal(m.path.remote.ip.b[3], 13 - i);
		assert_int_equal(m.path.local.port, 4500);
	}
	assert_int_equal(node_events(p.one, IKE_EV_SHORTCUT), 1);
	assert_int_equal(node_events(p.two, IKE_EV_SHORTCUT), 1);
	assert_int_equal(node_counter(p.one, "mesh.direct"), 1);
	play_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_suggestion_to_direct_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
