/*
 * dataplane.h - the user data plane inside the daemon: the engine's operations go down, its reports
 * and the IKE datagrams that arrive on the NAT traversal port come up.
 */
#pragma once

#include <uv.h>

#include "daemon/underlay.h"
#include "daemon/uplinks.h"
#include "dp/dp.h"
#include "ike/ike.h"
#include "plat/tun.h"

struct dataplane;

/* Called in the loop's thread; views are valid during the call. */
struct dataplane_fns {
	void (*report)(void *ctx, const struct dp_report *r);
	void (*datagram)(void *ctx, const struct ike_datagram *d);
	void *ctx;
};

/* Takes over the descriptors of `tun` on success; those of `u` are duplicated. */
MUST enum status dataplane_new(const struct underlay *u, struct uplinks *uplinks,
			       struct plat_tun *tun, uint16_t mtu, struct text *why,
			       struct dataplane **ret_dataplane);
/* Stops its threads and closes the device: packets in it are gone. */
void dataplane_free(struct dataplane *d);

MUST enum status dataplane_start(struct dataplane *d, uv_loop_t *loop,
				 const struct dataplane_fns *fns);
void dataplane_stop(struct dataplane *d);

/* The device has another MTU. */
void dataplane_set_mtu(struct dataplane *d, uint16_t mtu);

/* Devices of paths are others, perhaps. */
void dataplane_reroute(struct dataplane *d);

/* A refusal is answered like any other result, by a report, at once. */
void dataplane_submit(struct dataplane *d, const struct dp_op *op);

bool dataplane_can(const struct dataplane *d, enum dp_cap cap);

/* For status. */
const char *dataplane_name(const struct dataplane *d);
bool dataplane_counter(const void *dataplane, size_t index, const char **ret_name,
		       uint64_t *ret_value);
bool dataplane_child(const struct dataplane *d, dp_child_id id, struct dp_counters *ret);
