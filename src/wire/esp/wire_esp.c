#include "wire/esp/wire_esp.h"

/* A header and, since the ciphertext ends on a multiple of four bytes, a trailer of four. */
#define ESP_MIN_LEN (WIRE_ESP_HDR_LEN + 4)

static const char *const fault_names[WIRE_ESP_FAULTS] = {
	[WIRE_ESP_OK] = "ok",
	[WIRE_ESP_F_SHORT] = "short",
	[WIRE_ESP_F_SPI] = "spi",
	[WIRE_ESP_F_PADDING] = "padding",
};

const char *wire_esp_fault_name(enum wire_esp_fault f)
{
	return (unsigned)f < WIRE_ESP_FAULTS ? fault_names[f] : "unknown";
}

static MUST enum status refuse(enum wire_esp_fault why, enum wire_esp_fault *fault)
{
	*fault = why;
	return ST_DROP;
}

/*
 * RFC 3948 section 2: a keepalive is one byte 0xff; where ESP has its SPI, IKE has a marker of four
 * zero bytes, which no SPI may be.
 */
enum status wire_udp_demux(struct bytes datagram, enum wire_udp_kind *ret_kind,
			   struct bytes *ret_body, enum wire_esp_fault *fault)
{
	uint32_t word;

	if (datagram.n == 1 && datagram.p[0] == 0xff) {
		*ret_kind = WIRE_UDP_KEEPALIVE;
		*ret_body = datagram;
		return ST_OK;
	}
	if (datagram.n < WIRE_NON_ESP_MARKER_LEN)
		return refuse(WIRE_ESP_F_SHORT, fault);
	word = load_be32(datagram.p);
	if (word == 0) {
		*ret_kind = WIRE_UDP_IKE;
		*ret_body = bytes_of(datagram.p + WIRE_NON_ESP_MARKER_LEN,
				     datagram.n - WIRE_NON_ESP_MARKER_LEN);
		return ST_OK;
	}
	if (word < WIRE_ESP_MIN_SPI)
		return refuse(WIRE_ESP_F_SPI, fault);
	if (datagram.n < ESP_MIN_LEN)
		return refuse(WIRE_ESP_F_SHORT, fault);
	*ret_kind = WIRE_UDP_ESP;
	*ret_body = datagram;
	return ST_OK;
}

enum status wire_esp_parse(struct bytes packet, struct wire_esp *ret_esp,
			   enum wire_esp_fault *fault)
{
	uint32_t spi;

	if (packet.n < ESP_MIN_LEN)
		return refuse(WIRE_ESP_F_SHORT, fault);
	spi = load_be32(packet.p);
	if (spi < WIRE_ESP_MIN_SPI)
		return refuse(WIRE_ESP_F_SPI, fault);
	ret_esp->spi = spi;
	ret_esp->seq = load_be32(packet.p + 4);
	ret_esp->body = bytes_of(packet.p + WIRE_ESP_HDR_LEN, packet.n - WIRE_ESP_HDR_LEN);
	return ST_OK;
}

size_t wire_esp_pad_len(size_t payload_len, size_t block)
{
	size_t unit = block < 4 ? 4 : block;

	return -(payload_len + WIRE_ESP_TRAILER_LEN) & (unit - 1);
}

void wire_esp_put_trailer(uint8_t *at, size_t pad_len, uint8_t next_header)
{
	for (size_t i = 0; i < pad_len; i++)
		at[i] = (uint8_t)(i + 1);
	at[pad_len] = (uint8_t)pad_len;
	at[pad_len + 1] = next_header;
}

/* The plaintext is authenticated already: what we find wrong here the peer did wrong, so nothing is
 * learnt from how long we look. */
enum status wire_esp_strip_trailer(struct bytes plain, struct bytes *ret_payload,
				   uint8_t *ret_next_header, enum wire_esp_fault *fault)
{
	size_t pad;
	size_t n;

	if (plain.n < WIRE_ESP_TRAILER_LEN)
		return refuse(WIRE_ESP_F_SHORT, fault);
	n = plain.n - WIRE_ESP_TRAILER_LEN;
	pad = plain.p[n];
	if (pad > n)
		return refuse(WIRE_ESP_F_PADDING, fault);
	for (size_t i = 0; i < pad; i++)
		if (plain.p[n - pad + i] != i + 1)
			return refuse(WIRE_ESP_F_PADDING, fault);
	*ret_payload = bytes_of(plain.p, n - pad);
	*ret_next_header = plain.p[n + 1];
	return ST_OK;
}
