/*
 * confine.h - the moment at which the daemon stops being root (S4).
 *
 * Sockets, device, control socket and block are there, threads are not yet.  What remains is what a
 * gateway needs: CAP_NET_ADMIN (netlink, TUN, marks, settings of the network), CAP_NET_RAW,
 * CAP_NET_BIND_SERVICE (port 500 after an address change), and the system calls of plat/sandbox.h.
 *
 * Whom it becomes says `user` of the configuration.  The default need not exist: then it is nobody,
 * with a warning.  Who is not root stays who he is.
 */
#pragma once

#include "daemon/host.h"

/* Before anything is opened: who `h->user` is.  ST_INVAL: an error at `user`. */
MUST enum status confine_user(struct host *h, struct conf_errors *errs);
/* The state directory, for that user. */
void confine_state(struct host *h);
MUST enum status confine(struct host *h, struct text *why);
