/*
 * schema.c - what is in the file: tables by version, and the statements.
 *
 * `application_id` says that it is ours, `user_version` how many of `steps` it has been through.
 */
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

const int schema_application = 0x7761726e; /* "warn" */

/* One a version; what was released never changes. */
static const char *const steps[] = {
	"CREATE TABLE lease ("
	" network TEXT NOT NULL,"
	" id_type INTEGER NOT NULL CHECK (id_type BETWEEN 1 AND 255),"
	" id_data BLOB NOT NULL,"
	" v4 BLOB CHECK (length(v4) = 4),"
	" v6 BLOB CHECK (length(v6) = 16),"
	" since INTEGER NOT NULL,"
	" ended INTEGER NOT NULL,"
	" CHECK (v4 IS NOT NULL OR v6 IS NOT NULL),"
	" PRIMARY KEY (network, id_type, id_data)) STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX lease_v4 ON lease (network, v4) WHERE v4 IS NOT NULL;"
	"CREATE UNIQUE INDEX lease_v6 ON lease (network, v6) WHERE v6 IS NOT NULL;",
};

static const char *const statements[DB_STATEMENTS] = {
	/* Takes what is in the way of a unique index along: another one's lease of an address. */
	[DB_LEASE_PUT] = "INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[DB_LEASE_DROP] = "DELETE FROM lease WHERE network = ?1 AND id_type = ?2 AND id_data = ?3",
	/* As the engine lines them up: who has an SA, and so ends last, comes behind the others. */
	[DB_LEASE_ALL] = "SELECT * FROM lease ORDER BY network, ended = 0, ended, id_type, id_data",
	[DB_LEASE_OF] = "SELECT * FROM lease WHERE network = ?1 ORDER BY ended = 0, ended, id_type",
};

/* ---- versions ------------------------------------------------------------------------------ */

static int keep_int(void *ctx, int n, char **values, char **names)
{
	(void)names;
	if (n == 1 && values[0])
		*(int *)ctx = atoi(values[0]);
	return 0;
}

static enum status pragma(sqlite3 *sql, const char *question, struct text *why, int *ret)
{
	*ret = 0;
	return sqlite3_exec(sql, question, keep_int, ret, NULL) == SQLITE_OK ? ST_OK
									     : db_failed(sql, why);
}

enum status schema_check(sqlite3 *sql, struct text *why)
{
	int application, version;
	enum status st = pragma(sql, "PRAGMA application_id", why, &application);

	if (st == ST_OK)
		st = pragma(sql, "PRAGMA user_version", why, &version);
	if (st != ST_OK)
		return st;
	if (application != schema_application) {
		text_add(why, ": this is not a store of warrend");
		return ST_INVAL;
	}
	if (version < 1 || version > (int)ARRAY_LEN(steps)) {
		text_fmt(why, ": its version is %d, and this warrend knows those up to %zu",
			 version, ARRAY_LEN(steps));
		return ST_INVAL;
	}
	return ST_OK;
}

static enum status exec(sqlite3 *sql, const char *what, struct text *why)
{
	return sqlite3_exec(sql, what, NULL, NULL, NULL) == SQLITE_OK ? ST_OK : db_failed(sql, why);
}

static enum status step(sqlite3 *sql, int version, struct text *why)
{
	char name[96];
	struct text t = TEXT_OF(name);
	enum status st;

	text_fmt(&t, "PRAGMA application_id = %d; PRAGMA user_version = %d", schema_application,
		 version + 1);
	st = exec(sql, "BEGIN IMMEDIATE", why);
	if (st == ST_OK)
		st = exec(sql, steps[version], why);
	if (st == ST_OK)
		st = exec(sql, name, why);
	if (st == ST_OK)
		st = exec(sql, "COMMIT", why);
	if (!sqlite3_get_autocommit(sql))
		(void)sqlite3_exec(sql, "ROLLBACK", NULL, NULL, NULL);
	return st;
}

/* Changes nothing, and is written all the same. */
enum status schema_touch(sqlite3 *sql, struct text *why)
{
	char same[48];

	snprintf(same, sizeof(same), "PRAGMA user_version = %zu", ARRAY_LEN(steps));
	return exec(sql, same, why);
}

enum status schema_update(sqlite3 *sql, struct text *why)
{
	int version;
	enum status st = pragma(sql, "PRAGMA user_version", why, &version);

	for (; st == ST_OK && version < (int)ARRAY_LEN(steps); version++)
		st = step(sql, version, why);
	return st;
}

enum status schema_prepare(struct db *db, struct text *why)
{
	for (size_t i = 0; i < DB_STATEMENTS; i++)
		if (sqlite3_prepare_v3(db->sql, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &db->stmt[i], NULL) != SQLITE_OK)
			return db_failed(db->sql, why);
	return ST_OK;
}

/* ---- leases -------------------------------------------------------------------------------- */

static int bind_blob(sqlite3_stmt *s, int i, struct bytes b)
{
	return sqlite3_bind_blob(s, i, b.n ? (const void *)b.p : "", (int)b.n, SQLITE_STATIC);
}

static int bind_ip(sqlite3_stmt *s, int i, const struct ip *ip)
{
	return ip->family ? bind_blob(s, i, ip_raw(ip)) : sqlite3_bind_null(s, i);
}

/* As many as the statement has: the key, the addresses, the times. */
static int bind_lease(sqlite3_stmt *s, const struct store_lease *l)
{
	int n = sqlite3_bind_parameter_count(s);
	int err = sqlite3_bind_text(s, 1, l->network, -1, SQLITE_STATIC);

	if (!err)
		err = sqlite3_bind_int(s, 2, l->id_type);
	if (!err)
		err = bind_blob(s, 3, l->id_data);
	if (!err && n > 3)
		err = bind_ip(s, 4, &l->v4);
	if (!err && n > 4)
		err = bind_ip(s, 5, &l->v6);
	if (!err && n > 5)
		err = sqlite3_bind_int64(s, 6, l->since.s);
	if (!err && n > 6)
		err = sqlite3_bind_int64(s, 7, l->ended.s);
	return err;
}

static enum status run_lease(struct db *db, enum db_statement which, const struct store_lease *l,
			     struct text *why)
{
	sqlite3_stmt *s = db->stmt[which];
	enum status st = ST_OK;

	if (bind_lease(s, l) != SQLITE_OK || sqlite3_step(s) != SQLITE_DONE)
		st = db_failed(db->sql, why);
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
	return st;
}

enum status schema_apply(struct db *db, const struct store_op *op, struct text *why)
{
	switch (op->kind) {
	case STORE_LEASE_PUT: return run_lease(db, DB_LEASE_PUT, &op->lease, why);
	case STORE_LEASE_DROP: return run_lease(db, DB_LEASE_DROP, &op->lease, why);
	case STORE_LEASES_READ: break;
	}
	return ST_BUG;
}

static struct bytes column_blob(sqlite3_stmt *s, int i)
{
	/* In this order: the call for the bytes converts. */
	const void *p = sqlite3_column_blob(s, i);

	return bytes_of(p, (size_t)sqlite3_column_bytes(s, i));
}

static struct store_lease row_lease(sqlite3_stmt *s)
{
	const char *network = (const char *)sqlite3_column_text(s, 0);

	return (struct store_lease){ .network = network ? network : "",
				     .id_type = (uint8_t)sqlite3_column_int(s, 1),
				     .id_data = column_blob(s, 2),
				     .v4 = ip_from_raw(column_blob(s, 3)),
				     .v6 = ip_from_raw(column_blob(s, 4)),
				     .since = { sqlite3_column_int64(s, 5) },
				     .ended = { sqlite3_column_int64(s, 6) } };
}

/* Beyond what this version would write. */
static bool makes_sense(const struct store_lease *l)
{
	return l->id_data.n <= STORE_IDENT_MAX && strlen(l->network) <= STORE_NAME_MAX &&
	       l->v4.family != 6 && l->v6.family != 4 && (l->v4.family || l->v6.family);
}

enum status schema_leases(struct db *db, const char *of, schema_lease_fn *fn, void *ctx,
			  struct text *why)
{
	sqlite3_stmt *s = db->stmt[of ? DB_LEASE_OF : DB_LEASE_ALL];
	enum status st = ST_OK;
	int err;

	if (of && sqlite3_bind_text(s, 1, of, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_failed(db->sql, why);
	while (st == ST_OK && (err = sqlite3_step(s)) != SQLITE_DONE) {
		struct store_lease l;

		if (err != SQLITE_ROW) {
			st = db_failed(db->sql, why);
			break;
		}
		l = row_lease(s);
		st = makes_sense(&l) ? fn(ctx, &l) : ST_INVAL;
		if (st == ST_INVAL)
			text_add(why, ": there is a lease in it that makes no sense");
	}
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
	return st;
}
