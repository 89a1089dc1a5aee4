/* The IKE header, the payload chain and the table of payloads (RFC 7296 sections 3.1, 3.2). */
#include "wire/ike/wire_ike.h"

#include "wire/ike/chain.h"

/*
 *	                     1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------------------------------------------------------+
 *	|                       IKE SA Initiator's SPI                  |
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *	|                       IKE SA Responder's SPI                  |
 *	|                                                               |
 *	+---------------+-------+-------+---------------+---------------+
 *	|  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
 *	+---------------+-------+-------+---------------+---------------+
 *	|                          Message ID                           |
 *	+---------------------------------------------------------------+
 *	|                            Length                             |
 *	+---------------------------------------------------------------+
 */
enum status wire_ike_parse_hdr(struct bytes datagram, struct wire_hdr *ret_hdr,
			       enum wire_fault *fault)
{
	struct cur c = cur_of(datagram);
	struct wire_hdr h;

	h.spi_i = cur_u64(&c);
	h.spi_r = cur_u64(&c);
	h.next = cur_u8(&c);
	h.version = cur_u8(&c);
	h.exchange = cur_u8(&c);
	h.flags = cur_u8(&c);
	h.msgid = cur_u32(&c);
	h.length = cur_u32(&c);
	if (c.err) {
		*fault = WIRE_F_SHORT;
		return ST_DROP;
	}
	/* Only the major version counts (section 3.1); the answer of section 2.5 needs the header.
	 */
	if (h.version >> 4 != WIRE_IKE_VERSION >> 4) {
		*ret_hdr = h;
		*fault = WIRE_F_VERSION;
		return ST_DROP;
	}
	if (h.length != datagram.n) {
		*fault = WIRE_F_LENGTH;
		return ST_DROP;
	}
	*ret_hdr = h;
	return ST_OK;
}

/* What a payload may look like before its decoder sees it. */
struct payload_rule {
	uint8_t type;
	uint8_t most; /* 1: may not repeat */
	uint8_t min; /* bytes after the generic header */
	enum wire_fault fault; /* when shorter than that */
	chain_decode *decode; /* NULL: SK and SKF, which end the clear chain */
};

static const struct payload_rule rules[] = {
	{ WIRE_P_SA, 1, 16, WIRE_F_SA, wire_decode_sa },
	{ WIRE_P_KE, 1, 5, WIRE_F_KE, wire_decode_ke },
	{ WIRE_P_IDI, 1, 4, WIRE_F_ID, wire_decode_id },
	{ WIRE_P_IDR, 1, 4, WIRE_F_ID, wire_decode_id },
	{ WIRE_P_CERT, WIRE_MAX_CERTS, 2, WIRE_F_CERT, wire_decode_cert },
	{ WIRE_P_CERTREQ, WIRE_MAX_CERTREQS, 1, WIRE_F_CERTREQ, wire_decode_certreq },
	{ WIRE_P_AUTH, 1, 5, WIRE_F_AUTH, wire_decode_auth },
	{ WIRE_P_NONCE, 1, WIRE_MIN_NONCE, WIRE_F_NONCE, wire_decode_nonce },
	{ WIRE_P_NOTIFY, WIRE_MAX_NOTIFIES, 4, WIRE_F_NOTIFY, wire_decode_notify },
	{ WIRE_P_DELETE, WIRE_MAX_DELETES, 4, WIRE_F_DELETE, wire_decode_delete },
	{ WIRE_P_VENDOR, WIRE_MAX_VENDORS, 0, WIRE_OK, wire_decode_vendor },
	{ WIRE_P_TSI, 1, 8, WIRE_F_TS, wire_decode_ts },
	{ WIRE_P_TSR, 1, 8, WIRE_F_TS, wire_decode_ts },
	{ WIRE_P_SK, 1, 1, WIRE_F_SK, NULL },
	{ WIRE_P_CP, 1, 4, WIRE_F_CP, wire_decode_cp },
	{ WIRE_P_EAP, 1, 4, WIRE_F_EAP, wire_decode_eap },
	{ WIRE_P_SKF, 1, 5, WIRE_F_SK, NULL },
	{ WIRE_P_PS, 1, 4, WIRE_F_PS, wire_decode_solution },
};

static const struct payload_rule *rule_of(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

/* Enters one payload into the list, or skips it when nobody knows it (section 2.5). */
static MUST enum status chain_add(struct chain *ch, uint8_t type, bool critical, struct bytes body)
{
	const struct payload_rule *r = rule_of(type);

	if (!r) {
		if (critical && !ch->out.unknown_critical)
			ch->out.unknown_critical = type;
		return ST_OK;
	}
	if (ch->count[type] >= r->most)
		return chain_fail(ch, r->most == 1 ? WIRE_F_REPEATED : WIRE_F_LIMIT);
	if (body.n < r->min)
		return chain_fail(ch, r->fault);
	ch->count[type]++;
	ch->out.present |= WIRE_BIT(type);
	ch->list[ch->n++] = (struct chain_payload){ type, body };
	return ST_OK;
}

/*
 * Cuts a chain into payloads.  Every step consumes a generic header:
 *
 *	+---------------+-+-------------+-------------------------------+
 *	| Next Payload  |C|  RESERVED   |         Payload Length        |
 *	+---------------+-+-------------+-------------------------------+
 *
 * The next payload field of SK names the first payload inside it, so the chain ends there and
 * `*next` is left at that type.
 */
static MUST enum status chain_split(struct chain *ch, uint8_t *next, struct bytes bytes)
{
	struct cur c = cur_of(bytes);
	bool encrypted = false;

	for (size_t steps = 0; *next != WIRE_P_NONE && !encrypted; steps++) {
		uint8_t type = *next;
		uint8_t flags;
		size_t len;
		struct bytes body;

		*next = cur_u8(&c);
		flags = cur_u8(&c);
		len = cur_u16(&c);
		if (c.err || len < WIRE_PAYLOAD_HDR_LEN)
			return chain_fail(ch, WIRE_F_CHAIN);
		body = cur_take(&c, len - WIRE_PAYLOAD_HDR_LEN);
		if (c.err)
			return chain_fail(ch, WIRE_F_CHAIN);
		if (steps == WIRE_MAX_PAYLOADS)
			return chain_fail(ch, WIRE_F_LIMIT);
		if (chain_add(ch, type, flags & 0x80, body) != ST_OK)
			return ST_DROP;
		encrypted = type == WIRE_P_SK || type == WIRE_P_SKF;
	}
	if (cur_left(&c))
		return chain_fail(ch, encrypted ? WIRE_F_SK_LAST : WIRE_F_CHAIN);
	return ST_OK;
}

static void *list_new(struct chain *ch, uint8_t type, size_t size)
{
	void *p = NULL;

	if (ch->count[type]) {
		p = arena_new(ch->ar, ch->count[type] * size);
		if (!p)
			ch->fault = WIRE_F_NOMEM;
	}
	return p;
}

static MUST enum status chain_lists(struct chain *ch)
{
	ch->certs = list_new(ch, WIRE_P_CERT, sizeof(*ch->certs));
	ch->certreqs = list_new(ch, WIRE_P_CERTREQ, sizeof(*ch->certreqs));
	ch->notifies = list_new(ch, WIRE_P_NOTIFY, sizeof(*ch->notifies));
	ch->deletes = list_new(ch, WIRE_P_DELETE, sizeof(*ch->deletes));
	ch->vendors = list_new(ch, WIRE_P_VENDOR, sizeof(*ch->vendors));
	ch->out.certs = ch->certs;
	ch->out.certreqs = ch->certreqs;
	ch->out.notifies = ch->notifies;
	ch->out.deletes = ch->deletes;
	ch->out.vendors = ch->vendors;
	return ch->fault ? ST_DROP : ST_OK;
}

static MUST enum status chain_decode_all(struct chain *ch)
{
	if (chain_lists(ch) != ST_OK)
		return ST_DROP;
	for (size_t i = 0; i < ch->n; i++) {
		const struct payload_rule *r = rule_of(ch->list[i].type);

		if (r->decode && r->decode(ch, ch->list[i].type, ch->list[i].body) != ST_OK)
			return ST_DROP;
	}
	return ST_OK;
}

/*
 * SK (RFC 7296 section 3.14) is IV, ciphertext and ICV behind the generic header.  SKF (RFC 7383
 * section 2.5) puts two numbers before them:
 *
 *	+-------------------------------+-------------------------------+
 *	|        Fragment Number        |        Total Fragments        |
 *	+-------------------------------+-------------------------------+
 *
 * The associated data ends where the IV begins (RFC 5282 section 5.1), so for SKF it covers them.
 */
static MUST enum status sk_locate(struct chain *ch, struct bytes datagram, uint8_t inner_next,
				  struct wire_sk *ret_sk)
{
	const struct chain_payload *last = &ch->list[ch->n - 1];
	struct cur c = cur_of(last->body);
	struct wire_sk sk = { .inner_next = inner_next };

	if (last->type == WIRE_P_SKF) {
		sk.fragment = cur_u16(&c);
		sk.fragments = cur_u16(&c);
		if (sk.fragment == 0 || sk.fragment > sk.fragments)
			return chain_fail(ch, WIRE_F_FRAGMENT);
	}
	sk.body = cur_rest(&c);
	sk.aad = bytes_of(datagram.p, datagram.n - sk.body.n);
	*ret_sk = sk;
	return ST_OK;
}

static MUST enum status msg_parse(struct chain *ch, struct wire_ike_msg *m)
{
	struct bytes rest = bytes_of(m->raw.p + WIRE_IKE_HDR_LEN, m->raw.n - WIRE_IKE_HDR_LEN);
	uint8_t next = m->hdr.next;

	if (chain_split(ch, &next, rest) != ST_OK)
		return ST_DROP;
	m->encrypted = ch->count[WIRE_P_SK] || ch->count[WIRE_P_SKF];
	if (m->encrypted && sk_locate(ch, m->raw, next, &m->sk) != ST_OK)
		return ST_DROP;
	return chain_decode_all(ch);
}

enum status wire_ike_parse(struct arena *ar, struct bytes datagram, struct wire_ike_msg *ret_msg,
			   enum wire_fault *fault)
{
	struct chain ch = { .ar = ar };
	struct wire_ike_msg m = { .raw = datagram };

	if (wire_ike_parse_hdr(datagram, &m.hdr, fault) != ST_OK)
		return ST_DROP;
	if (msg_parse(&ch, &m) != ST_OK) {
		*fault = ch.fault;
		return ST_DROP;
	}
	m.clear = ch.out;
	*ret_msg = m;
	return ST_OK;
}

/* Section 3.14: an Encrypted payload MUST NOT contain another. */
static MUST enum status inner_parse(struct chain *ch, uint8_t first, struct bytes plain)
{
	if (chain_split(ch, &first, plain) != ST_OK)
		return ST_DROP;
	if (ch->count[WIRE_P_SK] || ch->count[WIRE_P_SKF])
		return chain_fail(ch, WIRE_F_SK_LAST);
	return chain_decode_all(ch);
}

enum status wire_ike_parse_inner(struct arena *ar, uint8_t first, struct bytes plain,
				 struct wire_payloads *ret_inner, enum wire_fault *fault)
{
	struct chain ch = { .ar = ar };

	if (inner_parse(&ch, first, plain) != ST_OK) {
		*fault = ch.fault;
		return ST_DROP;
	}
	*ret_inner = ch.out;
	return ST_OK;
}

enum status wire_ike_unpad(struct bytes plain, struct bytes *ret_payloads)
{
	size_t pad;

	if (plain.n == 0)
		return ST_DROP;
	pad = plain.p[plain.n - 1];
	if (pad > plain.n - 1)
		return ST_DROP;
	*ret_payloads = bytes_of(plain.p, plain.n - 1 - pad);
	return ST_OK;
}

const struct wire_notify *wire_find_notify(const struct wire_payloads *p, uint16_t type)
{
	for (size_t i = 0; i < p->n_notifies; i++)
		if (p->notifies[i].type == type)
			return &p->notifies[i];
	return NULL;
}

const struct wire_notify *wire_find_error(const struct wire_payloads *p)
{
	for (size_t i = 0; i < p->n_notifies; i++)
		if (p->notifies[i].type < WIRE_N_STATUS_FIRST)
			return &p->notifies[i];
	return NULL;
}
