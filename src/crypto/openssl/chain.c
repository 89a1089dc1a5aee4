/*
 * chain.c - our own certificates, and whether a key belongs to them.
 */
#include "crypto/openssl/internal.h"

static enum status cert_keep(struct crypto_store *s, X509 *cert, struct bytes *ret_der)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);
	enum status st = n > 0 ? blob_add(s, bytes_of(der, (size_t)n), ret_der) : ST_NOMEM;

	OPENSSL_free(der);
	return st;
}

static enum status chain_keep(struct crypto_store *s, const struct crypto_file *file,
			      STACK_OF(X509) * certs, struct text *why,
			      struct crypto_chain *ret_chain)
{
	struct crypto_chain chain = { .n = (size_t)sk_X509_num(certs) };

	if (chain.n > CRYPTO_CERTS_MAX) {
		text_fmt(why, "%s: %zu certificates, at most %d can be sent", file->name, chain.n,
			 CRYPTO_CERTS_MAX);
		return ST_INVAL;
	}
	for (size_t i = 0; i < chain.n; i++) {
		X509 *cert = sk_X509_value(certs, (int)i);
		wall_t until = asn1_wall(X509_get0_notAfter(cert));
		enum status st = cert_keep(s, cert, &chain.certs[i]);

		if (st != ST_OK)
			return st;
		if (i == 0 || until.s < chain.not_after.s)
			chain.not_after = until;
	}
	*ret_chain = chain;
	return ST_OK;
}

enum status crypto_store_load_chain(struct crypto_store *s, const struct crypto_file *file,
				    struct text *why, struct crypto_chain *ret_chain)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	enum status st;

	if (!certs)
		return ST_NOMEM;
	st = pem_load_certs(file, certs, why);
	if (st == ST_OK)
		st = chain_keep(s, file, certs, why, ret_chain);
	sk_X509_pop_free(certs, X509_free);
	return st;
}

static void explain_mismatch(const struct key_entry *key, X509 *cert, EVP_PKEY *pub,
			     struct text *why)
{
	text_add(why, "private key (");
	key_describe(key->pkey, why);
	text_add(why, ") is not that of certificate \"");
	explain_name(X509_get_subject_name(cert), why);
	text_add(why, "\" (");
	if (pub)
		key_describe(pub, why);
	text_add(why, ")");
}

enum status crypto_store_match(struct crypto_store *s, crypto_ref key,
			       const struct crypto_chain *chain, struct text *why)
{
	const struct entry *e = store_find(s, key, ENTRY_KEY);
	enum status st = ST_OK;
	const uint8_t *p;
	EVP_PKEY *pub;
	X509 *cert;

	if (!e || chain->n == 0) {
		text_add(why, "no private key, or no certificate");
		return ST_INVAL;
	}
	p = chain->certs[0].p;
	cert = d2i_X509(NULL, &p, (long)chain->certs[0].n);
	if (!cert)
		return libcrypto_status(ST_INVAL);
	pub = X509_get0_pubkey(cert);
	if (!pub || EVP_PKEY_eq(e->key.pkey, pub) != 1) {
		explain_mismatch(&e->key, cert, pub, why);
		st = ST_INVAL;
	}
	X509_free(cert);
	return st;
}
