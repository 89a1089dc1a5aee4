/*
 * hostnet.h - what the host's network says about our configuration: addresses, MTUs, settings.
 */
#pragma once

#include "conf/conf_creds.h"
#include "esp/esp.h"
#include "guard/guard.h"
#include "plat/netlink.h"

enum {
	HOSTNET_OUTER_MAX = 32, /* addresses of ours that peers may be told */
	HOSTNET_PEERS_MAX = 64, /* addresses of peers whose way out is looked at one by one */
};

/* The host's own addresses, without loopback, link-local and tentative ones. */
struct own_addrs {
	struct ip *v;
	size_t n;
};

/* Whether what is sent to an address arrives at this host. */
bool hostnet_is_ours(struct plat_nl *nl, const struct ip *ip);

MUST enum status hostnet_addrs(struct plat_nl *nl, struct text *why, struct own_addrs *ret_addrs);
void hostnet_addrs_done(struct own_addrs *a);

/* One that outer packets may be sent from. */
struct outer_addr {
	struct ip ip;
	int ifindex;
	struct prefix link; /* whom that device reaches without a gateway */
};

/* What of the host's addresses these are. */
struct hostnet_outer {
	int device; /* ours: its addresses are inside the tunnel */
	bool (*in_use)(void *ctx, const struct ip *ip); /* by an IKE SA */
	bool (*bound)(void *ctx, const struct ip *ip); /* a socket can send from it */
	/* Where an address is more likely to be a site's than an uplink's. */
	const struct guard_prefixes *inner[2]; /* may be NULL */
	void *ctx;
};

/*
 * Usable addresses of running devices, other than ours: not those of the sites unless they are in
 * use, and not deprecated ones while there is another of the family.  Those in use come first; of
 * the others there are as many as fit.  `ret` has HOSTNET_OUTER_MAX places.
 */
MUST enum status hostnet_outer(struct plat_nl *nl, const struct hostnet_outer *o, struct text *why,
			       struct outer_addr *ret, size_t *ret_n);

/*
 * The MTU of the inner device: what fits into the smallest packet that the way to any peer takes
 * (as far as the host can see; the data plane learns the rest), at most `mtu` of the configuration.
 * A peer without a fixed address may come from anywhere: all devices with addresses, but for
 * `device`, count.  So they do when there are more than HOSTNET_PEERS_MAX addresses, or there is no
 * way to any peer now, unless it was `known` (not 0) before.  `creds` may be NULL where there are
 * no networks.
 */
uint16_t hostnet_mtu(struct plat_nl *nl, const struct conf *conf, const struct conf_creds *creds,
		     int device, uint16_t known);

/* The largest inner packet in an outer one of `outer` bytes: IP, UDP, and what a cipher of that
 * shape puts around it (RFC 4303, RFC 3948). */
uint16_t hostnet_inner_mtu(uint32_t outer, uint8_t family, const struct esp_shape *shape);

/* Settings of the kernel that will get in the way; one text each. */
typedef void hostnet_warn_fn(void *ctx, const char *text);
void hostnet_check(const struct conf *conf, const struct conf_creds *creds,
		   const struct own_addrs *own, hostnet_warn_fn *fn, void *ctx);
