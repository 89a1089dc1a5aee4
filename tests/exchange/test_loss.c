/* Datagrams get lost, come twice, come late: RFC 7296 sections 2.1 to 2.4. */
#include "exchange/exchange.h"

enum {
	HANDSHAKE = 4,
	SEEDS = 150,
};

/* The four messages of a set-up. */
static const struct {
	uint8_t exchange;
	bool response;
} message[HANDSHAKE] = {
	{ WIRE_IKE_SA_INIT, false },
	{ WIRE_IKE_SA_INIT, true },
	{ WIRE_IKE_AUTH, false },
	{ WIRE_IKE_AUTH, true },
};

static size_t which(const struct packet *p)
{
	for (size_t i = 0; i < HANDSHAKE; i++)
		if (packet_exchange(p) == message[i].exchange &&
		    packet_is_response(p) == message[i].response)
			return i;
	return HANDSHAKE;
}

/* Every subset of the four is lost the first time it is sent. */
static void each_subset_lost_once(void **state)
{
	(void)state;
	for (unsigned set = 0; set < 1u << HANDSHAKE; set++) {
		unsigned lost = 0;
		struct pair p;

		pair_init(&p, 20 + set);
		pair_start(&p);
		connect(p.a);
		for (int i = 0; !pair_is_up(&p); i++) {
			struct packet *next = world_packet(p.w, 0);

			assert_in_range(i, 0, 40);
			if (!next) {
				assert_true(world_timer(p.w));
			} else if (set & ~lost & 1u << which(next)) {
				lost |= 1u << which(next);
				world_drop(p.w, next);
			} else {
				world_deliver(p.w, next);
			}
		}
		assert_int_equal(lost, set);
		assert_int_equal(node_counter(p.a, "ike.tx.retransmits"),
				 (unsigned)__builtin_popcount(set));
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 1);
		assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 1);
		world_live(p.w, dur_s(600));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* What is always lost ends in UNREACHABLE, after the configured tries, and leaves nothing. */
static void each_message_lost_for_ever(void **state)
{
	(void)state;
	for (size_t k = 0; k < HANDSHAKE; k++) {
		unsigned requests = 0;
		struct pair p;
		mono_t begin;

		pair_init(&p, 40 + k);
		p.pb->dpd_delay = dur_s(5); /* b may believe in an SA that a never saw */
		pair_start(&p);
		connect(p.a);
		begin = p.w->now.mono;
		while (!node_event(p.a, IKE_EV_UNREACHABLE)) {
			struct packet *next = world_packet(p.w, 0);

			if (!next) {
				assert_true(world_timer(p.w));
				continue;
			}
			requests += which(next) == (k & ~(size_t)1);
			if (which(next) == k)
				world_drop(p.w, next);
			else
				world_deliver(p.w, next);
		}
		/* 2 s, times 1.8 each: 2 + 3.6 + 6.48 + 11.664 */
		assert_int_equal(dur_to_ms(mono_since(p.w->now.mono, begin)), 23744);
		assert_int_equal(requests, 4);
		says(p.a, IKE_EV_UNREACHABLE, "192.0.2.2");
		because(p.a, IKE_EV_UNREACHABLE, IKE_R_NO_ANSWER);
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
		assert_string_not_equal(node_peer(p.a, PAIR_PEER).last_error, "");
		p.a->unplugged = true; /* a is not heard of again */
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
}

/* A retransmission is the same bytes (section 2.1), each time later by the factor 1.8. */
static void retransmissions_are_identical(void **state)
{
	static const int64_t wait_ms[] = { 2000, 3600, 6480 };
	struct pair *p = *state;
	struct packet *first;

	pair_start(p);
	connect(p->a);
	first = packet_keep(world_packet(p->w, 0));
	for (size_t i = 0; i < ARRAY_LEN(wait_ms); i++) {
		world_drop_all(p->w);
		assert_int_equal(node_deadline_ms(p->a), wait_ms[i]);
		world_advance(p->w, dur_ms(wait_ms[i] - 1));
		assert_null(world_packet(p->w, 0));
		world_advance(p->w, dur_ms(1));
		assert_int_equal(world_packets(p->w), 1);
		assert_true(bytes_eq(packet_ike(first), packet_ike(world_packet(p->w, 0))));
	}
	packet_free(first);
}

/* Each datagram arrives three times; the answer to a repeated request is the same again. */
static void every_datagram_thrice(void **state)
{
	struct pair *p = *state;
	struct packet *answer = NULL;

	pair_start(p);
	connect(p->a);
	for (size_t k = 0; k < HANDSHAKE; k++) {
		struct packet *next = world_packet(p->w, 0), *twin = packet_keep(next);

		assert_int_equal(which(next), k);
		world_deliver(p->w, next);
		for (int i = 0; i < 2; i++) {
			answer = world_packet(p->w, 0) ? packet_keep(world_packet(p->w, 0)) : NULL;
			world_hand_over(p->w, twin);
			while (world_packet(p->w, 1)) {
				struct packet *again = world_packet(p->w, 1);

				assert_true(bytes_eq(packet_ike(answer), packet_ike(again)));
				world_drop(p->w, again);
			}
			packet_free(answer);
		}
		packet_free(twin);
	}
	assert_null(world_packet(p->w, 0));
	assert_true(pair_is_up(p));
	assert_int_equal(node_counter(p->b, "ike.rx.repeated_request"), 4);
	assert_int_equal(node_counter(p->a, "ike.rx.stray_response"), 4);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	assert_int_equal(p->b->n_events, 2);
}

/* All datagrams of the set-up come again long after: counted, and nothing else. */
static void everything_replayed_later(void **state)
{
	struct pair *p = *state;
	struct packet *old[HANDSHAKE];
	char before_a[4096], before_b[4096], after[4096];

	pair_start(p);
	connect(p->a);
	for (size_t k = 0; k < HANDSHAKE; k++) {
		old[k] = packet_keep(world_packet(p->w, 0));
		world_deliver(p->w, world_packet(p->w, 0));
	}
	assert_true(pair_is_up(p));
	/* Long enough for the cached response to be gone. */
	world_live(p->w, dur_s(400));
	node_picture(p->a, before_a, sizeof(before_a));
	node_picture(p->b, before_b, sizeof(before_b));
	for (size_t k = 1; k < HANDSHAKE; k++)
		world_hand_over(p->w, old[k]);
	assert_string_equal(node_picture(p->a, after, sizeof(after)), before_a);
	assert_string_equal(node_picture(p->b, after, sizeof(after)), before_b);
	/* The first cannot be told from a new initiator; it costs a half-open SA that expires. */
	world_hand_over(p->w, old[0]);
	assert_int_equal(ike_totals(p->b->ike).half_open, 1);
	world_live(p->w, dur_s(60));
	assert_int_equal(ike_totals(p->b->ike).half_open, 0);
	assert_true(pair_is_up(p));
	for (size_t k = 0; k < HANDSHAKE; k++)
		packet_free(old[k]);
}

/* xorshift64*, the source of disorder; repeatable. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d >> 33;
}

static void disorder(struct pair *p, uint64_t *rnd)
{
	size_t n = world_packets(p->w);
	struct packet *any = n ? world_packet(p->w, draw(rnd) % n) : NULL;

	switch (draw(rnd) % 8) {
	case 0:
		if (any)
			world_drop(p->w, any);
		break;
	case 1:
		if (any && n < 20)
			world_copy(p->w, any);
		break;
	case 2: world_timer(p->w); break;
	default:
		if (any)
			world_deliver(p->w, any);
		else
			world_timer(p->w);
		break;
	}
}

/* Disorder for a while, then order: whatever happened, exactly one SA is there in the end. */
static void any_order_converges(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		uint64_t rnd = seed * 0x9e3779b97f4a7c15;
		struct pair p;

		pair_init(&p, seed);
		p.pa->start = IKE_START_UP;
		p.pa->dpd_delay = p.pb->dpd_delay = dur_s(20);
		if (seed % 2)
			pair_certs(&p);
		pair_start(&p);
		for (int i = 0; i < 60; i++)
			disorder(&p, &rnd);
		world_live(p.w, dur_s(600));
		if (!pair_is_up(&p))
			print_error("seed %llu\n", (unsigned long long)seed);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_subset_lost_once),
		cmocka_unit_test(each_message_lost_for_ever),
		pair_test(retransmissions_are_identical),
		pair_test(every_datagram_thrice),
		pair_test(everything_replayed_later),
		cmocka_unit_test(any_order_converges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
