/*
 * To the protected side.  Consecutive TCP segments, or UDP datagrams, of one flow are written to
 * TUN as one large packet with a virtio-net header that says how to cut it again: the stack then
 * handles fifty of them at the price of one, which is what makes a single flow fast.
 *
 * Joined are only packets whose cutting gives back exactly what came: same headers but for the
 * sequence number (which must follow on), length, checksums and, with DF, the IP identification;
 * no flags but ACK, and PSH on the last; all of one size, the last perhaps shorter.  And only ones
 * whose checksum was right, because the joined packet gets a fresh one: a segment that was damaged
 * before it was encrypted must not be made whole by us.
 *
 * Kernels before 6.2 do not know joined datagrams (VIRTIO_NET_HDR_GSO_UDP_L4) and say so; then each
 * is written by itself, that time and ever after.
 *
 * Order within a flow is kept: whatever cannot join sends first what waits.
 */
#include "dp/user/internal.h"

#include <errno.h>
#include <sys/uio.h>

enum {
	TCP_MIN = 20,
	TCP_SEQ = 4,
	TCP_ACK_SEQ = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CSUM = 16,
	TCP_URGENT = 18,
	TCP_F_PSH = 0x08,
	TCP_F_ACK = 0x10,
	UDP_LEN = 4,
	UDP_CSUM = 6,
	HDR_MAX = WIRE_IP6_HDR_LEN + 60,
	PACKET_MAX = 65535,
};

/* ---- writing ------------------------------------------------------------------------------- */

/* False: the kernel does not take this kind of packet. */
static bool write_parts(struct queue *q, const struct vnet *v, const struct bytes *part,
			size_t parts)
{
	uint8_t hdr[VNET_LEN] = { v->flags, v->gso_type };
	struct iovec iov[2 + FLOW_PIECES];
	size_t n = 0;

	memcpy(hdr + 2, &v->hdr_len, 2);
	memcpy(hdr + 4, &v->gso_size, 2);
	memcpy(hdr + 6, &v->csum_start, 2);
	memcpy(hdr + 8, &v->csum_offset, 2);
	if (!q->u->tun_plain)
		iov[n++] = (struct iovec){ hdr, sizeof(hdr) };
	for (size_t i = 0; i < parts; i++)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)part[i].p, part[i].n };
	count(q, C_TUN_WRITES, 1);
	if (writev(q->tun, iov, (int)n) >= 0)
		return true;
	if (errno == EINVAL && v->gso_type == VNET_GSO_UDP_L4)
		return false;
	count(q, C_TUN_ERROR, 1);
	return true;
}

void tun_write(struct queue *q, const struct vnet *v, const struct bytes *part, size_t parts)
{
	(void)write_parts(q, v, part, parts);
}

static void write_one(struct queue *q, const uint8_t *packet, size_t n, bool checked)
{
	/* What we checked the stack need not check again. */
	const struct vnet v = { .flags = checked ? VNET_DATA_VALID : 0 };
	const struct bytes part = { packet, n };

	tun_write(q, &v, &part, 1);
}

/* ---- flows --------------------------------------------------------------------------------- */

static const uint8_t *upper_of(const uint8_t *packet, const struct wire_ip *ip)
{
	return packet + ip->upper_at;
}

static uint16_t csum_offset(const struct flow *f)
{
	return f->ip.proto == WIRE_IP_TCP ? TCP_CSUM : UDP_CSUM;
}

static uint8_t gso_type(const struct flow *f)
{
	if (f->ip.proto == WIRE_IP_UDP)
		return VNET_GSO_UDP_L4;
	return f->ip.version == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
}

/* The headers of the joined packet: length of all of it, and the pseudo-header's sum in place of
 * the checksum (NEEDS_CSUM). */
static void joined_headers(const struct flow *f, uint8_t *hdr)
{
	size_t len = f->hdr_len + f->payload;
	size_t upper_len = len - f->ip.upper_at;
	uint8_t *upper = hdr + f->ip.upper_at;
	uint16_t sum = csum_fold(csum_pseudo(&f->ip, f->ip.proto, upper_len));

	memcpy(hdr, f->first, f->hdr_len);
	if (f->ip.version == 4) {
		uint16_t old = load_be16(hdr + 2);

		store_be16(hdr + 2, (uint16_t)len);
		store_be16(hdr + 10, wire_checksum_adjust(load_be16(hdr + 10), old, (uint16_t)len));
	} else {
		store_be16(hdr + 4, (uint16_t)(len - WIRE_IP6_HDR_LEN));
	}
	if (f->push)
		upper[TCP_FLAGS] |= TCP_F_PSH;
	if (f->ip.proto == WIRE_IP_UDP)
		store_be16(upper + UDP_LEN, (uint16_t)upper_len);
	memcpy(upper + csum_offset(f), &sum, sizeof(sum));
}

/* Every piece still has its own headers in front of it. */
static void write_pieces(struct queue *q, const struct flow *f)
{
	for (size_t i = 0; i < f->pieces; i++)
		write_one(q, f->piece[i].p - f->hdr_len, f->hdr_len + f->piece[i].n, true);
}

static bool write_joined(struct queue *q, const struct flow *f)
{
	uint8_t hdr[HDR_MAX];
	struct bytes part[1 + FLOW_PIECES];
	struct vnet v = { .flags = VNET_NEEDS_CSUM,
			  .gso_type = gso_type(f),
			  .hdr_len = (uint16_t)f->hdr_len,
			  .gso_size = (uint16_t)f->size,
			  .csum_start = f->ip.upper_at,
			  .csum_offset = csum_offset(f) };

	joined_headers(f, hdr);
	part[0] = bytes_of(hdr, f->hdr_len);
	memcpy(part + 1, f->piece, f->pieces * sizeof(part[0]));
	return write_parts(q, &v, part, f->pieces + 1);
}

static void flow_flush(struct queue *q, struct flow *f)
{
	if (!f->used)
		return;
	f->used = false;
	if (f->pieces == 1) {
		write_pieces(q, f);
	} else if (write_joined(q, f)) {
		count(q, C_TUN_COALESCED, f->pieces - 1);
	} else {
		atomic_store_explicit(&q->u->no_uso, true, memory_order_relaxed);
		write_pieces(q, f);
	}
}

static bool same_flow(const struct flow *f, const struct wire_ip *ip)
{
	return f->used && f->ip.sport == ip->sport && f->ip.dport == ip->dport &&
	       f->ip.proto == ip->proto && ip_eq(&f->ip.src, &ip->src) &&
	       ip_eq(&f->ip.dst, &ip->dst);
}

static struct flow *flow_of(struct queue *q, const struct wire_ip *ip)
{
	for (size_t i = 0; i < FLOWS; i++)
		if (same_flow(&q->rx.flow[i], ip))
			return &q->rx.flow[i];
	return NULL;
}

/* Length of the TCP header if nothing in it forbids to join, else 0. */
static size_t tcp_joinable(const uint8_t *tcp, size_t n)
{
	size_t hdr;

	if (n < TCP_MIN)
		return 0;
	hdr = (size_t)(tcp[TCP_OFFSET] >> 4) * 4;
	if (hdr < TCP_MIN || hdr > n || (tcp[TCP_FLAGS] & ~TCP_F_PSH) != TCP_F_ACK ||
	    load_be16(tcp + TCP_URGENT))
		return 0;
	return hdr;
}

/* No checksum would become one. */
static size_t udp_joinable(const struct queue *q, const uint8_t *udp, size_t n)
{
	if (atomic_load_explicit(&q->u->no_uso, memory_order_relaxed) || n < UDP_HDR_LEN ||
	    load_be16(udp + UDP_LEN) != n || load_be16(udp + UDP_CSUM) == 0)
		return 0;
	return UDP_HDR_LEN;
}

/* Length of the headers of a packet that may be joined with others, else 0. */
static size_t joinable(const struct queue *q, const uint8_t *packet, const struct wire_ip *ip)
{
	size_t plain = ip->version == 4 ? WIRE_IP4_HDR_LEN : WIRE_IP6_HDR_LEN;
	const uint8_t *upper = upper_of(packet, ip);
	size_t n = ip->len - ip->upper_at;
	size_t hdr;

	if (q->u->tun_plain || wire_ip_is_fragment(ip) || ip->upper_at != plain)
		return 0;
	hdr = ip->proto == WIRE_IP_TCP ? tcp_joinable(upper, n) : udp_joinable(q, upper, n);
	if (!hdr || hdr == n)
		return 0;
	return csum_ok(bytes_of(packet, ip->len), ip) ? plain + hdr : 0;
}

static bool same_ip_header(const struct flow *f, const uint8_t *packet, const struct wire_ip *ip)
{
	uint16_t id;

	if (f->ip.ds != ip->ds || f->ip.ttl != ip->ttl)
		return false;
	if (ip->version == 6)
		return memcmp(f->first, packet, 4) == 0; /* flow label */
	/* Cutting counts the identification up; who said DF does not care. */
	id = (uint16_t)(load_be16(f->first + 4) + f->pieces);
	return f->ip.dont_fragment == ip->dont_fragment &&
	       (ip->dont_fragment || load_be16(packet + 4) == id);
}

/* All of the TCP header but PSH and checksum, and the sequence number follows on. */
static bool tcp_follows(const struct flow *f, const uint8_t *packet, const struct wire_ip *ip)
{
	const uint8_t *a = upper_of(f->first, &f->ip);
	const uint8_t *b = upper_of(packet, ip);

	return load_be32(b + TCP_SEQ) == f->next_seq &&
	       memcmp(a + TCP_ACK_SEQ, b + TCP_ACK_SEQ, 5) == 0 &&
	       memcmp(a + TCP_WINDOW, b + TCP_WINDOW, 2) == 0 &&
	       memcmp(a + TCP_MIN, b + TCP_MIN, f->hdr_len - ip->upper_at - TCP_MIN) == 0;
}

static bool follows(const struct flow *f, const uint8_t *packet, const struct wire_ip *ip,
		    size_t hdr_len)
{
	size_t n = ip->len - hdr_len;

	return !f->push && f->payload == f->size * f->pieces && n <= f->size &&
	       f->pieces < FLOW_PIECES && f->hdr_len + f->payload + n <= PACKET_MAX &&
	       f->hdr_len == hdr_len && same_ip_header(f, packet, ip) &&
	       (ip->proto == WIRE_IP_UDP || tcp_follows(f, packet, ip));
}

static void add_piece(struct flow *f, const uint8_t *packet, const struct wire_ip *ip)
{
	const uint8_t *upper = upper_of(packet, ip);
	size_t n = ip->len - f->hdr_len;

	f->piece[f->pieces++] = bytes_of(packet + f->hdr_len, n);
	f->payload += n;
	if (ip->proto == WIRE_IP_UDP)
		return;
	f->next_seq = load_be32(upper + TCP_SEQ) + (uint32_t)n;
	f->push = upper[TCP_FLAGS] & TCP_F_PSH;
}

static void flow_begin(struct queue *q, struct flow *f, const uint8_t *packet,
		       const struct wire_ip *ip, size_t hdr_len)
{
	if (!f) {
		f = &q->rx.flow[q->rx.next_victim++ % FLOWS];
		flow_flush(q, f);
	}
	f->used = true;
	f->ip = *ip;
	f->first = packet;
	f->hdr_len = hdr_len;
	f->size = ip->len - hdr_len;
	f->payload = 0;
	f->pieces = 0;
	f->push = false;
	add_piece(f, packet, ip);
}

void tun_deliver(struct queue *q, uint8_t *packet, const struct wire_ip *ip)
{
	struct flow *f;
	size_t hdr_len;

	if (!ip->has_proto || (ip->proto != WIRE_IP_TCP && ip->proto != WIRE_IP_UDP)) {
		write_one(q, packet, ip->len, false);
		return;
	}
	f = flow_of(q, ip);
	hdr_len = joinable(q, packet, ip);
	if (f && hdr_len && follows(f, packet, ip, hdr_len)) {
		add_piece(f, packet, ip);
		return;
	}
	if (f)
		flow_flush(q, f);
	if (hdr_len)
		flow_begin(q, f, packet, ip, hdr_len);
	else
		write_one(q, packet, ip->len, false);
}

void tun_flush(struct queue *q)
{
	for (size_t i = 0; i < FLOWS; i++)
		flow_flush(q, &q->rx.flow[i]);
	q->rx.next_victim = 0;
}
