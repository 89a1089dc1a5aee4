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

enum { NAME_MAX_LEN = 32 };

/* Lists of names, those of 32-bit machines too.  What any C program does, also at its end. */
static const char common[] =
	"_llseek brk cacheflush clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
	"clock_nanosleep clock_nanosleep_time64 close dup exit exit_group fadvise64 fcntl "
	"fcntl64 fstat fstat64 fstatat64 futex futex_time64 getegid getegid32 geteuid geteuid32 "
	"getgid getgid32 getpid getppid getrandom getrlimit getrusage gettid gettimeofday "
	"getuid getuid32 lseek lstat lstat64 madvise membarrier mremap munmap nanosleep "
	"newfstatat poll ppoll ppoll_time64 pread64 read readv restart_syscall rseq "
	"rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield set_robust_list "
	"set_tls sigaltstack sigreturn stat stat64 statx sysinfo tgkill time ugetrlimit uname "
	"write writev";

/* The event loop, threads, sockets, netlink, the TUN, name services, files it may write. */
static const char daemon_calls[] =
	"accept accept4 access adjtimex arch_prctl bind capget chdir chmod clock_adjtime "
	"clock_adjtime64 close_range connect dup2 dup3 epoll_create epoll_create1 epoll_ctl "
	"epoll_pwait epoll_pwait2 epoll_wait eventfd2 faccessat faccessat2 fallocate fchmod "
	"fchmodat fchown fdatasync flock fstatfs fstatfs64 fsync ftruncate ftruncate64 "
	"get_mempolicy getcpu getcwd getdents64 getgroups getgroups32 getpeername getpriority "
	"getsockname getsockopt inotify_add_watch inotify_init1 inotify_rm_watch ioctl link "
	"linkat listen mkdir mkdirat mlock mmap mmap2 mprotect open openat pidfd_open pipe "
	"pipe2 prctl prlimit64 pselect6 pselect6_time64 pwrite64 pwritev readlink readlinkat "
	"recv recvfrom recvmmsg recvmmsg_time64 recvmsg rename renameat renameat2 rmdir "
	"rt_sigtimedwait sched_getparam sched_getscheduler sched_setaffinity sched_setscheduler "
	"select send sendmmsg sendmsg sendto setpriority setsockopt shutdown signalfd4 "
	"socketpair statfs statfs64 timerfd_create timerfd_gettime timerfd_gettime64 "
	"timerfd_settime timerfd_settime64 umask unlink unlinkat wait4 waitid";

/* The control socket is removed by it; a file that it is given may be written to. */
static const char signer_calls[] = "fsync pwrite64 recvmsg unlink unlinkat";

/* sd-bus, which has been loaded. */
static const char bus_calls[] =
	"connect getpeername getsockname getsockopt recv recvfrom recvmsg send sendmsg sendto "
	"setsockopt shutdown";

/* Of the sanitizers' runtimes: reports, the leak checker's thread that looks at the others. */
static const char sanitizer_calls[] =
	"arch_prctl clone getdents getdents64 ioctl mmap mprotect open openat personality prctl "
	"prlimit64 process_vm_readv ptrace readlink readlinkat sched_getparam "
	"sched_getscheduler wait4";

/* Nothing of ours ever asks for them: whoever does is not us. */
static const char deadly[] =
	"add_key bpf chroot create_module delete_module execve execveat finit_module fsconfig "
	"fsmount init_module ioperm iopl kexec_file_load kexec_load keyctl mount move_mount "
	"open_by_handle_at open_tree perf_event_open pivot_root process_vm_readv "
	"process_vm_writev ptrace reboot request_key setns swapoff swapon umount umount2 "
	"unshare userfaultfd";

/* A name that this machine or libseccomp does not know cannot be called either. */
static int add(scmp_filter_ctx f, uint32_t action, const char *name, unsigned n,
	       const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(f, action, nr, n, args);
}

/* The first word of a list, copied; false at its end. */
static bool take_name(const char **list, char name[static NAME_MAX_LEN])
{
	size_t n;

	*list += strspn(*list, " ");
	n = strcspn(*list, " ");
	if (n == 0 || n >= NAME_MAX_LEN)
		return false;
	memcpy(name, *list, n);
	name[n] = '\0';
	*list += n;
	return true;
}

static bool listed(const char *list, const char *wanted)
{
	char name[NAME_MAX_LEN];

	while (take_name(&list, name))
		if (strcmp(name, wanted) == 0)
			return true;
	return false;
}

static int add_all(scmp_filter_ctx f, uint32_t action, const char *list)
{
	char name[NAME_MAX_LEN];
	int err = 0;

	while (!err && take_name(&list, name))
		err = add(f, action, name, 0, NULL);
	return err;
}

static int add_deadly(scmp_filter_ctx f)
{
	const char *list = deadly;
	char name[NAME_MAX_LEN];
	int err = 0;

	while (!err && take_name(&list, name))
		if (!PLAT_SANITIZED || !listed(sanitizer_calls, name))
			err = add(f, SCMP_ACT_KILL_PROCESS, name, 0, NULL);
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

	if (!err && !PLAT_SANITIZED)
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

static int add_socket(scmp_filter_ctx f, int family)
{
	const struct scmp_arg_cmp a = { 0, SCMP_CMP_EQ, (uint64_t)family, 0 };

	return add(f, SCMP_ACT_ALLOW, "socket", 1, &a);
}

static int add_sockets(scmp_filter_ctx f)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(families) && !err; i++)
		err = add_socket(f, families[i]);
	return err;
}

static int daemon_rules(scmp_filter_ctx f)
{
	int err = add_all(f, SCMP_ACT_ALLOW, daemon_calls);

	if (!err)
		err = add_threads(f);
	return err ? err : add_sockets(f);
}

/* Memory never becomes code. */
static int add_memory(scmp_filter_ctx f)
{
	int err = add_without(f, "mmap", 2, PROT_EXEC);

	if (!err)
		err = add_without(f, "mmap2", 2, PROT_EXEC);
	return err ? err : add_without(f, "mprotect", 2, PROT_EXEC);
}

static int bus_rules(scmp_filter_ctx f)
{
	int err = add_all(f, SCMP_ACT_ALLOW, bus_calls);

	if (!err)
		err = add_socket(f, AF_UNIX);
	return err || PLAT_SANITIZED ? err : add_memory(f);
}

/* Files are opened for reading only. */
static int signer_rules(scmp_filter_ctx f)
{
	const uint64_t write = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
	int err = add_all(f, SCMP_ACT_ALLOW, signer_calls);

	if (PLAT_SANITIZED)
		return err;
	if (!err)
		err = add_without(f, "open", 1, write);
	if (!err)
		err = add_without(f, "openat", 2, write);
	return err ? err : add_memory(f);
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
	if (!err && PLAT_SANITIZED)
		err = add_all(f, SCMP_ACT_ALLOW, sanitizer_calls);
	if (err)
		return err;
	switch (which) {
	case PLAT_SECCOMP_DAEMON: return daemon_rules(f);
	case PLAT_SECCOMP_SIGNER: return signer_rules(f);
	case PLAT_SECCOMP_BUS: return bus_rules(f);
	}
	return -EINVAL;
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
