#include "ctl/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	DIR_MAX = sizeof(((struct sockaddr_un *)0)->sun_path),
};

static enum status address(const char *path, struct text *why, struct sockaddr_un *ret)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) == 0 || strlen(path) >= sizeof(sa.sun_path)) {
		text_fmt(why, "control socket %s: the path has to have 1 to %zu bytes", path,
			 sizeof(sa.sun_path) - 1);
		return ST_INVAL;
	}
	memcpy(sa.sun_path, path, strlen(path));
	*ret = sa;
	return ST_OK;
}

static enum status failed(struct text *why, const char *path, const char *what)
{
	text_fmt(why, "control socket %s: %s", path, what);
	return ST_IO;
}

/* The directory, made if it is missing and locked, so that two daemons that start at once do not
 * take the other's new socket for a stale one. */
static enum status lock_dir(const char *path, struct text *why, int *ret_fd)
{
	const char *slash = strrchr(path, '/');
	char dir[DIR_MAX] = ".";
	int fd;

	if (slash) {
		size_t n = slash == path ? 1 : (size_t)(slash - path);

		memcpy(dir, path, n);
		dir[n] = '\0';
	}
	if (mkdir(dir, 0755) && errno != EEXIST)
		return failed(why, dir, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed(why, dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return failed(why, path, "another daemon is just starting there");
	}
	*ret_fd = fd;
	return ST_OK;
}

/* Whether somebody listens; a full backlog is an answer too. */
static bool answers(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	if (fd < 0)
		return true;
	yes = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 ||
	      (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return yes;
}

static enum status remove_stale(const struct sockaddr_un *sa, struct text *why)
{
	struct stat sb;

	if (lstat(sa->sun_path, &sb))
		return errno == ENOENT ? ST_OK : failed(why, sa->sun_path, strerror(errno));
	if (!S_ISSOCK(sb.st_mode))
		return failed(why, sa->sun_path, "exists and is no socket");
	if (answers(sa))
		return failed(why, sa->sun_path, "another daemon answers there");
	if (unlink(sa->sun_path) && errno != ENOENT)
		return failed(why, sa->sun_path, strerror(errno));
	return ST_OK;
}

/* Linux takes the mode of a new socket file from the socket's own inode, so there is no moment at
 * which it is open to others, and no need for umask(2), which is the whole process's. */
static enum status bind_private(const struct sockaddr_un *sa, struct text *why,
				struct ctl_listen *ret)
{
	struct ctl_listen l = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					     0) };
	struct stat sb;

	if (l.fd < 0)
		return failed(why, sa->sun_path, strerror(errno));
	if (fchmod(l.fd, 0600) || bind(l.fd, (const struct sockaddr *)sa, sizeof(*sa)) ||
	    lstat(sa->sun_path, &sb) || listen(l.fd, SOMAXCONN)) {
		(void)failed(why, sa->sun_path, strerror(errno));
		close(l.fd);
		return ST_IO;
	}
	l.dev = sb.st_dev;
	l.ino = sb.st_ino;
	*ret = l;
	return ST_OK;
}

enum status ctl_listen_open(const char *path, struct text *why, struct ctl_listen *ret_listen)
{
	struct sockaddr_un sa;
	enum status st = address(path, why, &sa);
	int dir;

	if (st == ST_OK)
		st = lock_dir(path, why, &dir);
	if (st != ST_OK)
		return st;
	st = remove_stale(&sa, why);
	if (st == ST_OK)
		st = bind_private(&sa, why, ret_listen);
	close(dir);
	return st;
}

void ctl_listen_unlink(const struct ctl_listen *l, const char *path)
{
	struct stat sb;

	if (lstat(path, &sb) == 0 && sb.st_dev == l->dev && sb.st_ino == l->ino)
		unlink(path);
}

bool ctl_peer_allowed(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid());
}
