/*
 * resolved.c - the daemon's end.
 *
 * One wish is under way at a time; the next waits until there is a reply, and the last one counts.
 */
#include "resolved/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/child.h"
#include "plat/process.h"

enum { END_MS = 2000 };

struct resolved {
	int fd, pid;
	bool asked; /* there is no reply yet */
	bool waiting; /* `next` is to be sent */
	struct resolved_request next;
	enum resolved_state state;
	resolved_fn *fn;
	void *ctx;
};

const char *resolved_state_name(enum resolved_state state)
{
	static const char *const names[] = {
		[RESOLVED_IDLE] = "idle",
		[RESOLVED_SET] = "set",
		[RESOLVED_ABSENT] = "absent",
		[RESOLVED_REFUSED] = "refused",
	};

	return names[state];
}

enum status resolved_fork(struct text *why, struct resolved **ret_resolved)
{
	struct resolved *r = calloc(1, sizeof(*r));
	enum status st;

	if (!r)
		return ST_NOMEM;
	st = plat_child_fork("warren-resolved", SOCK_SEQPACKET, resolved_agent, why, &r->fd,
			     &r->pid);
	if (st != ST_OK) {
		free(r);
		return st;
	}
	*ret_resolved = r;
	return ST_OK;
}

void resolved_free(struct resolved *r)
{
	if (!r)
		return;
	close(r->fd);
	plat_child_await(r->pid, END_MS);
	(void)waitpid(r->pid, NULL, WNOHANG);
	free(r);
}

/* A socket that is full, or gone, is seen by the next pump. */
static bool send_request(struct resolved *r, const struct resolved_request *q)
{
	uint8_t buf[RESOLVED_MESSAGE_MAX];
	size_t n = resolved_make_request(q, buf);

	return send(r->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

enum status resolved_device(struct resolved *r, int ifindex, struct text *why)
{
	const struct resolved_request q = { .type = RESOLVED_DEVICE, .ifindex = ifindex };

	if (send_request(r, &q))
		return ST_OK;
	text_add(why, "the process that talks to systemd-resolved is gone");
	return ST_IO;
}

static void send_next(struct resolved *r)
{
	if (r->asked || !r->waiting)
		return;
	r->asked = send_request(r, &r->next);
	r->waiting = !r->asked;
}

void resolved_set(struct resolved *r, const struct resolved_wish *w)
{
	struct resolved_request *q = &r->next;

	*q = (struct resolved_request){ .type = RESOLVED_WISH };
	for (size_t i = 0; i < w->n_dns && q->n_dns < RESOLVED_DNS_MAX; i++)
		q->dns[q->n_dns++] = w->dns[i];
	for (size_t i = 0; i < w->n_domains && q->n_domains < RESOLVED_DOMAINS_MAX; i++) {
		size_t n = strlen(w->domains[i]);

		if (n && n <= RESOLVED_NAME_MAX)
			memcpy(q->domains[q->n_domains++], w->domains[i], n + 1);
	}
	r->waiting = true;
	send_next(r);
}

void resolved_on_change(struct resolved *r, resolved_fn *fn, void *ctx)
{
	r->fn = fn;
	r->ctx = ctx;
}

int resolved_fd(const struct resolved *r)
{
	return r->fd;
}

enum resolved_state resolved_state(const struct resolved *r)
{
	return r->state;
}

static enum status gone(struct resolved *r, struct text *why)
{
	text_add(why, "the process that talks to systemd-resolved ended");
	r->state = RESOLVED_ABSENT;
	r->asked = true; /* for ever */
	return ST_IO;
}

static void take_reply(struct resolved *r, const struct resolved_reply *reply)
{
	r->asked = false;
	r->state = reply->state;
	if (r->fn)
		r->fn(r->ctx, reply->state, reply->text);
	send_next(r);
}

enum status resolved_pump(struct resolved *r, struct text *why)
{
	uint8_t buf[RESOLVED_MESSAGE_MAX];
	struct resolved_reply reply;

	for (;;) {
		ssize_t n = recv(r->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return ST_OK;
		if (n <= 0 || resolved_parse_reply(bytes_of(buf, (size_t)n), &reply) != ST_OK)
			return gone(r, why);
		take_reply(r, &reply);
	}
}
