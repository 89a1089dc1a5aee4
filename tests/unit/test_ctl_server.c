/* The server of the control protocol with clients good, hostile, slow and gone; its place in the
 * file system; the blocking client. */
#include "unit/test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "ctl/ctl.h"
#include "ctl/listen.h"

/* ---- the server ---- */

struct world {
	uv_loop_t loop;
	uv_timer_t watchdog;
	struct ctl_server *server;
	char dir[64];
	char path[128];
	unsigned calls;
	bool stop_in_handler;
};

static json_t *handler(void *ctx, const char *cmd, json_t *request, struct text *error)
{
	struct world *w = ctx;

	w->calls++;
	if (w->stop_in_handler)
		ctl_server_stop(w->server);
	if (strcmp(cmd, "echo") == 0)
		return json_incref(request);
	if (strcmp(cmd, "big") == 0)
		return json_pack("{s:o}", "big", json_stringn("", 0));
	text_fmt(error, "unknown command \"%s\"", cmd);
	return NULL;
}

static void on_watchdog(uv_timer_t *t)
{
	(void)t;
	fail_msg("nothing happened for 30 seconds");
}

static void server_start(struct world *w)
{
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (ctl_server_new(&w->loop, w->path, handler, w, &why, &w->server) != ST_OK)
		fail_msg("%s", buf);
}

static int world_new(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	strcpy(w.dir, "/tmp/warren-ctl-XXXXXX");
	if (!mkdtemp(w.dir))
		return -1;
	snprintf(w.path, sizeof(w.path), "%s/run/sock", w.dir);
	uv_loop_init(&w.loop);
	uv_timer_init(&w.loop, &w.watchdog);
	uv_timer_start(&w.watchdog, on_watchdog, 30000, 30000);
	uv_unref((uv_handle_t *)&w.watchdog);
	server_start(&w);
	*state = &w;
	return 0;
}

/* Everything is closed, freed and removed. */
static int world_free(void **state)
{
	struct world *w = *state;
	char run[128];

	ctl_server_stop(w->server);
	uv_close((uv_handle_t *)&w->watchdog, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	snprintf(run, sizeof(run), "%s/run", w->dir);
	return uv_loop_close(&w->loop) || rmdir(run) || rmdir(w->dir);
}

static void pump(struct world *w)
{
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

static int dial_path(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, path);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int dial(struct world *w)
{
	int fd = dial_path(w->path);

	assert_true(fd >= 0);
	return fd;
}

static void put(struct world *w, int fd, const char *s, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, s, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			pump(w);
			continue;
		}
		assert_true(sent > 0);
		s += sent;
		n -= (size_t)sent;
	}
}

static void say(struct world *w, int fd, const char *s)
{
	put(w, fd, s, strlen(s));
}

/* The next line, "" when the connection ended. */
static const char *hear(struct world *w, int fd)
{
	static char buf[1 << 17];
	size_t n = 0;

	while (n < sizeof(buf) - 1) {
		ssize_t got = recv(fd, buf + n, 1, 0);

		if (got < 0 && errno == EAGAIN) {
			uv_run(&w->loop, UV_RUN_ONCE);
			continue;
		}
		if (got <= 0)
			break;
		if (buf[n] == '\n')
			break;
		n++;
	}
	buf[n] = '\0';
	return buf;
}

static uint64_t counter(const struct world *w, const char *name)
{
	const char *n;
	uint64_t v;

	for (size_t i = 0; ctl_server_counter(w->server, i, &n, &v); i++)
		if (strcmp(n, name) == 0)
			return v;
	fail_msg("no counter %s", name);
	return 0;
}

static void request_and_answer(void **state)
{
	struct world *w = *state;
	struct stat sb;
	int fd = dial(w);

	assert_int_equal(stat(w->path, &sb), 0);
	/* The operators' group may call, where there is one. */
	assert_int_equal(sb.st_mode & 07777, geteuid() == 0 && getgrnam(CTL_GROUP) ? 0660 : 0600);
	say(w, fd, "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_string_equal(hear(w, fd),
			    "{\"id\":1,\"ok\":true,\"result\":{\"id\":1,\"cmd\":\"echo\"}}");
	say(w, fd, "{\"id\":2,\"cmd\":\"other\"}\n");
	assert_string_equal(hear(w, fd), "{\"id\":2,\"ok\":false,\"error\":\"unknown command "
					 "\\\"other\\\"\"}");
	close(fd);
}

/* A request that comes byte by byte, with the loop running between. */
static void byte_by_byte(void **state)
{
	static const char request[] = "{\"id\":1,\"cmd\":\"echo\"}\n{\"id\":2,\"cmd\":\"echo\"}\n";
	struct world *w = *state;
	int fd = dial(w);

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		put(w, fd, request + i, 1);
		pump(w);
	}
	assert_non_null(strstr(hear(w, fd), "\"id\":1,"));
	assert_non_null(strstr(hear(w, fd), "\"id\":2,"));
	close(fd);
}

/* Many at once are answered in order, also when the other side has already closed its half. */
static void pipelined(void **state)
{
	struct world *w = *state;
	int fd = dial(w);
	char buf[64];

	for (int i = 0; i < 500; i++) {
		snprintf(buf, sizeof(buf), "{\"id\":%d,\"cmd\":\"echo\"}\n", i);
		say(w, fd, buf);
	}
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 500; i++) {
		snprintf(buf, sizeof(buf), "{\"id\":%d,", i);
		assert_int_equal(strncmp(hear(w, fd), buf, strlen(buf)), 0);
	}
	assert_string_equal(hear(w, fd), "");
	close(fd);
}

/* S2: what is no request gets one error line and the end of the connection; others are unharmed. */
static void hostile_lines(void **state)
{
	static const char *const line[] = { "\n", "garbage\n", "[]\n", "{\"id\":1}\n", "\xff\n" };
	struct world *w = *state;
	int good = dial(w);

	for (size_t i = 0; i < ARRAY_LEN(line); i++) {
		int fd = dial(w);

		say(w, fd, line[i]);
		say(w, fd, "{\"id\":5,\"cmd\":\"echo\"}\n");
		assert_non_null(strstr(hear(w, fd), "\"ok\":false"));
		assert_string_equal(hear(w, fd), "");
		close(fd);
	}
	assert_int_equal(counter(w, "ctl.bad"), ARRAY_LEN(line));
	assert_int_equal(w->calls, 0);
	say(w, good, "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, good), "\"ok\":true"));
	close(good);
}

/* S2: a line without end is cut off at 64 KiB. */
static void endless_line(void **state)
{
	static char block[CTL_LINE_MAX];
	struct world *w = *state;
	int fd = dial(w);

	memset(block, 'x', sizeof(block));
	put(w, fd, block, sizeof(block));
	pump(w);
	assert_int_equal(counter(w, "ctl.bad"), 0);
	say(w, fd, "x");
	assert_string_equal(hear(w, fd),
			    "{\"id\":null,\"ok\":false,\"error\":\"a request has at most "
			    "64 KiB\"}");
	assert_string_equal(hear(w, fd), "");
	assert_int_equal(counter(w, "ctl.bad"), 1);
	close(fd);
}

/* S2: clients that say nothing make room for the next, the silent longest first. */
static void hanging_clients(void **state)
{
	struct world *w = *state;
	int fd[CTL_CLIENTS_MAX + 3];

	for (size_t i = 0; i < CTL_CLIENTS_MAX; i++)
		fd[i] = dial(w);
	say(w, fd[0], "{\"id\":1,\"cmd\":\"echo\"}\n"); /* no longer the most silent */
	assert_non_null(strstr(hear(w, fd[0]), "\"ok\":true"));
	while (counter(w, "ctl.connections") < CTL_CLIENTS_MAX)
		pump(w);
	for (size_t i = CTL_CLIENTS_MAX; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial(w);
		say(w, fd[i], "{\"id\":1,\"cmd\":\"echo\"}\n");
		assert_non_null(strstr(hear(w, fd[i]), "\"ok\":true"));
	}
	assert_int_equal(counter(w, "ctl.evicted"), 3);
	for (size_t i = 1; i <= 3; i++)
		assert_string_equal(hear(w, fd[i]), "");
	say(w, fd[0], "{\"id\":2,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, fd[0]), "\"ok\":true"));
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
}

/* The server gets no memory (linked with --wrap=calloc). */
static bool no_calloc;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return no_calloc ? NULL : __real_calloc(n, size);
}

/* S2: connections that there is no memory for are closed, and the next one is served. */
static void no_memory_for_a_client(void **state)
{
	struct world *w = *state;
	int fd[8];

	no_calloc = true;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = dial(w);
	while (counter(w, "ctl.no_memory") < ARRAY_LEN(fd))
		pump(w);
	no_calloc = false;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		assert_string_equal(hear(w, fd[i]), "");
		close(fd[i]);
	}
	fd[0] = dial(w);
	say(w, fd[0], "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, fd[0]), "\"ok\":true"));
	close(fd[0]);
}

/* In a process of its own: who calls is `uid`, in group `gid` and in group 1111 besides. */
static int allowed_for(uid_t uid, gid_t gid, gid_t group)
{
	const struct ctl_listen l = { .group = group };
	const gid_t more = 1111;
	int fd[2], status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setgroups(1, &more) || setegid(gid) || seteuid(uid) ||
		    socketpair(AF_UNIX, SOCK_STREAM, 0, fd) || seteuid(0))
			_exit(2);
		_exit(ctl_peer_allowed(&l, fd[0]));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void who_may_call(void **state)
{
	static const struct {
		uid_t uid;
		gid_t gid, group;
		int allowed;
	} row[] = {
		{ 0, 0, CTL_NO_GROUP, 1 },         { 0, 0, 4444, 1 },
		{ 65534, 65534, CTL_NO_GROUP, 0 }, { 65534, 65534, 4444, 0 },
		{ 65534, 4444, 4444, 1 },          { 65534, 65534, 1111, 1 },
		{ 65534, 0, CTL_NO_GROUP, 0 },
	};

	(void)state;
	skip_unless(geteuid() == 0, "being somebody else");
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_int_equal(allowed_for(row[i].uid, row[i].gid, row[i].group), row[i].allowed);
}

/* Watchers keep their places: when they have all of them, a newcomer is turned away. */
static void all_places_watched(void **state)
{
	struct world *w = *state;
	int fd[CTL_CLIENTS_MAX], more;

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial(w);
		say(w, fd[i], "{\"id\":1,\"cmd\":\"watch\"}\n");
		assert_non_null(strstr(hear(w, fd[i]), "\"ok\":true"));
	}
	more = dial(w);
	assert_string_equal(hear(w, more), "");
	close(more);
	assert_int_equal(counter(w, "ctl.full"), 1);
	close(fd[3]);
	pump(w);
	more = dial(w);
	say(w, more, "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, more), "\"ok\":true"));
	close(more);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		if (i != 3)
			close(fd[i]);
}

static json_t *event_of(int n, size_t size)
{
	static char filler[4096];

	memset(filler, 'x', sizeof(filler));
	return json_pack("{s:i, s:s#}", "n", n, "filler", filler, (int)size);
}

static void watching(void **state)
{
	struct world *w = *state;
	int a = dial(w), b = dial(w), c = dial(w);

	assert_false(ctl_server_watched(w->server));
	say(w, a, "{\"id\":1,\"cmd\":\"watch\"}\n{\"id\":2,\"cmd\":\"watch\"}\n");
	assert_non_null(strstr(hear(w, a), "\"id\":1,\"ok\":true"));
	assert_non_null(strstr(hear(w, a), "\"id\":2,\"ok\":true"));
	say(w, b, "{\"id\":1,\"cmd\":\"watch\"}\n");
	hear(w, b);
	assert_true(ctl_server_watched(w->server));
	for (int i = 0; i < 3; i++) {
		json_t *ev = event_of(i, 0);
		char want[64];

		ctl_server_event(w->server, ev);
		json_decref(ev);
		snprintf(want, sizeof(want), "{\"event\":{\"n\":%d,\"filler\":\"\"}}", i);
		assert_string_equal(hear(w, a), want);
		assert_string_equal(hear(w, b), want);
	}
	assert_int_equal(counter(w, "ctl.watchers"), 2);
	assert_int_equal(counter(w, "ctl.events"), 6);
	/* A watcher may ask as well; who does not watch hears nothing. */
	say(w, a, "{\"id\":9,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, a), "\"id\":9,\"ok\":true"));
	say(w, c, "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, c), "\"id\":1,"));
	assert_int_equal(recv(c, &(char){ 0 }, 1, 0), -1);
	close(a);
	close(b);
	while (ctl_server_watched(w->server))
		uv_run(&w->loop, UV_RUN_ONCE);
	close(c);
}

/* S2: a watcher that does not read is cut off after a bounded backlog; the other hears everything.
 */
static void deaf_watcher(void **state)
{
	struct world *w = *state;
	int deaf = dial(w), good = dial(w), n = 0;

	say(w, deaf, "{\"id\":1,\"cmd\":\"watch\"}\n");
	say(w, good, "{\"id\":1,\"cmd\":\"watch\"}\n");
	hear(w, deaf);
	hear(w, good);
	for (; counter(w, "ctl.slow") == 0; n++) {
		json_t *ev = event_of(n, 4096);
		char want[32];

		assert_true(n * 4096 < 4 * CTL_BACKLOG_MAX);
		ctl_server_event(w->server, ev);
		json_decref(ev);
		snprintf(want, sizeof(want), "{\"event\":{\"n\":%d,", n);
		assert_int_equal(strncmp(hear(w, good), want, strlen(want)), 0);
	}
	assert_true(n * 4096 > CTL_BACKLOG_MAX);
	assert_int_equal(counter(w, "ctl.slow"), 1);
	assert_true(ctl_server_watched(w->server));
	close(deaf);
	close(good);
}

/* Requests without end from somebody who never reads an answer: work stops, nobody else waits. */
static void deaf_client(void **state)
{
	static const char request[] = "{\"id\":1,\"cmd\":\"echo\"}\n";
	struct world *w = *state;
	int deaf = dial(w), good = dial(w);
	unsigned before, idle = 0;

	do {
		before = w->calls;
		while (send(deaf, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0)
			;
		pump(w);
		idle = w->calls == before ? idle + 1 : 0;
	} while (idle < 3);
	say(w, good, request);
	assert_non_null(strstr(hear(w, good), "\"ok\":true"));
	close(good);
	close(deaf);
}

/* Clients that leave at any moment. */
static void leaving_clients(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 200; i++) {
		int fd = dial(w);

		if (i % 2)
			say(w, fd, "{\"id\":1,\"cmd\":\"echo\"}\n");
		if (i % 3 == 0)
			say(w, fd, "{\"id\":2,\"cmd\":\"watch\"}\n{\"id\"");
		if (i % 5)
			pump(w);
		close(fd);
	}
	while (counter(w, "ctl.connections") < 200)
		uv_run(&w->loop, UV_RUN_ONCE);
	pump(w);
}

static void stop_while_answering(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	w->stop_in_handler = true;
	say(w, fd, "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_string_equal(hear(w, fd), "");
	close(fd);
	assert_int_equal(dial_path(w->path), -1);
	w->server = NULL;
}

/* ---- the place in the file system ---- */

static void second_daemon(void **state)
{
	struct world *w = *state;
	struct ctl_server *other = NULL;
	char buf[256];
	struct text why = TEXT_OF(buf);
	int fd;

	assert_int_equal(ctl_server_new(&w->loop, w->path, handler, w, &why, &other), ST_IO);
	assert_non_null(strstr(buf, "another daemon answers there"));
	assert_null(other);
	fd = dial(w); /* the first one is unharmed */
	say(w, fd, "{\"id\":1,\"cmd\":\"echo\"}\n");
	assert_non_null(strstr(hear(w, fd), "\"ok\":true"));
	close(fd);
}

/* A socket left behind by a daemon that was killed is replaced; anything else is not. */
static void stale_socket(void **state)
{
	struct world *w = *state;
	struct ctl_server *other = NULL;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char path[160], buf[256];
	struct text why = TEXT_OF(buf);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(path, sizeof(path), "%s/run/stale", w->dir);
	strcpy(sa.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	assert_int_equal(ctl_server_new(&w->loop, path, handler, w, &why, &other), ST_OK);
	ctl_server_stop(other);
	assert_int_equal(access(path, F_OK), -1);

	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(ctl_server_new(&w->loop, path, handler, w, &why, &other), ST_IO);
	assert_non_null(strstr(buf, "exists and is no socket"));
	assert_int_equal(unlink(path), 0);

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	path[0] = '/';
	assert_int_equal(ctl_server_new(&w->loop, path, handler, w, &why, &other), ST_INVAL);
	assert_int_equal(ctl_server_new(&w->loop, "/proc/none/x/sock", handler, w, &why, &other),
			 ST_IO);
}

/* S2: anybody may open /run for reading, and a lock on it by somebody else keeps no daemon out; a
 * daemon that is just starting does, and nothing of it is left behind. */
static void locks(void **state)
{
	struct world *w = *state;
	char dir[128], path[160], lock[200], buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	struct ctl_listen l;
	int fd, other;

	snprintf(dir, sizeof(dir), "%s/run", w->dir);
	snprintf(path, sizeof(path), "%s/locked", dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(ctl_listen_open(path, &why, &l), ST_OK);
	assert_int_equal(access(lock, F_OK), -1);
	ctl_listen_unlink(&l, path);
	close(l.fd);
	other = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(other, LOCK_EX), 0);
	assert_int_equal(ctl_listen_open(path, &why, &l), ST_IO);
	assert_non_null(strstr(buf, "just starting"));
	close(other); /* it was killed */
	assert_int_equal(ctl_listen_open(path, &why, &l), ST_OK);
	assert_int_equal(access(lock, F_OK), -1);
	ctl_listen_unlink(&l, path);
	close(l.fd);
	close(fd);
}

/* A server that ends does not remove the socket of its successor. */
static void successor(void **state)
{
	struct world *w = *state;
	struct ctl_server *first = w->server;

	assert_int_equal(unlink(w->path), 0);
	server_start(w);
	ctl_server_stop(first);
	assert_int_equal(access(w->path, F_OK), 0);
}

/* ---- the client ---- */

struct caller {
	struct world *w;
	uv_async_t done;
	atomic_bool finished;
	enum status call, refused, watch, event, end;
	char result[128], why[CTL_ERROR_MAX], got[128];
};

static void dump(json_t *o, char *buf, size_t n)
{
	char *s = json_dumps(o, JSON_COMPACT);

	snprintf(buf, n, "%s", s ? s : "");
	free(s);
	json_decref(o);
}

static void *call_thread(void *arg)
{
	struct caller *c = arg;
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf), refused = TEXT_OF(c->why);
	json_t *args = json_pack("{s:s}", "peer", "b"), *o = NULL;
	struct ctl_client *client;

	c->call = ctl_client_new(c->w->path, &why, &client);
	if (c->call == ST_OK)
		c->call = ctl_client_call(client, "echo", args, &why, &o);
	if (c->call == ST_OK) {
		dump(o, c->result, sizeof(c->result));
		c->refused = ctl_client_call(client, "other", NULL, &refused, &o);
		c->watch = ctl_client_call(client, "watch", NULL, &why, &o);
		if (c->watch == ST_OK)
			json_decref(o);
		uv_async_send(&c->done); /* now an event is sent */
		c->event = ctl_client_event(client, &why, &o);
		if (c->event == ST_OK)
			dump(o, c->got, sizeof(c->got));
		c->end = ctl_client_event(client, &why, &o);
		ctl_client_free(client);
	}
	json_decref(args);
	c->finished = true;
	uv_async_send(&c->done);
	return NULL;
}

static void on_done(uv_async_t *h)
{
	struct caller *c = h->data;
	json_t *ev = json_pack("{s:i}", "n", 1);

	if (!c->finished && c->w->server) {
		ctl_server_event(c->w->server, ev);
		ctl_server_stop(c->w->server);
		c->w->server = NULL;
	}
	if (c->finished)
		uv_close((uv_handle_t *)h, NULL);
	json_decref(ev);
}

static void blocking_client(void **state)
{
	struct caller c = { .w = *state };
	pthread_t thread;

	c.done.data = &c;
	uv_async_init(&c.w->loop, &c.done, on_done);
	assert_int_equal(pthread_create(&thread, NULL, call_thread, &c), 0);
	uv_run(&c.w->loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	assert_int_equal(c.call, ST_OK);
	assert_string_equal(c.result, "{\"id\":1,\"cmd\":\"echo\",\"peer\":\"b\"}");
	assert_int_equal(c.refused, ST_REFUSE);
	assert_string_equal(c.why, "unknown command \"other\"");
	assert_int_equal(c.watch, ST_OK);
	assert_int_equal(c.event, ST_OK);
	assert_string_equal(c.got, "{\"n\":1}");
	assert_int_equal(c.end, ST_AGAIN);
}

static void nobody_there(void **state)
{
	struct world *w = *state;
	struct ctl_client *c = NULL;
	char path[160], buf[256];
	struct text why = TEXT_OF(buf);

	snprintf(path, sizeof(path), "%s/none", w->dir);
	assert_int_equal(ctl_client_new(path, &why, &c), ST_IO);
	assert_string_equal(buf, "No such file or directory");
	assert_null(c);
	ctl_client_free(NULL);
}

/* `down` returns when the process has ended, not when it closed the connection. */
static void waits_for_the_process(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct ctl_client *c = NULL;
	char buf[256];
	struct text why = TEXT_OF(buf);
	int fd, ready[2], go[2], status;
	siginfo_t info = { 0 };
	pid_t pid;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/run/child", w->dir);
	assert_true(pipe(ready) == 0 && pipe(go) == 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) { /* a daemon that closes its connection, and ends when told */
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		close(accept(fd, NULL, NULL));
		_exit(read(go[0], buf, 1) == 1 ? 0 : 1);
	}
	assert_int_equal(read(ready[0], buf, 1), 1);
	assert_int_equal(ctl_client_new(sa.sun_path, &why, &c), ST_OK);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	assert_int_equal(info.si_pid, 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(ctl_client_wait_end(c, &why), ST_OK);
	info.si_pid = 0;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	assert_int_equal(info.si_pid, pid);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ctl_client_free(c);
	unlink(sa.sun_path);
	for (size_t i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, world_new, world_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(request_and_answer),
		SERVER_TEST(byte_by_byte),
		SERVER_TEST(pipelined),
		SERVER_TEST(hostile_lines),
		SERVER_TEST(endless_line),
		SERVER_TEST(hanging_clients),
		SERVER_TEST(no_memory_for_a_client),
		cmocka_unit_test(who_may_call),
		SERVER_TEST(all_places_watched),
		SERVER_TEST(watching),
		SERVER_TEST(deaf_watcher),
		SERVER_TEST(deaf_client),
		SERVER_TEST(leaving_clients),
		SERVER_TEST(stop_while_answering),
		SERVER_TEST(second_daemon),
		SERVER_TEST(stale_socket),
		SERVER_TEST(locks),
		SERVER_TEST(successor),
		SERVER_TEST(blocking_client),
		SERVER_TEST(nobody_there),
		SERVER_TEST(waits_for_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
