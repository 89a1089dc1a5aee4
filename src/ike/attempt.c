#include "ike/internal.h"

static bool job_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct attempt, by_job)->job == *(const uint64_t *)key;
}

static uint64_t job_hash(struct ike *ike, uint64_t job)
{
	return map_hash(&ike->jobs, bytes_of(&job, sizeof(job)));
}

static enum status make(struct ike *ike, struct ike_sa *sa, struct arena *ar, size_t locals,
			struct attempt **slot)
{
	struct attempt *at;

	if (*slot)
		return ST_BUG;
	at = mem_new(ike->mem, sizeof(*at));
	if (!at)
		return ST_NOMEM;
	if (ar) {
		at->mem = *ar;
		arena_init(ar, ike->mem, IKE_MESSAGE_ARENA);
	} else {
		arena_init(&at->mem, ike->mem, IKE_MESSAGE_ARENA);
	}
	at->locals = arena_new(&at->mem, locals);
	if (!at->locals) {
		arena_done(&at->mem);
		mem_free(ike->mem, at);
		return ST_NOMEM;
	}
	list_init(&at->waiting);
	at->sa = sa;
	at->generation = sa->generation;
	*slot = at;
	return ST_OK;
}

enum status attempt_new(struct ike *ike, struct ike_sa *sa, struct arena *ar, size_t locals,
			struct attempt **ret_at)
{
	enum status st = make(ike, sa, ar, locals, &sa->attempt);

	if (!st)
		*ret_at = sa->attempt;
	return st;
}

enum status attempt_for_request(struct ike *ike, struct ike_sa *sa, struct arena *ar, size_t locals,
				struct attempt **ret_at)
{
	enum status st = make(ike, sa, ar, locals, &sa->answering);

	if (st)
		return st;
	sa->answering->for_request = true;
	sa->answering->asked_from = ike->asked_from;
	sa->win.in_progress = true;
	*ret_at = sa->answering;
	return ST_OK;
}

enum status attempt_job(struct ike *ike, struct attempt *at, struct crypto_job *job,
			attempt_step *step)
{
	struct outbox ob;
	struct out_item *it;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_JOB);
	if (!it) {
		crypto_job_free(job);
		return ST_NOMEM;
	}
	at->job = ++ike->last_job;
	at->job_kind = job->kind;
	ike->n_jobs[job->kind]++;
	at->step = step;
	it->out.u.job.id = at->job;
	it->out.u.job.job = job;
	map_insert(&ike->jobs, &at->by_job, job_hash(ike, at->job));
	trace_emit(ike, T_JOB, at->sa->id, at->job, job->kind, 0, 0);
	outbox_commit(ike, &ob);
	return ST_OK;
}

/* A job still in flight is told to the host; its result will find nobody. */
static void cancel(struct ike *ike, struct attempt *at)
{
	struct outbox ob;
	struct out_item *it;

	map_remove(&ike->jobs, &at->by_job);
	ike->n_jobs[at->job_kind]--;
	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_CANCEL);
	if (it)
		it->out.u.cancel = at->job;
	at->job = 0;
	outbox_commit(ike, &ob);
}

void attempt_end(struct ike *ike, struct attempt *at)
{
	if (!at)
		return;
	if (at->job)
		cancel(ike, at);
	list_del(&at->waiting);
	words_unasked(ike, at);
	if (at->for_request) {
		/* Its answer follows, if there is one. */
		ike->asked_from = at->asked_from;
		at->sa->win.in_progress = false;
		at->sa->answering = NULL;
	} else {
		at->sa->attempt = NULL;
	}
	agenda_soon(ike, at->sa);
	arena_done(&at->mem);
	mem_free(ike->mem, at);
}

bool attempt_resume(struct ike *ike, struct attempt *at, bool fits)
{
	if (at->for_request)
		ike->asked_from = at->asked_from;
	if (fits && at->generation == at->sa->generation)
		return true;
	count(ike, C_BUG);
	sa_fail(ike, at->sa, IKE_EV_BUG, IKE_R_INTERNAL,
		"a result does not belong to the SA's state");
	return false;
}

void attempt_result(struct ike *ike, uint64_t job, const struct crypto_result *r)
{
	struct map_node *n = map_find(&ike->jobs, job_hash(ike, job), job_eq, &job);
	struct attempt *at;

	if (!n) {
		count(ike, C_UNKNOWN_JOB);
		return;
	}
	at = CONTAINER_OF(n, struct attempt, by_job);
	map_remove(&ike->jobs, n);
	ike->n_jobs[at->job_kind]--;
	at->job = 0;
	trace_emit(ike, T_JOB_DONE, at->sa->id, job, r->kind, r->status, 0);
	if (attempt_resume(ike, at, r->kind == at->job_kind))
		at->step(ike, at, r);
}
