/*
 * translate.h - the configuration as people write it (conf.h) to the one the engine runs (ike.h).
 *
 * Everything was checked before, by conf_open(): all that can fail here is memory.
 *
 * A network becomes one peer of the engine with the network's name: of role HUB for a site and for
 * an endpoint, which asks for inner addresses of the domain's families; of role MEMBERS for a hub,
 * and after it one of role HUB for each other hub, with the name "network/hub".  A site that is
 * attached to all of its hubs has one for each: the first as above, the others "network/hub".  The
 * peers of the file come first, in its order, then the networks.
 *
 * Ids name peers across reloads.  Whoever has the name and role of a peer of the snapshot before
 * has its id; everybody else gets one that no snapshot of this chain had, since whatever was told
 * about an id (to the data plane, to who watches events) was about somebody else.
 */
#pragma once

#include "conf/conf_creds.h"
#include "ike/ike.h"
#include "mesh/mesh.h"

/* `previous` is what translate() made before, and the engine runs; NULL at the start.  The snapshot
 * holds a reference to `conf` and to the store of `creds`, and none to `creds` or `previous`. */
MUST enum status translate(struct conf *conf, const struct conf_creds *creds,
			   const struct ike_conf *previous, struct ike_conf **ret_conf);

/* What the mesh around the engine gets: a part of the same snapshot. */
const struct mesh_conf *translate_mesh_of(const struct ike_conf *conf);

/* Before the engine has it: these are the host's own addresses, which nobody else gets. */
MUST enum status translate_own(struct ike_conf *conf, const struct ip *own, size_t n);
