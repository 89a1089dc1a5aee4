/*
 * dp_util.h - a data plane under test, seen from both sides.
 *
 *	host  <-- TUN -->  [ data plane under test ]  <-- network -->  far end (a fake)
 *
 * For the fake, both sides are function calls; for the user data plane they are a socket pair in
 * place of TUN and UDP sockets on the loopback, so no privileges are needed.  Nothing here waits
 * for a time to pass: a test that says "nothing comes out" sends something good behind it and looks
 * what comes first.
 */
#pragma once

#include "unit/test_util.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dp/fake/dp_fake.h"
#include "dp/user/dp_user.h"
#include "dp/user/offload.h"

enum dut_kind {
	DUT_FAKE,
	DUT_USER,
	DUT_USER_TWO_QUEUES, /* one socket, read by queue 0: SAs of queue 1 get all over the ring */
};

enum {
	VNET = 10,
	NETS = 2, /* addresses of the far end */
	DEADLINE_MS = 20000, /* a broken data plane fails, a slow machine does not */
};

struct dut {
	enum dut_kind kind;
	struct dp *dp;
	struct dp *far;
	int tun[2];
	int net[NETS];
	struct endpoint local;
	struct endpoint remote[NETS];
	uint64_t ops;
	mono_t clock; /* of the fake */
	size_t n_silent;
	dp_child_id silent; /* the last SILENT */
	size_t n_ceased;
	dp_child_id ceased;
	struct gso joined; /* what TUN got last, and which piece of it comes next */
	size_t next;
};

/* An allocator for several threads, which refuses after `left` blocks (negative: never). */
struct shared_count {
	_Atomic long left;
	_Atomic long live;
};

static inline void *shared_alloc(void *ctx, size_t n)
{
	struct shared_count *c = ctx;
	void *p;

	if (atomic_load(&c->left) == 0)
		return NULL;
	if (atomic_load(&c->left) > 0)
		atomic_fetch_sub(&c->left, 1);
	p = mem_libc.alloc(NULL, n);
	if (p)
		atomic_fetch_add(&c->live, 1);
	return p;
}

static inline void shared_free(void *ctx, void *p)
{
	struct shared_count *c = ctx;

	if (p)
		atomic_fetch_sub(&c->live, 1);
	mem_libc.free(NULL, p);
}

static struct shared_count dut_count;
static const struct alloc dut_mem = { shared_alloc, shared_free, &dut_count };

/* ---- set-up -------------------------------------------------------------------------------- */

static inline int udp_socket(struct endpoint *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&a, &n), 0);
	*ret = (struct endpoint){ ip_from_raw(bytes_of(&a.sin_addr, 4)), ntohs(a.sin_port) };
	return fd;
}

static inline void dut_open_user(struct dut *d)
{
	struct dp_user_params p = { .mem = &dut_mem, .queues = 1, .n_sockets = 1, .mtu = 1400 };
	char why[200];
	struct text t = TEXT_OF(why);

	if (d->kind == DUT_USER_TWO_QUEUES)
		p.queues = 2;
	for (unsigned i = 0; i < p.queues; i++) {
		int pair[2];

		assert_int_equal(
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			0);
		d->tun[i] = pair[0];
		p.tun[i] = pair[1];
	}
	p.sockets[0].fd = udp_socket(&d->local);
	p.sockets[0].local = d->local;
	for (int i = 0; i < NETS; i++)
		d->net[i] = udp_socket(&d->remote[i]);
	assert_int_equal(dp_user_new(&p, &t, &d->dp), ST_OK);
}

static inline struct dut *dut_open(enum dut_kind kind)
{
	static struct dut dut;
	struct dut *d = &dut;

	*d = (struct dut){ .kind = kind, .tun = { -1, -1 }, .net = { -1, -1 } };
	atomic_store(&dut_count.left, -1);
	atomic_store(&dut_count.live, 0);
	if (kind == DUT_FAKE) {
		assert_int_equal(dp_fake_new(&dut_mem, &d->dp), ST_OK);
		assert_int_equal(prefix_parse("192.0.2.1", &(struct prefix){ 0 }), ST_OK);
		assert_int_equal(ip_parse("192.0.2.1", &d->local.ip), ST_OK);
		assert_int_equal(ip_parse("192.0.2.2", &d->remote[0].ip), ST_OK);
		assert_int_equal(ip_parse("192.0.2.3", &d->remote[1].ip), ST_OK);
		d->local.port = d->remote[0].port = d->remote[1].port = 4500;
	} else {
		dut_open_user(d);
	}
	assert_int_equal(dp_fake_new(&mem_libc, &d->far), ST_OK);
	return d;
}

static inline void dut_close(struct dut *d)
{
	d->dp->ops->free(d->dp);
	d->far->ops->free(d->far);
	for (int i = 0; i < 2; i++) {
		if (d->tun[i] >= 0)
			close(d->tun[i]);
		if (d->net[i] >= 0)
			close(d->net[i]);
	}
	assert_int_equal(atomic_load(&dut_count.live), 0);
}

/* ---- packets ------------------------------------------------------------------------------- */

/* The host's side: packets with an empty virtio-net header. */
static inline void host_sends_vnet(struct dut *d, const uint8_t vnet[VNET], struct bytes packet)
{
	uint8_t buf[VNET + 65536];

	if (d->kind == DUT_FAKE) {
		dp_fake_out(d->dp, packet);
		return;
	}
	memcpy(buf, vnet, VNET);
	memcpy(buf + VNET, packet.p, packet.n);
	assert_int_equal(write(d->tun[0], buf, VNET + packet.n), VNET + packet.n);
}

static inline void host_sends(struct dut *d, struct bytes packet)
{
	static const uint8_t none[VNET];

	host_sends_vnet(d, none, packet);
}

static inline int wait_any(const int *fd, size_t n)
{
	struct pollfd p[4];

	for (size_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = fd[i], .events = POLLIN };
	assert_true(poll(p, n, DEADLINE_MS) > 0);
	for (size_t i = 0; i < n; i++)
		if (p[i].revents)
			return (int)i;
	return -1;
}

/* Next packet for the host, with its virtio-net header in front for the user data plane. */
static inline size_t host_gets_vnet(struct dut *d, uint8_t vnet[VNET], uint8_t *ret)
{
	static struct dp_fake_packet p;
	static uint8_t buf[VNET + 65536];
	ssize_t n;

	memset(vnet, 0, VNET);
	if (d->kind == DUT_FAKE) {
		assert_true(dp_fake_next_in(d->dp, &p));
		memcpy(ret, p.data, p.n);
		return p.n;
	}
	n = read(d->tun[wait_any(d->tun, 2)], buf, sizeof(buf));
	assert_true(n > VNET);
	memcpy(vnet, buf, VNET);
	memcpy(ret, buf + VNET, (size_t)n - VNET);
	return (size_t)n - VNET;
}

/* Next packet for the host; joined datagrams come one by one. */
static inline size_t host_gets(struct dut *d, uint8_t *ret)
{
	static uint8_t all[65536];
	uint8_t vnet[VNET];
	struct vnet v = { .flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_UDP_L4 };
	enum wire_ip_fault why;
	struct wire_ip ip;
	size_t n;

	if (d->joined.pieces == 0) {
		n = host_gets_vnet(d, vnet, all);
		if (vnet[1] != VNET_GSO_UDP_L4) {
			memcpy(ret, all, n);
			return n;
		}
		memcpy(&v.gso_size, vnet + 4, 2);
		assert_int_equal(wire_ip_parse(bytes_of(all, n), &ip, &why), ST_OK);
		assert_int_equal(gso_plan(&v, bytes_of(all, n), &ip, 65535, &d->joined), ST_OK);
		d->next = 0;
	}
	n = gso_piece(&d->joined, d->next++, ret);
	if (d->next == d->joined.pieces)
		d->joined.pieces = 0;
	return n;
}

/* "Administratively prohibited": the answer to something that was discarded. */
static inline bool is_refusal(const uint8_t *p)
{
	return p[0] == 0x45 ? p[9] == WIRE_IP_ICMP && p[20] == 3 && p[21] == 13
			    : p[6] == WIRE_IP_ICMPV6 && p[40] == 1 && p[41] == 1;
}

/* The network's side: a datagram from far address `i`. */
static inline void net_sends(struct dut *d, int i, struct bytes packet)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(d->local.port) };

	if (d->kind == DUT_FAKE) {
		(void)dp_fake_in(d->dp, &d->local, &d->remote[i], packet);
		return;
	}
	memcpy(&a.sin_addr, d->local.ip.b, 4);
	assert_int_equal(
		sendto(d->net[i], packet.p, packet.n, 0, (struct sockaddr *)(void *)&a, sizeof(a)),
		packet.n);
}

/* Next datagram to the network; `*ret_i` is the far address that got it. */
static inline size_t net_gets(struct dut *d, uint8_t *ret, int *ret_i)
{
	static struct dp_fake_packet p;
	ssize_t n;

	if (d->kind == DUT_FAKE) {
		assert_true(dp_fake_next_out(d->dp, &p));
		assert_true(endpoint_eq(&p.local, &d->local));
		*ret_i = endpoint_eq(&p.remote, &d->remote[1]);
		assert_true(endpoint_eq(&p.remote, &d->remote[*ret_i]));
		memcpy(ret, p.data, p.n);
		return p.n;
	}
	*ret_i = wait_any(d->net, NETS);
	n = recv(d->net[*ret_i], ret, 65536, 0);
	assert_true(n > 0);
	return (size_t)n;
}

/* ---- operations and reports ---------------------------------------------------------------- */

/* SILENT and CEASED come whenever a test happens to take long, so they are noted and not handed
 * out. */
static inline bool dut_next(struct dut *d, struct dp_report *ret)
{
	while (d->dp->ops->report(d->dp, ret)) {
		if (ret->kind == DP_REPORT_SILENT) {
			d->n_silent++;
			d->silent = ret->u.silent.id;
		} else if (ret->kind == DP_REPORT_CEASED) {
			d->n_ceased++;
			d->ceased = ret->u.silent.id;
		} else {
			return true;
		}
	}
	return false;
}

static inline struct dp_report dut_any_report(struct dut *d)
{
	struct dp_report r;
	int fd = d->dp->ops->fd(d->dp);

	while (!dut_next(d, &r)) {
		assert_true(fd >= 0); /* the fake has it at once */
		wait_any(&fd, 1);
	}
	return r;
}

/* Probes are asked for whenever something large was sent: apart from tests of that, by the way. */
static inline struct dp_report dut_report(struct dut *d)
{
	struct dp_report r;

	do {
		r = dut_any_report(d);
	} while (r.kind == DP_REPORT_PROBE);
	return r;
}

/* How many reports of this kind there are, with what has happened so far. */
static inline size_t dut_reports(struct dut *d, enum dp_report_kind kind)
{
	struct dp_report r;
	size_t n = 0;

	while (dut_next(d, &r))
		n += r.kind == kind;
	return n;
}

/* Submits and waits for the answer; nothing else may be reported before it. */
static inline enum status dut_op(struct dut *d, struct dp_op op)
{
	struct dp_report r;
	enum status st;

	op.op = ++d->ops;
	st = d->dp->ops->submit(d->dp, &op);
	if (st)
		return st;
	r = dut_report(d);
	assert_int_equal(r.kind, DP_REPORT_DONE);
	assert_true(r.u.done.op == op.op);
	return r.u.done.status;
}

static inline uint64_t dut_counter(struct dut *d, const char *name)
{
	const char *n;
	uint64_t v;

	for (size_t i = 0; d->dp->ops->counter(d->dp, i, &n, &v); i++)
		if (strcmp(n, name) == 0)
			return v;
	fail_msg("no counter %s", name);
	return 0;
}

/* ---- children ------------------------------------------------------------------------------ */

static struct wire_ts any_ts[2], net1_ts[2], net2_ts[2], net3_ts[2];

static inline struct wire_ts ts_of(const char *prefix)
{
	struct prefix p;

	assert_int_equal(prefix_parse(prefix, &p), ST_OK);
	return (struct wire_ts){ 0, 0, 65535, prefix_first(&p), prefix_last(&p) };
}

/* Host networks: ours 10.1/16 and 2001:db8:1::/48; the far ends' .2 and .3. */
static inline void make_selectors(void)
{
	any_ts[0] = ts_of("0.0.0.0/0");
	any_ts[1] = ts_of("::/0");
	net1_ts[0] = ts_of("10.1.0.0/16");
	net1_ts[1] = ts_of("2001:db8:1::/48");
	net2_ts[0] = ts_of("10.2.0.0/16");
	net2_ts[1] = ts_of("2001:db8:2::/48");
	net3_ts[0] = ts_of("10.3.0.0/16");
	net3_ts[1] = ts_of("2001:db8:3::/48");
}

/* What children protect their packets with. */
static const struct crypto_cipher gcm128 = { CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE };
static struct crypto_cipher dp_cipher = { CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE };

static inline struct esp_keys some_keys(uint32_t seed)
{
	struct esp_keys k = { .cipher = dp_cipher };
	struct crypto_cipher_info info;
	uint8_t raw[SECRET_MAX];

	assert_int_equal(crypto_cipher_info(dp_cipher, &info), ST_OK);
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(seed * 31 + i);
	secret_set(&k.encr, bytes_of(raw, info.key_len));
	secret_set(&k.integ, bytes_of(raw, info.integ_key_len));
	return k;
}

/* Child `id` of peer `id` between the networks 1 and 2. SPIs are odd: queue 1, when there is one.
 */
static inline struct dp_op add_op(const struct dut *d, dp_child_id id)
{
	struct dp_op op = { .kind = DP_CHILD_ADD };
	struct dp_child *c = &op.u.child;

	c->id = id;
	c->peer = id;
	c->spi_in = 0x10001 + 2 * (uint32_t)id;
	c->spi_out = 0x20001 + 2 * (uint32_t)id;
	c->esn = true;
	c->encap = true;
	c->outbound = true;
	c->window = 4096;
	c->local = d->local;
	c->remote = d->remote[0];
	c->in = some_keys(c->spi_in);
	c->out = some_keys(c->spi_out);
	c->ts_local = (struct wire_ts_list){ net1_ts, 2, 0 };
	c->ts_remote = (struct wire_ts_list){ net2_ts, 2, 0 };
	return op;
}

static inline struct dp_op id_op(enum dp_op_kind kind, uint64_t id)
{
	struct dp_op op = { .kind = kind };

	if (kind == DP_TRAP_DEL)
		op.u.peer = id;
	else
		op.u.id = id;
	return op;
}

static inline struct dp_op trap_op(dp_peer_id peer, struct wire_ts *remote)
{
	struct dp_op op = { .kind = DP_TRAP_ADD };

	op.u.trap.peer = peer;
	op.u.trap.ts_local = (struct wire_ts_list){ net1_ts, 2, 0 };
	op.u.trap.ts_remote = (struct wire_ts_list){ remote, 2, 0 };
	return op;
}

/* The same child as the far end has it, that only carries. */
static inline struct dp_op far_op(const struct dp_op *op)
{
	struct dp_op f = *op;
	struct dp_child *c = &f.u.child;

	c->spi_in = op->u.child.spi_out;
	c->spi_out = op->u.child.spi_in;
	c->in = op->u.child.out;
	c->out = op->u.child.in;
	c->local = op->u.child.remote;
	c->remote = op->u.child.local;
	c->ts_local = op->u.child.ts_remote;
	c->ts_remote = op->u.child.ts_local;
	c->flows = c->proves = c->counts = c->direct =
		false; /* what it would report nobody reads */
	return f;
}

static inline void far_add(struct dut *d, const struct dp_op *op)
{
	struct dp_op f = far_op(op);
	struct dp_report r;

	assert_int_equal(d->far->ops->submit(d->far, &f), ST_OK);
	assert_true(d->far->ops->report(d->far, &r));
	assert_int_equal(r.u.done.status, ST_OK);
}

static inline void add_both(struct dut *d, const struct dp_op *op)
{
	assert_int_equal(dut_op(d, *op), ST_OK);
	far_add(d, op);
}

/* ---- inner packets ------------------------------------------------------------------------- */

/* UDP from host 1 of one network to host 1 of another, `mark` in its payload. */
static inline struct bytes udp4(uint8_t *buf, size_t n, int from, int to, uint32_t mark)
{
	struct ip src = { 4, { 10, (uint8_t)from, 0, 1 } };
	struct ip dst = { 4, { 10, (uint8_t)to, 0, 1 } };

	memset(buf, (int)mark, n);
	buf[0] = 0x45;
	buf[1] = 0;
	store_be16(buf + 2, (uint16_t)n);
	store_be32(buf + 4, mark << 16);
	buf[8] = 64;
	buf[9] = WIRE_IP_UDP;
	store_be16(buf + 10, 0);
	memcpy(buf + 12, src.b, 4);
	memcpy(buf + 16, dst.b, 4);
	store_be16(buf + 10, wire_checksum(bytes_of(buf, 20)));
	store_be16(buf + 20, 1000);
	store_be16(buf + 22, 2000);
	store_be16(buf + 24, (uint16_t)(n - 20));
	store_be16(buf + 26, 0);
	store_be32(buf + 28, mark);
	store_be16(buf + 26,
		   wire_checksum_upper(&src, &dst, WIRE_IP_UDP, bytes_of(buf + 20, n - 20)));
	return bytes_of(buf, n);
}

static inline struct bytes udp6(uint8_t *buf, size_t n, int from, int to, uint32_t mark)
{
	struct ip src = { 6, { 0x20, 1, 0x0d, 0xb8, 0, (uint8_t)from, [15] = 1 } };
	struct ip dst = { 6, { 0x20, 1, 0x0d, 0xb8, 0, (uint8_t)to, [15] = 1 } };

	memset(buf, (int)mark, n);
	store_be32(buf, 0x60000000);
	store_be16(buf + 4, (uint16_t)(n - 40));
	buf[6] = WIRE_IP_UDP;
	buf[7] = 64;
	memcpy(buf + 8, src.b, 16);
	memcpy(buf + 24, dst.b, 16);
	store_be16(buf + 40, 1000);
	store_be16(buf + 42, 2000);
	store_be16(buf + 44, (uint16_t)(n - 40));
	store_be16(buf + 46, 0);
	store_be32(buf + 48, mark);
	store_be16(buf + 46,
		   wire_checksum_upper(&src, &dst, WIRE_IP_UDP, bytes_of(buf + 40, n - 40)));
	return bytes_of(buf, n);
}

/* ---- both directions ----------------------------------------------------------------------- */

/* The host sends, the far end must get exactly that; returns the child that it came by. */
static inline dp_child_id goes_out(struct dut *d, struct bytes packet)
{
	static uint8_t buf[65536];
	static struct dp_fake_packet p;
	size_t n;
	int i;

	host_sends(d, packet);
	n = net_gets(d, buf, &i);
	assert_int_equal(dp_fake_in(d->far, &d->remote[i], &d->local, bytes_of(buf, n)), ESP_OK);
	assert_true(dp_fake_next_in(d->far, &p));
	assert_int_equal(p.n, packet.n);
	assert_memory_equal(p.data, packet.p, packet.n);
	return p.child;
}

/* What the far end makes of a packet: its ESP packet. */
static inline size_t far_seals(struct dut *d, struct bytes packet, uint8_t *ret)
{
	static struct dp_fake_packet p;

	dp_fake_out(d->far, packet);
	assert_true(dp_fake_next_out(d->far, &p));
	memcpy(ret, p.data, p.n);
	return p.n;
}

static inline void comes_in_from(struct dut *d, int i, struct bytes packet)
{
	static uint8_t esp[65536], got[65536];
	size_t n = far_seals(d, packet, esp);

	net_sends(d, i, bytes_of(esp, n));
	do {
		n = host_gets(d, got);
	} while (is_refusal(got));
	assert_int_equal(n, packet.n);
	assert_memory_equal(got, packet.p, packet.n);
}

static inline void comes_in(struct dut *d, struct bytes packet)
{
	comes_in_from(d, 0, packet);
}
