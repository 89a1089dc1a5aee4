/* Networks in the configuration: grammar, values, inheritance, and every way to get them wrong. */
#include "unit/conf_util.h"

/* A site's and a hub's network without anything wrong but for `more`, which begins line 3. */
#define SITE(more) "identity = \"/b.warren\"\nnetwork \"corp\" {\n" more " }\n"
#define HUB(more)                                                                                  \
	"identity = \"/b.warren\"\nnetwork \"corp\" { role = hub   domain = \"10.0.0.0/8\"\n" more \
	" }\n"

/* ---- grammar ---- */

static void section_errors(void **state)
{
	static const struct row row[] = {
		{ "network {\n}\n",
		  { { 1, 1, "a network lacks its name, expected network \"name\" { ... }" },
		    { 1, 9, "has no way to authenticate" },
		    { 1, 9, "has no hubs" } } },
		{ "network \"a b\" = 3\n" PEER,
		  { { 1, 15, "\"=\" where the \"{\" of a network" } } },
		{ "network = \"x\"\n" PEER, { { 1, 1, "unknown key \"network\"" } } },
		{ HUB("member { prefixes = \"10.1.0.0/16\" }"),
		  { { 3, 1, "a member lacks its pattern, expected member \"pattern\" { ... }" } } },
		{ HUB("member \"a\" { }"), { { 3, 8, "member \"a\" lacks prefixes, what that" } } },
		{ HUB("member \"@#0\" { prefixes = \"10.1.0.0/16\" }"), { { 3, 8, "member: " } } },
		{ HUB("member \"\" { prefixes = \"10.1.0.0/16\" }"), { { 3, 8, "member: " } } },
		{ HUB("member \"a\" { prefixes = \"10.1.0.0/16\" ; colour = 1 }"),
		  { { 3, 41, "unknown key \"colour\", known here: prefixes" } } },
		{ HUB("colour = 1"),
		  { { 3, 1,
		      "unknown key \"colour\", known here: role, identity, certificate, key, "
		      "trust, local_id, crl, hubs, attach, port, protect, domain, topology, "
		      "shortcut_after, shortcut_idle, "
		      "shortcut_retry, shortcut_retry_max, announce, shortcuts, "
		      "shortcuts_max, trust_hub, direct, relayed, candidates, proposals, "
		      "esp_proposals, dpd_delay, keepalive, silence, qcd, fragmentation, mobike, "
		      "return_routability, nat, pool, lease_keep, leases_max, dns, dns_domains, "
		      "redirect, "
		      "redirect_to, redirect_above, "
		      "redirect_wait, mtu_probes, ike_rekey, "
		      "ike_lifetime, reauth, "
		      "rekey, "
		      "lifetime, rekey_bytes, lifetime_bytes, rekey_packets, lifetime_packets, "
		      "expired, childless, and sections member \"pattern\" { ... }, peers \"name\" "
		      "{ ... }, "
		      "rule \"name\" { ... }" } } },
		{ HUB("rekey = 2h ; lifetime = 1h"),
		  { { 3, 25, "lifetime is not above rekey (line 3), which is 2h" } } },
		{ HUB("group \"x\" { }"),
		  { { 3, 1,
		      "unknown section \"group\", known: member \"pattern\" { ... }, peers "
		      "\"name\" { ... }, rule \"name\" { ... }" } } },
		{ "member \"a\" { prefixes = \"10.1.0.0/16\" }\n" PEER,
		  { { 1, 1, "a member outside a network, accepted: network \"name\" { member" } } },
		{ WITH("member \"a\" { prefixes = { \"}\" } }"),
		  { { 3, 1, "a member outside a network" } } },
		{ "identity = \"/b.warren\"\nnetwork \"corp\" {\n" PEER,
		  { { 3, 1,
		      "a peer inside network \"corp\" of line 2: a \"}\" is missing before "
		      "it" } } },
		/* What nests although it must not closes nothing twice. */
		{ "identity = \"/b.warren\"\nnetwork \"corp\" {\n" PEER "}\n",
		  { { 3, 1, "a peer inside network \"corp\"" } } },
		{ HUB("member \"a\" { prefixes = \"10.1.0.0/16\"\n" PEER),
		  { { 4, 1, "a peer inside member \"a\" of line 3: a \"}\" is missing" } } },
		{ HUB("member \"a\" { prefixes = \"10.1.0.0/16\"\nmember \"b\" {\n"
		      "prefixes = \"10.2.0.0/16\" }\n}"),
		  { { 4, 1, "a member inside member \"a\" of line 3: a \"}\" is missing" } } },
		{ SITE("") "peer \"b\" {\nnetwork \"d\" { } }\n",
		  { { 4, 6, "lacks remote_id" },
		    { 4, 6, "peer \"b\" has no way to authenticate" },
		    { 4, 6, "lacks local_id" },
		    { 4, 6, "lacks local_ts" },
		    { 4, 6, "lacks remote_ts" },
		    { 5, 1, "a network inside peer \"b\" of line 4" },
		    { 5, 9, "network \"d\" is a second network (the first is in line 2)" } } },
		{ "identity = \"/b.warren\"\nnetwork \"corp\" { role = hub ; domain = "
		  "\"10.0.0.0/8\"\nmember \"x\" { prefixes = \"10.1.0.0/16\"\n",
		  { { 4, 1, "the file ends inside member \"x\" of line 3, whose \"}\"" } } },
		{ SITE("") SITE(""),
		  { { 4, 1, "identity is given a second time" },
		    { 5, 9, "network \"corp\" is defined a second time, the first is in line 2" },
		    { 5, 9, "is a second network (the first is in line 2), accepted in this" } } },
		{ PEER "identity = \"/b.warren\" ; network \"b\" { }\n",
		  { { 2, 34, "network \"b\" has the name of the peer in line 1" } } },
		{ SITE("") "network \"a\\nb\" { }\n",
		  { { 4, 9, "a network's name has 1 to 63 bytes" }, { 4, 9, "second network" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* ---- values ---- */

static void value_errors(void **state)
{
	static const struct row row[] = {
		{ SITE("role = spoke"),
		  { { 3, 8, "role \"spoke\" is unknown, accepted: site, hub or endpoint" } } },
		{ HUB("topology = ring"),
		  { { 3, 12, "topology \"ring\" is unknown, accepted: star, dynamic or mesh" } } },
		{ SITE("protect = { \"10.1.0.0/16[tcp/80]\", \"10.1.0.1-10.1.0.4\", "
		       "\"10.2.0.0/15\", \"10.2.0.1/16\", \"here\" }"),
		  { { 3, 13,
		      "protect \"10.1.0.0/16[tcp/80]\" is no prefix, accepted: one or more "
		      "prefixes (host bits zero) such as" },
		    { 3, 36, "protect \"10.1.0.1-10.1.0.4\" is no prefix" },
		    { 3, 72, "\"10.2.0.1/16\" is no prefix" },
		    { 3, 87, "\"here\" is no prefix" } } },
		{ SITE("protect = { }"), { { 3, 11, "protect is an empty list" } } },
		{ SITE("domain = { \"10.0.0.0/8\", \"10.0.0.0/8\" }"),
		  { { 3, 26, "domain \"10.0.0.0/8\" stands twice in the list" } } },
		{ SITE("hubs = { \"-x\", \"192.0.2.1\" }"), { { 3, 10, "hubs \"-x\" is none" } } },
		{ SITE("hubs = \"0.0.0.0\""), { { 3, 8, "hubs \"0.0.0.0\" is nobody's" } } },
		{ "listen = \"0.0.0.0\"\n" SITE("hubs = \"2001:db8::1\""),
		  { { 4, 8, "hubs \"2001:db8::1\" cannot be reached: listen (line 1) has no" } } },
		{ SITE("identity = \"b.warren\""), { { 3, 12, "is no absolute path" } } },
		{ SITE("proposals = \"rot13\""), { { 3, 13, "unknown algorithm \"rot13\"" } } },
		{ "user = \"\"\n" PEER, { { 1, 8, "user \"\" is no name of a user, accepted" } } },
		{ "user = \"Root\"\n" PEER, { { 1, 8, "is no name of a user" } } },
		{ "user = \"0\"\n" PEER, { { 1, 8, "is no name of a user" } } },
		{ "user = \"a234567890123456789012345678901x\"\n" PEER,
		  { { 1, 8, "is no name of a user" } } },
		{ "state = \"var\"\n" PEER, { { 1, 9, "state \"var\" is no absolute path" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* ---- values against each other ---- */

static void role_errors(void **state)
{
	static const struct row row[] = {
		{ SITE("role = hub"),
		  { { 2, 9, "network \"corp\" lacks domain, all addresses of the network" } } },
		{ HUB("port = 501"),
		  { { 3, 8, "port is that of hubs, and network \"corp\" has none; ours is" } } },
		{ HUB("hubs = \"0.0.0.0\" ; port = 501"),
		  { { 3, 8, "hubs \"0.0.0.0\" is nobody's" } } },
		{ SITE("topology = star ; member \"x\" { prefixes = \"10.1.0.0/16\" }"),
		  { { 3, 12, "topology is for a hub, and the role in network \"corp\" is site" },
		    { 3, 26, "member is for a hub" } } },
		{ "certificate = \"/c\" ; key = \"/k\" ; trust = \"/t\"\nnetwork \"n\" { }\n",
		  { { 2, 9, "network \"n\" has no hubs, and no bundle (identity) that names" } } },
		{ SITE("role = endpoint ; protect = \"10.1.0.0/16\" ; topology = star"),
		  { { 3, 29,
		      "protect is for a site or hub, and the role in network \"corp\" is "
		      "endpoint" },
		    { 3, 56,
		      "topology is for a hub, and the role in network \"corp\" is endpoint" } } },
		{ SITE("attach = two"),
		  { { 3, 10, "attach \"two\" is unknown, accepted: one or all" } } },
		{ HUB("attach = all"),
		  { { 3, 10, "attach is for a site, and the role in network \"corp\" is hub" } } },
		{ SITE("role = endpoint ; attach = all"),
		  { { 3, 28,
		      "attach = all in network \"corp\", where we are an endpoint: its inner "
		      "address is of the one hub that gave it; accepted: attach = one" } } },
		{ SITE("attach = all ; redirect = follow"),
		  { { 3, 27,
		      "redirect = follow with attach = all (line 3): who is connected to all hubs "
		      "is not sent from one to another; accepted: redirect = no" } } },
		/* A wrong role is one error, not many. */
		{ SITE("role = spoke ; hubs = \"h\" ; topology = star"),
		  { { 3, 8, "role \"spoke\" is unknown" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void identity_errors(void **state)
{
	static const struct row row[] = {
		{ "network \"n\" { }\n",
		  { { 1, 9,
		      "network \"n\" has no way to authenticate, accepted: identity, or "
		      "certificate with key and trust, here or at the top level" },
		    { 1, 9, "has no hubs" } } },
		{ "network \"n\" { identity = \"/b.warren\"\ncertificate = \"/c\"\nkey = "
		  "\"/k\"\ntrust = \"/t\" }\n",
		  { { 2, 15,
		      "network \"n\" has identity (line 1) and certificate, accepted: a bundle, "
		      "or certificate with key and trust" },
		    { 4, 9, "network \"n\" has identity (line 1) and trust" } } },
		{ "network \"n\" { certificate = \"/c\" ; hubs = \"h\" }\n",
		  { { 1, 9, "network \"n\" has a certificate but no trust" },
		    { 1, 29, "certificate without its key" } } },
		{ "network \"n\" { key = \"/k\" ; trust = \"/t\" ; hubs = \"h\" }\n",
		  { { 1, 21, "key without its certificate or identity" } } },
		/* Our own certificate does not go with the top level's key. */
		{ "certificate = \"/c\" ; key = \"/k\" ; trust = \"/t\"\n"
		  "network \"n\" { certificate = \"/d\" ; hubs = \"h\" }\n",
		  { { 2, 29, "certificate without its key" } } },
		/* Own anchors are own credentials: the top level's bundle is no part of them. */
		{ "identity = \"/b.warren\"\nnetwork \"n\" { trust = \"/t\" ; hubs = \"h\" }\n",
		  { { 2, 9, "network \"n\" has no way to authenticate" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void prefix_errors(void **state)
{
	static const struct row row[] = {
		{ HUB("protect = { \"10.1.0.0/16\", \"192.168.0.0/16\", \"fd00::/8\" }"),
		  { { 3, 28,
		      "protect \"192.168.0.0/16\" is not inside the domain of network \"corp\" "
		      "(line 2), which is 10.0.0.0/8: it would not be protected" },
		    { 3, 46, "protect \"fd00::/8\" is not inside" } } },
		{ HUB("protect = \"10.0.0.0/7\""), { { 3, 11, "\"10.0.0.0/7\" is not inside" } } },
		{ HUB("protect = \"0.0.0.0/0\""), { { 3, 11, "\"0.0.0.0/0\" is not inside" } } },
		{ HUB("member \"a\" { prefixes = { \"10.0.0.0/8\", \"11.0.0.0/8\" } }"),
		  { { 3, 41,
		      "prefixes \"11.0.0.0/8\" is not inside the domain of network \"corp\" "
		      "(line 2), which is 10.0.0.0/8: nobody could have it" } } },
		/* A domain of halves is a whole; a gap is none. */
		{ SITE("domain = { \"10.0.0.0/16\", \"10.2.0.0/16\", \"10.1.0.0/16\" }\n"
		       "protect = { \"10.0.0.0/15\", \"10.2.0.0/15\" }"),
		  { { 4, 28, "\"10.2.0.0/15\" is not inside" } } },
		/* The last addresses there are. */
		{ SITE("domain = { \"255.0.0.0/8\", \"ff00::/8\" }\n"
		       "protect = { \"255.255.0.0/16\", \"ffff::/16\", \"0.0.0.0/32\", \"::/128\" "
		       "}"),
		  { { 4, 44, "\"0.0.0.0/32\" is not" }, { 4, 58, "\"::/128\" is not" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void member_errors(void **state)
{
#define M(pattern) "\nmember \"" pattern "\" { prefixes = \"10.1.0.0/16\" }"
	static const struct row row[] = {
		{ HUB(M("a.example") M("b.example") M("A.Example")),
		  { { 6, 8,
		      "member \"A.Example\" never counts: \"a.example\" in line 4 matches" } } },
		{ HUB(M("*.example") M("*.Example")), { { 5, 8, "never counts" } } },
		{ HUB(M("%any") M("a.example") M("%any")),
		  { { 5, 8, "member \"a.example\" never counts: \"%any\" in line 4" },
		    { 6, 8, "member \"%any\" never counts: \"%any\" in line 4" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
	/* These are different, the exact one first. */
	conf_unref(parse_good(HUB(M("a.example") M("*.example") M("a@example") M("*@example")
					  M("192.0.2.1") M("CN=a.example") M("%any"))));
#undef M
}

/* ---- good ones ---- */

static void site_values(void **state)
{
	struct conf *c = parse_good(
		"state = \"/s\" ; user = \"nobody\"\n"
		"network \"corp\" {\n"
		"\tidentity = \"/etc/b.warren\" ; key = \"/etc/other.key\" ; crl = \"/crl\"\n"
		"\thubs = { \"hub1.example.net\", \"192.0.2.1\" } ; port = 501\n"
		"\tprotect = { \"10.2.0.0/16\", \"fd00:2::/32\", \"10.9.0.1\" }\n"
		"\tdomain = { \"0.0.0.0/0\", \"::/0\" }\n"
		"\tproposals = \"aes256gcm16-prfsha384-ecp384\" ; esp_proposals = \"aes128gcm16\"\n"
		"\tdpd_delay = 5s ; keepalive = 0s }\n");
	const struct conf_network *n = c->networks;

	(void)state;
	assert_int_equal(c->n_peers, 0);
	assert_int_equal(c->n_networks, 1);
	assert_string_equal(c->state.s, "/s");
	assert_string_equal(c->user.s, "nobody");
	assert_string_equal(n->name, "corp");
	assert_int_equal(n->at.line, 2);
	assert_int_equal(n->at.col, 9);
	assert_int_equal(n->role.v, CONF_ROLE_SITE);
	assert_int_equal(n->role.at.line, 0);
	assert_string_equal(n->identity.s, "/etc/b.warren");
	assert_string_equal(n->key.s, "/etc/other.key");
	assert_string_equal(n->crl.s, "/crl");
	assert_int_equal(n->hubs.n, 2);
	assert_string_equal(n->hubs.v[1].s, "192.0.2.1");
	assert_int_equal(n->port.v, 501);
	assert_int_equal(n->protect.ts.n, 3);
	assert_int_equal(n->protect.ts.ts[1].start.family, 6);
	assert_string_equal(n->protect.list.v[2].s, "10.9.0.1");
	assert_int_equal(n->domain.ts.n, 2);
	assert_int_equal(n->domain.ts.ts[0].end.b[0], 255);
	assert_int_equal(policy_first_ke(&n->proposals.sa), CRYPTO_ECP_384);
	assert_int_equal(n->esp_proposals.sa.n, 1);
	assert_true(n->dpd_delay.v.ns == 5000000000);
	assert_true(n->keepalive.v.ns == 0);
	assert_int_equal(n->fragmentation.v, CONF_YES);
	assert_null(n->members);
	assert_null(n->next);
	conf_unref(c);
}

static void hub_values(void **state)
{
	struct conf *c = parse_good(HUB(
		"topology = star ; protect = \"10.0.0.0/24\"\n"
		"member \"*.branch\" { prefixes = { \"10.9.0.0/16\", } } member \"CN=x\" {\n"
		"prefixes = \"10.8.0.0/16\" ; }\nmember \"%any\" { prefixes = \"10.0.0.0/8\" }"));
	const struct conf_network *n = c->networks;
	const struct conf_member *m = n->members;

	(void)state;
	assert_int_equal(n->role.v, CONF_ROLE_HUB);
	assert_int_equal(n->suggest.topology.v, CONF_TOPOLOGY_STAR);
	assert_string_equal(m->id.text.s, "*.branch");
	assert_int_equal(m->at.line, 4);
	assert_int_equal(m->at.col, 8);
	assert_int_equal(m->prefixes.ts.n, 1);
	assert_string_equal(m->next->id.text.s, "CN=x");
	assert_int_equal(m->next->id.id.type, WIRE_ID_DN);
	assert_int_equal(m->next->next->id.id.type, 0);
	assert_null(m->next->next->next);
	conf_unref(c);
	c = parse_good(HUB(""));
	assert_int_equal(c->networks->suggest.topology.v, CONF_TOPOLOGY_DYNAMIC);
	assert_string_equal(c->state.s, "/var/lib/warren");
	assert_string_equal(c->user.s, "warren");
	conf_unref(c);
}

/* What a network takes from the top level, and what it leaves there. */
static void inheritance(void **state)
{
#define TOP                                                                                        \
	"certificate = \"/c\" ; key = \"/k\" ; trust = \"/t\" ; crl = \"/r\" ; local_id = "        \
	"\"a.b\"\n"
	static const struct {
		const char *text;
		const char *identity, *certificate, *key, *trust, *crl, *local_id;
	} row[] = {
		{ "identity = \"/b\" ; crl = \"/r\"\nnetwork \"n\" { }", "/b", NULL, NULL, NULL,
		  "/r", NULL },
		/* A bundle has one name and is one's own. */
		{ TOP "identity = \"/b\"\nnetwork \"n\" { }", "/b", NULL, NULL, NULL, "/r", NULL },
		{ TOP "network \"n\" { identity = \"/d\" }", "/d", NULL, NULL, NULL, NULL, NULL },
		{ TOP "network \"n\" { identity = \"/d\" ; crl = \"/s\" ; key = \"/l\" }", "/d",
		  NULL, "/l", NULL, "/s", NULL },
		{ "identity = \"/b\"\nnetwork \"n\" { key = \"/l\" ; local_id = \"x.y\" }", "/b",
		  NULL, "/l", NULL, NULL, "x.y" },
		{ TOP "network \"n\" { hubs = \"h\" }", NULL, "/c", "/k", "/t", "/r", "a.b" },
		{ TOP "network \"n\" { hubs = \"h\" ; trust = \"/u\" }", NULL, "/c", "/k", "/u",
		  NULL, "a.b" },
		{ TOP "network \"n\" { hubs = \"h\" ; certificate = \"/d\" ; key = \"/l\" }", NULL,
		  "/d", "/l", "/t", "/r", "a.b" },
		/* Own certificates are own, though there is a bundle. */
		{ TOP "identity = \"/b\"\nnetwork \"n\" { hubs = \"h\" ; trust = \"/u\" }", NULL,
		  "/c", "/k", "/u", NULL, "a.b" },
	};
#define SAME(have, want)                                                                           \
	do {                                                                                       \
		if (want)                                                                          \
			assert_string_equal(have, want);                                           \
		else                                                                               \
			assert_null(have);                                                         \
	} while (0)

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct conf *c = parse_good(row[i].text);
		const struct conf_network *n = c->networks;

		SAME(n->identity.s, row[i].identity);
		SAME(n->certificate.s, row[i].certificate);
		SAME(n->key.s, row[i].key);
		SAME(n->trust.n ? n->trust.v[0].s : NULL, row[i].trust);
		SAME(n->crl.s, row[i].crl);
		SAME(n->local_id.text.s, row[i].local_id);
		conf_unref(c);
	}
#undef SAME
#undef TOP
}

/* A peer's list of revocations goes with its anchors, and with certificates only. */
static void peer_crl(void **state)
{
	static const struct row row[] = {
		{ WITH("crl = \"/r\""), { { 3, 7, "has a pre-shared key and crl" } } },
	};
	struct conf *c = parse_good(
		"local_id = \"a\" ; certificate = \"/c\" ; key = \"/k\" ; trust = \"/t\" ; crl = "
		"\"/r\"\n"
		"peer \"top\" { remote_id = \"t\" ; " TS " }\n"
		"peer \"own\" { remote_id = \"o\" ; trust = \"/u\" ; " TS " }\n"
		"peer \"both\" { remote_id = \"b\" ; trust = \"/u\" ; crl = \"/s\" ; " TS " }\n"
		"peer \"psk\" { remote_id = \"p\" ; psk = \"k\" ; " TS " }\n");

	(void)state;
	assert_string_equal(conf_find_peer(c, "top")->crl.s, "/r");
	assert_null(conf_find_peer(c, "own")->crl.s);
	assert_string_equal(conf_find_peer(c, "both")->crl.s, "/s");
	assert_null(conf_find_peer(c, "psk")->crl.s);
	conf_unref(c);
	check_rows(row, ARRAY_LEN(row));
}

/* Ten thousand members cost no more than their reading: what is alike is found by a map. */
static void many_members(void **state)
{
	static char text[1 << 20];
	struct text t = TEXT_OF(text);
	struct conf *c;
	size_t n = 0;

	(void)state;
	text_add(&t, "identity = \"/b\"\nnetwork \"n\" { role = hub ; domain = \"10.0.0.0/8\"\n");
	for (int i = 0; i < 10000; i++)
		text_fmt(&t, "member \"m%d.example\" { prefixes = \"10.%d.%d.0/24\" }\n", i,
			 i / 256, i % 256);
	text_add(&t, "}\n");
	assert_true(t.n + 4 < sizeof(text));
	c = parse_good(text);
	for (const struct conf_member *m = c->networks->members; m; m = m->next)
		n++;
	assert_int_equal(n, 10000);
	conf_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section_errors), cmocka_unit_test(value_errors),
		cmocka_unit_test(role_errors),    cmocka_unit_test(identity_errors),
		cmocka_unit_test(prefix_errors),  cmocka_unit_test(member_errors),
		cmocka_unit_test(site_values),    cmocka_unit_test(hub_values),
		cmocka_unit_test(inheritance),    cmocka_unit_test(peer_crl),
		cmocka_unit_test(many_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
