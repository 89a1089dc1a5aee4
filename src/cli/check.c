/*
 * check.c - `warren check`: what `warrend -c` would say about a file, without a daemon.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "conf/conf_creds.h"

enum {
	ERROR_LINE_MAX = 8192,
};

static void print_errors(const struct conf_errors *errs)
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
	o = json_pack("{s:b, s:o, s:I, s:I}", "ok", conf != NULL, "errors", list, "error_count",
		      (json_int_t)errs->total, "peers", (json_int_t)(conf ? conf->n_peers : 0));
	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

static enum cli_exit report(const struct cli *cli, const struct conf_errors *errs,
			    const struct conf *conf)
{
	if (cli->json)
		print_json(errs, conf);
	else if (conf)
		printf("%s: good, %zu peer%s\n", cli->arg, conf->n_peers,
		       conf->n_peers == 1 ? "" : "s");
	else
		print_errors(errs);
	return conf ? CLI_OK : CLI_FAILED;
}

enum cli_exit cli_check(const struct cli *cli)
{
	struct conf_creds *creds = NULL;
	struct conf *conf = NULL;
	struct crypto_store *store;
	struct conf_errors errs;
	enum cli_exit code;
	enum status st;

	if (crypto_store_new(&store) != ST_OK) {
		fprintf(stderr, "warren: libcrypto cannot be used\n");
		return CLI_FAILED;
	}
	conf_errors_init(&errs, &mem_libc);
	st = conf_open(&mem_libc, cli->arg, store, &errs, &conf, &creds);
	if (st == ST_NOMEM)
		fprintf(stderr, "warren: out of memory\n");
	code = report(cli, &errs, conf);
	conf_creds_free(creds);
	conf_unref(conf);
	conf_errors_done(&errs);
	crypto_store_free(store);
	return code;
}
