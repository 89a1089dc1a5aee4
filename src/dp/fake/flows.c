/* The fake: which peers talk through us, and what would go back to where it came from. */
#include "dp/fake/internal.h"

struct pair_key {
	uint8_t b[2 * sizeof(struct ip) + sizeof(dp_peer_id)];
};

struct pair {
	struct list node;
	struct map_node by_key;
	struct pair_key key;
	mono_t until;
};

/* `from` 0: whoever it came from. */
static struct pair_key key_of(const struct wire_ip *ip, dp_peer_id from)
{
	struct pair_key k;

	memcpy(k.b, &ip->src, sizeof(ip->src));
	memcpy(k.b + sizeof(ip->src), &ip->dst, sizeof(ip->dst));
	memcpy(k.b + 2 * sizeof(ip->src), &from, sizeof(from));
	return k;
}

static bool has_key(const struct map_node *n, const void *key)
{
	return memcmp(&CONTAINER_OF(n, const struct pair, by_key)->key, key,
		      sizeof(struct pair_key)) == 0;
}

static struct pair *pair_find(const struct fake_pairs *p, const struct pair_key *k)
{
	struct map_node *n = map_find(&p->map, map_hash(&p->map, BYTES_OF(k->b)), has_key, k);

	return n ? CONTAINER_OF(n, struct pair, by_key) : NULL;
}

static void pair_free(struct fake *f, struct fake_pairs *p, struct pair *i)
{
	map_remove(&p->map, &i->by_key);
	list_del(&i->node);
	mem_free(f->mem, i);
}

/* Whether it holds. */
static bool pair_holds(const struct fake *f, const struct fake_pairs *p, const struct pair_key *k)
{
	const struct pair *i = pair_find(p, k);

	return i && mono_before(f->now, i->until);
}

/* From now on it holds. */
static void pair_note(struct fake *f, struct fake_pairs *p, const struct pair_key *k)
{
	struct pair *i;

	list_for_each_safe(n, &p->old_first) {
		i = CONTAINER_OF(n, struct pair, node);
		if (mono_before(f->now, i->until))
			break;
		pair_free(f, p, i);
	}
	i = pair_find(p, k);
	if (!i) {
		i = mem_new(f->mem, sizeof(*i));
		if (!i) {
			f->counter[C_NO_MEMORY]++;
			return;
		}
		i->key = *k;
		list_init(&i->node);
		map_insert(&p->map, &i->by_key, map_hash(&p->map, BYTES_OF(k->b)));
	}
	i->until = mono_add(f->now, p->holds);
	list_del(&i->node);
	list_add_tail(&p->old_first, &i->node);
}

static void pairs_init(struct fake *f, struct fake_pairs *p, int64_t ms)
{
	static const uint64_t key[2] = { 3, 4 };

	map_init(&p->map, f->mem, key);
	list_init(&p->old_first);
	p->holds = dur_ms(ms);
}

static void pairs_done(struct fake *f, struct fake_pairs *p)
{
	list_for_each_safe(n, &p->old_first)
		pair_free(f, p, CONTAINER_OF(n, struct pair, node));
	map_done(&p->map);
}

void fake_flows_init(struct fake *f)
{
	pairs_init(f, &f->told, DP_FLOW_INTERVAL_MS);
	pairs_init(f, &f->came, DP_REFLECT_MS);
}

void fake_flows_done(struct fake *f)
{
	pairs_done(f, &f->told);
	pairs_done(f, &f->came);
}

void fake_came_in(struct fake *f, const struct fake_child *c, const struct wire_ip *ip)
{
	struct pair_key k = key_of(ip, c->c.peer);

	pair_note(f, &f->came, &k);
}

bool fake_is_reflected(const struct fake *f, const struct fake_child *c, const struct wire_ip *ip)
{
	struct pair_key k = key_of(ip, c->c.peer);

	return pair_holds(f, &f->came, &k);
}

/* Who would get the answer to it; NULL: nobody. */
static const struct fake_child *source_of(const struct fake *f, const struct wire_ip *ip)
{
	struct wire_ip answer = *ip;
	struct fake_trap *t;

	answer.src = ip->dst;
	answer.dst = ip->src;
	answer.sport = ip->dport;
	answer.dport = ip->sport;
	return fake_sender(f, &answer, &t);
}

void fake_refused(struct fake *f, const struct fake_child *c, const struct wire_ip *ip, bool in)
{
	struct pair_key k = key_of(ip, UINT64_MAX);
	const struct dp_report r = {
		.kind = DP_REPORT_NOT_DIRECT,
		.u.not_direct = { c->c.peer, in, ip->src, ip->dst },
	};

	if (!pair_holds(f, &f->told, &k) && dp_bucket_take(&f->flows, f->now.ns, DP_FLOWS_PER_S) &&
	    fake_push_report(f, &r))
		pair_note(f, &f->told, &k);
}

void fake_flow(struct fake *f, const struct fake_child *c, const struct wire_ip *ip)
{
	struct pair_key k = key_of(ip, 0);
	const struct fake_child *from;
	struct dp_report r = { .kind = DP_REPORT_FLOW };

	if (pair_holds(f, &f->told, &k))
		return;
	from = source_of(f, ip);
	if (!from || from->peer == c->peer || !dp_bucket_take(&f->flows, f->now.ns, DP_FLOWS_PER_S))
		return;
	r.u.flow.from = from->c.peer;
	r.u.flow.to = c->c.peer;
	r.u.flow.src = ip->src;
	r.u.flow.dst = ip->dst;
	if (fake_push_report(f, &r))
		pair_note(f, &f->told, &k);
}
