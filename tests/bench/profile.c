#include "bench/profile.h"

#include <openssl/x509.h>
#include <time.h>

#include "wire/ike/wire_ike.h"

const char *const profile_names[PARTS] = {
	[PART_ELSE] = "everything else",
	[PART_PARSE] = "parse messages",
	[PART_BUILD] = "build messages",
	[PART_SEAL] = "seal and open",
	[PART_KEYS] = "prf, keys, random",
	[PART_KE] = "key exchange",
	[PART_SIGN] = "sign",
	[PART_VERIFY] = "verify",
	[PART_PATH] = "certificate path",
	[PART_DP] = "data plane",
};

static struct {
	bool on;
	enum part part;
	uint64_t since;
	uint64_t ns[PARTS];
	uint64_t reads;
} now;

static uint64_t read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now.reads++;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

enum part profile_enter(enum part p)
{
	enum part before = now.part;
	uint64_t t;

	if (!now.on)
		return before;
	t = read_clock();
	now.ns[before] += t - now.since;
	now.since = t;
	now.part = p;
	return before;
}

void profile_start(void)
{
	now.on = true;
	now.part = PART_ELSE;
	now.since = read_clock();
}

void profile_stop(void)
{
	(void)profile_enter(PART_ELSE);
	now.on = false;
}

void profile_clear(void)
{
	memset(now.ns, 0, sizeof(now.ns));
	now.reads = 0;
}

double profile_us(enum part p)
{
	return (double)now.ns[p] / 1e3;
}

uint64_t profile_reads(void)
{
	return now.reads;
}

/* ---- the provider ---------------------------------------------------------------------------- */

static struct crypto behind;

static bool timed_has(void *ctx, uint8_t type, uint16_t id, uint16_t key_bits)
{
	(void)ctx;
	return behind.ops->has(behind.ctx, type, id, key_bits);
}

static void timed_random(void *ctx, void *buf, size_t n)
{
	enum part before = profile_enter(PART_KEYS);

	(void)ctx;
	behind.ops->random(behind.ctx, buf, n);
	(void)profile_enter(before);
}

static enum status timed_prf(void *ctx, uint16_t prf, struct bytes key, const struct bytes *parts,
			     size_t n_parts, uint8_t *ret_out)
{
	enum part before = profile_enter(PART_KEYS);
	enum status st = behind.ops->prf(behind.ctx, prf, key, parts, n_parts, ret_out);

	(void)ctx;
	(void)profile_enter(before);
	return st;
}

static enum status timed_hash(void *ctx, uint16_t hash, const struct bytes *parts, size_t n_parts,
			      uint8_t *ret_out)
{
	enum part before = profile_enter(PART_KEYS);
	enum status st = behind.ops->hash(behind.ctx, hash, parts, n_parts, ret_out);

	(void)ctx;
	(void)profile_enter(before);
	return st;
}

static enum status timed_seal(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			      struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv)
{
	enum part before = profile_enter(PART_SEAL);
	enum status st = behind.ops->seal(behind.ctx, key, iv, aad, data, n, ret_icv);

	(void)ctx;
	(void)profile_enter(before);
	return st;
}

static enum status timed_open(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			      struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv)
{
	enum part before = profile_enter(PART_SEAL);
	enum status st = behind.ops->open(behind.ctx, key, iv, aad, data, n, icv);

	(void)ctx;
	(void)profile_enter(before);
	return st;
}

struct crypto profile_crypto(struct crypto c)
{
	static const struct crypto_ops ops = { timed_has,  timed_random, timed_prf,
					       timed_hash, timed_seal,   timed_open };

	behind = c;
	return (struct crypto){ &ops, NULL };
}

enum part profile_of_job(enum crypto_job_kind kind)
{
	switch (kind) {
	case CRYPTO_JOB_KE_GENERATE:
	case CRYPTO_JOB_KE_DERIVE:
	case CRYPTO_JOB_KE_RESPOND: return PART_KE;
	case CRYPTO_JOB_SIGN: return PART_SIGN;
	case CRYPTO_JOB_VERIFY: return PART_VERIFY;
	default: return PART_KEYS;
	}
}

/* ---- what the linker leads here -------------------------------------------------------------- */

#define WRAP(type, name, params)                                                                   \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params

WRAP(enum status, wire_ike_parse_hdr,
     (struct bytes datagram, struct wire_hdr *ret_hdr, enum wire_fault *fault))
{
	enum part before = profile_enter(PART_PARSE);
	enum status st = __real_wire_ike_parse_hdr(datagram, ret_hdr, fault);

	(void)profile_enter(before);
	return st;
}

WRAP(enum status, wire_ike_parse,
     (struct arena * ar, struct bytes datagram, struct wire_ike_msg *ret_msg,
      enum wire_fault *fault))
{
	enum part before = profile_enter(PART_PARSE);
	enum status st = __real_wire_ike_parse(ar, datagram, ret_msg, fault);

	(void)profile_enter(before);
	return st;
}

WRAP(enum status, wire_ike_parse_inner,
     (struct arena * ar, uint8_t first, struct bytes plain, struct wire_payloads *ret_inner,
      enum wire_fault *fault))
{
	enum part before = profile_enter(PART_PARSE);
	enum status st = __real_wire_ike_parse_inner(ar, first, plain, ret_inner, fault);

	(void)profile_enter(before);
	return st;
}

/* From the first byte of a message to the last; what is computed for it in between has parts of its
 * own. */
WRAP(void, wire_ike_begin, (struct wire_out * o, void *buf, size_t cap, const struct wire_hdr *h))
{
	(void)profile_enter(PART_BUILD);
	__real_wire_ike_begin(o, buf, cap, h);
}

WRAP(enum status, wire_ike_end, (struct wire_out * o, struct bytes *ret_msg))
{
	enum status st = __real_wire_ike_end(o, ret_msg);

	(void)profile_enter(PART_ELSE);
	return st;
}

WRAP(enum status, wire_ike_sk_end,
     (struct wire_out * o, size_t block, size_t icv_len, struct wire_sk_spans *ret_spans,
      struct bytes *ret_msg))
{
	enum status st = __real_wire_ike_sk_end(o, block, icv_len, ret_spans, ret_msg);

	(void)profile_enter(PART_ELSE);
	return st;
}

WRAP(X509 *, d2i_X509, (X509 * *ret, const unsigned char **in, long len))
{
	enum part before = profile_enter(PART_PATH);
	X509 *cert = __real_d2i_X509(ret, in, len);

	(void)profile_enter(before);
	return cert;
}

WRAP(int, X509_verify_cert, (X509_STORE_CTX * ctx))
{
	enum part before = profile_enter(PART_PATH);
	int good = __real_X509_verify_cert(ctx);

	(void)profile_enter(before);
	return good;
}
