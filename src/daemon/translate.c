#include "daemon/translate.h"
#include "daemon/translate_inner.h"
#include "daemon/translate_mesh.h"

#include <stdlib.h>

#define ARENA_MAX ((size_t)64 << 20)

struct snapshot {
	struct ike_conf ike;
	struct mesh_conf mesh; /* beside it */
	struct conf *conf;
	struct crypto_store *store; /* has the certificates */
	struct ike_peer_conf *peers;
	struct arena ar; /* for what is the credentials' or has to be put together */
	ike_peer_id next_id; /* never given to anybody yet, in this snapshot or one before */
};

static void snapshot_free(struct ike_conf *ike)
{
	struct snapshot *s = CONTAINER_OF(ike, struct snapshot, ike);

	conf_unref(s->conf);
	crypto_store_free(s->store);
	arena_done(&s->ar);
	free(s->peers);
	free(s);
}

/* A hub has one for its members, and one for each other hub; a site that is attached to all of its
 * hubs one for each. */
size_t translate_others(const struct conf_network *n, const struct conf_network_creds *c)
{
	if (c->role == CONF_ROLE_HUB)
		return c->n_hubs;
	return n->attach.v == CONF_ATTACH_ALL && c->n_hubs ? c->n_hubs - 1 : 0;
}

static size_t count_sections(const struct conf *conf, const struct conf_creds *creds)
{
	size_t n = conf->n_peers + conf->n_networks, i = 0;

	for (const struct conf_network *net = conf->networks; net; net = net->next)
		n += translate_others(net, conf_creds_network(creds, i++));
	return n;
}

/* calloc() of nothing may be NULL: always one more. */
static struct snapshot *snapshot_new(struct conf *conf, const struct conf_creds *creds)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	arena_init(&s->ar, &mem_libc, ARENA_MAX);
	s->conf = conf_ref(conf);
	s->store = crypto_store_ref(conf_creds_store(creds));
	s->ike.refs = 1;
	s->ike.free = snapshot_free;
	s->peers = calloc(count_sections(conf, creds) + 1, sizeof(*s->peers));
	if (!s->peers) {
		snapshot_free(&s->ike);
		return NULL;
	}
	return s;
}

/* ---- copies ------------------------------------------------------------------------------ */

static enum status copy_texts(struct arena *ar, const char *const *from, size_t n,
			      const char *const **ret)
{
	const char **to = arena_new(ar, n * sizeof(*to));

	if (!to)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct bytes copy;
		enum status st = arena_dup(ar, bytes_of(from[i], strlen(from[i]) + 1), &copy);

		if (st != ST_OK)
			return st;
		to[i] = (const char *)copy.p;
	}
	*ret = to;
	return ST_OK;
}

static enum status copy_ident(struct arena *ar, const struct policy_ident *from,
			      struct policy_ident *ret)
{
	ret->type = from->type;
	return arena_dup(ar, from->data, &ret->data);
}

static enum status copy_idents(struct arena *ar, const struct policy_ident *from, size_t n,
			       const struct policy_ident **ret)
{
	struct policy_ident *to = arena_new(ar, n * sizeof(*to));
	enum status st = to ? ST_OK : ST_NOMEM;

	for (size_t i = 0; i < n && st == ST_OK; i++)
		st = copy_ident(ar, &from[i], &to[i]);
	if (st == ST_OK)
		*ret = to;
	return st;
}

static enum status copy_ts(struct arena *ar, const struct wire_ts_list *from,
			   struct wire_ts_list *ret)
{
	struct bytes copy;
	enum status st = arena_dup(ar, bytes_of(from->ts, from->n * sizeof(*from->ts)), &copy);

	if (st == ST_OK)
		*ret = (struct wire_ts_list){ (const void *)copy.p, from->n, 0 };
	return st;
}

/* ---- peers ------------------------------------------------------------------------------- */

static enum status put_hosts(struct arena *ar, const struct conf_list *from,
			     const char *const **ret_v, size_t *ret_n)
{
	const char **v = arena_new(ar, from->n * sizeof(*v));

	if (!v)
		return ST_NOMEM;
	for (size_t i = 0; i < from->n; i++)
		v[i] = from->v[i].s;
	*ret_v = v;
	*ret_n = from->n;
	return ST_OK;
}

static void put_auth(enum ike_auth_kind kind, const struct conf_peer_creds *creds,
		     struct ike_peer_conf *to)
{
	to->auth = kind;
	to->psk = creds->psk;
	to->key = creds->key;
	to->n_certs = creds->chain.n;
	memcpy(to->certs, creds->chain.certs, sizeof(to->certs));
	to->not_after = creds->chain.not_after;
	to->trust = creds->trust;
	to->trust_hashes = creds->trust_hashes;
	to->revoked = creds->revoked;
	to->n_revoked = creds->n_revoked;
	memcpy(to->own_digest, creds->own_digest, sizeof(to->own_digest));
	memcpy(to->peer_digest, creds->peer_digest, sizeof(to->peer_digest));
}

static enum ike_start start_of(enum conf_start s)
{
	switch (s) {
	case CONF_START_UP: return IKE_START_UP;
	case CONF_START_LISTEN: return IKE_START_LISTEN;
	case CONF_START_TRAFFIC: break;
	}
	return IKE_START_TRAFFIC;
}

/* A tenth on top of a soft limit is time enough for many attempts; who gives the hard one only
 * means both. */
static void put_durations(const struct conf_dur *soft, const struct conf_dur *hard, dur_t *ret_soft,
			  dur_t *ret_hard)
{
	*ret_soft = soft->v;
	*ret_hard = hard->v;
	if (hard->v.ns == 0)
		ret_hard->ns = soft->v.ns + soft->v.ns / 10;
	else if (soft->v.ns >= hard->v.ns)
		ret_soft->ns = hard->v.ns - hard->v.ns / 10;
}

static void put_counts(const struct conf_count *soft, const struct conf_count *hard,
		       uint64_t *ret_soft, uint64_t *ret_hard)
{
	*ret_soft = soft->v ? soft->v : hard->v - hard->v / 10;
	*ret_hard = hard->v ? hard->v : soft->v + soft->v / 10;
}

static void put_life(const struct conf_life *from, struct ike_life *to)
{
	put_durations(&from->ike_rekey, &from->ike_lifetime, &to->ike_soft, &to->ike_hard);
	put_durations(&from->rekey, &from->lifetime, &to->child_soft, &to->child_hard);
	put_counts(&from->rekey_bytes, &from->lifetime_bytes, &to->soft_bytes, &to->hard_bytes);
	put_counts(&from->rekey_packets, &from->lifetime_packets, &to->soft_packets,
		   &to->hard_packets);
	to->reauth = from->reauth.v;
	to->outlive_certs = from->expired.v == CONF_EXPIRED_KEEP;
}

static enum ike_childless childless_of(enum conf_childless c)
{
	switch (c) {
	case CONF_CHILDLESS_FORCE: return IKE_CHILDLESS_FORCE;
	case CONF_CHILDLESS_NEVER: return IKE_CHILDLESS_NEVER;
	case CONF_CHILDLESS_ALLOW: break;
	}
	return IKE_CHILDLESS_ALLOW;
}

static void put_ppk(const struct conf_peer *from, const struct conf_peer_creds *creds,
		    struct ike_peer_conf *to)
{
	to->ppk = creds->ppk;
	if (creds->ppk)
		to->ppk_id = bytes_str(from->ppk_id.s);
	to->ppk_required = from->ppk_required.v == CONF_YES;
}

static enum ike_routability routability_of(enum conf_routability r)
{
	switch (r) {
	case CONF_ROUTABILITY_BEFORE: return IKE_ROUTABILITY_BEFORE;
	case CONF_ROUTABILITY_AFTER: return IKE_ROUTABILITY_AFTER;
	case CONF_ROUTABILITY_NO: break;
	}
	return IKE_ROUTABILITY_NO;
}

static enum status put_steer(struct arena *ar, const struct conf_steer *from,
			     struct ike_peer_conf *to)
{
	to->follow = from->redirect.v == CONF_REDIRECT_FOLLOW;
	to->redirect_above = from->redirect_above.v;
	to->redirect_wait = from->redirect_wait.v;
	to->mtu_probes = from->mtu_probes.v == CONF_YES;
	return put_hosts(ar, &from->redirect_to, &to->redirect_to, &to->n_redirect_to);
}

static enum status put_peer(struct arena *ar, const struct conf_peer *from,
			    const struct conf_peer_creds *creds, struct ike_peer_conf *to)
{
	enum status st;

	to->name = from->name;
	to->role = IKE_ROLE_FIXED;
	to->port = (uint16_t)from->port.v;
	to->local_id = from->local_id.id;
	to->remote_id = from->remote_id.id;
	to->ike = from->proposals.sa;
	to->esp = from->esp_proposals.sa;
	to->ts_local = from->local_ts.ts;
	to->ts_remote = from->remote_ts.ts;
	to->start = start_of((enum conf_start)from->start.v);
	to->dpd_delay = from->dpd_delay.v;
	to->keepalive = from->keepalive.v;
	to->silence = from->silence.v == CONF_YES;
	to->qcd = from->qcd.v == CONF_YES;
	to->fragmentation = from->fragmentation.v == CONF_YES;
	to->mobike = from->mobike.v == CONF_YES;
	to->return_routability = routability_of((enum conf_routability)from->return_routability.v);
	to->nats_allowed = from->nat.v == CONF_YES;
	put_life(&from->life, &to->life);
	to->childless = childless_of((enum conf_childless)from->childless.v);
	put_ppk(from, creds, to);
	put_auth(from->auth == CONF_AUTH_PSK ? IKE_AUTH_PSK : IKE_AUTH_CERT, creds, to);
	translate_virtual(from, to);
	st = put_hosts(ar, &from->address, &to->addresses, &to->n_addresses);
	if (st == ST_OK)
		st = translate_inner(ar, &from->inner, to);
	return st == ST_OK ? put_steer(ar, &from->steer, to) : st;
}

/* ---- networks ---------------------------------------------------------------------------- */

/* RFC 7296 section 2.9: a site asks for everything and the hub narrows it to the domain. */
static const struct wire_ts everything[] = {
	{ .port_end = 65535, .start = { .family = 4 }, .end = { 4, { 255, 255, 255, 255 } } },
	{ .port_end = 65535,
	  .start = { .family = 6 },
	  .end = { 6,
		   { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		     255 } } },
};

/* Whoever of those answers first. */
static enum status put_callee(struct arena *ar, const char *const *hubs,
			      const struct policy_ident *ids, size_t n, struct ike_peer_conf *to)
{
	enum status st = copy_texts(ar, hubs, n, &to->addresses);

	to->role = IKE_ROLE_HUB;
	to->start = IKE_START_UP;
	to->n_addresses = n;
	to->n_hub_ids = n;
	return st == ST_OK ? copy_idents(ar, ids, n, &to->hub_ids) : st;
}

/* Of hubs that it is attached to at once, one; else whichever answers first. */
static enum status put_site(struct arena *ar, const struct conf_network *from,
			    const struct conf_network_creds *creds, struct ike_peer_conf *to)
{
	bool all = from->attach.v == CONF_ATTACH_ALL;
	size_t first = all ? to->rank : 0, n = all && creds->n_hubs ? 1 : creds->n_hubs;
	enum status st = put_callee(ar, &creds->hubs[first], &creds->hub_ids[first], n, to);

	to->capabilities = from->shortcuts.take.v == CONF_YES ? IKE_CAN_PARTNER : 0;
	to->direct = from->shortcuts.direct.v == CONF_DIRECT_REQUIRED;
	to->relayed = from->shortcuts.relayed.ts;
	if (st == ST_OK)
		st = translate_inner(ar, &from->inner, to);
	if (st == ST_OK)
		st = put_steer(ar, &from->steer, to);
	if (to->network) {
		to->follow = false; /* it is where it would be sent to */
		to->capabilities |= IKE_AT_SEVERAL;
	}
	return st == ST_OK ? copy_ts(ar, &creds->protect, &to->ts_local) : st;
}

/* Nobody may have said what it is: then perhaps. */
static bool may_have_family(const struct wire_ts_list *l, uint8_t family)
{
	return l->n == 0 || policy_ts_has_family(l, family);
}

static enum status put_endpoint(struct arena *ar, const struct conf_network *from,
				const struct conf_network_creds *creds, struct ike_peer_conf *to)
{
	to->ask_v4 = may_have_family(&to->domain, 4);
	to->ask_v6 = may_have_family(&to->domain, 6);
	return put_site(ar, from, creds, to);
}

static size_t count_members(const struct conf_network *n)
{
	size_t count = 0;

	for (const struct conf_member *m = n->members; m; m = m->next)
		count++;
	return count;
}

static enum status put_hub(struct arena *ar, const struct conf_network *from,
			   struct ike_peer_conf *to)
{
	size_t n = count_members(from), i = 0;
	struct ike_member_rule *rules = arena_new(ar, n * sizeof(*rules));
	enum status st = rules ? ST_OK : ST_NOMEM;

	if (st == ST_OK)
		st = translate_inner(ar, &from->inner, to);
	if (st == ST_OK)
		st = put_steer(ar, &from->steer, to);
	if (st != ST_OK)
		return st;
	for (const struct conf_member *m = from->members; m; m = m->next)
		rules[i++] = (struct ike_member_rule){ m->id.id, m->prefixes.ts };
	to->role = IKE_ROLE_MEMBERS;
	to->start = IKE_START_LISTEN;
	to->rules = rules;
	to->n_rules = n;
	to->ts_local = to->domain;
	to->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY | IKE_CAN_ASK;
	/* Also in a star: a reload to another topology has to see at once who talks to whom, on
	 * tunnels that stay as they are. */
	to->flows = true;
	return ST_OK;
}

/* "corp/hub2.example": each is connected at the same time, so each is a counterpart. */
static enum status put_hub_name(struct arena *ar, const char *network, const char *hub,
				const char **ret)
{
	size_t n = strlen(network) + 1 + strlen(hub) + 1;
	char *s = arena_new(ar, n);
	struct text t = { s, 0, n };

	if (!s)
		return ST_NOMEM;
	text_fmt(&t, "%s/%s", network, hub);
	*ret = s;
	return ST_OK;
}

/* Another hub, which has members anywhere in the domain as we have. */
static enum status put_other_hub(struct arena *ar, const struct conf_network_creds *creds, size_t i,
				 struct ike_peer_conf *to)
{
	enum status st = put_callee(ar, &creds->hubs[i], &creds->hub_ids[i], 1, to);

	to->ts_local = to->domain;
	to->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY | IKE_CAN_ASK;
	to->flows = true;
	return st == ST_OK ? put_hub_name(ar, to->name, creds->hubs[i], &to->name) : st;
}

/* The sections of a site that is attached to several hubs: the first has the network's name, as the
 * only one of other sites, so that its id, and what is up, stays when that changes. */
static enum status put_attached(struct arena *ar, const struct conf_network *from,
				const struct conf_network_creds *creds, struct ike_peer_conf *first)
{
	size_t n = 1 + translate_others(from, creds);
	enum status st = ST_OK;

	for (size_t i = 0; i < n && st == ST_OK; i++) {
		struct ike_peer_conf *to = &first[i];

		if (i)
			*to = *first;
		to->rank = (unsigned)i;
		to->network = n > 1 ? from->name : NULL;
		if (i)
			st = put_hub_name(ar, from->name, creds->hubs[i], &to->name);
		if (st == ST_OK)
			st = put_site(ar, from, creds, to);
	}
	return st;
}

/* What all sections of a network have in common. */
static enum status put_common(struct arena *ar, const struct conf_network *from,
			      const struct conf_network_creds *creds, struct ike_peer_conf *to)
{
	enum status st = copy_ident(ar, &creds->local_id, &to->local_id);

	to->name = from->name;
	to->port = (uint16_t)from->port.v;
	to->remote_id = (struct policy_ident){ 0 }; /* "%any": the role decides who may */
	to->ike = from->proposals.sa;
	to->esp = from->esp_proposals.sa;
	to->ts_remote = (struct wire_ts_list){ everything, ARRAY_LEN(everything), 0 };
	to->dpd_delay = from->dpd_delay.v;
	to->keepalive = from->keepalive.v;
	to->silence = from->silence.v == CONF_YES;
	to->qcd = from->qcd.v == CONF_YES;
	to->fragmentation = from->fragmentation.v == CONF_YES;
	to->mobike = from->mobike.v == CONF_YES;
	to->return_routability = routability_of((enum conf_routability)from->return_routability.v);
	to->nats_allowed = from->nat.v == CONF_YES;
	put_life(&from->life, &to->life);
	to->childless = childless_of((enum conf_childless)from->childless.v);
	put_auth(IKE_AUTH_CERT, &creds->auth, to);
	to->mtu_probes = from->steer.mtu_probes.v == CONF_YES;
	return st == ST_OK ? copy_ts(ar, &creds->domain, &to->domain) : st;
}

/* One section or several, to what `to` points to. */
static enum status put_network(struct arena *ar, const struct conf_network *from,
			       const struct conf_network_creds *creds, struct ike_peer_conf **to)
{
	size_t others = translate_others(from, creds);
	struct ike_peer_conf *first = *to;
	enum status st = put_common(ar, from, creds, first);

	*to += 1 + others;
	if (st != ST_OK)
		return st;
	switch (creds->role) {
	case CONF_ROLE_HUB:
		for (size_t i = 0; i < others && st == ST_OK; i++) {
			first[1 + i] = *first;
			st = put_other_hub(ar, creds, i, &first[1 + i]);
		}
		return st == ST_OK ? put_hub(ar, from, first) : st;
	case CONF_ROLE_ENDPOINT: return put_endpoint(ar, from, creds, first);
	case CONF_ROLE_SITE: break;
	}
	return put_attached(ar, from, creds, first);
}

/* ---- ids --------------------------------------------------------------------------------- */

struct id_node {
	struct map_node node;
	const struct ike_peer_conf *peer;
};

static bool same_peer(const struct map_node *node, const void *key)
{
	const struct ike_peer_conf *a = CONTAINER_OF(node, const struct id_node, node)->peer;
	const struct ike_peer_conf *b = key;

	return a->role == b->role && strcmp(a->name, b->name) == 0;
}

static uint64_t name_hash(const struct map *m, const struct ike_peer_conf *p)
{
	return map_hash(m, bytes_str(p->name));
}

/* 2^32 ids last for any number of reloads that somebody can ask for. */
static enum status give_ids(struct snapshot *s, const struct map *before)
{
	for (size_t i = 0; i < s->ike.n_peers; i++) {
		struct ike_peer_conf *p = &s->peers[i];
		struct map_node *n = map_find(before, name_hash(before, p), same_peer, p);

		if (n)
			p->id = CONTAINER_OF(n, struct id_node, node)->peer->id;
		else if (s->next_id < IKE_PEER_DYNAMIC)
			p->id = s->next_id++;
		else
			return ST_NOMEM;
	}
	return ST_OK;
}

static enum status take_ids(struct snapshot *s, const struct ike_conf *previous)
{
	static const uint64_t key[2] = { 1, 2 }; /* names of the operator's own choice */
	size_t n = previous ? previous->n_peers : 0;
	struct id_node *nodes = calloc(n + 1, sizeof(*nodes));
	enum status st = nodes ? ST_OK : ST_NOMEM;
	struct map before;

	map_init(&before, &mem_libc, key);
	for (size_t i = 0; nodes && i < n; i++) {
		nodes[i].peer = &previous->peers[i];
		map_insert(&before, &nodes[i].node, name_hash(&before, nodes[i].peer));
	}
	s->next_id = previous ? CONTAINER_OF(previous, const struct snapshot, ike)->next_id : 1;
	if (st == ST_OK)
		st = give_ids(s, &before);
	map_done(&before);
	free(nodes);
	return st;
}

/* ---- all of it --------------------------------------------------------------------------- */

static void put_globals(const struct conf *c, struct ike_conf *to)
{
	to->port = (uint16_t)c->port.v;
	to->nat_port = (uint16_t)c->nat_port.v;
	to->retransmit_timeout = c->retransmit_timeout.v;
	to->retransmit_tries = c->retransmit_tries.v;
	to->half_open_cookie = c->half_open_cookie.v;
	to->half_open_puzzle = c->half_open_puzzle.v;
	to->half_open_max = c->half_open_max.v;
	to->half_open_prefix = c->half_open_prefix.v;
	to->init_rate_cookie = c->init_rate_cookie.v;
	to->puzzle_max = (uint8_t)c->puzzle_max.v;
	to->puzzle_solve = (uint8_t)c->puzzle_solve.v;
	to->force_encap = true; /* until the data plane says that it can do without */
	to->keys = c->keylog.s != NULL;
	to->trace = c->log.v == CONF_LOG_DEBUG;
}

static enum status fill(struct snapshot *s, const struct conf_creds *creds)
{
	struct ike_peer_conf *to = s->peers;
	enum status st = ST_OK;
	size_t i = 0;

	for (const struct conf_peer *p = s->conf->peers; p && st == ST_OK; p = p->next)
		st = put_peer(&s->ar, p, conf_creds_peer(creds, i++), to++);
	i = 0;
	for (const struct conf_network *n = s->conf->networks; n && st == ST_OK; n = n->next)
		st = put_network(&s->ar, n, conf_creds_network(creds, i++), &to);
	s->ike.peers = s->peers;
	s->ike.n_peers = (size_t)(to - s->peers);
	return st;
}

enum status translate(struct conf *conf, const struct conf_creds *creds,
		      const struct ike_conf *previous, struct ike_conf **ret_conf)
{
	struct snapshot *s = snapshot_new(conf, creds);
	enum status st;

	if (!s)
		return ST_NOMEM;
	put_globals(conf, &s->ike);
	st = fill(s, creds);
	if (st == ST_OK)
		st = take_ids(s, previous);
	if (st == ST_OK)
		st = translate_mesh(&s->ar, conf, creds, &s->ike, &s->mesh);
	if (st == ST_OK)
		*ret_conf = &s->ike;
	else
		snapshot_free(&s->ike);
	return st;
}

const struct mesh_conf *translate_mesh_of(const struct ike_conf *conf)
{
	return &CONTAINER_OF(conf, const struct snapshot, ike)->mesh;
}

enum status translate_own(struct ike_conf *conf, const struct ip *own, size_t n)
{
	struct snapshot *s = CONTAINER_OF(conf, struct snapshot, ike);
	enum status st = ST_OK;

	for (size_t i = 0; i < conf->n_peers && st == ST_OK; i++)
		st = translate_reserve(&s->ar, own, n, &s->peers[i]);
	return st;
}
