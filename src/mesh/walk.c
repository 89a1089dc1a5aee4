/*
 * walk.c - a full mesh: each member's way through the directory, downwards from its own place and
 * round.  Those who come after it walk themselves.
 *
 * Two that are neighbours in the directory meet first, so members that came at the same time do
 * not all begin with the same one.  Each has one suggestion, then it is the next one's turn.
 */
#include "mesh/hub.h"

static void ready(struct hub *h, struct entry *e)
{
	list_del(&e->walk);
	list_add_tail(&h->ready, &e->walk);
	hub_arm(h);
}

void walk_begin(struct hub *h, struct entry *e)
{
	if (!h->full || !entry_takes(e) || !e->spoken)
		return;
	/* How fast they were then says nothing of now. */
	if (!h->pending && list_empty(&h->ready) && h->room > MESH_MESH_FIRST)
		h->room = MESH_MESH_FIRST;
	e->at_slot = e->slot;
	e->left = h->n_slots;
	ready(h, e);
}

void walk_end(struct hub *h, struct entry *e)
{
	e->left = 0;
	list_del(&e->walk);
	list_for_each_safe(n, &e->blocked)
		ready(h, CONTAINER_OF(n, struct entry, walk));
}

void walk_release(struct hub *h, struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		struct entry *e = p->side[i].entry;

		if (e->left && list_empty(&e->walk))
			ready(h, e);
		if (!list_empty(&e->blocked))
			ready(h, CONTAINER_OF(e->blocked.next, struct entry, walk));
	}
	hub_arm(h);
}

/* Whom it has no tunnel with, and should; NULL: the one at its cursor is not such a one.  Who has
 * not said yet what it has begins a walk of its own when it has. */
static struct entry *wanted(struct hub *h, struct entry *e)
{
	struct entry *other = h->slots[e->at_slot];
	const struct pair *p;
	const char *rule;

	if (!other || other == e || !entry_takes(other) || !other->spoken ||
	    (!entry_here(e) && !entry_here(other)))
		return NULL;
	p = pair_find(h, e, other);
	if (p && p->state != PAIR_IDLE)
		return NULL;
	return topology_of(h->net->conf, e, other, &rule) == MESH_FULL ? other : NULL;
}

/* One step; false: it halts. */
static bool step(struct hub *h, struct entry *e)
{
	struct entry *other;

	if (!e->left || e->pending >= MESH_MEMBER_PENDING) {
		list_del(&e->walk);
		return false;
	}
	other = wanted(h, e);
	if (other && other->pending >= MESH_MEMBER_PENDING) {
		list_del(&e->walk);
		list_add_tail(&other->blocked, &e->walk);
		return false;
	}
	if (other) {
		struct pair *p = pair_get(h, e, other);

		if (p)
			pair_judge(h, p);
		list_del(&e->walk);
		list_add_tail(&h->ready, &e->walk);
	}
	e->left--;
	/* Round to the highest that there was when it began. */
	e->at_slot = e->at_slot ? e->at_slot - 1 : e->slot + e->left;
	return true;
}

void walk_on(struct hub *h)
{
	for (unsigned n = 0; n < MESH_WALK && h->pending < h->room; n++) {
		if (list_empty(&h->ready))
			return;
		(void)step(h, CONTAINER_OF(h->ready.next, struct entry, walk));
	}
}

void walk_paced(struct hub *h, const struct pair *p, bool up)
{
	int64_t ns = mono_since(h->net->m->now.mono, p->since).ns;

	if (p->topology != MESH_FULL || !pair_pending(p))
		return;
	if (up && ns < dur_ms(MESH_UP_SOON_MS).ns) {
		if (!list_empty(&h->ready) && h->room < MESH_PENDING)
			h->room++; /* somebody waits for it */
	} else if ((!up || ns >= dur_ms(MESH_UP_LATE_MS).ns) && h->room > MESH_MESH_LEAST) {
		h->room--;
	}
}
