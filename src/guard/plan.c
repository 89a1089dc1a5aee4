/* plan.c - plans as values: pure. */
#include "guard/internal.h"

#include <stdlib.h>

void *guard_more(void *v, size_t n, size_t size, size_t *room)
{
	size_t more = *room ? 2 * *room : 16;

	if (n < *room)
		return v;
	v = realloc(v, more * size);
	if (v)
		*room = more;
	return v;
}

/* ---- lists of prefixes ------------------------------------------------------------------- */

enum status guard_prefixes_add(struct guard_prefixes *l, const struct prefix *p)
{
	struct prefix *v;

	if (l->n >= GUARD_PREFIXES_MAX)
		return ST_NOMEM;
	v = guard_more(l->v, l->n, sizeof(*v), &l->room);
	if (!v)
		return ST_NOMEM;
	l->v = v;
	v[l->n++] = *p;
	return ST_OK;
}

/* A prefix comes before those inside it. */
static int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	int c = ip_cmp(&a->ip, &b->ip);

	return c ? c : (int)a->len - (int)b->len;
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

void guard_prefixes_sort(struct guard_prefixes *l)
{
	size_t n = 0;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_prefix);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || !prefix_eq(&l->v[n - 1], &l->v[i]))
			l->v[n++] = l->v[i];
	l->n = n;
}

void guard_prefixes_done(struct guard_prefixes *l)
{
	free(l->v);
	*l = (struct guard_prefixes){ 0 };
}

bool guard_prefixes_eq(const struct guard_prefixes *a, const struct guard_prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_eq(&a->v[i], &b->v[i]))
			return false;
	return true;
}

/* ---- plans ------------------------------------------------------------------------------- */

void guard_plan_done(struct guard_plan *p)
{
	guard_prefixes_done(&p->domain);
	guard_prefixes_done(&p->local);
	guard_prefixes_done(&p->given);
	*p = (struct guard_plan){ 0 };
}

void guard_plan_normalise(struct guard_plan *p)
{
	guard_prefixes_sort(&p->domain);
	guard_prefixes_sort(&p->local);
	guard_prefixes_sort(&p->given);
}

bool guard_device_ok(const char *name)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n < GUARD_DEVICE_MAX && strspn(name, ok) == n;
}

/* ---- the shape of a plan ----------------------------------------------------------------- */

/*
 * Prefixes are either inside each other or apart.  So, walked in order, those that contain the
 * address at hand are a stack with the longest, which decides, on top.
 */
enum side {
	SIDE_DOMAIN, /* of one prefix in several the first counts */
	SIDE_GIVEN,
	SIDE_LOCAL,
	SIDE_LINK,
};

/* Talk of the link or host itself (neighbour discovery, DHCP, routing protocols): never another
 * site's.  RFC 6890, RFC 5771, RFC 4291. */
static const char *const link_talk[] = { "0.0.0.0/8",   "127.0.0.0/8",        "169.254.0.0/16",
					 "224.0.0.0/4", "255.255.255.255/32", "::/128",
					 "::1/128",     "fe80::/10",          "ff00::/8" };

struct entry {
	struct prefix p;
	enum side side;
};

/* No address has more prefixes than an IPv6 address has lengths. */
#define NESTED_MAX 129

struct sweep {
	struct guard_shape *out;
	struct entry stack[NESTED_MAX];
	size_t depth;
	size_t domains; /* of them */
	struct ip at; /* what is below is dealt with */
	bool over; /* `at` has passed the family's last address */
	enum status status;
};

static int by_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = prefix_cmp(&x->p, &y->p);

	return c ? c : (int)x->side - (int)y->side;
}

static bool make_room(struct guard_ranges *r)
{
	struct ip_range *v = guard_more(r->v, r->n, sizeof(*v), &r->room);

	if (!v)
		return false;
	r->v = v;
	return true;
}

/* Appends, or lengthens the last one. */
static enum status range_add(struct guard_ranges *r, const struct ip *first, const struct ip *last)
{
	if (r->n > 0) {
		struct ip next = ip_next(&r->v[r->n - 1].last);

		if (ip_eq(&next, first)) {
			r->v[r->n - 1].last = *last;
			return ST_OK;
		}
	}
	if (!make_room(r))
		return ST_NOMEM;
	r->v[r->n++] = (struct ip_range){ *first, *last };
	return ST_OK;
}

/* From where we are to `last` it is the top's. */
static void emit(struct sweep *s, const struct ip *last)
{
	const struct entry *top = &s->stack[s->depth - 1];

	if (s->over || ip_cmp(&s->at, last) > 0)
		return;
	if (s->status == ST_OK && top->side == SIDE_DOMAIN)
		s->status = range_add(&s->out->domain, &s->at, last);
	if (s->status == ST_OK && (top->side == SIDE_LOCAL || top->side == SIDE_GIVEN))
		s->status = range_add(&s->out->local, &s->at, last);
	s->at = ip_next(last);
	s->over = ip_cmp(&s->at, last) < 0;
}

static void pop(struct sweep *s)
{
	struct ip last = prefix_last(&s->stack[s->depth - 1].p);

	emit(s, &last);
	if (s->stack[--s->depth].side == SIDE_DOMAIN)
		s->domains--;
}

static void note(struct sweep *s, const struct entry *e)
{
	struct guard_shape *out = s->out;

	if (s->status == ST_OK && e->side == SIDE_DOMAIN && s->domains == 0)
		s->status = guard_prefixes_add(&out->outer, &e->p);
	if (s->status == ST_OK && e->side > SIDE_GIVEN && s->domains > 0)
		s->status = guard_prefixes_add(&out->throws, &e->p);
	if (s->status == ST_OK && (e->side == SIDE_LOCAL || e->side == SIDE_GIVEN) &&
	    s->domains > 0)
		s->status = guard_prefixes_add(&out->sites, &e->p);
}

static void push(struct sweep *s, const struct entry *e)
{
	if (s->depth > 0 && !ip_eq(&s->at, &e->p.ip)) {
		struct ip before = ip_prev(&e->p.ip);

		emit(s, &before);
	}
	note(s, e);
	s->stack[s->depth++] = *e;
	s->domains += e->side == SIDE_DOMAIN;
	s->at = e->p.ip;
	s->over = false;
}

static enum status sweep(const struct entry *v, size_t n, struct guard_shape *out)
{
	struct sweep s = { .out = out };

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && prefix_eq(&v[i - 1].p, &v[i].p))
			continue;
		while (s.depth > 0 && !prefix_has(&s.stack[s.depth - 1].p, &v[i].p.ip))
			pop(&s);
		push(&s, &v[i]);
	}
	while (s.depth > 0)
		pop(&s);
	return s.status;
}

static size_t collect(const struct guard_plan *p, struct entry *v)
{
	size_t n = 0;

	for (size_t i = 0; i < p->domain.n; i++)
		v[n++] = (struct entry){ p->domain.v[i], SIDE_DOMAIN };
	for (size_t i = 0; i < p->local.n; i++)
		v[n++] = (struct entry){ p->local.v[i], SIDE_LOCAL };
	for (size_t i = 0; i < p->given.n; i++)
		v[n++] = (struct entry){ p->given.v[i], SIDE_GIVEN };
	for (size_t i = 0; i < ARRAY_LEN(link_talk); i++) {
		v[n].side = SIDE_LINK;
		n += prefix_parse(link_talk[i], &v[n].p) == ST_OK;
	}
	return n;
}

enum status guard_shape_of(const struct guard_plan *p, struct guard_shape *ret_shape)
{
	struct entry *v =
		calloc(p->domain.n + p->local.n + p->given.n + ARRAY_LEN(link_talk), sizeof(*v));
	struct guard_shape out = { 0 };
	enum status st;
	size_t n;

	if (!v)
		return ST_NOMEM;
	n = collect(p, v);
	qsort(v, n, sizeof(*v), by_entry);
	st = sweep(v, n, &out);
	free(v);
	if (st != ST_OK) {
		guard_shape_done(&out);
		return st;
	}
	*ret_shape = out;
	return ST_OK;
}

void guard_shape_done(struct guard_shape *s)
{
	free(s->domain.v);
	free(s->local.v);
	guard_prefixes_done(&s->throws);
	guard_prefixes_done(&s->sites);
	guard_prefixes_done(&s->outer);
	*s = (struct guard_shape){ 0 };
}

bool guard_ranges_have(const struct guard_ranges *r, const struct ip *ip)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ip_cmp(&r->v[mid].last, ip) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n && ip_cmp(&r->v[low].first, ip) <= 0 &&
	       r->v[low].first.family == ip->family;
}
