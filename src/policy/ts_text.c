/*
 * Traffic selectors as an operator writes them: "10.1.0.0/16[tcp/80]".
 *
 * "icmp" is ICMP for IPv4 and ICMPv6 for IPv6, since the other never occurs there; its "ports" are
 * message types, "icmp/8", with a code "icmp/8.0" (RFC 7296 section 3.13.1 packs both into the
 * port field).
 */
#include "policy/policy.h"

enum {
	PROTO_ICMP = 1,
	PROTO_ICMPV6 = 58,
};

static const struct {
	const char *name;
	uint8_t proto;
	bool ports;
} protos[] = {
	{ "icmp", PROTO_ICMP, true }, { "icmpv6", PROTO_ICMPV6, true },
	{ "igmp", 2, false },         { "ipip", 4, false },
	{ "tcp", 6, true },           { "udp", 17, true },
	{ "gre", 47, false },         { "esp", 50, false },
	{ "ah", 51, false },          { "ospf", 89, false },
	{ "l2tp", 115, false },       { "sctp", 132, true },
	{ "dccp", 33, true },         { "udplite", 136, true },
};

#define TS_ACCEPTED                                                                                \
	"accepted: an address, a prefix or a range a-b, then nothing or [protocol], "              \
	"[protocol/port], [protocol/port-port]"

static enum status refuse(struct text *why, const char *what, struct bytes word)
{
	text_fmt(why, "%s \"", what);
	text_quote(why, word);
	text_add(why, "\"; " TS_ACCEPTED);
	return ST_INVAL;
}

/* Decimal up to `max`, the whole view. */
static bool parse_number(struct bytes b, unsigned max, uint16_t *ret)
{
	unsigned v = 0;

	if (b.n == 0 || b.n > 5)
		return false;
	for (size_t i = 0; i < b.n; i++) {
		if (b.p[i] < '0' || b.p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(b.p[i] - '0');
	}
	if (v > max)
		return false;
	*ret = (uint16_t)v;
	return true;
}

/* Splits at the first `c`; false and `*ret_tail` empty when there is none. */
static bool split(struct bytes b, char c, struct bytes *ret_head, struct bytes *ret_tail)
{
	const uint8_t *p = b.n ? memchr(b.p, c, b.n) : NULL;
	size_t n = p ? (size_t)(p - b.p) : b.n;

	*ret_head = bytes_of(b.p, n);
	*ret_tail = p ? bytes_of(p + 1, b.n - n - 1) : bytes_of(NULL, 0);
	return p != NULL;
}

static bool parse_proto(struct bytes word, uint8_t family, uint8_t *ret_proto)
{
	uint16_t number;

	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		if (!bytes_eq(bytes_str(protos[i].name), word))
			continue;
		*ret_proto = protos[i].proto;
		if (i == 0 && family == 6)
			*ret_proto = PROTO_ICMPV6;
		return true;
	}
	/* Zero would be "any", which is said by writing no protocol. */
	if (!parse_number(word, 255, &number) || number == 0)
		return false;
	*ret_proto = (uint8_t)number;
	return true;
}

static bool has_ports(uint8_t proto)
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].ports;
	return false;
}

static bool is_icmp(uint8_t proto)
{
	return proto == PROTO_ICMP || proto == PROTO_ICMPV6;
}

/* One port, or for ICMP the numbers from the first to the last code of "type" or "type.code". */
static bool parse_port(struct bytes word, uint8_t proto, uint16_t *ret_from, uint16_t *ret_to)
{
	struct bytes head, tail;
	uint16_t type, code;

	if (!is_icmp(proto)) {
		if (!parse_number(word, 65535, ret_from))
			return false;
		*ret_to = *ret_from;
		return true;
	}
	if (!split(word, '.', &head, &tail)) {
		if (!parse_number(word, 255, &type))
			return false;
		*ret_from = (uint16_t)(type << 8);
		*ret_to = (uint16_t)(type << 8 | 255);
		return true;
	}
	if (!parse_number(head, 255, &type) || !parse_number(tail, 255, &code))
		return false;
	*ret_from = *ret_to = (uint16_t)(type << 8 | code);
	return true;
}

static bool parse_ports(struct bytes word, struct wire_ts *ts)
{
	struct bytes first, last;
	uint16_t unused;

	if (bytes_eq(word, bytes_str("opaque"))) {
		ts->port_start = 65535;
		ts->port_end = 0;
		return true;
	}
	if (!split(word, '-', &first, &last))
		return parse_port(word, ts->proto, &ts->port_start, &ts->port_end);
	return parse_port(first, ts->proto, &ts->port_start, &unused) &&
	       parse_port(last, ts->proto, &unused, &ts->port_end) &&
	       ts->port_start <= ts->port_end;
}

/* What stands in the brackets. */
static enum status parse_upper(struct bytes inside, struct text *why, struct wire_ts *ts)
{
	struct bytes proto, ports;
	bool more = split(inside, '/', &proto, &ports);

	if (!parse_proto(proto, ts->start.family, &ts->proto))
		return refuse(why, "not a protocol:", proto);
	if (!more)
		return ST_OK;
	if (!has_ports(ts->proto))
		return refuse(why, "a protocol without ports:", proto);
	if (!parse_ports(ports, ts))
		return refuse(why, "not a port or a range of ports:", ports);
	return ST_OK;
}

static bool parse_range(const char *s, const char *dash, struct wire_ts *ts)
{
	char first[IP_TEXT_MAX];
	size_t n = (size_t)(dash - s);

	if (n >= sizeof(first))
		return false;
	memcpy(first, s, n);
	first[n] = '\0';
	return ip_parse(first, &ts->start) == ST_OK && ip_parse(dash + 1, &ts->end) == ST_OK &&
	       ts->start.family == ts->end.family && ip_cmp(&ts->start, &ts->end) <= 0;
}

static bool parse_addresses(const char *s, struct wire_ts *ts)
{
	const char *dash = strchr(s, '-');
	struct prefix p;

	if (dash)
		return parse_range(s, dash, ts);
	if (prefix_parse(s, &p) != ST_OK)
		return false;
	ts->start = prefix_first(&p);
	ts->end = prefix_last(&p);
	return true;
}

enum status policy_ts_parse(const char *s, struct text *why, struct wire_ts *ret_ts)
{
	struct wire_ts ts = { .port_end = 65535 };
	char addresses[2 * IP_TEXT_MAX];
	size_t n = strcspn(s, "[");
	size_t len = strlen(s);
	enum status st;

	if (n >= sizeof(addresses))
		return refuse(why, "not an address, prefix or range:", bytes_of(s, n));
	memcpy(addresses, s, n);
	addresses[n] = '\0';
	if (!parse_addresses(addresses, &ts))
		return refuse(why, "not an address, prefix or range (host bits must be zero):",
			      bytes_of(s, n));
	if (n < len) {
		if (s[len - 1] != ']')
			return refuse(why, "missing ] in", bytes_str(s));
		st = parse_upper(bytes_of(s + n + 1, len - n - 2), why, &ts);
		if (st != ST_OK)
			return st;
	}
	*ret_ts = ts;
	return ST_OK;
}

/* ---- and back ---- */

static void addresses_text(struct text *t, const struct wire_ts *ts)
{
	char a[IP_TEXT_MAX];
	char b[PREFIX_TEXT_MAX];
	struct prefix p;

	if (policy_ts_prefixes(ts, &p, 1) == 1)
		text_add(t, prefix_text(&p, b));
	else
		text_fmt(t, "%s-%s", ip_text(&ts->start, a), ip_text(&ts->end, b));
}

static void proto_text(struct text *t, const struct wire_ts *ts)
{
	if (ts->proto == PROTO_ICMPV6 && ts->start.family == 6) {
		text_add(t, "icmp");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		/* The word means the other ICMP there. */
		if (protos[i].proto != ts->proto || (i == 0 && ts->start.family == 6))
			continue;
		text_add(t, protos[i].name);
		return;
	}
	text_fmt(t, "%u", ts->proto);
}

static void icmp_text(struct text *t, const struct wire_ts *ts)
{
	unsigned from = ts->port_start;
	unsigned to = ts->port_end;

	if ((from & 255) == 0 && (to & 255) == 255) {
		text_fmt(t, "/%u", from >> 8);
		if (from >> 8 != to >> 8)
			text_fmt(t, "-%u", to >> 8);
		return;
	}
	text_fmt(t, "/%u.%u", from >> 8, from & 255);
	if (from != to)
		text_fmt(t, "-%u.%u", to >> 8, to & 255);
}

static void ports_text(struct text *t, const struct wire_ts *ts)
{
	if (ts->port_start == 65535 && ts->port_end == 0)
		text_add(t, "/opaque");
	else if (is_icmp(ts->proto))
		icmp_text(t, ts);
	else if (ts->port_start == ts->port_end)
		text_fmt(t, "/%u", ts->port_start);
	else
		text_fmt(t, "/%u-%u", ts->port_start, ts->port_end);
}

void policy_ts_text(struct text *t, const struct wire_ts *ts)
{
	bool all_ports = ts->port_start == 0 && ts->port_end == 65535;

	addresses_text(t, ts);
	if (ts->proto == 0 && all_ports)
		return;
	text_add(t, "[");
	proto_text(t, ts);
	if (!all_ports)
		ports_text(t, ts);
	text_add(t, "]");
}

void policy_ts_list_text(struct text *t, const struct wire_ts_list *l)
{
	if (l->n == 0)
		text_add(t, "nothing");
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			text_add(t, ", ");
		policy_ts_text(t, &l->ts[i]);
	}
}
