/*
 * child.c - the life of a child SA (child.h).
 *
 *	UP ------------------> removed		the peer's Delete, the end of its SA
 *	 |\------> DOOMED -> DELETING -> removed	ours: by the operator, policy, lifetime
 *	 v
 *	REPLACED	by the peer's rekey or by ours (section 2.8).  We go on sending on it until
 *	 |		the other end is known to receive on the successor: at once when ours made
 *	 |		it, with the Delete of the old one when the peer's did.
 *	 v
 *	[DOOMED -> DELETING ->] LINGERING -> removed
 *
 * What was replaced still receives for a moment, because packets overtake messages; it never sends.
 * So does every child of a partner that is deleted, by whomever, since the hub's path takes its
 * place: it lingers, with its IKE SA when that ends (sa_deleted()).
 */
#include "ike/child.h"
#include "ike/partner.h"

static uint64_t id_hash(struct ike *ike, dp_child_id id)
{
	return map_hash(&ike->child_by_id, bytes_of(&id, sizeof(id)));
}

static uint64_t spi_hash(struct ike *ike, uint32_t spi)
{
	return map_hash(&ike->child_by_spi, bytes_of(&spi, sizeof(spi)));
}

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child, by_id)->id == *(const dp_child_id *)key;
}

static bool same_spi(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child, by_spi)->spi_in == *(const uint32_t *)key;
}

struct child *child_by_id(struct ike *ike, dp_child_id id)
{
	struct map_node *n = map_find(&ike->child_by_id, id_hash(ike, id), same_id, &id);

	return n ? CONTAINER_OF(n, struct child, by_id) : NULL;
}

struct child *child_by_spi_out(struct ike_sa *sa, uint32_t spi)
{
	struct list *of[] = { &sa->children, &sa->leaving };

	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		list_for_each(n, of[i]) {
			struct child *c = CONTAINER_OF(n, struct child, node);

			if (c->spi_out == spi)
				return c;
		}
	return NULL;
}

uint32_t child_pick_spi(struct ike *ike)
{
	uint32_t spi;

	do {
		uint8_t raw[4];

		ike->crypto.ops->random(ike->crypto.ctx, raw, sizeof(raw));
		spi = load_be32(raw);
	} while (spi < IKE_MIN_ESP_SPI ||
		 map_find(&ike->child_by_spi, spi_hash(ike, spi), same_spi, &spi));
	return spi;
}

static enum status dup_ts(const struct alloc *mem, const struct wire_ts_list *from,
			  struct wire_ts_list *ret)
{
	struct bytes copy;
	enum status st = mem_dup(mem, bytes_of(from->ts, from->n * sizeof(*from->ts)), &copy);

	if (!st)
		*ret = (struct wire_ts_list){ (const void *)copy.p, from->n, 0 };
	return st;
}

enum status child_new(struct ike *ike, struct ike_sa *sa, const struct child_params *p,
		      struct outbox *ob, struct child **ret_child)
{
	struct child *c = mem_new(ike->mem, sizeof(*c));
	enum status st = ST_NOMEM;

	if (!c)
		return ST_NOMEM;
	list_init(&c->node);
	c->sa = sa;
	c->suite = p->suite;
	c->spi_in = p->spi_in;
	c->spi_out = p->spi_out;
	c->created = ike->now.mono;
	c->id = ++ike->last_child;
	c->op_kind = DP_CHILD_ADD;
	c->waits = p->waits;
	c->sends = !p->defers && !p->waits;
	c->told = c->sends && !p->held;
	c->counts = p->counts;
	c->timer.kind = TIMER_CHILD;
	c->draw = life_draw(ike);
	c->maker = p->maker;
	if (dup_ts(ike->mem, &p->ts_local, &c->ts_local) == ST_OK &&
	    dup_ts(ike->mem, &p->ts_remote, &c->ts_remote) == ST_OK)
		st = child_dp_add(ike, c, p, ob, &c->op);
	if (st) {
		child_free(ike, c);
		return st;
	}
	*ret_child = c;
	return ST_OK;
}

enum status child_make(struct ike *ike, struct ike_sa *sa, struct peer *peer,
		       struct child_params *p, const struct child_seed *seed, struct outbox *ob,
		       struct child **ret_child)
{
	enum status st = keys_child(&ike->crypto, sa->suite.prf, keys_d(&sa->keys), seed->shared,
				    &seed->nonces, &p->suite, seed->initiator, &p->in, &p->out);
	struct child *c;

	p->peer = peer->id;
	p->life = &peer->conf->life;
	p->maker = seed->initiator;
	p->proves = partner_holds(peer, sa);
	p->held = p->proves || attach_holds(peer, sa);
	p->flows = peer->conf->flows;
	p->direct = peer->conf->direct;
	p->relayed = peer->conf->relayed;
	p->counts = peer->conf->idle.ns > 0;
	if (!st)
		st = child_new(ike, sa, p, ob, &c);
	wipe(&p->in, sizeof(p->in));
	wipe(&p->out, sizeof(p->out));
	if (st)
		return st;
	if (peer->conf->role == IKE_ROLE_MEMBERS && !p->represents)
		st = claims_take(ike, peer, c);
	if (st)
		child_free(ike, c);
	else
		*ret_child = c;
	return st;
}

void child_free(struct ike *ike, struct child *c)
{
	mem_free(ike->mem, (void *)(uintptr_t)c->ts_local.ts);
	mem_free(ike->mem, (void *)(uintptr_t)c->ts_remote.ts);
	mem_free(ike->mem, c);
}

static void index_child(struct ike *ike, struct child *c)
{
	map_insert(&ike->child_by_id, &c->by_id, id_hash(ike, c->id));
	map_insert(&ike->child_by_spi, &c->by_spi, spi_hash(ike, c->spi_in));
}

void child_link(struct ike *ike, struct child *c)
{
	uint64_t op = c->op;

	list_add_tail(&c->sa->children, &c->node);
	c->sa->n_children++;
	ike->n_children++;
	index_child(ike, c);
	c->in_dp = true;
	c->op = 0;
	child_dp_expect(ike, c, op, DP_CHILD_ADD);
	life_child_begin(ike, c);
}

/* ---- what the operator hears -------------------------------------------------------------- */

static void terms_text(struct text *t, const struct child *c)
{
	policy_ts_list_text(t, &c->ts_local);
	text_add(t, " === ");
	policy_ts_list_text(t, &c->ts_remote);
	text_add(t, ", ");
	policy_suite_text(t, &c->suite);
}

static void up_event(struct ike *ike, struct child *c)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	terms_text(&t, c);
	count(ike, C_CHILD_UP);
	c->announced = true;
	event_emit(ike, IKE_EV_CHILD_UP, (struct event_about){ .sa = c->sa, .child = c }, "%s",
		   buf);
}

static void rekeyed_event(struct ike *ike, struct child *old, struct child *c)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "%08x/%08x took the place of %08x/%08x, ", c->spi_in, c->spi_out, old->spi_in,
		 old->spi_out);
	terms_text(&t, c);
	count(ike, C_CHILD_REKEYED);
	old->announced = false;
	c->announced = true;
	event_emit(ike, IKE_EV_CHILD_REKEYED, (struct event_about){ .sa = c->sa, .child = c }, "%s",
		   buf);
}

static void down_event(struct ike *ike, struct child *c, const char *why)
{
	if (c->announced && why)
		event_emit(ike, IKE_EV_CHILD_DOWN, (struct event_about){ .sa = c->sa, .child = c },
			   "%s", why);
	c->announced = false;
}

/* As soon as there is memory for saying so. It may still be on its way into the data plane, which
 * does things in their order: were that waited for, what it takes over from could fall silent
 * before. */
static void send_on(struct ike *ike, struct child *c)
{
	c->sends = true;
	if (!child_tell_sends(ike, c))
		agenda_soon(ike, c->sa);
}

/* ---- taking the place of another ---------------------------------------------------------- */

/* The one that has its place by now: a successor may have been replaced as well.  Each is younger
 * than the one before. */
static struct child *successor_of(struct ike *ike, const struct child *c)
{
	struct child *s;

	do {
		s = c->successor ? child_by_id(ike, c->successor) : NULL;
		c = s;
	} while (c && c->state == CHILD_REPLACED);
	return s && s->state == CHILD_UP ? s : NULL;
}

/* Some child of the SA waits for its Delete until that one takes over. */
static struct child *predecessor_of(const struct child *c)
{
	list_for_each(n, &c->sa->children) {
		struct child *p = CONTAINER_OF(n, struct child, node);

		if (p->state == CHILD_REPLACED && p->successor == c->id)
			return p;
	}
	return NULL;
}

void child_replace(struct ike *ike, struct child *c, const struct child *by, bool ours)
{
	mono_t due = mono_add(ike->now.mono, dur_s(IKE_REPLACED_S));

	/* Whose exchange it was asked before. */
	if (!ours)
		idle_replaced(ike, c);
	/* Its lifetime may end before; that its keys are due means nothing any more. */
	heap_arm(&ike->timers, &c->timer, mono_min(due, life_child_hard(c)));
	c->state = CHILD_REPLACED;
	c->successor = by->id;
	c->ours = ours;
	c->rekey.on = false; /* its pauses go on growing should this come to nothing */
	c->rekey.refused_since = (mono_t){ 0 };
}

void child_switch(struct ike *ike, struct child *c)
{
	struct child *by = successor_of(ike, c);

	if (!by)
		return;
	if (c->announced)
		rekeyed_event(ike, c, by);
	if (!by->sends)
		send_on(ike, by);
}

void child_await_proof(struct ike *ike, struct child *c)
{
	c->unproven = mono_add(ike->now.mono, retransmit_total(ike->conf));
}

bool child_unproven(const struct ike *ike, const struct child *c)
{
	return mono_before(ike->now.mono, c->unproven);
}

static bool prove(struct list *children)
{
	bool any = false;

	list_for_each(n, children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		any |= c->unproven.ns != 0;
		c->unproven = (mono_t){ 0 };
	}
	return any;
}

void children_proven(struct ike *ike, struct ike_sa *sa)
{
	bool used = prove(&sa->children), leaving = prove(&sa->leaving);

	if (used || leaving)
		agenda_soon(ike, sa);
}

/* What should have taken its place does not. */
static void stays(struct ike *ike, struct child *c)
{
	c->state = CHILD_UP;
	c->successor = 0;
	life_child_begin(ike, c);
	if (c->ours) {
		c->rekey.on = true;
		wish_failed(ike, &c->rekey);
		agenda_soon(ike, c->sa);
	}
}

/* ---- leaving ------------------------------------------------------------------------------ */

bool children_carry(const struct ike_sa *sa, const struct wire_ts_list *ts_local,
		    const struct wire_ts_list *ts_remote)
{
	list_for_each(n, &sa->children) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);

		if (c->sends && policy_ts_subset(ts_local, &c->ts_local) &&
		    policy_ts_subset(ts_remote, &c->ts_remote))
			return true;
	}
	return false;
}

/* A child that receives only, because another one had its traffic, sends when that has gone. */
static void send_instead(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state != SA_UP)
		return;
	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->state == CHILD_UP && !c->sends && !predecessor_of(c) &&
		    !children_carry(sa, &c->ts_local, &c->ts_remote))
			send_on(ike, c);
	}
}

/* Of IKE_AUTH while the peer had another SA: that is no more, or the peer has our answer. */
static void child_stop_waiting(struct ike *ike, struct child *c)
{
	if (!c->waits)
		return;
	c->waits = false;
	if (c->state == CHILD_UP && !c->sends)
		send_on(ike, c);
}

static bool any_sends(const struct ike_sa *sa)
{
	list_for_each(n, &sa->children)
		if (CONTAINER_OF(n, const struct child, node)->sends)
			return true;
	return false;
}

/* Another SA with that peer that has a child, `sending` or not; NULL: none. */
static struct ike_sa *other_carrier(const struct ike_sa *sa, bool sending)
{
	list_for_each(n, &sa->peer->sas) {
		struct ike_sa *other = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (other != sa && other->state == SA_UP && other->n_children &&
		    (!sending || any_sends(other)))
			return other;
	}
	return NULL;
}

void children_gone(struct ike *ike, struct ike_sa *sa)
{
	if (!sa->peer || ike->shutdown)
		return;
	list_for_each(m, &sa->peer->sas) {
		struct ike_sa *other = CONTAINER_OF(m, struct ike_sa, peer_node);

		if (other->state != SA_UP || other_carrier(other, true))
			continue;
		list_for_each(n, &other->children) {
			struct child *c = CONTAINER_OF(n, struct child, node);

			/* Others are looked at when they are installed. */
			if (c->installed)
				child_stop_waiting(ike, c);
		}
	}
}

void children_answered(struct ike *ike, struct ike_sa *sa)
{
	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->installed)
			child_stop_waiting(ike, c);
	}
}

/* Out of the children of its SA. */
static void leave(struct ike *ike, struct child *c)
{
	struct child *p;

	heap_disarm(&ike->timers, &c->timer);
	if (c->state >= CHILD_DOOMED)
		return;
	claims_drop(ike, c->sa->peer, c);
	list_del(&c->node);
	c->sa->n_children--;
	ike->n_children--;
	partner_soon(ike, c->sa->peer);
	attach_soon(ike, c->sa->peer);
	while ((p = predecessor_of(c))) {
		if (c->state == CHILD_REPLACED)
			p->successor = c->successor;
		else
			stays(ike, p);
	}
}

void child_remove(struct ike *ike, struct child *c, const char *why)
{
	down_event(ike, c, why);
	leave(ike, c);
	list_del(&c->node);
	if (c->op)
		map_remove(&ike->child_by_op, &c->by_op);
	map_remove(&ike->child_by_id, &c->by_id);
	map_remove(&ike->child_by_spi, &c->by_spi);
	/* The data plane must not keep what we forget. */
	child_dp_gone(ike, c);
	if (c->in_dp)
		list_add_tail(&ike->owed, &c->node);
	else
		child_free(ike, c);
}

void child_lost(struct ike *ike, struct child *c, const char *why)
{
	struct ike_sa *sa = c->sa;

	child_remove(ike, c, why);
	send_instead(ike, sa);
}

void child_doom(struct ike *ike, struct child *c, const char *why)
{
	down_event(ike, c, why);
	leave(ike, c);
	c->state = CHILD_DOOMED;
	list_add_tail(&c->sa->leaving, &c->node);
	if (why)
		child_dp_gone(ike, c);
	else
		child_dp_quiet(ike, c);
	agenda_soon(ike, c->sa);
	send_instead(ike, c->sa);
}

/* The oldest goes when there are too many. */
static void linger(struct ike *ike, struct child *c)
{
	struct child *oldest = NULL;
	unsigned n_lingering = 0;

	list_for_each(n, &c->sa->leaving) {
		struct child *l = CONTAINER_OF(n, struct child, node);

		if (l->state != CHILD_LINGERING)
			continue;
		oldest = oldest ? oldest : l;
		n_lingering++;
	}
	if (n_lingering >= IKE_MAX_LINGERING)
		child_remove(ike, oldest, NULL);
	c->state = CHILD_LINGERING;
	list_del(&c->node);
	list_add_tail(&c->sa->leaving, &c->node);
	heap_arm(&ike->timers, &c->timer, mono_add(ike->now.mono, dur_s(IKE_CHILD_LINGER_S)));
}

void child_over(struct ike *ike, struct child *c)
{
	if (c->lingers)
		linger(ike, c);
	else
		child_remove(ike, c, NULL);
}

/* Its IKE SA ends with it, or is no use without it. */
static void farewell(struct ike *ike, struct child *c, const char *why)
{
	down_event(ike, c, why);
	leave(ike, c);
	c->state = CHILD_DOOMED;
	list_add_tail(&c->sa->leaving, &c->node);
	child_dp_quiet(ike, c);
	child_over(ike, c);
}

static struct child *to_be_over(const struct ike_sa *sa)
{
	list_for_each(n, &sa->leaving) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->state != CHILD_LINGERING)
			return c;
	}
	return NULL;
}

void children_farewell(struct ike *ike, struct ike_sa *sa, const char *why)
{
	struct child *c;

	while (!list_empty(&sa->children))
		farewell(ike, CONTAINER_OF(sa->children.next, struct child, node), why);
	while ((c = to_be_over(sa)))
		child_over(ike, c);
}

void child_want_delete(struct ike *ike, struct child *c, const char *why)
{
	struct ike_sa *sa = c->sa;

	if (c->state >= CHILD_DOOMED)
		return;
	if (sa->state == SA_UP)
		child_doom(ike, c, why);
	else
		child_remove(ike, c, why);
	peer_child_gone(ike, sa->peer);
}

/* What comes from a partner has another way from now on, and what it sent before may still come. */
static void lost_to_peer(struct ike *ike, struct child *c, const char *why)
{
	struct ike_sa *sa = c->sa;

	if (partner_of(sa->peer))
		farewell(ike, c, why);
	else
		child_remove(ike, c, why);
	send_instead(ike, sa);
}

void child_deleted(struct ike *ike, struct child *c, struct wr *ret_spis)
{
	switch (c->state) {
	case CHILD_UP:
		wr_u32(ret_spis, c->spi_in);
		lost_to_peer(ike, c, "deleted by the peer");
		break;
	case CHILD_REPLACED:
		wr_u32(ret_spis, c->spi_in);
		child_switch(ike, c);
		down_event(ike, c, "deleted by the peer");
		leave(ike, c);
		list_add_tail(&c->sa->leaving, &c->node);
		child_dp_quiet(ike, c);
		c->state = CHILD_DOOMED;
		child_over(ike, c);
		break;
	case CHILD_DOOMED:
		wr_u32(ret_spis, c->spi_in);
		child_over(ike, c);
		break;
	/* Both ends delete it at once: each names only its own direction, once. */
	case CHILD_DELETING:
	case CHILD_LINGERING: break;
	}
}

enum status child_disown(struct ike *ike, struct ike_sa *sa, uint32_t spi_in)
{
	struct child *c = mem_new(ike->mem, sizeof(*c));

	if (!c)
		return ST_NOMEM;
	c->sa = sa;
	c->id = ++ike->last_child;
	c->spi_in = spi_in;
	c->state = CHILD_DOOMED;
	c->timer.kind = TIMER_CHILD;
	list_add_tail(&sa->leaving, &c->node);
	index_child(ike, c);
	agenda_soon(ike, sa);
	return ST_OK;
}

void child_timer(struct ike *ike, struct timer *t)
{
	struct child *c = CONTAINER_OF(t, struct child, timer);

	switch (c->state) {
	case CHILD_REPLACED:
		/* The peer should have deleted it. */
		child_switch(ike, c);
		child_doom(ike, c, NULL);
		break;
	case CHILD_LINGERING: child_remove(ike, c, NULL); break;
	case CHILD_UP: life_child_timer(ike, c); break;
	default: break;
	}
}

void child_inherit(struct child *c, struct ike_sa *to)
{
	bool used = c->state < CHILD_DOOMED;

	list_del(&c->node);
	list_add_tail(used ? &to->children : &to->leaving, &c->node);
	c->sa->n_children -= used;
	to->n_children += used;
	c->sa = to;
}

void children_hand_over(struct ike *ike, struct ike_sa *sa, const char *why)
{
	struct ike_sa *to = other_carrier(sa, false);

	if (!to)
		return;
	while (!list_empty(&sa->children)) {
		struct child *c = CONTAINER_OF(sa->children.next, struct child, node);

		down_event(ike, c, why);
		leave(ike, c);
		list_add_tail(&sa->leaving, &c->node);
		child_dp_quiet(ike, c);
		c->state = CHILD_DOOMED;
	}
	while (!list_empty(&sa->leaving)) {
		struct child *c = CONTAINER_OF(sa->leaving.next, struct child, node);

		child_inherit(c, to);
		if (c->state != CHILD_LINGERING)
			child_over(ike, c);
	}
}

/* ---- what the data plane answered --------------------------------------------------------- */

void child_refused(struct ike *ike, struct child *c, const char *what, enum status st)
{
	struct ike_sa *sa = c->sa;

	count(ike, C_DATAPLANE_FAILED);
	event_emit(ike, IKE_EV_DATAPLANE,
		   (struct event_about){ .sa = sa, .child = c, .reason = IKE_R_INTERNAL },
		   "the data plane refused %s (%s)", what, status_name(st));
	if (c->state >= CHILD_DOOMED) {
		child_dp_gone(ike, c);
		c->lingers = false;
		if (c->state == CHILD_LINGERING)
			child_remove(ike, c, NULL);
		return;
	}
	c->announced = true;
	child_doom(ike, c, "the data plane refused it");
	peer_child_failed(ike, sa->peer);
}

static void installed(struct ike *ike, struct child *c)
{
	bool again = c->installed;
	struct child *p;

	c->installed = true;
	if (again || c->state >= CHILD_DOOMED)
		return;
	agenda_soon(ike, c->sa); /* what is wanted of it had to wait */
	if (!other_carrier(c->sa, true))
		child_stop_waiting(ike, c);
	else if (c->waits)
		info_probe(ike, c->sa); /* answered by who has our answer */
	peer_child_installed(c->sa->peer);
	partner_installed(ike, c);
	attach_soon(ike, c->sa->peer);
	p = predecessor_of(c);
	if (!p && c->state == CHILD_UP)
		up_event(ike, c);
	for (; p && p->ours; p = predecessor_of(c)) {
		child_switch(ike, p);
		child_doom(ike, p, NULL);
	}
}

void child_added(struct ike *ike, struct child *c, enum status st)
{
	if (st != ST_OK) {
		c->in_dp = c->installed; /* what it had before it has still */
		child_refused(ike, c, "the child SA", st);
		return;
	}
	installed(ike, c);
	if (c->state < CHILD_DOOMED && c->sends)
		send_on(ike, c);
}
