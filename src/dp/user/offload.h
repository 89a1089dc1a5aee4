/*
 * offload.h - what a network card does for others, done here: virtio-net headers of a TUN device,
 * checksums, segmentation of large packets on the way out and fragmentation where it must be.
 *
 * Pure functions over bytes.
 */
#pragma once

#include "base/base.h"
#include "wire/ip/wire_ip.h"

enum {
	VNET_LEN = 10,
	VNET_NEEDS_CSUM = 1, /* flags */
	VNET_DATA_VALID = 2,
	VNET_GSO_NONE = 0,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	VNET_GSO_UDP_L4 = 5,
	VNET_GSO_ECN = 0x80, /* or'ed: the segments carry CWR only in the first */
};

/* struct virtio_net_hdr, in the byte order of the host: the TUN device speaks that. */
struct vnet {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};

static inline bool vnet_is_gso(const struct vnet *v)
{
	return (v->gso_type & ~VNET_GSO_ECN) != VNET_GSO_NONE;
}

/* ---- checksums, quick ---- */

/* One's complement sum of `b` in host order words, to be added to others (each but the last of
 * even length) and folded. */
uint64_t csum_add(uint64_t sum, struct bytes b);
/* As it stands in memory (host order load and store), not complemented. */
uint16_t csum_fold(uint64_t sum);
/* Of the pseudo-header, for `len` bytes of `proto`. */
uint64_t csum_pseudo(const struct wire_ip *ip, uint8_t proto, size_t len);
/* Whether the TCP or UDP checksum of a packet that is no fragment is right. */
bool csum_ok(struct bytes packet, const struct wire_ip *ip);
/* Fills in what NEEDS_CSUM left open.  ST_DROP when the header points outside the packet. */
MUST enum status vnet_complete(const struct vnet *v, uint8_t *packet, size_t n);

/* ---- segmentation ---- */

/*
 * A large packet on its way to many.  `hdr_len` bytes are repeated before each piece of `size`
 * bytes of the rest, with lengths, numbers, flags and checksums adjusted.
 */
struct gso {
	const uint8_t *packet;
	struct wire_ip ip;
	uint8_t proto; /* TCP or UDP */
	size_t hdr_len;
	size_t size;
	size_t pieces;
};

/* What `v` says about `packet`, held against the packet itself.  Pieces are never longer than the
 * sender asked for; TCP segments also have at most `max` bytes with their headers, while datagrams
 * keep their size, for the caller to look at.  ST_DROP when it makes no sense. */
MUST enum status gso_plan(const struct vnet *v, struct bytes packet, const struct wire_ip *ip,
			  size_t max, struct gso *ret_gso);
/* Writes piece `i` (up to hdr_len + size bytes) and returns its length. */
size_t gso_piece(const struct gso *g, size_t i, uint8_t *ret);

/* ---- IPv4 fragmentation (RFC 791 section 3.2) ---- */

struct frag {
	const uint8_t *packet;
	struct wire_ip ip;
	size_t hdr_len; /* of the first */
	size_t later_hdr_len; /* only the options that are copied */
	size_t size; /* data per fragment, a multiple of 8 */
	size_t pieces;
};

/* ST_DROP when `max` leaves no room for 8 bytes of data. */
MUST enum status frag_plan(struct bytes packet, const struct wire_ip *ip, size_t max,
			   struct frag *ret_frag);
size_t frag_piece(const struct frag *f, size_t i, uint8_t *ret);
