/*
 * inner_i.c - the configuration payload of who asks for inner addresses (RFC 7296 sections 2.19 and
 * 3.15, RFC 8598).
 *
 * What a gateway may tell us is bounded: addresses that we asked for and that it may give, name
 * servers that its tunnel leads to, names for these to resolve, prefixes behind it.  An address
 * that it may not give is worth no tunnel; of the rest we take what makes sense, and count what
 * does not.
 *
 * A section has what the newest answer said, for as long as an SA lives that we made: two SAs of
 * which one replaces the other say the same, and the host notices nothing.  Afterwards the
 * addresses are what we ask for.
 */
#include "ike/inner.h"
#include "wire/ike/cp.h"

/* What a section got.  Everything in it lives in its arena. */
struct inner {
	struct arena mem;
	bool up;
	struct ike_inner_address addresses[INNER_FAMILIES];
	size_t n_addresses;
	struct wire_ts_list ts; /* selectors of our end: the addresses, and what is ours anyway */
	struct ip dns[WIRE_CFG_DNS];
	size_t n_dns;
	const char *domains[WIRE_CFG_DOMAINS];
	size_t n_domains;
	struct prefix subnets[WIRE_CFG_SUBNETS];
	size_t n_subnets;
};

/* ---- asking ------------------------------------------------------------------------------- */

static bool asks_family(const struct ike_peer_conf *conf, uint8_t family)
{
	return family == 4 ? conf->ask_v4 : conf->ask_v6;
}

/* The one that we had, then the one that the configuration would like; family 0: any. */
static struct ip wish(const struct peer *p, uint8_t family)
{
	const struct inner *had = p->section->inner;

	for (size_t i = 0; had && i < had->n_addresses; i++)
		if (had->addresses[i].ip.family == family)
			return had->addresses[i].ip;
	return p->conf->ask[family == 4 ? INNER_4 : INNER_6];
}

static void put_family(const struct peer *p, uint8_t family, struct wr *w)
{
	struct ip ip = wish(p, family);

	if (!asks_family(p->conf, family))
		return;
	if (ip.family)
		wire_cfg_put_address(w, &ip);
	else
		wire_cfg_put(w, family == 4 ? WIRE_CFG_IP4_ADDRESS : WIRE_CFG_IP6_ADDRESS,
			     bytes_of(NULL, 0));
	wire_cfg_put(w, family == 4 ? WIRE_CFG_IP4_DNS : WIRE_CFG_IP6_DNS, bytes_of(NULL, 0));
}

void inner_i_put(const struct peer *p, struct wire_out *o)
{
	uint8_t buf[64];
	struct wr w = wr_of(buf, sizeof(buf));

	if (!inner_i_asks(p->conf))
		return;
	put_family(p, 4, &w);
	put_family(p, 6, &w);
	wire_cfg_put(&w, WIRE_CFG_DNS_DOMAIN, bytes_of(NULL, 0));
	wire_put_cp(o, WIRE_CFG_REQUEST, wr_bytes_of(&w));
}

/* All of IPv4, all of IPv6: until an address is known (section 2.19). */
static const struct wire_ts everything[] = {
	{ .port_end = 65535, .start = { .family = 4 }, .end = { 4, { 255, 255, 255, 255 } } },
	{ .port_end = 65535,
	  .start = { .family = 6 },
	  .end = { 6,
		   { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		     255 } } },
};
static const struct wire_ts_list all = { everything, 2, 0 };
static const struct wire_ts_list all_v4 = { everything, 1, 0 };
static const struct wire_ts_list all_v6 = { everything + 1, 1, 0 };

const struct wire_ts_list *inner_i_wanted(const struct ike_peer_conf *conf)
{
	bool v4 = conf->ask_v4 || policy_ts_has_family(&conf->ts_local, 4);
	bool v6 = conf->ask_v6 || policy_ts_has_family(&conf->ts_local, 6);

	if (!inner_i_asks(conf))
		return &conf->ts_local;
	return v4 && v6 ? &all : v4 ? &all_v4 : &all_v6;
}

static const struct inner *in_use(const struct peer *p)
{
	const struct inner *in = p->section ? p->section->inner : NULL;

	return in && in->up ? in : NULL;
}

const struct wire_ts_list *inner_i_local(const struct peer *p)
{
	const struct inner *in = in_use(p);

	return in && inner_i_asks(p->conf) ? &in->ts : &p->conf->ts_local;
}

bool inner_i_ready(const struct peer *p)
{
	return !inner_i_asks(p->conf) || in_use(p);
}

/* ---- the answer: addresses ------------------------------------------------------------------ */

/* Addresses that no host has in any network of ours: unspecified, loopback, multicast, broadcast,
 * reserved, link-local, and IPv4 in the shape of IPv6. */
static bool is_host_address(const struct ip *ip)
{
	static const struct {
		struct ip ip;
		uint8_t len;
	} not_one[] = {
		{ { 4, { 0 } }, 8 },           { { 4, { 127 } }, 8 },
		{ { 4, { 169, 254 } }, 16 },   { { 4, { 224 } }, 3 },
		{ { 6, { 0 } }, 96 },          { { 6, { [10] = 0xff, 0xff } }, 96 },
		{ { 6, { 0xfe, 0x80 } }, 10 }, { { 6, { 0xff } }, 8 },
	};

	for (size_t i = 0; i < ARRAY_LEN(not_one); i++) {
		struct prefix p = { not_one[i].ip, not_one[i].len };

		if (prefix_has(&p, ip))
			return false;
	}
	return ip->family != 0;
}

/* NULL: it is acceptable. */
static const char *wrong_with(const struct ike *ike, const struct ike_sa *sa,
			      const struct cred *cred, const struct ip *ip, struct text *more)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	const struct wire_ts ts = policy_host_ts(ip);
	const struct wire_ts_list one = { &ts, 1, 0 };

	if (!asks_family(conf, ip->family))
		return "of a family that we did not ask for";
	if (!is_host_address(ip))
		return "which no host can have";
	if (ip_eq(ip, &sa->path.local.ip) || ip_eq(ip, &sa->path.remote.ip))
		return "which the tunnel itself goes through";
	if (network_has(ike, ip))
		return "which this host has already";
	if (conf->role == IKE_ROLE_HUB && !hub_may_give(conf, cred, &one, more))
		return "which is not its to give";
	return NULL;
}

static bool have_family(const struct inner *got, uint8_t family)
{
	for (size_t i = 0; i < got->n_addresses; i++)
		if (got->addresses[i].ip.family == family)
			return true;
	return false;
}

/* One of each family; others we did not ask for (section 3.15.1). */
static enum ike_reason read_addresses(struct ike *ike, const struct ike_sa *sa,
				      const struct cred *cred, const struct wire_cfg *cfg,
				      struct inner *got, struct text *why)
{
	for (size_t i = 0; i < cfg->n_addresses; i++) {
		const struct ip *ip = &cfg->addresses[i].ip;
		char more[256], buf[IP_TEXT_MAX];
		struct text t = TEXT_OF(more);
		const char *wrong = wrong_with(ike, sa, cred, ip, &t);

		if (wrong) {
			text_fmt(why, "the peer gives us the inner address %s, %s%s%s",
				 ip_text(ip, buf), wrong, t.n ? ": " : "", more);
			return IKE_R_ADDRESS;
		}
		if (have_family(got, ip->family)) {
			count(ike, C_CP_IGNORED);
			continue;
		}
		/* On no link, whatever prefix it names: that would be a route. */
		got->addresses[got->n_addresses++] =
			(struct ike_inner_address){ *ip, (uint8_t)ip_bits(ip) };
	}
	if (got->n_addresses)
		return IKE_R_NONE;
	text_add(why, "the peer gives us no inner address");
	return IKE_R_ADDRESS;
}

static enum ike_reason put_selectors(const struct ike_peer_conf *conf, struct inner *got)
{
	size_t own = conf->ts_local.n;
	struct wire_ts *ts = arena_new(&got->mem, (own + got->n_addresses) * sizeof(*ts));

	if (!ts)
		return IKE_R_INTERNAL;
	for (size_t i = 0; i < got->n_addresses; i++)
		ts[i] = policy_host_ts(&got->addresses[i].ip);
	if (own)
		memcpy(ts + got->n_addresses, conf->ts_local.ts, own * sizeof(*ts));
	got->ts = (struct wire_ts_list){ ts, own + got->n_addresses, 0 };
	return IKE_R_NONE;
}

/* ---- the answer: names and subnets ----------------------------------------------------------- */

static bool reaches(const struct wire_ts_list *to, const struct wire_ts *ts)
{
	const struct wire_ts_list one = { ts, 1, 0 };

	return policy_ts_subset(&one, to);
}

/* What is asked of a server that the tunnel does not lead to would go out in clear. */
static void read_dns(struct ike *ike, const struct wire_cfg *cfg, const struct wire_ts_list *to,
		     struct inner *got)
{
	for (size_t i = 0; i < cfg->n_dns; i++) {
		const struct wire_ts ts = policy_host_ts(&cfg->dns[i]);

		if (is_host_address(&cfg->dns[i]) && reaches(to, &ts))
			got->dns[got->n_dns++] = cfg->dns[i];
		else
			count(ike, C_CP_IGNORED);
	}
}

/* Only part of all addresses goes through the tunnel. */
static bool is_split(const struct wire_ts_list *to)
{
	return !reaches(to, &everything[0]) && !reaches(to, &everything[1]);
}

static void lower_case(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

static bool is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

/* Section 5: where our configuration has a list, it is that and nothing else. */
static bool domain_wanted(const struct ike_peer_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_dns_domains; i++)
		if (is_below(name, conf->dns_domains[i]))
			return true;
	return conf->n_dns_domains == 0;
}

static bool already(const struct inner *got, const char *name)
{
	for (size_t i = 0; i < got->n_domains; i++)
		if (strcmp(got->domains[i], name) == 0)
			return true;
	return false;
}

/* RFC 8598 sections 2 and 5: in a tunnel that everything goes through the servers resolve
 * everything anyway, and nobody shall take names of the public tree away.  Trust anchors of DNSSEC
 * are never used: nobody here lists domains to trust them for (section 6). */
static enum ike_reason read_domains(struct ike *ike, const struct ike_peer_conf *conf,
				    const struct wire_cfg *cfg, const struct wire_ts_list *to,
				    struct inner *got)
{
	for (size_t i = 0; i < cfg->n_domains; i++) {
		struct bytes from = cfg->domains[i];
		char *name = arena_new(&got->mem, from.n + 1);

		if (!name)
			return IKE_R_INTERNAL;
		memcpy(name, from.p, from.n);
		lower_case(name);
		if (got->n_dns && is_split(to) && domain_wanted(conf, name) && !already(got, name))
			got->domains[got->n_domains++] = name;
		else
			count(ike, C_CP_IGNORED);
	}
	/* Servers without a name would be asked for all of them. */
	if (got->n_domains == 0 && conf->n_dns_domains && is_split(to)) {
		ike->counters[C_CP_IGNORED] += got->n_dns;
		got->n_dns = 0;
	}
	return IKE_R_NONE;
}

/* Those that we would send there anyway: a gateway does not get traffic by announcing it. */
static void read_subnets(struct ike *ike, const struct wire_cfg *cfg, const struct wire_ts_list *to,
			 struct inner *got)
{
	for (size_t i = 0; i < cfg->n_subnets; i++) {
		const struct wire_ts ts = { .port_end = 65535,
					    .start = prefix_first(&cfg->subnets[i]),
					    .end = prefix_last(&cfg->subnets[i]) };

		if (reaches(to, &ts))
			got->subnets[got->n_subnets++] = cfg->subnets[i];
		else
			count(ike, C_CP_IGNORED);
	}
}

static enum ike_reason read_cfg(struct ike *ike, const struct ike_sa *sa, const struct cred *cred,
				const struct wire_payloads *in, struct inner *got, struct text *why)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	/* Without a child yet: what a child may have at most. */
	const struct wire_ts_list *to = in->ts_r.n ? &in->ts_r : &conf->ts_remote;
	struct wire_cfg cfg = { 0 };
	enum ike_reason reason;

	if (in->present & WIRE_BIT(WIRE_P_CP) && in->cp.type != WIRE_CFG_REPLY)
		count(ike, C_CP_IGNORED);
	else if (in->present & WIRE_BIT(WIRE_P_CP) && wire_cfg_parse(in->cp.attributes, &cfg))
		return IKE_R_MALFORMED; /* the payload's parser would not have let it through */
	ike->counters[C_CP_IGNORED] += cfg.left_out + cfg.trust_anchors;
	reason = read_addresses(ike, sa, cred, &cfg, got, why);
	if (!reason)
		reason = put_selectors(conf, got);
	if (reason)
		return reason;
	read_dns(ike, &cfg, to, got);
	read_subnets(ike, &cfg, to, got);
	return read_domains(ike, conf, &cfg, to, got);
}

enum ike_reason inner_i_read(struct ike *ike, const struct attempt *at, const struct cred *cred,
			     struct inner **ret, struct text *why)
{
	struct inner *got = mem_new(ike->mem, sizeof(*got));
	enum ike_reason reason = IKE_R_INTERNAL;

	if (got) {
		arena_init(&got->mem, ike->mem, IKE_MESSAGE_ARENA);
		reason = read_cfg(ike, at->sa, cred, &at->inner, got, why);
	}
	if (reason == IKE_R_INTERNAL)
		text_add(why, "out of memory");
	if (reason) {
		count(ike, reason == IKE_R_INTERNAL ? C_NO_MEMORY : C_INNER_REFUSED);
		inner_i_free(ike, got);
		return reason;
	}
	*ret = got;
	return IKE_R_NONE;
}

const struct wire_ts_list *inner_i_got(const struct inner *got)
{
	return &got->ts;
}

void inner_i_free(struct ike *ike, struct inner *got)
{
	if (!got)
		return;
	arena_done(&got->mem);
	mem_free(ike->mem, got);
}

/* ---- telling the host ----------------------------------------------------------------------- */

static bool same_ips(const struct ip *a, const struct ip *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ip_eq(&a[i], &b[i]))
			return false;
	return true;
}

static bool same(const struct inner *a, const struct inner *b)
{
	if (a->n_addresses != b->n_addresses || a->n_dns != b->n_dns ||
	    a->n_domains != b->n_domains || a->n_subnets != b->n_subnets ||
	    !same_ips(a->dns, b->dns, a->n_dns))
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!ip_eq(&a->addresses[i].ip, &b->addresses[i].ip))
			return false;
	for (size_t i = 0; i < a->n_domains; i++)
		if (strcmp(a->domains[i], b->domains[i]) != 0)
			return false;
	for (size_t i = 0; i < a->n_subnets; i++)
		if (!prefix_eq(&a->subnets[i], &b->subnets[i]))
			return false;
	return true;
}

/* A copy: what the section has may change before the host reads it. */
static enum status dup_all(struct arena *ar, const struct inner *in, struct ike_inner *ret)
{
	struct bytes addresses, dns, subnets, name;
	const char **domains = arena_new(ar, (in->n_domains + 1) * sizeof(*domains));

	if (!domains ||
	    arena_dup(ar, bytes_of(in->addresses, in->n_addresses * sizeof(in->addresses[0])),
		      &addresses) ||
	    arena_dup(ar, bytes_of(in->dns, in->n_dns * sizeof(in->dns[0])), &dns) ||
	    arena_dup(ar, bytes_of(in->subnets, in->n_subnets * sizeof(in->subnets[0])), &subnets))
		return ST_NOMEM;
	for (size_t i = 0; i < in->n_domains; i++) {
		if (arena_dup(ar, bytes_of(in->domains[i], strlen(in->domains[i]) + 1), &name))
			return ST_NOMEM;
		domains[i] = (const char *)name.p;
	}
	ret->addresses = (const void *)addresses.p;
	ret->dns = (const void *)dns.p;
	ret->domains = domains;
	ret->subnets = (const void *)subnets.p;
	ret->n_addresses = in->n_addresses;
	ret->n_dns = in->n_dns;
	ret->n_domains = in->n_domains;
	ret->n_subnets = in->n_subnets;
	return ST_OK;
}

/* `in` NULL: nothing holds any more. */
static void emit(const struct peer *p, const struct inner *in, struct outbox *ob)
{
	struct out_item *it = outbox_add(ob, IKE_OUT_INNER);
	struct ike_inner *o = it ? arena_new(&it->mem, sizeof(*o)) : NULL;
	struct bytes name;

	if (!o || arena_dup(&it->mem, bytes_of(p->name, strlen(p->name) + 1), &name) ||
	    (in && dup_all(&it->mem, in, o))) {
		ob->failed = true;
		return;
	}
	o->peer = p->id;
	o->peer_name = (const char *)name.p;
	o->up = in != NULL;
	it->out.u.inner = o;
}

void inner_i_emit(struct peer *p, const struct inner *got, struct outbox *ob)
{
	const struct inner *now = in_use(p);

	if (!now || !same(now, got))
		emit(p, got, ob);
}

static void say_got(struct ike *ike, struct peer *p, const struct inner *got)
{
	char buf[256], ip[IP_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	for (size_t i = 0; i < got->n_addresses; i++)
		text_fmt(&t, "%s%s", i ? " and " : "our inner address is ",
			 ip_text(&got->addresses[i].ip, ip));
	event_emit(ike, IKE_EV_LEASE, (struct event_about){ .peer = p }, "%s", buf);
}

void inner_i_commit(struct ike *ike, struct peer *p, struct inner *got)
{
	struct inner *before = p->section->inner;

	got->up = true;
	if (!before || !before->up || !same(before, got))
		say_got(ike, p, got);
	p->section->inner = got;
	inner_i_free(ike, before);
}

void inner_i_refused(struct peer *p)
{
	if (inner_i_asks(p->conf))
		p->section->failures = IKE_ADDRESS_FAILURES;
}

static bool any_made_by_us(const struct peer *p)
{
	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa->called && sa->state == SA_UP)
			return true;
	}
	return false;
}

static bool tell_gone(struct ike *ike, const struct peer *p)
{
	struct outbox ob;

	outbox_init(&ob, ike->mem);
	emit(p, NULL, &ob);
	if (ob.failed) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return false;
	}
	outbox_commit(ike, &ob);
	return true;
}

void inner_i_gone(struct ike *ike, struct peer *p)
{
	struct inner *in = p->section ? p->section->inner : NULL;

	if (!in || !in->up || any_made_by_us(p))
		return;
	in->up = false;
	if (tell_gone(ike, p)) {
		event_emit(ike, IKE_EV_LEASE, (struct event_about){ .peer = p },
			   "our inner addresses are gone with the last IKE SA");
		return;
	}
	p->section->inner_owed = ike->inner_owed = true;
}

void inner_i_pay(struct ike *ike)
{
	bool owed = false;

	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (!p->section->inner_owed)
			continue;
		/* Others came instead: they say all that holds. */
		p->section->inner_owed = !in_use(p) && !tell_gone(ike, p);
		owed = owed || p->section->inner_owed;
	}
	ike->inner_owed = owed;
}

size_t inner_i_addresses(const struct peer *p, struct ip ret[INNER_FAMILIES])
{
	const struct inner *in = in_use(p);
	size_t n = in ? in->n_addresses : 0;

	for (size_t i = 0; i < n; i++)
		ret[i] = in->addresses[i].ip;
	return n;
}
