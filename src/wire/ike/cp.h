/*
 * cp.h - the attributes of a Configuration payload (RFC 7296 section 3.15, RFC 8598 section 4).
 *
 * wire_decode_cp() has checked every length before anybody sees a payload; what is left here is
 * what values mean.  A value that makes no sense, or is one too many, is left out and counted: the
 * payload is a list of suggestions, of which a receiver takes what it can use (section 3.15.1).
 * Whether an address is one that its sender may give is not a matter of the codec.
 */
#pragma once

#include "wire/ike/wire_ike.h"

/* Section 3.15. */
enum wire_cfg_type {
	WIRE_CFG_REQUEST = 1,
	WIRE_CFG_REPLY = 2,
	WIRE_CFG_SET = 3,
	WIRE_CFG_ACK = 4,
};

/* Section 3.15.1, RFC 8598 section 7. */
enum wire_cfg_attribute {
	WIRE_CFG_IP4_ADDRESS = 1,
	WIRE_CFG_IP4_NETMASK = 2,
	WIRE_CFG_IP4_DNS = 3,
	WIRE_CFG_IP4_NBNS = 4,
	WIRE_CFG_IP4_DHCP = 6,
	WIRE_CFG_APPLICATION_VERSION = 7,
	WIRE_CFG_IP6_ADDRESS = 8,
	WIRE_CFG_IP6_DNS = 10,
	WIRE_CFG_IP6_DHCP = 12,
	WIRE_CFG_IP4_SUBNET = 13,
	WIRE_CFG_SUPPORTED_ATTRIBUTES = 14,
	WIRE_CFG_IP6_SUBNET = 15,
	WIRE_CFG_DNS_DOMAIN = 25,
	WIRE_CFG_DNSSEC_TA = 26,
};

/* What is kept of one payload. */
enum wire_cfg_limit {
	WIRE_CFG_ADDRESSES = 4,
	WIRE_CFG_DNS = 8,
	WIRE_CFG_DOMAINS = 16,
	WIRE_CFG_SUBNETS = 32,
	WIRE_CFG_NAME_MAX = 253, /* RFC 1035 section 2.3.4, as text and without the last dot */
};

struct wire_cfg_address {
	struct ip ip;
	uint8_t len; /* of its prefix; IPv4: 32 */
};

struct wire_cfg {
	uint64_t present; /* WIRE_BIT(attribute) of the known ones, empty or not */
	uint64_t empty; /* of those without a value: asked for */
	struct wire_cfg_address addresses[WIRE_CFG_ADDRESSES];
	size_t n_addresses;
	uint8_t netmask; /* its length; 0: none */
	struct ip dns[WIRE_CFG_DNS];
	size_t n_dns;
	/* Views, without a dot at the end: letters, digits, hyphens and underscores in labels. */
	struct bytes domains[WIRE_CFG_DOMAINS];
	size_t n_domains;
	struct prefix subnets[WIRE_CFG_SUBNETS];
	size_t n_subnets;
	size_t trust_anchors; /* of DNSSEC: those with a value, of which none is kept */
	size_t left_out;
};

/* Whether a value may be that long; of an attribute that is not known, any. */
bool wire_cfg_length_ok(unsigned attribute, size_t n);

/* ST_DROP: an attribute is cut off, or has a length that its definition does not know. */
MUST enum status wire_cfg_parse(struct bytes attributes, struct wire_cfg *ret);

/* A name as DNS has them, not the root; with or without a dot at the end. */
bool wire_cfg_name_ok(struct bytes name);

/* Attributes for wire_put_cp(), appended in call order. */
void wire_cfg_put(struct wr *w, enum wire_cfg_attribute attribute, struct bytes value);
void wire_cfg_put_address(struct wr *w, const struct ip *ip);
void wire_cfg_put_dns(struct wr *w, const struct ip *ip);
void wire_cfg_put_subnet(struct wr *w, const struct prefix *p);
/* Those that there are here, as the answer to an empty SUPPORTED_ATTRIBUTES. */
void wire_cfg_put_supported(struct wr *w);
