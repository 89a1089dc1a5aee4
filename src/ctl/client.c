/*
 * client.c - the blocking side of the control protocol.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct ctl_client {
	int fd;
	int pidfd; /* of the daemon; -1 where the kernel does not tell */
	struct ctl_lines in;
	json_int_t id;
};

static enum status failed(struct text *why, const char *what)
{
	text_add(why, what);
	return ST_IO;
}

/* 0 for ever. */
static void set_timeout(int fd, int option, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	(void)setsockopt(fd, SOL_SOCKET, option, &tv, sizeof(tv));
}

/* A handle on the process, not its number, which may be somebody else's tomorrow. */
static int open_pidfd(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) || cred.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, cred.pid, 0);
}

static enum status dial(const char *path, struct text *why, int *ret_fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return failed(why, "the path is too long for a socket");
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed(why, strerror(errno));
	set_timeout(fd, SO_SNDTIMEO, CTL_CALL_TIMEOUT_S);
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0) {
		*ret_fd = fd;
		return ST_OK;
	}
	text_add(why, strerror(errno));
	close(fd);
	return ST_IO;
}

enum status ctl_client_new(const char *path, struct text *why, struct ctl_client **ret_client)
{
	struct ctl_client *c = calloc(1, sizeof(*c));
	enum status st = c ? ST_OK : ST_NOMEM;

	if (st == ST_OK)
		st = dial(path, why, &c->fd);
	if (st != ST_OK) {
		free(c);
		return st;
	}
	c->pidfd = open_pidfd(c->fd);
	ctl_lines_init(&c->in, CTL_REPLY_MAX);
	*ret_client = c;
	return ST_OK;
}

void ctl_client_free(struct ctl_client *c)
{
	if (!c)
		return;
	close(c->fd);
	if (c->pidfd >= 0)
		close(c->pidfd);
	ctl_lines_done(&c->in);
	free(c);
}

static enum status send_all(struct ctl_client *c, const char *s, size_t n, struct text *why)
{
	while (n > 0) {
		ssize_t sent = send(c->fd, s, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return failed(why, errno == EAGAIN ? "the daemon does not read"
							   : strerror(errno));
		s += sent;
		n -= (size_t)sent;
	}
	return ST_OK;
}

/* ST_AGAIN: the daemon closed the connection. */
static enum status receive(struct ctl_client *c, struct text *why)
{
	char buf[16384];
	ssize_t got;

	do
		got = recv(c->fd, buf, sizeof(buf), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return failed(why,
			      errno == EAGAIN ? "the daemon does not answer" : strerror(errno));
	if (got == 0) {
		text_add(why, "the daemon closed the connection");
		return ST_AGAIN;
	}
	if (ctl_lines_feed(&c->in, bytes_of(buf, (size_t)got)) != ST_OK)
		return failed(why, "an answer is too large");
	return ST_OK;
}

static enum status next_object(struct ctl_client *c, struct text *why, json_t **ret)
{
	struct bytes line;

	while (!ctl_lines_next(&c->in, &line)) {
		enum status st = receive(c, why);

		if (st != ST_OK)
			return st;
	}
	/* What the daemon says may be deeper than what it accepts. */
	return ctl_object_parse(line, 4 * CTL_DEPTH_MAX, why, ret) == ST_OK ? ST_OK : ST_IO;
}

/* The answer to request `id`; events that come before it are not waited for here. */
static enum status next_answer(struct ctl_client *c, json_int_t id, struct text *why, json_t **ret)
{
	for (;;) {
		json_t *o;
		enum status st = next_object(c, why, &o);
		json_t *got = st == ST_OK ? json_object_get(o, "id") : NULL;

		if (st != ST_OK)
			return st == ST_AGAIN ? ST_IO : st;
		if (json_is_null(got) || json_integer_value(got) == id) {
			*ret = o;
			return ST_OK;
		}
		json_decref(o);
	}
}

static enum status send_request(struct ctl_client *c, const char *cmd, json_t *args,
				struct text *why)
{
	json_t *o = json_pack("{s:I, s:s}", "id", ++c->id, "cmd", cmd);
	enum status st = ST_NOMEM;
	char *s = NULL;

	if (o && (!args || json_object_update_missing(o, args) == 0))
		s = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!s)
		return ST_NOMEM;
	st = send_all(c, s, strlen(s), why);
	if (st == ST_OK)
		st = send_all(c, "\n", 1, why);
	free(s);
	return st;
}

static enum status take_result(json_t *answer, struct text *why, json_t **ret_result)
{
	json_t *result = json_object_get(answer, "result");
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (json_is_true(json_object_get(answer, "ok")) && result) {
		*ret_result = json_incref(result);
		return ST_OK;
	}
	if (!error)
		return failed(why, "an answer that is none");
	text_add(why, error);
	return ST_REFUSE;
}

enum status ctl_client_call(struct ctl_client *c, const char *cmd, json_t *args, struct text *why,
			    json_t **ret_result)
{
	enum status st;
	json_t *answer;

	set_timeout(c->fd, SO_RCVTIMEO, CTL_CALL_TIMEOUT_S);
	st = send_request(c, cmd, args, why);
	if (st == ST_OK)
		st = next_answer(c, c->id, why, &answer);
	if (st != ST_OK)
		return st;
	st = take_result(answer, why, ret_result);
	json_decref(answer);
	return st;
}

enum status ctl_client_event(struct ctl_client *c, struct text *why, json_t **ret_event)
{
	set_timeout(c->fd, SO_RCVTIMEO, 0);
	for (;;) {
		json_t *o, *event;
		enum status st = next_object(c, why, &o);

		if (st != ST_OK)
			return st;
		event = json_incref(json_object_get(o, "event"));
		json_decref(o);
		if (event) {
			*ret_event = event;
			return ST_OK;
		}
	}
}

enum status ctl_client_wait_end(struct ctl_client *c, struct text *why)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
	enum status st = ST_OK;

	set_timeout(c->fd, SO_RCVTIMEO, 0);
	while (st == ST_OK) {
		struct bytes line;

		while (ctl_lines_next(&c->in, &line))
			;
		st = receive(c, why);
	}
	/* A reset connection is an end as well. */
	if (c->pidfd < 0)
		return ST_OK;
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return failed(why, strerror(errno));
	return ST_OK;
}
