/*
 * Quick crash detection (RFC 6290), and words in the clear that an SA is gone (RFC 7296
 *sections 1.5 and 2.21.4): who lost an SA proves it, nobody else can end one (F7, S2).
 *
 *	a, who called			b, who was called, and restarts
 */
#include "exchange/exchange.h"

static void with_tokens(struct pair *p)
{
	p->pa->qcd = p->pb->qcd = true;
	p->pa->start = IKE_START_UP;
}

static void up(struct pair *p)
{
	with_tokens(p);
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	world_advance(p->w, dur_ms(DP_ANSWER_MS)); /* what is sent now is no answer */
}

/* The token that a node has for those SPIs, as the provider makes it. */
static struct crypto_result token_of(const struct node *n, uint64_t spi_i, uint64_t spi_r)
{
	struct crypto_result r;
	struct crypto_job *job;

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_QCD, &job), ST_OK);
	job->in.qcd = (struct crypto_qcd_in){ spi_i, spi_r };
	crypto_fake_run(n->fake, job, &r);
	crypto_job_free(job);
	assert_int_equal(r.status, ST_OK);
	return r;
}

static struct bytes token_bytes(const struct crypto_result *r)
{
	return bytes_of(r->qcd, sizeof(r->qcd));
}

/* Whether that token is under way anywhere, in the clear. */
static bool revealed(struct world *w, struct bytes token)
{
	struct packet *p;

	for (size_t i = 0; (p = world_packet(w, i)); i++)
		for (size_t at = 0; at + token.n <= p->n; at++)
			if (memcmp(p->data + at, token.p, token.n) == 0)
				return true;
	return false;
}

/* ---- messages in the clear ------------------------------------------------------------------ */

struct clear {
	struct wire_hdr h;
	struct wire_out o;
	uint8_t buf[2048];
};

static void clear_begin(struct clear *c, uint64_t spi_i, uint64_t spi_r, uint8_t flags,
			uint32_t msgid)
{
	c->h = (struct wire_hdr){ .spi_i = spi_i,
				  .spi_r = spi_r,
				  .version = WIRE_IKE_VERSION,
				  .exchange = WIRE_INFORMATIONAL,
				  .flags = flags,
				  .msgid = msgid };
	wire_ike_begin(&c->o, c->buf, sizeof(c->buf), &c->h);
}

static void clear_notify(struct clear *c, uint16_t type, struct bytes data)
{
	wire_put_notify(&c->o, type == WIRE_N_QUICK_CRASH_DETECTION ? WIRE_PROTO_IKE : 0,
			bytes_of(NULL, 0), type, data);
}

static void clear_send(struct clear *c, struct node *to, const char *from, uint16_t port)
{
	struct bytes msg;

	assert_int_equal(wire_ike_end(&c->o, &msg), ST_OK);
	node_input(to, test_endpoint(from, port), 500, msg);
}

/* INVALID_IKE_SPI as b would say it, with these tokens, to a. */
static void say_lost(struct pair *p, const char *from, const struct bytes *tokens, size_t n)
{
	struct ike_sa_info sa = node_sa(p->a).info;
	struct clear c;

	clear_begin(&c, sa.spi_i, sa.spi_r,
		    WIRE_FLAG_RESPONSE | (sa.initiator ? 0 : WIRE_FLAG_INITIATOR), 2);
	clear_notify(&c, WIRE_N_INVALID_IKE_SPI, bytes_of(NULL, 0));
	for (size_t i = 0; i < n; i++)
		clear_notify(&c, WIRE_N_QUICK_CRASH_DETECTION, tokens[i]);
	clear_send(&c, p->a, from, 500);
}

/* ---- tokens are given (sections 4.2 and 4.3) ----------------------------------------------- */

/* In both messages of IKE_AUTH, behind AUTH and in front of what is about the child. */
static void in_ike_auth(void **state)
{
	struct pair *p = *state;

	with_tokens(p);
	pair_start(p);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	next_notifies(p->w, WIRE_N_QUICK_CRASH_DETECTION);
	deliver_any(p->w);
	next_is(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	next_notifies(p->w, WIRE_N_QUICK_CRASH_DETECTION);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

static void not_configured(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++) {
		struct pair p;

		pair_init(&p, 77);
		with_tokens(&p);
		(who ? p.pb : p.pa)->qcd = false;
		pair_start(&p);
		deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		assert_int_equal(
			packet_notifies(p.w, world_packet(p.w, 0), WIRE_N_QUICK_CRASH_DETECTION),
			who);
		deliver_any(p.w);
		assert_int_equal(
			packet_notifies(p.w, world_packet(p.w, 0), WIRE_N_QUICK_CRASH_DETECTION),
			!who);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		/* Nobody has a token that the other one could show. */
		node_restart(p.b);
		p.a->looks = true;
		node_packet(p.a, "10.1.0.1", "10.2.0.1");
		world_live(p.w, dur_s(30));
		assert_int_equal(node_counter(p.a, "ike.qcd.accepted"), 0);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* A site answers no stranger, so it has nothing to prove; it takes its hub's token. */
static void network(void **state)
{
	struct pair *p = *state;

	pair_network(p);
	with_tokens(p);
	pair_start(p);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	assert_false(packet_notifies(p->w, world_packet(p->w, 0), WIRE_N_QUICK_CRASH_DETECTION));
	deliver_any(p->w);
	next_notifies(p->w, WIRE_N_QUICK_CRASH_DETECTION);
	world_run(p->w);
	p->a->looks = true;
	node_restart(p->b);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_live(p->w, dur_s(5));
	assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 1);
	assert_int_equal(p->b->n_children, 1);
}

/* The job fails, at whichever end: there is no token, and nothing else is missing. */
static void no_token_no_harm(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++)
		for (long nth = 0; nth < 6; nth++) {
			struct pair p;

			pair_init(&p, 78);
			with_tokens(&p);
			pair_start_a(&p);
			pair_start_b(&p);
			(who ? p.b : p.a)->fail_job = nth;
			world_live(p.w, dur_s(30));
			assert_true(pair_is_up(&p));
			pair_done(&p);
		}
}

/* ---- the peer shows it (sections 3 and 4.5) ------------------------------------------------ */

/* a: HDR, SK {}  ->	<- b: HDR, N(INVALID_IKE_SPI), N(QCD_TOKEN); the SA is gone at once, without
 * a word, and another one is made. */
static void restart(void **state)
{
	struct pair *p = *state;
	struct ike_sa_info old;
	struct crypto_result t;
	mono_t begin;

	up(p);
	p->a->looks = true;
	old = node_sa(p->a).info;
	t = token_of(p->b, old.spi_i, old.spi_r);
	node_restart(p->b);
	begin = p->w->now.mono;
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_drop_all(p->w);
	world_advance(p->w, dur_ms(DP_SILENCE_MS));
	deliver(p->w, p->a, WIRE_INFORMATIONAL, REQUEST, 2);
	next_is(p->w, p->b, WIRE_INFORMATIONAL, RESPONSE, 2);
	next_notifies(p->w, WIRE_N_INVALID_IKE_SPI);
	next_notifies(p->w, WIRE_N_QUICK_CRASH_DETECTION);
	assert_true(revealed(p->w, token_bytes(&t)));
	deliver_any(p->w);
	/* Not a word about the old one. */
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	world_run(p->w);
	assert_true(pair_is_up(p));
	print_message("# up again %lld ms after the restart\n",
		      (long long)dur_to_ms(mono_since(p->w->now.mono, begin)));
	assert_int_equal(node_counter(p->b, "ike.qcd.sent"), 1);
	assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 0);
	says(p->a, IKE_EV_SA_DOWN, "QCD token");
}

/* Section 3: from any address and port; section 4.5: any of four. */
static void from_anywhere(void **state)
{
	struct pair *p = *state;
	struct crypto_result t, other;
	struct ike_sa_info old;
	struct bytes tokens[4];

	up(p);
	old = node_sa(p->a).info;
	t = token_of(p->b, old.spi_i, old.spi_r);
	other = token_of(p->a, old.spi_i, old.spi_r);
	for (int i = 0; i < 3; i++)
		tokens[i] = token_bytes(&other);
	tokens[3] = token_bytes(&t);
	say_lost(p, "198.51.100.99", tokens, 3);
	assert_int_equal(node_counter(p->a, "ike.qcd.wrong"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	say_lost(p, "198.51.100.99", tokens, 4);
	assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 1);
	/* Once more is about nothing. */
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 1);
}

/* Other SPIs, another token; the one before is no good any more. */
static void after_a_rekey(void **state)
{
	for (int who = 0; who < 2; who++) {
		struct pair q, *p = &q;
		struct ike_cmd rekey = { .kind = IKE_CMD_REKEY_SA, .peer = PAIR_PEER };
		struct crypto_result before, after;
		struct ike_sa_info old, fresh;
		struct bytes t;

		(void)state;
		pair_init(p, 80 + (uint64_t)who);
		up(p);
		old = node_sa(p->a).info;
		assert_int_equal(node_cmd(who ? p->b : p->a, &rekey), ST_OK);
		world_live(p->w, dur_s(5));
		assert_true(pair_is_up(p));
		fresh = node_sa(p->a).info;
		assert_true(fresh.spi_i != old.spi_i);
		before = token_of(p->b, old.spi_i, old.spi_r);
		after = token_of(p->b, fresh.spi_i, fresh.spi_r);
		t = token_bytes(&before);
		say_lost(p, "192.0.2.2", &t, 1);
		assert_int_equal(node_counter(p->a, "ike.qcd.wrong"), 1);
		assert_true(pair_is_up(p));
		t = token_bytes(&after);
		say_lost(p, "192.0.2.2", &t, 1);
		assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 1);
		pair_done(p);
	}
}

/* A gateway that loses everything again and again is not called more often than that. */
static void not_too_often(void **state)
{
	struct pair *p = *state;

	up(p);
	p->a->looks = true;
	for (int i = 0; i < 200; i++) {
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
		world_live(p->w, dur_ms(100));
		if (p->b->n_children)
			node_restart(p->b);
	}
	/* 20 seconds, in which a call is made every other one. */
	assert_true(node_counter(p->a, "ike.qcd.accepted") >= 3);
	assert_true(node_events(p->a, IKE_EV_CONNECTING) <= 1 + 20 / 2 + 2);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
}

/* ---- a token is never told for an SA that lives (section 9.2) ------------------------------ */

/* Whoever saw a message of the SA may send it again with other flags, SPIs, numbers: all that is
 * ever answered are SPIs that are nobody's. */
static void not_for_the_living(void **state)
{
	struct pair *p = *state;
	struct ike_sa_info sa;
	struct crypto_result t;
	struct packet *seen;

	up(p);
	sa = node_sa(p->a).info;
	t = token_of(p->b, sa.spi_i, sa.spi_r);
	p->a->looks = true;
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_drop_all(p->w);
	world_advance(p->w, dur_ms(DP_SILENCE_MS));
	seen = packet_keep(world_packet(p->w, 0));
	assert_int_equal(packet_exchange(seen), WIRE_INFORMATIONAL);
	for (unsigned how = 0; how < 64; how++) {
		uint64_t sent = node_counter(p->b, "ike.qcd.sent");
		struct packet *q = packet_keep(seen);
		uint8_t *m = q->data;

		if (how & 1)
			m[19] ^= WIRE_FLAG_INITIATOR;
		if (how & 2) { /* the SPIs change places */
			uint8_t spi[8];

			memcpy(spi, m, 8);
			memcpy(m, m + 8, 8);
			memcpy(m + 8, spi, 8);
		}
		if (how & 4)
			m[23] ^= 0x55; /* message id */
		if (how & 8)
			m[18] = WIRE_CREATE_CHILD_SA;
		if (how & 16)
			m[0] ^= 1; /* not the SA's any more, but half of it is */
		if (how & 32)
			m[15] ^= 1;
		q->src = test_endpoint("198.51.100.66", 500);
		world_hand_over(p->w, q);
		assert_false(revealed(p->w, token_bytes(&t)));
		if (!(how & (16 | 32)))
			assert_int_equal(node_counter(p->b, "ike.qcd.sent"), sent);
		packet_free(q);
		world_drop_all(p->w);
	}
	packet_free(seen);
	p->b->unplugged = false;
	world_live(p->w, dur_s(20));
	assert_true(pair_is_up(p));
}

/* The SA comes up while a token is being computed for its SPIs: it is not told any more. */
static void not_while_it_came_up(void **state)
{
	struct pair *p = *state;
	struct ike_sa_info sa;
	struct crypto_result t;
	struct packet *seen;

	up(p);
	sa = node_sa(p->a).info;
	t = token_of(p->b, sa.spi_i, sa.spi_r);
	p->a->looks = true;
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_drop_all(p->w);
	world_advance(p->w, dur_ms(DP_SILENCE_MS));
	seen = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	node_kill(p->b);
	p->b->seed += 0; /* the same randomness: the same SPIs again */
	assert_int_equal(node_start(p->b), ST_OK);
	p->b->hold = HOLD_JOBS;
	world_hand_over(p->w, seen);
	assert_int_equal(node_held(p->b, PENDING_JOB), 1);
	assert_int_equal(node_pending(p->b, PENDING_JOB, 0)->job->kind, CRYPTO_JOB_QCD);
	node_kill(p->a);
	assert_int_equal(node_start(p->a), ST_OK);
	/* a calls with the SPIs of before, and gets those of before. */
	while (world_packet(p->w, 0)) {
		deliver_any(p->w);
		while (node_held(p->b, PENDING_JOB) > 1)
			node_answer(p->b, node_pending(p->b, PENDING_JOB, 1));
	}
	if (p->a->n_children) {
		assert_true(node_sa(p->a).info.spi_r == sa.spi_r);
		assert_int_equal(node_held(p->b, PENDING_JOB), 1);
		node_answer(p->b, node_pending(p->b, PENDING_JOB, 0));
		assert_false(revealed(p->w, token_bytes(&t)));
		assert_int_equal(node_counter(p->b, "ike.qcd.sent"), 0);
	} else {
		fail_msg("the same randomness did not make the same SA");
	}
	packet_free(seen);
}

/* ---- floods (sections 8.1 and 9.3) --------------------------------------------------------- */

static void strange_request(struct pair *p, uint64_t n, const char *from)
{
	uint8_t body[64] = { 0 };
	struct clear c;

	clear_begin(&c, 0x1000 + n, 0x2000 + n, WIRE_FLAG_INITIATOR, 5);
	wire_put_raw(&c.o, WIRE_P_SK, BYTES_OF(body));
	clear_send(&c, p->b, from, 500);
}

static void flood(void **state)
{
	struct pair *p = *state;
	uint64_t sent;

	up(p);
	/* One source: it gets a few. */
	for (uint64_t i = 0; i < 1000; i++)
		strange_request(p, i, "198.51.100.1");
	assert_true(node_counter(p->b, "ike.qcd.sent") <= 8);
	assert_true(node_counter(p->b, "ike.qcd.limited") >= 1000 - 8);
	/* It may not get INVALID_IKE_SPI more often than anybody. */
	assert_true(world_packets(p->w) <= 8 + 10);
	/* Somebody else gets his all the same. */
	sent = node_counter(p->b, "ike.qcd.sent");
	strange_request(p, 5000, "203.0.113.9");
	assert_int_equal(node_counter(p->b, "ike.qcd.sent"), sent + 1);
	/* Sources that are made up: so many in a second, */
	world_drop_all(p->w);
	world_advance(p->w, dur_s(2));
	sent = node_counter(p->b, "ike.qcd.sent");
	for (uint64_t i = 0; i < 4000; i++) {
		char from[24];

		snprintf(from, sizeof(from), "10.%u.%u.7", (unsigned)(i >> 8), (unsigned)(i & 255));
		strange_request(p, i, from);
		world_drop_all(p->w);
	}
	assert_true(node_counter(p->b, "ike.qcd.sent") - sent <= 1000);
	/* and a few when the start is long ago. */
	world_live(p->w, dur_s(700));
	sent = node_counter(p->b, "ike.qcd.sent");
	for (uint64_t i = 0; i < 4000; i++) {
		char from[24];

		snprintf(from, sizeof(from), "10.%u.%u.7", (unsigned)(i >> 8), (unsigned)(i & 255));
		strange_request(p, i, from);
		world_drop_all(p->w);
	}
	assert_true(node_counter(p->b, "ike.qcd.sent") - sent <= 20);
	assert_true(pair_is_up(p));
}

/* Slow jobs: no more of them than that, and those that ask meanwhile get what they got before. */
static void pending(void **state)
{
	struct pair *p = *state;

	up(p);
	p->b->hold = HOLD_JOBS;
	for (uint64_t i = 0; i < 500; i++) {
		char from[24];

		snprintf(from, sizeof(from), "10.9.%u.7", (unsigned)(i % 251));
		strange_request(p, i, from);
	}
	assert_true(node_held(p->b, PENDING_JOB) <= 128);
	assert_true(world_packets(p->w) > 0); /* INVALID_IKE_SPI */
	node_release(p->b);
	assert_true(node_counter(p->b, "ike.qcd.sent") <= 128);
	world_drop_all(p->w);
	assert_true(pair_is_up(p));
}

/* What does not look like a message of an SA gets no token. */
static void not_protected(void **state)
{
	struct pair *p = *state;
	uint8_t body[64] = { 0 };
	struct clear c;

	up(p);
	clear_begin(&c, 77, 78, WIRE_FLAG_INITIATOR, 5);
	clear_notify(&c, WIRE_N_INITIAL_CONTACT, bytes_of(NULL, 0));
	clear_send(&c, p->b, "198.51.100.1", 500);
	clear_begin(&c, 77, 78, WIRE_FLAG_INITIATOR, 5);
	wire_put_raw(&c.o, WIRE_P_SK, bytes_of(body, 4)); /* shorter than any */
	clear_send(&c, p->b, "198.51.100.1", 500);
	clear_begin(&c, 77, 0, WIRE_FLAG_INITIATOR, 5);
	wire_put_raw(&c.o, WIRE_P_SK, BYTES_OF(body));
	clear_send(&c, p->b, "198.51.100.1", 500);
	clear_begin(&c, 77, 78, WIRE_FLAG_INITIATOR | WIRE_FLAG_RESPONSE, 5);
	wire_put_raw(&c.o, WIRE_P_SK, BYTES_OF(body));
	clear_send(&c, p->b, "198.51.100.1", 500);
	assert_int_equal(node_counter(p->b, "ike.qcd.sent"), 0);
	/* An IKE_AUTH for an SA that is gone: the other end has no token of it yet. */
	clear_begin(&c, 77, 78, WIRE_FLAG_INITIATOR, 1);
	wire_put_raw(&c.o, WIRE_P_SK, BYTES_OF(body));
	c.buf[18] = WIRE_IKE_AUTH;
	clear_send(&c, p->b, "198.51.100.1", 500);
	assert_int_equal(node_counter(p->b, "ike.qcd.sent"), 0);
}

/* ---- forged tokens ------------------------------------------------------------------------- */

static void forged(void **state)
{
	struct pair *p = *state;
	struct ike_sa_info sa;
	struct crypto_result t;
	uint8_t guess[160] = { 0 };
	struct bytes tokens[8];

	up(p);
	sa = node_sa(p->a).info;
	t = token_of(p->b, sa.spi_i, sa.spi_r);
	memcpy(guess, t.qcd, sizeof(t.qcd));
	for (size_t n = 0; n <= 130; n++) {
		if (n == CRYPTO_QCD_LEN)
			continue;
		tokens[0] = bytes_of(guess, n); /* a beginning, or more than all of it */
		say_lost(p, "192.0.2.2", tokens, 1);
	}
	for (size_t bit = 0; bit < 8 * CRYPTO_QCD_LEN; bit++) {
		guess[bit / 8] ^= (uint8_t)(1 << bit % 8);
		tokens[0] = bytes_of(guess, CRYPTO_QCD_LEN);
		say_lost(p, "192.0.2.2", tokens, 1);
		guess[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
		tokens[i] = bytes_of(guess + i + 1, CRYPTO_QCD_LEN);
	say_lost(p, "192.0.2.2", tokens, ARRAY_LEN(tokens));
	/* So many at once are not even read. */
	assert_int_equal(node_counter(p->a, "ike.qcd.wrong"), 130 + 256 + 1);
	assert_int_equal(node_events(p->a, IKE_EV_HINT), 1);
	says(p->a, IKE_EV_HINT, "came from 192.0.2.2:500");
	for (int i = 0; i < 1000; i++)
		say_lost(p, "192.0.2.2", tokens, 1);
	assert_true(node_counter(p->a, "ike.qcd.wrong") <= 500);
	assert_true(node_counter(p->a, "ike.rx.hint_limited") > 0);
	/* Nothing else happened: not a word, not a probe more than one for such a hint. */
	assert_true(world_packets(p->w) <= 1);
	world_live(p->w, dur_s(5));
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
}

/* Who was called keeps no token: nothing can be shown to it. */
static void responder_keeps_none(void **state)
{
	struct pair *p = *state;
	struct ike_sa_info sa;
	struct crypto_result t;
	struct clear c;

	up(p);
	sa = node_sa(p->b).info;
	t = token_of(p->a, sa.spi_i, sa.spi_r);
	clear_begin(&c, sa.spi_i, sa.spi_r, WIRE_FLAG_INITIATOR | WIRE_FLAG_RESPONSE, 0);
	clear_notify(&c, WIRE_N_INVALID_IKE_SPI, bytes_of(NULL, 0));
	clear_notify(&c, WIRE_N_QUICK_CRASH_DETECTION, token_bytes(&t));
	clear_send(&c, p->b, "192.0.2.1", 500);
	assert_int_equal(node_counter(p->b, "ike.qcd.accepted"), 0);
	assert_int_equal(node_counter(p->b, "ike.qcd.wrong"), 1);
	assert_int_equal(node_events(p->b, IKE_EV_HINT), 0);
	assert_true(pair_is_up(p));
}

/* Tokens that the RFC does not allow are not kept, and harm nobody. */
static void odd_tokens(void **state)
{
	static const struct {
		size_t n;
		bool good;
	} sizes[] = { { 0, false },  { 15, false },  { 16, true },
		      { 128, true }, { 129, false }, { 1000, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pair p;
		struct script s;
		uint8_t raw[1000];

		memset(raw, 0x5a, sizeof(raw));
		pair_init(&p, 90 + i);
		with_tokens(&p);
		script_asked_for_auth(&p, &s);
		script_begin(&s, WIRE_IKE_AUTH, true);
		script_put_id(&s);
		script_put_auth(&s);
		wire_put_notify(&s.out, WIRE_PROTO_IKE, bytes_of(NULL, 0),
				WIRE_N_QUICK_CRASH_DETECTION, bytes_of(raw, sizes[i].n));
		script_put_sa(&s, s.esp, s.spi_esp);
		script_put_ts(&s, "10.1.0.0/16", "10.2.0.0/16");
		script_send(&s);
		world_deliver(p.w, world_packet(p.w, 0));
		assert_int_equal(p.a->n_children, 1);
		assert_int_equal(node_counter(p.a, "ike.qcd.malformed"), !sizes[i].good);
		script_begin_clear(&s, WIRE_INFORMATIONAL, true, 2);
		wire_put_notify(&s.out, WIRE_PROTO_IKE, bytes_of(NULL, 0),
				WIRE_N_QUICK_CRASH_DETECTION, bytes_of(raw, sizes[i].n));
		script_send(&s);
		world_deliver(p.w, world_packet(p.w, 0));
		assert_int_equal(node_counter(p.a, "ike.qcd.accepted"), sizes[i].good);
		script_done(&s);
		pair_done(&p);
	}
}

/* ---- hints --------------------------------------------------------------------------------- */

static void invalid_spi_to_a(struct pair *p, uint32_t spi, const char *from)
{
	uint8_t raw[4];
	struct clear c;

	store_be32(raw, spi);
	clear_begin(&c, 0, 0, WIRE_FLAG_INITIATOR, 0);
	clear_notify(&c, WIRE_N_INVALID_SPI, BYTES_OF(raw));
	clear_send(&c, p->a, from, 500);
}

/* Section 1.5: ESP for an SA that b does not know any more.  It says so, and a asks at once. */
static void invalid_spi(void **state)
{
	struct pair *p = *state;

	up(p);
	world_advance(p->w, dur_s(5));
	node_restart(p->b);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	deliver_any(p->w); /* the ESP packet */
	next_is(p->w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	next_notifies(p->w, WIRE_N_INVALID_SPI);
	deliver_any(p->w);
	next_is(p->w, p->a, WIRE_INFORMATIONAL, REQUEST, 2); /* an answer it is not: a probe */
	world_run(p->w);
	assert_true(pair_is_up(p));
	assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 1);
}

/* Forged, replayed, flooded: at most a probe at a time, and nobody is answered. */
static void invalid_spi_flood(void **state)
{
	struct pair *p = *state;
	uint32_t spi;
	uint64_t sent;

	up(p);
	spi = p->a->child[0].child.spi_out;
	world_advance(p->w, dur_s(5));
	sent = node_counter(p->a, "ike.tx.datagrams");
	invalid_spi_to_a(p, spi ^ 1, "192.0.2.2"); /* no child of ours */
	invalid_spi_to_a(p, spi, "198.51.100.1"); /* nobody's address */
	assert_int_equal(node_counter(p->a, "ike.tx.datagrams"), sent);
	for (int s = 0; s < 60; s++) {
		for (int i = 0; i < 100; i++)
			invalid_spi_to_a(p, spi, "192.0.2.2");
		world_live(p->w, dur_s(1));
	}
	/* Not in the second after an answer. */
	assert_true(node_counter(p->a, "ike.tx.datagrams") - sent <= 60);
	assert_true(node_counter(p->a, "ike.tx.datagrams") - sent >= 20);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 0);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	assert_true(pair_is_up(p));
}

/* In the SA: the peer does not know that child.  A rekey finds out; one that is new is not doubted.
 */
static void invalid_spi_inside(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_UNKNOWN_SPI };
	dp_child_id child;

	up(p);
	child = p->a->child[0].child.id;
	r.u.unknown_spi.spi = p->b->child[0].child.spi_in;
	r.u.unknown_spi.local = test_endpoint("192.0.2.2", 0);
	r.u.unknown_spi.remote = test_endpoint("192.0.2.1", 0);
	node_report(p->b, &r);
	next_is(p->w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	next_notifies(p->w, WIRE_N_INVALID_SPI);
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.rx.invalid_spi"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 0);
	world_advance(p->w, dur_s(11));
	node_report(p->b, &r);
	world_live(p->w, dur_s(10));
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 1);
	assert_true(pair_is_up(p));
	assert_true(p->a->child[0].child.id != child);
	/* One that is nobody's is noted, and no more. */
	r.u.unknown_spi.spi = 0x12345678;
	world_advance(p->w, dur_s(11));
	node_report(p->b, &r);
	world_live(p->w, dur_s(10));
	assert_int_equal(node_counter(p->a, "ike.rx.invalid_spi"), 3);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 1);
}

/* Junk that looks like ESP, from everywhere: answers are few. */
static void unknown_esp_flood(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_UNKNOWN_SPI };

	up(p);
	r.u.unknown_spi.local = test_endpoint("192.0.2.2", 4500);
	for (unsigned i = 0; i < 1000; i++) {
		char from[24];

		snprintf(from, sizeof(from), "203.0.%u.%u", i >> 8, i & 255);
		r.u.unknown_spi.spi = i + 1000;
		r.u.unknown_spi.remote = test_endpoint(from, 4500);
		node_report(p->b, &r);
	}
	assert_true(node_counter(p->b, "ike.tx.invalid_spi") <= 4);
	world_drop_all(p->w);
	assert_true(pair_is_up(p));
}

/* ICMP that nobody is there: asked at once; forged again and again it changes nothing. */
static void unreachable(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_UNREACHABLE };
	uint64_t sent;

	up(p);
	world_advance(p->w, dur_s(5));
	sent = node_counter(p->a, "ike.tx.datagrams");
	r.u.unreachable.remote = test_endpoint("198.51.100.1", 500);
	node_report(p->a, &r);
	assert_int_equal(node_counter(p->a, "ike.tx.datagrams"), sent);
	r.u.unreachable.remote = test_endpoint("192.0.2.2", 500);
	for (int s = 0; s < 60; s++) {
		for (int i = 0; i < 100; i++)
			node_report(p->a, &r);
		world_live(p->w, dur_s(1));
	}
	assert_true(node_counter(p->a, "ike.tx.datagrams") - sent <= 60);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 0);
	assert_true(pair_is_up(p));
	/* True: suspicion comes as soon as two tries went unanswered. */
	p->b->unplugged = true;
	world_advance(p->w, dur_s(2));
	node_report(p->a, &r);
	world_live(p->w, dur_ms(500));
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
}

/* INVALID_IKE_SPI of a peer that gives no tokens: nothing is ended for it, but who is suspect after
 * it is called anew. */
static void without_a_token(void **state)
{
	struct pair *p = *state;

	with_tokens(p);
	p->pb->qcd = false;
	pair_start(p);
	world_run(p->w);
	p->a->looks = true;
	world_advance(p->w, dur_s(5));
	node_restart(p->b);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_live(p->w, dur_ms(1500));
	assert_int_equal(node_counter(p->a, "ike.qcd.accepted"), 0);
	assert_true(node_counter(p->a, "ike.rx.unauthenticated_error") > 0);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
	assert_int_equal(p->b->n_children, 1);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Whatever there is no memory for: in the end all is well. */
static void out_of_memory(void **state)
{
	(void)state;
	for (long nth = 0; nth < 120; nth++) {
		struct pair p;

		pair_init(&p, 300);
		up(&p);
		p.a->looks = true;
		node_restart(p.b);
		p.a->mem.fail_at = p.a->mem.calls + nth;
		node_packet(p.a, "10.1.0.1", "10.2.0.1");
		world_live(p.w, dur_ms(800));
		p.a->mem.fail_at = -1;
		world_live(p.w, dur_s(120));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(in_ike_auth),
		cmocka_unit_test(not_configured),
		pair_test(network),
		cmocka_unit_test(no_token_no_harm),
		pair_test(restart),
		pair_test(from_anywhere),
		cmocka_unit_test(after_a_rekey),
		pair_test(not_too_often),
		pair_test(not_for_the_living),
		pair_test(not_while_it_came_up),
		pair_test(flood),
		pair_test(pending),
		pair_test(not_protected),
		pair_test(forged),
		pair_test(responder_keeps_none),
		cmocka_unit_test(odd_tokens),
		pair_test(invalid_spi),
		pair_test(invalid_spi_flood),
		pair_test(invalid_spi_inside),
		pair_test(unknown_esp_flood),
		pair_test(unreachable),
		pair_test(without_a_token),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
