/*
 * crypto.h - the cryptography the core needs, as an interface.
 *
 * Two kinds of work, told apart by cost:
 *
 * Inline (struct crypto_ops): PRF, hash, sealing and opening of SK payloads, random bytes.  Called
 * by the engine from one thread; a few microseconds at most; the provider keeps its own reusable
 * contexts, an SA keeps only key bytes.
 *
 * Jobs (struct crypto_job): key agreement, signatures, certificate paths.  The engine emits a job
 * as a value that owns all its inputs; the host runs crypto_job_run() wherever it likes (a pool,
 * inline in the simulator, a signer process for the kinds that need long-term secrets) and returns
 * the result.  Private keys, pre-shared keys and trust anchors never enter the engine: jobs name
 * them by reference (`crypto_ref`), which the provider's key store resolves.
 *
 * Numbers are IANA's "IKEv2 Transform" ids throughout.
 *
 * Providers: openssl/ (libcrypto 3) and fake/ (deterministic, for tests and the simulator).
 */
#pragma once

#include "base/base.h"

/* Transform type 1 (RFC 5282, RFC 4106). */
enum crypto_encr {
	CRYPTO_AES_CBC = 12,
	CRYPTO_AES_GCM_16 = 20,
	CRYPTO_CHACHA20_POLY1305 = 28,
};

/* Transform type 2 (RFC 4868). */
enum crypto_prf {
	CRYPTO_PRF_HMAC_SHA2_256 = 5,
	CRYPTO_PRF_HMAC_SHA2_384 = 6,
	CRYPTO_PRF_HMAC_SHA2_512 = 7,
};

/* Transform type 3; AEADs use NONE. */
enum crypto_integ {
	CRYPTO_INTEG_NONE = 0,
	CRYPTO_HMAC_SHA2_256_128 = 12,
	CRYPTO_HMAC_SHA2_384_192 = 13,
	CRYPTO_HMAC_SHA2_512_256 = 14,
};

/* Transform type 4 (RFC 5903, RFC 8031). */
enum crypto_ke {
	CRYPTO_MODP_2048 = 14,
	CRYPTO_ECP_256 = 19,
	CRYPTO_ECP_384 = 20,
	CRYPTO_ECP_521 = 21,
	CRYPTO_X25519 = 31,
};

/* RFC 7427 section 4, "IKEv2 Hash Algorithms"; SHA-1 only for NAT detection hashes and key ids. */
enum crypto_hash {
	CRYPTO_SHA1 = 1,
	CRYPTO_SHA2_256 = 2,
	CRYPTO_SHA2_384 = 3,
	CRYPTO_SHA2_512 = 4,
	CRYPTO_IDENTITY = 5, /* RFC 8420 */
};

enum {
	CRYPTO_HASH_MAX = 64,
	CRYPTO_PRF_MAX = 64,
	CRYPTO_KE_PUBLIC_MAX = 256, /* MODP-2048 */
	CRYPTO_SIGNATURE_MAX = 1104, /* RSA of 8192 bits, behind its AlgorithmIdentifier */
	CRYPTO_CERTS_MAX = 8,
	CRYPTO_BLOCKS_MAX = 64,
	CRYPTO_REVOCATION_ID = 32,
	CRYPTO_REASON_MAX = 240,
	CRYPTO_QCD_LEN = 32, /* RFC 6290 section 5: 16 to 128 */
	CRYPTO_PUZZLE_KEYS = 4, /* RFC 8019 section 7.1.3 */
	CRYPTO_PUZZLE_KEY_LEN = 4, /* those that we find; section 8.2 allows other lengths */
};

/* What protects SK: for AEADs `integ` is CRYPTO_INTEG_NONE.  `key_bits` is the Key Length
 * attribute: 0 for ChaCha20-Poly1305, which has none (RFC 7634). */
struct crypto_cipher {
	uint16_t encr;
	uint16_t key_bits;
	uint16_t integ;
};

/* Sizes in bytes of a cipher.  `key_len` counts key and salt as they come out of prf+ (RFC 5282
 * section 7.1), without the integrity key; `block` is what plaintext is padded to. */
struct crypto_cipher_info {
	size_t key_len;
	size_t salt_len; /* included in key_len */
	size_t integ_key_len;
	size_t iv_len;
	size_t icv_len;
	size_t block;
};

/* ST_INVAL when the numbers name no cipher that we know (whether the provider has it is has()). */
MUST enum status crypto_cipher_info(struct crypto_cipher c, struct crypto_cipher_info *ret_info);
size_t crypto_prf_len(uint16_t prf); /* output and preferred key length; 0 unknown */
size_t crypto_hash_len(uint16_t hash); /* 0 unknown */
size_t crypto_ke_public_len(uint16_t ke); /* length of the KE payload data; 0 unknown */

/* Keys of one direction of SK. */
struct crypto_key {
	struct crypto_cipher cipher;
	struct secret encr; /* key, then salt */
	struct secret integ; /* empty for AEADs */
};

struct crypto_ops {
	/* Whether the provider can do this transform (type as in RFC 7296 section 3.3.2). */
	bool (*has)(void *ctx, uint8_t transform_type, uint16_t id, uint16_t key_bits);
	void (*random)(void *ctx, void *buf, size_t n);
	/* prf(key, parts[0] | parts[1] | ...) into crypto_prf_len(prf) bytes. */
	enum status (*prf)(void *ctx, uint16_t prf, struct bytes key, const struct bytes *parts,
			   size_t n_parts, uint8_t *ret_out);
	enum status (*hash)(void *ctx, uint16_t hash, const struct bytes *parts, size_t n_parts,
			    uint8_t *ret_out);
	/* In place: `data` is n bytes, a multiple of `block`; iv has iv_len bytes, icv gets
	 * icv_len. An IV is never used twice with one AEAD key, and unpredictable with CBC.  The
	 * ICV covers aad, with CBC also IV and ciphertext (RFC 5282 section 5.1, RFC 7296
	 * section 3.14).  On failure `data` is wiped. */
	enum status (*seal)(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv);
	/* In place; ST_DROP and wiped `data` when the ICV is wrong. */
	enum status (*open)(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			    struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv);
};

struct crypto {
	const struct crypto_ops *ops;
	void *ctx;
};

/* prf+ of RFC 7296 section 2.13: fills `n` bytes; n <= 255 * prf length, n_parts <= 8. */
MUST enum status crypto_prf_plus(const struct crypto *c, uint16_t prf, struct bytes key,
				 const struct bytes *parts, size_t n_parts, uint8_t *ret_out,
				 size_t n);

/* ---- jobs -------------------------------------------------------------------------------- */

/* Names a private key, a pre-shared key or a set of trust anchors inside the key store; 0: none.
 * References are handed out by the store and mean nothing to the engine. */
typedef uint32_t crypto_ref;

enum crypto_job_kind {
	CRYPTO_JOB_KE_GENERATE, /* a fresh key pair */
	CRYPTO_JOB_KE_DERIVE, /* private part and peer's public value -> shared secret */
	CRYPTO_JOB_KE_RESPOND, /* both at once: generate, and derive with the peer's value */
	CRYPTO_JOB_SIGN, /* AUTH by private key (RFC 7427, or RFC 4754 methods 9 to 11) */
	CRYPTO_JOB_PSK_AUTH, /* prf(prf(PSK, "Key Pad for IKEv2"), octets), section 2.15 */
	CRYPTO_JOB_VERIFY, /* certificate path, identity and signature of a peer */
	CRYPTO_JOB_PPK, /* SK_d, SK_pi, SK_pr by a post-quantum pre-shared key (RFC 8784) */
	CRYPTO_JOB_PUZZLE, /* a slice of the search for keys that solve a puzzle (RFC 8019) */
	CRYPTO_JOB_QCD, /* our token for an IKE SA (RFC 6290) */
};

enum { CRYPTO_JOBS = CRYPTO_JOB_QCD + 1 };

/* AUTH payload forms for signatures. */
struct crypto_sign_in {
	crypto_ref key;
	uint8_t method; /* wire auth method: 14 (RFC 7427), 9 to 11; 0: one of those, as the key is
			 */
	uint16_t peer_hashes; /* bit per crypto_hash the peer announced; for method 14 */
	struct bytes octets; /* InitiatorSignedOctets or ResponderSignedOctets */
};

struct crypto_psk_in {
	crypto_ref psk;
	uint16_t prf;
	struct bytes octets;
};

/* SK_d, SK_pi and SK_pr of one SA, each as long as the output of the PRF. */
struct crypto_ppk_keys {
	struct secret d;
	struct secret pi;
	struct secret pr;
};

struct crypto_ppk_in {
	crypto_ref ppk;
	uint16_t prf;
	struct crypto_ppk_keys keys; /* without the PPK */
};

struct crypto_verify_in {
	crypto_ref trust;
	struct bytes certs[CRYPTO_CERTS_MAX]; /* DER, end entity first */
	size_t n_certs;
	/* Identity the peer claims, RFC 7296 section 3.5; the end entity must carry it: SAN
	 * dNSName/rfc822Name/iPAddress, or the subject for a DN. */
	uint8_t id_type;
	struct bytes id;
	wall_t at; /* moment at which the path must be valid */
	bool at_known; /* false: the clock is not trusted; validity dates then fail closed */
	uint8_t method;
	struct bytes signature; /* AUTH payload data; for method 14 with its AlgorithmIdentifier */
	struct bytes octets;
};

/* Keys of CRYPTO_PUZZLE_KEY_LEN bytes, numbers from `from` on, are tried in their order: `tries` of
 * them, or until `want` are found.  A puzzle takes many such jobs, so that none holds a thread for
 * long and its owner can stop after each. */
struct crypto_puzzle_in {
	uint16_t prf;
	uint8_t bits; /* zero bits at the end of prf(key, data) */
	uint8_t want;
	uint32_t from;
	uint32_t tries;
	struct bytes data;
};

struct crypto_puzzle_out {
	uint32_t keys[CRYPTO_PUZZLE_KEYS];
	uint8_t n;
	uint32_t tried;
};

/* The same SPIs give the same token for as long as this gateway keeps its secret, also after it
 * has forgotten the SA; nobody else can tell what it is. */
struct crypto_qcd_in {
	uint64_t spi_i, spi_r;
};

/* Owns everything it points to. Made by crypto_job_new(), filled by the engine through
 * crypto_job_dup(), freed by whoever holds it (after JOB output: the host). */
struct crypto_job {
	enum crypto_job_kind kind;
	struct arena mem;
	union {
		struct {
			uint16_t group;
		} ke_generate;
		struct {
			uint16_t group;
			struct secret priv;
			struct bytes pub; /* ours, as generated */
			struct bytes peer; /* theirs, KE payload data */
		} ke_derive;
		struct {
			uint16_t group;
			struct bytes peer;
		} ke_respond;
		struct crypto_sign_in sign;
		struct crypto_psk_in psk;
		struct crypto_ppk_in ppk;
		struct crypto_verify_in verify;
		struct crypto_puzzle_in puzzle;
		struct crypto_qcd_in qcd;
	} in;
};

/* What we keep of a verified certificate. */
struct crypto_cert_facts {
	wall_t not_before;
	wall_t not_after; /* of the whole path: the earliest */
	uint8_t fingerprint[32]; /* SHA-256 of the DER */
	uint8_t serial[20];
	uint8_t serial_len;
	char auth[24]; /* what authenticated, for people: "ecdsa-p256-sha256" */
	/* What a CRL's entry would be called: SHA-256 of the issuer's name (DER) and the serial
	 * number.  See crypto_store_revoked().  First that about the certificate itself, then those
	 * about the authorities between it and the anchor. */
	uint8_t revocation_ids[CRYPTO_CERTS_MAX][CRYPTO_REVOCATION_ID];
	uint8_t n_revocation_ids;
	/* Its address blocks (RFC 3779), canonical, which the path covers; none: `has_blocks` is
	 * false, and the certificate says nothing about addresses. */
	bool has_blocks;
	uint16_t n_blocks;
	struct ip_range blocks[CRYPTO_BLOCKS_MAX];
};

/* Which of its questions VERIFY answered with no; `reason` has it in words. */
enum crypto_fault {
	CRYPTO_FAULT_NONE, /* the peer's input is not to blame, or it is none of these */
	CRYPTO_FAULT_CERTIFICATE, /* unreadable, not for this purpose, no path to our anchors, or
				   * no list of revoked ones by its issuer */
	CRYPTO_FAULT_DATES, /* of the path, or of a CRL: or our clock is wrong, or was never set */
	CRYPTO_FAULT_REVOKED,
	CRYPTO_FAULT_IDENTITY, /* the certificate is somebody else's */
	CRYPTO_FAULT_SIGNATURE, /* AUTH was not made with the certificate's key */
};

/* A result is a value without pointers; wipe it with crypto_result_done(). */
struct crypto_result {
	enum crypto_job_kind kind;
	/* ST_OK; ST_REFUSE: the peer's input is no good, or we cannot satisfy it; ST_IO, ST_NOMEM,
	 * ST_BUG: ours.  Unless ST_OK, all outputs below `reason` are zero. */
	enum status status;
	enum crypto_fault fault; /* VERIFY, with ST_REFUSE */
	char reason[CRYPTO_REASON_MAX]; /* for the operator when status is not ST_OK */
	struct {
		uint8_t pub[CRYPTO_KE_PUBLIC_MAX];
		uint16_t pub_len;
		struct secret priv; /* generate: an opaque private part for KE_DERIVE */
		uint8_t shared[CRYPTO_KE_PUBLIC_MAX]; /* derive, respond */
		uint16_t shared_len;
	} ke;
	struct {
		char how[24]; /* for people: "psk", "ecdsa-p256-sha256" */
		uint8_t method; /* the wire auth method that `data` is for */
		uint8_t data[CRYPTO_SIGNATURE_MAX]; /* AUTH payload data, complete */
		uint16_t len;
	} auth; /* sign, psk */
	struct crypto_ppk_keys ppk; /* ppk: with it */
	struct crypto_cert_facts cert; /* verify */
	struct crypto_puzzle_out puzzle;
	uint8_t qcd[CRYPTO_QCD_LEN];
};

MUST enum status crypto_job_new(const struct alloc *mem, enum crypto_job_kind kind,
				struct crypto_job **ret_job);
void crypto_job_free(struct crypto_job *job);
/* Copies `b` into memory that lives as long as the job. */
MUST enum status crypto_job_dup(struct crypto_job *job, struct bytes b, struct bytes *ret_copy);
void crypto_result_done(struct crypto_result *r);
const char *crypto_job_name(enum crypto_job_kind kind);

/* What CRYPTO_JOB_PPK does (RFC 8784 section 3): each of the keys becomes prf+(PPK, key).  ST_BUG
 * when one of them is not as long as the PRF's output. */
MUST enum status crypto_ppk_mix(const struct crypto *c, uint16_t prf, struct bytes ppk,
				const struct crypto_ppk_keys *in, struct crypto_ppk_keys *ret);

/* What CRYPTO_JOB_QCD does (RFC 6290 section 5.1). */
MUST enum status crypto_qcd_token(const struct crypto *c, struct bytes secret,
				  const struct crypto_qcd_in *in, uint8_t ret[CRYPTO_QCD_LEN]);

/* ---- puzzles (RFC 8019 section 7.1.3) ------------------------------------------------------ */

/* Zero bits at the end. */
unsigned crypto_zero_bits(struct bytes b);
/* Those of prf(key, data). */
MUST enum status crypto_puzzle_zeros(const struct crypto *c, uint16_t prf, struct bytes key,
				     struct bytes data, unsigned *ret_bits);
/* What CRYPTO_JOB_PUZZLE does. */
MUST enum status crypto_puzzle_solve(const struct crypto *c, const struct crypto_puzzle_in *in,
				     struct crypto_puzzle_out *ret);

/* ---- names for people and configurations ------------------------------------------------- */

/* Our own end-entity certificate as bytes the engine sends, and the key ids it asks for, are
 * prepared by the provider at load time; see openssl/crypto_openssl.h. */
