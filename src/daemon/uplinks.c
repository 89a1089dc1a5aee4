#include "daemon/uplinks.h"

#include <stdlib.h>

#include "plat/udp.h"

/* Pairs of addresses that were asked for; a power of two. */
enum { ASKED = 256 };

struct asked {
	struct ip from, to; /* family 0: nothing here */
	int ifindex;
};

struct uplinks {
	struct plat_nl *nl;
	struct outer_addr own[HOSTNET_OUTER_MAX];
	size_t n_own;
	bool several[7]; /* by family: on several devices */
	bool had_several;
	struct asked asked[ASKED];
};

enum status uplinks_new(struct plat_nl *nl, struct uplinks **ret_uplinks)
{
	struct uplinks *u = calloc(1, sizeof(*u));

	if (!u)
		return ST_NOMEM;
	u->nl = nl;
	*ret_uplinks = u;
	return ST_OK;
}

void uplinks_free(struct uplinks *u)
{
	free(u);
}

static bool on_several(const struct uplinks *u, uint8_t family)
{
	int first = 0;

	for (size_t i = 0; i < u->n_own; i++) {
		if (u->own[i].ip.family != family)
			continue;
		if (first && u->own[i].ifindex != first)
			return true;
		first = u->own[i].ifindex;
	}
	return false;
}

void uplinks_changed(struct uplinks *u, const struct outer_addr *v, size_t n)
{
	u->had_several = u->several[4] || u->several[6];
	memcpy(u->own, v, n * sizeof(*v));
	u->n_own = n;
	u->several[4] = on_several(u, 4);
	u->several[6] = on_several(u, 6);
	memset(u->asked, 0, sizeof(u->asked));
}

bool uplinks_several(const struct uplinks *u)
{
	return u->had_several || u->several[4] || u->several[6];
}

static const struct outer_addr *find(const struct uplinks *u, const struct ip *from)
{
	for (size_t i = 0; i < u->n_own; i++)
		if (ip_eq(&u->own[i].ip, from))
			return &u->own[i];
	return NULL;
}

/* Whether its own device is no way round: there is a gateway, or the link itself. */
static bool leads_there(struct uplinks *u, const struct outer_addr *a, const struct ip *to)
{
	/* Of IPv6 the kernel heeds the device only where it may choose the source (plat/udp.h). */
	const struct ip *from = to->family == 4 ? &a->ip : &(struct ip){ 0 };
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	struct plat_path path;

	return plat_route_get_from(u->nl, to, from, a->ifindex, PLAT_MARK, &why, &path) == ST_OK &&
	       path.ifindex == a->ifindex && ip_eq(&path.src, &a->ip) &&
	       (!path.direct || prefix_has(&a->link, to));
}

static int decide(struct uplinks *u, const struct ip *from, const struct ip *to)
{
	const struct outer_addr *a = find(u, from);
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	struct plat_path path;

	if (!a || plat_route_get_from(u->nl, to, from, 0, PLAT_MARK, &why, &path) != ST_OK ||
	    path.local || path.ifindex == a->ifindex)
		return 0;
	return leads_there(u, a, to) ? a->ifindex : 0;
}

/* Of no use to an attacker: what collides is asked for again. */
static size_t place_of(const struct ip *from, const struct ip *to)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < ip_len(from); i++)
		h = (h ^ from->b[i]) * 16777619u;
	for (size_t i = 0; i < ip_len(to); i++)
		h = (h ^ to->b[i]) * 16777619u;
	return h % ASKED;
}

int uplinks_device(struct uplinks *u, const struct ip *from, const struct ip *to)
{
	struct asked *a = &u->asked[place_of(from, to)];

	if (from->family >= ARRAY_LEN(u->several) || !u->several[from->family])
		return 0;
	if (a->from.family == 0 || !ip_eq(&a->from, from) || !ip_eq(&a->to, to))
		*a = (struct asked){ *from, *to, decide(u, from, to) };
	return a->ifindex;
}
