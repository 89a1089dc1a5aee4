/*
 * Private keys: what they may be, and how one is made.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "pki/internal.h"

enum {
	KEY_PEM_MAX = 16 << 10,
	RSA_BITS_MIN = 2048, /* RFC 8247 section 3.1.1 */
	RSA_BITS_MAX = 8192,
	RSA_BITS_SHA256 = 3072, /* what longer keys are worth, SHA-256 is not */
};

static const char ACCEPTED[] = "EC P-256, P-384, P-521, RSA of 2048 to 8192 bits and Ed25519 are "
			       "accepted";

static const struct {
	const char *name; /* for libcrypto and people */
	const char *group; /* as libcrypto gives it back */
	const EVP_MD *(*digest)(void);
} curves[] = {
	{ "P-256", "prime256v1", EVP_sha256 },
	{ "P-384", "secp384r1", EVP_sha384 },
	{ "P-521", "secp521r1", EVP_sha512 },
};

/* What can be made. */
static const struct {
	const char *word; /* as an option */
	const char *type;
	const char *curve;
	size_t bits;
} types[] = {
	{ "ecdsa-p256", "EC", "P-256", 0 }, { "ecdsa-p384", "EC", "P-384", 0 },
	{ "ecdsa-p521", "EC", "P-521", 0 }, { "rsa-2048", "RSA", NULL, 2048 },
	{ "rsa-3072", "RSA", NULL, 3072 },  { "rsa-4096", "RSA", NULL, 4096 },
	{ "ed25519", "ED25519", NULL, 0 },
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
	else if (EVP_PKEY_is_a(pkey, "ED25519"))
		text_add(t, "Ed25519");
	else
		text_fmt(t, "%s of %d bits", type ? type : "unknown", EVP_PKEY_get_bits(pkey));
}

static bool acceptable(const EVP_PKEY *pkey)
{
	int bits = EVP_PKEY_get_bits(pkey);

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
	return EVP_PKEY_is_a(pkey, "ED25519") || (curve_of(pkey) >= 0 && !spelled_out(pkey));
}

enum status key_check(const EVP_PKEY *pkey, const char *what, struct text *why)
{
	if (pkey && acceptable(pkey))
		return ST_OK;
	text_fmt(why, "%s is ", what);
	if (pkey)
		key_text(pkey, why);
	else
		text_add(why, "unreadable");
	text_fmt(why, "; %s", ACCEPTED);
	ERR_clear_error();
	return ST_INVAL;
}

const EVP_MD *key_digest(const EVP_PKEY *pkey)
{
	int curve = curve_of(pkey);

	if (curve >= 0)
		return curves[curve].digest();
	if (EVP_PKEY_is_a(pkey, "ED25519"))
		return NULL;
	return EVP_PKEY_get_bits(pkey) <= RSA_BITS_SHA256 ? EVP_sha256() : EVP_sha384();
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

static enum status unknown_type(const char *type, struct text *why)
{
	text_add(why, "unknown type of key \"");
	text_quote(why, bytes_str(type));
	text_add(why, "\"; accepted:");
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		text_fmt(why, "%s %s", i ? "," : "", types[i].word);
	return ST_INVAL;
}

enum status pki_key_new(const char *type, struct text *why, struct pki_key **ret_key)
{
	EVP_PKEY *pkey;
	size_t i = 0;

	if (!type)
		type = PKI_KEY_TYPE;
	while (i < ARRAY_LEN(types) && strcmp(types[i].word, type) != 0)
		i++;
	if (i == ARRAY_LEN(types))
		return unknown_type(type, why);
	if (types[i].curve)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, types[i].type, types[i].curve);
	else if (types[i].bits)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, types[i].type, types[i].bits);
	else
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, types[i].type);
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
