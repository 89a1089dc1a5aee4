/* The Vendor ID (RFC 7296 section 3.12; docs/protocol/vendor-id.md): who says it, who is believed,
 * how long it holds, and what follows for messages that could go in fragments (V10). */
#include "exchange/exchange.h"

enum { HASH = 15 };

static bool has_vendor(struct world *w, const struct packet *p, struct bytes id)
{
	const struct wire_payloads *in;
	struct opened o;
	bool found = false;

	assert_true(packet_open(w, p, &o));
	in = opened_payloads(&o);
	for (size_t i = 0; i < in->n_vendors; i++)
		found |= bytes_eq(in->vendors[i], id);
	assert_true(found || in->n_vendors == 0);
	opened_done(&o);
	return found;
}

static void both_know(struct pair *p)
{
	assert_true(node_sa(p->a).info.warren);
	assert_true(node_sa(p->b).info.warren);
}

/*
 *	a                                             b
 *	IKE_SA_INIT 0 {SA, KE, Ni, ..., V}         ->
 *	                                           <- IKE_SA_INIT 0 {SA, KE, Nr, ..., V}
 *	IKE_AUTH and all else without
 */
static void each_tells_the_other(void **state)
{
	struct pair *p = *state;

	pair_start(p);
	connect(p->a);
	assert_true(has_vendor(p->w, world_packet(p->w, 0), test_vendor()));
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	assert_true(has_vendor(p->w, world_packet(p->w, 0), test_vendor()));
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	assert_false(has_vendor(p->w, world_packet(p->w, 0), test_vendor()));
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	assert_false(has_vendor(p->w, world_packet(p->w, 0), test_vendor()));
	deliver(p->w, p->b, WIRE_IKE_AUTH, RESPONSE, 1);
	assert_true(pair_is_up(p));
	both_know(p);
}

/* A cookie is asked for, then another group: the request says it each time, what refuses it never
 * does, since it keeps no state. */
static void said_again_with_every_request(void **state)
{
	struct pair *p = *state;
	unsigned requests = 0, answers = 0;
	struct packet *next;

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp384");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-ecp384");
	p->cb->conf.half_open_cookie = 0;
	pair_start(p);
	connect(p->a);
	while ((next = world_packet(p->w, 0)) && packet_exchange(next) == WIRE_IKE_SA_INIT) {
		bool said = has_vendor(p->w, next, test_vendor());

		if (packet_is_response(next))
			answers += said;
		else
			assert_true(said);
		requests += !packet_is_response(next);
		world_deliver(p->w, next);
	}
	world_run(p->w);
	assert_in_range(requests, 3, 4);
	assert_int_equal(answers, 1);
	assert_true(pair_is_up(p));
	both_know(p);
}

/* What replaces the IKE SA knows it from the one before, whoever asked, also when both did. */
static void kept_when_the_sa_is_replaced(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	for (int who = 1; who <= 3; who++) {
		uint64_t before = node_counter(p->a, "ike.sa.rekeyed");

		if (who & 1)
			assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		if (who & 2)
			assert_int_equal(node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		world_live(p->w, dur_s(70));
		assert_true(node_counter(p->a, "ike.sa.rekeyed") > before);
		assert_true(pair_is_up(p));
		both_know(p);
	}
}

/* ---- values --------------------------------------------------------------------------------- */

struct value {
	const char *what;
	size_t n; /* bytes of the ID */
	size_t at; /* one of them, */
	uint8_t flip; /* these bits of it */
	bool ours;
};

/* Unfamiliar ones are ignored; a later version, and what may stand behind it, is familiar. */
static const struct value values[] = {
	{ "it", 16, 0, 0x00, true },
	{ "more behind it", 40, 0, 0x00, true },
	{ "a later version", 16, HASH, 0x01 ^ 0x07, true },
	{ "the last version", 17, HASH, 0x01 ^ 0xff, true },
	{ "no version", 15, 0, 0x00, false },
	{ "version 0", 16, HASH, 0x01, false },
	{ "another first byte", 16, 0, 0x01, false },
	{ "another last byte", 16, HASH - 1, 0x80, false },
	{ "nothing", 0, 0, 0x00, false },
};

static struct bytes make(const struct value *v, uint8_t buf[64])
{
	memset(buf, 0xee, 64);
	memcpy(buf, test_vendor().p, test_vendor().n);
	buf[v->at] ^= v->flip;
	return bytes_of(buf, v->n);
}

/* From an initiator; the answer says it to who did. */
static void what_an_initiator_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		uint8_t buf[64];
		struct script s;
		struct pair p;

		pair_init(&p, 4);
		test_conf_addresses(p.cb, p.pb, "");
		pair_start_b(&p);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		s.vendor = make(&values[i], buf);
		script_sa_init(&s);
		deliver_any(p.w);
		if (has_vendor(p.w, world_packet(p.w, 0), test_vendor()) != values[i].ours)
			fail_msg("the answer to %s", values[i].what);
		script_done(&s);
		world_drop_all(p.w);
		script_init(&s, p.w, "192.0.2.1", p.b, true);
		s.vendor = make(&values[i], buf);
		script_connect(&s);
		if (node_sa(p.b).info.warren != values[i].ours)
			fail_msg("what is made of %s", values[i].what);
		script_done(&s);
		pair_done(&p);
	}
}

static void what_a_responder_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		uint8_t buf[64];
		struct script s;
		struct pair p;

		pair_init(&p, 4);
		script_called(&p, &s);
		s.vendor = make(&values[i], buf);
		script_answer_init(&s);
		assert_true(script_exchange(&s) && s.opened);
		script_answer_auth(&s);
		deliver_any(p.w);
		if (node_sa(p.a).info.warren != values[i].ours)
			fail_msg("what is made of %s", values[i].what);
		script_done(&s);
		pair_done(&p);
	}
}

/* Others in front of it, as many as a message may have. */
static void append_others(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	size_t at = chain_find(*first, chain, *n, WIRE_P_VENDOR);
	uint8_t ours[16];

	(void)ctx;
	memcpy(ours, chain + at + 4, sizeof(ours));
	chain_remove(first, chain, n, WIRE_P_VENDOR);
	for (uint8_t i = 1; i < WIRE_MAX_VENDORS; i++)
		chain_append(first, chain, n, cap, WIRE_P_VENDOR, false, bytes_of(ours, i % 16));
	chain_append(first, chain, n, cap, WIRE_P_VENDOR, false, BYTES_OF(ours));
}

static void among_others(void **state)
{
	struct pair *p = *state;
	struct packet *other;

	pair_start(p);
	connect(p->a);
	other = packet_rewrite(p->w, world_packet(p->w, 0), append_others, NULL);
	world_drop(p->w, world_packet(p->w, 0));
	world_deliver(p->w, other);
	assert_true(has_vendor(p->w, world_packet(p->w, 0), test_vendor()));
}

/* ---- messages that are not cut -------------------------------------------------------------- */

enum { NAME = 253 };

/* A large INFORMATIONAL request of b, over a path that takes less: its only packet, or the first of
 * several.  The name of the gateway makes it large. */
static struct packet *large_request(struct pair *p, const char *name)
{
	struct ike_cmd cmd = { .kind = IKE_CMD_REDIRECT, .peer = PAIR_PEER, .gateway = name };

	node_report(p->b, &(struct dp_report){
				  .kind = DP_REPORT_PMTU,
				  .u.pmtu = { test_endpoint("192.0.2.1", 4500), 296, true } });
	assert_int_equal(node_cmd(p->b, &cmd), ST_OK);
	assert_non_null(world_packet(p->w, 0));
	assert_int_equal(packet_exchange(world_packet(p->w, 0)), WIRE_INFORMATIONAL);
	return world_packet(p->w, 0);
}

static const char *long_name(char buf[NAME + 1])
{
	memset(buf, 'a', NAME);
	for (size_t i = 63; i < NAME; i += 64)
		buf[i] = '.';
	buf[NAME] = '\0';
	return buf;
}

/*
 *	script                                        b
 *	                                           <- INFORMATIONAL 0 {N(REDIRECT)}, whole
 *	                                           <- the same again, as often as it takes
 */
static void informational_to_a_foreign_peer_is_whole(void **state)
{
	struct pair *p = *state;
	char name[NAME + 1];
	struct script s;

	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.fragmentation = s.redirects = true;
	script_connect(&s);
	large_request(p, long_name(name));
	for (unsigned i = 0; i < p->cb->conf.retransmit_tries; i++) {
		struct packet *next;

		while (!(next = world_packet(p->w, 0)))
			assert_true(world_timer(p->w));

		assert_int_equal(world_packets(p->w), 1);
		assert_in_range(packet_ip_size(next), 297, 1280);
		assert_int_equal(packet_ike(next).p[16], WIRE_P_SK);
		assert_false(next->df);
		world_drop(p->w, next);
	}
	assert_int_equal(node_counter(p->b, "ike.tx.fragments"), 0);
	script_done(&s);
}

static void informational_to_a_warren_is_cut(void **state)
{
	struct pair *p = *state;
	char name[NAME + 1];
	struct packet *first;

	p->pa->follow = true;
	pair_up(p);
	first = large_request(p, long_name(name));
	assert_true(world_packets(p->w) > 1);
	assert_true(packet_ip_size(first) <= 296);
	assert_int_equal(packet_ike(first).p[16], WIRE_P_SKF);
	assert_true(node_counter(p->b, "ike.tx.fragments") > 1);
	world_drop_all(p->w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(each_tells_the_other),
		pair_test(said_again_with_every_request),
		pair_test(kept_when_the_sa_is_replaced),
		cmocka_unit_test(what_an_initiator_says),
		cmocka_unit_test(what_a_responder_says),
		pair_test(among_others),
		pair_test(informational_to_a_foreign_peer_is_whole),
		pair_test(informational_to_a_warren_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
