/*
 * The payloads other than SA (RFC 7296 sections 3.4 to 3.16).  Bodies come without the generic
 * header and at least as long as the table in parse.c asks for; the figures leave that header out.
 */
#include "wire/ike/chain.h"
#include "wire/ike/cp.h"

/*
 *	+-------------------------------+-------------------------------+
 *	|   Diffie-Hellman Group Num    |           RESERVED            |
 *	+-------------------------------+-------------------------------+
 *	~                       Key Exchange Data                       ~
 *	+---------------------------------------------------------------+
 *
 * How long the data must be is known to whoever knows the group.
 */
enum status wire_decode_ke(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);

	(void)type;
	ch->out.ke.group = cur_u16(&c);
	cur_u16(&c);
	ch->out.ke.data = cur_rest(&c);
	return ST_OK;
}

/* What the data of an identity must be; types not named here may hold anything. */
static const struct {
	uint8_t type;
	bool text;
	uint8_t min;
	uint16_t max;
} id_rules[] = {
	{ WIRE_ID_IPV4, false, 4, 4 },           { WIRE_ID_FQDN, true, 1, UINT16_MAX },
	{ WIRE_ID_RFC822, true, 1, UINT16_MAX }, { WIRE_ID_IPV6, false, 16, 16 },
	{ WIRE_ID_DN, false, 2, UINT16_MAX },    { WIRE_ID_GN, false, 2, UINT16_MAX },
	{ WIRE_ID_KEY, false, 1, UINT16_MAX },   { WIRE_ID_NULL, false, 0, 0 },
};

/* Names "MUST NOT contain any terminators (e.g., NULL, CR, etc.)": one that did could be one name
 * to us and another to whoever wrote the policy. */
bool wire_text_ok(struct bytes b)
{
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] < 0x20 || b.p[i] == 0x7f)
			return false;
	return true;
}

bool wire_id_ok(uint8_t type, struct bytes data)
{
	for (size_t i = 0; i < ARRAY_LEN(id_rules); i++)
		if (id_rules[i].type == type)
			return data.n >= id_rules[i].min && data.n <= id_rules[i].max &&
			       (!id_rules[i].text || wire_text_ok(data));
	return true;
}

/*
 *	+---------------+-----------------------------------------------+
 *	|   ID Type     |                 RESERVED                      |
 *	+---------------+-----------------------------------------------+
 *	~                   Identification Data                         ~
 *	+---------------------------------------------------------------+
 */
enum status wire_decode_id(struct chain *ch, uint8_t type, struct bytes body)
{
	struct wire_id *id = type == WIRE_P_IDI ? &ch->out.id_i : &ch->out.id_r;
	struct cur c = cur_of(body);

	id->type = cur_u8(&c);
	cur_take(&c, 3);
	id->data = cur_rest(&c);
	id->body = body;
	return wire_id_ok(id->type, id->data) ? ST_OK : chain_fail(ch, WIRE_F_ID);
}

/*
 *	+---------------+-----------------------------------------------+
 *	| Cert Encoding |              Certificate Data                 ~
 *	+---------------+-----------------------------------------------+
 */
enum status wire_decode_cert(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);
	struct wire_cert *cert = &ch->certs[ch->out.n_certs++];

	(void)type;
	cert->encoding = cur_u8(&c);
	cert->data = cur_rest(&c);
	return ST_OK;
}

/*
 *	+---------------+-----------------------------------------------+
 *	| Cert Encoding |            Certification Authority            ~
 *	+---------------+-----------------------------------------------+
 *
 * For X.509 encodings the authority is a list of SHA-1 hashes (section 3.7), perhaps empty.
 */
enum status wire_decode_certreq(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);
	struct wire_cert *req = &ch->certreqs[ch->out.n_certreqs++];
	bool hashes;

	(void)type;
	req->encoding = cur_u8(&c);
	req->data = cur_rest(&c);
	hashes = req->encoding == WIRE_CERT_X509 || req->encoding == WIRE_CERT_HASH_URL ||
		 req->encoding == WIRE_CERT_HASH_URL_BUNDLE;
	if (hashes && req->data.n % WIRE_CERTREQ_HASH_LEN != 0)
		return chain_fail(ch, WIRE_F_CERTREQ);
	return ST_OK;
}

/*
 *	+---------------+-----------------------------------------------+
 *	| Auth Method   |                RESERVED                       |
 *	+---------------+-----------------------------------------------+
 *	~                      Authentication Data                      ~
 *	+---------------------------------------------------------------+
 *
 * The AlgorithmIdentifier inside the data of RFC 7427 section 3 is for the signature's verifier.
 */
enum status wire_decode_auth(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);

	(void)type;
	ch->out.auth.method = cur_u8(&c);
	cur_take(&c, 3);
	ch->out.auth.data = cur_rest(&c);
	return ST_OK;
}

/* Section 3.9: between 16 and 256 octets, inclusive. */
enum status wire_decode_nonce(struct chain *ch, uint8_t type, struct bytes body)
{
	(void)type;
	if (body.n > WIRE_MAX_NONCE)
		return chain_fail(ch, WIRE_F_NONCE);
	ch->out.nonce = body;
	return ST_OK;
}

/* Sizes of SPI and data of the notifies whose contents somebody reads; others may hold anything
 * that their protocol allows. */
static const struct {
	uint16_t type;
	uint8_t spi;
	uint8_t min;
	uint16_t max;
	uint8_t multiple;
} notify_rules[] = {
	{ WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD, 0, 1, 1, 1 }, /* section 3.10.1 */
	{ WIRE_N_INVALID_KE_PAYLOAD, 0, 2, 2, 1 }, /* section 1.3 */
	{ WIRE_N_SET_WINDOW_SIZE, 0, 4, 4, 1 }, /* section 2.3 */
	{ WIRE_N_NAT_DETECTION_SOURCE_IP, 0, 20, 20, 1 }, /* section 2.23: SHA-1 */
	{ WIRE_N_NAT_DETECTION_DESTINATION_IP, 0, 20, 20, 1 },
	{ WIRE_N_COOKIE, 0, 1, 64, 1 }, /* section 2.6 */
	{ WIRE_N_REKEY_SA, 4, 0, UINT16_MAX, 1 }, /* section 1.3.3 */
	{ WIRE_N_CHILD_SA_NOT_FOUND, 4, 0, UINT16_MAX, 1 },
	{ WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED, 0, 0, 0, 1 }, /* RFC 7383 section 2.3 */
	{ WIRE_N_SIGNATURE_HASH_ALGORITHMS, 0, 2, UINT16_MAX, 2 }, /* RFC 7427 section 4 */
	{ WIRE_N_PUZZLE, 0, 3, 3, 1 }, /* RFC 8019 section 8.1 */
};

/* An SPI is as long as its protocol's; a notify about the IKE SA has none (section 3.10). */
static bool notify_spi_ok(uint8_t proto, size_t n)
{
	switch (proto) {
	case WIRE_PROTO_IKE: return n == 0;
	case WIRE_PROTO_AH:
	case WIRE_PROTO_ESP: return n == 0 || n == 4;
	default: return true;
	}
}

static bool notify_ok(const struct wire_notify *n)
{
	if (!notify_spi_ok(n->proto, n->spi.n))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(notify_rules); i++)
		if (notify_rules[i].type == n->type)
			return n->spi.n == notify_rules[i].spi &&
			       n->data.n >= notify_rules[i].min &&
			       n->data.n <= notify_rules[i].max &&
			       n->data.n % notify_rules[i].multiple == 0;
	return true;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	|  Protocol ID  |   SPI Size    |      Notify Message Type      |
 *	+---------------+---------------+-------------------------------+
 *	~                Security Parameter Index (SPI)                 ~
 *	+---------------------------------------------------------------+
 *	~                       Notification Data                       ~
 *	+---------------------------------------------------------------+
 */
enum status wire_decode_notify(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);
	struct wire_notify *n = &ch->notifies[ch->out.n_notifies++];
	size_t spi_len;

	(void)type;
	n->proto = cur_u8(&c);
	spi_len = cur_u8(&c);
	n->type = cur_u16(&c);
	n->spi = cur_take(&c, spi_len);
	n->data = cur_rest(&c);
	return !c.err && notify_ok(n) ? ST_OK : chain_fail(ch, WIRE_F_NOTIFY);
}

/* Section 3.11: protocol 1 deletes the IKE SA and has no SPIs, 2 and 3 have some of four bytes. */
static bool delete_ok(const struct wire_delete *d, size_t n)
{
	switch (d->proto) {
	case WIRE_PROTO_IKE: return d->spi_len == 0 && n == 0;
	case WIRE_PROTO_AH:
	case WIRE_PROTO_ESP: return d->spi_len == 4 && n > 0;
	default: return false;
	}
}

/*
 *	+---------------+---------------+-------------------------------+
 *	| Protocol ID   |   SPI Size    |          Num of SPIs          |
 *	+---------------+---------------+-------------------------------+
 *	~               Security Parameter Index(es) (SPI)              ~
 *	+---------------------------------------------------------------+
 */
enum status wire_decode_delete(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);
	struct wire_delete *d = &ch->deletes[ch->out.n_deletes++];
	size_t n;

	(void)type;
	d->proto = cur_u8(&c);
	d->spi_len = cur_u8(&c);
	n = cur_u16(&c);
	d->spis = cur_rest(&c);
	if (!delete_ok(d, n) || d->spis.n != n * d->spi_len)
		return chain_fail(ch, WIRE_F_DELETE);
	return n > WIRE_MAX_DELETE_SPIS ? chain_fail(ch, WIRE_F_LIMIT) : ST_OK;
}

enum status wire_decode_vendor(struct chain *ch, uint8_t type, struct bytes body)
{
	(void)type;
	ch->vendors[ch->out.n_vendors++] = body;
	return ST_OK;
}

/* A range of ports may run backwards in one case only: OPAQUE is 65535 to 0. */
static bool ts_ok(const struct wire_ts *ts)
{
	bool opaque = ts->port_start == UINT16_MAX && ts->port_end == 0;

	return (opaque || ts->port_start <= ts->port_end) && ip_cmp(&ts->start, &ts->end) <= 0;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	|   TS Type     |IP Protocol ID |       Selector Length         |
 *	+---------------+---------------+-------------------------------+
 *	|           Start Port          |           End Port            |
 *	+-------------------------------+-------------------------------+
 *	~                         Starting Address                      ~
 *	+---------------------------------------------------------------+
 *	~                         Ending Address                        ~
 *	+---------------------------------------------------------------+
 *
 * Of a selector of another type only type and length are where the figure has them.
 */
bool wire_take_selector(struct cur *c, struct wire_ts_list *list, struct wire_ts *ts)
{
	uint8_t type = cur_u8(c);
	uint8_t proto = cur_u8(c);
	size_t len = cur_u16(c);
	size_t addr = type == WIRE_TS_IPV4 ? 4 : type == WIRE_TS_IPV6 ? 16 : 0;
	struct cur sub;

	if (c->err || len < 4)
		return false;
	sub = cur_sub(c, len - 4);
	if (addr == 0) {
		list->unknown++;
		return !sub.err;
	}
	ts->proto = proto;
	ts->port_start = cur_u16(&sub);
	ts->port_end = cur_u16(&sub);
	ts->start = ip_from_raw(cur_take(&sub, addr));
	ts->end = ip_from_raw(cur_take(&sub, addr));
	list->n++;
	return !sub.err && cur_left(&sub) == 0 && ts_ok(ts);
}

/*
 *	+---------------+-----------------------------------------------+
 *	| Number of TSs |                 RESERVED                      |
 *	+---------------+-----------------------------------------------+
 *	~                       <Traffic Selectors>                     ~
 *	+---------------------------------------------------------------+
 */
enum status wire_decode_ts(struct chain *ch, uint8_t type, struct bytes body)
{
	struct wire_ts_list *list = type == WIRE_P_TSI ? &ch->out.ts_i : &ch->out.ts_r;
	struct cur c = cur_of(body);
	size_t n = cur_u8(&c);
	struct wire_ts *ts;

	cur_take(&c, 3);
	if (n == 0)
		return chain_fail(ch, WIRE_F_TS);
	if (n > WIRE_MAX_TS)
		return chain_fail(ch, WIRE_F_LIMIT);
	ts = arena_new(ch->ar, n * sizeof(*ts));
	if (!ts)
		return chain_fail(ch, WIRE_F_NOMEM);
	list->ts = ts;
	for (size_t i = 0; i < n; i++)
		if (!wire_take_selector(&c, list, &ts[list->n]))
			return chain_fail(ch, WIRE_F_TS);
	return cur_left(&c) ? chain_fail(ch, WIRE_F_TS) : ST_OK;
}

/*
 *	+---------------+-----------------------------------------------+
 *	|   CFG Type    |                    RESERVED                   |
 *	+-+-------------+---------------+-------------------------------+
 *	|R|         Attribute Type      |            Length             |
 *	+-+-----------------------------+-------------------------------+
 *	~                             Value                             ~
 *	+---------------------------------------------------------------+
 *
 * What the values mean is read by wire_cfg_parse().
 */
enum status wire_decode_cp(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);

	(void)type;
	ch->out.cp.type = cur_u8(&c);
	cur_take(&c, 3);
	ch->out.cp.attributes = bytes_of(c.p, cur_left(&c));
	while (!c.err && cur_left(&c)) {
		unsigned attribute = cur_u16(&c) & 0x7fff;
		size_t n = cur_u16(&c);

		cur_take(&c, n);
		if (!c.err && !wire_cfg_length_ok(attribute, n))
			return chain_fail(ch, WIRE_F_CP);
	}
	return c.err ? chain_fail(ch, WIRE_F_CP) : ST_OK;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	|     Code      | Identifier    |           Length              |
 *	+---------------+---------------+-------------------------------+
 *	|     Type      | Type_Data...
 *	+---------------+----------------
 *
 * Requests (1) and responses (2) have a type, success (3) and failure (4) end with the length.
 */
enum status wire_decode_eap(struct chain *ch, uint8_t type, struct bytes body)
{
	struct cur c = cur_of(body);
	uint8_t code = cur_u8(&c);
	size_t len;
	bool ok;

	(void)type;
	cur_u8(&c);
	len = cur_u16(&c);
	ok = code == 1 || code == 2 ? len > 4 : (code == 3 || code == 4) && len == 4;
	if (!ok || len != body.n)
		return chain_fail(ch, WIRE_F_EAP);
	ch->out.eap = body;
	return ST_OK;
}

/*
 *	+---------------------------------------------------------------+
 *	~                     Puzzle Solution Data                      ~
 *	+---------------------------------------------------------------+
 *
 * RFC 8019 section 8.2: four keys of one length.
 */
enum status wire_decode_solution(struct chain *ch, uint8_t type, struct bytes body)
{
	(void)type;
	ch->out.solution = body;
	return body.n % 4 == 0 ? ST_OK : chain_fail(ch, WIRE_F_PS);
}
