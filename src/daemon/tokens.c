#include "daemon/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/process.h"

#define NAME "qcd.secret"

enum { WHY_MAX = 512 };

/* The directory is not ours alone: who has it may have put something else there. */
static bool is_safe(int fd)
{
	struct stat sb;

	return fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && sb.st_uid == geteuid() &&
	       sb.st_nlink == 1 && (sb.st_mode & 077) == 0;
}

static int open_file(const char *path, int flags, struct text *why)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | flags, 0600);

	if (fd < 0 && errno != ENOENT)
		plat_errno(why, errno);
	if (fd >= 0 && !is_safe(fd)) {
		text_add(why, ": it is not a file of ours that nobody else may read");
		close(fd);
		return -1;
	}
	return fd;
}

static enum status use(struct host *h, int fd, struct text *why)
{
	enum status st;

	text_add(why, ": ");
	st = signer_state(h->signer, fd, why);
	close(fd);
	return st;
}

static void replaced(struct host *h, const char *path, const char *why)
{
	char buf[WHY_MAX + PATH_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t,
		 "%s%s; a new one is made, to which tokens do not fit that peers have from before",
		 path, why);
	host_log(h, OBS_WARNING, NULL, buf);
}

static enum status make(struct host *h, const char *path, struct text *why)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT) {
		plat_errno(why, errno);
		return ST_IO;
	}
	fd = open_file(path, O_CREAT | O_EXCL, why);
	return fd < 0 ? ST_IO : use(h, fd, why);
}

/* ST_INVAL: what is there is no secret of ours, or nothing is. */
static enum status use_old(struct host *h, const char *path, struct text *why)
{
	int fd = open_file(path, 0, why);

	return fd < 0 ? ST_INVAL : use(h, fd, why);
}

void tokens_open(struct host *h)
{
	char path[PATH_MAX], buf[WHY_MAX], text[WHY_MAX + PATH_MAX];
	struct text why = TEXT_OF(buf), t = TEXT_OF(text);
	enum status st;

	if ((size_t)snprintf(path, sizeof(path), "%s/" NAME, h->conf->state.s) >= sizeof(path))
		return;
	buf[0] = '\0';
	st = use_old(h, path, &why);
	if (st == ST_INVAL) {
		if (buf[0])
			replaced(h, path, buf);
		why = TEXT_OF(buf);
		buf[0] = '\0';
		st = make(h, path, &why);
	}
	if (st == ST_OK)
		return;
	text_fmt(&t,
		 "%s%s: there are no QCD tokens, so peers find out more slowly when this "
		 "gateway has crashed",
		 path, buf);
	host_log(h, OBS_WARNING, NULL, text);
}
