/* Who is it?  Wrong keys, identities and certificates at either end: refused, nothing is installed,
 * and both logs say which, with both sides' values (RFC 7296 sections 2.15, 2.21.2; R05). */
#include "exchange/exchange.h"

#define DAY 86400

/* Whatever went wrong, nothing is left and nobody believes to be connected. */
static void assert_nothing_came_of_it(struct pair *p)
{
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_UP), 0);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_UP), 0);
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	settle(p);
	assert_true(pair_is_down(p));
}

/* ---- pre-shared keys ----------------------------------------------------------------------- */

static void wrong_key(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	p->pb->psk = 2;
	pair_start(p);
	connect(p->a);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	/* <- b: IKE_AUTH 1 {N(AUTHENTICATION_FAILED)}, and nothing that tells who b is */
	next_is(w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	next_notifies(w, WIRE_N_AUTHENTICATION_FAILED);
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 0);
	says(p->b, IKE_EV_REFUSED, "pre-shared key");
	because(p->b, IKE_EV_REFUSED, IKE_R_KEY);
	deliver(w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	says(p->a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
	says(p->a, IKE_EV_REFUSED, "a.example");
	because(p->a, IKE_EV_REFUSED, IKE_R_PEER_SAID);
	assert_int_equal(node_counter(p->b, "ike.refused.authentication"), 1);
	assert_nothing_came_of_it(p);
}

/* The refusal gets lost: it is given again, and the SA is not kept for ever. */
static void refusal_lost(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct packet *first;

	p->pb->psk = 2;
	pair_start(p);
	connect(p->a);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	first = packet_keep(world_packet(w, 0));
	lose(w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	assert_true(world_timer(w));
	deliver(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_true(bytes_eq(packet_ike(first), packet_ike(world_packet(w, 0))));
	deliver(w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	packet_free(first);
	says(p->a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
	assert_nothing_came_of_it(p);
}

/* The responder does not know the key: it cannot make its own AUTH either. */
static void responder_lies(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_asked_for_auth(p, &s);
	s.psk = 2;
	assert_false(script_check_auth(&s));
	script_answer_auth(&s);
	/* a tells it so and leaves (section 2.21.2): INFORMATIONAL {N(AUTHENTICATION_FAILED), D} */
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(packet_exchange(s.packet), WIRE_INFORMATIONAL);
	assert_non_null(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED));
	says(p->a, IKE_EV_REFUSED, "pre-shared key");
	because(p->a, IKE_EV_REFUSED, IKE_R_KEY);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 0);
	assert_int_equal(p->a->n_children, 0);
	script_done(&s);
	settle(p);
	assert_true(node_is_down(p->a));
}

/* ---- identities ---------------------------------------------------------------------------- */

static void unknown_initiator(void **state)
{
	struct pair *p = *state;

	p->pa->local_id = test_conf_ident(p->ca, "mallory.example");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	says(p->b, IKE_EV_REFUSED, "mallory.example");
	says(p->b, IKE_EV_REFUSED, "a.example");
	because(p->b, IKE_EV_REFUSED, IKE_R_IDENTITY);
	says(p->a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
	assert_int_equal(node_counter(p->b, "ike.refused.identity"), 1);
	assert_nothing_came_of_it(p);
}

static void other_responder(void **state)
{
	struct pair *p = *state;

	p->pb->local_id = test_conf_ident(p->cb, "c.example");
	/* IDr is asked for, so b may already refuse; without it a has to. */
	p->pa->remote_id = test_conf_ident(p->ca, "*.b.example");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	says(p->a, IKE_EV_REFUSED, "c.example");
	says(p->a, IKE_EV_REFUSED, "*.b.example");
	because(p->a, IKE_EV_REFUSED, IKE_R_IDENTITY);
	/* b had accepted a, and heard its farewell. */
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 0);
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
	settle(p);
	assert_true(pair_is_down(p));
}

static void asked_for_somebody_else(void **state)
{
	struct pair *p = *state;

	p->pa->remote_id = test_conf_ident(p->ca, "c.example");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_non_null(node_event(p->a, IKE_EV_REFUSED));
	assert_nothing_came_of_it(p);
}

/* Patterns match what they say. */
static void wildcard(void **state)
{
	struct pair *p = *state;

	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	test_conf_addresses(p->cb, p->pb, "");
	pair_up(p);
	assert_string_equal(node_sa(p->b).remote_id, "a.example");
}

static void every_kind_of_identity(void **state)
{
	static const char *const id[] = { "a.example",   "user@a.example", "192.0.2.1",
					  "2001:db8::1", "@#0102a3",       "C=CH, O=Org, CN=a" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		struct pair p;

		pair_init(&p, 60 + i);
		p.pa->local_id = test_conf_ident(p.ca, id[i]);
		p.pb->remote_id = test_conf_ident(p.cb, id[i]);
		pair_up(&p);
		pair_done(&p);
	}
}

/* Two peers at one address, told apart by identity only: each gets its own selectors and key. */
static void two_peers_one_address(void **state)
{
	struct pair *p = *state;
	struct ike_peer_conf *second;

	second = test_conf_peer(p->cb, 2, "a2", "192.0.2.1", "b.example", "a2.example", 9);
	second->ts_local = test_conf_ts(p->cb, "10.2.0.0/16");
	second->ts_remote = test_conf_ts(p->cb, "10.9.0.0/16");
	p->pa->local_id = test_conf_ident(p->ca, "a2.example");
	p->pa->psk = 9;
	p->pa->ts_local = test_conf_ts(p->ca, "10.9.0.0/16");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_int_equal(node_sa(p->b).info.peer, 2);
	assert_true(world_ping(p->w, p->a, "10.9.0.1", p->b, "10.2.0.1"));
}

/* ---- certificates -------------------------------------------------------------------------- */

/* Who it is shows only in IKE_AUTH: with a peer for a pre-shared key at that very address, the
 * answer still asks for the certificates of all others, and says how to sign (RFC 7427). */
static void certificates_asked_for_unseen(void **state)
{
	struct pair *p = *state;
	struct ike_peer_conf *c[3];
	struct script s;

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = test_conf_peer(p->cb, 2 + i, "c", "", "b.example", i ? "*.c" : "c.example",
				      0);
		test_conf_cert(p->cb, c[i], 12, 100, i == 1 ? 101 : 100);
	}
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_sa_init(&s);
	assert_true(script_exchange(&s));
	assert_non_null(script_notify(&s, WIRE_N_SIGNATURE_HASH_ALGORITHMS));
	assert_int_equal(s.in.n_certreqs, 1);
	assert_int_equal(s.in.certreqs[0].data.n, 2 * 20);
	assert_int_equal(load_be32(s.in.certreqs[0].data.p), 100);
	assert_int_equal(load_be32(s.in.certreqs[0].data.p + 20), 101);
	script_done(&s);
}

/* How a certificate can be wrong, and the word that has to be in the log of who refuses it. */
struct bad_cert {
	const char *what;
	crypto_ref key; /* that signs */
	crypto_ref cert_key; /* that the certificate is for */
	uint32_t issuer;
	const char *subject; /* NULL: the right one */
	int64_t from, until; /* days from now */
	const char *says;
	enum ike_reason reason;
};

static const struct bad_cert bad_cert[] = {
	{ "foreign issuer", 11, 11, 666, NULL, -1, 365, "666", IKE_R_CERTIFICATE },
	{ "expired", 11, 11, 100, NULL, -30, -1, "expired", IKE_R_CLOCK },
	{ "not yet valid", 11, 11, 100, NULL, 1, 365, "valid", IKE_R_CLOCK },
	{ "for somebody else", 11, 11, 100, "mallory.example", -1, 365, "mallory.example",
	  IKE_R_IDENTITY },
	{ "for another key", 13, 11, 100, NULL, -1, 365, "", IKE_R_KEY },
};

static void spoil(struct test_conf *c, struct ike_peer_conf *peer, const struct bad_cert *bad,
		  const char *own)
{
	test_conf_cert_for(c, peer, bad->cert_key, bad->issuer, 100,
			   bad->subject ? bad->subject : own,
			   (wall_t){ WORLD_WALL + bad->from * DAY },
			   (wall_t){ WORLD_WALL + bad->until * DAY });
	peer->key = bad->key;
}

static void bad_initiator_certificate(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_cert); i++) {
		struct pair p;

		pair_init(&p, 80 + i);
		pair_certs(&p);
		spoil(p.ca, p.pa, &bad_cert[i], "a.example");
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		says(p.b, IKE_EV_REFUSED, bad_cert[i].says);
		because(p.b, IKE_EV_REFUSED, bad_cert[i].reason);
		says(p.a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
		assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 0);
		assert_int_equal(node_counter(p.b, "ike.refused.certificate"), 1);
		assert_nothing_came_of_it(&p);
		pair_done(&p);
	}
}

static void bad_responder_certificate(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_cert); i++) {
		struct pair p;

		pair_init(&p, 90 + i);
		pair_certs(&p);
		spoil(p.cb, p.pb, &bad_cert[i], "b.example");
		pair_start(&p);
		connect(p.a);
		deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		deliver(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
		deliver(p.w, p.b, WIRE_IKE_AUTH, RESPONSE, 1);
		says(p.a, IKE_EV_REFUSED, bad_cert[i].says);
		because(p.a, IKE_EV_REFUSED, bad_cert[i].reason);
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
		assert_int_equal(p.a->n_children, 0);
		/* a: INFORMATIONAL 2 {N(AUTHENTICATION_FAILED), D}: b takes its own end down. */
		next_is(p.w, p.a, WIRE_INFORMATIONAL, REQUEST, 2);
		next_notifies(p.w, WIRE_N_AUTHENTICATION_FAILED);
		world_run(p.w);
		assert_int_equal(p.b->n_children, 0);
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
}

/* ---- hash and URL -------------------------------------------------------------------------- */

/* The first certificate becomes what is to be fetched from somewhere; nothing signs CERT. */
static void hash_and_url(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	size_t at = chain_find(*first, chain, *n, WIRE_P_CERT);

	(void)cap;
	if (at != SIZE_MAX)
		chain[at + 4] = *(const uint8_t *)ctx;
}

static void and_the_certificate(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	uint8_t body[64] = { *(const uint8_t *)ctx };

	chain_append(first, chain, n, cap, WIRE_P_CERT, false, BYTES_OF(body));
}

static void request_with(packet_edit_fn *edit, uint8_t encoding, bool good)
{
	struct pair p;

	pair_init(&p, 61);
	pair_certs(&p);
	pair_start(&p);
	connect(p.a);
	deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
	(void)packet_reseal(p.w, world_packet(p.w, 0), edit, &encoding);
	world_drop(p.w, world_packet(p.w, 0));
	deliver(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_int_equal(node_counter(p.b, "ike.rx.hash_and_url"), 1);
	next_is(p.w, p.b, WIRE_IKE_AUTH, RESPONSE, 1);
	if (good) {
		assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 1);
	} else {
		next_notifies(p.w, WIRE_N_AUTHENTICATION_FAILED);
		says(p.b, IKE_EV_REFUSED, "hash and URL");
		because(p.b, IKE_EV_REFUSED, IKE_R_CERTIFICATE);
		assert_int_equal(node_counter(p.b, "ike.refused.certificate"), 1);
	}
	pair_done(&p);
}

/* RFC 7296 section 3.6, encodings 12 and 13: never fetched, refused unless the certificate is there
 * as well; and we do not ask for them (S2). */
static void certificate_elsewhere(void **state)
{
	(void)state;
	request_with(hash_and_url, WIRE_CERT_HASH_URL, false);
	request_with(hash_and_url, WIRE_CERT_HASH_URL_BUNDLE, false);
	request_with(and_the_certificate, WIRE_CERT_HASH_URL, true);
}

/* Without a trusted clock no certificate is valid (fail closed). */
static void clock_not_trusted(void **state)
{
	struct pair *p = *state;

	pair_certs(p);
	p->w->now.wall_ok = false;
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_non_null(node_event(p->b, IKE_EV_REFUSED));
	assert_nothing_came_of_it(p);
}

/* One has a key, the other wants a certificate. */
static void method_mismatch(void **state)
{
	struct pair *p = *state;

	test_conf_cert(p->cb, p->pb, 12, 100, 100);
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_non_null(node_event(p->b, IKE_EV_REFUSED));
	says(p->a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
	assert_nothing_came_of_it(p);
}

/* A valid member of the CA claims to be another member: only the identity in its certificate
 * counts. */
static void member_claims_other_identity(void **state)
{
	struct pair *p = *state;
	struct ike_peer_conf *other;

	pair_certs(p);
	other = test_conf_peer(p->cb, 2, "m", NULL, "b.example", "m.example", 0);
	test_conf_cert(p->cb, other, 12, 100, 100);
	other->ts_local = test_conf_ts(p->cb, "10.2.0.0/16");
	other->ts_remote = test_conf_ts(p->cb, "10.66.0.0/16");
	/* a is really "m", with m's own good certificate, and says it is a.example. */
	test_conf_cert_for(p->ca, p->pa, 66, 100, 100, "m.example", (wall_t){ WORLD_WALL - DAY },
			   (wall_t){ WORLD_WALL + DAY });
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	says(p->b, IKE_EV_REFUSED, "m.example");
	assert_nothing_came_of_it(p);
}

/* ---- a broken IKE_AUTH inside good encryption ---------------------------------------------- */

enum leave_out { NO_IDI, NO_AUTH, NO_SA, NO_TSI, NO_TSR, LEAVE_OUT };

static void missing_payload(void **state)
{
	(void)state;
	for (int out = 0; out < LEAVE_OUT; out++) {
		struct pair p;
		struct script s;

		pair_init(&p, 100 + (unsigned)out);
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		script_sa_init(&s);
		assert_true(script_exchange(&s));
		script_begin(&s, WIRE_IKE_AUTH, false);
		if (out != NO_IDI)
			script_put_id(&s);
		if (out != NO_AUTH)
			script_put_auth(&s);
		if (out != NO_SA)
			script_put_sa(&s, s.esp, s.spi_esp);
		if (out != NO_TSI && out != NO_TSR) {
			script_put_ts(&s, s.ts_i, s.ts_r);
		} else {
			struct wire_ts ts = { .port_end = 65535,
					      .start = test_ip("10.1.0.0"),
					      .end = test_ip("10.1.255.255") };

			wire_put_ts(&s.out, out == NO_TSI ? WIRE_P_TSR : WIRE_P_TSI, &ts, 1);
		}
		script_send(&s);
		/* INVALID_SYNTAX under the SA's protection (section 2.21.2), no SA, no child;
		 * without AUTH it would be EAP (2.16), which is no syntax error. */
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, out == NO_AUTH ? WIRE_N_AUTHENTICATION_FAILED
								 : WIRE_N_INVALID_SYNTAX));
		assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 0);
		assert_int_equal(p.b->n_children, 0);
		assert_int_equal(node_counter(p.b, "ike.rx.payloads"), out != NO_AUTH);
		world_advance(p.w, dur_s(100));
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

/* The same for the responder's answer; AUTH and identity are what the SA stands on. */
static void drop_payload(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	(void)cap;
	chain_remove(first, chain, n, *(const uint8_t *)ctx);
}

static void answer_without_payload(void **state)
{
	static const uint8_t type[] = { WIRE_P_IDR, WIRE_P_AUTH, WIRE_P_SA, WIRE_P_TSI,
					WIRE_P_TSR };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(type); i++) {
		bool fatal = type[i] == WIRE_P_IDR || type[i] == WIRE_P_AUTH;
		uint8_t leave_out = type[i];
		struct packet *answer;
		struct pair p;

		pair_init(&p, 110 + i);
		p.pb->dpd_delay = dur_s(10);
		pair_start(&p);
		connect(p.a);
		for (int k = 0; k < 3; k++)
			deliver_any(p.w);
		answer = world_packet(p.w, 0);
		packet_reseal(p.w, answer, drop_payload, &leave_out);
		world_drop(p.w, answer);
		deliver(p.w, p.b, WIRE_IKE_AUTH, RESPONSE, 1);
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), !fatal);
		assert_int_equal(p.a->n_children, 0);
		assert_non_null(node_event(p.a, IKE_EV_REFUSED));
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(wrong_key),
		pair_test(refusal_lost),
		pair_test(responder_lies),
		pair_test(unknown_initiator),
		pair_test(other_responder),
		pair_test(asked_for_somebody_else),
		pair_test(wildcard),
		cmocka_unit_test(every_kind_of_identity),
		pair_test(two_peers_one_address),
		pair_test(certificates_asked_for_unseen),
		cmocka_unit_test(bad_initiator_certificate),
		cmocka_unit_test(bad_responder_certificate),
		pair_test(clock_not_trusted),
		pair_test(method_mismatch),
		pair_test(member_claims_other_identity),
		cmocka_unit_test(missing_payload),
		cmocka_unit_test(answer_without_payload),
		cmocka_unit_test(certificate_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
