#include <openssl/core_names.h>
#include <openssl/objects.h>

#include "crypto/openssl/internal.h"

const struct curve curves[CURVES] = {
	{ CRYPTO_ECP_256, CRYPTO_SHA2_256, AUTH_ECDSA_256, 32, NID_X9_62_prime256v1, "P-256",
	  "ecdsa-p256" },
	{ CRYPTO_ECP_384, CRYPTO_SHA2_384, AUTH_ECDSA_384, 48, NID_secp384r1, "P-384",
	  "ecdsa-p384" },
};

const struct curve *curve_by_group(uint16_t group)
{
	for (size_t i = 0; i < CURVES; i++) {
		if (curves[i].group == group)
			return &curves[i];
	}
	return NULL;
}

bool key_has_explicit_parameters(const EVP_PKEY *key)
{
	int is_explicit = 0;

	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				      &is_explicit) == 1 &&
	       is_explicit;
}

const struct curve *curve_of_key(const EVP_PKEY *key)
{
	char group[64];
	int nid;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || key_has_explicit_parameters(key) ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return NULL;
	nid = OBJ_txt2nid(group);
	for (size_t i = 0; i < CURVES; i++) {
		if (curves[i].nid == nid)
			return &curves[i];
	}
	return NULL;
}

void key_describe(const EVP_PKEY *key, struct text *t)
{
	const struct curve *c = curve_of_key(key);
	const char *type = EVP_PKEY_get0_type_name(key);
	char group[64];

	if (c)
		text_fmt(t, "EC %s", c->name);
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

/* ---- AlgorithmIdentifiers: RFC 7427 appendix A.3 ------------------------------------------ */

static const uint8_t with_sha256[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
				       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
static const uint8_t with_sha384[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
				       0x48, 0xce, 0x3d, 0x04, 0x03, 0x03 };
static const uint8_t with_sha512[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
				       0x48, 0xce, 0x3d, 0x04, 0x03, 0x04 };

struct bytes ecdsa_algorithm(uint16_t hash)
{
	switch (hash) {
	case CRYPTO_SHA2_256: return BYTES_OF(with_sha256);
	case CRYPTO_SHA2_384: return BYTES_OF(with_sha384);
	case CRYPTO_SHA2_512: return BYTES_OF(with_sha512);
	default: return (struct bytes){ NULL, 0 };
	}
}

/* The name of an algorithm that we do not take. */
static void explain_algorithm(struct bytes algorithm, struct text *why)
{
	const uint8_t *p = algorithm.p;
	X509_ALGOR *alg = d2i_X509_ALGOR(NULL, &p, (long)algorithm.n);
	const ASN1_OBJECT *oid = NULL;
	char name[80];

	if (alg)
		X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (oid && OBJ_obj2txt(name, sizeof(name), oid, 0) > 0)
		text_fmt(why, "signature algorithm %s is not accepted", name);
	else
		text_add(why, "signature algorithm is not an AlgorithmIdentifier");
	text_add(why, "; ecdsa-with-SHA256, ecdsa-with-SHA384 and ecdsa-with-SHA512 are");
	X509_ALGOR_free(alg);
}

uint16_t ecdsa_algorithm_hash(struct bytes algorithm, struct text *why)
{
	static const uint16_t hashes[] = { CRYPTO_SHA2_256, CRYPTO_SHA2_384, CRYPTO_SHA2_512 };

	/* Section 3 of RFC 7427: compared as a blob with the known ones. */
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		if (bytes_eq(algorithm, ecdsa_algorithm(hashes[i])))
			return hashes[i];
	}
	explain_algorithm(algorithm, why);
	return 0;
}

/* ---- r | s -------------------------------------------------------------------------------- */

static ECDSA_SIG *sig_of_raw(const struct curve *c, struct bytes raw)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.p, c->field, NULL);
	BIGNUM *s = BN_bin2bn(raw.p + c->field, c->field, NULL);

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1)
		return sig;
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return NULL;
}

enum status ecdsa_raw_to_der(const struct curve *c, struct bytes raw, uint8_t *ret_der, size_t cap,
			     size_t *ret_n)
{
	ECDSA_SIG *sig;
	int n;

	if (raw.n != 2u * c->field)
		return ST_REFUSE;
	sig = sig_of_raw(c, raw);
	if (!sig)
		return ST_NOMEM;
	n = i2d_ECDSA_SIG(sig, NULL);
	if (n > 0 && (size_t)n <= cap)
		n = i2d_ECDSA_SIG(sig, &ret_der);
	else
		n = -1;
	ECDSA_SIG_free(sig);
	if (n <= 0)
		return ST_BUG;
	*ret_n = (size_t)n;
	return ST_OK;
}

enum status ecdsa_der_to_raw(const struct curve *c, struct bytes der, uint8_t *ret_raw)
{
	const uint8_t *p = der.p;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
	bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret_raw, c->field) == c->field &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret_raw + c->field, c->field) == c->field;

	ECDSA_SIG_free(sig);
	return ok ? ST_OK : ST_BUG;
}
