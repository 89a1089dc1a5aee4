/*
 * network.c - our host's addresses and routes, and what follows when they change.
 *
 * Nothing is guessed: how a peer is reached now is what RESOLVE answers for its address, the one in
 * use first, then the others that it told us.  Of an SA that we called for:
 *
 *	another source address	it moves (RFC 4555), or without MOBIKE another SA is made
 *	the same one		what is between may be new all the same: the peer is asked, which
 *				also keeps a NAT's mapping, or finds another
 *	none at all		it waits: nothing is sent, and no try counts
 *
 * Who was called moves only when its address is gone, and tells the peer what addresses it has;
 * with thousands of SAs that takes a while.  Attempts to connect begin anew.
 */
#include "ike/partner.h"

bool network_has(const struct ike *ike, const struct ip *ip)
{
	for (size_t i = 0; i < ike->n_own; i++)
		if (ip_eq(&ike->own[i], ip))
			return true;
	return false;
}

/* ---- look-ups ------------------------------------------------------------------------------ */

static bool same_lookup(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct moving, by_lookup)->lookup == *(const uint64_t *)key;
}

static uint64_t lookup_hash(const struct ike *ike, uint64_t lookup)
{
	return map_hash(&ike->moving_by_lookup, bytes_of(&lookup, sizeof(lookup)));
}

/* 0: none, and the result of one before finds nobody. */
static void set_lookup(struct ike *ike, struct moving *m, uint64_t lookup)
{
	if (m->lookup)
		map_remove(&ike->moving_by_lookup, &m->by_lookup);
	m->lookup = lookup;
	if (lookup)
		map_insert(&ike->moving_by_lookup, &m->by_lookup, lookup_hash(ike, lookup));
}

/* Address number 0 is the one in use. */
static const struct ip *candidate(const struct ike_sa *sa, size_t i)
{
	return i == 0 ? &sa->path.remote.ip : mobike_peer(sa, i - 1);
}

static bool ask(struct ike *ike, struct moving *m, const struct ip *ip)
{
	struct outbox ob;
	struct out_item *it;
	char *name;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_RESOLVE);
	name = it ? arena_new(&it->mem, IP_TEXT_MAX) : NULL;
	if (!name) {
		outbox_drop(&ob);
		count(ike, C_NO_MEMORY);
		return false;
	}
	set_lookup(ike, m, ++ike->last_resolve);
	it->out.u.resolve.id = m->lookup;
	it->out.u.resolve.name = ip_text(ip, name);
	outbox_commit(ike, &ob);
	return true;
}

static void again_later(struct ike *ike, struct ike_sa *sa)
{
	sa->unrouted = true;
	if (!ike->network.armed)
		heap_arm(&ike->timers, &ike->network, mono_add(ike->now.mono, dur_s(1)));
}

void network_look_up(struct ike *ike, struct ike_sa *sa, size_t i)
{
	struct moving *m = moving_get(ike, sa);
	const struct ip *ip = m ? candidate(sa, i) : NULL;

	if (m)
		m->candidate = (uint8_t)i;
	if (!ip || !ask(ike, m, ip))
		again_later(ike, sa);
}

/* ---- what comes of them -------------------------------------------------------------------- */

/* The way is the same as before, but may lead through other boxes. */
static void same_way(struct ike *ike, struct ike_sa *sa)
{
	bool was_away = moving_away(sa);

	sa->moving->away = false;
	if (was_away)
		request_moves(ike, sa);
	info_probe(ike, sa);
}

static const char why[] = "our addresses or routes have changed";

static void go(struct ike *ike, struct ike_sa *sa, const struct endpoint *local,
	       const struct endpoint *remote)
{
	struct path to = sa->path;

	if (sa->called && sa->mobike && sa->state == SA_UP) {
		mobike_go(ike, sa, local, remote, why);
		return;
	}
	sa->moving->away = false;
	to.local = *local;
	to.remote = *remote;
	moving_to(ike, sa, &to, why);
	sa->announce |= sa->mobike;
	mobike_old_too(ike, sa);
	request_moves(ike, sa);
	/* Without MOBIKE it follows at best, to where it is asked from. */
	info_probe(ike, sa);
}

/* Section 3.5: who was called leaves an address only when it has to. */
static bool stays(const struct ike *ike, const struct ike_sa *sa)
{
	return !sa->called && network_has(ike, &sa->path.local.ip);
}

/* Packets do not come along; but its messages do, if only to tell its end: nobody has the old
 * address any more (RFC 7296 section 2.11: a request may come from anywhere). */
static void renew(struct ike *ike, struct ike_sa *sa, const struct endpoint *local,
		  const struct endpoint *remote)
{
	sa->moving->away = false;
	sa->path.local = *local;
	sa->path.remote = *remote;
	request_moves(ike, sa);
	if (sa->peer->conf->role == IKE_ROLE_PARTNER) {
		partner_ending(ike, sa, IKE_R_PATH, why);
		sa_delete(ike, sa, why);
	} else {
		peer_renew(ike, sa->peer);
	}
}

static void found(struct ike *ike, struct ike_sa *sa, const struct ike_address *a)
{
	struct endpoint local = { a->local, sa->path.local.port };
	struct endpoint remote = mobike_peer_at(sa, &a->remote);
	bool same = endpoint_eq(&local, &sa->path.local) && endpoint_eq(&remote, &sa->path.remote);

	if (stays(ike, sa))
		return;
	if (same && !(moving_away(sa) && sa->mobike))
		same_way(ike, sa);
	else if (sa->called && !sa->mobike && sa->state == SA_UP && !same)
		renew(ike, sa, &local, &remote);
	else
		go(ike, sa, &local, &remote);
}

static void unreached(struct ike *ike, struct ike_sa *sa)
{
	struct moving *m = sa->moving;

	if (candidate(sa, m->candidate + 1u) && sa->mobike)
		network_look_up(ike, sa, m->candidate + 1u);
	else
		m->away = sa->called;
}

bool network_resolved(struct ike *ike, uint64_t lookup, const struct ike_address *addrs, size_t n)
{
	struct map_node *node =
		map_find(&ike->moving_by_lookup, lookup_hash(ike, lookup), same_lookup, &lookup);
	struct moving *m = node ? CONTAINER_OF(node, struct moving, by_lookup) : NULL;

	if (!m)
		return false;
	set_lookup(ike, m, 0);
	agenda_soon(ike, m->sa);
	if (m->sa->state != SA_UP && m->sa->state != SA_DELETING)
		return true;
	if (n && addrs[0].local.family == addrs[0].remote.family)
		found(ike, m->sa, &addrs[0]);
	else
		unreached(ike, m->sa);
	return true;
}

/* ---- news ---------------------------------------------------------------------------------- */

static void look_at(struct ike *ike, struct ike_sa *sa)
{
	sa->unrouted = false;
	if (sa->called || !network_has(ike, &sa->path.local.ip))
		network_look_up(ike, sa, 0);
	if (!sa->mobike || !sa->untold)
		return;
	sa->untold = false;
	sa->announce = true;
	agenda_soon(ike, sa);
}

/* Those that we called for at once: there are as many as we want to be connected to. */
static void look_at_ours(struct ike *ike)
{
	list_for_each(n, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, node);

		if (sa->unrouted && sa->called)
			look_at(ike, sa);
	}
}

/* A tenth of what may be done in a second, ten times a second. */
void network_timer(struct ike *ike)
{
	enum { PER_TURN = IKE_TOLD_PER_S / 10 };
	unsigned n_done = 0;

	look_at_ours(ike);
	list_for_each(n, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, node);

		if (!sa->unrouted)
			continue;
		if (n_done++ == PER_TURN) {
			heap_arm(&ike->timers, &ike->network, mono_add(ike->now.mono, dur_ms(100)));
			return;
		}
		look_at(ike, sa);
	}
}

static bool is_concerned(const struct ike_sa *sa, bool changed)
{
	if (sa->state != SA_UP && sa->state != SA_DELETING)
		return false;
	return sa->called || changed;
}

/* An attempt from an address that is gone begins anew; one that waits for better times has them
 * now. */
static void reconnect(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;
	bool waits = s->retry.armed && (s->wanted || s->renew);
	bool lost = s->connecting && !network_has(ike, &s->connecting->path.local.ip);

	if (!waits && !lost)
		return;
	s->failures = 0;
	heap_disarm(&ike->timers, &s->retry);
	if (lost)
		sa_remove(ike, s->connecting, "our address is gone");
	peer_connect(ike, p);
}

/* In any order. */
static bool same_addresses(const struct ike *ike, const struct ip *own, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!network_has(ike, &own[i]))
			return false;
	return n == ike->n_own;
}

static void set_own(struct ike *ike, const struct ip *own, size_t n)
{
	ike->n_own = 0;
	for (size_t i = 0; i < n && ike->n_own < ARRAY_LEN(ike->own); i++)
		if (own[i].family && !ip_is_any(&own[i]) && !network_has(ike, &own[i]))
			ike->own[ike->n_own++] = own[i];
}

void network_changed(struct ike *ike, const struct ip *own, size_t n)
{
	struct ip before[IKE_MAX_OWN];
	size_t n_before = ike->n_own;
	bool changed;

	memcpy(before, ike->own, sizeof(before));
	set_own(ike, own, n);
	changed = !same_addresses(ike, before, n_before);
	list_for_each(it, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(it, struct ike_sa, node);

		if (!is_concerned(sa, changed))
			continue;
		sa->unrouted = true;
		sa->untold |= changed;
	}
	if (changed && !ike->shutdown)
		list_for_each_safe(it, &ike->peers)
			reconnect(ike, CONTAINER_OF(it, struct peer, node));
	network_timer(ike);
}
