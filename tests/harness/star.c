#include "harness/star.h"

#include <stdio.h>

#define HUB_ADDRESS "192.0.2.1"
#define DOMAIN "10.0.0.0/8"
#define DOMAINS DOMAIN " fd00::/8"
#define POOL "10.99.0.0/24 fd00:99::/64"

static void inside(char buf[static 32], unsigned number)
{
	snprintf(buf, 32, "10.%u.0.1", number);
}

static void identity(char buf[static 32], unsigned number)
{
	snprintf(buf, 32, "site-%u.example", number);
}

void star_init(struct star *s, uint64_t seed)
{
	*s = (struct star){ .w = world_new(seed), .ch = test_conf_new(), .domain = DOMAIN };
	s->ph = test_conf_peer(s->ch, STAR_PEER, "corp", NULL, "hub.example", "%any", 0);
	test_conf_cert_blocks(s->ch, s->ph, STAR_HUB_KEY, STAR_CA, STAR_CA, DOMAIN);
	s->ph->role = IKE_ROLE_MEMBERS;
	s->ph->domain = s->ph->ts_local = test_conf_ts(s->ch, DOMAIN);
	s->ph->ts_remote = test_conf_ts(s->ch, "0.0.0.0/0 ::/0");
}

static struct node *start(struct star *s, const char *name, const char *const *at,
			  struct test_conf *conf)
{
	struct node *n = world_node_bare(s->w, name, at, conf);

	n->provider = s->provider;
	if (node_start(n) != ST_OK)
		harness_fail("%s does not start", name);
	return n;
}

void star_hub(struct star *s)
{
	static const char *const at[] = { HUB_ADDRESS, NULL };

	s->hub = start(s, "hub", at, s->ch);
}

void star_done(struct star *s)
{
	if (!s->hub)
		ike_conf_unref(&s->ch->conf);
	world_free(s->w);
	*s = (struct star){ 0 };
}

void star_mesh(struct star *s, enum mesh_topology topology)
{
	s->net = test_conf_network(s->ch, s->ph);
	s->net->topology = topology;
}

struct star_site star_site(struct star *s, unsigned number, const char *blocks, const char *protect)
{
	struct star_site site = { .number = number, .c = test_conf_new() };
	struct policy_ident hub;
	char name[32], prefix[32];

	identity(name, number);
	snprintf(prefix, sizeof(prefix), "10.%u.0.0/16", number);
	site.p = test_conf_peer(site.c, STAR_PEER, "corp", HUB_ADDRESS, name, "%any", 0);
	if (!blocks)
		blocks = prefix;
	test_conf_cert_blocks(site.c, site.p, STAR_HUB_KEY + number, STAR_CA, STAR_CA,
			      blocks[0] == '-' ? NULL : blocks);
	hub = test_conf_ident(site.c, "hub.example");
	site.p->role = IKE_ROLE_HUB;
	site.p->start = IKE_START_UP;
	site.p->hub_ids = (const void *)test_conf_dup(site.c, bytes_of(&hub, sizeof(hub))).p;
	site.p->n_hub_ids = 1;
	site.p->domain = test_conf_ts(site.c, s->domain);
	site.p->ts_local = test_conf_ts(site.c, protect ? protect : prefix);
	site.p->ts_remote = test_conf_ts(site.c, "0.0.0.0/0 ::/0");
	if (s->net)
		site.net = test_conf_network(site.c, site.p);
	return site;
}

struct node *star_start(struct star *s, const struct star_site *site)
{
	static const char *const names[] = { "site0", "site1", "site2", "site3",
					     "site4", "site5", "site6" };
	char address[32];
	const char *const at[] = { address, NULL };

	if (site->number > STAR_SITES)
		harness_fail("there is no site %u", site->number);
	snprintf(address, sizeof(address), "192.0.2.%u", 10 + site->number);
	return start(s, names[site->number], at, site->c);
}

void star_pool(struct star *s, const char *words)
{
	s->domain = DOMAINS;
	test_conf_cert_blocks(s->ch, s->ph, STAR_HUB_KEY, STAR_CA, STAR_CA, DOMAINS);
	s->ph->domain = s->ph->ts_local = test_conf_ts(s->ch, DOMAINS);
	test_conf_pool(s->ch, s->ph, words ? words : POOL);
}

struct star_site star_endpoint(struct star *s, unsigned number)
{
	struct star_site site = star_site(s, number, "-", "");

	site.p->ask_v4 = site.p->ask_v6 = true;
	return site;
}

struct node *star_roam(struct star *s, unsigned number)
{
	struct star_site site = star_endpoint(s, number);
	struct node *n = star_start(s, &site);

	world_run(s->w);
	if (!star_is_up(s, n, number) || !n->got.up)
		harness_fail("endpoint %u does not join", number);
	return n;
}

struct node *star_join(struct star *s, unsigned number)
{
	struct star_site site = star_site(s, number, NULL, NULL);
	struct node *n = star_start(s, &site);

	world_run(s->w);
	if (!star_is_up(s, n, number))
		harness_fail("site %u does not join", number);
	return n;
}

struct find {
	const char *name;
	ike_peer_id id;
};

static bool match(void *ctx, const struct ike_peer_info *info)
{
	struct find *f = ctx;

	if (strcmp(info->name, f->name) != 0)
		return true;
	f->id = info->id;
	return false;
}

ike_peer_id star_member(const struct star *s, const char *name)
{
	struct find f = { name, 0 };

	ike_each_peer(s->hub->ike, s->w->now, 0, match, &f);
	return f.id;
}

bool star_is_up(const struct star *s, const struct node *site, unsigned number)
{
	char name[32];
	ike_peer_id id;

	identity(name, number);
	id = star_member(s, name);
	return id && strcmp(node_peer(s->hub, id).state, "up") == 0 &&
	       (site->mesh ? site->n_children >= 1 : site->n_children == 1) &&
	       strcmp(node_peer(site, STAR_PEER).state, "up") == 0;
}

bool star_ping(struct star *s, struct node *from, unsigned a, struct node *to, unsigned b)
{
	char src[32], dst[32];

	inside(src, a);
	inside(dst, b);
	return world_ping_via(s->w, from, src, s->hub, to, dst);
}

bool star_ping_direct(struct star *s, struct node *from, unsigned a, struct node *to, unsigned b)
{
	unsigned at_hub = s->hub->esp_seen;
	char src[32], dst[32];

	inside(src, a);
	inside(dst, b);
	return world_ping(s->w, from, src, to, dst) && s->hub->esp_seen == at_hub;
}

bool star_is_direct(const struct star *s, const struct node *one, unsigned a,
		    const struct node *other, unsigned b)
{
	char x[32], y[32];

	identity(x, a);
	identity(y, b);
	return strcmp(node_shortcut_state(one, y), "up") == 0 &&
	       strcmp(node_shortcut_state(other, x), "up") == 0 &&
	       strcmp(node_pair_state(s->hub, x, y), "up") == 0;
}

void star_talk(struct star *s, struct node *from, unsigned a, struct node *to, unsigned b)
{
	if (!star_ping(s, from, a, to, b))
		harness_fail("site %u does not reach site %u by the hub", a, b);
	world_live(s->w, dur_ms(500));
}
