/*
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): arm is O(1), pop and disarm are
 * amortised O(log n).  The two-pass merge is a loop, so a million timers need no stack.
 */
#include "base/heap.h"

#include <stddef.h>

static bool timer_before(const struct timer *a, const struct timer *b)
{
	return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->seq < b->seq;
}

/* Makes the later of two roots the first child of the other. Either may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *t;

	if (!a || !b)
		return a ? a : b;
	if (timer_before(b, a)) {
		t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Takes the first root off a sibling list. */
static struct timer *shift(struct timer **list)
{
	struct timer *t = *list;

	if (t) {
		*list = t->next;
		t->next = t->prev = NULL;
	}
	return t;
}

/* Left to right in pairs, then right to left into one. */
static struct timer *meld_siblings(struct timer *list)
{
	struct timer *pairs = NULL;
	struct timer *root = NULL;

	while (list) {
		struct timer *a = shift(&list);
		struct timer *pair = meld(a, shift(&list));

		pair->next = pairs;
		pairs = pair;
	}
	while (pairs)
		root = meld(root, shift(&pairs));
	return root;
}

/* Cuts a subtree that is not the whole heap off its parent. */
static void cut(struct timer *t)
{
	if (t->prev->child == t)
		t->prev->child = t->next;
	else
		t->prev->next = t->next;
	if (t->next)
		t->next->prev = t->prev;
}

void heap_arm(struct heap *h, struct timer *t, mono_t due)
{
	heap_disarm(h, t);
	t->child = t->next = t->prev = NULL;
	t->due = due;
	t->seq = h->seq++;
	t->armed = true;
	h->root = meld(h->root, t);
}

void heap_disarm(struct heap *h, struct timer *t)
{
	struct timer *rest;

	if (!t->armed)
		return;
	rest = meld_siblings(t->child);
	if (t == h->root) {
		h->root = rest;
	} else {
		cut(t);
		h->root = meld(h->root, rest);
	}
	t->child = t->next = t->prev = NULL;
	t->armed = false;
}

mono_t heap_next_due(const struct heap *h)
{
	return h->root ? h->root->due : MONO_NEVER;
}

struct timer *heap_pop_due(struct heap *h, mono_t now)
{
	struct timer *t = h->root;

	if (!t || mono_before(now, t->due))
		return NULL;
	heap_disarm(h, t);
	return t;
}
