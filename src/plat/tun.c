#include "plat/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "plat/process.h"

/* Linux 6.2; Debian 12's headers do not have them yet. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static enum status failed(const char *name, const char *what, struct text *why)
{
	int err = errno;

	text_fmt(why, "device %s: %s", name, what);
	plat_errno(why, err);
	if (err == EBUSY)
		text_add(why, " (a device of that name exists)");
	if (err == EPERM)
		text_add(why, " (CAP_NET_ADMIN is needed)");
	return ST_IO;
}

static enum status open_queue(struct plat_tun *t, const struct plat_tun_conf *c, struct text *why)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return failed(c->name, "cannot open /dev/net/tun", why);
	t->fd[t->queues++] = fd;
	if (c->queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	if (t->queues == 1)
		ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_TUN_EXCL);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", c->name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return failed(c->name, "cannot create", why);
	memcpy(t->name, ifr.ifr_name, sizeof(t->name));
	return ST_OK;
}

/* Segmentation offloads belong to the device, not to the queue. The checksum one must be there. */
static enum status set_offloads(struct plat_tun *t, struct text *why)
{
	const unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	t->uso = ioctl(t->fd[0], TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) == 0;
	t->tso = t->uso || ioctl(t->fd[0], TUNSETOFFLOAD, tso) == 0;
	if (!t->tso && ioctl(t->fd[0], TUNSETOFFLOAD, TUN_F_CSUM) < 0)
		return failed(t->name, "cannot set offloads", why);
	return ST_OK;
}

static enum status open_all(struct plat_tun *t, const struct plat_tun_conf *c, struct text *why)
{
	for (unsigned i = 0; i < c->queues; i++)
		if (open_queue(t, c, why) != ST_OK)
			return ST_IO;
	t->ifindex = (int)if_nametoindex(t->name);
	if (t->ifindex == 0)
		return failed(t->name, "has no index", why);
	return set_offloads(t, why);
}

enum status plat_tun_open(const struct plat_tun_conf *c, struct text *why, struct plat_tun *ret_tun)
{
	struct plat_tun t = { 0 };
	struct plat_ns in;
	enum status st;

	if (c->queues == 0 || c->queues > PLAT_TUN_QUEUES_MAX || c->name[0] == '\0' ||
	    strlen(c->name) >= IFNAMSIZ || strchr(c->name, '%')) {
		text_fmt(why, "device \"%s\": not a usable name or number of queues", c->name);
		return ST_INVAL;
	}
	if (plat_ns_enter(c->ns, why, &in) != ST_OK)
		return ST_IO;
	st = open_all(&t, c, why);
	plat_ns_leave(&in);
	if (st != ST_OK) {
		plat_tun_close(&t);
		return st;
	}
	*ret_tun = t;
	return ST_OK;
}

void plat_tun_close(struct plat_tun *tun)
{
	for (unsigned i = 0; i < tun->queues; i++)
		if (tun->fd[i] >= 0)
			close(tun->fd[i]);
	tun->queues = 0;
}
