#include "crypto/sigalg.h"

enum {
	DER_INTEGER = 0x02,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_SEQUENCE = 0x30,
	DER_EXPLICIT = 0xa0
};

#define OID_ECDSA 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03
#define OID_PKCS1 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01
#define OID_SHA2 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02

static const uint8_t pss[] = { OID_PKCS1, 0x0a };
static const uint8_t mgf1[] = { OID_PKCS1, 0x08 };

/* Algorithms whose name says it all. */
static const struct {
	uint8_t oid[9];
	uint8_t n;
	struct crypto_sigalg alg;
} plain[] = {
	{ { OID_ECDSA, 0x02 }, 8, { CRYPTO_ECDSA, CRYPTO_SHA2_256 } },
	{ { OID_ECDSA, 0x03 }, 8, { CRYPTO_ECDSA, CRYPTO_SHA2_384 } },
	{ { OID_ECDSA, 0x04 }, 8, { CRYPTO_ECDSA, CRYPTO_SHA2_512 } },
	{ { OID_PKCS1, 0x0b }, 9, { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_256 } },
	{ { OID_PKCS1, 0x0c }, 9, { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_384 } },
	{ { OID_PKCS1, 0x0d }, 9, { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_512 } },
	{ { 0x2b, 0x65, 0x70 }, 3, { CRYPTO_ED25519, CRYPTO_IDENTITY } },
	{ { 0x2b, 0x65, 0x71 }, 3, { CRYPTO_ED448, CRYPTO_IDENTITY } },
};

static const struct {
	uint8_t oid[9];
	uint16_t hash;
} hashes[] = {
	{ { OID_SHA2, 0x01 }, CRYPTO_SHA2_256 },
	{ { OID_SHA2, 0x02 }, CRYPTO_SHA2_384 },
	{ { OID_SHA2, 0x03 }, CRYPTO_SHA2_512 },
};

/* ---- reading ------------------------------------------------------------------------------ */

/* Nothing here is long enough for the long form of a length. */
static struct cur take(struct cur *c, uint8_t tag)
{
	uint8_t got = cur_u8(c), n = cur_u8(c);
	struct bytes b;

	if (got != tag || n > 127)
		c->err = true;
	b = cur_take(c, n);
	return cur_of(c->err ? (struct bytes){ NULL, 0 } : b);
}

static struct bytes take_oid(struct cur *c)
{
	struct cur oid = take(c, DER_OID);

	return cur_rest(&oid);
}

static bool ended(const struct cur *c)
{
	return !c->err && cur_left(c) == 0;
}

/* What stands behind an OID: nothing, or NULL. */
static bool no_parameters(struct cur *c)
{
	if (cur_left(c)) {
		struct cur null = take(c, DER_NULL);

		return ended(&null) && ended(c);
	}
	return ended(c);
}

/* HashAlgorithm of RFC 4055 section 2.1; 0: none of ours. */
static uint16_t take_hash(struct cur *c)
{
	struct cur in = take(c, DER_SEQUENCE);
	struct bytes oid = take_oid(&in);

	if (c->err || !no_parameters(&in))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
		if (bytes_eq(oid, BYTES_OF(hashes[i].oid)))
			return hashes[i].hash;
	return 0;
}

static uint16_t take_mask_hash(struct cur *c)
{
	struct cur in = take(c, DER_SEQUENCE);
	uint16_t hash = bytes_eq(take_oid(&in), BYTES_OF(mgf1)) ? take_hash(&in) : 0;

	return ended(&in) ? hash : 0;
}

/* Small and positive; 0 otherwise. */
static uint8_t take_integer(struct cur *c)
{
	struct cur in = take(c, DER_INTEGER);
	uint8_t v = cur_u8(&in);

	return ended(&in) && v < 128 ? v : 0;
}

/*
 * RSASSA-PSS-params ::= SEQUENCE {
 *	hashAlgorithm [0], maskGenAlgorithm [1], saltLength [2] INTEGER, trailerField [3] INTEGER 1
 *}
 */
static enum status read_pss(struct cur *c, struct text *why, struct crypto_sigalg *ret)
{
	struct cur in = take(c, DER_SEQUENCE);
	bool empty = !c->err && ended(&in);
	struct cur f0 = take(&in, DER_EXPLICIT), f1 = take(&in, DER_EXPLICIT | 1);
	struct cur f2 = take(&in, DER_EXPLICIT | 2);
	uint16_t hash = take_hash(&f0), mask = take_mask_hash(&f1);
	uint8_t salt = take_integer(&f2), trailer = 1;

	if (!in.err && cur_left(&in)) {
		struct cur f3 = take(&in, DER_EXPLICIT | 3);

		trailer = take_integer(&f3);
		in.err = in.err || !ended(&f3);
	}
	if (empty)
		text_add(why, "RSASSA-PSS without parameters means SHA-1");
	else if (!ended(c) || !ended(&in) || !ended(&f0) || !ended(&f1) || !ended(&f2) ||
		 trailer != 1)
		text_add(why, "parameters of RSASSA-PSS are not those of RFC 7427");
	else if (!hash || mask != hash)
		text_add(why, "RSASSA-PSS needs one hash of SHA-2 for message and mask");
	else if (salt != crypto_hash_len(hash))
		text_fmt(why, "RSASSA-PSS has a salt of %u bytes, its hash %zu", salt,
			 crypto_hash_len(hash));
	else {
		*ret = (struct crypto_sigalg){ CRYPTO_RSA_PSS, hash };
		return ST_OK;
	}
	return ST_REFUSE;
}

static enum status read_plain(struct bytes oid, struct cur *c, struct crypto_sigalg *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (!bytes_eq(oid, bytes_of(plain[i].oid, plain[i].n)))
			continue;
		/* RFC 5758 section 3.2, RFC 8410 section 3: absent; only RSA may say NULL. */
		if (plain[i].alg.scheme == CRYPTO_RSA_PKCS1 ? !no_parameters(c) : !ended(c))
			return ST_REFUSE;
		*ret = plain[i].alg;
		return ST_OK;
	}
	return ST_REFUSE;
}

enum status crypto_sigalg_read(struct bytes der, struct text *why, struct crypto_sigalg *ret_alg)
{
	struct cur c = cur_of(der), in = take(&c, DER_SEQUENCE);
	struct bytes oid = take_oid(&in);

	if (!ended(&c) || in.err)
		return ST_REFUSE;
	return bytes_eq(oid, BYTES_OF(pss)) ? read_pss(&in, why, ret_alg)
					    : read_plain(oid, &in, ret_alg);
}

/* ---- writing ------------------------------------------------------------------------------ */

#define ECDSA(last)                                                                                \
	{                                                                                          \
		0x30, 0x0a, 0x06, 0x08, OID_ECDSA, last                                            \
	}
#define PKCS1(last)                                                                                \
	{                                                                                          \
		0x30, 0x0d, 0x06, 0x09, OID_PKCS1, last, 0x05, 0x00                                \
	}
#define SHA2(last) 0x30, 0x0d, 0x06, 0x09, OID_SHA2, last, 0x05, 0x00
#define PSS(last, salt)                                                                            \
	{                                                                                          \
		0x30, 0x41, 0x06, 0x09, OID_PKCS1, 0x0a, 0x30, 0x34, 0xa0, 0x0f, SHA2(last), 0xa1, \
			0x1c, 0x30, 0x1a, 0x06, 0x09, OID_PKCS1, 0x08, SHA2(last), 0xa2, 0x03,     \
			0x02, 0x01, salt                                                           \
	}

static const uint8_t ecdsa_der[][12] = { ECDSA(0x02), ECDSA(0x03), ECDSA(0x04) };
static const uint8_t pkcs1_der[][15] = { PKCS1(0x0b), PKCS1(0x0c), PKCS1(0x0d) };
static const uint8_t pss_der[][67] = { PSS(0x01, 32), PSS(0x02, 48), PSS(0x03, 64) };
static const uint8_t ed25519_der[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t ed448_der[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71 };

struct bytes crypto_sigalg_der(struct crypto_sigalg alg)
{
	const struct bytes none = { NULL, 0 };
	size_t i = alg.hash - (size_t)CRYPTO_SHA2_256; /* large for what is no SHA-2 */
	bool sha2 = i < ARRAY_LEN(hashes), identity = alg.hash == CRYPTO_IDENTITY;

	switch (alg.scheme) {
	case CRYPTO_ECDSA: return sha2 ? BYTES_OF(ecdsa_der[i]) : none;
	case CRYPTO_RSA_PKCS1: return sha2 ? BYTES_OF(pkcs1_der[i]) : none;
	case CRYPTO_RSA_PSS: return sha2 ? BYTES_OF(pss_der[i]) : none;
	case CRYPTO_ED25519: return identity ? BYTES_OF(ed25519_der) : none;
	case CRYPTO_ED448: return identity ? BYTES_OF(ed448_der) : none;
	}
	return none;
}
