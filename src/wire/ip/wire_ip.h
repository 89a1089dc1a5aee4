/*
 * wire_ip.h - IPv4 and IPv6 packets as the data plane sees them.
 *
 * A pure codec over packets that a TUN device or a decrypted ESP payload gives us.  It answers
 * three questions and nothing else: what is this packet, for policy and routing (wire_ip_parse),
 * what do we tell its sender when it cannot go on (wire_icmp_error), and how are the few fields
 * that a tunnel may touch changed in place (DS field, MSS of a SYN).  Nothing allocates; a parsed
 * value holds no pointer into the packet.
 *
 * The upper-layer protocol is the "Next Layer Protocol" of RFC 4301 section 4.4.1.1: for IPv6 what
 * follows hop-by-hop options, routing, fragment and destination options headers, and only those
 * (AH, ESP, mobility are upper layers).  Where a packet does not say (a later fragment, a header
 * cut short) the value says so, and a selector that asks must treat it as OPAQUE: it matches "any"
 * and nothing else.
 *
 * Known gaps: jumbograms (RFC 2675) are refused; the IPv4 header checksum of an incoming packet is
 * not verified, the kernel does that on the packet's way out of the TUN device, and all changes
 * here are incremental so that a wrong checksum stays wrong.
 */
#pragma once

#include "base/base.h"

#define WIRE_IP4_HDR_LEN 20
#define WIRE_IP6_HDR_LEN 40
#define WIRE_IP6_MIN_MTU 1280

/* IANA "Assigned Internet Protocol Numbers"; only those that the code speaks of. */
enum wire_ip_proto {
	WIRE_IP_HOPOPTS = 0,
	WIRE_IP_ICMP = 1,
	WIRE_IP_IPV4 = 4, /* as ESP next header: a whole IPv4 packet */
	WIRE_IP_TCP = 6,
	WIRE_IP_UDP = 17,
	WIRE_IP_DCCP = 33,
	WIRE_IP_IPV6 = 41, /* as ESP next header: a whole IPv6 packet */
	WIRE_IP_ROUTING = 43,
	WIRE_IP_FRAGMENT = 44,
	WIRE_IP_ESP = 50,
	WIRE_IP_AH = 51,
	WIRE_IP_ICMPV6 = 58,
	WIRE_IP_NONE = 59, /* as ESP next header: a dummy packet (RFC 4303 section 2.6) */
	WIRE_IP_DSTOPTS = 60,
	WIRE_IP_SCTP = 132,
	WIRE_IP_MOBILITY = 135,
	WIRE_IP_UDPLITE = 136,
};

/* Why a parser refused: each is a counter, see wire_ip_fault_name(). */
enum wire_ip_fault {
	WIRE_IP_OK = 0,
	WIRE_IP_F_SHORT, /* shorter than a header */
	WIRE_IP_F_VERSION, /* neither 4 nor 6 */
	WIRE_IP_F_LENGTH, /* header or total length impossible or past the buffer */
	WIRE_IP_F_EXT, /* an IPv6 extension header past the end, or too many of them */
	WIRE_IP_F_FRAGMENT, /* a fragment reaching past the largest packet */
	WIRE_IP_FAULTS,
};

/* A stable lower-case name such as "length", for counters. */
const char *wire_ip_fault_name(enum wire_ip_fault f);

struct wire_ip {
	struct ip src;
	struct ip dst;
	uint8_t version; /* 4 or 6 */
	uint8_t ds; /* DSCP << 2 | ECN */
	uint8_t ttl; /* or hop limit */
	uint8_t proto; /* upper layer; meaningful only with `has_proto` */
	bool has_proto; /* false: extension headers went on in an earlier fragment */
	bool has_ports; /* `sport` and `dport` were in this packet and mean something */
	bool dont_fragment; /* IPv4 DF; always true for IPv6 */
	bool more_fragments; /* MF */
	uint16_t frag_off; /* bytes; with more_fragments: see wire_ip_is_fragment() */
	uint16_t sport; /* host order; ICMP: type << 8 | code in both, mobility: type << 8 */
	uint16_t dport;
	uint16_t upper_at; /* offset of the upper-layer header (or of a later fragment's data) */
	uint32_t len; /* of the packet; what the buffer holds beyond is not part of it */
};

/* ST_DROP with `*fault` set.  A buffer longer than the packet is not a fault: ESP may append
 * traffic flow padding (RFC 4303 section 2.7); a caller that knows better compares `len`. */
MUST enum status wire_ip_parse(struct bytes packet, struct wire_ip *ret_ip,
			       enum wire_ip_fault *fault);

static inline bool wire_ip_is_fragment(const struct wire_ip *ip)
{
	return ip->more_fragments || ip->frag_off != 0;
}

/* ---- DS field ------------------------------------------------------------------------------ */

enum wire_ecn {
	WIRE_ECN_NOT_ECT = 0,
	WIRE_ECN_ECT1 = 1,
	WIRE_ECN_ECT0 = 2,
	WIRE_ECN_CE = 3,
	WIRE_ECN_MASK = 3,
};

/* Rewrites the DS field of a packet that wire_ip_parse() accepted, IPv4 checksum included. */
void wire_ip_set_ds(uint8_t *packet, uint8_t ds);

/* RFC 6040 section 4.2, figure 4: what a decapsulator does with the ECN fields of an inner and an
 * outer header.  At the ingress the outer field is a copy of the inner (section 4.1, normal mode).
 */
struct wire_ecn_verdict {
	uint8_t ecn; /* for the packet that goes on */
	bool drop; /* congestion that the inner transport cannot be told about */
	bool alarming; /* a combination no ingress produces, "(!!!)" in the figure: count it */
};

struct wire_ecn_verdict wire_ecn_decap(uint8_t inner, uint8_t outer);

/* ---- checksums ----------------------------------------------------------------------------- */

/* The internet checksum (RFC 1071) of `b`; over a correct header the result is 0. */
uint16_t wire_checksum(struct bytes b);

/* The same over a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) and `upper`. */
uint16_t wire_checksum_upper(const struct ip *src, const struct ip *dst, uint8_t proto,
			     struct bytes upper);

/* The checksum after one 16-bit word changed (RFC 1624). */
uint16_t wire_checksum_adjust(uint16_t sum, uint16_t old_word, uint16_t new_word);

/* ---- answers ------------------------------------------------------------------------------- */

enum wire_icmp_kind {
	WIRE_ICMP_TOO_BIG, /* fragmentation needed (RFC 1191) / packet too big (RFC 4443) */
	WIRE_ICMP_PROHIBITED, /* communication administratively prohibited */
	WIRE_ICMP_UNREACHABLE, /* host / address unreachable: no tunnel there now */
	WIRE_ICMP_KINDS,
};

#define WIRE_ICMP_MAX 1280 /* no answer is longer */

/* Builds in `buf` the ICMP or ICMPv6 error that answers `packet` (parsed into `ip`), from address
 * `from` (same family) to its source, quoting as much as RFC 1812 section 4.3.2.3 (576 bytes in
 * all) or RFC 4443 section 2.4 (c) (1280 bytes) lets it.  `mtu` is for TOO_BIG: the largest packet
 * that would pass, at most 65535 for IPv4.  ST_DROP when no error may be sent about this packet
 * (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e): errors, later fragments, multicast, sources
 * that name no single host), ST_NOMEM when `cap` is too small (WIRE_ICMP_MAX always suffices).
 * The caller limits the rate. */
MUST enum status wire_icmp_error(enum wire_icmp_kind kind, uint32_t mtu, struct bytes packet,
				 const struct wire_ip *ip, const struct ip *from, void *buf,
				 size_t cap, struct bytes *ret_icmp);

/* ---- TCP ----------------------------------------------------------------------------------- */

/* Lowers the MSS option of a SYN or SYN-ACK so that its segments fit packets of `mtu` bytes.  `ip`
 * is what wire_ip_parse() made of `packet`.  `partial_csum`: the TCP checksum field holds only the
 * pseudo-header's sum and is completed later (virtio NEEDS_CSUM), so it is left alone.  True when
 * something was changed; every other packet is left as it is. */
bool wire_tcp_clamp_mss(uint8_t *packet, const struct wire_ip *ip, uint32_t mtu, bool partial_csum);
