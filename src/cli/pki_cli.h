/*
 * pki_cli.h - how `warren pki` is divided: pki.c has the commands, pki_args.c their options,
 * pki_print.c what they print.
 */
#pragma once

#include "cli/cli.h"
#include "pki/pki.h"

#define PKI_DEFAULT_DIR "warren-ca"

/* What the command line says; not given: NULL, 0, empty. */
struct pki_args {
	const char *word; /* FILE, REQUEST, ID or SERIAL */
	const char *name;
	const char *dir;
	const char *out;
	const char *key;
	const char *cert;
	const char *key_type;
	bool has_id;
	struct pki_id id;
	size_t n_prefixes;
	struct prefix prefix[PKI_BLOCKS_MAX]; /* --prefix or --domain */
	struct pki_blocks blocks; /* the same, canonical */
	bool has_hubs;
	struct pki_hubs hubs;
	unsigned days;
	bool hub, endpoint, as_requested, force, renew;
};

struct pki_command {
	const char *name;
	const char *word; /* what it takes besides options; NULL: nothing */
	enum cli_exit (*run)(const struct cli *cli, const struct pki_args *args);
	const char *usage;
	const char *help;
	const char *const *options; /* that it takes, NULL-terminated */
	const char *const *required;
};

/* The words after the name of the command; false with `why` when they are wrong. */
bool pki_args_read(const struct pki_command *c, int argc, char **argv, struct pki_args *ret_args,
		   struct text *why);

/* One line on stderr, and with --json a document. */
enum cli_exit pki_fail(const struct cli *cli, enum cli_exit code, const char *why);

/* ---- pki_print.c --------------------------------------------------------------------------- */

json_t *pki_json_blocks(const struct pki_blocks *b); /* as prefixes and ranges */
json_t *pki_json_hubs(const struct pki_hubs *h);
json_t *pki_json_time(wall_t at); /* "2026-01-31T12:00:00Z" */
json_t *pki_json_hash(const uint8_t hash[static PKI_HASH]);
struct pki_blocks pki_blocks_of_row(const struct pki_issued *row);

/* "  name          value": a line for people. */
void pki_line(const char *name, const char *value);
void pki_line_blocks(const char *name, const struct pki_blocks *b);
void pki_line_hubs(const struct pki_hubs *h);
void pki_line_dates(wall_t from, wall_t until);
void pki_line_hash(const char *name, const uint8_t hash[static PKI_HASH]);

void pki_print_cert(const struct cli *cli, const struct pki_cert_info *info);
void pki_print_request(const struct cli *cli, const struct pki_request_info *info);
/* `reason`: why it is not valid now, or NULL. */
void pki_print_bundle(const struct cli *cli, const struct pki_bundle *b, const char *reason);
void pki_print_list(const struct cli *cli, const struct pki_ca *ca, wall_t now);
