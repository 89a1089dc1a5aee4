/*
 * internal.h - how module pki is divided.
 *
 *   blocks.c    sets of addresses, and RFC 3779 extensions
 *   id.c        identities and hub names: text, subjectAltName, bytes of an ID payload
 *   key.c       private keys
 *   x509.c      pieces of X.509 as values: names, times, serial numbers, reading
 *   cert.c      certificates and CRLs, made
 *   request.c   PKCS#10, made and read
 *   armour.c    PEM, strictly: one spelling for the same bytes
 *   manifest.c  the signed part of a bundle, as bytes
 *   bundle.c    bundles put together and taken apart
 *   index.c     the list of what was issued, as text
 *   ca.c        the authority's directory;  issue.c  what it signs and revokes
 *   file.c      files
 *
 * What reads bytes of others (blocks, id, request, armour, manifest, bundle, index) opens no file.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "pki/blocks.h"
#include "pki/pki.h"

/* ---- failures ------------------------------------------------------------------------------ */

/* ST_NOMEM when that is what libcrypto complains about; otherwise ST_BUG, with `what` and its
 * complaint in `why`.  Takes its error queue. */
MUST enum status pki_libcrypto(const char *what, struct text *why);

/* ST_INVAL with the format in `why`. */
__attribute__((format(printf, 2, 3))) MUST enum status pki_refuse(struct text *why, const char *fmt,
								  ...);

/* ---- blocks.c ------------------------------------------------------------------------------ */

/* See also pki/blocks.h.  NULL: an empty set. */
MUST enum status blocks_of_ext(IPAddrBlocks *ext, struct text *why, struct pki_blocks *ret);
MUST enum status blocks_of_x509(X509 *cert, struct text *why, struct pki_blocks *ret);
/* Not for an empty set. */
MUST enum status blocks_to_ext(const struct pki_blocks *b, struct text *why,
			       IPAddrBlocks **ret_ext);

/* ---- id.c ---------------------------------------------------------------------------------- */

/* Identification Data of an ID payload; `buf` holds it. */
struct bytes id_data(const struct pki_id *id, uint8_t buf[static PKI_ID_MAX]);
/* ST_INVAL for anything but a name, a mail address or an address. */
MUST enum status id_from_data(uint8_t type, struct bytes data, struct text *why,
			      struct pki_id *ret_id);
MUST enum status id_to_names(const struct pki_id *id, struct text *why, GENERAL_NAMES **ret_names);
/* The only name of a kind we know; ST_INVAL when there is none or more than one. */
MUST enum status id_from_names(const GENERAL_NAMES *names, struct text *why, struct pki_id *ret_id);
/* A DNS name, in lower case into `ret`, or an address as it prints. */
MUST enum status host_parse(const char *s, char ret[static PKI_HOST_MAX + 1]);
bool network_name_ok(const char *s);

/* ---- key.c --------------------------------------------------------------------------------- */

struct pki_key {
	EVP_PKEY *pkey;
};

/* ST_INVAL for a type or size of key that is not accepted; `what` begins the reason. */
MUST enum status key_check(const EVP_PKEY *pkey, const char *what, struct text *why);
/* "EC P-256", "RSA of 2048 bits" */
void key_text(const EVP_PKEY *pkey, struct text *t);
/* The hash that goes with the key; NULL for EdDSA, which has none. */
const EVP_MD *key_digest(const EVP_PKEY *pkey);
/* SHA-256 of the SubjectPublicKeyInfo. */
MUST enum status key_hash(EVP_PKEY *pkey, struct text *why, uint8_t ret[static PKI_HASH]);

/* ---- x509.c -------------------------------------------------------------------------------- */

/* The whole of `der` is one certificate; `what` begins the reason. */
MUST enum status x509_of_der(struct bytes der, const char *what, struct text *why, X509 **ret_cert);
/* The first certificate of a PEM text. */
MUST enum status x509_of_pem(struct bytes pem, struct text *why, X509 **ret_cert);
MUST enum status x509_info(X509 *cert, struct text *why, struct pki_cert_info *ret);
MUST enum status x509_to_der(X509 *cert, struct text *why, struct pki_blob *ret_der);
wall_t x509_wall(const ASN1_TIME *t);
void x509_name_text(const X509_NAME *name, struct text *t);
/* The organisation (`nid`) of a name, or ""; false when it does not fit or is not ASCII. */
bool x509_name_part(const X509_NAME *name, int nid, char *ret, size_t cap);
/* The one identity; ST_INVAL when it has none. */
MUST enum status x509_id(X509 *cert, struct text *why, struct pki_id *ret_id);
void hash_of(struct bytes b, uint8_t ret[static PKI_HASH]);
/* PEM of what `write` puts into a BIO. */
MUST enum status pem_of(int (*write)(BIO *, const void *), const void *what, struct text *why,
			struct pki_blob *ret_pem);

/* ---- cert.c -------------------------------------------------------------------------------- */

enum {
	CERT_DAY = 86400,
	CERT_SKEW = 3600, /* valid from a little earlier: the clocks of sites are not exact */
	CERT_SERIAL = 8,
};

/* Positive, of full length whatever chance says: 62 random bits.  They need not be secret, and no
 * hash that could collide is in use (RFC 5280 section 4.1.2.2 wants them unique). */
MUST enum status cert_serial(uint8_t serial[static CERT_SERIAL], struct text *why);

struct cert_plan {
	const char *organisation;
	const char *common_name;
	const struct pki_id *id; /* NULL: an authority */
	const struct pki_blocks *blocks;
	struct bytes serial;
	wall_t not_before;
	wall_t not_after;
	EVP_PKEY *key; /* its own, public part */
	X509 *issuer; /* NULL: itself */
	EVP_PKEY *issuer_key;
};

MUST enum status cert_make(const struct cert_plan *p, struct text *why, X509 **ret_cert);
MUST enum status cert_pem(X509 *cert, struct text *why, struct pki_blob *ret_pem);

struct index;
/* Everything revoked in `x`. */
MUST enum status crl_make(const struct index *x, X509 *ca, EVP_PKEY *key, wall_t now,
			  wall_t next_update, struct text *why, struct pki_blob *ret_pem);

/* ---- request.c ----------------------------------------------------------------------------- */

/* Also its public key, which the caller owns. */
MUST enum status request_parse(struct bytes pem, struct text *why,
			       struct pki_request_info *ret_info, EVP_PKEY **ret_key);

/* ---- armour.c ------------------------------------------------------------------------------ */

/* A text being taken apart line by line. */
struct armour {
	struct cur in;
	unsigned line; /* of the next */
};

/* "-----BEGIN label-----", base64 in lines of 64, "-----END label-----". */
void armour_put(struct wr *w, const char *label, struct bytes data);
/* The next block, which must have this label, into memory that the caller frees. `what` is the name
 * of the block in reasons. */
MUST enum status armour_take(struct armour *a, const char *label, const char *what,
			     struct text *why, struct pki_blob *ret_data);
/* One line without its end; ST_INVAL when the text ends before a line feed does. */
MUST enum status armour_line(struct armour *a, struct bytes *ret_line);

/* ---- manifest.c ---------------------------------------------------------------------------- */

enum { MANIFEST_VERSION = 1 };

/* Encoded and signed by the authority's key. */
MUST enum status manifest_make(const struct pki_manifest *m, EVP_PKEY *key, struct text *why,
			       struct pki_blob *ret_block);

/* A block taken apart: the value, what was signed, the signature (views of the block). */
struct manifest_parts {
	struct pki_manifest m;
	struct bytes body;
	struct bytes signature;
};

MUST enum status manifest_parse(struct bytes block, struct text *why,
				struct manifest_parts *ret_parts);
MUST enum status manifest_verify(const struct manifest_parts *p, EVP_PKEY *key, bool *ret_good);

/* ---- bundle.c ------------------------------------------------------------------------------ */

MUST enum status bundle_make(const struct pki_manifest *m, X509 *cert, X509 *anchor, EVP_PKEY *key,
			     struct text *why, struct pki_blob *ret_text);

/* ---- index.c ------------------------------------------------------------------------------- */

struct index {
	uint64_t crl_number; /* of the last CRL; 0: none yet */
	size_t n;
	size_t cap;
	struct pki_issued *row;
};

MUST enum status index_parse(struct bytes text, struct text *why, struct index *ret_index);
MUST enum status index_print(const struct index *x, struct pki_blob *ret_text);
/* A copy of `row` and its prefixes. */
MUST enum status index_add(struct index *x, const struct pki_issued *row);
void index_done(struct index *x);
bool index_has_serial(const struct index *x, const char *serial);
/* Whether a line counts at a moment: neither revoked nor expired. */
bool issued_counts(const struct pki_issued *row, wall_t now);
/* Between two sites only: a hub's blocks cover theirs on purpose. */
const struct pki_issued *index_overlap(const struct index *x, const struct pki_id *id,
				       const struct pki_blocks *blocks, wall_t now);
/* One of the same identity with another key. */
const struct pki_issued *index_other_key(const struct index *x, const struct pki_id *id,
					 const uint8_t key_hash[static PKI_HASH], wall_t now);

void hex_text(struct bytes b, char *ret); /* 2n + 1 characters */
/* Lower-case digits only, an even number of them. */
MUST enum status hex_bytes(const char *s, uint8_t *ret, size_t cap, size_t *ret_n);

/* ---- ca.c ---------------------------------------------------------------------------------- */

struct pki_ca {
	char dir[3800]; /* leaves room for a file name in pki_out */
	int fd; /* of the directory, which carries the lock */
	X509 *cert;
	struct pki_key *key; /* NULL unless opened to write */
	struct index index;
	struct pki_ca_info info;
};

MUST enum status ca_save_index(struct pki_ca *ca, struct text *why);
MUST enum status ca_save(struct pki_ca *ca, const char *name, struct bytes data, struct text *why);
