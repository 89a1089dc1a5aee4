/*
 * test_guard_plan.c - what has to be guarded, as values: shapes of plans against a naive longest
 * prefix match, and plans as text (S3).
 */
#include "test_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/guard_util.h"

/* ---- shapes ------------------------------------------------------------------------------ */

static void ranges_text(struct text *t, const struct guard_ranges *r)
{
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

	for (size_t i = 0; i < r->n; i++)
		text_fmt(t, "%s%s-%s", t->n ? " " : "", ip_text(&r->v[i].first, a),
			 ip_text(&r->v[i].last, b));
}

static void prefixes_text(struct text *t, const struct guard_prefixes *l)
{
	char a[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < l->n; i++)
		text_fmt(t, "%s%s", t->n ? " " : "", prefix_text(&l->v[i], a));
}

static void test_shapes(void **state)
{
	static const struct {
		const char *domain, *local;
		const char *in_domain, *in_local, *throws, *outer;
	} rows[] = {
		{ "", "", "", "", "", "" },
		{ "10.2.0.0/16", "10.1.0.0/16", "10.2.0.0-10.2.255.255", "10.1.0.0-10.1.255.255",
		  "", "10.2.0.0/16" },
		/* Our site inside the domain. */
		{ "10.0.0.0/8", "10.1.0.0/16", "10.0.0.0-10.0.255.255 10.2.0.0-10.255.255.255",
		  "10.1.0.0-10.1.255.255", "10.1.0.0/16", "10.0.0.0/8" },
		/* The domain inside our site. */
		{ "10.2.0.0/16", "10.0.0.0/8", "10.2.0.0-10.2.255.255",
		  "10.0.0.0-10.1.255.255 10.3.0.0-10.255.255.255", "", "10.2.0.0/16" },
		/* In turns; what touches is one range. */
		{ "10.0.0.0/8 10.1.2.0/24 10.2.0.0/16", "10.1.0.0/16",
		  "10.0.0.0-10.0.255.255 10.1.2.0-10.1.2.255 10.2.0.0-10.255.255.255",
		  "10.1.0.0-10.1.1.255 10.1.3.0-10.1.255.255", "10.1.0.0/16", "10.0.0.0/8" },
		/* Of one prefix in both it is the domain's. */
		{ "10.1.0.0/16", "10.1.0.0/16", "10.1.0.0-10.1.255.255", "", "", "10.1.0.0/16" },
		/* Everything, less what never leaves a link. */
		{ "0.0.0.0/0", "10.1.0.0/16",
		  "1.0.0.0-10.0.255.255 10.2.0.0-126.255.255.255 128.0.0.0-169.253.255.255 "
		  "169.255.0.0-223.255.255.255 240.0.0.0-255.255.255.254",
		  "10.1.0.0-10.1.255.255",
		  "0.0.0.0/8 10.1.0.0/16 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 255.255.255.255/32",
		  "0.0.0.0/0" },
		{ "::/0", "",
		  "::2-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		  "fec0::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "", "::/128 ::1/128 fe80::/10 ff00::/8", "::/0" },
		/* Both families; the ends of the address space. */
		{ "255.255.255.0/24 ::/1 8000::/1", "255.255.255.254/32",
		  "255.255.255.0-255.255.255.253 "
		  "::2-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		  "fec0::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "255.255.255.254-255.255.255.254",
		  "255.255.255.254/32 255.255.255.255/32 ::/128 ::1/128 fe80::/10 ff00::/8",
		  "255.255.255.0/24 ::/1 8000::/1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct guard_plan p = plan_of(rows[i].domain, rows[i].local);
		char b[4][1024];
		struct text t[4] = { TEXT_OF(b[0]), TEXT_OF(b[1]), TEXT_OF(b[2]), TEXT_OF(b[3]) };
		struct guard_shape s;

		assert_int_equal(guard_shape_of(&p, &s), ST_OK);
		ranges_text(&t[0], &s.domain);
		ranges_text(&t[1], &s.local);
		prefixes_text(&t[2], &s.throws);
		prefixes_text(&t[3], &s.outer);
		assert_string_equal(b[0], rows[i].in_domain);
		assert_string_equal(b[1], rows[i].in_local);
		assert_string_equal(b[2], rows[i].throws);
		assert_string_equal(b[3], rows[i].outer);
		guard_shape_done(&s);
		guard_plan_done(&p);
	}
}

/* Addresses that a gateway gave this host: the rules and the filter take them for a site's, but
 * once the device is gone nothing leads packets to them past the domain.  They are in no file. */
static void test_given(void **state)
{
	struct guard_plan p = plan_of("10.0.0.0/8 fd00::/16", "10.1.0.0/16"), q;
	char b[4][512], *text;
	struct text t[4] = { TEXT_OF(b[0]), TEXT_OF(b[1]), TEXT_OF(b[2]), TEXT_OF(b[3]) };
	struct text why = TEXT_OF(b[0]);
	struct guard_shape s;
	struct prefix x;
	size_t n;

	(void)state;
	assert_int_equal(prefix_parse("10.99.0.5", &x), ST_OK);
	assert_int_equal(guard_prefixes_add(&p.given, &x), ST_OK);
	assert_int_equal(prefix_parse("192.0.2.5", &x), ST_OK); /* outside the domain */
	assert_int_equal(guard_prefixes_add(&p.given, &x), ST_OK);
	assert_int_equal(guard_shape_of(&p, &s), ST_OK);
	ranges_text(&t[0], &s.domain);
	ranges_text(&t[1], &s.local);
	prefixes_text(&t[2], &s.throws);
	prefixes_text(&t[3], &s.sites);
	assert_string_equal(b[0], "10.0.0.0-10.0.255.255 10.2.0.0-10.99.0.4 "
				  "10.99.0.6-10.255.255.255 "
				  "fd00::-fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	assert_string_equal(b[1], "10.1.0.0-10.1.255.255 10.99.0.5-10.99.0.5 192.0.2.5-192.0.2.5");
	assert_string_equal(b[2], "10.1.0.0/16");
	assert_string_equal(b[3], "10.1.0.0/16 10.99.0.5/32");
	guard_shape_done(&s);
	assert_int_equal(guard_plan_text(&p, &why, &text, &n), ST_OK);
	assert_int_equal(guard_plan_parse(bytes_of(text, n), &why, &q), ST_OK);
	assert_int_equal(q.given.n, 0);
	assert_int_equal(q.local.n, 1);
	free(text);
	guard_plan_done(&q);
	guard_plan_done(&p);
}

/* Length of the longest prefix that has the address, -1: none. */
static int longest(const struct guard_prefixes *l, const struct ip *a)
{
	int best = -1;

	for (size_t i = 0; i < l->n; i++)
		if (prefix_has(&l->v[i], a) && l->v[i].len > best)
			best = l->v[i].len;
	return best;
}

static struct ip random_ip(uint8_t family)
{
	struct ip a = { .family = family };

	/* Few bits that differ, so that prefixes meet. */
	a.b[0] = family == 4 ? 10 : 0xfd;
	a.b[1] = (uint8_t)(rnd(4) << 6);
	a.b[2] = (uint8_t)(rnd(4) << 6);
	a.b[3] = (uint8_t)rnd(256);
	return a;
}

static void add_random(struct guard_prefixes *l)
{
	size_t n = rnd(12);

	for (size_t i = 0; i < n; i++) {
		struct ip a = random_ip(rnd(2) ? 4 : 6);
		struct prefix p = prefix_of(&a, (unsigned)rnd(33));

		assert_int_equal(guard_prefixes_add(l, &p), ST_OK);
	}
}

static void check_sorted(const struct guard_ranges *r)
{
	for (size_t i = 0; i < r->n; i++) {
		assert_true(ip_cmp(&r->v[i].first, &r->v[i].last) <= 0);
		if (i > 0 && r->v[i].first.family == r->v[i - 1].first.family) {
			struct ip next = ip_next(&r->v[i - 1].last);

			assert_true(ip_cmp(&next, &r->v[i].first) < 0); /* nor adjacent */
		}
	}
}

static void check_address(const struct guard_plan *p, const struct guard_shape *s,
			  const struct ip *a)
{
	struct guard_prefixes link = { 0 };
	int d = longest(&p->domain, a), l = longest(&p->local, a), n;

	add_all(&link, "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 255.255.255.255/32 ::/128 "
		       "::1/128 fe80::/10 ff00::/8");
	n = longest(&link, a);
	guard_prefixes_done(&link);
	assert_int_equal(guard_ranges_have(&s->domain, a), d >= 0 && d >= l && d >= n);
	assert_int_equal(guard_ranges_have(&s->local, a), l >= 0 && l > d && l >= n);
}

/* Against the naive way, at random addresses and at both sides of every edge. */
static void test_shapes_random(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct guard_plan p = { 0 };
		struct guard_shape s;

		add_random(&p.domain);
		add_random(&p.local);
		guard_plan_normalise(&p);
		assert_int_equal(guard_shape_of(&p, &s), ST_OK);
		check_sorted(&s.domain);
		check_sorted(&s.local);
		for (unsigned i = 0; i < 20; i++) {
			struct ip a = random_ip(i % 2 ? 4 : 6);

			check_address(&p, &s, &a);
		}
		for (size_t i = 0; i < s.domain.n; i++) {
			struct ip a = ip_prev(&s.domain.v[i].first),
				  b = ip_next(&s.domain.v[i].last);

			check_address(&p, &s, &a);
			check_address(&p, &s, &b);
			check_address(&p, &s, &s.domain.v[i].first);
			check_address(&p, &s, &s.domain.v[i].last);
		}
		guard_shape_done(&s);
		guard_plan_done(&p);
	}
}

static void test_ranges_have(void **state)
{
	struct guard_plan p = plan_of("10.2.0.0/16 fd00::/16", "");
	struct guard_shape s;
	const struct ip in[] = { ip("10.2.0.0"), ip("10.2.255.255"), ip("fd00::1") };
	const struct ip out[] = { ip("10.1.255.255"), ip("10.3.0.0"), ip("fd01::"), ip("::"),
				  ip("255.255.255.255") };

	(void)state;
	assert_int_equal(guard_shape_of(&p, &s), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		assert_true(guard_ranges_have(&s.domain, &in[i]));
	for (size_t i = 0; i < ARRAY_LEN(out); i++)
		assert_false(guard_ranges_have(&s.domain, &out[i]));
	guard_shape_done(&s);
	guard_plan_done(&p);
}

static void test_normalise(void **state)
{
	struct guard_plan p =
		plan_of("fd00::/16 10.2.0.0/16 10.0.0.0/8 10.2.0.0/16 10.0.0.0/16", "");
	char buf[256];
	struct text t = TEXT_OF(buf);

	(void)state;
	prefixes_text(&t, &p.domain);
	assert_string_equal(buf, "10.0.0.0/8 10.0.0.0/16 10.2.0.0/16 fd00::/16");
	guard_plan_done(&p);
}

static void test_limit(void **state)
{
	struct guard_prefixes l = { 0 };
	struct prefix p = { ip("10.0.0.0"), 32 };

	(void)state;
	for (size_t i = 0; i < GUARD_PREFIXES_MAX; i++)
		assert_int_equal(guard_prefixes_add(&l, &p), ST_OK);
	assert_int_equal(guard_prefixes_add(&l, &p), ST_NOMEM);
	guard_prefixes_sort(&l);
	assert_int_equal(l.n, 1);
	guard_prefixes_done(&l);
}

/* ---- text -------------------------------------------------------------------------------- */

#define HEAD "warren-guard 1\n"
#define REST "device warren0\nports 500 4500\n"

static void test_plan_text(void **state)
{
	struct guard_plan p = plan_of("10.0.0.0/8 fd00::/16", "10.1.0.0/16"), q;
	char buf[256], *s;
	struct text why = TEXT_OF(buf);
	size_t n;

	(void)state;
	assert_int_equal(guard_plan_text(&p, &why, &s, &n), ST_OK);
	assert_int_equal(n, strlen(s));
	assert_string_equal(s,
			    HEAD REST "domain 10.0.0.0/8\ndomain fd00::/16\nlocal 10.1.0.0/16\n");
	assert_int_equal(guard_plan_parse(bytes_str(s), &why, &q), ST_OK);
	assert_true(guard_prefixes_eq(&p.domain, &q.domain));
	assert_true(guard_prefixes_eq(&p.local, &q.local));
	assert_string_equal(q.device, "warren0");
	assert_int_equal(q.ports[0], 500);
	assert_int_equal(q.ports[1], 4500);
	guard_plan_done(&q);
	/* No beginning of it is taken for the whole, but at the end of a prefix' line. */
	for (size_t i = 0; i < n; i++) {
		bool whole = i >= strlen(HEAD REST) && s[i - 1] == '\n';

		assert_int_equal(guard_plan_parse(bytes_of(s, i), &why, &q),
				 whole ? ST_OK : ST_INVAL);
		if (whole)
			guard_plan_done(&q);
	}
	free(s);
	guard_plan_done(&p);
}

static void test_plan_bad(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "empty" },
		{ "warren-guard 2\n" REST, "line 1: not of a kind and version" },
		{ "warren-guard 1 \n" REST, "line 1: not of a kind" },
		{ "warren-domain 1\n", "line 1: not of a kind" },
		{ HEAD, "device or ports missing" },
		{ HEAD "device warren0\n", "device or ports missing" },
		{ HEAD "device warren0\ndevice a\"b\n", "line 3: not the name of a device" },
		{ HEAD "device\n", "line 2: begins with a word" },
		{ HEAD "device \n", "line 2: not the name" },
		{ HEAD "device abcdefghijklmnop\n", "line 2: not the name" },
		{ HEAD "ports 500\n", "line 2: not two port numbers" },
		{ HEAD "ports 500 0\n", "line 2: not two port numbers" },
		{ HEAD "ports 500 65536\n", "line 2: not two port numbers" },
		{ HEAD "ports 99999999999999999999 1\n", "line 2: not two port numbers" },
		{ HEAD "ports 500 4500 \n", "line 2: not two port numbers" },
		{ HEAD "ports -1 4500\n", "line 2: not two port numbers" },
		{ HEAD REST "domain 10.0.0.0\n", "line 4: not a prefix" },
		{ HEAD REST "domain 10.0.0.1/8\n", "line 4: not a prefix" },
		{ HEAD REST "domain 10.0.0.0/33\n", "line 4: not a prefix" },
		{ HEAD REST "domain  10.0.0.0/8\n", "line 4: not a prefix" },
		{ HEAD REST "\n", "line 4: begins with a word" },
		{ HEAD REST "domain 10.0.0.0/8", "line 4: does not end with a newline" },
		{ HEAD REST "domains 10.0.0.0/8\n", "line 4: begins with a word" },
		{ HEAD REST
		  "local "
		  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		  "line 4: too long" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char buf[256];
		struct text why = TEXT_OF(buf);
		struct guard_plan p;

		assert_int_equal(guard_plan_parse(bytes_str(rows[i].text), &why, &p), ST_INVAL);
		assert_non_null(strstr(buf, rows[i].why));
	}
}

static void test_device_names(void **state)
{
	static const char *const good[] = { "warren0", "a", "eth0.1", "abcdefghijklmno" };
	static const char *const bad[] = { "", "a b", "a\"", "a;", "abcdefghijklmnop", "\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(guard_device_ok(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(guard_device_ok(bad[i]));
}

static void test_learnt_text(void **state)
{
	struct guard_plan p = plan_of("10.0.0.0/8 fd00::/16", "");
	struct guard_prefixes l;
	char buf[256], *s;
	struct text why = TEXT_OF(buf);
	size_t n;

	(void)state;
	assert_int_equal(guard_learnt_text(p.domain.v, p.domain.n, &s, &n), ST_OK);
	assert_string_equal(s, "warren-domain 1\n10.0.0.0/8\nfd00::/16\n");
	assert_int_equal(guard_learnt_parse(bytes_of(s, n), &why, &l), ST_OK);
	assert_true(guard_prefixes_eq(&p.domain, &l));
	guard_prefixes_done(&l);
	assert_int_equal(guard_learnt_parse(bytes_of(s, n - 1), &why, &l), ST_INVAL);
	assert_int_equal(guard_learnt_parse(bytes_of(s, 0), &why, &l), ST_INVAL);
	free(s);
	guard_plan_done(&p);
}

/* ---- files ------------------------------------------------------------------------------- */

struct dir {
	char top[64], state[80];
	char buf[512];
	struct text why;
};

static int dir_setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	snprintf(d->top, sizeof(d->top), "/tmp/test_guard_plan.XXXXXX");
	assert_non_null(mkdtemp(d->top));
	snprintf(d->state, sizeof(d->state), "%s/state", d->top);
	d->why = TEXT_OF(d->buf);
	*state = d;
	return 0;
}

static void name_in(const struct dir *d, const char *name, char ret[static 160])
{
	snprintf(ret, 160, "%s/%s", d->state, name);
}

static int dir_teardown(void **state)
{
	static const char *const names[] = { "guard.plan", ".guard.plan.new", "corp.domain", "" };
	struct dir *d = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[160];

		name_in(d, names[i], path);
		(void)remove(path);
	}
	assert_int_equal(rmdir(d->top), 0); /* nothing else was left */
	free(d);
	return 0;
}

static void put_file(const struct dir *d, const char *name, const char *s)
{
	char path[160];
	FILE *f;

	name_in(d, name, path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(s, f);
	fclose(f);
}

static void test_plan_file(void **state)
{
	struct dir *d = *state;
	struct guard_plan p = plan_of("10.0.0.0/8", "10.1.0.0/16"), q;
	char path[160], other[160];
	struct stat sb;

	/* No directory, no file, a good one, a bad one, none again. */
	assert_int_equal(guard_plan_save(d->state, &p, &d->why), ST_IO);
	assert_non_null(strstr(d->buf, "guard.plan"));
	assert_int_equal(guard_plan_load(d->state, &d->why, &q), ST_AGAIN);
	assert_int_equal(guard_plan_forget(d->state, &d->why), ST_OK);
	assert_int_equal(guard_state_make(d->state, -1, -1, &d->why), ST_OK);
	assert_int_equal(guard_state_make(d->state, -1, -1, &d->why), ST_OK);
	assert_int_equal(stat(d->state, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	assert_int_equal(guard_plan_load(d->state, &d->why, &q), ST_AGAIN);
	for (int i = 0; i < 2; i++) {
		put_file(d, ".guard.plan.new", "left by somebody who was killed");
		assert_int_equal(guard_plan_save(d->state, &p, &d->why), ST_OK);
		assert_int_equal(guard_plan_load(d->state, &d->why, &q), ST_OK);
		assert_true(guard_prefixes_eq(&p.domain, &q.domain));
		guard_plan_done(&q);
	}
	put_file(d, "guard.plan", "nonsense\n");
	d->why = TEXT_OF(d->buf);
	assert_int_equal(guard_plan_load(d->state, &d->why, &q), ST_INVAL);
	assert_non_null(strstr(d->buf, "line 1"));
	assert_non_null(strstr(d->buf, "guard.plan"));
	/* A link is not followed, neither for reading nor for writing. */
	name_in(d, "guard.plan", path);
	name_in(d, "corp.domain", other);
	put_file(d, "corp.domain", "somebody's");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(guard_plan_load(d->state, &d->why, &q), ST_IO);
	assert_int_equal(guard_plan_save(d->state, &p, &d->why), ST_OK);
	assert_int_equal(lstat(path, &sb), 0);
	assert_true(S_ISREG(sb.st_mode));
	assert_int_equal(stat(other, &sb), 0);
	assert_int_equal(sb.st_size, 10);
	assert_int_equal(guard_plan_forget(d->state, &d->why), ST_OK);
	assert_int_equal(guard_plan_load(d->state, &d->why, &q), ST_AGAIN);
	guard_plan_done(&p);
}

static void test_domain_file(void **state)
{
	static const char *const bad[] = {
		"",    ".",
		"..",  ".hidden",
		"a/b", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	};
	struct dir *d = *state;
	struct guard_plan p = plan_of("10.0.0.0/8 fd00::/16", "");
	struct guard_prefixes l;

	assert_int_equal(guard_state_make(d->state, -1, -1, &d->why), ST_OK);
	assert_int_equal(guard_learnt(d->state, "corp", &d->why, &l), ST_AGAIN);
	assert_int_equal(guard_learn(d->state, "corp", p.domain.v, p.domain.n, &d->why), ST_OK);
	assert_int_equal(guard_learnt(d->state, "corp", &d->why, &l), ST_OK);
	assert_true(guard_prefixes_eq(&p.domain, &l));
	guard_prefixes_done(&l);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(guard_learn(d->state, bad[i], p.domain.v, 1, &d->why), ST_INVAL);
		assert_int_equal(guard_learnt(d->state, bad[i], &d->why, &l), ST_INVAL);
	}
	put_file(d, "corp.domain", "warren-domain 1\n10.0.0.0/8\n1");
	assert_int_equal(guard_learnt(d->state, "corp", &d->why, &l), ST_INVAL);
	guard_plan_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_shapes_random),
		cmocka_unit_test(test_ranges_have),
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_plan_text),
		cmocka_unit_test(test_plan_bad),
		cmocka_unit_test(test_device_names),
		cmocka_unit_test(test_learnt_text),
		cmocka_unit_test_setup_teardown(test_plan_file, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_domain_file, dir_setup, dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
