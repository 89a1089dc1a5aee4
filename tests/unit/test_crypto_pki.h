/*
 * test_crypto_pki.h - certificates made while a test runs, around one fixed moment.
 *
 * A specification is a value with everything at its zero meaning "as usual": P-256, SHA-256, valid
 * from a day before PKI_NOW for a year.  Extensions are written as in openssl.cnf.
 */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/base.h"

#define PKI_NOW ((int64_t)1750000000) /* 2025-06-15 15:06:40 UTC */
#define PKI_DAY ((int64_t)86400)

struct pki_spec {
	const char *name; /* common name; the organisation is "warren"; "": an empty name */
	const char *san;
	const char *basic; /* basicConstraints */
	const char *usage;
	const char *eku;
	const char *constraints; /* nameConstraints */
	const char *blocks; /* sbgp-ipAddrBlock, RFC 3779 */
	IPAddrBlocks *raw_blocks; /* the same, as given */
	const char *unknown; /* a critical extension that nobody knows */
	int64_t from; /* seconds relative to PKI_NOW */
	int64_t until;
	const char *digest;
	const char *serial; /* hexadecimal */
	EVP_PKEY *key;
	X509 *issuer; /* NULL: self-signed */
	EVP_PKEY *issuer_key;
};

static inline EVP_PKEY *pki_ec(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	assert_non_null(key);
	return key;
}

/* A key for RSASSA-PSS only. */
static inline EVP_PKEY *pki_rsa_pss(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* P-256, with its parameters spelled out. */
static inline EVP_PKEY *pki_explicit_p256(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	char group[] = "P-256", encoding[] = "explicit";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("group", group, 0),
				OSSL_PARAM_construct_utf8_string("encoding", encoding, 0),
				OSSL_PARAM_construct_end() };

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* A public key (and with `priv` a pair) from x | y and the scalar. */
static inline EVP_PKEY *pki_ec_import(const char *curve, struct bytes xy, struct bytes priv)
{
	uint8_t point[1 + 2 * 66] = { POINT_CONVERSION_UNCOMPRESSED };
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	BIGNUM *d = BN_bin2bn(priv.p, (int)priv.n, NULL);
	uint8_t native[66];
	char group[16];
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("group", group, 0),
		OSSL_PARAM_construct_octet_string("pub", point, 1 + xy.n),
		OSSL_PARAM_construct_BN("priv", native, priv.n),
		OSSL_PARAM_construct_end(),
	};

	OPENSSL_strlcpy(group, curve, sizeof(group));
	memcpy(point + 1, xy.p, xy.n);
	assert_int_equal(BN_bn2nativepad(d, native, (int)priv.n), (int)priv.n);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
	BN_free(d);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static inline void pki_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* 1.3.6.1.4.1.99999.1, critical. */
static inline void pki_extend_unknown(X509 *cert, const char *value)
{
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	X509_EXTENSION *ext;

	assert_int_equal(ASN1_OCTET_STRING_set(data, (const uint8_t *)value, -1), 1);
	ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, data);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
	ASN1_OBJECT_free(oid);
	ASN1_OCTET_STRING_free(data);
}

static inline X509_NAME *pki_name(const char *cn)
{
	X509_NAME *name = X509_NAME_new();

	if (*cn == '\0')
		return name;
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
						    (const uint8_t *)"warren", -1, -1, 0),
			 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn,
						    -1, -1, 0),
			 1);
	return name;
}

static inline void pki_names(X509 *cert, const struct pki_spec *s)
{
	X509_NAME *name = pki_name(s->name);
	BIGNUM *serial = NULL;

	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	assert_int_equal(X509_set_subject_name(cert, name), 1);
	assert_int_equal(
		X509_set_issuer_name(cert, s->issuer ? X509_get_subject_name(s->issuer) : name), 1);
	X509_NAME_free(name);
	assert_true(BN_hex2bn(&serial, s->serial ? s->serial : "1234567890abcdef") > 0);
	assert_non_null(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)));
	BN_free(serial);
}

static inline X509 *pki_cert(const struct pki_spec *s)
{
	X509 *cert = X509_new();
	X509 *issuer = s->issuer ? s->issuer : cert;
	const EVP_MD *md = EVP_get_digestbyname(s->digest ? s->digest : "SHA256");

	assert_non_null(cert);
	pki_names(cert, s);
	ASN1_TIME_set(X509_getm_notBefore(cert), PKI_NOW + (s->from ? s->from : -PKI_DAY));
	ASN1_TIME_set(X509_getm_notAfter(cert), PKI_NOW + (s->until ? s->until : 365 * PKI_DAY));
	assert_int_equal(X509_set_pubkey(cert, s->key), 1);
	pki_extend(cert, issuer, NID_subject_key_identifier, "hash");
	pki_extend(cert, issuer, NID_authority_key_identifier, s->issuer ? "keyid" : NULL);
	pki_extend(cert, issuer, NID_basic_constraints, s->basic);
	pki_extend(cert, issuer, NID_key_usage, s->usage);
	pki_extend(cert, issuer, NID_ext_key_usage, s->eku);
	pki_extend(cert, issuer, NID_subject_alt_name, s->san);
	pki_extend(cert, issuer, NID_name_constraints, s->constraints);
	pki_extend(cert, issuer, NID_sbgp_ipAddrBlock, s->blocks);
	if (s->raw_blocks)
		assert_int_equal(X509_add1_ext_i2d(cert, NID_sbgp_ipAddrBlock, s->raw_blocks, 0, 0),
				 1);
	if (s->unknown)
		pki_extend_unknown(cert, s->unknown);
	assert_true(X509_sign(cert, s->issuer ? s->issuer_key : s->key,
			      EVP_PKEY_get_base_id(s->issuer ? s->issuer_key : s->key) ==
					      EVP_PKEY_ED25519
				      ? NULL
				      : md) > 0);
	return cert;
}

/* A CRL of one serial number, valid for a day around PKI_NOW. */
static inline X509_CRL *pki_crl(const char *issuer, EVP_PKEY *key, const char *serial)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, PKI_NOW - PKI_DAY);
	ASN1_TIME *until = ASN1_TIME_set(NULL, PKI_NOW + PKI_DAY);
	X509_REVOKED *row = X509_REVOKED_new();
	X509_NAME *name = pki_name(issuer);
	X509_CRL *crl = X509_CRL_new();
	ASN1_INTEGER *number;
	BIGNUM *bn = NULL;

	assert_true(BN_hex2bn(&bn, serial) > 0);
	number = BN_to_ASN1_INTEGER(bn, NULL);
	assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl, name), 1);
	assert_int_equal(X509_CRL_set1_lastUpdate(crl, from), 1);
	assert_int_equal(X509_CRL_set1_nextUpdate(crl, until), 1);
	assert_int_equal(X509_REVOKED_set_serialNumber(row, number), 1);
	assert_int_equal(X509_REVOKED_set_revocationDate(row, from), 1);
	assert_int_equal(X509_CRL_add0_revoked(crl, row), 1);
	assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(until);
	ASN1_TIME_free(from);
	X509_NAME_free(name);
	BN_free(bn);
	return crl;
}

/* DER in memory of its own: pki_free() it. */
static inline struct bytes pki_der(X509 *cert)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);

	assert_true(n > 0);
	return bytes_of(der, (size_t)n);
}

static inline void pki_free(struct bytes b)
{
	OPENSSL_free((void *)(uintptr_t)b.p);
}

/* Files in memory, as the key store takes them; the last of each kind goes when the next comes. */
static inline struct bytes pki_mem(BIO **slot, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	BIO_free(*slot);
	*slot = bio;
	return bytes_of(p, (size_t)n);
}

static inline struct bytes pki_pem_certs(X509 *const *certs, size_t n)
{
	static BIO *last;
	BIO *bio = BIO_new(BIO_s_mem());

	for (size_t i = 0; i < n; i++)
		assert_int_equal(PEM_write_bio_X509(bio, certs[i]), 1);
	return pki_mem(&last, bio);
}

static inline struct bytes pki_pem_crl(X509_CRL *crl)
{
	static BIO *last;
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
	return pki_mem(&last, bio);
}

static inline struct bytes pki_pem_key(EVP_PKEY *key, const char *passphrase)
{
	static BIO *last;
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, passphrase ? EVP_aes_128_cbc() : NULL,
						  (const uint8_t *)passphrase,
						  passphrase ? (int)strlen(passphrase) : 0, NULL,
						  NULL),
			 1);
	return pki_mem(&last, bio);
}

/* Files; the caller's test owns the path. */
static inline void pki_write_certs(const char *path, X509 *const *certs, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(PEM_write_X509(f, certs[i]), 1);
	assert_int_equal(fclose(f), 0);
}

static inline void pki_write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL,
					      (const uint8_t *)passphrase,
					      passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
			 1);
	assert_int_equal(fclose(f), 0);
}
