/*
 * The chain inside SK; the first byte of the input is the type of its first payload.  What was
 * accepted is written into an encrypted message and parsed again: the same value must come back.
 * What the parser leaves out (unknown payloads, attributes and selector types) is not written.
 */
#include "ike_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_lists(struct wire_out *o, const struct wire_payloads *p)
{
	for (size_t i = 0; i < p->n_certs; i++)
		wire_put_cert(o, p->certs[i].encoding, p->certs[i].data);
	for (size_t i = 0; i < p->n_certreqs; i++)
		wire_put_certreq(o, p->certreqs[i].encoding, p->certreqs[i].data);
	for (size_t i = 0; i < p->n_notifies; i++)
		wire_put_notify(o, p->notifies[i].proto, p->notifies[i].spi, p->notifies[i].type,
				p->notifies[i].data);
	for (size_t i = 0; i < p->n_deletes; i++)
		wire_put_delete(o, p->deletes[i].proto, p->deletes[i].spi_len, p->deletes[i].spis);
	for (size_t i = 0; i < p->n_vendors; i++)
		wire_put_vendor(o, p->vendors[i]);
}

static void put_payloads(struct wire_out *o, const struct wire_payloads *p)
{
	if (has(p, WIRE_P_SA))
		wire_put_sa(o, &p->sa);
	if (has(p, WIRE_P_KE))
		wire_put_ke(o, p->ke.group, p->ke.data);
	if (has(p, WIRE_P_NONCE))
		wire_put_nonce(o, p->nonce);
	if (has(p, WIRE_P_IDI))
		wire_put_id(o, WIRE_P_IDI, p->id_i.type, p->id_i.data);
	if (has(p, WIRE_P_IDR))
		wire_put_id(o, WIRE_P_IDR, p->id_r.type, p->id_r.data);
	if (has(p, WIRE_P_AUTH))
		wire_put_auth(o, p->auth.method, p->auth.data);
	if (p->ts_i.n)
		wire_put_ts(o, WIRE_P_TSI, p->ts_i.ts, p->ts_i.n);
	if (p->ts_r.n)
		wire_put_ts(o, WIRE_P_TSR, p->ts_r.ts, p->ts_r.n);
	if (has(p, WIRE_P_CP))
		wire_put_cp(o, p->cp.type, p->cp.attributes);
	if (has(p, WIRE_P_EAP))
		wire_put_raw(o, WIRE_P_EAP, p->eap);
	if (has(p, WIRE_P_PS))
		wire_put_solution(o, p->solution);
	put_lists(o, p);
}

static void same_sa(const struct wire_sa *a, const struct wire_sa *b)
{
	CHECK(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct wire_proposal *p = &a->proposals[i];
		const struct wire_proposal *q = &b->proposals[i];

		CHECK(p->number == q->number && p->proto == q->proto && bytes_eq(p->spi, q->spi));
		CHECK(p->n_transforms == q->n_transforms);
		for (size_t j = 0; j < p->n_transforms; j++) {
			CHECK(p->transforms[j].type == q->transforms[j].type);
			CHECK(p->transforms[j].id == q->transforms[j].id);
			CHECK(p->transforms[j].key_bits == q->transforms[j].key_bits);
			CHECK(!q->transforms[j].unknown_attribute);
		}
	}
}

static void same_ts(const struct wire_ts_list *a, const struct wire_ts_list *b)
{
	CHECK(a->n == b->n && b->unknown == 0);
	for (size_t i = 0; i < a->n; i++) {
		CHECK(a->ts[i].proto == b->ts[i].proto);
		CHECK(a->ts[i].port_start == b->ts[i].port_start);
		CHECK(a->ts[i].port_end == b->ts[i].port_end);
		CHECK(ip_eq(&a->ts[i].start, &b->ts[i].start));
		CHECK(ip_eq(&a->ts[i].end, &b->ts[i].end));
	}
}

static void same_id(const struct wire_id *a, const struct wire_id *b)
{
	CHECK(a->type == b->type && bytes_eq(a->data, b->data) && a->body.n == b->body.n);
}

static void same_lists(const struct wire_payloads *a, const struct wire_payloads *b)
{
	CHECK(a->n_certs == b->n_certs && a->n_certreqs == b->n_certreqs);
	CHECK(a->n_notifies == b->n_notifies && a->n_deletes == b->n_deletes);
	CHECK(a->n_vendors == b->n_vendors);
	for (size_t i = 0; i < a->n_certs; i++)
		CHECK(a->certs[i].encoding == b->certs[i].encoding &&
		      bytes_eq(a->certs[i].data, b->certs[i].data));
	for (size_t i = 0; i < a->n_certreqs; i++)
		CHECK(a->certreqs[i].encoding == b->certreqs[i].encoding &&
		      bytes_eq(a->certreqs[i].data, b->certreqs[i].data));
	for (size_t i = 0; i < a->n_notifies; i++)
		CHECK(a->notifies[i].type == b->notifies[i].type &&
		      a->notifies[i].proto == b->notifies[i].proto &&
		      bytes_eq(a->notifies[i].spi, b->notifies[i].spi) &&
		      bytes_eq(a->notifies[i].data, b->notifies[i].data));
	for (size_t i = 0; i < a->n_deletes; i++)
		CHECK(a->deletes[i].proto == b->deletes[i].proto &&
		      a->deletes[i].spi_len == b->deletes[i].spi_len &&
		      bytes_eq(a->deletes[i].spis, b->deletes[i].spis));
	for (size_t i = 0; i < a->n_vendors; i++)
		CHECK(bytes_eq(a->vendors[i], b->vendors[i]));
}

/* Payloads that held nothing but selectors of unknown types are not written. */
static uint64_t written(const struct wire_payloads *p)
{
	return p->present & ~(p->ts_i.n ? 0 : WIRE_BIT(WIRE_P_TSI)) &
	       ~(p->ts_r.n ? 0 : WIRE_BIT(WIRE_P_TSR));
}

static void same_payloads(const struct wire_payloads *a, const struct wire_payloads *b)
{
	CHECK(written(a) == b->present);
	same_sa(&a->sa, &b->sa);
	CHECK(a->ke.group == b->ke.group && bytes_eq(a->ke.data, b->ke.data));
	CHECK(bytes_eq(a->nonce, b->nonce));
	same_id(&a->id_i, &b->id_i);
	same_id(&a->id_r, &b->id_r);
	CHECK(a->auth.method == b->auth.method && bytes_eq(a->auth.data, b->auth.data));
	same_ts(&a->ts_i, &b->ts_i);
	same_ts(&a->ts_r, &b->ts_r);
	CHECK(a->cp.type == b->cp.type && bytes_eq(a->cp.attributes, b->cp.attributes));
	CHECK(bytes_eq(a->eap, b->eap));
	CHECK(bytes_eq(a->solution, b->solution));
	same_lists(a, b);
}

/* The chain in fragments of `size` bytes is the same chain. */
static void fragments(struct arena *ar, const struct wire_hdr *h, uint8_t first, struct bytes chain,
		      size_t size)
{
	static uint8_t buf[1 << 17];
	size_t total = chain.n / size + 1, at = 0;

	for (size_t i = 1; i <= total; i++) {
		struct wire_fragment f = { .number = (uint16_t)i, .total = (uint16_t)total };
		enum wire_fault fault = WIRE_OK;
		struct wire_sk_spans s;
		struct wire_ike_msg m;
		struct bytes msg, piece;
		struct wire_out o;

		f.first = first;
		f.piece = bytes_of(chain.p + at, chain.n - at < size ? chain.n - at : size);
		wire_ike_begin(&o, buf, sizeof(buf), h);
		wire_put_fragment(&o, 8, &f);
		CHECK(wire_ike_sk_end(&o, 16, 16, &s, &msg) == ST_OK);
		CHECK(wire_ike_parse(ar, msg, &m, &fault) == ST_OK);
		CHECK(m.sk.fragment == i && m.sk.fragments == total);
		CHECK(m.sk.inner_next == (i == 1 ? first : WIRE_P_NONE));
		CHECK(wire_ike_unpad(bytes_of(s.plain, s.plain_len), &piece) == ST_OK);
		CHECK(bytes_eq(piece, f.piece));
		at += piece.n;
	}
	CHECK(at == chain.n);
}

static void round_trip(struct arena *ar, const struct wire_payloads *p)
{
	static uint8_t buf[1 << 17];
	const struct wire_hdr h = { .version = WIRE_IKE_VERSION, .exchange = WIRE_IKE_AUTH };
	enum wire_fault fault = WIRE_OK;
	struct wire_payloads again;
	struct wire_ike_msg m;
	struct wire_sk_spans s;
	struct wire_out o;
	struct bytes msg;
	struct bytes plain;
	uint8_t first;

	wire_ike_begin(&o, buf, sizeof(buf), &h);
	wire_ike_sk_begin(&o, 8);
	put_payloads(&o, p);
	if (wire_ike_inner(&o, &first, &plain) == ST_OK)
		fragments(ar, &h, first, plain, 1 + plain.n / 5);
	if (wire_ike_sk_end(&o, 16, 16, &s, &msg) != ST_OK) {
		CHECK(wr_len(&o.w) > 65000);
		return;
	}
	CHECK(wire_ike_parse(ar, msg, &m, &fault) == ST_OK && m.encrypted);
	CHECK(m.sk.body.p == s.iv && bytes_eq(m.sk.aad, s.aad));
	CHECK(wire_ike_unpad(bytes_of(s.plain, s.plain_len), &plain) == ST_OK);
	CHECK(wire_ike_parse_inner(ar, m.sk.inner_next, plain, &again, &fault) == ST_OK);
	same_payloads(p, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum wire_fault fault = WIRE_OK;
	struct wire_payloads p;
	struct arena ar;
	struct bytes plain;

	if (size == 0)
		return 0;
	plain = bytes_of(data + 1, size - 1);
	arena_init(&ar, &mem_libc, 1 << 20);
	if (wire_ike_parse_inner(&ar, data[0], plain, &p, &fault) != ST_OK) {
		CHECK(fault > WIRE_OK && fault < WIRE_FAULTS && fault != WIRE_F_NOMEM);
	} else {
		check_payloads(plain, &p);
		round_trip(&ar, &p);
	}
	arena_done(&ar);
	return 0;
}
