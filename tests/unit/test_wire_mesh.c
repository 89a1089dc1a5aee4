/* Words of the mesh: what a word of each kind needs and may have, every bound of every attribute
 * at, below and above it, cut at every byte, repeated, unknown, critical.  R06, S6. */
#include "wire_ike_util.h"

#include "wire_mesh_vectors.h"

#include "wire/mesh/wire_mesh.h"

#define ZERO_ID "00000000000000000000000000000000"
#define SOME_ID "000102030405060708090a0b0c0d0e0f"
#define B(name) WIRE_MESH_BIT(name)

/* A good value of each. */
static const char *const sample[WIRE_MAS] = {
	[WIRE_MA_SECRET] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	[WIRE_MA_PARTNER_ID] = "02 632e6578616d706c65",
	[WIRE_MA_OWN_ID] = "01 c0000201",
	[WIRE_MA_TS_REMOTE] = "00 07 00 0010 0000 ffff 0a030000 0a03ffff",
	[WIRE_MA_TS_LOCAL] = "02 07 11 0010 ffff 0000 0a020000 0a02ffff",
	[WIRE_MA_CANDIDATE] = "01 00 1194 02000000 c000021e",
	[WIRE_MA_CONTEXT] = "6e6574",
	[WIRE_MA_LIFETIME] = "0000003c",
	[WIRE_MA_IDLE] = "0000012c",
	[WIRE_MA_FLAGS] = "00000001",
	[WIRE_MA_SEQUENCE] = "0000000000000007",
	[WIRE_MA_OUTCOME] = "01",
	[WIRE_MA_REASON] = "0008",
	[WIRE_MA_TEXT] = "6e6f",
	[WIRE_MA_PATH] = "000030d4 1194 ef32 cb007114 c6336407",
	[WIRE_MA_HUB] = "02 03 677731 01 01f4 01 04 c0000201",
	[WIRE_MA_MEMBER] = "03",
	[WIRE_MA_BOOT] = "1f2e3d4c5b6a7988",
};

#define SUGGESTION                                                                                 \
	(B(SECRET) | B(PARTNER_ID) | B(OWN_ID) | B(TS_REMOTE) | B(TS_LOCAL) | B(CONTEXT) |         \
	 B(LIFETIME))

/* The table of section 4.1. */
static const struct kind {
	uint16_t kind;
	bool some, zero; /* ids that it may have */
	uint32_t needs, may;
	uint32_t about_none;
} kinds[] = {
	{ WIRE_N_SHORTCUT_SUGGEST, true, false, SUGGESTION,
	  B(CANDIDATE) | B(IDLE) | B(FLAGS) | B(BOOT), 0 },
	{ WIRE_N_SHORTCUT_REPORT, true, false, B(PARTNER_ID) | B(CONTEXT) | B(OUTCOME),
	  B(OWN_ID) | B(REASON) | B(TEXT) | B(PATH), 0 },
	{ WIRE_N_SHORTCUT_WITHDRAW, true, true, B(REASON), B(TEXT) | B(PARTNER_ID) | B(CONTEXT),
	  B(PARTNER_ID) | B(CONTEXT) },
	{ WIRE_N_SHORTCUT_CANDIDATES, true, true, B(SEQUENCE), B(CANDIDATE) | B(CONTEXT) | B(BOOT),
	  B(BOOT) },
	{ WIRE_N_SHORTCUT_HUBS, false, true, B(SEQUENCE) | B(CONTEXT), B(HUB), 0 },
	{ WIRE_N_SHORTCUT_DIRECTORY, false, true, B(SEQUENCE) | B(CONTEXT), B(MEMBER) | B(FLAGS),
	  0 },
	{ WIRE_N_SHORTCUT_RELAY, true, false, SUGGESTION,
	  B(CANDIDATE) | B(IDLE) | B(FLAGS) | B(BOOT), 0 },
	{ WIRE_N_SHORTCUT_ACCEPT, true, true, 0, B(CANDIDATE), 0 },
	{ WIRE_N_SHORTCUT_REFUSED, true, true, B(REASON), B(TEXT), 0 },
};

/* Some kind that may have an attribute. */
static const struct kind *kind_with(unsigned type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if ((kinds[i].needs | kinds[i].may) >> type & 1)
			return &kinds[i];
	fail_msg("no word has attribute %u", type);
	return NULL;
}

/* ---- words under construction -------------------------------------------------------------- */

static uint8_t buf[WIRE_MESH_MAX + 4096];
static struct wr w;

static void begin(const char *id)
{
	w = wr_of(buf, sizeof(buf));
	wr_put(&w, hex(id));
	drop_last_held();
}

static void put(unsigned type, struct bytes value)
{
	wr_u16(&w, (uint16_t)type);
	wr_u16(&w, (uint16_t)value.n);
	wr_put(&w, value);
}

static void put_hex(unsigned type, const char *value)
{
	put(type, hex(value));
	drop_last_held();
}

static void put_samples(uint32_t types)
{
	for (unsigned t = 1; t < WIRE_MAS; t++)
		if (types >> t & 1)
			put_hex(t, sample[t]);
}

/* The beginning of a word that may have such an attribute, with all that it needs but that. */
static uint16_t begin_around(unsigned type)
{
	const struct kind *k = kind_with(type);

	begin(k->some ? SOME_ID : ZERO_ID);
	put_samples(k->needs & ~(1u << type));
	return k->kind;
}

/* The fault of a word, WIRE_MF_OK when it is taken.  A refusal must leave the result alone. */
static enum wire_mesh_fault fault_of(uint16_t kind, struct bytes data, struct wire_mesh *ret)
{
	struct wire_mesh out, before;
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct bytes copy = bytes_of(copy_of(data), data.n);

	memset(&out, 0x5a, sizeof(out));
	memcpy(&before, &out, sizeof(out));
	switch (wire_mesh_parse(&ar, kind, copy, &out, &fault)) {
	case ST_OK: assert_int_equal(fault, WIRE_MF_OK); break;
	case ST_DROP:
		assert_int_not_equal(fault, WIRE_MF_OK);
		assert_memory_equal(&out, &before, sizeof(out));
		break;
	default: fail_msg("neither taken nor dropped");
	}
	if (ret)
		*ret = out;
	else
		drop_last_held();
	return fault;
}

static void assert_mesh_fault(enum wire_mesh_fault got, enum wire_mesh_fault want, unsigned kind,
			      unsigned what)
{
	if (got != want)
		fail_msg("%s, %u: %s, not %s", wire_notify_name(kind), what,
			 wire_mesh_fault_name(got), wire_mesh_fault_name(want));
}

static void assert_word(uint16_t kind, enum wire_mesh_fault want, unsigned what)
{
	assert_false(w.err);
	assert_mesh_fault(fault_of(kind, wr_bytes_of(&w), NULL), want, kind, what);
}

static void taken(uint16_t kind, struct wire_mesh *ret)
{
	assert_false(w.err);
	assert_mesh_fault(fault_of(kind, wr_bytes_of(&w), ret), WIRE_MF_OK, kind, 0);
}

/* One value of an attribute, in a word that is good beside. */
static void assert_value(unsigned type, const char *value, enum wire_mesh_fault want)
{
	uint16_t kind = begin_around(type);

	put_hex(type, value);
	assert_word(kind, want, type);
}

/* What is written of a value that was read. */
static struct bytes again(const struct wire_mesh *m)
{
	static uint8_t out[sizeof(buf)];
	struct wr o = wr_of(out, sizeof(out));

	wire_mesh_put(&o, m);
	assert_false(o.err);
	return wr_bytes_of(&o);
}

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
					 WIRE_N_SHORTCUT_ACCEPT + 1,
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
		{ WIRE_MA_REASON, 2, 2 },   { WIRE_MA_TEXT, 0, 128 },
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

/* ---- selectors ----------------------------------------------------------------------------- */

#define V4 "07 00 0010 0000 ffff 0a000000 0affffff"
#define V6 "08 06 0028 01bb 01bb 20010db8000000000000000000000000 20010db800000000000000000000ffff"

static void selectors(void **state)
{
	static const struct {
		const char *value;
		enum wire_mesh_fault fault;
	} row[] = {
		{ "00" V4, WIRE_MF_OK },
		{ "01" V4, WIRE_MF_OK },
		{ "02" V6 V4, WIRE_MF_OK },
		{ "03" V4, WIRE_MF_RANGE },
		{ "ff" V4, WIRE_MF_RANGE },
		{ "00" V4 "00", WIRE_MF_TS },
		{ "00" V4 "07000010", WIRE_MF_TS },
		{ "00" V4 "07000003", WIRE_MF_TS },
		{ "00 07 00 0011 0000 ffff 0a000000 0affffff 00", WIRE_MF_TS },
		{ "00 07 00 000f 0000 ffff 0a000000 0affffff", WIRE_MF_TS },
		{ "00 07 00 0028 0000 ffff 0a000000 0affffff", WIRE_MF_TS },
		{ "00 08 00 0010 0000 ffff 0a000000 0affffff", WIRE_MF_TS },
		{ "00 07 00 0010 0002 0001 0a000000 0affffff", WIRE_MF_TS }, /* backwards */
		{ "00 07 00 0010 0000 ffff 0a000001 0a000000", WIRE_MF_TS },
		{ "00" V4 "0a 00 0008 01020304", WIRE_MF_TS }, /* of another type */
		{ "00 07 00 0000 0000 ffff 0a000000 0affffff", WIRE_MF_TS },
	};
	struct wire_mesh m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_value(WIRE_MA_TS_REMOTE, row[i].value, row[i].fault);
		assert_value(WIRE_MA_TS_LOCAL, row[i].value, row[i].fault);
	}
	begin(SOME_ID);
	put_samples(SUGGESTION & ~B(TS_REMOTE));
	put_hex(WIRE_MA_TS_REMOTE, "02" V6 V4);
	put_hex(WIRE_MA_TS_REMOTE, "00" V4);
	taken(WIRE_N_SHORTCUT_SUGGEST, &m);
	assert_int_equal(m.n_ts_remote, 2);
	assert_int_equal(m.ts_remote[0].authority, 2);
	assert_int_equal(m.ts_remote[0].ts.n, 2);
	assert_int_equal(m.ts_remote[0].ts.ts[0].proto, 6);
	assert_int_equal(m.ts_remote[0].ts.ts[0].port_start, 443);
	assert_int_equal(m.ts_remote[1].authority, 0);
	assert_int_equal(m.n_ts_local, 1);
	assert_int_equal(m.ts_local[0].authority, 2);
	/* OPAQUE. */
	assert_int_equal(m.ts_local[0].ts.ts[0].port_start, 65535);
	assert_int_equal(m.ts_local[0].ts.ts[0].port_end, 0);
}

static struct bytes many_selectors(unsigned authority, size_t n)
{
	uint8_t *p = hold(1 + 16 * n);

	p[0] = (uint8_t)authority;
	for (size_t i = 0; i < n; i++) {
		memcpy(p + 1 + 16 * i, hex(V4).p, 16);
		drop_last_held();
	}
	return bytes_of(p, 1 + 16 * n);
}

/* Sixteen of one side, by whoever's word. */
static void too_many_selectors(void **state)
{
	static const struct {
		size_t n[3];
		enum wire_mesh_fault fault;
	} row[] = {
		{ { 16 }, WIRE_MF_OK },       { { 17 }, WIRE_MF_LIMIT },
		{ { 8, 7, 1 }, WIRE_MF_OK },  { { 8, 7, 2 }, WIRE_MF_LIMIT },
		{ { 16, 1 }, WIRE_MF_LIMIT }, { { 3000 }, WIRE_MF_LIMIT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (unsigned type = WIRE_MA_TS_REMOTE; type <= WIRE_MA_TS_LOCAL; type++) {
			uint16_t kind = begin_around(type);

			for (unsigned a = 0; a < 3; a++)
				if (row[i].n[a])
					put(type, many_selectors(a, row[i].n[a]));
			assert_word(kind, row[i].fault, type);
		}
}

/* ---- candidates and paths ------------------------------------------------------------------ */

static void candidates(void **state)
{
	static const struct {
		const char *value;
		enum wire_mesh_fault fault;
	} row[] = {
		{ "00 00 1194 02000000 c000021e", WIRE_MF_CANDIDATE },
		{ "01 00 1194 02000000 c000021e", WIRE_MF_OK },
		{ "03 ff 0000 ffffffff 00000000", WIRE_MF_OK }, /* whoever uses it looks at it */
		{ "04 00 1194 02000000 c000021e", WIRE_MF_CANDIDATE },
		{ "02 01 ef32 01000000 20010db8000000000000000000000001", WIRE_MF_OK },
		{ "01 00 1194 02000000 c000021e01", WIRE_MF_CANDIDATE },
		{ "01 00 1194 02000000 20010db80000000000000000000000", WIRE_MF_CANDIDATE },
	};
	struct wire_mesh m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_value(WIRE_MA_CANDIDATE, row[i].value, row[i].fault);
	begin(SOME_ID);
	for (unsigned i = 0; i < 9; i++) {
		uint8_t c[12] = { WIRE_MC_SEEN, 3, 0x11, 0x94, 1, 2, 3, 4, 192, 0, 2, (uint8_t)i };

		put(WIRE_MA_CANDIDATE, BYTES_OF(c));
		taken(WIRE_N_SHORTCUT_ACCEPT, &m);
		assert_int_equal(m.n_candidates, i < 8 ? i + 1 : 8);
	}
	assert_int_equal(m.candidates[7].kind, WIRE_MC_SEEN);
	assert_int_equal(m.candidates[7].flags, 3);
	assert_int_equal(m.candidates[7].priority, 0x01020304);
	assert_int_equal(m.candidates[7].at.port, 4500);
	assert_int_equal(m.candidates[7].at.ip.b[3], 7);
	/* The ninth is left out, but has to be one. */
	put_hex(WIRE_MA_CANDIDATE, "00 00 1194 02000000 c000021e");
	assert_word(WIRE_N_SHORTCUT_ACCEPT, WIRE_MF_CANDIDATE, 9);
}

static void paths(void **state)
{
	struct wire_mesh m;
	struct bytes b;

	(void)state;
	begin(SOME_ID);
	put_samples(B(PARTNER_ID) | B(CONTEXT) | B(OUTCOME));
	put_hex(WIRE_MA_PATH, "ffffffff 01f4 1194 20010db8000000000000000000000001"
			      "20010db8000000000000000000000002");
	b = wr_bytes_of(&w);
	taken(WIRE_N_SHORTCUT_REPORT, &m);
	assert_int_equal(m.path.local.port, 500);
	assert_int_equal(m.path.remote.port, 4500);
	assert_int_equal(m.path.local.ip.b[15], 1);
	assert_int_equal(m.path.remote.ip.b[15], 2);
	assert_true(m.path.rtt_us == UINT32_MAX);
	assert_bytes(again(&m), b);
}

/* ---- hubs ---------------------------------------------------------------------------------- */

#define GW "02 03 677731"
#define AT4 "01f4 01 04 c0000201"
#define AT6 "01f4 02 10 20010db8000000000000000000000001"
#define ATN "01f4 03 03 612e62"

static void hubs(void **state)
{
	static const struct {
		const char *value;
		enum wire_mesh_fault fault;
	} row[] = {
		{ GW "03" AT4 AT6 ATN, WIRE_MF_OK },
		{ GW "08" AT4 AT4 AT4 AT4 ATN ATN ATN ATN, WIRE_MF_OK },
		{ GW "09" AT4 AT4 AT4 AT4 ATN ATN ATN ATN ATN, WIRE_MF_LIMIT },
		{ GW "00", WIRE_MF_HUB },
		{ GW "01" AT4 "00", WIRE_MF_HUB },
		{ GW "02" AT4, WIRE_MF_HUB },
		{ GW "01 0000 01 04 c0000201", WIRE_MF_HUB }, /* port 0 */
		{ GW "01 01f4 01 03 c00002", WIRE_MF_HUB },
		{ GW "01 01f4 04 04 c0000201", WIRE_MF_HUB },
		{ GW "01 01f4 03 03 612062", WIRE_MF_HUB },
		{ GW "01 01f4 03 00", WIRE_MF_HUB },
		{ "02 00 01" AT4, WIRE_MF_IDENT },
		{ "0d 00 01" AT4, WIRE_MF_IDENT },
		{ "01 03 c00002 01" AT4, WIRE_MF_IDENT },
	};
	struct bytes whole = hex(GW "02" AT6 ATN);
	struct wire_mesh m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_value(WIRE_MA_HUB, row[i].value, row[i].fault);
	for (size_t n = 1; n < whole.n; n++) {
		uint16_t kind = begin_around(WIRE_MA_HUB);

		put(WIRE_MA_HUB, bytes_of(whole.p, n));
		assert_word(kind, WIRE_MF_HUB, (unsigned)n);
	}
	begin_around(WIRE_MA_HUB);
	put(WIRE_MA_HUB, whole);
	taken(WIRE_N_SHORTCUT_HUBS, &m);
	assert_int_equal(m.n_hubs, 1);
	assert_int_equal(m.hubs[0].n_at, 2);
	assert_bytes(m.hubs[0].id.data, bytes_str("gw1"));
	assert_int_equal(m.hubs[0].at[0].ip.family, 6);
	assert_int_equal(m.hubs[0].at[0].port, 500);
	assert_int_equal(m.hubs[0].at[1].ip.family, 0);
	assert_bytes(m.hubs[0].at[1].name, bytes_str("a.b"));
}

static void too_many_hubs(void **state)
{
	struct wire_mesh m;

	(void)state;
	begin_around(WIRE_MA_HUB);
	for (unsigned i = 0; i < WIRE_MESH_HUBS; i++)
		put_hex(WIRE_MA_HUB, sample[WIRE_MA_HUB]);
	taken(WIRE_N_SHORTCUT_HUBS, &m);
	assert_int_equal(m.n_hubs, WIRE_MESH_HUBS);
	put_hex(WIRE_MA_HUB, sample[WIRE_MA_HUB]);
	assert_word(WIRE_N_SHORTCUT_HUBS, WIRE_MF_LIMIT, 0);
}

/* ---- members ------------------------------------------------------------------------------- */

#define STAMP "0000000000000001 0000000000000002 00000007"
#define WHO "02 01 63"
#define TS4 "0011 00" V4
#define CAND4 "0c 01 00 1194 02000000 c000021e"
#define CAND6 "18 02 01 ef32 01000000 20010db8000000000000000000000001"

static void members(void **state)
{
	static const struct {
		const char *value;
		enum wire_mesh_fault fault;
	} row[] = {
		{ "01" STAMP WHO "00 00", WIRE_MF_OK },
		{ "01" STAMP WHO "03" TS4 "0011 02" V4 "0029 01" V6 "02" CAND4 CAND6, WIRE_MF_OK },
		{ "02" STAMP WHO "00 00", WIRE_MF_OK },
		{ "03", WIRE_MF_OK },
		{ "00", WIRE_MF_MEMBER },
		{ "00" STAMP WHO "00 00", WIRE_MF_MEMBER },
		{ "04" STAMP WHO "00 00", WIRE_MF_MEMBER },
		{ "01" STAMP WHO "00 00 00", WIRE_MF_MEMBER },
		{ "02" STAMP WHO "01" TS4 "00", WIRE_MF_MEMBER }, /* who is gone has nothing */
		{ "02" STAMP WHO "00 01" CAND4, WIRE_MF_MEMBER },
		{ "03 00", WIRE_MF_MEMBER },
		{ "03" STAMP WHO "00 00", WIRE_MF_MEMBER },
		{ "01" STAMP "0200"
		  "00 00",
		  WIRE_MF_IDENT },
		{ "01" STAMP "010163"
		  "00 00",
		  WIRE_MF_IDENT },
		{ "01" STAMP WHO "01 0000 00", WIRE_MF_TS },
		{ "01" STAMP WHO "01 0001 00 00", WIRE_MF_TS },
		{ "01" STAMP WHO "01 0011 03" V4 "00", WIRE_MF_RANGE },
		{ "01" STAMP WHO "02" TS4 TS4 "00", WIRE_MF_REPEATED },
		{ "01" STAMP WHO "04" TS4 "0011 02" V4 "0029 01" V6 "0011 02" V4 "00",
		  WIRE_MF_REPEATED },
		{ "01" STAMP WHO "00 01 0b 01 00 1194 02000000 c00002", WIRE_MF_CANDIDATE },
		{ "01" STAMP WHO "00 01 00", WIRE_MF_CANDIDATE },
		{ "01" STAMP WHO "00 08" CAND4 CAND4 CAND4 CAND4 CAND4 CAND4 CAND4 CAND4,
		  WIRE_MF_OK },
		{ "01" STAMP WHO "00 09" CAND4 CAND4 CAND4 CAND4 CAND4 CAND4 CAND4 CAND4 CAND4,
		  WIRE_MF_LIMIT },
	};
	struct bytes whole = hex("01" STAMP WHO "02" TS4 "0029 02" V6 "02" CAND4 CAND6);
	struct wire_mesh m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_value(WIRE_MA_MEMBER, row[i].value, row[i].fault);
	for (size_t n = 1; n < whole.n; n++) {
		uint16_t kind = begin_around(WIRE_MA_MEMBER);

		put(WIRE_MA_MEMBER, bytes_of(whole.p, n));
		assert_word(kind, WIRE_MF_MEMBER, (unsigned)n);
	}
	begin_around(WIRE_MA_MEMBER);
	put(WIRE_MA_MEMBER, whole);
	taken(WIRE_N_SHORTCUT_DIRECTORY, &m);
	assert_int_equal(m.n_members, 1);
	assert_int_equal(m.members[0].op, WIRE_MESH_MEMBER_UP);
	assert_int_equal(m.members[0].epoch, 1);
	assert_int_equal(m.members[0].boot, 2);
	assert_int_equal(m.members[0].capabilities, 7);
	assert_bytes(m.members[0].id.data, bytes_str("c"));
	assert_int_equal(m.members[0].n_ts, 2);
	assert_int_equal(m.members[0].ts[1].authority, 2);
	assert_int_equal(m.members[0].n_candidates, 2);
	assert_int_equal(m.members[0].candidates[1].at.port, 61234);
}

static void too_many_members(void **state)
{
	struct wire_mesh m;

	(void)state;
	begin_around(WIRE_MA_MEMBER);
	for (unsigned i = 0; i < WIRE_MESH_MEMBERS; i++)
		put_hex(WIRE_MA_MEMBER, "01" STAMP WHO "01" TS4 "01" CAND4);
	taken(WIRE_N_SHORTCUT_DIRECTORY, &m);
	assert_int_equal(m.n_members, WIRE_MESH_MEMBERS);
	assert_bytes(again(&m), wr_bytes_of(&w));
	put_hex(WIRE_MA_MEMBER, "03");
	assert_word(WIRE_N_SHORTCUT_DIRECTORY, WIRE_MF_LIMIT, 0);
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
	static const struct wire_ts none = { .port_end = 65535 };
	const struct bytes name = BYTES_OF(letters);
	struct wire_ts *much = (struct wire_ts *)(void *)hold(4096 * sizeof(*much));
	struct wire_mesh_member member = { .op = WIRE_MESH_MEMBER_UP };
	struct wire_mesh_hub hub = { .n_at = 1 };
	const struct ip v4 = { .family = 4 }, v6 = { .family = 6 };

	(void)state;
	for (size_t i = 0; i < 4096; i++)
		much[i] = (struct wire_ts){ .start = v4, .end = v4 };
	for (unsigned i = 0; i < 9; i++) {
		struct wire_mesh m = { .members = &member,
				       .n_members = 1,
				       .hubs = &hub,
				       .n_hubs = 1,
				       .n_candidates = 1,
				       .n_ts_local = 1 };
		static uint8_t out[1 << 18];
		struct wr o = wr_of(out, sizeof(out));

		member = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBER_UP };
		hub = (struct wire_mesh_hub){ .n_at = 1 };
		switch (i) {
		case 0: m.present = B(CANDIDATE); break; /* without an address */
		case 1:
			m.present = B(PATH);
			m.path.local.ip = v4;
			m.path.remote.ip = v6;
			break;
		case 2: m.present = B(PATH); break;
		case 3:
			m.present = B(HUB);
			hub.id.data = name;
			break;
		case 4:
			m.present = B(HUB);
			hub.at[0].name = name;
			break;
		case 5:
			m.present = B(MEMBER);
			member.id.data = name;
			break;
		case 6:
			m.present = B(MEMBER);
			member.ts[0].ts = (struct wire_ts_list){ much, 4096, 0 };
			member.n_ts = 1;
			break;
		case 7:
			m.present = B(TS_LOCAL);
			m.ts_local[0].ts = (struct wire_ts_list){ &none, 1, 0 };
			break;
		default:
			m.present = B(TEXT);
			m.text = BYTES_OF(too_long);
			break;
		}
		wire_mesh_put(&o, &m);
		if (!o.err)
			fail_msg("row %u was written", i);
	}
}

/* ---- probes -------------------------------------------------------------------------------- */

static enum status probe_of(const uint8_t *p, size_t n, struct wire_probe *ret)
{
	const uint8_t *mac = NULL;
	struct bytes covered = { NULL, 0 };
	enum status st;

	memset(ret, 0x5a, sizeof(*ret));
	st = wire_probe_parse(bytes_of(copy_of(bytes_of(p, n)), n), ret, &covered, &mac);
	if (st) {
		assert_true(!mac && !covered.p && ret->txn == 0x5a5a5a5a);
	} else {
		assert_int_equal(covered.n, WIRE_PROBE_LEN - WIRE_PROBE_MAC);
		assert_true(mac == covered.p + covered.n);
	}
	drop_last_held();
	return st;
}

/* Every bit that is not free is what it has to be. */
static void probe_bits(void **state)
{
	static const char *const row[] = { vector_probe, vector_probe_answer };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t *p = copy_of(hex(row[i]));
		bool answer = i == 1;
		struct wire_probe v;

		for (size_t bit = 0; bit < 8 * WIRE_PROBE_LEN; bit++) {
			size_t at = bit / 8;
			/* The id, other flags, the transaction, the nonce, the MAC; of an answer
			 * the place, but what says that it is IPv4 can make it IPv6. */
			bool free = (at >= 8 && at < 16) || (at >= 20 && at < 24) ||
				    (at >= 28 && at < 36) || at >= 56 ||
				    (at == 19 && bit % 8 > 0) || (answer && at >= 36 && at < 54);

			p[at] ^= (uint8_t)(1 << bit % 8);
			if ((probe_of(p, WIRE_PROBE_LEN, &v) == ST_OK) != free)
				fail_msg("probe %zu: byte %zu, bit %zu", i, at, bit % 8);
			p[at] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void probe_lengths(void **state)
{
	struct bytes b = hex(vector_probe);
	struct wire_probe v;
	uint8_t more[WIRE_PROBE_LEN + 1] = { 0 };

	(void)state;
	for (size_t n = 0; n < WIRE_PROBE_LEN; n++) {
		assert_int_equal(probe_of(b.p, n, &v), ST_DROP);
		assert_int_equal(wire_probe_is(bytes_of(copy_of(bytes_of(b.p, n)), n)), n >= 18);
		drop_last_held();
	}
	memcpy(more, b.p, b.n);
	assert_int_equal(probe_of(more, sizeof(more), &v), ST_DROP);
	assert_true(wire_probe_is(BYTES_OF(more)));
	/* No IKE message is one, whatever its SPI. */
	more[17] = WIRE_IKE_VERSION;
	assert_false(wire_probe_is(BYTES_OF(more)));
	assert_false(wire_probe_is(hex(init_request)));
}

static void probe_places(void **state)
{
	static const struct {
		const char *seen; /* address, port, zeros */
		uint8_t flags;
		bool ok;
	} row[] = {
		{ "00000000000000000000000000000000 0000 0000", 0, true },
		{ "00000000000000000000000000000000 0000 0000", WIRE_PROBE_CHOSEN, true },
		{ "00000000000000000000ffff00000000 0000 0000", 0, false },
		{ "00000000000000000000000000000000 1194 0000", 0, false },
		{ "00000000000000000000000000000000 0000 0001", 0, false },
		{ "00000000000000000000000000000000 1194 0000", WIRE_PROBE_ANSWER, false },
		{ "00000000000000000000ffff00000000 1194 0000", WIRE_PROBE_ANSWER, false },
		{ "00000000000000000000ffffc0000201 0000 0000", WIRE_PROBE_ANSWER, false },
		{ "00000000000000000000ffffc0000201 1194 0000", WIRE_PROBE_ANSWER, true },
		{ "20010db8000000000000000000000001 1194 0000",
		  WIRE_PROBE_ANSWER | WIRE_PROBE_CHOSEN, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t *p = copy_of(hex(vector_probe)), out[WIRE_PROBE_LEN];
		struct wire_probe v;

		p[19] = row[i].flags;
		memcpy(p + 36, hex(row[i].seen).p, 20);
		assert_int_equal(probe_of(p, WIRE_PROBE_LEN, &v) == ST_OK, row[i].ok);
		if (!row[i].ok)
			continue;
		assert_int_equal(v.flags, row[i].flags);
		wire_probe_put(out, &v);
		assert_memory_equal(out, p, WIRE_PROBE_LEN - WIRE_PROBE_MAC);
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
		TEST(selectors),
		TEST(too_many_selectors),
		TEST(candidates),
		TEST(paths),
		TEST(hubs),
		TEST(too_many_hubs),
		TEST(members),
		TEST(too_many_members),
		TEST(cut_off),
		TEST(no_room),
		TEST(largest),
		TEST(no_memory),
		TEST(unwritable),
		TEST(probe_bits),
		TEST(probe_lengths),
		TEST(probe_places),
		TEST(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
