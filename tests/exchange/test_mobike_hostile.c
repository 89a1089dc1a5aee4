/*
 * MOBIKE (RFC 4555) against peers, and people on the path, who mean no good (S2, R06): addresses
 * that are not the sender's, or nobody's; floods, wrong lengths, replays, cookies that do not fit;
 * who moves without end; who has somebody else bombed.  Counted, told, and the tunnel goes on.
 *
 * `s` is a scripted peer that called b, from 192.0.2.1.
 */
#include "exchange/exchange.h"
#include "ike/limits.h"

#define VICTIM "203.0.113.66"

/* ---- a scripted peer ----------------------------------------------------------------------- */

static void connect_script(struct pair *p, struct script *s, bool mobike)
{
	p->pb->mobike = true;
	pair_start_b(p);
	node_moves(p->b, "192.0.2.2", "2001:db8::2");
	script_init(s, p->w, "192.0.2.1", p->b, true);
	s->mobike = mobike;
	script_connect(s);
	assert_int_equal(node_sa(p->b).info.mobike, mobike);
}

static void put(struct script *s, uint16_t type, const void *data, size_t n)
{
	wire_put_notify(&s->out, 0, bytes_of(NULL, 0), type, bytes_of(data, n));
}

/* An update from wherever `s` is now; its answer. */
static void update(struct script *s)
{
	script_begin(s, WIRE_INFORMATIONAL, false);
	put(s, WIRE_N_UPDATE_SA_ADDRESSES, NULL, 0);
	script_send(s);
}

static void is_at(const struct pair *p, const char *ip)
{
	struct node_sa sa = node_sa(p->b);
	struct ip want = test_ip(ip);

	assert_true(ip_eq(&sa.info.remote.ip, &want));
}

static void sends_to(const struct pair *p, const char *ip)
{
	struct ip want = test_ip(ip);

	assert_true(ip_eq(&node_child(p->b)->remote.ip, &want));
}

static void moves(struct script *s, const char *ip)
{
	s->self = test_endpoint(ip, s->self.port);
}

/* Without MOBIKE these notifies are unknown ones. */
static void unasked(void **state)
{
	struct pair *p = *state;
	struct script s;

	connect_script(p, &s, false);
	moves(&s, "198.51.100.7");
	update(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(s.in.n_notifies, 0);
	assert_int_equal(node_counter(p->b, "ike.move.unasked"), 1);
	is_at(p, "192.0.2.1");
	sends_to(p, "192.0.2.1");
	script_done(&s);
}

/* Addresses count where the datagram came from, and are hints anywhere else. */
static void other_peoples_addresses(void **state)
{
	struct pair *p = *state;
	struct ip victim = test_ip(VICTIM);
	struct script s;

	connect_script(p, &s, true);
	moves(&s, "198.51.100.7");
	script_begin(&s, WIRE_INFORMATIONAL, false);
	put(&s, WIRE_N_UPDATE_SA_ADDRESSES, victim.b, 4);
	put(&s, WIRE_N_ADDITIONAL_IP4_ADDRESS, victim.b, 4);
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(s.in.n_notifies, 0);
	/* <- b: {N(COOKIE2)}, there and nowhere else */
	is_at(p, "198.51.100.7");
	sends_to(p, "192.0.2.1");
	assert_true(script_exchange(&s) && script_notify(&s, WIRE_N_COOKIE2));
	world_live(p->w, dur_s(120));
	for (struct packet *q; (q = world_packet(p->w, 0)); world_drop(p->w, q))
		assert_false(ip_eq(&q->dst.ip, &victim));
	script_done(&s);
}

/* No other host is there. */
static void nobodys_addresses(void **state)
{
	static const char *const ips[] = {
		"0.0.0.0",   "0.1.2.3",         "127.0.0.1",        "224.0.0.1",
		"239.1.2.3", "255.255.255.255", "192.0.2.2",        "::",
		"::1",       "ff02::1",         "::ffff:192.0.2.9", "2001:db8::2",
	};
	struct pair *p = *state;
	struct world *w = p->w;
	struct script s;

	connect_script(p, &s, true);
	for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
		s.self = test_endpoint(ips[i], 500);
		s.other = test_endpoint(s.self.ip.family == 4 ? "192.0.2.2" : "2001:db8::2", 500);
		update(&s);
		deliver_any(w);
		next_notifies(w, WIRE_N_UNACCEPTABLE_ADDRESSES);
		world_drop_all(w);
		assert_int_equal(node_counter(p->b, "ike.move.unacceptable"), i + 1);
		says(p->b, IKE_EV_REFUSED, "it cannot be there");
		because(p->b, IKE_EV_REFUSED, IKE_R_PATH);
		is_at(p, "192.0.2.1");
		sends_to(p, "192.0.2.1");
	}
	/* Whoever sends from port 0 wants no answer. */
	s.self = test_endpoint("192.0.2.1", 0);
	update(&s);
	deliver_any(w);
	assert_null(world_packet(w, 0));
	assert_int_equal(node_counter(p->b, "ike.rx.no_port"), 1);
	script_done(&s);
}

/* So many are kept, the rest is counted. */
static void flood_of_addresses(void **state)
{
	struct pair *p = *state;
	size_t bytes;
	struct script s;

	connect_script(p, &s, true);
	bytes = p->b->mem.live_bytes;
	for (unsigned round = 0; round < 50; round++) {
		script_begin(&s, WIRE_INFORMATIONAL, false);
		for (unsigned i = 0; i < WIRE_MAX_NOTIFIES; i++) {
			uint8_t ip[4] = { 198, 51, (uint8_t)round, (uint8_t)i };

			put(&s, WIRE_N_ADDITIONAL_IP4_ADDRESS, ip, 4);
		}
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(s.in.n_notifies, 0);
	}
	assert_int_equal(node_counter(p->b, "ike.move.addresses"),
			 50 * (WIRE_MAX_NOTIFIES + 1 - IKE_MAX_PEER_ADDRESSES));
	assert_true(p->b->mem.live_bytes < bytes + 1024);
	is_at(p, "192.0.2.1");
	script_done(&s);
}

/* What has a wrong length is not there. */
static void wrong_lengths(void **state)
{
	static const uint8_t data[80] = { 198, 51, 100 };
	static const struct {
		uint16_t type;
		size_t n;
	} rows[] = {
		{ WIRE_N_ADDITIONAL_IP4_ADDRESS, 0 },
		{ WIRE_N_ADDITIONAL_IP4_ADDRESS, 3 },
		{ WIRE_N_ADDITIONAL_IP4_ADDRESS, 5 },
		{ WIRE_N_ADDITIONAL_IP4_ADDRESS, 16 },
		{ WIRE_N_ADDITIONAL_IP6_ADDRESS, 4 },
		{ WIRE_N_ADDITIONAL_IP6_ADDRESS, 15 },
		{ WIRE_N_ADDITIONAL_IP6_ADDRESS, 17 },
		{ WIRE_N_COOKIE2, 0 },
		{ WIRE_N_COOKIE2, 7 },
		{ WIRE_N_COOKIE2, 65 },
	};
	struct pair *p = *state;
	struct script s;

	connect_script(p, &s, true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		script_begin(&s, WIRE_INFORMATIONAL, false);
		put(&s, rows[i].type, data, rows[i].n);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_int_equal(s.in.n_notifies, 0);
		assert_int_equal(node_counter(p->b, "ike.move.malformed"), i + 1);
	}
	/* The shortest and the longest that there may be come back as they are. */
	for (size_t n = 8; n <= 64; n += 56) {
		script_begin(&s, WIRE_INFORMATIONAL, false);
		put(&s, WIRE_N_COOKIE2, data, n);
		script_send(&s);
		assert_true(script_exchange(&s) && script_notify(&s, WIRE_N_COOKIE2));
		assert_true(bytes_eq(script_notify(&s, WIRE_N_COOKIE2)->data, bytes_of(data, n)));
	}
	script_done(&s);
}

/* NO_NATS_ALLOWED (section 3.9): anything but the addresses of that very datagram. */
static void translated(void **state)
{
	static const uint8_t right[12] = { 192, 0, 2, 1, 192, 0, 2, 2, 0x01, 0xf4, 0x01, 0xf4 };
	static const size_t lengths[] = { 0, 1, 11, 13, 36 };
	struct pair *p = *state;
	uint8_t data[36] = { 0 };
	unsigned n = 0;
	struct script s;

	connect_script(p, &s, true);
	for (size_t i = 0; i < sizeof(right) + ARRAY_LEN(lengths); i++) {
		size_t len = i < sizeof(right) ? sizeof(right) : lengths[i - sizeof(right)];

		memcpy(data, right, sizeof(right));
		if (i < sizeof(right))
			data[i] ^= 1;
		script_begin(&s, WIRE_INFORMATIONAL, false);
		put(&s, WIRE_N_UPDATE_SA_ADDRESSES, NULL, 0);
		put(&s, WIRE_N_NO_NATS_ALLOWED, data, len);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_UNEXPECTED_NAT_DETECTED));
		assert_int_equal(node_counter(p->b, "ike.move.translated"), ++n);
		is_at(p, "192.0.2.1");
	}
	script_begin(&s, WIRE_INFORMATIONAL, false);
	put(&s, WIRE_N_UPDATE_SA_ADDRESSES, NULL, 0);
	put(&s, WIRE_N_NO_NATS_ALLOWED, right, sizeof(right));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(s.in.n_notifies, 0);
	script_done(&s);
}

/* A copy of an update, from anywhere, is an update that was carried out. */
static void replayed(void **state)
{
	struct pair *p = *state;
	struct packet *copy;
	struct script s;

	p->pb->return_routability = IKE_ROUTABILITY_NO;
	connect_script(p, &s, true);
	moves(&s, "198.51.100.7");
	script_begin(&s, WIRE_INFORMATIONAL, false);
	put(&s, WIRE_N_UPDATE_SA_ADDRESSES, NULL, 0);
	copy = packet_keep(script_send(&s));
	assert_true(script_exchange(&s));
	sends_to(p, "198.51.100.7");
	copy->src = test_endpoint(VICTIM, 500);
	for (unsigned i = 0; i < 100; i++)
		world_hand_over(p->w, copy);
	is_at(p, "198.51.100.7");
	sends_to(p, "198.51.100.7");
	/* What comes of it there is the answer, a few times. */
	assert_int_equal(world_packets(p->w), IKE_REPEATS_PER_S);
	world_drop_all(p->w);
	/* Once something newer came it is old. */
	update(&s);
	assert_true(script_exchange(&s));
	world_hand_over(p->w, copy);
	assert_null(world_packet(p->w, 0));
	packet_free(copy);
	script_done(&s);
}

/* Section 3.7: another cookie, or none, and the SA ends. */
static void cookie_does_not_fit(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		struct script s;
		struct pair p;
		uint8_t cookie[64];
		size_t n;

		pair_init(&p, 1);
		connect_script(&p, &s, true);
		moves(&s, "198.51.100.7");
		update(&s);
		assert_true(script_exchange(&s));
		assert_true(script_exchange(&s) && script_notify(&s, WIRE_N_COOKIE2));
		n = script_notify(&s, WIRE_N_COOKIE2)->data.n;
		memcpy(cookie, script_notify(&s, WIRE_N_COOKIE2)->data.p, n);
		script_begin(&s, WIRE_INFORMATIONAL, true);
		cookie[n - 1] ^= how == 0;
		if (how < 2)
			put(&s, WIRE_N_COOKIE2, cookie, n - (how == 1));
		script_send(&s);
		world_deliver(p.w, world_packet_to(p.w, p.b));
		assert_int_equal(node_counter(p.b, "ike.move.cookie2"), 1);
		because(p.b, IKE_EV_REFUSED, IKE_R_PATH);
		assert_int_equal(p.b->n_children, 0);
		/* {D} */
		assert_true(script_take(&s) && s.in.n_deletes == 1);
		script_done(&s);
		pair_done(&p);
	}
}

/* Who goes to and fro without end is told that it is enough, once for the operator, and may go on
 * after a while. */
static void flapping(void **state)
{
	struct pair *p = *state;
	unsigned refused = 0;
	struct script s;

	p->pb->return_routability = IKE_ROUTABILITY_NO;
	connect_script(p, &s, true);
	for (unsigned i = 0; i < 100; i++) {
		moves(&s, i % 2 ? "192.0.2.1" : "198.51.100.7");
		update(&s);
		assert_true(script_exchange(&s) && s.opened);
		refused += script_notify(&s, WIRE_N_UNACCEPTABLE_ADDRESSES) != NULL;
	}
	/* Every other one says that it is where it is. */
	assert_int_equal(refused, (100 - IKE_MOVES_BURST) / 2);
	assert_int_equal(node_counter(p->b, "ike.move.limited"), refused);
	assert_int_equal(node_events(p->b, IKE_EV_REFUSED), 1);
	assert_int_equal(node_events(p->b, IKE_EV_MOVED), IKE_MOVES_BURST);
	says(p->b, IKE_EV_REFUSED, "it moves too often");
	world_advance(p->w, dur_s(IKE_MOVE_S));
	moves(&s, "198.51.100.9");
	update(&s);
	assert_true(script_exchange(&s) && !script_notify(&s, WIRE_N_UNACCEPTABLE_ADDRESSES));
	sends_to(p, "198.51.100.9");
	script_done(&s);
}

/* ---- somebody on the path ------------------------------------------------------------------ */

static void two_ends(struct pair *p, enum ike_routability rr)
{
	p->pa->mobike = p->pb->mobike = true;
	p->pa->return_routability = p->pb->return_routability = rr;
	p->ca->conf.force_encap = p->cb->conf.force_encap = true;
	pair_start(p);
	node_moves(p->a, "192.0.2.1", NULL);
	node_moves(p->b, "192.0.2.2", NULL);
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* Counts and drops what goes to the victim. */
static unsigned bombs(struct pair *p)
{
	struct ip victim = test_ip(VICTIM);
	unsigned n = 0;

	for (size_t i = 0; i < world_packets(p->w);) {
		struct packet *q = world_packet(p->w, i);

		if (ip_eq(&q->dst.ip, &victim)) {
			world_drop(p->w, q);
			n++;
		} else {
			i++;
		}
	}
	return n;
}

/* Time passes, and nothing is delivered to the victim. */
static unsigned live_with_victim(struct pair *p, int64_t seconds)
{
	unsigned n = bombs(p);

	for (int64_t i = 0; i < seconds * 10; i++) {
		world_live(p->w, dur_ms(100));
		n += bombs(p);
	}
	return n;
}

/* The source of one update is changed: the answer and some questions go to the victim, and what
 * goes through the tunnel does not, or for no longer than the questions do; then a is found again.
 */
static void rewritten_source(void **state)
{
	(void)state;
	for (enum ike_routability rr = IKE_ROUTABILITY_BEFORE; rr <= IKE_ROUTABILITY_AFTER; rr++) {
		struct packet *q;
		struct pair p;

		pair_init(&p, 1);
		p.pa->dpd_delay = p.pb->dpd_delay = dur_s(30);
		two_ends(&p, rr);
		node_moves(p.a, "198.51.100.7", NULL);
		q = world_packet(p.w, 0);
		q->src.ip = test_ip(VICTIM);
		world_deliver(p.w, q);
		/* The answer and the first question. */
		assert_int_equal(bombs(&p), 2);
		node_packet(p.b, "10.2.0.1", "10.1.0.1");
		assert_int_equal(bombs(&p), rr == IKE_ROUTABILITY_AFTER);
		assert_true(live_with_victim(&p, 15) <= IKE_CHECK_TRIES);
		assert_int_equal(node_counter(p.b, "ike.move.not_there"), 1);
		says(p.b, IKE_EV_REFUSED, "where nobody answers");
		node_packet(p.b, "10.2.0.1", "10.1.0.1");
		assert_int_equal(live_with_victim(&p, 120), 0);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* With nat = no b sees at once that it was changed, and a tries again. */
static void rewritten_where_forbidden(void **state)
{
	struct pair *p = *state;
	struct packet *q;

	p->pa->nats_allowed = p->pb->nats_allowed = false;
	two_ends(p, IKE_ROUTABILITY_BEFORE);
	node_moves(p->a, "198.51.100.7", NULL);
	next_notifies(p->w, WIRE_N_NO_NATS_ALLOWED);
	q = world_packet(p->w, 0);
	q->src.ip = test_ip(VICTIM);
	world_deliver(p->w, q);
	assert_int_equal(node_counter(p->b, "ike.move.translated"), 1);
	says(p->b, IKE_EV_REFUSED, "changed on the way");
	sends_to(p, "192.0.2.1");
	is_at(p, "192.0.2.1");
	/* The answer, to where it came from.  a asks again, with the same bytes, and hears it. */
	assert_int_equal(bombs(p), 1);
	world_live(p->w, dur_s(3));
	assert_int_equal(node_counter(p->a, "ike.move.by_peer_refused"), 1);
	says(p->a, IKE_EV_REFUSED, "UNEXPECTED_NAT_DETECTED");
	world_live(p->w, dur_s(10));
	is_at(p, "198.51.100.7");
	assert_true(pair_is_up(p));
}

/* IKE_AUTH as well, with nat = no at either end. */
static void translated_at_first(void **state)
{
	(void)state;
	for (unsigned end = 0; end < 2; end++) {
		struct pair p;

		pair_init(&p, 1);
		p.pa->mobike = p.pb->mobike = true;
		*(end ? &p.pb->nats_allowed : &p.pa->nats_allowed) = false;
		test_conf_addresses(p.cb, p.pb, "");
		world_nat(p.w, "192.0.2.1", "203.0.113.1", 40000);
		pair_start(&p);
		connect(p.a);
		world_live(p.w, dur_s(60));
		assert_true(node_events(p.b, IKE_EV_SA_UP) == 0);
		if (end) {
			says(p.b, IKE_EV_REFUSED, "nat = no here");
			says(p.a, IKE_EV_REFUSED, "UNEXPECTED_NAT_DETECTED");
			because(p.b, IKE_EV_REFUSED, IKE_R_PATH);
		} else {
			says(p.b, IKE_EV_REFUSED, "NO_NATS_ALLOWED");
		}
		assert_true(node_counter(p.b, "ike.move.translated") > 0);
		pair_done(&p);
	}
}

/* A pair of addresses that nobody tried is no way, whoever's answer comes along it. */
static void answer_from_nowhere(void **state)
{
	struct pair *p = *state;
	struct dp_report silent = { .kind = DP_REPORT_SILENT };
	struct packet *q;

	two_ends(p, IKE_ROUTABILITY_NO);
	silent.u.silent.id = node_child(p->a)->id;
	node_report(p->a, &silent);
	world_drop_all(p->w);
	while (!node_events(p->a, IKE_EV_SUSPECT))
		world_timer(p->w);
	world_deliver(p->w, world_packet(p->w, 0));
	q = world_packet(p->w, 0);
	q->src.ip = test_ip(VICTIM);
	world_deliver(p->w, q);
	assert_int_equal(node_events(p->a, IKE_EV_MOVED), 0);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* ESP that somebody sends on from elsewhere: b asks there, and the rest goes on. */
static void esp_from_elsewhere(void **state)
{
	struct pair *p = *state;
	struct dp_report r = { .kind = DP_REPORT_NEW_ADDRESS };

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	two_ends(p, IKE_ROUTABILITY_BEFORE);
	r.u.new_address.id = node_child(p->b)->id;
	r.u.new_address.local = test_endpoint("192.0.2.2", 4500);
	for (unsigned i = 0; i < 100; i++) {
		r.u.new_address.remote = test_endpoint(VICTIM, (uint16_t)(4500 + i));
		node_report(p->b, &r);
	}
	assert_true(bombs(p) <= IKE_MOVES_BURST);
	sends_to(p, "203.0.113.1");
	assert_true(node_counter(p->b, "ike.move.limited") >= 100 - IKE_MOVES_BURST);
	assert_true(live_with_victim(p, 60) <= IKE_MOVES_BURST * IKE_CHECK_TRIES);
	is_at(p, "203.0.113.1");
	assert_true(pair_is_up(p));
}

/* ---- we called, and the other end misbehaves ----------------------------------------------- */

static void called(struct pair *p, struct script *s, bool natt)
{
	p->pa->mobike = true;
	script_called(p, s);
	s->mobike = true;
	s->nat_detection = natt;
	script_answer_init(s);
	assert_true(script_exchange(s) && s->opened);
	script_answer_auth(s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	assert_true(node_sa(p->a).info.mobike && node_sa(p->a).info.decides);
	node_moves(p->a, "192.0.2.1", NULL);
	while (script_exchange(s)) {
		script_begin(s, WIRE_INFORMATIONAL, true);
		script_send(s);
	}
}

/* Who was called does not decide. */
static void update_of_who_was_called(void **state)
{
	struct pair *p = *state;
	struct script s;

	called(p, &s, true);
	moves(&s, "198.51.100.7");
	update(&s);
	assert_true(script_exchange(&s) && script_notify(&s, WIRE_N_UNACCEPTABLE_ADDRESSES));
	says(p->a, IKE_EV_REFUSED, "we decide where it goes");
	assert_int_equal(node_events(p->a, IKE_EV_MOVED), 0);
	script_done(&s);
}

/* Without NAT traversal at one end there may be no NAT, whatever is configured (section 3.9). */
static void no_nat_traversal(void **state)
{
	struct pair *p = *state;
	struct script s;

	called(p, &s, false);
	assert_null(world_packet(p->w, 0));
	node_moves(p->a, "198.51.100.7", NULL);
	assert_true(script_take(&s) && script_notify(&s, WIRE_N_UPDATE_SA_ADDRESSES));
	assert_non_null(script_notify(&s, WIRE_N_NO_NATS_ALLOWED));
	assert_int_equal(script_notify(&s, WIRE_N_NO_NATS_ALLOWED)->data.n, 12);
	assert_null(script_notify(&s, WIRE_N_NAT_DETECTION_SOURCE_IP));
	script_done(&s);
}

/* Every move is refused: a few more times, with pauses; then another SA has to do, and this one
 * stays until there is one. */
static void never_acceptable(void **state)
{
	struct pair *p = *state;
	unsigned asked = 0;
	struct script s;

	called(p, &s, true);
	node_moves(p->a, "198.51.100.7", NULL);
	for (unsigned i = 0; i < 600 && !node_events(p->a, IKE_EV_DEAD); i++) {
		while (script_exchange(&s))
			if (s.opened && script_notify(&s, WIRE_N_UPDATE_SA_ADDRESSES)) {
				asked++;
				s.other = s.packet->src;
				script_begin(&s, WIRE_INFORMATIONAL, true);
				put(&s, WIRE_N_UNACCEPTABLE_ADDRESSES, NULL, 0);
				script_send(&s);
			}
		world_advance(p->w, dur_ms(500));
	}
	assert_int_equal(asked, IKE_UPDATE_TRIES);
	assert_int_equal(node_counter(p->a, "ike.move.by_peer_refused"), IKE_UPDATE_TRIES);
	says(p->a, IKE_EV_CONNECTING, "connecting to 192.0.2.2");
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
	script_done(&s);
}

/* What it says that its addresses are is tried when it is silent, and nothing that nobody has. */
static void tries_are_bounded(void **state)
{
	struct pair *p = *state;
	struct dp_report silent = { .kind = DP_REPORT_SILENT };
	struct script s;

	called(p, &s, true);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	for (unsigned i = 0; i < WIRE_MAX_NOTIFIES - 1; i++) {
		uint8_t ip[4] = { 203, 0, 113, (uint8_t)i };

		put(&s, WIRE_N_ADDITIONAL_IP4_ADDRESS, ip, 4);
	}
	put(&s, WIRE_N_ADDITIONAL_IP4_ADDRESS, (uint8_t[4]){ 224, 0, 0, 1 }, 4);
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	silent.u.silent.id = node_child(p->a)->id;
	node_report(p->a, &silent);
	world_drop_all(p->w);
	while (!node_events(p->a, IKE_EV_SUSPECT))
		world_timer(p->w);
	assert_int_equal(node_counter(p->a, "ike.move.tried"), IKE_TRY_PAIRS);
	/* Then it goes out as often as any other request, and a few times in a hurry, with so many
	 * copies each. */
	while (!node_events(p->a, IKE_EV_DEAD)) {
		world_drop_all(p->w);
		world_timer(p->w);
	}
	assert_true(node_counter(p->a, "ike.move.tried") <=
		    (p->ca->conf.retransmit_tries + IKE_QUICK_TRIES + 2) * IKE_TRY_PAIRS);
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(unasked),
		pair_test(other_peoples_addresses),
		pair_test(nobodys_addresses),
		pair_test(flood_of_addresses),
		pair_test(wrong_lengths),
		pair_test(translated),
		pair_test(replayed),
		cmocka_unit_test(cookie_does_not_fit),
		pair_test(flapping),
		cmocka_unit_test(rewritten_source),
		pair_test(rewritten_where_forbidden),
		cmocka_unit_test(translated_at_first),
		pair_test(answer_from_nowhere),
		pair_test(esp_from_elsewhere),
		pair_test(update_of_who_was_called),
		pair_test(no_nat_traversal),
		pair_test(never_acceptable),
		pair_test(tries_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
