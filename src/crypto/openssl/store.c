#include "crypto/openssl/internal.h"

#include <stdlib.h>

/* Memory handed out as a view, alive as long as the store. */
struct blob {
	struct blob *next;
	size_t n;
	uint8_t b[];
};

/*
 * A reference is the number of its store, from 1, above that of the entry in it, from 1: one of
 * another store is never mistaken for an entry of this.  Only the stores of the last reloads are
 * alive, so numbers may come round.
 */
enum {
	REF_BITS = 20,
	STORES = 1 << (32 - REF_BITS),
	ENTRIES_MAX = (1 << REF_BITS) - 1,
};

static crypto_ref next_first(void)
{
	static atomic_uint count;

	return (crypto_ref)(1 + atomic_fetch_add(&count, 1) % (STORES - 1)) << REF_BITS;
}

enum status crypto_store_new(struct crypto_store **ret_store)
{
	static const uint64_t key[2] = { 1, 2 }; /* names of the operator's own choice */
	struct crypto_store *s = calloc(1, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	atomic_init(&s->refs, 1);
	s->first = next_first();
	pthread_mutex_init(&s->lock, NULL);
	map_init(&s->names, &mem_libc, key);
	for (size_t i = 0; i < CURVES; i++) {
		s->groups[i] = EC_GROUP_new_by_curve_name(curves[i].nid);
		if (!s->groups[i]) {
			crypto_store_free(s);
			return libcrypto_status(ST_IO);
		}
	}
	s->modp = modp_new();
	if (!s->modp) {
		crypto_store_free(s);
		return ST_NOMEM;
	}
	*ret_store = s;
	return ST_OK;
}

struct crypto_store *crypto_store_ref(struct crypto_store *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void crypto_store_public(struct crypto_store *s)
{
	s->public = true;
}

/* ---- kits --------------------------------------------------------------------------------- */

static void kit_free(struct kit *k)
{
	crypto_openssl_free(k->ops);
	EVP_PKEY_CTX_free(k->x25519_keygen);
	EVP_PKEY_CTX_free(k->x25519_import);
	free(k);
}

static enum status kit_new(struct kit **ret_kit)
{
	struct kit *k = calloc(1, sizeof(*k));
	enum status st;

	if (!k)
		return ST_NOMEM;
	st = crypto_openssl_new(&k->ops);
	k->x25519_keygen = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	k->x25519_import = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	if (st == ST_OK && (!k->x25519_keygen || EVP_PKEY_keygen_init(k->x25519_keygen) != 1 ||
			    !k->x25519_import || EVP_PKEY_fromdata_init(k->x25519_import) != 1))
		st = libcrypto_status(ST_IO);
	if (st != ST_OK) {
		kit_free(k);
		return st;
	}
	*ret_kit = k;
	return ST_OK;
}

enum status kit_take(struct crypto_store *s, struct kit **ret_kit)
{
	struct kit *k;

	pthread_mutex_lock(&s->lock);
	k = s->idle;
	if (k)
		s->idle = k->next;
	pthread_mutex_unlock(&s->lock);
	if (!k)
		return kit_new(ret_kit);
	*ret_kit = k;
	return ST_OK;
}

void kit_give(struct crypto_store *s, struct kit *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&s->lock);
	k->next = s->idle;
	s->idle = k;
	pthread_mutex_unlock(&s->lock);
}

const EC_GROUP *store_group(const struct crypto_store *s, const struct curve *c)
{
	return s->groups[c - curves];
}

/* ---- entries ------------------------------------------------------------------------------ */

void entry_free(struct entry *e)
{
	if (!e)
		return;
	EVP_PKEY_CTX_free(e->key.signer);
	EVP_PKEY_free(e->key.pkey);
	if (e->psk.p)
		mem_free_secret(&mem_libc, (void *)(uintptr_t)e->psk.p, e->psk.n);
	X509_STORE_free(e->trust.anchors);
	sk_X509_pop_free(e->trust.certs, X509_free);
	sk_X509_CRL_pop_free(e->trust.crls, X509_CRL_free);
	free(e->trust.revoked);
	free((void *)(uintptr_t)e->trust.hashes.p);
	free(e->name);
	free(e);
}

static void store_done(struct crypto_store *s)
{
	for (size_t i = 0; i < s->n_entries; i++)
		entry_free(s->entries[i]);
	free(s->entries);
	map_done(&s->names);
	while (s->blobs) {
		struct blob *b = s->blobs;

		s->blobs = b->next;
		free(b);
	}
	while (s->idle) {
		struct kit *k = s->idle;

		s->idle = k->next;
		kit_free(k);
	}
	for (size_t i = 0; i < CURVES; i++)
		EC_GROUP_free(s->groups[i]);
	modp_free(s->modp);
	pthread_mutex_destroy(&s->lock);
	secret_done(&s->qcd_secret);
	free(s);
}

void crypto_store_free(struct crypto_store *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		store_done(s);
}

static bool has_name(const struct map_node *n, const void *key)
{
	return strcmp(CONTAINER_OF(n, const struct entry, node)->name, key) == 0;
}

static const struct entry *find_name(const struct crypto_store *s, const char *name)
{
	struct map_node *n =
		map_find(&s->names, map_hash(&s->names, bytes_str(name)), has_name, name);

	return n ? CONTAINER_OF(n, const struct entry, node) : NULL;
}

static enum status make_room(struct crypto_store *s)
{
	size_t cap = s->cap_entries ? 2 * s->cap_entries : 16;
	struct entry **grown;

	if (s->n_entries < s->cap_entries)
		return ST_OK;
	if (s->n_entries == ENTRIES_MAX)
		return ST_NOMEM;
	grown = reallocarray(s->entries, cap, sizeof(struct entry *));
	if (!grown)
		return ST_NOMEM;
	s->entries = grown;
	s->cap_entries = cap;
	return ST_OK;
}

static enum status insert(struct crypto_store *s, struct entry *e)
{
	const struct entry *same = e->name ? find_name(s, e->name) : NULL;

	/* The same key in two files is one key; which of the two is found makes no difference. */
	if (same && (same->kind != ENTRY_KEY || e->kind != ENTRY_KEY))
		return ST_INVAL;
	if (make_room(s) != ST_OK)
		return ST_NOMEM;
	s->entries[s->n_entries++] = e;
	e->ref = s->first + (crypto_ref)s->n_entries;
	if (e->name && !same)
		map_insert(&s->names, &e->node, map_hash(&s->names, bytes_str(e->name)));
	return ST_OK;
}

enum status entry_add(struct crypto_store *s, struct entry *e, crypto_ref *ret_ref)
{
	enum status st;

	pthread_mutex_lock(&s->lock);
	st = insert(s, e);
	if (st == ST_OK)
		*ret_ref = e->ref;
	pthread_mutex_unlock(&s->lock);
	if (st != ST_OK)
		entry_free(e);
	return st;
}

enum status entry_new(enum entry_kind kind, struct entry **ret_entry)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return ST_NOMEM;
	e->kind = kind;
	*ret_entry = e;
	return ST_OK;
}

/* A lock is no part of the value. */
static pthread_mutex_t *lock_of(const struct crypto_store *s)
{
	return (pthread_mutex_t *)(uintptr_t)&s->lock;
}

static const struct entry *find_ref(const struct crypto_store *s, crypto_ref ref)
{
	const struct entry *e = NULL;

	pthread_mutex_lock(lock_of(s));
	if (ref > s->first && ref - s->first <= s->n_entries)
		e = s->entries[ref - s->first - 1];
	pthread_mutex_unlock(lock_of(s));
	return e;
}

const struct entry *store_find(const struct crypto_store *s, crypto_ref ref, enum entry_kind kind)
{
	const struct entry *e = find_ref(s, ref);

	return e && e->kind == kind ? e : NULL;
}

bool crypto_store_has(const struct crypto_store *s, crypto_ref ref)
{
	return find_ref(s, ref) != NULL;
}

const char *crypto_store_name(const struct crypto_store *s, crypto_ref ref)
{
	const struct entry *e = find_ref(s, ref);

	return e ? e->name : NULL;
}

crypto_ref crypto_store_find(const struct crypto_store *s, const char *name)
{
	const struct entry *e;

	pthread_mutex_lock(lock_of(s));
	e = find_name(s, name);
	pthread_mutex_unlock(lock_of(s));
	return e ? e->ref : 0;
}

enum status crypto_store_set_qcd(struct crypto_store *s, struct bytes secret)
{
	return secret.n >= 16 && secret_set(&s->qcd_secret, secret) ? ST_OK : ST_INVAL;
}

enum status blob_add(struct crypto_store *s, struct bytes b, struct bytes *ret_copy)
{
	struct blob *blob = malloc(sizeof(*blob) + b.n);

	if (!blob)
		return ST_NOMEM;
	blob->n = b.n;
	memcpy(blob->b, b.p, b.n);
	pthread_mutex_lock(&s->lock);
	blob->next = s->blobs;
	s->blobs = blob;
	pthread_mutex_unlock(&s->lock);
	*ret_copy = bytes_of(blob->b, blob->n);
	return ST_OK;
}
