/* Revocation (RFC 5280 section 5): which lists are taken, and whom they keep out (S1, S2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/test_crypto_world.h"

struct crl_spec {
	const char *name; /* issuer; NULL: the root's */
	EVP_PKEY *key; /* NULL: the root's */
	const char *serials[4]; /* hexadecimal, revoked PKI_NOW - PKI_DAY */
	int64_t from, until; /* relative to PKI_NOW; 0: a day before, a day after */
	bool forever; /* no nextUpdate */
	int nid; /* an extension, */
	const char *value; /* NULL: the integer 1, critical */
	bool critical_entry;
	const char *digest;
};

static void revoke_serial(X509_CRL *crl, const char *serial, bool critical)
{
	ASN1_TIME *at = ASN1_TIME_set(NULL, PKI_NOW - PKI_DAY);
	ASN1_GENERALIZEDTIME *when = ASN1_GENERALIZEDTIME_set(NULL, PKI_NOW - PKI_DAY);
	X509_REVOKED *row = X509_REVOKED_new();
	BIGNUM *bn = NULL;
	ASN1_INTEGER *number;

	assert_true(BN_hex2bn(&bn, serial) > 0);
	number = BN_to_ASN1_INTEGER(bn, NULL);
	assert_int_equal(X509_REVOKED_set_serialNumber(row, number), 1);
	assert_int_equal(X509_REVOKED_set_revocationDate(row, at), 1);
	if (critical)
		assert_int_equal(X509_REVOKED_add1_ext_i2d(row, NID_invalidity_date, when, 1, 0),
				 1);
	ASN1_GENERALIZEDTIME_free(when);
	assert_int_equal(X509_CRL_add0_revoked(crl, row), 1);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(at);
	BN_free(bn);
}

static void set_dates(X509_CRL *crl, const struct crl_spec *s)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, PKI_NOW + (s->from ? s->from : -PKI_DAY));
	ASN1_TIME *until = ASN1_TIME_set(NULL, PKI_NOW + (s->until ? s->until : PKI_DAY));

	assert_int_equal(X509_CRL_set1_lastUpdate(crl, from), 1);
	if (!s->forever)
		assert_int_equal(X509_CRL_set1_nextUpdate(crl, until), 1);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
}

static void extend(X509_CRL *crl, int nid, const char *value)
{
	ASN1_INTEGER *one = ASN1_INTEGER_new();
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	assert_int_equal(ASN1_INTEGER_set(one, 1), 1);
	if (!value)
		assert_int_equal(X509_CRL_add1_ext_i2d(crl, nid, one, 1, 0), 1);
	ASN1_INTEGER_free(one);
	if (!value)
		return;
	X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_CRL_add_ext(crl, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static X509_CRL *make_crl(const struct crl_spec *s)
{
	X509_NAME *name = pki_name(s->name ? s->name : "Root");
	X509_CRL *crl = X509_CRL_new();

	assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl, name), 1);
	set_dates(crl, s);
	for (size_t i = 0; i < 4 && s->serials[i]; i++)
		revoke_serial(crl, s->serials[i], s->critical_entry);
	if (s->nid)
		extend(crl, s->nid, s->value);
	assert_true(X509_CRL_sign(crl, s->key ? s->key : w.root_key,
				  EVP_get_digestbyname(s->digest ? s->digest : "SHA256")) > 0);
	X509_NAME_free(name);
	return crl;
}

/* PEM, or DER when there is one. */
static BIO *crl_file(const struct crl_spec *specs, size_t n, bool der)
{
	BIO *bio = BIO_new(BIO_s_mem());

	for (size_t i = 0; i < n; i++) {
		X509_CRL *crl = make_crl(&specs[i]);

		assert_int_equal(
			der ? i2d_X509_CRL_bio(bio, crl) : PEM_write_bio_X509_CRL(bio, crl), 1);
		X509_CRL_free(crl);
	}
	return bio;
}

static enum status load_bio(X509 *const *anchors, size_t n, BIO *bio, struct text *why,
			    crypto_ref *ret)
{
	const struct crypto_file trust = { "/trust", pki_pem_certs(anchors, n) };
	struct crypto_file crl = { .name = "/crl" };
	enum status st;
	char *p;

	crl.data.n = (size_t)BIO_get_mem_data(bio, &p);
	crl.data.p = (const uint8_t *)p;
	st = crypto_store_add_trust(w.store, &trust, 1, &crl, why, ret);
	BIO_free(bio);
	return st;
}

static crypto_ref trust_with(const struct crl_spec *specs, size_t n)
{
	X509 *anchors[] = { w.root, w.inter };
	crypto_ref ref = 0;
	char buf[300];
	struct text why = TEXT_OF(buf);

	if (load_bio(anchors, 1, crl_file(specs, n, false), &why, &ref) != ST_OK)
		fail_msg("%s", buf);
	return ref;
}

/* A leaf of the root's with this serial number. */
static struct crypto_result verify_serial(crypto_ref trust, const char *serial, int64_t at)
{
	X509 *leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
						  .san = "DNS:site-b.example",
						  .serial = serial,
						  .key = w.leaf_key,
						  .issuer = w.root,
						  .issuer_key = w.root_key });
	struct bytes der = pki_der(leaf);
	uint8_t buf[600];
	struct crypto_verify_in in = usual(der, der,
					   auth_data(w.leaf_key, "SHA256",
						     crypto_sigalg_der((struct crypto_sigalg){
							     CRYPTO_ECDSA, CRYPTO_SHA2_256 }),
						     buf));
	struct crypto_result r;

	in.n_certs = 1;
	in.trust = trust;
	in.at.s = PKI_NOW + at;
	r = run_verify(&in);
	pki_free(der);
	X509_free(leaf);
	return r;
}

static void revoked(void **state)
{
	const struct crl_spec spec = { .serials = { "2a", "0102030405060708", "7f" } };
	crypto_ref trust = trust_with(&spec, 1);
	struct crypto_result r;

	(void)state;
	r = verify_serial(trust, "2b", 0);
	assert_accepted(&r);
	r = verify_serial(trust, "2a", 0);
	assert_refused(&r, "certificate \"O=warren, CN=site-b\" was revoked on 2025-06-14 15:06:40 "
			   "UTC, serial 2a");
	r = verify_serial(trust, "0102030405060708", 0);
	assert_refused(&r, "serial 0102030405060708");
	/* The same serial number under another issuer is another certificate. */
	r = verify_serial(w.trust, "2a", 0);
	assert_accepted(&r);
}

/* RFC 5280 section 6.3.3: an old list proves nothing about who is not on it, and enough about who
 * is. */
static void dates(void **state)
{
	const struct crl_spec spec = { .serials = { "2a" } };
	crypto_ref trust = trust_with(&spec, 1);
	struct crypto_result r;

	(void)state;
	r = verify_serial(trust, "2b", PKI_DAY);
	assert_accepted(&r);
	r = verify_serial(trust, "2b", PKI_DAY + 1);
	assert_refused(&r, "the CRL of \"O=warren, CN=Root\" is out of date since 2025-06-16 "
			   "15:06:40 UTC, now 2025-06-16 15:06:41 UTC; replace it with that of "
			   "`warren pki crl`");
	r = verify_serial(trust, "2a", PKI_DAY + 1);
	assert_refused(&r, "was revoked on");
	trust = trust_with(&(struct crl_spec){ .from = 10 }, 1);
	r = verify_serial(trust, "2b", 10);
	assert_accepted(&r);
	r = verify_serial(trust, "2b", 9);
	assert_refused(&r, "the CRL of \"O=warren, CN=Root\" is not valid before");
}

static void no_list_for(void **state)
{
	crypto_ref trust = trust_with(&(struct crl_spec){ .serials = { "2a" } }, 1);
	X509 *certs[] = { w.leaf, w.inter };
	struct crypto_result r = verify_certs(trust, w.leaf_key, certs, 2);

	(void)state;
	assert_refused(&r, "there is no CRL of \"O=warren, CN=Intermediate\", the issuer of "
			   "certificate \"O=warren, CN=site-b\"; there are those of "
			   "\"O=warren, CN=Root\"");
	/* Without any CRL configured it is as ever. */
	r = verify_certs(w.trust, w.leaf_key, certs, 2);
	assert_accepted(&r);
}

/* Two anchors, each with its list; the intermediate's own certificate is held against the root's.
 */
static void several(void **state)
{
	EVP_PKEY *key = pki_ec("P-384");
	X509 *sub = pki_cert(&(struct pki_spec){ .name = "Sub",
						 .serial = "55",
						 .basic = "critical,CA:TRUE",
						 .key = key,
						 .issuer = w.root,
						 .issuer_key = w.root_key });
	X509 *leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
						  .serial = "66",
						  .san = "DNS:site-b.example",
						  .key = w.leaf_key,
						  .issuer = sub,
						  .issuer_key = key });
	X509 *anchors[] = { w.root, sub }, *certs[] = { leaf, sub };
	struct {
		struct crl_spec crl[2];
		const char *refused;
	} rows[] = {
		{ { { .serials = { "1" } }, { .name = "Sub", .key = key } }, NULL },
		{ { { .serials = { "66" } }, { .name = "Sub", .key = key, .serials = { "55" } } },
		  NULL },
		{ { { .serials = { "1" } }, { .name = "Sub", .key = key, .serials = { "66" } } },
		  "CN=site-b\" was revoked" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char buf[300];
		struct text why = TEXT_OF(buf);
		struct crypto_result r;
		crypto_ref ref;

		assert_int_equal(load_bio(anchors, 2, crl_file(rows[i].crl, 2, false), &why, &ref),
				 ST_OK);
		r = verify_certs(ref, w.leaf_key, certs, 2);
		if (rows[i].refused)
			assert_refused(&r, rows[i].refused);
		else
			assert_accepted(&r);
	}
	X509_free(leaf);
	X509_free(sub);
	EVP_PKEY_free(key);
}

/* A path root -> Upper -> Lower -> site-b, its authorities with serial numbers 51 and 52, the end
 * entity with 53. */
struct tower {
	EVP_PKEY *upper_key, *lower_key;
	X509 *upper, *lower, *leaf;
};

static struct tower make_tower(const char *lower_usage)
{
	struct tower t = { .upper_key = pki_ec("P-256"), .lower_key = pki_ec("P-256") };

	t.upper = pki_cert(&(struct pki_spec){ .name = "Upper",
					       .serial = "51",
					       .basic = "critical,CA:TRUE",
					       .key = t.upper_key,
					       .issuer = w.root,
					       .issuer_key = w.root_key });
	t.lower = pki_cert(&(struct pki_spec){ .name = "Lower",
					       .serial = "52",
					       .basic = "critical,CA:TRUE",
					       .usage = lower_usage,
					       .key = t.lower_key,
					       .issuer = t.upper,
					       .issuer_key = t.upper_key });
	t.leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
					      .serial = "53",
					      .san = "DNS:site-b.example",
					      .key = w.leaf_key,
					      .issuer = t.lower,
					      .issuer_key = t.lower_key });
	return t;
}

static void free_tower(struct tower *t)
{
	X509_free(t->upper);
	X509_free(t->lower);
	X509_free(t->leaf);
	EVP_PKEY_free(t->upper_key);
	EVP_PKEY_free(t->lower_key);
}

static struct crypto_result climb(const struct tower *t, crypto_ref trust)
{
	X509 *certs[] = { t->leaf, t->upper, t->lower };

	return verify_certs(trust, w.leaf_key, certs, 3);
}

/* Only the root is an anchor; lists of the authorities below it are signed by these (RFC 5280
 * section 6.3.3 f and g). */
static void authorities_below(void **state)
{
	struct tower t = make_tower("critical,keyCertSign,cRLSign");
	const struct crl_spec root = { .serials = { "1" } };
	const struct crl_spec upper = { .name = "Upper", .key = t.upper_key };
	const struct crl_spec lower = { .name = "Lower", .key = t.lower_key };
	struct crl_spec no_upper = root, no_lower = upper, no_leaf = lower, others = lower;
	struct crl_spec forged = lower, old = upper, early = lower;

	(void)state;
	no_upper.serials[0] = "51";
	no_lower.serials[0] = "52";
	no_leaf.serials[0] = "53";
	/* Numbers that other authorities gave to others. */
	others.serials[0] = "51";
	others.serials[1] = "52";
	forged.key = w.other_key;
	old.until = -1;
	early.from = 1;

	const struct {
		struct crl_spec crl[3];
		size_t n;
		const char *refused;
	} rows[] = {
		{ { root, upper, lower }, 3, NULL },
		{ { others, upper, root }, 3, NULL },
		/* Only the end entity's issuer needs one. */
		{ { lower }, 1, NULL },
		{ { root, upper },
		  2,
		  "there is no CRL of \"O=warren, CN=Lower\", the issuer of certificate "
		  "\"O=warren, CN=site-b\"; there are those of \"O=warren, CN=Root\", "
		  "\"O=warren, CN=Upper\"" },
		{ { root, upper, no_leaf }, 3, "CN=site-b\" was revoked on" },
		{ { no_leaf }, 1, "CN=site-b\" was revoked on" },
		{ { root, no_lower, lower }, 3, "CN=Lower\" was revoked on" },
		{ { no_upper, upper, lower }, 3, "CN=Upper\" was revoked on" },
		{ { no_upper, lower }, 2, "CN=Upper\" was revoked on" },
		/* Whose own certificate is revoked vouches for no list. */
		{ { no_upper, no_lower, forged }, 3, "CN=Upper\" was revoked on" },
		{ { root, upper, forged },
		  3,
		  "the CRL of \"O=warren, CN=Lower\" is signed by another key than that of "
		  "certificate \"O=warren, CN=Lower\", which the peer sent" },
		{ { root, old, lower }, 3, "the CRL of \"O=warren, CN=Upper\" is out of date" },
		{ { root, upper, early },
		  3,
		  "the CRL of \"O=warren, CN=Lower\" is not valid before" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		crypto_ref trust = trust_with(rows[i].crl, rows[i].n);
		struct crypto_result r = climb(&t, trust);

		if (rows[i].refused ? !strstr(r.reason, rows[i].refused) : r.status != ST_OK)
			print_error("row %zu: %s\n", i, r.reason);
		if (rows[i].refused)
			assert_refused(&r, rows[i].refused);
		else
			assert_accepted(&r);
	}
	free_tower(&t);
}

static void authority_without_the_right(void **state)
{
	struct tower t = make_tower("critical,keyCertSign");
	const struct crl_spec lower = { .name = "Lower", .key = t.lower_key };
	struct crypto_result r = climb(&t, trust_with(&lower, 1));

	(void)state;
	assert_refused(&r, "the CRL of \"O=warren, CN=Lower\" is signed without the right to "
			   "(cRLSign) by certificate \"O=warren, CN=Lower\"");
	free_tower(&t);
}

/* An authority below that took the name of an anchor: the anchor's list is not its own. */
static void name_of_an_anchor(void **state)
{
	EVP_PKEY *key = pki_ec("P-256");
	X509 *anchor = pki_cert(&(struct pki_spec){
		.name = "Twin", .basic = "critical,CA:TRUE", .key = w.other_key });
	X509 *below = pki_cert(&(struct pki_spec){ .name = "Twin",
						   .basic = "critical,CA:TRUE",
						   .key = key,
						   .issuer = w.root,
						   .issuer_key = w.root_key });
	X509 *leaf = pki_cert(&(struct pki_spec){ .name = "site-b",
						  .san = "DNS:site-b.example",
						  .key = w.leaf_key,
						  .issuer = below,
						  .issuer_key = key });
	X509 *anchors[] = { w.root, anchor }, *certs[] = { leaf, below };
	const struct crl_spec spec = { .name = "Twin", .key = w.other_key };
	struct crypto_result r;
	char buf[300];
	struct text why = TEXT_OF(buf);
	crypto_ref ref;

	(void)state;
	assert_int_equal(load_bio(anchors, 2, crl_file(&spec, 1, false), &why, &ref), ST_OK);
	r = verify_certs(ref, w.leaf_key, certs, 2);
	assert_refused(&r, "the CRL of \"O=warren, CN=Twin\" is signed by another key");
	X509_free(leaf);
	X509_free(below);
	X509_free(anchor);
	EVP_PKEY_free(key);
}

static void not_taken(void **state)
{
	EVP_PKEY *mute_key = pki_ec("P-256");
	X509 *mute = pki_cert(&(struct pki_spec){ .name = "Mute",
						  .basic = "critical,CA:TRUE",
						  .usage = "critical,keyCertSign",
						  .key = mute_key });
	struct {
		struct crl_spec crl;
		const char *why;
	} rows[] = {
		{ { .key = w.other_key },
		  "/crl: the CRL of \"O=warren, CN=Root\" is signed by another key than the anchor "
		  "of that name" },
		{ { .name = "Mute", .key = mute_key },
		  "is signed by an anchor without the right to (cRLSign)" },
		{ { .forever = true }, "does not say until when it holds (nextUpdate)" },
		{ { .nid = NID_delta_crl }, "is a delta: a full one is needed" },
		{ { .nid = NID_issuing_distribution_point, .value = "onlyuser:TRUE" },
		  "is limited to some certificates (issuingDistributionPoint)" },
		{ { .nid = NID_crl_number }, "has a critical extension that is not understood" },
		{ { .serials = { "1" }, .critical_entry = true },
		  "has a critical extension that is not understood" },
		{ { .digest = "SHA1" }, "is signed with a hash that is too weak" },
	};
	X509 *anchors[] = { w.root, mute };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char buf[300];
		struct text why = TEXT_OF(buf);
		crypto_ref ref = 77;
		enum status st = load_bio(anchors, 2, crl_file(&rows[i].crl, 1, false), &why, &ref);

		if (st != ST_INVAL || !strstr(buf, rows[i].why))
			fail_msg("row %zu: %s, \"%s\"", i, status_name(st), buf);
		assert_int_equal(ref, 77);
	}
	X509_free(mute);
	EVP_PKEY_free(mute_key);
}

static void files(void **state)
{
	const struct crl_spec specs[] = { { .serials = { "2a" } }, { .serials = { "2b" } } };
	BIO *cut = crl_file(specs, 1, true), *junk = BIO_new_mem_buf("no list\n", -1);
	struct crypto_result r;
	char buf[300], *p;
	struct text why = TEXT_OF(buf);
	crypto_ref ref;

	(void)state;
	assert_int_equal(load_bio(&w.root, 1, crl_file(specs, 1, true), &why, &ref), ST_OK);
	r = verify_serial(ref, "2a", 0);
	assert_refused(&r, "was revoked on");
	assert_int_equal(load_bio(&w.root, 1, crl_file(specs, 2, false), &why, &ref), ST_INVAL);
	assert_string_equal(buf, "/crl: the CRL of \"O=warren, CN=Root\" is there twice");
	why = TEXT_OF(buf);
	assert_int_equal(load_bio(&w.root, 1, junk, &why, &ref), ST_INVAL);
	assert_string_equal(buf, "/crl: no PEM CRL in this file");
	why = TEXT_OF(buf);
	assert_true(BIO_get_mem_data(cut, &p) > 10);
	assert_int_equal(load_bio(&w.root, 1,
				  BIO_new_mem_buf(p, (int)BIO_get_mem_data(cut, &p) - 1), &why,
				  &ref),
			 ST_INVAL);
	assert_string_equal(buf, "/crl: the DER CRL cannot be read");
	BIO_free(cut);
}

/* The ids of a list and those of verified certificates are the same values: how a reload finds the
 * SAs of who was revoked meanwhile. */
static void ids(void **state)
{
	const struct crl_spec spec = { .serials = { "ff", "2a", "00", "0102030405060708" } };
	crypto_ref trust = trust_with(&spec, 1), none;
	const uint8_t(*list)[CRYPTO_REVOCATION_ID];
	struct crypto_result r;
	size_t n, found = 0;

	(void)state;
	assert_int_equal(crypto_store_revoked(w.store, trust, &list, &n), ST_OK);
	assert_int_equal(n, 4);
	for (size_t i = 1; i < n; i++)
		assert_true(memcmp(list[i - 1], list[i], sizeof(list[0])) < 0);
	for (size_t i = 0; i < n; i++) {
		r = verify_serial(w.trust, spec.serials[i], 0);
		assert_accepted(&r);
		for (size_t k = 0; k < n; k++)
			found += memcmp(list[k], r.cert.revocation_ids[0], sizeof(list[0])) == 0;
	}
	assert_int_equal(found, 4);
	/* An issuer of that serial number too, but another one. */
	r = verify_leaf((struct pki_spec){ .serial = "2a" });
	assert_accepted(&r);
	for (size_t k = 0; k < n; k++)
		assert_memory_not_equal(list[k], r.cert.revocation_ids[0], sizeof(list[0]));
	assert_int_equal(crypto_store_revoked(w.store, w.trust, &list, &n), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(crypto_store_revoked(w.store, w.key, &list, &n), ST_INVAL);
	none = trust_with(&(struct crl_spec){ 0 }, 1);
	assert_int_equal(crypto_store_revoked(w.store, none, &list, &n), ST_OK);
	assert_int_equal(n, 0);
}

/* The ids of a path are those of the lists of its authorities, at each level. */
static void ids_of_a_path(void **state)
{
	struct tower t = make_tower(NULL);
	const struct crl_spec spec[] = {
		{ .name = "Lower", .key = t.lower_key, .serials = { "53" } },
		{ .name = "Upper", .key = t.upper_key, .serials = { "52" } },
		{ .serials = { "51" } },
	};
	struct crypto_result r = climb(&t, w.trust);

	(void)state;
	assert_accepted(&r);
	assert_int_equal(r.cert.n_revocation_ids, ARRAY_LEN(spec));
	for (size_t i = 0; i < ARRAY_LEN(spec); i++) {
		const uint8_t(*list)[CRYPTO_REVOCATION_ID];
		size_t n;

		assert_int_equal(crypto_store_revoked(w.store, trust_with(&spec[i], 1), &list, &n),
				 ST_OK);
		assert_int_equal(n, 1);
		assert_memory_equal(list[0], r.cert.revocation_ids[i], sizeof(list[0]));
	}
	free_tower(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(revoked),
		cmocka_unit_test(dates),
		cmocka_unit_test(no_list_for),
		cmocka_unit_test(several),
		cmocka_unit_test(authorities_below),
		cmocka_unit_test(authority_without_the_right),
		cmocka_unit_test(name_of_an_anchor),
		cmocka_unit_test(not_taken),
		cmocka_unit_test(files),
		cmocka_unit_test(ids),
		cmocka_unit_test(ids_of_a_path),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
