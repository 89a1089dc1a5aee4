/* Capabilities in IKE_AUTH, and words of upper modules in exchanges of their own
 * (docs/protocol/shortcut.md sections 3 and 4): said once, handed on once, answered once, whatever
 * is lost or repeated, and however late the answer is (U2). */
#include "exchange/words.h"

/* ---- who announces what --------------------------------------------------------------------- */

static bool announces(struct world *w, const struct packet *p)
{
	return packet_notifies(w, p, WIRE_N_CAPABILITIES);
}

/*
 *	a                                         b
 *	IKE_AUTH 1 {IDi, ..., [N]}             ->
 *					       <- IKE_AUTH 1 {IDr, ..., [N]}
 */
static void each_says_its_own(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		uint8_t at_a = bits & 1 ? IKE_CAN_PARTNER : 0;
		uint8_t at_b = bits & 2 ? IKE_CAN_HUB | IKE_CAN_RELAY : 0;
		struct pair p;

		pair_init(&p, 1);
		p.pa->capabilities = at_a;
		p.pb->capabilities = at_b;
		pair_start(&p);
		connect(p.a);
		deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		assert_int_equal(announces(p.w, world_packet(p.w, 0)), at_a != 0);
		deliver(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
		assert_int_equal(announces(p.w, world_packet(p.w, 0)), at_b != 0);
		deliver(p.w, p.b, WIRE_IKE_AUTH, RESPONSE, 1);
		assert_true(pair_is_up(&p));
		assert_int_equal(node_sa(p.a).info.capabilities, at_b);
		assert_int_equal(node_sa(p.b).info.capabilities, at_a);
		assert_int_equal(try_to_ask(p.a), bits == 3 ? ST_OK : ST_INVAL);
		assert_int_equal(try_to_ask(p.b), bits == 3 ? ST_OK : ST_INVAL);
		world_run(p.w);
		assert_int_equal(p.a->n_answered, bits == 3);
		assert_int_equal(p.b->n_answered, bits == 3);
		pair_done(&p);
	}
}

/* What it can do is asked anew when a reload says something else. */
static void announced_anew(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;

	p->pa->start = IKE_START_UP;
	both_announce(p);
	pair_start(p);
	world_run(p->w);
	assert_int_equal(node_sa(p->b).info.capabilities, IKE_CAN_PARTNER);
	c = test_conf_copy(p->ca);
	c->peer[0].capabilities = IKE_CAN_PARTNER | IKE_CAN_RELAY;
	node_reconfigure(p->a, c);
	world_live(p->w, dur_s(30));
	assert_true(pair_is_up(p));
	assert_int_equal(node_sa(p->b).info.capabilities, IKE_CAN_PARTNER | IKE_CAN_RELAY);
}

/* ---- one word ------------------------------------------------------------------------------- */

/*
 *	a                                         b
 *	SHORTCUT 2 {N(SUGGEST)}                ->
 *					       <- SHORTCUT 2 {N(ACCEPT)}
 *					       <- SHORTCUT 0 {N(SUGGEST)}
 *	SHORTCUT 0 {N(ACCEPT)}                 ->
 */
static void asked_and_answered(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	speaking_pair_up(p);
	id = ask_for(p->a, 300);
	next_notifies(p->w, WIRE_N_SHORTCUT_SUGGEST);
	deliver(p->w, p->a, WIRE_SHORTCUT, REQUEST, 2);
	came(p->b, 300);
	assert_int_equal(node_asked(p->b)->peer, PAIR_PEER);
	assert_int_equal(node_asked(p->b)->sa, node_sa(p->b).info.id);
	assert_int_equal(p->a->n_answered, 0);
	next_notifies(p->w, WIRE_N_SHORTCUT_ACCEPT);
	deliver(p->w, p->b, WIRE_SHORTCUT, RESPONSE, 2);
	became(p->a, id, ST_OK);
	assert_true(node_answered(p->a)->digest == word_digest(bytes_of(word_bytes(), 16)));
	id = ask(p->b);
	deliver(p->w, p->b, WIRE_SHORTCUT, REQUEST, 0);
	deliver(p->w, p->a, WIRE_SHORTCUT, RESPONSE, 0);
	became(p->b, id, ST_OK);
	assert_int_equal(world_packets(p->w), 0);
	assert_true(pair_is_up(p));
}

/* Each has a window of its own. */
static void both_at_once(void **state)
{
	struct pair *p = *state;
	uint64_t a, b;

	speaking_pair_up(p);
	p->a->hold = p->b->hold = HOLD_WORDS;
	a = ask(p->a);
	b = ask(p->b);
	world_run(p->w);
	assert_int_equal(p->a->n_asked + p->b->n_asked, 2);
	node_release(p->a);
	node_release(p->b);
	world_run(p->w);
	became(p->a, a, ST_OK);
	became(p->b, b, ST_OK);
}

/* The upper module says no, in words. */
static void refused_in_words(void **state)
{
	struct pair *p = *state;

	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	(void)ask(p->a);
	world_run(p->w);
	node_refuse(p->b, node_pending(p->b, PENDING_WORD, 0), ST_REFUSE);
	world_run(p->w);
	assert_int_equal(node_answered(p->a)->status, ST_OK);
	assert_int_equal(node_answered(p->a)->notify, WIRE_N_SHORTCUT_REFUSED);
	assert_int_equal(node_events(p->a, IKE_EV_REFUSED), 0);
}

/* In the order in which they were said, one after the other. */
static void a_queue(void **state)
{
	struct pair *p = *state;
	uint64_t id, first = 0;

	speaking_pair_up(p);
	for (size_t i = 0; i < IKE_MAX_ASKS; i++) {
		assert_int_equal(node_ask(p->a, PAIR_PEER, WIRE_N_SHORTCUT_REPORT,
					  bytes_of(word_bytes(), 16 + i), &id),
				 ST_OK);
		first = i ? first : id;
	}
	assert_int_equal(try_to_ask(p->a), ST_AGAIN);
	assert_int_equal(world_packets(p->w), 1);
	world_run(p->w);
	assert_int_equal(p->b->n_asked, IKE_MAX_ASKS);
	assert_int_equal(p->a->n_answered, IKE_MAX_ASKS);
	for (size_t i = 0; i < IKE_MAX_ASKS; i++) {
		assert_int_equal(p->b->asked[i].n, 16 + i);
		assert_int_equal(p->a->answered[i].id, first + i);
		assert_int_equal(p->a->answered[i].status, ST_OK);
	}
	assert_int_equal(try_to_ask(p->a), ST_OK);
}

/* What is no word, or for nobody. */
static void not_said(void **state)
{
	static const uint16_t none[] = { 0,
					 WIRE_N_INITIAL_CONTACT,
					 WIRE_N_CAPABILITIES,
					 WIRE_N_SHORTCUT_PROOF,
					 WIRE_N_SHORTCUT_ACCEPT,
					 WIRE_N_SHORTCUT_ASK + 1,
					 WIRE_N_SHORTCUT_REFUSED };
	struct pair *p = *state;
	struct bytes most = bytes_of(word_bytes(), IKE_MAX_WORD + 1);
	struct ike_word word = { WIRE_N_SHORTCUT_ACCEPT, bytes_of(NULL, 0) };
	uint64_t id;

	both_announce(p);
	pair_start(p);
	assert_int_equal(try_to_ask(p->a), ST_INVAL);
	connect(p->a);
	world_run(p->w);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_int_equal(node_ask(p->a, PAIR_PEER, none[i], bytes_of(NULL, 0), &id),
				 ST_INVAL);
	assert_int_equal(node_ask(p->a, PAIR_PEER, WIRE_N_SHORTCUT_SUGGEST, most, &id), ST_INVAL);
	assert_int_equal(node_ask(p->a, 77, WIRE_N_SHORTCUT_SUGGEST, bytes_of(NULL, 0), &id),
			 ST_INVAL);
	assert_int_equal(node_ask(p->a, PAIR_PEER, WIRE_N_SHORTCUT_SUGGEST, bytes_of(NULL, 0), &id),
			 ST_OK);
	world_run(p->w);
	assert_int_equal(node_asked(p->b)->n, 0);
	ike_answer(p->b->ike, p->w->now, 1, &word);
	ike_answer(p->b->ike, p->w->now, 99, &word);
	assert_int_equal(node_counter(p->b, "ike.host.unknown_result"), 2);
	connect_down(p->a);
	assert_int_equal(try_to_ask(p->a), ST_INVAL);
}

/* ---- large ones ----------------------------------------------------------------------------- */

static void in_fragments(void **state)
{
	static const size_t sizes[] = { 1200, 5000, 30000, IKE_MAX_WORD };
	struct pair *p = *state;

	p->pa->fragmentation = p->pb->fragmentation = true;
	speaking_pair_up(p);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t id = ask_for(p->a, sizes[i]);

		assert_true(world_packets(p->w) > sizes[i] / 1280);
		assert_true(world_packets(p->w) <= IKE_MAX_FRAGMENTS);
		/* One is late, one comes twice, one is lost. */
		world_copy(p->w, world_packet(p->w, 1));
		world_drop(p->w, world_packet(p->w, 0));
		world_run(p->w);
		assert_int_equal(p->b->n_asked, i);
		world_live(p->w, dur_s(3));
		came(p->b, sizes[i]);
		became(p->a, id, ST_OK);
	}
	assert_int_equal(p->b->n_asked, ARRAY_LEN(sizes));
}

/* The answer is as large. */
static void a_large_answer(void **state)
{
	struct pair *p = *state;

	p->pa->fragmentation = p->pb->fragmentation = true;
	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	(void)ask(p->a);
	world_run(p->w);
	node_say(p->b, node_pending(p->b, PENDING_WORD, 0), WIRE_N_SHORTCUT_ACCEPT,
		 bytes_of(word_bytes(), IKE_MAX_WORD));
	world_drop(p->w, world_packet(p->w, 3));
	world_live(p->w, dur_s(5));
	assert_int_equal(node_answered(p->a)->n, IKE_MAX_WORD);
	assert_true(node_answered(p->a)->digest ==
		    word_digest(bytes_of(word_bytes(), IKE_MAX_WORD)));
}

/* ---- losses, repetitions, late answers ------------------------------------------------------- */

/* Each of the two messages is lost, comes twice, or comes again much later. */
static void lost_and_repeated(void **state)
{
	struct pair *p = *state;
	struct packet *kept[2];
	uint64_t id;

	speaking_pair_up(p);
	id = ask(p->a);
	kept[0] = packet_keep(world_packet(p->w, 0));
	lose(p->w, p->a, WIRE_SHORTCUT, REQUEST, 2);
	assert_true(world_timer(p->w));
	world_copy(p->w, world_packet(p->w, 0));
	deliver(p->w, p->a, WIRE_SHORTCUT, REQUEST, 2);
	deliver(p->w, p->a, WIRE_SHORTCUT, REQUEST, 2);
	came(p->b, 40);
	kept[1] = packet_keep(world_packet(p->w, 0));
	lose(p->w, p->b, WIRE_SHORTCUT, RESPONSE, 2);
	lose(p->w, p->b, WIRE_SHORTCUT, RESPONSE, 2);
	assert_true(world_timer(p->w));
	world_run(p->w);
	became(p->a, id, ST_OK);
	for (int i = 0; i < 3; i++) {
		world_hand_over(p->w, kept[0]);
		world_run(p->w);
		world_hand_over(p->w, kept[1]);
	}
	id = ask(p->a);
	world_hand_over(p->w, kept[1]);
	assert_int_equal(p->a->n_answered, 1);
	world_hand_over(p->w, kept[0]);
	world_run(p->w);
	became(p->a, id, ST_OK);
	assert_int_equal(p->b->n_asked, 2);
	assert_int_equal(p->a->n_answered, 2);
	packet_free(kept[0]);
	packet_free(kept[1]);
}

/* Whoever repeats the question meanwhile hears nothing, and it is handed on once. */
static void a_late_answer(void **state)
{
	struct pair *p = *state;
	struct pending *q;
	uint64_t id, before;

	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	id = ask(p->a);
	world_run(p->w);
	before = p->b->sent;
	world_live(p->w, dur_s(8));
	assert_true(node_events(p->a, IKE_EV_RETRANSMIT) >= 2);
	assert_true(node_counter(p->b, "ike.rx.repeated_request") >= 2);
	assert_int_equal(p->b->n_asked, 1);
	assert_int_equal(p->b->sent, before);
	q = node_pending(p->b, PENDING_WORD, 0);
	assert_non_null(q);
	node_answer(p->b, q);
	world_run(p->w);
	became(p->a, id, ST_OK);
	assert_true(pair_is_up(p));
}

/* Or none: who asks is not left to think that nobody is there. */
static void no_answer_at_all(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	id = ask(p->a);
	world_live(p->w, dur_s(IKE_ANSWER_S - 1));
	assert_int_equal(p->a->n_answered, 0);
	world_live(p->w, dur_s(2));
	became(p->a, id, ST_IO);
	says(p->a, IKE_EV_REFUSED, "answered SHORTCUT_SUGGEST with the error TEMPORARY_FAILURE");
	because(p->b, IKE_EV_REFUSED, IKE_R_INTERNAL);
	assert_int_equal(node_counter(p->b, "ike.word.unanswered"), 1);
	/* The upper module's own comes too late. */
	node_release(p->b);
	assert_int_equal(node_counter(p->b, "ike.host.unknown_result"), 1);
	id = ask(p->a);
	world_run(p->w);
	became(p->a, id, ST_OK);
	assert_int_equal(p->b->n_asked, 2);
	assert_true(pair_is_up(p));
}

/* While it waits for an answer itself, b says something and rekeys the child. */
static void the_other_way_meanwhile(void **state)
{
	struct pair *p = *state;
	uint64_t a, b;

	speaking_pair_up(p);
	p->b->hold = HOLD_WORDS;
	a = ask(p->a);
	world_run(p->w);
	b = ask(p->b);
	world_run(p->w);
	became(p->b, b, ST_OK);
	assert_int_equal(node_command(p->b, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(2));
	assert_int_equal(node_counter(p->b, "ike.child.rekeyed"), 0);
	node_release(p->b);
	world_live(p->w, dur_s(2));
	became(p->a, a, ST_OK);
	assert_int_equal(node_counter(p->b, "ike.child.rekeyed"), 1);
	assert_true(pair_is_up(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_says_its_own),
		pair_test(announced_anew),
		pair_test(asked_and_answered),
		pair_test(both_at_once),
		pair_test(refused_in_words),
		pair_test(a_queue),
		pair_test(not_said),
		pair_test(in_fragments),
		pair_test(a_large_answer),
		pair_test(lost_and_repeated),
		pair_test(a_late_answer),
		pair_test(no_answer_at_all),
		pair_test(the_other_way_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
