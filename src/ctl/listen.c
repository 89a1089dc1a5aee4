#include "ctl/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/ctl.h"

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

/* The directory of the socket, made if it is missing. */
static enum status make_dir(const char *path, struct text *why)
{
	const char *slash = strrchr(path, '/');
	char dir[DIR_MAX];
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n == 0)
		return ST_OK;
	memcpy(dir, path, n);
	dir[n] = '\0';
	if (mkdir(dir, 0755) && errno != EEXIST)
		return failed(why, dir, strerror(errno));
	return ST_OK;
}

struct lock {
	int fd;
	char path[DIR_MAX + sizeof(".lock")];
};

/* A lock that was removed while we waited to get it is nobody's. */
static bool same_file(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* So that two daemons that start at once do not take the other's new socket for a stale one.  It is
 * a file that nobody else can open: whoever can open a directory for reading can lock that. */
static enum status lock_path(const char *path, struct text *why, struct lock *ret)
{
	struct lock l;

	snprintf(l.path, sizeof(l.path), "%s.lock", path);
	l.fd = open(l.path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (l.fd < 0)
		return failed(why, l.path, strerror(errno));
	if (flock(l.fd, LOCK_EX | LOCK_NB) || !same_file(l.fd, l.path)) {
		close(l.fd);
		return failed(why, path, "another daemon is just starting there");
	}
	*ret = l;
	return ST_OK;
}

static void unlock(const struct lock *l)
{
	unlink(l->path);
	close(l->fd);
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

/* Opens the socket to the operators' group, if there is such a group and we may. */
static enum status open_to_group(const char *path, struct text *why, gid_t *ret_group)
{
	const struct group *g = geteuid() == 0 ? getgrnam(CTL_GROUP) : NULL;

	*ret_group = g ? g->gr_gid : CTL_NO_GROUP;
	if (g && (lchown(path, (uid_t)-1, g->gr_gid) || chmod(path, 0660)))
		return failed(why, path, strerror(errno));
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
	struct ctl_listen l;
	struct lock lock;
	enum status st = address(path, why, &sa);

	if (st == ST_OK)
		st = make_dir(path, why);
	if (st == ST_OK)
		st = lock_path(path, why, &lock);
	if (st != ST_OK)
		return st;
	st = remove_stale(&sa, why);
	if (st == ST_OK)
		st = bind_private(&sa, why, &l);
	if (st == ST_OK) {
		st = open_to_group(path, why, &l.group);
		if (st == ST_OK)
			*ret_listen = l;
		else
			ctl_listen_close(&l, path);
	}
	unlock(&lock);
	return st;
}

void ctl_listen_unlink(const struct ctl_listen *l, const char *path)
{
	struct stat sb;

	if (lstat(path, &sb) == 0 && sb.st_dev == l->dev && sb.st_ino == l->ino)
		unlink(path);
}

void ctl_listen_close(const struct ctl_listen *l, const char *path)
{
	ctl_listen_unlink(l, path);
	close(l->fd);
}

enum {
	GROUPS_MAX = 256, /* of one caller; who is in more is not looked at any further */
};

static bool in_group(int fd, gid_t primary, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t n = sizeof(groups);

	if (group == CTL_NO_GROUP)
		return false;
	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n))
		return false;
	for (size_t i = 0; i < n / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

bool ctl_peer_allowed(const struct ctl_listen *l, int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid() || in_group(fd, cred.gid, l->group));
}
