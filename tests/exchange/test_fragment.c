/*
 * Fragments (RFC 7383): negotiation, cutting, putting together, path MTU, and what hostile ones may
 * not do.  Messages are as large as in the field: IKE_AUTH with eight certificates of RSA-4096
 * keys.
 */
#include "exchange/exchange.h"

enum {
	IP4 = 28, /* IP and UDP */
	IP6 = 48,
};

/* ---- helpers ------------------------------------------------------------------------------- */

static bool is_fragment(const struct packet *p)
{
	return packet_ike(p).p[16] == WIRE_P_SKF;
}

static uint16_t number_of(const struct packet *p)
{
	return load_be16(packet_ike(p).p + 32);
}

static uint16_t total_of(const struct packet *p)
{
	return load_be16(packet_ike(p).p + 34);
}

/* What is under way are all fragments of one message from `n`, none larger than `max`, and as large
 * as that allows; returns how many. */
#define fragments_are_under_way(w, n, exchange, response, msgid, max)                              \
	check_fragments(w, n, exchange, response, msgid, max, __FILE__, __LINE__)

static size_t check_fragments(struct world *w, const struct node *n, uint8_t exchange,
			      bool response, uint32_t msgid, size_t max, const char *file, int line)
{
	size_t total = world_packets(w);

	for (size_t i = 0; i < total; i++) {
		struct packet *p = world_packet(w, i);

		_assert_true(is_fragment(p), "a fragment", file, line);
		_assert_int_equal(packet_exchange(p), exchange, file, line);
		_assert_int_equal(packet_is_response(p), response, file, line);
		_assert_int_equal(packet_msgid(p), msgid, file, line);
		_assert_int_equal(number_of(p), i + 1, file, line);
		_assert_int_equal(total_of(p), total, file, line);
		_assert_true(packet_ip_size(p) <= max, "small enough", file, line);
		_assert_true(i + 1 == total || packet_ip_size(p) + 16 > max, "not too small", file,
			     line);
		_assert_true(ip_eq(&p->src.ip, &n->address[p->src.ip.family == 4 ? 0 : 1]),
			     "from that node", file, line);
		_assert_int_equal(packet_ike(p).p[28] != WIRE_P_NONE, i == 0, file, line);
	}
	_assert_true(total > 1, "more than one", file, line);
	return total;
}

static void deliver_all_under_way(struct world *w)
{
	for (size_t n = world_packets(w); n > 0; n--)
		world_deliver(w, world_packet(w, 0));
}

/* ---- negotiation --------------------------------------------------------------------------- */

/*
 *	a                                             b
 *	IKE_SA_INIT 0 {..., N(FRAGMENTATION)}      ->
 *	                                           <- IKE_SA_INIT 0 {..., N(FRAGMENTATION)}
 *	IKE_AUTH 1, in fragments                   ->
 *	                                           <- IKE_AUTH 1, in fragments
 */
static void S2_large_messages_go_in_fragments(void **state)
{
	struct pair *p = *state;
	size_t n;

	fat_pair(p, 8);
	pair_start(p);
	connect(p->a);
	next_notifies(p->w, WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(p->w, WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	n = fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 1280);
	assert_in_range(n, 7 * FAT_CERT / 1280 + 1, 12);
	assert_int_equal(node_counter(p->a, "ike.tx.fragments"), n);
	deliver_all_under_way(p->w);
	assert_int_equal(node_counter(p->b, "ike.rx.fragments"), n);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_messages"), 1);
	fragments_are_under_way(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1, 1280);
	world_run(p->w);
	assert_true(pair_is_up(p));
	assert_int_equal(node_counters(p->a, "ike.rx.fragment_"), 1);
	connect_down(p->a);
	world_run(p->w);
	assert_true(pair_is_down(p));
}

/* Without both ends' word for it nothing is cut, however large (section 2.3). */
static void nobody_is_forced(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct pair p;

		pair_init(&p, 40);
		fat_pair(&p, 8);
		p.pa->fragmentation = i == 1;
		p.pb->fragmentation = i == 2;
		pair_start(&p);
		connect(p.a);
		assert_int_equal(packet_notifies(p.w, world_packet(p.w, 0),
						 WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED),
				 i == 1);
		deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		assert_false(packet_notifies(p.w, world_packet(p.w, 0),
					     WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED));
		deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		assert_true(packet_ip_size(world_packet(p.w, 0)) > 7 * FAT_CERT);
		deliver(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
		assert_true(packet_ip_size(world_packet(p.w, 0)) > 7 * FAT_CERT);
		deliver(p.w, p.b, WIRE_IKE_AUTH, RESPONSE, 1);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
	(void)state;
}

/* IPv6, and a cipher that works in blocks. */
static void blocks_fill_packets(void **state)
{
	static const char ike[] = "aes256-sha512-prfsha512-x25519";
	struct pair *p = *state;

	fat_pair(p, 8);
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, ike);
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, ike);
	pair_ipv6(p);
	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 1280);
	deliver_all_under_way(p->w);
	fragments_are_under_way(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1, 1280);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* ---- the network ---------------------------------------------------------------------------- */

/* Up to where the fragments of IKE_AUTH, or of its response, are under way. */
static size_t up_to_auth(struct pair *p, bool response)
{
	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	if (response)
		deliver_all_under_way(p->w);
	return world_packets(p->w);
}

/* Each fragment is lost once, each way; the retransmission has them all, and only that one was
 * missing; of a response, those behind it find nobody waiting any more.  It is repeated on the
 * first fragment of the request, and on no other. */
static void each_is_lost(void **state)
{
	for (int response = 0; response < 2; response++)
		for (size_t lost = 0, n = 1; lost < n; lost++) {
			struct pair p;

			pair_init(&p, 41);
			fat_pair(&p, 8);
			n = up_to_auth(&p, response);
			world_drop(p.w, world_packet(p.w, lost));
			deliver_all_under_way(p.w);
			assert_null(world_packet(p.w, 0));
			world_advance(p.w, dur_s(2));
			assert_int_equal(
				fragments_are_under_way(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1, 1280),
				world_packets(p.w));
			deliver_all_under_way(p.w);
			assert_int_equal(world_packets(p.w), n);
			deliver_all_under_way(p.w);
			assert_true(pair_is_up(&p));
			assert_int_equal(
				node_counter(response ? p.a : p.b, "ike.rx.fragment_repeated"),
				response ? lost : n - 1);
			assert_int_equal(node_counter(p.b, "ike.rx.repeated_request"), response);
			pair_done(&p);
		}
	(void)state;
}

/* Each comes twice: at once, and all of them later. */
static void each_is_doubled(void **state)
{
	struct pair *p = *state;
	struct packet *kept[64];
	size_t n;

	fat_pair(p, 8);
	n = up_to_auth(p, false);
	for (size_t i = 0; i < n; i++) {
		kept[i] = packet_keep(world_packet(p->w, 0));
		world_hand_over(p->w, kept[i]);
		world_deliver(p->w, world_packet(p->w, 0));
	}
	/* all but the last were missing no more; the last one found the request being answered */
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_repeated"), n);
	world_run(p->w);
	assert_true(pair_is_up(p));
	for (size_t i = 0; i < n; i++) {
		world_hand_over(p->w, kept[i]);
		assert_int_equal(world_packets(p->w) > 0, i == 0);
		world_drop_all(p->w);
		packet_free(kept[i]);
	}
	assert_int_equal(node_counter(p->b, "ike.rx.repeated_request"), 1);
	assert_true(pair_is_up(p));
}

/* Backwards, and from every one on. */
static void any_order_will_do(void **state)
{
	for (size_t from = 0, n = 1; from <= n; from++) {
		struct pair p;

		pair_init(&p, 42);
		fat_pair(&p, 8);
		n = up_to_auth(&p, false);
		for (size_t left = n; left > 0; left--)
			world_deliver(p.w, world_packet(p.w, from < n ? from % left : left - 1));
		for (size_t left = world_packets(p.w); left > 0; left--)
			world_deliver(p.w, world_packet(p.w, from < n ? from % left : left - 1));
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
	(void)state;
}

/* What is not authentic changes nothing but a counter, wherever it is wrong: what is kept goes on
 * being kept.  Of a caller who has proved nothing only so much is looked at, see admit.c. */
static void S2_forged_fragments_disturb_nothing(void **state)
{
	static char before[4096], after[4096];

	for (int response = 0; response < 2; response++) {
		struct node *n;
		struct pair p;

		pair_init(&p, 46);
		fat_pair(&p, 8);
		n = up_to_auth(&p, response) && response ? p.a : p.b;
		for (size_t i = 0; world_packet_to(p.w, n); i++) {
			struct packet *q = world_packet_to(p.w, n);
			size_t step = response ? 1 + q->n / 150 : q->n;

			for (size_t at = response ? 20
					 : i % 2  ? 32 + i % 4
						  : 36 + i;
			     at < q->n; at += step) {
				struct packet *bad = packet_keep(q);

				bad->data[at] ^= (uint8_t)(1u << at % 8);
				node_picture(n, before, sizeof(before));
				world_hand_over(p.w, bad);
				node_picture(n, after, sizeof(after));
				assert_string_equal(before, after);
				packet_free(bad);
			}
			world_deliver(p.w, q);
		}
		world_run(p.w);
		assert_true(pair_is_up(&p));
		assert_true(node_counter(n, "ike.rx.integrity") > 3);
		assert_int_equal(node_counter(n, "ike.rx.fragment_messages"), 1);
		assert_int_equal(node_counter(n, "ike.rx.fragment_restarted"), 0);
		pair_done(&p);
	}
	(void)state;
}

/* Two SAs under way between the same two, from either end: their fragments come by turns. */
static void two_sas_by_turns(void **state)
{
	struct pair *p = *state;

	fat_pair(p, 8);
	pair_start(p);
	connect(p->a);
	connect(p->b);
	while (world_packet(p->w, 0)) {
		struct packet *to_a = world_packet_to(p->w, p->a);
		struct packet *to_b = world_packet_to(p->w, p->b);

		if (to_a)
			world_deliver(p->w, to_a);
		if (to_b)
			world_deliver(p->w, to_b);
	}
	assert_int_equal(node_counter(p->a, "ike.rx.fragment_messages"), 2);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_messages"), 2);
	world_live(p->w, dur_s(60));
	assert_true(pair_is_up(p));
}

/* ---- path MTU ------------------------------------------------------------------------------- */

/* Section 2.5.2: nobody answers; two tries of each size, then smaller, to the smallest; then as
 * long as for any request. */
static void probes_downwards(void **state)
{
	static const size_t sizes[] = { 1500, 1500, 1280, 1280, 576, 576, 576, 576 };
	struct pair *p = *state;
	size_t last = 0;

	fat_pair(p, 8);
	pair_start(p);
	node_report(p->a, &(struct dp_report){
				  .kind = DP_REPORT_PMTU,
				  .u.pmtu = { test_endpoint("192.0.2.2", 4500), 1500, false } });
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, sizes[i]);

		if (i && sizes[i] != sizes[i - 1])
			assert_true(n > last);
		else if (i)
			assert_int_equal(n, last);
		last = n;
		world_drop_all(p->w);
		assert_null(node_event(p->a, IKE_EV_UNREACHABLE));
		while (!world_packet(p->w, 0) && !node_event(p->a, IKE_EV_UNREACHABLE))
			assert_true(world_timer(p->w));
	}
	assert_int_equal(node_counter(p->a, "ike.tx.refragmented"), 2);
	says(p->a, IKE_EV_UNREACHABLE, "after 4 tries, the last in packets of at most 576 bytes");
}

/* The path carries so much: what is larger gets lost. */
static size_t lose_larger(struct world *w, size_t max)
{
	size_t lost = 0;

	for (size_t i = 0; i < world_packets(w);) {
		struct packet *p = world_packet(w, i);

		if (packet_ip_size(p) > max && ++lost)
			world_drop(w, p);
		else
			i++;
	}
	return lost;
}

/* A black hole for what is larger than 800 bytes; the response comes in what its request came in,
 * at the first try. */
static void narrow_black_hole(void **state)
{
	struct pair *p = *state;

	fat_pair(p, 8);
	up_to_auth(p, false);
	assert_true(lose_larger(p->w, 800));
	assert_int_equal(world_packets(p->w), 1); /* the last fragment is small */
	deliver_all_under_way(p->w);
	world_advance(p->w, dur_s(2));
	assert_true(lose_larger(p->w, 800));
	deliver_all_under_way(p->w);
	world_advance(p->w, dur_s(4));
	says(p->a, IKE_EV_RETRANSMIT, "in smaller fragments");
	fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 576);
	deliver_all_under_way(p->w);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_restarted"), 1);
	fragments_are_under_way(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1, 576);
	deliver_all_under_way(p->w);
	assert_true(pair_is_up(p));
}

/* Fragments of the larger set that come late are of no use, and do no harm. */
static void late_ones_are_dropped(void **state)
{
	struct pair *p = *state;
	struct packet *late[64];
	size_t n;

	fat_pair(p, 8);
	n = up_to_auth(p, false);
	for (size_t i = 0; i < n; i++)
		late[i] = packet_keep(world_packet(p->w, i));
	world_drop_all(p->w);
	world_advance(p->w, dur_s(2));
	world_drop_all(p->w);
	world_advance(p->w, dur_s(4));
	world_deliver(p->w, world_packet(p->w, 0));
	for (size_t i = 0; i < n; i++) {
		world_hand_over(p->w, late[i]);
		packet_free(late[i]);
	}
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_total"), n);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* The response is too large for the path though the request was not: after as many repetitions it
 * comes smaller.  And a request that comes in smaller fragments is answered so. */
static void response_follows(void **state)
{
	struct pair *p = *state;
	size_t first, n;

	pair_certs(p);
	fat_certs(p->cb, p->pb, 8);
	pair_start(p);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	first = fragments_are_under_way(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1, 1280);
	world_drop_all(p->w);
	world_advance(p->w, dur_s(2));
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_int_equal(world_packets(p->w), first);
	world_drop_all(p->w);
	world_advance(p->w, dur_s(4));
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	n = fragments_are_under_way(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1, 576);
	assert_true(n > first);
	/* one of the first set, late, then the new ones */
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/*
 *	a                                   b
 *	IKE_AUTH 1, 1280 bytes each      ->
 *	                             lost <- IKE_AUTH 1, 1280 bytes each
 *	IKE_AUTH 1 again                 ->
 *	                             lost <- IKE_AUTH 1 again
 *	IKE_AUTH 1, 576 bytes each       ->  known by its first fragment, which proves itself
 *	                                  <- IKE_AUTH 1, 576 bytes each
 */
static void request_in_other_fragments_is_known(void **state)
{
	struct pair *p = *state;
	struct packet *forged;

	fat_pair(p, 8);
	up_to_auth(p, true);
	world_drop_all(p->w);
	world_advance(p->w, dur_s(2));
	deliver_all_under_way(p->w);
	world_drop_all(p->w);
	world_advance(p->w, dur_s(4));
	fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 576);
	forged = packet_keep(world_packet(p->w, 0));
	forged->data[forged->n - 1] ^= 1;
	world_hand_over(p->w, forged);
	packet_free(forged);
	assert_int_equal(node_counter(p->b, "ike.rx.integrity"), 1);
	assert_null(world_packet_to(p->w, p->a));
	deliver_all_under_way(p->w);
	fragments_are_under_way(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1, 576);
	world_run(p->w);
	assert_true(pair_is_up(p));
	assert_int_equal(node_counter(p->b, "ike.rx.repeated_request"), 2);
}

/* The network says what it takes: at once smaller, at once again; others' paths are others'. */
static void path_mtu_is_learnt(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_PMTU,
			       .u.pmtu = { test_endpoint("192.0.2.77", 500), 700, false } };
	size_t n;

	fat_pair(p, 7);
	n = up_to_auth(p, false);
	node_report(p->a, &r);
	assert_int_equal(world_packets(p->w), n);
	world_drop_all(p->w);
	r.u.pmtu.remote = test_endpoint("192.0.2.2", 500);
	r.u.pmtu.mtu = 1400;
	node_report(p->a, &r);
	assert_null(world_packet(p->w, 0));
	r.u.pmtu.mtu = 700;
	node_report(p->a, &r);
	fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 700);
	world_drop_all(p->w);
	r.u.pmtu.mtu = 1; /* there is an end to that */
	node_report(p->a, &r);
	fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 296);
	world_drop_all(p->w);
	/* forgotten after ten minutes: the next connection is as the first */
	connect_down(p->a);
	world_live(p->w, dur_s(700));
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	fragments_are_under_way(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1, 1280);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* No path is so narrow, nor does anybody who says so, that a message goes in more fragments than a
 * receiver takes (section 5): rather in larger ones, which IP may cut. */
static void never_too_many(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_PMTU, .u.pmtu = { .mtu = 1 } };

	fat_pair(p, 8);
	pair_start(p);
	for (int i = 0; i < 2; i++) {
		r.u.pmtu.remote = test_endpoint(i ? "192.0.2.1" : "192.0.2.2", 500);
		node_report(i ? p->b : p->a, &r);
	}
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	assert_in_range(world_packets(p->w), 48, 64);
	assert_in_range(packet_ip_size(world_packet(p->w, 0)), 297, 400);
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.rx.fragment_limit"), 0);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_limit"), 0);
	assert_true(pair_is_up(p));
}

/* Rekeys in fragments; the new IKE SA has what was agreed for the old one, and counts from 0. */
static void rekeys_in_fragments(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_PMTU, .u.pmtu = { .mtu = 296 } };
	static const char ike[] = "aes128gcm16-prfsha256-modp2048";
	uint64_t before;

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, ike);
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, ike);
	pair_up(p);
	r.u.pmtu.remote = test_endpoint("192.0.2.2", 500);
	node_report(p->a, &r);
	r.u.pmtu.remote = test_endpoint("192.0.2.1", 500);
	node_report(p->b, &r);
	for (int i = 0; i < 3; i++) {
		before = node_counter(p->b, "ike.rx.fragment_messages");
		assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		fragments_are_under_way(p->w, p->a, WIRE_CREATE_CHILD_SA, REQUEST, i ? 0 : 2, 296);
		world_run(p->w);
		assert_true(pair_is_up(p));
		assert_int_equal(node_counter(p->b, "ike.rx.fragment_messages"), before + 1);
	}
	assert_int_equal(node_counter(p->a, "ike.rx.fragment_messages"), 3);
}

/* Whoever forges ICMP for everybody fills a table that has an end. */
static void paths_are_bounded(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_PMTU,
			       .u.pmtu = { test_endpoint("10.0.0.0", 500), 600, false } };
	size_t full;

	pair_start(p);
	for (int i = 0; i < 256; i++) {
		r.u.pmtu.remote.ip.b[3] = (uint8_t)i;
		node_report(p->a, &r);
	}
	full = p->a->mem.live;
	for (int i = 0; i < 10000; i++) {
		store_be16(&r.u.pmtu.remote.ip.b[1], (uint16_t)i);
		node_report(p->a, &r);
	}
	assert_int_equal(p->a->mem.live, full);
}

/* ---- hostile -------------------------------------------------------------------------------- */

/* A caller with keys, who has proved nothing. */
static void half_open(struct pair *p, struct script *s, const char *from)
{
	script_init(s, p->w, from, p->b, true);
	s->fragmentation = true;
	script_sa_init(s);
	assert_true(script_exchange(s) && s->keyed);
	assert_non_null(script_notify(s, WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED));
}

static void send_piece(struct script *s, uint8_t exchange, uint32_t msgid,
		       const struct wire_fragment *f)
{
	script_begin_fragment(s, exchange, false, msgid, f);
	script_send(s);
	while (world_packet_to(s->w, s->node))
		world_deliver(s->w, world_packet_to(s->w, s->node));
}

static void send_filler(struct script *s, uint32_t msgid, uint16_t number, uint16_t total, size_t n)
{
	static const uint8_t filler[8000];

	send_piece(s, WIRE_IKE_AUTH, msgid,
		   &(struct wire_fragment){ number, total, WIRE_P_IDI, bytes_of(filler, n) });
}

/* What the script has begun, in so many fragments; `first` is what the later ones claim to begin
 * with. */
static void send_cut(struct script *s, uint8_t exchange, uint32_t msgid, uint16_t total,
		     uint8_t later_first)
{
	uint8_t chain[4096], first;
	struct bytes b;
	size_t piece;

	assert_int_equal(wire_ike_inner(&s->out, &first, &b), ST_OK);
	memcpy(chain, b.p, b.n);
	piece = b.n / total;
	for (uint16_t i = 1; i <= total; i++) {
		size_t at = (i - 1u) * piece;
		struct wire_fragment f = { i, total, first,
					   bytes_of(chain + at, i < total ? piece : b.n - at) };

		script_begin_fragment(s, exchange, false, msgid, &f);
		if (i > 1)
			s->out.w.start[s->out.sk_at] = later_first;
		script_send(s);
		while (world_packet_to(s->w, s->node))
			world_deliver(s->w, world_packet_to(s->w, s->node));
	}
}

/* An honest IKE_AUTH in up to 64 fragments, as another implementation would cut it: pieces of a few
 * bytes, what later fragments say of a next payload is ignored; then other exchanges alike. */
static void S2_any_exchange_in_any_number(void **state)
{
	static const uint16_t totals[] = { 1, 2, 3, 63, 64 };

	for (size_t i = 0; i < ARRAY_LEN(totals); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 43);
		pair_start_b(&p);
		half_open(&p, &s, "192.0.2.1");
		script_begin(&s, WIRE_IKE_AUTH, false);
		script_put_auth_request(&s);
		send_cut(&s, WIRE_IKE_AUTH, 1, totals[i], totals[i] == 3 ? WIRE_P_SK : WIRE_P_NONE);
		assert_true(script_take(&s) && s.opened && s.in.auth.data.n);
		assert_int_equal(p.b->n_children, 1);
		script_begin(&s, WIRE_INFORMATIONAL, false);
		send_cut(&s, WIRE_INFORMATIONAL, 2, totals[i], WIRE_P_NONE);
		assert_true(script_take(&s) && s.opened);
		assert_int_equal(s.msg.hdr.msgid, 2);
		script_begin(&s, WIRE_INFORMATIONAL, false);
		wire_put_delete(&s.out, WIRE_PROTO_IKE, 0, bytes_of(NULL, 0));
		send_cut(&s, WIRE_INFORMATIONAL, 3, totals[i], WIRE_P_NONE);
		assert_true(script_take(&s) && s.opened);
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
	(void)state;
}

/* Numbers that cannot be, a total that shrinks, one that grows. */
static void numbers(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	half_open(p, &s, "192.0.2.1");
	send_filler(&s, 1, 0, 2, 10);
	send_filler(&s, 1, 3, 2, 10);
	send_filler(&s, 1, 0, 0, 10);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_number"), 3);
	send_filler(&s, 1, 1, 3, 10);
	send_filler(&s, 1, 1, 3, 20); /* other content: the first counts */
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_repeated"), 1);
	send_filler(&s, 1, 2, 2, 10);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_total"), 1);
	send_filler(&s, 1, 2, 4, 10);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_restarted"), 1);
	send_filler(&s, 1, 2, 3, 10);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_total"), 2);
	send_filler(&s, 2, 1, 2, 10);
	assert_int_equal(node_counter(p->b, "ike.rx.future_request"), 1);
	assert_int_equal(node_counter(p->b, "ike.rx.fragments"), 2);
	assert_null(world_packet(p->w, 0));
	/* The whole message in SK ends that. */
	script_begin_id(&s, WIRE_IKE_AUTH, false, 1);
	s.next_send = 2;
	script_put_auth_request(&s);
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(p->b->n_children, 1);
	send_filler(&s, 1, 3, 4, 10);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_repeated"), 2);
	world_live(p->w, dur_s(60));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_timeout"), 0);
	script_done(&s);
}

/* More fragments, or more in them, than any message has: the caller goes, and what was kept. */
static void S2_too_much_ends_the_sa(void **state)
{
	for (int i = 0; i < 4; i++) {
		bool up = i >= 2;
		struct script s;
		struct pair p;

		pair_init(&p, 44);
		pair_start_b(&p);
		if (up) {
			script_init(&s, p.w, "192.0.2.1", p.b, true);
			s.fragmentation = true;
			script_connect(&s);
		} else {
			half_open(&p, &s, "192.0.2.1");
		}
		if (i % 2)
			send_piece(&s, up ? WIRE_INFORMATIONAL : WIRE_IKE_AUTH, up ? 2 : 1,
				   &(struct wire_fragment){ 1, 65, WIRE_P_IDI, { 0 } });
		else
			for (uint16_t k = 1; k <= (up ? 9 : 5); k++) {
				static const uint8_t filler[8000];

				send_piece(&s, up ? WIRE_INFORMATIONAL : WIRE_IKE_AUTH, up ? 2 : 1,
					   &(struct wire_fragment){ k, 20, WIRE_P_IDI,
								    BYTES_OF(filler) });
			}
		assert_int_equal(node_counter(p.b, "ike.rx.fragment_limit"), 1);
		assert_true(script_take(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_INVALID_SYNTAX));
		says(p.b, IKE_EV_REFUSED, "fragments");
		says(p.b, IKE_EV_REFUSED, up ? "65536 bytes" : "32768 bytes");
		because(p.b, IKE_EV_REFUSED, IKE_R_MALFORMED);
		world_live(p.w, dur_s(60));
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
	(void)state;
}

/* What stays incomplete is forgotten; a caller who proved nothing is not waited for long. */
static void incomplete_is_forgotten(void **state)
{
	struct pair *p = *state;
	struct script s;
	size_t before;

	pair_start_b(p);
	half_open(p, &s, "192.0.2.1");
	before = p->b->mem.live;
	send_filler(&s, 1, 1, 2, 1000);
	assert_true(p->b->mem.live > before);
	world_advance(p->w, dur_s(9));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_timeout"), 0);
	world_advance(p->w, dur_s(1));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_timeout"), 1);
	assert_int_equal(p->b->mem.live, before);
	/* As if there had been none: the whole is taken. */
	script_begin(&s, WIRE_IKE_AUTH, false);
	script_put_auth_request(&s);
	send_cut(&s, WIRE_IKE_AUTH, 1, 5, WIRE_P_NONE);
	assert_int_equal(p->b->n_children, 1);
	/* Now it is known: as long as we would try ourselves, 2 s, 3.6 s, 6.48 s, 11.664 s. */
	send_piece(&s, WIRE_INFORMATIONAL, 2, &(struct wire_fragment){ 1, 2, 0, { 0 } });
	world_advance(p->w, dur_s(23));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_timeout"), 1);
	world_advance(p->w, dur_s(1));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_timeout"), 2);
	assert_int_equal(p->b->n_children, 1);
	script_done(&s);
}

/* Callers with keys hold all they may, and hold on; the bytes of all of them have an end, and an
 * honest caller gets in all the same. */
static void S2_callers_share_a_budget(void **state)
{
	enum { CALLERS = 90, EACH = 31000 };
	static struct script s[CALLERS], honest;
	struct pair *p = *state;
	size_t before;

	p->cb->conf.half_open_cookie = p->cb->conf.half_open_puzzle = p->cb->conf.half_open_max =
		1000;
	pair_start_b(p);
	for (int i = 0; i < CALLERS; i++) {
		char from[32];

		world_advance(p->w, dur_ms(50)); /* no flood that would make them pay */
		snprintf(from, sizeof(from), "198.51.100.%d", i + 1);
		half_open(p, &s[i], from);
	}
	before = p->b->mem.live_bytes;
	for (int i = 0; i < CALLERS; i++)
		for (uint16_t k = 1; k <= 4; k++)
			send_filler(&s[i], 1, k, 5, EACH / 4);
	assert_in_range(p->b->mem.live_bytes - before, 2000000, 2300000);
	assert_in_range(node_counter(p->b, "ike.rx.fragment_evicted"), CALLERS - 68, CALLERS - 60);
	half_open(p, &honest, "192.0.2.1");
	script_begin(&honest, WIRE_IKE_AUTH, false);
	script_put_auth_request(&honest);
	send_cut(&honest, WIRE_IKE_AUTH, 1, 7, WIRE_P_NONE);
	assert_int_equal(p->b->n_children, 1);
	world_advance(p->w, dur_s(10));
	/* What the honest one has is left, and the table of known addresses. */
	assert_true(p->b->mem.live_bytes < before + 200000);
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_timeout") +
				 node_counter(p->b, "ike.rx.fragment_evicted"),
			 CALLERS);
	for (int i = 0; i < CALLERS; i++)
		script_done(&s[i]);
	script_done(&honest);
}

/* A malformed whole is malformed as if it had come in one piece (section 2.21.3 of RFC 7296). */
static void malformed_whole(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	half_open(p, &s, "192.0.2.1");
	send_filler(&s, 1, 1, 2, 100);
	send_filler(&s, 1, 2, 2, 100);
	assert_true(script_take(&s) && s.opened);
	assert_non_null(script_notify(&s, WIRE_N_INVALID_SYNTAX));
	assert_int_equal(node_counter(p->b, "ike.rx.fragment_messages"), 1);
	script_done(&s);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Each allocation of a connection in fragments fails once, at either end: it is up in the end, and
 * nothing is left. */
static void each_allocation_fails(void **state)
{
	for (int at_b = 0; at_b < 2; at_b++)
		for (long n = 0, refused = 1; refused; n++) {
			struct pair p;
			struct node *at;

			pair_init(&p, 45);
			fat_pair(&p, 3);
			p.pa->start = IKE_START_UP;
			pair_start(&p);
			at = at_b ? p.b : p.a;
			at->mem.fail_at = at->mem.calls + n;
			if (world_packets(p.w) > 1)
				world_drop(p.w, world_packet(p.w, 1));
			world_live(p.w, dur_s(100));
			refused = at->mem.refused;
			at->mem.fail_at = -1;
			assert_true(pair_is_up(&p));
			pair_done(&p);
			n += n / 50; /* later ones are more of the same */
		}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(S2_large_messages_go_in_fragments),
		cmocka_unit_test(nobody_is_forced),
		pair_test(blocks_fill_packets),
		cmocka_unit_test(each_is_lost),
		pair_test(each_is_doubled),
		cmocka_unit_test(any_order_will_do),
		cmocka_unit_test(S2_forged_fragments_disturb_nothing),
		pair_test(two_sas_by_turns),
		pair_test(probes_downwards),
		pair_test(narrow_black_hole),
		pair_test(late_ones_are_dropped),
		pair_test(response_follows),
		pair_test(request_in_other_fragments_is_known),
		pair_test(path_mtu_is_learnt),
		pair_test(never_too_many),
		pair_test(rekeys_in_fragments),
		pair_test(paths_are_bounded),
		cmocka_unit_test(S2_any_exchange_in_any_number),
		pair_test(numbers),
		cmocka_unit_test(S2_too_much_ends_the_sa),
		pair_test(incomplete_is_forgotten),
		pair_test(S2_callers_share_a_budget),
		pair_test(malformed_whole),
		cmocka_unit_test(each_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
