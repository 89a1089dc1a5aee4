/* Hub and sites, each with its mesh: from a packet to a tunnel and back (R09, R11, R16, S1). */
#include "exchange/shortcut.h"

struct trio {
	struct star s;
	struct node *one, *two;
};

static struct node *mobile(struct star *s, unsigned number, bool mobike)
{
	struct star_site site = star_site(s, number, NULL, NULL);
	struct node *n;
	char at[32];

	site.p->mobike = mobike;
	site.p->dpd_delay = dur_s(5);
	n = star_start(s, &site);
	world_run(s->w);
	snprintf(at, sizeof(at), "192.0.2.%u", 10 + number);
	node_moves(n, at, NULL);
	world_run(s->w);
	assert_true(star_is_up(s, n, number));
	return n;
}

static void join_as(struct trio *t, uint64_t seed, enum mesh_topology topology, bool mobike)
{
	star_init(&t->s, seed);
	star_mesh(&t->s, topology);
	t->s.ph->mobike = mobike;
	star_hub(&t->s);
	t->one = mobile(&t->s, 1, mobike);
	t->two = mobile(&t->s, 2, mobike);
}

static void join_all(struct trio *t, uint64_t seed, enum mesh_topology topology)
{
	join_as(t, seed, topology, true);
}

static bool is_direct(const struct trio *t)
{
	return star_is_direct(&t->s, t->one, 1, t->two, 2);
}

static void talk_until_direct(struct trio *t)
{
	star_talk(&t->s, t->one, 1, t->two, 2);
	assert_true(is_direct(t));
}

/* Packets both ways, whichever way they take. */
static bool any_ping(struct trio *t)
{
	return (star_ping_direct(&t->s, t->one, 1, t->two, 2) ||
		star_ping(&t->s, t->one, 1, t->two, 2)) &&
	       (star_ping_direct(&t->s, t->two, 2, t->one, 1) ||
		star_ping(&t->s, t->two, 2, t->one, 1));
}

/* The first packet goes by the hub, what follows goes directly, in both directions. */
static void who_talks_gets_a_tunnel(void **state)
{
	struct trio t;

	(void)state;
	join_all(&t, 1, MESH_DYNAMIC);
	world_live(t.s.w, dur_s(5));
	assert_string_equal(node_shortcut_state(t.one, TWO), "");
	star_talk(&t.s, t.two, 2, t.one, 1);
	assert_true(is_direct(&t));
	assert_true(star_ping_direct(&t.s, t.one, 1, t.two, 2));
	assert_true(star_ping_direct(&t.s, t.two, 2, t.one, 1));
	star_done(&t.s);
}

static void full_mesh_without_a_packet(void **state)
{
	struct trio t;

	(void)state;
	join_all(&t, 2, MESH_FULL);
	world_live(t.s.w, dur_s(5));
	assert_true(is_direct(&t));
	assert_true(star_ping_direct(&t.s, t.one, 1, t.two, 2));
	star_done(&t.s);
}

static void star_has_none(void **state)
{
	struct trio t;

	(void)state;
	join_all(&t, 3, MESH_STAR);
	for (int i = 0; i < 20; i++) {
		assert_true(star_ping(&t.s, t.one, 1, t.two, 2));
		world_live(t.s.w, dur_s(1));
	}
	assert_string_equal(node_shortcut_state(t.one, TWO), "");
	star_done(&t.s);
}

/* It ends when nobody needs it, and comes again when somebody does. */
static void idle_and_again(void **state)
{
	struct trio t;

	(void)state;
	join_all(&t, 4, MESH_DYNAMIC);
	for (int i = 0; i < 3; i++) {
		talk_until_direct(&t);
		world_live(t.s.w, dur_s(130));
		assert_string_equal(node_shortcut_state(t.one, TWO), "ended");
		assert_string_equal(node_shortcut_state(t.two, ONE), "ended");
		assert_int_equal(ike_totals(t.one->ike).sas, 1);
	}
	star_done(&t.s);
}

/* Both ends talk all the time; however one of them moves, there is a direct way again soon. */
static void either_end_moves(void **state)
{
	struct trio t;

	(void)state;
	for (unsigned who = 1; who <= 2; who++) {
		join_all(&t, 5, MESH_DYNAMIC);
		talk_until_direct(&t);
		world_live(t.s.w, dur_s(15));
		node_moves(who == 1 ? t.one : t.two, "192.0.2.111", NULL);
		for (int i = 0; i < 5; i++) {
			(void)any_ping(&t);
			world_live(t.s.w, dur_s(1));
		}
		assert_true(is_direct(&t));
		assert_true(star_ping_direct(&t.s, t.one, 1, t.two, 2));
		assert_true(star_ping_direct(&t.s, t.two, 2, t.one, 1));
		star_done(&t.s);
	}
}

static bool not_translated(void *ctx, const struct ike_sa_info *info)
{
	bool *any = ctx;

	*any |= !info->nat_local;
	return true;
}

/* It knows, of all its SAs, that it is behind a NAT. */
static bool knows_its_nat(const struct node *n)
{
	bool any = false;

	ike_each_sa(n->ike, n->w->now, not_translated, &any);
	return !any;
}

/* Both ends talk for a second, which is what it may take to find out; then all goes directly. */
static void goes_on_directly(struct trio *t)
{
	for (int i = 0; i < 10; i++) {
		(void)star_ping_direct(&t->s, t->one, 1, t->two, 2);
		(void)star_ping_direct(&t->s, t->two, 2, t->one, 1);
		world_live(t->s.w, dur_ms(100));
	}
	for (int i = 0; i < 100; i++) {
		assert_true(star_ping_direct(&t->s, t->one, 1, t->two, 2));
		assert_true(star_ping_direct(&t->s, t->two, 2, t->one, 1));
		world_live(t->s.w, dur_ms(100));
	}
	assert_true(is_direct(t));
}

/* Where one end is does not change, and there is a NAT in front of it from now on, whoever called;
 * then that forgets what it knows.  The tunnel stays. */
static void a_nat_comes_between(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool mobike = i & 2;
		struct trio t;
		struct node *n;

		join_as(&t, 30 + i, MESH_DYNAMIC, mobike);
		talk_until_direct(&t);
		t.one->looks = t.two->looks = true;
		n = i & 1 ? t.two : t.one;
		world_nat(t.s.w, i & 1 ? "192.0.2.12" : "192.0.2.11", "203.0.113.9", 40000);
		goes_on_directly(&t);
		if (mobike)
			assert_true(knows_its_nat(n));
		world_nat_forget(t.s.w);
		goes_on_directly(&t);
		assert_int_equal(node_events(t.one, IKE_EV_SHORTCUT_ENDED), 0);
		assert_int_equal(node_events(t.two, IKE_EV_SHORTCUT_ENDED), 0);
		star_done(&t.s);
	}
}

/* It has another address, and a NAT in front of it: no packet is lost, and all goes directly again.
 * Who was called finds out in the next tunnel. */
static void either_end_moves_behind_a_nat(void **state)
{
	(void)state;
	for (unsigned who = 1; who <= 2; who++) {
		struct trio t;
		struct node *n;

		join_all(&t, 34 + who, MESH_DYNAMIC);
		talk_until_direct(&t);
		t.one->looks = t.two->looks = true;
		n = who == 1 ? t.one : t.two;
		world_nat(t.s.w, "172.16.0.2", "203.0.113.9", 40000);
		node_moves(n, "172.16.0.2", NULL);
		for (int i = 0; i < 150; i++) {
			world_live(t.s.w, dur_ms(100));
			assert_true(any_ping(&t));
		}
		goes_on_directly(&t);
		assert_true(knows_its_nat(n));
		world_nat_forget(t.s.w);
		goes_on_directly(&t);
		star_done(&t.s);
	}
}

/* Either end starts again: the other one takes the new suggestion, as its BOOT is another. */
static void either_end_starts_again(void **state)
{
	struct trio t;

	(void)state;
	for (unsigned who = 1; who <= 2; who++) {
		struct node *n;

		join_all(&t, 6, MESH_DYNAMIC);
		talk_until_direct(&t);
		world_live(t.s.w, dur_s(15));
		n = who == 1 ? t.one : t.two;
		node_restart(n);
		for (int i = 0; i < 60; i++) {
			(void)any_ping(&t);
			world_live(t.s.w, dur_s(1));
		}
		assert_true(is_direct(&t));
		assert_true(star_ping_direct(&t.s, t.one, 1, t.two, 2));
		assert_true(star_ping_direct(&t.s, t.two, 2, t.one, 1));
		star_done(&t.s);
	}
}

/* Not a packet is lost without the hub; when it is back it knows what there is. */
static void the_hub_starts_again(void **state)
{
	struct trio t;

	(void)state;
	join_all(&t, 7, MESH_DYNAMIC);
	talk_until_direct(&t);
	node_restart(t.s.hub);
	for (int i = 0; i < 100; i++) {
		assert_true(star_ping_direct(&t.s, t.one, 1, t.two, 2));
		assert_true(star_ping_direct(&t.s, t.two, 2, t.one, 1));
		world_live(t.s.w, dur_s(1));
	}
	assert_true(is_direct(&t));
	assert_int_equal(node_events(t.one, IKE_EV_SHORTCUT), 1);
	star_done(&t.s);
}

/* An operator's word holds for a while. */
static void withdrawn_for_a_while(void **state)
{
	struct trio t;

	(void)state;
	join_all(&t, 8, MESH_DYNAMIC);
	talk_until_direct(&t);
	assert_int_equal(node_withdraw(t.two, ONE), ST_OK);
	world_live(t.s.w, dur_s(1));
	for (int i = 0; i < 60; i++) {
		assert_true(star_ping(&t.s, t.one, 1, t.two, 2));
		world_live(t.s.w, dur_s(1));
	}
	assert_string_equal(node_shortcut_state(t.one, TWO), "ended");
	star_done(&t.s);
}

/* A reload of the hub's topology is followed by what is up. */
static void topology_becomes_a_star(void **state)
{
	struct test_conf *c;
	struct trio t;

	(void)state;
	join_all(&t, 9, MESH_DYNAMIC);
	talk_until_direct(&t);
	c = test_conf_copy(t.s.hub->conf);
	c->network[0].topology = MESH_STAR;
	node_reconfigure(t.s.hub, c);
	world_live(t.s.w, dur_s(2));
	assert_string_equal(node_shortcut_state(t.one, TWO), "ended");
	assert_string_equal(node_shortcut_state(t.two, ONE), "ended");
	assert_true(star_ping(&t.s, t.one, 1, t.two, 2));
	c = test_conf_copy(t.s.hub->conf);
	c->network[0].topology = MESH_FULL;
	node_reconfigure(t.s.hub, c);
	world_live(t.s.w, dur_s(20));
	assert_true(is_direct(&t));
	star_done(&t.s);
}

/* A site that wants none says so, and stays where it is. */
static void who_wants_none_has_none(void **state)
{
	struct test_conf *c;
	struct node_pair pair;
	struct trio t;

	(void)state;
	join_all(&t, 10, MESH_DYNAMIC);
	c = test_conf_copy(t.two->conf);
	c->network[0].takes = false;
	node_reconfigure(t.two, c);
	world_run(t.s.w);
	star_talk(&t.s, t.one, 1, t.two, 2);
	assert_true(node_pair(t.s.hub, ONE, TWO, &pair));
	assert_string_equal(pair.by, TWO);
	assert_int_equal(pair.info.reason, WIRE_MR_POLICY);
	assert_non_null(strstr(pair.text, "turned off"));
	assert_string_equal(node_shortcut_state(t.one, TWO), "failed");
	assert_true(star_ping(&t.s, t.one, 1, t.two, 2));
	star_done(&t.s);
}

/* One of both has an address of the hub's pool, and nothing else. */
static void with_an_inner_address(void **state)
{
	struct node *one, *roamer;
	struct node_shortcut s;
	char inner[IP_TEXT_MAX];
	struct star star;

	(void)state;
	star_init(&star, 11);
	star_mesh(&star, MESH_DYNAMIC);
	star_pool(&star, NULL);
	star_hub(&star);
	one = star_join(&star, 1);
	roamer = star_roam(&star, 3);
	ip_text(&roamer->got.addresses[0].ip, inner);
	assert_true(world_ping_via(star.w, one, "10.1.0.1", star.hub, roamer, inner));
	world_live(star.w, dur_ms(500));
	assert_string_equal(node_shortcut_state(one, "site-3.example"), "up");
	assert_true(node_shortcut(roamer, ONE, &s));
	assert_string_equal(s.info.state, "up");
	assert_true(world_ping(star.w, one, "10.1.0.1", roamer, inner));
	assert_true(world_ping(star.w, roamer, inner, one, "10.1.0.1"));
	star_done(&star);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_talks_gets_a_tunnel),
		cmocka_unit_test(full_mesh_without_a_packet),
		cmocka_unit_test(star_has_none),
		cmocka_unit_test(idle_and_again),
		cmocka_unit_test(either_end_moves),
		cmocka_unit_test(a_nat_comes_between),
		cmocka_unit_test(either_end_moves_behind_a_nat),
		cmocka_unit_test(either_end_starts_again),
		cmocka_unit_test(the_hub_starts_again),
		cmocka_unit_test(withdrawn_for_a_while),
		cmocka_unit_test(topology_becomes_a_star),
		cmocka_unit_test(who_wants_none_has_none),
		cmocka_unit_test(with_an_inner_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
