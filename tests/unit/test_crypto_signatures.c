/* AUTH with every kind of key: what is signed, with what, and what of a peer is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "unit/test_crypto_world.h"

enum { P256, P384, P521, RSA_2048, RSA_3072, RSA_4096, ED25519, ED448, KINDS };

static struct {
	EVP_PKEY *key;
	X509 *cert;
	crypto_ref ref;
} with[KINDS];

static EVP_PKEY *rsa(size_t bits)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
}

static int setup_keys(void **state)
{
	EVP_PKEY *keys[KINDS] = { pki_ec("P-256"),
				  pki_ec("P-384"),
				  pki_ec("P-521"),
				  rsa(2048),
				  rsa(3072),
				  rsa(4096),
				  EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
				  EVP_PKEY_Q_keygen(NULL, NULL, "ED448") };

	if (setup(state))
		return -1;
	for (size_t i = 0; i < KINDS; i++) {
		with[i].key = keys[i];
		with[i].ref = add_key(keys[i]);
		with[i].cert = pki_cert(&(struct pki_spec){ .name = "site-b",
							    .san = LEAF_SAN,
							    .key = keys[i],
							    .issuer = w.inter,
							    .issuer_key = w.inter_key });
	}
	return 0;
}

static int teardown_keys(void **state)
{
	for (size_t i = 0; i < KINDS; i++) {
		EVP_PKEY_free(with[i].key);
		X509_free(with[i].cert);
	}
	return teardown(state);
}

static struct crypto_result verify(size_t kind, uint8_t method, struct bytes sig, struct bytes over)
{
	struct bytes leaf = pki_der(with[kind].cert), inter = pki_der(w.inter);
	struct crypto_verify_in in = usual(leaf, inter, sig);
	struct crypto_result r;

	in.method = method;
	in.octets = over;
	r = run_verify(&in);
	pki_free(leaf);
	pki_free(inter);
	return r;
}

#define H(x) (1 << CRYPTO_##x)

/* Which algorithm follows from our key and from what the peer announced (RFC 7427 section 4). */
static void choice(void **state)
{
	static const struct {
		int kind;
		uint16_t hashes;
		const char *how;
	} rows[] = {
		{ P256, ALL_HASHES, "ecdsa-p256-sha256" },
		{ P256, H(SHA2_512), "ecdsa-p256-sha512" },
		{ P384, ALL_HASHES, "ecdsa-p384-sha384" },
		{ P521, ALL_HASHES, "ecdsa-p521-sha512" },
		{ RSA_2048, ALL_HASHES, "rsa-2048-pss-sha256" },
		{ RSA_2048, H(SHA2_384), "rsa-2048-pss-sha384" },
		{ RSA_2048, H(SHA2_512), "rsa-2048-pss-sha512" },
		{ RSA_3072, ALL_HASHES, "rsa-3072-pss-sha256" },
		{ RSA_4096, ALL_HASHES, "rsa-4096-pss-sha384" },
		{ RSA_4096, H(SHA2_256) | H(SHA2_512), "rsa-4096-pss-sha512" },
		{ RSA_4096, H(SHA2_256), "rsa-4096-pss-sha256" },
		{ ED25519, ALL_HASHES, "ed25519" },
		{ ED25519, H(IDENTITY), "ed25519" },
		{ ED448, ALL_HASHES, "ed448" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result s =
			run_sign(with[rows[i].kind].ref, 14, rows[i].hashes, octets);
		struct crypto_result v;

		assert_int_equal(s.status, ST_OK);
		assert_int_equal(s.auth.method, 14);
		assert_string_equal(s.auth.how, rows[i].how);
		v = verify((size_t)rows[i].kind, 14, bytes_of(s.auth.data, s.auth.len), octets);
		assert_accepted(&v);
		assert_string_equal(v.cert.auth, rows[i].how);
		v = verify((size_t)rows[i].kind, 14, bytes_of(s.auth.data, s.auth.len),
			   bytes_str("others"));
		assert_refused(&v, "AUTH does not verify");
	}
}

/* Nothing that the peer did not announce, and nothing weak for want of RFC 7427. */
static void no_choice(void **state)
{
	static const struct {
		int kind;
		uint8_t method;
		uint16_t hashes;
		const char *why;
	} rows[] = {
		{ P521, 14, H(SHA2_256) | H(SHA2_384) | H(IDENTITY),
		  "our key is EC P-521, which signs with SHA2-512 or stronger, the peer announced "
		  "SHA2-256, SHA2-384, identity" },
		{ RSA_2048, 14, H(IDENTITY),
		  "our key is RSA of 2048 bits, which signs with SHA2-256" },
		{ RSA_2048, 14, H(SHA1), "the peer announced SHA-1" },
		{ ED25519, 14, H(SHA2_256) | H(SHA2_512),
		  "our key is Ed25519, which signs with identity, the peer announced SHA2-256, "
		  "SHA2-512" },
		{ RSA_2048, 0, 0,
		  "our key is RSA of 2048 bits, and the peer does not announce digital signatures "
		  "(RFC 7427): all that is left is auth method 1, RSA with SHA-1" },
		{ ED25519, 0, 0, "our key is Ed25519, which needs digital signatures (RFC 7427)" },
		{ RSA_2048, 9, ALL_HASHES, "our key is RSA of 2048 bits" },
		{ RSA_2048, 1, ALL_HASHES, "auth method 1 is not implemented" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result s =
			run_sign(with[rows[i].kind].ref, rows[i].method, rows[i].hashes, octets);

		assert_refused(&s, rows[i].why);
	}
}

/* Without RFC 7427: RFC 4754, by curve. */
static void old_methods(void **state)
{
	static const uint16_t len[] = { 64, 96, 132 };

	(void)state;
	for (size_t i = P256; i <= P521; i++) {
		struct crypto_result s = run_sign(with[i].ref, 0, 0, octets), v;

		assert_int_equal(s.status, ST_OK);
		assert_int_equal(s.auth.method, 9 + i);
		assert_int_equal(s.auth.len, len[i]);
		v = verify(i, (uint8_t)(9 + i), bytes_of(s.auth.data, s.auth.len), octets);
		assert_accepted(&v);
		v = verify(RSA_2048, (uint8_t)(9 + i), bytes_of(s.auth.data, s.auth.len), octets);
		assert_refused(&v, "does not go with the certificate's key, which is RSA of 2048");
	}
	struct crypto_result v = verify(RSA_2048, 1, bytes_str("signature"), octets);

	assert_refused(&v, "auth method 1 is not accepted with certificates: RSA without a "
			   "negotiated hash, which by default is SHA-1");
}

/* An RSA signature as somebody else makes it. */
static struct bytes rsa_auth(EVP_PKEY *key, struct bytes alg, const EVP_MD *md, const EVP_MD *mask,
			     int salt, uint8_t buf[CRYPTO_SIGNATURE_MAX])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *p;
	size_t n = CRYPTO_SIGNATURE_MAX - 100;

	buf[0] = (uint8_t)alg.n;
	memcpy(buf + 1, alg.p, alg.n);
	assert_int_equal(EVP_DigestSignInit(ctx, &p, md, NULL, key), 1);
	if (mask) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(p, mask), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(p, salt), 1);
	}
	assert_int_equal(EVP_DigestSign(ctx, buf + 1 + alg.n, &n, octets.p, octets.n), 1);
	EVP_MD_CTX_free(ctx);
	return bytes_of(buf, 1 + alg.n + n);
}

/* What the AlgorithmIdentifier says is what is verified, to the salt's length. */
static void rsa_forms(void **state)
{
	const struct crypto_sigalg pss = { CRYPTO_RSA_PSS, CRYPTO_SHA2_256 };
	const struct crypto_sigalg old = { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_256 };
	const struct {
		struct crypto_sigalg says;
		const EVP_MD *md, *mask;
		int salt;
		bool good;
	} rows[] = {
		{ old, EVP_sha256(), NULL, 0, true },
		{ old, EVP_sha384(), NULL, 0, false },
		{ old, EVP_sha256(), EVP_sha256(), 32, false },
		{ pss, EVP_sha256(), EVP_sha256(), 32, true },
		{ pss, EVP_sha256(), EVP_sha256(), 0, false },
		{ pss, EVP_sha256(), EVP_sha256(), 31, false },
		{ pss, EVP_sha256(), EVP_sha256(), 33, false },
		{ pss, EVP_sha256(), EVP_sha1(), 32, false },
		{ pss, EVP_sha512(), EVP_sha512(), 32, false },
		{ pss, EVP_sha256(), NULL, 0, false },
	};
	uint8_t buf[CRYPTO_SIGNATURE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes sig = rsa_auth(with[RSA_2048].key, crypto_sigalg_der(rows[i].says),
					    rows[i].md, rows[i].mask, rows[i].salt, buf);
		struct crypto_result v = verify(RSA_2048, 14, sig, octets);

		if (rows[i].good)
			assert_accepted(&v);
		else
			assert_refused(&v, "AUTH does not verify");
		v = verify(RSA_3072, 14, sig, octets);
		assert_refused(&v, "AUTH does not verify");
		v = verify(P256, 14, sig, octets);
		assert_refused(&v, "does not go with the certificate's key, which is EC P-256");
		v = verify(ED25519, 14, sig, octets);
		assert_refused(&v, "does not go with the certificate's key, which is Ed25519");
	}
}

/* S2: RFC 8247 section 3.2, MUST NOT; and parameters that are not those of appendix A. */
static void rsa_refused(void **state)
{
	static const uint8_t with_sha1[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
					     0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00 };
	static const uint8_t empty[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
					 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x00 };
	uint8_t buf[CRYPTO_SIGNATURE_MAX];
	struct crypto_result v;

	(void)state;
	v = verify(RSA_2048, 14,
		   rsa_auth(with[RSA_2048].key, BYTES_OF(with_sha1), EVP_sha1(), NULL, 0, buf),
		   octets);
	assert_refused(&v, "signature algorithm sha1WithRSAEncryption is not accepted");
	v = verify(RSA_2048, 14,
		   rsa_auth(with[RSA_2048].key, BYTES_OF(empty), EVP_sha1(), EVP_sha1(), 20, buf),
		   octets);
	assert_refused(&v, "RSASSA-PSS without parameters means SHA-1");
}

/* S2: one bit changed, or the end missing, and it is no signature. */
static void every_bit_counts(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct crypto_result s = run_sign(with[kind].ref, 14, ALL_HASHES, octets), v;
		size_t step = s.auth.len > 200 ? 61 : 7;

		assert_int_equal(s.status, ST_OK);
		for (size_t bit = 0; bit < 8u * s.auth.len; bit += step) {
			s.auth.data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
			v = verify(kind, 14, bytes_of(s.auth.data, s.auth.len), octets);
			assert_int_equal(v.status, ST_REFUSE);
			s.auth.data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
		}
		for (size_t n = 0; n < s.auth.len; n += n < 80 ? 1 : 31) {
			v = verify(kind, 14, bytes_of(s.auth.data, n), octets);
			assert_int_equal(v.status, ST_REFUSE);
		}
	}
}

static struct bytes unhex(const char *s, uint8_t *buf)
{
	size_t n = 0;
	unsigned v;

	for (; sscanf(s + 2 * n, "%2x", &v) == 1; n++)
		buf[n] = (uint8_t)v;
	return bytes_of(buf, n);
}

/* RFC 8032 section 7.1, TEST 2, in the form of RFC 8420. */
static void ed25519_vector(void **state)
{
	static const char secret[] =
		"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
	static const char want[] =
		"07300506032b657092a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
	uint8_t raw[32], sig[80];
	struct crypto_result s;
	EVP_PKEY *key;

	(void)state;
	unhex(secret, raw);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	s = run_sign(add_key(key), 14, ALL_HASHES, bytes_str("r"));
	assert_int_equal(s.status, ST_OK);
	assert_int_equal(unhex(want, sig).n, s.auth.len);
	assert_memory_equal(s.auth.data, sig, s.auth.len);
	EVP_PKEY_free(key);
}

/* PKCS #8, PKCS #1 and SEC 1, each as PEM: the same key. */
static void key_formats(void **state)
{
	static const struct {
		int kind;
		const char *begins;
	} rows[] = { { P256, "-----BEGIN EC PRIVATE KEY" },
		     { P521, "-----BEGIN EC PRIVATE KEY" },
		     { RSA_3072, "-----BEGIN RSA PRIVATE KEY" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		BIO *bio = BIO_new(BIO_s_mem());
		struct crypto_file file = { .name = "key" };
		char reason[200];
		struct text why = TEXT_OF(reason);
		crypto_ref ref;
		char *p;

		assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, with[rows[i].kind].key,
								      NULL, NULL, 0, NULL, NULL),
				 1);
		file.data.n = (size_t)BIO_get_mem_data(bio, &p);
		file.data.p = (const uint8_t *)p;
		assert_memory_equal(p, rows[i].begins, strlen(rows[i].begins));
		assert_int_equal(crypto_store_add_key(w.store, &file, &why, &ref), ST_OK);
		assert_string_equal(crypto_store_name(w.store, ref),
				    crypto_store_name(w.store, with[rows[i].kind].ref));
		BIO_free(bio);
	}
}

/* Of five primes, because two that large take long to find. */
static EVP_PKEY *large_rsa(int bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, 5), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* The longest signature there is fits. */
static void longest(void **state)
{
	EVP_PKEY *key = large_rsa(8192);
	struct crypto_result s = run_sign(add_key(key), 14, ALL_HASHES, octets);
	EVP_PKEY *longer = large_rsa(8200);
	struct crypto_file file = { "key", pki_pem_key(longer, NULL) };
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref ref;

	(void)state;
	assert_int_equal(s.status, ST_OK);
	assert_string_equal(s.auth.how, "rsa-8192-pss-sha384");
	assert_int_equal(s.auth.len, 1 + 67 + 1024);
	assert_int_equal(crypto_store_add_key(w.store, &file, &why, &ref), ST_INVAL);
	assert_non_null(strstr(reason, "RSA of 8200 bits"));
	EVP_PKEY_free(key);
	EVP_PKEY_free(longer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choice),         cmocka_unit_test(no_choice),
		cmocka_unit_test(old_methods),    cmocka_unit_test(rsa_forms),
		cmocka_unit_test(rsa_refused),    cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(ed25519_vector), cmocka_unit_test(key_formats),
		cmocka_unit_test(longest),
	};

	return cmocka_run_group_tests(tests, setup_keys, teardown_keys);
}
