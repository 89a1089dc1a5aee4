/*
 * ICMP errors about packets that cannot go on (RFC 792, RFC 1191, RFC 4443):
 *
 *	+---------------+---------------+-------------------------------+
 *	|     Type      |     Code      |          Checksum             |
 *	+---------------+---------------+-------------------------------+
 *	|  IPv4: unused, Next-Hop MTU;  IPv6: MTU;  otherwise: unused   |
 *	+---------------------------------------------------------------+
 *	~          as much of the invoking packet as may be             ~
 *	+---------------------------------------------------------------+
 */
#include "wire/ip/wire_ip.h"

enum {
	ICMP_HDR_LEN = 8,
	ICMP4_MAX = 576, /* RFC 1812 section 4.3.2.3 */
	HOP_LIMIT = 64,
	DS_NETWORK_CONTROL = 0xc0, /* RFC 1812 section 4.3.2.5: precedence 6 */
	IP4_DF_FLAG = 0x4000,
	ICMP4_DEST_UNREACHABLE = 3,
	ICMP4_SOURCE_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	ICMP6_DEST_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_FIRST_INFORMATIONAL = 128,
	ICMP6_REDIRECT = 137,
};

static const struct {
	uint8_t type4, code4;
	uint8_t type6, code6;
} kinds[WIRE_ICMP_KINDS] = {
	[WIRE_ICMP_TOO_BIG] = { ICMP4_DEST_UNREACHABLE, 4, ICMP6_TOO_BIG, 0 },
	[WIRE_ICMP_PROHIBITED] = { ICMP4_DEST_UNREACHABLE, 13, ICMP6_DEST_UNREACHABLE, 1 },
	[WIRE_ICMP_UNREACHABLE] = { ICMP4_DEST_UNREACHABLE, 1, ICMP6_DEST_UNREACHABLE, 3 },
};

/* No error about an error, lest two hosts answer each other for ever.  A packet of ICMP that does
 * not show its type may be one. */
static bool is_icmp_error(const struct wire_ip *ip)
{
	unsigned type = ip->sport >> 8;

	if (ip->proto == WIRE_IP_ICMP)
		return !ip->has_ports || type == ICMP4_DEST_UNREACHABLE ||
		       type == ICMP4_SOURCE_QUENCH || type == ICMP4_REDIRECT ||
		       type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
	if (ip->proto == WIRE_IP_ICMPV6)
		return !ip->has_ports || type < ICMP6_FIRST_INFORMATIONAL || type == ICMP6_REDIRECT;
	return false;
}

static bool is_multicast(const struct ip *a)
{
	return a->family == 4 ? a->b[0] >> 4 == 0xe : a->b[0] == 0xff;
}

/* RFC 1122 section 3.2.2: zero, loopback, broadcast, multicast or class E name no single host. */
static bool is_single_host(const struct ip *a)
{
	if (ip_is_any(a) || is_multicast(a))
		return false;
	return a->family == 6 || (a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 0xf0);
}

static bool is_broadcast(const struct ip *a)
{
	static const uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };

	return a->family == 4 && memcmp(a->b, ones, sizeof(ones)) == 0;
}

/* RFC 1122 section 3.2.2; RFC 4443 section 2.4 (e), which lets only Packet Too Big answer a
 * multicast, for path MTU discovery's sake. */
static bool may_answer(enum wire_icmp_kind kind, const struct wire_ip *ip)
{
	bool group = is_multicast(&ip->dst) || is_broadcast(&ip->dst);

	if (ip->frag_off || !ip->has_proto || is_icmp_error(ip) || !is_single_host(&ip->src))
		return false;
	return !group || (ip->version == 6 && kind == WIRE_ICMP_TOO_BIG);
}

static void put_ip4(struct wr *w, const struct ip *src, const struct ip *dst, size_t payload)
{
	size_t at = wr_len(w);

	wr_u8(w, 0x45);
	wr_u8(w, DS_NETWORK_CONTROL);
	wr_u16(w, (uint16_t)(WIRE_IP4_HDR_LEN + payload));
	wr_u16(w, 0); /* identification: atomic, so it means nothing (RFC 6864 section 4.1) */
	wr_u16(w, IP4_DF_FLAG);
	wr_u8(w, HOP_LIMIT);
	wr_u8(w, WIRE_IP_ICMP);
	wr_u16(w, 0);
	wr_put(w, ip_raw(src));
	wr_put(w, ip_raw(dst));
	wr_patch16(w, at + 10, wire_checksum(bytes_of(w->start + at, wr_len(w) - at)));
}

static void put_ip6(struct wr *w, const struct ip *src, const struct ip *dst, size_t payload)
{
	wr_u32(w, 6u << 28 | DS_NETWORK_CONTROL << 20);
	wr_u16(w, (uint16_t)payload);
	wr_u8(w, WIRE_IP_ICMPV6);
	wr_u8(w, HOP_LIMIT);
	wr_put(w, ip_raw(src));
	wr_put(w, ip_raw(dst));
}

static void put_icmp4(struct wr *w, enum wire_icmp_kind kind, uint32_t mtu, struct bytes quote)
{
	size_t at = wr_len(w);

	wr_u8(w, kinds[kind].type4);
	wr_u8(w, kinds[kind].code4);
	wr_u16(w, 0);
	wr_u32(w, kind == WIRE_ICMP_TOO_BIG ? (uint16_t)mtu : 0);
	wr_put(w, quote);
	wr_patch16(w, at + 2, wire_checksum(bytes_of(w->start + at, wr_len(w) - at)));
}

static void put_icmp6(struct wr *w, enum wire_icmp_kind kind, uint32_t mtu, struct bytes quote,
		      const struct ip *src, const struct ip *dst)
{
	size_t at = wr_len(w);
	struct bytes icmp;

	wr_u8(w, kinds[kind].type6);
	wr_u8(w, kinds[kind].code6);
	wr_u16(w, 0);
	wr_u32(w, kind == WIRE_ICMP_TOO_BIG ? mtu : 0);
	wr_put(w, quote);
	icmp = bytes_of(w->start + at, wr_len(w) - at);
	wr_patch16(w, at + 2, wire_checksum_upper(src, dst, WIRE_IP_ICMPV6, icmp));
}

enum status wire_icmp_error(enum wire_icmp_kind kind, uint32_t mtu, struct bytes packet,
			    const struct wire_ip *ip, const struct ip *from, void *buf, size_t cap,
			    struct bytes *ret_icmp)
{
	bool v4 = ip->version == 4;
	size_t head = (v4 ? WIRE_IP4_HDR_LEN : WIRE_IP6_HDR_LEN) + ICMP_HDR_LEN;
	size_t most = v4 ? ICMP4_MAX : WIRE_IP6_MIN_MTU;
	struct wr w = wr_of(buf, cap);
	struct bytes quote;
	size_t n = ip->len < packet.n ? ip->len : packet.n;

	if (from->family != ip->version || (unsigned)kind >= WIRE_ICMP_KINDS)
		return ST_BUG;
	if (!may_answer(kind, ip))
		return ST_DROP;
	quote = bytes_of(packet.p, n < most - head ? n : most - head);
	if (cap < head + quote.n)
		return ST_NOMEM;
	if (v4) {
		put_ip4(&w, from, &ip->src, ICMP_HDR_LEN + quote.n);
		put_icmp4(&w, kind, mtu, quote);
	} else {
		put_ip6(&w, from, &ip->src, ICMP_HDR_LEN + quote.n);
		put_icmp6(&w, kind, mtu, quote, from, &ip->src);
	}
	if (w.err)
		return ST_BUG;
	*ret_icmp = wr_bytes_of(&w);
	return ST_OK;
}
