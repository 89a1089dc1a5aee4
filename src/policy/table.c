/*
 * The prefix table: a path-compressed binary trie per address family.
 *
 *	A node stands for a prefix.  child[b] holds what lies below it with next bit b.  A node
 *	without a value only joins two children, so a table of n prefixes has fewer than 2n nodes.
 *
 * Readers and the writer meet at three kinds of words: the two roots, child pointers and values.
 * Key and length of a node never change.  A new node is filled in before the release store that
 * links it.  An unlinked node keeps its pointers, which lead to nodes that were in the trie after
 * the reader came in; those are retired later than it, so the same grace period covers them.
 */
#include "policy/policy.h"

#include <stdatomic.h>

/* An address or prefix as 128 bits from the left; IPv4 uses the first 32. */
struct key {
	uint64_t hi;
	uint64_t lo;
	unsigned len;
};

struct node {
	struct key key;
	_Atomic(void *) value;
	_Atomic(struct node *) child[2];
};

typedef _Atomic(struct node *) link_t;

struct policy_table {
	const struct alloc *mem;
	policy_retire_fn *retire;
	void *ctx;
	link_t root[2]; /* IPv4, IPv6 */
	size_t count;
};

static struct key key_of(const struct ip *a, unsigned len)
{
	return (struct key){ load_be64(a->b), load_be64(a->b + 8), len };
}

static unsigned key_bit(const struct key *k, unsigned at)
{
	return (unsigned)((at < 64 ? k->hi >> (63 - at) : k->lo >> (127 - at)) & 1);
}

/* The number of leading bits that two keys share, at most the shorter length. */
static unsigned common_len(const struct key *a, const struct key *b)
{
	unsigned max = a->len < b->len ? a->len : b->len;
	uint64_t hi = a->hi ^ b->hi;
	uint64_t lo = a->lo ^ b->lo;
	unsigned n = 128;

	if (hi)
		n = (unsigned)__builtin_clzll(hi);
	else if (lo)
		n = 64 + (unsigned)__builtin_clzll(lo);
	return n < max ? n : max;
}

static bool covers(const struct key *outer, const struct key *inner)
{
	return outer->len <= inner->len && common_len(outer, inner) == outer->len;
}

static struct node *follow(const link_t *link)
{
	return atomic_load_explicit(link, memory_order_acquire);
}

static void relink(link_t *link, struct node *n)
{
	atomic_store_explicit(link, n, memory_order_release);
}

static void *value_of(const struct node *n)
{
	return atomic_load_explicit(&n->value, memory_order_acquire);
}

/* NULL for an address of no family. */
static const link_t *root_of(const struct policy_table *t, const struct ip *a)
{
	if (a->family != 4 && a->family != 6)
		return NULL;
	return &t->root[a->family == 6];
}

enum status policy_table_new(const struct alloc *mem, policy_retire_fn *retire, void *ctx,
			     struct policy_table **ret_table)
{
	struct policy_table *t = mem_new(mem, sizeof(*t));

	if (!t)
		return ST_NOMEM;
	t->mem = mem;
	t->retire = retire;
	t->ctx = ctx;
	*ret_table = t;
	return ST_OK;
}

static struct node *node_new(struct policy_table *t, struct key key, void *value)
{
	struct node *n = mem_new(t->mem, sizeof(*n));

	if (!n)
		return NULL;
	n->key = key;
	atomic_init(&n->value, value);
	return n;
}

static void node_retire(struct policy_table *t, struct node *n)
{
	if (t->retire)
		t->retire(t->ctx, n);
	else
		mem_free(t->mem, n);
}

/* Takes leaves off until nothing is left; no readers any more, so nothing is retired. */
static void free_tree(const struct alloc *mem, link_t *root)
{
	while (follow(root)) {
		link_t *link = root;

		for (;;) {
			struct node *n = follow(link);

			if (follow(&n->child[0]))
				link = &n->child[0];
			else if (follow(&n->child[1]))
				link = &n->child[1];
			else
				break;
		}
		mem_free(mem, follow(link));
		relink(link, NULL);
	}
}

void policy_table_free(struct policy_table *t)
{
	if (!t)
		return;
	free_tree(t->mem, &t->root[0]);
	free_tree(t->mem, &t->root[1]);
	mem_free(t->mem, t);
}

/* Where the writer stands: the link to the first node that does not strictly cover the key, and
 * the link to that node's parent (NULL at the root). */
struct spot {
	link_t *at;
	link_t *parent;
};

static struct spot descend(link_t *root, const struct key *key)
{
	struct spot s = { root, NULL };

	for (;;) {
		struct node *n = follow(s.at);

		if (!n || n->key.len >= key->len || !covers(&n->key, key))
			return s;
		s.parent = s.at;
		s.at = &n->child[key_bit(key, n->key.len)];
	}
}

static struct node *node_at(const struct spot *s, const struct key *key)
{
	struct node *n = follow(s->at);

	return n && n->key.len == key->len && covers(&n->key, key) ? n : NULL;
}

/* Puts `fresh` above `below`, or beside it under a joint made for the two. */
static enum status node_insert(struct policy_table *t, link_t *at, struct node *fresh)
{
	struct node *below = follow(at);
	struct node *joint;
	struct key key = fresh->key;

	if (!below) {
		relink(at, fresh);
		return ST_OK;
	}
	if (covers(&fresh->key, &below->key)) {
		atomic_init(&fresh->child[key_bit(&below->key, fresh->key.len)], below);
		relink(at, fresh);
		return ST_OK;
	}
	key.len = common_len(&fresh->key, &below->key);
	joint = node_new(t, key, NULL);
	if (!joint)
		return ST_NOMEM;
	atomic_init(&joint->child[key_bit(&fresh->key, key.len)], fresh);
	atomic_init(&joint->child[key_bit(&below->key, key.len)], below);
	relink(at, joint);
	return ST_OK;
}

enum status policy_table_set(struct policy_table *t, const struct prefix *p, void *value,
			     void **ret_old)
{
	link_t *root = (link_t *)(uintptr_t)root_of(t, &p->ip);
	struct key key = key_of(&p->ip, p->len);
	struct node *n;
	struct spot s;
	void *old = NULL;

	if (!root || !value || p->len > ip_bits(&p->ip))
		return ST_INVAL;
	s = descend(root, &key);
	n = node_at(&s, &key);
	if (n) {
		old = atomic_exchange_explicit(&n->value, value, memory_order_acq_rel);
	} else {
		n = node_new(t, key, value);
		if (!n)
			return ST_NOMEM;
		if (node_insert(t, s.at, n) != ST_OK) {
			mem_free(t->mem, n);
			return ST_NOMEM;
		}
	}
	t->count += old == NULL;
	if (ret_old)
		*ret_old = old;
	return ST_OK;
}

/* Unlinks the node at `link` if it has no value and joins fewer than two. */
static void prune(struct policy_table *t, link_t *link)
{
	struct node *n = follow(link);
	struct node *a = follow(&n->child[0]);
	struct node *b = follow(&n->child[1]);

	if (value_of(n) || (a && b))
		return;
	relink(link, a ? a : b);
	node_retire(t, n);
}

void *policy_table_remove(struct policy_table *t, const struct prefix *p)
{
	link_t *root = (link_t *)(uintptr_t)root_of(t, &p->ip);
	struct key key = key_of(&p->ip, p->len);
	struct node *n;
	struct spot s;
	void *old;

	if (!root)
		return NULL;
	s = descend(root, &key);
	n = node_at(&s, &key);
	if (!n)
		return NULL;
	old = atomic_exchange_explicit(&n->value, NULL, memory_order_acq_rel);
	if (!old)
		return NULL;
	t->count--;
	/* A leaf that goes may leave a joint above it with one child. */
	prune(t, s.at);
	if (s.parent)
		prune(t, s.parent);
	return old;
}

void *policy_table_exact(const struct policy_table *t, const struct prefix *p)
{
	const link_t *link = root_of(t, &p->ip);
	struct key key = key_of(&p->ip, p->len);
	const struct node *n = link ? follow(link) : NULL;

	while (n && n->key.len < key.len && covers(&n->key, &key))
		n = follow(&n->child[key_bit(&key, n->key.len)]);
	return n && n->key.len == key.len && covers(&n->key, &key) ? value_of(n) : NULL;
}

void *policy_table_find_within(const struct policy_table *t, const struct ip *a, unsigned len)
{
	const link_t *link = root_of(t, a);
	struct key key = key_of(a, ip_bits(a));
	const struct node *n = link ? follow(link) : NULL;
	void *best = NULL;

	while (n && n->key.len <= len && covers(&n->key, &key)) {
		void *value = value_of(n);

		if (value)
			best = value;
		if (n->key.len == key.len)
			break;
		n = follow(&n->child[key_bit(&key, n->key.len)]);
	}
	return best;
}

void *policy_table_find(const struct policy_table *t, const struct ip *a)
{
	return policy_table_find_within(t, a, ip_bits(a));
}

size_t policy_table_count(const struct policy_table *t)
{
	return t->count;
}
