#include "plat/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plat/process.h"

size_t plat_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (e->ip.family == 6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(e->port);
		memcpy(&six->sin6_addr, e->ip.b, 16);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(e->port);
	memcpy(&four->sin_addr, e->ip.b, 4);
	return sizeof(*four);
}

struct endpoint plat_endpoint(const struct sockaddr *sa)
{
	struct endpoint e = { 0 };

	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		e.port = ntohs(in.sin_port);
		e.ip = ip_from_raw(bytes_of(&in.sin_addr, 4));
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in;

		memcpy(&in, sa, sizeof(in));
		e.port = ntohs(in.sin6_port);
		e.ip = ip_from_raw(bytes_of(&in.sin6_addr, 16));
	}
	return e;
}

/* ---- opening ----------------------------------------------------------------------------- */

static bool set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* FORCE exceeds net.core.rmem_max and needs CAP_NET_ADMIN; without it as much as allowed. */
static void set_buffers(int fd, int n)
{
	if (n <= 0)
		return;
	if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, n))
		set_int(fd, SOL_SOCKET, SO_RCVBUF, n);
	if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, n))
		set_int(fd, SOL_SOCKET, SO_SNDBUF, n);
}

/* PROBE sets DF and ignores what the kernel believes about the path: whoever sends ESP keeps
 * its own book.  DONT lets routers and the kernel fragment. */
static bool set_df(int fd, uint8_t family, bool df)
{
	return family == 6 ? set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
				     df ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT)
			   : set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER,
				     df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
}

static bool set_family(int fd, uint8_t family)
{
	if (family == 6)
		return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
		       set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
		       set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1) &&
		       set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	return set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) && set_int(fd, IPPROTO_IP, IP_RECVERR, 1) &&
	       set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
}

/* NULL, or the name of the option that the kernel refused. */
static const char *set_options(int fd, const struct plat_udp_conf *c)
{
	uint8_t family = c->local.ip.family;

	set_buffers(fd, c->buffer);
	if (c->mark && !set_int(fd, SOL_SOCKET, SO_MARK, (int)c->mark))
		return "SO_MARK";
	if (!set_family(fd, family))
		return "packet information";
	if (!set_df(fd, family, c->fixed_mtu))
		return "IP_MTU_DISCOVER";
	return NULL;
}

static enum status failed(int fd, const struct endpoint *local, const char *what, struct text *why)
{
	char buf[ENDPOINT_TEXT_MAX];
	int err = errno;

	text_fmt(why, "UDP socket %s: %s", endpoint_text(local, buf), what);
	plat_errno(why, err);
	if (err == EPERM)
		text_add(why, " (CAP_NET_ADMIN is needed)");
	if (fd >= 0)
		close(fd);
	return ST_IO;
}

static int open_socket(const struct plat_udp_conf *c, struct text *why)
{
	struct plat_ns in;
	int fd;

	if (plat_ns_enter(c->ns, why, &in) != ST_OK)
		return -1;
	fd = socket(c->local.ip.family == 6 ? AF_INET6 : AF_INET,
		    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		(void)failed(-1, &c->local, "cannot open", why);
	plat_ns_leave(&in);
	return fd;
}

enum status plat_udp_open(const struct plat_udp_conf *c, struct text *why, int *ret_fd,
			  struct endpoint *ret_local)
{
	struct sockaddr_storage sa;
	socklen_t len = (socklen_t)plat_sockaddr(&c->local, &sa);
	const char *refused;
	int fd = open_socket(c, why);

	if (fd < 0)
		return ST_IO;
	refused = set_options(fd, c);
	if (refused)
		return failed(fd, &c->local, refused, why);
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		return failed(fd, &c->local, "cannot bind", why);
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return failed(fd, &c->local, "getsockname", why);
	*ret_local = plat_endpoint((struct sockaddr *)&sa);
	*ret_fd = fd;
	return ST_OK;
}

/* ---- receiving --------------------------------------------------------------------------- */

union control {
	struct cmsghdr align;
	uint8_t buf[256];
};

static struct ip local_address(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			return ip_from_raw(bytes_of(&pi.ipi_addr, 4));
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			return ip_from_raw(bytes_of(&pi.ipi6_addr, 16));
		}
	}
	return (struct ip){ 0 };
}

/* What of the types and codes matters to who cannot reach somebody (RFC 792, RFC 1812, RFC 4443).
 */
static const char *icmp_text(const struct sock_extended_err *e)
{
	static const char *const v4[] = {
		[0] = "network unreachable",  [1] = "host unreachable",
		[2] = "protocol unreachable", [3] = "port unreachable",
		[4] = "packet too big",       [9] = "network prohibited",
		[10] = "host prohibited",     [13] = "communication prohibited",
	};
	static const char *const v6[] = {
		[0] = "no route",
		[1] = "communication prohibited",
		[3] = "address unreachable",
		[4] = "port unreachable",
		[5] = "source address refused",
		[6] = "route rejects",
	};
	bool six = e->ee_origin == SO_EE_ORIGIN_ICMP6;
	const char *const *names = six ? v6 : v4;
	size_t n = six ? ARRAY_LEN(v6) : ARRAY_LEN(v4);

	if (six && e->ee_type == 2)
		return "packet too big";
	if (e->ee_type != (six ? 1 : 3))
		return e->ee_type == (six ? 3 : 11) ? "it does not get there: hop limit" : NULL;
	return e->ee_code < n ? names[e->ee_code] : NULL;
}

static const struct sock_extended_err *extended_error(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			return (const struct sock_extended_err *)(const void *)CMSG_DATA(c);
	return NULL;
}

/* The size that is not too big. Our own stack is right; ICMP may be forged, so it is believed as
 * far as RFC 791 and RFC 8200 let a network be narrow. */
static uint16_t told_mtu(const struct sock_extended_err *e, uint8_t family)
{
	enum { LEAST_OURS = 296, LEAST_4 = 576, LEAST_6 = 1280 };
	uint32_t least = e->ee_origin == SO_EE_ORIGIN_LOCAL ? LEAST_OURS
			 : family == 6                      ? LEAST_6
							    : LEAST_4;

	if (e->ee_errno != EMSGSIZE)
		return 0;
	return (uint16_t)(e->ee_info < least ? least : e->ee_info < 65535 ? e->ee_info : 65535);
}

static bool is_told(const struct sock_extended_err *e)
{
	return e->ee_origin == SO_EE_ORIGIN_ICMP || e->ee_origin == SO_EE_ORIGIN_ICMP6 ||
	       (e->ee_origin == SO_EE_ORIGIN_LOCAL && e->ee_errno == EMSGSIZE);
}

/* Takes one error off the queue; a socket with one is readable for ever.  `ret` says nothing when
 * it is no word about a datagram. */
static bool take_error(int fd, struct plat_icmp *ret)
{
	struct sockaddr_storage to;
	const struct sock_extended_err *e;
	uint8_t buf[64];
	union control control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_name = &to,
			      .msg_namelen = sizeof(to),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };

	*ret = (struct plat_icmp){ 0 };
	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	e = extended_error(&msg);
	if (!e || !is_told(e) || msg.msg_namelen == 0)
		return true;
	ret->remote = plat_endpoint((const struct sockaddr *)&to);
	ret->mtu = told_mtu(e, ret->remote.ip.family);
	if (e->ee_origin == SO_EE_ORIGIN_LOCAL)
		return true;
	ret->text = icmp_text(e);
	/* SO_EE_OFFENDER(), which takes const away. */
	ret->from = plat_endpoint((const struct sockaddr *)(e + 1)).ip;
	return true;
}

bool plat_udp_icmp(int fd, struct plat_icmp *ret)
{
	while (take_error(fd, ret))
		if ((ret->text || ret->mtu) && ret->remote.ip.family)
			return true;
	return false;
}

static bool drop_error(int fd)
{
	struct plat_icmp ignored;

	return take_error(fd, &ignored);
}

/* More errors than this in a row are left for the next turn. */
#define ERRORS_PER_TURN 64

/* A pending error is reported once instead of data; its queued details are dropped when no data
 * is left. */
static ssize_t receive(int fd, struct msghdr *msg)
{
	const size_t control_len = msg->msg_controllen;

	for (int i = 0; i < ERRORS_PER_TURN; i++) {
		ssize_t n;

		msg->msg_controllen = control_len;
		n = recvmsg(fd, msg, MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (errno == EAGAIN && !drop_error(fd))
			return -1;
	}
	return -1;
}

enum status plat_udp_recv(int fd, uint16_t local_port, struct plat_datagram *ret)
{
	struct sockaddr_storage from;
	union control control;
	struct iovec iov = { ret->data, sizeof(ret->data) };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t n = receive(fd, &msg);

	if (n < 0)
		return ST_AGAIN;
	ret->remote = plat_endpoint((struct sockaddr *)&from);
	ret->local = (struct endpoint){ local_address(&msg), local_port };
	ret->n = (size_t)n;
	return ST_OK;
}

/* ---- sending ----------------------------------------------------------------------------- */

static void add_control(struct msghdr *msg, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = msg->msg_control;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	msg->msg_controllen = CMSG_SPACE(n);
}

static void set_source(struct msghdr *msg, const struct ip *from, int ifindex)
{
	if (from->family == 4) {
		struct in_pktinfo pi = { .ipi_ifindex = ifindex };

		memcpy(&pi.ipi_spec_dst, from->b, 4);
		add_control(msg, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
	} else if (from->family == 6) {
		struct in6_pktinfo pi = { .ipi6_ifindex = (unsigned)ifindex };

		if (!ifindex)
			memcpy(&pi.ipi6_addr, from->b, 16);
		add_control(msg, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	}
}

/* An ICMP error for an earlier datagram is reported by the next call, which sends nothing: so
 * try again, once per error that can be pending. */
static ssize_t transmit(int fd, const struct msghdr *msg)
{
	ssize_t n = sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH ||
		      errno == EMSGSIZE || errno == EPROTO || errno == EINTR))
		n = sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n;
}

static enum status send_failed(const struct plat_udp_out *out, int err, struct text *why)
{
	char from[IP_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	if (err == EAGAIN || err == ENOBUFS)
		return ST_AGAIN;
	text_fmt(why, "cannot send %zu bytes from %s to %s", out->head.n + out->data.n,
		 ip_text(&out->from, from), endpoint_text(&out->to, to));
	plat_errno(why, err);
	return ST_IO;
}

enum status plat_udp_send(int fd, const struct plat_udp_out *out, bool fragment, struct text *why)
{
	struct sockaddr_storage to;
	union control control = { 0 };
	struct iovec iov[2] = { { (void *)(uintptr_t)out->head.p, out->head.n },
				{ (void *)(uintptr_t)out->data.p, out->data.n } };
	struct msghdr msg = { .msg_name = &to,
			      .msg_namelen = (socklen_t)plat_sockaddr(&out->to, &to),
			      .msg_iov = iov,
			      .msg_iovlen = 2,
			      .msg_control = control.buf };
	uint8_t family = out->to.ip.family;
	ssize_t n;
	int err;

	set_source(&msg, &out->from, out->ifindex);
	if (msg.msg_controllen == 0)
		msg.msg_control = NULL;
	/* Another thread may send ESP in between: then one such packet may be fragmented. */
	if (fragment)
		set_df(fd, family, false);
	n = transmit(fd, &msg);
	if (n < 0 && errno == EMSGSIZE && out->whole)
		return ST_DROP;
	if (n < 0 && errno == EMSGSIZE && !fragment) {
		fragment = true;
		set_df(fd, family, false);
		n = transmit(fd, &msg);
	}
	err = errno;
	if (fragment)
		set_df(fd, family, true);
	return n < 0 ? send_failed(out, err, why) : ST_OK;
}
