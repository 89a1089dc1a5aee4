/* state.c - plans and learnt domains in the state directory. */
#include "guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/process.h"

#define PLAN_FILE "guard.plan"

/* The directory belongs to the user whom the daemon becomes, and boot runs as root: links are never
 * followed, what is written is always new. */
struct place {
	const char *dir;
	const char *name;
	int fd; /* of `dir` */
};

static enum status failed(const struct place *p, const char *what, struct text *why)
{
	int err = errno;

	text_fmt(why, "cannot %s %s/%s", what, p->dir, p->name);
	plat_errno(why, err);
	return ST_IO;
}

static enum status open_place(struct place *p, const char *what, struct text *why)
{
	p->fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? failed(p, what, why) : ST_OK;
}

/* ---- writing ----------------------------------------------------------------------------- */

static bool write_all(int fd, const char *s, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, s, n);

		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			s += done;
			n -= (size_t)done;
		}
	}
	return fsync(fd) == 0;
}

/* A new file in place of what is there, or nothing. */
static bool replace(const struct place *p, const char *s, size_t n)
{
	char tmp[GUARD_NETWORK_MAX + 32];
	bool ok;
	int fd;

	snprintf(tmp, sizeof(tmp), ".%s.new", p->name);
	(void)unlinkat(p->fd, tmp, 0);
	fd = openat(p->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = write_all(fd, s, n);
	ok = close(fd) == 0 && ok;
	ok = ok && renameat(p->fd, tmp, p->fd, p->name) == 0 && fsync(p->fd) == 0;
	if (!ok) {
		int err = errno;

		(void)unlinkat(p->fd, tmp, 0);
		errno = err;
	}
	return ok;
}

static enum status save(const char *dir, const char *name, const char *s, size_t n,
			struct text *why)
{
	struct place p = { dir, name, -1 };
	enum status st = open_place(&p, "write", why);

	if (st != ST_OK)
		return st;
	if (!replace(&p, s, n))
		st = failed(&p, "write", why);
	close(p.fd);
	return st;
}

/* ---- reading ----------------------------------------------------------------------------- */

static enum status read_fd(int fd, struct bytes *ret)
{
	struct stat sb;
	uint8_t *buf;
	size_t n = 0;
	ssize_t got = 1;

	if (fstat(fd, &sb) < 0)
		return ST_IO;
	if (!S_ISREG(sb.st_mode) || sb.st_size > GUARD_FILE_MAX) {
		errno = EFBIG;
		return ST_IO;
	}
	buf = malloc((size_t)sb.st_size + 1);
	if (!buf)
		return ST_NOMEM;
	while (got > 0 && n < (size_t)sb.st_size) {
		got = read(fd, buf + n, (size_t)sb.st_size - n);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			n += (size_t)got;
	}
	if (got < 0) {
		free(buf);
		return ST_IO;
	}
	*ret = bytes_of(buf, n);
	return ST_OK;
}

/* `ret` is malloc()ed.  ST_AGAIN: there is none. */
static enum status load(const char *dir, const char *name, struct text *why, struct bytes *ret)
{
	struct place p = { dir, name, -1 };
	enum status st = ST_OK;
	int fd;

	p.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = p.fd < 0 ? -1 : openat(p.fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		st = read_fd(fd, ret);
	if (fd < 0 || st == ST_IO) {
		st = errno == ENOENT ? ST_AGAIN : ST_IO;
		(void)failed(&p, "read", why);
	}
	if (fd >= 0)
		close(fd);
	if (p.fd >= 0)
		close(p.fd);
	return st;
}

/* ---- plans ------------------------------------------------------------------------------- */

enum status guard_plan_save(const char *dir, const struct guard_plan *plan, struct text *why)
{
	char *s;
	size_t n;
	enum status st = guard_plan_text(plan, why, &s, &n);

	if (st != ST_OK)
		return st;
	st = save(dir, PLAN_FILE, s, n, why);
	free(s);
	return st;
}

static void say_where(struct text *why, const char *dir, const char *name)
{
	text_fmt(why, " in %s/%s", dir, name);
}

enum status guard_plan_load(const char *dir, struct text *why, struct guard_plan *ret_plan)
{
	struct bytes b;
	enum status st = load(dir, PLAN_FILE, why, &b);

	if (st != ST_OK)
		return st;
	st = guard_plan_parse(b, why, ret_plan);
	if (st == ST_INVAL)
		say_where(why, dir, PLAN_FILE);
	free((void *)(uintptr_t)b.p);
	return st;
}

enum status guard_plan_forget(const char *dir, struct text *why)
{
	struct place p = { dir, PLAN_FILE, -1 };
	enum status st = ST_OK;

	p.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.fd < 0 || unlinkat(p.fd, PLAN_FILE, 0) < 0)
		st = errno == ENOENT ? ST_OK : failed(&p, "remove", why);
	if (p.fd >= 0)
		close(p.fd);
	return st;
}

/* ---- learnt domains ---------------------------------------------------------------------- */

/* A network's name becomes a file's. */
static enum status network_file(const char *network, const char *suffix, struct text *why,
				char ret[static GUARD_NETWORK_MAX + 16])
{
	if (!*network || *network == '.' || strchr(network, '/') ||
	    strlen(network) > GUARD_NETWORK_MAX) {
		text_add(why, "a network of that name cannot have a file");
		return ST_INVAL;
	}
	snprintf(ret, GUARD_NETWORK_MAX + 16, "%s%s", network, suffix);
	return ST_OK;
}

enum status guard_learn(const char *dir, const char *network, const struct prefix *v, size_t n,
			struct text *why)
{
	char name[GUARD_NETWORK_MAX + 16], *s;
	enum status st = network_file(network, ".domain", why, name);
	size_t len;

	if (st == ST_OK)
		st = guard_learnt_text(v, n, &s, &len);
	if (st != ST_OK)
		return st;
	st = save(dir, name, s, len, why);
	free(s);
	return st;
}

enum status guard_learnt(const char *dir, const char *network, struct text *why,
			 struct guard_prefixes *ret_domain)
{
	char name[GUARD_NETWORK_MAX + 16];
	enum status st = network_file(network, ".domain", why, name);
	struct bytes b;

	if (st == ST_OK)
		st = load(dir, name, why, &b);
	if (st != ST_OK)
		return st;
	st = guard_learnt_parse(b, why, ret_domain);
	if (st == ST_INVAL)
		say_where(why, dir, name);
	free((void *)(uintptr_t)b.p);
	return st;
}

/* ---- hubs -------------------------------------------------------------------------------- */

enum status guard_hubs_save(const char *dir, const char *network, struct bytes list,
			    struct text *why)
{
	char name[GUARD_NETWORK_MAX + 16];
	enum status st = network_file(network, ".hubs", why, name);

	return st == ST_OK ? save(dir, name, (const char *)list.p, list.n, why) : st;
}

enum status guard_hubs_load(const char *dir, const char *network, struct text *why,
			    struct bytes *ret_list)
{
	char name[GUARD_NETWORK_MAX + 16];
	enum status st = network_file(network, ".hubs", why, name);

	return st == ST_OK ? load(dir, name, why, ret_list) : st;
}

/* ---- the directory ----------------------------------------------------------------------- */

enum status guard_state_make(const char *dir, int uid, int gid, struct text *why)
{
	const struct place p = { dir, "", -1 };
	int fd;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return failed(&p, "make", why);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(&p, "open", why);
	if ((uid >= 0 || gid >= 0) && fchown(fd, (uid_t)uid, (gid_t)gid) < 0) {
		close(fd);
		return failed(&p, "give away", why);
	}
	close(fd);
	return ST_OK;
}
