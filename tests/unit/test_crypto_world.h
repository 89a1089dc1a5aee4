/*
 * test_crypto_world.h - a small world for tests of AUTH: root -> intermediate -> leaves, a key
 * store that holds them, and jobs run in it.
 */
#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/openssl/crypto_openssl.h"
#include "crypto/openssl/internal.h"
#include "unit/test_crypto_pki.h"

enum { ID_IPV4 = 1, ID_FQDN = 2, ID_RFC822 = 3, ID_IPV6 = 5, ID_DN = 9, ID_GN = 10, ID_KEY = 11 };

#define ALL_HASHES                                                                                 \
	(1 << CRYPTO_SHA2_256 | 1 << CRYPTO_SHA2_384 | 1 << CRYPTO_SHA2_512 | 1 << CRYPTO_IDENTITY)
#define LEAF_SAN "DNS:site-b.example, email:Admin@Site-B.example, IP:192.0.2.7, IP:2001:db8::7"

/* One CA hierarchy for most tests: root -> intermediate -> leaf. */
static struct {
	struct crypto_store *store;
	EVP_PKEY *root_key, *inter_key, *leaf_key, *leaf384_key, *other_key;
	X509 *root, *inter, *leaf, *leaf384;
	crypto_ref trust, key, key384;
} w;

static struct bytes octets; /* what AUTH signs, unless a test says otherwise */

static inline crypto_ref add_key(EVP_PKEY *key)
{
	const struct crypto_file file = { "key", pki_pem_key(key, NULL) };
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref ref = 0;

	assert_int_equal(crypto_store_add_key(w.store, &file, &why, &ref), ST_OK);
	return ref;
}

static inline crypto_ref add_trust(X509 *cert)
{
	const struct crypto_file file = { "trust", pki_pem_certs(&cert, 1) };
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref ref = 0;

	assert_int_equal(crypto_store_add_trust(w.store, &file, 1, NULL, &why, &ref), ST_OK);
	return ref;
}

static inline int setup(void **state)
{
	(void)state;
	octets = bytes_str("the octets that are signed");
	if (crypto_store_new(&w.store) != ST_OK)
		return -1;
	w.root_key = pki_ec("P-256");
	w.inter_key = pki_ec("P-256");
	w.leaf_key = pki_ec("P-256");
	w.leaf384_key = pki_ec("P-384");
	w.other_key = pki_ec("P-256");
	w.root = pki_cert(&(struct pki_spec){ .name = "Root",
					      .basic = "critical,CA:TRUE",
					      .usage = "critical,keyCertSign,cRLSign",
					      .until = 3650 * PKI_DAY,
					      .key = w.root_key });
	w.inter = pki_cert(&(struct pki_spec){ .name = "Intermediate",
					       .basic = "critical,CA:TRUE,pathlen:0",
					       .usage = "critical,keyCertSign",
					       .from = -2 * PKI_DAY,
					       .until = 100 * PKI_DAY,
					       .key = w.inter_key,
					       .issuer = w.root,
					       .issuer_key = w.root_key });
	w.leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
					      .san = LEAF_SAN,
					      .usage = "critical,digitalSignature",
					      .key = w.leaf_key,
					      .issuer = w.inter,
					      .issuer_key = w.inter_key });
	w.leaf384 = pki_cert(&(struct pki_spec){ .name = "site-c",
						 .san = "DNS:site-b.example",
						 .key = w.leaf384_key,
						 .issuer = w.inter,
						 .issuer_key = w.inter_key });
	w.trust = add_trust(w.root);
	w.key = add_key(w.leaf_key);
	w.key384 = add_key(w.leaf384_key);
	return 0;
}

static inline int teardown(void **state)
{
	EVP_PKEY *keys[] = { w.root_key, w.inter_key, w.leaf_key, w.leaf384_key, w.other_key };
	X509 *certs[] = { w.root, w.inter, w.leaf, w.leaf384 };

	(void)state;
	crypto_store_free(w.store);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		EVP_PKEY_free(keys[i]);
	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		X509_free(certs[i]);
	return 0;
}

/* ---- running ------------------------------------------------------------------------------ */

static inline struct crypto_result run_sign(crypto_ref key, uint8_t method, uint16_t hashes,
					    struct bytes in)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_SIGN, .in.sign = { key, method, hashes, in } };
	struct crypto_result res;

	memset(&res, 0xee, sizeof(res));
	crypto_openssl_run(w.store, &job, &res);
	return res;
}

/* Signs with any key of ours, without the store: for keys that it would refuse. */
static inline size_t sign_any(EVP_PKEY *key, const char *digest, uint8_t *out, size_t cap)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = cap;

	assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_DigestSign(ctx, out, &n, octets.p, octets.n), 1);
	EVP_MD_CTX_free(ctx);
	return n;
}

/* AUTH data of RFC 7427 with the given AlgorithmIdentifier. */
static inline struct bytes auth_data(EVP_PKEY *key, const char *digest, struct bytes alg,
				     uint8_t buf[600])
{
	buf[0] = (uint8_t)alg.n;
	memcpy(buf + 1, alg.p, alg.n);
	return bytes_of(buf, 1 + alg.n + sign_any(key, digest, buf + 1 + alg.n, 500));
}

static inline struct crypto_result run_verify(const struct crypto_verify_in *in)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_VERIFY, .in.verify = *in };
	struct crypto_result res;

	memset(&res, 0xee, sizeof(res));
	crypto_openssl_run(w.store, &job, &res);
	return res;
}

/* The leaf with its intermediate, as site-b.example, now; the caller changes what it tests. */
static struct crypto_verify_in usual(struct bytes leaf, struct bytes inter, struct bytes sig)
{
	return (struct crypto_verify_in){ .trust = w.trust,
					  .certs = { leaf, inter },
					  .n_certs = 2,
					  .id_type = ID_FQDN,
					  .id = bytes_str("site-b.example"),
					  .at = { PKI_NOW },
					  .at_known = true,
					  .method = 14,
					  .signature = sig,
					  .octets = octets };
}

/* Whatever a reason says, the fault says too. */
static inline void assert_fault(const struct crypto_result *r)
{
	static const struct {
		const char *words;
		enum crypto_fault fault;
	} rows[] = {
		{ "was revoked on", CRYPTO_FAULT_REVOKED },
		{ "is out of date since", CRYPTO_FAULT_DATES },
		{ "\" expired ", CRYPTO_FAULT_DATES },
		{ "is not valid before", CRYPTO_FAULT_DATES },
		{ "clock is not trusted", CRYPTO_FAULT_DATES },
		{ "there is no CRL of", CRYPTO_FAULT_CERTIFICATE },
		{ "neither a trust anchor", CRYPTO_FAULT_CERTIFICATE },
		{ "key usage of", CRYPTO_FAULT_CERTIFICATE },
		{ "address blocks of", CRYPTO_FAULT_CERTIFICATE },
		{ ", peer claims ", CRYPTO_FAULT_IDENTITY },
		{ "AUTH does not verify", CRYPTO_FAULT_SIGNATURE },
		{ "auth method", CRYPTO_FAULT_SIGNATURE },
	};

	for (size_t i = 0; r->kind == CRYPTO_JOB_VERIFY && i < ARRAY_LEN(rows); i++)
		if (strstr(r->reason, rows[i].words) && r->fault != rows[i].fault)
			fail_msg("fault %d for \"%s\"", r->fault, r->reason);
	if ((r->fault != CRYPTO_FAULT_NONE) != (r->kind == CRYPTO_JOB_VERIFY))
		fail_msg("fault %d for \"%s\"", r->fault, r->reason);
}

/* Refused, with `phrase` in the reason and nothing else in the result. */
static inline void assert_refused(const struct crypto_result *r, const char *phrase)
{
	static const struct crypto_result zero;

	if (r->status != ST_REFUSE || !strstr(r->reason, phrase))
		fail_msg("%s \"%s\", wanted \"%s\"", status_name(r->status), r->reason, phrase);
	assert_memory_equal(&r->cert, &zero.cert, sizeof(zero.cert));
	assert_memory_equal(&r->auth, &zero.auth, sizeof(zero.auth));
	assert_fault(r);
}

static inline void assert_accepted(const struct crypto_result *r)
{
	if (r->status != ST_OK)
		fail_msg("%s \"%s\"", status_name(r->status), r->reason);
	assert_string_equal(r->reason, "");
	assert_int_equal(r->fault, CRYPTO_FAULT_NONE);
}

/* Verifies the certificates given with a good signature by `key`, as FQDN site-b.example. */
static inline struct crypto_result verify_certs(crypto_ref trust, EVP_PKEY *key, X509 *const *certs,
						size_t n)
{
	uint8_t buf[600];
	struct crypto_verify_in in = usual((struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 },
					   auth_data(key, "SHA256",
						     crypto_sigalg_der((struct crypto_sigalg){
							     CRYPTO_ECDSA, CRYPTO_SHA2_256 }),
						     buf));
	struct crypto_result res;

	in.trust = trust;
	in.n_certs = n;
	for (size_t i = 0; i < n; i++)
		in.certs[i] = pki_der(certs[i]);
	res = run_verify(&in);
	for (size_t i = 0; i < n; i++)
		pki_free(in.certs[i]);
	return res;
}

/* Makes a certificate for leaf_key by `s` (its issuer: the intermediate unless given). */
static inline struct crypto_result verify_leaf(struct pki_spec s)
{
	struct crypto_result res;
	X509 *certs[2];

	if (!s.issuer) {
		s.issuer = w.inter;
		s.issuer_key = w.inter_key;
	}
	s.name = s.name ? s.name : "site-b";
	s.san = s.san ? s.san : "DNS:site-b.example";
	s.key = s.key ? s.key : w.leaf_key;
	certs[0] = pki_cert(&s);
	certs[1] = w.inter;
	res = verify_certs(w.trust, w.leaf_key, certs, 2);
	X509_free(certs[0]);
	return res;
}
