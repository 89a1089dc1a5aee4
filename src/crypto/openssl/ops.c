#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "crypto/openssl/internal.h"

/*
 * Contexts are made once with their algorithm and rekeyed for each call, which costs a third of a
 * microsecond; choosing the algorithm again would cost more than the work itself.  A context keeps
 * the last key until the next call or the end.
 */
enum { DIGEST_256, DIGEST_384, DIGEST_512, DIGEST_SHA1, DIGESTS };
enum { HMACS = DIGEST_512 + 1 };
enum { KEY_128, KEY_192, KEY_256, AES_KEYS };

struct crypto_openssl {
	EVP_MD *md[DIGESTS];
	EVP_MD_CTX *md_ctx;
	EVP_MAC_CTX *hmac[HMACS];
	EVP_CIPHER_CTX *gcm[AES_KEYS];
	EVP_CIPHER_CTX *cbc[AES_KEYS];
	EVP_CIPHER_CTX *chacha;
};

static const char *const digest_names[DIGESTS] = { "SHA2-256", "SHA2-384", "SHA2-512", "SHA1" };
static const char *const gcm_names[AES_KEYS] = { "AES-128-GCM", "AES-192-GCM", "AES-256-GCM" };
static const char *const cbc_names[AES_KEYS] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC" };

static EVP_MAC_CTX *hmac_new(EVP_MAC *mac, const char *digest)
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	OSSL_PARAM params[2];
	char name[16];

	OPENSSL_strlcpy(name, digest, sizeof(name));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (ctx && EVP_MAC_CTX_set_params(ctx, params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

static EVP_CIPHER_CTX *cipher_new(const char *name)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;

	if (ctx && EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, 1, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	/* The context holds its own reference. */
	EVP_CIPHER_free(cipher);
	return ctx;
}

static bool make_digests(struct crypto_openssl *p)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	bool ok = mac != NULL;

	for (size_t i = 0; ok && i < DIGESTS; i++)
		ok = (p->md[i] = EVP_MD_fetch(NULL, digest_names[i], NULL)) != NULL;
	for (size_t i = 0; ok && i < HMACS; i++)
		ok = (p->hmac[i] = hmac_new(mac, digest_names[i])) != NULL;
	EVP_MAC_free(mac);
	return ok && (p->md_ctx = EVP_MD_CTX_new()) != NULL;
}

static bool make_ciphers(struct crypto_openssl *p)
{
	for (size_t i = 0; i < AES_KEYS; i++) {
		p->gcm[i] = cipher_new(gcm_names[i]);
		p->cbc[i] = cipher_new(cbc_names[i]);
		if (!p->gcm[i] || !p->cbc[i])
			return false;
	}
	return (p->chacha = cipher_new("ChaCha20-Poly1305")) != NULL;
}

enum status crypto_openssl_new(struct crypto_openssl **ret_provider)
{
	struct crypto_openssl *p = calloc(1, sizeof(*p));

	if (!p)
		return ST_NOMEM;
	if (!make_digests(p) || !make_ciphers(p)) {
		crypto_openssl_free(p);
		return libcrypto_status(ST_IO);
	}
	*ret_provider = p;
	return ST_OK;
}

void crypto_openssl_free(struct crypto_openssl *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < DIGESTS; i++)
		EVP_MD_free(p->md[i]);
	EVP_MD_CTX_free(p->md_ctx);
	for (size_t i = 0; i < HMACS; i++)
		EVP_MAC_CTX_free(p->hmac[i]);
	for (size_t i = 0; i < AES_KEYS; i++) {
		EVP_CIPHER_CTX_free(p->gcm[i]);
		EVP_CIPHER_CTX_free(p->cbc[i]);
	}
	EVP_CIPHER_CTX_free(p->chacha);
	free(p);
}

/* ---- what there is ------------------------------------------------------------------------ */

static bool has_encr(uint16_t id, uint16_t key_bits)
{
	/* CBC is a cipher only together with some integrity algorithm; any will do to ask. */
	uint16_t integ = id == CRYPTO_AES_CBC ? CRYPTO_HMAC_SHA2_256_128 : CRYPTO_INTEG_NONE;
	struct crypto_cipher_info info;

	return crypto_cipher_info((struct crypto_cipher){ id, key_bits, integ }, &info) == ST_OK;
}

static bool has_integ(uint16_t id)
{
	return id == CRYPTO_INTEG_NONE || id == CRYPTO_HMAC_SHA2_256_128 ||
	       id == CRYPTO_HMAC_SHA2_384_192 || id == CRYPTO_HMAC_SHA2_512_256;
}

/* Transform types: RFC 7296 section 3.3.2. */
static bool ops_has(void *ctx, uint8_t transform_type, uint16_t id, uint16_t key_bits)
{
	(void)ctx;
	switch (transform_type) {
	case 1: return has_encr(id, key_bits);
	case 2: return key_bits == 0 && crypto_prf_len(id) > 0;
	case 3: return key_bits == 0 && has_integ(id);
	case 4: return key_bits == 0 && crypto_ke_public_len(id) > 0;
	default: return false;
	}
}

/* There is no going on without randomness: keys and nonces would be guessable. */
static void ops_random(void *ctx, void *buf, size_t n)
{
	(void)ctx;
	if (RAND_bytes_ex(NULL, buf, n, 0) != 1)
		abort();
}

/* ---- PRF and hash ------------------------------------------------------------------------- */

static EVP_MAC_CTX *hmac_of_prf(struct crypto_openssl *p, uint16_t prf)
{
	switch (prf) {
	case CRYPTO_PRF_HMAC_SHA2_256: return p->hmac[DIGEST_256];
	case CRYPTO_PRF_HMAC_SHA2_384: return p->hmac[DIGEST_384];
	case CRYPTO_PRF_HMAC_SHA2_512: return p->hmac[DIGEST_512];
	default: return NULL;
	}
}

static EVP_MAC_CTX *hmac_of_integ(struct crypto_openssl *p, uint16_t integ)
{
	switch (integ) {
	case CRYPTO_HMAC_SHA2_256_128: return p->hmac[DIGEST_256];
	case CRYPTO_HMAC_SHA2_384_192: return p->hmac[DIGEST_384];
	case CRYPTO_HMAC_SHA2_512_256: return p->hmac[DIGEST_512];
	default: return NULL;
	}
}

static EVP_MD *md_of(struct crypto_openssl *p, uint16_t hash)
{
	switch (hash) {
	case CRYPTO_SHA1: return p->md[DIGEST_SHA1];
	case CRYPTO_SHA2_256: return p->md[DIGEST_256];
	case CRYPTO_SHA2_384: return p->md[DIGEST_384];
	case CRYPTO_SHA2_512: return p->md[DIGEST_512];
	default: return NULL;
	}
}

/* `ret_out` has room for CRYPTO_PRF_MAX bytes. */
static enum status hmac(EVP_MAC_CTX *ctx, struct bytes key, const struct bytes *parts,
			size_t n_parts, uint8_t *ret_out)
{
	/* A null key would mean "the key before"; an empty one must stay empty. */
	const uint8_t *k = key.n ? key.p : (const uint8_t *)"";
	uint8_t out[CRYPTO_PRF_MAX];
	size_t n;

	if (EVP_MAC_init(ctx, k, key.n, NULL) != 1)
		return ST_BUG;
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].n && EVP_MAC_update(ctx, parts[i].p, parts[i].n) != 1)
			return ST_BUG;
	}
	if (EVP_MAC_final(ctx, out, &n, sizeof(out)) != 1)
		return ST_BUG;
	memcpy(ret_out, out, n);
	wipe(out, sizeof(out));
	return ST_OK;
}

static enum status ops_prf_parts(void *ctx, uint16_t prf, struct bytes key,
				 const struct bytes *parts, size_t n_parts, uint8_t *ret_out)
{
	EVP_MAC_CTX *mac = hmac_of_prf(ctx, prf);

	return mac ? hmac(mac, key, parts, n_parts, ret_out) : ST_BUG;
}

static enum status ops_hash_parts(void *ctx, uint16_t hash, const struct bytes *parts,
				  size_t n_parts, uint8_t *ret_out)
{
	struct crypto_openssl *p = ctx;
	EVP_MD *md = md_of(p, hash);

	if (!md || EVP_DigestInit_ex2(p->md_ctx, md, NULL) != 1)
		return ST_BUG;
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].n && EVP_DigestUpdate(p->md_ctx, parts[i].p, parts[i].n) != 1)
			return ST_BUG;
	}
	return EVP_DigestFinal_ex(p->md_ctx, ret_out, NULL) == 1 ? ST_OK : ST_BUG;
}

enum status ops_hash(struct crypto_openssl *p, uint16_t hash, struct bytes in, uint8_t *ret_out)
{
	return ops_hash_parts(p, hash, &in, 1, ret_out);
}

enum status ops_prf(struct crypto_openssl *p, uint16_t prf, struct bytes key, struct bytes in,
		    uint8_t *ret_out)
{
	return ops_prf_parts(p, prf, key, &in, 1, ret_out);
}

/* ---- seal and open ------------------------------------------------------------------------ */

static EVP_CIPHER_CTX *cipher_of(struct crypto_openssl *p, struct crypto_cipher c)
{
	size_t size = c.key_bits == 128 ? KEY_128 : c.key_bits == 192 ? KEY_192 : KEY_256;

	switch (c.encr) {
	case CRYPTO_AES_GCM_16: return p->gcm[size];
	case CRYPTO_AES_CBC: return p->cbc[size];
	default: return p->chacha;
	}
}

/* The key must be what its cipher says: anything else is a bug of ours, not of a peer. */
static enum status check_key(const struct crypto_key *key, size_t n,
			     struct crypto_cipher_info *ret_info)
{
	if (crypto_cipher_info(key->cipher, ret_info) != ST_OK || n > INT_MAX)
		return ST_BUG;
	if (key->encr.n != ret_info->key_len || key->integ.n != ret_info->integ_key_len)
		return ST_BUG;
	return ST_OK;
}

/* Keys `ctx` and feeds it the AAD.  RFC 5282 section 3: the nonce is salt | IV. */
static bool aead_begin(EVP_CIPHER_CTX *ctx, const struct crypto_key *key,
		       const struct crypto_cipher_info *info, const uint8_t *iv, struct bytes aad,
		       int enc)
{
	uint8_t nonce[12];
	int len;

	memcpy(nonce, key->encr.b + info->key_len - info->salt_len, 4);
	memcpy(nonce + 4, iv, 8);
	if (EVP_CipherInit_ex2(ctx, NULL, key->encr.b, nonce, enc, NULL) != 1)
		return false;
	return aad.n == 0 ||
	       (aad.n <= INT_MAX && EVP_CipherUpdate(ctx, NULL, &len, aad.p, (int)aad.n) == 1);
}

static bool update_in_place(EVP_CIPHER_CTX *ctx, uint8_t *data, size_t n)
{
	int len;

	return n == 0 || (EVP_CipherUpdate(ctx, data, &len, data, (int)n) == 1 && len == (int)n);
}

static enum status aead_seal(EVP_CIPHER_CTX *ctx, const struct crypto_key *key,
			     const struct crypto_cipher_info *info, const uint8_t *iv,
			     struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv)
{
	uint8_t none[16];
	int len;

	if (!aead_begin(ctx, key, info, iv, aad, 1) || !update_in_place(ctx, data, n))
		return ST_BUG;
	if (EVP_CipherFinal_ex(ctx, none, &len) != 1)
		return ST_BUG;
	return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)info->icv_len, ret_icv) == 1
		       ? ST_OK
		       : ST_BUG;
}

static enum status aead_open(EVP_CIPHER_CTX *ctx, const struct crypto_key *key,
			     const struct crypto_cipher_info *info, const uint8_t *iv,
			     struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv)
{
	uint8_t tag[16], none[16];
	int len;

	memcpy(tag, icv, sizeof(tag));
	if (!aead_begin(ctx, key, info, iv, aad, 0) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)info->icv_len, tag) != 1)
		return ST_BUG;
	if (!update_in_place(ctx, data, n))
		return ST_BUG;
	return EVP_CipherFinal_ex(ctx, none, &len) == 1 ? ST_OK : ST_DROP;
}

/* RFC 7296 section 3.14: the checksum covers everything before it, that is AAD, IV, ciphertext. */
static enum status cbc_icv(struct crypto_openssl *p, const struct crypto_key *key,
			   const uint8_t *iv, struct bytes aad, const uint8_t *data, size_t n,
			   uint8_t ret_icv[CRYPTO_PRF_MAX])
{
	struct bytes parts[] = { aad, bytes_of(iv, 16), bytes_of(data, n) };

	return hmac(hmac_of_integ(p, key->cipher.integ), secret_bytes(&key->integ), parts,
		    ARRAY_LEN(parts), ret_icv);
}

static bool cbc_run(EVP_CIPHER_CTX *ctx, const struct crypto_key *key, const uint8_t *iv,
		    uint8_t *data, size_t n, int enc)
{
	return EVP_CipherInit_ex2(ctx, NULL, key->encr.b, iv, enc, NULL) == 1 &&
	       EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && update_in_place(ctx, data, n);
}

static enum status cbc_seal(struct crypto_openssl *p, const struct crypto_key *key,
			    const struct crypto_cipher_info *info, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv)
{
	uint8_t icv[CRYPTO_PRF_MAX];

	if (n % info->block || !cbc_run(cipher_of(p, key->cipher), key, iv, data, n, 1))
		return ST_BUG;
	if (cbc_icv(p, key, iv, aad, data, n, icv) != ST_OK)
		return ST_BUG;
	memcpy(ret_icv, icv, info->icv_len);
	return ST_OK;
}

static enum status cbc_open(struct crypto_openssl *p, const struct crypto_key *key,
			    const struct crypto_cipher_info *info, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv)
{
	uint8_t want[CRYPTO_PRF_MAX];

	if (cbc_icv(p, key, iv, aad, data, n, want) != ST_OK)
		return ST_BUG;
	if (!ct_equal(bytes_of(want, info->icv_len), bytes_of(icv, info->icv_len)))
		return ST_DROP;
	/* Authentic, but cut in the middle of a block: the peer's bug. */
	if (n % info->block)
		return ST_DROP;
	return cbc_run(cipher_of(p, key->cipher), key, iv, data, n, 0) ? ST_OK : ST_BUG;
}

static enum status ops_seal(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv)
{
	struct crypto_openssl *p = ctx;
	struct crypto_cipher_info info;
	enum status st = check_key(key, n, &info);

	if (st == ST_OK && key->cipher.encr == CRYPTO_AES_CBC)
		st = cbc_seal(p, key, &info, iv, aad, data, n, ret_icv);
	else if (st == ST_OK)
		st = aead_seal(cipher_of(p, key->cipher), key, &info, iv, aad, data, n, ret_icv);
	/* Whatever is there now, plaintext perhaps, must not be sent by mistake. */
	if (st != ST_OK)
		wipe(data, n);
	return st;
}

static enum status ops_open(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv)
{
	struct crypto_openssl *p = ctx;
	struct crypto_cipher_info info;
	enum status st = check_key(key, n, &info);

	if (st == ST_OK && key->cipher.encr == CRYPTO_AES_CBC)
		st = cbc_open(p, key, &info, iv, aad, data, n, icv);
	else if (st == ST_OK)
		st = aead_open(cipher_of(p, key->cipher), key, &info, iv, aad, data, n, icv);
	/* Nobody may act on bytes that did not verify. */
	if (st != ST_OK)
		wipe(data, n);
	return st;
}

static const struct crypto_ops ops = {
	.has = ops_has,
	.random = ops_random,
	.prf = ops_prf_parts,
	.hash = ops_hash_parts,
	.seal = ops_seal,
	.open = ops_open,
};

struct crypto crypto_openssl_ops(struct crypto_openssl *p)
{
	return (struct crypto){ &ops, p };
}
