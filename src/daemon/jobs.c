#include "daemon/jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "plat/loop.h"
#include "plat/process.h"

struct jobs {
	uv_loop_t *loop;
	struct crypto_store *store;
	jobs_done_fn *done;
	void *ctx;
	struct map by_id;
	size_t running; /* the pool has them: more than the map after a cancellation */
	bool freed;
};

struct job {
	struct map_node node;
	struct jobs *owner;
	uint64_t id;
	struct crypto_job *job;
	struct plat_work *work;
	bool cancelled;
	struct crypto_result result;
};

static uint64_t hash_id(const struct jobs *j, uint64_t id)
{
	return map_hash(&j->by_id, bytes_of(&id, sizeof(id)));
}

static bool has_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct job, node)->id == *(const uint64_t *)key;
}

enum status jobs_new(uv_loop_t *loop, struct crypto_store *store, jobs_done_fn *done, void *ctx,
		     struct jobs **ret_jobs)
{
	struct jobs *j = calloc(1, sizeof(*j));
	uint64_t key[2];

	if (!j)
		return ST_NOMEM;
	plat_random(key, sizeof(key));
	*j = (struct jobs){ .loop = loop, .store = store, .done = done, .ctx = ctx };
	map_init(&j->by_id, &mem_libc, key);
	*ret_jobs = j;
	return ST_OK;
}

static void release(struct jobs *j)
{
	if (!j->freed || j->running)
		return;
	map_done(&j->by_id);
	free(j);
}

static void forget(struct job *job)
{
	map_remove(&job->owner->by_id, &job->node);
	job->cancelled = true;
	plat_work_cancel(job->work);
}

void jobs_free(struct jobs *j)
{
	struct map_node *n;

	if (!j)
		return;
	while ((n = map_any(&j->by_id)))
		forget(CONTAINER_OF(n, struct job, node));
	j->freed = true;
	release(j);
}

static void run(void *ctx)
{
	struct job *job = ctx;

	crypto_openssl_run(job->owner->store, job->job, &job->result);
}

static void finish(struct job *job)
{
	struct jobs *j = job->owner;

	j->running--;
	if (!job->cancelled) {
		map_remove(&j->by_id, &job->node);
		j->done(j->ctx, job->id, &job->result);
	}
	crypto_result_done(&job->result);
	crypto_job_free(job->job);
	free(job);
	release(j);
}

static void done(void *ctx, bool ran)
{
	(void)ran; /* only a cancelled one did not, and its result interests nobody */
	finish(ctx);
}

/* Nothing to put it into: the engine learns it at once. */
static void refuse(struct jobs *j, uint64_t id, struct crypto_job *job)
{
	struct crypto_result r = { .kind = job->kind, .status = ST_NOMEM };

	snprintf(r.reason, sizeof(r.reason), "out of memory");
	crypto_job_free(job);
	j->done(j->ctx, id, &r);
}

void jobs_start(struct jobs *j, uint64_t id, struct crypto_job *cj)
{
	static const struct plat_work_fns fns = { run, done };
	struct job *job = calloc(1, sizeof(*job));

	if (!job) {
		refuse(j, id, cj);
		return;
	}
	/* Complete before a thread may see it. */
	*job = (struct job){ .owner = j, .id = id, .job = cj, .result.kind = cj->kind };
	if (plat_work_start(j->loop, &fns, job, &job->work) != ST_OK) {
		free(job);
		refuse(j, id, cj);
		return;
	}
	j->running++;
	map_insert(&j->by_id, &job->node, hash_id(j, id));
}

void jobs_cancel(struct jobs *j, uint64_t id)
{
	struct map_node *n = map_find(&j->by_id, hash_id(j, id), has_id, &id);

	if (n)
		forget(CONTAINER_OF(n, struct job, node));
}

size_t jobs_running(const struct jobs *j)
{
	return j->running;
}
