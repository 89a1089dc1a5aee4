/* Errors inside an IKE SA: what is malformed, unexpected or given up by the other side (RFC 7296
 * section 2.21; S2), and what an operator gets to read about it (R13). */
#include "exchange/exchange.h"

static void half_open_with_script(struct pair *p, struct script *s)
{
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.1", p->b, true);
	script_sa_init(s);
	assert_true(script_exchange(s) && s->keyed);
}

static void up_with_script(struct pair *p, struct script *s)
{
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.1", p->b, true);
	script_connect(s);
}

static void answer_auth(struct script *s)
{
	script_answer_auth(s);
	while (world_packet_to(s->w, s->node))
		world_deliver(s->w, world_packet_to(s->w, s->node));
}

/* ---- IKE_AUTH ------------------------------------------------------------------------------- */

/* Whatever IKE_AUTH is refused for: the very same request gets the very same refusal. */
static void refusal_is_repeated(void **state)
{
	enum { NO_SELECTORS, UNKNOWN_CRITICAL, BAD_CHAIN, WRONG_KEY, VARIANTS };

	(void)state;
	for (int v = 0; v < VARIANTS; v++) {
		struct packet *request, *first;
		struct script s;
		struct pair p;

		pair_init(&p, 700 + (unsigned)v);
		half_open_with_script(&p, &s);
		s.psk = v == WRONG_KEY ? 9 : 1;
		script_begin(&s, WIRE_IKE_AUTH, false);
		if (v == NO_SELECTORS) {
			/* Without all of a child it would be childless (RFC 6023). */
			script_put_id(&s);
			script_put_auth(&s);
			script_put_sa(&s, s.esp, s.spi_esp);
		} else {
			script_put_auth_request(&s);
		}
		if (v == UNKNOWN_CRITICAL || v == BAD_CHAIN)
			wire_put_raw(&s.out, v == BAD_CHAIN ? WIRE_P_AUTH : 200,
				     bytes_str("12345"));
		if (v == UNKNOWN_CRITICAL)
			s.out.w.start[s.out.next_at + 1] |= 0x80;
		request = packet_keep(script_send(&s));
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(s.in.n_notifies, 1);
		first = packet_keep(s.packet);
		world_hand_over(p.w, request);
		assert_true(script_exchange(&s));
		assert_true(bytes_eq(packet_ike(first), packet_ike(s.packet)));
		assert_int_equal(node_counter(p.b, "ike.rx.forged_repeat"), 0);
		packet_free(first);
		packet_free(request);
		world_advance(p.w, dur_s(100));
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

/* No AUTH payload is how EAP begins (section 2.16); the operator reads so. */
static void peer_wants_eap(void **state)
{
	struct pair *p = *state;
	struct script s;

	half_open_with_script(p, &s);
	script_begin(&s, WIRE_IKE_AUTH, false);
	script_put_id(&s);
	script_put_sa(&s, s.esp, s.spi_esp);
	script_put_ts(&s, s.ts_i, s.ts_r);
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_non_null(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED));
	says(p->b, IKE_EV_REFUSED, "EAP");
	says(p->b, IKE_EV_REFUSED, "a.example");
	because(p->b, IKE_EV_REFUSED, IKE_R_KEY);
	assert_int_equal(node_counter(p->b, "ike.refused.authentication"), 1);
	world_advance(p->w, dur_s(100));
	assert_true(node_is_down(p->b));
	script_done(&s);
}

/* The responder believes that the SA is up; it is told that it is not (section 2.21.2). */
static void malformed_answer_to_auth(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_asked_for_auth(p, &s);
	script_begin(&s, WIRE_IKE_AUTH, true);
	script_put_id(&s);
	script_send(&s);
	world_deliver(p->w, world_packet(p->w, 0));
	says(p->a, IKE_EV_REFUSED, "malformed");
	because(p->a, IKE_EV_REFUSED, IKE_R_MALFORMED);
	assert_true(script_take(&s) && s.opened);
	assert_int_equal(packet_exchange(s.packet), WIRE_INFORMATIONAL);
	assert_int_equal(s.in.n_deletes, 1);
	assert_int_equal(s.in.deletes[0].proto, WIRE_PROTO_IKE);
	/* What never came up does not go down. */
	script_begin(&s, WIRE_INFORMATIONAL, true);
	script_send(&s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	settle(p);
	assert_true(node_is_down(p->a));
	script_done(&s);
}

/* ---- after that ----------------------------------------------------------------------------- */

static void malformed_answer_to_probe(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pa->dpd_delay = dur_s(10);
	script_asked_for_auth(p, &s);
	answer_auth(&s);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	world_advance(p->w, dur_s(10));
	assert_true(script_take(&s) && s.opened);
	script_begin(&s, WIRE_INFORMATIONAL, true);
	wire_put_raw(&s.out, WIRE_P_NOTIFY, bytes_str("no"));
	script_send(&s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	says(p->a, IKE_EV_REFUSED, "malformed");
	assert_int_equal(p->a->n_children, 0);
	/* The script knows nothing of it before it is told. */
	assert_true(script_take(&s) && s.opened);
	assert_int_equal(s.in.n_deletes, 1);
	script_begin(&s, WIRE_INFORMATIONAL, true);
	script_send(&s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 1);
	assert_true(node_is_down(p->a));
	script_done(&s);
}

/* INVALID_SYNTAX is fatal at both ends, without a Delete payload (section 2.21.3). */
static void probe_is_refused(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pa->dpd_delay = dur_s(10);
	script_asked_for_auth(p, &s);
	answer_auth(&s);
	world_advance(p->w, dur_s(10));
	assert_true(script_take(&s) && s.opened);
	script_begin(&s, WIRE_INFORMATIONAL, true);
	wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_INVALID_SYNTAX,
			bytes_of(NULL, 0));
	script_send(&s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	says(p->a, IKE_EV_REFUSED, "INVALID_SYNTAX");
	because(p->a, IKE_EV_REFUSED, IKE_R_PEER_SAID);
	assert_null(world_packet(p->w, 0));
	assert_true(node_is_down(p->a));
	script_done(&s);
}

/* A asks the script for another child in the place of the first. */
static void asked_to_rekey(struct pair *p, struct script *s)
{
	script_asked_for_auth(p, s);
	answer_auth(s);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	assert_true(script_take(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), WIRE_CREATE_CHILD_SA);
}

/* The same in the answer to CREATE_CHILD_SA: both ends have given up the IKE SA. */
static void rekey_is_refused_for_good(void **state)
{
	static const uint16_t why[] = { WIRE_N_AUTHENTICATION_FAILED, WIRE_N_INVALID_SYNTAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 715 + i);
		asked_to_rekey(&p, &s);
		script_begin(&s, WIRE_CREATE_CHILD_SA, true);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), why[i],
				bytes_of(NULL, 0));
		script_send(&s);
		world_deliver(p.w, world_packet_to(p.w, p.a));
		because(p.a, IKE_EV_REFUSED, IKE_R_PEER_SAID);
		assert_null(world_packet(p.w, 0));
		assert_true(node_is_down(p.a));
		script_done(&s);
		pair_done(&p);
	}
}

/* An error that nobody knows: the request has failed entirely, whatever is beside it (section
 * 3.10.1). */
static void error_beside_an_answer(void **state)
{
	struct pair *p = *state;
	struct script s;

	asked_to_rekey(p, &s);
	script_begin(&s, WIRE_CREATE_CHILD_SA, true);
	script_put_sa(&s, s.esp, 0x5eed);
	wire_put_nonce(&s.out, bytes_of(s.nonce_r, s.n_nonce_r));
	script_put_ts(&s, s.ts_i, s.ts_r);
	wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), 8191, bytes_of(NULL, 0));
	script_send(&s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	says(p->a, IKE_EV_REFUSED, "error 8191");
	assert_int_equal(node_counter(p->a, "ike.refused.by_peer"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 0);
	assert_int_equal(p->a->n_children, 1);
	script_done(&s);
}

/* The initiator did not like our answer to IKE_AUTH (section 2.21.2). */
static void answer_is_refused(void **state)
{
	static const uint16_t why[] = { WIRE_N_AUTHENTICATION_FAILED, WIRE_N_INVALID_SYNTAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 710 + i);
		up_with_script(&p, &s);
		script_begin(&s, WIRE_INFORMATIONAL, false);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), why[i],
				bytes_of(NULL, 0));
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(node_events(p.b, IKE_EV_REFUSED), 1);
		assert_int_equal(p.b->n_children, 0);
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

/* Fragments that nobody agreed to (RFC 7383 section 2.3). */
static void send_fragment(struct script *s, uint16_t number, uint16_t total)
{
	script_begin_fragment(s, WIRE_INFORMATIONAL, false, s->next_send,
			      &(struct wire_fragment){ .number = number, .total = total });
	script_send(s);
}

static void fragments_are_not_ours(void **state)
{
	struct pair *p = *state;
	struct script s;

	up_with_script(p, &s);
	send_fragment(&s, 1, 1);
	assert_false(script_exchange(&s));
	send_fragment(&s, 1, 2);
	assert_false(script_exchange(&s));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_unexpected"), 2);
	assert_int_equal(p->b->n_children, 1);
	script_done(&s);
}

/* ---- the data plane ------------------------------------------------------------------------- */

/* Without its trap a peer that waits for traffic would wait for ever, and nobody would know why. */
static void trap_is_refused(void **state)
{
	static const char *const at[] = { "192.0.2.1", NULL };
	struct pair *p = *state;

	p->pa->start = IKE_START_TRAFFIC;
	p->a = world_node_bare(p->w, "a", at, p->ca);
	p->a->fail_op = 0;
	assert_int_equal(node_start(p->a), ST_OK);
	assert_null(node_trap(p->a, PAIR_PEER));
	assert_int_equal(node_counter(p->a, "ike.host.dataplane_failed"), 1);
	says(p->a, IKE_EV_DATAPLANE, "refused");
	because(p->a, IKE_EV_DATAPLANE, IKE_R_INTERNAL);
}

/* A child that the data plane never had is not deleted there. */
static void child_is_refused(void **state)
{
	struct pair *p = *state;

	pair_start(p);
	p->a->fail_op = p->a->n_ops;
	connect(p->a);
	world_run(p->w);
	assert_int_equal(node_events(p->a, IKE_EV_DATAPLANE), 1);
	assert_int_equal(node_counter(p->a, "ike.host.dataplane_failed"), 1);
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
}

/* ---- leaving -------------------------------------------------------------------------------- */

/* A probe is on its way to a peer that is gone: the farewell does not wait for all of its
 * retransmissions, the last of which are far apart. */
static void leaving_during_a_probe(void **state)
{
	struct pair *p = *state;

	p->ca->conf.retransmit_tries = 10;
	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	p->b->unplugged = true;
	world_live(p->w, dur_s(60));
	assert_int_equal(node_command(p->a, IKE_CMD_SHUTDOWN, 0), ST_OK);
	world_live(p->w, dur_s(15));
	assert_true(ike_idle(p->a->ike));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusal_is_repeated),
		pair_test(peer_wants_eap),
		pair_test(malformed_answer_to_auth),
		pair_test(malformed_answer_to_probe),
		pair_test(probe_is_refused),
		cmocka_unit_test(answer_is_refused),
		cmocka_unit_test(rekey_is_refused_for_good),
		pair_test(error_beside_an_answer),
		pair_test(fragments_are_not_ours),
		pair_test(trap_is_refused),
		pair_test(child_is_refused),
		pair_test(leaving_during_a_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
