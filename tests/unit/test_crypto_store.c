/* The key store: its files, and its use from many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "unit/test_crypto_world.h"

/* ---- files -------------------------------------------------------------------------------- */

static struct crypto_file text_file(const char *name, const char *text)
{
	return (struct crypto_file){ name, bytes_str(text) };
}

/* Loads a key file and wants a refusal that names the file and the reason. */
static void key_refused(struct bytes data, const char *phrase)
{
	const struct crypto_file file = { "/etc/f", data };
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref ref = 77;

	assert_int_equal(crypto_store_add_key(w.store, &file, &why, &ref), ST_INVAL);
	assert_int_equal(ref, 77);
	if (strncmp(reason, "/etc/f: ", 8) != 0 || !strstr(reason, phrase))
		fail_msg("\"%s\", wanted \"%s\"", reason, phrase);
}

static void key_of_type_refused(EVP_PKEY *key, const char *passphrase, const char *phrase)
{
	key_refused(pki_pem_key(key, passphrase), phrase);
	if (key != w.leaf_key)
		EVP_PKEY_free(key);
}

static void key_files(void **state)
{
	(void)state;
	key_refused((struct bytes){ NULL, 0 }, "no PEM private key in this file");
	key_refused(pki_pem_certs(&w.leaf, 1), "no PEM private key in this file");
	key_refused(bytes_str("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		    "cannot be read");
	key_of_type_refused(w.leaf_key, "secret", "is encrypted");
	key_of_type_refused(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), NULL,
			    "the private key is RSA of 1024 bits; accepted: EC P-256, P-384, "
			    "P-521, RSA of 2048 to 8192 bits, Ed25519, Ed448");
	key_of_type_refused(pki_rsa_pss(), NULL, "the private key is RSA-PSS of 2048 bits;");
	key_of_type_refused(pki_ec("secp256k1"), NULL, "the private key is EC secp256k1;");
	key_of_type_refused(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), NULL, "X25519");
	key_of_type_refused(pki_explicit_p256(), NULL, "EC with explicit parameters");
}

static void trust_refused(const struct crypto_file *files, size_t n, const char *want)
{
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref ref = 77;

	assert_int_equal(crypto_store_add_trust(w.store, files, n, NULL, &why, &ref), ST_INVAL);
	assert_string_equal(reason, want);
	assert_int_equal(ref, 77);
}

static void trust_files(void **state)
{
	struct crypto_file f[2] = { { "/a", pki_pem_certs(&w.root, 1) } };
	struct bytes der = pki_der(w.root);
	uint8_t longer[2000];

	(void)state;
	trust_refused(f, 0, "no file of trust anchors given");
	f[1] = text_file("/b", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	trust_refused(f, 2, "/b: certificate 1 cannot be read");
	f[1] = text_file("/b", "a bundle of nothing\n");
	trust_refused(f, 2, "/b: no PEM certificate in this file");
	f[1] = text_file("/b", "");
	trust_refused(f, 2, "/b: no PEM certificate in this file");
	memcpy(longer, der.p, der.n);
	longer[der.n] = 0;
	f[1] = (struct crypto_file){ "/b", bytes_of(longer, der.n + 1) };
	trust_refused(f, 2, "/b: something follows the DER certificate");
	f[1].data.n = der.n - 1;
	trust_refused(f, 2, "/b: the DER certificate cannot be read");
	pki_free(der);
}

/* PEM or DER: the same anchor. */
static void der_files(void **state)
{
	struct bytes der = pki_der(w.root), hashes[2];
	const struct crypto_file files[] = { { "der", der }, { "pem", pki_pem_certs(&w.root, 1) } };
	struct crypto_chain chain;
	char reason[200];
	struct text why = TEXT_OF(reason);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		crypto_ref ref;

		assert_int_equal(crypto_store_add_trust(w.store, &files[i], 1, NULL, &why, &ref),
				 ST_OK);
		assert_int_equal(crypto_store_trust_hashes(w.store, ref, &hashes[i]), ST_OK);
		assert_int_equal(crypto_store_load_chain(w.store, &files[i], &why, &chain), ST_OK);
		assert_int_equal(chain.n, 1);
		assert_true(bytes_eq(chain.certs[0], der));
	}
	assert_true(bytes_eq(hashes[0], hashes[1]));
	pki_free(der);
}

/* CERTREQ data: SHA-1 over each anchor's whole SubjectPublicKeyInfo (RFC 7296 section 3.7). */
static void trust_hashes(void **state)
{
	char reason[200];
	struct text why = TEXT_OF(reason);
	X509 *both[] = { w.root, w.inter };
	const struct crypto_file file = { "both", pki_pem_certs(both, 2) };
	struct bytes hashes = { NULL, 0 };
	crypto_ref ref;

	(void)state;
	assert_int_equal(crypto_store_add_trust(w.store, &file, 1, NULL, &why, &ref), ST_OK);
	assert_int_equal(crypto_store_trust_hashes(w.store, ref, &hashes), ST_OK);
	assert_int_equal(hashes.n, 40);
	for (size_t i = 0; i < 2; i++) {
		uint8_t *spki = NULL, want[20];
		int n = i2d_PUBKEY(X509_get0_pubkey(both[i]), &spki);

		assert_int_equal(EVP_Q_digest(NULL, "SHA1", NULL, spki, (size_t)n, want, NULL), 1);
		assert_memory_equal(hashes.p + 20 * i, want, 20);
		OPENSSL_free(spki);
	}
	assert_int_equal(crypto_store_trust_hashes(w.store, w.key, &hashes), ST_INVAL);
	assert_int_equal(crypto_store_trust_hashes(w.store, 0, &hashes), ST_INVAL);
}

static void chain_files(void **state)
{
	X509 *certs[CRYPTO_CERTS_MAX + 1];
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);
	struct crypto_chain chain = { .n = 77 };
	struct crypto_file file = { .name = "/c" };
	char reason[200];
	struct text why = TEXT_OF(reason);

	(void)state;
	for (size_t i = 0; i <= CRYPTO_CERTS_MAX; i++)
		certs[i] = i == 0 ? w.leaf : w.inter;
	file.data = pki_pem_certs(certs, CRYPTO_CERTS_MAX + 1);
	assert_int_equal(crypto_store_load_chain(w.store, &file, &why, &chain), ST_INVAL);
	assert_non_null(strstr(reason, "/c: 9 certificates, at most 8 can be sent"));
	assert_int_equal(chain.n, 77);
	file.data = pki_pem_certs(certs, 2);
	assert_int_equal(crypto_store_load_chain(w.store, &file, &why, &chain), ST_OK);
	assert_int_equal(chain.n, 2);
	assert_true(bytes_eq(chain.certs[0], leaf));
	assert_true(bytes_eq(chain.certs[1], inter));
	assert_int_equal(crypto_store_match(w.store, w.key, &chain, &why), ST_OK);
	why = TEXT_OF(reason);
	assert_int_equal(crypto_store_match(w.store, w.key384, &chain, &why), ST_INVAL);
	assert_string_equal(reason, "private key (EC P-384) is not that of certificate \"O=warren, "
				    "CN=site-b\" (EC P-256)");
	assert_int_equal(crypto_store_match(w.store, w.trust, &chain, &why), ST_INVAL);
	pki_free(leaf);
	pki_free(inter);
}

/* ---- names, and stores without secrets ------------------------------------------------------ */

/* The same files in a store with secrets and in one without have the same names (S4). */
static void public_store(void **state)
{
	const struct crypto_job sign = { .kind = CRYPTO_JOB_SIGN };
	char reason[200];
	struct text why = TEXT_OF(reason);
	struct crypto_chain chain = { .n = 1, .certs = { pki_der(w.leaf) } };
	struct crypto_file file = { .name = "key.pub" };
	struct crypto_result r;
	struct crypto_job job = sign;
	struct crypto_store *s;
	crypto_ref key, psk;
	char *pem;
	size_t n;

	(void)state;
	assert_int_equal(crypto_store_public_pem(w.store, w.key, &pem, &n), ST_OK);
	assert_int_equal(crypto_store_public_pem(w.store, w.trust, &pem, &n), ST_INVAL);
	file.data = bytes_of(pem, n);
	assert_int_equal(crypto_store_new(&s), ST_OK);
	crypto_store_public(s);
	assert_int_equal(crypto_store_add_key(s, &file, &why, &key), ST_OK);
	assert_string_equal(crypto_store_name(s, key), crypto_store_name(w.store, w.key));
	assert_int_equal(strlen(crypto_store_name(s, key)), 64);
	assert_int_equal(crypto_store_find(s, crypto_store_name(w.store, w.key)), key);
	assert_int_equal(crypto_store_find(s, crypto_store_name(w.store, w.key384)), 0);
	assert_int_equal(crypto_store_match(s, key, &chain, &why), ST_OK);
	/* A private key has no business here. */
	file.data = pki_pem_key(w.leaf_key, NULL);
	assert_int_equal(crypto_store_add_key(s, &file, &why, &key), ST_INVAL);
	job.in.sign = (struct crypto_sign_in){ key, 14, ALL_HASHES, octets };
	crypto_openssl_run(s, &job, &r);
	assert_int_equal(r.status, ST_BUG);
	assert_non_null(strstr(r.reason, "is not in this process"));
	assert_int_equal(crypto_store_add_psk(s, "peer b", bytes_str("********"), &psk), ST_OK);
	assert_string_equal(crypto_store_name(s, psk), "peer b");
	job = (struct crypto_job){ .kind = CRYPTO_JOB_PSK_AUTH,
				   .in.psk = { psk, CRYPTO_PRF_HMAC_SHA2_256, octets } };
	crypto_openssl_run(s, &job, &r);
	assert_int_equal(r.status, ST_BUG);
	assert_string_equal(r.reason, "pre-shared key \"peer b\" is not in this process");
	crypto_store_free(s);
	pki_free(chain.certs[0]);
	free(pem);
}

static void names(void **state)
{
	struct crypto_store *s;
	crypto_ref a, b, c = 77;

	(void)state;
	assert_int_equal(crypto_store_new(&s), ST_OK);
	assert_int_equal(crypto_store_add_psk(s, "a", bytes_str("1"), &a), ST_OK);
	assert_int_equal(crypto_store_add_psk(s, "b", bytes_str("1"), &b), ST_OK);
	assert_int_equal(crypto_store_add_psk(s, "a", bytes_str("2"), &c), ST_INVAL);
	assert_int_equal(crypto_store_add_psk(s, "", bytes_str("2"), &c), ST_INVAL);
	assert_int_equal(c, 77);
	assert_int_equal(crypto_store_find(s, "a"), a);
	assert_int_equal(crypto_store_find(s, "b"), b);
	assert_int_equal(crypto_store_find(s, "c"), 0);
	assert_null(crypto_store_name(s, 0));
	assert_null(crypto_store_name(w.store, w.trust));
	/* No reference of one store is one of another. */
	assert_true(crypto_store_has(s, a));
	assert_false(crypto_store_has(w.store, a));
	assert_false(crypto_store_has(s, w.key));
	assert_false(crypto_store_has(s, b + 1));
	assert_false(crypto_store_has(s, 0));
	/* A second reference keeps it. */
	assert_ptr_equal(crypto_store_ref(s), s);
	crypto_store_free(s);
	assert_string_equal(crypto_store_name(s, b), "b");
	crypto_store_free(s);
	crypto_store_free(NULL);
}

/* One key in two files is one key. */
static void key_twice(void **state)
{
	crypto_ref again = add_key(w.leaf_key);

	(void)state;
	assert_int_not_equal(again, w.key);
	assert_string_equal(crypto_store_name(w.store, again), crypto_store_name(w.store, w.key));
	assert_int_equal(crypto_store_find(w.store, crypto_store_name(w.store, again)), w.key);
}

/* ---- threads ------------------------------------------------------------------------------ */

/* Jobs of all kinds at once from several threads, while the store grows. */
static void *worker(void *arg)
{
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);
	size_t *good = arg;

	for (size_t i = 0; i < 40; i++) {
		struct crypto_result s = run_sign(w.key, i % 2 ? 14 : 9, ALL_HASHES, octets);
		struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));
		struct crypto_job ke = { .kind = CRYPTO_JOB_KE_GENERATE,
					 .in.ke_generate.group =
						 i % 2 ? CRYPTO_X25519 : CRYPTO_ECP_256 };
		struct crypto_result k, v;
		char name[32];
		crypto_ref psk;

		snprintf(name, sizeof(name), "%p %zu", arg, i);
		in.method = s.auth.method;
		v = run_verify(&in);
		crypto_openssl_run(w.store, &ke, &k);
		if (v.status == ST_OK && k.status == ST_OK &&
		    crypto_store_add_psk(w.store, name, bytes_str("psk"), &psk) == ST_OK)
			(*good)++;
	}
	pki_free(leaf);
	pki_free(inter);
	return NULL;
}

static void many_threads(void **state)
{
	enum { THREADS = 4 };
	pthread_t t[THREADS];
	size_t good[THREADS] = { 0 };

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, worker, &good[i]), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(good[i], 40);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_files),    cmocka_unit_test(trust_files),
		cmocka_unit_test(der_files),    cmocka_unit_test(trust_hashes),
		cmocka_unit_test(chain_files),  cmocka_unit_test(public_store),
		cmocka_unit_test(names),        cmocka_unit_test(key_twice),
		cmocka_unit_test(many_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
