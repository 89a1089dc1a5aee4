#include <openssl/core_names.h>

#include "crypto/openssl/internal.h"

enum { X25519_LEN = 32 };

static void fill(struct crypto_result *ret, struct bytes pub)
{
	memcpy(ret->ke.pub, pub.p, pub.n);
	ret->ke.pub_len = (uint16_t)pub.n;
}

enum status ke_bad_length(struct bytes peer, size_t want, struct text *why)
{
	text_fmt(why, "public value of the peer has %zu bytes, its group %zu", peer.n, want);
	return ST_REFUSE;
}

/* ---- X25519: RFC 8031 --------------------------------------------------------------------- */

/* Imports a public value, and with `priv` the pair; giving both spares computing one from the
 * other.  The parameters are only read. */
static EVP_PKEY *x25519_import(struct kit *k, struct bytes pub, struct bytes priv)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[3];
	size_t n = 0;

	params[n++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
							(void *)(uintptr_t)pub.p, pub.n);
	if (priv.n)
		params[n++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
								(void *)(uintptr_t)priv.p, priv.n);
	params[n] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata(k->x25519_import, &key,
			      priv.n ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

static enum status x25519_agree(EVP_PKEY *ours, EVP_PKEY *peer, struct crypto_result *ret,
				struct text *why)
{
	static const uint8_t zero[X25519_LEN];
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ours, NULL);
	size_t n = X25519_LEN;
	enum status st = ST_OK;

	/* Any 32 bytes are a public value, so there is nothing to validate beforehand. */
	if (!ctx || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1) {
		st = ST_BUG;
	} else if (EVP_PKEY_derive(ctx, ret->ke.shared, &n) != 1 ||
		   ct_equal(bytes_of(ret->ke.shared, X25519_LEN), BYTES_OF(zero))) {
		/* RFC 7748 section 6.1: a point of small order would make the secret known. */
		text_add(why, "X25519 with the public value of the peer gives zero");
		st = ST_REFUSE;
	} else {
		ret->ke.shared_len = X25519_LEN;
	}
	EVP_PKEY_CTX_free(ctx);
	return st;
}

static enum status x25519_derive(struct kit *k, EVP_PKEY *ours, struct bytes peer_pub,
				 struct crypto_result *ret, struct text *why)
{
	EVP_PKEY *peer;
	enum status st;

	if (peer_pub.n != X25519_LEN)
		return ke_bad_length(peer_pub, X25519_LEN, why);
	peer = x25519_import(k, peer_pub, (struct bytes){ NULL, 0 });
	if (!peer)
		return ST_BUG;
	st = x25519_agree(ours, peer, ret, why);
	EVP_PKEY_free(peer);
	return st;
}

static enum status x25519_pair(struct kit *k, struct crypto_result *ret, EVP_PKEY **ret_key)
{
	uint8_t pub[X25519_LEN];
	size_t n = sizeof(pub);
	EVP_PKEY *key = NULL;

	if (EVP_PKEY_keygen(k->x25519_keygen, &key) != 1)
		return ST_BUG;
	if (EVP_PKEY_get_raw_public_key(key, pub, &n) != 1 || n != sizeof(pub)) {
		EVP_PKEY_free(key);
		return ST_BUG;
	}
	fill(ret, BYTES_OF(pub));
	*ret_key = key;
	return ST_OK;
}

static enum status x25519_generate(struct kit *k, struct crypto_result *ret)
{
	size_t n = X25519_LEN;
	EVP_PKEY *key;
	enum status st = x25519_pair(k, ret, &key);

	if (st != ST_OK)
		return st;
	if (EVP_PKEY_get_raw_private_key(key, ret->ke.priv.b, &n) != 1 || n != X25519_LEN)
		st = ST_BUG;
	ret->ke.priv.n = X25519_LEN;
	EVP_PKEY_free(key);
	return st;
}

static enum status x25519_respond(struct kit *k, struct bytes peer, struct crypto_result *ret,
				  struct text *why)
{
	EVP_PKEY *key;
	enum status st = x25519_pair(k, ret, &key);

	if (st != ST_OK)
		return st;
	st = x25519_derive(k, key, peer, ret, why);
	EVP_PKEY_free(key);
	return st;
}

static enum status x25519_from_job(struct kit *k, const struct crypto_job *job,
				   struct crypto_result *ret, struct text *why)
{
	struct bytes priv = secret_bytes(&job->in.ke_derive.priv);
	struct bytes pub = job->in.ke_derive.pub;
	EVP_PKEY *key;
	enum status st;

	if (priv.n != X25519_LEN || pub.n != X25519_LEN)
		return ST_BUG;
	key = x25519_import(k, pub, priv);
	if (!key)
		return ST_BUG;
	st = x25519_derive(k, key, job->in.ke_derive.peer, ret, why);
	EVP_PKEY_free(key);
	return st;
}

/* ---- ECP: RFC 5903 ------------------------------------------------------------------------ */

/* What one agreement works with. */
struct ecp {
	const struct curve *c;
	const EC_GROUP *g;
	BN_CTX *bn;
	BIGNUM *k; /* our scalar */
	EC_POINT *p;
	EC_POINT *peer;
};

static bool ecp_init(struct ecp *e, struct crypto_store *s, const struct curve *c)
{
	*e = (struct ecp){ .c = c, .g = store_group(s, c) };
	/* Not kept between calls: libcrypto leaves pieces of the scalar in it. */
	e->bn = BN_CTX_new();
	e->k = BN_new();
	e->p = EC_POINT_new(e->g);
	e->peer = EC_POINT_new(e->g);
	if (!e->bn || !e->k || !e->p || !e->peer)
		return false;
	BN_set_flags(e->k, BN_FLG_CONSTTIME);
	return true;
}

static void ecp_done(struct ecp *e)
{
	BN_clear_free(e->k);
	EC_POINT_clear_free(e->p);
	EC_POINT_free(e->peer);
	BN_CTX_free(e->bn);
}

/* x | y of e->p, each as long as the field (section 7), without the leading 4 of X9.62. */
static bool ecp_coordinates(struct ecp *e, uint8_t *ret_xy)
{
	uint8_t buf[1 + 2 * FIELD_MAX];
	size_t n = 1 + 2 * (size_t)e->c->field;
	bool ok = EC_POINT_point2oct(e->g, e->p, POINT_CONVERSION_UNCOMPRESSED, buf, n, e->bn) == n;

	if (ok)
		memcpy(ret_xy, buf + 1, n - 1);
	wipe(buf, sizeof(buf));
	return ok;
}

static enum status ecp_pair(struct ecp *e, struct crypto_result *ret)
{
	do {
		if (BN_priv_rand_range_ex(e->k, EC_GROUP_get0_order(e->g), 0, e->bn) != 1)
			return ST_BUG;
	} while (BN_is_zero(e->k));
	if (EC_POINT_mul(e->g, e->p, e->k, NULL, NULL, e->bn) != 1 ||
	    !ecp_coordinates(e, ret->ke.pub))
		return ST_BUG;
	ret->ke.pub_len = (uint16_t)(2 * e->c->field);
	return ST_OK;
}

/*
 * Section 9 of RFC 5903 and RFC 6989 section 2.3: coordinates outside the field, or not on the
 * curve, would leak our scalar in another group.  EC_POINT_oct2point() tests both; infinity has no
 * uncompressed form, and the cofactor is 1.
 */
static bool ecp_set_peer(struct ecp *e, struct bytes peer)
{
	uint8_t buf[1 + 2 * FIELD_MAX];

	buf[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(buf + 1, peer.p, peer.n);
	return EC_POINT_oct2point(e->g, e->peer, buf, 1 + peer.n, e->bn) == 1;
}

static enum status ecp_derive(struct ecp *e, struct bytes peer, struct crypto_result *ret,
			      struct text *why)
{
	uint8_t xy[2 * FIELD_MAX];

	if (peer.n != 2u * e->c->field)
		return ke_bad_length(peer, 2u * e->c->field, why);
	if (!ecp_set_peer(e, peer)) {
		text_fmt(why, "public value of the peer is not a point of %s", e->c->name);
		return ST_REFUSE;
	}
	if (EC_POINT_mul(e->g, e->p, NULL, e->peer, e->k, e->bn) != 1 || !ecp_coordinates(e, xy))
		return ST_BUG;
	/* Section 7: the shared secret is the x coordinate alone. */
	memcpy(ret->ke.shared, xy, e->c->field);
	ret->ke.shared_len = e->c->field;
	wipe(xy, sizeof(xy));
	return ST_OK;
}

static enum status ecp_generate(struct ecp *e, struct crypto_result *ret)
{
	enum status st = ecp_pair(e, ret);

	if (st != ST_OK)
		return st;
	if (BN_bn2binpad(e->k, ret->ke.priv.b, e->c->field) != e->c->field)
		return ST_BUG;
	ret->ke.priv.n = e->c->field;
	return ST_OK;
}

static enum status ecp_respond(struct ecp *e, struct bytes peer, struct crypto_result *ret,
			       struct text *why)
{
	enum status st = ecp_pair(e, ret);

	return st == ST_OK ? ecp_derive(e, peer, ret, why) : st;
}

static enum status ecp_from_job(struct ecp *e, const struct crypto_job *job,
				struct crypto_result *ret, struct text *why)
{
	const struct secret *priv = &job->in.ke_derive.priv;

	if (priv->n != e->c->field)
		return ST_BUG;
	if (!BN_bin2bn(priv->b, priv->n, e->k))
		return ST_NOMEM;
	return ecp_derive(e, job->in.ke_derive.peer, ret, why);
}

/* ---- by group ----------------------------------------------------------------------------- */

static enum status unknown_group(uint16_t group, struct text *why)
{
	text_fmt(why, "key exchange group %u is not implemented", group);
	return ST_BUG;
}

enum status ke_generate(struct crypto_store *s, struct kit *k, uint16_t group,
			struct crypto_result *ret, struct text *why)
{
	const struct curve *c = curve_by_group(group);
	struct ecp e;
	enum status st;

	if (group == CRYPTO_X25519)
		return x25519_generate(k, ret);
	if (group == CRYPTO_MODP_2048)
		return modp_generate(s->modp, ret);
	if (!c)
		return unknown_group(group, why);
	st = ecp_init(&e, s, c) ? ecp_generate(&e, ret) : ST_NOMEM;
	ecp_done(&e);
	return st;
}

enum status ke_derive(struct crypto_store *s, struct kit *k, const struct crypto_job *job,
		      struct crypto_result *ret, struct text *why)
{
	const struct curve *c = curve_by_group(job->in.ke_derive.group);
	struct ecp e;
	enum status st;

	if (job->in.ke_derive.group == CRYPTO_X25519)
		return x25519_from_job(k, job, ret, why);
	if (job->in.ke_derive.group == CRYPTO_MODP_2048)
		return modp_derive(s->modp, job, ret, why);
	if (!c)
		return unknown_group(job->in.ke_derive.group, why);
	st = ecp_init(&e, s, c) ? ecp_from_job(&e, job, ret, why) : ST_NOMEM;
	ecp_done(&e);
	return st;
}

enum status ke_respond(struct crypto_store *s, struct kit *k, const struct crypto_job *job,
		       struct crypto_result *ret, struct text *why)
{
	const struct curve *c = curve_by_group(job->in.ke_respond.group);
	struct bytes peer = job->in.ke_respond.peer;
	struct ecp e;
	enum status st;

	if (job->in.ke_respond.group == CRYPTO_X25519)
		return x25519_respond(k, peer, ret, why);
	if (job->in.ke_respond.group == CRYPTO_MODP_2048)
		return modp_respond(s->modp, peer, ret, why);
	if (!c)
		return unknown_group(job->in.ke_respond.group, why);
	st = ecp_init(&e, s, c) ? ecp_respond(&e, peer, ret, why) : ST_NOMEM;
	ecp_done(&e);
	return st;
}
