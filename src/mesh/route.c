/*
 * route.c - what is for a member of another hub goes to that hub (docs/protocol/shortcut.md section
 * 9.2, rule 6).
 *
 * All hubs have the domain, so the selectors of what is between them do not say who has whom.  The
 * directory does: the prefixes of an entry that is at another hub are given to the peer that this
 * hub is (dp.h, PEER_PREFIX), and to each of several ways to it.  Where there are
 * several other hubs, one whose directory has come is asked for nothing else: what nobody has is
 * refused here, and does not wander.
 *
 * Who has that very prefix up here keeps it, whoever else is said to have it elsewhere
 * (src/ike/claims.c), and a member that is at several hubs, and here, is sent to here for as long
 * as that can be.  Only what a member that has moved left behind here is passed over.
 *
 * An entry costs operations only when it changes.  Several may have one prefix at one hub (other
 * ports, or somebody's successor): the hub has it for as long as one of them does (other.given).
 * The data plane keeps all of this over SAs; what could not be said to it is said anew, with all
 * that belongs to that hub.
 */
#include "mesh/hub.h"

/* ---- saying it ------------------------------------------------------------------------------- */

/* Without memory: all of it, soon. */
static void failed(struct other *o, enum status st)
{
	if (!st)
		return;
	count(o->hub->net->m, M_NO_MEMORY);
	o->regive = true;
	other_wake(o, MESH_SOON_MS);
}

static void say_prefix(struct other *o, ike_peer_id way, const struct prefix *p,
		       enum dp_given given)
{
	failed(o, ike_peer_prefix(o->hub->net->m->ike, way, p, given));
}

static void say_only(struct other *o, ike_peer_id way, bool on)
{
	failed(o, ike_peer_given_only(o->hub->net->m->ike, way, on));
}

/* ---- entries ------------------------------------------------------------------------------- */

static enum dp_given when(const struct entry *e)
{
	return e->via_first ? DP_GIVEN_FIRST : DP_GIVEN_LAST;
}

/* To the first way last: it is asked first. */
static void put(struct other *o, const struct prefix *p, enum dp_given given)
{
	uintptr_t n = (uintptr_t)policy_table_exact(o->given, p);

	failed(o, policy_table_set(o->given, p, (void *)(n + 1), NULL));
	for (size_t i = o->n_ways; i-- > 0;)
		say_prefix(o, o->way[i], p, given);
}

/* What there was no memory to count is of one. */
static void drop(struct other *o, const struct prefix *p)
{
	uintptr_t n = (uintptr_t)policy_table_exact(o->given, p);

	if (n > 1) {
		failed(o, policy_table_set(o->given, p, (void *)(n - 1), NULL));
		return;
	}
	(void)policy_table_remove(o->given, p);
	for (size_t i = 0; i < o->n_ways; i++)
		say_prefix(o, o->way[i], p, DP_GIVEN_NOT);
}

typedef void prefix_fn(struct entry *e, const struct prefix *p, ike_peer_id way);

static void each_prefix(struct entry *e, prefix_fn *fn, ike_peer_id way)
{
	struct prefix p[MESH_TS_PREFIXES];

	for (size_t a = 0; a < IKE_AUTHORITIES; a++)
		for (size_t i = 0; i < e->ts[a].n; i++) {
			size_t n = policy_ts_prefixes(&e->ts[a].ts[i], p, ARRAY_LEN(p));

			for (size_t k = 0; k < n; k++)
				fn(e, &p[k], way);
		}
}

static void put_one(struct entry *e, const struct prefix *p, ike_peer_id way)
{
	(void)way;
	put(e->via, p, when(e));
}

static void drop_one(struct entry *e, const struct prefix *p, ike_peer_id way)
{
	(void)way;
	drop(e->via, p);
}

static void say_one(struct entry *e, const struct prefix *p, ike_peer_id way)
{
	say_prefix(e->via, way, p, when(e));
}

void route_drop(struct entry *e)
{
	if (e->via)
		each_prefix(e, drop_one, 0);
	e->via = NULL;
}

void route_entry(struct hub *h, struct entry *e)
{
	struct other *o = e->at.type ? other_by_ident(h, &e->at) : NULL;
	bool first = e->peer && !entry_here(e);

	if (e->via == o && e->via_first == first)
		return;
	route_drop(e);
	e->via = o;
	e->via_first = first;
	if (o)
		each_prefix(e, put_one, 0);
}

/* ---- ways ---------------------------------------------------------------------------------- */

/* It is the first now. */
void route_way(struct other *o, ike_peer_id way)
{
	const struct hub *h = o->hub;

	for (uint32_t i = 0; i < h->n_slots; i++)
		if (h->slots[i] && h->slots[i]->via == o)
			each_prefix(h->slots[i], say_one, way);
	if (o->given_only)
		say_only(o, way, true);
}

static void give_anew(struct other *o)
{
	o->regive = false;
	for (size_t i = o->n_ways; i-- > 0;) {
		say_only(o, o->way[i], false);
		route_way(o, o->way[i]);
	}
}

/* Nothing is kept for it in the data plane. */
void route_way_lost(struct other *o, ike_peer_id way)
{
	say_only(o, way, false);
}

/* ---- nothing else --------------------------------------------------------------------------- */

/* Of two hubs the other one has whatever the first does not have, also what is behind the hub
 * itself, which no directory says; and nothing goes back. */
static void judge(struct other *o)
{
	const struct list *l = &o->hub->others;
	bool only = l->next->next != l;

	if (only == o->given_only)
		return;
	o->given_only = only;
	if (!only)
		give_anew(o);
	for (size_t i = 0; only && i < o->n_ways; i++)
		say_only(o, o->way[i], true);
}

void route_judge(struct hub *h)
{
	list_for_each(n, &h->others)
		judge(CONTAINER_OF(n, struct other, node));
}

void route_timer(struct other *o)
{
	if (o->regive)
		give_anew(o);
}

void hub_dp_failed(struct network *net)
{
	list_for_each(n, &net->hub->others) {
		struct other *o = CONTAINER_OF(n, struct other, node);

		o->regive = true;
		other_wake(o, MESH_SOON_MS);
	}
}

/* ---- coming and going ---------------------------------------------------------------------- */

enum status route_init(struct other *o)
{
	return policy_table_new(o->hub->net->m->mem, NULL, NULL, &o->given);
}

/* No entry is there any more. */
void route_done(struct other *o)
{
	for (size_t i = 0; i < o->n_ways; i++)
		say_only(o, o->way[i], false);
	policy_table_free(o->given);
}
