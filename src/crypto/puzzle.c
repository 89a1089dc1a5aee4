/* Client puzzles (RFC 8019): the same for every provider, out of its PRF. */
#include "crypto/crypto.h"

unsigned crypto_zero_bits(struct bytes b)
{
	unsigned bits = 0;

	while (b.n > 0 && b.p[b.n - 1] == 0) {
		bits += 8;
		b.n--;
	}
	return b.n > 0 ? bits + (unsigned)__builtin_ctz(b.p[b.n - 1]) : bits;
}

enum status crypto_puzzle_zeros(const struct crypto *c, uint16_t prf, struct bytes key,
				struct bytes data, unsigned *ret_bits)
{
	uint8_t out[CRYPTO_PRF_MAX];
	enum status st = c->ops->prf(c->ctx, prf, key, &data, 1, out);

	if (st == ST_OK)
		*ret_bits = crypto_zero_bits(bytes_of(out, crypto_prf_len(prf)));
	return st;
}

enum status crypto_puzzle_solve(const struct crypto *c, const struct crypto_puzzle_in *in,
				struct crypto_puzzle_out *ret)
{
	struct crypto_puzzle_out out = { 0 };

	if (crypto_prf_len(in->prf) == 0 || in->want > CRYPTO_PUZZLE_KEYS)
		return ST_BUG;
	while (out.tried < in->tries && out.n < in->want) {
		uint8_t key[CRYPTO_PUZZLE_KEY_LEN];
		unsigned bits;
		enum status st;

		store_be32(key, in->from + out.tried);
		st = crypto_puzzle_zeros(c, in->prf, BYTES_OF(key), in->data, &bits);
		if (st)
			return st;
		if (bits >= in->bits)
			out.keys[out.n++] = in->from + out.tried;
		out.tried++;
	}
	*ret = out;
	return ST_OK;
}
