#include <openssl/err.h>

#include "crypto/openssl/internal.h"

static enum status solve(struct kit *k, const struct crypto_puzzle_in *in,
			 struct crypto_puzzle_out *ret)
{
	struct crypto c = crypto_openssl_ops(k->ops);

	return crypto_puzzle_solve(&c, in, ret);
}

static enum status qcd_token(struct crypto_store *s, struct kit *k, const struct crypto_qcd_in *in,
			     struct crypto_result *ret, struct text *why)
{
	struct crypto c = crypto_openssl_ops(k->ops);

	if (s->qcd_secret.n)
		return crypto_qcd_token(&c, secret_bytes(&s->qcd_secret), in, ret->qcd);
	text_add(why, "there is no secret for QCD tokens");
	return ST_IO;
}

static enum status run_kind(struct crypto_store *s, struct kit *k, const struct crypto_job *job,
			    struct crypto_result *ret, struct text *why)
{
	switch (job->kind) {
	case CRYPTO_JOB_KE_GENERATE: return ke_generate(s, k, job->in.ke_generate.group, ret, why);
	case CRYPTO_JOB_KE_DERIVE: return ke_derive(s, k, job, ret, why);
	case CRYPTO_JOB_KE_RESPOND: return ke_respond(s, k, job, ret, why);
	case CRYPTO_JOB_SIGN: return sign_auth(s, k, &job->in.sign, ret, why);
	case CRYPTO_JOB_PSK_AUTH: return psk_auth(s, k, &job->in.psk, ret, why);
	case CRYPTO_JOB_VERIFY: return verify_auth(s, k, &job->in.verify, ret, why);
	case CRYPTO_JOB_PPK: return ppk_mix(s, k, &job->in.ppk, ret, why);
	case CRYPTO_JOB_PUZZLE: return solve(k, &job->in.puzzle, &ret->puzzle);
	case CRYPTO_JOB_QCD: return qcd_token(s, k, &job->in.qcd, ret, why);
	}
	return ST_BUG;
}

/* A failed result carries its reason and nothing else: no half-made key, no facts of a certificate
 * that did not verify. */
static void clear_outputs(struct crypto_result *ret)
{
	wipe(&ret->ke, sizeof(ret->ke));
	wipe(&ret->auth, sizeof(ret->auth));
	wipe(&ret->ppk, sizeof(ret->ppk));
	wipe(&ret->cert, sizeof(ret->cert));
	wipe(&ret->puzzle, sizeof(ret->puzzle));
	wipe(&ret->qcd, sizeof(ret->qcd));
}

/* Takes the queue of this thread.  An allocation that failed anywhere on the way explains all that
 * followed, whatever it looks like by then: a peer must not be refused for it. */
static bool out_of_memory(unsigned long *ret_first)
{
	unsigned long err = ERR_get_error();
	bool found = false;

	for (*ret_first = err; err; err = ERR_get_error())
		found = found || ERR_GET_REASON(err) == ERR_R_MALLOC_FAILURE;
	return found;
}

enum status libcrypto_status(enum status st)
{
	unsigned long first;

	return out_of_memory(&first) ? ST_NOMEM : st;
}

static void explain_failure(struct crypto_result *ret, struct text *why)
{
	unsigned long first;
	char buf[128];

	if (out_of_memory(&first))
		ret->status = ST_NOMEM;
	if (why->n > 0 && ret->status != ST_NOMEM)
		return;
	*why = TEXT_OF(ret->reason);
	text_fmt(why, "%s failed: ", crypto_job_name(ret->kind));
	if (ret->status == ST_NOMEM) {
		text_add(why, "out of memory");
	} else if (first) {
		ERR_error_string_n(first, buf, sizeof(buf));
		text_add(why, buf);
	} else {
		text_add(why, status_name(ret->status));
	}
}

void crypto_openssl_run(struct crypto_store *s, const struct crypto_job *job,
			struct crypto_result *ret)
{
	struct kit *k = NULL;
	struct text why;

	memset(ret, 0, sizeof(*ret));
	ret->kind = job->kind;
	why = TEXT_OF(ret->reason);
	/* The queue belongs to the thread; what others left there is not ours to report. */
	ERR_clear_error();
	ret->status = kit_take(s, &k);
	if (ret->status == ST_OK)
		ret->status = run_kind(s, k, job, ret, &why);
	kit_give(s, k);
	if (ret->status == ST_OK) {
		ret->reason[0] = '\0';
	} else {
		clear_outputs(ret);
		explain_failure(ret, &why);
	}
	if (ret->status != ST_REFUSE)
		ret->fault = CRYPTO_FAULT_NONE;
	ERR_clear_error();
}
