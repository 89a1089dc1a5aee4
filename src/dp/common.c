#include "dp/common.h"

/* ---- what is a reason for a tunnel --------------------------------------------------------- */

/* IANA "Assigned Internet Protocol Numbers". */
enum {
	PROTO_IGMP = 2,
	PROTO_EIGRP = 88,
	PROTO_OSPF = 89,
	PROTO_PIM = 103,
	PROTO_VRRP = 112,
	PROTO_ISIS = 124,
};

/* Messages of which struct wire_ip has the type in the upper byte of its ports (IANA "ICMPv6
 * Parameters", "ICMP Type Numbers"): what routers and neighbours say to each other. */
static bool icmp6_counts(uint16_t port)
{
	uint8_t type = (uint8_t)(port >> 8);
	bool listeners = (type >= 130 && type <= 132) || type == 143;
	bool neighbours = (type >= 133 && type <= 137) || type == 141 || type == 142;
	bool multicast_routers = type >= 151 && type <= 153;

	return !listeners && !neighbours && !multicast_routers;
}

static bool icmp_counts(uint16_t port)
{
	uint8_t type = (uint8_t)(port >> 8);

	return type != 9 && type != 10; /* router advertisement, solicitation */
}

/* IANA "Service Name and Transport Protocol Port Number Registry".  BFD's is the destination's
 * alone, any program may get it as its own. */
static const struct {
	uint8_t proto;
	bool either;
	uint16_t port;
} routing_ports[] = {
	{ WIRE_IP_TCP, true, 179 }, /* BGP */
	{ WIRE_IP_TCP, true, 646 }, /* LDP */
	{ WIRE_IP_UDP, true, 646 },   { WIRE_IP_UDP, true, 520 }, /* RIP */
	{ WIRE_IP_UDP, true, 521 }, /* RIPng */
	{ WIRE_IP_UDP, false, 3784 }, /* BFD */
	{ WIRE_IP_UDP, false, 3785 }, /* its echo */
	{ WIRE_IP_UDP, false, 4784 }, /* over several hops */
	{ WIRE_IP_UDP, false, 6784 }, /* of one link of several */
};

static bool ports_count(uint8_t proto, uint16_t sport, uint16_t dport)
{
	for (size_t i = 0; i < ARRAY_LEN(routing_ports); i++)
		if (routing_ports[i].proto == proto &&
		    (routing_ports[i].port == dport ||
		     (routing_ports[i].either && routing_ports[i].port == sport)))
			return false;
	return true;
}

bool dp_counts(uint8_t proto, uint16_t sport, uint16_t dport)
{
	switch (proto) {
	case PROTO_IGMP:
	case PROTO_EIGRP:
	case PROTO_OSPF:
	case PROTO_PIM:
	case PROTO_VRRP:
	case PROTO_ISIS: return false;
	case WIRE_IP_ICMP: return icmp_counts(dport);
	case WIRE_IP_ICMPV6: return icmp6_counts(dport);
	default: return ports_count(proto, sport, dport);
	}
}

/* ---- rates --------------------------------------------------------------------------------- */

bool dp_bucket_take(struct dp_bucket *b, int64_t now_ns, int64_t per_s)
{
	const int64_t price = 1000000000 / per_s;
	const int64_t most = 1000000000; /* a second's worth */

	b->tokens_ns += b->begun ? now_ns - b->last_ns : most;
	b->begun = true;
	b->last_ns = now_ns;
	if (b->tokens_ns > most)
		b->tokens_ns = most;
	if (b->tokens_ns < price)
		return false;
	b->tokens_ns -= price;
	return true;
}
