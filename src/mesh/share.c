/*
 * share.c - hubs tell each other who is where (docs/protocol/shortcut.md section 9.2).
 *
 * All that happens to our own members is in one list (hub.changes), oldest first, each member once;
 * each other hub has a mark in it: what is behind the mark it does not know yet.  Whatever changes
 * again goes to the end, behind all marks.  So a hub that comes up begins at the front, one that is
 * slow holds up nobody, and there is no queue to be bounded.  A member that left stays in the list,
 * as a `gone`, until all marks have passed it.
 *
 * What another hub says is taken entry by entry, as far as its certificate goes.  The later
 * attachment wins: of one of ours that is up elsewhere since, `at` says where, and `peer` is what
 * is left of it here.
 */
#include "mesh/hub.h"

/* ---- the list -------------------------------------------------------------------------------- */

struct gone {
	struct change change;
	unsigned owed; /* to which others: bits */
	uint64_t epoch, boot;
	struct policy_ident ident; /* owned */
};

static void gone_free(struct hub *h, struct gone *g)
{
	list_del(&g->change.node);
	ident_done(h->net->m, &g->ident);
	mem_free(h->net->m->mem, g);
}

static unsigned bit(const struct other *o)
{
	return 1u << o->index;
}

/* Those that are told increments now, and will hear of it. */
static unsigned followers(const struct hub *h)
{
	unsigned bits = 0;

	list_for_each(n, &h->others) {
		const struct other *o = CONTAINER_OF(n, const struct other, node);

		if (o->n_ways && !o->anew)
			bits |= bit(o);
	}
	return bits;
}

static void wake_all(struct hub *h)
{
	list_for_each(n, &h->others)
		other_wake(CONTAINER_OF(n, struct other, node), MESH_DIRECTORY_MS);
}

static void begin(struct other *o)
{
	o->anew = true;
	list_del(&o->mark.node);
	list_add_tail(o->hub->changes.next, &o->mark.node);
}

void share_news(struct hub *h, struct entry *e)
{
	if (!entry_here(e))
		return;
	list_del(&e->change.node);
	list_add_tail(&h->changes, &e->change.node);
	wake_all(h);
}

/* Who could not be told has to be told everything. */
void share_gone(struct hub *h, struct entry *e)
{
	unsigned owed = followers(h);
	struct gone *g;

	list_del(&e->change.node);
	g = owed ? mem_new(h->net->m->mem, sizeof(*g)) : NULL;
	if (g && ident_dup(h->net->m, &e->ident, &g->ident)) {
		mem_free(h->net->m->mem, g);
		g = NULL;
	}
	if (g) {
		g->change.gone = true;
		g->owed = owed;
		g->epoch = e->epoch;
		g->boot = e->boot;
		list_init(&g->change.node);
		list_add_tail(&h->changes, &g->change.node);
	} else if (owed) {
		count(h->net->m, M_NO_MEMORY);
		list_for_each(n, &h->others)
			if (CONTAINER_OF(n, struct other, node)->n_ways)
				begin(CONTAINER_OF(n, struct other, node));
	}
	wake_all(h);
}

/* That hub needs nothing of what is gone. */
static void unfollow(struct other *o)
{
	struct hub *h = o->hub;

	list_for_each_safe(n, &h->changes) {
		struct change *c = CONTAINER_OF(n, struct change, node);
		struct gone *g = c->gone ? CONTAINER_OF(c, struct gone, change) : NULL;

		if (!g)
			continue;
		g->owed &= ~bit(o);
		if (!g->owed)
			gone_free(h, g);
	}
}

/* ---- to the other one ---------------------------------------------------------------------- */

/* One word, being put together. */
struct page {
	struct wire_mesh_member *v; /* WIRE_MESH_MEMBERS of them */
	size_t n, bytes;
	struct list *last; /* the newest that is in it; NULL: nothing */
};

/* At most, in the word. */
static size_t size_of(const struct wire_mesh_member *m)
{
	size_t n = 32 + m->id.data.n + m->n_candidates * 32;

	for (size_t i = 0; i < m->n_ts; i++)
		n += 8 + m->ts[i].ts.n * 40;
	return n;
}

static struct wire_mesh_member member_of(const struct entry *e)
{
	struct wire_mesh_member m = { .op = WIRE_MESH_MEMBER_UP,
				      .epoch = e->epoch,
				      .boot = e->spoken ? e->boot : 0,
				      .capabilities = e->capabilities,
				      .id = ident_put(&e->ident) };

	if (e->post_quantum)
		m.capabilities |= WIRE_MESH_MEMBER_PQ;
	m.n_ts = entry_ts(e, m.ts);
	m.n_candidates = entry_candidates(e, m.candidates);
	return m;
}

/* False: there is nothing to say of it. */
static bool to_say(const struct other *o, struct change *c, struct wire_mesh_member *ret)
{
	const struct gone *g;

	if (c->mark)
		return false;
	if (!c->gone) {
		*ret = member_of(CONTAINER_OF(c, const struct entry, change));
		return true;
	}
	g = CONTAINER_OF(c, const struct gone, change);
	*ret = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBER_GONE,
					  .epoch = g->epoch,
					  .boot = g->boot,
					  .id = ident_put(&g->ident) };
	return g->owed & bit(o);
}

static void collect(const struct other *o, struct page *p)
{
	const struct list *end = &o->hub->changes;

	if (o->anew)
		p->v[p->n++].op = WIRE_MESH_MEMBERS_ANEW;
	for (struct list *n = o->mark.node.next; n != end && p->n < WIRE_MESH_MEMBERS;
	     n = n->next) {
		struct wire_mesh_member *m = &p->v[p->n];

		if (to_say(o, CONTAINER_OF(n, struct change, node), m)) {
			if (p->bytes + size_of(m) > MESH_DIRECTORY_BYTES)
				return;
			p->bytes += size_of(m);
			p->n++;
		}
		p->last = n;
	}
}

/* What it has been told. */
static void passed(struct other *o, struct list *last)
{
	struct hub *h = o->hub;

	for (struct list *n = o->mark.node.next, *next; last; n = next) {
		struct change *c = CONTAINER_OF(n, struct change, node);
		struct gone *g = c->gone ? CONTAINER_OF(c, struct gone, change) : NULL;
		bool is_last = n == last;

		next = n->next;
		list_del(&o->mark.node);
		list_add_tail(next, &o->mark.node);
		if (g) {
			g->owed &= ~bit(o);
			if (!g->owed)
				gone_free(h, g);
		}
		if (is_last)
			return;
	}
}

static void directory_answered(struct mesh *m, const struct ask *a, uint16_t notify,
			       const struct wire_mesh *answer)
{
	struct other *o = other_by_peer(a->net->hub, a->peer);
	bool old = answer && notify == WIRE_N_SHORTCUT_REFUSED && answer->reason == WIRE_MR_OLDER;

	if (!o || o->told != a->about[0])
		return;
	o->told = 0;
	if (answer && notify == WIRE_N_SHORTCUT_ACCEPT) {
		share_speak(o);
		return;
	}
	begin(o);
	other_wake(o, answer && !old ? MESH_DIRECTORY_REFUSED_MS : MESH_SOON_MS);
	o->silent_until = mono_add(
		m->now.mono, dur_ms(answer && !old ? MESH_DIRECTORY_REFUSED_MS : MESH_SOON_MS));
}

static enum status say_page(struct other *o, const struct page *p)
{
	struct network *net = o->hub->net;
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(MEMBER),
				  .context = bytes_str(net->conf->name),
				  .sequence = o->last_out + 1,
				  .members = p->v,
				  .n_members = p->n };

	return say(net, o->way[0], WIRE_N_SHORTCUT_DIRECTORY, &word, directory_answered,
		   word.sequence, 0);
}

void share_speak(struct other *o)
{
	struct mesh *m = o->hub->net->m;
	struct page p = { 0 };
	enum status st = ST_OK;
	struct arena ar;

	if (!o->n_ways || o->told)
		return;
	if (mono_before(m->now.mono, o->silent_until)) {
		other_wake(o, dur_to_ms(mono_since(o->silent_until, m->now.mono)) + 1);
		return;
	}
	arena_init(&ar, m->mem, MESH_ARENA);
	p.v = arena_new(&ar, WIRE_MESH_MEMBERS * sizeof(*p.v));
	if (p.v)
		collect(o, &p);
	if (!p.v)
		st = ST_NOMEM;
	else if (p.n)
		st = say_page(o, &p);
	arena_done(&ar);
	if (st == ST_AGAIN || st == ST_NOMEM)
		other_wake(o, MESH_SOON_MS);
	if (st)
		return;
	passed(o, p.last);
	if (!p.n)
		return;
	o->anew = false;
	o->told = ++o->last_out;
}

/* ---- from the other one -------------------------------------------------------------------- */

/* Its certificate has that, and so has our network. */
static bool may_say(const struct other *o, const struct word *w, const struct wire_mesh_member *m)
{
	const struct wire_ts_list *domain = &o->hub->net->section->domain;

	for (size_t i = 0; i < m->n_ts; i++) {
		const struct wire_mesh_ts *ts = &m->ts[i];

		if (!policy_ts_subset(&ts->ts, domain) ||
		    (ts->authority != IKE_AUTHORITY_RULE &&
		     !ike_peer_covers(w->m->ike, w->peer, &ts->ts)))
			return false;
	}
	return true;
}

static bool is_a_hub(const struct hub *h, const struct policy_ident *id)
{
	return policy_ident_eq(id, &h->net->section->local_id) || other_by_ident(h, id);
}

/* The later attachment wins; of equal ones that at the hub with the larger identity. */
static bool is_later(const struct other *o, const struct wire_mesh_member *m, const struct entry *e)
{
	const struct policy_ident *there = e->at.type ? &e->at : &o->hub->net->section->local_id;

	if (!entry_present(e) || policy_ident_eq(&e->at, &o->ident))
		return true;
	if (m->epoch != e->epoch)
		return m->epoch > e->epoch;
	return ident_order(&o->ident, there) > 0;
}

static enum status stands(struct other *o, struct entry *e, const struct wire_mesh_member *m)
{
	struct hub *h = o->hub;
	struct wire_ts_list ts[IKE_AUTHORITIES] = { 0 };
	struct standing s = { .peer = e->peer,
			      .at = &o->ident,
			      .capabilities = (uint8_t)m->capabilities,
			      .post_quantum = m->capabilities & WIRE_MESH_MEMBER_PQ,
			      .ts = ts,
			      .epoch = m->epoch };
	bool another = m->boot && e->boot != m->boot, again = another && e->boot;
	enum status st;

	for (size_t i = 0; i < m->n_ts; i++)
		ts[m->ts[i].authority] = m->ts[i].ts;
	for (size_t i = 0; i < m->n_candidates; i++)
		if (m->candidates[i].kind == WIRE_MC_SEEN)
			s.seen = m->candidates[i];
	if (entry_here(e))
		share_gone(h, e);
	if (m->boot)
		e->boot = m->boot;
	e->doubted = false;
	st = entry_stands(h, e, &s);
	if (st)
		return st;
	if (m->boot)
		entry_spoke(h, e);
	if (entry_offers(h, e, m->candidates, m->n_candidates))
		(void)entry_moved(h, e);
	list_for_each_safe(n, &e->pairs)
		if (again)
			pair_rebooted(h, CONTAINER_OF(n, struct side, node)->pair);
	if (another)
		walk_begin(h, e);
	return ST_OK;
}

/* One of ours that is at several hubs stays ours, whatever is said there: each hub has its own SA
 * with it.  Without memory the next news says it. */
static void is_also_at(struct other *o, struct entry *e)
{
	struct mesh *m = o->hub->net->m;

	if (!e->at.type && ident_dup(m, &o->ident, &e->at))
		count(m, M_NO_MEMORY);
	route_entry(o->hub, e);
}

static enum status up(struct other *o, const struct word *w, const struct wire_mesh_member *m)
{
	struct policy_ident id = ident_of(&m->id);
	struct hub *h = o->hub;
	struct entry *e;
	enum status st;

	if (is_a_hub(h, &id) || m->epoch >> 63 || !may_say(o, w, m)) {
		count(w->m, M_DIRECTORY_REFUSED);
		return ST_OK;
	}
	e = entry_by_ident(h, &id);
	if (e && e->peer && entry_several(e)) {
		is_also_at(o, e);
		return ST_OK;
	}
	if (e && !is_later(o, m, e))
		return ST_OK;
	if (!e && h->n_slots >= MESH_REMOTE_MEMBERS) {
		count(w->m, M_DIRECTORY_FULL);
		return ST_OK;
	}
	e = entry_get(h, &id);
	st = e ? stands(o, e, m) : ST_NOMEM;
	if (st && e)
		entry_settle(h, e);
	return st;
}

/* It is not there any more; perhaps here still. */
static void leaves(struct hub *h, struct entry *e)
{
	e->doubted = false;
	if (e->peer)
		directory_again(h, e->peer);
	else
		entry_leaves(h, e);
}

static void gone(struct other *o, const struct wire_mesh_member *m)
{
	struct policy_ident id = ident_of(&m->id);
	struct entry *e = entry_by_ident(o->hub, &id);

	if (e && policy_ident_eq(&e->at, &o->ident)) {
		leaves(o->hub, e);
	} else if (e && entry_here(e) && m->epoch > e->epoch && !(m->epoch >> 63)) {
		/* It was there for a moment, and that it is here was forgotten. */
		e->epoch = m->epoch;
		directory_again(o->hub, e->peer);
	}
}

void share_doubt(struct other *o)
{
	struct hub *h = o->hub;

	for (uint32_t i = 0; i < h->n_slots; i++) {
		struct entry *e = h->slots[i];

		if (e && policy_ident_eq(&e->at, &o->ident))
			e->doubted = true;
	}
	o->doubts_until = mono_add(h->net->m->now.mono, dur_s(MESH_DOUBT_S));
	other_wake(o, MESH_DOUBT_S * 1000);
}

void share_forget(struct other *o, bool all)
{
	struct hub *h = o->hub;

	o->doubts_until = MONO_NEVER;
	for (uint32_t i = 0; i < h->n_slots; i++) {
		struct entry *e = h->slots[i];

		if (e && policy_ident_eq(&e->at, &o->ident) && (all || e->doubted))
			leaves(h, e);
	}
}

static bool is_anew(const struct wire_mesh *msg)
{
	return msg->n_members && msg->members[0].op == WIRE_MESH_MEMBERS_ANEW;
}

/* Its first word since it came up may have any number. */
static bool in_sequence(const struct other *o, const struct wire_mesh *msg)
{
	if (is_anew(msg))
		return !o->last_in || msg->sequence > o->last_in;
	return o->last_in && msg->sequence == o->last_in + 1;
}

void directory_word(struct other *o, struct word *w)
{
	const struct wire_mesh *msg = &w->msg;
	enum status st = ST_OK;

	count(w->m, M_DIRECTORY_IN);
	if (!in_sequence(o, msg)) {
		count(w->m, M_DIRECTORY_HOLE);
		o->last_in = 0;
		word_refuse(w, WIRE_MR_OLDER, "not the next one: all, please");
		return;
	}
	o->last_in = msg->sequence;
	if (is_anew(msg))
		share_doubt(o);
	for (size_t i = 0; i < msg->n_members && !st; i++) {
		if (msg->members[i].op == WIRE_MESH_MEMBER_UP)
			st = up(o, w, &msg->members[i]);
		else if (msg->members[i].op == WIRE_MESH_MEMBER_GONE)
			gone(o, &msg->members[i]);
	}
	if (st) {
		o->last_in = 0;
		word_refuse(w, WIRE_MR_INTERNAL, "out of memory");
	} else {
		word_accept(w, NULL);
	}
	if (WIRE_MESH_HAS(msg, FLAGS) && msg->flags & WIRE_MESH_ASK)
		share_begin(o);
}

/* ---- coming and going ---------------------------------------------------------------------- */

void share_begin(struct other *o)
{
	o->told = 0;
	begin(o);
	share_speak(o);
}

void share_new(struct other *o)
{
	struct hub *h = o->hub;
	unsigned used = 0;

	list_for_each(n, &h->others)
		if (CONTAINER_OF(n, struct other, node) != o)
			used |= bit(CONTAINER_OF(n, struct other, node));
	while (used >> o->index & 1)
		o->index++;
	o->mark.mark = true;
	o->doubts_until = MONO_NEVER;
	o->silent_until = h->net->m->now.mono;
	o->last_out = ++h->net->m->sequence;
	list_init(&o->mark.node);
}

/* It is gone: nothing is kept for it. */
void share_end(struct other *o)
{
	o->told = 0;
	o->anew = true;
	list_del(&o->mark.node);
	unfollow(o);
}

void share_done(struct hub *h)
{
	list_for_each_safe(n, &h->changes) {
		struct change *c = CONTAINER_OF(n, struct change, node);

		if (c->gone)
			gone_free(h, CONTAINER_OF(c, struct gone, change));
	}
}
