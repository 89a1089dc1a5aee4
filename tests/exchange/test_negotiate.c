/* What can be negotiated, what cannot, and attempts to talk an initiator down: RFC 7296 sections
 * 1.2, 2.6, 2.7 and 3.3. */
#include "exchange/exchange.h"

/* ---- COOKIE (section 2.6) ------------------------------------------------------------------ */

static void cookie(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct opened o;

	p->cb->conf.half_open_cookie = 0;
	pair_start(p);
	connect(p->a);
	/* a: IKE_SA_INIT 0 {SA, KE, Ni}  -> */
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_int_equal(ike_totals(p->b->ike).half_open, 0);
	assert_int_equal(p->b->n_jobs, 0);
	/* <- b: IKE_SA_INIT 0 {N(COOKIE)} */
	next_notifies(w, WIRE_N_COOKIE);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	/* a: IKE_SA_INIT 0 {N(COOKIE), SA, KE, Ni}  ->  the cookie is the first payload */
	next_notifies(w, WIRE_N_COOKIE);
	assert_true(packet_open(w, world_packet(w, 0), &o));
	assert_int_equal(o.msg.hdr.next, WIRE_P_NOTIFY);
	assert_int_equal(o.msg.clear.notifies[0].type, WIRE_N_COOKIE);
	opened_done(&o);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_int_equal(ike_totals(p->b->ike).half_open, 1);
	world_run(w);
	assert_true(pair_is_up(p));
	assert_int_equal(node_counter(p->b, "ike.cookie.sent"), 1);
	assert_int_equal(node_counter(p->b, "ike.cookie.bad"), 0);
}

/* A cookie is good for its address, port, SPI and nonce only, and not for ever. */
static void cookie_is_bound(void **state)
{
	struct pair *p = *state;
	struct packet *good, *bad;

	p->cb->conf.half_open_cookie = 0;
	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	good = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	for (int i = 0; i < 5; i++) {
		struct opened o;
		uint8_t *cookie_byte;

		bad = packet_keep(good);
		assert_true(packet_open(p->w, bad, &o));
		cookie_byte = bad->data + (o.msg.clear.notifies[0].data.p - bad->data);
		switch (i) {
		case 0: bad->src.port = 501; break;
		case 1: bad->src.ip = test_ip("192.0.2.77"); break;
		case 2: bad->data[0] ^= 1; break; /* SPIi */
		case 3: cookie_byte[o.msg.clear.notifies[0].data.n - 1] ^= 1; break;
		case 4: bad->data[o.msg.clear.nonce.p - bad->data] ^= 1; break;
		}
		opened_done(&o);
		world_hand_over(p->w, bad);
		assert_int_equal(node_counter(p->b, "ike.cookie.bad"), (uint64_t)i + 1);
		assert_int_equal(ike_totals(p->b->ike).half_open, 0);
		packet_free(bad);
	}
	world_drop_all(p->w);
	/* Later than two changes of the secret. */
	p->a->unplugged = true;
	world_advance(p->w, dur_s(130));
	world_drop_all(p->w);
	world_hand_over(p->w, good);
	world_advance(p->w, dur_s(61));
	world_hand_over(p->w, good);
	assert_int_equal(ike_totals(p->b->ike).half_open, 0);
	packet_free(good);
}

/* Under pressure: the first 16 go without, then a cookie is demanded.  Of 64 places 48 are for
 * strangers; when these are taken a good cookie gets the place of one who has none, and at last
 * does not help. P6: no memory, no job. */
static void flood(void **state)
{
	struct pair *p = *state;
	struct script s[66];
	size_t before;

	p->cb->conf.puzzle_max = 0;
	pair_start_b(p);
	for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
		char from[32];

		snprintf(from, sizeof(from), "198.51.100.%u", i + 1);
		script_init(&s[i], p->w, from, p->b, true);
		script_sa_init(&s[i]);
		before = p->b->mem.live;
		assert_true(script_exchange(&s[i]) || i >= 64);
		if (i < 16) {
			assert_true(s[i].keyed);
			continue;
		}
		assert_non_null(script_notify(&s[i], WIRE_N_COOKIE));
		assert_int_equal(p->b->mem.live, before);
		s[i].cookie = script_notify(&s[i], WIRE_N_COOKIE)->data;
		script_sa_init(&s[i]);
		assert_int_equal(script_exchange(&s[i]), i < 64);
		assert_int_equal(s[i].keyed, i < 64);
	}
	assert_int_equal(ike_totals(p->b->ike).half_open, 48);
	assert_int_equal(node_counter(p->b, "ike.admit.evicted"), 16);
	assert_int_equal(node_counter(p->b, "ike.rx.half_open_full"), 2);
	because(p->b, IKE_EV_REFUSED, IKE_R_OVERLOAD);
	world_advance(p->w, dur_s(60));
	assert_true(node_is_down(p->b));
	for (unsigned i = 0; i < ARRAY_LEN(s); i++)
		script_done(&s[i]);
}

/* A responder that asks for cookies without end does not keep an initiator busy. */
static void endless_cookies(void **state)
{
	struct pair *p = *state;
	uint8_t cookie[4] = { 0 };
	struct script s;
	unsigned requests = 0;
	bool more;

	pair_start_a(p);
	connect(p->a);
	script_init(&s, p->w, "192.0.2.2", p->a, false);
	for (more = script_take(&s); more; more = script_exchange(&s)) {
		requests++;
		assert_in_range(requests, 1, 8);
		s.spi_i = s.msg.hdr.spi_i;
		cookie[3]++;
		script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
		wire_put_notify(&s.out, 0, bytes_of(NULL, 0), WIRE_N_COOKIE, BYTES_OF(cookie));
		script_send(&s);
	}
	assert_true(requests > 2);
	script_done(&s);
	while (!node_event(p->a, IKE_EV_UNREACHABLE)) {
		world_drop_all(p->w);
		assert_true(world_timer(p->w));
	}
	settle(p);
	assert_true(node_is_down(p->a));
}

/* ---- INVALID_KE_PAYLOAD (section 1.2) ------------------------------------------------------ */

static void other_group(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct opened o;

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp256");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-ecp256");
	pair_start(p);
	connect(p->a);
	/* a: IKE_SA_INIT 0 {SA, KE(31), Ni}  -> */
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_int_equal(p->b->n_jobs, 0);
	/* <- b: IKE_SA_INIT 0 {N(INVALID_KE_PAYLOAD, 19)} */
	next_notifies(w, WIRE_N_INVALID_KE_PAYLOAD);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	/* a: IKE_SA_INIT 0 {SA, KE(19), Ni}  ->  with the same offer, or somebody could cut it */
	assert_true(packet_open(w, world_packet(w, 0), &o));
	assert_int_equal(o.msg.clear.ke.group, CRYPTO_ECP_256);
	assert_true(policy_offers_ke(&o.msg.clear.sa, CRYPTO_X25519));
	opened_done(&o);
	world_run(w);
	assert_true(pair_is_up(p));
	assert_int_equal(node_sa(p->a).info.suite.ke, CRYPTO_ECP_256);
}

static void put_group(struct script *s, uint16_t group)
{
	uint8_t data[2];

	s->spi_i = s->msg.hdr.spi_i;
	store_be16(data, group);
	script_begin_clear(s, WIRE_IKE_SA_INIT, true, 0);
	wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_INVALID_KE_PAYLOAD, BYTES_OF(data));
	script_send(s);
}

/* Groups not offered, the same one again, and back and forth between two: followed at most once
 * per group, and the true answer is still welcome after it. */
static void group_games(void **state)
{
	static const uint16_t asked[] = { CRYPTO_X25519, CRYPTO_ECP_384, 0,  65535, CRYPTO_ECP_256,
					  CRYPTO_X25519, CRYPTO_ECP_256, 63, 32 };
	struct pair *p = *state;
	unsigned jobs = 0;
	struct script s;

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp256");
	pair_start_a(p);
	connect(p->a);
	script_init(&s, p->w, "192.0.2.2", p->a, false);
	assert_true(script_take(&s));
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		put_group(&s, asked[i]);
		if (script_exchange(&s)) {
			assert_int_equal(asked[i], CRYPTO_ECP_256);
			assert_int_equal(s.in.ke.group, CRYPTO_ECP_256);
			jobs++;
		}
	}
	assert_int_equal(jobs, 1);
	s.ike = "aes128gcm16-prfsha256-ecp256";
	script_answer_init(&s);
	assert_true(script_exchange(&s));
	assert_int_equal(packet_exchange(s.packet), WIRE_IKE_AUTH);
	assert_true(s.opened);
	script_done(&s);
}

/* ---- no proposal --------------------------------------------------------------------------- */

static void no_proposal(void **state)
{
	struct pair *p = *state;

	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes256gcm16-prfsha384-ecp384");
	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_int_equal(ike_totals(p->b->ike).sas, 0);
	/* <- b: IKE_SA_INIT 0 {N(NO_PROPOSAL_CHOSEN)} */
	next_notifies(p->w, WIRE_N_NO_PROPOSAL_CHOSEN);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	/* Both sides' values, at both ends as far as known there. */
	says(p->b, IKE_EV_REFUSED, "aes256gcm16-prfsha384-ecp384");
	says(p->b, IKE_EV_REFUSED, "aes128gcm16-prfsha256-x25519");
	because(p->b, IKE_EV_REFUSED, IKE_R_PROPOSAL);
	says(p->a, IKE_EV_REFUSED, "NO_PROPOSAL_CHOSEN");
	says(p->a, IKE_EV_REFUSED, "aes128gcm16-prfsha256-x25519");
	because(p->a, IKE_EV_REFUSED, IKE_R_PEER_SAID);
	assert_true(strstr(node_peer(p->a, PAIR_PEER).last_error, "NO_PROPOSAL_CHOSEN") != NULL);
	assert_int_equal(node_counter(p->b, "ike.refused.proposal"), 1);
	settle(p);
	assert_true(pair_is_down(p));
}

/* The child alone fails: the IKE SA stays, and both say why (section 1.3.1, 2.21.2). */
static void no_child_proposal(void **state)
{
	struct pair *p = *state;

	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes256gcm16-noesn");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	assert_true(node_sa(p->a).info.established && node_sa(p->b).info.established);
	assert_int_equal(ike_totals(p->a->ike).children, 0);
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	says(p->b, IKE_EV_REFUSED, "aes256gcm16");
	says(p->b, IKE_EV_REFUSED, "aes128gcm16");
	because(p->b, IKE_EV_REFUSED, IKE_R_ESP_PROPOSAL);
	says(p->a, IKE_EV_REFUSED, "NO_PROPOSAL_CHOSEN");
}

/* ---- talking an initiator down ------------------------------------------------------------- */

/* Answers with something that was not offered: not followed, and the true answer still works. */
static void answer_outside_offer(void **state)
{
	static const char *const answer[] = {
		"aes256gcm16-prfsha256-x25519", /* another key length */
		"aes128gcm16-prfsha384-x25519", /* another PRF */
		"aes128-sha256-x25519", /* another cipher */
		"aes128gcm16-prfsha256-ecp256", /* another group than KE */
		"aes128gcm16-aes256gcm16-prfsha256-x25519", /* two of one type */
		"aes128gcm16-prfsha256-prfsha384-x25519",
	};
	struct pair *p = *state;
	struct packet *request;
	struct script s;

	pair_start_a(p);
	connect(p->a);
	request = packet_keep(world_packet(p->w, 0));
	for (size_t i = 0; i < ARRAY_LEN(answer); i++) {
		world_drop_all(p->w);
		world_inject(p->w, request->src, request->dst, bytes_of(request->data, request->n));
		script_init(&s, p->w, "192.0.2.2", p->a, false);
		assert_true(script_take(&s));
		s.spi_i = s.msg.hdr.spi_i;
		script_prepare(&s);
		script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
		script_put_sa(&s, answer[i], 0);
		wire_put_ke(&s.out, CRYPTO_X25519, bytes_of(s.pub, s.n_pub));
		wire_put_nonce(&s.out, bytes_of(s.nonce_r, s.n_nonce_r));
		script_send(&s);
		assert_false(script_exchange(&s));
		script_done(&s);
	}
	script_init(&s, p->w, "192.0.2.2", p->a, false);
	world_inject(p->w, request->src, request->dst, bytes_of(request->data, request->n));
	assert_true(script_take(&s));
	script_answer_init(&s);
	assert_true(script_exchange(&s) && s.opened);
	script_done(&s);
	packet_free(request);
}

/* Somebody on the path removes the better proposal from SAi1: AUTH covers the message as sent, so
 * both ends notice. */
static void keep_second(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	size_t at = chain_find(*first, chain, *n, WIRE_P_SA);
	size_t len = load_be16(chain + at + 2), one = load_be16(chain + at + 4 + 2);

	(void)ctx;
	(void)cap;
	memmove(chain + at + 4, chain + at + 4 + one, *n - at - 4 - one);
	store_be16(chain + at + 2, (uint16_t)(len - one));
	*n -= one;
	chain[at + 4 + 4] = 1; /* the first proposal has number 1 */
}

static void downgrade_by_changed_offer(void **state)
{
	struct pair *p = *state;
	const char *both = "aes256gcm16-prfsha384-x25519 aes128gcm16-prfsha256-x25519";

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, both);
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, both);
	pair_start(p);
	connect(p->a);
	while (!node_event(p->a, IKE_EV_UNREACHABLE)) {
		struct packet *next = world_packet(p->w, 0);

		if (!next) {
			assert_true(world_timer(p->w));
		} else if (packet_is_response(next)) {
			/* b answers with number 1, which a offered as something else. */
			world_deliver(p->w, next);
		} else {
			assert_int_equal(packet_exchange(next), WIRE_IKE_SA_INIT);
			world_deliver(p->w, packet_rewrite(p->w, next, keep_second, NULL));
			world_drop(p->w, next);
		}
	}
	assert_int_equal(node_counter(p->a, "ike.refused.proposal"), 4);
	settle(p);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 0);
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 0);
	assert_true(pair_is_down(p));
}

/* The same with the answer's number mended: only AUTH can notice, and does. */
static void mend_number(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	(void)ctx;
	(void)cap;
	chain[chain_find(*first, chain, *n, WIRE_P_SA) + 4 + 4] = 2;
}

static void downgrade_detected_by_auth(void **state)
{
	struct pair *p = *state;
	const char *both = "aes256gcm16-prfsha384-x25519 aes128gcm16-prfsha256-x25519";

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, both);
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, both);
	pair_start(p);
	connect(p->a);
	packet_rewrite(p->w, world_packet(p->w, 0), keep_second, NULL);
	world_drop(p->w, world_packet(p->w, 0));
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	packet_rewrite(p->w, world_packet(p->w, 0), mend_number, NULL);
	world_drop(p->w, world_packet(p->w, 0));
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	/* a: IKE_AUTH 1 {IDi, AUTH, …}  ->  signs the offer that it made */
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	next_notifies(p->w, WIRE_N_AUTHENTICATION_FAILED);
	deliver(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	settle(p);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 0);
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 0);
	assert_int_equal(node_counter(p->b, "ike.refused.authentication"), 1);
	assert_true(pair_is_down(p));
}

/* A public value that is no point of the curve: the job says so, the attempt ends. */
static void bad_public_value(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_prepare(&s);
	memset(s.pub, 0, sizeof(s.pub)); /* RFC 8031: all-zero shared secrets must be refused */
	script_sa_init(&s);
	script_exchange(&s);
	world_live(p->w, dur_s(100));
	assert_true(node_is_down(p->b));
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 0);
	script_done(&s);
}

/* A KE payload whose length is not its group's. */
static void short_public_value(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_prepare(&s);
	s.n_pub -= 1;
	script_sa_init(&s);
	script_exchange(&s);
	world_live(p->w, dur_s(100));
	assert_true(node_is_down(p->b));
	script_done(&s);
}

/* The same in an answer that somebody on the path was faster with: no more than a hint. */
static void bad_public_value_in_answer(void **state)
{
	struct pair *p = *state;
	struct packet *forged;
	struct wire_ike_msg m;
	enum wire_fault fault;
	struct arena ar;

	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	forged = packet_keep(world_packet(p->w, 0));
	arena_init(&ar, &mem_libc, 1 << 16);
	assert_int_equal(wire_ike_parse(&ar, packet_ike(forged), &m, &fault), ST_OK);
	memset((void *)(uintptr_t)m.clear.ke.data.p, 0, m.clear.ke.data.n);
	arena_done(&ar);
	world_hand_over(p->w, forged);
	packet_free(forged);
	assert_int_equal(node_counter(p->a, "ike.rx.unauthenticated_error"), 1);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* Whoever is faster every time wins, but ends the attempt. */
static void bad_public_values_for_ever(void **state)
{
	struct pair *p = *state;
	struct script s;
	unsigned answers = 0;

	pair_start_a(p);
	script_init(&s, p->w, "192.0.2.2", p->a, false);
	script_prepare(&s);
	memset(s.pub, 0, sizeof(s.pub));
	connect(p->a);
	while (script_take(&s) && packet_exchange(s.packet) == WIRE_IKE_SA_INIT && answers < 100) {
		script_begin_clear(&s, WIRE_IKE_SA_INIT, true, 0);
		s.spi_i = s.msg.hdr.spi_i;
		script_answer_init(&s);
		world_deliver(p->w, world_packet_to(p->w, p->a));
		answers++;
	}
	assert_in_range(answers, 2, 10);
	assert_string_not_equal(node_peer(p->a, PAIR_PEER).last_error, "");
	settle(p);
	assert_true(node_is_down(p->a));
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(cookie),
		pair_test(cookie_is_bound),
		pair_test(flood),
		pair_test(endless_cookies),
		pair_test(other_group),
		pair_test(group_games),
		pair_test(no_proposal),
		pair_test(no_child_proposal),
		pair_test(answer_outside_offer),
		pair_test(downgrade_by_changed_offer),
		pair_test(downgrade_detected_by_auth),
		pair_test(bad_public_value),
		pair_test(short_public_value),
		pair_test(bad_public_value_in_answer),
		pair_test(bad_public_values_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
