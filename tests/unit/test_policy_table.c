/* The prefix table against a list, with memory refused, and with readers beside the writer. */
#include "unit/test_util.h"

#include <pthread.h>
#include <stdatomic.h>

#include "policy/policy.h"

static struct prefix prefix(const char *s)
{
	struct prefix p = { 0 };

	assert_int_equal(prefix_parse(s, &p), ST_OK);
	return p;
}

/* ---- against a list ---- */

#define NAIVE_MAX 4096

struct naive {
	struct {
		struct prefix p;
		void *value;
	} row[NAIVE_MAX];
	size_t n;
};

static size_t naive_at(const struct naive *l, const struct prefix *p)
{
	size_t i = 0;

	while (i < l->n && !prefix_eq(&l->row[i].p, p))
		i++;
	return i;
}

static void *naive_find(const struct naive *l, const struct ip *a, unsigned len)
{
	void *best = NULL;
	int best_len = -1;

	for (size_t i = 0; i < l->n; i++) {
		if (!prefix_has(&l->row[i].p, a) || l->row[i].p.len <= best_len ||
		    l->row[i].p.len > len)
			continue;
		best_len = l->row[i].p.len;
		best = l->row[i].value;
	}
	return best;
}

static void *naive_set(struct naive *l, const struct prefix *p, void *value)
{
	size_t i = naive_at(l, p);
	void *old = i < l->n ? l->row[i].value : NULL;

	assert_true(i < NAIVE_MAX);
	l->row[i].p = *p;
	l->row[i].value = value;
	l->n += i == l->n;
	return old;
}

static void *naive_remove(struct naive *l, const struct prefix *p)
{
	size_t i = naive_at(l, p);
	void *old = i < l->n ? l->row[i].value : NULL;

	if (old)
		l->row[i] = l->row[--l->n];
	return old;
}

/* Few addresses, so that prefixes nest and meet: the last byte of IPv4, and of IPv6 the bits on
 * both sides of the 64th. */
static struct ip some_ip(void)
{
	struct ip a = { .family = rnd(2) ? 4 : 6 };

	if (a.family == 4) {
		a.b[0] = 10;
		a.b[3] = (uint8_t)rnd(256);
		return a;
	}
	a.b[0] = 0x20;
	a.b[7] = (uint8_t)rnd(16);
	a.b[8] = (uint8_t)(rnd(16) << 4);
	a.b[15] = (uint8_t)rnd(2);
	return a;
}

static struct prefix some_prefix(void)
{
	struct ip a = some_ip();

	switch (rnd(8)) {
	case 0: return prefix_of(&a, ip_bits(&a));
	case 1: return prefix_of(&a, (unsigned)rnd(ip_bits(&a)));
	default:
		return prefix_of(&a, a.family == 4 ? 24 + (unsigned)rnd(9) : 60 + (unsigned)rnd(9));
	}
}

static int values[1000];

static void one_step(struct policy_table *t, struct naive *l)
{
	struct prefix p = some_prefix();

	if (rnd(5) < 2) {
		assert_ptr_equal(policy_table_remove(t, &p), naive_remove(l, &p));
	} else {
		void *value = &values[rnd(ARRAY_LEN(values))];
		void *old = NULL;

		assert_int_equal(policy_table_set(t, &p, value, &old), ST_OK);
		assert_ptr_equal(old, naive_set(l, &p, value));
	}
}

static void same_answers(const struct policy_table *t, const struct naive *l)
{
	assert_int_equal(policy_table_count(t), l->n);
	for (int i = 0; i < 8; i++) {
		struct ip a = some_ip();
		struct prefix p = some_prefix();
		size_t at = naive_at(l, &p);

		assert_ptr_equal(policy_table_find(t, &a), naive_find(l, &a, 128));
		assert_ptr_equal(policy_table_find_within(t, &a, p.len), naive_find(l, &a, p.len));
		assert_ptr_equal(policy_table_exact(t, &p), at < l->n ? l->row[at].value : NULL);
	}
}

static void table_against_list(void **state)
{
	static struct naive l;
	struct counting c;
	struct alloc mem = counting_mem(&c, -1);
	struct policy_table *t;

	(void)state;
	rnd_state = 11;
	assert_int_equal(policy_table_new(&mem, NULL, NULL, &t), ST_OK);
	for (int step = 0; step < 20000; step++) {
		one_step(t, &l);
		same_answers(t, &l);
	}
	/* A table of n prefixes has fewer than 2n nodes. */
	assert_true(l.n > 100);
	assert_true((size_t)c.live < 2 * l.n + 1);
	while (l.n > 0) {
		struct prefix p = l.row[rnd(l.n)].p;

		assert_ptr_equal(policy_table_remove(t, &p), naive_remove(&l, &p));
		same_answers(t, &l);
	}
	/* Nothing but the table itself is left. */
	assert_int_equal(c.live, 1);
	policy_table_free(t);
	assert_int_equal(c.live, 0);
}

/* A full table goes at once, too. */
static void table_frees_everything(void **state)
{
	static struct naive l;
	struct counting c;
	struct alloc mem = counting_mem(&c, -1);
	struct policy_table *t;

	(void)state;
	rnd_state = 12;
	l.n = 0;
	assert_int_equal(policy_table_new(&mem, NULL, NULL, &t), ST_OK);
	for (int step = 0; step < 1000; step++)
		one_step(t, &l);
	policy_table_free(t);
	assert_int_equal(c.live, 0);
	policy_table_free(NULL);
}

/* S6: a refused allocation changes nothing. */
static void table_without_memory(void **state)
{
	static struct naive l;
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct policy_table *t = NULL;
	int refused = 0;

	(void)state;
	rnd_state = 13;
	l.n = 0;
	assert_int_equal(policy_table_new(&mem, NULL, NULL, &t), ST_NOMEM);
	assert_null(t);
	c.left = -1;
	assert_int_equal(policy_table_new(&mem, NULL, NULL, &t), ST_OK);
	for (int step = 0; step < 2000; step++) {
		struct prefix p = some_prefix();
		void *old = &values[0];
		long live = c.live;

		/* Setting takes two blocks at most: fail the first, the second, or none. */
		c.left = (long)rnd(3);
		if (policy_table_set(t, &p, &values[step % 1000], &old) == ST_OK) {
			assert_ptr_equal(old, naive_set(&l, &p, &values[step % 1000]));
		} else {
			assert_ptr_equal(old, &values[0]);
			assert_int_equal(c.live, live);
			refused++;
		}
		same_answers(t, &l);
	}
	assert_true(refused > 100);
	policy_table_free(t);
	assert_int_equal(c.live, 0);
}

static void table_edges(void **state)
{
	struct ip none = { 0 };
	struct ip v4 = { 4, { 255, 255, 255, 255 } };
	struct ip v6 = { 6, { 0 } };
	struct prefix bad = { { 4, { 10 } }, 33 };
	struct prefix all4 = prefix("0.0.0.0/0");
	struct prefix all6 = prefix("::/0");
	struct prefix host = prefix("255.255.255.255");
	struct policy_table *t;
	void *old = NULL;

	(void)state;
	assert_int_equal(policy_table_new(&mem_libc, NULL, NULL, &t), ST_OK);
	assert_int_equal(policy_table_set(t, &bad, &values[0], NULL), ST_INVAL);
	assert_int_equal(policy_table_set(t, &all4, NULL, NULL), ST_INVAL);
	assert_int_equal(policy_table_set(t, &(struct prefix){ 0 }, &values[0], NULL), ST_INVAL);
	assert_null(policy_table_remove(t, &all4));
	assert_null(policy_table_find(t, &v4));
	assert_int_equal(policy_table_set(t, &all4, &values[1], NULL), ST_OK);
	assert_null(policy_table_find(t, &v6));
	assert_null(policy_table_find(t, &none));
	assert_int_equal(policy_table_set(t, &all6, &values[2], NULL), ST_OK);
	assert_int_equal(policy_table_set(t, &host, &values[3], NULL), ST_OK);
	assert_int_equal(policy_table_set(t, &host, &values[4], &old), ST_OK);
	assert_ptr_equal(old, &values[3]);
	assert_ptr_equal(policy_table_find(t, &v4), &values[4]);
	assert_ptr_equal(policy_table_find(t, &v6), &values[2]);
	assert_int_equal(policy_table_count(t), 3);
	assert_ptr_equal(policy_table_remove(t, &host), &values[4]);
	assert_ptr_equal(policy_table_find(t, &v4), &values[1]);
	policy_table_free(t);
}

/* ---- readers beside the writer ---- */

struct graveyard {
	void *node[200000];
	size_t n;
};

static void bury(void *ctx, void *node)
{
	struct graveyard *g = ctx;

	assert_true(g->n < ARRAY_LEN(g->node));
	g->node[g->n++] = node;
}

static struct shared {
	struct policy_table *t;
	_Atomic bool stop;
	_Atomic unsigned long wrong;
	_Atomic unsigned long looked;
} shared;

/* 10.0.0.0/25 stays with value 1 and 10.0.0.0/8 with value 0 whatever comes and goes below them;
 * an address outside them is never found. */
static void *reader(void *arg)
{
	struct ip a = { 4, { 10 } };
	struct ip outside = { 4, { 11 } };

	(void)arg;
	while (!atomic_load(&shared.stop)) {
		for (unsigned i = 0; i < 256; i++) {
			int *v;

			a.b[3] = outside.b[3] = (uint8_t)i;
			v = policy_table_find(shared.t, &a);
			if (!v || v < values || v >= values + 100 || (i < 128 && v == &values[0]) ||
			    policy_table_find(shared.t, &outside))
				atomic_fetch_add(&shared.wrong, 1);
		}
		atomic_fetch_add(&shared.looked, 256);
	}
	return NULL;
}

static void churn(struct policy_table *t)
{
	for (int step = 0; step < 50000; step++) {
		struct ip a = { 4, { 10, 0, 0, (uint8_t)rnd(256) } };
		struct prefix p = prefix_of(&a, 26 + (unsigned)rnd(7));

		if (rnd(2))
			policy_table_remove(t, &p);
		else
			assert_int_equal(policy_table_set(t, &p, &values[2 + rnd(98)], NULL),
					 ST_OK);
	}
}

static void table_with_readers(void **state)
{
	static struct graveyard g;
	const struct prefix wide = prefix("10.0.0.0/8");
	const struct prefix half = prefix("10.0.0.0/25");
	pthread_t thread[2];

	(void)state;
	rnd_state = 14;
	assert_int_equal(policy_table_new(&mem_libc, bury, &g, &shared.t), ST_OK);
	assert_int_equal(policy_table_set(shared.t, &wide, &values[0], NULL), ST_OK);
	assert_int_equal(policy_table_set(shared.t, &half, &values[1], NULL), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader, NULL), 0);
	while (atomic_load(&shared.looked) == 0)
		sched_yield();
	churn(shared.t);
	atomic_store(&shared.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&shared.wrong), 0);
	assert_true(g.n > 1000);
	/* Only now nobody can hold an unlinked node. */
	for (size_t i = 0; i < g.n; i++)
		mem_free(&mem_libc, g.node[i]);
	policy_table_free(shared.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_against_list),   cmocka_unit_test(table_frees_everything),
		cmocka_unit_test(table_without_memory), cmocka_unit_test(table_edges),
		cmocka_unit_test(table_with_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
