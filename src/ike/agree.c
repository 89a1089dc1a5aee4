/*
 * agree.c - the terms of a child SA (RFC 7296 sections 1.2, 1.3.1, 2.7, 2.9): what is asked for,
 * what is granted, whether an answer will do.  The same in IKE_AUTH and in CREATE_CHILD_SA.
 *
 * Nothing here changes an SA.
 */
#include "ike/partner.h"

/* ---- asking ------------------------------------------------------------------------------- */

static bool allows(const struct wire_sa *conf, const struct wire_proposal *p)
{
	struct text unsaid = { 0 };
	struct wire_sa one = { p, 1 };
	struct policy_suite suite;
	struct bytes spi;
	uint8_t number;

	return policy_select(conf, &one, false, &unsaid, &suite, &number, &spi) == ST_OK;
}

/* A proposal of its own for what is in use, if the configuration still allows it: a successor
 * SHOULD NOT have other algorithms (section 2.8). */
static enum status keep_suite(struct arena *ar, const struct wire_sa *conf,
			      const struct policy_suite *suite, struct bytes spi,
			      struct wire_proposal *to, size_t *n)
{
	enum status st = policy_suite_proposal(ar, suite, 1, spi, to);

	if (st || conf->n >= WIRE_MAX_PROPOSALS)
		return st;
	/* It may be what comes first anyway. */
	*n = allows(conf, to) && !(conf->proposals[0].n_transforms == to->n_transforms &&
				   allows(&(struct wire_sa){ conf->proposals, 1 }, to));
	return ST_OK;
}

enum status agree_offer(struct arena *ar, const struct wire_sa *conf, struct bytes spi, bool ke,
			const struct policy_suite *first, struct wire_sa *ret)
{
	struct wire_proposal *p = arena_new(ar, (conf->n + 1) * sizeof(*p));
	size_t n_first = 0;
	enum status st = ST_NOMEM;

	if (p && arena_dup(ar, spi, &spi) == ST_OK)
		st = first ? keep_suite(ar, conf, first, spi, p, &n_first) : ST_OK;
	for (size_t i = 0; i < conf->n && !st; i++) {
		const struct wire_proposal *from = &conf->proposals[i];
		struct wire_transform *t = arena_new(ar, from->n_transforms * sizeof(*t));
		size_t n = 0;

		if (!t)
			return ST_NOMEM;
		for (size_t k = 0; k < from->n_transforms; k++)
			if (ke || from->transforms[k].type != WIRE_T_KE)
				t[n++] = from->transforms[k];
		p[n_first + i] = (struct wire_proposal){ (uint8_t)(n_first + i + 1), from->proto,
							 spi, t, n };
	}
	if (!st)
		*ret = (struct wire_sa){ p, n_first + conf->n };
	return st;
}

/* ---- granting ----------------------------------------------------------------------------- */

/* Another hub (docs/protocol/shortcut.md section 9.2): the domain is its members', and ours. */
static bool represents(const struct claimant *who)
{
	const struct ike_peer_conf *conf = who->peer->conf;

	return conf->role == IKE_ROLE_MEMBERS && conf->domain.n &&
	       who->capabilities & IKE_CAN_RELAY && who->cred && who->cred->has_blocks &&
	       policy_blocks_cover(who->cred->blocks, who->cred->n_blocks, &conf->domain);
}

/* TSi of a member of our network: what it is authorised for, and nobody else has up. */
static enum status narrow_member(struct ike *ike, struct arena *ar, const struct claimant *who,
				 const struct wire_ts_list *asked, struct agreement *a,
				 struct text *why)
{
	struct text conflict = TEXT_OF(a->conflict);
	struct wire_ts_list allowed;
	char buf[IKE_EVENT_TEXT_MAX];
	struct text by = TEXT_OF(buf);
	enum status st = member_authorise(ar, who->peer, &who->id, who->cred, &by, &allowed);

	a->reason = IKE_R_AUTHORISATION;
	if (st == ST_REFUSE) {
		text_add(why, "it asks for ");
		policy_ts_list_text(why, asked);
		text_add(why, ", but ");
		text_add(why, buf);
	}
	if (!st) {
		st = policy_ts_narrow(ar, asked, &allowed, why, &a->c.ts_remote);
		if (st == ST_REFUSE)
			text_fmt(why, ", by %s", buf);
	}
	if (st)
		return st;
	a->c.represents = represents(who);
	if (a->c.represents)
		return ST_OK;
	st = claims_resolve(ike, ar, who->peer, &who->id, &allowed, &a->c.ts_remote, &conflict,
			    why);
	/* Without a conflict it was a selector that cannot be had. */
	a->reason = a->conflict[0] ? IKE_R_CONFLICT : IKE_R_SELECTORS;
	return st;
}

static enum status grant_selectors(struct ike *ike, struct arena *ar, const struct claimant *who,
				   const struct wire_payloads *in, struct agreement *a,
				   struct text *why)
{
	const struct ike_peer_conf *conf = who->peer->conf;
	struct wire_ts_list allowed;
	enum status st;

	a->notify = WIRE_N_TS_UNACCEPTABLE;
	a->reason = IKE_R_SELECTORS;
	if (conf->role == IKE_ROLE_MEMBERS) {
		st = narrow_member(ike, ar, who, &in->ts_i, a, why);
	} else if (conf->role == IKE_ROLE_PARTNER) {
		a->reason = IKE_R_AUTHORISATION;
		st = partner_authorise(ar, who->peer, who->cred, why, &allowed);
		if (!st)
			st = policy_ts_narrow(ar, &in->ts_i, &allowed, why, &a->c.ts_remote);
	} else {
		st = fixed_authorise(ar, who->peer, &who->id, &allowed);
		if (!st)
			st = policy_ts_narrow(ar, &in->ts_i, &allowed, why, &a->c.ts_remote);
	}
	if (st)
		return st;
	a->reason = IKE_R_SELECTORS;
	return policy_ts_narrow(ar, &in->ts_r, &conf->ts_local, why, &a->c.ts_local);
}

enum status agree_grant(struct ike *ike, struct arena *ar, const struct claimant *who,
			const struct wire_payloads *in, bool ke, struct agreement *a)
{
	struct text why = TEXT_OF(a->why);
	struct bytes spi;
	enum status st = policy_select(&who->peer->conf->esp, &in->sa, !ke, &why, &a->c.suite,
				       &a->number, &spi);

	a->conflict[0] = 0;
	a->notify = WIRE_N_NO_PROPOSAL_CHOSEN;
	a->reason = IKE_R_ESP_PROPOSAL;
	if (st)
		return st;
	if (spi.n != 4 || load_be32(spi.p) < IKE_MIN_ESP_SPI) {
		text_add(&why, "the child's SPI is not one");
		return ST_REFUSE;
	}
	a->c.spi_out = load_be32(spi.p);
	st = grant_selectors(ike, ar, who, in, a, &why);
	if (st)
		return st;
	a->notify = 0;
	a->reason = IKE_R_NONE;
	a->why[0] = 0;
	return ST_OK;
}

enum status agree_put_choice(struct wire_out *o, struct arena *ar, const struct child_params *c,
			     uint8_t number)
{
	struct wire_proposal choice;
	struct wire_sa sa = { &choice, 1 };
	uint8_t raw[4];
	enum status st;

	store_be32(raw, c->spi_in);
	st = policy_suite_proposal(ar, &c->suite, number, BYTES_OF(raw), &choice);
	if (!st)
		wire_put_sa(o, &sa);
	return st;
}

void agree_put_ts(struct wire_out *o, const struct child_params *c)
{
	wire_put_ts(o, WIRE_P_TSI, c->ts_remote.ts, c->ts_remote.n);
	wire_put_ts(o, WIRE_P_TSR, c->ts_local.ts, c->ts_local.n);
}

/* ---- accepting ---------------------------------------------------------------------------- */

static void pair_text(struct text *t, const struct wire_ts_list *a, const struct wire_ts_list *b)
{
	policy_ts_list_text(t, a);
	text_add(t, " === ");
	policy_ts_list_text(t, b);
}

enum ike_reason agree_accept(const struct claimant *who, const struct asked *asked,
			     const struct wire_payloads *in, struct child_params *c,
			     struct text *why)
{
	const struct ike_peer_conf *conf = who->peer->conf;
	struct bytes spi;

	c->represents = represents(who);
	if (policy_accept(asked->offer, &in->sa, !asked->ke, why, &c->suite, &spi))
		return IKE_R_ESP_PROPOSAL;
	if (spi.n != 4 || load_be32(spi.p) < IKE_MIN_ESP_SPI) {
		text_add(why, "its SPI is not one");
		return IKE_R_ESP_PROPOSAL;
	}
	if (!in->ts_i.n || !in->ts_r.n || !policy_ts_subset(&in->ts_i, asked->ts_local) ||
	    !policy_ts_subset(&in->ts_r, asked->ts_remote)) {
		text_add(why, "the peer answered with selectors ");
		pair_text(why, &in->ts_i, &in->ts_r);
		text_add(why, ", which are not within ours, ");
		pair_text(why, asked->ts_local, asked->ts_remote);
		return IKE_R_SELECTORS;
	}
	if (conf->role == IKE_ROLE_HUB && !hub_may_source(conf, who->cred, &in->ts_r, why))
		return IKE_R_AUTHORISATION;
	if (conf->role == IKE_ROLE_PARTNER &&
	    !partner_may_source(who->peer, who->cred, &in->ts_r, why))
		return IKE_R_AUTHORISATION;
	c->spi_in = asked->spi;
	c->spi_out = load_be32(spi.p);
	c->ts_local = in->ts_i;
	c->ts_remote = in->ts_r;
	return IKE_R_NONE;
}

enum ike_reason agree_refused_for(const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_error(in);

	return n && (n->type == WIRE_N_INTERNAL_ADDRESS_FAILURE ||
		     n->type == WIRE_N_FAILED_CP_REQUIRED)
		       ? IKE_R_ADDRESS
		       : IKE_R_PEER_SAID;
}

void agree_refused(const struct ike_peer_conf *conf, const struct asked *asked,
		   const struct wire_payloads *in, struct text *why)
{
	const struct wire_notify *n = wire_find_error(in);
	const char *name = n ? wire_notify_name(n->type) : "without saying why";

	text_add(why, "the peer made no child SA: ");
	if (name)
		text_add(why, name);
	else
		text_fmt(why, "error %u", n->type);
	if (n && n->type == WIRE_N_TS_UNACCEPTABLE) {
		text_add(why, "; we asked for ");
		pair_text(why, asked->ts_local, asked->ts_remote);
		if (conf->role == IKE_ROLE_HUB)
			text_add(why, "; a hub grants what is in our certificate's address blocks, "
				      "or in a member rule of its own, and nobody else has up");
	} else if (n && n->type == WIRE_N_INTERNAL_ADDRESS_FAILURE) {
		text_add(why, "; no inner address of its pool is free, or it cannot store whose "
			      "they are: its \"warren why\" with our identity says which");
	} else if (n && n->type == WIRE_N_FAILED_CP_REQUIRED) {
		text_add(why, "; it grants us nothing but an inner address, and we asked for none");
	} else if (n && n->type == WIRE_N_NO_PROPOSAL_CHOSEN) {
		text_add(why, "; we offered ");
		policy_sa_text(why, asked->offer);
	}
}
