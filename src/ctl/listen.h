/*
 * listen.h - the server's socket in the file system, and who calls.
 */
#pragma once

#include <sys/types.h>

#include "base/base.h"

struct ctl_listen {
	int fd; /* listening, non-blocking */
	dev_t dev;
	ino_t ino;
	gid_t group; /* whose members may call; CTL_NO_GROUP: nobody's */
};

#define CTL_NO_GROUP ((gid_t)-1)

/* See ctl_server_new().  Run by root, and if there is a group CTL_GROUP, the socket is that group's
 * with mode 0660; otherwise mode 0600. */
MUST enum status ctl_listen_open(const char *path, struct text *why, struct ctl_listen *ret_listen);

/* Removes the socket from the file system if it is still ours. */
void ctl_listen_unlink(const struct ctl_listen *l, const char *path);

/* The above, and closes it: it was not taken by a server. */
void ctl_listen_close(const struct ctl_listen *l, const char *path);

/* Root, the user we run as, or a member of the socket's group, by the kernel's word. */
bool ctl_peer_allowed(const struct ctl_listen *l, int fd);
