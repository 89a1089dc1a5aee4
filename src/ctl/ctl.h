/*
 * ctl.h - the control protocol: one JSON object a line over a UNIX stream socket.
 *
 *	-> {"id":1,"cmd":"status"}
 *	<- {"id":1,"ok":true,"result":{...}}
 *	-> {"id":2,"cmd":"up","peer":"nobody"}
 *	<- {"id":2,"ok":false,"error":"no peer \"nobody\""}
 *	-> {"id":3,"cmd":"watch"}
 *	<- {"id":3,"ok":true,"result":{}}
 *	<- {"event":{...}}			as events happen, until the client goes
 *
 * docs/control.md is the reference.  Three parts: framing and messages (pure: bytes in, values
 * out), the server on a libuv loop, a blocking client.
 *
 * The server trusts nobody: a request line has at most CTL_LINE_MAX bytes and CTL_DEPTH_MAX levels,
 * and what is no request ends the connection after one error line.  Each client has one request at
 * a time in work; the next is read when the answer was handed to the kernel, so a flood costs its
 * sender more than us.  A client that does not read what it asked for is cut off when
 * CTL_BACKLOG_MAX bytes wait for it, and never delays another.  When all CTL_CLIENTS_MAX places are
 * taken the client that was silent longest and does not watch makes room.  Everything of this is
 * counted.  The socket is root's, and its group's if there is a group CTL_GROUP: mode 0660, else
 *0600; the kernel's word for who calls is checked as well.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"

enum {
	CTL_LINE_MAX = 64 << 10, /* of a request, without its newline */
	CTL_DEPTH_MAX = 16, /* objects and arrays in each other, in a request */
	CTL_CLIENTS_MAX = 32,
	CTL_BACKLOG_MAX = 4 << 20, /* unsent bytes of a watcher; watchers share them */
	CTL_REPLY_MAX = 256 << 20, /* what the client takes */
};

/* Members may drive the daemon, which includes to end it; they cannot read its keys. */
#define CTL_GROUP "warren"
#define CTL_DEFAULT_PATH "/run/warren/warren.sock"
#define CTL_ERROR_MAX 512

/* ---- framing ----------------------------------------------------------------------------- */

/* Cuts a stream into lines, whatever pieces it comes in. */
struct ctl_lines {
	char *buf;
	size_t n; /* bytes in `buf` */
	size_t taken; /* of them already handed out */
	size_t whole; /* lines that are complete and not handed out */
	size_t partial; /* bytes of the line that is not */
	size_t cap;
	size_t max;
};

void ctl_lines_init(struct ctl_lines *l, size_t max);
void ctl_lines_done(struct ctl_lines *l);

/* Appends what was received.  ST_DROP: a line is longer than `max`; ST_NOMEM. */
MUST enum status ctl_lines_feed(struct ctl_lines *l, struct bytes in);

/* The next whole line without its newline, valid until the next feed; false when there is none. */
bool ctl_lines_next(struct ctl_lines *l, struct bytes *ret_line);

/* ---- messages ---------------------------------------------------------------------------- */

/* A JSON object, nesting at most `depth`, no repeated names, valid UTF-8, nothing after it.
 * ST_INVAL with `why`; on ST_OK the caller owns `*ret_object`. */
MUST enum status ctl_object_parse(struct bytes line, unsigned depth, struct text *why,
				  json_t **ret_object);

struct ctl_request {
	json_t *object; /* owned; the rest points into it */
	json_int_t id;
	const char *cmd;
};

/* A request: "id" is an integer from 0, "cmd" a string.  Other members are the command's.  ST_INVAL
 * with `why`; `*id`, for the answer, is set in any case, to -1 when it could not be read. */
MUST enum status ctl_request_parse(struct bytes line, struct text *why, json_int_t *id,
				   struct ctl_request *ret_request);
void ctl_request_done(struct ctl_request *r);

/* Lines with newline, allocated with malloc(); NULL when out of memory.  They take no reference. */
char *ctl_result_line(json_int_t id, json_t *result);
char *ctl_error_line(json_int_t id, const char *error); /* id below 0: null */
char *ctl_event_line(json_t *event);

/* ---- server ------------------------------------------------------------------------------ */

struct ctl_server;
struct uv_loop_s; /* uv_loop_t */

/*
 * Answers one command.  `request` is the whole object (borrowed).  Returns a new reference that
 * becomes "result", or NULL with `error` filled.  "watch" is not passed on.  Called from the loop;
 * it must not free the server, but may stop it.
 */
typedef json_t *ctl_handler_fn(void *ctx, const char *cmd, json_t *request, struct text *error);

/*
 * Listens on `path`, whose directory is made if it is missing (its parent must be there).  A socket
 * nobody answers on is replaced.  ST_IO with `why` when the path is taken by a living daemon or by
 * something that is no socket, or cannot be made.  Ignores SIGPIPE for the whole process: a client
 * may leave while it is being answered.
 */
MUST enum status ctl_server_new(struct uv_loop_s *loop, const char *path, ctl_handler_fn *handler,
				void *ctx, struct text *why, struct ctl_server **ret_server);

/* To all watchers; borrowed.  Never blocks. */
void ctl_server_event(struct ctl_server *s, json_t *event);
/* Whether ctl_server_event() would reach anybody: spares rendering. */
bool ctl_server_watched(const struct ctl_server *s);

/* Removes the socket from the file system, closes everything and frees the server from the loop,
 * which must run (uv_run) until its handles are closed.  Takes NULL.  Clients see the end of their
 * connection: `warren down` waits for the process instead. */
void ctl_server_stop(struct ctl_server *s);

/* "ctl.clients", "ctl.requests", "ctl.bad", ...; an obs_counter_fn. */
bool ctl_server_counter(const void *server, size_t index, const char **ret_name,
			uint64_t *ret_value);

/* ---- client ------------------------------------------------------------------------------ */

struct ctl_client;

/* ST_IO with `why` when nobody answers at `path`. */
MUST enum status ctl_client_new(const char *path, struct text *why, struct ctl_client **ret_client);
void ctl_client_free(struct ctl_client *c);

/* One command, blocking for at most CTL_CALL_TIMEOUT_S.  `args` (may be NULL, borrowed) holds the
 * other members.  ST_REFUSE: the daemon said no, `why` is its word; ST_IO: no proper answer. */
enum {
	CTL_CALL_TIMEOUT_S = 30,
};
MUST enum status ctl_client_call(struct ctl_client *c, const char *cmd, json_t *args,
				 struct text *why, json_t **ret_result);

/* After "watch": waits for the next event.  ST_AGAIN: the daemon closed the connection. */
MUST enum status ctl_client_event(struct ctl_client *c, struct text *why, json_t **ret_event);

/* Waits until the daemon at the other end has ended (by its process; by the end of the connection
 * where the kernel cannot tell). */
MUST enum status ctl_client_wait_end(struct ctl_client *c, struct text *why);
