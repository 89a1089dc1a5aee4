/*
 * udp.h - the outer sockets: IKE on port 500, IKE and ESP on port 4500.
 *
 * A socket has one address family (IPv6 sockets are IPv6-only, so that each address looks like
 * what it is), tells the local address of every datagram and sends from the one it is told to
 * (RFC 7296 section 2.11: answers come from where the request went).  What it sends carries a mark,
 * by which routing keeps our own packets out of the tunnel.
 */
#pragma once

#include "base/base.h"

/* The mark of outer packets (SO_MARK), and the bits of it that count. */
#define PLAT_MARK 0x57415252u
#define PLAT_MARK_MASK 0xffffffffu

struct plat_udp_conf {
	int ns;
	struct endpoint local; /* the unspecified address binds to all of its family */
	uint32_t mark; /* 0: none; needs CAP_NET_ADMIN */
	bool fixed_mtu; /* DF on everything, size errors to the sender */
	int buffer; /* bytes of receive and send buffer; 0: the system's default */
};

/* Non-blocking. `ret_local` is where it is bound, with the port the kernel chose for port 0. */
MUST enum status plat_udp_open(const struct plat_udp_conf *conf, struct text *why, int *ret_fd,
			       struct endpoint *ret_local);

enum { PLAT_UDP_MAX = 65535 };

struct plat_datagram {
	struct endpoint local; /* with the port given to plat_udp_recv() */
	struct endpoint remote;
	size_t n;
	uint8_t data[PLAT_UDP_MAX];
};

/* What a router, or the host there, or our own stack said of a datagram of ours.  Anybody can forge
 * ICMP: a hint for people, and no reason to give up. */
struct plat_icmp {
	struct endpoint remote; /* where the datagram was to go; without port by our own stack */
	struct ip from; /* who says so; family 0: not told */
	const char *text; /* "port unreachable"; NULL: our own stack, about the size */
	/* It was too big, IP packets of that size are not: of ICMP no less than every network
	 * carries.  0: that is not what is said. */
	uint16_t mtu;
};

/* Takes the next such word off the socket; false when there is none. */
bool plat_udp_icmp(int fd, struct plat_icmp *ret);

/* Next datagram; ST_AGAIN when there is none now. ICMP errors that plat_udp_icmp() was not asked
 * for are taken off the socket and forgotten: IKE has its own timers. */
MUST enum status plat_udp_recv(int fd, uint16_t local_port, struct plat_datagram *ret);

/* Sends `head` and `data` as one datagram from address `from`. */
struct plat_udp_out {
	struct ip from;
	struct endpoint to;
	struct bytes head;
	struct bytes data;
	bool whole; /* in no more than one IP packet, or not at all: ST_DROP */
	/* The device that it leaves by; 0: routing decides.  Of IPv6 the kernel heeds it only where it
	 * may choose the source itself, which `from` has to be then. */
	int ifindex;
};

/*
 * ST_AGAIN: the send buffer is full, the datagram is lost as any other may be.
 * On a `fixed_mtu` socket a datagram may be too big for the path though IKE needs it whole
 * (certificates, and a peer without RFC 7383): `fragment` lets IP fragment this one.  One that our
 * own stack finds too big goes in fragments of IP all the same; plat_udp_icmp() tells.
 */
MUST enum status plat_udp_send(int fd, const struct plat_udp_out *out, bool fragment,
			       struct text *why);

/* Conversions; the other families give an endpoint of family 0. */
struct sockaddr;
struct sockaddr_storage;
size_t plat_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret);
struct endpoint plat_endpoint(const struct sockaddr *sa);
