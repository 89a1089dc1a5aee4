#include "crypto/openssl/internal.h"

#include <assert.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "pki/blocks.h"

/* RFC 5280 section 4.1.2.2. */
enum { SERIAL_MAX = 20 };

/* Signatures of an EC key on a named curve fit, DER included. */
enum { DER_SIGNATURE_MAX = 160 };

/* One verification: what comes in, and what its steps find. */
struct check {
	const struct crypto_verify_in *in;
	const struct trust_entry *trust;
	struct kit *kit;
	struct text *why;
	X509 *leaf;
	STACK_OF(X509) * others; /* what the peer sent besides */
	X509_STORE_CTX *path;
	EVP_PKEY *key; /* of the leaf */
	struct key_kind kind; /* its */
	enum crypto_fault fault; /* what a refusal now would be for */
};

static void check_done(struct check *c)
{
	X509_STORE_CTX_free(c->path);
	X509_free(c->leaf);
	sk_X509_pop_free(c->others, X509_free);
}

/* ---- certificates as sent ----------------------------------------------------------------- */

static enum status parse_cert(struct check *c, size_t i, X509 **ret_cert)
{
	struct bytes der = c->in->certs[i];
	const uint8_t *p = der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.n);

	if (cert && p == der.p + der.n) {
		*ret_cert = cert;
		return ST_OK;
	}
	text_fmt(c->why, "certificate %zu of %zu sent by the peer %s", i + 1, c->in->n_certs,
		 cert ? "is followed by other bytes" : "cannot be read");
	X509_free(cert);
	return ST_REFUSE;
}

static enum status parse_certs(struct check *c)
{
	enum status st;

	if (c->in->n_certs == 0 || c->in->n_certs > CRYPTO_CERTS_MAX) {
		text_fmt(c->why, "peer sent %zu certificates; 1 to %d are accepted", c->in->n_certs,
			 CRYPTO_CERTS_MAX);
		return ST_REFUSE;
	}
	c->others = sk_X509_new_reserve(NULL, CRYPTO_CERTS_MAX);
	if (!c->others)
		return ST_NOMEM;
	st = parse_cert(c, 0, &c->leaf);
	for (size_t i = 1; st == ST_OK && i < c->in->n_certs; i++) {
		X509 *cert;

		st = parse_cert(c, i, &cert);
		if (st == ST_OK)
			sk_X509_push(c->others, cert);
	}
	return st;
}

/* ---- the leaf by itself ------------------------------------------------------------------- */

/* RFC 4945 section 5.1.3.2. */
static enum status check_key_usage(struct check *c)
{
	uint32_t usage = X509_get_key_usage(c->leaf);

	/* All ones when the extension is absent. */
	if (usage & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION))
		return ST_OK;
	text_add(c->why, "key usage of certificate \"");
	explain_name(X509_get_subject_name(c->leaf), c->why);
	text_add(c->why, "\" has neither digitalSignature nor nonRepudiation");
	return ST_REFUSE;
}

/* RFC 4945 section 5.1.3.12, and what CAs for other purposes put where IKE is meant as well. */
static bool purpose_fits(const ASN1_OBJECT *purpose)
{
	/* id-kp-ipsecIKE, and the ikeIntermediate of ISAKMP days that has no NID */
	static const char ike_intermediate[] = "1.3.6.1.5.5.8.2.2";
	char oid[32];

	switch (OBJ_obj2nid(purpose)) {
	case NID_ipsec_IKE:
	case NID_anyExtendedKeyUsage:
	case NID_server_auth:
	case NID_client_auth: return true;
	default: break;
	}
	return OBJ_obj2txt(oid, sizeof(oid), purpose, 1) > 0 && strcmp(oid, ike_intermediate) == 0;
}

static enum status check_extended_usage(struct check *c)
{
	EXTENDED_KEY_USAGE *eku;
	bool fits = false;

	if (!(X509_get_extension_flags(c->leaf) & EXFLAG_XKUSAGE))
		return ST_OK;
	eku = X509_get_ext_d2i(c->leaf, NID_ext_key_usage, NULL, NULL);
	for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++)
		fits = fits || purpose_fits(sk_ASN1_OBJECT_value(eku, i));
	EXTENDED_KEY_USAGE_free(eku);
	if (fits)
		return ST_OK;
	text_add(c->why, "extended key usage of certificate \"");
	explain_name(X509_get_subject_name(c->leaf), c->why);
	text_add(c->why, "\" allows neither ipsecIKE, any, serverAuth nor clientAuth");
	return ST_REFUSE;
}

static enum status check_leaf(struct check *c)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(c->leaf);
	enum status st;

	c->key = X509_get0_pubkey(c->leaf);
	if (!c->key || !key_kind_of(c->key, &c->kind)) {
		text_add(c->why, "key of the peer's certificate is ");
		if (c->key)
			key_describe(c->key, c->why);
		else
			text_add(c->why, "unreadable");
		text_add(c->why, "; accepted: " KEYS_ACCEPTED);
		return ST_REFUSE;
	}
	if (ASN1_STRING_length(serial) > SERIAL_MAX) {
		text_fmt(c->why, "serial number of the peer's certificate has %d bytes, at most %d",
			 ASN1_STRING_length(serial), SERIAL_MAX);
		return ST_REFUSE;
	}
	st = check_key_usage(c);
	return st == ST_OK ? check_extended_usage(c) : st;
}

/* ---- the path ----------------------------------------------------------------------------- */

static enum status path_begin(struct check *c)
{
	X509_VERIFY_PARAM *param;

	c->path = X509_STORE_CTX_new();
	if (!c->path || X509_STORE_CTX_init(c->path, c->trust->anchors, c->leaf, c->others) != 1)
		return ST_NOMEM;
	param = X509_STORE_CTX_get0_param(c->path);
	X509_VERIFY_PARAM_set_time(param, (time_t)c->in->at.s);
	return ST_OK;
}

static enum crypto_fault path_fault(const struct check *c)
{
	switch (X509_STORE_CTX_get_error(c->path)) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID: return CRYPTO_FAULT_DATES;
	default: return CRYPTO_FAULT_CERTIFICATE;
	}
}

/*
 * libcrypto demands of every issuer between leaf and anchor basicConstraints (RFC 5280 section
 * 6.1.4 k), keyCertSign, a path length that suffices, its name constraints and RFC 3779 blocks, and
 * of every EC key a named curve; the store's parameters add key and hash strength.
 */
static enum status check_path(struct check *c)
{
	enum status st;

	if (!c->in->at_known) {
		c->fault = CRYPTO_FAULT_DATES;
		text_add(c->why, "our clock is not trusted yet, so no certificate's validity can "
				 "be checked");
		return ST_REFUSE;
	}
	st = path_begin(c);
	if (st != ST_OK)
		return st;
	if (X509_verify_cert(c->path) != 1) {
		if (X509_STORE_CTX_get_error(c->path) == X509_V_ERR_OUT_OF_MEM)
			return ST_NOMEM;
		c->fault = path_fault(c);
		explain_path(c->path, c->trust, c->in->at, c->why);
		return ST_REFUSE;
	}
	return crl_check(c->trust, X509_STORE_CTX_get0_chain(c->path), c->in->at, &c->fault,
			 c->why);
}

/* ---- the signature ------------------------------------------------------------------------ */

/* A signature as libcrypto wants it. */
struct signature {
	struct crypto_sigalg alg;
	struct bytes b; /* ECDSA: DER */
	uint8_t buf[DER_SIGNATURE_MAX];
};

/* The name of an algorithm that we do not take. */
static void explain_algorithm(struct bytes algorithm, struct text *why)
{
	const uint8_t *p = algorithm.p;
	X509_ALGOR *alg = d2i_X509_ALGOR(NULL, &p, (long)algorithm.n);
	const ASN1_OBJECT *oid = NULL;
	char name[80];

	if (alg)
		X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (oid && OBJ_obj2txt(name, sizeof(name), oid, 0) > 0)
		text_fmt(why, "signature algorithm %s is not accepted", name);
	else
		text_add(why, "signature algorithm is not an AlgorithmIdentifier");
	text_add(why, "; ECDSA, RSASSA-PSS and RSA with SHA-256, SHA-384 and SHA-512, Ed25519 and "
		      "Ed448 are");
	X509_ALGOR_free(alg);
}

/* RFC 7427 section 3: length | AlgorithmIdentifier | signature. */
static enum status read_rfc7427(struct check *c, struct signature *sig)
{
	struct cur in = cur_of(c->in->signature);
	struct bytes der = cur_take(&in, cur_u8(&in));
	size_t before = c->why->n;

	sig->b = cur_rest(&in);
	if (in.err || der.n == 0) {
		text_add(c->why, "AUTH data ends inside its AlgorithmIdentifier");
		return ST_REFUSE;
	}
	if (crypto_sigalg_read(der, c->why, &sig->alg) != ST_OK) {
		if (c->why->n == before)
			explain_algorithm(der, c->why);
		return ST_REFUSE;
	}
	if (key_kind_signs(&c->kind, sig->alg.scheme))
		return ST_OK;
	text_add(c->why,
		 "signature algorithm of AUTH does not go with the certificate's key, which "
		 "is ");
	key_describe(c->key, c->why);
	return ST_REFUSE;
}

/* RFC 4754 section 3: curve, hash and length come with the method. */
static enum status read_rfc4754(struct check *c, struct signature *sig)
{
	const struct curve *curve = c->kind.curve;
	enum status st;
	size_t n = 0;

	if (!curve || c->in->method != curve->method) {
		text_fmt(c->why, "auth method %u does not go with the certificate's key, which is ",
			 c->in->method);
		key_describe(c->key, c->why);
		if (curve)
			text_fmt(c->why, ": its method is %u", curve->method);
		return ST_REFUSE;
	}
	st = ecdsa_raw_to_der(curve, c->in->signature, sig->buf, sizeof(sig->buf), &n);
	if (st == ST_REFUSE)
		text_fmt(c->why, "signature has %zu bytes, method %u needs %u", c->in->signature.n,
			 c->in->method, 2u * curve->field);
	sig->alg = (struct crypto_sigalg){ CRYPTO_ECDSA, curve->hash };
	sig->b = bytes_of(sig->buf, n);
	return st;
}

static enum status read_signature(struct check *c, struct signature *sig)
{
	switch (c->in->method) {
	case AUTH_SIGNATURE: return read_rfc7427(c, sig);
	case AUTH_ECDSA_256:
	case AUTH_ECDSA_384:
	case AUTH_ECDSA_521: return read_rfc4754(c, sig);
	default:
		text_fmt(
			c->why, "auth method %u is not accepted with certificates%s", c->in->method,
			c->in->method == AUTH_RSA
				? ": RSA without a negotiated hash, which by default is SHA-1; RSA "
				  "keys need digital signatures (RFC 7427)"
				: "");
		return ST_REFUSE;
	}
}

static enum status verify_hash(struct check *c, const struct signature *sig, bool *ret_good)
{
	uint8_t digest[CRYPTO_HASH_MAX];
	EVP_PKEY_CTX *ctx;
	enum status st = ops_hash(c->kit->ops, sig->alg.hash, c->in->octets, digest);

	if (st != ST_OK)
		return st;
	ctx = EVP_PKEY_CTX_new(c->key, NULL);
	if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
		st = ST_BUG;
	if (st == ST_OK && c->kind.type == KEY_RSA)
		st = rsa_padding(ctx, sig->alg);
	if (st == ST_OK)
		*ret_good = EVP_PKEY_verify(ctx, sig->b.p, sig->b.n, digest,
					    crypto_hash_len(sig->alg.hash)) == 1;
	EVP_PKEY_CTX_free(ctx);
	return st;
}

static enum status verify_message(struct check *c, const struct signature *sig, bool *ret_good)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ready = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, c->key) == 1;

	if (ready)
		*ret_good = EVP_DigestVerify(ctx, sig->b.p, sig->b.n, c->in->octets.p,
					     c->in->octets.n) == 1;
	EVP_MD_CTX_free(ctx);
	return ready ? ST_OK : ST_BUG;
}

static enum status check_signature(struct check *c, const struct signature *sig)
{
	bool good = false;
	enum status st = sig->alg.hash == CRYPTO_IDENTITY ? verify_message(c, sig, &good)
							  : verify_hash(c, sig, &good);

	if (st != ST_OK || good)
		return st;
	text_add(c->why, "AUTH does not verify with the key of certificate \"");
	explain_name(X509_get_subject_name(c->leaf), c->why);
	text_add(c->why, "\"");
	return ST_REFUSE;
}

/* ---- what we keep ------------------------------------------------------------------------- */

static void note_validity(struct check *c, struct crypto_cert_facts *facts)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(c->path);

	facts->not_before = (wall_t){ INT64_MIN };
	facts->not_after = (wall_t){ INT64_MAX };
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);
		wall_t from = asn1_wall(X509_get0_notBefore(cert));
		wall_t until = asn1_wall(X509_get0_notAfter(cert));

		if (from.s > facts->not_before.s)
			facts->not_before = from;
		if (until.s < facts->not_after.s)
			facts->not_after = until;
	}
}

/* The anchor at the end has none: nobody revokes it, unless it is the peer's own. */
static enum status note_revocation_ids(struct check *c, struct crypto_cert_facts *facts)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(c->path);
	size_t n = 0;

	do {
		X509 *cert = sk_X509_value(chain, (int)n);

		if (revocation_id(c->trust, X509_get_issuer_name(cert),
				  X509_get0_serialNumber(cert),
				  facts->revocation_ids[n++]) != ST_OK)
			return ST_NOMEM;
	} while (n < CRYPTO_CERTS_MAX && (int)n < sk_X509_num(chain) - 1);
	facts->n_revocation_ids = (uint8_t)n;
	return ST_OK;
}

static enum status note_facts(struct check *c, struct crypto_sigalg alg,
			      struct crypto_cert_facts *facts)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(c->leaf);
	struct text auth = TEXT_OF(facts->auth);

	note_validity(c, facts);
	facts->serial_len = (uint8_t)ASN1_STRING_length(serial);
	memcpy(facts->serial, ASN1_STRING_get0_data(serial), facts->serial_len);
	auth_text(&auth, &c->kind, alg);
	if (note_revocation_ids(c, facts) != ST_OK)
		return ST_NOMEM;
	return ops_hash(c->kit->ops, CRYPTO_SHA2_256, c->in->certs[0], facts->fingerprint);
}

static_assert((int)CRYPTO_BLOCKS_MAX == (int)PKI_BLOCKS_MAX, "blocks of a certificate all fit");

/* The path's own checks made sure that its issuers may give them out. */
static enum status note_blocks(struct check *c, struct crypto_cert_facts *facts)
{
	char buf[CRYPTO_REASON_MAX];
	struct text why = TEXT_OF(buf);
	struct pki_blocks b;
	enum status st = pki_blocks_of_path(X509_STORE_CTX_get0_chain(c->path), 0, &why,
					    &facts->has_blocks, &b);

	if (st != ST_OK) {
		explain_cert(c->leaf, c->why);
		text_fmt(c->why, ": %s", buf);
		return libcrypto_status(ST_REFUSE);
	}
	facts->n_blocks = (uint16_t)b.n;
	memcpy(facts->blocks, b.range, b.n * sizeof(b.range[0]));
	return ST_OK;
}

/* The order is that of an operator's questions; each step refuses with its own reason. */
static enum status run_checks(struct check *c, struct crypto_cert_facts *facts)
{
	struct signature sig = { 0 };
	enum status st;

	c->fault = CRYPTO_FAULT_CERTIFICATE;
	st = parse_certs(c);
	if (st == ST_OK)
		st = check_path(c);
	if (st == ST_OK)
		st = check_leaf(c);
	if (st == ST_OK)
		st = note_blocks(c, facts);
	if (st != ST_OK)
		return st;
	c->fault = CRYPTO_FAULT_IDENTITY;
	st = identity_check(c->leaf, c->in->id_type, c->in->id, c->why);
	if (st != ST_OK)
		return st;
	c->fault = CRYPTO_FAULT_SIGNATURE;
	st = read_signature(c, &sig);
	if (st == ST_OK)
		st = check_signature(c, &sig);
	return st == ST_OK ? note_facts(c, sig.alg, facts) : st;
}

enum status verify_auth(struct crypto_store *s, struct kit *k, const struct crypto_verify_in *in,
			struct crypto_result *ret, struct text *why)
{
	const struct entry *e = store_find(s, in->trust, ENTRY_TRUST);
	struct check c = { .in = in, .kit = k, .why = why };
	enum status st;

	if (!e) {
		text_fmt(why, "no trust anchors under reference %u", in->trust);
		return ST_BUG;
	}
	c.trust = &e->trust;
	st = run_checks(&c, &ret->cert);
	ret->fault = c.fault;
	check_done(&c);
	return st;
}
