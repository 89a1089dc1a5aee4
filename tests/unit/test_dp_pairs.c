/*
 * Pairs of addresses in the userspace data plane: rates, tables that are full, a clock that wraps;
 * and children that pause under traffic (P8, T3, R16).
 *
 * But for the last its thread is ended first, and the test takes its turns by hand with a clock of
 * its own.
 */
#include "unit/dp_util.h"

#include <errno.h>
#include <pthread.h>

#include "dp/user/internal.h"

static uint8_t buf[65536];

static struct queue *queue_of(const struct dut *d)
{
	return &CONTAINER_OF(d->dp, struct user, dp)->queue[0];
}

static void set_clock(struct dut *d, int64_t ns)
{
	queue_of(d)->now_ns = ns;
	queue_of(d)->tick = tick_of(ns);
}

static void later(struct dut *d, int64_t ms)
{
	set_clock(d, queue_of(d)->now_ns + dur_ms(ms).ns);
}

/* Members 2 and 3 of a hub have the networks of that number, and the other hub has the domain. */
static void add_members(struct dut *d)
{
	struct wire_ts *ts[] = { any_ts, net2_ts, net3_ts };

	for (dp_child_id id = 1; id <= 3; id++) {
		struct dp_op op = add_op(d, id);

		op.u.child.flows = true;
		op.u.child.ts_local = (struct wire_ts_list){ id == 1 ? net1_ts : any_ts, 2, 0 };
		op.u.child.ts_remote.ts = ts[id - 1];
		add_both(d, &op);
	}
}

static int open_stopped(void **state)
{
	struct dut *d;

	make_selectors();
	d = dut_open(DUT_USER);
	atomic_store(&queue_of(d)->u->stop, true);
	queue_stop(queue_of(d));
	set_clock(d, dur_s(1000).ns);
	add_members(d);
	*state = d;
	return 0;
}

static int open_two_queues(void **state)
{
	make_selectors();
	*state = dut_open(DUT_USER_TWO_QUEUES);
	return 0;
}

static int shut(void **state)
{
	dut_close(*state);
	return 0;
}

/* From the i-th host of one network to the only one of another. */
static void host_talks(struct dut *d, int from, int to, uint32_t i)
{
	static const struct vnet plain;

	udp4(buf, 60, from, to, 1);
	store_be16(buf + 14, (uint16_t)i);
	if (i > UINT16_MAX)
		buf[18] = (uint8_t)(i >> 16);
	tx_packet_in(queue_of(d), &plain, buf, 60);
	tx_flush(queue_of(d));
}

static size_t flows(struct dut *d)
{
	return dut_reports(d, DP_REPORT_FLOW);
}

/* ---- rates --------------------------------------------------------------------------------- */

/* What is too much now comes later, and no other report is lost for it. */
static void reports_have_a_rate(void **state)
{
	enum { PAIRS = 3 * DP_FLOWS_PER_S };
	struct dut *d = *state;

	for (uint32_t i = 0; i < PAIRS; i++)
		host_talks(d, 2, 3, i);
	assert_int_equal(flows(d), DP_FLOWS_PER_S);
	assert_true(dut_counter(d, "flow.later") == PAIRS - DP_FLOWS_PER_S);
	later(d, 500);
	for (uint32_t i = 0; i < PAIRS; i++)
		host_talks(d, 2, 3, i);
	assert_int_equal(flows(d), DP_FLOWS_PER_S / 2);
	assert_true(dut_counter(d, "report.lost") == 0);
}

/* With packets in turn everybody is heard of, and nobody more than once in an interval. */
static void everybody_in_turn(void **state)
{
	enum { PAIRS = 4000, STEP_MS = 100 };
	static int64_t reported[PAIRS];
	struct dut *d = *state;
	struct dp_report r;
	size_t missing = PAIRS;

	memset(reported, 0, sizeof(reported));
	for (uint32_t round = 0; missing; round++) {
		for (uint32_t i = 0; i < PAIRS; i++)
			host_talks(d, 2, 3, (i + round * 997) % PAIRS);
		while (dut_next(d, &r)) {
			uint32_t i = load_be16(r.u.flow.src.b + 2);
			int64_t now = queue_of(d)->now_ns;

			assert_int_equal(r.kind, DP_REPORT_FLOW);
			assert_true(i < PAIRS);
			missing -= reported[i] == 0;
			assert_true(!reported[i] ||
				    now - reported[i] >= dur_ms(DP_FLOW_INTERVAL_MS).ns);
			reported[i] = now;
		}
		later(d, STEP_MS);
		assert_true(round < 1000);
	}
}

/* ---- tables -------------------------------------------------------------------------------- */

/* More pairs than there is room for: who finds none is reported later, and not twice. */
static void no_room(void **state)
{
	enum { CROWD = 200000, PAIRS = 50 };
	struct dut *d = *state;
	size_t now, rest = 0;

	for (uint32_t i = 0; i < CROWD; i++)
		host_talks(d, 1, 3, i); /* nobody's, and no reason for a report */
	assert_int_equal(flows(d), 0);
	assert_in_range(dut_counter(d, "flow.later"), CROWD / 2, CROWD);
	for (int k = 0; k < 2; k++)
		for (uint32_t i = 0; i < PAIRS; i++)
			host_talks(d, 2, 3, i);
	now = flows(d);
	assert_true(now < PAIRS);
	later(d, DP_FLOW_INTERVAL_MS + 100);
	for (uint32_t i = 0; i < PAIRS; i++)
		host_talks(d, 2, 3, i);
	rest = flows(d);
	assert_int_equal(rest, PAIRS);
}

/* Packets that came in push each other out; the last one is always known. */
static void many_came_in(void **state)
{
	enum { CROWD = 50000 };
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	const struct child *hub = ops_child(q->u, 1);
	enum wire_ip_fault why;
	struct wire_ip ip;

	for (uint32_t i = 0; i < CROWD; i++) {
		udp4(buf, 60, 1, 6, 1);
		store_be16(buf + 18, (uint16_t)i);
		assert_int_equal(wire_ip_parse(bytes_of(buf, 60), &ip, &why), ST_OK);
		pair_came(q, hub, &ip);
		assert_false(pair_may_leave(q, hub, &ip));
		assert_true(pair_may_leave(q, ops_child(q->u, 2), &ip)); /* somebody else */
	}
	later(d, DP_REFLECT_MS + 50);
	assert_true(pair_may_leave(q, hub, &ip));
}

/* Of 2^32 ticks, over two years. */
static void ticks_wrap(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	const struct child *hub = ops_child(q->u, 1);
	enum wire_ip_fault why;
	struct wire_ip ip;

	set_clock(d, ((int64_t)UINT32_MAX - 5) << TICK_BITS);
	host_talks(d, 2, 3, 1);
	assert_int_equal(flows(d), 1);
	udp4(buf, 60, 1, 6, 1);
	assert_int_equal(wire_ip_parse(bytes_of(buf, 60), &ip, &why), ST_OK);
	pair_came(q, hub, &ip);
	later(d, 200);
	assert_true(q->tick < 100);
	host_talks(d, 2, 3, 1);
	assert_int_equal(flows(d), 0);
	assert_false(pair_may_leave(q, hub, &ip));
	later(d, DP_FLOW_INTERVAL_MS);
	host_talks(d, 2, 3, 1);
	assert_int_equal(flows(d), 1);
	assert_true(pair_may_leave(q, hub, &ip));
}

/* A ring that is full: it is reported with the next packet. */
static void report_ring_is_full(void **state)
{
	struct dut *d = *state;
	const struct dp_report filler = { .kind = DP_REPORT_UNKNOWN_SPI };

	while (queue_report(queue_of(d), &filler))
		;
	host_talks(d, 2, 3, 1);
	assert_int_equal(flows(d), 0);
	later(d, 100);
	host_talks(d, 2, 3, 1);
	assert_int_equal(flows(d), 1);
}

/* ---- dummies ------------------------------------------------------------------------------- */

/* The child goes before its dummy does. */
static void dummy_without_a_child(void **state)
{
	struct dut *d = *state;
	struct pollfd p = { .fd = d->net[0], .events = POLLIN };

	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 2)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 2)), ST_OK);
	tx_drain_control(queue_of(d));
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 3)), ST_OK);
	tx_drain_control(queue_of(d));
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(ops_child(queue_of(d)->u, 3)->peer->asked, 0);
}

/* More than the queue takes: said so, and those that were taken are sent. */
static void too_many_dummies(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	enum status st;
	uint64_t n = 0;

	while ((st = dut_op(d, id_op(DP_CHILD_DUMMY, 3))) == ST_OK)
		n++;
	assert_int_equal(st, ST_AGAIN);
	tx_drain_control(q);
	assert_true(dut_counter(d, "tx.packets") == n);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 3)), ST_OK);
}

/* ---- PAUSE under traffic ------------------------------------------------------------------- */

enum {
	PAUSE_PACKETS = 20000,
};

static void *talk(void *arg)
{
	struct dut *d = arg;
	uint8_t out[VNET + 60] = { 0 };

	for (uint32_t i = 0; i < PAUSE_PACKETS; i++) {
		struct pollfd p = { .fd = d->tun[i % 2], .events = POLLOUT };

		udp4(out + VNET, 60, 1, 2, i);
		while (write(p.fd, out, sizeof(out)) < 0) {
			assert_int_equal(errno, EAGAIN);
			poll(&p, 1, DEADLINE_MS);
		}
	}
	return NULL;
}

static uint64_t sent_by(struct dut *d, dp_child_id id)
{
	struct dp_counters c;

	assert_true(d->dp->ops->child_counters(d->dp, id, &c));
	return c.packets_out;
}

/* What it would have sent the other one sends; each packet leaves exactly once. */
static void pause_under_traffic(void **state)
{
	struct dut *d = *state;
	struct dp_op hub = add_op(d, 1), direct = add_op(d, 2);
	pthread_t thread;

	hub.u.child.ts_remote.ts = any_ts;
	assert_int_equal(dut_op(d, hub), ST_OK);
	assert_int_equal(dut_op(d, direct), ST_OK);
	assert_int_equal(pthread_create(&thread, NULL, talk, d), 0);
	for (uint32_t i = 0; sent_by(d, 1) + sent_by(d, 2) < PAUSE_PACKETS; i++) {
		assert_int_equal(dut_op(d, i % 2 ? direct : id_op(DP_CHILD_PAUSE, 2)), ST_OK);
		(void)dut_reports(d, DP_REPORT_DONE);
	}
	pthread_join(thread, NULL);
	assert_true(sent_by(d, 1) + sent_by(d, 2) == PAUSE_PACKETS);
	assert_true(sent_by(d, 1) > 0 && sent_by(d, 2) > 0);
	assert_true(dut_counter(d, "tx.discard") == 0 && dut_counter(d, "tx.no_sa") == 0);
}

#define STEP(f) cmocka_unit_test_setup_teardown(f, open_stopped, shut)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STEP(reports_have_a_rate),
		STEP(everybody_in_turn),
		STEP(no_room),
		STEP(many_came_in),
		STEP(ticks_wrap),
		STEP(report_ring_is_full),
		STEP(dummy_without_a_child),
		STEP(too_many_dummies),
		cmocka_unit_test_setup_teardown(pause_under_traffic, open_two_queues, shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
