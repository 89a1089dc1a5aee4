#include "wire/ike/cp.h"

/* ---- lengths ------------------------------------------------------------------------------ */

enum { ANY = 0xffff };

/* Lengths that a value may have if it is there at all; 0 is allowed for every one of them, as in a
 * request (INTERNAL_IP6_SUBNET too: others ask for it so, and it says nothing). */
static const struct {
	uint16_t attribute;
	uint16_t min, max;
	uint16_t multiple;
} rules[] = {
	{ WIRE_CFG_IP4_ADDRESS, 4, 4, 1 },
	{ WIRE_CFG_IP4_NETMASK, 4, 4, 1 },
	{ WIRE_CFG_IP4_DNS, 4, 4, 1 },
	{ WIRE_CFG_IP4_NBNS, 4, 4, 1 },
	{ WIRE_CFG_IP4_DHCP, 4, 4, 1 },
	{ WIRE_CFG_APPLICATION_VERSION, 0, ANY, 1 },
	/* Sixteen: without the length of its prefix, from who reads RFC 4306's table so. */
	{ WIRE_CFG_IP6_ADDRESS, 16, 17, 1 },
	{ WIRE_CFG_IP6_DNS, 16, 16, 1 },
	{ WIRE_CFG_IP6_DHCP, 16, 16, 1 },
	{ WIRE_CFG_IP4_SUBNET, 8, 8, 1 },
	{ WIRE_CFG_SUPPORTED_ATTRIBUTES, 0, ANY, 2 },
	{ WIRE_CFG_IP6_SUBNET, 17, 17, 1 },
	{ WIRE_CFG_DNS_DOMAIN, 0, ANY, 1 },
	{ WIRE_CFG_DNSSEC_TA, 5, ANY, 1 }, /* RFC 8598 section 4.2 */
};

bool wire_cfg_length_ok(unsigned attribute, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].attribute == attribute)
			return n == 0 || (n >= rules[i].min && n <= rules[i].max &&
					  n % rules[i].multiple == 0);
	return true;
}

static bool is_known(unsigned attribute)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].attribute == attribute)
			return true;
	return false;
}

/* ---- names -------------------------------------------------------------------------------- */

static bool is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static bool label_ok(struct bytes l)
{
	if (l.n == 0 || l.n > 63 || l.p[0] == '-' || l.p[l.n - 1] == '-')
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (!is_name_byte(l.p[i]))
			return false;
	return true;
}

static struct bytes without_dot(struct bytes name)
{
	return name.n && name.p[name.n - 1] == '.' ? bytes_of(name.p, name.n - 1) : name;
}

bool wire_cfg_name_ok(struct bytes name)
{
	struct bytes rest = without_dot(name);

	if (rest.n == 0 || rest.n > WIRE_CFG_NAME_MAX)
		return false;
	for (;;) {
		const uint8_t *dot = memchr(rest.p, '.', rest.n);
		size_t n = dot ? (size_t)(dot - rest.p) : rest.n;

		if (!label_ok(bytes_of(rest.p, n)))
			return false;
		if (!dot)
			return true;
		rest = bytes_of(dot + 1, rest.n - n - 1);
	}
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A netmask must be ones and then zeros. */
static bool mask_length(struct bytes mask, uint8_t *ret)
{
	uint32_t m = load_be32(mask.p), inverse = ~m;
	uint8_t n = 0;

	if (inverse & (inverse + 1))
		return false;
	for (; m; m <<= 1)
		n++;
	*ret = n;
	return true;
}

static bool take_address(struct wire_cfg *c, struct bytes v)
{
	size_t bits = v.n == 4 ? 32 : 128;
	size_t len = v.n == 17 ? v.p[16] : bits;

	if (c->n_addresses == WIRE_CFG_ADDRESSES || len > bits)
		return false;
	c->addresses[c->n_addresses++] =
		(struct wire_cfg_address){ ip_from_raw(bytes_of(v.p, v.n == 4 ? 4 : 16)),
					   (uint8_t)len };
	return true;
}

static bool take_dns(struct wire_cfg *c, struct bytes v)
{
	if (c->n_dns == WIRE_CFG_DNS)
		return false;
	c->dns[c->n_dns++] = ip_from_raw(v);
	return true;
}

/* Bits behind the prefix mean nothing. */
static bool take_subnet(struct wire_cfg *c, struct bytes v)
{
	size_t n = v.n == 8 ? 4 : 16;
	struct ip ip = ip_from_raw(bytes_of(v.p, n));
	uint8_t len = v.n == 17 ? v.p[16] : 0;

	if (c->n_subnets == WIRE_CFG_SUBNETS)
		return false;
	if (n == 4 ? !mask_length(bytes_of(v.p + 4, 4), &len) : len > 128)
		return false;
	c->subnets[c->n_subnets++] = prefix_of(&ip, len);
	return true;
}

static bool take_domain(struct wire_cfg *c, struct bytes v)
{
	if (c->n_domains == WIRE_CFG_DOMAINS || !wire_cfg_name_ok(v))
		return false;
	c->domains[c->n_domains++] = without_dot(v);
	return true;
}

/* False: it is left out. */
static bool take(struct wire_cfg *c, unsigned attribute, struct bytes v)
{
	switch (attribute) {
	case WIRE_CFG_IP4_ADDRESS:
	case WIRE_CFG_IP6_ADDRESS: return take_address(c, v);
	case WIRE_CFG_IP4_NETMASK: return mask_length(v, &c->netmask);
	case WIRE_CFG_IP4_DNS:
	case WIRE_CFG_IP6_DNS: return take_dns(c, v);
	case WIRE_CFG_IP4_SUBNET:
	case WIRE_CFG_IP6_SUBNET: return take_subnet(c, v);
	case WIRE_CFG_DNS_DOMAIN: return take_domain(c, v);
	case WIRE_CFG_DNSSEC_TA: c->trust_anchors++; return true;
	default: return true; /* nobody reads its value */
	}
}

enum status wire_cfg_parse(struct bytes attributes, struct wire_cfg *ret)
{
	struct cur c = cur_of(attributes);
	struct wire_cfg cfg = { 0 };

	while (cur_left(&c)) {
		unsigned attribute = cur_u16(&c) & 0x7fff; /* the first bit is reserved */
		struct bytes v = cur_take(&c, cur_u16(&c));

		if (c.err || !wire_cfg_length_ok(attribute, v.n))
			return ST_DROP;
		if (!is_known(attribute))
			continue;
		cfg.present |= WIRE_BIT(attribute);
		if (v.n == 0)
			cfg.empty |= WIRE_BIT(attribute);
		else if (!take(&cfg, attribute, v))
			cfg.left_out++;
	}
	*ret = cfg;
	return ST_OK;
}

/* ---- writing ------------------------------------------------------------------------------ */

void wire_cfg_put(struct wr *w, enum wire_cfg_attribute attribute, struct bytes value)
{
	if (value.n > UINT16_MAX)
		w->err = true;
	wr_u16(w, (uint16_t)attribute);
	wr_u16(w, (uint16_t)value.n);
	wr_put(w, value);
}

/* One address on no link: all of its bits are prefix. */
void wire_cfg_put_address(struct wr *w, const struct ip *ip)
{
	uint8_t raw[17] = { 0 };

	memcpy(raw, ip->b, 16);
	raw[16] = 128;
	if (ip->family == 4)
		wire_cfg_put(w, WIRE_CFG_IP4_ADDRESS, ip_raw(ip));
	else
		wire_cfg_put(w, WIRE_CFG_IP6_ADDRESS, BYTES_OF(raw));
}

void wire_cfg_put_dns(struct wr *w, const struct ip *ip)
{
	wire_cfg_put(w, ip->family == 4 ? WIRE_CFG_IP4_DNS : WIRE_CFG_IP6_DNS, ip_raw(ip));
}

void wire_cfg_put_subnet(struct wr *w, const struct prefix *p)
{
	uint8_t raw[17] = { 0 };

	memcpy(raw, p->ip.b, 16);
	if (p->ip.family == 4) {
		store_be32(raw + 4, p->len ? UINT32_MAX << (32 - p->len) : 0);
		wire_cfg_put(w, WIRE_CFG_IP4_SUBNET, bytes_of(raw, 8));
	} else {
		raw[16] = p->len;
		wire_cfg_put(w, WIRE_CFG_IP6_SUBNET, BYTES_OF(raw));
	}
}

void wire_cfg_put_supported(struct wr *w)
{
	uint8_t raw[2 * ARRAY_LEN(rules)];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		store_be16(raw + 2 * i, rules[i].attribute);
	wire_cfg_put(w, WIRE_CFG_SUPPORTED_ATTRIBUTES, BYTES_OF(raw));
}
