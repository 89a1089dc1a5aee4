/* Certificate paths: what is accepted, and that all else is refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/test_crypto_world.h"

/* ---- paths -------------------------------------------------------------------------------- */

static void facts_are_kept(void **state)
{
	static const uint8_t serial[] = { 0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef };
	struct crypto_result r =
		verify_certs(w.trust, w.leaf_key, (X509 *[]){ w.leaf, w.inter }, 2);
	uint8_t fingerprint[32];
	unsigned n = sizeof(fingerprint);

	(void)state;
	assert_accepted(&r);
	/* The leaf is valid for a year from a day ago, the intermediate for 100 days. */
	assert_int_equal(r.cert.not_before.s, PKI_NOW - PKI_DAY);
	assert_int_equal(r.cert.not_after.s, PKI_NOW + 100 * PKI_DAY);
	assert_int_equal(r.cert.serial_len, sizeof(serial));
	assert_memory_equal(r.cert.serial, serial, sizeof(serial));
	assert_int_equal(X509_digest(w.leaf, EVP_sha256(), fingerprint, &n), 1);
	assert_memory_equal(r.cert.fingerprint, fingerprint, sizeof(fingerprint));
}

static void other_paths_accepted(void **state)
{
	X509 *self = pki_cert(&(struct pki_spec){
		.name = "self", .san = "DNS:site-b.example", .key = w.leaf_key });
	X509 *direct = pki_cert(&(struct pki_spec){ .name = "direct",
						    .san = "DNS:site-b.example",
						    .key = w.leaf_key,
						    .issuer = w.root,
						    .issuer_key = w.root_key });
	struct crypto_result r;

	(void)state;
	r = verify_certs(w.trust, w.leaf_key, &direct, 1);
	assert_accepted(&r);
	/* The root sent along, and in any order. */
	r = verify_certs(w.trust, w.leaf_key, (X509 *[]){ w.leaf, w.root, w.leaf384, w.inter }, 4);
	assert_accepted(&r);
	/* A self-signed certificate of the peer itself, and one by a CA that we do not know. */
	r = verify_certs(add_trust(self), w.leaf_key, &self, 1);
	assert_accepted(&r);
	r = verify_certs(add_trust(w.leaf), w.leaf_key, &w.leaf, 1);
	assert_accepted(&r);
	/* The intermediate alone as anchor. */
	r = verify_certs(add_trust(w.inter), w.leaf_key, &w.leaf, 1);
	assert_accepted(&r);
	assert_int_equal(r.cert.not_after.s, PKI_NOW + 100 * PKI_DAY);
	/* An anchor says nothing about others. */
	r = verify_certs(add_trust(self), w.leaf_key, (X509 *[]){ w.leaf, w.inter }, 2);
	assert_refused(&r, "trusted: \"O=warren, CN=self\"");
	X509_free(self);
	X509_free(direct);
}

static void foreign_issuers(void **state)
{
	EVP_PKEY *key = pki_ec("P-256");
	struct pki_spec ca = { .name = "Elsewhere", .basic = "critical,CA:TRUE", .key = key };
	X509 *foreign = pki_cert(&ca), *twin, *leaf;
	struct crypto_result r;

	(void)state;
	leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
					    .san = "DNS:site-b.example",
					    .key = w.leaf_key,
					    .issuer = foreign,
					    .issuer_key = key });
	r = verify_certs(w.trust, w.leaf_key, &leaf, 1);
	assert_refused(&r,
		       "issuer \"O=warren, CN=Elsewhere\" of certificate \"O=warren, CN=site-b\" "
		       "is neither a trust anchor nor among the certificates sent; trusted: "
		       "\"O=warren, CN=Root\"");
	r = verify_certs(w.trust, w.leaf_key, (X509 *[]){ leaf, foreign }, 2);
	assert_refused(&r, "issuer \"O=warren, CN=Elsewhere\"");
	X509_free(leaf);
	/* The name of our root, with another key. */
	ca.name = "Root";
	twin = pki_cert(&ca);
	leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
					    .san = "DNS:site-b.example",
					    .key = w.leaf_key,
					    .issuer = twin,
					    .issuer_key = key });
	r = verify_certs(w.trust, w.leaf_key, (X509 *[]){ leaf, twin }, 2);
	assert_refused(&r, "has the name of a trust anchor but another key");
	/* Missing intermediate. */
	r = verify_certs(w.trust, w.leaf_key, &w.leaf, 1);
	assert_refused(&r, "issuer \"O=warren, CN=Intermediate\" of certificate \"O=warren, "
			   "CN=site-b\" is neither a trust anchor nor among the certificates sent");
	X509_free(leaf);
	X509_free(foreign);
	X509_free(twin);
	EVP_PKEY_free(key);
}

static void validity(void **state)
{
	X509 *old_root, *leaf;
	struct crypto_result r;

	(void)state;
	r = verify_leaf((struct pki_spec){ .from = -10 * PKI_DAY, .until = -PKI_DAY });
	assert_refused(&r,
		       "certificate \"O=warren, CN=site-b\" expired 2025-06-14 15:06:40 UTC, now "
		       "2025-06-15 15:06:40 UTC");
	r = verify_leaf((struct pki_spec){ .from = PKI_DAY });
	assert_refused(&r, "certificate \"O=warren, CN=site-b\" is not valid before 2025-06-16 "
			   "15:06:40 UTC, now 2025-06-15");
	/* Valid at its first and last second (RFC 5280 section 4.1.2.5). */
	r = verify_leaf((struct pki_spec){ .until = 1 });
	assert_accepted(&r);
	assert_int_equal(r.cert.not_after.s, PKI_NOW + 1);
	r = verify_leaf((struct pki_spec){ .until = -1 });
	assert_refused(&r, "expired");
	/* An expired anchor ends the path as well. */
	old_root = pki_cert(&(struct pki_spec){ .name = "Old",
						.basic = "critical,CA:TRUE",
						.from = -10 * PKI_DAY,
						.until = -5 * PKI_DAY,
						.key = w.root_key });
	leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
					    .san = "DNS:site-b.example",
					    .key = w.leaf_key,
					    .issuer = old_root,
					    .issuer_key = w.root_key });
	r = verify_certs(add_trust(old_root), w.leaf_key, &leaf, 1);
	assert_refused(&r, "certificate \"O=warren, CN=Old\" expired");
	X509_free(old_root);
	X509_free(leaf);
}

/* The moment comes with the job: the host's clock has no say, and no clock means no. */
static void moment_of_the_job(void **state)
{
	static const struct {
		int64_t at;
		bool known;
		const char *refused;
	} rows[] = {
		{ PKI_NOW, true, NULL },
		{ PKI_NOW + 99 * PKI_DAY, true, NULL },
		{ PKI_NOW + 101 * PKI_DAY, true, "CN=Intermediate\" expired" },
		{ PKI_NOW - 30 * PKI_DAY, true, "is not valid before" },
		{ 0, true, "is not valid before" },
		{ PKI_NOW, false, "our clock is not trusted yet" },
	};
	struct crypto_result s = run_sign(w.key, 14, ALL_HASHES, octets);
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));
		struct crypto_result r;

		in.at = (wall_t){ rows[i].at };
		in.at_known = rows[i].known;
		r = run_verify(&in);
		if (rows[i].refused)
			assert_refused(&r, rows[i].refused);
		else
			assert_accepted(&r);
	}
	pki_free(leaf);
	pki_free(inter);
}

static void usages(void **state)
{
	static const struct {
		const char *usage, *eku, *refused;
	} rows[] = {
		/* RFC 4945 section 5.1.3.2 */
		{ "critical,nonRepudiation", NULL, NULL },
		{ "digitalSignature,keyAgreement", NULL, NULL },
		{ "critical,keyAgreement", NULL,
		  "key usage of certificate \"O=warren, CN=site-b\" has neither digitalSignature "
		  "nor "
		  "nonRepudiation" },
		{ "keyEncipherment,dataEncipherment", NULL, "key usage" },
		/* section 5.1.3.12, and what CAs for TLS issue */
		{ NULL, "ipsecIKE", NULL },
		{ NULL, "critical,anyExtendedKeyUsage", NULL },
		{ NULL, "serverAuth,clientAuth", NULL },
		{ NULL, "clientAuth", NULL },
		{ NULL, "1.3.6.1.5.5.8.2.2", NULL },
		{ NULL, "emailProtection,ipsecIKE", NULL },
		{ NULL, "critical,emailProtection",
		  "extended key usage of certificate \"O=warren, CN=site-b\" allows neither" },
		{ NULL, "codeSigning,timeStamping,1.2.3.4", "extended key usage" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result r = verify_leaf(
			(struct pki_spec){ .usage = rows[i].usage, .eku = rows[i].eku });

		if (rows[i].refused)
			assert_refused(&r, rows[i].refused);
		else
			assert_accepted(&r);
	}
}

/* Verifies a leaf under a CA of its own, which the root issued. */
static struct crypto_result verify_under(struct pki_spec ca, EVP_PKEY *ca_key, const char *digest)
{
	struct crypto_result r;
	X509 *certs[2];

	ca.name = "Below";
	ca.key = ca_key;
	if (!ca.issuer) {
		ca.issuer = w.root;
		ca.issuer_key = w.root_key;
	}
	certs[1] = pki_cert(&ca);
	certs[0] = pki_cert(&(struct pki_spec){ .name = "site-b",
						.san = "DNS:site-b.example",
						.digest = digest,
						.key = w.leaf_key,
						.issuer = certs[1],
						.issuer_key = ca_key });
	r = verify_certs(w.trust, w.leaf_key, certs, 2);
	X509_free(certs[0]);
	X509_free(certs[1]);
	return r;
}

static void issuers_that_are_none(void **state)
{
	const struct pki_spec ca = { .basic = "critical,CA:TRUE" };
	struct crypto_result r;

	(void)state;
	r = verify_under(ca, w.other_key, NULL);
	assert_accepted(&r);
	r = verify_under((struct pki_spec){ .basic = "critical,CA:FALSE" }, w.other_key, NULL);
	assert_refused(&r, "invalid CA certificate");
	r = verify_under((struct pki_spec){ .basic = NULL }, w.other_key, NULL);
	assert_refused(&r, "certificate \"O=warren, CN=Below\"");
	/* RFC 5280 section 6.1.4 k: the right to sign certificates alone is not enough. */
	r = verify_under((struct pki_spec){ .usage = "keyCertSign" }, w.other_key, NULL);
	assert_refused(&r, "certificate \"O=warren, CN=Below\": invalid CA certificate");
	r = verify_under((struct pki_spec){ .basic = "CA:TRUE", .usage = "digitalSignature" },
			 w.other_key, NULL);
	assert_refused(&r, "certificate \"O=warren, CN=");
}

/* R05: what a site signs with its own key is nobody's certificate, also where that site's
 * certificate is itself the anchor. */
static void site_as_issuer(void **state)
{
	X509 *forged = pki_cert(&(struct pki_spec){ .name = "forged",
						    .san = "DNS:site-b.example",
						    .key = w.other_key,
						    .issuer = w.leaf,
						    .issuer_key = w.leaf_key });
	X509 *plain = pki_cert(&(struct pki_spec){ .name = "plain", .key = w.leaf_key });
	struct crypto_result r;

	(void)state;
	r = verify_certs(w.trust, w.other_key, (X509 *[]){ forged, w.leaf, w.inter }, 3);
	assert_refused(&r, "certificate \"O=warren, CN=");
	r = verify_certs(add_trust(w.leaf), w.other_key, &forged, 1);
	assert_refused(&r, "certificate \"O=warren, CN=");
	X509_free(forged);
	forged = pki_cert(&(struct pki_spec){ .name = "forged",
					      .san = "DNS:site-b.example",
					      .key = w.other_key,
					      .issuer = plain,
					      .issuer_key = w.leaf_key });
	r = verify_certs(add_trust(plain), w.other_key, &forged, 1);
	assert_refused(&r, "certificate \"O=warren, CN=");
	X509_free(forged);
	X509_free(plain);
}

static void path_length(void **state)
{
	struct pki_spec ca = { .basic = "critical,CA:TRUE",
			       .issuer = w.inter,
			       .issuer_key = w.inter_key };
	X509 *certs[3] = { NULL, NULL, w.inter };
	struct crypto_result r;

	(void)state;
	ca.name = "Below";
	ca.key = w.other_key;
	certs[1] = pki_cert(&ca);
	certs[0] = pki_cert(&(struct pki_spec){ .name = "site-b",
						.san = "DNS:site-b.example",
						.key = w.leaf_key,
						.issuer = certs[1],
						.issuer_key = w.other_key });
	r = verify_certs(w.trust, w.leaf_key, certs, 3);
	assert_refused(&r, "path length constraint exceeded");
	X509_free(certs[0]);
	X509_free(certs[1]);
}

/* An anchor's own: it counts the authorities below it, whatever theirs say. */
static void path_length_of_the_anchor(void **state)
{
	static const struct {
		const char *root, *upper;
		bool good;
	} rows[] = {
		{ "critical,CA:TRUE,pathlen:2", "critical,CA:TRUE,pathlen:9", true },
		{ "critical,CA:TRUE,pathlen:1", "critical,CA:TRUE,pathlen:9", false },
		{ "critical,CA:TRUE", "critical,CA:TRUE,pathlen:1", true },
		{ "critical,CA:TRUE,pathlen:9", "critical,CA:TRUE,pathlen:0", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		X509 *root = pki_cert(&(struct pki_spec){
			.name = "R", .basic = rows[i].root, .key = w.root_key });
		X509 *upper = pki_cert(&(struct pki_spec){ .name = "U",
							   .basic = rows[i].upper,
							   .key = w.other_key,
							   .issuer = root,
							   .issuer_key = w.root_key });
		X509 *lower = pki_cert(&(struct pki_spec){ .name = "L",
							   .basic = "critical,CA:TRUE",
							   .key = w.other_key,
							   .issuer = upper,
							   .issuer_key = w.other_key });
		X509 *leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
							  .san = "DNS:site-b.example",
							  .key = w.leaf_key,
							  .issuer = lower,
							  .issuer_key = w.other_key });
		struct crypto_result r = verify_certs(add_trust(root), w.leaf_key,
						      (X509 *[]){ leaf, lower, upper }, 3);

		if (rows[i].good)
			assert_accepted(&r);
		else
			assert_refused(&r, "path length constraint exceeded");
		X509_free(root);
		X509_free(upper);
		X509_free(lower);
		X509_free(leaf);
	}
}

/* certs[0] is the end entity, the others its authorities, one above the other up to the root, or
 * down from it as the peer may send them (RFC 7296 section 3.6: only the first has its place). */
static void make_chain(X509 *certs[CRYPTO_CERTS_MAX + 1], size_t n, EVP_PKEY *key, bool downwards)
{
	X509 *issuer = w.root;
	EVP_PKEY *issuer_key = w.root_key;

	for (size_t i = 1; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "CA %zu", i);
		issuer = certs[downwards ? i : n - i] =
			pki_cert(&(struct pki_spec){ .name = name,
						     .basic = "critical,CA:TRUE",
						     .key = key,
						     .issuer = issuer,
						     .issuer_key = issuer_key });
		issuer_key = key;
	}
	certs[0] = pki_cert(&(struct pki_spec){ .name = "site-b",
						.san = "DNS:site-b.example",
						.key = w.leaf_key,
						.issuer = issuer,
						.issuer_key = issuer_key });
}

static void free_chain(X509 **certs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		X509_free(certs[i]);
}

/* As long as a peer may send, in either order; one less of it and the path has a gap; and longer
 * than a peer may send, with the rest among our anchors or not. */
static void long_chains(void **state)
{
	X509 *certs[CRYPTO_CERTS_MAX + 1], *gap[CRYPTO_CERTS_MAX];
	struct crypto_result r;

	(void)state;
	for (int downwards = 0; downwards < 2; downwards++) {
		make_chain(certs, CRYPTO_CERTS_MAX, w.other_key, downwards);
		r = verify_certs(w.trust, w.leaf_key, certs, CRYPTO_CERTS_MAX);
		assert_accepted(&r);
		assert_int_equal(r.cert.n_revocation_ids, CRYPTO_CERTS_MAX);
		for (size_t out = 1; out < CRYPTO_CERTS_MAX; out++) {
			memcpy(gap, certs, sizeof(gap));
			gap[out] = w.leaf;
			r = verify_certs(w.trust, w.leaf_key, gap, CRYPTO_CERTS_MAX);
			assert_refused(&r, "is neither a trust anchor nor among the certificates "
					   "sent");
		}
		free_chain(certs, CRYPTO_CERTS_MAX);
	}
	make_chain(certs, CRYPTO_CERTS_MAX + 1, w.other_key, false);
	r = verify_certs(w.trust, w.leaf_key, certs, CRYPTO_CERTS_MAX);
	assert_refused(&r, "issuer \"O=warren, CN=CA 1\" of certificate \"O=warren, CN=CA 2\" is "
			   "neither a trust anchor nor among the certificates sent");
	r = verify_certs(add_trust(certs[CRYPTO_CERTS_MAX]), w.leaf_key, certs, CRYPTO_CERTS_MAX);
	assert_accepted(&r);
	free_chain(certs, CRYPTO_CERTS_MAX + 1);
}

/* The first certificate is the one that AUTH was made with, whatever comes after it. */
static void order_and_duplicates(void **state)
{
	struct crypto_result r;

	(void)state;
	r = verify_certs(w.trust, w.leaf_key, (X509 *[]){ w.inter, w.leaf }, 2);
	assert_refused(&r, "key usage of certificate \"O=warren, CN=Intermediate\"");
	r = verify_certs(w.trust, w.leaf_key, (X509 *[]){ w.leaf384, w.leaf, w.inter }, 3);
	assert_refused(&r,
		       "AUTH does not verify with the key of certificate \"O=warren, CN=site-c\"");
	r = verify_certs(w.trust, w.leaf_key, (X509 *[]){ w.leaf, w.leaf, w.inter, w.inter }, 4);
	assert_accepted(&r);
	assert_int_equal(r.cert.n_revocation_ids, 2);
}

static void weak_algorithms(void **state)
{
	const struct pki_spec ca = { .basic = "critical,CA:TRUE" };
	EVP_PKEY *rsa1024 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *rsa2048 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	struct crypto_result r;

	(void)state;
	r = verify_under(ca, rsa2048, "SHA256");
	assert_accepted(&r);
	r = verify_under(ca, rsa1024, "SHA256");
	assert_refused(&r,
		       "key of certificate \"O=warren, CN=Below\" is RSA of 1024 bits, too weak");
	r = verify_under(ca, rsa2048, "SHA1");
	assert_refused(&r, "certificate \"O=warren, CN=site-b\" is signed with "
			   "sha1WithRSAEncryption, too weak");
	r = verify_leaf((struct pki_spec){ .digest = "SHA1" });
	assert_refused(&r, "is signed with ecdsa-with-SHA1, too weak");
	EVP_PKEY_free(rsa1024);
	EVP_PKEY_free(rsa2048);
}

static void keys_refused(void **state)
{
	struct {
		EVP_PKEY *key;
		const char *refused;
	} rows[] = {
		{ EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), "is RSA of 1024 bits" },
		{ pki_rsa_pss(),
		  "key of the peer's certificate is RSA-PSS of 2048 bits; accepted: EC P-256, "
		  "P-384, P-521, RSA of 2048 to 8192 bits, Ed25519, Ed448" },
		{ pki_ec("secp256k1"), "key of the peer's certificate is EC secp256k1" },
		{ pki_ec("P-192"), "too weak: RSA needs 2048 bits, EC 224" },
		{ pki_explicit_p256(), "explicit ECC parameters" },
	};
	EVP_PKEY *odd = pki_explicit_p256();
	struct crypto_result r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		r = verify_leaf((struct pki_spec){ .key = rows[i].key });
		assert_refused(&r, rows[i].refused);
		EVP_PKEY_free(rows[i].key);
	}
	r = verify_under((struct pki_spec){ .basic = "critical,CA:TRUE" }, odd, NULL);
	assert_refused(&r, "certificate \"O=warren, CN=Below\"");
	EVP_PKEY_free(odd);
}

static void extensions_refused(void **state)
{
	struct crypto_result r;

	(void)state;
	r = verify_leaf((struct pki_spec){ .unknown = "?" });
	assert_refused(&r, "unhandled critical extension");
	/* 20 bytes of serial number and no more: RFC 5280 section 4.1.2.2. */
	r = verify_leaf((struct pki_spec){ .serial = "7f00112233445566778899aabbccddeeff001122" });
	assert_accepted(&r);
	assert_int_equal(r.cert.serial_len, 20);
	r = verify_leaf(
		(struct pki_spec){ .serial = "7f00112233445566778899aabbccddeeff00112233" });
	assert_refused(&r, "serial number of the peer's certificate has 21 bytes");
	r = verify_under((struct pki_spec){ .basic = "critical,CA:TRUE",
					    .constraints = "critical,permitted;DNS:other.example" },
			 w.other_key, NULL);
	assert_refused(&r, "permitted subtree violation");
	r = verify_under(
		(struct pki_spec){ .basic = "critical,CA:TRUE",
				   .constraints = "critical,permitted;DNS:site-b.example" },
		w.other_key, NULL);
	assert_accepted(&r);
}

static void counts_of_certificates(void **state)
{
	struct crypto_result s = run_sign(w.key, 14, ALL_HASHES, octets), r;
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);
	struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));
	uint8_t longer[1500];

	(void)state;
	for (size_t i = 0; i < CRYPTO_CERTS_MAX; i++)
		in.certs[i] = i == 0 ? leaf : inter;
	in.n_certs = CRYPTO_CERTS_MAX;
	r = run_verify(&in);
	assert_accepted(&r);
	in.n_certs = CRYPTO_CERTS_MAX + 1;
	r = run_verify(&in);
	assert_refused(&r, "peer sent 9 certificates");
	in.n_certs = 0;
	r = run_verify(&in);
	assert_refused(&r, "peer sent 0 certificates");
	in.n_certs = 2;
	in.certs[1] = bytes_str("not DER");
	r = run_verify(&in);
	assert_refused(&r, "certificate 2 of 2 sent by the peer cannot be read");
	memcpy(longer, inter.p, inter.n);
	longer[inter.n] = 0;
	in.certs[1] = bytes_of(longer, inter.n + 1);
	r = run_verify(&in);
	assert_refused(&r, "certificate 2 of 2 sent by the peer is followed by other bytes");
	in.trust = w.key;
	r = run_verify(&in);
	assert_int_equal(r.status, ST_BUG);
	pki_free(leaf);
	pki_free(inter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_kept),
		cmocka_unit_test(other_paths_accepted),
		cmocka_unit_test(foreign_issuers),
		cmocka_unit_test(validity),
		cmocka_unit_test(moment_of_the_job),
		cmocka_unit_test(usages),
		cmocka_unit_test(issuers_that_are_none),
		cmocka_unit_test(site_as_issuer),
		cmocka_unit_test(path_length),
		cmocka_unit_test(path_length_of_the_anchor),
		cmocka_unit_test(long_chains),
		cmocka_unit_test(order_and_duplicates),
		cmocka_unit_test(weak_algorithms),
		cmocka_unit_test(keys_refused),
		cmocka_unit_test(extensions_refused),
		cmocka_unit_test(counts_of_certificates),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
