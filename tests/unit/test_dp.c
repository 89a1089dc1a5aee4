/* What dp.h promises, asked of every data plane; the far end is always a fake. */
#include "unit/dp_util.h"

#include <pthread.h>

static uint8_t buf[65536], esp[65536];

static int open_fake(void **state)
{
	make_selectors();
	*state = dut_open(DUT_FAKE);
	return 0;
}

static int open_user(void **state)
{
	make_selectors();
	*state = dut_open(DUT_USER);
	return 0;
}

static int open_cbc(void **state)
{
	dp_cipher = (struct crypto_cipher){ CRYPTO_AES_CBC, 256, CRYPTO_HMAC_SHA2_512_256 };
	return open_user(state);
}

static int open_chacha(void **state)
{
	dp_cipher = (struct crypto_cipher){ CRYPTO_CHACHA20_POLY1305, 0, CRYPTO_INTEG_NONE };
	return open_user(state);
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
	dp_cipher = gcm128;
	return 0;
}

/* Child 9 to network 3 goes where everything goes: behind it, what came before has been seen. */
static void add_marker(struct dut *d)
{
	struct dp_op op = add_op(d, 9);

	op.u.child.ts_remote.ts = net3_ts;
	add_both(d, &op);
}

static void marker_out(struct dut *d)
{
	static uint8_t b[64];

	assert_true(goes_out(d, udp4(b, 60, 1, 3, 77)) == 9);
}

static void marker_in(struct dut *d)
{
	static uint8_t b[64];

	comes_in(d, udp4(b, 60, 3, 1, 78));
}

/* ---- the plain way ------------------------------------------------------------------------- */

static void add_carry_del(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	size_t n;

	add_marker(d);
	add_both(d, &op);
	goes_out(d, udp4(buf, 100, 1, 2, 1));
	comes_in(d, udp4(buf, 100, 2, 1, 2));
	goes_out(d, udp6(buf, 1280, 1, 2, 3));
	comes_in(d, udp6(buf, 1280, 2, 1, 4));
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	/* gone: default discard outwards, an unknown SPI inwards */
	host_sends(d, udp4(buf, 100, 1, 2, 5));
	marker_out(d);
	assert_true(dut_counter(d, "tx.discard") == 1);
	n = far_seals(d, udp4(buf, 100, 2, 1, 6), esp);
	net_sends(d, 0, bytes_of(esp, n));
	marker_in(d);
	assert_true(dut_counter(d, "rx.unknown_spi") == 1);
}

static void every_length(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	op.u.child.esn = false;
	add_both(d, &op);
	for (size_t n = 32; n <= 1400; n += n < 80 ? 1 : 37) {
		goes_out(d, udp4(buf, n, 1, 2, (uint32_t)n));
		comes_in(d, udp4(buf, n, 2, 1, (uint32_t)n));
	}
}

/* More than a batch, in order. */
static void many_in_order(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	static struct dp_fake_packet p;

	add_both(d, &op);
	for (uint32_t i = 0; i < 100; i++)
		host_sends(d, udp4(buf, 60 + i % 3, 1, 2, i));
	for (uint32_t i = 0; i < 100; i++) {
		int from;
		size_t n = net_gets(d, esp, &from);

		assert_int_equal(dp_fake_in(d->far, &d->remote[0], &d->local, bytes_of(esp, n)),
				 ESP_OK);
		assert_true(dp_fake_next_in(d->far, &p));
		assert_true(load_be32(p.data + 28) == i);
	}
	for (uint32_t i = 0; i < 100; i++) {
		size_t n = far_seals(d, udp4(buf, 60 + i % 3, 2, 1, i), esp);

		net_sends(d, 0, bytes_of(esp, n));
	}
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(host_gets(d, buf), 60 + i % 3);
		assert_true(load_be32(buf + 28) == i);
	}
}

/* ---- policy -------------------------------------------------------------------------------- */

/* S3: what no child covers does not leave, whatever part of it is outside. */
static void default_discard(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	static const uint8_t junk[] = { 0x15, 1, 2, 3, 4, 5 };

	add_marker(d);
	add_both(d, &op);
	host_sends(d, udp4(buf, 60, 1, 4, 1)); /* nobody's destination */
	host_sends(d, udp4(buf, 60, 4, 2, 1)); /* a source that is not ours */
	host_sends(d, udp6(buf, 60, 1, 4, 1));
	marker_out(d);
	assert_true(dut_counter(d, "tx.discard") == 3);
	host_sends(d, BYTES_OF(junk));
	marker_out(d);
}

/* RFC 4301 section 5.2: authenticated, but not what this peer may send. */
static void inbound_selectors(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_op wide = op;
	struct dp_op f;
	struct dp_report r;
	size_t n;

	add_marker(d);
	assert_int_equal(dut_op(d, op), ST_OK);
	wide.u.child.ts_local = wide.u.child.ts_remote = (struct wire_ts_list){ any_ts, 2, 0 };
	f = far_op(&wide); /* the far end would send anything */
	assert_int_equal(d->far->ops->submit(d->far, &f), ST_OK);
	assert_true(d->far->ops->report(d->far, &r));
	for (int i = 0; i < 3; i++) {
		n = far_seals(d,
			      i == 0   ? udp4(buf, 60, 4, 1, 1)
			      : i == 1 ? udp4(buf, 60, 2, 4, 1)
				       : udp6(buf, 60, 4, 1, 1),
			      esp);
		net_sends(d, 0, bytes_of(esp, n));
	}
	/* the marker's source is the far end's other child's; the newest child would take it */
	f.kind = DP_CHILD_DEL;
	f.u.id = 1;
	assert_int_equal(d->far->ops->submit(d->far, &f), ST_OK);
	marker_in(d);
	assert_true(dut_counter(d, "esp.rx.selector") == 3);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUERY, 1)), ST_OK);
}

/* Ports decide between two children of one peer. */
static void ports_choose_the_child(void **state)
{
	struct dut *d = *state;
	struct dp_op all = add_op(d, 1);
	struct dp_op dns = add_op(d, 2);
	struct wire_ts only = net2_ts[0];

	only.proto = WIRE_IP_UDP;
	only.port_start = only.port_end = 53;
	dns.u.child.peer = 1;
	dns.u.child.ts_remote = (struct wire_ts_list){ &only, 1, 0 };
	add_both(d, &all);
	add_both(d, &dns);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
	udp4(buf, 60, 1, 2, 1);
	store_be16(buf + 22, 53);
	store_be16(buf + 26, 0);
	assert_true(goes_out(d, bytes_of(buf, 60)) == 2);
}

/* The longer prefix wins: how a shortcut takes over from the hub. */
static void longest_prefix(void **state)
{
	struct dut *d = *state;
	struct dp_op hub = add_op(d, 1);
	struct dp_op direct = add_op(d, 2);

	hub.u.child.ts_remote = (struct wire_ts_list){ any_ts, 2, 0 };
	add_both(d, &hub);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
	add_both(d, &direct);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	assert_true(goes_out(d, udp4(buf, 60, 1, 3, 1)) == 1);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 2)), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
}

/* Where the longest prefix leads to nobody who takes the packet, a shorter one is asked; a trap
 * there is asked before any child of a shorter one. */
static void shorter_prefix(void **state)
{
	struct dut *d = *state;
	struct dp_op hub = add_op(d, 1);
	struct dp_op direct = add_op(d, 2);
	struct dp_op trap = trap_op(4, net3_ts);
	struct wire_ts one_port = net2_ts[0];
	struct dp_report r;

	one_port.proto = WIRE_IP_UDP;
	one_port.port_start = one_port.port_end = 53;
	add_both(d, &hub);
	direct.u.child.ts_remote = (struct wire_ts_list){ &one_port, 1, 0 };
	add_both(d, &direct);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
	udp4(buf, 60, 1, 2, 1);
	store_be16(buf + 22, 53);
	assert_true(goes_out(d, bytes_of(buf, 60)) == 2);
	/* the same for one that only receives as yet */
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 2)), ST_OK);
	hub = add_op(d, 3);
	hub.u.child.ts_remote = (struct wire_ts_list){ any_ts, 2, 0 };
	add_both(d, &hub);
	direct = add_op(d, 5);
	direct.u.child.outbound = false;
	assert_int_equal(dut_op(d, direct), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 2)) == 3);
	/* a trap is there because its peer is the right way */
	assert_true(goes_out(d, udp4(buf, 60, 1, 3, 2)) == 3);
	assert_int_equal(dut_op(d, trap), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 3, 3));
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_ACQUIRE);
	assert_true(r.u.acquire.peer == 4);
	assert_int_equal(dut_op(d, id_op(DP_TRAP_DEL, 4)), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 3, 4)) == 3);
}

/* A range that is no prefix. */
static void ranges(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct wire_ts range = net2_ts[0];

	add_marker(d);
	assert_int_equal(ip_parse("10.1.255.254", &range.start), ST_OK);
	assert_int_equal(ip_parse("10.2.0.1", &range.end), ST_OK);
	op.u.child.ts_remote = (struct wire_ts_list){ &range, 1, 0 };
	add_both(d, &op);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
	udp4(buf, 60, 1, 2, 1);
	buf[19] = 2; /* 10.2.0.2 */
	host_sends(d, bytes_of(buf, 60));
	marker_out(d);
	assert_true(dut_counter(d, "tx.discard") == 1);
}

/* ---- rekeying ------------------------------------------------------------------------------ */

/* Make before break: receive first, then send, then the old one goes; nothing is lost. */
static void rekey(void **state)
{
	struct dut *d = *state;
	struct dp_op old = add_op(d, 1);
	struct dp_op fresh = add_op(d, 2);

	fresh.u.child.peer = 1;
	fresh.u.child.outbound = false;
	add_both(d, &old);
	assert_int_equal(dut_op(d, fresh), ST_OK);
	fresh.u.child.outbound = true;
	far_add(d, &fresh);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 1);
	comes_in(d, udp4(buf, 60, 2, 1, 1)); /* the far end sends on the new one already */
	assert_int_equal(dut_op(d, fresh), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	comes_in(d, udp4(buf, 60, 2, 1, 1));
}

/* What was replaced hears what was under way, and never sends again, whatever comes of the other.
 */
static void replaced_receives_only(void **state)
{
	struct dut *d = *state;
	struct dp_op old = add_op(d, 1);
	struct dp_op fresh = add_op(d, 2);
	size_t n;

	fresh.u.child.peer = 1;
	add_marker(d);
	add_both(d, &old);
	n = far_seals(d, udp4(buf, 60, 2, 1, 7), esp);
	add_both(d, &fresh);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, 1)), ST_OK);
	assert_true(goes_out(d, udp4(buf, 60, 1, 2, 1)) == 2);
	net_sends(d, 0, bytes_of(esp, n));
	assert_int_equal(host_gets(d, buf), 60);
	assert_true(load_be32(buf + 28) == 7);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 2)), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	marker_out(d);
	assert_true(dut_counter(d, "tx.discard") == 1);
	assert_int_equal(dut_op(d, old), ST_INVAL);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUIET, 1)), ST_INVAL);
}

/* ---- hostile input ------------------------------------------------------------------------- */

/* S2: each is counted by name, and nothing else happens. */
static void replay_and_tampering(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_counters c;
	size_t n;

	add_marker(d);
	add_both(d, &op);
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp);
	net_sends(d, 0, bytes_of(esp, n));
	assert_int_equal(host_gets(d, buf), 60);
	net_sends(d, 0, bytes_of(esp, n));
	net_sends(d, 0, bytes_of(esp, n));
	esp[7]++; /* a number not seen yet, so that only the ICV is wrong */
	net_sends(d, 0, bytes_of(esp, n));
	esp[n - 1] ^= 1;
	net_sends(d, 0, bytes_of(esp, n));
	net_sends(d, 0, bytes_of(esp, 32));
	net_sends(d, 0, bytes_of(esp, n - 1));
	marker_in(d);
	assert_true(dut_counter(d, "esp.rx.replay") == 2);
	assert_true(dut_counter(d, "esp.rx.auth") == 2);
	assert_true(dut_counter(d, "esp.rx.short") == 2);
	assert_true(d->dp->ops->child_counters(d->dp, 1, &c));
	assert_true(c.packets_in == 1 && c.bytes_in == 60 && c.dropped_in == 6);
	comes_in(d, udp4(buf, 60, 2, 1, 2));
}

/* With extended numbers a low half left of the window is taken for one of the next 2^32 (RFC 4303
 * appendix A2.2), so that it is the ICV that refuses it. */
static void outside_the_window_of(struct dut *d, bool esn, const char *counter)
{
	struct dp_op op = add_op(d, 1);
	size_t n;

	op.u.child.window = 64;
	op.u.child.esn = esn;
	add_both(d, &op);
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp); /* kept back */
	for (uint32_t i = 0; i < 64; i++)
		comes_in(d, udp4(buf, 60, 2, 1, i));
	net_sends(d, 0, bytes_of(esp, n));
	comes_in(d, udp4(buf, 60, 2, 1, 100));
	assert_true(dut_counter(d, counter) == 1);
}

static void outside_the_window(void **state)
{
	outside_the_window_of(*state, false, "esp.rx.old");
}

static void outside_the_extended_window(void **state)
{
	outside_the_window_of(*state, true, "esp.rx.auth");
}

static void unknown_spi(void **state)
{
	struct dut *d = *state;
	struct dp_report r;
	enum { N = 200 };

	add_marker(d);
	memset(esp, 0x55, 100);
	for (int i = 0; i < N; i++)
		net_sends(d, 1, bytes_of(esp, 100));
	marker_in(d);
	assert_true(dut_counter(d, "rx.unknown_spi") == N);
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_UNKNOWN_SPI);
	assert_true(r.u.unknown_spi.spi == 0x55555555);
	assert_true(endpoint_eq(&r.u.unknown_spi.remote, &d->remote[1]));
	assert_true(endpoint_eq(&r.u.unknown_spi.local, &d->local));
	assert_true(dut_reports(d, DP_REPORT_UNKNOWN_SPI) < N / 2); /* limited */
}

/* ---- traps --------------------------------------------------------------------------------- */

static void trap_holds_packets(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_report r;
	static struct dp_fake_packet p;

	add_marker(d);
	assert_int_equal(dut_op(d, trap_op(1, net2_ts)), ST_OK);
	for (uint32_t i = 0; i < DP_HELD_PACKETS + 4; i++)
		host_sends(d, udp4(buf, 60 + i, 1, 2, i));
	marker_out(d);
	assert_true(dut_counter(d, "tx.no_sa") == 4);
	assert_true(dut_counter(d, "tx.discard") == 0);
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_ACQUIRE);
	assert_true(r.u.acquire.peer == 1 && r.u.acquire.proto == WIRE_IP_UDP);
	assert_true(r.u.acquire.sport == 1000 && r.u.acquire.dport == 2000);
	assert_int_equal(load_be32(r.u.acquire.src.b), 0x0a010001);
	assert_int_equal(load_be32(r.u.acquire.dst.b), 0x0a020001);
	assert_true(dut_reports(d, DP_REPORT_ACQUIRE) == 0); /* once per interval */
	add_both(d, &op);
	for (uint32_t i = 0; i < DP_HELD_PACKETS; i++) {
		int from;
		size_t n = net_gets(d, esp, &from);

		assert_int_equal(dp_fake_in(d->far, &d->remote[0], &d->local, bytes_of(esp, n)),
				 ESP_OK);
		assert_true(dp_fake_next_in(d->far, &p));
		assert_int_equal(p.n, 60 + i);
		assert_true(load_be32(p.data + 28) == i);
	}
	goes_out(d, udp4(buf, 60, 1, 2, 99));
	assert_true(dut_counter(d, "tx.no_sa") == 4);
	/* the trap outlives the child */
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	marker_out(d);
	assert_true(dut_counter(d, "tx.discard") == 0);
}

static void trap_replaced_and_removed(void **state)
{
	struct dut *d = *state;
	struct dp_report r;

	add_marker(d);
	assert_int_equal(dut_op(d, id_op(DP_TRAP_DEL, 1)), ST_INVAL);
	assert_int_equal(dut_op(d, trap_op(1, net2_ts)), ST_OK);
	assert_int_equal(dut_op(d, trap_op(1, any_ts)), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 5, 1));
	marker_out(d);
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_ACQUIRE);
	assert_int_equal(dut_op(d, id_op(DP_TRAP_DEL, 1)), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 5, 1));
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	marker_out(d);
	assert_true(dut_counter(d, "tx.discard") == 2);
	assert_int_equal(dut_op(d, id_op(DP_TRAP_DEL, 1)), ST_INVAL);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static void address_change(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_op move = { .kind = DP_CHILD_ADDRESS };
	struct dp_report r;
	int to;
	size_t n;

	add_both(d, &op);
	comes_in(d, udp4(buf, 60, 2, 1, 1));
	n = far_seals(d, udp4(buf, 60, 2, 1, 2), esp); /* will be late */
	comes_in_from(d, 1, udp4(buf, 60, 2, 1, 3));
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_NEW_ADDRESS);
	assert_true(r.u.new_address.id == 1);
	assert_true(endpoint_eq(&r.u.new_address.remote, &d->remote[1]));
	assert_true(endpoint_eq(&r.u.new_address.local, &d->local));
	comes_in_from(d, 1, udp4(buf, 60, 2, 1, 4)); /* told once */
	assert_true(dut_reports(d, DP_REPORT_NEW_ADDRESS) == 0);
	/* nothing moves by itself */
	host_sends(d, udp4(buf, 60, 1, 2, 5));
	assert_true(net_gets(d, buf, &to) > 0);
	assert_int_equal(to, 0);
	move.u.address.id = 1;
	move.u.address.local = d->local;
	move.u.address.remote = d->remote[1];
	move.u.address.encap = true;
	assert_int_equal(dut_op(d, move), ST_OK);
	host_sends(d, udp4(buf, 60, 1, 2, 6));
	assert_true(net_gets(d, buf, &to) > 0);
	assert_int_equal(to, 1);
	/* a late packet from the old address is welcome and says nothing */
	net_sends(d, 0, bytes_of(esp, n));
	assert_int_equal(host_gets(d, buf), 60);
	comes_in_from(d, 1, udp4(buf, 60, 2, 1, 7));
	assert_true(dut_reports(d, DP_REPORT_NEW_ADDRESS) == 0);
	move.u.address.id = 5;
	assert_int_equal(dut_op(d, move), ST_INVAL);
}

/* A forged packet from elsewhere changes and reports nothing. */
static void forged_address(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	size_t n;

	add_both(d, &op);
	n = far_seals(d, udp4(buf, 60, 2, 1, 2), esp);
	esp[n - 5] ^= 1;
	net_sends(d, 1, bytes_of(esp, n));
	comes_in(d, udp4(buf, 60, 2, 1, 3));
	assert_true(dut_reports(d, DP_REPORT_NEW_ADDRESS) == 0);
}

/* ---- path MTU ------------------------------------------------------------------------------ */

enum {
	LARGE = 1380, /* outside it is more than the base */
	SMALL = 1100,
};

static struct bytes with_df(struct bytes p)
{
	store_be16(buf + 6, 0x4000);
	store_be16(buf + 10, 0);
	store_be16(buf + 10, wire_checksum(bytes_of(buf, 20)));
	return p;
}

static struct dp_op mtu_op(const struct dut *d, uint16_t mtu)
{
	struct dp_op op = { .kind = DP_PATH_MTU };

	op.u.path_mtu.remote = d->remote[0].ip;
	op.u.path_mtu.mtu = mtu;
	return op;
}

/* Nothing small asks, something large does, once; and again when nothing is known any more. */
static void large_packets_ask_for_probes(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_report r;

	add_both(d, &op);
	goes_out(d, udp4(buf, SMALL, 1, 2, 1));
	assert_int_equal(dut_reports(d, DP_REPORT_PROBE), 0);
	for (int i = 0; i < 2; i++) {
		goes_out(d, udp4(buf, LARGE, 1, 2, 1));
		goes_out(d, udp4(buf, LARGE, 1, 2, 1));
		r = dut_any_report(d);
		assert_int_equal(r.kind, DP_REPORT_PROBE);
		assert_true(r.u.probe.id == 1);
		assert_in_range(r.u.probe.most, LARGE + 28, 1500);
		assert_int_equal(r.u.probe.now, r.u.probe.most);
		assert_false(r.u.probe.stalled);
		assert_int_equal(dut_reports(d, DP_REPORT_PROBE), 0);
		/* Found: nobody asks any more. */
		assert_int_equal(dut_op(d, mtu_op(d, r.u.probe.most)), ST_OK);
		if (d->kind == DUT_FAKE)
			dp_fake_interval(d->dp);
		goes_out(d, udp4(buf, LARGE, 1, 2, 1));
		assert_int_equal(dut_reports(d, DP_REPORT_PROBE), 0);
		assert_int_equal(dut_op(d, mtu_op(d, 0)), ST_OK);
	}
}

/* What is larger than what probes found does not leave, and its sender hears how much may. */
static void found_mtu_holds(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1), other = mtu_op(d, 1300);
	enum wire_ip_fault why;
	struct wire_ip ip;
	size_t n;
	int from;

	add_both(d, &op);
	other.u.path_mtu.remote.b[3]++;
	assert_int_equal(dut_op(d, other), ST_OK); /* where nobody sends */
	goes_out(d, with_df(udp4(buf, LARGE, 1, 2, 1)));
	assert_int_equal(dut_op(d, mtu_op(d, 1300)), ST_OK);
	host_sends(d, with_df(udp4(buf, LARGE, 1, 2, 2)));
	n = host_gets(d, esp);
	assert_int_equal(wire_ip_parse(bytes_of(esp, n), &ip, &why), ST_OK);
	assert_int_equal(ip.proto, WIRE_IP_ICMP);
	assert_int_equal(load_be16(esp + 20), 0x0304); /* fragmentation needed and DF set */
	assert_true(dut_counter(d, "tx.too_big") == 1);
	/* As much as it said goes, and is no larger than that outside. */
	host_sends(d, with_df(udp4(buf, load_be16(esp + 26), 1, 2, 3)));
	n = net_gets(d, esp, &from);
	assert_in_range(n + 28, 1300 - 16, 1300);
	/* The next one takes its place, whichever is larger; and then it is as if nothing was. */
	assert_int_equal(dut_op(d, mtu_op(d, 1480)), ST_OK);
	goes_out(d, with_df(udp4(buf, LARGE, 1, 2, 4)));
	assert_int_equal(dut_op(d, mtu_op(d, 600)), ST_OK);
	host_sends(d, with_df(udp4(buf, SMALL, 1, 2, 5)));
	(void)host_gets(d, esp);
	assert_true(dut_counter(d, "tx.too_big") == 2);
	assert_int_equal(dut_op(d, mtu_op(d, 0)), ST_OK);
	goes_out(d, with_df(udp4(buf, LARGE, 1, 2, 6)));
}

/* ---- lifetimes ----------------------------------------------------------------------------- */

static void expect_expire(struct dut *d, dp_child_id id, bool hard)
{
	struct dp_report r = dut_report(d);

	assert_int_equal(r.kind, DP_REPORT_EXPIRE);
	assert_true(r.u.expire.id == id);
	assert_int_equal(r.u.expire.hard, hard);
}

static void packet_limits(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	size_t n;

	op.u.child.soft_packets = 3;
	op.u.child.hard_packets = 5;
	add_marker(d);
	assert_int_equal(dut_op(d, op), ST_OK);
	op.u.child.soft_packets = op.u.child.hard_packets = 0;
	far_add(d, &op);
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	marker_out(d);
	assert_true(dut_reports(d, DP_REPORT_EXPIRE) == 0);
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	expect_expire(d, 1, false);
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	expect_expire(d, 1, true);
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	marker_out(d);
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp);
	net_sends(d, 0, bytes_of(esp, n));
	marker_in(d);
	assert_true(dut_counter(d, "rx.expired") == 1);
	assert_true(dut_reports(d, DP_REPORT_EXPIRE) == 0); /* each once */
}

static void byte_limits_inbound(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);

	op.u.child.soft_bytes = 200;
	op.u.child.hard_bytes = 1000000;
	assert_int_equal(dut_op(d, op), ST_OK);
	op.u.child.soft_bytes = op.u.child.hard_bytes = 0;
	far_add(d, &op);
	comes_in(d, udp4(buf, 99, 2, 1, 1));
	comes_in(d, udp4(buf, 99, 2, 1, 1));
	assert_true(dut_reports(d, DP_REPORT_EXPIRE) == 0);
	comes_in(d, udp4(buf, 99, 2, 1, 1));
	expect_expire(d, 1, false);
}

/* ---- counters and errors ------------------------------------------------------------------- */

static void counters(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_op q = id_op(DP_CHILD_QUERY, 1);
	struct dp_counters c;
	struct dp_report r;

	assert_false(d->dp->ops->child_counters(d->dp, 1, &c));
	add_marker(d);
	add_both(d, &op);
	goes_out(d, udp4(buf, 100, 1, 2, 1));
	goes_out(d, udp4(buf, 50, 1, 2, 1));
	comes_in(d, udp4(buf, 70, 2, 1, 1));
	marker_in(d); /* a packet is counted before the next child's is delivered */
	q.op = 12345;
	assert_int_equal(d->dp->ops->submit(d->dp, &q), ST_OK);
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_DONE);
	assert_true(r.u.done.op == 12345);
	assert_true(d->dp->ops->child_counters(d->dp, 1, &c));
	c.since_in = r.u.done.counters.since_in; /* see test_dp_silence.c */
	c.since_out = r.u.done.counters.since_out;
	assert_memory_equal(&c, &r.u.done.counters, sizeof(c));
	assert_true(c.packets_out == 2 && c.bytes_out == 150);
	assert_true(c.packets_in == 1 && c.bytes_in == 70 && c.dropped_in == 0);
}

static void wrong_operations(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_op bad;

	add_both(d, &op);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 2)), ST_INVAL);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_QUERY, 2)), ST_INVAL);
	bad = add_op(d, 2);
	bad.u.child.spi_in = op.u.child.spi_in; /* taken */
	assert_int_equal(dut_op(d, bad), ST_INVAL);
	bad = add_op(d, 2);
	bad.u.child.encap = false; /* no DP_CAP_RAW_ESP */
	assert_int_equal(dut_op(d, bad), ST_INVAL);
	bad = add_op(d, 2);
	bad.u.child.window = 100;
	assert_int_equal(dut_op(d, bad), ST_INVAL);
	bad = add_op(d, 2);
	bad.u.child.in.cipher.encr = 13; /* AES-CTR */
	assert_int_equal(dut_op(d, bad), ST_INVAL);
	bad = add_op(d, 2);
	bad.u.child.out.encr.n = 3;
	assert_int_equal(dut_op(d, bad), ST_INVAL);
	goes_out(d, udp4(buf, 60, 1, 2, 1));
	comes_in(d, udp4(buf, 60, 2, 1, 1));
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_INVAL);
}

/* Whatever allocation fails, an operation has either happened or not, and said so. */
static void nth_allocation_fails(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_op move = { .kind = DP_CHILD_ADDRESS };
	bool done = false;

	add_marker(d);
	move.u.address.id = 1;
	move.u.address.local = d->local;
	move.u.address.remote = d->remote[0];
	move.u.address.encap = true;
	for (long n = 0; !done; n++) {
		enum status add, trap, moved;
		struct dp_op gone = id_op(DP_CHILD_DEL, 1);

		far_add(d, &op);
		atomic_store(&dut_count.left, n);
		trap = dut_op(d, trap_op(1, net2_ts));
		add = dut_op(d, op);
		moved = dut_op(d, move);
		done = atomic_load(&dut_count.left) > 0;
		atomic_store(&dut_count.left, -1);
		assert_true(trap == ST_OK || trap == ST_NOMEM);
		assert_true(add == ST_OK || add == ST_NOMEM);
		assert_true(add == ST_OK ? moved == ST_OK || moved == ST_NOMEM
					 : moved == ST_INVAL || moved == ST_NOMEM);
		if (add == ST_OK)
			goes_out(d, udp4(buf, 60, 1, 2, 1));
		assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)),
				 add == ST_OK ? ST_OK : ST_INVAL);
		assert_int_equal(dut_op(d, id_op(DP_TRAP_DEL, 1)),
				 trap == ST_OK ? ST_OK : ST_INVAL);
		marker_out(d);
		assert_int_equal(d->far->ops->submit(d->far, &gone), ST_OK);
		assert_int_equal(dut_reports((struct dut[]){ { .dp = d->far } }, DP_REPORT_DONE),
				 1);
		assert_true(n < 1000);
	}
}

/* Enough children that tables grow, in and out again, while traffic flows. */
static void many_children(void **state)
{
	struct dut *d = *state;
	enum { N = 300 };

	add_marker(d);
	for (uint32_t i = 0; i < N; i++) {
		struct dp_op op = add_op(d, 100 + i);
		struct wire_ts one = net2_ts[0];

		one.start = one.end = (struct ip){ 4, { 10, 2, (uint8_t)(i >> 8), (uint8_t)i } };
		op.u.child.ts_remote = (struct wire_ts_list){ &one, 1, 0 };
		add_both(d, &op);
		udp4(buf, 60, 1, 2, i);
		memcpy(buf + 16, one.start.b, 4);
		assert_true(goes_out(d, bytes_of(buf, 60)) == 100 + i);
		if (i % 7 == 0)
			marker_in(d);
	}
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 100 + (i * 7) % N)), ST_OK);
		if (i % 7 == 0)
			marker_in(d);
	}
	marker_out(d);
	assert_true(dut_counter(d, "rx.unknown_spi") == 0);
}

/* ---- changes under traffic ----------------------------------------------------------------- */

/* Packets both ways as fast as they go, of children that come and go meanwhile. */
struct noise {
	struct dut *d;
	_Atomic bool stop;
};

static void *make_noise(void *arg)
{
	struct noise *noise = arg;
	struct dut *d = noise->d;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(d->local.port) };
	uint8_t out[VNET + 60] = { 0 }, in[64] = { 0 };

	memcpy(&to.sin_addr, d->local.ip.b, 4);
	for (uint32_t i = 0; !atomic_load(&noise->stop); i++) {
		udp4(out + VNET, 60, 1, 2, i);
		out[VNET + 19] = (uint8_t)(i % 8); /* a few addresses, some nobody's */
		(void)!write(d->tun[i % 2], out, sizeof(out));
		store_be32(in, 0x10001 + 2 * (i % 16));
		store_be32(in + 4, i);
		(void)!sendto(d->net[1], in, sizeof(in), 0, (struct sockaddr *)(void *)&to,
			      sizeof(to));
	}
	return NULL;
}

/* Wide and narrow children, traps and addresses in turn: eight ids at a time. */
static void churn(struct dut *d, uint32_t i)
{
	struct dp_op op = add_op(d, 10 + i % 8);
	struct dp_op trap = trap_op(10 + i % 4, net2_ts);
	struct wire_ts narrow = net2_ts[0];

	op.u.child.peer = 10 + i % 4;
	narrow.start.b[2] = narrow.end.b[2] = 0;
	narrow.start.b[3] = (uint8_t)(i % 3);
	narrow.end.b[3] = (uint8_t)(i % 8);
	if (i % 3 && narrow.start.b[3] <= narrow.end.b[3])
		op.u.child.ts_remote = (struct wire_ts_list){ &narrow, 1, 0 };
	switch (i / 8 % 4) {
	case 0: op.u.child.outbound = i % 2; break;
	case 1: op = trap; break;
	case 2:
		op = (struct dp_op){ .kind = DP_CHILD_ADDRESS };
		op.u.address.id = 10 + i % 8;
		op.u.address.local = d->local;
		op.u.address.remote = d->remote[i % 2];
		op.u.address.encap = true;
		break;
	default: op = id_op(i % 2 ? DP_CHILD_DEL : DP_TRAP_DEL, 10 + i % 8); break;
	}
	op.op = ++d->ops;
	assert_int_equal(d->dp->ops->submit(d->dp, &op), ST_OK);
	while (d->dp->ops->report(d->dp, &(struct dp_report){ 0 }))
		;
}

/* The order of stores and the grace periods: for the sanitizers to look at. */
static void changes_under_traffic(void **state)
{
	struct noise noise = { .d = *state };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, make_noise, &noise), 0);
	for (uint32_t i = 0; i < 4000 || dut_counter(noise.d, "tx.packets") < 1000 ||
			     dut_counter(noise.d, "esp.rx.auth") < 1000;
	     i++)
		churn(noise.d, i);
	atomic_store(&noise.stop, true);
	pthread_join(thread, NULL);
}

/* ---- the fake as an instrument ------------------------------------------------------------- */

static void fake_scripts(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_report r = { .kind = DP_REPORT_NEW_ADDRESS, .u.new_address = { .id = 3 } };
	struct dp_report got;

	dp_fake_fail(d->dp, 2, ST_IO);
	dp_fake_refuse(d->dp, 3, ST_AGAIN);
	assert_int_equal(dut_op(d, op), ST_OK);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_IO);
	assert_int_equal(dp_fake_children(d->dp), 1);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_AGAIN);
	assert_int_equal(dut_op(d, id_op(DP_CHILD_DEL, 1)), ST_OK);
	assert_int_equal(dp_fake_children(d->dp), 0);
	assert_int_equal(dp_fake_ops(d->dp), 4);
	assert_int_equal(dp_fake_ops_of(d->dp, DP_CHILD_DEL), 3);
	assert_true(dp_fake_op(d->dp, 2)->refused);
	assert_int_equal(dp_fake_op(d->dp, 1)->answer, ST_IO);
	assert_null(dp_fake_op(d->dp, 4));
	assert_true(dp_fake_op(d->dp, 0)->op.u.child.id == 1);
	assert_int_equal(dp_fake_op(d->dp, 0)->op.u.child.in.encr.n, 0); /* no secrets kept */
	dp_fake_hold(d->dp, true);
	assert_int_equal(dp_fake_report(d->dp, &r), ST_OK);
	assert_false(d->dp->ops->report(d->dp, &got));
	dp_fake_hold(d->dp, false);
	assert_true(d->dp->ops->report(d->dp, &got));
	assert_true(got.kind == r.kind && got.u.new_address.id == 3);
}

static void fake_carries(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 1);
	struct dp_report r;

	add_both(d, &op);
	assert_true(dp_fake_carry(d->dp, d->far, udp4(buf, 60, 1, 2, 1)));
	assert_true(dp_fake_carry(d->far, d->dp, udp4(buf, 60, 2, 1, 1)));
	assert_false(dp_fake_carry(d->dp, d->far, udp4(buf, 60, 1, 3, 1)));
	assert_int_equal(dut_op(d, trap_op(4, net3_ts)), ST_OK);
	for (int i = 0; i < 2; i++) {
		dp_fake_out(d->dp, udp4(buf, 60, 1, 3, 1));
		dp_fake_out(d->dp, udp4(buf, 60, 1, 3, 1));
		assert_true(d->dp->ops->report(d->dp, &r));
		assert_int_equal(r.kind, DP_REPORT_ACQUIRE);
		assert_false(d->dp->ops->report(d->dp, &r));
		dp_fake_interval(d->dp);
	}
}

#define ALL(f)                                                                                     \
	cmocka_unit_test_setup_teardown(f, open_fake, shut),                                       \
		{ #f " (user)", f, open_user, shut, NULL },                                        \
		{ #f " (user, CBC)", f, open_cbc, shut, NULL },                                    \
		{ #f " (user, ChaCha20)", f, open_chacha, shut, NULL },                            \
	{                                                                                          \
#f " (user, two queues)", f, open_two_queues, shut, NULL                           \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(add_carry_del),
		ALL(every_length),
		ALL(many_in_order),
		ALL(default_discard),
		ALL(inbound_selectors),
		ALL(ports_choose_the_child),
		ALL(longest_prefix),
		ALL(shorter_prefix),
		ALL(ranges),
		ALL(rekey),
		ALL(replaced_receives_only),
		ALL(replay_and_tampering),
		ALL(outside_the_window),
		ALL(outside_the_extended_window),
		ALL(unknown_spi),
		ALL(trap_holds_packets),
		ALL(trap_replaced_and_removed),
		ALL(address_change),
		ALL(forged_address),
		ALL(large_packets_ask_for_probes),
		ALL(found_mtu_holds),
		ALL(packet_limits),
		ALL(byte_limits_inbound),
		ALL(counters),
		ALL(wrong_operations),
		ALL(nth_allocation_fails),
		ALL(many_children),
		cmocka_unit_test_setup_teardown(changes_under_traffic, open_two_queues, shut),
		cmocka_unit_test_setup_teardown(fake_scripts, open_fake, shut),
		cmocka_unit_test_setup_teardown(fake_carries, open_fake, shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
