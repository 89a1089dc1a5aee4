/*
 * conf.h - a configuration with everything it names, as `warren check` reads it.
 */
#pragma once

#include "cli/cli.h"
#include "conf/conf_creds.h"

struct cli_conf {
	struct conf_errors errs;
	struct crypto_store *store;
	struct conf *conf; /* NULL: `errs` says why */
	struct conf_creds *creds;
};

/* `path` must live as long as the result, which is to be closed in any case. */
MUST enum status cli_conf_open(const char *path, struct cli_conf *ret);
void cli_conf_close(struct cli_conf *c);

/* To stderr, a line each. */
void cli_print_errors(const struct conf_errors *errs);
