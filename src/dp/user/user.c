/* The object as the host sees it: lifecycle, reports, IKE datagrams, counters. */
#include "dp/user/internal.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct user *user_of(struct dp *dp)
{
	return CONTAINER_OF(dp, struct user, dp);
}

/* ---- the host's descriptor ----------------------------------------------------------------- */

/* Written once until the host has found everything empty. */
void user_signal_host(struct user *u)
{
	uint64_t one = 1;

	if (atomic_exchange_explicit(&u->host_signalled, true, memory_order_acq_rel))
		return;
	if (write(u->host_event, &one, sizeof(one)) < 0)
		return; /* full: readable anyway */
}

static bool something_left(struct user *u)
{
	if (u->done)
		return true;
	for (unsigned i = 0; i < u->n_queues; i++)
		if (!ring_empty(&u->queue[i].reports) || !ring_empty(&u->queue[i].ike))
			return true;
	return false;
}

/* A queue thread puts its record first and signals then; so what arrives between our look and our
 * clearing is found by looking again. */
static void clear_host(struct user *u)
{
	uint64_t n;

	if (something_left(u))
		return;
	if (read(u->host_event, &n, sizeof(n)) < 0)
		n = 0; /* was not set */
	atomic_exchange_explicit(&u->host_signalled, false, memory_order_acq_rel);
	if (something_left(u))
		user_signal_host(u);
}

/* ---- reports and IKE ----------------------------------------------------------------------- */

static bool pop_done(struct user *u, struct dp_report *ret)
{
	struct done *d = u->done;

	if (!d)
		return false;
	*ret = d->report;
	u->done = d->next;
	if (!u->done)
		u->done_tail = &u->done;
	mem_free(u->mem, d);
	return true;
}

static bool pop_report(struct queue *q, struct dp_report *ret)
{
	size_t n;
	const struct dp_report *r = ring_next(&q->reports, &n);

	if (!r)
		return false;
	*ret = *r;
	ring_release(&q->reports);
	return true;
}

static bool user_report(struct dp *dp, struct dp_report *ret)
{
	struct user *u = user_of(dp);

	qsbr_poll(&u->qsbr);
	if (pop_done(u, ret))
		return true;
	for (unsigned i = 0; i < u->n_queues; i++)
		if (pop_report(&u->queue[u->next_queue++ % u->n_queues], ret))
			return true;
	clear_host(u);
	return false;
}

static bool pop_ike(struct queue *q, struct dp_user_datagram *ret)
{
	size_t n;
	const struct rx_from *from = ring_next(&q->ike, &n);

	if (!from)
		return false;
	ret->local = from->local;
	ret->remote = from->remote;
	ret->n = n - sizeof(*from);
	memcpy(ret->data, from + 1, ret->n);
	ring_release(&q->ike);
	return true;
}

bool dp_user_ike(struct dp *dp, struct dp_user_datagram *ret)
{
	struct user *u = user_of(dp);

	for (unsigned i = 0; i < u->n_queues; i++)
		if (pop_ike(&u->queue[u->next_queue++ % u->n_queues], ret))
			return true;
	clear_host(u);
	return false;
}

static int user_fd(struct dp *dp)
{
	return user_of(dp)->host_event;
}

static enum status user_submit(struct dp *dp, const struct dp_op *op)
{
	return ops_submit(user_of(dp), op);
}

/* ---- counters ------------------------------------------------------------------------------ */

static const char *const counter_names[COUNTERS] = {
	DP_COUNTER_NAMES,
	[C_TX_BAD] = "tx.bad",
	[C_TX_PACKETS] = "tx.packets",
	[C_TX_SYSCALLS] = "tx.syscalls",
	[C_TX_ERROR] = "tx.error",
	[C_TX_FULL] = "tx.full",
	[C_TX_TOO_BIG] = "tx.too_big",
	[C_TX_FRAGMENTED] = "tx.fragmented",
	[C_RX_PACKETS] = "rx.packets",
	[C_RX_SYSCALLS] = "rx.syscalls",
	[C_RX_BAD] = "rx.bad",
	[C_RX_KEEPALIVE] = "rx.keepalive",
	[C_RX_IKE] = "rx.ike",
	[C_RX_IKE_LOST] = "rx.ike_lost",
	[C_RX_STRANGER] = "rx.stranger",
	[C_RX_STRANGER_LOST] = "rx.stranger_lost",
	[C_RX_ECN_DROP] = "rx.ecn_drop",
	[C_RX_ECN_ALARM] = "rx.ecn_alarm",
	[C_TUN_WRITES] = "tun.writes",
	[C_TUN_ERROR] = "tun.error",
	[C_TUN_COALESCED] = "tun.coalesced",
	[C_REPORT_LOST] = "report.lost",
	[C_FLOW_LATER] = "flow.later",
	[C_UNWATCHED] = "tx.unwatched",
	[C_PMTU_LEARNT] = "pmtu.learnt",
	[C_PMTU_IGNORED] = "pmtu.ignored",
	[C_PMTU_ASKED] = "pmtu.asked",
	[C_PMTU_STALLED] = "pmtu.stalled",
	[C_ICMP_SENT] = "icmp.sent",
	[C_ICMP_LIMITED] = "icmp.limited",
	[C_NO_MEMORY] = "no_memory",
};

static bool user_counter(struct dp *dp, size_t i, const char **ret_name, uint64_t *ret_value)
{
	const struct user *u = user_of(dp);
	uint64_t sum = 0;

	if (i >= COUNTERS)
		return false;
	for (unsigned q = 0; q < u->n_queues; q++)
		sum += atomic_load_explicit(&u->queue[q].counter[i], memory_order_relaxed);
	*ret_name = counter_names[i];
	*ret_value = sum;
	return true;
}

static bool user_child_counters(struct dp *dp, dp_child_id id, struct dp_counters *ret)
{
	const struct child *c = ops_child(user_of(dp), id);

	if (c)
		ops_counters(c, ret);
	return c != NULL;
}

/* ---- lifecycle ----------------------------------------------------------------------------- */

static void stop_threads(struct user *u)
{
	atomic_store_explicit(&u->stop, true, memory_order_release);
	for (unsigned i = 0; i < u->n_queues; i++)
		queue_stop(&u->queue[i]);
}

/* Everything but the descriptors that were handed over. */
static void dismantle(struct user *u)
{
	struct dp_report drop;

	stop_threads(u);
	ops_free_all(u);
	qsbr_done(&u->qsbr); /* frees paths, which lets go of path MTUs */
	sadb_done(u);
	qsbr_done(&u->qsbr);
	while (pop_done(u, &drop))
		;
	for (unsigned i = 0; i < u->n_queues; i++)
		queue_done(&u->queue[i]);
	pairs_done(&u->pairs, u->mem);
	map_done(&u->children);
	map_done(&u->peers);
	map_done(&u->pmtus);
	pthread_mutex_destroy(&u->pmtu_lock);
	if (u->host_event >= 0)
		close(u->host_event);
	mem_free(u->mem, u->queue);
	mem_free(u->mem, u);
}

static void user_free(struct dp *dp)
{
	struct user *u = user_of(dp);
	int fd[DP_USER_MAX_QUEUES + DP_USER_MAX_SOCKETS];
	size_t n = 0;

	for (unsigned i = 0; i < u->n_queues; i++)
		fd[n++] = u->queue[i].tun;
	for (size_t i = 0; i < u->n_sockets; i++)
		fd[n++] = u->socket[i].fd;
	dismantle(u);
	while (n)
		close(fd[--n]);
}

static const struct dp_ops ops = {
	.name = "user",
	.caps = DP_CAP_FLOW_PAIRS | DP_CAP_ESN | DP_CAP_ADDRESS,
	.submit = user_submit,
	.report = user_report,
	.fd = user_fd,
	.counter = user_counter,
	.child_counters = user_child_counters,
	.free = user_free,
};

static enum status check(const struct dp_user_params *p, struct text *why)
{
	bool ok = p->queues > 0 && p->queues <= DP_USER_MAX_QUEUES && p->n_sockets > 0 &&
		  p->n_sockets <= DP_USER_MAX_SOCKETS;

	for (size_t i = 0; ok && i < p->n_sockets; i++)
		ok = p->sockets[i].queue < p->queues && p->sockets[i].local.ip.family;
	if (ok)
		return ST_OK;
	text_add(why, "data plane: impossible number of queues or sockets");
	return ST_INVAL;
}

static void *queues_new(const struct user *u)
{
	struct queue *q = mem_new(u->mem, u->n_queues * sizeof(*q));

	for (unsigned i = 0; q && i < u->n_queues; i++) {
		q[i].u = (struct user *)(uintptr_t)u;
		q[i].epoll = q[i].wake = -1;
	}
	return q;
}

static enum status build(struct user *u, const struct dp_user_params *p, struct text *why)
{
	enum status st = sadb_init(u);

	if (st == ST_OK)
		st = pairs_init(&u->pairs, u->mem, p->hash_key);
	if (st)
		return st;
	u->host_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->host_event < 0)
		return ST_IO;
	for (size_t i = 0; i < u->n_sockets; i++) {
		st = udp_prepare(&u->socket[i], why);
		if (st)
			return st;
	}
	for (unsigned i = 0; i < u->n_queues; i++) {
		st = queue_init(&u->queue[i], u, i, p->tun[i], why);
		if (st)
			return st;
	}
	for (unsigned i = 0; i < u->n_queues; i++) {
		st = queue_start(&u->queue[i], why);
		if (st)
			return st;
	}
	return ST_OK;
}

enum status dp_user_new(const struct dp_user_params *p, struct text *why, struct dp **ret_dp)
{
	enum status st = check(p, why);
	struct user *u;

	if (st)
		return st;
	u = mem_new(p->mem, sizeof(*u));
	if (!u)
		return ST_NOMEM;
	*u = (struct user){ .dp.ops = &ops,
			    .mem = p->mem,
			    .n_queues = p->queues,
			    .tun_plain = p->tun_plain,
			    .mtu = p->mtu,
			    .device = p->device,
			    .device_ctx = p->device_ctx,
			    .n_sockets = p->n_sockets,
			    .host_event = -1 };
	memcpy(u->socket, p->sockets, sizeof(u->socket));
	u->done_tail = &u->done;
	qsbr_init(&u->qsbr, u->mem, u->n_queues);
	pthread_mutex_init(&u->pmtu_lock, NULL);
	map_init(&u->children, u->mem, p->hash_key);
	map_init(&u->peers, u->mem, p->hash_key);
	list_init(&u->refusing);
	map_init(&u->pmtus, u->mem, p->hash_key);
	u->queue = queues_new(u);
	if (!u->queue)
		u->n_queues = 0; /* nothing to take down */
	st = u->queue ? build(u, p, why) : ST_NOMEM;
	if (st) {
		dismantle(u);
		return st;
	}
	*ret_dp = &u->dp;
	return ST_OK;
}

void dp_user_set_mtu(struct dp *dp, uint16_t mtu)
{
	struct user *u = CONTAINER_OF(dp, struct user, dp);

	atomic_store_explicit(&u->mtu, mtu, memory_order_relaxed);
}

void dp_user_reroute(struct dp *dp)
{
	ops_reroute(CONTAINER_OF(dp, struct user, dp));
}
