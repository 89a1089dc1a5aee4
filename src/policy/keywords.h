/*
 * keywords.h - strongSwan's words for IANA's transform numbers; private to module policy.
 */
#pragma once

#include "wire/ike/wire_ike.h"

struct policy_keyword {
	const char *word;
	uint8_t type;
	uint16_t id;
	uint16_t key_bits;
	bool named_only; /* known, so that a peer's offer is readable, but never accepted */
};

/* NULL when there is no such word. */
const struct policy_keyword *policy_keyword_find(struct bytes word);

/* Appends the word of a transform, or its numbers when it has none. */
void policy_keyword_text(struct text *t, const struct wire_transform *x);

/* Whether a proposal for `proto` may hold this keyword (RFC 7296 section 3.3.3). */
bool policy_keyword_fits(const struct policy_keyword *k, uint8_t proto);

/* All words for `proto`, for an operator who wrote another. */
void policy_keyword_list(struct text *t, uint8_t proto);
