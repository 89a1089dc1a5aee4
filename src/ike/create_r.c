/*
 * create_r.c - CREATE_CHILD_SA, answering about children (RFC 7296 sections 1.3, 2.8, 2.25).
 *
 * A refusal never ends the IKE SA (section 1.3.1): the peer hears which one it is, the operator
 * both sides' values.
 */
#include "ike/internal.h"

/* ---- refusing ----------------------------------------------------------------------------- */

static void answer_error(struct ike *ike, struct ike_sa *sa, uint16_t type, struct bytes data)
{
	attempt_end(ike, sa->answering);
	answer_notify(ike, sa, WIRE_CREATE_CHILD_SA, type, data);
}

void create_not_now(struct ike *ike, struct ike_sa *sa)
{
	count(ike, C_NOT_NOW);
	answer_error(ike, sa, WIRE_N_TEMPORARY_FAILURE, bytes_of(NULL, 0));
}

/* Which child is told by the SPI that the peer used (section 2.25). */
static void no_such_child(struct ike *ike, struct ike_sa *sa, const struct wire_notify *rekey)
{
	struct wire_out o;
	struct bytes owned;

	count(ike, C_NO_SUCH_CHILD);
	msg_begin_sk(ike, sa, WIRE_CREATE_CHILD_SA, true, sa->win.next_recv, &o);
	wire_put_notify(&o, rekey->proto, rekey->spi, WIRE_N_CHILD_SA_NOT_FOUND, bytes_of(NULL, 0));
	attempt_end(ike, sa->answering); /* and with it the notify */
	if (msg_end(ike, sa, &o, &owned))
		count(ike, C_NO_MEMORY);
	else
		send_response(ike, sa, WIRE_CREATE_CHILD_SA, owned);
}

void create_refuse(struct ike *ike, struct ike_sa *sa, uint16_t notify, enum ike_reason reason,
		   const char *why)
{
	static const struct {
		uint16_t notify;
		enum ike_counter counter;
	} counted[] = {
		{ WIRE_N_TS_UNACCEPTABLE, C_TS_REFUSED },
		{ WIRE_N_NO_ADDITIONAL_SAS, C_NO_CHILD_SA },
	};
	enum ike_counter c = C_NO_PROPOSAL;

	for (size_t i = 0; i < ARRAY_LEN(counted); i++)
		if (counted[i].notify == notify)
			c = counted[i].counter;
	count(ike, reason == IKE_R_KEY_EXCHANGE ? C_INVALID_KE : c);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = reason },
		   "CREATE_CHILD_SA refused: %s", why);
	answer_error(ike, sa, notify, bytes_of(NULL, 0));
}

bool create_ke_asked(struct ike *ike, struct ike_sa *sa, uint16_t group,
		     const struct wire_payloads *in)
{
	uint8_t raw[2];

	if (in->present & WIRE_BIT(WIRE_P_KE) && in->ke.group == group) {
		if (in->ke.data.n == crypto_ke_public_len(group))
			return true;
		create_refuse(ike, sa, WIRE_N_NO_PROPOSAL_CHOSEN, IKE_R_KEY_EXCHANGE,
			      "its key exchange value has the wrong length");
		return false;
	}
	/* Section 1.3: which one we would take. */
	count(ike, C_INVALID_KE);
	store_be16(raw, group);
	answer_error(ike, sa, WIRE_N_INVALID_KE_PAYLOAD, BYTES_OF(raw));
	return false;
}

/* ---- what it is about --------------------------------------------------------------------- */

static bool rekeys_ike_sa(const struct wire_payloads *in)
{
	return in->sa.n && in->sa.proposals[0].proto == WIRE_PROTO_IKE;
}

/* The child to be replaced: one that is up. False: it was answered. */
static bool replaceable(struct ike *ike, struct ike_sa *sa, const struct wire_notify *n,
			struct child **ret_old)
{
	bool esp = n->proto == WIRE_PROTO_ESP && n->spi.n == 4;
	struct child *c = esp ? child_by_spi_out(sa, load_be32(n->spi.p)) : NULL;

	if (!c || c->state == CHILD_LINGERING)
		no_such_child(ike, sa, n);
	else if (c->state != CHILD_UP)
		create_not_now(ike, sa);
	else
		*ret_old = c;
	return c && c->state == CHILD_UP;
}

/* While the IKE SA itself is being replaced nothing else begins in it (section 2.25.2). */
static bool unsettled(const struct ike_sa *sa)
{
	return sa->state != SA_UP || creating(sa, CREATE_REKEY_SA) || sa->successor;
}

/* ---- the child ---------------------------------------------------------------------------- */

struct grant {
	struct child *old; /* NULL: one more */
	struct agreement agreed;
	struct child *child;
	struct bytes message;
	uint8_t nonce[IKE_NONCE_LEN];
	struct outbox ob;
};

/* A successor must not have less than what is in use, of what the peer asks for (section 2.9.2). */
static bool narrower(struct arena *ar, const struct child *old, const struct wire_payloads *in,
		     const struct child_params *p, struct text *why)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text unsaid = TEXT_OF(buf);
	struct wire_ts_list local, remote;

	if (policy_ts_narrow(ar, &in->ts_r, &old->ts_local, &unsaid, &local) ||
	    policy_ts_narrow(ar, &in->ts_i, &old->ts_remote, &unsaid, &remote))
		return false;
	if (policy_ts_subset(&local, &p->ts_local) && policy_ts_subset(&remote, &p->ts_remote))
		return false;
	text_add(why, "what may be granted now, ");
	policy_ts_list_text(why, &p->ts_local);
	text_add(why, " === ");
	policy_ts_list_text(why, &p->ts_remote);
	text_add(why, ", is narrower than the child to be replaced, ");
	policy_ts_list_text(why, &old->ts_local);
	text_add(why, " === ");
	policy_ts_list_text(why, &old->ts_remote);
	return true;
}

/* False: it was refused. */
static bool agree(struct ike *ike, struct ike_sa *sa, struct arena *ar,
		  const struct wire_payloads *in, struct grant *g, enum status *ret_st)
{
	struct claimant who = { sa->peer, sa->remote_id, sa->cred, sa->capabilities };
	struct agreement *a = &g->agreed;
	enum status st = agree_grant(ike, ar, &who, in, true, a);

	if (!st && g->old) {
		struct text why = TEXT_OF(a->why);

		if (narrower(ar, g->old, in, &a->c, &why)) {
			a->notify = WIRE_N_TS_UNACCEPTABLE;
			a->reason = IKE_R_SELECTORS;
			st = ST_REFUSE;
		}
	}
	*ret_st = st == ST_REFUSE ? ST_OK : st;
	if (st == ST_REFUSE)
		create_refuse(ike, sa, a->notify, a->reason, a->why);
	return !st;
}

/* HDR, SK {SA, Nr, [KEr,] TSi, TSr} */
static enum status build(struct ike *ike, struct ike_sa *sa, struct arena *ar, struct grant *g,
			 struct bytes ke)
{
	const struct agreement *a = &g->agreed;
	struct wire_out o;
	enum status st;

	msg_begin_sk(ike, sa, WIRE_CREATE_CHILD_SA, true, sa->win.next_recv, &o);
	st = agree_put_choice(&o, ar, &a->c, a->number);
	if (st)
		return st;
	wire_put_nonce(&o, BYTES_OF(g->nonce));
	if (a->c.suite.ke)
		wire_put_ke(&o, a->c.suite.ke, ke);
	agree_put_ts(&o, &a->c);
	return msg_end(ike, sa, &o, &g->message);
}

static void abandon(struct ike *ike, struct ike_sa *sa, struct grant *g)
{
	if (g->child) {
		claims_drop(ike, sa->peer, g->child);
		child_free(ike, g->child);
	}
	outbox_drop(&g->ob);
}

static void commit(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in,
		   struct grant *g)
{
	struct nonces nonces = { in->nonce, BYTES_OF(g->nonce) };

	if (g->old && creating(sa, CREATE_REKEY_CHILD) && sa->create->old == g->old->id)
		create_note_rival(sa->create, &nonces, g->child->id);
	attempt_end(ike, sa->answering); /* and with it what the peer asked for */
	if (g->agreed.conflict[0]) {
		count(ike, C_CONFLICT);
		event_emit(ike, IKE_EV_CONFLICT,
			   (struct event_about){ .sa = sa, .reason = IKE_R_CONFLICT }, "%s",
			   g->agreed.conflict);
	}
	/* The data plane is told before the answer leaves: the peer may use the child at once. */
	outbox_commit(ike, &g->ob);
	child_link(ike, g->child);
	child_await_proof(ike, g->child);
	if (g->old)
		child_replace(ike, g->old, g->child, false);
	send_response(ike, sa, WIRE_CREATE_CHILD_SA, g->message);
	if (!g->old)
		sa_first_child(ike, sa);
}

/* Everything that can fail, before anything changes. `own`: our part of the key exchange. */
static enum status answer(struct ike *ike, struct ike_sa *sa, struct arena *ar,
			  const struct wire_payloads *in, struct grant *g,
			  const struct crypto_result *own)
{
	struct child_seed seed = { .nonces = { in->nonce, BYTES_OF(g->nonce) } };
	struct bytes ke = bytes_of(NULL, 0);
	enum status st;

	if (own) {
		seed.shared = bytes_of(own->ke.shared, own->ke.shared_len);
		ke = bytes_of(own->ke.pub, own->ke.pub_len);
	}
	ike->crypto.ops->random(ike->crypto.ctx, g->nonce, sizeof(g->nonce));
	g->agreed.c.spi_in = child_pick_spi(ike);
	/* The peer may not be ready for it yet, and another one carries the same. */
	g->agreed.c.defers =
		g->old || children_carry(sa, &g->agreed.c.ts_local, &g->agreed.c.ts_remote);
	outbox_init(&g->ob, ike->mem);
	st = child_make(ike, sa, sa->peer, &g->agreed.c, &seed, &g->ob, &g->child);
	if (!st)
		st = build(ike, sa, ar, g, ke);
	if (st)
		abandon(ike, sa, g);
	else
		commit(ike, sa, in, g);
	return st;
}

/* The child to be replaced, as it is now. */
static bool still_there(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in,
			struct grant *g)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_REKEY_SA);

	if (unsettled(sa)) {
		create_not_now(ike, sa);
		return false;
	}
	return !n || replaceable(ike, sa, n, &g->old);
}

static enum status finish(struct ike *ike, struct ike_sa *sa, struct attempt *at, struct grant *g,
			  const struct crypto_result *own)
{
	if (g->agreed.c.suite.ke == at->inner.ke.group)
		return answer(ike, sa, &at->mem, &at->inner, g, own);
	create_not_now(ike, sa);
	return ST_OK;
}

static void responded(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct grant g = { 0 };
	enum status st;

	if (r->status == ST_REFUSE) {
		create_refuse(ike, sa, WIRE_N_NO_PROPOSAL_CHOSEN, IKE_R_KEY_EXCHANGE, r->reason);
		return;
	}
	/* Again: much may have changed while the job was out. */
	if (!r->status && !still_there(ike, sa, &at->inner, &g))
		return;
	if (r->status)
		st = ST_IO;
	else if (agree(ike, sa, &at->mem, &at->inner, &g, &st))
		st = finish(ike, sa, at, &g, r);
	if (!st)
		return;
	/* The peer asks again. */
	count(ike, st == ST_NOMEM ? C_NO_MEMORY : C_JOB_FAILED);
	attempt_end(ike, sa->answering);
}

static enum status child_request(struct ike *ike, struct ike_sa *sa, struct rx *rx,
				 struct child *old)
{
	struct grant g = { .old = old };
	struct attempt *at;
	enum status st;

	if (!agree(ike, sa, rx->ar, rx->inner, &g, &st))
		return st;
	if (g.agreed.c.suite.ke == 0)
		return answer(ike, sa, rx->ar, rx->inner, &g, NULL);
	if (!create_ke_asked(ike, sa, g.agreed.c.suite.ke, rx->inner))
		return ST_OK;
	st = attempt_for_request(ike, sa, rx->ar, 1, &at);
	if (st)
		return st;
	at->inner = *rx->inner;
	st = create_job_respond(ike, at, g.agreed.c.suite.ke, at->inner.ke.data, responded);
	if (st)
		attempt_end(ike, at);
	return st;
}

static bool has_room(struct ike *ike, struct ike_sa *sa, bool replaces)
{
	if (sa->sent_away && !sa->n_children)
		create_refuse(ike, sa, WIRE_N_NO_ADDITIONAL_SAS, IKE_R_REDIRECT,
			      "it was sent on to another gateway, and is not served here");
	else if (sa->n_children >=
		 (replaces ? IKE_MAX_CHILDREN + IKE_MAX_REPLACED : IKE_MAX_CHILDREN))
		create_refuse(ike, sa, WIRE_N_NO_ADDITIONAL_SAS, IKE_R_OVERLOAD,
			      "it has as many children as one IKE SA may have");
	else
		return true;
	return false;
}

enum status create_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const uint64_t ts = WIRE_BIT(WIRE_P_TSI) | WIRE_BIT(WIRE_P_TSR);
	const struct wire_notify *n = wire_find_notify(rx->inner, WIRE_N_REKEY_SA);
	struct child *old = NULL;

	/* What we have not asked for yet can wait. */
	create_yield(ike, sa);
	if (rekeys_ike_sa(rx->inner))
		return rekey_request(ike, sa, rx);
	if ((rx->inner->present & ts) != ts)
		return ST_REFUSE;
	if (unsettled(sa)) {
		create_not_now(ike, sa);
		return ST_OK;
	}
	if (n && !replaceable(ike, sa, n, &old))
		return ST_OK;
	if (!has_room(ike, sa, n != NULL))
		return ST_OK;
	return child_request(ike, sa, rx, old);
}
