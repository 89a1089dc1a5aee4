/*
 * hub.c - what comes in at a hub: events, words, traffic, time, another configuration.
 */
#include "mesh/hub.h"

#include <stdio.h>

/* ---- life ---------------------------------------------------------------------------------- */

enum status hub_new(struct network *net, struct hub **ret_hub)
{
	struct mesh *m = net->m;
	struct hub *h = mem_new(m->mem, sizeof(*h));

	if (!h)
		return ST_NOMEM;
	h->net = net;
	h->timer.kind = T_HUB;
	map_init(&h->by_ident, m->mem, m->key);
	map_init(&h->by_peer, m->mem, m->key);
	map_init(&h->pairs, m->mem, m->key);
	map_init(&h->suggested, m->mem, m->key);
	map_init(&h->by_id, m->mem, m->key);
	list_init(&h->changes);
	list_init(&h->ready);
	list_init(&h->late);
	list_init(&h->unspoken);
	h->full = topology_full(net->conf);
	h->room = MESH_MESH_FIRST;
	if (policy_table_new(m->mem, NULL, NULL, &h->prefixes)) {
		mem_free(m->mem, h);
		return ST_NOMEM;
	}
	if (hubs_init(h)) {
		policy_table_free(h->prefixes);
		mem_free(m->mem, h);
		return ST_NOMEM;
	}
	*ret_hub = h;
	return ST_OK;
}

void hub_free(struct network *net)
{
	struct hub *h = net->hub;
	struct map_node *n;

	if (!h)
		return;
	while ((n = map_any(&h->pairs)))
		pair_free(h, CONTAINER_OF(n, struct pair, by_members));
	map_done(&h->pairs);
	map_done(&h->suggested);
	map_done(&h->by_id);
	directory_free(h);
	hubs_done(h);
	heap_disarm(&net->m->timers, &h->timer);
	mem_free(net->m->mem, h);
	net->hub = NULL;
}

void hub_reconfigured(struct network *net)
{
	struct hub *h = net->hub;

	h->full = topology_full(net->conf);
	hubs_reconfigured(h);
	directory_look_all(h);
	for (struct map_node *n = map_next(&h->pairs, NULL); n; n = map_next(&h->pairs, n)) {
		struct pair *p = CONTAINER_OF(n, struct pair, by_members);

		pair_judge(h, p);
		pair_changed(h, p);
	}
	for (uint32_t i = 0; i < h->n_slots; i++)
		if (h->slots[i])
			walk_begin(h, h->slots[i]);
}

/* ---- what happens -------------------------------------------------------------------------- */

void hub_event(struct network *net, const struct ike_event *e, const struct ike_peer_info *info)
{
	bool member =
		info ? info->conf->id == net->conf->peer : entry_by_peer(net->hub, e->peer) != NULL;
	struct entry *entry;

	if (hubs_look(net->hub, e, info))
		return;
	switch (e->kind) {
	case IKE_EV_SA_UP:
	case IKE_EV_SA_DOWN:
	case IKE_EV_SA_REKEYED:
	case IKE_EV_CHILD_UP:
	case IKE_EV_CHILD_DOWN:
	case IKE_EV_MOVED:
		if (member)
			directory_look(net->hub, e->peer);
		break;
	default: return;
	}
	entry = entry_by_peer(net->hub, e->peer);
	if (entry && e->kind == IKE_EV_SA_UP && entry->at.type)
		directory_again(net->hub, e->peer);
	else if (entry && e->kind == IKE_EV_CHILD_UP)
		hubs_member_up(net->hub, entry, e->sa);
}

static void why_traffic(const struct dp_report *r, char *buf, size_t cap)
{
	char src[IP_TEXT_MAX], dst[IP_TEXT_MAX];

	snprintf(buf, cap, "%s sends to %s", ip_text(&r->u.flow.src, src),
		 ip_text(&r->u.flow.dst, dst));
}

void hub_flow(struct network *net, const struct dp_report *r)
{
	struct hub *h = net->hub;
	struct entry *a = entry_by_address(h, &r->u.flow.src);
	struct entry *b = entry_by_address(h, &r->u.flow.dst);
	char why[2 * IP_TEXT_MAX + 16];
	struct pair *p;

	if (!a || !b || a == b) {
		count(net->m, M_FLOWS_UNKNOWN);
		return;
	}
	if (!entry_takes(a) || !entry_takes(b) || (!entry_here(a) && !entry_here(b)))
		return;
	p = pair_get(h, a, b);
	if (!p)
		return;
	why_traffic(r, why, sizeof(why));
	pair_traffic(h, p, why);
}

/* ---- words --------------------------------------------------------------------------------- */

static void another(struct hub *h, struct entry *e, bool rebooted)
{
	list_for_each_safe(n, &e->pairs) {
		struct pair *p = CONTAINER_OF(n, struct side, node)->pair;

		if (rebooted)
			pair_rebooted(h, p);
		pair_changed(h, p);
		pair_judge(h, p);
	}
}

/* A member's places, all of them; and whether it is still the one that it was. */
static void candidates_word(struct hub *h, struct entry *e, struct word *w)
{
	const struct wire_mesh *msg = &w->msg;
	bool first = e->boot == 0, again = !first && e->boot != msg->boot, news;

	if (!WIRE_MESH_HAS(msg, BOOT)) {
		word_refuse(w, WIRE_MR_IDENTITY, "of no suggestion, and without BOOT");
		return;
	}
	if (!first && !again && msg->sequence <= e->sequence) {
		count(h->net->m, M_OLD);
		word_refuse(w, WIRE_MR_OLDER, "its number is not above the last");
		return;
	}
	e->boot = msg->boot;
	e->sequence = msg->sequence;
	word_accept(w, NULL);
	news = entry_offers(h, e, msg->candidates, msg->n_candidates);
	if (news)
		(void)entry_moved(h, e);
	if (first || again)
		share_news(h, e);
	if (news || again)
		another(h, e, again);
	if (first || again)
		walk_begin(h, e);
	entry_spoke(h, e); /* places are said last */
}

/* Each may cost words to others, and a line in a log. */
static bool may_speak(struct hub *h, struct entry *e)
{
	return pace(&e->said, h->net->m->now.mono, dur_ms(1000 / MESH_MEMBER_WORDS_PER_S),
		    MESH_MEMBER_WORDS);
}

static void member_word(struct hub *h, struct word *w)
{
	struct entry *e = entry_by_peer(h, w->peer);

	if (!e || !entry_takes(e)) {
		count(h->net->m, M_NOT_A_PARTNER);
		word_refuse(w, WIRE_MR_POLICY, "said by nobody who takes suggestions");
	} else if (!may_speak(h, e)) {
		count(h->net->m, M_FLOOD);
		word_refuse(w, WIRE_MR_LIMIT, "too many words: once more in a second");
	} else if (w->kind == WIRE_N_SHORTCUT_CANDIDATES) {
		candidates_word(h, e, w);
	} else if (w->kind == WIRE_N_SHORTCUT_ASK) {
		asked_word(h, e, w);
	} else {
		entry_speaks(h, e);
		report_word(h, e, w);
	}
}

static void not_a_hub(struct mesh *m, struct word *w)
{
	count(m, M_NOT_A_HUB);
	word_refuse(w, WIRE_MR_NOT_A_HUB, "you are a member here");
}

void hub_word(struct network *net, struct word *w, const struct ike_peer_info *info)
{
	bool hub = info->conf->id != net->conf->peer || other_by_peer(net->hub, w->peer);

	switch (w->kind) {
	case WIRE_N_SHORTCUT_CANDIDATES:
	case WIRE_N_SHORTCUT_REPORT:
		if (hub)
			other_word(net->hub, w);
		else
			member_word(net->hub, w);
		break;
	case WIRE_N_SHORTCUT_WITHDRAW:
		if (hub)
			other_word(net->hub, w);
		else
			not_a_hub(net->m, w);
		break;
	case WIRE_N_SHORTCUT_ASK:
		if (!hub)
			member_word(net->hub, w);
		break;
	case WIRE_N_SHORTCUT_SUGGEST: not_a_hub(net->m, w); break;
	case WIRE_N_SHORTCUT_HUBS:
	case WIRE_N_SHORTCUT_DIRECTORY:
	case WIRE_N_SHORTCUT_RELAY: other_word(net->hub, w); break;
	default: break;
	}
}

/* ---- time ---------------------------------------------------------------------------------- */

void hub_arm(struct hub *h)
{
	struct heap *timers = &h->net->m->timers;
	mono_t due = MONO_NEVER;

	if (!list_empty(&h->late))
		due = CONTAINER_OF(h->late.next, struct entry, late)->told;
	if (!list_empty(&h->unspoken))
		due = mono_min(due,
			       CONTAINER_OF(h->unspoken.next, struct entry, unspoken)->patience);
	if (!list_empty(&h->ready) && h->pending < h->room)
		due = mono_min(due, mono_add(h->net->m->now.mono, dur_ms(MESH_TURN_MS)));
	if (due.ns == MONO_NEVER.ns)
		heap_disarm(timers, &h->timer);
	else if (!h->timer.armed || mono_before(due, h->timer.due))
		heap_arm(timers, &h->timer, due);
}

void hub_timer(struct mesh *m, struct timer *t)
{
	struct hub *h = CONTAINER_OF(t, struct hub, timer);

	(void)m;
	entry_late(h);
	entry_silent(h);
	walk_on(h);
	hub_arm(h);
}
