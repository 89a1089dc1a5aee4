/* What a machine's configuration says. */
#include "check.h"

#include <stdio.h>

enum {
	CA = 100,
	SITE_KEYS = 1000, /* private key of site n: this and its number */
	HUB_KEYS = 10,
};

static void configure_host(struct test_conf *c, const struct scenario *sc)
{
	/* conf/schema.c has the same. */
	c->conf.retransmit_timeout = sc->retransmit;
	c->conf.retransmit_tries = sc->tries;
	c->conf.half_open_cookie = 32;
	c->conf.half_open_puzzle = 1024;
	c->conf.half_open_max = 4096;
	c->conf.half_open_prefix = 8;
	c->conf.init_rate_cookie = 1000;
	c->conf.puzzle_max = 18;
	c->conf.puzzle_solve = 20;
	c->conf.force_encap = true; /* as with dp/user */
	c->conf.keys = false;
}

static void configure_network(const struct sim *s, struct ike_peer_conf *p)
{
	const struct scenario *sc = s->sc;

	p->dpd_delay = sc->dpd;
	p->keepalive = sc->keepalive;
	p->mobike = sc->mobike;
	p->nats_allowed = true;
	p->qcd = s->sabotage != SABOTAGE_TOKENS;
	p->silence = !sc->silent && s->sabotage != SABOTAGE_SILENCE;
	p->return_routability = (enum ike_routability)sc->routability;
	p->life.child_soft = sc->rekey;
	p->life.child_hard.ns = sc->rekey.ns / 10 * 11;
	p->life.ike_soft = sc->ike_rekey;
	p->life.ike_hard.ns = sc->ike_rekey.ns / 10 * 11;
	p->life.reauth = sc->reauth;
}

/* Where hubs know each other, each site begins with one of its own, which has to be there. */
static void hub_addresses(const struct machine *m, char *buf, size_t cap)
{
	struct text t = { buf, 0, cap };
	const struct sim *s = m->s;
	bool spread = sim_hubs_know(s) && !s->sc->hub_arrival.hi;
	unsigned first = spread ? m->number % s->sc->hubs : 0;
	char ip[IP_TEXT_MAX];

	buf[0] = '\0';
	for (unsigned i = 0; i < m->named; i++)
		text_fmt(&t, "%s%s", i ? " " : "",
			 ip_text(&s->machine[(first + i) % s->sc->hubs].address, ip));
}

/* A certificate from a day ago on; with `certificates` it ends when that is over. */
static void certify(const struct machine *m, struct test_conf *c, struct ike_peer_conf *p,
		    crypto_ref key, const char *blocks)
{
	int64_t now = m->certified, lives = m->s->sc->certificates.ns / 1000000000;
	wall_t until = { now + (lives ? lives : 365 * 86400) };

	test_conf_cert_dates(c, p, key, CA, CA, blocks, (wall_t){ now - 86400 }, until);
	p->not_after = until;
	store_be64(p->own_digest, (uint64_t)until.s);
}

static const enum mesh_topology topologies[] = {
	[TOPOLOGY_STAR] = MESH_STAR,
	[TOPOLOGY_DYNAMIC] = MESH_DYNAMIC,
	[TOPOLOGY_MESH] = MESH_FULL,
};

/* Sites that are apart have no tunnels with each other, whatever the topology. */
static void forbid(const struct machine *m, struct test_conf *c, struct mesh_network *net)
{
	const struct sim *s = m->s;
	char buf[SCENARIO_APART * sizeof(m->name)];
	const struct mesh_group *group;
	struct text t = TEXT_OF(buf);

	for (unsigned i = s->sc->hubs; i < s->n; i++)
		if (s->machine[i].apart)
			text_fmt(&t, "%s%s", t.n ? " " : "", s->machine[i].name);
	if (!t.n)
		return;
	group = test_conf_group(c, "apart", buf, "");
	test_conf_rule(c, net, "apart", group, group, MESH_STAR);
}

/* The hub calls that other one. */
static void add_hub(const struct machine *m, struct test_conf *c, const struct machine *other)
{
	char name[32], ip[IP_TEXT_MAX];
	ike_peer_id id = PEER_ID + 1 + (other->number - HUB_NUMBERS);
	struct ike_peer_conf *p;

	snprintf(name, sizeof(name), "corp/%s", other->name);
	p = test_conf_peer(c, id, (const char *)test_conf_dup(c, BYTES_OF(name)).p,
			   ip_text(&other->address, ip), m->name, "%any", 0);
	certify(m, c, p, HUB_KEYS + (m->number & 0xff), "10.0.0.0/8");
	p->role = IKE_ROLE_HUB;
	p->start = IKE_START_UP;
	p->domain = p->ts_local = test_conf_ts(c, "10.0.0.0/8");
	p->ts_remote = test_conf_ts(c, "0.0.0.0/0 ::/0");
	p->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	p->flows = true;
	configure_network(m->s, p);
}

/* Other hubs are known to it by its file, or since they call it. */
static void configure_hubs(const struct machine *m, struct test_conf *c, struct ike_peer_conf *p,
			   struct mesh_network *net)
{
	const struct sim *s = m->s;
	ike_peer_id ids[SCENARIO_HUBS];
	char ip[IP_TEXT_MAX];
	const char *announce[1];
	struct bytes text;

	if (!sim_hubs_know(s))
		return;
	p->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	text = bytes_str(ip_text(&m->address, ip));
	announce[0] = (const char *)test_conf_dup(c, bytes_of(text.p, text.n + 1)).p;
	net->announce = (const void *)test_conf_dup(c, BYTES_OF(announce)).p;
	net->n_announce = 1;
	for (unsigned i = 0; i < s->sc->hubs; i++) {
		const struct machine *other = &s->machine[i];

		if (other == m || (s->sc->hubs_call == HUBS_CALL_EARLIER && other > m))
			continue;
		add_hub(m, c, other);
		ids[net->n_hubs++] = PEER_ID + 1 + i;
	}
	if (net->n_hubs)
		net->hubs =
			(const void *)test_conf_dup(c, bytes_of(ids, net->n_hubs * sizeof(ids[0])))
				.p;
}

static void configure_mesh(const struct machine *m, struct test_conf *c, struct ike_peer_conf *p)
{
	const struct scenario *sc = m->s->sc;
	struct mesh_network *net;

	if (sc->topology == TOPOLOGY_NONE)
		return;
	net = test_conf_network(c, p);
	if (m->hub) {
		forbid(m, c, net);
		configure_hubs(m, c, p, net);
	}
	p->follow = !m->hub && sim_hubs_know(m->s);
	net->topology = m->starred ? MESH_STAR : topologies[sc->topology];
	if (m->s->sabotage == SABOTAGE_STAR)
		net->topology = MESH_DYNAMIC;
	net->idle = sc->idle;
	net->after = sc->after;
	net->retry = sc->retry;
	net->retry_max = sc->retry_max;
}

static struct test_conf *hub_conf(const struct machine *m)
{
	struct test_conf *c = test_conf_new();
	struct ike_peer_conf *p = test_conf_peer(c, PEER_ID, "corp", NULL, m->name, "%any", 0);

	certify(m, c, p, HUB_KEYS + (m->number & 0xff), "10.0.0.0/8");
	p->role = IKE_ROLE_MEMBERS;
	p->domain = p->ts_local = test_conf_ts(c, "10.0.0.0/8");
	p->ts_remote = test_conf_ts(c, "0.0.0.0/0 ::/0");
	test_conf_pool(c, p, "10.200.0.0/16");
	p->lease_keep = dur_s(30 * 86400);
	configure_network(m->s, p);
	configure_mesh(m, c, p);
	return c;
}

static struct test_conf *site_conf(const struct machine *m)
{
	struct test_conf *c = test_conf_new();
	char hubs[SCENARIO_HUBS * IP_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
	struct prefix own = prefix_of(&m->inside, 24);
	struct ike_peer_conf *p;

	hub_addresses(m, hubs, sizeof(hubs));
	p = test_conf_peer(c, PEER_ID, "corp", NULL, m->name, "%any", 0);
	test_conf_addresses(c, p, hubs);
	certify(m, c, p, SITE_KEYS + m->number, m->endpoint ? NULL : prefix_text(&own, prefix));
	p->role = IKE_ROLE_HUB;
	p->start = IKE_START_UP;
	p->domain = test_conf_ts(c, "10.0.0.0/8");
	p->ts_local = test_conf_ts(c, m->endpoint ? "" : prefix);
	p->ask_v4 = m->endpoint;
	p->ts_remote = test_conf_ts(c, "0.0.0.0/0 ::/0");
	configure_network(m->s, p);
	configure_mesh(m, c, p);
	return c;
}

/* Hubs first: sites have their addresses in their configuration. */
struct test_conf *conf_new(const struct machine *m)
{
	struct test_conf *c = m->hub ? hub_conf(m) : site_conf(m);

	configure_host(c, m->s->sc);
	return c;
}
