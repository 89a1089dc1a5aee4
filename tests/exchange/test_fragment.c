/*
 * Fragments (RFC 7383): negotiation, cutting, putting together, path MTU, and what hostile ones may
 * not do.  Messages are as large as in the field: IKE_AUTH with eight certificates of RSA-4096 keys.
 */
#include "exchange/exchange.h"

enum {
	CERT = 1900, /* bytes of a certificate with an RSA-4096 key and signature */
	IP4 = 28, /* IP and UDP */
	IP6 = 48,
};

/* ---- helpers ------------------------------------------------------------------------------- */

/* `n` certificates in all; the engine carries those behind the first without reading them. */
static void fat(struct test_conf *c, struct ike_peer_conf *p, size_t n)
{
	uint8_t buf[CERT];

	for (size_t i = p->n_certs; i < n; i++) {
		for (size_t k = 0; k < sizeof(buf); k++)
			buf[k] = (uint8_t)(k * 7 + i);
		p->certs[i] = test_conf_dup(c, BYTES_OF(buf));
	}
	p->n_certs = n;
}

/* Both ends have so many certificates. */
static void fat_pair(struct pair *p, size_t n)
{
	pair_certs(p);
	fat(p->ca, p->pa, n);
	fat(p->cb, p->pb, n);
}

static size_t ip_size(const struct packet *p)
{
	return p->n + (p->dst.ip.family == 4 ? IP4 : IP6);
}

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
		_assert_true(ip_size(p) <= max, "small enough", file, line);
		_assert_true(i + 1 == total || ip_size(p) + 16 > max, "not too small", file, line);
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
	assert_in_range(n, 7 * CERT / 1280 + 1, 12);
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
		assert_true(ip_size(world_packet(p.w, 0)) > 7 * CERT);
		deliver(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
		assert_true(ip_size(world_packet(p.w, 0)) > 7 * CERT);
		deliver(p.w, p.b, WIRE_IKE_AUTH, RESPONSE, 1);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(S2_large_messages_go_in_fragments),
		cmocka_unit_test(nobody_is_forced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
