/*
 * attach.c - a site on several hubs at once: which of them has its traffic.
 *
 * Each hub has a section of its own, with the same network and a rank, and all are up at the same
 * time.  Their children have the same remote prefix, the domain; one section *leads*, and the
 * others only receive (their children are paused in the data plane).  What comes in on any is
 * accepted.
 *
 *	                 leads                     leads
 *	rank 0   ----------------- suspect, gone          up .. settled ------------->
 *	rank 1   waits             ----------------------------------- waits
 *
 * Who leads goes on to lead until it is suspect, or has no child any more: then whoever stands
 * takes over at once, the lowest rank first.  One of a lower rank takes it back when it has stood
 * for IKE_ATTACH_SETTLE_S: a hub that has started again may not have the other members yet, nor the
 * other hubs.  When nobody stands firmly nothing changes: whoever is suspect may be heard again.
 *
 * The other end of it: what a hub has for a member that is up at several hubs, and does not answer
 * here, goes by the next shorter prefix, that of another hub.
 */
#include "ike/partner.h"

enum standing { STANDS_NOT, STANDS_SUSPECT, STANDS };

static bool has_carrier(const struct ike_sa *sa)
{
	list_for_each(n, &sa->children) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);

		if (c->sends && c->installed)
			return true;
	}
	return false;
}

static enum standing standing_of(const struct peer *p)
{
	enum standing best = STANDS_NOT;

	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa->state != SA_UP || !has_carrier(sa))
			continue;
		if (!sa->suspect)
			return STANDS;
		best = STANDS_SUSPECT;
	}
	return best;
}

static bool is_one_of(const struct peer *p, const char *network)
{
	return !p->removed && p->conf->network && strcmp(p->conf->network, network) == 0;
}

bool attach_others_stand(const struct ike *ike, const struct peer *p)
{
	if (!p->conf->network)
		return false;
	list_for_each(n, &ike->peers) {
		const struct peer *other = CONTAINER_OF(n, const struct peer, node);

		if (other != p && is_one_of(other, p->conf->network) && standing_of(other))
			return true;
	}
	return false;
}

bool attach_holds(const struct peer *p, const struct ike_sa *sa)
{
	if (p->section)
		return p->section->attach.yields;
	return sa->suspect && sa->capabilities & IKE_AT_SEVERAL &&
	       p->conf->role == IKE_ROLE_MEMBERS;
}

void attach_soon(struct ike *ike, const struct peer *p)
{
	if (p && p->section && p->conf->network)
		ike->attach_todo = true;
}

/* ---- who leads ------------------------------------------------------------------------------ */

static struct peer *leader_of(const struct ike *ike, const char *network)
{
	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (is_one_of(p, network) && p->section->attach.leads)
			return p;
	}
	return NULL;
}

/* Since when it stands. */
static enum standing look(struct ike *ike, struct peer *p)
{
	struct attach *a = &p->section->attach;
	enum standing s = standing_of(p);

	if (s == STANDS && !a->stands)
		a->since = ike->now.mono;
	a->stands = s == STANDS;
	if (s != STANDS)
		heap_disarm(&ike->timers, &a->settled);
	return s;
}

/* It is preferred to who leads, who is as good: in a while. */
static bool settled(struct ike *ike, struct peer *p)
{
	struct attach *a = &p->section->attach;
	mono_t due = mono_add(a->since, dur_s(IKE_ATTACH_SETTLE_S));

	if (!mono_before(ike->now.mono, due))
		return true;
	heap_arm(&ike->timers, &a->settled, due);
	return false;
}

static struct peer *elect(struct ike *ike, const char *network)
{
	struct peer *best = leader_of(ike, network);
	enum standing standing = best ? look(ike, best) : STANDS_NOT;

	if (!standing)
		best = NULL;
	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);
		enum standing s;

		if (p == best || !is_one_of(p, network))
			continue;
		s = look(ike, p);
		if (s < standing || !s)
			continue;
		if (s == standing && best->conf->rank < p->conf->rank)
			continue;
		if (s == standing && best->section->attach.leads &&
		    (s != STANDS || !settled(ike, p)))
			continue;
		best = p;
		standing = s;
	}
	return best;
}

static void tell(struct ike *ike, struct peer *p)
{
	list_for_each(n, &p->sas)
		children_tell(ike, CONTAINER_OF(n, struct ike_sa, peer_node));
}

static void say_lead(struct ike *ike, const struct peer *from, const struct peer *to)
{
	event_emit(ike, IKE_EV_ATTACHED, (struct event_about){ .peer = to },
		   "traffic of the network goes by \"%s\" now%s%s%s", to->name,
		   from ? ", not by \"" : "", from ? from->name : "", from ? "\"" : "");
}

/* Who begins to send does so before others stop. */
static void lead(struct ike *ike, const char *network, struct peer *to)
{
	struct peer *from = leader_of(ike, network);

	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (!is_one_of(p, network))
			continue;
		p->section->attach.leads = p == to;
		p->section->attach.yields = to && p != to;
		if (p == to)
			heap_disarm(&ike->timers, &p->section->attach.settled);
	}
	if (to)
		tell(ike, to);
	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (p != to && is_one_of(p, network))
			tell(ike, p);
	}
	if (to && to != from) {
		count(ike, C_ATTACHED);
		say_lead(ike, from, to);
	}
}

void attach_run(struct ike *ike)
{
	if (!ike->attach_todo)
		return;
	ike->attach_todo = false;
	if (ike->shutdown)
		return;
	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		/* Once for each network. */
		if (!p->removed && p->conf->network && p->conf->rank == 0)
			lead(ike, p->conf->network, elect(ike, p->conf->network));
	}
}

void attach_timer(struct ike *ike)
{
	ike->attach_todo = true;
}

/* What goes away sends nothing more all the same. */
void attach_reconfigured(struct ike *ike)
{
	ike->attach_todo = true;
	list_for_each(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);
		struct attach *a = &p->section->attach;

		if (p->conf->network && !p->removed)
			continue;
		heap_disarm(&ike->timers, &a->settled);
		a->leads = a->stands = false;
		if (p->removed || !a->yields)
			continue;
		a->yields = false;
		tell(ike, p);
	}
}
