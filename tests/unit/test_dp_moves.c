/*
 * A child whose own address changes (DP_CHILD_ADDRESS, RFC 4555): to one that a socket is bound to,
 * to any that the sockets for all addresses can send from, from IPv4 to IPv6 and back.  What was
 * under way to the address before is still heard.
 *
 *	sockets of the data plane: 0.0.0.0, 127.0.0.2 and ::, the same port
 */
#include "unit/dp_util.h"

#include <netinet/in.h>

enum { WILD4, BOUND4, WILD6, SOCKETS };

/* The far end: one address of each family, which hears from where a packet comes. */
enum { FAR4, FAR6 };

struct moves {
	struct dut d;
	uint16_t port;
	bool ipv6;
};

static uint8_t buf[65536], esp[65536], got[65536];
static struct dp_fake_packet plain;

static socklen_t address(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)(void *)ret;

	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, ip, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(port);
		return sizeof(*a4);
	}
	assert_int_equal(inet_pton(AF_INET6, ip, &a6->sin6_addr), 1);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(port);
	return sizeof(*a6);
}

static struct endpoint endpoint_of(const struct sockaddr_storage *s)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)(const void *)s;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)(const void *)s;

	if (s->ss_family == AF_INET)
		return (struct endpoint){ ip_from_raw(bytes_of(&a4->sin_addr, 4)),
					  ntohs(a4->sin_port) };
	return (struct endpoint){ ip_from_raw(bytes_of(&a6->sin6_addr, 16)), ntohs(a6->sin6_port) };
}

/* -1: this host has no such address. */
static int bound(const char *ip, uint16_t port, struct endpoint *ret)
{
	struct sockaddr_storage a;
	socklen_t n = address(ip, port, &a);
	int one = 1;
	int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)(void *)&a, n)) {
		close(fd);
		return -1;
	}
	n = sizeof(a);
	assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&a, &n), 0);
	*ret = endpoint_of(&a);
	return fd;
}

static struct endpoint at(const struct moves *m, const char *ip)
{
	struct endpoint e = { .port = m->port };

	assert_int_equal(ip_parse(ip, &e.ip), ST_OK);
	return e;
}

static void open_sockets(struct moves *m, struct dp_user_params *p)
{
	static const char *const ips[SOCKETS] = { "0.0.0.0", "127.0.0.2", "::" };

	for (int i = 0; i < SOCKETS; i++) {
		struct dp_user_socket *s = &p->sockets[p->n_sockets];

		s->fd = bound(ips[i], m->port, &s->local);
		if (i == WILD6 && s->fd < 0)
			break;
		assert_true(s->fd >= 0);
		m->port = s->local.port;
		p->n_sockets++;
	}
}

static int open_moves(void **state)
{
	static struct moves m;
	struct dp_user_params p = { .mem = &dut_mem, .queues = 1, .mtu = 1400 };
	struct dut *d = &m.d;
	char why[200];
	struct text t = TEXT_OF(why);
	struct dp_op op;
	int pair[2];

	make_selectors();
	m = (struct moves){ .d = { .kind = DUT_USER, .tun = { -1, -1 }, .net = { -1, -1 } } };
	atomic_store(&dut_count.left, -1);
	atomic_store(&dut_count.live, 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	d->tun[0] = pair[0];
	p.tun[0] = pair[1];
	open_sockets(&m, &p);
	d->net[FAR4] = bound("127.0.0.1", 0, &d->remote[FAR4]);
	d->net[FAR6] = bound("::1", 0, &d->remote[FAR6]);
	m.ipv6 = d->net[FAR6] >= 0 && p.n_sockets == SOCKETS;
	assert_int_equal(dp_user_new(&p, &t, &d->dp), ST_OK);
	assert_int_equal(dp_fake_new(&mem_libc, &d->far), ST_OK);
	d->local = at(&m, "127.0.0.1");
	op = add_op(d, 1);
	add_both(d, &op);
	*state = &m;
	return 0;
}

static int shut(void **state)
{
	struct moves *m = *state;

	dut_close(&m->d);
	return 0;
}

/* ---- both directions ----------------------------------------------------------------------- */

/* What the host sends leaves from there, towards far address `i`. */
static void leaves_from(struct moves *m, const struct endpoint *local, int i, uint32_t mark)
{
	struct bytes packet = udp4(buf, 100, 1, 2, mark);
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct endpoint from;
	ssize_t n;

	host_sends(&m->d, packet);
	wait_any(&m->d.net[i], 1);
	n = recvfrom(m->d.net[i], esp, sizeof(esp), 0, (struct sockaddr *)(void *)&a, &len);
	assert_true(n > 0);
	from = endpoint_of(&a);
	assert_true(endpoint_eq(&from, local));
	assert_int_equal(dp_fake_in(m->d.far, &m->d.remote[i], local, bytes_of(esp, (size_t)n)),
			 ESP_OK);
	assert_true(dp_fake_next_in(m->d.far, &plain));
	assert_true(bytes_eq(bytes_of(plain.data, plain.n), packet));
}

/* What far address `i` sends there arrives at the host. */
static void arrives_at(struct moves *m, const struct endpoint *local, int i, uint32_t mark)
{
	struct bytes packet = udp4(buf, 100, 2, 1, mark);
	char text[IP_TEXT_MAX];
	struct sockaddr_storage a;
	socklen_t len = address(ip_text(&local->ip, text), local->port, &a);

	dp_fake_out(m->d.far, packet);
	assert_true(dp_fake_next_out(m->d.far, &plain));
	assert_int_equal(
		sendto(m->d.net[i], plain.data, plain.n, 0, (struct sockaddr *)(void *)&a, len),
		plain.n);
	assert_int_equal(host_gets(&m->d, got), packet.n);
	assert_memory_equal(got, packet.p, packet.n);
}

static enum status move(struct moves *m, const struct endpoint *local, int i, bool encap)
{
	struct dp_op op = { .kind = DP_CHILD_ADDRESS };

	op.u.address.id = 1;
	op.u.address.local = *local;
	op.u.address.remote = m->d.remote[i];
	op.u.address.encap = encap;
	return dut_op(&m->d, op);
}

static void moves_to(struct moves *m, const char *ip, int i, uint32_t mark)
{
	struct endpoint now = at(m, ip);

	assert_int_equal(move(m, &now, i, true), ST_OK);
	leaves_from(m, &now, i, mark);
	arrives_at(m, &now, i, mark + 1);
}

static void other_addresses(void **state)
{
	struct moves *m = *state;
	struct endpoint first = at(m, "127.0.0.1");

	leaves_from(m, &first, FAR4, 1);
	moves_to(m, "127.0.0.2", FAR4, 2); /* a socket of its own */
	moves_to(m, "127.0.0.3", FAR4, 4); /* the one for all, told from where */
	moves_to(m, "127.0.0.1", FAR4, 6);
	/* What was under way when it moved. */
	moves_to(m, "127.0.0.2", FAR4, 8);
	arrives_at(m, &first, FAR4, 10);
	leaves_from(m, &(struct endpoint){ at(m, "127.0.0.2").ip, m->port }, FAR4, 11);
}

static void other_family(void **state)
{
	struct moves *m = *state;
	struct endpoint before = at(m, "127.0.0.1");

	if (!m->ipv6) {
		print_message("# skipped: this host has no IPv6\n");
		skip();
	}
	leaves_from(m, &before, FAR4, 1);
	moves_to(m, "::1", FAR6, 2);
	arrives_at(m, &before, FAR4, 4);
	moves_to(m, "127.0.0.3", FAR4, 5);
	moves_to(m, "::1", FAR6, 7);
}

/* What cannot be is refused, and nothing has changed. */
static void nowhere(void **state)
{
	struct moves *m = *state;
	struct endpoint first = at(m, "127.0.0.1"), port = first, six = at(m, "::1");

	port.port++;
	assert_int_equal(move(m, &port, FAR4, true), ST_INVAL);
	assert_int_equal(move(m, &six, FAR4, true), ST_INVAL);
	assert_int_equal(move(m, &first, FAR4, false), ST_INVAL); /* no DP_CAP_RAW_ESP */
	leaves_from(m, &first, FAR4, 1);
	arrives_at(m, &first, FAR4, 2);
}

/* An address that is gone: packets are lost and counted, and it goes on from the next one. */
static void address_is_gone(void **state)
{
	enum { PACKETS = 10 };
	struct moves *m = *state;
	struct endpoint gone = at(m, "203.0.113.77");

	assert_int_equal(move(m, &gone, FAR4, true), ST_OK);
	for (uint32_t i = 0; i < PACKETS; i++)
		host_sends(&m->d, udp4(buf, 100, 1, 2, i));
	for (int ms = 0; dut_counter(&m->d, "tx.error") < PACKETS; ms++) {
		assert_true(ms < DEADLINE_MS);
		poll(NULL, 0, 1);
	}
	moves_to(m, "127.0.0.2", FAR4, 100);
	assert_int_equal(dut_counter(&m->d, "tx.error"), PACKETS);
}

#define MOVES(f) cmocka_unit_test_setup_teardown(f, open_moves, shut)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOVES(other_addresses),
		MOVES(other_family),
		MOVES(nowhere),
		MOVES(address_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
