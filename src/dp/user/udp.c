/* The sockets: options, sending with UDP_SEGMENT, receiving with UDP_GRO, the error queue. */
#include "dp/user/internal.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	SOCKET_BUFFER = 4 << 20,
	CONTROL_TX = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
		     CMSG_SPACE(sizeof(uint16_t)),
	CONTROL_RX = 256,
	ERRORS_PER_TURN = 64,
	FULL_WAIT_MS = 20,
	FULL_TRIES = 5,
	UNREACHABLE_PER_S = 10,
	TOLD_TRIES = 8, /* of a message while errors of earlier ones keep coming */
};

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

struct udp_out {
	union sock_addr to;
	struct iovec iov;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_TX];
};

struct udp_in {
	union sock_addr from;
	struct iovec iov;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_RX];
};

struct udp_io {
	bool stuck[DP_USER_MAX_SOCKETS]; /* full, and waiting for it did not help */
	struct mmsghdr tx_hdr[TX_PACKETS];
	struct udp_out tx[TX_PACKETS];
	struct mmsghdr rx_hdr[RX_MESSAGES];
	struct udp_in rx[RX_MESSAGES];
};

enum status udp_io_new(const struct alloc *mem, struct udp_io **ret_io)
{
	struct udp_io *io = mem_new(mem, sizeof(*io));

	if (!io)
		return ST_NOMEM;
	*ret_io = io;
	return ST_OK;
}

/* ---- addresses ----------------------------------------------------------------------------- */

static socklen_t to_sockaddr(const struct endpoint *e, union sock_addr *ret)
{
	*ret = (union sock_addr){ 0 };
	if (e->ip.family == 4) {
		ret->in4.sin_family = AF_INET;
		ret->in4.sin_port = htons(e->port);
		memcpy(&ret->in4.sin_addr, e->ip.b, 4);
		return sizeof(ret->in4);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(e->port);
	memcpy(&ret->in6.sin6_addr, e->ip.b, 16);
	return sizeof(ret->in6);
}

static struct endpoint to_endpoint(const union sock_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return (struct endpoint){ ip_from_raw(bytes_of(&a->in4.sin_addr, 4)),
					  ntohs(a->in4.sin_port) };
	if (a->sa.sa_family == AF_INET6)
		return (struct endpoint){ ip_from_raw(BYTES_OF(a->in6.sin6_addr.s6_addr)),
					  ntohs(a->in6.sin6_port) };
	return (struct endpoint){ 0 };
}

/* ---- options ------------------------------------------------------------------------------- */

static bool set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

static void set_buffers(int fd)
{
	if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER))
		set(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	if (!set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER))
		set(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
}

/* GRO may be missing, the rest may not: without packet info answers come from the wrong address,
 * without the error queue nothing is learnt of the path. */
enum status udp_prepare(const struct dp_user_socket *s, struct text *why)
{
	bool ok;

	if (s->local.ip.family == 4)
		ok = set(s->fd, IPPROTO_IP, IP_PKTINFO, 1) &&
		     set(s->fd, IPPROTO_IP, IP_RECVTOS, 1) &&
		     set(s->fd, IPPROTO_IP, IP_RECVERR, 1) &&
		     set(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	else
		ok = set(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
		     set(s->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
		     set(s->fd, IPPROTO_IPV6, IPV6_RECVERR, 1) &&
		     set(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	if (!ok) {
		text_fmt(why, "cannot prepare a UDP socket: %s", strerror(errno));
		return ST_IO;
	}
	set(s->fd, IPPROTO_UDP, UDP_GRO, 1);
	set_buffers(s->fd);
	return ST_OK;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void put_cmsg(struct msghdr *h, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c =
		(struct cmsghdr *)(void *)((uint8_t *)h->msg_control + h->msg_controllen);

	*c = (struct cmsghdr){ .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(n) };
	memcpy(CMSG_DATA(c), data, n);
	h->msg_controllen += CMSG_SPACE(n);
}

/* The source address and the device, where the socket could have several. */
static void put_source(struct msghdr *h, const struct ip *from, int device)
{
	struct in_pktinfo i4 = { .ipi_ifindex = device };
	struct in6_pktinfo i6 = { .ipi6_ifindex = (unsigned)device };

	if (from->family == 4) {
		memcpy(&i4.ipi_spec_dst, from->b, 4);
		put_cmsg(h, IPPROTO_IP, IP_PKTINFO, &i4, sizeof(i4));
	} else {
		/* The kernel heeds the device only where it may choose the source, which is this
		 * one: whoever named the device has seen to that. */
		if (!device)
			memcpy(&i6.ipi6_addr, from->b, 16);
		put_cmsg(h, IPPROTO_IPV6, IPV6_PKTINFO, &i6, sizeof(i6));
	}
}

static void build(struct queue *q, const struct tx_message *m, struct mmsghdr *mm,
		  struct udp_out *o)
{
	struct msghdr *h = &mm->msg_hdr;
	int device = atomic_load_explicit(&m->path->device, memory_order_relaxed);
	int ds = m->ds;
	uint16_t size = (uint16_t)m->size;

	o->iov = (struct iovec){ q->tx.buf + m->at, m->n };
	*h = (struct msghdr){ .msg_name = &o->to,
			      .msg_namelen = to_sockaddr(&m->path->remote, &o->to),
			      .msg_iov = &o->iov,
			      .msg_iovlen = 1,
			      .msg_control = o->control };
	if (!ip_is_any(&m->path->local.ip) &&
	    (device || ip_is_any(&q->u->socket[m->socket].local.ip)))
		put_source(h, &m->path->local.ip, device);
	if (ds && m->path->remote.ip.family == 4)
		put_cmsg(h, IPPROTO_IP, IP_TOS, &ds, sizeof(ds));
	else if (ds)
		put_cmsg(h, IPPROTO_IPV6, IPV6_TCLASS, &ds, sizeof(ds));
	if (m->packets > 1)
		put_cmsg(h, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
	if (!h->msg_controllen)
		h->msg_control = NULL;
}

static uint32_t outer_size(const struct tx_message *m)
{
	return m->size + UDP_HDR_LEN +
	       (m->path->remote.ip.family == 4 ? WIRE_IP4_HDR_LEN : WIRE_IP6_HDR_LEN);
}

enum verdict {
	RETRY,
	SINGLY,
	FRAGMENT, /* larger than the path, as we know now: this one need not be lost for it */
	GIVE_UP,
};

/* Sealed when less was known of its path. */
static bool outgrown(const struct queue *q, const struct tx_message *m)
{
	return !m->fragment && outer_size(m) > pmtu_outer(q, m->path);
}

/* EMSGSIZE is about this message, which is larger than the way out, or about an earlier one, of
 * which ICMP said so: that is told once, by the next message, whoever it goes to.  Only the error
 * queue knows which.  Nothing is concluded from the size of a message that may just have come along
 * then: forged ICMP could lower every path, and below the floor of what it may say itself. */
static enum verdict too_big(struct queue *q, const struct tx_message *m, unsigned tries)
{
	bool told = udp_errors(q, (size_t)m->socket);

	if (!outgrown(q, m) && tries < (told ? TOLD_TRIES : 1))
		return RETRY;
	if (m->packets > 1)
		return SINGLY;
	if (!m->fragment)
		return FRAGMENT;
	count(q, C_TX_ERROR, 1);
	return GIVE_UP;
}

/* Waiting holds up everybody, both ways, so it is done once: until the socket takes something
 * again, what finds it full is dropped, as a router would. */
static enum verdict wait_for_room(struct queue *q, const struct tx_message *m, unsigned tries)
{
	struct pollfd p = { .fd = q->u->socket[m->socket].fd, .events = POLLOUT };

	if (tries < FULL_TRIES && !q->io->stuck[m->socket]) {
		poll(&p, 1, FULL_WAIT_MS);
		return RETRY;
	}
	q->io->stuck[m->socket] = true;
	count(q, C_TX_FULL, m->packets);
	return GIVE_UP;
}

/* What to do about a message that was not taken. */
static enum verdict judge(struct queue *q, const struct tx_message *m, int err, unsigned tries)
{
	switch (err) {
	case EINTR: return RETRY;
	case EAGAIN: return wait_for_room(q, m, tries);
	case ENOBUFS: /* the queue of a device: nothing says when it has room, part may be out */
		count(q, C_TX_FULL, m->packets);
		return GIVE_UP;
	case EMSGSIZE: return too_big(q, m, tries);
	case EINVAL: /* older kernels say so when a segment exceeds the MTU */
		if (m->packets > 1)
			return SINGLY;
		break;
	case EIO: /* the way out cannot do checksums for segments */
	case EOPNOTSUPP:
	case ENOPROTOOPT:
		if (m->packets == 1)
			break;
		atomic_store_explicit(&q->u->no_gso[m->socket], true, memory_order_relaxed);
		return SINGLY;
	default: /* perhaps the error of an earlier datagram: it is told once */
		if (!tries)
			return RETRY;
		break;
	}
	count(q, C_TX_ERROR, m->packets);
	return GIVE_UP;
}

static void send_otherwise(struct queue *q, const struct tx_message *m, enum verdict v);

/* One message by itself. */
static void send_alone(struct queue *q, const struct tx_message *m)
{
	struct udp_out o;
	struct mmsghdr mm;

	build(q, m, &mm, &o);
	for (unsigned tries = 0;; tries++) {
		enum verdict v;

		count(q, C_TX_SYSCALLS, 1);
		if (sendmsg(q->u->socket[m->socket].fd, &mm.msg_hdr, MSG_DONTWAIT) >= 0) {
			q->io->stuck[m->socket] = false;
			return;
		}
		v = judge(q, m, errno, tries);
		if (v == RETRY)
			continue;
		send_otherwise(q, m, v);
		return;
	}
}

/* DF is a property of the socket only; what other threads send meanwhile is merely more tolerant.
 */
static void send_fragmentable(struct queue *q, const struct tx_message *m)
{
	int fd = q->u->socket[m->socket].fd;
	bool v4 = m->path->remote.ip.family == 4;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	int name = v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
	struct tx_message may = *m;

	may.fragment = true;
	if (!m->fragment)
		count(q, C_TX_TOO_BIG, 1);
	set(fd, level, name, v4 ? IP_PMTUDISC_DONT : IPV6_PMTUDISC_DONT);
	send_alone(q, &may);
	set(fd, level, name, v4 ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE);
}

static void send_singly(struct queue *q, const struct tx_message *m)
{
	for (uint32_t at = 0; at < m->n; at += m->size) {
		struct tx_message one = *m;

		one.at = m->at + at;
		one.n = m->n - at < m->size ? m->n - at : m->size;
		one.size = one.n;
		one.packets = 1;
		if (one.fragment || outgrown(q, &one))
			send_fragmentable(q, &one);
		else
			send_alone(q, &one);
	}
}

static void send_otherwise(struct queue *q, const struct tx_message *m, enum verdict v)
{
	if (v == SINGLY)
		send_singly(q, m);
	else if (v == FRAGMENT)
		send_fragmentable(q, m);
}

/* How many of them, from the first on, go the same way and with DF. */
static size_t run_length(const struct queue *q, const struct tx_message *m, size_t n)
{
	size_t i = 0;

	while (i < n && m[i].socket == m->socket && !m[i].fragment && !outgrown(q, &m[i]))
		i++;
	return i;
}

/* Messages of one socket, as many at a time as the kernel takes.  Returns how many are dealt with:
 * up to the first that is too large for its path, as it turns out meanwhile. */
static size_t send_run(struct queue *q, const struct tx_message *m, size_t n)
{
	struct udp_io *io = q->io;
	unsigned tries = 0;
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		build(q, &m[i], &io->tx_hdr[i], &io->tx[i]);
	while (at < n) {
		int sent = sendmmsg(q->u->socket[m->socket].fd, io->tx_hdr + at, (unsigned)(n - at),
				    MSG_DONTWAIT);
		enum verdict v;

		count(q, C_TX_SYSCALLS, 1);
		if (sent > 0) {
			at += (size_t)sent;
			tries = 0;
			io->stuck[m->socket] = false;
			continue;
		}
		v = judge(q, &m[at], errno, tries++);
		if (v != RETRY) {
			send_otherwise(q, &m[at++], v);
			tries = 0;
		}
		if (v != GIVE_UP) /* more may be known of the path */
			n = at + run_length(q, m + at, n - at);
	}
	return n;
}

void udp_send(struct queue *q, const struct tx_message *m, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t run = run_length(q, m + i, n - i);

		if (run)
			i += send_run(q, m + i, run);
		else
			send_singly(q, &m[i++]);
	}
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void read_cmsg(const struct cmsghdr *c, struct rx_from *from, size_t *size)
{
	struct in_pktinfo i4;
	struct in6_pktinfo i6;
	int v;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&i4, CMSG_DATA(c), sizeof(i4));
		from->local.ip = ip_from_raw(bytes_of(&i4.ipi_addr, 4));
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&i6, CMSG_DATA(c), sizeof(i6));
		from->local.ip = ip_from_raw(BYTES_OF(i6.ipi6_addr.s6_addr));
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		from->ds = *CMSG_DATA(c);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		from->ds = (uint8_t)v;
	} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		if (v > 0)
			*size = (size_t)v;
	}
}

/* A message is a run of datagrams of one size, the last perhaps shorter. */
static void split(struct queue *q, size_t socket, size_t i)
{
	struct msghdr *h = &q->io->rx_hdr[i].msg_hdr;
	struct rx_from *from = &q->rx.from[i];
	uint8_t *data = q->rx.bufs + i * RX_BUFFER;
	size_t n = q->io->rx_hdr[i].msg_len;
	size_t size = n;

	*from = (struct rx_from){ .local = q->u->socket[socket].local,
				  .remote = to_endpoint(&q->io->rx[i].from) };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		read_cmsg(c, from, &size);
	if (h->msg_flags & MSG_TRUNC) {
		count(q, C_RX_BAD, 1);
		return;
	}
	do {
		size_t k = n < size ? n : size;

		rx_datagram(q, from, data, k);
		data += k;
		n -= k;
	} while (n);
}

static void rx_arm(struct queue *q)
{
	struct udp_io *io = q->io;

	for (size_t i = 0; i < RX_MESSAGES; i++) {
		io->rx[i].iov = (struct iovec){ q->rx.bufs + i * RX_BUFFER, RX_BUFFER };
		io->rx_hdr[i].msg_hdr = (struct msghdr){ .msg_name = &io->rx[i].from,
							 .msg_namelen = sizeof(io->rx[i].from),
							 .msg_iov = &io->rx[i].iov,
							 .msg_iovlen = 1,
							 .msg_control = io->rx[i].control,
							 .msg_controllen = CONTROL_RX };
	}
}

void udp_receive(struct queue *q, size_t socket)
{
	for (unsigned round = 0; round < RX_ROUNDS; round++) {
		int n;

		rx_arm(q);
		n = recvmmsg(q->u->socket[socket].fd, q->io->rx_hdr, RX_MESSAGES, MSG_DONTWAIT,
			     NULL);
		count(q, C_RX_SYSCALLS, 1);
		if (n < 0 && errno != EAGAIN && errno != EBADF)
			continue; /* the error of an earlier datagram, told once */
		if (n <= 0)
			return;
		for (int i = 0; i < n; i++)
			split(q, socket, (size_t)i);
		rx_flush(q);
		tun_flush(q);
		if (n < RX_MESSAGES)
			return;
	}
}

/* ---- errors -------------------------------------------------------------------------------- */

/* That nobody is there is not authenticated, and so no more than a reason to ask. */
static void unreachable(struct queue *q, const struct endpoint *remote)
{
	const struct dp_report r = { .kind = DP_REPORT_UNREACHABLE,
				     .u.unreachable = { .remote = *remote } };

	if (dp_bucket_take(&q->unreachable, q->now_ns, UNREACHABLE_PER_S))
		queue_report(q, &r);
}

static void read_error(struct queue *q, const struct msghdr *h, const struct endpoint *remote,
		       size_t size)
{
	for (const struct cmsghdr *c = CMSG_FIRSTHDR(h); c;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)h, (struct cmsghdr *)(uintptr_t)c)) {
		struct sock_extended_err e;

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		if (c->cmsg_len < CMSG_LEN(sizeof(e)))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		if (e.ee_errno == EMSGSIZE)
			pmtu_learn(q, remote, e.ee_info, (uint32_t)size,
				   e.ee_origin == SO_EE_ORIGIN_LOCAL);
		else if (e.ee_origin != SO_EE_ORIGIN_LOCAL)
			unreachable(q, remote);
	}
}

bool udp_errors(struct queue *q, size_t socket)
{
	unsigned i;

	for (i = 0; i < ERRORS_PER_TURN; i++) {
		union sock_addr to = { 0 };
		uint8_t data[64];
		_Alignas(struct cmsghdr) uint8_t control[CONTROL_RX];
		struct iovec iov = { data, sizeof(data) };
		struct msghdr h = { .msg_name = &to,
				    .msg_namelen = sizeof(to),
				    .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		struct endpoint remote;
		ssize_t n = recvmsg(q->u->socket[socket].fd, &h,
				    MSG_ERRQUEUE | MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			break;
		remote = to_endpoint(&to);
		read_error(q, &h, &remote, (size_t)n);
	}
	return i > 0;
}
