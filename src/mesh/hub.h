/*
 * hub.h - the structures of a hub: directory.c, topology.c, suggest.c, hubs.c.
 */
#pragma once

#include "mesh/internal.h"

struct hub {
	struct network *net;
};
