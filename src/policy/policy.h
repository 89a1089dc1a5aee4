/*
 * policy.h - what is allowed, as values: proposals, traffic selectors, identities, authority,
 * prefix tables.
 *
 * Pure functions over values of wire_ike.h and crypto.h.  Nothing here knows an SA.  Whenever
 * something is refused the caller can get a text with both sides' values, because "no proposal
 * chosen" alone helps nobody.
 *
 * Ownership: functions that build lists take an arena; results live there.
 */
#pragma once

#include "base/base.h"
#include "crypto/crypto.h"
#include "wire/ike/wire_ike.h"

/* ---- proposals (RFC 7296 sections 2.7, 3.3) ---------------------------------------------- */

/* One chosen algorithm of each type; 0 where the protocol has none. */
struct policy_suite {
	uint8_t proto; /* WIRE_PROTO_IKE or WIRE_PROTO_ESP */
	uint16_t encr;
	uint16_t key_bits;
	uint16_t prf; /* IKE only */
	uint16_t integ; /* CRYPTO_INTEG_NONE with an AEAD */
	uint16_t ke; /* ESP: 0 unless PFS was negotiated */
	bool esn; /* ESP only */
};

/* One proposal in strongSwan's keywords, e.g. "aes128gcm16-prfsha256-x25519" (IKE),
 * "aes256gcm16-esn-noesn" (ESP).  Several algorithms of one type may stand together, in order of
 * preference.  IKE proposals without a prf keyword take the hashes of their integrity keywords, as
 * strongSwan does; AEAD proposals then drop the integrity keywords.  ESP without esn/noesn means
 * noesn; "modpnone" makes PFS optional.  ST_INVAL: `why` names the word and the accepted ones.  The
 * proposal's number is set to 1, its SPI is empty: whoever sends several numbers them from 1. */
MUST enum status policy_proposal_parse(struct arena *ar, uint8_t proto, const char *keywords,
				       struct text *why, struct wire_proposal *ret_proposal);

/* Our defaults after RFC 8221 and RFC 8247, as keyword strings, NULL-terminated. */
const char *const *policy_default_proposals(uint8_t proto);

/* First proposal of ours (in our order) that a proposal of theirs satisfies; section 2.7: exactly
 * one transform of each type we offer, the first of ours that they have.  `skip_ke` ignores type 4
 * (child SAs made by IKE_AUTH, section 1.2).  ST_REFUSE with `why` filled with both lists.
 * `*ret_number` is the number of their proposal, to be echoed; `*ret_spi` its SPI. */
MUST enum status policy_select(const struct wire_sa *ours, const struct wire_sa *theirs,
			       bool skip_ke, struct text *why, struct policy_suite *ret_suite,
			       uint8_t *ret_number, struct bytes *ret_spi);

/* Initiator: the responder's answer must be one proposal, a subset of the one of `ours` with the
 * same number, as sent (section 3.3.1), with one transform per type (section 2.7).  ST_REFUSE
 * otherwise. */
MUST enum status policy_accept(const struct wire_sa *ours, const struct wire_sa *answer,
			       bool skip_ke, struct text *why, struct policy_suite *ret_suite,
			       struct bytes *ret_spi);

/* The single-choice proposal that answers with `suite`; transforms live in the arena. */
MUST enum status policy_suite_proposal(struct arena *ar, const struct policy_suite *suite,
				       uint8_t number, struct bytes spi,
				       struct wire_proposal *ret_proposal);

/* The key exchange group we would use first, 0 if none: for the first KE payload. */
uint16_t policy_first_ke(const struct wire_sa *sa);
/* Whether any proposal of `sa` offers that group. */
bool policy_offers_ke(const struct wire_sa *sa, uint16_t group);

/* strongSwan's keywords; "noesn" alone is not said. What has no keyword prints as its number. */
void policy_suite_text(struct text *t, const struct policy_suite *s);
void policy_sa_text(struct text *t, const struct wire_sa *sa);
struct crypto_cipher policy_suite_cipher(const struct policy_suite *s);

/* ---- traffic selectors (RFC 7296 section 2.9) -------------------------------------------- */

/* "10.1.0.0/16", "2001:db8::/32", "10.0.0.1-10.0.0.9", each optionally with "[tcp/80]",
 * "[udp/1000-2000]", "[icmp]", "[icmp/8]" (a message type, "8.0" with its code), "[89]". */
MUST enum status policy_ts_parse(const char *s, struct text *why, struct wire_ts *ret_ts);
void policy_ts_text(struct text *t, const struct wire_ts *ts);
void policy_ts_list_text(struct text *t, const struct wire_ts_list *l);

bool policy_ts_has(const struct wire_ts *outer, const struct wire_ts *inner);
/* False when they have nothing in common. */
bool policy_ts_intersect(const struct wire_ts *a, const struct wire_ts *b, struct wire_ts *ret);

/* Every selector of `offered` cut to `allowed`: their intersections without those that lie inside
 * another, in the order of `offered`, so that the first choice of section 2.9 survives; at most
 * WIRE_MAX_TS, the rest is left out.  ST_REFUSE when nothing is left. */
MUST enum status policy_ts_narrow(struct arena *ar, const struct wire_ts_list *offered,
				  const struct wire_ts_list *allowed, struct text *why,
				  struct wire_ts_list *ret_narrowed);

/* Whether every selector of `inner` lies inside one of `outer` (an initiator checks the answer). */
bool policy_ts_subset(const struct wire_ts_list *inner, const struct wire_ts_list *outer);

bool policy_ts_has_family(const struct wire_ts_list *l, uint8_t family);

/* Prefixes that cover exactly the address range of a selector, at most `max`; the number of them,
 * or 0 when it would take more. */
size_t policy_ts_prefixes(const struct wire_ts *ts, struct prefix *ret, size_t max);

/* Whether one end of a packet lies in the list: its address, the upper protocol, and the port of
 * that end (ICMP: type << 8 | code; 0 for protocols without ports).  A fragment that shows no ports
 * cannot be asked for: OPAQUE selectors match nothing here. */
bool policy_ts_match(const struct wire_ts_list *l, const struct ip *addr, uint8_t proto,
		     uint16_t port);

/* ---- identities (RFC 7296 section 3.5) --------------------------------------------------- */

struct policy_ident {
	uint8_t type; /* enum wire_id_type; 0: the pattern "%any" */
	struct bytes data;
};

/* strongSwan's reading: an address, "@fqdn" or a name with a dot, "user@host", "@#hex" key id,
 * "CN=…, O=…" as a DN (DER, in the order written; attributes C ST L O OU CN DC E serialNumber; a
 * backslash takes the next character as it is), anything else FQDN.
 * In `allow_wildcard` mode "*.example.net" (any depth below), "*@example.net" and "%any" are
 * patterns. */
MUST enum status policy_ident_parse(struct arena *ar, const char *s, bool allow_wildcard,
				    struct text *why, struct policy_ident *ret_ident);
void policy_ident_text(struct text *t, const struct policy_ident *id);
/* FQDN and mail domain compare without case, DNs by RFC 5280 section 7.1, the rest as bytes. */
bool policy_ident_eq(const struct policy_ident *a, const struct policy_ident *b);
/* `pattern` as parsed with allow_wildcard; "%any" does not match the null identity. */
bool policy_ident_match(const struct policy_ident *pattern, const struct policy_ident *id);

/* Equal identities have equal hashes (SipHash under `key`), whatever form they are written in. */
uint64_t policy_ident_hash(const uint64_t key[2], const struct policy_ident *id);

/* Whether it was parsed as one that stands for several: "%any", "*.example.net", "*@example". */
bool policy_ident_is_pattern(const struct policy_ident *id);

/* ---- authority (RFC 4301 section 4.4.3) -------------------------------------------------- */

/* Who says what an identity may source: a rule of our own file that names it or, where none does,
 * the address blocks of its certificate (RFC 3779). */
struct policy_authority {
	const struct policy_ident *rule; /* the rule's pattern; NULL: none names it */
	const struct wire_ts_list *granted; /* by the rule; all protocols */
	bool has_blocks;
	const struct ip_range *blocks;
	size_t n_blocks;
	const struct ip *leased; /* by us, on top of either */
	size_t n_leased;
};

/* What that identity may source inside `domain`, in the order of the authority, nothing twice.
 * ST_REFUSE: nothing.  `by` gets the authority, `certificate blocks 10.2.0.0/16`,
 * `member rule "*.branch" 10.3.0.0/16`, `our lease 10.9.0.7`, or why there is none. */
MUST enum status policy_authorise(struct arena *ar, const struct policy_authority *a,
				  const struct wire_ts_list *domain, struct text *by,
				  struct wire_ts_list *ret_allowed);

/* One address as a selector for all protocols. */
struct wire_ts policy_host_ts(const struct ip *ip);
/* A range as a selector for all protocols. */
struct wire_ts policy_range_ts(const struct ip_range *r);
/* Whether every selector lies in one of the blocks, which are canonical; false for none. */
bool policy_blocks_cover(const struct ip_range *blocks, size_t n, const struct wire_ts_list *l);
void policy_blocks_text(struct text *t, const struct ip_range *blocks, size_t n);

/* ---- prefix table ------------------------------------------------------------------------ */

/*
 * Longest-prefix match from an address to a value: a path-compressed binary trie per family.
 * One writer; any number of readers may look up at the same time, since every node is complete
 * before one release store links it and an unlinked node is handed to `retire`, which frees it
 * once no reader can hold it (dp/user: after a grace period), with the `mem` of the table.  Values
 * that are replaced or removed need the same care of their owner.
 */
struct policy_table;

typedef void policy_retire_fn(void *ctx, void *node);

/* `retire` NULL: single-threaded, freed at once with `mem`. */
MUST enum status policy_table_new(const struct alloc *mem, policy_retire_fn *retire, void *ctx,
				  struct policy_table **ret_table);
/* Takes NULL; no reader may be left. Values belong to the user. */
void policy_table_free(struct policy_table *t);
/* `value` is not NULL. Replaces; the value before, or NULL, goes to `*ret_old` (may be NULL). */
MUST enum status policy_table_set(struct policy_table *t, const struct prefix *p, void *value,
				  void **ret_old);
/* The value removed, or NULL when the exact prefix was not there. */
void *policy_table_remove(struct policy_table *t, const struct prefix *p);
void *policy_table_exact(const struct policy_table *t, const struct prefix *p);
/* Reader: value of the longest prefix that has `a`, or NULL. */
void *policy_table_find(const struct policy_table *t, const struct ip *a);
/* The same among prefixes of at most `len` bits: what to try when a longer one did not do. */
void *policy_table_find_within(const struct policy_table *t, const struct ip *a, unsigned len);
size_t policy_table_count(const struct policy_table *t);
