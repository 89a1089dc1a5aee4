/*
 * internal.h - how the libcrypto provider is divided.
 *
 *   ops.c       inline operations: PRF, hash, seal, open on contexts kept and rekeyed
 *   ke.c        key agreement;  modp.c  the group that is no curve
 *   ecdsa.c     curves, signature encodings
 *   key.c       keys that sign: what they are, and with which algorithms
 *   sign.c      AUTH by private key or pre-shared key
 *   verify.c    AUTH of a peer: path, usage, identity, signature, in this order
 *   identity.c  whether a certificate is for an identity
 *   explain.c   certificates and path errors as text for the operator
 *   store.c     the store, its entries by reference and by name, kits
 *   secrets.c   private and pre-shared keys in it;  trust.c  anchors;  crl.c  what they revoked
 *   chain.c     our own certificates
 *   pem.c       files
 *   run.c       dispatch
 *
 * A *kit* is what one running job needs to itself: contexts that libcrypto does not let two
 * threads use.  The store keeps idle kits; there are as many as jobs ever ran at once.  Everything
 * else that jobs touch (entries, curves, X509_STORE) is read-only or locked by libcrypto.
 *
 * Deprecated libcrypto calls are not used.  EC arithmetic goes through EC_POINT: making an EVP_PKEY
 * from bytes costs more than the multiplication it is made for.
 */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>

#include "crypto/openssl/crypto_openssl.h"
#include "crypto/sigalg.h"

/* ---- curves ------------------------------------------------------------------------------- */

/* An elliptic curve as IKEv2 sees it: one row per group. */
struct curve {
	uint16_t group; /* RFC 5903 */
	uint16_t hash; /* RFC 4754 ties it to the curve; our own choice with RFC 7427 */
	uint8_t method; /* auth method of RFC 4754 */
	uint8_t field; /* bytes of a coordinate, and of the order */
	int nid;
	const char *name; /* for people */
	const char *auth; /* for crypto_cert_facts */
};

enum { CURVES = 3, FIELD_MAX = 66 };
extern const struct curve curves[CURVES];

/* The same refusal for every group. */
MUST enum status ke_bad_length(struct bytes peer, size_t want, struct text *why);

/* NULL when it is none of ours. */
const struct curve *curve_by_group(uint16_t group);
const struct curve *curve_of_key(const EVP_PKEY *key);

/* ---- keys that sign ----------------------------------------------------------------------- */

enum key_type { KEY_EC = 1, KEY_RSA, KEY_ED25519, KEY_ED448 };

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 }; /* RFC 8247 section 3.1.1 */

/* A key, ours or a peer's, that AUTH can be made with. */
struct key_kind {
	enum key_type type;
	const struct curve *curve; /* EC */
	unsigned bits; /* RSA: of the modulus */
};

/* What such keys are, for people. */
#define KEYS_ACCEPTED "EC P-256, P-384, P-521, RSA of 2048 to 8192 bits, Ed25519, Ed448"

/* False when it is none of these. */
bool key_kind_of(const EVP_PKEY *key, struct key_kind *ret_kind);
/* Whether that is an algorithm of such a key. */
bool key_kind_signs(const struct key_kind *k, enum crypto_scheme scheme);

/* An EC key whose domain parameters are spelled out is none of ours, whatever they are: RFC 5480
 * section 2.1.1 allows named curves only. */
bool key_has_explicit_parameters(const EVP_PKEY *key);

/* "EC P-256", "RSA of 1024 bits", ... */
void key_describe(const EVP_PKEY *key, struct text *t);
const char *hash_name(uint16_t hash);

/* ---- kits and entries --------------------------------------------------------------------- */

struct kit {
	struct kit *next;
	struct crypto_openssl *ops;
	EVP_PKEY_CTX *x25519_keygen;
	EVP_PKEY_CTX *x25519_import;
};

struct key_entry {
	EVP_PKEY *pkey;
	bool secret; /* false: public store */
	struct key_kind kind;
	EVP_PKEY_CTX *signer; /* a template, duplicated for every signature; EdDSA has none */
};

struct trust_entry {
	X509_STORE *anchors;
	STACK_OF(X509) * certs;
	struct bytes hashes;
	STACK_OF(X509_CRL) * crls; /* NULL: none are configured */
	uint8_t (*revoked)[CRYPTO_REVOCATION_ID]; /* sorted */
	size_t n_revoked;
};

enum entry_kind { ENTRY_KEY, ENTRY_PSK, ENTRY_PPK, ENTRY_TRUST };

struct entry {
	struct map_node node; /* by name, those that have one */
	enum entry_kind kind;
	crypto_ref ref;
	char *name;
	struct key_entry key;
	struct bytes psk; /* PSK, PPK; empty in a public store */
	struct trust_entry trust;
};

struct crypto_store {
	atomic_uint refs;
	bool public; /* without secrets */
	struct secret qcd_secret; /* set before jobs run; empty: none */
	crypto_ref first; /* references of this store begin behind it */
	pthread_mutex_t lock; /* over all below; what entries point to never changes */
	struct entry **entries;
	size_t n_entries;
	size_t cap_entries;
	struct map names;
	struct blob *blobs; /* certificate chains handed out as views */
	struct kit *idle;
	EC_GROUP *groups[CURVES];
	struct modp *modp;
};

MUST enum status entry_new(enum entry_kind kind, struct entry **ret_entry);
void entry_free(struct entry *e); /* takes NULL */
/* Takes over `e` in any case.  ST_INVAL: a pre-shared key of that name is there already. */
MUST enum status entry_add(struct crypto_store *s, struct entry *e, crypto_ref *ret_ref);
/* A copy that lives as long as the store. */
MUST enum status blob_add(struct crypto_store *s, struct bytes b, struct bytes *ret_copy);

/* NULL when `ref` does not name an entry of this kind. */
const struct entry *store_find(const struct crypto_store *s, crypto_ref ref, enum entry_kind kind);
const EC_GROUP *store_group(const struct crypto_store *s, const struct curve *c);
MUST enum status kit_take(struct crypto_store *s, struct kit **ret_kit);
void kit_give(struct crypto_store *s, struct kit *k);

/* ---- files -------------------------------------------------------------------------------- */

/* The private key; `public`: a public one. */
MUST enum status pem_load_key(const struct crypto_file *file, bool public, struct text *why,
			      EVP_PKEY **ret_key);
/* At least one certificate; appended to `certs`. */
MUST enum status pem_load_certs(const struct crypto_file *file, STACK_OF(X509) * certs,
				struct text *why);
/* At least one CRL; appended to `crls`. */
MUST enum status pem_load_crls(const struct crypto_file *file, STACK_OF(X509_CRL) * crls,
			       struct text *why);

/* ---- revocation --------------------------------------------------------------------------- */

/* The anchors are there already.  ST_INVAL with `why`. */
MUST enum status crl_load(struct trust_entry *t, const struct crypto_file *file, struct text *why);
/* ST_REFUSE unless nothing in `path` is revoked, by lists that hold at that moment; `fault` is
 * changed when it was one of these. */
MUST enum status crl_check(const struct trust_entry *t, STACK_OF(X509) * path, wall_t at,
			   enum crypto_fault *fault, struct text *why);
/* crypto_cert_facts.revocation_id */
MUST enum status revocation_id(const struct trust_entry *t, const X509_NAME *issuer,
			       const ASN1_INTEGER *serial,
			       uint8_t ret[static CRYPTO_REVOCATION_ID]);

/* ---- signatures --------------------------------------------------------------------------- */

enum {
	AUTH_RSA = 1,
	AUTH_PSK = 2, /* shared key message integrity code */
	AUTH_ECDSA_256 = 9, /* RFC 4754 */
	AUTH_ECDSA_384 = 10,
	AUTH_ECDSA_521 = 11,
	AUTH_SIGNATURE = 14, /* RFC 7427 */
};

/* Padding and hash of an RSA signature, made or verified, whose operation has been begun. */
MUST enum status rsa_padding(EVP_PKEY_CTX *ctx, struct crypto_sigalg alg);

/* RFC 4754 section 7: r | s, each as long as the order, to and from DER. */
MUST enum status ecdsa_raw_to_der(const struct curve *c, struct bytes raw, uint8_t *ret_der,
				  size_t cap, size_t *ret_n);
MUST enum status ecdsa_der_to_raw(const struct curve *c, struct bytes der, uint8_t *ret_raw);

/* ---- jobs --------------------------------------------------------------------------------- */

/* MODP-2048: what every agreement of the group shares. */
struct modp;
struct modp *modp_new(void); /* NULL: no memory */
void modp_free(struct modp *m);

/* Each writes its part of `ret` and, unless ST_OK, `why`. */
MUST enum status modp_generate(const struct modp *m, struct crypto_result *ret);
MUST enum status modp_derive(const struct modp *m, const struct crypto_job *job,
			     struct crypto_result *ret, struct text *why);
MUST enum status modp_respond(const struct modp *m, struct bytes peer, struct crypto_result *ret,
			      struct text *why);
MUST enum status ke_generate(struct crypto_store *s, struct kit *k, uint16_t group,
			     struct crypto_result *ret, struct text *why);
MUST enum status ke_derive(struct crypto_store *s, struct kit *k, const struct crypto_job *job,
			   struct crypto_result *ret, struct text *why);
MUST enum status ke_respond(struct crypto_store *s, struct kit *k, const struct crypto_job *job,
			    struct crypto_result *ret, struct text *why);
/* "ecdsa-p256-sha256", "rsa-3072-pss-sha256", "ed25519": what signed, for people. */
void auth_text(struct text *t, const struct key_kind *k, struct crypto_sigalg alg);
MUST enum status sign_auth(struct crypto_store *s, struct kit *k, const struct crypto_sign_in *in,
			   struct crypto_result *ret, struct text *why);
MUST enum status psk_auth(struct crypto_store *s, struct kit *k, const struct crypto_psk_in *in,
			  struct crypto_result *ret, struct text *why);
MUST enum status ppk_mix(struct crypto_store *s, struct kit *k, const struct crypto_ppk_in *in,
			 struct crypto_result *ret, struct text *why);
MUST enum status verify_auth(struct crypto_store *s, struct kit *k,
			     const struct crypto_verify_in *in, struct crypto_result *ret,
			     struct text *why);

/* ---- certificates ------------------------------------------------------------------------- */

/* ST_OK when `cert` carries the identity; otherwise ST_REFUSE with both in `why`. */
MUST enum status identity_check(X509 *cert, uint8_t id_type, struct bytes id, struct text *why);

void explain_name(const X509_NAME *name, struct text *t);
void explain_cert(X509 *cert, struct text *t); /* certificate "..." */
void explain_anchors(const struct trust_entry *trust, struct text *t); /* trusted: "...", ... */
/* `value` of GeneralName octets, escaped. */
void explain_string(const ASN1_STRING *s, struct text *t);
/* Why X509_verify_cert() on `ctx` said no. */
void explain_path(X509_STORE_CTX *ctx, const struct trust_entry *trust, wall_t at, struct text *t);
wall_t asn1_wall(const ASN1_TIME *t);

/* ST_NOMEM when libcrypto ran out of memory, otherwise `st`; takes its error queue. */
MUST enum status libcrypto_status(enum status st);

/* Inline operations, for jobs that need them. */
MUST enum status ops_hash(struct crypto_openssl *p, uint16_t hash, struct bytes in,
			  uint8_t *ret_out);
MUST enum status ops_prf(struct crypto_openssl *p, uint16_t prf, struct bytes key, struct bytes in,
			 uint8_t *ret_out);
