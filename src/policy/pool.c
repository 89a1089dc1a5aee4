#include "policy/pool.h"

enum {
	/* 64 to the fourth: more than POLICY_POOL_RANGE_MAX. */
	LEVELS = 4,
};

struct range {
	struct ip first;
	uint32_t n; /* addresses in use of it */
	uint32_t size, left; /* that may be given out; are free */
	uint64_t *level[LEVELS]; /* [0]: a bit for each address, set when it is not free */
};

struct policy_pool {
	const struct alloc *mem;
	size_t n;
	size_t n_but;
	struct ip *but; /* behind the ranges */
	struct range range[];
};

/* ---- bits --------------------------------------------------------------------------------- */

static size_t words(size_t bits)
{
	return (bits + 63) / 64;
}

/* Bits behind the last one count as taken. */
static void fill_tail(uint64_t *level, size_t bits)
{
	if (bits % 64)
		level[bits / 64] |= UINT64_MAX << bits % 64;
}

static enum status bits_init(const struct alloc *mem, struct range *r)
{
	size_t bits = r->n, total = 0;
	uint64_t *all;

	for (unsigned k = 0; k < LEVELS; k++, bits = words(bits))
		total += words(bits);
	all = mem_new(mem, total * sizeof(*all));
	if (!all)
		return ST_NOMEM;
	bits = r->n;
	for (unsigned k = 0; k < LEVELS; k++, bits = words(bits)) {
		r->level[k] = all;
		fill_tail(all, bits);
		all += words(bits);
	}
	return ST_OK;
}

static bool is_set(const struct range *r, uint32_t i)
{
	return r->level[0][i / 64] >> i % 64 & 1;
}

static void set(struct range *r, uint32_t i)
{
	for (unsigned k = 0; k < LEVELS; k++, i /= 64) {
		r->level[k][i / 64] |= 1ULL << i % 64;
		if (r->level[k][i / 64] != UINT64_MAX)
			return;
	}
}

static void clear(struct range *r, uint32_t i)
{
	for (unsigned k = 0; k < LEVELS; k++, i /= 64) {
		bool was_full = r->level[k][i / 64] == UINT64_MAX;

		r->level[k][i / 64] &= ~(1ULL << i % 64);
		if (!was_full)
			return;
	}
}

static uint32_t lowest_clear(uint64_t word)
{
	return (uint32_t)__builtin_ctzll(~word);
}

/* From `i` on: up, until a word has one behind where we are, and down to it again. */
static bool next_clear(const struct range *r, uint32_t i, uint32_t *ret_i)
{
	size_t bits = r->n;

	for (unsigned k = 0; k < LEVELS && i < bits; k++, bits = words(bits)) {
		uint64_t behind = r->level[k][i / 64] | ((1ULL << i % 64) - 1);

		if (behind == UINT64_MAX) {
			i = i / 64 + 1;
			continue;
		}
		i = i / 64 * 64 + lowest_clear(behind);
		while (k-- > 0)
			i = i * 64 + lowest_clear(r->level[k][i]);
		*ret_i = i;
		return true;
	}
	return false;
}

/* ---- addresses ---------------------------------------------------------------------------- */

/* a - b, or UINT32_MAX when that is negative or as much. */
static uint32_t distance(const struct ip *a, const struct ip *b)
{
	unsigned borrow = 0;
	uint64_t low = 0;
	bool far = false;
	size_t n = ip_len(a);

	if (a->family != b->family || ip_cmp(a, b) < 0)
		return UINT32_MAX;
	for (size_t i = 0; i < n; i++) {
		unsigned x = a->b[n - 1 - i], y = b->b[n - 1 - i] + borrow;
		uint8_t d = (uint8_t)(x - y);

		borrow = x < y;
		if (i < 4)
			low |= (uint64_t)d << 8 * i;
		else
			far = far || d;
	}
	return far ? UINT32_MAX : (uint32_t)low;
}

static struct ip plus(const struct ip *a, uint32_t add)
{
	struct ip r = *a;
	uint64_t carry = add;

	for (size_t i = ip_len(a); i-- > 0; carry >>= 8) {
		carry += r.b[i];
		r.b[i] = (uint8_t)carry;
	}
	return r;
}

/* NULL: of no range. */
static struct range *range_of(const struct policy_pool *p, const struct ip *ip, uint32_t *ret_i)
{
	for (size_t k = 0; k < p->n; k++) {
		const struct range *r = &p->range[k];
		uint32_t i = distance(ip, &r->first);

		if (i < r->n) {
			*ret_i = i;
			return (struct range *)(uintptr_t)r;
		}
	}
	return NULL;
}

/* Its length as a prefix, or -1 when it is none. */
static int prefix_length(const struct ip_range *range)
{
	for (unsigned len = 0; len <= ip_bits(&range->first); len++) {
		struct prefix p = prefix_of(&range->first, len);
		struct ip first = prefix_first(&p), last = prefix_last(&p);

		if (ip_eq(&first, &range->first) && ip_eq(&last, &range->last))
			return (int)len;
	}
	return -1;
}

static bool is_reserved(const struct policy_pool *p, const struct ip *ip)
{
	for (size_t i = 0; i < p->n_but; i++)
		if (ip_eq(&p->but[i], ip))
			return true;
	return false;
}

/* ---- pools -------------------------------------------------------------------------------- */

static void reserve(struct policy_pool *p, const struct ip *ip)
{
	uint32_t i;
	struct range *r = range_of(p, ip, &i);

	if (r && !is_set(r, i)) {
		set(r, i);
		r->size--;
		r->left--;
		p->but[p->n_but++] = *ip;
	}
}

static void reserve_ends(struct policy_pool *p, const struct ip_range *range)
{
	int len = prefix_length(range);
	bool v4 = range->first.family == 4;

	if (len < 0 || len > (v4 ? 30 : 126))
		return;
	reserve(p, &range->first);
	if (v4)
		reserve(p, &range->last);
}

static bool overlap(const struct ip_range *a, const struct ip_range *b)
{
	return a->first.family == b->first.family && ip_cmp(&a->first, &b->last) <= 0 &&
	       ip_cmp(&b->first, &a->last) <= 0;
}

static bool any_overlap(const struct ip_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (overlap(&ranges[i], &ranges[k]))
				return true;
	return false;
}

static enum status add_range(struct policy_pool *p, const struct ip_range *range)
{
	struct range *r = &p->range[p->n];
	uint32_t far = distance(&range->last, &range->first);

	r->first = range->first;
	r->n = far < POLICY_POOL_RANGE_MAX ? far + 1 : POLICY_POOL_RANGE_MAX;
	r->size = r->left = r->n;
	if (bits_init(p->mem, r))
		return ST_NOMEM;
	p->n++;
	reserve_ends(p, range);
	return ST_OK;
}

enum status policy_pool_new(const struct alloc *mem, const struct ip_range *ranges, size_t n,
			    const struct ip *but, size_t n_but, struct policy_pool **ret)
{
	/* Two ends of each range on top of what is named. */
	size_t max_but = n_but + 2 * n;
	struct policy_pool *p;
	enum status st = ST_OK;

	if (any_overlap(ranges, n))
		return ST_INVAL;
	p = mem_new(mem, sizeof(*p) + n * sizeof(p->range[0]) + max_but * sizeof(*but));
	if (!p)
		return ST_NOMEM;
	p->mem = mem;
	p->but = (struct ip *)&p->range[n];
	for (size_t i = 0; i < n && !st; i++)
		st = add_range(p, &ranges[i]);
	if (st) {
		policy_pool_free(p);
		return st;
	}
	for (size_t i = 0; i < n_but; i++)
		reserve(p, &but[i]);
	*ret = p;
	return ST_OK;
}

void policy_pool_free(struct policy_pool *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->mem, p->range[i].level[0]);
	mem_free(p->mem, p);
}

bool policy_pool_has(const struct policy_pool *p, const struct ip *ip)
{
	uint32_t i;

	return range_of(p, ip, &i) && !is_reserved(p, ip);
}

bool policy_pool_take(struct policy_pool *p, const struct ip *ip)
{
	uint32_t i;
	struct range *r = range_of(p, ip, &i);

	if (!r || is_set(r, i))
		return false;
	set(r, i);
	r->left--;
	return true;
}

bool policy_pool_next(const struct policy_pool *p, uint8_t family, struct policy_pool_at *at,
		      struct ip *ret)
{
	for (; at->range < p->n; at->range++, at->i = 0) {
		const struct range *r = &p->range[at->range];

		if (r->first.family != family || !next_clear(r, at->i, &at->i))
			continue;
		*ret = plus(&r->first, at->i);
		return true;
	}
	return false;
}

void policy_pool_skip(const struct policy_pool *p, struct policy_pool_at *at, const struct ip *last)
{
	const struct range *r = &p->range[at->range];
	uint32_t far = distance(last, &r->first);

	if (far < r->n)
		at->i = far + 1;
	else
		*at = (struct policy_pool_at){ .range = at->range + 1 };
}

void policy_pool_give_back(struct policy_pool *p, const struct ip *ip)
{
	uint32_t i;
	struct range *r = range_of(p, ip, &i);

	if (!r || !is_set(r, i) || is_reserved(p, ip))
		return;
	clear(r, i);
	r->left++;
}

static size_t sum(const struct policy_pool *p, uint8_t family, bool left)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (p->range[i].first.family == family)
			n += left ? p->range[i].left : p->range[i].size;
	return n;
}

size_t policy_pool_size(const struct policy_pool *p, uint8_t family)
{
	return sum(p, family, false);
}

size_t policy_pool_left(const struct policy_pool *p, uint8_t family)
{
	return sum(p, family, true);
}
