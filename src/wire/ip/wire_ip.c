/* Packets as values, and the fields a tunnel may change in place. */
#include "wire/ip/wire_ip.h"

enum {
	MAX_PACKET = 65535,
	MAX_EXT_HEADERS = 8, /* more is nobody's packet; each would cost a step per packet */
	IP4_DF = 0x4000,
	IP4_MF = 0x2000,
	IP4_OFFSET = 0x1fff, /* in units of 8 bytes */
	IP6_MF = 0x0001,
	IP6_OFFSET = 0xfff8,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_HDR_LEN = 20,
	TCP_OPT_END = 0,
	TCP_OPT_NOP = 1,
	TCP_OPT_MSS = 2,
};

static const char *const fault_names[WIRE_IP_FAULTS] = {
	[WIRE_IP_OK] = "ok",
	[WIRE_IP_F_SHORT] = "short",
	[WIRE_IP_F_VERSION] = "version",
	[WIRE_IP_F_LENGTH] = "length",
	[WIRE_IP_F_EXT] = "ext",
	[WIRE_IP_F_FRAGMENT] = "fragment",
};

const char *wire_ip_fault_name(enum wire_ip_fault f)
{
	return (unsigned)f < WIRE_IP_FAULTS ? fault_names[f] : "unknown";
}

/* RFC 4301 section 4.4.1.1 and 4.4.1.3: the protocols that have ports, or something in their place
 * of which there is only one, and which then stands on both sides. */
static void parse_ports(struct wire_ip *ip, struct bytes upper)
{
	struct cur c = cur_of(upper);

	if (!ip->has_proto || ip->frag_off)
		return;
	switch (ip->proto) {
	case WIRE_IP_TCP:
	case WIRE_IP_UDP:
	case WIRE_IP_DCCP:
	case WIRE_IP_SCTP:
	case WIRE_IP_UDPLITE:
		ip->sport = cur_u16(&c);
		ip->dport = cur_u16(&c);
		break;
	case WIRE_IP_ICMP:
	case WIRE_IP_ICMPV6: ip->sport = ip->dport = cur_u16(&c); break;
	case WIRE_IP_MOBILITY: /* next header, length, MH type (RFC 6275 section 6.1.1) */
		cur_u16(&c);
		ip->sport = ip->dport = (uint16_t)(cur_u8(&c) << 8);
		break;
	default: return;
	}
	ip->has_ports = !c.err;
	if (c.err)
		ip->sport = ip->dport = 0;
}

/*
 * RFC 791 section 3.1:
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+-------+-------+---------------+-------------------------------+
 *	|Version|  IHL  |Type of Service|          Total Length         |
 *	+-------+-------+---------------+-----+-------------------------+
 *	|         Identification        |Flags|      Fragment Offset    |
 *	+---------------+---------------+-----+-------------------------+
 *	|  Time to Live |    Protocol   |         Header Checksum       |
 *	+---------------+---------------+-------------------------------+
 *	|                       Source Address                          |
 *	|                    Destination Address                        |
 *	+---------------------------------------------------------------+
 */
static enum wire_ip_fault parse_ip4(struct bytes b, struct wire_ip *ip)
{
	size_t hdr;
	uint16_t frag;

	if (b.n < WIRE_IP4_HDR_LEN)
		return WIRE_IP_F_SHORT;
	hdr = (size_t)(b.p[0] & 0x0f) * 4;
	ip->len = load_be16(b.p + 2);
	if (hdr < WIRE_IP4_HDR_LEN || hdr > ip->len || ip->len > b.n)
		return WIRE_IP_F_LENGTH;
	frag = load_be16(b.p + 6);
	ip->ds = b.p[1];
	ip->dont_fragment = frag & IP4_DF;
	ip->more_fragments = frag & IP4_MF;
	ip->frag_off = (uint16_t)((frag & IP4_OFFSET) * 8);
	ip->ttl = b.p[8];
	ip->proto = b.p[9];
	ip->has_proto = true;
	ip->upper_at = (uint16_t)hdr;
	ip->src = ip_from_raw(bytes_of(b.p + 12, 4));
	ip->dst = ip_from_raw(bytes_of(b.p + 16, 4));
	/* Reassembled it would be longer than any packet ("ping of death"). */
	if (ip->frag_off + ip->len > MAX_PACKET)
		return WIRE_IP_F_FRAGMENT;
	return WIRE_IP_OK;
}

static bool is_ext_header(uint8_t proto)
{
	return proto == WIRE_IP_HOPOPTS || proto == WIRE_IP_ROUTING || proto == WIRE_IP_FRAGMENT ||
	       proto == WIRE_IP_DSTOPTS;
}

/*
 * One extension header (RFC 8200 section 4).  Options and routing headers begin alike, their length
 * in 8-byte units without the first; the fragment header is always 8 bytes:
 *
 *	+---------------+---------------+-------------------------------+
 *	|  Next Header  |  Hdr Ext Len  |                               ~
 *	+---------------+---------------+-------------------------------+
 *
 *	+---------------+---------------+-------------------------+---+-+
 *	|  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
 *	+---------------+---------------+-------------------------+---+-+
 *	|                         Identification                        |
 *	+---------------------------------------------------------------+
 */
static void parse_ext_header(struct cur *c, struct wire_ip *ip)
{
	uint8_t type = ip->proto;
	size_t units;

	ip->proto = cur_u8(c);
	units = cur_u8(c);
	if (type == WIRE_IP_FRAGMENT) {
		uint16_t frag = cur_u16(c);

		cur_u32(c);
		ip->frag_off = frag & IP6_OFFSET;
		ip->more_fragments = frag & IP6_MF;
	} else {
		cur_take(c, 6 + units * 8);
	}
}

/* Walks to the upper layer.  Behind the fragment header of a later fragment comes data: if the
 * first fragment went on with another extension header, nobody here can know the upper layer. */
static enum wire_ip_fault walk_ext_headers(struct cur *c, struct wire_ip *ip)
{
	for (size_t steps = 0; is_ext_header(ip->proto); steps++) {
		if (ip->frag_off)
			return WIRE_IP_OK;
		if (steps == MAX_EXT_HEADERS)
			return WIRE_IP_F_EXT;
		parse_ext_header(c, ip);
		if (c->err)
			return WIRE_IP_F_EXT;
	}
	ip->has_proto = true;
	return WIRE_IP_OK;
}

/*
 * RFC 8200 section 3:
 *
 *	+-------+---------------+---------------------------------------+
 *	|Version| Traffic Class |             Flow Label                |
 *	+-------+---------------+-------+---------------+---------------+
 *	|         Payload Length        |  Next Header  |   Hop Limit   |
 *	+-------------------------------+---------------+---------------+
 *	~                 Source Address, Destination Address           ~
 *	+---------------------------------------------------------------+
 */
static enum wire_ip_fault parse_ip6(struct bytes b, struct wire_ip *ip)
{
	enum wire_ip_fault fault;
	struct cur c;

	if (b.n < WIRE_IP6_HDR_LEN)
		return WIRE_IP_F_SHORT;
	ip->len = WIRE_IP6_HDR_LEN + (uint32_t)load_be16(b.p + 4);
	if (ip->len > b.n || ip->len > MAX_PACKET)
		return WIRE_IP_F_LENGTH;
	ip->ds = (uint8_t)(load_be16(b.p) >> 4);
	ip->dont_fragment = true;
	ip->proto = b.p[6];
	ip->ttl = b.p[7];
	ip->src = ip_from_raw(bytes_of(b.p + 8, 16));
	ip->dst = ip_from_raw(bytes_of(b.p + 24, 16));
	c = cur_of(bytes_of(b.p + WIRE_IP6_HDR_LEN, ip->len - WIRE_IP6_HDR_LEN));
	fault = walk_ext_headers(&c, ip);
	if (fault)
		return fault;
	ip->upper_at = (uint16_t)(ip->len - cur_left(&c));
	if (ip->frag_off + cur_left(&c) > MAX_PACKET)
		return WIRE_IP_F_FRAGMENT;
	return WIRE_IP_OK;
}

enum status wire_ip_parse(struct bytes packet, struct wire_ip *ret_ip, enum wire_ip_fault *fault)
{
	struct wire_ip ip = { .version = packet.n ? packet.p[0] >> 4 : 0 };
	enum wire_ip_fault f = packet.n ? WIRE_IP_F_VERSION : WIRE_IP_F_SHORT;

	if (ip.version == 4)
		f = parse_ip4(packet, &ip);
	else if (ip.version == 6)
		f = parse_ip6(packet, &ip);
	if (f) {
		*fault = f;
		return ST_DROP;
	}
	parse_ports(&ip, bytes_of(packet.p + ip.upper_at, ip.len - ip.upper_at));
	*ret_ip = ip;
	return ST_OK;
}

/* ---- DS field ------------------------------------------------------------------------------ */

void wire_ip_set_ds(uint8_t *packet, uint8_t ds)
{
	uint16_t old_word = load_be16(packet);
	uint16_t word;

	if (packet[0] >> 4 == 6) {
		store_be16(packet, (uint16_t)((old_word & 0xf00f) | ds << 4));
		return;
	}
	word = (uint16_t)((old_word & 0xff00) | ds);
	store_be16(packet, word);
	store_be16(packet + 10, wire_checksum_adjust(load_be16(packet + 10), old_word, word));
}

struct wire_ecn_verdict wire_ecn_decap(uint8_t inner, uint8_t outer)
{
	/* Figure 4 of RFC 6040: rows are the inner field, columns the outer, in codepoint order
	 * (so ECT(1) comes before ECT(0)). */
	enum {
		NOT = WIRE_ECN_NOT_ECT,
		EC1 = WIRE_ECN_ECT1,
		EC0 = WIRE_ECN_ECT0,
		CE = WIRE_ECN_CE,
		BAD = 8, /* (!!!) */
		DRP = 16,
	};
	static const uint8_t figure[4][4] = {
		/* outer:   Not-ECT  ECT(1)     ECT(0)     CE */
		[NOT] = { NOT, NOT | BAD, NOT | BAD, NOT | BAD | DRP },
		[EC1] = { EC1, EC1, EC1, CE },
		[EC0] = { EC0, EC1, EC0, CE },
		[CE] = { CE, CE | BAD, CE, CE },
	};
	uint8_t f = figure[inner & WIRE_ECN_MASK][outer & WIRE_ECN_MASK];

	return (struct wire_ecn_verdict){
		.ecn = f & WIRE_ECN_MASK,
		.drop = f & DRP,
		.alarming = f & BAD,
	};
}

/* ---- checksums ----------------------------------------------------------------------------- */

/* Adds 16-bit words; a packet is too short to overflow the sum. */
static uint64_t sum_bytes(uint64_t sum, struct bytes b)
{
	size_t i = 0;

	for (; i + 4 <= b.n; i += 4)
		sum += load_be32(b.p + i);
	for (; i + 2 <= b.n; i += 2)
		sum += load_be16(b.p + i);
	if (i < b.n)
		sum += (uint64_t)b.p[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t wire_checksum(struct bytes b)
{
	return (uint16_t)~sum_fold(sum_bytes(0, b));
}

uint16_t wire_checksum_upper(const struct ip *src, const struct ip *dst, uint8_t proto,
			     struct bytes upper)
{
	uint64_t sum = sum_bytes((uint64_t)proto + upper.n, upper);

	sum = sum_bytes(sum, ip_raw(src));
	sum = sum_bytes(sum, ip_raw(dst));
	return (uint16_t)~sum_fold(sum);
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). */
uint16_t wire_checksum_adjust(uint16_t sum, uint16_t old_word, uint16_t new_word)
{
	uint32_t s = (uint16_t)~sum;

	s += (uint16_t)~old_word;
	s += new_word;
	return (uint16_t)~sum_fold(s);
}

/* ---- TCP ----------------------------------------------------------------------------------- */

/* Offset of the MSS value in a TCP header of `n` bytes, or 0.  Options (RFC 9293 section 3.1) are
 * kind and length, but for two that are a single byte; a length below two ends the search. */
static size_t find_mss(const uint8_t *tcp, size_t n)
{
	size_t i = TCP_HDR_LEN;

	while (i < n && tcp[i] != TCP_OPT_END) {
		if (tcp[i] == TCP_OPT_NOP) {
			i++;
			continue;
		}
		if (n - i < 2 || tcp[i + 1] < 2 || tcp[i + 1] > n - i)
			return 0;
		if (tcp[i] == TCP_OPT_MSS)
			return tcp[i + 1] == 4 ? i + 2 : 0;
		i += tcp[i + 1];
	}
	return 0;
}

static uint16_t swap16(uint16_t v)
{
	return (uint16_t)(v << 8 | v >> 8);
}

/* The option may lie at an odd offset; its bytes then are the wrong way round in the checksum's
 * words, and one's complement sums swap with them (RFC 1071 section 2 (B)). */
static void fix_tcp_checksum(uint8_t *tcp, size_t at, uint16_t old_mss, uint16_t mss)
{
	uint16_t sum = load_be16(tcp + 16);

	if (at % 2) {
		old_mss = swap16(old_mss);
		mss = swap16(mss);
	}
	store_be16(tcp + 16, wire_checksum_adjust(sum, old_mss, mss));
}

bool wire_tcp_clamp_mss(uint8_t *packet, const struct wire_ip *ip, uint32_t mtu, bool partial_csum)
{
	uint32_t overhead = (ip->version == 4 ? WIRE_IP4_HDR_LEN : WIRE_IP6_HDR_LEN) + TCP_HDR_LEN;
	uint8_t *tcp = packet + ip->upper_at;
	size_t left = ip->len - ip->upper_at;
	size_t hdr;
	size_t at;
	uint16_t mss;

	if (!ip->has_ports || ip->proto != WIRE_IP_TCP || left < TCP_HDR_LEN)
		return false;
	hdr = (size_t)(tcp[12] >> 4) * 4;
	if ((tcp[13] & (TCP_SYN | TCP_RST)) != TCP_SYN || hdr < TCP_HDR_LEN || hdr > left)
		return false;
	at = find_mss(tcp, hdr);
	if (!at || mtu <= overhead || mtu - overhead >= load_be16(tcp + at))
		return false;
	mss = (uint16_t)(mtu - overhead);
	if (!partial_csum)
		fix_tcp_checksum(tcp, at, load_be16(tcp + at), mss);
	store_be16(tcp + at, mss);
	return true;
}
