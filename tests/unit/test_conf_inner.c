/* Inner addresses in the configuration: who may give them, who may ask, what pools may be.  R06. */
#include "unit/conf_util.h"

#define CERTS "certificate = \"/c.pem\"\nkey = \"/k.pem\"\ntrust = \"/t.pem\"\n"
#define NETWORK(text) CERTS "network \"corp\" {\n" text "\n}\n"
#define HUB(text) NETWORK("role = hub ; domain = { \"10.0.0.0/8\", \"fd00::/8\" }\n" text)
#define ROAD(text)                                                                                 \
	"local_id = \"gw\"\npeer \"road\" {\nremote_id = \"%any\" ; psk = \"x\"\n" text "\n}\n"
#define LOCAL "local_ts = \"10.0.0.0/8\"\n"
#define REMOTE "remote_ts = \"10.0.0.0/8\"\n"

/* What is wrong is said where it stands. */
static void network_errors(void **state)
{
	static const struct row row[] = {
		{ HUB("pool = \"11.0.0.0/16\""),
		  { { 6, 8,
		      "pool \"11.0.0.0/16\" is not inside the domain of network \"corp\"" } } },
		{ HUB("pool = \"9.255.255.250-10.0.0.3\""),
		  { { 6, 8, "is not inside the domain" } } },
		{ HUB("pool = \"10.9.0.0/16[tcp/80]\""),
		  { { 6, 8, "\"10.9.0.0/16[tcp/80]\" has a protocol, accepted: one or more" } } },
		{ HUB("pool = \"10.9.0.0/33\""), { { 6, 8, "pool: " } } },
		{ HUB("pool = { }"), { { 6, 8, "pool is an empty list" } } },
		{ HUB("pool = \"10.9.0.0/16\"\nprotect = { \"10.8.0.0/16\", \"10.9.3.0/24\" }"),
		  { { 6, 8,
		      "pool \"10.9.0.0/16\" has addresses of protect \"10.9.3.0/24\" (line "
		      "7)" } } },
		{ HUB("pool = { \"10.9.0.0/16\", \"10.9.255.250-10.10.0.3\", \"10.9.0.7/32\" }"),
		  { { 6, 25,
		      "pool \"10.9.255.250-10.10.0.3\" has addresses of pool \"10.9.0.0/16\" (line "
		      "6): "
		      "they would be given twice" },
		    { 6, 51, "pool \"10.9.0.7/32\" has addresses of pool \"10.9.0.0/16\"" } } },
		{ HUB("dns = \"10.0.0.53\""),
		  { { 6, 7, "dns of network \"corp\" is for whoever" } } },
		{ HUB("dns_domains = \"corp.example\""),
		  { { 6, 15, "dns_domains of network \"corp\" is for whoever gets" } } },
		{ HUB("pool = \"10.9.0.0/16\" ; dns_domains = \"corp.example\""),
		  { { 6, 38, "has dns_domains and no dns" } } },
		{ HUB("pool = \"10.9.0.0/16\" ; dns = \"ns.example\""),
		  { { 6, 30, "\"ns.example\" is none, accepted: one or more IP addresses" } } },
		{ HUB("pool = \"10.9.0.0/16\" ; dns = \"10.0.0.53\"\n"
		      "dns_domains = { \"corp.example\", \"a b\", \"-x.y\", \"\", \".\", "
		      "\"10.1.2.3\" }"),
		  { { 7, 33, "\"a b\" is none, accepted: one or more DNS names" },
		    { 7, 40, "\"-x.y\" is none" },
		    { 7, 48, "\"\" is none" },
		    { 7, 52, "\".\" is none" },
		    { 7, 57, "\"10.1.2.3\" is none" } } },
		{ HUB("pool = \"10.9.0.0/16\" ; dns = \"10.0.0.53\"\n"
		      "dns_domains = { \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", "
		      "\"i\", \"j\", \"k\", \"l\", \"m\", \"n\", \"o\", \"p\", \"q\" }"),
		  { { 7, 97, "dns_domains has 17 elements, accepted: at most 16" } } },
		{ HUB("pool = \"10.9.0.0/16\"\ndns = { \"::1\", \"::2\", \"::3\", \"::4\", "
		      "\"::5\", \"::6\", \"::7\", \"::8\", \"::9\" }"),
		  { { 7, 65, "dns has 9 elements, accepted: at most 8" } } },
		{ HUB("lease_keep = 1h"),
		  { { 6, 14, "lease_keep of network \"corp\" is for whoever" } } },
		{ HUB("pool = \"10.9.0.0/16\" ; lease_keep = 59s"),
		  { { 6, 37, "accepted: a duration from 1m to 8760h" } } },
		{ HUB("virtual_ip = ask"), { { 6, 1, "unknown key \"virtual_ip\"" } } },
		{ NETWORK("hubs = \"h\"\npool = \"10.9.0.0/16\"\ndns = \"10.0.0.53\"\nlease_keep = "
			  "1h"),
		  { { 6, 8, "pool is for a hub, and the role in network \"corp\" is site" },
		    { 7, 7, "dns is for a hub" },
		    { 8, 14, "lease_keep is for a hub" } } },
		{ NETWORK("hubs = \"h\" ; role = site ; dns_domains = \"corp.example\""),
		  { { 5, 42, "dns_domains is for a hub or endpoint" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void peer_errors(void **state)
{
	static const struct row row[] = {
		{ ROAD(LOCAL), { { 2, 6, "peer \"road\" lacks remote_ts" } } },
		{ ROAD(REMOTE "pool = \"10.9.0.0/16\""),
		  { { 2, 6, "peer \"road\" lacks local_ts" } } },
		{ ROAD(LOCAL "pool = \"10.9.0.0/16\" ; address = \"192.0.2.1\""),
		  { { 2, 6, "may have nothing but inner addresses (a pool, and no remote_ts)" } } },
		{ ROAD(REMOTE "virtual_ip = ask"),
		  { { 5, 14, "virtual_ip of peer \"road\" is asked for by who calls" } } },
		{ ROAD(LOCAL REMOTE
		       "pool = \"10.9.0.0/16\" ; address = \"192.0.2.1\" ; virtual_ip = "
		       "ask"),
		  { { 6, 8, "gives inner addresses and asks for some (virtual_ip, line 6)" } } },
		{ ROAD(REMOTE "address = \"192.0.2.1\" ; virtual_ip = maybe"),
		  { { 5, 38, "\"maybe\" is none, accepted: ask, no, or" } } },
		{ ROAD(LOCAL REMOTE
		       "address = \"192.0.2.1\" ; virtual_ip = { \"10.1.1.1\", \"10.1.1.2\" }"),
		  { { 6, 52, "\"10.1.1.2\" is a second address of its family" } } },
		{ ROAD(REMOTE "address = \"192.0.2.1\" ; virtual_ip = \"fd00::1\""),
		  { { 5, 38,
		      "virtual_ip of peer \"road\" is fd00::1, and remote_ts has no IPv6" } } },
		{ ROAD(LOCAL REMOTE "dns_domains = \"corp.example\""),
		  { { 6, 15, "there is neither pool nor virtual_ip" } } },
		{ ROAD(LOCAL REMOTE "dns = \"10.0.0.53\" ; lease_keep = 1h"),
		  { { 6, 7, "dns of peer \"road\" is for whoever" },
		    { 6, 34, "lease_keep of peer \"road\"" } } },
		{ ROAD(LOCAL
		       "pool = \"10.9.0.0/16\"") "peer \"other\" {\nremote_id = \"o\" ; psk = "
						 "\"x\"\n" LOCAL "pool = \"10.9.7.0/24\"\n}\n",
		  { { 10, 8,
		      "pool \"10.9.7.0/24\" has addresses of pool \"10.9.0.0/16\" (line 5)" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void values(void **state)
{
	struct conf *c = parse_good(
		HUB("pool = { \"10.9.0.0/16\", \"10.8.0.10-10.8.0.99\", \"fd00:9::/64\" }\n"
		    "dns = { \"10.0.0.53\", \"fd00::53\" }\n"
		    "dns_domains = { \"Corp.Example.\", \"_x.internal\" }\n"
		    "lease_keep = 5m"));
	const struct conf_inner *in = &c->networks->inner;

	(void)state;
	assert_int_equal(in->pool.ts.n, 3);
	assert_string_equal(in->pool.list.v[1].s, "10.8.0.10-10.8.0.99");
	assert_int_equal(in->dns.n, 2);
	assert_string_equal(in->dns_domains.v[0].s, "Corp.Example.");
	assert_int_equal(in->lease_keep.v.ns, dur_s(300).ns);
	conf_unref(c);
	c = parse_good(ROAD(LOCAL "pool = \"10.9.0.0/16\""));
	assert_int_equal(c->peers->remote_ts.ts.n, 0);
	assert_false(c->peers->virtual_ip.ask);
	assert_int_equal(c->peers->inner.lease_keep.v.ns, dur_s(720 * 3600).ns);
	conf_unref(c);
	c = parse_good(
		ROAD(REMOTE "address = \"192.0.2.1\" ; virtual_ip = ask ; dns_domains = \"a.b\""));
	assert_true(c->peers->virtual_ip.ask);
	assert_int_equal(c->peers->virtual_ip.want[0].family, 0);
	assert_int_equal(c->peers->local_ts.ts.n, 0);
	conf_unref(c);
	c = parse_good(ROAD(REMOTE "address = \"192.0.2.1\" ; virtual_ip = \"10.1.1.1\""));
	assert_true(c->peers->virtual_ip.ask);
	assert_int_equal(c->peers->virtual_ip.want[0].family, 4);
	assert_int_equal(c->peers->virtual_ip.want[1].family, 0);
	conf_unref(c);
	c = parse_good(ROAD(LOCAL REMOTE "virtual_ip = no"));
	assert_false(c->peers->virtual_ip.ask);
	conf_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network_errors),
		cmocka_unit_test(peer_errors),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
