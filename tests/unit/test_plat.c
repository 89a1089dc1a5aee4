/*
 * test_plat.c - sockets, timers, work, names on this machine; device, routes and rules in a network
 * namespace of our own, which takes root: without it those tests say so and are skipped.
 */
#include "test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "plat/plat.h"

/* What a failed call said, for the test's output. */
#define assert_ok(call, why)                                                                       \
	do {                                                                                       \
		enum status st_ = (call);                                                          \
		if (st_ != ST_OK)                                                                  \
			fail_msg("%s: %s: %s", #call, status_name(st_), (why).p);                  \
	} while (0)

static struct ip ip(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

static struct prefix prefix(const char *s)
{
	struct prefix p;

	assert_int_equal(prefix_parse(s, &p), ST_OK);
	return p;
}

static void wait_readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	assert_int_equal(poll(&p, 1, 10000), 1);
}

/* ---- clock ------------------------------------------------------------------------------- */

static void test_clock(void **state)
{
	struct now a = plat_now(), b = plat_now();

	(void)state;
	assert_true(a.mono.ns > 0);
	assert_false(mono_before(b.mono, a.mono));
	assert_true(labs((long)(b.wall.s - time(NULL))) <= 1);
	assert_true(b.wall_ok);
}

/* ---- sockets ----------------------------------------------------------------------------- */

struct sock {
	int fd;
	struct endpoint local;
};

static struct sock udp(const char *addr, bool fixed_mtu)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct plat_udp_conf c = { .ns = PLAT_NS_HERE,
				   .local = { ip(addr), 0 },
				   .fixed_mtu = fixed_mtu,
				   .buffer = 1 << 20 };
	struct sock s;

	assert_ok(plat_udp_open(&c, &why, &s.fd, &s.local), why);
	assert_int_not_equal(s.local.port, 0);
	return s;
}

static struct plat_datagram in; /* too big for the stack's taste */

static void receive(const struct sock *s)
{
	wait_readable(s->fd);
	assert_int_equal(plat_udp_recv(s->fd, s->local.port, &in), ST_OK);
}

/* Source and destination of a datagram are what the two ends say they are. */
static void check_addresses(const char *any, const char *from, const char *to)
{
	struct sock a = udp(any, false), b = udp(any, true);
	struct plat_udp_out out = {
		ip(from), { ip(to), b.local.port }, bytes_str("12"), bytes_str("345"), false, 0
	};
	char buf[256];
	struct text why = TEXT_OF(buf);

	assert_ok(plat_udp_send(a.fd, &out, false, &why), why);
	receive(&b);
	assert_true(endpoint_eq(&in.local, &out.to));
	assert_true(endpoint_eq(&in.remote, &(struct endpoint){ out.from, a.local.port }));
	assert_int_equal(in.n, 5);
	assert_memory_equal(in.data, "12345", 5);
	assert_int_equal(plat_udp_recv(b.fd, b.local.port, &in), ST_AGAIN);
	close(a.fd);
	close(b.fd);
}

static void test_udp_addresses(void **state)
{
	static const struct {
		const char *any, *from, *to;
	} rows[] = {
		{ "0.0.0.0", "127.0.0.1", "127.0.0.1" },
		{ "0.0.0.0", "127.1.2.3", "127.9.9.9" }, /* not what the kernel would choose */
		{ "::", "::1", "::1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_addresses(rows[i].any, rows[i].from, rows[i].to);
}

/* The families keep apart: both can have one port, and none sees the other's datagrams. */
static void test_udp_families(void **state)
{
	struct sock six = udp("::", false);
	struct plat_udp_conf c = { .ns = PLAT_NS_HERE, .local = { ip("0.0.0.0"), six.local.port } };
	struct plat_udp_out out = { ip("127.0.0.1"),
				    { ip("127.0.0.1"), six.local.port },
				    .data = { NULL, 0 } };
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct sock four;

	(void)state;
	assert_ok(plat_udp_open(&c, &why, &four.fd, &four.local), why);
	assert_ok(plat_udp_send(four.fd, &out, false, &why), why);
	receive(&four);
	assert_int_equal(in.n, 0); /* an empty datagram is one */
	assert_int_equal(plat_udp_recv(six.fd, 1, &in), ST_AGAIN);
	assert_int_equal(plat_udp_open(&c, &why, &four.fd, &four.local), ST_IO);
	assert_non_null(strstr(buf, "cannot bind"));
	assert_non_null(strstr(buf, "Address already in use"));
	close(four.fd);
	close(six.fd);
}

/* ICMP errors neither stop what follows nor keep the socket readable for ever (S2). */
static void test_udp_errors(void **state)
{
	struct sock a = udp("127.0.0.1", true), gone = udp("127.0.0.1", false),
		    b = udp("127.0.0.1", false);
	struct plat_udp_out out = { a.local.ip, gone.local, { 0 }, bytes_str("x"), false, 0 };
	char buf[256];
	struct text why = TEXT_OF(buf);

	(void)state;
	close(gone.fd);
	for (int i = 0; i < 3; i++)
		assert_ok(plat_udp_send(a.fd, &out, false, &why), why);
	wait_readable(a.fd);
	assert_int_equal(plat_udp_recv(a.fd, 1, &in), ST_AGAIN);
	assert_int_equal(poll(&(struct pollfd){ a.fd, POLLIN, 0 }, 1, 0), 0);
	out.to = b.local;
	assert_ok(plat_udp_send(a.fd, &out, false, &why), why);
	receive(&b);
	assert_int_equal(in.n, 1);
	close(a.fd);
	close(b.fd);
}

static void test_udp_bad_address(void **state)
{
	struct plat_udp_conf c = { .ns = PLAT_NS_HERE, .local = { ip("192.0.2.77"), 0 } };
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct sock s = { .fd = -1 };

	(void)state;
	assert_int_equal(plat_udp_open(&c, &why, &s.fd, &s.local), ST_IO);
	assert_int_equal(s.fd, -1);
	assert_non_null(strstr(buf, "192.0.2.77"));
}

/* ---- loop -------------------------------------------------------------------------------- */

struct seen {
	uv_loop_t loop;
	char order[16];
	struct plat_timer *a, *b;
	struct plat_poll *poll;
	struct plat_work *work;
	pthread_t thread;
	bool ran;
};

static void note(struct seen *s, char c)
{
	size_t n = strlen(s->order);

	assert_true(n + 1 < sizeof(s->order));
	s->order[n] = c;
}

static void on_a(void *ctx)
{
	note(ctx, 'a');
}

static void on_b(void *ctx)
{
	struct seen *s = ctx;

	note(s, 'b');
	plat_timer_free(s->a); /* never due */
	plat_timer_free(s->b); /* itself */
}

/* Deadlines fire in time order, move, disarm; a past one fires at once; freeing ends the loop. */
static void test_timer(void **state)
{
	struct seen s = { 0 };
	mono_t start = plat_mono();

	(void)state;
	uv_loop_init(&s.loop);
	assert_int_equal(plat_timer_new(&s.loop, on_a, &s, &s.a), ST_OK);
	assert_int_equal(plat_timer_new(&s.loop, on_b, &s, &s.b), ST_OK);
	plat_timer_at(s.b, mono_add(start, dur_ms(30)));
	plat_timer_at(s.a, mono_add(start, dur_s(1000)));
	plat_timer_at(s.a, (mono_t){ 0 });
	uv_run(&s.loop, UV_RUN_ONCE);
	assert_string_equal(s.order, "a");
	plat_timer_at(s.a, mono_add(start, dur_ms(1)));
	plat_timer_at(s.a, MONO_NEVER);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	assert_string_equal(s.order, "ab");
	assert_true(mono_since(plat_mono(), start).ns >= dur_ms(30).ns);
	assert_int_equal(plat_loop_close(&s.loop), ST_OK);
}

static void on_clock(void *ctx)
{
	note(ctx, 'c');
}

/* By a nanosecond, which nobody will miss. */
static bool set_wall_clock(void)
{
	struct timex tx = { .modes = ADJ_SETOFFSET | ADJ_NANO, .time = { .tv_usec = 1 } };

	return clock_adjtime(CLOCK_REALTIME, &tx) >= 0;
}

/* A clock that is set is heard of, each time. */
static void test_clock_set(void **state)
{
	struct seen s = { 0 };
	struct plat_clock *c;

	(void)state;
	uv_loop_init(&s.loop);
	assert_int_equal(plat_clock_new(&s.loop, on_clock, &s, &c), ST_OK);
	uv_run(&s.loop, UV_RUN_NOWAIT);
	for (size_t i = 1; i <= 2 && set_wall_clock(); i++) {
		while (strlen(s.order) < i) /* others may set it as well */
			uv_run(&s.loop, UV_RUN_ONCE);
	}
	plat_clock_free(c);
	assert_int_equal(plat_loop_close(&s.loop), ST_OK);
	skip_unless(s.order[0], "CAP_SYS_TIME");
}

static void on_readable(void *ctx)
{
	struct seen *s = ctx;

	note(s, 'p');
	plat_poll_free(s->poll); /* data left unread: would come again */
}

static void test_poll_free_inside(void **state)
{
	struct seen s = { 0 };
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	uv_loop_init(&s.loop);
	assert_int_equal(plat_poll_new(&s.loop, fd[0], on_readable, &s, &s.poll), ST_OK);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	assert_string_equal(s.order, "p");
	assert_int_equal(plat_loop_close(&s.loop), ST_OK);
	close(fd[0]);
	close(fd[1]);
}

struct listener {
	struct seen seen;
	struct sock sock;
};

static void on_datagrams(void *ctx)
{
	struct listener *l = ctx;
	enum status st = plat_udp_recv(l->sock.fd, l->sock.local.port, &in);

	note(&l->seen, st == ST_OK ? 'd' : 'e');
	uv_stop(&l->seen.loop);
}

/* A peer that is not there yet: the ICMP error of our first datagram must not deafen us. */
static void test_poll_after_error(void **state)
{
	struct listener l = { .sock = udp("127.0.0.1", false) };
	struct sock gone = udp("127.0.0.1", false), other = udp("127.0.0.1", false);
	struct plat_udp_out out = { l.sock.local.ip, gone.local, { 0 }, bytes_str("x"), false, 0 };
	char buf[256];
	struct text why = TEXT_OF(buf);

	(void)state;
	close(gone.fd);
	uv_loop_init(&l.seen.loop);
	assert_int_equal(plat_poll_new(&l.seen.loop, l.sock.fd, on_datagrams, &l, &l.seen.poll),
			 ST_OK);
	for (int i = 0; i < 2; i++) {
		assert_ok(plat_udp_send(l.sock.fd, &out, false, &why), why);
		uv_run(&l.seen.loop, UV_RUN_DEFAULT);
	}
	assert_string_equal(l.seen.order, "ee");
	out.to = l.sock.local;
	assert_ok(plat_udp_send(other.fd, &out, false, &why), why);
	uv_run(&l.seen.loop, UV_RUN_DEFAULT);
	assert_string_equal(l.seen.order, "eed");
	plat_poll_free(l.seen.poll);
	assert_int_equal(plat_loop_close(&l.seen.loop), ST_OK);
	close(l.sock.fd);
	close(other.fd);
}

static void work_run(void *ctx)
{
	((struct seen *)ctx)->thread = pthread_self();
}

static void work_done(void *ctx, bool ran)
{
	struct seen *s = ctx;

	s->ran = ran;
	note(s, 'w');
}

static void test_work(void **state)
{
	static const struct plat_work_fns fns = { work_run, work_done };
	struct seen s = { 0 };

	(void)state;
	uv_loop_init(&s.loop);
	assert_int_equal(plat_work_start(&s.loop, &fns, &s, &s.work), ST_OK);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	assert_string_equal(s.order, "w");
	assert_true(s.ran);
	assert_false(pthread_equal(s.thread, pthread_self()));
	assert_int_equal(plat_loop_close(&s.loop), ST_OK);
}

/* A pool of blocked threads: what waits behind them can be cancelled, and says so once. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void blocked_run(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void blocked_done(void *ctx, bool ran)
{
	note(ctx, ran ? 'r' : 'c');
}

static void test_work_cancel(void **state)
{
	static const struct plat_work_fns fns = { blocked_run, blocked_done };
	struct plat_work *w[5];
	struct seen s = { 0 };

	(void)state;
	uv_loop_init(&s.loop);
	pthread_mutex_lock(&gate);
	for (size_t i = 0; i < ARRAY_LEN(w); i++) /* libuv's pool has four threads */
		assert_int_equal(plat_work_start(&s.loop, &fns, &s, &w[i]), ST_OK);
	plat_work_cancel(w[4]);
	uv_run(&s.loop, UV_RUN_ONCE);
	assert_string_equal(s.order, "c");
	pthread_mutex_unlock(&gate);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	assert_string_equal(s.order, "crrrr");
	assert_int_equal(plat_loop_close(&s.loop), ST_OK);
}

/* ---- resolver ---------------------------------------------------------------------------- */

struct answer {
	unsigned calls;
	struct plat_resolved r;
};

static void on_resolved(void *ctx, const struct plat_resolved *r)
{
	struct answer *a = ctx;

	a->calls++;
	a->r = *r;
}

static struct answer resolve(const char *name, bool cancel)
{
	struct answer a = { 0 };
	struct plat_resolve *r;
	uv_loop_t loop;

	uv_loop_init(&loop);
	assert_int_equal(plat_resolve_start(&loop, PLAT_NS_HERE, name, on_resolved, &a, &r), ST_OK);
	assert_int_equal(a.calls, 0);
	if (cancel)
		plat_resolve_cancel(r);
	assert_int_equal(plat_loop_close(&loop), ST_OK);
	return a;
}

static void test_resolve(void **state)
{
	static const struct {
		const char *name, *ip;
	} rows[] = { { "192.0.2.1", "192.0.2.1" }, { "2001:db8::1", "2001:db8::1" } };
	struct answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip want = ip(rows[i].ip);

		a = resolve(rows[i].name, false);
		assert_int_equal(a.calls, 1);
		assert_int_equal(a.r.n, 1);
		assert_true(ip_eq(&a.r.ip[0], &want));
	}
	a = resolve("no..name", false); /* an empty label: no server is asked */
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.r.status, ST_IO);
	assert_int_equal(a.r.n, 0);
	assert_true(a.r.error[0]);
	assert_int_equal(resolve("192.0.2.1", true).calls, 0);
}

static void test_sysctl(void **state)
{
	long v;

	(void)state;
	assert_int_equal(plat_sysctl_get(PLAT_NS_HERE, "core/somaxconn", &v), ST_OK);
	assert_true(v > 0);
	assert_int_equal(plat_sysctl_get(PLAT_NS_HERE, "no/such/thing", &v), ST_IO);
}

/* ---- in a namespace of our own ----------------------------------------------------------- */

struct net {
	int ns;
	struct plat_nl *nl;
	struct plat_tun tun;
	char buf[512];
	struct text why;
};

static int open_ns(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* -1 when we may not. */
static int new_ns(void)
{
	int here = open_ns(), there = -1;

	assert_true(here >= 0);
	if (unshare(CLONE_NEWNET) == 0) {
		there = open_ns();
		assert_int_equal(setns(here, CLONE_NEWNET), 0);
	}
	close(here);
	return there;
}

static int net_setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->why = TEXT_OF(n->buf);
	n->ns = new_ns();
	*state = n;
	if (n->ns < 0)
		return 0;
	assert_ok(plat_nl_new(n->ns, &n->why, &n->nl), n->why);
	assert_ok(plat_link_up(n->nl, 1, &n->why), n->why);
	assert_ok(plat_tun_open(&(struct plat_tun_conf){ n->ns, "warren9", 1 }, &n->why, &n->tun),
		  n->why);
	return 0;
}

static int net_teardown(void **state)
{
	struct net *n = *state;

	plat_tun_close(&n->tun);
	plat_nl_free(n->nl);
	if (n->ns >= 0)
		close(n->ns);
	free(n);
	return 0;
}

static struct net *need_net(void **state)
{
	struct net *n = *state;

	skip_unless(n->ns >= 0, "a network namespace");
	return n;
}

/* An IPv4 address the old way, so that this file does not test plat with itself. */
static void give_address(struct net *n, const char *dev, const char *addr)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&ifr.ifr_addr;
	struct ip a = ip(addr);
	struct plat_ns in_ns;
	int fd;

	assert_ok(plat_ns_enter(n->ns, &n->why, &in_ns), n->why);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	plat_ns_leave(&in_ns);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	sin->sin_family = AF_INET;
	memcpy(&sin->sin_addr, a.b, 4);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	close(fd);
}

static void tun_up(struct net *n, uint32_t mtu)
{
	assert_ok(plat_link_no_link_local(n->nl, n->tun.ifindex, &n->why), n->why);
	assert_ok(plat_link_set_mtu(n->nl, n->tun.ifindex, mtu, &n->why), n->why);
	assert_ok(plat_link_up(n->nl, n->tun.ifindex, &n->why), n->why);
}

static void test_tun_device(void **state)
{
	struct net *n = need_net(state);
	struct plat_tun other = { 0 };
	struct plat_link link;

	assert_int_equal(if_nametoindex("warren9"), 0); /* it is there, not here */
	tun_up(n, 1400);
	assert_ok(plat_link_get(n->nl, n->tun.ifindex, &n->why, &link), n->why);
	assert_string_equal(link.name, "warren9");
	assert_int_equal(link.mtu, 1400);
	assert_true(link.up);
	assert_false(link.loopback);
	assert_int_equal(
		plat_tun_open(&(struct plat_tun_conf){ n->ns, "warren9", 1 }, &n->why, &other),
		ST_IO);
	assert_non_null(strstr(n->buf, "warren9"));
	plat_tun_close(&n->tun);
	assert_int_equal(plat_link_get(n->nl, link.ifindex, &n->why, &link), ST_IO);
	assert_int_equal(plat_nl_errno(n->nl), ENODEV);
}

static void test_tun_queues(void **state)
{
	struct net *n = need_net(state);
	struct plat_tun tun;

	assert_ok(plat_tun_open(&(struct plat_tun_conf){ n->ns, "many", 4 }, &n->why, &tun),
		  n->why);
	assert_int_equal(tun.queues, 4);
	plat_tun_close(&tun);
	assert_int_equal(plat_tun_open(&(struct plat_tun_conf){ n->ns, "a%d", 1 }, &n->why, &tun),
			 ST_INVAL);
	assert_int_equal(plat_tun_open(&(struct plat_tun_conf){ n->ns, "none", 0 }, &n->why, &tun),
			 ST_INVAL);
}

struct addrs {
	unsigned n;
	bool link_local;
	bool mine;
};

static bool count_addr(void *ctx, const struct plat_addr *a)
{
	struct addrs *s = ctx;
	struct ip mine = ip("10.9.0.1");

	if (!a) {
		*s = (struct addrs){ 0 };
		return true;
	}
	s->n++;
	if (a->ip.family == 6 && a->ip.b[0] == 0xfe)
		s->link_local = true;
	if (ip_eq(&a->ip, &mine))
		s->mine = true;
	return s->n < 2;
}

static void test_addresses(void **state)
{
	struct net *n = need_net(state);
	struct addrs s = { 0 };

	tun_up(n, 1400);
	give_address(n, "warren9", "10.9.0.1");
	assert_ok(plat_addr_each(n->nl, count_addr, &s, &n->why), n->why);
	assert_int_equal(s.n, 2); /* stopped by the visitor */
	assert_true(s.mine);
	assert_false(s.link_local);
	/* The handle is fit for use after a dump that was broken off. */
	s = (struct addrs){ 0 };
	assert_ok(plat_addr_each(n->nl, count_addr, &s, &n->why), n->why);
}

struct given {
	const struct ip *want;
	int ifindex;
	unsigned n;
	struct plat_addr found;
};

static bool find_addr(void *ctx, const struct plat_addr *a)
{
	struct given *g = ctx;

	if (!a) {
		g->n = 0;
	} else if (a->ifindex == g->ifindex && ip_eq(&a->ip, g->want)) {
		g->n++;
		g->found = *a;
	}
	return true;
}

/* Usable at once, recognised as ours, and gone without a trace. */
static void test_give_addresses(void **state)
{
	static const char *const rows[] = { "10.99.0.5", "fd00:99::5" };
	struct net *n = need_net(state);

	tun_up(n, 1400);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct ip a = ip(rows[i]);
		struct given g = { &a, n->tun.ifindex, 0, { 0 } };

		assert_ok(plat_addr_add(n->nl, n->tun.ifindex, &a, 222, &n->why), n->why);
		assert_ok(plat_addr_each(n->nl, find_addr, &g, &n->why), n->why);
		assert_int_equal(g.n, 1);
		assert_int_equal(g.found.len, ip_bits(&a));
		assert_false(g.found.tentative);
		assert_int_equal(g.found.protocol, 222);
		assert_int_equal(plat_addr_add(n->nl, n->tun.ifindex, &a, 222, &n->why), ST_IO);
		assert_int_equal(plat_nl_errno(n->nl), EEXIST);
		assert_non_null(strstr(n->buf, rows[i]));
		assert_ok(plat_addr_del(n->nl, n->tun.ifindex, &a, &n->why), n->why);
		assert_ok(plat_addr_each(n->nl, find_addr, &g, &n->why), n->why);
		assert_int_equal(plat_addr_del(n->nl, n->tun.ifindex, &a, &n->why), ST_IO);
		assert_int_equal(plat_nl_errno(n->nl), EADDRNOTAVAIL);
	}
}

struct nested {
	struct plat_nl *nl;
	enum status status;
	char why[64];
};

static bool ask_inside(void *ctx, const struct plat_addr *a)
{
	struct nested *s = ctx;
	struct text why = TEXT_OF(s->why);
	struct plat_link link;

	s->status = a ? plat_link_get(s->nl, a->ifindex, &why, &link) : ST_OK;
	return false;
}

/* A visitor that uses the handle it is called from is refused; it must not wait for ever. */
static void test_nested_request(void **state)
{
	struct net *n = need_net(state);
	struct nested s = { .nl = n->nl };

	assert_ok(plat_addr_each(n->nl, ask_inside, &s, &n->why), n->why);
	assert_int_equal(s.status, ST_IO);
	assert_string_equal(s.why, "no device number 1: Device or resource busy");
}

enum { TABLE = 21099, METRIC = 10, PROTOCOL = 222 };

static struct plat_route route(enum plat_route_kind kind, const char *dst, int ifindex)
{
	return (struct plat_route){ .kind = kind,
				    .dst = prefix(dst),
				    .table = TABLE,
				    .metric = METRIC + (unsigned)kind,
				    .protocol = PROTOCOL,
				    .ifindex = ifindex };
}

struct found {
	const struct plat_route *want;
	unsigned n, total;
};

static bool find_route(void *ctx, const struct plat_route *r)
{
	struct found *f = ctx;

	if (!r) {
		f->n = f->total = 0;
		return true;
	}
	f->total++;
	if (r->kind == f->want->kind && prefix_eq(&r->dst, &f->want->dst) &&
	    r->metric == f->want->metric && r->ifindex == f->want->ifindex &&
	    ip_eq(&r->src, &f->want->src))
		f->n++;
	return true;
}

static struct found find(struct net *n, const struct plat_route *r)
{
	struct found f = { r, 0, 0 };

	assert_ok(
		plat_route_each(n->nl, r->dst.ip.family, TABLE, PROTOCOL, find_route, &f, &n->why),
		n->why);
	return f;
}

static void test_routes(void **state)
{
	static const struct {
		enum plat_route_kind kind;
		const char *dst;
	} rows[] = {
		{ PLAT_ROUTE_DEVICE, "10.2.0.0/16" },      { PLAT_ROUTE_DEVICE, "0.0.0.0/0" },
		{ PLAT_ROUTE_UNREACHABLE, "10.2.0.0/16" }, { PLAT_ROUTE_THROW, "10.1.0.0/16" },
		{ PLAT_ROUTE_DEVICE, "2001:db8::/32" },    { PLAT_ROUTE_DEVICE, "::/0" },
		{ PLAT_ROUTE_UNREACHABLE, "::/0" },        { PLAT_ROUTE_THROW, "fd00:1::/64" },
		{ PLAT_ROUTE_DEVICE, "192.0.2.1" },        { PLAT_ROUTE_DEVICE, "fd00:2::7" },
	};
	struct net *n = need_net(state);

	tun_up(n, 1400);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool dev = rows[i].kind == PLAT_ROUTE_DEVICE;
		struct plat_route r = route(rows[i].kind, rows[i].dst, dev ? n->tun.ifindex : 0);

		assert_int_equal(find(n, &r).n, 0);
		assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
		assert_int_equal(find(n, &r).n, 1);
		assert_int_equal(plat_route_add(n->nl, &r, &n->why), ST_IO);
		assert_int_equal(plat_nl_errno(n->nl), EEXIST);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool dev = rows[i].kind == PLAT_ROUTE_DEVICE;
		struct plat_route r = route(rows[i].kind, rows[i].dst, dev ? n->tun.ifindex : 0);
		unsigned before = find(n, &r).total;

		assert_ok(plat_route_del(n->nl, &r, &n->why), n->why);
		assert_int_equal(find(n, &r).n, 0);
		assert_int_equal(find(n, &r).total, before - 1);
	}
}

/* A source of ours is kept, one that is not is refused. */
static void test_route_from(void **state)
{
	struct net *n = need_net(state);
	struct plat_route r = route(PLAT_ROUTE_DEVICE, "10.9.0.0/24", n->tun.ifindex);
	struct ip to = ip("10.9.0.77"), other = ip("10.9.0.2"), mine = ip("10.8.0.1");
	struct plat_path p;

	tun_up(n, 1400);
	give_address(n, "warren9", "10.9.0.1");
	give_address(n, "warren9:1", "10.8.0.1");
	r.table = 254;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_ok(plat_route_get_from(n->nl, &to, &mine, 0, 0, &n->why, &p), n->why);
	assert_true(ip_eq(&p.src, &mine));
	assert_int_equal(p.ifindex, n->tun.ifindex);
	assert_false(p.local);
	assert_true(p.direct);
	assert_int_equal(plat_route_get_from(n->nl, &to, &other, 0, 0, &n->why, &p), ST_IO);
	assert_non_null(strstr(n->buf, "no route to 10.9.0.77 from 10.9.0.2"));
}

/* The kernel's own words reach the operator. */
static void test_route_error(void **state)
{
	struct net *n = need_net(state);
	struct plat_route r = route(PLAT_ROUTE_DEVICE, "10.2.0.0/16", n->tun.ifindex);

	tun_up(n, 1400);
	r.src = ip("10.77.0.1"); /* not ours */
	assert_int_equal(plat_route_add(n->nl, &r, &n->why), ST_IO);
	assert_non_null(strstr(n->buf, "10.2.0.0/16"));
	assert_non_null(strstr(n->buf, "Invalid prefsrc address"));
}

static struct plat_path path(struct net *n, const char *dst, uint32_t mark)
{
	struct ip to = ip(dst);
	struct plat_path p;

	assert_ok(plat_route_get(n->nl, &to, mark, &n->why, &p), n->why);
	return p;
}

/* Unmarked packets look into our table, ours do not: the encrypted never enters the tunnel. */
static void test_rules(void **state)
{
	struct net *n = need_net(state);
	struct plat_rule rule = { .family = 4,
				  .priority = 21050,
				  .table = TABLE,
				  .not_mark = PLAT_MARK,
				  .mask = PLAT_MARK_MASK,
				  .protocol = PROTOCOL };
	struct plat_route all = route(PLAT_ROUTE_DEVICE, "0.0.0.0/0", n->tun.ifindex);
	struct ip nowhere = ip("198.51.100.1");
	struct plat_path p;

	tun_up(n, 1400);
	give_address(n, "warren9", "10.9.0.1");
	assert_int_equal(plat_route_get(n->nl, &nowhere, 0, &n->why, &p), ST_IO);
	assert_ok(plat_route_add(n->nl, &all, &n->why), n->why);
	assert_ok(plat_rule_add(n->nl, &rule, &n->why), n->why);
	assert_int_equal(plat_rule_add(n->nl, &rule, &n->why), ST_IO);
	assert_int_equal(plat_nl_errno(n->nl), EEXIST);
	p = path(n, "198.51.100.1", 0);
	assert_int_equal(p.ifindex, n->tun.ifindex);
	assert_int_equal(p.mtu, 1400);
	assert_int_equal(plat_route_get(n->nl, &nowhere, PLAT_MARK, &n->why, &p), ST_IO);
	assert_int_equal(plat_nl_errno(n->nl), ENETUNREACH);
	assert_ok(plat_rule_del(n->nl, &rule, &n->why), n->why);
	assert_int_equal(plat_rule_del(n->nl, &rule, &n->why), ST_IO);
	rule.family = 6;
	assert_ok(plat_rule_add(n->nl, &rule, &n->why), n->why);
	assert_ok(plat_rule_del(n->nl, &rule, &n->why), n->why);
}

static struct prefix from(const char *s)
{
	struct prefix p;

	assert_int_equal(prefix_parse(s, &p), ST_OK);
	return p;
}

struct rules_seen {
	struct plat_rule v[16];
	size_t n;
};

static bool see_rule(void *ctx, const struct plat_rule *r)
{
	struct rules_seen *s = ctx;

	assert_non_null(r);
	assert_true(s->n < ARRAY_LEN(s->v));
	s->v[s->n++] = *r;
	return true;
}

/* What was added is what is listed, each family for itself, and goes one by one. */
static void test_rules_listed(void **state)
{
	const struct plat_rule rules[] = {
		{ .family = 4, .action = PLAT_RULE_NOP, .priority = 99 },
		{ .family = 4,
		  .action = PLAT_RULE_GOTO,
		  .priority = 11,
		  .target = 99,
		  .own = true,
		  .from = from("10.1.0.0/16") },
		{ .family = 4,
		  .action = PLAT_RULE_GOTO,
		  .priority = 10,
		  .target = 99,
		  .own = true,
		  .ip_proto = 17,
		  .sport = 68,
		  .dport = 67 },
		{ .family = 4, .priority = 12, .table = 5000, .from = from("0.0.0.0/32") },
		{ .family = 4, .priority = 13, .table = 200, .not_mark = 7, .mask = 15 },
		{ .family = 6, .priority = 14, .table = 5000, .from = from("8000::/1") },
		{ .family = 6, .action = PLAT_RULE_GOTO, .priority = 15, .target = 99 },
	};
	struct net *n = need_net(state);

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct plat_rule r = rules[i];
		struct rules_seen seen = { .n = 0 };

		r.protocol = PROTOCOL;
		assert_ok(plat_rule_add(n->nl, &r, &n->why), n->why);
		assert_int_equal(plat_rule_add(n->nl, &r, &n->why), ST_IO);
		assert_int_equal(plat_nl_errno(n->nl), EEXIST);
		assert_ok(plat_rule_each(n->nl, r.family, PROTOCOL, see_rule, &seen, &n->why),
			  n->why);
		assert_int_equal(seen.n, 1);
		assert_true(plat_rule_eq(&seen.v[0], &r));
		for (size_t k = 0; k < ARRAY_LEN(rules); k++) {
			struct plat_rule other = rules[k];

			other.protocol = PROTOCOL;
			assert_int_equal(plat_rule_eq(&other, &r), i == k);
		}
		/* Others' are not shown. */
		seen.n = 0;
		assert_ok(plat_rule_each(n->nl, r.family, PROTOCOL + 1, see_rule, &seen, &n->why),
			  n->why);
		assert_int_equal(seen.n, 0);
		assert_ok(plat_rule_del(n->nl, &r, &n->why), n->why);
	}
}

/* ---- news -------------------------------------------------------------------------------- */

static void test_watch(void **state)
{
	const unsigned all =
		PLAT_WATCH_LINKS | PLAT_WATCH_ADDRS | PLAT_WATCH_RULES | PLAT_WATCH_ROUTES;
	struct net *n = need_net(state);
	struct plat_rule rule = { .family = 6, .priority = 9, .table = 200, .protocol = PROTOCOL };
	struct plat_route r = route(PLAT_ROUTE_UNREACHABLE, "10.2.0.0/16", 0);
	struct plat_watch *w, *links, *main;

	assert_ok(plat_watch_new(n->ns, all, &n->why, &w), n->why);
	assert_ok(plat_watch_new(n->ns, PLAT_WATCH_MAIN, &n->why, &main), n->why);
	assert_ok(plat_watch_new(n->ns, PLAT_WATCH_LINKS, &n->why, &links), n->why);
	assert_int_equal(plat_watch_read(w), 0);
	assert_ok(plat_link_set_mtu(n->nl, 1, 9000, &n->why), n->why);
	assert_true(plat_watch_read(w) & PLAT_WATCH_LINKS);
	plat_watch_link(links, n->tun.ifindex);
	assert_int_equal(plat_watch_read(links), PLAT_WATCH_LINKS); /* of another one */
	tun_up(n, 1400);
	wait_readable(plat_watch_fd(w));
	assert_int_equal(plat_watch_read(w) & (PLAT_WATCH_LINKS | PLAT_WATCH_LINK),
			 PLAT_WATCH_LINKS);
	assert_int_equal(plat_watch_read(links), PLAT_WATCH_LINKS | PLAT_WATCH_LINK);
	assert_int_equal(plat_watch_read(w), 0);
	give_address(n, "warren9", "10.9.0.1");
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_ADDRS); /* and no route of main's */
	assert_ok(plat_rule_add(n->nl, &rule, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_RULES);
	assert_ok(plat_rule_del(n->nl, &rule, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_RULES);
	r.table = 5000;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_ROUTES);
	assert_ok(plat_route_del(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_ROUTES);
	plat_watch_table(w, 5001);
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), 0);
	r.table = 5001;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_ROUTES);
	(void)plat_watch_read(main); /* that of the device's address */
	r.table = 254;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), 0);
	assert_int_equal(plat_watch_read(links), 0);
	assert_int_equal(plat_watch_read(main), PLAT_WATCH_MAIN);
	/* Neither a table above 255 nor one below is it. */
	r.table = 5002;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	r.table = 99;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(main), 0);
	plat_watch_free(main);
	plat_watch_free(w);
	plat_watch_free(links);
}

/* Both kinds of routes by one socket. */
static void test_watch_all_routes(void **state)
{
	struct net *n = need_net(state);
	struct plat_route r = route(PLAT_ROUTE_UNREACHABLE, "fd00:2::/64", 0);
	struct plat_watch *w, *local;

	assert_ok(plat_watch_new(n->ns, PLAT_WATCH_ROUTES | PLAT_WATCH_MAIN, &n->why, &w), n->why);
	assert_ok(plat_watch_new(n->ns, PLAT_WATCH_LOCAL, &n->why, &local), n->why);
	r.table = 254;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_MAIN);
	r.table = 5000;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), PLAT_WATCH_ROUTES);
	r.table = 99;
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_int_equal(plat_watch_read(w), 0);
	assert_int_equal(plat_watch_read(local), 0);
	tun_up(n, 1400);
	give_address(n, "warren9", "10.9.0.1");
	assert_int_equal(plat_watch_read(local), PLAT_WATCH_LOCAL);
	assert_true(path(n, "10.9.0.1", 0).local);
	plat_watch_free(w);
	plat_watch_free(local);
}

/* More news than the socket holds: everything may have changed. */
static void test_watch_overflow(void **state)
{
	const unsigned all = PLAT_WATCH_RULES | PLAT_WATCH_ADDRS;
	struct net *n = need_net(state);
	struct plat_rule rule = { .family = 4, .priority = 9, .table = 200, .protocol = PROTOCOL };
	struct plat_watch *w;

	assert_ok(plat_watch_new(n->ns, all, &n->why, &w), n->why);
	for (int i = 0; i < 5000; i++) {
		assert_ok(plat_rule_add(n->nl, &rule, &n->why), n->why);
		assert_ok(plat_rule_del(n->nl, &rule, &n->why), n->why);
	}
	assert_int_equal(plat_watch_read(w), all);
	assert_int_equal(plat_watch_read(w), 0);
	plat_watch_free(w);
}

/* A packet that the host sends comes out of the device behind its virtio header, and back. */
static void test_tun_packets(void **state)
{
	struct net *n = need_net(state);
	struct plat_route r = route(PLAT_ROUTE_DEVICE, "10.2.0.0/16", n->tun.ifindex);
	struct plat_udp_conf c = { .ns = n->ns,
				   .local = { ip("0.0.0.0"), 7000 },
				   .mark = PLAT_MARK };
	struct plat_udp_out out = { ip("10.9.0.1"), { ip("10.2.0.9"), 7000 }, { 0 }, { 0 }, false, 0 };
	struct sock s;
	uint8_t pkt[256];

	r.table = 254; /* main */
	tun_up(n, 1400);
	give_address(n, "warren9", "10.9.0.1");
	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
	assert_ok(plat_udp_open(&c, &n->why, &s.fd, &s.local), n->why);
	out.data = bytes_str("ping");
	assert_ok(plat_udp_send(s.fd, &out, false, &n->why), n->why);
	wait_readable(n->tun.fd[0]);
	assert_int_equal(read(n->tun.fd[0], pkt, sizeof(pkt)), 10 + 20 + 8 + 4);
	assert_memory_equal(pkt + 10 + 12, "\x0a\x09\x00\x01\x0a\x02\x00\x09", 8);
	assert_memory_equal(pkt + 10 + 28, "ping", 4);
	/* Addresses exchanged the checksums stay right; the UDP one is still to be completed. */
	memcpy(pkt + 10 + 12, "\x0a\x02\x00\x09\x0a\x09\x00\x01", 8);
	assert_int_equal(write(n->tun.fd[0], pkt, 42), 42);
	receive(&s);
	assert_int_equal(in.n, 4);
	assert_true(endpoint_eq(&in.remote, &out.to));
	assert_true(ip_eq(&in.local.ip, &out.from));
	close(s.fd);
}

/* Our own stack says what is too big for the device, once for each datagram; it gets there. */
static void check_too_big(const struct sock *from, const struct sock *to,
			  const struct plat_udp_out *out)
{
	struct plat_icmp icmp;
	char buf[256];
	struct text why = TEXT_OF(buf);

	assert_ok(plat_udp_send(from->fd, out, false, &why), why);
	receive(to);
	assert_int_equal(in.n, out->data.n);
	assert_true(plat_udp_icmp(from->fd, &icmp));
	assert_null(icmp.text);
	assert_int_equal(icmp.mtu, 1500);
	assert_true(ip_eq(&icmp.remote.ip, &out->to.ip));
}

/* With DF a datagram that is too big is told of; IKE may ask for fragments, and DF is back after.
 */
static void test_udp_fragments(void **state)
{
	struct net *n = need_net(state);
	struct plat_icmp icmp;
	struct plat_udp_conf c = { .ns = n->ns,
				   .local = { ip("127.0.0.1"), 0 },
				   .fixed_mtu = true };
	static uint8_t big[4000];
	struct plat_udp_out out = { .from = c.local.ip, .data = BYTES_OF(big) };
	struct sock a, b;

	assert_ok(plat_link_set_mtu(n->nl, 1, 1500, &n->why), n->why);
	assert_ok(plat_udp_open(&c, &n->why, &a.fd, &a.local), n->why);
	assert_ok(plat_udp_open(&c, &n->why, &b.fd, &b.local), n->why);
	out.to = b.local;
	check_too_big(&a, &b, &out);
	assert_ok(plat_udp_send(a.fd, &out, true, &n->why), n->why);
	receive(&b);
	assert_int_equal(in.n, sizeof(big));
	while (plat_udp_icmp(a.fd, &icmp)) /* of the second try that found it too big */
		assert_int_equal(icmp.mtu, 1500);
	check_too_big(&a, &b, &out);
	/* One that is to be whole is lost, and told of as well. */
	out.whole = true;
	assert_int_equal(plat_udp_send(a.fd, &out, false, &n->why), ST_DROP);
	assert_true(plat_udp_icmp(a.fd, &icmp));
	assert_int_equal(icmp.mtu, 1500);
	while (plat_udp_icmp(a.fd, &icmp)) /* of its second try */
		assert_int_equal(icmp.mtu, 1500);
	out.data = bytes_of(big, 100);
	assert_ok(plat_udp_send(a.fd, &out, false, &n->why), n->why);
	receive(&b);
	assert_int_equal(in.n, 100);
	close(a.fd);
	close(b.fd);
}

static void test_sysctl_ns(void **state)
{
	struct net *n = need_net(state);
	long before, here, there;

	assert_int_equal(plat_sysctl_get(PLAT_NS_HERE, "ipv4/ip_default_ttl", &before), ST_OK);
	assert_ok(plat_sysctl_set(n->ns, "ipv4/ip_default_ttl", before + 1, &n->why), n->why);
	assert_int_equal(plat_sysctl_get(PLAT_NS_HERE, "ipv4/ip_default_ttl", &here), ST_OK);
	assert_int_equal(plat_sysctl_get(n->ns, "ipv4/ip_default_ttl", &there), ST_OK);
	assert_int_equal(here, before);
	assert_int_equal(there, before + 1);
}

#define IN_NS(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_udp_addresses),
		cmocka_unit_test(test_udp_families),
		cmocka_unit_test(test_udp_errors),
		cmocka_unit_test(test_udp_bad_address),
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_clock_set),
		cmocka_unit_test(test_poll_free_inside),
		cmocka_unit_test(test_poll_after_error),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_work_cancel),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_sysctl),
		IN_NS(test_tun_device),
		IN_NS(test_tun_queues),
		IN_NS(test_addresses),
		IN_NS(test_give_addresses),
		IN_NS(test_nested_request),
		IN_NS(test_routes),
		IN_NS(test_route_error),
		IN_NS(test_route_from),
		IN_NS(test_rules),
		IN_NS(test_rules_listed),
		IN_NS(test_watch),
		IN_NS(test_watch_all_routes),
		IN_NS(test_watch_overflow),
		IN_NS(test_tun_packets),
		IN_NS(test_udp_fragments),
		IN_NS(test_sysctl_ns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
