/*
 * auth_i.c - IKE_AUTH, initiator (RFC 7296 section 1.2).
 *
 *	HDR, SK {IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, [CP,] SAi2, TSi, TSr}  -->
 *			    <--  HDR, SK {IDr, [CERT,] AUTH, [CP,] SAr2, TSi, TSr}
 *
 * Without SA, TSi and TSr when the IKE SA is to begin childless (RFC 6023), with the notifies of
 * ppk.c when there is a PPK.
 */
#include "ike/inner.h"
#include "ike/partner.h"

/* ---- the request -------------------------------------------------------------------------- */

/* A pattern cannot be asked for, and a hub may have another name than the one we know. */
static bool asks_for_id(const struct ike_peer_conf *conf)
{
	return conf->role != IKE_ROLE_HUB && !policy_ident_is_pattern(&conf->remote_id);
}

/* Whether we know of no other SA with the peer: then it may drop those that it still has
 * (section 2.4), as after a restart of ours.  Who answers to a pattern may be one who called us; a
 * partner is for one SA. */
static bool first_contact(const struct peer *peer)
{
	if (partner_of(peer) || !list_empty(&peer->section->instances))
		return false;
	list_for_each(n, &peer->sas)
		if (CONTAINER_OF(n, const struct ike_sa, peer_node)->state == SA_UP)
			return false;
	return true;
}

static bool childless(const struct ike_sa *sa)
{
	return sa->peer->conf->childless == IKE_CHILDLESS_FORCE;
}

static enum status put_child(struct attempt *at, struct wire_out *o)
{
	const struct ike_sa *sa = at->sa;
	const struct ike_peer_conf *conf = sa->peer->conf;
	const struct wire_ts_list *local = inner_i_wanted(conf);
	struct wire_sa offer;
	uint8_t spi[4];
	enum status st;

	store_be32(spi, sa->hs->child_spi);
	st = agree_offer(&at->mem, &conf->esp, BYTES_OF(spi), false, NULL, &offer);
	if (st)
		return st;
	wire_put_sa(o, &offer);
	wire_put_ts(o, WIRE_P_TSI, local->ts, local->n);
	wire_put_ts(o, WIRE_P_TSR, conf->ts_remote.ts, conf->ts_remote.n);
	return ST_OK;
}

static enum status put_ppk(struct attempt *at, struct wire_out *o)
{
	const struct handshake *hs = at->sa->hs;
	enum status st = ppk_put_identity(o, &at->mem, at->sa->peer->conf->ppk_id);

	if (!st && hs->plain_auth.n)
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_NO_PPK_AUTH,
				hs->plain_auth);
	return st;
}

static enum status build(struct ike *ike, struct attempt *at, const struct crypto_result *own,
			 struct bytes *ret_owned)
{
	struct ike_sa *sa = at->sa;
	const struct ike_peer_conf *conf = sa->peer->conf;
	struct wire_out o;
	enum status st = ST_OK;

	msg_begin_sk(ike, sa, WIRE_IKE_AUTH, false, sa->win.next_send, &o);
	wire_put_id(&o, WIRE_P_IDI, conf->local_id.type, conf->local_id.data);
	if (conf->auth == IKE_AUTH_CERT)
		for (size_t i = 0; i < conf->n_certs; i++)
			wire_put_cert(&o, WIRE_CERT_X509, conf->certs[i]);
	if (first_contact(sa->peer))
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_INITIAL_CONTACT,
				bytes_of(NULL, 0));
	if (conf->auth == IKE_AUTH_CERT)
		wire_put_certreq(&o, WIRE_CERT_X509, conf->trust_hashes);
	if (asks_for_id(conf))
		wire_put_id(&o, WIRE_P_IDR, conf->remote_id.type, conf->remote_id.data);
	auth_put(&o, own);
	qcd_put(sa, &o);
	inner_i_put(sa->peer, &o);
	if (!childless(sa))
		st = put_child(at, &o);
	if (!st && sa->hs->ppk.d.n)
		st = put_ppk(at, &o);
	mobike_put_first(ike, conf, &sa->path, &o);
	capabilities_put(sa, conf, &o);
	return st ? st : msg_end(ike, sa, &o, ret_owned);
}

static void signed_own(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct bytes owned;

	if (r->status) {
		count(ike, C_JOB_FAILED);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, r->reason);
		return;
	}
	if (build(ike, at, r, &owned)) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
		return;
	}
	sa->auth_local = auth_name(ike, r->auth.how);
	attempt_end(ike, at);
	sa_set_state(ike, sa, SA_I_AUTH);
	send_request(ike, sa, WIRE_IKE_AUTH, owned);
}

static void no_memory(struct ike *ike, struct ike_sa *sa)
{
	count(ike, C_NO_MEMORY);
	sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
}

static void sign(struct ike *ike, struct attempt *at)
{
	struct ike_sa *sa = at->sa;
	const struct secret *pi = sa->hs->ppk.d.n ? &sa->hs->ppk.pi : &sa->hs->keys.pi;

	if (auth_job_own(ike, at, sa->peer->conf, pi, true, signed_own))
		no_memory(ike, sa);
}

/* Once for a responder that has no such PPK; now for one that has (RFC 8784 section 3). */
static void signed_plain(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct handshake *hs = at->sa->hs;

	if (r->status) {
		count(ike, C_JOB_FAILED);
		sa_fail(ike, at->sa, IKE_EV_REFUSED, IKE_R_INTERNAL, r->reason);
	} else if (mem_dup(ike->mem, bytes_of(r->auth.data, r->auth.len), &hs->plain_auth)) {
		no_memory(ike, at->sa);
	} else {
		sign(ike, at);
	}
}

static void mixed(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	const struct ike_peer_conf *conf = sa->peer->conf;

	if (r->status) {
		count(ike, C_JOB_FAILED);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, r->reason);
		return;
	}
	sa->hs->ppk = r->ppk;
	if (conf->ppk_required)
		sign(ike, at);
	else if (auth_job_own(ike, at, conf, &sa->hs->keys.pi, true, signed_plain))
		no_memory(ike, sa);
}

/* Ours of a suggestion, which no signer knows. */
static void mix_partners(struct ike *ike, struct attempt *at)
{
	if (partner_mix(ike, at->sa->peer, at->sa))
		sa_fail(ike, at->sa, IKE_EV_REFUSED, IKE_R_INTERNAL,
			"the key that a hub gave for this partner is gone");
	else
		sign(ike, at);
}

/* What the responder did not announce and cannot be gone without: is not worth an IKE_AUTH. */
static bool can_go_on(struct ike *ike, struct ike_sa *sa)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);

	if (conf->ppk_required && !(ppk_known(conf) && sa->hs->peer_ppk)) {
		count(ike, C_PPK_REFUSED);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_KEY,
			"a post-quantum pre-shared key is required, and the peer does not know of "
			"them or has none");
		return false;
	}
	if (mobike_translated(conf, &sa->path, &sa->path, NULL, &why)) {
		count(ike, C_MOVE_TRANSLATED);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_PATH, buf);
		return false;
	}
	if (childless(sa) && !sa->hs->childless) {
		count(ike, C_CHILDLESS);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_PROPOSAL,
			"childless = force, and the peer does not take an IKE SA without a child "
			"(RFC 6023)");
		return false;
	}
	return true;
}

void auth_i_begin(struct ike *ike, struct attempt *at)
{
	struct ike_sa *sa = at->sa;

	if (!can_go_on(ike, sa))
		return;
	sa->hs->child_spi = child_pick_spi(ike);
	qcd_prepare(ike, sa, sa->peer->conf);
	if (!ppk_known(sa->peer->conf) || !sa->hs->peer_ppk)
		sign(ike, at);
	else if (partner_of(sa->peer))
		mix_partners(ike, at);
	else if (ppk_job(ike, at, sa->peer->conf, mixed))
		no_memory(ike, sa);
}

/* ---- the answer --------------------------------------------------------------------------- */

struct auth_i {
	bool ppk; /* the responder uses it */
	struct bytes cred; /* empty: no certificate */
	char how[24];
};

static struct asked asked(const struct ike_sa *sa)
{
	const struct ike_peer_conf *conf = sa->peer->conf;

	return (struct asked){ .offer = &conf->esp,
			       .spi = sa->hs->child_spi,
			       .ts_local = &conf->ts_local,
			       .ts_remote = &conf->ts_remote };
}

/* What an answer gives us; everything of it can fail before anything changes. */
struct given {
	bool offered; /* a child: its payloads are there */
	struct inner *inner;
	struct child *child;
	struct outbox ob;
	enum ike_reason reason; /* why not */
	char why[IKE_EVENT_TEXT_MAX];
};

static enum ike_reason make_child(struct ike *ike, const struct attempt *at, struct given *g,
				  struct text *why)
{
	const struct auth_i *l = at->locals;
	struct ike_sa *sa = at->sa;
	struct claimant who = { .peer = sa->peer, .cred = cred_of(l->cred) };
	struct child_seed seed = { .nonces = { sa->hs->nonce_i, sa->hs->nonce_r },
				   .initiator = true };
	struct asked want = asked(sa);
	struct child_params c = { 0 };
	enum ike_reason reason;

	if (g->inner)
		want.ts_local = inner_i_got(g->inner);
	reason = agree_accept(&who, &want, &at->inner, &c, why);
	if (!reason && child_make(ike, sa, sa->peer, &c, &seed, &g->ob, &g->child)) {
		reason = IKE_R_INTERNAL;
		text_add(why, "out of memory");
	}
	return reason;
}

static void explain_no_child(struct ike *ike, const struct ike_sa *sa,
			     const struct wire_payloads *p, struct text *why)
{
	struct asked want = asked(sa);

	count(ike, C_PEER_REFUSED);
	agree_refused(sa->peer->conf, &want, p, why);
}

/* The inner addresses that we asked for, and the child, if there is to be one. */
static void take(struct ike *ike, const struct attempt *at, struct given *g)
{
	const uint64_t child_payloads =
		WIRE_BIT(WIRE_P_SA) | WIRE_BIT(WIRE_P_TSI) | WIRE_BIT(WIRE_P_TSR);
	const struct auth_i *l = at->locals;
	const struct ike_sa *sa = at->sa;
	struct text why = TEXT_OF(g->why);

	outbox_init(&g->ob, ike->mem);
	g->offered = !childless(sa) && (at->inner.present & child_payloads) == child_payloads;
	if (!childless(sa) && !g->offered) {
		g->reason = agree_refused_for(&at->inner);
		explain_no_child(ike, sa, &at->inner, &why);
		return;
	}
	if (inner_i_asks(sa->peer->conf))
		g->reason = inner_i_read(ike, at, cred_of(l->cred), &g->inner, &why);
	if (g->inner)
		inner_i_emit(sa->peer, g->inner, &g->ob);
	if (g->ob.failed) {
		g->reason = IKE_R_INTERNAL;
		text_add(&why, "out of memory");
	}
	if (!g->reason && g->offered)
		g->reason = make_child(ike, at, g, &why);
}

static void given_commit(struct ike *ike, struct ike_sa *sa, struct given *g)
{
	if (g->reason) {
		outbox_drop(&g->ob);
		inner_i_free(ike, g->inner);
		inner_i_refused(sa->peer);
		return;
	}
	outbox_commit(ike, &g->ob);
	if (g->inner)
		inner_i_commit(ike, sa->peer, g->inner);
	if (g->child)
		child_link(ike, g->child);
	else
		sa_want_child(ike, sa);
}

/* The peer is who it should be: the SA is up, with its child if there is one. */
static void authenticated(struct ike *ike, struct attempt *at, const struct policy_ident *id,
			  struct cred *cred)
{
	struct ike_sa *sa = at->sa;
	struct auth_i *l = at->locals;
	uint32_t child_spi = sa->hs->child_spi;
	mono_t asked_by = life_read(ike, &at->inner);
	struct given g = { 0 };

	if (l->ppk)
		keys_use_d(&sa->keys, &sa->hs->ppk.d);
	sa->mobike = sa->peer->conf->mobike && mobike_supported(&at->inner);
	take(ike, at, &g);

	/* commit */
	qcd_take(ike, sa, &at->inner);
	sa->ppk = l->ppk;
	sa->remote_id = *id;
	sa->cred = cred;
	sa->auth_remote = auth_name(ike, l->how);
	mobike_agree(ike, sa, &at->inner);
	capabilities_take(ike, sa, &at->inner);
	attempt_end(ike, at);
	if (g.reason) {
		peer_error(ike, sa->peer, g.why);
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .sa = sa, .reason = g.reason }, "%s", g.why);
	}
	sa_established(ike, sa);
	if (g.reason)
		partner_useless(ike, sa, g.reason, g.why);
	life_asked(ike, sa, asked_by);
	given_commit(ike, sa, &g);
	sa_settle(ike, sa);
	if (!g.reason || sa->state != SA_UP)
		return;
	/* The responder has a child that we have not: without a word it would send into a hole. And
	 * an SA in which we have no address is of no use (section 3.15.4). */
	if (inner_i_asks(sa->peer->conf))
		sa_delete(ike, sa, "no inner address");
	else if (g.offered && child_disown(ike, sa, child_spi))
		sa_delete(ike, sa, "its child was refused");
}

/* Identity, method and algorithms must be configured ones before anything is computed: what is
 * not. */
static enum ike_reason unexpected(const struct ike_sa *sa, const struct wire_payloads *p,
				  struct text *why)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	struct policy_ident id = { p->id_r.type, p->id_r.data };
	bool psk = p->auth.method == WIRE_AUTH_PSK;

	if (!policy_ident_match(&conf->remote_id, &id)) {
		text_add(why, "the peer calls itself ");
		policy_ident_text(why, &id);
		text_add(why, ", configured is ");
		policy_ident_text(why, &conf->remote_id);
		return IKE_R_IDENTITY;
	}
	if (psk != (conf->auth == IKE_AUTH_PSK)) {
		text_fmt(why, "the peer authenticates with %s, configured is %s",
			 psk ? "a pre-shared key" : "a signature",
			 conf->auth == IKE_AUTH_PSK ? "a pre-shared key" : "a certificate");
		return IKE_R_KEY;
	}
	if (!suite_allowed(conf, &sa->suite)) {
		policy_suite_text(why, &sa->suite);
		text_add(why, " was negotiated, which is configured no longer");
		return IKE_R_PROPOSAL;
	}
	return IKE_R_NONE;
}

/* Without a PPK it goes on only if the request left that open, and the configuration still does
 * (RFC 8784 section 3).  False: rejected. */
static bool ppk_as_wanted(struct ike *ike, struct ike_sa *sa, bool ppk)
{
	const struct handshake *hs = sa->hs;

	if (ppk || !(sa->peer->conf->ppk_required || (hs->ppk.d.n && !hs->plain_auth.n)))
		return true;
	count(ike, C_PPK_REFUSED);
	sa_reject(ike, sa, IKE_R_KEY,
		  "a post-quantum pre-shared key is required, and the peer goes without");
	return false;
}

/* Whether it proved who it is, and that is somebody we want to be connected to: what is not. */
static enum ike_reason unwelcome(struct attempt *at, const struct crypto_result *r,
				 struct text *why)
{
	const struct ike_peer_conf *conf = at->sa->peer->conf;
	struct policy_ident id = { at->inner.id_r.type, at->inner.id_r.data };
	struct auth_i *l = at->locals;
	enum ike_reason reason = auth_verified(at, conf, r, l->how, why);

	if (reason)
		return reason;
	if (r->kind == CRYPTO_JOB_VERIFY) {
		l->cred = cred_put(&at->mem, &r->cert);
		if (!l->cred.n) {
			text_add(why, "out of memory");
			return IKE_R_INTERNAL;
		}
	}
	if (conf->role != IKE_ROLE_HUB)
		return IKE_R_NONE;
	*why = (struct text){ why->p, 0, why->cap };
	why->p[0] = 0;
	return hub_accepted(conf, &id, cred_of(l->cred), why) ? IKE_R_NONE : IKE_R_IDENTITY;
}

static void judged(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct auth_i *l = at->locals;
	struct policy_ident id = { at->inner.id_r.type, at->inner.id_r.data };
	struct bytes name = bytes_of(NULL, 0), cred = name;
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	/* Again: the configuration may have changed while the job was out. */
	enum ike_reason reason = unexpected(sa, &at->inner, &why);

	if (reason) {
		count(ike, C_ID_UNKNOWN);
		sa_reject(ike, sa, reason, buf);
		return;
	}
	if (!ppk_as_wanted(ike, sa, l->ppk))
		return;
	reason = unwelcome(at, r, &why);
	if (reason == IKE_R_KEY && l->ppk) {
		count(ike, C_PPK_REFUSED);
		ppk_explain(sa->peer->conf, &why);
	}
	if (reason) {
		count(ike, sa->peer->conf->auth == IKE_AUTH_CERT ? C_CERT_REFUSED : C_AUTH_FAILED);
		sa_reject(ike, sa, reason, buf);
		return;
	}
	if (redirect_in_auth(&at->inner)) {
		redirect_i_auth(ike, at, redirect_in_auth(&at->inner));
		return;
	}
	if (mem_dup(ike->mem, id.data, &name) || (l->cred.n && mem_dup(ike->mem, l->cred, &cred)) ||
	    peer_bind(ike, sa->peer, &id)) {
		mem_free(ike->mem, (void *)(uintptr_t)name.p);
		mem_free(ike->mem, (void *)(uintptr_t)cred.p);
		count(ike, C_NO_MEMORY);
		sa_reject(ike, sa, IKE_R_INTERNAL, "out of memory");
		return;
	}
	id.data = name;
	authenticated(ike, at, &id, (struct cred *)(uintptr_t)cred.p);
}

/* Section 2.21.2: a responder that says one of these has no IKE SA, though its AUTH may be there.
 */
static bool refuses_sa(const struct wire_payloads *p)
{
	return wire_find_notify(p, WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD) ||
	       wire_find_notify(p, WIRE_N_INVALID_SYNTAX) ||
	       wire_find_notify(p, WIRE_N_AUTHENTICATION_FAILED);
}

enum status auth_i_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum ike_reason reason;
	struct attempt *at;
	enum status st;
	bool ppk;

	if (refuses_sa(rx->inner))
		return auth_i_refused(ike, sa, rx);
	event_claimed(sa, &rx->inner->id_r);
	request_done(ike, sa);
	reason = unexpected(sa, rx->inner, &why);
	if (reason) {
		count(ike, C_ID_UNKNOWN);
		sa_reject(ike, sa, reason, buf);
		return ST_OK;
	}
	ppk = sa->hs->ppk.d.n && wire_find_notify(rx->inner, WIRE_N_PPK_IDENTITY);
	if (!ppk_as_wanted(ike, sa, ppk))
		return ST_OK;
	st = attempt_new(ike, sa, rx->ar, sizeof(struct auth_i), &at);
	if (!st) {
		at->inner = *rx->inner;
		((struct auth_i *)at->locals)->ppk = ppk;
		st = auth_job_peer(ike, at, sa->peer->conf,
				   ppk ? &sa->hs->ppk.pr : &sa->hs->keys.pr, false, judged);
	}
	if (st)
		sa_reject(ike, sa, IKE_R_INTERNAL, "out of memory");
	return st;
}

enum status auth_i_refused(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = wire_find_error(rx->inner);
	const struct ike_peer_conf *conf = sa->peer->conf;
	const char *name = n ? wire_notify_name(n->type) : NULL;
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	count(ike, C_PEER_REFUSED);
	text_fmt(&t, "the peer refused IKE_AUTH with %s; we are ",
		 name ? name : "an unknown error");
	policy_ident_text(&t, &conf->local_id);
	text_fmt(&t, " with %s and asked for ",
		 conf->auth == IKE_AUTH_PSK ? "a pre-shared key" : "a certificate");
	policy_ident_text(&t, &conf->remote_id);
	if (sa->hs->ppk.d.n)
		ppk_explain(conf, &t);
	text_add(&t, "; its log says which of these it does not accept");
	if (n && n->type == WIRE_N_UNEXPECTED_NAT_DETECTED)
		text_add(&t, "; what it got had other addresses than we sent it with (RFC 4555 "
			     "section 3.9): a NAT, with nat = no, or an attacker");
	sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_PEER_SAID, buf);
	return ST_OK;
}
