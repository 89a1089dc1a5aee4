/*
 * list.h - an intrusive doubly linked list with a sentinel.
 *
 * The owner embeds a `struct list` per list it can be on.  A node that is on no list points to
 * itself, so list_del() may be called twice.
 */
#pragma once

#include <stdbool.h>

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Appends `n` at the tail of `head`. */
static inline void list_add_tail(struct list *head, struct list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* The loop body may remove (and free) the current node. */
#define list_for_each_safe(it, head)                                                               \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                  \
	     it = it##_next, it##_next = it->next)
