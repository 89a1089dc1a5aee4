/*
 * Path MTU (RFC 4301 section 8.2, RFC 1191, RFC 8201).
 *
 * Tunnel packets carry DF, and the kernel's own estimate is off (IP_PMTUDISC_PROBE), so this is
 * the only one.  It is learnt from the error queue of the sockets: from our own stack, which is
 * right, and from ICMP, which anybody can forge; that may only lower the estimate, not below what
 * every network carries, and it is forgotten after ten minutes.
 *
 * An IPv6 packet of up to 1280 bytes must get through any link, and its sender would not believe
 * otherwise; where the path is too narrow for it in one piece, the outer packet may be fragmented
 * (RFC 4459 section 3.1).  Everything else is answered or cut before it is encrypted, but for the
 * packets by which our own stack told us: they are sealed already and go in fragments.
 */
#include "dp/user/internal.h"

enum {
	FLOOR_IP4 = 576, /* RFC 791 section 3.2: every host takes that much */
	FLOOR_IP6 = 1280,
	FLOOR_OURS = 296, /* of our own stack we believe what leaves room for anything */
	MTU_MAX = 65535,
	REPORTS_PER_S = 10,
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

	if (mtu > now)
		return false;
	atomic_store_explicit(&p->mtu, mtu, memory_order_relaxed);
	/* Who sees how long it counts sees what. */
	atomic_store_explicit(&p->until_ns, q->now_ns + dur_s(DP_PMTU_EXPIRY_S).ns,
			      memory_order_release);
	return mtu < now;
}

void pmtu_learn(struct queue *q, const struct endpoint *remote, uint32_t mtu, uint32_t size,
		bool ours)
{
	struct user *u = q->u;
	struct dp_report r = { .kind = DP_REPORT_PMTU, .u.pmtu = { .remote = *remote } };
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
	if (!bucket_take(&q->pmtu, q->now_ns, REPORTS_PER_S))
		return;
	r.u.pmtu.mtu = (uint16_t)mtu;
	queue_report(q, &r);
}
