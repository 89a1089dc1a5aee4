/* Who talks to whom, what proves a child, what is no traffic: FLOW, CARRIES, DUMMY, PAUSE and
 * `since_used` as dp.h promises them, of every data plane (P8, T3, R16). */
#include "unit/dp_fixture.h"

#include <time.h>

#include "dp/common.h"

static uint8_t buf[65536], esp[65536];

/* The time by the clock of the data plane. */
static mono_t time_of(const struct dut *d)
{
	struct timespec t;

	if (d->kind == DUT_FAKE)
		return d->clock;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (mono_t){ dur_s(t.tv_sec).ns + t.tv_nsec };
}

static void later(struct dut *d, int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	if (d->kind != DUT_FAKE) {
		nanosleep(&t, NULL);
		return;
	}
	d->clock = mono_add(d->clock, dur_ms(ms));
	dp_fake_time(d->dp, d->clock);
	dp_fake_look(d->dp);
}

/* A hub's child for a member: it may be sent what anybody of the domain has to say. */
static struct dp_op member(const struct dut *d, dp_child_id id, struct wire_ts *ts)
{
	struct dp_op op = add_op(d, id);

	op.u.child.peer = 1000 + id;
	op.u.child.flows = true;
	op.u.child.ts_local = (struct wire_ts_list){ any_ts, 2, 0 };
	op.u.child.ts_remote.ts = ts;
	return op;
}

/* Members 2 and 3 have the networks of that number, and 9 has everything else. */
static void add_members(struct dut *d)
{
	struct dp_op two = member(d, 2, net2_ts), three = member(d, 3, net3_ts);
	struct dp_op rest = member(d, 9, any_ts);

	add_both(d, &rest);
	add_both(d, &two);
	add_both(d, &three);
}

static struct dp_report next_flow(struct dut *d)
{
	struct dp_report r = dut_report(d);

	assert_int_equal(r.kind, DP_REPORT_FLOW);
	return r;
}

static void expect_flow(struct dut *d, dp_peer_id from, dp_peer_id to, const char *src,
			const char *dst)
{
	struct dp_report r = next_flow(d);
	struct ip a;

	assert_true(r.u.flow.from == from && r.u.flow.to == to);
	assert_int_equal(ip_parse(src, &a), ST_OK);
	assert_true(ip_eq(&r.u.flow.src, &a));
	assert_int_equal(ip_parse(dst, &a), ST_OK);
	assert_true(ip_eq(&r.u.flow.dst, &a));
}

/* How often a pair may have been reported since then. */
static size_t intervals(const struct dut *d, mono_t since)
{
	return 1 + (size_t)(dur_to_ms(mono_since(time_of(d), since)) / DP_FLOW_INTERVAL_MS);
}

/* ---- FLOW ---------------------------------------------------------------------------------- */

static void two_members_talk(void **state)
{
	struct dut *d = *state;

	add_members(d);
	assert_true(d->dp->ops->caps & DP_CAP_FLOW_PAIRS);
	assert_true(goes_out(d, udp4(buf, 60, 2, 3, 1)) == 3);
	expect_flow(d, 1002, 1003, "10.2.0.1", "10.3.0.1");
	assert_true(goes_out(d, udp6(buf, 60, 3, 2, 1)) == 2);
	expect_flow(d, 1003, 1002, "2001:db8:3::1", "2001:db8:2::1");
	/* Sources that nobody has a longer prefix for are of who has the rest. */
	assert_true(goes_out(d, udp4(buf, 60, 7, 3, 1)) == 3);
	expect_flow(d, 1009, 1003, "10.7.0.1", "10.3.0.1");
	assert_true(goes_out(d, udp4(buf, 60, 2, 7, 1)) == 9);
	expect_flow(d, 1002, 1009, "10.2.0.1", "10.7.0.1");
	assert_int_equal(dut_reports(d, DP_REPORT_FLOW), 0);
}

/* What comes from ourselves, what goes to who does not want to know, and what comes and goes by two
 * children of one peer. */
static void nothing_to_report(void **state)
{
	struct dut *d = *state;
	struct dp_op two = member(d, 2, net2_ts), three = member(d, 3, net3_ts);
	struct dp_op again = member(d, 4, net1_ts);

	three.u.child.flows = false;
	again.u.child.peer = two.u.child.peer;
	add_both(d, &two);
	add_both(d, &three);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	assert_true(goes_out(d, udp4(buf, 60, 2, 3, 1)) == 3);
	add_both(d, &again);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 2)) == 2);
	assert_true(goes_out(d, udp4(buf, 60, 3, 2, 1)) == 2);
	expect_flow(d, 1003, 1002, "10.3.0.1", "10.2.0.1");
	assert_int_equal(dut_reports(d, DP_REPORT_FLOW), 0);
}

static void once_in_an_interval(void **state)
{
	struct dut *d = *state;
	mono_t began;
	size_t n = 0;

	add_members(d);
	began = time_of(d);
	for (uint32_t i = 0; i < 200; i++) {
		goes_out(d, udp4(buf, 60, 2, 3, i));
		n += dut_reports(d, DP_REPORT_FLOW);
	}
	assert_in_range(n, 1, intervals(d, began));
	/* And again, as long as it lasts. */
	while (n == 1) {
		later(d, 10);
		goes_out(d, udp4(buf, 60, 2, 3, 1));
		n += dut_reports(d, DP_REPORT_FLOW);
	}
	assert_in_range(n, 2, intervals(d, began));
}

/* Of all pairs of 8 hosts here and 8 there each is reported, and none twice. */
static void many_pairs_at_once(void **state)
{
	enum { HOSTS = 8, PAIRS = HOSTS * HOSTS };
	struct dut *d = *state;
	size_t seen[PAIRS] = { 0 };
	mono_t began;

	add_members(d);
	began = time_of(d);
	for (int round = 0; round < 3; round++)
		for (uint32_t i = 0; i < PAIRS; i++) {
			udp4(buf, 60, 2, 3, i);
			buf[15] = (uint8_t)(i / HOSTS);
			buf[19] = (uint8_t)(i % HOSTS);
			goes_out(d, bytes_of(buf, 60));
		}
	goes_out(d, udp6(buf, 60, 2, 3, 1)); /* behind it all are there */
	for (;;) {
		struct dp_report r = next_flow(d);

		if (r.u.flow.src.family == 6)
			break;
		seen[r.u.flow.src.b[3] * HOSTS + r.u.flow.dst.b[3]]++;
	}
	for (uint32_t i = 0; i < PAIRS; i++)
		assert_in_range(seen[i], 1, intervals(d, began));
}

/* The same addresses are somebody else's now: they are a pair all the same. */
static void source_moves(void **state)
{
	struct dut *d = *state;
	struct dp_op two = member(d, 4, net2_ts);
	struct dp_report r;

	add_members(d);
	goes_out(d, udp4(buf, 60, 2, 3, 1));
	expect_flow(d, 1002, 1003, "10.2.0.1", "10.3.0.1");
	add_both(d, &two);
	do {
		later(d, 10);
		goes_out(d, udp4(buf, 60, 2, 3, 1));
	} while (!dut_next(d, &r));
	assert_int_equal(r.kind, DP_REPORT_FLOW);
	assert_true(r.u.flow.from == 1004 && r.u.flow.to == 1003);
}

/* The fake's clock stands still; the other data plane's is in test_dp_user.c. */
static void fake_limits_flows(void **state)
{
	enum { PAIRS = 3 * DP_FLOWS_PER_S };
	struct dut *d = *state;
	size_t n = 0;

	add_members(d);
	for (int s = 1; s <= 4; s++) {
		for (uint32_t i = 0; i < PAIRS; i++) {
			udp4(buf, 60, 2, 3, i);
			store_be16(buf + 14, (uint16_t)i);
			host_sends(d, bytes_of(buf, 60));
		}
		n = dut_reports(d, DP_REPORT_FLOW);
		assert_int_equal(n, DP_FLOWS_PER_S);
		later(d, 1000);
	}
}

/* ---- reflected packets --------------------------------------------------------------------- */

/* The other hub has the same domain as we, and nobody has the destination. */
static void add_hub(struct dut *d)
{
	struct dp_op hub = member(d, 9, any_ts);

	add_both(d, &hub);
}

static void two_hubs(void **state)
{
	struct dut *d = *state;
	size_t n;

	add_hub(d);
	for (uint32_t i = 1; i <= 3; i++) {
		comes_in(d, udp4(buf, 60, 5, 6, i));
		host_sends(d, udp4(buf, 60, 5, 6, i)); /* as the host forwards it */
		if (d->kind != DUT_FAKE) {
			n = host_gets(d, buf); /* its sender is told */
			assert_int_equal(buf[9], WIRE_IP_ICMP);
			assert_int_equal(load_be16(buf + 20), 0x0301);
			assert_memory_equal(buf + 16, buf + 28 + 12, 4);
			/* ... along that way, which is no reflection */
			assert_true(goes_out(d, bytes_of(buf, n)) == 9);
		}
	}
	comes_in(d, udp6(buf, 60, 5, 6, 4));
	host_sends(d, udp6(buf, 60, 5, 6, 4));
	if (d->kind != DUT_FAKE)
		assert_true(host_gets(d, buf) > 0);
	/* Our own hosts talk to theirs, whatever the routes say of their addresses. */
	assert_true(goes_out(d, udp4(buf, 60, 6, 5, 5)) == 9);
	assert_true(goes_out(d, udp4(buf, 60, 5, 7, 6)) == 9);
	assert_true(dut_counter(d, "tx.reflected") == 4);
	assert_true(dut_counter(d, "tx.discard") == 0);
}

/* What came in from one peer may leave to another, and from that to the first. */
static void in_by_one_out_by_another(void **state)
{
	struct dut *d = *state;
	struct dp_op two = member(d, 2, net2_ts);

	add_hub(d);
	add_both(d, &two);
	comes_in(d, udp4(buf, 60, 6, 2, 1));
	assert_true(goes_out(d, udp4(buf, 60, 6, 2, 1)) == 2);
	assert_true(goes_out(d, udp4(buf, 60, 2, 6, 1)) == 9);
	assert_int_equal(dut_reports(d, DP_REPORT_FLOW), 2);
	/* The member goes: now it would go back. */
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, 2)), ST_OK);
	assert_true(dut_counter(d, "tx.reflected") == 0);
	comes_in(d, udp4(buf, 60, 6, 2, 2));
	host_sends(d, udp4(buf, 60, 6, 2, 2));
	assert_true(goes_out(d, udp4(buf, 60, 1, 6, 1)) == 9);
	assert_true(dut_counter(d, "tx.reflected") == 1);
}

/* It was long ago, or the peer's children do not ask for it. */
static void not_reflected(void **state)
{
	struct dut *d = *state;
	struct dp_op plain = member(d, 9, any_ts);

	plain.u.child.flows = false;
	add_both(d, &plain);
	comes_in(d, udp4(buf, 60, 5, 6, 1));
	assert_true(goes_out(d, udp4(buf, 60, 5, 6, 1)) == 9);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 9)), ST_OK);
	d->far->ops->submit(d->far, &(struct dp_op){ .kind = DP_CHILD_DEL, .u.id = 9 });
	add_hub(d);
	comes_in(d, udp4(buf, 60, 5, 6, 2));
	later(d, 2 * DP_REFLECT_MS);
	assert_true(goes_out(d, udp4(buf, 60, 5, 6, 2)) == 9);
	assert_true(dut_counter(d, "tx.reflected") == 0);
}

/* ---- CARRIES and DUMMY --------------------------------------------------------------------- */

/* Child 9 to network 3, which asks for nothing: behind it, what came before has been seen. */
static void add_marker(struct dut *d)
{
	struct dp_op op = add_op(d, 9);

	op.u.child.ts_remote.ts = net3_ts;
	add_both(d, &op);
}

static void marker_in(struct dut *d)
{
	static uint8_t b[64];

	comes_in(d, udp4(b, 60, 3, 1, 78));
}

static void expect_carries(struct dut *d, dp_child_id id)
{
	struct dp_report r = dut_report(d);

	assert_int_equal(r.kind, DP_REPORT_CARRIES);
	assert_true(r.u.carries.id == id);
}

static struct dp_counters counters_of(struct dut *d, dp_child_id id)
{
	struct dp_counters c;

	assert_true(d->dp->ops->child_counters(d->dp, id, &c));
	return c;
}

/* A dummy of the far end's child, as it leaves there. */
static size_t far_dummy(struct dut *d, dp_child_id id, uint8_t *ret)
{
	static struct dp_fake_packet p;
	struct dp_op op = id_op(DP_CHILD_DUMMY, id);

	assert_int_equal(d->far->ops->submit(d->far, &op), ST_OK);
	assert_true(dp_fake_next_out(d->far, &p));
	memcpy(ret, p.data, p.n);
	return p.n;
}

/* The next packet to the network is a dummy that the far end takes for one. */
static void expect_dummy(struct dut *d)
{
	static struct dp_fake_packet p;
	int i;
	size_t n = net_gets(d, esp, &i);

	assert_int_equal(dp_fake_in(d->far, &d->remote[i], &d->local, bytes_of(esp, n)),
			 ESP_F_DUMMY);
	assert_false(dp_fake_next_in(d->far, &p));
}

static void first_authentic_packet_proves(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	size_t n;

	op.u.child.proves = true;
	op.u.child.outbound = false;
	add_marker(d);
	assert_int_equal(dut_op(d, op), ST_OK);
	op.u.child.outbound = true;
	far_add(d, &op);
	marker_in(d);
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp);
	esp[n - 1] ^= 1;
	net_sends(d, 0, bytes_of(esp, n)); /* anybody could have sent that */
	marker_in(d);
	assert_int_equal(dut_reports(d, DP_REPORT_CARRIES), 0);
	esp[n - 1] ^= 1;
	net_sends(d, 0, bytes_of(esp, n));
	assert_int_equal(host_gets(d, buf), 60);
	expect_carries(d, 1);
	net_sends(d, 0, bytes_of(esp, n));
	comes_in(d, udp4(buf, 60, 2, 1, 2));
	marker_in(d);
	assert_int_equal(dut_reports(d, DP_REPORT_CARRIES), 0); /* once */
}

static void dummy_proves(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_counters c;
	size_t n;

	op.u.child.proves = op.u.child.ceases = true;
	add_marker(d);
	add_both(d, &op);
	later(d, 100);
	for (int i = 0; i < 3; i++) {
		n = far_dummy(d, 1, esp);
		net_sends(d, 0, bytes_of(esp, n));
	}
	marker_in(d);
	expect_carries(d, 1);
	assert_int_equal(dut_reports(d, DP_REPORT_CARRIES), 0);
	assert_true(dut_counter(d, "esp.rx.dummy") == 3);
	c = counters_of(d, 1);
	assert_true(c.packets_in == 0 && c.bytes_in == 0 && c.dropped_in == 0);
	/* It was heard, and is no traffic that could cease. */
	assert_true(c.since_in.ns < c.since_out.ns);
	later(d, DP_CEASED_MS + 200);
	assert_int_equal(dut_reports(d, DP_REPORT_CARRIES), 0);
	assert_int_equal(d->n_ceased, 0);
}

/* On a child that sends, on one that only receives as yet, and on one that is to be quiet. */
static void dummy_is_sent(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_counters c;

	op.u.child.outbound = false;
	op.u.child.soft_packets = 2;
	assert_int_equal(dut_op(d, op), ST_OK);
	far_add(d, &op);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 1)), ST_OK);
	expect_dummy(d);
	assert_int_equal(dut_op(d, add_op(d, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 1)), ST_OK);
	expect_dummy(d);
	later(d, DP_SILENCE_MS + 100); /* nobody owes an answer */
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	assert_int_equal(d->n_silent, 0);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 1)), ST_OK);
	expect_dummy(d);
	c = counters_of(d, 1);
	assert_true(c.packets_out == 1 && c.bytes_out == 60);
	assert_int_equal(dut_reports(d, DP_REPORT_EXPIRE), 0);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 1)), ST_INVAL);
}

/* Between packets of the same child. */
static void dummies_among_packets(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	size_t dummies = 0, packets = 0;

	add_both(d, &op);
	for (uint32_t i = 0; i < 20; i++) {
		host_sends(d, udp4(buf, 60, 1, 2, i));
		assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 1)), ST_OK);
	}
	while (dummies + packets < 40) {
		int i;
		size_t n = net_gets(d, esp, &i);

		switch (dp_fake_in(d->far, &d->remote[i], &d->local, bytes_of(esp, n))) {
		case ESP_F_DUMMY: dummies++; break;
		case ESP_OK: packets++; break;
		default: fail_msg("neither a dummy nor a packet");
		}
	}
	assert_int_equal(dummies, 20);
	assert_true(counters_of(d, 1).packets_out == 20);
}

/* ---- PAUSE --------------------------------------------------------------------------------- */

static void paused_goes_by_the_next_best(void **state)
{
	struct dut *d = *state;
	struct dp_op hub = add_op(d, 1), direct = add_op(d, 2);

	hub.u.child.ts_remote.ts = any_ts;
	add_both(d, &hub);
	add_both(d, &direct);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(goes_out(d, udp4(buf, 60, 1, 2, i)) == 2);
		assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_OK);
		assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_OK);
		assert_true(goes_out(d, udp4(buf, 60, 1, 2, i)) == 1);
		assert_true(goes_out(d, udp6(buf, 60, 1, 2, i)) == 1);
		comes_in(d, udp4(buf, 60, 2, 1, i)); /* the far end's newest is that one */
		assert_int_equal(dut_op(d, add_op(d, 2)), ST_OK);
	}
	assert_true(counters_of(d, 2).packets_in == 3);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 9)) == 2);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, 2)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_OK);
	assert_int_equal(dut_op(d, add_op(d, 2)), ST_INVAL); /* for good */
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 9)) == 1);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 2)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 2)), ST_INVAL);
}

/* Without another way a trap keeps what it has, and what comes. */
static void paused_is_held(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	static struct dp_fake_packet p;
	struct dp_report r;

	add_both(d, &op);
	assert_int_equal(dut_op(d, trap_op(1, net2_ts)), ST_OK);
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 1)), ST_OK);
	for (uint32_t i = 0; i < 3; i++)
		host_sends(d, udp4(buf, 60 + i, 1, 2, i));
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_ACQUIRE);
	assert_int_equal(dut_op(d, op), ST_OK);
	for (uint32_t i = 0; i < 3; i++) {
		int from;
		size_t n = net_gets(d, esp, &from);

		assert_int_equal(dp_fake_in(d->far, &d->remote[0], &d->local, bytes_of(esp, n)),
				 ESP_OK);
		assert_true(dp_fake_next_in(d->far, &p));
	}
	assert_true(dut_counter(d, "tx.no_sa") == 0 && dut_counter(d, "tx.discard") == 0);
}

/* A child that is told to begin again is the one that began last. */
static void begins_again_as_the_last(void **state)
{
	struct dut *d = *state;
	struct dp_op one = add_op(d, 1), two = add_op(d, 2);

	add_both(d, &one);
	add_both(d, &two);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_PAUSE, 1)), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	assert_int_equal(dut_op(d, one), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
}

/* ---- what counts --------------------------------------------------------------------------- */

static void what_counts(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t sport, dport;
		bool counts;
	} rows[] = {
		{ 89, 0, 0, false },
		{ 88, 0, 0, false },
		{ 103, 0, 0, false },
		{ 112, 0, 0, false },
		{ 2, 0, 0, false },
		{ 124, 0, 0, false },
		{ 47, 0, 0, true },
		{ 4, 0, 0, true },
		{ 132, 179, 179, true },
		{ 50, 0, 0, true },
		{ 6, 40000, 179, false },
		{ 6, 179, 40000, false },
		{ 6, 40000, 443, true },
		{ 6, 0, 0, true },
		{ 17, 40000, 179, true },
		{ 6, 646, 40000, false },
		{ 6, 40000, 646, false },
		{ 17, 646, 646, false },
		{ 17, 49152, 3784, false },
		{ 17, 49152, 3785, false },
		{ 17, 49152, 4784, false },
		{ 17, 49152, 6784, false },
		{ 17, 3784, 53, true },
		{ 6, 49152, 3784, true },
		{ 17, 520, 520, false },
		{ 17, 40000, 520, false },
		{ 17, 520, 40000, false },
		{ 17, 521, 521, false },
		{ 6, 520, 520, true },
		{ 17, 40000, 53, true },
		{ 17, 0, 0, true },
		{ 1, 8 << 8, 8 << 8, true },
		{ 1, 0, 0, true },
		{ 1, 9 << 8, 9 << 8, false },
		{ 1, 10 << 8, 10 << 8, false },
		{ 58, 128 << 8, 128 << 8, true },
		{ 58, 129 << 8, 129 << 8, true },
		{ 58, 133 << 8, 133 << 8, false },
		{ 58, 135 << 8, 135 << 8, false },
		{ 58, 137 << 8, 137 << 8, false },
		{ 58, 130 << 8, 130 << 8, false },
		{ 58, 143 << 8, 143 << 8, false },
		{ 58, 144 << 8, 144 << 8, true },
		{ 58, 1 << 8, 1 << 8, true },
		{ 58, 0, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (dp_counts(rows[i].proto, rows[i].sport, rows[i].dport) != rows[i].counts)
			fail_msg("protocol %u, ports %u and %u", rows[i].proto, rows[i].sport,
				 rows[i].dport);
}

/* A packet of that protocol between those ports, which stand for a type in ICMP. */
static struct bytes packet4(int from, int to, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct bytes p = udp4(buf, 60, from, to, 1);

	buf[9] = proto;
	store_be16(buf + 10, 0);
	store_be16(buf + 10, wire_checksum(bytes_of(buf, 20)));
	store_be16(buf + 20, sport);
	store_be16(buf + 22, dport);
	store_be16(buf + 26, 0);
	if (proto == WIRE_IP_TCP)
		buf[32] = 0x50;
	return p;
}

static struct bytes packet6(int from, int to, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct bytes p = udp6(buf, 100, from, to, 1);

	buf[6] = proto;
	store_be16(buf + 40, sport);
	store_be16(buf + 42, dport);
	if (proto == WIRE_IP_TCP)
		buf[52] = 0x50;
	return p;
}

struct sample {
	uint8_t proto;
	uint16_t sport, dport;
};

static struct bytes sample_of(const struct sample *s, bool six, int from, int to)
{
	return six ? packet6(from, to, s->proto, s->sport, s->dport)
		   : packet4(from, to, s->proto, s->sport, s->dport);
}

/* Both ways; the last is behind what came in, which is counted by then. */
static void carry(struct dut *d, const struct sample *s, bool six)
{
	goes_out(d, sample_of(s, six, 1, 2));
	comes_in(d, sample_of(s, six, 2, 1));
	marker_in(d);
}

static int64_t unused_ms(struct dut *d)
{
	return dur_to_ms(counters_of(d, 1).since_used);
}

static void idle(void **state)
{
	static const struct sample none[] = {
		{ 89, 0, 0 },      { 17, 49152, 3784 }, { 6, 179, 40000 },
		{ 6, 40000, 179 }, { 103, 0, 0 },
	};
	static const struct sample some[] = {
		{ 6, 40000, 443 },   { 17, 40000, 53 }, { 1, 8 << 8, 0 },
		{ 58, 128 << 8, 0 }, { 47, 0, 0 },
	};
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1), twin = add_op(d, 2);

	op.u.child.counts = true;
	add_marker(d);
	add_both(d, &op);
	for (size_t i = 0; i < ARRAY_LEN(some); i++)
		for (int way = 0; way < 4; way++) {
			bool six = way & 1;
			mono_t began;

			if (some[i].proto == (six ? 1 : 58))
				continue;
			later(d, 60);
			assert_true(unused_ms(d) >= 34); /* to a fraction of what we waited */
			for (size_t k = 0; k < ARRAY_LEN(none); k++)
				carry(d, &none[k], six);
			assert_true(unused_ms(d) >= 34);
			began = time_of(d);
			if (way & 2)
				goes_out(d, sample_of(&some[i], six, 1, 2));
			else
				comes_in(d, sample_of(&some[i], six, 2, 1));
			marker_in(d);
			assert_true(unused_ms(d) <= dur_to_ms(mono_since(time_of(d), began)) + 17);
		}
	/* Dummies are nobody's traffic, and every child has its own time. */
	later(d, 60);
	twin.u.child.peer = 1;
	add_both(d, &twin);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DUMMY, 1)), ST_OK);
	expect_dummy(d);
	net_sends(d, 0, bytes_of(esp, far_dummy(d, 1, esp)));
	goes_out(d, packet4(1, 2, WIRE_IP_TCP, 40000, 443));
	comes_in(d, packet4(2, 1, WIRE_IP_TCP, 443, 40000));
	marker_in(d);
	assert_true(unused_ms(d) >= 34);
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
		ALL(two_members_talk),
		ALL(nothing_to_report),
		ALL(once_in_an_interval),
		ALL(many_pairs_at_once),
		ALL(source_moves),
		cmocka_unit_test_setup_teardown(fake_limits_flows, open_fake, shut),
		ALL(two_hubs),
		ALL(in_by_one_out_by_another),
		ALL(not_reflected),
		ALL(first_authentic_packet_proves),
		ALL(dummy_proves),
		ALL(dummy_is_sent),
		ALL(dummies_among_packets),
		ALL(paused_goes_by_the_next_best),
		ALL(paused_is_held),
		ALL(begins_again_as_the_last),
		cmocka_unit_test(what_counts),
		ALL(idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
