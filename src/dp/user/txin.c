/* From the protected side: which child, and in which pieces. */
#include "dp/user/internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	ICMP_PER_S = 1000, /* answers to our own side; the limit is against loops */
	PROHIBITED_PER_S = 100, /* apart, so that what is refused leaves room for path MTUs */
};

/* ---- packets without an SA ----------------------------------------------------------------- */

static void report_acquire(struct queue *q, struct peer *p, const struct wire_ip *ip)
{
	const struct dp_report r = { .kind = DP_REPORT_ACQUIRE,
				     .u.acquire = { .peer = p->id,
						    .src = ip->src,
						    .dst = ip->dst,
						    .proto = ip->proto,
						    .sport = ip->sport,
						    .dport = ip->dport } };
	int64_t not_before = atomic_load_explicit(&p->acquire_ns, memory_order_relaxed);
	int64_t next = q->now_ns + dur_ms(DP_ACQUIRE_INTERVAL_MS).ns;

	if (q->now_ns < not_before)
		return;
	/* Of several queues with the same thought one reports. */
	if (!atomic_compare_exchange_strong_explicit(&p->acquire_ns, &not_before, next,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	if (!queue_report(q, &r))
		atomic_store_explicit(&p->acquire_ns, 0, memory_order_relaxed);
}

/* What was held for too long makes room.  With the peer's lock. */
static struct held *take_stale(struct queue *q, struct peer *p, dur_t most)
{
	struct held *stale = NULL, **end = &stale, *h;

	while ((h = p->held) && q->now_ns - h->since_ns > most.ns) {
		p->held = h->next;
		if (!p->held)
			p->held_tail = &p->held;
		p->n_held--;
		p->held_bytes -= h->n;
		h->next = NULL;
		*end = h;
		end = &h->next;
		count(q, DP_C_TX_NO_SA, 1);
	}
	return stale;
}

static void drop_stale(struct queue *q, struct peer *p)
{
	struct held *h = take_stale(q, p, dur_s(HELD_S));

	while (h) {
		struct held *next = h->next;

		mem_free(q->u->mem, h);
		h = next;
	}
}

/* With the peer's lock. */
static bool append_held(struct queue *q, struct peer *p, const struct vnet *v,
			const uint8_t *packet, const struct wire_ip *ip)
{
	struct held *h;
	size_t n = ip->len;

	drop_stale(q, p);
	if (p->n_held == DP_HELD_PACKETS || p->held_bytes + n > HELD_BYTES)
		return false;
	h = mem_new(q->u->mem, sizeof(*h) + n);
	if (!h) {
		count(q, C_NO_MEMORY, 1);
		return false;
	}
	h->since_ns = q->now_ns;
	h->dst = ip->dst;
	h->n = n;
	h->vnet = *v;
	memcpy(h->data, packet, n);
	*p->held_tail = h;
	p->held_tail = &h->next;
	p->n_held++;
	p->held_bytes += n;
	return true;
}

/* Keeps the packet until there is an SA.  One may have come since we looked: it is published
 * before its packets are collected under the same lock, so that it is either seen here or collects
 * this packet.  True when it is there, and the packet was not kept. */
static bool hold(struct queue *q, struct peer *p, const struct vnet *v, const uint8_t *packet,
		 const struct wire_ip *ip)
{
	struct peer *trap;
	bool kept = false;
	bool have;

	pthread_mutex_lock(&p->lock);
	have = sadb_sender(q->u, ip, &trap) != NULL;
	if (!have)
		kept = append_held(q, p, v, packet, ip);
	pthread_mutex_unlock(&p->lock);
	if (have)
		return true;
	if (!kept)
		count(q, DP_C_TX_NO_SA, 1);
	report_acquire(q, p, ip);
	return false;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* The answer comes from where the packet was going: that address is routed to us, so it is one the
 * sender believes, and we need none of our own. */
static void answer(struct queue *q, enum wire_icmp_kind kind, size_t mtu, const uint8_t *packet,
		   const struct wire_ip *ip)
{
	static const struct vnet plain = { 0 };
	bool big = kind == WIRE_ICMP_TOO_BIG;
	uint8_t buf[WIRE_ICMP_MAX];
	struct bytes icmp;

	if (!dp_bucket_take(big ? &q->icmp : &q->prohibited, q->now_ns,
			    big ? ICMP_PER_S : PROHIBITED_PER_S)) {
		count(q, C_ICMP_LIMITED, 1);
		return;
	}
	if (wire_icmp_error(kind, (uint32_t)mtu, bytes_of(packet, ip->len), ip, &ip->dst, buf,
			    sizeof(buf), &icmp))
		return;
	count(q, C_ICMP_SENT, 1);
	tun_write(q, &plain, &icmp, 1);
}

/* RFC 4301 section 8.2.1, cases 1 and 3. */
static void answer_too_big(struct queue *q, const uint8_t *packet, const struct wire_ip *ip,
			   size_t max)
{
	count(q, C_TX_TOO_BIG, 1);
	if (ip->version == 6 && max < WIRE_IP6_MIN_MTU)
		max = WIRE_IP6_MIN_MTU;
	answer(q, WIRE_ICMP_TOO_BIG, max, packet, ip);
}

/* Default discard; the sender is told, and need not wait (RFC 4301 section 5.1.1, case a). */
static void discard(struct queue *q, const uint8_t *packet, const struct wire_ip *ip)
{
	count(q, DP_C_TX_DISCARD, 1);
	answer(q, WIRE_ICMP_PROHIBITED, 0, packet, ip);
}

/* It would go to and fro: for its sender nobody has that address. */
static void reflected(struct queue *q, const uint8_t *packet, const struct wire_ip *ip)
{
	count(q, DP_C_TX_REFLECTED, 1);
	answer(q, WIRE_ICMP_UNREACHABLE, 0, packet, ip);
}

/* ---- what must not be relayed -------------------------------------------------------------- */

static bool may_relay(const struct child *c, const struct wire_ip *ip)
{
	return !c->relayed || esp_ts_match_out(c->relayed, ip);
}

/* With the peer's lock. */
static unsigned held_for(const struct peer *p, const struct ip *dst)
{
	unsigned n = 0;

	for (const struct held *h = p->held; h; h = h->next)
		n += ip_eq(&h->dst, dst);
	return n;
}

/* Those who waited in vain hear of it. */
static void answer_stale(struct queue *q, struct held *h)
{
	while (h) {
		struct held *next = h->next;
		enum wire_ip_fault why;
		struct wire_ip ip;

		if (wire_ip_parse(bytes_of(h->data, h->n), &ip, &why) == ST_OK)
			answer(q, WIRE_ICMP_PROHIBITED, 0, h->data, &ip);
		mem_free(q->u->mem, h);
		h = next;
	}
}

/* Keeps it until somebody takes it who is not told to refuse it, as hold() does.  The child that
 * is there by now; NULL: it was kept, or dropped. */
static struct child *refuse(struct queue *q, struct child *c, const struct vnet *v,
			    const uint8_t *packet, const struct wire_ip *ip)
{
	struct peer *p = c->peer, *trap;
	struct held *stale;
	bool kept = false;
	struct child *now;

	pthread_mutex_lock(&p->lock);
	now = sadb_sender(q->u, ip, &trap);
	stale = take_stale(q, p, dur_s(DP_HELD_DIRECT_S));
	if (now && !may_relay(now, ip))
		now = NULL;
	if (!now && held_for(p, &ip->dst) < DP_HELD_DIRECT)
		kept = append_held(q, p, v, packet, ip);
	pthread_mutex_unlock(&p->lock);
	answer_stale(q, stale);
	if (now)
		return now;
	count(q, DP_C_TX_NOT_DIRECT, 1);
	if (!kept) {
		count(q, DP_C_TX_NO_SA, 1);
		answer(q, WIRE_ICMP_PROHIBITED, 0, packet, ip);
	}
	pair_refused(q, c, ip, false);
	return NULL;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Where a packet goes and how large its pieces may be. */
struct way {
	struct child *child;
	const struct path *path;
	size_t max;
};

static void send_whole(struct queue *q, const struct way *w, const uint8_t *packet,
		       const struct wire_ip *ip, bool fragment)
{
	memcpy(tx_room(q, w->child, ip->len), packet, ip->len);
	tx_commit(q, w->child, w->path, ip, ip->len, fragment);
}

/* RFC 4301 section 8.2.1, case 2: before encryption. */
static void send_fragments(struct queue *q, const struct way *w, const uint8_t *packet,
			   const struct wire_ip *ip)
{
	struct frag f;

	if (frag_plan(bytes_of(packet, ip->len), ip, w->max, &f)) {
		answer_too_big(q, packet, ip, w->max);
		return;
	}
	count(q, C_TX_FRAGMENTED, 1);
	for (size_t i = 0; i < f.pieces; i++) {
		uint8_t *room = tx_room(q, w->child, f.hdr_len + f.size);

		tx_commit(q, w->child, w->path, ip, frag_piece(&f, i, room), false);
	}
}

/* A later fragment shows no ports, and the peer takes none where the selectors ask for them. */
static bool takes_fragments(const struct child *c, const struct wire_ip *ip)
{
	struct wire_ip later = *ip;

	later.has_ports = false;
	return esp_ts_match_out(c->ts, &later);
}

/* Too long for the way, and its sender lets us cut it: before encryption if the peer takes the
 * pieces, else after (RFC 4301 section 7). */
static void cut(struct queue *q, const struct way *w, const uint8_t *packet,
		const struct wire_ip *ip)
{
	if (takes_fragments(w->child, ip))
		send_fragments(q, w, packet, ip);
	else
		send_whole(q, w, packet, ip, true);
}

static void send_one(struct queue *q, const struct way *w, const uint8_t *packet,
		     const struct wire_ip *ip)
{
	if (ip->len <= w->max)
		send_whole(q, w, packet, ip, false);
	else if (ip->version == 6 && ip->len <= WIRE_IP6_MIN_MTU)
		send_whole(q, w, packet, ip, true);
	else if (ip->dont_fragment)
		answer_too_big(q, packet, ip, w->max);
	else
		cut(q, w, packet, ip);
}

/* Datagrams that do not fit one by one: each is a packet of its own now. */
static void send_datagrams(struct queue *q, const struct way *w, const struct gso *g)
{
	for (size_t i = 0; i < g->pieces; i++) {
		size_t n = gso_piece(g, i, q->tx.scratch);
		enum wire_ip_fault why;
		struct wire_ip ip;

		if (wire_ip_parse(bytes_of(q->tx.scratch, n), &ip, &why) == ST_OK)
			send_one(q, w, q->tx.scratch, &ip);
	}
}

static void send_gso(struct queue *q, const struct way *w, const struct vnet *v,
		     const uint8_t *packet, const struct wire_ip *ip)
{
	struct gso g;

	if (gso_plan(v, bytes_of(packet, ip->len), ip, w->max, &g)) {
		count(q, C_TX_BAD, 1);
		return;
	}
	if (g.hdr_len + g.size > w->max) {
		send_datagrams(q, w, &g);
		return;
	}
	for (size_t i = 0; i < g.pieces; i++) {
		uint8_t *room = tx_room(q, w->child, g.hdr_len + g.size);

		tx_commit(q, w->child, w->path, ip, gso_piece(&g, i, room), false);
	}
}

static void send_by(struct queue *q, struct child *c, const struct vnet *v, uint8_t *packet,
		    const struct wire_ip *ip)
{
	struct way w = { .child = c, .path = atomic_load_explicit(&c->path, memory_order_acquire) };

	w.max = pmtu_inner(q, w.path, esp_out_shape(c->out));
	pmtu_used(q, c, w.path, packet, ip);
	if (vnet_is_gso(v)) {
		send_gso(q, &w, v, packet, ip);
		return;
	}
	if (vnet_complete(v, packet, ip->len)) {
		count(q, C_TX_BAD, 1);
		return;
	}
	wire_tcp_clamp_mss(packet, ip, tun_most(q, w.max), false);
	send_one(q, &w, packet, ip);
}

void tx_packet_in(struct queue *q, const struct vnet *v, uint8_t *packet, size_t n)
{
	struct peer *trap;
	struct child *c;
	struct wire_ip ip;
	enum wire_ip_fault why;

	if (wire_ip_parse(bytes_of(packet, n), &ip, &why)) {
		count(q, C_TX_BAD, 1);
		return;
	}
	c = sadb_sender(q->u, &ip, &trap);
	if (!c && trap && hold(q, trap, v, packet, &ip))
		c = sadb_sender(q->u, &ip, &trap);
	else if (!c && trap)
		return;
	if (c && !may_relay(c, &ip)) {
		c = refuse(q, c, v, packet, &ip);
		if (!c)
			return;
	}
	if (!c) {
		discard(q, packet, &ip);
	} else if (c->flows && !pair_may_leave(q, c, &ip)) {
		reflected(q, packet, &ip);
	} else {
		child_used(q, c, &ip);
		send_by(q, c, v, packet, &ip);
	}
}

/* ---- sources ------------------------------------------------------------------------------- */

/* Length of the next packet, perhaps 0; -1: none. */
static ssize_t read_tun(struct queue *q, struct vnet *v)
{
	uint8_t hdr[VNET_LEN];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { q->tx.read_buf, RX_BUFFER } };
	ssize_t n;

	*v = (struct vnet){ 0 };
	n = q->u->tun_plain ? read(q->tun, q->tx.read_buf, RX_BUFFER) : readv(q->tun, iov, 2);
	if (n == 0)
		errno = ENODEV; /* the other end of what stands for a device closed it */
	if (n <= 0 || q->u->tun_plain)
		return n ? n : -1;
	if (n < VNET_LEN)
		return 0;
	v->flags = hdr[0];
	v->gso_type = hdr[1];
	memcpy(&v->hdr_len, hdr + 2, 2);
	memcpy(&v->gso_size, hdr + 4, 2);
	memcpy(&v->csum_start, hdr + 6, 2);
	memcpy(&v->csum_offset, hdr + 8, 2);
	return n - VNET_LEN;
}

/* A device that is gone would wake us for ever. */
static void tun_failed(struct queue *q, int err)
{
	if (err == EAGAIN || err == EINTR)
		return;
	count(q, C_TUN_ERROR, 1);
	if (err == EBADFD || err == ENODEV || err == EBADF)
		epoll_ctl(q->epoll, EPOLL_CTL_DEL, q->tun, NULL);
}

void tx_drain_tun(struct queue *q)
{
	for (unsigned i = 0; i < TX_READS; i++) {
		struct vnet v;
		ssize_t n = read_tun(q, &v);

		if (n < 0) {
			tun_failed(q, errno);
			break;
		}
		tx_packet_in(q, &v, q->tx.read_buf, (size_t)n);
	}
	tx_flush(q);
}

/* The child may have gone meanwhile. */
static void send_dummy(struct queue *q, uint32_t spi)
{
	struct child *c = sadb_by_spi(q->u, spi);

	if (c && !atomic_load_explicit(&c->dead, memory_order_relaxed))
		tx_dummy(q, c);
}

void tx_drain_control(struct queue *q)
{
	struct control *r;
	size_t n;

	while ((r = ring_next(&q->control, &n))) {
		if (r->dummy_on)
			send_dummy(q, r->dummy_on);
		else
			tx_packet_in(q, &r->vnet, (uint8_t *)(r + 1), n - sizeof(*r));
	}
	tx_flush(q);
	ring_release(&q->control);
}
