/*
 * trust.c - trust anchors, and the CRLs that go with them.
 */
#include "crypto/openssl/internal.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

/* 112 bits: RSA below 2048 bits and SHA-1 are refused anywhere in a path. */
enum { AUTH_LEVEL = 2 };

enum { SHA1_LEN = 20 };

/* RFC 7296 section 3.7: SHA-1 over the SubjectPublicKeyInfo of each, one after the other. */
static enum status trust_hash(struct trust_entry *t)
{
	size_t n = (size_t)sk_X509_num(t->certs);
	uint8_t *p = calloc(n, SHA1_LEN);

	if (!p)
		return ST_NOMEM;
	t->hashes = bytes_of(p, n * SHA1_LEN);
	for (int i = 0; i < (int)n; i++) {
		uint8_t *der = NULL;
		X509 *cert = sk_X509_value(t->certs, i);
		int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
		bool ok = len > 0 && EVP_Q_digest(NULL, "SHA1", NULL, der, (size_t)len,
						  p + (size_t)i * SHA1_LEN, NULL) == 1;

		OPENSSL_free(der);
		if (!ok)
			return libcrypto_status(ST_IO);
	}
	return ST_OK;
}

/*
 * An anchor is trusted by itself: it need not be self-signed, nor a CA (a peer's own certificate
 * may be configured), hence PARTIAL_CHAIN.
 */
static enum status trust_prepare(struct trust_entry *t)
{
	X509_VERIFY_PARAM *param;

	t->anchors = X509_STORE_new();
	if (!t->anchors)
		return ST_NOMEM;
	for (int i = 0; i < sk_X509_num(t->certs); i++) {
		X509 *cert = sk_X509_value(t->certs, i);

		/* Fills libcrypto's cache of extensions now, before threads share the object. */
		(void)X509_check_purpose(cert, -1, 0);
		if (X509_STORE_add_cert(t->anchors, cert) != 1)
			return libcrypto_status(ST_IO);
	}
	param = X509_STORE_get0_param(t->anchors);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	X509_VERIFY_PARAM_set_depth(param, CRYPTO_CERTS_MAX);
	if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return ST_NOMEM;
	return trust_hash(t);
}

static enum status trust_load(struct trust_entry *t, const struct crypto_file *files, size_t n,
			      struct text *why)
{
	t->certs = sk_X509_new_null();
	if (!t->certs)
		return ST_NOMEM;
	if (n == 0) {
		text_add(why, "no file of trust anchors given");
		return ST_INVAL;
	}
	for (size_t i = 0; i < n; i++) {
		enum status st = pem_load_certs(&files[i], t->certs, why);

		if (st != ST_OK)
			return st;
	}
	return trust_prepare(t);
}

enum status crypto_store_add_trust(struct crypto_store *s, const struct crypto_file *files,
				   size_t n, const struct crypto_file *crl, struct text *why,
				   crypto_ref *ret_ref)
{
	struct entry *e;
	enum status st = entry_new(ENTRY_TRUST, &e);

	if (st != ST_OK)
		return st;
	st = trust_load(&e->trust, files, n, why);
	if (st == ST_OK && crl)
		st = crl_load(&e->trust, crl, why);
	if (st != ST_OK) {
		entry_free(e);
		return st;
	}
	return entry_add(s, e, ret_ref);
}

enum status crypto_store_trust_hashes(struct crypto_store *s, crypto_ref trust,
				      struct bytes *ret_hashes)
{
	const struct entry *e = store_find(s, trust, ENTRY_TRUST);

	if (!e)
		return ST_INVAL;
	*ret_hashes = e->trust.hashes;
	return ST_OK;
}

enum status crypto_store_revoked(struct crypto_store *s, crypto_ref trust,
				 const uint8_t (**ret_ids)[CRYPTO_REVOCATION_ID], size_t *ret_n)
{
	const struct entry *e = store_find(s, trust, ENTRY_TRUST);

	if (!e)
		return ST_INVAL;
	*ret_ids = (const uint8_t(*)[CRYPTO_REVOCATION_ID])e->trust.revoked;
	*ret_n = e->trust.n_revoked;
	return ST_OK;
}
