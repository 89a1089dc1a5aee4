/*
 * plat.h - Linux, as the daemon needs it: the only module (with dp/ and ctl/) that makes system
 * calls.
 *
 *	clock.h     what `struct now` is made of
 *	process.h   network namespaces, hardening, sysctls, random bytes
 *	sandbox.h   another user, fewer capabilities, a filter of system calls
 *	loop.h      descriptors, deadlines, signals and slow work on a libuv loop
 *	udp.h       the outer sockets
 *	tun.h       the inner device
 *	netlink.h   links, addresses, routes, rules
 *	resolve.h   host names
 *
 * Namespaces: every call that touches the network takes a descriptor of the network namespace it
 * acts in, or PLAT_NS_HERE.  The calling thread enters it for the length of the call only; what was
 * opened there stays there.
 *
 * Errors: ST_IO with `why` (appended to, never overwritten) saying what was tried on what, and the
 * operating system's reason; netlink adds the kernel's extended acknowledgement.  Nothing here
 * logs.
 *
 */
#pragma once

#include "plat/clock.h"
#include "plat/loop.h"
#include "plat/netlink.h"
#include "plat/process.h"
#include "plat/resolve.h"
#include "plat/tun.h"
#include "plat/udp.h"
