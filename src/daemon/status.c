#include "daemon/status.h"

#include <unistd.h>

#include "daemon/inner.h"
#include "daemon/leases.h"
#include "daemon/put.h"
#include "daemon/shortcuts.h"

/* ---- status ------------------------------------------------------------------------------ */

static bool engine_counter(const void *ike, size_t index, const char **ret_name,
			   uint64_t *ret_value)
{
	return ike_counter(ike, index, ret_name, ret_value);
}

static bool mesh_counters(const void *mesh, size_t index, const char **ret_name,
			  uint64_t *ret_value)
{
	return mesh_counter(mesh, index, ret_name, ret_value);
}

static bool host_counter(const void *host, size_t index, const char **ret_name, uint64_t *ret_value)
{
	static const char *const names[HOST_COUNTERS] = {
		[HOST_TX_FAILED] = "host.tx.failed",
		[HOST_TX_FULL] = "host.tx.full",
		[HOST_TX_TOO_BIG] = "host.tx.too_big",
		[HOST_LOOKUP_FAILED] = "host.lookup.failed",
		[HOST_KEYLOG_FAILED] = "host.keylog.failed",
		[HOST_NET_LOOKS] = "host.net.looks",
		[HOST_NET_PUT_OFF] = "host.net.put_off",
		[HOST_CLOCK_SET] = "host.clock.set",
		[HOST_INNER_FAILED] = "host.inner.failed",
	};
	const struct host *h = host;

	if (index >= HOST_COUNTERS)
		return false;
	*ret_name = names[index];
	*ret_value = h->counters[index];
	return true;
}

static enum status add_counters(const struct host *h, json_t *o)
{
	enum status st = obs_counters_add(o, engine_counter, h->ike);

	if (st == ST_OK)
		st = obs_counters_add(o, mesh_counters, h->mesh);
	if (st == ST_OK)
		st = obs_counters_add(o, host_counter, h);
	if (st == ST_OK)
		st = obs_counters_add(o, ctl_server_counter, h->ctl);
	if (st == ST_OK)
		st = obs_counters_add(o, guarding_counter, h);
	if (st == ST_OK)
		st = obs_counters_add(o, leases_counter, h);
	return st;
}

static json_t *dataplane_json(const struct host *h)
{
	json_t *o = json_object(), *counters = json_object();

	put_text(o, "kind", dataplane_name(h->dp));
	put_text(o, "interface", h->tun.name);
	put_num(o, "mtu", h->mtu);
	if (obs_counters_add(counters, dataplane_counter, h->dp) != ST_OK) {
		json_decref(counters);
		counters = NULL;
	}
	put(o, "counters", counters);
	return o;
}

/* ---- networks and the signer --------------------------------------------------------------- */

static bool on_network_sa(void *ctx, const struct ike_sa_info *sa)
{
	json_t **hub = ctx;

	if (!sa->established || sa->n_children == 0)
		return true;
	*hub = json_object();
	put_endpoint(*hub, "address", &sa->remote);
	put_ident(*hub, "identity", &sa->remote_id);
	put_age(*hub, sa->age);
	return false;
}

const char *status_role(const struct ike_peer_conf *c)
{
	/* Towards other hubs, too. */
	if (c->role == IKE_ROLE_MEMBERS || c->capabilities & IKE_CAN_HUB)
		return conf_role_name(CONF_ROLE_HUB);
	return conf_role_name(c->ts_local.n ? CONF_ROLE_SITE : CONF_ROLE_ENDPOINT);
}

static void put_site(json_t *o, const struct host *h, const struct ike_peer_conf *c)
{
	json_t *hub = NULL; /* not connected */

	put_strings(o, "hubs", c->addresses, c->n_addresses);
	put_ts(o, "protect", &c->ts_local);
	put_ts(o, "domain", &c->domain);
	ike_each_sa_of(h->ike, plat_now(), c->id, on_network_sa, &hub);
	if (hub)
		put(o, "hub", hub);
}

static const struct conf_network *network_section(const struct host *h, const char *name)
{
	const struct conf_network *n = h->conf->networks;

	while (n && strcmp(n->name, name) != 0)
		n = n->next;
	return n;
}

static const char *topology_name(const struct host *h, const char *name)
{
	const struct conf_network *n = network_section(h, name);

	return conf_topology_name(n ? n->suggest.topology.v : CONF_TOPOLOGY_DYNAMIC);
}

/* ---- inner addresses ----------------------------------------------------------------------- */

static json_t *family_json(const struct ike_pool_family *f)
{
	json_t *o = json_object();

	put_num(o, "size", f->size);
	put_num(o, "free", f->left);
	return o;
}

/* Of whoever gives some out. */
static void put_pool(json_t *o, const struct host *h, const struct ike_peer_conf *c)
{
	json_t *pool, *ranges = json_array();
	struct ike_pool_info i;

	for (size_t k = 0; k < c->n_pool; k++) {
		const struct wire_ts ts = policy_range_ts(&c->pool[k]);
		char buf[PUT_TEXT_MAX];
		struct text t = TEXT_OF(buf);

		policy_ts_text(&t, &ts);
		json_array_append_new(ranges, json_string(buf));
	}
	if (!ike_pool(h->ike, c->id, &i)) {
		json_decref(ranges);
		return;
	}
	pool = json_object();
	put(pool, "ranges", ranges);
	put(pool, "v4", family_json(&i.v4));
	put(pool, "v6", family_json(&i.v6));
	put_num(pool, "leases", i.leases);
	put_num(pool, "connected", i.in_use);
	put(o, "pool", pool);
}

/* What we leased to it, or what it gave us. */
static void put_inner(json_t *o, const struct ike_peer_info *p)
{
	char buf[IP_TEXT_MAX];
	json_t *list;

	if (p->n_inner == 0)
		return;
	list = json_array();
	for (size_t i = 0; i < p->n_inner; i++)
		json_array_append_new(list, json_string(ip_text(&p->inner[i], buf)));
	put(o, "inner", list);
}

static void put_hub(json_t *o, const struct host *h, const struct ike_peer_conf *c)
{
	put_text(o, "topology", topology_name(h, c->name));
	put_ts(o, "domain", &c->domain);
	put_num(o, "rules", c->n_rules);
	put_num(o, "revoked", c->n_revoked);
	put_pool(o, h, c);
}

static json_t *networks_json(const struct host *h)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->ike_conf->n_peers; i++) {
		const struct ike_peer_conf *c = &h->ike_conf->peers[i];
		json_t *o;

		if (c->role == IKE_ROLE_FIXED)
			continue;
		o = json_object();
		put_text(o, "name", c->name);
		put_text(o, "role", status_role(c));
		put_ident(o, "local_id", &c->local_id);
		if (c->role == IKE_ROLE_HUB)
			put_site(o, h, c);
		else
			put_hub(o, h, c);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *signer_json(const struct host *h)
{
	struct signer_counts n = signer_counts(h->signer);
	json_t *o = json_object();

	put_num(o, "pid", (uint64_t)signer_pid(h->signer));
	put_num(o, "done", n.done);
	put_num(o, "refused_key", n.unknown);
	put_num(o, "refused_shape", n.shape);
	put_num(o, "refused_rate", n.rate);
	put_num(o, "failed", n.failed);
	put_text(o, "warning", signer_warning(h->signer));
	return o;
}

/* What newcomers are asked for, and why (RFC 8019). */
static json_t *load_json(const struct host *h)
{
	struct ike_load_info l = ike_load(h->ike);
	char buf[PREFIX_TEXT_MAX];
	json_t *o = json_object();

	put_text(o, "level", ike_load_name(l.level));
	put_num(o, "half_open", l.half_open);
	put_num(o, "half_open_max", l.half_open_max);
	put_num(o, "known", l.known);
	put_num(o, "solved", l.solved);
	put_num(o, "prefixes", l.prefixes);
	put_text(o, "worst_prefix", l.worst.ip.family ? prefix_text(&l.worst, buf) : "");
	put_num(o, "worst_half_open", l.worst_half_open);
	put_num(o, "bytes", l.bytes);
	put_num(o, "key_exchanges", l.key_exchanges);
	put_num(o, "verifications", l.verifications);
	put_num(o, "puzzle_bits", l.puzzle_bits);
	return o;
}

static bool on_redirect(void *ctx, const struct ike_redirect_info *info)
{
	json_t *o = json_object();

	put_text(o, "peer", info->name);
	put_text(o, "gateway", info->gateway);
	json_array_append_new(ctx, o);
	return true;
}

/* Orders to send callers on; those of the configuration are in it. */
static json_t *redirects_json(const struct host *h)
{
	json_t *list = json_array();

	ike_each_redirect(h->ike, on_redirect, list);
	return list;
}

json_t *status_json(const struct host *h)
{
	struct ike_totals totals = ike_totals(h->ike);
	json_t *o = json_object(), *counters = json_object();

	put_text(o, "version", WARREN_VERSION);
	put_num(o, "pid", (uint64_t)getpid());
	put_num(o, "uptime_s", (uint64_t)(mono_since(plat_mono(), h->started).ns / 1000000000));
	put_num(o, "ike_sas", totals.sas);
	put_num(o, "child_sas", totals.children);
	put_num(o, "half_open", totals.half_open);
	put(o, "load", load_json(h));
	if (add_counters(h, counters) != ST_OK) {
		json_decref(counters);
		json_decref(o);
		return NULL;
	}
	put(o, "counters", counters);
	put(o, "dataplane", dataplane_json(h));
	put(o, "addresses", roam_json(h));
	put(o, "block", guarding_json(h));
	put(o, "networks", networks_json(h));
	put(o, "shortcuts", shortcuts_status_json(h));
	put(o, "hubs", shortcuts_hubs_json(h));
	put(o, "redirects", redirects_json(h));
	put(o, "signer", signer_json(h));
	put(o, "inner", inner_json(h));
	put(o, "names", inner_names_json(h));
	if (h->leases)
		put(o, "store", leases_status_json(h));
	return o;
}

/* ---- peers ------------------------------------------------------------------------------- */

/* Linear in the product of the lengths at worst: the pattern comes from a client. */
bool status_matches_text(const char *pattern, const char *s)
{
	const char *star = NULL, *retry = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			retry = s;
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool status_matches(const char *pattern, const struct policy_ident *id)
{
	char buf[PUT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	policy_ident_text(&t, id);
	return status_matches_text(pattern, buf);
}

/* The page is the first `limit` that match, in the order of their ids, above `after`. */
struct visit {
	const struct host *h;
	struct now now;
	const struct status_page *page;
	json_t *list;
	ike_peer_id last; /* on the page */
	size_t total; /* peers that match, on whatever page; counted only where there is a pattern
		       */
	bool more; /* there are ids behind this page */
	json_t *sas; /* of the peer that is visited */
	json_t *children; /* of the SA that is visited */
};

static bool on_child(void *ctx, const struct ike_child_info *c)
{
	struct visit *v = ctx;
	struct dp_counters n = { 0 };
	json_t *o = json_object();

	put_hex(o, "spi_in", 8, c->spi_in);
	put_hex(o, "spi_out", 8, c->spi_out);
	put_suite(o, &c->suite);
	put_ts(o, "local_ts", &c->ts_local);
	put_ts(o, "remote_ts", &c->ts_remote);
	/* Not installed yet, or just gone: nothing was counted. */
	(void)dataplane_child(v->h->dp, c->id, &n);
	put_num(o, "bytes_in", n.bytes_in);
	put_num(o, "bytes_out", n.bytes_out);
	put_num(o, "packets_in", n.packets_in);
	put_num(o, "packets_out", n.packets_out);
	put_num(o, "dropped_in", n.dropped_in);
	put(o, "installed", json_boolean(c->installed));
	put_age(o, c->age);
	put_until(o, "rekey_in_s", c->rekey_in);
	put_until(o, "end_in_s", c->end_in);
	json_array_append_new(v->children, o);
	return true;
}

static json_t *sa_json(const struct ike_sa_info *sa, json_t *children)
{
	json_t *o = json_object();

	put_hex(o, "spi_i", 16, sa->spi_i);
	put_hex(o, "spi_r", 16, sa->spi_r);
	put(o, "initiator", json_boolean(sa->initiator));
	put_text(o, "state", sa->state);
	put_age(o, sa->age);
	put_until(o, "rekey_in_s", sa->rekey_in);
	put_until(o, "reauth_in_s", sa->reauth_in);
	put_until(o, "end_in_s", sa->end_in);
	put(o, "suspect", json_boolean(sa->suspect));
	put(o, "ppk", json_boolean(sa->ppk));
	put(o, "mobike", json_boolean(sa->mobike));
	put(o, "warren", json_boolean(sa->warren));
	put(o, "decides", json_boolean(sa->decides));
	put(o, "checking", json_boolean(sa->checking));
	put_endpoint(o, "local", &sa->local);
	put_endpoint(o, "remote", &sa->remote);
	put_suite(o, &sa->suite);
	put_ident(o, "remote_id", &sa->remote_id);
	if (sa->path_mtu) {
		put_num(o, "path_mtu", sa->path_mtu);
		put(o, "path_mtu_probed", json_boolean(sa->path_mtu_probed));
		put(o, "path_mtu_assumed", json_boolean(sa->path_mtu_assumed));
	}
	put(o, "nat_local", json_boolean(sa->nat_local));
	put(o, "nat_remote", json_boolean(sa->nat_remote));
	put_text(o, "auth_local", sa->auth_local);
	put_text(o, "auth_remote", sa->auth_remote);
	put(o, "child_sas", children);
	return o;
}

static bool on_sa(void *ctx, const struct ike_sa_info *sa)
{
	struct visit *v = ctx;

	v->children = json_array();
	ike_each_child(v->h->ike, v->now, sa, on_child, v);
	json_array_append_new(v->sas, sa_json(sa, v->children));
	return true;
}

static const char *start_name(enum ike_start s)
{
	switch (s) {
	case IKE_START_UP: return "up";
	case IKE_START_LISTEN: return "listen";
	case IKE_START_TRAFFIC: break;
	}
	return "traffic";
}

static const char *peer_kind(const struct ike_peer_info *p)
{
	if (p->id >= IKE_PEER_DYNAMIC && p->conf->role != IKE_ROLE_PARTNER)
		return "member";
	switch (p->conf->role) {
	case IKE_ROLE_HUB:
	case IKE_ROLE_MEMBERS: return "network";
	case IKE_ROLE_PARTNER: return "partner";
	case IKE_ROLE_FIXED: break;
	}
	return "peer";
}

/* What only networks have. */
static void put_network(json_t *o, const struct host *h, const struct ike_peer_conf *c, bool leads)
{
	put_text(o, "role", status_role(c));
	put_ts(o, "domain", &c->domain);
	if (c->network)
		put(o, "leads", json_boolean(leads));
	if (c->role == IKE_ROLE_HUB)
		put_ts(o, "protect", &c->ts_local);
	else
		put_text(o, "topology", topology_name(h, c->name));
}

static void put_member(json_t *o, const struct host *h, const struct ike_peer_info *p)
{
	struct wire_ts_list allowed = { 0 };
	char buf[IKE_EVENT_TEXT_MAX];
	struct text by = TEXT_OF(buf);
	struct arena ar;

	put_text(o, "section", p->conf->name);
	if (p->conf->role != IKE_ROLE_MEMBERS)
		return;
	arena_init(&ar, &mem_libc, 2048);
	if (ike_peer_authority(h->ike, p->id, &ar, &by, &allowed) == ST_NOMEM)
		text_add(&by, "out of memory");
	put_ts(o, "authorised", &allowed);
	put_text(o, "authority", buf);
	arena_done(&ar);
}

/* The network that it is a partner in, once the mesh knows it. */
static void put_partner(json_t *o, const struct host *h, const struct ike_peer_info *p)
{
	const char *network = shortcuts_network(h, p->id);

	if (network)
		put_text(o, "section", network);
}

/* Where a gateway sent us. */
static json_t *redirect_json(const struct ike_peer_info *p)
{
	json_t *o = json_object();
	char buf[IP_TEXT_MAX];

	put_text(o, "gateway", p->gateway);
	put_text(o, "by", ip_text(&p->sent_by, buf));
	put_num(o, "times", p->sent_on);
	put_until(o, "held_s", p->held_in);
	return o;
}

static json_t *peer_json(struct visit *v, const struct ike_peer_info *p)
{
	const char *kind = peer_kind(p);
	json_t *o = json_object();

	put_text(o, "name", p->name);
	put_text(o, "kind", kind);
	put_text(o, "state", p->state);
	put_ident(o, "local_id", &p->conf->local_id);
	put_ident(o, "remote_id", p->remote_id.type ? &p->remote_id : &p->conf->remote_id);
	put_text(o, "start", start_name(p->conf->start));
	put_text(o, "last_error", p->last_error);
	if (p->retry_in.ns >= 0)
		put_num(o, "retry_in_s", (uint64_t)(p->retry_in.ns / 1000000000));
	if (strcmp(kind, "network") == 0)
		put_network(o, v->h, p->conf, p->leads);
	else if (strcmp(kind, "member") == 0)
		put_member(o, v->h, p);
	else if (strcmp(kind, "partner") == 0)
		put_partner(o, v->h, p);
	if (p->gateway)
		put(o, "redirect", redirect_json(p));
	put_inner(o, p);
	if (p->id < IKE_PEER_DYNAMIC)
		put_pool(o, v->h, p->conf);
	v->sas = json_array();
	ike_each_sa_of(v->h->ike, v->now, p->id, on_sa, v);
	put(o, "ike_sas", v->sas);
	return o;
}

/* With a pattern all are looked at, for how many match. */
static bool on_peer(void *ctx, const struct ike_peer_info *p)
{
	struct visit *v = ctx;
	const char *match = v->page->match;

	if (match && !status_matches_text(match, p->name))
		return true;
	v->total++;
	if (p->id <= v->page->after)
		return true;
	if (json_array_size(v->list) == v->page->limit) {
		v->more = true;
		return match != NULL;
	}
	json_array_append_new(v->list, peer_json(v, p));
	v->last = p->id;
	return true;
}

json_t *status_peers_json(const struct host *h, const struct status_page *page)
{
	struct visit v = { .h = h, .now = plat_now(), .page = page, .list = json_array() };
	json_t *o = json_object();

	ike_each_peer(h->ike, v.now, page->match ? 0 : page->after, on_peer, &v);
	put(o, "peers", v.list);
	put_num(o, "total", page->match ? v.total : ike_totals(h->ike).peers);
	if (v.more)
		put_num(o, "next", v.last);
	return o;
}
