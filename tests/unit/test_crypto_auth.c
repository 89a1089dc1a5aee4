/* AUTH with certificates: forms of signatures, and whose names a certificate proves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/test_crypto_world.h"
#include "unit/test_crypto_vectors.h"

/* ---- signatures --------------------------------------------------------------------------- */

/* What we sign in each form verifies, and says what it is. */
static void signs_and_verifies(void **state)
{
	static const uint8_t with_256[] = { 12,   0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
					    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
	const struct {
		crypto_ref key;
		X509 *leaf;
		uint8_t ask, method;
		uint16_t hashes;
		const char *auth;
	} rows[] = {
		{ w.key, w.leaf, 14, 14, ALL_HASHES, "ecdsa-p256-sha256" },
		{ w.key, w.leaf, 14, 14, 1 << CRYPTO_SHA2_384, "ecdsa-p256-sha384" },
		{ w.key, w.leaf, 14, 14, 1 << CRYPTO_SHA2_512 | 1 << CRYPTO_SHA1,
		  "ecdsa-p256-sha512" },
		{ w.key, w.leaf, 9, 9, 0, "ecdsa-p256-sha256" },
		{ w.key, w.leaf, 0, 9, 0, "ecdsa-p256-sha256" },
		{ w.key384, w.leaf384, 14, 14, ALL_HASHES, "ecdsa-p384-sha384" },
		{ w.key384, w.leaf384, 10, 10, 0, "ecdsa-p384-sha384" },
		{ w.key384, w.leaf384, 0, 10, 0, "ecdsa-p384-sha384" },
	};
	struct bytes inter = pki_der(w.inter);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result s = run_sign(rows[i].key, rows[i].ask, rows[i].hashes, octets);
		struct bytes leaf = pki_der(rows[i].leaf);
		struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));
		struct crypto_result v;

		assert_int_equal(s.status, ST_OK);
		assert_int_equal(s.auth.method, rows[i].method);
		in.method = s.auth.method;
		v = run_verify(&in);
		assert_accepted(&v);
		assert_string_equal(v.cert.auth, rows[i].auth);
		if (i == 0)
			assert_memory_equal(s.auth.data, with_256, sizeof(with_256));
		if (rows[i].method != 14)
			assert_int_equal(s.auth.len, rows[i].method == 9 ? 64 : 96);
		pki_free(leaf);
	}
	pki_free(inter);
}

static void sign_refuses(void **state)
{
	struct crypto_result r;

	(void)state;
	r = run_sign(w.key, 14, 1 << CRYPTO_SHA1, octets);
	assert_refused(&r, "our key is EC P-256, which signs with SHA2-256 or stronger, the peer "
			   "announced SHA-1");
	r = run_sign(w.key, 14, 0, octets);
	assert_refused(&r, "announced none");
	/* A weaker hash than the curve is worth. */
	r = run_sign(w.key384, 14, 1 << CRYPTO_SHA2_256, octets);
	assert_refused(&r, "our key is EC P-384, which signs with SHA2-384 or stronger, the peer "
			   "announced SHA2-256");
	r = run_sign(w.key, 10, ALL_HASHES, octets);
	assert_refused(&r, "auth method is 9, not 10");
	r = run_sign(w.key384, 9, ALL_HASHES, octets);
	assert_refused(&r, "auth method is 10, not 9");
	r = run_sign(w.key, 1, ALL_HASHES, octets);
	assert_refused(&r, "auth method 1 is not implemented");
	r = run_sign(0, 14, ALL_HASHES, octets);
	assert_int_equal(r.status, ST_BUG);
	/* A trust reference is no key. */
	r = run_sign(w.trust, 14, ALL_HASHES, octets);
	assert_int_equal(r.status, ST_BUG);
	assert_string_not_equal(r.reason, "");
}

static struct bytes unhex(const char *hex, uint8_t *buf)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned v;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		buf[i] = (uint8_t)v;
	}
	return bytes_of(buf, n);
}

/* The key of RFC 4754 section 8, certified by us, and its published signature of "abc". */
static void rfc4754_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ecdsa_vectors); i++) {
		const struct ecdsa_vector *v = &ecdsa_vectors[i];
		uint8_t pub[132], priv[66], sig[132], der[160];
		struct bytes raw = unhex(v->signature, sig);
		const struct curve *c = curve_by_group(v->group);
		EVP_PKEY *key = pki_ec_import(c->name, unhex(v->pub, pub), unhex(v->priv, priv));
		X509 *cert = pki_cert(&(struct pki_spec){ .name = "rfc4754",
							  .san = "DNS:site-b.example",
							  .key = key,
							  .issuer = w.inter,
							  .issuer_key = w.inter_key });
		struct bytes leaf = pki_der(cert), inter = pki_der(w.inter);
		struct crypto_verify_in in = usual(leaf, inter, raw);
		struct crypto_result r;
		size_t n;

		in.method = v->method;
		in.octets = bytes_str("abc");
		r = run_verify(&in);
		assert_accepted(&r);
		/* The same as DER, in the form of RFC 7427. */
		assert_int_equal(ecdsa_raw_to_der(c, raw, der + 13, sizeof(der) - 13, &n), ST_OK);
		der[0] = 12;
		memcpy(der + 1,
		       crypto_sigalg_der((struct crypto_sigalg){ CRYPTO_ECDSA, c->hash }).p, 12);
		in.method = 14;
		in.signature = bytes_of(der, 13 + n);
		r = run_verify(&in);
		assert_accepted(&r);
		in.octets = bytes_str("abd");
		r = run_verify(&in);
		assert_refused(&r, "AUTH does not verify with the key of certificate \"O=warren, "
				   "CN=rfc4754\"");
		X509_free(cert);
		EVP_PKEY_free(key);
		pki_free(leaf);
		pki_free(inter);
	}
}

/* Numbers with leading zeros keep their place in r | s, and have none too many in DER. */
static void ecdsa_encodings(void **state)
{
	static const struct {
		uint8_t r, s;
		size_t at; /* where the byte stands */
		size_t der_len;
	} rows[] = {
		{ 1, 1, 31, 8 },
		{ 0x7f, 0x80, 31, 9 }, /* a set top bit needs a zero octet before it */
		{ 0x80, 0x80, 0, 2 + 2 * 35 },
		{ 1, 2, 0, 2 + 2 * 34 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t raw[64] = { 0 }, der[160], back[64];
		size_t n = 0;

		raw[rows[i].at] = rows[i].r;
		raw[32 + rows[i].at] = rows[i].s;
		assert_int_equal(ecdsa_raw_to_der(&curves[0], BYTES_OF(raw), der, sizeof(der), &n),
				 ST_OK);
		assert_int_equal(n, rows[i].der_len);
		assert_int_equal(ecdsa_der_to_raw(&curves[0], bytes_of(der, n), back), ST_OK);
		assert_memory_equal(raw, back, sizeof(raw));
		assert_int_equal(
			ecdsa_raw_to_der(&curves[0], bytes_of(raw, 63), der, sizeof(der), &n),
			ST_REFUSE);
	}
}

/* S2: no bit of AUTH, of what it signs or of a certificate can change unnoticed. */
static void every_bit_matters(void **state)
{
	struct crypto_result s = run_sign(w.key, 14, ALL_HASHES, octets);
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);
	uint8_t buf[1500];
	struct {
		struct bytes good;
		size_t offset; /* of the view in crypto_verify_in */
	} rows[] = {
		{ bytes_of(s.auth.data, s.auth.len), offsetof(struct crypto_verify_in, signature) },
		{ octets, offsetof(struct crypto_verify_in, octets) },
		{ bytes_str("site-b.example"), offsetof(struct crypto_verify_in, id) },
		{ leaf, offsetof(struct crypto_verify_in, certs[0]) },
		{ inter, offsetof(struct crypto_verify_in, certs[1]) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));
		struct bytes changed = bytes_of(buf, rows[i].good.n);

		memcpy(buf, rows[i].good.p, rows[i].good.n);
		memcpy((uint8_t *)&in + rows[i].offset, &changed, sizeof(changed));
		for (size_t bit = 0; bit < 8 * changed.n; bit++) {
			struct crypto_result r;

			/* FQDNs compare without case, which is this bit of a letter. */
			if (i == 2 && bit % 8 == 5 && buf[bit / 8] >= 'a')
				continue;
			buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
			r = run_verify(&in);
			if (r.status != ST_REFUSE || !r.reason[0])
				fail_msg("row %zu bit %zu: %s \"%s\"", i, bit,
					 status_name(r.status), r.reason);
			buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	pki_free(leaf);
	pki_free(inter);
}

/* S2: cut anywhere, AUTH and certificates are refused and nothing is read behind their end. */
static void every_cut_is_refused(void **state)
{
	struct crypto_result s = run_sign(w.key, 14, ALL_HASHES, octets);
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);

	(void)state;
	for (size_t n = 0; n < leaf.n; n++) {
		struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));
		uint8_t *exact = malloc(n ? n : 1); /* the sanitizer watches its end */
		struct crypto_result r;

		memcpy(exact, leaf.p, n);
		in.certs[0] = bytes_of(exact, n);
		r = run_verify(&in);
		assert_refused(&r, "certificate 1 of 2 sent by the peer cannot be read");
		if (n < s.auth.len) {
			memcpy(exact, s.auth.data, n);
			in.certs[0] = leaf;
			in.signature = bytes_of(exact, n);
			r = run_verify(&in);
			assert_refused(&r, n < 13 ? "AUTH data ends" : "AUTH does not verify");
		}
		free(exact);
	}
	pki_free(leaf);
	pki_free(inter);
}

static void signature_forms_refused(void **state)
{
	/* RFC 7427 appendix A.3.1: ecdsa-with-SHA1; A.1.2: sha256WithRSAEncryption. */
	static const uint8_t with_sha1[] = { 0x30, 0x09, 0x06, 0x07, 0x2a, 0x86,
					     0x48, 0xce, 0x3d, 0x04, 0x01 };
	static const uint8_t rsa[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
				       0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00 };
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);
	struct crypto_verify_in in;
	struct crypto_result r, s;
	uint8_t buf[600];

	(void)state;
	in = usual(leaf, inter, auth_data(w.leaf_key, "SHA1", BYTES_OF(with_sha1), buf));
	r = run_verify(&in);
	assert_refused(&r, "signature algorithm ecdsa-with-SHA1 is not accepted");
	in.signature = auth_data(w.leaf_key, "SHA256", BYTES_OF(rsa), buf);
	r = run_verify(&in);
	assert_refused(
		&r, "signature algorithm of AUTH does not go with the certificate's key, which is "
		    "EC P-256");
	in.signature = auth_data(w.leaf_key, "SHA256", bytes_str("nonsense"), buf);
	r = run_verify(&in);
	assert_refused(&r, "is not an AlgorithmIdentifier");
	/* The hash that AUTH names is the one that counts. */
	in.signature = auth_data(
		w.leaf_key, "SHA384",
		crypto_sigalg_der((struct crypto_sigalg){ CRYPTO_ECDSA, CRYPTO_SHA2_256 }), buf);
	r = run_verify(&in);
	assert_refused(&r, "AUTH does not verify");
	in.signature = (struct bytes){ NULL, 0 };
	r = run_verify(&in);
	assert_refused(&r, "AUTH data ends inside");
	/* RFC 4754: the curve comes with the method. */
	s = run_sign(w.key, 9, 0, octets);
	in.signature = bytes_of(s.auth.data, s.auth.len);
	in.method = 10;
	r = run_verify(&in);
	assert_refused(
		&r, "auth method 10 does not go with the certificate's key, which is EC P-256: its "
		    "method is 9");
	in.method = 9;
	in.signature.n--;
	r = run_verify(&in);
	assert_refused(&r, "signature has 63 bytes, method 9 needs 64");
	in.method = 1;
	r = run_verify(&in);
	assert_refused(&r,
		       "auth method 1 is not accepted with certificates: RSA without a negotiated "
		       "hash, which by default is SHA-1");
	in.method = 2;
	r = run_verify(&in);
	assert_refused(&r, "auth method 2 is not accepted");
	pki_free(leaf);
	pki_free(inter);
}

/* r = s = 0 is the signature that a careless check accepts (CVE-2022-21449). */
static void zero_signature(void **state)
{
	static const uint8_t zero[64];
	static const uint8_t der[] = { 0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00 };
	struct bytes leaf = pki_der(w.leaf), inter = pki_der(w.inter);
	struct crypto_verify_in in = usual(leaf, inter, BYTES_OF(zero));
	struct crypto_result r;
	uint8_t buf[32];

	(void)state;
	in.method = 9;
	r = run_verify(&in);
	assert_refused(&r, "AUTH does not verify");
	buf[0] = 12;
	memcpy(buf + 1,
	       crypto_sigalg_der((struct crypto_sigalg){ CRYPTO_ECDSA, CRYPTO_SHA2_256 }).p, 12);
	memcpy(buf + 13, der, sizeof(der));
	in.method = 14;
	in.signature = bytes_of(buf, 13 + sizeof(der));
	r = run_verify(&in);
	assert_refused(&r, "AUTH does not verify");
	pki_free(leaf);
	pki_free(inter);
}

/* ---- identities: RFC 4945 section 3.1 ----------------------------------------------------- */

static struct bytes subject_dn(X509 *cert)
{
	uint8_t *der = NULL;
	int n = i2d_X509_NAME(X509_get_subject_name(cert), &der);

	assert_true(n > 0);
	return bytes_of(der, (size_t)n);
}

static struct crypto_result verify_id(X509 *cert, uint8_t type, struct bytes id)
{
	struct crypto_result s = run_sign(w.key, 14, ALL_HASHES, octets), r;
	struct bytes leaf = pki_der(cert), inter = pki_der(w.inter);
	struct crypto_verify_in in = usual(leaf, inter, bytes_of(s.auth.data, s.auth.len));

	in.id_type = type;
	in.id = id;
	r = run_verify(&in);
	pki_free(leaf);
	pki_free(inter);
	return r;
}

static void identities_accepted(void **state)
{
	static const uint8_t v4[] = { 192, 0, 2, 7 };
	static const uint8_t v6[] = { 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 };
	struct bytes dn = subject_dn(w.leaf);
	const struct {
		uint8_t type;
		struct bytes id;
	} rows[] = {
		{ ID_FQDN, bytes_str("site-b.example") },
		{ ID_FQDN, bytes_str("SITE-b.Example") },
		{ ID_RFC822, bytes_str("admin@site-b.example") },
		{ ID_IPV4, BYTES_OF(v4) },
		{ ID_IPV6, BYTES_OF(v6) },
		{ ID_DN, dn },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result r = verify_id(w.leaf, rows[i].type, rows[i].id);

		assert_accepted(&r);
	}
	pki_free(dn);
}

/* R05: the holder of one certificate cannot claim another's name. */
static void identities_refused(void **state)
{
	static const uint8_t v4[] = { 192, 0, 2, 8 },
			     mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7 };
	struct bytes dn = subject_dn(w.inter), own = subject_dn(w.leaf);
	uint8_t longer[200] = { 0 };
	const struct {
		uint8_t type;
		struct bytes id;
		const char *why;
	} rows[] = {
		{ ID_FQDN, bytes_str("site-c.example"),
		  "certificate is for DNS:site-b.example, email:Admin@Site-B.example, "
		  "IP:192.0.2.7, IP:2001:db8::7, peer claims FQDN site-c.example" },
		{ ID_FQDN, bytes_str("b.example"), "peer claims FQDN b.example" },
		{ ID_FQDN, bytes_str("site-b.example."), "peer claims" },
		/* a prefix, though the rest follows in memory */
		{ ID_FQDN, bytes_of("site-b.example", 13), "peer claims FQDN site-b.exampl" },
		{ ID_FQDN, bytes_str("*.example"), "peer claims FQDN *.example" },
		{ ID_FQDN, bytes_of("site-b.example\0.evil", 20), "site-b.example\\x00.evil" },
		{ ID_FQDN, bytes_str(""), "peer claims" },
		{ ID_FQDN, bytes_str("site-b"), "peer claims" }, /* the common name is no name */
		{ ID_FQDN, bytes_str("192.0.2.7"), "peer claims" },
		{ ID_FQDN, bytes_str("Admin@Site-B.example"), "peer claims FQDN" },
		{ ID_FQDN, bytes_str("\x1b[2Jevil\"\n"), "\\x1b[2Jevil\\\"\\x0a" },
		{ ID_RFC822, bytes_str("site-b.example"), "peer claims RFC822 site-b.example" },
		{ ID_RFC822, bytes_str("root@site-b.example"), "peer claims RFC822" },
		{ ID_IPV4, BYTES_OF(v4), "peer claims IP 192.0.2.8" },
		{ ID_IPV4, BYTES_OF(mapped), "peer claims IP" },
		{ ID_IPV4, bytes_of(v4, 3), "peer claims IP c00002" },
		{ ID_IPV4, bytes_of(v4, 0), "peer claims" },
		{ ID_IPV6, BYTES_OF(v4), "peer claims IP" },
		{ ID_IPV6, BYTES_OF(mapped), "peer claims IP" },
		{ ID_DN, dn,
		  "certificate is for \"O=warren, CN=site-b\", peer claims DN O=warren, "
		  "CN=Intermediate" },
		{ ID_DN, bytes_of(own.p, own.n - 1), "peer claims DN" },
		{ ID_DN, bytes_of(longer, own.n + 1), "peer claims DN" },
		{ ID_DN, bytes_of("\x30\x00", 2), "peer claims DN (empty name)" },
		{ ID_DN, bytes_str("garbage"), "peer claims DN" },
		{ ID_GN, bytes_str("site-b.example"), "peer claims identity of type 10" },
		{ ID_KEY, bytes_str("site-b.example"), "peer claims KEY_ID 7369" },
		{ 0, bytes_str("site-b.example"), "peer claims identity of type 0" },
		{ 255, bytes_str("site-b.example"), "peer claims identity of type 255" },
	};

	(void)state;
	memcpy(longer, own.p, own.n);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result r = verify_id(w.leaf, rows[i].type, rows[i].id);

		assert_refused(&r, rows[i].why);
	}
	pki_free(dn);
	pki_free(own);
}

static void names_inside_certificates(void **state)
{
	struct pki_spec spec = {
		.name = "x", .key = w.leaf_key, .issuer = w.inter, .issuer_key = w.inter_key
	};
	struct crypto_result r;
	X509 *cert;

	(void)state;
	/* No alternative name at all: the reason shows what there is. */
	cert = pki_cert(&spec);
	r = verify_id(cert, ID_FQDN, bytes_str("x"));
	assert_refused(&r,
		       "certificate is for \"O=warren, CN=x\" and has no alternative name, peer "
		       "claims FQDN x");
	X509_free(cert);
	/* RFC 4945 section 3.1.2: a wildcard is nobody's name but its own. */
	spec.san = "DNS:*.example";
	cert = pki_cert(&spec);
	r = verify_id(cert, ID_FQDN, bytes_str("site-b.example"));
	assert_refused(&r, "DNS:*.example");
	X509_free(cert);
	/* An empty subject is nobody's name. */
	spec.name = "";
	cert = pki_cert(&spec);
	r = verify_id(cert, ID_DN, bytes_of("\x30\x00", 2));
	assert_refused(&r, "certificate is for \"(empty name)\", peer claims DN (empty name)");
	X509_free(cert);
	/* More names than a reason can list: the right one is still found. */
	spec.san = "DNS:a,DNS:b,DNS:c,DNS:d,DNS:e,DNS:f,DNS:g,URI:http://h,DNS:site-b.example";
	cert = pki_cert(&spec);
	r = verify_id(cert, ID_FQDN, bytes_str("site-b.example"));
	assert_accepted(&r);
	r = verify_id(cert, ID_FQDN, bytes_str("z"));
	assert_refused(&r, "DNS:f and 3 more, peer claims FQDN z");
	X509_free(cert);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_and_verifies),        cmocka_unit_test(sign_refuses),
		cmocka_unit_test(rfc4754_vectors),           cmocka_unit_test(ecdsa_encodings),
		cmocka_unit_test(every_bit_matters),         cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(signature_forms_refused),   cmocka_unit_test(zero_signature),
		cmocka_unit_test(identities_accepted),       cmocka_unit_test(identities_refused),
		cmocka_unit_test(names_inside_certificates),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
