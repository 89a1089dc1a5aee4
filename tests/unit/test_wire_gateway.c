/* Gateway identities: the figures of RFC 5685 sections 9.2 and 9.3 worked out by hand, every length
 * off by one, names that are none.  R07. */
#include "wire_ike_util.h"

#define NONCE "00112233445566778899aabbccddeeff"

static void examples(void **state)
{
	static const struct {
		const char *data;
		uint8_t type;
		const char *id, *rest;
	} row[] = {
		{ "01 04 c0000202", WIRE_GW_IPV4, "c0000202", "" },
		{ "01 04 c0000202" NONCE, WIRE_GW_IPV4, "c0000202", NONCE },
		{ "02 10 20010db8000000000000000000000002", WIRE_GW_IPV6,
		  "20010db8000000000000000000000002", "" },
		{ "03 0c 677732 2e 6578616d706c65 2e" NONCE, WIRE_GW_FQDN,
		  "6777322e6578616d706c652e", NONCE },
		{ "03 01 61 00", WIRE_GW_FQDN, "61", "00" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct bytes data = hex(row[i].data), rest;
		uint8_t buf[64];
		struct wire_gateway gw;
		struct wr w = wr_of(buf, sizeof(buf));

		assert_int_equal(wire_gateway_parse(data, &gw, &rest), ST_OK);
		assert_int_equal(gw.type, row[i].type);
		assert_hex(gw.id, row[i].id);
		assert_hex(rest, row[i].rest);
		wire_gateway_put(&w, &gw);
		wr_put(&w, rest);
		assert_bytes(wr_bytes_of(&w), data);
	}
}

static void refused(struct bytes data)
{
	struct wire_gateway gw = { 77, { NULL, 0 } };
	struct bytes rest = { NULL, 77 };

	assert_int_equal(wire_gateway_parse(data, &gw, &rest), ST_DROP);
	assert_int_equal(gw.type, 77);
	assert_int_equal(rest.n, 77);
}

/* For every type each length but the one that it has. */
static void lengths(void **state)
{
	static const char *const cut[] = { "01 04 c0000202",
					   "02 10 20010db8000000000000000000000002",
					   "03 03 612e62" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
		struct bytes b = hex(cut[i]);

		for (size_t n = 0; n < b.n; n++) {
			refused(bytes_of(copy_of(bytes_of(b.p, n)), n));
			drop_last_held();
		}
	}
	for (unsigned type = 0; type < 256; type++)
		for (unsigned n = 0; n < 256; n++) {
			uint8_t *p;

			if ((type == WIRE_GW_IPV4 && n == 4) || (type == WIRE_GW_IPV6 && n == 16) ||
			    type == WIRE_GW_FQDN)
				continue;
			p = hold(2 + n);
			p[0] = (uint8_t)type;
			p[1] = (uint8_t)n;
			memset(p + 2, 'a', n);
			refused(bytes_of(p, 2 + n));
			drop_last_held();
		}
}

static void names(void **state)
{
	static const char *const row[] = {
		"03 00",
		"03 01 2e",
		"03 02 2e61",
		"03 03 61 00 62",
		"03 02 6120",
		"03 02 2d61",
		"03 04 612e2e62",
		"03 05 312e322e33",
		"03 02 610a",
		"03 03 c3bc61",
		"03 09 3139322e302e322e31",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		refused(hex(row[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(examples, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
