/*
 * A site on several hubs at once: which of them has its traffic, and suggestions of all of them
 * (R09, R16, U2).
 *
 *	site-1 ===+=== hub-1 ===+=== site-2		hub-1 is the preferred one of both
 *	          `=== hub-2 ===´
 */
#include "exchange/cities.h"

static int setup(void **state)
{
	static struct cities t;

	cities_init(&t, 64);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	cities_done(*state);
	return 0;
}

#define CITY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

enum { SECOND = STAR_PEER + 1 };

/* Attached to both, hub `first` before the other one. */
static struct town_site both_new(unsigned n, unsigned first)
{
	struct town_site s = town_new(n, city_address(first));
	static const ike_peer_id others[] = { SECOND };
	struct ike_peer_conf *p;

	s.p->network = "corp";
	s.p->capabilities = IKE_CAN_PARTNER | IKE_AT_SEVERAL;
	s.p->dpd_delay = dur_s(30);
	p = test_conf_peer(s.c, SECOND, "corp/2", NULL, town_name(n), "%any", 0);
	*p = *s.p;
	p->id = SECOND;
	p->name = "corp/2";
	p->rank = 1;
	test_conf_addresses(s.c, p, city_address(3 - first));
	s.net->hubs = others;
	s.net->n_hubs = 1;
	return s;
}

static void joins_both(struct cities *t, unsigned n, unsigned first)
{
	struct town_site s = both_new(n, first);

	town_start(t, n, &s)->looks = true;
}

static bool is_up(const struct node *n, ike_peer_id section)
{
	return strcmp(node_peer(n, section).state, "up") == 0;
}

static bool leads(const struct node *n, ike_peer_id section)
{
	return node_peer(n, section).leads &&
	       !node_peer(n, section == SECOND ? STAR_PEER : SECOND).leads;
}

static void two_hubs(struct cities *t)
{
	two_cities(t);
	for (unsigned n = 1; n <= 2; n++) {
		t->hub[n].node->looks = true;
		joins_both(t, n, 1);
	}
	world_live(t->w, dur_s(8));
	for (unsigned n = 1; n <= 2; n++)
		assert_true(is_up(t->site[n], STAR_PEER) && is_up(t->site[n], SECOND));
}

static bool by_hub(struct cities *t, unsigned a, unsigned k, unsigned b)
{
	char src[32], dst[32];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	return world_ping_via(t->w, t->site[a], src, t->hub[k].node, t->site[b], dst);
}

static bool goes_directly(struct cities *t)
{
	return cities_direct(t, 1, 2) && cities_direct(t, 2, 1);
}

/* ---- which has the traffic ------------------------------------------------------------------- */

/* U2: both are up, the first of the file has the traffic, and each hub has its own SA with each. */
static void test_preferred_leads(void **state)
{
	struct cities *t = *state;

	two_hubs(t);
	assert_true(leads(t->site[1], STAR_PEER) && leads(t->site[2], STAR_PEER));
	assert_true(by_hub(t, 1, 1, 2));
	assert_false(by_hub(t, 1, 2, 2));
	assert_int_equal(node_members(t->hub[1].node), 2);
	assert_int_equal(node_members(t->hub[2].node), 2);
	/* What comes in on the other one is taken. */
	assert_true(world_ping(t->w, t->hub[2].node, "10.9.0.1", t->site[1], "10.1.0.1"));
	assert_true(world_ping(t->w, t->hub[1].node, "10.9.0.1", t->site[1], "10.1.0.1"));
}

/* R01, R02: the preferred one does not answer: the other one has the traffic at once; it comes
 * back, and has the traffic again when it has been up for a while. */
static void test_other_takes_over(void **state)
{
	struct cities *t = *state;

	two_hubs(t);
	node_kill(t->hub[1].node);
	(void)by_hub(t, 1, 1, 2);
	world_live(t->w, dur_s(3));
	assert_true(leads(t->site[1], SECOND));
	assert_true(by_hub(t, 1, 2, 2));
	assert_string_equal(node_event(t->site[1], IKE_EV_ATTACHED)->text,
			    "traffic of the network goes by \"corp/2\" now, not by \"corp\"");
	node_restart(t->hub[1].node);
	while (!is_up(t->site[1], STAR_PEER))
		world_live(t->w, dur_s(1));
	assert_true(leads(t->site[1], SECOND));
	world_live(t->w, dur_s(7));
	assert_true(leads(t->site[1], STAR_PEER));
}

/* R01: only the way between one site and its preferred hub is cut: what others send by that hub
 * reaches it by the other one. */
static void test_hub_goes_round(void **state)
{
	struct cities *t = *state;

	two_hubs(t);
	t->site[2]->unplugged = true;
	(void)by_hub(t, 1, 1, 2);
	world_live(t->w, dur_s(3));
	assert_true(leads(t->site[1], STAR_PEER));
	/* Suspected here: by the shorter prefix, to the other hub. */
	assert_true(world_ping_via(t->w, t->site[1], "10.1.0.1", t->hub[1].node, t->hub[2].node,
				   "10.2.0.1"));
	t->site[2]->unplugged = false;
	world_live(t->w, dur_s(3));
	assert_true(by_hub(t, 1, 1, 2) || goes_directly(t));
}

/* ---- suggestions -------------------------------------------------------------------------- */

/* U2, R09: both hubs suggest the same pair in the same moment: one tunnel, which all know of. */
static void test_both_suggest(void **state)
{
	struct cities *t = *state;

	two_hubs(t);
	assert_true(by_hub(t, 1, 1, 2));
	assert_true(world_ping_via(t->w, t->site[2], "10.2.0.1", t->hub[1].node, t->site[1],
				   "10.1.0.1"));
	node_kill(t->hub[1].node);
	world_live(t->w, dur_s(30));
	assert_true(goes_directly(t) || by_hub(t, 1, 2, 2));
	world_live(t->w, dur_s(5));
	assert_true(goes_directly(t));
	assert_string_equal(node_pair_state(t->hub[2].node, town_name(1), town_name(2)), "up");
}

/* U2, R09: the sites prefer different hubs, so each hub sees traffic of the pair. */
static void test_crossed(void **state)
{
	struct cities *t = *state;

	two_cities(t);
	for (unsigned n = 1; n <= 2; n++)
		joins_both(t, n, n);
	world_live(t->w, dur_s(8));
	assert_true(by_hub(t, 1, 1, 2));
	assert_true(by_hub(t, 2, 2, 1));
	assert_int_equal(node_counter(t->hub[1].node, "mesh.suggested"), 1);
	assert_int_equal(node_counter(t->hub[2].node, "mesh.suggested"), 1);
	assert_int_equal(node_counter(t->hub[1].node, "mesh.relayed"), 0);
	world_live(t->w, dur_s(5));
	assert_true(goes_directly(t));
	for (unsigned k = 1; k <= 2; k++) {
		assert_int_equal(node_counter(t->site[k], "mesh.direct"), 1);
		assert_string_equal(node_pair_state(t->hub[k].node, town_name(1), town_name(2)),
				    "up");
	}
}

/* R02, R09: the hub that suggested it dies: the tunnel stays; the other one knows of it, hears of
 * its end, and suggests the next. */
static void test_other_hub_knows(void **state)
{
	struct cities *t = *state;

	two_hubs(t);
	assert_true(by_hub(t, 1, 1, 2));
	world_live(t->w, dur_s(5));
	assert_true(goes_directly(t));
	assert_int_equal(node_counter(t->hub[1].node, "mesh.suggested"), 1);
	assert_int_equal(node_counter(t->hub[2].node, "mesh.suggested"), 0);
	assert_string_equal(node_pair_state(t->hub[2].node, town_name(1), town_name(2)), "up");
	node_kill(t->hub[1].node);
	world_live(t->w, dur_s(40));
	assert_true(goes_directly(t));
	assert_int_equal(node_withdraw(t->site[1], town_name(2)), ST_OK);
	world_live(t->w, dur_s(1));
	assert_string_equal(node_pair_state(t->hub[2].node, town_name(1), town_name(2)), "failed");
}

/* R16: who is attached to both stays where it is in both directories, and nothing goes to and fro
 * between the hubs. */
static void test_directory_is_calm(void **state)
{
	struct cities *t = *state;
	uint64_t before;

	two_hubs(t);
	before = node_counter(t->hub[1].node, "mesh.tx.words") +
		 node_counter(t->hub[2].node, "mesh.tx.words");
	world_live(t->w, dur_s(120));
	assert_int_equal(node_counter(t->hub[1].node, "mesh.tx.words") +
				 node_counter(t->hub[2].node, "mesh.tx.words"),
			 before);
	assert_int_equal(node_members(t->hub[1].node), 2);
	/* It leaves one of them: it is at the other one, for both. */
	node_command(t->site[1], IKE_CMD_DOWN, STAR_PEER);
	world_live(t->w, dur_s(2));
	assert_non_null(strstr(directory(t->hub[1].node), "site-1.example@hub-2.example"));
	assert_null(strstr(directory(t->hub[2].node), "site-1.example@"));
	assert_true(leads(t->site[1], SECOND));
	assert_int_equal(node_command(t->site[1], IKE_CMD_UP, STAR_PEER), ST_OK);
	world_live(t->w, dur_s(2));
	assert_null(strstr(directory(t->hub[1].node), "site-1.example@"));
	assert_null(strstr(directory(t->hub[2].node), "site-1.example@"));
}

/* ---- hubs die in each phase --------------------------------------------------------------- */

static void killed(unsigned k)
{
	bool more = true;
	unsigned n;

	for (n = 0; more; n++) {
		struct cities t;

		cities_init(&t, 65);
		two_hubs(&t);
		assert_true(by_hub(&t, 1, 1, 2));
		for (unsigned i = 0; i < n && world_packets(t.w); i++)
			world_deliver(t.w, world_packet(t.w, 0));
		more = world_packets(t.w);
		node_kill(t.hub[k].node);
		world_live(t.w, dur_s(30));
		if (!goes_directly(&t)) { /* the hub that is left sees their traffic */
			(void)by_hub(&t, 1, 3 - k, 2);
			world_live(t.w, dur_s(20));
			(void)by_hub(&t, 1, 3 - k, 2);
			world_live(t.w, dur_s(20));
		}
		assert_true(goes_directly(&t));
		cities_done(&t);
		assert_in_range(n, 0, 200);
	}
	print_message("# %u datagrams\n", n);
}

/* R02 */
static void test_preferred_dies(void **state)
{
	(void)state;
	killed(1);
}

static void test_second_dies(void **state)
{
	(void)state;
	killed(2);
}

/* ---- reloads ------------------------------------------------------------------------------- */

/* T4: from one hub at a time to both and back: the SA with the preferred one is renewed in place,
 * no packet finds no way. */
static void test_reload(void **state)
{
	struct cities *t = *state;
	struct town_site one = town_new(1, "192.0.2.1 192.0.2.2"), all = both_new(1, 1);
	struct town_site other = both_new(2, 1);

	two_cities(t);
	(void)town_start(t, 1, &one);
	(void)town_start(t, 2, &other);
	world_live(t->w, dur_s(8));
	assert_true(by_hub(t, 1, 1, 2));
	(void)ike_conf_ref(&one.c->conf);
	node_reconfigure(t->site[1], all.c);
	assert_true(world_ping(t->w, t->site[1], "10.1.0.1", t->hub[1].node, "10.9.0.1"));
	world_live(t->w, dur_s(8));
	assert_true(is_up(t->site[1], STAR_PEER) && is_up(t->site[1], SECOND));
	assert_true(leads(t->site[1], STAR_PEER));
	assert_true(world_ping(t->w, t->site[1], "10.1.0.1", t->hub[1].node, "10.9.0.1"));
	node_reconfigure(t->site[1], one.c);
	assert_true(world_ping(t->w, t->site[1], "10.1.0.1", t->hub[1].node, "10.9.0.1"));
	world_live(t->w, dur_s(8));
	assert_string_equal(town_at(t->site[1]), city_name(1));
	assert_true(goes_directly(t));
	assert_true(world_ping(t->w, t->site[1], "10.1.0.1", t->hub[1].node, "10.9.0.1"));
	assert_null(strstr(directory(t->hub[2].node), "site-1.example "));
}

/* R16: while one of the hubs that the file names is up, nobody is called whom a hub has named. */
static void test_learnt_are_the_last(void **state)
{
	struct cities *t = *state;

	two_hubs(t);
	node_kill(t->hub[1].node);
	world_live(t->w, dur_s(400));
	assert_true(is_up(t->site[1], SECOND));
	assert_false(is_up(t->site[1], STAR_PEER));
	assert_string_equal(town_at(t->site[1]), "");
	assert_true(leads(t->site[1], SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CITY_TEST(test_preferred_leads),
		CITY_TEST(test_other_takes_over),
		CITY_TEST(test_hub_goes_round),
		CITY_TEST(test_both_suggest),
		CITY_TEST(test_crossed),
		CITY_TEST(test_other_hub_knows),
		CITY_TEST(test_directory_is_calm),
		CITY_TEST(test_reload),
		CITY_TEST(test_learnt_are_the_last),
		cmocka_unit_test(test_preferred_dies),
		cmocka_unit_test(test_second_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
