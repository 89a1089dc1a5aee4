/*
 * pki.h - the certificates of a network: an authority in a directory, requests made on sites, and
 * bundles that bring a site everything it needs and nothing secret.
 *
 * A certificate carries the address blocks its holder may announce (RFC 3779, not critical, so that
 * a peer that does not know them accepts it).  The authority's own certificate carries those of the
 * whole network, its *domain*; libcrypto refuses a path whose blocks do not nest.  A *bundle* is a
 * text file with the site's certificate, the authority's, and a *manifest* signed by the authority,
 * that binds the two by hash and says what a certificate cannot: role, domain, hubs.  Its format is
 * in docs/protocol/bundle.md.  Whoever hands out a bundle is believed about the authority; after
 * that nothing in it can be changed, cut or mixed with parts of another.
 *
 *   authority                                 site
 *   pki_ca_create: ca.key, ca.pem, index
 *                                             pki_key_new, pki_request_make
 *   pki_ca_sign(request)  <-- request --
 *                          -- bundle -->      pki_bundle_read
 *   pki_ca_revoke: crl.pem
 *
 * The authority's directory is the only state: `index` has a line for every certificate issued and
 * decides who may have a prefix.  It is replaced atomically, under a lock, before a bundle leaves.
 *
 * Nothing here reads a clock or asks a terminal.  Keys are EC P-256, P-384 or P-521, RSA of 2048 to
 * 8192 bits or Ed25519, as in crypto/openssl.
 * Memory comes from mem_libc.  Functions that take `why` fill it unless ST_OK or ST_NOMEM:
 * ST_INVAL for input that is not acceptable, ST_IO for the operating system, ST_BUG for libcrypto.
 *
 * Known gaps: the authority's key is not encrypted on disk; version 1 of the bundle knows no
 * intermediate authorities and a single trust anchor.
 */
#pragma once

#include "base/base.h"

enum {
	PKI_BLOCKS_MAX = 64, /* ranges in one certificate, prefixes of a domain */
	PKI_HUBS_MAX = 16,
	PKI_HOST_MAX = 253, /* RFC 1035 section 2.3.4, without the final dot */
	PKI_NAME_MAX = 32, /* of a network */
	PKI_ID_MAX = 64, /* RFC 5280 appendix A.1, ub-common-name: it is the subject's CN too */
	PKI_SERIAL_MAX = 20, /* RFC 5280 section 4.1.2.2 */
	PKI_HASH = 32, /* SHA-256 */
	PKI_FILE_MAX = 64 << 10, /* bundle, request, certificate */
	PKI_DAYS_MAX = 36500,
	PKI_CA_DAYS = 3650, /* defaults */
	PKI_SITE_DAYS = 730,
	PKI_CRL_DAYS = 365,
};

/* Bytes that somebody owns; wiped when they go. */
struct pki_blob {
	uint8_t *p;
	size_t n;
};

void pki_blob_done(struct pki_blob *b);

static inline struct bytes pki_blob_bytes(const struct pki_blob *b)
{
	return (struct bytes){ b->p, b->n };
}

/* ---- address blocks ------------------------------------------------------------------------ */

/* Canonical (RFC 3779 section 2.2.3.6): IPv4 before IPv6, ascending, neither overlapping nor
 * adjacent.  So equal sets are equal arrays. */
struct pki_blocks {
	size_t n;
	struct ip_range range[PKI_BLOCKS_MAX];
};

/* What a certificate says; n = 0 when it has no such extension.  ST_INVAL: not a certificate,
 * blocks that are not canonical, more than PKI_BLOCKS_MAX, limited to a SAFI, of another family, or
 * inherited, which one certificate alone cannot answer. */
MUST enum status pki_blocks_of_cert(struct bytes der, struct text *why, struct pki_blocks *ret);

/* Sorted and merged; at most PKI_BLOCKS_MAX prefixes, else ST_INVAL. */
MUST enum status pki_blocks_of_prefixes(const struct prefix *p, size_t n, struct pki_blocks *ret);

/* The fewest prefixes that cover exactly the blocks, ascending; 0 if there are more than `max`. */
size_t pki_blocks_prefixes(const struct pki_blocks *b, struct prefix *ret, size_t max);

bool pki_blocks_have(const struct pki_blocks *outer, const struct pki_blocks *inner);
bool pki_blocks_overlap(const struct pki_blocks *a, const struct pki_blocks *b);
/* "10.1.0.0/16, 10.3.0.1-10.3.0.9", "none" */
void pki_blocks_text(struct text *t, const struct pki_blocks *b);

/* ---- identities ---------------------------------------------------------------------------- */

/* As in an IDi payload and a subjectAltName: a name, a mail address or an IP address. */
struct pki_id {
	uint8_t type; /* RFC 7296 section 3.5: 1 IPv4, 2 FQDN, 3 mail, 5 IPv6 */
	char text[PKI_ID_MAX + 1]; /* names and mail domains in lower case */
};

MUST enum status pki_id_parse(const char *s, struct text *why, struct pki_id *ret_id);
bool pki_id_eq(const struct pki_id *a, const struct pki_id *b);
/* "FQDN", "RFC822", "IPV4", "IPV6" */
const char *pki_id_type_name(const struct pki_id *id);

/* Names or addresses under which hubs are reached. */
struct pki_hubs {
	size_t n;
	char name[PKI_HUBS_MAX][PKI_HOST_MAX + 1];
};

/* Adds one; ST_INVAL: not a host, or too many.  One that is there already is no error. */
MUST enum status pki_hubs_add(struct pki_hubs *h, const char *name, struct text *why);

/* ---- keys and requests --------------------------------------------------------------------- */

#define PKI_KEY_TYPE "ecdsa-p256" /* unless somebody asks for another */

struct pki_key;

/* "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"; NULL:
 * PKI_KEY_TYPE. */
MUST enum status pki_key_new(const char *type, struct text *why, struct pki_key **ret_key);
/* An unencrypted PEM private key. */
MUST enum status pki_key_read(struct bytes pem, struct text *why, struct pki_key **ret_key);
/* PKCS#8 PEM: secret. */
MUST enum status pki_key_pem(const struct pki_key *key, struct pki_blob *ret_pem);
void pki_key_free(struct pki_key *key);

/* PKCS#10 in PEM.  `blocks` (may be empty) is what the site wishes for. */
MUST enum status pki_request_make(const struct pki_key *key, const struct pki_id *id,
				  const struct pki_blocks *blocks, struct text *why,
				  struct pki_blob *ret_pem);

struct pki_request_info {
	bool has_id;
	struct pki_id id;
	struct pki_blocks blocks; /* asked for */
	uint8_t key_hash[PKI_HASH]; /* of the SubjectPublicKeyInfo */
	char key[40]; /* "EC P-256", "RSA of 3072 bits" */
};

/* ST_INVAL also when its signature is wrong. */
MUST enum status pki_request_read(struct bytes pem, struct text *why,
				  struct pki_request_info *ret_info);

/* ---- certificates, for people -------------------------------------------------------------- */

struct pki_cert_info {
	bool ca;
	char subject[200]; /* escaped */
	char issuer[200];
	bool has_id; /* exactly one subjectAltName of a kind we know */
	struct pki_id id;
	char serial[2 * PKI_SERIAL_MAX + 1]; /* hexadecimal */
	wall_t not_before;
	wall_t not_after;
	char key[40];
	uint8_t hash[PKI_HASH]; /* of the DER */
	struct pki_blocks blocks;
};

MUST enum status pki_cert_read_der(struct bytes der, struct text *why, struct pki_cert_info *ret);
/* The first of a PEM file. */
MUST enum status pki_cert_read_pem(struct bytes pem, struct text *why, struct pki_cert_info *ret);

/* "2026-01-31 12:00:00 UTC" */
void pki_time_text(struct text *t, wall_t at);

/* ---- bundles ------------------------------------------------------------------------------- */

enum pki_role {
	PKI_SITE = 1,
	PKI_HUB = 2,
	PKI_ENDPOINT = 3, /* nothing behind it, no blocks: its hub gives it an address */
};

const char *pki_role_name(enum pki_role role);
/* Of one of these names. */
MUST enum status pki_role_parse(const char *name, enum pki_role *ret_role);

struct pki_manifest {
	char network[PKI_NAME_MAX + 1];
	enum pki_role role;
	struct pki_id id;
	uint8_t serial[PKI_SERIAL_MAX];
	uint8_t serial_len;
	wall_t not_before; /* the certificate's */
	wall_t not_after;
	uint8_t cert_hash[PKI_HASH];
	uint8_t anchor_hash[PKI_HASH];
	size_t n_domain;
	struct prefix domain[PKI_BLOCKS_MAX];
	struct pki_hubs hubs;
};

struct pki_bundle {
	struct pki_manifest manifest;
	struct pki_blocks blocks; /* the certificate's own */
	struct bytes cert; /* DER */
	struct bytes anchor; /* DER */
	wall_t not_before; /* of both certificates: the later */
	wall_t not_after; /* the earlier */
};

/*
 * A bundle in which everything fits, or the reason why not: form, certificates, path, the
 * manifest's signature, and that certificate, anchor and manifest say the same.
 *
 * Dates are judged last and only with `now`: without it the value is what the bundle says, whenever
 * that holds (a block of the domain must go up with an expired bundle, too).  ST_AGAIN when
 * now->wall_ok is false: nothing is wrong, but whether it is valid cannot be known yet.
 */
MUST enum status pki_bundle_read(struct bytes text, const struct now *now, struct text *why,
				 struct pki_bundle **ret_bundle);
void pki_bundle_free(struct pki_bundle *b);
/* The last step by itself. */
MUST enum status pki_bundle_check_dates(const struct pki_bundle *b, const struct now *now,
					struct text *why);

/* ---- the authority ------------------------------------------------------------------------- */

struct pki_ca_plan {
	const char *network; /* letters, digits, '.', '_', '-' */
	struct pki_blocks domain; /* not empty */
	unsigned days; /* 0: PKI_CA_DAYS */
	const char *key_type; /* NULL: PKI_KEY_TYPE */
};

/* Makes `dir` (or takes an empty one) with mode 0700; leaves nothing behind when it fails. */
MUST enum status pki_ca_create(const char *dir, const struct pki_ca_plan *plan, wall_t now,
			       struct text *why);

struct pki_ca;

/* `write` takes the lock, waiting for it, and loads the key. */
MUST enum status pki_ca_open(const char *dir, bool write, struct text *why, struct pki_ca **ret_ca);
void pki_ca_close(struct pki_ca *ca);

struct pki_ca_info {
	char network[PKI_NAME_MAX + 1];
	struct pki_cert_info cert; /* its blocks are the domain */
};

const struct pki_ca_info *pki_ca_about(const struct pki_ca *ca);

/* A line of the index. */
struct pki_issued {
	char serial[2 * PKI_SERIAL_MAX + 1];
	enum pki_role role;
	struct pki_id id;
	wall_t not_before;
	wall_t not_after;
	wall_t revoked; /* 0: not revoked */
	uint8_t key_hash[PKI_HASH];
	size_t n_prefixes;
	struct prefix *prefixes;
};

/* In the order of issue; valid until the next call that writes. */
const struct pki_issued *pki_ca_issued(const struct pki_ca *ca, size_t *ret_n);

/* What the operator grants. */
struct pki_grant {
	const struct pki_id *id; /* NULL: whoever the request names */
	enum pki_role role;
	/* Empty: see as_requested; a hub then gets the whole domain, an endpoint never has any. */
	struct pki_blocks blocks;
	bool as_requested;
	const struct pki_hubs *hubs; /* NULL: the hubs in the index, without this one */
	unsigned days; /* 0: PKI_SITE_DAYS, or until the authority's own end */
	bool overlap; /* blocks that another identity has are no error */
	bool renew; /* a further certificate, for another key, is no error */
};

struct pki_delivery {
	struct pki_blob bundle; /* text */
	struct pki_blob cert; /* PEM, the certificate alone */
	struct pki_issued issued;
	struct pki_hubs hubs;
};

/* Checks request and grant, writes the index, then delivers. */
MUST enum status pki_ca_sign(struct pki_ca *ca, struct bytes request, const struct pki_grant *grant,
			     wall_t now, struct text *why, struct pki_delivery *ret_delivery);
void pki_delivery_done(struct pki_delivery *d);

/* Every certificate of an identity, or the one with that serial; then crl.pem as below. */
MUST enum status pki_ca_revoke(struct pki_ca *ca, const char *id_or_serial, unsigned days,
			       wall_t now, struct text *why, size_t *ret_n);
/* crl.pem with everything revoked so far, to be replaced within `days` (0: PKI_CRL_DAYS). */
MUST enum status pki_ca_write_crl(struct pki_ca *ca, unsigned days, wall_t now, struct text *why);

/* ---- files --------------------------------------------------------------------------------- */

/* A regular file of at most `max` bytes. */
MUST enum status pki_file_read(const char *path, size_t max, struct text *why,
			       struct pki_blob *ret_blob);

enum pki_out_how {
	PKI_OUT_SECRET, /* mode 0600, must not exist */
	PKI_OUT_NEW, /* mode 0644, must not exist */
	PKI_OUT_REPLACE, /* mode 0644, atomically in place of what is there */
};

/* A file that is opened before work begins, so that what cannot be written is known early, and
 * gets its bytes at the end or goes away again. */
struct pki_out {
	int fd; /* -1: none */
	bool replace;
	char path[4096];
	char tmp[4096 + 8]; /* where it is written: `path` itself unless `replace` */
};

#define PKI_OUT_NONE ((struct pki_out){ .fd = -1 })

/* `ret_out` is PKI_OUT_NONE or an aborted one before. */
MUST enum status pki_out_open(const char *path, enum pki_out_how how, struct text *why,
			      struct pki_out *ret_out);
/* Writes and syncs; on failure the file is gone. */
MUST enum status pki_out_commit(struct pki_out *out, struct bytes data, struct text *why);
/* After a commit this does nothing. */
void pki_out_abort(struct pki_out *out);
