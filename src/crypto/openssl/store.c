#include <openssl/core_names.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "crypto/openssl/internal.h"

/* Memory handed out as a view, alive as long as the store. */
struct blob {
	struct blob *next;
	size_t n;
	uint8_t b[];
};

/* 112 bits: RSA below 2048 bits and SHA-1 are refused anywhere in a path. */
enum { AUTH_LEVEL = 2 };

enum status crypto_store_new(struct crypto_store **ret_store)
{
	struct crypto_store *s = calloc(1, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	pthread_mutex_init(&s->lock, NULL);
	for (size_t i = 0; i < CURVES; i++) {
		s->groups[i] = EC_GROUP_new_by_curve_name(curves[i].nid);
		if (!s->groups[i]) {
			crypto_store_free(s);
			return libcrypto_status(ST_IO);
		}
	}
	*ret_store = s;
	return ST_OK;
}

/* ---- kits --------------------------------------------------------------------------------- */

static void kit_free(struct kit *k)
{
	crypto_openssl_free(k->ops);
	EVP_PKEY_CTX_free(k->x25519_keygen);
	EVP_PKEY_CTX_free(k->x25519_import);
	free(k);
}

static enum status kit_new(struct kit **ret_kit)
{
	struct kit *k = calloc(1, sizeof(*k));
	enum status st;

	if (!k)
		return ST_NOMEM;
	st = crypto_openssl_new(&k->ops);
	k->x25519_keygen = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	k->x25519_import = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	if (st == ST_OK && (!k->x25519_keygen || EVP_PKEY_keygen_init(k->x25519_keygen) != 1 ||
			    !k->x25519_import || EVP_PKEY_fromdata_init(k->x25519_import) != 1))
		st = libcrypto_status(ST_IO);
	if (st != ST_OK) {
		kit_free(k);
		return st;
	}
	*ret_kit = k;
	return ST_OK;
}

enum status kit_take(struct crypto_store *s, struct kit **ret_kit)
{
	struct kit *k;

	pthread_mutex_lock(&s->lock);
	k = s->idle;
	if (k)
		s->idle = k->next;
	pthread_mutex_unlock(&s->lock);
	if (!k)
		return kit_new(ret_kit);
	*ret_kit = k;
	return ST_OK;
}

void kit_give(struct crypto_store *s, struct kit *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&s->lock);
	k->next = s->idle;
	s->idle = k;
	pthread_mutex_unlock(&s->lock);
}

const EC_GROUP *store_group(const struct crypto_store *s, const struct curve *c)
{
	return s->groups[c - curves];
}

/* ---- entries ------------------------------------------------------------------------------ */

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	EVP_PKEY_CTX_free(e->key.signer);
	EVP_PKEY_free(e->key.pkey);
	if (e->psk.p)
		mem_free_secret(&mem_libc, (void *)(uintptr_t)e->psk.p, e->psk.n);
	X509_STORE_free(e->trust.anchors);
	sk_X509_pop_free(e->trust.certs, X509_free);
	free((void *)(uintptr_t)e->trust.hashes.p);
	free(e);
}

void crypto_store_free(struct crypto_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_entries; i++)
		entry_free(s->entries[i]);
	free(s->entries);
	while (s->blobs) {
		struct blob *b = s->blobs;

		s->blobs = b->next;
		free(b);
	}
	while (s->idle) {
		struct kit *k = s->idle;

		s->idle = k->next;
		kit_free(k);
	}
	for (size_t i = 0; i < CURVES; i++)
		EC_GROUP_free(s->groups[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Takes over `e` in any case. */
static enum status entry_add(struct crypto_store *s, struct entry *e, crypto_ref *ret_ref)
{
	struct entry **grown;

	pthread_mutex_lock(&s->lock);
	grown = reallocarray(s->entries, s->n_entries + 1, sizeof(struct entry *));
	if (grown) {
		s->entries = grown;
		s->entries[s->n_entries++] = e;
		*ret_ref = (crypto_ref)s->n_entries;
	}
	pthread_mutex_unlock(&s->lock);
	if (!grown)
		entry_free(e);
	return grown ? ST_OK : ST_NOMEM;
}

static enum status entry_new(enum entry_kind kind, struct entry **ret_entry)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return ST_NOMEM;
	e->kind = kind;
	*ret_entry = e;
	return ST_OK;
}

const struct entry *store_find(struct crypto_store *s, crypto_ref ref, enum entry_kind kind)
{
	const struct entry *e = NULL;

	pthread_mutex_lock(&s->lock);
	if (ref > 0 && ref <= s->n_entries)
		e = s->entries[ref - 1];
	pthread_mutex_unlock(&s->lock);
	return e && e->kind == kind ? e : NULL;
}

/* ---- private keys and pre-shared keys ----------------------------------------------------- */

static enum status key_prepare(struct key_entry *k, const char *path, struct text *why)
{
	k->curve = curve_of_key(k->pkey);
	if (!k->curve) {
		text_fmt(why, "%s: the private key is ", path);
		key_describe(k->pkey, why);
		text_add(why, "; EC P-256 or P-384 is needed");
		return ST_INVAL;
	}
	k->signer = EVP_PKEY_CTX_new(k->pkey, NULL);
	if (!k->signer || EVP_PKEY_sign_init(k->signer) != 1) {
		text_fmt(why, "%s: libcrypto cannot sign with this key", path);
		return libcrypto_status(ST_IO);
	}
	return ST_OK;
}

enum status crypto_store_add_key(struct crypto_store *s, const char *path, struct text *why,
				 crypto_ref *ret_ref)
{
	struct entry *e;
	enum status st = entry_new(ENTRY_KEY, &e);

	if (st != ST_OK)
		return st;
	st = pem_load_key(path, why, &e->key.pkey);
	if (st == ST_OK)
		st = key_prepare(&e->key, path, why);
	if (st != ST_OK) {
		entry_free(e);
		return st;
	}
	return entry_add(s, e, ret_ref);
}

enum status crypto_store_add_psk(struct crypto_store *s, struct bytes psk, crypto_ref *ret_ref)
{
	struct entry *e;
	enum status st;

	/* An empty secret is one that everybody knows. */
	if (psk.n == 0)
		return ST_INVAL;
	st = entry_new(ENTRY_PSK, &e);
	if (st != ST_OK)
		return st;
	st = mem_dup(&mem_libc, psk, &e->psk);
	if (st != ST_OK) {
		entry_free(e);
		return st;
	}
	return entry_add(s, e, ret_ref);
}

/* ---- trust anchors ------------------------------------------------------------------------ */

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

static enum status trust_load(struct trust_entry *t, const char *const *paths, size_t n,
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
		enum status st = pem_load_certs(paths[i], t->certs, why);

		if (st != ST_OK)
			return st;
	}
	return trust_prepare(t);
}

enum status crypto_store_add_trust(struct crypto_store *s, const char *const *paths, size_t n,
				   struct text *why, crypto_ref *ret_ref)
{
	struct entry *e;
	enum status st = entry_new(ENTRY_TRUST, &e);

	if (st != ST_OK)
		return st;
	st = trust_load(&e->trust, paths, n, why);
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

/* ---- certificate chains ------------------------------------------------------------------- */

static enum status blob_add(struct crypto_store *s, X509 *cert, struct bytes *ret_der)
{
	int n = i2d_X509(cert, NULL);
	struct blob *b = n > 0 ? malloc(sizeof(*b) + (size_t)n) : NULL;
	uint8_t *p;

	if (!b)
		return ST_NOMEM;
	p = b->b;
	b->n = (size_t)i2d_X509(cert, &p);
	pthread_mutex_lock(&s->lock);
	b->next = s->blobs;
	s->blobs = b;
	pthread_mutex_unlock(&s->lock);
	*ret_der = bytes_of(b->b, b->n);
	return ST_OK;
}

static enum status chain_keep(struct crypto_store *s, const char *path, STACK_OF(X509) * certs,
			      struct text *why, struct crypto_chain *ret_chain)
{
	struct crypto_chain chain = { .n = (size_t)sk_X509_num(certs) };

	if (chain.n > CRYPTO_CERTS_MAX) {
		text_fmt(why, "%s: %zu certificates, at most %d can be sent", path, chain.n,
			 CRYPTO_CERTS_MAX);
		return ST_INVAL;
	}
	for (size_t i = 0; i < chain.n; i++) {
		enum status st = blob_add(s, sk_X509_value(certs, (int)i), &chain.certs[i]);

		if (st != ST_OK)
			return st;
	}
	*ret_chain = chain;
	return ST_OK;
}

enum status crypto_store_load_chain(struct crypto_store *s, const char *path, struct text *why,
				    struct crypto_chain *ret_chain)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	enum status st;

	if (!certs)
		return ST_NOMEM;
	st = pem_load_certs(path, certs, why);
	if (st == ST_OK)
		st = chain_keep(s, path, certs, why, ret_chain);
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
