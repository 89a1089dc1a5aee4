/*
 * auth_r.c - IKE_AUTH, responder (RFC 7296 section 1.2).
 *
 * Steps: who is it (peer by identity), is it really (job), its inner addresses if it asks for some
 * (stored), our own proof (job), the child, the answer.  A refusal says AUTHENTICATION_FAILED to
 * the peer and everything to the operator.
 *
 * A section that stands for many (a pattern, a network) only judges: what comes up belongs to the
 * instance for that identity.
 */
#include "ike/inner.h"
#include "ike/partner.h"

struct auth_r {
	ike_peer_id section; /* whose trust anchors, keys and rules it is judged by */
	uint8_t judged_by[sizeof(((struct ike_peer_conf *)0)->peer_digest)];
	struct bytes cred; /* empty: no certificate */
	bool childless; /* it asks for no child (RFC 6023) */
	bool ppk; /* a PPK is in the keys */
	struct inner_request *inner; /* NULL: it asks for no inner address */
	char gateway[IKE_GATEWAY_TEXT]; /* where it is sent on (RFC 5685); "": it is served here */
	char how[24];
};

/* ---- refusing ----------------------------------------------------------------------------- */

static void refuse_with(struct ike *ike, struct ike_sa *sa, struct peer *claimed, uint16_t notify,
			enum ike_counter counter, enum ike_reason reason, const char *text)
{
	count(ike, counter);
	attempt_end(ike, sa->answering);
	answer_notify(ike, sa, WIRE_IKE_AUTH, notify, bytes_of(NULL, 0));
	sa_refuse(ike, sa, claimed, reason, text);
}

static void refuse(struct ike *ike, struct ike_sa *sa, struct peer *claimed,
		   enum ike_counter counter, enum ike_reason reason, const char *text)
{
	refuse_with(ike, sa, claimed, WIRE_N_AUTHENTICATION_FAILED, counter, reason, text);
}

/* ---- who is it ---------------------------------------------------------------------------- */

/* A proposal of the peer's that has every transform of the suite. */
bool suite_allowed(const struct ike_peer_conf *conf, const struct policy_suite *s)
{
	const struct wire_transform want[] = {
		{ WIRE_T_ENCR, s->encr, s->key_bits, false },
		{ WIRE_T_PRF, s->prf, 0, false },
		{ WIRE_T_KE, s->ke, 0, false },
		{ WIRE_T_INTEG, s->integ, 0, false },
	};
	/* An AEAD has no integrity transform. */
	size_t n_want = ARRAY_LEN(want) - (s->integ == CRYPTO_INTEG_NONE);

	for (size_t i = 0; i < conf->ike.n; i++) {
		const struct wire_proposal *p = &conf->ike.proposals[i];
		size_t found = 0;

		for (size_t w = 0; w < n_want; w++)
			for (size_t k = 0; k < p->n_transforms; k++)
				if (p->transforms[k].type == want[w].type &&
				    p->transforms[k].id == want[w].id &&
				    p->transforms[k].key_bits == want[w].key_bits) {
					found++;
					break;
				}
		if (found == n_want)
			return true;
	}
	return false;
}

/* Whether that section may be meant at all: a partner's by its proof alone, and then no other. */
static bool is_candidate(const struct ike_sa *sa, const struct peer *p)
{
	return sa->hs->partner ? sa->hs->partner == p : ike_may_call(p->conf);
}

/* How well a section fits what IKE_AUTH says: 0 not at all. */
static int fit(struct ike *ike, const struct peer *p, const struct wire_payloads *in,
	       const struct ike_sa *sa)
{
	const struct ike_peer_conf *c = p->conf;
	struct policy_ident id_i = { in->id_i.type, in->id_i.data };
	struct policy_ident id_r = { in->id_r.type, in->id_r.data };

	count(ike, C_COMPARED);
	if (!is_candidate(sa, p) || !policy_ident_match(&c->remote_id, &id_i))
		return 0;
	if (in->present & WIRE_BIT(WIRE_P_IDR) && !policy_ident_eq(&c->local_id, &id_r))
		return 0;
	if ((in->auth.method == WIRE_AUTH_PSK) != (c->auth == IKE_AUTH_PSK))
		return 0;
	/* The suite was chosen when the identity was unknown: it has to be one of this peer's. */
	if (!suite_allowed(c, &sa->suite))
		return 0;
	return policy_ident_eq(&c->remote_id, &id_i) ? 2 : 1;
}

struct best {
	struct peer *peer;
	int fit;
};

/* The better fit wins; of equal ones, whose section comes first in the file. */
static void consider(struct ike *ike, struct best *best, struct peer *p,
		     const struct wire_payloads *in, const struct ike_sa *sa)
{
	int f = fit(ike, p, in, sa);

	if (f > best->fit || (f && f == best->fit && p->conf < best->peer->conf))
		*best = (struct best){ p, f };
}

static struct peer *who(struct ike *ike, const struct ike_sa *sa, const struct wire_payloads *in)
{
	struct policy_ident id = { in->id_i.type, in->id_i.data };
	struct best best = { NULL, 0 };
	struct peer *p = NULL;

	if (sa->hs->partner)
		return fit(ike, sa->hs->partner, in, sa) ? sa->hs->partner : NULL;
	while ((p = peer_by_ident(ike, NULL, &id, p)))
		consider(ike, &best, p, in, sa);
	list_for_each(n, &ike->patterns)
		consider(ike, &best, CONTAINER_OF(n, struct section, pattern_node)->peer, in, sa);
	return best.peer;
}

/* The section chosen when the request came; NULL when it would not be chosen any more, or judges
 * otherwise: the configuration may have changed while a job was out. */
static struct peer *still(struct ike *ike, const struct attempt *at)
{
	const struct auth_r *l = at->locals;
	struct peer *p = peer_by_id(ike, l->section);

	if (!p || memcmp(p->conf->peer_digest, l->judged_by, sizeof(l->judged_by)) != 0)
		return NULL;
	return fit(ike, p, &at->inner, at->sa) ? p : NULL;
}

static const char stale[] = "the configuration changed during the handshake";

static void explain_peer(const struct ike_peer_conf *c, const struct policy_suite *suite,
			 struct text *t)
{
	text_fmt(t, "; \"%s\" wants ", c->name);
	policy_ident_text(t, &c->remote_id);
	text_add(t, " to ask for ");
	policy_ident_text(t, &c->local_id);
	text_add(t, c->auth == IKE_AUTH_PSK ? " with a pre-shared key" : " with a certificate");
	if (!suite_allowed(c, suite)) {
		text_add(t, " and to negotiate ");
		policy_sa_text(t, &c->ike);
	}
}

/* Sections of that identity, by name or by pattern; how many there are. */
static size_t explain_named(struct ike *ike, const struct ike_sa *sa, const struct policy_ident *id,
			    struct text *t)
{
	struct peer *p = NULL;
	size_t n_named = 0;

	while ((p = peer_by_ident(ike, NULL, id, p)))
		if (n_named++ < IKE_MAX_EXPLAINED)
			explain_peer(p->conf, &sa->suite, t);
	list_for_each(n, &ike->patterns) {
		p = CONTAINER_OF(n, struct section, pattern_node)->peer;
		if (policy_ident_match(&p->conf->remote_id, id) && n_named++ < IKE_MAX_EXPLAINED)
			explain_peer(p->conf, &sa->suite, t);
	}
	return n_named;
}

/* The first few of all that could be called. */
static void explain_some(struct ike *ike, const struct ike_sa *sa, struct text *t)
{
	size_t said = 0;

	for (size_t i = 0; i < ike->conf->n_peers && said < IKE_MAX_EXPLAINED; i++)
		if (ike_may_call(&ike->conf->peers[i])) {
			explain_peer(&ike->conf->peers[i], &sa->suite, t);
			said++;
		}
	if (ike->n_callable > said)
		text_fmt(t, "; and %zu more", ike->n_callable - said);
}

/* Nobody fits: say what came and what peers want instead, those of the identity if there are. */
static void explain_unknown(struct ike *ike, const struct ike_sa *sa,
			    const struct wire_payloads *in, struct text *t)
{
	struct policy_ident id_i = { in->id_i.type, in->id_i.data };
	struct policy_ident id_r = { in->id_r.type, in->id_r.data };
	bool psk = in->auth.method == WIRE_AUTH_PSK;

	text_add(t, "no configured peer fits: it calls itself ");
	policy_ident_text(t, &id_i);
	if (in->present & WIRE_BIT(WIRE_P_IDR)) {
		text_add(t, ", asks for ");
		policy_ident_text(t, &id_r);
	}
	text_fmt(t, ", authenticates with %s and negotiated ",
		 psk ? "a pre-shared key" : "a signature");
	policy_suite_text(t, &sa->suite);
	if (sa->hs->partner)
		explain_peer(sa->hs->partner->conf, &sa->suite, t);
	else if (!explain_named(ike, sa, &id_i, t))
		explain_some(ike, sa, t);
}

/* What of it fits no section of that identity: with one that is named, it is the rest. */
static enum ike_reason misfit(struct ike *ike, const struct ike_sa *sa,
			      const struct wire_payloads *in)
{
	struct policy_ident id_i = { in->id_i.type, in->id_i.data };
	struct policy_ident id_r = { in->id_r.type, in->id_r.data };
	const struct peer *p = sa->hs->partner;

	if (p && !policy_ident_eq(&p->conf->remote_id, &id_i))
		return IKE_R_IDENTITY;
	if (!p)
		p = peer_by_ident(ike, NULL, &id_i, NULL);
	list_for_each(n, &ike->patterns) {
		const struct peer *s = CONTAINER_OF(n, struct section, pattern_node)->peer;

		if (!p && policy_ident_match(&s->conf->remote_id, &id_i))
			p = s;
	}
	if (!p ||
	    (in->present & WIRE_BIT(WIRE_P_IDR) && !policy_ident_eq(&p->conf->local_id, &id_r)))
		return IKE_R_IDENTITY;
	return suite_allowed(p->conf, &sa->suite) ? IKE_R_KEY : IKE_R_PROPOSAL;
}

/* ---- the answer --------------------------------------------------------------------------- */

/* What comes of a request; everything of it can fail before anything changes. */
struct answer {
	struct peer *peer; /* whose the SA becomes; an instance may not be linked yet */
	struct agreement agreed;
	struct child *child;
	struct bytes message;
	struct policy_ident id;
	struct cred *cred;
	struct outbox ob;
};

/* HDR, SK {IDr, [CERT,] AUTH, [CP,] (SAr2, TSi, TSr | N)} */
static enum status build(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf,
			 const struct crypto_result *own, struct answer *answer)
{
	const struct agreement *a = &answer->agreed;
	const struct auth_r *l = at->locals;
	struct wire_out o;
	enum status st;

	msg_begin_sk(ike, at->sa, WIRE_IKE_AUTH, true, at->sa->win.next_recv, &o);
	wire_put_id(&o, WIRE_P_IDR, conf->local_id.type, conf->local_id.data);
	if (conf->auth == IKE_AUTH_CERT)
		for (size_t i = 0; i < conf->n_certs; i++)
			wire_put_cert(&o, WIRE_CERT_X509, conf->certs[i]);
	auth_put(&o, own);
	qcd_put(at->sa, &o);
	if (l->inner && !l->inner->refused)
		inner_r_put(answer->peer, &answer->id, l->inner, &o);
	if (l->gateway[0]) {
		steer_put(l->gateway, &o);
	} else if (a->notify) {
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), a->notify,
				bytes_of(NULL, 0));
	} else if (!l->childless) {
		st = agree_put_choice(&o, &at->mem, &a->c, a->number);
		if (st)
			return st;
		agree_put_ts(&o, &a->c);
	}
	life_put_first(ike, conf, cred_of(l->cred), &o);
	/* Without data: that it is in use (RFC 8784 section 3). */
	if (l->ppk)
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_PPK_IDENTITY,
				bytes_of(NULL, 0));
	if (mobike_supported(&at->inner))
		mobike_put_first(ike, conf, &at->sa->path, &o);
	capabilities_put(at->sa, conf, &o);
	return msg_end(ike, at->sa, &o, &answer->message);
}

static enum status make_child(struct ike *ike, struct ike_sa *sa, struct answer *a)
{
	struct child_seed seed = { .nonces = { sa->hs->nonce_i, sa->hs->nonce_r } };

	a->agreed.c.spi_in = child_pick_spi(ike);
	/* What it has works; the new one it cannot use before our answer has come and was judged.
	 */
	a->agreed.c.waits = peer_has_child(a->peer);
	return child_make(ike, sa, a->peer, &a->agreed.c, &seed, &a->ob, &a->child);
}

/* Who it is from now on: the section itself, or its instance for that identity. */
static enum status prepare_peer(struct ike *ike, const struct attempt *at, struct peer *section,
				struct answer *a)
{
	const struct auth_r *l = at->locals;
	struct policy_ident id = { at->inner.id_i.type, at->inner.id_i.data };
	struct bytes cred = bytes_of(NULL, 0);
	enum status st = ST_OK;

	at->sa->mobike = section->conf->mobike && mobike_supported(&at->inner);
	a->peer = section;
	if (peer_is_pattern(section->conf))
		st = instance_get(ike, section, &id, &a->peer);
	if (!st && l->cred.n)
		st = mem_dup(ike->mem, l->cred, &cred);
	a->cred = (struct cred *)(uintptr_t)cred.p;
	a->id.type = id.type;
	return st ? st : mem_dup(ike->mem, id.data, &a->id.data);
}

/* ST_OK also when none comes of it: then `agreed.notify` says so. */
static enum status prepare_child(struct ike *ike, struct attempt *at, struct answer *a)
{
	const struct auth_r *l = at->locals;
	struct claimant who = { a->peer, a->id, cred_of(l->cred),
				capabilities_of(at->sa, &at->inner) };
	struct text why = TEXT_OF(a->agreed.why);
	enum status st;

	if (l->inner && inner_r_refuses(&who, l->inner, &a->agreed))
		return ST_OK;
	if (l->childless || l->gateway[0])
		return ST_OK;
	if (a->peer->conf->childless == IKE_CHILDLESS_FORCE) {
		count(ike, C_CHILDLESS);
		a->agreed.notify = WIRE_N_NO_ADDITIONAL_SAS;
		a->agreed.reason = IKE_R_PROPOSAL;
		text_fmt(&why,
			 "\"%s\" has childless = force: the peer has to ask for it in an "
			 "exchange of its own",
			 a->peer->conf->name);
		return ST_OK;
	}
	st = agree_grant(ike, &at->mem, &who, &at->inner, false, &a->agreed);
	if (st == ST_OK)
		return make_child(ike, at->sa, a);
	if (st != ST_REFUSE)
		return st;
	if (!l->inner && inner_r_required(&at->mem, &who, &a->agreed))
		count(ike, C_CP_REQUIRED);
	else
		count(ike,
		      a->agreed.notify == WIRE_N_TS_UNACCEPTABLE ? C_TS_REFUSED : C_NO_PROPOSAL);
	return ST_OK;
}

/* Everything that can fail, before anything changes. */
static enum status prepare(struct ike *ike, struct attempt *at, struct peer *section,
			   const struct crypto_result *own, struct answer *a)
{
	const struct auth_r *l = at->locals;
	enum status st = prepare_peer(ike, at, section, a);

	if (st)
		return st;
	/* Before the child's keys are made of it.  Nothing goes on with it when this fails. */
	if (l->ppk)
		keys_use_d(&at->sa->keys, &at->sa->hs->ppk.d);
	st = prepare_child(ike, at, a);
	return st ? st : build(ike, at, section->conf, own, a);
}

static void abandon(struct ike *ike, struct answer *a)
{
	if (a->child) {
		claims_drop(ike, a->peer, a->child);
		child_free(ike, a->child);
	}
	instance_drop(ike, a->peer);
	mem_free(ike->mem, a->cred);
	mem_free(ike->mem, (void *)(uintptr_t)a->id.data.p);
	mem_free(ike->mem, (void *)(uintptr_t)a->message.p);
	outbox_drop(&a->ob);
}

static void commit(struct ike *ike, struct attempt *at, struct answer *a)
{
	struct ike_sa *sa = at->sa;
	struct auth_r *l = at->locals;
	bool fresh = wire_find_notify(&at->inner, WIRE_N_INITIAL_CONTACT) != NULL;
	bool wanted = !l->childless || a->agreed.notify;
	char gateway[IKE_GATEWAY_TEXT];

	memcpy(gateway, l->gateway, sizeof(gateway));
	sa->remote_id = a->id;
	sa->cred = a->cred;
	sa->ppk = l->ppk;
	sa->auth_remote = auth_name(ike, l->how);
	mobike_agree(ike, sa, &at->inner);
	capabilities_take(ike, sa, &at->inner);
	attempt_end(ike, at);
	if (!a->peer->section)
		instance_link(ike, a->peer);
	sa_set_peer(sa, a->peer);
	sa_established(ike, sa);
	if (!a->child)
		partner_useless(ike, sa, a->agreed.reason, a->agreed.why);
	lease_use(ike, sa);
	if (a->agreed.conflict[0]) {
		count(ike, C_CONFLICT);
		event_emit(ike, IKE_EV_CONFLICT,
			   (struct event_about){ .sa = sa, .reason = IKE_R_CONFLICT }, "%s",
			   a->agreed.conflict);
	}
	if (a->child) {
		outbox_commit(ike, &a->ob);
		child_link(ike, a->child);
	} else if (wanted && !gateway[0]) {
		peer_error(ike, a->peer, a->agreed.why);
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .sa = sa, .reason = a->agreed.reason },
			   "no child SA: %s", a->agreed.why);
	}
	/* The answer leaves after the data plane was told: the peer may use the child at once. */
	send_response(ike, sa, WIRE_IKE_AUTH, a->message);
	if (gateway[0])
		steer_told(ike, sa, gateway);
	steer_soon(ike, sa);
	if (fresh)
		sa_only(ike, sa);
	sa_settle(ike, sa);
}

static void signed_own(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct auth_r *l = at->locals;
	struct peer *section = still(ike, at);
	struct answer a = { 0 };

	if (!section || cred_revoked(section->conf, cred_of(l->cred)) ||
	    (section->conf->ppk_required && !l->ppk)) {
		refuse(ike, sa, NULL, C_ID_UNKNOWN, IKE_R_IDENTITY, stale);
		return;
	}
	if (r->status) {
		refuse(ike, sa, section, C_JOB_FAILED, IKE_R_INTERNAL, r->reason);
		return;
	}
	outbox_init(&a.ob, ike->mem);
	if (prepare(ike, at, section, r, &a)) {
		abandon(ike, &a);
		refuse(ike, sa, section, C_NO_MEMORY, IKE_R_INTERNAL, "out of memory");
		return;
	}
	sa->auth_local = auth_name(ike, r->auth.how);
	commit(ike, at, &a);
}

/* Whether the peer proved who it is, and is welcome still: what is not. */
static enum ike_reason unwelcome(struct attempt *at, const struct ike_peer_conf *conf,
				 const struct crypto_result *r, struct text *why)
{
	struct auth_r *l = at->locals;
	enum ike_reason reason = auth_verified(at, conf, r, l->how, why);

	if (reason || r->kind != CRYPTO_JOB_VERIFY)
		return reason;
	l->cred = cred_put(&at->mem, &r->cert);
	if (!l->cred.n) {
		text_add(why, "out of memory");
		return IKE_R_INTERNAL;
	}
	return IKE_R_NONE;
}

static void lease(struct ike *ike, struct attempt *at, struct peer *section);

/* The addresses that it waited for are stored, or not. */
static void stored(struct ike *ike, struct attempt *at, enum status st)
{
	struct auth_r *l = at->locals;
	struct peer *section = still(ike, at);

	if (!section) {
		refuse(ike, at->sa, NULL, C_ID_UNKNOWN, IKE_R_IDENTITY, stale);
		return;
	}
	if (st)
		inner_r_not_stored(ike, l->inner);
	lease(ike, at, section);
}

/* Then our own proof, when it has the inner addresses that it asks for, or is to have none. */
static void lease(struct ike *ike, struct attempt *at, struct peer *section)
{
	const struct auth_r *l = at->locals;
	const struct handshake *hs = at->sa->hs;
	struct policy_ident id = { at->inner.id_i.type, at->inner.id_i.data };
	enum status st = ST_OK;

	if (l->inner && !l->inner->refused)
		st = inner_r_lease(ike, at, section, &id, l->inner, stored);
	if (!st)
		st = auth_job_own(ike, at, section->conf, l->ppk ? &hs->ppk.pr : &hs->keys.pr,
				  false, signed_own);
	if (st && st != ST_AGAIN)
		refuse(ike, at->sa, section, C_NO_MEMORY, IKE_R_INTERNAL, "out of memory");
}

static void judged(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct auth_r *l = at->locals;
	struct ike_sa *sa = at->sa;
	struct peer *section = still(ike, at);
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum ike_reason reason;
	enum status st;

	if (!section) {
		refuse(ike, sa, NULL, C_ID_UNKNOWN, IKE_R_IDENTITY, stale);
		return;
	}
	reason = unwelcome(at, section->conf, r, &why);
	if (reason == IKE_R_KEY && l->ppk) {
		count(ike, C_PPK_REFUSED);
		ppk_explain(section->conf, &why);
	}
	if (reason) {
		refuse(ike, sa, section,
		       section->conf->auth == IKE_AUTH_CERT ? C_CERT_REFUSED : C_AUTH_FAILED,
		       reason, buf);
		return;
	}
	steer_auth(ike, at, section, l->gateway);
	st = l->gateway[0] ? ST_OK : inner_r_read(ike, at, section, &l->inner);
	if (st)
		refuse(ike, sa, section, C_NO_MEMORY, IKE_R_INTERNAL, "out of memory");
	else
		lease(ike, at, section);
}

static enum status judge(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf)
{
	const struct auth_r *l = at->locals;
	const struct handshake *hs = at->sa->hs;

	return auth_job_peer(ike, at, conf, l->ppk ? &hs->ppk.pi : &hs->keys.pi, true, judged);
}

static void mixed(struct ike *ike, struct attempt *at, const struct crypto_result *r);

/* The key in common goes into the keys, then it is judged who it is. */
static enum status mix(struct ike *ike, struct attempt *at, struct peer *section)
{
	if (!partner_of(section))
		return ppk_job(ike, at, section->conf, mixed);
	return partner_mix(ike, section, at->sa) ? ST_NOMEM : judge(ike, at, section->conf);
}

static void mixed(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct peer *section = still(ike, at);

	if (!section) {
		refuse(ike, sa, NULL, C_ID_UNKNOWN, IKE_R_IDENTITY, stale);
		return;
	}
	if (r->status) {
		refuse(ike, sa, section, C_JOB_FAILED, IKE_R_INTERNAL, r->reason);
		return;
	}
	sa->hs->ppk = r->ppk;
	if (judge(ike, at, section->conf))
		refuse(ike, sa, section, C_NO_MEMORY, IKE_R_INTERNAL, "out of memory");
}

/* Before anything is computed: what of the request this section does not have. */
static bool admissible(struct ike *ike, struct ike_sa *sa, struct peer *section,
		       struct wire_payloads *in, bool childless, bool *ret_ppk)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum ppk_choice ppk = ppk_choose(section->conf, sa->hs->peer_ppk, in, &why);

	*ret_ppk = ppk == PPK_USED;
	if (ppk == PPK_REFUSED) {
		refuse(ike, sa, section, C_PPK_REFUSED, IKE_R_KEY, buf);
		return false;
	}
	if (mobike_translated(section->conf, &sa->path, &ike->asked_from, in, &why)) {
		refuse_with(ike, sa, section, WIRE_N_UNEXPECTED_NAT_DETECTED, C_MOVE_TRANSLATED,
			    IKE_R_PATH, buf);
		return false;
	}
	if (!childless || section->conf->childless != IKE_CHILDLESS_NEVER)
		return true;
	text_fmt(&why, "the peer asks for no child, and \"%s\" has childless = never",
		 section->conf->name);
	refuse(ike, sa, section, C_CHILDLESS, IKE_R_PROPOSAL, buf);
	return false;
}

static enum status request(struct ike *ike, struct ike_sa *sa, struct rx *rx, bool childless)
{
	struct peer *section = who(ike, sa, rx->inner);
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	struct attempt *at;
	struct auth_r *l;
	enum status st;
	bool ppk;

	event_claimed(sa, &rx->inner->id_i);
	path_after_init(ike, &sa->path, rx->d);
	if (!section) {
		explain_unknown(ike, sa, rx->inner, &why);
		refuse(ike, sa, NULL, C_ID_UNKNOWN, misfit(ike, sa, rx->inner), buf);
		return ST_OK;
	}
	if (!admissible(ike, sa, section, rx->inner, childless, &ppk))
		return ST_OK;
	st = attempt_for_request(ike, sa, rx->ar, sizeof(*l), &at);
	if (st)
		return st;
	at->inner = *rx->inner;
	l = at->locals;
	l->section = section->id;
	memcpy(l->judged_by, section->conf->peer_digest, sizeof(l->judged_by));
	l->childless = childless;
	l->ppk = ppk;
	qcd_prepare(ike, sa, section->conf);
	st = ppk ? mix(ike, at, section) : judge(ike, at, section->conf);
	if (st)
		attempt_end(ike, at);
	return st;
}

enum status auth_r_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	return request(ike, sa, rx, false);
}

/* RFC 6023 section 3: who did not announce it does as if it had never heard of it, and so does who
 * gets half of a child. */
enum status auth_r_childless(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const uint64_t any = WIRE_BIT(WIRE_P_SA) | WIRE_BIT(WIRE_P_TSI) | WIRE_BIT(WIRE_P_TSR);

	bool half = rx->inner->present & any;

	if (sa->hs->childless && !half)
		return request(ike, sa, rx, true);
	count(ike, half ? C_PAYLOADS : C_CHILDLESS);
	answer_notify(ike, sa, WIRE_IKE_AUTH, WIRE_N_INVALID_SYNTAX, bytes_of(NULL, 0));
	sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_MALFORMED,
		half ? "the peer's IKE_AUTH request is malformed: a required payload is missing"
		     : "the peer's IKE_AUTH request asks for no child, which is not configured");
	return ST_OK;
}

enum status auth_r_eap(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	struct policy_ident id = { rx->inner->id_i.type, rx->inner->id_i.data };
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);

	event_claimed(sa, &rx->inner->id_i);
	policy_ident_text(&why, &id);
	text_add(&why, " sends no AUTH payload, which asks for EAP; make it use a certificate or a "
		       "pre-shared key");
	refuse(ike, sa, NULL, C_AUTH_FAILED, IKE_R_KEY, buf);
	return ST_OK;
}
