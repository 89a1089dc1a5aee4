/*
 * process.h - the process itself: namespaces, hardening, kernel settings, random bytes.
 */
#pragma once

#include "base/base.h"

/* The namespace the caller is in. */
#define PLAT_NS_HERE (-1)

/*
 * Enters a network namespace with the calling thread; plat_ns_leave() returns to the one before.
 * They nest.  A thread that cannot return would go on in the wrong network: the process aborts.
 */
struct plat_ns {
	int before; /* -1: nothing to undo */
};

MUST enum status plat_ns_enter(int ns, struct text *why, struct plat_ns *ret_ns);
void plat_ns_leave(struct plat_ns *ns);

/* No core dumps, no ptrace by our own user: keys are in this memory. */
MUST enum status plat_harden(struct text *why);

/* A setting below /proc/sys/net of a namespace, e.g. "ipv4/ip_forward". ST_IO when there is none.
 */
MUST enum status plat_sysctl_get(int ns, const char *path, long *ret_value);
MUST enum status plat_sysctl_set(int ns, const char *path, long value, struct text *why);

/* For seeding hash tables; never fails on Linux once the pool is initialised. */
void plat_random(void *buf, size_t n);

/* Appends ": " and the reason of an errno value. */
void plat_errno(struct text *why, int err);
