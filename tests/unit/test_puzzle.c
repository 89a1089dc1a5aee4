/* S2: client puzzles (RFC 8019) with what of the examples in its section 4.4 holds, and the search
 * in slices. */
#include "unit/test_util.h"

#include "crypto/openssl/crypto_openssl.h"

/* The cookie of the examples. */
static const uint8_t cookie[] = { 0x73, 0x9a, 0xe7, 0x49, 0x2d, 0x8a, 0x81, 0x0c, 0xf5, 0xe8,
				  0xdc, 0x0f, 0x96, 0x26, 0xc9, 0xdd, 0xa7, 0x73, 0xc5, 0xa3 };

static struct crypto_openssl *provider;
static struct crypto_store *store;
static struct crypto c;

static int setup(void **state)
{
	(void)state;
	if (crypto_openssl_new(&provider) != ST_OK || crypto_store_new(&store) != ST_OK)
		return -1;
	c = crypto_openssl_ops(provider);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crypto_store_free(store);
	crypto_openssl_free(provider);
	return 0;
}

static unsigned zeros(struct bytes key)
{
	unsigned bits = 999;

	assert_int_equal(
		crypto_puzzle_zeros(&c, CRYPTO_PRF_HMAC_SHA2_256, key, BYTES_OF(cookie), &bits),
		ST_OK);
	return bits;
}

/* Table 1: the last 32 digits of the PRF, and how many zero bits these are.  (The keys printed
 * beside them do not lead there with the cookie that is printed, whatever one takes for prf, key
 * and data: the cookie must have been another one.) */
static void s2_table_1(void **state)
{
	static const struct {
		uint8_t end[16];
		unsigned bits;
	} rows[] = {
		{ { 0xe4, 0xf9, 0x57, 0xb8, 0x59, 0xd7, 0xfb, 0x13, 0x43, 0xb7, 0xb9, 0x4a, 0x81,
		    0x6c, 0x00, 0x00 },
		  18 },
		{ { 0x0d, 0x42, 0x33, 0xd6, 0x27, 0x8c, 0x96, 0xe3, 0x36, 0x92, 0x27, 0xa0, 0x75,
		    0x80, 0x00, 0x00 },
		  23 },
		{ { 0x95, 0x2a, 0x35, 0xd3, 0x9d, 0x5b, 0xa0, 0x67, 0x09, 0xda, 0x43, 0xaf, 0x40,
		    0x70, 0x00, 0x00 },
		  20 },
		{ { 0x5a, 0x04, 0x52, 0xb2, 0x15, 0x71, 0xe4, 0x01, 0xa3, 0xd0, 0x08, 0x03, 0x67,
		    0x9c, 0x00, 0x00 },
		  18 },
	};
	static const uint8_t nothing[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(crypto_zero_bits(BYTES_OF(rows[i].end)), rows[i].bits);
	assert_int_equal(crypto_zero_bits(bytes_of("\x01", 1)), 0);
	assert_int_equal(crypto_zero_bits(bytes_of("\x80", 1)), 7);
	assert_int_equal(crypto_zero_bits(BYTES_OF(nothing)), 16);
}

static struct crypto_result slice(uint32_t from, uint32_t tries, uint8_t want, uint8_t bits)
{
	struct crypto_result r;
	struct crypto_job *job;

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_PUZZLE, &job), ST_OK);
	job->in.puzzle = (struct crypto_puzzle_in){ .prf = CRYPTO_PRF_HMAC_SHA2_256,
						    .bits = bits,
						    .want = want,
						    .from = from,
						    .tries = tries };
	assert_int_equal(crypto_job_dup(job, BYTES_OF(cookie), &job->in.puzzle.data), ST_OK);
	crypto_openssl_run(store, job, &r);
	crypto_job_free(job);
	return r;
}

/* The first four-octet keys for 16 bits, as Python's hmac module finds them.  Each is found where
 * it is, and nothing around it. */
static void s2_finds(void **state)
{
	static const uint32_t keys[] = { 0xc515, 0x24870, 0x287cf, 0x34992 };
	struct crypto_result r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		r = slice(keys[i] - 500, 1000, 4, 16);
		assert_int_equal(r.status, ST_OK);
		assert_int_equal(r.puzzle.n, 1);
		assert_int_equal(r.puzzle.keys[0], keys[i]);
		assert_int_equal(r.puzzle.tried, 1000);
		/* It stops where it has what is wanted, and one before where it must. */
		r = slice(keys[i] - 500, 1000, 1, 16);
		assert_int_equal(r.puzzle.tried, 501);
		r = slice(keys[i] - 500, 500, 1, 16);
		assert_int_equal(r.puzzle.n, 0);
	}
	r = slice(0, UINT32_MAX, 4, 16);
	assert_int_equal(r.puzzle.n, 4);
	assert_memory_equal(r.puzzle.keys, keys, sizeof(keys));
	assert_int_equal(r.puzzle.tried, keys[3] + 1);
}

/* Slices one after the other find what one search finds. */
static void s2_slices(void **state)
{
	struct crypto_result all = slice(0, 1 << 16, 4, 10);
	uint32_t from = 0;
	uint8_t n = 0;

	(void)state;
	assert_int_equal(all.puzzle.n, 4);
	while (n < 4) {
		struct crypto_result r = slice(from, 100, (uint8_t)(4 - n), 10);

		for (uint8_t i = 0; i < r.puzzle.n; i++)
			assert_int_equal(r.puzzle.keys[i], all.puzzle.keys[n++]);
		assert_true(r.puzzle.tried > 0);
		from += r.puzzle.tried;
	}
	assert_int_equal(from, all.puzzle.tried);
	for (int i = 0; i < 4; i++) {
		uint8_t key[4];

		store_be32(key, all.puzzle.keys[i]);
		assert_true(zeros(BYTES_OF(key)) >= 10);
	}
}

static void s2_nonsense(void **state)
{
	struct crypto_puzzle_in in = { .prf = 2, .bits = 9, .want = 4, .tries = 1 };
	struct crypto_puzzle_out out;
	unsigned bits;

	(void)state;
	assert_int_equal(crypto_puzzle_solve(&c, &in, &out), ST_BUG); /* HMAC-SHA-1 */
	in.prf = CRYPTO_PRF_HMAC_SHA2_256;
	in.want = 5;
	assert_int_equal(crypto_puzzle_solve(&c, &in, &out), ST_BUG);
	assert_int_equal(slice(0, 10, 5, 9).status, ST_BUG);
	assert_int_equal(crypto_puzzle_zeros(&c, 2, bytes_str("k"), BYTES_OF(cookie), &bits),
			 ST_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s2_table_1),
		cmocka_unit_test(s2_finds),
		cmocka_unit_test(s2_slices),
		cmocka_unit_test(s2_nonsense),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
