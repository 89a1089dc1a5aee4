/* Inbound: window, trailer, inner packet. */
#include "esp/keyed.h"

struct esp_in {
	struct esp_keyed k;
	const struct alloc *mem;
	struct esp_window window;
};

static const char *const fault_names[ESP_FAULTS] = {
	[ESP_OK] = "ok",
	[ESP_F_SHORT] = "short",
	[ESP_F_SEQ_ZERO] = "seq_zero",
	[ESP_F_REPLAY] = "replay",
	[ESP_F_OLD] = "old",
	[ESP_F_AUTH] = "auth",
	[ESP_F_PADDING] = "padding",
	[ESP_F_NEXT] = "next_header",
	[ESP_F_INNER] = "inner",
	[ESP_F_SELECTOR] = "selector",
	[ESP_F_DUMMY] = "dummy",
	[ESP_F_NOT_DIRECT] = "not_direct",
};

const char *esp_fault_name(enum esp_fault f)
{
	return f < ESP_FAULTS ? fault_names[f] : "?";
}

enum status esp_in_new(const struct alloc *mem, uint32_t spi, const struct esp_keys *keys, bool esn,
		       unsigned window, struct esp_in **ret_in)
{
	struct esp_in *in;
	enum status st;

	if (window == 0 || window % 64 || window > ESP_WINDOW_MAX)
		return ST_INVAL;
	in = mem_new(mem, sizeof(*in));
	if (!in)
		return ST_NOMEM;
	st = esp_keyed_init(&in->k, mem, spi, keys, esn);
	if (st) {
		mem_free(mem, in);
		return st;
	}
	in->mem = mem;
	esp_window_init(&in->window, window, esn);
	*ret_in = in;
	return ST_OK;
}

void esp_in_free(struct esp_in *in)
{
	if (!in)
		return;
	esp_keyed_done(&in->k);
	mem_free(in->mem, in);
}

uint32_t esp_in_spi(const struct esp_in *in)
{
	return in->k.spi;
}

uint64_t esp_in_seq(const struct esp_in *in)
{
	return in->window.top;
}

enum esp_fault esp_in_prepare(const struct esp_in *in, uint8_t *packet, size_t n,
			      struct esp_in_pkt *pkt, struct bulk_op *op)
{
	const struct esp_shape *s = &in->k.shape;
	size_t around = (size_t)s->head + s->icv;
	enum esp_fault f;

	if (n < around + s->align || ((n - around) & (s->align - 1u)) || n > UINT32_MAX)
		return ESP_F_SHORT;
	pkt->seq = esp_window_infer(&in->window, load_be32(packet + 4));
	f = esp_window_test(&in->window, pkt->seq);
	if (f)
		return f;
	pkt->plain = packet + s->head;
	pkt->plain_len = (uint32_t)(n - around);
	op->data = pkt->plain;
	op->n = pkt->plain_len;
	op->icv = pkt->plain + pkt->plain_len;
	esp_keyed_op(&in->k, pkt->seq, packet + ESP_HDR_LEN, op);
	return ESP_OK;
}

/* Section 2.4: "the receiver SHOULD inspect the Padding field".  `*n` is left without trailer. */
static enum esp_fault strip(const uint8_t *plain, size_t *n, uint8_t *ret_next_header)
{
	size_t pad = plain[*n - 2];

	*ret_next_header = plain[*n - 1];
	*n -= 2;
	if (pad > *n)
		return ESP_F_PADDING;
	*n -= pad;
	for (size_t i = 0; i < pad; i++)
		if (plain[*n + i] != (uint8_t)(i + 1))
			return ESP_F_PADDING;
	return ESP_OK;
}

static enum esp_fault inner_of(const uint8_t *plain, size_t n, uint8_t next_header,
			       struct wire_ip *ret_ip, struct bytes *ret_inner)
{
	enum wire_ip_fault why;

	if (next_header == ESP_NH_NONE)
		return ESP_F_DUMMY;
	if (next_header != ESP_NH_IPV4 && next_header != ESP_NH_IPV6)
		return ESP_F_NEXT;
	if (wire_ip_parse(bytes_of(plain, n), ret_ip, &why))
		return ESP_F_INNER;
	if (ret_ip->version != (next_header == ESP_NH_IPV4 ? 4 : 6))
		return ESP_F_INNER;
	*ret_inner = bytes_of(plain, ret_ip->len);
	return ESP_OK;
}

enum esp_fault esp_in_finish(struct esp_in *in, const struct esp_in_pkt *pkt, bool authentic,
			     struct wire_ip *ret_ip, struct bytes *ret_inner)
{
	size_t n = pkt->plain_len;
	uint8_t next_header;
	enum esp_fault f;

	if (!authentic)
		return ESP_F_AUTH;
	f = esp_window_test(&in->window, pkt->seq);
	if (f)
		return f;
	esp_window_set(&in->window, pkt->seq);
	f = strip(pkt->plain, &n, &next_header);
	return f ? f : inner_of(pkt->plain, n, next_header, ret_ip, ret_inner);
}
