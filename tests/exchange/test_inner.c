/*
 * Inner addresses (RFC 7296 sections 2.19 and 3.15, RFC 8598): who gets which, for how long, and
 * never two the same; what the other end makes of them.  R06, S1.
 */
#include "exchange/exchange.h"
#include "exchange/inner.h"
#include "ike/limits.h"

/* ---- getting some --------------------------------------------------------------------------- */

/*
 *	endpoint                                         hub
 *	IKE_SA_INIT                                  ->
 *	                                             <-
 *	IKE_AUTH {IDi, .., CP(REQUEST), SA, TSi, TSr} ->
 *	                          STORE, and then     <- {IDr, .., CP(REPLY), SA, TSi, TSr}
 */
static void both_families(void **state)
{
	struct star *s = *state;
	struct node *one, *site;
	char buf[256];

	star_pool(s, NULL);
	test_conf_dns(s->ch, s->ph, "10.0.0.53 fd00::53", "corp.example Intern.Example");
	star_hub(s);
	site = star_join(s, 1);
	one = star_roam(s, 2);
	assert_int_equal(s->hub->sent, 2 * 2);
	has_got(one, "10.99.0.1/32 fd00:99::1/128 dns 10.0.0.53 fd00::53 domains corp.example "
		     "intern.example subnets 10.0.0.0/8 fd00::/8");
	assert_int_equal(one->n_got, 1);
	child_is(one, "10.99.0.1/32, fd00:99::1/128 === 10.0.0.0/8, fd00::/8");
	assert_true(star_ping_from(s, one, "10.99.0.1", site, "10.1.0.1"));
	assert_true(world_ping(s->w, one, "fd00:99::1", s->hub, "fd00:5::5"));
	assert_true(world_ping(s->w, s->hub, "10.0.0.7", one, "10.99.0.1"));
	/* Nothing else comes from there, and nothing goes there. */
	assert_false(world_ping(s->w, one, "10.99.0.2", s->hub, "10.0.0.7"));
	assert_string_equal(
		node_authority(s->hub, star_member(s, "site-2.example"), buf, sizeof(buf)),
		"10.99.0.1/32, fd00:99::1/128 by our lease 10.99.0.1, fd00:99::1");
	says(s->hub, IKE_EV_LEASE, "site-2.example has the inner address 10.99.0.1 and fd00:99::1");
	says(one, IKE_EV_LEASE, "our inner address is 10.99.0.1 and fd00:99::1");
	assert_int_equal(node_counter(s->hub, "ike.lease.given"), 1);
	stored_as(s->hub, "site-2.example", "10.99.0.1", "fd00:99::1", true);
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 1);
}

/* What is not asked for is not given, and what there is not is not asked for again. */
static void one_family(void **state)
{
	static const struct {
		const char *pool;
		bool v4, v6;
		const char *got;
	} rows[] = {
		{ "10.99.0.0/24 fd00:99::/64", true, false, "10.99.0.1/32" },
		{ "10.99.0.0/24 fd00:99::/64", false, true, "fd00:99::1/128" },
		{ "10.99.0.0/24", true, true, "10.99.0.1/32" },
		{ "fd00:99::/64", true, true, "fd00:99::1/128" },
		{ "10.99.0.0/24", true, false, "10.99.0.1/32" },
		{ "fd00:99::7/128", false, true, "fd00:99::7/128" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct star_site site;
		struct node *one;
		struct star s;

		star_init(&s, 40 + i);
		star_pool(&s, rows[i].pool);
		star_hub(&s);
		site = star_endpoint(&s, 1);
		site.p->ask_v4 = rows[i].v4;
		site.p->ask_v6 = rows[i].v6;
		one = star_start(&s, &site);
		world_run(s.w);
		assert_true(star_is_up(&s, one, 1));
		has_addresses(one, rows[i].got);
		star_done(&s);
	}
}

/* Each has its own. */
static void many_endpoints(void **state)
{
	struct star *s = *state;
	struct node *n[5];
	char src[5][32];

	star_pool(s, NULL);
	star_hub(s);
	for (unsigned i = 1; i <= 4; i++) {
		snprintf(src[i], sizeof(src[i]), "10.99.0.%u", i);
		n[i] = star_roam(s, i);
	}
	for (unsigned a = 1; a <= 4; a++)
		for (unsigned b = 1; b <= 4; b++)
			assert_true(a == b || star_ping_from(s, n[a], src[a], n[b], src[b]));
	pool_is(s, 254 + (1 << 20) - 1, 8, 4, 4);
}

/* A member that has prefixes of its own may have an address besides. */
static void on_top_of_blocks(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;
	char buf[256];

	star_pool(s, NULL);
	star_hub(s);
	site = star_site(s, 1, NULL, NULL);
	site.p->ask_v4 = true;
	one = star_start(s, &site);
	world_run(s->w);
	assert_true(star_is_up(s, one, 1));
	child_is(one, "10.1.0.0/16, 10.99.0.1/32 === 10.0.0.0/8, fd00::/8");
	assert_string_equal(
		node_authority(s->hub, star_member(s, "site-1.example"), buf, sizeof(buf)),
		"10.1.0.0/16, 10.99.0.1/32 by certificate blocks 10.1.0.0/16 and our lease "
		"10.99.0.1");
}

/* ---- the same again ------------------------------------------------------------------------ */

/* Whoever comes back has what he had: after a restart of his, of the hub, of both. */
static void sticky(void **state)
{
	struct star *s = *state;
	struct node *one, *two;

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	two = star_roam(s, 2);
	has_addresses(two, "10.99.0.2/32 fd00:99::2/128");
	/* It asks for any now, and gets that one. */
	node_restart(two);
	world_live(s->w, dur_s(60));
	has_addresses(two, "10.99.0.2/32 fd00:99::2/128");
	assert_int_equal(node_counter(s->hub, "ike.lease.given"), 2);
	/* Who comes first does not matter. */
	node_restart(s->hub);
	assert_int_equal(s->hub->n_unfit, 0);
	node_restart(two);
	world_run(s->w);
	node_restart(one);
	world_live(s->w, dur_s(60));
	has_addresses(two, "10.99.0.2/32 fd00:99::2/128");
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	assert_int_equal(node_counter(s->hub, "ike.lease.given"), 0);
	pool_is(s, 254 + (1 << 20) - 1, 4, 2, 2);
}

/* The store knows who is there and since when the others are gone. */
static void what_the_store_knows(void **state)
{
	struct star *s = *state;
	struct node *one;
	long stores;

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	stored_as(s->hub, "site-1.example", "10.99.0.1", "fd00:99::1", true);
	world_advance(s->w, dur_s(100));
	assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s->w);
	stored_as(s->hub, "site-1.example", "10.99.0.1", "fd00:99::1", false);
	assert_int_equal(node_lease(s->hub, "site-1.example")->ended.s, WORLD_WALL + 100);
	stores = s->hub->n_stores;
	/* Nobody waits for that it is in use again. */
	s->hub->hold = HOLD_STORE;
	assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
	assert_true(star_is_up(s, one, 1));
	node_release(s->hub);
	assert_int_equal(s->hub->n_stores, stores + 1);
	stored_as(s->hub, "site-1.example", "10.99.0.1", "fd00:99::1", true);
}

/* The one that is asked for, if nobody has it and it is one to be had. */
static void asked_for(void **state)
{
	static const struct {
		const char *wish, *got;
	} rows[] = {
		{ "10.99.0.77", "10.99.0.77/32" }, { "10.99.0.1", "10.99.0.2/32" },
		{ "10.99.0.0", "10.99.0.2/32" },   { "10.99.0.255", "10.99.0.2/32" },
		{ "10.98.0.77", "10.99.0.2/32" },  { "10.99.0.9", "10.99.0.2/32" },
		{ "0.0.0.0", "10.99.0.2/32" },
	};
	static const struct ip own[] = { { 4, { 10, 99, 0, 9 } } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct star_site site;
		struct node *two;
		struct star s;

		star_init(&s, 60 + i);
		star_pool(&s, "10.99.0.0/24");
		s.ph->pool_but = own;
		s.ph->n_pool_but = 1;
		star_hub(&s);
		star_roam(&s, 1);
		site = star_endpoint(&s, 2);
		site.p->ask[0] = test_ip(rows[i].wish);
		two = star_start(&s, &site);
		world_run(s.w);
		has_addresses(two, rows[i].got);
		star_done(&s);
	}
}

/* ---- the store ----------------------------------------------------------------------------- */

/* Nothing is said before it is stored. */
static void stored_before_use(void **state)
{
	struct star *s = *state;
	struct node *one;

	one = stores_first(s, NULL);
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	assert_int_equal(s->hub->n_children, 0);
	assert_int_equal(s->hub->sent, 1);
	assert_null(node_lease(s->hub, "site-1.example"));
	/* Asked again it says nothing either. */
	world_live(s->w, dur_s(5));
	assert_int_equal(s->hub->sent, 1);
	node_release(s->hub);
	world_run(s->w);
	assert_true(star_is_up(s, one, 1));
	stored_as(s->hub, "site-1.example", "10.99.0.1", "fd00:99::1", true);
}

/* Two IKE_AUTH of one identity at once: one operation, one address. */
static void two_at_once(void **state)
{
	struct star *s = *state;
	struct node *one;

	one = stores_first(s, NULL);
	node_restart(one);
	world_run(s->w);
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	assert_int_equal(ike_totals(s->hub->ike).half_open, 2);
	node_answer(s->hub, node_pending(s->hub, PENDING_STORE, 0));
	world_run(s->w);
	assert_true(star_is_up(s, one, 1));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	node_release(s->hub);
	world_live(s->w, dur_s(100));
	assert_true(star_is_up(s, one, 1));
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 1);
	assert_int_equal(s->hub->n_stores, 1);
}

/* Another family is wanted meanwhile: a second operation, the address of the first stays. */
static void another_family_meanwhile(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;

	star_pool(s, NULL);
	star_hub(s);
	s->hub->hold = HOLD_STORE;
	site = star_endpoint(s, 1);
	site.p->ask_v6 = false;
	one = star_start(s, &site);
	world_run(s->w);
	node_kill(one);
	one->conf->peer[0].ask_v6 = true;
	one->seed += 5;
	assert_int_equal(node_start(one), ST_OK);
	world_run(s->w);
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	node_answer(s->hub, node_pending(s->hub, PENDING_STORE, 0));
	world_run(s->w);
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	node_release(s->hub);
	world_live(s->w, dur_s(60));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	stored_as(s->hub, "site-1.example", "10.99.0.1", "fd00:99::1", true);
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 1);
}

/* A disk that is full: no new address, a line that says so, the tunnels that are up go on. */
static void store_fails(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one, *two;

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	s->hub->read_only = true;
	site = star_endpoint(s, 2);
	two = star_start(s, &site);
	world_run(s->w);
	because(s->hub, IKE_EV_REFUSED, IKE_R_STORE);
	says(s->hub, IKE_EV_REFUSED, "its lease cannot be stored");
	because(two, IKE_EV_REFUSED, IKE_R_ADDRESS);
	says(two, IKE_EV_REFUSED, "INTERNAL_ADDRESS_FAILURE");
	assert_int_equal(node_counter(s->hub, "ike.store.failed"), 1);
	assert_int_equal(node_counter(s->hub, "ike.refused.not_stored"), 1);
	assert_false(two->got.up);
	assert_int_equal(two->n_children, 0);
	assert_null(node_lease(s->hub, "site-2.example"));
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 1);
	/* Section 3.15.4: it leaves, and does not come back at once. */
	assert_int_equal(star_member(s, "site-2.example"), 0);
	assert_true(node_deadline_ms(two) > 40000);
	assert_true(world_ping(s->w, one, "10.99.0.1", s->hub, "10.0.0.1"));
	/* Who has one stays who he is, whether that can be written or not. */
	node_restart(one);
	world_live(s->w, dur_s(10));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	s->hub->read_only = false;
	world_live(s->w, dur_s(120));
	has_addresses(two, "10.99.0.2/32 fd00:99::2/128");
	says(s->hub, IKE_EV_LEASE, "site-2.example has the inner address");
	assert_true(node_events(s->hub, IKE_EV_LEASE) >= 3);
}

/* The store answers when nobody waits any more: the lease is there when its owner comes again. */
static void stored_late(void **state)
{
	struct star *s = *state;
	struct node *one;

	one = stores_first(s, NULL);
	one->unplugged = true;
	assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_live(s->w, dur_s(IKE_HALF_OPEN_S + 60));
	assert_true(node_is_down(s->hub));
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	node_answer(s->hub, node_pending(s->hub, PENDING_STORE, 0));
	/* And its time began. */
	node_release(s->hub);
	stored_as(s->hub, "site-1.example", "10.99.0.1", "fd00:99::1", false);
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 0);
	star_roam(s, 2);
	one->unplugged = false;
	assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_live(s->w, dur_s(60));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
}

/* It fails when nobody waits any more: as if nobody had asked. */
static void failed_late(void **state)
{
	struct star *s = *state;
	struct node *one;

	one = stores_first(s, NULL);
	one->unplugged = true;
	world_live(s->w, dur_s(IKE_HALF_OPEN_S + 60));
	node_refuse(s->hub, node_pending(s->hub, PENDING_STORE, 0), ST_IO);
	pool_is(s, 254 + (1 << 20) - 1, 0, 0, 0);
	assert_int_equal(node_counter(s->hub, "ike.store.failed"), 1);
	says(s->hub, IKE_EV_REFUSED, "leases of inner addresses cannot be stored");
	because(s->hub, IKE_EV_REFUSED, IKE_R_STORE);
}

/* A crash between: what was not stored was not given. */
static void crash_before_stored(void **state)
{
	struct star *s = *state;
	struct node *one, *two;

	one = stores_first(s, NULL);
	node_restart(s->hub);
	s->hub->hold = 0;
	two = star_roam(s, 2);
	has_addresses(two, "10.99.0.1/32 fd00:99::1/128");
	world_live(s->w, dur_s(100));
	has_addresses(one, "10.99.0.2/32 fd00:99::2/128");
}

/* ---- the pool is empty --------------------------------------------------------------------- */

static void exhausted(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one, *three;

	star_pool(s, "10.99.0.0/30"); /* two of them */
	star_hub(s);
	one = star_roam(s, 1);
	star_roam(s, 2);
	site = star_endpoint(s, 3);
	three = star_start(s, &site);
	world_run(s->w);
	because(s->hub, IKE_EV_REFUSED, IKE_R_ADDRESS);
	says(s->hub, IKE_EV_REFUSED,
	     "the pool of \"corp\" has 2 and 2 identities have leases, 2 of them are connected");
	says(three, IKE_EV_REFUSED, "INTERNAL_ADDRESS_FAILURE");
	assert_int_equal(node_counter(s->hub, "ike.refused.pool_exhausted"), 1);
	assert_int_equal(three->n_children, 0);
	assert_int_equal(s->hub->n_children, 2);
	/* Who left keeps his for a day. */
	assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_live(s->w, dur_s(3600));
	assert_false(three->got.up);
	says(s->hub, IKE_EV_REFUSED, "the first lease of the others ends in ");
	/* Then whoever needs it gets it. */
	world_live(s->w, dur_s(86400));
	has_addresses(three, "10.99.0.1/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.expired"), 1);
	assert_null(node_lease(s->hub, "site-1.example"));
	stored_as(s->hub, "site-3.example", "10.99.0.1", NULL, true);
	assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
	assert_false(one->got.up);
	pool_is(s, 2, 2, 2, 2);
}

/* The one that ended first goes first; while there are free ones nobody's goes. */
static void the_oldest_first(void **state)
{
	struct star *s = *state;
	struct node *n[5];

	star_pool(s, "10.99.0.1-10.99.0.4");
	star_hub(s);
	for (unsigned i = 1; i <= 3; i++)
		n[i] = star_roam(s, i);
	for (unsigned i = 0; i < 3; i++) {
		static const unsigned order[] = { 2, 3, 1 };

		assert_int_equal(node_command(n[order[i]], IKE_CMD_DOWN, STAR_PEER), ST_OK);
		world_live(s->w, dur_s(10));
	}
	world_live(s->w, dur_s(2 * 86400));
	n[4] = star_roam(s, 4);
	has_addresses(n[4], "10.99.0.4/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.expired"), 0);
	/* 2 and 3 are over for long, and still known. */
	assert_int_equal(node_command(n[3], IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
	has_addresses(n[3], "10.99.0.3/32");
	n[0] = star_roam(s, 5);
	has_addresses(n[0], "10.99.0.2/32");
	assert_null(node_lease(s->hub, "site-2.example"));
	assert_non_null(node_lease(s->hub, "site-1.example"));
}

/* Somebody of that name asks for an address; the notify he gets, 0: an address. */
static uint16_t ask_as(struct pair *p, const char *name, const char *from)
{
	const struct wire_notify *n;
	struct script s;
	uint16_t type;

	script_init(&s, p->w, from, p->b, true);
	s.id = name;
	auth_with_cp(&s, WIRE_CFG_REQUEST, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	n = wire_find_error(&s.in);
	type = n ? n->type : 0;
	if (!type)
		reply_is(&s, "0001 0004 0a630001 000d 0008 0a020000 ffff0000");
	script_done(&s);
	return type;
}

static void all_leave(struct pair *p)
{
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_advance(p->w, dur_s(100));
	world_drop_all(p->w);
}

/* Without a clock that can be trusted nobody's time is over: it begins when the clock is right. */
static void no_clock(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.1/32");
	p->w->now.wall_ok = false;
	pair_start_b(p);
	assert_int_equal(ask_as(p, "one.example", "192.0.2.21"), 0);
	all_leave(p);
	assert_int_equal(node_lease(p->b, "one.example")->ended.s, 0);
	world_advance(p->w, dur_s(3 * 86400));
	assert_int_equal(ask_as(p, "two.example", "192.0.2.22"), WIRE_N_INTERNAL_ADDRESS_FAILURE);
	p->w->now.wall_ok = true;
	assert_int_equal(ask_as(p, "two.example", "192.0.2.23"), WIRE_N_INTERNAL_ADDRESS_FAILURE);
	world_advance(p->w, dur_s(86400 - 60));
	assert_int_equal(ask_as(p, "two.example", "192.0.2.24"), WIRE_N_INTERNAL_ADDRESS_FAILURE);
	world_advance(p->w, dur_s(120));
	assert_int_equal(ask_as(p, "two.example", "192.0.2.25"), 0);
}

/* Somebody sets the clock: no time has passed, so nobody's is over, and none gets more than it had
 * when it was set back. */
static void clock_is_set(void **state)
{
	static const struct {
		int64_t set;
		const char *from; /* a newcomer asks */
	} jumps[] = {
		{ 365 * 86400, "192.0.2.22" }, { -86400, "192.0.2.23" }, { 0, "192.0.2.24" },
		{ -WORLD_WALL, "192.0.2.25" }, { 0, "192.0.2.26" },
	};
	struct pair *p = *state;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.1/32");
	pair_start_b(p);
	assert_int_equal(ask_as(p, "one.example", "192.0.2.21"), 0);
	all_leave(p);
	world_advance(p->w, dur_s(86400 / 2));
	for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
		p->w->wall_set = jumps[i].set;
		p->w->now.wall_ok = jumps[i].set != -WORLD_WALL;
		world_advance(p->w, dur_s(60));
		assert_int_equal(ask_as(p, "two.example", jumps[i].from),
				 WIRE_N_INTERNAL_ADDRESS_FAILURE);
	}
	world_advance(p->w, dur_s(86400));
	assert_int_equal(ask_as(p, "two.example", "192.0.2.27"), 0);
}

/* ---- what is loaded ------------------------------------------------------------------------ */

static void loaded(void **state)
{
	struct star *s = *state;
	struct node *one, *two;

	star_pool(s, "10.99.0.0/29 fd00:99::/64");
	star_hub(s);
	node_kill(s->hub);
	keep(s->hub, "corp", "site-1.example", "10.99.0.5", "fd00:99::5", WORLD_WALL - 100);
	keep(s->hub, "corp", "site-2.example", "10.99.0.6", NULL, 0);
	keep(s->hub, "corp", "site-3.example", "10.98.0.6", NULL, 0);
	keep(s->hub, "corp", "site-4.example", "10.99.0.5", NULL, 7);
	keep(s->hub, "corp", "site-5.example", "10.99.0.7", NULL, 0); /* broadcast */
	keep(s->hub, "gone", "site-6.example", "10.99.0.4", NULL, 0);
	keep(s->hub, "corp", "site-6.example", "10.98.0.4", "fd00:99::6", 5);
	assert_int_equal(node_start(s->hub), ST_OK);
	assert_int_equal(s->hub->n_unfit, 4);
	assert_int_equal(node_counter(s->hub, "ike.lease.unfit"), 4);
	assert_int_equal(node_events(s->hub, IKE_EV_LEASE), 4);
	says(s->hub, IKE_EV_LEASE, "the stored lease of site-6.example in \"gone\", 10.99.0.4");
	pool_is(s, 6 + (1 << 20) - 1, 4, 3, 0);
	/* It had SAs when we ended: its time begins. */
	assert_int_equal(node_lease(s->hub, "site-2.example")->ended.s, WORLD_WALL);
	assert_int_equal(node_lease(s->hub, "site-1.example")->ended.s, WORLD_WALL - 100);
	two = star_roam(s, 2);
	has_addresses(two, "10.99.0.6/32 fd00:99::1/128");
	one = star_roam(s, 1);
	has_addresses(one, "10.99.0.5/32 fd00:99::5/128");
	one = star_roam(s, 6);
	has_addresses(one, "10.99.0.1/32 fd00:99::6/128");
}

/* What ended before our start ends for good in its turn: the oldest first, as if we had been there
 * all the time. */
static void loaded_end_in_turn(void **state)
{
	struct star *s = *state;

	star_pool(s, "10.99.0.1-10.99.0.3");
	star_hub(s);
	node_kill(s->hub);
	keep(s->hub, "corp", "site-1.example", "10.99.0.1", NULL, WORLD_WALL - 2 * 86400);
	keep(s->hub, "corp", "site-2.example", "10.99.0.2", NULL, WORLD_WALL - 3 * 86400);
	keep(s->hub, "corp", "site-3.example", "10.99.0.3", NULL, WORLD_WALL - 100);
	assert_int_equal(node_start(s->hub), ST_OK);
	has_addresses(star_roam(s, 4), "10.99.0.2/32");
	has_addresses(star_roam(s, 5), "10.99.0.1/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.expired"), 2);
	assert_non_null(node_lease(s->hub, "site-3.example"));
}

/* ---- SAs come and go ----------------------------------------------------------------------- */

/* Rekeyed, authenticated anew: the host of the endpoint hears nothing of it. */
static void make_before_break(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;
	ike_sa_id first;

	star_pool(s, NULL);
	star_hub(s);
	site = star_endpoint(s, 1);
	site.p->life.reauth = dur_s(300);
	site.p->life.child_soft = dur_s(50);
	site.p->life.ike_soft = dur_s(110);
	one = star_start(s, &site);
	world_run(s->w);
	first = node_sa(one).info.id;
	for (int i = 0; i < 200; i++) {
		world_live(s->w, dur_s(10));
		assert_true(world_ping(s->w, one, "10.99.0.1", s->hub, "10.0.0.1"));
		assert_true(world_ping(s->w, s->hub, "fd00::1", one, "fd00:99::1"));
	}
	assert_true(node_sa(one).info.id > first + 6);
	assert_true(node_counter(one, "ike.sa.established") > 4);
	assert_true(node_counter(one, "ike.child.rekeyed") > 10);
	assert_int_equal(one->n_got, 1);
	assert_int_equal(s->hub->n_stores, 1);
	assert_int_equal(node_counter(s->hub, "ike.lease.given"), 1);
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 1);
}

/* The last SA ends, by whichever end: so do the addresses. */
static void gone_with_the_last(void **state)
{
	struct star *s = *state;
	struct node *one;

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	assert_false(one->got.up);
	assert_int_equal(one->n_got, 2);
	says(one, IKE_EV_LEASE, "our inner addresses are gone");
	world_run(s->w);
	assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	assert_int_equal(one->n_got, 3);
	assert_int_equal(node_command(s->hub, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s->w);
	assert_int_equal(one->n_got, 4);
	assert_false(one->got.up);
	world_live(s->w, dur_s(60));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	/* Nobody there any more. */
	node_kill(s->hub);
	assert_int_equal(node_command(one, IKE_CMD_REKEY_SA, STAR_PEER), ST_OK);
	world_live(s->w, dur_s(120));
	assert_false(one->got.up);
	assert_int_equal(node_start(s->hub), ST_OK);
	world_live(s->w, dur_s(120));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
}

/* A child more, and one in place of one that was lost, have the inner addresses for selectors. */
static void later_children(void **state)
{
	struct star *s = *state;
	struct node *one;
	struct ike_cmd cmd = { .kind = IKE_CMD_DOWN_CHILD };

	star_pool(s, NULL);
	star_hub(s);
	one = star_roam(s, 1);
	assert_int_equal(node_command(one, IKE_CMD_NEW_CHILD, STAR_PEER), ST_OK);
	world_run(s->w);
	assert_int_equal(one->n_children, 2);
	for (size_t i = 0; i < 2; i++)
		selectors_are(&one->child[i].child,
			      "10.99.0.1/32, fd00:99::1/128 === 10.0.0.0/8, fd00::/8");
	while (s->hub->n_children) {
		cmd.child = s->hub->child[0].child.id;
		assert_int_equal(node_cmd(s->hub, &cmd), ST_OK);
		world_run(s->w);
	}
	world_live(s->w, dur_s(20));
	child_is(one, "10.99.0.1/32, fd00:99::1/128 === 10.0.0.0/8, fd00::/8");
	assert_int_equal(node_counter(one, "ike.sa.established"), 1);
}

/* RFC 6023: the addresses come with IKE_AUTH all the same. */
static void childless(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;

	star_pool(s, NULL);
	star_hub(s);
	site = star_endpoint(s, 1);
	site.p->childless = IKE_CHILDLESS_FORCE;
	one = star_start(s, &site);
	world_live(s->w, dur_s(5));
	assert_true(star_is_up(s, one, 1));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	child_is(one, "10.99.0.1/32, fd00:99::1/128 === 10.0.0.0/8, fd00::/8");
}

/* And without one there is no use in the SA. */
static void childless_without_address(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *two;

	star_pool(s, "10.99.0.1/32");
	star_hub(s);
	star_roam(s, 1);
	site = star_endpoint(s, 2);
	site.p->childless = IKE_CHILDLESS_FORCE;
	two = star_start(s, &site);
	world_live(s->w, dur_s(5));
	because(s->hub, IKE_EV_REFUSED, IKE_R_ADDRESS);
	because(two, IKE_EV_REFUSED, IKE_R_ADDRESS);
	assert_int_equal(two->n_children + ike_totals(two->ike).sas, 0);
	assert_int_equal(star_member(s, "site-2.example"), 0);
}

/* ---- who has to ask ------------------------------------------------------------------------ */

/* Section 2.19: who may have nothing but an address has to ask for one. */
static void cp_required(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;

	star_pool(s, NULL);
	star_hub(s);
	site = star_site(s, 1, "-", NULL);
	one = star_start(s, &site);
	world_run(s->w);
	says(one, IKE_EV_REFUSED, "FAILED_CP_REQUIRED");
	because(s->hub, IKE_EV_REFUSED, IKE_R_ADDRESS);
	says(s->hub, IKE_EV_REFUSED, "site-1.example may have nothing but an inner address");
	assert_int_equal(node_counter(s->hub, "ike.refused.cp_required"), 1);
	assert_int_equal(one->n_children, 0);
}

/* A hub without a pool does as if there were no configuration payload. */
static void no_pool(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;

	star_hub(s);
	site = star_endpoint(s, 1);
	one = star_start(s, &site);
	world_run(s->w);
	assert_int_equal(node_counter(s->hub, "ike.cp.ignored"), 1);
	because(s->hub, IKE_EV_REFUSED, IKE_R_AUTHORISATION);
	assert_int_equal(one->n_children + one->n_got, 0);
}

/* ---- peers --------------------------------------------------------------------------------- */

/* The same between two peers of a file, with a key: what it may have is its address, and whatever
 * the section says. */
static void peers(void **state)
{
	static const struct {
		const char *remote_ts, *child;
	} rows[] = {
		{ "", "10.99.0.1/32 === 10.2.0.0/16" },
		{ "10.1.0.0/16", "10.1.0.0/16, 10.99.0.1/32 === 10.2.0.0/16" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, 80 + i);
		p.pa->ask_v4 = true;
		if (i == 0)
			p.pa->ts_local = test_conf_ts(p.ca, "");
		p.pb->ts_remote = test_conf_ts(p.cb, rows[i].remote_ts);
		test_conf_addresses(p.cb, p.pb, "");
		test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		child_is(p.a, rows[i].child);
		has_addresses(p.a, "10.99.0.1/32");
		stored_as(p.b, "a.example", "10.99.0.1", NULL, true);
		assert_true(world_ping(p.w, p.a, "10.99.0.1", p.b, "10.2.0.1"));
		assert_int_equal(node_peer(p.b, PAIR_PEER).n_inner, 1);
		/* It could only ask for what it may have anyway. */
		assert_int_equal(node_command(p.b, IKE_CMD_NEW_CHILD, PAIR_PEER),
				 i == 0 ? ST_INVAL : ST_OK);
		node_restart(p.a);
		connect(p.a);
		world_live(p.w, dur_s(20));
		has_addresses(p.a, "10.99.0.1/32");
		pair_done(&p);
	}
}

/* Behind a pattern each identity has its own. */
static void patterns(void **state)
{
	struct pair *p = *state;
	struct script s;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/24");
	p->pa->ask_v4 = true;
	p->pa->ts_local = test_conf_ts(p->ca, "");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	has_addresses(p->a, "10.99.0.1/32");
	script_init(&s, p->w, "192.0.2.9", p->b, true);
	s.id = "other.example";
	auth_with_cp(&s, 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	reply_is(&s, "0001 0004 0a630002 000d 0008 0a020000 ffff0000");
	stored_as(p->b, "other.example", "10.99.0.2", NULL, true);
	script_done(&s);
}

/* ---- byte by byte -------------------------------------------------------------------------- */

/* What others ask for, and what they hear: as strongSwan's road warriors do, and with everything
 * that there is. */
static void replies(void **state)
{
	static const char subnets[] =
		"000d 0008 0a020000 ffff0000 000f 0011 fd000002000000000000000000000000 20";
	static const struct {
		const char *request, *reply;
		const char *more; /* behind the subnets; NULL: nothing */
	} rows[] = {
		{ "0001 0000", "0001 0004 0a630001", NULL },
		{ "0001 0000 0003 0000", "0001 0004 0a630001 0003 0004 0a000035", NULL },
		{ "0008 0000", "0008 0011 fd000099000000000000000000000001 80", NULL },
		{ "0001 0004 00000000 0008 0011 00000000000000000000000000000000 40 0003 0000",
		  "0001 0004 0a630001 0008 0011 fd000099000000000000000000000001 80 0003 0004 "
		  "0a000035",
		  NULL },
		{ "0001 0000 0003 0000 000a 0000 0019 0000",
		  "0001 0004 0a630001 0003 0004 0a000035 000a 0010 "
		  "fd000000000000000000000000000053 0019 000c 636f72702e6578616d706c65",
		  NULL },
		/* Names only with servers. */
		{ "0001 0000 0019 0000", "0001 0004 0a630001", NULL },
		/* More addresses than one, old things, others' things. */
		{ "0001 0000 0001 0000 0001 0004 0a630009 0004 0000 0002 0000 0006 0000 5ba0 0000",
		  "0001 0004 0a630009", NULL },
		{ "0001 0000 000e 0000 0007 0000", "0001 0004 0a630001",
		  "0007 0000 000e 001c 0001 0002 0003 0004 0006 0007 0008 000a 000c 000d 000e 000f "
		  "0019 001a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct script s;
		struct pair p;
		char rest[600];

		pair_init(&p, 90 + i);
		p.pb->ts_local = test_conf_ts(p.cb, "10.2.0.0/16 fd00:2::/32");
		test_conf_pool(p.cb, p.pb, "10.99.0.0/24 fd00:99::/64");
		test_conf_dns(p.cb, p.pb, "10.0.0.53 fd00::53", "corp.example");
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		auth_with_cp(&s, 1, rows[i].request, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
		snprintf(rest, sizeof(rest), "%s%s", subnets, rows[i].more ? rows[i].more : "");
		check_reply(&s, rows[i].reply, rest);
		script_done(&s);
		pair_done(&p);
	}
}

/* In an SA that is up: what one has can be asked for again, others are refused, politely. */
static void informational(void **state)
{
	struct pair *p = *state;
	struct script s;

	test_conf_pool(p->cb, p->pb, "10.99.0.0/24");
	test_conf_dns(p->cb, p->pb, "10.0.0.53", "corp.example");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	auth_with_cp(&s, 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	inform(&s, 1, "0007 0000");
	reply_is(&s, "000d 0008 0a020000 ffff0000 0007 0000");
	inform(&s, 1, "0001 0000 0003 0000");
	reply_is(&s, "0001 0004 0a630001 0003 0004 0a000035 000d 0008 0a020000 ffff0000");
	/* CFG_SET: nothing of it is accepted. */
	inform(&s, 3, "0001 0004 0a630005");
	assert_int_equal(s.in.cp.type, 4);
	assert_int_equal(s.in.cp.attributes.n, 0);
	/* Replies to nothing, and types that there are not. */
	for (unsigned type = 0; type < 256; type++) {
		if (type == 1 || type == 3)
			continue;
		inform(&s, (uint8_t)type, "0001 0004 0a630005");
		assert_false(s.in.present & WIRE_BIT(WIRE_P_CP));
		assert_int_equal(s.in.n_notifies, 0);
	}
	assert_true(node_counter(p->b, "ike.cp.ignored") >= 254);
	assert_true(node_sa(p->b).info.established);
	script_done(&s);
}

/* Who has no address gets none this way (there is no proof of who he is in it); nor does anybody
 * from who gives none. */
static void informational_without(void **state)
{
	static const struct {
		bool pool;
		const char *request, *reply; /* NULL: INTERNAL_ADDRESS_FAILURE */
	} rows[] = {
		{ true, "0001 0000", NULL },
		{ true, "0007 0000", "000d 0008 0a020000 ffff0000 0007 0000" },
		{ false, "0001 0000", "" },
		{ false, "0007 0000", "0007 0000" },
		{ false, "0003 0000 0008 0000", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 120 + i);
		if (rows[i].pool)
			test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		script_connect(&s);
		inform(&s, 1, rows[i].request);
		if (rows[i].reply) {
			reply_is(&s, rows[i].reply);
		} else {
			assert_non_null(script_notify(&s, WIRE_N_INTERNAL_ADDRESS_FAILURE));
			assert_false(s.in.present & WIRE_BIT(WIRE_P_CP));
		}
		assert_int_equal(p.b->n_stores, 0);
		script_done(&s);
		pair_done(&p);
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

/* What an identity costs that is not there: its lease. */
static void a_lease_is_small(void **state)
{
	enum { MANY = 1000 };
	struct star *s = *state;
	size_t bytes;

	star_pool(s, "10.99.0.0/16 fd00:99::/64");
	star_hub(s);
	node_kill(s->hub);
	assert_int_equal(node_start(s->hub), ST_OK);
	bytes = s->hub->mem.live_bytes;
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];
		struct ike_lease l = { .peer = "corp", .ended = { WORLD_WALL } };
		struct ip v4 = { 4, { 10, 99, (uint8_t)(1 + i / 256), (uint8_t)i } };
		struct ip v6 = test_ip("fd00:99::1:0");

		v6.b[14] = (uint8_t)(1 + i / 256);
		v6.b[15] = (uint8_t)i;
		snprintf(name, sizeof(name), "endpoint-%u.example.net", i);
		l.identity = (struct policy_ident){ WIRE_ID_FQDN, bytes_str(name) };
		l.v4 = v4;
		l.v6 = v6;
		assert_int_equal(ike_lease_load(s->hub->ike, &l), ST_OK);
	}
	bytes = s->hub->mem.live_bytes - bytes;
	print_message("# a lease takes %zu bytes\n", bytes / MANY);
	assert_in_range(bytes / MANY, 1, 136);
}

struct listing {
	unsigned n, stop;
	uint64_t last;
	struct ike_lease l[8];
	char id[8][32];
};

static bool list_lease(void *ctx, uint64_t number, const struct ike_lease *l)
{
	struct listing *v = ctx;

	assert_true(number > v->last);
	v->last = number;
	snprintf(v->id[v->n], sizeof(v->id[0]), "%.*s", (int)l->identity.data.n,
		 (const char *)l->identity.data.p);
	v->l[v->n++] = *l;
	return v->n != v->stop;
}

/* All that were given, a few at a time, with what the store knew of them. */
static void listed(void **state)
{
	static const char *const names[] = { "a.example", "b.example", "c.example" };
	struct star *s = *state;
	struct listing all = { 0 }, page = { .stop = 2 };

	star_pool(s, "10.99.0.0/16 fd00:99::/64");
	star_hub(s);
	node_kill(s->hub);
	assert_int_equal(node_start(s->hub), ST_OK);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		const struct ike_lease l = {
			.peer = "corp",
			.identity = { WIRE_ID_FQDN, bytes_str(names[i]) },
			.v4 = { 4, { 10, 99, 7, (uint8_t)(i + 1) } },
			.since = { WORLD_WALL - 100 + i },
			.ended = { i == 1 ? WORLD_WALL - 10 : WORLD_WALL - 5 },
		};

		assert_int_equal(ike_lease_load(s->hub->ike, &l), ST_OK);
	}
	ike_each_lease(s->hub->ike, 0, list_lease, &all);
	assert_int_equal(all.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(all.id[i], names[i]);
		assert_string_equal(all.l[i].peer, "corp");
		assert_int_equal(all.l[i].v4.b[3], i + 1);
		assert_int_equal(all.l[i].v6.family, 0);
		assert_int_equal(all.l[i].since.s, WORLD_WALL - 100 + i);
		assert_int_equal(all.l[i].ended.s, i == 1 ? WORLD_WALL - 10 : WORLD_WALL - 5);
	}
	ike_each_lease(s->hub->ike, 0, list_lease, &page);
	assert_int_equal(page.n, 2);
	ike_each_lease(s->hub->ike, page.last, list_lease, &page);
	assert_int_equal(page.n, 3);
	assert_string_equal(page.id[2], names[2]);
	ike_each_lease(s->hub->ike, page.last, list_lease, &page);
	assert_int_equal(page.n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		star_test(both_families),
		cmocka_unit_test(one_family),
		star_test(many_endpoints),
		star_test(on_top_of_blocks),
		star_test(sticky),
		star_test(what_the_store_knows),
		cmocka_unit_test(asked_for),
		star_test(stored_before_use),
		star_test(two_at_once),
		star_test(another_family_meanwhile),
		star_test(store_fails),
		star_test(stored_late),
		star_test(failed_late),
		star_test(crash_before_stored),
		star_test(exhausted),
		star_test(the_oldest_first),
		pair_test(no_clock),
		pair_test(clock_is_set),
		star_test(loaded),
		star_test(loaded_end_in_turn),
		star_test(make_before_break),
		star_test(gone_with_the_last),
		star_test(later_children),
		star_test(childless),
		star_test(childless_without_address),
		star_test(cp_required),
		star_test(no_pool),
		cmocka_unit_test(peers),
		pair_test(patterns),
		cmocka_unit_test(replies),
		pair_test(informational),
		cmocka_unit_test(informational_without),
		star_test(a_lease_is_small),
		star_test(listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
