/* Traffic selectors: narrowing, refusing, and what comes of an answer that goes too far (RFC 7296
 * sections 2.9 and 2.21.2; S1). */
#include "exchange/exchange.h"

/* What each side wants, and what both must end with; NULL: no child. */
static const struct {
	const char *i_local, *i_remote;
	const char *r_local, *r_remote;
	const char *local, *remote; /* at the initiator */
} row[] = {
	/* equal */
	{ "10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16",
	  "10.2.0.0/16" },
	/* the responder narrows TSr, TSi, both */
	{ "10.1.0.0/16", "0.0.0.0/0", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "10.2.0.0/16" },
	{ "10.0.0.0/8", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "10.2.0.0/16" },
	{ "10.0.0.0/8", "0.0.0.0/0", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "10.2.0.0/16" },
	/* the responder allows more */
	{ "10.1.2.0/24", "10.2.3.4/32", "10.2.0.0/16", "10.0.0.0/8", "10.1.2.0/24", "10.2.3.4/32" },
	/* several, one of them outside */
	{ "10.1.0.0/16 10.7.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16",
	  "10.2.0.0/16" },
	/* protocol and ports */
	{ "10.1.0.0/16[tcp]", "10.2.0.0/16[tcp/80]", "10.2.0.0/16", "10.1.0.0/16",
	  "10.1.0.0/16[tcp]", "10.2.0.0/16[tcp/80]" },
	/* nothing in common */
	{ "10.9.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/16", NULL, NULL },
	{ "10.1.0.0/16", "10.9.0.0/16", "10.2.0.0/16", "10.1.0.0/16", NULL, NULL },
	{ "2001:db8:1::/48", "2001:db8:2::/48", "10.2.0.0/16", "10.1.0.0/16", NULL, NULL },
	{ "10.1.0.0/16[udp]", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/16[tcp]", NULL, NULL },
};

static void list_is(const struct wire_ts_list *l, const char *words)
{
	char buf[256];
	struct text t = TEXT_OF(buf);

	policy_ts_list_text(&t, l);
	assert_string_equal(buf, words);
}

static void check_child(struct pair *p, size_t i)
{
	const struct dp_child *a = node_child(p->a), *b = node_child(p->b);

	assert_true(pair_is_up(p) || strchr(row[i].local, '[') ||
		    strcmp(row[i].local, "10.1.0.0/16"));
	list_is(&a->ts_local, row[i].local);
	list_is(&a->ts_remote, row[i].remote);
	list_is(&b->ts_local, row[i].remote);
	list_is(&b->ts_remote, row[i].local);
}

static void no_child(struct pair *p)
{
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_UP), 0);
	/* The IKE SA stays; both sides' values are named. */
	assert_true(node_sa(p->a).info.established && node_sa(p->b).info.established);
	says(p->a, IKE_EV_REFUSED, "TS_UNACCEPTABLE");
	because(p->a, IKE_EV_REFUSED, IKE_R_PEER_SAID);
	assert_int_equal(node_counter(p->b, "ike.refused.selectors"), 1);
}

static void narrowing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pair p;

		pair_init(&p, 120 + i);
		p.pa->ts_local = test_conf_ts(p.ca, row[i].i_local);
		p.pa->ts_remote = test_conf_ts(p.ca, row[i].i_remote);
		p.pb->ts_local = test_conf_ts(p.cb, row[i].r_local);
		p.pb->ts_remote = test_conf_ts(p.cb, row[i].r_remote);
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		if (row[i].local)
			check_child(&p, i);
		else
			no_child(&p);
		pair_done(&p);
	}
}

static void refusal_names_both(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;

	p->pa->ts_local = test_conf_ts(p->ca, "10.9.0.0/16");
	pair_start(p);
	connect(p->a);
	deliver(w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	/* <- b: IKE_AUTH 1 {IDr, AUTH, N(TS_UNACCEPTABLE)} */
	next_notifies(w, WIRE_N_TS_UNACCEPTABLE);
	deliver(w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	says(p->b, IKE_EV_REFUSED, "10.9.0.0/16");
	says(p->b, IKE_EV_REFUSED, "10.1.0.0/16");
	because(p->b, IKE_EV_REFUSED, IKE_R_SELECTORS);
	says(p->a, IKE_EV_REFUSED, "10.9.0.0/16");
}

/* A packet that the other's selectors do not admit does not come out there. */
static void selectors_are_enforced(void **state)
{
	struct pair *p = *state;
	const struct dp_child *b;

	pair_up(p);
	b = node_child(p->b);
	assert_true(b->ts_remote.n == 1);
	assert_false(world_ping(p->w, p->a, "10.3.0.1", p->b, "10.2.0.1"));
	assert_false(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.3.0.1"));
	assert_true(world_ping(p->w, p->a, "10.1.255.255", p->b, "10.2.0.0"));
}

/* ---- what an authenticated but greedy responder may try ------------------------------------ */

static const struct {
	const char *ts_i, *ts_r, *esp;
	uint32_t spi;
} answer[] = {
	{ "10.0.0.0/8", "10.2.0.0/16", "aes128gcm16-esn", 0x1000 }, /* TSi wider than asked */
	{ "10.1.0.0/16", "0.0.0.0/0", "aes128gcm16-esn", 0x1000 }, /* TSr wider */
	{ "10.3.0.0/16", "10.2.0.0/16", "aes128gcm16-esn", 0x1000 }, /* TSi elsewhere */
	{ "10.1.0.0/16 10.3.0.0/16", "10.2.0.0/16", "aes128gcm16-esn", 0x1000 },
	{ "10.1.0.0/16", "10.2.0.0/16", "aes256gcm16-esn", 0x1000 }, /* not offered */
	{ "10.1.0.0/16", "10.2.0.0/16", "aes128gcm16-noesn", 0x1000 }, /* not offered */
	{ "10.1.0.0/16", "10.2.0.0/16", "aes128gcm16-esn", 255 }, /* reserved SPI */
};

static void greedy_responder(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answer); i++) {
		struct pair p;
		struct script s;

		pair_init(&p, 140 + i);
		script_asked_for_auth(&p, &s);
		s.esp = answer[i].esp;
		s.spi_esp = answer[i].spi;
		s.ts_i = answer[i].ts_i;
		s.ts_r = answer[i].ts_r;
		script_answer_auth(&s);
		/* a: INFORMATIONAL 2 {D}: the responder is not left with half a child */
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(packet_exchange(s.packet), WIRE_INFORMATIONAL);
		assert_int_equal(s.in.n_deletes, 1);
		assert_int_equal(p.a->n_children, 0);
		assert_int_equal(node_events(p.a, IKE_EV_CHILD_UP), 0);
		assert_non_null(node_event(p.a, IKE_EV_REFUSED));
		script_done(&s);
		pair_done(&p);
	}
}

/* A narrower answer is a good one. */
static void modest_responder(void **state)
{
	struct pair *p = *state;
	struct script s;

	script_asked_for_auth(p, &s);
	s.ts_i = "10.1.4.0/24";
	s.ts_r = "10.2.5.0/24 10.2.6.0/24";
	script_answer_auth(&s);
	script_exchange(&s);
	list_is(&node_child(p->a)->ts_local, "10.1.4.0/24");
	assert_int_equal(node_child(p->a)->ts_remote.n, 2);
	assert_true(script_check_child(&s));
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(narrowing),       pair_test(refusal_names_both),
		pair_test(selectors_are_enforced), cmocka_unit_test(greedy_responder),
		pair_test(modest_responder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
