#include "base/map.h"

#define MAP_FIRST_BUCKETS 16

void map_init(struct map *m, const struct alloc *mem, const uint64_t key[2])
{
	*m = (struct map){ .mem = mem, .key = { key[0], key[1] } };
}

void map_done(struct map *m)
{
	mem_free(m->mem, m->buckets);
	m->buckets = NULL;
	m->first_bucket = NULL;
	m->mask = m->count = m->lowest = 0;
}

/* While no array could be had, one bucket inside the map holds everything. */
static struct map_node **bucket_of(struct map *m, uint64_t hash)
{
	return m->buckets ? &m->buckets[hash & m->mask] : &m->first_bucket;
}

static void push(struct map *m, struct map_node *n)
{
	struct map_node **b = bucket_of(m, n->hash);

	n->next = *b;
	*b = n;
}

static void move_chain(struct map *m, struct map_node *chain)
{
	while (chain) {
		struct map_node *next = chain->next;

		push(m, chain);
		chain = next;
	}
}

/* Doubles the array; a refusal leaves the map as it was. */
static void grow(struct map *m)
{
	struct map_node **old = m->buckets;
	size_t old_n = old ? m->mask + 1 : 0;
	size_t n = old ? 2 * old_n : MAP_FIRST_BUCKETS;
	struct map_node **fresh;

	if (n > SIZE_MAX / sizeof(*fresh))
		return;
	fresh = mem_new(m->mem, n * sizeof(*fresh));
	if (!fresh)
		return;
	m->buckets = fresh;
	m->mask = n - 1;
	m->lowest = 0;
	move_chain(m, m->first_bucket);
	m->first_bucket = NULL;
	for (size_t i = 0; i < old_n; i++)
		move_chain(m, old[i]);
	mem_free(m->mem, old);
}

void map_insert(struct map *m, struct map_node *n, uint64_t hash)
{
	if (!m->buckets || m->count > m->mask)
		grow(m);
	n->hash = hash;
	push(m, n);
	m->count++;
	if (m->lowest > (hash & m->mask))
		m->lowest = hash & m->mask;
}

struct map_node *map_find(const struct map *m, uint64_t hash, map_eq_fn *eq, const void *key)
{
	struct map_node *n = m->buckets ? m->buckets[hash & m->mask] : m->first_bucket;

	for (; n; n = n->next)
		if (n->hash == hash && eq(n, key))
			return n;
	return NULL;
}

void map_remove(struct map *m, struct map_node *n)
{
	struct map_node **at = bucket_of(m, n->hash);

	while (*at && *at != n)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = n->next;
	n->next = NULL;
	m->count--;
}

struct map_node *map_any(struct map *m)
{
	if (m->count == 0 || !m->buckets)
		return m->first_bucket;
	while (!m->buckets[m->lowest])
		m->lowest++;
	return m->buckets[m->lowest];
}

struct map_node *map_next(const struct map *m, const struct map_node *n)
{
	size_t i = 0;

	if (n && n->next)
		return n->next;
	if (!m->buckets)
		return n ? NULL : m->first_bucket;
	if (n)
		i = (n->hash & m->mask) + 1;
	for (; i <= m->mask; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}

uint64_t map_hash(const struct map *m, struct bytes key)
{
	return siphash(m->key, key);
}

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

/* Up to eight bytes, little-endian. */
static uint64_t load_le(const uint8_t *p, size_t n)
{
	uint64_t r = 0;

	for (size_t i = 0; i < n; i++)
		r |= (uint64_t)p[i] << (8 * i);
	return r;
}

uint64_t siphash(const uint64_t key[2], struct bytes in)
{
	/* "somepseudorandomlygeneratedbytes", section 2.1 of the paper */
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			  key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	uint64_t last = (uint64_t)(in.n & 0xff) << 56;

	for (; in.n >= 8; in = bytes_of(in.p + 8, in.n - 8))
		sip_word(v, load_le(in.p, 8));
	sip_word(v, last | load_le(in.p, in.n));
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
