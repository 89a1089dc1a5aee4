/* Addresses, endpoints and prefixes: text, order, edges. */
#include "unit/test_util.h"

/* --- addresses --- */

static struct ip ip_must(const char *s)
{
	struct ip a = { 0 };

	if (s[0])
		assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

static void ip_parse_and_format(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
	} row[] = {
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::", "::" },
		{ "2001:DB8::0:1", "2001:db8::1" },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
		{ "fe80::1%eth0", NULL },
		{ "", NULL },
		{ "1.2.3", NULL },
		{ "1.2.3.4 ", NULL },
		{ " 1.2.3.4", NULL },
		{ "1.2.3.256", NULL },
		{ "1.2.3.4.5", NULL },
		{ "2001:db8:::1", NULL },
		{ "[::1]", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ip a = { .family = 77 };
		char buf[IP_TEXT_MAX];
		enum status st = ip_parse(row[i].in, &a);

		assert_int_equal(st, row[i].out ? ST_OK : ST_INVAL);
		if (row[i].out)
			assert_string_equal(ip_text(&a, buf), row[i].out);
		else
			assert_int_equal(a.family, 77);
	}
}

static void ip_without_family(void **state)
{
	struct ip none = ip_from_raw(bytes_of("12345", 5));
	struct ip v4 = ip_must("0.0.0.0");
	char buf[IP_TEXT_MAX];

	(void)state;
	assert_int_equal(none.family, 0);
	assert_string_equal(ip_text(&none, buf), "none");
	assert_false(ip_is_any(&none));
	assert_true(ip_is_any(&v4));
	assert_true(ip_cmp(&none, &v4) < 0);
	assert_true(ip_eq(&none, &(struct ip){ 0 }));
	assert_int_equal(ip_next(&none).family, 0);
}

/* Somebody's, whom one could send a datagram. */
static void ip_host(void **state)
{
	static const struct {
		const char *a;
		bool want;
	} row[] = {
		{ "0.0.0.0", false },
		{ "0.255.255.255", false },
		{ "1.0.0.0", true },
		{ "126.255.255.255", true },
		{ "127.0.0.0", false },
		{ "127.255.255.255", false },
		{ "128.0.0.1", true },
		{ "169.254.0.1", true },
		{ "223.255.255.255", true },
		{ "224.0.0.0", false },
		{ "239.255.255.255", false },
		{ "255.255.255.254", true },
		{ "255.255.255.255", false },
		{ "::", false },
		{ "::1", false },
		{ "::2", true },
		{ "fe80::1", true },
		{ "feff:ffff::", true },
		{ "ff00::", false },
		{ "ffff::1", false },
		{ "::ffff:0.0.0.0", false },
		{ "::ffff:192.0.2.1", false },
		{ "::fffe:192.0.2.1", true },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ip a = ip_must(row[i].a);

		assert_int_equal(ip_is_host(&a), row[i].want);
	}
}

#define LABEL_60 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
#define NAME_244 LABEL_60 "." LABEL_60 "." LABEL_60 "." LABEL_60 "."

static void host_names(void **state)
{
	static const struct {
		const char *name;
		bool want;
	} row[] = {
		{ "a", true },
		{ "a.", true },
		{ "hub.example.net", true },
		{ "HUB.Example.NET.", true },
		{ "_x-y_.z", true },
		{ "1.2.3.d", true },
		{ "4hub", true },
		{ LABEL_60 "123", true },
		{ NAME_244 "123456789", false },
		{ NAME_244 "12345678a", true }, /* 253 */
		{ NAME_244 "12345678a.", true },
		{ NAME_244 "123456789a", false },
		{ "", false },
		{ ".", false },
		{ "..", false },
		{ "a..", false },
		{ ".a", false },
		{ "a..b", false },
		{ "-a", false },
		{ "a-", false },
		{ "a.-b.c", false },
		{ "a b", false },
		{ "a/b", false },
		{ "a:b", false },
		{ "a@b", false },
		{ "a[b", false },
		{ "a{b", false },
		{ "a\nb", false },
		{ "\x7f", false },
		{ "h\xc3\xbc"
		  "b",
		  false },
		{ "1.2.3.4", false },
		{ "1.2.3", false },
		{ "a.5", false },
		{ LABEL_60 "1234", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (host_name_ok(bytes_str(row[i].name)) != row[i].want)
			print_error("%s\n", row[i].name);
		assert_int_equal(host_name_ok(bytes_str(row[i].name)), row[i].want);
	}
	assert_false(host_name_ok(bytes_of("a\0b", 3)));
	assert_false(host_name_ok(bytes_of("a\0", 2)));
	assert_false(host_name_ok(bytes_of(NULL, 0)));
}

static void ip_link_local(void **state)
{
	static const struct {
		const char *a;
		bool want;
	} row[] = {
		{ "169.254.0.0", true },  { "169.254.255.255", true }, { "169.253.255.255", false },
		{ "169.255.0.0", false }, { "fe80::", true },          { "febf:ffff::1", true },
		{ "fe7f:ffff::", false }, { "fec0::", false },         { "254.128.0.1", false },
		{ "2001:db8::1", false }, { "10.0.0.1", false },
	};
	struct ip none = { 0 };

	(void)state;
	assert_false(ip_is_link_local(&none));
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ip a = ip_must(row[i].a);

		assert_int_equal(ip_is_link_local(&a), row[i].want);
	}
}

static void ip_neighbours(void **state)
{
	static const struct {
		const char *a;
		const char *next;
	} row[] = {
		{ "0.0.0.0", "0.0.0.1" },
		{ "10.0.0.255", "10.0.1.0" },
		{ "10.255.255.255", "11.0.0.0" },
		{ "255.255.255.255", "0.0.0.0" },
		{ "::", "::1" },
		{ "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ip a = ip_must(row[i].a);
		struct ip b = ip_must(row[i].next);
		struct ip up = ip_next(&a);
		struct ip down = ip_prev(&b);

		assert_true(ip_eq(&up, &b));
		assert_true(ip_eq(&down, &a));
	}
}

static void ip_order(void **state)
{
	static const char *const sorted[] = { "0.0.0.0", "1.2.3.4", "1.2.3.5", "255.0.0.0",
					      "::",      "::1",     "1::",     "ffff::" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++) {
		for (size_t k = 0; k < ARRAY_LEN(sorted); k++) {
			struct ip a = ip_must(sorted[i]);
			struct ip b = ip_must(sorted[k]);
			int r = ip_cmp(&a, &b);

			assert_int_equal((r > 0) - (r < 0), (i > k) - (i < k));
		}
	}
}

static void prefix_parse_and_ends(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
		const char *first;
		const char *last;
	} row[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0", "10.255.255.255" },
		{ "0.0.0.0/0", "0.0.0.0/0", "0.0.0.0", "255.255.255.255" },
		{ "192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.7" },
		{ "192.0.2.6/31", "192.0.2.6/31", "192.0.2.6", "192.0.2.7" },
		{ "192.0.2.64/26", "192.0.2.64/26", "192.0.2.64", "192.0.2.127" },
		{ "::/0", "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "2001:db8::/33", "2001:db8::/33",
		  "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff" },
		{ "2001:db8::1", "2001:db8::1/128", "2001:db8::1", "2001:db8::1" },
		{ .in = "192.0.2.7/31" },
		{ .in = "10.0.0.0/33" },
		{ .in = "2001:db8::/129" },
		{ .in = "2001:db8::/300" },
		{ .in = "10.0.0.0/" },
		{ .in = "10.0.0.0/-1" },
		{ .in = "10.0.0.0/+8" },
		{ .in = "10.0.0.0/08" },
		{ .in = "10.0.0.0/8 " },
		{ .in = "10.0.0.0/8/8" },
		{ .in = "10.0.0.0/4294967304" },
		{ .in = "/8" },
		{ .in = "" },
		{ .in = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct prefix p = { .len = 99 };
		char buf[PREFIX_TEXT_MAX];
		struct ip first, last;

		if (!row[i].out) {
			assert_int_equal(prefix_parse(row[i].in, &p), ST_INVAL);
			assert_int_equal(p.len, 99);
			continue;
		}
		assert_int_equal(prefix_parse(row[i].in, &p), ST_OK);
		assert_string_equal(prefix_text(&p, buf), row[i].out);
		first = prefix_first(&p);
		assert_string_equal(ip_text(&first, buf), row[i].first);
		last = prefix_last(&p);
		assert_string_equal(ip_text(&last, buf), row[i].last);
	}
}

static void prefix_membership(void **state)
{
	static const struct {
		const char *p;
		const char *a;
		bool in;
	} row[] = {
		{ "0.0.0.0/0", "255.1.2.3", true },
		{ "0.0.0.0/0", "::", false },
		{ "::/0", "1.2.3.4", false },
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.0.0.0/9", "10.127.255.255", true },
		{ "10.0.0.0/9", "10.128.0.0", false },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.2", false },
		{ "2001:db8::/64", "2001:db8::f", true },
		{ "2001:db8::/64", "2001:db8:0:1::", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ip a = ip_must(row[i].a);
		struct prefix p;

		assert_int_equal(prefix_parse(row[i].p, &p), ST_OK);
		assert_int_equal(prefix_has(&p, &a), row[i].in);
	}
	assert_false(prefix_has(&(struct prefix){ 0 }, &(struct ip){ 0 }));
}

static void prefix_of_cuts(void **state)
{
	struct ip a = ip_must("192.0.2.255");
	struct prefix p = prefix_of(&a, 25);
	struct prefix q = prefix_of(&a, 200);
	char buf[PREFIX_TEXT_MAX];

	(void)state;
	assert_string_equal(prefix_text(&p, buf), "192.0.2.128/25");
	assert_string_equal(prefix_text(&q, buf), "192.0.2.255/32");
	assert_false(prefix_eq(&p, &q));
	assert_true(prefix_eq(&q, &q));
}

static void endpoint_format(void **state)
{
	struct endpoint v4 = { ip_must("192.0.2.1"), 500 };
	struct endpoint v6 = { ip_must("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), 65535 };
	char buf[ENDPOINT_TEXT_MAX];

	(void)state;
	assert_string_equal(endpoint_text(&v4, buf), "192.0.2.1:500");
	assert_string_equal(endpoint_text(&v6, buf),
			    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	assert_false(endpoint_eq(&v4, &v6));
	v6 = v4;
	assert_true(endpoint_eq(&v4, &v6));
	v6.port++;
	assert_false(endpoint_eq(&v4, &v6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ip_parse_and_format),
		cmocka_unit_test(ip_without_family),
		cmocka_unit_test(ip_host),
		cmocka_unit_test(host_names),
		cmocka_unit_test(ip_link_local),
		cmocka_unit_test(ip_neighbours),
		cmocka_unit_test(ip_order),
		cmocka_unit_test(prefix_parse_and_ends),
		cmocka_unit_test(prefix_membership),
		cmocka_unit_test(prefix_of_cuts),
		cmocka_unit_test(endpoint_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
