/* Three hubs that all know each other: who is where, they send to exactly there
 * (R09, R16). */
#include "exchange/cities.h"

static int setup(void **state)
{
	static struct cities t;

	cities_init(&t, 81);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	cities_done(*state);
	return 0;
}

#define CITY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* Each names the others; no shortcuts, so that all goes by the hubs. */
static void city_of_three(struct cities *t, unsigned k)
{
	city_new(t, k);
	t->hub[k].net->topology = MESH_STAR;
	for (unsigned other = 1; other <= CITY_HUBS; other++)
		if (other != k)
			(void)city_calls(t, k, other);
	city_start(t, k);
}

/* Long enough for directories to have come. */
static void hubs_settle(struct cities *t)
{
	world_live(t->w, dur_ms(10000));
}

static void three_cities(struct cities *t)
{
	for (unsigned k = 1; k <= CITY_HUBS; k++)
		city_of_three(t, k);
	hubs_settle(t);
}

/* A packet of site a, at hub `at`, for site b, at hub `there`. */
static bool reaches(struct cities *t, unsigned a, unsigned at, unsigned there, unsigned b)
{
	struct node *first = t->hub[at].node, *second = t->hub[there].node;
	char src[32], dst[32];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	return world_ping(t->w, t->site[a], src, first, dst) &&
	       (first == second || world_ping(t->w, first, src, second, dst)) &&
	       world_ping(t->w, second, src, t->site[b], dst);
}

/* `at`: at which hub each is, from 1 on. */
static void all_reach_all(struct cities *t, const unsigned *at, unsigned n)
{
	for (unsigned a = 1; a <= n; a++)
		for (unsigned b = 1; b <= n; b++)
			if (a != b && !reaches(t, a, at[a], at[b], b))
				fail_msg("site %u at hub %u does not reach site %u at hub %u", a,
					 at[a], b, at[b]);
}

static uint64_t dp_counter(const struct node *n, const char *name)
{
	const char *is;
	uint64_t value;

	for (size_t i = 0; n->dp->ops->counter(n->dp, i, &is, &value); i++)
		if (strcmp(is, name) == 0)
			return value;
	fail_msg("no counter %s", name);
	return 0;
}

/* What the hub's host has for an address that nobody has: refused there and then. */
static void refused_at(struct cities *t, unsigned k, const char *dst)
{
	struct node *hub = t->hub[k].node;
	uint64_t before = dp_counter(hub, "tx.discard");

	world_run(t->w);
	node_packet(hub, "10.1.0.1", dst);
	assert_int_equal(dp_counter(hub, "tx.discard"), before + 1);
	assert_int_equal(world_packets(t->w), 0);
}

/* Comes up at another hub under the same name; the old one has lost its power. */
static void moves(struct cities *t, unsigned n, unsigned k, const char *name)
{
	char address[32];
	const char *const at[] = { address, NULL };
	struct town_site s = town_new(n, city_address(k));

	snprintf(address, sizeof(address), "192.0.2.%u", 30 + k);
	node_kill(t->site[n]);
	t->site[n] = world_node(t->w, name, at, s.c);
	world_live(t->w, dur_s(1));
	assert_string_equal(town_at(t->site[n]), city_name(k));
}

/* ---- who reaches whom ------------------------------------------------------------------------ */

/* R09, R16: members of three hubs reach each other, by their hubs and no third one. */
static void test_all_reach_all(void **state)
{
	static const unsigned at[] = { 0, 1, 2, 3, 1 };
	struct cities *t = *state;

	three_cities(t);
	for (unsigned n = 1; n <= CITY_SITES; n++)
		(void)town_joins(t, n, at[n]);
	world_live(t->w, dur_s(1));
	all_reach_all(t, at, CITY_SITES);
	for (unsigned k = 1; k <= CITY_HUBS; k++) {
		assert_int_equal(dp_counter(t->hub[k].node, "tx.reflected"), 0);
		assert_int_equal(dp_counter(t->hub[k].node, "tx.discard"), 0);
		assert_int_equal(node_events(t->hub[k].node, IKE_EV_REFUSED), 0);
	}
}

/* A3, R16: two hubs call a third one: neither has the domain to the other's exclusion, and a member
 * has its prefix beside both. */
static void test_two_call_one(void **state)
{
	static const unsigned at[] = { 0, 2, 2, 3 };
	struct cities *t = *state;

	for (unsigned k = 1; k <= CITY_HUBS; k++) {
		city_new(t, k);
		t->hub[k].net->topology = MESH_STAR;
	}
	(void)city_calls(t, 1, 2);
	(void)city_calls(t, 3, 2);
	for (unsigned k = 1; k <= CITY_HUBS; k++)
		city_start(t, k);
	hubs_settle(t);
	assert_int_equal(t->hub[1].node->n_children, 1);
	assert_int_equal(t->hub[3].node->n_children, 1);
	assert_int_equal(t->hub[2].node->n_children, 2);
	for (unsigned n = 1; n <= 3; n++)
		(void)town_joins(t, n, at[n]);
	world_live(t->w, dur_s(1));
	all_reach_all(t, at, 3);
	assert_int_equal(node_events(t->hub[2].node, IKE_EV_REFUSED), 0);
}

/* R16: what nobody has is refused at the first hub. */
static void test_nobody(void **state)
{
	struct cities *t = *state;

	three_cities(t);
	(void)town_joins(t, 1, 1);
	(void)town_joins(t, 2, 2);
	world_live(t->w, dur_s(1));
	for (unsigned k = 1; k <= CITY_HUBS; k++)
		refused_at(t, k, "10.9.0.1");
	assert_true(reaches(t, 1, 1, 2, 2));
	assert_int_equal(node_command(t->site[2], IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_live(t->w, dur_s(1));
	for (unsigned k = 1; k <= CITY_HUBS; k++)
		refused_at(t, k, "10.2.0.1");
}

/* ---- changes --------------------------------------------------------------------------------- */

/* R09: a member moves, and the others follow; what is left of it where it was is passed over. */
static void test_member_moves(void **state)
{
	static const char *const names[] = { "", "back", "there" };
	struct cities *t = *state;
	unsigned at[] = { 0, 2, 2, 3 };

	three_cities(t);
	for (unsigned n = 1; n <= 3; n++)
		(void)town_joins(t, n, at[n]);
	world_live(t->w, dur_s(1));
	all_reach_all(t, at, 3);
	for (unsigned k = 1; k <= 2; k++) {
		moves(t, 1, k, names[k]);
		at[1] = k;
		all_reach_all(t, at, 3);
	}
}

/* R02: of two ways to a hub one ends, and then that hub dies; its member goes to another one, and
 * back when it is there again. */
static void test_hub_dies_and_comes_back(void **state)
{
	unsigned at[] = { 0, 1, 2, 3 };
	struct cities *t = *state;

	three_cities(t);
	for (unsigned n = 1; n <= 3; n++)
		(void)town_joins(t, n, at[n]);
	world_live(t->w, dur_s(1));
	node_command(t->hub[1].node, IKE_CMD_DOWN, STAR_PEER + 2);
	world_live(t->w, dur_s(1));
	all_reach_all(t, at, 3);
	node_kill(t->hub[3].node);
	world_live(t->w, dur_s(30));
	moves(t, 3, 2, "elsewhere");
	at[3] = 2;
	refused_at(t, 1, "10.9.0.1");
	all_reach_all(t, at, 3);
	node_restart(t->hub[3].node);
	world_live(t->w, dur_s(60));
	all_reach_all(t, at, 3);
	moves(t, 3, 3, "home");
	at[3] = 3;
	all_reach_all(t, at, 3);
	refused_at(t, 1, "10.9.0.1");
	refused_at(t, 3, "10.9.0.1");
}

/* R16: all keys are replaced, many times, and nobody says a word about prefixes. */
static void test_rekeys(void **state)
{
	static const unsigned at[] = { 0, 1, 2, 3 };
	struct cities *t = *state;
	size_t given;

	three_cities(t);
	for (unsigned n = 1; n <= 3; n++)
		(void)town_joins(t, n, at[n]);
	world_live(t->w, dur_s(60));
	given = dp_fake_ops_of(t->hub[1].node->dp, DP_PEER_PREFIX);
	assert_true(given > 0);
	world_live(t->w, dur_s(6 * 3600));
	assert_int_equal(dp_fake_ops_of(t->hub[1].node->dp, DP_PEER_PREFIX), given);
	all_reach_all(t, at, 3);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* R11: each allocation of a hub fails once, while a member comes up at another one. */
static void test_without_memory(void **state)
{
	static const unsigned at[] = { 0, 1, 2 };
	bool more = true;

	(void)state;
	for (long n = 0; more; n++) {
		struct cities t;
		struct test_mem *mem;

		cities_init(&t, 82);
		three_cities(&t);
		(void)town_joins(&t, 1, 1);
		mem = &t.hub[1].node->mem;
		mem->refused = 0;
		mem->fail_at = mem->calls + n;
		(void)town_joins(&t, 2, 2);
		world_live(t.w, dur_s(2));
		more = mem->refused > 0;
		mem->fail_at = -1;
		world_live(t.w, dur_s(90));
		all_reach_all(&t, at, 2);
		refused_at(&t, 1, "10.9.0.1");
		cities_done(&t);
		assert_in_range(n, 0, 2000);
	}
}

/* R11: and each operation of its data plane. */
static void test_operations_fail(void **state)
{
	static const unsigned at[] = { 0, 1, 2 };

	(void)state;
	for (unsigned n = 1; n <= 8; n++) {
		struct cities t;

		cities_init(&t, 83);
		three_cities(&t);
		(void)town_joins(&t, 1, 1);
		dp_fake_fail(t.hub[1].node->dp, n, ST_NOMEM);
		(void)town_joins(&t, 2, 2);
		world_live(t.w, dur_s(5));
		all_reach_all(&t, at, 2);
		cities_done(&t);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CITY_TEST(test_all_reach_all),
		CITY_TEST(test_two_call_one),
		CITY_TEST(test_nobody),
		CITY_TEST(test_member_moves),
		CITY_TEST(test_hub_dies_and_comes_back),
		CITY_TEST(test_rekeys),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_operations_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
