/* Words (docs/protocol/shortcut.md section 4) while their SA ends, is rekeyed or moves: each is
 * told of once, and none is handed on twice (U2, R06). */
#include "exchange/words.h"

/* Nothing is left to be told. */
static void all_told(struct pair *p)
{
	if (p->a && p->a->ike)
		assert_int_equal(p->a->n_open, 0);
	if (p->b && p->b->ike)
		assert_int_equal(p->b->n_open, 0);
}

static void works(struct pair *p)
{
	uint64_t id;

	assert_true(pair_is_up(p));
	id = ask(p->a);
	world_live(p->w, dur_s(5));
	became(p->a, id, ST_OK);
	id = ask(p->b);
	world_live(p->w, dur_s(5));
	became(p->b, id, ST_OK);
}

/* ---- the SA ends ---------------------------------------------------------------------------- */

/* One in flight, two in the queue: who says them leaves. */
static void who_asks_leaves(void **state)
{
	struct pair *p = *state;
	uint64_t first;

	speaking_pair_up(p);
	first = ask(p->a);
	(void)ask(p->a);
	(void)ask(p->a);
	connect_down(p->a);
	assert_int_equal(p->a->n_answered, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(p->a->answered[i].id, first + i);
		assert_int_equal(p->a->answered[i].status, ST_IO);
	}
	/* The answer to the first comes all the same. */
	world_run(p->w);
	assert_int_equal(p->b->n_asked, 1);
	assert_int_equal(p->a->n_answered, 3);
	settle(p);
	assert_true(pair_is_down(p));
}

/* Whoever has to answer leaves; the upper module answers after that. */
static void who_is_asked_leaves(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	id = ask(p->a);
	world_run(p->w);
	connect_down(p->b);
	world_run(p->w);
	became(p->a, id, ST_IO);
	node_release(p->b);
	assert_int_equal(node_counter(p->b, "ike.host.unknown_result"), 1);
	world_run(p->w);
	assert_int_equal(p->a->n_answered, 1);
	settle(p);
	assert_true(pair_is_down(p));
}

static void who_is_asked_dies(void **state)
{
	struct pair *p = *state;

	p->pa->start = p->pb->start = IKE_START_LISTEN;
	speaking_pair_up(p);
	(void)ask(p->a);
	(void)ask(p->a);
	node_kill(p->b);
	world_live(p->w, dur_s(60));
	assert_int_equal(p->a->n_answered, 2);
	became(p->a, p->a->answered[0].id + 1, ST_IO);
	all_told(p);
}

/* It comes back, and says that it has no other SA with us (INITIAL_CONTACT). */
static void who_is_asked_starts_again(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	both_announce(p);
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	(void)ask(p->b);
	world_drop_all(p->w);
	node_restart(p->a);
	world_live(p->w, dur_s(10));
	assert_int_equal(p->b->n_answered, 1);
	assert_int_equal(node_answered(p->b)->status, ST_IO);
	works(p);
}

static void the_engine_ends(void **state)
{
	struct pair *p = *state;

	speaking_pair_up(p);
	p->a->hold = p->b->hold = HOLD_WORDS;
	for (int i = 0; i < 3; i++) {
		(void)ask(p->a);
		(void)ask(p->b);
	}
	world_run(p->w);
	assert_int_equal(node_command(p->a, IKE_CMD_SHUTDOWN, 0), ST_OK);
	assert_int_equal(p->a->n_open, 0);
	assert_int_equal(p->b->n_open, 3); /* and goes with them */
}

/* ---- the IKE SA is rekeyed ------------------------------------------------------------------ */

struct collision {
	unsigned rekey; /* 1: by a, 2: by b */
	bool by_b; /* says it */
	bool held; /* the answer, for longer than all of it takes */
	bool jobs; /* so are the jobs of who asks */
	bool first; /* the word is sent before the rekeying begins */
	unsigned steps; /* datagrams that arrive between the two */
};

static void begin_rekeying(struct pair *p, const struct collision *c)
{
	if (c->rekey & 1)
		assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	if (c->rekey & 2)
		assert_int_equal(node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
}

/* False: there were not as many datagrams. */
static bool deliver_some(struct world *w, unsigned n)
{
	for (; n && world_packets(w); n--)
		world_deliver(w, world_packet(w, 0));
	return n == 0;
}

static bool collides(const struct collision *c)
{
	struct node *asks, *answers;
	struct pair p;
	uint64_t id;
	bool all;

	pair_init(&p, 7);
	speaking_pair_up(&p);
	asks = c->by_b ? p.b : p.a;
	answers = c->by_b ? p.a : p.b;
	answers->hold = c->held ? HOLD_WORDS : 0;
	asks->hold = c->jobs ? HOLD_JOBS : 0;
	if (c->first)
		id = ask(asks);
	else
		begin_rekeying(&p, c);
	all = deliver_some(p.w, c->steps);
	if (c->first)
		begin_rekeying(&p, c);
	else
		id = ask(asks);
	world_live(p.w, dur_s(1));
	node_release(asks);
	world_live(p.w, dur_s(5));
	node_release(answers);
	world_live(p.w, dur_s(70));
	if (asks->n_open || asks->n_answered != 1 || node_answered(asks)->id != id ||
	    (node_answered(asks)->status != ST_OK && !c->held) || answers->n_asked != 1)
		fail_msg("rekey %u, by %s, held %d, jobs %d, first %d, after %u: %zu answers (%s), "
			 "handed on %zu times",
			 c->rekey, asks->name, c->held, c->jobs, c->first, c->steps,
			 asks->n_answered,
			 asks->n_answered ? status_name(node_answered(asks)->status) : "",
			 answers->n_asked);
	assert_int_equal(answers->n_open, 0);
	assert_true(node_counter(p.a, "ike.sa.rekeyed") > 0);
	works(&p);
	pair_done(&p);
	return all;
}

/* Every way in which the two can meet. */
static void meets_a_rekeying(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1 << 6; bits++) {
		struct collision c = { .rekey = bits & 3,
				       .by_b = bits & 4,
				       .held = bits & 8,
				       .jobs = bits & 16,
				       .first = bits & 32 };

		for (c.steps = 0; c.rekey && collides(&c); c.steps++)
			assert_true(c.steps < 20);
	}
}

/*
 *	a                                             b
 *					           <- SHORTCUT 0 {N}		on the old SA
 *	CREATE_CHILD_SA 2 {SA, Ni, KEi}            ->
 *						   <- CREATE_CHILD_SA 2 {SA, Nr, KEr}
 *	INFORMATIONAL 3 {D}			   ->
 *
 * a has the word, but no answer to it yet, when it deletes the SA that it came on.
 */
static void replaced_while_it_waits(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	speaking_pair_up(p);
	p->a->hold = HOLD_WORDS;
	id = ask(p->b);
	(void)ask(p->b);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	world_deliver(p->w, world_packet(p->w, 1));
	deliver(p->w, p->b, WIRE_SHORTCUT, REQUEST, 0);
	assert_int_equal(p->a->n_asked, 1);
	deliver(p->w, p->b, WIRE_CREATE_CHILD_SA, RESPONSE, 2);
	deliver(p->w, p->a, WIRE_INFORMATIONAL, REQUEST, 3);
	assert_int_equal(p->b->n_answered, 1);
	assert_int_equal(p->b->answered[0].id, id);
	assert_int_equal(p->b->answered[0].status, ST_IO);
	node_release(p->a);
	assert_int_equal(node_counter(p->a, "ike.host.unknown_result"), 1);
	/* The second one was not sent yet: it is said on the new SA. */
	world_run(p->w);
	became(p->b, id + 1, ST_OK);
	assert_int_equal(p->a->n_asked, 2);
	works(p);
}

/* Nobody ever answers on the old SA. */
static void lost_with_the_old_sa(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	speaking_pair_up(p);
	id = ask(p->b);
	world_drop_all(p->w);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	world_run(p->w);
	became(p->b, id, ST_IO);
	assert_int_equal(p->a->n_asked, 0);
	works(p);
}

/* What both announced goes over as well. */
static void announced_once(void **state)
{
	struct pair *p = *state;

	speaking_pair_up(p);
	for (int i = 0; i < 3; i++) {
		struct node *n = i & 1 ? p->b : p->a;

		assert_int_equal(node_command(n, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		world_live(p->w, dur_s(5));
		assert_int_equal(node_sa(p->a).info.capabilities, p->pb->capabilities);
		assert_int_equal(node_sa(p->b).info.capabilities, p->pa->capabilities);
		works(p);
	}
}

/* ---- somebody moves ------------------------------------------------------------------------- */

static void moving_pair_up(struct pair *p)
{
	p->pa->mobike = p->pb->mobike = true;
	test_conf_addresses(p->cb, p->pb, "");
	both_announce(p);
	pair_start(p);
	node_moves(p->a, "192.0.2.1", NULL);
	node_moves(p->b, "192.0.2.2", NULL);
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* With a word in flight, before it arrives, while b thinks about it, or when the answer is under
 * way; in fragments, too. */
static void moves_with_a_word(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 6; bits++) {
		struct endpoint seen;
		struct pair p;
		uint64_t id;

		pair_init(&p, 9);
		p.pa->fragmentation = p.pb->fragmentation = bits & 1;
		moving_pair_up(&p);
		p.b->hold = bits / 2 == 1 ? HOLD_WORDS : 0;
		id = ask_for(p.a, bits & 1 ? 20000 : 100);
		for (size_t i = world_packets(p.w); bits / 2 && i; i--)
			world_deliver(p.w, world_packet(p.w, 0));
		node_moves(p.a, "198.51.100.7", NULL);
		world_live(p.w, dur_s(3));
		node_release(p.b);
		world_live(p.w, dur_s(30));
		became(p.a, id, ST_OK);
		assert_int_equal(p.b->n_asked, 1);
		seen = node_sa(p.b).info.remote;
		assert_true(ip_eq(&seen.ip, &p.a->address[0]));
		works(&p);
		pair_done(&p);
	}
}

/* The same of who has to answer. */
static void moves_before_it_answers(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	moving_pair_up(p);
	p->b->hold = HOLD_WORDS;
	id = ask(p->a);
	world_run(p->w);
	node_moves(p->b, "192.0.2.2", "203.0.113.2");
	world_live(p->w, dur_s(1));
	node_moves(p->b, "203.0.113.2", NULL);
	world_live(p->w, dur_s(5));
	node_release(p->b);
	world_live(p->w, dur_s(30));
	became(p->a, id, ST_OK);
	assert_int_equal(p->b->n_asked, 1);
	works(p);
}

/* A NAT in between forgets its mapping. */
static void another_mapping(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	id = ask(p->a);
	world_run(p->w);
	world_nat_forget(p->w);
	node_release(p->b);
	world_live(p->w, dur_s(20));
	became(p->a, id, ST_OK);
	assert_int_equal(p->b->n_asked, 1);
	works(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(who_asks_leaves),         pair_test(who_is_asked_leaves),
		pair_test(who_is_asked_dies),       pair_test(who_is_asked_starts_again),
		pair_test(the_engine_ends),         cmocka_unit_test(meets_a_rekeying),
		pair_test(replaced_while_it_waits), pair_test(lost_with_the_old_sa),
		pair_test(announced_once),          cmocka_unit_test(moves_with_a_word),
		pair_test(moves_before_it_answers), pair_test(another_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
