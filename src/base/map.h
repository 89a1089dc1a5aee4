/*
 * map.h - an intrusive hash table keyed by whatever its user hashes.
 *
 * The user computes the 64-bit hash with map_hash(), which is SipHash-2-4 under the map's own
 * 128-bit key (chosen at random by the host), so that a peer who picks SPIs or addresses cannot
 * make chains long.  The bucket array doubles when it gets full; when memory for that is refused
 * the map goes on with longer chains, so insertion never fails.
 */
#pragma once

#include "base/alloc.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	const struct alloc *mem;
	struct map_node **buckets;
	struct map_node *first_bucket; /* used until the first growth succeeds */
	size_t mask;
	size_t count;
	size_t lowest; /* no bucket below it has a node: makes emptying by map_any() linear */
	uint64_t key[2];
};

/* True when `node` (whose hash is equal) is the one `key` names. */
typedef bool map_eq_fn(const struct map_node *node, const void *key);

/* `key` seeds the hash; the map never allocates before its first insertion. */
void map_init(struct map *m, const struct alloc *mem, const uint64_t key[2]);

/* Frees the bucket array only; nodes belong to the user. */
void map_done(struct map *m);

uint64_t map_hash(const struct map *m, struct bytes key);
void map_insert(struct map *m, struct map_node *n, uint64_t hash);
struct map_node *map_find(const struct map *m, uint64_t hash, map_eq_fn *eq, const void *key);

/* `n` must be in the map. */
void map_remove(struct map *m, struct map_node *n);

/* The one behind `n` (NULL: the first), in no order that means anything; NULL: there are no more.
 * Nothing may be inserted or removed on the way. */
struct map_node *map_next(const struct map *m, const struct map_node *n);

/* Some node, or NULL when empty: for tearing down. */
struct map_node *map_any(struct map *m);

/* SipHash-2-4 (Aumasson, Bernstein 2012) of `in` under the 128-bit key. */
uint64_t siphash(const uint64_t key[2], struct bytes in);
