/*
 * create_i.c - CREATE_CHILD_SA, asking (RFC 7296 sections 1.3, 2.8, 2.25).
 *
 * Steps: a key pair if there is a key exchange (job), the request, the answer, the shared secret
 * (job), the child.  The request stays in flight until the answer was made use of: whatever lacked
 * memory, or a job that failed, is tried again when the peer repeats its answer.
 */
#include "ike/inner.h"

/* ---- the request -------------------------------------------------------------------------- */

static struct child *old_child(struct ike *ike, const struct ike_sa *sa)
{
	struct child *c = sa->create->old ? child_by_id(ike, sa->create->old) : NULL;

	return c && c->sa == sa && c->state < CHILD_DOOMED ? c : NULL;
}

static const struct wire_sa *proposals(const struct ike_sa *sa, enum create_kind kind)
{
	const struct ike_peer_conf *conf = sa->peer->conf;

	return kind == CREATE_REKEY_SA ? &conf->ike : &conf->esp;
}

/* The wish that the exchange is to grant. */
static struct wish *wish_of(struct ike *ike, struct ike_sa *sa)
{
	struct child *old;

	switch (sa->create->kind) {
	case CREATE_REKEY_SA: return &sa->rekey;
	case CREATE_REKEY_CHILD: old = old_child(ike, sa); return old ? &old->rekey : NULL;
	default: return &sa->more;
	}
}

/* What is asked for: what is in use first, then all that is configured. */
enum status create_offer(struct arena *ar, const struct ike_sa *sa, struct wire_sa *ret)
{
	const struct create *cr = sa->create;
	bool ike_sa = cr->kind == CREATE_REKEY_SA;
	struct policy_suite first = cr->in_use;
	uint8_t spi[8];

	if (ike_sa)
		store_be64(spi, cr->ike_spi);
	else
		store_be32(spi, cr->spi);
	first.ke = cr->group;
	return agree_offer(ar, proposals(sa, cr->kind), bytes_of(spi, ike_sa ? 8 : 4), true,
			   first.proto ? &first : NULL, ret);
}

static struct asked asked(struct ike *ike, const struct ike_sa *sa, const struct wire_sa *offer)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	const struct child *old = old_child(ike, sa);

	/* Never narrower than what is in use (section 2.9.2). */
	return (struct asked){ .offer = offer,
			       .ke = true,
			       .spi = sa->create->spi,
			       .ts_local = old ? &old->ts_local : inner_i_local(sa->peer),
			       .ts_remote = old ? &old->ts_remote : &conf->ts_remote };
}

static void put_request(struct ike *ike, const struct ike_sa *sa, const struct wire_sa *offer,
			struct wire_out *o)
{
	const struct create *cr = sa->create;
	const struct child *old = old_child(ike, sa);
	struct asked want = asked(ike, sa, offer);
	uint8_t spi[4];

	if (old) {
		store_be32(spi, old->spi_in);
		wire_put_notify(o, WIRE_PROTO_ESP, BYTES_OF(spi), WIRE_N_REKEY_SA,
				bytes_of(NULL, 0));
	}
	wire_put_sa(o, offer);
	wire_put_nonce(o, BYTES_OF(cr->nonce));
	if (cr->group)
		wire_put_ke(o, cr->group, cr->pub);
	if (cr->kind == CREATE_REKEY_SA)
		return;
	wire_put_ts(o, WIRE_P_TSI, want.ts_local->ts, want.ts_local->n);
	wire_put_ts(o, WIRE_P_TSR, want.ts_remote->ts, want.ts_remote->n);
}

static enum status send(struct ike *ike, struct ike_sa *sa)
{
	struct wire_sa o_sa;
	struct wire_out o;
	struct bytes owned;
	struct arena ar;
	enum status st;

	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	st = create_offer(&ar, sa, &o_sa);
	if (!st) {
		msg_begin_sk(ike, sa, WIRE_CREATE_CHILD_SA, false, sa->win.next_send, &o);
		put_request(ike, sa, &o_sa, &o);
		st = msg_end(ike, sa, &o, &owned);
	}
	arena_done(&ar);
	if (st)
		return st;
	sa->create->sent = true;
	send_request(ike, sa, WIRE_CREATE_CHILD_SA, owned);
	return ST_OK;
}

/* Not this time; after a pause again. */
static void put_off(struct ike *ike, struct ike_sa *sa)
{
	struct wish *w = wish_of(ike, sa);

	if (w)
		wish_failed(ike, w);
	create_end(ike, sa);
}

/* The child to be replaced went while the key pair was made. */
static bool moot(struct ike *ike, const struct ike_sa *sa)
{
	const struct child *old = old_child(ike, sa);

	return sa->create->kind == CREATE_REKEY_CHILD && (!old || old->state != CHILD_UP);
}

static void generated(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct create *cr = sa->create;
	enum status st = r->status;

	if (st) {
		count(ike, C_JOB_FAILED);
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .sa = sa, .reason = IKE_R_INTERNAL }, "%s",
			   r->reason);
	} else {
		mem_free(ike->mem, (void *)(uintptr_t)cr->pub.p);
		cr->pub = bytes_of(NULL, 0);
		st = mem_dup(ike->mem, bytes_of(r->ke.pub, r->ke.pub_len), &cr->pub);
		cr->priv = r->ke.priv;
		if (st)
			count(ike, C_NO_MEMORY);
	}
	attempt_end(ike, at);
	if (moot(ike, sa)) {
		create_end(ike, sa);
		return;
	}
	if (!st)
		st = send(ike, sa);
	if (st)
		put_off(ike, sa);
}

static enum status generate(struct ike *ike, struct ike_sa *sa)
{
	struct crypto_job *job;
	struct attempt *at;
	enum status st = attempt_new(ike, sa, NULL, 1, &at);

	if (st)
		return st;
	sa->create->sent = false;
	sa->create->tried_groups |= 1u << (sa->create->group & 31);
	st = crypto_job_new(ike->mem, CRYPTO_JOB_KE_GENERATE, &job);
	if (!st) {
		job->in.ke_generate.group = sa->create->group;
		st = attempt_job(ike, at, job, generated);
	}
	if (st)
		attempt_end(ike, at);
	return st;
}

/* The group in use, if it is still configured; 0: none (a child without PFS). */
static uint16_t first_group(const struct ike_sa *sa, enum create_kind kind, const struct child *old)
{
	const struct wire_sa *conf = proposals(sa, kind);
	uint16_t in_use = kind == CREATE_REKEY_SA ? sa->suite.ke : old ? old->suite.ke : 0;

	return in_use && policy_offers_ke(conf, in_use) ? in_use : policy_first_ke(conf);
}

void create_start(struct ike *ike, struct ike_sa *sa, enum create_kind kind, struct child *old)
{
	struct create *cr = mem_new(ike->mem, sizeof(*cr));
	enum status st;

	if (!cr) {
		count(ike, C_NO_MEMORY);
		wish_failed(ike, old ? &old->rekey : kind == CREATE_CHILD ? &sa->more : &sa->rekey);
		return;
	}
	cr->kind = kind;
	cr->old = old ? old->id : 0;
	if (kind == CREATE_REKEY_SA) {
		cr->in_use = sa->suite;
		cr->ike_spi = sa_pick_spi(ike);
	} else {
		cr->in_use = old ? old->suite : (struct policy_suite){ 0 };
		cr->spi = child_pick_spi(ike);
	}
	if (kind == CREATE_REKEY_CHILD)
		idle_replaced(ike, old);
	cr->group = first_group(sa, kind, old);
	ike->crypto.ops->random(ike->crypto.ctx, cr->nonce, sizeof(cr->nonce));
	sa->create = cr;
	st = cr->group ? generate(ike, sa) : send(ike, sa);
	if (st) {
		count(ike, C_NO_MEMORY);
		put_off(ike, sa);
	}
}

/* ---- refused ------------------------------------------------------------------------------ */

static void refused_event(struct ike *ike, struct ike_sa *sa, enum ike_reason reason,
			  const char *text)
{
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = reason }, "%s",
		   text);
}

/* What was wanted is not to be had now. What there is stays until its own end. */
static void no_success(struct ike *ike, struct ike_sa *sa, enum ike_reason reason, const char *text)
{
	enum create_kind kind = sa->create->kind;
	struct wish *w = wish_of(ike, sa);
	struct peer *p = sa->peer;

	if (w)
		w->refused_since = (mono_t){ 0 };
	peer_error(ike, p, text);
	refused_event(ike, sa, reason, text);
	if (kind != CREATE_CHILD) {
		put_off(ike, sa);
		return;
	}
	wish_granted(&sa->more); /* who wants it has a pause of its own */
	create_end(ike, sa);
	peer_child_refused(ike, p);
}

/* Section 2.25: not at once again, and not for ever. */
static void temporary(struct ike *ike, struct ike_sa *sa)
{
	static const char text[] =
		"the peer answers nothing but TEMPORARY_FAILURE, so the two ends do not know the "
		"same SA any more";
	struct wish *w = wish_of(ike, sa);
	struct peer *p = sa->peer;

	count(ike, C_TEMPORARY);
	if (w && w->refused_since.ns == 0)
		w->refused_since = ike->now.mono;
	if (!w || mono_since(ike->now.mono, w->refused_since).ns < dur_s(IKE_TEMPORARY_S).ns) {
		put_off(ike, sa);
		return;
	}
	peer_error(ike, p, text);
	refused_event(ike, sa, IKE_R_PEER_SAID, text);
	create_end(ike, sa);
	sa_delete(ike, sa, text);
	if (p->conf->start != IKE_START_LISTEN)
		peer_connect(ike, p);
}

/* Only to a group that we offer, and to each once (section 1.3). */
static bool other_group(struct ike *ike, struct ike_sa *sa, const struct wire_notify *n)
{
	struct create *cr = sa->create;
	uint16_t group = n->data.n == 2 ? load_be16(n->data.p) : 0;

	if (group == 0 || group > 31 || !policy_offers_ke(proposals(sa, cr->kind), group) ||
	    cr->tried_groups & 1u << group)
		return false;
	count(ike, C_OTHER_GROUP);
	cr->group = group;
	secret_done(&cr->priv);
	/* The message has another number, so it needs another nonce as well. */
	ike->crypto.ops->random(ike->crypto.ctx, cr->nonce, sizeof(cr->nonce));
	cr->rival.noted = false;
	if (generate(ike, sa)) {
		count(ike, C_NO_MEMORY);
		put_off(ike, sa);
	}
	return true;
}

/* The peer has no such child: nothing is to be said about it, and one from scratch takes its place
 * (section 2.25). */
static void not_found(struct ike *ike, struct ike_sa *sa)
{
	struct child *old = old_child(ike, sa);
	struct peer *p = sa->peer;

	count(ike, C_CHILD_NOT_FOUND);
	create_end(ike, sa);
	if (!old)
		return;
	child_lost(ike, old, "the peer does not know it any more");
	if (!peer_has_child(p) && p->conf->role != IKE_ROLE_MEMBERS)
		sa_want_child(ike, sa);
}

static void explain(struct ike *ike, struct ike_sa *sa, struct rx *rx, const char *name,
		    struct text *t)
{
	static const char *const what[] = {
		[CREATE_CHILD] = "another child",
		[CREATE_REKEY_CHILD] = "to rekey a child",
		[CREATE_REKEY_SA] = "to rekey the IKE SA",
	};
	struct wire_sa o_sa;
	struct asked want;

	if (create_offer(rx->ar, sa, &o_sa))
		return;
	text_fmt(t, "we asked for %s: ", what[sa->create->kind]);
	if (sa->create->kind != CREATE_REKEY_SA) {
		want = asked(ike, sa, &o_sa);
		agree_refused(sa->peer->conf, &want, rx->inner, t);
		return;
	}
	text_fmt(t, "the peer answered %s; we offered ", name);
	policy_sa_text(t, &o_sa);
}

static bool rival_lives(struct ike *ike, const struct ike_sa *sa)
{
	const struct create *cr = sa->create;

	if (!cr->rival.noted)
		return false;
	return cr->kind == CREATE_REKEY_SA ? sa->successor != NULL
					   : child_by_id(ike, cr->rival.child) != NULL;
}

/* The peer's own exchange about the same SA says why: it has done what we wanted. */
static bool overtaken(struct ike *ike, struct ike_sa *sa, uint16_t type)
{
	struct child *old;

	if (!rival_lives(ike, sa))
		return false;
	/* Whatever it has against ours: only an exchange of ours keeps a rival waiting. */
	if (sa->create->kind == CREATE_REKEY_SA) {
		rekey_adopt_rival(ike, sa);
		return true;
	}
	if (type != WIRE_N_TEMPORARY_FAILURE && type != WIRE_N_CHILD_SA_NOT_FOUND &&
	    type != WIRE_N_NO_ADDITIONAL_SAS)
		return false;
	old = old_child(ike, sa);
	if (old)
		wish_granted(&old->rekey);
	create_end(ike, sa);
	return true;
}

enum status create_refused(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = wire_find_error(rx->inner);
	char buf[IKE_EVENT_TEXT_MAX], number[24];
	struct text t = TEXT_OF(buf), num = TEXT_OF(number);
	uint16_t type = n->type;
	const char *name = wire_notify_name(type);

	request_done(ike, sa);
	if (!sa->create)
		return ST_BUG;
	if (sa->state != SA_UP) {
		create_end(ike, sa);
		return ST_OK;
	}
	/* Section 2.21.3: the peer has no such SA any more. */
	if (info_fatal(rx->inner)) {
		info_fatal_event(ike, sa, info_fatal(rx->inner));
		sa_remove(ike, sa, "given up by the peer");
		return ST_OK;
	}
	if (overtaken(ike, sa, type))
		return ST_OK;
	if (type == WIRE_N_TEMPORARY_FAILURE) {
		temporary(ike, sa);
	} else if (type == WIRE_N_CHILD_SA_NOT_FOUND && sa->create->kind == CREATE_REKEY_CHILD) {
		not_found(ike, sa);
	} else if (type != WIRE_N_INVALID_KE_PAYLOAD || !other_group(ike, sa, n)) {
		count(ike, C_PEER_REFUSED);
		if (type == WIRE_N_NO_ADDITIONAL_SAS && sa->create->kind == CREATE_CHILD)
			sa->only_one = true;
		text_fmt(&num, "error %u", type);
		explain(ike, sa, rx, name ? name : number, &t);
		no_success(ike, sa, IKE_R_PEER_SAID, buf);
	}
	return ST_OK;
}

/* ---- the answer --------------------------------------------------------------------------- */

enum ike_counter create_counter(enum ike_reason reason)
{
	switch (reason) {
	case IKE_R_KEY_EXCHANGE: return C_INVALID_KE;
	case IKE_R_SELECTORS: return C_TS_REFUSED;
	default: return C_NO_PROPOSAL;
	}
}

/* The peer has what we cannot use: it is told to delete it. */
static enum status reject(struct ike *ike, struct ike_sa *sa, enum ike_reason reason,
			  const char *text)
{
	uint32_t spi = sa->create->spi;

	/* Without memory for the Delete: again with the repeated answer. */
	if (child_disown(ike, sa, spi))
		return ST_NOMEM;
	count(ike, create_counter(reason));
	request_done(ike, sa);
	no_success(ike, sa, reason, text);
	return ST_OK;
}

/* Of two children in the place of one, the other is the one that stays (section 2.8.1). */
static struct child *winner(struct ike *ike, const struct ike_sa *sa, struct bytes nonce_r)
{
	struct child *rival = child_by_id(ike, sa->create->rival.child);

	/* It may have been replaced already: then its successor stays. */
	return rival && rival->sa == sa && rival->state < CHILD_DOOMED &&
			       create_loses(sa->create, nonce_r)
		       ? rival
		       : NULL;
}

static void commit(struct ike *ike, struct ike_sa *sa, struct child *c, struct child *better)
{
	struct child *old = old_child(ike, sa);
	struct child *rival =
		sa->create->rival.noted ? child_by_id(ike, sa->create->rival.child) : NULL;

	child_link(ike, c);
	/* One more; or in the place of one that the peer deleted meanwhile, and that was missed. */
	if (!old)
		wish_granted(&sa->more);
	request_done(ike, sa);
	create_end(ike, sa);
	if (better) {
		child_doom(ike, c, NULL);
		return;
	}
	if (old)
		child_replace(ike, old, c, true);
	if (rival && rival->sa == sa && rival->state == CHILD_UP)
		child_replace(ike, rival, c, false);
	if (!old)
		sa_first_child(ike, sa);
}

/* What a member may have was settled when it asked (agree_grant), and the successor of its child
 * has no more than that child.  Without it the member has to ask again: somebody else may have its
 * prefixes by now, or rules may have changed. */
static bool grant_is_gone(struct ike *ike, const struct ike_sa *sa)
{
	return sa->peer->conf->role == IKE_ROLE_MEMBERS && !old_child(ike, sa);
}

static enum ike_reason acceptable(struct ike *ike, const struct ike_sa *sa,
				  const struct wire_sa *offer, const struct wire_payloads *in,
				  struct child_params *params, struct text *why)
{
	struct claimant who = { sa->peer, sa->remote_id, sa->cred, sa->capabilities };
	struct asked want = asked(ike, sa, offer);

	if (grant_is_gone(ike, sa)) {
		text_add(why, "the child that it was to replace has gone meanwhile");
		return IKE_R_AUTHORISATION;
	}
	return agree_accept(&who, &want, in, params, why);
}

static enum status finish(struct ike *ike, struct ike_sa *sa, struct arena *ar,
			  const struct wire_payloads *in, struct bytes shared)
{
	struct child_seed seed = { .shared = shared,
				   .nonces = { BYTES_OF(sa->create->nonce), in->nonce },
				   .initiator = true };
	struct child *better = winner(ike, sa, in->nonce), *c;
	struct child_params params = { .defers = better != NULL };
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum ike_reason reason;
	struct outbox ob;
	struct wire_sa o_sa;

	if (create_offer(ar, sa, &o_sa))
		return ST_NOMEM;
	reason = acceptable(ike, sa, &o_sa, in, &params, &why);
	if (reason)
		return reject(ike, sa, reason, buf);
	outbox_init(&ob, ike->mem);
	if (child_make(ike, sa, sa->peer, &params, &seed, &ob, &c)) {
		outbox_drop(&ob);
		return ST_NOMEM;
	}
	outbox_commit(ike, &ob);
	commit(ike, sa, c, better);
	return ST_OK;
}

static void derived(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	enum status st;

	if (r->status == ST_REFUSE)
		st = reject(ike, sa, IKE_R_KEY_EXCHANGE, r->reason);
	else if (r->status)
		st = ST_IO;
	else
		st = finish(ike, sa, &at->mem, &at->inner,
			    bytes_of(r->ke.shared, r->ke.shared_len));
	if (st)
		count(ike, st == ST_NOMEM ? C_NO_MEMORY : C_JOB_FAILED);
	attempt_end(ike, sa->attempt);
}

enum status create_job_derive(struct ike *ike, struct ike_sa *sa, struct rx *rx, attempt_step *step)
{
	const struct create *cr = sa->create;
	struct crypto_job *job;
	struct attempt *at;
	enum status st = attempt_new(ike, sa, rx->ar, 1, &at);

	if (st)
		return st;
	at->inner = *rx->inner;
	st = crypto_job_new(ike->mem, CRYPTO_JOB_KE_DERIVE, &job);
	if (st) {
		attempt_end(ike, at);
		return st;
	}
	job->in.ke_derive.group = cr->group;
	job->in.ke_derive.priv = cr->priv;
	st = crypto_job_dup(job, cr->pub, &job->in.ke_derive.pub);
	if (!st)
		st = crypto_job_dup(job, at->inner.ke.data, &job->in.ke_derive.peer);
	if (st)
		crypto_job_free(job);
	else
		st = attempt_job(ike, at, job, step);
	if (st)
		attempt_end(ike, at);
	return st;
}

bool create_ke_answered(const struct create *cr, const struct policy_suite *suite,
			const struct wire_payloads *in, struct text *why)
{
	if (suite->ke == cr->group && in->present & WIRE_BIT(WIRE_P_KE) &&
	    in->ke.group == cr->group && in->ke.data.n == crypto_ke_public_len(cr->group))
		return true;
	text_fmt(why, "it chose key exchange method %u and answered with %zu bytes of %u to our %u",
		 suite->ke, in->ke.data.n, in->ke.group, cr->group);
	return false;
}

static enum status child_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	struct child_params params = { 0 };
	enum ike_reason reason;
	struct wire_sa o_sa;

	if (create_offer(rx->ar, sa, &o_sa))
		return ST_NOMEM;
	reason = acceptable(ike, sa, &o_sa, rx->inner, &params, &why);
	if (!reason && params.suite.ke &&
	    !create_ke_answered(sa->create, &params.suite, rx->inner, &why))
		reason = IKE_R_KEY_EXCHANGE;
	if (reason)
		return reject(ike, sa, reason, buf);
	if (params.suite.ke)
		return create_job_derive(ike, sa, rx, derived);
	return finish(ike, sa, rx->ar, rx->inner, bytes_of(NULL, 0));
}

enum status create_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	if (!sa->create)
		return ST_BUG;
	if (sa->create->kind == CREATE_REKEY_SA)
		return rekey_answer(ike, sa, rx);
	if (sa->state == SA_UP)
		return child_answer(ike, sa, rx);
	/* The whole SA goes, and what was asked for with it. */
	request_done(ike, sa);
	create_end(ike, sa);
	return ST_OK;
}
