#include "crypto/crypto.h"

/*
 * A job holds at most one message with its certificates, copied once more as signed octets, and
 * change; a datagram's payload is bounded by 64 KiB.
 */
#define JOB_MEM_MAX (160 * 1024)

/* prf+ puts the previous block before its seed parts and the counter after them. */
#define SEED_PARTS_MAX 8

static bool aes_bits(uint16_t bits)
{
	return bits == 128 || bits == 192 || bits == 256;
}

/* RFC 4868 section 2.1: the key is as long as the hash, the ICV half of it. */
static size_t integ_key_len(uint16_t integ)
{
	switch (integ) {
	case CRYPTO_HMAC_SHA2_256_128: return 32;
	case CRYPTO_HMAC_SHA2_384_192: return 48;
	case CRYPTO_HMAC_SHA2_512_256: return 64;
	default: return 0;
	}
}

enum status crypto_cipher_info(struct crypto_cipher c, struct crypto_cipher_info *ret_info)
{
	size_t integ = integ_key_len(c.integ);
	bool aead = c.integ == CRYPTO_INTEG_NONE;

	if (c.encr == CRYPTO_AES_GCM_16 && aead && aes_bits(c.key_bits)) {
		/* RFC 5282 section 7.1: the salt follows the key; ESP pads to four, SK need not. */
		*ret_info = (struct crypto_cipher_info){ c.key_bits / 8u + 4, 4, 0, 8, 16, 1 };
		return ST_OK;
	}
	if (c.encr == CRYPTO_CHACHA20_POLY1305 && aead && c.key_bits == 0) {
		/* RFC 7634 section 2: one key size, so no Key Length attribute. */
		*ret_info = (struct crypto_cipher_info){ 36, 4, 0, 8, 16, 1 };
		return ST_OK;
	}
	if (c.encr == CRYPTO_AES_CBC && integ > 0 && aes_bits(c.key_bits)) {
		*ret_info =
			(struct crypto_cipher_info){ c.key_bits / 8u, 0, integ, 16, integ / 2, 16 };
		return ST_OK;
	}
	return ST_INVAL;
}

size_t crypto_prf_len(uint16_t prf)
{
	switch (prf) {
	case CRYPTO_PRF_HMAC_SHA2_256: return 32;
	case CRYPTO_PRF_HMAC_SHA2_384: return 48;
	case CRYPTO_PRF_HMAC_SHA2_512: return 64;
	default: return 0;
	}
}

size_t crypto_hash_len(uint16_t hash)
{
	switch (hash) {
	case CRYPTO_SHA1: return 20;
	case CRYPTO_SHA2_256: return 32;
	case CRYPTO_SHA2_384: return 48;
	case CRYPTO_SHA2_512: return 64;
	default: return 0;
	}
}

size_t crypto_ke_public_len(uint16_t ke)
{
	switch (ke) {
	case CRYPTO_MODP_2048: return 256;
	case CRYPTO_ECP_256: return 64;
	case CRYPTO_ECP_384: return 96;
	case CRYPTO_ECP_521: return 132;
	case CRYPTO_X25519: return 32;
	default: return 0;
	}
}

/*
 * prf+ (K,S) = T1 | T2 | T3 | ...
 * T1 = prf (K, S | 0x01), T2 = prf (K, T1 | S | 0x02), ...
 */
enum status crypto_prf_plus(const struct crypto *c, uint16_t prf, struct bytes key,
			    const struct bytes *parts, size_t n_parts, uint8_t *ret_out, size_t n)
{
	size_t len = crypto_prf_len(prf);
	struct bytes in[SEED_PARTS_MAX + 2];
	uint8_t block[CRYPTO_PRF_MAX] = { 0 }, prev[CRYPTO_PRF_MAX];
	uint8_t counter = 0;
	enum status st = ST_OK;

	if (len == 0 || n_parts > SEED_PARTS_MAX || n > 255 * len)
		return ST_BUG;
	in[0] = (struct bytes){ NULL, 0 };
	for (size_t i = 0; i < n_parts; i++)
		in[1 + i] = parts[i];
	in[1 + n_parts] = bytes_of(&counter, 1);
	for (size_t done = 0; done < n && st == ST_OK; done += len) {
		size_t take = n - done < len ? n - done : len;

		counter++;
		st = c->ops->prf(c->ctx, prf, key, in, n_parts + 2, block);
		if (st == ST_OK)
			memcpy(ret_out + done, block, take);
		memcpy(prev, block, len);
		in[0] = bytes_of(prev, len);
	}
	wipe(block, sizeof(block));
	wipe(prev, sizeof(prev));
	/* Half a key must not look like a key. */
	if (st != ST_OK)
		wipe(ret_out, n);
	return st;
}

static enum status ppk_mix_one(const struct crypto *c, uint16_t prf, struct bytes ppk,
			       const struct secret *in, struct secret *ret)
{
	size_t n = crypto_prf_len(prf);
	struct bytes seed = secret_bytes(in);

	if (n == 0 || in->n != n || ppk.n == 0)
		return ST_BUG;
	ret->n = (uint8_t)n;
	return crypto_prf_plus(c, prf, ppk, &seed, 1, ret->b, n);
}

enum status crypto_ppk_mix(const struct crypto *c, uint16_t prf, struct bytes ppk,
			   const struct crypto_ppk_keys *in, struct crypto_ppk_keys *ret)
{
	struct crypto_ppk_keys out = { 0 };
	enum status st = ppk_mix_one(c, prf, ppk, &in->d, &out.d);

	if (st == ST_OK)
		st = ppk_mix_one(c, prf, ppk, &in->pi, &out.pi);
	if (st == ST_OK)
		st = ppk_mix_one(c, prf, ppk, &in->pr, &out.pr);
	if (st == ST_OK)
		*ret = out;
	wipe(&out, sizeof(out));
	return st;
}

/* TOKEN_SECRET_DATA = prf(QCD_SECRET, SPI-I | SPI-R): the RFC hashes the secret in front of them; a
 * PRF is what that is meant to be. */
enum status crypto_qcd_token(const struct crypto *c, struct bytes secret,
			     const struct crypto_qcd_in *in, uint8_t ret[CRYPTO_QCD_LEN])
{
	uint8_t spis[16];
	struct bytes part = BYTES_OF(spis);

	_Static_assert(CRYPTO_QCD_LEN == 32, "the output of HMAC-SHA2-256");
	store_be64(spis, in->spi_i);
	store_be64(spis + 8, in->spi_r);
	return c->ops->prf(c->ctx, CRYPTO_PRF_HMAC_SHA2_256, secret, &part, 1, ret);
}

enum status crypto_job_new(const struct alloc *mem, enum crypto_job_kind kind,
			   struct crypto_job **ret_job)
{
	struct crypto_job *job = mem_new(mem, sizeof(*job));

	if (!job)
		return ST_NOMEM;
	job->kind = kind;
	arena_init(&job->mem, mem, JOB_MEM_MAX);
	*ret_job = job;
	return ST_OK;
}

void crypto_job_free(struct crypto_job *job)
{
	if (!job)
		return;
	arena_done(&job->mem);
	mem_free_secret(job->mem.mem, job, sizeof(*job));
}

enum status crypto_job_dup(struct crypto_job *job, struct bytes b, struct bytes *ret_copy)
{
	return arena_dup(&job->mem, b, ret_copy);
}

void crypto_result_done(struct crypto_result *r)
{
	wipe(r, sizeof(*r));
}

const char *crypto_job_name(enum crypto_job_kind kind)
{
	switch (kind) {
	case CRYPTO_JOB_KE_GENERATE: return "ke-generate";
	case CRYPTO_JOB_KE_DERIVE: return "ke-derive";
	case CRYPTO_JOB_KE_RESPOND: return "ke-respond";
	case CRYPTO_JOB_SIGN: return "sign";
	case CRYPTO_JOB_PSK_AUTH: return "psk-auth";
	case CRYPTO_JOB_VERIFY: return "verify";
	case CRYPTO_JOB_PPK: return "ppk";
	case CRYPTO_JOB_PUZZLE: return "puzzle";
	case CRYPTO_JOB_QCD: return "qcd";
	}
	return "unknown";
}
