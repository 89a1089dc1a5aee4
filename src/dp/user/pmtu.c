/*
 * Path MTU (RFC 4301 section 8.2, RFC 1191, RFC 8201, RFC 8899).
 *
 * Tunnel packets carry DF, and the kernel's own estimate is off (IP_PMTUDISC_PROBE), so this is
 * the only one.  It is learnt from the error queue of the sockets: from our own stack, which is
 * right, and from ICMP, which anybody can forge; that may only lower the estimate, not below what
 * every network carries, and it is forgotten after ten minutes.  And from probes of the engine,
 * since ICMP may be filtered: what they found holds until they find something else.
 *
 * Whoever sends nothing large needs no probes, so packets ask for them: a large one, or the SYN of
 * a connection, when nothing was found in the last ten minutes; any, when the network said
 * something.  And a large TCP segment that is sent again for the second time with nothing of its
 * flow in between, which is what a sender does whom nobody acknowledges: either the path carries
 * nothing, which others find out, or nothing of that size any more.  Until probes say otherwise,
 * packets go as large as the device makes them: most paths carry that.
 *
 * An IPv6 packet of up to 1280 bytes must get through any link, and its sender would not believe
 * otherwise; where the path is too narrow for it in one piece, the outer packet may be fragmented
 * (RFC 4459 section 3.1).  Everything else is answered or cut before it is encrypted, but for what
 * is sealed already when we learn of the path - the packet that our own stack refuses, and what
 * stands behind it in the batch: that goes in fragments, none of it is lost.
 */
#include "dp/user/internal.h"

enum {
	FLOOR_IP4 = 576, /* RFC 791 section 3.2: every host takes that much */
	FLOOR_IP6 = 1280,
	FLOOR_OURS = 296, /* of our own stack we believe what leaves room for anything */
	MTU_MAX = 65535,
	REPORTS_PER_S = 10,
	TCP_SEQ = 4,
	TCP_FLAGS = 13,
	TCP_MIN = 20,
	TCP_SYN = 0x02,
};

static size_t outer_headers(const struct ip *ip)
{
	return (ip->family == 4 ? WIRE_IP4_HDR_LEN : WIRE_IP6_HDR_LEN) + UDP_HDR_LEN;
}

static bool eq(const struct map_node *node, const void *key)
{
	const struct pmtu *p = CONTAINER_OF((struct map_node *)(uintptr_t)node, struct pmtu, node);

	return ip_eq(&p->ip, key);
}

static struct pmtu *find(const struct user *u, const struct ip *ip, uint64_t *ret_hash)
{
	struct map_node *n;

	*ret_hash = map_hash(&u->pmtus, ip_raw(ip));
	n = map_find(&u->pmtus, *ret_hash, eq, ip);
	return n ? CONTAINER_OF(n, struct pmtu, node) : NULL;
}

enum status pmtu_ref(struct user *u, const struct ip *ip, struct pmtu **ret_pmtu)
{
	struct pmtu *p;
	uint64_t hash;

	pthread_mutex_lock(&u->pmtu_lock);
	p = find(u, ip, &hash);
	if (!p) {
		p = mem_new(u->mem, sizeof(*p));
		if (p) {
			p->ip = *ip;
			atomic_init(&p->mtu, MTU_MAX);
			map_insert(&u->pmtus, &p->node, hash);
		}
	}
	if (p)
		p->refs++;
	pthread_mutex_unlock(&u->pmtu_lock);
	if (!p)
		return ST_NOMEM;
	*ret_pmtu = p;
	return ST_OK;
}

void pmtu_unref(struct user *u, struct pmtu *p)
{
	pthread_mutex_lock(&u->pmtu_lock);
	if (--p->refs == 0) {
		map_remove(&u->pmtus, &p->node);
		mem_free(u->mem, p);
	}
	pthread_mutex_unlock(&u->pmtu_lock);
}

static uint32_t current(const struct pmtu *p, int64_t now_ns)
{
	if (atomic_load_explicit(&p->until_ns, memory_order_acquire) <= now_ns)
		return MTU_MAX;
	return atomic_load_explicit(&p->mtu, memory_order_relaxed);
}

uint32_t pmtu_outer(const struct queue *q, const struct path *p)
{
	return current(p->pmtu, q->now_ns);
}

size_t pmtu_inner(const struct queue *q, const struct path *p, const struct esp_shape *shape)
{
	return esp_inner_max(shape, current(p->pmtu, q->now_ns) - outer_headers(&p->remote.ip));
}

/* The next smaller size that is common (after RFC 1191 section 7.1), for a router that only says
 * "too big". */
static uint32_t plateau(uint32_t size)
{
	static const uint16_t sizes[] = { 32000, 17914, 9000, 8166, 4352, 2002,
					  1492,  1400,  1280, 1006, 576,  296 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (sizes[i] < size)
			return sizes[i];
	return sizes[ARRAY_LEN(sizes) - 1];
}

static uint32_t believable(const struct ip *ip, uint32_t mtu, bool ours)
{
	uint32_t floor = ours ? FLOOR_OURS : ip->family == 4 ? FLOOR_IP4 : FLOOR_IP6;

	return mtu < floor ? floor : mtu;
}

static bool lower(struct queue *q, struct pmtu *p, uint32_t mtu)
{
	uint32_t now = current(p, q->now_ns);
	int64_t until = q->now_ns + dur_s(DP_PMTU_EXPIRY_S).ns;

	/* What probes found holds longer, and no less because somebody says the same. */
	if (mtu > now ||
	    (mtu == now && atomic_load_explicit(&p->until_ns, memory_order_relaxed) > until))
		return false;
	atomic_store_explicit(&p->mtu, mtu, memory_order_relaxed);
	/* Who sees how long it counts sees what. */
	atomic_store_explicit(&p->until_ns, until, memory_order_release);
	if (mtu == now)
		return false;
	atomic_store_explicit(&p->doubt, true, memory_order_relaxed);
	atomic_store_explicit(&p->ask_ns, 0, memory_order_relaxed);
	return true;
}

void pmtu_learn(struct queue *q, const struct endpoint *remote, uint32_t mtu, uint32_t size,
		bool ours)
{
	struct user *u = q->u;
	struct dp_report r = { .kind = DP_REPORT_PMTU,
			       .u.pmtu = { .remote = *remote, .ours = ours } };
	struct pmtu *p;
	uint64_t hash;
	bool lowered = true; /* nobody sends ESP there; IKE does on the same socket */

	mtu = believable(&remote->ip, mtu ? mtu : plateau(size), ours);
	pthread_mutex_lock(&u->pmtu_lock);
	p = find(u, &remote->ip, &hash);
	if (p)
		lowered = lower(q, p, mtu);
	pthread_mutex_unlock(&u->pmtu_lock);
	if (!lowered) {
		count(q, C_PMTU_IGNORED, 1);
		return;
	}
	count(q, C_PMTU_LEARNT, 1);
	/* Forged messages can go down by one each time: that must not keep other reports out. */
	if (!dp_bucket_take(&q->pmtu, q->now_ns, REPORTS_PER_S))
		return;
	r.u.pmtu.mtu = (uint16_t)mtu;
	queue_report(q, &r);
}

/* ---- probes -------------------------------------------------------------------------------- */

static void set_known(struct pmtu *p, uint32_t mtu, int64_t until_ns, int64_t ask_ns)
{
	atomic_store_explicit(&p->doubt, false, memory_order_relaxed);
	atomic_store_explicit(&p->ask_ns, ask_ns, memory_order_relaxed);
	atomic_store_explicit(&p->mtu, mtu, memory_order_relaxed);
	atomic_store_explicit(&p->until_ns, until_ns, memory_order_release);
}

void pmtu_forget(struct user *u, struct pmtu *p)
{
	pthread_mutex_lock(&u->pmtu_lock);
	set_known(p, MTU_MAX, 0, 0);
	pthread_mutex_unlock(&u->pmtu_lock);
}

void pmtu_found(struct user *u, const struct ip *ip, uint16_t mtu)
{
	struct pmtu *p;
	uint64_t hash;

	pthread_mutex_lock(&u->pmtu_lock);
	p = find(u, ip, &hash);
	if (p && mtu)
		set_known(p, mtu < FLOOR_OURS ? FLOOR_OURS : mtu, INT64_MAX,
			  user_clock_ns() + dur_s(DP_PMTU_EXPIRY_S).ns);
	else if (p)
		set_known(p, MTU_MAX, 0, 0);
	pthread_mutex_unlock(&u->pmtu_lock);
}

/* Of several queues with the same thought one reports. */
static bool my_turn(const struct queue *q, _Atomic int64_t *not_before)
{
	int64_t before = atomic_load_explicit(not_before, memory_order_relaxed);

	return q->now_ns >= before &&
	       atomic_compare_exchange_strong_explicit(not_before, &before,
						       q->now_ns + dur_ms(DP_PROBE_INTERVAL_MS).ns,
						       memory_order_relaxed, memory_order_relaxed);
}

static uint16_t as_u16(size_t n)
{
	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

/* What the device makes of its largest packet. */
static void ask(struct queue *q, const struct child *c, const struct path *p, bool stalled)
{
	size_t most = outer_headers(&p->remote.ip) + esp_size(esp_out_shape(c->out), tun_mtu(q));
	const size_t now = current(p->pmtu, q->now_ns);
	const struct dp_report r = { .kind = DP_REPORT_PROBE,
				     .u.probe = { .id = c->id,
						  .most = as_u16(most),
						  .now = as_u16(now < most ? now : most),
						  .stalled = stalled } };

	if (most > DP_PMTU_BASE && my_turn(q, stalled ? &p->pmtu->stall_ns : &p->pmtu->ask_ns) &&
	    queue_report(q, &r))
		count(q, stalled ? C_PMTU_STALLED : C_PMTU_ASKED, 1);
}

static const uint8_t *tcp_of(const uint8_t *packet, const struct wire_ip *ip)
{
	bool tcp = ip->has_ports && ip->proto == WIRE_IP_TCP &&
		   (size_t)ip->upper_at + TCP_MIN <= ip->len;

	return tcp ? packet + ip->upper_at : NULL;
}

/* Collisions only let a stall go unnoticed. */
static bool stalls(struct queue *q, const uint8_t *tcp, const struct wire_ip *ip)
{
	size_t tail = ip->version == 4 ? 0 : 12;
	uint32_t flow = (load_be32(ip->src.b + tail) * 31 + load_be32(ip->dst.b + tail)) * 31 +
			load_be32(tcp);
	struct stall *s = &q->stall[(flow * 2654435761u) % STALLS];
	uint32_t seq = load_be32(tcp + TCP_SEQ);

	if (s->flow != flow || s->seq != seq)
		*s = (struct stall){ flow, seq, 0 };
	else
		s->repeats++;
	return s->repeats >= STALL_REPEATS;
}

void pmtu_used(struct queue *q, const struct child *c, const struct path *p, const uint8_t *packet,
	       const struct wire_ip *ip)
{
	bool due = q->now_ns >= atomic_load_explicit(&p->pmtu->ask_ns, memory_order_relaxed);
	const uint8_t *tcp = tcp_of(packet, ip);
	bool large;

	if (!due && !tcp)
		return;
	large = outer_headers(&p->remote.ip) + esp_size(esp_out_shape(c->out), ip->len) >
		DP_PMTU_BASE;
	if (due && (large || (tcp && tcp[TCP_FLAGS] & TCP_SYN) ||
		    atomic_load_explicit(&p->pmtu->doubt, memory_order_relaxed)))
		ask(q, c, p, false);
	else if (large && tcp && stalls(q, tcp, ip))
		ask(q, c, p, true);
}
