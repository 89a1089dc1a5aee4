/*
 * join_start.c - the daemon, by systemd where that runs the host, else as a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/join.h"

#define DEFAULT_LOG "/var/log/warren.log"
#define STATE_DIR "/var/lib/warren" /* what join writes names no other */

extern char **environ;

enum {
	START_TIMEOUT_S = 60,
	LOOK_MS = 50, /* between two looks whether the daemon answers */
	LOG_TAIL = 1024,
};

/* ---- whether it answers ------------------------------------------------------------------ */

static bool answers(const char *socket)
{
	char ignored[CTL_ERROR_MAX];
	struct text why = TEXT_OF(ignored);
	struct ctl_client *c;
	json_t *status;
	bool ok;

	if (ctl_client_new(socket, &why, &c) != ST_OK)
		return false;
	ok = ctl_client_call(c, "status", NULL, &why, &status) == ST_OK;
	if (ok)
		json_decref(status);
	ctl_client_free(c);
	return ok;
}

/* Until it answers; ST_IO: our child (`*pid`, 0: none) ended and was waited for (then 0), or it
 * takes too long. */
static enum status await(const char *socket, pid_t *pid, struct text *why)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	int status;

	for (int i = 0; i < START_TIMEOUT_S * 1000 / LOOK_MS; i++) {
		if (*pid && waitpid(*pid, &status, WNOHANG) == *pid) {
			*pid = 0;
			text_add(why, "the daemon ended");
			return ST_IO;
		}
		if (answers(socket))
			return ST_OK;
		nanosleep(&pause, NULL);
	}
	text_fmt(why, "the daemon does not answer within %d s", START_TIMEOUT_S);
	return ST_IO;
}

/* ---- systemd ----------------------------------------------------------------------------- */

/* posix_spawnp() does not write to its arguments. */
static enum status run(const char *const *argv, struct text *why)
{
	pid_t pid;
	int status, err = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv,
				       environ);

	if (err) {
		text_fmt(why, "%s: %s", argv[0], strerror(err));
		return ST_IO;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ST_IO;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return ST_OK;
	text_fmt(why, "%s %s failed", argv[0], argv[1]);
	return ST_IO;
}

static enum status start_units(const char *socket, struct text *why)
{
	static const char *const enable[] = { "systemctl",    "enable",  "--now",
					      "warren-block", "warrend", NULL };
	static const char *const disable[] = { "systemctl", "disable",      "--now",
					       "warrend",   "warren-block", NULL };
	char ignored[256];
	struct text unused = TEXT_OF(ignored);
	enum status st = run(enable, why);
	pid_t none = 0;

	if (st == ST_OK)
		st = await(socket, &none, why);
	if (st != ST_OK) {
		text_add(why, "; \"journalctl -u warrend\" has its reasons");
		(void)!run(disable, &unused);
	}
	return st;
}

/* ---- a process of its own ---------------------------------------------------------------- */

/* From the place of this command: ../sbin/warrend as installed; else by PATH. */
static void find_daemon(char ret[static JOIN_PATH])
{
	char exe[JOIN_PATH - 32];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	snprintf(ret, JOIN_PATH, "warrend");
	if (n <= 0)
		return;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return;
	*slash = '\0';
	snprintf(ret, JOIN_PATH, "%s/../sbin/warrend", exe);
	if (access(ret, X_OK))
		snprintf(ret, JOIN_PATH, "warrend");
}

static enum status open_log(const char *path, struct text *why, int *ret_fd)
{
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (*ret_fd >= 0)
		return ST_OK;
	text_fmt(why, "%s: %s", path, strerror(errno));
	return ST_IO;
}

/* In a session of its own, with nothing of ours but the log. */
static void become_daemon(const char *daemon, const char *file, int log)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (null < 0 || chdir("/") || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	syscall(SYS_close_range, 3, ~0u, 0);
	execlp(daemon, daemon, "-c", file, (char *)NULL);
	dprintf(2, "%s: %s\n", daemon, strerror(errno));
	_exit(127);
}

/* What the daemon wrote since we started it, for who has to mend it. */
static void quote_log(const char *path, off_t from, struct text *why)
{
	char buf[LOG_TAIL + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat sb;
	ssize_t n;

	if (fd < 0)
		return;
	if (fstat(fd, &sb) == 0 && sb.st_size - from > LOG_TAIL)
		from = sb.st_size - LOG_TAIL;
	n = pread(fd, buf, LOG_TAIL, from);
	close(fd);
	if (n <= 0)
		return;
	buf[n] = '\0';
	for (char *p = buf; *p; p++)
		if (*p == '\n')
			*p = p[1] ? '|' : '\0';
	text_fmt(why, "; %s has: %s", path, buf);
}

static enum status start_process(struct join *j, const char *socket, struct text *why)
{
	const char *log = j->cli->log ? j->cli->log : DEFAULT_LOG;
	char daemon[JOIN_PATH];
	enum status st;
	off_t before;
	pid_t pid;
	int fd;

	find_daemon(daemon);
	st = open_log(log, why, &fd);
	if (st != ST_OK)
		return st;
	before = lseek(fd, 0, SEEK_END);
	pid = fork();
	if (pid == 0)
		become_daemon(daemon, j->place[JOIN_CONF].final, fd);
	close(fd);
	if (pid < 0) {
		text_add(why, strerror(errno));
		return ST_IO;
	}
	st = await(socket, &pid, why);
	if (st == ST_OK)
		return ST_OK;
	if (pid) {
		kill(pid, SIGTERM);
		(void)!waitpid(pid, NULL, 0);
	}
	quote_log(log, before, why);
	return st;
}

/* ---- the block --------------------------------------------------------------------------- */

/* The daemon puts it up first, and it stays when the daemon goes. */
static bool block_stands(void)
{
	struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	bool there;

	if (!ctx)
		return true; /* who cannot tell takes nothing away */
	there = nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx) ||
		nft_run_cmd_from_buffer(ctx, "list table inet warren") == 0;
	nft_ctx_free(ctx);
	return there;
}

/* ---- all --------------------------------------------------------------------------------- */

static enum status reload(const char *socket, struct text *why)
{
	struct ctl_client *c;
	json_t *result;
	enum status st = ctl_client_new(socket, why, &c);

	if (st != ST_OK)
		return st;
	st = ctl_client_call(c, "reload", NULL, why, &result);
	ctl_client_free(c);
	if (st != ST_OK)
		return st;
	if (json_array_size(json_object_get(result, "errors")) > 0) {
		text_add(why, "the running daemon does not accept the new configuration: ");
		text_add(why,
			 json_string_value(json_array_get(json_object_get(result, "errors"), 0)));
		st = ST_REFUSE;
	}
	json_decref(result);
	return st;
}

static bool all_same(const struct join *j)
{
	for (size_t i = 0; i < JOIN_FILES; i++)
		if (!j->place[i].same)
			return false;
	return true;
}

static enum status start(struct join *j, const char *socket, struct text *why)
{
	if (access("/run/systemd/system", F_OK) == 0)
		return start_units(socket, why);
	return start_process(j, socket, why);
}

enum status join_start(struct join *j, const char *socket, struct text *why)
{
	bool stood = block_stands();
	enum status st;

	if (answers(socket))
		return all_same(j) ? ST_OK : reload(socket, why);
	st = start(j, socket, why);
	if (st != ST_OK && !stood) {
		char ignored[256];
		struct text unused = TEXT_OF(ignored);

		(void)!cli_lift_block(STATE_DIR, &unused);
	}
	return st;
}
