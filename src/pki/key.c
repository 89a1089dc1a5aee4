/*
 * Private keys: EC P-256 and P-384.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "pki/internal.h"

enum { KEY_PEM_MAX = 16 << 10 };

static const struct {
	const char *word; /* as an option */
	const char *name; /* for libcrypto and people */
	const char *group; /* as libcrypto gives it back */
	const EVP_MD *(*digest)(void);
} curves[] = {
	{ "p256", "P-256", "prime256v1", EVP_sha256 },
	{ "p384", "P-384", "secp384r1", EVP_sha384 },
};

static int curve_of(const EVP_PKEY *pkey)
{
	char group[32];
	size_t n;

	if (!EVP_PKEY_is_a(pkey, "EC") ||
	    EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
					   &n) != 1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (strcmp(group, curves[i].group) == 0)
			return (int)i;
	return -1;
}

/* RFC 5480 section 2.1.1: named curves only, also where the numbers are those of a named one. */
static bool spelled_out(const EVP_PKEY *pkey)
{
	int explicit = 0;

	return EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				      &explicit) == 1 &&
	       explicit;
}

void key_text(const EVP_PKEY *pkey, struct text *t)
{
	int curve = curve_of(pkey);
	const char *type = EVP_PKEY_get0_type_name(pkey);

	if (curve >= 0)
		text_fmt(t, "EC %s%s", curves[curve].name,
			 spelled_out(pkey) ? " with spelled out parameters" : "");
	else
		text_fmt(t, "%s of %d bits", type ? type : "unknown", EVP_PKEY_get_bits(pkey));
}

enum status key_check(const EVP_PKEY *pkey, const char *what, struct text *why)
{
	if (pkey && curve_of(pkey) >= 0 && !spelled_out(pkey))
		return ST_OK;
	text_fmt(why, "%s is ", what);
	if (pkey)
		key_text(pkey, why);
	else
		text_add(why, "unreadable");
	text_add(why, "; EC P-256 and P-384 are accepted");
	ERR_clear_error();
	return ST_INVAL;
}

const EVP_MD *key_digest(const EVP_PKEY *pkey)
{
	int curve = curve_of(pkey);

	return curve < 0 ? EVP_sha256() : curves[curve].digest();
}

enum status key_hash(EVP_PKEY *pkey, struct text *why, uint8_t ret[static PKI_HASH])
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);

	if (n <= 0)
		return pki_libcrypto("public key", why);
	hash_of(bytes_of(der, (size_t)n), ret);
	OPENSSL_free(der);
	return ST_OK;
}

/* ---- as the caller has them ---------------------------------------------------------------- */

void pki_key_free(struct pki_key *key)
{
	if (key)
		EVP_PKEY_free(key->pkey);
	free(key);
}

/* Takes `pkey`. */
static enum status wrap(EVP_PKEY *pkey, struct pki_key **ret_key)
{
	struct pki_key *key = malloc(sizeof(*key));

	if (!key) {
		EVP_PKEY_free(pkey);
		return ST_NOMEM;
	}
	key->pkey = pkey;
	*ret_key = key;
	return ST_OK;
}

enum status pki_key_new(const char *curve, struct text *why, struct pki_key **ret_key)
{
	EVP_PKEY *pkey;
	size_t i = 0;

	while (i < ARRAY_LEN(curves) && strcmp(curves[i].word, curve) != 0)
		i++;
	if (i == ARRAY_LEN(curves)) {
		text_add(why, "unknown curve \"");
		text_quote(why, bytes_str(curve));
		text_add(why, "\"; accepted: p256, p384");
		return ST_INVAL;
	}
	pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[i].name);
	return pkey ? wrap(pkey, ret_key) : pki_libcrypto("making a key", why);
}

/* Never ask anybody. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	bool *asked = u;

	(void)buf;
	(void)size;
	(void)rwflag;
	*asked = true;
	return -1;
}

enum status pki_key_read(struct bytes pem, struct text *why, struct pki_key **ret_key)
{
	BIO *bio = pem.n <= KEY_PEM_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	bool asked = false;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked) : NULL;
	enum status st;

	BIO_free(bio);
	ERR_clear_error();
	if (!pkey)
		return pki_refuse(why, asked ? "the private key is encrypted; a plain one is needed"
					     : "no PEM private key that can be read");
	st = key_check(pkey, "the private key", why);
	if (st == ST_OK)
		return wrap(pkey, ret_key);
	EVP_PKEY_free(pkey);
	return st;
}

static int write_key(BIO *bio, const void *what)
{
	return PEM_write_bio_PKCS8PrivateKey(bio, what, NULL, NULL, 0, NULL, NULL);
}

enum status pki_key_pem(const struct pki_key *key, struct pki_blob *ret_pem)
{
	char buf[100];
	struct text why = TEXT_OF(buf);

	return pem_of(write_key, key->pkey, &why, ret_pem);
}
