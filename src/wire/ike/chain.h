/*
 * chain.h - inside the IKE parser: one payload chain while it is being decoded.
 *
 * parse.c cuts a chain into payloads and counts them, so that the arrays can be taken from the
 * arena at their final size; then each payload's decoder fills in its part of `out`.  A decoder
 * gets a body that is at least as long as its row in the table of parse.c says, and returns
 * through chain_fail() when it refuses; the caller's value is written only after all succeeded.
 */
#pragma once

#include "wire/ike/wire_ike.h"

struct chain_payload {
	uint8_t type;
	struct bytes body; /* without the generic header */
};

struct chain {
	struct arena *ar;
	enum wire_fault fault;
	struct chain_payload list[WIRE_MAX_PAYLOADS];
	size_t n;
	uint8_t count[64]; /* of each known type */
	struct wire_payloads out;
	struct wire_cert *certs; /* what the views in `out` show, still writable */
	struct wire_cert *certreqs;
	struct wire_notify *notifies;
	struct wire_delete *deletes;
	struct bytes *vendors;
};

/* Notes why and returns ST_DROP, for `return chain_fail(...)`. */
static inline MUST enum status chain_fail(struct chain *ch, enum wire_fault fault)
{
	ch->fault = fault;
	return ST_DROP;
}

typedef enum status chain_decode(struct chain *ch, uint8_t type, struct bytes body);

MUST chain_decode wire_decode_sa;
MUST chain_decode wire_decode_ke;
MUST chain_decode wire_decode_id;
MUST chain_decode wire_decode_cert;
MUST chain_decode wire_decode_certreq;
MUST chain_decode wire_decode_auth;
MUST chain_decode wire_decode_nonce;
MUST chain_decode wire_decode_notify;
MUST chain_decode wire_decode_delete;
MUST chain_decode wire_decode_vendor;
MUST chain_decode wire_decode_ts;
MUST chain_decode wire_decode_cp;
MUST chain_decode wire_decode_eap;
MUST chain_decode wire_decode_solution;
