/*
 * The store's files: what is wrong with them is said, refused, and got over.
 */
#include "unit/store_world.h"

/* ---- files that are something else --------------------------------------------------------- */

static void write_file(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void sql(const char *what)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(in_dir(STORE_FILE), &db), SQLITE_OK);
	if (sqlite3_exec(db, what, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", what, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void garbage(void)
{
	static const char text[] = "this was a store once, and then somebody wrote a letter";

	write_file(STORE_FILE, text, sizeof(text));
}

static void empty(void)
{
	write_file(STORE_FILE, "", 0);
}

static void foreign(void)
{
	unlink(in_dir(STORE_FILE));
	sql("CREATE TABLE songs (title TEXT)");
}

static void newer(void)
{
	sql("PRAGMA user_version = 99");
}

static void table_gone(void)
{
	sql("DROP TABLE lease");
}

static void nonsense(void)
{
	sql("PRAGMA ignore_check_constraints = 1;"
	    "INSERT INTO lease VALUES ('corp', 2, x'41', x'0102', NULL, 0, 0)");
}

static void cut_short(void)
{
	struct stat sb;

	assert_int_equal(stat(in_dir(STORE_FILE), &sb), 0);
	assert_int_equal(truncate(in_dir(STORE_FILE), sb.st_size / 2), 0);
}

/* Everything behind the first page, which has the header and the names of the tables. */
static void overwritten(void)
{
	static const char junk[16384] = { 'x' };
	int fd = open(in_dir(STORE_FILE), O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096), sizeof(junk));
	close(fd);
}

static void directory(void)
{
	unlink(in_dir(STORE_FILE));
	assert_int_equal(mkdir(in_dir(STORE_FILE), 0700), 0);
}

static void locked_away(void)
{
	static const char what[] = "loop";

	unlink(in_dir(STORE_FILE));
	assert_int_equal(symlink(what, in_dir(STORE_FILE)), 0);
}

static void wrong_file(void (*spoil)(void), const char *what)
{
	begin();
	put_ok(1, "alice", 1);
	end();
	assert_int_equal(link(in_dir(STORE_FILE), in_dir("other")), 0);
	spoil();
	begin();
	assert_false(w.state.well);
	says(what);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(put(id, "bob", 1), ST_OK);
	wait_results(3);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(w.status[id], ST_IO);
	assert_int_equal(w.n_leases, 0);
	assert_int_equal(w.states, 1);
	/* Once it is gone there can be a new one. */
	if (rmdir(in_dir(STORE_FILE)) < 0)
		assert_int_equal(unlink(in_dir(STORE_FILE)), 0);
	unlink(in_dir(STORE_FILE "-wal"));
	wait_state(true);
	w.n = 0;
	put_ok(4, "bob", 1);
	reopen();
	assert_int_equal(w.n_leases, 1);
	assert_true(has("bob 10.0.0.1"));
	end();
	remove_files();
}

static void wrong_files(void **state)
{
	static const struct {
		void (*spoil)(void);
		const char *what;
	} rows[] = {
		{ garbage, "file is not a database" },
		{ empty, "it is empty" },
		{ foreign, "not a store of warrend" },
		{ newer, "its version is 99, and this warrend knows those up to 1" },
		{ table_gone, "no such table: lease" },
		{ nonsense, "CHECK constraint failed" },
		{ cut_short, "database disk image is malformed" },
		{ overwritten, "btreeInitPage() returns error" },
		{ directory, "this is no file" },
		{ locked_away, "this is no file" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		wrong_file(rows[i].spoil, rows[i].what);
}

/* Whoever puts the right one back gets its leases, and results come after them. */
static void put_right(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	end();
	assert_int_equal(rename(in_dir(STORE_FILE), in_dir("other")), 0);
	garbage();
	begin();
	assert_false(w.state.well);
	assert_int_equal(rename(in_dir("other"), in_dir(STORE_FILE)), 0);
	assert_int_equal(w.n_leases, 0);
	wait_state(true);
	put_ok(2, "bob", 2);
	assert_int_equal(w.n_leases, 1);
	assert_true(has("alice 10.0.0.1"));
	assert_false(w.result_before_lease);
	end();
}

static void in_use(void **state)
{
	const struct store_conf conf = { w.dir, FAULTY, dur_ms(RETRY_MS) };
	const struct store_fns fns = { on_done, on_state, on_lease, NULL };
	struct store *first;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(store_new(&loop, &conf, &fns, &first), ST_OK);
	store_await(first);
	assert_true(w.state.well);
	begin();
	assert_false(w.state.well);
	says("locked");
	store_free(first);
	assert_int_equal(plat_loop_close(&loop), ST_OK);
	wait_state(true);
	end();
}

/* ---- files that go away -------------------------------------------------------------------- */

static void removed_in_use(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	assert_int_equal(unlink(in_dir(STORE_FILE)), 0);
	put_ok(2, "bob", 2);
	assert_int_equal(w.states, 1);
	assert_int_equal(access(in_dir(STORE_FILE "-wal"), F_OK), 0);
	assert_int_equal(unlink(in_dir(STORE_FILE)), 0);
	assert_int_equal(unlink(in_dir(STORE_FILE "-wal")), 0);
	put_ok(3, "carol", 3);
	put_ok(4, "dave", 4);
	reopen();
	assert_int_equal(w.n_leases, 4);
	end();
}

/* The log alone, which has what came last: nothing is stored until all of it is in the file. */
static void log_gone_in_use(void **state)
{
	(void)state;
	for (unsigned replaced = 0; replaced < 2; replaced++) {
		remove_files();
		begin();
		put_ok(1, "alice", 1);
		assert_int_equal(unlink(in_dir(STORE_FILE "-wal")), 0);
		if (replaced)
			write_file(STORE_FILE "-wal", "no log", 6);
		assert_int_equal(put(2, "bob", 2), ST_OK);
		wait_results(2);
		assert_int_equal(w.status[2], ST_IO);
		assert_false(w.state.well);
		says("store.db-wal: it was removed or replaced while it was in use");
		wait_state(true);
		put_ok(3, "carol", 3);
		assert_int_equal(access(in_dir(STORE_FILE "-wal"), F_OK), 0);
		/* So it stays. */
		put_ok(4, "dave", 4);
		assert_int_equal(w.states, 3);
		reopen();
		assert_int_equal(w.n_leases, 3);
		assert_true(has("alice 10.0.0.1"));
		assert_false(has("bob 10.0.0.2"));
		end();
	}
}

/* A log without its store, after a crash: it must not be played into a new one. */
static void log_left_behind(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	assert_int_equal(link(in_dir(STORE_FILE "-wal"), in_dir("other")), 0);
	end();
	assert_int_equal(rename(in_dir("other"), in_dir(STORE_FILE "-wal")), 0);
	assert_int_equal(unlink(in_dir(STORE_FILE)), 0);
	begin();
	assert_true(w.state.well);
	assert_int_equal(w.n_leases, 0);
	put_ok(1, "bob", 1);
	reopen();
	assert_int_equal(w.n_leases, 1);
	end();
}

static void replaced_in_use(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	end();
	assert_int_equal(rename(in_dir(STORE_FILE), in_dir("other")), 0);
	begin();
	put_ok(1, "bob", 1);
	assert_int_equal(rename(in_dir("other"), in_dir(STORE_FILE)), 0);
	assert_int_equal(put(2, "carol", 2), ST_OK);
	wait_results(2);
	assert_int_equal(w.status[2], ST_IO);
	assert_false(w.state.well);
	says("it was replaced while it was in use");
	assert_int_equal(unlink(in_dir(STORE_FILE)), 0);
	wait_state(true);
	put_ok(3, "carol", 2);
	reopen();
	assert_int_equal(w.n_leases, 2);
	assert_true(has("bob 10.0.0.1"));
	end();
}

/* The whole directory, and it comes back. */
static void directory_gone(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	remove_files();
	assert_int_equal(rmdir(w.dir), 0);
	assert_int_equal(put(2, "bob", 2), ST_OK);
	wait_results(2);
	assert_int_equal(w.status[2], ST_IO);
	says("No such file or directory");
	assert_int_equal(mkdir(w.dir, 0700), 0);
	wait_state(true);
	put_ok(3, "bob", 2);
	reopen();
	assert_int_equal(w.n_leases, 2);
	end();
}

/* Each copy fails at each point; what is known is not lost over it. */
static void copy_fails(void **state)
{
	long n = 1, reached;

	(void)state;
	do {
		remove_files();
		begin();
		put_ok(1, "alice", 1);
		assert_int_equal(unlink(in_dir(STORE_FILE)), 0);
		fail_at(n, true, SQLITE_FULL);
		assert_int_equal(put(2, "bob", 2), ST_OK);
		wait_results(2);
		reached = faulty.calls;
		fail_at(0, false, 0);
		wait_state(true);
		put_ok(3, "carol", 3);
		reopen();
		assert_true(has("alice 10.0.0.1"));
		assert_true(has("carol 10.0.0.3"));
		end();
	} while (reached >= n++);
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(wrong_files),     WITH_DIR(put_right),       WITH_DIR(in_use),
		WITH_DIR(removed_in_use),  WITH_DIR(log_gone_in_use), WITH_DIR(log_left_behind),
		WITH_DIR(replaced_in_use), WITH_DIR(directory_gone),  WITH_DIR(copy_fails),
	};

	faulty_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
