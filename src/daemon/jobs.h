/*
 * jobs.h - the engine's slow cryptography on libuv's thread pool.
 *
 * A job started here is owned here until its result is delivered, in the loop's thread.  A
 * cancelled job delivers nothing; if it had begun its result is wiped unseen.
 */
#pragma once

#include <uv.h>

#include "crypto/openssl/crypto_openssl.h"

struct jobs;

/* `r` is wiped after the call. */
typedef void jobs_done_fn(void *ctx, uint64_t id, const struct crypto_result *r);

MUST enum status jobs_new(uv_loop_t *loop, struct crypto_store *store, jobs_done_fn *done,
			  void *ctx, struct jobs **ret_jobs);
/* Cancels what is left and frees itself once the pool has let go of the last job. */
void jobs_free(struct jobs *j);

/* Takes the job over in any case; a failure to start it is delivered as its result at once. */
void jobs_start(struct jobs *j, uint64_t id, struct crypto_job *job);
void jobs_cancel(struct jobs *j, uint64_t id);

size_t jobs_running(const struct jobs *j);
