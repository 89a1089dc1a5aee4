/*
 * Too much of everything, partners that fall silent, and sites of a star that will not have it
 * (S2, R05, T1).  Whatever they do, packets go by the hub.
 */
#include "exchange/shortcut.h"

/* ---- floods ---------------------------------------------------------------------------------- */

static void suggest_somebody(struct play *p, unsigned i)
{
	struct wire_mesh m = play_suggestion(p, 7, 1, 2);
	char name[32];

	snprintf(name, sizeof(name), "x%05u.example", i);
	m.partner = play_ident(name);
	m.ts_remote[0] = play_other_prefix(p, i);
	store_be32(m.id, i + 1);
	play_say(p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	for (bool any = true; any;) {
		any = false;
		for (size_t k = 0; k < world_packets(p->w) && !any; k++) {
			struct packet *q = world_packet(p->w, k);

			any = !is_probe(q);
			if (any)
				world_deliver(p->w, q);
		}
	}
	world_drop_all(p->w);
}

/* What is taken, asked and remembered is bounded, and what the hub forwards is not disturbed (S2).
 */
static void flood_of_suggestions(void **state)
{
	size_t after[3];
	struct play p;

	(void)state;
	play_init(&p, 70);
	p.site[1].net->max = 8;
	play_start(&p);
	for (unsigned k = 0; k < ARRAY_LEN(after); k++) {
		for (unsigned i = 0; i < 500; i++) {
			suggest_somebody(&p, 500 * k + i);
			if (i % 50 == 0)
				play_reaches(&p);
			assert_in_range(ike_totals(p.one->ike).peers, 1, 1 + 8);
			node_forget_events(p.one);
			node_forget_events(p.hub);
			world_advance(p.w, dur_ms(5));
		}
		world_live(p.w, dur_s(15));
		node_forget_events(p.one);
		assert_int_equal(ike_totals(p.one->ike).peers, 1);
		after[k] = p.one->mem.live_bytes;
	}
	assert_in_range(after[2], 1, after[1] + 4096);
	assert_int_equal(node_counter(p.one, "mesh.taken"), 3 * 8);
	assert_true(node_counter(p.one, "mesh.rx.flood") > 0);
	assert_int_equal(node_counter(p.one, "mesh.taken") +
				 node_counter(p.one, "mesh.refused.limit"),
			 1500);
	assert_in_range(node_counter(p.one, "mesh.tx.probes"), 1, 3 * 8 * MESH_PROBE_TRIES);
	/* Then, as ever. */
	play_both_up(&p, 9);
	play_done(&p);
}

/* Questions about what is over are those of a stranger. */
static void probes_at_what_is_over(void **state)
{
	struct packet *q = NULL;
	size_t live;
	struct play p;

	(void)state;
	play_up(&p, 71);
	play_suggest_both(&p, 7);
	for (unsigned i = 0; !q && i < 100; i++) {
		struct packet *first = world_packet(p.w, 0);

		if (is_probe(first))
			q = packet_keep(first);
		else
			world_deliver(p.w, first);
	}
	assert_non_null(q);
	world_drop_all(p.w);
	for (unsigned ms = 0; ms < 12000; ms += 5) {
		for (struct packet *sent; (sent = world_packet(p.w, 0));)
			if (is_probe(sent))
				world_drop(p.w, sent);
			else
				world_deliver(p.w, sent);
		world_advance(p.w, dur_ms(5));
	}
	assert_string_equal(play_state(p.two), "failed");
	live = p.two->mem.live;
	for (unsigned i = 0; i < 10000; i++)
		world_hand_over(p.w, q);
	assert_null(world_packet(p.w, 0));
	assert_int_equal(p.two->mem.live, live);
	assert_int_equal(node_counter(p.two, "mesh.rx.probe_unknown"), 10000);
	play_reaches(&p);
	packet_free(q);
	play_done(&p);
}

/* ---- partners that fall silent --------------------------------------------------------------- */

static bool is_direct(const struct packet *p)
{
	return p->src.ip.b[3] > 10 && p->dst.ip.b[3] > 10;
}

static bool any_up(struct node *one, struct node *two)
{
	return strcmp(node_shortcut_state(one, TWO), "up") == 0 ||
	       strcmp(node_shortcut_state(two, ONE), "up") == 0;
}

/* 5 ms; those between the two are dropped from a number on. */
static void step(struct world *w, unsigned *direct, unsigned after)
{
	for (struct packet *q; (q = world_packet(w, 0));)
		if (is_direct(q) && (*direct)++ >= after)
			world_drop(w, q);
		else
			world_deliver(w, q);
	world_advance(w, dur_ms(5));
}

/* After so many datagrams between the two there are no more; true: both were up by then. */
static bool silent_after(unsigned after)
{
	unsigned direct = 0, ms = 0;
	struct node *one, *two;
	struct node_pair pair;
	struct star s;
	bool up;

	star_init(&s, 80);
	star_mesh(&s, MESH_DYNAMIC);
	star_hub(&s);
	one = star_join(&s, 1);
	two = star_join(&s, 2);
	assert_true(star_ping(&s, one, 1, two, 2));
	for (; ms < 1000 * (MESH_SETUP_S + 2) && !star_is_direct(&s, one, 1, two, 2); ms += 5) {
		if (ms % 500 == 0 && !any_up(one, two))
			assert_true(star_ping(&s, one, 1, two, 2) && star_ping(&s, two, 2, one, 1));
		step(s.w, &direct, after);
	}
	up = star_is_direct(&s, one, 1, two, 2);
	/* The last message is lost: one of both finds out by asking whether the other is there. */
	for (; !up && any_up(one, two) && ms < 300000; ms += 5)
		step(s.w, &direct, after);
	if (!up) {
		assert_false(any_up(one, two));
		assert_true(node_pair(s.hub, ONE, TWO, &pair));
		assert_true(pair.info.reason != 0);
		assert_true(star_ping(&s, one, 1, two, 2) && star_ping(&s, two, 2, one, 1));
	}
	star_done(&s);
	return up;
}

/* At any point it is given up within the time of an attempt, and no packet was risked. */
static void silent_at_any_point(void **state)
{
	unsigned after = 0;

	(void)state;
	while (!silent_after(after))
		assert_in_range(after++, 0, 100);
	assert_true(after > 8);
}

/* ---- a star (T1) ----------------------------------------------------------------------------- */

struct bent_star {
	struct star s;
	struct node *one, *two; /* one is bent: it says what it likes */
};

static void bent_begin(struct bent_star *b, uint64_t seed, enum mesh_topology topology)
{
	struct mesh_network *net;
	struct star_site site;

	star_init(&b->s, seed);
	star_mesh(&b->s, topology);
	star_hub(&b->s);
	net = b->s.net;
	b->s.net = NULL;
	site = star_site(&b->s, 1, NULL, NULL);
	site.p->capabilities = IKE_CAN_PARTNER;
	b->s.net = net;
	b->one = star_start(&b->s, &site);
	b->two = star_join(&b->s, 2);
	world_run(b->s.w);
	assert_true(star_is_up(&b->s, b->one, 1));
}

/* What comes back; zeros: nothing. */
static uint16_t bent_says(struct bent_star *b, uint16_t kind, const struct wire_mesh *m)
{
	static uint8_t buf[WIRE_MESH_MAX];
	struct wr w = wr_of(buf, sizeof(buf));
	uint64_t id;

	wire_mesh_put(&w, m);
	assert_int_equal(node_ask(b->one, STAR_PEER, kind, wr_bytes_of(&w), &id), ST_OK);
	world_run(b->s.w);
	return node_answered(b->one)->notify;
}

static struct wire_mesh report_of(uint8_t id, unsigned partner, enum wire_mesh_outcome outcome)
{
	struct wire_mesh m = { .partner = play_ident(play_name(partner)),
			       .context = bytes_str("corp"),
			       .outcome = (uint8_t)outcome };

	memset(m.id, id, sizeof(m.id));
	m.present = WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT) | WIRE_MESH_BIT(OUTCOME);
	return m;
}

/* Whatever a site does, the other one is silent, and the hub suggests nothing; both say so. */
static void forced_in_a_star(void **state)
{
	struct endpoint from = test_endpoint("192.0.2.11", 4500);
	struct endpoint to = test_endpoint("192.0.2.12", 4500);
	struct ike_partner w = { .network = STAR_PEER, .id = { 7 } };
	struct wire_mesh m;
	struct node_pair pair;
	struct bent_star b;
	size_t live;
	ike_peer_id at;

	(void)state;
	bent_begin(&b, 90, MESH_STAR);
	live = b.two->mem.live;
	w.local_id = test_conf_ident(b.one->conf, ONE);
	w.remote_id = test_conf_ident(b.one->conf, TWO);
	w.ts_local = test_conf_ts(b.one->conf, "10.1.0.0/16");
	w.ts_remote = test_conf_ts(b.one->conf, "10.2.0.0/16");
	assert_int_equal(node_partner_add(b.one, &w, &at), ST_OK);
	assert_int_equal(node_partner_connect(b.one, at, &from, &to), ST_OK);
	world_live(b.s.w, dur_s(6));
	assert_int_equal(node_events(b.one, IKE_EV_PARTNER_OVER), 1);
	because(b.one, IKE_EV_PARTNER_OVER, IKE_R_NO_ANSWER);
	node_partner_drop(b.one, at, "it does not answer");
	assert_true(node_counter(b.two, "ike.rx.silent") > 0);
	assert_int_equal(ike_totals(b.two->ike).half_open, 0);
	assert_int_equal(b.two->mem.live, live);
	/* At the hub: traffic, an invention, and a suggestion of its own. */
	for (int i = 0; i < 5; i++) {
		assert_true(star_ping(&b.s, b.one, 1, b.two, 2));
		world_live(b.s.w, dur_s(1));
	}
	assert_int_equal(node_counter(b.s.hub, "mesh.suggested"), 0);
	assert_string_equal(node_pair_state(b.s.hub, ONE, TWO), "not allowed");
	m = report_of(7, 2, WIRE_MO_UP);
	assert_int_equal(bent_says(&b, WIRE_N_SHORTCUT_REPORT, &m), WIRE_N_SHORTCUT_ACCEPT);
	world_run(b.s.w);
	assert_true(node_pair(b.s.hub, ONE, TWO, &pair));
	assert_string_equal(pair.info.state, "not allowed");
	assert_int_equal(pair.info.reason, WIRE_MR_POLICY);
	assert_non_null(strstr(pair.text, "the topology is a star"));
	assert_int_equal(node_counter(b.s.hub, "mesh.withdrawn"), 1);
	assert_int_equal(node_asked(b.one)->notify, WIRE_N_SHORTCUT_WITHDRAW);
	m = (struct wire_mesh){ .reason = WIRE_MR_POLICY };
	memset(m.id, 7, sizeof(m.id));
	m.present = WIRE_MESH_BIT(REASON);
	assert_int_equal(bent_says(&b, WIRE_N_SHORTCUT_WITHDRAW, &m), WIRE_N_SHORTCUT_REFUSED);
	assert_int_equal(node_counter(b.s.hub, "mesh.rx.not_a_hub"), 1);
	assert_int_equal(ike_totals(b.two->ike).peers, 1);
	assert_true(star_ping(&b.s, b.two, 2, b.one, 1));
	star_done(&b.s);
}

/* ---- floods of a member ---------------------------------------------------------------------- */

static void bent_talks(struct bent_star *b, unsigned i)
{
	struct wire_mesh m = report_of(0, 2, i & 1 ? WIRE_MO_LOST : WIRE_MO_UP);

	store_be32(m.id, 1 + i / 2);
	if (i % 3 == 2) /* of somebody whom nobody knows */
		m.partner = play_ident("nobody.example");
	if (i % 7 == 6) { /* started anew, or so it says */
		m = (struct wire_mesh){ .sequence = i, .boot = i, .n_candidates = 1 };
		m.candidates[0] = play_at(WIRE_MC_HOST, "203.0.113.99", (uint16_t)i);
		m.present =
			WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(BOOT) | WIRE_MESH_BIT(CANDIDATE);
	}
	(void)bent_says(b, m.boot ? WIRE_N_SHORTCUT_CANDIDATES : WIRE_N_SHORTCUT_REPORT, &m);
}

/* One of them talks and talks, also about two: two and three have their tunnel all the same, two
 * hears next to nothing of it, and the hub keeps no more than before (R05, S2). */
static void flood_of_reports(void **state)
{
	struct node *three;
	struct bent_star b;
	size_t live = 0;

	(void)state;
	bent_begin(&b, 91, MESH_DYNAMIC);
	three = star_join(&b.s, 3);
	for (unsigned i = 0; i < 2 * MESH_MEMBER_WORDS; i++) {
		bent_talks(&b, i);
		if (i == MESH_MEMBER_WORDS / 2)
			assert_true(star_ping(&b.s, b.two, 2, three, 3));
		if (i % 256 == 0)
			assert_true(star_ping(&b.s, b.one, 1, b.two, 2));
		if (i == MESH_MEMBER_WORDS)
			live = b.s.hub->mem.live_bytes;
		node_forget_events(b.s.hub);
		node_forget_events(b.one);
	}
	assert_in_range(b.s.hub->mem.live_bytes, 1, live + 65536);
	assert_true(star_is_direct(&b.s, b.two, 2, three, 3));
	assert_true(node_counter(b.s.hub, "mesh.rx.flood") > MESH_MEMBER_WORDS / 2);
	/* Its own suggestion, of its traffic, and what it made the hub say about tunnels. */
	assert_in_range(node_counter(b.two, "mesh.rx.words"), 1, 3 * MESH_PAIR_WORDS);
	world_live(b.s.w, dur_s(20));
	assert_true(star_ping_direct(&b.s, b.two, 2, three, 3));
	assert_true(star_ping(&b.s, b.one, 1, b.two, 2));
	star_done(&b.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flood_of_suggestions), cmocka_unit_test(probes_at_what_is_over),
		cmocka_unit_test(silent_at_any_point),  cmocka_unit_test(forced_in_a_star),
		cmocka_unit_test(flood_of_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
