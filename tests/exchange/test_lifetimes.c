/* How long SAs live: soft and hard limits, drawn apart; the proof of identity and its end
 * (RFC 7296 section 2.8, RFC 4478). */
#include "exchange/exchange.h"
#include "ike/limits.h"

enum { HOUR = 3600, DAY = 86400 };

static struct ike_life usual(void)
{
	return (struct ike_life){ .ike_soft = dur_s(4 * HOUR),
				  .ike_hard = dur_s(4 * HOUR + 24 * 60),
				  .child_soft = dur_s(HOUR),
				  .child_hard = dur_s(HOUR + 360) };
}

/* Seconds until the first event of that kind. */
static int64_t when(struct pair *p, const struct node *n, enum ike_event_kind kind, int64_t max)
{
	mono_t begin = p->w->now.mono;
	size_t had = node_events(n, kind);

	while (node_events(n, kind) == had &&
	       mono_since(p->w->now.mono, begin).ns < dur_s(max).ns) {
		world_run(p->w);
		if (node_events(n, kind) == had && !world_timer(p->w))
			return -1;
	}
	world_run(p->w);
	return mono_since(p->w->now.mono, begin).ns / dur_s(1).ns;
}

/* ---- soft limits ---------------------------------------------------------------------------- */

static void months(void **state)
{
	struct pair *p = *state;

	p->pa->life = p->pb->life = usual();
	pair_up(p);
	for (int day = 0; day < 60; day++) {
		world_live(p->w, dur_s(DAY));
		assert_true(pair_is_up(p));
	}
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN) + node_events(p->b, IKE_EV_SA_DOWN), 0);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_DOWN), 0);
	/* Between 80 and 100 per cent of an hour, of four hours. */
	assert_in_range(node_counter(p->a, "ike.child.rekeyed"), 60 * 24, 60 * 24 * 10 / 8);
	assert_in_range(node_counter(p->a, "ike.sa.rekeyed"), 60 * 6, 60 * 6 * 10 / 8);
	assert_int_equal(node_counter(p->a, "ike.child.expired"), 0);
	assert_int_equal(node_counter(p->a, "ike.sa.expired"), 0);
}

static bool note_rekey(void *ctx, const struct ike_child_info *c)
{
	*(int64_t *)ctx = c->rekey_in.ns / dur_s(1).ns;
	return false;
}

static int64_t child_rekey_s(const struct node *n)
{
	struct node_sa sa = node_sa(n);
	int64_t s = -1;

	ike_each_child(n->ike, n->w->now, &sa.info, note_rekey, &s);
	return s;
}

/* Section 2.8.1: of a thousand that came up at once no more than a few are due in a second, who
 * made an SA comes first, and nobody is early or late. */
static void drawn_apart(void **state)
{
	enum { N = 1000, SPAN = HOUR };
	static unsigned per_second[2][SPAN + 1];
	unsigned together = 0;

	(void)state;
	memset(per_second, 0, sizeof(per_second));
	for (unsigned i = 0; i < N; i++) {
		struct pair p;
		int64_t a, b;

		pair_init(&p, 10000 + i);
		p.pa->life = p.pb->life = usual();
		pair_up(&p);
		a = child_rekey_s(p.a);
		b = child_rekey_s(p.b);
		assert_in_range(a, SPAN * 8 / 10 - 1, SPAN * 95 / 100);
		assert_in_range(b, SPAN * 95 / 100 - 1, SPAN);
		per_second[0][a]++;
		per_second[1][b]++;
		together += b - a <= 1;
		pair_done(&p);
	}
	/* The makers' span has 540 seconds, the others' 180. */
	for (unsigned s = 0; s <= SPAN; s++) {
		assert_in_range(per_second[0][s], 0, 10);
		assert_in_range(per_second[1][s], 0, 20);
	}
	assert_in_range(together, 0, N / 100);
}

/* By bytes and packets: what the data plane is told, in the order of soft and hard, and never above
 * what the cipher bears. */
static void volumes(void **state)
{
	static const struct {
		const char *esp;
		struct ike_life life;
		uint64_t soft_bytes, hard_bytes, soft_packets, hard_packets; /* before the draw */
	} rows[] = {
		{ "aes128gcm16-esn", { .soft_bytes = 0 }, (1ULL << 40) / 10 * 9, 1ULL << 40, 0, 0 },
		{ "chacha20poly1305-esn", { .soft_bytes = 0 }, 0, 0, 0, 0 },
		{ "aes128gcm16",
		  { .soft_bytes = 0 },
		  (1ULL << 40) / 10 * 9,
		  1ULL << 40,
		  UINT32_MAX / 10ULL * 9,
		  UINT32_MAX },
		{ "chacha20poly1305-esn",
		  { .soft_bytes = 1000000, .hard_bytes = 2000000 },
		  1000000,
		  2000000,
		  0,
		  0 },
		{ "chacha20poly1305-esn",
		  { .soft_packets = 1000, .hard_packets = 1100 },
		  0,
		  0,
		  1000,
		  1100 },
		{ "aes256gcm16-esn",
		  { .soft_bytes = 1ULL << 42, .hard_bytes = 1ULL << 43 },
		  (1ULL << 40) / 10 * 9,
		  1ULL << 40,
		  0,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;

		pair_init(&p, 20 + i);
		p.pa->esp = test_conf_sa(p.ca, WIRE_PROTO_ESP, rows[i].esp);
		p.pb->esp = test_conf_sa(p.cb, WIRE_PROTO_ESP, rows[i].esp);
		p.pa->life = p.pb->life = rows[i].life;
		pair_up(&p);
		for (int at_b = 0; at_b < 2; at_b++) {
			const struct dp_child *c = node_child(at_b ? p.b : p.a);
			unsigned low = at_b ? 95 : 80, high = at_b ? 100 : 95;

			assert_true(c->hard_bytes == rows[i].hard_bytes);
			assert_true(c->hard_packets == rows[i].hard_packets);
			assert_true(c->soft_bytes >= rows[i].soft_bytes / 100 * low &&
				    c->soft_bytes <= rows[i].soft_bytes / 100 * high + 100);
			assert_true(c->soft_packets >= rows[i].soft_packets / 100 * low &&
				    c->soft_packets <= rows[i].soft_packets / 100 * high + 100);
		}
		pair_done(&p);
	}
}

/* ---- hard limits ---------------------------------------------------------------------------- */

/* Never rekeyed: used until its end and not a moment longer; who wants another asks for one. */
static void child_ends(void **state)
{
	struct pair *p = *state;
	uint32_t spi;

	p->pa->life.child_hard = dur_s(1000);
	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_live(p->w, dur_s(999));
	spi = node_child(p->a)->spi_in;
	world_advance(p->w, dur_s(1));
	assert_int_equal(p->a->n_children, 0);
	says(p->a, IKE_EV_CHILD_DOWN, "its lifetime is over");
	assert_int_equal(node_counter(p->a, "ike.child.expired"), 1);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
	assert_int_not_equal(node_child(p->a)->spi_in, spi);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
}

static void sa_ends(void **state)
{
	struct pair *p = *state;

	p->pa->life.ike_hard = dur_s(1000);
	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_live(p->w, dur_s(999));
	assert_int_equal(p->a->n_children, 1);
	world_advance(p->w, dur_s(1));
	assert_int_equal(p->a->n_children, 0);
	says(p->a, IKE_EV_CHILD_DOWN, "its lifetime is over");
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_int_equal(node_counter(p->a, "ike.sa.expired"), 1);
}

/* A peer that makes nothing by CREATE_CHILD_SA gets a new IKE SA in time, without a gap. */
static void rekeys_refused(void **state)
{
	struct pair *p = *state;
	uint32_t spi;

	p->pa->life = usual();
	p->pa->life.ike_soft = p->pa->life.ike_hard = (dur_t){ 0 };
	p->pa->start = IKE_START_UP;
	/* Of the child in IKE_AUTH no key exchange is asked for; of another one it is. */
	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes128gcm16-esn-x25519");
	pair_start(p);
	world_run(p->w);
	spi = node_child(p->a)->spi_in;
	world_live(p->w, dur_s(HOUR + 240));
	assert_true(node_events(p->a, IKE_EV_REFUSED) > 0);
	assert_int_not_equal(node_child(p->a)->spi_in, spi);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_int_equal(node_counter(p->a, "ike.child.expired"), 0);
	assert_true(pair_is_up(p));
}

/* A clock that stood still for a day: what is over is over with the first thing that happens. */
static void suspended(void **state)
{
	struct pair *p = *state;

	p->pa->life = p->pb->life = usual();
	pair_up(p);
	p->w->now.mono = mono_add(p->w->now.mono, dur_s(DAY));
	p->w->now.wall.s += DAY;
	/* It is a message of the peer, ahead of our own timers. */
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	node_input(p->b, test_endpoint("192.0.2.1", 500), 500, bytes_str("x"));
	world_advance(p->w, (dur_t){ 0 });
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	says(p->a, IKE_EV_CHILD_DOWN, "lifetime");
	assert_int_equal(node_counter(p->a, "ike.sa.expired"), 1);
	settle(p);
}

/* ---- configurations ------------------------------------------------------------------------- */

/* Another lifetime holds for what is up, from the beginning of its life. */
static void hot(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;
	uint32_t spi;

	p->pa->life = usual();
	pair_up(p);
	spi = node_child(p->a)->spi_in;
	c = test_conf_copy(p->ca);
	c->peer[0].life.child_soft = dur_s(600);
	c->peer[0].life.child_hard = dur_s(700);
	node_reconfigure(p->a, c);
	world_live(p->w, dur_s(479));
	assert_int_equal(node_child(p->a)->spi_in, spi);
	world_live(p->w, dur_s(121));
	assert_int_not_equal(node_child(p->a)->spi_in, spi);
	/* Shorter than it is old already: at once. */
	spi = node_child(p->a)->spi_in;
	world_live(p->w, dur_s(300));
	c = test_conf_copy(p->ca);
	c->peer[0].life.child_soft = dur_s(200);
	c->peer[0].life.child_hard = dur_s(2000);
	node_reconfigure(p->a, c);
	world_run(p->w);
	assert_int_not_equal(node_child(p->a)->spi_in, spi);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	assert_true(pair_is_up(p));
}

static bool is_rekey(const struct packet *p)
{
	return packet_exchange(p) == WIRE_CREATE_CHILD_SA && !packet_is_response(p);
}

/* Of hundreds that are older than another configuration lets them be, not all are rekeyed at once.
 */
static void hot_in_turn(void **state)
{
	enum { N = 3 * IKE_RELOADED_PER_S };
	static struct script s[N];
	struct pair *p = *state;
	struct test_conf *c;
	unsigned asked = 0;

	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	pair_start_b(p);
	for (unsigned i = 0; i < N; i++) {
		static char id[N][32];
		char from[32];

		snprintf(from, sizeof(from), "198.51.%u.%u", 100 + i / 250, i % 250 + 1);
		snprintf(id[i], sizeof(id[i]), "p%u.example", i);
		script_init(&s[i], p->w, from, p->b, true);
		s[i].id = id[i];
		script_sa_init(&s[i]);
		assert_true(script_exchange(&s[i]));
		script_begin(&s[i], WIRE_IKE_AUTH, false);
		script_put_id(&s[i]);
		script_put_auth(&s[i]);
		script_send(&s[i]);
		assert_true(script_exchange(&s[i]) && s[i].opened);
	}
	assert_int_equal(ike_totals(p->b->ike).sas, N);
	world_advance(p->w, dur_s(1000));
	world_drop_all(p->w);
	c = test_conf_copy(p->cb);
	c->peer[0].life.ike_soft = dur_s(500);
	c->peer[0].life.ike_hard = dur_s(5000);
	node_reconfigure(p->b, c);
	for (int tenth = 0; tenth <= 30; tenth++) {
		unsigned now = 0;

		while (world_packets(p->w)) {
			now += is_rekey(world_packet(p->w, 0));
			world_drop(p->w, world_packet(p->w, 0));
		}
		if (tenth < 18) /* until the first are sent again */
			assert_in_range(now, 0, IKE_RELOADED_PER_S / 5);
		asked += now;
		world_advance(p->w, dur_ms(100));
	}
	assert_true(asked >= N);
	for (unsigned i = 0; i < N; i++)
		script_done(&s[i]);
}

/* ---- reauthentication (RFC 4478) ------------------------------------------------------------ */

/* Make before break, for weeks: by whose configuration it is wanted makes no difference. */
static void authenticated_anew(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++) {
		struct pair p;
		size_t n;

		pair_init(&p, 30 + (unsigned)who);
		(who ? p.pb : p.pa)->life.reauth = dur_s(HOUR);
		p.pa->start = IKE_START_UP;
		pair_start(&p);
		for (int i = 0; i < 24 * 60; i++) {
			world_live(p.w, dur_s(60));
			assert_true(world_ping(p.w, p.a, "10.1.0.1", p.b, "10.2.0.1"));
			assert_true(world_ping(p.w, p.b, "10.2.0.1", p.a, "10.1.0.1"));
		}
		n = node_events(p.a, IKE_EV_SA_UP);
		assert_in_range(n, 24, 32);
		assert_int_equal(node_counter(p.b, "ike.sa.expired"), 0);
		assert_true(pair_is_up(&p));
		/* Only who called calls again. */
		assert_int_equal(node_events(p.b, IKE_EV_CONNECTING), 0);
		pair_done(&p);
	}
}

/* One that lives another life does not know the old one: no longer than it takes to ask whether it
 * has the new one. */
static void restarted(void **state)
{
	struct pair *p = *state;
	struct script s, again;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	script_done(&s);
	/* Without INITIAL_CONTACT. */
	script_init(&again, p->w, "192.0.2.1", p->b, true);
	script_connect(&again);
	assert_int_equal(p->b->n_children, 2);
	do
		assert_true(script_take(&again));
	while (!again.opened || packet_is_response(again.packet));
	assert_false(p->b->child[1].child.outbound);
	script_begin(&again, WIRE_INFORMATIONAL, true);
	script_send(&again);
	script_exchange(&again);
	assert_true(p->b->child[1].child.outbound);
	script_done(&again);
}

static void answers(struct script *s)
{
	do
		assert_true(script_take(s));
	while (!s->opened || packet_is_response(s->packet));
	script_begin(s, WIRE_INFORMATIONAL, true);
	script_send(s);
	script_exchange(s);
}

/* It has both, and goes on with one, and never says that the other is over: at an end that asks
 * nobody that one is asked about all the same. */
static void forgotten(void **state)
{
	struct pair *p = *state;
	struct script s, again;

	p->pb->dpd_delay = dur_s(0);
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	script_init(&again, p->w, "192.0.2.9", p->b, true);
	script_connect(&again);
	answers(&again);
	answers(&s);
	script_done(&s);
	world_live(p->w, dur_s(IKE_OUTDATED_S - 1));
	assert_int_equal(p->b->n_children, 2);
	world_live(p->w, dur_s(60));
	assert_int_equal(p->b->n_children, 1);
	assert_int_equal(node_event(p->b, IKE_EV_SA_DOWN)->sa, 1);
	script_done(&again);
}

/* A peer that does not is disconnected, with the time that was promised. */
static void not_authenticated_anew(void **state)
{
	struct pair *p = *state;
	const struct wire_notify *n;
	struct script s;

	p->pb->life.reauth = dur_s(300);
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_connect(&s);
	n = script_notify(&s, WIRE_N_AUTH_LIFETIME);
	assert_non_null(n);
	assert_int_equal(n->data.n, 4);
	assert_int_equal(load_be32(n->data.p), 300);
	world_advance(p->w, dur_s(329));
	assert_int_equal(p->b->n_children, 1);
	world_advance(p->w, dur_s(1));
	assert_int_equal(p->b->n_children, 0);
	says(p->b, IKE_EV_CHILD_DOWN, "did not authenticate again in time");
	assert_int_equal(node_counter(p->b, "ike.sa.expired"), 1);
	/* And told so. */
	assert_true(script_take(&s) && s.opened);
	assert_int_equal(s.in.n_deletes, 1);
	script_done(&s);
	world_advance(p->w, dur_s(100));
}

/* Section 2: other policy, another AUTH_LIFETIME, in an INFORMATIONAL of its own. */
static void told_by_reload(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;
	int64_t s;

	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	world_live(p->w, dur_s(100));
	c = test_conf_copy(p->cb);
	c->peer[0].life.reauth = dur_s(1000);
	node_reconfigure(p->b, c);
	/* <- b: INFORMATIONAL {N(AUTH_LIFETIME)} */
	next_notifies(p->w, WIRE_N_AUTH_LIFETIME);
	s = when(p, p->a, IKE_EV_SA_UP, 2000);
	assert_in_range(s, 700, 851);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
}

/* A peer cannot keep us at it: whatever it asks, an SA is left alone for a while. */
static void asked_for_too_much(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_UP;
	p->pb->life.reauth = dur_s(1);
	pair_start(p);
	world_live(p->w, dur_s(200));
	assert_in_range(node_events(p->a, IKE_EV_CONNECTING), 15, 21);
}

/* What it asks for may be over by the time that we would have drawn from the whole life of the SA:
 * then it is done at once, and in time for the peer. */
static void told_late(void **state)
{
	struct pair *p = *state;
	struct test_conf *c;

	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_live(p->w, dur_s(990));
	c = test_conf_copy(p->cb);
	c->peer[0].life.reauth = dur_s(1000);
	node_reconfigure(p->b, c);
	world_live(p->w, dur_s(5));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	world_live(p->w, dur_s(200));
	assert_int_equal(node_counter(p->b, "ike.sa.expired"), 0);
	assert_true(pair_is_up(p));
}

/* A responder's AUTH_LIFETIME, whatever it says, neither stops what we want ourselves nor makes us
 * hurry more than that. */
static void hostile_values(void **state)
{
	static const uint32_t said[] = { 0, 1, 5, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		bool soon = said[i] != UINT32_MAX;
		uint8_t raw[4];
		struct script s;
		struct pair p;

		pair_init(&p, 70 + i);
		p.pa->life.reauth = dur_s(300);
		script_asked_for_auth(&p, &s);
		script_begin(&s, WIRE_IKE_AUTH, true);
		script_put_auth_request(&s);
		store_be32(raw, said[i]);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_AUTH_LIFETIME,
				BYTES_OF(raw));
		world_deliver(p.w, script_send(&s));
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 1);
		assert_int_equal(node_events(p.a, IKE_EV_CONNECTING), 1);
		world_advance(p.w, dur_s(IKE_REAUTH_MIN_S - 1));
		assert_int_equal(node_events(p.a, IKE_EV_CONNECTING), 1);
		world_advance(p.w, dur_s(1));
		assert_int_equal(node_events(p.a, IKE_EV_CONNECTING), 1 + soon);
		world_advance(p.w, dur_s(285 - IKE_REAUTH_MIN_S));
		assert_true(node_events(p.a, IKE_EV_CONNECTING) > 1);
		script_done(&s);
		world_drop_all(p.w);
		pair_done(&p);
	}
}

/* ---- certificates --------------------------------------------------------------------------- */

static void end_of(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key, const char *id,
		   int64_t seconds)
{
	test_conf_cert_for(c, p, key, 100, 100, id, (wall_t){ WORLD_WALL - DAY },
			   (wall_t){ WORLD_WALL + seconds });
	p->not_after = (wall_t){ WORLD_WALL + seconds };
}

/* At its end to the second, whichever it is; `expired = keep` says otherwise. */
static void certificate_ends(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool ours = i & 1, keep = i & 2, listen = i & 4;
		struct pair p;
		struct node *n;

		pair_init(&p, 40 + i);
		pair_certs(&p);
		end_of(p.ca, p.pa, 11, "a.example", ours ? 10000 : 999999);
		end_of(p.cb, p.pb, 12, "b.example", ours ? 999999 : 10000);
		/* The other end does not care. */
		(listen ? p.pa : p.pb)->life.outlive_certs = true;
		(listen ? p.pb : p.pa)->life.outlive_certs = keep;
		pair_up(&p);
		n = listen ? p.b : p.a;
		p.a->unplugged = p.b->unplugged = true;
		world_advance(p.w, dur_s(9999));
		assert_int_equal(n->n_children, 1);
		world_advance(p.w, dur_s(2));
		assert_int_equal(n->n_children, keep);
		if (!keep)
			says(n, IKE_EV_CHILD_DOWN, "certificate");
		pair_done(&p);
	}
}

/* RFC 5280 section 4.1.2.5: 99991231235959Z is no end at all. */
static void certificate_without_end(void **state)
{
	const int64_t year_9999 = 253402300799;
	struct pair *p = *state;

	pair_certs(p);
	end_of(p->ca, p->pa, 11, "a.example", year_9999 - WORLD_WALL);
	end_of(p->cb, p->pb, 12, "b.example", year_9999 - WORLD_WALL);
	pair_up(p);
	for (int year = 0; year < 10; year++)
		world_live(p->w, dur_s(365 * (int64_t)DAY));
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
}

/* A clock that is set back prolongs nothing that was seen to end, and ends nothing. */
static void clock_set_back(void **state)
{
	struct pair *p = *state;

	pair_certs(p);
	end_of(p->ca, p->pa, 11, "a.example", 10000);
	pair_up(p);
	p->a->unplugged = p->b->unplugged = true;
	p->w->wall_set = -5000;
	p->w->now.wall.s -= 5000;
	world_advance(p->w, dur_s(100));
	assert_int_equal(p->a->n_children, 1);
	p->w->wall_set = 0;
	p->w->now.wall.s += 5000;
	world_advance(p->w, dur_s(9901));
	assert_int_equal(p->a->n_children, 0);
	says(p->a, IKE_EV_CHILD_DOWN, "certificate");
}

/* A clock that is set right cuts off at once; one that is lost prolongs nothing. */
static void clocks(void **state)
{
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct pair p;

		pair_init(&p, 50 + (unsigned)lost);
		pair_certs(&p);
		end_of(p.ca, p.pa, 11, "a.example", 10000);
		pair_up(&p);
		p.a->unplugged = p.b->unplugged = true;
		world_advance(p.w, dur_s(100));
		if (lost) {
			p.w->now.wall_ok = false;
			p.w->wall_set = 1000 - WORLD_WALL;
			world_advance(p.w, dur_s(9800));
			assert_int_equal(p.a->n_children, 1);
			world_advance(p.w, dur_s(101));
		} else {
			p.w->wall_set = 20000;
			p.w->now.wall.s += 20000;
			/* Whatever happens next. */
			connect(p.a);
			world_advance(p.w, dur_ms(1));
		}
		assert_int_equal(p.a->n_children, 0);
		says(p.a, IKE_EV_CHILD_DOWN, "certificate");
		pair_done(&p);
	}
}

/* a keeps an SA up, with certificates that end then. */
static void dated(struct pair *p, int64_t end_a, int64_t end_b)
{
	pair_certs(p);
	end_of(p->ca, p->pa, 11, "a.example", end_a);
	end_of(p->cb, p->pb, 12, "b.example", end_b);
	p->pa->start = IKE_START_UP;
	pair_start(p);
}

/* b has a new one, which a sees when it calls anew. */
static void b_renews(struct pair *p, int64_t end)
{
	struct test_conf *c = test_conf_copy(p->cb);

	end_of(c, &c->peer[0], 12, "b.example", end);
	node_reconfigure(p->b, c);
}

/* Another SA, and the first one did not have to be ended. */
static void took_over(struct pair *p)
{
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 2);
	assert_int_equal(node_counter(p->a, "ike.sa.expired"), 0);
	assert_int_equal(node_counter(p->b, "ike.sa.expired"), 0);
}

/* A clock that is set so far ahead that a certificate is about to end: there is still time for
 * another one without a gap. */
static void clock_ahead(void **state)
{
	struct pair *p = *state;

	dated(p, 90 * DAY, 10 * DAY);
	world_live(p->w, dur_s(DAY));
	b_renews(p, 40 * DAY);
	world_run(p->w);
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	p->w->wall_set = 9 * DAY - 600;
	p->w->now.wall.s += 9 * DAY - 600;
	/* Whatever happens next. */
	node_input(p->a, test_endpoint("192.0.2.2", 500), 500, bytes_str("x"));
	world_live(p->w, dur_s(HOUR));
	took_over(p);
}

/* One of our own that has ended already is no reason to go on with the SA; nor to try in haste. */
static void ended_before(void **state)
{
	static const int64_t ends[] = { 0, -1, -DAY, -WORLD_WALL + 1, -2LL * WORLD_WALL };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(ends); i++) {
		struct pair p;
		struct node *n;

		pair_init(&p, 80 + i);
		pair_certs(&p);
		(i & 1 ? p.pb : p.pa)->not_after = (wall_t){ WORLD_WALL + ends[i / 2] };
		p.pa->start = IKE_START_UP;
		pair_start(&p);
		n = i & 1 ? p.b : p.a;
		world_live(p.w, dur_s(2));
		/* Its own timer, nothing that arrives. */
		p.a->unplugged = p.b->unplugged = true;
		world_live(p.w, dur_s(1));
		assert_int_equal(n->n_children, 0);
		says(n, IKE_EV_CHILD_DOWN, "certificate");
		p.a->unplugged = p.b->unplugged = false;
		world_live(p.w, dur_s(300));
		if (n == p.a)
			assert_in_range(node_events(p.a, IKE_EV_CONNECTING), 2, 32);
		pair_done(&p);
	}
}

/* A new certificate takes the old one's place in time: it is asked for ahead of the end. */
static void renewed_before_its_end(void **state)
{
	struct pair *p = *state;

	dated(p, 30 * DAY, 10 * DAY);
	world_live(p->w, dur_s(7 * DAY));
	assert_int_equal(node_events(p->a, IKE_EV_SA_UP), 1);
	b_renews(p, 40 * DAY);
	world_live(p->w, dur_s(4 * DAY));
	took_over(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(months),
		cmocka_unit_test(drawn_apart),
		cmocka_unit_test(volumes),
		pair_test(child_ends),
		pair_test(sa_ends),
		pair_test(rekeys_refused),
		pair_test(suspended),
		pair_test(hot),
		pair_test(hot_in_turn),
		cmocka_unit_test(authenticated_anew),
		pair_test(restarted),
		pair_test(forgotten),
		pair_test(not_authenticated_anew),
		pair_test(told_by_reload),
		pair_test(told_late),
		cmocka_unit_test(hostile_values),
		pair_test(asked_for_too_much),
		cmocka_unit_test(certificate_ends),
		pair_test(certificate_without_end),
		pair_test(clock_set_back),
		cmocka_unit_test(clocks),
		pair_test(clock_ahead),
		cmocka_unit_test(ended_before),
		pair_test(renewed_before_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
