/*
 * What only the userspace data plane has: path MTU, ECN, offloads, IKE beside ESP.
 *
 * Its thread is ended first, and the test takes its turns by hand: everything happens when the test
 * says so, and the clock is the test's.
 */
#include "unit/dp_util.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <fcntl.h>

#include "dp/user/internal.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static uint8_t buf[65536], esp[65536], got[65536];
static uint8_t vnet[VNET];

/* What a socket refuses in the kernel's place, see sendmsg() below. */
static struct {
	int err; /* 0: nothing is refused */
	size_t above; /* messages with segments larger than this */
	bool gso; /* ... or any message with UDP_SEGMENT */
	int times; /* so often, -1: always */
	/* What the error queue says then, as long as it refuses, see recvmsg() below. */
	uint32_t mtu; /* 0: nothing */
	uint8_t origin;
	struct endpoint remote;
	bool told;
} refuse;

/* Sizes of what was sent, of segments where there are such, and whether it may be fragmented. */
static struct {
	size_t size;
	bool fragment;
} sent[64];
static size_t n_sent;

/* TUN refuses the next joined datagrams, see writev() below. */
static bool refuse_joined;

static struct queue *queue_of(const struct dut *d)
{
	return &CONTAINER_OF(d->dp, struct user, dp)->queue[0];
}

static int open_stopped(void **state)
{
	struct dut *d;
	struct queue *q;
	struct dp_op op;

	make_selectors();
	memset(&refuse, 0, sizeof(refuse));
	n_sent = 0;
	refuse_joined = false;
	d = dut_open(DUT_USER);
	q = queue_of(d);
	atomic_store(&q->u->stop, true);
	queue_stop(q);
	q->now_ns = user_clock_ns();
	op = add_op(d, 1);
	add_both(d, &op);
	*state = d;
	return 0;
}

static int shut(void **state)
{
	dut_close(*state);
	return 0;
}

/* ---- turns --------------------------------------------------------------------------------- */

static void turn_out(struct dut *d, struct bytes packet)
{
	host_sends(d, packet);
	tx_drain_tun(queue_of(d));
}

static bool nothing_at(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

/* Datagrams on the loopback are there when send returns. */
static void turn_in(struct dut *d)
{
	udp_receive(queue_of(d), 0);
}

/* A second passes: all budgets are full again. */
static void a_second_later(struct dut *d)
{
	queue_of(d)->now_ns += dur_s(1).ns;
}

/* Next packet that came out to the network, decrypted; 0 when there is none. */
static size_t next_out(struct dut *d, uint8_t *ret)
{
	static struct dp_fake_packet p;
	int from;
	size_t n;

	if (nothing_at(d->net[0]))
		return 0;
	n = net_gets(d, esp, &from);
	assert_int_equal(dp_fake_in(d->far, &d->remote[0], &d->local, bytes_of(esp, n)), ESP_OK);
	assert_true(dp_fake_next_in(d->far, &p));
	memcpy(ret, p.data, p.n);
	return p.n;
}

static uint64_t counted(struct dut *d, const char *name)
{
	return dut_counter(d, name);
}

/* ---- path MTU ------------------------------------------------------------------------------ */

/* 1280 bytes outside are 1218 inside: IPv4 and UDP 28, ESP 16 + 16, and 1220 - 2 for the trailer.
 */
enum {
	INNER_1280 = 1218,
};

static void narrow(struct dut *d, uint32_t mtu)
{
	pmtu_learn(queue_of(d), &d->remote[0], mtu, 0, false);
}

static struct bytes with_df(struct bytes p)
{
	store_be16(buf + 6, 0x4000);
	store_be16(buf + 10, 0);
	store_be16(buf + 10, wire_checksum(bytes_of(buf, 20)));
	return p;
}

static void learnt_mtu_is_reported_and_expires(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct dp_report r;
	struct path *p;
	struct child *c = ops_child(q->u, 1);

	p = atomic_load(&c->path);
	assert_int_equal(pmtu_outer(q, p), 65535);
	narrow(d, 1280);
	assert_int_equal(pmtu_outer(q, p), 1280);
	assert_int_equal(pmtu_inner(q, p, esp_out_shape(c->out)), INNER_1280);
	assert_true(dut_next(d, &r));
	assert_int_equal(r.kind, DP_REPORT_PMTU);
	assert_int_equal(r.u.pmtu.mtu, 1280);
	assert_true(endpoint_eq(&r.u.pmtu.remote, &d->remote[0]));
	narrow(d, 1400); /* never up */
	assert_int_equal(pmtu_outer(q, p), 1280);
	assert_false(dut_next(d, &r));
	q->now_ns += dur_s(DP_PMTU_EXPIRY_S).ns - 1;
	assert_int_equal(pmtu_outer(q, p), 1280);
	q->now_ns += 1;
	assert_int_equal(pmtu_outer(q, p), 65535);
}

/* S2: what ICMP says is not authenticated. */
static void forged_mtu_stops_at_a_floor(void **state)
{
	static const struct {
		uint32_t said;
		uint32_t size;
		bool ours;
		uint32_t want;
	} rows[] = {
		{ 68, 1500, false, 576 },  { 1, 1500, false, 576 },     { 575, 1500, false, 576 },
		{ 577, 1500, false, 577 }, { 1492, 1500, false, 1492 }, { 0, 1500, false, 1492 },
		{ 0, 1492, false, 1400 },  { 0, 500, false, 576 },      { 400, 1500, true, 400 },
		{ 10, 1500, true, 296 },   { 0, 65535, true, 32000 },
	};
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct path *p = atomic_load(&ops_child(q->u, 1)->path);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		pmtu_learn(q, &d->remote[0], rows[i].said, rows[i].size, rows[i].ours);
		assert_int_equal(pmtu_outer(q, p), rows[i].want);
		q->now_ns += dur_s(DP_PMTU_EXPIRY_S).ns;
	}
	assert_true(counted(d, "pmtu.ignored") == 0);
	pmtu_learn(q, &d->remote[0], 1000, 1500, false);
	pmtu_learn(q, &d->remote[0], 1000, 1500, false);
	assert_true(counted(d, "pmtu.ignored") == 1);
}

/* Of an address that has no child: IKE may send there by the same socket. */
static void mtu_of_others_is_reported(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct path *p = atomic_load(&ops_child(q->u, 1)->path);
	struct endpoint other = d->remote[0];
	struct dp_report r;

	other.ip.b[3]++;
	pmtu_learn(q, &other, 1000, 1500, false);
	assert_int_equal(pmtu_outer(q, p), 65535);
	assert_true(dut_next(d, &r));
	assert_int_equal(r.kind, DP_REPORT_PMTU);
	assert_int_equal(r.u.pmtu.mtu, 1000);
	assert_true(endpoint_eq(&r.u.pmtu.remote, &other));
}

/* RFC 4301 section 8.2.1 case 1; the largest that fits passes. */
static void df_is_answered(void **state)
{
	struct dut *d = *state;
	struct wire_ip ip;
	enum wire_ip_fault why;

	narrow(d, 1280);
	turn_out(d, with_df(udp4(buf, INNER_1280, 1, 2, 1)));
	assert_int_equal(next_out(d, got), INNER_1280);
	turn_out(d, with_df(udp4(buf, INNER_1280 + 1, 1, 2, 1)));
	assert_int_equal(next_out(d, got), 0);
	assert_int_equal(host_gets(d, got), 576);
	assert_int_equal(wire_ip_parse(bytes_of(got, 576), &ip, &why), ST_OK);
	assert_int_equal(ip.proto, WIRE_IP_ICMP);
	assert_int_equal(got[20], 3);
	assert_int_equal(got[21], 4);
	assert_int_equal(load_be16(got + 26), INNER_1280);
	assert_memory_equal(got + 12, buf + 16, 4); /* from where it was going */
	assert_memory_equal(got + 16, buf + 12, 4);
	assert_memory_equal(got + 28, buf, 100);
	assert_true(counted(d, "icmp.sent") == 1 && counted(d, "tx.too_big") == 1);
}

/* Case 2: fragments before encryption, so that no ESP packet is one. */
static void without_df_it_is_cut(void **state)
{
	struct dut *d = *state;
	uint8_t whole[3000];
	size_t at = 0;

	narrow(d, 1280);
	turn_out(d, udp4(buf, 3000, 1, 2, 7));
	while (at < 3000 - 20) {
		size_t n = next_out(d, got);
		struct wire_ip ip;
		enum wire_ip_fault why;

		assert_true(n > 20 && n <= INNER_1280);
		assert_int_equal(wire_ip_parse(bytes_of(got, n), &ip, &why), ST_OK);
		assert_int_equal(ip.frag_off, at);
		memcpy(whole + at, got + 20, n - 20);
		at += n - 20;
	}
	assert_int_equal(next_out(d, got), 0);
	assert_memory_equal(whole, buf + 20, 3000 - 20);
}

/* Case 3, and the packets that every IPv6 link must carry. */
static void ip6_gets_1280_through(void **state)
{
	struct dut *d = *state;

	narrow(d, 1280);
	turn_out(d, udp6(buf, 1280, 1, 2, 1));
	assert_int_equal(next_out(d, got), 1280);
	turn_out(d, udp6(buf, 1281, 1, 2, 1));
	assert_int_equal(next_out(d, got), 0);
	assert_int_equal(host_gets(d, got), 1280);
	assert_int_equal(got[40], 2); /* packet too big */
	assert_int_equal(load_be32(got + 44), 1280);
}

/* A peer whose selectors ask for ports takes no later fragments: the outer packet is cut. */
static void ports_and_fragments(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 2);
	struct wire_ts port = net2_ts[0];

	port.proto = WIRE_IP_UDP;
	port.port_start = port.port_end = 2000;
	op.u.child.ts_remote = (struct wire_ts_list){ &port, 1, 0 };
	add_both(d, &op);
	narrow(d, 1280);
	turn_out(d, udp4(buf, 3000, 1, 2, 7));
	assert_int_equal(next_out(d, got), 3000);
	assert_memory_equal(got, buf, 3000);
	assert_true(counted(d, "tx.fragmented") == 0);
}

/* RFC 4301 section 5.1.1: who is refused is told, but not without limit, and never about what
 * went to a group; path MTUs have a budget of their own. */
static void discarded_is_answered(void **state)
{
	struct dut *d = *state;
	struct wire_ip ip;
	enum wire_ip_fault why;
	size_t n;

	turn_out(d, udp4(buf, 60, 1, 7, 1));
	n = host_gets(d, got);
	assert_int_equal(wire_ip_parse(bytes_of(got, n), &ip, &why), ST_OK);
	assert_int_equal(got[20], 3);
	assert_int_equal(got[21], 13);
	assert_memory_equal(got + 12, buf + 16, 4);
	assert_memory_equal(got + 16, buf + 12, 4);
	turn_out(d, udp6(buf, 60, 1, 7, 1));
	n = host_gets(d, got);
	assert_int_equal(got[40], 1);
	assert_int_equal(got[41], 1);
	udp6(buf, 60, 1, 7, 1);
	buf[24] = 0xff; /* a router solicitation would look like that */
	turn_out(d, bytes_of(buf, 60));
	assert_true(counted(d, "icmp.sent") == 2 && counted(d, "tx.discard") == 3);
	for (int i = 0; i < 1000; i++) {
		turn_out(d, udp4(buf, 60, 1, 7, 1));
		while (!nothing_at(d->tun[0]))
			host_gets(d, got);
	}
	n = counted(d, "icmp.sent");
	assert_true(n <= 100);
	narrow(d, 1280);
	turn_out(d, with_df(udp4(buf, INNER_1280 + 1, 1, 2, 1)));
	assert_true(counted(d, "icmp.sent") == n + 1);
	/* and never about an answer */
	assert_int_equal(host_gets(d, got), 576);
	memcpy(got + 12, buf + 12, 4); /* as if from us to network 7 */
	got[17] = 7;
	a_second_later(d);
	turn_out(d, bytes_of(got, 576));
	assert_true(counted(d, "icmp.sent") == n + 1 && counted(d, "tx.discard") == 1004);
}

/* An empty packet is no end of the device. */
static void empty_packets(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct epoll_event e;

	turn_out(d, bytes_of(buf, 0));
	assert_true(counted(d, "tx.bad") == 1 && counted(d, "tun.error") == 0);
	host_sends(d, udp4(buf, 60, 1, 2, 1));
	assert_int_equal(epoll_wait(q->epoll, &e, 1, DEADLINE_MS), 1);
	tx_drain_tun(q);
	assert_int_equal(next_out(d, got), 60);
}

/* What was held too long is nothing anybody waits for. */
static void held_packets_get_stale(void **state)
{
	struct dut *d = *state;
	struct dp_op op = { .kind = DP_TRAP_ADD };
	struct dp_op child = add_op(d, 2);
	struct queue *q = queue_of(d);
	enum wire_ip_fault why;
	struct wire_ip ip;
	struct peer *p;

	op.u.trap.peer = 2;
	op.u.trap.ts_local = (struct wire_ts_list){ net1_ts, 2, 0 };
	op.u.trap.ts_remote = (struct wire_ts_list){ net3_ts, 2, 0 };
	assert_int_equal(dut_op(d, op), ST_OK);
	for (uint32_t i = 0; i < DP_HELD_PACKETS; i++)
		turn_out(d, udp4(buf, 60, 1, 3, i));
	assert_int_equal(wire_ip_parse(bytes_of(buf, 60), &ip, &why), ST_OK);
	assert_null(sadb_sender(q->u, &ip, &p));
	for (struct held *h = p->held; h; h = h->next)
		h->since_ns -= dur_s(HELD_S).ns;
	q->now_ns += 1;
	turn_out(d, udp4(buf, 60, 1, 3, 100));
	assert_true(counted(d, "tx.no_sa") == DP_HELD_PACKETS);
	while (d->dp->ops->report(d->dp, &(struct dp_report){ 0 }))
		;
	child.u.child.ts_remote = (struct wire_ts_list){ net3_ts, 2, 0 };
	add_both(d, &child);
	tx_drain_control(q);
	assert_int_equal(next_out(d, got), 60);
	assert_int_equal(load_be32(got + 28), 100);
	assert_int_equal(next_out(d, got), 0);
}

/* What must not be relayed, and found no other way in time: its sender hears of it. */
static void refused_packets_get_stale(void **state)
{
	struct dut *d = *state;
	struct dp_op hub = add_op(d, 2);
	struct queue *q = queue_of(d);
	struct child *c;

	hub.u.child.direct = true;
	add_both(d, &hub);
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	c = ops_child(q->u, 2);
	c->peer->held->since_ns -= dur_s(DP_HELD_DIRECT_S).ns;
	q->now_ns += 1;
	turn_out(d, udp4(buf, 60, 1, 2, 2));
	assert_true(host_gets(d, got) >= 48 && is_refusal(got));
	assert_true(counted(d, "tx.not_direct") == 2 && counted(d, "tx.no_sa") == 1);
	assert_int_equal(c->peer->n_held, 1);
	assert_int_equal(next_out(d, got), 0);
}

/* A TCP segment of the flow 10.`from`.0.1:80 -> 10.`to`.0.1:2000. */
static size_t tcp4(uint8_t *p, int from, int to, uint32_t seq, uint8_t flags, size_t options,
		   size_t payload)
{
	struct ip src = { 4, { 10, (uint8_t)from, 0, 1 } };
	struct ip dst = { 4, { 10, (uint8_t)to, 0, 1 } };
	size_t n = 40 + options + payload;

	for (size_t i = 40 + options; i < n; i++)
		p[i] = (uint8_t)(seq + i);
	memset(p, 0, 40 + options);
	p[0] = 0x45;
	store_be16(p + 2, (uint16_t)n);
	store_be16(p + 6, 0x4000);
	p[8] = 63;
	p[9] = WIRE_IP_TCP;
	memcpy(p + 12, src.b, 4);
	memcpy(p + 16, dst.b, 4);
	store_be16(p + 10, wire_checksum(bytes_of(p, 20)));
	store_be16(p + 20, 80);
	store_be16(p + 22, 2000);
	store_be32(p + 24, seq);
	store_be32(p + 28, 99);
	p[32] = (uint8_t)((20 + options) / 4 << 4);
	p[33] = flags;
	store_be16(p + 34, 1000);
	memset(p + 40, 1, options); /* no operation */
	store_be16(p + 36, wire_checksum_upper(&src, &dst, WIRE_IP_TCP, bytes_of(p + 20, n - 20)));
	return n;
}

static void tcp4_again(uint8_t *p, size_t n)
{
	struct ip src = ip_from_raw(bytes_of(p + 12, 4));
	struct ip dst = ip_from_raw(bytes_of(p + 16, 4));

	store_be16(p + 36, 0);
	store_be16(p + 36, wire_checksum_upper(&src, &dst, WIRE_IP_TCP, bytes_of(p + 20, n - 20)));
}

static size_t syn(uint8_t *p, int from, int to, uint16_t mss)
{
	size_t n = tcp4(p, from, to, 1, 0x02, 4, 0);

	p[40] = 2;
	p[41] = 4;
	store_be16(p + 42, mss);
	tcp4_again(p, n);
	return n;
}

static void check_syn(const uint8_t *p, size_t n, uint16_t mss)
{
	struct wire_ip ip;
	enum wire_ip_fault why;

	assert_int_equal(n, 44);
	assert_int_equal(load_be16(p + 42), mss);
	assert_int_equal(wire_ip_parse(bytes_of(p, n), &ip, &why), ST_OK);
	assert_true(csum_ok(bytes_of(p, n), &ip));
}

/* Both ways: our side's SYN limits what comes to us, theirs what we send. */
static void mss_is_clamped(void **state)
{
	struct dut *d = *state;
	size_t n;

	for (int i = 0; i < 2; i++) {
		uint16_t want = i ? INNER_1280 - 40 : 1400 - 40; /* of TUN, of the path */

		n = syn(buf, 1, 2, 1460);
		turn_out(d, bytes_of(buf, n));
		n = next_out(d, got);
		check_syn(got, n, want);
		n = syn(buf, 2, 1, 1460);
		n = far_seals(d, bytes_of(buf, n), esp);
		net_sends(d, 0, bytes_of(esp, n));
		turn_in(d);
		n = host_gets(d, got);
		check_syn(got, n, want);
		narrow(d, 1280);
	}
	n = syn(buf, 1, 2, 500);
	turn_out(d, bytes_of(buf, n));
	n = next_out(d, got);
	check_syn(got, n, 500);
	/* The device has another MTU now. */
	dp_user_set_mtu(d->dp, 1100);
	n = syn(buf, 1, 2, 1460);
	turn_out(d, bytes_of(buf, n));
	n = next_out(d, got);
	check_syn(got, n, 1100 - 40);
}

static void put_vnet(uint8_t type, uint16_t hdr_len, uint16_t size, uint16_t start, uint16_t off)
{
	vnet[0] = VNET_NEEDS_CSUM;
	vnet[1] = type;
	memcpy(vnet + 2, &hdr_len, 2);
	memcpy(vnet + 4, &size, 2);
	memcpy(vnet + 6, &start, 2);
	memcpy(vnet + 8, &off, 2);
}

/* ---- who asks for probes ------------------------------------------------------------------- */

static void found(struct dut *d, uint16_t mtu)
{
	struct dp_op op = { .kind = DP_PATH_MTU };

	op.u.path_mtu.remote = d->remote[0].ip;
	op.u.path_mtu.mtu = mtu;
	assert_int_equal(dut_op(d, op), ST_OK);
}

/* Nothing was reported, or just this. */
static void asked(struct dut *d, bool stalled, uint16_t now)
{
	struct dp_report r;

	assert_true(d->dp->ops->report(d->dp, &r));
	assert_int_equal(r.kind, DP_REPORT_PROBE);
	assert_true(r.u.probe.id == 1);
	assert_int_equal(r.u.probe.stalled, stalled);
	assert_int_equal(r.u.probe.now, now);
	assert_false(d->dp->ops->report(d->dp, &r));
}

static void not_asked(struct dut *d)
{
	struct dp_report r;

	assert_false(d->dp->ops->report(d->dp, &r));
}

/* What 1400 bytes of the device come to outside. */
enum { MOST = 28 + 16 + 1404 + 16 };

static void syn_asks_for_probes(void **state)
{
	struct dut *d = *state;

	turn_out(d, udp4(buf, 1000, 1, 2, 1));
	not_asked(d);
	turn_out(d, bytes_of(buf, tcp4(buf, 1, 2, 1, 0x10, 0, 1000)));
	not_asked(d);
	turn_out(d, bytes_of(buf, syn(buf, 1, 2, 1460)));
	asked(d, false, MOST);
	/* Nobody answers: again, but not at once. */
	a_second_later(d);
	turn_out(d, udp4(buf, 1300, 1, 2, 1));
	not_asked(d);
	queue_of(d)->now_ns += dur_ms(DP_PROBE_INTERVAL_MS).ns;
	turn_out(d, udp4(buf, 1300, 1, 2, 1));
	asked(d, false, MOST);
}

/* What was found holds until something else is, but is looked at again when there is traffic. */
static void found_mtu_is_questioned(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);

	found(d, 1400);
	q->now_ns = user_clock_ns() + dur_s(DP_PMTU_EXPIRY_S - 1).ns;
	turn_out(d, udp4(buf, 1300, 1, 2, 1));
	not_asked(d);
	q->now_ns += dur_s(2).ns;
	turn_out(d, udp4(buf, 100, 1, 2, 1));
	not_asked(d);
	turn_out(d, udp4(buf, 1300, 1, 2, 1));
	asked(d, false, 1400);
	q->now_ns += dur_s(100 * DP_PMTU_EXPIRY_S).ns;
	turn_out(d, with_df(udp4(buf, 1390, 1, 2, 1)));
	assert_true(counted(d, "tx.too_big") == 1);
}

/* S2: what ICMP says is looked into as soon as there is any traffic. */
static void icmp_is_questioned(void **state)
{
	struct dut *d = *state;
	struct dp_report r;

	found(d, MOST);
	narrow(d, 600);
	assert_true(d->dp->ops->report(d->dp, &r));
	assert_int_equal(r.kind, DP_REPORT_PMTU);
	assert_false(r.u.pmtu.ours);
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	asked(d, false, 600);
	/* The same word again is no news. */
	narrow(d, 600);
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	not_asked(d);
	found(d, MOST);
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	not_asked(d);
}

/* S2: nor does it make us forget what probes found. */
static void icmp_says_the_same(void **state)
{
	struct dut *d = *state;

	found(d, 1400);
	narrow(d, 1400);
	not_asked(d);
	queue_of(d)->now_ns = user_clock_ns() + dur_s(2 * DP_PMTU_EXPIRY_S).ns;
	turn_out(d, with_df(udp4(buf, 1390, 1, 2, 1)));
	assert_true(counted(d, "tx.too_big") == 1);
}

static void segment(struct dut *d, uint32_t seq, size_t payload)
{
	turn_out(d, bytes_of(buf, tcp4(buf, 1, 2, seq, 0x10, 0, payload)));
}

/* A large segment for the third time, with nothing of its flow in between. */
static void stalls_are_noticed(void **state)
{
	struct dut *d = *state;

	found(d, MOST);
	for (int i = 0; i < 3; i++) {
		segment(d, 1000, 1300);
		segment(d, 2300, 1300);
	}
	not_asked(d);
	for (int i = 0; i < 5; i++)
		segment(d, 5000, 500); /* not because of its size */
	not_asked(d);
	segment(d, 2300, 1300);
	not_asked(d);
	turn_out(d, udp4(buf, 1300, 1, 2, 1)); /* of another flow */
	segment(d, 2300, 1300);
	asked(d, true, MOST);
	for (int i = 0; i < 5; i++)
		segment(d, 2300, 1300);
	not_asked(d);
	queue_of(d)->now_ns += dur_ms(DP_PROBE_INTERVAL_MS).ns;
	segment(d, 2300, 1300);
	asked(d, true, MOST);
	assert_true(counted(d, "pmtu.stalled") == 2);
}

/* Another source address may be another way; the same one is the same. */
static void another_way_is_unknown(void **state)
{
	struct dut *d = *state;
	struct dp_op op = { .kind = DP_CHILD_ADDRESS };
	const struct path *p;

	queue_of(d)->u->socket[0].local.ip = (struct ip){ .family = 4 };
	found(d, 1300);
	op.u.address.id = 1;
	op.u.address.local = d->local;
	op.u.address.remote = d->remote[0];
	op.u.address.encap = true;
	assert_int_equal(dut_op(d, op), ST_OK);
	p = atomic_load(&ops_child(queue_of(d)->u, 1)->path);
	assert_int_equal(pmtu_outer(queue_of(d), p), 1300);
	op.u.address.local.ip.b[3]++;
	assert_int_equal(dut_op(d, op), ST_OK);
	p = atomic_load(&ops_child(queue_of(d)->u, 1)->path);
	assert_int_equal(pmtu_outer(queue_of(d), p), 65535);
	turn_out(d, udp4(buf, 1300, 1, 2, 1));
	asked(d, false, MOST);
}

/* ---- a socket that refuses ----------------------------------------------------------------- */

static size_t segment_size(const struct msghdr *h, bool *ret_gso)
{
	uint16_t v;

	*ret_gso = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)h, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT) {
			*ret_gso = true;
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			return v;
		}
	return h->msg_iov[0].iov_len;
}

static bool refused(const struct msghdr *h)
{
	bool gso;
	size_t size = segment_size(h, &gso);

	if (!refuse.err || !refuse.times || (size <= refuse.above && !(refuse.gso && gso)))
		return false;
	if (refuse.times > 0)
		refuse.times--;
	refuse.told = refuse.mtu;
	errno = refuse.err;
	return true;
}

static bool may_be_fragmented(int fd)
{
	int v;
	socklen_t n = sizeof(v);

	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v, &n), 0);
	return v == IP_PMTUDISC_DONT;
}

static void note_sent(int fd, const struct msghdr *h)
{
	bool gso;

	sent[n_sent % ARRAY_LEN(sent)].size = segment_size(h, &gso);
	sent[n_sent++ % ARRAY_LEN(sent)].fragment = may_be_fragmented(fd);
}

/* These stand before the C library's.  A local refusal spares what may be fragmented. */
ssize_t sendmsg(int fd, const struct msghdr *h, int flags)
{
	bool local = refuse.err == EMSGSIZE && refuse.origin == SO_EE_ORIGIN_LOCAL;

	if (!(local && may_be_fragmented(fd)) && refused(h))
		return -1;
	note_sent(fd, h);
	return syscall(SYS_sendmsg, fd, h, flags);
}

int sendmmsg(int fd, struct mmsghdr *mm, unsigned n, int flags)
{
	unsigned i;

	for (i = 0; i < n && !refused(&mm[i].msg_hdr); i++)
		note_sent(fd, &mm[i].msg_hdr);
	return i ? (int)syscall(SYS_sendmmsg, fd, mm, i, flags) : -1;
}

/* The error queue says what was refused last (ip_local_error() and ip_icmp_error() of the kernel),
 * once. */
ssize_t recvmsg(int fd, struct msghdr *h, int flags)
{
	struct sock_extended_err e = { .ee_errno = EMSGSIZE,
				       .ee_origin = refuse.origin,
				       .ee_info = refuse.mtu };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(refuse.remote.port) };
	struct cmsghdr *c = h->msg_control;

	if (!(flags & MSG_ERRQUEUE) || !refuse.told)
		return syscall(SYS_recvmsg, fd, h, flags);
	refuse.told = false;
	memcpy(&to.sin_addr, refuse.remote.ip.b, 4);
	memcpy(h->msg_name, &to, sizeof(to));
	*c = (struct cmsghdr){ .cmsg_level = IPPROTO_IP,
			       .cmsg_type = IP_RECVERR,
			       .cmsg_len = CMSG_LEN(sizeof(e)) };
	memcpy(CMSG_DATA(c), &e, sizeof(e));
	h->msg_controllen = CMSG_SPACE(sizeof(e));
	return 0;
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	const uint8_t *head = iov[0].iov_base;

	if (refuse_joined && iov[0].iov_len == VNET && head[1] == VNET_GSO_UDP_L4) {
		refuse_joined = false;
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_writev, fd, iov, n);
}

/* Runs a super-packet of 20 segments through, all of which must arrive, in order. */
static void twenty_segments(struct dut *d)
{
	size_t n = tcp4(buf, 1, 2, 0, 0x10, 0, 20000);
	struct wire_ip ip;
	enum wire_ip_fault why;
	uint16_t sum;
	size_t at = 0;

	assert_int_equal(wire_ip_parse(bytes_of(buf, n), &ip, &why), ST_OK);
	sum = csum_fold(csum_pseudo(&ip, WIRE_IP_TCP, n - 20));
	memcpy(buf + 36, &sum, 2);
	put_vnet(VNET_GSO_TCPV4, 40, 1000, 20, 16);
	host_sends_vnet(d, vnet, bytes_of(buf, n));
	tx_drain_tun(queue_of(d));
	while (at < 20000) {
		n = next_out(d, got);
		assert_true(n > 40);
		assert_int_equal(load_be32(got + 24), at);
		at += n - 40;
	}
	assert_int_equal(next_out(d, got), 0);
}

static void refuse_size(const struct endpoint *remote, uint32_t mtu, uint8_t origin)
{
	refuse.err = EMSGSIZE;
	refuse.remote = *remote;
	refuse.mtu = mtu;
	refuse.origin = origin;
}

static size_t fragmentable(void)
{
	size_t n = 0;

	assert_true(n_sent <= ARRAY_LEN(sent));
	for (size_t i = 0; i < n_sent; i++)
		n += sent[i].fragment;
	return n;
}

/* A device with a small MTU: what is sealed by then goes in fragments and is counted, the rest is
 * made to fit and has DF.  Nothing is lost. */
static void the_stack_says_too_big(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct path *p = atomic_load(&ops_child(q->u, 1)->path);

	refuse_size(&d->remote[0], 1000, SO_EE_ORIGIN_LOCAL);
	refuse.above = 1000 - 28;
	refuse.times = -1;
	twenty_segments(d);
	assert_true(counted(d, "pmtu.learnt") == 1 && counted(d, "tx.too_big") == 20);
	assert_true(n_sent == 20 && fragmentable() == 20);
	assert_int_equal(pmtu_outer(q, p), 1000);
	n_sent = 0;
	twenty_segments(d);
	assert_true(counted(d, "pmtu.learnt") == 1 && counted(d, "tx.too_big") == 20);
	assert_true(n_sent > 0 && fragmentable() == 0);
	assert_true(counted(d, "tx.error") == 0);
}

/* The same for a batch of packets that cannot go in one message: those that fit have DF. */
static void a_batch_is_sealed_when_the_path_is_learnt(void **state)
{
	static const size_t sizes[] = { 60, 1000, 300, 1001, 900, 1002, 61 };
	struct dut *d = *state;

	refuse_size(&d->remote[0], 1000, SO_EE_ORIGIN_LOCAL);
	refuse.above = 1000 - 28;
	refuse.times = -1;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		host_sends(d, udp4(buf, sizes[i], 1, 2, 1));
	tx_drain_tun(queue_of(d));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_equal(next_out(d, got), sizes[i]);
	assert_int_equal(next_out(d, got), 0);
	assert_int_equal(n_sent, ARRAY_LEN(sizes));
	for (size_t i = 0; i < n_sent; i++)
		assert_int_equal(sent[i].fragment, sizes[i] >= 1000);
	assert_true(counted(d, "pmtu.learnt") == 1 && counted(d, "tx.too_big") == 3);
}

/* S2: ICMP about an earlier packet is told by the next one that is sent, large or small, there or
 * elsewhere.  It lowers what it is about, to what it says, and costs no packet. */
static void icmp_is_not_about_the_next_packet(void **state)
{
	static const struct {
		size_t inner;
		uint32_t said;
		bool elsewhere;
		uint32_t want;
	} rows[] = {
		{ 60, 1280, false, 1280 },   { 1200, 1280, false, 1280 }, { 60, 68, false, 576 },
		{ 1200, 1280, true, 65535 }, { 60, 576, true, 65535 },
	};
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct path *p = atomic_load(&ops_child(q->u, 1)->path);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint about = d->remote[0];

		about.ip.b[3] += rows[i].elsewhere;
		refuse_size(&about, rows[i].said, SO_EE_ORIGIN_ICMP);
		refuse.times = 1;
		turn_out(d, udp4(buf, rows[i].inner, 1, 2, 1));
		assert_int_equal(next_out(d, got), rows[i].inner);
		assert_int_equal(pmtu_outer(q, p), rows[i].want);
		q->now_ns += dur_s(DP_PMTU_EXPIRY_S).ns;
	}
	assert_true(fragmentable() == 0 && counted(d, "tx.too_big") == 0);
}

/* Nor does it hurt what may be fragmented anyway, or a run of segments; and what ICMP says of a
 * packet that is larger than that holds for it, too. */
static void icmp_costs_no_packet(void **state)
{
	struct dut *d = *state;
	struct endpoint about = d->remote[0];

	about.ip.b[3]++;
	refuse_size(&about, 1280, SO_EE_ORIGIN_ICMP);
	refuse.times = 1;
	twenty_segments(d);
	assert_true(fragmentable() == 0);
	refuse_size(&d->remote[0], 576, SO_EE_ORIGIN_ICMP);
	refuse.times = 1;
	n_sent = 0;
	turn_out(d, udp4(buf, 1200, 1, 2, 1));
	assert_int_equal(next_out(d, got), 1200);
	assert_true(n_sent == 1 && fragmentable() == 1 && counted(d, "tx.too_big") == 1);
	refuse.times = 1; /* the smallest MTU of IPv6, which goes in fragments then */
	turn_out(d, udp6(buf, 1280, 1, 2, 1));
	assert_int_equal(next_out(d, got), 1280);
	assert_true(n_sent == 2 && fragmentable() == 2 && counted(d, "tx.too_big") == 1);
	assert_true(counted(d, "tx.error") == 0);
}

/* The first of a batch fits, and is told of a path that is too narrow for others in it. */
static void icmp_comes_before_a_batch(void **state)
{
	static const size_t sizes[] = { 60, 300, 1200, 900, 1201, 61 };
	struct dut *d = *state;

	refuse_size(&d->remote[0], 1000, SO_EE_ORIGIN_ICMP);
	refuse.times = 1;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		host_sends(d, udp4(buf, sizes[i], 1, 2, 1));
	tx_drain_tun(queue_of(d));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_equal(next_out(d, got), sizes[i]);
	assert_int_equal(n_sent, ARRAY_LEN(sizes));
	for (size_t i = 0; i < n_sent; i++)
		assert_int_equal(sent[i].fragment, sizes[i] > 1000);
	assert_true(counted(d, "tx.too_big") == 2 && counted(d, "pmtu.learnt") == 1);
}

/* Whatever the error queue says, nobody is held up for ever, and a refusal for which there is no
 * reason in it is no path MTU. */
static void endless_refusals(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);
	struct path *p = atomic_load(&ops_child(q->u, 1)->path);
	struct endpoint about = d->remote[0];

	about.ip.b[3]++;
	refuse_size(&about, 1280, SO_EE_ORIGIN_ICMP);
	refuse.times = -1;
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	assert_true(counted(d, "tx.error") == 1);
	refuse_size(&about, 0, SO_EE_ORIGIN_ICMP);
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	assert_true(counted(d, "tx.error") == 2);
	assert_int_equal(next_out(d, got), 0);
	assert_int_equal(pmtu_outer(q, p), 65535);
}

static void without_segmentation(void **state)
{
	static const int errs[] = { EIO, EOPNOTSUPP, ENOPROTOOPT, EINVAL };
	struct dut *d = *state;

	for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
		refuse.err = errs[i];
		refuse.above = SIZE_MAX;
		refuse.gso = true;
		refuse.times = -1;
		twenty_segments(d);
		atomic_store(&queue_of(d)->u->no_gso[0], false);
	}
	assert_true(counted(d, "tx.error") == 0);
}

/* An ICMP error of an earlier datagram is told by the next call and must not cost a packet; a full
 * buffer is waited for. */
static void passing_errors(void **state)
{
	static const int errs[] = { ECONNREFUSED, EHOSTUNREACH, EPERM, EINTR, EAGAIN };
	struct dut *d = *state;

	for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
		refuse.err = errs[i];
		refuse.times = 1;
		twenty_segments(d);
	}
	assert_true(counted(d, "tx.error") == 0 && counted(d, "tx.full") == 0);
	refuse.err = ENETUNREACH;
	refuse.times = -1;
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	assert_true(counted(d, "tx.error") == 1);
	refuse.err = 0;
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	assert_int_equal(next_out(d, got), 60);
}

/* Somebody's device that is stuck must not hold up everybody else for every packet. */
static void full_sockets(void **state)
{
	struct dut *d = *state;
	uint64_t calls;

	refuse.err = ENOBUFS; /* lost, as in any queue that is full */
	refuse.times = 1;
	turn_out(d, udp4(buf, 60, 1, 2, 1));
	assert_true(counted(d, "tx.full") == 1 && counted(d, "tx.syscalls") == 1);
	refuse.err = EAGAIN;
	refuse.times = -1;
	turn_out(d, udp4(buf, 60, 1, 2, 2));
	assert_true(counted(d, "tx.full") == 2);
	calls = counted(d, "tx.syscalls");
	assert_true(calls > 2); /* it was waited for */
	for (uint32_t i = 0; i < 10; i++)
		turn_out(d, udp4(buf, 60, 1, 2, 3 + i));
	assert_true(counted(d, "tx.full") == 12 && counted(d, "tx.syscalls") == calls + 10);
	refuse.err = 0;
	turn_out(d, udp4(buf, 60, 1, 2, 20));
	assert_int_equal(next_out(d, got), 60);
	refuse.err = EAGAIN; /* and again: it had taken something in between */
	refuse.times = 2;
	turn_out(d, udp4(buf, 60, 1, 2, 21));
	assert_int_equal(next_out(d, got), 60);
	assert_int_equal(next_out(d, got), 0);
}

/* ---- large packets from the host ----------------------------------------------------------- */

/* P2: one write by the host, one system call to the network, segments of the right size. */
static void tcp_is_segmented(void **state)
{
	struct dut *d = *state;
	static uint8_t data[65536];
	size_t n = tcp4(buf, 1, 2, 1000, 0x18, 12, 40000);
	uint16_t sum;
	struct wire_ip ip;
	enum wire_ip_fault why;

	assert_int_equal(wire_ip_parse(bytes_of(buf, n), &ip, &why), ST_OK);
	sum = csum_fold(csum_pseudo(&ip, WIRE_IP_TCP, n - 20));
	memcpy(buf + 36, &sum, 2);
	for (int round = 0; round < 2; round++) {
		size_t max = round ? INNER_1280 : 1352;
		uint64_t calls = counted(d, "tx.syscalls");
		size_t at = 0;

		put_vnet(VNET_GSO_TCPV4, 52, 1300, 20, 16);
		host_sends_vnet(d, vnet, bytes_of(buf, n));
		tx_drain_tun(queue_of(d));
		assert_true(counted(d, "tx.syscalls") == calls + 1);
		while (at < 40000) {
			size_t k = next_out(d, got);

			assert_int_equal(k, at + max - 52 < 40000 ? max : 40000 - at + 52);
			assert_int_equal(wire_ip_parse(bytes_of(got, k), &ip, &why), ST_OK);
			assert_true(csum_ok(bytes_of(got, k), &ip));
			assert_int_equal(load_be32(got + 24), 1000 + at);
			memcpy(data + at, got + 52, k - 52);
			at += k - 52;
		}
		assert_int_equal(next_out(d, got), 0);
		assert_memory_equal(data, buf + 52, 40000);
		narrow(d, 1280);
	}
}

/* Datagrams larger than the path are fragmented one by one. */
static void udp_is_segmented(void **state)
{
	struct dut *d = *state;
	struct bytes p = udp4(buf, 28 + 3000, 1, 2, 1);
	struct wire_ip ip;
	enum wire_ip_fault why;
	uint16_t sum;

	assert_int_equal(wire_ip_parse(p, &ip, &why), ST_OK);
	sum = csum_fold(csum_pseudo(&ip, WIRE_IP_UDP, p.n - 20));
	memcpy(buf + 26, &sum, 2);
	put_vnet(VNET_GSO_UDP_L4, 28, 1200, 20, 6);
	host_sends_vnet(d, vnet, p);
	tx_drain_tun(queue_of(d));
	for (int i = 0; i < 3; i++) {
		size_t n = next_out(d, got);

		assert_int_equal(n, i < 2 ? 1228 : 628);
		assert_int_equal(load_be16(got + 24), n - 20);
		assert_int_equal(wire_ip_parse(bytes_of(got, n), &ip, &why), ST_OK);
		assert_true(csum_ok(bytes_of(got, n), &ip));
	}
	assert_int_equal(next_out(d, got), 0);
	narrow(d, 1280);
	host_sends_vnet(d, vnet, p);
	tx_drain_tun(queue_of(d));
	for (int i = 0; i < 5; i++)
		assert_true(next_out(d, got) > 0);
	assert_int_equal(next_out(d, got), 0);
	assert_true(counted(d, "tx.fragmented") == 2);
}

/* ---- large packets to the host ------------------------------------------------------------- */

enum {
	STREAM = 60,
};

/* A stream of segments with all that may not be joined in between. */
struct stream {
	size_t n[STREAM];
	uint8_t packet[STREAM][1500];
};

static size_t odd_segment(uint8_t *p, uint32_t *seq)
{
	size_t payload = rnd(6) ? 1000 : rnd(1200);
	size_t n = tcp4(p, 2, 1, *seq, rnd(12) ? 0x10 : 0x18, rnd(20) ? 12 : 8, payload);

	*seq += (uint32_t)payload;
	switch (rnd(14)) {
	case 0: p[33] |= (uint8_t)(1 << rnd(8)); break; /* some flag */
	case 1: store_be16(p + 34, (uint16_t)rnd(3)); break; /* window */
	case 2: store_be32(p + 28, 100); break; /* acknowledgement */
	case 3: *seq += (uint32_t)rnd(2); break; /* a hole follows */
	case 4: p[45] ^= 3; break; /* options */
	case 5: wire_ip_set_ds(p, (uint8_t)(rnd(64) << 2)); return n;
	default: return n;
	}
	tcp4_again(p, n);
	return n;
}

static void make_stream(struct stream *s)
{
	uint32_t seq = (uint32_t)rnd(UINT32_MAX);

	for (int i = 0; i < STREAM; i++) {
		s->n[i] = odd_segment(s->packet[i], &seq);
		if (rnd(25) == 0)
			s->packet[i][s->n[i] - 1] ^= 1; /* damaged before it came to the tunnel */
	}
}

/* Cuts what TUN got as the stack would, and compares with what was sent. */
static void check_stream(struct dut *d, const struct stream *s)
{
	static uint8_t out[65536];
	int i = 0;

	while (i < STREAM) {
		size_t n = host_gets_vnet(d, vnet, got);
		struct vnet v = { .flags = vnet[0], .gso_type = vnet[1] };
		struct gso g = { .pieces = 1 };
		struct wire_ip ip;
		enum wire_ip_fault why;

		memcpy(&v.gso_size, vnet + 4, 2);
		assert_int_equal(wire_ip_parse(bytes_of(got, n), &ip, &why), ST_OK);
		assert_int_equal(ip.len, n);
		if (!vnet_is_gso(&v)) {
			assert_int_equal(n, s->n[i]);
			assert_memory_equal(got, s->packet[i++], n);
			continue;
		}
		if (ip.version == 4)
			assert_int_equal(wire_checksum(bytes_of(got, 20)), 0);
		assert_int_equal(gso_plan(&v, bytes_of(got, n), &ip, 65535, &g), ST_OK);
		assert_true(g.pieces > 1);
		for (size_t k = 0; k < g.pieces; k++, i++) {
			size_t piece = gso_piece(&g, k, out);

			assert_true(i < STREAM);
			/* with DF nobody reads the identification, which cutting counts up */
			if (ip.version == 4 && ip.dont_fragment) {
				memcpy(out + 4, s->packet[i] + 4, 2);
				memcpy(out + 10, s->packet[i] + 10, 2);
			}
			assert_int_equal(piece, s->n[i]);
			assert_memory_equal(out, s->packet[i], piece);
		}
	}
	assert_true(nothing_at(d->tun[0]));
}

/* Whatever is joined comes apart again into exactly what was sent. */
static void joined_segments_come_apart(void **state)
{
	struct dut *d = *state;
	static struct stream s;

	rnd_state = 21;
	for (int round = 0; round < 100; round++) {
		make_stream(&s);
		for (int i = 0; i < STREAM; i++) {
			size_t n = far_seals(d, bytes_of(s.packet[i], s.n[i]), esp);

			net_sends(d, 0, bytes_of(esp, n));
		}
		turn_in(d);
		check_stream(d, &s);
	}
	assert_true(counted(d, "tun.coalesced") > 100 * STREAM / 4);
}

static void ip4_again(uint8_t *p)
{
	store_be16(p + 10, 0);
	store_be16(p + 10, wire_checksum(bytes_of(p, 20)));
}

/* A datagram with a checksum of its own making, or none, or a wrong one. */
static size_t odd_datagram(uint8_t *p, bool six, uint32_t *id)
{
	size_t head = six ? 40 : 20;
	size_t n = head + 8 + (rnd(8) ? 500 : 4 + rnd(600));

	if (six) {
		udp6(p, n, 2, 1, (uint32_t)rnd(2));
		p[3] = rnd(12) == 0; /* flow label */
	} else {
		udp4(p, n, 2, 1, *id += rnd(9) ? 1 : 2);
		if (rnd(3) == 0)
			p[6] = 0x40;
		if (rnd(12) == 0)
			p[8]--;
		ip4_again(p);
	}
	switch (rnd(16)) {
	case 0: store_be16(p + head + 6, 0); break;
	case 1: p[n - 1] ^= 1; break;
	case 2: store_be16(p + head + 4, 8); break; /* says less than there is */
	default: break;
	}
	return n;
}

/* The same for datagrams. */
static void joined_datagrams_come_apart(void **state)
{
	struct dut *d = *state;
	static struct stream s;
	uint32_t id = 1;

	rnd_state = 22;
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < STREAM; i++) {
			size_t n;

			s.n[i] = odd_datagram(s.packet[i], round % 2, &id);
			n = far_seals(d, bytes_of(s.packet[i], s.n[i]), esp);
			net_sends(d, 0, bytes_of(esp, n));
		}
		turn_in(d);
		check_stream(d, &s);
	}
	assert_true(counted(d, "tun.coalesced") > 100 * STREAM / 8);
}

/* Kernels before 6.2 refuse joined datagrams: nothing is lost by that. */
static void datagrams_one_by_one(void **state)
{
	struct dut *d = *state;
	static struct stream s;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < STREAM; i++) {
			size_t n;

			udp4(s.packet[i], s.n[i] = 500, 2, 1, (uint32_t)(i + 1));
			n = far_seals(d, bytes_of(s.packet[i], s.n[i]), esp);
			net_sends(d, 0, bytes_of(esp, n));
		}
		refuse_joined = round == 0;
		turn_in(d);
		check_stream(d, &s);
		assert_false(refuse_joined);
	}
	assert_true(counted(d, "tun.coalesced") == 0 && counted(d, "tun.error") == 0);
}

/* P2: a run that the network card would deliver as one is one write to the host. */
static void a_clean_run_is_one_write(void **state)
{
	struct dut *d = *state;
	static struct stream s;
	uint32_t seq = 5;

	for (int i = 0; i < STREAM; i++) {
		bool last = i == STREAM - 1;
		size_t n;

		s.n[i] = tcp4(s.packet[i], 2, 1, seq, last ? 0x18 : 0x10, 12, last ? 7 : 1000);
		seq += 1000;
		n = far_seals(d, bytes_of(s.packet[i], s.n[i]), esp);
		net_sends(d, 0, bytes_of(esp, n));
	}
	turn_in(d);
	/* read 16 datagrams at a time */
	assert_true(counted(d, "tun.writes") == (STREAM + RX_MESSAGES - 1) / RX_MESSAGES);
	check_stream(d, &s);
}

/* Two flows taking turns are joined each for itself, in order. */
static void flows_do_not_mix(void **state)
{
	struct dut *d = *state;
	uint32_t next[2] = { 1, 1 };

	for (uint32_t i = 0; i < 8; i++) {
		size_t n = tcp4(buf, 2, 1, 1 + i / 2 * 100, 0x10, 0, 100);

		store_be16(buf + 22, (uint16_t)(2000 + i % 2));
		tcp4_again(buf, n);
		n = far_seals(d, bytes_of(buf, n), esp);
		net_sends(d, 0, bytes_of(esp, n));
	}
	turn_in(d);
	assert_true(counted(d, "tun.writes") == 2);
	for (int i = 0; i < 2; i++) {
		size_t n = host_gets_vnet(d, vnet, got);
		unsigned port = load_be16(got + 22) - 2000;

		assert_int_equal(n, 440);
		assert_int_equal(load_be32(got + 24), next[port]);
		next[port] += 400;
	}
}

/* One system call of the sender with UDP_SEGMENT arrives as one buffer, whose pieces are packets of
 * different SAs, and rubbish. */
static void a_gro_buffer_is_split(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 2);
	int size;
	size_t n = 0;

	op.u.child.ts_remote.ts = net3_ts;
	add_both(d, &op);
	for (uint32_t i = 0; i < 6; i++) {
		size_t k = far_seals(d, udp4(buf, 100, i % 2 ? 3 : 2, 1, i), esp + n);

		if (i == 3)
			esp[n] ^= 0x40; /* nobody's SPI */
		if (i == 4)
			memset(esp + n, 0, 4); /* an IKE message */
		n += k;
	}
	size = (int)n / 6;
	assert_int_equal(setsockopt(d->net[0], IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	net_sends(d, 0, bytes_of(esp, n));
	turn_in(d);
	for (uint32_t i = 0; i < 6; i++) {
		if (i == 3 || i == 4)
			continue;
		assert_int_equal(host_gets(d, got), 100);
		assert_int_equal(load_be32(got + 28), i);
	}
	assert_true(counted(d, "rx.packets") == 6);
	assert_true(counted(d, "rx.unknown_spi") == 1 && counted(d, "rx.ike") == 1);
}

/* ---- the DS field -------------------------------------------------------------------------- */

static size_t udp4_ds(size_t n, int from, int to, uint8_t ds)
{
	udp4(buf, n, from, to, 1);
	wire_ip_set_ds(buf, ds);
	return n;
}

/* RFC 6040 section 4.1, RFC 2983: the outer header says what the inner does. */
static void outer_ds_is_a_copy(void **state)
{
	struct dut *d = *state;
	int one = 1;

	assert_int_equal(setsockopt(d->net[0], IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)), 0);
	for (unsigned ds = 0; ds < 256; ds += 13) {
		uint8_t control[64];
		struct iovec iov = { esp, sizeof(esp) };
		struct msghdr h = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };

		turn_out(d, bytes_of(buf, udp4_ds(60, 1, 2, (uint8_t)ds)));
		assert_true(recvmsg(d->net[0], &h, 0) > 0);
		assert_non_null(CMSG_FIRSTHDR(&h));
		assert_int_equal(*CMSG_DATA(CMSG_FIRSTHDR(&h)), ds);
	}
}

/* Section 4.2, figure 4, by the corners; the whole table is tested with wire_ecn_decap(). */
static void ecn_comes_through(void **state)
{
	static const struct {
		uint8_t inner, outer, want;
		bool drop;
	} rows[] = {
		{ 0, 0, 0, false },          { 2, 3, 3, false }, { 1, 3, 3, false },
		{ 2, 0, 2, false },          { 3, 0, 3, false }, { 0, 3, 0, true },
		{ 0xb8, 0xbb, 0, true }, /* not ECN-capable */
		{ 0xba, 0x03, 0xbb, false }, /* DSCP stays the inner's */
	};
	struct dut *d = *state;
	uint64_t dropped = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int tos = rows[i].outer;
		size_t n = udp4_ds(60, 2, 1, rows[i].inner);

		assert_int_equal(setsockopt(d->net[0], IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
		n = far_seals(d, bytes_of(buf, n), esp);
		net_sends(d, 0, bytes_of(esp, n));
		turn_in(d);
		dropped += rows[i].drop;
		assert_true(counted(d, "rx.ecn_drop") == dropped);
		if (rows[i].drop)
			continue;
		assert_int_equal(host_gets(d, got), 60);
		assert_int_equal(got[1], rows[i].want);
		assert_int_equal(wire_checksum(bytes_of(got, 20)), 0);
	}
}

/* ---- beside ESP ---------------------------------------------------------------------------- */

static void ike_and_keepalives(void **state)
{
	static struct dp_user_datagram in;
	static const uint8_t keepalive[] = { 0xff };
	static const uint8_t ike[] = { 0, 0, 0, 0, 1, 2, 3, 4, 5 };
	struct dut *d = *state;
	int fd = d->dp->ops->fd(d->dp);
	struct dp_report r;

	assert_false(dut_next(d, &r));
	assert_false(dp_user_ike(d->dp, &in));
	assert_true(nothing_at(fd));
	net_sends(d, 0, BYTES_OF(keepalive));
	net_sends(d, 1, BYTES_OF(ike));
	net_sends(d, 1, bytes_of(ike, 3));
	turn_in(d);
	assert_true(counted(d, "rx.keepalive") == 1 && counted(d, "rx.bad") == 1);
	assert_true(queue_of(d)->host_waiting);
	user_signal_host(queue_of(d)->u); /* the end of a turn */
	assert_false(nothing_at(fd));
	assert_false(dut_next(d, &r));
	assert_false(nothing_at(fd)); /* there is a datagram still */
	assert_true(dp_user_ike(d->dp, &in));
	assert_int_equal(in.n, 5);
	assert_memory_equal(in.data, ike + 4, 5);
	assert_true(endpoint_eq(&in.remote, &d->remote[1]));
	assert_true(endpoint_eq(&in.local, &d->local));
	assert_false(dp_user_ike(d->dp, &in));
	assert_true(nothing_at(fd));
}

/* S2: more IKE than the host takes is dropped and counted, and ESP goes on. */
static void ike_flood(void **state)
{
	static struct dp_user_datagram in;
	static uint8_t ike[30000];
	enum { FLOOD = 2 * IKE_RING_BYTES / sizeof(ike) };
	struct dut *d = *state;
	size_t n = 0;

	for (int i = 0; i < FLOOD; i++) {
		net_sends(d, 0, BYTES_OF(ike));
		turn_in(d);
	}
	n = far_seals(d, udp4(buf, 60, 2, 1, 1), esp);
	net_sends(d, 0, bytes_of(esp, n));
	turn_in(d);
	assert_int_equal(host_gets(d, got), 60);
	for (n = 0; dp_user_ike(d->dp, &in); n++)
		assert_int_equal(in.n, sizeof(ike) - 4);
	assert_true(n > IKE_RING_BYTES / sizeof(ike) / 2 && n < FLOOD);
	assert_true(counted(d, "rx.ike_lost") == FLOOD - n);
}

/* An outsider makes us report at most so often. */
static void unknown_spis_are_limited(void **state)
{
	struct dut *d = *state;
	struct queue *q = queue_of(d);

	memset(esp, 0x77, 100);
	for (int i = 0; i < 50; i++)
		net_sends(d, 0, bytes_of(esp, 100));
	turn_in(d);
	assert_int_equal(dut_reports(d, DP_REPORT_UNKNOWN_SPI), 10);
	q->now_ns += dur_ms(500).ns;
	for (int i = 0; i < 50; i++)
		net_sends(d, 0, bytes_of(esp, 100));
	turn_in(d);
	assert_int_equal(dut_reports(d, DP_REPORT_UNKNOWN_SPI), 5);
}

/* Numbers of an SA without ESN run out: nothing is sent with a number used twice. */
static void numbers_run_out(void **state)
{
	struct dut *d = *state;
	struct dp_op op = add_op(d, 2);
	struct dp_report r;

	op.u.child.esn = false;
	op.u.child.ts_remote.ts = net3_ts;
	add_both(d, &op);
	esp_out_advance(ops_child(queue_of(d)->u, 2)->out, UINT32_MAX - 2);
	for (int i = 0; i < 4; i++)
		host_sends(d, udp4(buf, 60, 1, 3, 1));
	tx_drain_tun(queue_of(d));
	assert_int_equal(next_out(d, got), 60);
	assert_int_equal(next_out(d, got), 60);
	assert_int_equal(next_out(d, got), 0);
	assert_true(dut_next(d, &r));
	assert_true(r.kind == DP_REPORT_EXPIRE && r.u.expire.hard && r.u.expire.id == 2);
	assert_false(dut_next(d, &r));
	turn_out(d, udp4(buf, 60, 1, 3, 1));
	assert_int_equal(next_out(d, got), 0);
	assert_true(counted(d, "tx.no_sa") == 2 && counted(d, "tx.discard") == 1);
}

/* ---- creation ------------------------------------------------------------------------------ */

static void refused_parameters(void **state)
{
	struct dut *d = *state;
	struct dp_user_params p = { .mem = &dut_mem, .queues = 1, .n_sockets = 1, .tun = { -1 } };
	char why[200];
	struct text t = TEXT_OF(why);
	struct dp *dp;

	p.sockets[0] = (struct dp_user_socket){ d->net[1], d->remote[1], 0 };
	assert_int_equal(dp_user_new(&p, &t, &dp), ST_IO); /* no TUN */
	assert_true(t.n > 0);
	p.tun[0] = d->tun[0];
	p.queues = 0;
	assert_int_equal(dp_user_new(&p, &t, &dp), ST_INVAL);
	p.queues = DP_USER_MAX_QUEUES + 1;
	assert_int_equal(dp_user_new(&p, &t, &dp), ST_INVAL);
	p.queues = 1;
	p.sockets[0].queue = 1;
	assert_int_equal(dp_user_new(&p, &t, &dp), ST_INVAL);
	p.sockets[0].queue = 0;
	for (long n = 0;; n++) {
		long live = atomic_load(&dut_count.live);
		enum status st;

		atomic_store(&dut_count.left, n);
		st = dp_user_new(&p, &t, &dp);
		atomic_store(&dut_count.left, -1);
		if (st == ST_OK)
			break;
		assert_int_equal(st, ST_NOMEM);
		assert_int_equal(atomic_load(&dut_count.live), live);
		assert_true(n < 100);
	}
	dp->ops->free(dp); /* closes what it was given */
	assert_int_equal(fcntl(d->net[1], F_GETFD), -1);
	assert_int_equal(errno, EBADF);
	d->net[1] = -1;
	d->tun[0] = -1;
}

#define STEP(f) cmocka_unit_test_setup_teardown(f, open_stopped, shut)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STEP(learnt_mtu_is_reported_and_expires),
		STEP(forged_mtu_stops_at_a_floor),
		STEP(mtu_of_others_is_reported),
		STEP(df_is_answered),
		STEP(ports_and_fragments),
		STEP(discarded_is_answered),
		STEP(empty_packets),
		STEP(held_packets_get_stale),
		STEP(refused_packets_get_stale),
		STEP(without_df_it_is_cut),
		STEP(ip6_gets_1280_through),
		STEP(mss_is_clamped),
		STEP(syn_asks_for_probes),
		STEP(found_mtu_is_questioned),
		STEP(icmp_is_questioned),
		STEP(icmp_says_the_same),
		STEP(stalls_are_noticed),
		STEP(another_way_is_unknown),
		STEP(the_stack_says_too_big),
		STEP(a_batch_is_sealed_when_the_path_is_learnt),
		STEP(icmp_is_not_about_the_next_packet),
		STEP(icmp_costs_no_packet),
		STEP(icmp_comes_before_a_batch),
		STEP(endless_refusals),
		STEP(without_segmentation),
		STEP(passing_errors),
		STEP(full_sockets),
		STEP(tcp_is_segmented),
		STEP(udp_is_segmented),
		STEP(joined_segments_come_apart),
		STEP(joined_datagrams_come_apart),
		STEP(datagrams_one_by_one),
		STEP(a_clean_run_is_one_write),
		STEP(flows_do_not_mix),
		STEP(a_gro_buffer_is_split),
		STEP(outer_ds_is_a_copy),
		STEP(ecn_comes_through),
		STEP(ike_and_keepalives),
		STEP(ike_flood),
		STEP(unknown_spis_are_limited),
		STEP(numbers_run_out),
		STEP(refused_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
