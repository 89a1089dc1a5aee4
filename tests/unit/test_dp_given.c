/* What peers are given: prefixes beside the selectors of their children, as dp.h promises it, of
 * every data plane (R16). */
#include "unit/dp_fixture.h"

#include <errno.h>
#include <pthread.h>

static uint8_t buf[65536];

/* Peer 1000 + id, by that child. */
static struct dp_op hub_op(const struct dut *d, dp_child_id id, struct wire_ts *ts)
{
	struct dp_op op = add_op(d, id);

	op.u.child.peer = 1000 + id;
	op.u.child.ts_local = (struct wire_ts_list){ any_ts, 2, 0 };
	op.u.child.ts_remote.ts = ts;
	return op;
}

static struct dp_op given_op(dp_peer_id peer, const char *prefix, enum dp_given given)
{
	struct dp_op op = { .kind = DP_PEER_PREFIX };

	op.u.given.peer = peer;
	op.u.given.given = given;
	assert_int_equal(prefix_parse(prefix, &op.u.given.prefix), ST_OK);
	return op;
}

static struct dp_op only_op(dp_peer_id peer, bool on)
{
	struct dp_op op = { .kind = DP_PEER_GIVEN_ONLY };

	op.u.given_only.peer = peer;
	op.u.given_only.on = on;
	return op;
}

/* For network `to`: child `by`, 0: refused. */
static void goes_by(struct dut *d, int to, dp_child_id by)
{
	uint64_t before = dut_counter(d, "tx.discard");

	if (by) {
		assert_true(goes_out(d, udp4(buf, 60, 1, to, (uint32_t)by)) == by);
		return;
	}
	host_sends(d, udp4(buf, 60, 1, to, 0));
	if (d->kind != DUT_FAKE)
		assert_true(host_gets(d, buf) > 0); /* its sender is told */
	assert_true(dut_counter(d, "tx.discard") == before + 1);
}

/* Two hubs whose selectors are the same: the one that was given a prefix gets it. */
static void given_to_a_hub(void **state)
{
	struct dut *d = *state;
	struct dp_op first = hub_op(d, 1, any_ts), second = hub_op(d, 2, any_ts);

	/* Before it has a child, and again: it is the same. */
	assert_int_equal(dut_op(d, given_op(1001, "10.5.0.0/16", DP_GIVEN_LAST)), ST_OK);
	assert_int_equal(dut_op(d, given_op(1001, "10.5.0.0/16", DP_GIVEN_FIRST)), ST_OK);
	goes_by(d, 5, 0);
	add_both(d, &first);
	add_both(d, &second);
	goes_by(d, 5, 1);
	goes_by(d, 6, 2); /* began last */
	assert_int_equal(dut_op(d, given_op(1002, "10.6.0.0/16", DP_GIVEN_LAST)), ST_OK);
	assert_int_equal(dut_op(d, only_op(1001, true)), ST_OK);
	assert_int_equal(dut_op(d, only_op(1002, true)), ST_OK);
	assert_int_equal(dut_op(d, only_op(1002, true)), ST_OK);
	goes_by(d, 5, 1);
	goes_by(d, 6, 2);
	goes_by(d, 7, 0);
	/* The newest is asked first; then the other one again. */
	assert_int_equal(dut_op(d, given_op(1002, "10.5.0.0/16", DP_GIVEN_FIRST)), ST_OK);
	goes_by(d, 5, 2);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_OK);
	goes_by(d, 5, 1);
	goes_by(d, 6, 0);
	second.op++;
	assert_int_equal(dut_op(d, second), ST_OK);
	goes_by(d, 5, 2);
	assert_int_equal(dut_op(d, given_op(1002, "10.5.0.0/16", DP_GIVEN_NOT)), ST_OK);
	assert_int_equal(dut_op(d, given_op(1002, "10.5.0.0/16", DP_GIVEN_NOT)), ST_OK);
	goes_by(d, 5, 1);
	/* Not only, and nothing that it was given. */
	assert_int_equal(dut_op(d, only_op(1001, false)), ST_OK);
	goes_by(d, 5, 1);
	goes_by(d, 7, 1);
	goes_by(d, 6, 2);
	assert_int_equal(dut_op(d, only_op(1002, false)), ST_OK);
	goes_by(d, 6, 2);
	assert_int_equal(dut_op(d, only_op(7777, false)), ST_OK);
	assert_int_equal(dut_op(d, given_op(7777, "10.5.0.0/16", DP_GIVEN_NOT)), ST_OK);
}

/* A child of that very prefix stands between what is given first and what is given last; a longer
 * prefix is ahead of both. */
static void given_before_and_behind(void **state)
{
	struct dut *d = *state;
	struct dp_op hub = hub_op(d, 1, any_ts), own = hub_op(d, 2, net2_ts);

	add_both(d, &own);
	add_both(d, &hub);
	assert_int_equal(dut_op(d, only_op(1001, true)), ST_OK);
	assert_int_equal(dut_op(d, given_op(1001, "10.2.0.0/16", DP_GIVEN_LAST)), ST_OK);
	goes_by(d, 2, 2);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_OK);
	goes_by(d, 2, 1);
	assert_int_equal(dut_op(d, own), ST_OK);
	goes_by(d, 2, 2);
	assert_int_equal(dut_op(d, given_op(1001, "10.2.0.0/16", DP_GIVEN_FIRST)), ST_OK);
	goes_by(d, 2, 1);
	assert_int_equal(dut_op(d, given_op(1001, "10.2.0.0/16", DP_GIVEN_NOT)), ST_OK);
	goes_by(d, 2, 2);
	assert_int_equal(dut_op(d, given_op(1001, "10.2.0.0/24", DP_GIVEN_LAST)), ST_OK);
	goes_by(d, 2, 1);
}

/* One child takes another's place, and goes: not a word about prefixes. */
static void given_for_good(void **state)
{
	struct dut *d = *state;
	struct dp_op op = hub_op(d, 1, any_ts);

	assert_int_equal(dut_op(d, only_op(1001, true)), ST_OK);
	assert_int_equal(dut_op(d, trap_op(1001, any_ts)), ST_OK);
	goes_by(d, 5, 0);
	assert_int_equal(dut_op(d, given_op(1001, "10.5.0.0/16", DP_GIVEN_LAST)), ST_OK);
	add_both(d, &op);
	for (dp_child_id id = 2; id < 6; id++) {
		struct dp_op next = hub_op(d, id, any_ts);

		next.u.child.peer = 1001;
		add_both(d, &next);
		goes_by(d, 5, id);
		assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, id - 1)), ST_OK);
		goes_by(d, 5, id);
		assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, id - 1)), ST_OK);
		goes_by(d, 5, id);
		goes_by(d, 6, 0);
	}
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 5)), ST_OK);
	goes_by(d, 5, 0);
	op = hub_op(d, 9, any_ts);
	op.u.child.peer = 1001;
	add_both(d, &op);
	goes_by(d, 5, 9);
	goes_by(d, 6, 0);
}

/* Without memory it is as it was. */
static void given_without_memory(void **state)
{
	struct dut *d = *state;
	struct dp_op op = hub_op(d, 1, any_ts);

	add_both(d, &op);
	assert_int_equal(dut_op(d, only_op(1001, true)), ST_OK);
	for (long n = 0;; n++) {
		struct dp_op give = given_op(1001, "10.5.0.0/16", DP_GIVEN_LAST);
		struct dp_op also = given_op(1002, "10.6.0.0/16", DP_GIVEN_LAST);
		enum status st, st2;

		atomic_store(&dut_count.left, n);
		st = dut_op(d, give);
		atomic_store(&dut_count.left, n);
		st2 = dut_op(d, also);
		atomic_store(&dut_count.left, -1);
		if (!st && !st2)
			break;
		assert_true(!st || st == ST_NOMEM);
		goes_by(d, 5, st ? 0 : 1);
		assert_int_equal(dut_op(d, given_op(1001, "10.5.0.0/16", DP_GIVEN_NOT)), ST_OK);
		assert_int_equal(dut_op(d, given_op(1002, "10.6.0.0/16", DP_GIVEN_NOT)), ST_OK);
		assert_in_range(n, 0, 100);
	}
	goes_by(d, 5, 1);
}

/* ---- under traffic ------------------------------------------------------------------------- */

enum {
	PACKETS = 20000,
};

static void *talk(void *arg)
{
	struct dut *d = arg;
	uint8_t out[VNET + 60] = { 0 };

	for (uint32_t i = 0; i < PACKETS; i++) {
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

/* Given to and fro while packets go, and the peer forgotten in between: each leaves exactly once.
 */
static void given_under_traffic(void **state)
{
	static const enum dp_given turn[] = { DP_GIVEN_FIRST, DP_GIVEN_LAST, DP_GIVEN_NOT };
	struct dut *d = *state;
	struct dp_op hub = hub_op(d, 1, any_ts), other = hub_op(d, 2, any_ts);
	pthread_t thread;

	other.u.child.outbound = false;
	assert_int_equal(dut_op(d, other), ST_OK);
	assert_int_equal(dut_op(d, hub), ST_OK);
	other.u.child.outbound = true;
	assert_int_equal(pthread_create(&thread, NULL, talk, d), 0);
	for (uint32_t i = 0; sent_by(d, 1) + sent_by(d, 2) < PACKETS; i++) {
		struct dp_op op = given_op(1002, "10.2.0.0/16", turn[i % 3]);

		assert_int_equal(dut_op(d, op), ST_OK);
		op = i % 5 == 4 ? id_op(DP_CHILD_PAUSE, 2) : other;
		op = i % 7 == 6 ? only_op(1002, i % 2) : op;
		assert_int_equal(dut_op(d, op), ST_OK);
		(void)dut_reports(d, DP_REPORT_DONE);
	}
	pthread_join(thread, NULL);
	assert_true(sent_by(d, 1) + sent_by(d, 2) == PACKETS);
	assert_true(sent_by(d, 1) > 0 && sent_by(d, 2) > 0);
	assert_true(dut_counter(d, "tx.discard") == 0 && dut_counter(d, "tx.no_sa") == 0);
}

#define ALL(f)                                                                                     \
	cmocka_unit_test_setup_teardown(f, open_fake, shut),                                       \
		{ #f " (user)", f, open_user, shut, NULL },                                        \
	{                                                                                          \
#f " (user, two queues)", f, open_two_queues, shut, NULL                           \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(given_to_a_hub),
		ALL(given_before_and_behind),
		ALL(given_for_good),
		ALL(given_without_memory),
		cmocka_unit_test_setup_teardown(given_under_traffic, open_two_queues, shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
