/*
 * peer.c - counterparts: a section's wish to be connected, and what is done about it.
 *
 * An attempt walks the section's names; each is resolved anew (addresses change), each address
 * tried in turn with an IKE SA of its own.  When all failed, a peer that is wanted is tried again
 * after a pause that doubles up to a minute, and is never quite the same: the sites of a hub that
 * was away shall not all call in the same moment, again and again.  So is one whose SA has to be
 * renewed, while the old SA lives. A peer with start = traffic is watched by the data plane (a
 * trap); the pause then only keeps a dead peer from being tried for every packet.
 *
 * Instances have no wish: whoever is behind a pattern comes to us.  A partner's is the mesh's: what
 * happens to its attempts and SAs is for partner.c.
 */
#include "ike/inner.h"
#include "ike/partner.h"

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct peer, by_id)->id == *(const ike_peer_id *)key;
}

static uint64_t id_hash(const struct ike *ike, ike_peer_id id)
{
	return map_hash(&ike->peer_by_id, bytes_of(&id, sizeof(id)));
}

struct peer *peer_by_id(const struct ike *ike, ike_peer_id id)
{
	struct map_node *n = map_find(&ike->peer_by_id, id_hash(ike, id), same_id, &id);

	return n ? CONTAINER_OF(n, struct peer, by_id) : NULL;
}

/* Numbers grow: a newcomer's place is at the end, but for a section that a reload brings. */
void peer_number(struct ike *ike, struct peer *p)
{
	struct list *at = ike->in_order.prev;

	while (at != &ike->in_order && CONTAINER_OF(at, struct peer, in_order)->id > p->id)
		at = at->prev;
	list_add_tail(at->next, &p->in_order);
	map_insert(&ike->peer_by_id, &p->by_id, id_hash(ike, p->id));
	p->numbered = true;
}

void peer_unnumber(struct ike *ike, struct peer *p)
{
	if (!p->numbered)
		return;
	list_del(&p->in_order);
	map_remove(&ike->peer_by_id, &p->by_id);
	p->numbered = false;
}

static bool same_resolve(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct section, by_resolve)->resolve == *(const uint64_t *)key;
}

static uint64_t resolve_hash(struct ike *ike, uint64_t resolve)
{
	return map_hash(&ike->peer_by_resolve, bytes_of(&resolve, sizeof(resolve)));
}

/* The look-up in flight; 0: none, and the result of one before finds nobody. */
static void set_resolve(struct ike *ike, struct section *s, uint64_t resolve)
{
	if (s->resolve)
		map_remove(&ike->peer_by_resolve, &s->by_resolve);
	s->resolve = resolve;
	if (resolve)
		map_insert(&ike->peer_by_resolve, &s->by_resolve, resolve_hash(ike, resolve));
}

void peer_error(struct ike *ike, struct peer *p, const char *text)
{
	struct bytes copy = bytes_of(NULL, 0);

	/* Without memory for it, the event has to do. */
	if (text[0] && mem_dup(ike->mem, bytes_of(text, strlen(text) + 1), &copy))
		count(ike, C_NO_MEMORY);
	mem_free(ike->mem, p->last_error);
	p->last_error = (char *)(uintptr_t)copy.p;
}

const char *peer_last_error(const struct peer *p)
{
	return p->last_error ? p->last_error : "";
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
	return p->section && (p->section->resolve || p->section->connecting);
}

/* Something is to be made although there is something. */
static bool again(const struct section *s)
{
	return s->renew || s->beside;
}

/* It has a child, and nothing says that it should have another. */
static bool content(const struct peer *p)
{
	return peer_has_child(p) && !again(p->section);
}

dur_t jitter(struct ike *ike, dur_t d)
{
	uint8_t raw[2];

	ike->crypto.ops->random(ike->crypto.ctx, raw, sizeof(raw));
	return (dur_t){ d.ns / 4 * 3 + d.ns / 2 / UINT16_MAX * load_be16(raw) };
}

static void pause_then_retry(struct ike *ike, struct section *s)
{
	int64_t secs = IKE_RETRY_FIRST_S;

	for (unsigned i = 1; i < s->failures && secs < IKE_RETRY_LAST_S; i++)
		secs *= 2;
	if (secs > IKE_RETRY_LAST_S)
		secs = IKE_RETRY_LAST_S;
	heap_arm(&ike->timers, &s->retry, mono_add(ike->now.mono, jitter(ike, dur_s(secs))));
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
		op->u.trap.peer = p->id;
		op->u.trap.ts_local = *inner_i_wanted(p->conf);
		op->u.trap.ts_remote = p->conf->ts_remote;
	} else {
		op->u.peer = p->id;
	}
	it->out.u.dp = op;
	outbox_commit(ike, &ob);
	return ST_OK;
}

static void set_trap(struct ike *ike, struct peer *p, bool want)
{
	if (want == p->section->trapped)
		return;
	if (trap_op(ike, p, want ? DP_TRAP_ADD : DP_TRAP_DEL)) {
		count(ike, C_NO_MEMORY);
		return;
	}
	p->section->trapped = want;
	p->section->trap_op = want ? ike->last_op : 0;
}

void peer_untrap(struct ike *ike, struct peer *p)
{
	set_trap(ike, p, false);
}

/* From hub to hub: it is always wanted, and what lies in its selectors may be for another one. */
static bool between_hubs(const struct ike_peer_conf *conf)
{
	return conf->role == IKE_ROLE_HUB && conf->start == IKE_START_UP &&
	       conf->capabilities & IKE_CAN_RELAY;
}

/* Traffic may start the tunnel: the data plane has its selectors, also when they were refused once.
 */
static void watch(struct ike *ike, struct peer *p)
{
	if (!p->removed && !ike->shutdown)
		set_trap(ike, p,
			 p->conf->start != IKE_START_LISTEN && peer_names(p) > 0 &&
				 !between_hubs(p->conf));
}

/* Without its trap nobody would hear the traffic that it is to connect for: once more, later. */
void peer_trap_failed(struct ike *ike, uint64_t op)
{
	list_for_each(n, &ike->peers) {
		struct section *s = CONTAINER_OF(n, struct peer, node)->section;

		if (s->trap_op != op)
			continue;
		s->trapped = false;
		s->trap_op = 0;
		if (!s->retry.armed)
			pause_then_retry(ike, s);
		return;
	}
}

/* ---- addresses ---------------------------------------------------------------------------- */

void peer_forget_addresses(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;

	set_resolve(ike, s, 0);
	s->lookup_only = false;
	for (size_t i = 0; i < s->n_addrs; i++)
		map_remove(&ike->peer_by_addr, &s->addrs[i].by_addr);
	mem_free(ike->mem, s->addrs);
	s->addrs = NULL;
	s->n_addrs = s->next_addr = 0;
}

static enum status know_addresses(struct ike *ike, struct peer *p, const struct ike_address *addrs,
				  size_t n)
{
	struct section *s = p->section;

	peer_forget_addresses(ike, p);
	s->addrs = n ? mem_new(ike->mem, n * sizeof(*s->addrs)) : NULL;
	if (n && !s->addrs)
		return ST_NOMEM;
	for (s->n_addrs = 0; s->n_addrs < n; s->n_addrs++) {
		struct known_address *a = &s->addrs[s->n_addrs];

		a->peer = p;
		a->a = addrs[s->n_addrs];
		peer_index_address(ike, a);
	}
	return ST_OK;
}

static bool at_learnt(const struct section *s)
{
	return peer_names(s->peer) && peer_name_index(s->peer) >= s->peer->conf->n_addresses;
}

/* What the configuration names is the operator's affair; nobody else has us call ourselves. */
static bool may_be_called(const struct section *s, const struct ike_address *a)
{
	return (!s->at_gateway && !at_learnt(s)) ||
	       (ip_is_host(&a->remote) && !ip_eq(&a->remote, &a->local));
}

/* As many as we take, with the one that does not answer behind the others. */
static size_t in_order(const struct section *s, const struct ike_address *addrs, size_t n,
		       struct ike_address ret[IKE_MAX_ADDRESSES])
{
	size_t k = 0;

	if (n > IKE_MAX_ADDRESSES)
		n = IKE_MAX_ADDRESSES;
	for (int avoided = 0; avoided < 2; avoided++)
		for (size_t i = 0; i < n; i++)
			if (ip_eq(&addrs[i].remote, &s->avoid) == avoided &&
			    may_be_called(s, &addrs[i]))
				ret[k++] = addrs[i];
	return k;
}

/* ---- connecting --------------------------------------------------------------------------- */

/* What the configuration does not want any more was kept only for as long as there was hope that
 * something else would take its place without a gap. */
static void drop_stale(struct ike *ike, struct peer *p)
{
	list_for_each_safe(n, &p->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa->stale && sa->state == SA_UP)
			sa_delete(ike, sa, "not as the configuration has it, and not renewed");
	}
}

/* All addresses of all names failed. */
static void attempts_over(struct ike *ike, struct peer *p)
{
	p->section->failures++;
	pause_then_retry(ike, p->section);
	drop_stale(ike, p);
}

/* Who learns where its hub is goes on to call hubs: that needs the role. */
size_t peer_names(const struct peer *p)
{
	const struct section *s = p->section;
	bool learnt = s->learnt && p->conf->role == IKE_ROLE_HUB && !s->named_only;

	return p->conf->n_addresses + (learnt ? s->learnt->n : 0);
}

size_t peer_name_index(const struct peer *p)
{
	const struct section *s = p->section;
	size_t n = peer_names(p);

	return n ? (s->first_name + s->next_name - 1) % n : 0;
}

/* Where the look-up, or the attempt, under way leads. */
static const char *name_of(const struct peer *p)
{
	const char *gateway = p->section->at_gateway ? redirect_gateway(p) : NULL;
	size_t i = peer_name_index(p), configured = p->conf->n_addresses;

	if (gateway)
		return gateway;
	return i < configured ? p->conf->addresses[i] : p->section->learnt->name[i - configured];
}

uint16_t peer_port(const struct peer *p)
{
	const struct section *s = p->section;

	if (s->at_gateway || !at_learnt(s))
		return p->conf->port;
	return s->learnt->port[peer_name_index(p) - p->conf->n_addresses];
}

bool peer_has_more(const struct peer *p)
{
	const struct section *s = p->section;

	return s->next_addr < s->n_addrs || s->next_name < peer_names(p);
}

/* A copy: what was learnt may be forgotten before the host hears of it. */
static enum status put_name(struct outbox *ob, uint64_t resolve, const char *name)
{
	struct out_item *it = outbox_add(ob, IKE_OUT_RESOLVE);
	struct bytes copy;

	if (!it || arena_dup(&it->mem, bytes_of(name, strlen(name) + 1), &copy))
		return ST_NOMEM;
	it->out.u.resolve.id = resolve;
	it->out.u.resolve.name = (const char *)copy.p;
	return ST_OK;
}

static bool resolve_next(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;
	bool was_at_gateway = s->at_gateway;
	struct outbox ob;

	s->named_only = attach_others_stand(ike, p);
	if (!s->to_gateway && s->next_name >= peer_names(p))
		return false;
	s->at_gateway = s->to_gateway;
	s->next_name += !s->at_gateway;
	outbox_init(&ob, ike->mem);
	if (put_name(&ob, ike->last_resolve + 1, name_of(p))) {
		outbox_drop(&ob);
		s->next_name -= !s->at_gateway;
		s->at_gateway = was_at_gateway;
		count(ike, C_NO_MEMORY);
		return false;
	}
	s->to_gateway = false;
	set_resolve(ike, s, ++ike->last_resolve);
	outbox_commit(ike, &ob);
	return true;
}

/* An IKE SA that lost its child, or never had one, makes another: nobody has to prove anything
 * again.  False: there is none that could. */
static bool ask_for_child(struct ike *ike, struct peer *p)
{
	list_for_each(n, &p->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa->state != SA_UP || sa->only_one || sa->stale || !inner_i_ready(p))
			continue;
		sa_want_child(ike, sa);
		return true;
	}
	return false;
}

/* In their order. */
static void all_names(struct section *s)
{
	s->first_name = 0;
	s->avoid = (struct ip){ 0 };
}

static void connect(struct ike *ike, struct peer *p, bool to_gateway)
{
	struct section *s = p->section;

	if (ike->shutdown || p->removed || !s || peer_names(p) == 0)
		return;
	if (s->lookup_only) {
		s->lookup_only = false; /* its result will do */
		return;
	}
	if (peer_connecting(p) || content(p))
		return;
	heap_disarm(&ike->timers, &s->retry);
	if (!again(s) && ask_for_child(ike, p))
		return;
	if (!s->beside)
		all_names(s);
	s->next_name = 0;
	s->next_addr = s->n_addrs;
	s->to_gateway = to_gateway && redirect_gateway(p);
	if (!resolve_next(ike, p))
		attempts_over(ike, p);
}

/* Beside an SA that does not answer, which may be where we were sent, the names come first. */
void peer_connect(struct ike *ike, struct peer *p)
{
	connect(ike, p, p->section && !p->section->beside);
}

void peer_steer(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;

	set_resolve(ike, s, 0);
	s->lookup_only = false;
	if (s->connecting)
		sa_delete(ike, s->connecting, "sent on to another gateway");
	connect(ike, p, true);
}

void peer_renew(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;

	if (!s || p->removed || peer_names(p) == 0)
		return;
	s->renew = true;
	s->failures = 0;
	heap_disarm(&ike->timers, &s->retry);
	peer_connect(ike, p);
}

static void next_address(struct ike *ike, struct peer *p)
{
	init_i_start(ike, p, &p->section->addrs[p->section->next_addr++].a);
}

static void unreachable(struct ike *ike, struct peer *p)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "\"%s\" has no address that can be reached from here", name_of(p));
	event_emit(ike, IKE_EV_UNREACHABLE,
		   (struct event_about){ .peer = p, .reason = IKE_R_NO_ANSWER }, "%s", buf);
	peer_attempt_failed(ike, p, buf);
}

void peer_resolved(struct ike *ike, uint64_t resolve, const struct ike_address *addrs, size_t n)
{
	struct map_node *found =
		map_find(&ike->peer_by_resolve, resolve_hash(ike, resolve), same_resolve, &resolve);
	struct ike_address ordered[IKE_MAX_ADDRESSES];
	struct section *s;
	bool lookup_only;
	enum status st;

	if (!found) {
		count(ike, C_UNKNOWN_RESULT);
		return;
	}
	s = CONTAINER_OF(found, struct section, by_resolve);
	lookup_only = s->lookup_only;
	n = in_order(s, addrs, n, ordered);
	st = know_addresses(ike, s->peer, ordered, n);
	if (st)
		count(ike, C_NO_MEMORY);
	if (lookup_only)
		return;
	if (st)
		peer_attempt_failed(ike, s->peer, "out of memory");
	else if (n == 0)
		unreachable(ike, s->peer);
	else if (!content(s->peer) && !peer_connecting(s->peer) && !ike->shutdown)
		next_address(ike, s->peer);
}

void peer_attempt_failed(struct ike *ike, struct peer *p, const char *why)
{
	peer_error(ike, p, why);
	partner_failed(ike, p, why);
	if (p->removed || ike->shutdown || partner_of(p))
		return;
	/* Another SA may have come up meanwhile, made by the peer. */
	if (content(p) || peer_connecting(p))
		return;
	if (p->section->next_addr < p->section->n_addrs)
		next_address(ike, p);
	else if (!redirect_failed(ike, p) && !resolve_next(ike, p))
		attempts_over(ike, p);
}

void peer_timer(struct ike *ike, struct timer *t)
{
	struct section *s = CONTAINER_OF(t, struct section, retry);

	watch(ike, s->peer);
	if (s->wanted || again(s))
		peer_connect(ike, s->peer);
}

void peer_acquire(struct ike *ike, const struct dp_report *r)
{
	struct peer *p = peer_by_id(ike, r->u.acquire.peer);

	/* During the pause after a failure traffic alone does not try again. */
	if (p && p->section && p->section->trapped && !p->section->retry.armed)
		peer_connect(ike, p);
}

void peer_start(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;

	watch(ike, p);
	if (s->wanted || again(s)) {
		/* One that waits for its turn goes on waiting, unless something is new. */
		if (!s->retry.armed)
			peer_connect(ike, p);
	} else if (peer_names(p) && !s->addrs && !peer_connecting(p)) {
		s->next_name = 0;
		s->lookup_only = resolve_next(ike, p);
	}
}

/* ---- beside an SA that does not answer ------------------------------------------------------ */

/* What was wanted has been made, or is of no use any more.  `calm`: so soon it is not begun again,
 * lest whoever keeps an SA from answering could have us go to and fro. */
static void not_again(struct ike *ike, struct section *s, dur_t calm)
{
	if (s->beside)
		s->calm_until = mono_add(ike->now.mono, calm);
	s->renew = s->beside = false;
	all_names(s);
}

/* Another one does. */
static bool served(const struct ike_sa *sa)
{
	list_for_each(n, &sa->peer->sas) {
		const struct ike_sa *other = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (other != sa && other->state == SA_UP && other->n_children && !other->suspect)
			return true;
	}
	return false;
}

bool peer_has_others(const struct peer *p)
{
	return peer_names(p) > 1 || p->section->n_addrs > 1;
}

static dur_t at_most(struct ike *ike, dur_t d)
{
	uint8_t raw[2];

	ike->crypto.ops->random(ike->crypto.ctx, raw, sizeof(raw));
	return (dur_t){ d.ns / UINT16_MAX * load_be16(raw) };
}

void peer_beside(struct ike *ike, const struct ike_sa *sa, bool others)
{
	struct peer *p = sa->peer;
	struct section *s = p->section;
	mono_t when = ike->now.mono;

	if (!s || p->removed || ike->shutdown || p->conf->start == IKE_START_LISTEN ||
	    peer_names(p) == 0 || peer_connecting(p) || again(s) || served(sa))
		return;
	s->beside = true;
	s->first_name = sa->called && sa->name_index != IKE_NAME_GATEWAY ? sa->name_index + 1u : 0;
	s->avoid = sa->path.remote.ip;
	if (!peer_has_others(p))
		when = mono_add(when, at_most(ike, dur_ms(IKE_BESIDE_MS)));
	if (others)
		when = mono_add(when, dur_ms(IKE_BESIDE_MS));
	if (mono_before(when, s->calm_until))
		when = mono_add(s->calm_until, at_most(ike, dur_ms(IKE_BESIDE_MS)));
	if (mono_before(ike->now.mono, when))
		heap_arm(&ike->timers, &s->retry, when);
	else
		peer_connect(ike, p);
}

void peer_answers(struct ike *ike, const struct ike_sa *sa)
{
	struct section *s = sa->peer->section;

	if (!s || !s->beside)
		return;
	if (s->renew) {
		s->beside = false; /* wanted for another reason as well */
		return;
	}
	not_again(ike, s, dur_s(IKE_CALM_FALSE_S));
	if (!sa->n_children)
		return; /* still wanted */
	heap_disarm(&ike->timers, &s->retry);
	set_resolve(ike, s, 0);
	if (s->connecting)
		sa_delete(ike, s->connecting, "the other IKE SA answers again");
}

/* One attempt may be under way already, and have had no answer as yet. */
void peer_lost(struct ike *ike, struct peer *p, const struct ip *at)
{
	struct section *s = p->section;

	if (p->removed || ike->shutdown || p->conf->start == IKE_START_LISTEN)
		return;
	if (s->connecting && s->connecting->state == SA_I_INIT &&
	    ip_eq(&s->connecting->path.remote.ip, at))
		request_now(ike, s->connecting);
	if (peer_connecting(p) || content(p))
		return;
	if (mono_before(ike->now.mono, s->lost_until)) {
		if (s->wanted)
			heap_arm(&ike->timers, &s->retry, s->lost_until);
		s->lost_until = mono_add(s->lost_until, dur_s(IKE_LOST_AGAIN_S));
		return;
	}
	s->lost_until = mono_add(ike->now.mono, dur_s(IKE_LOST_AGAIN_S));
	peer_connect(ike, p);
}

/* ---- what happens to its SAs -------------------------------------------------------------- */

void peer_sa_up(struct ike *ike, const struct ike_sa *sa)
{
	struct peer *p = sa->peer;
	struct section *s = p->section;

	if (partner_of(p))
		return;
	if (sa->n_children) {
		peer_error(ike, p, "");
		if (s) {
			not_again(ike, s, dur_s(IKE_CALM_S));
			redirect_served(p, sa);
			heap_disarm(&ike->timers, &s->retry);
		}
		return;
	}
	/* One is asked for (RFC 6023). */
	if (sa->more.on)
		return;
	/* An SA that protects nothing is not what was wanted. */
	if (s && !p->removed && !peer_connecting(p) &&
	    (!peer_has_child(p) || (again(s) && sa->called)))
		attempts_over(ike, p);
}

static bool any_was_up(const struct peer *p)
{
	list_for_each(n, &p->sas)
		if (CONTAINER_OF(n, const struct ike_sa, peer_node)->was_up)
			return true;
	return false;
}

static void free_if_over(struct ike *ike, struct peer *p)
{
	if (p->removed && list_empty(&p->sas) && list_empty(&p->section->instances))
		peer_free(ike, p);
}

void peer_sa_gone(struct ike *ike, struct peer *p, bool was_up)
{
	if (!p->section) {
		struct peer *under = p->under;

		if (list_empty(&p->sas)) {
			instance_free(ike, p);
			free_if_over(ike, under);
		}
		return;
	}
	if (was_up && p->under && !any_was_up(p))
		peer_unbind(ike, p);
	if (p->removed)
		free_if_over(ike, p);
	else if (was_up)
		peer_child_gone(ike, p);
}

void peer_child_installed(struct peer *p)
{
	if (!p->section)
		return;
	p->section->failures = 0;
	/* What an operator asked for once is there; what the configuration wants stays wanted. */
	p->section->wanted = p->conf->start == IKE_START_UP;
}

void peer_child_refused(struct ike *ike, struct peer *p)
{
	if (p->section && !partner_of(p) && !p->removed && !peer_connecting(p) &&
	    !peer_has_child(p))
		attempts_over(ike, p);
}

void peer_child_failed(struct ike *ike, struct peer *p)
{
	if (!p->section)
		return;
	p->section->failures++;
	peer_child_gone(ike, p);
}

void peer_child_gone(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;

	if (!s || p->removed || peer_has_child(p) || partner_of(p))
		return;
	not_again(ike, s, (dur_t){ 0 }); /* there is nothing left to be renewed */
	if (!peer_connecting(p) || !s->at_gateway)
		redirect_forget(p);
	watch(ike, p);
	if (s->wanted && !ike->shutdown && !s->retry.armed && !peer_connecting(p))
		pause_then_retry(ike, s);
}

static void delete_sas(struct ike *ike, struct peer *p, const char *why)
{
	/* The last one that goes at once takes an instance or a removed section with it. */
	list_for_each_safe(n, &p->sas) {
		bool last = n_next == &p->sas;

		sa_delete(ike, CONTAINER_OF(n, struct ike_sa, peer_node), why);
		if (last)
			break;
	}
}

void peer_down(struct ike *ike, struct peer *p, const char *why)
{
	struct section *s = p->section;

	partner_down(ike, p, why);
	if (s) {
		s->wanted = s->lookup_only = s->renew = s->beside = false;
		redirect_forget(p);
		heap_disarm(&ike->timers, &s->retry);
		set_resolve(ike, s, 0);
		list_for_each_safe(n, &s->instances) {
			bool last = n_next == &s->instances;

			delete_sas(ike, CONTAINER_OF(n, struct peer, node), why);
			if (last)
				break;
		}
	}
	delete_sas(ike, p, why);
}

/* ---- life --------------------------------------------------------------------------------- */

struct peer *peer_new(struct ike *ike, struct ike_conf *conf, const struct ike_peer_conf *c)
{
	struct peer *p = mem_new(ike->mem, sizeof(*p));
	struct section *s = mem_new(ike->mem, sizeof(*s));

	if (!p || !s) {
		mem_free(ike->mem, p);
		mem_free(ike->mem, s);
		return NULL;
	}
	list_init(&p->node);
	list_init(&p->in_order);
	list_init(&p->sas);
	list_init(&s->instances);
	list_init(&s->pattern_node);
	s->retry.kind = TIMER_RETRY;
	s->attach.settled.kind = TIMER_ATTACH;
	s->owner = ike_conf_ref(conf);
	s->peer = p;
	p->id = c->id;
	p->name = c->name;
	p->conf = c;
	p->section = s;
	return p;
}

void peer_free(struct ike *ike, struct peer *p)
{
	peer_forget_addresses(ike, p);
	peer_unbind(ike, p);
	peer_unindex(ike, p);
	peer_unnumber(ike, p);
	heap_disarm(&ike->timers, &p->section->retry);
	heap_disarm(&ike->timers, &p->section->attach.settled);
	partner_free(ike, p->section);
	redirect_free(ike, p->section);
	peer_forgets(ike, p->section);
	list_del(&p->section->pattern_node);
	list_del(&p->node);
	ike_conf_unref(p->section->owner);
	leases_free(ike, p->section);
	inner_i_free(ike, p->section->inner);
	mem_free(ike->mem, p->section);
	mem_free(ike->mem, p->last_error);
	mem_free(ike->mem, p);
}

void peers_free(struct ike *ike)
{
	list_for_each_safe(n, &ike->peers)
		peer_free(ike, CONTAINER_OF(n, struct peer, node));
}
