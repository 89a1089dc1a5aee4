/*
 * topology.c - may these two have a tunnel of their own?
 *
 * Pure: rules, groups and what the directory knows of the two.  The first rule that is about the
 * pair counts, whichever way round; without one, what the network says.
 */
#include "mesh/hub.h"

static bool is_in(const struct prefix *p, const struct wire_ts *ts)
{
	struct ip first = prefix_first(p), last = prefix_last(p);

	return p->ip.family == ts->start.family && ip_cmp(&first, &ts->end) <= 0 &&
	       ip_cmp(&ts->start, &last) <= 0;
}

static bool serves_of(const struct entry *e, const struct prefix *p)
{
	for (size_t a = 0; a < IKE_AUTHORITIES; a++)
		for (size_t i = 0; i < e->ts[a].n; i++)
			if (is_in(p, &e->ts[a].ts[i]))
				return true;
	return false;
}

/* NULL is everybody. */
static bool belongs(const struct mesh_group *g, const struct entry *e)
{
	if (!g)
		return true;
	for (size_t i = 0; i < g->n_identities; i++)
		if (policy_ident_match(&g->identities[i], &e->ident))
			return true;
	for (size_t i = 0; i < g->n_networks; i++)
		if (serves_of(e, &g->networks[i]))
			return true;
	return false;
}

static bool is_about(const struct mesh_rule *r, const struct entry *a, const struct entry *b)
{
	return (belongs(r->a, a) && belongs(r->b, b)) || (belongs(r->a, b) && belongs(r->b, a));
}

enum mesh_topology topology_of(const struct mesh_network *conf, const struct entry *a,
			       const struct entry *b, const char **ret_rule)
{
	for (size_t i = 0; i < conf->n_rules; i++)
		if (is_about(&conf->rules[i], a, b)) {
			*ret_rule = conf->rules[i].name;
			return conf->rules[i].topology;
		}
	*ret_rule = NULL;
	return conf->topology;
}

bool topology_full(const struct mesh_network *conf)
{
	for (size_t i = 0; i < conf->n_rules; i++)
		if (conf->rules[i].topology == MESH_FULL)
			return true;
	return conf->topology == MESH_FULL;
}
