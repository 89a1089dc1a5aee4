/* Both ends connect at once: every order in which their messages can arrive, with and without a
 * lost one, ends with exactly one IKE SA and one child, the same at both ends (RFC 7296 section
 * 2.8 speaks of the like for rekeying; for initial exchanges nothing but the ends themselves sees
 * to it). */
#include "exchange/choices.h"
#include "exchange/exchange.h"

enum { RUNS_MAX = 20000 };

/* The oldest datagram from a or from b: datagrams of one direction keep their order. */
static struct packet *from(struct world *w, const struct node *n)
{
	struct packet *p;

	for (size_t i = 0; (p = world_packet(w, i)) != NULL; i++)
		if (ip_eq(&p->src.ip, &n->address[0]))
			return p;
	return NULL;
}

static void one_run(struct pair *p, struct choices *c)
{
	pair_start(p);
	connect(p->a);
	connect(p->b);
	for (struct packet *a, *b; world_packet(p->w, 0);) {
		a = from(p->w, p->a);
		b = from(p->w, p->b);
		if (a && b)
			world_deliver(p->w, choose(c, 2) ? b : a);
		else
			world_deliver(p->w, a ? a : b);
	}
}

static void every_interleaving(void **state)
{
	struct choices c = { 0 };
	unsigned runs = 0;

	(void)state;
	do {
		struct pair p;

		assert_in_range(runs++, 0, RUNS_MAX);
		pair_init(&p, 300);
		one_run(&p, &c);
		world_live(p.w, dur_s(100));
		if (!pair_is_up(&p)) {
			for (unsigned i = 0; i < c.n; i++)
				print_error("%u", c.pick[i]);
			print_error(": not one SA\n");
		}
		assert_true(pair_is_up(&p));
		assert_int_equal(ike_totals(p.a->ike).sas, 1);
		assert_int_equal(ike_totals(p.b->ike).sas, 1);
		pair_done(&p);
	} while (next_run(&c));
	assert_true(runs > 10);
}

/* The same, with datagrams overtaking each other as well, and start = up at both ends. */
static void any_order(struct pair *p, struct choices *c)
{
	p->pa->start = p->pb->start = IKE_START_UP;
	p->pa->dpd_delay = p->pb->dpd_delay = dur_s(15);
	pair_start(p);
	while (world_packet(p->w, 0))
		world_deliver(p->w, world_packet(p->w, choose(c, (unsigned)world_packets(p->w))));
}

static void every_order_of_delivery(void **state)
{
	struct choices c = { 0 };
	unsigned runs = 0;

	(void)state;
	do {
		struct pair p;

		if (++runs > RUNS_MAX / 4)
			break;
		pair_init(&p, 301);
		any_order(&p, &c);
		world_live(p.w, dur_s(200));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	} while (next_run(&c));
	assert_true(runs > 100);
}

/* Jobs take their time: the engines' own work is one more thing that can come late. */
static void every_order_of_jobs(void **state)
{
	struct choices c = { 0 };
	unsigned runs = 0;

	(void)state;
	do {
		struct pair p;
		struct pending *ja, *jb;

		if (++runs > RUNS_MAX / 4)
			break;
		pair_init(&p, 302);
		p.pa->dpd_delay = p.pb->dpd_delay = dur_s(15);
		pair_start(&p);
		p.a->hold = p.b->hold = HOLD_JOBS;
		connect(p.a);
		connect(p.b);
		for (;;) {
			struct packet *next = world_packet(p.w, 0);
			unsigned n = 0, pick;

			ja = node_pending(p.a, PENDING_JOB, 0);
			jb = node_pending(p.b, PENDING_JOB, 0);
			n = !!ja + !!jb + !!next;
			if (!n)
				break;
			pick = choose(&c, n);
			if (ja && pick-- == 0)
				node_answer(p.a, ja);
			else if (jb && pick-- == 0)
				node_answer(p.b, jb);
			else
				world_deliver(p.w, next);
		}
		p.a->hold = p.b->hold = 0;
		world_live(p.w, dur_s(200));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	} while (next_run(&c));
	assert_true(runs > 100);
}

/* One message of the whole collision gets lost, each in turn. */
static void one_lost(void **state)
{
	(void)state;
	for (unsigned lost = 0; lost < 12; lost++) {
		struct pair p;

		pair_init(&p, 310 + lost);
		p.pa->start = p.pb->start = IKE_START_UP;
		p.pa->dpd_delay = p.pb->dpd_delay = dur_s(15);
		pair_start(&p);
		for (unsigned i = 0; world_packet(p.w, 0); i++) {
			if (i == lost)
				world_drop(p.w, world_packet(p.w, 0));
			else
				world_deliver(p.w, world_packet(p.w, 0));
		}
		world_live(p.w, dur_s(200));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* Whoever loses says so; packets keep flowing all the time once the first child is there. */
static void traffic_during_collision(void **state)
{
	struct choices c = { 0 };
	unsigned runs = 0;

	(void)state;
	do {
		bool up = false;
		struct pair p;

		if (++runs > 300)
			break;
		pair_init(&p, 330);
		pair_start(&p);
		connect(p.a);
		connect(p.b);
		for (struct packet *a, *b; world_packet(p.w, 0);) {
			a = from(p.w, p.a);
			b = from(p.w, p.b);
			if (a && b)
				world_deliver(p.w, choose(&c, 2) ? b : a);
			else
				world_deliver(p.w, a ? a : b);
			if (!p.a->n_children || !p.b->n_children)
				continue;
			up |= world_ping(p.w, p.a, "10.1.0.1", p.b, "10.2.0.1");
			if (up)
				assert_true(world_ping(p.w, p.a, "10.1.0.1", p.b, "10.2.0.1"));
		}
		assert_true(up);
		pair_done(&p);
	} while (next_run(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_interleaving),
		cmocka_unit_test(every_order_of_delivery),
		cmocka_unit_test(every_order_of_jobs),
		cmocka_unit_test(one_lost),
		cmocka_unit_test(traffic_during_collision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
