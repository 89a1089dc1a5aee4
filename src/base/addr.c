#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

struct ip ip_from_raw(struct bytes raw)
{
	struct ip a = { 0 };

	if (raw.n != 4 && raw.n != 16)
		return a;
	a.family = raw.n == 4 ? 4 : 6;
	memcpy(a.b, raw.p, raw.n);
	return a;
}

int ip_cmp(const struct ip *a, const struct ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, ip_len(a));
}

bool ip_is_any(const struct ip *a)
{
	static const uint8_t zero[16];

	return a->family != 0 && memcmp(a->b, zero, ip_len(a)) == 0;
}

bool ip_is_link_local(const struct ip *a)
{
	if (a->family == 4)
		return a->b[0] == 169 && a->b[1] == 254;
	return a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool ip_is_host(const struct ip *a)
{
	static const struct prefix none[] = {
		{ { 4, { 0 } }, 8 },          { { 4, { 127 } }, 8 },
		{ { 4, { 224 } }, 4 },        { { 4, { 255, 255, 255, 255 } }, 32 },
		{ { 6, { 0 } }, 128 },        { { 6, { [15] = 1 } }, 128 },
		{ { 6, { [0] = 0xff } }, 8 }, { { 6, { [10] = 0xff, [11] = 0xff } }, 96 },
	};

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (prefix_has(&none[i], a))
			return false;
	return a->family != 0;
}

/* ---- names -------------------------------------------------------------------------------- */

enum {
	HOST_MAX = 253, /* RFC 1035 section 2.3.4, without the dot at the end */
	LABEL_MAX = 63,
};

static bool is_label(struct bytes s)
{
	if (s.n == 0 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i] | 0x20;

		if (!(c >= 'a' && c <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' &&
		    s.p[i] != '_')
			return false;
	}
	return true;
}

bool host_name_ok(struct bytes s)
{
	struct bytes label = { NULL, 0 };
	bool digits_only = true;

	if (s.n > 1 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n > HOST_MAX)
		return false;
	for (size_t i = 0, start = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '.')
			continue;
		label = bytes_of(s.p + start, i - start);
		if (!is_label(label))
			return false;
		start = i + 1;
	}
	for (size_t i = 0; i < label.n; i++)
		digits_only = digits_only && label.p[i] >= '0' && label.p[i] <= '9';
	return !digits_only;
}

struct ip ip_next(const struct ip *a)
{
	struct ip r = *a;

	for (size_t i = ip_len(a); i-- > 0;)
		if (++r.b[i] != 0)
			break;
	return r;
}

struct ip ip_prev(const struct ip *a)
{
	struct ip r = *a;

	for (size_t i = ip_len(a); i-- > 0;)
		if (r.b[i]-- != 0)
			break;
	return r;
}

/* The bits of byte `i` that a prefix of `len` bits covers. */
static uint8_t mask_byte(unsigned len, size_t i)
{
	if (len >= 8 * (i + 1))
		return 0xff;
	if (len <= 8 * i)
		return 0;
	return (uint8_t)(0xff << (8 - (len - 8 * i)));
}

struct ip prefix_first(const struct prefix *p)
{
	struct ip r = p->ip;

	for (size_t i = 0; i < ip_len(&r); i++)
		r.b[i] &= mask_byte(p->len, i);
	return r;
}

struct ip prefix_last(const struct prefix *p)
{
	struct ip r = p->ip;

	for (size_t i = 0; i < ip_len(&r); i++)
		r.b[i] |= (uint8_t)~mask_byte(p->len, i);
	return r;
}

bool prefix_has(const struct prefix *p, const struct ip *a)
{
	if (p->ip.family == 0 || a->family != p->ip.family)
		return false;
	for (size_t i = 0; i < ip_len(a); i++)
		if ((p->ip.b[i] ^ a->b[i]) & mask_byte(p->len, i))
			return false;
	return true;
}

bool prefix_eq(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && ip_eq(&a->ip, &b->ip);
}

struct prefix prefix_of(const struct ip *a, unsigned len)
{
	unsigned max = ip_bits(a);
	struct prefix p = { *a, (uint8_t)(len < max ? len : max) };

	p.ip = prefix_first(&p);
	return p;
}

enum status ip_parse(const char *s, struct ip *ret_ip)
{
	struct ip a = { 0 };

	if (inet_pton(AF_INET, s, a.b) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, s, a.b) == 1)
		a.family = 6;
	else
		return ST_INVAL;
	*ret_ip = a;
	return ST_OK;
}

/* Decimal without sign, blank or leading zero, at most `max`. */
static bool parse_len(const char *s, unsigned max, unsigned *ret_len)
{
	unsigned v = 0;

	if (*s == '\0' || (s[0] == '0' && s[1] != '\0'))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned)(*s - '0');
		if (v > max)
			return false;
	}
	*ret_len = v;
	return true;
}

enum status prefix_parse(const char *s, struct prefix *ret_prefix)
{
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	char host[IP_TEXT_MAX];
	struct prefix p;
	struct ip a;
	unsigned len;

	if (n >= sizeof(host))
		return ST_INVAL;
	memcpy(host, s, n);
	host[n] = '\0';
	if (ip_parse(host, &a) != ST_OK)
		return ST_INVAL;
	len = ip_bits(&a);
	if (slash && !parse_len(slash + 1, ip_bits(&a), &len))
		return ST_INVAL;
	p = prefix_of(&a, len);
	if (!ip_eq(&p.ip, &a))
		return ST_INVAL;
	*ret_prefix = p;
	return ST_OK;
}

const char *ip_text(const struct ip *a, char buf[static IP_TEXT_MAX])
{
	if (a->family == 0)
		return memcpy(buf, "none", 5);
	return inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, buf, IP_TEXT_MAX);
}

const char *endpoint_text(const struct endpoint *e, char buf[static ENDPOINT_TEXT_MAX])
{
	char host[IP_TEXT_MAX];

	ip_text(&e->ip, host);
	if (e->ip.family == 6)
		snprintf(buf, ENDPOINT_TEXT_MAX, "[%s]:%u", host, e->port);
	else
		snprintf(buf, ENDPOINT_TEXT_MAX, "%s:%u", host, e->port);
	return buf;
}

const char *prefix_text(const struct prefix *p, char buf[static PREFIX_TEXT_MAX])
{
	char host[IP_TEXT_MAX];

	snprintf(buf, PREFIX_TEXT_MAX, "%s/%u", ip_text(&p->ip, host), p->len);
	return buf;
}
