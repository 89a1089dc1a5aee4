/*
 * sa.c - the life of an IKE SA from its first byte of state to its last.
 */
#include "ike/inner.h"
#include "ike/partner.h"

const char *sa_state_name(enum sa_state s)
{
	static const char *const names[SA_STATES] = {
		[SA_I_START] = "starting",  [SA_I_INIT] = "init-sent", [SA_I_AUTH] = "auth-sent",
		[SA_R_START] = "answering", [SA_R_INIT] = "half-open", [SA_UP] = "established",
		[SA_DELETING] = "deleting", [SA_RIVAL] = "rival",      [SA_REPLACED] = "replaced",
		[SA_CLOSED] = "closed",     [SA_FAILED] = "failed",
	};

	return s < SA_STATES ? names[s] : "unknown";
}

/* ---- by SPI ------------------------------------------------------------------------------- */

static bool same_spi(const struct map_node *n, const void *key)
{
	return sa_our_spi(CONTAINER_OF(n, const struct ike_sa, by_spi)) == *(const uint64_t *)key;
}

static uint64_t spi_hash(const struct ike *ike, uint64_t spi)
{
	return map_hash(&ike->sa_by_spi, bytes_of(&spi, sizeof(spi)));
}

struct ike_sa *sa_by_spi(const struct ike *ike, uint64_t our_spi)
{
	struct map_node *n = map_find(&ike->sa_by_spi, spi_hash(ike, our_spi), same_spi, &our_spi);

	return n ? CONTAINER_OF(n, struct ike_sa, by_spi) : NULL;
}

struct ike_sa *sa_by_id(const struct ike *ike, ike_sa_id id)
{
	list_for_each(n, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, node);

		if (sa->id == id)
			return sa;
	}
	return NULL;
}

uint64_t sa_pick_spi(struct ike *ike)
{
	uint64_t spi;

	do {
		uint8_t raw[8];

		ike->crypto.ops->random(ike->crypto.ctx, raw, sizeof(raw));
		spi = load_be64(raw);
	} while (spi == 0 || sa_by_spi(ike, spi));
	return spi;
}

/* ---- beginning ---------------------------------------------------------------------------- */

static void init_lists(struct ike_sa *sa)
{
	list_init(&sa->children);
	list_init(&sa->leaving);
	list_init(&sa->peer_node);
	list_init(&sa->todo);
	list_init(&sa->large);
	sa->retransmit.kind = TIMER_RETRANSMIT;
	sa->alive.kind = TIMER_ALIVE;
	sa->reap.kind = TIMER_REAP;
	sa->life.timer.kind = TIMER_LIFE;
}

/* Known to the engine from now on, by its SPI. */
static void link_sa(struct ike *ike, struct ike_sa *sa)
{
	sa->id = ++ike->last_sa;
	sa->auth_local = sa->auth_remote = "";
	sa->created = sa->last_in = sa->last_out = ike->now.mono;
	init_lists(sa);
	list_add_tail(&ike->sas, &sa->node);
	map_insert(&ike->sa_by_spi, &sa->by_spi, spi_hash(ike, sa_our_spi(sa)));
	ike->n_sas++;
	ike->n_half_open += sa_half_open(sa);
}

enum status sa_new(struct ike *ike, bool initiator, struct peer *peer, const struct path *path,
		   struct ike_sa **ret_sa)
{
	struct ike_sa *sa = mem_new(ike->mem, sizeof(*sa));
	struct handshake *hs = mem_new(ike->mem, sizeof(*hs));

	if (!sa || !hs) {
		mem_free(ike->mem, sa);
		mem_free(ike->mem, hs);
		return ST_NOMEM;
	}
	hs->sa = sa;
	list_init(&hs->of_partner);
	sa->hs = hs;
	sa->initiator = sa->called = initiator;
	*(initiator ? &sa->spi_i : &sa->spi_r) = sa_pick_spi(ike);
	sa->state = initiator ? SA_I_START : SA_R_START;
	sa->path = *path;
	link_sa(ike, sa);
	if (peer) {
		sa_set_peer(sa, peer);
		/* only our own attempts know whom they want */
		peer->section->connecting = sa;
		sa->name_index = peer->section->at_gateway ? IKE_NAME_GATEWAY
							   : (uint16_t)peer_name_index(peer);
	}
	*ret_sa = sa;
	return ST_OK;
}

enum status sa_new_from(struct ike *ike, struct ike_sa *old, bool initiator, uint64_t spi_i,
			uint64_t spi_r, struct sa_keys *keys, struct ike_sa **ret_sa)
{
	struct ike_sa *sa = mem_new(ike->mem, sizeof(*sa));

	if (!sa)
		return ST_NOMEM;
	sa->initiator = initiator;
	sa->called = old->called;
	sa->mobike = old->mobike;
	sa->speaks = old->speaks;
	sa->capabilities = old->capabilities;
	sa->spi_i = spi_i;
	sa->spi_r = spi_r;
	sa->state = SA_RIVAL;
	sa->path = old->path;
	sa->keys = *keys;
	*keys = (struct sa_keys){ 0 };
	link_sa(ike, sa);
	sa_set_peer(sa, old->peer);
	*ret_sa = sa;
	return ST_OK;
}

/* An attempt of ours that is one no more. */
static void not_connecting(struct ike_sa *sa)
{
	if (sa->peer && sa->peer->section && sa->peer->section->connecting == sa)
		sa->peer->section->connecting = NULL;
}

void sa_set_state(struct ike *ike, struct ike_sa *sa, enum sa_state s)
{
	trace_emit(ike, T_STATE, sa->id, sa->state, s, 0, 0);
	ike->n_half_open -= sa_half_open(sa);
	sa->state = s;
	ike->n_half_open += sa_half_open(sa);
	admit_state(ike, sa);
	sa->generation++;
	if (s != SA_I_START && s != SA_I_INIT && s != SA_I_AUTH)
		not_connecting(sa);
	partner_soon(ike, sa->peer);
	attach_soon(ike, sa->peer);
}

void sa_set_peer(struct ike_sa *sa, struct peer *peer)
{
	list_del(&sa->peer_node);
	sa->peer = peer;
	list_add_tail(&peer->sas, &sa->peer_node);
}

/* ---- established -------------------------------------------------------------------------- */

void sa_reconfigured(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state != SA_UP)
		return;
	liveness_begin(ike, sa);
}

void sa_established(struct ike *ike, struct ike_sa *sa)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	if (!sa->called)
		sa->redirects = sa->hs->redirects;
	handshake_free(ike, sa);
	sa_set_state(ike, sa, SA_UP);
	partner_up(ike, sa);
	sa->was_up = true;
	sa->established = sa->last_in = sa->last_out = ike->now.mono;
	sa->up_after = ike->last_sa;
	heap_disarm(&ike->timers, &sa->reap);
	liveness_begin(ike, sa);
	life_begin(ike, sa);
	count(ike, C_SA_UP);
	admit_seen(ike, &sa->path.remote.ip);
	buf[0] = 0;
	policy_ident_text(&t, &sa->remote_id);
	text_fmt(&t, " authenticated by %s, we by %s, ", sa->auth_remote, sa->auth_local);
	policy_suite_text(&t, &sa->suite);
	if (sa->ppk)
		text_add(&t, ", with the post-quantum pre-shared key");
	event_emit(ike, IKE_EV_SA_UP, (struct event_about){ .sa = sa }, "%s", buf);
}

/* What was built up over its life goes over; what belongs to its keys and numbers stays. */
void sa_inherit(struct ike *ike, struct ike_sa *from, struct ike_sa *to)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	while (!list_empty(&from->children))
		child_inherit(CONTAINER_OF(from->children.next, struct child, node), to);
	while (!list_empty(&from->leaving))
		child_inherit(CONTAINER_OF(from->leaving.next, struct child, node), to);
	to->path = from->path;
	moving_inherit(ike, from, to);
	to->remote_id = from->remote_id;
	to->cred = from->cred;
	from->remote_id = (struct policy_ident){ 0 };
	from->cred = NULL;
	to->auth_local = from->auth_local;
	to->auth_remote = from->auth_remote;
	to->name_index = from->name_index;
	to->stale = from->stale;
	to->more = from->more;
	to->only_one = from->only_one;
	to->redirects = from->redirects;
	to->steer = from->steer;
	to->steer_to = from->steer_to;
	to->sent_away = from->sent_away;
	to->warren = from->warren;
	if (to->sent_away)
		heap_arm(&ike->timers, &to->reap, from->reap.due);
	to->used = from->used;
	to->unsaid = from->unsaid;
	to->rtt = from->rtt;
	to->ppk = from->ppk;
	to->established = to->last_in = to->last_out = ike->now.mono;
	to->up_after = from->up_after;
	to->was_up = from->was_up;
	from->was_up = false; /* it ends without a word */
	liveness_end(ike, from);
	mtu_search_inherit(ike, from, to);
	words_inherit(from, to);
	heap_disarm(&ike->timers, &from->life.timer);
	sa_set_state(ike, to, SA_UP);
	life_inherit(ike, from, to);
	qcd_renew(ike, to);
	liveness_begin(ike, to);
	count(ike, C_SA_REKEYED);
	text_fmt(&t, "took the place of %016llx/%016llx, ", (unsigned long long)from->spi_i,
		 (unsigned long long)from->spi_r);
	policy_suite_text(&t, &to->suite);
	event_emit(ike, IKE_EV_SA_REKEYED, (struct event_about){ .sa = to }, "%s", buf);
	agenda_soon(ike, to);
}

/* The initiator's identity comes after the responder's: of two SAs made at once from both ends,
 * both ends agree that this one goes. */
static bool initiated_by_greater(const struct ike_sa *sa)
{
	const struct policy_ident *local = &sa->peer->conf->local_id, *remote = &sa->remote_id;
	int diff = local->type != remote->type ? (int)local->type - (int)remote->type
					       : bytes_cmp(local->data, remote->data);

	return sa->called ? diff > 0 : diff < 0;
}

/* Our own attempt has not shown who it is yet; theirs is complete. */
static void settle_attempt(struct ike *ike, struct ike_sa *sa, struct ike_sa *attempt)
{
	if (sa->n_children && !sa->called && attempt->state != SA_I_AUTH &&
	    !initiated_by_greater(sa))
		sa_remove(ike, attempt, "the peer's own attempt was faster");
}

static void settle_pair(struct ike *ike, struct ike_sa *sa, struct ike_sa *other)
{
	if (sa->called && other->n_children == 0) {
		sa_delete(ike, other, "replaced");
	} else if (sa->called != other->called) {
		struct ike_sa *loser = initiated_by_greater(sa) ? sa : other;

		/* Who initiated it deletes it; the other end asks whether it is still alive, for
		 * the case that the peer restarted and knows nothing of it. */
		if (loser->called)
			sa_delete(ike, loser, "both ends connected at once");
		else if (loser == sa)
			info_probe(ike, other);
	} else {
		info_probe(ike, other);
	}
}

/* Those that are about to go, for others of the same SA, are not missed. */
static unsigned in_use(const struct ike_sa *sa)
{
	unsigned n = 0;

	list_for_each(node, &sa->children) {
		const struct child *c = CONTAINER_OF(node, const struct child, node);

		n += c->state == CHILD_UP;
	}
	return n;
}

/* A child says that an SA is of use: one without never replaces one with. */
static bool may_settle(const struct ike_sa *sa, const struct ike_sa *other)
{
	return sa->state == SA_UP && other->state == SA_UP && in_use(sa) >= in_use(other);
}

/* What we wanted is one connection: another one of ours goes, whoever answered it. */
static void settle_own(struct ike *ike, struct ike_sa *sa)
{
	list_for_each_safe(n, &sa->peer->sas) {
		struct ike_sa *other = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (other == sa || !other->called || !may_settle(sa, other))
			continue;
		/* Its traffic goes over without a gap. */
		if (sa->n_children && other->n_children)
			life_replaced(ike, other);
		else
			sa_delete(ike, other, "replaced");
	}
}

/* Which of two SAs is missed less: one without a child, then the older one. */
static struct ike_sa *of_less_use(struct ike_sa *a, struct ike_sa *b)
{
	if (!a || !b)
		return a ? a : b;
	if ((a->n_children == 0) != (b->n_children == 0))
		return a->n_children == 0 ? a : b;
	return a->id < b->id ? a : b;
}

void sa_settle(struct ike *ike, struct ike_sa *sa)
{
	struct peer *peer = sa->peer;
	struct ike_sa *surplus = NULL;
	unsigned n_others = 0;

	if (peer->section && peer->section->connecting)
		settle_attempt(ike, sa, peer->section->connecting);
	if (sa->called)
		settle_own(ike, sa);
	list_for_each_safe(n, &peer->sas) {
		struct ike_sa *other = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (other == sa)
			continue;
		if (may_settle(sa, other))
			settle_pair(ike, sa, other);
		if (other->state == SA_UP) {
			surplus = of_less_use(surplus, other);
			n_others++;
		}
	}
	if (n_others >= IKE_MAX_SAS_PER_PEER)
		sa_delete(ike, surplus, "too many IKE SAs of one identity");
	peer_sa_up(ike, sa);
}

void sa_first_child(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state == SA_UP && sa->n_children == 1)
		sa_settle(ike, sa);
}

/* One that came up while the new one was being made may have been unknown to the peer when it said
 * that it has no other: it is not meant.  Each of the rest is told once that it goes, for the case
 * that the peer knows it after all; nobody waits for an answer. */
void sa_only(struct ike *ike, struct ike_sa *sa)
{
	list_for_each_safe(n, &sa->peer->sas) {
		struct ike_sa *other = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (other == sa || other->state != SA_UP || other->up_after >= sa->id)
			continue;
		sa_delete(ike, other, "the peer starts afresh");
		if (!other->win.request.n)
			info_delete(ike, other, 0);
		sa_remove(ike, other, "the peer starts afresh");
	}
}

/* ---- ending ------------------------------------------------------------------------------- */

void handshake_free(struct ike *ike, struct ike_sa *sa)
{
	struct handshake *hs = sa->hs;

	if (!hs)
		return;
	if (hs->in_init_map)
		map_remove(&ike->half_open, &hs->by_init);
	list_del(&hs->of_partner);
	partner_soon(ike, hs->partner);
	mem_free(ike->mem, (void *)(uintptr_t)hs->msg_i.p);
	mem_free(ike->mem, (void *)(uintptr_t)hs->msg_r.p);
	mem_free(ike->mem, (void *)(uintptr_t)hs->nonce_i.p);
	mem_free(ike->mem, (void *)(uintptr_t)hs->nonce_r.p);
	mem_free(ike->mem, (void *)(uintptr_t)hs->ke_pub.p);
	mem_free(ike->mem, (void *)(uintptr_t)hs->cookie.p);
	mem_free(ike->mem, (void *)(uintptr_t)hs->plain_auth.p);
	mem_free_secret(ike->mem, hs, sizeof(*hs));
	sa->hs = NULL;
}

static void remove_children(struct ike *ike, struct ike_sa *sa, const char *why)
{
	while (!list_empty(&sa->children))
		child_remove(ike, CONTAINER_OF(sa->children.next, struct child, node), why);
	while (!list_empty(&sa->leaving))
		child_remove(ike, CONTAINER_OF(sa->leaving.next, struct child, node), why);
	children_gone(ike, sa);
}

/* Between partners the hub's path takes over, and nothing is to be lost; but nobody is heard beyond
 * what makes him believed. */
static bool is_heard_on(const struct ike *ike, const struct ike_sa *sa)
{
	return partner_of(sa->peer) && !ike->shutdown && mono_before(ike->now.mono, life_hard(sa));
}

static void end_children(struct ike *ike, struct ike_sa *sa, const char *why)
{
	if (is_heard_on(ike, sa))
		children_farewell(ike, sa, why);
	else
		remove_children(ike, sa, why);
}

void sa_end_attempts(struct ike *ike, struct ike_sa *sa)
{
	attempt_end(ike, sa->attempt);
	attempt_end(ike, sa->answering);
}

static void unrelate(struct ike *ike, struct ike_sa *sa)
{
	if (sa->predecessor)
		sa->predecessor->successor = NULL;
	if (sa->successor) {
		sa->successor->predecessor = NULL;
		agenda_soon(ike, sa->successor);
	}
	sa->predecessor = sa->successor = NULL;
}

static void down_event(struct ike *ike, struct ike_sa *sa, const char *why)
{
	if (sa->was_up && !sa->down_said)
		event_emit(ike, IKE_EV_SA_DOWN, (struct event_about){ .sa = sa }, "%s", why);
	sa->down_said = true;
}

void sa_remove(struct ike *ike, struct ike_sa *sa, const char *why)
{
	struct peer *peer = sa->peer;
	struct ike_sa *rival = sa->successor;
	bool was_up = sa->was_up;

	partner_ending(ike, sa, sa_half_open(sa) ? IKE_R_NO_ANSWER : IKE_R_PEER_SAID, why);
	/* Which of the two lives will never be known: neither does. */
	if (rival && rival->state == SA_RIVAL)
		sa_remove(ike, rival, why);
	sa_end_attempts(ike, sa);
	create_end(ike, sa);
	words_end(ike, sa);
	mtu_search_end(ike, sa);
	unrelate(ike, sa);
	remove_children(ike, sa, why);
	down_event(ike, sa, why);
	trace_emit(ike, T_STATE, sa->id, sa->state, SA_STATES, 0, 0);
	heap_disarm(&ike->timers, &sa->retransmit);
	liveness_end(ike, sa);
	heap_disarm(&ike->timers, &sa->reap);
	heap_disarm(&ike->timers, &sa->life.timer);
	slot_leave(ike, sa);
	if (was_up)
		admit_seen(ike, &moving_traffic(sa)->remote.ip);
	moving_free(ike, sa);
	handshake_free(ike, sa);
	keys_done(&sa->keys, ike->mem);
	reassembly_drop(ike, sa, false);
	reassembly_drop(ike, sa, true);
	list_del(&sa->large);
	window_done(&sa->win, ike->mem);
	lease_sa_gone(ike, sa);
	mem_free(ike->mem, (void *)(uintptr_t)sa->remote_id.data.p);
	mem_free(ike->mem, sa->cred);
	qcd_token_free(ike, sa);
	map_remove(&ike->sa_by_spi, &sa->by_spi);
	not_connecting(sa);
	list_del(&sa->node);
	list_del(&sa->peer_node);
	list_del(&sa->todo);
	ike->n_sas--;
	ike->n_half_open -= sa_half_open(sa);
	mem_free_secret(ike->mem, sa, sizeof(*sa));
	if (!peer)
		return;
	inner_i_gone(ike, peer);
	peer_sa_gone(ike, peer, was_up);
}

/* The responder may have accepted our IKE_AUTH already and hold an SA that nobody wants.  If it has
 * not, it drops the DELETE, whose message id is ahead of its window. */
static void leave_unanswered(struct ike *ike, struct ike_sa *sa)
{
	sa_end_attempts(ike, sa);
	request_done(ike, sa);
	handshake_free(ike, sa);
	sa_set_state(ike, sa, SA_DELETING);
	agenda_soon(ike, sa);
}

/* Both ends know that it is gone, and it is there for what its children still hear. */
static bool is_hearing(const struct ike *ike, const struct ike_sa *sa)
{
	return sa->state == SA_CLOSED && !list_empty(&sa->leaving) && !ike->shutdown;
}

void sa_delete(struct ike *ike, struct ike_sa *sa, const char *why)
{
	if (sa->state == SA_DELETING || is_hearing(ike, sa))
		return;
	partner_ending(ike, sa, IKE_R_POLICY, why);
	if (sa->state == SA_I_AUTH) {
		leave_unanswered(ike, sa);
		return;
	}
	if (sa->state != SA_UP && sa->state != SA_REPLACED && sa->state != SA_RIVAL) {
		sa_remove(ike, sa, why);
		return;
	}
	if (sa->successor && sa->successor->state == SA_RIVAL)
		sa_delete(ike, sa->successor, why);
	/* Which may be the one that the peer knows. */
	if (sa->predecessor && sa->predecessor->state == SA_REPLACED)
		sa_delete(ike, sa->predecessor, why);
	sa_end_attempts(ike, sa);
	create_yield(ike, sa);
	words_end(ike, sa);
	sa_set_state(ike, sa, SA_DELETING);
	end_children(ike, sa, why);
	inner_i_gone(ike, sa->peer);
	liveness_end(ike, sa);
	heap_disarm(&ike->timers, &sa->reap);
	heap_disarm(&ike->timers, &sa->life.timer);
	/* A request in flight goes first: the window is one. Its answer leads to the DELETE, its
	 * absence to the end. */
	if (sa->win.request.n)
		hurry_request(ike, sa);
	agenda_soon(ike, sa);
}

void sa_close(struct ike *ike, struct ike_sa *sa)
{
	sa_end_attempts(ike, sa);
	create_end(ike, sa);
	words_end(ike, sa);
	unrelate(ike, sa);
	request_done(ike, sa);
	keys_done(&sa->keys, ike->mem);
	sa_set_state(ike, sa, SA_CLOSED);
	heap_arm(&ike->timers, &sa->reap, mono_add(ike->now.mono, dur_s(IKE_LINGER_S)));
}

void sa_deleted(struct ike *ike, struct ike_sa *sa, const char *why)
{
	bool hears = is_heard_on(ike, sa);
	mono_t until = mono_add(ike->now.mono, dur_s(IKE_CHILD_LINGER_S));

	partner_ending(ike, sa, IKE_R_PEER_SAID, why);
	if (hears)
		children_farewell(ike, sa, why);
	if (!hears || list_empty(&sa->leaving)) {
		sa_remove(ike, sa, why);
		return;
	}
	children_gone(ike, sa);
	down_event(ike, sa, why);
	mtu_search_end(ike, sa);
	liveness_end(ike, sa);
	heap_disarm(&ike->timers, &sa->life.timer);
	sa_close(ike, sa);
	heap_arm(&ike->timers, &sa->reap, mono_min(until, life_hard(sa)));
}

void sa_reject(struct ike *ike, struct ike_sa *sa, enum ike_reason reason, const char *text)
{
	struct peer *peer = sa->peer;

	partner_ending(ike, sa, reason, text);
	sa_end_attempts(ike, sa);
	peer_error(ike, peer, text);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = reason }, "%s",
		   text);
	handshake_free(ike, sa);
	sa_set_state(ike, sa, SA_DELETING);
	info_delete(ike, sa, WIRE_N_AUTHENTICATION_FAILED);
	peer_attempt_failed(ike, peer, text);
}

/* A responder that said no stays a while, to say it again when the answer got lost, and to count
 * as half-open. */
static void linger(struct ike *ike, struct ike_sa *sa)
{
	sa_end_attempts(ike, sa);
	handshake_free(ike, sa);
	keys_done(&sa->keys, ike->mem);
	sa_set_state(ike, sa, SA_FAILED);
	heap_arm(&ike->timers, &sa->reap, mono_add(ike->now.mono, dur_s(IKE_LINGER_S)));
}

/* The end of an SA, now, or when its last answer needs not be repeated any more. */
static void give_up(struct ike *ike, struct ike_sa *sa, const char *why)
{
	if (sa->state == SA_R_INIT && sa->win.next_recv == 2 && sa->win.response.n)
		linger(ike, sa);
	else
		sa_remove(ike, sa, why);
}

void sa_refuse(struct ike *ike, struct ike_sa *sa, struct peer *claimed, enum ike_reason reason,
	       const char *text)
{
	/* It is a claim and no more: what is known of a peer that is connected stays. */
	if (claimed && !peer_has_child(claimed))
		peer_error(ike, claimed, text);
	event_emit(ike, IKE_EV_REFUSED,
		   (struct event_about){ .sa = sa, .peer = claimed, .reason = reason }, "%s", text);
	partner_ending(ike, sa, reason, text);
	give_up(ike, sa, text);
}

void sa_fail(struct ike *ike, struct ike_sa *sa, enum ike_event_kind kind, enum ike_reason reason,
	     const char *text)
{
	struct peer *peer = sa->peer && !sa->peer->removed ? sa->peer : NULL;
	bool connecting = sa->initiator && (sa->state == SA_I_START || sa->state == SA_I_INIT ||
					    sa->state == SA_I_AUTH);

	partner_ending(ike, sa, reason, text);
	if (peer)
		peer_error(ike, peer, text);
	event_emit(ike, kind, (struct event_about){ .sa = sa, .reason = reason }, "%s", text);
	/* In SA_R_START the peer's key exchange value was none.  That cost a job; gone without a
	 * trace, a flood of them would never be asked for cookies. */
	if (sa->state == SA_R_START && kind == IKE_EV_REFUSED)
		linger(ike, sa);
	else
		give_up(ike, sa, text);
	if (peer && connecting)
		peer_attempt_failed(ike, peer, text);
}

/* ---- timers ------------------------------------------------------------------------------- */

static void reap_timer(struct ike *ike, struct ike_sa *sa)
{
	switch (sa->state) {
	case SA_UP:
		if (sa->sent_away) {
			count(ike, C_NOT_LEFT);
			sa_delete(ike, sa, "sent on to another gateway, and did not leave in time");
			break;
		}
		/* Section 2.1: after several minutes a response may be forgotten. */
		mem_free(ike->mem, (void *)(uintptr_t)sa->win.response.p);
		sa->win.response = bytes_of(NULL, 0);
		break;
	case SA_R_START:
	case SA_R_INIT:
	case SA_FAILED: sa_remove(ike, sa, "half-open for too long"); break;
	case SA_CLOSED: sa_remove(ike, sa, "deleted by the peer"); break;
	/* The peer should have deleted it. */
	case SA_REPLACED:
		if (sa->successor)
			agenda_soon(ike, sa->successor);
		sa_delete(ike, sa, "replaced");
		break;
	default: break;
	}
}

void sa_timer(struct ike *ike, struct timer *t)
{
	switch (t->kind) {
	case TIMER_RETRANSMIT:
		retransmit_timer(ike, CONTAINER_OF(t, struct ike_sa, retransmit));
		break;
	case TIMER_ALIVE: liveness_timer(ike, CONTAINER_OF(t, struct ike_sa, alive)); break;
	case TIMER_REAP: reap_timer(ike, CONTAINER_OF(t, struct ike_sa, reap)); break;
	case TIMER_LIFE: life_timer(ike, CONTAINER_OF(t, struct ike_sa, life.timer)); break;
	default: count(ike, C_BUG); break;
	}
}
