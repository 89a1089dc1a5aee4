/*
 * hostnet.h - what the host's network says about our configuration: addresses, MTUs, settings.
 */
#pragma once

#include "conf/conf_creds.h"
#include "esp/esp.h"
#include "plat/netlink.h"

/* The host's own addresses, without loopback and link-local ones. */
struct own_addrs {
	struct ip *v;
	size_t n;
};

MUST enum status hostnet_addrs(struct plat_nl *nl, struct text *why, struct own_addrs *ret_addrs);
void hostnet_addrs_done(struct own_addrs *a);

/*
 * The MTU of the inner device: what fits into the smallest packet that the way to any peer takes
 * (as far as the host can see; the data plane learns the rest), at most `mtu` of the configuration.
 * A peer without a fixed address may come from anywhere: all devices with addresses count.  So they
 * do when there is no way to any peer now, unless it was `known` (not 0) before.  `creds` may be
 * NULL where there are no networks.
 */
uint16_t hostnet_mtu(struct plat_nl *nl, const struct conf *conf, const struct conf_creds *creds,
		     uint16_t known);

/* The largest inner packet in an outer one of `outer` bytes: IP, UDP, and what a cipher of that
 * shape puts around it (RFC 4303, RFC 3948). */
uint16_t hostnet_inner_mtu(uint32_t outer, uint8_t family, const struct esp_shape *shape);

/* Settings of the kernel that will get in the way; one text each. */
typedef void hostnet_warn_fn(void *ctx, const char *text);
void hostnet_check(const struct conf *conf, const struct conf_creds *creds,
		   const struct own_addrs *own, hostnet_warn_fn *fn, void *ctx);
