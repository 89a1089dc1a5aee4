/*
 * crypto_openssl.h - the libcrypto 3 provider and its key store.
 *
 * The provider (`crypto_openssl_new`) serves the inline operations of one thread.  The key store
 * holds long-term secrets and trust anchors by reference; crypto_openssl_run() executes a job
 * against it and may be called from any thread at once.  Store entries are added at start-up and
 * on reload, never changed, and live until the store is freed: references stay valid.
 *
 * There are AES-GCM, ChaCha20-Poly1305, AES-CBC with HMAC-SHA2, the HMAC-SHA2 PRFs, X25519, P-256,
 * P-384, P-521 and MODP-2048.  Keys, ours and a peer's, are EC P-256, P-384 or P-521, RSA of 2048
 * to 8192 bits, Ed25519 or Ed448; AUTH is RFC 7427 with SHA-2 or (EdDSA) the message itself, or
 * methods 9 to 11 of RFC 4754.  We sign with RSASSA-PSS and accept RSASSA-PKCS1-v1_5 as well.
 * Certificates of a path may be anything of 112 bits: RSA from 2048 bits, no SHA-1.  A peer's
 * certificate is held against RFC 4945: the identity it claims must be in it, key usages must allow
 * signing, dates are judged at the moment the job names.  An anchor is trusted as it is,
 * self-signed or not.
 *
 * Byte budget: no EVP object per SA.  The provider keeps one fetched algorithm and one context per
 * kind of operation and thread.
 */
#pragma once

#include "crypto/crypto.h"

struct crypto_openssl;

MUST enum status crypto_openssl_new(struct crypto_openssl **ret_provider);
void crypto_openssl_free(struct crypto_openssl *p);
struct crypto crypto_openssl_ops(struct crypto_openssl *p);

struct crypto_store;

MUST enum status crypto_store_new(struct crypto_store **ret_store);
/* A store goes with its last reference, from whatever thread: jobs that run keep the one they were
 * made for when a reload brings another. */
struct crypto_store *crypto_store_ref(struct crypto_store *s);
void crypto_store_free(struct crypto_store *s); /* takes NULL */

/* Whether `ref` was handed out by this store: no two stores of a process give out the same. */
bool crypto_store_has(const struct crypto_store *s, crypto_ref ref);

/* The bytes of a file, and its name for messages. */
struct crypto_file {
	const char *name;
	struct bytes data; /* PEM; certificates and CRLs also DER */
};

/*
 * Loaders: ST_INVAL with `why` saying what is wrong in which file or entry.
 *
 * A store may be without secrets (crypto_store_public()): then a key is its public half (PEM
 * "PUBLIC KEY"), a pre-shared key nothing but a name, and the jobs that need them fail; whoever has
 * the secrets finds them by crypto_store_name().
 */
MUST enum status crypto_store_add_key(struct crypto_store *s, const struct crypto_file *file,
				      struct text *why, crypto_ref *ret_ref);
/* `name` tells it from others, in a store of secrets and in one without: unique, not secret. */
MUST enum status crypto_store_add_psk(struct crypto_store *s, const char *name, struct bytes psk,
				      crypto_ref *ret_ref);
/* A post-quantum pre-shared key (RFC 8784): as a pre-shared key, but for no other kind of job. */
MUST enum status crypto_store_add_ppk(struct crypto_store *s, const char *name, struct bytes ppk,
				      crypto_ref *ret_ref);
/* `crl` may be NULL; with one, whatever it lists is refused, and everything once it is out of date
 * (RFC 5280 section 6.3.3).  The file may have several, one of each authority: anchors, and those
 * below them that peers send.  Every authority that issues certificates of peers needs one; what
 * other authorities issued is held against the lists that there are. */
MUST enum status crypto_store_add_trust(struct crypto_store *s, const struct crypto_file *files,
					size_t n, const struct crypto_file *crl, struct text *why,
					crypto_ref *ret_ref);

/* No secrets will be added: see above.  Before the first loader. */
void crypto_store_public(struct crypto_store *s);

/* What CRYPTO_JOB_QCD keys its tokens with: 16 to SECRET_MAX bytes (ST_INVAL), before jobs run.
 * Without it there are no tokens. */
MUST enum status crypto_store_set_qcd(struct crypto_store *s, struct bytes secret);

/* What names a key or pre-shared key in any store loaded from the same files: for a key the SHA-256
 * of its SubjectPublicKeyInfo in hexadecimal, for a pre-shared key its name.  NULL: none. */
const char *crypto_store_name(const struct crypto_store *s, crypto_ref ref);
/* The entry that has this name, 0 if none. */
crypto_ref crypto_store_find(const struct crypto_store *s, const char *name);

/* The public half of a key as PEM, to be freed with free(). */
MUST enum status crypto_store_public_pem(const struct crypto_store *s, crypto_ref key,
					 char **ret_pem, size_t *ret_n);

/* Ids (crypto_cert_facts.revocation_id) of everything that the CRL of these anchors lists, sorted;
 * they live as long as the store. */
MUST enum status crypto_store_revoked(struct crypto_store *s, crypto_ref trust,
				      const uint8_t (**ret_ids)[CRYPTO_REVOCATION_ID],
				      size_t *ret_n);

/* A certificate chain file, end entity first. The views live as long as the store. */
struct crypto_chain {
	struct bytes certs[CRYPTO_CERTS_MAX]; /* DER */
	size_t n;
	wall_t not_after; /* of the first that ends */
};

MUST enum status crypto_store_load_chain(struct crypto_store *s, const struct crypto_file *file,
					 struct text *why, struct crypto_chain *ret_chain);

/* Whether `key` is the private key of the end entity of `chain`. */
MUST enum status crypto_store_match(struct crypto_store *s, crypto_ref key,
				    const struct crypto_chain *chain, struct text *why);

/* CERTREQ data for a set of anchors: SHA-1 of each SubjectPublicKeyInfo (RFC 7296 section 3.7). */
MUST enum status crypto_store_trust_hashes(struct crypto_store *s, crypto_ref trust,
					   struct bytes *ret_hashes);

/* Runs any job kind; fills `ret` completely, failure included. Thread-safe. */
void crypto_openssl_run(struct crypto_store *s, const struct crypto_job *job,
			struct crypto_result *ret);
