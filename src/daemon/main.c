/*
 * main.c - warrend, the daemon.
 *
 * Exit codes: 0 ended in order, or the block is up; 1 could not start, or the configuration is
 * wrong; 2 usage.
 */
#include <fcntl.h>
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
	fprintf(to,
		"usage: warrend [--block [--state DIR]] -c FILE\n"
		"  -c, --config FILE  the configuration, see warren.conf(5)\n"
		"  -b, --block        only keep the domain from leaving in clear, and end; for "
		"boot\n"
		"      --state DIR    where the last plan is, if the configuration cannot be read\n"
		"  -V, --version\n"
		"  -h, --help\n"
		"Stays in the foreground and logs to stderr; SIGTERM and SIGINT end it.\n");
}

struct options {
	const char *file;
	const char *state;
	bool block;
};

enum { OPTION_STATE = 256 };

/* False: `*ret_code` is how to leave. */
static bool parse_options(int argc, char **argv, struct options *ret, int *ret_code)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "block", no_argument, NULL, 'b' },
						 { "state", required_argument, NULL, OPTION_STATE },
						 { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	int o;

	*ret_code = EXIT_USAGE;
	while ((o = getopt_long(argc, argv, "bc:Vh", options, NULL)) != -1) {
		switch (o) {
		case 'b': ret->block = true; break;
		case 'c': ret->file = optarg; break;
		case OPTION_STATE: ret->state = optarg; break;
		case 'V':
			puts("warrend " WARREN_VERSION);
			*ret_code = EXIT_SUCCESS;
			return false;
		case 'h':
			usage(stdout);
			*ret_code = EXIT_SUCCESS;
			return false;
		default: usage(stderr); return false;
		}
	}
	if (!ret->file || optind != argc || (ret->state && !ret->block)) {
		usage(stderr);
		return false;
	}
	return true;
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

/* A socket that got the number of a missing standard error would be sent our log. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Without it name servers of a network are not used, and everything else works. */
static void fork_resolved(struct host *h)
{
	char buf[512];
	struct text why = TEXT_OF(buf);

	if (resolved_fork(&why, &h->resolved) != ST_OK)
		fprintf(stderr, "warrend: %s\n", buf);
}

/* Those that are processes of their own come first: they must not inherit anything. */
static enum status prepare(struct host *h)
{
	char buf[512];
	struct text why = TEXT_OF(buf);
	enum status st = plat_harden(&why);

	fill_standard_fds();
	if (st == ST_OK)
		st = signer_fork(&why, &h->signer);
	if (st == ST_OK)
		fork_resolved(h);
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
	struct options o = { 0 };
	int code;

	if (!parse_options(argc, argv, &o, &code))
		return code;
	if (o.block)
		return guarding_boot(o.file, o.state);
	if (prepare(&h) != ST_OK)
		return EXIT_FAILURE;
	code = EXIT_FAILURE;
	if (start(&h, o.file) == ST_OK) {
		uv_run(&h.loop, UV_RUN_DEFAULT);
		code = h.failed ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	host_free(&h);
	return code;
}
