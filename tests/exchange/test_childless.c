/* IKE SAs that begin without a child (RFC 6023): who may, who must, who must not. */
#include "exchange/exchange.h"

/* What comes of every pair of policies; a calls. */
static void policies(void **state)
{
	const enum ike_childless A = IKE_CHILDLESS_ALLOW, F = IKE_CHILDLESS_FORCE,
				 N = IKE_CHILDLESS_NEVER;
	const struct {
		enum ike_childless a, b;
		bool up;
		bool childless; /* its IKE_AUTH */
	} rows[] = {
		{ A, A, true, false }, { A, N, true, false }, { N, A, true, false },
		{ N, N, true, false }, { F, A, true, true },  { F, F, true, true },
		{ F, N, false, true }, { A, F, true, false }, { N, F, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;
		bool told;

		pair_init(&p, 970 + i);
		p.pa->childless = rows[i].a;
		p.pb->childless = rows[i].b;
		p.pa->start = IKE_START_UP;
		pair_start(&p);
		deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		told = packet_notifies(p.w, world_packet(p.w, 0), WIRE_N_CHILDLESS_IKEV2_SUPPORTED);
		assert_int_equal(told, rows[i].b != N);
		deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		if (rows[i].up) {
			struct opened o;

			assert_true(packet_open(p.w, world_packet(p.w, 0), &o));
			assert_int_equal(!(opened_payloads(&o)->present & WIRE_BIT(WIRE_P_SA)),
					 rows[i].childless);
			opened_done(&o);
			world_live(p.w, dur_s(20));
			assert_true(pair_is_up(&p));
			assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 1);
		} else {
			says(p.a, IKE_EV_REFUSED, "childless = force");
			assert_true(node_counter(p.a, "ike.refused.childless") > 0);
			world_live(p.w, dur_s(20));
			assert_int_equal(p.a->n_children, 0);
		}
		settle(&p);
		pair_done(&p);
	}
}

/* HDR, SK {IDi, AUTH}; `half`: with one payload of a child. */
static void ask(struct script *s, bool half)
{
	script_sa_init(s);
	assert_true(script_exchange(s));
	script_begin(s, WIRE_IKE_AUTH, false);
	script_put_id(s);
	script_put_auth(s);
	if (half)
		script_put_ts(s, s->ts_i, s->ts_r);
	script_send(s);
	assert_true(script_exchange(s) && s->opened);
}

/* Sections 3 and 5: the answer has nothing of a child either. */
static void answered(void **state)
{
	const uint64_t child = WIRE_BIT(WIRE_P_SA) | WIRE_BIT(WIRE_P_TSI) | WIRE_BIT(WIRE_P_TSR);
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	ask(&s, false);
	assert_true(script_check_auth(&s));
	assert_int_equal(s.in.present & child, 0);
	assert_int_equal(s.in.n_notifies, 0);
	assert_true(node_sa(p->b).info.established);
	assert_int_equal(p->b->n_children, 0);
	assert_int_equal(node_events(p->b, IKE_EV_REFUSED), 0);
	script_done(&s);
}

/* Who said never does as if it had not heard of it. */
static void refused(void **state)
{
	static const struct {
		bool half, other; /* another section allows it */
		uint16_t notify;
		const char *counter;
	} rows[] = {
		{ false, false, WIRE_N_INVALID_SYNTAX, "ike.refused.childless" },
		{ true, false, WIRE_N_INVALID_SYNTAX, "ike.rx.payloads" },
		{ true, true, WIRE_N_INVALID_SYNTAX, "ike.rx.payloads" },
		{ false, true, WIRE_N_AUTHENTICATION_FAILED, "ike.refused.childless" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 990 + i);
		p.pb->childless = IKE_CHILDLESS_NEVER;
		if (rows[i].other)
			(void)test_conf_peer(p.cb, PAIR_PEER + 1, "c", NULL, "b.example",
					     "c.example", 3);
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		ask(&s, rows[i].half);
		assert_non_null(script_notify(&s, rows[i].notify));
		assert_int_equal(node_counter(p.b, rows[i].counter), 1);
		assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 0);
		world_advance(p.w, dur_s(100));
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

/* A peer that gives no child afterwards is asked again, less and less often, and stays connected.
 */
static void no_child_after_all(void **state)
{
	struct pair *p = *state;

	p->pa->childless = IKE_CHILDLESS_FORCE;
	p->pa->start = IKE_START_UP;
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "chacha20poly1305-esn");
	pair_start(p);
	world_live(p->w, dur_s(300));
	assert_int_equal(p->a->n_children, 0);
	says(p->a, IKE_EV_REFUSED, "NO_PROPOSAL_CHOSEN");
	assert_in_range(node_counter(p->b, "ike.refused.proposal"), 2, 40);
	settle(p);
	assert_true(pair_is_down(p));
}

/* An IKE SA that takes another one's place does so when it has its child. */
static void renewed(void **state)
{
	struct pair *p = *state;

	p->pa->childless = IKE_CHILDLESS_FORCE;
	p->pa->start = IKE_START_UP;
	p->pa->life.reauth = dur_s(100);
	pair_start(p);
	for (int i = 0; i < 1000; i++) {
		world_live(p->w, dur_s(1));
		assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
		assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1"));
		assert_true(ike_totals(p->a->ike).sas <= 2);
	}
	assert_in_range(node_events(p->a, IKE_EV_SA_UP), 9, 16);
	assert_int_equal(node_counter(p->a, "ike.sa.expired"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies),    pair_test(answered), cmocka_unit_test(refused),
		pair_test(no_child_after_all), pair_test(renewed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
