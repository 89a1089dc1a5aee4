/*
 * wire_mesh_util.h - what the tests of the mesh's words share: a good value of each attribute, what
 * a word of each kind needs and may have, words under construction, a parser that checks that a
 * refusal changes nothing.
 */
#pragma once

#include "wire_ike_util.h"

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
	{ WIRE_N_SHORTCUT_WITHDRAW, true, true, B(REASON),
	  B(TEXT) | B(PARTNER_ID) | B(CONTEXT) | B(OWN_ID), B(PARTNER_ID) | B(CONTEXT) },
	{ WIRE_N_SHORTCUT_CANDIDATES, true, true, B(SEQUENCE), B(CANDIDATE) | B(CONTEXT) | B(BOOT),
	  B(BOOT) },
	{ WIRE_N_SHORTCUT_HUBS, false, true, B(SEQUENCE) | B(CONTEXT), B(HUB), 0 },
	{ WIRE_N_SHORTCUT_DIRECTORY, false, true, B(SEQUENCE) | B(CONTEXT), B(MEMBER) | B(FLAGS),
	  0 },
	{ WIRE_N_SHORTCUT_RELAY, true, false, SUGGESTION,
	  B(CANDIDATE) | B(IDLE) | B(FLAGS) | B(BOOT), 0 },
	{ WIRE_N_SHORTCUT_ASK, false, true, B(CONTEXT) | B(TS_REMOTE), 0, 0 },
	{ WIRE_N_SHORTCUT_ACCEPT, true, true, 0, B(CANDIDATE), 0 },
	{ WIRE_N_SHORTCUT_REFUSED, true, true, B(REASON), B(TEXT), 0 },
};

/* Some kind that may have an attribute. */
static inline const struct kind *kind_with(unsigned type)
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

static inline void begin(const char *id)
{
	w = wr_of(buf, sizeof(buf));
	wr_put(&w, hex(id));
	drop_last_held();
}

static inline void put(unsigned type, struct bytes value)
{
	wr_u16(&w, (uint16_t)type);
	wr_u16(&w, (uint16_t)value.n);
	wr_put(&w, value);
}

static inline void put_hex(unsigned type, const char *value)
{
	put(type, hex(value));
	drop_last_held();
}

static inline void put_samples(uint32_t types)
{
	for (unsigned t = 1; t < WIRE_MAS; t++)
		if (types >> t & 1)
			put_hex(t, sample[t]);
}

/* The beginning of a word that may have such an attribute, with all that it needs but that. */
static inline uint16_t begin_around(unsigned type)
{
	const struct kind *k = kind_with(type);

	begin(k->some ? SOME_ID : ZERO_ID);
	put_samples(k->needs & ~(1u << type));
	return k->kind;
}

/* The fault of a word, WIRE_MF_OK when it is taken.  A refusal must leave the result alone. */
static inline enum wire_mesh_fault fault_of(uint16_t kind, struct bytes data, struct wire_mesh *ret)
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

static inline void assert_mesh_fault(enum wire_mesh_fault got, enum wire_mesh_fault want,
				     unsigned kind, unsigned what)
{
	if (got != want)
		fail_msg("%s, %u: %s, not %s", wire_notify_name(kind), what,
			 wire_mesh_fault_name(got), wire_mesh_fault_name(want));
}

static inline void assert_word(uint16_t kind, enum wire_mesh_fault want, unsigned what)
{
	assert_false(w.err);
	assert_mesh_fault(fault_of(kind, wr_bytes_of(&w), NULL), want, kind, what);
}

static inline void taken(uint16_t kind, struct wire_mesh *ret)
{
	assert_false(w.err);
	assert_mesh_fault(fault_of(kind, wr_bytes_of(&w), ret), WIRE_MF_OK, kind, 0);
}

/* One value of an attribute, in a word that is good beside. */
static inline void assert_value(unsigned type, const char *value, enum wire_mesh_fault want)
{
	uint16_t kind = begin_around(type);

	put_hex(type, value);
	assert_word(kind, want, type);
}

/* What is written of a value that was read. */
static inline struct bytes again(const struct wire_mesh *m)
{
	static uint8_t out[sizeof(buf)];
	struct wr o = wr_of(out, sizeof(out));

	wire_mesh_put(&o, m);
	assert_false(o.err);
	return wr_bytes_of(&o);
}
