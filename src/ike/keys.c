#include "ike/internal.h"

/* prf+ output for both directions of an IKE SA, at its largest. */
enum { KEYMAT_MAX = 7 * SECRET_MAX };

/* Cuts the next `n` bytes of key material into a secret. */
static bool cut(struct cur *c, size_t n, struct secret *ret)
{
	struct bytes b = cur_take(c, n);

	return !c->err && secret_set(ret, b);
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

/* {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr}, section 2.14: the SA keeps the first
 * five, the handshake the rest. */
static enum status cut_sa_keys(const struct alloc *mem, struct bytes mat, size_t prf_len,
			       struct sa_keys *k, struct handshake_keys *hs)
{
	struct cur c = cur_of(mat);
	struct bytes kept = cur_take(&c, mat.n - 2 * prf_len), copy;

	if (!cut(&c, prf_len, &hs->pi) || !cut(&c, prf_len, &hs->pr))
		return ST_BUG;
	if (mem_dup(mem, kept, &copy))
		return ST_NOMEM;
	k->mat = (uint8_t *)(uintptr_t)copy.p;
	k->n = (uint16_t)kept.n;
	k->d_len = (uint8_t)prf_len;
	return ST_OK;
}

/* Everything that follows from SKEYSEED. */
static enum status expand(const struct alloc *mem, const struct crypto *c,
			  const struct policy_suite *suite, const struct nonces *nonces,
			  const uint8_t *seed, size_t seed_len, uint64_t spi_i, uint64_t spi_r,
			  struct sa_keys *k, struct handshake_keys *hs)
{
	size_t prf_len = crypto_prf_len(suite->prf);
	struct crypto_cipher_info ci;
	uint8_t mat[KEYMAT_MAX], spis[16];
	struct bytes parts[4] = { nonces->i, nonces->r, { spis, 8 }, { spis + 8, 8 } };
	size_t n;
	enum status st = crypto_cipher_info(k->cipher, &ci);

	if (st)
		return st;
	n = 3 * prf_len + 2 * (ci.integ_key_len + ci.key_len);
	if (prf_len == 0 || n > sizeof(mat))
		return ST_BUG;
	store_be64(spis, spi_i);
	store_be64(spis + 8, spi_r);
	st = crypto_prf_plus(c, suite->prf, bytes_of(seed, seed_len), parts, 4, mat, n);
	if (!st)
		st = cut_sa_keys(mem, bytes_of(mat, n), prf_len, k, hs);
	wipe(mat, sizeof(mat));
	return st;
}

enum status keys_derive(const struct alloc *mem, const struct crypto *c,
			const struct policy_suite *suite, const struct nonces *nonces,
			struct bytes shared, uint64_t spi_i, uint64_t spi_r, bool initiator,
			struct sa_keys *ret_keys, struct handshake_keys *ret_hs)
{
	struct sa_keys k = { .cipher = policy_suite_cipher(suite), .initiator = initiator };
	struct handshake_keys hs = { 0 };
	uint8_t seed[CRYPTO_PRF_MAX];
	enum status st = skeyseed(c, suite->prf, nonces, shared, seed);

	if (!st)
		st = expand(mem, c, suite, nonces, seed, crypto_prf_len(suite->prf), spi_i, spi_r,
			    &k, &hs);
	if (!st) {
		*ret_keys = k;
		*ret_hs = hs;
	}
	wipe(seed, sizeof(seed));
	wipe(&hs, sizeof(hs));
	return st;
}

/* The rekeying exchange belongs to the old IKE SA, so it is its PRF that makes SKEYSEED, and the
 * new one's that makes keys of it (section 2.18). */
enum status keys_rekey(const struct alloc *mem, const struct crypto *c,
		       const struct policy_suite *suite, const struct rekey_seed *s,
		       struct sa_keys *ret_keys)
{
	struct sa_keys k = { .cipher = policy_suite_cipher(suite), .initiator = s->initiator };
	struct bytes parts[3] = { s->shared, s->nonces.i, s->nonces.r };
	struct handshake_keys unused = { 0 };
	uint8_t seed[CRYPTO_PRF_MAX];
	enum status st = c->ops->prf(c->ctx, s->prf, s->sk_d, parts, 3, seed);

	if (!st)
		st = expand(mem, c, suite, &s->nonces, seed, crypto_prf_len(s->prf), s->spi_i,
			    s->spi_r, &k, &unused);
	if (!st)
		*ret_keys = k;
	wipe(seed, sizeof(seed));
	wipe(&unused, sizeof(unused));
	return st;
}

void keys_done(struct sa_keys *k, const struct alloc *mem)
{
	if (k->mat)
		mem_free_secret(mem, k->mat, k->n);
	wipe(k, sizeof(*k));
}

struct bytes keys_d(const struct sa_keys *k)
{
	return bytes_of(k->mat, k->d_len);
}

void keys_use_d(struct sa_keys *k, const struct secret *d)
{
	if (d->n == k->d_len)
		memcpy(k->mat, d->b, d->n);
}

static struct crypto_key key_of(const struct sa_keys *k, bool of_initiator)
{
	struct crypto_key key = { .cipher = k->cipher };
	struct crypto_cipher_info ci;
	struct cur c = cur_of(bytes_of(k->mat, k->n));

	/* No keys yet, or a cipher that is none: an empty key, which no provider takes. */
	if (crypto_cipher_info(k->cipher, &ci))
		return key;
	(void)cur_take(&c, k->d_len + (of_initiator ? 0 : ci.integ_key_len));
	(void)cut(&c, ci.integ_key_len, &key.integ);
	(void)cur_take(&c, of_initiator ? ci.integ_key_len : 0);
	(void)cur_take(&c, of_initiator ? 0 : ci.key_len);
	(void)cut(&c, ci.key_len, &key.encr);
	return key;
}

struct crypto_key keys_out(const struct sa_keys *k)
{
	return key_of(k, k->initiator);
}

struct crypto_key keys_in(const struct sa_keys *k)
{
	return key_of(k, !k->initiator);
}

void keys_emit(struct ike *ike, const struct ike_sa *sa)
{
	struct crypto_key i = key_of(&sa->keys, true), r = key_of(&sa->keys, false);
	struct outbox ob;
	struct out_item *it;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_KEYS);
	if (it) {
		struct ike_out *o = &it->out;

		o->u.keys.spi_i = sa->spi_i;
		o->u.keys.spi_r = sa->spi_r;
		o->u.keys.cipher = i.cipher;
		ob.failed = arena_dup(&it->mem, secret_bytes(&i.encr), &o->u.keys.sk_ei) ||
			    arena_dup(&it->mem, secret_bytes(&r.encr), &o->u.keys.sk_er) ||
			    arena_dup(&it->mem, secret_bytes(&i.integ), &o->u.keys.sk_ai) ||
			    arena_dup(&it->mem, secret_bytes(&r.integ), &o->u.keys.sk_ar);
	}
	wipe(&i, sizeof(i));
	wipe(&r, sizeof(r));
	if (ob.failed)
		outbox_drop(&ob);
	else
		outbox_commit(ike, &ob);
}

enum status keys_child(const struct crypto *c, uint16_t prf, struct bytes sk_d, struct bytes shared,
		       const struct nonces *nonces, const struct policy_suite *suite,
		       bool initiator, struct esp_keys *ret_in, struct esp_keys *ret_out)
{
	struct crypto_cipher cipher = policy_suite_cipher(suite);
	struct bytes parts[3] = { shared, nonces->i, nonces->r };
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
	st = crypto_prf_plus(c, prf, sk_d, parts, 3, mat, n);
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
