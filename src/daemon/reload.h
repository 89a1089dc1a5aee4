/*
 * reload.h - reading the configuration again while tunnels are up.
 *
 * The file and everything it names is read, checked and held against what runs; then, unless it is
 * a rehearsal, adopted as a whole: block first, then secrets, then the engine, which leaves alone
 * what did not change and replaces make-before-break what can be replaced so (mesh_reconfigure()).
 * What only a restart can change stays as it was, and is said.  A file with an error changes
 * nothing.
 */
#pragma once

#include "daemon/host.h"

/*
 * {"changes": [{"change": "hot", "section": "peer \"b\"", "text": "dpd_delay: 30s -> 10s"}...],
 *  "applied": true, "restart": false} or {"errors": ["file:line:col: ..."], "applied": false}.
 * NULL with `error`: it could not be tried.
 */
json_t *reload_run(struct host *h, bool dry_run, struct text *error);

/* SIGHUP: the same, into the log. */
void reload_logged(struct host *h);
