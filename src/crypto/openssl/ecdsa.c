#include <openssl/core_names.h>
#include <openssl/objects.h>

#include "crypto/openssl/internal.h"

const struct curve curves[CURVES] = {
	{ CRYPTO_ECP_256, CRYPTO_SHA2_256, AUTH_ECDSA_256, 32, NID_X9_62_prime256v1, "P-256",
	  "ecdsa-p256" },
	{ CRYPTO_ECP_384, CRYPTO_SHA2_384, AUTH_ECDSA_384, 48, NID_secp384r1, "P-384",
	  "ecdsa-p384" },
	{ CRYPTO_ECP_521, CRYPTO_SHA2_512, AUTH_ECDSA_521, 66, NID_secp521r1, "P-521",
	  "ecdsa-p521" },
};

const struct curve *curve_by_group(uint16_t group)
{
	for (size_t i = 0; i < CURVES; i++) {
		if (curves[i].group == group)
			return &curves[i];
	}
	return NULL;
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
