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

/*
 * What we sign with is ours to choose among the hashes that the peer announced (RFC 7427 section
 * 4): that of our curve, or else the next stronger one, since section 6 leaves the mix to policy
 * and ours is not to weaken the key; for RSA that of its strength or any other (a longer modulus
 * than the hash is no reason to fail); for EdDSA none, which the peer announces, too.
 */
static const uint16_t *candidates(const struct key_kind *k)
{
	static const uint16_t from_256[] = { CRYPTO_SHA2_256, CRYPTO_SHA2_384, CRYPTO_SHA2_512, 0 };
	static const uint16_t large_rsa[] = { CRYPTO_SHA2_384, CRYPTO_SHA2_512, CRYPTO_SHA2_256,
					      0 };
	static const uint16_t identity[] = { CRYPTO_IDENTITY, 0 };

	switch (k->type) {
	case KEY_EC: return from_256 + (k->curve->hash - CRYPTO_SHA2_256);
	case KEY_RSA: return k->bits <= 3072 ? from_256 : large_rsa;
	default: return identity;
	}
}

/* RFC 8247 section 3.2: whoever knows RFC 7427 and RSA knows RSASSA-PSS. */
static enum crypto_scheme scheme_of(const struct key_kind *k)
{
	switch (k->type) {
	case KEY_EC: return CRYPTO_ECDSA;
	case KEY_RSA: return CRYPTO_RSA_PSS;
	case KEY_ED25519: return CRYPTO_ED25519;
	default: return CRYPTO_ED448;
	}
}

static enum status choose(const struct key_entry *key, uint16_t peer_hashes, struct text *why,
			  struct crypto_sigalg *ret_alg)
{
	const uint16_t *h = candidates(&key->kind);
	uint16_t least = *h;

	while (*h && !announced(peer_hashes, *h))
		h++;
	*ret_alg = (struct crypto_sigalg){ scheme_of(&key->kind), *h };
	if (*h)
		return ST_OK;
	text_add(why, "our key is ");
	key_describe(key->pkey, why);
	text_fmt(why, ", which signs with %s%s, the peer announced ", hash_name(least),
		 least == CRYPTO_IDENTITY ? "" : " or stronger");
	explain_announced(peer_hashes, why);
	return ST_REFUSE;
}

/* ECDSA (as DER) and RSA: over the hash of `octets`. */
static enum status sign_hash(struct kit *k, const struct key_entry *key, struct crypto_sigalg alg,
			     struct bytes octets, uint8_t *ret_sig, size_t cap, size_t *ret_n)
{
	uint8_t digest[CRYPTO_HASH_MAX];
	enum status st = ST_OK;
	EVP_PKEY_CTX *ctx;
	size_t n = cap;

	if (ops_hash(k->ops, alg.hash, octets, digest) != ST_OK)
		return ST_BUG;
	ctx = EVP_PKEY_CTX_dup(key->signer);
	if (!ctx)
		return ST_NOMEM;
	if (key->kind.type == KEY_RSA)
		st = rsa_padding(ctx, alg);
	if (st == ST_OK &&
	    (EVP_PKEY_sign(ctx, ret_sig, &n, digest, crypto_hash_len(alg.hash)) != 1 || n > cap))
		st = ST_BUG;
	EVP_PKEY_CTX_free(ctx);
	if (st == ST_OK)
		*ret_n = n;
	return st;
}

/* EdDSA: over the octets themselves (RFC 8420 section 2). */
static enum status sign_message(const struct key_entry *key, struct bytes octets, uint8_t *ret_sig,
				size_t cap, size_t *ret_n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = cap;
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
		  EVP_DigestSign(ctx, ret_sig, &n, octets.p, octets.n) == 1;

	EVP_MD_CTX_free(ctx);
	if (!ok)
		return ctx ? ST_BUG : ST_NOMEM;
	*ret_n = n;
	return ST_OK;
}

static enum status sign_octets(struct kit *k, const struct key_entry *key, struct crypto_sigalg alg,
			       struct bytes octets, uint8_t *ret_sig, size_t cap, size_t *ret_n)
{
	return alg.hash == CRYPTO_IDENTITY ? sign_message(key, octets, ret_sig, cap, ret_n)
					   : sign_hash(k, key, alg, octets, ret_sig, cap, ret_n);
}

static void note_how(const struct key_entry *key, struct crypto_sigalg alg,
		     struct crypto_result *ret)
{
	struct text how = TEXT_OF(ret->auth.how);

	auth_text(&how, &key->kind, alg);
}

/* RFC 7427 section 3: length | AlgorithmIdentifier | signature. */
static enum status sign_rfc7427(struct kit *k, const struct key_entry *key,
				const struct crypto_sign_in *in, struct crypto_result *ret,
				struct text *why)
{
	struct wr w = wr_of(ret->auth.data, sizeof(ret->auth.data));
	uint8_t sig[CRYPTO_SIGNATURE_MAX];
	struct crypto_sigalg alg;
	struct bytes der;
	size_t n = 0;
	enum status st = choose(key, in->peer_hashes, why, &alg);

	if (st == ST_OK)
		st = sign_octets(k, key, alg, in->octets, sig, sizeof(sig), &n);
	if (st != ST_OK)
		return st;
	der = crypto_sigalg_der(alg);
	wr_u8(&w, (uint8_t)der.n);
	wr_put(&w, der);
	wr_put(&w, bytes_of(sig, n));
	note_how(key, alg, ret);
	ret->auth.method = AUTH_SIGNATURE;
	ret->auth.len = (uint16_t)wr_len(&w);
	return w.err ? ST_BUG : ST_OK;
}

/* The only methods without RFC 7427 are those of RFC 4754 for three curves, and 1: RSA, whose hash
 * nobody negotiates, so that by default it is SHA-1 (RFC 7296 section 3.8). */
static enum status no_old_method(const struct key_entry *key, const struct crypto_sign_in *in,
				 struct text *why)
{
	text_add(why, "our key is ");
	key_describe(key->pkey, why);
	if (key->kind.type == KEY_EC)
		text_fmt(why, ", whose auth method is %u, not %u", key->kind.curve->method,
			 in->method);
	else if (key->kind.type == KEY_RSA)
		text_add(why, ", and the peer does not announce digital signatures (RFC 7427): all "
			      "that is left is auth method 1, RSA with SHA-1, which is not used");
	else
		text_add(why, ", which needs digital signatures (RFC 7427), and the peer does not "
			      "announce them");
	return ST_REFUSE;
}

/* RFC 4754 section 3: curve and hash come with the method; 0 leaves it to the key. */
static enum status sign_rfc4754(struct kit *k, const struct key_entry *key,
				const struct crypto_sign_in *in, struct crypto_result *ret,
				struct text *why)
{
	const struct curve *c = key->kind.curve;
	struct crypto_sigalg alg = { CRYPTO_ECDSA, c ? c->hash : 0 };
	uint8_t der[CRYPTO_SIGNATURE_MAX];
	enum status st;
	size_t n;

	if (!c || (in->method && in->method != c->method))
		return no_old_method(key, in, why);
	st = sign_octets(k, key, alg, in->octets, der, sizeof(der), &n);
	if (st == ST_OK)
		st = ecdsa_der_to_raw(c, bytes_of(der, n), ret->auth.data);
	note_how(key, alg, ret);
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
	if (!e->key.secret) {
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
