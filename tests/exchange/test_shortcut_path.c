/* A path between two partners: docs/protocol/shortcut.md sections 6 and 7 (R09, R11, S1, P8). */
#include "exchange/shortcut.h"

/* ---- who is asked ---------------------------------------------------------------------------- */

static void suggest_at(struct play *p, uint8_t id, unsigned to, unsigned with,
		       const struct wire_mesh_candidate *at, size_t n)
{
	struct wire_mesh m = play_suggestion(p, id, to, with);

	memcpy(m.candidates, at, n * sizeof(*at));
	m.n_candidates = n;
	play_say(p, to, WIRE_N_SHORTCUT_SUGGEST, &m);
}

/* Where nobody can be is not asked, and is shown. */
static void unfit_candidates(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		const char *why;
	} rows[] = {
		{ "192.0.2.12", 0, "port 0" },
		{ "127.0.0.1", 4500, "no address of a host" },
		{ "224.0.0.5", 4500, "no address of a host" },
		{ "255.255.255.255", 4500, "no address of a host" },
		{ "0.0.0.0", 4500, "no address of a host" },
		{ "169.254.1.1", 4500, "a link-local address" },
		{ "192.0.2.11", 4500, "an address of our own" },
		{ "10.9.9.9", 4500, "an address inside the network" },
		{ "10.1.0.7", 4500, "an address inside the network" },
		{ "::1", 4500, "no address of a host" },
		{ "ff02::1", 4500, "no address of a host" },
		{ "fe80::1", 4500, "a link-local address" },
		{ "::ffff:192.0.2.12", 4500, "no address of a host" },
	};
	struct wire_mesh_candidate at;
	struct node_shortcut s;
	struct play p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		play_up(&p, 1);
		node_moves(p.one, "192.0.2.11", NULL);
		world_run(p.w);
		at = play_at(WIRE_MC_HOST, rows[i].ip, rows[i].port);
		suggest_at(&p, 7, 1, 2, &at, 1);
		world_live(p.w, dur_s(4));
		s = play_look(p.one, TWO);
		assert_int_equal(s.info.reason, WIRE_MR_NO_CANDIDATES);
		assert_int_equal(s.info.n_tries, 1);
		assert_int_equal(s.tries[0].result, MESH_TRY_REFUSED);
		assert_string_equal(s.tries[0].why, rows[i].why);
		assert_non_null(strstr(s.text, rows[i].why));
		assert_int_equal(node_counter(p.one, "mesh.tx.probes"), 0);
		play_done(&p);
	}
}

static void no_address_of_that_family(void **state)
{
	struct wire_mesh_candidate at = play_at(WIRE_MC_HOST, "2001:db8::12", 4500);
	struct node_shortcut s;
	struct play p;

	(void)state;
	play_up(&p, 2);
	suggest_at(&p, 7, 1, 2, &at, 1);
	world_live(p.w, dur_s(4));
	s = play_look(p.one, TWO);
	assert_int_equal(s.tries[0].result, MESH_TRY_UNSENT);
	assert_int_equal(s.info.reason, WIRE_MR_NO_CANDIDATES);
	play_done(&p);
}

/* ---- choice ---------------------------------------------------------------------------------- */

/* Delivers what is under way, each datagram so long after it was sent. */
typedef int delay_fn(const struct packet *p); /* ms; -1: lost */

struct flights {
	struct world *w;
	delay_fn *delay;
	unsigned known; /* packets from here on are new */
	mono_t due[4096];
};

static mono_t *due_of(struct flights *f, const struct packet *p)
{
	mono_t *due = &f->due[p->id % ARRAY_LEN(f->due)];

	if (p->id >= f->known) {
		f->known = p->id + 1;
		*due = mono_add(f->w->now.mono, dur_ms(f->delay(p)));
	}
	return due;
}

static struct packet *arrived(struct flights *f)
{
	for (size_t i = 0; i < world_packets(f->w); i++) {
		struct packet *p = world_packet(f->w, i);

		if (!mono_before(f->w->now.mono, *due_of(f, p)))
			return p;
	}
	return NULL;
}

static void fly(struct flights *f, int ms)
{
	for (int t = 0; t < ms; t++) {
		for (struct packet *p; (p = arrived(f));)
			if (f->delay(p) < 0)
				world_drop(f->w, p);
			else
				world_deliver(f->w, p);
		world_advance(f->w, dur_ms(1));
	}
}

static void live_with(struct world *w, int ms, delay_fn *delay)
{
	static struct flights f;

	f = (struct flights){ .w = w, .delay = delay };
	fly(&f, ms);
}

static bool is_at(const struct ip *ip, unsigned last)
{
	return ip->family == 4 && ip->b[3] == last;
}

/* 192.0.2.112 is slow, 192.0.2.12 is quick. */
static int second_is_slow(const struct packet *p)
{
	if (is_at(&p->src.ip, 1) || is_at(&p->dst.ip, 1))
		return 1;
	return is_at(&p->src.ip, 112) || is_at(&p->dst.ip, 112) ? 40 : 10;
}

static void two_addresses(struct play *p, uint64_t seed)
{
	play_init(p, seed);
	p->site[1].p->mobike = p->site[2].p->mobike = p->s.ph->mobike = true;
	play_start(p);
	node_moves(p->one, "192.0.2.11", NULL);
	node_moves(p->two, "192.0.2.12", "192.0.2.112");
	world_run(p->w);
}

/* An address of his own is taken before one that a hub saw, though it is slower. */
static void own_address_before_seen_one(void **state)
{
	struct wire_mesh_candidate at[] = { play_at(WIRE_MC_SEEN, "192.0.2.12", 4500),
					    play_at(WIRE_MC_HOST, "192.0.2.112", 4500) };
	struct node_shortcut s;
	struct play p;

	(void)state;
	two_addresses(&p, 10);
	at[0].priority = 9u << 24; /* what is asked first is no matter */
	suggest_at(&p, 7, 1, 2, at, 2);
	play_suggest(&p, 7, 2, 1);
	live_with(p.w, 600, second_is_slow);
	assert_true(play_is_up(&p));
	s = play_look(p.one, TWO);
	assert_int_equal(s.info.remote.ip.b[3], 112);
	assert_int_equal(dur_to_ms(s.info.rtt), 80);
	assert_int_equal(s.info.n_tries, 2);
	assert_int_equal(s.tries[0].result, MESH_TRY_ANSWERED);
	assert_int_equal(s.tries[1].result, MESH_TRY_ANSWERED);
	assert_int_equal(dur_to_ms(s.tries[0].rtt) + dur_to_ms(s.tries[1].rtt), 100);
	play_done(&p);
}

/* Of two of a kind the first that answers, which is the quicker one. */
static void quicker_of_a_kind(void **state)
{
	struct wire_mesh_candidate at[] = { play_at(WIRE_MC_HOST, "192.0.2.112", 4500),
					    play_at(WIRE_MC_HOST, "192.0.2.12", 4500) };
	struct play p;

	(void)state;
	two_addresses(&p, 11);
	suggest_at(&p, 7, 1, 2, at, 2);
	play_suggest(&p, 7, 2, 1);
	live_with(p.w, 600, second_is_slow);
	assert_true(play_is_up(&p));
	assert_int_equal(play_look(p.one, TWO).info.remote.ip.b[3], 12);
	assert_int_equal(dur_to_ms(play_look(p.one, TWO).info.rtt), 20);
	play_done(&p);
}

static int host_is_dead(const struct packet *p)
{
	if (is_at(&p->src.ip, 112) || is_at(&p->dst.ip, 112))
		return -1;
	return 10;
}

/* A better kind that does not answer is waited for, and not for long. */
static void better_kind_is_waited_for(void **state)
{
	struct wire_mesh_candidate at[] = { play_at(WIRE_MC_HOST, "192.0.2.112", 4500),
					    play_at(WIRE_MC_SEEN, "192.0.2.12", 4500) };
	struct play p;

	(void)state;
	two_addresses(&p, 12);
	suggest_at(&p, 7, 1, 2, at, 2);
	play_suggest(&p, 7, 2, 1);
	live_with(p.w, 225, host_is_dead);
	assert_string_equal(play_state(p.one), "probing");
	live_with(p.w, 20, host_is_dead);
	assert_string_equal(play_state(p.one), "connecting");
	live_with(p.w, 100, host_is_dead);
	assert_true(play_is_up(&p));
	assert_int_equal(play_look(p.one, TWO).info.remote.ip.b[3], 12);
	play_done(&p);
}

/*
 * P8: from the first packet to the direct path one round trip to the hub and three between the two,
 * and no more than 50 ms.
 *
 *	one                      hub                      two
 *	 |  SUGGEST  <------------|------------>  SUGGEST  |      half a round trip to the hub
 *	 |  question, answer  <-------------------------->  |      one of their own
 *	 |  IKE_SA_INIT  <------------------------------->  |      one
 *	 |  IKE_AUTH, dummy  <--------------------------->  |      one: who called carries
 *	 |  dummy  ------------------------------------->   |      half of one: who was called does
 */
enum { TO_HUB = 20, DIRECT = 30 };

static int ways(const struct packet *p)
{
	return is_at(&p->src.ip, 1) || is_at(&p->dst.ip, 1) ? TO_HUB : DIRECT;
}

static void how_long_it_takes(void **state)
{
	static struct flights f;
	int caller = 0, called = 0;
	struct play p;

	(void)state;
	play_up(&p, 13);
	play_suggest_both(&p, 7);
	f = (struct flights){ .w = p.w, .delay = ways };
	for (int ms = 1; ms < 1000 && !play_is_up(&p); ms++) {
		fly(&f, 1);
		if (!caller && strcmp(play_state(p.one), "up") == 0)
			caller = ms;
		if (!called && strcmp(play_state(p.two), "up") == 0)
			called = ms;
	}
	assert_true(play_is_up(&p));
	/* The packet was half a round trip on its way to the hub before. */
	assert_in_range(TO_HUB + caller, 1, 2 * TO_HUB + 3 * 2 * DIRECT + 50);
	assert_in_range(TO_HUB + called, 1, 2 * TO_HUB + 3 * 2 * DIRECT + 50);
	play_done(&p);
}

/* ---- NAT ------------------------------------------------------------------------------------- */

/* One of both behind a NAT, which the other one knows by what its hub sees: whoever calls. */
static void one_behind_a_nat(void **state)
{
	struct wire_mesh_candidate at[2];
	struct node_shortcut s;
	struct play p;

	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		const char *inside = n == 1 ? "192.0.2.11" : "192.0.2.12";
		const struct node *other;

		play_init(&p, 20 + n);
		world_nat(p.w, inside, "198.51.100.7", 40000);
		play_start(&p);
		at[0] = play_at(WIRE_MC_HOST, inside, 4500);
		at[1] = play_at(WIRE_MC_SEEN, "198.51.100.7", 40001);
		suggest_at(&p, 7, 3 - n, n, at, 2);
		play_suggest(&p, 7, n, 3 - n);
		for (int ms = 0; ms < 1500; ms++) {
			for (struct packet *q; (q = world_packet(p.w, 0));) {
				/* The address behind the NAT is nobody's outside. */
				if (!is_at(&q->src.ip, 1) && ip_eq(&q->dst.ip, &at[0].at.ip) &&
				    !ip_eq(&q->src.ip, &p.hub->address[0]))
					world_drop(p.w, q);
				else
					world_deliver(p.w, q);
			}
			world_advance(p.w, dur_ms(1));
		}
		other = n == 1 ? p.two : p.one;
		assert_true(play_is_up(&p));
		s = play_look(other, play_name(n));
		assert_true(ip_eq(&s.info.remote.ip, &at[1].at.ip));
		play_done(&p);
	}
}

/* ---- hostile probes -------------------------------------------------------------------------- */

static struct packet *next_probe(struct play *p)
{
	for (size_t i = 0; i < world_packets(p->w); i++)
		if (is_probe(world_packet(p->w, i)))
			return world_packet(p->w, i);
	fail_msg("no probe is under way");
	return NULL;
}

static void run_but_probes(struct play *p)
{
	for (bool any = true; any;) {
		any = false;
		for (size_t i = 0; i < world_packets(p->w) && !any; i++) {
			struct packet *q = world_packet(p->w, i);

			any = !is_probe(q);
			if (any)
				world_deliver(p->w, q);
		}
	}
}

static size_t probes_from(struct play *p, const struct node *n)
{
	size_t count = 0;

	for (size_t i = 0; i < world_packets(p->w); i++) {
		const struct packet *q = world_packet(p->w, i);

		count += is_probe(q) && ip_eq(&q->src.ip, &n->address[0]);
	}
	return count;
}

/* Both have a suggestion; nothing of their probes has moved. `two`'s questions are lost. */
static struct packet *question_of_one(struct play *p, uint64_t seed)
{
	struct packet *kept;

	play_up(p, seed);
	play_suggest_both(p, 7);
	run_but_probes(p);
	kept = packet_keep(next_probe(p));
	world_drop_all(p->w);
	assert_true(ip_eq(&kept->src.ip, &p->one->address[0]));
	return kept;
}

/* Every bit of it counts. */
static void forged_question(void **state)
{
	struct packet *q;
	size_t answered = 0;
	struct play p;

	(void)state;
	q = question_of_one(&p, 30);
	for (size_t bit = 0; bit < 8 * WIRE_PROBE_LEN; bit++) {
		struct packet *copy = packet_keep(q);

		copy->data[copy->n - WIRE_PROBE_LEN + bit / 8] ^= (uint8_t)(1u << bit % 8);
		world_hand_over(p.w, copy);
		packet_free(copy);
		answered += probes_from(&p, p.two);
		world_drop_all(p.w);
	}
	assert_int_equal(answered, 0);
	assert_true(node_counter(p.two, "mesh.rx.probe_forged") > 200);
	world_hand_over(p.w, q);
	assert_true(probes_from(&p, p.two) > 0);
	packet_free(q);
	world_drop_all(p.w);
	play_done(&p);
}

/* It is answered once, to where it came from first; a copy from elsewhere gets nothing. */
static void replayed_question(void **state)
{
	struct packet *q;
	struct play p;

	(void)state;
	q = question_of_one(&p, 31);
	world_hand_over(p.w, q);
	assert_true(probes_from(&p, p.two) > 0);
	world_drop_all(p.w);
	world_hand_over(p.w, q);
	q->src = test_endpoint("203.0.113.66", 4500);
	world_hand_over(p.w, q);
	assert_int_equal(world_packets(p.w), 0);
	assert_int_equal(node_counter(p.two, "mesh.rx.probe_stray"), 2);
	packet_free(q);
	play_done(&p);
}

/* An answer counts only along the way that was asked. */
static void answer_from_elsewhere(void **state)
{
	struct packet *q, *a;
	struct play p;

	(void)state;
	q = question_of_one(&p, 32);
	world_hand_over(p.w, q);
	packet_free(q);
	a = packet_keep(next_probe(&p));
	world_drop_all(p.w);
	a->src = test_endpoint("203.0.113.66", 4500);
	world_hand_over(p.w, a);
	assert_int_equal(node_counter(p.one, "mesh.rx.probe_stray"), 1);
	assert_string_equal(play_state(p.one), "probing");
	a->src = test_endpoint("192.0.2.12", 4500);
	world_hand_over(p.w, a);
	assert_string_equal(play_state(p.one), "connecting");
	packet_free(a);
	world_drop_all(p.w);
	play_done(&p);
}

/* Somebody who sends everything back, say an echo service that a hub named, knows no key: he is not
 * answered, and is no partner (R05). */
static void reflected_question(void **state)
{
	struct packet *q;
	struct play p;

	(void)state;
	q = question_of_one(&p, 36);
	q->src = q->dst;
	q->dst = test_endpoint("192.0.2.11", 4500);
	world_hand_over(p.w, q);
	assert_int_equal(probes_from(&p, p.one), 0);
	assert_int_equal(node_counter(p.one, "mesh.rx.probe_stray"), 1);
	for (unsigned ms = 0; ms < 12000; ms += 5) {
		struct packet *sent;

		run_but_probes(&p);
		while ((sent = world_packet(p.w, 0))) {
			struct packet *back = packet_keep(sent);

			back->src = sent->dst;
			back->dst = sent->src;
			world_drop(p.w, sent);
			world_hand_over(p.w, back);
			packet_free(back);
			run_but_probes(&p);
		}
		assert_string_not_equal(play_state(p.one), "connecting");
		world_advance(p.w, dur_ms(5));
	}
	assert_int_equal(play_look(p.one, TWO).info.reason, WIRE_MR_NO_PATH);
	assert_int_equal(play_look(p.two, ONE).info.reason, WIRE_MR_NO_PATH);
	packet_free(q);
	play_done(&p);
}

/* Where a question comes from is asked as well, unless nobody can be there. */
static void asked_from_elsewhere(void **state)
{
	static const struct {
		const char *ip;
		bool asked;
	} rows[] = { { "203.0.113.66", true }, { "10.2.0.9", false }, { "169.254.0.3", false } };
	struct packet *q;
	struct play p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		q = question_of_one(&p, 33);
		q->src = test_endpoint(rows[i].ip, 4500);
		world_hand_over(p.w, q);
		assert_int_equal(probes_from(&p, p.two), rows[i].asked ? 2 : 1);
		packet_free(q);
		world_drop_all(p.w);
		play_done(&p);
	}
}

/* Nobody can be answered there. */
static void asked_from_port_0(void **state)
{
	struct packet *q;
	struct play p;

	(void)state;
	q = question_of_one(&p, 35);
	q->src.port = 0;
	node_input(p.two, q->src, 4500, bytes_of(q->data, q->n));
	assert_int_equal(world_packets(p.w), 0);
	assert_int_equal(node_counter(p.two, "mesh.rx.probe_malformed"), 1);
	packet_free(q);
	play_done(&p);
}

static void strangers_get_nothing(void **state)
{
	static uint8_t data[4 + WIRE_PROBE_LEN];
	const struct wire_probe probe = { .id = { 1, 2, 3 }, .txn = 4 };
	struct play p;

	(void)state;
	play_up(&p, 34);
	wire_probe_put(data + 4, &probe);
	node_input(p.one, test_endpoint("203.0.113.5", 4500), 4500, BYTES_OF(data));
	assert_int_equal(node_counter(p.one, "mesh.rx.probe_unknown"), 1);
	node_input(p.one, test_endpoint("203.0.113.5", 4500), 4500, bytes_of(data, 75));
	node_input(p.one, test_endpoint("203.0.113.5", 500), 500,
		   bytes_of(data + 4, WIRE_PROBE_LEN));
	assert_int_equal(node_counter(p.one, "mesh.rx.probe_malformed"), 2);
	assert_int_equal(world_packets(p.w), 0);
	play_done(&p);
}

/* ---- floods ---------------------------------------------------------------------------------- */

static const char *somebody(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "x%03u.example", i);
	return name;
}

/* As `two` is, but for the name; `ports` candidates at the victim's address. */
static void aim(struct play *p, unsigned i, const char *victim, size_t ports)
{
	struct wire_mesh m = play_suggestion(p, (uint8_t)(i + 1), 1, 2);

	m.partner = play_ident(somebody(i));
	m.ts_remote[0] = play_other_prefix(p, i);
	m.n_candidates = ports;
	for (size_t k = 0; k < ports; k++)
		m.candidates[k] = play_at(WIRE_MC_HOST, victim, (uint16_t)(1000 + k));
	play_say(p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	run_but_probes(p);
}

/* S2: so many suggestions with one victim: what arrives there in any second. */
static void a_victim_is_not_flooded(void **state)
{
	unsigned in[32] = { 0 }, total = 0;
	const char *victim = "203.0.113.99";
	struct play p;

	(void)state;
	play_init(&p, 40);
	p.site[1].net->max = 1000;
	play_start(&p);
	for (unsigned i = 0; i < 60; i++)
		aim(&p, i, victim, WIRE_MESH_CANDIDATES);
	for (unsigned s = 0; s < ARRAY_LEN(in); s++)
		for (unsigned ms = 0; ms < 1000; ms += 5) {
			for (size_t i = 0; i < world_packets(p.w); i++)
				in[s] += is_probe(world_packet(p.w, i));
			run_but_probes(&p);
			world_drop_all(p.w);
			world_advance(p.w, dur_ms(5));
		}
	for (unsigned s = 0; s < ARRAY_LEN(in); s++) {
		assert_in_range(in[s], 0, 2 * MESH_PROBES_PER_ADDRESS);
		total += in[s];
	}
	/* And it ends: an attempt is over after 10 s. */
	assert_in_range(total, MESH_PROBES_PER_ADDRESS,
			(MESH_SETUP_S + 2) * MESH_PROBES_PER_ADDRESS);
	assert_int_equal(in[31], 0);
	assert_true(node_counter(p.one, "mesh.tx.probes_limited") > 0);
	play_done(&p);
}

/* More failures than are remembered for people, while nobody listens: the hub hears of each. */
static void all_failures_are_reported(void **state)
{
	enum { MANY = MESH_PAST + 26 };
	size_t before, reports = 0;
	struct play p;

	(void)state;
	play_init(&p, 42);
	p.site[1].net->max = 1000;
	play_start(&p);
	for (unsigned i = 0; i < MANY; i++)
		aim(&p, i, "203.0.113.99", 1);
	node_restart(p.hub);
	before = p.hub->n_asked;
	world_live(p.w, dur_s(100));
	assert_true(star_is_up(&p.s, p.one, 1));
	assert_in_range(p.hub->n_asked - before, MANY, NODE_WORDS);
	for (size_t i = before; i < p.hub->n_asked; i++)
		if (p.hub->asked[i % NODE_WORDS].notify == WIRE_N_SHORTCUT_REPORT) {
			assert_int_equal(play_read(&p, &p.hub->asked[i % NODE_WORDS]).outcome,
					 WIRE_MO_FAILED);
			reports++;
		}
	assert_int_equal(reports, MANY);
	play_done(&p);
}

/* Many victims: all together no more than that. */
static void all_together_are_bounded(void **state)
{
	unsigned in[16] = { 0 };
	struct play p;

	(void)state;
	play_init(&p, 41);
	p.site[1].net->max = 1000;
	play_start(&p);
	for (unsigned i = 0; i < 90; i++) {
		char victim[32];

		snprintf(victim, sizeof(victim), "198.51.100.%u", i + 1);
		aim(&p, i, victim, 2);
	}
	for (unsigned s = 0; s < ARRAY_LEN(in); s++)
		for (unsigned ms = 0; ms < 1000; ms += 5) {
			for (size_t i = 0; i < world_packets(p.w); i++)
				in[s] += is_probe(world_packet(p.w, i));
			run_but_probes(&p);
			world_drop_all(p.w);
			world_advance(p.w, dur_ms(5));
		}
	assert_in_range(in[0], 180, MESH_PROBES_PER_S);
	for (unsigned s = 1; s < ARRAY_LEN(in); s++)
		assert_in_range(in[s], 0, MESH_PROBES_PER_S);
	play_done(&p);
}

/* One suggestion asks so often and no more, whatever its candidates become. */
static void one_suggestion_is_bounded(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 42);
	play_suggest(&p, 7, 1, 2);
	run_but_probes(&p);
	for (unsigned i = 1; i < 200; i++) {
		char at[32];

		world_drop_all(p.w);
		world_advance(p.w, dur_ms(40));
		m = play_suggestion(&p, 7, 1, 2);
		for (m.n_candidates = 0; m.n_candidates < 4; m.n_candidates++) {
			snprintf(at, sizeof(at), "198.51.%zu.%u", m.n_candidates, i);
			m.candidates[m.n_candidates] = play_at(WIRE_MC_HOST, at, 4500);
		}
		m.sequence = i;
		m.present = 1u << WIRE_MA_CANDIDATE | 1u << WIRE_MA_SEQUENCE;
		play_say(&p, 1, WIRE_N_SHORTCUT_CANDIDATES, &m);
		run_but_probes(&p);
	}
	world_drop_all(p.w);
	world_live(p.w, dur_s(12));
	assert_in_range(node_counter(p.one, "mesh.tx.probes"), 200, MESH_TXNS);
	assert_string_equal(play_state(p.one), "failed");
	play_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unfit_candidates),
		cmocka_unit_test(no_address_of_that_family),
		cmocka_unit_test(own_address_before_seen_one),
		cmocka_unit_test(quicker_of_a_kind),
		cmocka_unit_test(better_kind_is_waited_for),
		cmocka_unit_test(how_long_it_takes),
		cmocka_unit_test(one_behind_a_nat),
		cmocka_unit_test(forged_question),
		cmocka_unit_test(replayed_question),
		cmocka_unit_test(answer_from_elsewhere),
		cmocka_unit_test(reflected_question),
		cmocka_unit_test(asked_from_elsewhere),
		cmocka_unit_test(asked_from_port_0),
		cmocka_unit_test(strangers_get_nothing),
		cmocka_unit_test(a_victim_is_not_flooded),
		cmocka_unit_test(all_failures_are_reported),
		cmocka_unit_test(all_together_are_bounded),
		cmocka_unit_test(one_suggestion_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
