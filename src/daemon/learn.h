/*
 * learn.h - what hubs tell and is kept over restarts, in the state directory.
 *
 * NETWORK.hubs: where other hubs are (docs/protocol/shortcut.md section 9.1), the data of a HUBS
 * word.  Whichever of them is there suffices to begin.
 *
 * NETWORK.domain: the domain of a network that neither a bundle nor the configuration tells.
 *
 * A site offers everything as TSr, and the hub narrows that to the domain.  Where nobody has said
 * before what the domain is (certificates without address blocks, no `domain` in the network), the
 * hub that the configuration names is believed; what it said is guarded from then on, also across
 * restarts.
 */
#pragma once

#include "daemon/host.h"

/* Hubs that were known before, for the mesh, which is new. */
void learn_begin(struct host *h);
/* Looks at every event; acts on a child that came up with a hub of such a network, and on hubs that
 * are others now. */
void learn_event(struct host *h, const struct ike_event *ev);
