/* Each datagram of a set-up, between sites and with their hub, is lost, comes twice, or late: one
 * tunnel comes of it, and packets get through all the time (R09, R11). */
#include "exchange/shortcut.h"

#include "exchange/far.h"

enum fate { LOST, TWICE, LATE, FATES };

struct drama {
	struct star s;
	struct node *one, *two;
	unsigned nth, count; /* the victim, and how many there were */
	enum fate fate;
	struct packet *late;
};

/* Everything that is under way arrives, but for the victim. */
static void run(struct drama *d)
{
	for (struct packet *p; (p = world_packet(d->s.w, 0));) {
		if (d->count++ != d->nth) {
			world_deliver(d->s.w, p);
			continue;
		}
		if (d->fate == TWICE)
			world_hand_over(d->s.w, p);
		if (d->fate == LATE)
			d->late = packet_keep(p);
		if (d->fate == TWICE)
			world_deliver(d->s.w, p);
		else
			world_drop(d->s.w, p);
	}
}

static void live(struct drama *d, int ms)
{
	for (int t = 0; t < ms; t += 5) {
		run(d);
		world_advance(d->s.w, dur_ms(5));
		if (d->late && t >= 45) {
			world_hand_over(d->s.w, d->late);
			packet_free(d->late);
			d->late = NULL;
		}
	}
	run(d);
}

static bool gets_through(struct drama *d)
{
	return star_ping_direct(&d->s, d->one, 1, d->two, 2) ||
	       star_ping(&d->s, d->one, 1, d->two, 2);
}

/* False: there was no such datagram. */
static bool play(unsigned nth, enum fate fate)
{
	struct drama d = { .nth = nth, .fate = fate };
	bool was;

	star_init(&d.s, 5);
	star_mesh(&d.s, MESH_DYNAMIC);
	star_hub(&d.s);
	d.one = star_join(&d.s, 1);
	d.two = star_join(&d.s, 2);
	assert_true(star_ping(&d.s, d.one, 1, d.two, 2));
	live(&d, 1500);
	was = d.count > nth;
	for (int i = 0; i < 30; i++) {
		assert_true(gets_through(&d));
		live(&d, 1000);
	}
	if (d.late)
		packet_free(d.late);
	assert_true(star_is_direct(&d.s, d.one, 1, d.two, 2));
	assert_true(star_ping_direct(&d.s, d.two, 2, d.one, 1));
	assert_int_equal(ike_totals(d.one->ike).sas, 2);
	assert_int_equal(ike_totals(d.two->ike).sas, 2);
	assert_int_equal(ike_totals(d.one->ike).peers, 2);
	star_done(&d.s);
	return was;
}

static void each_datagram(enum fate fate)
{
	unsigned n = 0;

	while (play(n, fate))
		assert_in_range(n++, 0, 500);
	assert_in_range(n, 20, 500);
}

static void lost(void **state)
{
	(void)state;
	each_datagram(LOST);
}

static void twice(void **state)
{
	(void)state;
	each_datagram(TWICE);
}

static void late(void **state)
{
	(void)state;
	each_datagram(LATE);
}

/* Questions and answers of a set-up measure how far the partner is: no request of IKE goes twice
 * where an answer takes 400 ms. */
static void far_away(void **state)
{
	struct star s;
	struct far f = { .half = 200 };
	struct node *one, *two;

	(void)state;
	star_init(&s, 6);
	star_mesh(&s, MESH_DYNAMIC);
	star_hub(&s);
	one = star_join(&s, 1);
	two = star_join(&s, 2);
	assert_true(star_ping(&s, one, 1, two, 2));
	far_live(s.w, &f, 8000);
	assert_true(star_is_direct(&s, one, 1, two, 2));
	assert_int_equal(node_counter(one, "ike.tx.retransmits"), 0);
	assert_int_equal(node_counter(two, "ike.tx.retransmits"), 0);
	star_done(&s);
}

static struct node *believed_for_a_minute(struct star *s, unsigned number, bool him)
{
	struct star_site site = star_site(s, number, NULL, NULL);
	struct node *n;

	if (him)
		site.p->life.reauth = dur_s(60);
	n = star_start(s, &site);
	world_run(s->w);
	assert_true(star_is_up(s, n, number));
	return n;
}

/* Either end, or both, want the other one to prove who it is every minute: tunnels end and others
 * take their place, and of what both send all the time nothing is lost. */
static void reauthentication(void **state)
{
	(void)state;
	for (unsigned who = 1; who < 4; who++) {
		struct far f = { .half = 20 };
		unsigned n = 0, at_one, at_two;
		struct node *one, *two;
		struct star s;

		star_init(&s, 10 + who);
		star_mesh(&s, MESH_DYNAMIC);
		star_hub(&s);
		one = believed_for_a_minute(&s, 1, who & 1);
		two = believed_for_a_minute(&s, 2, who & 2);
		f.hub = s.hub;
		star_talk(&s, one, 1, two, 2);
		at_one = one->inner_seen;
		at_two = two->inner_seen;
		/* To its end, and until there is a tunnel: it may just be replaced. */
		for (; n < 9000 || (n < 10000 && !star_is_direct(&s, one, 1, two, 2)); n++) {
			node_packet(one, "10.1.0.1", "10.2.0.1");
			node_packet(two, "10.2.0.1", "10.1.0.1");
			far_live(s.w, &f, 20);
		}
		far_live(s.w, &f, 1000);
		assert_int_equal(one->inner_seen, at_one + n);
		assert_int_equal(two->inner_seen, at_two + n);
		assert_true(star_is_direct(&s, one, 1, two, 2));
		assert_in_range(node_events(one, IKE_EV_SHORTCUT), 3, 6);
		says(one, IKE_EV_SHORTCUT_ENDED, "authenticate anew");
		star_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost),
		cmocka_unit_test(twice),
		cmocka_unit_test(late),
		cmocka_unit_test(far_away),
		cmocka_unit_test(reauthentication),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
