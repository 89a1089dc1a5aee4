/* Bytes, cursors, secrets, memory, text: what everything stands on. */
#include "unit/test_util.h"

/* --- status, bytes, units --- */

static void status_names_differ(void **state)
{
	(void)state;
	for (int a = ST_OK; a <= ST_BUG; a++)
		for (int b = ST_OK; b < a; b++)
			assert_string_not_equal(status_name((enum status)a),
						status_name((enum status)b));
	assert_string_equal(status_name((enum status)99), "unknown");
}

static void bytes_order(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		int sign;
	} row[] = {
		{ "", "", 0 },     { "a", "a", 0 },  { "", "a", -1 },    { "ab", "a", 1 },
		{ "a", "ab", -1 }, { "b", "ab", 1 }, { "\xff", "a", 1 }, { "a", "\xff", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		int r = bytes_cmp(bytes_str(row[i].a), bytes_str(row[i].b));

		assert_int_equal((r > 0) - (r < 0), row[i].sign);
		assert_int_equal(bytes_eq(bytes_str(row[i].a), bytes_str(row[i].b)), r == 0);
	}
	assert_int_equal(bytes_cmp(bytes_of(NULL, 0), bytes_of(NULL, 0)), 0);
}

static void big_endian(void **state)
{
	uint8_t b[8];

	(void)state;
	store_be64(b, 0x8182838485868788);
	assert_int_equal(b[0], 0x81);
	assert_true(load_be64(b) == 0x8182838485868788);
	assert_int_equal(load_be32(b + 4), 0x85868788);
	assert_int_equal(load_be16(b + 1), 0x8283);
}

static void mono_add_saturates(void **state)
{
	(void)state;
	assert_true(mono_add(MONO_NEVER, dur_s(1)).ns == INT64_MAX);
	assert_true(mono_add((mono_t){ INT64_MAX - 5 }, (dur_t){ 5 }).ns == INT64_MAX);
	assert_true(mono_add((mono_t){ 7 }, dur_ms(2)).ns == 2000007);
}

/* --- cursors (S2: no read past a container, whatever a length says) --- */

static void cur_reads_in_order(void **state)
{
	static const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	struct cur c = cur_of(BYTES_OF(in));

	(void)state;
	assert_int_equal(cur_u8(&c), 1);
	assert_int_equal(cur_u16(&c), 0x0203);
	assert_int_equal(cur_u32(&c), 0x04050607);
	assert_true(cur_u64(&c) == 0x08090a0b0c0d0e0f);
	assert_int_equal(cur_left(&c), 1);
	assert_int_equal(cur_rest(&c).n, 1);
	assert_false(c.err);
	assert_int_equal(cur_u8(&c), 0);
	assert_true(c.err);
}

/* Every read of every width at every distance from the end. */
static void cur_edges(void **state)
{
	static const uint8_t in[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const size_t width[] = { 0, 1, 2, 4, 8, 9, SIZE_MAX, SIZE_MAX / 2 + 1 };

	(void)state;
	for (size_t n = 0; n <= sizeof(in); n++) {
		for (size_t i = 0; i < ARRAY_LEN(width); i++) {
			struct cur c = cur_of(bytes_of(in, n));
			struct bytes b = cur_take(&c, width[i]);

			assert_int_equal(c.err, width[i] > n);
			assert_int_equal(b.n, width[i] > n ? 0 : width[i]);
			assert_int_equal(cur_left(&c), width[i] > n ? 0 : n - width[i]);
		}
	}
}

static void cur_error_sticks(void **state)
{
	static const uint8_t in[4] = { 1, 2, 3, 4 };
	struct cur c = cur_of(BYTES_OF(in));

	(void)state;
	assert_int_equal(cur_u64(&c), 0);
	assert_true(c.err);
	assert_int_equal(cur_u8(&c), 0);
	assert_int_equal(cur_take(&c, 0).n, 0);
	assert_null(cur_rest(&c).p);
	assert_true(cur_sub(&c, 0).err);
}

static void cur_child_stays_inside(void **state)
{
	static const uint8_t in[6] = { 1, 2, 3, 4, 5, 6 };
	struct cur c = cur_of(BYTES_OF(in));
	struct cur child = cur_sub(&c, 2);

	(void)state;
	assert_int_equal(cur_u32(&child), 0);
	assert_true(child.err);
	assert_false(c.err);
	assert_int_equal(cur_u8(&c), 3);
	child = cur_sub(&c, 4);
	assert_true(child.err);
	assert_true(c.err);
}

static void cur_of_nothing(void **state)
{
	struct cur c = cur_of(bytes_of(NULL, 0));

	(void)state;
	assert_int_equal(cur_left(&c), 0);
	assert_int_equal(cur_take(&c, 0).n, 0);
	assert_false(c.err);
	assert_int_equal(cur_u8(&c), 0);
	assert_true(c.err);
}

static void wr_fills_exactly(void **state)
{
	uint8_t buf[16] = { 0 };
	struct wr w = wr_of(buf, 15);

	(void)state;
	wr_u8(&w, 1);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_u64(&w, 0x08090a0b0c0d0e0f);
	assert_false(w.err);
	for (uint8_t i = 0; i < 15; i++)
		assert_int_equal(buf[i], i + 1);
	wr_patch16(&w, 13, 0xaabb);
	assert_int_equal(load_be16(buf + 13), 0xaabb);
	wr_u8(&w, 9);
	assert_true(w.err);
	assert_int_equal(buf[15], 0);
	assert_null(wr_bytes_of(&w).p);
}

static void wr_error_sticks(void **state)
{
	uint8_t buf[4] = { 0 };
	struct wr w = wr_of(buf, sizeof(buf));

	(void)state;
	wr_u64(&w, UINT64_MAX);
	wr_u8(&w, 1);
	wr_put(&w, BYTES_OF("x"));
	wr_patch16(&w, 0, 0xffff);
	assert_true(w.err);
	assert_int_equal(wr_len(&w), 0);
	assert_int_equal(load_be32(buf), 0);
}

static void wr_patch_only_what_is_written(void **state)
{
	static const struct {
		size_t written;
		size_t at;
		bool ok;
	} row[] = {
		{ 0, 0, false }, { 1, 0, false }, { 2, 0, true },  { 2, 1, false },
		{ 4, 2, true },  { 4, 3, false }, { 4, 4, false }, { 4, SIZE_MAX, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t buf[8] = { 0 };
		struct wr w = wr_of(buf, sizeof(buf));

		wr_put(&w, bytes_of("abcd", row[i].written));
		wr_patch16(&w, row[i].at, 0x1234);
		assert_int_equal(!w.err, row[i].ok);
	}
}

static void wr_over_nothing(void **state)
{
	struct wr w = wr_of(NULL, 0);

	(void)state;
	wr_put(&w, bytes_of(NULL, 0));
	assert_false(w.err);
	wr_u8(&w, 1);
	assert_true(w.err);
}

/* --- secrets --- */

static void ct_equal_sees_every_bit(void **state)
{
	uint8_t a[33];
	uint8_t b[33];

	(void)state;
	memset(a, 0x5a, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(ct_equal(BYTES_OF(a), BYTES_OF(b)));
	for (size_t bit = 0; bit < 8 * sizeof(b); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(ct_equal(BYTES_OF(a), BYTES_OF(b)));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(ct_equal(bytes_of(a, 32), bytes_of(b, 33)));
	assert_true(ct_equal(bytes_of(NULL, 0), bytes_of(NULL, 0)));
}

static void secret_holds_and_forgets(void **state)
{
	static const uint8_t zero[sizeof(struct secret)];
	uint8_t in[SECRET_MAX + 1];
	struct secret s;

	(void)state;
	memset(in, 0xa5, sizeof(in));
	assert_true(secret_set(&s, bytes_of(in, SECRET_MAX)));
	assert_true(bytes_eq(secret_bytes(&s), bytes_of(in, SECRET_MAX)));
	/* A shorter one leaves no tail of the longer. */
	assert_true(secret_set(&s, bytes_of(in, 3)));
	assert_memory_equal(s.b + 3, zero, SECRET_MAX - 3);
	assert_false(secret_set(&s, BYTES_OF(in)));
	assert_memory_equal(&s, zero, sizeof(s));
	assert_true(secret_set(&s, bytes_of(in, 9)));
	secret_done(&s);
	assert_memory_equal(&s, zero, sizeof(s));
	assert_true(secret_set(&s, bytes_of(NULL, 0)));
	assert_int_equal(s.n, 0);
}

/* --- memory --- */

static void mem_dup_copies(void **state)
{
	struct counting c;
	struct alloc mem = counting_mem(&c, 2);
	struct bytes copy = { 0 };

	(void)state;
	assert_int_equal(mem_dup(&mem, bytes_str("hello"), &copy), ST_OK);
	assert_true(bytes_eq(copy, bytes_str("hello")));
	mem_free_secret(&mem, (void *)(uintptr_t)copy.p, copy.n);
	assert_int_equal(mem_dup(&mem, bytes_of(NULL, 0), &copy), ST_OK);
	assert_non_null(copy.p);
	assert_int_equal(copy.n, 0);
	mem_free(&mem, (void *)(uintptr_t)copy.p);
	copy = bytes_str("untouched");
	assert_int_equal(mem_dup(&mem, bytes_str("x"), &copy), ST_NOMEM);
	assert_int_equal(copy.n, 9);
	mem_free_secret(&mem, NULL, 0);
	assert_int_equal(c.live, 0);
}

static void arena_blocks_do_not_overlap(void **state)
{
	static const size_t size[] = { 0, 1, 15, 16, 17, 1000, 1024, 1025, 5000, 100000 };
	uint8_t *block[ARRAY_LEN(size) * 8];
	struct counting c;
	struct alloc mem = counting_mem(&c, -1);
	struct arena ar;

	(void)state;
	arena_init(&ar, &mem, 4 << 20);
	for (size_t i = 0; i < ARRAY_LEN(block); i++) {
		size_t n = size[i % ARRAY_LEN(size)];

		block[i] = arena_new(&ar, n);
		assert_non_null(block[i]);
		assert_int_equal((uintptr_t)block[i] % 16, 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(block[i][k], 0);
		memset(block[i], (int)i + 1, n);
	}
	for (size_t i = 0; i < ARRAY_LEN(block); i++)
		for (size_t k = 0; k < size[i % ARRAY_LEN(size)]; k++)
			assert_int_equal(block[i][k], i + 1);
	arena_done(&ar);
	assert_int_equal(c.live, 0);
	assert_int_equal(ar.used, 0);
}

/* The limit is exact in blocks of 16, and refusing leaves the rest usable. */
static void arena_limit(void **state)
{
	struct counting c;
	struct alloc mem = counting_mem(&c, -1);
	struct arena ar;

	(void)state;
	arena_init(&ar, &mem, 4096);
	assert_non_null(arena_new(&ar, 4080));
	assert_null(arena_new(&ar, 17));
	assert_null(arena_new(&ar, SIZE_MAX));
	assert_null(arena_new(&ar, SIZE_MAX - 16));
	assert_non_null(arena_new(&ar, 16));
	assert_null(arena_new(&ar, 0));
	arena_done(&ar);
	assert_non_null(arena_new(&ar, 4096));
	arena_done(&ar);
	assert_int_equal(c.live, 0);
}

static void arena_refused(void **state)
{
	struct counting c;
	struct alloc mem = counting_mem(&c, 1);
	struct bytes copy = { 0 };
	struct arena ar;

	(void)state;
	arena_init(&ar, &mem, 1 << 20);
	assert_int_equal(arena_dup(&ar, bytes_str("abc"), &copy), ST_OK);
	assert_true(bytes_eq(copy, bytes_str("abc")));
	assert_null(arena_new(&ar, 2000));
	assert_int_equal(arena_dup(&ar, bytes_of(ar.mem, 0), &copy), ST_OK);
	assert_int_equal(copy.n, 0);
	arena_done(&ar);
	arena_done(&ar);
	assert_int_equal(c.live, 0);
}

/* What the allocator gets back is wiped. */
static const uint8_t *watched;
static bool watched_was_zero;

static void watching_free(void *ctx, void *p)
{
	(void)ctx;
	if (p && watched) {
		watched_was_zero = true;
		for (size_t i = 0; i < 64; i++)
			watched_was_zero = watched_was_zero && watched[i] == 0;
	}
	free(p);
}

static void arena_wipes(void **state)
{
	struct alloc mem = { mem_libc.alloc, watching_free, NULL };
	struct arena ar;
	uint8_t *p;

	(void)state;
	arena_init(&ar, &mem, 1 << 20);
	p = arena_new(&ar, 64);
	assert_non_null(p);
	memset(p, 0xee, 64);
	watched = p;
	arena_done(&ar);
	watched = NULL;
	assert_true(watched_was_zero);
}

/* --- text --- */

static void text_cuts_with_dots(void **state)
{
	static const struct {
		size_t cap;
		const char *add;
		const char *out;
	} row[] = {
		{ 8, "1234567", "1234567" },
		{ 8, "12345678", "1234..." },
		{ 8, "", "" },
		{ 4, "1234", "..." },
		{ 3, "123", ".." },
		{ 2, "12", "." },
		{ 1, "1", "" },
		{ 9, "1234\xc3\xa4\xc3\xa4\xc3", "1234...." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char buf[16];
		struct text t = { buf, 0, row[i].cap };
		struct text f = t;

		memset(buf, 'x', sizeof(buf));
		text_add(&t, row[i].add);
		assert_string_equal(buf, row[i].out);
		assert_int_equal(t.n, strlen(buf));
		assert_int_equal(buf[row[i].cap], 'x');
		memset(buf, 'x', sizeof(buf));
		text_fmt(&f, "%s", row[i].add);
		assert_string_equal(buf, row[i].out);
		assert_int_equal(f.n, t.n);
	}
}

static void text_stays_cut(void **state)
{
	char buf[8];
	struct text t = TEXT_OF(buf);

	(void)state;
	assert_string_equal(buf, "");
	text_add(&t, "abcd");
	text_fmt(&t, "%d", 1234);
	assert_string_equal(buf, "abcd...");
	text_add(&t, "x");
	text_fmt(&t, "%d", 5);
	text_hex(&t, bytes_str("y"));
	text_quote(&t, bytes_str("z"));
	assert_string_equal(buf, "abcd...");
	text_add(&(struct text){ NULL, 0, 0 }, "nowhere");
	text_fmt(&(struct text){ NULL, 0, 0 }, "%s", "nowhere");
}

/* S2: nothing a peer sends reaches a terminal or a log line as itself. */
static void text_quotes_what_peers_send(void **state)
{
	char buf[128];
	struct text t = TEXT_OF(buf);
	uint8_t all[256];
	char big[2048];
	struct text u = TEXT_OF(big);

	(void)state;
	text_quote(&t, bytes_of("a b\"\\\n\x1b[0m\x7f\x80\xff\0~", 15));
	assert_string_equal(buf, "a b\\\"\\\\\\x0a\\x1b[0m\\x7f\\x80\\xff\\x00~");
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	text_quote(&u, BYTES_OF(all));
	for (size_t i = 0; i < u.n; i++)
		assert_in_range(big[i], 0x20, 0x7e);
}

static void text_hex_digits(void **state)
{
	char buf[16];
	struct text t = TEXT_OF(buf);

	(void)state;
	text_hex(&t, bytes_of("\x00\x9f\xa0\xff", 4));
	assert_string_equal(buf, "009fa0ff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_names_differ),
		cmocka_unit_test(bytes_order),
		cmocka_unit_test(big_endian),
		cmocka_unit_test(mono_add_saturates),
		cmocka_unit_test(cur_reads_in_order),
		cmocka_unit_test(cur_edges),
		cmocka_unit_test(cur_error_sticks),
		cmocka_unit_test(cur_child_stays_inside),
		cmocka_unit_test(cur_of_nothing),
		cmocka_unit_test(wr_fills_exactly),
		cmocka_unit_test(wr_error_sticks),
		cmocka_unit_test(wr_patch_only_what_is_written),
		cmocka_unit_test(wr_over_nothing),
		cmocka_unit_test(ct_equal_sees_every_bit),
		cmocka_unit_test(secret_holds_and_forgets),
		cmocka_unit_test(mem_dup_copies),
		cmocka_unit_test(arena_blocks_do_not_overlap),
		cmocka_unit_test(arena_limit),
		cmocka_unit_test(arena_refused),
		cmocka_unit_test(arena_wipes),
		cmocka_unit_test(text_cuts_with_dots),
		cmocka_unit_test(text_stays_cut),
		cmocka_unit_test(text_quotes_what_peers_send),
		cmocka_unit_test(text_hex_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
