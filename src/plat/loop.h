/*
 * loop.h - what waits on a libuv loop: descriptors, deadlines, signals, slow work.
 *
 * Every object is made for a loop and calls back in the thread that runs it.  `_free` may be called
 * at any time, also from the object's own callback; the memory goes when libuv has let go of the
 * handle, which takes one more turn of the loop: plat_loop_close() runs that turn.
 */
#pragma once

#include <uv.h>

#include "base/base.h"

/* Runs what is left until every handle is gone, and closes the loop. All objects must have been
 * freed. ST_BUG: one was not. */
MUST enum status plat_loop_close(uv_loop_t *loop);

/* ---- readable descriptors ---------------------------------------------------------------- */

struct plat_poll;
typedef void plat_poll_fn(void *ctx);

/* Level-triggered; error conditions (POLLERR) are reported like data, and `fn` has to take them off
 * the descriptor.  The descriptor stays its owner's and must live until plat_poll_free(). */
MUST enum status plat_poll_new(uv_loop_t *loop, int fd, plat_poll_fn *fn, void *ctx,
			       struct plat_poll **ret_poll);
void plat_poll_free(struct plat_poll *p);

/* ---- one deadline ------------------------------------------------------------------------ */

/* On CLOCK_BOOTTIME, in nanoseconds (libuv's own timers count milliseconds and stop in suspend). */
struct plat_timer;
typedef void plat_timer_fn(void *ctx);

MUST enum status plat_timer_new(uv_loop_t *loop, plat_timer_fn *fn, void *ctx,
				struct plat_timer **ret_timer);
/* MONO_NEVER disarms; a moment that has passed fires in the next turn. */
void plat_timer_at(struct plat_timer *t, mono_t when);
void plat_timer_free(struct plat_timer *t);

/* ---- clocks that jump -------------------------------------------------------------------- */

/* Calls back when the wall clock was set, and when the machine has slept. */
struct plat_clock;
typedef void plat_clock_fn(void *ctx);

MUST enum status plat_clock_new(uv_loop_t *loop, plat_clock_fn *fn, void *ctx,
				struct plat_clock **ret_clock);
void plat_clock_free(struct plat_clock *c);

/* ---- signals ----------------------------------------------------------------------------- */

struct plat_signal;
typedef void plat_signal_fn(void *ctx, int signo);

MUST enum status plat_signal_new(uv_loop_t *loop, int signo, plat_signal_fn *fn, void *ctx,
				 struct plat_signal **ret_signal);
void plat_signal_free(struct plat_signal *s);

/* ---- slow work --------------------------------------------------------------------------- */

/*
 * `run` is called in a thread of the pool, `done` afterwards in the loop's thread, exactly once,
 * also when the work was cancelled before it began (`ran` false then).  The object is gone after
 * `done`.  Cancelling what already runs has no effect: the caller ignores the result.
 */
struct plat_work;

struct plat_work_fns {
	void (*run)(void *ctx);
	void (*done)(void *ctx, bool ran);
};

MUST enum status plat_work_start(uv_loop_t *loop, const struct plat_work_fns *fns, void *ctx,
				 struct plat_work **ret_work);
void plat_work_cancel(struct plat_work *w);
