/* DP_REPORT_SILENT and CEASED, and the times that QUERY gives, as dp.h promises them, of every data
 * plane; and to the millisecond of the fake, whose clock is ours (P9, V10). */
#include "unit/dp_fixture.h"

#include <time.h>

static uint8_t buf[65536], esp[65536];

/* A little later: the fake's clock is set, the other one is waited for. */
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

/* The next SILENT, however long it takes; `send` is called meanwhile, again and again. */
static dp_child_id silent(struct dut *d, void (*send)(struct dut *))
{
	struct dp_report r;
	size_t before = d->n_silent;

	for (int i = 0; i < DEADLINE_MS / 10; i++) {
		if (send)
			send(d);
		later(d, 10);
		assert_false(dut_next(d, &r));
		if (d->n_silent > before)
			return d->silent;
	}
	fail_msg("nobody is said to be silent");
	return 0;
}

static void to_network2(struct dut *d)
{
	goes_out(d, udp4(buf, 60, 1, 2, 1));
}

static void from_network2(struct dut *d)
{
	comes_in(d, udp4(buf, 60, 2, 1, 1));
}

static void from_marker(struct dut *d)
{
	comes_in(d, udp4(buf, 60, 3, 1, 2));
}

/* The next CEASED, however long it takes. */
static dp_child_id ceased(struct dut *d)
{
	struct dp_report r;
	size_t before = d->n_ceased;

	for (int i = 0; i < DEADLINE_MS / 10; i++) {
		later(d, 10);
		assert_false(dut_next(d, &r));
		if (d->n_ceased > before)
			return d->ceased;
	}
	fail_msg("nobody's traffic is said to have ceased");
	return 0;
}

static int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A packet, and an answer in time; on a machine that stood still meanwhile once more. */
static void asked_and_heard(struct dut *d)
{
	struct dp_report r;
	int64_t began;

	do {
		began = clock_ms();
		to_network2(d);
		later(d, 60);
		from_network2(d);
	} while (clock_ms() - began > DP_SILENCE_MS / 2);
	assert_false(dut_next(d, &r));
	d->n_silent = 0;
}

/* Child 9, peer 9, network 3: who is asked later is not reported earlier. */
static void add_marker(struct dut *d)
{
	struct dp_op op = add_op(d, 9);

	op.u.child.ceases = true;
	op.u.child.ts_remote.ts = net3_ts;
	add_both(d, &op);
}

static void marker_out(struct dut *d)
{
	goes_out(d, udp4(buf, 60, 1, 3, 1));
}

/* ---- every data plane ---------------------------------------------------------------------- */

static void one_packet_is_enough(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	add_both(d, &op);
	to_network2(d);
	assert_true(silent(d, NULL) == 1);
}

/* Whoever was heard after the first packet is not silent, whatever it sent. */
static void heard(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	add_marker(d);
	add_both(d, &op);
	asked_and_heard(d);
	marker_out(d);
	assert_true(silent(d, NULL) == 9);
	assert_int_equal(d->n_silent, 1);
}

/* Without traffic nobody is silent. */
static void nothing_asked(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	add_marker(d);
	add_both(d, &op);
	from_network2(d);
	marker_out(d);
	assert_true(silent(d, marker_out) == 9);
	assert_int_equal(d->n_silent, 1);
}

/* The peer answers on another of its children, as after a rekey. */
static void any_child_of_the_peer(void **state)
{
	struct dut *d = *state;
	struct dp_op sends = add_op(d, 1);
	struct dp_op receives = add_op(d, 2);

	add_marker(d);
	add_both(d, &sends);
	receives.u.child.peer = 1;
	receives.u.child.outbound = false;
	assert_int_equal(dut_op(d, receives), ST_OK);
	receives.u.child.outbound = true;
	far_add(d, &receives);
	asked_and_heard(d); /* of the two the far end's newer child sends, and our older one */
	marker_out(d);
	assert_true(silent(d, NULL) == 9);
	assert_int_equal(d->n_silent, 1);
}

/* Who gets a copy of an old packet heard nobody, nor who gets one that was tampered with: an
 * attacker cannot make a dead peer look alive. */
static void replays_are_no_sign(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	static uint8_t fresh[65536];
	size_t n, m;

	add_both(d, &op);
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp);
	net_sends(d, 0, bytes_of(esp, n));
	assert_int_equal(host_gets(d, buf), 60);
	m = far_seals(d, udp4(buf, 60, 2, 1, 1), fresh);
	fresh[m - 1] ^= 1;
	later(d, 60);
	to_network2(d);
	for (int i = 0; d->n_silent == 0; i++) {
		struct dp_report r;

		assert_true(i < DEADLINE_MS / 10);
		net_sends(d, 0, bytes_of(esp, n));
		net_sends(d, 0, bytes_of(fresh, m));
		later(d, 10);
		assert_false(dut_next(d, &r));
	}
	assert_true(d->silent == 1);
	assert_true(dut_counter(d, "esp.rx.replay") > 0 && dut_counter(d, "esp.rx.auth") > 0);
}

/* A child that goes takes the question along; the next packet asks it again. */
static void child_goes_meanwhile(void **state)
{
	struct dut *d = *state;
	struct dp_op old = add_op(d, 1);
	struct dp_op fresh = add_op(d, 2);
	struct dp_op del = { .kind = DP_CHILD_DEL, .u.id = 1 };

	fresh.u.child.peer = 1;
	add_both(d, &old);
	to_network2(d);
	later(d, 60);
	add_both(d, &fresh);
	assert_int_equal(dut_op(d, del), ST_OK);
	assert_true(silent(d, to_network2) == 2);
}

/* Again as long as packets go out, and at once when the peer was heard meanwhile. */
static void again(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	add_both(d, &op);
	assert_true(silent(d, to_network2) == 1);
	assert_true(silent(d, to_network2) == 1);
	from_network2(d);
	later(d, 60);
	to_network2(d);
	assert_true(silent(d, NULL) == 1);
	assert_true(d->n_silent >= 3);
}

/* Only of peers where somebody wants to know, and only when something came. */
static void traffic_ends(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	add_marker(d);
	add_both(d, &op);
	later(d, 60);
	from_network2(d);
	marker_out(d);
	from_marker(d);
	assert_true(ceased(d) == 9);
	assert_int_equal(d->n_ceased, 1);
}

/* A child of the peer for which it was not said is one of that peer. */
static void traffic_ends_on_another_child(void **state)
{
	struct dut *d = *state;
	struct dp_op first = add_op(d, 1);
	struct dp_op second = add_op(d, 2);

	first.u.child.ceases = true;
	add_both(d, &first);
	second.u.child.peer = 1;
	add_both(d, &second);
	later(d, 60);
	from_network2(d);
	assert_true(ceased(d) == 2);
}

/* Somebody who comes and goes is reported once in a while. */
static void traffic_ends_often(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	op.u.child.ceases = true;
	add_marker(d);
	add_both(d, &op);
	later(d, 60);
	from_network2(d);
	assert_true(ceased(d) == 1);
	from_network2(d);
	from_marker(d);
	assert_true(ceased(d) == 9);
	assert_int_equal(d->n_ceased, 2);
}

/* The child on which traffic came goes; what comes on the next one is found out, in time. */
static void child_goes_while_it_flows(void **state)
{
	struct dut *d = *state;
	struct dp_op old = add_op(d, 1);
	struct dp_op fresh = add_op(d, 2);
	struct dp_op del = { .kind = DP_CHILD_DEL, .u.id = 1 };
	dp_child_id id = 0;

	old.u.child.ceases = true;
	fresh.u.child.ceases = true;
	fresh.u.child.peer = 1;
	add_both(d, &old);
	later(d, 60);
	from_network2(d);
	add_both(d, &fresh);
	assert_int_equal(dut_op(d, del), ST_OK);
	for (int i = 0; !id && i < DEADLINE_MS / 10; i++) {
		from_network2(d);
		later(d, i % 20 ? 10 : 2 * DP_CEASED_MS);
		assert_int_equal(dut_reports(d, DP_REPORT_ACQUIRE), 0);
		id = d->ceased;
	}
	assert_true(id == 2);
}

static struct dp_counters query(struct dut *d, dp_child_id id)
{
	struct dp_counters c;

	assert_true(d->dp->ops->child_counters(d->dp, id, &c));
	assert_true(c.since_in.ns >= 0 && c.since_out.ns >= 0);
	return c;
}

static void times(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_counters c;

	add_marker(d);
	add_both(d, &op);
	later(d, 100);
	to_network2(d);
	c = query(d, 1);
	assert_true(c.since_in.ns >= dur_ms(80).ns && c.since_out.ns < c.since_in.ns);
	later(d, 100);
	from_network2(d);
	from_marker(d); /* behind which the other one is counted */
	c = query(d, 1);
	assert_true(c.since_out.ns >= dur_ms(80).ns && c.since_in.ns < c.since_out.ns);
	c = query(d, 9);
	assert_true(c.since_out.ns >= dur_ms(180).ns);
}

/* RFC 4555 section 3.12: from where it did not say that it is. */
static void from_elsewhere(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	op.u.child.told = true;
	add_both(d, &op);
	later(d, 60);
	comes_in_from(d, 1, udp4(buf, 60, 2, 1, 1));
	assert_true(query(d, 1).since_in.ns >= dur_ms(40).ns);
	from_network2(d);
	assert_true(query(d, 1).since_in.ns < query(d, 1).since_out.ns);
}

/* ---- sockets ------------------------------------------------------------------------------- */

/* ICMP of the far host that nobody listens there: told, and not for every packet. */
static void nobody_there(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_report r;

	add_both(d, &op);
	close(d->net[0]);
	d->net[0] = -1;
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_UNREACHABLE);
	assert_true(endpoint_eq(&r.u.unreachable.remote, &d->remote[0]));
	for (uint64_t sent = 1; sent < 100; sent++) {
		while (dut_counter(d, "tx.packets") < sent)
			;
		host_sends(d, udp4(buf, 60, 1, 2, 1));
	}
	assert_true(dut_reports(d, DP_REPORT_UNREACHABLE) < 50);
}

/* ---- the fake, to the millisecond ------------------------------------------------------------ */

static void count(struct dut *d, size_t n)
{
	struct dp_report r;

	assert_false(dut_next(d, &r));
	assert_int_equal(d->n_silent, n);
}

static void fake_schedule(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	int64_t pause = 1000;

	add_both(d, &op);
	assert_true(dp_fake_deadline(d->dp).ns == MONO_NEVER.ns);
	later(d, 5000);
	to_network2(d);
	assert_true(dp_fake_deadline(d->dp).ns == mono_add(d->clock, dur_ms(DP_SILENCE_MS)).ns);
	later(d, DP_SILENCE_MS - 1);
	count(d, 0);
	to_network2(d); /* the first one counts */
	later(d, 1);
	count(d, 1);
	for (size_t i = 2; i < 12; i++) {
		later(d, pause - 1);
		to_network2(d); /* not asked yet */
		assert_true(dp_fake_deadline(d->dp).ns == MONO_NEVER.ns);
		later(d, 1);
		to_network2(d);
		later(d, DP_SILENCE_MS - 1);
		count(d, i - 1);
		later(d, 1);
		count(d, i);
		pause = pause * 2 < DP_SILENCE_MAX_S * 1000 ? pause * 2 : DP_SILENCE_MAX_S * 1000;
	}
	from_network2(d);
	later(d, DP_ANSWER_MS);
	to_network2(d);
	later(d, DP_SILENCE_MS);
	count(d, 12);
}

/* What may be the end of a conversation is not waited for. */
static void fake_answers(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	add_both(d, &op);
	for (int64_t ms = 0; ms < DP_ANSWER_MS; ms += DP_ANSWER_MS - 1) {
		from_network2(d);
		later(d, ms);
		to_network2(d);
		assert_true(dp_fake_deadline(d->dp).ns == MONO_NEVER.ns);
		later(d, 10 * DP_SILENCE_MS);
		count(d, 0);
	}
	from_network2(d);
	to_network2(d);
	later(d, DP_ANSWER_MS);
	to_network2(d); /* it goes on */
	later(d, DP_SILENCE_MS);
	count(d, 1);
}

/* Traffic with gaps that are no end, and its end. */
static void flow_ends(struct dut *d, size_t before, int64_t lasts_ms)
{
	from_network2(d);
	for (int64_t t = 0; t < lasts_ms; t += DP_CEASED_MS - 1) {
		later(d, DP_CEASED_MS - 1);
		from_network2(d);
	}
	later(d, DP_CEASED_MS - 1);
	assert_int_equal(dut_reports(d, DP_REPORT_DONE), 0);
	assert_int_equal(d->n_ceased, before);
	assert_true(dp_fake_deadline(d->dp).ns == mono_add(d->clock, dur_ms(1)).ns);
	later(d, 1);
	assert_true(dp_fake_deadline(d->dp).ns == MONO_NEVER.ns);
	assert_int_equal(dut_reports(d, DP_REPORT_DONE), 0);
	assert_int_equal(d->n_ceased, before + 1);
}

static void fake_ceases(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	int64_t pause = DP_CEASED_MIN_S;

	op.u.child.ceases = true;
	add_both(d, &op);
	for (size_t i = 0; i < 20; i++) {
		flow_ends(d, i, DP_CEASED_MS);
		later(d, pause * 1000 - 1);
		from_network2(d); /* not noticed */
		assert_true(dp_fake_deadline(d->dp).ns == MONO_NEVER.ns);
		later(d, 1);
		pause = pause * 2 < DP_SILENCE_MAX_S ? pause * 2 : DP_SILENCE_MAX_S;
	}
	/* It has lasted: its end is news again. */
	flow_ends(d, 20, DP_SILENCE_MAX_S * 1000 + DP_CEASED_MS);
	later(d, DP_CEASED_MIN_S * 1000);
	flow_ends(d, 21, 0);
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
		ALL(one_packet_is_enough),
		ALL(heard),
		ALL(nothing_asked),
		ALL(any_child_of_the_peer),
		ALL(replays_are_no_sign),
		ALL(child_goes_meanwhile),
		ALL(again),
		ALL(traffic_ends),
		ALL(traffic_ends_on_another_child),
		ALL(traffic_ends_often),
		ALL(child_goes_while_it_flows),
		ALL(times),
		ALL(from_elsewhere),
		cmocka_unit_test_setup_teardown(nobody_there, open_user, shut),
		cmocka_unit_test_setup_teardown(fake_schedule, open_fake, shut),
		cmocka_unit_test_setup_teardown(fake_answers, open_fake, shut),
		cmocka_unit_test_setup_teardown(fake_ceases, open_fake, shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
