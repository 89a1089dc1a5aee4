/*
 * agenda.c - what an SA does next.
 *
 * The window is one, so an SA that wants several things does them one after the other.  What it
 * still has to do is not a queue of messages but what its state says: bits on the SA and on its
 * children.  Whenever the window may have become free, or something is wanted, or a pause is over,
 * the first of these is done that can be:
 *
 *	delete the IKE SA > move > delete children > rekey the IKE SA > rekey a child >
 *	another child > probe > our QCD token > send it on to another gateway > words of upper
 *	modules > probe of the path MTU
 *
 * So a wish that makes no sense any more is just not there, and nothing has to be taken back.  It
 * happens at the end of an entry (engine.c), when all that led to it has been committed.
 */
#include "ike/internal.h"

/* ---- wishes ------------------------------------------------------------------------------- */

void wish_failed(struct ike *ike, struct wish *w)
{
	int64_t secs = IKE_CREATE_RETRY_FIRST_S;

	for (unsigned i = 0; i < w->failures && secs < IKE_CREATE_RETRY_LAST_S; i++)
		secs *= 2;
	if (secs > IKE_CREATE_RETRY_LAST_S)
		secs = IKE_CREATE_RETRY_LAST_S;
	w->after = mono_add(ike->now.mono, jitter(ike, dur_s(secs)));
	if (w->failures < UINT8_MAX)
		w->failures++;
}

void wish_granted(struct wish *w)
{
	*w = (struct wish){ 0 };
}

bool wish_due(const struct ike *ike, const struct wish *w)
{
	return w->on && !mono_before(ike->now.mono, w->after);
}

void child_want_rekey(struct ike *ike, struct child *c)
{
	if (c->state != CHILD_UP)
		return;
	c->rekey.on = true;
	agenda_soon(ike, c->sa);
}

void sa_want_rekey(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state != SA_UP)
		return;
	sa->rekey.on = true;
	agenda_soon(ike, sa);
}

void sa_want_child(struct ike *ike, struct ike_sa *sa)
{
	/* Of a peer that may have nothing but what we lease to it. */
	if (!sa->peer->conf->ts_remote.n)
		return;
	sa->more.on = true;
	agenda_soon(ike, sa);
}

/* ---- choosing ----------------------------------------------------------------------------- */

void agenda_soon(struct ike *ike, struct ike_sa *sa)
{
	if (list_empty(&sa->todo))
		list_add_tail(&ike->todo, &sa->todo);
}

static bool busy(const struct ike_sa *sa)
{
	return sa->win.request.n || sa->attempt || sa->create;
}

/* The peer rekeyed, and may not have our answer yet: it knows this one for sure when it deletes the
 * old one. */
static bool unproven(const struct ike_sa *sa)
{
	return sa->predecessor && sa->predecessor->state == SA_REPLACED;
}

static bool any_doomed(const struct ike *ike, const struct ike_sa *sa)
{
	list_for_each(n, &sa->leaving) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);

		if (c->state == CHILD_DOOMED && !child_unproven(ike, c))
			return true;
	}
	return false;
}

static struct child *child_to_rekey(const struct ike *ike, const struct ike_sa *sa)
{
	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->state == CHILD_UP && c->installed && wish_due(ike, &c->rekey) &&
		    !child_unproven(ike, c))
			return c;
	}
	return NULL;
}

/* Nothing new is made while the peer makes something: it would be refused (section 2.25). */
static bool create(struct ike *ike, struct ike_sa *sa)
{
	struct child *c;

	if (sa->answering || ike->shutdown)
		return false;
	c = child_to_rekey(ike, sa);
	if (wish_due(ike, &sa->rekey))
		create_start(ike, sa, CREATE_REKEY_SA, NULL);
	else if (c)
		create_start(ike, sa, CREATE_REKEY_CHILD, c);
	else if (wish_due(ike, &sa->more))
		create_start(ike, sa, CREATE_CHILD, NULL);
	return busy(sa);
}

/* A wish that waits for its own pause, or for `proof`. */
static void first(mono_t *when, const struct wish *w, mono_t proof)
{
	mono_t after = mono_before(w->after, proof) ? proof : w->after;

	if (w->on)
		*when = mono_min(*when, after);
}

/* When the first of the pauses is over. */
static void wait(struct ike *ike, struct ike_sa *sa, bool short_of_memory)
{
	mono_t when = MONO_NEVER;

	first(&when, &sa->rekey, (mono_t){ 0 });
	first(&when, &sa->more, (mono_t){ 0 });
	if (sa->moving)
		first(&when, &sa->moving->update, (mono_t){ 0 });
	list_for_each(n, &sa->children) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);

		if (c->state == CHILD_UP && c->installed)
			first(&when, &c->rekey, c->unproven);
	}
	list_for_each(n, &sa->leaving) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);

		if (c->state == CHILD_DOOMED)
			when = mono_min(when, c->unproven);
	}
	if (short_of_memory)
		when = mono_add(ike->now.mono, ike->conf->retransmit_timeout);
	/* What is due already waits for the peer's exchange, whose end leads here. */
	if (mono_before(ike->now.mono, when) && mono_before(when, MONO_NEVER))
		heap_arm(&ike->timers, &sa->retransmit, when);
}

/* False: something there was no memory for. */
static bool tell_data_plane(struct ike *ike, struct ike_sa *sa)
{
	bool ok = true;

	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		ok = child_tell_path(ike, c) && child_tell_sends(ike, c) && ok;
	}
	return ok;
}

static void established(struct ike *ike, struct ike_sa *sa)
{
	bool ok = tell_data_plane(ike, sa);

	if (mobike_urgent(ike, sa))
		create_yield(ike, sa);
	if (busy(sa) || moving_away(sa))
		return;
	if (mobike_wants(ike, sa, unproven(sa)))
		ok = mobike_next(ike, sa) && ok;
	else if (unproven(sa))
		return;
	else if (any_doomed(ike, sa))
		ok = info_delete_children(ike, sa) && ok;
	else if (!create(ike, sa) && sa->probe)
		ok = info_ask(ike, sa) && ok;
	else if (sa->token_due && !busy(sa))
		ok = qcd_announce(ike, sa) && ok;
	else if (!busy(sa) && steer_wants(sa))
		ok = steer_next(ike, sa) && ok;
	else if (!busy(sa) && words_wait(sa))
		ok = words_next(ike, sa) && ok;
	else if (!busy(sa) && sa->searching)
		ok = mtu_search_go_on(ike, sa) && ok;
	if (!busy(sa))
		wait(ike, sa, !ok);
}

void agenda_run(struct ike *ike)
{
	while (!list_empty(&ike->todo)) {
		struct ike_sa *sa = CONTAINER_OF(ike->todo.next, struct ike_sa, todo);

		list_del(&sa->todo);
		if (sa->state == SA_UP)
			established(ike, sa);
		else if (sa->state == SA_DELETING && !busy(sa))
			info_delete(ike, sa, 0);
		else if (sa->state == SA_REPLACED && !busy(sa) && mobike_wants(ike, sa, true))
			(void)mobike_next(ike, sa);
	}
}
