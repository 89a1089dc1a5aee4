/*
 * rekey.c - rekeying an IKE SA (RFC 7296 sections 1.3.2, 2.8, 2.8.2, 2.18, 2.25.2).
 *
 * The new IKE SA has keys, SPIs and message numbers of its own; the initiator of the rekey is its
 * original initiator.  All else it inherits, in one step, when it is clear that it is the one that
 * lives: for who asked, when the answer came; for who answered, at once, unless it asks the same
 * itself.  Then what the peer made is a RIVAL until our own answer decides.
 *
 *	UP ----> DELETING		ours was made: our DELETE is the last request on the old one
 *	 \----> REPLACED -> CLOSED	theirs was made: waits for their DELETE
 *	RIVAL -> UP | REPLACED		theirs, while ours was under way: lives, or they delete it
 */
#include "ike/internal.h"

/* ---- taking over -------------------------------------------------------------------------- */

/* Until the peer deletes it, or should have. */
static void await_delete(struct ike *ike, struct ike_sa *sa)
{
	sa_set_state(ike, sa, SA_REPLACED);
	heap_arm(&ike->timers, &sa->reap, mono_add(ike->now.mono, dur_s(IKE_REPLACED_S)));
}

static void relate(struct ike_sa *old, struct ike_sa *sa)
{
	old->successor = sa;
	sa->predecessor = old;
}

/* A peer that rekeys and rekeys has no more than a few of its old ones here, and `last`, which is
 * still being worked with. */
static void forget_oldest(struct ike *ike, const struct ike_sa *last)
{
	struct ike_sa *oldest = NULL;
	unsigned n_spent = 0;

	list_for_each(n, &last->peer->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa == last || (sa->state != SA_REPLACED && sa->state != SA_CLOSED))
			continue;
		oldest = oldest ? oldest : sa;
		n_spent++;
	}
	if (n_spent >= IKE_MAX_SAS_PER_PEER)
		sa_remove(ike, oldest, "replaced");
}

static bool has_rival(const struct ike_sa *sa)
{
	return sa->successor && sa->successor->state == SA_RIVAL;
}

void rekey_adopt_rival(struct ike *ike, struct ike_sa *sa)
{
	struct ike_sa *rival = sa->successor;

	create_end(ike, sa);
	if (!has_rival(sa))
		return;
	sa_end_attempts(ike, sa);
	sa_inherit(ike, sa, rival);
	await_delete(ike, sa);
	mobike_old_too(ike, rival);
	forget_oldest(ike, sa);
}

bool rekey_unanswered(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state == SA_UP && sa->successor)
		rekey_adopt_rival(ike, sa);
	if (sa->state != SA_REPLACED && sa->state != SA_RIVAL)
		return false;
	sa_remove(ike, sa, "replaced");
	return true;
}

/* ---- the peer asks ------------------------------------------------------------------------ */

struct rekey_r {
	struct policy_suite suite;
	uint8_t number;
	uint64_t spi; /* theirs */
};

static bool closing_children(const struct ike_sa *sa)
{
	list_for_each(n, &sa->leaving)
		if (CONTAINER_OF(n, const struct child, node)->state < CHILD_LINGERING)
			return true;
	list_for_each(n, &sa->children) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);

		if (c->state == CHILD_REPLACED && c->ours)
			return true;
	}
	return false;
}

/* Section 2.25.1, the last sentence, and 2.25.2. */
static bool inconvenient(const struct ike_sa *sa)
{
	return sa->state != SA_UP || sa->successor || closing_children(sa) ||
	       (sa->create && sa->create->kind != CREATE_REKEY_SA);
}

/* False: it was refused. */
static bool agree(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in,
		  struct rekey_r *ret)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	struct bytes spi;

	if (policy_select(&sa->peer->conf->ike, &in->sa, false, &why, &ret->suite, &ret->number,
			  &spi)) {
		create_refuse(ike, sa, WIRE_N_NO_PROPOSAL_CHOSEN, IKE_R_PROPOSAL, buf);
		return false;
	}
	if (spi.n != 8 || load_be64(spi.p) == 0) {
		create_refuse(ike, sa, WIRE_N_NO_PROPOSAL_CHOSEN, IKE_R_PROPOSAL,
			      "the SPI of the new IKE SA is not one");
		return false;
	}
	ret->spi = load_be64(spi.p);
	return create_ke_asked(ike, sa, ret->suite.ke, in);
}

/* HDR, SK {SA, Nr, KEr} */
static enum status build(struct ike *ike, struct ike_sa *sa, struct arena *ar,
			 const struct rekey_r *l, uint64_t spi, struct bytes nonce,
			 const struct crypto_result *own, struct bytes *ret_owned)
{
	struct wire_proposal choice;
	struct wire_sa chosen = { &choice, 1 };
	struct wire_out o;
	uint8_t raw[8];
	enum status st;

	store_be64(raw, spi);
	st = policy_suite_proposal(ar, &l->suite, l->number, BYTES_OF(raw), &choice);
	if (st)
		return st;
	msg_begin_sk(ike, sa, WIRE_CREATE_CHILD_SA, true, sa->win.next_recv, &o);
	wire_put_sa(&o, &chosen);
	wire_put_nonce(&o, nonce);
	wire_put_ke(&o, l->suite.ke, bytes_of(own->ke.pub, own->ke.pub_len));
	return msg_end(ike, sa, &o, ret_owned);
}

static void made_for_peer(struct ike *ike, struct ike_sa *sa, struct ike_sa *made,
			  const struct nonces *nonces, struct bytes message)
{
	bool rival = creating(sa, CREATE_REKEY_SA);

	if (rival)
		create_note_rival(sa->create, nonces, 0);
	attempt_end(ike, sa->answering); /* and with it the peer's nonce */
	relate(sa, made);
	if (ike->conf->keys)
		keys_emit(ike, made);
	send_response(ike, sa, WIRE_CREATE_CHILD_SA, message);
	if (!rival)
		rekey_adopt_rival(ike, sa);
}

static enum status answer(struct ike *ike, struct ike_sa *sa, struct attempt *at,
			  const struct rekey_r *l, const struct crypto_result *r)
{
	uint8_t nonce[IKE_NONCE_LEN];
	struct rekey_seed seed = { .sk_d = keys_d(&sa->keys),
				   .prf = sa->suite.prf,
				   .shared = bytes_of(r->ke.shared, r->ke.shared_len),
				   .nonces = { at->inner.nonce, BYTES_OF(nonce) },
				   .spi_i = l->spi,
				   .spi_r = sa_pick_spi(ike) };
	struct sa_keys keys = { 0 };
	struct bytes message = bytes_of(NULL, 0);
	struct ike_sa *made;
	enum status st;

	ike->crypto.ops->random(ike->crypto.ctx, nonce, sizeof(nonce));
	st = keys_rekey(ike->mem, &ike->crypto, &l->suite, &seed, &keys);
	if (!st)
		st = build(ike, sa, &at->mem, l, seed.spi_r, BYTES_OF(nonce), r, &message);
	if (!st)
		st = sa_new_from(ike, sa, false, seed.spi_i, seed.spi_r, &keys, &made);
	if (st) {
		keys_done(&keys, ike->mem);
		mem_free(ike->mem, (void *)(uintptr_t)message.p);
		return st;
	}
	made->suite = l->suite;
	made_for_peer(ike, sa, made, &seed.nonces, message);
	return ST_OK;
}

static void responded(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct rekey_r l = { 0 };
	enum status st;

	if (r->status == ST_REFUSE) {
		create_refuse(ike, sa, WIRE_N_NO_PROPOSAL_CHOSEN, IKE_R_KEY_EXCHANGE, r->reason);
		return;
	}
	if (inconvenient(sa)) {
		create_not_now(ike, sa);
		return;
	}
	/* Again: the configuration may have changed while the job was out. */
	if (!r->status && !agree(ike, sa, &at->inner, &l))
		return;
	st = r->status ? ST_IO : answer(ike, sa, at, &l, r);
	if (!st)
		return;
	/* The peer asks again. */
	count(ike, st == ST_NOMEM ? C_NO_MEMORY : C_JOB_FAILED);
	attempt_end(ike, at);
}

enum status rekey_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	struct rekey_r l = { 0 };
	struct attempt *at;
	enum status st;

	if (inconvenient(sa)) {
		create_not_now(ike, sa);
		return ST_OK;
	}
	if (!agree(ike, sa, rx->inner, &l))
		return ST_OK;
	st = attempt_for_request(ike, sa, rx->ar, 1, &at);
	if (st)
		return st;
	at->inner = *rx->inner;
	st = create_job_respond(ike, at, l.suite.ke, at->inner.ke.data, responded);
	if (st)
		attempt_end(ike, at);
	return st;
}

/* ---- we asked ----------------------------------------------------------------------------- */

/* The peer has made an IKE SA that we cannot use, and perhaps moved all children there. */
static void useless(struct ike *ike, struct ike_sa *sa, enum ike_reason reason, const char *text)
{
	struct peer *p = sa->peer;

	count(ike, create_counter(reason));
	peer_error(ike, p, text);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = reason }, "%s",
		   text);
	request_done(ike, sa);
	/* It was the answer: a DELETE, which may be wanted already, must not wait for another. */
	sa_end_attempts(ike, sa);
	create_end(ike, sa);
	sa_delete(ike, sa, text);
	if (p->conf->start != IKE_START_LISTEN)
		peer_connect(ike, p);
}

static enum ike_reason acceptable(struct ike_sa *sa, const struct wire_payloads *in,
				  const struct wire_sa *offer, struct policy_suite *ret_suite,
				  uint64_t *ret_spi, struct text *why)
{
	struct bytes spi;

	text_add(why, "the answer to rekeying the IKE SA does not fit: ");
	if (policy_accept(offer, &in->sa, false, why, ret_suite, &spi))
		return IKE_R_PROPOSAL;
	if (spi.n != 8 || load_be64(spi.p) == 0) {
		text_add(why, "its SPI is not one");
		return IKE_R_PROPOSAL;
	}
	*ret_spi = load_be64(spi.p);
	return create_ke_answered(sa->create, ret_suite, in, why) ? IKE_R_NONE : IKE_R_KEY_EXCHANGE;
}

/* A request of the peer's that is still being worked on comes too late; a word, whose answer nobody
 * has yet, is lost with the SA. */
static void refuse_pending(struct ike *ike, struct ike_sa *sa)
{
	if (sa->answering && sa->answering->asked)
		attempt_end(ike, sa->answering);
	else if (sa->answering)
		create_not_now(ike, sa);
}

/* What we made lives: the old one ends with our DELETE, a rival with the peer's. */
static void ours_lives(struct ike *ike, struct ike_sa *sa, struct ike_sa *made)
{
	bool doomed = sa->state != SA_UP;

	if (sa->successor)
		sa->successor->predecessor = NULL;
	if (has_rival(sa))
		await_delete(ike, sa->successor);
	relate(sa, made);
	sa_inherit(ike, sa, made);
	if (!doomed)
		sa_set_state(ike, sa, SA_DELETING);
	agenda_soon(ike, sa);
	/* The wish to delete came while the exchange was under way. */
	if (doomed)
		sa_delete(ike, made, "deleted");
}

/* What the peer made lives: it deletes the old one, and we what we made. */
static void theirs_lives(struct ike *ike, struct ike_sa *sa, struct ike_sa *made)
{
	rekey_adopt_rival(ike, sa);
	sa_delete(ike, made, "redundant");
}

static enum status finish(struct ike *ike, struct ike_sa *sa, struct attempt *at,
			  const struct policy_suite *suite, uint64_t spi,
			  const struct crypto_result *r)
{
	struct create *cr = sa->create;
	struct rekey_seed seed = { .sk_d = keys_d(&sa->keys),
				   .prf = sa->suite.prf,
				   .shared = bytes_of(r->ke.shared, r->ke.shared_len),
				   .nonces = { BYTES_OF(cr->nonce), at->inner.nonce },
				   .spi_i = cr->ike_spi,
				   .spi_r = spi,
				   .initiator = true };
	struct sa_keys keys = { 0 };
	struct ike_sa *made;
	bool loses = has_rival(sa) && create_loses(cr, at->inner.nonce);
	enum status st = keys_rekey(ike->mem, &ike->crypto, suite, &seed, &keys);

	if (!st)
		st = sa_new_from(ike, sa, true, seed.spi_i, seed.spi_r, &keys, &made);
	if (st) {
		keys_done(&keys, ike->mem);
		return st;
	}
	made->suite = *suite;
	qcd_take(ike, made, &at->inner);
	if (ike->conf->keys)
		keys_emit(ike, made);
	attempt_end(ike, at);
	request_done(ike, sa);
	create_end(ike, sa);
	refuse_pending(ike, sa);
	if (loses)
		theirs_lives(ike, sa, made);
	else
		ours_lives(ike, sa, made);
	return ST_OK;
}

static enum status judge(struct ike *ike, struct ike_sa *sa, struct arena *ar,
			 const struct wire_payloads *in, struct policy_suite *suite, uint64_t *spi)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum ike_reason reason;
	struct wire_sa offer;

	if (create_offer(ar, sa, &offer))
		return ST_NOMEM;
	reason = acceptable(sa, in, &offer, suite, spi, &why);
	if (!reason)
		return ST_OK;
	useless(ike, sa, reason, buf);
	return ST_REFUSE;
}

static void derived(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct policy_suite suite;
	uint64_t spi;
	enum status st;

	if (r->status == ST_REFUSE) {
		attempt_end(ike, at);
		useless(ike, sa, IKE_R_KEY_EXCHANGE, r->reason);
		return;
	}
	st = r->status ? ST_IO : judge(ike, sa, &at->mem, &at->inner, &suite, &spi);
	if (!st)
		st = finish(ike, sa, at, &suite, spi, r);
	if (!st || st == ST_REFUSE)
		return;
	count(ike, st == ST_NOMEM ? C_NO_MEMORY : C_JOB_FAILED);
	attempt_end(ike, at);
}

enum status rekey_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	struct policy_suite suite;
	uint64_t spi;
	enum status st = judge(ike, sa, rx->ar, rx->inner, &suite, &spi);

	if (st)
		return st == ST_REFUSE ? ST_OK : st;
	return create_job_derive(ike, sa, rx, derived);
}
