/*
 * pki.c - `warren pki`: an authority, requests, bundles.  Needs no daemon.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "cli/pki_cli.h"

enum { WHY_MAX = 1024, PATH_LEN = 4096 };

/* A text for a reason, in one variable. */
struct reason {
	char buf[WHY_MAX];
	struct text t;
};

static struct text *reason(struct reason *r)
{
	r->t = TEXT_OF(r->buf);
	return &r->t;
}

static wall_t clock_now(void)
{
	return (wall_t){ time(NULL) };
}

enum cli_exit pki_fail(const struct cli *cli, enum cli_exit code, const char *why)
{
	char buf[4 * WHY_MAX];
	struct text t = TEXT_OF(buf);
	json_t *o;

	cli_add(&t, why);
	fprintf(stderr, "warren: %s\n", buf);
	o = cli->json ? json_pack("{s:s}", "error", buf) : NULL;
	if (o)
		cli_print_json(o, false);
	json_decref(o);
	return code;
}

/* What became of a function of module pki; `path` (may be NULL) begins the reason. */
static enum cli_exit result(const struct cli *cli, enum status st, const char *path,
			    const struct reason *r)
{
	char buf[WHY_MAX + PATH_LEN];
	struct text t = TEXT_OF(buf);

	if (st == ST_OK)
		return CLI_OK;
	if (st == ST_NOMEM)
		return pki_fail(cli, CLI_FAILED, "out of memory");
	if (path)
		text_fmt(&t, "%s: ", path);
	text_add(&t, r->t.n ? r->buf : status_name(st));
	return pki_fail(cli, CLI_FAILED, buf);
}

/* ---- files --------------------------------------------------------------------------------- */

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

/* "dir/site-b.req" and ".key" make "dir/site-b.key". */
static void beside(const char *path, const char *suffix, char ret[static PATH_LEN])
{
	static const char *const known[] = { ".req", ".csr", ".pem" };
	size_t n = strlen(path);

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (ends_in(path, known[i])) {
			n -= strlen(known[i]);
			break;
		}
	snprintf(ret, PATH_LEN, "%.*s%s", (int)(n < PATH_LEN ? n : PATH_LEN - 1), path, suffix);
}

/* "dir/identity.suffix" */
static void named(const char *dir, const struct pki_id *id, const char *suffix,
		  char ret[static PATH_LEN])
{
	snprintf(ret, PATH_LEN, "%s%s%s%s", dir ? dir : "", dir ? "/" : "", id->text, suffix);
}

/* The files that a command makes: all of them or none. */
struct outs {
	struct pki_out key, cert, other;
};

static void outs_abort(struct outs *o)
{
	pki_out_abort(&o->key);
	pki_out_abort(&o->cert);
	pki_out_abort(&o->other);
}

static const struct outs no_outs = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };

static enum status commit(struct pki_out *out, const struct pki_blob *data, struct text *why)
{
	return out->fd < 0 ? ST_OK : pki_out_commit(out, pki_blob_bytes(data), why);
}

/* The key that the options name, or a new one, then with a file for it. */
static enum status get_key(const struct pki_args *a, const char *path, struct outs *outs,
			   struct text *why, struct pki_key **ret_key)
{
	struct pki_blob pem = { 0 };
	enum status st;

	if (!a->key) {
		st = pki_out_open(path, PKI_OUT_SECRET, why, &outs->key);
		return st == ST_OK ? pki_key_new(a->key_type, why, ret_key) : st;
	}
	st = pki_file_read(a->key, PKI_FILE_MAX, why, &pem);
	if (st == ST_OK) {
		text_fmt(why, "%s: ", a->key);
		st = pki_key_read(pki_blob_bytes(&pem), why, ret_key);
	}
	pki_blob_done(&pem);
	if (st == ST_OK) {
		why->n = 0;
		why->p[0] = '\0';
	}
	return st;
}

static enum status put_key(struct outs *outs, const struct pki_key *key, struct text *why)
{
	struct pki_blob pem = { 0 };
	enum status st;

	if (outs->key.fd < 0)
		return ST_OK;
	st = pki_key_pem(key, &pem);
	if (st == ST_OK)
		st = commit(&outs->key, &pem, why);
	pki_blob_done(&pem);
	return st;
}

/* ---- init ---------------------------------------------------------------------------------- */

static void print_init(const struct cli *cli, const char *dir, const struct pki_ca_info *info)
{
	json_t *o;

	if (cli->json) {
		o = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "network", info->network, "dir",
			      dir, "domain", pki_json_blocks(&info->cert.blocks), "not_before",
			      pki_json_time(info->cert.not_before), "not_after",
			      pki_json_time(info->cert.not_after), "sha256",
			      pki_json_hash(info->cert.hash));
		if (o)
			cli_print_json(o, false);
		json_decref(o);
		return;
	}
	printf("authority of the network %s\n", info->network);
	pki_line("directory", dir);
	pki_line_blocks("domain", &info->cert.blocks);
	pki_line_dates(info->cert.not_before, info->cert.not_after);
	pki_line("key", info->cert.key);
	pki_line_hash("sha256", info->cert.hash);
	printf("Keep the directory secret and backed up: who has ca.key is the network.\n");
}

static enum cli_exit cmd_init(const struct cli *cli, const struct pki_args *a)
{
	struct pki_ca_plan plan = {
		.network = a->name, .domain = a->blocks, .days = a->days, .key_type = a->key_type
	};
	struct pki_ca *ca = NULL;
	struct reason r;
	enum status st = pki_ca_create(a->dir, &plan, clock_now(), reason(&r));

	if (st == ST_OK)
		st = pki_ca_open(a->dir, false, reason(&r), &ca);
	if (st == ST_OK)
		print_init(cli, a->dir, pki_ca_about(ca));
	pki_ca_close(ca);
	return result(cli, st, NULL, &r);
}

/* ---- request ------------------------------------------------------------------------------- */

static void print_made(const struct cli *cli, const struct pki_args *a, const char *key,
		       const char *req)
{
	json_t *o;

	if (cli->json) {
		o = json_pack("{s:s, s:s, s:s, s:o}", "id", a->id.text, "key", key, "request", req,
			      "prefixes", pki_json_blocks(&a->blocks));
		if (o)
			cli_print_json(o, false);
		json_decref(o);
		return;
	}
	printf("request of %s\n", a->id.text);
	pki_line("key", key);
	pki_line("request", req);
	printf("Send the request to the authority; the key stays here, beside the bundle that "
	       "comes "
	       "back.\n");
}

static enum status make_request(const struct pki_args *a, const char *key_path,
				const char *req_path, struct outs *outs, struct text *why)
{
	struct pki_key *key = NULL;
	struct pki_blob pem = { 0 };
	enum status st = get_key(a, key_path, outs, why, &key);

	if (st == ST_OK)
		st = pki_out_open(req_path, PKI_OUT_NEW, why, &outs->other);
	if (st == ST_OK)
		st = pki_request_make(key, &a->id, &a->blocks, why, &pem);
	if (st == ST_OK)
		st = put_key(outs, key, why);
	if (st == ST_OK)
		st = commit(&outs->other, &pem, why);
	pki_blob_done(&pem);
	pki_key_free(key);
	return st;
}

static enum cli_exit cmd_request(const struct cli *cli, const struct pki_args *a)
{
	char key_path[PATH_LEN], req_path[PATH_LEN];
	struct outs outs = no_outs;
	struct reason r;
	enum status st;

	named(NULL, &a->id, ".req", req_path);
	if (a->out)
		snprintf(req_path, sizeof(req_path), "%s", a->out);
	beside(req_path, ".key", key_path);
	st = make_request(a, key_path, req_path, &outs, reason(&r));
	outs_abort(&outs);
	if (st == ST_OK)
		print_made(cli, a, a->key ? a->key : key_path, req_path);
	return result(cli, st, NULL, &r);
}

/* ---- sign and site ------------------------------------------------------------------------- */

/* Where things went. */
struct places {
	char bundle[PATH_LEN];
	char cert[PATH_LEN]; /* "" for none */
	char key[PATH_LEN];
};

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static void delivery_json(const struct pki_delivery *d, const struct places *p)
{
	struct pki_blocks b = pki_blocks_of_row(&d->issued);
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s?, s:s?}", "id",
			      d->issued.id.text, "role", pki_role_name(d->issued.role), "serial",
			      d->issued.serial, "prefixes", pki_json_blocks(&b), "hubs",
			      pki_json_hubs(&d->hubs), "not_before",
			      pki_json_time(d->issued.not_before), "not_after",
			      pki_json_time(d->issued.not_after), "bundle", p->bundle,
			      "certificate", or_null(p->cert), "key", or_null(p->key));

	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

static void print_delivery(const struct cli *cli, const struct pki_delivery *d,
			   const struct places *p)
{
	struct pki_blocks b = pki_blocks_of_row(&d->issued);

	if (d->issued.role != PKI_HUB && d->hubs.n == 0)
		fprintf(stderr, "warren: note: the bundle names no hub: sign a hub first, or give "
				"--hubs\n");
	if (cli->json) {
		delivery_json(d, p);
		return;
	}
	printf("bundle of the %s %s\n", pki_role_name(d->issued.role), d->issued.id.text);
	pki_line_blocks("prefixes", &b);
	pki_line_hubs(&d->hubs);
	pki_line("serial", d->issued.serial);
	pki_line_dates(d->issued.not_before, d->issued.not_after);
	pki_line("bundle", p->bundle);
	if (*p->cert)
		pki_line("certificate", p->cert);
	if (*p->key)
		pki_line("key", p->key);
}

static struct pki_grant grant_of(const struct pki_args *a)
{
	return (struct pki_grant){
		.id = a->has_id ? &a->id : NULL,
		.role = a->hub        ? PKI_HUB
			: a->endpoint ? PKI_ENDPOINT
				      : PKI_SITE,
		.blocks = a->blocks,
		.as_requested = a->as_requested,
		.hubs = a->has_hubs ? &a->hubs : NULL,
		.days = a->days,
		.overlap = a->force,
		.renew = a->renew,
	};
}

static enum status open_outs(const struct pki_args *a, const struct places *p, struct outs *outs,
			     struct text *why)
{
	enum pki_out_how how = a->renew ? PKI_OUT_REPLACE : PKI_OUT_NEW;
	enum status st = pki_out_open(p->bundle, how, why, &outs->other);

	if (st == ST_OK && *p->cert)
		st = pki_out_open(p->cert, how, why, &outs->cert);
	return st;
}

static enum status sign_with(const struct pki_args *a, struct bytes request, struct text *why,
			     struct pki_delivery *ret)
{
	struct pki_grant grant = grant_of(a);
	struct pki_ca *ca = NULL;
	enum status st = pki_ca_open(a->dir, true, why, &ca);

	if (st == ST_OK)
		st = pki_ca_sign(ca, request, &grant, clock_now(), why, ret);
	pki_ca_close(ca);
	return st;
}

static enum status put_delivery(struct outs *outs, const struct pki_delivery *d, struct text *why)
{
	enum status st = commit(&outs->cert, &d->cert, why);

	return st == ST_OK ? commit(&outs->other, &d->bundle, why) : st;
}

static enum status sign_request(const struct pki_args *a, struct bytes request, struct places *p,
				struct text *why, struct pki_delivery *ret)
{
	struct outs outs = no_outs;
	struct pki_request_info info;
	enum status st = pki_request_read(request, why, &info);

	if (st != ST_OK)
		return st;
	if (!a->has_id && !info.has_id) {
		text_add(why, "the request names no identity; say which with --id");
		return ST_INVAL;
	}
	named(NULL, a->has_id ? &a->id : &info.id, ".warren", p->bundle);
	if (a->out)
		snprintf(p->bundle, sizeof(p->bundle), "%s", a->out);
	if (a->cert)
		snprintf(p->cert, sizeof(p->cert), "%s", a->cert);
	st = open_outs(a, p, &outs, why);
	if (st == ST_OK)
		st = sign_with(a, request, why, ret);
	if (st == ST_OK)
		st = put_delivery(&outs, ret, why);
	outs_abort(&outs);
	return st;
}

static enum cli_exit cmd_sign(const struct cli *cli, const struct pki_args *a)
{
	struct pki_delivery d = { 0 };
	struct pki_blob request = { 0 };
	struct places p = { 0 };
	struct reason r;
	enum status st = pki_file_read(a->word, PKI_FILE_MAX, reason(&r), &request);
	const char *about = st == ST_OK ? a->word : NULL;

	if (st == ST_OK)
		st = sign_request(a, pki_blob_bytes(&request), &p, reason(&r), &d);
	if (st == ST_OK)
		print_delivery(cli, &d, &p);
	pki_blob_done(&request);
	pki_delivery_done(&d);
	return result(cli, st, about, &r);
}

/* Key, request and signature in one process: for a lab, or where the authority installs sites. */
static enum status make_site(const struct pki_args *a, const struct places *p, struct outs *outs,
			     struct text *why, struct pki_delivery *ret)
{
	struct pki_key *key = NULL;
	struct pki_blob request = { 0 };
	enum status st = get_key(a, p->key, outs, why, &key);

	if (st == ST_OK)
		st = open_outs(a, p, outs, why);
	if (st == ST_OK)
		st = pki_request_make(key, &a->id, &a->blocks, why, &request);
	if (st == ST_OK)
		st = sign_with(a, pki_blob_bytes(&request), why, ret);
	if (st == ST_OK)
		st = put_key(outs, key, why);
	if (st == ST_OK)
		st = put_delivery(outs, ret, why);
	pki_blob_done(&request);
	pki_key_free(key);
	return st;
}

static enum cli_exit cmd_site(const struct cli *cli, const struct pki_args *a)
{
	struct pki_delivery d = { 0 };
	struct outs outs = no_outs;
	struct places p;
	struct reason r;
	enum status st;

	named(a->out, &a->id, ".warren", p.bundle);
	named(a->out, &a->id, ".pem", p.cert);
	named(a->out, &a->id, ".key", p.key);
	st = make_site(a, &p, &outs, reason(&r), &d);
	outs_abort(&outs);
	if (a->key)
		snprintf(p.key, sizeof(p.key), "%s", a->key);
	if (st == ST_OK)
		print_delivery(cli, &d, &p);
	pki_delivery_done(&d);
	return result(cli, st, NULL, &r);
}

/* ---- show ---------------------------------------------------------------------------------- */

static bool holds(const struct pki_blob *b, const char *mark)
{
	return b->n > 0 && memmem(b->p, b->n, mark, strlen(mark)) != NULL;
}

/* A bundle whose dates are wrong is shown, and is a failure: `*ret_shown` says that the reason is
 * in the document already. */
static enum status show_bundle(const struct cli *cli, struct bytes text, struct text *why,
			       bool *ret_shown)
{
	struct now now = { .wall = clock_now(), .wall_ok = true };
	struct pki_bundle *b;
	enum status st = pki_bundle_read(text, NULL, why, &b);

	if (st != ST_OK)
		return st;
	st = pki_bundle_check_dates(b, &now, why);
	pki_print_bundle(cli, b, st == ST_OK ? NULL : why->p);
	pki_bundle_free(b);
	*ret_shown = true;
	return st;
}

static enum status show_request(const struct cli *cli, struct bytes text, struct text *why)
{
	struct pki_request_info info;
	enum status st = pki_request_read(text, why, &info);

	if (st == ST_OK)
		pki_print_request(cli, &info);
	return st;
}

static enum status show_cert(const struct cli *cli, struct bytes text, struct text *why)
{
	struct pki_cert_info info;
	enum status st = pki_cert_read_pem(text, why, &info);

	if (st == ST_OK)
		pki_print_cert(cli, &info);
	return st;
}

static enum status show_any(const struct cli *cli, const struct pki_blob *b, struct text *why,
			    bool *ret_shown)
{
	if (holds(b, "warren-bundle") || holds(b, "BEGIN WARREN MANIFEST-----"))
		return show_bundle(cli, pki_blob_bytes(b), why, ret_shown);
	if (holds(b, "CERTIFICATE REQUEST-----"))
		return show_request(cli, pki_blob_bytes(b), why);
	if (holds(b, "BEGIN CERTIFICATE-----"))
		return show_cert(cli, pki_blob_bytes(b), why);
	text_add(why, holds(b, "PRIVATE KEY-----") ? "a private key, of which nothing is shown"
						   : "neither a bundle nor a PEM certificate or "
						     "request");
	return ST_INVAL;
}

static enum cli_exit cmd_show(const struct cli *cli, const struct pki_args *a)
{
	struct pki_blob b = { 0 };
	struct cli rest = *cli;
	bool shown = false;
	struct reason r;
	enum status st = pki_file_read(a->word, PKI_FILE_MAX, reason(&r), &b);

	if (st != ST_OK)
		return result(cli, st, NULL, &r);
	st = show_any(cli, &b, reason(&r), &shown);
	pki_blob_done(&b);
	rest.json = cli->json && !shown; /* one document is enough */
	return result(&rest, st, a->word, &r);
}

/* ---- list, revoke, crl --------------------------------------------------------------------- */

static enum cli_exit cmd_list(const struct cli *cli, const struct pki_args *a)
{
	struct pki_ca *ca = NULL;
	struct reason r;
	enum status st = pki_ca_open(a->dir, false, reason(&r), &ca);

	if (st == ST_OK)
		pki_print_list(cli, ca, clock_now());
	pki_ca_close(ca);
	return result(cli, st, NULL, &r);
}

static void print_revoked(const struct cli *cli, const char *dir, size_t n)
{
	char path[PATH_LEN];
	json_t *o;

	snprintf(path, sizeof(path), "%s/crl.pem", dir);
	if (!cli->json) {
		if (n)
			printf("%zu certificate%s revoked\n", n, n == 1 ? "" : "s");
		pki_line("crl", path);
		return;
	}
	o = json_pack("{s:I, s:s}", "revoked", (json_int_t)n, "crl", path);
	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

static enum cli_exit cmd_revoke(const struct cli *cli, const struct pki_args *a)
{
	struct pki_ca *ca = NULL;
	struct reason r;
	size_t n = 0;
	enum status st = pki_ca_open(a->dir, true, reason(&r), &ca);

	if (st == ST_OK && a->word)
		st = pki_ca_revoke(ca, a->word, a->days, clock_now(), reason(&r), &n);
	else if (st == ST_OK)
		st = pki_ca_write_crl(ca, a->days, clock_now(), reason(&r));
	pki_ca_close(ca);
	if (st == ST_OK)
		print_revoked(cli, a->dir, n);
	return result(cli, st, NULL, &r);
}

/* ---- the commands -------------------------------------------------------------------------- */

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static const struct pki_command commands[] = {
	{ "init", NULL, cmd_init,
	  "--name NAME --domain PREFIX,... [--days N] [--key-type TYPE] [--dir DIR]",
	  "make the authority of a network",
	  OPTIONS("--name", "--domain", "--days", "--key-type", "--dir"),
	  OPTIONS("--name", "--domain") },
	{ "request", NULL, cmd_request,
	  "--id ID [--prefix PREFIX,...] [--out FILE] [--key FILE] [--key-type TYPE]",
	  "on a site: make its key, and a request for the authority",
	  OPTIONS("--id", "--prefix", "--out", "--key", "--key-type"), OPTIONS("--id") },
	{ "sign", "REQUEST", cmd_sign,
	  "REQUEST {--prefix PREFIX,... | --as-requested | --hub | --endpoint} [--hubs HOST,...] "
	  "[--id ID] [--days N] [--out FILE] [--cert FILE] [--force] [--renew] [--dir DIR]",
	  "sign a request: writes a bundle for the site",
	  OPTIONS("--prefix", "--as-requested", "--hub", "--endpoint", "--hubs", "--id", "--days",
		  "--out", "--cert", "--force", "--renew", "--dir"),
	  OPTIONS() },
	{ "site", NULL, cmd_site,
	  "--id ID {--prefix PREFIX,... | --hub | --endpoint} [--hubs HOST,...] [--days N] "
	  "[--out DIR] [--key FILE] [--key-type TYPE] [--force] [--renew] [--dir DIR]",
	  "key, certificate and bundle in one step, for a lab",
	  OPTIONS("--id", "--prefix", "--hub", "--endpoint", "--hubs", "--days", "--out", "--key",
		  "--key-type", "--force", "--renew", "--dir"),
	  OPTIONS("--id") },
	{ "show", "FILE", cmd_show, "FILE", "what a bundle, certificate or request says, checked",
	  OPTIONS(), OPTIONS() },
	{ "list", NULL, cmd_list, "[--dir DIR]", "everything that was issued", OPTIONS("--dir"),
	  OPTIONS() },
	{ "revoke", "ID|SERIAL", cmd_revoke, "ID|SERIAL [--days N] [--dir DIR]",
	  "revoke certificates: writes crl.pem", OPTIONS("--days", "--dir"), OPTIONS() },
	{ "crl", NULL, cmd_revoke, "[--days N] [--dir DIR]",
	  "write crl.pem anew, before the old one ends", OPTIONS("--days", "--dir"), OPTIONS() },
};

static enum cli_exit help(void)
{
	printf("usage: warren pki COMMAND\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("\n  %s %s\n      %s\n", commands[i].name, commands[i].usage,
		       commands[i].help);
	printf("\n  --dir DIR   the authority's directory (" PKI_DEFAULT_DIR ")\n"
	       "  --json      for programs\n\nSee warren-pki(1).\n");
	return CLI_OK;
}

/* Anywhere before "--": a wrong command line is complained about in the form that it asks for. */
static bool has_word(const struct cli *cli, const char *word)
{
	for (int i = 0; i < cli->argc && strcmp(cli->argv[i], "--") != 0; i++)
		if (strcmp(cli->argv[i], word) == 0)
			return true;
	return false;
}

static enum cli_exit run(const struct pki_command *c, const struct cli *cli)
{
	struct pki_args args;
	struct reason r;

	if (!pki_args_read(c, cli->argc - 1, cli->argv + 1, &args, reason(&r)))
		return pki_fail(cli, CLI_USAGE, r.buf);
	return c->run(cli, &args);
}

/* Private keys are in our memory: none of it goes to a core file. */
static void no_core(void)
{
	const struct rlimit none = { 0, 0 };

	(void)!setrlimit(RLIMIT_CORE, &none);
}

enum cli_exit cli_pki(const struct cli *cli)
{
	struct cli own = *cli;

	no_core();
	own.json = own.json || has_word(cli, "--json");
	for (; own.argc > 0 && strcmp(own.argv[0], "--json") == 0; own.argv++)
		own.argc--;
	if (has_word(cli, "--help") || has_word(cli, "-h") ||
	    (own.argc > 0 && strcmp(own.argv[0], "help") == 0))
		return help();
	for (size_t i = 0; own.argc > 0 && i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, own.argv[0]) == 0)
			return run(&commands[i], &own);
	return pki_fail(&own, CLI_USAGE,
			own.argc > 0 ? "unknown command of pki, see \"warren pki help\""
				     : "pki lacks its command, see \"warren pki help\"");
}
