/* ESP: the replay window against a naive reference, framing both ways, selectors, exhaustion. */
#include "unit/test_util.h"

#include "esp/esp.h"

static struct crypto_cipher gcm128 = { CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE };
static struct crypto_cipher gcm256 = { CRYPTO_AES_GCM_16, 256, CRYPTO_INTEG_NONE };
static struct crypto_cipher chacha = { CRYPTO_CHACHA20_POLY1305, 0, CRYPTO_INTEG_NONE };
static struct crypto_cipher cbc128 = { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 };
static struct crypto_cipher cbc192 = { CRYPTO_AES_CBC, 192, CRYPTO_HMAC_SHA2_384_192 };
static struct crypto_cipher cbc256 = { CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 };

/* A test that takes its cipher as its state. */
#define EACH_CIPHER(f)                                                                             \
	cmocka_unit_test_prestate(f, &gcm128), cmocka_unit_test_prestate(f, &gcm256),              \
		cmocka_unit_test_prestate(f, &chacha), cmocka_unit_test_prestate(f, &cbc128),      \
		cmocka_unit_test_prestate(f, &cbc192), cmocka_unit_test_prestate(f, &cbc256)

/* ---- replay window ------------------------------------------------------------------------- */

/* All numbers ever accepted, in a list that is searched from its end. */
struct naive {
	uint64_t top;
	uint64_t size;
	uint64_t *seen;
	size_t n;
};

static enum esp_fault naive_test(const struct naive *r, uint64_t seq)
{
	if (seq == 0)
		return ESP_F_SEQ_ZERO;
	if (seq <= r->top && r->top - seq >= r->size)
		return ESP_F_OLD;
	for (size_t i = r->n; i-- > 0;)
		if (r->seen[i] == seq)
			return ESP_F_REPLAY;
	return ESP_OK;
}

static void naive_set(struct naive *r, uint64_t seq)
{
	r->seen[r->n++] = seq;
	if (seq > r->top)
		r->top = seq;
}

/* The one number congruent to `low` among the 2^32 that begin at the window's left edge, which is
 * what appendix A2.2 says in four cases. */
static uint64_t naive_infer(const struct naive *r, uint32_t low)
{
	__int128 left = (__int128)r->top - (__int128)r->size + 1;
	__int128 seq = left + (uint32_t)((__int128)low - left);

	return (uint64_t)(seq < 0 ? seq + ((__int128)1 << 32) : seq);
}

/* Numbers near the top, near the left edge, far behind, and jumps ahead of all sizes. */
static uint64_t pick(uint64_t top, uint64_t size)
{
	uint64_t back;

	switch (rnd(8)) {
	case 0: return top + 1 + rnd(3 * ESP_WINDOW_MAX);
	case 1: return top + 1 + rnd(64);
	case 2: back = size - 2 + rnd(5); break;
	case 3: back = rnd(2 * size + 1); break;
	case 4: return top + 1;
	default: back = rnd(size < 80 ? size : 80); break;
	}
	return back <= top ? top - back : 0;
}

#define STEPS 6000

static void window_against_naive(unsigned size, bool esn, uint64_t start)
{
	static uint64_t seen[STEPS + 1];
	struct naive r = { .size = size, .seen = seen };
	struct esp_window w;

	esp_window_init(&w, size, esn);
	if (start) {
		naive_set(&r, start);
		esp_window_set(&w, start);
	}
	for (int i = 0; i < STEPS; i++) {
		uint64_t seq = pick(r.top, size);

		if (!esn && seq > UINT32_MAX)
			continue;
		assert_int_equal(esp_window_test(&w, seq), naive_test(&r, seq));
		if (esn)
			assert_true(esp_window_infer(&w, (uint32_t)seq) ==
				    naive_infer(&r, (uint32_t)seq));
		if (naive_test(&r, seq) == ESP_OK && rnd(4)) {
			naive_set(&r, seq);
			esp_window_set(&w, seq);
		}
		assert_true(w.top == r.top);
	}
}

static void replay_window_differential(void **state)
{
	static const unsigned sizes[] = { 64, 128, 1024, 4032, 4096 };
	static const uint64_t starts[] = {
		0, 1, 4095, 4096, 0xffffe000, 0xfffffff0, 0x1fffff000, 0xffffffffffff0000
	};

	(void)state;
	rnd_state = 11;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t j = 0; j < ARRAY_LEN(starts); j++)
			window_against_naive(sizes[i], true, starts[j]);
		window_against_naive(sizes[i], false, 0);
		window_against_naive(sizes[i], false, 0xffff0000);
	}
}

/* S2: number by number, at the edges. */
static void replay_window_edges(void **state)
{
	static const struct {
		uint64_t seq;
		enum esp_fault want; /* ESP_OK also enters it */
	} rows[] = {
		{ 0, ESP_F_SEQ_ZERO },
		{ 1, ESP_OK },
		{ 1, ESP_F_REPLAY },
		{ 64, ESP_OK }, /* window of 64: 1..64 */
		{ 1, ESP_F_REPLAY },
		{ 2, ESP_OK },
		{ 65, ESP_OK }, /* 2..65 */
		{ 1, ESP_F_OLD },
		{ 2, ESP_F_REPLAY },
		{ 3, ESP_OK },
		{ 4096 + 64, ESP_OK }, /* once around the ring: 4097..4160 */
		{ 4096, ESP_F_OLD },
		{ 4097, ESP_OK },
		{ 4098, ESP_OK }, /* same bit as 2 */
		{ 4098, ESP_F_REPLAY },
		{ UINT64_MAX - 1, ESP_OK },
		{ UINT64_MAX, ESP_OK },
		{ UINT64_MAX, ESP_F_REPLAY },
		{ UINT64_MAX - 63, ESP_OK },
		{ UINT64_MAX - 64, ESP_F_OLD },
		{ 0, ESP_F_SEQ_ZERO },
	};
	struct esp_window w;

	(void)state;
	esp_window_init(&w, 64, true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(esp_window_test(&w, rows[i].seq), rows[i].want);
		if (rows[i].want == ESP_OK)
			esp_window_set(&w, rows[i].seq);
	}
}

static void infer_high_half(void **state)
{
	static const struct {
		uint64_t top;
		uint32_t low;
		uint64_t want;
	} rows[] = {
		/* window 64; case A: bottom does not wrap */
		{ 0x100000040, 0x00000041, 0x100000041 },
		{ 0x100000040, 0x00000001, 0x100000001 }, /* the window's lowest */
		{ 0x100000040, 0x00000000, 0x200000000 }, /* below: the next subspace */
		{ 0x100000040, 0xffffffff, 0x1ffffffff },
		{ 0x10000003f, 0x00000000, 0x100000000 }, /* Tl = W - 1 is case A still */
		{ 0x1ffffffff, 0x00000000, 0x200000000 },
		/* case B: it does */
		{ 0x10000003e, 0xffffffff, 0x0ffffffff },
		{ 0x10000003e, 0xfffffffe, 0x1fffffffe },
		{ 0x100000000, 0xffffffc1, 0x0ffffffc1 },
		{ 0x100000000, 0xffffffc0, 0x1ffffffc0 },
		{ 0x100000000, 0x00000001, 0x100000001 },
		/* the first subspace has none before it */
		{ 0, 1, 1 },
		{ 0, 0xffffffff, 0xffffffff },
		{ 5, 0xfffffff0, 0xfffffff0 },
	};
	struct esp_window w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		esp_window_init(&w, 64, true);
		w.top = rows[i].top;
		assert_true(esp_window_infer(&w, rows[i].low) == rows[i].want);
	}
	esp_window_init(&w, 64, false);
	w.top = 0xfffffff0;
	assert_true(esp_window_infer(&w, 3) == 3);
}

/* ---- packets ------------------------------------------------------------------------------- */

#define SPI 0x00c0ffee

static struct esp_keys keys_of(const struct crypto_cipher *cipher, uint8_t fill)
{
	struct esp_keys k = { .cipher = *cipher };
	struct crypto_cipher_info info;
	uint8_t raw[SECRET_MAX];

	memset(raw, fill, sizeof(raw));
	assert_int_equal(crypto_cipher_info(*cipher, &info), ST_OK);
	secret_set(&k.encr, bytes_of(raw, info.key_len));
	secret_set(&k.integ, bytes_of(raw, info.integ_key_len));
	return k;
}

/* A UDP packet of `n` bytes in all from 10.1.0.1 to 10.2.0.1, port 1000 to 2000. */
static void put_ip4(uint8_t *at, size_t n)
{
	memset(at, 0xa5, n);
	at[0] = 0x45;
	at[1] = 0;
	store_be16(at + 2, (uint16_t)n);
	store_be32(at + 4, 0);
	at[8] = 64;
	at[9] = WIRE_IP_UDP;
	store_be16(at + 10, 0);
	store_be32(at + 12, 0x0a010001);
	store_be32(at + 16, 0x0a020001);
	store_be16(at + 10, wire_checksum(bytes_of(at, 20)));
	if (n >= 24) {
		store_be16(at + 20, 1000);
		store_be16(at + 22, 2000);
	}
}

struct pair {
	struct esp_out *out;
	struct esp_in *in;
	struct esp_shape shape;
	uint8_t buf[ESP_HEAD_MAX + 2048 + ESP_TAIL_MAX];
	size_t n; /* of the ESP packet at buf */
};

static void pair_open(struct pair *p, const struct crypto_cipher *cipher, bool esn, unsigned window)
{
	struct esp_keys k = keys_of(cipher, 7);

	assert_int_equal(esp_out_new(&mem_libc, SPI, &k, esn, &p->out), ST_OK);
	assert_int_equal(esp_in_new(&mem_libc, SPI, &k, esn, window, &p->in), ST_OK);
	p->shape = *esp_out_shape(p->out);
}

static void reopen_out(struct pair *p, const struct crypto_cipher *cipher)
{
	struct esp_keys k = keys_of(cipher, 7);

	assert_int_equal(esp_out_new(&mem_libc, SPI, &k, true, &p->out), ST_OK);
}

static uint8_t *inner_of(struct pair *p)
{
	return p->buf + p->shape.head;
}

static void pair_close(struct pair *p)
{
	esp_out_free(p->out);
	esp_in_free(p->in);
}

/* Seals what stands at inner_of() under the next number. */
static uint64_t pair_seal(struct pair *p, uint8_t next_header, size_t n)
{
	struct bulk_op op;
	uint64_t seq;

	assert_int_equal(esp_out_reserve(p->out, 1, &seq), 1);
	esp_seal_prepare(p->out, seq, next_header, inner_of(p), n, &op);
	p->n = esp_size(&p->shape, n);
	assert_ptr_equal(op.icv + p->shape.icv, p->buf + p->n);
	bulk_seal(&op, 1);
	assert_true(op.ok);
	return seq;
}

static enum esp_fault pair_open_packet(struct pair *p, struct wire_ip *ip, struct bytes *inner)
{
	struct esp_in_pkt pkt;
	struct bulk_op op;
	enum esp_fault f = esp_in_prepare(p->in, p->buf, p->n, &pkt, &op);

	if (f)
		return f;
	bulk_open(&op, 1);
	return esp_in_finish(p->in, &pkt, op.ok, ip, inner);
}

static void every_length_goes_through(void **state)
{
	struct pair p;
	uint8_t want[2048];

	pair_open(&p, *state, true, 4096);
	for (size_t n = 20; n <= 1500; n++) {
		struct wire_ip ip;
		struct bytes inner;

		put_ip4(inner_of(&p), n);
		memcpy(want, inner_of(&p), n);
		assert_true(pair_seal(&p, ESP_NH_IPV4, n) == n - 19);
		assert_int_equal(p.n % 4, 0);
		assert_true(n <= esp_inner_max(&p.shape, p.n) &&
			    esp_size(&p.shape, esp_inner_max(&p.shape, p.n)) == p.n);
		assert_true(esp_inner_max(&p.shape, p.n - 1) < n);
		assert_memory_not_equal(inner_of(&p), want, n);
		assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_OK);
		assert_int_equal(inner.n, n);
		assert_memory_equal(inner.p, want, n);
		assert_true(esp_in_seq(p.in) == n - 19);
	}
	pair_close(&p);
}

/* RFC 4303 section 3.3.3, 3.4.3: across 2^32 with extended numbers, replays before and after. */
static void extended_numbers_cross_32_bits(void **state)
{
	struct pair p;
	uint8_t kept[2048];
	size_t kept_n = 0;

	pair_open(&p, *state, true, 4096);
	esp_out_advance(p.out, 0xffffffff - 20);
	esp_out_advance(p.out, 3); /* never back */
	for (int i = 0; i < 40; i++) {
		struct wire_ip ip;
		struct bytes inner;

		put_ip4(inner_of(&p), 60);
		assert_true(pair_seal(&p, ESP_NH_IPV4, 60) == 0xffffffffull - 19 + (unsigned)i);
		if (i == 19) {
			memcpy(kept, p.buf, p.n);
			kept_n = p.n;
		}
		assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_OK);
	}
	assert_true(esp_in_seq(p.in) == 0x100000000 + 20 - 1);
	/* A replay from before the crossing is known for what it is. */
	memcpy(p.buf, kept, kept_n);
	p.n = kept_n;
	assert_int_equal(pair_open_packet(&p, NULL, NULL), ESP_F_REPLAY);
	pair_close(&p);
}

/* Without ESN a number must not wrap: nonces would repeat. With ESN the same at 2^64. */
static void numbers_run_out(void **state)
{
	(void)state;
	for (int esn = 0; esn < 2; esn++) {
		uint64_t last = esn ? UINT64_MAX : UINT32_MAX;
		struct esp_keys k = keys_of(&gcm128, 1);
		struct esp_out *o;
		uint64_t first = 0;

		assert_int_equal(esp_out_new(&mem_libc, SPI, &k, esn, &o), ST_OK);
		assert_true(esp_out_seq(o) == 0);
		assert_int_equal(esp_out_reserve(o, 0, &first), 0);
		assert_int_equal(esp_out_reserve(o, 5, &first), 5);
		assert_true(first == 1 && esp_out_seq(o) == 5);
		esp_out_advance(o, last - 3);
		assert_int_equal(esp_out_reserve(o, 8, &first), 3);
		assert_true(first == last - 2);
		assert_int_equal(esp_out_reserve(o, 1, &first), 0);
		assert_true(esp_out_seq(o) == last);
		esp_out_free(o);
	}
}

/* S2: each malformed packet has its fault, and changes nothing. */
static void malformed_packets(void **state)
{
	struct pair p;
	struct esp_in_pkt pkt;
	struct bulk_op op;
	size_t least;

	pair_open(&p, *state, false, 64);
	memset(p.buf, 0, sizeof(p.buf));
	least = esp_size(&p.shape, 0);
	assert_int_equal(least, p.shape.head + p.shape.align + p.shape.icv);
	for (size_t n = 0; n < least; n++)
		assert_int_equal(esp_in_prepare(p.in, p.buf, n, &pkt, &op), ESP_F_SHORT);
	for (size_t n = least; n < least + 40; n++)
		assert_int_equal(esp_in_prepare(p.in, p.buf, n, &pkt, &op),
				 (n - least) % p.shape.align ? ESP_F_SHORT : ESP_F_SEQ_ZERO);
	pair_close(&p);
}

static void flipped_bits_are_refused(void **state)
{
	struct pair p;
	struct wire_ip ip;
	struct bytes inner;
	uint8_t good[2048];

	pair_open(&p, *state, true, 64);
	put_ip4(inner_of(&p), 100);
	pair_seal(&p, ESP_NH_IPV4, 100);
	memcpy(good, p.buf, p.n);
	for (size_t bit = 4 * 8; bit < p.n * 8; bit++) {
		memcpy(p.buf, good, p.n);
		p.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (load_be32(p.buf + 4) == 0)
			continue;
		assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_F_AUTH);
		assert_true(esp_in_seq(p.in) == 0);
	}
	memcpy(p.buf, good, p.n);
	assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_OK);
	memcpy(p.buf, good, p.n);
	assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_F_REPLAY);
	pair_close(&p);
}

/* What an authenticated peer may still get wrong: plaintexts with their trailer, by hand. */
static void trailers(void **state)
{
	static const struct {
		const char *what;
		size_t ip; /* bytes of a valid IPv4 packet in front */
		uint8_t tail[12];
		size_t n;
		enum esp_fault want;
	} rows[] = {
		{ "no padding", 22, { 0, 4 }, 2, ESP_OK },
		{ "padding 1", 21, { 1, 1, 4 }, 3, ESP_OK },
		{ "padding 5", 21, { 1, 2, 3, 4, 5, 5, 4 }, 7, ESP_OK },
		{ "padding not 1,2,3", 20, { 1, 3, 2, 4 }, 4, ESP_F_PADDING },
		{ "padding zeros", 20, { 0, 0, 2, 4 }, 4, ESP_F_PADDING },
		{ "padding past the start", 20, { 1, 2, 255, 4 }, 4, ESP_F_PADDING },
		{ "padding one past the start", 0, { 1, 2, 3, 4 }, 4, ESP_F_PADDING },
		{ "all padding", 0, { 1, 2, 2, 4 }, 4, ESP_F_INNER },
		{ "IPv6 said, IPv4 inside", 22, { 0, 41 }, 2, ESP_F_INNER },
		{ "TCP said", 22, { 0, 6 }, 2, ESP_F_NEXT },
		{ "next header 0", 22, { 0, 0 }, 2, ESP_F_NEXT },
		{ "dummy", 22, { 0, 59 }, 2, ESP_F_DUMMY },
		{ "empty dummy", 0, { 1, 2, 2, 59 }, 4, ESP_F_DUMMY },
		{ "traffic-flow padding", 24, { 9, 9, 9, 9, 9, 9, 0, 4 }, 8, ESP_OK },
	};
	struct esp_keys k = keys_of(&gcm128, 7);
	struct bulk_key *bulk;

	(void)state;
	assert_int_equal(
		bulk_key_new(&mem_libc, gcm128, bytes_of(k.encr.b, 16), bytes_of(NULL, 0), &bulk),
		ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;
		struct wire_ip ip;
		struct bytes inner;
		size_t n = rows[i].ip + rows[i].n;
		struct bulk_op op = { .key = bulk, .aad_len = 8 };

		pair_open(&p, &gcm128, false, 64);
		op.data = inner_of(&p);
		if (rows[i].ip)
			put_ip4(op.data, rows[i].ip);
		memcpy(op.data + rows[i].ip, rows[i].tail, rows[i].n);
		store_be32(p.buf, SPI);
		store_be32(p.buf + 4, 9);
		memset(p.buf + 8, 0x77, 8); /* any IV, it is the sender's business */
		memcpy(op.aad, p.buf, 8);
		memcpy(op.nonce, k.encr.b + 16, 4);
		memcpy(op.nonce + 4, p.buf + 8, 8);
		op.n = (uint32_t)n;
		op.icv = op.data + n;
		bulk_seal(&op, 1);
		p.n = p.shape.head + n + p.shape.icv;
		assert_int_equal(pair_open_packet(&p, &ip, &inner), rows[i].want);
		if (rows[i].want == ESP_OK)
			assert_int_equal(inner.n, rows[i].ip);
		assert_true(esp_in_seq(p.in) == 9); /* authenticated: it counts as seen */
		pair_close(&p);
	}
	bulk_key_free(bulk);
}

/* The same with a block cipher, whose padding is longer. */
static void trailers_of_blocks(void **state)
{
	static const struct {
		const char *what;
		uint8_t tail[12]; /* behind an IPv4 packet of 20 bytes */
		enum esp_fault want;
	} rows[] = {
		{ "padding 10", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 4 }, ESP_OK },
		{ "not 1,2,3", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10, 4 }, ESP_F_PADDING },
		{ "one too many", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 4 }, ESP_F_PADDING },
		{ "past the start", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 31, 4 }, ESP_F_PADDING },
		{ "all there is", { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 59 }, ESP_F_PADDING },
		{ "dummy", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 59 }, ESP_F_DUMMY },
	};
	struct esp_keys k = keys_of(*state, 7);
	struct bulk_key *bulk;

	assert_int_equal(bulk_key_new(&mem_libc, k.cipher, secret_bytes(&k.encr),
				      secret_bytes(&k.integ), &bulk),
			 ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bulk_op op = { .key = bulk, .n = 32 };
		struct bytes inner;
		struct wire_ip ip;
		struct pair p;

		pair_open(&p, *state, false, 64);
		op.data = inner_of(&p);
		op.icv = op.data + op.n;
		put_ip4(op.data, 20);
		memcpy(op.data + 20, rows[i].tail, sizeof(rows[i].tail));
		store_be32(p.buf, SPI);
		store_be32(p.buf + 4, 9);
		bulk_seal(&op, 1);
		p.n = p.shape.head + op.n + p.shape.icv;
		assert_int_equal(pair_open_packet(&p, &ip, &inner), rows[i].want);
		assert_true(esp_in_seq(p.in) == 9);
		pair_close(&p);
	}
	bulk_key_free(bulk);
}

/* RFC 4303 section 2.2.1: the high half of an extended number is in the ICV, though not in the
 * packet: a receiver that takes it for another does not get the packet open. */
static void high_half_is_authenticated(void **state)
{
	struct pair p;
	struct wire_ip ip;
	struct bytes inner;

	pair_open(&p, *state, true, 64);
	for (unsigned high = 3; high; high--) {
		esp_out_free(p.out);
		reopen_out(&p, *state);
		esp_out_advance(p.out, (uint64_t)high << 32);
		put_ip4(inner_of(&p), 60);
		assert_true(pair_seal(&p, ESP_NH_IPV4, 60) == ((uint64_t)high << 32) + 1);
		assert_int_equal(load_be32(p.buf + 4), 1);
		/* It knows of no such numbers yet. */
		assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_F_AUTH);
	}
	esp_out_free(p.out);
	reopen_out(&p, *state);
	put_ip4(inner_of(&p), 60);
	assert_true(pair_seal(&p, ESP_NH_IPV4, 60) == 1);
	assert_int_equal(pair_open_packet(&p, &ip, &inner), ESP_OK);
	pair_close(&p);
}

/* Two packets of one batch with one number: both pass the first test, one the second. */
static void replay_within_a_batch(void **state)
{
	struct pair p, q;
	struct esp_in_pkt pkt[2];
	struct bulk_op op[2];
	struct wire_ip ip;
	struct bytes inner;

	pair_open(&p, *state, false, 64);
	put_ip4(inner_of(&p), 50);
	pair_seal(&p, ESP_NH_IPV4, 50);
	q = p;
	assert_int_equal(esp_in_prepare(p.in, p.buf, p.n, &pkt[0], &op[0]), ESP_OK);
	assert_int_equal(esp_in_prepare(p.in, q.buf, q.n, &pkt[1], &op[1]), ESP_OK);
	bulk_open(op, 2);
	assert_true(op[0].ok && op[1].ok);
	assert_int_equal(esp_in_finish(p.in, &pkt[0], op[0].ok, &ip, &inner), ESP_OK);
	assert_int_equal(esp_in_finish(p.in, &pkt[1], op[1].ok, &ip, &inner), ESP_F_REPLAY);
	pair_close(&p);
}

static size_t unhex(const char *s, uint8_t *out)
{
	size_t n = 0;

	for (; s[0]; s += 2) {
		char two[3] = { s[0], s[1], 0 };

		out[n++] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

/* draft-mcgrew-gcm-test-01: an ESP packet as another implementation made it.  Its next header says
 * ICMP (transport mode), so that it is refused only after it was authenticated and decrypted. */
static void published_packet(void **state)
{
	static const char key[] = "abbccddef00112233445566778899aababbccddef00112233445566778899aab"
				  "11223344";
	static const char wire[] =
		"4a2cbfe3000000020102030405060708"
		"ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
		"748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49"
		"15956c96";
	static const char plain[] =
		"4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
		"7002400020bf0000020405b40101040201020201";
	struct esp_keys k = { .cipher = { CRYPTO_AES_GCM_16, 256, CRYPTO_INTEG_NONE } };
	struct pair p;
	uint8_t want[128];

	(void)state;
	k.encr.n = (uint8_t)unhex(key, k.encr.b);
	p.shape = esp_shape_of(k.cipher);
	assert_int_equal(esp_in_new(&mem_libc, 0x4a2cbfe3, &k, false, 64, &p.in), ST_OK);
	p.n = unhex(wire, p.buf);
	assert_int_equal(pair_open_packet(&p, NULL, NULL), ESP_F_NEXT);
	assert_memory_equal(inner_of(&p), want, unhex(plain, want));
	esp_in_free(p.in);
}

/* ---- selectors ----------------------------------------------------------------------------- */

static struct ip ip4(uint32_t a)
{
	uint8_t b[4];

	store_be32(b, a);
	return ip_from_raw(BYTES_OF(b));
}

static struct wire_ts ts4(uint32_t a, uint32_t b, uint8_t proto, uint16_t p0, uint16_t p1)
{
	return (struct wire_ts){ proto, p0, p1, ip4(a), ip4(b) };
}

static struct wire_ip udp(uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	return (struct wire_ip){ .version = 4,
				 .src = ip4(src),
				 .dst = ip4(dst),
				 .has_proto = true,
				 .proto = WIRE_IP_UDP,
				 .has_ports = true,
				 .sport = sport,
				 .dport = dport };
}

static bool matches(struct wire_ts local, struct wire_ts remote, struct wire_ip ip)
{
	struct wire_ts_list l = { &local, 1, 0 };
	struct wire_ts_list r = { &remote, 1, 0 };
	struct esp_ts *ts;
	struct wire_ip back = ip;
	bool yes;

	assert_int_equal(esp_ts_new(&mem_libc, &l, &r, &ts), ST_OK);
	yes = esp_ts_match_out(ts, &ip);
	back.src = ip.dst;
	back.dst = ip.src;
	back.sport = ip.dport;
	back.dport = ip.sport;
	assert_int_equal(esp_ts_match_in(ts, &back), yes);
	assert_int_equal(esp_in_check(ts, &back), yes ? ESP_OK : ESP_F_SELECTOR);
	esp_ts_free(ts);
	return yes;
}

/* RFC 4301 sections 4.4.1.1 and 5.2; RFC 7296 section 3.13.1 for the ports. */
static void selectors(void **state)
{
	const struct wire_ts net1 = ts4(0x0a010000, 0x0a01ffff, 0, 0, 65535);
	const struct wire_ts net2 = ts4(0x0a020000, 0x0a02ffff, 0, 0, 65535);
	const struct wire_ts udp2 = ts4(0x0a020000, 0x0a02ffff, WIRE_IP_UDP, 53, 60);
	const struct wire_ts tcp2 = ts4(0x0a020000, 0x0a02ffff, WIRE_IP_TCP, 0, 65535);
	const struct wire_ts opaque2 = ts4(0x0a020000, 0x0a02ffff, WIRE_IP_UDP, 65535, 0);
	const struct wire_ip p = udp(0x0a010001, 0x0a020001, 9, 53);
	struct wire_ip q;

	(void)state;
	assert_true(matches(net1, net2, p));
	assert_false(matches(net2, net1, p));
	assert_true(matches(net1, udp2, p));
	assert_false(matches(net1, tcp2, p));
	assert_false(matches(net1, opaque2, p));
	assert_true(matches(net1, net2, udp(0x0a010000, 0x0a020000, 0, 0)));
	assert_true(matches(net1, net2, udp(0x0a01ffff, 0x0a02ffff, 0, 0)));
	assert_false(matches(net1, net2, udp(0x0a00ffff, 0x0a020000, 0, 0)));
	assert_false(matches(net1, net2, udp(0x0a010000, 0x0a030000, 0, 0)));
	assert_true(matches(net1, udp2, udp(0x0a010000, 0x0a020000, 7, 60)));
	assert_false(matches(net1, udp2, udp(0x0a010000, 0x0a020000, 7, 61)));
	assert_false(matches(net1, udp2, udp(0x0a010000, 0x0a020000, 53, 52)));
	q = p; /* a later fragment: no ports */
	q.has_ports = false;
	q.sport = q.dport = 0;
	assert_true(matches(net1, net2, q));
	assert_false(matches(net1, udp2, q));
	assert_true(matches(net1, opaque2, q));
	q.has_proto = false;
	assert_true(matches(net1, net2, q));
	assert_false(matches(net1, opaque2, q));
	q = p; /* another family */
	q.src.family = q.dst.family = 6;
	assert_false(matches(net1, net2, q));
}

static void selector_lists(void **state)
{
	struct wire_ts local[2] = { ts4(1, 1, 0, 0, 65535), ts4(5, 9, 0, 0, 65535) };
	struct wire_ts remote[WIRE_MAX_TS + 1];
	struct wire_ts_list l = { local, 2, 0 };
	struct wire_ts_list r = { remote, WIRE_MAX_TS, 0 };
	struct wire_ts_list none = { NULL, 0, 0 };
	struct wire_ip p = udp(6, 100 + 3 * (WIRE_MAX_TS - 1), 1, 1);
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct esp_ts *ts;

	(void)state;
	for (uint32_t i = 0; i <= WIRE_MAX_TS; i++)
		remote[i] = ts4(100 + 3 * i, 101 + 3 * i, 0, 0, 65535);
	assert_int_equal(esp_ts_new(&mem, &l, &r, &ts), ST_NOMEM);
	assert_int_equal(esp_ts_new(&mem_libc, &l, &r, &ts), ST_OK);
	assert_true(esp_ts_match_out(ts, &p)); /* the last of each */
	p.dst = ip4(102);
	assert_false(esp_ts_match_out(ts, &p));
	p.dst = ip4(100);
	p.src = ip4(2);
	assert_false(esp_ts_match_out(ts, &p));
	esp_ts_free(ts);
	r.n = WIRE_MAX_TS + 1;
	assert_int_equal(esp_ts_new(&mem_libc, &l, &r, &ts), ST_INVAL);
	assert_int_equal(esp_ts_new(&mem_libc, &none, &none, &ts), ST_OK);
	assert_false(esp_ts_match_out(ts, &p)); /* nothing allows nothing */
	esp_ts_free(ts);
	esp_ts_free(NULL);
}

/* ---- creation ------------------------------------------------------------------------------ */

static void refused_arguments(void **state)
{
	static const unsigned windows[] = { 0, 1, 63, 65, 100, 4097, 4160, 8192 };
	struct esp_keys k = keys_of(&gcm128, 2);
	struct esp_out *o = NULL;
	struct esp_in *in = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(windows); i++)
		assert_int_equal(esp_in_new(&mem_libc, SPI, &k, true, windows[i], &in), ST_INVAL);
	assert_int_equal(esp_in_new(&mem_libc, 255, &k, true, 64, &in), ST_INVAL);
	assert_int_equal(esp_out_new(&mem_libc, 0, &k, true, &o), ST_INVAL);
	k.encr.n = 16; /* no salt */
	assert_int_equal(esp_out_new(&mem_libc, SPI, &k, true, &o), ST_INVAL);
	k.encr.n = 4;
	assert_int_equal(esp_out_new(&mem_libc, SPI, &k, true, &o), ST_INVAL);
	k = keys_of(&cbc128, 2);
	k.integ.n--;
	assert_int_equal(esp_out_new(&mem_libc, SPI, &k, true, &o), ST_INVAL);
	k = keys_of(&gcm128, 2);
	k.cipher.encr = CRYPTO_AES_CBC; /* without an HMAC */
	assert_int_equal(esp_in_new(&mem_libc, SPI, &k, true, 64, &in), ST_INVAL);
	assert_null(o);
	assert_null(in);
	esp_out_free(NULL);
	esp_in_free(NULL);
	for (int f = 0; f < ESP_FAULTS; f++)
		assert_non_null(esp_fault_name((enum esp_fault)f));
}

static void nth_allocation_fails(void **state)
{
	struct esp_keys k = keys_of(&gcm128, 2);
	long n = 0;
	enum status st;

	(void)state;
	do {
		struct counting c;
		struct alloc mem = counting_mem(&c, n);
		struct esp_out *o = NULL;
		struct esp_in *in = NULL;

		st = esp_out_new(&mem, SPI, &k, true, &o);
		if (st == ST_OK)
			st = esp_in_new(&mem, SPI, &k, true, 64, &in);
		assert_true(st == ST_OK || st == ST_NOMEM);
		assert_int_equal(st == ST_OK, in != NULL);
		esp_out_free(o);
		esp_in_free(in);
		assert_int_equal(c.live, 0);
		n++;
	} while (st != ST_OK);
	assert_true(n > 4); /* two objects, two keys */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_window_differential),
		cmocka_unit_test(replay_window_edges),
		cmocka_unit_test(infer_high_half),
		EACH_CIPHER(every_length_goes_through),
		EACH_CIPHER(extended_numbers_cross_32_bits),
		cmocka_unit_test(numbers_run_out),
		EACH_CIPHER(malformed_packets),
		EACH_CIPHER(flipped_bits_are_refused),
		EACH_CIPHER(high_half_is_authenticated),
		cmocka_unit_test(trailers),
		cmocka_unit_test_prestate(trailers_of_blocks, &cbc128),
		cmocka_unit_test_prestate(trailers_of_blocks, &cbc192),
		cmocka_unit_test_prestate(trailers_of_blocks, &cbc256),
		EACH_CIPHER(replay_within_a_batch),
		cmocka_unit_test(published_packet),
		cmocka_unit_test(selectors),
		cmocka_unit_test(selector_lists),
		cmocka_unit_test(refused_arguments),
		cmocka_unit_test(nth_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
