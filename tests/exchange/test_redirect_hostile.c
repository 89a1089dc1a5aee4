/*
 * Redirect (RFC 5685) against people on the path, gateways and clients who mean no good (S2, R07):
 * who guesses, or answers with what nobody could call; who sends us on without end, to others or to
 * ourselves; who wants what there is to go away.  Counted, told, and what there is goes on.
 *
 * `s` is a scripted gateway, which a called at 192.0.2.2; or a client of b's, at 192.0.2.9.
 */
#include "exchange/exchange.h"
#include "ike/limits.h"

#define VICTIM "203.0.113.66"

/* ---- what may be said ----------------------------------------------------------------------- */

enum nonce {
	NO_NONCE,
	RIGHT,
	WRONG,
	TOO_SHORT,
	TOO_LONG,
};

/* Data of a REDIRECT: `n` says how long the identity is, however long it is. */
struct says {
	uint8_t type;
	int n; /* -1: not even that */
	const char *text; /* an address, or octets of a name */
	size_t len; /* of them; 0: as long as they are */
	enum nonce nonce;
};

static void put_identity(struct wr *w, const struct says *r)
{
	struct ip ip;

	if (r->len || ip_parse(r->text, &ip) != ST_OK)
		wr_put(w, bytes_of(r->text, r->len ? r->len : strlen(r->text)));
	else
		wr_put(w, ip_raw(&ip));
}

static void put_nonce(struct wr *w, enum nonce nonce, struct bytes ni)
{
	switch (nonce) {
	case NO_NONCE: return;
	case RIGHT: wr_put(w, ni); return;
	case WRONG:
		wr_put(w, bytes_of(ni.p, ni.n - 1));
		wr_u8(w, (uint8_t)(ni.p[ni.n - 1] ^ 1));
		return;
	case TOO_SHORT: wr_put(w, bytes_of(ni.p, ni.n - 1)); return;
	case TOO_LONG:
		wr_put(w, ni);
		wr_u8(w, 0);
		return;
	}
}

static void put_redirect(struct script *s, const struct says *r, struct bytes ni)
{
	uint8_t buf[1024];
	struct wr w = wr_of(buf, sizeof(buf));

	wr_u8(&w, r->type);
	if (r->n >= 0) {
		wr_u8(&w, (uint8_t)r->n);
		put_identity(&w, r);
		put_nonce(&w, r->nonce, ni);
	}
	wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_REDIRECT, wr_bytes_of(&w));
}

#define TEN "aaaaaaaaaa"
#define LABEL TEN TEN TEN TEN TEN TEN

/* Whom nobody can call. */
static const struct says nobody[] = {
	{ WIRE_GW_IPV4, -1, "", 0, NO_NONCE },
	{ WIRE_GW_IPV4, 0, "", 0, RIGHT },
	{ WIRE_GW_IPV4, 3, "\xc0\0\2", 3, RIGHT },
	{ WIRE_GW_IPV4, 5, "\xc0\0\2\3\3", 5, RIGHT },
	{ WIRE_GW_IPV4, 16, "2001:db8::3", 0, RIGHT },
	{ WIRE_GW_IPV4, 255, VICTIM, 0, RIGHT },
	{ WIRE_GW_IPV6, 4, VICTIM, 0, RIGHT },
	{ WIRE_GW_IPV6, 15, "2001:db8::3", 0, RIGHT },
	{ 0, 4, VICTIM, 0, RIGHT },
	{ 4, 4, VICTIM, 0, RIGHT },
	{ 255, 4, VICTIM, 0, RIGHT },
	{ WIRE_GW_IPV4, 4, "0.0.0.0", 0, RIGHT },
	{ WIRE_GW_IPV4, 4, "0.1.2.3", 0, RIGHT },
	{ WIRE_GW_IPV4, 4, "127.0.0.1", 0, RIGHT },
	{ WIRE_GW_IPV4, 4, "224.0.0.1", 0, RIGHT },
	{ WIRE_GW_IPV4, 4, "255.255.255.255", 0, RIGHT },
	{ WIRE_GW_IPV6, 16, "::", 0, RIGHT },
	{ WIRE_GW_IPV6, 16, "::1", 0, RIGHT },
	{ WIRE_GW_IPV6, 16, "ff02::1", 0, RIGHT },
	{ WIRE_GW_IPV6, 16, "::ffff:192.0.2.3", 0, RIGHT },
	{ WIRE_GW_FQDN, 0, "", 0, RIGHT },
	{ WIRE_GW_FQDN, 1, ".", 0, RIGHT },
	{ WIRE_GW_FQDN, 4, "a..b", 0, RIGHT },
	{ WIRE_GW_FQDN, 3, "a b", 0, RIGHT },
	{ WIRE_GW_FQDN, 3, "a\0b", 3, RIGHT },
	{ WIRE_GW_FQDN, 3, "a\nb", 0, RIGHT },
	{ WIRE_GW_FQDN, 5, "\033[31m", 0, RIGHT },
	{ WIRE_GW_FQDN, 4, "-a.b", 0, RIGHT },
	{ WIRE_GW_FQDN, 9, "192.0.2.3", 9, RIGHT },
	{ WIRE_GW_FQDN, 64, LABEL "aaaa", 0, RIGHT },
	{ WIRE_GW_FQDN, 254, LABEL "." LABEL "." LABEL "." LABEL "." TEN, 254, RIGHT },
};

static const struct says victim = { WIRE_GW_IPV4, 4, VICTIM, 0, RIGHT };
static const struct says victim_auth = { WIRE_GW_IPV4, 4, VICTIM, 0, NO_NONCE };

static unsigned sent_to(struct world *w, const char *address)
{
	struct ip ip = test_ip(address);
	unsigned n = 0;

	for (size_t i = 0; world_packet(w, i); i++)
		n += ip_eq(&world_packet(w, i)->dst.ip, &ip);
	return n;
}

/* ---- IKE_SA_INIT ---------------------------------------------------------------------------- */

/* Of somebody who saw the request, or did not. */
static void answer_redirect(struct script *s, const struct says *r)
{
	s->spi_i = s->msg.hdr.spi_i;
	s->other = s->packet->src;
	script_begin_clear(s, WIRE_IKE_SA_INIT, true, 0);
	put_redirect(s, r, s->in.nonce);
	script_send(s);
}

/* a is where it was: the true answer is as good as ever. */
static void is_unmoved(struct pair *p, struct script *s)
{
	assert_null(world_packet_to(p->w, p->a));
	assert_null(world_packet(p->w, 0));
	assert_int_equal(node_events(p->a, IKE_EV_REDIRECTED), 0);
	assert_int_equal(node_counter(p->a, "ike.redirect.followed"), 0);
	script_answer_init(s);
	assert_true(script_exchange(s) && s->opened);
	script_answer_auth(s);
	world_run(p->w);
	assert_true(node_sa(p->a).info.established);
	assert_int_equal(p->a->n_children, 1);
}

static void guesses(void **state)
{
	static const struct says rows[] = {
		{ WIRE_GW_IPV4, 4, VICTIM, 0, NO_NONCE },  { WIRE_GW_IPV4, 4, VICTIM, 0, WRONG },
		{ WIRE_GW_IPV4, 4, VICTIM, 0, TOO_SHORT }, { WIRE_GW_IPV4, 4, VICTIM, 0, TOO_LONG },
		{ WIRE_GW_FQDN, 1, "a", 0, WRONG },
	};
	struct pair *p = *state;
	struct script s;

	p->pa->follow = true;
	script_called(p, &s);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		answer_redirect(&s, &rows[i]);
		deliver_any(p->w);
		assert_int_equal(node_counter(p->a, "ike.redirect.forged"), i + 1);
	}
	is_unmoved(p, &s);
	script_done(&s);
}

static void nobody_in_the_first_exchange(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pa->follow = true;
	script_called(p, &s);
	for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
		answer_redirect(&s, &nobody[i]);
		deliver_any(p->w);
		assert_int_equal(node_counter(p->a, "ike.redirect.malformed"), i + 1);
	}
	/* A responder that keeps no state has no SPI (section 3). */
	s.spi_r = 1;
	answer_redirect(&s, &victim);
	deliver_any(p->w);
	assert_int_equal(node_counter(p->a, "ike.redirect.malformed"), ARRAY_LEN(nobody) + 1);
	s.spi_r = 0;
	is_unmoved(p, &s);
	script_done(&s);
}

/* Who did not say that he can be sent on is not. */
static void unasked(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_called(p, &s);
	assert_null(script_notify(&s, WIRE_N_REDIRECT_SUPPORTED));
	answer_redirect(&s, &victim);
	deliver_any(p->w);
	assert_int_equal(node_counter(p->a, "ike.redirect.unasked"), 1);
	is_unmoved(p, &s);
	script_done(&s);
}

/* Somebody on the path has us call whom he likes: a few datagrams, and it is over for a while, in
 * which nobody can. */
static void by_somebody_on_the_path(void **state)
{
	struct pair *p = *state;
	unsigned led = 0;
	struct script s;

	p->pa->follow = true;
	script_called(p, &s);
	answer_redirect(&s, &victim);
	deliver_any(p->w);
	for (int i = 0; i < 60 && !script_take(&s); i++) {
		led += sent_to(p->w, VICTIM);
		world_drop_all(p->w);
		world_advance(p->w, dur_s(1));
	}
	assert_int_equal(led, IKE_REDIRECT_TRIES);
	says(p->a, IKE_EV_REFUSED, "back to the configured addresses");
	/* Now it cannot be sent on, and says so. */
	assert_null(script_notify(&s, WIRE_N_REDIRECT_SUPPORTED));
	answer_redirect(&s, &victim);
	deliver_any(p->w);
	assert_int_equal(node_counter(p->a, "ike.redirect.unasked"), 1);
	assert_null(world_packet(p->w, 0));
	script_answer_init(&s);
	assert_true(script_exchange(&s) && s.opened);
	script_answer_auth(&s);
	world_run(p->w);
	assert_int_equal(p->a->n_children, 1);
	assert_int_equal(node_counter(p->a, "ike.redirect.followed"), 1);
	script_done(&s);
}

/* Names that lead to ourselves: nobody is called. */
static void to_ourselves(void **state)
{
	static const char *const at[] = { "127.0.0.1", "192.0.2.1", "::1", "0.0.0.0", "224.0.0.9" };
	static const struct says name = { WIRE_GW_FQDN, 9, "evil.test", 0, RIGHT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, i);
		p.pa->follow = true;
		world_name(p.w, "evil.test", at[i]);
		script_called(&p, &s);
		answer_redirect(&s, &name);
		deliver_any(p.w);
		assert_int_equal(sent_to(p.w, at[i]), 0);
		assert_int_equal(node_counter(p.a, "ike.redirect.failed"), 1);
		/* It calls the configured one at once. */
		assert_true(script_take(&s));
		script_answer_init(&s);
		assert_true(script_exchange(&s) && s.opened);
		script_done(&s);
		pair_done(&p);
	}
}

/* The attempt that is to renew an SA is sent astray: the SA is there before, meanwhile and after.
 */
static void while_an_sa_is_renewed(void **state)
{
	struct pair *p = *state;
	struct script s, t;

	p->pa->follow = true;
	p->pa->life.reauth = dur_s(1000);
	p->pa->dpd_delay = dur_s(0);
	script_asked_for_auth(p, &s);
	script_answer_auth(&s);
	world_run(p->w);
	assert_int_equal(p->a->n_children, 1);
	script_init(&t, p->w, "192.0.2.2", p->a, false);
	for (int i = 0; i < 1000 && !script_take(&t); i++)
		world_advance(p->w, dur_s(1));
	assert_int_equal(packet_exchange(t.packet), WIRE_IKE_SA_INIT);
	answer_redirect(&t, &victim);
	deliver_any(p->w);
	assert_int_equal(sent_to(p->w, VICTIM), 1);
	for (int i = 0; i < 30; i++) {
		world_advance(p->w, dur_s(1));
		assert_int_equal(p->a->n_children, 1);
		assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	}
	assert_int_equal(node_counter(p->a, "ike.redirect.failed"), 1);
	script_done(&t);
	script_done(&s);
}

/* ---- IKE_AUTH ------------------------------------------------------------------------------- */

static void begin_auth(struct script *s)
{
	script_begin(s, WIRE_IKE_AUTH, true);
	script_put_id(s);
}

static void nobody_in_ike_auth(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nobody) + 1; i++) {
		const struct says *r = i < ARRAY_LEN(nobody) ? &nobody[i] : &victim; /* a nonce */
		struct script s;
		struct pair p;

		pair_init(&p, i);
		p.pa->follow = true;
		script_asked_for_auth(&p, &s);
		begin_auth(&s);
		script_put_auth(&s);
		put_redirect(&s, r, bytes_of(s.nonce_i, s.n_nonce_i));
		script_send(&s);
		deliver_any(p.w);
		assert_int_equal(node_counter(p.a, "ike.redirect.malformed"), 1);
		assert_int_equal(node_counter(p.a, "ike.redirect.followed"), 0);
		because(p.a, IKE_EV_REFUSED, IKE_R_REDIRECT);
		settle(&p);
		assert_true(node_is_down(p.a));
		script_done(&s);
		pair_done(&p);
	}
}

static void unasked_in_ike_auth(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_asked_for_auth(p, &s);
	begin_auth(&s);
	script_put_auth(&s);
	put_redirect(&s, &victim_auth, bytes_of(NULL, 0));
	script_send(&s);
	deliver_any(p->w);
	assert_int_equal(node_counter(p->a, "ike.redirect.unasked"), 1);
	assert_int_equal(sent_to(p->w, VICTIM), 0);
	because(p->a, IKE_EV_REFUSED, IKE_R_REDIRECT);
	settle(p);
	assert_true(node_is_down(p->a));
	script_done(&s);
}

/* Somebody who agreed on keys with us, and is nobody we know. */
static void who_did_not_prove_anything(void **state)
{
	(void)state;
	for (int with_auth = 0; with_auth < 2; with_auth++) {
		struct script s;
		struct pair p;

		pair_init(&p, 3);
		p.pa->follow = true;
		script_asked_for_auth(&p, &s);
		begin_auth(&s);
		s.psk = 2;
		if (with_auth)
			script_put_auth(&s);
		put_redirect(&s, &victim_auth, bytes_of(NULL, 0));
		script_send(&s);
		world_run(p.w);
		assert_int_equal(node_counter(p.a, "ike.redirect.followed"), 0);
		assert_int_equal(sent_to(p.w, VICTIM), 0);
		assert_int_equal(p.a->n_children, 0);
		script_done(&s);
		pair_done(&p);
	}
}

/* Both at once: it is served, and stays (section 6 has one in place of the other). */
static void served_and_sent_on(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pa->follow = true;
	script_asked_for_auth(p, &s);
	script_begin(&s, WIRE_IKE_AUTH, true);
	script_put_auth_request(&s);
	put_redirect(&s, &victim_auth, bytes_of(NULL, 0));
	script_send(&s);
	world_run(p->w);
	assert_int_equal(p->a->n_children, 1);
	assert_int_equal(node_counter(p->a, "ike.redirect.followed"), 0);
	script_done(&s);
}

/* ---- in a session --------------------------------------------------------------------------- */

static void session(struct pair *p, struct script *s)
{
	p->pa->follow = true;
	script_asked_for_auth(p, s);
	script_answer_auth(s);
	world_run(p->w);
	s->next_send = 0;
	assert_int_equal(p->a->n_children, 1);
}

/* Its answer, which says nothing. */
static void redirect(struct script *s, const struct says *r)
{
	script_begin(s, WIRE_INFORMATIONAL, false);
	put_redirect(s, r, bytes_of(s->nonce_i, s->n_nonce_i));
	script_send(s);
	assert_true(script_exchange(s));
	while (!s->opened || packet_exchange(s->packet) != WIRE_INFORMATIONAL)
		assert_true(script_take(s));
	assert_int_equal(s->in.n_notifies, 0);
}

static void nobody_in_a_session(void **state)
{
	struct pair *p = *state;
	struct script s;

	session(p, &s);
	for (size_t i = 0; i < ARRAY_LEN(nobody) + 1; i++) {
		redirect(&s, i < ARRAY_LEN(nobody) ? &nobody[i] : &victim /* a nonce */);
		assert_int_equal(node_counter(p->a, "ike.redirect.malformed"), i + 1);
	}
	assert_int_equal(node_counter(p->a, "ike.redirect.followed"), 0);
	assert_int_equal(p->a->n_children, 1);
	assert_null(world_packet(p->w, 0));
	script_done(&s);
}

/* However often: so many datagrams, and the tunnel stays. */
static void flood(void **state)
{
	struct pair *p = *state;
	unsigned led = 0;
	struct script s;
	size_t bytes;

	p->pa->dpd_delay = dur_s(0);
	session(p, &s);
	redirect(&s, &victim_auth);
	led += sent_to(p->w, VICTIM);
	world_drop_all(p->w);
	bytes = p->a->mem.live_bytes;
	for (int i = 0; i < 100; i++) {
		redirect(&s, &victim_auth);
		led += sent_to(p->w, VICTIM);
		world_drop_all(p->w);
	}
	assert_int_equal(led, IKE_MAX_REDIRECTS);
	assert_int_equal(node_counter(p->a, "ike.redirect.loop"), 1);
	assert_int_equal(node_counter(p->a, "ike.redirect.held"), 100 - IKE_MAX_REDIRECTS);
	assert_true(p->a->mem.live_bytes < bytes + 1024);
	says(p->a, IKE_EV_REFUSED, "more than 5 times in 300 s");
	for (int i = 0; i < 60; i++) {
		world_advance(p->w, dur_s(1));
		led += sent_to(p->w, VICTIM);
		world_drop_all(p->w);
	}
	assert_int_equal(led, IKE_MAX_REDIRECTS);
	assert_int_equal(p->a->n_children, 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	script_done(&s);
}

/* Who was called sends nobody on (section 10): a client that would have its gateway elsewhere. */
static void by_the_client(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pb->follow = true;
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.redirects = true;
	script_connect(&s);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	put_redirect(&s, &victim_auth, bytes_of(NULL, 0));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(s.in.n_notifies, 0);
	assert_int_equal(node_counter(p->b, "ike.redirect.unasked"), 1);
	assert_null(world_packet(p->w, 0));
	assert_int_equal(p->b->n_children, 1);
	script_done(&s);
}

/* ---- at the gateway ------------------------------------------------------------------------- */

static void send_to(struct pair *p, const char *gateway)
{
	const char *v[] = {
		(const char *)test_conf_dup(p->cb, bytes_of(gateway, strlen(gateway) + 1)).p
	};

	p->pb->redirect_to = (const void *)test_conf_dup(p->cb, BYTES_OF(v)).p;
	p->pb->n_redirect_to = 1;
}

/* Nobody is sent anywhere who has not shown that he is where he says (section 11): whoever forges
 * addresses gets as much from us as he would get otherwise. */
static void no_reflector(void **state)
{
	(void)state;
	for (unsigned cookies = 0; cookies < 2; cookies++) {
		struct script s;
		struct pair p;

		pair_init(&p, 1);
		if (cookies)
			p.cb->conf.half_open_cookie = 0;
		send_to(&p, "192.0.2.3");
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.9", p.b, true);
		s.redirects = true;
		script_sa_init(&s);
		assert_true(script_exchange(&s));
		assert_null(script_notify(&s, WIRE_N_REDIRECT));
		assert_int_equal(script_notify(&s, WIRE_N_COOKIE) != NULL, cookies);
		assert_int_equal(node_counter(p.b, "ike.redirect.sent"), 0);
		script_done(&s);
		pair_done(&p);
	}
}

/* REDIRECTED_FROM is the client's word: whatever it says, it is sent on, or it is not. */
static void from_nobody(void **state)
{
	struct pair *p = *state;

	send_to(p, "192.0.2.3");
	pair_start_b(p);
	for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
		uint8_t buf[512];
		struct wr w = wr_of(buf, sizeof(buf));
		char self[32];
		struct script s;

		snprintf(self, sizeof(self), "192.0.2.%zu", 100 + i);
		script_init(&s, p->w, self, p->b, true);
		wr_u8(&w, nobody[i].type);
		if (nobody[i].n >= 0) {
			wr_u8(&w, (uint8_t)nobody[i].n);
			put_identity(&w, &nobody[i]);
		}
		s.redirected_from = wr_bytes_of(&w);
		script_sa_init(&s);
		assert_true(script_exchange(&s) && s.keyed);
		script_begin(&s, WIRE_IKE_AUTH, false);
		script_put_auth_request(&s);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_REDIRECT));
		assert_int_equal(s.in.sa.n, 0);
		assert_int_equal(p->b->n_children, 0);
		script_done(&s);
	}
	world_live(p->w, dur_s(600)); /* redirect_wait, and DELETEs that nobody answers */
	assert_true(node_is_down(p->b));
}

/* Who is sent on in IKE_AUTH and stays has an IKE SA and nothing in it, and no means to get it. */
static void who_does_not_leave(void **state)
{
	struct pair *p = *state;
	struct script s;

	p->pb->redirect_wait = dur_s(30);
	send_to(p, "192.0.2.3");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.redirects = true;
	script_sa_init(&s);
	assert_true(script_exchange(&s) && s.keyed);
	script_begin(&s, WIRE_IKE_AUTH, false);
	script_put_auth_request(&s);
	script_send(&s);
	assert_true(script_exchange(&s) && script_notify(&s, WIRE_N_REDIRECT));
	for (int i = 0; i < 3; i++) {
		script_begin(&s, WIRE_CREATE_CHILD_SA, false);
		script_put_sa(&s, s.esp, s.spi_esp);
		wire_put_nonce(&s.out, bytes_of(s.nonce_i, 32));
		script_put_ts(&s, s.ts_i, s.ts_r);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(s.in.sa.n, 0);
		assert_int_equal(p->b->n_children, 0);
		world_advance(p->w, dur_s(9));
	}
	world_live(p->w, dur_s(30));
	assert_int_equal(node_counter(p->b, "ike.redirect.not_left"), 1);
	assert_true(node_is_down(p->b));
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(guesses),
		pair_test(nobody_in_the_first_exchange),
		pair_test(unasked),
		pair_test(by_somebody_on_the_path),
		cmocka_unit_test(to_ourselves),
		pair_test(while_an_sa_is_renewed),
		cmocka_unit_test(nobody_in_ike_auth),
		pair_test(unasked_in_ike_auth),
		cmocka_unit_test(who_did_not_prove_anything),
		pair_test(served_and_sent_on),
		pair_test(nobody_in_a_session),
		pair_test(flood),
		pair_test(by_the_client),
		cmocka_unit_test(no_reflector),
		pair_test(from_nobody),
		pair_test(who_does_not_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
