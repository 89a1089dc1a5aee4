/*
 * admit.c - who gets a half-open SA when many want one (RFC 8019 sections 4 to 7).
 *
 * How much is demanded of a newcomer is the greater of two: the engine's level, which follows from
 * half-open SAs, key exchanges outstanding, requests and failures in the last second, and what its
 * own address has earned (soft limits, section 4.2: they raise the price and lock nobody out).
 *
 *	calm     nothing                        half-open SAs of one address count all the same
 *	cookies  return a cookie
 *	puzzles  solve a puzzle, or be lucky    who knows no puzzles draws lots, cookie in hand
 *	full     the same, and there is room    only in place of somebody who has shown less
 *
 * Levels rise at once and fall one by one, each after IKE_LOAD_CALM_S seconds below half of what
 * raised it.
 *
 * Every half-open SA of a responder has a slot, in the crowd of its prefix (an IPv4 address, an
 * IPv6 /64; with the /48 around it counted as well), under what its maker has shown.  When there is
 * no room, the oldest slot of the largest crowd among those that showed least makes way, also for
 * one who has shown no more but comes from a smaller crowd; addresses that may be forged
 *(nothing shown) count for nothing in that.  So there are never more crowds than half-open SAs, and
 * these are bounded by configuration, count and bytes.
 *
 * Known peers (addresses of sections, and where somebody was up) have a share of slots and work of
 * their own, and are asked for no puzzle while they stay within it.  Addresses can be forged, so
 * they return cookies like everybody.
 *
 * Junk IKE_AUTH: who sees our answer can send any number of messages that fail the integrity check.
 * Keys stay (section 4.6), so each costs one check.  If an SA went after some, whoever overhears a
 * handshake could end it with a few datagrams; if it turned deaf, as well.  So neither: a slot has
 * a number of checks to begin with and gains some every second, the rest is dropped unread.
 */
#include "ike/internal.h"

enum { CROWD_SIZES = ADMIT_SIZES };

/* ---- known addresses ---------------------------------------------------------------------- */

/* Sets of a few, the one seen last replaces the one not seen for longest.  A tag is half a keyed
 * hash: a stranger who shares it by chance is only served a little better. */
enum { KNOWN_WAYS = 4, KNOWN_SETS = IKE_KNOWN_MAX / KNOWN_WAYS };

struct known_slot {
	uint32_t tag; /* 0: free */
	uint32_t seen; /* seconds */
};

static uint32_t now_s(const struct ike *ike)
{
	return (uint32_t)(ike->now.mono.ns / dur_s(1).ns);
}

static struct known_slot *known_set(const struct ike *ike, const struct ip *ip, uint32_t *ret_tag)
{
	uint64_t h = map_hash(&ike->admit.crowds, bytes_of(ip, sizeof(*ip)));

	*ret_tag = (uint32_t)h | 1;
	return ike->admit.known + (h >> 32) % KNOWN_SETS * KNOWN_WAYS;
}

static bool seen_lately(const struct ike *ike, const struct ip *ip)
{
	const struct known_slot *s;
	uint32_t tag;

	if (!ike->admit.known)
		return false;
	s = known_set(ike, ip, &tag);
	for (size_t i = 0; i < KNOWN_WAYS; i++)
		if (s[i].tag == tag && now_s(ike) - s[i].seen < IKE_KNOWN_S)
			return true;
	return false;
}

void admit_seen(struct ike *ike, const struct ip *ip)
{
	struct known_slot *s, *at;
	uint32_t tag;

	if (ike->silent || ike->shutdown)
		return;
	/* Without memory nobody is known: nothing depends on it. */
	if (!ike->admit.known)
		ike->admit.known = mem_new(ike->mem, IKE_KNOWN_MAX * sizeof(*s));
	if (!ike->admit.known)
		return;
	s = at = known_set(ike, ip, &tag);
	for (size_t i = 0; i < KNOWN_WAYS && at->tag != tag; i++)
		if (s[i].tag == tag || (at->tag && (!s[i].tag || s[i].seen < at->seen)))
			at = &s[i];
	*at = (struct known_slot){ tag, now_s(ike) };
}

static bool is_known(const struct ike *ike, const struct ip *ip)
{
	struct peer *p[1];

	return peers_at(ike, ip, p, 1) > 0 || seen_lately(ike, ip);
}

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

static void slot_show(struct ike *ike, struct slot *s, enum proof p)
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

/* ---- solutions that were taken ------------------------------------------------------------ */

enum { SPENT_HASHES = 3, SPENT_INDEX_BITS = 17 };

_Static_assert(1 << SPENT_INDEX_BITS == (int)IKE_PUZZLE_SPENT_BITS, "an index has so many bits");

/* Tags are halves of MACs: any bits of them do. */
static size_t spent_index(uint64_t tag, unsigned i)
{
	return tag >> i * SPENT_INDEX_BITS & (IKE_PUZZLE_SPENT_BITS - 1);
}

/* A generation lasts longer than any cookie is good for. */
static void spent_roll(struct ike *ike)
{
	struct spent *s = &ike->admit.spent;
	int64_t generation = dur_s(IKE_PUZZLE_S + 1).ns;
	int64_t age = mono_since(ike->now.mono, s->since).ns;

	if (age < generation)
		return;
	s->now = !s->now;
	memset(s->bits[s->now], 0, sizeof(s->bits[0]));
	if (age >= 2 * generation)
		memset(s->bits[!s->now], 0, sizeof(s->bits[0]));
	s->since = ike->now.mono;
}

static void spend(struct ike *ike, uint64_t tag)
{
	struct spent *s = &ike->admit.spent;

	spent_roll(ike);
	for (unsigned i = 0; i < SPENT_HASHES; i++) {
		size_t at = spent_index(tag, i);

		s->bits[s->now][at / 64] |= 1ULL << at % 64;
	}
}

static bool is_spent(struct ike *ike, uint64_t tag)
{
	const struct spent *s = &ike->admit.spent;
	bool in[2] = { true, true };

	spent_roll(ike);
	for (unsigned i = 0; i < SPENT_HASHES; i++) {
		size_t at = spent_index(tag, i);

		for (int set = 0; set < 2; set++)
			in[set] = in[set] && s->bits[set][at / 64] >> at % 64 & 1;
	}
	return in[0] || in[1];
}

/* ---- slots -------------------------------------------------------------------------------- */

enum status admit_enter(struct ike *ike, struct ike_sa *sa, const struct admission *a, size_t bytes)
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
	if (a->proof == PROOF_SOLVED)
		spend(ike, a->tag);
	admit_weigh(ike);
	return ST_OK;
}

void admit_leave(struct ike *ike, struct ike_sa *sa)
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

/* ---- the level ---------------------------------------------------------------------------- */

const char *ike_load_name(enum ike_load level)
{
	static const char *const names[IKE_LOADS] = { "calm", "cookies", "puzzles", "full" };

	return level < IKE_LOADS ? names[level] : "unknown";
}

/* Slots that only known peers get. */
static size_t share(const struct ike *ike)
{
	return ike->conf->half_open_max / IKE_KNOWN_SHARE;
}

/* Half-open SAs of others than known peers. */
static size_t strangers(const struct ike *ike)
{
	return ike->n_half_open - ike->admit.n_proof[PROOF_KNOWN];
}

static bool full(const struct ike *ike, unsigned by)
{
	size_t room = ike->conf->half_open_max - share(ike);

	return strangers(ike) * by >= room || ike->admit.bytes * by >= IKE_HALF_OPEN_BYTES ||
	       ike->n_jobs[CRYPTO_JOB_KE_RESPOND] * by >= IKE_WORK_FULL;
}

/* Of the second under way and the one before it. */
static struct admit_rate busier(const struct admit *a)
{
	return (struct admit_rate){
		.requests = a->rate.requests > a->before.requests ? a->rate.requests
								  : a->before.requests,
		.failures = a->rate.failures > a->before.failures ? a->rate.failures
								  : a->before.failures,
	};
}

/* What the present pressure, `by` times as great, asks for. */
static enum ike_load pressure(const struct ike *ike, unsigned by)
{
	const struct ike_conf *c = ike->conf;
	const struct admit *a = &ike->admit;
	size_t half_open = ike->n_half_open * by;
	size_t work = ike->n_jobs[CRYPTO_JOB_KE_RESPOND] * by;
	size_t failures = (size_t)busier(a).failures * by,
	       requests = (size_t)busier(a).requests * by;

	if (full(ike, by))
		return IKE_LOAD_FULL;
	if (c->puzzle_max && (half_open >= c->half_open_puzzle || work >= IKE_WORK_PUZZLE ||
			      failures >= IKE_FAILURES_PUZZLE))
		return IKE_LOAD_PUZZLES;
	if (half_open >= c->half_open_cookie || work >= IKE_WORK_COOKIE ||
	    failures >= IKE_FAILURES_COOKIE || requests >= c->init_rate_cookie)
		return IKE_LOAD_COOKIES;
	return IKE_LOAD_CALM;
}

static void roll_rates(struct ike *ike)
{
	struct admit *a = &ike->admit;
	int64_t age = mono_since(ike->now.mono, a->second).ns;

	if (age < dur_s(1).ns)
		return;
	a->before = age < dur_s(2).ns ? a->rate : (struct admit_rate){ 0 };
	a->rate = (struct admit_rate){ 0 };
	a->second = age < dur_s(2).ns ? mono_add(a->second, dur_s(1)) : ike->now.mono;
}

static const char *advice(enum ike_load level)
{
	static const char *const text[IKE_LOADS] = {
		[IKE_LOAD_CALM] = "nothing is demanded any more",
		[IKE_LOAD_COOKIES] =
			("newcomers have to return a cookie; peers that are up notice nothing. If "
			 "these are peers of yours after an outage there is nothing to do, else "
			 "see "
			 "where they come from"),
		[IKE_LOAD_PUZZLES] =
			("newcomers have to solve a puzzle, few that cannot get in by lot, known "
			 "addresses need a cookie only. Have the worst prefix filtered before it "
			 "gets here; if all of them are peers of yours, raise half_open_puzzle"),
		[IKE_LOAD_FULL] =
			("newcomers only get in who have shown more than somebody who waits. Have "
			 "the worst prefix filtered before it gets here, or raise half_open_max if "
			 "memory allows"),
	};

	return text[level];
}

static const struct crowd *worst(const struct ike *ike)
{
	const struct crowd *most = NULL;

	for (int p = 0; p < PROOFS; p++) {
		const struct crowd *c = crowd_worst(ike, (enum proof)p);

		if (c && (!most || c->n > most->n))
			most = c;
	}
	return most;
}

static void report(struct ike *ike, enum ike_load from)
{
	const struct crowd *c = worst(ike);
	char buf[IKE_EVENT_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t,
		 "load was %s and is %s now: %zu half-open IKE SAs (at most %u), %zu key exchanges "
		 "under way, %u requests and %u failures in a second",
		 ike_load_name(from), ike_load_name(ike->admit.level), ike->n_half_open,
		 ike->conf->half_open_max, (size_t)ike->n_jobs[CRYPTO_JOB_KE_RESPOND],
		 busier(&ike->admit).requests, busier(&ike->admit).failures);
	if (c)
		text_fmt(&t, ", most from %s (%zu)", prefix_text(&c->prefix, prefix), c->n);
	text_fmt(&t, "; %s", advice(ike->admit.level));
	event_emit(ike, IKE_EV_LOAD, (struct event_about){ 0 }, "%s", buf);
}

static void change(struct ike *ike, enum ike_load to)
{
	enum ike_load from = ike->admit.level;

	count(ike, to > from ? C_LOAD_RAISED : C_LOAD_LOWERED);
	ike->admit.level = to;
	ike->admit.calm = 0;
	report(ike, from);
}

/* Where nothing can push it below: cookies are always demanded with half_open_cookie = 0. */
static enum ike_load base_level(const struct ike *ike)
{
	return ike->conf->half_open_cookie ? IKE_LOAD_CALM : IKE_LOAD_COOKIES;
}

void admit_weigh(struct ike *ike)
{
	enum ike_load want;

	roll_rates(ike);
	want = pressure(ike, 1);
	if (ike->admit.level < base_level(ike))
		ike->admit.level = base_level(ike);
	if (want > ike->admit.level)
		change(ike, want);
	if (ike->admit.level > base_level(ike) && !ike->admit.timer.armed)
		heap_arm(&ike->timers, &ike->admit.timer, mono_add(ike->now.mono, dur_s(1)));
}

void admit_timer(struct ike *ike)
{
	struct admit *a = &ike->admit;

	roll_rates(ike);
	if (a->level > base_level(ike)) {
		a->calm = pressure(ike, 2) < a->level ? a->calm + 1 : 0;
		if (a->calm >= IKE_LOAD_CALM_S)
			change(ike, a->level - 1);
	}
	admit_weigh(ike);
}

/* ---- puzzles ------------------------------------------------------------------------------ */

/* From the lowest difficulty that is worth asking for to the configured one, as slots fill up. */
static uint8_t difficulty(const struct ike *ike, bool crowded)
{
	unsigned most = ike->conf->puzzle_max, least = IKE_PUZZLE_MIN_BITS;
	size_t from = ike->conf->half_open_puzzle, to = ike->conf->half_open_max - share(ike);
	size_t n = strangers(ike), step = 0;

	if (most > IKE_PUZZLE_RANGE + IKE_PUZZLE_MIN_BITS)
		least = most - IKE_PUZZLE_RANGE;
	if (most < least)
		return (uint8_t)least;
	if (n > from && to > from)
		step = (n - from) * (most - least) / (to - from);
	if (crowded)
		step++;
	return (uint8_t)(least + step < most ? least + step : most);
}

/* Section 7.1.1.1 recommends to leave it to the initiator how much it can afford unless the volume
 * is very high; what it then affords may still be too little for us. */
static uint8_t asked_bits(const struct ike *ike, bool crowded, uint8_t round)
{
	bool heavy =
		ike->admit.level == IKE_LOAD_FULL || strangers(ike) * 2 >= ike->conf->half_open_max;

	return crowded || heavy || round ? difficulty(ike, crowded) : 0;
}

/* ---- the decision ------------------------------------------------------------------------- */

struct caller {
	const struct ike_datagram *d;
	const struct wire_hdr *h;
	struct init_request r;
	struct cookie_info cookie; /* as it came back, when good */
	size_t n; /* half-open SAs of its prefix, suspicious ones twice */
	size_t n_wide;
	bool known; /* and within its share */
	enum ike_load demand;
	enum proof proof;
};

static size_t size_of(const struct crowd *c)
{
	return c ? c->n + c->suspect : 0;
}

static size_t soft_limit(const struct ike *ike)
{
	unsigned n = ike->conf->half_open_prefix;

	return n ? n : SIZE_MAX / (IKE_PREFIX_PUZZLE * IKE_PREFIX_WIDE);
}

/* What its own prefix has earned; a /48 may have IKE_PREFIX_WIDE times as many. */
static enum ike_load price(const struct ike *ike, const struct caller *c)
{
	size_t limit = soft_limit(ike), wide = limit * IKE_PREFIX_WIDE;

	if (ike->conf->puzzle_max &&
	    (c->n >= limit * IKE_PREFIX_PUZZLE || c->n_wide >= wide * IKE_PREFIX_PUZZLE))
		return IKE_LOAD_PUZZLES;
	return c->n >= limit || c->n_wide >= wide ? IKE_LOAD_COOKIES : IKE_LOAD_CALM;
}

static void look(struct ike *ike, struct caller *c)
{
	const struct ip *ip = &c->d->remote.ip;
	struct prefix near = narrow(ip), wide = prefix_of(ip, 48);
	enum ike_load own;

	c->n = size_of(crowd_find(ike, &near));
	c->n_wide = ip->family == 6 ? size_of(crowd_find(ike, &wide)) : 0;
	own = price(ike, c);
	c->demand = ike->admit.level > own ? ike->admit.level : own;
	if (c->demand == IKE_LOAD_CALM)
		return;
	c->known = own < IKE_LOAD_PUZZLES && ike->admit.n_proof[PROOF_KNOWN] < share(ike) &&
		   is_known(ike, ip);
	if (c->demand > ike->admit.level)
		count(ike, C_ADMIT_PREFIX);
}

static bool crowded(const struct ike *ike, const struct caller *c)
{
	return price(ike, c) == IKE_LOAD_PUZZLES;
}

/* N(COOKIE), and a puzzle when that is what it takes. */
static void demand(struct ike *ike, const struct caller *c, uint8_t round)
{
	struct cookie_info ask = { 0 };

	if (c->demand >= IKE_LOAD_PUZZLES && ike->conf->puzzle_max && !c->known) {
		ask.prf = puzzle_prf(ike, c->r.sa);
		/* Section 7.1.1.2: without a common PRF there will be no SA. */
		if (!ask.prf) {
			count(ike, C_NO_PROPOSAL);
			if (stray_allowed(ike))
				init_r_refuse(ike, c->d, c->h, WIRE_N_NO_PROPOSAL_CHOSEN,
					      bytes_of(NULL, 0));
			return;
		}
		ask.round = round;
		ask.bits = asked_bits(ike, crowded(ike, c), round);
	}
	cookie_demand(ike, c->d, c->h, c->r.nonce, &ask);
}

/* Whether one who has a cookie and a puzzle, but no solution, is served all the same (section
 * 7.1): by lot, since not everybody knows puzzles.  A request draws once in IKE_LOT_S seconds
 * however often it is sent, so it is retransmissions that give another chance, not haste. */
static bool lucky(const struct ike *ike, const struct caller *c)
{
	const uint64_t key[2] = { load_be64(ike->cookies.secret[0]),
				  load_be64(ike->cookies.secret[0] + 8) };
	size_t odds = ike->admit.level == IKE_LOAD_FULL ? IKE_LOT_FULL : IKE_LOT_PUZZLES;
	uint8_t draw[16];

	if (crowded(ike, c))
		odds *= IKE_LOT_CROWDED;
	store_be64(draw, c->cookie.tag);
	store_be64(draw + 8, c->cookie.age / IKE_LOT_S);
	return siphash(key, BYTES_OF(draw)) % odds == 0;
}

/* The puzzle that its cookie came with is solved, as hard as we want it now (section 7.1.4). */
static bool solved(struct ike *ike, struct caller *c)
{
	unsigned least = difficulty(ike, false), bits = 0;

	if (c->cookie.age > IKE_PUZZLE_S || is_spent(ike, c->cookie.tag)) {
		count(ike, C_PUZZLE_SPENT);
		return false;
	}
	if (!puzzle_check(ike, c->cookie.prf, c->r.cookie, c->r.solution, &bits) ||
	    bits < c->cookie.bits) {
		count(ike, C_PUZZLE_BAD);
		return false;
	}
	count(ike, C_PUZZLE_SOLVED);
	/* One puzzle that has become too easy meanwhile, or was left to the initiator, may be
	 * followed by another; who solved two is served. */
	return bits + IKE_PUZZLE_SLACK >= least || c->cookie.round > 0;
}

/* Whether it has shown what its puzzle, if it had one, was for; else it is answered or dropped. */
static bool worked(struct ike *ike, struct caller *c)
{
	if (!c->cookie.prf) { /* it was asked for a cookie only */
		demand(ike, c, 0);
		return false;
	}
	if (c->r.solution.n == 0) {
		if (lucky(ike, c)) {
			count(ike, C_ADMIT_LOT);
			return true;
		}
		count(ike, C_PUZZLE_UNSOLVED);
		return false;
	}
	if (solved(ike, c)) {
		c->proof = PROOF_SOLVED;
		return true;
	}
	demand(ike, c, (uint8_t)(c->cookie.round + (c->cookie.round < UINT8_MAX)));
	return false;
}

static bool qualifies(struct ike *ike, struct caller *c)
{
	if (!cookie_good(ike, c->d, c->h, &c->r, &c->cookie)) {
		if (c->r.cookie.n)
			count(ike, C_COOKIE_BAD);
		demand(ike, c, 0);
		return false;
	}
	c->proof = c->known ? PROOF_KNOWN : PROOF_COOKIE;
	if (c->known || c->demand < IKE_LOAD_PUZZLES || !ike->conf->puzzle_max)
		return true;
	return worked(ike, c);
}

/* The caller is where it says: whoever looks for the reason finds one, as often as we can afford.
 */
static void overloaded(struct ike *ike, const struct ike_datagram *d, enum ike_counter why)
{
	count(ike, why);
	if (!stray_allowed(ike))
		return;
	event_emit(ike, IKE_EV_REFUSED,
		   (struct event_about){
			   .local = &d->local, .remote = &d->remote, .reason = IKE_R_OVERLOAD },
		   "IKE_SA_INIT dropped: %zu other callers have not said who they are yet, %zu key "
		   "exchanges are under way",
		   ike->n_half_open, (size_t)ike->n_jobs[CRYPTO_JOB_KE_RESPOND]);
}

/* Whether that crowd would still be the larger one with one less, and one more in the newcomer's.
 * Where nothing was shown the address may be anybody's, and its crowd says nothing. */
static bool larger(const struct ike *ike, const struct crowd *c, enum proof p,
		   const struct ip *from)
{
	struct prefix near = narrow(from);
	const struct crowd *own = crowd_find(ike, &near);

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

	return (known ? ike->n_half_open < max : strangers(ike) < max - share(ike)) &&
	       ike->admit.bytes + bytes <= IKE_HALF_OPEN_BYTES;
}

bool admit_room(struct ike *ike, const struct ike_datagram *d, const struct admission *a,
		size_t bytes)
{
	size_t work = IKE_WORK_FULL + (a->proof == PROOF_KNOWN ? IKE_WORK_KNOWN : 0);

	if (ike->n_jobs[CRYPTO_JOB_KE_RESPOND] >= work) {
		overloaded(ike, d, C_WORK_FULL);
		return false;
	}
	if (has_room(ike, a, bytes) ||
	    (evict(ike, a->proof, &d->remote.ip) && has_room(ike, a, bytes)))
		return true;
	overloaded(ike, d, C_HALF_OPEN_FULL);
	return false;
}

bool admit_request(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   struct admission *ret)
{
	struct caller c = { .d = d, .h = h };

	roll_rates(ike);
	ike->admit.rate.requests++;
	admit_weigh(ike);
	look(ike, &c);
	if (c.demand != IKE_LOAD_CALM) {
		if (!cookie_scan(d, h, &c.r)) {
			count(ike, C_BAD_INIT);
			return false;
		}
		if (!qualifies(ike, &c))
			return false;
	}
	*ret = (struct admission){ .proof = c.proof, .tag = c.cookie.tag, .prf = c.cookie.prf };
	return true;
}

/* ---- what comes after --------------------------------------------------------------------- */

static void failed(struct ike *ike)
{
	roll_rates(ike);
	ike->admit.rate.failures++;
}

void admit_state(struct ike *ike, struct ike_sa *sa)
{
	if (!sa_half_open(sa))
		admit_leave(ike, sa);
	else if (sa->state == SA_FAILED && sa->slot) {
		/* It stays only to say no once more. */
		failed(ike);
		slot_show(ike, sa->slot, PROOF_NONE);
	}
}

dur_t admit_patience(const struct ike *ike, const struct ike_sa *sa)
{
	if (sa->slot && size_of(sa->slot->crowd) >= soft_limit(ike))
		return dur_s(IKE_HALF_OPEN_SUSPECT_S);
	return dur_s(ike->admit.level < IKE_LOAD_PUZZLES ? IKE_HALF_OPEN_S : IKE_HALF_OPEN_LOAD_S);
}

/* Section 7.2: only after a puzzle in IKE_SA_INIT, and only while junk comes in numbers. */
bool admit_auth_puzzle(struct ike *ike, struct ike_sa *sa, struct puzzle_demand *ret)
{
	const struct admit *a = &ike->admit;
	struct slot *s = sa->slot;

	if (!s || s->proof != PROOF_SOLVED || !ike->conf->puzzle_max ||
	    busier(a).failures < IKE_FAILURES_PUZZLE)
		return false;
	s->auth_bits = difficulty(ike, false);
	*ret = (struct puzzle_demand){ .prf = s->prf, .bits = s->auth_bits };
	return true;
}

static void junk(struct ike *ike, struct slot *s)
{
	failed(ike);
	if (s->junk++ == 0)
		s->crowd->suspect++;
	admit_weigh(ike);
}

/* The puzzle of this SA's IKE_AUTH, when it has one, is solved; once is enough (7.2.4). */
static bool auth_solved(struct ike *ike, const struct ike_sa *sa, const struct wire_ike_msg *msg)
{
	uint8_t data[WIRE_MAX_NONCE + 8];
	struct wr w = wr_of(data, sizeof(data));
	struct slot *s = sa->slot;
	unsigned bits = 0;

	if (!s->auth_bits)
		return true;
	wr_put(&w, sa->hs->nonce_r);
	wr_u64(&w, sa->spi_r);
	if (!puzzle_check(ike, s->prf, wr_bytes_of(&w), msg->clear.solution, &bits) ||
	    bits < s->auth_bits) {
		/* It cost as much as a message that fails its integrity check.  Fragments but for
		 * the first have none. */
		if (msg->clear.solution.n)
			junk(ike, s);
		return false;
	}
	s->auth_bits = 0;
	return true;
}

static size_t auth_jobs(const struct ike *ike)
{
	return ike->n_jobs[CRYPTO_JOB_VERIFY] + ike->n_jobs[CRYPTO_JOB_SIGN] +
	       ike->n_jobs[CRYPTO_JOB_PSK_AUTH] + ike->n_jobs[CRYPTO_JOB_PPK];
}

static bool may_check(const struct ike *ike, const struct ike_sa *sa)
{
	int64_t lived = mono_since(ike->now.mono, sa->created).ns;

	return sa->slot->junk < IKE_JUNK_BURST + lived / dur_s(1).ns * IKE_JUNK_PER_S;
}

bool admit_auth(struct ike *ike, struct ike_sa *sa, const struct wire_ike_msg *msg,
		enum ike_counter *ret_why)
{
	size_t jobs;

	if (!sa->slot || sa->state != SA_R_INIT)
		return true;
	jobs = IKE_AUTH_WORK + (sa->slot->proof == PROOF_KNOWN ? IKE_WORK_KNOWN : 0);
	if (auth_jobs(ike) >= jobs)
		*ret_why = C_AUTH_WORK_FULL;
	else if (!may_check(ike, sa))
		*ret_why = C_JUNK_LIMITED;
	else if (!auth_solved(ike, sa, msg))
		*ret_why = C_AUTH_UNSOLVED;
	else
		return true;
	return false;
}

void admit_junk(struct ike *ike, struct ike_sa *sa)
{
	if (sa->slot && sa->state == SA_R_INIT)
		junk(ike, sa->slot);
}

void admit_proven(struct ike *ike, struct ike_sa *sa)
{
	if (sa->slot && sa->slot->proof < PROOF_SOLVED)
		slot_show(ike, sa->slot, PROOF_SOLVED);
}

/* ---- life --------------------------------------------------------------------------------- */

void admit_init(struct ike *ike, const uint64_t key[2])
{
	map_init(&ike->admit.crowds, ike->mem, key);
	for (size_t p = 0; p < PROOFS; p++)
		for (size_t n = 0; n < CROWD_SIZES; n++)
			list_init(&ike->admit.by_size[p][n]);
	ike->admit.timer.kind = TIMER_LOAD;
	ike->admit.second = ike->now.mono;
}

void admit_done(struct ike *ike)
{
	map_done(&ike->admit.crowds);
	mem_free(ike->mem, ike->admit.known);
}

struct ike_load_info ike_load(const struct ike *ike)
{
	const struct crowd *c = worst(ike);
	struct ike_load_info info = {
		.level = ike->admit.level > base_level(ike) ? ike->admit.level : base_level(ike),
		.half_open = ike->n_half_open,
		.half_open_max = ike->conf->half_open_max,
		.known = ike->admit.n_proof[PROOF_KNOWN],
		.solved = ike->admit.n_proof[PROOF_SOLVED],
		.prefixes = ike->admit.crowds.count,
		.bytes = ike->admit.bytes,
		.key_exchanges = ike->n_jobs[CRYPTO_JOB_KE_RESPOND],
		.verifications = auth_jobs(ike),
		.puzzle_bits = ike->admit.level >= IKE_LOAD_PUZZLES ? difficulty(ike, false) : 0,
	};

	if (c) {
		info.worst = c->prefix;
		info.worst_half_open = c->n;
	}
	return info;
}
