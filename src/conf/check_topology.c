/*
 * check_topology.c - direct tunnels: what hubs suggest to whom, and what sites take.
 *
 * Groups may overlap: rules are ordered, and the first that is about a pair counts.  One that comes
 * too late for every pair is a mistake.
 */
#include "conf/internal.h"

#define EVERYBODY "*"

/* ---- names ------------------------------------------------------------------------------- */

/* Of a group or a rule. */
struct name_node {
	struct map_node node;
	const char *name;
	struct conf_pos at;
	const struct conf_group *group;
};

static bool same_name(const struct map_node *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, const struct name_node, node)->name, key) == 0;
}

static const struct name_node *find_name(const struct map *m, const char *name)
{
	struct map_node *n = map_find(m, map_hash(m, bytes_str(name)), same_name, name);

	return n ? CONTAINER_OF(n, const struct name_node, node) : NULL;
}

/* One without a name was reported. */
static enum status take_name(struct conf *c, struct map *names, const struct name_node *what,
			     const char *word, struct conf_errors *errs)
{
	const struct name_node *first = find_name(names, what->name);
	struct name_node *n;

	if (!*what->name)
		return ST_OK;
	if (first) {
		conf_error_add(errs, what->at,
			       "%s \"%s\" is defined a second time, the first is in line %u", word,
			       what->name, first->at.line);
		return ST_OK;
	}
	n = arena_new(&c->ar, sizeof(*n));
	if (!n)
		return ST_NOMEM;
	*n = *what;
	map_insert(names, &n->node, map_hash(names, bytes_str(n->name)));
	return ST_OK;
}

/* ---- groups ------------------------------------------------------------------------------ */

static bool in_domain(const struct wire_ts_list *domain, const struct wire_ts *ts)
{
	struct wire_ts both;

	for (size_t i = 0; i < domain->n; i++)
		if (policy_ts_intersect(&domain->ts[i], ts, &both))
			return true;
	return domain->n == 0;
}

static void check_group(const struct conf_network *n, const struct conf_group *g,
			struct conf_errors *errs)
{
	if (strcmp(g->name, EVERYBODY) == 0)
		conf_error_add(errs, g->at,
			       "peers \"" EVERYBODY "\" are everybody in any rule, accepted: "
			       "another name");
	if (!given(g->identities.list.at) && !given(g->networks.list.at))
		conf_error_add(errs, g->at,
			       "peers \"%s\" is nobody, accepted: identities, networks or both",
			       g->name);
	for (size_t i = 0; i < g->networks.ts.n; i++)
		if (!in_domain(&n->domain.ts, &g->networks.ts.ts[i]))
			conf_error_add(errs, g->networks.list.v[i].at,
				       "networks \"%s\" has nothing of the domain of network "
				       "\"%s\" (line %u): nobody has an address there",
				       g->networks.list.v[i].s, n->name, n->domain.list.at.line);
}

static enum status check_groups(struct conf *c, const struct conf_network *n, struct map *groups,
				struct conf_errors *errs)
{
	enum status st = ST_OK;
	size_t index = 0;

	for (struct conf_group *g = n->suggest.groups; g && st == ST_OK; g = g->next) {
		const struct name_node what = { .name = g->name, .at = g->at, .group = g };

		g->index = index++;
		check_group(n, g, errs);
		st = take_name(c, groups, &what, "peers", errs);
	}
	return st;
}

/* ---- rules ------------------------------------------------------------------------------- */

/* A rule by the two groups that it is about, in either order. */
struct pair_node {
	struct map_node node;
	const struct conf_rule *rule;
};

struct pair {
	const struct conf_group *a, *b; /* NULL: everybody */
};

static bool same_pair(const struct map_node *node, const void *key)
{
	const struct conf_rule *r = CONTAINER_OF(node, const struct pair_node, node)->rule;
	const struct pair *p = key;

	return (r->group[0] == p->a && r->group[1] == p->b) ||
	       (r->group[0] == p->b && r->group[1] == p->a);
}

static uint64_t pair_hash(const struct map *m, const struct pair *p)
{
	return map_hash(m, bytes_of(&p->a, sizeof(p->a))) +
	       map_hash(m, bytes_of(&p->b, sizeof(p->b)));
}

static const struct conf_rule *find_pair(const struct map *m, struct pair p)
{
	struct map_node *n = map_find(m, pair_hash(m, &p), same_pair, &p);

	return n ? CONTAINER_OF(n, const struct pair_node, node)->rule : NULL;
}

/* One before it that is about every pair that it is about. */
static const struct conf_rule *find_wider(const struct map *m, struct pair p)
{
	const struct pair wider[] = { p, { p.a, NULL }, { p.b, NULL }, { NULL, NULL } };
	const struct conf_rule *first = NULL;

	for (size_t i = 0; i < ARRAY_LEN(wider); i++) {
		const struct conf_rule *r = find_pair(m, wider[i]);

		if (r && (!first || r->at.line < first->at.line))
			first = r;
	}
	return first;
}

/* False: a name is none, which is reported. */
static bool resolve(struct conf_rule *r, const struct conf_network *n, const struct map *groups,
		    struct conf_errors *errs)
{
	bool ok = r->between.n > 0;

	for (size_t i = 0; i < r->between.n; i++) {
		const struct conf_text *t = &r->between.v[i];
		const struct name_node *g = find_name(groups, t->s);

		if (strcmp(t->s, EVERYBODY) == 0)
			continue;
		if (g) {
			r->group[i] = g->group;
			continue;
		}
		conf_error_add(errs, t->at,
			       "between \"%s\": network \"%s\" has no peers \"%s\" { ... }, "
			       "accepted: one of its own, or \"" EVERYBODY "\" for everybody",
			       t->s, n->name, t->s);
		ok = false;
	}
	if (r->between.n == 1)
		r->group[1] = r->group[0];
	return ok;
}

static enum status check_pair(struct conf *c, struct map *pairs, const struct conf_rule *r,
			      struct conf_errors *errs)
{
	const struct pair p = { r->group[0], r->group[1] };
	const struct conf_rule *first = find_wider(pairs, p);
	struct pair_node *n;

	if (first) {
		conf_error_add(errs, r->at,
			       "rule \"%s\" never counts: rule \"%s\" in line %u "
			       "is about the same members, and before it",
			       r->name, first->name, first->at.line);
		return ST_OK;
	}
	n = arena_new(&c->ar, sizeof(*n));
	if (!n)
		return ST_NOMEM;
	n->rule = r;
	map_insert(pairs, &n->node, pair_hash(pairs, &p));
	return ST_OK;
}

static enum status check_rules(struct conf *c, const struct conf_network *n,
			       const struct map *groups, struct conf_errors *errs)
{
	static const uint64_t key[2] = { 1, 2 }; /* names of the operator's own choice */
	struct map names, pairs;
	enum status st = ST_OK;

	map_init(&names, c->mem, key);
	map_init(&pairs, c->mem, key);
	for (struct conf_rule *r = n->suggest.rules; r && st == ST_OK; r = r->next) {
		const struct name_node what = { .name = r->name, .at = r->at };

		st = take_name(c, &names, &what, "rule", errs);
		if (st == ST_OK && resolve(r, n, groups, errs))
			st = check_pair(c, &pairs, r, errs);
	}
	map_done(&names);
	map_done(&pairs);
	return st;
}

/* ---- keys -------------------------------------------------------------------------------- */

static void check_addresses(const struct conf_list *l, const char *key, size_t max,
			    struct conf_errors *errs)
{
	for (size_t i = 0; i < l->n; i++) {
		struct ip ip;

		if (ip_parse(l->v[i].s, &ip) == ST_OK && !ip_is_host(&ip))
			conf_error_add(errs, l->v[i].at, "%s \"%s\" is nobody's", key, l->v[i].s);
	}
	if (l->n > max)
		conf_error_add(errs, l->v[max].at, "%s has %zu elements, accepted: at most %zu",
			       key, l->n, max);
}

static void check_retry(const struct conf_suggest *s, struct conf_errors *errs)
{
	char buf[64];
	struct text t = TEXT_OF(buf);

	if (s->retry.v.ns <= s->retry_max.v.ns)
		return;
	schema_duration(&t, dur_to_ms(s->retry_max.v));
	conf_error_add(errs, given(s->retry.at) ? s->retry.at : s->retry_max.at,
		       "shortcut_retry is above shortcut_retry_max, which is %s", buf);
}

static void check_hub(const struct conf_network *n, struct conf_errors *errs)
{
	static const char members[] = "site or endpoint";
	const struct conf_shortcuts *s = &n->shortcuts;

	check_not_for(n, "shortcuts", s->take.at, members, errs);
	check_not_for(n, "shortcuts_max", s->max.at, members, errs);
	check_not_for(n, "trust_hub", s->trust_hub.at, members, errs);
	check_not_for(n, "direct", s->direct.at, members, errs);
	check_not_for(n, "relayed", s->relayed.list.at, members, errs);
	check_not_for(n, "candidates", s->candidates.at, members, errs);
	check_addresses(&n->suggest.announce, "announce", CONF_ANNOUNCE_MAX, errs);
	check_retry(&n->suggest, errs);
	/* We are one ourselves. */
	if (n->hubs.n >= CONF_HUBS_MAX)
		conf_error_add(errs, n->hubs.v[CONF_HUBS_MAX - 1].at,
			       "hubs has %zu elements, accepted at a hub: at most %d others",
			       n->hubs.n, CONF_HUBS_MAX - 1);
}

/* Where a hub must not relay, what is not direct is nothing. */
static void check_direct(const struct conf_shortcuts *s, struct conf_errors *errs)
{
	bool required = s->direct.v == CONF_DIRECT_REQUIRED;

	if (required && s->take.v == CONF_NO)
		conf_error_add(errs, s->direct.at,
			       "direct = required with shortcuts = no (line %u): no other member "
			       "could be reached at all; shortcuts = yes",
			       s->take.at.line);
	if (!required && given(s->relayed.list.at))
		conf_error_add(errs, s->relayed.list.at,
			       "relayed says what a hub may relay where direct = required, and "
			       "direct is preferred: it may relay anything");
	if (s->relayed.ts.n > WIRE_MAX_TS)
		conf_error_add(errs, s->relayed.list.v[WIRE_MAX_TS].at,
			       "relayed has %zu elements, accepted: at most %d", s->relayed.ts.n,
			       WIRE_MAX_TS);
}

static void check_spoke(const struct conf_network *n, struct conf_errors *errs)
{
	const struct conf_suggest *s = &n->suggest;

	check_not_for(n, "topology", s->topology.at, "hub", errs);
	check_not_for(n, "shortcut_after", s->after.at, "hub", errs);
	check_not_for(n, "shortcut_idle", s->idle.at, "hub", errs);
	check_not_for(n, "shortcut_retry", s->retry.at, "hub", errs);
	check_not_for(n, "shortcut_retry_max", s->retry_max.at, "hub", errs);
	check_not_for(n, "announce", s->announce.at, "hub", errs);
	for (const struct conf_group *g = s->groups; g; g = g->next)
		check_not_for(n, "peers", g->at, "hub", errs);
	for (const struct conf_rule *r = s->rules; r; r = r->next)
		check_not_for(n, "rule", r->at, "hub", errs);
	check_direct(&n->shortcuts, errs);
	check_addresses(&n->shortcuts.candidates, "candidates", CONF_CANDIDATES_MAX, errs);
}

enum status check_topology(struct conf *c, struct conf_network *n, struct conf_errors *errs)
{
	static const uint64_t key[2] = { 1, 2 }; /* names of the operator's own choice */
	struct map groups;
	enum status st;

	if (n->role.v != CONF_ROLE_HUB) {
		if (n->role.v != CONF_NO_WORD)
			check_spoke(n, errs);
		return ST_OK;
	}
	check_hub(n, errs);
	map_init(&groups, c->mem, key);
	st = check_groups(c, n, &groups, errs);
	if (st == ST_OK)
		st = check_rules(c, n, &groups, errs);
	map_done(&groups);
	return st;
}
