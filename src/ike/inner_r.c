/*
 * inner_r.c - the configuration payload of who gives inner addresses out (RFC 7296 sections 2.19,
 * 2.20 and 3.15, RFC 8598).
 *
 *	HDR, SK {IDi, ..., AUTH, CP(CFG_REQUEST), SAi2, TSi, TSr}  -->
 *		<--  HDR, SK {IDr, ..., AUTH, CP(CFG_REPLY), SAr2, TSi, TSr}
 *
 * An identity gets one address of each family that it asks for and the pool has, and may source
 * exactly these, besides what it may anyway.  When there is none, or it cannot be stored, the IKE
 * SA is made without a child, and the other end hears INTERNAL_ADDRESS_FAILURE (section 3.15.4).
 * A netmask is not sent: the address is on no link.
 */
#include "ike/inner.h"
#include "wire/ike/cp.h"

enum {
	REPLY_SUBNETS = 16,
	/* Of a reply: addresses, name servers, names, subnets at their longest, what is about us.
	 */
	REPLY_MAX = INNER_FAMILIES * 21 + WIRE_CFG_DNS * 20 +
		    WIRE_CFG_DOMAINS * (4 + WIRE_CFG_NAME_MAX) + REPLY_SUBNETS * 21 + 64,
};

/* ---- the request -------------------------------------------------------------------------- */

static bool request_of(struct ike *ike, const struct wire_payloads *in, struct wire_cfg *ret)
{
	if (!(in->present & WIRE_BIT(WIRE_P_CP)))
		return false;
	if (in->cp.type == WIRE_CFG_REQUEST && wire_cfg_parse(in->cp.attributes, ret) == ST_OK)
		return true;
	count(ike, C_CP_IGNORED);
	return false;
}

/* The first address of each family is the one that it would like; "any" asks for none in
 * particular. */
static void read_wishes(const struct wire_cfg *cfg, struct inner_request *req)
{
	req->family[INNER_4] = cfg->present & WIRE_BIT(WIRE_CFG_IP4_ADDRESS);
	req->family[INNER_6] = cfg->present & WIRE_BIT(WIRE_CFG_IP6_ADDRESS);
	req->empty = cfg->empty;
	for (size_t i = cfg->n_addresses; i-- > 0;)
		if (!ip_is_any(&cfg->addresses[i].ip))
			req->wish[cfg->addresses[i].ip.family == 4 ? INNER_4 : INNER_6] =
				cfg->addresses[i].ip;
}

enum status inner_r_read(struct ike *ike, struct attempt *at, const struct peer *section,
			 struct inner_request **ret)
{
	struct inner_request *req;
	struct wire_cfg cfg;

	*ret = NULL;
	if (!request_of(ike, &at->inner, &cfg))
		return ST_OK;
	/* Without a pool we are one of those who ignore it (section 3.15.4). */
	if (!section->conf->n_pool ||
	    !(cfg.present & (WIRE_BIT(WIRE_CFG_IP4_ADDRESS) | WIRE_BIT(WIRE_CFG_IP6_ADDRESS)))) {
		count(ike, C_CP_IGNORED);
		return ST_OK;
	}
	req = arena_new(&at->mem, sizeof(*req));
	if (!req)
		return ST_NOMEM;
	read_wishes(&cfg, req);
	*ret = req;
	return ST_OK;
}

enum status inner_r_lease(struct ike *ike, struct attempt *at, struct peer *section,
			  const struct policy_ident *id, struct inner_request *req,
			  inner_step *step)
{
	struct text why = TEXT_OF(req->why);
	enum status st = ST_REFUSE;

	/* There was one when the request came. */
	if (section->conf->n_pool) {
		st = lease_get(ike, section, id, req, at, step);
	} else {
		count(ike, C_POOL_EXHAUSTED);
		text_add(&why, "a reload took the pool of inner addresses away");
	}
	if (st != ST_REFUSE)
		return st;
	req->refused = true;
	req->reason = IKE_R_ADDRESS;
	return ST_OK;
}

void inner_r_not_stored(struct ike *ike, struct inner_request *req)
{
	struct text why = TEXT_OF(req->why);

	count(ike, C_NOT_STORED);
	req->refused = true;
	req->reason = IKE_R_STORE;
	text_add(&why, "no inner address: its lease cannot be stored, and without that it might be "
		       "given to somebody else after a crash; look at the state directory and its "
		       "disk");
}

bool inner_r_refuses(const struct claimant *who, const struct inner_request *req,
		     struct agreement *ret)
{
	struct ip unused[INNER_FAMILIES];
	struct text why;

	/* What it was about to get may be gone with a reload. */
	if (!req->refused && lease_addresses(who->peer, &who->id, unused))
		return false;
	why = TEXT_OF(ret->why);
	ret->notify = WIRE_N_INTERNAL_ADDRESS_FAILURE;
	ret->reason = req->refused ? req->reason : IKE_R_ADDRESS;
	text_add(&why, req->refused ? req->why : "the pool of inner addresses has changed");
	return true;
}

/* Nothing but an address of the pool. */
static bool has_nothing_else(struct arena *ar, const struct claimant *who)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text unsaid = TEXT_OF(buf);
	struct wire_ts_list allowed;

	if (who->peer->conf->role == IKE_ROLE_MEMBERS)
		return member_authorise(ar, who->peer, &who->id, who->cred, &unsaid, &allowed) ==
		       ST_REFUSE;
	return fixed_authorise(ar, who->peer, &who->id, &allowed) == ST_OK && !allowed.n;
}

bool inner_r_required(struct arena *ar, const struct claimant *who, struct agreement *a)
{
	struct text why;

	if (a->notify != WIRE_N_TS_UNACCEPTABLE || !who->peer->conf->n_pool ||
	    !has_nothing_else(ar, who))
		return false;
	why = TEXT_OF(a->why);
	a->notify = WIRE_N_FAILED_CP_REQUIRED;
	a->reason = IKE_R_ADDRESS;
	policy_ident_text(&why, &who->id);
	text_add(&why, " may have nothing but an inner address of our pool, and does not ask for "
		       "one: give its end `virtual_ip`, or role = endpoint");
	return true;
}

/* ---- the reply ---------------------------------------------------------------------------- */

static bool asked_for(const struct inner_request *req, enum wire_cfg_attribute a)
{
	return req->empty & WIRE_BIT(a);
}

static bool asks_dns(const struct inner_request *req, const struct ip *ip)
{
	return asked_for(req, ip->family == 4 ? WIRE_CFG_IP4_DNS : WIRE_CFG_IP6_DNS);
}

/* Names only with a server that resolves them (RFC 8598 section 3.2), and for who says that it
 * knows what to do with them (section 3.1). */
static void put_dns(const struct ike_peer_conf *conf, const struct inner_request *req, struct wr *w)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->n_dns; i++) {
		if (!asks_dns(req, &conf->dns[i]))
			continue;
		wire_cfg_put_dns(w, &conf->dns[i]);
		n++;
	}
	for (size_t i = 0; n && asked_for(req, WIRE_CFG_DNS_DOMAIN) && i < conf->n_dns_domains; i++)
		wire_cfg_put(w, WIRE_CFG_DNS_DOMAIN, bytes_str(conf->dns_domains[i]));
}

/* What is behind us (section 3.15.2), as far as it is a few prefixes. */
static void put_subnets(const struct ike_peer_conf *conf, struct wr *w)
{
	struct prefix p[REPLY_SUBNETS];
	size_t n = 0;

	for (size_t i = 0; i < conf->ts_local.n; i++) {
		size_t more = policy_ts_prefixes(&conf->ts_local.ts[i], p + n, REPLY_SUBNETS - n);

		if (conf->ts_local.ts[i].proto || !more)
			return;
		n += more;
	}
	for (size_t i = 0; i < n; i++)
		wire_cfg_put_subnet(w, &p[i]);
}

/* What everybody may know: which attributes there are, and no version (section 2.20). */
static void put_about_us(const struct inner_request *req, struct wr *w)
{
	if (asked_for(req, WIRE_CFG_APPLICATION_VERSION))
		wire_cfg_put(w, WIRE_CFG_APPLICATION_VERSION, bytes_of(NULL, 0));
	if (asked_for(req, WIRE_CFG_SUPPORTED_ATTRIBUTES))
		wire_cfg_put_supported(w);
}

static size_t put_addresses(const struct peer *p, const struct policy_ident *id,
			    const struct inner_request *req, struct wr *w)
{
	struct ip ip[INNER_FAMILIES];
	size_t n = lease_addresses(p, id, ip), put = 0;

	for (size_t i = 0; i < n; i++) {
		if (!req->family[ip[i].family == 4 ? INNER_4 : INNER_6])
			continue;
		wire_cfg_put_address(w, &ip[i]);
		put++;
	}
	return put;
}

void inner_r_put(const struct peer *p, const struct policy_ident *id,
		 const struct inner_request *req, struct wire_out *o)
{
	uint8_t buf[REPLY_MAX];
	struct wr w = wr_of(buf, sizeof(buf));

	(void)put_addresses(p, id, req, &w);
	put_dns(p->conf, req, &w);
	put_subnets(p->conf, &w);
	put_about_us(req, &w);
	o->w.err = o->w.err || w.err;
	wire_put_cp(o, WIRE_CFG_REPLY, wr_bytes_of(&w));
}

/* ---- in an SA that is up ------------------------------------------------------------------- */

/* What it has already it may ask for again; a new address there is only with a new IKE SA, in which
 * it proves who it is. */
static void answer_request(struct ike *ike, const struct ike_sa *sa, const struct wire_cfg *cfg,
			   struct wire_out *o)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	struct inner_request req = { 0 };
	uint8_t buf[REPLY_MAX];
	struct wr w = wr_of(buf, sizeof(buf));
	bool gives = conf->n_pool && !sa->called;
	size_t n = 0;

	read_wishes(cfg, &req);
	if (gives) {
		n = put_addresses(sa->peer, &sa->remote_id, &req, &w);
		put_dns(conf, &req, &w);
		put_subnets(conf, &w);
	}
	put_about_us(&req, &w);
	o->w.err = o->w.err || w.err;
	if (gives && n == 0 && (req.family[INNER_4] || req.family[INNER_6])) {
		count(ike, C_CP_IGNORED);
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0),
				WIRE_N_INTERNAL_ADDRESS_FAILURE, bytes_of(NULL, 0));
		return;
	}
	wire_put_cp(o, WIRE_CFG_REPLY, wr_bytes_of(&w));
}

void inner_r_info(struct ike *ike, const struct ike_sa *sa, const struct wire_payloads *in,
		  struct wire_out *o)
{
	struct wire_cfg cfg;

	if (request_of(ike, in, &cfg))
		answer_request(ike, sa, &cfg, o);
	else if (in->present & WIRE_BIT(WIRE_P_CP) && in->cp.type == WIRE_CFG_SET)
		/* Nothing of it was accepted (section 3.15.1). */
		wire_put_cp(o, WIRE_CFG_ACK, bytes_of(NULL, 0));
}
