/*
 * The store: what it reported as done is there afterwards, whatever happened in between.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "unit/store_world.h"

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

/* ---- asked again ----------------------------------------------------------------------------- */

static enum status read_all(uint64_t id, const char *network)
{
	const struct store_op op = { .kind = STORE_LEASES_READ, .lease = { .network = network } };

	return store_submit(w.store, id, &op);
}

/* What there is by then, of one network, in front of the result. */
static void asked_again(void **state)
{
	struct store_op other = op_of(STORE_LEASE_PUT, "eve", 1);

	(void)state;
	begin();
	other.lease.network = "other";
	assert_int_equal(store_submit(w.store, 1, &other), ST_OK);
	assert_int_equal(put(2, "alice", 1), ST_OK);
	assert_int_equal(put(3, "bob", 2), ST_OK);
	assert_int_equal(read_all(4, "corp"), ST_OK);
	assert_int_equal(put(5, "carol", 3), ST_OK);
	assert_int_equal(read_all(6, "none"), ST_OK);
	wait_results(6);
	assert_int_equal(w.status[4], ST_OK);
	assert_int_equal(w.status[6], ST_OK);
	assert_true(w.in_order);
	assert_int_equal(w.n_leases, 2);
	assert_true(has("alice 10.0.0.1"));
	assert_true(has("bob 10.0.0.2"));
	assert_int_equal(read_all(7, "corp"), ST_OK);
	wait_results(7);
	assert_int_equal(w.n_leases, 2 + 3);
	end();
}

static void asked_while_ill(void **state)
{
	(void)state;
	begin();
	put_ok(1, "alice", 1);
	fail_at(1, false, SQLITE_IOERR);
	assert_int_equal(put(2, "bob", 2), ST_OK);
	assert_int_equal(read_all(3, "corp"), ST_OK);
	wait_results(3);
	assert_int_equal(w.status[3], ST_IO);
	assert_int_equal(w.n_leases, 0);
	fail_at(0, false, 0);
	wait_state(true);
	assert_int_equal(read_all(4, "corp"), ST_OK);
	wait_results(4);
	assert_int_equal(w.status[4], ST_OK);
	assert_true(has("alice 10.0.0.1"));
	end();
}

/* However many there are, the loop turns meanwhile. */
static void told_in_pieces(void **state)
{
	enum { MANY = 4 * STORE_TELL_MAX + 7 };
	size_t turns = 0;
	char name[32];

	(void)state;
	begin();
	for (uint32_t i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "site-%u", i);
		assert_int_equal(put(i, name, i), ST_OK);
	}
	wait_results(MANY);
	assert_int_equal(read_all(MANY + 1, "corp"), ST_OK);
	while (w.n == MANY) {
		size_t before = w.n_leases;

		uv_run(&w.loop, UV_RUN_ONCE);
		assert_in_range(w.n_leases - before, 0, STORE_TELL_MAX);
		turns += w.n_leases != before;
	}
	assert_int_equal(w.n_leases, MANY);
	assert_int_equal(turns, 5);
	end();
}

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
		WITH_DIR(killed),
		WITH_DIR(asked_again),
		WITH_DIR(asked_while_ill),
		WITH_DIR(told_in_pieces),
	};

	faulty_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
