/* Redirects in the configuration: who may be sent on, where to, and what of it is nonsense.  R07.
 */
#include "unit/conf_util.h"

#define CERTS "certificate = \"/c.pem\"\nkey = \"/k.pem\"\ntrust = \"/t.pem\"\n"
#define NETWORK(text) CERTS "network \"corp\" {\n" text "\n}\n"
#define HUB(text) NETWORK("role = hub ; domain = \"10.0.0.0/8\"\n" text)
#define SITE(text) NETWORK("role = site ; hubs = \"192.0.2.1\"\n" text)
#define ENDPOINT(text) NETWORK("role = endpoint ; hubs = \"192.0.2.1\"\n" text)

/* What is wrong is said where it stands. */
static void errors(void **state)
{
	static const struct row row[] = {
		{ HUB("redirect = follow"),
		  { { 6, 12,
		      "redirect is for a site or endpoint, and the role in network \"corp\" is "
		      "hub" } } },
		{ SITE("redirect_to = \"hub2.example\" ; redirect_above = 5 ; redirect_wait = 1m"),
		  { { 6, 15, "redirect_to is for a hub" },
		    { 6, 49, "redirect_above is for a hub" },
		    { 6, 69, "redirect_wait is for a hub" } } },
		{ ENDPOINT("redirect_to = \"hub2.example\""),
		  { { 6, 15, "redirect_to is for a" } } },
		{ SITE("redirect = yes"),
		  { { 6, 12, "redirect \"yes\" is unknown, accepted: no or follow" } } },
		{ HUB("redirect_to = { }"), { { 6, 15, "redirect_to is an empty list" } } },
		{ HUB("redirect_to = { \"a b\", \"-x\", \"1.2.3\", \"192.0.2.7:500\" }"),
		  { { 6, 17, "redirect_to \"a b\" is none" },
		    { 6, 24, "\"-x\" is none" },
		    { 6, 30, "\"1.2.3\" is none" },
		    { 6, 39, "\"192.0.2.7:500\" is none" } } },
		{ HUB("redirect_to = { \"0.0.0.0\", \"::\", \"127.0.0.1\", \"ff02::1\", "
		      "\"255.255.255.255\", \"192.0.2.7\" }"),
		  { { 6, 17, "redirect_to \"0.0.0.0\" is nobody's" },
		    { 6, 28, "\"::\" is nobody's" },
		    { 6, 34, "\"127.0.0.1\" is nobody's" },
		    { 6, 47, "\"ff02::1\" is nobody's" },
		    { 6, 58, "\"255.255.255.255\" is nobody's" } } },
		{ HUB("redirect_above = 5"),
		  { { 6, 18, "redirect_above without redirect_to: there is nowhere" } } },
		{ HUB("redirect_to = \"b\" ; redirect_above = 1000001"),
		  { { 6, 38, "redirect_above \"1000001\" is out of range" } } },
		{ HUB("redirect_wait = 999ms"),
		  { { 6, 17, "redirect_wait \"999ms\" is out of range" } } },
		{ HUB("redirect_wait = 3601s"),
		  { { 6, 17, "redirect_wait \"3601s\" is out of range" } } },
		{ WITH("redirect_to = \"224.0.0.1\" ; mtu_probes = maybe"),
		  { { 3, 15, "redirect_to \"224.0.0.1\" is nobody's" },
		    { 3, 42, "mtu_probes \"maybe\" is unknown, accepted: no or yes" } } },
		{ WITH("redirect_above = 7"), { { 3, 18, "redirect_above without redirect_to" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* A network's gateways have to show that they are its hubs; a peer that sends us elsewhere may be
 * anybody's guess. */
static void values(void **state)
{
	struct conf *c = parse_good(SITE(""));

	(void)state;
	assert_int_equal(c->networks->steer.redirect.v, CONF_REDIRECT_FOLLOW);
	conf_unref(c);
	c = parse_good(SITE("redirect = no"));
	assert_int_equal(c->networks->steer.redirect.v, CONF_REDIRECT_NO);
	conf_unref(c);
	c = parse_good(WITH(""));
	assert_int_equal(c->peers->steer.redirect.v, CONF_REDIRECT_NO);
	assert_int_equal(c->peers->steer.redirect_to.n, 0);
	assert_int_equal(c->peers->steer.redirect_wait.v.ns, dur_s(60).ns);
	conf_unref(c);
	c = parse_good(WITH("redirect = follow"));
	assert_int_equal(c->peers->steer.redirect.v, CONF_REDIRECT_FOLLOW);
	conf_unref(c);
	c = parse_good(HUB("redirect_to = { \"hub2.example.net\", \"2001:db8::7\" }\n"
			   "redirect_above = 1000000 ; redirect_wait = 1h"));
	assert_int_equal(c->networks->steer.redirect_to.n, 2);
	assert_string_equal(c->networks->steer.redirect_to.v[1].s, "2001:db8::7");
	assert_int_equal(c->networks->steer.redirect_above.v, 1000000);
	assert_int_equal(c->networks->steer.redirect_wait.v.ns, dur_s(3600).ns);
	conf_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
