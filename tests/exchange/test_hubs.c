/* Several hubs: what they and their members are told of hubs. */
#include "exchange/cities.h"

static int setup(void **state)
{
	static struct cities t;

	cities_init(&t, 61);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	cities_done(*state);
	return 0;
}

#define CITY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#define HUB1 "hub-1.example@192.0.2.1:500"
#define HUB1_UP "hub-1.example*@192.0.2.1:500"
#define HUB2 "hub-2.example@192.0.2.2:500"
#define HUB2_UP "hub-2.example*@192.0.2.2:500"
#define HUB3 "hub-3.example@192.0.2.3:500"

/* ---- announcements --------------------------------------------------------------------------- */

/* R16: hubs tell each other where they are, and members where all are. */
static void test_hubs_are_announced(void **state)
{
	struct cities *t = *state;
	struct node *site;

	two_cities(t);
	assert_string_equal(known_hubs(t->hub[1].node), HUB2_UP);
	assert_string_equal(known_hubs(t->hub[2].node), HUB1_UP);
	assert_int_equal(node_members(t->hub[1].node) + node_members(t->hub[2].node), 0);
	site = town_joins(t, 1, 1);
	world_live(t->w, dur_s(2));
	assert_string_equal(known_hubs(site), HUB1_UP " " HUB2);
	assert_int_equal(node_events(site, IKE_EV_HUBS), 1);
	assert_string_equal(node_event(site, IKE_EV_HUBS)->text,
			    "hub-1.example says that hubs are hub-1.example at 192.0.2.1; "
			    "hub-2.example at 192.0.2.2");
}

/* R16, R01: a hub is added while all run; no site's file changes; and when the one that a site was
 * told of dies, it goes to another. */
static void test_hub_is_added_and_used(void **state)
{
	struct cities *t = *state;
	struct node *one, *two;

	two_cities(t);
	one = town_joins(t, 1, 1);
	two = town_joins(t, 2, 2);
	city_new(t, 3);
	(void)city_calls(t, 3, 1);
	(void)city_calls(t, 3, 2);
	city_start(t, 3);
	world_live(t->w, dur_s(4));
	assert_string_equal(known_hubs(one), HUB1_UP " " HUB2 " " HUB3);
	assert_string_equal(known_hubs(two), HUB2_UP " " HUB1 " " HUB3);
	node_kill(t->hub[1].node);
	node_kill(t->hub[2].node);
	node_command(one, IKE_CMD_DOWN, STAR_PEER);
	node_command(two, IKE_CMD_DOWN, STAR_PEER);
	world_live(t->w, dur_s(1));
	assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
	assert_int_equal(node_command(two, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_live(t->w, dur_s(600));
	assert_string_equal(town_at(one), city_name(3));
	assert_string_equal(town_at(two), city_name(3));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CITY_TEST(test_hubs_are_announced),
		CITY_TEST(test_hub_is_added_and_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
