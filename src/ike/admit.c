/*
 * admit.c - who gets a half-open SA when many want one (RFC 8019 sections 4 to 7).
 *
 * How much is demanded of a newcomer is the greater of two: the engine's level, which follows from
 * half-open SAs, key exchanges outstanding, requests and failures in the last second, and what its
 * own address has earned (soft limits, section 4.2: they raise the price and lock nobody out).
 * load.c has the levels and what each asks for, crowd.c the half-open SAs and who makes way.
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

bool admit_knows(const struct ike *ike, const struct ip *ip)
{
	struct peer *p[1];

	return peers_at(ike, ip, p, 1) > 0 || seen_lately(ike, ip);
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

/* ---- the decision ------------------------------------------------------------------------- */

struct caller {
	const struct ike_datagram *d;
	const struct wire_hdr *h;
	struct init_request r;
	struct cookie_info cookie; /* as it came back, when good */
	size_t n; /* half-open SAs of its prefix, suspicious ones twice */
	size_t n_wide;
	bool proven; /* it shows that it is of somebody we know */
	bool known; /* and within its share */
	enum ike_load demand;
	enum proof proof;
};

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
	enum ike_load own;

	c->n = crowd_size(crowd_of(ike, ip));
	c->n_wide = crowd_size(crowd_wide_of(ike, ip));
	own = price(ike, c);
	c->demand = ike->admit.level > own ? ike->admit.level : own;
	if (c->demand == IKE_LOAD_CALM)
		return;
	c->known = own < IKE_LOAD_PUZZLES &&
		   ike->admit.n_proof[PROOF_KNOWN] < slots_for_known(ike) &&
		   (c->proven || admit_knows(ike, ip));
	if (c->demand > ike->admit.level)
		count(ike, C_ADMIT_PREFIX);
}

static bool crowded(const struct ike *ike, const struct caller *c)
{
	return price(ike, c) == IKE_LOAD_PUZZLES;
}

/* Section 7.1.1.1 recommends to leave it to the initiator how much it can afford unless the volume
 * is very high; what it then affords may still be too little for us. */
static uint8_t asked_bits(const struct ike *ike, bool crowded, uint8_t round)
{
	bool heavy = ike->admit.level == IKE_LOAD_FULL ||
		     slots_of_strangers(ike) * 2 >= ike->conf->half_open_max;

	return crowded || heavy || round ? load_puzzle_bits(ike, crowded) : 0;
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
	unsigned least = load_puzzle_bits(ike, false), bits = 0;

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

bool admit_request(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   bool known, struct admission *ret)
{
	struct caller c = { .d = d, .h = h, .proven = known };

	load_request(ike);
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

/* ---- room --------------------------------------------------------------------------------- */

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

bool admit_room(struct ike *ike, const struct ike_datagram *d, const struct admission *a,
		size_t bytes)
{
	size_t work = IKE_WORK_FULL + (a->proof == PROOF_KNOWN ? IKE_WORK_KNOWN : 0);

	if (ike->n_jobs[CRYPTO_JOB_KE_RESPOND] >= work) {
		overloaded(ike, d, C_WORK_FULL);
		return false;
	}
	if (slot_room(ike, a, bytes, &d->remote.ip))
		return true;
	overloaded(ike, d, C_HALF_OPEN_FULL);
	return false;
}

enum status admit_enter(struct ike *ike, struct ike_sa *sa, const struct admission *a, size_t bytes)
{
	enum status st = slot_enter(ike, sa, a, bytes);

	if (st)
		return st;
	if (a->proof == PROOF_SOLVED)
		spend(ike, a->tag);
	load_weigh(ike);
	return ST_OK;
}

/* ---- what comes after --------------------------------------------------------------------- */

void admit_state(struct ike *ike, struct ike_sa *sa)
{
	if (!sa_half_open(sa))
		slot_leave(ike, sa);
	else if (sa->state == SA_FAILED && sa->slot) {
		/* It stays only to say no once more. */
		load_failed(ike);
		slot_show(ike, sa->slot, PROOF_NONE);
	}
}

dur_t admit_patience(const struct ike *ike, const struct ike_sa *sa)
{
	if (sa->slot && crowd_size(sa->slot->crowd) >= soft_limit(ike))
		return dur_s(IKE_HALF_OPEN_SUSPECT_S);
	return dur_s(ike->admit.level < IKE_LOAD_PUZZLES ? IKE_HALF_OPEN_S : IKE_HALF_OPEN_LOAD_S);
}

/* Section 7.2: only after a puzzle in IKE_SA_INIT, and only while junk comes in numbers. */
bool admit_auth_puzzle(struct ike *ike, struct ike_sa *sa, struct puzzle_demand *ret)
{
	struct slot *s = sa->slot;

	if (!s || s->proof != PROOF_SOLVED || !ike->conf->puzzle_max ||
	    load_failures(ike) < IKE_FAILURES_PUZZLE)
		return false;
	s->auth_bits = load_puzzle_bits(ike, false);
	*ret = (struct puzzle_demand){ .prf = s->prf, .bits = s->auth_bits };
	return true;
}

static void junk(struct ike *ike, struct slot *s)
{
	load_failed(ike);
	if (s->junk++ == 0)
		s->crowd->suspect++;
	load_weigh(ike);
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
	if (load_auth_jobs(ike) >= jobs)
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
	crowds_init(ike, key);
	load_init(ike);
}

void admit_done(struct ike *ike)
{
	crowds_done(ike);
	mem_free(ike->mem, ike->admit.known);
}
