/*
 * check.c - `warren check`: what `warrend -c` would say about a file, without a daemon.
 */
#include <stdio.h>

#include "cli/conf.h"

enum {
	ERROR_LINE_MAX = 8192,
};

void cli_print_errors(const struct conf_errors *errs)
{
	for (const struct conf_error *e = errs->head; e; e = e->next) {
		char raw[ERROR_LINE_MAX], buf[ERROR_LINE_MAX];
		struct text line = TEXT_OF(raw), out = TEXT_OF(buf);

		conf_error_text(errs, e, &line);
		cli_add(&out, raw);
		fprintf(stderr, "%s\n", buf);
	}
	if (errs->total > errs->kept)
		fprintf(stderr, "%s: %zu more errors\n", errs->file, errs->total - errs->kept);
}

static json_t *error_json(const struct conf_errors *errs, const struct conf_error *e)
{
	char file[ERROR_LINE_MAX], buf[ERROR_LINE_MAX];
	struct text f = TEXT_OF(file), t = TEXT_OF(buf);

	cli_add(&f, errs->file);
	cli_add(&t, e->text);
	return json_pack("{s:s, s:I, s:I, s:s}", "file", file, "line", (json_int_t)e->at.line,
			 "column", (json_int_t)e->at.col, "text", buf);
}

static void print_json(const struct conf_errors *errs, const struct conf *conf)
{
	json_t *list = json_array(), *o;

	for (const struct conf_error *e = errs->head; e; e = e->next)
		json_array_append_new(list, error_json(errs, e));
	o = json_pack("{s:b, s:o, s:I, s:I, s:I}", "ok", conf != NULL, "errors", list,
		      "error_count", (json_int_t)errs->total, "peers",
		      (json_int_t)(conf ? conf->n_peers : 0), "networks",
		      (json_int_t)(conf ? conf->n_networks : 0));
	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

/* What a hub does, in a word or two. */
static void print_topology(const struct conf_suggest *s)
{
	size_t n = 0;

	for (const struct conf_rule *r = s->rules; r; r = r->next)
		n++;
	printf(", topology %s", conf_topology_name(s->topology.v));
	if (n)
		printf(" with %zu rule%s", n, n == 1 ? "" : "s");
}

static void print_good(const struct conf *conf, const struct conf_creds *creds)
{
	char buf[256];
	struct text name = TEXT_OF(buf);

	printf("%s: good", conf->file);
	if (conf->n_networks) {
		cli_add(&name, conf->networks->name);
		printf(", %s of network %s",
		       conf_role_name((int)conf_creds_network(creds, 0)->role), buf);
		if (conf_creds_network(creds, 0)->role == CONF_ROLE_HUB)
			print_topology(&conf->networks->suggest);
	}
	if (conf->n_peers || !conf->n_networks)
		printf(", %zu peer%s", conf->n_peers, conf->n_peers == 1 ? "" : "s");
	putchar('\n');
}

static enum cli_exit report(const struct cli *cli, const struct cli_conf *c)
{
	const struct conf_errors *errs = &c->errs;
	const struct conf *conf = c->conf;

	if (cli->json)
		print_json(errs, conf);
	else if (conf)
		print_good(conf, c->creds);
	else
		cli_print_errors(errs);
	return conf ? CLI_OK : CLI_FAILED;
}

enum status cli_conf_open(const char *path, struct cli_conf *ret)
{
	enum status st;

	*ret = (struct cli_conf){ 0 };
	conf_errors_init(&ret->errs, &mem_libc);
	ret->errs.file = path;
	st = crypto_store_new(&ret->store);
	if (st == ST_OK)
		st = conf_open(&mem_libc, &conf_source_files, path, ret->store, &ret->errs,
			       &ret->conf, &ret->creds);
	return st;
}

void cli_conf_close(struct cli_conf *c)
{
	conf_creds_free(c->creds);
	conf_unref(c->conf);
	conf_errors_done(&c->errs);
	crypto_store_free(c->store);
}

enum cli_exit cli_check(const struct cli *cli)
{
	struct cli_conf c;
	enum status st = cli_conf_open(cli->arg, &c);
	enum cli_exit code;

	if (st != ST_OK && c.errs.total == 0)
		code = cli_complain(cli, CLI_FAILED,
				    st == ST_NOMEM ? "out of memory" : "libcrypto cannot be used");
	else
		code = report(cli, &c);
	cli_conf_close(&c);
	return code;
}
