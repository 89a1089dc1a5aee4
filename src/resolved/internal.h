/*
 * internal.h - how module resolved is divided.
 *
 *   wire.c      requests and replies, as values and as bytes; pure
 *   resolved.c  the daemon's end
 *   agent.c     the agent: a process
 *   bus.c       what it says to systemd-resolved
 *
 * One message is one datagram of a SOCK_SEQPACKET.  Both ends take the other's for hostile.
 *
 *	DEVICE   type, ifindex (4)
 *	WISH     type, number of servers (1), each: family (1), address (4, 16);
 *	         number of domains (1), each: length (1), text
 *	reply    state (1), text
 */
#pragma once

#include "resolved/resolved.h"

enum {
	RESOLVED_MESSAGE_MAX =
		2 + RESOLVED_DNS_MAX * 17 + RESOLVED_DOMAINS_MAX * (RESOLVED_NAME_MAX + 1) + 16
};

/* ---- wire.c -------------------------------------------------------------------------------- */

enum resolved_type {
	RESOLVED_DEVICE = 1,
	RESOLVED_WISH,
};

struct resolved_request {
	enum resolved_type type;
	int ifindex; /* DEVICE */
	struct ip dns[RESOLVED_DNS_MAX]; /* WISH */
	size_t n_dns;
	char domains[RESOLVED_DOMAINS_MAX][RESOLVED_NAME_MAX + 1];
	size_t n_domains;
};

struct resolved_reply {
	enum resolved_state state;
	char text[RESOLVED_TEXT_MAX];
};

/* ST_DROP unless it is exactly one. */
MUST enum status resolved_parse_request(struct bytes b, struct resolved_request *ret);
MUST enum status resolved_parse_reply(struct bytes b, struct resolved_reply *ret);
/* The number of bytes, RESOLVED_MESSAGE_MAX at most. */
size_t resolved_make_request(const struct resolved_request *r,
			     uint8_t buf[static RESOLVED_MESSAGE_MAX]);
size_t resolved_make_reply(const struct resolved_reply *r,
			   uint8_t buf[static RESOLVED_MESSAGE_MAX]);

/* ---- bus.c --------------------------------------------------------------------------------- */

struct bus;

/* Loads libsystemd; before the sandbox.  An agent without it says so each time. */
MUST enum status bus_new(struct bus **ret_bus);
void bus_free(struct bus *b); /* takes NULL */

/* Makes it so, connecting first if need be; `ret` is what became of it. */
void bus_apply(struct bus *b, int ifindex, const struct resolved_request *wish,
	       struct resolved_reply *ret);
/* What bus_apply() did. */
void bus_revert(struct bus *b, int ifindex);

/* For poll(): -1 while there is no connection; `*ret_ms` until bus_pump() is due anyway, -1: never.
 */
int bus_fd(const struct bus *b, short *ret_events, int *ret_ms);
/* True: systemd-resolved has come or gone, or the connection is lost. */
bool bus_pump(struct bus *b);

/* ---- agent.c ------------------------------------------------------------------------------- */

/* Its whole life: a plat_child_fn. */
int resolved_agent(enum status st, struct text *why);
