/*
 * child.h - processes that the daemon forks before it has anything to inherit, each with one socket
 * to it.  They end when the socket closes, and in no other way.
 */
#pragma once

#include "base/base.h"

/* The descriptor that a child keeps, besides the standard three. */
enum { PLAT_CHILD_FD = 3 };

/* Forks, with a pair of sockets (SOCK_STREAM, SOCK_SEQPACKET) in between; the child runs `run`,
 * whose result is its exit code, with its end at PLAT_CHILD_FD and nothing else open but standard
 * error, for a last word of the C library.  It ignores the signals that mean the daemon.  `st`:
 * whether all that could be done, else `why`.  `name` is what ps(1) shows. */
typedef int plat_child_fn(enum status st, struct text *why);
MUST enum status plat_child_fork(const char *name, int type, plat_child_fn *run, struct text *why,
				 int *ret_fd, int *ret_pid);

/* Until it has ended, but no longer than `ms`: it closes its socket a moment before. */
void plat_child_await(int pid, int ms);
