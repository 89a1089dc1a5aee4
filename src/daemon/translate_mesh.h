/*
 * translate_mesh.h - topology, groups and rules, and what a site takes, for the mesh (mesh.h).
 */
#pragma once

#include "conf/conf_creds.h"
#include "mesh/mesh.h"

/* The sections of role HUB that follow a network's first (translate.h). */
size_t translate_others(const struct conf_network *n, const struct conf_network_creds *c);
/* `ike` has its sections and their ids already.  Everything that is no part of `conf` goes into the
 * arena. */
MUST enum status translate_mesh(struct arena *ar, const struct conf *conf,
				const struct conf_creds *creds, struct ike_conf *ike,
				struct mesh_conf *ret);
