/* A site takes a suggestion, has a tunnel, and loses it: docs/protocol/shortcut.md section 11 (R09,
 * R11, R16). */
#include "exchange/shortcut.h"

static void from_suggestion_to_direct_packets(void **state)
{
	struct node_shortcut a, b;
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 1);
	assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
	play_both_up(&p, 7);
	a = play_look(p.one, TWO);
	b = play_look(p.two, ONE);
	assert_true(a.info.initiator && !b.info.initiator);
	assert_string_equal(a.ts_local, "10.1.0.0/16");
	assert_string_equal(a.ts_remote, "10.2.0.0/16");
	assert_string_equal(b.ts_remote, "10.1.0.0/16");
	assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
	assert_true(star_ping_direct(&p.s, p.two, 2, p.one, 1));
	for (unsigned i = 1; i <= 2; i++) {
		m = play_report(&p, i);
		assert_int_equal(m.outcome, WIRE_MO_UP);
		assert_memory_equal(m.id, a.info.id, sizeof(m.id));
		assert_true(WIRE_MESH_HAS(&m, PATH));
		assert_int_equal(m.path.remote.ip.b[3], 13 - i);
		assert_int_equal(m.path.local.port, 4500);
	}
	assert_int_equal(node_events(p.one, IKE_EV_SHORTCUT), 1);
	assert_int_equal(node_events(p.two, IKE_EV_SHORTCUT), 1);
	assert_int_equal(node_counter(p.one, "mesh.direct"), 1);
	play_done(&p);
}

/* A hub that comes up hears where we are. */
static void candidates_when_the_hub_comes_up(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_init(&p, 2);
	test_conf_candidates(p.site[1].c, p.site[1].net, "203.0.113.9");
	play_start(&p);
	m = play_read(&p, play_heard(&p, 1, WIRE_N_SHORTCUT_CANDIDATES));
	assert_true(WIRE_MESH_HAS(&m, BOOT) && m.boot);
	assert_int_equal(m.n_candidates, 2);
	assert_int_equal(m.candidates[0].kind, WIRE_MC_CONFIGURED);
	assert_int_equal(m.candidates[1].kind, WIRE_MC_HOST);
	assert_true(ip_eq(&m.candidates[1].at.ip, &p.one->address[0]));
	assert_int_equal(m.candidates[1].at.port, 4500);
	assert_true(m.candidates[0].priority > m.candidates[1].priority);
	play_done(&p);
}

/* ---- withdrawn ------------------------------------------------------------------------------- */

static void withdraw(struct play *p, uint8_t id, unsigned to)
{
	struct wire_mesh m = { .reason = WIRE_MR_AUTHORITY, .text = bytes_str("not \"any\" more") };

	memset(m.id, id, sizeof(m.id));
	m.present = 1u << WIRE_MA_REASON | 1u << WIRE_MA_TEXT;
	play_say(p, to, WIRE_N_SHORTCUT_WITHDRAW, &m);
}

/* After so many datagrams: in every state there is, and between any two messages. */
static void withdrawn_in_every_state(void **state)
{
	bool up = false;

	(void)state;
	for (unsigned after = 0; !up; after++) {
		struct node_shortcut s;
		struct play p;

		assert_in_range(after, 0, 200);
		play_up(&p, 3);
		play_suggest_both(&p, 7);
		for (unsigned i = 0; i < after; i++) {
			if (!world_packet(p.w, 0))
				world_advance(p.w, dur_ms(5));
			else
				world_deliver(p.w, world_packet(p.w, 0));
		}
		up = play_is_up(&p) && !world_packet(p.w, 0);
		withdraw(&p, 7, 1);
		withdraw(&p, 7, 2);
		world_live(p.w, dur_s(20));
		s = play_look(p.one, TWO);
		assert_string_equal(s.info.state, up ? "ended" : s.info.state);
		assert_int_equal(s.info.reason, WIRE_MR_AUTHORITY);
		assert_string_equal(s.text, "a hub has withdrawn it: not \\\"any\\\" more");
		assert_int_equal(play_look(p.two, ONE).info.reason, WIRE_MR_AUTHORITY);
		play_nothing_left(&p);
		assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
		play_done(&p);
	}
}

static void withdrawn_by_who_did_not_suggest_it(void **state)
{
	struct wire_mesh m = { .reason = WIRE_MR_POLICY,
			       .partner = play_ident(TWO),
			       .context = bytes_str("other") };
	struct play p;

	(void)state;
	play_up(&p, 4);
	play_both_up(&p, 7);
	m.present = 1u << WIRE_MA_REASON | 1u << WIRE_MA_PARTNER_ID | 1u << WIRE_MA_CONTEXT;
	play_say(&p, 1, WIRE_N_SHORTCUT_WITHDRAW, &m);
	world_run(p.w);
	play_accepted(&p);
	assert_string_equal(play_state(p.one), "up");
	m.context = bytes_str("corp");
	play_say(&p, 1, WIRE_N_SHORTCUT_WITHDRAW, &m);
	world_live(p.w, dur_s(1));
	assert_string_equal(play_state(p.one), "ended");
	assert_string_equal(play_state(p.two), "ended");
	assert_int_equal(play_report(&p, 2).outcome, WIRE_MO_LOST);
	play_nothing_left(&p);
	play_done(&p);
}

/* Of one that is up, and of one that is over, it is known what was tried, and nothing is held for
 * what might have been. */
static void what_is_remembered(void **state)
{
	struct node_shortcut s;
	struct play p;
	size_t before;

	(void)state;
	play_up(&p, 34);
	world_live(p.w, dur_s(300));
	before = p.one->mem.live_bytes;
	play_both_up(&p, 7);
	s = play_look(p.one, TWO);
	assert_int_equal(s.info.n_tries, 1);
	assert_int_equal(s.tries[0].result, MESH_TRY_ANSWERED);
	assert_int_equal(node_withdraw(p.one, TWO), ST_OK);
	world_live(p.w, dur_s(300));
	s = play_look(p.one, TWO);
	assert_string_equal(s.info.state, "ended");
	assert_int_equal(s.info.n_tries, 1);
	assert_int_equal(s.tries[0].result, MESH_TRY_ANSWERED);
	assert_in_range(p.one->mem.live_bytes - before, 1, MESH_WHY + 1024);
	play_done(&p);
}

static void withdrawn_by_the_operator(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 5);
	play_both_up(&p, 7);
	assert_int_equal(node_withdraw(p.two, ONE), ST_OK);
	assert_int_equal(node_withdraw(p.two, ONE), ST_INVAL);
	world_live(p.w, dur_s(1));
	assert_int_equal(play_report(&p, 2).outcome, WIRE_MO_WITHDRAWN);
	assert_int_equal(play_report(&p, 2).reason, WIRE_MR_WITHDRAWN);
	play_nothing_left(&p);
	assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
	play_done(&p);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void expect_failed(struct play *p, struct node *n, unsigned number,
			  enum wire_mesh_reason reason, const char *text)
{
	struct node_shortcut s = play_look(n, number == 1 ? TWO : ONE);
	struct wire_mesh m = play_report(p, number);

	assert_string_equal(s.info.state, "failed");
	assert_string_equal(wire_mesh_reason_name(s.info.reason), wire_mesh_reason_name(reason));
	if (!strstr(s.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, s.text);
	assert_int_equal(m.outcome, WIRE_MO_FAILED);
	assert_int_equal(m.reason, reason);
	assert_int_equal(node_events(n, IKE_EV_SHORTCUT_FAILED), 1);
	assert_int_equal(ike_totals(n->ike).peers, 1);
}

/* The other one has said yes, and does nothing. */
static void silent_partner(void **state)
{
	struct node_shortcut s;
	struct play p;

	(void)state;
	play_up(&p, 10);
	play_suggest(&p, 7, 1, 2);
	world_live(p.w, dur_ms(3700));
	assert_string_equal(play_state(p.one), "probing");
	world_live(p.w, dur_ms(100));
	expect_failed(&p, p.one, 1, WIRE_MR_NO_PATH,
		      "192.0.2.12:4500 (its own) was asked 5 times from 192.0.2.11:4500");
	s = play_look(p.one, TWO);
	assert_int_equal(s.info.n_tries, 1);
	assert_int_equal(s.tries[0].result, MESH_TRY_SILENT);
	assert_int_equal(node_counter(p.two, "mesh.rx.probe_unknown"), 5);
	assert_int_equal(node_counter(p.one, "mesh.failed.no_path"), 1);
	play_done(&p);
}

static void no_candidates(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 11);
	m = play_suggestion(&p, 7, 1, 2);
	m.present &= ~(1u << WIRE_MA_CANDIDATE);
	play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	world_run(p.w);
	play_accepted(&p);
	world_live(p.w, dur_ms(3100));
	expect_failed(&p, p.one, 1, WIRE_MR_NO_CANDIDATES, "named no address");
	assert_int_equal(node_counter(p.one, "mesh.tx.probes"), 0);
	play_done(&p);
}

/* They come a moment later, as the hub hears of them. */
static void candidates_come_later(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 12);
	for (unsigned i = 1; i <= 2; i++) {
		m = play_suggestion(&p, 7, i, 3 - i);
		m.present &= ~(1u << WIRE_MA_CANDIDATE);
		play_say(&p, i, WIRE_N_SHORTCUT_SUGGEST, &m);
	}
	world_live(p.w, dur_ms(1000));
	m = play_suggestion(&p, 7, 1, 2);
	m.sequence = 5;
	m.present = 1u << WIRE_MA_CANDIDATE | 1u << WIRE_MA_SEQUENCE;
	play_say(&p, 1, WIRE_N_SHORTCUT_CANDIDATES, &m);
	world_live(p.w, dur_ms(300));
	assert_true(play_is_up(&p));
	m.sequence = 4;
	play_say(&p, 1, WIRE_N_SHORTCUT_CANDIDATES, &m);
	world_run(p.w);
	assert_int_equal(node_counter(p.one, "mesh.rx.old"), 1);
	memset(m.id, 8, sizeof(m.id));
	play_say(&p, 1, WIRE_N_SHORTCUT_CANDIDATES, &m);
	world_run(p.w);
	play_refused(&p, WIRE_MR_EXPIRED, "no such suggestion");
	play_done(&p);
}

/* Probes pass, IKE does not: who calls gives up, and so does who waits. */
static void called_in_vain(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 13);
	play_suggest_both(&p, 7);
	for (int ms = 0; ms < 12000; ms++) {
		for (struct packet *q; (q = world_packet(p.w, 0));) {
			bool direct = q->src.ip.b[3] > 10 && q->dst.ip.b[3] > 10;

			if (direct && !is_probe(q))
				world_drop(p.w, q);
			else
				world_deliver(p.w, q);
		}
		world_advance(p.w, dur_ms(1));
	}
	expect_failed(&p, p.one, 1, WIRE_MR_NO_ANSWER, "");
	expect_failed(&p, p.two, 2, WIRE_MR_NO_ANSWER, "the partner did not call");
	play_nothing_left(&p);
	play_done(&p);
}

/* IKE passes, ESP does not: nobody's packet is risked. */
static void nothing_carries(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 14);
	play_suggest_both(&p, 7);
	for (int ms = 0; ms < 6000; ms++) {
		for (struct packet *q; (q = world_packet(p.w, 0));) {
			if (q->esp)
				world_drop(p.w, q);
			else
				world_deliver(p.w, q);
		}
		assert_string_not_equal(play_state(p.one), "up");
		world_advance(p.w, dur_ms(1));
	}
	assert_int_equal(play_look(p.one, TWO).info.reason, WIRE_MR_NO_PATH);
	assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_FAILED);
	play_nothing_left(&p);
	assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
	play_done(&p);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void ends_when_idle(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 15);
	play_both_up(&p, 7);
	world_live(p.w, dur_s(60));
	assert_string_equal(play_state(p.one), "ended");
	assert_string_equal(play_state(p.two), "ended");
	assert_true(play_report(&p, 1).outcome == WIRE_MO_IDLE ||
		    play_report(&p, 2).outcome == WIRE_MO_IDLE);
	play_nothing_left(&p);
	assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
	play_done(&p);
}

/* What is up outlives the hub, which hears of it when it is back. */
static void hub_gone_meanwhile(void **state)
{
	size_t before;
	struct play p;

	(void)state;
	play_init(&p, 16);
	p.site[1].p->dpd_delay = p.site[2].p->dpd_delay = dur_s(2);
	play_start(&p);
	play_both_up(&p, 7);
	node_restart(p.hub);
	before = p.hub->n_asked;
	for (unsigned i = 0; i < 100; i++) {
		assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
		world_live(p.w, dur_s(1));
	}
	assert_true(play_is_up(&p));
	assert_true(star_is_up(&p.s, p.one, 1) && star_is_up(&p.s, p.two, 2));
	assert_true(p.hub->n_asked > before);
	assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_UP);
	assert_int_equal(play_report(&p, 2).outcome, WIRE_MO_UP);
	assert_non_null(play_heard(&p, 1, WIRE_N_SHORTCUT_CANDIDATES));
	play_done(&p);
}

/* What could not be said, since the hub had gone, is said when it is back. */
static void report_to_a_hub_that_is_gone(void **state)
{
	bool said = false;
	size_t before;
	struct play p;

	(void)state;
	play_up(&p, 17);
	play_suggest(&p, 7, 1, 2);
	world_run(p.w);
	node_restart(p.hub);
	before = p.hub->n_asked;
	world_live(p.w, dur_s(100));
	assert_true(star_is_up(&p.s, p.one, 1));
	for (size_t i = before; i < p.hub->n_asked; i++)
		if (p.hub->asked[i % NODE_WORDS].notify == WIRE_N_SHORTCUT_REPORT) {
			assert_false(said);
			said = true;
			assert_int_equal(play_read(&p, &p.hub->asked[i % NODE_WORDS]).outcome,
					 WIRE_MO_FAILED);
		}
	assert_true(said);
	play_done(&p);
}

static void refuse_words(struct play *p, enum wire_mesh_reason reason)
{
	struct pending *q;

	while ((q = node_pending(p->hub, PENDING_WORD, 0))) {
		struct wire_mesh m = { .reason = (uint16_t)reason };
		uint8_t buf[64];
		struct wr w = wr_of(buf, sizeof(buf));

		memcpy(m.id, q->head, sizeof(m.id));
		m.present = 1u << WIRE_MA_REASON;
		wire_mesh_put(&w, &m);
		node_say(p->hub, q, WIRE_N_SHORTCUT_REFUSED, wr_bytes_of(&w));
	}
	world_run(p->w);
}

/* A hub that hears too much says so, and hears it once more a second later; a refusal for another
 * reason is as good as an answer. */
static void too_much_for_a_hub(void **state)
{
	size_t before;
	struct play p;

	(void)state;
	play_up(&p, 18);
	play_both_up(&p, 7);
	p.hub->hold = HOLD_WORDS;
	assert_int_equal(node_withdraw(p.one, TWO), ST_OK);
	for (int i = 0; i < 3; i++) {
		world_run(p.w);
		assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_WITHDRAWN);
		refuse_words(&p, WIRE_MR_LIMIT);
		before = p.hub->n_asked;
		world_live(p.w, dur_ms(MESH_SPEAK_MS - 100));
		assert_int_equal(p.hub->n_asked, before);
		world_live(p.w, dur_ms(200));
		assert_true(p.hub->n_asked > before);
	}
	refuse_words(&p, WIRE_MR_POLICY);
	before = p.hub->n_asked;
	world_live(p.w, dur_s(5));
	assert_int_equal(p.hub->n_asked, before);
	play_done(&p);
}

/* A hub withdraws what it was told a moment ago, or hears a moment later, to be up: where it may
 * have heard that last, it hears of the end as well. */
static void withdrawn_by_who_has_not_answered(void **state)
{
	struct wire_mesh m = { .reason = WIRE_MR_POLICY, .context = bytes_str("corp") };

	(void)state;
	for (int late = 0; late < 2; late++) {
		struct play p;
		size_t before;

		play_up(&p, 19);
		p.hub->hold = late ? HOLD_WORDS : 0;
		play_both_up(&p, 7);
		assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_UP);
		memset(m.id, 7, sizeof(m.id));
		m.present = 1u << WIRE_MA_REASON | 1u << WIRE_MA_CONTEXT;
		before = p.hub->n_asked;
		play_say(&p, 1, WIRE_N_SHORTCUT_WITHDRAW, &m);
		world_run(p.w);
		assert_string_equal(play_state(p.one), "ended");
		p.hub->hold = 0;
		refuse_words(&p, WIRE_MR_POLICY);
		world_live(p.w, dur_s(5));
		assert_int_equal(play_report(&p, 1).outcome, late ? WIRE_MO_WITHDRAWN : WIRE_MO_UP);
		assert_true(p.hub->n_asked > before); /* the other end, at least */
		play_done(&p);
	}
}

static void reconfigured(struct play *p, void (*change)(struct test_conf *c))
{
	struct test_conf *c = test_conf_copy(p->one->conf);

	change(c);
	node_reconfigure(p->one, c);
	world_live(p->w, dur_s(2));
}

static void take_none(struct test_conf *c)
{
	c->network[0].takes = false;
}

static void fewer(struct test_conf *c)
{
	c->network[0].max = 0;
}

static void nothing(struct test_conf *c)
{
	(void)c;
}

static void protects_less(struct test_conf *c)
{
	c->peer[0].ts_local = test_conf_ts(c, "10.1.0.0/24");
}

static void reloads(void **state)
{
	static const struct {
		void (*change)(struct test_conf *c);
		bool stays;
		enum wire_mesh_reason reason;
	} rows[] = {
		{ nothing, true, 0 },
		{ take_none, false, WIRE_MR_POLICY },
		{ fewer, false, WIRE_MR_LIMIT },
		{ protects_less, false, WIRE_MR_SELECTORS },
	};
	struct node_shortcut s;
	struct play p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (unsigned up = 0; up < 2; up++) {
			play_up(&p, 30 + i);
			if (up)
				play_both_up(&p, 7);
			else
				play_suggest(&p, 7, 1, 2);
			world_run(p.w);
			reconfigured(&p, rows[i].change);
			s = play_look(p.one, TWO);
			if (rows[i].stays) {
				assert_string_equal(s.info.state, up ? "up" : "probing");
			} else {
				assert_string_equal(s.info.state, up ? "ended" : "failed");
				assert_int_equal(s.info.reason, rows[i].reason);
				assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_WITHDRAWN);
				world_live(p.w, dur_s(10));
				assert_int_equal(ike_totals(p.one->ike).peers, 1);
			}
			play_done(&p);
		}
	}
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void roaming(struct play *p, uint64_t seed)
{
	play_init(p, seed);
	p->site[1].p->mobike = p->site[2].p->mobike = p->s.ph->mobike = true;
	play_start(p);
	node_moves(p->one, "192.0.2.11", NULL);
	node_moves(p->two, "192.0.2.12", NULL);
	world_run(p->w);
}

/* Who calls moves by itself. */
static void the_caller_moves(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	roaming(&p, 40);
	play_both_up(&p, 7);
	node_moves(p.one, "192.0.2.111", NULL);
	world_live(p.w, dur_s(3));
	assert_true(play_is_up(&p));
	assert_int_equal(play_look(p.one, TWO).info.local.ip.b[3], 111);
	assert_int_equal(play_look(p.two, ONE).info.remote.ip.b[3], 111);
	assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
	m = play_read(&p, play_heard(&p, 1, WIRE_N_SHORTCUT_CANDIDATES));
	assert_int_equal(m.n_candidates, 1);
	assert_int_equal(m.candidates[0].at.ip.b[3], 111);
	play_done(&p);
}

/* Who is called gives up, so that the hub suggests anew; packets go by the hub meanwhile. */
static void who_is_called_moves(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	roaming(&p, 41);
	play_both_up(&p, 7);
	node_moves(p.two, "192.0.2.112", NULL);
	world_live(p.w, dur_s(3));
	assert_string_equal(play_state(p.two), "ended");
	assert_int_equal(play_report(&p, 2).outcome, WIRE_MO_LOST);
	m = play_read(&p, play_heard(&p, 2, WIRE_N_SHORTCUT_CANDIDATES));
	assert_int_equal(m.candidates[0].at.ip.b[3], 112);
	withdraw(&p, 7, 1);
	world_run(p.w);
	m = play_suggestion(&p, 8, 1, 2);
	m.candidates[0] = play_at(WIRE_MC_HOST, "192.0.2.112", 4500);
	play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	play_suggest(&p, 8, 2, 1);
	world_live(p.w, dur_ms(300));
	assert_true(play_is_up(&p));
	assert_true(star_ping_direct(&p.s, p.two, 2, p.one, 1));
	play_done(&p);
}

/* Under way: asked anew, from the new address. */
static void moved_while_probing(void **state)
{
	struct play p;

	(void)state;
	roaming(&p, 42);
	play_suggest(&p, 7, 1, 2);
	world_run(p.w);
	node_moves(p.one, "192.0.2.111", NULL);
	world_live(p.w, dur_ms(500));
	play_suggest(&p, 7, 2, 1);
	world_live(p.w, dur_ms(900));
	assert_true(play_is_up(&p));
	assert_int_equal(play_look(p.one, TWO).info.local.ip.b[3], 111);
	play_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_suggestion_to_direct_packets),
		cmocka_unit_test(candidates_when_the_hub_comes_up),
		cmocka_unit_test(withdrawn_in_every_state),
		cmocka_unit_test(withdrawn_by_who_did_not_suggest_it),
		cmocka_unit_test(what_is_remembered),
		cmocka_unit_test(withdrawn_by_the_operator),
		cmocka_unit_test(silent_partner),
		cmocka_unit_test(no_candidates),
		cmocka_unit_test(candidates_come_later),
		cmocka_unit_test(called_in_vain),
		cmocka_unit_test(nothing_carries),
		cmocka_unit_test(ends_when_idle),
		cmocka_unit_test(hub_gone_meanwhile),
		cmocka_unit_test(report_to_a_hub_that_is_gone),
		cmocka_unit_test(too_much_for_a_hub),
		cmocka_unit_test(withdrawn_by_who_has_not_answered),
		cmocka_unit_test(reloads),
		cmocka_unit_test(the_caller_moves),
		cmocka_unit_test(who_is_called_moves),
		cmocka_unit_test(moved_while_probing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
