/*
 * db.c - one open file.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BUSY_MS = 1000, /* for a daemon that was killed a moment ago to be gone */
	PATH_MAX_LEN = 4096,
};

/* ---- errors -------------------------------------------------------------------------------- */

static enum status reaction(int code)
{
	switch (code) {
	case SQLITE_NOMEM: return ST_NOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table that it should have is not there */
	case SQLITE_MISMATCH:
	case SQLITE_SCHEMA: return ST_INVAL;
	}
	return ST_IO;
}

static void add_errno(struct text *why, int err)
{
	char buf[128];

	if (err)
		text_fmt(why, " (%s)", strerror_r(err, buf, sizeof(buf)));
}

enum status db_failed(sqlite3 *sql, struct text *why)
{
	int code = sqlite3_extended_errcode(sql) & 0xff;

	text_fmt(why, ": %s", sqlite3_errmsg(sql));
	if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
		add_errno(why, sqlite3_system_errno(sql));
	return reaction(code);
}

static enum status failed_errno(struct text *why, const char *what)
{
	char buf[128];

	text_fmt(why, ": %s: %s", what, strerror_r(errno, buf, sizeof(buf)));
	return ST_IO;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* What SQLite would take for a new store, or would wait for. */
static enum status check_file(const char *path, struct text *why)
{
	struct stat sb;

	if (lstat(path, &sb) < 0)
		return errno == ENOENT ? ST_AGAIN : failed_errno(why, "cannot be looked at");
	if (!S_ISREG(sb.st_mode)) {
		text_add(why, ": this is no file");
		return ST_INVAL;
	}
	if (sb.st_size == 0) {
		text_add(why, ": it is empty: damaged, or not a store of warrend");
		return ST_INVAL;
	}
	return ST_OK;
}

static enum status open_sql(const char *path, const char *vfs, struct text *why, sqlite3 **ret_sql)
{
	sqlite3 *sql = NULL;
	int err = sqlite3_open_v2(
		path, &sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		vfs);

	if (!sql)
		return ST_NOMEM;
	if (err == SQLITE_OK) {
		(void)sqlite3_busy_timeout(sql, BUSY_MS);
		(void)sqlite3_db_config(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		(void)sqlite3_db_config(sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		*ret_sql = sql;
		return ST_OK;
	}
	(void)db_failed(sql, why);
	(void)sqlite3_close_v2(sql);
	return reaction(err & 0xff);
}

static int keep_text(void *ctx, int n, char **values, char **names)
{
	(void)names;
	if (n == 1 && values[0])
		snprintf(ctx, STORE_WHY_MAX, "%s", values[0]);
	return 0;
}

/* ST_INVAL, with the answer in one line, if it is another one. */
static enum status ask(sqlite3 *sql, const char *question, const char *answer, const char *what,
		       struct text *why)
{
	char got[STORE_WHY_MAX] = "";

	if (sqlite3_exec(sql, question, keep_text, got, NULL) != SQLITE_OK)
		return db_failed(sql, why);
	if (strcmp(got, answer) == 0)
		return ST_OK;
	for (char *p = got; (p = strchr(p, '\n'));)
		*p = ' ';
	text_fmt(why, ": %s: %s", what, got);
	return ST_INVAL;
}

/* SQLite falls back to reading by itself. */
static enum status check_writable(sqlite3 *sql, struct text *why)
{
	if (sqlite3_db_readonly(sql, "main") == 0)
		return ST_OK;
	text_add(why, ": it cannot be written to (permissions, or a read-only file system)");
	return ST_IO;
}

/*
 * FULL: each transaction is on the disk before it counts as done.  Exclusive, asked for before the
 * file is first read, so that WAL needs no shared memory.
 */
static enum status set_up(sqlite3 *sql, struct text *why)
{
	static const char ways[] =
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;"
		"PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -1024; PRAGMA cell_size_check = ON;"
		/* Half a megabyte of log: state directories may be small. */
		"PRAGMA wal_autocheckpoint = 128; PRAGMA journal_size_limit = 1048576";

	return sqlite3_exec(sql, ways, NULL, NULL, NULL) == SQLITE_OK ? ST_OK : db_failed(sql, why);
}

/* A PRAGMA that fails for want of room leaves the mode as it was. */
static enum status use_wal(sqlite3 *sql, struct text *why)
{
	enum status st = ask(sql, "PRAGMA journal_mode = WAL", "wal", "journal mode", why);

	return st == ST_INVAL ? ST_IO : st;
}

static enum status check(struct db *db, struct text *why)
{
	enum status st = check_writable(db->sql, why);

	if (st == ST_OK)
		st = set_up(db->sql, why);
	if (st == ST_OK)
		st = schema_check(db->sql, why);
	if (st == ST_OK)
		st = ask(db->sql, "PRAGMA integrity_check(1)", "ok", "damaged", why);
	if (st == ST_OK)
		st = use_wal(db->sql, why);
	if (st == ST_OK)
		st = schema_update(db->sql, why);
	if (st == ST_OK)
		st = schema_prepare(db, why);
	return st;
}

enum status db_open(const char *path, const char *vfs, struct text *why, struct db **ret_db)
{
	struct db *db;
	enum status st = check_file(path, why);

	if (st != ST_OK)
		return st;
	db = calloc(1, sizeof(*db));
	if (!db)
		return ST_NOMEM;
	st = open_sql(path, vfs, why, &db->sql);
	if (st == ST_OK)
		st = check(db, why);
	if (st == ST_OK) {
		(void)db_log_lost(db); /* which from now on is the one that it has now */
		*ret_db = db;
	} else {
		db_close(db);
	}
	return st;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < DB_STATEMENTS; i++)
		(void)sqlite3_finalize(db->stmt[i]);
	(void)sqlite3_close_v2(db->sql);
	free(db);
}

bool db_moved(const struct db *db)
{
	int moved = 0;

	return sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
	       moved;
}

bool db_log_lost(struct db *db)
{
	const char *name = sqlite3_filename_wal(sqlite3_db_filename(db->sql, "main"));
	struct stat sb;
	bool there = stat(name, &sb) == 0;

	if (!db->log_ino && there) {
		db->log_ino = sb.st_ino;
		db->log_dev = sb.st_dev;
	}
	return db->log_ino && (!there || sb.st_ino != db->log_ino || sb.st_dev != db->log_dev);
}

/* ---- making -------------------------------------------------------------------------------- */

/* The kernel gives it to nobody else; SQLite gives its own files the mode of this one. */
static enum status make_empty(const char *path, struct text *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return failed_errno(why, "cannot be made");
	close(fd);
	return ST_OK;
}

static enum status copy(sqlite3 *to, sqlite3 *from, struct text *why)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");

	if (b) {
		(void)sqlite3_backup_step(b, -1);
		(void)sqlite3_backup_finish(b);
	}
	return sqlite3_errcode(to) == SQLITE_OK ? ST_OK : db_failed(to, why);
}

/* Closed with everything in one file that is on the disk. */
static enum status fill(const char *path, const char *vfs, struct db *like, struct text *why)
{
	sqlite3 *sql = NULL;
	enum status st = open_sql(path, vfs, why, &sql);

	if (st == ST_OK)
		st = set_up(sql, why);
	if (st == ST_OK && like)
		st = copy(sql, like->sql, why);
	if (st == ST_OK)
		st = schema_update(sql, why);
	if (sql && sqlite3_close(sql) != SQLITE_OK && st == ST_OK)
		st = ST_BUG;
	return st;
}

/* A name is on the disk when its directory is. */
static enum status sync_dir_of(const char *path, struct text *why)
{
	char dir[PATH_MAX_LEN];
	int fd, err;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed_errno(why, "its directory");
	err = fsync(fd);
	close(fd);
	return err < 0 ? failed_errno(why, "its directory") : ST_OK;
}

static void remove_half(const char *half)
{
	static const char *const endings[] = { "", "-journal", "-wal" };
	char path[PATH_MAX_LEN + 16];

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		snprintf(path, sizeof(path), "%s%s", half, endings[i]);
		(void)unlink(path);
	}
}

/* What a store that was here left behind would be played into the new one. */
static enum status remove_wal(const char *path, struct text *why)
{
	char wal[PATH_MAX_LEN + 16];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	return unlink(wal) == 0 || errno == ENOENT ? ST_OK : failed_errno(why, "its old -wal");
}

enum status db_make(const char *path, const char *vfs, struct db *like, struct text *why)
{
	char half[PATH_MAX_LEN + 8];
	enum status st;

	snprintf(half, sizeof(half), "%s.tmp", path);
	remove_half(half);
	st = make_empty(half, why);
	if (st == ST_OK)
		st = fill(half, vfs, like, why);
	if (st == ST_OK)
		st = remove_wal(path, why);
	if (st == ST_OK && renameat2(AT_FDCWD, half, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		st = failed_errno(why, "cannot be given its name");
	if (st != ST_OK)
		remove_half(half);
	else if ((st = sync_dir_of(path, why)) != ST_OK)
		(void)unlink(path);
	return st;
}

/* The lost log is still open, and complete. */
enum status db_make_whole(const char *path, const char *vfs, struct db **db, struct text *why)
{
	enum status st;

	if (sqlite3_wal_checkpoint_v2((*db)->sql, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
	    SQLITE_OK)
		return db_failed((*db)->sql, why);
	db_close(*db);
	*db = NULL;
	st = remove_wal(path, why);
	return st == ST_OK ? db_open(path, vfs, why, db) : st;
}

/* ---- transactions -------------------------------------------------------------------------- */

static enum status exec(struct db *db, const char *what, struct text *why)
{
	return sqlite3_exec(db->sql, what, NULL, NULL, NULL) == SQLITE_OK ? ST_OK
									  : db_failed(db->sql, why);
}

enum status db_transact(struct db *db, db_run_fn *run, void *ctx, struct text *why)
{
	enum status st = exec(db, "BEGIN IMMEDIATE", why);

	if (st == ST_OK)
		st = run(ctx, db, why);
	if (st == ST_OK)
		st = exec(db, "COMMIT", why);
	if (!sqlite3_get_autocommit(db->sql))
		(void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
	return st;
}
