#include <openssl/x509v3.h>

#include "crypto/openssl/internal.h"
#include "pki/blocks.h"
#include "pki/pki.h"

/* The order of strongSwan's and of RFC 4514's readers' files: as encoded, most general first. */
#define NAME_FLAGS (ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN)

void explain_name(const X509_NAME *name, struct text *t)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char buf[160];
	int n;

	if (!bio || X509_NAME_print_ex(bio, name, 0, NAME_FLAGS) < 0) {
		BIO_free(bio);
		text_add(t, "(unreadable name)");
		return;
	}
	n = BIO_read(bio, buf, sizeof(buf) - 1);
	/* libcrypto escapes already; this is for the day when it does not. */
	for (int i = 0; i < n; i++) {
		if (buf[i] < 0x20 || buf[i] > 0x7e)
			buf[i] = '?';
	}
	buf[n > 0 ? n : 0] = '\0';
	text_add(t, n > 0 ? buf : "(empty name)");
	if (BIO_pending(bio) > 0)
		text_add(t, "...");
	BIO_free(bio);
}

void explain_string(const ASN1_STRING *s, struct text *t)
{
	text_quote(t, bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
}

wall_t asn1_wall(const ASN1_TIME *t)
{
	struct tm tm;

	/* An unreadable time lies in no validity: libcrypto refuses the path before we ask. */
	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return (wall_t){ 0 };
	return (wall_t){ timegm(&tm) };
}

/* ---- paths -------------------------------------------------------------------------------- */

void explain_cert(X509 *cert, struct text *t)
{
	text_add(t, "certificate \"");
	explain_name(X509_get_subject_name(cert), t);
	text_add(t, "\"");
}

static void explain_validity(X509 *cert, bool expired, wall_t at, struct text *t)
{
	explain_cert(cert, t);
	text_add(t, expired ? " expired " : " is not valid before ");
	pki_time_text(t, asn1_wall(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert)));
	text_add(t, ", now ");
	pki_time_text(t, at);
}

static X509 *anchor_named(const struct trust_entry *trust, const X509_NAME *name)
{
	for (int i = 0; i < sk_X509_num(trust->certs); i++) {
		X509 *a = sk_X509_value(trust->certs, i);

		if (X509_NAME_cmp(X509_get_subject_name(a), name) == 0)
			return a;
	}
	return NULL;
}

void explain_anchors(const struct trust_entry *trust, struct text *t)
{
	text_add(t, "trusted:");
	for (int i = 0; i < sk_X509_num(trust->certs); i++) {
		text_add(t, i ? ", \"" : " \"");
		explain_name(X509_get_subject_name(sk_X509_value(trust->certs, i)), t);
		text_add(t, "\"");
	}
}

/* Nothing that we trust issued the last certificate of the path. */
static void explain_foreign(X509 *cert, const struct trust_entry *trust, struct text *t)
{
	const X509_NAME *issuer = X509_get_issuer_name(cert);

	text_add(t, "issuer \"");
	explain_name(issuer, t);
	text_add(t, "\" of ");
	explain_cert(cert, t);
	if (anchor_named(trust, issuer)) {
		text_add(t, " has the name of a trust anchor but another key");
		return;
	}
	text_add(t, " is neither a trust anchor nor among the certificates sent; ");
	explain_anchors(trust, t);
}

static void explain_weak_key(X509 *cert, struct text *t)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);

	text_add(t, "key of ");
	explain_cert(cert, t);
	text_add(t, " is ");
	if (key)
		key_describe(key, t);
	else
		text_add(t, "unreadable");
	text_add(t, ", too weak: RSA needs 2048 bits, EC 224");
}

static void explain_weak_hash(X509 *cert, struct text *t)
{
	explain_cert(cert, t);
	text_fmt(t, " is signed with %s, too weak: SHA2-256 or better is needed",
		 OBJ_nid2ln(X509_get_signature_nid(cert)));
}

static void explain_blocks(STACK_OF(X509) * path, int at, struct text *t)
{
	char buf[80], ignored[8];
	struct text blocks = TEXT_OF(buf), why = TEXT_OF(ignored);
	struct pki_blocks b = { 0 };
	bool has;

	if (pki_blocks_of_path(path, at, &why, &has, &b) != ST_OK)
		return;
	pki_blocks_text(&blocks, &b);
	text_fmt(t, " (%s)", buf);
}

/* The next below that spells out its blocks. */
static int blocks_below(STACK_OF(X509) * path, int at)
{
	while (--at > 0) {
		X509 *cert = sk_X509_value(path, at);
		IPAddrBlocks *blocks = X509_get_ext_d2i(cert, NID_sbgp_ipAddrBlock, NULL, NULL);
		bool spelled = blocks && !X509v3_addr_inherits(blocks);

		sk_IPAddressFamily_pop_free(blocks, IPAddressFamily_free);
		if (spelled)
			return at;
	}
	return 0;
}

/* RFC 3779 section 2.3.  libcrypto names the issuer that has less. */
static void explain_unnested(X509_STORE_CTX *ctx, X509 *issuer, struct text *t)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	int at = sk_X509_find(path, issuer), below = blocks_below(path, at);

	text_add(t, "address blocks of ");
	explain_cert(sk_X509_value(path, below), t);
	explain_blocks(path, below, t);
	text_add(t, " are not all in those of ");
	explain_cert(issuer, t);
	/* Its error depth may lie behind the end: not to be used. */
	if (at >= 0)
		explain_blocks(path, at, t);
}

static void explain_other(X509 *cert, int err, struct text *t)
{
	explain_cert(cert, t);
	text_fmt(t, ": %s", X509_verify_cert_error_string(err));
}

void explain_path(X509_STORE_CTX *ctx, const struct trust_entry *trust, wall_t at, struct text *t)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	int err = X509_STORE_CTX_get_error(ctx);

	if (!cert) {
		text_add(t, X509_verify_cert_error_string(err));
		return;
	}
	switch (err) {
	case X509_V_ERR_CERT_HAS_EXPIRED: explain_validity(cert, true, at, t); return;
	case X509_V_ERR_CERT_NOT_YET_VALID: explain_validity(cert, false, at, t); return;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: explain_foreign(cert, trust, t); return;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL: explain_weak_key(cert, t); return;
	case X509_V_ERR_UNNESTED_RESOURCE: explain_unnested(ctx, cert, t); return;
	case X509_V_ERR_CA_MD_TOO_WEAK: explain_weak_hash(cert, t); return;
	default: explain_other(cert, err, t); return;
	}
}
