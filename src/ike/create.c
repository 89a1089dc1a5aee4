/*
 * create.c - CREATE_CHILD_SA (RFC 7296 section 1.3): what its kinds and both its sides share.
 *
 *	HDR, SK {SA, Ni, [KEi,] TSi, TSr}  -->			another child (1.3.1)
 *	HDR, SK {SA, Ni, KEi}  -->				rekey the IKE SA (1.3.2)
 *	HDR, SK {N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr}  -->	rekey a child (1.3.3)
 *			<--  HDR, SK {SA, Nr, [KEr,] [TSi, TSr]}
 *
 * create_i.c asks, create_r.c answers about children, rekey.c has what is particular to an IKE SA.
 *
 * Both ends may do the same at the same time.  Each answers as usual, notes it in its own `struct
 * create`, and when its own answer comes the exchange with the lowest of the four nonces is the one
 * whose SA goes, by the hand of who made it (section 2.8.1).
 */
#include "ike/internal.h"

enum status create_job_respond(struct ike *ike, struct attempt *at, uint16_t group,
			       struct bytes peer, attempt_step *step)
{
	struct crypto_job *job;
	enum status st = crypto_job_new(ike->mem, CRYPTO_JOB_KE_RESPOND, &job);

	if (st)
		return st;
	job->in.ke_respond.group = group;
	st = crypto_job_dup(job, peer, &job->in.ke_respond.peer);
	if (st) {
		crypto_job_free(job);
		return st;
	}
	return attempt_job(ike, at, job, step);
}

void create_end(struct ike *ike, struct ike_sa *sa)
{
	struct create *cr = sa->create;

	if (!cr)
		return;
	sa->create = NULL;
	mem_free(ike->mem, (void *)(uintptr_t)cr->pub.p);
	mem_free_secret(ike->mem, cr, sizeof(*cr));
	agenda_soon(ike, sa);
}

void create_yield(struct ike *ike, struct ike_sa *sa)
{
	if (!sa->create || sa->create->sent)
		return;
	attempt_end(ike, sa->attempt);
	create_end(ike, sa);
}

/* ---- collisions --------------------------------------------------------------------------- */

/* Octet by octet; where one ends, that one is the lower (section 2.8.1). */
static struct bytes lower(struct bytes a, struct bytes b)
{
	return bytes_cmp(a, b) <= 0 ? a : b;
}

void create_note_rival(struct create *cr, const struct nonces *nonces, dp_child_id child)
{
	struct bytes low = lower(nonces->i, nonces->r);

	cr->rival.noted = true;
	cr->rival.child = child;
	cr->rival.n_nonce = (uint16_t)low.n;
	memcpy(cr->rival.nonce, low.p, low.n);
}

bool create_loses(const struct create *cr, struct bytes nonce_r)
{
	struct bytes ours = lower(BYTES_OF(cr->nonce), nonce_r);

	return cr->rival.noted && bytes_cmp(ours, bytes_of(cr->rival.nonce, cr->rival.n_nonce)) < 0;
}
