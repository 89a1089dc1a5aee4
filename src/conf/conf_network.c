/*
 * conf_network.c - what a network needs from its bundle, or from certificate, key and trust, held
 * against what its section says.
 */
#include "conf/creds_internal.h"
#include "pki/pki.h"

/* What is known of ourselves and of the network, wherever it comes from. */
struct facts {
	const char *from; /* the file, for messages */
	struct conf_pos at;
	bool has_id;
	struct pki_id id;
	struct pki_blocks blocks; /* our certificate's; n 0: it has none */
	struct prefix domain[PKI_BLOCKS_MAX]; /* the anchor's blocks */
	size_t n_domain; /* 0: it has none, or there are several */
	struct pki_hubs hubs;
};

/* ---- values -------------------------------------------------------------------------------- */

static struct wire_ts ts_of_range(const struct ip *first, const struct ip *last)
{
	return (struct wire_ts){ .port_end = 65535, .start = *first, .end = *last };
}

static enum status ts_of_prefixes(struct conf_creds *c, const struct prefix *p, size_t n,
				  struct wire_ts_list *ret)
{
	struct wire_ts *ts = arena_new(&c->ar, n * sizeof(*ts));

	if (!ts)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct ip first = prefix_first(&p[i]), last = prefix_last(&p[i]);

		ts[i] = ts_of_range(&first, &last);
	}
	*ret = (struct wire_ts_list){ .ts = ts, .n = n };
	return ST_OK;
}

/* As prefixes, which is what routes and people want, unless that would be more than a message can
 * carry. */
static enum status ts_of_blocks(struct conf_creds *c, const struct pki_blocks *b,
				struct wire_ts_list *ret)
{
	struct prefix p[PKI_BLOCKS_MAX];
	size_t n = pki_blocks_prefixes(b, p, ARRAY_LEN(p));
	struct wire_ts *ts;

	if (n > 0 || b->n == 0)
		return ts_of_prefixes(c, p, n, ret);
	ts = arena_new(&c->ar, b->n * sizeof(*ts));
	if (!ts)
		return ST_NOMEM;
	for (size_t i = 0; i < b->n; i++)
		ts[i] = ts_of_range(&b->range[i].first, &b->range[i].last);
	*ret = (struct wire_ts_list){ .ts = ts, .n = b->n };
	return ST_OK;
}

/* The types are those of RFC 7296 section 3.5. */
static enum status ident_of(struct conf_creds *c, const struct pki_id *id, struct policy_ident *ret)
{
	struct bytes data = bytes_str(id->text);
	struct ip ip;

	if (id->type == WIRE_ID_IPV4 || id->type == WIRE_ID_IPV6) {
		if (ip_parse(id->text, &ip) != ST_OK)
			return ST_BUG;
		data = ip_raw(&ip);
	}
	ret->type = id->type;
	return arena_dup(&c->ar, data, &ret->data);
}

/* ---- the bundle ---------------------------------------------------------------------------- */

static void check_manifest(struct conf_creds *c, const struct conf_network *n,
			   const struct pki_manifest *m)
{
	const char *said = pki_role_name(m->role);

	if (strcmp(m->network, n->name) != 0)
		conf_error_add(c->errs, n->identity.at,
			       "identity %s is a bundle of network \"%s\", and stands in network "
			       "\"%s\"",
			       n->identity.s, m->network, n->name);
	/* An endpoint with a rule in the hub's file is a site. */
	if (n->role.v != CONF_NO_WORD && (n->role.v == CONF_ROLE_HUB) != (m->role == PKI_HUB))
		conf_error_add(c->errs, n->identity.at,
			       "identity %s is the bundle of %s %s, and the role in network \"%s\" "
			       "is %s",
			       n->identity.s, m->role == PKI_ENDPOINT ? "an" : "a", said, n->name,
			       conf_role_name(n->role.v));
}

/* "x.key" for "x.warren", in the arena; NULL in `*ret` when it is no such name. */
static enum status key_beside(struct conf_creds *c, const char *path, const char **ret)
{
	static const char tail[] = ".warren", key[] = ".key";
	size_t n = strlen(path);
	char *s;

	*ret = NULL;
	if (n <= sizeof(tail) || strcmp(path + n - (sizeof(tail) - 1), tail) != 0)
		return ST_OK;
	n -= sizeof(tail) - 1;
	s = arena_new(&c->ar, n + sizeof(key));
	if (!s)
		return ST_NOMEM;
	memcpy(s, path, n);
	memcpy(s + n, key, sizeof(key));
	*ret = s;
	return ST_OK;
}

static enum status load_key(struct conf_creds *c, const struct conf_network *n,
			    struct conf_network_creds *ret)
{
	struct conf_text path = n->key;
	struct loaded *key;
	enum status st = ST_OK;

	if (!path.s) {
		path.at = n->identity.at;
		st = key_beside(c, n->identity.s, &path.s);
	}
	if (st != ST_OK)
		return st;
	if (!path.s) {
		conf_error_add(c->errs, path.at,
			       "identity %s does not end in \".warren\", so where its private key "
			       "is has to be said: key = \"...\"",
			       n->identity.s);
		return ST_OK;
	}
	st = creds_key(c, &path, &key);
	if (st != ST_OK || key->why)
		return st;
	ret->auth.key = key->ref;
	return ret->auth.chain.n ? creds_match(c, key, &ret->auth.chain, n->identity.s, path.at)
				 : ST_OK;
}

static enum status load_chain(struct conf_creds *c, const struct conf_network *n,
			      const struct pki_bundle *b, struct text *why,
			      struct conf_network_creds *ret)
{
	const struct crypto_file cert = { n->identity.s, b->cert };
	enum status st = crypto_store_load_chain(c->store, &cert, why, &ret->auth.chain);

	return st == ST_OK ? creds_digest(c, "chain", &b->cert, 1, ret->auth.own_digest) : st;
}

static enum status load_anchor(struct conf_creds *c, const struct conf_network *n,
			       const struct pki_bundle *b, const struct crypto_file *crl,
			       struct text *why, struct conf_network_creds *ret)
{
	const struct crypto_file anchor = { n->identity.s, b->anchor };
	enum status st = crypto_store_add_trust(c->store, &anchor, 1, crl, why, &ret->auth.trust);

	if (st == ST_OK)
		st = crypto_store_trust_hashes(c->store, ret->auth.trust, &ret->auth.trust_hashes);
	if (st == ST_OK && crl)
		st = crypto_store_revoked(c->store, ret->auth.trust, &ret->auth.revoked,
					  &ret->auth.n_revoked);
	return st == ST_OK ? creds_digest(c, "anchors", &b->anchor, 1, ret->auth.peer_digest) : st;
}

/* The anchor is good; what fails here is the CRL. */
static enum status load_crl(struct conf_creds *c, const struct conf_network *n,
			    const struct pki_bundle *b, struct conf_network_creds *ret)
{
	struct crypto_file crl = { .name = n->crl.s };
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = creds_file(c, crl.name, &why, &crl.data);

	if (st == ST_OK)
		st = load_anchor(c, n, b, &crl, &why, ret);
	if (st == ST_OK || st == ST_NOMEM)
		return st;
	conf_error_add(c->errs, n->crl.at, "%s", buf);
	return ST_OK;
}

static void note_bundle(const struct pki_bundle *b, struct facts *f, struct conf_network_creds *ret)
{
	f->has_id = true;
	f->id = b->manifest.id;
	f->blocks = b->blocks;
	f->hubs = b->manifest.hubs;
	f->n_domain = b->manifest.n_domain;
	memcpy(f->domain, b->manifest.domain, sizeof(f->domain));
	ret->bundle = true;
	ret->not_before = b->not_before;
	ret->not_after = b->not_after;
}

static enum status take_bundle(struct conf_creds *c, const struct conf_network *n,
			       const struct pki_bundle *b, struct facts *f,
			       struct conf_network_creds *ret)
{
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st;

	check_manifest(c, n, &b->manifest);
	note_bundle(b, f, ret);
	st = load_chain(c, n, b, &why, ret);
	if (st == ST_OK)
		st = load_anchor(c, n, b, NULL, &why, ret);
	if (st != ST_OK) {
		if (st != ST_NOMEM)
			conf_error_add(c->errs, n->identity.at, "identity %s", buf);
		return st == ST_NOMEM ? ST_NOMEM : ST_OK;
	}
	return n->crl.s ? load_crl(c, n, b, ret) : ST_OK;
}

/* `*ret` stays NULL when the bundle is no good, which is reported. */
static enum status read_bundle(struct conf_creds *c, const struct conf_text *path,
			       struct pki_bundle **ret)
{
	char buf[CREDS_WHY_MAX], reason[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf), t = TEXT_OF(reason);
	struct bytes text;
	enum status st = creds_file(c, path->s, &why, &text);

	if (st == ST_OK) {
		st = pki_bundle_read(text, NULL, &t, ret);
		text_fmt(&why, "%s: %s", path->s, reason);
	}
	if (st == ST_OK || st == ST_NOMEM)
		return st;
	conf_error_add(c->errs, path->at, "identity %s", buf);
	return ST_OK;
}

static enum status load_bundle(struct conf_creds *c, const struct conf_network *n, struct facts *f,
			       bool *ret_good, struct conf_network_creds *ret)
{
	struct pki_bundle *b = NULL;
	enum status st = read_bundle(c, &n->identity, &b);

	*ret_good = b != NULL;
	f->from = n->identity.s;
	f->at = n->identity.at;
	if (st == ST_OK && b)
		st = take_bundle(c, n, b, f, ret);
	if (st == ST_OK)
		st = load_key(c, n, ret);
	pki_bundle_free(b);
	return st;
}

enum status creds_unused_bundle(struct conf_creds *c, const struct conf_text *path)
{
	struct pki_bundle *b = NULL;
	enum status st = read_bundle(c, path, &b);

	pki_bundle_free(b);
	return st;
}

/* ---- certificates -------------------------------------------------------------------------- */

/* One anchor says what the domain is; several might each mean another. */
static enum status domain_of_anchor(struct conf_creds *c, const struct conf_network *n,
				    struct facts *f)
{
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	struct pki_cert_info info;
	struct bytes file;
	enum status st = creds_file(c, n->trust.v[0].s, &why, &file);

	if (st != ST_OK)
		return st == ST_NOMEM ? ST_NOMEM : ST_OK;
	if (pki_cert_read_pem(file, &why, &info) != ST_OK &&
	    pki_cert_read_der(file, &why, &info) != ST_OK)
		return ST_OK;
	f->n_domain = pki_blocks_prefixes(&info.blocks, f->domain, ARRAY_LEN(f->domain));
	return ST_OK;
}

static enum status load_certs(struct conf_creds *c, const struct conf_network *n, struct facts *f,
			      bool *ret_good, struct conf_network_creds *ret)
{
	const struct creds_paths paths = { &n->certificate, &n->key, &n->trust, &n->crl };
	struct conf_peer_creds certs = { 0 };
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	struct pki_cert_info info;
	enum status st = creds_certs(c, &paths, &certs);

	*ret_good = false;
	f->from = n->certificate.s;
	f->at = n->certificate.at;
	if (st != ST_OK || certs.chain.n == 0)
		return st;
	ret->auth = certs;
	st = pki_cert_read_der(certs.chain.certs[0], &why, &info);
	if (st != ST_OK) {
		if (st != ST_NOMEM)
			conf_error_add(c->errs, f->at, "certificate %s: %s", f->from, buf);
		return st == ST_NOMEM ? ST_NOMEM : ST_OK;
	}
	*ret_good = true;
	f->has_id = info.has_id;
	f->id = info.id;
	f->blocks = info.blocks;
	ret->not_before = info.not_before;
	ret->not_after = info.not_after;
	return ret->auth.trust_hashes.n == WIRE_CERTREQ_HASH_LEN ? domain_of_anchor(c, n, f)
								 : ST_OK;
}

/* ---- held against the section -------------------------------------------------------------- */

/* A DN is the subject, and of several names any may be meant: those the other end checks. */
static bool other_name(const struct policy_ident *wanted, const struct policy_ident *have)
{
	return wanted->type != WIRE_ID_DN && wanted->type != WIRE_ID_KEY &&
	       !policy_ident_eq(wanted, have);
}

static enum status settle_id(struct conf_creds *c, const struct conf_network *n,
			     const struct facts *f, struct conf_network_creds *ret)
{
	enum status st = f->has_id ? ident_of(c, &f->id, &ret->local_id) : ST_OK;

	if (st != ST_OK)
		return st;
	if (!n->local_id.text.s) {
		if (!f->has_id && !given(n->local_id.text.at))
			conf_error_add(c->errs, f->at,
				       "%s has not exactly one name, so network \"%s\" needs "
				       "local_id, one of its names",
				       f->from, n->name);
		return ST_OK;
	}
	if (f->has_id && other_name(&n->local_id.id, &ret->local_id))
		conf_error_add(c->errs, n->local_id.text.at,
			       "local_id \"%s\" is not the name in %s, which is \"%s\"",
			       n->local_id.text.s, f->from, f->id.text);
	ret->local_id = n->local_id.id;
	return ST_OK;
}

/* Reports what of `what` is not in `have`, unless that is empty. */
static bool inside(struct conf_creds *c, const struct conf_ts *what, const char *key,
		   const struct wire_ts_list *have, const char *whose, const char *from)
{
	bool all = true;

	for (size_t i = 0; have->n > 0 && i < what->ts.n; i++) {
		char buf[CREDS_WHY_MAX];
		struct text t = TEXT_OF(buf);

		if (ts_covers(have, &what->ts.ts[i]))
			continue;
		policy_ts_list_text(&t, have);
		conf_error_add(c->errs, what->list.v[i].at, "%s \"%s\" is not inside %s (%s): %s",
			       key, what->list.v[i].s, whose, from, buf);
		all = false;
	}
	return all;
}

/* What is behind us nobody said: nothing is. */
static void settle_role(struct conf_creds *c, const struct conf_network *n, const struct facts *f,
			struct conf_network_creds *ret)
{
	bool endpoint = !given(n->role.at) && !given(n->protect.list.at) && f->blocks.n == 0;

	ret->role = endpoint ? CONF_ROLE_ENDPOINT : (enum conf_role)n->role.v;
	if (endpoint)
		check_attach_endpoint(n, c->errs);
	/* The hub would give us those as well. */
	if (ret->role == CONF_ROLE_ENDPOINT && f->blocks.n)
		conf_error_add(c->errs, n->role.at,
			       "the role in network \"%s\" is endpoint, and the certificate in %s "
			       "has address blocks, which are a site's",
			       n->name, f->from);
}

/* A hub's blocks are the domain: what is behind the hub itself has to be said. */
static enum status settle_protect(struct conf_creds *c, const struct conf_network *n,
				  const struct facts *f, struct conf_network_creds *ret)
{
	struct wire_ts_list blocks = { 0 };
	enum status st = ts_of_blocks(c, &f->blocks, &blocks);

	if (st != ST_OK)
		return st;
	/* Every other end would refuse an address that is not ours to give. */
	(void)inside(c, &n->inner.pool, "pool", &blocks,
		     "the address blocks of this hub's certificate", f->from);
	if (given(n->protect.list.at)) {
		ret->protect = n->protect.ts;
		if (inside(c, &n->protect, "protect", &blocks, "the certificate's address blocks",
			   f->from) &&
		    n->domain.ts.n == 0)
			(void)inside(c, &n->protect, "protect", &ret->domain, "the domain",
				     f->from);
		return ST_OK;
	}
	if (ret->role != CONF_ROLE_SITE)
		return ST_OK;
	ret->protect = blocks;
	if (blocks.n == 0)
		conf_error_add(c->errs, n->at,
			       "network \"%s\" lacks protect, what is behind us, and the "
			       "certificate in %s has no address blocks to take it from",
			       n->name, f->from);
	return ST_OK;
}

/* What a hub offers beyond its certificate every site would refuse. */
static enum status settle_domain(struct conf_creds *c, const struct conf_network *n,
				 const struct facts *f, struct conf_network_creds *ret)
{
	struct wire_ts_list blocks = { 0 };
	enum status st = ts_of_prefixes(c, f->domain, f->n_domain, &ret->domain);

	if (st == ST_OK)
		st = ts_of_blocks(c, &f->blocks, &blocks);
	if (st != ST_OK || !given(n->domain.list.at))
		return st;
	if (inside(c, &n->domain, "domain", &ret->domain, "the authority's address blocks",
		   f->from) &&
	    ret->role == CONF_ROLE_HUB)
		(void)inside(c, &n->domain, "domain", &blocks,
			     "the address blocks of this hub's certificate", f->from);
	ret->domain = n->domain.ts;
	return ST_OK;
}

/* "gw.example.net." is no identity, but a name to look up. */
static enum status hub_ident(struct conf_creds *c, const char *name, struct policy_ident *ret)
{
	struct ip ip;
	size_t len = strlen(name);

	if (ip_parse(name, &ip) == ST_OK) {
		ret->type = ip.family == 4 ? WIRE_ID_IPV4 : WIRE_ID_IPV6;
		return arena_dup(&c->ar, ip_raw(&ip), &ret->data);
	}
	if (len > 1 && name[len - 1] == '.')
		len--;
	ret->type = WIRE_ID_FQDN;
	return arena_dup(&c->ar, bytes_of(name, len), &ret->data);
}

static enum status copy_text(struct conf_creds *c, const char *s, const char **ret)
{
	struct bytes copy;
	enum status st = arena_dup(&c->ar, bytes_of(s, strlen(s) + 1), &copy);

	if (st == ST_OK)
		*ret = (const char *)copy.p;
	return st;
}

/* All hubs of a network may have the same list: we are none of the others. */
static bool is_ourselves(const struct conf_network_creds *of, const struct policy_ident *hub)
{
	return of->role == CONF_ROLE_HUB && policy_ident_eq(&of->local_id, hub);
}

/* A hub's bundle names the hubs of sites: itself, and those that it need not know. */
static enum status settle_hubs(struct conf_creds *c, const struct conf_network *n,
			       const struct facts *f, struct conf_network_creds *ret)
{
	bool own = given(n->hubs.at) || ret->role == CONF_ROLE_HUB;
	size_t count = own ? n->hubs.n : f->hubs.n, kept = 0;
	const char **names = arena_new(&c->ar, count * sizeof(*names));
	struct policy_ident *ids = arena_new(&c->ar, count * sizeof(*ids));
	enum status st = names && ids ? ST_OK : ST_NOMEM;

	for (size_t i = 0; i < count && st == ST_OK; i++) {
		st = copy_text(c, own ? n->hubs.v[i].s : f->hubs.name[i], &names[kept]);
		if (st == ST_OK)
			st = hub_ident(c, names[kept], &ids[kept]);
		if (st == ST_OK && !is_ourselves(ret, &ids[kept]))
			kept++;
	}
	if (st != ST_OK)
		return st;
	ret->hubs = names;
	ret->hub_ids = ids;
	ret->n_hubs = kept;
	if (count == 0 && !own && ret->bundle)
		conf_error_add(c->errs, f->at,
			       "identity %s names no hubs, so network \"%s\" has to: hubs = { "
			       "\"...\" }",
			       f->from, n->name);
	return ST_OK;
}

enum status creds_network(struct conf_creds *c, const struct conf_network *n,
			  struct conf_network_creds *ret)
{
	struct facts f = { 0 };
	bool good = false;
	enum status st = ST_OK;

	if (n->identity.s)
		st = load_bundle(c, n, &f, &good, ret);
	else if (n->certificate.s)
		st = load_certs(c, n, &f, &good, ret);
	if (st != ST_OK || !good)
		return st;
	settle_role(c, n, &f, ret);
	st = settle_id(c, n, &f, ret);
	if (st == ST_OK)
		st = settle_domain(c, n, &f, ret);
	if (st == ST_OK)
		st = settle_protect(c, n, &f, ret);
	if (st == ST_OK)
		st = settle_hubs(c, n, &f, ret);
	return st;
}
