/*
 * S4: the text of a configuration for a process that must not know its secrets.  It reads as the
 * same configuration, down to the columns, and of a secret no four bytes in a row are left in it.
 */
#include "unit/conf_util.h"

#include <dirent.h>

static const uint64_t key_a[2] = { 0x0123456789abcdef, 0xfedcba9876543210 };
static const uint64_t key_b[2] = { 0x0123456789abcdef, 0xfedcba9876543211 };

struct copy {
	uint8_t *p;
	size_t n;
};

/* An exact copy, so that the address sanitizer sees a step past the end. */
static struct copy copy_of(struct bytes b)
{
	struct copy c = { malloc(b.n ? b.n : 1), b.n };

	assert_non_null(c.p);
	if (b.n)
		memcpy(c.p, b.p, b.n);
	return c;
}

/* `key` NULL: conf_redact(). */
static struct copy redacted(struct bytes text, const uint64_t *key)
{
	struct copy c = copy_of(text);

	if (key)
		conf_redact_keyed(key, c.p, c.n);
	else
		conf_redact(c.p, c.n);
	return c;
}

static struct conf *parse_bytes(struct bytes text, struct conf_errors *errs)
{
	struct conf *c = NULL;

	conf_errors_init(errs, &mem_libc);
	(void)!conf_parse(&mem_libc, "x", text, errs, &c);
	return c;
}

/* ---- the same configuration ---- */

static void assert_pos(struct conf_pos a, struct conf_pos b)
{
	assert_int_equal(a.line, b.line);
	assert_int_equal(a.col, b.col);
}

static void assert_same_but_secrets(const struct conf *a, const struct conf *b)
{
	const struct conf_peer *q = b->peers;
	struct conf_diff_line *l = NULL;
	struct arena ar;

	arena_init(&ar, &mem_libc, 1 << 20);
	assert_int_equal(conf_diff(&ar, a, b, &l), ST_OK);
	for (; l; l = l->next)
		if (strcmp(l->text, "psk: changed") != 0)
			assert_string_equal(l->text, "ppk: changed");
	arena_done(&ar);
	for (const struct conf_peer *p = a->peers; p; p = p->next, q = q->next) {
		assert_pos(p->at, q->at);
		assert_pos(p->psk.at, q->psk.at);
		assert_int_equal(p->psk.b.n, q->psk.b.n);
		assert_pos(p->ppk.at, q->ppk.at);
		assert_int_equal(p->ppk.b.n, q->ppk.b.n);
		assert_pos(p->local_ts.list.at, q->local_ts.list.at);
		assert_pos(p->remote_ts.list.at, q->remote_ts.list.at);
		assert_pos(p->remote_id.text.at, q->remote_id.text.at);
		assert_pos(p->start.at, q->start.at);
	}
}

/* Four bytes of it; what both have in common by their form does not count. */
static void assert_no_window(struct bytes secret, struct bytes text)
{
	for (size_t i = 0; i + 4 <= secret.n; i++)
		if (memmem(text.p, text.n, secret.p + i, 4))
			fail_msg("\"%.4s\" of the secret is left", (const char *)secret.p + i);
}

static void check_text(struct bytes text)
{
	const uint64_t *const keys[] = { NULL, key_a };
	struct conf_errors errs, errs2;
	struct conf *c = parse_bytes(text, &errs), *r;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct copy copy = redacted(text, keys[i]);

		r = parse_bytes(bytes_of(copy.p, copy.n), &errs2);
		if (c) {
			assert_non_null(r);
			assert_same_but_secrets(c, r);
		}
		for (const struct conf_peer *p = c ? c->peers : NULL; p; p = p->next) {
			assert_no_window(p->psk.b, bytes_of(copy.p, copy.n));
			assert_no_window(p->ppk.b, bytes_of(copy.p, copy.n));
		}
		conf_unref(r);
		conf_errors_done(&errs2);
		free(copy.p);
	}
	conf_unref(c);
	conf_errors_done(&errs);
}

static struct copy read_file(const char *path)
{
	static uint8_t buf[1 << 16];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		fail_msg("%s cannot be opened", path);
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	return copy_of(bytes_of(buf, n));
}

static size_t check_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char name[512];
		struct copy c;

		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		c = read_file(name);
		check_text(bytes_of(c.p, c.n));
		free(c.p);
		n++;
	}
	closedir(d);
	return n;
}

static void files(void **state)
{
	(void)state;
	assert_true(check_dir(SOURCE_ROOT "/examples") >= 5);
	assert_true(check_dir(SOURCE_ROOT "/fuzz/corpus/conf") >= 18);
}

#define PSK(secret)                                                                                \
	"local_id = \"me\" ; peer \"\xc3\xa4\" { psk = \"" secret                                  \
	"\" ; remote_id = \"b\" ; start = "                                                        \
	"listen ; " TS " }\n"

static void forms(void **state)
{
	static const char *const text[] = {
		PSK("s3cret"),
		PSK("a"),
		PSK("ab\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 c"),
		PSK("\\\"\\\\\\n\\t\\\\\\\\\\\"\\\""),
		PSK("# not { a = comment } ; , "),
		PSK("0xC0ffee"),
		PSK("0xc0ffeec0ffee1234"),
		PSK("0sAQID"),
		PSK("0sAQIDBA=="),
		PSK("0sAQIDBAU="),
		PSK("0 x"),
		PSK("0X12"),
		"\xef\xbb\xbf" PSK("s3cret"),
		"# psk = \"another\"\r\n" PSK("s3cret") "# \xc3\xa4\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		struct conf *c = parse_good(text[i]);

		check_text(bytes_str(text[i]));
		conf_unref(c);
	}
}

/* The longest there is, in escapes: what is put in place is as long when decoded. */
static void longest(void **state)
{
	static char text[8192];
	struct text t = TEXT_OF(text);

	(void)state;
	text_add(&t, "local_id = \"me\" ; peer \"b\" { remote_id = \"b\" ; " TS " ; psk = \"");
	for (int i = 0; i < CONF_PSK_MAX; i++)
		text_add(&t, "\\\"");
	text_add(&t, "\" }\n");
	conf_unref(parse_good(text));
	check_text(bytes_str(text));
}

/* ---- what goes and what stays ---- */

static void exactly(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "peer \"b\" { psk = \"s3cret\" ; psk_file = \"/a/b\" }",
		  "peer \"b\" { psk = \"xxxxxx\" ; psk_file = \"/a/b\" }" },
		{ "psk = \"0xc0ffee\"", "psk = \"0x000000\"" },
		/* Entries that share a line. */
		{ "role = hub domain = { \"10.0.0.0/8\" } psk = \"s3cret\" topology = star",
		  "role = hub domain = { \"10.0.0.0/8\" } psk = \"xxxxxx\" xxxxxxxx = xxxx" },
		{ "port = 1 s3cret mtu = 2", "port = 1 xxxxxx xxx = x" },
		{ "psk = \"0sAQIDBA==\"", "psk = \"0sAAAAAA==\"" },
		{ "psk = \"a\\\"b\xc3\xa4\"", "psk = \"x\\\\x\xc3\x80\"" },
		{ "port = 1 # psk \xc3\xa4 s3cret\nmtu = 2", "port = 1 #xxxxxxxxxxxxxx\nmtu = 2" },
		{ "# a\r\n#b\n#", "#xx\r\n#x\n#" },
		{ "# a\r#b\n", "#xxxxx\n" },
		{ "listen = { \"::\", # s3cret\n \"0.0.0.0\", }",
		  "listen = { \"::\", #xxxxxxx\n \"0.0.0.0\", }" },
		/* Titles stay, values of known keys stay. */
		{ "network \"corp\"\n{ member \"*.x\" { prefixes = \"10.0.0.0/8\" } }",
		  "network \"corp\"\n{ member \"*.x\" { prefixes = \"10.0.0.0/8\" } }" },
		/* Everything that is a mistake goes: it may be a secret. */
		{ "pks = \"s3cret\"", "xxx = \"xxxxxx\"" },
		{ "PSK = s3cret", "xxx = xxxxxx" },
		{ "psk = s3cret more s3cret", "psk = xxxxxx xxxx xxxxxx" },
		{ "psk = \"s3\" cret", "psk = \"xx\" xxxx" },
		{ "psk \"s3cret\"", "psk \"xxxxxx\"" },
		{ "psk\ns3cret", "psk\nxxxxxx" },
		{ "psk =\n\"s3cret\"", "psk =\n\"xxxxxx\"" },
		{ "psk = \"s3cret\nport = 500", "psk = \"xxxxxx\nport = 500" },
		{ "psk = \"s3cret", "psk = \"xxxxxx" },
		{ "psk = \"s3\\", "psk = \"xxx" },
		{ "psk = \"s3\\q\x01t\"", "psk = \"xxxxxx\"" },
		{ "psk = = s3cret = s3cret", "psk = = xxxxxx = xxxxxx" },
		{ "psk = { \"one\", { \"two\" } \"three\" }",
		  "psk = { \"xxx\", { \"xxx\" } \"xxxxx\" }" },
		{ "psk { \"s3cret\" }", "psk { \"xxxxxx\" }" },
		{ "local_id = \"a\" s3cret \"s3cret\"", "local_id = \"a\" xxxxxx \"xxxxxx\"" },
		{ "local_id \"s3cret\"", "local_id \"xxxxxx\"" },
		{ "listen = { \"::\" \"s3cret\", \"s3cret\" }",
		  "listen = { \"::\" \"xxxxxx\", \"xxxxxx\" }" },
		{ "listen = { \"::\", psk = \"s3cret\"", "listen = { \"::\", psk = \"xxxxxx\"" },
		{ "peer s3cret { }", "peer xxxxxx { }" },
		{ "peer \"b\" s3cret { }", "peer \"b\" xxxxxx { }" },
		{ "peer = \"s3cret\"", "peer = \"xxxxxx\"" },
		{ "\"s3cret\"", "\"xxxxxx\"" },
		{ "psk = s3\xc3\xa4"
		  "cret",
		  "psk = xx  xxxx" },
		{ "psk = s3\x01\r\x7f"
		  "cret",
		  "psk = xx   xxxx" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct copy c = redacted(bytes_str(row[i].text), NULL);

		if (!bytes_eq(bytes_of(c.p, c.n), bytes_str(row[i].want)))
			fail_msg("row %zu: %.*s", i, (int)c.n, (const char *)c.p);
		free(c.p);
	}
}

/* Cut anywhere, with any byte replaced: what was between the quotes of the secret is not left. */
static void cut_and_bent(void **state)
{
	static const char text[] =
		"local_id = \"me\" # comment\npeer \"b\" {\n\tpsk = \"HUSHHUSH\" ; remote_id = "
		"\"b\"\n\t"
		"local_ts = { \"10.1.0.0/16\", }\n\tremote_ts = \"10.2.0.0/16\"\n}\n";
	static const uint8_t other[] = { 0,    '"', '\\', '{',  '}', '=', ',',
					 '\n', '#', 0x80, 0xf0, 'x', ';', '\r' };
	size_t n = sizeof(text) - 1;

	(void)state;
	for (size_t i = 0; i <= n; i++) {
		struct copy c = redacted(bytes_of(text, i), NULL);

		assert_null(memmem(c.p, c.n, "HUSH", 4));
		free(c.p);
	}
	for (size_t i = 0; i < n * ARRAY_LEN(other); i++) {
		struct copy bent = copy_of(bytes_of(text, n)), c;

		bent.p[i / ARRAY_LEN(other)] = other[i % ARRAY_LEN(other)];
		c = redacted(bytes_of(bent.p, bent.n), i % 2 ? key_a : NULL);
		if (memmem(c.p, c.n, "HUSH", 4))
			fail_msg("%.*s", (int)c.n, (const char *)c.p);
		check_text(bytes_of(bent.p, bent.n));
		free(c.p);
		free(bent.p);
	}
}

/* ---- keyed ---- */

static bool equal_under(const char *a, const uint64_t *key, const char *b, const uint64_t *other)
{
	struct copy x = redacted(bytes_str(a), key), y = redacted(bytes_str(b), other);
	bool eq = bytes_eq(bytes_of(x.p, x.n), bytes_of(y.p, y.n));

	free(x.p);
	free(y.p);
	return eq;
}

/* Whether a secret changed is seen, whichever its form, and only that. */
static void changes_are_seen(void **state)
{
	static const struct {
		const char *a, *b;
	} row[] = {
		{ PSK("secret one"), PSK("secret two") },
		{ PSK("0x00112233"), PSK("0x00112234") },
		{ PSK("0sAAECAwQFBgc="), PSK("0sAAECAwQFBgg=") },
		{ PSK("\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n"),
		  PSK("\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\t") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_true(equal_under(row[i].a, key_a, row[i].a, key_a));
		assert_false(equal_under(row[i].a, key_a, row[i].b, key_a));
		/* Who lacks the key learns nothing from a text of his own making. */
		assert_false(equal_under(row[i].a, key_a, row[i].a, key_b));
		assert_true(equal_under(row[i].a, NULL, row[i].b, NULL));
	}
}

/* Fillings use what their form allows, about evenly: they are no thinner than they have to be. */
static void fillings_vary(void **state)
{
	unsigned count[256] = { 0 }, kinds = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		char text[64];
		struct copy c;

		snprintf(text, sizeof(text), "psk = \"a secret of %04u\"", i);
		c = redacted(bytes_str(text), key_a);
		for (size_t k = 7; k + 1 < c.n; k++)
			count[c.p[k]]++;
		free(c.p);
	}
	for (size_t i = 0; i < ARRAY_LEN(count); i++) {
		kinds += count[i] > 0;
		/* 16,000 letters among 64: 250 each, standard deviation 16. */
		assert_true(count[i] == 0 || (count[i] > 150 && count[i] < 350));
	}
	assert_int_equal(kinds, 64);
}

/* ---- the contents of a psk_file ---- */

static void psk_files(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "s3cret\n", "xxxxxx\n" },
		{ "s3cret\r\n", "xxxxxx\r\n" },
		{ "s3\ncret\n\n", "xxxxxxxx\n" },
		{ "0xc0ffee\n", "0x000000\n" },
		{ "0sAQIDBA==", "0sAAAAAA==" },
		{ "a\"b\\n\xc3\xa4\xff", "xxxxx\xc3\x80x" },
		{ "\n", "\n" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct copy c = copy_of(bytes_str(row[i].text));

		conf_redact_psk_file(NULL, c.p, c.n);
		if (!bytes_eq(bytes_of(c.p, c.n), bytes_str(row[i].want)))
			fail_msg("row %zu: %.*s", i, (int)c.n, (const char *)c.p);
		conf_redact_psk_file(key_a, c.p, c.n);
		assert_int_equal(c.n, strlen(row[i].want));
		free(c.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),         cmocka_unit_test(forms),
		cmocka_unit_test(longest),       cmocka_unit_test(exactly),
		cmocka_unit_test(cut_and_bent),  cmocka_unit_test(changes_are_seen),
		cmocka_unit_test(fillings_vary), cmocka_unit_test(psk_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
