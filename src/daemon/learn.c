#include "daemon/learn.h"

#include <stdlib.h>

#include "daemon/translate.h"

struct search {
	struct host *h;
	ike_peer_id peer;
	struct guard_prefixes domain;
	bool failed;
};

static const struct ike_peer_conf *network_of(const struct host *h, ike_peer_id id)
{
	/* Behind the peers of the file (translate.h), of which there may be ten thousand. */
	for (size_t i = h->conf->n_peers; i < h->ike_conf->n_peers; i++) {
		const struct ike_peer_conf *p = &h->ike_conf->peers[i];

		if (p->id == id && p->role == IKE_ROLE_HUB && p->domain.n == 0)
			return p;
	}
	return NULL;
}

static bool on_child(void *ctx, const struct ike_child_info *child)
{
	struct search *s = ctx;

	s->failed = guarding_add_ts(&s->domain, &child->ts_remote) != ST_OK;
	return !s->failed;
}

/* All children: a hub may answer with one selector at a time. */
static bool on_sa(void *ctx, const struct ike_sa_info *sa)
{
	struct search *s = ctx;

	if (sa->peer == s->peer)
		ike_each_child(s->h->ike, plat_now(), sa, on_child, s);
	return !s->failed;
}

/* A domain that was told once only grows: a hub that tells less must not open what was guarded (S3;
 * who means it deletes NETWORK.domain in the state directory).  False when nothing is new, or
 * memory is short. */
static bool grow(const struct host *h, const char *network, struct guard_prefixes *domain)
{
	struct guard_prefixes known = { 0 };
	char buf[256];
	struct text ignored = TEXT_OF(buf);
	bool ok = true, same;

	if (guard_learnt(h->conf_started->state.s, network, &ignored, &known) != ST_OK)
		guard_prefixes_done(&known);
	for (size_t i = 0; ok && i < known.n; i++)
		ok = guard_prefixes_add(domain, &known.v[i]) == ST_OK;
	guard_prefixes_sort(domain);
	same = guard_prefixes_eq(&known, domain);
	guard_prefixes_done(&known);
	return ok && !same;
}

/* ---- hubs -------------------------------------------------------------------------------- */

enum { WHY_MAX = 512, HUBS_MAX = 16 << 10 };

struct keeping {
	const char *network;
	struct wire_mesh_hub hub[WIRE_MESH_HUBS];
	size_t n;
};

static bool keep(void *ctx, const struct mesh_network *network, const struct wire_mesh_hub *hub,
		 bool connected)
{
	struct keeping *k = ctx;

	(void)connected;
	if (strcmp(network->name, k->network) == 0 && k->n < WIRE_MESH_HUBS)
		k->hub[k->n++] = *hub;
	return true;
}

static void keep_hubs(struct host *h, const char *network)
{
	struct keeping k = { .network = network };
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT),
				  .context = bytes_str(network),
				  .hubs = k.hub };
	uint8_t buf[HUBS_MAX];
	char text[WHY_MAX];
	struct text why = TEXT_OF(text);
	struct wr w = wr_of(buf, sizeof(buf));

	mesh_each_hub(h->mesh, keep, &k);
	word.n_hubs = k.n;
	if (k.n)
		word.present |= WIRE_MESH_BIT(HUB);
	wire_mesh_put(&w, &word);
	if (guard_hubs_save(h->conf_started->state.s, network, wr_bytes_of(&w), &why) != ST_OK)
		host_log(h, OBS_WARNING, NULL, text);
}

static bool is_site(const struct host *h, const struct mesh_network *n)
{
	for (size_t i = h->conf->n_peers; i < h->ike_conf->n_peers; i++)
		if (h->ike_conf->peers[i].id == n->peer)
			return h->ike_conf->peers[i].role == IKE_ROLE_HUB;
	return false;
}

/* Nothing depends on it: what the file names is tried behind what the configuration names. */
static void load_hubs(struct host *h, const char *network)
{
	char text[WHY_MAX];
	struct text why = TEXT_OF(text);
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct bytes list = { 0 };
	struct wire_mesh word;
	struct arena ar;
	enum status st = guard_hubs_load(h->conf_started->state.s, network, &why, &list);

	if (st == ST_AGAIN)
		return;
	arena_init(&ar, &mem_libc, 1 << 20);
	if (st == ST_OK)
		st = wire_mesh_parse(&ar, WIRE_N_SHORTCUT_HUBS, list, &word, &fault);
	if (fault)
		text_fmt(&why, "%s.hubs in the state directory is no list of hubs: %s", network,
			 wire_mesh_fault_name(fault));
	if (st == ST_OK && word.n_hubs)
		st = mesh_hubs_load(h->mesh, plat_now(), network, word.hubs, word.n_hubs);
	if (st != ST_OK)
		host_log(h, OBS_WARNING, NULL, text[0] ? text : "hubs of a network: out of memory");
	arena_done(&ar);
	free((void *)(uintptr_t)list.p);
}

void learn_begin(struct host *h)
{
	const struct mesh_conf *m = translate_mesh_of(h->ike_conf);

	for (size_t i = 0; i < m->n_networks; i++)
		if (is_site(h, &m->networks[i]))
			load_hubs(h, m->networks[i].name);
}

static void learn_hubs(struct host *h, const struct ike_event *ev)
{
	const struct mesh_conf *m = translate_mesh_of(h->ike_conf);

	for (size_t i = 0; i < m->n_networks; i++)
		if (m->networks[i].peer == ev->peer && is_site(h, &m->networks[i]))
			keep_hubs(h, m->networks[i].name);
}

/* ---- both -------------------------------------------------------------------------------- */

void learn_event(struct host *h, const struct ike_event *ev)
{
	const struct ike_peer_conf *network;
	const char *name;
	struct search s = { .h = h, .peer = ev->peer };

	if (ev->kind == IKE_EV_HUBS)
		learn_hubs(h, ev);
	if (ev->kind != IKE_EV_CHILD_UP)
		return;
	network = network_of(h, ev->peer);
	if (!network)
		return;
	ike_each_sa(h->ike, plat_now(), on_sa, &s);
	name = network->network ? network->network : network->name;
	if (!s.failed && s.domain.n && grow(h, name, &s.domain))
		guarding_learn(h, name, s.domain.v, s.domain.n);
	guard_prefixes_done(&s.domain);
}
