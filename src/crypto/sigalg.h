/*
 * sigalg.h - the signature algorithms of RFC 7427 AUTH, as their AlgorithmIdentifiers.
 *
 * Accepted are the forms of RFC 7427 appendix A and RFC 8420 appendix A that are not weak: ECDSA,
 * RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-2, Ed25519 and Ed448.  Their parameters are read
 * strictly: PSS with one hash for message and mask, and a salt as long as it (RFC 4055 section 3.1
 * recommends both; anything else only widens what a signature may be); no empty or default ones,
 * which mean SHA-1 (RFC 8247 section 3.2).  Encodings that specifications leave open are both
 * accepted: NULL or nothing behind a hash and behind PKCS #1 (RFC 4055 sections 2.1 and 5), PSS's
 * trailerField said, as RFC 7427 shows it, or not, as DER has defaults.
 */
#pragma once

#include "crypto/crypto.h"

enum crypto_scheme {
	CRYPTO_ECDSA = 1,
	CRYPTO_RSA_PKCS1,
	CRYPTO_RSA_PSS,
	CRYPTO_ED25519,
	CRYPTO_ED448,
};

struct crypto_sigalg {
	enum crypto_scheme scheme;
	uint16_t hash; /* CRYPTO_IDENTITY with EdDSA: the message itself (RFC 8420 section 2) */
};

/* The whole of `der` is one of them; ST_REFUSE otherwise, with `why` where its parameters are what
 * is wrong. */
MUST enum status crypto_sigalg_read(struct bytes der, struct text *why,
				    struct crypto_sigalg *ret_alg);

/* How we write it; empty for a pair that there is not. */
struct bytes crypto_sigalg_der(struct crypto_sigalg alg);
