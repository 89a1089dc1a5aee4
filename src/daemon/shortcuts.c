#include "daemon/shortcuts.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/put.h"
#include "daemon/status.h"

struct visit {
	const struct host *h;
	const struct shortcuts_page *page;
	json_t *list; /* the one that is visited */
	uint64_t seen; /* that match */
	size_t n; /* on the page */
	bool more;
};

/* ---- small pieces ------------------------------------------------------------------------ */

static void put_rtt(json_t *o, dur_t rtt)
{
	put_num(o, "rtt_us", (uint64_t)(rtt.ns / 1000));
}

static void put_reason(json_t *o, enum wire_mesh_reason reason, const char *text)
{
	const char *name = reason ? wire_mesh_reason_name(reason) : NULL;

	if (name)
		put_text(o, "reason", name);
	if (text && *text)
		put_clean(o, "text", text);
}

/* 0: it was called from there. */
static const char *candidate_kind(unsigned kind)
{
	switch (kind) {
	case WIRE_MC_HOST: return "host";
	case WIRE_MC_SEEN: return "seen";
	case WIRE_MC_CONFIGURED: return "configured";
	default: return "caller";
	}
}

/* Whether it is on this page; `a` or `b` is whom it is about. */
static bool on_page(struct visit *v, const struct policy_ident *a, const struct policy_ident *b)
{
	const char *match = v->page->match;

	if (match && !status_matches(match, a) && !(b && status_matches(match, b)))
		return false;
	if (v->seen++ < v->page->after)
		return false;
	if (v->n == v->page->limit) {
		v->more = true;
		return false;
	}
	v->n++;
	return true;
}

/* ---- tunnels of a site ------------------------------------------------------------------- */

struct counted {
	const struct host *h;
	struct dp_counters sum;
};

static bool add_child(void *ctx, const struct ike_child_info *c)
{
	struct counted *k = ctx;
	struct dp_counters n;

	if (!dataplane_child(k->h->dp, c->id, &n))
		return true;
	k->sum.bytes_in += n.bytes_in;
	k->sum.bytes_out += n.bytes_out;
	k->sum.packets_in += n.packets_in;
	k->sum.packets_out += n.packets_out;
	return true;
}

static bool add_sa(void *ctx, const struct ike_sa_info *sa)
{
	const struct counted *k = ctx;

	ike_each_child(k->h->ike, plat_now(), sa, add_child, ctx);
	return true;
}

static void put_traffic(json_t *o, const struct host *h, ike_peer_id peer)
{
	struct counted k = { .h = h };

	ike_each_sa_of(h->ike, plat_now(), peer, add_sa, &k);
	put_num(o, "bytes_in", k.sum.bytes_in);
	put_num(o, "bytes_out", k.sum.bytes_out);
	put_num(o, "packets_in", k.sum.packets_in);
	put_num(o, "packets_out", k.sum.packets_out);
}

static bool note_identity(void *ctx, const struct ike_sa_info *sa)
{
	json_t *o = ctx;

	if (sa->established && sa->remote_id.type)
		put_ident(o, "hub", &sa->remote_id);
	return !sa->established;
}

static json_t *try_json(const struct mesh_try *t)
{
	json_t *o = json_object();

	put_text(o, "kind", candidate_kind(t->kind));
	if (t->local.ip.family)
		put_endpoint(o, "local", &t->local);
	put_endpoint(o, "remote", &t->remote);
	put_text(o, "result", mesh_try_name(t->result));
	if (t->result == MESH_TRY_ANSWERED)
		put_rtt(o, t->rtt);
	if (t->why)
		put_text(o, "why", t->why);
	return o;
}

static void put_path(json_t *o, const struct mesh_shortcut_info *i)
{
	json_t *tries = json_array();

	if (i->remote.ip.family) {
		put_endpoint(o, "local", &i->local);
		put_endpoint(o, "remote", &i->remote);
		put_rtt(o, i->rtt);
	}
	for (size_t k = 0; k < i->n_tries; k++)
		json_array_append_new(tries, try_json(&i->tries[k]));
	put(o, "tries", tries);
}

static bool on_shortcut(void *ctx, const struct mesh_shortcut_info *i)
{
	struct visit *v = ctx;
	json_t *o;

	if (!on_page(v, &i->partner, NULL))
		return true;
	o = json_object();
	put_text(o, "network", i->network->name);
	put_num(o, "number", i->number);
	put_ident(o, "partner", &i->partner);
	put_text(o, "state", i->state);
	put(o, "up", json_boolean(i->up));
	put(o, "initiator", json_boolean(i->initiator));
	put_age(o, i->age);
	if (i->hub)
		ike_each_sa_of(v->h->ike, plat_now(), i->hub, note_identity, o);
	put_path(o, i);
	put_ts(o, "local_ts", &i->ts_local);
	put_ts(o, "remote_ts", &i->ts_remote);
	put_reason(o, i->reason, i->text);
	put_until(o, "retry_in_s", i->retry_in);
	put(o, "post_quantum", json_boolean(i->post_quantum));
	if (i->up)
		put_traffic(o, v->h, i->peer);
	json_array_append_new(v->list, o);
	return true;
}

/* What must not go by a hub, and has no tunnel. */
static bool on_wanted(void *ctx, const struct mesh_wanted_info *i)
{
	struct visit *v = ctx;
	json_t *o = json_object();
	char far[IP_TEXT_MAX];

	put_text(o, "network", i->network->name);
	put_text(o, "address", ip_text(&i->far, far));
	put_text(o, "direction", i->in ? "in" : "out");
	put_text(o, "state", i->state);
	if (i->hub)
		ike_each_sa_of(v->h->ike, plat_now(), i->hub, note_identity, o);
	put_age(o, i->age);
	put_num(o, "seen_s", (uint64_t)(i->seen.ns / 1000000000));
	put_reason(o, i->reason, i->text);
	put_until(o, "retry_in_s", i->retry_in);
	json_array_append_new(v->list, o);
	return true;
}

/* ---- pairs and members of a hub ---------------------------------------------------------- */

static bool on_pair(void *ctx, const struct mesh_pair_info *i)
{
	struct visit *v = ctx;
	json_t *o;

	if (!on_page(v, &i->a, &i->b))
		return true;
	o = json_object();
	put_text(o, "network", i->network->name);
	put_ident(o, "a", &i->a);
	put_ident(o, "b", &i->b);
	put_text(o, "state", i->state);
	put_age(o, i->age);
	put_text(o, "topology", mesh_topology_name(i->topology));
	if (i->rule)
		put_text(o, "rule", i->rule);
	put(o, "traffic", json_boolean(i->traffic));
	put_num(o, "suggestions", i->suggestions);
	put(o, "relayed", json_boolean(i->relayed));
	put_reason(o, i->reason, i->text);
	if (i->by.type)
		put_ident(o, "by", &i->by);
	put_until(o, "retry_in_s", i->retry_in);
	json_array_append_new(v->list, o);
	return true;
}

static json_t *candidate_json(const struct wire_mesh_candidate *c)
{
	json_t *o = json_object();

	put_text(o, "kind", candidate_kind(c->kind));
	put_endpoint(o, "at", &c->at);
	put(o, "nat", json_boolean(c->flags & 1));
	return o;
}

static void put_member(json_t *o, const struct mesh_member_info *i)
{
	static const char *const authority[IKE_AUTHORITIES] = { "certificate", "pool", "rule" };
	json_t *prefixes = json_object(), *candidates = json_array();

	for (size_t k = 0; k < IKE_AUTHORITIES; k++)
		if (i->ts[k].n)
			put_ts(prefixes, authority[k], &i->ts[k]);
	for (size_t k = 0; k < i->n_candidates; k++)
		json_array_append_new(candidates, candidate_json(&i->candidates[k]));
	put(o, "prefixes", prefixes);
	put(o, "candidates", candidates);
}

static bool on_member(void *ctx, const struct mesh_member_info *i)
{
	struct visit *v = ctx;
	json_t *o;

	if (!on_page(v, &i->identity, NULL))
		return true;
	o = json_object();
	put_text(o, "network", i->network->name);
	put_ident(o, "identity", &i->identity);
	put(o, "here", json_boolean(!i->at.type));
	if (i->at.type)
		put_ident(o, "at", &i->at);
	put(o, "partner", json_boolean(i->capabilities & IKE_CAN_PARTNER));
	put_member(o, i);
	put_num(o, "epoch", i->epoch);
	json_array_append_new(v->list, o);
	return true;
}

/* ---- the answer -------------------------------------------------------------------------- */

static json_t *begin(struct visit *v, json_t *o, const char *name)
{
	v->list = json_array();
	put(o, name, v->list);
	return o;
}

json_t *shortcuts_json(const struct host *h, const struct shortcuts_page *page)
{
	struct visit v = { .h = h, .page = page };
	struct now now = plat_now();
	json_t *o = json_object();

	if (page->members) {
		begin(&v, o, "members");
		mesh_each_member(h->mesh, on_member, &v);
	} else {
		begin(&v, o, "wanted");
		if (!page->match && !page->after)
			mesh_each_wanted(h->mesh, now, on_wanted, &v);
		begin(&v, o, "shortcuts");
		mesh_each_shortcut(h->mesh, now, on_shortcut, &v);
		begin(&v, o, "pairs");
		mesh_each_pair(h->mesh, now, on_pair, &v);
	}
	put_num(o, "total", v.seen);
	if (v.more)
		put_num(o, "next", page->after + v.n);
	return o;
}

/* ---- for others -------------------------------------------------------------------------- */

static void count_state(void *ctx, const char *state, size_t n)
{
	put_num(ctx, state, (uint64_t)json_integer_value(json_object_get(ctx, state)) + n);
}

static bool count_shortcut(void *ctx, const struct mesh_shortcut_info *i)
{
	count_state(ctx, i->state, 1);
	return true;
}

/* Addresses that are out of reach, since a hub must not relay. */
static bool count_wanted(void *ctx, const struct mesh_wanted_info *i)
{
	if (!i->in)
		count_state(ctx, "wanted", 1);
	return true;
}

json_t *shortcuts_status_json(const struct host *h)
{
	json_t *o = json_object();

	mesh_each_shortcut(h->mesh, plat_now(), count_shortcut, o);
	mesh_count_pairs(h->mesh, count_state, o);
	mesh_each_wanted(h->mesh, plat_now(), count_wanted, o);
	return o;
}

static void put_place(json_t *list, const struct wire_mesh_where *at)
{
	char buf[IP_TEXT_MAX], name[PUT_TEXT_MAX];
	struct text t = TEXT_OF(name);

	if (at->ip.family)
		text_add(&t, ip_text(&at->ip, buf));
	else
		text_quote(&t, at->name);
	json_array_append_new(list, json_string(name));
}

static bool add_hub(void *ctx, const struct mesh_network *network, const struct wire_mesh_hub *hub,
		    bool connected)
{
	const struct policy_ident id = { hub->id.type, hub->id.data };
	json_t *o = json_object(), *at = json_array();

	put_text(o, "network", network->name);
	put_ident(o, "identity", &id);
	put(o, "connected", json_boolean(connected));
	for (size_t i = 0; i < hub->n_at; i++)
		put_place(at, &hub->at[i]);
	put(o, "at", at);
	json_array_append_new(ctx, o);
	return true;
}

json_t *shortcuts_hubs_json(const struct host *h)
{
	json_t *list = json_array();

	mesh_each_hub(h->mesh, add_hub, list);
	return list;
}

struct search {
	ike_peer_id peer;
	const char *what;
	const char *network; /* found */
	uint64_t number;
};

static bool on_partner(void *ctx, const struct mesh_shortcut_info *i)
{
	struct search *s = ctx;

	if (i->peer == s->peer)
		s->network = i->network->name;
	return !s->network;
}

const char *shortcuts_network(const struct host *h, ike_peer_id partner)
{
	struct search s = { .peer = partner };

	mesh_each_shortcut(h->mesh, plat_now(), on_partner, &s);
	return s.network;
}

static bool is_named(const struct mesh_shortcut_info *i, const char *what)
{
	char number[24], name[PUT_TEXT_MAX];
	struct text t = TEXT_OF(name);

	policy_ident_text(&t, &i->partner);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)i->number);
	return strcmp(name, what) == 0 || strcmp(number, what) == 0;
}

static bool on_meant(void *ctx, const struct mesh_shortcut_info *i)
{
	struct search *s = ctx;

	if (i->peer && is_named(i, s->what)) {
		s->number = i->number;
		s->peer = i->peer;
	}
	return !s->number;
}

bool shortcuts_find(const struct host *h, const char *what, uint64_t *ret_number,
		    ike_peer_id *ret_peer)
{
	struct search s = { .what = what };

	mesh_each_shortcut(h->mesh, plat_now(), on_meant, &s);
	*ret_number = s.number;
	*ret_peer = s.peer;
	return s.number != 0;
}
