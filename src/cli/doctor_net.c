/*
 * doctor_net.c - forwarding, reverse paths, other networks, other VPNs' rules, MTUs.
 */
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <time.h>

#include "cli/doctor.h"
#include "guard/guard.h"
#include "plat/process.h"
#include "plat/udp.h"

static long sysctl(const char *path)
{
	long v;

	return plat_sysctl_get(PLAT_NS_HERE, path, &v) == ST_OK ? v : -1;
}

/* ---- addresses of this host -------------------------------------------------------------- */

enum { ADDRS_MAX = 256 };

struct addrs {
	size_t n;
	struct plat_addr v[ADDRS_MAX];
};

static bool on_addr(void *ctx, const struct plat_addr *a)
{
	struct addrs *l = ctx;

	if (!a)
		l->n = 0;
	else if (l->n < ADDRS_MAX)
		l->v[l->n++] = *a;
	return true;
}

static void addrs_get(const struct doctor *d, struct addrs *ret)
{
	char ignored[256];
	struct text why = TEXT_OF(ignored);

	ret->n = 0;
	if (d->nl)
		(void)!plat_addr_each(d->nl, on_addr, ret, &why);
}

static bool is_own(const struct addrs *own, const struct ip *ip)
{
	for (size_t i = 0; i < own->n; i++)
		if (ip_eq(&own->v[i].ip, ip))
			return true;
	return false;
}

/* ---- forwarding -------------------------------------------------------------------------- */

/* Whether packets of that family pass through this host: between members, or for hosts behind. */
static bool forwards(const struct doctor *d, const struct addrs *own, uint8_t family)
{
	const struct doctor_prefixes *l = d->hub && d->domain.n ? &d->domain : &d->local;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].ip.family == family &&
		    (l->v[i].len < ip_bits(&l->v[i].ip) || !is_own(own, &l->v[i].ip)))
			return true;
	return false;
}

static void check_forwarding(struct doctor *d, const struct addrs *own, uint8_t family,
			     const char *path, const char *name)
{
	struct finding f;
	long on = sysctl(path);

	if (!forwards(d, own, family) || on < 0)
		return;
	if (on) {
		doctor_ok(d, "forwarding", "IPv%u is forwarded", family);
		return;
	}
	doctor_begin(&f, "forwarding", DOCTOR_PROBLEM);
	text_fmt(&f.t, "the kernel does not forward IPv%u", family);
	text_fmt(&f.w, "%s (a file in /etc/sysctl.d keeps it)",
		 d->hub ? "packets from one site to another are dropped here"
			: "hosts behind this one are cut off");
	text_fmt(&f.m, "sysctl -w %s=1", name);
	doctor_end(d, &f);
}

void doctor_forwarding(struct doctor *d)
{
	struct addrs own;

	addrs_get(d, &own);
	check_forwarding(d, &own, 4, "ipv4/ip_forward", "net.ipv4.ip_forward");
	check_forwarding(d, &own, 6, "ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding");
}

/* ---- reverse path filter ----------------------------------------------------------------- */

/* The larger of `all` and the device's counts (ip-sysctl). */
static bool strict(const char *device)
{
	char path[64];
	long all = sysctl("ipv4/conf/all/rp_filter"), own;

	snprintf(path, sizeof(path), "ipv4/conf/%s/rp_filter", device);
	own = sysctl(path);
	return (all > own ? all : own) == 1;
}

/* Answers to what arrives on that device would go into the tunnel: strict filtering drops it. */
static void check_reverse(struct doctor *d, const struct plat_link *link, bool tunnel, bool *good)
{
	struct finding f;

	if (!strict(link->name))
		return;
	*good = false;
	doctor_begin(&f, "rp_filter", DOCTOR_PROBLEM);
	text_fmt(&f.t, "reverse path filtering is strict on %s", link->name);
	text_add(&f.w,
		 tunnel ? "what comes out of the tunnel is dropped when another way back looks "
			  "better"
			: "the domain has addresses beyond this device: IKE and ESP from there "
			  "are dropped, because the way back leads into the tunnel");
	text_fmt(&f.m, "sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2",
		 link->name);
	doctor_end(d, &f);
}

/* The device that packets to the underlay leave by, where the domain has that address too. */
static bool underlay_in_domain(const struct doctor *d, const char *host, struct plat_link *ret)
{
	char ignored[256];
	struct text why = TEXT_OF(ignored);
	struct plat_path path;
	struct ip ip;

	return ip_parse(host, &ip) == ST_OK && ip.family == 4 && doctor_has(&d->domain, &ip) &&
	       plat_route_get(d->nl, &ip, PLAT_MARK, &why, &path) == ST_OK &&
	       plat_link_get(d->nl, path.ifindex, &why, ret) == ST_OK;
}

/* Every host that the configuration calls, in turn; NULL after the last. */
static const char *called(const struct doctor *d, size_t index)
{
	size_t k = 0;

	for (const struct conf_peer *p = d->c.conf->peers; p; p = p->next) {
		if (index < p->address.n)
			return p->address.v[index].s;
		index -= p->address.n;
	}
	for (const struct conf_network *n = d->c.conf->networks; n; n = n->next) {
		const struct conf_network_creds *c = conf_creds_network(d->c.creds, k++);

		if (index < c->n_hubs)
			return c->hubs[index];
		index -= c->n_hubs;
	}
	return NULL;
}

void doctor_rp_filter(struct doctor *d)
{
	struct plat_link link;
	bool good = true;
	const char *host;
	char path[64];

	if (!d->c.conf || !d->nl)
		return;
	for (size_t i = 0; good && (host = called(d, i)); i++)
		if (underlay_in_domain(d, host, &link))
			check_reverse(d, &link, false, &good);
	snprintf(path, sizeof(path), "ipv4/conf/%s/rp_filter", d->device);
	if (sysctl(path) >= 0) {
		snprintf(link.name, sizeof(link.name), "%s", d->device);
		check_reverse(d, &link, true, &good);
	}
	if (good)
		doctor_ok(d, "rp_filter", "not in the way");
}

/* ---- networks that the domain swallows --------------------------------------------------- */

static void check_network(struct doctor *d, const struct plat_addr *a, bool *good)
{
	struct prefix net = prefix_of(&a->ip, a->len);
	char ignored[256], buf[PREFIX_TEXT_MAX];
	struct text why = TEXT_OF(ignored);
	struct plat_link link;
	struct finding f;
	struct ip last = prefix_last(&net);

	if (a->scope != RT_SCOPE_UNIVERSE || a->len == ip_bits(&a->ip) ||
	    !doctor_has(&d->domain, &net.ip) || !doctor_has(&d->domain, &last) ||
	    doctor_has(&d->local, &net.ip))
		return;
	if (plat_link_get(d->nl, a->ifindex, &why, &link) != ST_OK || link.loopback ||
	    strcmp(link.name, d->device) == 0)
		return;
	*good = false;
	doctor_begin(&f, "networks", DOCTOR_WARNING);
	text_fmt(&f.t, "%s is connected to %s, lies in the domain and is not protected",
		 prefix_text(&net, buf), link.name);
	text_add(&f.w,
		 "packets to it go into the tunnel: its hosts cannot be reached from here, nor "
		 "from the network");
	text_fmt(&f.m, "add \"%s\" to `protect` (its certificate needs it too), then warren reload",
		 buf);
	doctor_end(d, &f);
}

void doctor_networks(struct doctor *d)
{
	struct addrs own;
	bool good = true;

	addrs_get(d, &own);
	for (size_t i = 0; i < own.n; i++)
		check_network(d, &own.v[i], &good);
	if (good && d->domain.n)
		doctor_ok(d, "networks", "no connected network is cut off by the domain");
}

/* ---- rules before ours ------------------------------------------------------------------- */

enum { OUR_FIRST_RULE = GUARD_RULE - 2 };

struct rules {
	struct doctor *d;
	bool good;
	uint8_t family;
};

struct rule_attrs {
	uint32_t priority, table;
};

static int on_rule_attr(const struct nlattr *attr, void *ctx)
{
	struct rule_attrs *a = ctx;

	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return MNL_CB_OK;
	if (mnl_attr_get_type(attr) == FRA_PRIORITY)
		a->priority = mnl_attr_get_u32(attr);
	else if (mnl_attr_get_type(attr) == FRA_TABLE)
		a->table = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *h, void *ctx)
{
	struct rules *r = ctx;
	struct rule_attrs a = { 0 };
	struct fib_rule_hdr rule;
	struct finding f;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(rule))
		return MNL_CB_OK;
	memcpy(&rule, mnl_nlmsg_get_payload(h), sizeof(rule));
	a.table = rule.table;
	mnl_attr_parse(h, sizeof(rule), on_rule_attr, &a);
	if (a.priority >= OUR_FIRST_RULE || a.table == RT_TABLE_LOCAL ||
	    rule.action != FR_ACT_TO_TBL)
		return MNL_CB_OK;
	r->good = false;
	doctor_begin(&f, "rules", DOCTOR_WARNING);
	text_fmt(&f.t, "IPv%u routing rule %u looks into table %u before ours (%u)", r->family,
		 a.priority, a.table, (unsigned)GUARD_RULE);
	text_add(&f.w,
		 "another VPN's, perhaps: what its table has a route for does not go into the "
		 "tunnel, and may leave in clear; what made the rule may make it again");
	text_fmt(&f.m, "ip -%u rule del priority %u", r->family, a.priority);
	doctor_end(r->d, &f);
	return MNL_CB_OK;
}

static void dump_rules(struct mnl_socket *nl, struct rules *r)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule;
	uint32_t seq = (uint32_t)time(NULL);
	ssize_t got;

	h->nlmsg_type = RTM_GETRULE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = seq;
	rule = mnl_nlmsg_put_extra_header(h, sizeof(*rule));
	rule->family = r->family == 4 ? AF_INET : AF_INET6;
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return;
	while ((got = mnl_socket_recvfrom(nl, buf, sizeof(buf))) > 0)
		if (mnl_cb_run(buf, (size_t)got, seq, mnl_socket_get_portid(nl), on_rule, r) <= 0)
			break;
}

void doctor_rules(struct doctor *d)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct rules r = { .d = d, .good = true };

	if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0)
		for (r.family = 4; r.family <= 6; r.family += 2)
			dump_rules(nl, &r);
	if (nl)
		mnl_socket_close(nl);
	if (r.good)
		doctor_ok(d, "rules", "no routing rule of others stands before ours");
}

/* ---- MTU --------------------------------------------------------------------------------- */

enum {
	IPV6_MIN = 1280, /* RFC 8200 section 5 */
	/* Around an inner packet: IPv6, UDP, ESP header, IV, padding, trailer, ICV. */
	AROUND = 40 + 8 + 8 + 8 + 2 + 2 + 16,
};

static void check_device(struct doctor *d, const struct plat_link *link, uint32_t mtu, bool *good)
{
	struct finding f;

	if (mtu >= IPV6_MIN + AROUND)
		return;
	*good = false;
	doctor_begin(&f, "mtu", DOCTOR_PROBLEM);
	text_fmt(&f.t, "%s takes packets of at most %u bytes", link->name, mtu);
	text_fmt(&f.w,
		 "less than %u leave no room for inner packets of %u bytes, which IPv6 needs: "
		 "outer packets are fragmented, and fragments are often dropped. Perhaps the path "
		 "takes more than the device was told",
		 IPV6_MIN + AROUND, IPV6_MIN);
	text_fmt(&f.m, "ip link set %s mtu 1500", link->name);
	doctor_end(d, &f);
}

static void check_inner(struct doctor *d, const struct plat_link *out, uint32_t outer, bool *good)
{
	char path[64];
	struct finding f;
	char line[32] = "";
	unsigned mtu;

	snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", d->device);
	if (!doctor_read_line(path, line, sizeof(line)) || sscanf(line, "%u", &mtu) != 1 ||
	    mtu + 20 + 8 + 8 + 8 + 2 + 16 <= outer)
		return;
	*good = false;
	doctor_begin(&f, "mtu", DOCTOR_WARNING);
	text_fmt(&f.t, "%s has MTU %u, and %s, by which it leaves, %u", d->device, mtu, out->name,
		 outer);
	text_add(&f.w, "full packets do not fit once they are encrypted");
	text_fmt(&f.m, "ip link set %s mtu %u", d->device, outer > AROUND ? outer - AROUND : 0);
	doctor_end(d, &f);
}

static void check_way(struct doctor *d, const struct ip *ip, bool *good)
{
	char ignored[256];
	struct text why = TEXT_OF(ignored);
	struct plat_path path;
	struct plat_link link;

	if (plat_route_get(d->nl, ip, PLAT_MARK, &why, &path) != ST_OK ||
	    plat_link_get(d->nl, path.ifindex, &why, &link) != ST_OK || link.loopback)
		return;
	check_device(d, &link, path.mtu, good);
	check_inner(d, &link, path.mtu, good);
}

/* A hub, and who calls by name, has the way to anywhere to go by. */
void doctor_mtu(struct doctor *d)
{
	const struct ip any = { .family = 4, .b = { 9, 9, 9, 9 } };
	bool good = true, some = false;
	const char *host;

	if (!d->nl)
		return;
	for (size_t i = 0; good && d->c.conf && (host = called(d, i)); i++) {
		struct ip ip;

		if (ip_parse(host, &ip) != ST_OK)
			continue;
		some = true;
		check_way(d, &ip, &good);
	}
	if (!some)
		check_way(d, &any, &good);
	if (good)
		doctor_ok(d, "mtu", "large enough for IPv6 inside");
}
