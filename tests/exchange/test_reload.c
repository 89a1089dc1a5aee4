/* Another configuration while SAs are up and while handshakes are under way: new timers hold at
 * once, and nothing that was checked against the old configuration counts for the new one. */
#include "exchange/exchange.h"

/* ---- timers of SAs that are up -------------------------------------------------------------- */

static void set_timers(struct node *n, struct test_conf *from, dur_t dpd, dur_t keepalive)
{
	struct test_conf *c = test_conf_copy(from);

	c->peer[0].dpd_delay = dpd;
	c->peer[0].keepalive = keepalive;
	node_reconfigure(n, c);
}

static void detection_off(void **state)
{
	struct pair *p = *state;
	unsigned sent;

	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	set_timers(p->a, p->ca, dur_s(0), dur_s(0));
	sent = p->a->sent;
	world_live(p->w, dur_s(1000));
	assert_int_equal(p->a->sent, sent);
	assert_int_equal(node_deadline_ms(p->a), -1);
	assert_true(pair_is_up(p));
}

static void detection_on(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_live(p->w, dur_s(1000));
	set_timers(p->a, p->ca, dur_s(10), dur_s(0));
	world_live(p->w, dur_s(100));
	assert_true(node_counter(p->a, "ike.tx.datagrams") > 2);
	assert_true(pair_is_up(p));
	p->b->unplugged = true;
	world_live(p->w, dur_s(100));
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 1);
}

/* A shorter delay does not wait for the longer one to pass. */
static void detection_sooner(void **state)
{
	struct pair *p = *state;

	p->pa->dpd_delay = dur_s(10000);
	pair_up(p);
	set_timers(p->a, p->ca, dur_s(10), dur_s(0));
	p->b->unplugged = true;
	world_live(p->w, dur_s(60));
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 1);
}

static void keepalives_on_and_off(void **state)
{
	struct pair *p = *state;
	unsigned seen;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 30000);
	test_conf_addresses(p->cb, p->pb, "");
	pair_up(p);
	world_live(p->w, dur_s(100));
	assert_int_equal(p->b->keepalives, 0);
	set_timers(p->a, p->ca, dur_s(0), dur_s(20));
	world_live(p->w, dur_s(100));
	assert_int_equal(p->b->keepalives, 5);
	seen = p->b->keepalives;
	set_timers(p->a, p->ca, dur_s(0), dur_s(0));
	world_live(p->w, dur_s(100));
	assert_int_equal(p->b->keepalives, seen);
}

/* ---- handshakes under way ------------------------------------------------------------------- */

/* Until the node's n-th job (from 0) since now is the oldest held. */
static void at_job(struct pair *p, struct node *n, unsigned nth)
{
	n->hold |= HOLD_JOBS;
	connect(p->a);
	world_run(p->w);
	while (nth-- > 0) {
		node_answer(n, node_pending(n, PENDING_JOB, 0));
		world_run(p->w);
	}
	assert_int_equal(node_held(n, PENDING_JOB), 1);
}

static void nothing_came_up(struct pair *p, struct node *n)
{
	node_release(n);
	world_run(p->w);
	assert_int_equal(node_events(n, IKE_EV_SA_UP), 0);
	assert_int_equal(node_events(n, IKE_EV_CHILD_UP), 0);
	assert_int_equal(n->n_children, 0);
	connect_down(p->a);
	world_live(p->w, dur_s(100));
	assert_true(pair_is_down(p));
}

/* The responder's jobs of a handshake: key exchange, the peer's proof, our own. */
enum { JOB_R_KE, JOB_R_PEER, JOB_R_OWN };
/* The initiator's: key pair, key exchange, our own proof, the peer's. */
enum { JOB_I_GENERATE, JOB_I_DERIVE, JOB_I_OWN, JOB_I_PEER };

/* A claims to know the key and does not; while b computes what it would have to be, the
 * configuration changes to certificates, for which a job that worked means a peer that is true. */
static void key_to_certificate_responder(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;

	p->pa->psk = 2;
	pair_start(p);
	at_job(p, p->b, JOB_R_PEER);
	c = test_conf_copy(p->cb);
	test_conf_cert(c, &c->peer[0], 12, 100, 100);
	node_reconfigure(p->b, c);
	nothing_came_up(p, p->b);
	says(p->b, IKE_EV_REFUSED, "configuration");
}

static void key_to_certificate_initiator(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;

	p->pb->psk = 1;
	p->pa->psk = 1;
	pair_start(p);
	at_job(p, p->a, JOB_I_PEER);
	c = test_conf_copy(p->ca);
	test_conf_cert(c, &c->peer[0], 11, 100, 100);
	node_reconfigure(p->a, c);
	nothing_came_up(p, p->a);
}

/* The identity that was looked for is not the one that is looked for now. */
static void other_identity(void **state)
{
	static const struct {
		bool at_a;
		unsigned job;
	} row[] = {
		{ false, JOB_R_PEER }, { false, JOB_R_OWN }, { true, JOB_I_DERIVE },
		{ true, JOB_I_OWN },   { true, JOB_I_PEER },
	};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(row); i++) {
		bool at_a = row[i / 2].at_a;
		struct test_conf *c;
		struct pair p;
		struct node *n;

		pair_init(&p, i);
		if (i % 2)
			pair_certs(&p);
		pair_start(&p);
		n = at_a ? p.a : p.b;
		at_job(&p, n, row[i / 2].job);
		c = test_conf_copy(at_a ? p.ca : p.cb);
		c->peer[0].remote_id = test_conf_ident(c, "other.example");
		node_reconfigure(n, c);
		nothing_came_up(&p, n);
		pair_done(&p);
	}
}

/* The algorithms that IKE_SA_INIT ended with are configured no longer when IKE_AUTH comes. */
static void other_algorithms(void **state)
{
	static const unsigned jobs[] = { JOB_R_KE, JOB_R_PEER, JOB_R_OWN };

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(jobs); i++) {
		struct test_conf *c;
		struct pair p;

		pair_init(&p, 20 + i);
		if (i & 1)
			pair_certs(&p);
		pair_start(&p);
		at_job(&p, p.b, jobs[i / 2]);
		c = test_conf_copy(p.cb);
		c->peer[0].ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes256-sha512-prfsha512-ecp384");
		node_reconfigure(p.b, c);
		nothing_came_up(&p, p.b);
		assert_true(node_events(p.b, IKE_EV_REFUSED) > 0);
		pair_done(&p);
	}
}

/* The same configuration once more, at every job of a handshake: it goes on. */
static void same_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 14; i++) {
		bool at_a = i % 7 < 4;
		struct pair p;
		struct node *n;

		pair_init(&p, i);
		if (i / 7)
			pair_certs(&p);
		pair_start(&p);
		n = at_a ? p.a : p.b;
		at_job(&p, n, at_a ? i % 7 : i % 7 - 4);
		node_reconfigure(n, test_conf_copy(at_a ? p.ca : p.cb));
		node_release(n);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(detection_off),
		pair_test(detection_on),
		pair_test(detection_sooner),
		pair_test(keepalives_on_and_off),
		pair_test(key_to_certificate_responder),
		pair_test(key_to_certificate_initiator),
		cmocka_unit_test(other_identity),
		cmocka_unit_test(other_algorithms),
		cmocka_unit_test(same_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
