#include "cli/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conf/conf.h"
#include "plat/clock.h"

#define DEFAULT_DIR "/etc/warren"

enum {
	WHY_MAX = 4096,
	CONF_MAX = 64 << 10,
};

/* ---- the configuration ------------------------------------------------------------------- */

/* As the reader takes it: printable, with quotes and backslashes escaped. */
static void add_string(struct text *t, const char *s)
{
	text_add(t, "\"");
	text_quote(t, bytes_str(s));
	text_add(t, "\"");
}

static void add_list(struct text *t, const struct cli_list *l)
{
	text_add(t, "{ ");
	for (size_t i = 0; i < l->n; i++) {
		text_add(t, i ? ", " : "");
		add_string(t, l->v[i]);
	}
	text_add(t, " }");
}

/* The options, or what the bundle says. */
static const struct cli_list *hubs_of(const struct join *j, struct cli_list *buf)
{
	const struct pki_hubs *h = &j->bundle->manifest.hubs;

	if (j->cli->hubs.n)
		return &j->cli->hubs;
	buf->n = 0;
	for (size_t i = 0; i < h->n; i++)
		buf->v[buf->n++] = h->name[i];
	return buf;
}

struct prefix_texts {
	struct cli_list list;
	char text[PKI_BLOCKS_MAX][PREFIX_TEXT_MAX];
};

static const struct cli_list *texts(struct prefix_texts *b, const struct prefix *p, size_t n)
{
	b->list.n = 0;
	for (size_t i = 0; i < n && i < PKI_BLOCKS_MAX; i++) {
		prefix_text(&p[i], b->text[i]);
		b->list.v[b->list.n++] = b->text[i];
	}
	return &b->list;
}

static void add_site(struct text *t, const struct join *j)
{
	struct prefix prefixes[PKI_BLOCKS_MAX];
	struct prefix_texts protect;
	struct cli_list hubs;
	size_t n = pki_blocks_prefixes(&j->bundle->blocks, prefixes, PKI_BLOCKS_MAX);

	text_add(t, "    hubs    = ");
	add_list(t, hubs_of(j, &hubs));
	text_add(t, "\n");
	if (j->bundle->manifest.role == PKI_ENDPOINT && !j->cli->protect.n)
		return;
	text_add(t, "    protect = ");
	add_list(t, j->cli->protect.n ? &j->cli->protect : texts(&protect, prefixes, n));
	text_add(t, "\n");
}

static void add_hub(struct text *t, const struct join *j)
{
	const struct pki_manifest *m = &j->bundle->manifest;
	struct prefix_texts domain;

	text_add(t, "    role = hub  domain = ");
	add_list(t, j->cli->domain.n ? &j->cli->domain : texts(&domain, m->domain, m->n_domain));
	text_fmt(t, "  topology = %s\n", j->cli->topology ? j->cli->topology : "dynamic");
}

/* `identity` is where the bundle will be, or is staged. */
static void write_conf(struct text *t, const struct join *j, const char *identity)
{
	const struct pki_manifest *m = &j->bundle->manifest;

	text_add(t, "identity = ");
	add_string(t, identity);
	if (strcmp(j->cli->socket, CTL_DEFAULT_PATH) != 0) {
		text_add(t, "\ncontrol = ");
		add_string(t, j->cli->socket);
	}
	text_add(t, "\nnetwork ");
	add_string(t, m->network);
	text_add(t, " {\n");
	if (m->role == PKI_HUB)
		add_hub(t, j);
	else
		add_site(t, j);
	text_add(t, "}\n");
}

/* ---- checking ---------------------------------------------------------------------------- */

static bool is_topology(const char *word)
{
	for (int t = CONF_TOPOLOGY_STAR; t <= CONF_TOPOLOGY_MESH; t++)
		if (strcmp(word, conf_topology_name(t)) == 0)
			return true;
	return false;
}

static enum status check_options(const struct join *j, struct text *why)
{
	const struct cli *c = j->cli;
	const enum pki_role role = j->bundle->manifest.role;
	const bool hub = role == PKI_HUB;

	if (hub && (c->protect.n || c->hubs.n))
		text_add(why, "the bundle is a hub's: --protect and --hub are for sites");
	else if (!hub && (c->domain.n || c->topology))
		text_fmt(why, "the bundle is %s %s's: --domain and --topology are for hubs",
			 role == PKI_ENDPOINT ? "an" : "a", pki_role_name(role));
	else if (!hub && !c->hubs.n && !j->bundle->manifest.hubs.n)
		text_add(why, "the bundle names no hub: --hub NAME says where it is");
	else if (c->topology && !is_topology(c->topology))
		text_add(why, "--topology is star, dynamic or mesh");
	else
		return ST_OK;
	return ST_INVAL;
}

static enum status read_bundle(struct join *j, struct pki_blob *blob, struct text *why)
{
	struct now now = plat_now();
	enum status st = pki_file_read(j->cli->arg, PKI_FILE_MAX, why, blob);

	if (st == ST_OK) {
		text_fmt(why, "%s: ", j->cli->arg);
		st = pki_bundle_read(pki_blob_bytes(blob), NULL, why, &j->bundle);
	}
	if (st == ST_OK)
		st = pki_bundle_check_dates(j->bundle, &now, why);
	if (st == ST_AGAIN) {
		fprintf(stderr,
			"warren: the clock was never set: whether the bundle is valid now is "
			"not known\n");
		st = ST_OK;
	}
	if (st == ST_OK)
		*why = (struct text){ why->p, 0, why->cap };
	return st;
}

/* "x.warren" has its key in "x.key". */
static enum status key_path(struct join *j, struct text *why)
{
	const char *bundle = j->cli->arg;
	size_t n = strlen(bundle);

	if (n > 7 && strcmp(bundle + n - 7, ".warren") == 0)
		n -= 7;
	if (j->cli->key ? snprintf(j->key, JOIN_PATH, "%s", j->cli->key) < JOIN_PATH
			: snprintf(j->key, JOIN_PATH, "%.*s.key", (int)n, bundle) < JOIN_PATH)
		return ST_OK;
	text_add(why, "the path is too long");
	return ST_INVAL;
}

/* The whole path of a staged file, as the caller knows it; or NULL. */
static const char *unstaged(const struct join *j, const char *at, size_t *ret_n)
{
	const char *const known[JOIN_FILES] = {
		[JOIN_KEY] = j->key,
		[JOIN_BUNDLE] = j->cli->arg,
	};

	for (size_t i = 0; i < JOIN_FILES; i++) {
		*ret_n = strlen(j->place[i].staged);
		if (known[i] && *ret_n && strncmp(at, j->place[i].staged, *ret_n) == 0)
			return known[i];
	}
	return NULL;
}

/* Text without the staged paths: bundle and key where they came from, the configuration where it
 * would have been. */
static void add_unstaged(const struct join *j, struct text *t, const char *s)
{
	size_t n = strlen(j->stage);
	const char *hit;

	while ((hit = strstr(s, j->stage))) {
		size_t whole;
		const char *known = unstaged(j, hit, &whole);

		text_fmt(t, "%.*s%s", (int)(hit - s), s, known ? known : j->dir);
		s = hit + (known ? whole : n);
	}
	text_add(t, s);
}

/* What `warren check` would say about the staged files. */
static enum status check_staged(const struct join *j, struct text *why)
{
	struct cli_conf c;
	enum status st = cli_conf_open(j->place[JOIN_CONF].staged, &c);

	for (const struct conf_error *e = c.errs.head; e; e = e->next) {
		char buf[WHY_MAX];
		struct text t = TEXT_OF(buf);

		conf_error_text(&c.errs, e, &t);
		text_add(why, why->n ? "; " : "");
		add_unstaged(j, why, buf);
	}
	cli_conf_close(&c);
	return st;
}

static enum status stage_conf(struct join *j, const char *identity, struct text *why)
{
	char *buf = malloc(CONF_MAX);
	struct text t = { buf, 0, CONF_MAX };
	enum status st;

	if (!buf)
		return ST_NOMEM;
	buf[0] = '\0';
	write_conf(&t, j, identity);
	st = join_stage_file(j, JOIN_CONF, bytes_of(buf, t.n), why);
	free(buf);
	return st;
}

/* Bundle, key and configuration beside each other, and held against each other. */
static enum status stage_all(struct join *j, const struct pki_blob *bundle, struct text *why)
{
	struct pki_blob key = { 0 };
	enum status st = key_path(j, why);

	if (st == ST_OK)
		st = pki_file_read(j->key, PKI_FILE_MAX, why, &key);
	if (st == ST_OK)
		st = join_stage(j, why);
	if (st == ST_OK)
		st = join_stage_file(j, JOIN_KEY, pki_blob_bytes(&key), why);
	pki_blob_done(&key);
	if (st == ST_OK)
		st = join_stage_file(j, JOIN_BUNDLE, pki_blob_bytes(bundle), why);
	if (st == ST_OK)
		st = stage_conf(j, j->place[JOIN_BUNDLE].staged, why);
	if (st == ST_OK)
		st = check_staged(j, why);
	if (st != ST_OK)
		return st;
	/* The same, with the place where the bundle will be. */
	remove(j->place[JOIN_CONF].staged);
	return stage_conf(j, j->place[JOIN_BUNDLE].final, why);
}

/* ---- all --------------------------------------------------------------------------------- */

static enum status prepare(struct join *j, struct text *why)
{
	struct pki_blob bundle = { 0 };
	enum status st = read_bundle(j, &bundle, why);

	if (st == ST_OK)
		st = check_options(j, why);
	if (st == ST_OK)
		st = stage_all(j, &bundle, why);
	if (st == ST_OK)
		st = join_compare(j, why);
	pki_blob_done(&bundle);
	return st;
}

static void print_done(const struct join *j)
{
	json_t *o;

	if (!j->cli->json) {
		for (size_t i = 0; i < JOIN_FILES; i++) {
			const struct join_place *p = &j->place[i];

			printf("%s  %s\n", p->same ? "unchanged" : "written  ", p->final);
			if (p->backup[0])
				printf("kept       %s\n", p->backup);
		}
		fflush(stdout);
		return;
	}
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "network", j->bundle->manifest.network,
		      "identity", j->bundle->manifest.id.text, "bundle",
		      j->place[JOIN_BUNDLE].final, "key", j->place[JOIN_KEY].final, "configuration",
		      j->place[JOIN_CONF].final, "started", !j->cli->no_start);
	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

static enum cli_exit finish(struct join *j)
{
	print_done(j);
	if (j->cli->no_start || j->cli->json)
		return CLI_OK;
	return cli_status(j->cli);
}

enum cli_exit cli_join(const struct cli *cli)
{
	struct join *j = calloc(1, sizeof(*j));
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum cli_exit code;
	enum status st;

	if (!j)
		return cli_complain(cli, CLI_FAILED, "out of memory");
	j->cli = cli;
	j->dir = cli->dir ? cli->dir : DEFAULT_DIR;
	st = prepare(j, &why);
	if (st == ST_OK)
		st = join_install(j, &why);
	join_clean(j);
	if (st == ST_OK && !cli->no_start)
		st = join_start(j, cli->socket, &why);
	if (st != ST_OK)
		join_roll_back(j);
	code = st == ST_OK ? finish(j)
			   : cli_complain(cli, CLI_FAILED, why.n ? buf : "out of memory");
	pki_bundle_free(j->bundle);
	free(j);
	return code;
}
