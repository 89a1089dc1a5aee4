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

/* ---- how much is under way ----------------------------------------------------------------- */

/* Of that member, or of all. */
static size_t open_of(struct town *t, unsigned n)
{
	struct citizen *c = citizen(t, n);
	size_t k = 0;

	for (size_t i = 0; i < c->n_heard; i++)
		k += c->heard[i].kind == SUGGEST && c->heard[i].id;
	return k;
}

static size_t under_way(struct town *t, unsigned n)
{
	size_t k = 0;

	for (unsigned i = 1; i <= n; i++)
		k += open_of(t, i);
	return k / 2;
}

/* T2: a few at first, one for each before anybody has two; more, as long as they come up soon; and
 * few again while they take long. */
static void test_a_mesh_is_as_fast_as_its_members(void **state)
{
	enum { N = 120 };
	struct town *t = *state;
	size_t most = 0;

	t->silent_events = true;
	town_open(t);
	for (unsigned n = 1; n <= N; n++)
		town_join(t, n);
	t->network.topology = MESH_FULL;
	assert_int_equal(town_reload(t), ST_OK);
	town_pass(t, 100);
	assert_int_equal(under_way(t, N), MESH_MESH_FIRST);
	for (unsigned n = 1; n <= N; n++)
		assert_true(open_of(t, n) <= 2);
	for (unsigned i = 0; i < 4; i++) {
		(void)town_obeys(t);
		town_pass(t, 100);
		assert_true(under_way(t, N) > most);
		most = under_way(t, N);
	}
	assert_true(most > N * 3);
	for (unsigned i = 0; i < 5; i++) {
		town_pass(t, MESH_UP_LATE_MS);
		(void)town_obeys(t);
		town_pass(t, 100);
	}
	assert_int_equal(under_way(t, N), MESH_MESH_LEAST);
	assert_int_equal(town_pairs(t, "suggested"), MESH_MESH_LEAST);
	while (town_obeys(t))
		town_pass(t, 1000);
	assert_int_equal(town_counter(t, "mesh.up"), N * (N - 1) / 2);
	assert_int_equal(town_pairs(t, "up"), N * (N - 1) / 2);
	for (unsigned n = 1; n <= N; n++)
		town_leaves(t, n);
	town_pass(t, MESH_AWAY_S * 1000);
	assert_int_equal(town_pairs(t, "up") + town_pairs(t, "idle"), 0);
}

/* Who do not answer are no reason to try more of it. */
static void test_a_mesh_of_which_some_are_silent(void **state)
{
	enum { N = 60 };
	struct town *t = *state;

	t->silent_events = true;
	town_open(t);
	for (unsigned n = 1; n <= N; n++)
		town_join(t, n);
	t->network.topology = MESH_FULL;
	assert_int_equal(town_reload(t), ST_OK);
	town_pass(t, 100);
	town_pass(t, MESH_ANSWER_S * 1000);
	town_pass(t, 100);
	assert_true(town_counter(t, "mesh.suggested") < 2 * MESH_MESH_FIRST);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_a_hub_starts_anew),
		town_test(test_members_that_say_nothing),
		town_test(test_traffic_does_not_wait),
		town_test(test_a_member_comes_back),
		town_test(test_a_mesh_is_as_fast_as_its_members),
		town_test(test_a_mesh_of_which_some_are_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
