/* Pools of inner addresses against a list that looks at one address at a time; what is never given
 * out; a million addresses.  R06. */
#include "unit/test_util.h"

#include "policy/policy.h"
#include "policy/pool.h"

static struct ip ip(const char *s)
{
	struct ip a = { 0 };

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

/* "10.1.0.0/24 10.2.0.1-10.2.0.9"; returns how many. */
static size_t ranges(const char *s, struct ip_range *ret)
{
	char one[128], buf[256];
	size_t n = 0;

	while (*s) {
		struct text why = TEXT_OF(buf);
		size_t len = strcspn(s, " ");
		struct wire_ts ts;

		memcpy(one, s, len);
		one[len] = '\0';
		assert_int_equal(policy_ts_parse(one, &why, &ts), ST_OK);
		ret[n++] = (struct ip_range){ ts.start, ts.end };
		s += len;
		s += strspn(s, " ");
	}
	return n;
}

static struct policy_pool *pool(const char *s, const char *but)
{
	struct ip_range r[8];
	struct ip b = { 0 };
	struct policy_pool *p;

	if (but)
		b = ip(but);
	assert_int_equal(policy_pool_new(&mem_libc, r, ranges(s, r), &b, but != NULL, &p), ST_OK);
	return p;
}

static bool take_any(struct policy_pool *p, uint8_t family, struct ip *ret)
{
	struct policy_pool_at at = { 0 };

	return policy_pool_next(p, family, &at, ret) && policy_pool_take(p, ret);
}

static void assert_next(struct policy_pool *p, uint8_t family, const char *want)
{
	char buf[IP_TEXT_MAX];
	struct ip got = { 0 };

	assert_int_equal(take_any(p, family, &got), want != NULL);
	if (want)
		assert_string_equal(ip_text(&got, buf), want);
}

static void never_given_out(void **state)
{
	static const struct {
		const char *pool, *but;
		uint8_t family;
		size_t size;
		const char *first;
	} rows[] = {
		{ "10.1.0.0/24", NULL, 4, 254, "10.1.0.1" },
		{ "10.1.0.0/24", "10.1.0.1", 4, 253, "10.1.0.2" },
		{ "10.1.0.0/24", "10.1.0.255", 4, 254, "10.1.0.1" },
		{ "10.1.0.0/24", "10.2.0.1", 4, 254, "10.1.0.1" },
		{ "10.1.0.0/30", NULL, 4, 2, "10.1.0.1" },
		{ "10.1.0.0/31", NULL, 4, 2, "10.1.0.0" },
		{ "10.1.0.7/32", NULL, 4, 1, "10.1.0.7" },
		{ "10.1.0.7/32", "10.1.0.7", 4, 0, NULL },
		{ "10.1.0.5-10.1.0.20", NULL, 4, 16, "10.1.0.5" },
		/* Written as a range it is a prefix all the same. */
		{ "10.1.0.0-10.1.0.255", NULL, 4, 254, "10.1.0.1" },
		{ "10.1.0.255-10.1.1.0", NULL, 4, 2, "10.1.0.255" },
		{ "2001:db8::/64", NULL, 6, POLICY_POOL_RANGE_MAX - 1, "2001:db8::1" },
		{ "2001:db8::/126", NULL, 6, 3, "2001:db8::1" },
		{ "2001:db8::/127", NULL, 6, 2, "2001:db8::" },
		{ "2001:db8::5/128", NULL, 6, 1, "2001:db8::5" },
		{ "10.0.0.0/8", NULL, 4, POLICY_POOL_RANGE_MAX - 1, "10.0.0.1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_pool *p = pool(rows[i].pool, rows[i].but);
		uint8_t other = rows[i].family == 4 ? 6 : 4;

		assert_int_equal(policy_pool_size(p, rows[i].family), rows[i].size);
		assert_int_equal(policy_pool_left(p, rows[i].family), rows[i].size);
		assert_int_equal(policy_pool_size(p, other), 0);
		assert_next(p, other, NULL);
		assert_next(p, rows[i].family, rows[i].first);
		policy_pool_free(p);
	}
}

static void by_name(void **state)
{
	struct policy_pool *p = pool("10.1.0.0/29 2001:db8::/125 10.3.0.1-10.3.0.2", "10.1.0.3");
	const struct ip a = ip("10.1.0.2"), own = ip("10.1.0.3"), net = ip("10.1.0.0");
	const struct ip broadcast = ip("10.1.0.7"), outside = ip("10.1.0.8"),
			v6 = ip("2001:db8::7");

	(void)state;
	assert_true(policy_pool_has(p, &a) && policy_pool_has(p, &v6));
	assert_false(policy_pool_has(p, &own) || policy_pool_has(p, &net) ||
		     policy_pool_has(p, &broadcast) || policy_pool_has(p, &outside));
	assert_true(policy_pool_take(p, &a));
	assert_true(policy_pool_has(p, &a));
	assert_false(policy_pool_take(p, &a));
	assert_false(policy_pool_take(p, &own) || policy_pool_take(p, &net) ||
		     policy_pool_take(p, &outside));
	assert_next(p, 4, "10.1.0.1");
	assert_next(p, 4, "10.1.0.4");
	policy_pool_give_back(p, &a);
	assert_next(p, 4, "10.1.0.2");
	assert_next(p, 4, "10.1.0.5");
	assert_next(p, 4, "10.1.0.6");
	assert_next(p, 4, "10.3.0.1");
	assert_int_equal(policy_pool_left(p, 4), 1);
	assert_next(p, 4, "10.3.0.2");
	assert_next(p, 4, NULL);
	/* What was never given out does not come back, nor what is nowhere. */
	policy_pool_give_back(p, &own);
	policy_pool_give_back(p, &net);
	policy_pool_give_back(p, &outside);
	policy_pool_give_back(p, &v6);
	assert_int_equal(policy_pool_left(p, 4), 0);
	assert_next(p, 4, NULL);
	assert_int_equal(policy_pool_left(p, 6), 7);
	policy_pool_free(p);
}

static void overlapping(void **state)
{
	static const char *const rows[] = {
		"10.1.0.0/24 10.1.0.255-10.1.1.5",
		"10.1.0.5/32 10.1.0.0/16",
		"10.1.0.0/16 10.1.0.5/32",
		"2001:db8::/64 2001:db8::/64",
	};
	struct policy_pool *p;
	struct ip_range r[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(policy_pool_new(&mem_libc, r, ranges(rows[i], r), NULL, 0, &p),
				 ST_INVAL);
}

/* ---- against a list ---- */

struct naive {
	struct ip ip[4096];
	bool taken[4096];
	size_t n;
};

static void naive_add(struct naive *l, const char *first, size_t n)
{
	struct ip a = ip(first);

	for (size_t i = 0; i < n; i++, a = ip_next(&a))
		l->ip[l->n++] = a;
}

static size_t naive_left(const struct naive *l, uint8_t family)
{
	size_t left = 0;

	for (size_t i = 0; i < l->n; i++)
		left += l->ip[i].family == family && !l->taken[i];
	return left;
}

/* The first free one behind another one that is free: a walk from the beginning, with one skip. */
static void look_behind(struct policy_pool *p, const struct naive *l, uint8_t family)
{
	struct policy_pool_at at = { 0 };
	size_t from = rnd(l->n), i;
	struct ip got;

	for (i = 0; i < l->n && (l->ip[i].family != family || l->taken[i]); i++)
		;
	assert_int_equal(policy_pool_next(p, family, &at, &got), i < l->n);
	if (i == l->n || l->ip[from].family != family || from < i || from - i > 60)
		return;
	for (size_t k = i; k < from; k++)
		if (l->ip[k].family != family || ip_cmp(&l->ip[k], &l->ip[k + 1]) > 0)
			return;
	policy_pool_skip(p, &at, &l->ip[from]);
	for (i = from + 1; i < l->n && (l->ip[i].family != family || l->taken[i]); i++)
		;
	assert_int_equal(policy_pool_next(p, family, &at, &got), i < l->n);
	assert_true(i == l->n || ip_eq(&got, &l->ip[i]));
}

static void step(struct policy_pool *p, struct naive *l)
{
	size_t i = rnd(l->n);
	uint8_t family = l->ip[rnd(l->n)].family;
	struct ip got;

	switch (rnd(5)) {
	case 4: look_behind(p, l, family); break;
	case 0:
		assert_int_equal(policy_pool_take(p, &l->ip[i]), !l->taken[i]);
		l->taken[i] = true;
		break;
	case 1:
		policy_pool_give_back(p, &l->ip[i]);
		l->taken[i] = false;
		break;
	default:
		for (i = 0; i < l->n && (l->taken[i] || l->ip[i].family != family); i++)
			;
		assert_int_equal(take_any(p, family, &got), i < l->n);
		if (i == l->n)
			break;
		assert_true(ip_eq(&got, &l->ip[i]));
		l->taken[i] = true;
		break;
	}
}

static void against_list(void **state)
{
	static struct naive l;
	struct policy_pool *p = pool("10.1.0.0/25 2001:db8::/120 10.2.255.250-10.3.1.5 "
				     "2001:db8::ffff:ffff-2001:db8::1:0:1f 10.9.0.0/24",
				     NULL);

	(void)state;
	rnd_state = 77;
	naive_add(&l, "10.1.0.1", 126);
	naive_add(&l, "2001:db8::1", 255);
	naive_add(&l, "10.2.255.250", 6 + 256 + 6);
	naive_add(&l, "2001:db8::ffff:ffff", 33);
	naive_add(&l, "10.9.0.1", 254);
	for (unsigned i = 0; i < 200000; i++) {
		/* Now and then all but empty, so that it is not always full. */
		if (i % 5000 == 0)
			for (size_t k = 0; k < l.n; k++)
				if (rnd(8)) {
					policy_pool_give_back(p, &l.ip[k]);
					l.taken[k] = false;
				}
		step(p, &l);
		if (i % 100 == 0) {
			assert_int_equal(policy_pool_left(p, 4), naive_left(&l, 4));
			assert_int_equal(policy_pool_left(p, 6), naive_left(&l, 6));
		}
	}
	policy_pool_free(p);
}

/* Over prefixes that begin inside of a range, end behind it, or have all of it. */
static void skipping(void **state)
{
	static const struct {
		const char *pool, *last[3];
		uint8_t family;
		const char *then; /* NULL: none is left */
	} rows[] = {
		{ "10.1.0.0/24", { "10.1.0.1" }, 4, "10.1.0.2" },
		{ "10.1.0.0/24", { "10.1.0.63" }, 4, "10.1.0.64" },
		{ "10.1.0.0/24", { "10.1.0.62", "10.1.0.127" }, 4, "10.1.0.128" },
		{ "10.1.0.0/24", { "10.1.0.254" }, 4, NULL },
		{ "10.1.0.0/24", { "10.1.0.255" }, 4, NULL },
		{ "10.1.0.0/24", { "10.255.255.255" }, 4, NULL },
		{ "10.1.0.0/24 2001:db8::/64 10.3.0.1-10.3.0.9",
		  { "10.1.255.255" },
		  4,
		  "10.3.0.1" },
		{ "10.1.0.0/24 10.3.0.1-10.3.0.9", { "10.1.0.254", "10.3.0.4" }, 4, "10.3.0.5" },
		{ "2001:db8::/64", { "2001:db8::ffff" }, 6, "2001:db8::1:0" },
		{ "2001:db8::/64", { "2001:db8::f:fffe" }, 6, "2001:db8::f:ffff" },
		{ "2001:db8::/64", { "2001:db8::f:ffff" }, 6, NULL },
		{ "2001:db8::/64 2001:db9::/64",
		  { "2001:db8::ffff:ffff:ffff:ffff" },
		  6,
		  "2001:db9::1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_pool *p = pool(rows[i].pool, NULL);
		struct policy_pool_at at = { 0 };
		char buf[IP_TEXT_MAX];
		struct ip got, last;

		for (size_t k = 0; k < ARRAY_LEN(rows[i].last) && rows[i].last[k]; k++) {
			assert_true(policy_pool_next(p, rows[i].family, &at, &got));
			last = ip(rows[i].last[k]);
			policy_pool_skip(p, &at, &last);
		}
		assert_int_equal(policy_pool_next(p, rows[i].family, &at, &got),
				 rows[i].then != NULL);
		if (rows[i].then)
			assert_string_equal(ip_text(&got, buf), rows[i].then);
		policy_pool_free(p);
	}
}

/* ---- a million ---- */

static size_t asked_for;

static void *measuring_alloc(void *ctx, size_t n)
{
	(void)ctx;
	asked_for += n;
	return mem_libc.alloc(NULL, n);
}

static void a_million(void **state)
{
	const struct alloc mem = { measuring_alloc, mem_libc.free, NULL };
	struct ip_range r[1];
	struct ip got, want = ip("10.16.0.0"), back = ip("10.20.17.3");
	struct policy_pool *p;
	size_t n = 0;

	(void)state;
	assert_int_equal(policy_pool_new(&mem, r, ranges("10.16.0.0/12", r), NULL, 0, &p), ST_OK);
	assert_in_range(asked_for, 1, 140000);
	for (; take_any(p, 4, &got); n++) {
		want = ip_next(&want);
		assert_true(ip_eq(&got, &want));
	}
	assert_int_equal(n, POLICY_POOL_RANGE_MAX - 2);
	policy_pool_give_back(p, &back);
	assert_true(take_any(p, 4, &got));
	assert_true(ip_eq(&got, &back));
	assert_false(take_any(p, 4, &got));
	policy_pool_free(p);
}

static void without_memory(void **state)
{
	struct ip_range r[8];
	size_t n = ranges("10.1.0.0/24 10.2.0.0/24 2001:db8::/64", r);
	enum status st = ST_NOMEM;

	(void)state;
	for (long i = 0; st != ST_OK; i++) {
		struct counting c;
		struct alloc mem = counting_mem(&c, i);
		struct policy_pool *p = NULL;

		assert_in_range(i, 0, 10);
		st = policy_pool_new(&mem, r, n, NULL, 0, &p);
		if (st == ST_OK)
			policy_pool_free(p);
		else
			assert_int_equal(st, ST_NOMEM);
		assert_int_equal(c.live, 0);
	}
	policy_pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_given_out), cmocka_unit_test(by_name),
		cmocka_unit_test(overlapping),     cmocka_unit_test(against_list),
		cmocka_unit_test(skipping),        cmocka_unit_test(a_million),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
