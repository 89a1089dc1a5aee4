/*
 * The store: what it reported as done is there afterwards, whatever happened in between; whatever
 * is wrong with its file is said, refused, and got over.
 */
#include "unit/test_util.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "plat/loop.h"
#include "store/store.h"
#include "unit/store_vfs.h"

enum { IDS = 32768, RETRY_MS = 1 };

/* ---- a daemon's worth ---------------------------------------------------------------------- */

static struct {
	char dir[64];
	uv_loop_t loop;
	struct store *store;
	size_t n; /* results */
	uint64_t last; /* id of the last */
	bool in_order;
	enum status status[IDS];
	size_t states; /* told */
	struct store_state state;
	size_t n_leases; /* that were in it */
	char leases[256][32]; /* as "alice 10.0.0.1" */
	bool result_before_lease;
	struct store_lease seen; /* the last of them, without its texts */
} w;

static void on_done(void *ctx, uint64_t id, enum status st)
{
	(void)ctx;
	w.in_order &= id > w.last;
	w.last = id;
	w.status[id % IDS] = st;
	w.n++;
}

static void on_state(void *ctx, const struct store_state *state)
{
	(void)ctx;
	w.state = *state;
	w.states++;
}

static void on_lease(void *ctx, const struct store_lease *l)
{
	char ip[IP_TEXT_MAX];

	(void)ctx;
	assert_string_equal(l->network, "corp");
	if (w.n_leases < ARRAY_LEN(w.leases))
		snprintf(w.leases[w.n_leases], sizeof(w.leases[0]), "%.*s %s", (int)l->id_data.n,
			 (const char *)l->id_data.p, ip_text(&l->v4, ip));
	w.n_leases++;
	w.seen = *l;
	w.result_before_lease |= w.n > 0;
}

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static unsigned n;
	char *p = path[n++ % 2];

	snprintf(p, sizeof(path[0]), "%s/%s", w.dir, name);
	return p;
}

static void remove_files(void)
{
	static const char *const names[] = { STORE_FILE,
					     STORE_FILE "-wal",
					     STORE_FILE "-journal",
					     STORE_FILE ".tmp",
					     STORE_FILE ".tmp-journal",
					     STORE_FILE ".tmp-wal",
					     "other" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(in_dir(names[i]));
}

static void begin(void)
{
	const struct store_conf conf = { w.dir, FAULTY, dur_ms(RETRY_MS) };
	const struct store_fns fns = { on_done, on_state, on_lease, NULL };

	w.n = w.n_leases = w.states = 0;
	w.last = 0;
	w.in_order = true;
	w.result_before_lease = false;
	assert_int_equal(uv_loop_init(&w.loop), 0);
	assert_int_equal(store_new(&w.loop, &conf, &fns, &w.store), ST_OK);
	store_await(w.store);
	assert_int_equal(w.states, 1);
}

static void end(void)
{
	store_free(w.store);
	w.store = NULL;
	assert_int_equal(plat_loop_close(&w.loop), ST_OK);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	/* Thousands of fsync(), none of which has to outlive this machine. */
	snprintf(w.dir, sizeof(w.dir), "%s/test_store.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(w.dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fail_at(0, false, 0);
	faulty.read_only = false;
	faulty.gate = NULL;
	faulty.remember = false;
	forget(NULL);
	remove_files();
	return rmdir(w.dir);
}

static struct ip v4(uint32_t n)
{
	struct ip ip = { .family = 4 };

	store_be32(ip.b, 0x0a000000 + n);
	return ip;
}

static struct store_op op_of(enum store_op_kind kind, const char *id, uint32_t addr)
{
	struct store_op op = { .kind = kind };

	op.lease = (struct store_lease){ .network = "corp",
					 .id_type = 2,
					 .id_data = bytes_str(id),
					 .v4 = v4(addr),
					 .since = { 1000 },
					 .ended = { 0 } };
	op.lease.v6 =
		(struct ip){ .family = 6,
			     .b = { 0xfd, [15] = (uint8_t)addr, [14] = (uint8_t)(addr >> 8) } };
	return op;
}

static enum status put(uint64_t id, const char *who, uint32_t addr)
{
	const struct store_op op = op_of(STORE_LEASE_PUT, who, addr);

	return store_submit(w.store, id, &op);
}

static enum status drop(uint64_t id, const char *who)
{
	const struct store_op op = op_of(STORE_LEASE_DROP, who, 0);

	return store_submit(w.store, id, &op);
}

static void wait_results(size_t n)
{
	while (w.n < n)
		uv_run(&w.loop, UV_RUN_ONCE);
}

static void wait_state(bool well)
{
	while (w.state.well != well)
		uv_run(&w.loop, UV_RUN_ONCE);
}

static void put_ok(uint64_t id, const char *who, uint32_t addr)
{
	size_t n = w.n;

	assert_int_equal(put(id, who, addr), ST_OK);
	wait_results(n + 1);
	assert_int_equal(w.status[id % IDS], ST_OK);
}

static bool has(const char *lease)
{
	for (size_t i = 0; i < w.n_leases; i++)
		if (strcmp(w.leases[i], lease) == 0)
			return true;
	return false;
}

/* What is on the disk: the same as a daemon would find. */
static void reopen(void)
{
	fail_at(0, false, 0);
	if (w.store)
		end();
	begin();
	if (!w.state.well)
		fail_msg("%s", w.state.why);
}

/* What the store says is wrong: with the file's name, in one line. */
static void says(const char *what)
{
	if (!strstr(w.state.why, in_dir(STORE_FILE)) || !strstr(w.state.why, what) ||
	    strchr(w.state.why, '\n'))
		fail_msg("wanted \"%s\", got \"%s\"", what, w.state.why);
}

/* ---- in good times ------------------------------------------------------------------------- */

static void survives(void **state)
{
	struct stat sb;

	(void)state;
	begin();
	assert_true(w.state.well);
	put_ok(1, "alice", 1);
	put_ok(2, "bob", 2);
	put_ok(3, "carol", 3);
	put_ok(4, "alice", 4);
	assert_int_equal(drop(5, "bob"), ST_OK);
	assert_int_equal(drop(6, "nobody"), ST_OK);
	wait_results(6);
	assert_int_equal(w.status[5], ST_OK);
	assert_int_equal(w.status[6], ST_OK);
	assert_int_equal(stat(in_dir(STORE_FILE), &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	assert_int_equal(stat(in_dir(STORE_FILE "-wal"), &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	reopen();
	assert_int_equal(w.n_leases, 2);
	assert_true(has("alice 10.0.0.4"));
	assert_true(has("carol 10.0.0.3"));
	end();
}

/* Also when only one family is the same. */
static void address_has_one_owner(void **state)
{
	struct store_op op = op_of(STORE_LEASE_PUT, "dave", 9);

	(void)state;
	begin();
	put_ok(1, "alice", 1);
	put_ok(2, "bob", 1);
	op.lease.v6 = op_of(STORE_LEASE_PUT, "", 1).lease.v6;
	assert_int_equal(store_submit(w.store, 3, &op), ST_OK);
	wait_results(3);
	assert_int_equal(w.status[3], ST_OK);
	reopen();
	assert_int_equal(w.n_leases, 1);
	assert_true(has("dave 10.0.0.9"));
	end();
}

static void all_of_a_record(void **state)
{
	struct store_op op = op_of(STORE_LEASE_PUT, "alice", 77);

	(void)state;
	op.lease.id_type = 11;
	op.lease.since = (wall_t){ 123456789012 };
	op.lease.ended = (wall_t){ -5 };
	begin();
	assert_int_equal(store_submit(w.store, 1, &op), ST_OK);
	reopen();
	assert_int_equal(w.n_leases, 1);
	assert_true(has("alice 10.0.0.77"));
	assert_int_equal(w.seen.id_type, 11);
	assert_true(ip_eq(&w.seen.v4, &op.lease.v4));
	assert_true(ip_eq(&w.seen.v6, &op.lease.v6));
	assert_int_equal(w.seen.since.s, op.lease.since.s);
	assert_int_equal(w.seen.ended.s, op.lease.ended.s);
	op.lease.v4.family = 0;
	assert_int_equal(store_submit(w.store, 1, &op), ST_OK);
	reopen();
	assert_int_equal(w.seen.v4.family, 0);
	assert_true(ip_eq(&w.seen.v6, &op.lease.v6));
	end();
}

/* The engine puts each behind the one before: ten thousand of them in another order would hold the
 * daemon up at its start. */
static void oldest_first(void **state)
{
	static const struct {
		const char *who;
		int64_t since, ended;
	} rows[] = { { "up", 1, 0 },
		     { "third", 2, 300 },
		     { "first", 5, 100 },
		     { "up too", 6, 0 },
		     { "second", 9, 200 } };
	static const char *const order[] = { "first", "second", "third", "up", "up too" };

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_op op = op_of(STORE_LEASE_PUT, rows[i].who, (uint32_t)i + 1);

		op.lease.since.s = rows[i].since;
		op.lease.ended.s = rows[i].ended;
		assert_int_equal(store_submit(w.store, i + 1, &op), ST_OK);
	}
	wait_results(ARRAY_LEN(rows));
	reopen();
	assert_int_equal(w.n_leases, ARRAY_LEN(order));
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const char *address = strrchr(w.leases[i], ' ');

		assert_non_null(address);
		assert_int_equal(address - w.leases[i], strlen(order[i]));
		assert_memory_equal(w.leases[i], order[i], strlen(order[i]));
	}
	end();
}

static void bounds(void **state)
{
	static char name[STORE_NAME_MAX + 2], data[STORE_IDENT_MAX + 1];
	struct store_op op;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	begin();
	op = op_of(STORE_LEASE_PUT, "alice", 1);
	op.lease.network = name;
	assert_int_equal(store_submit(w.store, 1, &op), ST_INVAL);
	op = op_of(STORE_LEASE_PUT, "alice", 1);
	op.lease.id_data = bytes_of(data, sizeof(data));
	assert_int_equal(store_submit(w.store, 1, &op), ST_INVAL);
	op = op_of(STORE_LEASE_PUT, "alice", 1);
	op.lease.id_type = 0;
	assert_int_equal(store_submit(w.store, 1, &op), ST_INVAL);
	op = op_of(STORE_LEASE_PUT, "alice", 1);
	op.lease.v4.family = op.lease.v6.family = 0;
	assert_int_equal(store_submit(w.store, 1, &op), ST_INVAL);
	op = op_of(STORE_LEASE_PUT, "alice", 1);
	op.lease.v4.family = 6;
	assert_int_equal(store_submit(w.store, 1, &op), ST_INVAL);
	put_ok(1, "", 1);
	assert_int_equal(store_counts(w.store).done, 1);
	end();
}

/* A thousand that wait cost one transaction; what is too much is refused at once. */
static void batches(void **state)
{
	struct store_counts c;
	uv_sem_t gate;
	char who[16];
	uint64_t id = 1;

	(void)state;
	begin();
	assert_int_equal(uv_sem_init(&gate, 0), 0);
	faulty.gate = &gate;
	for (; id <= 1 + STORE_BATCH_MAX + 10; id++) {
		snprintf(who, sizeof(who), "%u", (unsigned)id);
		assert_int_equal(put(id, who, (uint32_t)id), ST_OK);
	}
	while ((c = store_counts(w.store)).waiting < STORE_QUEUE_MAX)
		assert_int_equal(drop(id++, "nobody"), ST_OK);
	assert_int_equal(drop(id, "nobody"), ST_NOMEM);
	assert_int_equal(store_counts(w.store).refused, 1);
	faulty.gate = NULL;
	for (unsigned i = 0; i < 64; i++)
		uv_sem_post(&gate);
	wait_results(id - 1);
	assert_true(w.in_order);
	c = store_counts(w.store);
	assert_int_equal(c.done, id - 1);
	assert_int_equal(c.largest, STORE_BATCH_MAX);
	assert_in_range(c.transactions, STORE_QUEUE_MAX / STORE_BATCH_MAX,
			STORE_QUEUE_MAX / STORE_BATCH_MAX + 2);
	reopen();
	assert_int_equal(w.n_leases, 1 + STORE_BATCH_MAX + 10);
	end();
	uv_sem_destroy(&gate);
}

/* What was asked for before the end is carried out, though nobody is told. */
static void freed_at_work(void **state)
{
	char who[16];

	(void)state;
	begin();
	for (unsigned i = 1; i <= 200; i++) {
		snprintf(who, sizeof(who), "%u", i);
		assert_int_equal(put(i, who, i), ST_OK);
	}
	end();
	assert_int_equal(w.n, 0);
	begin();
	assert_int_equal(w.n_leases, 200);
	end();
}

/* ---- faults -------------------------------------------------------------------------------- */

enum { OPS = 12, CLIENTS = 4, POOL = 3 };

/* Clients that take turns at too few addresses.  What the results say must be on the disk: of each
 * client either what was done last, or one of what failed afterwards. */
struct model {
	uint32_t addr[CLIENTS]; /* 0: none */
	bool unsure[CLIENTS];
};

static void play(struct model *m)
{
	static const char *const names[CLIENTS] = { "alice", "bob", "carol", "dave" };

	for (uint64_t id = 1; id <= OPS; id++) {
		unsigned who = (unsigned)rnd(CLIENTS);
		uint32_t addr = 1 + (uint32_t)rnd(POOL);
		bool take = rnd(4) != 0;

		/* As the engine does: first free, then give. */
		for (unsigned i = 0; take && i < CLIENTS; i++)
			if (i != who && m->addr[i] == addr)
				take = false;
		assert_int_equal(take ? put(id, names[who], addr) : drop(id, names[who]), ST_OK);
		wait_results(id);
		if (w.status[id] == ST_OK) {
			m->addr[who] = take ? addr : 0;
			m->unsure[who] = false;
			/* Whoever else had it for all we know has it no more. */
			for (unsigned i = 0; take && i < CLIENTS; i++)
				if (i != who && m->unsure[i] && m->addr[i] == addr)
					m->addr[i] = 0;
		} else {
			assert_int_equal(w.status[id], ST_IO);
			m->unsure[who] = true;
		}
	}
}

static void compare(const struct model *m)
{
	static const char *const names[CLIENTS] = { "alice", "bob", "carol", "dave" };
	char want[32], ip[IP_TEXT_MAX];
	size_t sure = 0;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct ip a = v4(m->addr[i]);

		if (m->unsure[i])
			continue;
		sure += m->addr[i] != 0;
		snprintf(want, sizeof(want), "%s %s", names[i], ip_text(&a, ip));
		if (m->addr[i] && !has(want))
			fail_msg("%s was done, and is not there", want);
	}
	for (size_t i = 0; i < w.n_leases; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(strchr(w.leases[i], ' '), strchr(w.leases[k], ' '));
	assert_true(w.n_leases >= sure);
}

/* False: the n-th operation was not reached, so that is all of them. */
static bool one_fault(long n, bool once, int with)
{
	struct model m = { 0 };
	long reached;

	rnd_state = 7;
	remove_files();
	fail_at(n, once, with);
	begin();
	play(&m);
	reached = faulty.calls;
	fail_at(0, false, 0);
	wait_state(true);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (m.unsure[i])
			m.addr[i] = 0;
	put_ok(OPS + 1, "erin", POOL + 1);
	reopen();
	compare(&m);
	assert_true(has("erin 10.0.0.4"));
	end();
	return reached >= n;
}

static void each_operation(bool once, int with)
{
	long n = 1;

	while (one_fault(n, once, with))
		n++;
	assert_true(n > 30);
}

static void nth_operation_fails(void **state)
{
	(void)state;
	each_operation(true, SQLITE_IOERR_WRITE);
}

static void disk_full_from_nth(void **state)
{
	(void)state;
	each_operation(false, SQLITE_FULL);
}

static void disk_fails_from_nth(void **state)
{
	(void)state;
	each_operation(false, SQLITE_IOERR_WRITE);
}

/* The n-th operation is the last that there is, and nothing that was not synchronised remains. */
static bool one_loss(long n)
{
	struct model m = { 0 };
	long reached;

	rnd_state = 11;
	remove_files();
	faulty.remember = true;
	fail_at(n, false, SQLITE_IOERR_WRITE);
	begin();
	play(&m);
	reached = faulty.calls;
	end();
	lose_power();
	faulty.remember = false;
	fail_at(0, false, 0);
	begin();
	if (!w.state.well)
		fail_msg("after %ld operations: %s", n, w.state.why);
	compare(&m);
	end();
	return reached >= n;
}

static void power_lost_at_nth(void **state)
{
	long n = 1;

	(void)state;
	while (one_loss(n))
		n++;
	assert_true(n > 30);
}

static void read_only(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	end();
	faulty.read_only = true;
	begin();
	assert_false(w.state.well);
	says("cannot be written to");
	assert_int_equal(put(1, "bob", 2), ST_OK);
	wait_results(1);
	assert_int_equal(w.status[1], ST_IO);
	assert_int_equal(w.n_leases, 0);
	faulty.read_only = false;
	wait_state(true);
	put_ok(2, "bob", 2);
	assert_int_equal(w.n_leases, 1);
	end();
}

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

/* ---- kill -9 ------------------------------------------------------------------------------- */

static int report_to;

static void report_done(void *ctx, uint64_t id, enum status st)
{
	const uint32_t n = (uint32_t)id;

	on_done(ctx, id, st);
	if (st != ST_OK || write(report_to, &n, sizeof(n)) != sizeof(n))
		_exit(1);
}

/* One identity after the other, each with an address of its own. */
static void join_without_end(uint32_t first)
{
	const struct store_conf conf = { w.dir, FAULTY, dur_ms(RETRY_MS) };
	const struct store_fns fns = { report_done, on_state, on_lease, NULL };
	char who[16];

	if (uv_loop_init(&w.loop) || store_new(&w.loop, &conf, &fns, &w.store) != ST_OK)
		_exit(1);
	for (uint32_t n = first;; n++) {
		snprintf(who, sizeof(who), "%u", n);
		if (put(n, who, n) != ST_OK)
			_exit(1);
		if (n % 16 == 0)
			uv_run(&w.loop, UV_RUN_ONCE);
	}
}

/* The last that was reported as done; killed after `n` of them. */
static uint32_t kill_after(unsigned n, uint32_t first)
{
	uint32_t last = first - 1, id;
	int pair[2], status;
	pid_t pid;

	/* It writes no faster than we read, so it is killed in the middle. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		report_to = pair[1];
		join_without_end(first);
	}
	close(pair[1]);
	while (n && read(pair[0], &id, sizeof(id)) == sizeof(id)) {
		assert_int_equal(id, last + 1);
		last = id;
		n--;
	}
	kill(pid, SIGKILL);
	while (read(pair[0], &id, sizeof(id)) == sizeof(id))
		last = id;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	close(pair[0]);
	return last;
}

static void killed(void **state)
{
	uint32_t next = 1;

	(void)state;
	rnd_state = 3;
	for (unsigned i = 0; i < 20; i++) {
		next = kill_after(1 + (unsigned)rnd(100), next) + 1;
		begin();
		wait_state(true);
		assert_true(w.n_leases >= next - 1);
		end();
	}
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(survives),
		WITH_DIR(address_has_one_owner),
		WITH_DIR(all_of_a_record),
		WITH_DIR(oldest_first),
		WITH_DIR(bounds),
		WITH_DIR(batches),
		WITH_DIR(freed_at_work),
		WITH_DIR(nth_operation_fails),
		WITH_DIR(disk_full_from_nth),
		WITH_DIR(disk_fails_from_nth),
		WITH_DIR(power_lost_at_nth),
		WITH_DIR(read_only),
		WITH_DIR(wrong_files),
		WITH_DIR(put_right),
		WITH_DIR(in_use),
		WITH_DIR(removed_in_use),
		WITH_DIR(log_left_behind),
		WITH_DIR(replaced_in_use),
		WITH_DIR(directory_gone),
		WITH_DIR(copy_fails),
		WITH_DIR(killed),
	};

	faulty_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
