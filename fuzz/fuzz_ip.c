/*
 * An inner packet: parsed, answered, its DS field and MSS changed.  Checksums are compared with a
 * naive sum: right before means right after, wrong by as much otherwise.
 */
#include <stdlib.h>

#include "wire/ip/wire_ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

/* The one's complement sum of all words, 0 and 0xffff being the same number. */
static uint32_t naive_sum(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint64_t)p[i] << 8;
	return (uint32_t)(sum % 0xffff);
}

static bool same_packet(const struct wire_ip *a, const struct wire_ip *b)
{
	return a->version == b->version && ip_eq(&a->src, &b->src) && ip_eq(&a->dst, &b->dst) &&
	       a->has_proto == b->has_proto && a->proto == b->proto && a->sport == b->sport &&
	       a->dport == b->dport && a->upper_at == b->upper_at && a->len == b->len &&
	       a->frag_off == b->frag_off;
}

static struct wire_ip parse_again(const uint8_t *p, size_t n)
{
	enum wire_ip_fault fault = WIRE_IP_OK;
	struct wire_ip ip;

	CHECK(wire_ip_parse(bytes_of(p, n), &ip, &fault) == ST_OK);
	return ip;
}

static void check_value(const struct wire_ip *ip, size_t size)
{
	CHECK(ip->version == 4 || ip->version == 6);
	CHECK(ip->src.family == ip->version && ip->dst.family == ip->version);
	CHECK(ip->len <= size && ip->upper_at <= ip->len);
	CHECK(ip->upper_at >= (ip->version == 4 ? WIRE_IP4_HDR_LEN : WIRE_IP6_HDR_LEN));
	CHECK(!ip->has_ports || (ip->has_proto && ip->frag_off == 0));
	CHECK(ip->frag_off % 8 == 0 && ip->frag_off + ip->len - ip->upper_at <= 65535);
}

static void set_ds(uint8_t *p, const struct wire_ip *ip)
{
	uint32_t before = naive_sum(p, WIRE_IP4_HDR_LEN);
	struct wire_ip again;
	uint8_t ds = (uint8_t)~ip->ds;

	wire_ip_set_ds(p, ds);
	CHECK(ip->version == 6 || naive_sum(p, WIRE_IP4_HDR_LEN) == before);
	again = parse_again(p, ip->len);
	CHECK(again.ds == ds && same_packet(ip, &again));
}

static void clamp_mss(uint8_t *p, const struct wire_ip *ip)
{
	size_t at = ip->upper_at;
	uint32_t before = naive_sum(p + at, ip->len - at);
	struct wire_ip again;

	if (!wire_tcp_clamp_mss(p, ip, 1280, false))
		return;
	CHECK(ip->proto == WIRE_IP_TCP && naive_sum(p + at, ip->len - at) == before);
	again = parse_again(p, ip->len);
	CHECK(same_packet(ip, &again));
	CHECK(!wire_tcp_clamp_mss(p, ip, 1280, false));
}

static void answer(enum wire_icmp_kind kind, struct bytes packet, const struct wire_ip *ip)
{
	const struct ip from = { ip->version, { 0x20, 1, 2, 3 } };
	uint8_t buf[WIRE_ICMP_MAX];
	struct wire_ip a;
	struct bytes got;
	struct bytes none;
	enum status st = wire_icmp_error(kind, 1280, packet, ip, &from, buf, sizeof(buf), &got);

	CHECK(st == ST_OK || st == ST_DROP);
	if (st == ST_DROP)
		return;
	CHECK(got.n <= (ip->version == 4 ? 576 : 1280));
	a = parse_again(got.p, got.n);
	CHECK(a.len == got.n && ip_eq(&a.dst, &ip->src) && ip_eq(&a.src, &from));
	CHECK(wire_icmp_error(kind, 1280, got, &a, &from, buf, sizeof(buf), &none) == ST_DROP);
	CHECK(ip->version == 6 || naive_sum(got.p + a.upper_at, got.n - a.upper_at) == 0);
	CHECK(ip->version == 4 ||
	      wire_checksum_upper(&a.src, &a.dst, a.proto, bytes_of(got.p + 40, got.n - 40)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum wire_ip_fault fault = WIRE_IP_OK;
	struct wire_ip ip;
	uint8_t *copy;

	if (wire_ip_parse(bytes_of(data, size), &ip, &fault) != ST_OK) {
		CHECK(fault > WIRE_IP_OK && fault < WIRE_IP_FAULTS);
		return 0;
	}
	CHECK(fault == WIRE_IP_OK);
	check_value(&ip, size);
	for (unsigned kind = 0; kind < WIRE_ICMP_KINDS; kind++)
		answer((enum wire_icmp_kind)kind, bytes_of(data, size), &ip);
	copy = malloc(size);
	CHECK(copy);
	memcpy(copy, data, size);
	clamp_mss(copy, &ip);
	set_ds(copy, &ip);
	free(copy);
	return 0;
}
