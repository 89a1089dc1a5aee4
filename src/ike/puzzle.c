/*
 * puzzle.c - client puzzles (RFC 8019 section 7).
 *
 *	IKE_SA_INIT	find four keys so that prf(key, cookie) ends with zero bits (7.1.3)
 *	IKE_AUTH	the same for prf(key, Nr | SPIr) (7.2.3)
 *
 * Who asks is not authenticated, so a solver keeps its costs bounded: difficulty by configuration,
 * the search in slices that are jobs, the number of puzzles by IKE_MAX_INIT_ROUNDS, and it goes on
 * listening for somebody's better answer meanwhile.
 */
#include "ike/internal.h"

/* ---- the responder ------------------------------------------------------------------------ */

/* The PRF that a transform names, as a bit; 0: it is none, or one that we cannot know. */
static uint32_t prf_bit(struct cur *transforms)
{
	struct cur t;
	uint16_t len, id;
	uint8_t type;

	cur_u16(transforms);
	len = cur_u16(transforms);
	t = cur_sub(transforms, (size_t)len - 4);
	type = cur_u8(&t);
	cur_u8(&t);
	id = cur_u16(&t);
	return !t.err && type == WIRE_T_PRF && id < 32 ? 1u << id : 0;
}

/* Bit per PRF that some transform of an SA payload's body names.  Nothing is allocated; a length
 * that lies ends the walk. */
static uint32_t prfs_offered(struct bytes sa)
{
	struct cur c = cur_of(sa);
	uint32_t offered = 0;

	while (!c.err && cur_left(&c)) {
		struct cur p;
		uint16_t len;

		cur_u16(&c);
		len = cur_u16(&c);
		p = cur_sub(&c, (size_t)len - 4);
		cur_u16(&p);
		cur_take(&p, cur_u16(&p) >> 8); /* the SPI; its length is the first of two bytes */
		while (!p.err && cur_left(&p))
			offered |= prf_bit(&p);
	}
	return offered;
}

/* The first of its PRFs that is among `mask`, or 0. */
static uint16_t prf_among(const struct wire_sa *sa, uint32_t mask)
{
	for (size_t i = 0; i < sa->n; i++)
		for (size_t k = 0; k < sa->proposals[i].n_transforms; k++) {
			const struct wire_transform *t = &sa->proposals[i].transforms[k];

			if (t->type == WIRE_T_PRF && t->id < 32 && mask & 1u << t->id)
				return t->id;
		}
	return 0;
}

uint16_t puzzle_prf(const struct ike *ike, struct bytes sa)
{
	uint32_t offered = prfs_offered(sa);
	uint16_t prf = 0;

	for (size_t i = 0; i < ike->offers.n && !prf; i++)
		prf = prf_among(ike->offers.v[i].ike, offered);
	return prf;
}

static bool distinct(struct bytes keys, size_t len)
{
	for (size_t i = 1; i < CRYPTO_PUZZLE_KEYS; i++)
		for (size_t k = 0; k < i; k++)
			if (memcmp(keys.p + i * len, keys.p + k * len, len) == 0)
				return false;
	return true;
}

bool puzzle_check(const struct ike *ike, uint16_t prf, struct bytes data, struct bytes keys,
		  unsigned *ret_bits)
{
	size_t len = keys.n / CRYPTO_PUZZLE_KEYS;
	unsigned least = UINT8_MAX;

	/* Section 8.2: all of one size, at most the PRF's preferred key length. */
	if (keys.n == 0 || keys.n % CRYPTO_PUZZLE_KEYS || len > crypto_prf_len(prf) ||
	    !distinct(keys, len))
		return false;
	for (size_t i = 0; i < CRYPTO_PUZZLE_KEYS; i++) {
		unsigned bits;

		if (crypto_puzzle_zeros(&ike->crypto, prf, bytes_of(keys.p + i * len, len), data,
					&bits))
			return false;
		least = bits < least ? bits : least;
	}
	*ret_bits = least;
	return true;
}

/* ---- the initiator ------------------------------------------------------------------------ */

bool puzzle_read(const struct wire_payloads *p, struct puzzle_demand *ret)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_PUZZLE);

	if (!n)
		return false;
	/* The parser saw that there are three bytes. */
	*ret = (struct puzzle_demand){ .prf = load_be16(n->data.p), .bits = n->data.p[2] };
	return true;
}

bool puzzle_willing(const struct ike *ike, const struct ike_sa *sa, const struct puzzle_demand *p)
{
	return ike->conf->puzzle_solve && p->bits <= ike->conf->puzzle_solve && p->prf < 32 &&
	       prf_among(&sa->peer->conf->ike, 1u << p->prf);
}

/* A difficulty of zero leaves it to us how much we want to be served (section 7.1.1.1). */
static uint8_t goal(const struct ike *ike, uint8_t bits)
{
	unsigned most = ike->conf->puzzle_solve;

	if (bits)
		return bits;
	return (uint8_t)(most < IKE_PUZZLE_FREE_BITS ? most : IKE_PUZZLE_FREE_BITS);
}

size_t puzzle_beside(const struct ike_sa *sa, uint8_t exchange, bool response)
{
	bool solved = exchange == WIRE_IKE_AUTH && !response && sa->hs && sa->hs->solution.n;

	return solved ? WIRE_PAYLOAD_HDR_LEN + sa->hs->solution.n : 0;
}

void puzzle_put(const struct ike_sa *sa, uint8_t exchange, bool response, struct wire_out *o)
{
	if (puzzle_beside(sa, exchange, response))
		wire_put_solution(o, bytes_of(sa->hs->solution.keys, sa->hs->solution.n));
}

struct search {
	puzzle_done_fn *done;
	uint16_t prf;
	uint8_t bits;
	uint8_t n;
	uint32_t next;
	uint32_t end;
	struct bytes data;
	uint8_t keys[CRYPTO_PUZZLE_KEYS * CRYPTO_PUZZLE_KEY_LEN];
};

static void sliced(struct ike *ike, struct attempt *at, const struct crypto_result *r);

static enum status slice(struct ike *ike, struct attempt *at)
{
	struct search *s = at->locals;
	struct crypto_job *job;
	enum status st = crypto_job_new(ike->mem, CRYPTO_JOB_PUZZLE, &job);

	if (st)
		return st;
	job->in.puzzle.prf = s->prf;
	job->in.puzzle.bits = s->bits;
	job->in.puzzle.want = (uint8_t)(CRYPTO_PUZZLE_KEYS - s->n);
	job->in.puzzle.from = s->next;
	job->in.puzzle.tries = IKE_PUZZLE_SLICE;
	st = crypto_job_dup(job, s->data, &job->in.puzzle.data);
	if (st) {
		crypto_job_free(job);
		return st;
	}
	return attempt_job(ike, at, job, sliced);
}

static void found(struct search *s, const struct crypto_puzzle_out *r)
{
	for (size_t i = 0; i < r->n && s->n < CRYPTO_PUZZLE_KEYS; i++) {
		store_be32(s->keys + (size_t)s->n * CRYPTO_PUZZLE_KEY_LEN, r->keys[i]);
		s->n++;
	}
	s->next += r->tried;
}

static void sliced(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct search *s = at->locals;

	if (r->status) {
		count(ike, C_JOB_FAILED);
		s->done(ike, at, bytes_of(NULL, 0));
		return;
	}
	found(s, &r->puzzle);
	if (s->n == CRYPTO_PUZZLE_KEYS)
		s->done(ike, at, BYTES_OF(s->keys));
	else if (s->next >= s->end || slice(ike, at))
		s->done(ike, at, bytes_of(NULL, 0));
}

enum status puzzle_solve(struct ike *ike, struct attempt *at, const struct puzzle_demand *p,
			 struct bytes data, puzzle_done_fn *done)
{
	struct search *s = arena_new(&at->mem, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	*s = (struct search){ .done = done, .prf = p->prf, .bits = goal(ike, p->bits) };
	/* Four keys take 4 * 2^bits tries on average; that eight times as many do not do is less
	 * likely than one in 10^8. */
	s->end = 32u << (s->bits < IKE_PUZZLE_MAX_BITS ? s->bits : IKE_PUZZLE_MAX_BITS);
	if (arena_dup(&at->mem, data, &s->data))
		return ST_NOMEM;
	at->locals = s;
	return slice(ike, at);
}
