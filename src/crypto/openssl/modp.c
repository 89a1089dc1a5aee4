/*
 * The 2048-bit MODP group (RFC 3526 section 3): p = 2^2048 - 2^1984 - 1 + 2^64 * (...), generator
 * 2, a safe prime: p = 2q + 1 with q prime, and since p = 7 mod 8, 2 generates the subgroup of
 * order q.
 *
 * Values are as long as the modulus, leading zeros kept (RFC 7296 sections 2.14 and 3.4).
 */
#include <assert.h>

#include "crypto/openssl/internal.h"

enum {
	MODP_LEN = 256,
	/* Of the exponent: RFC 3526 section 8 wants at most 320 bits here.  The highest bit is
	 * set, so that its length says nothing. */
	EXPONENT_LEN = 64,
};

static_assert((int)EXPONENT_LEN <= (int)SECRET_MAX, "an exponent is a secret");

/* Only read once made. */
struct modp {
	BIGNUM *p;
	BIGNUM *last; /* p - 1 */
	BIGNUM *g;
	BN_MONT_CTX *mont;
};

void modp_free(struct modp *m)
{
	if (!m)
		return;
	BN_MONT_CTX_free(m->mont);
	BN_free(m->g);
	BN_free(m->last);
	BN_free(m->p);
	OPENSSL_free(m);
}

struct modp *modp_new(void)
{
	struct modp *m = OPENSSL_zalloc(sizeof(*m));
	BN_CTX *bn = BN_CTX_new();
	bool ok = m && bn && (m->p = BN_get_rfc3526_prime_2048(NULL)) && (m->last = BN_dup(m->p)) &&
		  BN_sub_word(m->last, 1) && (m->g = BN_new()) && BN_set_word(m->g, 2) &&
		  (m->mont = BN_MONT_CTX_new()) && BN_MONT_CTX_set(m->mont, m->p, bn);

	BN_CTX_free(bn);
	if (ok)
		return m;
	modp_free(m);
	return NULL;
}

/* ---- one agreement ------------------------------------------------------------------------ */

struct work {
	const struct modp *m;
	BN_CTX *bn;
	BIGNUM *x; /* our exponent */
	BIGNUM *y; /* the peer's public value */
	BIGNUM *r;
};

static bool work_init(struct work *w, const struct modp *m)
{
	/* The context is not kept between calls: libcrypto leaves pieces of secrets in it. */
	*w = (struct work){ m, BN_CTX_secure_new(), BN_new(), BN_new(), BN_new() };
	if (!w->bn || !w->x || !w->y || !w->r)
		return false;
	BN_set_flags(w->x, BN_FLG_CONSTTIME);
	return true;
}

static void work_done(struct work *w)
{
	BN_clear_free(w->x);
	BN_free(w->y);
	BN_clear_free(w->r);
	BN_CTX_free(w->bn);
}

/* base^x mod p in all its bytes. */
static bool power(struct work *w, const BIGNUM *base, uint8_t ret[static MODP_LEN])
{
	return BN_mod_exp_mont_consttime(w->r, base, w->x, w->m->p, w->bn, w->m->mont) == 1 &&
	       BN_bn2binpad(w->r, ret, MODP_LEN) == MODP_LEN;
}

static enum status pair(struct work *w, struct crypto_result *ret)
{
	if (BN_priv_rand_ex(w->x, 8 * EXPONENT_LEN, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY, 0,
			    w->bn) != 1 ||
	    !power(w, w->m->g, ret->ke.pub))
		return ST_BUG;
	ret->ke.pub_len = MODP_LEN;
	return ST_OK;
}

/*
 * RFC 6989 section 2.1: 1 < y < p-1, else the secret is known.  Every honest value is also in the
 * subgroup that 2 generates, which are the squares; of the others one bit of our exponent would
 * leak.
 */
static bool peer_fits(struct work *w, struct bytes peer)
{
	return BN_bin2bn(peer.p, (int)peer.n, w->y) && !BN_is_zero(w->y) && !BN_is_one(w->y) &&
	       BN_cmp(w->y, w->m->last) < 0 && BN_kronecker(w->y, w->m->p, w->bn) == 1;
}

static enum status agree(struct work *w, struct bytes peer, struct crypto_result *ret,
			 struct text *why)
{
	if (peer.n != MODP_LEN)
		return ke_bad_length(peer, MODP_LEN, why);
	if (!peer_fits(w, peer)) {
		text_add(why, "public value of the peer is not in the subgroup of MODP-2048");
		return ST_REFUSE;
	}
	if (!power(w, w->y, ret->ke.shared))
		return ST_BUG;
	ret->ke.shared_len = MODP_LEN;
	return ST_OK;
}

enum status modp_generate(const struct modp *m, struct crypto_result *ret)
{
	struct work w;
	enum status st = work_init(&w, m) ? pair(&w, ret) : ST_NOMEM;

	if (st == ST_OK && BN_bn2binpad(w.x, ret->ke.priv.b, EXPONENT_LEN) != EXPONENT_LEN)
		st = ST_BUG;
	ret->ke.priv.n = EXPONENT_LEN;
	work_done(&w);
	return st;
}

enum status modp_derive(const struct modp *m, const struct crypto_job *job,
			struct crypto_result *ret, struct text *why)
{
	const struct secret *priv = &job->in.ke_derive.priv;
	struct work w;
	enum status st = work_init(&w, m) ? ST_OK : ST_NOMEM;

	if (st == ST_OK && priv->n != EXPONENT_LEN)
		st = ST_BUG;
	if (st == ST_OK && !BN_bin2bn(priv->b, priv->n, w.x))
		st = ST_NOMEM;
	if (st == ST_OK)
		st = agree(&w, job->in.ke_derive.peer, ret, why);
	work_done(&w);
	return st;
}

enum status modp_respond(const struct modp *m, struct bytes peer, struct crypto_result *ret,
			 struct text *why)
{
	struct work w;
	enum status st = work_init(&w, m) ? pair(&w, ret) : ST_NOMEM;

	if (st == ST_OK)
		st = agree(&w, peer, ret, why);
	work_done(&w);
	return st;
}
