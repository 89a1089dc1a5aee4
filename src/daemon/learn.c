#include "daemon/learn.h"

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

void learn_event(struct host *h, const struct ike_event *ev)
{
	const struct ike_peer_conf *network;
	struct search s = { .h = h, .peer = ev->peer };

	if (ev->kind != IKE_EV_CHILD_UP)
		return;
	network = network_of(h, ev->peer);
	if (!network)
		return;
	ike_each_sa(h->ike, plat_now(), on_sa, &s);
	if (!s.failed && s.domain.n && grow(h, network->name, &s.domain))
		guarding_learn(h, network->name, s.domain.v, s.domain.n);
	guard_prefixes_done(&s.domain);
}
