#include "crypto/fake/internal.h"

struct crypto_fake {
	const struct alloc *mem;
	uint64_t seed;
	uint64_t qcd_secret;
	uint64_t drawn; /* blocks of randomness given out */
};

/* ---- mixing ------------------------------------------------------------------------------- */

static void mix_block(struct mix *m)
{
	uint64_t other[2] = { m->state[1] ^ 0x5bd1e995, ~m->state[0] };
	struct bytes b = BYTES_OF(m->block);
	uint64_t first = siphash(m->state, b);

	m->state[1] = siphash(other, b);
	m->state[0] = first;
	m->n = 0;
}

void mix_init(struct mix *m, enum mix_domain domain, uint32_t id)
{
	*m = (struct mix){ .state = { domain, id } };
}

void mix_add(struct mix *m, struct bytes b)
{
	m->total += b.n;
	while (b.n > 0) {
		size_t room = sizeof(m->block) - m->n;
		size_t n = b.n < room ? b.n : room;

		memcpy(m->block + m->n, b.p, n);
		m->n += n;
		b = bytes_of(b.p + n, b.n - n);
		if (m->n == sizeof(m->block))
			mix_block(m);
	}
}

void mix_field(struct mix *m, struct bytes b)
{
	uint8_t len[8];

	store_be64(len, b.n);
	mix_add(m, BYTES_OF(len));
	mix_add(m, b);
}

void mix_out(struct mix *m, uint8_t *ret_out, size_t n)
{
	uint8_t word[8], counter[8];

	/* The last block is padded with zeros; the length tells those from data. */
	memset(m->block + m->n, 0, sizeof(m->block) - m->n);
	mix_block(m);
	m->state[0] ^= m->total;
	for (size_t done = 0; done < n; done += sizeof(word)) {
		store_be64(counter, done);
		store_be64(word, siphash(m->state, BYTES_OF(counter)));
		memcpy(ret_out + done, word, n - done < sizeof(word) ? n - done : sizeof(word));
	}
}

/* ---- inline operations -------------------------------------------------------------------- */

/* Everything that has sizes exists here, so that tests can negotiate what no library does yet. */
static bool fake_has(void *ctx, uint8_t transform_type, uint16_t id, uint16_t key_bits)
{
	struct crypto_cipher c = { id, key_bits, CRYPTO_INTEG_NONE };
	struct crypto_cipher_info info;

	(void)ctx;
	if (id == CRYPTO_AES_CBC)
		c.integ = CRYPTO_HMAC_SHA2_256_128;
	if (transform_type == 1)
		return crypto_cipher_info(c, &info) == ST_OK;
	if (key_bits != 0)
		return false;
	switch (transform_type) {
	case 2: return crypto_prf_len(id) > 0;
	case 3:
		return id == CRYPTO_INTEG_NONE || id == CRYPTO_HMAC_SHA2_256_128 ||
		       id == CRYPTO_HMAC_SHA2_384_192 || id == CRYPTO_HMAC_SHA2_512_256;
	case 4: return crypto_ke_public_len(id) > 0;
	default: return false;
	}
}

void fake_random(struct crypto_fake *p, void *buf, size_t n)
{
	const uint64_t key[2] = { p->seed, 0x72616e646f6d };
	uint8_t *out = buf, in[8], word[8];

	for (size_t done = 0; done < n; done += sizeof(word)) {
		store_be64(in, p->drawn++);
		store_be64(word, siphash(key, BYTES_OF(in)));
		memcpy(out + done, word, n - done < sizeof(word) ? n - done : sizeof(word));
	}
}

static void ops_random(void *ctx, void *buf, size_t n)
{
	fake_random(ctx, buf, n);
}

void fake_prf(uint16_t prf, struct bytes key, const struct bytes *parts, size_t n_parts,
	      uint8_t *ret_out)
{
	struct mix m;

	mix_init(&m, MIX_PRF, prf);
	mix_field(&m, key);
	for (size_t i = 0; i < n_parts; i++)
		mix_add(&m, parts[i]);
	mix_out(&m, ret_out, crypto_prf_len(prf));
}

static enum status ops_prf(void *ctx, uint16_t prf, struct bytes key, const struct bytes *parts,
			   size_t n_parts, uint8_t *ret_out)
{
	(void)ctx;
	if (crypto_prf_len(prf) == 0)
		return ST_BUG;
	fake_prf(prf, key, parts, n_parts, ret_out);
	return ST_OK;
}

static enum status ops_hash(void *ctx, uint16_t hash, const struct bytes *parts, size_t n_parts,
			    uint8_t *ret_out)
{
	struct mix m;

	(void)ctx;
	if (crypto_hash_len(hash) == 0)
		return ST_BUG;
	mix_init(&m, MIX_HASH, hash);
	for (size_t i = 0; i < n_parts; i++)
		mix_add(&m, parts[i]);
	mix_out(&m, ret_out, crypto_hash_len(hash));
	return ST_OK;
}

static void mix_key(struct mix *m, enum mix_domain domain, const struct crypto_key *key,
		    const struct crypto_cipher_info *info, const uint8_t *iv)
{
	mix_init(m, domain, (uint32_t)key->cipher.encr << 16 | key->cipher.integ);
	mix_field(m, secret_bytes(&key->encr));
	mix_field(m, secret_bytes(&key->integ));
	mix_field(m, bytes_of(iv, info->iv_len));
}

static void crypt(const struct crypto_key *key, const struct crypto_cipher_info *info,
		  const uint8_t *iv, uint8_t *data, size_t n)
{
	uint8_t stream[256], block[8];
	struct mix m;

	for (size_t done = 0; done < n; done += sizeof(stream)) {
		size_t take = n - done < sizeof(stream) ? n - done : sizeof(stream);

		mix_key(&m, MIX_STREAM, key, info, iv);
		store_be64(block, done);
		mix_field(&m, BYTES_OF(block));
		mix_out(&m, stream, take);
		for (size_t i = 0; i < take; i++)
			data[done + i] ^= stream[i];
	}
}

static void make_icv(const struct crypto_key *key, const struct crypto_cipher_info *info,
		     const uint8_t *iv, struct bytes aad, const uint8_t *data, size_t n,
		     uint8_t *ret_icv)
{
	struct mix m;

	mix_key(&m, MIX_ICV, key, info, iv);
	mix_field(&m, aad);
	mix_field(&m, bytes_of(data, n));
	mix_out(&m, ret_icv, info->icv_len);
}

static enum status check_key(const struct crypto_key *key, struct crypto_cipher_info *ret_info)
{
	if (crypto_cipher_info(key->cipher, ret_info) != ST_OK ||
	    key->encr.n != ret_info->key_len || key->integ.n != ret_info->integ_key_len)
		return ST_BUG;
	return ST_OK;
}

static enum status ops_seal(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv)
{
	struct crypto_cipher_info info;

	(void)ctx;
	if (check_key(key, &info) != ST_OK || n % info.block) {
		wipe(data, n);
		return ST_BUG;
	}
	crypt(key, &info, iv, data, n);
	make_icv(key, &info, iv, aad, data, n, ret_icv);
	return ST_OK;
}

static enum status ops_open(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv)
{
	struct crypto_cipher_info info;
	uint8_t want[CRYPTO_PRF_MAX];
	enum status st = check_key(key, &info);

	(void)ctx;
	if (st == ST_OK) {
		make_icv(key, &info, iv, aad, data, n, want);
		if (memcmp(want, icv, info.icv_len) != 0 || n % info.block)
			st = ST_DROP;
	}
	if (st == ST_OK)
		crypt(key, &info, iv, data, n);
	else
		wipe(data, n);
	return st;
}

static const struct crypto_ops ops = {
	.has = fake_has,
	.random = ops_random,
	.prf = ops_prf,
	.hash = ops_hash,
	.seal = ops_seal,
	.open = ops_open,
};

enum status crypto_fake_new(const struct alloc *mem, uint64_t seed,
			    struct crypto_fake **ret_provider)
{
	struct crypto_fake *p = mem_new(mem, sizeof(*p));

	if (!p)
		return ST_NOMEM;
	*p = (struct crypto_fake){ .mem = mem, .seed = seed, .qcd_secret = seed };
	*ret_provider = p;
	return ST_OK;
}

void crypto_fake_qcd(struct crypto_fake *p, uint64_t secret)
{
	p->qcd_secret = secret;
}

uint64_t fake_qcd_secret(const struct crypto_fake *p)
{
	return p->qcd_secret;
}

void crypto_fake_free(struct crypto_fake *p)
{
	if (p)
		mem_free(p->mem, p);
}

struct crypto crypto_fake_ops(struct crypto_fake *p)
{
	return (struct crypto){ &ops, p };
}
