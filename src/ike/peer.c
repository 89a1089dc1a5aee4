/*
 * peer.c - configured counterparts: their wish to be connected, and what is done about it.
 *
 * An attempt walks the peer's names; each is resolved anew (addresses change), each address tried
 * in turn with an IKE SA of its own.  When all failed, a peer that is wanted is tried again after a
 * pause that doubles up to a minute.  A peer with start = traffic is watched by the data plane (a
 * trap); the pause then only keeps a dead peer from being tried for every packet.
 */
#include "ike/internal.h"

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct peer, by_id)->conf->id == *(const ike_peer_id *)key;
}

static uint64_t id_hash(struct ike *ike, ike_peer_id id)
{
	return map_hash(&ike->peer_by_id, bytes_of(&id, sizeof(id)));
}

struct peer *peer_by_id(struct ike *ike, ike_peer_id id)
{
	struct map_node *n = map_find(&ike->peer_by_id, id_hash(ike, id), same_id, &id);

	return n ? CONTAINER_OF(n, struct peer, by_id) : NULL;
}

static bool same_resolve(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct peer, by_resolve)->resolve == *(const uint64_t *)key;
}

static uint64_t resolve_hash(struct ike *ike, uint64_t resolve)
{
	return map_hash(&ike->peer_by_resolve, bytes_of(&resolve, sizeof(resolve)));
}

/* The look-up in flight; 0: none, and the result of one before finds nobody. */
static void set_resolve(struct ike *ike, struct peer *p, uint64_t resolve)
{
	if (p->resolve)
		map_remove(&ike->peer_by_resolve, &p->by_resolve);
	p->resolve = resolve;
	if (resolve)
		map_insert(&ike->peer_by_resolve, &p->by_resolve, resolve_hash(ike, resolve));
}

void peer_error(struct peer *p, const char *text)
{
	snprintf(p->last_error, sizeof(p->last_error), "%s", text);
}

bool peer_has_child(const struct peer *p)
{
	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa->state == SA_UP && sa->n_children)
			return true;
	}
	return false;
}

bool peer_connecting(const struct peer *p)
{
	return p->resolve || p->connecting;
}

/* ---- traps -------------------------------------------------------------------------------- */

static enum status trap_op(struct ike *ike, const struct peer *p, enum dp_op_kind kind)
{
	struct outbox ob;
	struct out_item *it;
	struct dp_op *op;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_DP);
	op = it ? arena_new(&it->mem, sizeof(*op)) : NULL;
	if (!op) {
		outbox_drop(&ob);
		return ST_NOMEM;
	}
	op->op = ++ike->last_op;
	op->kind = kind;
	if (kind == DP_TRAP_ADD) {
		/* The selectors belong to the configuration, which the peer keeps alive longer than
		 * the host needs to drain outputs. */
		op->u.trap.peer = p->conf->id;
		op->u.trap.ts_local = p->conf->ts_local;
		op->u.trap.ts_remote = p->conf->ts_remote;
	} else {
		op->u.peer = p->conf->id;
	}
	it->out.u.dp = op;
	outbox_commit(ike, &ob);
	return ST_OK;
}

static enum status set_trap(struct ike *ike, struct peer *p, bool want)
{
	enum status st;

	if (want == p->trapped)
		return ST_OK;
	st = trap_op(ike, p, want ? DP_TRAP_ADD : DP_TRAP_DEL);
	if (!st)
		p->trapped = want;
	return st;
}

static bool trappable(const struct ike_peer_conf *c)
{
	return c->start != IKE_START_LISTEN && c->n_addresses > 0;
}

/* ---- connecting --------------------------------------------------------------------------- */

static void pause_then_retry(struct ike *ike, struct peer *p)
{
	int64_t s = IKE_RETRY_FIRST_S;

	for (unsigned i = 1; i < p->failures && s < IKE_RETRY_LAST_S; i++)
		s *= 2;
	if (s > IKE_RETRY_LAST_S)
		s = IKE_RETRY_LAST_S;
	heap_arm(&ike->timers, &p->retry, mono_add(ike->now.mono, dur_s(s)));
}

/* All addresses of all names failed. */
static void attempts_over(struct ike *ike, struct peer *p)
{
	p->failures++;
	pause_then_retry(ike, p);
}

static bool resolve_next(struct ike *ike, struct peer *p)
{
	struct outbox ob;
	struct out_item *it;

	if (p->next_name >= p->conf->n_addresses)
		return false;
	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_RESOLVE);
	if (!it) {
		count(ike, C_NO_MEMORY);
		return false;
	}
	set_resolve(ike, p, ++ike->last_resolve);
	it->out.u.resolve.id = p->resolve;
	it->out.u.resolve.name = p->conf->addresses[p->next_name++];
	outbox_commit(ike, &ob);
	return true;
}

void peer_connect(struct ike *ike, struct peer *p)
{
	if (ike->shutdown || p->removed || p->conf->n_addresses == 0)
		return;
	if (p->lookup_only) {
		p->lookup_only = false; /* its result will do */
		return;
	}
	if (peer_connecting(p) || peer_has_child(p))
		return;
	heap_disarm(&ike->timers, &p->retry);
	p->next_name = 0;
	p->n_addrs = p->next_addr = 0;
	if (!resolve_next(ike, p))
		attempts_over(ike, p);
}

void peer_resolved(struct ike *ike, uint64_t resolve, const struct ike_address *addrs, size_t n)
{
	struct map_node *found =
		map_find(&ike->peer_by_resolve, resolve_hash(ike, resolve), same_resolve, &resolve);
	struct peer *p;
	bool lookup_only;

	if (!found) {
		count(ike, C_UNKNOWN_RESULT);
		return;
	}
	p = CONTAINER_OF(found, struct peer, by_resolve);
	lookup_only = p->lookup_only;
	p->lookup_only = false;
	set_resolve(ike, p, 0);
	p->n_addrs = n < IKE_MAX_ADDRESSES ? n : IKE_MAX_ADDRESSES;
	p->next_addr = 0;
	if (n)
		memcpy(p->addrs, addrs, p->n_addrs * sizeof(*addrs));
	if (lookup_only)
		return;
	if (n == 0) {
		char buf[IKE_EVENT_TEXT_MAX];
		struct text t = TEXT_OF(buf);

		text_fmt(&t, "\"%s\" has no address that can be reached from here",
			 p->conf->addresses[p->next_name - 1]);
		peer_error(p, buf);
		event_emit(ike, NULL, IKE_EV_UNREACHABLE, (struct event_about){ .peer = p }, "%s",
			   buf);
		peer_attempt_failed(ike, p, buf);
		return;
	}
	if ((peer_has_child(p) && !p->renewing) || peer_connecting(p) || ike->shutdown)
		return;
	init_i_start(ike, p, &p->addrs[p->next_addr++]);
}

void peer_attempt_failed(struct ike *ike, struct peer *p, const char *why)
{
	peer_error(p, why);
	if (p->removed || ike->shutdown)
		return;
	p->renewing = false;
	/* Another SA may have come up meanwhile, made by the peer. */
	if (peer_has_child(p) || peer_connecting(p))
		return;
	if (p->next_addr < p->n_addrs)
		init_i_start(ike, p, &p->addrs[p->next_addr++]);
	else if (!resolve_next(ike, p))
		attempts_over(ike, p);
}

void peer_timer(struct ike *ike, struct timer *t)
{
	struct peer *p = CONTAINER_OF(t, struct peer, retry);

	if (p->wanted)
		peer_connect(ike, p);
}

void peer_acquire(struct ike *ike, const struct dp_report *r)
{
	struct peer *p = peer_by_id(ike, r->u.acquire.peer);

	/* During the pause after a failure traffic alone does not try again. */
	if (p && p->trapped && !p->retry.armed)
		peer_connect(ike, p);
}

/* ---- what happens to its SAs -------------------------------------------------------------- */

void peer_sa_up(struct ike *ike, struct peer *p, bool with_child)
{
	if (p->removed)
		return;
	if (!with_child) {
		/* An SA that protects nothing is not what was wanted. */
		if (!peer_has_child(p) && !peer_connecting(p))
			attempts_over(ike, p);
		return;
	}
	p->renewing = false;
	p->last_error[0] = 0;
	heap_disarm(&ike->timers, &p->retry);
}

static void peer_free(struct ike *ike, struct peer *p)
{
	set_resolve(ike, p, 0);
	if (p->in_id_map)
		map_remove(&ike->peer_by_id, &p->by_id);
	heap_disarm(&ike->timers, &p->retry);
	list_del(&p->node);
	ike_conf_unref(p->owner);
	mem_free(ike->mem, p);
}

void peer_sa_gone(struct ike *ike, struct peer *p, bool was_up)
{
	if (p->removed) {
		if (list_empty(&p->sas))
			peer_free(ike, p);
		return;
	}
	if (was_up)
		peer_child_gone(ike, p);
}

void peer_child_installed(struct peer *p)
{
	p->failures = 0;
	/* What an operator asked for once is there; what the configuration wants stays wanted. */
	p->wanted = p->conf->start == IKE_START_UP;
}

void peer_child_failed(struct ike *ike, struct peer *p)
{
	p->failures++;
	peer_child_gone(ike, p);
}

void peer_child_gone(struct ike *ike, struct peer *p)
{
	if (p->removed || !p->wanted || ike->shutdown || p->retry.armed || peer_has_child(p) ||
	    peer_connecting(p))
		return;
	pause_then_retry(ike, p);
}

/* Make before break: who made the SA makes its successor, which replaces it when it is up. */
void peer_renew(struct ike *ike, struct child *c, bool hard)
{
	struct ike_sa *sa = c->sa;
	struct peer *p = sa->peer;

	if (sa->state != SA_UP)
		return;
	if (hard) {
		sa_delete(ike, sa, "its sequence numbers are used up");
		if (p->conf->start != IKE_START_LISTEN)
			peer_connect(ike, p);
	} else if (sa->initiator && !peer_connecting(p) && !ike->shutdown && !p->removed) {
		p->next_name = 0;
		p->n_addrs = p->next_addr = 0;
		p->renewing = true;
		if (!resolve_next(ike, p))
			p->renewing = false;
	}
}

void peer_down(struct ike *ike, struct peer *p, const char *why)
{
	p->wanted = p->lookup_only = p->renewing = false;
	heap_disarm(&ike->timers, &p->retry);
	set_resolve(ike, p, 0);
	list_for_each_safe(n, &p->sas)
		sa_delete(ike, CONTAINER_OF(n, struct ike_sa, peer_node), why);
}

/* ---- configuration ------------------------------------------------------------------------ */

static struct peer *new_peer(struct ike *ike, struct ike_conf *conf, const struct ike_peer_conf *c)
{
	struct peer *p = mem_new(ike->mem, sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->node);
	list_init(&p->sas);
	p->retry.kind = TIMER_RETRY;
	p->owner = ike_conf_ref(conf);
	p->conf = c;
	return p;
}

/* A peer that is no longer configured says goodbye. */
static void retire(struct ike *ike, struct peer *p)
{
	if (set_trap(ike, p, false))
		count(ike, C_NO_MEMORY);
	p->removed = true;
	map_remove(&ike->peer_by_id, &p->by_id);
	p->in_id_map = false;
	set_resolve(ike, p, 0);
	heap_disarm(&ike->timers, &p->retry);
	if (list_empty(&p->sas)) {
		peer_free(ike, p);
		return;
	}
	list_for_each_safe(n, &p->sas) {
		/* The last one takes the peer with it. */
		bool last = n_next == &p->sas;

		sa_delete(ike, CONTAINER_OF(n, struct ike_sa, peer_node),
			  "removed from the configuration");
		if (last)
			break;
	}
}

static void adopt(struct ike *ike, struct peer *p, struct ike_conf *conf,
		  const struct ike_peer_conf *c)
{
	struct ike_conf *old = p->owner;

	/* Selectors may have changed: the trap is set anew. */
	if (set_trap(ike, p, false))
		count(ike, C_NO_MEMORY);
	p->owner = ike_conf_ref(conf);
	p->conf = c;
	set_resolve(ike, p, 0);
	p->lookup_only = false;
	ike_conf_unref(old);
	list_for_each(n, &p->sas)
		sa_reconfigured(ike, CONTAINER_OF(n, struct ike_sa, peer_node));
}

static void start(struct ike *ike, struct peer *p)
{
	if (set_trap(ike, p, trappable(p->conf)))
		count(ike, C_NO_MEMORY);
	p->wanted = p->conf->start == IKE_START_UP;
	if (p->wanted) {
		peer_connect(ike, p);
	} else if (p->conf->n_addresses && !p->resolve && !peer_connecting(p)) {
		p->next_name = 0;
		p->lookup_only = resolve_next(ike, p);
	}
}

static bool known_anchor(const struct ike *ike, const uint8_t *hash)
{
	for (size_t i = 0; i < ike->certreq.n; i++)
		if (!memcmp(ike->certreq.hashes + IKE_ANCHOR_LEN * i, hash, IKE_ANCHOR_LEN))
			return true;
	return false;
}

/* The trust anchors of all peers with certificates, each once. */
static void collect_anchors(struct ike *ike, const struct ike_conf *conf)
{
	ike->certreq.wanted = false;
	ike->certreq.n = 0;
	for (size_t i = 0; i < conf->n_peers; i++) {
		struct bytes b = conf->peers[i].trust_hashes;

		if (conf->peers[i].auth != IKE_AUTH_CERT)
			continue;
		ike->certreq.wanted = true;
		for (; b.n >= IKE_ANCHOR_LEN && ike->certreq.n < IKE_MAX_ANCHORS;
		     b = bytes_of(b.p + IKE_ANCHOR_LEN, b.n - IKE_ANCHOR_LEN))
			if (!known_anchor(ike, b.p))
				memcpy(ike->certreq.hashes + IKE_ANCHOR_LEN * ike->certreq.n++, b.p,
				       IKE_ANCHOR_LEN);
	}
}

/* Peers that there were not, unlinked, in `added`; for those that there were, `next` is set.  All
 * that can fail. */
static enum status prepare(struct ike *ike, struct ike_conf *conf, struct list *added)
{
	list_for_each(n, &ike->peers)
		CONTAINER_OF(n, struct peer, node)->next = NULL;
	for (size_t i = 0; i < conf->n_peers; i++) {
		struct peer *p = peer_by_id(ike, conf->peers[i].id);

		if (p) {
			p->next = &conf->peers[i];
			continue;
		}
		p = new_peer(ike, conf, &conf->peers[i]);
		if (!p)
			return ST_NOMEM;
		list_add_tail(added, &p->node);
	}
	return ST_OK;
}

static void link_peer(struct ike *ike, struct peer *p)
{
	list_del(&p->node);
	list_add_tail(&ike->peers, &p->node);
	map_insert(&ike->peer_by_id, &p->by_id, id_hash(ike, p->conf->id));
	p->in_id_map = true;
}

enum status peers_configure(struct ike *ike, struct ike_conf *conf)
{
	struct list added;

	list_init(&added);
	if (prepare(ike, conf, &added)) {
		list_for_each_safe(n, &added)
			peer_free(ike, CONTAINER_OF(n, struct peer, node));
		return ST_NOMEM;
	}
	list_for_each_safe(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (p->next)
			adopt(ike, p, conf, p->next);
		else if (!p->removed)
			retire(ike, p);
	}
	list_for_each_safe(n, &added)
		link_peer(ike, CONTAINER_OF(n, struct peer, node));
	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (!p->removed)
			start(ike, p);
	}
	collect_anchors(ike, conf);
	return ST_OK;
}

void peers_free(struct ike *ike)
{
	list_for_each_safe(n, &ike->peers)
		peer_free(ike, CONTAINER_OF(n, struct peer, node));
}
