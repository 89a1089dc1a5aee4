/*
 * cli.h - the warren command: one file per group of commands, one row per command in main.c.
 *
 * A command prints what it found to stdout, complaints to stderr, and returns the exit code.  With
 * --json stdout gets one JSON document (`watch`: one a line), also for failures.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"
#include "ctl/ctl.h"

/* Documented in warren(1): scripts rely on them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* refused by the daemon, or a check that found something */
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3, /* no daemon answers on the socket */
};

enum { CLI_LIST_MAX = 64 };

struct cli_list {
	const char *v[CLI_LIST_MAX];
	size_t n;
};

struct cli {
	const char *socket;
	bool json;
	const char *arg; /* FILE, PEER or BUNDLE; NULL when not given */
	const char *arg2; /* GATEWAY */
	int argc; /* of a command that reads its own options: what follows its name */
	char **argv;
	/* Options of some commands; not given: NULL, false, empty. */
	bool dry_run, force, no_start, open, ike, all, off, members, verbose;
	const char *key, *dir, *log, *topology, *state;
	struct cli_list protect, hubs, domain;
};

/* check.c */
enum cli_exit cli_check(const struct cli *cli);
/* doctor.c */
enum cli_exit cli_doctor(const struct cli *cli);
/* Where there is no daemon to ask: prints what is not well with the default configuration, or, with
 * --json, returns it (a new reference, or NULL). */
json_t *cli_doctor_instead(const struct cli *cli);
/* down.c: `down --open` */
enum cli_exit cli_down_open(const struct cli *cli);
/* Takes the block away, and the plan kept in that directory; ST_REFUSE: a daemon lives here. */
MUST enum status cli_lift_block(const char *state, struct text *why);
/* join.c */
enum cli_exit cli_join(const struct cli *cli);
/* pki.c */
enum cli_exit cli_pki(const struct cli *cli);
/* remote.c */
enum cli_exit cli_status(const struct cli *cli);
enum cli_exit cli_peers(const struct cli *cli);
enum cli_exit cli_leases(const struct cli *cli);
enum cli_exit cli_shortcuts(const struct cli *cli);
enum cli_exit cli_watch(const struct cli *cli);
enum cli_exit cli_up(const struct cli *cli);
enum cli_exit cli_down(const struct cli *cli);
enum cli_exit cli_rekey(const struct cli *cli);
enum cli_exit cli_redirect(const struct cli *cli);
enum cli_exit cli_why(const struct cli *cli);
enum cli_exit cli_reload(const struct cli *cli);

/* leases.c, peers.c, shortcuts.c, status.c, why.c: what the daemon answered, for people. */
void cli_print_status(json_t *status);
/* A pool and how much of it is used; nothing without one. */
void cli_add_pool(struct text *t, const json_t *pool);
void cli_print_leases(json_t *result); /* tables */
void cli_print_peers(json_t *result);
void cli_print_peers_fully(json_t *result);
void cli_print_shortcuts(json_t *result, bool fully);
void cli_print_directory(json_t *result);
void cli_print_why(json_t *result);

/* Says why on stderr and, with --json, as a document. */
enum cli_exit cli_complain(const struct cli *cli, enum cli_exit code, const char *why);

/* ---- print.c ----------------------------------------------------------------------------- */

/* Members of an object; "", 0, false when absent or of another type. */
const char *cli_str(const json_t *o, const char *key);
json_int_t cli_int(const json_t *o, const char *key);
bool cli_bool(const json_t *o, const char *key);

/* Appends text that came from elsewhere: nothing in it reaches a terminal as a control. */
void cli_add(struct text *t, const char *s);
/* A list of strings, separated by ", ". */
void cli_add_list(struct text *t, const json_t *array);
/* "3h 12m", "45s" */
void cli_add_duration(struct text *t, json_int_t seconds);
/* "0.42 ms" */
void cli_add_rtt(struct text *t, json_int_t us);
/* "12.3 MiB" */
void cli_add_bytes(struct text *t, json_int_t n);

/* A left-aligned table: cells are copied; the last column is not padded. */
enum {
	CLI_COLUMNS_MAX = 8,
	CLI_CELL_MAX = 128,
};

struct cli_row {
	char cell[CLI_COLUMNS_MAX][CLI_CELL_MAX];
};

struct cli_table {
	size_t columns;
	size_t width[CLI_COLUMNS_MAX];
};

/* Widens the columns for a row. */
void cli_table_fit(struct cli_table *t, const struct cli_row *row);
void cli_table_print(const struct cli_table *t, const struct cli_row *row);

/* A JSON document on stdout. */
void cli_print_json(json_t *o, bool one_line);
