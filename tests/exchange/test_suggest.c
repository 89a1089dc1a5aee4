/*
 * A hub and its members with engines: from a packet that goes from site to site, through what the
 * hub suggests, to a tunnel between the two, and its end.
 *
 *	10.1.0.0/16 -- site-1 ====== hub ====== site-2 -- 10.2.0.0/16
 *	                  \\=====================//
 */
#include "exchange/exchange.h"
#include "harness/star.h"

#define ONE "site-1.example"
#define TWO "site-2.example"
#define THREE "site-3.example"

struct town {
	struct star s;
	struct world *w;
	struct node *site[STAR_SITES + 1];
};

static int setup(void **state)
{
	static struct town t;

	t = (struct town){ 0 };
	star_init(&t.s, 1);
	t.w = t.s.w;
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct town *t = *state;

	star_done(&t->s);
	return 0;
}

static struct town *open_with(void **state, enum mesh_topology topology, unsigned n)
{
	struct town *t = *state;

	star_mesh(&t->s, topology);
	star_hub(&t->s);
	for (unsigned i = 1; i <= n; i++)
		t->site[i] = star_join(&t->s, i);
	return t;
}

static const char *pair(struct town *t, const char *a, const char *b)
{
	return node_pair_state(t->s.hub, a, b);
}

/* A packet from site to site by the hub, and what follows from it. */
static void talk(struct town *t, unsigned a, unsigned b)
{
	assert_true(star_ping(&t->s, t->site[a], a, t->site[b], b));
	world_live(t->w, dur_ms(300));
}

static bool direct(struct town *t, unsigned a, unsigned b)
{
	char src[16], dst[16];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	return world_ping(t->w, t->site[a], src, t->site[b], dst) &&
	       world_ping(t->w, t->site[b], dst, t->site[a], src);
}

/* Another configuration of the hub. */
static void reload(struct town *t, enum mesh_topology topology)
{
	struct test_conf *c = test_conf_copy(t->s.hub->conf);

	c->network[0].topology = topology;
	node_reconfigure(t->s.hub, c);
}

/* U2, T2, R01: nobody configured the one for the other. */
static void test_one_packet(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 3);

	assert_int_equal(node_members(t->s.hub), 3);
	assert_false(direct(t, 1, 2));
	talk(t, 1, 2);
	assert_string_equal(node_shortcut_state(t->site[1], TWO), "up");
	assert_string_equal(node_shortcut_state(t->site[2], ONE), "up");
	assert_string_equal(pair(t, ONE, TWO), "up");
	assert_true(direct(t, 1, 2));
	says(t->s.hub, IKE_EV_SUGGESTED,
	     "site-1.example and site-2.example: 10.1.0.1 sends to 10.2.0.1");
	says(t->s.hub, IKE_EV_SHORTCUT, "site-1.example and site-2.example: direct, from ");
	assert_int_equal(node_counter(t->s.hub, "mesh.suggested"), 1);
	assert_int_equal(node_counter(t->s.hub, "mesh.up"), 1);
	assert_string_equal(pair(t, ONE, THREE), "");
}

/* It goes when nobody needs it, and comes again. */
static void test_idle(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 2);

	for (unsigned i = 1; i <= 3; i++) {
		talk(t, 2, 1);
		assert_string_equal(pair(t, ONE, TWO), "up");
		assert_int_equal(node_counter(t->s.hub, "mesh.suggested"), i);
		world_live(t->w, dur_s(200));
		assert_string_equal(pair(t, ONE, TWO), "");
		assert_false(direct(t, 1, 2));
	}
	assert_int_equal(node_events(t->s.hub, IKE_EV_SHORTCUT_FAILED), 0);
	assert_int_equal(node_events(t->s.hub, IKE_EV_SHORTCUT_ENDED), 3);
}

/* O5: who has ended it says why, and the other one that it was not himself. */
static void test_one_of_both_ends_it(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 2);
	struct node_shortcut one, two;
	struct node_pair p;

	talk(t, 1, 2);
	assert_int_equal(node_withdraw(t->site[2], ONE), ST_OK);
	world_live(t->w, dur_s(1));
	assert_true(node_shortcut(t->site[1], TWO, &one));
	assert_true(node_shortcut(t->site[2], ONE, &two));
	assert_string_equal(wire_mesh_reason_name(one.info.reason), "partner_ended");
	assert_string_equal(wire_mesh_reason_name(two.info.reason), "withdrawn");
	assert_true(node_pair(t->s.hub, ONE, TWO, &p));
	assert_string_equal(wire_mesh_reason_name(p.info.reason), "withdrawn");
	assert_string_equal(p.info.state, "failed");
}

/* T1, R13 */
static void test_the_topology_becomes_a_star(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 2);

	talk(t, 1, 2);
	reload(t, MESH_STAR);
	world_live(t->w, dur_ms(300));
	assert_string_equal(pair(t, ONE, TWO), "not allowed");
	assert_string_equal(node_shortcut_state(t->site[1], TWO), "ended");
	assert_string_equal(node_shortcut_state(t->site[2], ONE), "ended");
	assert_false(direct(t, 1, 2));
	talk(t, 1, 2);
	assert_false(direct(t, 1, 2));
	assert_true(star_ping(&t->s, t->site[1], 1, t->site[2], 2));
	/* And dynamic again. */
	reload(t, MESH_DYNAMIC);
	world_live(t->w, dur_s(2));
	talk(t, 1, 2);
	assert_true(direct(t, 1, 2));
}

/* T3: without a packet, and what one loses comes again. */
static void test_a_full_mesh(void **state)
{
	struct town *t = open_with(state, MESH_FULL, 4);

	world_live(t->w, dur_s(1));
	for (unsigned a = 1; a <= 4; a++)
		for (unsigned b = a + 1; b <= 4; b++)
			assert_true(direct(t, a, b));
	assert_int_equal(node_counter(t->s.hub, "mesh.up"), 6);
	t->site[5] = star_join(&t->s, 5);
	world_live(t->w, dur_s(1));
	for (unsigned a = 1; a <= 4; a++)
		assert_true(direct(t, a, 5));
	world_live(t->w, dur_s(3600));
	assert_int_equal(node_counter(t->s.hub, "mesh.up"), 10);
	assert_int_equal(node_counter(t->s.hub, "mesh.suggested"), 10);
}

/* A site does not take any: the other one is told, and neither is asked again and again. */
static void test_one_refuses(void **state)
{
	struct town *t = *state;
	struct star_site two;
	struct node_pair p;

	star_mesh(&t->s, MESH_DYNAMIC);
	star_hub(&t->s);
	t->site[1] = star_join(&t->s, 1);
	two = star_site(&t->s, 2, NULL, NULL);
	two.net->takes = false;
	t->site[2] = star_start(&t->s, &two);
	world_run(t->w);
	talk(t, 1, 2);
	assert_true(node_pair(t->s.hub, TWO, ONE, &p));
	assert_string_equal(p.info.state, "failed");
	assert_int_equal(p.info.reason, WIRE_MR_POLICY);
	assert_string_equal(p.by, TWO);
	assert_string_not_equal(node_shortcut_state(t->site[1], TWO), "up");
	assert_int_equal(ike_totals(t->site[1]->ike).sas, 1);
	for (unsigned i = 0; i < 60; i++)
		talk(t, 1, 2);
	assert_int_equal(node_counter(t->s.hub, "mesh.suggested"), 1);
}

/* Traffic on the direct way, so that it does not idle out. */
static void keep_talking(struct town *t, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		assert_true(direct(t, 1, 2));
		world_live(t->w, dur_s(1));
	}
}

/* R11: what is up goes on without the hub; one that has started anew hears of it. */
static void test_the_hub_starts_anew(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 0);

	for (unsigned i = 1; i <= 2; i++) {
		struct star_site site = star_site(&t->s, i, NULL, NULL);

		site.p->dpd_delay = dur_s(5);
		t->site[i] = star_start(&t->s, &site);
	}
	world_run(t->w);
	talk(t, 1, 2);
	node_restart(t->s.hub);
	for (unsigned i = 0; i < 300 && node_members(t->s.hub) < 2; i++)
		keep_talking(t, 1);
	assert_int_equal(node_members(t->s.hub), 2);
	keep_talking(t, 2);
	assert_string_equal(pair(t, ONE, TWO), "up");
	assert_int_equal(node_counter(t->s.hub, "mesh.suggested"), 0);
	reload(t, MESH_STAR);
	world_live(t->w, dur_s(1));
	assert_false(direct(t, 1, 2));
}

/* One of both starts anew: the other one's half goes, another one comes. */
static void test_a_site_starts_anew(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 2);

	talk(t, 1, 2);
	for (unsigned i = 1; i <= 2; i++) {
		keep_talking(t, 3);
		node_restart(t->site[i]);
		world_live(t->w, dur_s(3));
		assert_false(direct(t, 1, 2));
		talk(t, i, 3 - i);
		world_live(t->w, dur_s(3));
		assert_true(direct(t, 1, 2));
		assert_string_equal(pair(t, ONE, TWO), "up");
		assert_int_equal(node_counter(t->s.hub, "mesh.up"), 1 + i);
	}
}

#define town_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_one_packet),          town_test(test_idle),
		town_test(test_one_of_both_ends_it), town_test(test_the_topology_becomes_a_star),
		town_test(test_a_full_mesh),         town_test(test_one_refuses),
		town_test(test_the_hub_starts_anew), town_test(test_a_site_starts_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
