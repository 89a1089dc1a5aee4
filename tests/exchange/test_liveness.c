/*
 * Liveness driven by traffic (RFC 7296 sections 2.4 and 1.5; P9, F7, V10).
 *
 * A trip takes 10 ms of virtual time; a's data plane looks for silence by itself.  Traffic is a
 * packet every 50 ms, each answered by one of the other end when it gets there.
 */
#include "exchange/exchange.h"
#include "harness/star.h"

enum { TRIP_MS = 10, EVERY_MS = 50 };

static bool lossy; /* nothing arrives anywhere */

static void trip(struct world *w)
{
	size_t n = world_packets(w);

	world_advance(w, dur_ms(TRIP_MS));
	while (n--) {
		if (lossy)
			world_drop(w, world_packet(w, 0));
		else
			world_deliver(w, world_packet(w, 0));
	}
}

/* Time passes, and with it traffic from `n`; `answerer` answers what comes out there. */
static void traffic(struct world *w, struct node *n, const char *src, struct node *answerer,
		    const char *dst, int64_t ms)
{
	for (int64_t t = 0; t < ms; t += TRIP_MS) {
		unsigned before = answerer ? answerer->inner_seen : 0;

		if (t % EVERY_MS == 0)
			node_packet(n, src, dst);
		trip(w);
		if (answerer && answerer->ike && answerer->inner_seen > before)
			node_packet(answerer, dst, src);
	}
}

static void ab_traffic(struct pair *p, int64_t ms)
{
	traffic(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1", ms);
}

static int64_t since(const struct world *w, mono_t then)
{
	return dur_to_ms(mono_since(w->now.mono, then));
}

static int setup(void **state)
{
	lossy = false;
	return setup_pair(state);
}

#define live_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown_pair)

static void up(struct pair *p)
{
	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	p->a->looks = true;
	assert_true(pair_is_up(p));
	ab_traffic(p, 1000);
	assert_int_equal(node_counter(p->a, "ike.silent"), 0);
}

/* ---- suspicion ------------------------------------------------------------------------------ */

/* P9: traffic goes unanswered; in less than a second its peer is suspect, and another IKE SA is
 * begun in a moment more. */
static void suspect_within_a_second(void **state)
{
	struct pair *p = *state;
	mono_t begin;

	up(p);
	begin = p->w->now.mono;
	p->b->unplugged = true;
	while (!node_event(p->a, IKE_EV_SUSPECT))
		ab_traffic(p, EVERY_MS);
	print_message("# suspect %lld ms after the last answer\n", (long long)since(p->w, begin));
	assert_true(since(p->w, begin) < 1000);
	because(p->a, IKE_EV_SUSPECT, IKE_R_NO_ANSWER);
	says(p->a, IKE_EV_SUSPECT, "no answer from 192.0.2.2:500 for ");
	assert_int_equal(node_counter(p->a, "ike.silent"), 1);
	assert_int_equal(node_counter(p->a, "ike.suspect"), 1);
	while (node_events(p->a, IKE_EV_CONNECTING) < 2)
		ab_traffic(p, EVERY_MS);
	assert_true(since(p->w, begin) < 1300);
	/* Nothing is given up. */
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	assert_int_equal(p->a->n_children, 1);
	assert_true(node_sa(p->a).info.suspect);
}

/* The old SA goes when its request has been through all its tries, and no sooner. */
static void given_up_after_the_schedule(void **state)
{
	struct pair *p = *state;
	mono_t begin;

	up(p);
	begin = p->w->now.mono;
	p->b->unplugged = true;
	while (!node_event(p->a, IKE_EV_DEAD))
		ab_traffic(p, EVERY_MS);
	/* 2 + 3.6 + 6.5 + 11.7 s after the quick tries */
	assert_true(since(p->w, begin) > 23744);
	assert_true(since(p->w, begin) < 23744 + 3000);
	because(p->a, IKE_EV_DEAD, IKE_R_NO_ANSWER);
}

/* Packets and a probe that are lost are no reason to be suspicious of anybody. */
static void one_probe_lost(void **state)
{
	struct pair *p = *state;

	up(p);
	lossy = true;
	ab_traffic(p, 600);
	lossy = false;
	ab_traffic(p, 5000);
	assert_int_equal(node_counter(p->a, "ike.silent"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 0);
	assert_int_equal(node_events(p->a, IKE_EV_CONNECTING), 1);
	assert_true(pair_is_up(p));
}

/* Two seconds without anything, and all is as before: the same SA, the same child. */
static void burst_of_loss(void **state)
{
	struct pair *p = *state;
	struct node_sa before, after;
	dp_child_id child;

	up(p);
	before = node_sa(p->a);
	child = p->a->child[0].child.id;
	lossy = true;
	ab_traffic(p, 2000);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CONNECTING), 2);
	lossy = false;
	ab_traffic(p, 3000);
	after = node_sa(p->a);
	assert_true(before.info.spi_i == after.info.spi_i && !after.info.suspect);
	assert_int_equal(p->a->n_children, 1);
	assert_true(p->a->child[0].child.id == child);
	assert_int_equal(node_events(p->a, IKE_EV_ALIVE), 1);
	assert_int_equal(node_counter(p->a, "ike.alive_again"), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
}

/* The same, however the loss falls: at whatever moment it ends, nothing is left over and packets
 * flow at both ends. */
static void bursts_of_every_length(void **state)
{
	(void)state;
	for (int64_t ms = 500; ms < 6000; ms += 70) {
		struct pair p;

		lossy = false;
		pair_init(&p, (uint64_t)ms);
		up(&p);
		lossy = true;
		ab_traffic(&p, ms);
		lossy = false;
		ab_traffic(&p, 2000);
		/* Not one more lost from here on. */
		for (int i = 0; i < 100; i++) {
			assert_true(world_ping(p.w, p.a, "10.1.0.1", p.b, "10.2.0.1"));
			assert_true(world_ping(p.w, p.b, "10.2.0.1", p.a, "10.1.0.1"));
			world_live(p.w, dur_ms(100));
		}
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* When both ends talk, both look, and both call, one SA is left in the end. */
static void bursts_at_both_ends(void **state)
{
	(void)state;
	for (int64_t ms = 500; ms < 6000; ms += 170) {
		struct pair p;

		lossy = false;
		pair_init(&p, (uint64_t)ms);
		p.pb->start = IKE_START_UP;
		p.pa->dpd_delay = p.pb->dpd_delay = dur_s(10);
		up(&p);
		p.b->looks = true;
		for (int i = 0; i < 3; i++) {
			lossy = true;
			ab_traffic(&p, ms);
			for (int t = 0; t < 20; t++) {
				node_packet(p.b, "10.2.0.1", "10.1.0.1");
				ab_traffic(&p, EVERY_MS);
			}
			lossy = false;
			ab_traffic(&p, 300 + 700 * i);
		}
		/* What the other end gave up in a burst is asked about at leisure. */
		ab_traffic(&p, 30000);
		world_live(p.w, dur_s(60));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* The hub of the pair restarts at once: traffic is back in little more than a second. */
static void restart(void **state)
{
	struct pair *p = *state;
	mono_t begin;

	up(p);
	begin = p->w->now.mono;
	node_restart(p->b);
	while (p->b->n_children == 0 || !world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"))
		ab_traffic(p, EVERY_MS);
	print_message("# flows again %lld ms after the restart\n", (long long)since(p->w, begin));
	assert_true(since(p->w, begin) < 1500);
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 0);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
}

/* Without a child in IKE_AUTH an SA is of use a little later, and takes over then; also when both
 * ends call at once. */
static void childless(void **state)
{
	struct pair *p = *state;

	p->pa->childless = IKE_CHILDLESS_FORCE;
	p->pa->start = p->pb->start = IKE_START_UP;
	pair_start(p);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
	p->a->looks = p->b->looks = true;
	lossy = true;
	for (int t = 0; t < 2000; t += EVERY_MS) {
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
		node_packet(p->b, "10.2.0.1", "10.1.0.1");
		for (int i = 0; i < EVERY_MS / TRIP_MS; i++)
			trip(p->w);
	}
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
	assert_int_equal(node_events(p->b, IKE_EV_SUSPECT), 1);
	lossy = false;
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
	node_restart(p->b);
	world_live(p->w, dur_s(2));
	ab_traffic(p, 5000);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
}

/* An answer that takes longer than usual: suspected once, then there is more patience. */
static void slow_answers(void **state)
{
	struct pair *p = *state;

	up(p);
	for (int round = 0; round < 8; round++) {
		struct packet *answer = NULL;

		/* All is lost but the answer to the first probe, which takes a second and a half.
		 */
		for (int t = 0; t < 2600; t += TRIP_MS) {
			if (t % EVERY_MS == 0)
				node_packet(p->a, "10.1.0.1", "10.2.0.1");
			world_advance(p->w, dur_ms(TRIP_MS));
			while (world_packet(p->w, 0)) {
				struct packet *q = world_packet(p->w, 0);
				bool info = packet_exchange(q) == WIRE_INFORMATIONAL && !q->esp;

				if (info && packet_is_response(q) && !answer)
					answer = packet_keep(q);
				if (info && !packet_is_response(q) && !answer)
					world_deliver(p->w, q);
				else
					world_drop(p->w, q);
			}
			if (answer && t == 2200)
				world_hand_over(p->w, answer);
		}
		assert_non_null(answer);
		packet_free(answer);
		ab_traffic(p, 10000);
		assert_true(pair_is_up(p));
	}
	assert_true(node_events(p->a, IKE_EV_SUSPECT) <= 4);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), node_events(p->a, IKE_EV_ALIVE));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
}

/* ---- traffic that nobody answers ------------------------------------------------------------ */

/* One-way traffic is no reason to ask all the time. */
static void one_way(void **state)
{
	struct pair *p = *state;
	unsigned sent = 0;

	up(p);
	for (int s = 0; s < 300; s++) {
		traffic(p->w, p->a, "10.1.0.1", NULL, "10.2.0.1", 1000);
		if (s == 199)
			sent = (unsigned)node_counter(p->a, "ike.tx.datagrams");
	}
	/* One in the longest pause, once it is reached. */
	assert_true(node_counter(p->a, "ike.tx.datagrams") - sent <= 100 / DP_SILENCE_MAX_S + 1);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 0);
	/* As soon as the peer speaks, silence is news again. */
	ab_traffic(p, 500);
	p->b->unplugged = true;
	ab_traffic(p, 1000);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
}

/* Without traffic nobody is asked at all. */
static void idle(void **state)
{
	struct pair *p = *state;
	uint64_t sent;

	up(p);
	world_live(p->w, dur_s(2));
	sent = node_counter(p->a, "ike.tx.datagrams");
	p->b->unplugged = true;
	world_live(p->w, dur_s(3600));
	assert_int_equal(node_counter(p->a, "ike.tx.datagrams"), sent);
	assert_int_equal(node_counter(p->a, "ike.silent"), 0);
}

/* A request of another kind that is in flight tells as well. */
static void another_request_tells(void **state)
{
	struct pair *p = *state;
	struct ike_cmd rekey = { .kind = IKE_CMD_REKEY_CHILD, .peer = PAIR_PEER };
	mono_t begin;

	up(p);
	begin = p->w->now.mono;
	p->b->unplugged = true;
	ab_traffic(p, 300);
	assert_int_equal(node_cmd(p->a, &rekey), ST_OK);
	while (!node_event(p->a, IKE_EV_SUSPECT))
		ab_traffic(p, EVERY_MS);
	assert_true(since(p->w, begin) < 1000);
	p->b->unplugged = false;
	ab_traffic(p, 10000);
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 1);
}

/* start = traffic: what no packet waits for is not called. */
static void idle_and_not_wanted(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_TRAFFIC;
	p->pa->dpd_delay = dur_s(10);
	pair_up(p);
	p->b->unplugged = true;
	world_live(p->w, dur_s(60));
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 1);
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 1);
	assert_int_equal(node_events(p->a, IKE_EV_CONNECTING), 1);
}

/* What a reload, or its age, says that it is to be replaced for is no less so because it answers
 * again. */
static void to_be_renewed_all_the_same(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;
	struct node_sa before;

	up(p);
	before = node_sa(p->a);
	lossy = true;
	while (!node_event(p->a, IKE_EV_SUSPECT))
		ab_traffic(p, EVERY_MS);
	ab_traffic(p, 300);
	c = test_conf_copy(p->ca);
	c->peer[0].own_digest[0] ^= 1;
	node_reconfigure(p->a, c);
	ab_traffic(p, 100);
	lossy = false;
	while (!node_event(p->a, IKE_EV_ALIVE))
		ab_traffic(p, TRIP_MS);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	ab_traffic(p, 20000);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_true(pair_is_up(p));
	assert_true(node_sa(p->a).info.spi_i != before.info.spi_i);
}

/* ---- another place -------------------------------------------------------------------------- */

/* b at a second address, which a's section names second. */
static void second_address(struct pair *p)
{
	static const char *const at[] = { "192.0.2.9", NULL };
	struct test_conf *c = test_conf_new();
	struct ike_peer_conf *pc =
		test_conf_peer(c, PAIR_PEER, "a", "192.0.2.1", "b.example", "a.example", 1);

	pc->ts_local = test_conf_ts(c, "10.2.0.0/16");
	pc->ts_remote = test_conf_ts(c, "10.1.0.0/16");
	test_conf_addresses(p->ca, p->pa, "192.0.2.2 192.0.2.9");
	(void)world_node(p->w, "b2", at, c);
}

/* P9: from suspicion to traffic through another gateway takes two round trips; R16. */
static void next_address_first(void **state)
{
	struct pair *p = *state;
	struct node *b2;
	mono_t begin;
	unsigned seen;

	second_address(p);
	b2 = p->w->node[0];
	up(p);
	p->b->unplugged = true;
	while (!node_event(p->a, IKE_EV_SUSPECT))
		traffic(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1", TRIP_MS);
	begin = p->w->now.mono;
	seen = b2->inner_seen;
	while (b2->inner_seen == seen)
		traffic(p->w, p->a, "10.1.0.1", b2, "10.2.0.1", EVERY_MS);
	print_message("# through the other one %lld ms after the suspicion\n",
		      (long long)since(p->w, begin));
	/* 2 round trips, and what it takes until the next packet is sent and there */
	assert_true(since(p->w, begin) <= 4 * TRIP_MS + EVERY_MS + TRIP_MS + 20);
	/* It goes through the second one from now on; the old SA is told, and gone soon. */
	traffic(p->w, p->a, "10.1.0.1", b2, "10.2.0.1", 20000);
	assert_int_equal(p->a->n_children, 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 1);
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 0);
}

/* Both are gone: each is tried in turn, none is left out because the other one is dead. */
static void both_gone(void **state)
{
	struct pair *p = *state;
	struct node *b2;

	second_address(p);
	b2 = p->w->node[0];
	up(p);
	p->b->unplugged = b2->unplugged = true;
	ab_traffic(p, 8000);
	p->b->unplugged = false;
	node_restart(p->b);
	traffic(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1", 30000);
	assert_true(node_sa(p->a).info.established);
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
}

/* F7: whoever keeps answers from us can have us go to the other gateway once, and then not again
 * for a while. */
static void no_ping_pong(void **state)
{
	struct pair *p = *state;
	struct node *b2;

	second_address(p);
	b2 = p->w->node[0];
	up(p);
	/* The attacker holds back whatever the gateway says that is in use. */
	for (int i = 0; i < 100; i++) {
		struct ip at = node_event(p->a, IKE_EV_SA_UP)->remote.ip;
		bool second = ip_eq(&at, &b2->address[0]);

		p->b->unplugged = !second;
		b2->unplugged = second;
		traffic(p->w, p->a, "10.1.0.1", second ? p->b : b2, "10.2.0.1", 100);
	}
	/* 10 s: there, and not back before they are over */
	assert_true(node_events(p->a, IKE_EV_SA_UP) <= 3);
}

/* ---- a hub ---------------------------------------------------------------------------------- */

/* Whoever is called only does not call, but it asks, and knows. */
static void a_hub_asks(void **state)
{
	struct star s;
	struct node *site;

	(void)state;
	lossy = false;
	star_init(&s, 5);
	star_hub(&s);
	site = star_join(&s, 1);
	s.hub->looks = true;
	site->unplugged = true;
	traffic(s.w, s.hub, "10.2.0.1", site, "10.1.0.1", 1500);
	assert_int_equal(node_events(s.hub, IKE_EV_SUSPECT), 1);
	assert_int_equal(node_events(s.hub, IKE_EV_CONNECTING), 0);
	site->unplugged = false;
	traffic(s.w, s.hub, "10.2.0.1", site, "10.1.0.1", 3000);
	assert_int_equal(node_events(s.hub, IKE_EV_ALIVE), 1);
	assert_true(star_is_up(&s, site, 1));
	star_done(&s);
}

/* Its uplink fails for five seconds while it sends to everybody, as with thousands of sites: the
 * probes of a second are bounded; all is as before afterwards. */
static void everybody_at_once(void **state)
{
	struct star s;
	struct node *site[4];
	struct dp_report r = { .kind = DP_REPORT_SILENT };
	uint64_t limited;

	(void)state;
	lossy = false;
	star_init(&s, 6);
	star_hub(&s);
	for (unsigned i = 0; i < 4; i++) {
		site[i] = star_join(&s, i + 1);
		site[i]->looks = true;
	}
	/* Reports as if there were a thousand. */
	s.hub->unplugged = true;
	for (int i = 0; i < 1000; i++) {
		r.u.silent.id = s.hub->child[i % 4].child.id;
		node_report(s.hub, &r);
	}
	limited = node_counter(s.hub, "ike.hurry_limited");
	assert_true(limited >= 1000 - 500);
	for (int t = 0; t < 5000; t += EVERY_MS) {
		for (unsigned i = 0; i < 4; i++) {
			char src[16];

			snprintf(src, sizeof(src), "10.%u.0.1", i + 1);
			node_packet(site[i], src, "10.9.0.1");
		}
		world_live(s.w, dur_ms(EVERY_MS));
	}
	assert_int_equal(node_events(s.hub, IKE_EV_SUSPECT), 4);
	s.hub->unplugged = false;
	world_live(s.w, dur_s(30));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(node_events(site[i], IKE_EV_SUSPECT), 1);
		assert_true(star_is_up(&s, site[i], i + 1));
		assert_true(star_ping(&s, site[i], i + 1, site[(i + 1) % 4], (i + 1) % 4 + 1));
	}
	star_done(&s);
}

/* ---- keepalives (RFC 3948 section 4) --------------------------------------------------------- */

/* Only while nothing else goes out, and only behind a NAT. */
static void keepalives(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	p->pa->keepalive = p->pb->keepalive = dur_s(20);
	pair_start(p);
	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	world_run(p->w);
	/* Traffic that nobody answers keeps the mapping all the same. */
	for (int i = 0; i < 100; i++) {
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
		world_live(p->w, dur_s(7));
	}
	assert_int_equal(p->b->keepalives, 0);
	/* What comes in does not. */
	for (int i = 0; i < 10; i++) {
		world_live(p->w, dur_s(7));
		assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1"));
	}
	assert_true(p->b->keepalives >= 2);
	assert_int_equal(p->a->keepalives, 0);
}

/* The mapping is never left alone for longer than the interval, whatever traffic there is. */
static void keepalive_gaps(void **state)
{
	struct pair *p = *state;
	mono_t last;

	p->pa->start = IKE_START_UP;
	p->pa->keepalive = dur_s(20);
	pair_start(p);
	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	world_run(p->w);
	last = p->w->now.mono;
	for (int i = 0; i < 4000; i++) {
		unsigned before = p->b->esp_seen + p->b->keepalives;

		if (i * 7919 % 101 < 3)
			node_packet(p->a, "10.1.0.1", "10.2.0.1");
		world_live(p->w, dur_ms(1000));
		assert_true(since(p->w, last) <= 20000 + 1000);
		if (p->b->esp_seen + p->b->keepalives > before)
			last = p->w->now.mono;
	}
	assert_true(p->b->keepalives > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		live_test(suspect_within_a_second),
		live_test(given_up_after_the_schedule),
		live_test(one_probe_lost),
		live_test(burst_of_loss),
		cmocka_unit_test(bursts_of_every_length),
		cmocka_unit_test(bursts_at_both_ends),
		live_test(restart),
		live_test(childless),
		live_test(slow_answers),
		live_test(one_way),
		live_test(idle),
		live_test(another_request_tells),
		live_test(idle_and_not_wanted),
		live_test(to_be_renewed_all_the_same),
		live_test(next_address_first),
		live_test(both_gone),
		live_test(no_ping_pong),
		cmocka_unit_test(a_hub_asks),
		cmocka_unit_test(everybody_at_once),
		live_test(keepalives),
		live_test(keepalive_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
