/*
 * Inner addresses that are not to be had: inside of what sites have up, one family of two, more
 * identities than there may be.  R06, S1.
 */
#include "exchange/exchange.h"
#include "exchange/inner.h"
#include "ike/limits.h"

/* ---- inside of what others have up --------------------------------------------------------- */

/* What a site has up is nobody else's, whatever the pool says: the first address behind it is
 * given. */
static void not_what_a_site_has(void **state)
{
	static const struct {
		const char *pool, *blocks, *protect, *got;
	} rows[] = {
		{ "10.99.0.0/24", "10.99.0.0/28", "10.99.0.0/28", "10.99.0.16/32" },
		{ "10.99.0.0/24", "10.99.0.0/24", "10.99.0.0/25", "10.99.0.128/32" },
		{ "10.99.0.0/24", "10.99.0.0/24", "10.99.0.2/32", "10.99.0.1/32" },
		{ "10.99.0.0/24 10.98.0.0/24", "10.99.0.0/24", "10.99.0.0/24", "10.98.0.1/32" },
		{ "10.99.0.0/16", "10.99.0.0/28 10.99.0.32/27", "10.99.0.0/28 10.99.0.32/27",
		  "10.99.0.16/32" },
		{ "fd00:99::/64", "fd00:99::/120", "fd00:99::/120", "fd00:99::100/128" },
		/* A pool out of the middle of what a site has was meant to be. */
		{ "10.99.7.0/24", "10.99.0.0/16", "10.99.0.0/16", "10.99.7.1/32" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct star_site site;
		struct node *one;
		struct star s;

		star_init(&s, 200 + i);
		star_pool(&s, rows[i].pool);
		star_hub(&s);
		site = star_site(&s, 1, rows[i].blocks, rows[i].protect);
		one = star_start(&s, &site);
		world_run(s.w);
		assert_true(star_is_up(&s, one, 1));
		one = star_roam(&s, 2);
		has_addresses(one, rows[i].got);
		assert_true(star_is_up(&s, one, 2));
		assert_int_equal(node_counter(s.hub, "ike.conflicts"), 0);
		star_done(&s);
	}
}

/* It was given one before the site had it up: it gets another one when it comes again, and when
 * there is none keeps what it has, in case. */
static void not_what_a_site_has_since(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one;

	star_pool(s, "10.99.0.1-10.99.0.2");
	star_hub(s);
	one = star_roam(s, 1);
	has_addresses(one, "10.99.0.1/32");
	site = star_site(s, 2, "10.99.0.1-10.99.0.2", "10.99.0.1/32");
	assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s->w);
	star_start(s, &site);
	world_run(s->w);
	assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s->w);
	has_addresses(one, "10.99.0.2/32");
	assert_true(star_is_up(s, one, 1));
	says(s->hub, IKE_EV_LEASE,
	     "site-1.example has the inner address 10.99.0.2 in place of 10.99.0.1");
	/* What it had is nobody's, and not to be had. */
	site = star_endpoint(s, 3);
	star_start(s, &site);
	world_run(s->w);
	says(s->hub, IKE_EV_REFUSED,
	     "the pool of \"corp\" has 2 (1 of them nobody's, but inside of what others have up)");
	assert_int_equal(node_counter(s->hub, "ike.refused.pool_exhausted"), 1);
	pool_is(s, 2, 1, 1, 1);
}

static void protect_each(struct star *s, unsigned number, unsigned first, unsigned n)
{
	char protect[1024] = "";
	struct text t = TEXT_OF(protect);
	struct star_site site;
	struct node *one;

	for (unsigned i = first; i < first + n; i++)
		text_fmt(&t, "%s10.99.0.%u/32", i == first ? "" : " ", i);
	site = star_site(s, number, "10.99.0.0/24", protect);
	one = star_start(s, &site);
	world_run(s->w);
	assert_true(star_is_up(s, one, number));
}

/* However many prefixes lie in front: a request goes past so many, the next one on from there, and
 * nobody twice. */
static void past_many_prefixes(void **state)
{
	enum { SITES = 3, EACH = IKE_SKIP_MAX / 2 - 4, ALL = SITES * EACH };
	struct star *s = *state;
	struct star_site site;
	struct node *four;

	star_pool(s, "10.99.0.0/16");
	star_hub(s);
	for (unsigned i = 0; i < SITES; i++)
		protect_each(s, 1 + i, 1 + i * EACH, EACH);
	site = star_endpoint(s, 4);
	four = star_start(s, &site);
	world_run(s->w);
	assert_false(four->got.up);
	assert_int_equal(node_counter(s->hub, "ike.lease.skipped"), IKE_SKIP_MAX);
	says(s->hub, IKE_EV_REFUSED, "nobody's, but inside of what others have up");
	world_live(s->w, dur_s(120));
	has_addresses(four, "10.99.0.37/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.skipped"), ALL);
	has_addresses(star_roam(s, 5), "10.99.0.38/32");
	assert_int_equal(node_counter(s->hub, "ike.lease.skipped"), ALL);
}

/* ---- one family, and no more --------------------------------------------------------------- */

/* Of one family there is none: who asks for both gets the other, and both are told. */
static void one_family_is_exhausted(void **state)
{
	static const struct {
		const char *pool, *got, *says;
	} rows[] = {
		{ "10.99.0.1/32 fd00:99::/64", "fd00:99::2/128",
		  "site-2.example gets but one family: no inner IPv4 address is free: the pool of "
		  "\"corp\" has 1 and 1 identities have leases" },
		{ "10.99.0.0/24 fd00:99::1/128", "10.99.0.2/32",
		  "site-2.example gets but one family: no inner IPv6 address is free" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct star_site site;
		struct node *two;
		struct star s;

		star_init(&s, 220 + i);
		star_pool(&s, rows[i].pool);
		star_hub(&s);
		star_roam(&s, 1);
		two = star_roam(&s, 2);
		has_addresses(two, rows[i].got);
		assert_int_equal(node_counter(s.hub, "ike.refused.pool_exhausted"), 1);
		says(s.hub, IKE_EV_REFUSED, rows[i].says);
		because(s.hub, IKE_EV_REFUSED, IKE_R_ADDRESS);
		/* Each time that it asks. */
		node_restart(two);
		world_live(s.w, dur_s(20));
		has_addresses(two, rows[i].got);
		assert_int_equal(node_counter(s.hub, "ike.refused.pool_exhausted"), 2);
		/* Who asks for what there is misses nothing. */
		site = star_endpoint(&s, 3);
		site.p->ask_v4 = i == 1;
		site.p->ask_v6 = i == 0;
		star_start(&s, &site);
		world_run(s.w);
		assert_int_equal(node_counter(s.hub, "ike.refused.pool_exhausted"), 2);
		pool_is(&s, i == 0 ? 1 << 20 : 255, 4, 3, 3);
		star_done(&s);
	}
}

static struct test_conf *with_max(struct star *s, uint32_t max)
{
	struct test_conf *c = test_conf_copy(s->hub->conf);

	c->peer[0].leases_max = max;
	return c;
}

/* So many identities and no more; who has one is not refused, and whose time is over makes room. */
static void so_many_and_no_more(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one, *three;

	star_pool(s, NULL);
	s->ph->leases_max = 2;
	star_hub(s);
	one = star_roam(s, 1);
	star_roam(s, 2);
	site = star_endpoint(s, 3);
	three = star_start(s, &site);
	world_run(s->w);
	because(s->hub, IKE_EV_REFUSED, IKE_R_ADDRESS);
	says(s->hub, IKE_EV_REFUSED,
	     "no inner address for one more identity: `leases_max` of \"corp\" is 2 and 2 "
	     "identities "
	     "have leases, 2 of them are connected");
	says(three, IKE_EV_REFUSED, "INTERNAL_ADDRESS_FAILURE");
	assert_int_equal(node_counter(s->hub, "ike.refused.leases_max"), 1);
	assert_int_equal(node_counter(s->hub, "ike.refused.pool_exhausted"), 0);
	node_restart(one);
	world_live(s->w, dur_s(20));
	has_addresses(one, "10.99.0.1/32 fd00:99::1/128");
	assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_live(s->w, dur_s(3600));
	assert_false(three->got.up);
	world_live(s->w, dur_s(86400));
	has_addresses(three, "10.99.0.1/32 fd00:99::1/128");
	assert_int_equal(node_counter(s->hub, "ike.lease.expired"), 1);
	pool_is(s, 254 + (1 << 20) - 1, 4, 2, 2);
	/* Hot, in both directions. */
	node_reconfigure(s->hub, with_max(s, 3));
	star_roam(s, 4);
	node_reconfigure(s->hub, with_max(s, 1));
	site = star_endpoint(s, 5);
	star_start(s, &site);
	world_run(s->w);
	says(s->hub, IKE_EV_REFUSED, "`leases_max` of \"corp\" is 1 and 3 identities have leases");
	assert_true(star_is_up(s, three, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_what_a_site_has), star_test(not_what_a_site_has_since),
		star_test(past_many_prefixes),         cmocka_unit_test(one_family_is_exhausted),
		star_test(so_many_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
