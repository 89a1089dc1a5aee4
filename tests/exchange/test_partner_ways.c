/* Partners: the ways that messages can take, NATs, and what is kept in memory (U2, R08,
 * S2, S4, docs/protocol/shortcut.md section 8). */
#include "exchange/exchange.h"

#include "exchange/far.h"
#include "exchange/partner.h"

/* ---- every order -------------------------------------------------------------------------- */

/* What becomes of a datagram of the handshake. */
enum fate { ARRIVES, LOST, TWICE, LATER, FATES };

/* The next datagram between the two that is no ESP; others arrive at once. */
static struct packet *next_ike(struct duo *d)
{
	struct packet *p;

	while ((p = world_packet(d->w, 0)) != NULL) {
		if (!p->esp && duo_lost(d, p, LOSE_IKE))
			return p;
		world_deliver(d->w, p);
	}
	return NULL;
}

/* The first few meet these fates, one after the other; all that comes later arrives. */
static void play(unsigned fates, unsigned n)
{
	struct packet *later[8];
	unsigned n_later = 0;
	struct duo d;

	duo_begin(&d, 1 + fates);
	duo_add(&d);
	duo_call(&d);
	for (int64_t ms = 0; ms < 3000 && n; ms += 5) {
		struct packet *p;

		while (n && (p = next_ike(&d)) != NULL) {
			enum fate fate = (enum fate)(fates % FATES);

			fates /= FATES;
			n--;
			if (fate == LATER || fate == TWICE)
				later[n_later++] = packet_keep(p);
			if (fate == LOST || fate == LATER)
				world_drop(d.w, p);
			else
				world_deliver(d.w, p);
		}
		world_advance(d.w, dur_ms(5));
	}
	duo_live(&d, 300, 0);
	for (unsigned i = 0; i < n_later; i++) {
		world_hand_over(d.w, later[i]);
		packet_free(later[i]);
		duo_live(&d, 20, 0);
	}
	duo_live(&d, 2500, 0);
	assert_true(duo_carries(&d));
	assert_true(duo_direct(&d));
	assert_int_equal(duo_sas(d.b, d.at_b).n, 1);
	assert_int_equal(duo_sas(d.c, d.at_c).n, 1);
	assert_int_equal(ike_totals(d.c->ike).half_open, 0);
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), 0);
	duo_done(&d);
}

static void every_order(void **state)
{
	enum { N = 4, ALL = FATES * FATES * FATES * FATES };

	(void)state;
	for (unsigned fates = 0; fates < ALL; fates++)
		play(fates, N);
}

/* ---- far away ----------------------------------------------------------------------------- */

/* The datagrams of IKE until it is up, and after c has asked in a hurry whether b is there, where
 * an answer takes so many milliseconds; `measured`: and both know. */
static unsigned datagrams(int64_t rtt, bool measured)
{
	struct far f = { .half = rtt / 2 };
	struct duo d;

	duo_begin(&d, 40);
	f.one = d.b->address[0];
	f.other = d.c->address[0];
	d.c->looks = true;
	duo_add(&d);
	if (measured) {
		node_partner_measured(d.b, d.at_b, dur_ms(rtt));
		node_partner_measured(d.c, d.at_c, dur_ms(rtt));
	}
	duo_call(&d);
	far_live(d.w, &f, 4000);
	assert_true(duo_carries(&d));
	node_packet(d.c, "10.2.0.1", "10.1.0.1");
	far_live(d.w, &f, 4000);
	assert_int_equal(node_counter(d.c, "ike.silent"), 1);
	assert_int_equal(node_events(d.c, IKE_EV_SUSPECT), !measured);
	duo_done(&d);
	return f.n_ike;
}

/* RFC 7296 section 2.1: a request goes again when it is lost, and not because the answer takes its
 * time. */
static void far_away(void **state)
{
	(void)state;
	assert_int_equal(datagrams(2, true), 6);
	assert_int_equal(datagrams(400, true), 6);
	assert_true(datagrams(400, false) > 6);
}

/* What is lost goes again soon where the partner is near, and it is not waited for longer than a
 * suggestion may take where it is far. */
static void far_away_and_lost(void **state)
{
	static const struct {
		int64_t rtt;
		int64_t again; /* milliseconds, at most */
		unsigned tries;
	} rows[] = { { 1, 110, 6 }, { 40, 185, 5 }, { 400, 905, 3 }, { 5000, 1005, 3 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct duo d;

		duo_begin(&d, 41 + i);
		duo_add(&d);
		node_partner_measured(d.b, d.at_b, dur_ms(rows[i].rtt));
		duo_call(&d);
		world_drop_all(d.w);
		for (int64_t t = 0; t < rows[i].again; t += 5)
			world_advance(d.w, dur_ms(5));
		assert_int_equal(world_packets(d.w), 1);
		duo_live(&d, 8000, LOSE_ALL);
		duo_over(d.b, IKE_R_NO_ANSWER);
		assert_int_equal(node_counter(d.b, "ike.tx.retransmits"), rows[i].tries - 1);
		duo_done(&d);
	}
}

/* ---- NATs --------------------------------------------------------------------------------- */

static void nat_of_b(struct star *s)
{
	world_nat(s->w, "192.0.2.11", "203.0.113.1", 40000);
}

/* Who calls is behind one: it stays up, moves with its mapping, and keeps that open. */
static void behind_a_nat(void **state)
{
	struct duo d;

	(void)state;
	duo_begin_as(&d, 1000, nat_of_b, NULL);
	duo_add(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_true(duo_direct(&d));
	assert_true(duo_sas(d.b, d.at_b).last.nat_local);
	assert_true(duo_sas(d.c, d.at_c).last.nat_remote);
	assert_int_not_equal(duo_child(d.c, d.at_c)->remote.port, 4500);
	world_nat_forget(d.w);
	assert_true(world_ping(d.w, d.b, "10.1.0.1", d.c, "10.2.0.1"));
	world_run(d.w);
	assert_true(duo_direct(&d));
	duo_done(&d);
}

/* ---- what is kept ------------------------------------------------------------------------- */

static bool keeps(const struct duo *d, const uint8_t key[IKE_PARTNER_KEY])
{
	return test_mem_has(&d->b->mem, key, IKE_PARTNER_KEY) ||
	       test_mem_has(&d->c->mem, key, IKE_PARTNER_KEY);
}

/* The keys of a suggestion are there for as long as they are needed. */
static void keys_are_wiped(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct duo d;

		duo_begin(&d, 1010);
		assert_false(keeps(&d, d.say_b.proof_key) || keeps(&d, d.say_b.ppk));
		duo_add(&d);
		assert_true(keeps(&d, d.say_b.proof_key) && keeps(&d, d.say_b.ppk));
		if (how < 2)
			duo_call(&d);
		if (how == 0)
			world_run(d.w); /* up */
		else if (how == 1)
			duo_live(&d, 20000, LOSE_IKE); /* over at b; c waits */
		if (how)
			duo_drop(&d);
		assert_int_equal(node_events(d.b, IKE_EV_CARRIES), how == 0);
		assert_false(keeps(&d, d.say_b.proof_key) || keeps(&d, d.say_b.ppk));
		duo_done(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order),       cmocka_unit_test(far_away),
		cmocka_unit_test(far_away_and_lost), cmocka_unit_test(behind_a_nat),
		cmocka_unit_test(keys_are_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
