/* Rules (policy routing). */
#include "plat/nl.h"

#include <errno.h>
#include <linux/fib_rules.h>

#define LOOPBACK "lo"

static const uint8_t actions[] = {
	[PLAT_RULE_TABLE] = FR_ACT_TO_TBL,
	[PLAT_RULE_GOTO] = FR_ACT_GOTO,
	[PLAT_RULE_NOP] = FR_ACT_NOP,
};

static void put_ports(struct nlmsghdr *nlh, uint16_t type, uint16_t port)
{
	const struct fib_rule_port_range range = { port, port };

	if (port)
		mnl_attr_put(nlh, type, sizeof(range), &range);
}

/* What a rule fits. */
static void put_selectors(struct nlmsghdr *nlh, struct fib_rule_hdr *h, const struct plat_rule *r)
{
	if (r->mask) {
		h->flags |= FIB_RULE_INVERT;
		mnl_attr_put_u32(nlh, FRA_FWMARK, r->not_mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, r->mask);
	}
	if (r->own)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, LOOPBACK);
	if (r->from.ip.family && r->from.len) {
		h->src_len = r->from.len;
		nl_put_ip(nlh, FRA_SRC, &r->from.ip);
	}
	if (r->ip_proto)
		mnl_attr_put_u8(nlh, FRA_IP_PROTO, r->ip_proto);
	put_ports(nlh, FRA_SPORT_RANGE, r->sport);
	put_ports(nlh, FRA_DPORT_RANGE, r->dport);
}

static struct nlmsghdr *rule_request(struct plat_nl *nl, void *buf, uint16_t type, uint16_t flags,
				     const struct plat_rule *r)
{
	struct nlmsghdr *nlh = nl_begin(nl, buf, type, flags);
	struct fib_rule_hdr *h = mnl_nlmsg_put_extra_header(nlh, sizeof(*h));

	h->family = nl_af(r->family);
	h->table = RT_TABLE_UNSPEC;
	h->action = actions[r->action];
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->priority);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, r->protocol);
	if (r->action == PLAT_RULE_TABLE)
		mnl_attr_put_u32(nlh, FRA_TABLE, r->table);
	if (r->action == PLAT_RULE_GOTO)
		mnl_attr_put_u32(nlh, FRA_GOTO, r->target);
	put_selectors(nlh, h, r);
	return nlh;
}

static enum status rule_talk(struct plat_nl *nl, struct nlmsghdr *nlh, const char *what,
			     const struct plat_rule *r, struct text *why)
{
	if (nl_talk(nl, nlh, NULL, NULL) == ST_OK)
		return ST_OK;
	text_fmt(why, "cannot %s IPv%u rule %u", what, r->family, r->priority);
	if (r->action == PLAT_RULE_TABLE)
		text_fmt(why, " for table %u", r->table);
	nl_why(nl, why);
	return ST_IO;
}

enum status plat_rule_add(struct plat_nl *nl, const struct plat_rule *r, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = rule_request(nl, buf, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r);

	return rule_talk(nl, nlh, "add", r, why);
}

enum status plat_rule_del(struct plat_nl *nl, const struct plat_rule *r, struct text *why)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = rule_request(nl, buf, RTM_DELRULE, 0, r);

	return rule_talk(nl, nlh, "delete", r, why);
}

/* ---- listing ----------------------------------------------------------------------------- */

struct rule_visit {
	uint8_t protocol;
	plat_rule_fn *fn;
	void *ctx;
};

static bool action_of(uint8_t action, enum plat_rule_action *ret_action)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (actions[i] == action) {
			*ret_action = (enum plat_rule_action)i;
			return true;
		}
	return false;
}

/* 0 and false when it is a range of more than one. */
static bool port_of(const struct nlattr *a, uint16_t *ret_port)
{
	const struct fib_rule_port_range *range;

	*ret_port = 0;
	if (!a || mnl_attr_get_payload_len(a) < sizeof(*range))
		return a == NULL;
	range = mnl_attr_get_payload(a);
	*ret_port = range->start;
	return range->start == range->end;
}

/* Everything that a rule of ours can have; what else there is makes it somebody else's. */
static bool plain(const struct nlattr *const *a, const struct fib_rule_hdr *h)
{
	static const uint16_t others[] = { FRA_DST, FRA_OIFNAME, FRA_FLOW, FRA_TUN_ID,
					   FRA_UID_RANGE };
	const bool invert = h->flags & FIB_RULE_INVERT;

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (a[others[i]])
			return false;
	if (a[FRA_L3MDEV] && mnl_attr_get_u8(a[FRA_L3MDEV]))
		return false;
	if (a[FRA_IIFNAME] && strcmp(mnl_attr_get_str(a[FRA_IIFNAME]), LOOPBACK) != 0)
		return false;
	return h->tos == 0 && invert == (nl_u32(a[FRA_FWMASK]) != 0) &&
	       nl_u32(a[FRA_SUPPRESS_PREFIXLEN]) + 1 <= 1;
}

static bool read_rule(const struct nlmsghdr *nlh, struct plat_rule *ret_rule)
{
	const struct fib_rule_hdr *h = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a[FRA_DPORT_RANGE + 1];
	struct plat_rule r = { .family = h->family == AF_INET6 ? 6 : 4 };
	bool known;

	nl_attrs(nlh, sizeof(*h), a, FRA_DPORT_RANGE);
	r.protocol = a[FRA_PROTOCOL] ? mnl_attr_get_u8(a[FRA_PROTOCOL]) : 0;
	r.priority = nl_u32(a[FRA_PRIORITY]);
	known = action_of(h->action, &r.action) && plain(a, h);
	if (r.action == PLAT_RULE_TABLE)
		r.table = a[FRA_TABLE] ? nl_u32(a[FRA_TABLE]) : h->table;
	r.target = nl_u32(a[FRA_GOTO]);
	r.not_mark = nl_u32(a[FRA_FWMARK]);
	r.mask = nl_u32(a[FRA_FWMASK]);
	r.own = a[FRA_IIFNAME] != NULL;
	if (a[FRA_SRC] && h->src_len) {
		struct ip src = nl_ip(a[FRA_SRC]);

		r.from = prefix_of(&src, h->src_len);
	}
	r.ip_proto = a[FRA_IP_PROTO] ? mnl_attr_get_u8(a[FRA_IP_PROTO]) : 0;
	known &= port_of(a[FRA_SPORT_RANGE], &r.sport) && port_of(a[FRA_DPORT_RANGE], &r.dport);
	*ret_rule = r;
	return known;
}

static int on_rule(const struct nlmsghdr *nlh, void *ctx)
{
	struct rule_visit *v = ctx;
	struct plat_rule r;
	bool known = read_rule(nlh, &r);

	if (r.protocol != v->protocol)
		return MNL_CB_OK;
	if (!known)
		r = (struct plat_rule){ .family = r.family,
					.priority = r.priority,
					.protocol = r.protocol };
	return v->fn(v->ctx, &r) ? MNL_CB_OK : MNL_CB_STOP;
}

static enum status rule_dump(struct plat_nl *nl, uint8_t family, struct rule_visit *v)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh = nl_begin(nl, buf, RTM_GETRULE, NLM_F_DUMP);
	struct fib_rule_hdr *h = mnl_nlmsg_put_extra_header(nlh, sizeof(*h));

	h->family = nl_af(family);
	return nl_talk(nl, nlh, on_rule, v);
}

enum status plat_rule_each(struct plat_nl *nl, uint8_t family, uint8_t protocol, plat_rule_fn *fn,
			   void *ctx, struct text *why)
{
	struct rule_visit v = { protocol, fn, ctx };
	enum status st = rule_dump(nl, family, &v);

	for (int i = 1; i < NL_DUMP_TRIES && st == ST_IO && nl->err == EINTR; i++) {
		fn(ctx, NULL);
		st = rule_dump(nl, family, &v);
	}
	/* A kernel without this family has no rules for it. */
	if (st == ST_OK || (st == ST_IO && (nl->err == EAFNOSUPPORT || nl->err == EOPNOTSUPP)))
		return ST_OK;
	text_fmt(why, "cannot list the IPv%u rules", family);
	nl_why(nl, why);
	return st;
}

static bool same_action(const struct plat_rule *a, const struct plat_rule *b)
{
	if (a->action != b->action)
		return false;
	if (a->action == PLAT_RULE_TABLE)
		return a->table == b->table;
	return a->action != PLAT_RULE_GOTO || a->target == b->target;
}

bool plat_rule_eq(const struct plat_rule *a, const struct plat_rule *b)
{
	return a->family == b->family && a->priority == b->priority && same_action(a, b) &&
	       a->mask == b->mask && (a->mask == 0 || a->not_mark == b->not_mark) &&
	       a->own == b->own && a->from.len == b->from.len &&
	       (a->from.len == 0 || ip_eq(&a->from.ip, &b->from.ip)) &&
	       a->ip_proto == b->ip_proto && a->sport == b->sport && a->dport == b->dport &&
	       a->protocol == b->protocol;
}
