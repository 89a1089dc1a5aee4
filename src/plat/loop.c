#include "plat/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Longer than anybody runs without a restart, and what a 32-bit time_t still holds today. */
#define CLOCK_FAR_S (365 * 86400)

enum status plat_loop_close(uv_loop_t *loop)
{
	uv_run(loop, UV_RUN_DEFAULT);
	return uv_loop_close(loop) == 0 ? ST_OK : ST_BUG;
}

/* ---- readable descriptors ---------------------------------------------------------------- */

struct plat_poll {
	uv_poll_t uv;
	plat_poll_fn *fn;
	void *ctx;
};

static void poll_ready(uv_poll_t *h, int status, int events)
{
	struct plat_poll *p = CONTAINER_OF(h, struct plat_poll, uv);

	(void)events;
	p->fn(p->ctx);
	/* libuv takes POLLERR for a dead descriptor and stops.  On a socket it is an ICMP error,
	 * which the reader has just taken from its queue. */
	if (status < 0 && !uv_is_closing((uv_handle_t *)h))
		uv_poll_start(h, UV_READABLE, poll_ready);
}

enum status plat_poll_new(uv_loop_t *loop, int fd, plat_poll_fn *fn, void *ctx,
			  struct plat_poll **ret_poll)
{
	struct plat_poll *p = calloc(1, sizeof(*p));

	if (!p)
		return ST_NOMEM;
	p->fn = fn;
	p->ctx = ctx;
	if (uv_poll_init(loop, &p->uv, fd) != 0) {
		free(p);
		return ST_IO;
	}
	if (uv_poll_start(&p->uv, UV_READABLE, poll_ready) != 0) {
		plat_poll_free(p);
		return ST_IO;
	}
	*ret_poll = p;
	return ST_OK;
}

static void poll_closed(uv_handle_t *h)
{
	free(CONTAINER_OF(h, struct plat_poll, uv));
}

void plat_poll_free(struct plat_poll *p)
{
	if (p)
		uv_close((uv_handle_t *)&p->uv, poll_closed);
}

/* ---- one deadline ------------------------------------------------------------------------ */

struct plat_timer {
	struct plat_poll *poll;
	int fd;
	mono_t when;
	plat_timer_fn *fn;
	void *ctx;
};

static void timer_ready(void *ctx)
{
	struct plat_timer *t = ctx;
	uint64_t expirations;

	if (read(t->fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return; /* re-armed meanwhile */
	t->when = MONO_NEVER;
	t->fn(t->ctx);
}

enum status plat_timer_new(uv_loop_t *loop, plat_timer_fn *fn, void *ctx,
			   struct plat_timer **ret_timer)
{
	struct plat_timer *t = calloc(1, sizeof(*t));
	enum status st;

	if (!t)
		return ST_NOMEM;
	*t = (struct plat_timer){ .when = MONO_NEVER, .fn = fn, .ctx = ctx };
	t->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	st = t->fd < 0 ? ST_IO : plat_poll_new(loop, t->fd, timer_ready, t, &t->poll);
	if (st != ST_OK) {
		plat_timer_free(t);
		return st;
	}
	*ret_timer = t;
	return ST_OK;
}

void plat_timer_at(struct plat_timer *t, mono_t when)
{
	struct itimerspec its = { 0 };
	/* An absolute zero would disarm. */
	int64_t ns = when.ns > 0 ? when.ns : 1;

	if (when.ns == t->when.ns)
		return;
	t->when = when;
	if (when.ns != MONO_NEVER.ns) {
		its.it_value.tv_sec = ns / 1000000000;
		its.it_value.tv_nsec = ns % 1000000000;
	}
	timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &its, NULL);
}

void plat_timer_free(struct plat_timer *t)
{
	if (!t)
		return;
	plat_poll_free(t->poll);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

/* ---- clocks that jump -------------------------------------------------------------------- */

struct plat_clock {
	struct plat_poll *poll;
	int fd;
	plat_clock_fn *fn;
	void *ctx;
};

/* A timer that never ends but is cancelled when the clock is set: timerfd_create(2). */
static bool wait_for_jump(const struct plat_clock *c)
{
	struct itimerspec its = { 0 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	its.it_value.tv_sec = now.tv_sec + CLOCK_FAR_S;
	return timerfd_settime(c->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &its, NULL) == 0;
}

static void clock_ready(void *ctx)
{
	struct plat_clock *c = ctx;
	uint64_t expirations;
	ssize_t n = read(c->fd, &expirations, sizeof(expirations));

	if (n < 0 && errno == EAGAIN)
		return;
	wait_for_jump(c);
	if (n < 0)
		c->fn(c->ctx);
}

enum status plat_clock_new(uv_loop_t *loop, plat_clock_fn *fn, void *ctx,
			   struct plat_clock **ret_clock)
{
	struct plat_clock *c = calloc(1, sizeof(*c));
	enum status st = ST_IO;

	if (!c)
		return ST_NOMEM;
	*c = (struct plat_clock){ .fn = fn, .ctx = ctx };
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (c->fd >= 0 && wait_for_jump(c))
		st = plat_poll_new(loop, c->fd, clock_ready, c, &c->poll);
	if (st != ST_OK) {
		plat_clock_free(c);
		return st;
	}
	*ret_clock = c;
	return ST_OK;
}

void plat_clock_free(struct plat_clock *c)
{
	if (!c)
		return;
	plat_poll_free(c->poll);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* ---- signals ----------------------------------------------------------------------------- */

struct plat_signal {
	uv_signal_t uv;
	plat_signal_fn *fn;
	void *ctx;
};

static void signal_ready(uv_signal_t *h, int signo)
{
	struct plat_signal *s = CONTAINER_OF(h, struct plat_signal, uv);

	s->fn(s->ctx, signo);
}

static void signal_closed(uv_handle_t *h)
{
	free(CONTAINER_OF(h, struct plat_signal, uv));
}

enum status plat_signal_new(uv_loop_t *loop, int signo, plat_signal_fn *fn, void *ctx,
			    struct plat_signal **ret_signal)
{
	struct plat_signal *s = calloc(1, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->fn = fn;
	s->ctx = ctx;
	if (uv_signal_init(loop, &s->uv) != 0) {
		free(s);
		return ST_IO;
	}
	if (uv_signal_start(&s->uv, signal_ready, signo) != 0) {
		plat_signal_free(s);
		return ST_IO;
	}
	*ret_signal = s;
	return ST_OK;
}

void plat_signal_free(struct plat_signal *s)
{
	if (s)
		uv_close((uv_handle_t *)&s->uv, signal_closed);
}

/* ---- slow work --------------------------------------------------------------------------- */

struct plat_work {
	uv_work_t uv;
	struct plat_work_fns fns;
	void *ctx;
};

static void work_run(uv_work_t *uv)
{
	struct plat_work *w = CONTAINER_OF(uv, struct plat_work, uv);

	w->fns.run(w->ctx);
}

static void work_done(uv_work_t *uv, int status)
{
	struct plat_work *w = CONTAINER_OF(uv, struct plat_work, uv);

	w->fns.done(w->ctx, status == 0);
	free(w);
}

enum status plat_work_start(uv_loop_t *loop, const struct plat_work_fns *fns, void *ctx,
			    struct plat_work **ret_work)
{
	struct plat_work *w = calloc(1, sizeof(*w));

	if (!w)
		return ST_NOMEM;
	w->fns = *fns;
	w->ctx = ctx;
	if (uv_queue_work(loop, &w->uv, work_run, work_done) != 0) {
		free(w);
		return ST_IO;
	}
	*ret_work = w;
	return ST_OK;
}

void plat_work_cancel(struct plat_work *w)
{
	if (w)
		uv_cancel((uv_req_t *)&w->uv);
}
