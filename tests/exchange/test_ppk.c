/* Post-quantum pre-shared keys: every row of RFC 8784 section 3, seen from both ends (S1, S4). */
#include "exchange/exchange.h"

enum want { NONE, OPTIONAL, REQUIRED };

struct end {
	enum want want;
	crypto_ref ppk;
	const char *id;
};

enum outcome { WITH, WITHOUT, REFUSED_BY_A, REFUSED_BY_B };

static void give(struct ike_peer_conf *p, const struct end *e)
{
	if (e->want == NONE)
		return;
	p->ppk = e->ppk;
	p->ppk_id = bytes_str(e->id);
	p->ppk_required = e->want == REQUIRED;
}

static void assert_outcome(struct pair *p, enum outcome want)
{
	bool up = want == WITH || want == WITHOUT;

	if (up) {
		assert_true(pair_is_up(p));
		assert_int_equal(node_sa(p->a).info.ppk, want == WITH);
		assert_int_equal(node_sa(p->b).info.ppk, want == WITH);
	} else {
		const struct node *by = want == REFUSED_BY_A ? p->a : p->b;

		world_live(p->w, dur_s(60));
		assert_int_equal(p->a->n_children + p->b->n_children, 0);
		assert_true(node_counter(by, "ike.refused.ppk") > 0);
		because(by, IKE_EV_REFUSED, IKE_R_KEY);
		says(by, IKE_EV_REFUSED, "post-quantum pre-shared key");
	}
	assert_int_equal(
		node_counter(p->a, "ike.refused.ppk") + node_counter(p->b, "ike.refused.ppk") > 0,
		!up);
}

/* Whoever calls; with pre-shared keys and with certificates. */
static void every_row(void **state)
{
	static const struct {
		struct end a, b;
		enum outcome want;
	} rows[] = {
		{ { NONE, 0, NULL }, { NONE, 0, NULL }, WITHOUT },
		{ { OPTIONAL, 5, "x" }, { NONE, 0, NULL }, WITHOUT },
		{ { REQUIRED, 5, "x" }, { NONE, 0, NULL }, REFUSED_BY_A },
		{ { NONE, 0, NULL }, { OPTIONAL, 5, "x" }, WITHOUT },
		{ { NONE, 0, NULL }, { REQUIRED, 5, "x" }, REFUSED_BY_B },
		{ { OPTIONAL, 5, "x" }, { OPTIONAL, 5, "x" }, WITH },
		{ { OPTIONAL, 5, "x" }, { REQUIRED, 5, "x" }, WITH },
		{ { REQUIRED, 5, "x" }, { OPTIONAL, 5, "x" }, WITH },
		{ { REQUIRED, 5, "x" }, { REQUIRED, 5, "x" }, WITH },
		/* another id: unknown, and NO_PPK_AUTH may help */
		{ { OPTIONAL, 5, "x" }, { OPTIONAL, 5, "y" }, WITHOUT },
		{ { OPTIONAL, 5, "x" }, { REQUIRED, 5, "y" }, REFUSED_BY_B },
		{ { REQUIRED, 5, "x" }, { OPTIONAL, 5, "y" }, REFUSED_BY_B },
		{ { REQUIRED, 5, "x" }, { REQUIRED, 5, "xx" }, REFUSED_BY_B },
		/* another key of that name: AUTH does not verify, NO_PPK_AUTH or not */
		{ { OPTIONAL, 5, "x" }, { OPTIONAL, 6, "x" }, REFUSED_BY_B },
		{ { REQUIRED, 5, "x" }, { REQUIRED, 6, "x" }, REFUSED_BY_B },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, 900 + i);
		if (i >= ARRAY_LEN(rows))
			pair_certs(&p);
		give(p.pa, &rows[i % ARRAY_LEN(rows)].a);
		give(p.pb, &rows[i % ARRAY_LEN(rows)].b);
		pair_start(&p);
		connect(p.a);
		world_run(p.w);
		assert_outcome(&p, rows[i % ARRAY_LEN(rows)].want);
		if (p.a)
			settle(&p);
		pair_done(&p);
	}
}

/* With it the keys are others, everything else being the same; and its messages say so. */
static void messages(void **state)
{
	struct pair *p = *state;
	const struct end e = { OPTIONAL, 5, "x" };
	struct opened o;
	const struct wire_notify *n;

	give(p->pa, &e);
	give(p->pb, &e);
	pair_start(p);
	connect(p->a);
	/* a: IKE_SA_INIT 0 {SA, KE, Ni, ..., N(USE_PPK)}  -> */
	next_notifies(p->w, WIRE_N_USE_PPK);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	/* <- b: IKE_SA_INIT 0 {SA, KE, Nr, ..., N(USE_PPK)} */
	next_notifies(p->w, WIRE_N_USE_PPK);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	/* a: IKE_AUTH 1 {..., N(PPK_IDENTITY, 2 | "x"), N(NO_PPK_AUTH, AUTH)}  -> */
	next_is(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_true(packet_open(p->w, world_packet(p->w, 0), &o));
	n = wire_find_notify(opened_payloads(&o), WIRE_N_PPK_IDENTITY);
	assert_non_null(n);
	assert_true(bytes_eq(n->data, bytes_of("\x02x", 2)));
	n = wire_find_notify(opened_payloads(&o), WIRE_N_NO_PPK_AUTH);
	assert_non_null(n);
	assert_int_equal(n->data.n, opened_payloads(&o)->auth.data.n);
	assert_false(bytes_eq(n->data, opened_payloads(&o)->auth.data));
	opened_done(&o);
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	/* <- b: IKE_AUTH 1 {..., N(PPK_IDENTITY)} */
	assert_true(packet_open(p->w, world_packet(p->w, 0), &o));
	n = wire_find_notify(opened_payloads(&o), WIRE_N_PPK_IDENTITY);
	assert_non_null(n);
	assert_int_equal(n->data.n, 0);
	opened_done(&o);
	deliver(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	assert_true(pair_is_up(p));
	says(p->a, IKE_EV_SA_UP, "post-quantum");
}

/* What is made of the SA has it too. */
static void rekeys_inherit(void **state)
{
	struct pair *p = *state;
	const struct end e = { REQUIRED, 5, "x" };

	give(p->pa, &e);
	give(p->pb, &e);
	pair_up(p);
	assert_int_equal(node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(100));
	assert_int_equal(node_counter(p->a, "ike.sa.rekeyed"), 1);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
	assert_true(node_sa(p->a).info.ppk && node_sa(p->b).info.ppk);
}

/* Downgrade: an initiator that requires it says nothing without; a responder believes no names. */
static void no_name(void **state)
{
	static const struct {
		const char *id;
		size_t n;
		bool plain, up;
	} rows[] = {
		{ NULL, 0, true, false }, /* agreed on, and not named */
		{ "", 0, true, true }, /* unknown: without */
		{ "\x02", 1, true, true },    { "\x03x", 2, true, true }, /* another type */
		{ "\x03x", 2, false, false }, { "\x02y", 2, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct end e = { OPTIONAL, 5, "x" };
		struct script s;
		struct pair p;

		pair_init(&p, 950 + i);
		give(p.pb, &e);
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		s.use_ppk = true;
		script_sa_init(&s);
		assert_true(script_exchange(&s));
		assert_non_null(script_notify(&s, WIRE_N_USE_PPK));
		script_begin(&s, WIRE_IKE_AUTH, false);
		script_put_auth_request(&s);
		if (rows[i].id)
			wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0),
					WIRE_N_PPK_IDENTITY, bytes_of(rows[i].id, rows[i].n));
		if (rows[i].plain)
			script_put_plain_auth(&s);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED) == NULL,
				 rows[i].up);
		assert_null(script_notify(&s, WIRE_N_PPK_IDENTITY));
		assert_int_equal(node_counter(p.b, "ike.refused.ppk"), !rows[i].up);
		script_done(&s);
		world_advance(p.w, dur_s(100));
		pair_done(&p);
	}
}

/* A reload that requires it does away with what has none. */
static void required_by_reload(void **state)
{
	(void)state;
	for (int at_b = 0; at_b < 2; at_b++) {
		const struct end e = { REQUIRED, 5, "x" }, o = { OPTIONAL, 5, "x" };
		struct test_conf *ca, *cb;
		struct pair p;

		pair_init(&p, 960 + (unsigned)at_b);
		pair_up(&p);
		ca = test_conf_copy(p.ca);
		cb = test_conf_copy(p.cb);
		give(&ca->peer[0], at_b ? &o : &e);
		give(&cb->peer[0], at_b ? &e : &o);
		if (at_b) {
			node_reconfigure(p.a, ca);
			node_reconfigure(p.b, cb);
			world_live(p.w, dur_s(20));
			assert_int_equal(p.b->n_children, 0);
			says(p.b, IKE_EV_REFUSED, "post-quantum");
			connect(p.a);
		} else {
			node_reconfigure(p.b, cb);
			node_reconfigure(p.a, ca);
		}
		world_live(p.w, dur_s(100));
		assert_true(pair_is_up(&p));
		assert_true(node_sa(p.a).info.ppk && node_sa(p.b).info.ppk);
		pair_done(&p);
	}
}

/* One that comes while a is looking at b's answer, which goes without. */
static void required_meanwhile(void **state)
{
	struct pair *p = *state;
	const struct end e = { REQUIRED, 5, "x" }, o = { OPTIONAL, 5, "x" };
	struct test_conf *c;

	give(p->pa, &o);
	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	p->a->hold = HOLD_JOBS;
	deliver(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	assert_int_equal(node_held(p->a, PENDING_JOB), 1);
	c = test_conf_copy(p->ca);
	give(&c->peer[0], &e);
	node_reconfigure(p->a, c);
	node_release(p->a);
	assert_int_equal(p->a->n_children, 0);
	says(p->a, IKE_EV_REFUSED, "post-quantum");
	world_run(p->w);
	assert_int_equal(p->b->n_children, 0);
	settle(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row),
		pair_test(messages),
		pair_test(rekeys_inherit),
		cmocka_unit_test(no_name),
		cmocka_unit_test(required_by_reload),
		pair_test(required_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
