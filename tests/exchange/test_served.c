/*
 * What a member has up, and on whose word it may: its certificate's, our rules', or as a lease of
 * ours; and what its certificate has (docs/protocol/shortcut.md section 5; U2, R05).
 */
#include "exchange/exchange.h"
#include "harness/star.h"

static void rule_for(struct star *s, const char *identity, const char *prefixes)
{
	struct ike_member_rule r = { test_conf_ident(s->ch, identity),
				     test_conf_ts(s->ch, prefixes) };

	s->ph->rules = (const void *)test_conf_dup(s->ch, bytes_of(&r, sizeof(r))).p;
	s->ph->n_rules = 1;
}

/* "cert 10.1.0.0/16; pool 10.99.0.1/32" */
static const char *served(const struct node *n, ike_peer_id id, char *buf, size_t cap)
{
	static const char *const names[IKE_AUTHORITIES] = { "cert", "pool", "rule" };
	struct text t = { buf, 0, cap };
	struct wire_ts_list ts[IKE_AUTHORITIES];
	struct arena ar;
	enum status st;

	buf[0] = 0;
	arena_init(&ar, &mem_libc, 1 << 20);
	st = ike_peer_served(n->ike, id, &ar, ts);
	if (st)
		text_add(&t, status_name(st));
	for (unsigned i = 0; !st && i < IKE_AUTHORITIES; i++)
		if (ts[i].n) {
			text_fmt(&t, "%s%s ", t.n ? "; " : "", names[i]);
			policy_ts_list_text(&t, &ts[i]);
		}
	arena_done(&ar);
	return buf;
}

#define serves(s, name, want)                                                                      \
	do {                                                                                       \
		char got_[512];                                                                    \
		assert_string_equal(served((s)->hub, star_member(s, name), got_, sizeof(got_)),    \
				    want);                                                         \
	} while (0)

static bool covers(const struct node *n, ike_peer_id id, const char *words)
{
	struct test_conf *c = test_conf_new();
	struct wire_ts_list ts = test_conf_ts(c, words);
	bool yes = ike_peer_covers(n->ike, id, &ts);

	ike_conf_unref(&c->conf);
	return yes;
}

static void by_whose_word(void **state)
{
	struct star_site both;
	struct star s;
	char buf[512];

	(void)state;
	star_init(&s, 1);
	star_pool(&s, NULL);
	rule_for(&s, "site-2.example", "10.2.0.0/17 10.66.0.0/16");
	star_hub(&s);
	(void)star_join(&s, 1);
	both = star_site(&s, 2, "-", "10.2.0.0/16 10.66.0.0/16");
	(void)star_start(&s, &both);
	(void)star_roam(&s, 3);
	/* A prefix of its own, and a lease beside it. */
	both = star_site(&s, 4, NULL, NULL);
	both.p->ask_v4 = true;
	(void)star_start(&s, &both);
	world_run(s.w);
	serves(&s, "site-1.example", "cert 10.1.0.0/16");
	serves(&s, "site-2.example", "rule 10.2.0.0/17, 10.66.0.0/16");
	serves(&s, "site-3.example", "pool 10.99.0.1/32, fd00:99::1/128");
	serves(&s, "site-4.example", "cert 10.4.0.0/16; pool 10.99.0.2/32");
	assert_string_equal(served(s.hub, STAR_PEER, buf, sizeof(buf)), status_name(ST_INVAL));
	assert_string_equal(served(s.hub, 4711, buf, sizeof(buf)), status_name(ST_INVAL));
	star_done(&s);
}

/* Two children, and one that takes the place of another: each selector once; without a child
 * nothing. */
static void once_each(void **state)
{
	struct node *n;
	ike_peer_id id;
	struct star s;
	char buf[512];

	(void)state;
	star_init(&s, 1);
	star_hub(&s);
	n = star_join(&s, 1);
	id = star_member(&s, "site-1.example");
	assert_int_equal(node_command(n, IKE_CMD_REKEY_CHILD, STAR_PEER), ST_OK);
	for (int i = 0; i < 6; i++) {
		serves(&s, "site-1.example", "cert 10.1.0.0/16");
		if (world_packet(s.w, 0))
			world_deliver(s.w, world_packet(s.w, 0));
	}
	assert_int_equal(node_command(n, IKE_CMD_NEW_CHILD, STAR_PEER), ST_OK);
	world_run(s.w);
	assert_int_equal(s.hub->n_children, 2);
	serves(&s, "site-1.example", "cert 10.1.0.0/16");
	assert_int_equal(node_command(s.hub, IKE_CMD_DOWN, id), ST_OK);
	assert_string_equal(served(s.hub, id, buf, sizeof(buf)), status_name(ST_INVAL));
	star_done(&s);
}

static void what_a_certificate_has(void **state)
{
	struct star_site site;
	struct node *n;
	struct star s;
	ike_peer_id id;

	(void)state;
	star_init(&s, 1);
	star_pool(&s, NULL);
	star_hub(&s);
	n = star_join(&s, 1);
	id = star_member(&s, "site-1.example");
	assert_true(covers(s.hub, id, "10.1.0.0/16"));
	assert_true(covers(s.hub, id, "10.1.7.0/24 10.1.0.1/32"));
	assert_false(covers(s.hub, id, "10.1.0.0/16 10.2.0.0/24"));
	assert_false(covers(s.hub, id, "10.0.0.0/15"));
	assert_false(covers(s.hub, id, "fd00::/64"));
	assert_true(covers(n, STAR_PEER, "10.0.0.0/8 fd00:99::/64"));
	assert_false(covers(n, STAR_PEER, "11.0.0.0/8"));
	assert_false(covers(n, 4711, "10.1.0.0/16"));
	/* A lease is not its certificate's. */
	(void)star_roam(&s, 2);
	assert_false(covers(s.hub, star_member(&s, "site-2.example"), "10.99.0.1/32"));
	/* The newest certificate counts. */
	site = star_site(&s, 3, "10.3.0.0/16 10.7.0.0/16", NULL);
	n = star_start(&s, &site);
	world_run(s.w);
	id = star_member(&s, "site-3.example");
	assert_true(covers(s.hub, id, "10.7.0.0/16"));
	site.c = test_conf_copy(n->conf);
	test_conf_cert_blocks(site.c, &site.c->peer[0], STAR_HUB_KEY + 3, STAR_CA, STAR_CA,
			      "10.3.0.0/16");
	site.c->peer[0].own_digest[0] ^= 1;
	node_reconfigure(n, site.c);
	world_live(s.w, dur_s(30));
	id = star_member(&s, "site-3.example");
	assert_true(covers(s.hub, id, "10.3.0.0/16"));
	assert_false(covers(s.hub, id, "10.7.0.0/16"));
	star_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_whose_word),
		cmocka_unit_test(once_each),
		cmocka_unit_test(what_a_certificate_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
