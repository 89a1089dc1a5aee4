/* Words (docs/protocol/shortcut.md sections 3 and 4) of who does not keep to it: capabilities that
 * are none, words where nobody announced any, malformed questions and answers, before the SA is up,
 * in the clear, without a question (S2). */
#include "exchange/words.h"

/* ---- capabilities --------------------------------------------------------------------------- */

struct said {
	const char *what;
	uint8_t data[8];
	size_t n;
	bool announced;
	uint8_t flags;
};

static const struct said saids[] = {
	{ "nothing at all", { 0 }, 0, false, 0 },
	{ "one", { 1, 0, 0, 0, 1 }, 5, true, IKE_CAN_PARTNER },
	{ "none of those we know", { 1, 0, 0, 0, 0 }, 5, true, 0 },
	{ "all there will ever be", { 1, 0xff, 0xff, 0xff, 0xff }, 5, true, 31 },
	{ "a version to come", { 2, 0, 1, 0, 3 }, 5, true, IKE_CAN_PARTNER | IKE_CAN_HUB },
	{ "the last version", { 255, 0, 0, 0, 4 }, 5, true, IKE_CAN_RELAY },
	{ "version 0", { 0, 0, 0, 0, 1 }, 5, false, 0 },
	{ "a version and nothing else", { 1 }, 1, false, 0 },
	{ "too short", { 1, 0, 0, 1 }, 4, false, 0 },
	{ "too long", { 1, 0, 0, 0, 1, 1 }, 6, false, 0 },
};

static void capabilities_of_an_initiator(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(saids); i++) {
		const struct said *v = &saids[i];
		struct script s;
		struct pair p;

		pair_init(&p, 1);
		script_speaks(&p, &s, bytes_of(v->data, v->n));
		if (node_sa(p.b).info.capabilities != v->flags ||
		    try_to_ask(p.b) != (v->announced ? ST_OK : ST_INVAL))
			fail_msg("%s", v->what);
		assert_int_equal(node_counter(p.b, "ike.word.capabilities_malformed"),
				 v->n && !v->announced);
		/* It is told whatever it says itself. */
		assert_non_null(script_notify(&s, WIRE_N_CAPABILITIES));
		script_done(&s);
		pair_done(&p);
	}
}

static void capabilities_of_a_responder(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(saids); i++) {
		const struct said *v = &saids[i];
		struct script s;
		struct pair p;

		pair_init(&p, 1);
		both_announce(&p);
		pair_start_a(&p);
		script_init(&s, p.w, "192.0.2.2", p.a, false);
		s.id = "b.example";
		s.vendor = test_vendor();
		connect(p.a);
		assert_true(script_take(&s));
		script_answer_init(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_CAPABILITIES));
		script_begin(&s, WIRE_IKE_AUTH, RESPONSE);
		script_put_id(&s);
		script_put_auth(&s);
		script_put_sa(&s, s.esp, s.spi_esp);
		script_put_ts(&s, "10.1.0.0/16", "10.2.0.0/16");
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_CAPABILITIES,
				bytes_of(v->data, v->n));
		script_send(&s);
		world_run(p.w);
		if (node_sa(p.a).info.capabilities != v->flags ||
		    try_to_ask(p.a) != (v->announced ? ST_OK : ST_INVAL))
			fail_msg("%s", v->what);
		script_done(&s);
		pair_done(&p);
	}
}

/* Who did not say that it is a warren hears nothing of it, and is not believed. */
static void capabilities_of_a_stranger(void **state)
{
	static const uint8_t data[] = { 1, 0, 0, 0, 7 };
	struct pair *p = *state;
	struct script s;

	both_announce(p);
	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_sa_init(&s);
	assert_true(script_exchange(&s) && s.keyed);
	script_begin(&s, WIRE_IKE_AUTH, REQUEST);
	script_put_auth_request(&s);
	wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_CAPABILITIES,
			BYTES_OF(data));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_null(script_notify(&s, WIRE_N_CAPABILITIES));
	assert_int_equal(node_sa(p->b).info.capabilities, 0);
	assert_int_equal(try_to_ask(p->b), ST_INVAL);
	script_done(&s);
}

/* ---- where there are no words ---------------------------------------------------------------- */

static void put_word(struct script *s, uint16_t type, size_t n)
{
	wire_put_notify(&s->out, WIRE_PROTO_NONE, bytes_of(NULL, 0), type,
			bytes_of(word_bytes(), n));
}

/* The node has refused what the script said, and given the SA up. */
static void refused(struct pair *p, struct script *s, uint8_t exchange, const char *words)
{
	assert_true(script_exchange(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), exchange);
	assert_non_null(script_notify(s, WIRE_N_INVALID_SYNTAX));
	assert_true(node_is_down(p->b));
	because(p->b, IKE_EV_REFUSED, IKE_R_MALFORMED);
	says(p->b, IKE_EV_REFUSED, words);
	assert_int_equal(p->b->n_asked, 0);
}

/* The same as with an exchange that nobody has ever heard of. */
static void no_such_exchange(void **state)
{
	static const uint8_t exchanges[] = { WIRE_SHORTCUT, WIRE_SHORTCUT - 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exchanges); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 3);
		script_speaks(&p, &s, bytes_of(NULL, 0));
		script_begin(&s, exchanges[i], REQUEST);
		put_word(&s, WIRE_N_SHORTCUT_SUGGEST, 40);
		script_send(&s);
		refused(&p, &s, exchanges[i], "there is no such exchange");
		assert_int_equal(node_counter(p.b, "ike.rx.unexpected"), 1);
		script_done(&s);
		pair_done(&p);
	}
}

/* We announced nothing: so neither did they, as far as we are concerned. */
static void nobody_to_say_it_to(void **state)
{
	static const uint8_t data[] = { 1, 0, 0, 0, 7 };
	struct pair *p = *state;
	struct script s;

	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.vendor = test_vendor();
	script_sa_init(&s);
	assert_true(script_exchange(&s) && s.keyed);
	script_begin(&s, WIRE_IKE_AUTH, REQUEST);
	script_put_auth_request(&s);
	wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_CAPABILITIES,
			BYTES_OF(data));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_null(script_notify(&s, WIRE_N_CAPABILITIES));
	script_begin(&s, WIRE_SHORTCUT, REQUEST);
	put_word(&s, WIRE_N_SHORTCUT_SUGGEST, 40);
	script_send(&s);
	refused(p, &s, WIRE_SHORTCUT, "there is no such exchange");
	script_done(&s);
}

/* Before anybody has proved anything: dropped, and IKE_AUTH goes on. */
static void before_it_is_up(void **state)
{
	struct pair *p = *state;
	struct script s;

	both_announce(p);
	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.vendor = test_vendor();
	script_sa_init(&s);
	assert_true(script_exchange(&s) && s.keyed);
	for (int response = 0; response < 2; response++) {
		script_begin_id(&s, WIRE_SHORTCUT, response, 1);
		put_word(&s, WIRE_N_SHORTCUT_SUGGEST, 40);
		script_send(&s);
		world_run(p->w);
	}
	assert_false(script_take(&s));
	assert_int_equal(p->b->n_asked, 0);
	assert_int_equal(node_counter(p->b, "ike.rx.unexpected"), 1);
	assert_int_equal(node_counter(p->b, "ike.rx.stray_response"), 1);
	script_begin_id(&s, WIRE_IKE_AUTH, REQUEST, 1);
	script_put_auth_request(&s);
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_true(node_sa(p->b).info.established);
	script_done(&s);
}

/* ---- questions ------------------------------------------------------------------------------ */

struct question {
	const char *what;
	uint16_t type[2]; /* 0: none */
	uint8_t proto;
	uint8_t n_spi;
};

static const struct question questions[] = {
	{ "no notify", { 0 }, 0, 0 },
	{ "two", { WIRE_N_SHORTCUT_SUGGEST, WIRE_N_SHORTCUT_SUGGEST }, 0, 0 },
	{ "one more", { WIRE_N_SHORTCUT_SUGGEST, WIRE_N_INITIAL_CONTACT }, 0, 0 },
	{ "an answer", { WIRE_N_SHORTCUT_ACCEPT }, 0, 0 },
	{ "a refusal", { WIRE_N_SHORTCUT_REFUSED }, 0, 0 },
	{ "the first behind ours", { WIRE_N_SHORTCUT_ASK + 1 }, 0, 0 },
	{ "the proof", { WIRE_N_SHORTCUT_PROOF }, 0, 0 },
	{ "capabilities", { WIRE_N_CAPABILITIES }, 0, 0 },
	{ "another status", { WIRE_N_INITIAL_CONTACT }, 0, 0 },
	{ "an error", { WIRE_N_TEMPORARY_FAILURE }, 0, 0 },
	{ "a protocol", { WIRE_N_SHORTCUT_SUGGEST }, WIRE_PROTO_ESP, 0 },
	{ "a protocol and an SPI", { WIRE_N_SHORTCUT_SUGGEST }, WIRE_PROTO_ESP, 4 },
	{ "an SPI", { WIRE_N_SHORTCUT_SUGGEST }, 0, 4 },
};

static void put_question(struct script *s, const struct question *q)
{
	for (size_t i = 0; i < ARRAY_LEN(q->type) && q->type[i]; i++)
		wire_put_notify(&s->out, q->proto, bytes_of(word_bytes(), q->n_spi), q->type[i],
				bytes_of(word_bytes(), 24));
}

static void malformed_questions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 4);
		script_speaks_well(&p, &s);
		script_begin(&s, WIRE_SHORTCUT, REQUEST);
		put_question(&s, &questions[i]);
		script_send(&s);
		refused(&p, &s, WIRE_SHORTCUT, "exactly one notify");
		assert_int_equal(node_counter(p.b, "ike.word.malformed"), 1);
		script_done(&s);
		pair_done(&p);
	}
}

/* One notify of `n` bytes, in fragments. */
static void say_in_fragments(struct script *s, size_t n)
{
	static uint8_t chain[8 + IKE_MAX_WORD + 1];
	struct wire_fragment f = { .first = WIRE_P_NOTIFY, .total = 5 };
	struct bytes rest = bytes_of(chain, 8 + n);
	uint32_t msgid = s->next_send++;

	store_be16(chain + 2, (uint16_t)rest.n);
	store_be16(chain + 6, WIRE_N_SHORTCUT_SUGGEST);
	memcpy(chain + 8, word_bytes(), n);
	for (f.number = 1; f.number <= f.total; f.number++) {
		f.piece = bytes_of(rest.p, rest.n < 12000 ? rest.n : 12000);
		rest = bytes_of(rest.p + f.piece.n, rest.n - f.piece.n);
		script_begin_fragment(s, WIRE_SHORTCUT, REQUEST, msgid, &f);
		script_send(s);
	}
	assert_int_equal(rest.n, 0);
}

/* As large as it may be, and a byte more. */
static void too_large(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		static const uint8_t data[] = { 1, 0, 0, 0, 1 };
		struct script s;
		struct pair p;

		pair_init(&p, 5);
		p.pb->fragmentation = true;
		both_announce(&p);
		test_conf_addresses(p.cb, p.pb, "");
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		s.vendor = test_vendor();
		s.fragmentation = true;
		script_sa_init(&s);
		assert_true(script_exchange(&s) && s.keyed);
		script_begin(&s, WIRE_IKE_AUTH, REQUEST);
		script_put_auth_request(&s);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_CAPABILITIES,
				BYTES_OF(data));
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		say_in_fragments(&s, IKE_MAX_WORD + more);
		if (more)
			refused(&p, &s, WIRE_SHORTCUT, "exactly one notify");
		else
			world_run(p.w);
		if (!more)
			came(p.b, IKE_MAX_WORD);
		script_done(&s);
		pair_done(&p);
	}
}

/* What else is in it is ignored (RFC 7296 section 2.5), unless it is critical. */
static void something_beside_it(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_speaks_well(p, &s);
	script_begin(&s, WIRE_SHORTCUT, REQUEST);
	wire_put_delete(&s.out, WIRE_PROTO_IKE, 0, bytes_of(NULL, 0));
	put_word(&s, WIRE_N_SHORTCUT_SUGGEST, 40);
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_non_null(script_notify(&s, WIRE_N_SHORTCUT_ACCEPT));
	came(p->b, 40);
	assert_true(node_sa(p->b).info.established);
	script_done(&s);
}

/* In the clear, from the future, from the past, and again with other content. */
static void not_as_it_should_come(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_speaks_well(p, &s);
	script_begin_clear(&s, WIRE_SHORTCUT, REQUEST, 2);
	put_word(&s, WIRE_N_SHORTCUT_SUGGEST, 40);
	script_send(&s);
	world_run(p->w);
	assert_int_equal(node_counter(p->b, "ike.rx.unprotected"), 1);
	for (uint32_t id = 0; id < 2; id++) {
		script_begin_id(&s, WIRE_SHORTCUT, REQUEST, 3 * id);
		put_word(&s, WIRE_N_SHORTCUT_SUGGEST, 40);
		script_send(&s);
		world_run(p->w);
	}
	assert_int_equal(node_counter(p->b, "ike.rx.future_request"), 1);
	assert_int_equal(node_counter(p->b, "ike.rx.old_request"), 1);
	p->b->hold = HOLD_WORDS;
	for (size_t n = 40; n < 42; n++) {
		script_begin_id(&s, WIRE_SHORTCUT, REQUEST, 2);
		put_word(&s, WIRE_N_SHORTCUT_SUGGEST, n);
		script_send(&s);
		world_run(p->w);
	}
	assert_int_equal(node_counter(p->b, "ike.rx.forged_repeat"), 1);
	came(p->b, 40);
	assert_int_equal(p->b->n_asked, 1);
	assert_false(script_take(&s));
	node_release(p->b);
	assert_true(script_take(&s) && s.opened);
	assert_non_null(script_notify(&s, WIRE_N_SHORTCUT_ACCEPT));
	script_done(&s);
}

/* ---- answers -------------------------------------------------------------------------------- */

static const struct question answers[] = {
	{ "nothing", { 0 }, 0, 0 },
	{ "two", { WIRE_N_SHORTCUT_ACCEPT, WIRE_N_SHORTCUT_ACCEPT }, 0, 0 },
	{ "yes and no", { WIRE_N_SHORTCUT_ACCEPT, WIRE_N_SHORTCUT_REFUSED }, 0, 0 },
	{ "a question", { WIRE_N_SHORTCUT_SUGGEST }, 0, 0 },
	{ "another status", { WIRE_N_INITIAL_CONTACT }, 0, 0 },
	{ "one of nobody", { WIRE_N_SHORTCUT_ASK + 1 }, 0, 0 },
	{ "a protocol", { WIRE_N_SHORTCUT_ACCEPT }, WIRE_PROTO_ESP, 0 },
	{ "an SPI", { WIRE_N_SHORTCUT_ACCEPT }, WIRE_PROTO_ESP, 4 },
	{ "an error", { WIRE_N_TEMPORARY_FAILURE }, 0, 0 },
	{ "an error that nobody knows", { 9999 }, 0, 0 },
};

/* The word is told of, and the SA goes on. */
static void malformed_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		bool error = answers[i].type[0] && answers[i].type[0] < WIRE_N_STATUS_FIRST;
		struct script s;
		struct pair p;
		uint64_t id;

		pair_init(&p, 6);
		script_speaks_well(&p, &s);
		id = ask(p.b);
		assert_true(script_take(&s) && s.opened);
		script_begin(&s, WIRE_SHORTCUT, RESPONSE);
		put_question(&s, &answers[i]);
		script_send(&s);
		world_run(p.w);
		became(p.b, id, ST_IO);
		assert_int_equal(p.b->n_answered, 1);
		because(p.b, IKE_EV_REFUSED, error ? IKE_R_PEER_SAID : IKE_R_MALFORMED);
		says(p.b, IKE_EV_REFUSED, "SHORTCUT_SUGGEST");
		assert_int_equal(
			node_counter(p.b, error ? "ike.word.refused" : "ike.word.answer_malformed"),
			1);
		assert_true(node_sa(p.b).info.established);
		id = ask(p.b);
		assert_true(script_take(&s) && s.opened);
		script_begin(&s, WIRE_SHORTCUT, RESPONSE);
		put_word(&s, WIRE_N_SHORTCUT_ACCEPT, 16);
		script_send(&s);
		world_run(p.w);
		became(p.b, id, ST_OK);
		script_done(&s);
		pair_done(&p);
	}
}

/* It gives the SA up: nothing that waits will be said. */
static void the_sa_is_given_up(void **state)
{
	static const uint16_t fatal[] = { WIRE_N_INVALID_SYNTAX, WIRE_N_AUTHENTICATION_FAILED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 8);
		script_speaks_well(&p, &s);
		(void)ask(p.b);
		(void)ask(p.b);
		assert_true(script_take(&s) && s.opened);
		script_begin(&s, WIRE_SHORTCUT, RESPONSE);
		put_word(&s, fatal[i], 0);
		script_send(&s);
		world_run(p.w);
		assert_int_equal(p.b->n_answered, 2);
		assert_int_equal(p.b->n_open, 0);
		assert_int_equal(p.b->answered[0].status, ST_IO);
		assert_int_equal(p.b->answered[1].status, ST_IO);
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

/* An answer to nothing, of another exchange, with another number, and twice. */
static void answers_to_nothing(void **state)
{
	static const uint8_t exchanges[] = { WIRE_SHORTCUT, WIRE_INFORMATIONAL, WIRE_SHORTCUT };
	static const uint32_t ids[] = { 1, 0, 0 };
	struct pair *p = *state;
	struct script s;
	uint64_t id;

	script_speaks_well(p, &s);
	script_begin_id(&s, WIRE_SHORTCUT, RESPONSE, 0);
	put_word(&s, WIRE_N_SHORTCUT_ACCEPT, 16);
	script_send(&s);
	world_run(p->w);
	assert_int_equal(node_counter(p->b, "ike.rx.stray_response"), 1);
	id = ask(p->b);
	assert_true(script_take(&s) && s.opened);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_int_equal(p->b->n_answered, 0);
		script_begin_id(&s, exchanges[i], RESPONSE, ids[i]);
		put_word(&s, WIRE_N_SHORTCUT_ACCEPT, 16);
		script_send(&s);
		world_run(p->w);
	}
	became(p->b, id, ST_OK);
	script_begin_id(&s, WIRE_SHORTCUT, RESPONSE, 0);
	put_word(&s, WIRE_N_SHORTCUT_REFUSED, 16);
	script_send(&s);
	world_run(p->w);
	assert_int_equal(p->b->n_answered, 1);
	assert_int_equal(node_counter(p->b, "ike.rx.stray_response"), 4);
	assert_true(node_sa(p->b).info.established);
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_of_an_initiator),
		cmocka_unit_test(capabilities_of_a_responder),
		pair_test(capabilities_of_a_stranger),
		cmocka_unit_test(no_such_exchange),
		pair_test(nobody_to_say_it_to),
		pair_test(before_it_is_up),
		cmocka_unit_test(malformed_questions),
		cmocka_unit_test(too_large),
		pair_test(something_beside_it),
		pair_test(not_as_it_should_come),
		cmocka_unit_test(malformed_answers),
		cmocka_unit_test(the_sa_is_given_up),
		pair_test(answers_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
