#include "plat/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

void plat_errno(struct text *why, int err)
{
	char buf[128];

	text_fmt(why, ": %s", strerror_r(err, buf, sizeof(buf)));
}

enum status plat_ns_enter(int ns, struct text *why, struct plat_ns *ret_ns)
{
	int before;

	*ret_ns = (struct plat_ns){ -1 };
	if (ns < 0)
		return ST_OK;
	before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (before < 0 || setns(ns, CLONE_NEWNET) < 0) {
		text_add(why, "cannot enter the network namespace");
		plat_errno(why, errno);
		if (before >= 0)
			close(before);
		return ST_IO;
	}
	ret_ns->before = before;
	return ST_OK;
}

void plat_ns_leave(struct plat_ns *ns)
{
	if (ns->before < 0)
		return;
	if (setns(ns->before, CLONE_NEWNET) < 0)
		abort();
	close(ns->before);
	ns->before = -1;
}

enum status plat_harden(struct text *why)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0) {
		text_add(why, "cannot turn core dumps off");
		plat_errno(why, errno);
		return ST_IO;
	}
	return ST_OK;
}

/* /proc/sys/net shows the namespace of whoever looks. */
static enum status sysctl_open(int ns, const char *path, int flags, struct text *why, int *ret_fd)
{
	char full[128];
	struct plat_ns in;

	if (snprintf(full, sizeof(full), "/proc/sys/net/%s", path) >= (int)sizeof(full))
		return ST_BUG;
	if (plat_ns_enter(ns, why, &in) != ST_OK)
		return ST_IO;
	*ret_fd = open(full, flags | O_CLOEXEC);
	if (*ret_fd < 0) {
		text_fmt(why, "cannot open %s", full);
		plat_errno(why, errno);
	}
	plat_ns_leave(&in);
	return *ret_fd < 0 ? ST_IO : ST_OK;
}

enum status plat_sysctl_get(int ns, const char *path, long *ret_value)
{
	char buf[32], ignored[8];
	struct text why = TEXT_OF(ignored);
	ssize_t n;
	int fd;

	if (sysctl_open(ns, path, O_RDONLY, &why, &fd) != ST_OK)
		return ST_IO;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return ST_IO;
	buf[n] = '\0';
	*ret_value = strtol(buf, NULL, 10);
	return ST_OK;
}

enum status plat_sysctl_set(int ns, const char *path, long value, struct text *why)
{
	char buf[32];
	int n = snprintf(buf, sizeof(buf), "%ld", value);
	enum status st = ST_OK;
	int fd;

	if (sysctl_open(ns, path, O_WRONLY, why, &fd) != ST_OK)
		return ST_IO;
	if (write(fd, buf, (size_t)n) != n) {
		text_fmt(why, "cannot set /proc/sys/net/%s to %ld", path, value);
		plat_errno(why, errno);
		st = ST_IO;
	}
	close(fd);
	return st;
}

void plat_random(void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno != EINTR)
			abort();
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}
