/*
 * The writer: the mirror of the parser.  The figures are beside the decoders.
 *
 * A payload is opened with its type, which goes into the "next payload" byte that the one before
 * left open, and closed when its length is known.  Everything that does not fit (the buffer, a
 * 16-bit length, an 8-bit count) makes the cursor's sticky error, reported once at the end.
 */
#include "wire/ike/wire_ike.h"

enum {
	HDR_NEXT_AT = 16,
	HDR_LENGTH_AT = 24,
	MORE_PROPOSALS = 2,
	MORE_TRANSFORMS = 3,
	ATTR_KEY_LENGTH_TV = 0x8000 | 14,
};

void wire_ike_begin(struct wire_out *o, void *buf, size_t cap, const struct wire_hdr *h)
{
	*o = (struct wire_out){ .w = wr_of(buf, cap), .next_at = HDR_NEXT_AT };
	wr_u64(&o->w, h->spi_i);
	wr_u64(&o->w, h->spi_r);
	wr_u8(&o->w, WIRE_P_NONE);
	wr_u8(&o->w, h->version);
	wr_u8(&o->w, h->exchange);
	wr_u8(&o->w, h->flags);
	wr_u32(&o->w, h->msgid);
	wr_u32(&o->w, 0);
}

/* Returns where the payload begins, for put_close(). */
static size_t put_open(struct wire_out *o, uint8_t type)
{
	size_t at = wr_len(&o->w);

	wr_u8(&o->w, WIRE_P_NONE);
	wr_u8(&o->w, 0);
	wr_u16(&o->w, 0);
	if (!o->w.err)
		o->w.start[o->next_at] = type;
	o->next_at = at;
	return at;
}

static void put_close(struct wire_out *o, size_t at)
{
	wr_patch_len16(&o->w, at + 2, wr_len(&o->w) - at);
}

static void put_transform(struct wr *w, const struct wire_transform *t, bool last)
{
	wr_u8(w, last ? 0 : MORE_TRANSFORMS);
	wr_u8(w, 0);
	wr_u16(w, t->key_bits ? 12 : 8);
	wr_u8(w, t->type);
	wr_u8(w, 0);
	wr_u16(w, t->id);
	if (t->key_bits) {
		wr_u16(w, ATTR_KEY_LENGTH_TV);
		wr_u16(w, t->key_bits);
	}
}

static void put_proposal(struct wr *w, const struct wire_proposal *p, bool last)
{
	size_t at = wr_len(w);

	wr_u8(w, last ? 0 : MORE_PROPOSALS);
	wr_u8(w, 0);
	wr_u16(w, 0);
	wr_u8(w, p->number);
	wr_u8(w, p->proto);
	wr_len8(w, p->spi.n);
	wr_len8(w, p->n_transforms);
	wr_put(w, p->spi);
	for (size_t i = 0; i < p->n_transforms; i++)
		put_transform(w, &p->transforms[i], i + 1 == p->n_transforms);
	wr_patch_len16(w, at + 2, wr_len(w) - at);
}

void wire_put_sa(struct wire_out *o, const struct wire_sa *sa)
{
	size_t at = put_open(o, WIRE_P_SA);

	for (size_t i = 0; i < sa->n; i++)
		put_proposal(&o->w, &sa->proposals[i], i + 1 == sa->n);
	put_close(o, at);
}

void wire_put_ke(struct wire_out *o, uint16_t group, struct bytes data)
{
	size_t at = put_open(o, WIRE_P_KE);

	wr_u16(&o->w, group);
	wr_u16(&o->w, 0);
	wr_put(&o->w, data);
	put_close(o, at);
}

void wire_put_nonce(struct wire_out *o, struct bytes nonce)
{
	wire_put_raw(o, WIRE_P_NONCE, nonce);
}

void wire_id_body(uint8_t type, struct bytes data, uint8_t *ret)
{
	ret[0] = type;
	memset(ret + 1, 0, 3);
	if (data.n)
		memcpy(ret + 4, data.p, data.n);
}

/* ID and AUTH: one byte that says what, three reserved, the data. */
static void put_typed(struct wire_out *o, uint8_t payload, uint8_t type, struct bytes data)
{
	size_t at = put_open(o, payload);

	wr_u8(&o->w, type);
	wr_zero(&o->w, 3);
	wr_put(&o->w, data);
	put_close(o, at);
}

void wire_put_id(struct wire_out *o, enum wire_payload idi_or_idr, uint8_t type, struct bytes data)
{
	put_typed(o, (uint8_t)idi_or_idr, type, data);
}

void wire_put_auth(struct wire_out *o, uint8_t method, struct bytes data)
{
	put_typed(o, WIRE_P_AUTH, method, data);
}

void wire_put_cp(struct wire_out *o, uint8_t type, struct bytes attributes)
{
	put_typed(o, WIRE_P_CP, type, attributes);
}

/* CERT and CERTREQ. */
static void put_encoded(struct wire_out *o, uint8_t payload, uint8_t encoding, struct bytes data)
{
	size_t at = put_open(o, payload);

	wr_u8(&o->w, encoding);
	wr_put(&o->w, data);
	put_close(o, at);
}

void wire_put_cert(struct wire_out *o, uint8_t encoding, struct bytes data)
{
	put_encoded(o, WIRE_P_CERT, encoding, data);
}

void wire_put_certreq(struct wire_out *o, uint8_t encoding, struct bytes data)
{
	put_encoded(o, WIRE_P_CERTREQ, encoding, data);
}

void wire_put_notify(struct wire_out *o, uint8_t proto, struct bytes spi, uint16_t type,
		     struct bytes data)
{
	size_t at = put_open(o, WIRE_P_NOTIFY);

	wr_u8(&o->w, proto);
	wr_len8(&o->w, spi.n);
	wr_u16(&o->w, type);
	wr_put(&o->w, spi);
	wr_put(&o->w, data);
	put_close(o, at);
}

void wire_put_delete(struct wire_out *o, uint8_t proto, uint8_t spi_len, struct bytes spis)
{
	size_t at = put_open(o, WIRE_P_DELETE);
	size_t n = spi_len ? spis.n / spi_len : 0;

	wr_u8(&o->w, proto);
	wr_u8(&o->w, spi_len);
	wr_u16(&o->w, 0);
	wr_patch_len16(&o->w, at + 6, n);
	wr_put(&o->w, bytes_of(spis.p, n * spi_len));
	put_close(o, at);
}

void wire_put_vendor(struct wire_out *o, struct bytes vid)
{
	wire_put_raw(o, WIRE_P_VENDOR, vid);
}

void wire_put_selector(struct wr *w, const struct wire_ts *ts)
{
	size_t addr = ip_len(&ts->start);

	if (addr == 0 || ts->end.family != ts->start.family)
		w->err = true;
	wr_u8(w, ts->start.family == 4 ? WIRE_TS_IPV4 : WIRE_TS_IPV6);
	wr_u8(w, ts->proto);
	wr_u16(w, (uint16_t)(8 + 2 * addr));
	wr_u16(w, ts->port_start);
	wr_u16(w, ts->port_end);
	wr_put(w, ip_raw(&ts->start));
	wr_put(w, ip_raw(&ts->end));
}

void wire_put_ts(struct wire_out *o, enum wire_payload tsi_or_tsr, const struct wire_ts *ts,
		 size_t n)
{
	size_t at = put_open(o, (uint8_t)tsi_or_tsr);

	wr_len8(&o->w, n);
	wr_zero(&o->w, 3);
	for (size_t i = 0; i < n; i++)
		wire_put_selector(&o->w, &ts[i]);
	put_close(o, at);
}

void wire_put_solution(struct wire_out *o, struct bytes keys)
{
	wire_put_raw(o, WIRE_P_PS, keys);
}

void wire_put_raw(struct wire_out *o, uint8_t type, struct bytes body)
{
	size_t at = put_open(o, type);

	wr_put(&o->w, body);
	put_close(o, at);
}

void wire_ike_sk_begin(struct wire_out *o, size_t iv_len)
{
	o->sk_at = put_open(o, WIRE_P_SK);
	o->iv_at = wr_len(&o->w);
	wr_zero(&o->w, iv_len);
	o->plain_at = wr_len(&o->w);
}

enum status wire_ike_inner(const struct wire_out *o, uint8_t *ret_first, struct bytes *ret_chain)
{
	if (o->w.err)
		return ST_NOMEM;
	if (!o->sk_at)
		return ST_BUG;
	*ret_first = o->w.start[o->sk_at];
	*ret_chain = bytes_of(o->w.start + o->plain_at, wr_len(&o->w) - o->plain_at);
	return ST_OK;
}

/* RFC 7383 section 2.5; the figure is beside sk_locate(). */
void wire_put_fragment(struct wire_out *o, size_t iv_len, const struct wire_fragment *f)
{
	o->sk_at = put_open(o, WIRE_P_SKF);
	wr_u16(&o->w, f->number);
	wr_u16(&o->w, f->total);
	o->iv_at = wr_len(&o->w);
	wr_zero(&o->w, iv_len);
	o->plain_at = wr_len(&o->w);
	wr_put(&o->w, f->piece);
	if (!o->w.err && f->number == 1)
		o->w.start[o->sk_at] = f->first;
}

/* The length of the whole message, and the message. */
static MUST enum status msg_close(struct wire_out *o, struct bytes *ret_msg)
{
	if (o->w.err)
		return ST_NOMEM;
	store_be32(o->w.start + HDR_LENGTH_AT, (uint32_t)wr_len(&o->w));
	*ret_msg = wr_bytes_of(&o->w);
	return ST_OK;
}

/* Section 3.14: padding brings payloads, padding and pad length to a multiple of the block. */
static void put_padding(struct wire_out *o, size_t block)
{
	size_t used = (wr_len(&o->w) - o->plain_at + 1) % block;
	size_t pad = used ? block - used : 0;

	wr_zero(&o->w, pad);
	wr_len8(&o->w, pad);
}

enum status wire_ike_sk_end(struct wire_out *o, size_t block, size_t icv_len,
			    struct wire_sk_spans *ret_spans, struct bytes *ret_msg)
{
	size_t icv_at;
	struct bytes msg;

	if (o->w.err)
		return ST_NOMEM;
	if (!o->sk_at || !block)
		return ST_BUG;
	put_padding(o, block);
	icv_at = wr_len(&o->w);
	wr_zero(&o->w, icv_len);
	put_close(o, o->sk_at);
	if (msg_close(o, &msg) != ST_OK)
		return ST_NOMEM;
	*ret_spans = (struct wire_sk_spans){
		.aad = bytes_of(o->w.start, o->iv_at),
		.iv = o->w.start + o->iv_at,
		.plain = o->w.start + o->plain_at,
		.plain_len = icv_at - o->plain_at,
		.icv = o->w.start + icv_at,
	};
	*ret_msg = msg;
	return ST_OK;
}

enum status wire_ike_end(struct wire_out *o, struct bytes *ret_msg)
{
	return o->sk_at && !o->w.err ? ST_BUG : msg_close(o, ret_msg);
}
