/*
 * moving.c - where the messages of an IKE SA go, and where the packets of its children do.
 *
 * Both go the same way, but for one time: the peer has said that it is elsewhere and has not shown
 * it yet (RFC 4555 section 3.7).  Then its messages go there, and with return_routability = before
 * nothing else does; with `after` packets do as well, and come back when nobody answers.
 *
 *	moving_to()	 -> there, or `checking` when the address is one that it was not at before
 *	moving_proven()	 checking -> there
 *	moving_back()	 checking -> where it was
 *
 * Another port of the same address is no other place: a NAT has given it another one.
 */
#include "ike/internal.h"

struct moving *moving_get(struct ike *ike, struct ike_sa *sa)
{
	struct moving *m = sa->moving;

	if (m)
		return m;
	m = mem_new(ike->mem, sizeof(*m));
	if (!m) {
		count(ike, C_NO_MEMORY);
		return NULL;
	}
	m->sa = sa;
	m->moves = IKE_MOVES_BURST;
	m->counted = ike->now.mono;
	sa->moving = m;
	return m;
}

void moving_free(struct ike *ike, struct ike_sa *sa)
{
	struct moving *m = sa->moving;

	if (!m)
		return;
	if (m->lookup)
		map_remove(&ike->moving_by_lookup, &m->by_lookup);
	mem_free(ike->mem, m);
	sa->moving = NULL;
}

/* What is in flight on the old one is asked again on the new one: its answer comes too late, and
 * the hashes of NAT detection have the SPIs in them. */
void moving_inherit(struct ike *ike, struct ike_sa *from, struct ike_sa *to)
{
	struct moving *m = from->moving;

	to->mobike = from->mobike;
	to->announce = from->announce;
	from->announce = false;
	to->unrouted = from->unrouted;
	if (!m)
		return;
	moving_free(ike, to);
	from->moving = NULL;
	to->moving = m;
	m->sa = to;
	m->update.on |= m->request == MOVING_UPDATE;
	to->announce |= m->request == MOVING_UPDATE || m->request == MOVING_ADDRESSES;
	m->check |= m->request == MOVING_CHECK;
	m->request = MOVING_NOTHING;
	m->asked = m->several = m->tried = m->updated = false;
}

const struct path *moving_traffic(const struct ike_sa *sa)
{
	const struct moving *m = sa->moving;

	return m && m->checking && m->held ? &m->settled : &sa->path;
}

bool moving_away(const struct ike_sa *sa)
{
	return sa->moving && sa->moving->away;
}

unsigned moving_tries(const struct ike_sa *sa)
{
	return sa->moving && sa->moving->checking && !sa->called ? IKE_CHECK_TRIES : 0;
}

static bool same_place(const struct path *a, const struct path *b)
{
	return endpoint_eq(&a->local, &b->local) && endpoint_eq(&a->remote, &b->remote);
}

/* Its packets went along `before` until now. */
static void follow(struct ike *ike, struct ike_sa *sa, const struct path *before, const char *why)
{
	const struct path *now = moving_traffic(sa);
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];
	char old_local[ENDPOINT_TEXT_MAX], old_remote[ENDPOINT_TEXT_MAX];

	if (same_place(now, before) && now->encap == before->encap)
		return;
	list_for_each(n, &sa->children)
		child_move(ike, CONTAINER_OF(n, struct child, node));
	if (same_place(now, before))
		return;
	count(ike, C_MOVED);
	event_emit(ike, IKE_EV_MOVED,
		   (struct event_about){ .sa = sa, .local = &now->local, .remote = &now->remote },
		   "%s; from %s and %s to %s and %s", why, endpoint_text(&before->local, old_local),
		   endpoint_text(&before->remote, old_remote), endpoint_text(&now->local, local),
		   endpoint_text(&now->remote, remote));
}

/* Whether the peer has to show that it is there. */
static bool has_to_show(const struct ike_sa *sa, const struct path *to)
{
	const struct moving *m = sa->moving;
	const struct path *known = m && m->checking ? &m->settled : &sa->path;

	return m && sa->mobike && sa->peer->conf->return_routability != IKE_ROUTABILITY_NO &&
	       !ip_eq(&to->remote.ip, &known->remote.ip);
}

/* What is held goes on from an address that we still have. */
static void hold_from(struct moving *m, const struct path *to)
{
	bool ours = m->sa->called || endpoint_eq(&to->remote, &m->sa->path.remote);

	if (ours && to->local.ip.family == m->settled.local.ip.family)
		m->settled.local = to->local;
}

static void question(struct ike_sa *sa, const struct path *to)
{
	struct moving *m = sa->moving;
	bool check = has_to_show(sa, to);

	if (check && !m->checking)
		m->settled = sa->path;
	m->checking = check;
	if (check)
		hold_from(m, to);
	m->held = check && sa->peer->conf->return_routability == IKE_ROUTABILITY_BEFORE;
	/* Who decides asks with its update. */
	m->check = check && !sa->called;
}

void moving_to(struct ike *ike, struct ike_sa *sa, const struct path *to, const char *why)
{
	struct path before = *moving_traffic(sa);
	bool elsewhere = !same_place(to, &sa->path);

	if (elsewhere && sa->moving) {
		question(sa, to);
		sa->moving->several = sa->win.request.n;
	}
	sa->path = *to;
	if (elsewhere)
		mtu_search_moved(ike, sa);
	follow(ike, sa, &before, why);
	if (sa->state == SA_UP)
		liveness_begin(ike, sa);
}

void moving_proven(struct ike *ike, struct ike_sa *sa)
{
	struct path before = *moving_traffic(sa);
	struct moving *m = sa->moving;

	if (!m || !m->checking)
		return;
	m->checking = m->held = m->check = false;
	admit_seen(ike, &sa->path.remote.ip);
	follow(ike, sa, &before, "the peer has shown that it is there");
}

bool moving_back(struct ike *ike, struct ike_sa *sa)
{
	struct path before = *moving_traffic(sa);
	struct moving *m = sa->moving;
	char there[ENDPOINT_TEXT_MAX], back[ENDPOINT_TEXT_MAX];

	if (!m || !m->checking || sa->called || sa->state != SA_UP)
		return false;
	count(ike, C_MOVE_NOT_THERE);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = IKE_R_PATH },
		   "the peer said that it moved to %s, where nobody answers: it is taken to be at "
		   "%s, as before (return_routability)",
		   endpoint_text(&sa->path.remote, there), endpoint_text(&m->settled.remote, back));
	sa->path = m->settled;
	m->checking = m->held = m->check = false;
	m->several = true;
	mtu_search_moved(ike, sa);
	follow(ike, sa, &before, "nobody answers there");
	liveness_begin(ike, sa);
	request_moves(ike, sa);
	return true;
}
