/*
 * crl.c - certificate revocation lists (RFC 5280 section 5).
 *
 * CRLs come with the trust anchors, from the operator.  Those by an anchor are verified once, when
 * they are loaded, and not again for every peer; what may be wrong with them is said when the
 * configuration is read.  Those by an authority below are verified with the certificate that its
 * path has, which comes with the peer (section 6.3.3 f and g: issuer of the certificate, and of the
 * list).  Kept out are lists that say less than they seem to: deltas, those limited to some
 * certificates or reasons, and any with a critical extension.  What remains of section 6.3.3 is to
 * look for the serial number, and the dates, at the moment of the job.
 *
 * The end entity's issuer must have a list; what is between it and the anchor is held against those
 * that there are.
 */
#include "crypto/openssl/internal.h"
#include "pki/pki.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

/* ---- what may be loaded ------------------------------------------------------------------- */

static void begin(const X509_CRL *crl, const char *name, struct text *why)
{
	text_fmt(why, "%s: the CRL of \"", name);
	explain_name(X509_CRL_get_issuer(crl), why);
	text_add(why, "\" ");
}

static enum status refuse(const X509_CRL *crl, const char *name, const char *what, struct text *why)
{
	begin(crl, name, why);
	text_add(why, what);
	return libcrypto_status(ST_INVAL);
}

static bool any_critical(const STACK_OF(X509_EXTENSION) * exts)
{
	for (int i = 0; i < sk_X509_EXTENSION_num(exts); i++)
		if (X509_EXTENSION_get_critical(sk_X509_EXTENSION_value(exts, i)))
			return true;
	return false;
}

/* RFC 5280 section 5.3: an entry with a critical extension nobody understands (certificateIssuer
 * of an indirect CRL is one) must not be used, and makes the whole list useless. */
static bool critical_entry(X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *rows = X509_CRL_get_REVOKED(crl);

	for (int i = 0; i < sk_X509_REVOKED_num(rows); i++)
		if (any_critical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(rows, i))))
			return true;
	return false;
}

static bool weak_hash(const X509_CRL *crl)
{
	int md = NID_undef;

	return OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &md, NULL) != 1 ||
	       md == NID_md5 || md == NID_sha1 || md == NID_undef;
}

static enum status check_form(X509_CRL *crl, const char *name, struct text *why)
{
	if (!X509_CRL_get0_nextUpdate(crl))
		return refuse(crl, name, "does not say until when it holds (nextUpdate)", why);
	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		return refuse(crl, name, "is a delta: a full one is needed", why);
	if (X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0)
		return refuse(crl, name,
			      "is limited to some certificates (issuingDistributionPoint): a full "
			      "one is needed",
			      why);
	if (any_critical(X509_CRL_get0_extensions(crl)) || critical_entry(crl))
		return refuse(crl, name, "has a critical extension that is not understood", why);
	if (weak_hash(crl))
		return refuse(crl, name, "is signed with a hash that is too weak", why);
	return ST_OK;
}

enum signed_by { SIGNED_BY_NOBODY, SIGNED_BY_OTHER_KEY, SIGNED_WITHOUT_RIGHT, SIGNED_WELL };

static enum signed_by try_issuer(X509_CRL *crl, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);

	if (X509_NAME_cmp(X509_get_subject_name(issuer), X509_CRL_get_issuer(crl)) != 0)
		return SIGNED_BY_NOBODY;
	if (!key || X509_CRL_verify(crl, key) != 1)
		return SIGNED_BY_OTHER_KEY;
	/* All ones when the extension is absent. */
	return X509_get_key_usage(issuer) & KU_CRL_SIGN ? SIGNED_WELL : SIGNED_WITHOUT_RIGHT;
}

/* RFC 5280 section 6.3.3 (f), (g), for anchors; who has another name is asked in crl_check(). */
static enum status check_issuer(const struct trust_entry *t, X509_CRL *crl, const char *name,
				struct text *why)
{
	enum signed_by best = SIGNED_BY_NOBODY;

	for (int i = 0; i < sk_X509_num(t->certs); i++) {
		enum signed_by by = try_issuer(crl, sk_X509_value(t->certs, i));

		best = by > best ? by : best;
	}
	switch (best) {
	case SIGNED_WITHOUT_RIGHT:
		return refuse(crl, name, "is signed by an anchor without the right to (cRLSign)",
			      why);
	case SIGNED_BY_OTHER_KEY:
		return refuse(crl, name, "is signed by another key than the anchor of that name",
			      why);
	case SIGNED_BY_NOBODY:
	case SIGNED_WELL: break;
	}
	return libcrypto_status(ST_OK);
}

static X509_CRL *crl_of(const struct trust_entry *t, const X509_NAME *issuer)
{
	for (int i = 0; i < sk_X509_CRL_num(t->crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(t->crls, i);

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), issuer) == 0)
			return crl;
	}
	return NULL;
}

static enum status check_one(const struct trust_entry *t, X509_CRL *crl, const char *name,
			     struct text *why)
{
	enum status st = check_form(crl, name, why);

	if (st == ST_OK && crl_of(t, X509_CRL_get_issuer(crl)) != crl)
		st = refuse(crl, name, "is there twice", why);
	return st == ST_OK ? check_issuer(t, crl, name, why) : st;
}

/* ---- ids ---------------------------------------------------------------------------------- */

/* Names may be equal and encoded differently: the anchor's encoding stands for all. */
static const X509_NAME *one_spelling(const struct trust_entry *t, const X509_NAME *issuer)
{
	for (int i = 0; i < sk_X509_num(t->certs); i++) {
		const X509_NAME *name = X509_get_subject_name(sk_X509_value(t->certs, i));

		if (X509_NAME_cmp(name, issuer) == 0)
			return name;
	}
	return issuer;
}

/* The DER of the serial number follows that of the name: no two pairs give the same bytes. */
enum status revocation_id(const struct trust_entry *t, const X509_NAME *issuer,
			  const ASN1_INTEGER *serial, uint8_t ret[static CRYPTO_REVOCATION_ID])
{
	uint8_t *name = NULL, *number = NULL;
	int n = i2d_X509_NAME(one_spelling(t, issuer), &name),
	    m = i2d_ASN1_INTEGER(serial, &number);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && n > 0 && m > 0 && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(ctx, name, (size_t)n) == 1 &&
		  EVP_DigestUpdate(ctx, number, (size_t)m) == 1 &&
		  EVP_DigestFinal_ex(ctx, ret, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	OPENSSL_free(name);
	OPENSSL_free(number);
	return ok ? ST_OK : libcrypto_status(ST_NOMEM);
}

static int cmp_ids(const void *a, const void *b)
{
	return memcmp(a, b, CRYPTO_REVOCATION_ID);
}

static size_t count_rows(const struct trust_entry *t)
{
	size_t n = 0;

	for (int i = 0; i < sk_X509_CRL_num(t->crls); i++) {
		int rows = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(sk_X509_CRL_value(t->crls, i)));

		n += rows > 0 ? (size_t)rows : 0;
	}
	return n;
}

static enum status add_ids(struct trust_entry *t, X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *rows = X509_CRL_get_REVOKED(crl);
	enum status st = ST_OK;

	for (int i = 0; st == ST_OK && i < sk_X509_REVOKED_num(rows); i++)
		st = revocation_id(t, X509_CRL_get_issuer(crl),
				   X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(rows, i)),
				   t->revoked[t->n_revoked++]);
	return st;
}

/* Lists that are verified only with a path count, too: whoever is on one is refused either way. */
static enum status list_ids(struct trust_entry *t)
{
	size_t n = count_rows(t);
	enum status st = ST_OK;

	if (n == 0)
		return ST_OK;
	t->revoked = calloc(n, sizeof(*t->revoked));
	if (!t->revoked)
		return ST_NOMEM;
	for (int i = 0; st == ST_OK && i < sk_X509_CRL_num(t->crls); i++)
		st = add_ids(t, sk_X509_CRL_value(t->crls, i));
	qsort(t->revoked, t->n_revoked, sizeof(*t->revoked), cmp_ids);
	return st;
}

enum status crl_load(struct trust_entry *t, const struct crypto_file *file, struct text *why)
{
	enum status st;

	t->crls = sk_X509_CRL_new_null();
	if (!t->crls)
		return ST_NOMEM;
	st = pem_load_crls(file, t->crls, why);
	for (int i = 0; st == ST_OK && i < sk_X509_CRL_num(t->crls); i++)
		st = check_one(t, sk_X509_CRL_value(t->crls, i), file->name, why);
	return st == ST_OK ? list_ids(t) : st;
}

/* ---- a path held against them ------------------------------------------------------------- */

static enum status refuse_revoked(X509 *cert, X509_REVOKED *row, enum crypto_fault *fault,
				  struct text *why)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);

	*fault = CRYPTO_FAULT_REVOKED;
	explain_cert(cert, why);
	text_add(why, " was revoked on ");
	pki_time_text(why, asn1_wall(X509_REVOKED_get0_revocationDate(row)));
	text_add(why, ", serial ");
	text_hex(why, bytes_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)));
	return ST_REFUSE;
}

static enum status refuse_dates(X509_CRL *crl, bool expired, wall_t at, enum crypto_fault *fault,
				struct text *why)
{
	*fault = CRYPTO_FAULT_DATES;
	text_add(why, "the CRL of \"");
	explain_name(X509_CRL_get_issuer(crl), why);
	text_add(why, expired ? "\" is out of date since " : "\" is not valid before ");
	pki_time_text(why, asn1_wall(expired ? X509_CRL_get0_nextUpdate(crl)
					     : X509_CRL_get0_lastUpdate(crl)));
	text_add(why, ", now ");
	pki_time_text(why, at);
	text_add(why, "; replace it with that of `warren pki crl`");
	return ST_REFUSE;
}

static enum status refuse_unlisted(const struct trust_entry *t, X509 *cert, struct text *why)
{
	text_add(why, "there is no CRL of \"");
	explain_name(X509_get_issuer_name(cert), why);
	text_add(why, "\", the issuer of ");
	explain_cert(cert, why);
	text_add(why, "; there are those of ");
	for (int i = 0; i < sk_X509_CRL_num(t->crls); i++) {
		text_add(why, i > 0 ? ", \"" : "\"");
		explain_name(X509_CRL_get_issuer(sk_X509_CRL_value(t->crls, i)), why);
		text_add(why, "\"");
	}
	return ST_REFUSE;
}

static enum status refuse_signer(X509_CRL *crl, X509 *issuer, const char *what, struct text *why)
{
	text_add(why, "the CRL of \"");
	explain_name(X509_CRL_get_issuer(crl), why);
	text_fmt(why, "\" %s ", what);
	explain_cert(issuer, why);
	text_add(why, ", which the peer sent");
	return libcrypto_status(ST_REFUSE);
}

/* RFC 5280 section 6.3.3 (f), (g), for an authority below the anchors. */
static enum status check_signer(X509_CRL *crl, X509 *issuer, struct text *why)
{
	switch (try_issuer(crl, issuer)) {
	case SIGNED_WELL: return ST_OK;
	case SIGNED_WITHOUT_RIGHT:
		return refuse_signer(crl, issuer, "is signed without the right to (cRLSign) by",
				     why);
	default: return refuse_signer(crl, issuer, "is signed by another key than that of", why);
	}
}

/* `issuer`: NULL when it is an anchor, whose list was verified when it was loaded. */
static enum status check_cert(const struct trust_entry *t, X509 *cert, X509 *issuer, bool needed,
			      wall_t at, enum crypto_fault *fault, struct text *why)
{
	X509_CRL *crl = crl_of(t, X509_get_issuer_name(cert));
	X509_REVOKED *row = NULL;
	enum status st;

	if (!crl)
		return needed ? refuse_unlisted(t, cert, why) : ST_OK;
	st = issuer ? check_signer(crl, issuer, why) : ST_OK;
	if (st != ST_OK)
		return st;
	/* Listed is listed, however old the list. */
	if (X509_CRL_get0_by_cert(crl, &row, cert) != 0)
		return refuse_revoked(cert, row, fault, why);
	if (asn1_wall(X509_CRL_get0_nextUpdate(crl)).s < at.s)
		return refuse_dates(crl, true, at, fault, why);
	if (asn1_wall(X509_CRL_get0_lastUpdate(crl)).s > at.s)
		return refuse_dates(crl, false, at, fault, why);
	return ST_OK;
}

enum status crl_check(const struct trust_entry *t, STACK_OF(X509) * path, wall_t at,
		      enum crypto_fault *fault, struct text *why)
{
	int anchor = sk_X509_num(path) - 1;
	enum status st = ST_OK;

	if (!t->crls)
		return ST_OK;
	/* From above, so that nobody who was revoked vouches for a list.  Nobody revokes an anchor:
	 * who trusts it says so himself. */
	for (int i = anchor - 1; st == ST_OK && i >= 0; i--)
		st = check_cert(t, sk_X509_value(path, i),
				i + 1 < anchor ? sk_X509_value(path, i + 1) : NULL, i == 0, at,
				fault, why);
	return st;
}
