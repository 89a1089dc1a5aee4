#include "plat/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plat/process.h"

static enum status failed(struct text *why, const char *what)
{
	int err = errno;

	text_add(why, what);
	plat_errno(why, err);
	return ST_IO;
}

/* ---- capabilities -------------------------------------------------------------------------- */

static int caps_get(uint64_t *ret_permitted)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int caps_set(uint64_t caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted = (uint32_t)(caps >> 32 * i);
		data[i].effective = data[i].permitted;
	}
	return (int)syscall(SYS_capset, &head, data);
}

/* Needs CAP_SETPCAP, which a process without privileges has not, nor anything to lose. */
static void empty_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)!prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

enum status plat_drop_caps(uint64_t caps, struct text *why)
{
	uint64_t have;

	empty_bounding_set();
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (caps_get(&have) < 0 || caps_set(have & caps) < 0)
		return failed(why, "cannot give up capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed(why, "cannot set no_new_privs");
	return ST_OK;
}

/* ---- identity ------------------------------------------------------------------------------ */

enum status plat_user_find(const char *name, struct plat_user *ret_user)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw)
		return ST_INVAL;
	*ret_user = (struct plat_user){ pw->pw_uid, pw->pw_gid };
	return ST_OK;
}

static int set_ids(const struct plat_user *u)
{
	return setgroups(0, NULL) || setresgid(u->gid, u->gid, u->gid) ||
	       setresuid(u->uid, u->uid, u->uid);
}

/* The kernel forgets the parent-death signal when ids change. */
static enum status change_ids(const struct plat_user *user, struct text *why)
{
	int signo = 0;

	(void)prctl(PR_GET_PDEATHSIG, &signo, 0, 0, 0);
	empty_bounding_set(); /* while CAP_SETPCAP is there */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || set_ids(user) < 0) {
		text_fmt(why, "cannot become uid %u, gid %u", (unsigned)user->uid,
			 (unsigned)user->gid);
		return failed(why, "");
	}
	(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, signo, 0, 0, 0);
	return ST_OK;
}

enum status plat_become(const struct plat_user *user, uint64_t caps, struct text *why)
{
	enum status st = geteuid() == 0 ? change_ids(user, why) : ST_OK;

	if (st == ST_OK)
		st = plat_drop_caps(caps, why);
	/* A change of ids has made the process dumpable by whatever fs.suid_dumpable says. */
	if (st == ST_OK)
		st = plat_harden(why);
	if (PLAT_SANITIZED)
		(void)prctl(PR_SET_DUMPABLE, 1);
	return st;
}

/* ---- directories --------------------------------------------------------------------------- */

static bool is_ours(const char *name, const char *const *ours)
{
	size_t n = strlen(name);

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	for (; *ours; ours++) {
		size_t m = strlen(*ours);

		if (n >= m && strcmp(name + n - m, *ours) == 0)
			return true;
	}
	return false;
}

static bool holds_only(int dir, const char *const *ours)
{
	DIR *d = fdopendir(dup(dir));
	const struct dirent *e;
	bool only = true;

	if (!d)
		return false;
	while (only && (e = readdir(d)))
		only = is_ours(e->d_name, ours);
	closedir(d);
	return only;
}

static enum status give(int dir, const char *path, const char *const *ours,
			const struct plat_user *user, mode_t mode, struct text *why)
{
	struct stat sb;

	if (fstat(dir, &sb) < 0)
		return failed(why, path);
	if (sb.st_uid != 0 || !holds_only(dir, ours))
		return ST_OK;
	if (fchown(dir, user->uid, user->gid) < 0 || fchmod(dir, mode) < 0)
		return failed(why, path);
	return ST_OK;
}

enum status plat_give_dir(const char *path, const char *const *ours, const struct plat_user *user,
			  mode_t mode, struct text *why)
{
	enum status st;
	int dir;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return failed(why, path);
	if (geteuid() != 0)
		return ST_OK;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return failed(why, path);
	st = give(dir, path, ours, user, mode, why);
	close(dir);
	return st;
}
