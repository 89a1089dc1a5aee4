/*
 * status.h - snapshots of the daemon as JSON, for the control socket (docs/control.md has the
 * shapes).  New references; NULL when out of memory.
 */
#pragma once

#include "daemon/host.h"

json_t *status_json(const struct host *h);
json_t *status_peers_json(const struct host *h);
