/*
 * seccomp.c - the filters of sandbox.h, as tables.
 */
#include "plat/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* What any C program does, also at its end. */
static const char *const common[] = { "brk",
				      "clock_getres",
				      "clock_gettime",
				      "clock_nanosleep",
				      "close",
				      "dup",
				      "exit",
				      "exit_group",
				      "fadvise64",
				      "fcntl",
				      "fstat",
				      "fstat64",
				      "futex",
				      "futex_time64",
				      "getegid",
				      "geteuid",
				      "getgid",
				      "getpid",
				      "getppid",
				      "getrandom",
				      "getrusage",
				      "gettid",
				      "gettimeofday",
				      "getuid",
				      "lseek",
				      "_llseek",
				      "lstat",
				      "madvise",
				      "membarrier",
				      "mremap",
				      "munmap",
				      "nanosleep",
				      "newfstatat",
				      "fstatat64",
				      "poll",
				      "ppoll",
				      "pread64",
				      "read",
				      "readv",
				      "restart_syscall",
				      "rseq",
				      "rt_sigaction",
				      "rt_sigprocmask",
				      "rt_sigreturn",
				      "sched_getaffinity",
				      "sched_yield",
				      "set_robust_list",
				      "sigaltstack",
				      "stat",
				      "stat64",
				      "statx",
				      "sysinfo",
				      "tgkill",
				      "time",
				      "uname",
				      "write",
				      "writev",
				      NULL };

/* The event loop, threads, sockets, netlink, the TUN, name services, files it may write. */
static const char *const daemon_calls[] = { "accept",
					    "accept4",
					    "access",
					    "adjtimex",
					    "arch_prctl",
					    "bind",
					    "capget",
					    "chdir",
					    "chmod",
					    "clock_adjtime",
					    "close_range",
					    "connect",
					    "dup2",
					    "dup3",
					    "epoll_create",
					    "epoll_create1",
					    "epoll_ctl",
					    "epoll_pwait",
					    "epoll_pwait2",
					    "epoll_wait",
					    "eventfd2",
					    "faccessat",
					    "faccessat2",
					    "fallocate",
					    "fchmod",
					    "fchmodat",
					    "fchown",
					    "fdatasync",
					    "flock",
					    "fstatfs",
					    "fsync",
					    "ftruncate",
					    "getcpu",
					    "getcwd",
					    "getdents64",
					    "getgroups",
					    "getpeername",
					    "getpriority",
					    "getsockname",
					    "getsockopt",
					    "get_mempolicy",
					    "inotify_add_watch",
					    "inotify_init1",
					    "inotify_rm_watch",
					    "ioctl",
					    "link",
					    "linkat",
					    "listen",
					    "mkdir",
					    "mkdirat",
					    "mlock",
					    "mmap",
					    "mmap2",
					    "mprotect",
					    "open",
					    "openat",
					    "pidfd_open",
					    "pipe",
					    "pipe2",
					    "prctl",
					    "prlimit64",
					    "pselect6",
					    "pwrite64",
					    "pwritev",
					    "readlink",
					    "readlinkat",
					    "recvfrom",
					    "recvmmsg",
					    "recvmsg",
					    "rename",
					    "renameat",
					    "renameat2",
					    "rmdir",
					    "rt_sigtimedwait",
					    "sched_getparam",
					    "sched_getscheduler",
					    "sched_setaffinity",
					    "sched_setscheduler",
					    "select",
					    "sendmmsg",
					    "sendmsg",
					    "sendto",
					    "setpriority",
					    "setsockopt",
					    "shutdown",
					    "signalfd4",
					    "socketpair",
					    "statfs",
					    "timerfd_create",
					    "timerfd_gettime",
					    "timerfd_settime",
					    "umask",
					    "unlink",
					    "unlinkat",
					    "wait4",
					    "waitid",
					    NULL };

/* The control socket is removed by it. */
static const char *const signer_calls[] = { "unlink", "unlinkat", NULL };

/* Of the sanitizers' runtimes: reports, the leak checker's thread that looks at the others. */
static const char *const sanitizer_calls[] = { "arch_prctl",
					       "clone",
					       "getdents64",
					       "ioctl",
					       "mmap",
					       "mprotect",
					       "open",
					       "openat",
					       "personality",
					       "prctl",
					       "prlimit64",
					       "process_vm_readv",
					       "ptrace",
					       "readlink",
					       "readlinkat",
					       "sched_getparam",
					       "sched_getscheduler",
					       "wait4",
					       NULL };

/* Nothing of ours ever asks for them: whoever does is not us. */
static const char *const deadly[] = { "add_key",
				      "bpf",
				      "chroot",
				      "create_module",
				      "delete_module",
				      "execve",
				      "execveat",
				      "finit_module",
				      "fsconfig",
				      "fsmount",
				      "init_module",
				      "io_uring_setup",
				      "ioperm",
				      "iopl",
				      "kexec_file_load",
				      "kexec_load",
				      "keyctl",
				      "mount",
				      "move_mount",
				      "open_by_handle_at",
				      "open_tree",
				      "perf_event_open",
				      "pivot_root",
				      "process_vm_readv",
				      "process_vm_writev",
				      "ptrace",
				      "reboot",
				      "request_key",
				      "setns",
				      "swapoff",
				      "swapon",
				      "umount",
				      "umount2",
				      "unshare",
				      "userfaultfd",
				      NULL };

/* A name that this machine or libseccomp does not know cannot be called either. */
static int add(scmp_filter_ctx f, uint32_t action, const char *name, unsigned n,
	       const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(f, action, nr, n, args);
}

static int add_all(scmp_filter_ctx f, uint32_t action, const char *const *names)
{
	int err = 0;

	for (size_t i = 0; names[i] && !err; i++)
		err = add(f, action, names[i], 0, NULL);
	return err;
}

static bool listed(const char *const *names, const char *name)
{
	for (size_t i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static int add_deadly(scmp_filter_ctx f)
{
	int err = 0;

	for (size_t i = 0; deadly[i] && !err; i++)
		if (!SANITIZED || !listed(sanitizer_calls, deadly[i]))
			err = add(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0, NULL);
	return err;
}

/* Arguments by value: no flag of `bad` may be set. */
static int add_without(scmp_filter_ctx f, const char *name, unsigned arg, uint64_t bad)
{
	const struct scmp_arg_cmp a = { arg, SCMP_CMP_MASKED_EQ, bad, 0 };

	return add(f, SCMP_ACT_ALLOW, name, 1, &a);
}

/* Threads, and no processes. */
static int add_threads(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp thread = { 0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD };
	int err = add(f, SCMP_ACT_ALLOW, "clone3", 0, NULL); /* see no_clone3() */

	if (!err && !SANITIZED)
		err = add(f, SCMP_ACT_ALLOW, "clone", 1, &thread);
	return err;
}

/* clone3() hides its flags behind a pointer; told that it does not exist, the C library uses
 * clone().  That is no incident, so this filter is one of its own, which does not log. */
static int no_clone3(scmp_filter_ctx f)
{
	int err = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	return err ? err : add(f, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
}

static int add_sockets(scmp_filter_ctx f)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(families) && !err; i++) {
		const struct scmp_arg_cmp a = { 0, SCMP_CMP_EQ, (uint64_t)families[i], 0 };

		err = add(f, SCMP_ACT_ALLOW, "socket", 1, &a);
	}
	return err;
}

static int daemon_rules(scmp_filter_ctx f)
{
	int err = add_all(f, SCMP_ACT_ALLOW, daemon_calls);

	if (!err)
		err = add_threads(f);
	return err ? err : add_sockets(f);
}

/* Files are opened for reading only, memory never becomes code. */
static int signer_rules(scmp_filter_ctx f)
{
	const uint64_t write = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
	int err = add_all(f, SCMP_ACT_ALLOW, signer_calls);

	if (SANITIZED)
		return err;
	if (!err)
		err = add_without(f, "open", 1, write);
	if (!err)
		err = add_without(f, "openat", 2, write);
	if (!err)
		err = add_without(f, "mmap", 2, PROT_EXEC);
	if (!err)
		err = add_without(f, "mmap2", 2, PROT_EXEC);
	return err ? err : add_without(f, "mprotect", 2, PROT_EXEC);
}

static int rules(scmp_filter_ctx f, enum plat_seccomp which)
{
	/* What is refused is logged; every thread is bound, also one that a runtime started. */
	int err = seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);

	if (!err)
		err = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = add_deadly(f);
	if (!err)
		err = add_all(f, SCMP_ACT_ALLOW, common);
	if (!err && SANITIZED)
		err = add_all(f, SCMP_ACT_ALLOW, sanitizer_calls);
	if (err)
		return err;
	return which == PLAT_SECCOMP_DAEMON ? daemon_rules(f) : signer_rules(f);
}

/* Takes the filter. */
static int load(scmp_filter_ctx f, int err)
{
	if (!err)
		err = f ? seccomp_load(f) : -ENOMEM;
	seccomp_release(f);
	return err;
}

/* Of several filters the strictest answer counts.  */
enum status plat_seccomp(enum plat_seccomp which, struct text *why)
{
	scmp_filter_ctx all = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	scmp_filter_ctx one = seccomp_init(SCMP_ACT_ALLOW);
	int err = load(one, one ? no_clone3(one) : -ENOMEM);

	err = load(all, err ? err : all ? rules(all, which) : -ENOMEM);
	if (!err)
		return ST_OK;
	text_fmt(why, "cannot install a system call filter: %s", strerror(-err));
	return ST_IO;
}
