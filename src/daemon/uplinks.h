/*
 * uplinks.h - which device a packet from one of several uplinks leaves by.
 *
 * The kernel looks at the destination: with two default routes everything goes out by the better
 * one, whatever its source address.  Where MOBIKE tries the other uplink's address, because nobody
 * answers by the first, that is no try; so a packet whose source is the address of another device
 * than the one it would leave by leaves by its own, if a route leads there.  Where there is one
 * uplink, or rules by source (ip-rule(8)) see to it already, routing decides alone.
 */
#pragma once

#include "daemon/hostnet.h"

struct uplinks;

/* `nl` is used as long as it lives. */
MUST enum status uplinks_new(struct plat_nl *nl, struct uplinks **ret_uplinks);
void uplinks_free(struct uplinks *u);

/* These are the outer addresses, and routes may have changed. */
void uplinks_changed(struct uplinks *u, const struct outer_addr *v, size_t n);

/* More than one device has outer addresses of a family; or was so before the last change. */
bool uplinks_several(const struct uplinks *u);

/* The device; 0: the one that routing says. */
int uplinks_device(struct uplinks *u, const struct ip *from, const struct ip *to);
