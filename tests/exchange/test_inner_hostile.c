/*
 * Inner addresses between parties that do not mean well: a gateway that gives what is not its to
 * give, a member that asks for what is somebody else's.  R06, S1, S3.
 */
#include "exchange/exchange.h"
#include "exchange/inner.h"

/* ---- gateways ------------------------------------------------------------------------------- */

/* Addresses that would make this host deaf, or take its own away.  No tunnel is worth that. */
static void not_to_be_given(void **state)
{
	static const struct {
		const char *pool, *why;
	} rows[] = {
		{ "0.0.0.1/32", "which no host can have" },
		{ "127.0.0.1/32", "which no host can have" },
		{ "169.254.169.254/32", "which no host can have" },
		{ "224.0.0.251/32", "which no host can have" },
		{ "255.255.255.255/32", "which no host can have" },
		{ "::1/128", "which no host can have" },
		{ "fe80::1/128", "which no host can have" },
		{ "ff02::fb/128", "which no host can have" },
		{ "::ffff:10.2.0.1/128", "which no host can have" },
		{ "192.0.2.1/32", "which the tunnel itself goes through" },
		{ "192.0.2.2/32", "which the tunnel itself goes through" },
		{ "198.51.100.7/32", "which this host has already" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool v4 = strchr(rows[i].pool, '.') && rows[i].pool[0] != ':';
		struct pair p;

		pair_init(&p, 10 + i);
		*(v4 ? &p.pa->ask_v4 : &p.pa->ask_v6) = true;
		p.pa->ts_local = test_conf_ts(p.ca, "");
		p.pa->ts_remote = test_conf_ts(p.ca, "10.2.0.0/16 fd00:2::/32");
		p.pb->ts_local = test_conf_ts(p.cb, "10.2.0.0/16 fd00:2::/32");
		p.pb->ts_remote = test_conf_ts(p.cb, "");
		test_conf_addresses(p.cb, p.pb, "");
		test_conf_pool(p.cb, p.pb, rows[i].pool);
		pair_start(&p);
		node_moves(p.a, "192.0.2.1", "198.51.100.7");
		connect(p.a);
		world_run(p.w);
		because(p.a, IKE_EV_REFUSED, IKE_R_ADDRESS);
		says(p.a, IKE_EV_REFUSED, rows[i].why);
		assert_int_equal(node_counter(p.a, "ike.refused.inner_address"), 1);
		assert_int_equal(p.a->n_got + p.a->n_children + p.b->n_children, 0);
		pair_done(&p);
	}
}

/* Who takes a few names only does not send all its questions there because the gateway has named
 * none of them (RFC 8598 section 5). */
static void names_of_others(void **state)
{
	static const struct {
		const char *given, *wanted, *got;
	} rows[] = {
		{ "corp.example", "corp.example", " dns 10.2.0.53 domains corp.example" },
		{ "a.corp.example com", "corp.example", " dns 10.2.0.53 domains a.corp.example" },
		{ "com xcorp.example", "corp.example", "" },
		{ "", "corp.example", "" },
		{ "", "", " dns 10.2.0.53" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[128];
		struct pair p;

		pair_init(&p, 30 + i);
		p.pa->ask_v4 = true;
		p.pa->ts_local = test_conf_ts(p.ca, "");
		test_conf_dns(p.ca, p.pa, "", rows[i].wanted);
		p.pb->ts_remote = test_conf_ts(p.cb, "");
		test_conf_addresses(p.cb, p.pb, "");
		test_conf_pool(p.cb, p.pb, "10.99.0.0/24");
		test_conf_dns(p.cb, p.pb, "10.2.0.53", rows[i].given);
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		snprintf(want, sizeof(want), "10.99.0.1/32%s subnets 10.2.0.0/16", rows[i].got);
		has_got(p.a, want);
		pair_done(&p);
	}
}

/* As many names and servers as there may be, each as long as it may be (RFC 1035 section 2.3.4). */
static void longest_reply(void **state)
{
	static char text[WIRE_CFG_DOMAINS][WIRE_CFG_NAME_MAX + 1];
	static const char *names[WIRE_CFG_DOMAINS];
	struct pair *p = *state;
	struct wire_cfg cfg;
	struct script s;

	for (size_t i = 0; i < WIRE_CFG_DOMAINS; i++) {
		memset(text[i], 'x', WIRE_CFG_NAME_MAX);
		text[i][0] = (char)('a' + i);
		text[i][63] = text[i][127] = text[i][191] = '.';
		names[i] = text[i];
	}
	test_conf_pool(p->cb, p->pb, "10.99.0.0/24 fd00:99::/64");
	test_conf_dns(p->cb, p->pb, "::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8", "");
	p->pb->dns_domains = names;
	p->pb->n_dns_domains = WIRE_CFG_DOMAINS;
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	auth_with_cp(&s, WIRE_CFG_REQUEST,
		     "0001 0000 0008 0000 000a 0000 0019 0000 0007 0000 000e 0000",
		     "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
	assert_true(s.in.present & WIRE_BIT(WIRE_P_CP));
	assert_int_equal(wire_cfg_parse(s.in.cp.attributes, &cfg), ST_OK);
	assert_int_equal(cfg.n_addresses, 2);
	assert_int_equal(cfg.n_dns, WIRE_CFG_DNS);
	assert_int_equal(cfg.n_domains, WIRE_CFG_DOMAINS);
	script_done(&s);
}

/* ---- members -------------------------------------------------------------------------------- */

/* An operator gave the whole of the domain as pool.  What a site has up by its certificate is not
 * to be had out of it: who asks for that gets another one. */
static void address_of_a_site(void **state)
{
	struct star *s = *state;
	struct star_site site;
	struct node *one, *three, *thief;

	star_pool(s, "10.0.0.0/12");
	star_hub(s);
	one = star_join(s, 1);
	three = star_join(s, 3);
	site = star_endpoint(s, 2);
	site.p->ask_v6 = false;
	site.p->ask[0] = test_ip("10.1.0.1");
	thief = star_start(s, &site);
	world_run(s->w);
	assert_true(star_ping(s, three, 3, one, 1));
	has_addresses(thief, "10.0.0.1/32");
	assert_false(star_ping_from(s, thief, "10.1.0.1", three, "10.3.0.1"));
	assert_int_equal(node_counter(s->hub, "ike.conflicts"), 0);
}

/* A pool that is part of what a site has, and less, is carved out of it by whoever runs the hub. */
static void pool_in_a_site(void **state)
{
	struct star *s = *state;
	struct node *one, *two;

	star_pool(s, "10.1.200.0/24");
	star_hub(s);
	one = star_join(s, 1);
	two = star_roam(s, 2);
	has_addresses(two, "10.1.200.1/32");
	assert_true(star_ping_from(s, two, "10.1.200.1", one, "10.1.0.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_to_be_given), cmocka_unit_test(names_of_others),
		pair_test(longest_reply),          star_test(address_of_a_site),
		star_test(pool_in_a_site),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
