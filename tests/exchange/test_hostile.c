/* Datagrams that are truncated or changed, in the middle of a set-up and against a live tunnel: a
 * counter goes up, nothing else happens, and the set-up or the tunnel goes on (S2).  Everything
 * that comes unprotected: hints at most.  Everything that comes protected but senseless: answered
 * as RFC 7296 sections 2.5 and 2.21 say. */
#include "exchange/exchange.h"
#include "ike/limits.h"

enum {
	HANDSHAKE = 4,
	PICTURE = 4096,
};

static struct packet *cut_to(const struct packet *p, size_t n)
{
	struct packet *q = packet_keep(p);

	q->n = n;
	return q;
}

static struct packet *flipped(const struct packet *p, size_t at)
{
	struct packet *q = packet_keep(p);

	q->data[at] ^= (uint8_t)(1u << at % 8);
	return q;
}

static struct node *target(struct pair *p, const struct packet *q)
{
	return ip_eq(&q->dst.ip, &p->a->address[0]) ? p->a : p->b;
}

/* Hands it over: nothing may change, one of the counters must. */
static void must_only_count(struct pair *p, struct packet *bad, const char *what, size_t at)
{
	struct node *n = target(p, bad);
	uint64_t dropped = node_counters(n, "ike.rx.") - node_counter(n, "ike.rx.datagrams");
	char before[PICTURE], after[PICTURE];

	node_picture(n, before, sizeof(before));
	world_hand_over(p->w, bad);
	node_picture(n, after, sizeof(after));
	if (strcmp(before, after) != 0)
		print_error("%s at %zu\n", what, at);
	assert_string_equal(after, before);
	assert_int_equal(node_counters(n, "ike.rx.") - node_counter(n, "ike.rx.datagrams"),
			 dropped + 1);
	packet_free(bad);
}

/* ---- in the middle of a set-up ------------------------------------------------------------- */

/* Runs the set-up to message k and leaves it in the queue. */
static struct packet *up_to_message(struct pair *p, size_t k)
{
	pair_start(p);
	if (p->pa->start != IKE_START_UP)
		connect(p->a);
	for (size_t i = 0; i < k; i++)
		deliver_any(p->w);
	return world_packet(p->w, 0);
}

static void truncated_in_set_up(void **state)
{
	(void)state;
	for (size_t k = 0; k < HANDSHAKE; k++) {
		struct packet *next;
		struct pair p;

		pair_init(&p, 500 + k);
		next = up_to_message(&p, k);
		for (size_t n = 0; n < next->n; n++)
			must_only_count(&p, cut_to(next, n), "prefix", n);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* Protected messages: every byte is covered, so a changed one is as good as none. */
/* Answers to what belonged to nobody, if there were any, change nothing either. */
static void goes_on_unharmed(struct pair *p)
{
	world_run(p->w);
	assert_true(pair_is_up(p));
	pair_done(p);
}

static void changed_in_protected_set_up(void **state)
{
	/* A half-open SA reads only so much junk at once (limits.h). */
	enum { PER_LIFE = IKE_JUNK_BURST / 2 };

	(void)state;
	for (size_t k = 2; k < HANDSHAKE; k++)
		for (size_t at = 0, n = 1; at < n;) {
			struct packet *next;
			struct pair p;

			pair_init(&p, 510 + k);
			next = up_to_message(&p, k);
			n = next->n;
			/* SPIs and the role flag say who it is for; the rest is under the ICV. */
			for (size_t i = 0; i < PER_LIFE && at < n; i++, at++) {
				struct packet *bad = flipped(next, at);

				if (at < 18 || at == 19) {
					world_hand_over(p.w, bad);
					packet_free(bad);
				} else {
					must_only_count(&p, bad, "byte", at);
				}
			}
			goes_on_unharmed(&p);
		}
}

/* IKE_SA_INIT is unprotected: somebody on the path can spoil an attempt, and then the next one has
 * to succeed; never does it end half-way. */
static void changed_init(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++)
		for (size_t at = 0, n = SIZE_MAX; at < n; at++) {
			struct packet *next, *bad;
			struct pair p;

			pair_init(&p, 520 + k);
			p.pa->start = IKE_START_UP;
			next = up_to_message(&p, k);
			n = next->n;
			bad = flipped(next, at);
			world_hand_over(p.w, bad);
			packet_free(bad);
			world_live(p.w, dur_s(60));
			if (!pair_is_up(&p))
				print_error("message %zu, byte %zu\n", k, at);
			assert_true(pair_is_up(&p));
			pair_done(&p);
		}
}

/* ---- against a live tunnel ----------------------------------------------------------------- */

struct live {
	struct pair p;
	struct packet *message[HANDSHAKE + 2];
	size_t n;
};

/* A tunnel and all datagrams that made it, and a probe with its answer. */
static void live_up(struct live *l, uint64_t seed)
{
	l->n = 0;
	pair_init(&l->p, seed);
	l->p.pa->dpd_delay = dur_s(10);
	/* An IKE_SA_INIT costs nothing but a cookie then. */
	l->p.ca->conf.half_open_cookie = l->p.cb->conf.half_open_cookie = 0;
	pair_start(&l->p);
	connect(l->p.a);
	for (struct packet *next; l->n < HANDSHAKE + 2;) {
		next = world_packet(l->p.w, 0);
		if (!next) {
			assert_true(world_timer(l->p.w));
			continue;
		}
		/* Of the two requests the one without the cookie: it is good for a cookie only. */
		if (!packet_notifies(l->p.w, next, WIRE_N_COOKIE))
			l->message[l->n++] = packet_keep(next);
		world_deliver(l->p.w, next);
	}
	assert_true(pair_is_up(&l->p));
	world_live(l->p.w, dur_s(1));
}

static void live_done(struct live *l)
{
	for (size_t i = 0; i < l->n; i++)
		packet_free(l->message[i]);
	pair_done(&l->p);
}

/* Pictures without what a stateless answer moves. */
static const char *calm_picture(struct node *n, char *buf)
{
	unsigned sent = n->sent;

	n->sent = 0;
	node_picture(n, buf, PICTURE);
	n->sent = sent;
	return buf;
}

static void against_live(bool truncate)
{
	char before_a[PICTURE], before_b[PICTURE], after[PICTURE];
	struct live l;

	live_up(&l, 530 + truncate);
	calm_picture(l.p.a, before_a);
	calm_picture(l.p.b, before_b);
	for (size_t k = 0; k < l.n; k++)
		for (size_t at = 0; at < l.message[k]->n; at++) {
			struct packet *bad =
				truncate ? cut_to(l.message[k], at) : flipped(l.message[k], at);

			world_hand_over(l.p.w, bad);
			packet_free(bad);
			world_drop_all(l.p.w);
			assert_string_equal(calm_picture(l.p.a, after), before_a);
			assert_string_equal(calm_picture(l.p.b, after), before_b);
		}
	world_live(l.p.w, dur_s(100));
	assert_true(pair_is_up(&l.p));
	assert_int_equal(node_events(l.p.a, IKE_EV_SA_UP), 1);
	live_done(&l);
}

static void truncated_against_live(void **state)
{
	(void)state;
	against_live(true);
}

static void changed_against_live(void **state)
{
	(void)state;
	against_live(false);
}

/* ---- unprotected words --------------------------------------------------------------------- */

static const uint16_t unprotected[] = {
	WIRE_N_INVALID_IKE_SPI,
	WIRE_N_INVALID_MAJOR_VERSION,
	WIRE_N_INVALID_SYNTAX,
	WIRE_N_NO_PROPOSAL_CHOSEN,
	WIRE_N_AUTHENTICATION_FAILED,
	WIRE_N_TS_UNACCEPTABLE,
	WIRE_N_INVALID_MESSAGE_ID,
	WIRE_N_TEMPORARY_FAILURE,
	WIRE_N_INVALID_KE_PAYLOAD,
	WIRE_N_CHILD_SA_NOT_FOUND,
	WIRE_N_COOKIE,
	WIRE_N_INITIAL_CONTACT,
	WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD,
};

/* A clear message under right SPIs, from the right address. */
static void clear_notify(struct pair *p, const struct packet *like, uint8_t exchange, bool response,
			 uint32_t msgid, uint16_t type)
{
	uint8_t chain[12] = { 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct packet *q;

	store_be16(chain + 6, type);
	q = packet_like(p->w, like, WIRE_IKE_SA_INIT, response, msgid, WIRE_P_NOTIFY,
			BYTES_OF(chain));
	q->data[packet_ike(q).p - q->data + 18] = exchange;
	world_deliver(p->w, q);
}

static void unprotected_against_live(void **state)
{
	static const uint8_t exchange[] = { WIRE_IKE_SA_INIT, WIRE_IKE_AUTH, WIRE_INFORMATIONAL,
					    WIRE_CREATE_CHILD_SA, 240 };
	char before[PICTURE], after[PICTURE];
	struct live l;

	(void)state;
	live_up(&l, 540);
	node_picture(l.p.a, before, sizeof(before));
	for (size_t e = 0; e < ARRAY_LEN(exchange); e++)
		for (size_t i = 0; i < ARRAY_LEN(unprotected); i++)
			for (uint32_t id = 0; id < 4; id++) {
				clear_notify(&l.p, l.message[5], exchange[e], true, id,
					     unprotected[i]);
				/* A request of the kind that opens something gets no such thing. */
				if (exchange[e] != WIRE_IKE_SA_INIT)
					clear_notify(&l.p, l.message[5], exchange[e], false, id,
						     unprotected[i]);
			}
	assert_string_equal(node_picture(l.p.a, after, sizeof(after)), before);
	world_live(l.p.w, dur_s(100));
	assert_true(pair_is_up(&l.p));
	assert_int_equal(node_events(l.p.a, IKE_EV_SA_UP), 1);
	live_done(&l);
}

/* The same while a set-up is waiting: reported as a hint at most, and the set-up goes on. */
static void unprotected_in_set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unprotected); i++)
		for (size_t k = 1; k < HANDSHAKE; k += 2) {
			struct packet *next;
			struct pair p;

			if (unprotected[i] == WIRE_N_COOKIE && k == 1)
				continue; /* followed, see test_negotiate.c */
			pair_init(&p, 550);
			next = up_to_message(&p, k);
			for (int again = 0; again < 3; again++)
				clear_notify(&p, next, packet_exchange(next), true,
					     packet_msgid(next), unprotected[i]);
			assert_true(node_events(p.a, IKE_EV_REFUSED) <= 1);
			world_run(p.w);
			if (!pair_is_up(&p))
				print_error("notify %u before message %zu\n", unprotected[i], k);
			assert_true(pair_is_up(&p));
			pair_done(&p);
		}
}

/* ---- versions, exchanges, strays ------------------------------------------------------------ */

static void raw_message(struct pair *p, struct script *s, uint8_t version, uint8_t exchange,
			uint8_t flags, uint64_t spi_r)
{
	uint8_t m[WIRE_IKE_HDR_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	store_be64(m + 8, spi_r);
	m[17] = version;
	m[18] = exchange;
	m[19] = flags;
	store_be32(m + 24, sizeof(m));
	world_deliver(p->w, world_inject(p->w, s->self, s->other, BYTES_OF(m)));
}

static void other_versions(void **state)
{
	struct pair *p = *state;
	uint8_t noise[WIRE_IKE_HDR_LEN] = { 1 };
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	/* Higher major version: INVALID_MAJOR_VERSION with ours (section 2.5). */
	raw_message(p, &s, 0x30, WIRE_IKE_SA_INIT, WIRE_FLAG_INITIATOR, 0);
	assert_true(script_take(&s));
	assert_non_null(script_notify(&s, WIRE_N_INVALID_MAJOR_VERSION));
	assert_int_equal(s.msg.hdr.version >> 4, 2);
	assert_true(s.msg.hdr.flags & WIRE_FLAG_RESPONSE);
	assert_int_equal(s.msg.hdr.spi_i, 0x0102030405060708);
	/* Not to a response, not to IKEv1, and not to noise: the length has to be right. */
	raw_message(p, &s, 0x30, WIRE_IKE_SA_INIT, WIRE_FLAG_RESPONSE, 0);
	assert_false(script_take(&s));
	raw_message(p, &s, 0x10, 2, 0, 0);
	assert_false(script_take(&s));
	noise[17] = 0x30;
	noise[27] = sizeof(noise) - 1;
	world_deliver(p->w, world_inject(p->w, s.self, s.other, BYTES_OF(noise)));
	assert_false(script_take(&s));
	assert_int_equal(node_counter(p->b, "ike.rx.version"), 4);
	assert_true(node_is_down(p->b));
	/* A higher minor version is ours. */
	script_sa_init(&s);
	world_packet(p->w, 0)->data[17] = 0x2f;
	assert_true(script_exchange(&s));
	assert_int_equal(ike_totals(p->b->ike).half_open, 1);
	script_done(&s);
}

static void unknown_spi(void **state)
{
	struct pair *p = *state;
	struct script s;
	unsigned answers = 0;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	raw_message(p, &s, 0x20, WIRE_INFORMATIONAL, WIRE_FLAG_RESPONSE, 99);
	assert_false(script_take(&s));
	raw_message(p, &s, 0x20, WIRE_INFORMATIONAL, WIRE_FLAG_INITIATOR, 99);
	assert_true(script_take(&s));
	assert_non_null(script_notify(&s, WIRE_N_INVALID_IKE_SPI));
	/* A flood of them gets a few answers a second (amplification, section 2.21.4). */
	for (int i = 0; i < 1000; i++)
		raw_message(p, &s, 0x20, WIRE_INFORMATIONAL, WIRE_FLAG_INITIATOR, 100);
	while (script_take(&s))
		answers++;
	assert_in_range(answers, 1, 10);
	assert_true(node_counter(p->b, "ike.rx.stray_limited") >= 989);
	assert_int_equal(node_counter(p->b, "ike.rx.unknown_spi"), 1002);
	world_advance(p->w, dur_s(1));
	raw_message(p, &s, 0x20, WIRE_INFORMATIONAL, WIRE_FLAG_INITIATOR, 100);
	assert_true(script_take(&s));
	script_done(&s);
}

/* IKE_SA_INIT requests that cannot be: wrong SPIs, flags, id. */
static void impossible_init(void **state)
{
	struct pair *p = *state;
	struct packet *good;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_sa_init(&s);
	good = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	for (int i = 0; i < 4; i++) {
		struct packet *bad = packet_keep(good);

		switch (i) {
		case 0: memset(bad->data, 0, 8); break; /* SPIi zero */
		case 1: bad->data[15] = 1; break; /* SPIr not zero */
		case 2: bad->data[19] = 0; break; /* not from an initiator */
		case 3: bad->data[23] = 1; break; /* message id 1 */
		}
		world_hand_over(p->w, bad);
		assert_int_equal(node_counter(p->b, "ike.rx.bad_init"), (uint64_t)i + 1);
		packet_free(bad);
	}
	assert_true(node_is_down(p->b));
	assert_false(script_take(&s));
	packet_free(good);
	script_done(&s);
}

/* ---- protected, but senseless ---------------------------------------------------------------- */

static void up_with_script(struct pair *p, struct script *s)
{
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.1", p->b, true);
	script_connect(s);
}

/* Section 2.5: the whole message is rejected, the SA goes on; what is not critical is skipped. */
static void unknown_payloads(void **state)
{
	struct pair *p = *state;
	const struct wire_notify *n;
	struct script s;
	uint8_t spi[4];

	up_with_script(p, &s);
	store_be32(spi, s.spi_esp);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	wire_put_delete(&s.out, WIRE_PROTO_ESP, 4, BYTES_OF(spi));
	wire_put_raw(&s.out, 200, bytes_str("unknown"));
	s.out.w.start[s.out.next_at + 1] |= 0x80;
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	n = script_notify(&s, WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
	assert_non_null(n);
	assert_int_equal(n->data.n, 1);
	assert_int_equal(n->data.p[0], 200);
	assert_int_equal(p->b->n_children, 1);
	assert_int_equal(node_counter(p->b, "ike.rx.unknown_critical"), 1);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	wire_put_raw(&s.out, 200, bytes_str("unknown"));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_int_equal(s.in.n_notifies, 0);
	assert_int_equal(p->b->n_children, 1);
	script_done(&s);
}

static void append_critical(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	(void)ctx;
	chain_append(first, chain, n, cap, 200, true, bytes_str("unknown"));
}

static void unknown_critical_in_init(void **state)
{
	struct pair *p = *state;
	struct script s;

	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	script_sa_init(&s);
	packet_rewrite(p->w, world_packet(p->w, 0), append_critical, NULL);
	world_drop(p->w, world_packet(p->w, 0));
	assert_true(script_exchange(&s));
	assert_non_null(script_notify(&s, WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD));
	assert_true(node_is_down(p->b));
	script_done(&s);
}

/* An authenticated peer is told that it makes no sense, and both give the SA up (section 2.21.3).
 */
static void unknown_exchanges(void **state)
{
	static const uint8_t exchange[] = { 0,  1,   33,  38,  39,  43,
					    44, 100, 239, 240, 255, WIRE_IKE_AUTH };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exchange); i++) {
		struct pair p;
		struct script s;

		pair_init(&p, 540 + i);
		up_with_script(&p, &s);
		script_begin_id(&s, exchange[i], false, 2);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_INVALID_SYNTAX));
		assert_int_equal(node_counter(p.b, "ike.rx.unexpected"), 1);
		assert_int_equal(p.b->n_children, 0);
		world_advance(p.w, dur_s(60));
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

/* A chain inside good encryption that does not hold together (section 2.21.3). */
static void malformed_inside(void **state)
{
	static const struct {
		uint8_t first;
		uint8_t chain[12];
		size_t n;
		const char *counter;
	} row[] = {
		{ WIRE_P_DELETE, { 0, 0, 0, 3 }, 4, "ike.rx.chain" },
		{ WIRE_P_DELETE, { 0, 0, 0, 200 }, 4, "ike.rx.chain" },
		{ WIRE_P_NONE, { 0, 0, 0, 4 }, 4, "ike.rx.chain" },
		{ WIRE_P_DELETE, { 0, 0, 0, 8, 3, 4, 0, 9 }, 8, "ike.rx.delete" },
		{ WIRE_P_NOTIFY, { 0, 0, 0, 7, 0, 0, 0 }, 7, "ike.rx.notify" },
		{ WIRE_P_SK, { 0, 0, 0, 8, 1, 2, 3, 4 }, 8, "ike.rx.sk_last" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pair p;
		struct script s;

		pair_init(&p, 560 + i);
		up_with_script(&p, &s);
		/* packet_like() takes its SPIs from a message of the script's. */
		script_begin(&s, WIRE_INFORMATIONAL, false);
		script_send(&s);
		packet_like(p.w, world_packet(p.w, 0), WIRE_INFORMATIONAL, false, 2, row[i].first,
			    bytes_of(row[i].chain, row[i].n));
		world_drop(p.w, world_packet(p.w, 0));
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_INVALID_SYNTAX));
		assert_int_equal(node_counter(p.b, row[i].counter), 1);
		/* An authentic peer that talks nonsense is given up. */
		assert_int_equal(p.b->n_children, 0);
		world_advance(p.w, dur_s(60));
		assert_true(node_is_down(p.b));
		script_done(&s);
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncated_in_set_up),
		cmocka_unit_test(changed_in_protected_set_up),
		cmocka_unit_test(changed_init),
		cmocka_unit_test(truncated_against_live),
		cmocka_unit_test(changed_against_live),
		cmocka_unit_test(unprotected_against_live),
		cmocka_unit_test(unprotected_in_set_up),
		pair_test(other_versions),
		pair_test(unknown_spi),
		pair_test(impossible_init),
		pair_test(unknown_payloads),
		pair_test(unknown_critical_in_init),
		cmocka_unit_test(unknown_exchanges),
		cmocka_unit_test(malformed_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
