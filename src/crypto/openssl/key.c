#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "crypto/openssl/internal.h"

bool key_has_explicit_parameters(const EVP_PKEY *key)
{
	int is_explicit = 0;

	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				      &is_explicit) == 1 &&
	       is_explicit;
}

bool key_kind_of(const EVP_PKEY *key, struct key_kind *ret_kind)
{
	struct key_kind k = { 0 };

	/* A key that its certificate keeps to RSASSA-PSS, with parameters that it may set. */
	if (EVP_PKEY_is_a(key, "RSA-PSS"))
		return false;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		k.type = KEY_EC;
		k.curve = curve_of_key(key);
		break;
	case EVP_PKEY_RSA:
		k.type = KEY_RSA;
		k.bits = (unsigned)EVP_PKEY_get_bits(key);
		break;
	case EVP_PKEY_ED25519: k.type = KEY_ED25519; break;
	case EVP_PKEY_ED448: k.type = KEY_ED448; break;
	default: return false;
	}
	if ((k.type == KEY_EC && !k.curve) ||
	    (k.type == KEY_RSA && (k.bits < RSA_BITS_MIN || k.bits > RSA_BITS_MAX)))
		return false;
	*ret_kind = k;
	return true;
}

bool key_kind_signs(const struct key_kind *k, enum crypto_scheme scheme)
{
	switch (scheme) {
	case CRYPTO_ECDSA: return k->type == KEY_EC;
	case CRYPTO_RSA_PKCS1:
	case CRYPTO_RSA_PSS: return k->type == KEY_RSA;
	case CRYPTO_ED25519: return k->type == KEY_ED25519;
	case CRYPTO_ED448: return k->type == KEY_ED448;
	}
	return false;
}

void key_describe(const EVP_PKEY *key, struct text *t)
{
	const struct curve *c = curve_of_key(key);
	const char *type = EVP_PKEY_get0_type_name(key);
	char group[64];

	if (c)
		text_fmt(t, "EC %s", c->name);
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		text_add(t, "Ed25519");
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED448)
		text_add(t, "Ed448");
	else if (key_has_explicit_parameters(key))
		text_add(t, "EC with explicit parameters");
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		 EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
		text_fmt(t, "EC %s", group);
	else
		text_fmt(t, "%s of %d bits", type ? type : "unknown", EVP_PKEY_get_bits(key));
}

const char *hash_name(uint16_t hash)
{
	switch (hash) {
	case CRYPTO_SHA1: return "SHA-1";
	case CRYPTO_SHA2_256: return "SHA2-256";
	case CRYPTO_SHA2_384: return "SHA2-384";
	case CRYPTO_SHA2_512: return "SHA2-512";
	case CRYPTO_IDENTITY: return "identity";
	default: return "unknown hash";
	}
}

void auth_text(struct text *t, const struct key_kind *k, struct crypto_sigalg alg)
{
	const char *hash = alg.hash == CRYPTO_SHA2_256   ? "sha256"
			   : alg.hash == CRYPTO_SHA2_384 ? "sha384"
							 : "sha512";

	switch (alg.scheme) {
	case CRYPTO_ECDSA: text_fmt(t, "%s-%s", k->curve->auth, hash); break;
	case CRYPTO_RSA_PKCS1: text_fmt(t, "rsa-%u-%s", k->bits, hash); break;
	case CRYPTO_RSA_PSS: text_fmt(t, "rsa-%u-pss-%s", k->bits, hash); break;
	case CRYPTO_ED25519: text_add(t, "ed25519"); break;
	case CRYPTO_ED448: text_add(t, "ed448"); break;
	}
}

static const EVP_MD *md_of(uint16_t hash)
{
	switch (hash) {
	case CRYPTO_SHA2_256: return EVP_sha256();
	case CRYPTO_SHA2_384: return EVP_sha384();
	default: return EVP_sha512();
	}
}

/* PSS: the mask's hash is the message's, and the salt as long as it, both ways. */
enum status rsa_padding(EVP_PKEY_CTX *ctx, struct crypto_sigalg alg)
{
	bool is_pss = alg.scheme == CRYPTO_RSA_PSS;
	const EVP_MD *md = md_of(alg.hash);

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, is_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) !=
		    1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
		return ST_BUG;
	if (is_pss && (EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1 ||
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) != 1))
		return ST_BUG;
	return ST_OK;
}
