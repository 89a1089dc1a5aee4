#include "daemon/confine.h"

#include <sys/stat.h>
#include <unistd.h>

#include "plat/sandbox.h"
#include "store/store.h"

enum { WHY_MAX = 512 };

enum status confine_user(struct host *h, struct conf_errors *errs)
{
	const struct conf_text *user = &h->conf->user;
	char buf[WHY_MAX];
	struct text t = TEXT_OF(buf);

	h->user = PLAT_USER_NOBODY;
	if (geteuid() != 0 || plat_user_find(user->s, &h->user) == ST_OK)
		return ST_OK;
	if (user->at.line) {
		conf_error_add(errs, user->at, "user %s: there is no such user", user->s);
		return ST_INVAL;
	}
	text_fmt(&t, "there is no user %s: running as nobody, which others may do too", user->s);
	host_log(h, OBS_WARNING, NULL, buf);
	return ST_OK;
}

/* Left by an earlier `user`, most likely, or made by hand. */
static bool is_anothers(const struct host *h, struct text *why)
{
	struct stat sb;

	if (geteuid() != 0 || stat(h->conf->state.s, &sb) < 0 || sb.st_uid == h->user.uid)
		return false;
	text_fmt(why,
		 "%s belongs to user %u, and the daemon is user %u: what is blocked cannot be kept "
		 "for the next boot (\"chown -R %u %s\")",
		 h->conf->state.s, (unsigned)sb.st_uid, (unsigned)h->user.uid,
		 (unsigned)h->user.uid, h->conf->state.s);
	return true;
}

/* What has to survive a restart is a help and no condition. */
void confine_state(struct host *h)
{
	static const char *const ours[] = { "guard.plan", ".domain",         ".hubs",      ".tmp",
					    STORE_FILE,   STORE_FILE "-wal", "qcd.secret", NULL };
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	text_add(&why, "state directory ");
	if (plat_give_dir(h->conf->state.s, ours, &h->user, 0755, &why) != ST_OK ||
	    is_anothers(h, &why))
		host_log(h, OBS_WARNING, NULL, buf);
}

enum status confine(struct host *h, struct text *why)
{
	const uint64_t caps = PLAT_CAP_NET_ADMIN | PLAT_CAP_NET_RAW | PLAT_CAP_NET_BIND_SERVICE;
	char buf[WHY_MAX];
	struct text ignored = TEXT_OF(buf);
	enum status st = plat_become(&h->user, caps, why);

	/* A kernel without filters is no reason to leave a network without its gateway. */
	if (st == ST_OK && plat_seccomp(PLAT_SECCOMP_DAEMON, &ignored) != ST_OK)
		host_log(h, OBS_WARNING, NULL, buf);
	return st;
}
