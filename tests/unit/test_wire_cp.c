/* The attributes of Configuration payloads: examples of the RFCs worked out by hand, every length
 * off by one, names with odd bytes, more than is kept.  R06. */
#include "wire_ike_util.h"

#include "wire/ike/cp.h"

static struct wire_cfg parsed(const char *s)
{
	struct wire_cfg c;

	assert_int_equal(wire_cfg_parse(hex(s), &c), ST_OK);
	return c;
}

static void assert_ip(const struct ip *ip, const char *want)
{
	char buf[IP_TEXT_MAX];

	assert_string_equal(ip_text(ip, buf), want);
}

static void assert_prefix(const struct prefix *p, const char *want)
{
	char buf[PREFIX_TEXT_MAX];

	assert_string_equal(prefix_text(p, buf), want);
}

static void assert_name(struct bytes b, const char *want)
{
	assert_bytes(b, bytes_str(want));
}

/* RFC 8598 section 3.4.1. */
#define RFC_8598_REQUEST "0001 0000 0003 0000 0008 0000 000a 0000 0019 0000"
#define RFC_8598_REPLY                                                                             \
	"0001 0004 c63364ea 0003 0004 c6336402 0003 0004 c6336404 "                                \
	"0008 0011 20010db8000000010002000300040005 40 "                                           \
	"000a 0010 20010db8009900880077006600550044 "                                              \
	"0019 000b 6578616d706c652e636f6d 0019 000f 636974792e6f746865722e74657374"

static void examples(void **state)
{
	struct wire_cfg c = parsed(RFC_8598_REQUEST);
	const uint64_t asked = WIRE_BIT(WIRE_CFG_IP4_ADDRESS) | WIRE_BIT(WIRE_CFG_IP4_DNS) |
			       WIRE_BIT(WIRE_CFG_IP6_ADDRESS) | WIRE_BIT(WIRE_CFG_IP6_DNS) |
			       WIRE_BIT(WIRE_CFG_DNS_DOMAIN);

	(void)state;
	assert_true(c.present == asked && c.empty == asked);
	assert_int_equal(c.n_addresses + c.n_dns + c.n_domains + c.left_out, 0);
	c = parsed(RFC_8598_REPLY);
	assert_true(c.present == asked && c.empty == 0);
	assert_int_equal(c.n_addresses, 2);
	assert_ip(&c.addresses[0].ip, "198.51.100.234");
	assert_int_equal(c.addresses[0].len, 32);
	assert_ip(&c.addresses[1].ip, "2001:db8:0:1:2:3:4:5");
	assert_int_equal(c.addresses[1].len, 64);
	assert_int_equal(c.n_dns, 3);
	assert_ip(&c.dns[1], "198.51.100.4");
	assert_ip(&c.dns[2], "2001:db8:99:88:77:66:55:44");
	assert_int_equal(c.n_domains, 2);
	assert_name(c.domains[0], "example.com");
	assert_name(c.domains[1], "city.other.test");
	assert_int_equal(c.left_out, 0);
	/* RFC 7296 section 3.15.2. */
	c = parsed("0001 0004 c63364ea 000d 0008 c6336400 ffffffc0 000d 0008 c0000200 ffffff00");
	assert_int_equal(c.n_subnets, 2);
	assert_prefix(&c.subnets[0], "198.51.100.0/26");
	assert_prefix(&c.subnets[1], "192.0.2.0/24");
}

static void values(void **state)
{
	struct wire_cfg c;

	(void)state;
	c = parsed("0002 0004 fffffe00");
	assert_int_equal(c.netmask, 23);
	c = parsed("000d 0008 0a0a0a0a ff000000 000d 0008 00000000 00000000");
	assert_prefix(&c.subnets[0], "10.0.0.0/8");
	assert_prefix(&c.subnets[1], "0.0.0.0/0");
	c = parsed("000f 0011 20010db8000000010002000300040005 30");
	assert_prefix(&c.subnets[0], "2001:db8::/48");
	/* Without the length of its prefix. */
	c = parsed("0008 0010 20010db8000000010002000300040005");
	assert_int_equal(c.addresses[0].len, 128);
	/* The first bit is reserved; others' attributes are skipped, whatever their length. */
	c = parsed("8001 0004 0a000001 5ba0 0003 010203 7fff 0000");
	assert_int_equal(c.n_addresses, 1);
	assert_true(c.present == WIRE_BIT(WIRE_CFG_IP4_ADDRESS));
	/* RFC 8598 section 4.2. */
	c = parsed("0019 0003 612e62 001a 0006 aa17 08 02 3132");
	assert_int_equal(c.trust_anchors, 1);
	c = parsed("001a 0000");
	assert_int_equal(c.trust_anchors, 0);
	c = parsed("");
	assert_true(c.present == 0);
}

/* Left out and counted. */
static void useless_values(void **state)
{
	static const char *const rows[] = {
		"0002 0004 ff00ff00", /* holes in the mask */
		"000d 0008 0a000000 00ffffff",
		"000f 0011 20010db8000000010002000300040005 81",
		"0008 0011 20010db8000000010002000300040005 ff",
		"0019 0001 2e", /* the root */
		"0019 0003 612e00",
		"0019 0003 610a62",
		"0019 0002 2e61",
		"0019 0004 612e2e62",
		"0019 0002 2d61",
		"0019 0002 612d",
		"0019 0003 612f62",
		"0019 0003 612062",
		"0019 0003 c3a462",
		"0019 0003 61ff62",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_cfg c = parsed(rows[i]);

		assert_int_equal(c.left_out, 1);
		assert_int_equal(c.n_addresses + c.n_dns + c.n_domains + c.n_subnets + c.netmask,
				 0);
	}
}

static void names(void **state)
{
	static const char label[] =
		"a23456789012345678901234567890123456789012345678901234567890123";
	char name[300] = "";
	struct text t = { name, 0, sizeof(name) };

	(void)state;
	assert_true(wire_cfg_name_ok(bytes_str("a")));
	assert_true(wire_cfg_name_ok(bytes_str("example.com.")));
	assert_true(wire_cfg_name_ok(bytes_str("_sip.xn--bcher-kva.example")));
	assert_true(wire_cfg_name_ok(bytes_str("9.10.in-addr.arpa")));
	assert_false(wire_cfg_name_ok(bytes_str("")));
	assert_false(wire_cfg_name_ok(bytes_str("..")));
	assert_false(wire_cfg_name_ok(bytes_str("a..")));
	assert_false(wire_cfg_name_ok(bytes_str("*.example")));
	/* 63 bytes in a label, 253 in a name. */
	assert_int_equal(strlen(label), 63);
	assert_true(wire_cfg_name_ok(bytes_str(label)));
	text_fmt(&t, "b%s", label);
	assert_false(wire_cfg_name_ok(bytes_str(name)));
	t = (struct text){ name, 0, sizeof(name) };
	text_fmt(&t, "%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(strlen(name), 253);
	assert_true(wire_cfg_name_ok(bytes_str(name)));
	text_add(&t, ".");
	assert_true(wire_cfg_name_ok(bytes_str(name)));
	name[253] = 'x';
	assert_false(wire_cfg_name_ok(bytes_str(name)));
	t = (struct text){ name, 0, sizeof(name) };
	text_fmt(&t, "%s.%s.%s.%.62s", label, label, label, label);
	assert_false(wire_cfg_name_ok(bytes_str(name)));
}

/* One byte less and one more than may be; nothing at all always may. */
static void lengths(void **state)
{
	static const struct {
		uint16_t attribute, min, max;
	} rows[] = {
		{ WIRE_CFG_IP4_ADDRESS, 4, 4 }, { WIRE_CFG_IP4_NETMASK, 4, 4 },
		{ WIRE_CFG_IP4_DNS, 4, 4 },     { WIRE_CFG_IP4_NBNS, 4, 4 },
		{ WIRE_CFG_IP4_DHCP, 4, 4 },    { WIRE_CFG_IP6_ADDRESS, 16, 17 },
		{ WIRE_CFG_IP6_DNS, 16, 16 },   { WIRE_CFG_IP6_DHCP, 16, 16 },
		{ WIRE_CFG_IP4_SUBNET, 8, 8 },  { WIRE_CFG_IP6_SUBNET, 17, 17 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t n = 0; n < 20; n++) {
			uint8_t buf[24] = { 0 };
			struct wr w = wr_of(buf, sizeof(buf));
			bool ok = n == 0 || (n >= rows[i].min && n <= rows[i].max);
			struct wire_cfg c;

			wire_cfg_put(&w, rows[i].attribute, bytes_of(copy_of(bytes_of(buf, n)), n));
			assert_int_equal(wire_cfg_length_ok(rows[i].attribute, n), ok);
			assert_int_equal(wire_cfg_parse(wr_bytes_of(&w), &c), ok ? ST_OK : ST_DROP);
			drop_last_held();
		}
	assert_true(wire_cfg_length_ok(WIRE_CFG_APPLICATION_VERSION, 65535));
	assert_true(wire_cfg_length_ok(WIRE_CFG_SUPPORTED_ATTRIBUTES, 2));
	assert_false(wire_cfg_length_ok(WIRE_CFG_SUPPORTED_ATTRIBUTES, 3));
	assert_false(wire_cfg_length_ok(WIRE_CFG_DNSSEC_TA, 4));
	assert_true(wire_cfg_length_ok(23456, 7));
}

/* Cut anywhere it is no list any more, unless between two attributes; and nothing was written. */
static void cut_off(void **state)
{
	struct bytes whole = hex("0001 0004 0a000001 0003 0004 0a000002");
	struct wire_cfg c, before;

	(void)state;
	memset(&c, 0x5a, sizeof(c));
	before = c;
	for (size_t n = 0; n < whole.n; n++) {
		struct bytes part = bytes_of(copy_of(bytes_of(whole.p, n)), n);
		bool ok = n == 0 || n == 8;

		assert_int_equal(wire_cfg_parse(part, &c), ok ? ST_OK : ST_DROP);
		if (!ok)
			assert_memory_equal(&c, &before, sizeof(c));
		memcpy(&c, &before, sizeof(c));
	}
}

/* Thousands of attributes: the first few are kept. */
static void too_many(void **state)
{
	static const char *const rows[] = {
		"0001 0004 0a000001",          "0008 0011 20010db8000000010002000300040005 80",
		"0003 0004 0a000001",          "000a 0010 20010db8000000010002000300040005",
		"000d 0008 0a000000 ff000000", "0019 0003 612e62",
	};
	enum { TIMES = 2000 };
	static uint8_t buf[TIMES * 120];
	struct wr w = wr_of(buf, sizeof(buf));
	struct wire_cfg c;

	(void)state;
	for (size_t i = 0; i < TIMES; i++)
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			wr_put(&w, hex(rows[k]));
			drop_last_held();
		}
	assert_int_equal(wire_cfg_parse(wr_bytes_of(&w), &c), ST_OK);
	assert_int_equal(c.n_addresses, WIRE_CFG_ADDRESSES);
	assert_int_equal(c.n_dns, WIRE_CFG_DNS);
	assert_int_equal(c.n_subnets, WIRE_CFG_SUBNETS);
	assert_int_equal(c.n_domains, WIRE_CFG_DOMAINS);
	assert_int_equal(c.left_out, ARRAY_LEN(rows) * TIMES - WIRE_CFG_ADDRESSES - WIRE_CFG_DNS -
					     WIRE_CFG_SUBNETS - WIRE_CFG_DOMAINS);
}

static struct ip ip(const char *s)
{
	struct ip a = { 0 };

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

static void writes(void **state)
{
	uint8_t buf[256];
	struct wr w = wr_of(buf, sizeof(buf));
	const struct ip v4 = ip("10.1.2.3"), v6 = ip("2001:db8::5");
	const struct prefix p[] = { { ip("10.0.0.0"), 8 },
				    { ip("0.0.0.0"), 0 },
				    { ip("10.1.2.3"), 32 },
				    { ip("2001:db8::"), 32 } };
	struct wire_cfg c;

	(void)state;
	wire_cfg_put_address(&w, &v4);
	wire_cfg_put_address(&w, &v6);
	wire_cfg_put_dns(&w, &v4);
	wire_cfg_put_dns(&w, &v6);
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		wire_cfg_put_subnet(&w, &p[i]);
	assert_hex(wr_bytes_of(&w), "0001 0004 0a010203"
				    "0008 0011 20010db8000000000000000000000005 80"
				    "0003 0004 0a010203 000a 0010 20010db8000000000000000000000005"
				    "000d 0008 0a000000 ff000000 000d 0008 00000000 00000000"
				    "000d 0008 0a010203 ffffffff"
				    "000f 0011 20010db8000000000000000000000000 20");
	w = wr_of(buf, sizeof(buf));
	wire_cfg_put_supported(&w);
	assert_hex(wr_bytes_of(&w), "000e 001c 0001 0002 0003 0004 0006 0007 0008 000a 000c 000d "
				    "000e 000f 0019 001a");
	assert_int_equal(wire_cfg_parse(wr_bytes_of(&w), &c), ST_OK);
	w = wr_of(buf, 7);
	wire_cfg_put_dns(&w, &v4);
	assert_true(w.err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(examples, setup, teardown),
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(useless_values, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(writes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
