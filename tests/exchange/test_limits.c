/* What a peer can make us keep, and say, has bounds (S2). */
#include "exchange/exchange.h"

#include "ike/limits.h"

/* ---- after authentication ------------------------------------------------------------------- */

/* One more IKE SA of the same identity, with SPIs and randomness of its own. */
static void one_more(struct script *s, struct pair *p, unsigned i)
{
	char address[32];

	snprintf(address, sizeof(address), "198.51.100.%u", i + 1);
	script_init(s, p->w, address, p->b, true);
	s->spi_esp += i;
	script_connect(s);
}

/* Answers whatever the node asks. */
static void be_polite(struct script *s)
{
	while (script_take(s)) {
		assert_true(s->opened);
		if (packet_is_response(s->packet))
			continue;
		script_begin(s, WIRE_INFORMATIONAL, true);
		script_send(s);
		world_deliver(s->w, world_packet_to(s->w, s->node));
	}
}

/* A peer that proves its identity again and again and answers every probe. */
static void sas_of_one_identity(void **state)
{
	enum { N = 20 };
	struct pair *p = *state;
	struct script s[N];

	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	for (unsigned i = 0; i < N; i++) {
		one_more(&s[i], p, i);
		for (unsigned k = 0; k <= i; k++)
			be_polite(&s[k]);
		assert_in_range(ike_totals(p->b->ike).sas, 1, IKE_MAX_SAS_PER_PEER);
		assert_in_range(p->b->n_children, 1, IKE_MAX_SAS_PER_PEER);
	}
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), N);
	says(p->b, IKE_EV_CHILD_DOWN, "too many");
	/* The newest is there. */
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), N - IKE_MAX_SAS_PER_PEER);
	script_begin(&s[N - 1], WIRE_INFORMATIONAL, false);
	script_send(&s[N - 1]);
	assert_true(script_exchange(&s[N - 1]) && s[N - 1].opened);
	for (unsigned i = 0; i < N; i++)
		script_done(&s[i]);
}

/* The same without children: SAs that protect nothing go before one that does. */
static void sas_without_child(void **state)
{
	enum { N = 12 };
	struct pair *p = *state;
	struct script s[N];

	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	one_more(&s[0], p, 0);
	for (unsigned i = 1; i < N; i++) {
		char address[32];

		snprintf(address, sizeof(address), "198.51.100.%u", i + 1);
		script_init(&s[i], p->w, address, p->b, true);
		s[i].ts_i = "172.16.0.0/12";
		script_sa_init(&s[i]);
		assert_true(script_exchange(&s[i]));
		script_begin(&s[i], WIRE_IKE_AUTH, false);
		script_put_auth_request(&s[i]);
		script_send(&s[i]);
		assert_true(script_exchange(&s[i]) && s[i].opened && s[i].in.auth.data.n);
		assert_non_null(script_notify(&s[i], WIRE_N_TS_UNACCEPTABLE));
		for (unsigned k = 0; k <= i; k++)
			be_polite(&s[k]);
		assert_in_range(ike_totals(p->b->ike).sas, 1, IKE_MAX_SAS_PER_PEER);
	}
	assert_int_equal(p->b->n_children, 1);
	for (unsigned i = 0; i < N; i++)
		script_done(&s[i]);
}

/* ---- before it ------------------------------------------------------------------------------ */

/* Who claims to be a peer writes nothing about it while it is connected. */
static void claims_about_a_connected_peer(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_up(p);
	script_init(&s, p->w, "198.51.100.1", p->b, true);
	s.psk = 9;
	script_sa_init(&s);
	assert_true(script_exchange(&s));
	script_begin(&s, WIRE_IKE_AUTH, false);
	script_put_auth_request(&s);
	script_send(&s);
	assert_true(script_exchange(&s));
	assert_non_null(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED));
	assert_string_equal(node_peer(p->b, PAIR_PEER).last_error, "");
	/* The log has it, and whose name was used. */
	says(p->b, IKE_EV_REFUSED, "pre-shared keys differ");
	because(p->b, IKE_EV_REFUSED, IKE_R_KEY);
	assert_int_equal(node_event(p->b, IKE_EV_REFUSED)->peer, PAIR_PEER);
	script_done(&s);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
}

/* Without a tunnel it is the best hint there is. */
static void claims_about_an_absent_peer(void **state)
{
	struct pair *p = *state;

	p->pa->psk = 2;
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_int_equal(node_event(p->b, IKE_EV_REFUSED)->peer, PAIR_PEER);
	assert_non_null(strstr(node_peer(p->b, PAIR_PEER).last_error, "pre-shared keys differ"));
}

/* An IKE_SA_INIT request is kept until the peer has proved something. */
static void long_init(void **state)
{
	struct pair *p = *state;
	static const uint8_t padding[IKE_MAX_INIT];

	pair_start_b(p);
	for (int too_long = 0; too_long < 2; too_long++) {
		struct script s;
		size_t rest;

		script_init(&s, p->w, too_long ? "198.51.100.1" : "198.51.100.2", p->b, true);
		script_sa_init(&s);
		rest = IKE_MAX_INIT - packet_ike(world_packet(p->w, 0)).n - WIRE_PAYLOAD_HDR_LEN;
		world_drop_all(p->w);
		script_begin_clear(&s, WIRE_IKE_SA_INIT, false, 0);
		script_put_sa(&s, s.ike, 0);
		wire_put_ke(&s.out, CRYPTO_X25519, bytes_of(s.pub, s.n_pub));
		wire_put_nonce(&s.out, bytes_of(s.nonce_i, s.n_nonce_i));
		wire_put_vendor(&s.out, bytes_of(padding, rest + 56 + (size_t)too_long));
		script_send(&s);
		assert_int_equal(packet_ike(world_packet(p->w, 0)).n, IKE_MAX_INIT + too_long);
		assert_int_equal(script_exchange(&s), !too_long);
		assert_int_equal(node_counter(p->b, "ike.rx.bad_init"), too_long);
		script_done(&s);
	}
}

/* A flood of proposals that nobody accepts is counted; told of, and answered, are a few. */
static void refused_proposals(void **state)
{
	enum { N = 200 };
	struct pair *p = *state;
	size_t answers = 0;

	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes256gcm16-prfsha384-ecp384");
	pair_start_b(p);
	for (unsigned i = 0; i < N; i++) {
		struct script s;
		char address[32];

		snprintf(address, sizeof(address), "198.51.100.%u", i + 1);
		script_init(&s, p->w, address, p->b, true);
		script_sa_init(&s);
		answers += script_exchange(&s);
		script_done(&s);
	}
	assert_int_equal(node_counter(p->b, "ike.refused.proposal"), N);
	assert_int_equal(answers, IKE_STRAY_ANSWERS_PER_S);
	assert_int_equal(node_events(p->b, IKE_EV_REFUSED), IKE_STRAY_ANSWERS_PER_S);
	assert_true(node_is_down(p->b));
	says(p->b, IKE_EV_REFUSED, "aes256gcm16-prfsha384-ecp384");
	because(p->b, IKE_EV_REFUSED, IKE_R_PROPOSAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(sas_of_one_identity),
		pair_test(sas_without_child),
		pair_test(claims_about_a_connected_peer),
		pair_test(claims_about_an_absent_peer),
		pair_test(long_init),
		pair_test(refused_proposals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
