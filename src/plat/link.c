/* Links and addresses. */
#include "plat/nl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>

static int on_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a[IFLA_MTU + 1];
	struct plat_link *ret = ctx;

	nl_attrs(nlh, sizeof(*ifi), a, IFLA_MTU);
	ret->ifindex = ifi->ifi_index;
	ret->up = ifi->ifi_flags & IFF_UP;
	ret->running = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_RUNNING);
	ret->loopback = ifi->ifi_flags & IFF_LOOPBACK;
	ret->mtu = nl_u32(a[IFLA_MTU]);
	if (a[IFLA_IFNAME])
		snprintf(ret->name, sizeof(ret->name), "%s", mnl_attr_get_str(a[IFLA_IFNAME]));
	return MNL_CB_OK;
}

static struct nlmsghdr *link_request(struct plat_nl *nl, void *buf, uint16_t type, int ifindex)
{
	struct nlmsghdr *nlh = nl_begin(nl, buf, type, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	return nlh;
}

static enum status link_talk(struct plat_nl *nl, struct nlmsghdr *nlh, const char *what,
			     int ifindex, struct text *why)
{
	if (nl_talk(nl, nlh, NULL, NULL) == ST_OK)
		return ST_OK;
	text_fmt(why, "device %d: cannot %s", ifindex, what);
	nl_why(nl, why);
	return ST_IO;
}

enum status plat_link_get(struct plat_nl *nl, int ifindex, struct text *why,
			  struct plat_link *ret_link)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = link_request(nl, buf, RTM_GETLINK, ifindex);
	struct plat_link link = { 0 };

	if (nl_talk(nl, nlh, on_link, &link) != ST_OK) {
		text_fmt(why, "no device number %d", ifindex);
		nl_why(nl, why);
		return ST_IO;
	}
	*ret_link = link;
	return ST_OK;
}

enum status plat_link_set_mtu(struct plat_nl *nl, int ifindex, uint32_t mtu, struct text *why)
{
	char buf[NL_REQUEST], what[32];
	struct nlmsghdr *nlh = link_request(nl, buf, RTM_NEWLINK, ifindex);

	snprintf(what, sizeof(what), "set its MTU to %u", mtu);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return link_talk(nl, nlh, what, ifindex, why);
}

enum status plat_link_up(struct plat_nl *nl, int ifindex, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = link_request(nl, buf, RTM_NEWLINK, ifindex);
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	return link_talk(nl, nlh, "bring it up", ifindex, why);
}

enum status plat_link_no_link_local(struct plat_nl *nl, int ifindex, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = link_request(nl, buf, RTM_NEWLINK, ifindex);
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *six = mnl_attr_nest_start(nlh, AF_INET6);

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, six);
	mnl_attr_nest_end(nlh, spec);
	return link_talk(nl, nlh, "turn its link-local address off", ifindex, why);
}

/* ---- addresses --------------------------------------------------------------------------- */

struct addr_visit {
	plat_addr_fn *fn;
	void *ctx;
};

static int on_addr(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a[IFA_PROTO + 1];
	struct addr_visit *v = ctx;
	struct plat_addr addr;
	uint32_t flags;

	nl_attrs(nlh, sizeof(*ifa), a, IFA_PROTO);
	flags = a[IFA_FLAGS] ? nl_u32(a[IFA_FLAGS]) : ifa->ifa_flags;
	/* On a point-to-point link IFA_ADDRESS is the other end's (IPv4). */
	addr.ip = nl_ip(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS]);
	addr.ifindex = (int)ifa->ifa_index;
	addr.len = ifa->ifa_prefixlen;
	addr.scope = ifa->ifa_scope;
	addr.tentative = flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED);
	addr.deprecated = flags & IFA_F_DEPRECATED;
	addr.protocol = a[IFA_PROTO] ? mnl_attr_get_u8(a[IFA_PROTO]) : 0;
	if (addr.ip.family == 0)
		return MNL_CB_OK;
	return v->fn(v->ctx, &addr) ? MNL_CB_OK : MNL_CB_STOP;
}

static enum status addr_dump(struct plat_nl *nl, struct addr_visit *v)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = nl_begin(nl, buf, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));

	ifa->ifa_family = AF_UNSPEC;
	return nl_talk(nl, nlh, on_addr, v);
}

enum status plat_addr_each(struct plat_nl *nl, plat_addr_fn *fn, void *ctx, struct text *why)
{
	struct addr_visit v = { fn, ctx };
	enum status st = addr_dump(nl, &v);

	for (int i = 1; i < NL_DUMP_TRIES && st == ST_IO && nl->err == EINTR; i++) {
		fn(ctx, NULL);
		st = addr_dump(nl, &v);
	}
	if (st == ST_OK)
		return ST_OK;
	text_add(why, "cannot list the addresses");
	nl_why(nl, why);
	return st;
}

static struct nlmsghdr *addr_request(struct plat_nl *nl, void *buf, uint16_t type, uint16_t flags,
				     int ifindex, const struct ip *ip)
{
	struct nlmsghdr *nlh = nl_begin(nl, buf, type, flags);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));

	ifa->ifa_family = nl_af(ip->family);
	ifa->ifa_prefixlen = (uint8_t)ip_bits(ip);
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	ifa->ifa_index = (uint32_t)ifindex;
	nl_put_ip(nlh, IFA_LOCAL, ip);
	nl_put_ip(nlh, IFA_ADDRESS, ip);
	return nlh;
}

static enum status addr_talk(struct plat_nl *nl, struct nlmsghdr *nlh, const char *what,
			     int ifindex, const struct ip *ip, struct text *why)
{
	char name[IP_TEXT_MAX];

	if (nl_talk(nl, nlh, NULL, NULL) == ST_OK)
		return ST_OK;
	text_fmt(why, "device %d: cannot %s address %s", ifindex, what, ip_text(ip, name));
	nl_why(nl, why);
	return ST_IO;
}

enum status plat_addr_add(struct plat_nl *nl, int ifindex, const struct ip *ip, uint8_t protocol,
			  struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh =
		addr_request(nl, buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, ip);

	/* Duplicates cannot be looked for where there is no link. */
	mnl_attr_put_u32(nlh, IFA_FLAGS, IFA_F_NODAD);
	mnl_attr_put_u8(nlh, IFA_PROTO, protocol);
	return addr_talk(nl, nlh, "add", ifindex, ip, why);
}

enum status plat_addr_del(struct plat_nl *nl, int ifindex, const struct ip *ip, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = addr_request(nl, buf, RTM_DELADDR, 0, ifindex, ip);

	return addr_talk(nl, nlh, "delete", ifindex, ip, why);
}
