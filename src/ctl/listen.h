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
};

/* See ctl_server_new(). */
MUST enum status ctl_listen_open(const char *path, struct text *why, struct ctl_listen *ret_listen);

/* Removes the socket from the file system if it is still ours. */
void ctl_listen_unlink(const struct ctl_listen *l, const char *path);

/* Root, or the user we run as, by the kernel's word. */
bool ctl_peer_allowed(int fd);
