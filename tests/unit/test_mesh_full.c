/* A full mesh: what a hub waits for before it suggests, and how much of it is under way. */
#include "mesh_town.h"

static void open_full(struct town *t)
{
	t->silent_events = true;
	t->network.topology = MESH_FULL;
	town_open(t);
}

static void place(struct town *t, unsigned n)
{
	town_places(t, n, "192.168.1.1", 4500);
}

/* ---- a hub that knows nothing yet ---------------------------------------------------------- */

/* R11, T2: what its members made before it started is not suggested, though who comes first says it
 * while the other one is not there; what there is not is. */
static void test_a_hub_starts_anew(void **state)
{
	enum { N = 40, ALONE = 7 };
	struct town *t = *state;

	open_full(t);
	town_comes(t, 1);
	for (unsigned n = 1; n <= N; n++) {
		for (unsigned k = 1; k <= N; k++)
			if (k != n && k != ALONE && n != ALONE)
				town_has(t, n, k);
		town_comes(t, n + 1);
		place(t, n);
		town_pass(t, 50);
	}
	town_leaves(t, N + 1);
	town_pass(t, 1000);
	assert_int_equal(town_counter(t, "mesh.suggested"), MESH_MEMBER_PENDING);
	for (unsigned n = 1; n <= N; n++)
		assert_true(n == ALONE || town_suggestions(t, n) <= 1);
	while (town_obeys(t))
		town_pass(t, 1000);
	assert_int_equal(town_counter(t, "mesh.suggested"), N - 1);
	for (unsigned n = 2; n <= N; n++)
		assert_string_equal(town_state(t, 1, n, NULL), "up");
}

/* Nobody waits for ever: neither for who says nothing, nor, with a packet, for who says it late. */
static void test_members_that_say_nothing(void **state)
{
	struct town *t = *state;

	open_full(t);
	town_comes(t, 1);
	town_comes(t, 2);
	town_join(t, 3);
	town_pass(t, (MESH_SILENT_S - 1) * 1000);
	town_has(t, 2, 9); /* of nobody here, but 2 has begun to talk */
	assert_int_equal(t->words, 0);
	town_pass(t, 1500);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_int_equal(town_suggestions(t, 2), 0);
	town_pass(t, MESH_SILENT_S * 1000);
	assert_int_equal(town_suggestions(t, 2), 2);
}

/* R01: as soon as both have said it, when there was traffic before. */
static void test_traffic_does_not_wait(void **state)
{
	struct town *t = *state;

	town_open(t);
	town_join(t, 1);
	town_comes(t, 2);
	town_flow(t, 1, 2);
	assert_string_equal(town_state(t, 1, 2, NULL), "wanted");
	assert_int_equal(t->words, 0);
	place(t, 2);
	town_pass(t, 0);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_int_equal(town_suggestions(t, 2), 1);
}

/* Who was away may have made tunnels at another hub. */
static void test_a_member_comes_back(void **state)
{
	struct town *t = *state;

	open_full(t);
	town_join(t, 1);
	town_join(t, 2);
	town_pass(t, 10);
	assert_int_equal(town_obeys(t), 2);
	town_leaves(t, 2);
	town_join(t, 3);
	town_pass(t, 10);
	assert_int_equal(town_obeys(t), 2);
	town_comes(t, 2);
	town_pass(t, 1000);
	assert_int_equal(town_obeys(t), 0);
	town_has(t, 2, 3);
	place(t, 2);
	town_pass(t, 1000);
	assert_int_equal(town_obeys(t), 0);
	assert_string_equal(town_state(t, 2, 3, NULL), "up");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_a_hub_starts_anew),
		town_test(test_members_that_say_nothing),
		town_test(test_traffic_does_not_wait),
		town_test(test_a_member_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
