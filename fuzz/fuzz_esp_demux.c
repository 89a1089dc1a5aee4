/* A datagram on port 4500, as ESP if it is, and its end as if it were a decrypted trailer. */
#include <stdlib.h>

#include "wire/esp/wire_esp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static void esp(struct bytes d, bool want)
{
	enum wire_esp_fault fault = WIRE_ESP_OK;
	uint8_t hdr[WIRE_ESP_HDR_LEN];
	struct wire_esp e;

	if (wire_esp_parse(d, &e, &fault) != ST_OK) {
		CHECK(!want && (fault == WIRE_ESP_F_SHORT || fault == WIRE_ESP_F_SPI));
		return;
	}
	CHECK(want && e.spi >= WIRE_ESP_MIN_SPI);
	CHECK(e.body.p == d.p + WIRE_ESP_HDR_LEN && e.body.n == d.n - WIRE_ESP_HDR_LEN);
	wire_esp_put_hdr(hdr, e.spi, e.seq);
	CHECK(memcmp(hdr, d.p, sizeof(hdr)) == 0);
}

static void trailer(struct bytes d)
{
	enum wire_esp_fault fault = WIRE_ESP_OK;
	uint8_t again[255 + WIRE_ESP_TRAILER_LEN];
	struct bytes payload;
	uint8_t next;
	size_t pad;

	if (wire_esp_strip_trailer(d, &payload, &next, &fault) != ST_OK) {
		CHECK(fault == WIRE_ESP_F_SHORT || fault == WIRE_ESP_F_PADDING);
		return;
	}
	CHECK(payload.n + WIRE_ESP_TRAILER_LEN <= d.n && payload.p == d.p);
	pad = d.n - payload.n - WIRE_ESP_TRAILER_LEN;
	CHECK(pad <= 255);
	wire_esp_put_trailer(again, pad, next);
	CHECK(memcmp(again, d.p + payload.n, d.n - payload.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum wire_esp_fault fault = WIRE_ESP_OK;
	struct bytes d = bytes_of(data, size);
	enum wire_udp_kind kind;
	struct bytes body;
	bool ok = wire_udp_demux(d, &kind, &body, &fault) == ST_OK;

	CHECK(ok == (fault == WIRE_ESP_OK));
	CHECK(!ok || body.p + body.n == data + size);
	CHECK(!ok || kind != WIRE_UDP_IKE || (size - body.n == 4 && load_be32(data) == 0));
	esp(d, ok && kind == WIRE_UDP_ESP);
	trailer(d);
	return 0;
}
