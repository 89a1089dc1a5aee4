/*
 * Every allocation of libcrypto refused in turn: a job then fails with a defined result, and a peer
 * that is no good never passes because a check ran out of memory (S2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/failing_libcrypto.h"
#include "unit/test_crypto_world.h"

/* Runs `job` again and again, one allocation later each time, until none is left to fail.  Returns
 * what it came to at the end. */
static struct crypto_result run_failing(const struct crypto_job *job)
{
	static const struct crypto_result zero;
	struct crypto_result want, r;
	size_t failures = 0, nomem = 0;

	crypto_openssl_run(w.store, job, &want);
	for (long at = 0;; at++) {
		memset(&r, 0xee, sizeof(r));
		left = at;
		crypto_openssl_run(w.store, job, &r);
		if (left >= 0)
			break;
		left = -1;
		failures++;
		/* libcrypto does without some; then the result is the same as ever. */
		if (r.status == ST_OK) {
			assert_int_equal(want.status, ST_OK);
			continue;
		}
		/* Its decoders hide some failures, which then look like a bad certificate. */
		nomem += r.status == ST_NOMEM;
		assert_int_equal(r.kind, job->kind);
		assert_string_not_equal(r.reason, "");
		assert_memory_equal(&r.ke, &zero.ke, sizeof(zero.ke));
		assert_memory_equal(&r.auth, &zero.auth, sizeof(zero.auth));
		assert_memory_equal(&r.cert, &zero.cert, sizeof(zero.cert));
	}
	left = -1;
	assert_true(failures > 0);
	assert_true(nomem > 0);
	assert_int_equal(r.status, want.status);
	return r;
}

static void key_exchange(void **state)
{
	static const uint16_t groups[] = { CRYPTO_X25519, CRYPTO_ECP_256, CRYPTO_ECP_384 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypto_job gen = { .kind = CRYPTO_JOB_KE_GENERATE,
					  .in.ke_generate.group = groups[i] };
		struct crypto_result a = run_failing(&gen), b = run_failing(&gen), r;
		struct crypto_job job = { .kind = CRYPTO_JOB_KE_RESPOND };

		job.in.ke_respond.group = groups[i];
		job.in.ke_respond.peer = bytes_of(b.ke.pub, b.ke.pub_len);
		r = run_failing(&job);
		assert_int_equal(r.status, ST_OK);
		memset(&job, 0, sizeof(job));
		job.kind = CRYPTO_JOB_KE_DERIVE;
		job.in.ke_derive.group = groups[i];
		job.in.ke_derive.priv = a.ke.priv;
		job.in.ke_derive.pub = bytes_of(a.ke.pub, a.ke.pub_len);
		job.in.ke_derive.peer = bytes_of(b.ke.pub, b.ke.pub_len);
		r = run_failing(&job);
		assert_int_equal(r.status, ST_OK);
	}
}

static void signing(void **state)
{
	static const uint8_t methods[] = { 14, 9 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		const struct crypto_job job = { .kind = CRYPTO_JOB_SIGN,
						.in.sign = { w.key, methods[i], ALL_HASHES,
							     octets } };
		struct crypto_result r = run_failing(&job);

		assert_int_equal(r.status, ST_OK);
		assert_int_equal(r.auth.method, methods[i]);
	}
}

static struct crypto_result verify_failing(crypto_ref trust, X509 *cert, const char *name,
					   int64_t at, bool flip)
{
	struct crypto_result s = run_sign(w.key, 14, ALL_HASHES, octets), r;
	struct bytes leaf = pki_der(cert);
	struct crypto_job job = { .kind = CRYPTO_JOB_VERIFY };

	s.auth.data[40] ^= flip;
	job.in.verify = usual(leaf, leaf, bytes_of(s.auth.data, s.auth.len));
	job.in.verify.trust = trust;
	job.in.verify.n_certs = 1;
	job.in.verify.id = bytes_str(name);
	job.in.verify.at.s = at;
	r = run_failing(&job);
	pki_free(leaf);
	return r;
}

/* One row per step of a verification; each must hold while memory fails it. */
static void verifying(void **state)
{
	EVP_PKEY *key = pki_ec("P-256");
	const struct {
		struct pki_spec spec;
		const char *name;
		int64_t at;
		bool flip;
		const char *refused;
	} rows[] = {
		{ { 0 }, "site-b.example", 0, false, NULL },
		{ { 0 }, "site-b.example", 0, true, "AUTH does not verify" },
		{ { 0 }, "site-c.example", 0, false, "peer claims FQDN site-c.example" },
		{ { 0 }, "site-b.example", 400 * PKI_DAY, false, "expired" },
		{ { .issuer = w.inter, .issuer_key = key }, "site-b.example", 0, false, "issuer" },
		{ { .usage = "keyAgreement" }, "site-b.example", 0, false, "key usage" },
		{ { .eku = "emailProtection" }, "site-b.example", 0, false, "extended key usage" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pki_spec spec = rows[i].spec;
		struct crypto_result r;
		X509 *cert;

		spec.name = "site-b";
		spec.san = "DNS:site-b.example";
		spec.key = w.leaf_key;
		spec.issuer = spec.issuer ? spec.issuer : w.root;
		spec.issuer_key = spec.issuer_key ? spec.issuer_key : w.root_key;
		cert = pki_cert(&spec);
		r = verify_failing(w.trust, cert, rows[i].name, PKI_NOW + rows[i].at, rows[i].flip);
		if (rows[i].refused)
			assert_refused(&r, rows[i].refused);
		else
			assert_accepted(&r);
		X509_free(cert);
	}
	EVP_PKEY_free(key);
}

/* The same with address blocks, and with a CRL: neither may be overlooked. */
static void blocks_and_revocation(void **state)
{
	X509 *root = pki_cert(&(struct pki_spec){ .name = "Root",
						  .basic = "critical,CA:TRUE",
						  .blocks = "IPv4:10.0.0.0/8,IPv6:fd00::/16",
						  .key = w.root_key });
	X509_CRL *crl = pki_crl("Root", w.root_key, "2a");
	const struct crypto_file file = { "root", pki_pem_certs(&root, 1) };
	const struct crypto_file list = { "crl", pki_pem_crl(crl) };
	static const struct {
		const char *serial, *blocks, *refused;
	} rows[] = {
		{ "2b", "IPv4:10.1.0.0/16,IPv6:inherit", NULL },
		{ "2b", "IPv4:11.1.0.0/16", "address blocks of certificate" },
		{ "2a", "IPv4:10.1.0.0/16", "was revoked on" },
	};
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref trust;

	(void)state;
	assert_int_equal(crypto_store_add_trust(w.store, &file, 1, &list, &why, &trust), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		X509 *cert = pki_cert(&(struct pki_spec){ .name = "site-b",
							  .san = "DNS:site-b.example",
							  .serial = rows[i].serial,
							  .blocks = rows[i].blocks,
							  .key = w.leaf_key,
							  .issuer = root,
							  .issuer_key = w.root_key });
		struct crypto_result r =
			verify_failing(trust, cert, "site-b.example", PKI_NOW, false);

		if (rows[i].refused) {
			assert_refused(&r, rows[i].refused);
		} else {
			assert_accepted(&r);
			assert_true(r.cert.has_blocks);
			assert_int_equal(r.cert.n_blocks, 2);
		}
		X509_free(cert);
	}
	X509_CRL_free(crl);
	X509_free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_exchange),
		cmocka_unit_test(signing),
		cmocka_unit_test(verifying),
		cmocka_unit_test(blocks_and_revocation),
	};

	/* Before libcrypto's first allocation, or not at all. */
	if (!failing_libcrypto())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
