/* What must not be relayed (struct dp_child.direct): neither out nor in, whatever becomes of the
 * direct way, of every data plane (S2, R05). */
#include "unit/dp_fixture.h"

#include "dp/common.h"

static uint8_t buf[65536], esp[65536], got[65536];

enum { HUB = 9, PARTNER = 2 };

/* A hub's child at a site: the domain, of which only `relayed` (NULL: nothing) may go by it. */
static struct dp_op hub(const struct dut *d, struct wire_ts *relayed)
{
	struct dp_op op = add_op(d, HUB);

	op.u.child.peer = 1000 + HUB;
	op.u.child.ts_remote = (struct wire_ts_list){ any_ts, 2, 0 };
	op.u.child.direct = true;
	op.u.child.relayed = (struct wire_ts_list){ relayed, relayed ? 2 : 0, 0 };
	return op;
}

static struct dp_op partner(const struct dut *d)
{
	struct dp_op op = add_op(d, PARTNER);

	op.u.child.peer = 1000 + PARTNER;
	return op;
}

static void expect_report(struct dut *d, bool in, const char *src, const char *dst)
{
	struct dp_report r = dut_report(d);
	struct ip a;

	assert_int_equal(r.kind, DP_REPORT_NOT_DIRECT);
	assert_true(r.u.not_direct.peer == 1000 + HUB && r.u.not_direct.in == in);
	assert_int_equal(ip_parse(src, &a), ST_OK);
	assert_true(ip_eq(&r.u.not_direct.src, &a));
	assert_int_equal(ip_parse(dst, &a), ST_OK);
	assert_true(ip_eq(&r.u.not_direct.dst, &a));
}

/* The next one to the network is of that child, and carries that mark; what was refused never
 * comes. */
static void next_is(struct dut *d, dp_child_id child, uint32_t mark)
{
	static struct dp_fake_packet p;
	int i;
	size_t n = net_gets(d, esp, &i);

	assert_int_equal(dp_fake_in(d->far, &d->remote[i], &d->local, bytes_of(esp, n)), ESP_OK);
	assert_true(dp_fake_next_in(d->far, &p));
	assert_true(p.child == child);
	assert_int_equal(load_be32(p.data + (p.data[0] == 0x45 ? 28 : 48)), mark);
}

/* "Administratively prohibited", about a packet to 10.`to`.0.1. */
static void host_is_refused(struct dut *d, uint8_t to)
{
	size_t n = host_gets(d, got);

	assert_true(n >= 48 && is_refusal(got));
	assert_int_equal(got[0], 0x45);
	assert_int_equal(got[28 + 17], to);
}

/* Held, and sent by who takes it: not by the hub, not even another child of the hub's. */
static void waits_for_the_direct_way(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, NULL), again = hub(d, NULL), p = partner(d);

	add_both(d, &h);
	host_sends(d, udp4(buf, 60, 1, 2, 7));
	expect_report(d, false, "10.1.0.1", "10.2.0.1");
	host_sends(d, udp6(buf, 60, 1, 2, 8));
	expect_report(d, false, "2001:db8:1::1", "2001:db8:2::1");
	again.u.child.id = 8;
	again.u.child.spi_in += 100;
	again.u.child.spi_out += 100;
	add_both(d, &again);
	add_both(d, &p);
	next_is(d, PARTNER, 7);
	next_is(d, PARTNER, 8);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 9)) == PARTNER);
	assert_true(dut_counter(d, "tx.not_direct") == 2);
	assert_true(dut_counter(d, "tx.no_sa") == 0 && dut_counter(d, "tx.discard") == 0);
}

static void listed_is_relayed(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, net3_ts);

	add_both(d, &h);
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	assert_true(goes_out(d, udp4(buf, 60, 1, 3, 2)) == HUB);
	assert_true(goes_out(d, udp6(buf, 60, 1, 3, 3)) == HUB);
	expect_report(d, false, "10.1.0.1", "10.2.0.1");
	comes_in(d, udp4(buf, 60, 3, 1, 4));
	assert_true(dut_counter(d, "tx.not_direct") == 1);
	assert_true(dut_counter(d, "esp.rx.not_direct") == 0);
}

/* Of one address so many are held; who is not hears of it, and others are held all the same. */
static void some_of_each_are_held(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, NULL), p = partner(d), three = partner(d);

	add_both(d, &h);
	for (uint32_t i = 0; i < DP_HELD_DIRECT + 2; i++)
		host_sends(d, udp4(buf, 60, 1, 2, i));
	host_is_refused(d, 2);
	host_is_refused(d, 2);
	host_sends(d, udp4(buf, 60, 1, 3, 100));
	host_sends(d, udp4(buf, 60, 1, 2, 100));
	host_is_refused(d, 2);
	assert_true(dut_counter(d, "tx.no_sa") == 3);
	assert_true(dut_counter(d, "tx.not_direct") == DP_HELD_DIRECT + 4);
	(void)dut_reports(d, DP_REPORT_NOT_DIRECT);
	add_both(d, &p);
	for (uint32_t i = 0; i < DP_HELD_DIRECT; i++)
		next_is(d, PARTNER, i);
	three.u.child.id = 3;
	three.u.child.spi_in += 100;
	three.u.child.spi_out += 100;
	three.u.child.ts_remote = (struct wire_ts_list){ net3_ts, 2, 0 };
	add_both(d, &three);
	next_is(d, 3, 100);
}

/* The direct way is suspect, or gone. */
static void not_relayed_when_it_ends(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, NULL), p = partner(d);

	add_both(d, &h);
	add_both(d, &p);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == PARTNER);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, PARTNER)), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 2, 2));
	expect_report(d, false, "10.1.0.1", "10.2.0.1");
	assert_int_equal(dut_op(d, p), ST_OK);
	next_is(d, PARTNER, 2);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, PARTNER)), ST_OK);
	for (uint32_t i = 0; i < DP_HELD_DIRECT + 1; i++)
		host_sends(d, udp4(buf, 60, 1, 2, i));
	host_is_refused(d, 2);
	assert_true(dut_counter(d, "tx.not_direct") == DP_HELD_DIRECT + 2);
}

/* A hub that hands on what others say: it is authentic, and not taken. */
static void nothing_relayed_comes_in(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, net3_ts);
	struct dp_counters c;
	size_t n;

	add_both(d, &h);
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp);
	net_sends(d, 0, bytes_of(esp, n));
	expect_report(d, true, "10.2.0.1", "10.1.0.1");
	comes_in(d, udp4(buf, 60, 3, 1, 2)); /* and nothing before it */
	assert_true(dut_counter(d, "esp.rx.not_direct") == 1);
	assert_true(d->dp->ops->child_counters(d->dp, HUB, &c));
	assert_true(c.dropped_in == 1 && c.packets_in == 1);
}

/* One report of a pair at a time, each way for itself. */
static void reported_once(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, NULL);
	size_t n;

	add_both(d, &h);
	for (uint32_t i = 0; i < 3; i++)
		host_sends(d, udp4(buf, 60, 1, 2, i));
	expect_report(d, false, "10.1.0.1", "10.2.0.1");
	for (uint32_t i = 0; i < 3; i++) {
		n = far_seals(d, udp4(buf, 60, 2, 1, i), esp);
		net_sends(d, 0, bytes_of(esp, n));
	}
	expect_report(d, true, "10.2.0.1", "10.1.0.1");
	if (d->kind == DUT_FAKE)
		assert_int_equal(dut_reports(d, DP_REPORT_NOT_DIRECT), 0);
}

/* The fake's clock; the other data plane's is in test_dp_user.c. */
static void fake_answers_the_stale(void **state)
{
	struct dut *d = *state;
	struct dp_op h = hub(d, NULL), p = partner(d);

	add_both(d, &h);
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	d->clock = mono_add(d->clock, dur_ms(DP_HELD_DIRECT_S * 1000 + 1));
	dp_fake_time(d->dp, d->clock);
	host_sends(d, udp4(buf, 60, 1, 2, 2));
	host_is_refused(d, 2);
	assert_true(dut_counter(d, "tx.no_sa") == 1);
	assert_int_equal(dut_reports(d, DP_REPORT_NOT_DIRECT), 2);
	add_both(d, &p);
	next_is(d, PARTNER, 2);
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
		ALL(waits_for_the_direct_way),
		ALL(listed_is_relayed),
		ALL(some_of_each_are_held),
		ALL(not_relayed_when_it_ends),
		ALL(nothing_relayed_comes_in),
		ALL(reported_once),
		cmocka_unit_test_setup_teardown(fake_answers_the_stale, open_fake, shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
