/* The fake provider: protects nothing, behaves like one that does, and always the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/fake/crypto_fake.h"

enum { ID_FQDN = 2, ID_KEY = 11 };

static struct crypto_fake *fake_new(uint64_t seed)
{
	struct crypto_fake *p;

	assert_int_equal(crypto_fake_new(&mem_libc, seed, &p), ST_OK);
	return p;
}

static const struct crypto_cipher ciphers[] = {
	{ CRYPTO_AES_GCM_16, 128, 0 },
	{ CRYPTO_AES_GCM_16, 256, 0 },
	{ CRYPTO_CHACHA20_POLY1305, 0, 0 },
	{ CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 },
	{ CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 },
};

static const uint16_t groups[] = { CRYPTO_X25519, CRYPTO_ECP_256, CRYPTO_ECP_384, CRYPTO_ECP_521,
				   CRYPTO_MODP_2048 };

/* ---- the same again ----------------------------------------------------------------------- */

/* Everything one provider does, as one string of bytes. */
static size_t transcript(uint64_t seed, uint8_t *out)
{
	struct crypto_fake *p = fake_new(seed);
	struct crypto c = crypto_fake_ops(p);
	struct bytes part = bytes_str("part");
	size_t n = 0;

	c.ops->random(c.ctx, out, 100);
	n += 100;
	assert_int_equal(c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_384, part, &part, 1, out + n),
			 ST_OK);
	n += 48;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypto_job job = { .kind = CRYPTO_JOB_KE_GENERATE,
					  .in.ke_generate.group = groups[i] };
		struct crypto_result r;

		crypto_fake_run(p, &job, &r);
		assert_int_equal(r.status, ST_OK);
		memcpy(out + n, r.ke.pub, r.ke.pub_len);
		n += r.ke.pub_len;
	}
	crypto_fake_free(p);
	return n;
}

static void same_seed_same_bytes(void **state)
{
	static uint8_t a[2000], b[2000], c[2000];
	size_t n = transcript(7, a);

	(void)state;
	assert_int_equal(transcript(7, b), n);
	assert_memory_equal(a, b, n);
	assert_int_equal(transcript(8, c), n);
	assert_memory_not_equal(a, c, 100);
	assert_memory_not_equal(a + 148, c + 148, 32);
}

/* Byte-identical replay holds across builds and machines too: these bytes stay. */
static void bytes_stay(void **state)
{
	static const uint8_t random[] = { 0xcf, 0x0b, 0xcc, 0xc3, 0x1d, 0xfd,
					  0x37, 0xe8, 0xf1, 0x91, 0x9a, 0x70 };
	static const uint8_t prf[] = { 0x62, 0x76, 0x2b, 0x96, 0xa9, 0x32,
				       0xc0, 0xf1, 0xfb, 0xfa, 0x17, 0xb2 };
	struct crypto_fake *p = fake_new(1);
	struct crypto c = crypto_fake_ops(p);
	uint8_t got[CRYPTO_PRF_MAX];
	struct bytes part = bytes_str("data");

	(void)state;
	c.ops->random(c.ctx, got, sizeof(random));
	assert_memory_equal(got, random, sizeof(random));
	assert_int_equal(
		c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_256, bytes_str("key"), &part, 1, got),
		ST_OK);
	assert_memory_equal(got, prf, sizeof(prf));
	crypto_fake_free(p);
}

static void random_moves_on(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto c = crypto_fake_ops(p);
	uint8_t a[33], b[33];

	(void)state;
	c.ops->random(c.ctx, a, sizeof(a));
	c.ops->random(c.ctx, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	c.ops->random(c.ctx, a, 0);
	crypto_fake_free(p);
}

static void *no_memory(void *ctx, size_t n)
{
	(void)ctx;
	(void)n;
	return NULL;
}

static void out_of_memory(void **state)
{
	const struct alloc none = { no_memory, mem_libc.free, NULL };
	struct crypto_fake *p = NULL;

	(void)state;
	assert_int_equal(crypto_fake_new(&none, 1, &p), ST_NOMEM);
	assert_null(p);
	crypto_fake_free(NULL);
}

/* ---- PRF and hash ------------------------------------------------------------------------- */

/* The input is the concatenation, wherever it was cut; every byte and the key count. */
static void prf_behaves(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto c = crypto_fake_ops(p);
	uint8_t data[200], whole[CRYPTO_PRF_MAX], got[CRYPTO_PRF_MAX];
	struct bytes all = BYTES_OF(data), key = bytes_str("key");

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	assert_int_equal(c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_512, key, &all, 1, whole), ST_OK);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		const struct bytes parts[] = { bytes_of(data, cut),
					       { NULL, 0 },
					       bytes_of(data + cut, sizeof(data) - cut) };

		assert_int_equal(c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_512, key, parts, 3, got),
				 ST_OK);
		assert_memory_equal(got, whole, 64);
	}
	for (size_t n = 0; n < sizeof(data); n++) {
		struct bytes shorter = bytes_of(data, n);

		data[n] ^= 1;
		assert_int_equal(c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_512, key, &all, 1, got),
				 ST_OK);
		assert_memory_not_equal(got, whole, 64);
		data[n] ^= 1;
		assert_int_equal(c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_512, key, &shorter, 1, got),
				 ST_OK);
		assert_memory_not_equal(got, whole, 64);
	}
	assert_int_equal(
		c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_512, bytes_str("kez"), &all, 1, got), ST_OK);
	assert_memory_not_equal(got, whole, 64);
	assert_int_equal(c.ops->prf(c.ctx, 1, key, &all, 1, got), ST_BUG);
	crypto_fake_free(p);
}

static void hash_behaves(void **state)
{
	static const uint16_t hashes[] = { CRYPTO_SHA1, CRYPTO_SHA2_256, CRYPTO_SHA2_384,
					   CRYPTO_SHA2_512 };
	struct crypto_fake *p = fake_new(1);
	struct crypto c = crypto_fake_ops(p);
	const struct bytes ab = bytes_str("ab");
	const struct bytes parts[] = { bytes_str("a"), bytes_str("b") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		uint8_t x[CRYPTO_HASH_MAX + 1], y[CRYPTO_HASH_MAX + 1];
		size_t n = crypto_hash_len(hashes[i]);

		x[n] = 0xee;
		assert_int_equal(c.ops->hash(c.ctx, hashes[i], &ab, 1, x), ST_OK);
		assert_int_equal(x[n], 0xee);
		assert_int_equal(c.ops->hash(c.ctx, hashes[i], parts, 2, y), ST_OK);
		assert_memory_equal(x, y, n);
	}
	assert_int_equal(c.ops->hash(c.ctx, CRYPTO_IDENTITY, &ab, 1, (uint8_t[64]){ 0 }), ST_BUG);
	crypto_fake_free(p);
}

/* ---- seal and open ------------------------------------------------------------------------ */

struct sealed {
	struct crypto_key key;
	uint8_t iv[16];
	uint8_t aad[20];
	uint8_t data[64];
	uint8_t icv[32];
};

static void check_cipher(const struct crypto *c, struct crypto_cipher cipher)
{
	struct sealed good = { .key.cipher = cipher };
	struct crypto_cipher_info info;
	static const uint8_t plain[64] = "what was said", zero[64];

	assert_int_equal(crypto_cipher_info(cipher, &info), ST_OK);
	good.key.encr.n = (uint8_t)info.key_len;
	good.key.integ.n = (uint8_t)info.integ_key_len;
	memcpy(good.data, plain, 64);
	assert_int_equal(c->ops->seal(c->ctx, &good.key, good.iv, BYTES_OF(good.aad), good.data, 64,
				      good.icv),
			 ST_OK);
	assert_memory_not_equal(good.data, plain, 64);
	for (size_t i = 0; i < sizeof(good); i++) {
		struct sealed m = good;
		bool matters = (i >= offsetof(struct sealed, iv) &&
				i < offsetof(struct sealed, iv) + info.iv_len) ||
			       (i >= offsetof(struct sealed, aad) &&
				i < offsetof(struct sealed, icv) + info.icv_len) ||
			       (i >= offsetof(struct sealed, key.encr.b) &&
				i < offsetof(struct sealed, key.encr.b) + info.key_len);

		if (!matters)
			continue;
		((uint8_t *)&m)[i] ^= 0x10;
		assert_int_equal(
			c->ops->open(c->ctx, &m.key, m.iv, BYTES_OF(m.aad), m.data, 64, m.icv),
			ST_DROP);
		assert_memory_equal(m.data, zero, 64);
	}
	assert_int_equal(c->ops->open(c->ctx, &good.key, good.iv, BYTES_OF(good.aad), good.data, 64,
				      good.icv),
			 ST_OK);
	assert_memory_equal(good.data, plain, 64);
	good.key.encr.n--;
	assert_int_equal(c->ops->seal(c->ctx, &good.key, good.iv, BYTES_OF(good.aad), good.data, 64,
				      good.icv),
			 ST_BUG);
	assert_memory_equal(good.data, zero, 64);
}

static void seal_behaves(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto c = crypto_fake_ops(p);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		check_cipher(&c, ciphers[i]);
	crypto_fake_free(p);
}

/* ---- key agreement ------------------------------------------------------------------------ */

static struct crypto_result run_derive(struct crypto_fake *p, uint16_t group,
				       const struct crypto_result *ours, struct bytes peer)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_KE_DERIVE };
	struct crypto_result r;

	job.in.ke_derive.group = group;
	job.in.ke_derive.priv = ours->ke.priv;
	job.in.ke_derive.pub = bytes_of(ours->ke.pub, ours->ke.pub_len);
	job.in.ke_derive.peer = peer;
	crypto_fake_run(p, &job, &r);
	return r;
}

static void assert_failed(const struct crypto_result *r, enum status want)
{
	static const struct crypto_result zero;

	assert_int_equal(r->status, want);
	assert_string_not_equal(r->reason, "");
	assert_memory_equal(&r->ke, &zero.ke, sizeof(zero.ke));
	assert_memory_equal(&r->auth, &zero.auth, sizeof(zero.auth));
	assert_memory_equal(&r->cert, &zero.cert, sizeof(zero.cert));
}

/* Two providers, as two simulated hosts have. */
static void ke_agrees(void **state)
{
	struct crypto_fake *a = fake_new(1), *b = fake_new(2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypto_job gen = { .kind = CRYPTO_JOB_KE_GENERATE,
					  .in.ke_generate.group = groups[i] };
		struct crypto_job resp = { .kind = CRYPTO_JOB_KE_RESPOND };
		struct crypto_result ours, theirs, shared;

		crypto_fake_run(a, &gen, &ours);
		assert_int_equal(ours.ke.pub_len, crypto_ke_public_len(groups[i]));
		resp.in.ke_respond.group = groups[i];
		resp.in.ke_respond.peer = bytes_of(ours.ke.pub, ours.ke.pub_len);
		crypto_fake_run(b, &resp, &theirs);
		assert_int_equal(theirs.status, ST_OK);
		shared =
			run_derive(a, groups[i], &ours, bytes_of(theirs.ke.pub, theirs.ke.pub_len));
		assert_int_equal(shared.status, ST_OK);
		assert_true(shared.ke.shared_len >= 32);
		assert_memory_equal(shared.ke.shared, theirs.ke.shared, shared.ke.shared_len);
		assert_int_equal(shared.ke.shared_len, theirs.ke.shared_len);
		/* With somebody else's value it is another secret. */
		shared = run_derive(a, groups[i], &ours, bytes_of(ours.ke.pub, ours.ke.pub_len));
		assert_memory_not_equal(shared.ke.shared, theirs.ke.shared, 32);
	}
	crypto_fake_free(a);
	crypto_fake_free(b);
}

static void ke_refuses(void **state)
{
	struct crypto_fake *p = fake_new(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypto_job gen = { .kind = CRYPTO_JOB_KE_GENERATE,
					  .in.ke_generate.group = groups[i] };
		struct crypto_result ours, peer, r;
		uint8_t buf[CRYPTO_KE_PUBLIC_MAX];
		size_t n = crypto_ke_public_len(groups[i]);

		crypto_fake_run(p, &gen, &ours);
		crypto_fake_run(p, &gen, &peer);
		for (size_t at = 0; at < n; at++) {
			memcpy(buf, peer.ke.pub, n);
			buf[at] ^= 1;
			r = run_derive(p, groups[i], &ours, bytes_of(buf, n));
			assert_failed(&r, ST_REFUSE);
		}
		memset(buf, 0, n);
		r = run_derive(p, groups[i], &ours, bytes_of(buf, n));
		assert_failed(&r, ST_REFUSE);
		r = run_derive(p, groups[i], &ours, bytes_of(peer.ke.pub, n - 1));
		assert_failed(&r, ST_REFUSE);
		r = run_derive(p, groups[i], &ours, (struct bytes){ NULL, 0 });
		assert_failed(&r, ST_REFUSE);
		ours.ke.priv.n = 0;
		r = run_derive(p, groups[i], &ours, bytes_of(peer.ke.pub, n));
		assert_failed(&r, ST_BUG);
		r = run_derive(p, 1, &peer, bytes_of(peer.ke.pub, n));
		assert_failed(&r, ST_BUG);
	}
	crypto_fake_free(p);
}

/* ---- AUTH --------------------------------------------------------------------------------- */

static struct crypto_result run_sign(struct crypto_fake *p, crypto_ref key, uint8_t method,
				     struct bytes octets)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_SIGN,
				  .in.sign = { key, method, 1 << CRYPTO_SHA2_256, octets } };
	struct crypto_result r;

	crypto_fake_run(p, &job, &r);
	return r;
}

static struct crypto_result run_verify(struct crypto_fake *p, const struct crypto_verify_in *in)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_VERIFY, .in.verify = *in };
	struct crypto_result r;

	memset(&r, 0xee, sizeof(r));
	crypto_fake_run(p, &job, &r);
	return r;
}

/* Key 5, issued by 3, for site-b, from 1000 to 2000. */
static struct crypto_verify_in usual(uint8_t cert[300], const struct crypto_result *sig,
				     uint8_t method)
{
	struct crypto_verify_in in = { .trust = 3,
				       .n_certs = 1,
				       .id_type = ID_FQDN,
				       .id = bytes_str("site-b"),
				       .at = { 1500 },
				       .at_known = true,
				       .method = method,
				       .signature = bytes_of(sig->auth.data, sig->auth.len),
				       .octets = bytes_str("octets") };

	assert_int_equal(crypto_fake_cert(5, 3, ID_FQDN, bytes_str("site-b"), (wall_t){ 1000 },
					  (wall_t){ 2000 }, cert, 300, &in.certs[0]),
			 ST_OK);
	return in;
}

static void signatures_verify(void **state)
{
	static const struct {
		uint8_t ask, method;
		size_t len;
	} rows[] = { { 14, 14, 77 }, { 9, 9, 64 }, { 10, 10, 96 }, { 0, 9, 64 } };
	struct crypto_fake *p = fake_new(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result s = run_sign(p, 5, rows[i].ask, bytes_str("octets")), r;
		uint8_t cert[300];
		struct crypto_verify_in in;

		assert_int_equal(s.status, ST_OK);
		assert_int_equal(s.auth.method, rows[i].method);
		assert_int_equal(s.auth.len, rows[i].len);
		in = usual(cert, &s, s.auth.method);
		r = run_verify(p, &in);
		assert_int_equal(r.status, ST_OK);
		assert_int_equal(r.cert.not_before.s, 1000);
		assert_int_equal(r.cert.not_after.s, 2000);
		assert_string_equal(r.cert.auth, "fake");
		for (size_t at = 0; at < s.auth.len; at++) {
			s.auth.data[at] ^= 4;
			r = run_verify(p, &in);
			assert_failed(&r, ST_REFUSE);
			s.auth.data[at] ^= 4;
		}
	}
	crypto_fake_free(p);
}

static void signatures_refused(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto_result s = run_sign(p, 5, 14, bytes_str("octets")), r;
	struct crypto_job weak = { .kind = CRYPTO_JOB_SIGN,
				   .in.sign = { 5, 14, 1 << CRYPTO_SHA1, bytes_str("x") } };
	uint8_t cert[300], other[300];
	const struct crypto_verify_in good = usual(cert, &s, 14);
	static const enum crypto_fault fault[] = {
		CRYPTO_FAULT_CERTIFICATE, CRYPTO_FAULT_DATES,     CRYPTO_FAULT_DATES,
		CRYPTO_FAULT_DATES,       CRYPTO_FAULT_IDENTITY,  CRYPTO_FAULT_IDENTITY,
		CRYPTO_FAULT_SIGNATURE,   CRYPTO_FAULT_SIGNATURE, CRYPTO_FAULT_CERTIFICATE,
		CRYPTO_FAULT_CERTIFICATE, CRYPTO_FAULT_SIGNATURE,
	};
	struct crypto_verify_in rows[ARRAY_LEN(fault)];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = good;
	rows[n++].trust = 4;
	rows[n++].at.s = 999;
	rows[n++].at.s = 2001;
	rows[n++].at_known = false;
	rows[n++].id = bytes_str("site-c");
	rows[n++].id_type = ID_KEY;
	rows[n++].octets = bytes_str("octetz");
	rows[n++].method = 9;
	rows[n++].n_certs = 0;
	rows[n++].certs[0].n--;
	/* Somebody else's certificate, by the same issuer and for the same name. */
	assert_int_equal(crypto_fake_cert(6, 3, ID_FQDN, bytes_str("site-b"), (wall_t){ 1000 },
					  (wall_t){ 2000 }, other, 300, &rows[n++].certs[0]),
			 ST_OK);
	assert_int_equal(n, ARRAY_LEN(rows));
	for (size_t i = 0; i < n; i++) {
		r = run_verify(p, &rows[i]);
		assert_failed(&r, ST_REFUSE);
		assert_int_equal(r.fault, fault[i]);
	}
	r = run_verify(p, &good);
	assert_int_equal(r.status, ST_OK);
	assert_int_equal(r.fault, CRYPTO_FAULT_NONE);
	r = run_verify(p, &rows[4]);
	assert_string_equal(r.reason, "certificate is for 2:site-b, peer claims 2:site-c");
	r = run_sign(p, 0, 14, bytes_str("octets"));
	assert_failed(&r, ST_BUG);
	r = run_sign(p, 5, 1, bytes_str("octets"));
	assert_failed(&r, ST_REFUSE);
	crypto_fake_run(p, &weak, &r);
	assert_failed(&r, ST_REFUSE);
	crypto_fake_free(p);
}

/* The validity is inclusive at both ends, and dates before 1970 can be written. */
static void certificate_text(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto_result s = run_sign(p, 5, 9, bytes_str("octets")), r;
	uint8_t cert[300], long_id[200] = { 0 };
	struct crypto_verify_in in = usual(cert, &s, 9);
	struct bytes out;

	(void)state;
	assert_memory_equal(in.certs[0].p,
			    "fake-cert key=5 issuer=3 id=2:736974652d62 from=1000 until=2000\n",
			    in.certs[0].n);
	in.at.s = 1000;
	r = run_verify(p, &in);
	assert_int_equal(r.status, ST_OK);
	in.at.s = 2000;
	r = run_verify(p, &in);
	assert_int_equal(r.status, ST_OK);
	assert_int_equal(crypto_fake_cert(5, 3, ID_FQDN, bytes_str("site-b"), (wall_t){ -5 },
					  (wall_t){ INT64_MAX }, cert, 300, &in.certs[0]),
			 ST_OK);
	r = run_verify(p, &in);
	assert_int_equal(r.status, ST_OK);
	assert_int_equal(r.cert.not_before.s, -5);
	assert_int_equal(r.cert.not_after.s, INT64_MAX);
	assert_int_equal(crypto_fake_cert(1, 1, 1, BYTES_OF(long_id), (wall_t){ 0 }, (wall_t){ 0 },
					  cert, 300, &out),
			 ST_INVAL);
	assert_int_equal(crypto_fake_cert(1, 1, 1, bytes_str("a"), (wall_t){ 0 }, (wall_t){ 0 },
					  cert, 20, &out),
			 ST_INVAL);
	crypto_fake_free(p);
}

/* S2: nothing but what was written is read; every change of one byte is refused somewhere. */
static void certificate_garbage(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto_result s = run_sign(p, 5, 9, bytes_str("octets")), r;
	uint8_t cert[300];
	struct crypto_verify_in in = usual(cert, &s, 9);
	size_t n = in.certs[0].n;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		in.certs[0].n = i;
		r = run_verify(p, &in);
		assert_failed(&r, ST_REFUSE);
	}
	in.certs[0].n = n;
	for (size_t i = 0; i < n; i++) {
		/* Digits of the dates may change without leaving the validity. */
		bool date = cert[i] >= '0' && cert[i] <= '9' && i > 48;

		cert[i] ^= 0x80;
		r = run_verify(p, &in);
		assert_failed(&r, ST_REFUSE);
		cert[i] ^= 0x81;
		r = run_verify(p, &in);
		if (!date)
			assert_failed(&r, ST_REFUSE);
		cert[i] ^= 1;
	}
	crypto_fake_free(p);
}

/* Blocks come back as they went in; what names a revoked certificate follows from key and issuer.
 */
static void certificate_blocks(void **state)
{
	static const struct ip_range blocks[] = {
		{ { 4, { 10, 2 } }, { 4, { 10, 2, 255, 255 } } },
		{ { 6, { 0xfd } }, { 6, { 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 } } },
	};
	struct crypto_fake *p = fake_new(1);
	struct crypto_result s = run_sign(p, 5, 9, bytes_str("octets")), r;
	uint8_t cert[300], id[CRYPTO_REVOCATION_ID], other[CRYPTO_REVOCATION_ID];
	struct crypto_verify_in in = usual(cert, &s, 9);
	const struct bytes plain = in.certs[0];

	(void)state;
	r = run_verify(p, &in);
	assert_false(r.cert.has_blocks);
	crypto_fake_revocation_id(5, 3, id);
	assert_int_equal(r.cert.n_revocation_ids, 1);
	assert_memory_equal(r.cert.revocation_ids[0], id, sizeof(id));
	crypto_fake_revocation_id(5, 4, other);
	assert_memory_not_equal(id, other, sizeof(id));
	crypto_fake_revocation_id(6, 3, other);
	assert_memory_not_equal(id, other, sizeof(id));
	for (size_t n = 0; n <= ARRAY_LEN(blocks); n++) {
		assert_int_equal(crypto_fake_cert_blocks(5, 3, ID_FQDN, bytes_str("site-b"),
							 (wall_t){ 1000 }, (wall_t){ 2000 }, blocks,
							 n, cert, sizeof(cert), &in.certs[0]),
				 ST_OK);
		r = run_verify(p, &in);
		assert_int_equal(r.status, ST_OK);
		assert_true(r.cert.has_blocks);
		assert_int_equal(r.cert.n_blocks, n);
		assert_memory_equal(r.cert.blocks, blocks, n * sizeof(blocks[0]));
		for (size_t cut = plain.n; cut < in.certs[0].n; cut++) {
			struct crypto_verify_in less = in;

			less.certs[0].n = cut;
			r = run_verify(p, &less);
			assert_failed(&r, ST_REFUSE);
		}
	}
	crypto_fake_free(p);
}

static void psk_behaves(void **state)
{
	struct crypto_fake *p = fake_new(1);
	struct crypto_job job = { .kind = CRYPTO_JOB_PSK_AUTH,
				  .in.psk = { 4, CRYPTO_PRF_HMAC_SHA2_256, bytes_str("octets") } };
	struct crypto_result a, b;

	(void)state;
	crypto_fake_run(p, &job, &a);
	assert_int_equal(a.status, ST_OK);
	assert_int_equal(a.auth.len, 32);
	assert_int_equal(a.auth.method, 2);
	crypto_fake_run(p, &job, &b);
	assert_memory_equal(a.auth.data, b.auth.data, 32);
	job.in.psk.psk = 5;
	crypto_fake_run(p, &job, &b);
	assert_memory_not_equal(a.auth.data, b.auth.data, 32);
	job.in.psk = (struct crypto_psk_in){ 4, CRYPTO_PRF_HMAC_SHA2_256, bytes_str("octet") };
	crypto_fake_run(p, &job, &b);
	assert_memory_not_equal(a.auth.data, b.auth.data, 32);
	job.in.psk.psk = 0;
	crypto_fake_run(p, &job, &b);
	assert_failed(&b, ST_BUG);
	crypto_fake_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_seed_same_bytes), cmocka_unit_test(bytes_stay),
		cmocka_unit_test(random_moves_on),      cmocka_unit_test(out_of_memory),
		cmocka_unit_test(prf_behaves),          cmocka_unit_test(hash_behaves),
		cmocka_unit_test(seal_behaves),         cmocka_unit_test(ke_agrees),
		cmocka_unit_test(ke_refuses),           cmocka_unit_test(signatures_verify),
		cmocka_unit_test(signatures_refused),   cmocka_unit_test(certificate_text),
		cmocka_unit_test(certificate_garbage),  cmocka_unit_test(certificate_blocks),
		cmocka_unit_test(psk_behaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
