/* What every provider shares: sizes, prf+, jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/crypto.h"

/* RFC 5282 section 7.1, RFC 7634 section 2, RFC 4868 section 2.1.1 and 2.6, RFC 3602. */
static void cipher_sizes(void **state)
{
	static const struct {
		struct crypto_cipher cipher;
		struct crypto_cipher_info info;
	} rows[] = {
		{ { CRYPTO_AES_GCM_16, 128, 0 }, { 20, 4, 0, 8, 16, 1 } },
		{ { CRYPTO_AES_GCM_16, 192, 0 }, { 28, 4, 0, 8, 16, 1 } },
		{ { CRYPTO_AES_GCM_16, 256, 0 }, { 36, 4, 0, 8, 16, 1 } },
		{ { CRYPTO_CHACHA20_POLY1305, 0, 0 }, { 36, 4, 0, 8, 16, 1 } },
		{ { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 }, { 16, 0, 32, 16, 16, 16 } },
		{ { CRYPTO_AES_CBC, 192, CRYPTO_HMAC_SHA2_384_192 }, { 24, 0, 48, 16, 24, 16 } },
		{ { CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 }, { 32, 0, 64, 16, 32, 16 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_cipher_info got;

		assert_int_equal(crypto_cipher_info(rows[i].cipher, &got), ST_OK);
		assert_memory_equal(&got, &rows[i].info, sizeof(got));
		/* A key must fit where keys live. */
		assert_true(got.key_len <= SECRET_MAX && got.integ_key_len <= SECRET_MAX);
	}
}

static void cipher_nonsense(void **state)
{
	static const struct crypto_cipher rows[] = {
		{ 0, 0, 0 },
		{ CRYPTO_AES_GCM_16, 0, 0 },
		{ CRYPTO_AES_GCM_16, 129, 0 },
		{ CRYPTO_AES_GCM_16, 512, 0 },
		/* RFC 5282 section 8: an AEAD with an integrity algorithm is no proposal. */
		{ CRYPTO_AES_GCM_16, 128, CRYPTO_HMAC_SHA2_256_128 },
		{ CRYPTO_CHACHA20_POLY1305, 256, 0 },
		/* CBC without one would be open to forgery. */
		{ CRYPTO_AES_CBC, 128, CRYPTO_INTEG_NONE },
		{ CRYPTO_AES_CBC, 128, 2 },
		{ 3, 0, CRYPTO_HMAC_SHA2_256_128 }, /* 3DES */
		{ 65535, 65535, 65535 },
	};
	struct crypto_cipher_info info;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(crypto_cipher_info(rows[i], &info), ST_INVAL);
}

static void other_sizes(void **state)
{
	(void)state;
	assert_int_equal(crypto_prf_len(CRYPTO_PRF_HMAC_SHA2_256), 32);
	assert_int_equal(crypto_prf_len(CRYPTO_PRF_HMAC_SHA2_384), 48);
	assert_int_equal(crypto_prf_len(CRYPTO_PRF_HMAC_SHA2_512), 64);
	assert_int_equal(crypto_prf_len(2), 0); /* HMAC-SHA1 */
	assert_int_equal(crypto_hash_len(CRYPTO_SHA1), 20);
	assert_int_equal(crypto_hash_len(CRYPTO_SHA2_512), 64);
	assert_int_equal(crypto_hash_len(CRYPTO_IDENTITY), 0);
	assert_int_equal(crypto_ke_public_len(CRYPTO_X25519), 32);
	assert_int_equal(crypto_ke_public_len(CRYPTO_ECP_256), 64);
	assert_int_equal(crypto_ke_public_len(CRYPTO_ECP_384), 96);
	assert_int_equal(crypto_ke_public_len(CRYPTO_ECP_521), 132);
	assert_int_equal(crypto_ke_public_len(CRYPTO_MODP_2048), 256);
	assert_int_equal(crypto_ke_public_len(2), 0); /* MODP-1024 */
}

/* ---- prf+ on a PRF that shows what it was given ------------------------------------------- */

/* Sums its input by position; writes nothing from call `fail_at` on. */
struct spy {
	int calls;
	int fail_at;
	size_t seen; /* bytes of input in all calls */
};

static enum status spy_prf(void *ctx, uint16_t prf, struct bytes key, const struct bytes *parts,
			   size_t n_parts, uint8_t *ret_out)
{
	struct spy *spy = ctx;
	uint8_t sum = key.n ? key.p[0] : 0;

	if (spy->calls++ == spy->fail_at)
		return ST_BUG;
	for (size_t i = 0; i < n_parts; i++) {
		for (size_t j = 0; j < parts[i].n; j++)
			sum = (uint8_t)(sum * 31 + parts[i].p[j]);
		spy->seen += parts[i].n;
	}
	memset(ret_out, sum, crypto_prf_len(prf));
	return ST_OK;
}

static const struct crypto_ops spy_ops = { .prf = spy_prf };

static enum status run_spy(struct spy *spy, uint8_t *out, size_t n)
{
	const struct crypto c = { &spy_ops, spy };
	const uint8_t key[] = { 7 };
	const struct bytes seed[] = { bytes_str("ab"), { NULL, 0 }, bytes_str("c") };

	return crypto_prf_plus(&c, CRYPTO_PRF_HMAC_SHA2_256, BYTES_OF(key), seed, ARRAY_LEN(seed),
			       out, n);
}

/* The naive reading of RFC 7296 section 2.13, with the same sum. */
static void naive(uint8_t *out, size_t n)
{
	uint8_t in[64], prev = 0;

	for (size_t block = 0; block * 32 < n; block++) {
		size_t len = 0;
		uint8_t sum = 7;

		for (int i = 0; block > 0 && i < 32; i++)
			in[len++] = prev;
		in[len++] = 'a';
		in[len++] = 'b';
		in[len++] = 'c';
		in[len++] = (uint8_t)(block + 1);
		for (size_t i = 0; i < len; i++)
			sum = (uint8_t)(sum * 31 + in[i]);
		prev = sum;
		for (size_t i = 0; i < 32 && block * 32 + i < n; i++)
			out[block * 32 + i] = sum;
	}
}

static void prf_plus_blocks(void **state)
{
	static const size_t lengths[] = { 0, 1, 31, 32, 33, 64, 200, 255 * 32 };
	uint8_t got[255 * 32 + 1], want[255 * 32 + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct spy spy = { .fail_at = -1 };

		memset(got, 0xee, sizeof(got));
		memset(want, 0xee, sizeof(want));
		naive(want, lengths[i]);
		assert_int_equal(run_spy(&spy, got, lengths[i]), ST_OK);
		assert_memory_equal(got, want, sizeof(got));
		assert_int_equal(spy.calls, (lengths[i] + 31) / 32);
	}
}

static void prf_plus_limits(void **state)
{
	struct spy spy = { .fail_at = -1 };
	const struct crypto c = { &spy_ops, &spy };
	const struct bytes many[9] = { { NULL, 0 } };
	uint8_t out[255 * 32 + 1];

	(void)state;
	/* The counter has one byte. */
	assert_int_equal(run_spy(&spy, out, 255 * 32 + 1), ST_BUG);
	assert_int_equal(crypto_prf_plus(&c, 1, many[0], many, 1, out, 32), ST_BUG);
	assert_int_equal(crypto_prf_plus(&c, CRYPTO_PRF_HMAC_SHA2_256, many[0], many, 9, out, 32),
			 ST_BUG);
	assert_int_equal(spy.calls, 0);
}

/* A PRF that fails in the middle leaves nothing that looks like a key. */
static void prf_plus_failure(void **state)
{
	static const uint8_t zero[100];
	uint8_t out[100];

	(void)state;
	for (int at = 0; at < 4; at++) {
		struct spy spy = { .fail_at = at };

		memset(out, 0xee, sizeof(out));
		assert_int_equal(run_spy(&spy, out, sizeof(out)), ST_BUG);
		assert_memory_equal(out, zero, sizeof(out));
		assert_int_equal(spy.calls, at + 1);
	}
}

/* ---- jobs --------------------------------------------------------------------------------- */

/* Counts what is alive, refuses the n-th request, and looks whether memory is wiped at the end. */
struct counted {
	int live;
	int left; /* requests until failure; negative: never */
	bool dirty;
};

static void *counted_alloc(void *ctx, size_t n)
{
	struct counted *c = ctx;
	void *p;

	if (c->left == 0)
		return NULL;
	c->left--;
	p = mem_new(&mem_libc, n);
	c->live += p != NULL;
	return p;
}

static void counted_free(void *ctx, void *p)
{
	struct counted *c = ctx;

	c->live -= p != NULL;
	/* The first byte after the arena's header or of the job itself. */
	c->dirty |= p && memchr(p, 0xa5, 64) != NULL;
	mem_free(&mem_libc, p);
}

static void job_life(void **state)
{
	uint8_t secret[40];

	(void)state;
	memset(secret, 0xa5, sizeof(secret));
	for (int left = 0; left < 4; left++) {
		struct counted count = { .left = left };
		const struct alloc mem = { counted_alloc, counted_free, &count };
		struct crypto_job *job = NULL;
		struct bytes copy = { NULL, 0 };
		enum status st = crypto_job_new(&mem, CRYPTO_JOB_PSK_AUTH, &job);

		assert_int_equal(st, left == 0 ? ST_NOMEM : ST_OK);
		if (job) {
			assert_int_equal(job->kind, CRYPTO_JOB_PSK_AUTH);
			st = crypto_job_dup(job, BYTES_OF(secret), &copy);
			assert_int_equal(st, left == 1 ? ST_NOMEM : ST_OK);
		}
		if (st == ST_OK) {
			assert_memory_equal(copy.p, secret, sizeof(secret));
			assert_true(copy.p != secret);
		}
		crypto_job_free(job);
		assert_int_equal(count.live, 0);
		assert_false(count.dirty);
	}
}

/* Private parts inside a job or a result do not outlive it. */
static void job_wipes(void **state)
{
	struct counted count = { .left = -1 };
	const struct alloc mem = { counted_alloc, counted_free, &count };
	struct crypto_job *job;
	struct crypto_result res;

	(void)state;
	assert_int_equal(crypto_job_new(&mem, CRYPTO_JOB_KE_DERIVE, &job), ST_OK);
	memset(&job->in, 0xa5, sizeof(job->in));
	crypto_job_free(job);
	assert_false(count.dirty);
	memset(&res, 0xa5, sizeof(res));
	crypto_result_done(&res);
	assert_null(memchr(&res, 0xa5, sizeof(res)));
}

/* S2: a peer cannot make a job grow without bound. */
static void job_bounded(void **state)
{
	static uint8_t big[64 * 1024];
	struct crypto_job *job;
	struct bytes copy;
	int fit = 0;

	(void)state;
	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_VERIFY, &job), ST_OK);
	while (fit < 10 && crypto_job_dup(job, BYTES_OF(big), &copy) == ST_OK)
		fit++;
	crypto_job_free(job);
	/* One message of certificates and one of signed octets, but not many. */
	assert_int_equal(fit, 2);
}

static void job_names(void **state)
{
	(void)state;
	for (int kind = CRYPTO_JOB_KE_GENERATE; kind < CRYPTO_JOBS; kind++)
		assert_string_not_equal(crypto_job_name((enum crypto_job_kind)kind), "unknown");
	assert_string_equal(crypto_job_name((enum crypto_job_kind)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cipher_sizes),    cmocka_unit_test(cipher_nonsense),
		cmocka_unit_test(other_sizes),     cmocka_unit_test(prf_plus_blocks),
		cmocka_unit_test(prf_plus_limits), cmocka_unit_test(prf_plus_failure),
		cmocka_unit_test(job_life),        cmocka_unit_test(job_wipes),
		cmocka_unit_test(job_bounded),     cmocka_unit_test(job_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
