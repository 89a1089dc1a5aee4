#include "conf/conf_creds.h"

#include "conf/creds_internal.h"

#define ARENA_MAX ((size_t)64 << 20)

enum {
	KEY_FILE_MAX = 64 << 10,
	DIGEST_PARTS = 2 * CONF_LIST_MAX,
};

/* ---- every file once ---- */

static bool same_name(const struct map_node *node, const void *key)
{
	const struct loaded *a = CONTAINER_OF(node, const struct loaded, node), *b = key;

	return a->kind == b->kind && bytes_eq(a->name, b->name);
}

/* The names one after the other, as key of the map. */
static enum status join(struct conf_creds *c, const char *const *names, size_t n, struct bytes *ret)
{
	size_t total = 0;
	struct wr w;
	uint8_t *p;

	for (size_t i = 0; i < n; i++)
		total += strlen(names[i]) + 1;
	p = arena_new(&c->ar, total);
	if (!p)
		return ST_NOMEM;
	w = wr_of(p, total);
	for (size_t i = 0; i < n; i++)
		wr_put(&w, bytes_of(names[i], strlen(names[i]) + 1));
	*ret = wr_bytes_of(&w);
	return ST_OK;
}

/* What is in the map under that name, or a new node that is now; `*ret_new` tells. */
static enum status find(struct conf_creds *c, enum loaded_kind kind, const char *const *names,
			size_t n, struct conf_pos at, bool *ret_new, struct loaded **ret)
{
	struct loaded key = { .kind = kind, .at = at }, *l;
	enum status st = join(c, names, n, &key.name);
	struct map_node *found;
	uint64_t hash;

	if (st != ST_OK)
		return st;
	hash = map_hash(&c->loaded, key.name);
	found = map_find(&c->loaded, hash, same_name, &key);
	*ret_new = !found;
	if (found) {
		*ret = CONTAINER_OF(found, struct loaded, node);
		return ST_OK;
	}
	l = arena_new(&c->ar, sizeof(*l));
	if (!l)
		return ST_NOMEM;
	*l = key;
	map_insert(&c->loaded, &l->node, hash);
	*ret = l;
	return ST_OK;
}

static bool same_pos(struct conf_pos a, struct conf_pos b)
{
	return a.line == b.line && a.col == b.col;
}

/* Reports a failure at every position that names the file, once each. */
static enum status settle(struct conf_creds *c, struct loaded *l, bool fresh, struct conf_pos at,
			  enum status st, const char *why)
{
	struct bytes copy;

	if (st == ST_NOMEM)
		return ST_NOMEM;
	if (fresh && st != ST_OK) {
		if (arena_dup(&c->ar, bytes_of(why, strlen(why) + 1), &copy))
			return ST_NOMEM;
		l->why = (const char *)copy.p;
	}
	if (l->why && (fresh || !same_pos(l->at, at)))
		conf_error_add(c->errs, at, "%s", l->why);
	return ST_OK;
}

/* ---- bytes ---- */

static enum status read_source(struct conf_creds *c, const char *path, size_t max, struct text *why,
			       struct bytes *ret_data)
{
	char buf[CREDS_WHY_MAX];
	struct text reason = TEXT_OF(buf);
	uint8_t *p;
	size_t n;
	enum status st = c->source->read(c->source->ctx, path, max, c->mem, &reason, &p, &n);

	if (st == ST_OK)
		*ret_data = bytes_of(p, n);
	if (st == ST_OK || st == ST_NOMEM)
		return st;
	text_fmt(why, "%s: %s", path, buf);
	return ST_INVAL;
}

/* Who put a key into the same file would not like it to stay in memory. */
static void free_data(const struct conf_creds *c, struct bytes data)
{
	mem_free_secret(c->mem, (void *)(uintptr_t)data.p, data.n);
}

enum status creds_file(struct conf_creds *c, const char *path, struct text *why,
		       struct bytes *ret_data)
{
	struct loaded *l;
	bool fresh;
	enum status st = find(c, LOADED_FILE, &path, 1, (struct conf_pos){ 0 }, &fresh, &l);

	if (st == ST_OK && !l->data.p) {
		st = read_source(c, path, CONF_FILE_MAX, why, &l->data);
		if (st == ST_OK) {
			l->next = c->files;
			c->files = l;
		}
	}
	if (st == ST_OK)
		*ret_data = l->data;
	return st;
}

/* Lengths are part of it, so that no two lists of parts look alike. */
enum status creds_digest(struct conf_creds *c, const char *what, const struct bytes *parts,
			 size_t n, uint8_t ret_digest[static 32])
{
	struct crypto ops = crypto_openssl_ops(c->provider);
	struct bytes all[1 + 2 * DIGEST_PARTS];
	uint8_t len[DIGEST_PARTS][8];

	if (n > DIGEST_PARTS)
		return ST_BUG;
	all[0] = bytes_of(what, strlen(what) + 1);
	for (size_t i = 0; i < n; i++) {
		store_be64(len[i], parts[i].n);
		all[1 + 2 * i] = BYTES_OF(len[i]);
		all[2 + 2 * i] = parts[i];
	}
	return ops.ops->hash(ops.ctx, CRYPTO_SHA2_256, all, 1 + 2 * n, ret_digest);
}

/* ---- keys and chains ---- */

static enum status add_key(struct conf_creds *c, const char *path, struct text *why,
			   struct loaded *l)
{
	struct crypto_file file = { .name = path };
	enum status st = read_source(c, path, KEY_FILE_MAX, why, &file.data);

	if (st != ST_OK)
		return st;
	st = crypto_store_add_key(c->store, &file, why, &l->ref);
	free_data(c, file.data);
	if (st == ST_OK) {
		l->next = c->keys;
		c->keys = l;
	}
	return st;
}

enum status creds_key(struct conf_creds *c, const struct conf_text *path, struct loaded **ret)
{
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	bool fresh;
	enum status st = find(c, LOADED_KEY, &path->s, 1, path->at, &fresh, ret);

	if (st != ST_OK)
		return st;
	if (fresh)
		st = add_key(c, path->s, &why, *ret);
	return settle(c, *ret, fresh, path->at, st, buf);
}

static enum status add_chain(struct conf_creds *c, const char *path, struct text *why,
			     struct loaded *l)
{
	struct crypto_file file = { .name = path };
	enum status st = creds_file(c, path, why, &file.data);

	if (st == ST_OK)
		st = crypto_store_load_chain(c->store, &file, why, &l->chain);
	if (st == ST_OK)
		st = creds_digest(c, "chain", l->chain.certs, l->chain.n, l->digest);
	return st;
}

static enum status load_chain(struct conf_creds *c, const struct conf_text *path,
			      struct loaded **ret)
{
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	bool fresh;
	enum status st = find(c, LOADED_CHAIN, &path->s, 1, path->at, &fresh, ret);

	if (st != ST_OK)
		return st;
	if (fresh)
		st = add_chain(c, path->s, &why, *ret);
	return settle(c, *ret, fresh, path->at, st, buf);
}

enum status creds_match(struct conf_creds *c, const struct loaded *key,
			const struct crypto_chain *chain, const char *name, struct conf_pos at)
{
	const char *names[] = { (const char *)key->name.p, name };
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	struct loaded *l;
	bool fresh;
	enum status st = find(c, LOADED_MATCH, names, 2, at, &fresh, &l);

	if (st != ST_OK)
		return st;
	/* Where it is may follow from the name of a bundle. */
	if (fresh) {
		text_fmt(&why, "%s: ", names[0]);
		st = crypto_store_match(c->store, key->ref, chain, &why);
	}
	return settle(c, l, fresh, at, st, buf);
}

/* ---- anchors ---- */

/* `paths` and the CRL's, which may be NULL. */
static enum status add_anchors(struct conf_creds *c, const char *const *paths, size_t n,
			       const char *crl, struct text *why, struct loaded *l)
{
	struct crypto_file files[CONF_LIST_MAX] = { 0 }, list = { .name = crl };
	struct bytes data[CONF_LIST_MAX] = { 0 };
	enum status st = ST_OK;

	for (size_t i = 0; i < n && st == ST_OK; i++) {
		files[i].name = paths[i];
		st = creds_file(c, paths[i], why, &files[i].data);
		data[i] = files[i].data;
	}
	if (st == ST_OK && crl)
		st = creds_file(c, crl, why, &list.data);
	if (st == ST_OK)
		st = crypto_store_add_trust(c->store, files, n, crl ? &list : NULL, why, &l->ref);
	if (st == ST_OK)
		st = crypto_store_trust_hashes(c->store, l->ref, &l->hashes);
	if (st == ST_OK && crl)
		st = crypto_store_revoked(c->store, l->ref, &l->revoked, &l->n_revoked);
	if (st == ST_OK)
		st = creds_digest(c, "anchors", data, n, l->digest);
	return st;
}

static enum status load_anchors(struct conf_creds *c, const char *const *paths, size_t n,
				const char *crl, struct conf_pos at, struct loaded **ret)
{
	const char *names[CONF_LIST_MAX + 2];
	char buf[CREDS_WHY_MAX];
	struct text why = TEXT_OF(buf);
	size_t n_names = n;
	bool fresh;
	enum status st;

	memcpy(names, paths, n * sizeof(*names));
	if (crl) {
		names[n_names++] = ""; /* no path: what follows is a CRL */
		names[n_names++] = crl;
	}
	st = find(c, LOADED_TRUST, names, n_names, at, &fresh, ret);
	if (st != ST_OK)
		return st;
	if (fresh)
		st = add_anchors(c, paths, n, crl, &why, *ret);
	return settle(c, *ret, fresh, at, st, buf);
}

/* Every file by itself first, so that each one that is wrong is named in its place; once they are
 * good, what fails with the CRL is the CRL.  `*ret` stays NULL when something was wrong. */
static enum status load_trust(struct conf_creds *c, const struct conf_list *paths,
			      const struct conf_text *crl, struct loaded **ret)
{
	const char *names[CONF_LIST_MAX];
	enum status st = ST_OK;
	bool good = true;
	struct loaded *l;

	for (size_t i = 0; st == ST_OK && i < paths->n; i++) {
		names[i] = paths->v[i].s;
		st = load_anchors(c, &names[i], 1, NULL, paths->v[i].at, &l);
		good = good && st == ST_OK && !l->why;
	}
	if (st != ST_OK || !good)
		return st;
	st = load_anchors(c, names, paths->n, crl->s, crl->s ? crl->at : paths->at, &l);
	if (st == ST_OK && !l->why)
		*ret = l;
	return st;
}

/* ---- peers ---- */

static void put_certs(const struct loaded *key, const struct loaded *chain,
		      const struct loaded *trust, struct conf_peer_creds *ret)
{
	if (key)
		ret->key = key->ref;
	if (chain) {
		ret->chain = chain->chain;
		memcpy(ret->own_digest, chain->digest, sizeof(ret->own_digest));
	}
	if (trust) {
		ret->trust = trust->ref;
		ret->trust_hashes = trust->hashes;
		ret->revoked = trust->revoked;
		ret->n_revoked = trust->n_revoked;
		memcpy(ret->peer_digest, trust->digest, sizeof(ret->peer_digest));
	}
}

enum status creds_certs(struct conf_creds *c, const struct creds_paths *p,
			struct conf_peer_creds *ret)
{
	struct loaded *key = NULL, *chain = NULL, *trust = NULL;
	enum status st = ST_OK;

	if (p->certificate->s)
		st = load_chain(c, p->certificate, &chain);
	if (st == ST_OK && p->key->s)
		st = creds_key(c, p->key, &key);
	if (st == ST_OK && key && chain && !key->why && !chain->why)
		st = creds_match(c, key, &chain->chain, p->certificate->s, p->key->at);
	if (st == ST_OK && p->trust->n)
		st = load_trust(c, p->trust, p->crl, &trust);
	if (st == ST_OK)
		put_certs(key, chain, trust, ret);
	return st;
}

/* The store's name of a pre-shared key tells it from the names of keys, which are hexadecimal. */
static enum status load_psk(struct conf_creds *c, const struct conf_peer *p,
			    struct conf_peer_creds *ret)
{
	char buf[128];
	struct text name = TEXT_OF(buf);
	enum status st;

	if (p->psk.b.n == 0)
		return ST_OK;
	text_fmt(&name, "psk %s", p->name);
	st = crypto_store_add_psk(c->store, buf, p->psk.b, &ret->psk);
	if (st == ST_OK)
		st = creds_digest(c, "psk", &p->psk.b, 1, ret->peer_digest);
	memcpy(ret->own_digest, ret->peer_digest, sizeof(ret->own_digest));
	return st;
}

/* A change of it is one of what we prove ourselves with: it comes on top of that. */
static enum status load_ppk(struct conf_creds *c, const struct conf_peer *p,
			    struct conf_peer_creds *ret)
{
	struct bytes parts[3] = { BYTES_OF(ret->own_digest), p->ppk.b };
	char buf[128];
	struct text name = TEXT_OF(buf);
	uint8_t digest[32];
	enum status st;

	if (p->ppk.b.n == 0 || !p->ppk_id.s)
		return ST_OK;
	parts[2] = bytes_str(p->ppk_id.s);
	text_fmt(&name, "ppk %s", p->name);
	st = crypto_store_add_ppk(c->store, buf, p->ppk.b, &ret->ppk);
	if (st == ST_OK)
		st = creds_digest(c, "ppk", parts, ARRAY_LEN(parts), digest);
	if (st == ST_OK)
		memcpy(ret->own_digest, digest, sizeof(digest));
	return st;
}

static enum status load_peer(struct conf_creds *c, const struct conf_peer *p,
			     struct conf_peer_creds *ret)
{
	const struct creds_paths paths = { &p->certificate, &p->key, &p->trust, &p->crl };
	enum status st =
		p->auth == CONF_AUTH_CERT ? creds_certs(c, &paths, ret) : load_psk(c, p, ret);

	return st == ST_OK ? load_ppk(c, p, ret) : st;
}

static bool bundle_used(const struct conf *conf)
{
	for (const struct conf_network *n = conf->networks; n; n = n->next)
		if (n->identity.s && same_pos(n->identity.at, conf->identity.at))
			return true;
	return false;
}

/* The top level's too, though nobody may use them: they are in the file. */
static enum status load_top(struct conf_creds *c, const struct conf *conf)
{
	/* Its CRL is for the anchors of either; those who inherit both see to it. */
	const struct conf_text none = { 0 };
	const struct creds_paths paths = { &conf->certificate, &conf->key, &conf->trust,
					   conf->identity.s ? &none : &conf->crl };
	struct conf_peer_creds unused = { 0 };
	enum status st = creds_certs(c, &paths, &unused);

	if (st == ST_OK && conf->identity.s && !bundle_used(conf))
		st = creds_unused_bundle(c, &conf->identity);
	return st;
}

static enum status load_all(struct conf_creds *c, const struct conf *conf)
{
	enum status st = load_top(c, conf);
	size_t i = 0;

	for (const struct conf_peer *p = conf->peers; p && st == ST_OK; p = p->next)
		st = load_peer(c, p, &c->peers[i++]);
	i = 0;
	for (const struct conf_network *n = conf->networks; n && st == ST_OK; n = n->next)
		st = creds_network(c, n, &c->networks[i++]);
	return st;
}

/* ---- the set ---- */

/* What only loading needs. */
static void end_loading(struct conf_creds *c)
{
	for (struct loaded *l = c->files; l; l = l->next) {
		free_data(c, l->data);
		l->data = (struct bytes){ NULL, 0 };
	}
	crypto_openssl_free(c->provider);
	c->files = NULL;
	c->provider = NULL;
	c->source = NULL;
	c->errs = NULL;
}

void conf_creds_free(struct conf_creds *c)
{
	if (!c)
		return;
	end_loading(c);
	map_done(&c->loaded);
	arena_done(&c->ar);
	mem_free(c->mem, c);
}

static enum status creds_new(const struct alloc *mem, const struct conf *conf,
			     const struct conf_source *source, struct crypto_store *store,
			     struct conf_errors *errs, struct conf_creds **ret)
{
	static const uint64_t key[2] = { 1, 2 }; /* file names of the operator's own choice */
	struct conf_creds *c = mem_new(mem, sizeof(*c));
	enum status st;

	if (!c)
		return ST_NOMEM;
	c->mem = mem;
	c->source = source;
	c->store = store;
	c->errs = errs;
	arena_init(&c->ar, mem, ARENA_MAX);
	map_init(&c->loaded, mem, key);
	st = crypto_openssl_new(&c->provider);
	c->peers = arena_new(&c->ar, conf->n_peers * sizeof(*c->peers));
	c->networks = arena_new(&c->ar, conf->n_networks * sizeof(*c->networks));
	if (st == ST_OK && (!c->peers || !c->networks))
		st = ST_NOMEM;
	if (st == ST_OK)
		*ret = c;
	else
		conf_creds_free(c);
	return st;
}

enum status conf_creds_load(const struct alloc *mem, const struct conf *conf,
			    const struct conf_source *source, struct crypto_store *store,
			    struct conf_errors *errs, struct conf_creds **ret_creds)
{
	size_t before = errs->total;
	struct conf_creds *c;
	enum status st = creds_new(mem, conf, source, store, errs, &c);

	if (st != ST_OK)
		return st;
	st = load_all(c, conf);
	end_loading(c);
	if (st == ST_OK && errs->total > before)
		st = ST_INVAL;
	if (st == ST_OK)
		*ret_creds = c;
	else
		conf_creds_free(c);
	return st;
}

const struct conf_peer_creds *conf_creds_peer(const struct conf_creds *c, size_t index)
{
	return &c->peers[index];
}

const struct conf_network_creds *conf_creds_network(const struct conf_creds *c, size_t index)
{
	return &c->networks[index];
}

struct crypto_store *conf_creds_store(const struct conf_creds *c)
{
	return c->store;
}

bool conf_creds_key(const struct conf_creds *c, size_t index, const char **ret_path,
		    crypto_ref *ret_key)
{
	const struct loaded *l = c->keys;

	while (l && index-- > 0)
		l = l->next;
	if (!l)
		return false;
	*ret_path = (const char *)l->name.p;
	*ret_key = l->ref;
	return true;
}

enum status conf_open(const struct alloc *mem, const struct conf_source *source, const char *path,
		      struct crypto_store *store, struct conf_errors *errs, struct conf **ret_conf,
		      struct conf_creds **ret_creds)
{
	struct conf_creds *creds = NULL;
	struct conf *c;
	enum status st = conf_read_file(mem, source, path, errs, &c);

	if (st != ST_OK)
		return st;
	st = conf_creds_load(mem, c, source, store, errs, &creds);
	if (st == ST_OK && errs->total > 0)
		st = ST_INVAL;
	if (st == ST_OK) {
		*ret_conf = c;
		*ret_creds = creds;
		return ST_OK;
	}
	conf_creds_free(creds);
	conf_unref(c);
	return st;
}
