/* Values inside words of the mesh: selectors, candidates, paths, hubs, members; each length off by
 * one, each count over its limit, cut at every byte.  R06, S6. */
#include "wire_mesh_util.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(selectors), TEST(too_many_selectors), TEST(candidates), TEST(paths),
		TEST(hubs),      TEST(too_many_hubs),      TEST(members),    TEST(too_many_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
