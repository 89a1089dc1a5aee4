/* The test vectors of docs/protocol/shortcut.md: each is what the codec makes of the values that
 * the document names, is read and written back, and stands in the document.  R06. */
#include "wire_ike_util.h"

#include <stdio.h>

#include "wire_mesh_vectors.h"

#include "crypto/openssl/crypto_openssl.h"
#include "wire/mesh/wire_mesh.h"

#define ID                                                                                         \
	{                                                                                          \
		0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc,      \
			0xcd, 0xce, 0xcf                                                           \
	}
#define FQDN(s)                                                                                    \
	{                                                                                          \
		WIRE_ID_FQDN,                                                                      \
		{                                                                                  \
			(const uint8_t *)(s), sizeof(s) - 1                                        \
		}                                                                                  \
	}
#define TEXT(s)                                                                                    \
	{                                                                                          \
		(const uint8_t *)(s), sizeof(s) - 1                                                \
	}
#define IP4(a, b, c, d)                                                                            \
	{                                                                                          \
		4,                                                                                 \
		{                                                                                  \
			a, b, c, d                                                                 \
		}                                                                                  \
	}
#define B(name) WIRE_MESH_BIT(name)

static const uint8_t secret[WIRE_MESH_SECRET] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
						  11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
						  22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static const struct wire_ts b_blocks[] = {
	{ 0, 0, 65535, IP4(10, 2, 0, 0), IP4(10, 2, 255, 255) },
};
static const struct wire_ts c_blocks[] = {
	{ 0, 0, 65535, IP4(10, 3, 0, 0), IP4(10, 3, 255, 255) },
	{ 0,
	  0,
	  65535,
	  { 6, { 0x20, 0x01, 0x0d, 0xb8, 0, 3 } },
	  { 6,
	    { 0x20, 0x01, 0x0d, 0xb8, 0, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } } },
};
static const struct wire_ts asked[] = {
	{ 0, 0, 65535, IP4(10, 3, 0, 1), IP4(10, 3, 0, 1) },
};
static const struct wire_ts c_pool[] = {
	{ 0, 0, 65535, IP4(10, 255, 0, 9), IP4(10, 255, 0, 9) },
};

#define TS(authority, array)                                                                       \
	{                                                                                          \
		authority,                                                                         \
		{                                                                                  \
			array, ARRAY_LEN(array), 0                                                 \
		}                                                                                  \
	}
#define B_TS                                                                                       \
	{                                                                                          \
		TS(0, b_blocks)                                                                    \
	}
#define C_TS                                                                                       \
	{                                                                                          \
		TS(0, c_blocks), TS(1, c_pool)                                                     \
	}
#define B_HOST                                                                                     \
	{                                                                                          \
		WIRE_MC_HOST, 0, 2u << 24,                                                         \
		{                                                                                  \
			IP4(203, 0, 113, 20), 4500                                                 \
		}                                                                                  \
	}
#define C_CANDIDATES                                                                               \
	{                                                                                          \
		{ WIRE_MC_HOST, 0, 2u << 24, { IP4(192, 0, 2, 30), 4500 } },                       \
			{ WIRE_MC_HOST,                                                            \
			  0,                                                                       \
			  2u << 24,                                                                \
			  { { 6, { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0x30, [15] = 1 } }, 4500 } },  \
			{ WIRE_MC_SEEN, 1, 1u << 24, { IP4(198, 51, 100, 7), 61234 } },            \
	}
#define B_BOOT 0x1f2e3d4c5b6a7988
#define C_BOOT 0x8897a6b5c4d3e2f1

static const struct wire_mesh_hub hubs[] = {
	{ .id = FQDN("gw1.example"),
	  .at = { { 500, IP4(192, 0, 2, 1), { NULL, 0 } },
		  { 500, { 6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, { NULL, 0 } } },
	  .n_at = 2 },
	{ .id = FQDN("gw2.example"), .at = { { 500, { 0 }, TEXT("gw2.example") } }, .n_at = 1 },
};

static const struct wire_mesh_member members[] = {
	{ .op = WIRE_MESH_MEMBERS_ANEW },
	{ .op = WIRE_MESH_MEMBER_UP,
	  .epoch = 1795212000000,
	  .boot = C_BOOT,
	  .capabilities = 1,
	  .id = FQDN("c.example"),
	  .ts = C_TS,
	  .n_ts = 2,
	  .candidates = C_CANDIDATES,
	  .n_candidates = 3 },
	{ .op = WIRE_MESH_MEMBER_GONE,
	  .epoch = 1795212000500,
	  .boot = 0x1122334455667788,
	  .capabilities = 1,
	  .id = FQDN("d.example") },
};

static const struct vector {
	uint16_t kind;
	const char *hex;
	struct wire_mesh value;
} vectors[] = {
	{ WIRE_N_SHORTCUT_SUGGEST,
	  vector_suggest,
	  { .id = ID,
	    .present = B(SECRET) | B(PARTNER_ID) | B(OWN_ID) | B(TS_REMOTE) | B(TS_LOCAL) |
		       B(CANDIDATE) | B(CONTEXT) | B(LIFETIME) | B(IDLE) | B(FLAGS) | B(BOOT),
	    .secret = secret,
	    .partner = FQDN("c.example"),
	    .own = FQDN("b.example"),
	    .ts_remote = C_TS,
	    .n_ts_remote = 2,
	    .ts_local = B_TS,
	    .n_ts_local = 1,
	    .candidates = C_CANDIDATES,
	    .n_candidates = 3,
	    .context = TEXT("example"),
	    .lifetime_s = 60,
	    .idle_s = 300,
	    .flags = WIRE_MESH_PQ,
	    .boot = C_BOOT } },
	{ WIRE_N_SHORTCUT_ACCEPT,
	  vector_accept,
	  { .id = ID, .present = B(CANDIDATE), .candidates = { B_HOST }, .n_candidates = 1 } },
	{ WIRE_N_SHORTCUT_REFUSED,
	  vector_refused,
	  { .id = ID,
	    .present = B(REASON) | B(TEXT),
	    .reason = WIRE_MR_POLICY,
	    .text = TEXT("shortcuts = no") } },
	{ WIRE_N_SHORTCUT_REPORT,
	  vector_report,
	  { .id = ID,
	    .present = B(PARTNER_ID) | B(CONTEXT) | B(OUTCOME) | B(PATH),
	    .partner = FQDN("c.example"),
	    .context = TEXT("example"),
	    .outcome = WIRE_MO_UP,
	    .path = { { IP4(203, 0, 113, 20), 4500 }, { IP4(198, 51, 100, 7), 61234 }, 12500 } } },
	{ WIRE_N_SHORTCUT_REPORT,
	  vector_report_failed,
	  { .id = ID,
	    .present = B(PARTNER_ID) | B(CONTEXT) | B(OUTCOME) | B(REASON) | B(TEXT),
	    .partner = FQDN("c.example"),
	    .context = TEXT("example"),
	    .outcome = WIRE_MO_FAILED,
	    .reason = WIRE_MR_NO_PATH,
	    .text = TEXT("3 candidates, no answer") } },
	{ WIRE_N_SHORTCUT_WITHDRAW,
	  vector_withdraw,
	  { .present = B(PARTNER_ID) | B(CONTEXT) | B(REASON) | B(TEXT),
	    .partner = FQDN("c.example"),
	    .context = TEXT("example"),
	    .reason = WIRE_MR_POLICY,
	    .text = TEXT("topology = star") } },
	{ WIRE_N_SHORTCUT_CANDIDATES,
	  vector_candidates,
	  { .present = B(CANDIDATE) | B(SEQUENCE) | B(BOOT),
	    .candidates = { B_HOST },
	    .n_candidates = 1,
	    .sequence = 7,
	    .boot = B_BOOT } },
	{ WIRE_N_SHORTCUT_HUBS,
	  vector_hubs,
	  { .present = B(CONTEXT) | B(SEQUENCE) | B(HUB),
	    .context = TEXT("example"),
	    .sequence = 1,
	    .hubs = hubs,
	    .n_hubs = ARRAY_LEN(hubs) } },
	{ WIRE_N_SHORTCUT_DIRECTORY,
	  vector_directory,
	  { .present = B(CONTEXT) | B(SEQUENCE) | B(MEMBER),
	    .context = TEXT("example"),
	    .sequence = 42,
	    .members = members,
	    .n_members = ARRAY_LEN(members) } },
	{ WIRE_N_SHORTCUT_ASK,
	  vector_ask,
	  { .present = B(CONTEXT) | B(TS_REMOTE),
	    .context = TEXT("example"),
	    .ts_remote = { TS(0, asked) },
	    .n_ts_remote = 1 } },
	{ WIRE_N_SHORTCUT_RELAY,
	  vector_relay,
	  { .id = ID,
	    .present = B(SECRET) | B(PARTNER_ID) | B(OWN_ID) | B(TS_REMOTE) | B(TS_LOCAL) |
		       B(CANDIDATE) | B(CONTEXT) | B(LIFETIME) | B(BOOT),
	    .secret = secret,
	    .partner = FQDN("b.example"),
	    .own = FQDN("c.example"),
	    .ts_remote = B_TS,
	    .n_ts_remote = 1,
	    .ts_local = C_TS,
	    .n_ts_local = 2,
	    .candidates = { B_HOST },
	    .n_candidates = 1,
	    .context = TEXT("example"),
	    .lifetime_s = 60,
	    .boot = B_BOOT } },
};

static struct bytes written(const struct wire_mesh *m, uint8_t *buf, size_t n)
{
	struct wr w = wr_of(buf, n);

	wire_mesh_put(&w, m);
	assert_false(w.err);
	return wr_bytes_of(&w);
}

static void words(void **state)
{
	uint8_t buf[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct bytes want = hex(vectors[i].hex);
		enum wire_mesh_fault fault;
		struct wire_mesh m;

		assert_bytes(written(&vectors[i].value, buf, sizeof(buf)), want);
		assert_int_equal(wire_mesh_parse(&ar, vectors[i].kind, want, &m, &fault), ST_OK);
		assert_true(m.present == vectors[i].value.present);
		assert_bytes(written(&m, buf, sizeof(buf)), want);
	}
}

static struct crypto_openssl *provider;
static struct crypto crypto;

static struct bytes hmac(struct bytes key, const char *label, struct bytes a, struct bytes b)
{
	const struct bytes parts[] = { bytes_str(label), a, b };
	uint8_t *out = hold(32);

	assert_int_equal(crypto.ops->prf(crypto.ctx, CRYPTO_PRF_HMAC_SHA2_256, key, parts,
					 ARRAY_LEN(parts), out),
			 ST_OK);
	return bytes_of(out, 32);
}

static void keys(void **state)
{
	static const uint8_t id[] = ID, spi_i[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	const struct bytes none = { NULL, 0 };
	uint8_t ni[32], proof[WIRE_PROOF_LEN];
	struct wr w = wr_of(proof, sizeof(proof));
	struct bytes key;

	(void)state;
	for (size_t i = 0; i < sizeof(ni); i++)
		ni[i] = (uint8_t)(0xa0 + i);
	assert_hex(hmac(BYTES_OF(secret), "warren shortcut probe", BYTES_OF(id), none),
		   vector_k_probe);
	assert_hex(hmac(BYTES_OF(secret), "warren shortcut ppk", BYTES_OF(id), none), vector_ppk);
	key = hmac(BYTES_OF(secret), "warren shortcut proof", BYTES_OF(id), none);
	assert_hex(key, vector_k_proof);
	wr_put(&w, BYTES_OF(id));
	wr_put(&w, hmac(key, "", BYTES_OF(ni), BYTES_OF(spi_i)));
	assert_hex(wr_bytes_of(&w), vector_proof);
}

static void probes(void **state)
{
	static const struct {
		const char *hex;
		struct wire_probe value;
	} row[] = {
		{ vector_probe,
		  { .id = { 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 },
		    .txn = 3,
		    .nonce = { 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7 } } },
		{ vector_probe_answer,
		  { .id = { 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 },
		    .flags = WIRE_PROBE_ANSWER,
		    .txn = 3,
		    .nonce = { 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7 },
		    .seen = { IP4(198, 51, 100, 7), 61234 } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct bytes want = hex(row[i].hex), covered;
		uint8_t buf[WIRE_PROBE_LEN];
		const uint8_t *mac;
		struct wire_probe p;

		wire_probe_put(buf, &row[i].value);
		covered = hmac(hex(vector_k_probe), "",
			       bytes_of(buf, WIRE_PROBE_LEN - WIRE_PROBE_MAC), (struct bytes){ 0 });
		memcpy(buf + WIRE_PROBE_LEN - WIRE_PROBE_MAC, covered.p, WIRE_PROBE_MAC);
		assert_bytes(BYTES_OF(buf), want);
		assert_int_equal(wire_probe_parse(want, &p, &covered, &mac), ST_OK);
		assert_memory_equal(&p, &row[i].value, sizeof(p));
		assert_true(covered.p == want.p && covered.n == 56 && mac == want.p + 56);
	}
}

/* ---- the document -------------------------------------------------------------------------- */

/* Without white space, and without comments from # to the end of the line. */
static char *squeezed(const char *path)
{
	enum { MAX = 1 << 18 };
	char *text = (char *)hold(MAX), *end = text;
	bool comment = false;
	FILE *f = fopen(path, "r");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF) {
		comment = c == '#' || (comment && c != '\n');
		if (!comment && c != ' ' && c != '\n' && end < text + MAX - 1)
			*end++ = (char)c;
	}
	fclose(f);
	*end = '\0';
	return text;
}

static void document(void **state)
{
	static const char *const all[] = {
		vector_suggest,      vector_accept,     vector_refused,      vector_report,
		vector_withdraw,     vector_candidates, vector_hubs,         vector_directory,
		vector_relay,        vector_probe,      vector_probe_answer, vector_k_probe,
		vector_k_proof,      vector_ppk,        vector_proof,        vector_report_failed,
		vector_capabilities,
	};
	const char *text = squeezed(SOURCE_ROOT "/docs/protocol/shortcut.md");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		char digits[2048], *d = digits;

		for (const char *s = all[i]; *s; s++)
			if (*s != ' ')
				*d++ = *s;
		*d = '\0';
		if (!strstr(text, digits))
			fail_msg("not in the document: %s", all[i]);
	}
}

static int crypto_up(void **state)
{
	(void)state;
	if (crypto_openssl_new(&provider) != ST_OK)
		return -1;
	crypto = crypto_openssl_ops(provider);
	return 0;
}

static int crypto_down(void **state)
{
	(void)state;
	crypto_openssl_free(provider);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words),
		TEST(keys),
		TEST(probes),
		TEST(document),
	};

	return cmocka_run_group_tests(tests, crypto_up, crypto_down);
}
