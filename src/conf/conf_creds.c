#include "conf/conf_creds.h"

#include "conf/internal.h"

enum {
	WHY_MAX = 512,
};

#define ARENA_MAX ((size_t)64 << 20)

enum loaded_kind {
	LOADED_KEY,
	LOADED_CHAIN,
	LOADED_TRUST,
	LOADED_MATCH, /* a key and a chain were held against each other */
};

/* A file, or a list of files, that was loaded or failed to. */
struct loaded {
	struct map_node node;
	enum loaded_kind kind;
	struct bytes name; /* paths, each with its terminator */
	struct conf_pos at;
	const char *why; /* NULL: it loaded */
	crypto_ref ref;
	struct crypto_chain chain;
	struct bytes hashes;
};

struct conf_creds {
	const struct alloc *mem;
	struct arena ar;
	struct map loaded;
	struct crypto_store *store;
	struct conf_errors *errs; /* while loading */
	struct conf_peer_creds *peers;
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

static enum status load_key(struct conf_creds *c, const struct conf_text *path, struct loaded **ret)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	bool fresh;
	enum status st = find(c, LOADED_KEY, &path->s, 1, path->at, &fresh, ret);

	if (st != ST_OK)
		return st;
	if (fresh)
		st = crypto_store_add_key(c->store, path->s, &why, &(*ret)->ref);
	return settle(c, *ret, fresh, path->at, st, buf);
}

static enum status load_chain(struct conf_creds *c, const struct conf_text *path,
			      struct loaded **ret)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	bool fresh;
	enum status st = find(c, LOADED_CHAIN, &path->s, 1, path->at, &fresh, ret);

	if (st != ST_OK)
		return st;
	if (fresh)
		st = crypto_store_load_chain(c->store, path->s, &why, &(*ret)->chain);
	return settle(c, *ret, fresh, path->at, st, buf);
}

static enum status load_anchors(struct conf_creds *c, const char *const *names, size_t n,
				struct conf_pos at, struct loaded **ret)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	bool fresh;
	enum status st = find(c, LOADED_TRUST, names, n, at, &fresh, ret);

	if (st != ST_OK)
		return st;
	if (fresh)
		st = crypto_store_add_trust(c->store, names, n, &why, &(*ret)->ref);
	if (fresh && st == ST_OK)
		st = crypto_store_trust_hashes(c->store, (*ret)->ref, &(*ret)->hashes);
	return settle(c, *ret, fresh, at, st, buf);
}

/* Every file by itself first, so that each one that is wrong is named in its place.  `*ret` stays
 * NULL when one was. */
static enum status load_trust(struct conf_creds *c, const struct conf_list *paths,
			      struct loaded **ret)
{
	const char **names = arena_new(&c->ar, paths->n * sizeof(*names));
	enum status st = names ? ST_OK : ST_NOMEM;
	bool good = true;

	for (size_t i = 0; st == ST_OK && i < paths->n; i++) {
		struct loaded *one;

		names[i] = paths->v[i].s;
		st = load_anchors(c, &names[i], 1, paths->v[i].at, &one);
		good = good && st == ST_OK && !one->why;
	}
	if (st == ST_OK && good)
		st = load_anchors(c, names, paths->n, paths->at, ret);
	return st;
}

/* Whether a key that loaded belongs to a chain that loaded. */
static enum status match(struct conf_creds *c, const struct loaded *key, const struct loaded *chain,
			 struct conf_pos at)
{
	const char *names[] = { (const char *)key->name.p, (const char *)chain->name.p };
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	struct loaded *l;
	bool fresh;
	enum status st = find(c, LOADED_MATCH, names, 2, at, &fresh, &l);

	if (st != ST_OK)
		return st;
	if (fresh)
		st = crypto_store_match(c->store, key->ref, &chain->chain, &why);
	return settle(c, l, fresh, at, st, buf);
}

/* ---- peers ---- */

/* Members that are absent because they were wrong are left out: that was reported. */
static enum status load_certs(struct conf_creds *c, const struct conf_text *certificate,
			      const struct conf_text *key, const struct conf_list *trust,
			      struct conf_peer_creds *ret)
{
	struct loaded *k = NULL, *ch = NULL, *tr = NULL;
	enum status st = ST_OK;

	if (certificate->s)
		st = load_chain(c, certificate, &ch);
	if (st == ST_OK && key->s)
		st = load_key(c, key, &k);
	if (st == ST_OK && k && ch && !k->why && !ch->why)
		st = match(c, k, ch, key->at);
	if (st == ST_OK && trust->n)
		st = load_trust(c, trust, &tr);
	if (st != ST_OK)
		return st;
	if (k)
		ret->key = k->ref;
	if (ch)
		ret->chain = ch->chain;
	if (tr) {
		ret->trust = tr->ref;
		ret->trust_hashes = tr->hashes;
	}
	return ST_OK;
}

static enum status load_peer(struct conf_creds *c, const struct conf_peer *p,
			     struct conf_peer_creds *ret)
{
	if (p->auth == CONF_AUTH_CERT)
		return load_certs(c, &p->certificate, &p->key, &p->trust, ret);
	return p->psk.b.n ? crypto_store_add_psk(c->store, p->psk.b, &ret->psk) : ST_OK;
}

/* The top level's too, though no peer may use them: they are in the file. */
static enum status load_all(struct conf_creds *c, const struct conf *conf)
{
	struct conf_peer_creds unused = { 0 };
	enum status st = load_certs(c, &conf->certificate, &conf->key, &conf->trust, &unused);
	size_t i = 0;

	for (const struct conf_peer *p = conf->peers; p && st == ST_OK; p = p->next)
		st = load_peer(c, p, &c->peers[i++]);
	return st;
}

void conf_creds_free(struct conf_creds *c)
{
	if (!c)
		return;
	map_done(&c->loaded);
	arena_done(&c->ar);
	mem_free(c->mem, c);
}

static enum status creds_new(const struct alloc *mem, const struct conf *conf,
			     struct crypto_store *store, struct conf_errors *errs,
			     struct conf_creds **ret)
{
	static const uint64_t key[2] = { 1, 2 }; /* file names of the operator's own choice */
	struct conf_creds *c = mem_new(mem, sizeof(*c));

	if (!c)
		return ST_NOMEM;
	c->mem = mem;
	c->store = store;
	c->errs = errs;
	arena_init(&c->ar, mem, ARENA_MAX);
	map_init(&c->loaded, mem, key);
	c->peers = arena_new(&c->ar, conf->n_peers * sizeof(*c->peers));
	if (!c->peers) {
		conf_creds_free(c);
		return ST_NOMEM;
	}
	*ret = c;
	return ST_OK;
}

enum status conf_creds_load(const struct alloc *mem, const struct conf *conf,
			    struct crypto_store *store, struct conf_errors *errs,
			    struct conf_creds **ret_creds)
{
	size_t before = errs->total;
	struct conf_creds *c;
	enum status st = creds_new(mem, conf, store, errs, &c);

	if (st != ST_OK)
		return st;
	st = load_all(c, conf);
	if (st == ST_OK)
		st = conf_check_algorithms(conf, errs);
	c->errs = NULL;
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

enum status conf_open(const struct alloc *mem, const char *path, struct crypto_store *store,
		      struct conf_errors *errs, struct conf **ret_conf,
		      struct conf_creds **ret_creds)
{
	struct conf_creds *creds = NULL;
	struct conf *c;
	enum status st = conf_read_file(mem, path, errs, &c);

	if (st != ST_OK)
		return st;
	st = conf_creds_load(mem, c, store, errs, &creds);
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
