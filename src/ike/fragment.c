/*
 * fragment.c - cutting messages into fragments (RFC 7383 section 2.5).
 *
 * The window keeps a message as it goes out: one IKE message, or the fragments of one back to back,
 * each with a Length of its own.  Cutting begins with the chain of payloads before it is sealed;
 * when it is to be cut smaller later, our own fragments are opened again with our own keys, so no
 * plaintext is kept for that.  Every fragment has an IV of its own, always a new one.
 */
#include "ike/internal.h"

struct bytes msgs_next(struct bytes *rest)
{
	size_t n = rest->n >= WIRE_IKE_HDR_LEN ? load_be32(rest->p + 24) : rest->n;
	struct bytes one = bytes_of(rest->p, n >= WIRE_IKE_HDR_LEN && n < rest->n ? n : rest->n);

	*rest = bytes_of(rest->p + one.n, rest->n - one.n);
	return one;
}

size_t msgs_largest(struct bytes msgs)
{
	size_t most = 0;

	while (msgs.n) {
		struct bytes one = msgs_next(&msgs);

		most = one.n > most ? one.n : most;
	}
	return most;
}

bool fragment_never(const struct ike_sa *sa, uint8_t exchange, size_t n)
{
	return exchange == WIRE_INFORMATIONAL && !sa->warren &&
	       n + path_overhead(&sa->path) <= IKE_PACKET_USUAL;
}

/* ---- sealing ------------------------------------------------------------------------------ */

/* How a chain is cut under a cipher: each piece but the last has `piece` bytes and makes a fragment
 * of `overhead` bytes and a multiple of the block, not above what its path takes unless that would
 * be more than IKE_MAX_FRAGMENTS. */
struct cut {
	struct crypto_cipher_info ci;
	size_t overhead;
	size_t piece;
	size_t total;
};

static enum status cut_for(const struct ike_sa *sa, const struct unsealed *m, size_t max,
			   struct cut *ret)
{
	size_t chain = m->chain.n;
	struct cut c;
	size_t room, least;

	if (crypto_cipher_info(sa->keys.cipher, &c.ci))
		return ST_BUG;
	c.overhead = WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN + 4 + c.ci.iv_len + c.ci.icv_len;
	c.overhead += puzzle_beside(sa, m->hdr.exchange, m->hdr.flags & WIRE_FLAG_RESPONSE);
	room = max > c.overhead ? (max - c.overhead) / c.ci.block * c.ci.block : 0;
	if (room < 2)
		return ST_DROP;
	/* Section 5: a receiver takes only so many. */
	least = (chain + IKE_MAX_FRAGMENTS - 1) / IKE_MAX_FRAGMENTS + 1;
	if (room < least)
		room = (least + c.ci.block - 1) / c.ci.block * c.ci.block;
	c.piece = room - 1; /* a byte for the pad length */
	c.total = chain ? (chain + c.piece - 1) / c.piece : 1;
	*ret = c;
	return ST_OK;
}

static enum status seal_one(struct ike *ike, struct ike_sa *sa, const struct cut *c,
			    const struct wire_hdr *hdr, const struct wire_fragment *f, uint8_t *buf,
			    size_t cap, size_t *ret_n)
{
	struct wire_sk_spans s;
	struct crypto_key key;
	struct wire_out o;
	struct bytes msg;
	enum status st;

	wire_ike_begin(&o, buf, cap, hdr);
	if (f->number == 1)
		puzzle_put(sa, hdr->exchange, hdr->flags & WIRE_FLAG_RESPONSE, &o);
	wire_put_fragment(&o, c->ci.iv_len, f);
	st = wire_ike_sk_end(&o, c->ci.block, c->ci.icv_len, &s, &msg);
	if (st)
		return ST_BUG;
	msg_iv(ike, sa, c->ci.iv_len, s.iv);
	key = keys_out(&sa->keys);
	st = ike->crypto.ops->seal(ike->crypto.ctx, &key, s.iv, s.aad, s.plain, s.plain_len, s.icv);
	wipe(&key, sizeof(key));
	*ret_n = msg.n;
	return st;
}

static enum status seal_all(struct ike *ike, struct ike_sa *sa, const struct unsealed *m,
			    const struct cut *c, uint8_t *buf, size_t cap, size_t *ret_n)
{
	struct wire_fragment f = { .total = (uint16_t)c->total, .first = m->first };
	struct bytes rest = m->chain;
	size_t used = 0, n;

	for (size_t i = 0; i < c->total; i++) {
		enum status st;

		f.number = (uint16_t)(i + 1);
		f.piece = bytes_of(rest.p, rest.n < c->piece ? rest.n : c->piece);
		rest = bytes_of(rest.p + f.piece.n, rest.n - f.piece.n);
		st = seal_one(ike, sa, c, &m->hdr, &f, buf + used, cap - used, &n);
		if (st)
			return st;
		used += n;
	}
	*ret_n = used;
	return ST_OK;
}

enum status fragment_seal(struct ike *ike, struct ike_sa *sa, const struct unsealed *m, size_t max,
			  size_t more_than, struct bytes *ret_owned)
{
	size_t cap, n;
	struct cut c;
	uint8_t *buf;
	enum status st = cut_for(sa, m, max, &c);

	if (!st && c.total <= more_than)
		st = ST_DROP;
	if (st)
		return st;
	cap = m->chain.n + c.total * (c.overhead + c.ci.block);
	buf = mem_new(ike->mem, cap);
	if (!buf)
		return ST_NOMEM;
	st = seal_all(ike, sa, m, &c, buf, cap, &n);
	if (st) {
		mem_free(ike->mem, buf);
		return st;
	}
	ike->counters[C_TX_FRAGMENTS] += c.total;
	*ret_owned = bytes_of(buf, n);
	return ST_OK;
}

/* ---- cutting again ------------------------------------------------------------------------ */

/* Opens what we sealed; returns how many messages it was, 0 when that cannot be done. */
static size_t unseal(struct ike *ike, struct ike_sa *sa, struct arena *ar, struct bytes msgs,
		     struct unsealed *ret)
{
	uint8_t *chain = arena_new(ar, msgs.n);
	struct crypto_key key = keys_out(&sa->keys);
	size_t n = 0, used = 0;
	enum status st = chain ? ST_OK : ST_NOMEM;

	while (!st && msgs.n) {
		enum wire_fault fault;
		struct wire_ike_msg msg;
		struct bytes piece;

		st = wire_ike_parse(ar, msgs_next(&msgs), &msg, &fault);
		if (!st && !msg.encrypted)
			st = ST_DROP;
		if (!st)
			st = msg_decrypt(ike, &key, ar, &msg, &piece, &fault);
		if (st)
			break;
		if (n++ == 0) {
			ret->hdr = msg.hdr;
			ret->first = msg.sk.inner_next;
		}
		memcpy(chain + used, piece.p, piece.n);
		used += piece.n;
	}
	wipe(&key, sizeof(key));
	ret->chain = bytes_of(chain, used);
	return st ? 0 : n;
}

enum status fragment_again(struct ike *ike, struct ike_sa *sa, size_t max, struct bytes *owned)
{
	struct unsealed m = { 0 };
	struct bytes smaller;
	struct arena ar;
	size_t n;
	enum status st = ST_DROP;

	if (!sa->path.fragments || !sa->keys.mat || msgs_largest(*owned) <= max)
		return ST_DROP;
	if (owned->p[16] != WIRE_P_SKF && fragment_never(sa, owned->p[18], owned->n))
		return ST_DROP;
	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	n = unseal(ike, sa, &ar, *owned, &m);
	if (n)
		st = fragment_seal(ike, sa, &m, max, n, &smaller);
	arena_done(&ar);
	if (st)
		return st;
	mem_free(ike->mem, (void *)(uintptr_t)owned->p);
	*owned = smaller;
	count(ike, C_TX_REFRAGMENTED);
	return ST_OK;
}
