/*
 * main.c - warrend, the daemon.
 *
 * Exit codes: 0 ended in order; 1 could not start, or the configuration is wrong; 2 usage.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/host.h"

enum {
	EXIT_USAGE = 2,
	ERROR_LINE_MAX = 8192, /* a path, and what is wrong */
};

static void usage(FILE *to)
{
	fprintf(to, "usage: warrend -c FILE\n"
		    "  -c, --config FILE  the configuration, see warren.conf(5)\n"
		    "  -V, --version\n"
		    "  -h, --help\n"
		    "Stays in the foreground and logs to stderr; SIGTERM and SIGINT end it.\n");
}

/* NULL: `*ret_code` is how to leave. */
static const char *parse_options(int argc, char **argv, int *ret_code)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	const char *file = NULL;
	int o;

	*ret_code = EXIT_USAGE;
	while ((o = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
		switch (o) {
		case 'c': file = optarg; break;
		case 'V':
			puts("warrend " WARREN_VERSION);
			*ret_code = EXIT_SUCCESS;
			return NULL;
		case 'h':
			usage(stdout);
			*ret_code = EXIT_SUCCESS;
			return NULL;
		default: usage(stderr); return NULL;
		}
	}
	if (!file || optind != argc) {
		usage(stderr);
		return NULL;
	}
	return file;
}

/* What `warren check` would print. */
static void print_errors(const struct conf_errors *errs)
{
	for (const struct conf_error *e = errs->head; e; e = e->next) {
		char raw[ERROR_LINE_MAX], buf[ERROR_LINE_MAX];
		struct text line = TEXT_OF(raw), clean = TEXT_OF(buf);

		conf_error_text(errs, e, &line);
		obs_clean(&clean, bytes_str(raw));
		fprintf(stderr, "%s\n", buf);
	}
	if (errs->total > errs->kept)
		fprintf(stderr, "%s: %zu more errors\n", errs->file, errs->total - errs->kept);
}

/* A failure is named once, where it belongs. */
static void print_failure(const struct conf_errors *errs, const char *why, enum status st)
{
	print_errors(errs);
	if (why[0])
		fprintf(stderr, "warrend: %s\n", why);
	else if (errs->total == 0)
		fprintf(stderr, "warrend: %s\n",
			st == ST_NOMEM ? "out of memory" : status_name(st));
}

/* The signer comes first: it must not inherit anything. */
static enum status prepare(struct host *h)
{
	char buf[512];
	struct text why = TEXT_OF(buf);
	enum status st = plat_harden(&why);

	if (st == ST_OK)
		st = signer_fork(&why, &h->signer);
	if (st == ST_OK && (st = host_init(h)) != ST_OK)
		text_add(&why, "cannot make an event loop");
	if (st != ST_OK)
		fprintf(stderr, "warrend: %s\n", buf);
	return st;
}

static enum status start(struct host *h, const char *file)
{
	struct conf_errors errs;
	char buf[512];
	struct text why = TEXT_OF(buf);
	enum status st;

	conf_errors_init(&errs, &mem_libc);
	st = host_check(h, file, &errs, &why);
	if (st == ST_OK)
		st = host_start(h, &errs, &why);
	if (st != ST_OK)
		print_failure(&errs, buf, st);
	conf_errors_done(&errs);
	return st;
}

int main(int argc, char **argv)
{
	static struct host h;
	int code;
	const char *file = parse_options(argc, argv, &code);

	if (!file)
		return code;
	if (prepare(&h) != ST_OK)
		return EXIT_FAILURE;
	code = EXIT_FAILURE;
	if (start(&h, file) == ST_OK) {
		uv_run(&h.loop, UV_RUN_DEFAULT);
		code = h.failed ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (host_free(&h))
		_exit(code);
	return code;
}
