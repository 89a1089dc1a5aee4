/*
 * Inner addresses, when a reload changes their pools: who is there, who is not, and what the store
 * knows of both.  R06, S1.
 */
#include "exchange/exchange.h"
#include "exchange/inner.h"
#include "ike/limits.h"

/* A larger pool, the same once more: nobody notices. */
static void pool_grows(void **state)
{
	struct star *s = *state;
	struct node *one, *two;
	unsigned sent;

	star_pool(s, "10.99.0.0/30");
	star_hub(s);
	one = star_roam(s, 1);
	two = star_roam(s, 2);
	sent = s->hub->sent;
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/29 fd00:99::/64"));
	world_live(s->w, dur_s(200));
	assert_int_equal(s->hub->sent, sent);
	has_addresses(one, "10.99.0.1/32");
	has_addresses(star_roam(s, 3), "10.99.0.3/32 fd00:99::1/128");
	pool_is(s, 6 + (1 << 20) - 1, 4, 3, 3);
	/* At their next start they get what there is now. */
	node_restart(two);
	world_live(s->w, dur_s(20));
	has_addresses(two, "10.99.0.2/32 fd00:99::2/128");
}

/* What an identity had before our start is nobody else's either. */
static void loaded_and_pool_grows(void **state)
{
	struct star *s = *state;

	star_pool(s, "10.99.0.1-10.99.0.3");
	star_hub(s);
	node_kill(s->hub);
	keep(s->hub, "corp", "site-1.example", "10.99.0.1", NULL, WORLD_WALL - 100);
	assert_int_equal(node_start(s->hub), ST_OK);
	node_reconfigure(s->hub, with_pool(s, "10.99.0.1-10.99.0.9"));
	has_addresses(star_roam(s, 2), "10.99.0.2/32");
	has_addresses(star_roam(s, 1), "10.99.0.1/32");
}

/* An address that is of no pool any more: its owner keeps it, is asked to come again within a
 * minute, and gets another one beside it.  Who is not there loses it. */
static void pool_moves(void **state)
{
	struct star *s = *state;
	struct node *one, *two, *three;

	star_pool(s, "10.99.0.0/24");
	star_hub(s);
	one = star_roam(s, 1);
	two = star_roam(s, 2);
	three = star_roam(s, 3);
	assert_int_equal(node_command(three, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s->w);
	node_reconfigure(s->hub, with_pool(s, "10.98.0.0/24 10.99.0.2/32"));
	pool_is(s, 255, 1, 2, 2);
	assert_true(world_ping(s->w, one, "10.99.0.1", s->hub, "10.0.0.1"));
	world_live(s->w, dur_s(30));
	assert_true(world_ping(s->w, one, "10.99.0.1", s->hub, "10.0.0.1"));
	has_addresses(one, "10.99.0.1/32");
	world_live(s->w, dur_s(60));
	has_addresses(one, "10.98.0.1/32");
	assert_int_equal(one->n_got, 2);
	says(s->hub, IKE_EV_LEASE,
	     "site-1.example has the inner address 10.98.0.1 in place of 10.99.0.1");
	assert_true(world_ping(s->w, one, "10.98.0.1", s->hub, "10.0.0.1"));
	assert_false(world_ping(s->w, one, "10.99.0.1", s->hub, "10.0.0.1"));
	stored_as(s->hub, "site-1.example", "10.98.0.1", NULL, true);
	has_addresses(two, "10.99.0.2/32");
	assert_int_equal(two->n_got, 1);
	assert_int_equal(node_command(three, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
	has_addresses(three, "10.98.0.2/32");
}

/* Who does not come again in time is let go. */
static void stray_for_too_long(void **state)
{
	struct star *s = *state;
	struct script sc;
	struct pair p;
	struct test_conf *c;

	(void)s;
	pair_init(&p, 140);
	test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
	pair_start_b(&p);
	script_init(&sc, p.w, "192.0.2.1", p.b, true);
	auth_with_cp(&sc, 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	c = test_conf_copy(p.b->conf);
	test_conf_pool(c, &c->peer[0], "10.98.0.0/24");
	node_reconfigure(p.b, c);
	world_advance(p.w, dur_s(2));
	assert_true(script_take(&sc));
	assert_non_null(script_notify(&sc, WIRE_N_AUTH_LIFETIME));
	script_begin(&sc, WIRE_INFORMATIONAL, true);
	script_send(&sc);
	world_run(p.w);
	world_advance(p.w, dur_s(IKE_STRAY_S - 5));
	assert_int_equal(p.b->n_children, 1);
	world_advance(p.w, dur_s(IKE_REAUTH_GRACE_MIN_S + 10));
	assert_int_equal(p.b->n_children, 0);
	assert_int_equal(node_counter(p.b, "ike.sa.expired"), 1);
	script_done(&sc);
	pair_done(&p);
}

/* A reload that gives one section's pool to another: nobody gets there what somebody has here. */
static void pool_of_another_section(void **state)
{
	struct pair *p = *state;
	struct script s[2];
	struct test_conf *c;
	struct ike_peer_conf *other;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/29");
	other = test_conf_peer(p->cb, 2, "other", NULL, "b.example", "*.roam", 1);
	other->ts_local = p->pb->ts_local;
	test_conf_pool(p->cb, other, "10.98.0.0/29");
	pair_start_b(p);
	script_init(&s[0], p->w, "192.0.2.1", p->b, true);
	auth_with_cp(&s[0], 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	reply_is(&s[0], "0001 0004 0a630001 000d 0008 0a020000 ffff0000");
	c = test_conf_copy(p->b->conf);
	test_conf_pool(c, &c->peer[0], "10.98.0.0/29");
	test_conf_pool(c, &c->peer[1], "10.99.0.0/29");
	node_reconfigure(p->b, c);
	world_drop_all(p->w);
	script_init(&s[1], p->w, "192.0.2.8", p->b, true);
	s[1].id = "x.roam";
	auth_with_cp(&s[1], 1, "0001 0004 0a630001", "0.0.0.0/0", "0.0.0.0/0");
	reply_is(&s[1], "0001 0004 0a630002 000d 0008 0a020000 ffff0000");
	/* Once he is gone it is free. */
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_advance(p->w, dur_s(100));
	world_drop_all(p->w);
	script_done(&s[0]);
	script_init(&s[0], p->w, "192.0.2.7", p->b, true);
	s[0].id = "y.roam";
	auth_with_cp(&s[0], 1, "0001 0004 0a630001", "0.0.0.0/0", "0.0.0.0/0");
	reply_is(&s[0], "0001 0004 0a630001 000d 0008 0a020000 ffff0000");
	script_done(&s[0]);
	script_done(&s[1]);
}

/* No pool any more: what is up is asked to come again, and gets nothing then. */
static void pool_goes(void **state)
{
	struct star *s = *state;
	struct node *one;

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	node_reconfigure(s->hub, with_pool(s, NULL));
	world_live(s->w, dur_s(20));
	assert_true(world_ping(s->w, one, "10.99.0.1", s->hub, "10.0.0.1"));
	world_live(s->w, dur_s(100));
	assert_int_equal(one->n_children, 0);
	assert_false(one->got.up);
	assert_int_equal(star_member(s, "site-1.example"), 0);
	/* And back. */
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24 fd00:99::/64"));
	world_live(s->w, dur_s(120));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
}

/* A reload while the store works on it. */
static void pool_moves_meanwhile(void **state)
{
	struct star *s = *state;
	struct node *one;

	one = stores_first(s, "10.99.0.0/24");
	node_reconfigure(s->hub, with_pool(s, "10.98.0.0/24"));
	node_answer(s->hub, node_pending(s->hub, PENDING_STORE, 0));
	world_run(s->w);
	assert_false(one->got.up);
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	node_release(s->hub);
	world_live(s->w, dur_s(60));
	has_addresses(one, "10.98.0.1/32");
	stored_as(s->hub, "site-1.example", "10.98.0.1", NULL, true);
	pool_is(s, 254, 1, 1, 1);
}

/* The endpoint's own reload: asks for more, for less, for nothing. */
static void asks_otherwise(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct test_conf *c;
	struct node *one;

	star_pool(s, NULL);
	star_hub(s);
	site = star_endpoint(s, 1);
	site.p->ask_v6 = false;
	one = star_start(s, &site);
	world_run(s->w);
	has_addresses(one, "10.99.0.1/32");
	c = test_conf_copy(one->conf);
	c->peer[0].ask_v6 = true;
	node_reconfigure(one, c);
	world_live(s->w, dur_s(20));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	assert_int_equal(one->n_got, 2);
	c = test_conf_copy(one->conf);
	c->peer[0].ask_v4 = false;
	node_reconfigure(one, c);
	world_live(s->w, dur_s(20));
	has_addresses(one, "fd00:99::1/128");
	child_is(one, "fd00:99::1/128 === 10.0.0.0/8, fd00::/8");
}

/* ---- what the store knows of those who are not there --------------------------------------- */

static void leaves(struct star *s, struct node *n)
{
	assert_int_equal(node_command(n, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s->w);
}

static void comes(struct star *s, struct node *n)
{
	assert_int_equal(node_command(n, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
}

/* A pool that is taken away and comes back: who was not there meanwhile has what it had. */
static void pool_goes_and_comes(void **state)
{
	static const char *const between[] = { NULL, "10.98.0.0/24", "fd00:99::/64" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(between); i++) {
		struct node *one;
		struct star s;

		star_init(&s, 80 + i);
		star_pool(&s, "10.99.0.0/24");
		star_hub(&s);
		one = star_roam(&s, 1);
		leaves(&s, one);
		node_reconfigure(s.hub, with_pool(&s, between[i]));
		node_reconfigure(s.hub, with_pool(&s, "10.99.0.0/24"));
		pool_is(&s, 254, 1, 1, 0);
		has_addresses(star_roam(&s, 2), "10.99.0.2/32");
		comes(&s, one);
		has_addresses(one, "10.99.0.1/32");
		star_done(&s);
	}
}

/* One family of it, with an identity that is there, one that is not, and one that comes in between:
 * it keeps what it has, and has what it had. */
static void family_goes_and_comes(void **state)
{
	struct star *s = *state;
	struct node *one, *two, *three;

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	two = star_roam(s, 2);
	three = star_roam(s, 3);
	leaves(s, two);
	leaves(s, three);
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24"));
	world_live(s->w, dur_s(100));
	has_addresses(one, "10.99.0.1/32");
	comes(s, three);
	has_addresses(three, "10.99.0.3/32");
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24 fd00:99::/64"));
	has_addresses(star_roam(s, 4), "10.99.0.4/32 fd00:99::1/128");
	comes(s, two);
	has_addresses(two, "10.99.0.2/32 fd00:99::2/128");
	has_addresses(one, "10.99.0.1/32");
	pool_is(s, 254 + (1 << 20) - 1, 6, 4, 4);
}

/* What did not fit when we started fits a pool that comes later. */
static void unfit_until_now(void **state)
{
	struct star *s = *state;

	star_pool(s, "10.98.0.0/24");
	star_hub(s);
	node_kill(s->hub);
	keep(s->hub, "corp", "site-1.example", "10.99.0.1", NULL, WORLD_WALL - 100);
	assert_int_equal(node_start(s->hub), ST_OK);
	assert_int_equal(s->hub->n_unfit, 1);
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24"));
	has_addresses(star_roam(s, 2), "10.99.0.2/32");
	has_addresses(star_roam(s, 1), "10.99.0.1/32");
}

/* The first pool comes by reload: nobody gets anything before the store was read. */
static void first_pool_by_reload(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *two, *three;

	star_pool(s, NULL);
	s->ph->n_pool = 0;
	star_hub(s);
	keep(s->hub, "corp", "site-1.example", "10.99.0.1", NULL, WORLD_WALL - 100);
	s->hub->hold = HOLD_STORE;
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24"));
	site = star_endpoint(s, 2);
	two = star_start(s, &site);
	site = star_endpoint(s, 3);
	three = star_start(s, &site);
	world_run(s->w);
	/* One question for both of them. */
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	assert_int_equal(s->hub->n_stores, 1);
	assert_int_equal(node_counter(s->hub, "ike.lease.unread"), 2);
	assert_false(two->got.up || three->got.up);
	node_release(s->hub);
	world_run(s->w);
	has_addresses(two, "10.99.0.2/32");
	has_addresses(three, "10.99.0.3/32");
	has_addresses(star_roam(s, 1), "10.99.0.1/32");
}

/* It cannot be read: refused for now, and asked for again by who comes next.  Who is there already
 * needs nobody's word. */
static void unreadable(void **state)
{
	struct star *s = *state;
	struct node *one, *two;
	struct star_site site;

	star_pool(s, "10.99.0.0/24");
	star_hub(s);
	keep(s->hub, "corp", "site-7.example", "10.99.0.2", NULL, WORLD_WALL - 100);
	one = star_roam(s, 1);
	s->hub->read_only = true;
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/16"));
	site = star_endpoint(s, 2);
	two = star_start(s, &site);
	world_run(s->w);
	because(s->hub, IKE_EV_REFUSED, IKE_R_STORE);
	assert_int_equal(node_counter(s->hub, "ike.refused.not_stored"), 1);
	assert_int_equal(node_counter(s->hub, "ike.lease.unread"), 1);
	assert_false(two->got.up);
	node_restart(one);
	world_live(s->w, dur_s(10));
	has_addresses(one, "10.99.0.1/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.unread"), 1);
	s->hub->read_only = false;
	world_live(s->w, dur_s(120));
	has_addresses(two, "10.99.0.3/32");
}

/* The pool changes again while it is being read: what is read then counts. */
static void changes_while_read(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *two;

	star_pool(s, "10.97.0.0/24");
	star_hub(s);
	keep(s->hub, "corp", "site-1.example", "10.99.0.1", NULL, WORLD_WALL - 100);
	keep(s->hub, "corp", "site-3.example", "10.98.0.1", NULL, WORLD_WALL - 50);
	s->hub->hold = HOLD_STORE;
	node_reconfigure(s->hub, with_pool(s, "10.98.0.0/24"));
	site = star_endpoint(s, 2);
	two = star_start(s, &site);
	world_run(s->w);
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24"));
	assert_int_equal(node_held(s->hub, PENDING_STORE), 2);
	node_answer(s->hub, node_pending(s->hub, PENDING_STORE, 0));
	world_run(s->w);
	assert_false(two->got.up);
	pool_is(s, 254, 1, 1, 0);
	node_release(s->hub);
	world_run(s->w);
	has_addresses(two, "10.99.0.2/32");
	has_addresses(star_roam(s, 1), "10.99.0.1/32");
	pool_is(s, 254, 2, 2, 2);
}

/* Those who were read stand among those who were known by the time that they ended. */
static void read_ones_end_in_turn(void **state)
{
	struct star *s = *state;

	star_pool(s, "10.99.0.1-10.99.0.2");
	star_hub(s);
	node_kill(s->hub);
	keep(s->hub, "corp", "old-1.example", "10.99.0.1", NULL, WORLD_WALL - 4 * 86400);
	keep(s->hub, "corp", "old-2.example", "10.99.0.2", NULL, WORLD_WALL - 2 * 86400);
	keep(s->hub, "corp", "old-3.example", "10.99.0.3", NULL, WORLD_WALL - 5 * 86400);
	keep(s->hub, "corp", "old-4.example", "10.99.0.4", NULL, WORLD_WALL - 3 * 86400);
	assert_int_equal(node_start(s->hub), ST_OK);
	node_reconfigure(s->hub, with_pool(s, "10.99.0.1-10.99.0.4"));
	pool_is(s, 4, 4, 4, 0);
	has_addresses(star_roam(s, 1), "10.99.0.3/32");
	has_addresses(star_roam(s, 2), "10.99.0.1/32");
	has_addresses(star_roam(s, 3), "10.99.0.4/32");
	has_addresses(star_roam(s, 4), "10.99.0.2/32");
}

/* The section itself is removed and comes back before its last SA is gone: the lease goes over. */
static void section_comes_back(void **state)
{
	struct pair *p = *state;
	struct test_conf *with, *without;
	struct ike_pool_info pool;
	struct script s;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/29");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	auth_with_cp(&s, 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	reply_is(&s, "0001 0004 0a630001 000d 0008 0a020000 ffff0000");
	with = test_conf_copy(p->b->conf);
	with->peer[0].id = 9;
	without = test_conf_copy(p->b->conf);
	without->conf.n_peers = 0;
	node_reconfigure(p->b, without);
	node_reconfigure(p->b, with);
	/* It does not answer our Delete, so its address is its own for a while. */
	world_drop_all(p->w);
	world_advance(p->w, dur_s(100));
	world_drop_all(p->w);
	assert_int_equal(node_counter(p->b, "ike.lease.unfit"), 1);
	assert_true(ike_pool(p->b->ike, 9, &pool));
	assert_int_equal(pool.leases, 1);
	assert_int_equal(pool.v4.left, 5);
	script_done(&s);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	auth_with_cp(&s, 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	reply_is(&s, "0001 0004 0a630001 000d 0008 0a020000 ffff0000");
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		star_test(pool_grows),
		star_test(loaded_and_pool_grows),
		star_test(pool_moves),
		cmocka_unit_test(stray_for_too_long),
		pair_test(pool_of_another_section),
		star_test(pool_goes),
		star_test(pool_moves_meanwhile),
		star_test(asks_otherwise),
		cmocka_unit_test(pool_goes_and_comes),
		star_test(family_goes_and_comes),
		star_test(unfit_until_now),
		star_test(first_pool_by_reload),
		star_test(unreadable),
		star_test(changes_while_read),
		star_test(read_ones_end_in_turn),
		pair_test(section_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
