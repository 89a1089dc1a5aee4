/* A queue thread: what it waits for, and what one turn does. */
#include "dp/user/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENT_TUN = 1000, /* smaller: index of a socket */
	EVENT_WAKE,
	EVENTS = DP_USER_MAX_SOCKETS + 2,
};

int64_t user_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- reports ------------------------------------------------------------------------------- */

bool queue_report(struct queue *q, const struct dp_report *r)
{
	struct dp_report *to = ring_put(&q->reports, sizeof(*r));

	if (!to) {
		count(q, C_REPORT_LOST, 1);
		return false;
	}
	*to = *r;
	ring_commit(&q->reports);
	q->host_waiting = true;
	return true;
}

/* A report that did not fit is made again with the next packet. */
static void report_once(struct queue *q, const struct child *c, bool hard, _Atomic bool *reported)
{
	const struct dp_report r = { .kind = DP_REPORT_EXPIRE, .u.expire = { c->id, hard } };

	if (atomic_exchange_explicit(reported, true, memory_order_relaxed))
		return;
	if (!queue_report(q, &r))
		atomic_store_explicit(reported, false, memory_order_relaxed);
}

void child_check_limits(struct queue *q, struct child *c, uint64_t packets, uint64_t bytes)
{
	if (dp_limit_soft(&c->limit, packets, bytes))
		report_once(q, c, false, &c->soft_reported);
	if (dp_limit_hard(&c->limit, packets, bytes)) {
		atomic_store_explicit(&c->dead, true, memory_order_relaxed);
		report_once(q, c, true, &c->hard_reported);
	}
}

/* ---- waking -------------------------------------------------------------------------------- */

void queue_poke(struct queue *q)
{
	uint64_t one = 1;

	/* A full counter means that it is awake anyway. */
	if (write(q->wake, &one, sizeof(one)) < 0)
		return;
}

static void end_turn(struct queue *q)
{
	bulk_forget();
	if (q->host_waiting)
		user_signal_host(q->u);
	q->host_waiting = false;
	for (unsigned i = 0; i < q->u->n_queues; i++) {
		if (q->poked[i])
			queue_poke(&q->u->queue[i]);
		q->poked[i] = false;
	}
}

/* The counter goes down before the rings are read, so that what is put in later wakes us again. */
static void woken(struct queue *q)
{
	uint64_t n;

	if (read(q->wake, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	tx_drain_control(q);
	rx_drain_strangers(q);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void handle(struct queue *q, const struct epoll_event *e)
{
	if (e->data.u32 == EVENT_TUN) {
		tx_drain_tun(q);
	} else if (e->data.u32 == EVENT_WAKE) {
		woken(q);
	} else {
		if (e->events & EPOLLERR)
			udp_errors(q, e->data.u32);
		udp_receive(q, e->data.u32);
	}
}

static void *run(void *arg)
{
	struct queue *q = arg;
	struct epoll_event e[EVENTS];

	while (!atomic_load_explicit(&q->u->stop, memory_order_acquire)) {
		int n = epoll_wait(q->epoll, e, EVENTS, silence_wait_ms(q));

		qsbr_online(&q->u->qsbr, q->i);
		q->now_ns = user_clock_ns();
		q->tick = tick_of(q->now_ns);
		for (int i = 0; i < n; i++)
			handle(q, &e[i]);
		silence_look(q);
		end_turn(q);
		if (qsbr_offline(&q->u->qsbr, q->i))
			user_signal_host(q->u);
	}
	return NULL;
}

/* ---- lifecycle ----------------------------------------------------------------------------- */

static bool watch(struct queue *q, int fd, uint32_t what)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = what };

	return epoll_ctl(q->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static enum status open_events(struct queue *q, struct text *why)
{
	struct user *u = q->u;
	bool ok;

	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	q->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ok = q->epoll >= 0 && q->wake >= 0 && watch(q, q->tun, EVENT_TUN) &&
	     watch(q, q->wake, EVENT_WAKE);
	for (size_t i = 0; ok && i < u->n_sockets; i++)
		if (u->socket[i].queue == q->i)
			ok = watch(q, u->socket[i].fd, (uint32_t)i);
	if (ok)
		return ST_OK;
	text_fmt(why, "cannot watch descriptors: %s", strerror(errno));
	return ST_IO;
}

static enum status buffers(struct queue *q)
{
	const struct alloc *mem = q->u->mem;
	enum status st = udp_io_new(mem, &q->io);

	q->tx.read_buf = mem_new(mem, RX_BUFFER);
	q->tx.scratch = mem_new(mem, RX_BUFFER);
	q->tx.buf = mem_new(mem, TX_BYTES);
	q->rx.bufs = mem_new(mem, RX_MESSAGES * RX_BUFFER);
	q->asked.v = mem_new(mem, WATCHED_MAX * sizeof(*q->asked.v));
	q->flowing.v = mem_new(mem, WATCHED_MAX * sizeof(*q->flowing.v));
	if (st || !q->asked.v || !q->flowing.v || !q->tx.read_buf || !q->tx.scratch || !q->tx.buf ||
	    !q->rx.bufs)
		return ST_NOMEM;
	return ST_OK;
}

static enum status rings(struct queue *q)
{
	const struct alloc *mem = q->u->mem;
	enum status st = ring_init(&q->control, mem, RING_BYTES);

	if (st == ST_OK)
		st = ring_init(&q->reports, mem, REPORT_RING_BYTES);
	if (st == ST_OK)
		st = ring_init(&q->ike, mem, IKE_RING_BYTES);
	for (unsigned i = 0; st == ST_OK && i < q->u->n_queues; i++)
		if (i != q->i)
			st = ring_init(&q->from[i], mem, RING_BYTES);
	return st;
}

enum status queue_init(struct queue *q, struct user *u, unsigned i, int tun, struct text *why)
{
	enum status st;

	q->u = u;
	q->i = i;
	q->tun = tun;
	st = buffers(q);
	if (st == ST_OK)
		st = rings(q);
	if (st)
		return st;
	return open_events(q, why);
}

/* Signals are the host's. */
enum status queue_start(struct queue *q, struct text *why)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&q->thread, NULL, run, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		text_fmt(why, "cannot start a thread: %s", strerror(err));
		return ST_IO;
	}
	q->started = true;
	return ST_OK;
}

/* `stop` has been set. */
void queue_stop(struct queue *q)
{
	if (!q->started)
		return;
	queue_poke(q);
	pthread_join(q->thread, NULL);
	q->started = false;
}

void queue_done(struct queue *q)
{
	const struct alloc *mem = q->u->mem;

	if (q->epoll >= 0)
		close(q->epoll);
	if (q->wake >= 0)
		close(q->wake);
	ring_done(&q->control, mem);
	ring_done(&q->reports, mem);
	ring_done(&q->ike, mem);
	for (unsigned i = 0; i < DP_USER_MAX_QUEUES; i++)
		ring_done(&q->from[i], mem);
	mem_free(mem, q->io);
	mem_free(mem, q->asked.v);
	mem_free(mem, q->flowing.v);
	mem_free(mem, q->tx.read_buf);
	mem_free(mem, q->tx.scratch);
	/* Plaintext has been in it. */
	mem_free_secret(mem, q->tx.buf, q->tx.buf ? TX_BYTES : 0);
	mem_free_secret(mem, q->rx.bufs, q->rx.bufs ? RX_MESSAGES * RX_BUFFER : 0);
}
