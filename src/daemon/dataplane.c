#include "daemon/dataplane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "dp/user/dp_user.h"
#include "plat/loop.h"
#include "plat/process.h"

/* Reports and datagrams taken before other descriptors get their turn. */
#define BURST 256

struct dataplane {
	struct dp *dp;
	struct plat_poll *poll;
	struct dataplane_fns fns;
	struct dp_user_datagram in;
};

static void close_sockets(struct dp_user_params *p)
{
	for (size_t i = 0; i < p->n_sockets; i++)
		close(p->sockets[i].fd);
}

static enum status dup_sockets(const struct underlay *u, struct dp_user_params *p, struct text *why)
{
	struct endpoint local;
	int fd;

	for (size_t i = 0; underlay_nat_socket(u, i, &fd, &local); i++) {
		if (p->n_sockets == DP_USER_MAX_SOCKETS) {
			text_fmt(why, "more than %d listening addresses", DP_USER_MAX_SOCKETS);
			return ST_INVAL;
		}
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			text_add(why, "cannot duplicate a socket");
			plat_errno(why, errno);
			return ST_IO;
		}
		p->sockets[p->n_sockets++] = (struct dp_user_socket){ .fd = fd, .local = local };
	}
	return ST_OK;
}

static int device_of(void *uplinks, const struct endpoint *local, const struct endpoint *remote)
{
	return uplinks_device(uplinks, &local->ip, &remote->ip);
}

enum status dataplane_new(const struct underlay *u, struct uplinks *uplinks, struct plat_tun *tun,
			  uint16_t mtu, struct text *why, struct dataplane **ret_dataplane)
{
	struct dp_user_params p = { .mem = &mem_libc,
				    .queues = tun->queues,
				    .mtu = mtu,
				    .device = device_of,
				    .device_ctx = uplinks };
	struct dataplane *d = calloc(1, sizeof(*d));
	enum status st;

	if (!d)
		return ST_NOMEM;
	plat_random(p.hash_key, sizeof(p.hash_key));
	for (unsigned i = 0; i < tun->queues; i++)
		p.tun[i] = tun->fd[i];
	st = dup_sockets(u, &p, why);
	if (st == ST_OK)
		st = dp_user_new(&p, why, &d->dp);
	if (st != ST_OK) {
		close_sockets(&p);
		free(d);
		return st;
	}
	tun->queues = 0; /* theirs now */
	*ret_dataplane = d;
	return ST_OK;
}

void dataplane_free(struct dataplane *d)
{
	if (!d)
		return;
	d->dp->ops->free(d->dp);
	free(d);
}

static void readable(void *ctx)
{
	struct dataplane *d = ctx;
	struct dp_report r;

	for (int i = 0; i < BURST && d->dp->ops->report(d->dp, &r); i++)
		d->fns.report(d->fns.ctx, &r);
	for (int i = 0; i < BURST && dp_user_ike(d->dp, &d->in); i++)
		d->fns.datagram(d->fns.ctx,
				&(struct ike_datagram){ d->in.local, d->in.remote,
							bytes_of(d->in.data, d->in.n) });
}

enum status dataplane_start(struct dataplane *d, uv_loop_t *loop, const struct dataplane_fns *fns)
{
	d->fns = *fns;
	return plat_poll_new(loop, d->dp->ops->fd(d->dp), readable, d, &d->poll);
}

void dataplane_stop(struct dataplane *d)
{
	if (!d)
		return;
	plat_poll_free(d->poll);
	d->poll = NULL;
}

void dataplane_set_mtu(struct dataplane *d, uint16_t mtu)
{
	dp_user_set_mtu(d->dp, mtu);
}

void dataplane_reroute(struct dataplane *d)
{
	dp_user_reroute(d->dp);
}

void dataplane_submit(struct dataplane *d, const struct dp_op *op)
{
	enum status st = d->dp->ops->submit(d->dp, op);

	if (st != ST_OK)
		d->fns.report(d->fns.ctx,
			      &(struct dp_report){ .kind = DP_REPORT_DONE,
						   .u.done = { .op = op->op, .status = st } });
}

bool dataplane_can(const struct dataplane *d, enum dp_cap cap)
{
	return d->dp->ops->caps & (unsigned)cap;
}

const char *dataplane_name(const struct dataplane *d)
{
	return d->dp->ops->name;
}

bool dataplane_counter(const void *dataplane, size_t index, const char **ret_name,
		       uint64_t *ret_value)
{
	const struct dataplane *d = dataplane;

	return d->dp->ops->counter(d->dp, index, ret_name, ret_value);
}

bool dataplane_child(const struct dataplane *d, dp_child_id id, struct dp_counters *ret)
{
	return d->dp->ops->child_counters(d->dp, id, ret);
}
