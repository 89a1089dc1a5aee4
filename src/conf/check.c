/*
 * check.c - what only shows when values are held against each other, once the whole file is read:
 * inheritance from the top level, one way to authenticate, peers nobody could tell apart.
 */
#include "conf/internal.h"

/* ---- inheritance ---- */

static void inherit(struct conf_peer *p, const struct conf *c)
{
	bool psk = given(p->psk.at) || given(p->psk_file.at);

	if (!given(p->local_id.text.at))
		p->local_id = c->local_id;
	if (psk)
		return;
	/* A peer's own certificate does not go with the top level's key. */
	if (!given(p->certificate.at) && !given(p->key.at)) {
		p->certificate = c->certificate;
		p->key = c->key;
	}
	if (given(p->trust.at))
		return;
	p->trust = c->trust;
	/* A CRL belongs to its authority. */
	if (!given(p->crl.at))
		p->crl = c->crl;
}

/* Who does not say otherwise only waits for a peer whose address is unknown. */
static void settle_start(struct conf_peer *p, struct conf_errors *errs)
{
	if (given(p->address.at))
		return;
	if (!given(p->start.at))
		p->start.v = CONF_START_LISTEN;
	else if (p->start.v == CONF_START_UP || p->start.v == CONF_START_TRAFFIC)
		conf_error_add(
			errs, p->start.at,
			"start of peer \"%s\" wants an address to connect to, accepted without "
			"one: listen",
			p->name);
}

/* ---- authentication ---- */

static void check_psk(const struct conf_peer *p, struct conf_errors *errs)
{
	const struct {
		const char *name;
		struct conf_pos at;
	} other[] = { { "certificate", p->certificate.at },
		      { "key", p->key.at },
		      { "trust", p->trust.at },
		      { "crl", p->crl.at } };

	if (given(p->psk.at) && given(p->psk_file.at))
		conf_error_add(errs, p->psk_file.at,
			       "peer \"%s\" has psk (line %u) and psk_file, accepted: one of them",
			       p->name, p->psk.at.line);
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (given(other[i].at))
			conf_error_add(errs, other[i].at,
				       "peer \"%s\" has a pre-shared key and %s, accepted: psk or "
				       "certificates",
				       p->name, other[i].name);
}

static void check_cert(const struct conf_peer *p, struct conf_errors *errs)
{
	if (!given(p->certificate.at) && !given(p->key.at)) {
		conf_error_add(
			errs, p->at,
			"peer \"%s\" has no way to authenticate, accepted: psk, psk_file, or "
			"certificate with key and trust, here or at the top level",
			p->name);
		return;
	}
	if (!given(p->key.at))
		conf_error_add(errs, p->certificate.at, "certificate without its key");
	if (!given(p->certificate.at))
		conf_error_add(errs, p->key.at, "key without its certificate");
	if (!given(p->trust.at))
		conf_error_add(
			errs, p->at,
			"peer \"%s\" has a certificate but no trust, here or at the top level: "
			"no certificate of the other side would be accepted",
			p->name);
}

/* ---- lifetimes ---- */

static void check_order(const struct conf_dur *soft, const struct conf_dur *hard,
			const char *soft_name, const char *hard_name, struct conf_errors *errs)
{
	char buf[64];
	struct text t = TEXT_OF(buf);

	if (!given(soft->at) || !given(hard->at) || soft->v.ns < hard->v.ns)
		return;
	schema_duration(&t, dur_to_ms(soft->v));
	conf_error_add(errs, hard->at, "%s is not above %s (line %u), which is %s", hard_name,
		       soft_name, soft->at.line, buf);
}

static void check_counts(const struct conf_count *soft, const struct conf_count *hard,
			 const char *soft_name, const char *hard_name, struct conf_errors *errs)
{
	char buf[64];
	struct text t = TEXT_OF(buf);

	if (!given(soft->at) || !given(hard->at) || soft->v < hard->v)
		return;
	schema_count(&t, soft->v);
	conf_error_add(errs, hard->at, "%s is not above %s (line %u), which is %s", hard_name,
		       soft_name, soft->at.line, buf);
}

void check_life(const struct conf_life *l, struct conf_errors *errs)
{
	check_order(&l->ike_rekey, &l->ike_lifetime, "ike_rekey", "ike_lifetime", errs);
	check_order(&l->rekey, &l->lifetime, "rekey", "lifetime", errs);
	check_counts(&l->rekey_bytes, &l->lifetime_bytes, "rekey_bytes", "lifetime_bytes", errs);
	check_counts(&l->rekey_packets, &l->lifetime_packets, "rekey_packets", "lifetime_packets",
		     errs);
}

/* ---- post-quantum pre-shared keys ---- */

void check_ppk_length(struct conf_secret *ppk, struct conf_pos at, struct conf_errors *errs)
{
	if (ppk->b.n == 0 || ppk->b.n >= CONF_PPK_MIN)
		return;
	conf_error_add(errs, at,
		       "a post-quantum pre-shared key of %zu bytes is none: RFC 8784 section 6 "
		       "wants 256 random bits, accepted: %d bytes and more, such as those of "
		       "\"openssl rand -base64 48\"",
		       ppk->b.n, CONF_PPK_MIN);
}

static void check_ppk(struct conf_peer *p, struct conf_errors *errs)
{
	bool key = given(p->ppk.at) || given(p->ppk_file.at);

	if (given(p->ppk.at) && given(p->ppk_file.at))
		conf_error_add(errs, p->ppk_file.at,
			       "peer \"%s\" has ppk (line %u) and ppk_file, accepted: one of them",
			       p->name, p->ppk.at.line);
	if (key && !given(p->ppk_id.at))
		conf_error_add(errs, given(p->ppk.at) ? p->ppk.at : p->ppk_file.at,
			       "peer \"%s\" lacks ppk_id, the name that both ends have for the "
			       "post-quantum pre-shared key",
			       p->name);
	if (given(p->ppk_id.at) && !key)
		conf_error_add(errs, p->ppk_id.at,
			       "peer \"%s\" has ppk_id but no key, accepted: ppk or ppk_file",
			       p->name);
	if (p->ppk_required.v == CONF_YES && !key)
		conf_error_add(errs, p->ppk_required.at,
			       "peer \"%s\" requires a post-quantum pre-shared key and has none, "
			       "accepted: ppk or ppk_file, with ppk_id",
			       p->name);
	check_ppk_length(&p->ppk, p->ppk.at, errs);
}

/* ---- one peer ---- */

/* Routing knows prefixes only. */
static void check_ranges(const struct conf_ts *ts, struct conf_errors *errs)
{
	struct prefix pre[CONF_TS_PREFIXES_MAX];

	for (size_t i = 0; i < ts->ts.n; i++)
		if (policy_ts_prefixes(&ts->ts.ts[i], pre, ARRAY_LEN(pre)) == 0)
			conf_error_add(
				errs, ts->list.v[i].at,
				"%s takes more than %d routes: a range has to be made of few "
				"prefixes",
				ts->list.v[i].s, CONF_TS_PREFIXES_MAX);
}

static void check_ts(const struct conf_peer *p, struct conf_errors *errs)
{
	const struct wire_ts_list *l = &p->local_ts.ts, *r = &p->remote_ts.ts;

	check_ranges(&p->local_ts, errs);
	check_ranges(&p->remote_ts, errs);
	if (l->n == 0 || r->n == 0)
		return;
	if ((policy_ts_has_family(l, 4) && policy_ts_has_family(r, 4)) ||
	    (policy_ts_has_family(l, 6) && policy_ts_has_family(r, 6)))
		return;
	conf_error_add(errs, p->remote_ts.list.at,
		       "remote_ts of peer \"%s\" is %s, its local_ts is %s: nothing can pass",
		       p->name, policy_ts_has_family(r, 4) ? "IPv4" : "IPv6",
		       policy_ts_has_family(l, 4) ? "IPv4" : "IPv6");
}

static bool listens(const struct conf *c, uint8_t family)
{
	for (size_t i = 0; i < c->listen.n; i++)
		if (c->listen_ip[i].family == family)
			return true;
	return c->listen.n == 0;
}

/* An address of a family that no socket has. */
void check_hosts(const struct conf *c, const struct conf_list *hosts, const char *what,
		 const char *instead, struct conf_errors *errs)
{
	for (size_t i = 0; i < hosts->n; i++) {
		const struct conf_text *t = &hosts->v[i];
		struct ip ip;

		if (ip_parse(t->s, &ip) != ST_OK)
			continue;
		if (ip_is_any(&ip))
			conf_error_add(errs, t->at, "%s \"%s\" is nobody's%s", what, t->s, instead);
		else if (!listens(c, ip.family))
			conf_error_add(errs, t->at,
				       "%s \"%s\" cannot be reached: listen (line %u) has no IPv%u "
				       "address",
				       what, t->s, c->listen.at.line, ip.family);
	}
}

void check_steer(const struct conf_steer *s, struct conf_errors *errs)
{
	for (size_t i = 0; i < s->redirect_to.n; i++) {
		const struct conf_text *t = &s->redirect_to.v[i];
		struct ip ip;

		if (ip_parse(t->s, &ip) == ST_OK && !ip_is_host(&ip))
			conf_error_add(errs, t->at, "redirect_to \"%s\" is nobody's", t->s);
	}
	if (s->redirect_above.v && s->redirect_to.n == 0)
		conf_error_add(errs, s->redirect_above.at,
			       "redirect_above without redirect_to: there is nowhere to send "
			       "anybody");
}

static void check_peer(const struct conf *c, struct conf_peer *p, struct conf_errors *errs)
{
	bool psk = given(p->psk.at) || given(p->psk_file.at);

	inherit(p, c);
	settle_start(p, errs);
	p->auth = psk ? CONF_AUTH_PSK : CONF_AUTH_CERT;
	if (psk)
		check_psk(p, errs);
	else
		check_cert(p, errs);
	if (!given(p->local_id.text.at))
		conf_error_add(errs, p->at,
			       "peer \"%s\" lacks local_id, our identity, here or at the top level",
			       p->name);
	check_ts(p, errs);
	check_inner_peer(p, errs);
	check_hosts(c, &p->address, "address", ", accepted for any: no address", errs);
	check_steer(&p->steer, errs);
	check_life(&p->life, errs);
	check_ppk(p, errs);
}

/* ---- peers against each other ---- */

struct pair_node {
	struct map_node node;
	const struct conf_peer *peer;
};

static bool same_pair(const struct map_node *node, const void *key)
{
	const struct conf_peer *a = CONTAINER_OF(node, const struct pair_node, node)->peer;
	const struct conf_peer *b = key;

	return policy_ident_eq(&a->local_id.id, &b->local_id.id) &&
	       policy_ident_eq(&a->remote_id.id, &b->remote_id.id);
}

/* Names compare without case, so only the bits that case does not touch go in. */
uint64_t check_ident_hash(const struct map *m, const struct policy_ident *id)
{
	uint8_t buf[258];
	struct wr w = wr_of(buf, sizeof(buf));

	wr_u8(&w, id->type);
	for (size_t i = 0; i < id->data.n && i < 256; i++)
		wr_u8(&w, id->data.p[i] | 0x20);
	return map_hash(m, wr_bytes_of(&w));
}

static uint64_t pair_hash(const struct map *m, const struct conf_peer *p)
{
	return check_ident_hash(m, &p->local_id.id) * 31 + check_ident_hash(m, &p->remote_id.id);
}

static enum status check_pair(struct conf *c, struct map *pairs, const struct conf_peer *p,
			      struct conf_errors *errs)
{
	uint64_t hash = pair_hash(pairs, p);
	struct map_node *found = map_find(pairs, hash, same_pair, p);
	struct pair_node *n;

	if (found) {
		const struct conf_peer *first = CONTAINER_OF(found, struct pair_node, node)->peer;

		conf_error_add(
			errs, p->remote_id.text.at,
			"peer \"%s\" has the local_id and remote_id of peer \"%s\" (line %u): "
			"when it calls nobody can tell which is meant; give one peer several "
			"addresses, or them different identities",
			p->name, first->name, first->at.line);
		return ST_OK;
	}
	n = arena_new(&c->ar, sizeof(*n));
	if (!n)
		return ST_NOMEM;
	n->peer = p;
	map_insert(pairs, &n->node, hash);
	return ST_OK;
}

/* RFC 7296 section 2.9 and 3.5: a responder finds the peer by the identities of IKE_AUTH. */
static enum status check_pairs(struct conf *c, struct conf_errors *errs)
{
	static const uint64_t key[2] = { 1, 2 };
	enum status st = ST_OK;
	struct map pairs;

	map_init(&pairs, c->mem, key);
	for (struct conf_peer *p = c->peers; p && st == ST_OK; p = p->next)
		if (p->local_id.text.s && p->remote_id.text.s)
			st = check_pair(c, &pairs, p, errs);
	map_done(&pairs);
	return st;
}

/* ---- the top level ---- */

static enum status parse_listen(struct conf *c, struct conf_errors *errs)
{
	struct ip *ip = arena_new(&c->ar, c->listen.n * sizeof(*ip));

	if (!ip)
		return ST_NOMEM;
	for (size_t i = 0; i < c->listen.n; i++)
		if (ip_parse(c->listen.v[i].s, &ip[i]) != ST_OK)
			conf_error_add(errs, c->listen.v[i].at, "listen: no IP address");
	c->listen_ip = ip;
	return ST_OK;
}

static void check_top(struct conf *c, struct conf_errors *errs)
{
	if (given(c->certificate.at) && !given(c->key.at))
		conf_error_add(errs, c->certificate.at, "certificate without its key");
	if (given(c->key.at) && !given(c->certificate.at))
		conf_error_add(errs, c->key.at, "key without its certificate");
	if (c->port.v == c->nat_port.v)
		conf_error_add(errs, given(c->nat_port.at) ? c->nat_port.at : c->port.at,
			       "port and nat_port are both %u, accepted: two different ports",
			       c->port.v);
	if (c->n_peers + c->n_networks == 0 && errs->total == 0)
		conf_error_add(errs, (struct conf_pos){ 1, 1 },
			       "no peer in the file and no network, expected at least one section "
			       "peer \"name\" { ... } or network \"name\" { ... }");
}

enum status check_conf(struct conf *c, struct conf_errors *errs)
{
	enum status st = parse_listen(c, errs);

	if (st != ST_OK)
		return st;
	for (struct conf_peer *p = c->peers; p; p = p->next)
		check_peer(c, p, errs);
	st = check_pairs(c, errs);
	if (st == ST_OK)
		st = check_networks(c, errs);
	if (st == ST_OK)
		st = check_pools(c, errs);
	check_top(c, errs);
	return st;
}
