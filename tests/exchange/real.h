/*
 * real.h - libcrypto in place of the fake provider, with keys and certificates of its own (include
 * after exchange.h).
 */
#pragma once

#include "crypto/openssl/crypto_openssl.h"
#include "harness/harness.h"
#include "unit/test_crypto_pki.h"

/* One store for both ends: references are the same numbers there. */
struct real {
	struct crypto_openssl *ops;
	struct crypto_store *store;
	struct node_provider provider;
};

static inline void run_job(void *ctx, const struct crypto_job *job, struct crypto_result *ret)
{
	crypto_openssl_run(ctx, job, ret);
}

static inline int setup_real(void **state)
{
	static struct real r;

	if (crypto_openssl_new(&r.ops) != ST_OK || crypto_store_new(&r.store) != ST_OK)
		return -1;
	r.provider = (struct node_provider){ crypto_openssl_ops(r.ops), run_job, r.store };
	*state = &r;
	return 0;
}

static inline int teardown_real(void **state)
{
	struct real *r = *state;

	crypto_store_free(r->store);
	crypto_openssl_free(r->ops);
	return 0;
}

/* The beginning of the world, seen from PKI_NOW. */
#define BEGIN (WORLD_WALL - PKI_NOW)

struct ca {
	EVP_PKEY *key;
	X509 *cert;
	crypto_ref trust;
};

static inline struct ca make_ca(const struct real *r, const char *name)
{
	struct ca ca = { .key = pki_ec("P-384") };
	struct crypto_file file;
	char buf[200];
	struct text why = TEXT_OF(buf);

	ca.cert = pki_cert(&(struct pki_spec){ .name = name,
					       .basic = "critical,CA:TRUE",
					       .usage = "critical,keyCertSign,cRLSign",
					       .blocks = "IPv4:0.0.0.0/0",
					       .from = BEGIN - PKI_DAY,
					       .key = ca.key });
	file = (struct crypto_file){ "ca", pki_pem_certs(&ca.cert, 1) };
	assert_int_equal(crypto_store_add_trust(r->store, &file, 1, NULL, &why, &ca.trust), ST_OK);
	return ca;
}

static inline void free_ca(struct ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

/* Puts a key and a certificate for `san`, and for these address blocks, into the peer's
 * configuration. */
static inline void certify_key(const struct real *r, struct test_conf *c,
			       struct ike_peer_conf *peer, const struct ca *ca,
			       const struct ca *trust, EVP_PKEY *key, const char *san,
			       const char *blocks, int64_t until)
{
	X509 *cert = pki_cert(&(struct pki_spec){ .name = san,
						  .san = san,
						  .blocks = blocks,
						  .from = BEGIN - PKI_DAY,
						  .until = until,
						  .key = key,
						  .issuer = ca->cert,
						  .issuer_key = ca->key });
	struct bytes der = pki_der(cert);
	const struct crypto_file file = { "key", pki_pem_key(key, NULL) };
	char buf[200];
	struct text why = TEXT_OF(buf);

	assert_int_equal(crypto_store_add_key(r->store, &file, &why, &peer->key), ST_OK);
	peer->auth = IKE_AUTH_CERT;
	peer->certs[0] = test_conf_dup(c, der);
	peer->n_certs = 1;
	peer->trust = trust->trust;
	assert_int_equal(crypto_store_trust_hashes(r->store, peer->trust, &peer->trust_hashes),
			 ST_OK);
	pki_free(der);
	X509_free(cert);
}

/* The same with a fresh key. */
static inline void certify(const struct real *r, struct test_conf *c, struct ike_peer_conf *peer,
			   const struct ca *ca, const struct ca *trust, const char *curve,
			   const char *san, int64_t until)
{
	EVP_PKEY *key = pki_ec(curve);

	certify_key(r, c, peer, ca, trust, key, san, NULL, until);
	EVP_PKEY_free(key);
}
