/* Bulk ciphers: published vectors, every implementation against every other, tampering. */
#include "unit/test_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/bulk/impl.h"

#include <openssl/evp.h>

/* Every cipher there is. */
static const struct crypto_cipher ciphers[] = {
	{ CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE },
	{ CRYPTO_AES_GCM_16, 192, CRYPTO_INTEG_NONE },
	{ CRYPTO_AES_GCM_16, 256, CRYPTO_INTEG_NONE },
	{ CRYPTO_CHACHA20_POLY1305, 0, CRYPTO_INTEG_NONE },
	{ CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 },
	{ CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_384_192 },
	{ CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_512_256 },
	{ CRYPTO_AES_CBC, 192, CRYPTO_HMAC_SHA2_256_128 },
	{ CRYPTO_AES_CBC, 192, CRYPTO_HMAC_SHA2_384_192 },
	{ CRYPTO_AES_CBC, 192, CRYPTO_HMAC_SHA2_512_256 },
	{ CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_256_128 },
	{ CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_384_192 },
	{ CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 },
};

/* Key material of any cipher. */
struct raw {
	uint8_t encr[32];
	uint8_t integ[64];
};

static struct crypto_cipher_info info_of(struct crypto_cipher c)
{
	struct crypto_cipher_info info;

	assert_int_equal(crypto_cipher_info(c, &info), ST_OK);
	return info;
}

static struct bulk_key *new_key(const struct bulk_impl *impl, const struct alloc *mem,
				struct crypto_cipher c, const struct raw *raw)
{
	struct crypto_cipher_info info = info_of(c);
	struct bulk_key *k = NULL;

	assert_int_equal(bulk_key_new_with(impl, mem, c,
					   bytes_of(raw->encr, info.key_len - info.salt_len),
					   bytes_of(raw->integ, info.integ_key_len), &k),
			 ST_OK);
	return k;
}

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
 * of Operation" (McGrew, Viega 2005) appendix B, cases 2, 8 and 14; RFC 7634 appendix A. */
static const struct {
	struct crypto_cipher cipher;
	const char *key, *nonce, *aad, *plain, *sealed; /* sealed: ciphertext, then ICV */
} vectors[] = {
	{ { CRYPTO_AES_GCM_16, 128, 0 },
	  "4c80cdefbb5d10da906ac73c3613a634",
	  "2e443b684956ed7e3b244cfe",
	  "000043218765432100000000",
	  "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
	  "00000000045f736970045f756470037369700963796265726369747902646b00"
	  "0021000101020201",
	  "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
	  "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
	  "61bc17d768fd9732459018148f6cbe722fd04796562dfdb4" },
	{ { CRYPTO_AES_GCM_16, 256, 0 },
	  "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
	  "112233440102030405060708",
	  "4a2cbfe300000002",
	  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
	  "7002400020bf0000020405b40101040201020201",
	  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
	  "748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49"
	  "15956c96" },
	{ { CRYPTO_AES_GCM_16, 128, 0 },
	  "00000000000000000000000000000000",
	  "000000000000000000000000",
	  "",
	  "00000000000000000000000000000000",
	  "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
	{ { CRYPTO_AES_GCM_16, 256, 0 },
	  "0000000000000000000000000000000000000000000000000000000000000000",
	  "000000000000000000000000",
	  "",
	  "00000000000000000000000000000000",
	  "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
	{ { CRYPTO_AES_GCM_16, 192, 0 },
	  "000000000000000000000000000000000000000000000000",
	  "000000000000000000000000",
	  "",
	  "00000000000000000000000000000000",
	  "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb" },
	{ { CRYPTO_CHACHA20_POLY1305, 0, 0 },
	  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	  "a0a1a2a31011121314151617",
	  "0102030400000005",
	  "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
	  "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
	  "2425262728292a2b2c2d2e2f303132333435363701020204",
	  "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
	  "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
	  "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
	  "76aaa8266b7fb0f7b11b369907e1ad43" },
};

static void one_vector(const struct bulk_impl *impl, size_t i)
{
	uint8_t data[512], want[512];
	struct raw raw;
	struct bulk_op op = { 0 };
	size_t want_len = unhex(vectors[i].sealed, want);

	unhex(vectors[i].key, raw.encr);
	struct bulk_key *k = new_key(impl, &mem_libc, vectors[i].cipher, &raw);

	op.key = k;
	op.data = data;
	op.n = (uint32_t)unhex(vectors[i].plain, data);
	op.icv = data + op.n;
	unhex(vectors[i].nonce, op.nonce);
	op.aad_len = (uint8_t)unhex(vectors[i].aad, op.aad);
	assert_int_equal(want_len, op.n + 16);
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

/* ---- CBC against libcrypto by itself ------------------------------------------------------- */

/* RFC 3602 section 4, cases 5 to 8: whole ESP packets, whose ICV it leaves to others. */
static const struct {
	const char *key, *head, *plain, *sealed; /* head: SPI, number, IV */
} cbc_packets[] = {
	{ "90d382b410eeba7ad938c46cec1a82bf", "0000432100000001e96e8c08ab465763fd098d45dd3ff893",
	  "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
	  "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
	  "0102030405060708090a0b0c0d0e0e01",
	  "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
	  "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
	  "a269add047ad2d5913ac19b7cfbad4a6" },
	{ "90d382b410eeba7ad938c46cec1a82bf", "000043210000000869d08df7d203329db093fc4924e5bd80",
	  "0800b5e8a80a0500a69c083d0b660e0077777777777777777777777701020201",
	  "f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75" },
	{ "0123456789abcdef0123456789abcdef", "0000876500000002f4e765244f6407adf13dc1380f673f37",
	  "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d"
	  "02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
	  "2425262728292a2b2c2d2e2f30313233343536370102030405060708090a0a04",
	  "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8"
	  "e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5"
	  "c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d" },
};

static void hmac(struct crypto_cipher c, const struct raw *raw, struct bytes a, struct bytes b,
		 uint8_t ret[64])
{
	static const char *const names[] = { "SHA256", "SHA384", "SHA512" };
	struct crypto_cipher_info info = info_of(c);
	uint8_t all[4096];
	size_t n;

	memcpy(all, a.p, a.n);
	memcpy(all + a.n, b.p, b.n);
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, names[c.integ - CRYPTO_HMAC_SHA2_256_128],
				  NULL, raw->integ, info.integ_key_len, all, a.n + b.n, ret, 64,
				  &n));
}

/* RFC 3602, RFC 4868; with an extended number RFC 4303 section 2.2.1. */
static void cbc_packet(const struct bulk_impl *impl, size_t i, uint16_t integ, uint8_t aad_len)
{
	const struct crypto_cipher c = { CRYPTO_AES_CBC, 128, integ };
	size_t icv = info_of(c).icv_len;
	uint8_t packet[512], want[512], mac[64];
	struct raw raw;
	struct bulk_op op = { .data = packet + BULK_CBC_HEAD, .aad_len = aad_len };

	memset(raw.integ, 0xa7, sizeof(raw.integ));
	unhex(cbc_packets[i].key, raw.encr);
	unhex("00000007", op.aad);
	assert_int_equal(unhex(cbc_packets[i].head, packet), BULK_CBC_HEAD);
	op.n = (uint32_t)unhex(cbc_packets[i].sealed, op.data);
	op.icv = op.data + op.n;
	hmac(c, &raw, bytes_of(packet, BULK_CBC_HEAD + op.n), bytes_of(op.aad, aad_len), mac);
	memcpy(op.icv, mac, icv);
	struct bulk_key *k = new_key(impl, &mem_libc, c, &raw);

	op.key = k;
	bulk_open(&op, 1);
	assert_true(op.ok);
	assert_int_equal(unhex(cbc_packets[i].plain, want), op.n);
	assert_memory_equal(op.data, want, op.n);
	bulk_key_free(k);
}

static void cbc_packets_open(void **state)
{
	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++)
		for (size_t i = 0; bulk_impls[j]->usable() && i < ARRAY_LEN(cbc_packets); i++)
			for (uint16_t integ = CRYPTO_HMAC_SHA2_256_128;
			     integ <= CRYPTO_HMAC_SHA2_512_256; integ++) {
				cbc_packet(bulk_impls[j], i, integ, 0);
				cbc_packet(bulk_impls[j], i, integ, 4);
			}
}

/* What sealing makes, libcrypto opens: the ICV, then the text. */
static void cbc_sealed_reads(const struct bulk_impl *impl, struct crypto_cipher c, uint8_t aad_len)
{
	static const char *const names[] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC" };
	size_t icv = info_of(c).icv_len;
	uint8_t packet[512] = { 0, 0, 0x10, 0, 0, 0, 0, 9 }, mac[64], plain[512];
	struct bulk_op op = { .data = packet + BULK_CBC_HEAD, .n = 96, .aad_len = aad_len };
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, names[c.key_bits / 64 - 2], NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct raw raw;
	int n;

	for (size_t i = 0; i < sizeof(raw); i++)
		((uint8_t *)&raw)[i] = (uint8_t)(i * 3 + 1);
	memset(op.data, 0x5a, op.n);
	memset(op.nonce, 3, sizeof(op.nonce));
	memset(op.aad, 1, sizeof(op.aad));
	op.icv = op.data + op.n;
	struct bulk_key *k = new_key(impl, &mem_libc, c, &raw);

	op.key = k;
	bulk_seal(&op, 1);
	assert_true(op.ok);
	hmac(c, &raw, bytes_of(packet, BULK_CBC_HEAD + op.n), bytes_of(op.aad, aad_len), mac);
	assert_memory_equal(op.icv, mac, icv);
	assert_int_equal(EVP_DecryptInit_ex2(ctx, cipher, raw.encr, op.data - 16, NULL), 1);
	assert_int_equal(EVP_CIPHER_CTX_set_padding(ctx, 0), 1);
	assert_int_equal(EVP_DecryptUpdate(ctx, plain, &n, op.data, (int)op.n), 1);
	assert_int_equal(n, 96);
	for (int i = 0; i < n; i++)
		assert_int_equal(plain[i], 0x5a);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	bulk_key_free(k);
}

static void cbc_is_sealed_for_everybody(void **state)
{
	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++)
		for (size_t i = 0; bulk_impls[j]->usable() && i < ARRAY_LEN(ciphers); i++)
			if (ciphers[i].encr == CRYPTO_AES_CBC) {
				cbc_sealed_reads(bulk_impls[j], ciphers[i], 0);
				cbc_sealed_reads(bulk_impls[j], ciphers[i], 4);
			}
}

/* RFC 3602 section 2.1: IVs that nobody can foretell.  They differ for every number and key, in
 * half of their bits. */
static void cbc_ivs(void **state)
{
	enum { N = 200 };
	static uint8_t iv[N][16];
	const struct crypto_cipher c = { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 };

	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++) {
		struct raw raw = { { 1 }, { 2 } };
		unsigned bits = 0;

		if (!bulk_impls[j]->usable())
			continue;
		for (size_t i = 0; i < N; i++) {
			uint8_t packet[BULK_CBC_HEAD + 16 + 32] = { 0 };
			struct bulk_op op = { .data = packet + BULK_CBC_HEAD, .n = 16 };

			raw.integ[9] = i >= N / 2;
			struct bulk_key *k = new_key(bulk_impls[j], &mem_libc, c, &raw);

			op.icv = op.data + 16;
			op.key = k;
			store_be32(op.nonce + 8, (uint32_t)(i % (N / 2)));
			bulk_seal(&op, 1);
			assert_true(op.ok);
			memcpy(iv[i], op.data - 16, 16);
			for (size_t b = 0; i && b < 128; b++)
				bits += (iv[i][b / 8] ^ iv[i - 1][b / 8]) >> (b % 8) & 1;
			for (size_t o = 0; o < i; o++)
				assert_memory_not_equal(iv[i], iv[o], 16);
			bulk_key_free(k);
		}
		assert_in_range(bits, 60 * N, 68 * N);
	}
}

#define BATCH 64
#define ROOM 2100

/* A batch that mixes ciphers, keys, lengths and associated data. */
struct batch {
	struct bulk_key *keys[ARRAY_LEN(ciphers)];
	size_t which[BATCH];
	struct bulk_op ops[BATCH];
	uint8_t data[BATCH][ROOM]; /* with room for a head and an ICV */
};

static void batch_keys(struct batch *b, const struct bulk_impl *impl,
		       const struct raw raw[ARRAY_LEN(ciphers)])
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		b->keys[i] = new_key(impl, &mem_libc, ciphers[i], &raw[i]);
}

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		bulk_key_free(b->keys[i]);
}

static bool is_cbc(const struct batch *b, size_t i)
{
	return ciphers[b->which[i]].encr == CRYPTO_AES_CBC;
}

static void batch_fill(struct batch *b)
{
	for (size_t i = 0; i < BATCH; i++) {
		struct bulk_op *op = &b->ops[i];

		b->which[i] = (size_t)rnd(ARRAY_LEN(ciphers));
		op->key = b->keys[b->which[i]];
		op->n = (uint32_t)rnd(ROOM - BULK_CBC_HEAD - BULK_ICV_MAX - 16) + 1;
		op->aad_len = rnd(2) ? 8 : 12;
		if (is_cbc(b, i)) {
			op->n = (op->n + 15) & ~15u;
			op->aad_len = rnd(2) ? 0 : 4;
		}
		op->data = b->data[i] + BULK_CBC_HEAD;
		op->icv = op->data + op->n;
		fill(op->nonce, sizeof(op->nonce));
		fill(op->aad, sizeof(op->aad));
		fill(b->data[i], BULK_CBC_HEAD + op->n);
	}
}

/* The same operations on copies of the data, with the keys of `to`. */
static void batch_copy(struct batch *to, const struct batch *from)
{
	memcpy(to->data, from->data, sizeof(to->data));
	memcpy(to->which, from->which, sizeof(to->which));
	for (size_t i = 0; i < BATCH; i++) {
		to->ops[i] = from->ops[i];
		to->ops[i].key = to->keys[to->which[i]];
		to->ops[i].data = to->data[i] + BULK_CBC_HEAD;
		to->ops[i].icv = to->ops[i].data + to->ops[i].n;
	}
}

static struct batch one, two, plain;

static void implementations_agree(const struct bulk_impl *a, const struct bulk_impl *b)
{
	struct raw raw[ARRAY_LEN(ciphers)];

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
	for (size_t i = 0; i < BATCH; i++) {
		assert_true(one.ops[i].ok && two.ops[i].ok);
		assert_memory_equal(two.ops[i].data, plain.data[i] + BULK_CBC_HEAD, plain.ops[i].n);
	}
	batch_free(&one);
	batch_free(&two);
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

/* S2: one flipped bit anywhere - text, ICV, associated data, nonce or IV - and only that packet of
 * the batch is refused. */
static void tampering(const struct bulk_impl *impl)
{
	struct raw raw[ARRAY_LEN(ciphers)];

	fill(raw, sizeof(raw));
	batch_keys(&one, impl, raw);
	batch_fill(&one);
	bulk_seal(one.ops, BATCH);
	memcpy(two.keys, one.keys, sizeof(two.keys));
	for (int where = 0; where < 4; where++) {
		size_t bad = rnd(BATCH);
		uint8_t bit = (uint8_t)(1 << rnd(8));
		struct bulk_op *op = &two.ops[bad];

		batch_copy(&two, &one);
		if (where == 2 && op->aad_len == 0)
			where = 3;
		switch (where) {
		case 0: op->data[rnd(op->n)] ^= bit; break;
		case 1: op->icv[rnd(info_of(ciphers[two.which[bad]]).icv_len)] ^= bit; break;
		case 2: op->aad[rnd(op->aad_len)] ^= bit; break;
		case 3:
			if (is_cbc(&two, bad)) /* its header and IV */
				two.data[bad][rnd(BULK_CBC_HEAD)] ^= bit;
			else
				op->nonce[rnd(BULK_NONCE_LEN)] ^= bit;
			break;
		}
		bulk_open(two.ops, BATCH);
		for (size_t i = 0; i < BATCH; i++)
			assert_int_equal(two.ops[i].ok, i != bad);
	}
	batch_free(&one);
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

/* S2: every bit of one packet of every cipher, and every shorter length. */
static void every_bit_counts(const struct bulk_impl *impl, struct crypto_cipher c)
{
	bool cbc = c.encr == CRYPTO_AES_CBC;
	size_t icv = info_of(c).icv_len, n = 48;
	size_t all = BULK_CBC_HEAD + n + icv, from = cbc ? 0 : BULK_CBC_HEAD;
	uint8_t good[BULK_CBC_HEAD + 48 + BULK_ICV_MAX] = { 0 }, bad[sizeof(good)];
	struct bulk_op op = { .n = (uint32_t)n, .aad_len = cbc ? 4 : 12 }, o;
	struct raw raw = { { 1, 2, 3 }, { 4, 5, 6 } };
	struct bulk_key *k = new_key(impl, &mem_libc, c, &raw);

	op.key = k;
	op.data = good + BULK_CBC_HEAD;
	op.icv = op.data + n;
	bulk_seal(&op, 1);
	assert_true(op.ok);
	for (size_t bit = 8 * from; bit <= 8 * all; bit++) {
		memcpy(bad, good, sizeof(bad));
		o = op;
		o.data = bad + BULK_CBC_HEAD;
		o.icv = o.data + n;
		if (bit < 8 * all)
			bad[bit / 8] ^= (uint8_t)(1 << (bit % 8));
		bulk_open(&o, 1);
		assert_int_equal(o.ok, bit == 8 * all);
	}
	for (size_t less = 1; less <= n; less++) {
		memcpy(bad, good, sizeof(bad));
		o = op;
		o.n = (uint32_t)(n - less);
		o.data = bad + BULK_CBC_HEAD;
		o.icv = o.data + o.n;
		bulk_open(&o, 1);
		assert_false(o.ok);
	}
	bulk_key_free(k);
}

static void nothing_but_the_packet_opens(void **state)
{
	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++)
		for (size_t i = 0; bulk_impls[j]->usable() && i < ARRAY_LEN(ciphers); i++)
			every_bit_counts(bulk_impls[j], ciphers[i]);
}

static void key_arguments(void **state)
{
	static const uint8_t raw[65];
	static const struct {
		struct crypto_cipher cipher;
		size_t n, integ;
		enum status want;
	} rows[] = {
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 16, 0, ST_OK },
		{ { CRYPTO_AES_GCM_16, 192, 0 }, 24, 0, ST_OK },
		{ { CRYPTO_AES_GCM_16, 256, 0 }, 32, 0, ST_OK },
		{ { CRYPTO_CHACHA20_POLY1305, 0, 0 }, 32, 0, ST_OK },
		{ { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 }, 16, 32, ST_OK },
		{ { CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 }, 32, 64, ST_OK },
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 20, 0, ST_INVAL }, /* with salt: not here */
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 15, 0, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 128, 0 }, 16, 1, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 256, 0 }, 33, 0, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 0, 0 }, 0, 0, ST_INVAL },
		{ { CRYPTO_AES_GCM_16, 128, CRYPTO_HMAC_SHA2_256_128 }, 16, 32, ST_INVAL },
		{ { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 }, 16, 31, ST_INVAL },
		{ { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_512_256 }, 16, 65, ST_INVAL },
		{ { CRYPTO_AES_CBC, 128, 0 }, 16, 0, ST_INVAL },
		{ { CRYPTO_CHACHA20_POLY1305, 256, 0 }, 32, 0, ST_INVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bulk_key *k = NULL;

		assert_int_equal(bulk_key_new(&mem_libc, rows[i].cipher, bytes_of(raw, rows[i].n),
					      bytes_of(raw, rows[i].integ), &k),
				 rows[i].want);
		assert_int_equal(k != NULL, rows[i].want == ST_OK);
		bulk_key_free(k);
	}
	bulk_key_free(NULL);
	assert_non_null(bulk_implementation());
}

static void no_memory_for(const struct bulk_impl *impl, struct crypto_cipher cipher)
{
	static const uint8_t raw[64];
	struct crypto_cipher_info info = info_of(cipher);
	struct bytes encr = bytes_of(raw, info.key_len - info.salt_len);
	struct bytes integ = bytes_of(raw, info.integ_key_len);
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct bulk_key *k = NULL;

	assert_int_equal(bulk_key_new_with(impl, &mem, cipher, encr, integ, &k), ST_NOMEM);
	assert_null(k);
	c.left = -1;
	assert_int_equal(bulk_key_new_with(impl, &mem, cipher, encr, integ, &k), ST_OK);
	bulk_key_free(k);
	assert_int_equal(c.live, 0);
}

static void no_memory(void **state)
{
	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++)
		for (size_t i = 0; bulk_impls[j]->usable() && i < ARRAY_LEN(ciphers); i++)
			no_memory_for(bulk_impls[j], ciphers[i]);
}

/* ---- what threads keep of keys ------------------------------------------------------------- */

enum {
	MANY = 300, /* more than anybody keeps */
};

struct packet {
	uint8_t b[BULK_CBC_HEAD + 64 + BULK_ICV_MAX];
};

static void seal_once(const struct bulk_key *k, struct packet *p, uint8_t mark)
{
	struct bulk_op op = { .key = k, .data = p->b + BULK_CBC_HEAD, .n = 64, .aad_len = 4 };

	memset(p, mark, sizeof(*p));
	op.icv = op.data + op.n;
	memset(op.nonce, mark, sizeof(op.nonce));
	bulk_seal(&op, 1);
	assert_true(op.ok);
}

/* Keys in any order, freed and made anew at the same addresses, against libcrypto. */
static void many_keys(void **state)
{
	static struct bulk_key *a[MANY], *b[MANY];
	const struct bulk_impl *best = bulk_impls[0]->usable() ? bulk_impls[0] : &bulk_impl_openssl;
	struct packet x, y;
	struct raw raw;

	(void)state;
	rnd_state = 11;
	for (size_t i = 0; i < 10000; i++) {
		size_t k = i < MANY ? i : (size_t)rnd(MANY);

		if (i < MANY || rnd(20) == 0) {
			struct crypto_cipher c = ciphers[rnd(ARRAY_LEN(ciphers))];

			fill(&raw, sizeof(raw));
			bulk_key_free(a[k]);
			bulk_key_free(b[k]);
			a[k] = new_key(best, &mem_libc, c, &raw);
			b[k] = new_key(&bulk_impl_openssl, &mem_libc, c, &raw);
		}
		if (rnd(50) == 0)
			bulk_forget();
		seal_once(a[k], &x, (uint8_t)i);
		seal_once(b[k], &y, (uint8_t)i);
		assert_memory_equal(&x, &y, sizeof(x));
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

static void forgotten(const struct bulk_impl *impl, struct crypto_cipher c)
{
	struct bulk_key *k;
	struct packet p;
	struct raw raw;

	for (size_t n = 0; n < sizeof(raw.encr); n++)
		raw.encr[n] = key_byte(n);
	for (size_t n = 0; n < sizeof(raw.integ); n++)
		raw.integ[n] = key_byte(n);
	k = new_key(impl, &mem_libc, c, &raw);
	wipe(&raw, sizeof(raw));
	seal_once(k, &p, 1);
	assert_true(keys_in_memory() > 0);
	bulk_key_free(k);
	bulk_forget();
	assert_int_equal(keys_in_memory(), 0);
}

/* S4: a key that is freed is gone, with all that was made of it. */
static void nothing_is_left(void **state)
{
	(void)state;
	for (size_t j = 0; bulk_impls[j]; j++)
		for (size_t i = 0; bulk_impls[j]->usable() && i < ARRAY_LEN(ciphers); i++)
			forgotten(bulk_impls[j], ciphers[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(cbc_packets_open),
		cmocka_unit_test(cbc_is_sealed_for_everybody),
		cmocka_unit_test(cbc_ivs),
		cmocka_unit_test(all_implementations_agree),
		cmocka_unit_test(tampering_is_noticed),
		cmocka_unit_test(nothing_but_the_packet_opens),
		cmocka_unit_test(key_arguments),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
