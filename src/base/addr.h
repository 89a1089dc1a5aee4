/*
 * addr.h - IP addresses, endpoints and prefixes as values.
 *
 * An address carries its family; an IPv4 address uses the first four bytes and the other twelve
 * are zero, so that addresses compare and hash as plain memory.  The unspecified family 0 means
 * "none".  Text forms are those of inet_ntop(3); an endpoint prints as 192.0.2.1:500 or
 * [2001:db8::1]:500, a prefix as 10.0.0.0/8.
 */
#pragma once

#include "base/bytes.h"
#include "base/status.h"

struct ip {
	uint8_t family; /* 4, 6, or 0 for none */
	uint8_t b[16];
};

struct endpoint {
	struct ip ip;
	uint16_t port; /* host order */
};

struct prefix {
	struct ip ip; /* host bits zero */
	uint8_t len;
};

/* Addresses of one family, both ends included. */
struct ip_range {
	struct ip first;
	struct ip last; /* not below `first` */
};

#define IP_TEXT_MAX 46
#define ENDPOINT_TEXT_MAX 56
#define PREFIX_TEXT_MAX 50

/* Length of an address of this family: 4, 16, or 0. */
static inline size_t ip_len(const struct ip *a)
{
	return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

static inline unsigned ip_bits(const struct ip *a)
{
	return (unsigned)ip_len(a) * 8;
}

/* `raw` must be 4 or 16 bytes; anything else gives family 0. */
struct ip ip_from_raw(struct bytes raw);

static inline struct bytes ip_raw(const struct ip *a)
{
	return (struct bytes){ a->b, ip_len(a) };
}

/* By family, then by value: <0, 0, >0. */
int ip_cmp(const struct ip *a, const struct ip *b);

static inline bool ip_eq(const struct ip *a, const struct ip *b)
{
	return ip_cmp(a, b) == 0;
}

static inline bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_eq(&a->ip, &b->ip);
}

bool ip_is_any(const struct ip *a); /* 0.0.0.0 or :: */
bool ip_is_link_local(const struct ip *a); /* 169.254.0.0/16 or fe80::/10 */

/* One that some host may have: not of 0.0.0.0/8, loopback, multicast, broadcast, unspecified, nor
 * IPv4 in the shape of IPv6. */
bool ip_is_host(const struct ip *a);

/* A name as RFC 1123 section 2.1 has it, with the underscore of the field, with or without the dot
 * at the end.  A last label of digits would be a mistyped address. */
bool host_name_ok(struct bytes name);

/* `a` plus or minus one, wrapping; used to walk ranges. */
struct ip ip_next(const struct ip *a);
struct ip ip_prev(const struct ip *a);

/* First and last address of a prefix. */
struct ip prefix_first(const struct prefix *p);
struct ip prefix_last(const struct prefix *p);
bool prefix_has(const struct prefix *p, const struct ip *a);
bool prefix_eq(const struct prefix *a, const struct prefix *b);

/* Clears the host bits; `len` beyond the family's is cut. */
struct prefix prefix_of(const struct ip *a, unsigned len);

/* Parsers take the whole string; ST_INVAL when it is not one. A prefix without /len is a host; host
 * bits set are an error unless `len` covers them. */
MUST enum status ip_parse(const char *s, struct ip *ret_ip);
MUST enum status prefix_parse(const char *s, struct prefix *ret_prefix);

/* Format into `buf` of the *_TEXT_MAX size and return it. */
const char *ip_text(const struct ip *a, char buf[static IP_TEXT_MAX]);
const char *endpoint_text(const struct endpoint *e, char buf[static ENDPOINT_TEXT_MAX]);
const char *prefix_text(const struct prefix *p, char buf[static PREFIX_TEXT_MAX]);
