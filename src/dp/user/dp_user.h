/*
 * dp_user.h - the userspace data plane: TUN on one side, UDP 4500 on the other.
 *
 * Threads, ownership and publication are described in internal.h.  The host opens the TUN devices
 * and sockets (in whatever network namespace and with whatever privileges it likes) and hands them
 * over; the data plane opens only event descriptors.  TUN descriptors carry a virtio-net header
 * (IFF_VNET_HDR, 10 bytes) unless `tun_plain`; any packet-oriented descriptor will do, so tests use
 * socket pairs.
 *
 * What it needs from a socket - packet info, TOS, GRO, error queue, DF without the kernel's own
 * path MTU (IP_PMTUDISC_PROBE) - it sets itself.  A host that must let IP fragment one IKE message
 * may switch DF off around its own send.
 *
 * Queues: an inbound SPI belongs to queue dp_user_queue_of(spi, queues).  With several queues the
 * host opens `queues` sockets per address with SO_REUSEPORT and attaches a program that steers by
 * the same rule; what arrives elsewhere anyway is passed on, which works but costs a copy.
 *
 * IKE datagrams that arrive on the UDP sockets (non-ESP marker) are queued for the host:
 * dp_user_ike().  To send IKE from port 4500 the host writes to the same sockets itself.
 *
 * All functions are for one thread, the host's, except that `mem` is also used by queue threads.
 */
#pragma once

#include "dp/dp.h"

enum {
	DP_USER_MAX_QUEUES = 8,
	DP_USER_MAX_SOCKETS = 16,
	DP_USER_IKE_MAX = 65535,
};

/* Random SPIs spread over the queues by themselves. */
static inline unsigned dp_user_queue_of(uint32_t spi, unsigned queues)
{
	return (spi & (DP_USER_MAX_QUEUES - 1)) % queues;
}

struct dp_user_socket {
	int fd; /* UDP, non-blocking; IPv6 sockets take IPv6 only */
	struct endpoint local; /* as bound; the address may be the unspecified one */
	unsigned queue; /* the thread that reads it */
};

struct dp_user_params {
	const struct alloc *mem; /* safe to use from several threads */
	unsigned queues; /* threads; TUN descriptors, one each */
	int tun[DP_USER_MAX_QUEUES]; /* non-blocking */
	bool tun_plain;
	size_t n_sockets;
	struct dp_user_socket sockets[DP_USER_MAX_SOCKETS];
	uint16_t mtu; /* inner MTU of the TUN */
	uint64_t hash_key[2]; /* random */
	/* The number of the device that packets along a path leave by, asked for a new path and by
	 * dp_user_reroute(); 0, or no function: routing decides. */
	int (*device)(void *ctx, const struct endpoint *local, const struct endpoint *remote);
	void *device_ctx;
};

/* Takes over the descriptors (closes them in free) on success only. */
MUST enum status dp_user_new(const struct dp_user_params *p, struct text *why, struct dp **ret_dp);

/* The TUN has another MTU from now on. */
void dp_user_set_mtu(struct dp *dp, uint16_t mtu);

/* Routes have changed: takes as long as asking for the device of each child's path. */
void dp_user_reroute(struct dp *dp);

struct dp_user_datagram {
	struct endpoint local;
	struct endpoint remote;
	size_t n;
	uint8_t data[DP_USER_IKE_MAX]; /* without the non-ESP marker */
};

/* Next IKE datagram, false when there is none; dp's fd signals these too. */
bool dp_user_ike(struct dp *dp, struct dp_user_datagram *ret);
