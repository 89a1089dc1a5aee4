/*
 * path.c - a path between two partners (docs/protocol/shortcut.md section 7).
 *
 * Each side asks each candidate of the other one from each of its own addresses, a few times; a
 * question opens the way through filters and NATs for the other side's as well.  An answer to a
 * question of our own shows that the way works in both directions.  The one who calls takes the
 * best: an address of the other end's own, then a configured one, then what hubs and NATs show;
 * among those of a kind the quickest.  He waits for a better kind MESH_PROBE_SETTLE_MS, and not a
 * moment when nothing better can come, so with one candidate each the first packet is on its
 * direct way after one round trip here and two of IKE.
 *
 * What an attacker can make of it.  Only who knows the key, that is the two and their hubs, gets
 * an answer or is believed one; MACs are compared in constant time; a question is answered once,
 * so a copy of it, from wherever, gets nothing, nor does our own that comes back; an answer is as
 * large as the question.  A hub or a partner may name somebody else's address: a suggestion has
 * MESH_WAYS * MESH_PROBE_TRIES questions, all of them together MESH_PROBES_PER_S, and one address
 * hears of us no more than MESH_PROBES_PER_ADDRESS times in a second, whatever is suggested.  What
 * is too much is put off.
 */
#include "mesh/site.h"

/* Between a question and the next one: at 0, 50, 150, 350, 750 ms. */
static const uint16_t gaps[MESH_PROBE_TRIES - 1] = { 50, 100, 200, 400 };

enum direction { QUESTION, ANSWER };

/* ---- how much ------------------------------------------------------------------------------- */

static void begin_second(struct mesh *m)
{
	if (m->probes.since.ns && mono_since(m->now.mono, m->probes.since).ns < dur_s(1).ns)
		return;
	m->probes.since = m->now.mono;
	m->probes.n = 0;
	memset(m->towards, 0, sizeof(m->towards));
}

/* Groups of addresses are as good as addresses: nobody can tell who shares one. */
static uint8_t *sent_to(struct mesh *m, const struct ip *to, enum direction d)
{
	return &m->towards[d][siphash(m->key, ip_raw(to)) % MESH_PROBE_GROUPS];
}

static bool may_send(struct mesh *m, const struct ip *to, enum direction d)
{
	uint8_t *n = sent_to(m, to, d);

	begin_second(m);
	if (*n >= MESH_PROBES_PER_ADDRESS || (d == QUESTION && m->probes.n >= MESH_PROBES_PER_S)) {
		count(m, M_PROBES_HELD);
		return false;
	}
	(*n)++;
	if (d == QUESTION)
		m->probes.n++;
	return true;
}

/* ---- probes --------------------------------------------------------------------------------- */

static enum status mac_of(struct mesh *m, const struct probing *p, struct bytes covered,
			  uint8_t ret[static 32])
{
	return mesh_mac(m, BYTES_OF(p->key), &covered, 1, ret);
}

static bool mac_ok(struct mesh *m, const struct probing *p, struct bytes covered,
		   const uint8_t *mac)
{
	uint8_t want[32];
	bool ok = mac_of(m, p, covered, want) == ST_OK &&
		  ct_equal(bytes_of(want, WIRE_PROBE_MAC), bytes_of(mac, WIRE_PROBE_MAC));

	wipe(want, sizeof(want));
	return ok;
}

static void send(struct mesh *m, const struct probing *p, const struct wire_probe *what,
		 const struct endpoint *local, const struct endpoint *remote)
{
	const size_t covered = WIRE_PROBE_LEN - WIRE_PROBE_MAC;
	uint8_t data[WIRE_PROBE_LEN], mac[32];

	wire_probe_put(data, what);
	if (mac_of(m, p, bytes_of(data, covered), mac)) {
		count(m, M_NO_MEMORY);
		return;
	}
	memcpy(data + covered, mac, WIRE_PROBE_MAC);
	count(m, M_PROBES_OUT);
	mesh_send(m, local, remote, data);
}

static struct wire_probe probe_of(const struct shortcut *c)
{
	struct wire_probe p = { 0 };

	memcpy(p.id, c->id, sizeof(p.id));
	memcpy(p.nonce, c->probing->nonce, sizeof(p.nonce));
	return p;
}

static void ask(struct shortcut *c, size_t i)
{
	struct probing *p = c->probing;
	struct questions *q = &p->questions[i];
	const struct mesh_try *way = &c->tries[i];
	struct mesh *m = c->net->m;
	struct wire_probe probe = probe_of(c);

	q->due = MONO_NEVER;
	if (q->n >= MESH_PROBE_TRIES || p->next_txn >= MESH_TXNS)
		return;
	if (!may_send(m, &way->remote.ip, QUESTION)) {
		q->due = mono_add(m->probes.since, dur_s(1));
		return;
	}
	probe.txn = p->next_txn++;
	q->asked[q->n].txn = probe.txn;
	q->asked[q->n].at = m->now.mono;
	if (q->n < ARRAY_LEN(gaps))
		q->due = mono_add(m->now.mono, dur_ms(gaps[q->n]));
	q->n++;
	p->last = m->now.mono;
	send(m, p, &probe, &way->local, &way->remote);
}

/* ---- ways ----------------------------------------------------------------------------------- */

static struct questions *way_add(struct shortcut *c, const struct spot *s)
{
	struct questions *q;

	if (c->n_tries >= MESH_WAYS)
		return NULL;
	q = &c->probing->questions[c->n_tries];
	*q = (struct questions){ .due = MONO_NEVER };
	c->tries[c->n_tries++] = (struct mesh_try){ .kind = s->kind, .remote = s->at };
	return q;
}

static bool has_way(const struct shortcut *c, const struct endpoint *local,
		    const struct endpoint *remote, size_t *ret_i)
{
	for (size_t i = 0; i < c->n_tries; i++)
		if (endpoint_eq(&c->tries[i].local, local) &&
		    endpoint_eq(&c->tries[i].remote, remote)) {
			*ret_i = i;
			return true;
		}
	return false;
}

static void way_from(struct shortcut *c, const struct spot *s, const struct ip *from)
{
	struct mesh *m = c->net->m;
	struct endpoint local = { *from, m->conf->ike->nat_port };
	struct questions *q;
	size_t i;

	if (has_way(c, &local, &s->at, &i))
		return;
	q = way_add(c, s);
	if (!q)
		return;
	q->due = m->now.mono;
	c->tries[c->n_tries - 1].local = local;
}

static void ways_to(struct shortcut *c, const struct spot *s)
{
	const char *why = spot_unfit(c, &s->at);
	struct ip local[MESH_LOCALS];
	size_t n = why ? 0 : own_locals(c->net, s->at.ip.family, local);

	for (size_t i = 0; i < n; i++)
		way_from(c, s, &local[i]);
	if (n || !way_add(c, s))
		return;
	c->tries[c->n_tries - 1].result = why ? MESH_TRY_REFUSED : MESH_TRY_UNSENT;
	c->tries[c->n_tries - 1].why = why;
}

static bool is_named(const struct probing *p, const struct endpoint *at)
{
	for (size_t i = 0; i < p->n_spots; i++)
		if (endpoint_eq(&p->spots[i].at, at))
			return true;
	return false;
}

/* What was answered stays as long as we are there ourselves. */
static bool is_over(const struct shortcut *c, const struct mesh_try *way)
{
	if (way->result == MESH_TRY_REFUSED || way->result == MESH_TRY_UNSENT ||
	    own_gone(c->net->m, &way->local.ip))
		return true;
	return way->result != MESH_TRY_ANSWERED && !is_named(c->probing, &way->remote);
}

static void forget_ways(struct shortcut *c)
{
	struct questions *q = c->probing->questions;
	size_t n = 0;

	for (size_t i = 0; i < c->n_tries; i++) {
		if (is_over(c, &c->tries[i]))
			continue;
		c->tries[n] = c->tries[i];
		q[n++] = q[i];
	}
	c->n_tries = n;
}

/* ---- choice --------------------------------------------------------------------------------- */

static unsigned rank(const struct mesh_try *way)
{
	return way->kind == WIRE_MC_HOST ? 0 : way->kind == WIRE_MC_CONFIGURED ? 1 : 2;
}

static const struct mesh_try *best_way(const struct shortcut *c)
{
	const struct mesh_try *best = NULL;

	for (size_t i = 0; i < c->n_tries; i++) {
		const struct mesh_try *way = &c->tries[i];

		if (way->result == MESH_TRY_ANSWERED &&
		    (!best || rank(way) < rank(best) ||
		     (rank(way) == rank(best) && way->rtt.ns < best->rtt.ns)))
			best = way;
	}
	return best;
}

static bool better_may_come(const struct shortcut *c, const struct mesh_try *best)
{
	for (size_t i = 0; i < c->n_tries; i++)
		if (c->tries[i].result == MESH_TRY_WAITING && rank(&c->tries[i]) < rank(best))
			return true;
	return false;
}

static mono_t next_question(const struct shortcut *c)
{
	mono_t due = MONO_NEVER;

	for (size_t i = 0; i < c->n_tries; i++)
		due = mono_min(due, c->probing->questions[i].due);
	return due;
}

static const char *kind_text(uint8_t kind)
{
	switch (kind) {
	case WIRE_MC_HOST: return "its own";
	case WIRE_MC_CONFIGURED: return "configured";
	case WIRE_MC_SEEN: return "as its hub sees it";
	default: return "it asked from there";
	}
}

static void way_text(struct text *t, const struct mesh_try *way, unsigned asked)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	text_fmt(t, "; %s (%s) ", endpoint_text(&way->remote, remote), kind_text(way->kind));
	if (way->why)
		text_fmt(t, "was not asked: %s", way->why);
	else if (way->result == MESH_TRY_UNSENT)
		text_add(t, "was not asked: no address of ours leads there");
	else
		text_fmt(t, "was asked %u times from %s", asked, endpoint_text(&way->local, local));
}

static void no_path(struct shortcut *c)
{
	char buf[MESH_WHY];
	struct text t = TEXT_OF(buf);
	unsigned asked = 0;

	for (size_t i = 0; i < c->n_tries; i++)
		asked += c->probing->questions[i].n;
	text_add(&t, asked        ? "no answer from the partner"
		     : c->n_tries ? "the partner named no address that can be asked"
				  : "the partner named no address");
	text_add(&t, c->probing->heard ? ", whose questions arrive here" : "");
	for (size_t i = 0; i < c->n_tries; i++)
		way_text(&t, &c->tries[i], c->probing->questions[i].n);
	shortcut_over(c, WIRE_MO_FAILED, asked ? WIRE_MR_NO_PATH : WIRE_MR_NO_CANDIDATES, true,
		      buf);
}

/* Who is called and hears the other end may be called all the same. */
static mono_t give_up(const struct shortcut *c)
{
	const struct probing *p = c->probing;

	if (p->heard && !c->initiator)
		return MONO_NEVER;
	return mono_add(p->last, dur_ms(MESH_PROBE_WAIT_MS));
}

static void stop_asking(struct shortcut *c)
{
	c->probing->chosen = true;
	for (size_t i = 0; i < c->n_tries; i++)
		c->probing->questions[i].due = MONO_NEVER;
}

/* When there is something to decide again. */
static mono_t decide(struct shortcut *c)
{
	const struct mesh_try *best = best_way(c);
	mono_t now = c->net->m->now.mono, later = next_question(c), settled;

	if (c->probing->chosen || c->stage != STAGE_PROBING)
		return later;
	if (!best) {
		if (mono_before(later, MONO_NEVER))
			return later;
		if (mono_before(now, give_up(c)))
			return give_up(c);
		no_path(c);
		return MONO_NEVER;
	}
	settled = mono_add(c->probing->first, dur_ms(MESH_PROBE_SETTLE_MS));
	if (c->initiator && better_may_come(c, best) && mono_before(now, settled))
		return mono_min(later, settled);
	if (c->initiator)
		stop_asking(c);
	shortcut_path_found(c, best);
	return c->initiator ? MONO_NEVER : later;
}

static void run(struct shortcut *c)
{
	struct mesh *m = c->net->m;
	mono_t due;

	for (size_t i = 0; i < c->n_tries; i++)
		if (!mono_before(m->now.mono, c->probing->questions[i].due))
			ask(c, i);
	due = decide(c);
	if (!c->probing)
		return;
	if (mono_before(due, MONO_NEVER))
		heap_arm(&m->timers, &c->probing->timer, due);
	else
		heap_disarm(&m->timers, &c->probing->timer);
}

/* ---- life ----------------------------------------------------------------------------------- */

enum { HALF_ID = 8 };

static bool same_id(const struct map_node *n, const void *key)
{
	return memcmp(CONTAINER_OF(n, const struct probing, by_id)->of->id, key, HALF_ID) == 0;
}

static uint64_t half_hash(const struct mesh *m, const uint8_t *id)
{
	return map_hash(&m->by_probe, bytes_of(id, HALF_ID));
}

enum status probing_new(struct shortcut *c, const uint8_t key[static 32])
{
	struct mesh *m = c->net->m;
	struct probing *p = mem_new(m->mem, sizeof(*p));

	if (!p)
		return ST_NOMEM;
	p->of = c;
	p->timer.kind = T_PROBE;
	p->first = MONO_NEVER;
	p->last = m->now.mono;
	memcpy(p->key, key, sizeof(p->key));
	mesh_random(m, p->nonce, sizeof(p->nonce));
	map_insert(&m->by_probe, &p->by_id, half_hash(m, c->id));
	c->probing = p;
	c->tries = p->tries;
	return ST_OK;
}

/* There may be many, and were few: what is remembered of a shortcut, or of one that is up, is what
 * was tried. */
static void keep_tries(struct shortcut *c)
{
	struct bytes kept = bytes_of(NULL, 0);

	if (c->n_tries &&
	    mem_dup(c->net->m->mem, bytes_of(c->tries, c->n_tries * sizeof(*c->tries)), &kept)) {
		count(c->net->m, M_NO_MEMORY);
		c->n_tries = 0;
	}
	c->tries = (void *)(uintptr_t)kept.p;
}

void probing_free(struct shortcut *c)
{
	struct probing *p = c->probing;
	struct mesh *m = c->net->m;

	if (!p)
		return;
	for (size_t i = 0; i < c->n_tries; i++)
		if (c->tries[i].result == MESH_TRY_WAITING && p->questions[i].n == MESH_PROBE_TRIES)
			c->tries[i].result = MESH_TRY_SILENT;
	keep_tries(c);
	map_remove(&m->by_probe, &p->by_id);
	heap_disarm(&m->timers, &p->timer);
	mem_free_secret(m->mem, p, sizeof(*p));
	c->probing = NULL;
}

void probing_go(struct shortcut *c)
{
	struct probing *p = c->probing;

	if (!p || p->chosen)
		return;
	forget_ways(c);
	for (size_t i = 0; i < p->n_spots; i++)
		ways_to(c, &p->spots[i]);
	p->last = c->net->m->now.mono;
	run(c);
}

void probe_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	run(CONTAINER_OF(t, struct probing, timer)->of);
}

/* ---- what comes in -------------------------------------------------------------------------- */

static bool first_time(struct probing *p, uint32_t txn)
{
	uint8_t bit = (uint8_t)(1u << txn % 8);

	if (txn >= MESH_TXNS || p->answered[txn / 8] & bit)
		return false;
	p->answered[txn / 8] |= bit;
	return true;
}

/* It listens by now: what was asked before it did is asked again. */
static void hurry(struct shortcut *c, size_t i)
{
	struct questions *q = &c->probing->questions[i];

	if (q->hurried || c->probing->chosen || c->tries[i].result != MESH_TRY_WAITING)
		return;
	q->hurried = true;
	q->due = c->net->m->now.mono;
}

static void asked_from(struct shortcut *c, const struct ike_datagram *d)
{
	size_t i;

	c->probing->heard = true;
	if (has_way(c, &d->local, &d->remote, &i)) {
		hurry(c, i);
		run(c);
	} else {
		spots_add(c, &d->remote);
		probing_go(c);
	}
}

static void question_in(struct shortcut *c, const struct wire_probe *q,
			const struct ike_datagram *d)
{
	struct mesh *m = c->net->m;
	struct wire_probe answer = *q;

	/* Our own one, sent back: the answer, sent back as well, would be as good as the partner's.
	 */
	if (memcmp(q->nonce, c->probing->nonce, sizeof(q->nonce)) == 0 ||
	    !first_time(c->probing, q->txn)) {
		count(m, M_PROBE_STRAY);
		return;
	}
	answer.flags = WIRE_PROBE_ANSWER;
	answer.seen = d->remote;
	if (may_send(m, &d->remote.ip, ANSWER))
		send(m, c->probing, &answer, &d->local, &d->remote);
	asked_from(c, d);
}

/* When the question was asked that this answers, along the same way; MONO_NEVER: it was not. */
static mono_t asked_at(const struct shortcut *c, size_t i, const struct wire_probe *a)
{
	const struct questions *q = &c->probing->questions[i];

	for (size_t k = 0; k < q->n; k++)
		if (q->asked[k].txn == a->txn)
			return q->asked[k].at;
	return MONO_NEVER;
}

static void answered_along(struct shortcut *c, size_t i, dur_t rtt)
{
	struct mesh_try *way = &c->tries[i];
	struct probing *p = c->probing;

	if (way->result != MESH_TRY_ANSWERED || rtt.ns < way->rtt.ns)
		way->rtt = rtt;
	way->result = MESH_TRY_ANSWERED;
	p->questions[i].due = MONO_NEVER;
	p->first = mono_min(p->first, c->net->m->now.mono);
	run(c);
}

static void answer_in(struct shortcut *c, const struct wire_probe *a, const struct ike_datagram *d)
{
	mono_t at = MONO_NEVER;
	size_t i = 0;

	if (has_way(c, &d->local, &d->remote, &i) &&
	    memcmp(a->nonce, c->probing->nonce, sizeof(a->nonce)) == 0)
		at = asked_at(c, i, a);
	if (mono_before(at, MONO_NEVER))
		answered_along(c, i, mono_since(c->net->m->now.mono, at));
	else
		count(c->net->m, M_PROBE_STRAY);
}

void probe_input(struct mesh *m, const struct ike_datagram *d)
{
	struct wire_probe probe;
	struct bytes covered;
	struct map_node *n;
	const uint8_t *mac;
	struct probing *p;

	count(m, M_PROBES_IN);
	if (d->local.port != m->conf->ike->nat_port || !d->remote.port ||
	    wire_probe_parse(d->data, &probe, &covered, &mac)) {
		count(m, M_PROBE_BAD);
		return;
	}
	n = map_find(&m->by_probe, half_hash(m, probe.id), same_id, probe.id);
	if (!n) {
		count(m, M_PROBE_UNKNOWN);
		return;
	}
	p = CONTAINER_OF(n, struct probing, by_id);
	if (!mac_ok(m, p, covered, mac))
		count(m, M_PROBE_FORGED);
	else if (probe.flags & WIRE_PROBE_ANSWER)
		answer_in(p->of, &probe, d);
	else
		question_in(p->of, &probe, d);
}
