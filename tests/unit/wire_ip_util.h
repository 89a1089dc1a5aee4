/*
 * wire_ip_util.h - what the tests of IP packets share: packets from hex, parsers that check that a
 * refusal changes nothing, and naive checksums.
 */
#pragma once

#include "test_util.h"

#include "hex.h"
#include "wire/ip/wire_ip.h"

struct packet {
	uint8_t b[1600];
	size_t n;
};

/* Hex digits; spaces are for the reader. */
static inline void hex(struct packet *p, const char *s)
{
	size_t digits;

	memset(p, 0, sizeof(*p));
	digits = hex_decode(s, p->b);
	assert_int_equal(digits % 2, 0);
	p->n = digits / 2;
}

static inline struct bytes view(const struct packet *p)
{
	return bytes_of(p->b, p->n);
}

static inline struct wire_ip parse_ok(struct bytes b)
{
	enum wire_ip_fault fault = WIRE_IP_OK;
	struct wire_ip ip;

	assert_int_equal(wire_ip_parse(b, &ip, &fault), ST_OK);
	assert_int_equal(fault, WIRE_IP_OK);
	return ip;
}

/* Parses an exact copy, so that a sanitizer sees a read past the end. */
static inline enum wire_ip_fault fault_of(struct bytes b)
{
	uint8_t *copy = malloc(b.n ? b.n : 1);
	enum wire_ip_fault fault = WIRE_IP_OK;
	struct wire_ip ip = { .ttl = 123 };
	enum status st;

	assert_non_null(copy);
	if (b.n)
		memcpy(copy, b.p, b.n);
	st = wire_ip_parse(bytes_of(copy, b.n), &ip, &fault);
	free(copy);
	assert_int_equal(st, fault ? ST_DROP : ST_OK);
	if (fault) {
		assert_int_equal(ip.ttl, 123);
		assert_int_equal(ip.version, 0);
	}
	return fault;
}

static inline void assert_fault(enum wire_ip_fault got, enum wire_ip_fault want, const char *what)
{
	if (got != want)
		fail_msg("%s: %s, not %s", what, wire_ip_fault_name(got), wire_ip_fault_name(want));
}

static inline struct ip addr(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

static inline void assert_addr(const struct ip *a, const char *s)
{
	struct ip b = addr(s);

	assert_true(ip_eq(a, &b));
}

/* Word by word, as RFC 1071 defines it. */
static inline uint16_t naive_checksum(struct bytes b)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < b.n; i += 2) {
		sum += (uint32_t)b.p[i] << 8 | (i + 1 < b.n ? b.p[i + 1] : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

/* Over pseudo-header and upper layer laid out in memory; 0 when the checksum inside is right. */
static inline uint16_t naive_upper(const struct wire_ip *ip, struct bytes packet)
{
	uint8_t buf[40 + 1600] = { 0 };
	size_t n = ip->len - ip->upper_at;
	size_t a = ip_len(&ip->src);

	memcpy(buf, ip->src.b, a);
	memcpy(buf + a, ip->dst.b, a);
	store_be16(buf + 2 * a, (uint16_t)n);
	store_be16(buf + 2 * a + 2, ip->proto);
	memcpy(buf + 2 * a + 4, packet.p + ip->upper_at, n);
	return naive_checksum(bytes_of(buf, 2 * a + 4 + n));
}

#define ADDR4 "0a010203 0a020304"
#define SRC6 "20010db8000000000000000000000001"
#define DST6 "20010db8000000000000000000000002"
#define ADDR6 SRC6 DST6

/* UDP 1234 to 53, 4 bytes of data, DSCP 46, ECT(0), DF. */
static const char udp4[] = "45 ba 0020 1234 4000 40 11 0000" ADDR4 "04d2 0035 000c 0000 01020304";
static const char udp6[] = "6ba12345 000c 11 40" ADDR6 "04d2 0035 000c 0000 01020304";

/* Headers of a length and protocol. */
#define HEAD4(len, frag, proto) "45 00 " len " 0000 " frag " 40 " proto " 0000" ADDR4
#define HEAD6(len, next) "60000000 " len next "40" ADDR6
