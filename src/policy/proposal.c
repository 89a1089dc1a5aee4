/*
 * Proposals: from keywords, between two peers, and back to keywords (RFC 7296 sections 2.7, 3.3).
 */
#include "policy/policy.h"

#include "policy/keywords.h"

#define PROPOSAL_MAX_WORDS 32

/* ---- from keywords ---- */

struct draft {
	uint8_t proto;
	struct wire_transform x[PROPOSAL_MAX_WORDS];
	size_t n;
	struct text *why;
};

static bool is_aead(uint16_t encr)
{
	return encr == CRYPTO_AES_GCM_16 || encr == CRYPTO_CHACHA20_POLY1305;
}

static const char *proto_name(uint8_t proto)
{
	return proto == WIRE_PROTO_IKE ? "IKE" : "ESP";
}

static bool draft_has(const struct draft *d, uint8_t type)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->x[i].type == type)
			return true;
	return false;
}

static bool same_transform(const struct wire_transform *a, const struct wire_transform *b)
{
	return a->type == b->type && a->id == b->id && a->key_bits == b->key_bits;
}

static enum status draft_add(struct draft *d, struct wire_transform x)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!same_transform(&d->x[i], &x))
			continue;
		text_add(d->why, "repeated algorithm ");
		policy_keyword_text(d->why, &x);
		return ST_INVAL;
	}
	if (d->n == ARRAY_LEN(d->x)) {
		text_fmt(d->why, "more than %d algorithms in one proposal", PROPOSAL_MAX_WORDS);
		return ST_INVAL;
	}
	d->x[d->n++] = x;
	return ST_OK;
}

static enum status draft_word(struct draft *d, struct bytes word)
{
	const struct policy_keyword *k = policy_keyword_find(word);

	if (k && policy_keyword_fits(k, d->proto))
		return draft_add(d, (struct wire_transform){ k->type, k->id, k->key_bits, false });
	text_add(d->why, k ? "unsupported algorithm \"" : "unknown algorithm \"");
	text_quote(d->why, word);
	text_fmt(d->why, "\" in a proposal for %s; accepted: ", proto_name(d->proto));
	policy_keyword_list(d->why, d->proto);
	return ST_INVAL;
}

static enum status draft_words(struct draft *d, const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "-");
		enum status st = draft_word(d, bytes_of(s, n));

		if (st != ST_OK || s[n] == '\0')
			return st;
		s += n + 1;
	}
}

/* As strongSwan: an IKE proposal without a prf keyword uses the hashes of its integrity words. */
static void draft_imply_prf(struct draft *d)
{
	size_t n = d->n;

	if (d->proto != WIRE_PROTO_IKE || draft_has(d, WIRE_T_PRF))
		return;
	for (size_t i = 0; i < n && d->n < ARRAY_LEN(d->x); i++) {
		struct wire_transform prf = { .type = WIRE_T_PRF };

		if (d->x[i].type != WIRE_T_INTEG)
			continue;
		/* HMAC_SHA2_256_128 is 12, PRF_HMAC_SHA2_256 5; 384 and 512 follow in both. */
		prf.id = (uint16_t)(d->x[i].id - CRYPTO_HMAC_SHA2_256_128 +
				    CRYPTO_PRF_HMAC_SHA2_256);
		d->x[d->n++] = prf;
	}
}

static void draft_drop(struct draft *d, uint8_t type)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->x[i].type != type)
			d->x[n++] = d->x[i];
	d->n = n;
}

/* Section 3.3: combined-mode ciphers and others need two proposals, the former without INTEG. */
static enum status draft_ciphers(struct draft *d)
{
	size_t aead = 0;
	size_t plain = 0;

	for (size_t i = 0; i < d->n; i++) {
		if (d->x[i].type != WIRE_T_ENCR)
			continue;
		if (is_aead(d->x[i].id))
			aead++;
		else
			plain++;
	}
	if (aead && plain) {
		text_add(d->why, "combined-mode ciphers (gcm, chacha20poly1305) and others need "
				 "separate proposals");
		return ST_INVAL;
	}
	if (aead)
		draft_drop(d, WIRE_T_INTEG);
	else if (plain && !draft_has(d, WIRE_T_INTEG)) {
		text_add(d->why, "this cipher needs an integrity algorithm: sha256 sha384 sha512");
		return ST_INVAL;
	}
	return ST_OK;
}

static enum status draft_need(struct draft *d, uint8_t type, const char *what)
{
	if (draft_has(d, type))
		return ST_OK;
	text_fmt(d->why, "a proposal for %s needs %s", proto_name(d->proto), what);
	return ST_INVAL;
}

static enum status draft_finish(struct draft *d)
{
	enum status st;

	draft_imply_prf(d);
	st = draft_need(d, WIRE_T_ENCR, "a cipher such as aes128gcm16");
	if (st == ST_OK)
		st = draft_ciphers(d);
	if (st == ST_OK && d->proto == WIRE_PROTO_IKE)
		st = draft_need(d, WIRE_T_PRF, "a pseudo-random function such as prfsha256");
	if (st == ST_OK && d->proto == WIRE_PROTO_IKE)
		st = draft_need(d, WIRE_T_KE, "a key exchange such as x25519");
	if (st == ST_OK && d->proto == WIRE_PROTO_ESP && !draft_has(d, WIRE_T_ESN))
		st = draft_add(d, (struct wire_transform){ .type = WIRE_T_ESN });
	return st;
}

enum status policy_proposal_parse(struct arena *ar, uint8_t proto, const char *keywords,
				  struct text *why, struct wire_proposal *ret_proposal)
{
	struct draft d = { .proto = proto, .why = why };
	struct wire_transform *x;
	enum status st = draft_words(&d, keywords);
	size_t n = 0;

	if (st == ST_OK)
		st = draft_finish(&d);
	if (st != ST_OK)
		return st;
	x = arena_new(ar, d.n * sizeof(*x));
	if (!x)
		return ST_NOMEM;
	for (uint8_t type = WIRE_T_ENCR; type < WIRE_T_TYPES; type++)
		for (size_t i = 0; i < d.n; i++)
			if (d.x[i].type == type)
				x[n++] = d.x[i];
	*ret_proposal = (struct wire_proposal){ 1, proto, { NULL, 0 }, x, n };
	return ST_OK;
}

const char *const *policy_default_proposals(uint8_t proto)
{
	/* Everything that RFC 8247 section 2 and RFC 8221 section 5 say MUST or SHOULD about and
	 * that is not weak, AEADs first; SHA2-384 and group 20 for those who want 192 bits. */
	static const char *const ike[] = {
		"aes128gcm16-aes256gcm16-chacha20poly1305-prfsha256-prfsha384-prfsha512-x25519-"
		"ecp256-ecp384-modp2048",
		"aes128-aes256-sha256-sha512-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384-"
		"modp2048",
		NULL,
	};
	static const char *const esp[] = {
		"aes128gcm16-aes256gcm16-chacha20poly1305-esn-noesn",
		"aes128-aes256-sha256-sha512-esn-noesn",
		NULL,
	};

	return proto == WIRE_PROTO_IKE ? ike : esp;
}

/* ---- between two peers ---- */

static bool has_type(const struct wire_proposal *p, uint8_t type)
{
	for (size_t i = 0; i < p->n_transforms; i++)
		if (p->transforms[i].type == type)
			return true;
	return false;
}

/* Section 3.3.3: leaving out an optional type means that only NONE is acceptable. */
static bool none_when_absent(uint8_t type)
{
	return type == WIRE_T_INTEG || type == WIRE_T_KE;
}

static bool offers(const struct wire_proposal *p, const struct wire_transform *want)
{
	for (size_t i = 0; i < p->n_transforms; i++)
		if (same_transform(&p->transforms[i], want) && !p->transforms[i].unknown_attribute)
			return true;
	return want->id == 0 && none_when_absent(want->type) && !has_type(p, want->type);
}

/* The first of ours of this type that they have; id 0 when neither side has the type. */
static bool choose(const struct wire_proposal *ours, const struct wire_proposal *theirs,
		   uint8_t type, struct wire_transform *ret)
{
	struct wire_transform none = { .type = type };

	*ret = none;
	if (!has_type(ours, type))
		return !has_type(theirs, type) || (none_when_absent(type) && offers(theirs, &none));
	for (size_t i = 0; i < ours->n_transforms; i++) {
		*ret = ours->transforms[i];
		if (ret->type == type && offers(theirs, ret))
			return true;
	}
	return false;
}

/* Section 3.3.6: a transform type that we do not know makes the whole proposal unacceptable. */
static bool only_known_types(const struct wire_proposal *p)
{
	for (size_t i = 0; i < p->n_transforms; i++)
		if (p->transforms[i].type < WIRE_T_ENCR || p->transforms[i].type >= WIRE_T_TYPES)
			return false;
	return true;
}

static bool match(const struct wire_proposal *ours, const struct wire_proposal *theirs,
		  bool skip_ke, struct policy_suite *ret_suite)
{
	struct wire_transform x[WIRE_T_TYPES] = { 0 };

	if (ours->proto != theirs->proto || !only_known_types(theirs))
		return false;
	for (uint8_t type = WIRE_T_ENCR; type < WIRE_T_TYPES; type++)
		if (!(skip_ke && type == WIRE_T_KE) && !choose(ours, theirs, type, &x[type]))
			return false;
	*ret_suite = (struct policy_suite){
		.proto = ours->proto,
		.encr = x[WIRE_T_ENCR].id,
		.key_bits = x[WIRE_T_ENCR].key_bits,
		.prf = x[WIRE_T_PRF].id,
		.integ = x[WIRE_T_INTEG].id,
		.ke = x[WIRE_T_KE].id,
		.esn = x[WIRE_T_ESN].id == 1,
	};
	return true;
}

static void both_sides(struct text *why, const char *verb, const struct wire_sa *theirs,
		       const char *our_verb, const struct wire_sa *ours)
{
	if (why->cap == 0)
		return;
	text_fmt(why, "%s ", verb);
	policy_sa_text(why, theirs);
	text_fmt(why, "; %s ", our_verb);
	policy_sa_text(why, ours);
}

enum status policy_select(const struct wire_sa *ours, const struct wire_sa *theirs, bool skip_ke,
			  struct text *why, struct policy_suite *ret_suite, uint8_t *ret_number,
			  struct bytes *ret_spi)
{
	for (size_t i = 0; i < ours->n; i++) {
		for (size_t k = 0; k < theirs->n; k++) {
			const struct wire_proposal *t = &theirs->proposals[k];

			if (!match(&ours->proposals[i], t, skip_ke, ret_suite))
				continue;
			*ret_number = t->number;
			*ret_spi = t->spi;
			return ST_OK;
		}
	}
	both_sides(why, "they offer", theirs, "we accept", ours);
	return ST_REFUSE;
}

static bool one_per_type(const struct wire_proposal *p)
{
	unsigned seen = 0;

	for (size_t i = 0; i < p->n_transforms; i++) {
		unsigned bit = 1u << (p->transforms[i].type & 31);

		if (seen & bit)
			return false;
		seen |= bit;
	}
	return true;
}

enum status policy_accept(const struct wire_sa *ours, const struct wire_sa *answer, bool skip_ke,
			  struct text *why, struct policy_suite *ret_suite, struct bytes *ret_spi)
{
	const struct wire_proposal *a = answer->proposals;

	/* Section 3.3.1: the number in the answer is that of the accepted proposal. */
	for (size_t i = 0; answer->n == 1 && one_per_type(a) && i < ours->n; i++) {
		if (ours->proposals[i].number != a->number ||
		    !match(&ours->proposals[i], a, skip_ke, ret_suite))
			continue;
		*ret_spi = a->spi;
		return ST_OK;
	}
	both_sides(why, "they chose", answer, "we offered", ours);
	return ST_REFUSE;
}

enum status policy_suite_proposal(struct arena *ar, const struct policy_suite *s, uint8_t number,
				  struct bytes spi, struct wire_proposal *ret_proposal)
{
	struct wire_transform *x = arena_new(ar, WIRE_T_TYPES * sizeof(*x));
	size_t n = 0;

	if (!x)
		return ST_NOMEM;
	x[n++] = (struct wire_transform){ WIRE_T_ENCR, s->encr, s->key_bits, false };
	if (s->proto == WIRE_PROTO_IKE)
		x[n++] = (struct wire_transform){ WIRE_T_PRF, s->prf, 0, false };
	if (s->integ != CRYPTO_INTEG_NONE)
		x[n++] = (struct wire_transform){ WIRE_T_INTEG, s->integ, 0, false };
	if (s->ke)
		x[n++] = (struct wire_transform){ WIRE_T_KE, s->ke, 0, false };
	if (s->proto == WIRE_PROTO_ESP)
		x[n++] = (struct wire_transform){ WIRE_T_ESN, s->esn, 0, false };
	*ret_proposal = (struct wire_proposal){ number, s->proto, spi, x, n };
	return ST_OK;
}

uint16_t policy_first_ke(const struct wire_sa *sa)
{
	for (size_t i = 0; i < sa->n; i++) {
		const struct wire_proposal *p = &sa->proposals[i];

		for (size_t k = 0; k < p->n_transforms; k++)
			if (p->transforms[k].type == WIRE_T_KE && p->transforms[k].id != 0)
				return p->transforms[k].id;
	}
	return 0;
}

bool policy_offers_ke(const struct wire_sa *sa, uint16_t group)
{
	const struct wire_transform want = { .type = WIRE_T_KE, .id = group };

	for (size_t i = 0; i < sa->n; i++)
		if (group != 0 && offers(&sa->proposals[i], &want))
			return true;
	return false;
}

/* ---- back to keywords ---- */

/* Noesn alone goes without saying, as in the keywords an operator writes. */
static bool goes_without_saying(const struct wire_proposal *p, const struct wire_transform *x)
{
	const struct wire_transform esn = { .type = WIRE_T_ESN, .id = 1 };

	if (x->type == WIRE_T_INTEG && x->id == CRYPTO_INTEG_NONE)
		return true;
	return p->proto == WIRE_PROTO_ESP && x->type == WIRE_T_ESN && x->id == 0 &&
	       !offers(p, &esn);
}

static void proposal_text(struct text *t, const struct wire_proposal *p)
{
	const char *sep = "";

	if (p->proto != WIRE_PROTO_IKE && p->proto != WIRE_PROTO_ESP)
		text_fmt(t, "protocol%u:", p->proto);
	for (size_t i = 0; i < p->n_transforms; i++) {
		if (goes_without_saying(p, &p->transforms[i]))
			continue;
		text_add(t, sep);
		policy_keyword_text(t, &p->transforms[i]);
		sep = "-";
	}
}

void policy_sa_text(struct text *t, const struct wire_sa *sa)
{
	if (sa->n == 0)
		text_add(t, "nothing");
	for (size_t i = 0; i < sa->n; i++) {
		if (i > 0)
			text_add(t, ", ");
		proposal_text(t, &sa->proposals[i]);
	}
}

void policy_suite_text(struct text *t, const struct policy_suite *s)
{
	const struct wire_transform x[] = {
		{ WIRE_T_ENCR, s->encr, s->key_bits, false },
		{ WIRE_T_INTEG, s->integ, 0, false },
		{ WIRE_T_PRF, s->prf, 0, false },
		{ WIRE_T_KE, s->ke, 0, false },
		{ WIRE_T_ESN, s->esn, 0, false },
	};
	const char *sep = "";

	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		if (x[i].id == 0)
			continue;
		text_add(t, sep);
		policy_keyword_text(t, &x[i]);
		sep = "-";
	}
}

struct crypto_cipher policy_suite_cipher(const struct policy_suite *s)
{
	return (struct crypto_cipher){ s->encr, s->key_bits, s->integ };
}
