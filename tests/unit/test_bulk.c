/* Bulk AES-GCM: published vectors, every implementation against every other, tampering. */
#include "unit/test_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/bulk/impl.h"

static const struct crypto_cipher gcm128 = { CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE };
static const struct crypto_cipher gcm256 = { CRYPTO_AES_GCM_16, 256, CRYPTO_INTEG_NONE };

static size_t unhex(const char *s, uint8_t *out)
{
	size_t n = 0;

	for (; s[0]; s += 2) {
		char pair[3] = { s[0], s[1], 0 };

		out[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return n;
}

/* draft-mcgrew-gcm-test-01 section 4: the three of its ESP cases with 128 and 256 bit keys whose
 * associated data is with and without an extended sequence number; then "The Galois/Counter Mode
 * of Operation" (McGrew, Viega 2005) appendix B, cases 2 and 14. */
static const struct {
	const char *key, *nonce, *aad, *plain, *sealed; /* sealed: ciphertext, then ICV */
} vectors[] = {
	{ "4c80cdefbb5d10da906ac73c3613a634", "2e443b684956ed7e3b244cfe",
	  "000043218765432100000000",
	  "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
	  "00000000045f736970045f756470037369700963796265726369747902646b00"
	  "0021000101020201",
	  "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
	  "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
	  "61bc17d768fd9732459018148f6cbe722fd04796562dfdb4" },
	{ "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
	  "112233440102030405060708", "4a2cbfe300000002",
	  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
	  "7002400020bf0000020405b40101040201020201",
	  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
	  "748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49"
	  "15956c96" },
	{ "00000000000000000000000000000000", "000000000000000000000000", "",
	  "00000000000000000000000000000000",
	  "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
	{ "0000000000000000000000000000000000000000000000000000000000000000",
	  "000000000000000000000000", "", "00000000000000000000000000000000",
	  "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
};

static struct crypto_cipher cipher_of(size_t key_len)
{
	return key_len == 16 ? gcm128 : gcm256;
}

static void one_vector(const struct bulk_impl *impl, size_t i)
{
	uint8_t key[32], data[512], want[512];
	struct bulk_key *k;
	struct bulk_op op = { 0 };
	size_t key_len = unhex(vectors[i].key, key);
	size_t want_len = unhex(vectors[i].sealed, want);

	assert_int_equal(
		bulk_key_new_with(impl, &mem_libc, cipher_of(key_len), bytes_of(key, key_len), &k),
		ST_OK);
	op.key = k;
	op.data = data;
	op.n = (uint32_t)unhex(vectors[i].plain, data);
	op.icv = data + op.n;
	unhex(vectors[i].nonce, op.nonce);
	op.aad_len = (uint8_t)unhex(vectors[i].aad, op.aad);
	assert_int_equal(want_len, op.n + BULK_ICV_LEN);
	bulk_seal(&op, 1);
	assert_true(op.ok);
	assert_memory_equal(data, want, want_len);
	op.ok = false;
	bulk_open(&op, 1);
	assert_true(op.ok);
	unhex(vectors[i].plain, want);
	assert_memory_equal(data, want, op.n);
	bulk_key_free(k);
}

static void published_vectors(void **state)
{
	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++)
		for (size_t i = 0; bulk_impls[j]->usable() && i < ARRAY_LEN(vectors); i++)
			one_vector(bulk_impls[j], i);
}

static void fill(void *p, size_t n)
{
	uint8_t *b = p;

	while (n--)
		*b++ = (uint8_t)rnd(256);
}

#define BATCH 24
#define ROOM 2100

/* A batch that mixes keys, lengths and associated data. */
struct batch {
	struct bulk_key *keys[3];
	struct bulk_op ops[BATCH];
	uint8_t data[BATCH][ROOM];
};

static void batch_keys(struct batch *b, const struct bulk_impl *impl, uint8_t raw[3][32])
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(bulk_key_new_with(impl, &mem_libc, i == 1 ? gcm256 : gcm128,
						   bytes_of(raw[i], i == 1 ? 32 : 16), &b->keys[i]),
				 ST_OK);
}

static void batch_fill(struct batch *b)
{
	for (int i = 0; i < BATCH; i++) {
		struct bulk_op *op = &b->ops[i];

		op->key = b->keys[rnd(3)];
		op->n = (uint32_t)rnd(ROOM - BULK_ICV_LEN) + 1;
		op->aad_len = rnd(2) ? 8 : 12;
		op->data = b->data[i];
		op->icv = b->data[i] + op->n;
		fill(op->nonce, sizeof(op->nonce));
		fill(op->aad, sizeof(op->aad));
		fill(op->data, op->n);
	}
}

/* The same operations on copies of the data, with the keys of another implementation. */
static void batch_copy(struct batch *to, const struct batch *from)
{
	memcpy(to->data, from->data, sizeof(to->data));
	for (int i = 0; i < BATCH; i++) {
		to->ops[i] = from->ops[i];
		for (int k = 0; k < 3; k++)
			if (from->ops[i].key == from->keys[k])
				to->ops[i].key = to->keys[k];
		to->ops[i].data = to->data[i];
		to->ops[i].icv = to->data[i] + to->ops[i].n;
	}
}

static struct batch one, two, plain;

static void implementations_agree(const struct bulk_impl *a, const struct bulk_impl *b)
{
	uint8_t raw[3][32];

	fill(raw, sizeof(raw));
	batch_keys(&one, a, raw);
	batch_keys(&two, b, raw);
	batch_fill(&one);
	batch_copy(&two, &one);
	plain = one;
	bulk_seal(one.ops, BATCH);
	bulk_seal(two.ops, BATCH);
	assert_memory_equal(one.data, two.data, sizeof(one.data));
	bulk_open(two.ops, BATCH);
	for (int i = 0; i < BATCH; i++) {
		assert_true(one.ops[i].ok && two.ops[i].ok);
		assert_memory_equal(two.data[i], plain.data[i], plain.ops[i].n);
	}
	for (int i = 0; i < 3; i++) {
		bulk_key_free(one.keys[i]);
		bulk_key_free(two.keys[i]);
	}
}

/* Also of one implementation with itself: sealing and opening are different code. */
static void all_implementations_agree(void **state)
{
	(void)state;
	rnd_state = 7;
	for (int round = 0; round < 40; round++)
		for (size_t i = 0; bulk_impls[i]; i++)
			for (size_t j = 0; bulk_impls[j]; j++)
				if (bulk_impls[i]->usable() && bulk_impls[j]->usable())
					implementations_agree(bulk_impls[i], bulk_impls[j]);
}

/* S2: one flipped bit anywhere - text, ICV, associated data, nonce - and only that packet of the
 * batch is refused. */
static void tampering(const struct bulk_impl *impl)
{
	uint8_t raw[3][32];

	fill(raw, sizeof(raw));
	batch_keys(&one, impl, raw);
	batch_fill(&one);
	bulk_seal(one.ops, BATCH);
	for (int where = 0; where < 4; where++) {
		size_t bad = rnd(BATCH);
		struct bulk_op *op;

		two = one;
		batch_copy(&two, &one);
		op = &two.ops[bad];
		switch (where) {
		case 0: op->data[rnd(op->n)] ^= (uint8_t)(1 << rnd(8)); break;
		case 1: op->icv[rnd(BULK_ICV_LEN)] ^= (uint8_t)(1 << rnd(8)); break;
		case 2: op->aad[rnd(op->aad_len)] ^= (uint8_t)(1 << rnd(8)); break;
		case 3: op->nonce[rnd(BULK_NONCE_LEN)] ^= (uint8_t)(1 << rnd(8)); break;
		}
		bulk_open(two.ops, BATCH);
		for (size_t i = 0; i < BATCH; i++)
			assert_int_equal(two.ops[i].ok, i != bad);
	}
	for (int i = 0; i < 3; i++)
		bulk_key_free(one.keys[i]);
}

static void tampering_is_noticed(void **state)
{
	(void)state;
	rnd_state = 8;
	for (int round = 0; round < 40; round++)
		for (size_t i = 0; bulk_impls[i]; i++)
			if (bulk_impls[i]->usable())
				tampering(bulk_impls[i]);
}

static void key_arguments(void **state)
{
	static const uint8_t raw[33];
	static const struct {
		struct crypto_cipher cipher;
		size_t n;
		enum status want;
	} rows[] = {
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 16, ST_OK },
		{ { CRYPTO_AES_GCM_16, 256, 0 }, 32, ST_OK },
		{ { CRYPTO_AES_GCM_16, 192, 0 }, 24, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 20, ST_INVAL }, /* with salt: not here */
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 15, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 256, 0 }, 33, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 0, 0 }, 0, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 128, CRYPTO_HMAC_SHA2_256_128 }, 16, ST_INVAL },
		{ { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 }, 16, ST_INVAL },
		{ { CRYPTO_CHACHA20_POLY1305, 256, 0 }, 32, ST_INVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bulk_key *k = NULL;

		assert_int_equal(
			bulk_key_new(&mem_libc, rows[i].cipher, bytes_of(raw, rows[i].n), &k),
			rows[i].want);
		assert_int_equal(k != NULL, rows[i].want == ST_OK);
		bulk_key_free(k);
	}
	bulk_key_free(NULL);
	assert_non_null(bulk_implementation());
}

static void no_memory(void **state)
{
	static const uint8_t raw[16];

	(void)state;
	for (size_t i = 0; bulk_impls[i]; i++) {
		struct counting c;
		struct alloc mem = counting_mem(&c, 0);
		struct bulk_key *k = NULL;

		if (!bulk_impls[i]->usable())
			continue;
		assert_int_equal(bulk_key_new_with(bulk_impls[i], &mem, gcm128, BYTES_OF(raw), &k),
				 ST_NOMEM);
		assert_null(k);
		c.left = -1;
		assert_int_equal(bulk_key_new_with(bulk_impls[i], &mem, gcm128, BYTES_OF(raw), &k),
				 ST_OK);
		bulk_key_free(k);
		assert_int_equal(c.live, 0);
	}
}

/* ---- what threads keep of keys ------------------------------------------------------------- */

enum {
	MANY = 300, /* more than anybody keeps */
};

static void seal_once(const struct bulk_key *k, uint8_t data[64 + BULK_ICV_LEN], uint8_t mark)
{
	struct bulk_op op = { .key = k, .data = data, .n = 64, .icv = data + 64, .aad_len = 8 };

	memset(data, mark, 64);
	memset(op.nonce, mark, sizeof(op.nonce));
	bulk_seal(&op, 1);
	assert_true(op.ok);
}

static void renew(const struct bulk_impl *impl, bool big, struct bytes raw, struct bulk_key **k)
{
	bulk_key_free(*k);
	assert_int_equal(bulk_key_new_with(impl, &mem_libc, big ? gcm256 : gcm128, raw, k), ST_OK);
}

/* Keys in any order, freed and made anew at the same addresses, against libcrypto. */
static void many_keys(void **state)
{
	static struct bulk_key *a[MANY], *b[MANY];
	uint8_t raw[32], x[64 + BULK_ICV_LEN], y[64 + BULK_ICV_LEN];

	(void)state;
	rnd_state = 11;
	for (size_t i = 0; i < 10000; i++) {
		size_t k = i < MANY ? i : (size_t)rnd(MANY);

		if (i < MANY || rnd(20) == 0) {
			size_t n = rnd(2) ? 32 : 16;

			fill(raw, n);
			renew(bulk_impls[0]->usable() ? bulk_impls[0] : &bulk_impl_openssl, n == 32,
			      bytes_of(raw, n), &a[k]);
			renew(&bulk_impl_openssl, n == 32, bytes_of(raw, n), &b[k]);
		}
		if (rnd(50) == 0)
			bulk_forget();
		seal_once(a[k], x, (uint8_t)i);
		seal_once(b[k], y, (uint8_t)i);
		assert_memory_equal(x, y, sizeof(x));
	}
	for (size_t k = 0; k < MANY; k++) {
		bulk_key_free(a[k]);
		bulk_key_free(b[k]);
	}
}

/* A key that stands nowhere but where the code under test puts it. */
static uint8_t key_byte(size_t i)
{
	return (uint8_t)(i * 41 ^ 0xa7);
}

static size_t keys_in(const uint8_t *p, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i + 16 <= n; i++) {
		size_t k = 0;

		while (k < 16 && p[i + k] == key_byte(k))
			k++;
		found += k == 16;
	}
	return found;
}

/* How often it stands in what can be written of this process, but for the stack, where we look. */
static size_t keys_in_memory(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	uint8_t buf[4096 + 15];
	char line[512];
	size_t found = 0;

	assert_true(maps && mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || !strstr(line, " rw") ||
		    strstr(line, "[stack]") || to - from > 64ul << 20)
			continue;
		for (; from < to; from += 4096) {
			ssize_t n = pread(mem, buf, sizeof(buf), (off_t)from);

			found += n > 0 ? keys_in(buf, (size_t)n) : 0;
		}
	}
	fclose(maps);
	close(mem);
	return found;
}

/* S4: a key that is freed is gone, with all that was made of it. */
static void nothing_is_left(void **state)
{
	(void)state;
	for (size_t i = 0; bulk_impls[i]; i++) {
		struct bulk_key *k = NULL;
		uint8_t raw[16], x[64 + BULK_ICV_LEN];

		if (!bulk_impls[i]->usable())
			continue;
		for (size_t n = 0; n < sizeof(raw); n++)
			raw[n] = key_byte(n);
		renew(bulk_impls[i], false, BYTES_OF(raw), &k);
		wipe(raw, sizeof(raw));
		seal_once(k, x, 1);
		assert_true(keys_in_memory() > 0);
		bulk_key_free(k);
		bulk_forget();
		assert_int_equal(keys_in_memory(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(all_implementations_agree),
		cmocka_unit_test(tampering_is_noticed),
		cmocka_unit_test(key_arguments),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
