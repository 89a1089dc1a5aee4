/* What an identity may source (S1): tables of what an operator would expect, and every address of a
 * small world against a reference that looks at one address at a time. */
#include "unit/policy_util.h"

/* "a, b, c"; the list lives in the arena. */
static struct wire_ts_list list(const char *s)
{
	struct wire_ts *r = arena_new(&arena, WIRE_MAX_TS * sizeof(*r));
	char one[128], buf[256];
	size_t n = 0;

	while (*s) {
		struct text why = TEXT_OF(buf);
		size_t len = strcspn(s, ",");

		memcpy(one, s, len);
		one[len] = '\0';
		if (policy_ts_parse(one, &why, &r[n++]) != ST_OK)
			fail_msg("%s: %s", one, buf);
		s += len;
		s += strspn(s, ", ");
	}
	return (struct wire_ts_list){ r, n, 0 };
}

static size_t blocks(const char *s, struct ip_range *ret)
{
	struct wire_ts_list l = list(s);

	for (size_t i = 0; i < l.n; i++)
		ret[i] = (struct ip_range){ l.ts[i].start, l.ts[i].end };
	return l.n;
}

static struct policy_ident ident(const char *s)
{
	struct policy_ident id = { 0 };
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (policy_ident_parse(&arena, s, true, &why, &id) != ST_OK)
		fail_msg("%s: %s", s, buf);
	return id;
}

struct row {
	const char *rule, *granted; /* NULL: no rule names it */
	const char *blocks; /* NULL: a certificate without */
	const char *domain;
	const char *allowed; /* NULL: nothing */
	const char *by;
};

static void one_row(const struct row *row)
{
	struct ip_range range[CRYPTO_BLOCKS_MAX];
	struct policy_authority a = { .blocks = range };
	struct wire_ts_list granted, domain = list(row->domain), allowed = { 0 };
	struct policy_ident rule;
	char buf[512], out[512];
	struct text by = TEXT_OF(buf), t = TEXT_OF(out);
	enum status st;

	if (row->rule) {
		rule = ident(row->rule);
		granted = list(row->granted);
		a.rule = &rule;
		a.granted = &granted;
	}
	if (row->blocks) {
		a.has_blocks = true;
		a.n_blocks = blocks(row->blocks, range);
	}
	st = policy_authorise(&arena, &a, &domain, &by, &allowed);
	assert_int_equal(st, row->allowed ? ST_OK : ST_REFUSE);
	policy_ts_list_text(&t, &allowed);
	assert_string_equal(out, row->allowed ? row->allowed : "nothing");
	assert_string_equal(buf, row->by);
}

static void who_says_what(void **state)
{
	static const struct row row[] = {
		{ NULL, NULL, "10.2.0.0/16", "10.0.0.0/8", "10.2.0.0/16",
		  "certificate blocks 10.2.0.0/16" },
		{ NULL, NULL, "10.2.0.0/16, fd00:2::/32", "10.0.0.0/8, fd00::/8",
		  "10.2.0.0/16, fd00:2::/32", "certificate blocks 10.2.0.0/16, fd00:2::/32" },
		/* a rule counts instead of the blocks, also when it says less, or something else */
		{ "*.branch", "10.3.0.0/16", "10.2.0.0/16", "10.0.0.0/8", "10.3.0.0/16",
		  "member rule \"*.branch\" 10.3.0.0/16" },
		{ "b.example", "10.2.7.0/24", "10.2.0.0/16", "10.0.0.0/8", "10.2.7.0/24",
		  "member rule \"b.example\" 10.2.7.0/24" },
		{ "%any", "10.3.0.0/16", NULL, "10.0.0.0/8", "10.3.0.0/16",
		  "member rule \"%any\" 10.3.0.0/16" },
		/* blocks that straddle the domain's ends, and ranges that are no prefix */
		{ NULL, NULL, "10.0.0.0-10.5.255.255", "10.4.0.0/14", "10.4.0.0/15",
		  "certificate blocks 10.0.0.0-10.5.255.255" },
		{ NULL, NULL, "10.7.255.0-10.9.0.3", "10.8.0.0/16", "10.8.0.0/16",
		  "certificate blocks 10.7.255.0-10.9.0.3" },
		{ NULL, NULL, "10.2.0.1-10.2.0.9", "10.0.0.0/8", "10.2.0.1-10.2.0.9",
		  "certificate blocks 10.2.0.1-10.2.0.9" },
		{ NULL, NULL, "0.0.0.0/0, ::/0", "10.0.0.0/8", "10.0.0.0/8",
		  "certificate blocks 0.0.0.0/0, ::/0" },
		{ NULL, NULL, "10.2.0.0/16", "0.0.0.0/0, ::/0", "10.2.0.0/16",
		  "certificate blocks 10.2.0.0/16" },
		/* nothing is said twice, the order is that of the authority */
		{ NULL, NULL, "10.9.0.0/16, 10.2.0.0/16", "10.0.0.0/8, 10.2.0.0/15, 10.2.3.0/24",
		  "10.9.0.0/16, 10.2.0.0/16", "certificate blocks 10.9.0.0/16, 10.2.0.0/16" },
		{ "%any", "10.2.1.0/24, 10.2.0.0/16, 10.2.0.0/16", NULL, "10.0.0.0/8",
		  "10.2.0.0/16", "member rule \"%any\" 10.2.1.0/24, 10.2.0.0/16, 10.2.0.0/16" },
		/* nothing */
		{ NULL, NULL, NULL, "10.0.0.0/8", NULL,
		  "its certificate has no address blocks and no member rule names it" },
		{ NULL, NULL, "", "10.0.0.0/8", NULL,
		  "its certificate has no address blocks and no member rule names it" },
		{ NULL, NULL, "192.168.0.0/16", "10.0.0.0/8", NULL,
		  "certificate blocks 192.168.0.0/16, nothing of the domain "
		  "10.0.0.0/8" },
		{ NULL, NULL, "fd00::/16", "10.0.0.0/8", NULL,
		  "certificate blocks fd00::/16, nothing of the domain 10.0.0.0/8" },
		{ "%any", "172.16.0.0/12", "10.2.0.0/16", "10.0.0.0/8", NULL,
		  "member rule \"%any\" 172.16.0.0/12, nothing of the domain "
		  "10.0.0.0/8" },
		/* a rule that grants nothing takes everything */
		{ "%any", "", "10.2.0.0/16", "10.0.0.0/8", NULL,
		  "member rule \"%any\" without prefixes, nothing of the domain 10.0.0.0/8" },
		/* without a domain there is nothing to be authorised for */
		{ NULL, NULL, "10.2.0.0/16", "", NULL,
		  "certificate blocks 10.2.0.0/16, nothing of the domain nothing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		one_row(&row[i]);
}

static void blocks_that_cover(void **state)
{
	static const struct {
		const char *blocks, *list;
		bool cover;
	} row[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", true },
		{ "10.0.0.0/8", "10.1.0.0/16, 10.2.0.0/16", true },
		{ "10.0.0.0/8", "10.1.0.0/16, 11.2.0.0/16", false },
		{ "10.0.0.0/9", "10.0.0.0/8", false },
		{ "10.0.0.1-10.255.255.255", "10.0.0.0/8", false },
		{ "10.0.0.0/8", "10.0.0.0/8, fd00::/16", false },
		{ "10.0.0.0/8, fd00::/16", "10.0.0.0/8, fd00::/16", true },
		{ "10.0.0.0/8", "", false },
		{ "", "10.0.0.0/8", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ip_range range[CRYPTO_BLOCKS_MAX];
		size_t n = blocks(row[i].blocks, range);
		struct wire_ts_list l = list(row[i].list);

		assert_int_equal(policy_blocks_cover(range, n, &l), row[i].cover);
	}
}

/* ---- against a reference -------------------------------------------------------------------- */

enum { WORLD = 256 }; /* addresses of each family */

static struct ip at(bool six, unsigned host)
{
	struct ip ip = { .family = six ? 6 : 4 };

	ip.b[0] = six ? 0xfd : 10;
	ip.b[six ? 15 : 3] = (uint8_t)host;
	return ip;
}

static struct ip_range random_range(void)
{
	bool six = rnd(2);
	unsigned a = (unsigned)rnd(WORLD), b = (unsigned)rnd(WORLD);

	return (struct ip_range){ at(six, a < b ? a : b), at(six, a < b ? b : a) };
}

static size_t random_ranges(struct ip_range *ret)
{
	size_t n = (size_t)rnd(6);

	for (size_t i = 0; i < n; i++)
		ret[i] = random_range();
	return n;
}

static struct wire_ts_list as_list(const struct ip_range *r, size_t n, struct wire_ts *ts)
{
	for (size_t i = 0; i < n; i++)
		ts[i] = policy_range_ts(&r[i]);
	return (struct wire_ts_list){ ts, n, 0 };
}

static bool has(const struct ip_range *r, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].first.family == ip->family && memcmp(r[i].first.b, ip->b, 16) <= 0 &&
		    memcmp(ip->b, r[i].last.b, 16) <= 0)
			return true;
	return false;
}

static void every_address(const struct ip_range *says, size_t n, const struct ip_range *domain,
			  size_t n_domain, const struct wire_ts_list *allowed)
{
	for (unsigned i = 0; i < 2 * WORLD; i++) {
		struct ip ip = at(i >= WORLD, i % WORLD);

		assert_int_equal(policy_ts_match(allowed, &ip, 6, 80),
				 has(says, n, &ip) && has(domain, n_domain, &ip));
	}
	/* Nothing lies inside something else. */
	for (size_t i = 0; i < allowed->n; i++)
		for (size_t k = 0; k < allowed->n; k++)
			assert_true(i == k || !policy_ts_has(&allowed->ts[i], &allowed->ts[k]));
}

static void agrees_with_a_reference(void **state)
{
	const struct policy_ident any = { 0 };

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct ip_range range[6], rule[6], dom[6];
		struct wire_ts rule_ts[6], dom_ts[6];
		size_t n = random_ranges(range), n_rule = random_ranges(rule);
		size_t n_dom = random_ranges(dom);
		struct wire_ts_list granted = as_list(rule, n_rule, rule_ts);
		struct wire_ts_list domain = as_list(dom, n_dom, dom_ts), allowed = { 0 };
		struct policy_authority a = { .has_blocks = n, .blocks = range, .n_blocks = n };
		bool by_rule = rnd(2);
		char buf[64]; /* too short for what it is to hold, now and then */
		struct text by = TEXT_OF(buf);
		enum status st;

		if (by_rule) {
			a.rule = &any;
			a.granted = &granted;
		}
		st = policy_authorise(&arena, &a, &domain, &by, &allowed);
		assert_int_equal(st, allowed.n ? ST_OK : ST_REFUSE);
		every_address(by_rule ? rule : range, by_rule ? n_rule : n, dom, n_dom, &allowed);
	}
}

static void out_of_memory(void **state)
{
	struct ip_range range = { at(false, 1), at(false, 9) };
	struct policy_authority a = { .has_blocks = true, .blocks = &range, .n_blocks = 1 };
	struct wire_ts_list domain = list("10.0.0.0/8"), allowed;
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct arena ar;
	char buf[64];
	struct text by = TEXT_OF(buf);

	(void)state;
	arena_init(&ar, &mem, 1 << 16);
	assert_int_equal(policy_authorise(&ar, &a, &domain, &by, &allowed), ST_NOMEM);
	arena_done(&ar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_says_what),
		cmocka_unit_test(blocks_that_cover),
		cmocka_unit_test(agrees_with_a_reference),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, arena_up, arena_down);
}
