/* News of links, addresses, rules and routes. */
#include "plat/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/process.h"

/* Bursts (thousands of routes at once) fit; what does not is told as "everything". */
#define WATCH_BUFFER (1 << 20)

#define ALL_ROUTES (PLAT_WATCH_ROUTES | PLAT_WATCH_MAIN | PLAT_WATCH_LOCAL)

struct plat_watch {
	int fd;
	unsigned what;
	int ifindex; /* of the link that is told apart; 0: none */
	uint32_t table; /* of the routes that count; 0: all */
};

static const struct {
	unsigned what;
	unsigned group;
} groups[] = {
	{ PLAT_WATCH_LINKS, RTNLGRP_LINK },        { PLAT_WATCH_ADDRS, RTNLGRP_IPV4_IFADDR },
	{ PLAT_WATCH_ADDRS, RTNLGRP_IPV6_IFADDR }, { PLAT_WATCH_RULES, RTNLGRP_IPV4_RULE },
	{ PLAT_WATCH_RULES, RTNLGRP_IPV6_RULE },   { ALL_ROUTES, RTNLGRP_IPV4_ROUTE },
	{ ALL_ROUTES, RTNLGRP_IPV6_ROUTE },
};

/* RT_TABLE_COMPAT: the number is above 255. */
static const struct {
	unsigned what;
	uint8_t table;
} tables[] = {
	{ PLAT_WATCH_ROUTES, RT_TABLE_COMPAT },
	{ PLAT_WATCH_MAIN, RT_TABLE_MAIN },
	{ PLAT_WATCH_LOCAL, RT_TABLE_LOCAL },
};

/* One of the tables that are watched; another one of them where this one is not. */
static unsigned table_of(unsigned what, size_t i)
{
	while (!(tables[i].what & what))
		i = (i + 1) % ARRAY_LEN(tables);
	return tables[i].table;
}

/* A router with a full table hears of a route a thousand times a second: only those of the tables
 * that count are let through.  BPF loads in network order. */
static bool filter_routes(int fd, unsigned what)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_table)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, table_of(what, 0), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, table_of(what, 1), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, table_of(what, 2), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = { ARRAY_LEN(code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0;
}

/* Without a number of its own a socket hears nothing: the kernel's is 0, too. */
static bool join(int fd, unsigned what)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };

	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		int group = (int)groups[i].group;

		if ((groups[i].what & what) &&
		    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
			return false;
	}
	return true;
}

static int open_in(int ns, struct text *why)
{
	struct plat_ns in;
	int fd;

	if (plat_ns_enter(ns, why, &in) != ST_OK)
		return -1;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	plat_ns_leave(&in);
	return fd;
}

enum status plat_watch_new(int ns, unsigned what, struct text *why, struct plat_watch **ret_watch)
{
	struct plat_watch *w = calloc(1, sizeof(*w));
	const int size = WATCH_BUFFER;

	if (!w)
		return ST_NOMEM;
	w->what = what;
	w->fd = open_in(ns, why);
	if (w->fd < 0 || !join(w->fd, what) ||
	    ((what & ALL_ROUTES) && !filter_routes(w->fd, what))) {
		text_add(why, "cannot watch the network by netlink");
		plat_errno(why, errno);
		plat_watch_free(w);
		return ST_IO;
	}
	/* FORCE needs CAP_NET_ADMIN; a smaller buffer overflows sooner, that is all. */
	if (setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*ret_watch = w;
	return ST_OK;
}

void plat_watch_free(struct plat_watch *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

int plat_watch_fd(const struct plat_watch *w)
{
	return w->fd;
}

void plat_watch_link(struct plat_watch *w, int ifindex)
{
	w->ifindex = ifindex;
	w->what |= PLAT_WATCH_LINK;
}

void plat_watch_table(struct plat_watch *w, uint32_t table)
{
	w->table = table;
}

static unsigned route_kind(const struct plat_watch *w, const struct nlmsghdr *h)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[RTA_TABLE + 1];

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*rtm)))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (tables[i].table == rtm->rtm_table && tables[i].what != PLAT_WATCH_ROUTES)
			return tables[i].what;
	if (!w->table)
		return PLAT_WATCH_ROUTES;
	nl_attrs(h, sizeof(struct rtmsg), a, RTA_TABLE);
	return !a[RTA_TABLE] || nl_u32(a[RTA_TABLE]) == w->table ? PLAT_WATCH_ROUTES : 0;
}

static unsigned link_kind(const struct plat_watch *w, const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	bool this = w->ifindex && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*ifi)) &&
		    ifi->ifi_index == w->ifindex;

	return PLAT_WATCH_LINKS | (this ? PLAT_WATCH_LINK : 0);
}

static unsigned kind_of(const struct plat_watch *w, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK: return link_kind(w, h);
	case RTM_NEWADDR:
	case RTM_DELADDR: return PLAT_WATCH_ADDRS;
	case RTM_NEWRULE:
	case RTM_DELRULE: return PLAT_WATCH_RULES;
	case RTM_NEWROUTE:
	case RTM_DELROUTE: return route_kind(w, h);
	default: return 0;
	}
}

unsigned plat_watch_read(struct plat_watch *w)
{
	union {
		struct nlmsghdr h;
		char raw[16384];
	} buf;
	unsigned seen = 0;

	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(w->fd, &buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		int n = (int)got;

		if (got < 0 && errno == ENOBUFS)
			seen |= w->what;
		else if (got < 0 && errno != EINTR)
			return seen & w->what;
		/* Anybody may send to a netlink socket; the kernel's number is 0. */
		if (got < 0 || from.nl_pid != 0)
			continue;
		for (const struct nlmsghdr *h = &buf.h; mnl_nlmsg_ok(h, n);
		     h = mnl_nlmsg_next(h, &n))
			seen |= kind_of(w, h);
	}
}
