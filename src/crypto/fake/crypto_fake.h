/*
 * crypto_fake.h - a deterministic provider for tests and the simulator.
 *
 * Nothing here protects anything, but everything behaves: random comes from a seed, key agreement
 * agrees, a signature verifies only under the key, octets and identity it was made for, sealed
 * bytes open only under the same key, nonce and AAD and differ from the plaintext, an ICV catches
 * every changed bit.  PRF and hash are built on SipHash expanded to the right lengths.  Same seed,
 * same calls: same bytes.
 */
#pragma once

#include "crypto/crypto.h"

struct crypto_fake;

MUST enum status crypto_fake_new(const struct alloc *mem, uint64_t seed,
				 struct crypto_fake **ret_provider);
void crypto_fake_free(struct crypto_fake *p);
/* What CRYPTO_JOB_QCD keys its tokens with: `seed`, unless said otherwise.  A machine that starts
 * again with other randomness has the same. */
void crypto_fake_qcd(struct crypto_fake *p, uint64_t secret);
struct crypto crypto_fake_ops(struct crypto_fake *p);

/* A fake private key is its number; its "certificate" is a text that names key, issuer, identity
 * and validity.  crypto_fake_cert() writes one; a trust reference accepts certificates whose
 * `issuer` equals it. */
MUST enum status crypto_fake_cert(crypto_ref key, uint32_t issuer, uint8_t id_type, struct bytes id,
				  wall_t not_before, wall_t not_after, uint8_t *buf, size_t cap,
				  struct bytes *ret_cert);

/* The same with address blocks, which its issuer has, whatever they are. */
MUST enum status crypto_fake_cert_blocks(crypto_ref key, uint32_t issuer, uint8_t id_type,
					 struct bytes id, wall_t not_before, wall_t not_after,
					 const struct ip_range *blocks, size_t n_blocks,
					 uint8_t *buf, size_t cap, struct bytes *ret_cert);

/* What names the certificate of that key and issuer in a list of revoked ones. */
void crypto_fake_revocation_id(crypto_ref key, uint32_t issuer,
			       uint8_t ret_id[CRYPTO_REVOCATION_ID]);

/* Runs a job. Pre-shared keys are their reference number. `p` supplies randomness for key pairs. */
void crypto_fake_run(struct crypto_fake *p, const struct crypto_job *job,
		     struct crypto_result *ret);
