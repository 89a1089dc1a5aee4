/* The hash table, the timer heap and the list, against naive references. */
#include "unit/test_util.h"

/* --- map --- */

/* vectors.h of the reference implementation (github.com/veorq/SipHash): key 00..0f, the n-th input
 * is the n bytes 00..n-1. */
static const uint64_t sip_vector[64] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
	0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
	0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
	0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
	0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
	0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
	0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
	0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
	0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
	0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
	0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
	0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
	0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
	0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
	0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

static void siphash_vectors(void **state)
{
	static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	uint8_t in[64];

	(void)state;
	for (uint8_t i = 0; i < sizeof(in); i++)
		in[i] = i;
	for (size_t n = 0; n < ARRAY_LEN(sip_vector); n++)
		assert_true(siphash(key, bytes_of(in, n)) == sip_vector[n]);
}

struct entry {
	struct map_node node;
	uint32_t key;
	bool in;
	unsigned visits;
};

static bool entry_eq(const struct map_node *node, const void *key)
{
	return CONTAINER_OF((struct map_node *)(uintptr_t)node, struct entry, node)->key ==
	       *(const uint32_t *)key;
}

static uint64_t key_hash(const struct map *m, uint32_t key)
{
	uint8_t b[4];

	store_be32(b, key);
	return map_hash(m, BYTES_OF(b));
}

#define ENTRIES 500

/* Each once. */
static void visit_all(const struct map *m, size_t count)
{
	struct map_node *n = NULL;

	for (size_t i = 0; i < count; i++) {
		n = map_next(m, n);
		assert_non_null(n);
		CONTAINER_OF(n, struct entry, node)->visits++;
	}
	assert_null(map_next(m, n));
	for (n = map_next(m, NULL); n; n = map_next(m, n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		assert_int_equal(e->visits, 1);
		e->visits = 0;
	}
}

/* Random insertions and removals against a flag per key, while the allocator gives `left` blocks
 * and then refuses. */
static void map_against_flags(long left, bool collide)
{
	static const uint64_t key[2] = { 1, 2 };
	static struct entry e[ENTRIES];
	struct counting c;
	struct alloc mem = counting_mem(&c, left);
	struct map m;
	size_t count = 0;

	memset(e, 0, sizeof(e));
	rnd_state = 42;
	map_init(&m, &mem, key);
	assert_int_equal(c.calls, 0);
	for (int step = 0; step < 20000; step++) {
		uint32_t k = (uint32_t)rnd(ENTRIES);
		uint64_t h = collide ? k % 3 : key_hash(&m, k);
		struct map_node *found = map_find(&m, h, entry_eq, &k);

		assert_ptr_equal(found, e[k].in ? &e[k].node : NULL);
		if (e[k].in) {
			map_remove(&m, &e[k].node);
		} else {
			e[k].key = k;
			map_insert(&m, &e[k].node, h);
		}
		e[k].in = !e[k].in;
		count = e[k].in ? count + 1 : count - 1;
		assert_int_equal(m.count, count);
	}
	visit_all(&m, count);
	for (struct map_node *n; (n = map_any(&m)) != NULL; count--)
		map_remove(&m, n);
	assert_int_equal(count, 0);
	assert_null(map_next(&m, NULL));
	map_done(&m);
	assert_int_equal(c.live, 0);
}

static void map_finds_what_is_in(void **state)
{
	(void)state;
	map_against_flags(-1, false);
	map_against_flags(-1, true);
}

/* S6: no memory for buckets means longer chains, never a lost node. */
static void map_without_memory(void **state)
{
	(void)state;
	for (long left = 0; left < 5; left++)
		map_against_flags(left, false);
}

/* Memory that comes back later is used, and takes along what one bucket held until then. */
static void map_grows_late(void **state)
{
	static const uint64_t key[2] = { 3, 4 };
	static struct entry e[40];
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct map m;

	(void)state;
	map_init(&m, &mem, key);
	for (uint32_t i = 0; i < ARRAY_LEN(e); i++) {
		if (i == ARRAY_LEN(e) / 2)
			c.left = -1;
		e[i].key = i;
		map_insert(&m, &e[i].node, key_hash(&m, i));
		for (uint32_t k = 0; k <= i; k++)
			assert_ptr_equal(map_find(&m, key_hash(&m, k), entry_eq, &k), &e[k].node);
	}
	assert_non_null(m.buckets);
	map_done(&m);
	assert_int_equal(c.live, 0);
}

static void map_empties_after_new_lowest(void **state)
{
	static const uint64_t key[2] = { 0, 0 };
	struct entry e[3] = { 0 };
	struct map m;

	(void)state;
	map_init(&m, &mem_libc, key);
	map_insert(&m, &e[0].node, 9);
	assert_ptr_equal(map_any(&m), &e[0].node);
	map_insert(&m, &e[1].node, 2);
	assert_ptr_equal(map_any(&m), &e[1].node);
	map_remove(&m, &e[1].node);
	map_remove(&m, &e[0].node);
	assert_null(map_any(&m));
	map_insert(&m, &e[2].node, 0);
	assert_ptr_equal(map_any(&m), &e[2].node);
	map_done(&m);
}

/* --- timers --- */

#define TIMERS 300

struct naive {
	mono_t due;
	uint64_t seq;
	bool armed;
};

/* The armed timer with the least (due, seq), or -1. */
static int naive_first(const struct naive *n)
{
	int best = -1;

	for (int i = 0; i < TIMERS; i++)
		if (n[i].armed && (best < 0 || n[i].due.ns < n[best].due.ns ||
				   (n[i].due.ns == n[best].due.ns && n[i].seq < n[best].seq)))
			best = i;
	return best;
}

static void heap_pop_both(struct heap *h, struct timer *t, struct naive *n, mono_t now)
{
	struct timer *got = heap_pop_due(h, now);
	int first = naive_first(n);

	if (first < 0 || n[first].due.ns > now.ns) {
		assert_null(got);
		return;
	}
	assert_ptr_equal(got, &t[first]);
	assert_false(got->armed);
	n[first].armed = false;
}

/* Arm, move, disarm and pop at random; few distinct times, so that ties are common. */
static void heap_against_list(void **state)
{
	static struct timer t[TIMERS];
	static struct naive n[TIMERS];
	struct heap h = { 0 };
	uint64_t seq = 0;

	(void)state;
	rnd_state = 7;
	for (int step = 0; step < 20000; step++) {
		size_t i = rnd(TIMERS);
		uint64_t op = rnd(10);
		int first;

		if (op < 5) {
			n[i] = (struct naive){ { (int64_t)rnd(50) }, seq++, true };
			heap_arm(&h, &t[i], n[i].due);
		} else if (op < 7) {
			heap_disarm(&h, &t[i]);
			n[i].armed = false;
		} else {
			heap_pop_both(&h, t, n, (mono_t){ (int64_t)rnd(60) });
		}
		assert_int_equal(t[i].armed, n[i].armed);
		first = naive_first(n);
		assert_true(heap_next_due(&h).ns == (first < 0 ? INT64_MAX : n[first].due.ns));
	}
	while (h.root)
		heap_pop_both(&h, t, n, MONO_NEVER);
	assert_int_equal(naive_first(n), -1);
}

/* What the owner keeps in a timer stays through arming, moving and popping. */
static void heap_leaves_the_kind(void **state)
{
	struct timer t[2] = { { .kind = 3 }, { .kind = 4 } };
	struct heap h = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		heap_arm(&h, &t[i], (mono_t){ 9 });
	heap_arm(&h, &t[0], (mono_t){ 5 });
	assert_int_equal(heap_pop_due(&h, (mono_t){ 9 })->kind, 3);
	assert_int_equal(heap_pop_due(&h, (mono_t){ 9 })->kind, 4);
}

/* A star of a million timers under one root: no recursion, and still in order. */
static void heap_many(void **state)
{
	enum { N = 1000000 };
	struct timer *t = calloc(N, sizeof(*t));
	struct heap h = { 0 };

	(void)state;
	assert_non_null(t);
	for (int i = 0; i < N; i++)
		heap_arm(&h, &t[i], (mono_t){ i });
	for (int i = 0; i < 1000; i++)
		assert_ptr_equal(heap_pop_due(&h, (mono_t){ N }), &t[i]);
	assert_null(heap_pop_due(&h, (mono_t){ 999 }));
	free(t);
}

static void list_keeps_order(void **state)
{
	struct list head;
	struct list n[4];
	size_t i = 0;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	for (i = 0; i < ARRAY_LEN(n); i++)
		list_add_tail(&head, &n[i]);
	list_del(&n[1]);
	list_del(&n[1]);
	i = 0;
	list_for_each(it, &head) {
		assert_ptr_equal(it, &n[i]);
		i += i == 0 ? 2 : 1;
	}
	list_for_each_safe(it, &head)
		list_del(it);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(map_finds_what_is_in),
		cmocka_unit_test(map_without_memory),
		cmocka_unit_test(map_grows_late),
		cmocka_unit_test(map_empties_after_new_lowest),
		cmocka_unit_test(heap_against_list),
		cmocka_unit_test(heap_leaves_the_kind),
		cmocka_unit_test(heap_many),
		cmocka_unit_test(list_keeps_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
