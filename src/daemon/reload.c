#include "daemon/reload.h"

#include <stdlib.h>

#include "daemon/guarding.h"
#include "daemon/inner.h"
#include "daemon/leases.h"
#include "daemon/translate.h"

#define DIFF_ARENA ((size_t)16 << 20)

/* A configuration that was read beside the one that runs. */
struct fresh {
	struct signer_snapshot *snapshot;
	struct crypto_store *store;
	struct conf *conf;
	struct conf_creds *creds;
	struct ike_conf *ike_conf;
};

static void fresh_done(struct fresh *f)
{
	if (f->ike_conf)
		ike_conf_unref(f->ike_conf);
	conf_creds_free(f->creds);
	conf_unref(f->conf);
	crypto_store_free(f->store);
	signer_snapshot_free(f->snapshot);
	*f = (struct fresh){ 0 };
}

static enum status fresh_read(struct host *h, struct conf_errors *errs, struct text *why,
			      struct fresh *f)
{
	const char *file = h->conf->file;
	struct conf_source source;
	enum status st = signer_load(h->signer, file, errs, why, &f->snapshot);

	if (st == ST_OK)
		st = crypto_store_new(&f->store);
	if (st != ST_OK)
		return st;
	crypto_store_public(f->store);
	source = signer_source(f->snapshot);
	st = conf_open(&mem_libc, &source, file, f->store, errs, &f->conf, &f->creds);
	if (st == ST_OK)
		st = translate(f->conf, f->creds, h->ike_conf, &f->ike_conf);
	return st == ST_OK ? host_reserve(h, f->ike_conf, why) : st;
}

/* ---- what changes ------------------------------------------------------------------------ */

static bool add_change(json_t *changes, enum conf_change change, const char *section,
		       const char *text)
{
	json_t *line = json_pack("{s:s, s:s, s:s}", "change", conf_change_name(change), "section",
				 section, "text", text);

	return line && json_array_append_new(changes, line) == 0;
}

struct peer_node {
	struct map_node node;
	const struct ike_peer_conf *peer;
};

static bool has_id(const struct map_node *n, const void *id)
{
	return CONTAINER_OF(n, const struct peer_node, node)->peer->id == *(const ike_peer_id *)id;
}

static uint64_t hash_id(const struct map *m, const ike_peer_id *id)
{
	return map_hash(m, bytes_of(id, sizeof(*id)));
}

static bool same_revoked(const struct ike_peer_conf *a, const struct ike_peer_conf *b)
{
	return a->n_revoked == b->n_revoked &&
	       (a->n_revoked == 0 ||
		memcmp(a->revoked, b->revoked, a->n_revoked * CRYPTO_REVOCATION_ID) == 0);
}

/* Files whose names are the same and whose contents are not. */
static bool add_contents(json_t *changes, const struct ike_peer_conf *old,
			 const struct ike_peer_conf *new)
{
	char buf[160];
	struct text section = TEXT_OF(buf);
	bool ok = true;

	text_fmt(&section, "%s \"%s\"", new->role == IKE_ROLE_FIXED ? "peer" : "network",
		 new->name);
	if (new->auth == IKE_AUTH_CERT && memcmp(old->own_digest, new->own_digest, 32) != 0)
		ok = add_change(changes, CONF_REAUTH, buf, "our certificate: renewed");
	if (ok && new->auth == IKE_AUTH_CERT && memcmp(old->peer_digest, new->peer_digest, 32) != 0)
		ok = add_change(changes, CONF_REAUTH, buf, "trust anchors: changed");
	if (ok && !same_revoked(old, new)) {
		char line[96];

		snprintf(line, sizeof(line), "revoked certificates: %zu -> %zu", old->n_revoked,
			 new->n_revoked);
		ok = add_change(changes, CONF_HOT, buf, line);
	}
	return ok;
}

static bool add_all_contents(json_t *changes, const struct ike_conf *old,
			     const struct ike_conf *new)
{
	static const uint64_t key[2] = { 1, 2 }; /* ids of our own */
	struct peer_node *nodes = calloc(old->n_peers + 1, sizeof(*nodes));
	bool ok = nodes != NULL;
	struct map by_id;

	map_init(&by_id, &mem_libc, key);
	for (size_t i = 0; ok && i < old->n_peers; i++) {
		nodes[i].peer = &old->peers[i];
		map_insert(&by_id, &nodes[i].node, hash_id(&by_id, &old->peers[i].id));
	}
	for (size_t i = 0; ok && i < new->n_peers; i++) {
		const ike_peer_id *id = &new->peers[i].id;
		struct map_node *n = map_find(&by_id, hash_id(&by_id, id), has_id, id);

		if (n)
			ok = add_contents(changes, CONTAINER_OF(n, struct peer_node, node)->peer,
					  &new->peers[i]);
	}
	map_done(&by_id);
	free(nodes);
	return ok;
}

/* The lines between two texts that need a restart, or those that do not. */
static bool add_lines(json_t *changes, const struct conf *old, const struct conf *new, bool restart)
{
	struct conf_diff_line *line = NULL;
	struct arena ar;
	bool ok;

	arena_init(&ar, &mem_libc, DIFF_ARENA);
	ok = conf_diff(&ar, old, new, &line) == ST_OK;
	for (; ok && line; line = line->next)
		if ((line->change == CONF_RESTART) == restart)
			ok = add_change(changes, line->change, line->section, line->text);
	arena_done(&ar);
	return ok;
}

/* What only a restart changes is still as it was when we started, whatever was read since.  NULL:
 * out of memory. */
static json_t *changes_of(const struct host *h, const struct fresh *f, bool *ret_restart)
{
	json_t *changes = json_array();
	size_t n;

	if (!changes || !add_lines(changes, h->conf, f->conf, false) ||
	    !add_all_contents(changes, h->ike_conf, f->ike_conf))
		goto nomem;
	n = json_array_size(changes);
	if (!add_lines(changes, h->conf_started, f->conf, true))
		goto nomem;
	*ret_restart = json_array_size(changes) > n;
	return changes;
nomem:
	json_decref(changes);
	return NULL;
}

/* ---- adopting ---------------------------------------------------------------------------- */

/* Sockets, device and key log are those of the start. */
static void keep_started(const struct host *h, struct ike_conf *conf)
{
	conf->port = h->ike_conf->port;
	conf->nat_port = h->ike_conf->nat_port;
	conf->force_encap = h->ike_conf->force_encap;
	conf->keys = h->ike_conf->keys;
}

/* What ran goes to `f`. */
static void swap_conf(struct host *h, struct fresh *f)
{
	struct fresh old = { f->snapshot, h->store, h->conf, h->creds, h->ike_conf };

	h->log.level = (enum obs_level)f->conf->log.v;
	jobs_use_store(h->jobs, f->store);
	h->store = f->store;
	h->conf = f->conf;
	h->creds = f->creds;
	h->ike_conf = f->ike_conf;
	*f = old;
}

/* The engine has secrets named to it that the signer does not use, and never will. */
static void lost_signer(struct host *h, const char *why)
{
	host_log(h, OBS_ERROR, NULL, why);
	h->failed = true;
	host_shutdown(h, "no signer");
}

/*
 * What can fail without consequences comes first.  What is new is blocked before the engine knows
 * of it, and what is old until it does not; the signer has the new secrets before the first job
 * that needs them, since jobs start when the engine's outputs are drained.
 */
static enum status adopt(struct host *h, struct fresh *f, struct text *why)
{
	enum status st = guarding_widen(h, f->conf, f->creds, why);

	if (st != ST_OK)
		return st;
	keep_started(h, f->ike_conf);
	st = mesh_reconfigure(h->mesh, plat_now(), translate_mesh_of(f->ike_conf));
	if (st == ST_OK)
		swap_conf(h, f);
	guarding_follow(h);
	if (st != ST_OK)
		return st;
	leases_follow(h);
	inner_review(h);
	st = signer_commit(h->signer, why);
	if (st != ST_OK)
		lost_signer(h, why->p);
	return st;
}

/* ---- the answer -------------------------------------------------------------------------- */

static json_t *errors_json(const struct conf_errors *errs)
{
	json_t *list = json_array();

	for (const struct conf_error *e = errs->head; e && list; e = e->next) {
		char raw[1024], buf[1024];
		struct text line = TEXT_OF(raw), clean = TEXT_OF(buf);

		conf_error_text(errs, e, &line);
		obs_clean(&clean, bytes_str(raw));
		json_array_append_new(list, json_string(buf));
	}
	return json_pack("{s:o, s:b}", "errors", list, "applied", false);
}

static void log_list(struct host *h, enum obs_level level, const char *what, json_t *list)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		char buf[1280];
		struct text t = TEXT_OF(buf);

		if (json_is_string(item))
			text_fmt(&t, "%s: %s", what, json_string_value(item));
		else
			text_fmt(&t, "%s: %s %s (%s)", what,
				 json_string_value(json_object_get(item, "section")),
				 json_string_value(json_object_get(item, "text")),
				 json_string_value(json_object_get(item, "change")));
		host_log(h, level, NULL, buf);
	}
}

/* Whoever asked for it: the log has the whole story. */
static void log_applied(struct host *h, json_t *changes, bool restart)
{
	log_list(h, OBS_INFO, "reload", changes);
	host_log(h, OBS_INFO, NULL, restart ? "reloaded; some changes need a restart" : "reloaded");
}

static json_t *run(struct host *h, bool dry_run, struct conf_errors *errs, struct text *error)
{
	struct fresh f = { 0 };
	json_t *changes, *result = NULL;
	bool restart = false;
	enum status st = fresh_read(h, errs, error, &f);

	if (st == ST_OK) {
		changes = changes_of(h, &f, &restart);
		st = changes ? ST_OK : ST_NOMEM;
		if (st == ST_OK && !dry_run)
			st = adopt(h, &f, error);
		if (st == ST_OK)
			result = json_pack("{s:O, s:b, s:b}", "changes", changes, "applied",
					   !dry_run, "restart", restart);
		if (st == ST_OK && !dry_run)
			log_applied(h, changes, restart);
		json_decref(changes);
	} else if (errs->total) {
		result = errors_json(errs);
	}
	if (!result && error->n == 0)
		text_add(error, st == ST_NOMEM ? "out of memory" : status_name(st));
	fresh_done(&f);
	return result;
}

json_t *reload_run(struct host *h, bool dry_run, struct text *error)
{
	struct conf_errors errs;
	json_t *result;

	if (h->stopping) {
		text_add(error, "the daemon is ending");
		return NULL;
	}
	conf_errors_init(&errs, &mem_libc);
	result = run(h, dry_run, &errs, error);
	conf_errors_done(&errs);
	wiring_drain(h);
	return result;
}

void reload_logged(struct host *h)
{
	char buf[640];
	struct text error = TEXT_OF(buf);
	json_t *result = reload_run(h, false, &error);

	if (!result) {
		char line[720];

		snprintf(line, sizeof(line), "reload: %s", buf);
		host_log(h, OBS_ERROR, NULL, line);
		return;
	}
	log_list(h, OBS_ERROR, "reload refused", json_object_get(result, "errors"));
	json_decref(result);
}
