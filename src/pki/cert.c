/*
 * Certificates and CRLs, made (RFC 5280 sections 4 and 5, RFC 4945 section 5.1).
 */
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "pki/internal.h"

/* ---- extensions ---------------------------------------------------------------------------- */

/* Constant text only: libcrypto's little language would take a name with a comma for two. */
static bool add_text(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool good;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return good;
}

/* RFC 5280 sections 4.2.1.1 to 4.2.1.9.  The authority also signs manifests: digitalSignature. A
 * site's certificate has no extended key usage: RFC 4945 section 5.1.3.12. */
static bool add_usage(X509 *cert, const struct cert_plan *p)
{
	X509 *issuer = p->issuer ? p->issuer : cert;

	if (!add_text(cert, issuer, NID_subject_key_identifier, "hash"))
		return false;
	if (!p->id)
		return add_text(cert, issuer, NID_basic_constraints,
				"critical,CA:TRUE,pathlen:0") &&
		       add_text(cert, issuer, NID_key_usage,
				"critical,keyCertSign,cRLSign,digitalSignature");
	return add_text(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
	       add_text(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_text(cert, issuer, NID_key_usage, "critical,digitalSignature");
}

static enum status add_names(X509 *cert, const struct pki_id *id, struct text *why)
{
	GENERAL_NAMES *names;
	enum status st = id_to_names(id, why, &names);

	if (st != ST_OK)
		return st;
	if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		st = pki_libcrypto("subjectAltName", why);
	GENERAL_NAMES_free(names);
	return st;
}

/* RFC 3779 section 2.2.1 wants it critical; then every peer that does not know it would refuse us.
 * Those that do know it check it all the same.  Without blocks there is no such extension. */
static enum status add_blocks(X509 *cert, const struct pki_blocks *blocks, struct text *why)
{
	IPAddrBlocks *ext;
	enum status st;

	if (blocks->n == 0)
		return ST_OK;
	st = blocks_to_ext(blocks, why, &ext);
	if (st != ST_OK)
		return st;
	if (X509_add1_ext_i2d(cert, NID_sbgp_ipAddrBlock, ext, 0, X509V3_ADD_DEFAULT) != 1)
		st = pki_libcrypto("address blocks", why);
	sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
	return st;
}

static enum status add_extensions(X509 *cert, const struct cert_plan *p, struct text *why)
{
	enum status st;

	if (!add_usage(cert, p))
		return pki_libcrypto("extensions", why);
	st = p->id ? add_names(cert, p->id, why) : ST_OK;
	return st == ST_OK ? add_blocks(cert, p->blocks, why) : st;
}

/* ---- certificates -------------------------------------------------------------------------- */

static bool add_part(X509_NAME *name, int nid, const char *value)
{
	return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_ASC, (const uint8_t *)value, -1, -1,
					  0) == 1;
}

static bool set_names(X509 *cert, const struct cert_plan *p)
{
	X509_NAME *name = X509_NAME_new();
	bool good = name && add_part(name, NID_organizationName, p->organisation) &&
		    add_part(name, NID_commonName, p->common_name) &&
		    X509_set_subject_name(cert, name) == 1 &&
		    X509_set_issuer_name(cert,
					 p->issuer ? X509_get_subject_name(p->issuer) : name) == 1;

	X509_NAME_free(name);
	return good;
}

static bool set_serial(X509 *cert, struct bytes serial)
{
	BIGNUM *n = BN_bin2bn(serial.p, (int)serial.n, NULL);
	bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

	BN_free(n);
	return good;
}

enum status cert_serial(uint8_t serial[static CERT_SERIAL], struct text *why)
{
	if (RAND_bytes(serial, CERT_SERIAL) != 1)
		return pki_libcrypto("random", why);
	serial[0] = (uint8_t)(0x40 | (serial[0] & 0x3f));
	return ST_OK;
}

/* Two-digit years until 2049, four after (RFC 5280 section 4.1.2.5): libcrypto chooses. */
static bool set_dates(X509 *cert, const struct cert_plan *p)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)p->not_before.s) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)p->not_after.s);
}

enum status cert_make(const struct cert_plan *p, struct text *why, X509 **ret_cert)
{
	X509 *cert = X509_new();
	enum status st = ST_OK;

	if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || !set_names(cert, p) ||
	    !set_serial(cert, p->serial) || !set_dates(cert, p) ||
	    X509_set_pubkey(cert, p->key) != 1)
		st = pki_libcrypto("making a certificate", why);
	if (st == ST_OK)
		st = add_extensions(cert, p, why);
	if (st == ST_OK && X509_sign(cert, p->issuer_key, key_digest(p->issuer_key)) <= 0)
		st = pki_libcrypto("signing a certificate", why);
	if (st == ST_OK)
		*ret_cert = cert;
	else
		X509_free(cert);
	return st;
}

static int write_cert(BIO *bio, const void *what)
{
	return PEM_write_bio_X509(bio, what);
}

enum status cert_pem(X509 *cert, struct text *why, struct pki_blob *ret_pem)
{
	return pem_of(write_cert, cert, why, ret_pem);
}

/* ---- CRLs (RFC 5280 section 5) -------------------------------------------------------------- */

static bool revoke_one(X509_CRL *crl, const struct pki_issued *row)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_INTEGER *serial = NULL;
	ASN1_TIME *date = ASN1_TIME_set(NULL, (time_t)row->revoked.s);
	BIGNUM *n = NULL;
	bool good;

	if (BN_hex2bn(&n, row->serial) > 0)
		serial = BN_to_ASN1_INTEGER(n, NULL);
	good = r && serial && date && X509_REVOKED_set_serialNumber(r, serial) == 1 &&
	       X509_REVOKED_set_revocationDate(r, date) == 1 && X509_CRL_add0_revoked(crl, r) == 1;
	if (!good)
		X509_REVOKED_free(r);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(date);
	BN_free(n);
	return good;
}

/* Revoked ones stay on the list for good: section 3.3 would let them go one CRL after they
 * expired, but a peer whose clock is wrong takes them for valid. */
static bool revoke_all(X509_CRL *crl, const struct index *x)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->row[i].revoked.s != 0 && !revoke_one(crl, &x->row[i]))
			return false;
	return X509_CRL_sort(crl) == 1;
}

static bool crl_frame(X509_CRL *crl, X509 *ca, wall_t now, wall_t next_update)
{
	ASN1_TIME *this = ASN1_TIME_set(NULL, (time_t)now.s);
	ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)next_update.s);
	bool good = this && next && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
		    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
		    X509_CRL_set1_lastUpdate(crl, this) == 1 &&
		    X509_CRL_set1_nextUpdate(crl, next) == 1;

	ASN1_TIME_free(this);
	ASN1_TIME_free(next);
	return good;
}

static bool crl_extensions(X509_CRL *crl, X509 *ca, uint64_t number)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool good;

	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	good = n && ext && ASN1_INTEGER_set_uint64(n, number) == 1 &&
	       X509_CRL_add_ext(crl, ext, -1) == 1 &&
	       X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, X509V3_ADD_DEFAULT) == 1;
	X509_EXTENSION_free(ext);
	ASN1_INTEGER_free(n);
	return good;
}

static int write_crl(BIO *bio, const void *what)
{
	return PEM_write_bio_X509_CRL(bio, what);
}

enum status crl_make(const struct index *x, X509 *ca, EVP_PKEY *key, wall_t now, wall_t next_update,
		     struct text *why, struct pki_blob *ret_pem)
{
	X509_CRL *crl = X509_CRL_new();
	enum status st;

	if (!crl || !crl_frame(crl, ca, now, next_update) ||
	    !crl_extensions(crl, ca, x->crl_number) || !revoke_all(crl, x) ||
	    X509_CRL_sign(crl, key, key_digest(key)) <= 0)
		st = pki_libcrypto("making a CRL", why);
	else
		st = pem_of(write_crl, crl, why, ret_pem);
	X509_CRL_free(crl);
	return st;
}
