#include "ike/internal.h"

/* prf+ output for both directions of an IKE SA, at its largest. */
enum { KEYMAT_MAX = 7 * SECRET_MAX };

/* Cuts the next `n` bytes of key material into a secret. */
static bool cut(struct cur *c, size_t n, struct secret *ret)
{
	struct bytes b = cur_take(c, n);

	return !c->err && secret_set(ret, b);
}

/* {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr}, section 2.14. */
static bool cut_sa_keys(struct cur *c, size_t prf_len, const struct crypto_cipher_info *ci,
			struct crypto_key *i, struct crypto_key *r, struct sa_keys *k,
			struct handshake_keys *hs)
{
	return cut(c, prf_len, &k->d) && cut(c, ci->integ_key_len, &i->integ) &&
	       cut(c, ci->integ_key_len, &r->integ) && cut(c, ci->key_len, &i->encr) &&
	       cut(c, ci->key_len, &r->encr) && cut(c, prf_len, &hs->pi) &&
	       cut(c, prf_len, &hs->pr);
}

static enum status skeyseed(const struct crypto *c, uint16_t prf, const struct nonces *nonces,
			    struct bytes shared, uint8_t *ret)
{
	uint8_t key[2 * WIRE_MAX_NONCE];
	struct wr w = wr_of(key, sizeof(key));
	enum status st;

	wr_put(&w, nonces->i);
	wr_put(&w, nonces->r);
	if (w.err)
		return ST_BUG;
	st = c->ops->prf(c->ctx, prf, wr_bytes_of(&w), &shared, 1, ret);
	return st;
}

enum status keys_derive(const struct crypto *c, const struct policy_suite *suite,
			const struct nonces *nonces, struct bytes shared, uint64_t spi_i,
			uint64_t spi_r, bool initiator, struct sa_keys *ret_keys,
			struct handshake_keys *ret_hs)
{
	struct crypto_cipher cipher = policy_suite_cipher(suite);
	size_t prf_len = crypto_prf_len(suite->prf);
	struct crypto_key i = { .cipher = cipher }, r = { .cipher = cipher };
	struct sa_keys k = { 0 };
	struct handshake_keys hs = { 0 };
	struct crypto_cipher_info ci;
	uint8_t seed[CRYPTO_PRF_MAX], mat[KEYMAT_MAX], spis[16];
	struct bytes parts[4] = { nonces->i, nonces->r, { spis, 8 }, { spis + 8, 8 } };
	struct cur cur;
	size_t n;
	enum status st = crypto_cipher_info(cipher, &ci);

	if (st)
		return st;
	n = 3 * prf_len + 2 * (ci.integ_key_len + ci.key_len);
	if (prf_len == 0 || n > sizeof(mat))
		return ST_BUG;
	store_be64(spis, spi_i);
	store_be64(spis + 8, spi_r);
	st = skeyseed(c, suite->prf, nonces, shared, seed);
	if (!st)
		st = crypto_prf_plus(c, suite->prf, bytes_of(seed, prf_len), parts, 4, mat, n);
	cur = cur_of(bytes_of(mat, n));
	if (!st && !cut_sa_keys(&cur, prf_len, &ci, &i, &r, &k, &hs))
		st = ST_BUG;
	if (!st) {
		k.out = initiator ? i : r;
		k.in = initiator ? r : i;
		*ret_keys = k;
		*ret_hs = hs;
	}
	wipe(seed, sizeof(seed));
	wipe(mat, sizeof(mat));
	wipe(&i, sizeof(i));
	wipe(&r, sizeof(r));
	wipe(&k, sizeof(k));
	wipe(&hs, sizeof(hs));
	return st;
}

void keys_done(struct sa_keys *k)
{
	wipe(k, sizeof(*k));
}

void keys_emit(struct ike *ike, const struct ike_sa *sa)
{
	const struct crypto_key *i = sa->initiator ? &sa->keys.out : &sa->keys.in;
	const struct crypto_key *r = sa->initiator ? &sa->keys.in : &sa->keys.out;
	struct outbox ob;
	struct out_item *it;
	struct ike_out *o;
	bool ok;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_KEYS);
	if (!it)
		return;
	o = &it->out;
	o->u.keys.spi_i = sa->spi_i;
	o->u.keys.spi_r = sa->spi_r;
	o->u.keys.cipher = i->cipher;
	ok = arena_dup(&it->mem, secret_bytes(&i->encr), &o->u.keys.sk_ei) == ST_OK &&
	     arena_dup(&it->mem, secret_bytes(&r->encr), &o->u.keys.sk_er) == ST_OK &&
	     arena_dup(&it->mem, secret_bytes(&i->integ), &o->u.keys.sk_ai) == ST_OK &&
	     arena_dup(&it->mem, secret_bytes(&r->integ), &o->u.keys.sk_ar) == ST_OK;
	if (ok)
		outbox_commit(ike, &ob);
	else
		outbox_drop(&ob);
}

enum status keys_child(const struct crypto *c, uint16_t prf, const struct secret *sk_d,
		       const struct nonces *nonces, const struct policy_suite *suite,
		       bool initiator, struct esp_keys *ret_in, struct esp_keys *ret_out)
{
	struct crypto_cipher cipher = policy_suite_cipher(suite);
	struct bytes parts[2] = { nonces->i, nonces->r };
	struct esp_keys first = { .cipher = cipher }, second = { .cipher = cipher };
	struct crypto_cipher_info ci;
	uint8_t mat[KEYMAT_MAX];
	struct cur cur;
	size_t n;
	enum status st = crypto_cipher_info(cipher, &ci);

	if (st)
		return st;
	n = 2 * (ci.integ_key_len + ci.key_len);
	if (n > sizeof(mat))
		return ST_BUG;
	st = crypto_prf_plus(c, prf, secret_bytes(sk_d), parts, 2, mat, n);
	cur = cur_of(bytes_of(mat, n));
	/* Section 2.17: all keys of the direction initiator to responder first, and within a
	 * direction the encryption key before the integrity key. */
	if (!st &&
	    !(cut(&cur, ci.key_len, &first.encr) && cut(&cur, ci.integ_key_len, &first.integ) &&
	      cut(&cur, ci.key_len, &second.encr) && cut(&cur, ci.integ_key_len, &second.integ)))
		st = ST_BUG;
	if (!st) {
		*ret_out = initiator ? first : second;
		*ret_in = initiator ? second : first;
	}
	wipe(mat, sizeof(mat));
	wipe(&first, sizeof(first));
	wipe(&second, sizeof(second));
	return st;
}

enum status keys_signed_octets(const struct crypto *c, uint16_t prf, struct arena *ar,
			       struct bytes real_message, struct bytes peer_nonce,
			       const struct secret *sk_p, struct bytes id_body,
			       struct bytes *ret_octets)
{
	size_t prf_len = crypto_prf_len(prf);
	size_t n = real_message.n + peer_nonce.n + prf_len;
	uint8_t *p = arena_new(ar, n);
	struct wr w;
	uint8_t *mac;
	enum status st;

	if (!p)
		return ST_NOMEM;
	w = wr_of(p, n);
	wr_put(&w, real_message);
	wr_put(&w, peer_nonce);
	mac = wr_room(&w, prf_len);
	if (!mac)
		return ST_BUG;
	st = c->ops->prf(c->ctx, prf, secret_bytes(sk_p), &id_body, 1, mac);
	if (!st)
		*ret_octets = wr_bytes_of(&w);
	return st;
}
