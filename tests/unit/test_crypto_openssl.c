/* The libcrypto provider: published vectors, and what happens to bytes that were touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/dh.h>
#include <openssl/evp.h>

#include "crypto/openssl/crypto_openssl.h"
#include "unit/test_crypto_vectors.h"

struct fixture {
	struct crypto_openssl *provider;
	struct crypto c;
	struct crypto_store *store;
};

static int setup(void **state)
{
	static struct fixture f;

	if (crypto_openssl_new(&f.provider) != ST_OK || crypto_store_new(&f.store) != ST_OK)
		return -1;
	f.c = crypto_openssl_ops(f.provider);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	crypto_openssl_free(f->provider);
	crypto_store_free(f->store);
	return 0;
}

enum { HEX_MAX = 512 };

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Into `buf` of HEX_MAX bytes. */
static struct bytes unhex(const char *hex, uint8_t *buf)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= HEX_MAX && strlen(hex) % 2 == 0);
	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return bytes_of(buf, n);
}

static struct secret unhex_secret(const char *hex)
{
	uint8_t buf[HEX_MAX];
	struct secret s = { 0 };

	assert_true(secret_set(&s, unhex(hex, buf)));
	return s;
}

/* ---- PRF and hash ------------------------------------------------------------------------- */

/* Wherever the input is cut into three parts, the PRF is that of the whole. */
static void check_prf(const struct crypto *c, uint16_t prf, struct bytes key, struct bytes data,
		      const char *want_hex)
{
	uint8_t want[HEX_MAX], got[CRYPTO_PRF_MAX];
	struct bytes w = unhex(want_hex, want);

	assert_int_equal(w.n, crypto_prf_len(prf));
	for (size_t a = 0; a <= data.n; a += 7) {
		size_t b = a + (data.n - a) / 2;
		const struct bytes parts[] = { bytes_of(data.p, a),
					       { NULL, 0 },
					       bytes_of(data.p + a, b - a),
					       bytes_of(data.p + b, data.n - b) };

		memset(got, 0, sizeof(got));
		assert_int_equal(c->ops->prf(c->ctx, prf, key, parts, ARRAY_LEN(parts), got),
				 ST_OK);
		assert_memory_equal(got, want, w.n);
	}
}

static void prf_vectors(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(hmac_vectors); i++) {
		const struct hmac_vector *v = &hmac_vectors[i];
		uint8_t kb[HEX_MAX], db[HEX_MAX];
		struct bytes key = unhex(v->key, kb), data = unhex(v->data, db);

		check_prf(&f->c, CRYPTO_PRF_HMAC_SHA2_256, key, data, v->sha256);
		check_prf(&f->c, CRYPTO_PRF_HMAC_SHA2_384, key, data, v->sha384);
		check_prf(&f->c, CRYPTO_PRF_HMAC_SHA2_512, key, data, v->sha512);
	}
}

/* An empty key is a key: it must not be taken for "the key of the last call". */
static void prf_empty_key(void **state)
{
	/* HMAC-SHA2-256 of nothing under the empty key, by Python: hmac.new(b"", b"", sha256) */
	static const char want[] =
		"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
	struct fixture *f = *state;
	const struct bytes nothing = { NULL, 0 };
	uint8_t got[CRYPTO_PRF_MAX], expected[HEX_MAX];

	assert_int_equal(f->c.ops->prf(f->c.ctx, CRYPTO_PRF_HMAC_SHA2_256, bytes_str("other"),
				       &nothing, 1, got),
			 ST_OK);
	assert_int_equal(
		f->c.ops->prf(f->c.ctx, CRYPTO_PRF_HMAC_SHA2_256, nothing, &nothing, 1, got),
		ST_OK);
	assert_memory_equal(got, unhex(want, expected).p, 32);
	assert_int_equal(f->c.ops->prf(f->c.ctx, 2, nothing, &nothing, 1, got), ST_BUG);
}

/* FIPS 180-4: "abc". */
static void hash_vectors(void **state)
{
	static const struct {
		uint16_t hash;
		const char *want;
	} rows[] = {
		{ CRYPTO_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ CRYPTO_SHA2_256,
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ CRYPTO_SHA2_384,
		  "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
		  "8086072ba1e7cc2358baeca134c825a7" },
		{ CRYPTO_SHA2_512,
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	};
	const struct bytes parts[] = { bytes_str("a"), { NULL, 0 }, bytes_str("bc") };
	struct fixture *f = *state;
	uint8_t got[CRYPTO_HASH_MAX], want[HEX_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes w = unhex(rows[i].want, want);

		assert_int_equal(w.n, crypto_hash_len(rows[i].hash));
		assert_int_equal(f->c.ops->hash(f->c.ctx, rows[i].hash, parts, 3, got), ST_OK);
		assert_memory_equal(got, want, w.n);
	}
	assert_int_equal(f->c.ops->hash(f->c.ctx, CRYPTO_IDENTITY, parts, 3, got), ST_BUG);
	assert_int_equal(f->c.ops->hash(f->c.ctx, 0, parts, 3, got), ST_BUG);
}

static void check_prf_plus(const struct crypto *c, uint16_t prf, struct bytes key,
			   const struct bytes *seed, size_t n_seed, const char *want_hex)
{
	uint8_t want[HEX_MAX], got[HEX_MAX];
	struct bytes w = unhex(want_hex, want);

	assert_int_equal(crypto_prf_plus(c, prf, key, seed, n_seed, got, w.n), ST_OK);
	assert_memory_equal(got, want, w.n);
	/* A shorter request is a prefix. */
	assert_int_equal(crypto_prf_plus(c, prf, key, seed, n_seed, got, w.n - 33), ST_OK);
	assert_memory_equal(got, want, w.n - 33);
}

/* RFC 7296 sections 2.14 (SKEYSEED, SK_*), 2.17 (KEYMAT) and 2.18 (rekeying). */
static void kdf_vectors_hold(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		size_t len = crypto_prf_len(v->prf);
		uint8_t bi[HEX_MAX], br[HEX_MAX], bsi[HEX_MAX], bsr[HEX_MAX], bg[HEX_MAX],
			bn[HEX_MAX], bs[HEX_MAX], bd[HEX_MAX], nonces[64];
		struct bytes ni = unhex(v->ni, bi), nr = unhex(v->nr, br);
		struct bytes g_ir = unhex(v->g_ir, bg), g_new = unhex(v->g_ir_new, bn);
		struct bytes skeyseed = unhex(v->skeyseed, bs);
		struct bytes sk_d = bytes_of(unhex(v->ike_keys, bd).p, len);
		const struct bytes seed[] = { ni, nr, unhex(v->spi_i, bsi), unhex(v->spi_r, bsr) };
		const struct bytes with_ke[] = { g_new, ni, nr };
		uint8_t got[CRYPTO_PRF_MAX];

		memcpy(nonces, ni.p, ni.n);
		memcpy(nonces + ni.n, nr.p, nr.n);
		check_prf(&f->c, v->prf, bytes_of(nonces, ni.n + nr.n), g_ir, v->skeyseed);
		check_prf_plus(&f->c, v->prf, skeyseed, seed, 4, v->ike_keys);
		check_prf_plus(&f->c, v->prf, sk_d, seed, 2, v->child_keys);
		check_prf_plus(&f->c, v->prf, sk_d, with_ke, 3, v->child_keys_ke);
		assert_int_equal(f->c.ops->prf(f->c.ctx, v->prf, sk_d, with_ke, 3, got), ST_OK);
		assert_memory_equal(got, unhex(v->skeyseed_rekey, bs).p, len);
	}
}

/* RFC 8784 section 3, of PRFs whose output is as long as their key: prf(PPK, SK | 0x01). */
static void ppk_mixes(void **state)
{
	static const uint16_t prfs[] = { CRYPTO_PRF_HMAC_SHA2_256, CRYPTO_PRF_HMAC_SHA2_384,
					 CRYPTO_PRF_HMAC_SHA2_512 };
	struct bytes ppk = bytes_str("a post-quantum pre-shared key!!!"), one = bytes_of("\x01", 1);
	struct crypto c = ((struct fixture *)*state)->c;

	for (size_t i = 0; i < ARRAY_LEN(prfs); i++) {
		size_t n = crypto_prf_len(prfs[i]);
		struct crypto_ppk_keys in = { .d.n = (uint8_t)n,
					      .pi.n = (uint8_t)n,
					      .pr.n = (uint8_t)n },
				       out = { 0 };
		const struct secret *from[] = { &in.d, &in.pi, &in.pr };
		const struct secret *to[] = { &out.d, &out.pi, &out.pr };

		memset(in.d.b, 1, n);
		memset(in.pi.b, 2, n);
		memset(in.pr.b, 3, n);
		assert_int_equal(crypto_ppk_mix(&c, prfs[i], ppk, &in, &out), ST_OK);
		for (size_t k = 0; k < 3; k++) {
			struct bytes parts[] = { secret_bytes(from[k]), one };
			uint8_t want[CRYPTO_PRF_MAX];

			assert_int_equal(c.ops->prf(c.ctx, prfs[i], ppk, parts, 2, want), ST_OK);
			assert_int_equal(to[k]->n, n);
			assert_memory_equal(to[k]->b, want, n);
		}
		/* Each as long as the PRF's output, or nothing comes of it. */
		in.pr.n--;
		out = (struct crypto_ppk_keys){ 0 };
		assert_int_equal(crypto_ppk_mix(&c, prfs[i], ppk, &in, &out), ST_BUG);
		assert_int_equal(out.d.n, 0);
		in.pr.n++;
		assert_int_equal(crypto_ppk_mix(&c, prfs[i], bytes_of(NULL, 0), &in, &out), ST_BUG);
		assert_int_equal(crypto_ppk_mix(&c, 2, ppk, &in, &out), ST_BUG);
	}
}

/* ---- seal and open ------------------------------------------------------------------------ */

/* One sealed message with all that is needed to open it. */
struct sealed {
	struct crypto_key key;
	uint8_t iv[16];
	uint8_t aad[64];
	size_t aad_n;
	uint8_t data[128];
	size_t n;
	uint8_t icv[32];
	struct crypto_cipher_info info;
};

static enum status do_open(const struct crypto *c, struct sealed *m)
{
	return c->ops->open(c->ctx, &m->key, m->iv, bytes_of(m->aad, m->aad_n), m->data, m->n,
			    m->icv);
}

static void flip(uint8_t *p, size_t bit)
{
	p[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* Every bit of `n` bytes at `offset` of the message matters, and what does not open is wiped. */
static void flip_all(const struct crypto *c, const struct sealed *good, size_t offset, size_t n)
{
	static const uint8_t zero[sizeof(good->data)];

	for (size_t bit = 0; bit < 8 * n; bit++) {
		struct sealed m = *good;

		flip((uint8_t *)&m + offset, bit);
		assert_int_equal(do_open(c, &m), ST_DROP);
		assert_memory_equal(m.data, zero, m.n);
	}
}

/* S2: a changed bit anywhere is found. */
static void check_tampering(const struct crypto *c, const struct sealed *good)
{
	struct sealed m = *good;

	flip_all(c, good, offsetof(struct sealed, data), good->n);
	flip_all(c, good, offsetof(struct sealed, icv), good->info.icv_len);
	flip_all(c, good, offsetof(struct sealed, aad), good->aad_n);
	flip_all(c, good, offsetof(struct sealed, iv), good->info.iv_len);
	if (good->info.salt_len)
		flip_all(c, good, offsetof(struct sealed, key.encr.b), good->key.encr.n);
	else
		flip_all(c, good, offsetof(struct sealed, key.integ.b), good->key.integ.n);
	m.aad_n++;
	assert_int_equal(do_open(c, &m), ST_DROP);
	if (good->n >= good->info.block) {
		m = *good;
		m.n -= good->info.block;
		assert_int_equal(do_open(c, &m), ST_DROP);
	}
}

static void aead_vectors_hold(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(aead_vectors); i++) {
		const struct aead_vector *v = &aead_vectors[i];
		struct sealed m = { .key = { .cipher = v->cipher } };
		uint8_t buf[HEX_MAX], plain[HEX_MAX], cipher[HEX_MAX];
		struct bytes p = unhex(v->plain, plain);

		assert_int_equal(crypto_cipher_info(v->cipher, &m.info), ST_OK);
		m.key.encr = unhex_secret(v->key);
		memcpy(m.iv, unhex(v->iv, buf).p, 8);
		m.aad_n = unhex(v->aad, m.aad).n;
		m.n = p.n;
		memcpy(m.data, p.p, p.n);
		assert_int_equal(f->c.ops->seal(f->c.ctx, &m.key, m.iv, bytes_of(m.aad, m.aad_n),
						m.data, m.n, m.icv),
				 ST_OK);
		assert_memory_equal(m.data, unhex(v->sealed, cipher).p, p.n);
		assert_memory_equal(m.icv, unhex(v->icv, buf).p, 16);
		check_tampering(&f->c, &m);
		assert_int_equal(do_open(&f->c, &m), ST_OK);
		assert_memory_equal(m.data, plain, p.n);
	}
}

/* CBC: the cipher by RFC 3602's vectors, the ICV as the truncated PRF over AAD, IV, ciphertext. */
static void check_cbc(const struct crypto *c, const struct cbc_vector *v, uint16_t integ,
		      uint16_t prf)
{
	struct sealed m = { .key = { .cipher = { CRYPTO_AES_CBC, 128, integ } }, .aad_n = 21 };
	uint8_t buf[HEX_MAX], plain[HEX_MAX], cipher[HEX_MAX], mac[CRYPTO_PRF_MAX];
	struct bytes p = unhex(v->plain, plain);

	assert_int_equal(crypto_cipher_info(m.key.cipher, &m.info), ST_OK);
	m.key.encr = unhex_secret(v->key);
	m.key.integ.n = (uint8_t)m.info.integ_key_len;
	memset(m.key.integ.b, 0x5a, m.key.integ.n);
	memset(m.aad, 0x33, m.aad_n);
	memcpy(m.iv, unhex(v->iv, buf).p, 16);
	m.n = p.n;
	memcpy(m.data, p.p, p.n);
	assert_int_equal(
		c->ops->seal(c->ctx, &m.key, m.iv, bytes_of(m.aad, m.aad_n), m.data, m.n, m.icv),
		ST_OK);
	assert_memory_equal(m.data, unhex(v->sealed, cipher).p, p.n);
	assert_int_equal(c->ops->prf(c->ctx, prf, secret_bytes(&m.key.integ),
				     (struct bytes[]){ bytes_of(m.aad, m.aad_n), bytes_of(m.iv, 16),
						       bytes_of(cipher, m.n) },
				     3, mac),
			 ST_OK);
	assert_memory_equal(m.icv, mac, m.info.icv_len);
	check_tampering(c, &m);
	assert_int_equal(do_open(c, &m), ST_OK);
	assert_memory_equal(m.data, plain, p.n);
}

static void cbc_vectors_hold(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cbc_vectors); i++) {
		check_cbc(&f->c, &cbc_vectors[i], CRYPTO_HMAC_SHA2_256_128,
			  CRYPTO_PRF_HMAC_SHA2_256);
		check_cbc(&f->c, &cbc_vectors[i], CRYPTO_HMAC_SHA2_384_192,
			  CRYPTO_PRF_HMAC_SHA2_384);
		check_cbc(&f->c, &cbc_vectors[i], CRYPTO_HMAC_SHA2_512_256,
			  CRYPTO_PRF_HMAC_SHA2_512);
	}
}

/* CBC that is authentic but no whole number of blocks is the peer's mistake, not ours. */
static void cbc_partial_block(void **state)
{
	struct fixture *f = *state;
	struct sealed m = { .key = { .cipher = { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 },
				     .encr = { .n = 16 },
				     .integ = { .n = 32 } },
			    .n = 17 };
	const struct bytes parts[] = { bytes_of(m.iv, 16), bytes_of(m.data, 17) };
	uint8_t mac[CRYPTO_PRF_MAX];

	assert_int_equal(f->c.ops->prf(f->c.ctx, CRYPTO_PRF_HMAC_SHA2_256,
				       secret_bytes(&m.key.integ), parts, 2, mac),
			 ST_OK);
	memcpy(m.icv, mac, 16);
	assert_int_equal(do_open(&f->c, &m), ST_DROP);
	assert_int_equal(f->c.ops->seal(f->c.ctx, &m.key, m.iv, (struct bytes){ NULL, 0 }, m.data,
					m.n, m.icv),
			 ST_BUG);
}

/* A key that does not fit its cipher is refused before anything is sealed with half of it. */
static void bad_keys(void **state)
{
	static const struct {
		struct crypto_cipher cipher;
		uint8_t encr, integ;
	} rows[] = {
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 16, 0 },
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 36, 0 },
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 20, 32 },
		{ { CRYPTO_AES_GCM_16, 256, 0 }, 0, 0 },
		{ { CRYPTO_CHACHA20_POLY1305, 0, 0 }, 32, 0 },
		{ { CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_256_128 }, 32, 0 },
		{ { CRYPTO_AES_CBC, 256, CRYPTO_INTEG_NONE }, 32, 0 },
		{ { 999, 128, 0 }, 20, 0 },
	};
	static const uint8_t zero[16];
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_key key = { .cipher = rows[i].cipher,
					  .encr = { .n = rows[i].encr },
					  .integ = { .n = rows[i].integ } };
		uint8_t iv[16] = { 0 }, icv[32] = { 0 }, data[16] = "confidential...";

		assert_int_equal(
			f->c.ops->seal(f->c.ctx, &key, iv, bytes_str("aad"), data, 16, icv),
			ST_BUG);
		assert_memory_equal(data, zero, 16);
		memset(data, 1, 16);
		assert_int_equal(
			f->c.ops->open(f->c.ctx, &key, iv, bytes_str("aad"), data, 16, icv),
			ST_BUG);
		assert_memory_equal(data, zero, 16);
	}
}

/* The one context serves many SAs in any order: what one leaves behind does not reach the next. */
static void contexts_are_rekeyed(void **state)
{
	enum { SAS = 12, ROUNDS = 200 };
	static const struct crypto_cipher ciphers[] = {
		{ CRYPTO_AES_GCM_16, 128, 0 },
		{ CRYPTO_AES_GCM_16, 192, 0 },
		{ CRYPTO_AES_GCM_16, 256, 0 },
		{ CRYPTO_CHACHA20_POLY1305, 0, 0 },
		{ CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 },
		{ CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 },
	};
	struct fixture *f = *state;
	static struct sealed m[SAS];
	uint8_t r;

	for (size_t i = 0; i < SAS; i++) {
		m[i] = (struct sealed){ .key.cipher = ciphers[i % ARRAY_LEN(ciphers)],
					.aad_n = 20,
					.n = 64 };
		assert_int_equal(crypto_cipher_info(m[i].key.cipher, &m[i].info), ST_OK);
		m[i].key.encr.n = (uint8_t)m[i].info.key_len;
		m[i].key.integ.n = (uint8_t)m[i].info.integ_key_len;
		f->c.ops->random(f->c.ctx, m[i].key.encr.b, m[i].info.key_len);
		f->c.ops->random(f->c.ctx, m[i].key.integ.b, m[i].info.integ_key_len);
		f->c.ops->random(f->c.ctx, m[i].iv, 16);
		memset(m[i].data, (int)i, 64);
		assert_int_equal(f->c.ops->seal(f->c.ctx, &m[i].key, m[i].iv,
						bytes_of(m[i].aad, 20), m[i].data, 64, m[i].icv),
				 ST_OK);
	}
	for (size_t round = 0; round < ROUNDS; round++) {
		struct sealed copy;

		f->c.ops->random(f->c.ctx, &r, 1);
		copy = m[r % SAS];
		/* Every other message is bad, and must not spoil the one after it. */
		if (round % 2)
			flip(copy.data, r);
		assert_int_equal(do_open(&f->c, &copy), round % 2 ? ST_DROP : ST_OK);
		if (round % 2 == 0) {
			for (size_t i = 0; i < 64; i++)
				assert_int_equal(copy.data[i], r % SAS);
		}
	}
}

static void what_there_is(void **state)
{
	static const struct {
		uint8_t type;
		uint16_t id, bits;
		bool has;
	} rows[] = {
		{ 1, CRYPTO_AES_GCM_16, 128, true },
		{ 1, CRYPTO_AES_GCM_16, 192, true },
		{ 1, CRYPTO_AES_GCM_16, 256, true },
		{ 1, CRYPTO_AES_GCM_16, 0, false },
		{ 1, CRYPTO_AES_CBC, 256, true },
		{ 1, CRYPTO_CHACHA20_POLY1305, 0, true },
		{ 1, CRYPTO_CHACHA20_POLY1305, 128, false },
		{ 1, 3, 0, false }, /* 3DES */
		{ 1, 18, 128, false }, /* AES-GCM with 8-byte ICV: RFC 8221 section 5 */
		{ 2, CRYPTO_PRF_HMAC_SHA2_256, 0, true },
		{ 2, CRYPTO_PRF_HMAC_SHA2_512, 0, true },
		{ 2, CRYPTO_PRF_HMAC_SHA2_256, 128, false },
		{ 2, 2, 0, false }, /* HMAC-SHA1 */
		{ 3, CRYPTO_INTEG_NONE, 0, true },
		{ 3, CRYPTO_HMAC_SHA2_384_192, 0, true },
		{ 3, 2, 0, false }, /* HMAC-SHA1-96 */
		{ 4, CRYPTO_X25519, 0, true },
		{ 4, CRYPTO_ECP_256, 0, true },
		{ 4, CRYPTO_ECP_384, 0, true },
		{ 4, CRYPTO_ECP_521, 0, true },
		{ 4, CRYPTO_MODP_2048, 0, true },
		{ 4, 2, 0, false }, /* MODP-1024 */
		{ 5, 0, 0, false },
		{ 0, 0, 0, false },
		{ 255, 20, 128, false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(f->c.ops->has(f->c.ctx, rows[i].type, rows[i].id, rows[i].bits),
				 rows[i].has);
}

static void random_differs(void **state)
{
	struct fixture *f = *state;
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	f->c.ops->random(f->c.ctx, a, sizeof(a));
	f->c.ops->random(f->c.ctx, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	f->c.ops->random(f->c.ctx, a, 0);
}

/* ---- key agreement ------------------------------------------------------------------------ */

static struct crypto_result run_derive(struct fixture *f, uint16_t group, struct bytes priv,
				       struct bytes pub, struct bytes peer)
{
	struct crypto_job *job;
	struct crypto_result res;

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_KE_DERIVE, &job), ST_OK);
	job->in.ke_derive.group = group;
	assert_true(secret_set(&job->in.ke_derive.priv, priv));
	assert_int_equal(crypto_job_dup(job, pub, &job->in.ke_derive.pub), ST_OK);
	assert_int_equal(crypto_job_dup(job, peer, &job->in.ke_derive.peer), ST_OK);
	memset(&res, 0xee, sizeof(res));
	crypto_openssl_run(f->store, job, &res);
	crypto_job_free(job);
	return res;
}

static struct crypto_result run_generate(struct fixture *f, uint16_t group)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_KE_GENERATE, .in.ke_generate.group = group };
	struct crypto_result res;

	memset(&res, 0xee, sizeof(res));
	crypto_openssl_run(f->store, &job, &res);
	return res;
}

static struct crypto_result run_respond(struct fixture *f, uint16_t group, struct bytes peer)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_KE_RESPOND, .in.ke_respond = { group, peer } };
	struct crypto_result res;

	memset(&res, 0xee, sizeof(res));
	crypto_openssl_run(f->store, &job, &res);
	return res;
}

/* A failed result: status, a reason, and nothing that could be taken for a key. */
static void assert_failed(const struct crypto_result *r, enum status want)
{
	static const struct crypto_result zero;

	assert_int_equal(r->status, want);
	assert_true(r->reason[0] != '\0');
	assert_memory_equal(&r->ke, &zero.ke, sizeof(zero.ke));
	assert_memory_equal(&r->auth, &zero.auth, sizeof(zero.auth));
	assert_memory_equal(&r->cert, &zero.cert, sizeof(zero.cert));
}

static void ke_vectors_hold(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(ke_vectors); i++) {
		const struct ke_vector *v = &ke_vectors[i];
		uint8_t b[5][HEX_MAX];
		struct bytes priv_i = unhex(v->priv_i, b[0]), pub_i = unhex(v->pub_i, b[1]);
		struct bytes priv_r = unhex(v->priv_r, b[2]), pub_r = unhex(v->pub_r, b[3]);
		struct bytes shared = unhex(v->shared, b[4]);
		struct crypto_result res = run_derive(f, v->group, priv_i, pub_i, pub_r);

		assert_int_equal(res.status, ST_OK);
		assert_int_equal(res.ke.shared_len, shared.n);
		assert_memory_equal(res.ke.shared, shared.p, shared.n);
		res = run_derive(f, v->group, priv_r, pub_r, pub_i);
		assert_int_equal(res.status, ST_OK);
		assert_string_equal(res.reason, "");
		assert_memory_equal(res.ke.shared, shared.p, shared.n);
	}
}

static const uint16_t groups[] = { CRYPTO_X25519, CRYPTO_ECP_256, CRYPTO_ECP_384, CRYPTO_ECP_521,
				   CRYPTO_MODP_2048 };

static void ke_agrees(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypto_result a = run_generate(f, groups[i]), b, c;

		assert_int_equal(a.status, ST_OK);
		assert_int_equal(a.ke.pub_len, crypto_ke_public_len(groups[i]));
		assert_int_equal(a.ke.shared_len, 0);
		b = run_respond(f, groups[i], bytes_of(a.ke.pub, a.ke.pub_len));
		assert_int_equal(b.status, ST_OK);
		/* Nobody needs the responder's private part any more. */
		assert_int_equal(b.ke.priv.n, 0);
		c = run_derive(f, groups[i], secret_bytes(&a.ke.priv),
			       bytes_of(a.ke.pub, a.ke.pub_len), bytes_of(b.ke.pub, b.ke.pub_len));
		assert_int_equal(c.status, ST_OK);
		assert_true(c.ke.shared_len >= 32);
		assert_int_equal(c.ke.shared_len, b.ke.shared_len);
		assert_memory_equal(c.ke.shared, b.ke.shared, c.ke.shared_len);
		c = run_generate(f, groups[i]);
		assert_memory_not_equal(c.ke.pub, a.ke.pub, a.ke.pub_len);
	}
}

/* S2, RFC 6989: no public value of a peer makes us work in another group, or leaks our key. */
static void check_bad_public(struct fixture *f, uint16_t group, struct bytes peer)
{
	struct crypto_result a = run_generate(f, group), r;

	r = run_respond(f, group, peer);
	assert_failed(&r, ST_REFUSE);
	r = run_derive(f, group, secret_bytes(&a.ke.priv), bytes_of(a.ke.pub, a.ke.pub_len), peer);
	assert_failed(&r, ST_REFUSE);
}

static void ke_bad_lengths(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[CRYPTO_KE_PUBLIC_MAX + 1];

	memset(buf, 4, sizeof(buf));
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		size_t n = crypto_ke_public_len(groups[i]);

		check_bad_public(f, groups[i], (struct bytes){ NULL, 0 });
		check_bad_public(f, groups[i], bytes_of(buf, 1));
		check_bad_public(f, groups[i], bytes_of(buf, n - 1));
		check_bad_public(f, groups[i], bytes_of(buf, n + 1));
		check_bad_public(f, groups[i], bytes_of(buf, n / 2));
		check_bad_public(f, groups[i], bytes_of(buf, sizeof(buf)));
	}
}

/* Points of small order, u = 0, 1, p-1, p, p+1 and the two of order 8: RFC 7748 section 6.1 and
 * "Curve25519: new Diffie-Hellman speed records", section 3.  All give zero. */
static void ke_x25519_zero(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	};
	uint8_t buf[HEX_MAX];

	for (size_t i = 0; i < ARRAY_LEN(points); i++)
		check_bad_public(*state, CRYPTO_X25519, unhex(points[i], buf));
}

static void ke_ecp_off_curve(void **state)
{
	/* The primes of P-256, P-384 and P-521 (SEC 2). */
	static const char *const primes[] = {
		"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe"
		"ffffffff0000000000000000ffffffff",
		"01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		"ffff",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
		const struct ke_vector *v = &ke_vectors[1 + i];
		uint8_t buf[HEX_MAX] = { 0 }, prime[HEX_MAX];
		size_t n = crypto_ke_public_len(v->group);

		/* Nothing, and everything. */
		check_bad_public(f, v->group, bytes_of(buf, n));
		memset(buf, 0xff, n);
		check_bad_public(f, v->group, bytes_of(buf, n));
		/* x = p, which is 0 unreduced. */
		memset(buf, 0, n);
		memcpy(buf, unhex(primes[i], prime).p, n / 2);
		check_bad_public(f, v->group, bytes_of(buf, n));
		/* A good point with one bit changed; y's sign would be all bits. */
		for (size_t bit = 0; bit < 8 * n; bit += 13) {
			unhex(v->pub_i, buf);
			flip(buf, bit);
			check_bad_public(f, v->group, bytes_of(buf, n));
		}
		/* Compressed, or with its leading octet, it has another length; x and y swapped. */
		unhex(v->pub_i, buf);
		memcpy(prime, buf, n / 2);
		memmove(buf, buf + n / 2, n / 2);
		memcpy(buf + n / 2, prime, n / 2);
		check_bad_public(f, v->group, bytes_of(buf, n));
	}
}

/* RFC 3526 section 3 against libcrypto's own DH, both as initiator and responder. */
static void ke_modp_is_dh(void **state)
{
	struct fixture *f = *state;
	EVP_PKEY *key = NULL, *peer = EVP_PKEY_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	char group[] = "modp_2048";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("group", group, 0),
				OSSL_PARAM_construct_end() };
	uint8_t pub[256], secret[256];
	struct crypto_result r;
	size_t n;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	assert_int_equal(
		EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", pub, sizeof(pub), &n), 1);
	assert_int_equal(n, sizeof(pub));
	r = run_respond(f, CRYPTO_MODP_2048, BYTES_OF(pub));
	assert_int_equal(r.status, ST_OK);
	assert_int_equal(EVP_PKEY_copy_parameters(peer, key), 1);
	assert_int_equal(EVP_PKEY_set1_encoded_public_key(peer, r.ke.pub, r.ke.pub_len), 1);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_dh_pad(ctx, 1), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
	n = sizeof(secret);
	assert_int_equal(EVP_PKEY_derive(ctx, secret, &n), 1);
	assert_int_equal(r.ke.shared_len, n);
	assert_memory_equal(r.ke.shared, secret, n);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(key);
}

/* S2, RFC 6989 section 2.1: 0, 1, p-1, p and above; what is not in the subgroup of 2, as p-2. */
static void ke_modp_bad_values(void **state)
{
	struct fixture *f = *state;
	BIGNUM *p = BN_get_rfc3526_prime_2048(NULL), *y = BN_new();
	uint8_t buf[256];

	for (int i = -2; i < 3; i++) {
		assert_true(BN_copy(y, p) &&
			    (i < 0 ? BN_sub_word(y, (BN_ULONG)-i) : BN_add_word(y, (BN_ULONG)i)));
		assert_int_equal(BN_bn2binpad(y, buf, sizeof(buf)), sizeof(buf));
		check_bad_public(f, CRYPTO_MODP_2048, BYTES_OF(buf));
	}
	for (BN_ULONG i = 0; i < 2; i++) {
		assert_true(BN_set_word(y, i));
		assert_int_equal(BN_bn2binpad(y, buf, sizeof(buf)), sizeof(buf));
		check_bad_public(f, CRYPTO_MODP_2048, BYTES_OF(buf));
	}
	memset(buf, 0xff, sizeof(buf));
	check_bad_public(f, CRYPTO_MODP_2048, BYTES_OF(buf));
	BN_free(y);
	BN_free(p);
}

/* RFC 7296 section 2.14: as long as the group says, zeros in front kept.  One secret in 256 begins
 * with one. */
static void ke_leading_zeros(void **state)
{
	static const uint16_t short_ones[] = { CRYPTO_ECP_256, CRYPTO_MODP_2048 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(short_ones); i++) {
		struct crypto_result a = run_generate(f, short_ones[i]), b, c;
		struct bytes pub = bytes_of(a.ke.pub, a.ke.pub_len);

		do {
			b = run_respond(f, short_ones[i], pub);
			assert_int_equal(b.status, ST_OK);
			assert_int_equal(b.ke.shared_len,
					 short_ones[i] == CRYPTO_ECP_256 ? 32 : 256);
		} while (b.ke.shared[0]);
		c = run_derive(f, short_ones[i], secret_bytes(&a.ke.priv), pub,
			       bytes_of(b.ke.pub, b.ke.pub_len));
		assert_int_equal(c.status, ST_OK);
		assert_int_equal(c.ke.shared_len, b.ke.shared_len);
		assert_memory_equal(c.ke.shared, b.ke.shared, b.ke.shared_len);
	}
}

/* Our own mistakes are not put on the peer. */
static void ke_bugs(void **state)
{
	struct fixture *f = *state;
	uint8_t pub[HEX_MAX], peer[HEX_MAX];
	const struct bytes none = { NULL, 0 };
	struct crypto_result r;

	for (size_t i = 0; i < ARRAY_LEN(ke_vectors); i++) {
		const struct ke_vector *v = &ke_vectors[i];

		r = run_derive(f, v->group, bytes_str("short"), unhex(v->pub_i, pub),
			       unhex(v->pub_r, peer));
		assert_failed(&r, ST_BUG);
		r = run_derive(f, v->group, none, unhex(v->pub_i, pub), unhex(v->pub_r, peer));
		assert_failed(&r, ST_BUG);
	}
	r = run_generate(f, 2); /* MODP-1024 */
	assert_failed(&r, ST_BUG);
	r = run_respond(f, 0, none);
	assert_failed(&r, ST_BUG);
	r = run_derive(f, 65535, none, none, none);
	assert_failed(&r, ST_BUG);
}

/* ---- pre-shared keys ---------------------------------------------------------------------- */

static struct crypto_result run_psk(struct fixture *f, crypto_ref psk, uint16_t prf,
				    struct bytes octets)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_PSK_AUTH, .in.psk = { psk, prf, octets } };
	struct crypto_result res;

	memset(&res, 0xee, sizeof(res));
	crypto_openssl_run(f->store, &job, &res);
	return res;
}

/* RFC 7296 section 2.15, by Python: hmac(hmac(psk, b"Key Pad for IKEv2"), octets), SHA-256/384. */
static void psk_auth(void **state)
{
	static const char want256[] =
		"7ee42cec2f07fb1f6a8a83a2bd30a781913c5d97aa7f432f59c24502560be706";
	static const char want384[] =
		"604fffada28e2e0174e25af0731a8286413f1e34de581d1e21f41e4052b57217"
		"17df52024d40a481b9869a721cf29337";
	struct fixture *f = *state;
	struct bytes octets = bytes_str("octets that somebody signed");
	uint8_t want[HEX_MAX];
	struct crypto_result r;
	crypto_ref a, b;

	assert_int_equal(crypto_store_add_psk(f->store, "a", bytes_str("correct horse"), &a),
			 ST_OK);
	assert_int_equal(crypto_store_add_psk(f->store, "b", bytes_str("correct hors"), &b), ST_OK);
	assert_true(a != 0 && b != 0 && a != b);
	r = run_psk(f, a, CRYPTO_PRF_HMAC_SHA2_256, octets);
	assert_int_equal(r.status, ST_OK);
	assert_int_equal(r.auth.method, 2);
	assert_int_equal(r.auth.len, 32);
	assert_memory_equal(r.auth.data, unhex(want256, want).p, 32);
	r = run_psk(f, b, CRYPTO_PRF_HMAC_SHA2_256, octets);
	assert_memory_not_equal(r.auth.data, want, 32);
	r = run_psk(f, a, CRYPTO_PRF_HMAC_SHA2_384, octets);
	assert_int_equal(r.auth.len, 48);
	assert_memory_equal(r.auth.data, unhex(want384, want).p, 48);
}

static void psk_bugs(void **state)
{
	struct fixture *f = *state;
	struct crypto_result r;
	crypto_ref ref = 77;

	assert_int_equal(crypto_store_add_psk(f->store, "c", (struct bytes){ NULL, 0 }, &ref),
			 ST_INVAL);
	assert_int_equal(ref, 77);
	r = run_psk(f, 0, CRYPTO_PRF_HMAC_SHA2_256, bytes_str("x"));
	assert_failed(&r, ST_BUG);
	r = run_psk(f, 1000000, CRYPTO_PRF_HMAC_SHA2_256, bytes_str("x"));
	assert_failed(&r, ST_BUG);
	assert_int_equal(crypto_store_add_psk(f->store, "d", bytes_str("x"), &ref), ST_OK);
	r = run_psk(f, ref, 2, bytes_str("x"));
	assert_failed(&r, ST_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prf_vectors),
		cmocka_unit_test(prf_empty_key),
		cmocka_unit_test(hash_vectors),
		cmocka_unit_test(kdf_vectors_hold),
		cmocka_unit_test(ppk_mixes),
		cmocka_unit_test(aead_vectors_hold),
		cmocka_unit_test(cbc_vectors_hold),
		cmocka_unit_test(cbc_partial_block),
		cmocka_unit_test(bad_keys),
		cmocka_unit_test(contexts_are_rekeyed),
		cmocka_unit_test(what_there_is),
		cmocka_unit_test(random_differs),
		cmocka_unit_test(ke_vectors_hold),
		cmocka_unit_test(ke_agrees),
		cmocka_unit_test(ke_bad_lengths),
		cmocka_unit_test(ke_x25519_zero),
		cmocka_unit_test(ke_ecp_off_curve),
		cmocka_unit_test(ke_modp_is_dh),
		cmocka_unit_test(ke_modp_bad_values),
		cmocka_unit_test(ke_leading_zeros),
		cmocka_unit_test(ke_bugs),
		cmocka_unit_test(psk_auth),
		cmocka_unit_test(psk_bugs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
