/* The control protocol: framing and messages. */
#include "unit/test_util.h"

#include <stdio.h>

#include "ctl/ctl.h"

/* ---- framing ---- */

static void feed(struct ctl_lines *l, const char *s, size_t n)
{
	assert_int_equal(ctl_lines_feed(l, bytes_of(s, n)), ST_OK);
}

/* The stream cut into two at every byte, and into single bytes: always the same lines. */
static void split_anywhere(void **state)
{
	static const char stream[] = "one\n\ntwo and a half\nx\nrest";
	static const char *const want[] = { "one", "", "two and a half", "x" };
	size_t n = sizeof(stream) - 1;

	(void)state;
	for (size_t cut = 0; cut <= n + 1; cut++) {
		struct ctl_lines l;
		struct bytes line;
		size_t got = 0;

		ctl_lines_init(&l, 32);
		for (size_t at = 0; at < n;) {
			size_t step = cut > n ? 1 : at < cut ? cut : n - at;

			feed(&l, stream + at, step);
			at += step;
			while (ctl_lines_next(&l, &line)) {
				assert_true(got < ARRAY_LEN(want));
				assert_true(bytes_eq(line, bytes_str(want[got])));
				got++;
			}
		}
		assert_int_equal(got, ARRAY_LEN(want));
		ctl_lines_done(&l);
	}
}

/* Random streams against a split by hand, taken out late and early. */
static void random_streams(void **state)
{
	static char stream[20000];

	(void)state;
	rnd_state = 11;
	for (int round = 0; round < 50; round++) {
		const char *expect = stream;
		size_t n = rnd(sizeof(stream)), at = 0;
		struct ctl_lines l;
		struct bytes line;

		for (size_t i = 0; i < n; i++)
			stream[i] = rnd(20) ? (char)('a' + rnd(26)) : '\n';
		ctl_lines_init(&l, sizeof(stream));
		while (at < n) {
			size_t step = 1 + rnd(600);

			step = step < n - at ? step : n - at;
			feed(&l, stream + at, step);
			at += step;
			while (rnd(4) && ctl_lines_next(&l, &line)) {
				assert_ptr_equal(memchr(expect, '\n', n), expect + line.n);
				assert_memory_equal(line.p, expect, line.n);
				expect += line.n + 1;
			}
		}
		while (ctl_lines_next(&l, &line))
			expect += line.n + 1;
		assert_null(memchr(expect, '\n', (size_t)(stream + n - expect)));
		ctl_lines_done(&l);
	}
}

/* The limit is exact, whether a line comes whole or in pieces. */
static void long_lines(void **state)
{
	char text[64];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t n = 30; n < 35; n++) {
		for (size_t step = 1; step < 40; step += 19) {
			enum status st = ST_OK;
			struct ctl_lines l;
			struct bytes line;

			ctl_lines_init(&l, 32);
			for (size_t at = 0; at < n && st == ST_OK; at += step)
				st = ctl_lines_feed(&l,
						    bytes_of(text, n - at < step ? n - at : step));
			assert_int_equal(st, n <= 32 ? ST_OK : ST_DROP);
			if (st == ST_OK) {
				feed(&l, "\n", 1);
				assert_true(ctl_lines_next(&l, &line));
				assert_int_equal(line.n, n);
			}
			ctl_lines_done(&l);
		}
	}
}

/* ---- messages ---- */

static void good_requests(void **state)
{
	static const char *const line[] = {
		"{\"id\":0,\"cmd\":\"status\"}",
		" { \"cmd\" : \"up\" , \"peer\":\"b\", \"id\" : 9007199254740993 } ",
		"{\"id\":1,\"cmd\":\"\\u00e4\",\"deep\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}",
		"{\"id\":1,\"cmd\":\"x\",\"s\":\"[[[[[[[[[[[[[[[[[[[[\\\"{{{{{{\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(line); i++) {
		char buf[256];
		struct text why = TEXT_OF(buf);
		struct ctl_request r;
		json_int_t id;

		assert_int_equal(ctl_request_parse(bytes_str(line[i]), &why, &id, &r), ST_OK);
		assert_int_equal(id, r.id);
		ctl_request_done(&r);
	}
}

static void bad_requests(void **state)
{
	static const struct {
		const char *line;
		json_int_t id;
		const char *why;
	} row[] = {
		{ "", -1, "no JSON" },
		{ "hello", -1, "no JSON" },
		{ "{", -1, "no JSON" },
		{ "[]", -1, "not a JSON object" },
		{ "null", -1, "no JSON" },
		{ "{}", -1, "needs \"id\"" },
		{ "{\"cmd\":\"status\"}", -1, "needs \"id\"" },
		{ "{\"id\":-1,\"cmd\":\"status\"}", -1, "needs \"id\"" },
		{ "{\"id\":\"1\",\"cmd\":\"status\"}", -1, "needs \"id\"" },
		{ "{\"id\":1.0,\"cmd\":\"status\"}", -1, "needs \"id\"" },
		{ "{\"id\":1e400,\"cmd\":\"status\"}", -1, "no JSON" },
		{ "{\"id\":99999999999999999999,\"cmd\":\"status\"}", -1, "no JSON" },
		{ "{\"id\":3}", 3, "needs \"cmd\"" },
		{ "{\"id\":3,\"cmd\":7}", 3, "needs \"cmd\"" },
		{ "{\"id\":1,\"id\":2,\"cmd\":\"x\"}", -1, "no JSON" },
		{ "{\"id\":1,\"cmd\":\"x\"} y", -1, "no JSON" },
		{ "{\"id\":1,\"cmd\":\"\xc3(\"}", -1, "no JSON" },
		{ "{\"id\":1,\"cmd\":\"a\\u0000b\"}", -1, "no JSON" },
		{ "{\"id\":1,\"cmd\":\"x\",\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", -1,
		  "nested deeper than 16" },
		{ "]]]]]]]]]]]]]]]]]]]]]{", -1, "no JSON" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char buf[512];
		struct text why = TEXT_OF(buf);
		struct ctl_request r;
		json_int_t id;

		assert_int_equal(ctl_request_parse(bytes_str(row[i].line), &why, &id, &r),
				 ST_INVAL);
		if (id != row[i].id || !strstr(buf, row[i].why))
			fail_msg("%s: id %lld, %s", row[i].line, (long long)id, buf);
	}
}

/* A megabyte of brackets does not reach the recursive parser. */
static void deep_request(void **state)
{
	static char text[1 << 20];
	char buf[512];
	struct text why = TEXT_OF(buf);
	struct ctl_request r;
	json_int_t id;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(ctl_request_parse(BYTES_OF(text), &why, &id, &r), ST_INVAL);
	assert_non_null(strstr(buf, "nested deeper"));
}

static void answer_lines(void **state)
{
	json_t *o = json_pack("{s:i}", "x", 1);
	char *s = ctl_result_line(7, o);

	(void)state;
	assert_string_equal(s, "{\"id\":7,\"ok\":true,\"result\":{\"x\":1}}\n");
	free(s);
	s = ctl_event_line(o);
	assert_string_equal(s, "{\"event\":{\"x\":1}}\n");
	free(s);
	json_decref(o);
	s = ctl_error_line(3, "no \"peer\"\n");
	assert_string_equal(s, "{\"id\":3,\"ok\":false,\"error\":\"no \\\"peer\\\"\\n\"}\n");
	free(s);
	s = ctl_error_line(-1, "bad \xff byte");
	assert_string_equal(s, "{\"id\":null,\"ok\":false,\"error\":\"bad \\\\xff byte\"}\n");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_anywhere), cmocka_unit_test(random_streams),
		cmocka_unit_test(long_lines),     cmocka_unit_test(good_requests),
		cmocka_unit_test(bad_requests),   cmocka_unit_test(deep_request),
		cmocka_unit_test(answer_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
