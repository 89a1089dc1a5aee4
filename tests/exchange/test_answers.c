/* Answers to the initial exchanges that do not fit: to IKE_SA_INIT, where anybody may have sent
 * them, they are a hint and we go on listening; to IKE_AUTH, where only the peer can, they end it
 * (RFC 7296 sections 1.2, 2.6, 2.7, 2.21.1, 2.21.2; S2). */
#include "exchange/exchange.h"
#include "policy/policy.h"

#define OFFER "aes128gcm16-prfsha256-x25519-ecp256"
#define X25519 31
#define ECP256 19

static void called(struct pair *p, struct script *s)
{
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, OFFER);
	script_called(p, s);
}

/* The true answer after all. */
static void goes_on(struct pair *p, struct script *s)
{
	script_answer_init(s);
	assert_true(script_exchange(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), WIRE_IKE_AUTH);
	script_answer_auth(s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	assert_true(node_sa(p->a).info.established);
	assert_int_equal(p->a->n_children, 1);
}

/* ---- IKE_SA_INIT ----------------------------------------------------------------------------- */

struct init_answer {
	const char *words;
	size_t spi_len; /* of the proposal: none, section 3.3.1 */
	bool no_spi_r; /* in the header */
	uint16_t group;
	size_t ke_len;
	const char *hint; /* what the operator reads when nothing better comes */
	const char *counter;
};

static const struct init_answer init_answers[] = {
	{ "aes256gcm16-prfsha256-x25519", 0, false, X25519, 32, "does not fit our offer",
	  "ike.refused.proposal" },
	{ "aes128gcm16-prfsha256-x25519", 8, false, X25519, 32, "the proposal has an SPI",
	  "ike.refused.proposal" },
	{ "aes128gcm16-prfsha256-ecp256", 0, false, ECP256, 64, "method 19 answers our 31",
	  "ike.refused.proposal" },
	{ "aes128gcm16-prfsha256-x25519", 0, false, ECP256, 64, "method 19 answers our 31",
	  "ike.refused.proposal" },
	{ "aes128gcm16-prfsha256-x25519", 0, false, X25519, 33, "33 bytes are no value",
	  "ike.refused.proposal" },
	{ "aes128gcm16-prfsha256-x25519", 0, true, X25519, 32, NULL, NULL },
};

static void init_answer_does_not_fit(void **state)
{
	static const uint8_t nonce[32] = { 9 }, ke[64] = { 5 }, spi[8] = { 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(init_answers); i++) {
		const struct init_answer *r = &init_answers[i];
		char buf[256];
		struct text why = TEXT_OF(buf);
		struct wire_proposal prop;
		struct wire_sa sa = { &prop, 1 };
		struct script s;
		struct pair p;
		struct packet *q;

		pair_init(&p, 1100 + i);
		called(&p, &s);
		s.spi_i = s.msg.hdr.spi_i;
		s.spi_r = r->no_spi_r ? 0 : 77;
		script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
		assert_int_equal(
			policy_proposal_parse(&s.mem, WIRE_PROTO_IKE, r->words, &why, &prop),
			ST_OK);
		prop.spi = bytes_of(spi, r->spi_len);
		wire_put_sa(&s.out, &sa);
		wire_put_ke(&s.out, r->group, bytes_of(ke, r->ke_len));
		wire_put_nonce(&s.out, BYTES_OF(nonce));
		q = script_send(&s);
		world_deliver(p.w, q);
		assert_null(world_packet(p.w, 0));
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
		if (r->counter)
			assert_int_equal(node_counter(p.a, r->counter), 1);
		if (r->hint)
			assert_non_null(strstr(node_peer(p.a, PAIR_PEER).last_error, r->hint));
		goes_on(&p, &s);
		script_done(&s);
		pair_done(&p);
	}
}

/* Section 1.3 of INVALID_KE_PAYLOAD, 2.6 of COOKIE: what nobody should have to follow. */
static void notifies_that_lead_nowhere(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t data[2];
		size_t n;
	} rows[] = {
		{ WIRE_N_COOKIE, { 0 }, 0 },
		{ WIRE_N_INVALID_KE_PAYLOAD, { 0 }, 0 },
		{ WIRE_N_INVALID_KE_PAYLOAD, { 0, 14 }, 2 }, /* not offered */
		{ WIRE_N_INVALID_KE_PAYLOAD, { 1, 0 }, 2 },
		{ WIRE_N_INVALID_KE_PAYLOAD, { 0, X25519 }, 2 }, /* what we came with */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 1120 + i);
		called(&p, &s);
		s.spi_i = s.msg.hdr.spi_i;
		script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), rows[i].type,
				bytes_of(rows[i].data, rows[i].n));
		world_deliver(p.w, script_send(&s));
		assert_null(world_packet(p.w, 0));
		assert_int_equal(node_counter(p.a, "ike.other_group"), 0);
		goes_on(&p, &s);
		script_done(&s);
		pair_done(&p);
	}
}

/* ---- IKE_AUTH -------------------------------------------------------------------------------- */

static void asked_for_auth(struct pair *p, struct script *s)
{
	called(p, s);
	script_answer_init(s);
	assert_true(script_exchange(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), WIRE_IKE_AUTH);
}

/* Section 2.21.2: alone or beside an AUTH payload that is good, there is no IKE SA. */
static void auth_refused(void **state)
{
	static const struct {
		uint16_t type;
		bool beside;
		const char *says;
	} rows[] = {
		{ WIRE_N_AUTHENTICATION_FAILED, false, "AUTHENTICATION_FAILED; we are a.example" },
		{ WIRE_N_AUTHENTICATION_FAILED, true, "AUTHENTICATION_FAILED" },
		{ WIRE_N_INVALID_SYNTAX, true, "INVALID_SYNTAX" },
		{ WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD, true, "UNSUPPORTED_CRITICAL_PAYLOAD" },
		{ 9999, false, "an unknown error" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		static const uint8_t critical = 200;
		uint16_t type = rows[i / 2].type;
		size_t n = type == WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD;
		bool ppk = i & 1;
		struct script s;
		struct pair p;

		pair_init(&p, 1140 + i);
		if (ppk) {
			p.pa->ppk = 5;
			p.pa->ppk_id = bytes_str("x");
		}
		called(&p, &s);
		s.use_ppk = ppk;
		script_answer_init(&s);
		assert_true(script_exchange(&s) && s.opened);
		script_begin(&s, WIRE_IKE_AUTH, true);
		if (rows[i / 2].beside) {
			script_put_id(&s);
			script_put_auth(&s);
		}
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), type,
				bytes_of(&critical, n));
		world_deliver(p.w, script_send(&s));
		says(p.a, IKE_EV_REFUSED, rows[i / 2].says);
		if (ppk)
			says(p.a, IKE_EV_REFUSED, "post-quantum pre-shared key \"x\"");
		because(p.a, IKE_EV_REFUSED, IKE_R_PEER_SAID);
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
		assert_int_equal(node_counter(p.a, "ike.refused.by_peer"), 1);
		script_done(&s);
		settle(&p);
		assert_true(node_is_down(p.a));
		pair_done(&p);
	}
}

/* A method other than the configured one proves nothing, whatever its data. */
static void other_method(void **state)
{
	static const uint8_t data[32] = { 1 };

	(void)state;
	for (int certs = 0; certs < 2; certs++) {
		struct script s;
		struct pair p;

		pair_init(&p, 1160 + (unsigned)certs);
		if (certs)
			pair_certs(&p);
		asked_for_auth(&p, &s);
		script_begin(&s, WIRE_IKE_AUTH, true);
		script_put_id(&s);
		if (certs)
			script_put_auth(&s);
		else
			wire_put_auth(&s.out, WIRE_AUTH_SIGNATURE, BYTES_OF(data));
		script_put_sa(&s, s.esp, s.spi_esp);
		script_put_ts(&s, s.ts_i, s.ts_r);
		world_deliver(p.w, script_send(&s));
		says(p.a, IKE_EV_REFUSED,
		     certs ? "with a pre-shared key, configured is a certificate"
			   : "with a signature, configured is a pre-shared key");
		because(p.a, IKE_EV_REFUSED, IKE_R_KEY);
		assert_int_equal(p.a->n_children, 0);
		script_done(&s);
		settle(&p);
		pair_done(&p);
	}
}

/* RFC 8784 section 3: who requires the PPK does not go on with a peer that leaves it out. */
static void ppk_left_out(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pa->ppk = 5;
	p->pa->ppk_id = bytes_str("x");
	p->pa->ppk_required = true;
	called(p, &s);
	s.use_ppk = true;
	script_answer_init(&s);
	assert_true(script_exchange(&s) && s.opened);
	script_begin(&s, WIRE_IKE_AUTH, true);
	script_put_id(&s);
	script_put_auth(&s);
	world_deliver(p->w, script_send(&s));
	says(p->a, IKE_EV_REFUSED, "the peer goes without");
	because(p->a, IKE_EV_REFUSED, IKE_R_KEY);
	assert_int_equal(node_counter(p->a, "ike.refused.ppk"), 1);
	script_done(&s);
	settle(p);
}

/* ---- AUTH_LIFETIME (RFC 4478) ---------------------------------------------------------------- */

/* Section 3: four bytes, from the responder of the SA that is, to whoever called. */
static void lifetimes_that_mean_nothing(void **state)
{
	static const uint8_t soon[4] = { 0, 0, 0, 60 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		bool called_us = i == 1;
		struct script s;
		struct pair p;

		pair_init(&p, 1170 + (unsigned)i);
		if (called_us) {
			pair_start_b(&p);
			script_init(&s, p.w, "192.0.2.1", p.b, true);
			script_connect(&s);
		} else {
			called(&p, &s);
			goes_on(&p, &s);
		}
		script_begin_id(&s, WIRE_INFORMATIONAL, false, called_us ? 2 : 0);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_AUTH_LIFETIME,
				bytes_of(soon, called_us ? 4 : 3));
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		world_live(p.w, dur_s(200));
		assert_int_equal(node_events(called_us ? p.b : p.a, IKE_EV_CONNECTING), !called_us);
		assert_true(node_sa(called_us ? p.b : p.a).info.established);
		script_done(&s);
		world_drop_all(p.w);
		pair_done(&p);
	}
}

/* What cannot be said in 32 bits is said as the most that can. */
static void longest_lifetime(void **state)
{
	struct pair *p = *state;
	const struct wire_notify *n;
	struct script s;

	p->pb->life.reauth = dur_s(5000000000);
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	n = script_notify(&s, WIRE_N_AUTH_LIFETIME);
	assert_non_null(n);
	assert_int_equal(load_be32(n->data.p), UINT32_MAX);
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_answer_does_not_fit),
		cmocka_unit_test(notifies_that_lead_nowhere),
		cmocka_unit_test(auth_refused),
		cmocka_unit_test(other_method),
		pair_test(ppk_left_out),
		cmocka_unit_test(lifetimes_that_mean_nothing),
		pair_test(longest_lifetime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
