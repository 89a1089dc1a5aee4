/*
 * internal.h - how module store is divided.
 *
 *   store.c   the queue, the thread, what is done about an ill store
 *   db.c      one open file: opening, checking, making, copying; transactions
 *   schema.c  tables, in versions; the statements
 *
 * Status codes say what can be done: ST_IO, the disk's trouble, may pass; ST_INVAL, it is wrong by
 * its content, will not; ST_AGAIN, there is no such file; ST_NOMEM.
 */
#pragma once

#include <sqlite3.h>
#include <sys/types.h>

#include "store/store.h"

enum db_statement {
	DB_LEASE_PUT,
	DB_LEASE_DROP,
	DB_LEASE_ALL,
	DB_LEASE_OF,
	DB_STATEMENTS,
};

struct db {
	sqlite3 *sql;
	sqlite3_stmt *stmt[DB_STATEMENTS];
	dev_t log_dev; /* of the -wal that it writes to; */
	ino_t log_ino; /* 0: there is none yet */
};

/* ---- db.c ---------------------------------------------------------------------------------- */

/* Opened, locked, checked, its schema brought up to ours. */
MUST enum status db_open(const char *path, const char *vfs, struct text *why, struct db **ret_db);
/* Takes NULL.  Once the file has moved, what is under its name now is not touched. */
void db_close(struct db *db);
/* A new store where there is no file: it appears complete or not at all.  `like` is copied, or NULL
 * for an empty one. */
MUST enum status db_make(const char *path, const char *vfs, struct db *like, struct text *why);
/* Its path leads to another file, or to none. */
bool db_moved(const struct db *db);
/* Its -wal was removed, or another one put in its place: what is written to it from now on would
 * not be there after a crash. */
bool db_log_lost(struct db *db);
/* Opens it anew, with all that it knows in the file.  Without success `*db` may be NULL. */
MUST enum status db_make_whole(const char *path, const char *vfs, struct db **db, struct text *why);
/* One transaction around `run`; what it did is undone if it fails. */
typedef enum status db_run_fn(void *ctx, struct db *db, struct text *why);
MUST enum status db_transact(struct db *db, db_run_fn *run, void *ctx, struct text *why);

/* Appends ": " and the last error; what can be done about it. */
enum status db_failed(sqlite3 *sql, struct text *why);

/* ---- schema.c ------------------------------------------------------------------------------ */

extern const int schema_application;

/* ST_INVAL: a foreign database, or of a newer version. */
MUST enum status schema_check(sqlite3 *sql, struct text *why);
/* Makes the tables of an empty database, or those that an older version lacks. */
MUST enum status schema_update(sqlite3 *sql, struct text *why);
/* A write without consequences. */
MUST enum status schema_touch(sqlite3 *sql, struct text *why);
MUST enum status schema_prepare(struct db *db, struct text *why);

MUST enum status schema_apply(struct db *db, const struct store_op *op, struct text *why);
/* ST_INVAL: a record makes no sense. */
typedef enum status schema_lease_fn(void *ctx, const struct store_lease *l);
/* `of`: one network's; NULL for all. */
MUST enum status schema_leases(struct db *db, const char *of, schema_lease_fn *fn, void *ctx,
			       struct text *why);
