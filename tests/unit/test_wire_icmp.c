/*
 * ICMP errors about packets that cannot go on (S2): what they hold, and what they never answer.
 */
#include "wire_ip_util.h"

static enum status answer(enum wire_icmp_kind kind, uint32_t mtu, const struct packet *p,
			  struct packet *ret)
{
	struct wire_ip ip = parse_ok(view(p));
	struct ip from = ip.version == 4 ? addr("10.9.9.9") : addr("2001:db8::9");
	struct bytes got = { NULL, 0 };
	enum status st;

	memset(ret, 0xee, sizeof(*ret));
	ret->n = 0;
	st = wire_icmp_error(kind, mtu, view(p), &ip, &from, ret->b, WIRE_ICMP_MAX, &got);
	ret->n = got.n;
	assert_int_equal(ret->b[WIRE_ICMP_MAX], 0xee);
	return st;
}

static void answers_too_big_ipv4(void **state)
{
	struct packet p;
	struct packet a;
	struct wire_ip ip;

	(void)state;
	hex(&p, udp4);
	assert_int_equal(answer(WIRE_ICMP_TOO_BIG, 1400, &p, &a), ST_OK);
	assert_int_equal(a.n, 20 + 8 + 32);
	ip = parse_ok(view(&a));
	assert_int_equal(ip.len, a.n);
	assert_addr(&ip.src, "10.9.9.9");
	assert_addr(&ip.dst, "10.1.2.3");
	assert_int_equal(ip.proto, WIRE_IP_ICMP);
	assert_int_equal(ip.sport, 3 << 8 | 4);
	assert_int_equal(load_be32(a.b + 24), 1400); /* unused, next-hop MTU */
	assert_int_equal(naive_checksum(bytes_of(a.b, 20)), 0);
	assert_int_equal(naive_checksum(bytes_of(a.b + 20, a.n - 20)), 0);
	assert_memory_equal(a.b + 28, p.b, p.n);
}

static void answers_too_big_ipv6(void **state)
{
	struct packet p;
	struct packet a;
	struct wire_ip ip;

	(void)state;
	hex(&p, udp6);
	assert_int_equal(answer(WIRE_ICMP_TOO_BIG, 1400, &p, &a), ST_OK);
	assert_int_equal(a.n, 40 + 8 + 52);
	ip = parse_ok(view(&a));
	assert_int_equal(ip.len, a.n);
	assert_addr(&ip.src, "2001:db8::9");
	assert_addr(&ip.dst, "2001:db8::1");
	assert_int_equal(ip.sport, 2 << 8);
	assert_int_equal(load_be32(a.b + 44), 1400);
	assert_int_equal(naive_upper(&ip, view(&a)), 0);
	assert_memory_equal(a.b + 48, p.b, p.n);
}

static void answers_with_type_and_code(void **state)
{
	static const struct {
		enum wire_icmp_kind kind;
		unsigned v4, v6;
	} rows[] = {
		{ WIRE_ICMP_PROHIBITED, 3 << 8 | 13, 1 << 8 | 1 },
		{ WIRE_ICMP_UNREACHABLE, 3 << 8 | 1, 1 << 8 | 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet p;
		struct packet a;

		hex(&p, udp4);
		assert_int_equal(answer(rows[i].kind, 77, &p, &a), ST_OK);
		assert_int_equal(parse_ok(view(&a)).sport, rows[i].v4);
		assert_int_equal(load_be32(a.b + 24), 0);
		hex(&p, udp6);
		assert_int_equal(answer(rows[i].kind, 77, &p, &a), ST_OK);
		assert_int_equal(parse_ok(view(&a)).sport, rows[i].v6);
		assert_int_equal(load_be32(a.b + 44), 0);
	}
}

/* As much of the packet as fits 576 and 1280 bytes, and nothing of the padding behind it. */
static void quotes_as_much_as_fits(void **state)
{
	struct packet p;
	struct packet a;

	(void)state;
	for (size_t n = 32; n <= 1500; n += 13) {
		hex(&p, udp4);
		store_be16(p.b + 2, (uint16_t)n);
		p.n = n + 50;
		assert_int_equal(answer(WIRE_ICMP_TOO_BIG, 1, &p, &a), ST_OK);
		assert_int_equal(a.n, n + 28 < 576 ? n + 28 : 576);
		assert_memory_equal(a.b + 28, p.b, a.n - 28);
		hex(&p, udp6);
		store_be16(p.b + 4, (uint16_t)n);
		p.n = n + 40;
		assert_int_equal(answer(WIRE_ICMP_TOO_BIG, 1, &p, &a), ST_OK);
		assert_int_equal(a.n, n + 88 < 1280 ? n + 88 : 1280);
		assert_memory_equal(a.b + 48, p.b, a.n - 48);
	}
}

static void answers_need_room(void **state)
{
	struct packet p;
	uint8_t buf[60];
	struct ip from = addr("10.9.9.9");
	struct bytes got;
	struct wire_ip ip;

	(void)state;
	hex(&p, udp4);
	ip = parse_ok(view(&p));
	for (size_t cap = 0; cap <= sizeof(buf); cap++) {
		enum status st = wire_icmp_error(WIRE_ICMP_PROHIBITED, 0, view(&p), &ip, &from, buf,
						 cap, &got);

		assert_int_equal(st, cap < 60 ? ST_NOMEM : ST_OK);
	}
	from = addr("2001:db8::9");
	assert_int_equal(wire_icmp_error(WIRE_ICMP_PROHIBITED, 0, view(&p), &ip, &from, buf,
					 sizeof(buf), &got),
			 ST_BUG);
}

/* RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e), kind by kind. */
static void S2_answers_no_packet_that_must_not_be_answered(void **state)
{
	static const struct {
		const char *name;
		const char *packet;
		bool too_big, prohibited;
	} rows[] = {
		{ "UDP", HEAD4("0018", "0000", "11") "0001 0002", true, true },
		{ "first fragment", HEAD4("0018", "2000", "11") "0001 0002", true, true },
		{ "later fragment", HEAD4("0018", "2001", "11") "0001 0002", false, false },
		{ "echo request", HEAD4("0018", "0000", "01") "0800 0000", true, true },
		{ "unreachable", HEAD4("0018", "0000", "01") "0304 0000", false, false },
		{ "source quench", HEAD4("0018", "0000", "01") "0400 0000", false, false },
		{ "redirect", HEAD4("0018", "0000", "01") "0500 0000", false, false },
		{ "time exceeded", HEAD4("0018", "0000", "01") "0b00 0000", false, false },
		{ "parameter problem", HEAD4("0018", "0000", "01") "0c00 0000", false, false },
		{ "ICMP of no type", HEAD4("0014", "0000", "01"), false, false },
		{ "from 0.0.0.0", "45 00 0014 0000 0000 40 11 0000 00000000 0a020304", false,
		  false },
		{ "from 0.0.0.1", "45 00 0014 0000 0000 40 11 0000 00000001 0a020304", false,
		  false },
		{ "from loopback", "45 00 0014 0000 0000 40 11 0000 7f000001 0a020304", false,
		  false },
		{ "from multicast", "45 00 0014 0000 0000 40 11 0000 e0000001 0a020304", false,
		  false },
		{ "from broadcast", "45 00 0014 0000 0000 40 11 0000 ffffffff 0a020304", false,
		  false },
		{ "to multicast", "45 00 0014 0000 0000 40 11 0000 0a010203 e0000001", false,
		  false },
		{ "to broadcast", "45 00 0014 0000 0000 40 11 0000 0a010203 ffffffff", false,
		  false },
		{ "IPv6", HEAD6("0004", "11") "0001 0002", true, true },
		{ "IPv6 echo", HEAD6("0004", "3a") "8000 0000", true, true },
		{ "IPv6 too big", HEAD6("0004", "3a") "0200 0000", false, false },
		{ "IPv6 error of a type to come", HEAD6("0004", "3a") "7f00 0000", false, false },
		{ "IPv6 redirect", HEAD6("0004", "3a") "8900 0000", false, false },
		{ "from ::",
		  "60000000 0004 11 40 00000000000000000000000000000000" DST6 "0001 0002", false,
		  false },
		{ "from ff02::1",
		  "60000000 0004 11 40 ff020000000000000000000000000001" DST6 "0001 0002", false,
		  false },
		/* only Packet Too Big, so that path MTU discovery works for multicast */
		{ "to ff02::1",
		  "60000000 0004 11 40" SRC6 "ff020000000000000000000000000001 0001 0002", true,
		  false },
		{ "later IPv6 fragment", HEAD6("000c", "2c") "1100 0009 00000001 0001 0002", false,
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet p;
		struct packet a;

		hex(&p, rows[i].packet);
		if (answer(WIRE_ICMP_TOO_BIG, 1280, &p, &a) != (rows[i].too_big ? ST_OK : ST_DROP))
			fail_msg("%s: too big", rows[i].name);
		if (answer(WIRE_ICMP_PROHIBITED, 0, &p, &a) !=
		    (rows[i].prohibited ? ST_OK : ST_DROP))
			fail_msg("%s: prohibited", rows[i].name);
	}
}

/* An answer never makes an answer. */
static void S2_answers_are_not_answered(void **state)
{
	static const char *const packets[] = { udp4, udp6 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packets); i++)
		for (unsigned kind = 0; kind < WIRE_ICMP_KINDS; kind++) {
			struct packet p;
			struct packet a;
			struct packet b;

			hex(&p, packets[i]);
			assert_int_equal(answer((enum wire_icmp_kind)kind, 1280, &p, &a), ST_OK);
			assert_int_equal(answer(WIRE_ICMP_TOO_BIG, 1280, &a, &b), ST_DROP);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_too_big_ipv4),
		cmocka_unit_test(answers_too_big_ipv6),
		cmocka_unit_test(answers_with_type_and_code),
		cmocka_unit_test(quotes_as_much_as_fits),
		cmocka_unit_test(answers_need_room),
		cmocka_unit_test(S2_answers_no_packet_that_must_not_be_answered),
		cmocka_unit_test(S2_answers_are_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
