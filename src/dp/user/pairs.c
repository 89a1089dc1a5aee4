/*
 * Pairs of addresses that talk through us: DP_REPORT_FLOW, and what would go back to where it came
 * from.
 *
 * Two tables of words, a tag and a tick each, which all queues share.  `came` has what came in
 * lately, hashed with its peer: a packet whose pair is there under the peer that it would go to is
 * reflected.  `told` has the pairs that are not to be reported before that tick, some to a set; a
 * pair that finds no room in its set is reported once there is.  So a packet costs a hash and two
 * comparisons, and of several queues that see one pair only one reports it.  Nobody writes to a
 * table but once in an interval of a pair, and the hash is keyed: an attacker cannot choose
 * addresses that push others out.
 */
#include "dp/user/internal.h"

enum {
	CAME_SLOTS = 1 << 14,
	TOLD_SETS = 1 << 14,
	TOLD_WAYS = 4,
	REFLECT_TICKS = (int64_t)DP_REFLECT_MS * 1000000 >> TICK_BITS,
	REFRESH_TICKS = REFLECT_TICKS / 4,
	INTERVAL_TICKS = ((int64_t)DP_FLOW_INTERVAL_MS * 1000000 >> TICK_BITS) + 2,
	AGAIN_TICKS = 3, /* when it could not be reported */
	AHEAD_TICKS = 16, /* the clock of another queue may be */
};

/* ---- words --------------------------------------------------------------------------------- */

typedef _Atomic uint64_t slot_t;

static uint64_t slot_get(const slot_t *s)
{
	return atomic_load_explicit(s, memory_order_relaxed);
}

static uint64_t word_of(uint64_t hash, uint32_t tick)
{
	return (hash & ~(uint64_t)UINT32_MAX) | tick;
}

static bool same_tag(uint64_t word, uint64_t hash)
{
	return (word ^ hash) >> 32 == 0;
}

/* Whether the tick in it lies in the coming `ticks`; what is older means nothing. */
static bool is_ahead(uint64_t word, uint32_t now, uint32_t ticks)
{
	return word && (uint32_t)word - now - 1 < ticks + AHEAD_TICKS;
}

static bool is_recent(uint64_t word, uint32_t now, uint32_t ticks)
{
	return word && now - (uint32_t)word + AHEAD_TICKS < ticks + AHEAD_TICKS;
}

static uint64_t mix(uint64_t h, uint64_t with, uint64_t key)
{
	h = (h ^ with) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32) * key;
	return h ^ h >> 29;
}

static uint64_t hash_of(const struct pairs *p, const struct wire_ip *ip)
{
	uint64_t h = p->key[0];

	if (ip->version == 4) {
		h = mix(h, (uint64_t)load_be32(ip->src.b) << 32 | load_be32(ip->dst.b), p->key[1]);
		return mix(h, 4, p->key[1]);
	}
	h = mix(h, load_be64(ip->src.b), p->key[1]);
	h = mix(h, load_be64(ip->src.b + 8), p->key[1]);
	h = mix(h, load_be64(ip->dst.b), p->key[1]);
	h = mix(h, load_be64(ip->dst.b + 8), p->key[1]);
	return mix(h, 6, p->key[1]);
}

/* ---- what came in -------------------------------------------------------------------------- */

static slot_t *came_slot(const struct pairs *p, uint64_t hash)
{
	return &p->came[hash & (CAME_SLOTS - 1)];
}

void pair_came(struct queue *q, const struct child *c, const struct wire_ip *ip)
{
	struct pairs *p = &q->u->pairs;
	uint64_t hash = mix(hash_of(p, ip), c->peer->id, p->key[1]);
	slot_t *s = came_slot(p, hash);
	uint64_t word = slot_get(s);

	if (!same_tag(word, hash) || !is_recent(word, q->tick, REFRESH_TICKS))
		atomic_store_explicit(s, word_of(hash, q->tick), memory_order_relaxed);
}

static bool is_reflected(const struct queue *q, const struct child *c, uint64_t pair)
{
	const struct pairs *p = &q->u->pairs;
	uint64_t hash = mix(pair, c->peer->id, p->key[1]);
	uint64_t word = slot_get(came_slot(p, hash));

	return same_tag(word, hash) && is_recent(word, q->tick, REFLECT_TICKS);
}

/* ---- what leaves --------------------------------------------------------------------------- */

/* Who would get the answer to it; NULL: nobody. */
static const struct child *source_of(const struct queue *q, const struct wire_ip *ip)
{
	struct wire_ip answer = *ip;
	struct peer *trap;

	answer.src = ip->dst;
	answer.dst = ip->src;
	answer.sport = ip->dport;
	answer.dport = ip->sport;
	return sadb_sender(q->u, &answer, &trap);
}

static slot_t *told_set(const struct pairs *p, uint64_t hash)
{
	return &p->told[(hash & (TOLD_SETS - 1)) * TOLD_WAYS];
}

static bool was_told(const struct queue *q, const slot_t *set, uint64_t hash)
{
	for (int i = 0; i < TOLD_WAYS; i++) {
		uint64_t word = slot_get(&set[i]);

		if (same_tag(word, hash) && is_ahead(word, q->tick, INTERVAL_TICKS))
			return true;
	}
	return false;
}

/* Its own slot from now on, NULL: there is none, or another queue was quicker. */
static slot_t *claim(const struct queue *q, slot_t *set, uint64_t hash)
{
	uint64_t mine = word_of(hash, tick_after(q->tick, INTERVAL_TICKS));

	for (int i = 0; i < TOLD_WAYS; i++) {
		uint64_t word = slot_get(&set[i]);

		if (!is_ahead(word, q->tick, INTERVAL_TICKS))
			return atomic_compare_exchange_strong_explicit(&set[i], &word, mine,
								       memory_order_relaxed,
								       memory_order_relaxed)
				       ? &set[i]
				       : NULL;
	}
	return NULL;
}

static bool report_flow(struct queue *q, const struct child *from, const struct child *to,
			const struct wire_ip *ip)
{
	const struct dp_report r = {
		.kind = DP_REPORT_FLOW,
		.u.flow = { from->peer->id, to->peer->id, ip->src, ip->dst },
	};

	return dp_bucket_take(&q->flows, q->now_ns, DP_FLOWS_PER_S) && queue_report(q, &r);
}

/* Once in an interval. */
static void flow(struct queue *q, const struct child *c, const struct wire_ip *ip, slot_t *set,
		 uint64_t hash)
{
	slot_t *s = claim(q, set, hash);
	const struct child *from;

	if (!s) {
		count(q, C_FLOW_LATER, 1);
		return;
	}
	from = source_of(q, ip);
	if (!from || from->peer == c->peer || report_flow(q, from, c, ip))
		return;
	count(q, C_FLOW_LATER, 1);
	atomic_store_explicit(s, word_of(hash, tick_after(q->tick, AGAIN_TICKS)),
			      memory_order_relaxed);
}

bool pair_may_leave(struct queue *q, const struct child *c, const struct wire_ip *ip)
{
	struct pairs *p = &q->u->pairs;
	uint64_t hash = hash_of(p, ip);
	slot_t *set = told_set(p, hash);

	if (is_reflected(q, c, hash))
		return false;
	if (!was_told(q, set, hash))
		flow(q, c, ip, set, hash);
	return true;
}

/* ---- what must not be relayed -------------------------------------------------------------- */

void pair_refused(struct queue *q, const struct child *c, const struct wire_ip *ip, bool in)
{
	struct pairs *p = &q->u->pairs;
	const struct dp_report r = {
		.kind = DP_REPORT_NOT_DIRECT,
		.u.not_direct = { c->peer->id, in, ip->src, ip->dst },
	};
	uint64_t hash = mix(hash_of(p, ip), UINT64_MAX, p->key[1]);
	slot_t *set = told_set(p, hash), *s;

	if (was_told(q, set, hash))
		return;
	s = claim(q, set, hash);
	if (s && dp_bucket_take(&q->flows, q->now_ns, DP_FLOWS_PER_S) && queue_report(q, &r))
		return;
	count(q, C_FLOW_LATER, 1);
	if (s)
		atomic_store_explicit(s, word_of(hash, tick_after(q->tick, AGAIN_TICKS)),
				      memory_order_relaxed);
}

/* ---- lifecycle ----------------------------------------------------------------------------- */

/* What nobody writes to takes no memory: only who has children that ask for flows does. */
enum status pairs_init(struct pairs *p, const struct alloc *mem, const uint64_t key[2])
{
	p->key[0] = key[0];
	p->key[1] = key[1] | 1;
	p->came = mem_new(mem, CAME_SLOTS * sizeof(*p->came));
	p->told = mem_new(mem, TOLD_SETS * TOLD_WAYS * sizeof(*p->told));
	return p->came && p->told ? ST_OK : ST_NOMEM;
}

void pairs_done(struct pairs *p, const struct alloc *mem)
{
	mem_free(mem, p->came);
	mem_free(mem, p->told);
}
