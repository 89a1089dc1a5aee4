/*
 * What a process cannot do any more once it is confined (S4).  Every case runs in a child, since
 * nothing of it can be undone; its exit code is the answer.
 */
#include "unit/test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/sandbox.h"

enum { GOOD = 42 };

typedef bool case_fn(void);

/* How a child ended that was confined and then ran `fn`: an exit code, or minus a signal. */
static int run(const enum plat_seccomp *filter, case_fn *fn)
{
	int status, pid = fork();

	if (pid == 0) {
		char buf[200];
		struct text why = TEXT_OF(buf);

		if (filter &&
		    (plat_drop_caps(0, &why) != ST_OK || plat_seccomp(*filter, &why) != ST_OK))
			_exit(99);
		_exit(fn() ? GOOD : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- what is tried ------------------------------------------------------------------------- */

static bool runs_a_program(void)
{
	char *argv[] = { NULL };

	return execve("/bin/true", argv, argv) == 0;
}

static bool traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool mounts(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL) == 0;
}

static bool leaves_its_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool loads_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) >= 0;
}

static bool forks(void)
{
	return fork() >= 0;
}

static bool no_fork(void)
{
	return fork() < 0 && errno == EPERM;
}

static bool opens_a_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) >= 0 && socket(AF_INET6, SOCK_DGRAM, 0) >= 0 &&
	       socket(AF_NETLINK, SOCK_RAW, 0) >= 0 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool no_odd_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM &&
	       socket(AF_VSOCK, SOCK_STREAM, 0) < 0 && errno == EPERM;
}

static bool no_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == EPERM &&
	       socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM;
}

static bool reads_a_file(void)
{
	char c;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct stat sb;

	return fd >= 0 && read(fd, &c, 1) == 1 && fstat(fd, &sb) == 0 && close(fd) == 0;
}

static bool writes_no_file(void)
{
	return open("/dev/null", O_WRONLY) < 0 && errno == EPERM && open("/dev/null", O_RDWR) < 0 &&
	       errno == EPERM && open("/tmp/x", O_RDONLY | O_CREAT, 0600) < 0 && errno == EPERM;
}

static bool makes_no_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM &&
	       mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		       MAP_FAILED &&
	       errno == EPERM;
}

static bool allocates(void)
{
	uint8_t *p = malloc(8 << 20);
	uint8_t r[16];

	if (!p)
		return false;
	memset(p, 1, 8 << 20);
	free(p);
	return getrandom(r, sizeof(r), 0) == sizeof(r);
}

static void *count(void *arg)
{
	++*(int *)arg;
	return NULL;
}

static bool starts_a_thread(void)
{
	pthread_t t;
	int n = 0;

	return pthread_create(&t, NULL, count, &n) == 0 && pthread_join(t, NULL) == 0 && n == 1;
}

static bool asks_the_name_service(void)
{
	return getpwnam("root") && getgrnam("root") && !getpwnam("nobody of that name");
}

static void filters(void **state)
{
	static const struct {
		enum plat_seccomp filter;
		case_fn *fn;
		int want;
		bool sanitizer_differs; /* its runtime needs the call */
	} rows[] = {
		{ PLAT_SECCOMP_DAEMON, runs_a_program, -SIGSYS, false },
		{ PLAT_SECCOMP_SIGNER, runs_a_program, -SIGSYS, false },
		{ PLAT_SECCOMP_DAEMON, traces, -SIGSYS, true },
		{ PLAT_SECCOMP_SIGNER, traces, -SIGSYS, true },
		{ PLAT_SECCOMP_DAEMON, mounts, -SIGSYS, false },
		{ PLAT_SECCOMP_DAEMON, leaves_its_namespace, -SIGSYS, false },
		{ PLAT_SECCOMP_SIGNER, leaves_its_namespace, -SIGSYS, false },
		{ PLAT_SECCOMP_DAEMON, loads_bpf, -SIGSYS, false },
		{ PLAT_SECCOMP_DAEMON, no_fork, GOOD, true },
		{ PLAT_SECCOMP_SIGNER, no_fork, GOOD, true },
		{ PLAT_SECCOMP_DAEMON, opens_a_socket, GOOD, false },
		{ PLAT_SECCOMP_DAEMON, no_odd_socket, GOOD, false },
		{ PLAT_SECCOMP_SIGNER, no_socket, GOOD, false },
		{ PLAT_SECCOMP_DAEMON, reads_a_file, GOOD, false },
		{ PLAT_SECCOMP_SIGNER, reads_a_file, GOOD, false },
		{ PLAT_SECCOMP_SIGNER, writes_no_file, GOOD, true },
		{ PLAT_SECCOMP_SIGNER, makes_no_code, GOOD, true },
		{ PLAT_SECCOMP_DAEMON, allocates, GOOD, false },
		{ PLAT_SECCOMP_SIGNER, allocates, GOOD, false },
		{ PLAT_SECCOMP_DAEMON, starts_a_thread, GOOD, true },
		{ PLAT_SECCOMP_DAEMON, asks_the_name_service, GOOD, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int got;

		if (PLAT_SANITIZED && rows[i].sanitizer_differs)
			continue;
		got = run(&rows[i].filter, rows[i].fn);
		if (got != rows[i].want)
			fail_msg("row %zu: %d, wanted %d", i, got, rows[i].want);
	}
}

/* The cases can fail: without a filter they do the opposite. */
static void without_a_filter(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, runs_a_program), 0);
	assert_int_equal(run(NULL, traces), GOOD);
	assert_int_equal(run(NULL, forks), GOOD);
	assert_int_equal(run(NULL, no_socket), 1);
	assert_int_equal(run(NULL, writes_no_file), 1);
	assert_int_equal(run(NULL, makes_no_code), 1);
}

/* ---- identity ------------------------------------------------------------------------------ */

static const char *status_of(const char *name)
{
	static char line[200];
	FILE *f = fopen("/proc/self/status", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strncmp(line, name, strlen(name)) == 0;
	if (f)
		fclose(f);
	return found ? line : "";
}

#define CAPS (PLAT_CAP_NET_ADMIN | PLAT_CAP_NET_RAW | PLAT_CAP_NET_BIND_SERVICE)

static bool has_caps(uint64_t caps)
{
	static const struct {
		const char *name;
		bool all;
	} sets[] = { { "CapPrm", true },
		     { "CapEff", true },
		     { "CapInh", false },
		     { "CapBnd", false },
		     { "CapAmb", false } };
	char want[40];

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		snprintf(want, sizeof(want), "%s:\t%016llx\n", sets[i].name,
			 sets[i].all ? (unsigned long long)caps : 0ull);
		if (strcmp(status_of(sets[i].name), want) != 0)
			return false;
	}
	return strcmp(status_of("NoNewPrivs"), "NoNewPrivs:\t1\n") == 0;
}

static bool becomes_nobody(void)
{
	char buf[200];
	struct text why = TEXT_OF(buf);
	int signo = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || plat_become(&PLAT_USER_NOBODY, CAPS, &why) != ST_OK)
		return false;
	return getuid() == 65534 && geteuid() == 65534 && getgid() == 65534 &&
	       getgroups(0, NULL) == 0 && setuid(0) < 0 && has_caps(CAPS) &&
	       prctl(PR_GET_DUMPABLE) == PLAT_SANITIZED && prctl(PR_GET_PDEATHSIG, &signo) == 0 &&
	       signo == SIGKILL;
}

static bool keeps_no_more_than_it_has(void)
{
	char buf[200];
	struct text why = TEXT_OF(buf);

	return plat_drop_caps(PLAT_CAP_NET_RAW, &why) == ST_OK && has_caps(PLAT_CAP_NET_RAW) &&
	       plat_drop_caps(CAPS, &why) == ST_OK && has_caps(PLAT_CAP_NET_RAW) &&
	       plat_drop_caps(0, &why) == ST_OK && has_caps(0);
}

/* Who is not root stays who he is, and loses what he does not need all the same. */
static bool not_root(void)
{
	char buf[200];
	struct text why = TEXT_OF(buf);

	return setresuid(1234, 1234, 1234) == 0 &&
	       plat_become(&PLAT_USER_NOBODY, CAPS, &why) == ST_OK && getuid() == 1234 &&
	       strcmp(status_of("CapEff"), "CapEff:\t0000000000000000\n") == 0;
}

static void identities(void **state)
{
	struct plat_user u = { 7, 7 };

	(void)state;
	assert_int_equal(plat_user_find("root", &u), ST_OK);
	assert_int_equal(u.uid, 0);
	assert_int_equal(plat_user_find("nobody of that name", &u), ST_INVAL);
	skip_unless(geteuid() == 0, "changing the user");
	assert_int_equal(run(NULL, becomes_nobody), GOOD);
	assert_int_equal(run(NULL, keeps_no_more_than_it_has), GOOD);
	assert_int_equal(run(NULL, not_root), GOOD);
}

/* ---- directories --------------------------------------------------------------------------- */

static uid_t owner(const char *path)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	return sb.st_uid;
}

static void directories(void **state)
{
	static const char *const ours[] = { "guard.plan", ".domain", NULL };
	static const char *const all[] = { "guard.plan", "body's", NULL };
	const struct plat_user user = { 1234, 1235 };
	char base[] = "/tmp/test_sandbox.XXXXXX", dir[64], file[80], link[64], buf[200];
	struct text why = TEXT_OF(buf);
	int fd;

	(void)state;
	skip_unless(geteuid() == 0, "changing the user");
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/state", base);
	snprintf(file, sizeof(file), "%s/state/somebody's", base);
	snprintf(link, sizeof(link), "%s/link", base);
	/* Made, and then found. */
	assert_int_equal(plat_give_dir(dir, ours, &user, 0750, &why), ST_OK);
	assert_int_equal(owner(dir), 1234);
	assert_int_equal(plat_give_dir(dir, ours, &user, 0750, &why), ST_OK);
	/* Somebody else's stays his. */
	assert_int_equal(chown(dir, 99, 99), 0);
	assert_int_equal(plat_give_dir(dir, ours, &user, 0750, &why), ST_OK);
	assert_int_equal(owner(dir), 99);
	/* Root's is given when nobody else keeps anything there. */
	assert_int_equal(chown(dir, 0, 0), 0);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(plat_give_dir(dir, ours, &user, 0750, &why), ST_OK);
	assert_int_equal(owner(dir), 0);
	assert_int_equal(plat_give_dir(dir, all, &user, 0750, &why), ST_OK);
	assert_int_equal(owner(dir), 1234);
	assert_int_equal(owner(file), 0);
	assert_int_equal(chown(dir, 0, 0), 0);
	unlink(file);
	assert_int_equal(plat_give_dir(dir, ours, &user, 0750, &why), ST_OK);
	assert_int_equal(owner(dir), 1234);
	/* Not through a link, not without a parent. */
	assert_int_equal(symlink("/etc", link), 0);
	assert_int_equal(plat_give_dir(link, ours, &user, 0750, &why), ST_IO);
	assert_int_equal(owner("/etc"), 0);
	why = TEXT_OF(buf);
	snprintf(file, sizeof(file), "%s/no/state", base);
	assert_int_equal(plat_give_dir(file, ours, &user, 0750, &why), ST_IO);
	assert_non_null(strstr(buf, "/no/state: No such file"));
	unlink(link);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(rmdir(base), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters),
		cmocka_unit_test(without_a_filter),
		cmocka_unit_test(identities),
		cmocka_unit_test(directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
