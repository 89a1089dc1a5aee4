/* P6, S2: many callers at once (RFC 8019): levels and how they fall, limits of a prefix, who makes
 * way for whom, known peers, puzzles in both roles and in both exchanges, junk IKE_AUTH, work.
 *
 * The harness's configuration: cookies from 16 half-open SAs, puzzles from 32, 64 at most and 48 of
 * them for strangers; 8 of one address until it has to return a cookie. */
#include "exchange/exchange.h"
#include "ike/limits.h"

enum {
	CALLERS = 96,
	COOKIES = 16,
	PUZZLES = 32,
	STRANGERS = 48,
	PREFIX = 8,
};

static struct script crowd[CALLERS];
static size_t n_callers;

static struct script *caller_at(struct pair *p, const char *from)
{
	struct script *s = &crowd[n_callers++];

	assert_true(n_callers <= CALLERS);
	script_init(s, p->w, from, p->b, true);
	s->self.port = (uint16_t)(500 + n_callers);
	return s;
}

/* From an address of its own. */
static struct script *caller(struct pair *p)
{
	char from[32];

	snprintf(from, sizeof(from), "198.51.100.%zu", n_callers + 1);
	return caller_at(p, from);
}

static int setup_crowd(void **state)
{
	n_callers = 0;
	return setup_pair(state);
}

static int teardown_crowd(void **state)
{
	for (size_t i = 0; i < n_callers; i++)
		script_done(&crowd[i]);
	return teardown_pair(state);
}

static enum ike_load level(const struct pair *p)
{
	return ike_load(p->b->ike).level;
}

/* The answer to the request: keys, or what notify; 0: none. */
static uint16_t ask(struct script *s)
{
	script_sa_init(s);
	if (!script_exchange(s))
		return 0;
	if (s->keyed)
		return WIRE_P_SA;
	return script_notify(s, WIRE_N_PUZZLE) ? WIRE_N_PUZZLE : WIRE_N_COOKIE;
}

static struct bytes cookie_of(const struct script *s)
{
	assert_non_null(script_notify(s, WIRE_N_COOKIE));
	return script_notify(s, WIRE_N_COOKIE)->data;
}

/* Takes the cookie of the answer along. */
static void take_cookie(struct script *s)
{
	s->solution = bytes_of(NULL, 0);
	assert_int_equal(arena_dup(&s->mem, cookie_of(s), &s->cookie), ST_OK);
}

static struct puzzle_ask {
	uint16_t prf;
	uint8_t bits;
} puzzle_of(const struct script *s)
{
	const struct wire_notify *n = script_notify(s, WIRE_N_PUZZLE);

	assert_non_null(n);
	return (struct puzzle_ask){ load_be16(n->data.p), n->data.p[2] };
}

/* Four keys with at least so many zero bits. */
static void solve(struct script *s, struct bytes data, uint8_t bits)
{
	struct crypto_puzzle_in in = {
		.prf = puzzle_of(s).prf, .bits = bits, .want = 4, .tries = UINT32_MAX, .data = data
	};
	struct crypto_puzzle_out out;
	uint8_t keys[16];

	assert_int_equal(crypto_puzzle_solve(&s->crypto, &in, &out), ST_OK);
	for (int i = 0; i < 4; i++)
		store_be32(keys + 4 * i, out.keys[i]);
	assert_int_equal(arena_dup(&s->mem, BYTES_OF(keys), &s->solution), ST_OK);
}

static void take_puzzle(struct script *s, uint8_t bits)
{
	take_cookie(s);
	solve(s, s->cookie, bits);
}

/* One more half-open SA, whatever it takes. */
static void enter(struct script *s)
{
	uint16_t answer = ask(s);

	for (int i = 0; i < 3 && answer != WIRE_P_SA; i++) {
		if (answer == WIRE_N_PUZZLE)
			take_puzzle(s, puzzle_of(s).bits ? puzzle_of(s).bits : 9);
		else
			take_cookie(s);
		answer = ask(s);
	}
	assert_int_equal(answer, WIRE_P_SA);
}

static void enter_many(struct pair *p, size_t until)
{
	while (ike_totals(p->b->ike).half_open < until)
		enter(caller(p));
}

/* ---- levels -------------------------------------------------------------------------------- */

static void levels_rise_and_fall(void **state)
{
	struct pair *p = *state;

	pair_start_b(p);
	enter_many(p, COOKIES - 1);
	assert_int_equal(level(p), IKE_LOAD_CALM);
	assert_int_equal(node_events(p->b, IKE_EV_LOAD), 0);
	enter_many(p, COOKIES);
	assert_int_equal(level(p), IKE_LOAD_COOKIES);
	says(p->b, IKE_EV_LOAD, "load was calm and is cookies now: 16 half-open IKE SAs");
	says(p->b, IKE_EV_LOAD, "newcomers have to return a cookie");
	assert_int_equal(node_counter(p->b, "ike.cookie.sent"), 0);
	enter_many(p, PUZZLES);
	assert_int_equal(level(p), IKE_LOAD_PUZZLES);
	says(p->b, IKE_EV_LOAD, "raise half_open_puzzle");
	assert_int_equal(node_counter(p->b, "ike.cookie.sent"), PUZZLES - COOKIES);
	assert_int_equal(node_counter(p->b, "ike.puzzle.sent"), 0);
	enter_many(p, STRANGERS);
	assert_int_equal(level(p), IKE_LOAD_FULL);
	assert_int_equal(node_counter(p->b, "ike.puzzle.solved"), STRANGERS - PUZZLES);
	assert_int_equal(node_counter(p->b, "ike.load.raised"), 3);
	assert_int_equal(ike_load(p->b->ike).solved, STRANGERS - PUZZLES);
	assert_int_equal(ike_load(p->b->ike).prefixes, STRANGERS);
	/* All is forgotten after half a minute, and the level falls step by step. */
	world_advance(p->w, dur_s(31));
	assert_int_equal(ike_totals(p->b->ike).half_open, 0);
	assert_true(level(p) > IKE_LOAD_CALM);
	world_advance(p->w, dur_s(3 * (IKE_LOAD_CALM_S + 1)));
	assert_int_equal(level(p), IKE_LOAD_CALM);
	assert_int_equal(node_counter(p->b, "ike.load.lowered"), 3);
	assert_int_equal(node_events(p->b, IKE_EV_LOAD), 6);
	says(p->b, IKE_EV_LOAD, "nothing is demanded any more");
	assert_int_equal(ike_load(p->b->ike).prefixes, 0);
	assert_int_equal(ike_load(p->b->ike).bytes, 0);
	/* Nobody waits for anything now. */
	assert_int_equal(node_deadline_ms(p->b), -1);
}

/* It does not fall while more than half of what raised it is there. */
static void hysteresis(void **state)
{
	struct pair *p = *state;

	pair_start_b(p);
	enter_many(p, 7);
	world_advance(p->w, dur_s(10));
	enter_many(p, COOKIES);
	assert_int_equal(level(p), IKE_LOAD_COOKIES);
	world_advance(p->w, dur_s(25)); /* the first 7 are gone */
	assert_int_equal(ike_totals(p->b->ike).half_open, 9);
	assert_int_equal(level(p), IKE_LOAD_COOKIES);
	assert_int_equal(ask(caller(p)), WIRE_N_COOKIE);
	world_advance(p->w, dur_s(6)); /* the others as well */
	assert_int_equal(ike_totals(p->b->ike).half_open, 0);
	assert_int_equal(level(p), IKE_LOAD_COOKIES);
	world_advance(p->w, dur_s(IKE_LOAD_CALM_S));
	assert_int_equal(level(p), IKE_LOAD_CALM);
	assert_int_equal(ask(caller(p)), WIRE_P_SA);
	assert_int_equal(node_events(p->b, IKE_EV_LOAD), 2);
}

static void requests_alone_raise_it(void **state)
{
	struct pair *p = *state;

	p->cb->conf.init_rate_cookie = 4;
	pair_start_b(p);
	enter_many(p, 3);
	assert_int_equal(level(p), IKE_LOAD_CALM);
	world_advance(p->w, dur_s(2));
	enter_many(p, 6);
	assert_int_equal(level(p), IKE_LOAD_CALM);
	assert_int_equal(ask(caller(p)), WIRE_N_COOKIE);
	says(p->b, IKE_EV_LOAD, "4 requests");
	world_advance(p->w, dur_s(5));
	assert_int_equal(level(p), IKE_LOAD_CALM);
}

/* The queue of the pool is a bound of its own. */
static void key_exchanges_raise_it(void **state)
{
	struct pair *p = *state;

	p->cb->conf.half_open_cookie = p->cb->conf.half_open_puzzle = 1000;
	p->cb->conf.half_open_max = 2000;
	pair_start_b(p);
	p->b->hold = HOLD_JOBS;
	for (unsigned i = 0; i < IKE_WORK_COOKIE; i++)
		assert_int_equal(ask(caller(p)), 0);
	assert_int_equal(level(p), IKE_LOAD_COOKIES);
	assert_int_equal(ike_load(p->b->ike).key_exchanges, IKE_WORK_COOKIE);
	assert_int_equal(ask(caller(p)), WIRE_N_COOKIE);
	node_release(p->b);
	assert_int_equal(ike_load(p->b->ike).key_exchanges, 0);
	world_drop_all(p->w);
	world_advance(p->w, dur_s(5));
	assert_int_equal(level(p), IKE_LOAD_CALM);
}

/* ---- prefixes ------------------------------------------------------------------------------ */

/* One address has to pay, others do not. */
static void one_address_pays(void **state)
{
	struct pair *p = *state;
	struct ike_load_info load;
	struct script *s;

	p->cb->conf.half_open_cookie = p->cb->conf.half_open_puzzle = 1000;
	p->cb->conf.half_open_max = 2000;
	pair_start_b(p);
	for (unsigned i = 0; i < PREFIX; i++)
		assert_int_equal(ask(caller_at(p, "198.51.100.200")), WIRE_P_SA);
	for (unsigned i = PREFIX; i < PREFIX * IKE_PREFIX_PUZZLE; i++) {
		s = caller_at(p, "198.51.100.200");
		assert_int_equal(ask(s), WIRE_N_COOKIE);
		take_cookie(s);
		assert_int_equal(ask(s), WIRE_P_SA);
	}
	s = caller_at(p, "198.51.100.200");
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	assert_true(puzzle_of(s).bits >= IKE_PUZZLE_MIN_BITS); /* never left to it */
	take_puzzle(s, puzzle_of(s).bits);
	assert_int_equal(ask(s), WIRE_P_SA);
	/* Its neighbours notice nothing. */
	assert_int_equal(ask(caller_at(p, "198.51.100.201")), WIRE_P_SA);
	assert_int_equal(level(p), IKE_LOAD_CALM);
	load = ike_load(p->b->ike);
	assert_true(ip_eq(&load.worst.ip, &s->self.ip));
	assert_int_equal(load.worst_half_open, PREFIX * IKE_PREFIX_PUZZLE + 1);
	/* The suspicious ones wait for a shorter time, and then it is like any other. */
	world_advance(p->w, dur_s(31));
	assert_int_equal(ask(caller_at(p, "198.51.100.200")), WIRE_P_SA);
	assert_true(node_counter(p->b, "ike.admit.prefix") > 0);
}

/* RFC 8019 section 4.2: an IPv6 node has a /64; who has a /48 pays as well, later. */
static void ipv6_by_prefix(void **state)
{
	struct pair *p = *state;
	char from[64];

	p->cb->conf.half_open_cookie = p->cb->conf.half_open_puzzle = 1000;
	p->cb->conf.half_open_max = 2000;
	pair_start_b(p);
	for (unsigned i = 0; i < PREFIX; i++) {
		snprintf(from, sizeof(from), "2001:db8:1:1::%u", i + 1);
		assert_int_equal(ask(caller_at(p, from)), WIRE_P_SA);
	}
	assert_int_equal(ask(caller_at(p, "2001:db8:1:1:ffff::1")), WIRE_N_COOKIE);
	for (unsigned i = PREFIX; i < PREFIX * IKE_PREFIX_WIDE; i++) {
		snprintf(from, sizeof(from), "2001:db8:1:%x::1", i + 1);
		assert_int_equal(ask(caller_at(p, from)), WIRE_P_SA);
	}
	assert_int_equal(ask(caller_at(p, "2001:db8:1:ffff::1")), WIRE_N_COOKIE);
	assert_int_equal(ask(caller_at(p, "2001:db8:2:1::1")), WIRE_P_SA);
	world_advance(p->w, dur_s(31));
	assert_int_equal(ike_load(p->b->ike).prefixes, 0);
	assert_int_equal(ask(caller_at(p, "2001:db8:1:1::1")), WIRE_P_SA);
}

/* ---- who makes way ------------------------------------------------------------------------- */

static bool is_there(const struct pair *p, const struct script *s)
{
	struct node_sa sas[CALLERS];
	size_t n = node_sas(p->b, sas, CALLERS);

	for (size_t i = 0; i < n; i++)
		if (endpoint_eq(&sas[i].info.remote, &s->self))
			return true;
	return false;
}

/* Cookies take the place of who has none: the oldest in the largest crowd. */
static void eviction_order(void **state)
{
	struct pair *p = *state;
	struct script *first, *big[3], *late;

	p->cb->conf.half_open_cookie = 1000;
	p->cb->conf.puzzle_max = 0;
	p->cb->conf.half_open_max = 8; /* six for strangers */
	pair_start_b(p);
	first = caller(p);
	assert_int_equal(ask(first), WIRE_P_SA);
	for (int i = 0; i < 3; i++) {
		big[i] = caller_at(p, "203.0.113.7");
		assert_int_equal(ask(big[i]), WIRE_P_SA);
	}
	assert_int_equal(ask(caller(p)), WIRE_P_SA);
	assert_int_equal(ask(caller(p)), WIRE_P_SA);
	assert_int_equal(level(p), IKE_LOAD_FULL);
	for (int i = 0; i < 3; i++) {
		late = caller(p);
		assert_int_equal(ask(late), WIRE_N_COOKIE);
		take_cookie(late);
		assert_int_equal(ask(late), WIRE_P_SA);
		/* big[0], then big[1], then all crowds are of one */
		assert_int_equal(is_there(p, big[0]), false);
		assert_int_equal(is_there(p, big[1]), i < 1);
		assert_int_equal(is_there(p, first), i < 2 || !is_there(p, big[2]));
	}
	for (int i = 0; i < 3; i++)
		enter(caller(p));
	/* Nobody is left who has shown less. */
	late = caller(p);
	assert_int_equal(ask(late), WIRE_N_COOKIE);
	take_cookie(late);
	assert_int_equal(ask(late), 0);
	because(p->b, IKE_EV_REFUSED, IKE_R_OVERLOAD);
	assert_int_equal(node_counter(p->b, "ike.admit.evicted"), 6);
	assert_int_equal(node_counter(p->b, "ike.rx.half_open_full"), 1);
	assert_int_equal(ike_totals(p->b->ike).half_open, 6);
}

/* One address that takes all there is, having shown as much as anybody, keeps nobody else out, and
 * gains nothing by coming again. */
static void no_address_takes_all(void **state)
{
	struct pair *p = *state;
	struct script *big[6], *late;

	p->cb->conf.half_open_cookie = 0;
	p->cb->conf.puzzle_max = 0;
	p->cb->conf.half_open_max = 8;
	pair_start_b(p);
	for (int i = 0; i < 6; i++)
		enter(big[i] = caller_at(p, "203.0.113.7"));
	assert_int_equal(level(p), IKE_LOAD_FULL);
	for (int i = 0; i < 5; i++) {
		late = caller_at(p, "203.0.113.7");
		assert_int_equal(ask(late), WIRE_N_COOKIE);
		take_cookie(late);
		assert_int_equal(ask(late), 0);
		enter(caller(p));
		assert_false(is_there(p, big[i]));
	}
	assert_true(is_there(p, big[5]));
	late = caller(p);
	assert_int_equal(ask(late), WIRE_N_COOKIE);
	take_cookie(late);
	assert_int_equal(ask(late), 0);
	assert_int_equal(node_counter(p->b, "ike.admit.evicted"), 5);
}

/* ---- known peers --------------------------------------------------------------------------- */

/* A configured address needs a cookie and no puzzle, and there is room for it. */
static void configured_peer_needs_a_cookie_only(void **state)
{
	struct pair *p = *state;

	pair_start(p);
	enter_many(p, STRANGERS);
	assert_int_equal(level(p), IKE_LOAD_FULL);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(p->w, WIRE_N_COOKIE);
	assert_false(packet_notifies(p->w, world_packet(p->w, 0), WIRE_N_PUZZLE));
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_int_equal(ike_load(p->b->ike).known, 1);
	assert_int_equal(ike_totals(p->b->ike).half_open, STRANGERS + 1);
	world_run(p->w);
	assert_int_equal(node_counter(p->b, "ike.sa.established"), 1);
	assert_int_equal(node_counter(p->b, "ike.admit.evicted"), 0);
}

/* So does the address of one who was up, wherever it came from; its share is bounded. */
static void who_was_up_is_known(void **state)
{
	struct pair *p = *state;

	test_conf_addresses(p->cb, p->pb, "");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
	connect_down(p->a);
	world_run(p->w);
	enter_many(p, PUZZLES);
	assert_int_equal(level(p), IKE_LOAD_PUZZLES);
	connect(p->a);
	world_run(p->w);
	assert_int_equal(node_counter(p->b, "ike.sa.established"), 2);
	assert_int_equal(node_counter(p->b, "ike.puzzle.sent"), 0);
	/* Somebody behind its NAT makes many: that address is known no more. */
	for (unsigned i = 0; i < STRANGERS; i++) {
		struct script *s = &crowd[CALLERS - 1];
		uint16_t answer;

		script_init(s, p->w, "192.0.2.1", p->b, true);
		s->self.port = (uint16_t)(2000 + i);
		p->a->unplugged = true;
		script_sa_init(s);
		world_deliver(p->w, world_packet(p->w, 0));
		answer = script_take(s) && script_notify(s, WIRE_N_PUZZLE) ? WIRE_N_PUZZLE : 0;
		if (answer == 0 && s->in.present == WIRE_BIT(WIRE_P_NOTIFY)) {
			take_cookie(s);
			script_sa_init(s);
			world_deliver(p->w, world_packet(p->w, 0));
		}
		world_drop_all(p->w);
		script_done(s);
		if (answer == WIRE_N_PUZZLE)
			break;
	}
	assert_true(node_counter(p->b, "ike.puzzle.sent") > 0);
	assert_in_range(ike_load(p->b->ike).known, 1, 64 / IKE_KNOWN_SHARE);
}

/* ---- puzzles, the responder ---------------------------------------------------------------- */

/* Until puzzles are asked for. */
static void until_puzzles(struct pair *p)
{
	pair_start_b(p);
	enter_many(p, PUZZLES);
	assert_int_equal(level(p), IKE_LOAD_PUZZLES);
}

static void bad_solutions(void **state)
{
	struct pair *p = *state;
	uint8_t keys[16];
	struct script *s;
	uint64_t bad = 0;

	until_puzzles(p);
	s = caller(p);
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	for (int i = 0; i < 4; i++) {
		take_puzzle(s, puzzle_of(s).bits);
		memcpy(keys, s->solution.p, sizeof(keys));
		switch (i) {
		case 0: keys[0] ^= 0x80; break; /* another key, with next to no zero bits */
		case 1: memcpy(keys + 4, keys, 4); break; /* one twice */
		case 2: break;
		case 3: memset(keys, 0, sizeof(keys)); break; /* one four times */
		}
		/* Half of it: keys of two bytes. */
		s->solution = bytes_of(keys, i == 2 ? 8 : 16);
		assert_int_equal(ask(s), WIRE_N_PUZZLE);
		assert_int_equal(node_counter(p->b, "ike.puzzle.bad"), ++bad);
		assert_false(is_there(p, s));
	}
	/* Keys longer than the PRF's. */
	{
		static uint8_t longest[4 * (CRYPTO_PRF_MAX + 1)];

		take_cookie(s);
		for (size_t i = 0; i < sizeof(longest); i++)
			longest[i] = (uint8_t)(i * 7);
		s->solution = BYTES_OF(longest);
		assert_int_equal(ask(s), WIRE_N_PUZZLE);
		assert_int_equal(node_counter(p->b, "ike.puzzle.bad"), ++bad);
	}
	/* After all that a good one is still good. */
	take_puzzle(s, puzzle_of(s).bits);
	assert_int_equal(ask(s), WIRE_P_SA);
}

/* A solution is for one address, port, SPI and nonce, once, and for a minute. */
static void solutions_are_not_for_others(void **state)
{
	struct pair *p = *state;
	struct packet *good, *other;
	struct script *s;

	until_puzzles(p);
	s = caller(p);
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	take_puzzle(s, puzzle_of(s).bits);
	script_sa_init(s);
	good = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	for (int i = 0; i < 2; i++) {
		other = packet_keep(good);
		if (i)
			other->src.ip = test_ip("198.51.100.250");
		else
			other->src.port++;
		world_hand_over(p->w, other);
		packet_free(other);
		world_drop_all(p->w);
		assert_int_equal(node_counter(p->b, "ike.cookie.bad"), (uint64_t)i + 1);
	}
	assert_false(is_there(p, s));
	world_hand_over(p->w, good);
	world_drop_all(p->w);
	assert_true(is_there(p, s));
	assert_int_equal(node_counter(p->b, "ike.puzzle.solved"), 1);
	/* A retransmission finds its SA; when that is gone the solution is of no use. */
	world_hand_over(p->w, good);
	world_drop_all(p->w);
	assert_int_equal(node_counter(p->b, "ike.puzzle.solved"), 1);
	world_advance(p->w, dur_s(IKE_HALF_OPEN_LOAD_S + 1));
	assert_false(is_there(p, s));
	enter_many(p, PUZZLES);
	world_hand_over(p->w, good);
	assert_false(is_there(p, s));
	assert_int_equal(node_counter(p->b, "ike.puzzle.spent"), 1);
	world_drop_all(p->w);
	packet_free(good);
}

/* The end of a cookie is there to be read, and cookies cost nothing: two whose ends share as many
 * bits as any table of used ones may go by.  Each is good once, in whatever order they come. */
static void solutions_in_turn(void **state)
{
	struct pair *p = *state;
	struct packet *good[2];
	struct script *s[2];
	uint64_t tag[2];

	until_puzzles(p);
	for (int i = 0; i < 2; i++) {
		s[i] = caller(p);
		assert_int_equal(ask(s[i]), WIRE_N_PUZZLE);
		tag[i] = load_be64(cookie_of(s[i]).p + cookie_of(s[i]).n - 8);
	}
	while ((tag[0] ^ tag[1]) % 4096) {
		s[1]->self.port++;
		assert_int_equal(ask(s[1]), WIRE_N_PUZZLE);
		tag[1] = load_be64(cookie_of(s[1]).p + cookie_of(s[1]).n - 8);
	}
	for (int i = 0; i < 2; i++) {
		take_puzzle(s[i], puzzle_of(s[i]).bits ? puzzle_of(s[i]).bits : 9);
		script_sa_init(s[i]);
		good[i] = packet_keep(world_packet(p->w, 0));
		world_drop_all(p->w);
	}
	for (int i = 0; i < 4; i++) {
		world_hand_over(p->w, good[i & 1]);
		world_drop_all(p->w);
		assert_int_equal(is_there(p, s[i & 1]), i < 2);
		assert_int_equal(node_counter(p->b, "ike.puzzle.spent"), i < 2 ? 0 : i - 1);
		if (i == 1) {
			world_advance(p->w, dur_s(IKE_HALF_OPEN_LOAD_S + 1));
			assert_false(is_there(p, s[0]) || is_there(p, s[1]));
			enter_many(p, PUZZLES);
		}
	}
	for (int i = 0; i < 2; i++)
		packet_free(good[i]);
}

static void hoarded_solutions(void **state)
{
	struct pair *p = *state;
	struct script *s;

	until_puzzles(p);
	s = caller(p);
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	take_puzzle(s, puzzle_of(s).bits);
	world_advance(p->w, dur_s(IKE_PUZZLE_S + 2));
	enter_many(p, PUZZLES);
	assert_int_equal(level(p), IKE_LOAD_PUZZLES);
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	assert_int_equal(node_counter(p->b, "ike.puzzle.spent"), 1);
}

/* Section 7.1.1.1: in a diverse world the initiator chooses, and may be asked for more. */
static void zero_difficulty(void **state)
{
	struct pair *p = *state;
	struct script *s;

	p->cb->conf.half_open_max = 640;
	p->cb->conf.puzzle_max = 16; /* so that at least 12 bits are wanted */
	until_puzzles(p);
	s = caller(p);
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	assert_int_equal(puzzle_of(s).bits, 0);
	take_puzzle(s, 12);
	assert_int_equal(ask(s), WIRE_P_SA);
	s = caller(p);
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	/* Too little: the second puzzle says how much. */
	take_cookie(s);
	for (uint8_t bits = 1; bits < 4; bits++) {
		unsigned got;

		solve(s, s->cookie, 1);
		assert_int_equal(crypto_puzzle_zeros(&s->crypto, puzzle_of(s).prf,
						     bytes_of(s->solution.p, 4), s->cookie, &got),
				 ST_OK);
		assert_true(got < 10);
	}
	assert_int_equal(ask(s), WIRE_N_PUZZLE);
	assert_int_equal(puzzle_of(s).bits, 12);
	take_puzzle(s, 12);
	assert_int_equal(ask(s), WIRE_P_SA);
}

/* Who knows no puzzles: some get in at once, and everybody who is patient. */
static void without_puzzles_by_lot(void **state)
{
	struct pair *p = *state;
	struct script *s[16];
	unsigned in = 0, tries = 0;

	until_puzzles(p);
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		s[i] = caller(p);
		assert_int_equal(ask(s[i]), WIRE_N_PUZZLE);
		take_cookie(s[i]);
		if (ask(s[i]) == WIRE_P_SA)
			in++;
		/* The very same again: no other lot. */
		else
			assert_int_equal(ask(s[i]), 0);
		if (i == 7)
			break;
	}
	assert_in_range(in, 1, 7);
	assert_int_equal(node_counter(p->b, "ike.admit.lot"), in);
	for (size_t i = 0; i < 8; i++)
		while (!s[i]->keyed && ++tries < 100) {
			world_advance(p->w, dur_s(IKE_LOT_S));
			enter_many(p, PUZZLES);
			(void)ask(s[i]);
		}
	for (size_t i = 0; i < 8; i++)
		assert_true(s[i]->keyed);
}

/* No PRF in common: there would be no SA, so there is no puzzle (section 7.1.1.2). */
static void no_common_prf(void **state)
{
	struct pair *p = *state;
	struct script *s;

	until_puzzles(p);
	s = caller(p);
	s->ike = "aes128gcm16-prfsha512-x25519";
	script_sa_init(s);
	assert_true(script_exchange(s));
	assert_non_null(script_notify(s, WIRE_N_NO_PROPOSAL_CHOSEN));
	assert_null(script_notify(s, WIRE_N_COOKIE));
}

/* ---- puzzles, the initiator ---------------------------------------------------------------- */

/* a is a stranger to b. */
static void strangers(struct pair *p)
{
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->start = IKE_START_TRAFFIC;
}

static void initiator_solves(void **state)
{
	struct pair *p = *state;

	strangers(p);
	pair_start(p);
	enter_many(p, PUZZLES);
	connect(p->a);
	world_run(p->w);
	assert_true(node_sa(p->a).info.established);
	assert_int_equal(node_counter(p->b, "ike.puzzle.sent"), 1);
	assert_int_equal(node_counter(p->b, "ike.puzzle.solved"), 1);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
}

/* Every slice is a job that can be cancelled; meanwhile the request is sent again, other cookies
 * change nothing, and the end of the wish ends the search. */
static void search_in_slices(void **state)
{
	struct pair *p = *state;
	const struct pending *job;

	strangers(p);
	pair_start(p);
	enter_many(p, PUZZLES);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	p->a->hold = HOLD_JOBS;
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	job = node_pending(p->a, PENDING_JOB, 0);
	assert_non_null(job);
	assert_int_equal(job->job->kind, CRYPTO_JOB_PUZZLE);
	assert_int_equal(job->job->in.puzzle.tries, IKE_PUZZLE_SLICE);
	/* A retransmission gets another puzzle, which is not begun. */
	world_advance(p->w, dur_s(3));
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(p->w, WIRE_N_PUZZLE);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	assert_int_equal(node_counter(p->a, "ike.rx.busy"), 1);
	assert_int_equal(node_held(p->a, PENDING_JOB), 1);
	connect_down(p->a);
	assert_int_equal(node_held(p->a, PENDING_JOB), 0);
	assert_int_equal(node_sas(p->a, NULL, 0), 0);
}

/* A puzzle that somebody forged: the true answer is taken while we search. */
static void forged_puzzle(void **state)
{
	static const uint8_t cookie[] = { 1, 2, 3, 4 }, puzzle[] = { 0, 5, 12 };
	struct pair *p = *state;
	struct script s;

	pair_start_a(p);
	connect(p->a);
	script_init(&s, p->w, "192.0.2.2", p->a, false);
	assert_true(script_take(&s));
	s.spi_i = s.msg.hdr.spi_i;
	p->a->hold = HOLD_JOBS;
	script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
	wire_put_notify(&s.out, 0, bytes_of(NULL, 0), WIRE_N_COOKIE, BYTES_OF(cookie));
	wire_put_notify(&s.out, 0, bytes_of(NULL, 0), WIRE_N_PUZZLE, BYTES_OF(puzzle));
	script_send(&s);
	world_run(p->w);
	assert_int_equal(node_pending(p->a, PENDING_JOB, 0)->job->kind, CRYPTO_JOB_PUZZLE);
	script_answer_init(&s);
	world_run(p->w);
	assert_int_equal(node_held(p->a, PENDING_JOB), 1);
	assert_int_equal(node_pending(p->a, PENDING_JOB, 0)->job->kind, CRYPTO_JOB_KE_DERIVE);
	node_release(p->a);
	assert_true(script_take(&s));
	assert_true(s.opened);
	assert_int_equal(s.msg.hdr.exchange, WIRE_IKE_AUTH);
	script_done(&s);
}

/* What we do not solve: too hard, a PRF that we did not offer.  The cookie goes back alone, and the
 * operator hears why.  A puzzle without a cookie is none (section 7.1.2). */
static void unwilling(void **state)
{
	static const struct {
		uint8_t puzzle[3];
		bool cookie;
	} rows[] = {
		{ { 0, 5, 13 }, true },
		{ { 0, 7, 9 }, true },
		{ { 0, 99, 9 }, true },
		{ { 0, 5, 9 }, false },
	};
	static const uint8_t cookie[] = { 1, 2, 3, 4 };
	struct pair *p = *state;

	(void)p;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair q;
		struct script s;

		pair_init(&q, 40 + i);
		q.pa->ike = test_conf_sa(q.ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
		pair_start_a(&q);
		connect(q.a);
		script_init(&s, q.w, "192.0.2.2", q.a, false);
		assert_true(script_take(&s));
		s.spi_i = s.msg.hdr.spi_i;
		script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
		if (rows[i].cookie)
			wire_put_notify(&s.out, 0, bytes_of(NULL, 0), WIRE_N_COOKIE,
					BYTES_OF(cookie));
		wire_put_notify(&s.out, 0, bytes_of(NULL, 0), WIRE_N_PUZZLE,
				BYTES_OF(rows[i].puzzle));
		script_send(&s);
		assert_int_equal(script_exchange(&s), rows[i].cookie);
		if (rows[i].cookie) {
			assert_non_null(script_notify(&s, WIRE_N_COOKIE));
			assert_int_equal(s.in.solution.n, 0);
			because(q.a, IKE_EV_REFUSED, IKE_R_OVERLOAD);
			says(q.a, IKE_EV_REFUSED, "puzzle_solve");
		}
		assert_int_equal(node_counter(q.a, "ike.puzzle.refused"), rows[i].cookie);
		script_done(&s);
		pair_done(&q);
	}
}

/* ---- junk IKE_AUTH ------------------------------------------------------------------------- */

static void send_junk(struct pair *p, struct script *s)
{
	struct packet *q;

	script_begin_id(s, WIRE_IKE_AUTH, false, 1);
	script_put_auth_request(s);
	q = script_send(s);
	q->data[q->n - 1] ^= 1;
	world_deliver(p->w, q);
}

/* Each costs a check and no job, and there are not many; the honest one gets in later. */
static void junk_is_read_sparingly(void **state)
{
	struct pair *p = *state;
	struct script *s;
	long jobs;

	pair_start_b(p);
	s = caller(p);
	s->id = "a.example";
	enter(s);
	jobs = p->b->n_jobs;
	for (unsigned i = 0; i < 3 * IKE_JUNK_BURST; i++)
		send_junk(p, s);
	assert_int_equal(p->b->n_jobs, jobs);
	assert_int_equal(node_counter(p->b, "ike.rx.integrity"), IKE_JUNK_BURST);
	assert_int_equal(node_counter(p->b, "ike.rx.junk_limited"), 2 * IKE_JUNK_BURST);
	assert_true(is_there(p, s));
	/* Its address is a suspect. */
	assert_int_equal(level(p), IKE_LOAD_COOKIES);
	world_advance(p->w, dur_s(1));
	script_begin_id(s, WIRE_IKE_AUTH, false, 1);
	script_put_auth_request(s);
	script_send(s);
	assert_true(script_exchange(s));
	assert_int_equal(node_counter(p->b, "ike.sa.established"), 1);
}

/* IKE_AUTH that is authentic and names somebody who exists costs jobs before anything is proven:
 * there are only so many, of whatever kind. */
static void auth_work(void **state)
{
	(void)state;
	for (int ppk = 0; ppk < 2; ppk++) {
		struct pair p;

		pair_init(&p, 600 + (unsigned)ppk);
		p.cb->conf.half_open_cookie = p.cb->conf.half_open_puzzle = 1000;
		p.cb->conf.half_open_max = 2000;
		if (ppk) {
			p.pb->ppk = 5;
			p.pb->ppk_id = bytes_str("x");
		}
		pair_start_b(&p);
		n_callers = 0;
		for (size_t i = 0; i < IKE_AUTH_WORK + 8; i++) {
			struct script *s = caller(&p);

			s->id = "a.example";
			s->use_ppk = ppk;
			enter(s);
		}
		p.b->hold = HOLD_JOBS;
		for (size_t i = 0; i < n_callers; i++) {
			struct script *s = &crowd[i];

			script_begin(s, WIRE_IKE_AUTH, false);
			script_put_auth_request(s);
			if (ppk)
				wire_put_notify(&s->out, WIRE_PROTO_NONE, bytes_of(NULL, 0),
						WIRE_N_PPK_IDENTITY, bytes_of("\x02x", 2));
			world_deliver(p.w, script_send(s));
		}
		assert_int_equal(node_held(p.b, PENDING_JOB), IKE_AUTH_WORK);
		assert_int_equal(ike_load(p.b->ike).verifications, IKE_AUTH_WORK);
		assert_int_equal(node_counter(p.b, "ike.rx.auth_work_full"), 8);
		node_release(p.b);
		world_drop_all(p.w);
		assert_int_equal(ike_load(p.b->ike).verifications, 0);
		for (size_t i = 0; i < n_callers; i++)
			script_done(&crowd[i]);
		pair_done(&p);
	}
}

/* An answer is longer than its request, and whose address the request had nobody knows: what makes
 * us say it again must not make us say it as often as somebody likes. */
static void no_amplifier(void **state)
{
	struct pair *p = *state;
	struct packet *request;
	size_t asked = 0, answered = 0;
	struct script *s;

	pair_certs(p);
	pair_start_b(p);
	s = caller(p);
	script_sa_init(s);
	request = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	for (int i = 0; i < 1000; i++) {
		world_hand_over(p->w, request);
		asked += request->n;
		while (world_packets(p->w)) {
			answered += world_packet(p->w, 0)->n;
			world_drop(p->w, world_packet(p->w, 0));
		}
		world_advance(p->w, dur_ms(1));
	}
	assert_in_range(answered, 1, asked / 10);
	/* Whoever has lost the answer, and asks as one does, hears it again. */
	for (int i = 0; i < 5; i++) {
		world_advance(p->w, dur_s(1));
		world_hand_over(p->w, request);
		assert_int_equal(world_packets(p->w), 1);
		world_drop_all(p->w);
	}
	assert_true(node_counter(p->b, "ike.rx.repeat_limited") > 900);
	packet_free(request);
}

/* The same of an IKE_AUTH that somebody has recorded, and sends from wherever he likes. */
static void no_amplifier_of_auth(void **state)
{
	struct pair *p = *state;
	struct packet *request, *forged;
	size_t asked = 0, answered = 0;

	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	request = packet_keep(world_packet(p->w, 0));
	world_run(p->w);
	forged = packet_keep(request);
	forged->src.ip = test_ip("198.51.100.66");
	for (int i = 0; i < 1000; i++) {
		world_hand_over(p->w, forged);
		asked += forged->n;
		while (world_packets(p->w)) {
			answered += world_packet(p->w, 0)->n;
			world_drop(p->w, world_packet(p->w, 0));
		}
		world_advance(p->w, dur_ms(1));
	}
	assert_in_range(answered, 0, asked / 10);
	packet_free(forged);
	packet_free(request);
}

/* Under junk from many SAs who solved a puzzle solves one more for IKE_AUTH (section 7.2). */
static void until_auth_puzzles(struct pair *p)
{
	enter_many(p, PUZZLES);
	for (size_t i = 0; i < 20; i++)
		for (unsigned k = 0; k < IKE_JUNK_BURST; k++)
			send_junk(p, &crowd[i]);
	assert_true(node_counter(p->b, "ike.rx.integrity") >= IKE_FAILURES_PUZZLE);
}

static void auth_puzzle(void **state)
{
	struct pair *p = *state;
	uint8_t data[64 + 8];
	struct script *s;
	uint64_t limited;
	long jobs;

	pair_start_b(p);
	until_auth_puzzles(p);
	s = caller(p);
	s->id = "a.example";
	enter(s);
	assert_int_equal(puzzle_of(s).bits, IKE_PUZZLE_MIN_BITS);
	memcpy(data, s->nonce_r, s->n_nonce_r);
	store_be64(data + s->n_nonce_r, s->spi_r);
	solve(s, bytes_of(data, s->n_nonce_r + 8), puzzle_of(s).bits);
	jobs = p->b->n_jobs;
	limited = node_counter(p->b, "ike.rx.junk_limited");
	/* None, then those of other puzzles: silence, nothing is read.  A wrong one costs as much
	 * as an integrity check, so there are only as many. */
	for (unsigned i = 0; i < 2 * IKE_JUNK_BURST; i++) {
		uint64_t unread = node_counter(p->b, "ike.rx.auth_unsolved");
		bool dropped = i >= IKE_JUNK_BURST + 4;
		uint8_t wrong[16];

		memcpy(wrong, s->solution.p, 16);
		wrong[3] ^= 1;
		script_begin_clear(s, WIRE_IKE_AUTH, false, 1);
		if (i >= 4)
			wire_put_solution(&s->out, BYTES_OF(wrong));
		wire_ike_sk_begin(&s->out, 8);
		s->sealed = true;
		script_put_auth_request(s);
		script_send(s);
		assert_false(script_exchange(s));
		assert_int_equal(node_counter(p->b, "ike.rx.auth_unsolved"), unread + !dropped);
		assert_int_equal(node_counter(p->b, "ike.rx.junk_limited") > limited, dropped);
	}
	assert_int_equal(p->b->n_jobs, jobs);
	world_advance(p->w, dur_s(1));
	script_begin_clear(s, WIRE_IKE_AUTH, false, 1);
	wire_put_solution(&s->out, s->solution);
	wire_ike_sk_begin(&s->out, 8);
	s->sealed = true;
	script_put_auth_request(s);
	script_send(s);
	assert_true(script_exchange(s));
	assert_int_equal(node_counter(p->b, "ike.sa.established"), 1);
}

/* Both of ours: puzzles in both exchanges, IKE_AUTH whole and in fragments. */
static void both_puzzles(void **state)
{
	(void)state;
	for (int certs = 0; certs < 2; certs++) {
		struct pair p;

		n_callers = 0;
		pair_init(&p, 60);
		strangers(&p);
		if (certs)
			pair_certs(&p);
		pair_start(&p);
		until_auth_puzzles(&p);
		connect(p.a);
		world_run(p.w);
		assert_true(node_sa(p.a).info.established);
		assert_true(world_ping(p.w, p.a, "10.1.0.1", p.b, "10.2.0.1"));
		assert_int_equal(node_counter(p.b, "ike.puzzle.solved"), 1);
		assert_int_equal(node_counter(p.b, "ike.rx.auth_unsolved"), 0);
		for (size_t i = 0; i < n_callers; i++)
			script_done(&crowd[i]);
		pair_done(&p);
	}
}

/* ---- our own failures ---------------------------------------------------------------------- */

/* The n-th allocation of either engine fails, in the midst of it all: nothing leaks (the harness
 * looks), nothing is stuck. */
static bool under_load(bool at_b, long fail_at)
{
	struct pair p;
	struct node *n;
	bool hit;
	long before;

	n_callers = 0;
	pair_init(&p, 70);
	strangers(&p);
	p.pa->start = IKE_START_UP;
	p.ca->conf.half_open_cookie = 1000;
	pair_start_b(&p);
	enter_many(&p, PUZZLES);
	world_drop_all(p.w);
	p.a = world_node_bare(p.w, "a", (const char *const[]){ "192.0.2.1", NULL }, p.ca);
	assert_int_equal(node_start(p.a), ST_OK);
	n = at_b ? p.b : p.a;
	before = n->mem.calls;
	n->mem.fail_at = fail_at < 0 ? -1 : before + fail_at;
	world_live(p.w, dur_s(20));
	hit = n->mem.refused > 0;
	n->mem.fail_at = -1;
	world_live(p.w, dur_s(120));
	assert_int_equal(ike_totals(p.b->ike).half_open, 0);
	assert_true(node_sa(p.a).info.established);
	assert_int_equal(level(&p), IKE_LOAD_CALM);
	for (size_t i = 0; i < n_callers; i++)
		script_done(&crowd[i]);
	pair_done(&p);
	return hit;
}

static void nth_allocation_fails(void **state)
{
	(void)state;
	for (int at_b = 0; at_b < 2; at_b++) {
		unsigned n = 0;

		while (under_load(at_b, n))
			n++;
		assert_true(n > 20);
	}
}

#define crowd_test(fn) cmocka_unit_test_setup_teardown(fn, setup_crowd, teardown_crowd)

int main(void)
{
	const struct CMUnitTest tests[] = {
		crowd_test(levels_rise_and_fall),
		crowd_test(hysteresis),
		crowd_test(requests_alone_raise_it),
		crowd_test(key_exchanges_raise_it),
		crowd_test(one_address_pays),
		crowd_test(ipv6_by_prefix),
		crowd_test(eviction_order),
		crowd_test(no_address_takes_all),
		crowd_test(configured_peer_needs_a_cookie_only),
		crowd_test(who_was_up_is_known),
		crowd_test(bad_solutions),
		crowd_test(solutions_are_not_for_others),
		crowd_test(solutions_in_turn),
		crowd_test(hoarded_solutions),
		crowd_test(zero_difficulty),
		crowd_test(without_puzzles_by_lot),
		crowd_test(no_common_prf),
		crowd_test(initiator_solves),
		crowd_test(search_in_slices),
		crowd_test(forged_puzzle),
		crowd_test(unwilling),
		crowd_test(junk_is_read_sparingly),
		cmocka_unit_test(auth_work),
		crowd_test(no_amplifier),
		crowd_test(no_amplifier_of_auth),
		crowd_test(auth_puzzle),
		cmocka_unit_test(both_puzzles),
		cmocka_unit_test(nth_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
