/*
 * sandbox.h - giving up what is not needed any more: identity, capabilities, system calls (S4).
 *
 * Order, in either process: open and make what needs root; plat_become() or plat_drop_caps(); then
 * plat_seccomp(); then threads.  Nothing of it can be undone.
 *
 * The filters let through what the process does, and answer the rest with EPERM: a library that
 * tries something new gets an error it can deal with, and the kernel logs the call (audit, or dmesg
 * where there is no auditd), so that it can be found.  Calls that nothing of ours can ever make and
 * that only somebody who took over the process wants (execve, ptrace, mount, loading of modules...)
 * kill it.
 *
 * Known gaps: where the kernel has no seccomp filters plat_seccomp() fails, and whether to go on is
 * the caller's decision.  Under sanitizers the filter is wider and the process can be traced: their
 * leak checker does that.
 */
#pragma once

#include <sys/types.h>

#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(undefined_behavior_sanitizer)
#define PLAT_SANITIZED 1
#endif
#endif
#ifndef PLAT_SANITIZED
#define PLAT_SANITIZED 0
#endif

/* ---- capabilities -------------------------------------------------------------------------- */

/* Bits of a set: 1 << number in capabilities(7). */
#define PLAT_CAP_DAC_READ_SEARCH (UINT64_C(1) << 2)
#define PLAT_CAP_NET_BIND_SERVICE (UINT64_C(1) << 10)
#define PLAT_CAP_NET_ADMIN (UINT64_C(1) << 12)
#define PLAT_CAP_NET_RAW (UINT64_C(1) << 13)

/* Keeps, of what this thread has, no more than `caps`: permitted and effective, nothing to be
 * inherited, nothing in the bounding set, and no program started later gets any (no_new_privs). */
MUST enum status plat_drop_caps(uint64_t caps, struct text *why);

/* ---- identity ------------------------------------------------------------------------------ */

struct plat_user {
	uid_t uid;
	gid_t gid;
};

/* ST_INVAL: there is no such user.  Asks the name service, before the sandbox. */
MUST enum status plat_user_find(const char *name, struct plat_user *ret_user);

/* The kernel's overflow ids, which own nothing. */
#define PLAT_USER_NOBODY ((struct plat_user){ 65534, 65534 })

/* The process becomes `user`, without other groups, with `caps` as above.  Of a process that is not
 * root's only the capabilities change. */
MUST enum status plat_become(const struct plat_user *user, uint64_t caps, struct text *why);

/* A directory that `user` may write to: made if it is not there (its parent is).  One that exists
 * is given to him if it is root's and has nothing in it but files whose names end in one of `ours`;
 * any other is left as it is, and whoever uses it will see. */
MUST enum status plat_give_dir(const char *path, const char *const *ours,
			       const struct plat_user *user, mode_t mode, struct text *why);

/* ---- system calls -------------------------------------------------------------------------- */

enum plat_seccomp {
	PLAT_SECCOMP_DAEMON, /* sockets of the families it needs, threads, files by permission */
	PLAT_SECCOMP_SIGNER, /* reads files, talks over what is open, computes */
	PLAT_SECCOMP_BUS, /* connects to local sockets, and opens nothing else */
};

/* For all threads of the process. */
MUST enum status plat_seccomp(enum plat_seccomp which, struct text *why);
