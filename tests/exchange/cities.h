/*
 * cities.h - what the tests of several hubs share: hubs that know each other, and sites that are
 * told of one of them.
 *
 *	10.n.0.0/16 == site-n.example 192.0.2.(10 + n) ====== hub-k.example 192.0.2.k
 *
 * Hubs have certificates (keys 40 + k) with blocks for the domain 10.0.0.0/8.  Everybody calls the
 * network "corp", section 1; a hub's sections for others are 2 and 3.
 */
#pragma once

#include "exchange/exchange.h"
#include "harness/star.h"
#include "mesh/limits.h"

enum { CITY_HUBS = 3, CITY_SITES = 4, CITY_KEY = 40 };

struct city {
	struct test_conf *c;
	struct ike_peer_conf *p; /* members */
	struct mesh_network *net;
	struct node *node;
};

struct cities {
	struct world *w;
	struct city hub[CITY_HUBS + 1]; /* from 1 on */
	struct node *site[CITY_SITES + 1];
};

static inline const char *city_name(unsigned k)
{
	static const char *const names[] = { "", "hub-1.example", "hub-2.example",
					     "hub-3.example" };

	return names[k];
}

static inline const char *city_address(unsigned k)
{
	static const char *const at[] = { "", "192.0.2.1", "192.0.2.2", "192.0.2.3" };

	return at[k];
}

static inline const char *town_name(unsigned n)
{
	static const char *const names[] = { "", "site-1.example", "site-2.example",
					     "site-3.example", "site-4.example" };

	return names[n];
}

/* A hub's configuration, which says where it is. */
static inline void city_new(struct cities *t, unsigned k)
{
	static const char *const names[] = { "", "192.0.2.1", "192.0.2.2", "192.0.2.3" };
	struct city *h = &t->hub[k];

	h->c = test_conf_new();
	h->p = test_conf_peer(h->c, STAR_PEER, "corp", NULL, city_name(k), "%any", 0);
	test_conf_cert_blocks(h->c, h->p, CITY_KEY + k, STAR_CA, STAR_CA, "10.0.0.0/8");
	h->p->role = IKE_ROLE_MEMBERS;
	h->p->domain = h->p->ts_local = test_conf_ts(h->c, "10.0.0.0/8");
	h->p->ts_remote = test_conf_ts(h->c, "0.0.0.0/0 ::/0");
	h->net = test_conf_network(h->c, h->p);
	h->p->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	h->net->announce = &names[k];
	h->net->n_announce = 1;
}

/* Hub k calls hub `other`, before it starts: by its address. */
static inline struct ike_peer_conf *city_calls(struct cities *t, unsigned k, unsigned other)
{
	struct city *h = &t->hub[k];
	ike_peer_id id = STAR_PEER + 1 + h->net->n_hubs, ids[CITY_HUBS] = { 0 };
	struct ike_peer_conf *p = test_conf_peer(h->c, id,
						 other == 1   ? "corp/1"
						 : other == 2 ? "corp/2"
							      : "corp/3",
						 city_address(other), city_name(k), "%any", 0);

	test_conf_cert_blocks(h->c, p, CITY_KEY + k, STAR_CA, STAR_CA, "10.0.0.0/8");
	p->role = IKE_ROLE_HUB;
	p->start = IKE_START_UP;
	p->domain = p->ts_local = test_conf_ts(h->c, "10.0.0.0/8");
	p->ts_remote = test_conf_ts(h->c, "0.0.0.0/0 ::/0");
	p->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	p->flows = true;
	if (h->net->n_hubs)
		memcpy(ids, h->net->hubs, h->net->n_hubs * sizeof(ids[0]));
	ids[h->net->n_hubs++] = id;
	h->net->hubs = (const void *)test_conf_dup(h->c, BYTES_OF(ids)).p;
	return p;
}

static inline void city_start(struct cities *t, unsigned k)
{
	const char *const at[] = { city_address(k), NULL };
	static const char *const names[] = { "", "hub1", "hub2", "hub3" };

	t->hub[k].node = world_node(t->w, names[k], at, t->hub[k].c);
}

struct town_site {
	struct test_conf *c;
	struct ike_peer_conf *p;
	struct mesh_network *net;
};

/* A site whose file names these hubs: "192.0.2.1 192.0.2.2". */
static inline struct town_site town_new(unsigned n, const char *hubs)
{
	struct town_site s = { .c = test_conf_new() };
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "10.%u.0.0/16", n);
	s.p = test_conf_peer(s.c, STAR_PEER, "corp", NULL, town_name(n), "%any", 0);
	test_conf_addresses(s.c, s.p, hubs);
	test_conf_cert_blocks(s.c, s.p, STAR_HUB_KEY + n, STAR_CA, STAR_CA, prefix);
	s.p->role = IKE_ROLE_HUB;
	s.p->start = IKE_START_UP;
	s.p->domain = test_conf_ts(s.c, "10.0.0.0/8");
	s.p->ts_local = test_conf_ts(s.c, prefix);
	s.p->ts_remote = test_conf_ts(s.c, "0.0.0.0/0 ::/0");
	s.net = test_conf_network(s.c, s.p);
	return s;
}

static inline struct node *town_start(struct cities *t, unsigned n, const struct town_site *s)
{
	static const char *const names[] = { "", "site1", "site2", "site3", "site4" };
	char address[32];
	const char *const at[] = { address, NULL };

	snprintf(address, sizeof(address), "192.0.2.%u", 10 + n);
	t->site[n] = world_node(t->w, names[n], at, s->c);
	return t->site[n];
}

/* Connected to the one hub that it knows. */
static inline struct node *town_joins(struct cities *t, unsigned n, unsigned k)
{
	struct town_site s = town_new(n, city_address(k));
	struct node *site = town_start(t, n, &s);

	world_run(t->w);
	assert_string_equal(node_peer(site, STAR_PEER).state, "up");
	return site;
}

/* The hub that the site's only IKE SA leads to; "": it has none. */
static inline const char *town_at(const struct node *site)
{
	static char buf[128];
	struct node_sa sa[8];
	size_t n = node_sas(site, sa, ARRAY_LEN(sa));

	buf[0] = '\0';
	for (size_t i = 0; i < n && i < ARRAY_LEN(sa); i++)
		if (sa[i].info.established && sa[i].info.peer == STAR_PEER)
			snprintf(buf, sizeof(buf), "%s", sa[i].remote_id);
	return buf;
}

static inline void cities_init(struct cities *t, uint64_t seed)
{
	*t = (struct cities){ .w = world_new(seed) };
}

static inline void cities_done(struct cities *t)
{
	for (unsigned k = 1; k <= CITY_HUBS; k++)
		if (t->hub[k].c && !t->hub[k].node)
			ike_conf_unref(&t->hub[k].c->conf);
	world_free(t->w);
}

/* Hubs 1 and 2; the first calls the second. */
static inline void two_cities(struct cities *t)
{
	city_new(t, 1);
	city_new(t, 2);
	(void)city_calls(t, 1, 2);
	city_start(t, 2);
	city_start(t, 1);
	world_run(t->w);
}

/* ---- what is known of hubs ------------------------------------------------------------------- */

struct hub_names {
	char text[512];
	struct text t;
};

static inline bool cities_add_hub(void *ctx, const struct mesh_network *network,
				  const struct wire_mesh_hub *hub, bool connected)
{
	struct hub_names *l = ctx;
	char ip[IP_TEXT_MAX];

	(void)network;
	text_fmt(&l->t, "%s%.*s%s", l->t.n ? " " : "", (int)hub->id.data.n,
		 (const char *)hub->id.data.p, connected ? "*" : "");
	for (size_t i = 0; i < hub->n_at; i++)
		text_fmt(&l->t, "@%s:%u", ip_text(&hub->at[i].ip, ip), hub->at[i].port);
	return true;
}

/* "hub-1.example*@192.0.2.1:500 ...", with a star where it is connected. */
static inline const char *known_hubs(const struct node *n)
{
	static struct hub_names l;

	l.t = TEXT_OF(l.text);
	mesh_each_hub(n->mesh, cities_add_hub, &l);
	return l.text;
}

/* ---- what hubs know of members ------------------------------------------------------------- */

static inline bool cities_add_member(void *ctx, const struct mesh_member_info *info)
{
	struct hub_names *l = ctx;

	text_fmt(&l->t, "%s", l->t.n ? " " : "");
	policy_ident_text(&l->t, &info->identity);
	if (info->at.type) {
		text_fmt(&l->t, info->peer ? "!" : "@");
		policy_ident_text(&l->t, &info->at);
	}
	return true;
}

/* "site-1.example site-2.example@hub-2.example": who is here, and who is there; with '!' instead
 * who is there since, and has something left here. */
static inline const char *directory(const struct node *n)
{
	static struct hub_names l;

	l.t = TEXT_OF(l.text);
	mesh_each_member(n->mesh, cities_add_member, &l);
	return l.text;
}

/* A packet of site a, at hub 1, for site b, at hub 2. */
static inline bool cities_ping(struct cities *t, unsigned a, struct node *at, struct node *there,
			       unsigned b)
{
	char src[32], dst[32];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	return world_ping_via(t->w, t->site[a], src, at, there, dst) &&
	       world_ping(t->w, there, src, t->site[b], dst);
}

static inline bool cities_direct(struct cities *t, unsigned a, unsigned b)
{
	char src[32], dst[32];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	return strcmp(node_shortcut_state(t->site[a], town_name(b)), "up") == 0 &&
	       strcmp(node_shortcut_state(t->site[b], town_name(a)), "up") == 0 &&
	       world_ping(t->w, t->site[a], src, t->site[b], dst);
}
