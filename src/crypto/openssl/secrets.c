/*
 * secrets.c - private keys and pre-shared keys, or what stands for them in a store without secrets.
 */
#include "crypto/openssl/internal.h"

#include <openssl/pem.h>
#include <stdlib.h>

static enum status key_prepare(struct key_entry *k, bool public, const char *name, struct text *why)
{
	if (!key_kind_of(k->pkey, &k->kind)) {
		text_fmt(why, "%s: the private key is ", name);
		key_describe(k->pkey, why);
		text_add(why, "; accepted: " KEYS_ACCEPTED);
		return ST_INVAL;
	}
	k->secret = !public;
	if (public || k->kind.type == KEY_ED25519 || k->kind.type == KEY_ED448)
		return ST_OK;
	k->signer = EVP_PKEY_CTX_new(k->pkey, NULL);
	if (!k->signer || EVP_PKEY_sign_init(k->signer) != 1) {
		text_fmt(why, "%s: libcrypto cannot sign with this key", name);
		return libcrypto_status(ST_IO);
	}
	return ST_OK;
}

/* SHA-256 of the SubjectPublicKeyInfo in hexadecimal. */
static enum status key_name(EVP_PKEY *key, char **ret_name)
{
	enum { HASH = 32, TEXT = 2 * HASH + 1 };
	uint8_t *spki = NULL, hash[HASH];
	int n = i2d_PUBKEY(key, &spki);
	bool ok = n > 0 && EVP_Q_digest(NULL, "SHA256", NULL, spki, (size_t)n, hash, NULL) == 1;
	char *name = ok ? malloc(TEXT) : NULL;
	struct text t = { name, 0, TEXT };

	OPENSSL_free(spki);
	if (!name)
		return libcrypto_status(ok ? ST_NOMEM : ST_IO);
	name[0] = '\0';
	text_hex(&t, BYTES_OF(hash));
	*ret_name = name;
	return ST_OK;
}

enum status crypto_store_add_key(struct crypto_store *s, const struct crypto_file *file,
				 struct text *why, crypto_ref *ret_ref)
{
	struct entry *e;
	enum status st = entry_new(ENTRY_KEY, &e);

	if (st != ST_OK)
		return st;
	st = pem_load_key(file, s->public, why, &e->key.pkey);
	if (st == ST_OK)
		st = key_prepare(&e->key, s->public, file->name, why);
	if (st == ST_OK)
		st = key_name(e->key.pkey, &e->name);
	if (st != ST_OK) {
		entry_free(e);
		return st;
	}
	return entry_add(s, e, ret_ref);
}

static enum status add_shared(struct crypto_store *s, enum entry_kind kind, const char *name,
			      struct bytes psk, crypto_ref *ret_ref)
{
	struct entry *e;
	enum status st;

	/* An empty secret is one that everybody knows. */
	if (psk.n == 0 || *name == '\0')
		return ST_INVAL;
	st = entry_new(kind, &e);
	if (st != ST_OK)
		return st;
	e->name = strdup(name);
	if (!e->name)
		st = ST_NOMEM;
	else if (!s->public)
		st = mem_dup(&mem_libc, psk, &e->psk);
	if (st != ST_OK) {
		entry_free(e);
		return st;
	}
	return entry_add(s, e, ret_ref);
}

enum status crypto_store_add_psk(struct crypto_store *s, const char *name, struct bytes psk,
				 crypto_ref *ret_ref)
{
	return add_shared(s, ENTRY_PSK, name, psk, ret_ref);
}

enum status crypto_store_add_ppk(struct crypto_store *s, const char *name, struct bytes ppk,
				 crypto_ref *ret_ref)
{
	return add_shared(s, ENTRY_PPK, name, ppk, ret_ref);
}

enum status crypto_store_public_pem(const struct crypto_store *s, crypto_ref key, char **ret_pem,
				    size_t *ret_n)
{
	const struct entry *e = store_find(s, key, ENTRY_KEY);
	BIO *bio = e ? BIO_new(BIO_s_mem()) : NULL;
	enum status st = e ? libcrypto_status(ST_IO) : ST_INVAL;
	char *p, *copy;
	long n;

	if (bio && PEM_write_bio_PUBKEY(bio, e->key.pkey) == 1) {
		n = BIO_get_mem_data(bio, &p);
		copy = n > 0 ? malloc((size_t)n) : NULL;
		st = copy ? ST_OK : ST_NOMEM;
		if (copy) {
			memcpy(copy, p, (size_t)n);
			*ret_pem = copy;
			*ret_n = (size_t)n;
		}
	}
	BIO_free(bio);
	return st;
}
