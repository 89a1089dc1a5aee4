/*
 * store.h - what has to outlive the daemon: one SQLite database in the state directory.
 *
 * Nothing of it happens in the loop.  Operations are queued; one thread of the store takes all that
 * wait (STORE_BATCH_MAX at most), carries them out in one transaction, and has it on the disk
 * before the results go back, through the loop, in the order of the operations: so a thousand
 * leases a second cost a few dozen fsync().  What was reported as done survives kill -9 and, as far
 * as the disk keeps its word, a loss of power; what was reported as failed may have happened or
 * not, and whoever asked must not act as if it had.
 *
 *	store_new()     -> lease(), for each that is in it, before any done()
 *	store_submit()  -> done()
 *	                -> state(): the store is well, has fallen ill, is well again
 *
 * While it is ill (disk full or read-only, file damaged, foreign, of a newer version, locked, gone)
 * every operation fails at once with ST_IO, and the store looks after the disk by itself: it is
 * well again once a transaction has come through.  A file that is wrong by its content is not
 * looked at again before somebody has changed it.  A file that was removed while it was in use is
 * written anew from what the open one still has; one that was put in its place is not taken,
 * because the daemon has gone on with what it knows.  Where its log (-wal) is gone it is ill, until
 * what the open one has is in the file.  If the store was ill from the beginning its records come
 * when it is well, before any result.
 *
 * Records are handed to the loop STORE_TELL_MAX at a time, so that a network with a million leases
 * does not stop it.
 *
 * The process that handles packets opens the file as the user it has become, never as root: it can
 * write to it, so root must not parse it.  WAL with an exclusive lock and without shared memory
 * (a mapped file on a full disk is a SIGBUS): nobody else can read it meanwhile, see warren(1),
 * leases.
 *
 * More kinds of records are a row in `steps` (schema.c), operations in store_op, and a visitor.
 */
#pragma once

#include <uv.h>

#include "base/base.h"

enum {
	/* Operations that wait: what ten thousand members that come back at once need in the time
	 * of a slow fsync(), with room. */
	STORE_QUEUE_MAX = 16384,
	STORE_BATCH_MAX = 1024, /* in one transaction */
	STORE_TELL_MAX = 256, /* results and records in one turn of the loop */
	STORE_NAME_MAX = 1024, /* of a network */
	STORE_IDENT_MAX = 4096, /* of an identity's data */
	STORE_WHY_MAX = 512,
};

/* ---- records ------------------------------------------------------------------------------- */

/* An inner address, or one of each family, of an identity in a network.  Network, type and data of
 * the identity are the key. */
struct store_lease {
	const char *network; /* the section it belongs to */
	uint8_t id_type;
	struct bytes id_data;
	struct ip v4, v6; /* family 0: none; not both */
	wall_t since; /* when it was first given */
	wall_t ended; /* when the last SA of that identity ended; 0: it has one */
};

/* ---- operations ---------------------------------------------------------------------------- */

enum store_op_kind {
	/* Puts it in place of what the identity had.  If another identity has one of the addresses
	 * (what failed may have happened) that one's goes. */
	STORE_LEASE_PUT,
	STORE_LEASE_DROP, /* by its key; none there is fine */
	/* lease() for each of a network, as they are by then, before done(). */
	STORE_LEASES_READ,
};

struct store_op {
	enum store_op_kind kind;
	struct store_lease lease; /* read only while the call runs; READ: its network */
};

struct store_state {
	bool well;
	char why[STORE_WHY_MAX]; /* what and where, "" when well */
};

struct store_counts {
	uint64_t done, failed; /* operations */
	uint64_t refused; /* of the failed, because too many were waiting */
	uint64_t transactions;
	uint64_t largest; /* transaction */
	size_t waiting;
};

/* ---- the store ----------------------------------------------------------------------------- */

struct store;

/* All are called by the loop, or in store_await(). */
struct store_fns {
	void (*done)(void *ctx, uint64_t id, enum status st);
	void (*state)(void *ctx, const struct store_state *state);
	void (*lease)(void *ctx, const struct store_lease *lease);
	void *ctx;
};

struct store_conf {
	const char *dir;
	const char *vfs; /* SQLite's name of another file system; NULL (tests have one) */
	dur_t retry; /* of an ill store, until it is looked at again: first, then longer */
};

#define STORE_FILE "store.db"
#define STORE_RETRY ((dur_t){ 1000000000 })

/* An ill store is no failure.  ST_NOMEM, ST_IO: no thread can be had. */
MUST enum status store_new(uv_loop_t *loop, const struct store_conf *conf,
			   const struct store_fns *fns, struct store **ret_store);
/* Until it was opened, or turned out to be ill: for the start, when the loop does not run yet. */
void store_await(struct store *s);
/* What waits is still carried out, if the store is well; nothing is called any more.  Takes NULL.
 */
void store_free(struct store *s);

/* Copies.  ST_NOMEM: too much waits, and nothing comes of it; ST_INVAL: beyond a bound. */
MUST enum status store_submit(struct store *s, uint64_t id, const struct store_op *op);

/* As last told by state(). */
const struct store_state *store_state(const struct store *s);
struct store_counts store_counts(struct store *s);
