/*
 * tun.h - the inner device: a TUN interface whose packets the data plane reads and writes.
 *
 * Each read and write carries a virtio-net header of 10 bytes, so that a whole TCP segment train
 * (TSO) or a run of UDP datagrams (USO, where the kernel has it) crosses the boundary at once.
 * The device lives as long as one of its descriptors.
 */
#pragma once

#include "base/base.h"

enum {
	PLAT_TUN_QUEUES_MAX = 8,
	PLAT_TUN_NAME_MAX = 16, /* IFNAMSIZ */
};

struct plat_tun_conf {
	int ns;
	const char *name;
	unsigned queues; /* 1 or more descriptors */
};

struct plat_tun {
	char name[PLAT_TUN_NAME_MAX];
	int ifindex;
	unsigned queues;
	int fd[PLAT_TUN_QUEUES_MAX]; /* non-blocking */
	bool tso;
	bool uso;
};

/* Never takes over a device that exists. The device is down. */
MUST enum status plat_tun_open(const struct plat_tun_conf *conf, struct text *why,
			       struct plat_tun *ret_tun);
/* Closes the descriptors: for those nobody took over. */
void plat_tun_close(struct plat_tun *tun);
