#include "harness/mem.h"

/* In front of every block; 48 bytes keep what follows aligned to 16. */
struct block {
	struct list link;
	size_t n;
	long number;
	uint64_t pad[2];
};

static void *test_alloc(void *ctx, size_t n)
{
	struct test_mem *m = ctx;
	long number = m->calls++;
	struct block *b;

	if (m->fail_at >= 0 && (number == m->fail_at || (m->fail_on && number > m->fail_at))) {
		m->refused++;
		return NULL;
	}
	b = mem_libc.alloc(NULL, sizeof(*b) + n);
	if (!b)
		return NULL;
	b->n = n;
	b->number = number;
	list_add_tail(&m->blocks, &b->link);
	m->live++;
	m->live_bytes += n;
	return b + 1;
}

static void test_free(void *ctx, void *p)
{
	struct test_mem *m = ctx;
	struct block *b;

	if (!p)
		return;
	b = (struct block *)p - 1;
	list_del(&b->link);
	m->live--;
	m->live_bytes -= b->n;
	mem_libc.free(NULL, b);
}

void test_mem_init(struct test_mem *m)
{
	_Static_assert(sizeof(struct block) % 16 == 0, "blocks must stay aligned");
	*m = (struct test_mem){ .alloc = { test_alloc, test_free, m }, .fail_at = -1 };
	list_init(&m->blocks);
}

long test_mem_oldest(const struct test_mem *m)
{
	if (list_empty(&m->blocks))
		return -1;
	return CONTAINER_OF(m->blocks.next, const struct block, link)->number;
}

bool test_mem_has(const struct test_mem *m, const void *what, size_t n)
{
	list_for_each(it, &m->blocks) {
		const struct block *b = CONTAINER_OF(it, const struct block, link);

		if (memmem(b + 1, b->n, what, n))
			return true;
	}
	return false;
}
