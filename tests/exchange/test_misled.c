/*
 * Who decides where a MOBIKE SA goes, misled by somebody on the path who changes addresses of
 * datagrams, which nothing vouches for (RFC 4555 sections 3.6 and 5.1; S2, R06).
 */
#include "exchange/exchange.h"

#define HOME "192.0.2.1"
#define HUB "192.0.2.2"
#define HUB_TOO "203.0.113.2"
#define VICTIM "203.0.113.66"

static bool flows(struct pair *p)
{
	return world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1") &&
	       world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1");
}

/* Nobody is at the victim's. */
static void live_without_victim(struct world *w, dur_t d)
{
	mono_t until = mono_add(w->now.mono, d);
	struct ip victim = test_ip(VICTIM);

	while (mono_before(w->now.mono, until)) {
		for (size_t i = 0; i < world_packets(w);) {
			struct packet *q = world_packet(w, i);

			if (ip_eq(&q->dst.ip, &victim))
				world_drop(w, q);
			else
				i++;
		}
		world_live(w, dur_ms(100));
	}
}

/*
 *	b -> a: {N(NO_ADDITIONAL_ADDRESSES)}, from VICTIM as it seems
 *
 * a goes there to ask, in vain, and comes back; what goes through the tunnel stays where it was.
 */
static void rewritten_list(void **state)
{
	struct pair *p = *state;
	struct world *w = p->w;
	struct packet *q;

	p->pa->mobike = p->pb->mobike = true;
	p->pa->return_routability = p->pb->return_routability = IKE_ROUTABILITY_BEFORE;
	p->pa->dpd_delay = dur_s(30);
	p->ca->conf.force_encap = p->cb->conf.force_encap = true;
	pair_start(p);
	node_moves(p->a, HOME, NULL);
	node_moves(p->b, HUB, HUB_TOO);
	connect(p->a);
	world_run(w);
	assert_true(pair_is_up(p));
	node_moves(p->b, HUB, NULL);
	next_is(w, p->b, WIRE_INFORMATIONAL, REQUEST, 0);
	next_notifies(w, WIRE_N_NO_ADDITIONAL_ADDRESSES);
	q = world_packet(w, 0);
	q->src.ip = test_ip(VICTIM);
	world_deliver(w, q);
	live_without_victim(w, dur_s(240));
	assert_true(pair_is_up(p));
	assert_int_equal(node_counter(p->a, "ike.sa.established"), 1);
	assert_true(flows(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(rewritten_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
