/*
 * IP packets as the data plane sees them (S2): packets made by hand from the figures of RFC 791,
 * RFC 8200 and RFC 9293, every prefix and impossible length of them, and the fields changed in
 * place, checksums against a naive sum.
 */
#include "wire_ip_util.h"

static void parses_ipv4(void **state)
{
	struct packet p;
	struct wire_ip ip;

	(void)state;
	hex(&p, udp4);
	ip = parse_ok(view(&p));
	assert_int_equal(ip.version, 4);
	assert_int_equal(ip.ds >> 2, 46);
	assert_int_equal(ip.ds & WIRE_ECN_MASK, WIRE_ECN_ECT0);
	assert_int_equal(ip.ttl, 64);
	assert_int_equal(ip.proto, WIRE_IP_UDP);
	assert_true(ip.has_proto && ip.has_ports && ip.dont_fragment);
	assert_false(wire_ip_is_fragment(&ip));
	assert_int_equal(ip.sport, 1234);
	assert_int_equal(ip.dport, 53);
	assert_int_equal(ip.upper_at, 20);
	assert_int_equal(ip.len, 32);
	assert_addr(&ip.src, "10.1.2.3");
	assert_addr(&ip.dst, "10.2.3.4");
}

static void parses_ipv6(void **state)
{
	struct packet p;
	struct wire_ip ip;

	(void)state;
	hex(&p, udp6);
	ip = parse_ok(view(&p));
	assert_int_equal(ip.version, 6);
	assert_int_equal(ip.ds, 0xba);
	assert_int_equal(ip.ttl, 64);
	assert_int_equal(ip.proto, WIRE_IP_UDP);
	assert_true(ip.has_proto && ip.has_ports && ip.dont_fragment);
	assert_int_equal(ip.sport, 1234);
	assert_int_equal(ip.dport, 53);
	assert_int_equal(ip.upper_at, 40);
	assert_int_equal(ip.len, 52);
	assert_addr(&ip.src, "2001:db8::1");
	assert_addr(&ip.dst, "2001:db8::2");
}

struct upper_row {
	const char *name;
	const char *packet;
	unsigned proto; /* 256: not known */
	int sport, dport; /* -1: none */
	unsigned upper_at;
};

static const struct upper_row upper_rows[] = {
	{ "TCP", HEAD4("0018", "0000", "06") "01bb c000", 6, 443, 49152, 20 },
	{ "DCCP", HEAD4("0018", "0000", "21") "0001 0002", 33, 1, 2, 20 },
	{ "SCTP", HEAD4("0018", "0000", "84") "0001 0002", 132, 1, 2, 20 },
	{ "UDP-Lite", HEAD4("0018", "0000", "88") "0001 0002", 136, 1, 2, 20 },
	{ "IPv4 options", "46 00 001c 0000 0000 40 11 0000" ADDR4 "01010100 0001 0002", 17, 1, 2,
	  24 },
	/* RFC 4301 section 4.4.1.3: of one value there are two */
	{ "ICMP echo", HEAD4("0018", "0000", "01") "0800 0000", 1, 0x0800, 0x0800, 20 },
	{ "ICMPv6 unreachable", HEAD6("0004", "3a") "0104 0000", 58, 0x0104, 0x0104, 40 },
	{ "mobility", HEAD6("0008", "87") "3b00 0500 0000 0000", 135, 0x0500, 0x0500, 40 },
	/* no ports: another protocol, or cut short, or a later fragment */
	{ "GRE", HEAD4("0018", "0000", "2f") "0000 0800", 47, -1, -1, 20 },
	{ "ESP", HEAD6("0008", "32") "00001000 00000001", 50, -1, -1, 40 },
	{ "AH", HEAD6("0008", "33") "1104 0000 0000 0000", 51, -1, -1, 40 },
	{ "none", HEAD6("0000", "3b"), 59, -1, -1, 40 },
	{ "three bytes of TCP", HEAD4("0017", "0000", "06") "01bb c0", 6, -1, -1, 20 },
	{ "one byte of ICMP", HEAD4("0015", "0000", "01") "08", 1, -1, -1, 20 },
	{ "no TCP at all", HEAD4("0014", "0000", "06"), 6, -1, -1, 20 },
	{ "first fragment", HEAD4("0018", "2000", "11") "0001 0002", 17, 1, 2, 20 },
	{ "later fragment", HEAD4("0018", "2001", "11") "0001 0002", 17, -1, -1, 20 },
	{ "last fragment", HEAD4("0018", "0001", "11") "0001 0002", 17, -1, -1, 20 },
	/* extension headers of RFC 4301 section 4.4.1.1 */
	{ "hop-by-hop", HEAD6("000c", "00") "1100 0104 0000 0000 0001 0002", 17, 1, 2, 48 },
	{ "routing, 24 bytes", HEAD6("001c", "2b") "1102 0000 00000000" SRC6 "0001 0002", 17, 1, 2,
	  64 },
	{ "two of them", HEAD6("0014", "00") "3c00 0104 0000 0000 0600 0104 0000 0000 0001 0002", 6,
	  1, 2, 56 },
	{ "atomic fragment", HEAD6("000c", "2c") "1100 0000 00000001 0001 0002", 17, 1, 2, 48 },
	{ "first IPv6 fragment", HEAD6("000c", "2c") "1100 0001 00000001 0001 0002", 17, 1, 2, 48 },
	{ "later IPv6 fragment", HEAD6("000c", "2c") "1100 0009 00000001 0001 0002", 17, -1, -1,
	  48 },
	/* what comes behind its fragment header is data, although it says options */
	{ "later fragment of options", HEAD6("000c", "2c") "3c00 0009 00000001 0001 0002", 256, -1,
	  -1, 48 },
	{ "first fragment of options",
	  HEAD6("0014", "2c") "3c00 0001 00000001 1100 0104 0000 0000 0001 0002", 17, 1, 2, 56 },
};

static void finds_the_upper_layer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(upper_rows); i++) {
		const struct upper_row *r = &upper_rows[i];
		struct packet p;
		struct wire_ip ip;

		hex(&p, r->packet);
		assert_fault(fault_of(view(&p)), WIRE_IP_OK, r->name);
		ip = parse_ok(view(&p));
		if (ip.has_proto != (r->proto < 256) || (ip.has_proto && ip.proto != r->proto))
			fail_msg("%s: protocol %u", r->name, ip.proto);
		if (ip.has_ports != (r->sport >= 0))
			fail_msg("%s: ports %u %u", r->name, ip.sport, ip.dport);
		assert_int_equal(ip.sport, r->sport < 0 ? 0 : r->sport);
		assert_int_equal(ip.dport, r->dport < 0 ? 0 : r->dport);
		assert_int_equal(ip.upper_at, r->upper_at);
		assert_int_equal(ip.len, p.n);
	}
}

static void reads_fragment_fields(void **state)
{
	static const struct {
		const char *packet;
		unsigned off;
		bool more, df;
	} rows[] = {
		{ HEAD4("0014", "0000", "11"), 0, false, false },
		{ HEAD4("0014", "4000", "11"), 0, false, true },
		{ HEAD4("0014", "2000", "11"), 0, true, false },
		{ HEAD4("0014", "2003", "11"), 24, true, false },
		{ HEAD4("0014", "1ffd", "11"), 65512, false, false },
		{ HEAD6("0008", "2c") "1100 001b 00000001", 24, true, true },
		{ HEAD6("0008", "2c") "1100 001e 00000001", 24, false, true }, /* reserved bits */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet p;
		struct wire_ip ip;

		hex(&p, rows[i].packet);
		ip = parse_ok(view(&p));
		assert_int_equal(ip.frag_off, rows[i].off);
		assert_int_equal(ip.more_fragments, rows[i].more);
		assert_int_equal(ip.dont_fragment, rows[i].df);
		assert_int_equal(wire_ip_is_fragment(&ip), rows[i].off || rows[i].more);
	}
}

static void S2_refuses(void **state)
{
	static const struct {
		const char *name;
		const char *packet;
		enum wire_ip_fault fault;
	} rows[] = {
		{ "nothing", "", WIRE_IP_F_SHORT },
		{ "version 0", "05 00 0014 0000 0000 40 11 0000" ADDR4, WIRE_IP_F_VERSION },
		{ "version 5", "55 00 0014 0000 0000 40 11 0000" ADDR4, WIRE_IP_F_VERSION },
		{ "header of 16", "44 00 0014 0000 0000 40 11 0000" ADDR4, WIRE_IP_F_LENGTH },
		{ "header past the packet", "46 00 0014 0000 0000 40 11 0000" ADDR4 "00000000",
		  WIRE_IP_F_LENGTH },
		{ "shorter than its header", "45 00 0013 0000 0000 40 11 0000" ADDR4,
		  WIRE_IP_F_LENGTH },
		{ "longer than the buffer", "45 00 0015 0000 0000 40 11 0000" ADDR4,
		  WIRE_IP_F_LENGTH },
		{ "ping of death", HEAD4("0018", "1ffe", "01") "00000000", WIRE_IP_F_FRAGMENT },
		{ "IPv6 longer than the buffer", HEAD6("0001", "11"), WIRE_IP_F_LENGTH },
		{ "jumbogram", HEAD6("0000", "00") "1100 c204 00010000", WIRE_IP_F_EXT },
		{ "options without a length", HEAD6("0001", "00") "11", WIRE_IP_F_EXT },
		{ "options cut short", HEAD6("0007", "00") "1100 0104 0000 00", WIRE_IP_F_EXT },
		{ "options past the end", HEAD6("0008", "3c") "1101 0104 0000 0000",
		  WIRE_IP_F_EXT },
		{ "fragment header cut short", HEAD6("0007", "2c") "1100 0000 000000",
		  WIRE_IP_F_EXT },
		{ "IPv6 fragment past the largest packet",
		  HEAD6("0010", "2c") "1100 fff8 00000001 0000000000000000", WIRE_IP_F_FRAGMENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet p;

		hex(&p, rows[i].packet);
		assert_fault(fault_of(view(&p)), rows[i].fault, rows[i].name);
	}
}

static void S2_refuses_every_prefix(void **state)
{
	static const char *const packets[] = {
		udp4, udp6, HEAD6("000c", "00") "1100 0104 0000 0000 0001 0002"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
		struct packet p;

		hex(&p, packets[i]);
		for (size_t n = 0; n < p.n; n++)
			assert_int_not_equal(fault_of(bytes_of(p.b, n)), WIRE_IP_OK);
		/* What is behind the packet is padding. */
		p.n += 100;
		assert_int_equal(parse_ok(view(&p)).len, p.n - 100);
	}
}

/* A chain of options headers that never ends would cost a step per 8 bytes of every packet. */
static void S2_bounds_extension_headers(void **state)
{
	static const uint8_t options[] = { WIRE_IP_DSTOPTS, 0, 1, 4, 0, 0, 0, 0 };

	(void)state;
	for (size_t n = 1; n < 20; n++) {
		struct packet p;

		hex(&p, HEAD6("0000", "3c"));
		for (size_t i = 0; i < n; i++) {
			memcpy(p.b + p.n, options, sizeof(options));
			p.n += sizeof(options);
		}
		p.b[p.n - 8] = WIRE_IP_NONE;
		store_be16(p.b + 4, (uint16_t)(p.n - 40));
		assert_fault(fault_of(view(&p)), n <= 8 ? WIRE_IP_OK : WIRE_IP_F_EXT, "options");
	}
}

/* ---- DS field and checksums ---------------------------------------------------------------- */

static void checksum_equals_the_naive_one(void **state)
{
	uint8_t b[67];

	(void)state;
	/* The example of RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 add up to ddf2. */
	assert_int_equal(wire_checksum(bytes_of("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8)),
			 (uint16_t)~0xddf2);
	assert_int_equal(wire_checksum(bytes_of(NULL, 0)), 0xffff);
	for (int i = 0; i < 5000; i++) {
		size_t n = rnd(sizeof(b) + 1);

		for (size_t j = 0; j < n; j++)
			b[j] = (uint8_t)(rnd(3) ? rnd(256) : 0xff);
		assert_int_equal(wire_checksum(bytes_of(b, n)), naive_checksum(bytes_of(b, n)));
	}
}

/* RFC 1624 section 4: the checksum dd2f, a word from 5555 to 3285, gives 0000. */
static void checksum_adjusts(void **state)
{
	uint8_t b[20];

	(void)state;
	assert_int_equal(wire_checksum_adjust(0xdd2f, 0x5555, 0x3285), 0x0000);
	for (int i = 0; i < 5000; i++) {
		size_t at = 2 * rnd(10);
		uint16_t before;
		uint16_t old;
		uint16_t word = (uint16_t)rnd(0x10000);

		for (size_t j = 0; j < sizeof(b); j++)
			b[j] = (uint8_t)rnd(256);
		b[at ? 0 : 2] |= 1; /* all words zero is the one case with two right answers */
		before = wire_checksum(BYTES_OF(b));
		old = load_be16(b + at);
		store_be16(b + at, word);
		assert_int_equal(wire_checksum_adjust(before, old, word),
				 naive_checksum(BYTES_OF(b)));
	}
}

static void sets_the_ds_field(void **state)
{
	struct packet p;
	struct packet q;

	(void)state;
	for (unsigned ds = 0; ds < 256; ds++) {
		hex(&p, udp4);
		store_be16(p.b + 10, naive_checksum(bytes_of(p.b, 20)));
		wire_ip_set_ds(p.b, (uint8_t)ds);
		assert_int_equal(parse_ok(view(&p)).ds, ds);
		assert_int_equal(naive_checksum(bytes_of(p.b, 20)), 0);
		/* A wrong checksum stays wrong. */
		p.b[10] ^= 0x10;
		wire_ip_set_ds(p.b, (uint8_t)~ds);
		assert_int_not_equal(naive_checksum(bytes_of(p.b, 20)), 0);

		hex(&p, udp6);
		q = p;
		wire_ip_set_ds(p.b, (uint8_t)ds);
		assert_int_equal(parse_ok(view(&p)).ds, ds);
		wire_ip_set_ds(p.b, 0xba);
		assert_memory_equal(p.b, q.b, p.n);
	}
}

/* Severity as the text of RFC 6040 section 4.2 ranks it, against which the figure is checked. */
static int severity(uint8_t ecn)
{
	switch (ecn) {
	case WIRE_ECN_CE: return 3;
	case WIRE_ECN_ECT1: return 2;
	case WIRE_ECN_ECT0: return 1;
	default: return 0;
	}
}

static void ecn_follows_the_text_of_rfc6040(void **state)
{
	(void)state;
	for (uint8_t inner = 0; inner < 4; inner++)
		for (uint8_t outer = 0; outer < 4; outer++) {
			struct wire_ecn_verdict v = wire_ecn_decap(inner, outer);
			struct wire_ecn_verdict w =
				wire_ecn_decap((uint8_t)(inner | 0xa8), (uint8_t)(outer | 0x50));
			bool more = severity(outer) > severity(inner);

			assert_int_equal(v.drop, inner == 0 && outer == WIRE_ECN_CE);
			if (inner == 0)
				assert_int_equal(v.drop ? 0 : v.ecn, 0);
			else
				assert_int_equal(v.ecn, more ? outer : inner);
			assert_int_equal(v.alarming,
					 (inner == 0 && outer != 0) || (inner == 3 && outer == 1));
			assert_int_equal(v.ecn, w.ecn);
			assert_int_equal(v.drop, w.drop);
		}
}

/* ---- MSS ----------------------------------------------------------------------------------- */

/* A TCP packet with these flags and options (a multiple of 4 bytes), its checksum right. */
static void tcp_packet(struct packet *p, int version, uint8_t flags, const char *options)
{
	struct packet o;
	struct wire_ip ip;
	size_t at;

	hex(&o, options);
	hex(p, version == 4 ? HEAD4("0000", "4000", "06") : HEAD6("0000", "06"));
	at = p->n;
	store_be16(p->b + at, 49152);
	store_be16(p->b + at + 2, 443);
	store_be32(p->b + at + 4, 0x12345678);
	p->b[at + 12] = (uint8_t)((20 + o.n) / 4 << 4);
	p->b[at + 13] = flags;
	memcpy(p->b + at + 20, o.b, o.n);
	p->n = at + 20 + o.n;
	store_be16(p->b + (version == 4 ? 2 : 4), (uint16_t)(version == 4 ? p->n : 20 + o.n));
	ip = parse_ok(view(p));
	store_be16(p->b + at + 16, naive_upper(&ip, view(p)));
	assert_int_equal(naive_upper(&ip, view(p)), 0);
}

#define SYN 0x02
#define SYN_ACK 0x12

static void clamps_the_mss(void **state)
{
	static const struct {
		const char *name;
		uint8_t flags;
		const char *options;
		unsigned at; /* of the value in the options, 0: nothing to change */
	} rows[] = {
		{ "SYN", SYN, "0204 05b4", 2 },
		{ "SYN-ACK", SYN_ACK, "0204 05b4", 2 },
		{ "ECN SYN", 0xc2, "0204 05b4", 2 },
		{ "behind others", SYN, "0402 080a 00000001 00000000 0204 05b4", 14 },
		{ "at an odd offset", SYN, "01 0204 05b4 010101", 3 },
		{ "after an option of 3", SYN, "0303 07 0204 05b4 00", 5 },
		{ "just one more than fits", SYN, "0204 04b1", 2 },
		{ "just fits", SYN, "0204 04b0", 0 },
		{ "smaller", SYN, "0204 0218", 0 },
		{ "no options", SYN, "", 0 },
		{ "behind the end of options", SYN, "00 0204 05b4 000000", 0 },
		{ "an option of no length", SYN, "0300 0204 05b4 0000", 0 },
		{ "an option of length 1", SYN, "0301 0204 05b4 0000", 0 },
		{ "an option past the end", SYN, "03ff 0204 05b4 0000", 0 },
		{ "half an option", SYN, "01010102", 0 },
		{ "an MSS cut short", SYN, "01010204", 0 },
		{ "an MSS of 3", SYN, "0203 0500", 0 },
		{ "an MSS of 6", SYN, "0206 05b4 0000 0101", 0 },
		{ "no SYN", 0x10, "0204 05b4", 0 },
		{ "a reset", 0x06, "0204 05b4", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int v = 4; v <= 6; v += 2) {
			uint32_t mtu = 1200 + (v == 4 ? 40 : 60);
			struct packet p;
			struct packet before;
			struct wire_ip ip;

			tcp_packet(&p, v, rows[i].flags, rows[i].options);
			before = p;
			ip = parse_ok(view(&p));
			if (wire_tcp_clamp_mss(p.b, &ip, mtu, false) != (rows[i].at > 0))
				fail_msg("%s", rows[i].name);
			assert_int_equal(naive_upper(&ip, view(&p)), 0);
			if (rows[i].at) {
				uint8_t *mss = p.b + ip.upper_at + 20 + rows[i].at;

				assert_int_equal(load_be16(mss), 1200);
				memcpy(mss, before.b + (mss - p.b), 2);
				memcpy(p.b + ip.upper_at + 16, before.b + ip.upper_at + 16, 2);
			}
			assert_memory_equal(p.b, before.b, sizeof(p.b));
		}
}

/* The field holds the sum of the pseudo-header, which the option is not part of. */
static void leaves_a_partial_checksum(void **state)
{
	struct packet p;
	struct wire_ip ip;

	(void)state;
	tcp_packet(&p, 4, SYN, "0204 05b4");
	store_be16(p.b + 36, 0xabcd);
	ip = parse_ok(view(&p));
	assert_true(wire_tcp_clamp_mss(p.b, &ip, 1240, true));
	assert_int_equal(load_be16(p.b + 42), 1200);
	assert_int_equal(load_be16(p.b + 36), 0xabcd);
}

/* S2: nothing but a SYN whose header is all there is touched, whatever its header says. */
static void S2_clamps_only_whole_headers(void **state)
{
	struct packet p;
	struct packet before;
	struct wire_ip ip;

	(void)state;
	tcp_packet(&p, 4, SYN, "0204 05b4");
	for (unsigned offset = 0; offset < 16; offset++) {
		p.b[32] = (uint8_t)(offset << 4);
		before = p;
		ip = parse_ok(view(&p));
		assert_int_equal(wire_tcp_clamp_mss(p.b, &ip, 1240, true), offset == 6);
		p = before;
	}
	p.b[32] = 0x60;
	for (size_t n = 20; n < 44; n++) {
		store_be16(p.b + 2, (uint16_t)n);
		before = p;
		ip = parse_ok(bytes_of(p.b, n));
		assert_false(wire_tcp_clamp_mss(p.b, &ip, 1240, true));
		assert_memory_equal(p.b, before.b, sizeof(p.b));
	}
	store_be16(p.b + 2, 44);
	store_be16(p.b + 6, 0x0001); /* a later fragment only looks like TCP */
	ip = parse_ok(view(&p));
	assert_false(wire_tcp_clamp_mss(p.b, &ip, 1240, true));
	store_be16(p.b + 6, 0);
	p.b[9] = WIRE_IP_UDP;
	ip = parse_ok(view(&p));
	assert_false(wire_tcp_clamp_mss(p.b, &ip, 1240, true));
	p.b[9] = WIRE_IP_TCP;
	ip = parse_ok(view(&p));
	assert_false(wire_tcp_clamp_mss(p.b, &ip, 40, true));
	assert_true(wire_tcp_clamp_mss(p.b, &ip, 41, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_ipv4),
		cmocka_unit_test(parses_ipv6),
		cmocka_unit_test(finds_the_upper_layer),
		cmocka_unit_test(reads_fragment_fields),
		cmocka_unit_test(S2_refuses),
		cmocka_unit_test(S2_refuses_every_prefix),
		cmocka_unit_test(S2_bounds_extension_headers),
		cmocka_unit_test(checksum_equals_the_naive_one),
		cmocka_unit_test(checksum_adjusts),
		cmocka_unit_test(sets_the_ds_field),
		cmocka_unit_test(ecn_follows_the_text_of_rfc6040),
		cmocka_unit_test(clamps_the_mss),
		cmocka_unit_test(leaves_a_partial_checksum),
		cmocka_unit_test(S2_clamps_only_whole_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
