/*
 * resolved.h - name servers of a network, for this host: told to systemd-resolved, which asks them
 * for the names that are theirs (org.freedesktop.resolve1(5)).  Nothing else is ever written to:
 * where there is no systemd-resolved the names are somebody else's business, and that is said.
 *
 * systemd-resolved takes orders from root.  A connection to the bus that root opened can do
 * anything that root can, so it is not in the process that handles packets, not even as an open
 * descriptor: another one, forked at the start like the signer, has it.  That one is root without
 * any capability, cannot open files or start anything, knows one device, which it is told while the
 * daemon is still root itself, and does nothing but set and revert that device's name servers.
 * libsystemd is loaded there and nowhere else.
 *
 *	daemon                             agent (root, no capabilities, seccomp)
 *	resolved_device()  -- DEVICE -->   the device from now on
 *	resolved_set()     -- WISH -->     SetLinkDNS, SetLinkDomains... or RevertLink
 *	resolved_pump()    <-- reply --    what became of it; also later, when
 *	                                   systemd-resolved came or went
 *
 * When the daemon ends, however it does, the agent reverts and ends; what it could not revert goes
 * with the device.  When the agent ends the daemon goes on without it.
 *
 * The first wish opens the bus: who has no name servers to tell never connects.  An agent that
 *found nobody to tell looks again every few seconds, and is told when systemd-resolved starts.
 */
#pragma once

#include "base/base.h"

enum {
	RESOLVED_DNS_MAX = 16,
	RESOLVED_DOMAINS_MAX = 32,
	RESOLVED_NAME_MAX = 253, /* RFC 1035 section 2.3.4, as text and without the last dot */
	RESOLVED_TEXT_MAX = 512,
};

/* No servers: none. */
struct resolved_wish {
	const struct ip *dns;
	size_t n_dns;
	/* They are asked for names in and below these and for no others, and nobody else is asked
	 * for them.  None: they are asked for all names. */
	const char *const *domains;
	size_t n_domains;
};

enum resolved_state {
	RESOLVED_IDLE, /* nothing was asked for */
	RESOLVED_SET, /* systemd-resolved has it */
	RESOLVED_ABSENT, /* there is no systemd-resolved, or no system bus */
	RESOLVED_REFUSED, /* it is there and does not want to */
};

struct resolved;

/* Forks, before there is anything to inherit.  The child never returns from here. */
MUST enum status resolved_fork(struct text *why, struct resolved **ret_resolved);
/* The agent reverts and ends.  Takes NULL. */
void resolved_free(struct resolved *r);

/* The device, once and for all. */
MUST enum status resolved_device(struct resolved *r, int ifindex, struct text *why);

/* Copies; what does not fit the bounds above is left out.  Of several that could not be sent yet
 * only the last is. */
void resolved_set(struct resolved *r, const struct resolved_wish *w);

/* `text` is "" or says why. */
typedef void resolved_fn(void *ctx, enum resolved_state state, const char *text);
void resolved_on_change(struct resolved *r, resolved_fn *fn, void *ctx);

/* To be watched for readability; ST_IO: the agent is gone. */
int resolved_fd(const struct resolved *r);
MUST enum status resolved_pump(struct resolved *r, struct text *why);

/* As last told. */
enum resolved_state resolved_state(const struct resolved *r);
/* "idle", "set", "absent", "refused" */
const char *resolved_state_name(enum resolved_state state);
