/*
 * inner.h - what gateways gave us (IKE_OUT_INNER), in use on this host: addresses on the device,
 * the preferred source of the routes, name servers (resolved.h).
 *
 * An address is there before a route names it as its source, and goes after it.  It stays when the
 * SA that it came by is lost: who comes back gets the same again, and connections go on.  It goes
 * when the gateway gives another, when the operator takes the network down, when the configuration
 * asks for none any more, and with the daemon.
 *
 * Name servers go with the last IKE SA (RFC 8598 section 5 says so, and without them the gateway
 * itself could not be found).  There is one device and so one set of name servers: that of the
 * gateway that gave some first.
 */
#pragma once

#include <jansson.h>

#include "daemon/host.h"

struct inner;

/* The device is there: a new one, so nothing of an earlier daemon can be on it. */
MUST enum status inner_start(struct host *h);
void inner_stop(struct host *h);
void inner_free(struct host *h);

/* IKE_OUT_INNER */
void inner_out(struct host *h, const struct ike_inner *in);
/* Somebody may have taken addresses away, and with them the routes that named them as their source.
 * True: they are back. */
bool inner_network(struct host *h);
/* Another configuration is in force. */
void inner_review(struct host *h);
/* The operator takes that section's peer down. */
void inner_down(struct host *h, const char *section);

/* The addresses that the gateway of that section gave, as prefixes of one host each. */
MUST enum status inner_given(const struct host *h, const char *section, struct guard_prefixes *ret);

/* Of `status`: what was given; what became of the name servers. */
json_t *inner_json(const struct host *h);
json_t *inner_names_json(const struct host *h);
