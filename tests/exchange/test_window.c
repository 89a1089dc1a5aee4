/* The message-ID window (RFC 7296 sections 2.2, 2.3) and what is done with messages while an
 * engine's own work is outstanding: repeated, old, future, forged, responses to nothing.  What is
 * wrong raises a counter and changes nothing (S2). */
#include "exchange/exchange.h"

/* ---- an authenticated peer that does not count properly ------------------------------------ */

static void up_with_script(struct pair *p, struct script *s)
{
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.1", p->b, true);
	script_connect(s);
}

/* Nothing changed and nothing was sent; exactly that counter went up. */
#define only_counts(n, counter, act)                                                               \
	do {                                                                                       \
		char before_[4096], after_[4096];                                                  \
		uint64_t was_ = node_counter(n, counter);                                          \
                                                                                                   \
		node_picture(n, before_, sizeof(before_));                                         \
		act;                                                                               \
		assert_string_equal(node_picture(n, after_, sizeof(after_)), before_);             \
		assert_int_equal(node_counter(n, counter), was_ + 1);                              \
	} while (0)

static void empty_request(struct script *s, uint32_t msgid)
{
	script_begin_id(s, WIRE_INFORMATIONAL, false, msgid);
	script_send(s);
}

static void future_and_old(void **state)
{
	struct pair *p = *state;
	static const uint32_t future[] = { 3, 4, 100, 0x7fffffff, 0x80000000, 0xffffffff };
	struct script s;

	up_with_script(p, &s);
	for (size_t i = 0; i < ARRAY_LEN(future); i++) {
		empty_request(&s, future[i]);
		only_counts(p->b, "ike.rx.future_request", assert_false(script_exchange(&s)));
	}
	empty_request(&s, 0);
	only_counts(p->b, "ike.rx.old_request", assert_false(script_exchange(&s)));
	/* 1 was IKE_AUTH: the same id, other content. */
	empty_request(&s, 1);
	only_counts(p->b, "ike.rx.forged_repeat", assert_false(script_exchange(&s)));
	/* The right one still works. */
	empty_request(&s, 2);
	assert_true(script_exchange(&s) && s.opened);
	empty_request(&s, 1);
	only_counts(p->b, "ike.rx.old_request", assert_false(script_exchange(&s)));
	script_done(&s);
}

static void repeated_request(void **state)
{
	struct pair *p = *state;
	struct packet *request, *answer;
	struct script s;
	long ops;

	up_with_script(p, &s);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	request = packet_keep(script_send(&s));
	assert_true(script_exchange(&s) && s.opened);
	answer = packet_keep(s.packet);
	ops = p->b->n_ops;
	for (int i = 0; i < 3; i++) {
		world_hand_over(p->w, request);
		assert_true(script_take(&s));
		assert_true(bytes_eq(packet_ike(answer), packet_ike(s.packet)));
	}
	assert_int_equal(node_counter(p->b, "ike.rx.repeated_request"), 3);
	assert_int_equal(p->b->n_ops, ops);
	/* After several minutes nobody asks any more: no answer is kept. */
	world_advance(p->w, dur_s(200));
	world_hand_over(p->w, request);
	assert_false(script_take(&s));
	packet_free(request);
	packet_free(answer);
	script_done(&s);
}

/* A delete repeated after the SA is gone meets nobody; nothing happens twice. */
static void repeated_delete(void **state)
{
	struct pair *p = *state;
	struct packet *request;
	struct script s;

	up_with_script(p, &s);
	script_begin(&s, WIRE_INFORMATIONAL, false);
	wire_put_delete(&s.out, WIRE_PROTO_IKE, 0, bytes_of(NULL, 0));
	request = packet_keep(script_send(&s));
	assert_true(script_exchange(&s) && s.opened);
	assert_true(node_is_down(p->b));
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
	world_hand_over(p->w, request);
	assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 1);
	assert_int_equal(node_counter(p->b, "ike.rx.unknown_spi"), 1);
	packet_free(request);
	script_done(&s);
}

/* Ids count for ever; a wrap of the low byte or word is nothing special. */
static void many_requests(void **state)
{
	struct pair *p = *state;
	size_t live;
	struct script s;

	up_with_script(p, &s);
	empty_request(&s, s.next_send++);
	assert_true(script_exchange(&s));
	live = p->b->mem.live;
	for (int i = 0; i < 70000; i++) {
		script_begin(&s, WIRE_INFORMATIONAL, false);
		script_send(&s);
		if (!script_exchange(&s) || !s.opened || s.msg.hdr.msgid != s.next_send - 1)
			fail_msg("request %d", i);
	}
	assert_int_equal(p->b->mem.live, live);
	script_done(&s);
}

static void responses_to_nothing(void **state)
{
	struct pair *p = *state;
	static const uint32_t id[] = { 0, 1, 2, 0xffffffff };
	static const uint8_t exchange[] = { WIRE_INFORMATIONAL, WIRE_IKE_AUTH,
					    WIRE_CREATE_CHILD_SA };
	struct script s;

	up_with_script(p, &s);
	for (size_t i = 0; i < ARRAY_LEN(id); i++)
		for (size_t k = 0; k < ARRAY_LEN(exchange); k++) {
			script_begin_id(&s, exchange[k], true, id[i]);
			script_send(&s);
			only_counts(p->b, "ike.rx.stray_response",
				    assert_false(script_exchange(&s)));
		}
	script_done(&s);
}

/* A request of b's is in flight: only its own response counts, once. */
static void wrong_response(void **state)
{
	struct pair *p = *state;
	struct packet *answer;
	struct script s;

	p->pb->dpd_delay = dur_s(10);
	up_with_script(p, &s);
	while (!script_take(&s))
		assert_true(world_timer(p->w));
	assert_int_equal(s.msg.hdr.msgid, 0);
	script_begin_id(&s, WIRE_INFORMATIONAL, true, 1);
	script_send(&s);
	only_counts(p->b, "ike.rx.stray_response", script_exchange(&s));
	script_begin_id(&s, WIRE_IKE_AUTH, true, 0);
	script_send(&s);
	only_counts(p->b, "ike.rx.stray_response", script_exchange(&s));
	script_begin_id(&s, WIRE_CREATE_CHILD_SA, true, 0);
	script_send(&s);
	only_counts(p->b, "ike.rx.stray_response", script_exchange(&s));
	script_begin_id(&s, WIRE_INFORMATIONAL, true, 0);
	answer = packet_keep(script_send(&s));
	script_exchange(&s);
	only_counts(p->b, "ike.rx.stray_response", world_hand_over(p->w, answer));
	packet_free(answer);
	/* b is content: no retransmission, the next probe after the delay. */
	world_advance(p->w, dur_ms(9999));
	assert_false(script_take(&s));
	world_advance(p->w, dur_ms(1));
	assert_true(script_take(&s));
	assert_int_equal(s.msg.hdr.msgid, 1);
	script_done(&s);
}

/* Messages under the wrong half of the SPI pair, or with the wrong role flag. */
static void wrong_spi_or_role(void **state)
{
	struct pair *p = *state;
	struct script s;

	up_with_script(p, &s);
	s.spi_i ^= 1;
	empty_request(&s, 2);
	only_counts(p->b, "ike.rx.wrong_spi", assert_false(script_exchange(&s)));
	s.spi_i ^= 1;
	s.initiator = false;
	empty_request(&s, 2);
	world_deliver(p->w, world_packet(p->w, 0));
	s.initiator = true;
	assert_int_equal(p->b->n_children, 1);
	world_drop_all(p->w);
	empty_request(&s, 2);
	assert_true(script_exchange(&s) && s.opened);
	script_done(&s);
}

/* ---- every class of message, while each job in turn is outstanding -------------------------- */

enum class {
	SAME_AGAIN, /* the very datagram being worked on */
	SAME_CHANGED, /* the same id, other content */
	FUTURE_REQUEST,
	OLD_REQUEST,
	NEXT_REQUEST, /* what the peer may send only after our answer */
	STRAY_RESPONSE,
	CLEAR_ERROR, /* unprotected N(AUTHENTICATION_FAILED) as a response */
	CLEAR_DELETE,
	GARBAGE, /* behind a right header */
	CLASSES,
};

static const uint8_t auth_failed[] = { 0, 0, 0, 8, 0, 0, 0, 24 };
static const uint8_t delete_ike[] = { 0, 0, 0, 8, 1, 0, 0, 0 };

static struct packet *clear_like(struct world *w, const struct packet *like, uint8_t exchange,
				 bool response, uint8_t first, struct bytes chain)
{
	struct packet *p =
		packet_like(w, like, WIRE_IKE_SA_INIT, response, packet_msgid(like), first, chain);

	p->data[packet_ike(p).p - p->data + 18] = exchange;
	return p;
}

static struct packet *of_class(struct world *w, const struct packet *like, enum class class)
{
	uint32_t id = packet_msgid(like);
	uint8_t exchange = packet_exchange(like);
	bool response = packet_is_response(like);
	struct packet *p;

	switch (class) {
	case SAME_AGAIN: return world_copy(w, like);
	case SAME_CHANGED:
		p = world_copy(w, like);
		p->data[p->n - 1] ^= 1;
		return p;
	case FUTURE_REQUEST:
		return packet_like(w, like, WIRE_INFORMATIONAL, false, id + 5, 0,
				   bytes_of(NULL, 0));
	case OLD_REQUEST:
		return packet_like(w, like, WIRE_INFORMATIONAL, false, id ? id - 1 : 0, 0,
				   bytes_of(NULL, 0));
	case NEXT_REQUEST:
		return packet_like(w, like, WIRE_INFORMATIONAL, false, response ? 0 : id + 1, 0,
				   bytes_of(NULL, 0));
	case STRAY_RESPONSE:
		return packet_like(w, like, WIRE_INFORMATIONAL, true, 7, 0, bytes_of(NULL, 0));
	case CLEAR_ERROR:
		return clear_like(w, like, exchange, true, WIRE_P_NOTIFY, BYTES_OF(auth_failed));
	case CLEAR_DELETE:
		return clear_like(w, like, WIRE_INFORMATIONAL, false, WIRE_P_DELETE,
				  BYTES_OF(delete_ike));
	default:
		p = world_copy(w, like);
		memset(p->data + (packet_ike(p).p - p->data) + WIRE_IKE_HDR_LEN, 0xee,
		       packet_ike(p).n - WIRE_IKE_HDR_LEN);
		return p;
	}
}

/* Which jobs there are: a: key pair, shared secret, own AUTH, peer's AUTH; b: both in one, peer's
 * AUTH, own AUTH. */
static const struct {
	bool at_b;
	unsigned job;
	uint64_t skip; /* classes that mean something else there, as bits */
} stage[] = {
	/* Without b's SPI everything else belongs to no SA, or to another initiator's. */
	{ true, 0, ~(1u << SAME_AGAIN) },
	{ true, 1, 0 },
	{ true, 2, 0 },
	{ false, 1, 0 },
	{ false, 2, 0 },
	{ false, 3, 0 },
};

/* Runs the set-up until that job is held back; the datagram it works on, kept. */
static struct packet *up_to_job(struct pair *p, struct node *n, unsigned job)
{
	struct packet *last = NULL;

	n->hold = HOLD_JOBS;
	connect(p->a);
	for (unsigned done = 0;;) {
		if (node_held(n, PENDING_JOB)) {
			if (done++ == job)
				return last;
			node_answer(n, node_pending(n, PENDING_JOB, 0));
			continue;
		}
		if (world_packet_to(p->w, n) == world_packet(p->w, 0)) {
			packet_free(last);
			last = packet_keep(world_packet(p->w, 0));
		}
		deliver_any(p->w);
	}
}

static void check_pending(size_t s, enum class class, bool certs)
{
	char before[4096], after[4096];
	struct packet *like, *bad;
	struct pair p;
	struct node *n;

	pair_init(&p, 400);
	if (certs)
		pair_certs(&p);
	pair_start(&p);
	n = stage[s].at_b ? p.b : p.a;
	like = up_to_job(&p, n, stage[s].job);
	assert_non_null(like);
	world_drop_all(p.w);
	bad = of_class(p.w, like, class);
	node_picture(n, before, sizeof(before));
	world_deliver(p.w, bad);
	if (strcmp(node_picture(n, after, sizeof(after)), before) != 0)
		print_error("stage %zu, class %d\n", s, class);
	assert_string_equal(after, before);
	packet_free(like);
	node_release(n);
	world_live(p.w, dur_s(30));
	assert_true(pair_is_up(&p));
	pair_done(&p);
}

static void every_message_while_busy(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(stage); s++)
		for (int class = 0; class < CLASSES; class ++)
			for (int certs = 0; certs < 2; certs++)
				if (!(stage[s].skip & 1u << class))
					check_pending(s, (enum class) class, certs);
}

/* The SA ends while a job is outstanding: cancelled; the late result finds nobody. */
static void ended_while_busy(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(stage); s++) {
		struct pair p;
		struct node *n;

		pair_init(&p, 410);
		p.pb->dpd_delay = dur_s(10); /* b may be up already */
		pair_start(&p);
		n = stage[s].at_b ? p.b : p.a;
		packet_free(up_to_job(&p, n, stage[s].job));
		n->late_results = true;
		assert_int_equal(node_command(n, IKE_CMD_SHUTDOWN, 0), ST_OK);
		assert_true(node_pending(n, PENDING_JOB, 0)->cancelled);
		world_run(p.w); /* b, where it is up already, is told */
		assert_true(node_is_down(n));
		node_release(n);
		assert_int_equal(node_counter(n, "ike.host.unknown_job"), 1);
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
}

/* A job that never comes back: half-open SAs expire all the same, an initiator's operator can give
 * up. */
static void job_never_done(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(stage); s++) {
		struct pair p;
		struct node *n;

		pair_init(&p, 420);
		p.pb->dpd_delay = dur_s(10);
		pair_start(&p);
		n = stage[s].at_b ? p.b : p.a;
		packet_free(up_to_job(&p, n, stage[s].job));
		settle(&p);
		assert_true(node_is_down(n));
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(future_and_old),          pair_test(repeated_request),
		pair_test(repeated_delete),         pair_test(many_requests),
		pair_test(responses_to_nothing),    pair_test(wrong_response),
		pair_test(wrong_spi_or_role),       cmocka_unit_test(every_message_while_busy),
		cmocka_unit_test(ended_while_busy), cmocka_unit_test(job_never_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
