/* Words of the mesh: what a word of each kind needs and may have, every number at, below and above
 * its bounds, cut at every byte, repeated, unknown, critical, too large.  R06, S6. */
#include "wire_mesh_util.h"

#include "wire_mesh_vectors.h"

/* ---- which attributes, which id ------------------------------------------------------------ */

static void attributes_of_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct kind *k = &kinds[i];
		const char *id = k->some ? SOME_ID : ZERO_ID;

		for (unsigned t = 1; t < WIRE_MAS; t++) {
			uint32_t bit = 1u << t;
			bool needed = k->needs & bit, allowed = needed || k->may & bit;

			begin(id);
			put_samples(k->needs & ~bit);
			assert_word(k->kind, needed ? WIRE_MF_MISSING : WIRE_MF_OK, t);
			put_hex(t, sample[t]);
			assert_word(k->kind, allowed ? WIRE_MF_OK : WIRE_MF_MISPLACED, t);
		}
	}
}

static void ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct kind *k = &kinds[i];

		begin(SOME_ID);
		put_samples(k->needs | k->may);
		assert_word(k->kind, k->some ? WIRE_MF_OK : WIRE_MF_RANGE, 1);
		begin(ZERO_ID);
		put_samples(k->needs | k->may);
		assert_word(k->kind, k->zero ? WIRE_MF_OK : WIRE_MF_RANGE, 0);
		for (unsigned t = 1; t < WIRE_MAS; t++) {
			if (!(k->about_none >> t & 1))
				continue;
			begin(ZERO_ID);
			put_samples((k->needs | k->may) & ~(1u << t));
			assert_word(k->kind, WIRE_MF_MISSING, t);
		}
	}
	/* A zero is all zeros. */
	begin("00000000000000000000000000000001");
	put_samples(SUGGESTION);
	assert_word(WIRE_N_SHORTCUT_SUGGEST, WIRE_MF_OK, 0);
}

static void no_word(void **state)
{
	static const uint16_t kind[] = { 0,
					 WIRE_N_PATH_PROBE,
					 WIRE_N_CAPABILITIES,
					 WIRE_N_SHORTCUT_PROOF,
					 WIRE_N_SHORTCUT_ASK + 1,
					 WIRE_N_SHORTCUT_REFUSED - 1,
					 UINT16_MAX };

	(void)state;
	begin(SOME_ID);
	for (size_t i = 0; i < ARRAY_LEN(kind); i++)
		assert_mesh_fault(fault_of(kind[i], wr_bytes_of(&w), NULL), WIRE_MF_RANGE, kind[i],
				  0);
}

static void repeated(void **state)
{
	const uint32_t many = B(CANDIDATE) | B(HUB) | B(MEMBER);

	(void)state;
	for (unsigned t = 1; t < WIRE_MAS; t++) {
		uint16_t kind = begin_around(t);

		put_hex(t, sample[t]);
		put_hex(t, sample[t]);
		assert_word(kind, many >> t & 1 ? WIRE_MF_OK : WIRE_MF_REPEATED, t);
	}
}

/* Skipped, unless it is critical; what is known may be critical, too. */
static void unknown(void **state)
{
	static const uint16_t type[] = { 0, WIRE_MAS, 0x1234, 0x7fff };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(type); i++) {
		begin(SOME_ID);
		put_hex(type[i], "");
		put_hex(WIRE_MA_REASON, "0001");
		put_hex(type[i], "0102030405");
		put_hex(type[i], "00");
		assert_word(WIRE_N_SHORTCUT_REFUSED, WIRE_MF_OK, type[i]);
		put_hex(type[i] | WIRE_MA_CRITICAL, "00");
		assert_word(WIRE_N_SHORTCUT_REFUSED, WIRE_MF_CRITICAL, type[i]);
	}
	for (unsigned t = 1; t < WIRE_MAS; t++) {
		uint16_t kind = begin_around(t);

		put_hex(t | WIRE_MA_CRITICAL, sample[t]);
		assert_word(kind, WIRE_MF_OK, t);
	}
}

/* In any order it is the same word. */
static void any_order(void **state)
{
	struct wire_mesh m, n;
	uint32_t all = SUGGESTION | B(CANDIDATE) | B(IDLE) | B(FLAGS) | B(BOOT);

	(void)state;
	begin(SOME_ID);
	put_samples(all);
	taken(WIRE_N_SHORTCUT_SUGGEST, &m);
	begin(SOME_ID);
	for (unsigned t = WIRE_MAS - 1; t > 0; t--)
		if (all >> t & 1)
			put_hex(t, sample[t]);
	taken(WIRE_N_SHORTCUT_SUGGEST, &n);
	assert_true(m.present == all && n.present == all);
	begin(SOME_ID);
	put_samples(all);
	assert_bytes(again(&m), wr_bytes_of(&w));
	assert_bytes(again(&n), wr_bytes_of(&w));
	for (unsigned t = 1; t < WIRE_MAS; t++)
		assert_int_equal(m.present >> t & 1, all >> t & 1);
	assert_true(WIRE_MESH_HAS(&m, IDLE) && !WIRE_MESH_HAS(&m, HUB));
}

/* ---- lengths and ranges -------------------------------------------------------------------- */

static void lengths(void **state)
{
	static const struct {
		uint16_t type, min, max;
	} row[] = {
		{ WIRE_MA_SECRET, 32, 32 }, { WIRE_MA_PARTNER_ID, 2, 256 },
		{ WIRE_MA_OWN_ID, 2, 256 }, { WIRE_MA_TS_REMOTE, 17, UINT16_MAX },
		{ WIRE_MA_CONTEXT, 1, 64 }, { WIRE_MA_TS_LOCAL, 17, UINT16_MAX },
		{ WIRE_MA_LIFETIME, 4, 4 }, { WIRE_MA_CANDIDATE, 12, 24 },
		{ WIRE_MA_IDLE, 4, 4 },     { WIRE_MA_FLAGS, 4, 4 },
		{ WIRE_MA_SEQUENCE, 8, 8 }, { WIRE_MA_OUTCOME, 1, 1 },
		{ WIRE_MA_REASON, 2, 2 },   { WIRE_MA_TEXT, 0, 255 },
		{ WIRE_MA_PATH, 16, 40 },   { WIRE_MA_HUB, 1, UINT16_MAX },
		{ WIRE_MA_BOOT, 8, 8 },     { WIRE_MA_MEMBER, 1, UINT16_MAX },
	};
	uint8_t value[300];

	(void)state;
	assert_int_equal(ARRAY_LEN(row), WIRE_MAS - 1);
	memset(value, 'a', sizeof(value));
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t n = 0; n < sizeof(value); n++) {
			uint16_t kind = begin_around(row[i].type);
			bool ok = n >= row[i].min && n <= row[i].max;
			enum wire_mesh_fault f;

			if (row[i].type == WIRE_MA_PATH)
				ok = n == 16 || n == 40;
			put(row[i].type, bytes_of(value, n));
			f = fault_of(kind, wr_bytes_of(&w), NULL);
			if ((f != WIRE_MF_LENGTH) != ok)
				fail_msg("attribute %u, length %zu: %s", row[i].type, n,
					 wire_mesh_fault_name(f));
		}
}

static void ranges(void **state)
{
	static const struct {
		uint16_t type;
		const char *value;
		enum wire_mesh_fault fault;
	} row[] = {
		{ WIRE_MA_LIFETIME, "0000003b", WIRE_MF_RANGE },
		{ WIRE_MA_LIFETIME, "0000003c", WIRE_MF_OK },
		{ WIRE_MA_LIFETIME, "00093a80", WIRE_MF_OK },
		{ WIRE_MA_LIFETIME, "00093a81", WIRE_MF_RANGE },
		{ WIRE_MA_LIFETIME, "ffffffff", WIRE_MF_RANGE },
		{ WIRE_MA_IDLE, "00000000", WIRE_MF_RANGE },
		{ WIRE_MA_IDLE, "00000009", WIRE_MF_RANGE },
		{ WIRE_MA_IDLE, "0000000a", WIRE_MF_OK },
		{ WIRE_MA_IDLE, "00015180", WIRE_MF_OK },
		{ WIRE_MA_IDLE, "00015181", WIRE_MF_RANGE },
		{ WIRE_MA_OUTCOME, "00", WIRE_MF_RANGE },
		{ WIRE_MA_OUTCOME, "06", WIRE_MF_OK },
		{ WIRE_MA_OUTCOME, "07", WIRE_MF_RANGE },
		{ WIRE_MA_REASON, "0000", WIRE_MF_RANGE },
		{ WIRE_MA_REASON, "0001", WIRE_MF_OK },
		{ WIRE_MA_REASON, "0019", WIRE_MF_OK },
		{ WIRE_MA_REASON, "ffff", WIRE_MF_OK },
		{ WIRE_MA_FLAGS, "ffffffff", WIRE_MF_OK },
		{ WIRE_MA_SEQUENCE, "0000000000000000", WIRE_MF_OK },
		{ WIRE_MA_SEQUENCE, "ffffffffffffffff", WIRE_MF_OK },
		{ WIRE_MA_CONTEXT, "c3a4", WIRE_MF_OK },
		{ WIRE_MA_CONTEXT, "610061", WIRE_MF_TEXT },
		{ WIRE_MA_CONTEXT, "610a", WIRE_MF_TEXT },
		{ WIRE_MA_CONTEXT, "7f", WIRE_MF_TEXT },
		{ WIRE_MA_TEXT, "1b5b32 4a ff", WIRE_MF_OK }, /* whoever shows it escapes it */
		{ WIRE_MA_PATH, "00000000 0000 0000 00000000 00000000", WIRE_MF_OK },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_value(row[i].type, row[i].value, row[i].fault);
}

static void identities(void **state)
{
	static const struct {
		const char *value;
		enum wire_mesh_fault fault;
	} row[] = {
		{ "00 61", WIRE_MF_IDENT }, /* RESERVED */
		{ "01 c0000201", WIRE_MF_OK },
		{ "01 c00002", WIRE_MF_IDENT },
		{ "01 c000020101", WIRE_MF_IDENT },
		{ "02 61", WIRE_MF_OK },
		{ "02 6100", WIRE_MF_IDENT },
		{ "03 614062", WIRE_MF_OK },
		{ "03 61400a", WIRE_MF_IDENT },
		{ "05 20010db8000000000000000000000001", WIRE_MF_OK },
		{ "05 20010db80000000000000000000000", WIRE_MF_IDENT },
		{ "09 3000", WIRE_MF_OK },
		{ "09 30", WIRE_MF_IDENT },
		{ "0b 00", WIRE_MF_OK },
		{ "0d 00", WIRE_MF_IDENT }, /* ID_NULL: nobody */
		{ "c9 00ff", WIRE_MF_OK }, /* private use */
	};
	struct wire_mesh m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_value(WIRE_MA_PARTNER_ID, row[i].value, row[i].fault);
		assert_value(WIRE_MA_OWN_ID, row[i].value, row[i].fault);
	}
	begin(SOME_ID);
	put_samples(SUGGESTION);
	taken(WIRE_N_SHORTCUT_SUGGEST, &m);
	assert_int_equal(m.partner.type, WIRE_ID_FQDN);
	assert_bytes(m.partner.data, bytes_str("c.example"));
	assert_int_equal(m.own.type, WIRE_ID_IPV4);
	assert_hex(m.own.data, "c0000201");
}

/* ---- whole words --------------------------------------------------------------------------- */

static const struct {
	uint16_t kind;
	const char *hex;
} vectors[] = {
	{ WIRE_N_SHORTCUT_SUGGEST, vector_suggest },
	{ WIRE_N_SHORTCUT_ACCEPT, vector_accept },
	{ WIRE_N_SHORTCUT_REFUSED, vector_refused },
	{ WIRE_N_SHORTCUT_REPORT, vector_report },
	{ WIRE_N_SHORTCUT_REPORT, vector_report_failed },
	{ WIRE_N_SHORTCUT_WITHDRAW, vector_withdraw },
	{ WIRE_N_SHORTCUT_CANDIDATES, vector_candidates },
	{ WIRE_N_SHORTCUT_HUBS, vector_hubs },
	{ WIRE_N_SHORTCUT_DIRECTORY, vector_directory },
	{ WIRE_N_SHORTCUT_RELAY, vector_relay },
	{ WIRE_N_SHORTCUT_ASK, vector_ask },
};

/* Whether an attribute ends there. */
static bool is_boundary(struct bytes word, size_t n)
{
	size_t at = WIRE_MESH_ID;

	while (at < n)
		at += 4 + (size_t)load_be16(word.p + at + 2);
	return at == n;
}

static void cut_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct bytes b = hex(vectors[i].hex);

		for (size_t n = 0; n < b.n; n++) {
			enum wire_mesh_fault f = fault_of(vectors[i].kind, bytes_of(b.p, n), NULL);

			if (n < WIRE_MESH_ID)
				assert_mesh_fault(f, WIRE_MF_SHORT, vectors[i].kind, (unsigned)n);
			else if (!is_boundary(b, n))
				assert_mesh_fault(f, WIRE_MF_LENGTH, vectors[i].kind, (unsigned)n);
			else
				assert_true(f == WIRE_MF_OK || f == WIRE_MF_MISSING);
		}
		assert_mesh_fault(fault_of(vectors[i].kind, b, NULL), WIRE_MF_OK, vectors[i].kind,
				  0);
	}
}

/* Into a buffer that is too short, by however much: an error, and no byte past its end. */
static void no_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct wire_mesh m;
		struct bytes b = hex(vectors[i].hex);

		assert_mesh_fault(fault_of(vectors[i].kind, b, &m), WIRE_MF_OK, vectors[i].kind, 0);
		for (size_t n = 0; n < b.n; n++) {
			struct wr o = wr_of(hold(n), n);

			wire_mesh_put(&o, &m);
			assert_true(o.err);
			drop_last_held();
		}
	}
}

static void largest(void **state)
{
	static const uint8_t zeros[WIRE_MESH_MAX];

	(void)state;
	begin(SOME_ID);
	put_hex(WIRE_MA_REASON, "0001");
	put(77, bytes_of(zeros, WIRE_MESH_MAX - wr_len(&w) - 4));
	assert_int_equal(wr_len(&w), WIRE_MESH_MAX);
	assert_word(WIRE_N_SHORTCUT_REFUSED, WIRE_MF_OK, 0);
	begin(SOME_ID);
	put_hex(WIRE_MA_REASON, "0001");
	put(77, bytes_of(zeros, WIRE_MESH_MAX - wr_len(&w) - 3));
	assert_word(WIRE_N_SHORTCUT_REFUSED, WIRE_MF_LIMIT, 0);
}

/* Each allocation refused in turn. */
static void no_memory(void **state)
{
	static const size_t some[] = { 0, 7, 8 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		struct bytes b = hex(vectors[some[i]].hex);
		enum status st = ST_NOMEM;

		for (size_t limit = 0; st != ST_OK; limit += 16) {
			enum wire_mesh_fault fault = WIRE_MF_OK;
			struct wire_mesh m = { .lifetime_s = 77 };
			struct arena small;

			assert_true(limit < 10000);
			arena_init(&small, &mem_libc, limit);
			st = wire_mesh_parse(&small, vectors[some[i]].kind, b, &m, &fault);
			if (st) {
				assert_int_equal(st, ST_NOMEM);
				assert_int_equal(fault, WIRE_MF_NOMEM);
				assert_int_equal(m.lifetime_s, 77);
			}
			assert_true(limit > 0 || st == ST_NOMEM);
			arena_done(&small);
		}
	}
}

/* Values that no word can have. */
static void unwritable(void **state)
{
	static const uint8_t letters[300], too_long[65536];
	static const struct ip v4 = { .family = 4 }, v6 = { .family = 6 };
	static const struct wire_ts none = { .port_end = 65535 };
	static struct wire_ts much[4096]; /* 65536 bytes */
	const struct wire_mesh_hub nobody = { .id.data = BYTES_OF(letters), .n_at = 1 };
	const struct wire_mesh_hub nowhere = { .at[0].name = BYTES_OF(letters), .n_at = 1 };
	const struct wire_mesh_member unknown_one = { .op = WIRE_MESH_MEMBER_UP,
						      .id.data = BYTES_OF(letters) };
	const struct wire_mesh_member large = { .op = WIRE_MESH_MEMBER_UP,
						.ts[0].ts = { much, ARRAY_LEN(much), 0 },
						.n_ts = 1 };
	const struct wire_mesh row[] = {
		{ .present = B(CANDIDATE), .n_candidates = 1 },
		{ .present = B(PATH) },
		{ .present = B(PATH), .path = { .local.ip = v4, .remote.ip = v6 } },
		{ .present = B(HUB), .hubs = &nobody, .n_hubs = 1 },
		{ .present = B(HUB), .hubs = &nowhere, .n_hubs = 1 },
		{ .present = B(MEMBER), .members = &unknown_one, .n_members = 1 },
		{ .present = B(MEMBER), .members = &large, .n_members = 1 },
		{ .present = B(TS_LOCAL), .ts_local[0].ts = { &none, 1, 0 }, .n_ts_local = 1 },
		{ .present = B(TEXT), .text = BYTES_OF(too_long) },
	};
	static uint8_t out[1 << 18];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(much); i++)
		much[i] = (struct wire_ts){ .start = v4, .end = v4 };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wr o = wr_of(out, sizeof(out));

		wire_mesh_put(&o, &row[i]);
		if (!o.err)
			fail_msg("row %zu was written", i);
	}
}

/* ---- names --------------------------------------------------------------------------------- */

static void names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WIRE_MESH_FAULTS; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(wire_mesh_fault_name(i), wire_mesh_fault_name(k));
	assert_string_equal(wire_mesh_fault_name(WIRE_MESH_FAULTS), "unknown");
	for (unsigned i = 1; i < WIRE_MRS; i++)
		for (unsigned k = 1; k < i; k++)
			assert_string_not_equal(wire_mesh_reason_name(i), wire_mesh_reason_name(k));
	assert_string_equal(wire_mesh_reason_name(WIRE_MR_NO_PATH), "no_path");
	assert_null(wire_mesh_reason_name(0));
	assert_null(wire_mesh_reason_name(WIRE_MRS));
	for (unsigned i = 1; i < WIRE_MOS; i++)
		for (unsigned k = 1; k < i; k++)
			assert_string_not_equal(wire_mesh_outcome_name(i),
						wire_mesh_outcome_name(k));
	assert_null(wire_mesh_outcome_name(0));
	assert_null(wire_mesh_outcome_name(WIRE_MOS));
	assert_string_equal(wire_mesh_kind_name(WIRE_N_SHORTCUT_SUGGEST), "suggest");
	assert_null(wire_mesh_kind_name(WIRE_N_CAPABILITIES));
	/* One is the other in capitals, behind "SHORTCUT_". */
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *notify = wire_notify_name(kinds[i].kind) + strlen("SHORTCUT_");
		const char *s = wire_mesh_kind_name(kinds[i].kind);

		for (; *s; s++, notify++)
			assert_int_equal(*s, *notify | 0x20);
		assert_int_equal(*notify, '\0');
	}
	assert_string_equal(wire_notify_name(WIRE_N_CAPABILITIES), "CAPABILITIES");
	assert_string_equal(wire_notify_name(WIRE_N_SHORTCUT_PROOF), "SHORTCUT_PROOF");
	assert_string_equal(wire_exchange_name(WIRE_SHORTCUT), "SHORTCUT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attributes_of_kinds),
		TEST(ids),
		TEST(no_word),
		TEST(repeated),
		TEST(unknown),
		TEST(any_order),
		TEST(lengths),
		TEST(ranges),
		TEST(identities),
		TEST(cut_off),
		TEST(no_room),
		TEST(largest),
		TEST(no_memory),
		TEST(unwritable),
		TEST(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
