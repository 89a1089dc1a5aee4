/*
 * dp_user.h - the userspace data plane: TUN on one side, UDP 4500 on the other.
 *
 * Threads, ownership and publication are described in user.c.  The host opens all descriptors (in
 * whatever network namespace and with whatever privileges it likes) and hands them over; the data
 * plane never opens one.  TUN descriptors carry a virtio-net header (IFF_VNET_HDR, 10 bytes) unless
 * `tun_plain`; any packet-oriented descriptor will do, so tests use socket pairs.
 *
 * IKE datagrams that arrive on the UDP sockets (non-ESP marker) are queued for the host:
 * dp_user_ike().  To send IKE from port 4500 the host writes to the same sockets itself.
 */
#pragma once

#include "dp/dp.h"

enum {
	DP_USER_MAX_QUEUES = 8,
	DP_USER_MAX_SOCKETS = 8,
};

struct dp_user_socket {
	int fd;               /* UDP, non-blocking, packet info and (if it can) GRO enabled */
	struct endpoint local; /* as bound; the port matters */
};

struct dp_user_params {
	const struct alloc *mem;
	unsigned queues; /* threads; TUN descriptors, one each */
	int tun[DP_USER_MAX_QUEUES];
	bool tun_plain;
	size_t n_sockets; /* shared by all queues, or one per queue and address with reuseport */
	struct dp_user_socket sockets[DP_USER_MAX_SOCKETS];
	uint16_t mtu; /* inner MTU of the TUN */
};

/* Takes over the descriptors (closes them in free) on success only. */
MUST enum status dp_user_new(const struct dp_user_params *p, struct text *why, struct dp **ret_dp);

struct dp_user_datagram {
	struct endpoint local;
	struct endpoint remote;
	size_t n;
	uint8_t data[65536]; /* without the non-ESP marker */
};

/* Next IKE datagram, false when there is none; dp's fd signals these too. */
bool dp_user_ike(struct dp *dp, struct dp_user_datagram *ret);
