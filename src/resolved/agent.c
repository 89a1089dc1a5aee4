/*
 * agent.c - the process that has the bus.
 *
 * It waits for the daemon and for the bus.  What was wished for last is made so again when
 * systemd-resolved comes, and every RETRY_MS while there is none.
 */
#include "resolved/internal.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "plat/child.h"
#include "plat/process.h"
#include "plat/sandbox.h"

enum { RETRY_MS = 5000 };

struct agent {
	struct bus *bus;
	int ifindex; /* 0: not told yet */
	struct resolved_request wish;
	struct resolved_reply told;
};

/* A path leads to the bus from any network namespace, so it has none of its own use; containers
 * forbid that, and it is no condition. */
static enum status confine(struct text *why)
{
	enum status st = plat_harden(why);

	(void)!unshare(CLONE_NEWNET);
	if (st == ST_OK)
		st = plat_drop_caps(0, why);
	/* A kernel without filters: as for the others, no reason to do without. */
	if (st == ST_OK)
		(void)!plat_seccomp(PLAT_SECCOMP_BUS, why);
	return st;
}

static bool reply(const struct agent *a)
{
	uint8_t buf[RESOLVED_MESSAGE_MAX];
	size_t n = resolved_make_reply(&a->told, buf);

	return send(PLAT_CHILD_FD, buf, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* `anyway`: the daemon waits for the answer. */
static bool apply(struct agent *a, bool anyway)
{
	struct resolved_reply now = { .state = RESOLVED_IDLE };
	bool news;

	if (a->ifindex == 0)
		now.state = RESOLVED_REFUSED;
	else if (a->wish.n_dns)
		bus_apply(a->bus, a->ifindex, &a->wish, &now);
	else
		bus_revert(a->bus, a->ifindex);
	news = now.state != a->told.state || strcmp(now.text, a->told.text) != 0;
	a->told = now;
	return !(anyway || news) || reply(a);
}

/* False: the end. */
static bool take_request(struct agent *a)
{
	uint8_t buf[RESOLVED_MESSAGE_MAX];
	ssize_t n = recv(PLAT_CHILD_FD, buf, sizeof(buf), 0);
	struct resolved_request q;

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0 || resolved_parse_request(bytes_of(buf, (size_t)n), &q) != ST_OK)
		return false;
	if (q.type == RESOLVED_WISH) {
		a->wish = q;
		return apply(a, true);
	}
	if (a->ifindex) /* once and for all */
		return false;
	a->ifindex = q.ifindex;
	return true;
}

static bool turn(struct agent *a)
{
	const bool unheard = a->wish.n_dns && a->told.state != RESOLVED_SET;
	struct pollfd fds[2] = { { .fd = PLAT_CHILD_FD, .events = POLLIN } };
	bool due = false;
	int ms, n;

	fds[1].fd = bus_fd(a->bus, &fds[1].events, &ms);
	if (unheard && (ms < 0 || ms > RETRY_MS)) {
		ms = RETRY_MS;
		due = true;
	}
	n = poll(fds, 2, ms);
	if (n < 0)
		return errno == EINTR;
	if (fds[0].revents && !take_request(a))
		return false;
	if (bus_pump(a->bus) || (n == 0 && due))
		return apply(a, false);
	return true;
}

int resolved_agent(enum status st, struct text *why)
{
	struct agent a = { 0 };

	if (st == ST_OK)
		st = bus_new(&a.bus);
	if (st == ST_OK)
		st = confine(why);
	while (st == ST_OK && turn(&a))
		;
	if (st == ST_OK && a.ifindex)
		bus_revert(a.bus, a.ifindex);
	bus_free(a.bus);
	return st == ST_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
