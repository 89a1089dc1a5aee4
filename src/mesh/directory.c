/*
 * directory.c - the members of a hub: who they are, what they serve, where they can be reached, and
 * since when.
 *
 * What the engine says of a peer is asked for anew whenever something happened to it, and compared
 * with what the directory has: what happened does not matter, only what is different.
 */
#include "mesh/hub.h"

_Static_assert(sizeof(struct entry) <= MESH_ENTRY_MAX, "a member costs more than it may");

/* ---- finding ------------------------------------------------------------------------------- */

static bool same_ident(const struct map_node *n, const void *key)
{
	return policy_ident_eq(&CONTAINER_OF(n, const struct entry, by_ident)->ident, key);
}

struct entry *entry_by_ident(const struct hub *h, const struct policy_ident *id)
{
	struct map_node *n =
		map_find(&h->by_ident, policy_ident_hash(h->net->m->key, id), same_ident, id);

	return n ? CONTAINER_OF(n, struct entry, by_ident) : NULL;
}

static bool same_peer(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct entry, by_peer)->peer == *(const ike_peer_id *)key;
}

static uint64_t peer_hash(const struct hub *h, ike_peer_id peer)
{
	return map_hash(&h->by_peer, bytes_of(&peer, sizeof(peer)));
}

struct entry *entry_by_peer(const struct hub *h, ike_peer_id peer)
{
	struct map_node *n = map_find(&h->by_peer, peer_hash(h, peer), same_peer, &peer);

	return n ? CONTAINER_OF(n, struct entry, by_peer) : NULL;
}

struct entry *entry_by_address(const struct hub *h, const struct ip *a)
{
	return policy_table_find(h->prefixes, a);
}

/* ---- slots --------------------------------------------------------------------------------- */

static enum status more_slots(struct hub *h)
{
	const struct alloc *mem = h->net->m->mem;
	uint32_t cap = h->cap_slots ? h->cap_slots * 2 : 16;
	struct entry **slots = mem_new(mem, cap * sizeof(struct entry *));

	if (!slots)
		return ST_NOMEM;
	if (h->n_slots)
		memcpy(slots, h->slots, h->n_slots * sizeof(struct entry *));
	mem_free(mem, h->slots);
	h->slots = slots;
	h->cap_slots = cap;
	return ST_OK;
}

static enum status slot_take(struct hub *h, struct entry *e)
{
	while (h->free_slot < h->n_slots && h->slots[h->free_slot])
		h->free_slot++;
	if (h->free_slot == h->cap_slots && more_slots(h))
		return ST_NOMEM;
	e->slot = h->free_slot++;
	h->slots[e->slot] = e;
	if (e->slot == h->n_slots)
		h->n_slots++;
	return ST_OK;
}

static void slot_give(struct hub *h, struct entry *e)
{
	h->slots[e->slot] = NULL;
	if (e->slot < h->free_slot)
		h->free_slot = e->slot;
}

/* ---- entries ------------------------------------------------------------------------------- */

static void entry_free(struct hub *h, struct entry *e)
{
	struct mesh *m = h->net->m;

	walk_end(h, e);
	route_drop(e);
	list_del(&e->late);
	list_del(&e->unspoken);
	list_del(&e->uninformed);
	list_del(&e->change.node);
	map_remove(&h->by_ident, &e->by_ident);
	slot_give(h, e);
	ident_done(m, &e->ident);
	ident_done(m, &e->at);
	for (size_t i = 0; i < IKE_AUTHORITIES; i++)
		ts_done(m, &e->ts[i]);
	mem_free(m->mem, e->own);
	mem_free(m->mem, e);
}

void entry_settle(struct hub *h, struct entry *e)
{
	if (!entry_present(e) && list_empty(&e->pairs))
		entry_free(h, e);
}

static struct entry *entry_new(struct hub *h, const struct policy_ident *id)
{
	struct mesh *m = h->net->m;
	struct entry *e = mem_new(m->mem, sizeof(*e));

	if (!e)
		return NULL;
	if (ident_dup(m, id, &e->ident) || slot_take(h, e)) {
		ident_done(m, &e->ident);
		mem_free(m->mem, e);
		return NULL;
	}
	list_init(&e->late);
	list_init(&e->unspoken);
	list_init(&e->uninformed);
	list_init(&e->change.node);
	list_init(&e->pairs);
	list_init(&e->walk);
	list_init(&e->blocked);
	e->told = e->slow_until = (mono_t){ INT64_MIN / 2 };
	map_insert(&h->by_ident, &e->by_ident, policy_ident_hash(m->key, id));
	return e;
}

/* ---- what it serves ------------------------------------------------------------------------ */

static void for_prefixes(struct hub *h, struct entry *e, const struct wire_ts_list *l, bool put)
{
	struct prefix p[MESH_TS_PREFIXES];

	for (size_t i = 0; i < l->n; i++) {
		size_t n = policy_ts_prefixes(&l->ts[i], p, ARRAY_LEN(p));

		for (size_t k = 0; k < n; k++) {
			if (put && policy_table_set(h->prefixes, &p[k], e, NULL))
				count(h->net->m, M_NO_MEMORY);
			else if (!put && policy_table_exact(h->prefixes, &p[k]) == e)
				(void)policy_table_remove(h->prefixes, &p[k]);
		}
	}
}

static void all_prefixes(struct hub *h, struct entry *e, bool put)
{
	for (size_t i = 0; i < IKE_AUTHORITIES; i++)
		for_prefixes(h, e, &e->ts[i], put);
}

/* Whether all of `inner` is in `outer`, by the same word. */
static bool covers(const struct wire_ts_list outer[static IKE_AUTHORITIES],
		   const struct wire_ts_list inner[static IKE_AUTHORITIES])
{
	for (size_t i = 0; i < IKE_AUTHORITIES; i++)
		if (inner[i].n && !policy_ts_subset(&inner[i], &outer[i]))
			return false;
	return true;
}

/* ST_OK: it is another list now; ST_AGAIN: it is as it was. */
static enum status serve(struct hub *h, struct entry *e,
			 const struct wire_ts_list ts[static IKE_AUTHORITIES])
{
	struct wire_ts_list copy[IKE_AUTHORITIES] = { 0 };
	struct mesh *m = h->net->m;
	enum status st = ST_OK;

	if (covers(e->ts, ts) && covers(ts, e->ts))
		return ST_AGAIN;
	for (size_t i = 0; i < IKE_AUTHORITIES && !st; i++)
		st = ts_dup(m, &ts[i], &copy[i]);
	if (!st) {
		all_prefixes(h, e, false);
		route_drop(e);
	}
	for (size_t i = 0; i < IKE_AUTHORITIES; i++) {
		struct wire_ts_list *drop = st ? &copy[i] : &e->ts[i];

		ts_done(m, drop);
		if (!st)
			e->ts[i] = copy[i];
	}
	return st;
}

size_t entry_ts(const struct entry *e, struct wire_mesh_ts ret[static IKE_AUTHORITIES])
{
	size_t room = WIRE_MESH_TS, n = 0;

	for (uint8_t i = 0; i < IKE_AUTHORITIES; i++) {
		struct wire_ts_list l = e->ts[i];

		if (l.n > room)
			l.n = room;
		if (l.n)
			ret[n++] = (struct wire_mesh_ts){ i, l };
		room -= l.n;
	}
	return n;
}

/* ---- where it is --------------------------------------------------------------------------- */

/* What is no place for anybody; the rest is for its partners to judge, who know what of it would
 * be inside their network. */
static bool is_place(const struct wire_mesh_candidate *c)
{
	return (c->kind == WIRE_MC_HOST || c->kind == WIRE_MC_CONFIGURED) && c->at.port &&
	       ip_is_host(&c->at.ip) && !ip_is_link_local(&c->at.ip);
}

static bool same_candidate(const struct wire_mesh_candidate *a, const struct wire_mesh_candidate *b)
{
	return a->kind == b->kind && a->flags == b->flags && a->priority == b->priority &&
	       endpoint_eq(&a->at, &b->at);
}

/* The best come first; one place is for the address that we see. */
static size_t best(const struct wire_mesh_candidate *c, size_t n, struct wire_mesh_candidate *ret)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		size_t at = k;

		if (!is_place(&c[i]))
			continue;
		while (at && ret[at - 1].priority < c[i].priority)
			at--;
		if (k == MESH_OWN_CANDIDATES && at == k)
			continue;
		if (k < MESH_OWN_CANDIDATES)
			k++;
		memmove(&ret[at + 1], &ret[at], (k - 1 - at) * sizeof(*ret));
		ret[at] = c[i];
		ret[at].flags = 0;
	}
	return k;
}

bool entry_offers(struct hub *h, struct entry *e, const struct wire_mesh_candidate *c, size_t n)
{
	struct wire_mesh_candidate b[MESH_OWN_CANDIDATES], *own;
	size_t k = best(c, n, b);
	bool same = k == e->n_own;

	for (size_t i = 0; same && i < k; i++)
		same = same_candidate(&b[i], &e->own[i]);
	if (same)
		return false;
	own = k ? mem_new(h->net->m->mem, k * sizeof(*own)) : NULL;
	if (k && !own) {
		count(h->net->m, M_NO_MEMORY);
		return false;
	}
	if (k)
		memcpy(own, b, k * sizeof(*own));
	mem_free(h->net->m->mem, e->own);
	e->own = own;
	e->n_own = k;
	share_news(h, e);
	return true;
}

size_t entry_candidates(const struct entry *e,
			struct wire_mesh_candidate ret[static WIRE_MESH_CANDIDATES])
{
	size_t n = e->n_own;
	bool known = e->seen.at.port == 0;

	for (size_t i = 0; i < n; i++) {
		ret[i] = e->own[i];
		known |= endpoint_eq(&ret[i].at, &e->seen.at);
	}
	if (!known)
		ret[n++] = e->seen;
	return n;
}

static void tell_partners(struct hub *h, struct entry *e)
{
	list_for_each(n, &e->pairs) {
		struct side *s = CONTAINER_OF(n, struct side, node);

		if (pair_pending(s->pair) || s->pair->state == PAIR_UP)
			say_candidates(h, s->pair, pair_side(s->pair, e));
	}
}

/* Each news costs a word to each partner: whoever has news all the time waits. */
bool entry_moved(struct hub *h, struct entry *e)
{
	mono_t now = h->net->m->now.mono, due = mono_add(e->told, dur_ms(MESH_MOVED_MS));

	if (list_empty(&e->pairs))
		return true;
	if (!list_empty(&e->late))
		return false;
	if (mono_before(now, due)) {
		e->told = due;
		list_add_tail(&h->late, &e->late);
		hub_arm(h);
		return false;
	}
	e->told = now;
	tell_partners(h, e);
	return true;
}

void entry_late(struct hub *h)
{
	mono_t now = h->net->m->now.mono;

	list_for_each_safe(n, &h->late) {
		struct entry *e = CONTAINER_OF(n, struct entry, late);

		if (mono_before(now, e->told))
			continue;
		list_del(&e->late);
		tell_partners(h, e);
	}
}

/* ---- what it has already -------------------------------------------------------------------- */

static void listen(struct hub *h, struct entry *e)
{
	e->spoken = false;
	e->patience = mono_add(h->net->m->now.mono, dur_s(MESH_SILENT_S));
	list_del(&e->unspoken);
	list_add_tail(&h->unspoken, &e->unspoken);
	hub_arm(h);
}

void entry_speaks(struct hub *h, struct entry *e)
{
	if (!e->spoken)
		listen(h, e);
}

void entry_spoke(struct hub *h, struct entry *e)
{
	if (e->spoken)
		return;
	e->spoken = true;
	list_del(&e->unspoken);
	share_news(h, e);
	list_for_each(n, &e->pairs)
		pair_hurry(h, CONTAINER_OF(n, struct side, node)->pair);
	walk_begin(h, e);
}

void entry_silent(struct hub *h)
{
	list_for_each_safe(n, &h->unspoken) {
		struct entry *e = CONTAINER_OF(n, struct entry, unspoken);

		if (mono_before(h->net->m->now.mono, e->patience))
			return;
		entry_spoke(h, e);
	}
}

/* ---- coming, changing, going --------------------------------------------------------------- */

/* What the engine says of the newest SA. */
struct attachment {
	ike_sa_id sa;
	uint8_t capabilities;
	bool nat, ppk;
	struct endpoint local, remote;
};

static bool newest(void *ctx, const struct ike_sa_info *info)
{
	struct attachment *at = ctx;

	if (info->established && info->id > at->sa)
		*at = (struct attachment){ info->id,  info->capabilities, info->nat_remote,
					   info->ppk, info->local,        info->remote };
	return true;
}

/* Where others would reach it: the port of the SA means something to others only if it is a
 * mapping of its NAT's. */
static struct wire_mesh_candidate seen_of(const struct mesh *m, const struct attachment *at)
{
	uint16_t nat_port = m->conf->ike->nat_port;
	bool mapped = at->nat && at->local.port == nat_port;

	return (struct wire_mesh_candidate){
		.kind = WIRE_MC_SEEN,
		.flags = at->nat,
		.priority = MESH_PRIORITY_SEEN,
		.at = { at->remote.ip, mapped ? at->remote.port : nat_port },
	};
}

/* Larger than any before, also when the clock was set back, or another hub's is ahead. */
static uint64_t epoch_next(struct hub *h, const struct entry *e)
{
	const struct now *now = &h->net->m->now;
	uint64_t t = now->wall_ok ? (uint64_t)now->wall.s * 1000
				  : (uint64_t)dur_to_ms((dur_t){ now->mono.ns });

	if (h->last_epoch < e->epoch)
		h->last_epoch = e->epoch;
	h->last_epoch = t > h->last_epoch ? t : h->last_epoch + 1;
	return h->last_epoch;
}

/* From now on it is there. */
static enum status attach(struct hub *h, struct entry *e, const struct standing *s)
{
	struct policy_ident at = { 0 };

	if (s->at && ident_dup(h->net->m, s->at, &at))
		return ST_NOMEM;
	if (e->peer)
		map_remove(&h->by_peer, &e->by_peer);
	ident_done(h->net->m, &e->at);
	e->at = at;
	e->peer = s->peer;
	e->epoch = s->epoch;
	if (e->peer)
		map_insert(&h->by_peer, &e->by_peer, peer_hash(h, e->peer));
	listen(h, e);
	return ST_OK;
}

/* Its pairs are judged by what it is now. */
static void entry_changed(struct hub *h, struct entry *e, bool withdrawn, bool served)
{
	list_for_each_safe(n, &e->pairs) {
		struct pair *p = CONTAINER_OF(n, struct side, node)->pair;

		if (withdrawn && (p->state == PAIR_UP || pair_pending(p)))
			pair_withdraw(h, p, WIRE_MR_AUTHORITY, "its prefixes are others now");
		p->stale |= served && p->state == PAIR_UP;
		pair_judge(h, p);
		pair_changed(h, p);
		pair_elsewhere(h, p);
	}
	walk_begin(h, e);
}

static bool elsewhere(const struct entry *e, const struct standing *s)
{
	return e->peer != s->peer || e->epoch != s->epoch ||
	       (s->at ? !policy_ident_eq(&e->at, s->at) : e->at.type != 0);
}

enum status entry_stands(struct hub *h, struct entry *e, const struct standing *s)
{
	struct mesh *m = h->net->m;
	bool fresh = elsewhere(e, s), lost = !covers(s->ts, e->ts);
	bool able = e->capabilities != s->capabilities;
	bool moved = !same_candidate(&s->seen, &e->seen);
	bool safer = e->post_quantum != s->post_quantum;
	enum status served;

	if (fresh && attach(h, e, s)) {
		count(m, M_NO_MEMORY);
		return ST_NOMEM;
	}
	e->seen = s->seen;
	e->capabilities = s->capabilities;
	e->post_quantum = s->post_quantum;
	served = serve(h, e, s->ts);
	if (served == ST_NOMEM) { /* what we know of it is wrong: nobody is told */
		count(m, M_NO_MEMORY);
		e->capabilities = 0;
	}
	all_prefixes(h, e, true);
	route_entry(h, e);
	if (fresh || able || lost || !served)
		entry_changed(h, e, lost, !served);
	if (moved)
		(void)entry_moved(h, e);
	if (fresh || able || lost || !served || moved || safer)
		share_news(h, e);
	return served == ST_NOMEM ? ST_NOMEM : ST_OK;
}

void entry_leaves(struct hub *h, struct entry *e)
{
	if (entry_here(e))
		share_gone(h, e);
	all_prefixes(h, e, false);
	route_drop(e);
	if (e->peer)
		map_remove(&h->by_peer, &e->by_peer);
	ident_done(h->net->m, &e->at);
	e->peer = 0;
	walk_end(h, e);
	list_del(&e->late);
	list_del(&e->unspoken);
	list_del(&e->uninformed);
	list_for_each_safe(n, &e->pairs)
		pair_left(h, CONTAINER_OF(n, struct side, node)->pair, e);
	entry_settle(h, e);
}

struct entry *entry_get(struct hub *h, const struct policy_ident *id)
{
	struct entry *e = entry_by_ident(h, id);

	if (!e)
		e = entry_new(h, id);
	if (!e)
		count(h->net->m, M_NO_MEMORY);
	return e;
}

/* What was left of it here is no more: it is at another hub. */
static void entry_parts(struct hub *h, struct entry *e)
{
	bool was_here = entry_here(e);

	if (was_here)
		share_gone(h, e);
	map_remove(&h->by_peer, &e->by_peer);
	e->peer = 0;
	route_entry(h, e);
	list_del(&e->uninformed);
	if (was_here)
		entry_changed(h, e, false, false);
}

/* Of one that is at another hub since, no news is of interest (`again`: it is not). */
static void came(struct hub *h, const struct ike_peer_info *info,
		 const struct wire_ts_list ts[static IKE_AUTHORITIES], bool again)
{
	struct entry *e = entry_get(h, &info->remote_id);
	struct mesh *m = h->net->m;
	struct attachment at = { 0 };
	struct standing s;

	if (!e || (e->peer == info->id && !entry_here(e) && !again))
		return;
	again |= e->peer != info->id;
	e->doubted = false;
	ike_each_sa_of(m->ike, m->now, info->id, newest, &at);
	s = (struct standing){ .peer = info->id,
			       .at = again || !e->at.type ? NULL : &e->at,
			       .capabilities = at.capabilities,
			       .post_quantum = at.ppk,
			       .seen = seen_of(m, &at),
			       .ts = ts,
			       .epoch = again ? epoch_next(h, e) : e->epoch };
	if (entry_stands(h, e, &s))
		entry_settle(h, e);
}

static void look(struct hub *h, ike_peer_id peer, bool again)
{
	struct mesh *m = h->net->m;
	struct wire_ts_list ts[IKE_AUTHORITIES] = { 0 };
	struct entry *e = entry_by_peer(h, peer);
	struct ike_peer_info info;
	enum status st = ST_INVAL;
	struct arena ar;

	arena_init(&ar, m->mem, MESH_ARENA);
	if (ike_peer(m->ike, m->now, peer, &info) && info.conf->id == h->net->conf->peer &&
	    info.remote_id.type && !other_by_peer(h, peer))
		st = ike_peer_served(m->ike, peer, &ar, ts);
	if (!st)
		came(h, &info, ts, again);
	else if (st == ST_NOMEM)
		count(m, M_NO_MEMORY);
	else if (e && e->at.type && !again)
		entry_parts(h, e);
	else if (e)
		entry_leaves(h, e);
	arena_done(&ar);
}

void directory_look(struct hub *h, ike_peer_id peer)
{
	look(h, peer, false);
}

void directory_again(struct hub *h, ike_peer_id peer)
{
	struct entry *e;

	look(h, peer, true);
	e = entry_by_peer(h, peer);
	if (!e || !e->at.type)
		return;
	/* No memory to look at it closely: it serves what it served there. */
	ident_done(h->net->m, &e->at);
	route_entry(h, e);
	e->epoch = epoch_next(h, e);
	share_news(h, e);
}

/* Also those about whom there was no news: on whose word somebody serves what may be different. */
void directory_look_all(struct hub *h)
{
	for (uint32_t i = 0; i < h->n_slots; i++)
		if (h->slots[i] && h->slots[i]->peer)
			directory_look(h, h->slots[i]->peer);
}

void directory_free(struct hub *h)
{
	for (uint32_t i = 0; i < h->n_slots; i++)
		if (h->slots[i]) {
			if (h->slots[i]->peer)
				map_remove(&h->by_peer, &h->slots[i]->by_peer);
			h->slots[i]->via = NULL; /* the hubs go as well */
			entry_free(h, h->slots[i]);
		}
	mem_free(h->net->m->mem, h->slots);
	map_done(&h->by_ident);
	map_done(&h->by_peer);
	policy_table_free(h->prefixes);
}
