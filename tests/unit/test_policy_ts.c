/* Traffic selectors against sets of packets; their text; RFC 7296 section 2.9 by example. */
#include "unit/policy_util.h"

static struct wire_ts ts(const char *s)
{
	struct wire_ts r = { 0 };
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (policy_ts_parse(s, &why, &r) != ST_OK)
		fail_msg("%s: %s", s, buf);
	return r;
}

/* "a, b, c"; the list lives in the arena. */
static struct wire_ts_list list(const char *s)
{
	struct wire_ts *r = arena_new(&arena, WIRE_MAX_TS * sizeof(*r));
	char one[128];
	size_t n = 0;

	while (*s) {
		size_t len = strcspn(s, ",");

		memcpy(one, s, len);
		one[len] = '\0';
		r[n++] = ts(one);
		s += len;
		s += strspn(s, ", ");
	}
	return (struct wire_ts_list){ r, n, 0 };
}

static const char *list_text(const struct wire_ts_list *l)
{
	static char buf[8192];
	struct text t = TEXT_OF(buf);

	policy_ts_list_text(&t, l);
	return buf;
}

/* ---- text ---- */

static void reads_and_prints(void **state)
{
	static const struct {
		const char *in;
		const char *out;
		uint8_t proto;
		uint16_t from;
		uint16_t to;
	} row[] = {
		{ "10.1.0.0/16", "10.1.0.0/16", 0, 0, 65535 },
		{ "0.0.0.0/0", "0.0.0.0/0", 0, 0, 65535 },
		{ "::/0", "::/0", 0, 0, 65535 },
		{ "10.0.0.1", "10.0.0.1/32", 0, 0, 65535 },
		{ "10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9", 0, 0, 65535 },
		{ "10.0.0.0-10.0.0.255", "10.0.0.0/24", 0, 0, 65535 },
		{ "2001:db8::-2001:db8::1:0", "2001:db8::-2001:db8::1:0", 0, 0, 65535 },
		{ "10.1.0.0/16[tcp/80]", "10.1.0.0/16[tcp/80]", 6, 80, 80 },
		{ "10.1.0.0/16[tcp]", "10.1.0.0/16[tcp]", 6, 0, 65535 },
		{ "10.1.0.0/16[6/80]", "10.1.0.0/16[tcp/80]", 6, 80, 80 },
		{ "10.1.0.0/16[udp/1000-2000]", "10.1.0.0/16[udp/1000-2000]", 17, 1000, 2000 },
		{ "10.1.0.0/16[udp/0-65535]", "10.1.0.0/16[udp]", 17, 0, 65535 },
		{ "10.1.0.0/16[udp/opaque]", "10.1.0.0/16[udp/opaque]", 17, 65535, 0 },
		{ "10.1.0.0/16[89]", "10.1.0.0/16[ospf]", 89, 0, 65535 },
		{ "10.1.0.0/16[200]", "10.1.0.0/16[200]", 200, 0, 65535 },
		{ "10.1.0.0/16[icmp]", "10.1.0.0/16[icmp]", 1, 0, 65535 },
		{ "10.1.0.0/16[icmp/8]", "10.1.0.0/16[icmp/8]", 1, 0x800, 0x8ff },
		{ "10.1.0.0/16[icmp/8.0]", "10.1.0.0/16[icmp/8.0]", 1, 0x800, 0x800 },
		{ "10.1.0.0/16[icmp/3-5]", "10.1.0.0/16[icmp/3-5]", 1, 0x300, 0x5ff },
		{ "10.1.0.0/16[icmp/3.1-5]", "10.1.0.0/16[icmp/3.1-5.255]", 1, 0x301, 0x5ff },
		{ "::1[icmp]", "::1/128[icmp]", 58, 0, 65535 },
		{ "::1[icmpv6/128]", "::1/128[icmp/128]", 58, 0x8000, 0x80ff },
		{ "::1[1]", "::1/128[1]", 1, 0, 65535 },
		{ "10.0.0.1[icmpv6]", "10.0.0.1/32[icmpv6]", 58, 0, 65535 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_ts t = ts(row[i].in);
		struct wire_ts again;
		char buf[128];
		struct text text = TEXT_OF(buf);

		assert_int_equal(t.proto, row[i].proto);
		assert_int_equal(t.port_start, row[i].from);
		assert_int_equal(t.port_end, row[i].to);
		policy_ts_text(&text, &t);
		assert_string_equal(buf, row[i].out);
		again = ts(buf);
		assert_true(policy_ts_has(&t, &again) && policy_ts_has(&again, &t));
	}
}

static void refuses_what_is_none(void **state)
{
	static const struct {
		const char *in;
		const char *why;
	} row[] = {
		{ "", "not an address" },
		{ "10.1.0.1/16", "host bits" },
		{ "10.1.0.0/33", "not an address" },
		{ "10.0.0.9-10.0.0.1", "not an address" },
		{ "10.0.0.1-::1", "not an address" },
		{ "10.0.0.1-", "not an address" },
		{ "10.0.0.0/8-10.0.0.9", "not an address" },
		{ "gw.example", "\"gw.example\"" },
		{ "10.1.0.0/16[tcp", "missing ]" },
		{ "10.1.0.0/16[", "missing ]" },
		{ "10.1.0.0/16[]", "not a protocol" },
		{ "10.1.0.0/16[foo]", "\"foo\"" },
		{ "10.1.0.0/16[0]", "not a protocol" },
		{ "10.1.0.0/16[256]", "not a protocol" },
		{ "10.1.0.0/16[tcp/]", "not a port" },
		{ "10.1.0.0/16[tcp/65536]", "not a port" },
		{ "10.1.0.0/16[tcp/9-5]", "not a port" },
		{ "10.1.0.0/16[tcp/1-2-3]", "not a port" },
		{ "10.1.0.0/16[tcp/http]", "not a port" },
		{ "10.1.0.0/16[tcp/000080]", "not a port" },
		{ "10.1.0.0/16[ospf/80]", "without ports" },
		{ "10.1.0.0/16[icmp/256]", "not a port" },
		{ "10.1.0.0/16[icmp/8.256]", "not a port" },
		{ "10.1.0.0/16[icmp/8.]", "not a port" },
		{ "10.1.0.0/16[tcp/80]x", "missing ]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_ts t = { .proto = 99 };
		char buf[512];
		struct text why = TEXT_OF(buf);

		assert_int_equal(policy_ts_parse(row[i].in, &why, &t), ST_INVAL);
		assert_non_null(strstr(buf, row[i].why));
		assert_non_null(strstr(buf, "accepted: "));
		assert_int_equal(t.proto, 99);
	}
}

/* ---- against sets of packets ---- */

/*
 * A world of 16 addresses (and one of the other family), four protocols and seven ports, the last
 * being "none to see".  A selector is the set of packets for which the definition of section
 * 3.13.1 says yes.  The world is rich enough that different selectors of some_ts() are different
 * sets.
 */
#define W_ADDRS 17
#define W_PROTOS 4
#define W_PORTS 7
#define W_ALL (W_ADDRS * W_PROTOS * W_PORTS)

static const uint8_t w_proto[W_PROTOS] = { 1, 6, 17, 99 };
static const uint16_t w_port[W_PORTS - 1] = { 0, 1, 2, 3, 40000, 65535 };

struct set {
	bool in[W_ALL];
};

static struct ip w_addr(size_t i)
{
	struct ip a = { 4, { 10, 0, 0, (uint8_t)i } };

	return i < 16 ? a : (struct ip){ 6, { 10 } };
}

static bool naive_has(const struct wire_ts *t, const struct ip *a, uint8_t proto, int port)
{
	bool any = t->port_start == 0 && t->port_end == 65535;
	bool opaque = t->port_start == 65535 && t->port_end == 0;

	if (t->start.family != a->family || memcmp(t->start.b, a->b, 16) > 0 ||
	    memcmp(a->b, t->end.b, 16) > 0)
		return false;
	if (t->proto != 0 && t->proto != proto)
		return false;
	if (port < 0)
		return any || opaque;
	return t->port_start <= port && port <= t->port_end;
}

static struct set set_of(const struct wire_ts_list *l)
{
	struct set s = { 0 };
	size_t at = 0;

	for (size_t a = 0; a < W_ADDRS; a++)
		for (size_t p = 0; p < W_PROTOS; p++)
			for (size_t q = 0; q < W_PORTS; q++, at++)
				for (size_t i = 0; i < l->n; i++) {
					struct ip ip = w_addr(a);
					int port = q < W_PORTS - 1 ? w_port[q] : -1;

					s.in[at] |= naive_has(&l->ts[i], &ip, w_proto[p], port);
				}
	return s;
}

static struct set set_of_one(const struct wire_ts *t)
{
	return set_of(&(struct wire_ts_list){ t, 1, 0 });
}

static bool set_subset(const struct set *a, const struct set *b)
{
	for (size_t i = 0; i < W_ALL; i++)
		if (a->in[i] && !b->in[i])
			return false;
	return true;
}

static bool set_empty(const struct set *a)
{
	return set_subset(a, &(struct set){ 0 });
}

static struct set set_and(const struct set *a, const struct set *b)
{
	struct set r;

	for (size_t i = 0; i < W_ALL; i++)
		r.in[i] = a->in[i] && b->in[i];
	return r;
}

static bool set_eq(const struct set *a, const struct set *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct wire_ts some_ts(void)
{
	static const uint8_t proto[] = { 0, 0, 6, 17 };
	static const struct {
		uint16_t from;
		uint16_t to;
	} ports[] = {
		{ 0, 65535 }, { 0, 65535 }, { 0, 65535 }, { 65535, 0 }, { 0, 2 },
		{ 1, 65535 }, { 2, 3 },     { 1, 1 },     { 3, 1 },
	};
	size_t k = rnd(ARRAY_LEN(ports));
	size_t a = rnd(16);
	size_t b = rnd(40) ? a + rnd(16 - a) : rnd(16); /* now and then upside down */
	bool v6 = rnd(12) == 0;

	return (struct wire_ts){ proto[rnd(ARRAY_LEN(proto))], ports[k].from, ports[k].to,
				 w_addr(v6 ? 16 : a), w_addr(v6 ? 16 : b) };
}

static void pairs_against_sets(void **state)
{
	int overlaps = 0;
	int inside = 0;

	(void)state;
	rnd_state = 21;
	for (int round = 0; round < 20000; round++) {
		struct wire_ts a = some_ts();
		struct wire_ts b = some_ts();
		struct wire_ts c = { .proto = 77 };
		struct set sa = set_of_one(&a);
		struct set sb = set_of_one(&b);
		struct set both = set_and(&sa, &sb);
		bool met = policy_ts_intersect(&a, &b, &c);

		assert_int_equal(met, !set_empty(&both));
		if (met) {
			struct set sc = set_of_one(&c);

			assert_true(set_eq(&sc, &both));
			overlaps++;
		} else {
			assert_int_equal(c.proto, 77);
		}
		assert_int_equal(policy_ts_has(&a, &b), !set_empty(&sb) && set_subset(&sb, &sa));
		inside += policy_ts_has(&a, &b);
	}
	assert_true(overlaps > 1000 && inside > 300);
}

static struct wire_ts_list some_list(struct wire_ts *buf, size_t max)
{
	size_t n = rnd(max + 1);

	for (size_t i = 0; i < n; i++)
		buf[i] = some_ts();
	return (struct wire_ts_list){ buf, n, 0 };
}

/* What narrowing owes: exactly the traffic both lists have, no selector inside another, each one
 * inside one of either list. */
static void narrow_against_sets(void **state)
{
	int refused = 0;

	(void)state;
	rnd_state = 22;
	for (int round = 0; round < 3000; round++) {
		struct wire_ts a[8], b[8];
		struct wire_ts_list offered = some_list(a, 8);
		struct wire_ts_list allowed = some_list(b, 8);
		struct wire_ts_list got = { 0 };
		struct set so = set_of(&offered);
		struct set sa = set_of(&allowed);
		struct set want = set_and(&so, &sa);
		char buf[4096];
		struct text why = TEXT_OF(buf);
		enum status st = policy_ts_narrow(&arena, &offered, &allowed, &why, &got);
		struct set sg = set_of(&got);

		assert_int_equal(st, set_empty(&want) ? ST_REFUSE : ST_OK);
		assert_true(set_eq(&sg, &want));
		if (st != ST_OK) {
			refused++;
			continue;
		}
		assert_true(policy_ts_subset(&got, &offered));
		assert_true(policy_ts_subset(&got, &allowed));
		for (size_t i = 0; i < got.n; i++)
			for (size_t k = 0; k < got.n; k++)
				assert_int_equal(policy_ts_has(&got.ts[i], &got.ts[k]), i == k);
	}
	assert_true(refused > 50 && refused < 2000);
}

/* A packet that shows its ports lies in a list exactly when the definition says so. */
static void match_against_definition(void **state)
{
	(void)state;
	rnd_state = 23;
	for (int round = 0; round < 20000; round++) {
		struct wire_ts buf[4];
		struct wire_ts_list l = some_list(buf, 4);
		struct ip a = w_addr(rnd(W_ADDRS));
		uint8_t proto = w_proto[rnd(W_PROTOS)];
		uint16_t port = w_port[rnd(W_PORTS - 1)];
		bool want = false;

		for (size_t i = 0; i < l.n; i++)
			want |= naive_has(&l.ts[i], &a, proto, port);
		assert_int_equal(policy_ts_match(&l, &a, proto, port), want);
	}
}

/* ---- examples ---- */

static void narrow_examples(void **state)
{
	static const struct {
		const char *offered;
		const char *allowed;
		const char *narrowed; /* NULL: refused */
	} row[] = {
		{ "10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/16" },
		{ "0.0.0.0/0", "10.1.0.0/16", "10.1.0.0/16" },
		{ "0.0.0.0/0, ::/0", "10.1.0.0/16, 2001:db8::/32", "10.1.0.0/16, 2001:db8::/32" },
		{ "10.1.2.0/24", "10.1.0.0/16", "10.1.2.0/24" },
		{ "10.2.0.0/16", "10.1.0.0/16", NULL },
		{ "::/0", "0.0.0.0/0", NULL },
		{ "", "0.0.0.0/0", NULL },
		{ "0.0.0.0/0", "", NULL },
		/* The packet that caused it, then the net: the net has both (section 2.9). */
		{ "10.1.0.43[udp/5000], 10.1.0.0/24", "10.1.0.0/16", "10.1.0.0/24" },
		/* The first choice is allowed, the second only in part. */
		{ "10.1.0.43[udp/5000], 10.1.0.0/24", "10.1.0.0/24[udp/5000]",
		  "10.1.0.0/24[udp/5000]" },
		{ "10.1.0.0/16[tcp]", "10.1.0.0/16[udp]", NULL },
		{ "10.1.0.0/16[tcp/80-90]", "10.1.0.0/16[tcp/85-95]", "10.1.0.0/16[tcp/85-90]" },
		{ "10.1.0.0/16", "10.1.0.0/16[tcp/opaque]", "10.1.0.0/16[tcp/opaque]" },
		{ "10.1.0.0/16[tcp/80]", "10.1.0.0/16[tcp/opaque]", NULL },
		{ "10.0.0.5-10.0.0.20", "10.0.0.10-10.0.0.30", "10.0.0.10-10.0.0.20" },
		{ "10.0.0.0/24, 10.0.1.0/24", "10.0.1.0/24, 10.0.0.0/24",
		  "10.0.0.0/24, 10.0.1.0/24" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_ts_list offered = list(row[i].offered);
		struct wire_ts_list allowed = list(row[i].allowed);
		struct wire_ts_list got = { 0 };
		char buf[512];
		struct text why = TEXT_OF(buf);
		enum status st = policy_ts_narrow(&arena, &offered, &allowed, &why, &got);

		assert_int_equal(st, row[i].narrowed ? ST_OK : ST_REFUSE);
		if (row[i].narrowed) {
			assert_string_equal(list_text(&got), row[i].narrowed);
			continue;
		}
		/* Both sides' values are in the text. */
		assert_non_null(strstr(buf, list_text(&offered)));
		assert_non_null(strstr(buf, list_text(&allowed)));
	}
}

/* S2: the longest lists a peer can send give a bounded answer that keeps the first choice. */
static void narrow_is_bounded(void **state)
{
	static struct wire_ts a[WIRE_MAX_TS], b[WIRE_MAX_TS];
	struct wire_ts_list offered = { a, WIRE_MAX_TS, 0 };
	struct wire_ts_list allowed = { b, WIRE_MAX_TS, 0 };
	struct wire_ts_list got;
	char buf[64];
	struct text why = TEXT_OF(buf);

	(void)state;
	/* Rows and columns: 4096 different intersections. */
	for (uint16_t i = 0; i < WIRE_MAX_TS; i++) {
		struct ip from = { 4, { 10, 0, 0, (uint8_t)i } };

		a[i] = (struct wire_ts){ 6, 0, 65535, from, from };
		b[i] = ts("10.0.0.0/24[tcp/1]");
		b[i].port_start = b[i].port_end = (uint16_t)(1000 + 2 * i);
	}
	assert_int_equal(policy_ts_narrow(&arena, &offered, &allowed, &why, &got), ST_OK);
	assert_int_equal(got.n, WIRE_MAX_TS);
	for (size_t i = 0; i < got.n; i++) {
		assert_true(ip_eq(&got.ts[i].start, &a[0].start));
		assert_int_equal(got.ts[i].port_start, b[i].port_start);
	}
	/* A later one that swallows kept ones still finds room. */
	a[WIRE_MAX_TS - 1] = ts("10.0.0.0/30");
	assert_int_equal(policy_ts_narrow(&arena, &offered, &allowed, &why, &got), ST_OK);
	assert_true(policy_ts_has(&got.ts[got.n - 1],
				  &(struct wire_ts){ 6, 1126, 1126, a[0].start, a[0].start }));
}

static void narrow_out_of_memory(void **state)
{
	struct wire_ts_list all = list("0.0.0.0/0");
	struct wire_ts_list got = { 0 };
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct arena none;
	char buf[64];
	struct text why = TEXT_OF(buf);

	(void)state;
	arena_init(&none, &mem, 1 << 16);
	assert_int_equal(policy_ts_narrow(&none, &all, &all, &why, &got), ST_NOMEM);
	assert_int_equal(got.n, 0);
}

static void subset_examples(void **state)
{
	static const struct {
		const char *inner;
		const char *outer;
		bool subset;
	} row[] = {
		{ "10.1.0.0/16", "10.0.0.0/8", true },
		{ "10.1.0.0/16, 10.2.0.0/16", "10.0.0.0/8", true },
		{ "10.1.0.0/16, 11.0.0.0/16", "10.0.0.0/8", false },
		{ "10.0.0.0/8", "10.0.0.0/9, 10.128.0.0/9", false },
		{ "10.0.0.0/9[tcp]", "10.0.0.0/8[udp], 10.0.0.0/8[tcp]", true },
		{ "", "10.0.0.0/8", false },
		{ "10.0.0.0/8", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_ts_list inner = list(row[i].inner);
		struct wire_ts_list outer = list(row[i].outer);

		assert_int_equal(policy_ts_subset(&inner, &outer), row[i].subset);
	}
}

/* ---- prefixes ---- */

/* Every range of a small space: the prefixes lie one behind the other, cover it exactly, and no two
 * could be one. */
static void prefixes_of_every_range(void **state)
{
	(void)state;
	for (unsigned from = 0; from < 64; from++) {
		for (unsigned to = from; to < 64; to++) {
			struct wire_ts t = { 0,
					     0,
					     65535,
					     { 4, { 10, 0, 0, (uint8_t)from } },
					     { 4, { 10, 0, 0, (uint8_t)to } } };
			struct ip at = t.start;
			struct prefix p[16];
			size_t n = policy_ts_prefixes(&t, p, ARRAY_LEN(p));

			assert_true(n > 0);
			for (size_t i = 0; i < n; i++) {
				struct ip last = prefix_last(&p[i]);

				assert_true(ip_eq(&p[i].ip, &at));
				at = ip_next(&last);
				if (i > 0 && p[i].len == p[i - 1].len)
					assert_int_equal(p[i].ip.b[3] >> (32 - p[i].len) & 1, 0);
			}
			at = ip_prev(&at);
			assert_true(ip_eq(&at, &t.end));
			assert_int_equal(policy_ts_prefixes(&t, p, n - 1), 0);
		}
	}
}

static void prefixes_edges(void **state)
{
	static const struct {
		const char *ts;
		size_t n;
	} row[] = {
		{ "0.0.0.0/0", 1 },
		{ "::/0", 1 },
		{ "0.0.0.1-255.255.255.254", 62 },
		{ "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 254 },
		{ "255.255.255.255", 1 },
		{ "128.0.0.0-255.255.255.255", 1 },
	};
	struct prefix p[254];
	struct wire_ts bad = ts("10.0.0.1");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_ts t = ts(row[i].ts);

		assert_int_equal(policy_ts_prefixes(&t, p, ARRAY_LEN(p)), row[i].n);
		assert_int_equal(policy_ts_prefixes(&t, p, row[i].n - 1), 0);
	}
	bad.end.b[3] = 0;
	assert_int_equal(policy_ts_prefixes(&bad, p, ARRAY_LEN(p)), 0);
	assert_int_equal(policy_ts_prefixes(&(struct wire_ts){ 0 }, p, ARRAY_LEN(p)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_prints),
		cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(pairs_against_sets),
		cmocka_unit_test(narrow_against_sets),
		cmocka_unit_test(match_against_definition),
		cmocka_unit_test(narrow_examples),
		cmocka_unit_test(narrow_is_bounded),
		cmocka_unit_test(narrow_out_of_memory),
		cmocka_unit_test(subset_examples),
		cmocka_unit_test(prefixes_of_every_range),
		cmocka_unit_test(prefixes_edges),
	};

	return cmocka_run_group_tests(tests, arena_up, arena_down);
}
