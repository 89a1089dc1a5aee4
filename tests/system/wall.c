/*
 * wall.c - loaded into a daemon by LD_PRELOAD: the clock on its wall is set while that of the
 * machine, which others use, stays as it is.
 *
 * WARREN_WALL names a file with the seconds (int64_t) that it is ahead, which is mapped before
 * main() and so before any sandbox.  As timerfd_create(2) has it, a timer of CLOCK_REALTIME is
 * cancelled when the clock is set; here it runs out again and again instead and who reads it is
 * told what the kernel would say.  All other clocks and timers are left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 20 };

static const volatile int64_t *ahead;
static int timer = -1; /* of CLOCK_REALTIME; there is one */
static int64_t seen;

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_create)(int, int);
static int (*real_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static ssize_t (*real_read)(int, void *, size_t);

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("WARREN_WALL");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);

	real_gettime = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
	real_create = (int (*)(int, int))next("timerfd_create");
	real_settime = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))next(
		"timerfd_settime");
	real_read = (ssize_t(*)(int, void *, size_t))next("read");
	if (p == MAP_FAILED)
		abort();
	ahead = p;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int code;

	/* Asked for by others that are loaded before us. */
	if (!real_gettime)
		real_gettime = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
	code = real_gettime(clock, ts);
	if (code == 0 && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ts->tv_sec += *ahead;
	return code;
}

time_t time(time_t *ret)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts = { 0 };

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
	return 0;
}

int timerfd_create(int clock, int flags)
{
	int fd = real_create(clock, flags);

	if (clock == CLOCK_REALTIME)
		timer = fd;
	return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *want, struct itimerspec *old)
{
	const struct timespec soon = { .tv_nsec = LOOK_MS * 1000000 };
	const struct itimerspec often = { soon, soon };

	if (fd != timer || !(flags & TFD_TIMER_CANCEL_ON_SET))
		return real_settime(fd, flags, want, old);
	seen = *ahead;
	return real_settime(fd, 0, &often, old);
}

ssize_t read(int fd, void *buf, size_t n)
{
	ssize_t got;

	if (!real_read)
		real_read = (ssize_t(*)(int, void *, size_t))next("read");
	got = real_read(fd, buf, n);
	if (fd != timer || got < 0)
		return got;
	errno = seen == *ahead ? EAGAIN : ECANCELED;
	return -1;
}
