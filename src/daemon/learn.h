/*
 * learn.h - the domain of a network that neither a bundle nor the configuration tells.
 *
 * A site offers everything as TSr, and the hub narrows that to the domain.  Where nobody has said
 * before what the domain is (certificates without address blocks, no `domain` in the network), the
 * hub that the configuration names is believed; what it said is guarded from then on, also across
 * restarts.
 */
#pragma once

#include "daemon/host.h"

/* Looks at every event; acts on a child that came up with a hub of such a network. */
void learn_event(struct host *h, const struct ike_event *ev);
