/*
 * blocks.h - the address blocks of a verified path, for who has it as libcrypto's objects.
 *
 * libcrypto sees to it that blocks nest (RFC 3779 section 2.3) and accepts what we do not: blocks
 * that are limited to a SAFI, families other than IP, and `inherit` below an issuer that has no
 * blocks at all.
 */
#pragma once

#include <openssl/x509.h>

#include "pki/pki.h"

/* Those of certificate `at` of a path that X509_verify_cert() accepted, end entity first, anchor
 * last; where it inherits them, those of the next certificate that spells them out.  Without the
 * extension
 * `*ret_has` is false and `ret` empty.  ST_INVAL: see above, or more than PKI_BLOCKS_MAX. */
MUST enum status pki_blocks_of_path(STACK_OF(X509) * path, int at, struct text *why, bool *ret_has,
				    struct pki_blocks *ret);
