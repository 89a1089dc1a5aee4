/*
 * crowd.c - half-open SAs of a responder, by where they come from; who makes way when there is no
 * room.
 *
 * Every half-open SA of a responder has a slot, in the crowd of its prefix (an IPv4 address, an
 * IPv6 /64; with the /48 around it counted as well), under what its maker has shown.  When there is
 * no room, the oldest slot of the largest crowd among those that showed least makes way, also for
 * one who has shown no more but comes from a smaller crowd; addresses that may be forged
 * (nothing shown) count for nothing in that.  So there are never more crowds than half-open SAs,
 * and these are bounded by configuration, count and bytes.
 */
#include "ike/internal.h"

/* ---- crowds ------------------------------------------------------------------------------- */

static bool same_prefix(const struct map_node *n, const void *key)
{
	return prefix_eq(&CONTAINER_OF(n, const struct crowd, by_prefix)->prefix, key);
}

static struct prefix narrow(const struct ip *ip)
{
	return prefix_of(ip, ip->family == 4 ? 32 : 64);
}

static uint64_t prefix_hash(const struct ike *ike, const struct prefix *p)
{
	return map_hash(&ike->admit.crowds, bytes_of(p, sizeof(*p)));
}

static struct crowd *crowd_find(const struct ike *ike, const struct prefix *p)
{
	struct map_node *n = map_find(&ike->admit.crowds, prefix_hash(ike, p), same_prefix, p);

	return n ? CONTAINER_OF(n, struct crowd, by_prefix) : NULL;
}

const struct crowd *crowd_of(const struct ike *ike, const struct ip *ip)
{
	struct prefix near = narrow(ip);

	return crowd_find(ike, &near);
}

const struct crowd *crowd_wide_of(const struct ike *ike, const struct ip *ip)
{
	struct prefix wide = prefix_of(ip, 48);

	return ip->family == 6 ? crowd_find(ike, &wide) : NULL;
}

size_t crowd_size(const struct crowd *c)
{
	return c ? c->n + c->suspect : 0;
}

/* The one that is there, or a new one with nobody in it. */
static struct crowd *crowd_get(struct ike *ike, const struct prefix *p)
{
	struct crowd *c = crowd_find(ike, p);

	if (c)
		return c;
	c = mem_new(ike->mem, sizeof(*c));
	if (!c)
		return NULL;
	c->prefix = *p;
	for (size_t i = 0; i < PROOFS; i++) {
		list_init(&c->slots[i]);
		list_init(&c->by_size[i]);
	}
	map_insert(&ike->admit.crowds, &c->by_prefix, prefix_hash(ike, p));
	return c;
}

static void crowd_drop(struct ike *ike, struct crowd *c)
{
	if (!c || c->n)
		return;
	map_remove(&ike->admit.crowds, &c->by_prefix);
	mem_free(ike->mem, c);
}

/* Where somebody finds the largest crowds of those that have shown no more. */
static void crowd_sort(struct ike *ike, struct crowd *c, enum proof p)
{
	size_t n = c->n_proof[p] < CROWD_SIZES ? c->n_proof[p] : CROWD_SIZES;

	list_del(&c->by_size[p]);
	if (n)
		list_add_tail(&ike->admit.by_size[p][n - 1], &c->by_size[p]);
}

static struct crowd *crowd_worst(const struct ike *ike, enum proof p)
{
	for (size_t n = CROWD_SIZES; n-- > 0;) {
		const struct list *l = &ike->admit.by_size[p][n];

		if (!list_empty(l))
			return CONTAINER_OF(l->next, struct crowd, by_size[p]);
	}
	return NULL;
}

const struct crowd *crowd_largest(const struct ike *ike)
{
	const struct crowd *most = NULL;

	for (int p = 0; p < PROOFS; p++) {
		const struct crowd *c = crowd_worst(ike, (enum proof)p);

		if (c && (!most || c->n > most->n))
			most = c;
	}
	return most;
}

/* ---- slots -------------------------------------------------------------------------------- */

void slot_show(struct ike *ike, struct slot *s, enum proof p)
{
	s->crowd->n_proof[s->proof]--;
	ike->admit.n_proof[s->proof]--;
	list_del(&s->node);
	crowd_sort(ike, s->crowd, s->proof);
	s->proof = p;
	s->crowd->n_proof[p]++;
	ike->admit.n_proof[p]++;
	list_add_tail(&s->crowd->slots[p], &s->node);
	crowd_sort(ike, s->crowd, p);
}

static void count_in(struct slot *s, bool in)
{
	size_t by = in ? 1 : (size_t)-1;

	s->crowd->n += by;
	if (s->wide)
		s->wide->n += by;
}

static enum status slot_new(struct ike *ike, struct ike_sa *sa, struct slot **ret)
{
	const struct ip *ip = &sa->path.remote.ip;
	struct prefix near = narrow(ip), wide = prefix_of(ip, 48);
	struct slot *s = mem_new(ike->mem, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->crowd = crowd_get(ike, &near);
	if (s->crowd && ip->family == 6)
		s->wide = crowd_get(ike, &wide);
	if (!s->crowd || (ip->family == 6 && !s->wide)) {
		crowd_drop(ike, s->crowd);
		mem_free(ike->mem, s);
		return ST_NOMEM;
	}
	*ret = s;
	return ST_OK;
}

enum status slot_enter(struct ike *ike, struct ike_sa *sa, const struct admission *a, size_t bytes)
{
	struct slot *s;
	enum status st = slot_new(ike, sa, &s);

	if (st)
		return st;
	s->sa = sa;
	s->bytes = bytes;
	s->prf = a->prf;
	s->proof = a->proof;
	count_in(s, true);
	s->crowd->n_proof[s->proof]++;
	ike->admit.n_proof[s->proof]++;
	list_add_tail(&s->crowd->slots[s->proof], &s->node);
	crowd_sort(ike, s->crowd, s->proof);
	ike->admit.bytes += bytes;
	sa->slot = s;
	return ST_OK;
}

void slot_leave(struct ike *ike, struct ike_sa *sa)
{
	struct slot *s = sa->slot;

	if (!s)
		return;
	sa->slot = NULL;
	count_in(s, false);
	s->crowd->n_proof[s->proof]--;
	ike->admit.n_proof[s->proof]--;
	s->crowd->suspect -= s->junk > 0;
	list_del(&s->node);
	crowd_sort(ike, s->crowd, s->proof);
	crowd_drop(ike, s->crowd);
	crowd_drop(ike, s->wide);
	ike->admit.bytes -= s->bytes;
	mem_free(ike->mem, s);
}

/* ---- room --------------------------------------------------------------------------------- */

size_t slots_for_known(const struct ike *ike)
{
	return ike->conf->half_open_max / IKE_KNOWN_SHARE;
}

size_t slots_of_strangers(const struct ike *ike)
{
	return ike->n_half_open - ike->admit.n_proof[PROOF_KNOWN];
}

/* Whether that crowd would still be the larger one with one less, and one more in the newcomer's.
 * Where nothing was shown the address may be anybody's, and its crowd says nothing. */
static bool larger(const struct ike *ike, const struct crowd *c, enum proof p,
		   const struct ip *from)
{
	const struct crowd *own = crowd_of(ike, from);

	return p != PROOF_NONE && c->n_proof[p] > (own ? own->n : 0) + 1;
}

/* Of those who have shown less, the oldest in the largest crowd of those who showed least; or of
 * those who have shown as much, in a larger crowd than the newcomer's. */
static bool evict(struct ike *ike, enum proof newcomer, const struct ip *from)
{
	for (int p = 0; p <= (int)newcomer; p++) {
		struct crowd *c = crowd_worst(ike, (enum proof)p);
		struct slot *s;

		if (!c || (p == (int)newcomer && !larger(ike, c, newcomer, from)))
			continue;
		s = CONTAINER_OF(c->slots[p].next, struct slot, node);
		count(ike, C_ADMIT_EVICTED);
		sa_remove(ike, s->sa, "made way for one who has shown more");
		return true;
	}
	return false;
}

static bool has_room(const struct ike *ike, const struct admission *a, size_t bytes)
{
	size_t max = ike->conf->half_open_max;
	bool known = a->proof == PROOF_KNOWN;

	return (known ? ike->n_half_open < max
		      : slots_of_strangers(ike) < max - slots_for_known(ike)) &&
	       ike->admit.bytes + bytes <= IKE_HALF_OPEN_BYTES;
}

bool slot_room(struct ike *ike, const struct admission *a, size_t bytes, const struct ip *from)
{
	return has_room(ike, a, bytes) || (evict(ike, a->proof, from) && has_room(ike, a, bytes));
}

/* ---- life --------------------------------------------------------------------------------- */

void crowds_init(struct ike *ike, const uint64_t key[2])
{
	map_init(&ike->admit.crowds, ike->mem, key);
	for (size_t p = 0; p < PROOFS; p++)
		for (size_t n = 0; n < CROWD_SIZES; n++)
			list_init(&ike->admit.by_size[p][n]);
}

void crowds_done(struct ike *ike)
{
	map_done(&ike->admit.crowds);
}
