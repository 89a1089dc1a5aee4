/* Routes and rules. */
#include "plat/nl.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <stdio.h>

/* ---- routes ------------------------------------------------------------------------------ */

static const struct {
	uint8_t type;
	const char *name;
} kinds[] = {
	[PLAT_ROUTE_DEVICE] = { RTN_UNICAST, "" },
	[PLAT_ROUTE_UNREACHABLE] = { RTN_UNREACHABLE, "unreachable " },
	[PLAT_ROUTE_THROW] = { RTN_THROW, "throw " },
};

void plat_route_text(struct text *t, const struct plat_route *r)
{
	char buf[PREFIX_TEXT_MAX];

	text_fmt(t, "%s%s", kinds[r->kind].name, prefix_text(&r->dst, buf));
	if (r->kind == PLAT_ROUTE_DEVICE)
		text_fmt(t, " dev %d", r->ifindex);
	text_fmt(t, " table %u metric %u", r->table, r->metric);
}

static struct nlmsghdr *route_request(struct plat_nl *nl, void *buf, uint16_t type, uint16_t flags,
				      const struct plat_route *r)
{
	struct nlmsghdr *nlh = nl_begin(nl, buf, type, flags);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	rtm->rtm_family = nl_af(r->dst.ip.family);
	rtm->rtm_dst_len = r->dst.len;
	rtm->rtm_table = RT_TABLE_UNSPEC;
	rtm->rtm_protocol = r->protocol;
	rtm->rtm_type = kinds[r->kind].type;
	rtm->rtm_scope = r->kind == PLAT_ROUTE_DEVICE && r->dst.ip.family == 4 ? RT_SCOPE_LINK
									       : RT_SCOPE_UNIVERSE;
	if (r->dst.len > 0)
		nl_put_ip(nlh, RTA_DST, &r->dst.ip);
	mnl_attr_put_u32(nlh, RTA_TABLE, r->table);
	mnl_attr_put_u32(nlh, RTA_PRIORITY, r->metric);
	if (r->kind == PLAT_ROUTE_DEVICE) {
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)r->ifindex);
		nl_put_ip(nlh, RTA_PREFSRC, &r->src);
	}
	return nlh;
}

static enum status route_talk(struct plat_nl *nl, struct nlmsghdr *nlh, const char *what,
			      const struct plat_route *r, struct text *why)
{
	if (nl_talk(nl, nlh, NULL, NULL) == ST_OK)
		return ST_OK;
	text_fmt(why, "cannot %s route ", what);
	plat_route_text(why, r);
	nl_why(nl, why);
	return ST_IO;
}

enum status plat_route_add(struct plat_nl *nl, const struct plat_route *r, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = route_request(nl, buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);

	return route_talk(nl, nlh, "add", r, why);
}

enum status plat_route_del(struct plat_nl *nl, const struct plat_route *r, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = route_request(nl, buf, RTM_DELROUTE, 0, r);

	return route_talk(nl, nlh, "delete", r, why);
}

struct route_visit {
	uint8_t af;
	uint32_t table;
	uint8_t protocol;
	plat_route_fn *fn;
	void *ctx;
};

static bool kind_of(uint8_t type, enum plat_route_kind *ret_kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].type == type) {
			*ret_kind = (enum plat_route_kind)i;
			return true;
		}
	return false;
}

/* The kernel ignores filters it does not know, so they are applied here as well; one without IPv6
 * answers with what it has of IPv4. */
static int on_route(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a[RTA_TABLE + 1];
	struct route_visit *v = ctx;
	struct plat_route r = { .protocol = rtm->rtm_protocol };
	struct ip dst = { .family = rtm->rtm_family == AF_INET6 ? 6 : 4 };

	nl_attrs(nlh, sizeof(*rtm), a, RTA_TABLE);
	r.table = a[RTA_TABLE] ? nl_u32(a[RTA_TABLE]) : rtm->rtm_table;
	if (rtm->rtm_family != v->af || r.table != v->table || r.protocol != v->protocol ||
	    !kind_of(rtm->rtm_type, &r.kind))
		return MNL_CB_OK;
	if (a[RTA_DST])
		dst = nl_ip(a[RTA_DST]);
	r.dst = prefix_of(&dst, rtm->rtm_dst_len);
	r.metric = nl_u32(a[RTA_PRIORITY]);
	if (r.kind == PLAT_ROUTE_DEVICE) { /* IPv6 shows lo for the others */
		r.ifindex = (int)nl_u32(a[RTA_OIF]);
		r.src = nl_ip(a[RTA_PREFSRC]);
	}
	return v->fn(v->ctx, &r) ? MNL_CB_OK : MNL_CB_STOP;
}

static enum status route_dump(struct plat_nl *nl, uint8_t family, struct route_visit *v)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = nl_begin(nl, buf, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	rtm->rtm_family = nl_af(family);
	rtm->rtm_protocol = v->protocol;
	mnl_attr_put_u32(nlh, RTA_TABLE, v->table);
	return nl_talk(nl, nlh, on_route, v);
}

enum status plat_route_each(struct plat_nl *nl, uint8_t family, uint32_t table, uint8_t protocol,
			    plat_route_fn *fn, void *ctx, struct text *why)
{
	struct route_visit v = { nl_af(family), table, protocol, fn, ctx };
	enum status st = route_dump(nl, family, &v);

	for (int i = 1; i < NL_DUMP_TRIES && st == ST_IO && nl->err == EINTR; i++) {
		fn(ctx, NULL);
		st = route_dump(nl, family, &v);
	}
	/* A table that nobody has made yet is an empty one. */
	if (st == ST_OK || (st == ST_IO && nl->err == ENOENT))
		return ST_OK;
	text_fmt(why, "cannot list the routes of table %u", table);
	nl_why(nl, why);
	return st;
}

/* ---- what the kernel would do ------------------------------------------------------------ */

static uint32_t path_mtu(const struct nlattr *metrics)
{
	uint32_t mtu = 0;

	if (!metrics)
		return 0;
	for (const struct nlattr *m = mnl_attr_get_payload(metrics);
	     nl_attr_ok(m, (const char *)metrics + metrics->nla_len); m = mnl_attr_next(m))
		if (mnl_attr_get_type(m) == RTAX_MTU)
			mtu = nl_u32(m);
	return mtu;
}

static int on_path(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a[RTA_VIA + 1];
	struct plat_path *ret = ctx;

	nl_attrs(nlh, sizeof(*rtm), a, RTA_VIA);
	ret->src = nl_ip(a[RTA_PREFSRC]);
	ret->direct = !a[RTA_GATEWAY] && !a[RTA_VIA];
	ret->local = rtm->rtm_type == RTN_LOCAL;
	ret->ifindex = (int)nl_u32(a[RTA_OIF]);
	ret->mtu = path_mtu(a[RTA_METRICS]);
	return MNL_CB_OK;
}

static void no_route(struct text *why, const struct ip *dst, const struct ip *src)
{
	char to[IP_TEXT_MAX], from[IP_TEXT_MAX];

	text_fmt(why, "no route to %s", ip_text(dst, to));
	if (src->family)
		text_fmt(why, " from %s", ip_text(src, from));
}

enum status plat_route_get(struct plat_nl *nl, const struct ip *dst, uint32_t mark,
			   struct text *why, struct plat_path *ret_path)
{
	return plat_route_get_from(nl, dst, &(struct ip){ 0 }, 0, mark, why, ret_path);
}

enum status plat_route_get_from(struct plat_nl *nl, const struct ip *dst, const struct ip *src,
				int ifindex, uint32_t mark, struct text *why,
				struct plat_path *ret_path)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = nl_begin(nl, buf, RTM_GETROUTE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	struct plat_path path = { 0 };
	struct plat_link link;

	rtm->rtm_family = nl_af(dst->family);
	rtm->rtm_dst_len = (uint8_t)ip_bits(dst);
	nl_put_ip(nlh, RTA_DST, dst);
	rtm->rtm_src_len = src->family ? (uint8_t)ip_bits(src) : 0;
	nl_put_ip(nlh, RTA_SRC, src);
	if (ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	if (mark)
		mnl_attr_put_u32(nlh, RTA_MARK, mark);
	if (nl_talk(nl, nlh, on_path, &path) != ST_OK) {
		no_route(why, dst, src);
		nl_why(nl, why);
		return ST_IO;
	}
	if (src->family)
		path.src = *src;
	if (path.mtu == 0 && plat_link_get(nl, path.ifindex, why, &link) == ST_OK)
		path.mtu = link.mtu;
	*ret_path = path;
	return ST_OK;
}
