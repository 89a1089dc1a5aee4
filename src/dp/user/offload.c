#include "dp/user/offload.h"

enum {
	IP4_ID = 4,
	IP4_FRAG = 6,
	IP4_CSUM = 10,
	IP4_MF = 0x2000,
	TCP_SEQ = 4,
	TCP_FLAGS = 13,
	TCP_CSUM = 16,
	TCP_MIN = 20,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
	UDP_LEN = 4,
	UDP_CSUM = 6,
	UDP_HDR = 8,
};

/* ---- checksums ----------------------------------------------------------------------------- */

static uint64_t add_carry(uint64_t sum, uint64_t w)
{
	sum += w;
	return sum + (sum < w);
}

static uint64_t load_word(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* The sum does not depend on the order of bytes within words (RFC 1071 section 2 (B)), nor on the
 * width of the words, as long as carries come back in at the bottom.  Four sums side by side,
 * because each addition has to wait for the one before it. */
uint64_t csum_add(uint64_t sum, struct bytes b)
{
	uint64_t s1 = 0;
	uint64_t s2 = 0;
	uint64_t s3 = 0;

	for (; b.n >= 32; b = bytes_of(b.p + 32, b.n - 32)) {
		sum = add_carry(sum, load_word(b.p));
		s1 = add_carry(s1, load_word(b.p + 8));
		s2 = add_carry(s2, load_word(b.p + 16));
		s3 = add_carry(s3, load_word(b.p + 24));
	}
	sum = add_carry(add_carry(sum, s1), add_carry(s2, s3));
	for (; b.n >= 8; b = bytes_of(b.p + 8, b.n - 8))
		sum = add_carry(sum, load_word(b.p));
	if (b.n) {
		uint8_t rest[8] = { 0 };

		memcpy(rest, b.p, b.n);
		sum = add_carry(sum, load_word(rest));
	}
	return sum;
}

uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t csum_pseudo(const struct wire_ip *ip, uint8_t proto, size_t len)
{
	uint8_t tail[8];
	uint64_t sum = csum_add(0, ip_raw(&ip->src));

	store_be32(tail, (uint32_t)len);
	store_be32(tail + 4, proto);
	sum = csum_fold(csum_add(sum, ip_raw(&ip->dst)));
	return csum_add(sum, BYTES_OF(tail));
}

static void put_csum(uint8_t *at, uint64_t sum)
{
	uint16_t c = (uint16_t)~csum_fold(sum);

	memcpy(at, &c, sizeof(c));
}

bool csum_ok(struct bytes packet, const struct wire_ip *ip)
{
	struct bytes upper = bytes_of(packet.p + ip->upper_at, ip->len - ip->upper_at);

	/* A UDP checksum of zero means none (IPv4). */
	if (ip->proto == WIRE_IP_UDP && upper.n >= UDP_HDR && load_be16(upper.p + UDP_CSUM) == 0)
		return ip->version == 4;
	return csum_fold(csum_add(csum_pseudo(ip, ip->proto, upper.n), upper)) == 0xffff;
}

enum status vnet_complete(const struct vnet *v, uint8_t *packet, size_t n)
{
	size_t at = (size_t)v->csum_start + v->csum_offset;
	uint16_t c;

	if (!(v->flags & VNET_NEEDS_CSUM))
		return ST_OK;
	if (v->csum_start > n || n < 2 || at > n - 2)
		return ST_DROP;
	/* The field holds the pseudo-header's sum already, so it takes part. */
	c = (uint16_t)~csum_fold(csum_add(0, bytes_of(packet + v->csum_start, n - v->csum_start)));
	/* UDP: zero would mean "no checksum"; the other zero has the same value. */
	if (c == 0 && v->csum_offset == UDP_CSUM)
		c = UINT16_MAX;
	memcpy(packet + at, &c, sizeof(c));
	return ST_OK;
}

/* ---- segmentation -------------------------------------------------------------------------- */

static bool type_fits(uint8_t gso_type, const struct wire_ip *ip)
{
	switch (gso_type & ~VNET_GSO_ECN) {
	case VNET_GSO_TCPV4: return ip->version == 4 && ip->proto == WIRE_IP_TCP;
	case VNET_GSO_TCPV6: return ip->version == 6 && ip->proto == WIRE_IP_TCP;
	case VNET_GSO_UDP_L4: return ip->proto == WIRE_IP_UDP;
	default: return false;
	}
}

/* Of IP and transport, 0 when they are not all there. */
static size_t headers(struct bytes packet, const struct wire_ip *ip)
{
	size_t left = ip->len - ip->upper_at;
	size_t n = UDP_HDR;

	if (ip->proto == WIRE_IP_TCP) {
		if (left < TCP_MIN)
			return 0;
		n = (size_t)(packet.p[ip->upper_at + 12] >> 4) * 4;
		if (n < TCP_MIN)
			return 0;
	}
	return n > left ? 0 : ip->upper_at + n;
}

/* A datagram keeps its borders, so UDP is never cut smaller than its sender cut it. */
enum status gso_plan(const struct vnet *v, struct bytes packet, const struct wire_ip *ip,
		     size_t max, struct gso *ret_gso)
{
	struct gso g = { .packet = packet.p, .ip = *ip, .proto = ip->proto, .size = v->gso_size };
	size_t rest;

	if (!ip->has_proto || wire_ip_is_fragment(ip) || !type_fits(v->gso_type, ip))
		return ST_DROP;
	g.hdr_len = headers(packet, ip);
	if (!g.hdr_len || max <= g.hdr_len || g.size == 0)
		return ST_DROP;
	if (ip->proto == WIRE_IP_TCP && g.size > max - g.hdr_len)
		g.size = max - g.hdr_len;
	rest = ip->len - g.hdr_len;
	g.pieces = rest ? (rest + g.size - 1) / g.size : 1;
	*ret_gso = g;
	return ST_OK;
}

static void fix_ip(const struct wire_ip *ip, uint8_t *p, size_t len, uint16_t id_plus)
{
	uint16_t id;

	if (ip->version == 6) {
		store_be16(p + 4, (uint16_t)(len - WIRE_IP6_HDR_LEN));
		return;
	}
	id = (uint16_t)(load_be16(p + IP4_ID) + id_plus);
	store_be16(p + 2, (uint16_t)len);
	store_be16(p + IP4_ID, id);
	memset(p + IP4_CSUM, 0, 2);
	put_csum(p + IP4_CSUM, csum_add(0, bytes_of(p, (size_t)(p[0] & 15) * 4)));
}

/* FIN and PSH belong to the last byte, CWR to the first segment (RFC 3168 section 6.1.2). */
static void fix_tcp(const struct gso *g, uint8_t *tcp, size_t i)
{
	store_be32(tcp + TCP_SEQ, load_be32(tcp + TCP_SEQ) + (uint32_t)(i * g->size));
	if (i + 1 < g->pieces)
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (i > 0)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
}

size_t gso_piece(const struct gso *g, size_t i, uint8_t *ret)
{
	size_t at = g->hdr_len + i * g->size;
	size_t n = g->ip.len - at < g->size ? g->ip.len - at : g->size;
	size_t upper = g->hdr_len + n - g->ip.upper_at;
	uint8_t *l4 = ret + g->ip.upper_at;
	size_t csum = TCP_CSUM;

	memcpy(ret, g->packet, g->hdr_len);
	memcpy(ret + g->hdr_len, g->packet + at, n);
	fix_ip(&g->ip, ret, g->hdr_len + n, (uint16_t)i);
	if (g->proto == WIRE_IP_TCP) {
		fix_tcp(g, l4, i);
	} else {
		store_be16(l4 + UDP_LEN, (uint16_t)upper);
		csum = UDP_CSUM;
	}
	memset(l4 + csum, 0, 2);
	put_csum(l4 + csum, csum_add(csum_pseudo(&g->ip, g->proto, upper), bytes_of(l4, upper)));
	if (g->proto == WIRE_IP_UDP && load_be16(l4 + csum) == 0)
		store_be16(l4 + csum, UINT16_MAX);
	return g->hdr_len + n;
}

/* ---- fragmentation ------------------------------------------------------------------------- */

/* The options of `hdr` that go into every fragment (bit 7 of the type), at `ret` when not NULL;
 * returns their length, padded to 4.  A malformed option ends the list. */
static size_t copied_options(const uint8_t *hdr, size_t hdr_len, uint8_t *ret)
{
	size_t at = WIRE_IP4_HDR_LEN;
	size_t n = 0;

	while (at < hdr_len && hdr[at] != 0) {
		size_t len = 1;

		if (hdr[at] != 1) {
			len = hdr_len - at < 2 ? 0 : hdr[at + 1];
			if (len < 2 || len > hdr_len - at)
				break;
		}
		if (hdr[at] & 0x80) {
			if (ret)
				memcpy(ret + n, hdr + at, len);
			n += len;
		}
		at += len;
	}
	for (; n % 4; n++)
		if (ret)
			ret[n] = 0;
	return n;
}

enum status frag_plan(struct bytes packet, const struct wire_ip *ip, size_t max,
		      struct frag *ret_frag)
{
	struct frag f = { .packet = packet.p, .ip = *ip };
	size_t data;

	if (ip->version != 4 || ip->dont_fragment)
		return ST_DROP;
	f.hdr_len = ip->upper_at;
	f.later_hdr_len = WIRE_IP4_HDR_LEN + copied_options(packet.p, f.hdr_len, NULL);
	if (max < f.hdr_len + 8)
		return ST_DROP;
	f.size = (max - f.hdr_len) & ~(size_t)7;
	data = ip->len - f.hdr_len;
	f.pieces = data ? (data + f.size - 1) / f.size : 1;
	*ret_frag = f;
	return ST_OK;
}

size_t frag_piece(const struct frag *f, size_t i, uint8_t *ret)
{
	size_t hdr = i ? f->later_hdr_len : f->hdr_len;
	size_t off = i * f->size;
	size_t left = f->ip.len - f->hdr_len - off;
	size_t n = left < f->size ? left : f->size;
	bool more = f->ip.more_fragments || i + 1 < f->pieces;

	memcpy(ret, f->packet, i ? WIRE_IP4_HDR_LEN : hdr);
	if (i) {
		copied_options(f->packet, f->hdr_len, ret + WIRE_IP4_HDR_LEN);
		ret[0] = (uint8_t)(0x40 | hdr / 4);
	}
	memcpy(ret + hdr, f->packet + f->hdr_len + off, n);
	store_be16(ret + IP4_FRAG, (uint16_t)((f->ip.frag_off + off) / 8 | (more ? IP4_MF : 0)));
	fix_ip(&f->ip, ret, hdr + n, 0);
	return hdr + n;
}
