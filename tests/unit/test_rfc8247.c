/*
 * The tables of RFC 8247 (IKEv2) and RFC 8221 (ESP) against what we do: what they say MUST or
 * SHOULD about works and is offered unless the operator says otherwise; what they say MUST NOT or
 * SHOULD NOT about does not exist here, not even for a peer that asks for it by number.
 */
#include "unit/test_util.h"

#include "crypto/bulk/bulk.h"
#include "crypto/openssl/crypto_openssl.h"
#include "policy/policy.h"

enum status_of { MUST_BE, SHOULD_BE, MAY_BE, NOT_HERE };

/* NOT_HERE: MUST NOT, SHOULD NOT; and what is left out although a table has it, with the reason. */
static const struct row {
	uint8_t proto; /* 0: both */
	uint8_t type;
	uint16_t id;
	uint16_t bits;
	enum status_of status;
	const char *name;
} rows[] = {
	/* RFC 8247 section 2.1, RFC 8221 section 5 */
	{ 0, WIRE_T_ENCR, CRYPTO_AES_CBC, 128, MUST_BE, "ENCR_AES_CBC" },
	{ 0, WIRE_T_ENCR, CRYPTO_AES_CBC, 256, MUST_BE, "ENCR_AES_CBC" },
	{ 0, WIRE_T_ENCR, CRYPTO_AES_CBC, 192, MAY_BE, "ENCR_AES_CBC" },
	{ 0, WIRE_T_ENCR, CRYPTO_CHACHA20_POLY1305, 0, SHOULD_BE, "ENCR_CHACHA20_POLY1305" },
	{ 0, WIRE_T_ENCR, CRYPTO_AES_GCM_16, 128, MUST_BE, "ENCR_AES_GCM_16" },
	{ 0, WIRE_T_ENCR, CRYPTO_AES_GCM_16, 256, MUST_BE, "ENCR_AES_GCM_16" },
	{ 0, WIRE_T_ENCR, CRYPTO_AES_GCM_16, 192, MAY_BE, "ENCR_AES_GCM_16" },
	{ 0, WIRE_T_ENCR, 14, 128, NOT_HERE, "ENCR_AES_CCM_8: for the Internet of Things" },
	{ 0, WIRE_T_ENCR, 13, 128, NOT_HERE, "ENCR_AES_CTR" },
	{ 0, WIRE_T_ENCR, 1, 0, NOT_HERE, "ENCR_DES_IV64" },
	{ 0, WIRE_T_ENCR, 2, 0, NOT_HERE, "ENCR_DES" },
	{ 0, WIRE_T_ENCR, 3, 0, NOT_HERE, "ENCR_3DES" },
	{ 0, WIRE_T_ENCR, 5, 0, NOT_HERE, "ENCR_IDEA" },
	{ 0, WIRE_T_ENCR, 6, 0, NOT_HERE, "ENCR_CAST" },
	{ 0, WIRE_T_ENCR, 7, 0, NOT_HERE, "ENCR_BLOWFISH" },
	{ 0, WIRE_T_ENCR, 8, 0, NOT_HERE, "ENCR_3IDEA" },
	{ 0, WIRE_T_ENCR, 9, 0, NOT_HERE, "ENCR_DES_IV32" },
	{ 0, WIRE_T_ENCR, 11, 0, NOT_HERE, "ENCR_NULL: a VPN that keeps nothing secret" },
	{ 0, WIRE_T_ENCR, 18, 128, NOT_HERE, "ENCR_AES_GCM_8" },
	{ 0, WIRE_T_ENCR, 19, 128, NOT_HERE, "ENCR_AES_GCM_12" },
	/* RFC 8247 section 2.2 */
	{ WIRE_PROTO_IKE, WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_256, 0, MUST_BE, "PRF_HMAC_SHA2_256" },
	{ WIRE_PROTO_IKE, WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_512, 0, SHOULD_BE, "PRF_HMAC_SHA2_512" },
	{ WIRE_PROTO_IKE, WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_384, 0, MAY_BE, "PRF_HMAC_SHA2_384" },
	{ WIRE_PROTO_IKE, WIRE_T_PRF, 1, 0, NOT_HERE, "PRF_HMAC_MD5" },
	{ WIRE_PROTO_IKE, WIRE_T_PRF, 2, 0, NOT_HERE, "PRF_HMAC_SHA1: MUST-, on its way out" },
	{ WIRE_PROTO_IKE, WIRE_T_PRF, 4, 0, NOT_HERE, "PRF_AES128_XCBC: Internet of Things" },
	/* RFC 8247 section 2.3, RFC 8221 section 6 */
	{ 0, WIRE_T_INTEG, CRYPTO_HMAC_SHA2_256_128, 0, MUST_BE, "AUTH_HMAC_SHA2_256_128" },
	{ 0, WIRE_T_INTEG, CRYPTO_HMAC_SHA2_512_256, 0, SHOULD_BE, "AUTH_HMAC_SHA2_512_256" },
	{ 0, WIRE_T_INTEG, CRYPTO_HMAC_SHA2_384_192, 0, MAY_BE, "AUTH_HMAC_SHA2_384_192" },
	{ 0, WIRE_T_INTEG, 0, 0, NOT_HERE, "AUTH_NONE with what is no AEAD" },
	{ 0, WIRE_T_INTEG, 1, 0, NOT_HERE, "AUTH_HMAC_MD5_96" },
	{ 0, WIRE_T_INTEG, 2, 0, NOT_HERE, "AUTH_HMAC_SHA1_96: MUST-, on its way out" },
	{ 0, WIRE_T_INTEG, 3, 0, NOT_HERE, "AUTH_DES_MAC" },
	{ 0, WIRE_T_INTEG, 4, 0, NOT_HERE, "AUTH_KPDK_MD5" },
	{ 0, WIRE_T_INTEG, 5, 0, NOT_HERE, "AUTH_AES_XCBC_96: Internet of Things" },
	/* RFC 8247 section 2.4 */
	{ WIRE_PROTO_IKE, WIRE_T_KE, CRYPTO_MODP_2048, 0, MUST_BE, "2048-bit MODP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, CRYPTO_ECP_256, 0, SHOULD_BE, "256-bit random ECP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, CRYPTO_X25519, 0, SHOULD_BE, "Curve25519 (RFC 8031)" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, CRYPTO_ECP_384, 0, MAY_BE, "384-bit random ECP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, CRYPTO_ECP_521, 0, MAY_BE, "521-bit random ECP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, 1, 0, NOT_HERE, "768-bit MODP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, 2, 0, NOT_HERE, "1024-bit MODP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, 5, 0, NOT_HERE, "1536-bit MODP" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, 22, 0, NOT_HERE, "1024-bit MODP, 160-bit subgroup" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, 23, 0, NOT_HERE, "2048-bit MODP, 224-bit subgroup" },
	{ WIRE_PROTO_IKE, WIRE_T_KE, 24, 0, NOT_HERE, "2048-bit MODP, 256-bit subgroup" },
};

static struct arena ar;
static struct crypto_openssl *provider;
static struct crypto c;

/* What we offer and accept by default. */
static struct wire_sa defaults(uint8_t proto)
{
	const char *const *words = policy_default_proposals(proto);
	static struct wire_proposal p[4];
	char buf[200];
	struct text why = TEXT_OF(buf);
	size_t n = 0;

	for (; words[n]; n++)
		assert_int_equal(policy_proposal_parse(&ar, proto, words[n], &why, &p[n]), ST_OK);
	return (struct wire_sa){ p, n };
}

static bool offered(const struct row *r, uint8_t proto)
{
	struct wire_sa sa = defaults(proto);

	for (size_t i = 0; i < sa.n; i++)
		for (size_t k = 0; k < sa.proposals[i].n_transforms; k++) {
			const struct wire_transform *t = &sa.proposals[i].transforms[k];

			if (t->type == r->type && t->id == r->id && t->key_bits == r->bits)
				return true;
		}
	return false;
}

/* A proposal that is good but for the transform of the row in the place of its type. */
static bool negotiable(const struct row *r, uint8_t proto)
{
	bool aead = r->type == WIRE_T_ENCR &&
		    (r->id == CRYPTO_AES_GCM_16 || r->id == CRYPTO_CHACHA20_POLY1305);
	struct wire_transform t[5] = {
		{ WIRE_T_ENCR, CRYPTO_AES_CBC, 128, false },
		{ WIRE_T_INTEG, CRYPTO_HMAC_SHA2_256_128, 0, false },
		{ WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_256, 0, false },
		{ WIRE_T_KE, CRYPTO_X25519, 0, false },
	};
	struct wire_proposal p = { 1, proto, { NULL, 0 }, t, 4 };
	struct wire_sa theirs = { &p, 1 }, ours = defaults(proto);
	char buf[400];
	struct text why = TEXT_OF(buf);
	struct policy_suite suite;
	struct bytes spi;
	uint8_t number;

	if (proto == WIRE_PROTO_ESP) {
		t[2] = (struct wire_transform){ WIRE_T_ESN, 0, 0, false };
		p.n_transforms = 3;
	}
	for (size_t i = 0; i < p.n_transforms; i++)
		if (t[i].type == r->type)
			t[i] = (struct wire_transform){ r->type, r->id, r->bits, false };
	if (aead) {
		t[1] = t[p.n_transforms - 1];
		p.n_transforms--;
	}
	return policy_select(&ours, &theirs, false, &why, &suite, &number, &spi) == ST_OK;
}

static bool computable(const struct row *r, uint8_t proto)
{
	struct crypto_cipher cipher = { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 };

	if (r->type == WIRE_T_ENCR) {
		cipher.encr = r->id;
		cipher.key_bits = r->bits;
		cipher.integ = r->id == CRYPTO_AES_CBC ? cipher.integ : CRYPTO_INTEG_NONE;
	}
	if (r->type == WIRE_T_INTEG)
		cipher.integ = r->id;
	if (r->type != WIRE_T_ENCR && r->bits)
		return c.ops->has(c.ctx, r->type, r->id, r->bits);
	if (r->type == WIRE_T_ENCR || r->type == WIRE_T_INTEG) {
		struct crypto_cipher_info info;

		return proto == WIRE_PROTO_ESP ? bulk_has(cipher)
					       : crypto_cipher_info(cipher, &info) == ST_OK;
	}
	return c.ops->has(c.ctx, r->type, r->id, r->bits);
}

static void check(const struct row *r, uint8_t proto)
{
	bool wanted = r->status == MUST_BE || r->status == SHOULD_BE;
	bool here = r->status != NOT_HERE;

	if (computable(r, proto) != here)
		fail_msg("%s: computable in %u is %d", r->name, proto, !here);
	if (wanted && !(offered(r, proto) && negotiable(r, proto)))
		fail_msg("%s is not offered or accepted by default in %u", r->name, proto);
	if (!here && (offered(r, proto) || negotiable(r, proto)))
		fail_msg("%s is offered or accepted in %u", r->name, proto);
}

static void tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].proto != WIRE_PROTO_ESP)
			check(&rows[i], WIRE_PROTO_IKE);
		if (rows[i].proto != WIRE_PROTO_IKE)
			check(&rows[i], WIRE_PROTO_ESP);
	}
}

/* Every number there could be: whoever is not in the table with MUST, SHOULD or MAY is not here. */
static void no_other_number(void **state)
{
	static const uint8_t types[] = { WIRE_T_ENCR, WIRE_T_PRF, WIRE_T_INTEG, WIRE_T_KE };
	static const uint16_t bits[] = { 0, 64, 128, 192, 256, 448 };

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(types); t++)
		for (uint16_t id = 0; id < 1100; id++)
			for (size_t b = 0; b < ARRAY_LEN(bits); b++) {
				struct row r = { 0, types[t], id, bits[b], NOT_HERE, "" };
				bool listed = false;

				for (size_t i = 0; i < ARRAY_LEN(rows); i++)
					listed = listed ||
						 (rows[i].type == r.type && rows[i].id == id &&
						  rows[i].bits == bits[b] &&
						  rows[i].status != NOT_HERE);
				if (computable(&r, WIRE_PROTO_IKE) != listed)
					fail_msg("type %u id %u/%u", r.type, id, r.bits);
				if (!listed && negotiable(&r, WIRE_PROTO_IKE))
					fail_msg("type %u id %u/%u negotiated", r.type, id, r.bits);
			}
}

/* A word that a proposal may have is something that can be computed, and offered with a row here.
 */
static void every_word_is_here(void **state)
{
	static const char *const words[] = {
		"aes128gcm16-prfsha256-x25519", "aes192gcm16-prfsha384-ecp256",
		"aes256gcm16-prfsha512-ecp384", "chacha20poly1305-prfsha256-ecp521",
		"aes128-sha256-modp2048",       "aes192-sha384-curve25519",
		"aes256-sha512-modp2048",       NULL,
	};
	char buf[400];

	(void)state;
	for (size_t i = 0; words[i]; i++) {
		struct text why = TEXT_OF(buf);
		struct wire_proposal p;

		assert_int_equal(policy_proposal_parse(&ar, WIRE_PROTO_IKE, words[i], &why, &p),
				 ST_OK);
		for (size_t k = 0; k < p.n_transforms; k++) {
			const struct wire_transform *t = &p.transforms[k];

			assert_true(c.ops->has(c.ctx, t->type, t->id, t->key_bits));
		}
	}
}

static int setup(void **state)
{
	(void)state;
	arena_init(&ar, &mem_libc, 64 << 20);
	if (crypto_openssl_new(&provider) != ST_OK)
		return -1;
	c = crypto_openssl_ops(provider);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&ar);
	crypto_openssl_free(provider);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(no_other_number),
		cmocka_unit_test(every_word_is_here),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
