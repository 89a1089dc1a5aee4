/*
 * dn.h - distinguished names between text and DER; private to module policy.
 *
 * Only as much of X.501 as an identity needs: Name ::= SEQUENCE OF SET OF SEQUENCE { OID, value }.
 * What a peer sends is read with the bounded cursor and believed nowhere: whether a certificate
 * carries the name is for module crypto to say.
 */
#pragma once

#include "base/base.h"

/* "CN=gw, O=Example": attributes in the order written, each an RDN of its own.  A backslash takes
 * the next character as it is; \xNN is a byte. */
MUST enum status policy_dn_parse(struct arena *ar, const char *s, struct text *why,
				 struct bytes *ret_der);

/* The same form; false, and nothing said, when `der` is not a name. */
bool policy_dn_text(struct text *t, struct bytes der);

/* RFC 5280 section 7.1: strings compare without case and with blanks folded, whatever string type
 * they are in; two CAs rarely agree on the type. */
bool policy_dn_eq(struct bytes a, struct bytes b);

/* Equal names have equal hashes; what is no name is hashed as bytes. */
uint64_t policy_dn_hash(const uint64_t key[2], struct bytes der);
