/* The key store: its files, and its use from many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "unit/test_crypto_world.h"

/* ---- files -------------------------------------------------------------------------------- */

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Loads the key file "f" and wants a refusal that names the file and the reason. */
static void key_refused(enum status want, const char *phrase)
{
	char reason[200];
	struct text why = TEXT_OF(reason);
	crypto_ref ref = 77;

	assert_int_equal(crypto_store_add_key(w.store, in_dir("f"), &why, &ref), want);
	assert_int_equal(ref, 77);
	if (strncmp(reason, in_dir("f"), strlen(in_dir("f"))) != 0 || !strstr(reason, phrase))
		fail_msg("\"%s\", wanted \"%s\"", reason, phrase);
	unlink(in_dir("f"));
}

static void key_of_type_refused(EVP_PKEY *key, const char *passphrase, const char *phrase)
{
	pki_write_key(in_dir("f"), key, passphrase);
	key_refused(ST_INVAL, phrase);
	if (key != w.leaf_key)
		EVP_PKEY_free(key);
}

static void key_files(void **state)
{
	(void)state;
	key_refused(ST_IO, "No such file");
	write_file("f", "");
	key_refused(ST_INVAL, "no PEM private key in this file");
	pki_write_certs(in_dir("f"), &w.leaf, 1);
	key_refused(ST_INVAL, "no PEM private key in this file");
	write_file("f", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
	key_refused(ST_INVAL, "cannot be read");
	key_of_type_refused(w.leaf_key, "secret", "is encrypted");
	key_of_type_refused(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), NULL,
			    "the private key is RSA of 2048 bits; EC P-256 or P-384 is needed");
	key_of_type_refused(pki_ec("P-521"), NULL, "the private key is EC secp521r1;");
	key_of_type_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, "ED25519");
	key_of_type_refused(pki_explicit_p256(), NULL, "EC with explicit parameters");
	assert_int_equal(mkdir(in_dir("f"), 0700), 0);
	key_refused(ST_INVAL, "not a regular file");
	assert_int_equal(rmdir(in_dir("f")), 0);
}

static void trust_files(void **state)
{
	char reason[200];
	struct text why = TEXT_OF(reason);
	const char *paths[2];
	char a[128], b[128];
	crypto_ref ref = 77;

	(void)state;
	snprintf(a, sizeof(a), "%s/a", w.dir);
	snprintf(b, sizeof(b), "%s/b", w.dir);
	paths[0] = a;
	paths[1] = b;
	assert_int_equal(crypto_store_add_trust(w.store, paths, 0, &why, &ref), ST_INVAL);
	assert_string_equal(reason, "no file of trust anchors given");
	pki_write_certs(a, &w.root, 1);
	why = TEXT_OF(reason);
	assert_int_equal(crypto_store_add_trust(w.store, paths, 2, &why, &ref), ST_IO);
	assert_non_null(strstr(reason, "/b: No such file"));
	write_file("b", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	why = TEXT_OF(reason);
	assert_int_equal(crypto_store_add_trust(w.store, paths, 2, &why, &ref), ST_INVAL);
	assert_non_null(strstr(reason, "/b: certificate 1 cannot be read"));
	write_file("b", "a bundle of nothing\n");
	why = TEXT_OF(reason);
	assert_int_equal(crypto_store_add_trust(w.store, paths, 2, &why, &ref), ST_INVAL);
	assert_non_null(strstr(reason, "/b: no PEM certificate in this file"));
	assert_int_equal(ref, 77);
	unlink(a);
	unlink(b);
}

/* CERTREQ data: SHA-1 over each anchor's whole SubjectPublicKeyInfo (RFC 7296 section 3.7). */
static void trust_hashes(void **state)
{
	char reason[200];
	struct text why = TEXT_OF(reason);
	const char *path = in_dir("trust");
	X509 *both[] = { w.root, w.inter };
	struct bytes hashes = { NULL, 0 };
	crypto_ref ref;

	(void)state;
	pki_write_certs(path, both, 2);
	assert_int_equal(crypto_store_add_trust(w.store, &path, 1, &why, &ref), ST_OK);
	unlink(path);
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
	char reason[200];
	struct text why = TEXT_OF(reason);

	(void)state;
	for (size_t i = 0; i <= CRYPTO_CERTS_MAX; i++)
		certs[i] = i == 0 ? w.leaf : w.inter;
	pki_write_certs(in_dir("c"), certs, CRYPTO_CERTS_MAX + 1);
	assert_int_equal(crypto_store_load_chain(w.store, in_dir("c"), &why, &chain), ST_INVAL);
	assert_non_null(strstr(reason, "/c: 9 certificates, at most 8 can be sent"));
	assert_int_equal(chain.n, 77);
	pki_write_certs(in_dir("c"), certs, 2);
	assert_int_equal(crypto_store_load_chain(w.store, in_dir("c"), &why, &chain), ST_OK);
	unlink(in_dir("c"));
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
		crypto_ref psk;

		in.method = s.auth.method;
		v = run_verify(&in);
		crypto_openssl_run(w.store, &ke, &k);
		if (v.status == ST_OK && k.status == ST_OK &&
		    crypto_store_add_psk(w.store, bytes_str("psk"), &psk) == ST_OK)
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
		cmocka_unit_test(trust_hashes), cmocka_unit_test(chain_files),
		cmocka_unit_test(many_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
