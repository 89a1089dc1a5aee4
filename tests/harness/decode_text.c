/* Datagrams as readable lines. */
#include "harness/decode.h"

#include <stdio.h>

enum {
	LINE = 1024,
};

static void put_bytes(struct text_buf *t, const char *indent, const char *what, struct bytes b)
{
	char line[LINE];
	struct text text = TEXT_OF(line);

	text_hex(&text, b);
	text_buf_fmt(t, "%s%s %s\n", indent, what, line);
}

static const char *name_or(const char *name, const char *kind, unsigned n, char buf[static 32])
{
	if (name)
		return name;
	snprintf(buf, 32, "%s %u", kind, n);
	return buf;
}

static void put_sa(struct text_buf *t, const char *in, const struct wire_sa *sa)
{
	char line[LINE];
	struct text text = TEXT_OF(line);

	policy_sa_text(&text, sa);
	text_buf_fmt(t, "%sSA %s\n", in, line);
	for (size_t i = 0; i < sa->n; i++)
		if (sa->proposals[i].spi.n)
			put_bytes(t, in, "  SPI", sa->proposals[i].spi);
}

static void put_id(struct text_buf *t, const char *in, const char *what, const struct wire_id *id)
{
	char line[LINE];
	struct text text = TEXT_OF(line);
	struct policy_ident ident = { id->type, id->data };

	policy_ident_text(&text, &ident);
	text_buf_fmt(t, "%s%s type %u %s\n", in, what, id->type, line);
}

static void put_ts(struct text_buf *t, const char *in, const char *what,
		   const struct wire_ts_list *l)
{
	char line[LINE];
	struct text text = TEXT_OF(line);

	policy_ts_list_text(&text, l);
	text_buf_fmt(t, "%s%s %s\n", in, what, line);
}

static void put_notify(struct text_buf *t, const char *in, const struct wire_notify *n)
{
	char line[LINE], number[32];
	struct text text = TEXT_OF(line);

	text_hex(&text, n->data);
	text_buf_fmt(t, "%sN %s%s%s%s%s\n", in,
		     name_or(wire_notify_name(n->type), "notify", n->type, number),
		     n->spi.n ? " with SPI" : "", n->data.n ? " " : "", line,
		     n->proto ? " for a protocol" : "");
}

static void put_delete(struct text_buf *t, const char *in, const struct wire_delete *d)
{
	text_buf_fmt(t, "%sD protocol %u\n", in, d->proto);
	for (size_t i = 0; d->spi_len && i + d->spi_len <= d->spis.n; i += d->spi_len)
		put_bytes(t, in, "  SPI", bytes_of(d->spis.p + i, d->spi_len));
}

static void put_lists(struct text_buf *t, const char *in, const struct wire_payloads *p)
{
	char what[32];

	for (size_t i = 0; i < p->n_certs; i++) {
		snprintf(what, sizeof(what), "CERT %u", p->certs[i].encoding);
		put_bytes(t, in, what, p->certs[i].data);
	}
	for (size_t i = 0; i < p->n_certreqs; i++) {
		snprintf(what, sizeof(what), "CERTREQ %u", p->certreqs[i].encoding);
		put_bytes(t, in, what, p->certreqs[i].data);
	}
	for (size_t i = 0; i < p->n_notifies; i++)
		put_notify(t, in, &p->notifies[i]);
	for (size_t i = 0; i < p->n_deletes; i++)
		put_delete(t, in, &p->deletes[i]);
	for (size_t i = 0; i < p->n_vendors; i++)
		put_bytes(t, in, "V", p->vendors[i]);
}

/* In the order in which RFC 7296 draws its messages. */
static void put_payloads(struct text_buf *t, const char *in, const struct wire_payloads *p)
{
	char what[32];

	if (p->present & WIRE_BIT(WIRE_P_IDI))
		put_id(t, in, "IDi", &p->id_i);
	if (p->present & WIRE_BIT(WIRE_P_IDR))
		put_id(t, in, "IDr", &p->id_r);
	if (p->present & WIRE_BIT(WIRE_P_AUTH)) {
		snprintf(what, sizeof(what), "AUTH method %u", p->auth.method);
		put_bytes(t, in, what, p->auth.data);
	}
	if (p->present & WIRE_BIT(WIRE_P_SA))
		put_sa(t, in, &p->sa);
	if (p->present & WIRE_BIT(WIRE_P_KE)) {
		snprintf(what, sizeof(what), "KE group %u", p->ke.group);
		put_bytes(t, in, what, p->ke.data);
	}
	if (p->present & WIRE_BIT(WIRE_P_NONCE))
		put_bytes(t, in, "Nonce", p->nonce);
	if (p->present & WIRE_BIT(WIRE_P_TSI))
		put_ts(t, in, "TSi", &p->ts_i);
	if (p->present & WIRE_BIT(WIRE_P_TSR))
		put_ts(t, in, "TSr", &p->ts_r);
	if (p->present & WIRE_BIT(WIRE_P_CP))
		put_bytes(t, in, "CP", p->cp.attributes);
	put_lists(t, in, p);
}

/* "HDR, SA, KE, Nonce, N, N": the chain as it is. */
static void put_chain(struct text_buf *t, const char *in, uint8_t first, struct bytes chain)
{
	struct cur c = cur_of(chain);
	uint8_t type = first;
	char number[32];

	text_buf_add(t, in);
	while (type != WIRE_P_NONE && cur_left(&c) >= WIRE_PAYLOAD_HDR_LEN) {
		uint8_t next = cur_u8(&c);
		size_t len;

		text_buf_fmt(t, "%s ", name_or(wire_payload_name(type), "payload", type, number));
		cur_u8(&c);
		len = cur_u16(&c);
		if (len < WIRE_PAYLOAD_HDR_LEN || type == WIRE_P_SK)
			break;
		cur_take(&c, len - WIRE_PAYLOAD_HDR_LEN);
		type = next;
	}
	text_buf_add(t, "\n");
}

static void put_header(struct text_buf *t, const struct wire_hdr *h)
{
	char number[32];

	text_buf_fmt(t, "  %s %s %u, SPIi %016llx SPIr %016llx%s\n",
		     name_or(wire_exchange_name(h->exchange), "exchange", h->exchange, number),
		     h->flags & WIRE_FLAG_RESPONSE ? "response" : "request", h->msgid,
		     (unsigned long long)h->spi_i, (unsigned long long)h->spi_r,
		     h->flags & WIRE_FLAG_INITIATOR ? ", from the original initiator" : "");
}

static void put_probe(struct text_buf *t, struct bytes datagram)
{
	struct wire_probe p;
	struct bytes covered;
	const uint8_t *mac;

	if (wire_probe_parse(datagram, &p, &covered, &mac) != ST_OK)
		text_buf_add(t, "  malformed probe\n");
	else
		text_buf_fmt(t, "  probe %s %u\n",
			     p.flags & WIRE_PROBE_ANSWER ? "answer" : "question", p.txn);
}

void decode_packet(struct world *w, const struct packet *p, struct text_buf *t)
{
	struct opened o;

	if (p->n == 1 && p->data[0] == 0xff) {
		text_buf_add(t, "  NAT keepalive\n");
		return;
	}
	if (wire_probe_is(packet_ike(p))) {
		put_probe(t, packet_ike(p));
		return;
	}
	if (!packet_open(w, p, &o)) {
		text_buf_add(t, "  no IKE message\n");
		opened_done(&o);
		return;
	}
	put_header(t, &o.msg.hdr);
	put_chain(t, "  ", o.msg.hdr.next,
		  bytes_of(o.msg.raw.p + WIRE_IKE_HDR_LEN, o.msg.raw.n - WIRE_IKE_HDR_LEN));
	put_payloads(t, "    ", &o.msg.clear);
	if (o.msg.sk.fragments)
		text_buf_fmt(t, "    fragment %u of %u\n", o.msg.sk.fragment, o.msg.sk.fragments);
	if (o.open && o.msg.sk.fragments > 1) {
		text_buf_fmt(t, "    %zu bytes of the chain\n", o.plain.n);
	} else if (o.open) {
		put_chain(t, "    ", o.first, o.plain);
		put_payloads(t, "      ", &o.inner);
	} else if (o.sealed) {
		text_buf_add(t, "    cannot be opened\n");
	}
	opened_done(&o);
}
