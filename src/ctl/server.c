/*
 * server.c - the control socket on a libuv loop.
 *
 * A client is in `clients` until it is being closed, and in memory until libuv has closed its
 * handle; `open` counts handles, so that the server goes when the last one is gone.
 *
 * Flow control: `busy` while an answer is on its way; lines that came meanwhile wait in `in`, and
 * nothing is read while there are any.  So a client has at most one answer, and at most one read
 * of requests, in memory.
 *
 * libuv asks for no further connection until the one that it announced was accepted, so one has to
 * be accepted even when there is no memory for it: `spare` is for that.  It is closed at once; a
 * connection that comes before it is back waits for it (`owed`).
 */
#include "ctl/ctl.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "ctl/listen.h"

enum counter {
	C_CONNECTIONS, /* accepted */
	C_FOREIGN, /* of another user: closed */
	C_FULL, /* no place, and nobody to make room: closed */
	C_NOMEM, /* no memory for it: closed */
	C_EVICTED, /* silent longest when a place was needed */
	C_REQUESTS,
	C_BAD, /* no request: the connection ended */
	C_WATCHERS, /* that began */
	C_SLOW, /* a watcher that did not read: cut off */
	C_EVENTS, /* sent, once for each watcher */
	COUNTERS,
};

struct ctl_server {
	uv_loop_t *loop;
	uv_pipe_t listener;
	struct ctl_listen listen;
	char *path;
	ctl_handler_fn *handler;
	void *ctx;
	struct client *spare; /* NULL while it is being closed */
	bool owed;
	struct list clients;
	size_t n_clients;
	size_t n_watchers;
	size_t open; /* handles that libuv still has */
	uint64_t turn; /* grows with every request: who was silent longest */
	bool stopping;
	uint64_t counters[COUNTERS];
	char rx[CTL_LINE_MAX]; /* libuv hands it to one read at a time */
};

struct client {
	struct list node;
	struct ctl_server *s;
	uv_pipe_t pipe;
	struct ctl_lines in;
	uint64_t last; /* turn of its last request */
	size_t reply; /* bytes of the answer that is on its way */
	bool watching;
	bool busy;
	bool ending; /* close when the answer is out */
	bool eof; /* close when everything is answered */
	bool gone;
};

/* One line for any number of watchers. */
struct line {
	unsigned refs;
	char *s;
	size_t n;
};

struct sending {
	uv_write_t req;
	struct client *c;
	struct line *line;
	bool event;
};

/* ---- the end of things ---- */

static void server_free(struct ctl_server *s)
{
	free(s->spare);
	free(s->path);
	free(s);
}

static void server_unref(struct ctl_server *s)
{
	if (--s->open == 0)
		server_free(s);
}

static void on_connection(uv_stream_t *listener, int status);

static void on_client_closed(uv_handle_t *h)
{
	struct client *c = h->data;
	struct ctl_server *s = c->s;
	bool owed = s->owed && !s->stopping;

	ctl_lines_done(&c->in);
	if (s->spare)
		free(c);
	else
		s->spare = c;
	s->owed = false;
	if (owed)
		on_connection((uv_stream_t *)&s->listener, 0);
	server_unref(s);
}

static void client_close(struct client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	list_del(&c->node);
	c->s->n_clients--;
	if (c->watching)
		c->s->n_watchers--;
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

/* ---- sending ---- */

static void line_unref(struct line *l)
{
	if (--l->refs > 0)
		return;
	free(l->s);
	free(l);
}

/* Takes `s`. */
static struct line *line_new(char *s)
{
	struct line *l = s ? malloc(sizeof(*l)) : NULL;

	if (!l) {
		free(s);
		return NULL;
	}
	*l = (struct line){ 1, s, strlen(s) };
	return l;
}

static void client_work(struct client *c);

static void on_sent(uv_write_t *req, int status)
{
	struct sending *sd = req->data;
	struct client *c = sd->c;
	bool event = sd->event;

	if (!event)
		c->reply = 0;
	line_unref(sd->line);
	free(sd);
	if (status < 0 || (!event && c->ending))
		client_close(c);
	if (event || c->gone)
		return;
	c->busy = false;
	client_work(c);
}

/* Takes no reference of the caller's.  False when memory is short or the connection broke. */
static bool send_line(struct client *c, struct line *l, bool event)
{
	struct sending *sd = malloc(sizeof(*sd));
	uv_buf_t buf = uv_buf_init(l->s, (unsigned)l->n);

	if (!sd)
		return false;
	*sd = (struct sending){ .c = c, .line = l, .event = event };
	sd->req.data = sd;
	if (uv_write(&sd->req, (uv_stream_t *)&c->pipe, &buf, 1, on_sent)) {
		free(sd);
		return false;
	}
	l->refs++;
	if (!event)
		c->reply = l->n;
	return true;
}

/* Takes `s`, which may be NULL for want of memory. */
static void answer(struct client *c, char *s)
{
	struct line *l = line_new(s);

	c->busy = true;
	if (!l || !send_line(c, l, false))
		client_close(c);
	if (l)
		line_unref(l);
}

/* ---- requests ---- */

static void watch(struct client *c, json_int_t id)
{
	json_t *empty = json_object();

	if (!c->watching) {
		c->watching = true;
		c->s->n_watchers++;
		c->s->counters[C_WATCHERS]++;
	}
	answer(c, empty ? ctl_result_line(id, empty) : NULL);
	json_decref(empty);
}

static void call(struct client *c, const struct ctl_request *r)
{
	char buf[CTL_ERROR_MAX];
	struct text error = TEXT_OF(buf);
	json_t *result = c->s->handler(c->s->ctx, r->cmd, r->object, &error);

	/* The handler may have stopped the server. */
	if (!c->gone)
		answer(c, result ? ctl_result_line(r->id, result) : ctl_error_line(r->id, buf));
	json_decref(result);
}

static void handle(struct client *c, struct bytes line)
{
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	struct ctl_request r;
	json_int_t id;

	c->last = ++c->s->turn;
	if (ctl_request_parse(line, &why, &id, &r) != ST_OK) {
		c->s->counters[C_BAD]++;
		c->ending = true;
		answer(c, ctl_error_line(id, buf));
		return;
	}
	c->s->counters[C_REQUESTS]++;
	if (strcmp(r.cmd, "watch") == 0)
		watch(c, r.id);
	else
		call(c, &r);
	ctl_request_done(&r);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct client *c = h->data;

	(void)suggested;
	*buf = uv_buf_init(c->s->rx, sizeof(c->s->rx));
}

static void too_long(struct client *c)
{
	c->s->counters[C_BAD]++;
	if (c->busy) {
		client_close(c);
		return;
	}
	c->ending = true;
	answer(c, ctl_error_line(-1, "a request has at most 64 KiB"));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	if (n == 0)
		return;
	if (n == UV_EOF && !c->watching) {
		/* It asked and closed its side: what it asked is still answered. */
		c->eof = true;
		client_work(c);
		return;
	}
	if (n < 0) {
		client_close(c);
		return;
	}
	if (ctl_lines_feed(&c->in, bytes_of(buf->base, (size_t)n)) != ST_OK)
		too_long(c);
	else
		client_work(c);
}

/* Answers the next line, or waits for one. */
static void client_work(struct client *c)
{
	struct bytes line;

	uv_read_stop((uv_stream_t *)&c->pipe);
	if (!c->busy && !c->ending && ctl_lines_next(&c->in, &line))
		handle(c, line);
	if (c->gone || c->ending || c->in.whole > 0)
		return;
	if (c->eof && c->busy)
		return;
	if (c->eof || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read))
		client_close(c);
}

/* ---- accepting ---- */

/* The client that was silent longest and does not watch. */
static struct client *idlest(struct ctl_server *s)
{
	struct client *found = NULL;

	list_for_each(n, &s->clients) {
		struct client *c = CONTAINER_OF(n, struct client, node);

		if (!c->watching && (!found || c->last < found->last))
			found = c;
	}
	return found;
}

static bool make_place(struct ctl_server *s)
{
	struct client *c;

	if (s->n_clients < CTL_CLIENTS_MAX)
		return true;
	c = idlest(s);
	s->counters[c ? C_EVICTED : C_FULL]++;
	if (c)
		client_close(c);
	return c != NULL;
}

static bool admit(struct client *c)
{
	struct ctl_server *s = c->s;
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&c->pipe, &fd) || !ctl_peer_allowed(&s->listen, fd)) {
		s->counters[C_FOREIGN]++;
		return false;
	}
	return make_place(s);
}

/* Zeroed; the spare one when there is no memory, NULL when that is out too. */
static struct client *client_new(struct ctl_server *s, bool *ret_spare)
{
	struct client *c = calloc(1, sizeof(*c));

	*ret_spare = !c;
	if (c || !s->spare)
		return c;
	c = s->spare;
	s->spare = NULL;
	*c = (struct client){ 0 };
	return c;
}

/* Accepts into `c`; false: it must be closed at once. */
static bool client_accept(struct ctl_server *s, struct client *c)
{
	c->s = s;
	(void)!uv_pipe_init(s->loop, &c->pipe, 0); /* cannot fail on Unix */
	c->pipe.data = c;
	ctl_lines_init(&c->in, CTL_LINE_MAX);
	c->last = ++s->turn;
	s->open++;
	return uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->pipe) == 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct ctl_server *s = listener->data;
	struct client *c;
	bool spare, good;

	if (status != 0)
		return;
	c = client_new(s, &spare);
	if (!c) {
		s->owed = true;
		return;
	}
	good = client_accept(s, c) && !spare && admit(c);
	s->counters[C_NOMEM] += spare;
	if (!good) {
		c->gone = true;
		uv_close((uv_handle_t *)&c->pipe, on_client_closed);
		return;
	}
	s->counters[C_CONNECTIONS]++;
	s->n_clients++;
	list_add_tail(&s->clients, &c->node);
	client_work(c);
}

/* ---- the server ---- */

static void on_listener_closed(uv_handle_t *h)
{
	server_unref(h->data);
}

void ctl_server_stop(struct ctl_server *s)
{
	if (!s || s->stopping)
		return;
	s->stopping = true;
	ctl_listen_unlink(&s->listen, s->path);
	list_for_each_safe(n, &s->clients)
		client_close(CONTAINER_OF(n, struct client, node));
	uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

static enum status start(struct ctl_server *s, struct text *why)
{
	int err = uv_pipe_open(&s->listener, s->listen.fd);

	/* A full backlog refuses at once, with EAGAIN: room for a crowd costs nothing. */
	if (!err)
		err = uv_listen((uv_stream_t *)&s->listener, SOMAXCONN, on_connection);
	if (!err)
		return ST_OK;
	text_fmt(why, "control socket %s: %s", s->path, uv_strerror(err));
	return ST_IO;
}

static struct ctl_server *server_alloc(uv_loop_t *loop, const char *path)
{
	struct ctl_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->path = strdup(path);
	s->spare = calloc(1, sizeof(*s->spare));
	list_init(&s->clients);
	if (s->path && s->spare && uv_pipe_init(loop, &s->listener, 0) == 0)
		return s;
	server_free(s);
	return NULL;
}

enum status ctl_server_new(uv_loop_t *loop, const char *path, ctl_handler_fn *handler, void *ctx,
			   struct text *why, struct ctl_server **ret_server)
{
	struct ctl_listen l;
	enum status st = ctl_listen_open(path, why, &l);
	struct ctl_server *s;

	if (st != ST_OK)
		return st;
	s = server_alloc(loop, path);
	if (!s) {
		ctl_listen_close(&l, path);
		return ST_NOMEM;
	}
	signal(SIGPIPE, SIG_IGN);
	s->listen = l;
	s->listener.data = s;
	s->open = 1;
	s->handler = handler;
	s->ctx = ctx;
	st = start(s, why);
	if (st == ST_OK)
		*ret_server = s;
	else
		ctl_server_stop(s);
	return st;
}

bool ctl_server_watched(const struct ctl_server *s)
{
	return s->n_watchers > 0;
}

/* Bytes of events that the kernel has not taken yet.  An answer it asked for does not count, which
 * is at most what is left of it. */
static size_t backlog(const struct client *c)
{
	size_t queued = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);

	return queued > c->reply ? queued - c->reply : 0;
}

/* A watcher that does not read costs its place, not our memory. */
static void send_event(struct client *c, struct line *l)
{
	struct ctl_server *s = c->s;

	if (backlog(c) + l->n > CTL_BACKLOG_MAX || !send_line(c, l, true)) {
		s->counters[C_SLOW]++;
		client_close(c);
		return;
	}
	s->counters[C_EVENTS]++;
}

void ctl_server_event(struct ctl_server *s, json_t *event)
{
	struct line *l;

	if (!ctl_server_watched(s))
		return;
	l = line_new(ctl_event_line(event));
	if (!l)
		return;
	list_for_each_safe(n, &s->clients) {
		struct client *c = CONTAINER_OF(n, struct client, node);

		if (c->watching)
			send_event(c, l);
	}
	line_unref(l);
}

bool ctl_server_counter(const void *server, size_t index, const char **ret_name,
			uint64_t *ret_value)
{
	static const char *const name[COUNTERS] = {
		[C_CONNECTIONS] = "ctl.connections",
		[C_FOREIGN] = "ctl.foreign",
		[C_FULL] = "ctl.full",
		[C_NOMEM] = "ctl.no_memory",
		[C_EVICTED] = "ctl.evicted",
		[C_REQUESTS] = "ctl.requests",
		[C_BAD] = "ctl.bad",
		[C_WATCHERS] = "ctl.watchers",
		[C_SLOW] = "ctl.slow",
		[C_EVENTS] = "ctl.events",
	};
	const struct ctl_server *s = server;

	if (index >= COUNTERS)
		return false;
	*ret_name = name[index];
	*ret_value = s->counters[index];
	return true;
}
