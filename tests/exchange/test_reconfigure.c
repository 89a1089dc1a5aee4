/*
 * A reload while SAs are up (R09): what did not change is not touched; what changed is renewed
 * without a gap where that can be, and goes where it must.
 */
#include "exchange/exchange.h"
#include "harness/star.h"

/* ---- nothing changed ------------------------------------------------------------------------ */

static void same_again(struct node *n)
{
	char before[4096], after[4096];

	node_picture(n, before, sizeof(before));
	for (int i = 0; i < 3; i++) {
		node_reconfigure(n, test_conf_copy(n->conf));
		assert_string_equal(node_picture(n, after, sizeof(after)), before);
	}
}

/* Ids, SPIs, timers, traps, memory, datagrams: all the same. */
static void untouched(void **state)
{
	static const enum ike_start start[] = { IKE_START_UP, IKE_START_TRAFFIC, IKE_START_LISTEN };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct pair p;

		pair_init(&p, 500 + i);
		p.pa->start = start[i % 3];
		p.pa->dpd_delay = dur_s(10);
		if (i / 3)
			pair_certs(&p);
		pair_up(&p);
		world_live(p.w, dur_s(3));
		same_again(p.a);
		same_again(p.b);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

static void untouched_network(void **state)
{
	struct node *one, *two;
	struct star s;

	(void)state;
	star_init(&s, 510);
	s.ph->dpd_delay = dur_s(20);
	star_hub(&s);
	one = star_join(&s, 1);
	two = star_join(&s, 2);
	world_live(s.w, dur_s(3));
	same_again(s.hub);
	same_again(one);
	same_again(two);
	assert_true(star_ping(&s, one, 1, two, 2));
	star_done(&s);
}

/* A peer that waits for its next try goes on waiting; one that was taken down stays down. */
static void wishes_are_kept(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	connect_down(p->a);
	world_run(p->w);
	assert_true(pair_is_down(p));
	node_reconfigure(p->a, test_conf_copy(p->ca));
	world_live(p->w, dur_s(300));
	assert_true(pair_is_down(p));
	p->b->unplugged = true;
	connect(p->a);
	world_live(p->w, dur_s(100));
	while (strcmp(node_peer(p->a, PAIR_PEER).state, "waiting") != 0)
		assert_true(world_timer(p->w));
	same_again(p->a);
}

/* ---- who the peer is ------------------------------------------------------------------------ */

/* A revoked member goes, and is not let in again; nobody else notices. */
static void revoked_on_reload(void **state)
{
	struct node *bad, *good;
	struct test_conf *c;
	struct star s;
	unsigned sent;

	(void)state;
	star_init(&s, 520);
	star_hub(&s);
	bad = star_join(&s, 2);
	good = star_join(&s, 3);
	sent = good->sent;
	c = test_conf_copy(s.ch);
	test_conf_revoke(c, &c->peer[0], STAR_HUB_KEY + 2, STAR_CA);
	node_reconfigure(s.hub, c);
	says(s.hub, IKE_EV_REFUSED, "site-2.example: its certificate is revoked");
	assert_string_equal(node_event(s.hub, IKE_EV_REFUSED)->peer_name, "site-2.example");
	world_run(s.w);
	assert_int_equal(bad->n_children, 0);
	assert_int_equal(s.hub->n_children, 1);
	world_live(s.w, dur_s(100));
	assert_int_equal(bad->n_children, 0);
	assert_non_null(strstr(node_peer(bad, STAR_PEER).last_error, "AUTHENTICATION_FAILED"));
	assert_true(star_is_up(&s, good, 3));
	assert_int_equal(good->sent, sent);
	star_done(&s);
}

static void revoked_hub_on_reload(void **state)
{
	struct star_site site;
	struct test_conf *c;
	struct node *n;
	struct star s;

	(void)state;
	star_init(&s, 521);
	star_hub(&s);
	site = star_site(&s, 1, NULL, NULL);
	n = star_start(&s, &site);
	world_run(s.w);
	c = test_conf_copy(site.c);
	test_conf_revoke(c, &c->peer[0], STAR_HUB_KEY, STAR_CA);
	node_reconfigure(n, c);
	world_live(s.w, dur_s(50));
	assert_int_equal(n->n_children + s.hub->n_children, 0);
	assert_non_null(strstr(node_peer(n, STAR_PEER).last_error, "is revoked"));
	star_done(&s);
}

/* Another key: the old SA rests on one that counts no more. */
static void other_key(void **state)
{
	struct pair *p = *state;
	struct test_conf *ca = test_conf_copy(p->ca), *cb = test_conf_copy(p->cb);

	p->pa->start = ca->peer[0].start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	cb->peer[0].psk = 2;
	cb->peer[0].peer_digest[0] = 1;
	node_reconfigure(p->b, cb);
	world_live(p->w, dur_s(5));
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	ca->peer[0].psk = 2;
	ca->peer[0].peer_digest[0] = 1;
	node_reconfigure(p->a, ca);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* A proof that was given to the old key or anchors does not count either. */
static void other_anchors_while_a_job_is_out(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;

	pair_certs(p);
	pair_start(p);
	p->b->hold = HOLD_JOBS;
	connect(p->a);
	world_run(p->w);
	node_answer(p->b, node_pending(p->b, PENDING_JOB, 0)); /* key exchange */
	world_run(p->w);
	node_answer(p->b, node_pending(p->b, PENDING_JOB, 0)); /* a's proof */
	c = test_conf_copy(p->cb);
	c->peer[0].peer_digest[0] = 1;
	node_reconfigure(p->b, c);
	node_release(p->b);
	world_run(p->w);
	assert_int_equal(node_events(p->b, IKE_EV_SA_UP), 0);
	says(p->b, IKE_EV_REFUSED, "configuration");
}

static void other_identity(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;

	pair_up(p);
	c = test_conf_copy(p->cb);
	c->peer[0].remote_id = test_conf_ident(c, "c.example");
	node_reconfigure(p->b, c);
	says(p->b, IKE_EV_REFUSED, "it calls itself a.example, configured is c.example");
	world_run(p->w);
	assert_true(pair_is_down(p));
}

/* The hub is one no longer. */
static void other_hubs(void **state)
{
	struct star_site site;
	struct test_conf *c;
	struct node *n;
	struct star s;

	(void)state;
	star_init(&s, 522);
	test_conf_cert_blocks(s.ch, s.ph, STAR_HUB_KEY, STAR_CA, STAR_CA, "10.0.0.0/9");
	s.ph->ts_local = s.ph->domain = test_conf_ts(s.ch, "10.0.0.0/9");
	star_hub(&s);
	site = star_site(&s, 1, NULL, NULL);
	n = star_start(&s, &site);
	world_run(s.w);
	assert_int_equal(n->n_children, 1);
	c = test_conf_copy(site.c);
	c->peer[0].n_hub_ids = 0;
	node_reconfigure(n, c);
	says(n, IKE_EV_REFUSED, "hub.example is no hub of \"corp\"");
	world_run(s.w);
	assert_int_equal(n->n_children + s.hub->n_children, 0);
	star_done(&s);
}

/* ---- what it would become ------------------------------------------------------------------- */

/* Packets get through both ways at every step, but for what a responder may send ahead of its
 * answer (RFC 7296 section 2.8). */
static void without_a_gap(struct pair *p)
{
	while (world_packet(p->w, 0)) {
		bool ahead = packet_exchange(world_packet(p->w, 0)) == WIRE_IKE_AUTH &&
			     packet_is_response(world_packet(p->w, 0));

		assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
		if (!ahead)
			assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1"));
		world_deliver(p->w, world_packet(p->w, 0));
	}
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
}

enum what { CERTIFICATE, PROPOSALS, ESP, SELECTORS, ADDRESS, PORT, WHATS };

static void change(struct test_conf *c, struct ike_peer_conf *p, enum what what)
{
	switch (what) {
	case CERTIFICATE:
		test_conf_cert(c, p, 21, 100, 100);
		p->own_digest[0] = 1;
		break;
	case PROPOSALS:
		p->ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes256gcm16-prfsha256-x25519");
		break;
	case ESP: p->esp = test_conf_sa(c, WIRE_PROTO_ESP, "aes256gcm16-esn"); break;
	case SELECTORS: p->ts_local = test_conf_ts(c, "10.1.0.0/16 10.11.0.0/16"); break;
	case ADDRESS: test_conf_addresses(c, p, "2001:db8::2"); break;
	case PORT: p->port = 4500; break;
	case WHATS: break;
	}
}

/* Whoever made the SA makes another, which takes the old one's place. */
static void renewed_without_a_gap(void **state)
{
	(void)state;
	for (unsigned what = 0; what < WHATS; what++) {
		struct test_conf *c;
		struct pair p;
		uint64_t spi;

		pair_init(&p, 530 + what);
		pair_certs(&p);
		p.pb->ike =
			test_conf_sa(p.cb, WIRE_PROTO_IKE,
				     "aes128gcm16-prfsha256-x25519 aes256gcm16-prfsha256-x25519");
		p.pb->esp = test_conf_sa(p.cb, WIRE_PROTO_ESP, "aes128gcm16-esn aes256gcm16-esn");
		p.pa->ike = test_conf_sa(p.ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
		p.pb->ts_remote = test_conf_ts(p.cb, "10.1.0.0/16 10.11.0.0/16");
		test_conf_addresses(p.cb, p.pb, "");
		pair_up(&p);
		spi = node_sa(p.a).info.spi_i;
		c = test_conf_copy(p.ca);
		change(c, &c->peer[0], what);
		node_reconfigure(p.a, c);
		assert_int_equal(p.a->n_children, 1);
		without_a_gap(&p);
		assert_int_not_equal(node_sa(p.a).info.spi_i, spi);
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 2);
		switch (what) {
		case PROPOSALS: assert_int_equal(node_sa(p.a).info.suite.key_bits, 256); break;
		case ESP: assert_int_equal(node_child(p.b)->in.cipher.key_bits, 256); break;
		case SELECTORS: assert_int_equal(node_child(p.b)->ts_remote.n, 2); break;
		case ADDRESS: assert_int_equal(node_sa(p.a).info.remote.ip.family, 6); break;
		case PORT: assert_int_equal(node_sa(p.a).info.remote.port, 4500); break;
		default: break;
		}
		pair_done(&p);
	}
}

/* The responder keeps what its peer made; the peer does not hear of it. */
static void the_responder_waits(void **state)
{
	static const enum what row[] = { CERTIFICATE, ESP };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct test_conf *c;
		struct pair p;
		unsigned sent;

		pair_init(&p, 540 + i);
		pair_certs(&p);
		pair_up(&p);
		sent = p.a->sent + p.b->sent;
		c = test_conf_copy(p.cb);
		change(c, &c->peer[0], row[i]);
		node_reconfigure(p.b, c);
		world_live(p.w, dur_s(100));
		assert_int_equal(p.a->sent + p.b->sent, sent);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* One more address behind those that led to it changes nothing. */
static void one_more_address(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;
	unsigned sent;

	pair_up(p);
	sent = p->a->sent;
	c = test_conf_copy(p->ca);
	test_conf_addresses(c, &c->peer[0], "192.0.2.2 2001:db8::2");
	node_reconfigure(p->a, c);
	world_live(p->w, dur_s(100));
	assert_int_equal(p->a->sent, sent);
	assert_true(pair_is_up(p));
}

/* While our attempt is under way: it begins again with the new values, so what comes up does not
 * rest on the old certificate, and stays when that is revoked. */
static void changed_while_connecting(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 5; after++) {
		struct test_conf *c;
		struct pair p;
		size_t gone;

		pair_init(&p, 550 + after);
		pair_certs(&p);
		pair_start(&p);
		p.a->hold = HOLD_JOBS;
		connect(p.a);
		for (unsigned i = 0; i < after && node_pending(p.a, PENDING_JOB, 0); i++) {
			node_answer(p.a, node_pending(p.a, PENDING_JOB, 0));
			if (i != 2)
				world_run(p.w);
		}
		c = test_conf_copy(p.ca);
		change(c, &c->peer[0], CERTIFICATE);
		node_reconfigure(p.a, c);
		node_release(p.a);
		world_live(p.w, dur_s(100));
		assert_true(pair_is_up(&p));
		gone = node_events(p.a, IKE_EV_SA_DOWN);
		c = test_conf_copy(p.cb);
		test_conf_revoke(c, &c->peer[0], 11, 100);
		node_reconfigure(p.b, c);
		world_live(p.w, dur_s(100));
		assert_int_equal(node_events(p.a, IKE_EV_SA_DOWN), gone);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* A renewal that fails is tried again, less and less often, while the old SA carries traffic. */
static void renewal_is_tried_again(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;
	size_t tries;
	uint32_t spi;

	pair_certs(p);
	pair_up(p);
	spi = node_child(p->a)->spi_in;
	p->b->fail_job = p->b->n_jobs + 1;
	c = test_conf_copy(p->ca);
	c->peer[0].own_digest[0] ^= 1;
	node_reconfigure(p->a, c);
	world_run(p->w);
	/* b could not judge our proof: refused, and the old SA is there. */
	assert_int_equal(node_child(p->a)->spi_in, spi);
	assert_true(node_peer(p->a, PAIR_PEER).retry_in.ns > 0);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
	p->b->unplugged = true;
	world_live(p->w, dur_s(600));
	tries = node_events(p->a, IKE_EV_CONNECTING);
	assert_in_range(tries, 5, 15);
	p->b->unplugged = false;
	assert_int_equal(node_child(p->a)->spi_in, spi);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
	world_live(p->w, dur_s(100));
	assert_true(pair_is_up(p));
	assert_int_not_equal(node_child(p->a)->spi_in, spi);
	/* Enough. */
	tries = node_events(p->a, IKE_EV_CONNECTING);
	world_live(p->w, dur_s(1000));
	assert_int_equal(node_events(p->a, IKE_EV_CONNECTING), tries);
}

/* What is not allowed any more goes as well when there is nothing in its place; what is, stays. */
static void renewal_that_the_peer_refuses(void **state)
{
	static const struct {
		const char *local;
		size_t children;
	} row[] = { { "10.1.0.0/16 10.77.0.0/16", 1 }, { "10.77.0.0/16", 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct test_conf *ca, *cb;
		struct pair p;

		pair_init(&p, 560 + i);
		pair_up(&p);
		ca = test_conf_copy(p.ca);
		cb = test_conf_copy(p.cb);
		cb->peer[0].esp = test_conf_sa(cb, WIRE_PROTO_ESP, "aes256gcm16-esn");
		node_reconfigure(p.b, cb);
		ca->peer[0].ts_local = test_conf_ts(ca, row[i].local);
		node_reconfigure(p.a, ca);
		assert_int_equal(p.a->n_children, 1);
		world_live(p.w, dur_s(100));
		assert_int_equal(p.a->n_children, row[i].children);
		assert_int_equal(p.b->n_children, row[i].children);
		assert_non_null(strstr(node_peer(p.a, PAIR_PEER).last_error, "NO_PROPOSAL_CHOSEN"));
		pair_done(&p);
	}
}

/* ---- what it may carry ---------------------------------------------------------------------- */

static struct ike_member_rule rule(struct test_conf *c, const char *id, const char *prefixes)
{
	return (struct ike_member_rule){ test_conf_ident(c, id), test_conf_ts(c, prefixes) };
}

static void set_rule(struct test_conf *c, const char *id, const char *prefixes)
{
	struct ike_member_rule r = rule(c, id, prefixes);

	c->peer[0].rules = (const void *)test_conf_dup(c, bytes_of(&r, sizeof(r))).p;
	c->peer[0].n_rules = 1;
}

/* A rule that says less: that member's child goes, and it asks again; the others stay. */
static void a_rule_changes(void **state)
{
	struct node *one, *two;
	struct test_conf *c;
	struct star s;
	unsigned sent;

	(void)state;
	star_init(&s, 570);
	star_hub(&s);
	one = star_join(&s, 1);
	two = star_join(&s, 2);
	sent = two->sent;
	/* What still holds all of it changes nothing. */
	c = test_conf_copy(s.ch);
	set_rule(c, "site-1.example", "10.1.0.0/16 10.88.0.0/16");
	node_reconfigure(s.hub, c);
	world_run(s.w);
	assert_int_equal(node_events(s.hub, IKE_EV_CHILD_DOWN), 0);
	c = test_conf_copy(s.hub->conf);
	set_rule(c, "site-1.example", "10.1.7.0/24");
	node_reconfigure(s.hub, c);
	says(s.hub, IKE_EV_CHILD_DOWN, "10.0.0.0/8 === 10.1.0.0/16");
	world_live(s.w, dur_s(30));
	assert_true(star_is_up(&s, one, 1));
	assert_true(world_ping(s.w, one, "10.1.7.1", s.hub, "10.2.0.1"));
	assert_false(world_ping(s.w, one, "10.1.8.1", s.hub, "10.2.0.1"));
	/* Nothing at all: the reason is told. */
	c = test_conf_copy(s.hub->conf);
	set_rule(c, "site-1.example", "172.16.0.0/12");
	node_reconfigure(s.hub, c);
	world_live(s.w, dur_s(30));
	assert_int_equal(one->n_children, 0);
	says(s.hub, IKE_EV_REFUSED, "member rule \"site-1.example\"");
	assert_non_null(strstr(node_peer(one, STAR_PEER).last_error, "TS_UNACCEPTABLE"));
	assert_int_equal(two->sent, sent);
	assert_true(star_is_up(&s, two, 2));
	star_done(&s);
}

/* What the responder gives access to has shrunk: the child goes with a DELETE (RFC 7296 section
 * 1.4.1), and the initiator gets what is left. */
static void selectors_shrink_at_the_responder(void **state)
{
	struct pair *p = *state;
	struct ip last = test_ip("10.2.0.255");
	struct test_conf *c;

	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	c = test_conf_copy(p->cb);
	c->peer[0].ts_local = test_conf_ts(c, "10.2.0.0/24");
	node_reconfigure(p->b, c);
	next_is(p->w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	world_live(p->w, dur_s(30));
	assert_true(pair_is_up(p));
	assert_int_equal(node_child(p->a)->ts_remote.n, 1);
	assert_true(ip_eq(&node_child(p->a)->ts_remote.ts[0].end, &last));
}

/* The domain grew: members learn it when they connect the next time, not before. */
static void the_domain_grows(void **state)
{
	struct test_conf *c;
	struct node *one;
	struct star s;
	unsigned sent;

	(void)state;
	star_init(&s, 571);
	star_hub(&s);
	one = star_join(&s, 1);
	sent = one->sent + s.hub->sent;
	c = test_conf_copy(s.ch);
	c->peer[0].domain = c->peer[0].ts_local = test_conf_ts(c, "10.0.0.0/8 172.16.0.0/12");
	node_reconfigure(s.hub, c);
	world_live(s.w, dur_s(30));
	assert_int_equal(one->sent + s.hub->sent, sent);
	assert_true(star_is_up(&s, one, 1));
	star_done(&s);
}

/* The network is no longer configured: every member hears it, nothing is left, also of what comes
 * late. */
static void the_network_is_removed(void **state)
{
	(void)state;
	for (int hold = 0; hold < 2; hold++) {
		struct test_conf *c;
		struct node *one, *two;
		struct star s;

		star_init(&s, 572);
		star_hub(&s);
		one = star_join(&s, 1);
		two = star_join(&s, 2);
		if (hold) {
			struct star_site three = star_site(&s, 3, NULL, NULL);

			s.hub->hold = HOLD_JOBS;
			star_start(&s, &three);
			world_run(s.w);
		}
		c = test_conf_copy(s.ch);
		c->conf.n_peers = 0;
		node_reconfigure(s.hub, c);
		assert_int_equal(s.hub->n_children, 0);
		node_release(s.hub);
		world_live(s.w, dur_s(50));
		assert_int_equal(one->n_children + two->n_children, 0);
		assert_true(node_is_down(s.hub));
		node_reconfigure(s.hub, test_conf_copy(s.ch));
		world_live(s.w, dur_s(100));
		assert_true(star_ping(&s, one, 1, two, 2));
		star_done(&s);
	}
}

/* A site that gets a `peer` is silent no longer, and is again when that goes. */
static void silence_comes_and_goes(void **state)
{
	struct star_site site;
	struct test_conf *c;
	struct node *n;
	struct star s;

	(void)state;
	star_init(&s, 573);
	star_hub(&s);
	site = star_site(&s, 1, NULL, NULL);
	n = star_start(&s, &site);
	world_run(s.w);
	for (int i = 0; i < 4; i++) {
		struct script x;

		c = test_conf_copy(n->conf);
		c->conf.n_peers = 1;
		if (i % 2)
			test_conf_peer(c, 2, "old", NULL, "site-1.example", "old.example", 5);
		node_reconfigure(n, c);
		script_init(&x, s.w, "192.0.2.99", n, true);
		script_sa_init(&x);
		assert_int_equal(script_exchange(&x), i % 2);
		script_done(&x);
		assert_true(star_is_up(&s, n, 1));
	}
	star_done(&s);
}

/* ---- our own trouble ------------------------------------------------------------------------ */

/* The n-th allocation of a reload fails: all of the old configuration holds, or all of the new one,
 * and the next reload does what this one could not. */
static void faults_while_reloading(void **state)
{
	long allocs = 1;

	(void)state;
	for (long nth = -1; nth < allocs; nth++) {
		struct node *one, *two;
		struct test_conf *c;
		struct star s;

		star_init(&s, 580);
		star_hub(&s);
		one = star_join(&s, 1);
		two = star_join(&s, 2);
		c = test_conf_copy(s.ch);
		set_rule(c, "site-1.example", "10.1.7.0/24");
		test_conf_revoke(c, &c->peer[0], STAR_HUB_KEY + 2, STAR_CA);
		test_conf_peer(c, 2, "old", "192.0.2.77", "hub.example", "old.example", 5);
		c->peer[1].start = IKE_START_TRAFFIC;
		c->peer[1].ts_local = test_conf_ts(c, "10.0.0.0/8");
		c->peer[1].ts_remote = test_conf_ts(c, "172.16.0.0/12");
		allocs = nth < 0 ? s.hub->mem.calls : allocs;
		s.hub->mem.fail_at = nth < 0 ? -1 : s.hub->mem.calls + nth;
		node_reconfigure(s.hub, c);
		if (nth < 0) {
			allocs = s.hub->mem.calls - allocs;
			assert_true(allocs > 10);
		}
		s.hub->mem.fail_at = -1;
		node_reconfigure(s.hub, test_conf_copy(c));
		world_live(s.w, dur_s(100));
		assert_true(world_ping(s.w, one, "10.1.7.1", s.hub, "10.2.0.1"));
		assert_false(world_ping(s.w, one, "10.1.8.1", s.hub, "10.2.0.1"));
		assert_int_equal(two->n_children, 0);
		assert_int_equal(s.hub->n_children, 1);
		assert_non_null(node_trap(s.hub, 2));
		star_done(&s);
	}
}

/* ---- each setting ---------------------------------------------------------------------------- */

/* A selector of the list differs in one thing. */
static struct wire_ts_list other_ts(struct test_conf *c, struct wire_ts_list l, int what)
{
	struct wire_ts ts = l.ts[0];

	switch (what) {
	case 0: ts.proto = 6; break;
	case 1: ts.port_start = 1; break;
	case 2: ts.port_end = 1000; break;
	case 3: ts.end.b[2] = 7; break;
	default: ts.start.b[3] = 1; break;
	}
	l.ts = (const void *)test_conf_dup(c, bytes_of(&ts, sizeof(ts))).p;
	l.n = 1;
	return l;
}

enum {
	LIVES = 6,
	TERMS = 9,
	SELECTOR = 5,
	UNTOUCHED = LIVES + 1,
	SETTINGS = UNTOUCHED + TERMS + 2 * SELECTOR,
};

/* The first ones are no reason for another SA, all others are. */
static void set(struct test_conf *c, struct ike_peer_conf *p, unsigned i)
{
	switch (i) {
	case 0: p->life.ike_soft = dur_s(5000); break;
	case 1: p->life.ike_hard = dur_s(9000); break;
	case 2: p->life.child_soft = dur_s(5000); break;
	case 3: p->life.child_hard = dur_s(9000); break;
	case 4: p->life.reauth = dur_s(5000); break;
	case 5: p->life.outlive_certs = true; break;
	case 6: p->start = IKE_START_LISTEN; break;
	/* of the IKE SA: number, kind and length of transforms; of its child */
	case 7: p->ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-ecp256"); break;
	case 8: p->ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes256gcm16-prfsha256-ecp256"); break;
	case 9: p->ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes128gcm16-prfsha512-ecp256"); break;
	case 10: p->ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes128-sha256-prfsha256-ecp256"); break;
	case 11: p->esp = test_conf_sa(c, WIRE_PROTO_ESP, "aes256gcm16"); break;
	case 12: p->esp = test_conf_sa(c, WIRE_PROTO_ESP, "aes128gcm16-esn"); break;
	case 13: p->fragmentation = !p->fragmentation; break;
	case 14: p->local_id = test_conf_ident(c, "a@a.example"); break;
	case 15: p->own_digest[3] ^= 1; break;
	default:
		i -= UNTOUCHED + TERMS;
		if (i < SELECTOR)
			p->ts_local = other_ts(c, p->ts_local, (int)i);
		else
			p->ts_remote = other_ts(c, p->ts_remote, (int)(i - SELECTOR));
	}
}

/* One setting changes at the end that called: at once there is another attempt if the SA would be
 * another one, and not a single datagram if it would not. */
static void each_setting(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SETTINGS; i++) {
		struct test_conf *c;
		struct pair p;
		unsigned sent;

		pair_init(&p, 1200 + i);
		p.pa->start = IKE_START_UP;
		p.pa->ike = test_conf_sa(p.ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
		p.pb->ike = test_conf_sa(p.cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
		p.pa->esp = test_conf_sa(p.ca, WIRE_PROTO_ESP, "aes128gcm16");
		p.pb->esp = test_conf_sa(p.cb, WIRE_PROTO_ESP, "aes128gcm16");
		pair_start(&p);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		sent = p.a->sent;
		c = test_conf_copy(p.ca);
		set(c, &c->peer[0], i);
		node_reconfigure(p.a, c);
		assert_int_equal(node_events(p.a, IKE_EV_CONNECTING), i < UNTOUCHED ? 1 : 2);
		assert_int_equal(p.a->sent > sent, i >= UNTOUCHED);
		assert_int_equal(p.a->n_children, 1);
		same_again(p.a);
		world_drop_all(p.w);
		pair_done(&p);
	}
}

/* Whoever walks through what there is may stop; of what is not there nothing is told. */
static bool stop_sa(void *ctx, const struct ike_sa_info *info)
{
	(void)info;
	++*(unsigned *)ctx;
	return false;
}

static bool stop_child(void *ctx, const struct ike_child_info *info)
{
	(void)info;
	++*(unsigned *)ctx;
	return false;
}

static void walks(void **state)
{
	struct ike_sa_info none = { .spi_i = 1, .spi_r = 2 };
	struct node *one, *two;
	unsigned n = 0;
	struct star s;

	(void)state;
	star_init(&s, 1240);
	star_hub(&s);
	one = star_join(&s, 1);
	two = star_join(&s, 2);
	assert_true(star_ping(&s, one, 1, two, 2));
	assert_int_equal(ike_totals(s.hub->ike).sas, 2);
	ike_each_sa(s.hub->ike, s.w->now, stop_sa, &n);
	assert_int_equal(n, 1);
	ike_each_sa_of(one->ike, s.w->now, STAR_PEER, stop_sa, &n);
	assert_int_equal(n, 2);
	ike_each_sa_of(one->ike, s.w->now, 4711, stop_sa, &n);
	ike_each_child(one->ike, s.w->now, &none, stop_child, &n);
	assert_int_equal(n, 2);
	star_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(untouched),
		cmocka_unit_test(untouched_network),
		pair_test(wishes_are_kept),
		cmocka_unit_test(revoked_on_reload),
		cmocka_unit_test(revoked_hub_on_reload),
		pair_test(other_key),
		pair_test(other_anchors_while_a_job_is_out),
		pair_test(other_identity),
		cmocka_unit_test(other_hubs),
		cmocka_unit_test(renewed_without_a_gap),
		cmocka_unit_test(the_responder_waits),
		pair_test(one_more_address),
		cmocka_unit_test(changed_while_connecting),
		pair_test(renewal_is_tried_again),
		cmocka_unit_test(renewal_that_the_peer_refuses),
		cmocka_unit_test(a_rule_changes),
		pair_test(selectors_shrink_at_the_responder),
		cmocka_unit_test(the_domain_grows),
		cmocka_unit_test(the_network_is_removed),
		cmocka_unit_test(silence_comes_and_goes),
		cmocka_unit_test(faults_while_reloading),
		cmocka_unit_test(each_setting),
		cmocka_unit_test(walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
