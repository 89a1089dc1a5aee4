/*
 * hubs.c - the other hubs of a hub's network, and what they and members are told of hubs
 * (docs/protocol/shortcut.md section 9.1).
 *
 * A hub is who announced RELAY and has address blocks for all of the domain in its certificate,
 * whether we called it or it called us; who only says so is a member like any other.  It is found
 * by its identity: of several ways to it, the one that came up last is the one that we speak on.
 *
 * Hubs tell each other where they themselves are, and members where all are.  Neither is a queue:
 * members that do not know the newest list are on one (`uninformed`), and hear of it in their turn.
 */
#include "mesh/hub.h"

/* ---- finding --------------------------------------------------------------------------------- */

struct other *other_by_ident(const struct hub *h, const struct policy_ident *id)
{
	list_for_each(n, &h->others) {
		struct other *o = CONTAINER_OF(n, struct other, node);

		if (policy_ident_eq(&o->ident, id))
			return o;
	}
	return NULL;
}

static size_t way_of(const struct other *o, ike_peer_id peer)
{
	size_t i = 0;

	while (i < o->n_ways && o->way[i] != peer)
		i++;
	return i;
}

struct other *other_by_peer(const struct hub *h, ike_peer_id peer)
{
	list_for_each(n, &h->others) {
		struct other *o = CONTAINER_OF(n, struct other, node);

		if (way_of(o, peer) < o->n_ways)
			return o;
	}
	return NULL;
}

/* ---- ours ------------------------------------------------------------------------------------ */

/* Views into the configuration; n_at 0: it does not say where we are. */
static struct wire_mesh_hub own_place(const struct network *net)
{
	struct wire_mesh_hub hub = { .id = ident_put(&net->section->local_id) };
	const struct mesh_network *c = net->conf;

	for (size_t i = 0; i < c->n_announce && hub.n_at < WIRE_MESH_HUB_ADDRESSES; i++) {
		struct wire_mesh_where *at = &hub.at[hub.n_at++];

		at->port = c->port;
		if (ip_parse(c->announce[i], &at->ip) != ST_OK) {
			at->ip = (struct ip){ 0 };
			at->name = bytes_str(c->announce[i]);
		}
	}
	return hub;
}

static enum status say_hubs(struct hub *h, ike_peer_id peer, const struct wire_mesh_hub *hubs,
			    size_t n, answered_fn *done)
{
	struct mesh *m = h->net->m;
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT),
				  .context = bytes_str(h->net->conf->name),
				  .sequence = ++m->sequence,
				  .hubs = hubs,
				  .n_hubs = n };

	if (n)
		word.present |= WIRE_MESH_BIT(HUB);
	return say(h->net, peer, WIRE_N_SHORTCUT_HUBS, &word, done, 0, 0);
}

/* ---- to members ---------------------------------------------------------------------------- */

/* Our own first. */
static size_t all_places(const struct hub *h, struct wire_mesh_hub ret[static MESH_HUBS])
{
	size_t n = 0;

	ret[n] = own_place(h->net);
	n += ret[n].n_at > 0;
	list_for_each(it, &h->others) {
		const struct other *o = CONTAINER_OF(it, const struct other, node);

		if (o->place && n < MESH_HUBS)
			ret[n++] = o->place->hub;
	}
	return n;
}

static void news_arm(struct hub *h, mono_t due)
{
	struct timer *t = &h->news;

	if (!t->armed || mono_before(due, t->due))
		heap_arm(&h->net->m->timers, t, due);
}

static void uninformed(struct hub *h, struct entry *e)
{
	if (!e->peer || !list_empty(&e->uninformed))
		return;
	list_add_tail(&h->uninformed, &e->uninformed);
	news_arm(h, h->net->m->now.mono);
}

void hubs_changed(struct hub *h)
{
	h->told_hubs = true;
	for (uint32_t i = 0; i < h->n_slots; i++)
		if (h->slots[i])
			uninformed(h, h->slots[i]);
}

void hubs_member_up(struct hub *h, struct entry *e, ike_sa_id sa)
{
	struct wire_mesh_hub hubs[MESH_HUBS];

	if (e->hubs_sa == sa)
		return;
	e->hubs_sa = sa;
	e->hubs_at = (mono_t){ INT64_MIN / 2 };
	if (h->told_hubs || all_places(h, hubs))
		uninformed(h, e);
}

/* It is not up any more, or speaks no such words: nothing is owed.  Without room it waits. */
static void inform(struct hub *h, struct entry *e, const struct wire_mesh_hub *hubs, size_t n)
{
	mono_t now = h->net->m->now.mono;
	enum status st = ST_AGAIN;

	list_del(&e->uninformed);
	if (!mono_before(now, mono_add(e->hubs_at, dur_ms(MESH_HUBS_MS))))
		st = say_hubs(h, e->peer, hubs, n, NULL);
	if (!st)
		e->hubs_at = now;
	else if (st != ST_INVAL)
		list_add_tail(&h->uninformed, &e->uninformed);
}

void news_timer(struct mesh *m, struct timer *t)
{
	struct hub *h = CONTAINER_OF(t, struct hub, news);
	struct wire_mesh_hub hubs[MESH_HUBS];
	size_t n = all_places(h, hubs);

	h->told_hubs = true;
	for (unsigned i = 0; i < MESH_HUBS_TURN && !list_empty(&h->uninformed); i++)
		inform(h, CONTAINER_OF(h->uninformed.next, struct entry, uninformed), hubs, n);
	if (!list_empty(&h->uninformed))
		news_arm(h, mono_add(m->now.mono, dur_ms(MESH_HUBS_TURN_MS)));
}

/* ---- to other hubs ------------------------------------------------------------------------- */

static void own_said(struct mesh *m, const struct ask *a, uint16_t notify,
		     const struct wire_mesh *answer)
{
	struct other *o = other_by_peer(a->net->hub, a->peer);

	(void)m;
	(void)notify;
	if (!o || answer)
		return;
	o->tell = true;
	other_wake(o, MESH_SOON_MS);
}

void other_wake(struct other *o, int64_t ms)
{
	mono_t due = mono_add(o->hub->net->m->now.mono, dur_ms(ms));

	if (!o->timer.armed || mono_before(due, o->timer.due))
		heap_arm(&o->hub->net->m->timers, &o->timer, due);
}

/* Itself, nobody else. */
static void other_speak(struct other *o)
{
	struct wire_mesh_hub own = own_place(o->hub->net);
	enum status st;

	if (!o->tell || !o->n_ways)
		return;
	st = say_hubs(o->hub, o->way[0], &own, own.n_at > 0, own_said);
	o->tell = st == ST_AGAIN || st == ST_NOMEM;
	if (o->tell)
		other_wake(o, MESH_SOON_MS);
}

/* ---- coming and going ---------------------------------------------------------------------- */

struct attached {
	ike_sa_id sa;
	uint8_t capabilities;
	bool ppk;
	struct policy_ident ident;
};

static bool newest(void *ctx, const struct ike_sa_info *info)
{
	struct attached *at = ctx;

	if (info->established && info->id > at->sa)
		*at = (struct attached){ info->id, info->capabilities, info->ppk, info->remote_id };
	return true;
}

bool hub_post_quantum(const struct hub *h, ike_peer_id peer)
{
	struct attached at = { 0 };

	ike_each_sa_of(h->net->m->ike, h->net->m->now, peer, newest, &at);
	return at.ppk;
}

static bool is_hub(const struct hub *h, ike_peer_id peer, const struct attached *at)
{
	const struct ike_peer_conf *s = h->net->section;

	return at->sa && at->capabilities & IKE_CAN_RELAY && s->domain.n && at->ident.type &&
	       !policy_ident_eq(&at->ident, &s->local_id) &&
	       ike_peer_covers(h->net->m->ike, peer, &s->domain);
}

static void other_free(struct other *o)
{
	struct mesh *m = o->hub->net->m;

	share_end(o);
	route_done(o);
	list_del(&o->node);
	heap_disarm(&m->timers, &o->timer);
	known_hub_free(m, o->place);
	ident_done(m, &o->ident);
	mem_free(m->mem, o);
}

static struct other *other_new(struct hub *h, const struct policy_ident *ident)
{
	struct mesh *m = h->net->m;
	struct other *o;
	size_t n = 0;

	list_for_each(it, &h->others)
		n++;
	o = n < MESH_HUBS ? mem_new(m->mem, sizeof(*o)) : NULL;
	if (o)
		o->hub = h;
	if (!o || route_init(o) || ident_dup(m, ident, &o->ident)) {
		count(m, n < MESH_HUBS ? M_NO_MEMORY : M_HUBS_FULL);
		if (o)
			policy_table_free(o->given);
		mem_free(m->mem, o);
		return NULL;
	}
	o->timer.kind = T_OTHER;
	share_new(o);
	list_add_tail(&h->others, &o->node);
	route_judge(h);
	return o;
}

static void other_forget(struct other *o)
{
	struct hub *h = o->hub;
	bool named = o->place;

	share_forget(o, true);
	other_free(o);
	route_judge(h);
	if (named)
		hubs_changed(h);
}

static void way_lost(struct other *o, ike_peer_id peer)
{
	size_t i = way_of(o, peer);

	route_way_lost(o, peer);
	memmove(&o->way[i], &o->way[i + 1], (o->n_ways - i - 1) * sizeof(o->way[0]));
	if (--o->n_ways)
		return;
	o->until = mono_add(o->hub->net->m->now.mono, dur_s(MESH_HUB_KEEP_S));
	other_wake(o, (int64_t)MESH_HUB_KEEP_S * 1000);
	share_end(o);
	share_doubt(o);
}

/* What is up the longest may lead to what it was before it started again. */
static void way_first(struct other *o, ike_peer_id peer)
{
	size_t i = way_of(o, peer);

	if (i == MESH_HUB_WAYS)
		return;
	o->n_ways += i == o->n_ways;
	memmove(&o->way[1], &o->way[0], i * sizeof(o->way[0]));
	o->way[0] = peer;
	route_way(o, peer);
}

/* `anew`: by an SA that is none's successor.  It may have started again, and know nothing. */
static void way_up(struct hub *h, ike_peer_id peer, const struct attached *at, bool anew)
{
	struct other *before = other_by_peer(h, peer), *o = other_by_ident(h, &at->ident);

	if (before && before != o)
		way_lost(before, peer);
	if (!o)
		o = other_new(h, &at->ident);
	if (!o)
		return;
	anew |= !o->n_ways;
	if (anew || way_of(o, peer) == o->n_ways)
		way_first(o, peer);
	if (entry_by_peer(h, peer))
		directory_look(h, peer);
	if (!anew)
		return;
	o->sequence = o->last_in = 0;
	o->silent_until = h->net->m->now.mono;
	o->tell = true;
	other_speak(o);
	share_begin(o);
}

bool hubs_look(struct hub *h, const struct ike_event *e, const struct ike_peer_info *info)
{
	struct mesh *m = h->net->m;
	struct other *o = other_by_peer(h, e->peer);
	struct attached at = { 0 };
	bool is_member = info && info->conf->id == h->net->conf->peer;

	if (info)
		ike_each_sa_of(m->ike, m->now, e->peer, newest, &at);
	if (info && is_hub(h, e->peer, &at)) {
		way_up(h, e->peer, &at, e->kind == IKE_EV_SA_UP);
		return true;
	}
	if (o)
		way_lost(o, e->peer);
	return info ? !is_member : o != NULL;
}

/* ---- words --------------------------------------------------------------------------------- */

static const struct wire_mesh_hub *itself(const struct other *o, const struct wire_mesh *msg)
{
	for (size_t i = 0; i < msg->n_hubs; i++) {
		struct policy_ident id = ident_of(&msg->hubs[i].id);

		if (policy_ident_eq(&id, &o->ident))
			return &msg->hubs[i];
	}
	return NULL;
}

static void say_place(const struct other *o)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);
	struct hub *h = o->hub;

	if (o->place)
		hub_text(&t, &o->place->hub);
	else
		policy_ident_text(&t, &o->ident);
	mesh_event(h->net->m, IKE_EV_HUBS,
		   (struct mesh_about){ .peer = o->way[0],
					.peer_name = h->net->section->name,
					.identity = &o->ident },
		   o->place ? "another hub says that it is %s" : "%s does not say where it is",
		   buf);
}

/* What it says of others is left alone: they say it themselves. */
static void hubs_word(struct other *o, struct word *w)
{
	const struct wire_mesh_hub *is = itself(o, &w->msg);
	struct mesh *m = w->m;
	struct known_hub *place = NULL;

	if (w->msg.sequence <= o->sequence) {
		count(m, M_OLD);
		word_refuse(w, WIRE_MR_OLDER, "its number is not above the last");
		return;
	}
	if (is && o->place && hub_eq(is, &o->place->hub)) {
		o->sequence = w->msg.sequence;
		word_accept(w, NULL);
		return;
	}
	place = is ? known_hub_new(m, is) : NULL;
	if (is && !place) {
		count(m, M_NO_MEMORY);
		word_refuse(w, WIRE_MR_INTERNAL, "out of memory");
		return;
	}
	o->sequence = w->msg.sequence;
	word_accept(w, NULL);
	if (!place && !o->place)
		return;
	known_hub_free(m, o->place);
	o->place = place;
	say_place(o);
	hubs_changed(o->hub);
}

void other_word(struct hub *h, struct word *w)
{
	struct other *o = other_by_peer(h, w->peer);

	if (!o) {
		count(h->net->m, M_NOT_A_HUB);
		word_refuse(
			w, WIRE_MR_NOT_A_HUB,
			"you have not announced RELAY, or have no address blocks for the domain");
	} else if (WIRE_MESH_HAS(&w->msg, CONTEXT) &&
		   !bytes_eq(w->msg.context, bytes_str(h->net->conf->name))) {
		word_refuse(w, WIRE_MR_CONTEXT, h->net->conf->name);
	} else if (w->kind == WIRE_N_SHORTCUT_HUBS) {
		hubs_word(o, w);
	} else if (w->kind == WIRE_N_SHORTCUT_DIRECTORY) {
		directory_word(o, w);
	} else if (w->kind == WIRE_N_SHORTCUT_RELAY) {
		relay_word(o, w);
	} else {
		relayed_word(o, w);
	}
}

/* ---- time, and another configuration ------------------------------------------------------- */

void other_timer(struct mesh *m, struct timer *t)
{
	struct other *o = CONTAINER_OF(t, struct other, timer);
	mono_t now = m->now.mono, due;

	if (!mono_before(now, o->doubts_until))
		share_forget(o, false);
	if (!o->n_ways && !mono_before(now, o->until)) {
		other_forget(o);
		return;
	}
	other_speak(o);
	share_speak(o);
	route_timer(o);
	due = o->n_ways ? o->doubts_until : mono_min(o->until, o->doubts_until);
	if (due.ns != MONO_NEVER.ns && (!t->armed || mono_before(due, t->due)))
		heap_arm(&m->timers, t, due);
}

/* A hub that the domain of now does not make one is none. */
static void rejudge(struct other *o)
{
	struct mesh *m = o->hub->net->m;

	for (size_t i = o->n_ways; i-- > 0;) {
		struct attached at = { 0 };

		ike_each_sa_of(m->ike, m->now, o->way[i], newest, &at);
		if (!is_hub(o->hub, o->way[i], &at))
			way_lost(o, o->way[i]);
	}
}

void hubs_reconfigured(struct hub *h)
{
	struct mesh *m = h->net->m;
	struct wire_mesh_hub own = own_place(h->net);
	struct known_hub *copy;

	list_for_each_safe(n, &h->others) {
		struct other *o = CONTAINER_OF(n, struct other, node);

		rejudge(o);
		if (!o->n_ways)
			other_forget(o);
	}
	if (h->own && hub_eq(&h->own->hub, &own))
		return;
	copy = known_hub_new(m, &own);
	if (!copy)
		count(m, M_NO_MEMORY); /* said once more the next time */
	known_hub_free(m, h->own);
	h->own = copy;
	hubs_changed(h);
	list_for_each(n, &h->others) {
		struct other *o = CONTAINER_OF(n, struct other, node);

		o->tell = true;
		other_speak(o);
	}
}

/* ---- life ---------------------------------------------------------------------------------- */

enum status hubs_init(struct hub *h)
{
	struct wire_mesh_hub own = own_place(h->net);

	list_init(&h->others);
	list_init(&h->uninformed);
	h->news.kind = T_NEWS;
	h->own = known_hub_new(h->net->m, &own);
	return h->own ? ST_OK : ST_NOMEM;
}

/* The directory is empty. */
void hubs_done(struct hub *h)
{
	list_for_each_safe(n, &h->others)
		other_free(CONTAINER_OF(n, struct other, node));
	share_done(h);
	known_hub_free(h->net->m, h->own);
	heap_disarm(&h->net->m->timers, &h->news);
}

bool hub_each_hub(const struct hub *h, mesh_hub_fn *fn, void *ctx)
{
	list_for_each(n, &h->others) {
		const struct other *o = CONTAINER_OF(n, const struct other, node);

		if (o->place && !fn(ctx, h->net->conf, &o->place->hub, o->n_ways > 0))
			return false;
	}
	return true;
}
