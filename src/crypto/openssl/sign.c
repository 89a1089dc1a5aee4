#include "crypto/openssl/internal.h"

static bool announced(uint16_t peer_hashes, uint16_t hash)
{
	return (peer_hashes >> hash & 1) != 0;
}

static void explain_announced(uint16_t peer_hashes, struct text *why)
{
	const char *sep = "";

	for (uint16_t h = CRYPTO_SHA1; h <= CRYPTO_IDENTITY; h++) {
		if (!announced(peer_hashes, h))
			continue;
		text_fmt(why, "%s%s", sep, hash_name(h));
		sep = ", ";
	}
	if (!*sep)
		text_add(why, "none");
}

/* The hash of our curve, or else the next stronger one that the peer takes: RFC 7427 section 6
 * leaves the mix to policy, and ours is not to weaken the key. */
static uint16_t choose_hash(const struct curve *c, uint16_t peer_hashes, struct text *why)
{
	for (uint16_t h = c->hash; h <= CRYPTO_SHA2_512; h++) {
		if (announced(peer_hashes, h))
			return h;
	}
	text_fmt(why, "our key is EC %s, which signs with %s or stronger, the peer announced ",
		 c->name, hash_name(c->hash));
	explain_announced(peer_hashes, why);
	return 0;
}

/* DER signature over the hash of `octets`. */
static enum status sign_octets(struct kit *k, const struct key_entry *key, uint16_t hash,
			       struct bytes octets, uint8_t *ret_der, size_t cap, size_t *ret_n)
{
	uint8_t digest[CRYPTO_HASH_MAX];
	EVP_PKEY_CTX *ctx;
	size_t n = cap;
	bool ok;

	if (ops_hash(k->ops, hash, octets, digest) != ST_OK)
		return ST_BUG;
	ctx = EVP_PKEY_CTX_dup(key->signer);
	if (!ctx)
		return ST_NOMEM;
	ok = EVP_PKEY_sign(ctx, ret_der, &n, digest, crypto_hash_len(hash)) == 1;
	EVP_PKEY_CTX_free(ctx);
	if (!ok || n > cap)
		return ST_BUG;
	*ret_n = n;
	return ST_OK;
}

static void note_how(const struct curve *c, uint16_t hash, struct crypto_result *ret)
{
	struct text how = TEXT_OF(ret->auth.how);

	auth_text(&how, c, hash);
}

/* RFC 7427 section 3: length | AlgorithmIdentifier | signature. */
static enum status sign_rfc7427(struct kit *k, const struct key_entry *key,
				const struct crypto_sign_in *in, struct crypto_result *ret,
				struct text *why)
{
	uint16_t hash = choose_hash(key->curve, in->peer_hashes, why);
	struct bytes alg = ecdsa_algorithm(hash);
	uint8_t der[CRYPTO_SIGNATURE_MAX];
	struct wr w = wr_of(ret->auth.data, sizeof(ret->auth.data));
	enum status st;
	size_t n;

	if (hash == 0)
		return ST_REFUSE;
	st = sign_octets(k, key, hash, in->octets, der, sizeof(der), &n);
	if (st != ST_OK)
		return st;
	wr_u8(&w, (uint8_t)alg.n);
	wr_put(&w, alg);
	wr_put(&w, bytes_of(der, n));
	note_how(key->curve, hash, ret);
	ret->auth.method = AUTH_SIGNATURE;
	ret->auth.len = (uint16_t)wr_len(&w);
	return w.err ? ST_BUG : ST_OK;
}

/* RFC 4754 section 3: curve and hash come with the method; 0 leaves it to the key. */
static enum status sign_rfc4754(struct kit *k, const struct key_entry *key,
				const struct crypto_sign_in *in, struct crypto_result *ret,
				struct text *why)
{
	const struct curve *c = key->curve;
	uint8_t der[CRYPTO_SIGNATURE_MAX];
	enum status st;
	size_t n;

	if (in->method && in->method != c->method) {
		text_fmt(why, "our key is EC %s, whose auth method is %u, not %u", c->name,
			 c->method, in->method);
		return ST_REFUSE;
	}
	st = sign_octets(k, key, c->hash, in->octets, der, sizeof(der), &n);
	if (st == ST_OK)
		st = ecdsa_der_to_raw(c, bytes_of(der, n), ret->auth.data);
	note_how(c, c->hash, ret);
	ret->auth.method = c->method;
	ret->auth.len = (uint16_t)(2 * c->field);
	return st;
}

enum status sign_auth(struct crypto_store *s, struct kit *k, const struct crypto_sign_in *in,
		      struct crypto_result *ret, struct text *why)
{
	const struct entry *e = store_find(s, in->key, ENTRY_KEY);

	if (!e) {
		text_fmt(why, "no private key under reference %u", in->key);
		return ST_BUG;
	}
	if (!e->key.signer) {
		text_fmt(why, "private key %s is not in this process", e->name);
		return ST_BUG;
	}
	switch (in->method) {
	case AUTH_SIGNATURE: return sign_rfc7427(k, &e->key, in, ret, why);
	case 0:
	case AUTH_ECDSA_256:
	case AUTH_ECDSA_384:
	case AUTH_ECDSA_521: return sign_rfc4754(k, &e->key, in, ret, why);
	default: text_fmt(why, "auth method %u is not implemented", in->method); return ST_REFUSE;
	}
}

/* RFC 7296 section 2.15: AUTH = prf( prf(Shared Secret, "Key Pad for IKEv2"), <octets>). */
enum status psk_auth(struct crypto_store *s, struct kit *k, const struct crypto_psk_in *in,
		     struct crypto_result *ret, struct text *why)
{
	const struct entry *e = store_find(s, in->psk, ENTRY_PSK);
	size_t n = crypto_prf_len(in->prf);
	uint8_t padded[CRYPTO_PRF_MAX];
	enum status st;

	if (!e || n == 0) {
		text_fmt(why, "no pre-shared key under reference %u, or no PRF %u", in->psk,
			 in->prf);
		return ST_BUG;
	}
	if (e->psk.n == 0) {
		text_fmt(why, "pre-shared key \"%s\" is not in this process", e->name);
		return ST_BUG;
	}
	st = ops_prf(k->ops, in->prf, e->psk, bytes_str("Key Pad for IKEv2"), padded);
	if (st == ST_OK)
		st = ops_prf(k->ops, in->prf, bytes_of(padded, n), in->octets, ret->auth.data);
	memcpy(ret->auth.how, "psk", sizeof("psk"));
	ret->auth.method = AUTH_PSK;
	ret->auth.len = (uint16_t)n;
	wipe(padded, sizeof(padded));
	return st;
}

enum status ppk_mix(struct crypto_store *s, struct kit *k, const struct crypto_ppk_in *in,
		    struct crypto_result *ret, struct text *why)
{
	const struct entry *e = store_find(s, in->ppk, ENTRY_PPK);
	struct crypto c = crypto_openssl_ops(k->ops);

	if (!e) {
		text_fmt(why, "no post-quantum pre-shared key under reference %u", in->ppk);
		return ST_BUG;
	}
	if (e->psk.n == 0) {
		text_fmt(why, "post-quantum pre-shared key \"%s\" is not in this process", e->name);
		return ST_BUG;
	}
	return crypto_ppk_mix(&c, in->prf, e->psk, &in->keys, &ret->ppk);
}
