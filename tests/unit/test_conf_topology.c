/* Topologies in the configuration: groups, rules, what a hub suggests by them and what sites make
 * of it, and every way to get them wrong.  T1, T2, T3, T4. */
#include "unit/conf_util.h"

#define CERTS "certificate = \"/c.pem\"\nkey = \"/k.pem\"\ntrust = \"/t.pem\"\n"
#define NETWORK(text) CERTS "network \"corp\" {\n" text "\n}\n"
#define HUB(text) NETWORK("role = hub ; domain = { \"10.0.0.0/8\", \"fd00::/8\" }\n" text)
#define SITE(text) NETWORK("role = site ; hubs = \"192.0.2.1\"\n" text)
#define ENDPOINT(text) NETWORK("role = endpoint ; hubs = \"192.0.2.1\"\n" text)

#define GROUP(name) "peers \"" name "\" { identities = \"" name "\" }\n"
#define RULE(name, between) "rule \"" name "\" { between = { " between " } ; topology = star }\n"

/* ---- what is wrong is said where it stands ---- */

static void group_errors(void **state)
{
	static const struct row row[] = {
		{ HUB("peers { identities = \"a\" }"),
		  { { 6, 1, "a peers section lacks its name, expected peers \"name\" { ... }" } } },
		{ HUB("peers \"\" { identities = \"a\" }"),
		  { { 6, 7, "a group's name has 1 to 63 bytes" } } },
		{ HUB("peers \"a\\nb\" { identities = \"a\" }"),
		  { { 6, 7, "a group's name has" } } },
		{ HUB("peers \"*\" { identities = \"a\" }"),
		  { { 6, 7, "peers \"*\" are everybody in any rule, accepted: another name" } } },
		{ HUB("peers \"a\" { }"),
		  { { 6, 7, "peers \"a\" is nobody, accepted: identities, networks or both" } } },
		{ HUB("peers \"a\" { identities = { } ; networks = { } }"),
		  { { 6, 26, "identities is an empty list" },
		    { 6, 43, "networks is an empty list" } } },
		{ HUB(GROUP("a") GROUP("b") GROUP("a")),
		  { { 8, 7, "peers \"a\" is defined a second time, the first is in line 6" } } },
		{ HUB("peers \"a\" { identities = { \"@#0\", \"b\", \"*.b\", \"b\" } }"),
		  { { 6, 28, "identities: " },
		    { 6, 47, "identities \"b\" stands twice in the list" } } },
		{ HUB("peers \"a\" { networks = { \"10.0.0.1/8\", \"10.1.0.0/16[tcp]\" } }"),
		  { { 6, 26, "networks \"10.0.0.1/8\" is no prefix" },
		    { 6, 40, "networks \"10.1.0.0/16[tcp]\" is no prefix" } } },
		{ HUB("peers \"a\" { networks = { \"192.0.2.0/24\", \"fe80::/10\", \"0.0.0.0/0\" } "
		      "}"),
		  { { 6, 26,
		      "networks \"192.0.2.0/24\" has nothing of the domain of network \"corp\" "
		      "(line 5): nobody has an address there" },
		    { 6, 42, "networks \"fe80::/10\" has nothing of the domain" } } },
		{ HUB("peers \"a\" { identities = a }"),
		  { { 6, 26, "identities wants a string in double quotes" } } },
		{ HUB("peers \"a\" { prefixes = \"10.1.0.0/16\" }"),
		  { { 6, 7, "is nobody" },
		    { 6, 13, "unknown key \"prefixes\", known here: identities, networks" } } },
		{ "peers \"a\" { identities = \"a\" }\n" PEER,
		  { { 1, 1,
		      "a peers section outside a network, accepted: network \"name\" { peers "
		      "\"name\" { ... } }" } } },
		{ HUB("peers \"a\" { identities = \"a\"\nrule \"r\" { between = \"a\" ; topology = "
		      "star "
		      "}\n}"),
		  { { 7, 1,
		      "a rule inside peers \"a\" of line 6: a \"}\" is missing before it" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void rule_errors(void **state)
{
	static const struct row row[] = {
		{ HUB("rule \"r\" { }"),
		  { { 6, 6, "rule \"r\" lacks between, the groups that it is about" },
		    { 6, 6, "rule \"r\" lacks topology, which direct tunnels" } } },
		{ HUB("rule \"\" { between = \"*\" ; topology = star }"),
		  { { 6, 6, "a rule's name has 1 to 63 bytes" } } },
		{ HUB("rule \"r\" { between = { } ; topology = ring }"),
		  { { 6, 22, "between is an empty list" },
		    { 6, 39, "topology \"ring\" is unknown, accepted: star, dynamic or mesh" } } },
		{ HUB(GROUP("a") RULE("r", "\"a\", \"b\"") RULE("s", "\"c\"")),
		  { { 7, 29,
		      "between \"b\": network \"corp\" has no peers \"b\" { ... }, accepted: one "
		      "of its own, or \"*\" for everybody" },
		    { 8, 24, "between \"c\": network \"corp\" has no peers" } } },
		{ HUB(GROUP("a") GROUP("b") RULE("r", "\"a\", \"b\", \"*\"")),
		  { { 8, 34,
		      "between \"*\" is one too many, accepted: the names of one or two" } } },
		{ HUB(GROUP("a") RULE("r", "\"a\", \"a\"")),
		  { { 7, 29, "between \"a\" stands twice in the list" } } },
		{ HUB(GROUP("a") RULE("r", "\"a\"") RULE("r", "\"*\"")),
		  { { 8, 6, "rule \"r\" is defined a second time, the first is in line 7" } } },
		{ "rule \"a\" { between = \"*\" ; topology = star }\n" PEER,
		  { { 1, 1, "a rule outside a network" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* T4: a rule that another one before it takes all pairs from. */
static void rules_that_never_count(void **state)
{
#define GROUPS GROUP("a") GROUP("b")
	static const struct row row[] = {
		{ HUB(GROUPS RULE("1", "\"a\", \"b\"") RULE("2", "\"b\", \"a\"")),
		  { { 9, 6,
		      "rule \"2\" never counts: rule \"1\" in line 8 is about the same members, "
		      "and before it" } } },
		{ HUB(GROUPS RULE("1", "\"a\"") RULE("2", "\"a\"")),
		  { { 9, 6, "rule \"2\" never counts: rule \"1\" in line 8" } } },
		{ HUB(GROUPS RULE("1", "\"*\", \"a\"") RULE("2", "\"b\", \"a\"")
			      RULE("3", "\"a\"")),
		  { { 9, 6, "rule \"2\" never counts: rule \"1\" in line 8" },
		    { 10, 6, "rule \"3\" never counts: rule \"1\" in line 8" } } },
		{ HUB(GROUPS RULE("1", "\"*\"") RULE("2", "\"b\"") RULE("3", "\"a\", \"*\"")),
		  { { 9, 6, "rule \"2\" never counts: rule \"1\" in line 8" },
		    { 10, 6, "rule \"3\" never counts: rule \"1\" in line 8" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
	/* From the narrow to the wide each has something left. */
	conf_unref(parse_good(HUB(GROUPS RULE("1", "\"a\"") RULE("2", "\"a\", \"b\"")
					  RULE("3", "\"b\"") RULE("4", "\"b\", \"*\"")
						  RULE("5", "\"a\", \"*\"") RULE("6", "\"*\""))));
#undef GROUPS
}

static void hub_errors(void **state)
{
	static const struct row row[] = {
		{ HUB("shortcuts = yes ; shortcuts_max = 3\ntrust_hub = yes ; candidates = "
		      "\"192.0.2.7\""),
		  { { 6, 13,
		      "shortcuts is for a site or endpoint, and the role in network \"corp\" is "
		      "hub" },
		    { 6, 35, "shortcuts_max is for a site or endpoint" },
		    { 7, 13, "trust_hub is for a site or endpoint" },
		    { 7, 32, "candidates is for a site or endpoint" } } },
		{ HUB("direct = required ; relayed = \"10.9.0.0/16\""),
		  { { 6, 10, "direct is for a site or endpoint" },
		    { 6, 31, "relayed is for a site or endpoint" } } },
		{ HUB("shortcut_after = 3601s ; shortcut_idle = 9s"),
		  { { 6, 18,
		      "shortcut_after \"3601s\" is out of range, accepted: a duration from 0s to "
		      "1h" },
		    { 6, 42, "shortcut_idle \"9s\" is out of range" } } },
		{ HUB("shortcut_idle = 0s"),
		  { { 6, 17, "shortcut_idle \"0s\" is out of range" } } },
		{ HUB("shortcut_idle = 25h"), { { 6, 17, "shortcut_idle \"25h\" is out of" } } },
		{ HUB("shortcut_retry = 999ms ; shortcut_retry_max = 25h"),
		  { { 6, 18, "shortcut_retry \"999ms\" is out of range" },
		    { 6, 47, "shortcut_retry_max \"25h\" is out of range" } } },
		{ HUB("shortcut_retry = 20m"),
		  { { 6, 18, "shortcut_retry is above shortcut_retry_max, which is 10m" } } },
		{ HUB("shortcut_retry_max = 5s"),
		  { { 6, 22, "shortcut_retry is above shortcut_retry_max, which is 5s" } } },
		{ HUB("announce = { \"a b\", \"-x\" }"),
		  { { 6, 14,
		      "announce \"a b\" is none, accepted: one or more IP addresses or host" },
		    { 6, 21, "announce \"-x\" is none" } } },
		{ HUB("announce = { \"0.0.0.0\", \"127.0.0.1\", \"ff02::1\", \"h\" }"),
		  { { 6, 14, "announce \"0.0.0.0\" is nobody's" },
		    { 6, 25, "announce \"127.0.0.1\" is nobody's" },
		    { 6, 38, "announce \"ff02::1\" is nobody's" } } },
		{ HUB("announce = { \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\" "
		      "}"),
		  { { 6, 54, "announce has 9 elements, accepted: at most 8" } } },
		{ HUB("hubs = { \"1.a\", \"2.a\", \"3.a\", \"4.a\", \"5.a\", \"6.a\", \"7.a\", "
		      "\"8.a\",\n"
		      "\"9.a\", \"b.b\", \"b.c\", \"b.d\", \"b.e\", \"b.f\", \"b.g\", \"b.h\" }"),
		  { { 7, 50, "hubs has 16 elements, accepted at a hub: at most 15 others" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void spoke_errors(void **state)
{
	static const struct row row[] = {
		{ SITE("topology = mesh ; shortcut_after = 1s ; shortcut_idle = 1m\n"
		       "shortcut_retry = 1h ; shortcut_retry_max = 1m ; announce = \"h\""),
		  { { 6, 12, "topology is for a hub, and the role in network \"corp\" is site" },
		    { 6, 36, "shortcut_after is for a hub" },
		    { 6, 57, "shortcut_idle is for a hub" },
		    { 7, 18, "shortcut_retry is for a hub" },
		    { 7, 44, "shortcut_retry_max is for a hub" },
		    { 7, 60, "announce is for a hub" } } },
		{ SITE(GROUP("a") RULE("r", "\"b\"")),
		  { { 6, 7, "peers is for a hub" }, { 7, 6, "rule is for a hub" } } },
		{ ENDPOINT(GROUP("a")),
		  { { 6, 7,
		      "peers is for a hub, and the role in network \"corp\" is endpoint" } } },
		{ SITE("shortcuts = perhaps ; trust_hub = maybe"),
		  { { 6, 13, "shortcuts \"perhaps\" is unknown, accepted: no or yes" },
		    { 6, 35, "trust_hub \"maybe\" is unknown, accepted: no or yes" } } },
		{ SITE("direct = always"),
		  { { 6, 10, "direct \"always\" is unknown, accepted: preferred or required" } } },
		{ SITE("shortcuts = no\ndirect = required"),
		  { { 7, 10, "direct = required with shortcuts = no (line 6)" } } },
		{ SITE("relayed = \"10.9.0.0/16\""),
		  { { 6, 11, "relayed says what a hub may relay where direct = required" } } },
		{ SITE("direct = preferred ; relayed = \"10.9.0.0/16\""),
		  { { 6, 32, "and direct is preferred" } } },
		{ SITE("shortcuts_max = 0"), { { 6, 17, "shortcuts_max \"0\" is out of range" } } },
		{ SITE("shortcuts_max = 65536"), { { 6, 17, "\"65536\" is out of range" } } },
		{ SITE("candidates = { \"0.0.0.0\", \"127.0.0.1\", \"224.0.0.1\", \"::1\" }"),
		  { { 6, 16, "candidates \"0.0.0.0\" is nobody's" },
		    { 6, 27, "candidates \"127.0.0.1\" is nobody's" },
		    { 6, 40, "candidates \"224.0.0.1\" is nobody's" },
		    { 6, 53, "candidates \"::1\" is nobody's" } } },
		{ SITE("candidates = { \"gw.example\", \"192.0.2.7:500\" }"),
		  { { 6, 16, "candidates \"gw.example\" is none" },
		    { 6, 30, "candidates \"192.0.2.7:500\" is none" } } },
		{ SITE("candidates = { \"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\", "
		       "\"192.0.2.4\",\n"
		       "\"192.0.2.5\", \"192.0.2.6\", \"192.0.2.7\", \"192.0.2.8\", \"192.0.2.9\" "
		       "}"),
		  { { 7, 53, "candidates has 9 elements, accepted: at most 8" } } },
		/* A wrong role is one error, not many. */
		{ NETWORK("role = spoke ; hubs = \"h\" ; shortcuts = no ; topology = star"),
		  { { 5, 8, "role \"spoke\" is unknown" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* ---- good ones ---- */

static void defaults(void **state)
{
	struct conf *c = parse_good(HUB(""));
	const struct conf_suggest *s = &c->networks->suggest;

	(void)state;
	assert_int_equal(s->topology.v, CONF_TOPOLOGY_DYNAMIC);
	assert_null(s->groups);
	assert_null(s->rules);
	assert_int_equal(s->after.v.ns, 0);
	assert_int_equal(s->idle.v.ns, dur_s(60).ns);
	assert_int_equal(s->retry.v.ns, dur_s(10).ns);
	assert_int_equal(s->retry_max.v.ns, dur_s(600).ns);
	assert_int_equal(s->announce.n, 0);
	assert_int_equal(c->networks->hubs.n, 0);
	conf_unref(c);
	c = parse_good(SITE(""));
	assert_int_equal(c->networks->shortcuts.take.v, CONF_YES);
	assert_int_equal(c->networks->shortcuts.max.v, 256);
	assert_int_equal(c->networks->shortcuts.trust_hub.v, CONF_NO);
	assert_int_equal(c->networks->shortcuts.direct.v, CONF_DIRECT_PREFERRED);
	assert_int_equal(c->networks->shortcuts.candidates.n, 0);
	conf_unref(c);
	c = parse_good(ENDPOINT("shortcuts = no ; shortcuts_max = 65535 ; trust_hub = yes\n"
				"candidates = { \"203.0.113.7\", \"2001:db8::7\" }"));
	assert_int_equal(c->networks->shortcuts.take.v, CONF_NO);
	assert_int_equal(c->networks->shortcuts.max.v, 65535);
	assert_int_equal(c->networks->shortcuts.trust_hub.v, CONF_YES);
	assert_string_equal(c->networks->shortcuts.candidates.v[1].s, "2001:db8::7");
	conf_unref(c);
	c = parse_good(SITE("direct = required ; relayed = { \"10.9.0.0/16\", \"fd00:9::/64\" }"));
	assert_int_equal(c->networks->shortcuts.direct.v, CONF_DIRECT_REQUIRED);
	assert_int_equal(c->networks->shortcuts.relayed.ts.n, 2);
	conf_unref(c);
}

/* Rules may stand before the groups that they name, and groups may overlap. */
static void groups_and_rules(void **state)
{
	struct conf *c = parse_good(
		HUB("topology = mesh rule \"dc-branches\" { between = { \"branches\", \"dc\" } "
		    "topology = "
		    "star }\n"
		    "peers \"branches\" { identities = { \"*.branch.example\", \"b7.example\", "
		    "\"%any\" }\n"
		    "networks = { \"10.7.0.0/16\", \"fd00:7::/32\", \"0.0.0.0/0\" } }\n"
		    "peers \"dc\" { networks = \"10.7.1.0/24\" }\n"
		    "rule \"dc\" { between = \"dc\" ; topology = dynamic }\n"
		    "rule \"rest\" { between = { \"*\", \"dc\" } ; topology = mesh }\n"));
	const struct conf_suggest *s = &c->networks->suggest;
	const struct conf_group *branches = s->groups, *dc = branches->next;
	const struct conf_rule *r = s->rules;

	(void)state;
	assert_int_equal(s->topology.v, CONF_TOPOLOGY_MESH);
	assert_string_equal(branches->name, "branches");
	assert_int_equal(branches->at.line, 7);
	assert_int_equal(branches->at.col, 7);
	assert_int_equal(branches->identities.list.n, 3);
	assert_int_equal(branches->identities.id[1].type, WIRE_ID_FQDN);
	assert_int_equal(branches->identities.id[2].type, 0);
	assert_string_equal(branches->identities.list.v[0].s, "*.branch.example");
	assert_int_equal(branches->networks.ts.n, 3);
	assert_string_equal(dc->name, "dc");
	assert_int_equal(dc->identities.list.n, 0);
	assert_null(dc->next);
	assert_string_equal(r->name, "dc-branches");
	assert_ptr_equal(r->group[0], branches);
	assert_ptr_equal(r->group[1], dc);
	assert_int_equal(r->topology.v, CONF_TOPOLOGY_STAR);
	r = r->next;
	assert_ptr_equal(r->group[0], dc);
	assert_ptr_equal(r->group[1], dc);
	assert_int_equal(r->topology.v, CONF_TOPOLOGY_DYNAMIC);
	r = r->next;
	assert_null(r->group[0]);
	assert_ptr_equal(r->group[1], dc);
	assert_null(r->next);
	conf_unref(c);
}

static void hub_values(void **state)
{
	struct conf *c =
		parse_good(HUB("hubs = { \"hub2.example\", \"2001:db8::2\" } ; port = 501\n"
			       "announce = { \"hub1.example.net\", \"192.0.2.1\" }\n"
			       "shortcut_after = 1h ; shortcut_idle = 24h ; shortcut_retry = 1s\n"
			       "shortcut_retry_max = 1s\n"));
	const struct conf_suggest *s = &c->networks->suggest;

	(void)state;
	assert_int_equal(c->networks->hubs.n, 2);
	assert_int_equal(c->networks->port.v, 501);
	assert_int_equal(s->announce.n, 2);
	assert_string_equal(s->announce.v[0].s, "hub1.example.net");
	assert_int_equal(s->after.v.ns, dur_s(3600).ns);
	assert_int_equal(s->idle.v.ns, dur_s(86400).ns);
	assert_int_equal(s->retry.v.ns, dur_s(1).ns);
	assert_int_equal(s->retry_max.v.ns, dur_s(1).ns);
	conf_unref(c);
}

/* Thousands of groups and their rules cost no more than their reading. */
static void many(void **state)
{
	static char text[1 << 20];
	struct text t = TEXT_OF(text);
	const struct conf_rule *r;
	struct conf *c;
	int n = 0;

	(void)state;
	text_add(&t, CERTS "network \"n\" { role = hub ; domain = \"10.0.0.0/8\"\n");
	for (int i = 0; i < 5000; i++)
		text_fmt(&t,
			 "rule \"r%d\" { between = { \"g%d\", \"g%d\" } ; topology = star }\n"
			 "peers \"g%d\" { networks = \"10.%d.%d.0/24\" }\n",
			 i, i, (i + 1) % 5000, i, i / 256, i % 256);
	text_add(&t, "}\n");
	assert_true(t.n + 4 < sizeof(text));
	c = parse_good(text);
	for (r = c->networks->suggest.rules; r; r = r->next, n++)
		assert_string_equal(r->group[1]->name, r->between.v[1].s);
	assert_int_equal(n, 5000);
	conf_unref(c);
}

/* Every allocation refused in turn, also with what is wrong. */
static void out_of_memory(void **state)
{
	static const char *const text[] = {
		HUB("topology = mesh ; hubs = \"h\" ; announce = { \"a\", \"192.0.2.1\" }\n" GROUP(
			"a") GROUP("b") RULE("1", "\"a\"") RULE("2", "\"a\", \"b\"")
			    RULE("3", "\"*\"")),
		HUB(GROUP("a") GROUP("a") RULE("1", "\"a\"") RULE("1", "\"a\"") RULE("2", "\"x\"")),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		enum status st = ST_NOMEM;

		for (long left = 0; st == ST_NOMEM; left++) {
			struct counting n;
			const struct alloc mem = counting_mem(&n, left);
			struct conf_errors errs;
			struct conf *c = NULL;

			conf_errors_init(&errs, &mem);
			st = conf_parse(&mem, "x", bytes_str(text[i]), &errs, &c);
			assert_int_equal(st == ST_OK, c != NULL);
			conf_unref(c);
			conf_errors_done(&errs);
			assert_int_equal(n.live, 0);
			assert_true(left < 100);
		}
		assert_int_equal(st, i ? ST_INVAL : ST_OK);
	}
}

/* What is no secret stays readable for who sees no secrets, and what was a mistake may be one. */
static void redacted(void **state)
{
	static const char before[] = HUB(
		"peers \"a\" { identities = \"*.a\" ; psk = \"s3cret\" }\nrule \"1\" { between = "
		"{ \"a\", \"*\" } ; betwen = \"oops\" }");
	char text[sizeof(before)];

	(void)state;
	memcpy(text, before, sizeof(before));
	conf_redact((uint8_t *)text, sizeof(before) - 1);
	assert_non_null(strstr(text, "peers \"a\" { identities = \"*.a\" ; psk = \""));
	assert_non_null(strstr(text, "rule \"1\" { between = { \"a\", \"*\" } ;"));
	assert_null(strstr(text, "s3cret"));
	assert_null(strstr(text, "oops"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_errors),
		cmocka_unit_test(rule_errors),
		cmocka_unit_test(rules_that_never_count),
		cmocka_unit_test(hub_errors),
		cmocka_unit_test(spoke_errors),
		cmocka_unit_test(defaults),
		cmocka_unit_test(groups_and_rules),
		cmocka_unit_test(hub_values),
		cmocka_unit_test(many),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(redacted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
