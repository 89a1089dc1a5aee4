/*
 * network.c - our host's addresses and routes, and what follows when they change.
 */
#include "ike/internal.h"

static bool has(const struct ip *v, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&v[i], ip))
			return true;
	return false;
}

void network_changed(struct ike *ike, const struct ip *own, size_t n)
{
	ike->n_own = 0;
	for (size_t i = 0; i < n && ike->n_own < IKE_MAX_OWN; i++)
		if (!ip_is_any(&own[i]) && !has(ike->own, ike->n_own, &own[i]))
			ike->own[ike->n_own++] = own[i];
}
