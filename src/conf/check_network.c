/*
 * check_network.c - networks: what they take from the top level, what each role may say, and that
 * all prefixes lie inside the domain.
 */
#include "conf/internal.h"

/* ---- inheritance ------------------------------------------------------------------------- */

/* A bundle, or certificate, key and trust; `key` alone goes with either.  Anchors bring their CRL
 * along. */
static void inherit(struct conf_network *n, const struct conf *c)
{
	bool own_bundle = given(n->identity.at);
	bool own_certs = given(n->certificate.at) || given(n->trust.at);
	bool anchors = false; /* are the top level's */

	if (!own_bundle && !own_certs && given(c->identity.at)) {
		n->identity = c->identity;
		anchors = true;
	} else if (!own_bundle) {
		if (!given(n->certificate.at) && !given(n->key.at)) {
			n->certificate = c->certificate;
			n->key = c->key;
		}
		anchors = !given(n->trust.at);
		if (anchors)
			n->trust = c->trust;
	}
	/* A bundle has one name. */
	if (!given(n->identity.at) && !given(n->local_id.text.at))
		n->local_id = c->local_id;
	if (anchors && !given(n->crl.at))
		n->crl = c->crl;
}

/* ---- authentication ---------------------------------------------------------------------- */

static void check_bundle(const struct conf_network *n, struct conf_errors *errs)
{
	const struct {
		const char *name;
		struct conf_pos at;
	} other[] = { { "certificate", n->certificate.at }, { "trust", n->trust.at } };

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (given(other[i].at))
			conf_error_add(errs, other[i].at,
				       "network \"%s\" has identity (line %u) and %s, accepted: a "
				       "bundle, or certificate with key and trust",
				       n->name, n->identity.at.line, other[i].name);
}

static void check_certs(const struct conf_network *n, struct conf_errors *errs)
{
	if (!given(n->certificate.at) && !given(n->key.at)) {
		conf_error_add(errs, n->at,
			       "network \"%s\" has no way to authenticate, accepted: identity, or "
			       "certificate with key and trust, here or at the top level",
			       n->name);
		return;
	}
	if (!given(n->key.at))
		conf_error_add(errs, n->certificate.at, "certificate without its key");
	if (!given(n->certificate.at))
		conf_error_add(errs, n->key.at, "key without its certificate or identity");
	if (!given(n->trust.at))
		conf_error_add(errs, n->at,
			       "network \"%s\" has a certificate but no trust, here or at the top "
			       "level: no certificate of the other side would be accepted",
			       n->name);
}

/* ---- roles ------------------------------------------------------------------------------- */

void check_not_for(const struct conf_network *n, const char *key, struct conf_pos at,
		   const char *role, struct conf_errors *errs)
{
	if (given(at))
		conf_error_add(errs, at, "%s is for a %s, and the role in network \"%s\" is %s",
			       key, role, n->name, conf_role_name(n->role.v));
}

static void check_hub(const struct conf *c, const struct conf_network *n, struct conf_errors *errs)
{
	check_hosts(c, &n->hubs, "hubs", "", errs);
	if (given(n->port.at) && !given(n->hubs.at))
		conf_error_add(errs, n->port.at,
			       "port is that of hubs, and network \"%s\" has none; ours is the port "
			       "of the top level",
			       n->name);
	check_not_for(n, "redirect", n->steer.redirect.at, "site or endpoint", errs);
	check_not_for(n, "attach", n->attach.at, "site", errs);
	if (!given(n->domain.list.at))
		conf_error_add(errs, n->at,
			       "network \"%s\" lacks domain, all addresses of the network, which "
			       "its hub has to say: domain = { \"10.0.0.0/8\" }",
			       n->name);
}

/* Each hub would give it another address, of its own pool: no address could stay when one dies. */
void check_attach_endpoint(const struct conf_network *n, struct conf_errors *errs)
{
	if (n->attach.v == CONF_ATTACH_ALL)
		conf_error_add(
			errs, n->attach.at,
			"attach = all in network \"%s\", where we are an endpoint: its inner "
			"address is of the one hub that gave it; accepted: attach = one",
			n->name);
}

/* A site, or an endpoint. */
static void check_spoke(const struct conf *c, const struct conf_network *n,
			struct conf_errors *errs)
{
	if (n->role.v == CONF_ROLE_ENDPOINT) {
		check_not_for(n, "protect", n->protect.list.at, "site or hub", errs);
		check_attach_endpoint(n, errs);
	}
	if (n->attach.v == CONF_ATTACH_ALL && given(n->steer.redirect.at) &&
	    n->steer.redirect.v == CONF_REDIRECT_FOLLOW)
		conf_error_add(errs, n->steer.redirect.at,
			       "redirect = follow with attach = all (line %u): who is connected to "
			       "all hubs is not sent from one to another; accepted: redirect = no",
			       n->attach.at.line);
	check_not_for(n, "redirect_to", n->steer.redirect_to.at, "hub", errs);
	check_not_for(n, "redirect_above", n->steer.redirect_above.at, "hub", errs);
	check_not_for(n, "redirect_wait", n->steer.redirect_wait.at, "hub", errs);
	for (const struct conf_member *m = n->members; m; m = m->next)
		check_not_for(n, "member", m->at, "hub", errs);
	if (!given(n->hubs.at) && !given(n->identity.at))
		conf_error_add(errs, n->at,
			       "network \"%s\" has no hubs, and no bundle (identity) that names "
			       "them",
			       n->name);
	check_hosts(c, &n->hubs, "hubs", "", errs);
}

/* ---- prefixes ---------------------------------------------------------------------------- */

/* Steps over what one selector of `outer` has at a time: at most as often as there are any. */
bool ts_covers(const struct wire_ts_list *outer, const struct wire_ts *inner)
{
	struct ip at = inner->start;
	size_t i = 0;

	while (i < outer->n) {
		const struct wire_ts *o = &outer->ts[i++];

		if (o->start.family != at.family || ip_cmp(&o->start, &at) > 0 ||
		    ip_cmp(&o->end, &at) < 0)
			continue;
		if (ip_cmp(&o->end, &inner->end) >= 0)
			return true;
		at = ip_next(&o->end);
		i = 0;
	}
	return false;
}

static void check_inside(const struct conf_network *n, const struct conf_ts *what, const char *key,
			 const char *otherwise, struct conf_errors *errs)
{
	for (size_t i = 0; i < what->ts.n; i++) {
		char buf[256];
		struct text t = TEXT_OF(buf);

		if (ts_covers(&n->domain.ts, &what->ts.ts[i]))
			continue;
		policy_ts_list_text(&t, &n->domain.ts);
		conf_error_add(errs, what->list.v[i].at,
			       "%s \"%s\" is not inside the domain of network \"%s\" (line %u), "
			       "which is %s: %s",
			       key, what->list.v[i].s, n->name, n->domain.list.at.line, buf,
			       otherwise);
	}
}

static void check_prefixes(const struct conf_network *n, struct conf_errors *errs)
{
	if (n->domain.ts.n == 0)
		return;
	check_inside(n, &n->protect, "protect", "it would not be protected", errs);
	check_inside(n, &n->shortcuts.relayed, "relayed", "no hub has it", errs);
	check_inside(n, &n->inner.pool, "pool", "nobody could use it", errs);
	for (const struct conf_member *m = n->members; m; m = m->next)
		check_inside(n, &m->prefixes, "prefixes", "nobody could have it", errs);
}

/* ---- members against each other ---------------------------------------------------------- */

struct member_node {
	struct map_node node;
	const struct conf_member *member;
};

static bool same_pattern(const struct map_node *node, const void *key)
{
	const struct conf_member *a = CONTAINER_OF(node, const struct member_node, node)->member;

	return policy_ident_eq(&a->id.id, key);
}

/* `any` is the first "%any", NULL before. */
static enum status check_member(struct conf *c, struct map *seen, const struct conf_member *any,
				const struct conf_member *m, struct conf_errors *errs)
{
	uint64_t hash = check_ident_hash(seen, &m->id.id);
	struct map_node *found = map_find(seen, hash, same_pattern, &m->id.id);
	const struct conf_member *first = any;
	struct member_node *node;

	if (found)
		first = CONTAINER_OF(found, struct member_node, node)->member;
	if (first) {
		conf_error_add(errs, m->at,
			       "member \"%s\" never counts: \"%s\" in line %u matches first",
			       m->id.text.s, first->id.text.s, first->at.line);
		return ST_OK;
	}
	node = arena_new(&c->ar, sizeof(*node));
	if (!node)
		return ST_NOMEM;
	node->member = m;
	map_insert(seen, &node->node, hash);
	return ST_OK;
}

static bool is_any(const struct conf_member *m)
{
	return m->id.id.type == 0;
}

/* Titles that are no pattern were reported; they have neither type nor data. */
static bool has_pattern(const struct conf_member *m)
{
	return m->id.id.type != 0 || strcmp(m->id.text.s, "%any") == 0;
}

static enum status check_members(struct conf *c, const struct conf_network *n,
				 struct conf_errors *errs)
{
	static const uint64_t key[2] = { 1, 2 };
	const struct conf_member *any = NULL;
	enum status st = ST_OK;
	struct map seen;

	map_init(&seen, c->mem, key);
	for (const struct conf_member *m = n->members; m && st == ST_OK; m = m->next) {
		if (!has_pattern(m))
			continue;
		st = check_member(c, &seen, any, m, errs);
		if (!any && is_any(m))
			any = m;
	}
	map_done(&seen);
	return st;
}

/* ---- all of it --------------------------------------------------------------------------- */

static enum status check_network(struct conf *c, struct conf_network *n, struct conf_errors *errs)
{
	enum status st;

	inherit(n, c);
	if (given(n->identity.at))
		check_bundle(n, errs);
	else
		check_certs(n, errs);
	if (n->role.v == CONF_ROLE_HUB)
		check_hub(c, n, errs);
	else if (n->role.v != CONF_NO_WORD)
		check_spoke(c, n, errs);
	check_prefixes(n, errs);
	check_steer(&n->steer, errs);
	check_inner_network(n, errs);
	check_life(&n->life, errs);
	st = check_members(c, n, errs);
	return st == ST_OK ? check_topology(c, n, errs) : st;
}

enum status check_networks(struct conf *c, struct conf_errors *errs)
{
	enum status st = ST_OK;

	for (struct conf_network *n = c->networks; n && st == ST_OK; n = n->next) {
		if (n != c->networks)
			conf_error_add(errs, n->at,
				       "network \"%s\" is a second network (the first is in line "
				       "%u), accepted in this version: one",
				       n->name, c->networks->at.line);
		st = check_network(c, n, errs);
	}
	return st;
}
