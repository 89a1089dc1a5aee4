#include "daemon/translate_mesh.h"

/* All that a file may say can be told. */
_Static_assert((int)CONF_HUBS_MAX <= (int)WIRE_MESH_HUBS, "hubs");
_Static_assert((int)CONF_ANNOUNCE_MAX <= (int)WIRE_MESH_HUB_ADDRESSES, "addresses of a hub");
_Static_assert((int)CONF_HUBS_MAX <= (int)MESH_ATTACHED, "hubs at once");
_Static_assert((int)CONF_CANDIDATES_MAX <= (int)WIRE_MESH_CANDIDATES, "candidates");

/* conf_parse() has seen that they are addresses. */
static enum status put_candidates(struct arena *ar, const struct conf_list *from,
				  struct mesh_network *to)
{
	struct ip *ip = arena_new(ar, from->n * sizeof(*ip));

	if (!ip)
		return ST_NOMEM;
	for (size_t i = 0; i < from->n; i++)
		if (ip_parse(from->v[i].s, &ip[i]) != ST_OK)
			return ST_BUG;
	to->candidates = ip;
	to->n_candidates = from->n;
	return ST_OK;
}

/* `sections` are those of role HUB. */
static enum status put_hubs(struct arena *ar, const struct ike_peer_conf *sections, size_t n,
			    struct mesh_network *to)
{
	ike_peer_id *ids = arena_new(ar, n * sizeof(*ids));

	if (!ids)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++)
		ids[i] = sections[i].id;
	to->hubs = ids;
	to->n_hubs = n;
	return ST_OK;
}

/* The hub's section, and those of the others that it is attached to at the same time. */
static enum status put_site(struct arena *ar, const struct conf_network *from,
			    const struct ike_peer_conf *section, size_t others,
			    struct mesh_network *to)
{
	enum status st = put_hubs(ar, section + 1, others, to);

	to->takes = from->shortcuts.take.v == CONF_YES;
	to->max = from->shortcuts.max.v;
	to->trust_hub = from->shortcuts.trust_hub.v == CONF_YES;
	return st == ST_OK ? put_candidates(ar, &from->shortcuts.candidates, to) : st;
}

/* ---- hubs -------------------------------------------------------------------------------- */

static enum mesh_topology topology_of(int t)
{
	switch (t) {
	case CONF_TOPOLOGY_STAR: return MESH_STAR;
	case CONF_TOPOLOGY_MESH: return MESH_FULL;
	default: return MESH_DYNAMIC;
	}
}

static enum status put_group(struct arena *ar, const struct conf_group *from, struct mesh_group *to)
{
	const struct wire_ts_list *ts = &from->networks.ts;
	struct prefix *p = arena_new(ar, ts->n * sizeof(*p));

	if (!p)
		return ST_NOMEM;
	for (size_t i = 0; i < ts->n; i++)
		if (policy_ts_prefixes(&ts->ts[i], &p[i], 1) != 1)
			return ST_BUG;
	*to = (struct mesh_group){ .name = from->name,
				   .identities = from->identities.id,
				   .n_identities = from->identities.list.n,
				   .networks = p,
				   .n_networks = ts->n };
	return ST_OK;
}

static enum status put_groups(struct arena *ar, const struct conf_suggest *from,
			      const struct mesh_group **ret)
{
	struct mesh_group *groups;
	enum status st = ST_OK;
	size_t n = 0;

	for (const struct conf_group *g = from->groups; g; g = g->next)
		n++;
	groups = arena_new(ar, n * sizeof(*groups));
	if (!groups)
		return ST_NOMEM;
	for (const struct conf_group *g = from->groups; g && st == ST_OK; g = g->next)
		st = put_group(ar, g, &groups[g->index]);
	*ret = groups;
	return st;
}

static const struct mesh_group *group_of(const struct mesh_group *groups,
					 const struct conf_group *g)
{
	return g ? &groups[g->index] : NULL;
}

static enum status put_rules(struct arena *ar, const struct conf_suggest *from,
			     struct mesh_network *to)
{
	const struct mesh_group *groups = NULL;
	struct mesh_rule *rules;
	enum status st = put_groups(ar, from, &groups);
	size_t n = 0;

	for (const struct conf_rule *r = from->rules; r; r = r->next)
		n++;
	rules = arena_new(ar, n * sizeof(*rules));
	if (st != ST_OK || !rules)
		return st == ST_OK ? ST_NOMEM : st;
	to->rules = rules;
	to->n_rules = n;
	for (const struct conf_rule *r = from->rules; r; r = r->next)
		*rules++ = (struct mesh_rule){ r->name, group_of(groups, r->group[0]),
					       group_of(groups, r->group[1]),
					       topology_of(r->topology.v) };
	return ST_OK;
}

static enum status put_announce(struct arena *ar, const struct conf_list *from,
				struct mesh_network *to)
{
	const char **v = arena_new(ar, from->n * sizeof(*v));

	if (!v)
		return ST_NOMEM;
	for (size_t i = 0; i < from->n; i++)
		v[i] = from->v[i].s;
	to->announce = v;
	to->n_announce = from->n;
	return ST_OK;
}

static enum status put_hub(struct arena *ar, const struct conf *conf,
			   const struct conf_network *from, const struct conf_network_creds *creds,
			   const struct ike_peer_conf *section, struct mesh_network *to)
{
	const struct conf_suggest *s = &from->suggest;
	enum status st = put_rules(ar, s, to);

	to->topology = topology_of(s->topology.v);
	to->port = (uint16_t)conf->port.v;
	to->after = s->after.v;
	to->idle = s->idle.v;
	to->retry = s->retry.v;
	to->retry_max = s->retry_max.v;
	if (st == ST_OK)
		st = put_announce(ar, &s->announce, to);
	return st == ST_OK ? put_hubs(ar, section + 1, creds->n_hubs, to) : st;
}

/* ---- all of it --------------------------------------------------------------------------- */

enum status translate_mesh(struct arena *ar, const struct conf *conf,
			   const struct conf_creds *creds, struct ike_conf *ike,
			   struct mesh_conf *ret)
{
	struct mesh_network *to = arena_new(ar, conf->n_networks * sizeof(*to));
	const struct ike_peer_conf *section = ike->peers + conf->n_peers;
	enum status st = to ? ST_OK : ST_NOMEM;
	size_t i = 0;

	*ret = (struct mesh_conf){ ike, to, conf->n_networks };
	for (const struct conf_network *n = conf->networks; n && st == ST_OK; n = n->next, i++) {
		const struct conf_network_creds *c = conf_creds_network(creds, i);
		size_t others = translate_others(n, c);

		to[i] = (struct mesh_network){ .name = n->name, .peer = section->id };
		if (c->role == CONF_ROLE_HUB)
			st = put_hub(ar, conf, n, c, section, &to[i]);
		else
			st = put_site(ar, n, section, others, &to[i]);
		section += 1 + others;
	}
	return st;
}
