/* A hub and two members: suggested, answered, reported, over. */
#include "mesh_town.h"

static int setup(void **state)
{
	static struct town t;

	town_init(&t);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	town_close(*state);
	return 0;
}

static struct town *two(void **state)
{
	struct town *t = *state;

	town_open(t);
	town_join(t, 1);
	town_join(t, 2);
	return t;
}

/* T2: whoever talks to each other is suggested to each other. */
static void test_traffic_is_what_suggests(void **state)
{
	struct town *t = two(state);
	const struct wire_mesh *one, *two_;

	assert_null(town_heard(t, 1, WIRE_N_SHORTCUT_SUGGEST));
	town_flow(t, 1, 2);
	one = &town_heard(t, 1, WIRE_N_SHORTCUT_SUGGEST)->msg;
	two_ = &town_heard(t, 2, WIRE_N_SHORTCUT_SUGGEST)->msg;
	assert_memory_equal(one->id, two_->id, WIRE_MESH_ID);
	assert_memory_equal(one->secret, two_->secret, WIRE_MESH_SECRET);
	assert_string_equal(town_state(t, 1, 2, NULL), "suggested");
	assert_string_equal(town_said(t, IKE_EV_SUGGESTED),
			    "site-1.example and site-2.example: 10.0.1.1 sends to 10.0.2.1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_traffic_is_what_suggests, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
