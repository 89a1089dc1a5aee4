#include "daemon/jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "plat/loop.h"
#include "plat/process.h"

struct jobs {
	uv_loop_t *loop;
	struct crypto_store *store;
	struct crypto_store *before; /* the last reload's; NULL */
	struct signer *signer; /* NULL */
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
	struct crypto_store *store;
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

static void signer_done(void *ctx, uint64_t id, const struct crypto_result *r)
{
	struct jobs *j = ctx;

	j->done(j->ctx, id, r);
}

enum status jobs_new(uv_loop_t *loop, struct crypto_store *store, struct signer *signer,
		     jobs_done_fn *done, void *ctx, struct jobs **ret_jobs)
{
	struct jobs *j = calloc(1, sizeof(*j));
	uint64_t key[2];

	if (!j)
		return ST_NOMEM;
	plat_random(key, sizeof(key));
	*j = (struct jobs){ .loop = loop, .signer = signer, .done = done, .ctx = ctx };
	j->store = crypto_store_ref(store);
	map_init(&j->by_id, &mem_libc, key);
	if (signer)
		signer_on_done(signer, signer_done, j);
	*ret_jobs = j;
	return ST_OK;
}

static void release(struct jobs *j)
{
	if (!j->freed || j->running)
		return;
	map_done(&j->by_id);
	crypto_store_free(j->store);
	crypto_store_free(j->before);
	free(j);
}

void jobs_use_store(struct jobs *j, struct crypto_store *store)
{
	crypto_store_free(j->before);
	j->before = j->store;
	j->store = crypto_store_ref(store);
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
	if (j->signer)
		signer_on_done(j->signer, NULL, NULL);
	j->freed = true;
	release(j);
}

static void run(void *ctx)
{
	struct job *job = ctx;

	crypto_openssl_run(job->store, job->job, &job->result);
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
	crypto_store_free(job->store);
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

/* 0: it names nothing in a store. */
static crypto_ref ref_of(const struct crypto_job *cj)
{
	switch (cj->kind) {
	case CRYPTO_JOB_SIGN: return cj->in.sign.key;
	case CRYPTO_JOB_PSK_AUTH: return cj->in.psk.psk;
	case CRYPTO_JOB_PPK: return cj->in.ppk.ppk;
	case CRYPTO_JOB_VERIFY: return cj->in.verify.trust;
	case CRYPTO_JOB_KE_GENERATE:
	case CRYPTO_JOB_KE_DERIVE:
	case CRYPTO_JOB_KE_RESPOND:
	case CRYPTO_JOB_PUZZLE:
	case CRYPTO_JOB_QCD: break;
	}
	return 0;
}

static struct crypto_store *store_of(const struct jobs *j, const struct crypto_job *cj)
{
	crypto_ref ref = ref_of(cj);

	return ref && j->before && crypto_store_has(j->before, ref) ? j->before : j->store;
}

static bool needs_secret(const struct crypto_job *cj)
{
	return cj->kind == CRYPTO_JOB_SIGN || cj->kind == CRYPTO_JOB_PSK_AUTH ||
	       cj->kind == CRYPTO_JOB_PPK || cj->kind == CRYPTO_JOB_QCD;
}

static void start_in_pool(struct jobs *j, uint64_t id, struct crypto_job *cj)
{
	static const struct plat_work_fns fns = { run, done };
	struct job *job = calloc(1, sizeof(*job));

	if (!job) {
		refuse(j, id, cj);
		return;
	}
	/* Complete before a thread may see it. */
	*job = (struct job){ .owner = j, .id = id, .job = cj, .result.kind = cj->kind };
	job->store = crypto_store_ref(store_of(j, cj));
	if (plat_work_start(j->loop, &fns, job, &job->work) != ST_OK) {
		crypto_store_free(job->store);
		free(job);
		refuse(j, id, cj);
		return;
	}
	j->running++;
	map_insert(&j->by_id, &job->node, hash_id(j, id));
}

void jobs_start(struct jobs *j, uint64_t id, struct crypto_job *cj)
{
	if (j->signer && needs_secret(cj))
		signer_job(j->signer, id, store_of(j, cj), cj);
	else
		start_in_pool(j, id, cj);
}

void jobs_cancel(struct jobs *j, uint64_t id)
{
	struct map_node *n = map_find(&j->by_id, hash_id(j, id), has_id, &id);

	if (n)
		forget(CONTAINER_OF(n, struct job, node));
	else if (j->signer)
		signer_cancel(j->signer, id);
}

size_t jobs_running(const struct jobs *j)
{
	return j->running;
}
