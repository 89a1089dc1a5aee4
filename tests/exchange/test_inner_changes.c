/*
 * Inner addresses over time: a gateway that says something else the second time, pools that run out
 * and change while somebody waits, leases of many kinds.  R06, S1, S2.
 */
#include "exchange/exchange.h"
#include "exchange/inner.h"
#include "ike/limits.h"

/* ---- what a gateway says the second time --------------------------------------------------- */

/* a asks for both families and has an SA with what b has to say. */
static void start_pair(struct pair *p, unsigned seed)
{
	pair_init(p, seed);
	p->pa->ask_v4 = p->pa->ask_v6 = true;
	p->pa->ts_local = test_conf_ts(p->ca, "");
	p->pa->start = IKE_START_UP;
	test_conf_addresses(p->cb, p->pb, "");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/24");
	test_conf_dns(p->cb, p->pb, "10.2.0.53", "corp.example");
	pair_start(p);
	world_run(p->w);
}

/* Another SA in place of the one that there is. */
static void renew(struct pair *p)
{
	struct test_conf *c = test_conf_copy(p->a->conf);
	ike_sa_id before = node_sa(p->a).info.id;

	c->peer[0].own_digest[0] ^= 1;
	node_reconfigure(p->a, c);
	world_live(p->w, dur_s(30));
	assert_true(node_sa(p->a).info.id > before);
}

/* The host hears of all that is not as it was, once, and of nothing else. */
static void another_answer(void **state)
{
	static const struct {
		const char *pool, *dns, *domains, *ts, *got;
	} rows[] = {
		{ NULL, "10.2.0.54", "corp.example", "10.2.0.0/16",
		  "10.99.0.1/32 dns 10.2.0.54 domains corp.example subnets 10.2.0.0/16" },
		{ NULL, "10.2.0.54 10.2.0.55", "corp.example", "10.2.0.0/16",
		  "10.99.0.1/32 dns 10.2.0.54 10.2.0.55 domains corp.example subnets 10.2.0.0/16" },
		{ NULL, "10.2.0.54 10.2.0.55", "corp.test", "10.2.0.0/16",
		  "10.99.0.1/32 dns 10.2.0.54 10.2.0.55 domains corp.test subnets 10.2.0.0/16" },
		{ NULL, "10.2.0.54 10.2.0.55", "corp.test b.test", "10.2.0.0/16",
		  "10.99.0.1/32 dns 10.2.0.54 10.2.0.55 domains corp.test b.test subnets "
		  "10.2.0.0/16" },
		{ NULL, "", "", "10.2.0.0/17", "10.99.0.1/32 subnets 10.2.0.0/17" },
		{ NULL, "", "", "10.2.128.0/17", "10.99.0.1/32 subnets 10.2.128.0/17" },
		{ NULL, "", "", "10.2.0.0/24 10.2.9.0/24",
		  "10.99.0.1/32 subnets 10.2.0.0/24 10.2.9.0/24" },
		{ "10.99.0.0/24 fd00:99::/64", "", "", "10.2.0.0/24 10.2.9.0/24",
		  "10.99.0.1/32 fd00:99::1/128 subnets 10.2.0.0/24 10.2.9.0/24" },
		{ "10.99.0.64/26 fd00:99::/64", "", "", "10.2.0.0/24 10.2.9.0/24",
		  "10.99.0.65/32 fd00:99::1/128 subnets 10.2.0.0/24 10.2.9.0/24" },
	};
	unsigned told = 1;
	struct pair p;

	(void)state;
	start_pair(&p, 1);
	has_got(p.a, "10.99.0.1/32 dns 10.2.0.53 domains corp.example subnets 10.2.0.0/16");
	renew(&p);
	assert_int_equal(p.a->n_got, told);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct test_conf *c = test_conf_copy(p.b->conf);

		test_conf_dns(c, &c->peer[0], rows[i].dns, rows[i].domains);
		c->peer[0].ts_local = test_conf_ts(c, rows[i].ts);
		if (rows[i].pool)
			test_conf_pool(c, &c->peer[0], rows[i].pool);
		node_reconfigure(p.b, c);
		world_live(p.w, dur_s(120));
		renew(&p);
		has_got(p.a, rows[i].got);
		assert_true(p.a->n_got > told);
		told = p.a->n_got;
		renew(&p);
		assert_int_equal(p.a->n_got, told);
	}
	pair_done(&p);
}

/* A life of inner addresses: given, told, replaced by others, lost and given again. */
static void live_once(struct pair *p, struct node *starved, long at)
{
	struct test_conf *c = test_conf_copy(p->b->conf);

	starved->mem.fail_at = starved->mem.calls + at;
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	world_live(p->w, dur_s(5));
	test_conf_pool(c, &c->peer[0], "10.98.0.0/24 fd00:98::/64");
	node_reconfigure(p->b, c);
	world_live(p->w, dur_s(100));
	(void)!node_command(p->a, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(5));
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	world_live(p->w, dur_s(5));
}

/* Whichever allocation fails, once, at either end: nobody has half of anything, and a little later
 * all is as it should be. */
static void memory_runs_out(void **state)
{
	(void)state;
	for (int at_b = 0; at_b < 2; at_b++) {
		unsigned lives = 0, used = 0;
		bool failed = true;

		for (long at = 0; failed; at++) {
			const struct node_lease *l;
			struct ike_pool_info i;
			struct test_conf *c;
			struct node *n;
			struct pair p;

			start_pair(&p, 100);
			n = at_b ? p.b : p.a;
			live_once(&p, n, at);
			failed = n->mem.refused > 0;
			n->mem.fail_at = -1;
			/* A reload that had no memory did not happen. */
			c = test_conf_copy(p.b->conf);
			node_reconfigure(p.b, c);
			(void)!node_command(p.a, IKE_CMD_UP, PAIR_PEER);
			world_live(p.w, dur_s(700));
			has_addresses(p.a, "10.98.0.1/32 fd00:98::1/128");
			child_is(p.a, "10.98.0.1/32, fd00:98::1/128 === 10.2.0.0/16");
			assert_true(world_ping(p.w, p.a, "10.98.0.1", p.b, "10.2.0.1"));
			assert_true(ike_pool(p.b->ike, PAIR_PEER, &i));
			assert_int_equal(i.v4.size - i.v4.left, 1);
			assert_int_equal(i.v6.size - i.v6.left, 1);
			assert_int_equal(i.leases, 1);
			assert_int_equal(i.in_use, 1);
			/* That he is back may have got lost: then his time ends sooner than it
			 * should, at our next start. */
			l = node_lease(p.b, "a.example");
			assert_non_null(l);
			used += !l->ended.s;
			pair_done(&p);
			lives++;
		}
		assert_in_range(lives - used, 0, 2);
	}
}

/* Of what is behind a gateway only whole prefixes are told, and a few of them (section 3.15.2). */
static void subnets_that_are_none(void **state)
{
	static const char *const ts[] = { "10.2.0.0/16[tcp/80]", "10.2.0.0/24 10.2.1.0/24[udp]",
					  "10.2.0.1-10.2.255.254" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ts); i++) {
		struct pair p;

		pair_init(&p, 20 + (unsigned)i);
		p.pa->ask_v4 = true;
		p.pa->ts_local = test_conf_ts(p.ca, "");
		test_conf_addresses(p.cb, p.pb, "");
		p.pb->ts_local = test_conf_ts(p.cb, ts[i]);
		p.pb->ts_remote = test_conf_ts(p.cb, "");
		test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		has_got(p.a, "10.99.0.1/32");
		assert_int_equal(p.a->n_children, 1);
		pair_done(&p);
	}
}

/* ---- who does not ask ---------------------------------------------------------------------- */

/* A peer of a section with a pool that asks for none: what it may have besides decides. */
static void peer_without_request(void **state)
{
	static const struct {
		const char *may, *wants, *says;
		enum ike_reason reason, theirs;
	} rows[] = {
		{ "", "10.1.0.0/16", "FAILED_CP_REQUIRED", IKE_R_ADDRESS, IKE_R_ADDRESS },
		{ "10.1.0.0/16", "10.7.0.0/16", "TS_UNACCEPTABLE", IKE_R_SELECTORS,
		  IKE_R_PEER_SAID },
		{ "10.1.0.0/16", "10.1.0.0/16", NULL, IKE_R_NONE, IKE_R_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, 40 + (unsigned)i);
		test_conf_addresses(p.cb, p.pb, "");
		p.pa->ts_local = test_conf_ts(p.ca, rows[i].wants);
		p.pb->ts_remote = test_conf_ts(p.cb, rows[i].may);
		test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		assert_int_equal(p.b->n_children, rows[i].says == NULL);
		assert_int_equal(p.b->n_stores, 0);
		if (rows[i].says) {
			because(p.b, IKE_EV_REFUSED, rows[i].reason);
			because(p.a, IKE_EV_REFUSED, rows[i].theirs);
			says(p.a, IKE_EV_REFUSED, rows[i].says);
		}
		pair_done(&p);
	}
}

/* Who was called gets no address by asking in the session, though we have a pool for who calls. */
static void asked_by_who_was_called(void **state)
{
	struct pair *p = *state;
	struct script s;

	test_conf_pool(p->ca, p->pa, "10.99.0.0/24");
	script_asked_for_auth(p, &s);
	script_begin(&s, WIRE_IKE_AUTH, true);
	script_put_id(&s);
	script_put_auth(&s);
	script_put_sa(&s, s.esp, s.spi_esp);
	script_put_ts(&s, "10.1.0.0/16", "10.2.0.0/16");
	script_send(&s);
	world_run(p->w);
	assert_int_equal(p->a->n_children, 1);
	inform(&s, WIRE_CFG_REQUEST, "0001 0000 0008 0000 0003 0000");
	reply_is(&s, "");
	assert_int_equal(p->a->n_stores, 0);
	/* Nor is there anything to keep for it when it goes. */
	connect_down(p->a);
	assert_int_equal(p->a->n_stores, 0);
	script_done(&s);
}

/* In the session there is what one has, of the family that it is of. */
static void asks_again_for_another_family(void **state)
{
	static const struct {
		const char *cp, *reply;
	} rows[] = {
		{ "0001 0000", "0001 0004 0a630001 000d 0008 0a020000 ffff0000" },
		{ "0001 0000 0008 0000", "0001 0004 0a630001 000d 0008 0a020000 ffff0000" },
		{ "0003 0000", "0003 0004 0a020035 000d 0008 0a020000 ffff0000" },
		{ "0008 0000", NULL },
	};
	struct pair *p = *state;
	struct script s;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/24 fd00:99::/64");
	test_conf_dns(p->cb, p->pb, "10.2.0.53", "");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	auth_with_cp(&s, WIRE_CFG_REQUEST, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		inform(&s, WIRE_CFG_REQUEST, rows[i].cp);
		if (rows[i].reply)
			reply_is(&s, rows[i].reply);
		else
			assert_non_null(script_notify(&s, WIRE_N_INTERNAL_ADDRESS_FAILURE));
	}
	assert_int_equal(p->b->n_stores, 1);
	script_done(&s);
}

/* ---- pools --------------------------------------------------------------------------------- */

/* The pool goes while the store writes the first lease of it. */
static void pool_goes_meanwhile(void **state)
{
	struct star *s = *state;
	struct ike_pool_info info;
	struct node *one;

	one = stores_first(s, "10.99.0.0/24");
	assert_int_equal(node_held(s->hub, PENDING_STORE), 1);
	node_reconfigure(s->hub, with_pool(s, NULL));
	node_release(s->hub);
	world_run(s->w);
	says(s->hub, IKE_EV_REFUSED, "a reload took the pool of inner addresses away");
	world_live(s->w, dur_s(60));
	assert_false(one->got.up);
	assert_int_equal(one->n_children, 0);
	assert_false(ike_pool(s->hub->ike, STAR_PEER, &info));
	/* When it is back, so is the address. */
	node_reconfigure(s->hub, with_pool(s, "10.99.0.0/24"));
	world_live(s->w, dur_s(600));
	has_addresses(one, "10.99.0.1/32");
	pool_is(s, 254, 1, 1, 1);
}

/* The pool moves, or goes, while we sign: what is stored by then is nobody's any more. */
static void pool_moves_while_we_sign(void **state)
{
	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		struct test_conf *c;
		struct pair p;

		pair_init(&p, 60);
		p.pa->ask_v4 = true;
		p.pa->ts_local = test_conf_ts(p.ca, "");
		test_conf_addresses(p.cb, p.pb, "");
		p.pb->ts_remote = test_conf_ts(p.cb, "");
		test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
		pair_start(&p);
		p.b->hold = HOLD_JOBS;
		connect(p.a);
		world_run(p.w);
		while (p.b->n_stores == 0) {
			assert_int_equal(node_held(p.b, PENDING_JOB), 1);
			node_answer(p.b, node_pending(p.b, PENDING_JOB, 0));
			world_run(p.w);
		}
		assert_int_equal(node_held(p.b, PENDING_JOB), 1);
		c = test_conf_copy(p.b->conf);
		test_conf_pool(c, &c->peer[0], gone ? "" : "10.98.0.0/24");
		node_reconfigure(p.b, c);
		node_release(p.b);
		world_run(p.w);
		assert_false(p.a->got.up);
		assert_int_equal(p.a->n_children + p.b->n_children, 0);
		because(p.a, IKE_EV_REFUSED, IKE_R_ADDRESS);
		says(p.b, IKE_EV_REFUSED, "the pool of inner addresses has changed");
		connect(p.a);
		world_live(p.w, dur_s(20));
		if (!gone)
			has_addresses(p.a, "10.98.0.1/32");
		pair_done(&p);
	}
}

/* What the configuration would like to have: asked for when there is nothing else to ask for. */
static void other_wishes(void **state)
{
	struct test_conf *c;
	ike_sa_id before;
	struct pair p;

	(void)state;
	start_pair(&p, 70);
	for (unsigned f = 0; f < 2; f++) {
		before = node_sa(p.a).info.id;
		c = test_conf_copy(p.a->conf);
		c->peer[0].ask[f] = test_ip(f ? "fd00:99::77" : "10.99.0.77");
		node_reconfigure(p.a, c);
		world_live(p.w, dur_s(30));
		assert_true(node_sa(p.a).info.id > before);
		/* Who has one asks for that. */
		has_addresses(p.a, "10.99.0.1/32");
	}
	node_restart(p.a);
	connect(p.a);
	world_live(p.w, dur_s(10));
	has_addresses(p.a, "10.99.0.1/32");
	/* Nobody has it, and it is another's. */
	assert_int_equal(node_command(p.b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_live(p.w, dur_s(10));
	c = test_conf_copy(p.b->conf);
	test_conf_pool(c, &c->peer[0], "10.99.0.64/26 fd00:99::/64");
	node_reconfigure(p.b, c);
	node_restart(p.a);
	connect(p.a);
	world_live(p.w, dur_s(10));
	has_addresses(p.a, "10.99.0.77/32 fd00:99::77/128");
	pair_done(&p);
}

/* Addresses that somebody else has by now, such as a name server: they leave the pool, and nobody
 * who has another one notices; the same list once more changes nothing. */
static void others_take_some(void **state)
{
	static const struct {
		const char *but, *next;
		unsigned taken, leases;
	} rows[] = {
		{ "10.99.0.2", "10.99.0.3/32", 2, 2 },
		{ "10.99.0.2", "10.99.0.4/32", 3, 3 },
		/* His own, which he keeps for the moment. */
		{ "10.99.0.1", "10.99.0.2/32", 3, 4 },
	};
	struct star *s = *state;
	struct node *one;

	star_pool(s, "10.99.0.0/29");
	star_hub(s);
	one = star_roam(s, 1);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct test_conf *c = test_conf_copy(s->hub->conf);
		struct ip ip = test_ip(rows[i].but);

		c->peer[0].pool_but = (const void *)test_conf_dup(c, bytes_of(&ip, sizeof(ip))).p;
		c->peer[0].n_pool_but = 1;
		node_reconfigure(s->hub, c);
		has_addresses(star_roam(s, i + 2), rows[i].next);
		has_addresses(one, "10.99.0.1/32");
		pool_is(s, 5, rows[i].taken, rows[i].leases, rows[i].leases);
	}
	world_live(s->w, dur_s(300));
	has_addresses(one, "10.99.0.5/32");
	pool_is(s, 5, 4, 4, 4);
}

/* Who ended first had an address of the other family only: the next ones make room. */
static void room_of_the_right_family(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *n[4];

	star_pool(s, "10.99.0.0/30 fd00:99::/126");
	star_hub(s);
	for (unsigned i = 1; i <= 3; i++) {
		site = star_endpoint(s, i);
		site.p->ask_v4 = i > 1;
		site.p->ask_v6 = i == 1;
		n[i] = star_start(s, &site);
		world_run(s->w);
		assert_true(n[i]->got.up);
		assert_int_equal(node_command(n[i], IKE_CMD_DOWN, STAR_PEER), ST_OK);
		world_live(s->w, dur_s(10));
	}
	pool_is(s, 2 + 3, 3, 3, 0);
	world_live(s->w, dur_s(2 * 86400));
	site = star_endpoint(s, 4);
	site.p->ask_v6 = false;
	n[0] = star_start(s, &site);
	world_run(s->w);
	has_addresses(n[0], "10.99.0.1/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.expired"), 2);
	assert_null(node_lease(s->hub, "site-1.example"));
	assert_null(node_lease(s->hub, "site-2.example"));
	stored_as(s->hub, "site-3.example", "10.99.0.2", NULL, false);
}

/* The last of the others is still in his time: one of a family that has nothing left. */
static void one_family_is_exhausted(void **state)
{
	struct star *s = *state;

	star_pool(s, "10.99.0.1-10.99.0.1 fd00:99::/64");
	star_hub(s);
	has_addresses(star_roam(s, 1), "10.99.0.1/32 fd00:99::1/128");
	/* Asks for both, and does with one. */
	has_addresses(star_roam(s, 2), "fd00:99::2/128");
	assert_int_equal(node_counter(s->hub, "ike.refused.pool_exhausted"), 1);
	{
		struct ike_pool_info i;

		assert_true(ike_pool(s->hub->ike, STAR_PEER, &i));
		assert_int_equal(i.v4.size, 1);
		assert_int_equal(i.v4.left, 0);
		assert_int_equal(i.v6.size - i.v6.left, 2);
		assert_false(ike_pool(s->hub->ike, 77, &i));
		assert_false(ike_pool(s->hub->ike, star_member(s, "site-1.example"), &i));
	}
}

/* A pool that was moved between two starts: as many leases fit no more as it had; a few are told.
 */
static void many_unfit(void **state)
{
	enum { MANY = IKE_UNFIT_EVENTS + 5 };
	struct ike_lease fits = { .peer = "corp",
				  .identity = { WIRE_ID_FQDN, bytes_str("fits.example") },
				  .v4 = { 4, { 10, 98, 0, 9 } },
				  .ended = { WORLD_WALL - 5 } };
	struct star *s = *state;
	unsigned told = 0;

	star_pool(s, "10.98.0.0/24");
	star_hub(s);
	node_kill(s->hub);
	for (unsigned i = 0; i < MANY; i++) {
		char name[32], ip[32];

		snprintf(name, sizeof(name), "site-%u.example", i);
		snprintf(ip, sizeof(ip), "10.99.0.%u", i + 1);
		keep(s->hub, "corp", name, ip, NULL, WORLD_WALL - 5);
	}
	assert_int_equal(node_start(s->hub), ST_OK);
	world_run(s->w);
	for (size_t i = 0; i < s->hub->n_events; i++)
		told += s->hub->events[i].kind == IKE_EV_LEASE;
	assert_int_equal(s->hub->n_unfit, MANY);
	assert_int_equal(node_counter(s->hub, "ike.lease.unfit"), MANY);
	assert_int_equal(told, IKE_UNFIT_EVENTS);
	pool_is(s, 254, 0, 0, 0);
	/* An identity has one, also where the store says otherwise. */
	assert_int_equal(ike_lease_load(s->hub->ike, &fits), ST_OK);
	fits.v4.b[3] = 10;
	assert_int_equal(ike_lease_load(s->hub->ike, &fits), ST_INVAL);
	fits.peer = "nobody";
	assert_int_equal(ike_lease_load(s->hub->ike, &fits), ST_INVAL);
	pool_is(s, 254, 1, 1, 0);
}

struct seen {
	unsigned used, ended, stop;
};

static bool on_lease(void *ctx, uint64_t number, const struct ike_lease *l)
{
	struct seen *seen = ctx;

	assert_true(number > 0);
	seen->used += l->ended.s == 0;
	seen->ended += l->ended.s != 0;
	return seen->used + seen->ended != seen->stop;
}

/* Of two sections with pools: those in use and those that ended; not one that is being stored. */
static void listed_of_two_sections(void **state)
{
	struct seen seen = { 0 }, first = { .stop = 1 };
	struct pair *p = *state;
	struct script s[3];
	struct ike_peer_conf *other;
	static const char *const ids[] = { "a.example", "x.roam", "y.roam" };

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/29");
	other = test_conf_peer(p->cb, 2, "other", NULL, "b.example", "*.roam", 1);
	other->ts_local = p->pb->ts_local;
	test_conf_pool(p->cb, other, "10.98.0.0/29");
	pair_start_b(p);
	for (unsigned i = 0; i < 3; i++) {
		char from[32];

		snprintf(from, sizeof(from), "192.0.2.%u", 20 + i);
		script_init(&s[i], p->w, from, p->b, true);
		s[i].id = ids[i];
		if (i < 2)
			auth_with_cp(&s[i], 1, "0001 0000", "0.0.0.0/0", "0.0.0.0/0");
	}
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_advance(p->w, dur_s(200));
	world_drop_all(p->w);
	p->b->hold = HOLD_STORE;
	script_sa_init(&s[2]);
	assert_true(script_exchange(&s[2]));
	script_begin(&s[2], WIRE_IKE_AUTH, false);
	script_put_id(&s[2]);
	script_put_auth(&s[2]);
	wire_put_cp(&s[2].out, 1, cp_hex("0001 0000"));
	script_put_sa(&s[2], s[2].esp, s[2].spi_esp);
	script_put_ts(&s[2], "0.0.0.0/0", "0.0.0.0/0");
	script_send(&s[2]);
	world_run(p->w);
	assert_int_equal(node_held(p->b, PENDING_STORE), 1);
	ike_each_lease(p->b->ike, 0, on_lease, &seen);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.used, 1);
	ike_each_lease(p->b->ike, 0, on_lease, &first);
	assert_int_equal(first.used + first.ended, 1);
	node_release(p->b);
	world_drop_all(p->w);
	seen = (struct seen){ 0 };
	ike_each_lease(p->b->ike, 0, on_lease, &seen);
	assert_int_equal(seen.used + seen.ended, 3);
	for (unsigned i = 0; i < 3; i++)
		script_done(&s[i]);
}

/* An answer of the store that nobody waits for, and one to nothing. */
static void answers_to_nothing(void **state)
{
	struct star *s = *state;

	star_pool(s, NULL);
	star_hub(s);
	star_roam(s, 1);
	ike_stored(s->hub->ike, s->w->now, 0, ST_OK);
	ike_stored(s->hub->ike, s->w->now, 1, ST_OK);
	ike_stored(s->hub->ike, s->w->now, 999, ST_IO);
	assert_int_equal(node_counter(s->hub, "ike.host.unknown_result"), 2);
	assert_int_equal(node_counter(s->hub, "ike.store.failed"), 0);
	pool_is(s, 254 + (1 << 20) - 1, 2, 1, 1);
}

/* Another address is being stored for who has a stray one when his old SA ends: he comes back to
 * the new one. */
static void goes_while_another_is_stored(void **state)
{
	struct star *s = *state;
	struct node *one;

	star_pool(s, "10.99.0.0/24");
	star_hub(s);
	one = star_roam(s, 1);
	s->hub->hold = HOLD_STORE;
	node_reconfigure(s->hub, with_pool(s, "10.98.0.0/24"));
	/* He comes at once, and waits for longer than his first SA may live. */
	world_live(s->w, dur_s(300));
	assert_true(node_held(s->hub, PENDING_STORE) > 0);
	node_release(s->hub);
	s->hub->hold = 0;
	world_live(s->w, dur_s(300));
	has_addresses(one, "10.98.0.1/32");
	pool_is(s, 254, 1, 1, 1);
	stored_as(s->hub, "site-1.example", "10.98.0.1", NULL, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_answer),
		cmocka_unit_test(memory_runs_out),
		cmocka_unit_test(subnets_that_are_none),
		cmocka_unit_test(peer_without_request),
		pair_test(asked_by_who_was_called),
		pair_test(asks_again_for_another_family),
		star_test(pool_goes_meanwhile),
		cmocka_unit_test(pool_moves_while_we_sign),
		cmocka_unit_test(other_wishes),
		star_test(others_take_some),
		star_test(room_of_the_right_family),
		star_test(one_family_is_exhausted),
		star_test(many_unfit),
		pair_test(listed_of_two_sections),
		star_test(answers_to_nothing),
		star_test(goes_while_another_is_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
