/*
 * ESP framing and the sharing of port 4500 (S2): what each datagram is, and what is refused.
 */
#include "test_util.h"

#include "wire/esp/wire_esp.h"

struct demux_row {
	const char *name;
	size_t n;
	uint8_t bytes[16]; /* of which the first n; zeros behind those given */
	enum status st;
	enum wire_esp_fault fault;
	enum wire_udp_kind kind;
	size_t body;
};

static const struct demux_row demux_rows[] = {
	{ "nothing", 0, { 0 }, ST_DROP, WIRE_ESP_F_SHORT, 0, 0 },
	{ "keepalive", 1, { 0xff }, ST_OK, WIRE_ESP_OK, WIRE_UDP_KEEPALIVE, 1 },
	{ "one other byte", 1, { 0xfe }, ST_DROP, WIRE_ESP_F_SHORT, 0, 0 },
	{ "two bytes", 2, { 0xff, 0xff }, ST_DROP, WIRE_ESP_F_SHORT, 0, 0 },
	{ "three zeros", 3, { 0 }, ST_DROP, WIRE_ESP_F_SHORT, 0, 0 },
	{ "marker alone", 4, { 0 }, ST_OK, WIRE_ESP_OK, WIRE_UDP_IKE, 0 },
	{ "marker and a byte", 5, { 0 }, ST_OK, WIRE_ESP_OK, WIRE_UDP_IKE, 1 },
	{ "SPI 1", 16, { 0, 0, 0, 1 }, ST_DROP, WIRE_ESP_F_SPI, 0, 0 },
	{ "SPI 255", 16, { 0, 0, 0, 255 }, ST_DROP, WIRE_ESP_F_SPI, 0, 0 },
	{ "SPI 256", 16, { 0, 0, 1, 0 }, ST_OK, WIRE_ESP_OK, WIRE_UDP_ESP, 16 },
	{ "SPI ffffffff", 12, { 255, 255, 255, 255 }, ST_OK, WIRE_ESP_OK, WIRE_UDP_ESP, 12 },
	{ "too short for a trailer", 11, { 1 }, ST_DROP, WIRE_ESP_F_SHORT, 0, 0 },
	{ "half a header", 4, { 1 }, ST_DROP, WIRE_ESP_F_SHORT, 0, 0 },
};

static void S2_demultiplexes_port_4500(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(demux_rows); i++) {
		const struct demux_row *r = &demux_rows[i];
		struct bytes d = bytes_of(r->bytes, r->n);
		enum wire_esp_fault fault = WIRE_ESP_OK;
		struct bytes body = { NULL, 99 };
		enum wire_udp_kind kind = 77;

		if (wire_udp_demux(d, &kind, &body, &fault) != r->st || fault != r->fault)
			fail_msg("%s: %s", r->name, wire_esp_fault_name(fault));
		assert_int_equal(kind, r->st == ST_OK ? r->kind : 77);
		assert_int_equal(body.n, r->st == ST_OK ? r->body : 99);
		if (r->st == ST_OK)
			assert_ptr_equal(body.p + body.n, d.p + d.n);
	}
}

/* A marker is what makes a datagram IKE. */
static void marker_round_trip(void **state)
{
	uint8_t d[32] = { 1, 2, 3, 4, 5 };
	enum wire_esp_fault fault = WIRE_ESP_OK;
	enum wire_udp_kind kind;
	struct bytes body;

	(void)state;
	wire_udp_put_marker(d);
	assert_int_equal(wire_udp_demux(BYTES_OF(d), &kind, &body, &fault), ST_OK);
	assert_int_equal(kind, WIRE_UDP_IKE);
	assert_ptr_equal(body.p, d + 4);
	assert_int_equal(body.p[0], 5);
}

static void header_round_trip(void **state)
{
	uint8_t d[13] = { 0 };
	enum wire_esp_fault fault = WIRE_ESP_OK;
	struct wire_esp e;

	(void)state;
	wire_esp_put_hdr(d, 0xc1c2c3c4, 0xfffffffe);
	assert_memory_equal(d, "\xc1\xc2\xc3\xc4\xff\xff\xff\xfe", 8);
	assert_int_equal(wire_esp_parse(BYTES_OF(d), &e, &fault), ST_OK);
	assert_int_equal(e.spi, 0xc1c2c3c4);
	assert_int_equal(e.seq, 0xfffffffe);
	assert_ptr_equal(e.body.p, d + 8);
	assert_int_equal(e.body.n, 5);
}

static void S2_header_refuses(void **state)
{
	uint8_t d[12] = { 0xc1 };
	enum wire_esp_fault fault = WIRE_ESP_OK;
	struct wire_esp e;

	(void)state;
	for (size_t n = 0; n < sizeof(d); n++) {
		assert_int_equal(wire_esp_parse(bytes_of(d, n), &e, &fault), ST_DROP);
		assert_int_equal(fault, WIRE_ESP_F_SHORT);
	}
	for (uint32_t spi = 0; spi < 256; spi += 255) {
		wire_esp_put_hdr(d, spi, 1);
		assert_int_equal(wire_esp_parse(BYTES_OF(d), &e, &fault), ST_DROP);
		assert_int_equal(fault, WIRE_ESP_F_SPI);
	}
}

/* Section 2.4 for all lengths: aligned, with the least padding, and it comes off again. */
static void trailer_round_trip(void **state)
{
	static const size_t blocks[] = { 1, 4, 8, 16 };
	uint8_t d[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		for (size_t n = 0; n < 64; n++) {
			size_t unit = blocks[i] < 4 ? 4 : blocks[i];
			size_t pad = wire_esp_pad_len(n, blocks[i]);
			enum wire_esp_fault fault = WIRE_ESP_OK;
			struct bytes payload;
			uint8_t next;

			assert_true(pad < unit);
			assert_int_equal((n + pad + 2) % unit, 0);
			memset(d, 0xee, sizeof(d));
			wire_esp_put_trailer(d + n, pad, 41);
			assert_int_equal(d[n + pad + 2], 0xee);
			assert_int_equal(wire_esp_strip_trailer(bytes_of(d, n + pad + 2), &payload,
								&next, &fault),
					 ST_OK);
			assert_int_equal(payload.n, n);
			assert_int_equal(next, 41);
		}
}

static void S2_trailer_refuses(void **state)
{
	static const struct {
		const char *plain;
		size_t n;
		enum wire_esp_fault fault;
	} rows[] = {
		{ "", 0, WIRE_ESP_F_SHORT },
		{ "\x04", 1, WIRE_ESP_F_SHORT },
		{ "\x00\x04", 2, WIRE_ESP_OK },
		{ "\x01\x04", 2, WIRE_ESP_F_PADDING },
		{ "\x01\x01\x04", 3, WIRE_ESP_OK },
		{ "\x00\x01\x04", 3, WIRE_ESP_F_PADDING },
		{ "\x01\x02\x02\x04", 4, WIRE_ESP_OK },
		{ "\x02\x01\x02\x04", 4, WIRE_ESP_F_PADDING },
		{ "\x01\x02\x03\x04", 4, WIRE_ESP_F_PADDING },
		{ "\x01\x02\xff\x04", 4, WIRE_ESP_F_PADDING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum wire_esp_fault fault = WIRE_ESP_OK;
		struct bytes payload = { NULL, 0 };
		uint8_t next = 0;

		assert_int_equal(wire_esp_strip_trailer(bytes_of(rows[i].plain, rows[i].n),
							&payload, &next, &fault),
				 rows[i].fault ? ST_DROP : ST_OK);
		assert_int_equal(fault, rows[i].fault);
		assert_int_equal(next, rows[i].fault ? 0 : 4);
	}
}

/* The longest padding there is: 255 bytes (section 2.5). */
static void longest_padding(void **state)
{
	uint8_t d[257];
	enum wire_esp_fault fault = WIRE_ESP_OK;
	struct bytes payload;
	uint8_t next;

	(void)state;
	wire_esp_put_trailer(d, 255, 59);
	assert_int_equal(wire_esp_strip_trailer(BYTES_OF(d), &payload, &next, &fault), ST_OK);
	assert_int_equal(payload.n, 0);
	assert_int_equal(next, 59);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(S2_demultiplexes_port_4500),
		cmocka_unit_test(marker_round_trip),
		cmocka_unit_test(header_round_trip),
		cmocka_unit_test(S2_header_refuses),
		cmocka_unit_test(trailer_round_trip),
		cmocka_unit_test(S2_trailer_refuses),
		cmocka_unit_test(longest_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
