/*
 * shortcut.c - a shortcut: its memory, its states, and its end (site.h).
 */
#include "mesh/site.h"

#include <stdio.h>

struct shortcut *shortcut_with(const struct site *s, const struct policy_ident *partner)
{
	list_for_each(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (policy_ident_eq(&c->partner, partner))
			return c;
	}
	return NULL;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void shortcut_free(struct shortcut *c)
{
	struct mesh *m = c->net->m;

	probing_free(c);
	heap_disarm(&m->timers, &c->timer);
	list_del(&c->node);
	ident_done(m, &c->partner);
	ts_done(m, &c->ts_local);
	ts_done(m, &c->ts_remote);
	mem_free(m->mem, c->tries);
	mem_free(m->mem, c);
}

struct shortcut *shortcut_new(struct network *net, const struct word *w, const struct verdict *v)
{
	struct mesh *m = net->m;
	struct shortcut *c = mem_new(m->mem, sizeof(*c));

	if (!c)
		return NULL;
	list_init(&c->node);
	c->net = net;
	c->timer.kind = T_PARTNER;
	memcpy(c->id, w->msg.id, sizeof(c->id));
	c->hub = w->peer;
	c->boot = w->msg.boot;
	c->pq = w->msg.flags & WIRE_MESH_PQ;
	c->rests_on = v->rests_on;
	c->initiator = ident_order(&v->own, &v->partner) < 0;
	c->since = m->now.mono;
	if (ident_dup(m, &v->partner, &c->partner) || ts_dup(m, &v->ts_local, &c->ts_local) ||
	    ts_dup(m, &v->ts_remote, &c->ts_remote)) {
		shortcut_free(c);
		return NULL;
	}
	c->number = ++m->last_number;
	return c;
}

static void past_drop(struct shortcut *c)
{
	c->net->site->n_past--;
	shortcut_free(c);
}

void past_forget(struct site *s, const struct policy_ident *partner)
{
	list_for_each_safe(n, &s->past) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (policy_ident_eq(&c->partner, partner))
			past_drop(c);
	}
}

/* The oldest of which nobody has to hear any more; of too many the oldest. */
static struct shortcut *past_oldest(const struct site *s)
{
	list_for_each(n, &s->past) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if ((!c->owed && !c->unheard) || s->n_past >= MESH_UNSAID)
			return c;
	}
	return NULL;
}

void past_add(struct site *s, struct shortcut *c)
{
	struct shortcut *oldest;

	past_forget(s, &c->partner);
	while (s->n_past >= MESH_PAST && (oldest = past_oldest(s)))
		past_drop(oldest);
	list_add_tail(&s->past, &c->node);
	s->n_past++;
}

/* ---- telling people -------------------------------------------------------------------------- */

static enum ike_reason for_events(enum wire_mesh_reason r)
{
	static const uint8_t reasons[WIRE_MRS] = {
		[WIRE_MR_UNKNOWN_ATTRIBUTE] = IKE_R_MALFORMED,
		[WIRE_MR_MALFORMED] = IKE_R_MALFORMED,
		[WIRE_MR_NOT_A_HUB] = IKE_R_AUTHORISATION,
		[WIRE_MR_CONTEXT] = IKE_R_IDENTITY,
		[WIRE_MR_IDENTITY] = IKE_R_IDENTITY,
		[WIRE_MR_SELECTORS] = IKE_R_SELECTORS,
		[WIRE_MR_AUTHORITY] = IKE_R_AUTHORISATION,
		[WIRE_MR_POLICY] = IKE_R_POLICY,
		[WIRE_MR_LIMIT] = IKE_R_OVERLOAD,
		[WIRE_MR_DUPLICATE] = IKE_R_POLICY,
		[WIRE_MR_OLDER] = IKE_R_POLICY,
		[WIRE_MR_NO_CANDIDATES] = IKE_R_PATH,
		[WIRE_MR_NO_PATH] = IKE_R_PATH,
		[WIRE_MR_NO_ANSWER] = IKE_R_NO_ANSWER,
		[WIRE_MR_AUTHENTICATION] = IKE_R_KEY,
		[WIRE_MR_CERTIFICATE] = IKE_R_CERTIFICATE,
		[WIRE_MR_PROPOSAL] = IKE_R_PROPOSAL,
		[WIRE_MR_TS] = IKE_R_SELECTORS,
		[WIRE_MR_PARTNER_REFUSED] = IKE_R_PEER_SAID,
		[WIRE_MR_IDLE] = IKE_R_IDLE,
		[WIRE_MR_LOST] = IKE_R_NO_ANSWER,
		[WIRE_MR_WITHDRAWN] = IKE_R_POLICY,
		[WIRE_MR_EXPIRED] = IKE_R_NO_ANSWER,
		[WIRE_MR_SHUTDOWN] = IKE_R_POLICY,
		[WIRE_MR_INTERNAL] = IKE_R_INTERNAL,
		[WIRE_MR_PARTNER_ENDED] = IKE_R_PEER_SAID,
		[WIRE_MR_CONFLICT] = IKE_R_CONFLICT,
	};

	return (enum ike_reason)reasons[r];
}

struct mesh_about shortcut_about(const struct shortcut *c)
{
	return (struct mesh_about){ .peer = c->peer ? c->peer : c->hub,
				    .peer_name = c->net->section->name,
				    .identity = &c->partner,
				    .local = &c->local,
				    .remote = &c->remote,
				    .reason = c->reason ? for_events(c->reason) : IKE_R_NONE };
}

void shortcut_text(const struct shortcut *c, struct text *t)
{
	policy_ts_list_text(t, &c->ts_local);
	text_add(t, " === ");
	policy_ts_list_text(t, &c->ts_remote);
}

void shortcut_say_over(const struct shortcut *c)
{
	mesh_event(c->net->m,
		   c->stage == STAGE_FAILED ? IKE_EV_SHORTCUT_FAILED : IKE_EV_SHORTCUT_ENDED,
		   shortcut_about(c), "%s: %s", wire_mesh_reason_name(c->reason), c->text);
}

/* ---- states ---------------------------------------------------------------------------------- */

void shortcut_stage(struct shortcut *c, enum stage stage)
{
	c->stage = stage;
	c->since = c->net->m->now.mono;
}

void shortcut_close(struct shortcut *c, enum wire_mesh_reason reason, const char *text, bool failed)
{
	probing_free(c);
	heap_disarm(&c->net->m->timers, &c->timer);
	c->reason = reason;
	snprintf(c->text, sizeof(c->text), "%s", text);
	shortcut_stage(c, failed ? STAGE_FAILED : STAGE_ENDED);
	if (failed)
		c->net->m->failed[reason]++;
}

void shortcut_over(struct shortcut *c, enum wire_mesh_outcome outcome, enum wire_mesh_reason reason,
		   bool report, const char *text)
{
	struct site *s = c->net->site;
	struct mesh *m = c->net->m;

	shortcut_close(c, reason, text, outcome == WIRE_MO_FAILED || c->stage != STAGE_UP);
	shortcut_say_over(c);
	ike_partner_drop(m->ike, m->now, c->peer, c->text);
	c->peer = 0;
	site_owes(c, outcome);
	if (!report)
		c->owed = 0;
	list_del(&c->node);
	s->n_live--;
	past_add(s, c);
	site_speak(s);
}

void shortcut_path_found(struct shortcut *c, const struct mesh_try *way)
{
	struct mesh *m = c->net->m;

	c->local = way->local;
	c->remote = way->remote;
	c->rtt = way->rtt;
	ike_partner_measured(m->ike, m->now, c->peer, c->rtt);
	shortcut_stage(c, c->initiator ? STAGE_CONNECTING : STAGE_WAITING);
	if (c->initiator && ike_partner_connect(m->ike, m->now, c->peer, &c->local, &c->remote))
		shortcut_over(c, WIRE_MO_FAILED, WIRE_MR_INTERNAL, true,
			      "the engine could not call the partner");
}
