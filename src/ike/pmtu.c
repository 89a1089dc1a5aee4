/*
 * pmtu.c - how large the IP packets are that carry IKE fragments (RFC 7383 section 2.5.1).
 *
 * Three sources, the smallest counts: what is known of the path to an address; what tries in vain
 * came to (section 2.5.2, send.c); and what a request came in, for the response to it. Without
 * any it is IKE_PACKET_USUAL.
 *
 * What is known of an address, of at most IKE_MAX_PATHS of them and for ten minutes: what the data
 * plane, or ICMP about our IKE packets, told; or what probes found (mtu_search.c).  ICMP can be
 * forged: it makes packets smaller, not below what every network carries (that is its reader's
 * duty), and is forgotten, or found out.
 */
#include "ike/internal.h"

static bool same_ip(const struct map_node *n, const void *key)
{
	return ip_eq(&CONTAINER_OF(n, const struct path_mtu, by_addr)->ip, key);
}

static uint64_t hash_of(const struct ike *ike, const struct ip *ip)
{
	return map_hash(&ike->path_mtus.map, ip_raw(ip));
}

static struct path_mtu *find(const struct ike *ike, const struct ip *ip)
{
	struct map_node *n = map_find(&ike->path_mtus.map, hash_of(ike, ip), same_ip, ip);

	return n ? CONTAINER_OF(n, struct path_mtu, by_addr) : NULL;
}

void path_mtus_init(struct ike *ike, const uint64_t key[2])
{
	map_init(&ike->path_mtus.map, ike->mem, key);
	list_init(&ike->path_mtus.list);
}

static void forget(struct ike *ike, struct path_mtu *p)
{
	map_remove(&ike->path_mtus.map, &p->by_addr);
	list_del(&p->node);
	ike->path_mtus.n--;
	mem_free(ike->mem, p);
}

void path_mtus_done(struct ike *ike)
{
	list_for_each_safe(n, &ike->path_mtus.list)
		forget(ike, CONTAINER_OF(n, struct path_mtu, node));
	map_done(&ike->path_mtus.map);
}

static struct path_mtu *get(struct ike *ike, const struct ip *ip)
{
	struct path_mtu *p = find(ike, ip);

	if (p)
		return p;
	p = mem_new(ike->mem, sizeof(*p));
	if (!p) {
		count(ike, C_NO_MEMORY);
		return NULL;
	}
	if (ike->path_mtus.n == IKE_MAX_PATHS)
		forget(ike, CONTAINER_OF(ike->path_mtus.list.next, struct path_mtu, node));
	p->ip = *ip;
	map_insert(&ike->path_mtus.map, &p->by_addr, hash_of(ike, ip));
	list_add_tail(&ike->path_mtus.list, &p->node);
	ike->path_mtus.n++;
	return p;
}

static bool counts(const struct ike *ike, const struct path_mtu *p)
{
	return p && p->mtu && mono_before(ike->now.mono, p->until);
}

/* Section 2.5.2: who is told so stops sending what does not get there. */
static void shrink_requests(struct ike *ike, const struct ip *remote, size_t mtu, bool ours)
{
	list_for_each_safe(n, &ike->large) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, large);

		/* A probe waits for its answer whatever ICMP says: that may be forged, or about
		 * something else.  One that never left is over. */
		if (ip_eq(&sa->path.remote.ip, remote) && (ours || !sa->win.probe || sa->win.cut) &&
		    msgs_largest(sa->win.request) + path_overhead(&sa->path) > mtu)
			shrink_request(ike, sa);
	}
}

static void set(struct ike *ike, struct path_mtu *p, uint16_t mtu, bool searched)
{
	p->mtu = mtu;
	p->searched = searched;
	p->assumed = false;
	p->until = mono_add(ike->now.mono, dur_s(IKE_PATH_KEEP_S));
	list_del(&p->node);
	list_add_tail(&ike->path_mtus.list, &p->node);
}

void path_mtu_learn(struct ike *ike, const struct ip *remote, uint16_t mtu, bool ours)
{
	struct path_mtu *p = get(ike, remote);

	if (mtu < IKE_PACKET_MIN)
		mtu = IKE_PACKET_MIN;
	if (!p)
		return;
	p->told = mtu;
	if (counts(ike, p) && p->mtu <= mtu)
		return;
	set(ike, p, mtu, false);
	shrink_requests(ike, remote, mtu, ours);
}

struct path_mtu *path_mtu_searched(struct ike *ike, const struct ip *remote, uint16_t mtu)
{
	struct path_mtu *p = get(ike, remote);

	if (!p)
		return NULL;
	set(ike, p, mtu, true);
	p->told = 0;
	return p;
}

struct path_mtu *path_mtu_of(const struct ike *ike, const struct ip *remote)
{
	struct path_mtu *p = find(ike, remote);

	return counts(ike, p) ? p : NULL;
}

void path_mtu_forget(struct ike *ike, const struct ip *remote)
{
	struct path_mtu *p = find(ike, remote);

	if (p)
		forget(ike, p);
}

size_t path_limit(struct ike *ike, const struct path *path)
{
	const struct path_mtu *p = path_mtu_of(ike, &path->remote.ip);
	size_t mtu = p ? p->mtu : IKE_PACKET_USUAL;

	return path->limit && path->limit < mtu ? path->limit : mtu;
}

/* RFC 7383 appendix B: IP without options or extension headers, UDP, perhaps the non-ESP marker. */
size_t path_overhead(const struct path *path)
{
	enum { IP4 = 20, IP6 = 40, UDP = 8, MARKER = 4 };

	return (path->remote.ip.family == 6 ? IP6 : IP4) + UDP + (path->floated ? MARKER : 0);
}
