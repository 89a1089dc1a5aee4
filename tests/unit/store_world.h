/*
 * store_world.h - what the tests of the store share: one of them, and what it told.
 */
#pragma once

#include "unit/test_util.h"

#include <sys/stat.h>

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

static inline void on_done(void *ctx, uint64_t id, enum status st)
{
	(void)ctx;
	w.in_order &= id > w.last;
	w.last = id;
	w.status[id % IDS] = st;
	w.n++;
}

static inline void on_state(void *ctx, const struct store_state *state)
{
	(void)ctx;
	w.state = *state;
	w.states++;
}

static inline void on_lease(void *ctx, const struct store_lease *l)
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

static inline const char *in_dir(const char *name)
{
	static char path[2][128];
	static unsigned n;
	char *p = path[n++ % 2];

	snprintf(p, sizeof(path[0]), "%s/%s", w.dir, name);
	return p;
}

static inline void remove_files(void)
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

static inline void begin(void)
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

static inline void end(void)
{
	store_free(w.store);
	w.store = NULL;
	assert_int_equal(plat_loop_close(&w.loop), ST_OK);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	/* Thousands of fsync(), none of which has to outlive this machine. */
	snprintf(w.dir, sizeof(w.dir), "%s/test_store.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(w.dir) ? 0 : -1;
}

static inline int teardown(void **state)
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

static inline struct ip v4(uint32_t n)
{
	struct ip ip = { .family = 4 };

	store_be32(ip.b, 0x0a000000 + n);
	return ip;
}

static inline struct store_op op_of(enum store_op_kind kind, const char *id, uint32_t addr)
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

static inline enum status put(uint64_t id, const char *who, uint32_t addr)
{
	const struct store_op op = op_of(STORE_LEASE_PUT, who, addr);

	return store_submit(w.store, id, &op);
}

static inline enum status drop(uint64_t id, const char *who)
{
	const struct store_op op = op_of(STORE_LEASE_DROP, who, 0);

	return store_submit(w.store, id, &op);
}

static inline void wait_results(size_t n)
{
	while (w.n < n)
		uv_run(&w.loop, UV_RUN_ONCE);
}

static inline void wait_state(bool well)
{
	while (w.state.well != well)
		uv_run(&w.loop, UV_RUN_ONCE);
}

static inline void put_ok(uint64_t id, const char *who, uint32_t addr)
{
	size_t n = w.n;

	assert_int_equal(put(id, who, addr), ST_OK);
	wait_results(n + 1);
	assert_int_equal(w.status[id % IDS], ST_OK);
}

static inline bool has(const char *lease)
{
	for (size_t i = 0; i < w.n_leases; i++)
		if (strcmp(w.leases[i], lease) == 0)
			return true;
	return false;
}

/* What is on the disk: the same as a daemon would find. */
static inline void reopen(void)
{
	fail_at(0, false, 0);
	if (w.store)
		end();
	begin();
	if (!w.state.well)
		fail_msg("%s", w.state.why);
}

/* What the store says is wrong: with the file's name, in one line. */
static inline void says(const char *what)
{
	if (!strstr(w.state.why, in_dir(STORE_FILE)) || !strstr(w.state.why, what) ||
	    strchr(w.state.why, '\n'))
		fail_msg("wanted \"%s\", got \"%s\"", what, w.state.why);
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
