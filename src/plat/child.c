#include "plat/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plat/process.h"

enum { WHY_MAX = 512 };

/* Ctrl-C and systemd's SIGTERM mean the daemon; a child ends when that has done its farewell. */
static void ignore_signals(void)
{
	static const int ignored[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2
	};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

static enum status keep_only(int fd, struct text *why)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (fd != PLAT_CHILD_FD && dup3(fd, PLAT_CHILD_FD, O_CLOEXEC) < 0) ||
	    close_range(PLAT_CHILD_FD + 1, ~0u, 0) < 0) {
		text_add(why, "cannot close what is open");
		plat_errno(why, errno);
		return ST_IO;
	}
	return ST_OK;
}

static int begin(const char *name, int fd, int parent, plat_child_fn *run)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	ignore_signals();
	prctl(PR_SET_NAME, name);
	setsid();
	/* Whoever was to be told of a failure may be gone already. */
	if (getppid() != parent)
		return EXIT_FAILURE;
	return run(keep_only(fd, &why), &why);
}

static enum status failed(const char *name, const char *what, struct text *why)
{
	text_fmt(why, "%s: %s", name, what);
	plat_errno(why, errno);
	return ST_IO;
}

enum status plat_child_fork(const char *name, int type, plat_child_fn *run, struct text *why,
			    int *ret_fd, int *ret_pid)
{
	int pair[2], parent = getpid(), pid;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
		return failed(name, "cannot make a socket", why);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		/* No handlers at exit: they are the parent's. */
		_exit(begin(name, pair[1], parent, run));
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return failed(name, "cannot fork", why);
	}
	*ret_fd = pair[0];
	*ret_pid = pid;
	return ST_OK;
}

void plat_child_await(int pid, int ms)
{
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return;
	while (poll(&p, 1, ms) < 0 && errno == EINTR)
		;
	close(pidfd);
}
