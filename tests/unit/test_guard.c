/*
 * test_guard.c - the block in a network namespace of our own (S3), which takes root: without it
 * the tests say so and are skipped.
 *
 * Beside the tunnel (warren0) there is a device `wan` with an address and the default route: what
 * goes there goes in clear.
 */
#include "test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plat/plat.h"
#include "unit/guard_util.h"

#define assert_ok(call, why)                                                                       \
	do {                                                                                       \
		enum status st_ = (call);                                                          \
		if (st_ != ST_OK)                                                                  \
			fail_msg("%s: %s: %s", #call, status_name(st_), (why).p);                  \
	} while (0)

enum { MAIN = 254 };

/* ---- the namespace ----------------------------------------------------------------------- */

struct net {
	int ns;
	struct plat_nl *nl;
	struct plat_tun tun, wan, lan;
	struct guard *guard;
	char buf[512];
	struct text why;
};

static int open_ns(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void open_device(struct net *n, const char *name, struct plat_tun *tun)
{
	const struct plat_tun_conf c = { .ns = n->ns, .name = name, .queues = 1 };

	assert_ok(plat_tun_open(&c, &n->why, tun), n->why);
	(void)!plat_link_no_link_local(n->nl, tun->ifindex, &n->why);
	assert_ok(plat_link_up(n->nl, tun->ifindex, &n->why), n->why);
}

static void set_addr(int fd, unsigned long request, const char *dev, const char *addr)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct ip a = ip(addr);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	memcpy(&sin.sin_addr, a.b, 4);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	assert_int_equal(ioctl(fd, request, &ifr), 0);
}

static void give_address(struct net *n, const char *dev, const char *addr, const char *mask)
{
	struct plat_ns in;
	int fd;

	assert_ok(plat_ns_enter(n->ns, &n->why, &in), n->why);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	plat_ns_leave(&in);
	set_addr(fd, SIOCSIFADDR, dev, addr);
	set_addr(fd, SIOCSIFNETMASK, dev, mask);
	close(fd);
}

static void default_route(struct net *n, const char *dst)
{
	const struct plat_route r = { .kind = PLAT_ROUTE_DEVICE,
				      .dst = prefix(dst),
				      .table = MAIN,
				      .metric = 1,
				      .protocol = 4,
				      .ifindex = n->wan.ifindex };

	assert_ok(plat_route_add(n->nl, &r, &n->why), n->why);
}

static int net_setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));
	int here = open_ns();

	assert_non_null(n);
	*n = (struct net){ .ns = -1 };
	n->why = TEXT_OF(n->buf);
	*state = n;
	if (unshare(CLONE_NEWNET) == 0) {
		n->ns = open_ns();
		assert_int_equal(setns(here, CLONE_NEWNET), 0);
		assert_ok(plat_nl_new(n->ns, &n->why, &n->nl), n->why);
		assert_ok(plat_link_up(n->nl, 1, &n->why), n->why);
		open_device(n, "wan", &n->wan);
		open_device(n, "lan", &n->lan);
		give_address(n, "wan", "192.0.2.1", "255.255.255.0");
		give_address(n, "lan", "10.1.0.1", "255.255.0.0");
		default_route(n, "0.0.0.0/0");
		default_route(n, "10.2.3.0/25"); /* as DHCP may bring */
		default_route(n, "::/0");
		open_device(n, "warren0", &n->tun);
		assert_ok(guard_new(n->ns, &n->why, &n->guard), n->why);
	}
	close(here);
	return 0;
}

static int net_teardown(void **state)
{
	struct net *n = *state;

	if (n->ns >= 0) {
		guard_free(n->guard);
		plat_tun_close(&n->tun);
		plat_tun_close(&n->wan);
		plat_tun_close(&n->lan);
		plat_nl_free(n->nl);
		close(n->ns);
	}
	free(n);
	return 0;
}

static struct net *need_net(void **state)
{
	struct net *n = *state;

	skip_unless(n->ns >= 0, "a network namespace");
	return n;
}

/* After kill -9: the device goes, and what it had; nobody is there to do anything. */
static void restart(struct net *n)
{
	guard_free(n->guard);
	plat_tun_close(&n->tun);
	open_device(n, "warren0", &n->tun);
	n->guard = NULL;
	assert_ok(guard_new(n->ns, &n->why, &n->guard), n->why);
}

/* ---- plans ------------------------------------------------------------------------------- */

static void block(struct net *n, const char *domain, const char *local)
{
	struct guard_plan p = plan_of(domain, local);

	assert_ok(guard_block(n->guard, &p, &n->why), n->why);
	guard_plan_done(&p);
}

/* Every IPv4 prefix gets `src` ("" for none). */
static void attach(struct net *n, const char *domain, const char *src)
{
	struct guard_plan p = plan_of(domain, "");
	struct ip *v = calloc(p.domain.n + 1, sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; *src && i < p.domain.n; i++)
		if (p.domain.v[i].ip.family == 4)
			v[i] = ip(src);
	assert_ok(guard_attach(n->guard, n->tun.ifindex, v, &n->why), n->why);
	free(v);
	guard_plan_done(&p);
}

/* ---- looking ----------------------------------------------------------------------------- */

struct counted {
	unsigned n, before;
};

static bool count_route(void *ctx, const struct plat_route *r)
{
	struct counted *c = ctx;

	c->n = r ? c->n + 1 : c->before;
	return true;
}

static bool count_rule(void *ctx, const struct plat_rule *r)
{
	struct counted *c = ctx;

	c->n = r ? c->n + 1 : c->before;
	return true;
}

static unsigned routes_now(struct net *n)
{
	struct counted c = { 0 };

	for (uint8_t family = 4; family <= 6; family += 2) {
		assert_ok(plat_route_each(n->nl, family, GUARD_TABLE, GUARD_PROTOCOL, count_route,
					  &c, &n->why),
			  n->why);
		c.before = c.n;
	}
	return c.n;
}

static unsigned rules_now(struct net *n)
{
	struct counted c = { 0 };

	for (uint8_t family = 4; family <= 6; family += 2) {
		assert_ok(plat_rule_each(n->nl, family, GUARD_PROTOCOL, count_rule, &c, &n->why),
			  n->why);
		c.before = c.n;
	}
	return c.n;
}

enum way {
	NOWHERE,
	TUNNEL,
	CLEAR,
	SITE,
};

/* Where a packet to `dst` goes: of a forwarded one, or a socket that has not chosen its source. */
static enum way way(struct net *n, const char *dst, uint32_t mark)
{
	struct ip to = ip(dst);
	struct plat_path p;
	char ignored[8];
	struct text why = TEXT_OF(ignored);

	if (plat_route_get(n->nl, &to, mark, &why, &p) != ST_OK)
		return NOWHERE;
	if (p.ifindex == n->lan.ifindex)
		return SITE;
	assert_true(p.ifindex == n->tun.ifindex || p.ifindex == n->wan.ifindex);
	return p.ifindex == n->tun.ifindex ? TUNNEL : CLEAR;
}

static struct sockaddr_in sin_of(const char *addr, uint16_t port)
{
	struct sockaddr_in s = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct ip a = ip(addr);

	memcpy(&s.sin_addr, a.b, 4);
	return s;
}

/* Whether a socket of this host bound to `src` finds a way to `dst`: 0 or the errno value. */
static int reach(struct net *n, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct sockaddr_in from = sin_of(src, sport), to = sin_of(dst, dport);
	struct plat_ns in;
	int fd, err;

	assert_ok(plat_ns_enter(n->ns, &n->why, &in), n->why);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	plat_ns_leave(&in);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	err = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
	close(fd);
	return err;
}

static void nft(struct net *n, const char *commands)
{
	struct nft_ctx *ctx;
	struct plat_ns in;

	assert_ok(plat_ns_enter(n->ns, &n->why, &in), n->why);
	ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	plat_ns_leave(&in);
	assert_non_null(ctx);
	assert_int_equal(nft_ctx_buffer_error(ctx), 0);
	if (nft_run_cmd_from_buffer(ctx, commands) != 0)
		fail_msg("%s: %s", commands, nft_ctx_get_error_buffer(ctx));
	nft_ctx_free(ctx);
}

/* The table as text; to be freed. */
static char *nft_list(struct net *n)
{
	struct nft_ctx *ctx;
	struct plat_ns in;
	char *s;

	assert_ok(plat_ns_enter(n->ns, &n->why, &in), n->why);
	ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	plat_ns_leave(&in);
	assert_non_null(ctx);
	assert_int_equal(nft_ctx_buffer_output(ctx), 0);
	assert_int_equal(nft_run_cmd_from_buffer(ctx, "list ruleset"), 0);
	s = strdup(nft_ctx_get_output_buffer(ctx));
	nft_ctx_free(ctx);
	assert_non_null(s);
	return s;
}

static bool filtered(struct net *n)
{
	char *s = nft_list(n);
	bool there = strstr(s, "table inet warren") != NULL;

	free(s);
	return there;
}

/* What guard_check() put back. */
static const char *checked(struct net *n)
{
	static char what[256];
	struct text t = TEXT_OF(what);

	assert_ok(guard_check(n->guard, &t, &n->why), n->why);
	return what;
}

/* ---- life -------------------------------------------------------------------------------- */

#define DOMAIN "10.0.0.0/8 fd00:2::/64"
#define LOCAL "10.1.0.0/16 fd00:1::/64"

static void assert_blocked(struct net *n)
{
	assert_int_equal(way(n, "10.2.0.1", 0), NOWHERE);
	assert_int_equal(way(n, "10.2.3.1", 0), NOWHERE); /* whatever DHCP says */
	assert_int_equal(way(n, "fd00:2::1", 0), NOWHERE);
	assert_int_equal(way(n, "10.2.3.1", PLAT_MARK), CLEAR);
	assert_int_equal(way(n, "11.0.0.1", 0), CLEAR);
	assert_int_equal(way(n, "fd00:3::1", 0), CLEAR);
	assert_true(filtered(n));
}

static void assert_attached(struct net *n)
{
	assert_int_equal(way(n, "10.2.0.1", 0), TUNNEL);
	assert_int_equal(way(n, "10.2.3.1", 0), TUNNEL);
	assert_int_equal(way(n, "fd00:2::1", 0), TUNNEL);
	assert_int_equal(way(n, "10.2.3.1", PLAT_MARK), CLEAR);
	assert_int_equal(way(n, "11.0.0.1", 0), CLEAR);
}

/* The way in clear exists, and is not taken before, during and after the daemon's life. */
static void test_life(void **state)
{
	struct net *n = need_net(state);

	block(n, DOMAIN, LOCAL);
	assert_blocked(n);
	attach(n, DOMAIN, "10.1.0.1");
	assert_attached(n);
	assert_ok(guard_detach(n->guard, &n->why), n->why);
	assert_blocked(n);
	attach(n, DOMAIN, "");
	assert_attached(n);
	restart(n);
	assert_blocked(n);
	/* The next one takes over what it finds. */
	block(n, DOMAIN, LOCAL);
	assert_blocked(n);
	attach(n, DOMAIN, "10.1.0.1");
	assert_attached(n);
	assert_string_equal(checked(n), ""); /* nothing of our own making is news */
	assert_ok(guard_detach(n->guard, &n->why), n->why);
	assert_ok(guard_open(n->guard, &n->why), n->why);
	assert_int_equal(routes_now(n), 0);
	assert_int_equal(rules_now(n), 0);
	assert_false(filtered(n));
	assert_int_equal(way(n, "10.2.0.1", 0), CLEAR);
	assert_ok(guard_open(n->guard, &n->why), n->why); /* nothing there is no failure */
}

/* Down and up: the kernel takes the device's routes away and does not put them back. */
static void test_device_down(void **state)
{
	struct net *n = need_net(state);
	struct ifreq ifr = { .ifr_name = "warren0" };
	struct plat_ns in;
	int fd;

	block(n, DOMAIN, LOCAL);
	attach(n, DOMAIN, "10.1.0.1");
	assert_ok(plat_ns_enter(n->ns, &n->why, &in), n->why);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	plat_ns_leave(&in);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
	assert_blocked(n);
	assert_ok(plat_link_up(n->nl, n->tun.ifindex, &n->why), n->why);
	assert_blocked(n);
	attach(n, DOMAIN, "10.1.0.1");
	assert_attached(n);
}

/* The preferred source follows. */
static void test_source(void **state)
{
	struct net *n = need_net(state);
	struct ip to = ip("10.2.0.1"), one = ip("10.1.0.1"), two = ip("192.0.2.1");
	struct plat_path p;

	block(n, DOMAIN, LOCAL);
	attach(n, DOMAIN, "10.1.0.1");
	assert_ok(plat_route_get(n->nl, &to, 0, &n->why, &p), n->why);
	assert_true(ip_eq(&p.src, &one));
	attach(n, DOMAIN, "192.0.2.1");
	assert_ok(plat_route_get(n->nl, &to, 0, &n->why, &p), n->why);
	assert_true(ip_eq(&p.src, &two));
	assert_int_equal(routes_now(n), 5); /* two prefixes twice, one thrown */
}

/* Another configuration: what it lacks goes, what both have stays. */
static void test_other_plan(void **state)
{
	struct net *n = need_net(state);

	block(n, DOMAIN, LOCAL);
	attach(n, DOMAIN, "10.1.0.1");
	block(n, "10.0.0.0/8 10.2.0.0/16", LOCAL);
	assert_int_equal(way(n, "10.3.0.1", 0), TUNNEL); /* also before it is attached again */
	assert_int_equal(way(n, "10.2.0.1", 0), TUNNEL);
	assert_int_equal(way(n, "fd00:2::1", 0), CLEAR);
	attach(n, "10.0.0.0/8 10.2.0.0/16", "10.1.0.1");
	assert_int_equal(way(n, "10.2.0.1", 0), TUNNEL);
	block(n, "10.2.0.0/16", LOCAL);
	assert_int_equal(way(n, "10.3.0.1", 0), CLEAR);
	assert_int_equal(way(n, "10.2.3.1", 0), TUNNEL);
	assert_int_equal(routes_now(n), 2);
	block(n, "", "");
	assert_int_equal(way(n, "10.2.3.1", 0), CLEAR);
	assert_int_equal(routes_now(n), 0);
	assert_int_equal(rules_now(n), 0);
	assert_true(filtered(n)); /* empty sets match nothing */
}

/* A second daemon in one network namespace is told so, and what the first one has stays. */
static void test_second(void **state)
{
	struct net *n = need_net(state);
	struct guard_plan p = plan_of("10.9.0.0/16", "");
	struct guard *other;

	block(n, DOMAIN, LOCAL);
	attach(n, DOMAIN, "10.1.0.1");
	assert_ok(guard_new(n->ns, &n->why, &other), n->why);
	assert_int_equal(guard_block(other, &p, &n->why), ST_REFUSE);
	assert_non_null(strstr(n->buf, "another warrend"));
	assert_int_equal(guard_open(other, &n->why), ST_REFUSE);
	assert_attached(n);
	assert_true(filtered(n));
	guard_free(other);
	guard_plan_done(&p);
}

/* Somebody else's route in our place is an error and stays; all the rest of the block stands. */
static void test_foreign(void **state)
{
	struct net *n = need_net(state);
	struct plat_route foreign = { .kind = PLAT_ROUTE_UNREACHABLE,
				      .dst = prefix("fd00:2::/64"),
				      .table = GUARD_TABLE,
				      .metric = 2,
				      .protocol = 4 };
	struct guard_plan p = plan_of(DOMAIN, LOCAL);

	assert_ok(plat_route_add(n->nl, &foreign, &n->why), n->why);
	assert_int_equal(guard_block(n->guard, &p, &n->why), ST_IO);
	assert_non_null(strstr(n->buf, "fd00:2::/64"));
	assert_blocked(n);
	assert_ok(guard_open(n->guard, &n->why), n->why);
	assert_ok(plat_route_del(n->nl, &foreign, &n->why), n->why); /* still there */
	guard_plan_done(&p);
}

/* A change that fails half-way (reload, or a hub's word) leaves the plan that stood: in the kernel,
 * and in what later calls go by. */
static void test_failed_change(void **state)
{
	struct net *n = need_net(state);
	struct plat_route foreign = { .kind = PLAT_ROUTE_UNREACHABLE,
				      .dst = prefix("172.16.0.0/12"),
				      .table = GUARD_TABLE,
				      .metric = 2,
				      .protocol = 4 };
	struct guard_plan p = plan_of("172.16.0.0/12 198.18.0.0/24 198.18.1.0/24 198.18.2.0/24 "
				      "198.18.3.0/24 198.18.4.0/24 198.18.5.0/24",
				      "");
	char *before, *after;

	block(n, DOMAIN, LOCAL);
	attach(n, DOMAIN, "10.1.0.1");
	before = nft_list(n);
	assert_ok(plat_route_add(n->nl, &foreign, &n->why), n->why);
	assert_int_equal(guard_block(n->guard, &p, &n->why), ST_IO);
	assert_attached(n);
	after = nft_list(n);
	assert_string_equal(before, after);
	attach(n, DOMAIN, "10.1.0.1"); /* as many sources as the old plan has prefixes */
	assert_attached(n);
	assert_int_equal(way(n, "198.18.3.1", 0), CLEAR);
	assert_string_equal(checked(n), "");
	assert_ok(plat_route_del(n->nl, &foreign, &n->why), n->why);
	assert_ok(guard_block(n->guard, &p, &n->why), n->why);
	assert_int_equal(way(n, "10.2.0.1", 0), CLEAR);
	assert_int_equal(way(n, "198.18.3.1", 0), TUNNEL);
	free(before);
	free(after);
	guard_plan_done(&p);
}

static void test_bad_device(void **state)
{
	struct net *n = need_net(state);
	struct guard_plan p = plan_of(DOMAIN, LOCAL);

	snprintf(p.device, sizeof(p.device), "a\" accept");
	assert_int_equal(guard_block(n->guard, &p, &n->why), ST_INVAL);
	assert_int_equal(routes_now(n), 0);
	guard_plan_done(&p);
}

/* ---- the host's own uplink --------------------------------------------------------------- */

/* With a domain of everything: what the host sends from its uplink's address goes there, what it
 * sends from its site's or none does not. */
static void test_everything(void **state)
{
	struct net *n = need_net(state);

	block(n, "0.0.0.0/0 ::/0", LOCAL);
	for (int attached = 0; attached < 2; attached++) {
		const enum way want = attached ? TUNNEL : NOWHERE;

		assert_int_equal(way(n, "203.0.113.5", 0), want);
		assert_int_equal(way(n, "192.0.2.9", 0), want);
		assert_int_equal(way(n, "2001:db8::1", 0), want);
		assert_int_equal(way(n, "203.0.113.5", PLAT_MARK), CLEAR);
		assert_int_equal(reach(n, "192.0.2.1", 0, "203.0.113.5", 22), 0);
		assert_int_equal(reach(n, "10.1.0.1", 0, "203.0.113.5", 22),
				 attached ? 0 : EHOSTUNREACH);
		assert_int_equal(reach(n, "0.0.0.0", 0, "203.0.113.5", 22),
				 attached ? 0 : EHOSTUNREACH);
		/* DHCP renews its lease from a socket without an address. */
		assert_int_equal(reach(n, "0.0.0.0", 68, "192.0.2.9", 67), 0);
		/* Its site and the link are not the tunnel's. */
		assert_int_equal(way(n, "10.1.0.99", 0), SITE);
		assert_int_equal(way(n, "224.0.0.9", 0), CLEAR);
		assert_int_equal(way(n, "255.255.255.255", 0), CLEAR);
		attach(n, "0.0.0.0/0 ::/0", "10.1.0.1");
	}
}

/* More prefixes than there may be rules: addresses are named instead, and followed. */
static void test_many_rules(void **state)
{
	struct net *n = need_net(state);
	struct guard_plan p = plan_of("", "10.1.0.0/16");
	const struct ip own[] = { ip("192.0.2.1"), ip("10.1.0.1") };
	unsigned rules;

	for (unsigned i = 0; i <= GUARD_RULES_MAX; i++) {
		char buf[32];
		struct prefix one;

		snprintf(buf, sizeof(buf), "%u.0.0.0/8", 190 + 2 * i);
		one = prefix(buf);
		assert_int_equal(guard_prefixes_add(&p.domain, &one), ST_OK);
	}
	guard_plan_normalise(&p);
	assert_ok(guard_block(n->guard, &p, &n->why), n->why);
	rules = rules_now(n);
	assert_int_equal(rules, 4); /* look, skip, no source, DHCP */
	assert_int_equal(reach(n, "192.0.2.1", 0, "194.0.0.1", 22), EHOSTUNREACH);
	assert_ok(guard_host(n->guard, own, 2, &n->why), n->why);
	assert_int_equal(rules_now(n), rules + 1);
	assert_int_equal(reach(n, "192.0.2.1", 0, "194.0.0.1", 22), 0);
	assert_int_equal(reach(n, "10.1.0.1", 0, "194.0.0.1", 22), EHOSTUNREACH);
	assert_ok(guard_host(n->guard, own + 1, 1, &n->why), n->why);
	assert_int_equal(rules_now(n), rules);
	assert_int_equal(reach(n, "192.0.2.1", 0, "194.0.0.1", 22), EHOSTUNREACH);
	guard_plan_done(&p);
}

/* ---- others' hands ----------------------------------------------------------------------- */

static void test_flushed_filter(void **state)
{
	static const char *const hands[] = {
		"flush ruleset",
		"delete table inet warren",
		"flush table inet warren",
		"flush set inet warren domain4",
		"insert rule inet warren in accept",
		"add element inet warren local4 { 10.7.0.0/16 }",
		"add table inet warren { flags dormant; }",
	};
	struct net *n = need_net(state);
	char *before, *after;

	block(n, DOMAIN, LOCAL);
	attach(n, DOMAIN, "10.1.0.1");
	before = nft_list(n);
	for (size_t i = 0; i < ARRAY_LEN(hands); i++) {
		nft(n, hands[i]);
		assert_non_null(strstr(checked(n), "table inet warren"));
		after = nft_list(n);
		assert_string_equal(before, after);
		free(after);
		assert_string_equal(checked(n), ""); /* our own hand is none */
	}
	nft(n, "table inet other { chain in { type filter hook input priority 0; }; }");
	nft(n, "delete table inet other");
	assert_string_equal(checked(n), "");
	/* Gone and put back by hand in between two looks: what was put back is not ours. */
	nft(n, "delete table inet warren; add table inet warren");
	(void)checked(n);
	free(before);
	assert_attached(n);
}

struct flush {
	struct plat_rule v[32];
	size_t n;
};

static bool collect_rule(void *ctx, const struct plat_rule *r)
{
	struct flush *f = ctx;

	assert_non_null(r);
	assert_true(f->n < ARRAY_LEN(f->v));
	f->v[f->n++] = *r;
	return true;
}

static void test_flushed_rules(void **state)
{
	struct net *n = need_net(state);
	struct flush f = { .n = 0 };
	const struct plat_route r = { .kind = PLAT_ROUTE_UNREACHABLE,
				      .dst = prefix("10.0.0.0/8"),
				      .table = GUARD_TABLE,
				      .metric = 2,
				      .protocol = GUARD_PROTOCOL };

	block(n, DOMAIN, LOCAL);
	for (uint8_t family = 4; family <= 6; family += 2)
		assert_ok(plat_rule_each(n->nl, family, GUARD_PROTOCOL, collect_rule, &f, &n->why),
			  n->why);
	assert_true(f.n > 4);
	for (size_t i = 0; i < f.n; i++)
		assert_ok(plat_rule_del(n->nl, &f.v[i], &n->why), n->why);
	assert_int_equal(way(n, "10.2.3.1", 0), CLEAR);
	assert_non_null(strstr(checked(n), "rules"));
	assert_blocked(n);
	assert_int_equal(rules_now(n), f.n);
	assert_string_equal(checked(n), "");
	assert_ok(plat_route_del(n->nl, &r, &n->why), n->why);
	assert_non_null(strstr(checked(n), "routes"));
	assert_blocked(n);
}

struct flusher {
	struct net *n;
	const struct flush *rules;
	atomic_bool over;
};

/* `ip rule flush` and `nft flush ruleset`, now and again. */
static void *keep_flushing(void *ctx)
{
	struct flusher *f = ctx;
	char buf[256];
	struct text ignore = TEXT_OF(buf);
	struct plat_nl *nl;

	if (plat_nl_new(f->n->ns, &ignore, &nl) != ST_OK)
		return NULL;
	for (int k = 0; k < 200; k++)
		for (size_t i = 0; i < f->rules->n; i++)
			(void)!plat_rule_del(nl, &f->rules->v[i], &ignore);
	plat_nl_free(nl);
	f->over = true;
	return NULL;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* What others take away while we put back is not lost among the news of our own making. */
static void test_flushed_meanwhile(void **state)
{
	struct net *n = need_net(state);
	struct flush f = { .n = 0 };
	struct flusher by = { .n = n, .rules = &f };
	struct guard_plan p = plan_of(DOMAIN, LOCAL);
	pthread_t thread;
	int fd[GUARD_FDS];

	block(n, DOMAIN, LOCAL);
	for (uint8_t family = 4; family <= 6; family += 2)
		assert_ok(plat_rule_each(n->nl, family, GUARD_PROTOCOL, collect_rule, &f, &n->why),
			  n->why);
	guard_fds(n->guard, fd);
	for (int round = 0; round < 5; round++) {
		enum status st = ST_OK;

		by.over = false;
		assert_int_equal(pthread_create(&thread, NULL, keep_flushing, &by), 0);
		while (!by.over || st != ST_OK || readable(fd[0])) {
			char buf[256];
			struct text what = TEXT_OF(buf);

			/* A rule that goes between two of ours is a failure, and another try. */
			if (st != ST_OK)
				st = guard_block(n->guard, &p, &what);
			else if (readable(fd[0]))
				st = guard_check(n->guard, &what, &what);
		}
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(rules_now(n), f.n);
	}
	guard_plan_done(&p);
	assert_blocked(n);
}

/* Counters go on across a change of plan and a restart, and survive a flush as zero. */
static void test_counters(void **state)
{
	struct net *n = need_net(state);
	uint64_t c[GUARD_COUNTERS];

	assert_ok(guard_counters(n->guard, c, &n->why), n->why);
	assert_int_equal(c[GUARD_IN_CLEAR], 0);
	block(n, DOMAIN, LOCAL);
	nft(n,
	    "delete table inet warren; table inet warren { counter in_clear { packets 7 bytes 9 }; "
	    "counter in_own { packets 3 bytes 1 }; }");
	block(n, DOMAIN, LOCAL);
	restart(n);
	block(n, "10.2.0.0/16", LOCAL);
	assert_ok(guard_counters(n->guard, c, &n->why), n->why);
	assert_int_equal(c[GUARD_IN_CLEAR], 7);
	assert_int_equal(c[GUARD_OUT_CLEAR], 0);
	assert_int_equal(c[GUARD_IN_OWN], 3);
	assert_int_equal(c[GUARD_REDIRECTS], 0);
}

/* ---- many -------------------------------------------------------------------------------- */

/* Ten thousand prefixes, first and again: nothing in it grows with the square. */
static void test_thousands(void **state)
{
	enum { N = 10000 };
	struct net *n = need_net(state);
	struct guard_plan p = plan_of("", "10.1.0.0/16");
	struct ip *src = calloc(N, sizeof(*src));
	mono_t begin;

	assert_non_null(src);
	for (unsigned i = 0; i < N; i++) {
		struct ip a = { .family = 4, .b = { 10, (uint8_t)(2 + (i >> 8)), (uint8_t)i, 0 } };
		struct prefix one = prefix_of(&a, 25);

		assert_int_equal(guard_prefixes_add(&p.domain, &one), ST_OK);
	}
	guard_plan_normalise(&p);
	begin = plat_mono();
	assert_ok(guard_block(n->guard, &p, &n->why), n->why);
	assert_ok(guard_attach(n->guard, n->tun.ifindex, src, &n->why), n->why);
	print_message("# %d prefixes: block and attach in %lld ms", N,
		      (long long)mono_since(plat_mono(), begin).ns / 1000000);
	assert_int_equal(routes_now(n), 2 * N);
	assert_string_equal(checked(n), "");
	begin = plat_mono();
	assert_ok(guard_block(n->guard, &p, &n->why), n->why);
	print_message(", again in %lld ms\n",
		      (long long)mono_since(plat_mono(), begin).ns / 1000000);
	assert_int_equal(way(n, "10.2.3.1", 0), TUNNEL);
	assert_int_equal(way(n, "10.2.3.129", 0), CLEAR);
	nft(n, "flush ruleset");
	assert_non_null(strstr(checked(n), "table inet warren"));
	assert_string_equal(checked(n), "");
	free(src);
	guard_plan_done(&p);
}

#define IN_NET(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NET(test_life),
		IN_NET(test_device_down),
		IN_NET(test_source),
		IN_NET(test_other_plan),
		IN_NET(test_second),
		IN_NET(test_foreign),
		IN_NET(test_failed_change),
		IN_NET(test_bad_device),
		IN_NET(test_everything),
		IN_NET(test_many_rules),
		IN_NET(test_flushed_filter),
		IN_NET(test_flushed_rules),
		IN_NET(test_flushed_meanwhile),
		IN_NET(test_counters),
		IN_NET(test_thousands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
