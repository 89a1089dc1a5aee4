#include "policy/keywords.h"

#include "crypto/crypto.h"

/* The first word of a transform is the one we print. */
static const struct policy_keyword keywords[] = {
	{ "aes128gcm16", WIRE_T_ENCR, CRYPTO_AES_GCM_16, 128, false },
	{ "aes192gcm16", WIRE_T_ENCR, CRYPTO_AES_GCM_16, 192, false },
	{ "aes256gcm16", WIRE_T_ENCR, CRYPTO_AES_GCM_16, 256, false },
	{ "aes128gcm128", WIRE_T_ENCR, CRYPTO_AES_GCM_16, 128, false },
	{ "aes192gcm128", WIRE_T_ENCR, CRYPTO_AES_GCM_16, 192, false },
	{ "aes256gcm128", WIRE_T_ENCR, CRYPTO_AES_GCM_16, 256, false },
	{ "chacha20poly1305", WIRE_T_ENCR, CRYPTO_CHACHA20_POLY1305, 0, false },
	{ "aes128", WIRE_T_ENCR, CRYPTO_AES_CBC, 128, false },
	{ "aes192", WIRE_T_ENCR, CRYPTO_AES_CBC, 192, false },
	{ "aes256", WIRE_T_ENCR, CRYPTO_AES_CBC, 256, false },
	{ "3des", WIRE_T_ENCR, 3, 0, true },
	{ "null", WIRE_T_ENCR, 11, 0, true },
	{ "aes128ctr", WIRE_T_ENCR, 13, 128, true },
	{ "aes256ctr", WIRE_T_ENCR, 13, 256, true },
	{ "aes128ccm8", WIRE_T_ENCR, 14, 128, true },
	{ "aes256ccm8", WIRE_T_ENCR, 14, 256, true },
	{ "aes128ccm16", WIRE_T_ENCR, 16, 128, true },
	{ "aes256ccm16", WIRE_T_ENCR, 16, 256, true },
	{ "aes128gcm8", WIRE_T_ENCR, 18, 128, true },
	{ "aes256gcm8", WIRE_T_ENCR, 18, 256, true },
	{ "aes128gcm12", WIRE_T_ENCR, 19, 128, true },
	{ "aes256gcm12", WIRE_T_ENCR, 19, 256, true },
	{ "camellia128", WIRE_T_ENCR, 23, 128, true },
	{ "camellia256", WIRE_T_ENCR, 23, 256, true },
	{ "prfsha256", WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_256, 0, false },
	{ "prfsha384", WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_384, 0, false },
	{ "prfsha512", WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_512, 0, false },
	{ "prfmd5", WIRE_T_PRF, 1, 0, true },
	{ "prfsha1", WIRE_T_PRF, 2, 0, true },
	{ "prfaesxcbc", WIRE_T_PRF, 4, 0, true },
	{ "prfaescmac", WIRE_T_PRF, 8, 0, true },
	{ "sha256", WIRE_T_INTEG, CRYPTO_HMAC_SHA2_256_128, 0, false },
	{ "sha384", WIRE_T_INTEG, CRYPTO_HMAC_SHA2_384_192, 0, false },
	{ "sha512", WIRE_T_INTEG, CRYPTO_HMAC_SHA2_512_256, 0, false },
	{ "sha2_256", WIRE_T_INTEG, CRYPTO_HMAC_SHA2_256_128, 0, false },
	{ "sha2_384", WIRE_T_INTEG, CRYPTO_HMAC_SHA2_384_192, 0, false },
	{ "sha2_512", WIRE_T_INTEG, CRYPTO_HMAC_SHA2_512_256, 0, false },
	{ "md5", WIRE_T_INTEG, 1, 0, true },
	{ "sha1", WIRE_T_INTEG, 2, 0, true },
	{ "aesxcbc", WIRE_T_INTEG, 5, 0, true },
	{ "aescmac", WIRE_T_INTEG, 8, 0, true },
	{ "x25519", WIRE_T_KE, CRYPTO_X25519, 0, false },
	{ "curve25519", WIRE_T_KE, CRYPTO_X25519, 0, false },
	{ "ecp256", WIRE_T_KE, CRYPTO_ECP_256, 0, false },
	{ "ecp384", WIRE_T_KE, CRYPTO_ECP_384, 0, false },
	{ "ecp521", WIRE_T_KE, CRYPTO_ECP_521, 0, false },
	{ "modp2048", WIRE_T_KE, CRYPTO_MODP_2048, 0, false },
	{ "modpnone", WIRE_T_KE, 0, 0, false },
	{ "modp768", WIRE_T_KE, 1, 0, true },
	{ "modp1024", WIRE_T_KE, 2, 0, true },
	{ "modp1536", WIRE_T_KE, 5, 0, true },
	{ "modp3072", WIRE_T_KE, 15, 0, true },
	{ "modp4096", WIRE_T_KE, 16, 0, true },
	{ "modp6144", WIRE_T_KE, 17, 0, true },
	{ "modp8192", WIRE_T_KE, 18, 0, true },
	{ "ecp224", WIRE_T_KE, 26, 0, true },
	{ "ecp256bp", WIRE_T_KE, 28, 0, true },
	{ "ecp384bp", WIRE_T_KE, 29, 0, true },
	{ "ecp512bp", WIRE_T_KE, 30, 0, true },
	{ "x448", WIRE_T_KE, 32, 0, true },
	{ "mlkem512", WIRE_T_KE, 35, 0, true },
	{ "mlkem768", WIRE_T_KE, 36, 0, true },
	{ "mlkem1024", WIRE_T_KE, 37, 0, true },
	{ "esn", WIRE_T_ESN, 1, 0, false },
	{ "noesn", WIRE_T_ESN, 0, 0, false },
};

const struct policy_keyword *policy_keyword_find(struct bytes word)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (bytes_eq(bytes_str(keywords[i].word), word))
			return &keywords[i];
	return NULL;
}

static const struct policy_keyword *by_transform(const struct wire_transform *x)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		const struct policy_keyword *k = &keywords[i];

		if (k->type == x->type && k->id == x->id && k->key_bits == x->key_bits)
			return k;
	}
	return NULL;
}

static void numbers_text(struct text *t, const struct wire_transform *x)
{
	static const char *const type_name[WIRE_T_TYPES] = { NULL,    "encr", "prf",
							     "integ", "ke",   "esn" };

	if (x->type < WIRE_T_TYPES && type_name[x->type])
		text_fmt(t, "%s%u", type_name[x->type], x->id);
	else
		text_fmt(t, "type%u:%u", x->type, x->id);
	if (x->key_bits)
		text_fmt(t, "/%u", x->key_bits);
}

void policy_keyword_text(struct text *t, const struct wire_transform *x)
{
	const struct policy_keyword *k = by_transform(x);

	if (k)
		text_add(t, k->word);
	else
		numbers_text(t, x);
	if (x->unknown_attribute)
		text_add(t, "?");
}

bool policy_keyword_fits(const struct policy_keyword *k, uint8_t proto)
{
	if (k->named_only)
		return false;
	if (proto == WIRE_PROTO_IKE)
		return k->type != WIRE_T_ESN && !(k->type == WIRE_T_KE && k->id == 0);
	return k->type != WIRE_T_PRF;
}

void policy_keyword_list(struct text *t, uint8_t proto)
{
	const char *sep = "";

	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		if (!policy_keyword_fits(&keywords[i], proto))
			continue;
		text_fmt(t, "%s%s", sep, keywords[i].word);
		sep = " ";
	}
}
