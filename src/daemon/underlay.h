/*
 * underlay.h - the outer sockets of the daemon.
 *
 * Per local address two: the IKE port, read here, and the NAT traversal port, which the data plane
 * reads (ESP stays there, IKE comes back through it) and we only send from.  All carry PLAT_MARK.
 */
#pragma once

#include <uv.h>

#include "conf/conf.h"
#include "ike/ike.h"

struct underlay;

/* ST_IO with errors at the addresses in the file. An address family that the host does not have is
 * left out if it was not asked for by name. */
MUST enum status underlay_open(const struct conf *conf, struct conf_errors *errs,
			       struct underlay **ret_underlay);
/* After the loop's last turn, or before its first. */
void underlay_free(struct underlay *u);

/* Reads the IKE ports from now on. */
typedef void underlay_fn(void *ctx, const struct ike_datagram *d);
MUST enum status underlay_start(struct underlay *u, uv_loop_t *loop, underlay_fn *fn, void *ctx);
void underlay_stop(struct underlay *u);

/* What the network says of datagrams that we sent from the IKE port; before underlay_start().  The
 * data plane hears what it says of the other one's. */
struct plat_icmp;
typedef void underlay_icmp_fn(void *ctx, const struct plat_icmp *icmp);
void underlay_on_icmp(struct underlay *u, underlay_icmp_fn *fn, void *ctx);

/* The i-th socket of the NAT traversal port: false after the last. */
bool underlay_nat_socket(const struct underlay *u, size_t i, int *ret_fd,
			 struct endpoint *ret_local);

/* A socket is bound to that address, or to any of its family. */
bool underlay_can_send(const struct underlay *u, const struct ip *from);
/* The address of the i-th pair of sockets, which may be the unspecified one; false after the last.
 */
bool underlay_address(const struct underlay *u, size_t i, struct ip *ret);

/* An ike_out SEND. */
struct underlay_send {
	struct endpoint local, remote;
	bool marker;
	bool keepalive;
	bool df; /* never to be fragmented by IP, but by our own stack */
	bool probe; /* nor by that: ST_DROP */
	struct bytes data;
	int device; /* that it leaves by; 0: routing decides */
};

MUST enum status underlay_send(struct underlay *u, const struct underlay_send *s, struct text *why);
