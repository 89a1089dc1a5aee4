/*
 * jobs.h - the engine's slow cryptography: what needs a long-term secret goes to the signer, the
 * rest to libuv's thread pool.
 *
 * A reload brings another store while jobs run, and while handshakes that began before it still ask
 * for what the old one names: that stays until the next reload, or longer, until its last job is
 * done.  References tell which of them is meant.
 *
 * A job started here is owned here until its result is delivered, in the loop's thread.  A
 * cancelled job delivers nothing; if it had begun its result is wiped unseen.
 */
#pragma once

#include <uv.h>

#include "crypto/openssl/crypto_openssl.h"
#include "signer/signer.h"

struct jobs;

/* `r` is wiped after the call. */
typedef void jobs_done_fn(void *ctx, uint64_t id, const struct crypto_result *r);

/* Takes a reference to the store.  `signer` may be NULL: then the store has the secrets itself. */
MUST enum status jobs_new(uv_loop_t *loop, struct crypto_store *store, struct signer *signer,
			  jobs_done_fn *done, void *ctx, struct jobs **ret_jobs);
/* Cancels what is left and frees itself once the pool has let go of the last job. */
void jobs_free(struct jobs *j);

/* Takes the job over in any case; a failure to start it is delivered as its result at once. */
void jobs_start(struct jobs *j, uint64_t id, struct crypto_job *job);
void jobs_cancel(struct jobs *j, uint64_t id);

/* For jobs from now on: a reload.  Takes a reference. */
void jobs_use_store(struct jobs *j, struct crypto_store *store);

/* In the pool. */
size_t jobs_running(const struct jobs *j);
