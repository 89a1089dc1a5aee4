/* From the network: what is it, whose is it, is it good. */
#include "dp/user/internal.h"

#include "wire/esp/wire_esp.h"

enum {
	UNKNOWN_SPI_PER_S = 10,
};

/* ---- not for us to open -------------------------------------------------------------------- */

static void to_host(struct queue *q, const struct rx_from *from, struct bytes ike)
{
	struct rx_from *r = ring_put(&q->ike, sizeof(*r) + ike.n);

	count(q, C_RX_IKE, 1);
	if (!r) {
		count(q, C_RX_IKE_LOST, 1);
		return;
	}
	*r = *from;
	if (ike.n)
		memcpy(r + 1, ike.p, ike.n);
	ring_commit(&q->ike);
	q->host_waiting = true;
}

static void unknown_spi(struct queue *q, uint32_t spi, const struct rx_from *from)
{
	const struct dp_report r = {
		.kind = DP_REPORT_UNKNOWN_SPI,
		.u.unknown_spi = { spi, from->local, from->remote },
	};

	count(q, DP_C_RX_UNKNOWN_SPI, 1);
	if (dp_bucket_take(&q->unknown_spi, q->now_ns, UNKNOWN_SPI_PER_S))
		queue_report(q, &r);
}

/* The SA has another owner. */
static void to_owner(struct queue *q, unsigned owner, const struct rx_from *from,
		     const uint8_t *data, size_t n)
{
	struct ring *ring = &q->u->queue[owner].from[q->i];
	struct rx_from *r = ring_put(ring, sizeof(*r) + n);

	count(q, C_RX_STRANGER, 1);
	if (!r) {
		count(q, C_RX_STRANGER_LOST, 1);
		return;
	}
	*r = *from;
	memcpy(r + 1, data, n);
	ring_commit(ring);
	q->poked[owner] = true;
}

/* ---- a batch ------------------------------------------------------------------------------- */

static void refused(struct queue *q, struct child *c, enum esp_fault f)
{
	count(q, DP_C_ESP_RX + f, 1);
	if (f != ESP_F_DUMMY)
		add_relaxed(&c->dropped_in, 1);
}

static void esp_in(struct queue *q, const struct rx_from *from, uint8_t *data, size_t n)
{
	struct rx *rx = &q->rx;
	uint32_t spi = load_be32(data);
	struct child *c = sadb_by_spi(q->u, spi);
	enum esp_fault f;

	if (!c) {
		unknown_spi(q, spi, from);
		return;
	}
	if (c->queue != q->i) {
		to_owner(q, c->queue, from, data, n);
		return;
	}
	if (atomic_load_explicit(&c->dead, memory_order_relaxed)) {
		count(q, DP_C_RX_EXPIRED, 1);
		return;
	}
	if (rx->n == RX_PACKETS)
		rx_flush(q);
	f = esp_in_prepare(c->in, data, n, &rx->packet[rx->n].esp, &rx->op[rx->n]);
	if (f) {
		refused(q, c, f);
		return;
	}
	rx->packet[rx->n].child = c;
	rx->packet[rx->n].from = from;
	rx->n++;
}

void rx_datagram(struct queue *q, const struct rx_from *from, uint8_t *data, size_t n)
{
	enum wire_udp_kind kind;
	enum wire_esp_fault why;
	struct bytes body;

	count(q, C_RX_PACKETS, 1);
	if (wire_udp_demux(bytes_of(data, n), &kind, &body, &why)) {
		count(q, C_RX_BAD, 1);
		return;
	}
	switch (kind) {
	case WIRE_UDP_KEEPALIVE: count(q, C_RX_KEEPALIVE, 1); break;
	case WIRE_UDP_IKE: to_host(q, from, body); break;
	case WIRE_UDP_ESP: esp_in(q, from, data, n); break;
	}
}

/* ---- authenticated packets ----------------------------------------------------------------- */

/* Only the newest packet says where the peer is now: older ones may have been under way since
 * before it moved.  Told once per address. */
static void check_address(struct queue *q, const struct rx_packet *p)
{
	struct child *c = p->child;
	const struct path *path = atomic_load_explicit(&c->path, memory_order_acquire);
	const struct dp_report r = {
		.kind = DP_REPORT_NEW_ADDRESS,
		.u.new_address = { c->id, p->from->local, p->from->remote },
	};

	if (p->esp.seq != esp_in_seq(c->in))
		return;
	if (endpoint_eq(&p->from->remote, &path->remote)) {
		c->reported = (struct endpoint){ 0 };
		return;
	}
	if (!endpoint_eq(&p->from->remote, &c->reported) && queue_report(q, &r))
		c->reported = p->from->remote;
}

/* A report that did not fit is made again with the next packet. */
static void check_proof(struct queue *q, struct child *c)
{
	const struct dp_report r = { .kind = DP_REPORT_CARRIES, .u.carries = { c->id } };

	if (c->proves && queue_report(q, &r))
		c->proves = false;
}

static bool along_path(const struct rx_packet *p)
{
	const struct path *path = atomic_load_explicit(&p->child->path, memory_order_acquire);

	return endpoint_eq(&p->from->remote, &path->remote) &&
	       (ip_is_any(&path->local.ip) || ip_eq(&p->from->local.ip, &path->local.ip));
}

/* RFC 6040 section 4.2; false: to be dropped. */
static bool take_ecn(struct queue *q, const struct rx_packet *p, struct wire_ip *ip)
{
	struct wire_ecn_verdict v = wire_ecn_decap(ip->ds, p->from->ds);

	if (v.alarming)
		count(q, C_RX_ECN_ALARM, 1);
	if (v.drop) {
		count(q, C_RX_ECN_DROP, 1);
		return false;
	}
	if (v.ecn != (ip->ds & WIRE_ECN_MASK)) {
		ip->ds = (uint8_t)((ip->ds & ~WIRE_ECN_MASK) | v.ecn);
		wire_ip_set_ds(p->esp.plain, ip->ds);
	}
	return true;
}

static void accepted(struct queue *q, const struct rx_packet *p, struct wire_ip *ip)
{
	const struct path *path = atomic_load_explicit(&p->child->path, memory_order_acquire);
	size_t max = pmtu_inner(q, path, esp_out_shape(p->child->out));

	if (p->child->flows)
		pair_came(q, p->child, ip);
	child_used(q, p->child, ip);
	if (!take_ecn(q, p, ip))
		return;
	wire_tcp_clamp_mss(p->esp.plain, ip, tun_most(q, max), false);
	tun_deliver(q, p->esp.plain, ip);
}

/* Whether the peer may source it, and may hand it on to us. */
static enum esp_fault may_carry(struct queue *q, const struct child *c, const struct wire_ip *ip)
{
	enum esp_fault f = esp_in_check(c->ts, ip);

	if (f || !c->relayed || esp_in_check(c->relayed, ip) == ESP_OK)
		return f;
	pair_refused(q, c, ip, true);
	return ESP_F_NOT_DIRECT;
}

static enum esp_fault finish(struct queue *q, const struct rx_packet *p, bool authentic,
			     struct wire_ip *ip)
{
	struct bytes inner;
	enum esp_fault f = esp_in_finish(p->child->in, &p->esp, authentic, ip, &inner);

	if (f == ESP_F_AUTH || f == ESP_F_REPLAY || f == ESP_F_OLD)
		return f;
	if (!p->child->told || along_path(p))
		peer_heard(q, p->child, f != ESP_F_DUMMY);
	check_proof(q, p->child);
	check_address(q, p);
	return f ? f : may_carry(q, p->child, ip);
}

/* Accepted packets of one child, counted together. */
struct tally {
	struct child *child;
	uint64_t packets;
	uint64_t bytes;
};

static void tally_up(struct queue *q, struct tally *t)
{
	struct child *c = t->child;

	if (t->packets) {
		uint64_t packets = add_relaxed(&c->packets_in, t->packets);

		child_check_limits(q, c, packets, add_relaxed(&c->bytes_in, t->bytes));
		count(q, DP_C_ESP_RX + ESP_OK, t->packets);
	}
	*t = (struct tally){ 0 };
}

void rx_flush(struct queue *q)
{
	struct rx *rx = &q->rx;
	struct tally t = { 0 };

	bulk_open(rx->op, rx->n);
	for (size_t i = 0; i < rx->n; i++) {
		struct rx_packet *p = &rx->packet[i];
		struct wire_ip ip;
		enum esp_fault f = finish(q, p, rx->op[i].ok, &ip);

		if (f) {
			refused(q, p->child, f);
			continue;
		}
		if (t.child != p->child)
			tally_up(q, &t);
		t.child = p->child;
		t.packets++;
		t.bytes += ip.len;
		accepted(q, p, &ip);
	}
	tally_up(q, &t);
	rx->n = 0;
}

void rx_drain_strangers(struct queue *q)
{
	for (unsigned i = 0; i < q->u->n_queues; i++) {
		struct ring *r = &q->from[i];
		struct rx_from *from;
		size_t n;

		if (i == q->i)
			continue;
		while ((from = ring_next(r, &n)))
			esp_in(q, from, (uint8_t *)(from + 1), n - sizeof(*from));
		rx_flush(q);
		tun_flush(q);
		ring_release(r);
	}
}
