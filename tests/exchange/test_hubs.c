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

/* R16, T4: a hub is elsewhere since a reload, and then says nothing of where it is; its members,
 * and those of other hubs, hear it. */
static void test_hub_says_otherwise(void **state)
{
	static const char *const there[] = { "hub.example.net", "192.0.2.9" };
	struct cities *t = *state;
	struct test_conf *c;
	struct node *one, *two;

	two_cities(t);
	one = town_joins(t, 1, 1);
	two = town_joins(t, 2, 2);
	world_live(t->w, dur_s(2));
	c = test_conf_copy(t->hub[1].c);
	c->network[0].announce = there;
	c->network[0].n_announce = 2;
	node_reconfigure(t->hub[1].node, c);
	world_live(t->w, dur_s(2));
	assert_non_null(strstr(known_hubs(one), "hub-1.example*@"));
	assert_non_null(strstr(known_hubs(one), "@192.0.2.9:500"));
	assert_non_null(strstr(known_hubs(two), "@192.0.2.9:500"));
	assert_string_equal(node_event(t->hub[2].node, IKE_EV_HUBS)->text,
			    "another hub says that it is hub-1.example at hub.example.net, "
			    "192.0.2.9");
	c = test_conf_copy(c);
	c->network[0].n_announce = 0;
	node_reconfigure(t->hub[1].node, c);
	world_live(t->w, dur_s(2));
	assert_string_equal(known_hubs(one), HUB2);
	assert_string_equal(known_hubs(two), HUB2_UP);
	assert_string_equal(known_hubs(t->hub[2].node), "");
	assert_int_equal(node_counter(one, "mesh.rx.old") + node_counter(two, "mesh.rx.old"), 0);
}

static struct wire_mesh_hub known_at(uint16_t port)
{
	return (struct wire_mesh_hub){ .id = { WIRE_ID_FQDN, bytes_str(city_name(2)) },
				       .at = { { port, test_ip("192.0.2.2"), { NULL, 0 } } },
				       .n_at = 1 };
}

/* R16: what was known before a restart suffices, until a hub says more; and it takes seconds. */
static void test_what_was_known_is_tried(void **state)
{
	struct cities *t = *state;
	const struct wire_mesh_hub known = known_at(500);
	struct town_site s = town_new(1, "192.0.2.1");
	struct node *site;

	city_new(t, 2);
	city_start(t, 2);
	site = town_start(t, 1, &s);
	assert_int_equal(mesh_hubs_load(site->mesh, t->w->now, "corp", &known, 1), ST_OK);
	assert_int_equal(mesh_hubs_load(site->mesh, t->w->now, "corp", &known, 1), ST_INVAL);
	assert_int_equal(mesh_hubs_load(site->mesh, t->w->now, "other", &known, 1), ST_INVAL);
	world_live(t->w, dur_s(6));
	assert_string_equal(town_at(site), city_name(2));
	assert_string_equal(known_hubs(site), HUB2_UP);
}

/* R16: a hub is called at the port that it says, also by a site whose network has another one. */
static void test_a_hub_at_another_port(void **state)
{
	struct cities *t = *state;
	const struct wire_mesh_hub known = known_at(14500);
	struct town_site s = town_new(1, "192.0.2.1");
	struct node *site;

	city_new(t, 2);
	t->hub[2].c->conf.nat_port = 14500;
	t->hub[2].net->port = 14500;
	city_start(t, 2);
	site = town_start(t, 1, &s);
	assert_int_equal(mesh_hubs_load(site->mesh, t->w->now, "corp", &known, 1), ST_OK);
	world_live(t->w, dur_s(6));
	assert_string_equal(town_at(site), city_name(2));
	assert_string_equal(known_hubs(site), "hub-2.example*@192.0.2.2:14500");
}

/* R16: the first hub comes back, whenever, while the next one is called: there is one SA, at one of
 * them, and nothing at the other. */
static void test_never_two(void **state)
{
	struct cities *t = *state;

	for (int64_t ms = 0; ms < 8000; ms += 250) {
		struct town_site s = town_new(1, "192.0.2.1 192.0.2.2");
		struct node_sa sa[4];
		struct node *site;

		city_new(t, 1);
		city_new(t, 2);
		t->hub[1].p->start = t->hub[2].p->start = IKE_START_LISTEN;
		site = town_start(t, 1, &s);
		world_live(t->w, dur_ms(ms));
		city_start(t, 1);
		world_live(t->w, dur_ms(4000 - ms % 4000));
		city_start(t, 2);
		world_live(t->w, dur_s(30));
		assert_int_equal(node_sas(site, sa, ARRAY_LEN(sa)), 1);
		assert_true(sa[0].info.established);
		assert_int_equal(node_sas(t->hub[1].node, sa, ARRAY_LEN(sa)) +
					 node_sas(t->hub[2].node, sa, ARRAY_LEN(sa)),
				 1);
		cities_done(t);
		cities_init(t, 62 + (unsigned)ms);
	}
}

/* S1: a member that says RELAY, and has no blocks for the domain, is a member like any other. */
static void test_who_says_so_is_no_hub(void **state)
{
	struct cities *t = *state;
	struct town_site s = town_new(3, "192.0.2.1");
	struct node *mallory, *site;
	uint8_t word[] = { 0, 0,  0, 0, 0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, /* id */
			   0, 7,  0, 4, 'c', 'o', 'r', 'p', /* CONTEXT */
			   0, 11, 0, 8, 0,   0,   0,   0,   0, 0, 0, 9, /* SEQUENCE */
			   0, 17, 0, 1, 3 }; /* MEMBER: anew */
	uint64_t id;

	two_cities(t);
	site = town_joins(t, 1, 1);
	s.p->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	mallory = town_start(t, 3, &s);
	world_live(t->w, dur_s(2));
	assert_string_equal(known_hubs(t->hub[1].node), HUB2_UP);
	assert_string_equal(known_hubs(site), HUB1_UP " " HUB2);
	assert_int_equal(
		node_ask(mallory, STAR_PEER, WIRE_N_SHORTCUT_DIRECTORY, BYTES_OF(word), &id),
		ST_OK);
	world_run(t->w);
	assert_int_equal(node_counter(t->hub[1].node, "mesh.refused.not_a_hub"), 1);
	assert_int_equal(node_counter(t->hub[1].node, "mesh.rx.directory"), 1);
	assert_string_equal(directory(t->hub[1].node), "site-1.example site-3.example");
}

/* R16: a hub may announce what it likes: who is called there has to be one. */
static void test_a_lie_leads_nowhere(void **state)
{
	struct cities *t = *state;
	static const char *const lie[] = { "192.0.2.3" };
	struct node *site;

	city_new(t, 1);
	t->hub[1].net->announce = lie;
	city_start(t, 1);
	city_new(t, 3);
	test_conf_cert_blocks(t->hub[3].c, t->hub[3].p, CITY_KEY + 3, STAR_CA, STAR_CA,
			      "10.200.0.0/16");
	city_start(t, 3);
	site = town_joins(t, 1, 1);
	world_live(t->w, dur_s(2));
	node_kill(t->hub[1].node);
	assert_int_equal(node_command(site, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_live(t->w, dur_s(1));
	assert_int_equal(node_command(site, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_live(t->w, dur_s(300));
	assert_string_equal(town_at(site), "");
	assert_int_equal(site->n_children, 0);
	assert_non_null(strstr(node_event(site, IKE_EV_REFUSED)->text, "is no hub of \"corp\""));
}

/* ---- the directory --------------------------------------------------------------------------- */

/* R09: hubs know whose members the others have, those of before and those that come and go. */
static void test_members_are_told(void **state)
{
	struct cities *t = *state;
	struct node *two;

	city_new(t, 1);
	city_new(t, 2);
	(void)city_calls(t, 1, 2);
	city_start(t, 2);
	two = town_joins(t, 2, 2);
	city_start(t, 1);
	world_live(t->w, dur_s(2));
	(void)town_joins(t, 1, 1);
	world_live(t->w, dur_s(1));
	assert_string_equal(directory(t->hub[1].node),
			    "site-2.example@hub-2.example site-1.example");
	assert_string_equal(directory(t->hub[2].node),
			    "site-2.example site-1.example@hub-1.example");
	assert_int_equal(node_command(two, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_live(t->w, dur_s(1));
	assert_string_equal(directory(t->hub[1].node), "site-1.example");
	assert_string_equal(directory(t->hub[2].node), "site-1.example@hub-1.example");
	assert_int_equal(node_counter(t->hub[1].node, "mesh.rx.directory_hole"), 0);
}

/* R09: the latest attachment wins, and what is left at the other hub is of no interest. */
static void test_member_moves(void **state)
{
	struct cities *t = *state;
	const char *const at[] = { "192.0.2.31", NULL };
	struct town_site s = town_new(1, city_address(2));
	struct node *one;

	two_cities(t);
	one = town_joins(t, 1, 1);
	world_live(t->w, dur_s(1));
	node_kill(one); /* its hub does not know */
	one = world_node(t->w, "moved", at, s.c);
	world_live(t->w, dur_s(1));
	assert_string_equal(town_at(one), city_name(2));
	assert_string_equal(directory(t->hub[2].node), "site-1.example");
	assert_string_equal(directory(t->hub[1].node), "site-1.example!hub-2.example");
	node_command(t->hub[1].node, IKE_CMD_DOWN, STAR_PEER);
	world_live(t->w, dur_s(60));
	assert_string_equal(directory(t->hub[1].node), "site-1.example@hub-2.example");
	assert_string_equal(directory(t->hub[2].node), "site-1.example");
}

/* R02: a hub is lost: who is there is remembered for a minute, and nobody suggests it. */
static void test_hub_is_lost(void **state)
{
	struct cities *t = *state;

	two_cities(t);
	(void)town_joins(t, 1, 1);
	(void)town_joins(t, 2, 2);
	world_live(t->w, dur_s(1));
	node_kill(t->hub[2].node);
	node_command(t->hub[1].node, IKE_CMD_DOWN, STAR_PEER + 1);
	world_live(t->w, dur_s(400));
	assert_string_equal(directory(t->hub[1].node), "site-1.example");
}

/* ---- relayed suggestions --------------------------------------------------------------------- */

/* T2, R09: members of two hubs are suggested to each other, by either, once. */
static void test_members_of_two_hubs(void **state)
{
	struct cities *t = *state;
	struct node_pair pair;

	two_cities(t);
	(void)town_joins(t, 1, 1);
	(void)town_joins(t, 2, 2);
	world_live(t->w, dur_s(1));
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2));
	world_live(t->w, dur_ms(900));
	assert_true(cities_direct(t, 1, 2));
	assert_true(node_pair(t->hub[1].node, town_name(1), town_name(2), &pair));
	assert_string_equal(pair.info.state, "up");
	assert_true(pair.info.relayed);
	assert_string_equal(node_pair_state(t->hub[2].node, town_name(1), town_name(2)), "up");
	assert_int_equal(node_counter(t->hub[1].node, "mesh.suggested"), 1);
	assert_int_equal(node_counter(t->hub[2].node, "mesh.suggested"), 0);
	assert_int_equal(node_counter(t->hub[2].node, "mesh.relayed"), 1);
	world_live(t->w, dur_s(10));
	assert_true(cities_direct(t, 1, 2));
	assert_int_equal(node_counter(t->site[1], "mesh.direct"), 1);
	assert_int_equal(node_counter(t->site[2], "mesh.direct"), 1);
}

/* T2: the hub of the larger identity does it, when the other one does not. */
static void test_the_other_hub_suggests(void **state)
{
	struct cities *t = *state;

	two_cities(t);
	(void)town_joins(t, 1, 2); /* the smaller identity is at the hub that sees nothing */
	(void)town_joins(t, 2, 1);
	t->hub[2].p->flows = false;
	world_live(t->w, dur_s(1));
	assert_true(cities_ping(t, 2, t->hub[1].node, t->hub[2].node, 1));
	world_live(t->w, dur_s(3));
	assert_true(cities_direct(t, 2, 1));
	assert_int_equal(node_counter(t->site[1], "mesh.direct"), 1);
	assert_int_equal(node_counter(t->site[2], "mesh.direct"), 1);
}

/* A4: what the other hub's topology does not allow does not come about. */
static void test_the_other_hub_refuses(void **state)
{
	struct cities *t = *state;
	struct node_pair pair;

	city_new(t, 1);
	city_new(t, 2);
	(void)city_calls(t, 1, 2);
	t->hub[2].net->topology = MESH_STAR;
	city_start(t, 2);
	city_start(t, 1);
	world_run(t->w);
	(void)town_joins(t, 1, 1);
	(void)town_joins(t, 2, 2);
	world_live(t->w, dur_s(1));
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2));
	world_live(t->w, dur_s(2));
	assert_string_equal(node_shortcut_state(t->site[2], town_name(1)), "");
	assert_true(node_pair(t->hub[1].node, town_name(1), town_name(2), &pair));
	assert_string_equal(pair.info.state, "failed");
	assert_int_equal(pair.info.reason, WIRE_MR_POLICY);
	assert_string_equal(pair.by, town_name(2));
}

/* T2: a full mesh over two hubs. */
static void test_full_mesh_of_two_hubs(void **state)
{
	struct cities *t = *state;

	city_new(t, 1);
	city_new(t, 2);
	(void)city_calls(t, 1, 2);
	t->hub[1].net->topology = t->hub[2].net->topology = MESH_FULL;
	city_start(t, 2);
	city_start(t, 1);
	world_run(t->w);
	for (unsigned i = 1; i <= 4; i++)
		(void)town_joins(t, i, 1 + i % 2);
	world_live(t->w, dur_s(5));
	for (unsigned a = 1; a <= 4; a++)
		for (unsigned b = a + 1; b <= 4; b++)
			assert_true(cities_direct(t, a, b));
}

/* What the site says is lost. */
static void joins_unheard(struct cities *t, unsigned n, unsigned k)
{
	struct town_site s = town_new(n, city_address(k));
	struct node *site = town_start(t, n, &s);
	struct packet *p;

	while ((p = world_packet(t->w, 0))) {
		struct bytes ike = packet_ike(p);

		if (ike.n > 18 && ike.p[18] == WIRE_SHORTCUT &&
		    ip_eq(&p->src.ip, &site->address[0]))
			world_drop(t->w, p);
		else
			world_deliver(t->w, p);
	}
}

/* T2: it is a full mesh all the same when hubs hear of each other's members late, and that their
 * own ones have just started, later. */
static void test_full_mesh_of_late_words(void **state)
{
	struct cities *t = *state;

	city_new(t, 1);
	city_new(t, 2);
	(void)city_calls(t, 1, 2);
	t->hub[1].net->topology = t->hub[2].net->topology = MESH_FULL;
	city_start(t, 2);
	city_start(t, 1);
	world_run(t->w);
	joins_unheard(t, 1, 1);
	joins_unheard(t, 2, 2);
	world_advance(t->w, dur_ms(200));
	world_drop_all(t->w);
	world_live(t->w, dur_s(10));
	assert_true(cities_direct(t, 1, 2));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CITY_TEST(test_hubs_are_announced),
		CITY_TEST(test_hub_is_added_and_used),
		CITY_TEST(test_hub_says_otherwise),
		CITY_TEST(test_what_was_known_is_tried),
		CITY_TEST(test_a_hub_at_another_port),
		CITY_TEST(test_never_two),
		CITY_TEST(test_who_says_so_is_no_hub),
		CITY_TEST(test_a_lie_leads_nowhere),
		CITY_TEST(test_members_are_told),
		CITY_TEST(test_member_moves),
		CITY_TEST(test_hub_is_lost),
		CITY_TEST(test_members_of_two_hubs),
		CITY_TEST(test_the_other_hub_suggests),
		CITY_TEST(test_the_other_hub_refuses),
		CITY_TEST(test_full_mesh_of_two_hubs),
		CITY_TEST(test_full_mesh_of_late_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
