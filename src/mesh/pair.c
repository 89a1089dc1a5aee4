/*
 * pair.c - two members, and how far they are with a tunnel of their own.
 *
 *	            may not
 *	BARRED <---------------- any
 *	                 traffic, or a full mesh          both accepted        reported
 *	IDLE (WANTED: no room yet) ------------> SUGGESTED ------------> ACCEPTED ------> UP
 *	 ^                                          |                      |               |
 *	 |            a while later                 v  refused, failed,    v  no report    | lost
 *again
 *	 +-------------------------------------- FAILED <--------------------------------- +
 *	 +------------------------------------------------------------- idle, lost once ---+
 *
 * One timer: `until` is when the state is over by itself.  A pair about which there is nothing left
 * to say is freed.
 */
#include "mesh/hub.h"

#include <stdio.h>

static mono_t now_of(const struct hub *h)
{
	return h->net->m->now.mono;
}

static mono_t in_ms(const struct hub *h, int64_t ms)
{
	return mono_add(now_of(h), dur_ms(ms));
}

static mono_t later(mono_t a, mono_t b)
{
	return mono_before(a, b) ? b : a;
}

/* ---- finding, making, freeing -------------------------------------------------------------- */

struct members {
	const struct entry *first, *second;
};

static struct members in_order(const struct entry *a, const struct entry *b)
{
	return ident_order(&a->ident, &b->ident) < 0 ? (struct members){ a, b }
						     : (struct members){ b, a };
}

static uint64_t members_hash(const struct hub *h, struct members m)
{
	uint32_t key[2] = { m.first->slot, m.second->slot };

	return map_hash(&h->pairs, BYTES_OF(key));
}

static bool same_members(const struct map_node *n, const void *key)
{
	const struct pair *p = CONTAINER_OF(n, const struct pair, by_members);
	const struct members *m = key;

	return p->side[0].entry == m->first && p->side[1].entry == m->second;
}

struct pair *pair_find(const struct hub *h, const struct entry *a, const struct entry *b)
{
	struct members m = in_order(a, b);
	struct map_node *n = map_find(&h->pairs, members_hash(h, m), same_members, &m);

	return n ? CONTAINER_OF(n, struct pair, by_members) : NULL;
}

static bool same_number(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct pair, by_number)->number == *(const uint64_t *)key;
}

static uint64_t number_hash(const struct hub *h, uint64_t number)
{
	return map_hash(&h->suggested, bytes_of(&number, sizeof(number)));
}

struct pair *pair_by_number(const struct hub *h, uint64_t number)
{
	struct map_node *n = map_find(&h->suggested, number_hash(h, number), same_number, &number);

	return n ? CONTAINER_OF(n, struct pair, by_number) : NULL;
}

void pair_arm(struct hub *h, struct pair *p)
{
	bool owed = p->side[0].owed || p->side[1].owed;
	mono_t due = owed ? in_ms(h, MESH_SOON_MS) : p->until;

	if (due.ns == MONO_NEVER.ns)
		heap_disarm(&h->net->m->timers, &p->timer);
	else
		heap_arm(&h->net->m->timers, &p->timer, due);
}

/* A suggestion is under way, or not any more. */
static void pending(struct hub *h, struct pair *p, bool is)
{
	if (is == pair_pending(p))
		return;
	if (is) {
		p->number = ++h->last_number;
		map_insert(&h->suggested, &p->by_number, number_hash(h, p->number));
	} else {
		map_remove(&h->suggested, &p->by_number);
		p->number = 0;
		relay_answered(h, p, NULL);
	}
	for (int i = 0; i < 2; i++)
		p->side[i].entry->pending += is ? 1u : -1u;
	h->pending += is ? 1u : -1u;
	if (!is)
		walk_release(h, p);
}

void pair_state(struct hub *h, struct pair *p, enum pair_state s, mono_t until)
{
	h->in_state[p->state]--;
	h->in_state[s]++;
	p->state = s;
	p->since = now_of(h);
	p->until = until;
	pending(h, p, s == PAIR_SUGGESTED || s == PAIR_ACCEPTED);
	pair_arm(h, p);
}

struct pair *pair_get(struct hub *h, struct entry *a, struct entry *b)
{
	struct pair *p = pair_find(h, a, b);
	struct members m = in_order(a, b);

	if (p)
		return p;
	if (h->pairs.count >= MESH_PAIRS) {
		count(h->net->m, M_PAIRS_FULL);
		return NULL;
	}
	p = mem_new(h->net->m->mem, sizeof(*p));
	if (!p) {
		count(h->net->m, M_NO_MEMORY);
		return NULL;
	}
	p->timer.kind = T_PAIR;
	p->net = h->net;
	p->side[0].entry = m.first == a ? a : b;
	p->side[1].entry = m.first == a ? b : a;
	for (int i = 0; i < 2; i++) {
		p->side[i].pair = p;
		list_add_tail(&p->side[i].entry->pairs, &p->side[i].node);
		p->side[i].entry->n_pairs++;
	}
	map_insert(&h->pairs, &p->by_members, members_hash(h, m));
	p->traffic = p->up_since = p->again = p->turn = (mono_t){ INT64_MIN / 2 };
	p->topology = topology_of(h->net->conf, a, b, &p->rule);
	h->in_state[p->state]++;
	pair_state(h, p, p->topology == MESH_STAR ? PAIR_BARRED : PAIR_IDLE,
		   in_ms(h, MESH_QUIET_MS));
	return p;
}

void pair_free(struct hub *h, struct pair *p)
{
	h->in_state[p->state]--;
	pending(h, p, false);
	pair_unnamed(h, p);
	heap_disarm(&h->net->m->timers, &p->timer);
	for (int i = 0; i < 2; i++) {
		list_del(&p->side[i].node);
		p->side[i].entry->n_pairs--;
	}
	map_remove(&h->pairs, &p->by_members);
	mem_free(h->net->m->mem, p->text);
	mem_free(h->net->m->mem, p);
}

/* With those who were remembered for it alone. */
static void pair_forget(struct hub *h, struct pair *p)
{
	struct entry *e[2] = { p->side[0].entry, p->side[1].entry };

	pair_free(h, p);
	for (int i = 0; i < 2; i++)
		entry_settle(h, e[i]);
}

const char *pair_state_name(enum pair_state s)
{
	static const char *const state_names[PAIR_STATES] = {
		[PAIR_IDLE] = "idle",
		[PAIR_WANTED] = "wanted",
		[PAIR_SUGGESTED] = "suggested",
		[PAIR_ACCEPTED] = "accepted",
		[PAIR_UP] = "up",
		[PAIR_FAILED] = "failed",
		[PAIR_BARRED] = "not allowed",
	};

	return state_names[s];
}

/* ---- for people ---------------------------------------------------------------------------- */

static void names(struct text *t, const struct pair *p)
{
	policy_ident_text(t, &p->side[0].entry->ident);
	text_add(t, " and ");
	policy_ident_text(t, &p->side[1].entry->ident);
}

void pair_event(struct hub *h, const struct pair *p, enum ike_event_kind kind,
		enum ike_reason reason, const char *what)
{
	char both[2 * IKE_IDENTITY_TEXT];
	struct text t = TEXT_OF(both);
	const struct entry *first = p->side[0].entry;

	names(&t, p);
	mesh_event(h->net->m, kind,
		   (struct mesh_about){ .peer = first->peer,
					.peer_name = h->net->section->name,
					.identity = &first->ident,
					.reason = reason },
		   "%s: %s", both, what);
}

static enum ike_reason as_event(uint16_t reason)
{
	static const uint8_t reasons[WIRE_MRS] = {
		[WIRE_MR_UNKNOWN_ATTRIBUTE] = IKE_R_MALFORMED,
		[WIRE_MR_MALFORMED] = IKE_R_MALFORMED,
		[WIRE_MR_NOT_A_HUB] = IKE_R_AUTHORISATION,
		[WIRE_MR_CONTEXT] = IKE_R_POLICY,
		[WIRE_MR_IDENTITY] = IKE_R_IDENTITY,
		[WIRE_MR_SELECTORS] = IKE_R_SELECTORS,
		[WIRE_MR_AUTHORITY] = IKE_R_AUTHORISATION,
		[WIRE_MR_POLICY] = IKE_R_POLICY,
		[WIRE_MR_LIMIT] = IKE_R_OVERLOAD,
		[WIRE_MR_DUPLICATE] = IKE_R_CONFLICT,
		[WIRE_MR_OLDER] = IKE_R_CONFLICT,
		[WIRE_MR_NO_CANDIDATES] = IKE_R_PATH,
		[WIRE_MR_NO_PATH] = IKE_R_PATH,
		[WIRE_MR_NO_ANSWER] = IKE_R_NO_ANSWER,
		[WIRE_MR_AUTHENTICATION] = IKE_R_KEY,
		[WIRE_MR_CERTIFICATE] = IKE_R_CERTIFICATE,
		[WIRE_MR_PROPOSAL] = IKE_R_PROPOSAL,
		[WIRE_MR_TS] = IKE_R_SELECTORS,
		[WIRE_MR_IDLE] = IKE_R_IDLE,
		[WIRE_MR_LOST] = IKE_R_NO_ANSWER,
		[WIRE_MR_INTERNAL] = IKE_R_INTERNAL,
		[WIRE_MR_CONFLICT] = IKE_R_CONFLICT,
	};

	if (reason >= WIRE_MRS)
		return IKE_R_PEER_SAID;
	return reasons[reason] ? (enum ike_reason)reasons[reason] : IKE_R_PEER_SAID;
}

/* "no_path, says site-1.example (no answer on 3 paths)" */
static void say_verdict(struct text *t, const struct pair *p, struct verdict v)
{
	const char *name = wire_mesh_reason_name(v.reason);

	if (name)
		text_add(t, name);
	else
		text_fmt(t, "reason %u", v.reason);
	if (v.by >= 0) {
		text_add(t, ", says ");
		policy_ident_text(t, &p->side[v.by].entry->ident);
	}
	if (v.text.n) {
		text_add(t, " (");
		text_quote(t, v.text);
		text_add(t, ")");
	}
}

void pair_remember(struct hub *h, struct pair *p, struct verdict v)
{
	char buf[4 * WIRE_MESH_TEXT_MAX + 1]; /* escaped, at worst */
	struct text t = TEXT_OF(buf);
	struct bytes copy;

	p->reason = v.reason;
	p->by = (uint8_t)(v.by + 1);
	mem_free(h->net->m->mem, p->text);
	p->text = NULL;
	text_quote(&t, v.text);
	if (t.n && mem_dup(h->net->m->mem, bytes_of(buf, t.n + 1), &copy) == ST_OK)
		p->text = (char *)(uintptr_t)copy.p;
}

/* ---- back-off ------------------------------------------------------------------------------ */

enum wait { WAIT_DOUBLING, WAIT_LONG, WAIT_SHORT };

/* What only a change will help against waits as long as anything does. */
static enum wait wait_of(uint16_t reason)
{
	switch (reason) {
	case WIRE_MR_POLICY:
	case WIRE_MR_AUTHORITY:
	case WIRE_MR_SELECTORS:
	case WIRE_MR_NOT_A_HUB:
	case WIRE_MR_CONTEXT:
	case WIRE_MR_IDENTITY:
	case WIRE_MR_CERTIFICATE:
	case WIRE_MR_UNKNOWN_ATTRIBUTE:
	case WIRE_MR_MALFORMED:
	case WIRE_MR_WITHDRAWN: return WAIT_LONG;
	case WIRE_MR_OLDER: return WAIT_SHORT;
	default: return WAIT_DOUBLING;
	}
}

static dur_t at_least(dur_t d, dur_t min)
{
	return d.ns < min.ns ? min : d;
}

static dur_t retry(const struct hub *h)
{
	return at_least(h->net->conf->retry, dur_ms(MESH_SOON_MS));
}

static dur_t retry_max(const struct hub *h)
{
	return at_least(h->net->conf->retry_max, retry(h));
}

static dur_t doubled(const struct hub *h, const struct pair *p)
{
	dur_t max = retry_max(h), next = retry(h);

	if (p->backoff.ns)
		next = at_least((dur_t){ p->backoff.ns * 2 }, next);
	return next.ns > max.ns ? max : next;
}

static dur_t wait_for(const struct hub *h, struct pair *p, uint16_t reason)
{
	enum wait w = wait_of(reason);

	if (w == WAIT_SHORT)
		return dur_ms(MESH_SOON_MS);
	p->hard = w == WAIT_LONG;
	if (p->hard)
		return retry_max(h);
	return p->backoff = doubled(h, p);
}

/* ---- what happens to it -------------------------------------------------------------------- */

/* About what is under way; or, `all`, about the tunnel as well (both, or another one than what was
 * not said yet: no id, whatever there is with that partner). */
static void owe(struct hub *h, struct pair *p, unsigned sides, bool all)
{
	bool before = p->side[0].owed || p->side[1].owed;
	uint8_t id[WIRE_MESH_ID] = { 0 };

	if (!all || !p->up)
		memcpy(id, p->id, WIRE_MESH_ID);
	else if (!pair_pending(p))
		memcpy(id, p->up_id, WIRE_MESH_ID);
	if (before && memcmp(id, p->owed_id, WIRE_MESH_ID) != 0)
		memset(id, 0, sizeof(id));
	memcpy(p->owed_id, id, WIRE_MESH_ID);
	for (unsigned i = 0; i < 2; i++)
		p->side[i].owed = sides >> i & 1 && entry_present(p->side[i].entry);
	say_withdraw(h, p);
}

static bool both_present(const struct pair *p)
{
	return entry_present(p->side[0].entry) && entry_present(p->side[1].entry);
}

static bool doubted(const struct pair *p)
{
	return p->side[0].doubted || p->side[1].doubted;
}

/* One that is away may have it a while longer. */
static mono_t up_until(const struct hub *h, const struct pair *p)
{
	return both_present(p) ? MONO_NEVER : mono_add(now_of(h), dur_s(MESH_AWAY_S));
}

static void clear_up(struct pair *p)
{
	p->up = p->stale = false;
	p->side[0].reported = p->side[1].reported = false;
	p->side[0].doubted = p->side[1].doubted = false;
}

void pair_failed(struct hub *h, struct pair *p, struct verdict v, unsigned tell)
{
	char what[4 * WIRE_MESH_TEXT_MAX + IKE_IDENTITY_TEXT + 128];
	struct text t = TEXT_OF(what);
	dur_t wait = wait_for(h, p, v.reason);

	if (v.reason < WIRE_MRS)
		h->net->m->failed[v.reason]++;
	if (v.reason == WIRE_MR_NO_ANSWER)
		walk_paced(h, p, false);
	say_verdict(&t, p, v);
	text_fmt(&t, "; not suggested again for %lld ms", (long long)dur_to_ms(wait));
	pair_event(h, p, IKE_EV_SHORTCUT_FAILED, as_event(v.reason), what);
	pair_remember(h, p, v);
	owe(h, p, tell, false);
	clear_up(p);
	pair_state(h, p, PAIR_FAILED, mono_add(now_of(h), wait));
}

void pair_over(struct hub *h, struct pair *p, struct verdict v)
{
	char what[4 * WIRE_MESH_TEXT_MAX + IKE_IDENTITY_TEXT + 64];
	struct text t = TEXT_OF(what);

	say_verdict(&t, p, v);
	pair_event(h, p, IKE_EV_SHORTCUT_ENDED, as_event(v.reason), what);
	pair_remember(h, p, v);
	clear_up(p);
	p->traffic = (mono_t){ INT64_MIN / 2 }; /* `after` counts anew */
	pair_state(h, p, PAIR_IDLE, in_ms(h, MESH_QUIET_MS));
}

void pair_withdraw(struct hub *h, struct pair *p, uint16_t reason, const char *text)
{
	struct verdict v = { reason, -1, bytes_str(text) };

	count(h->net->m, M_WITHDRAWN);
	pair_remember(h, p, v);
	owe(h, p, 3, true);
	pair_over(h, p, v);
}

void pair_carries(struct hub *h, struct pair *p, int side, const struct wire_mesh *report)
{
	char what[256], a[ENDPOINT_TEXT_MAX], b[ENDPOINT_TEXT_MAX];
	const struct wire_mesh_path *path = &report->path;
	bool same = p->up && memcmp(p->up_id, report->id, WIRE_MESH_ID) == 0;

	p->side[side].doubted = false;
	if (same && !pair_pending(p)) {
		p->side[side].reported = true;
		return;
	}
	if (!p->up && !pair_pending(p) && memcmp(p->id, report->id, WIRE_MESH_ID) == 0)
		return; /* that one is over */
	walk_paced(h, p, true);
	clear_up(p);
	p->up = p->side[side].reported = true;
	memcpy(p->up_id, report->id, WIRE_MESH_ID);
	pair_named(h, p, report->id);
	p->up_since = now_of(h);
	p->backoff = (dur_t){ 0 };
	p->reason = 0;
	pair_state(h, p, PAIR_UP, up_until(h, p));
	count(h->net->m, M_UP);
	if (WIRE_MESH_HAS(report, PATH))
		snprintf(what, sizeof(what), "direct, from %s to %s, %u us there and back",
			 endpoint_text(&path->local, a), endpoint_text(&path->remote, b),
			 path->rtt_us);
	else
		snprintf(what, sizeof(what), "direct");
	pair_event(h, p, IKE_EV_SHORTCUT, IKE_R_NONE, what);
	if (p->topology == MESH_STAR)
		pair_judge(h, p);
}

void pair_duplicate(struct hub *h, struct pair *p)
{
	bool known = p->up;

	p->backoff = doubled(h, p);
	p->again = mono_add(now_of(h), p->backoff);
	if (!known) {
		p->up = true;
		p->up_since = now_of(h);
		memset(p->up_id, 0, WIRE_MESH_ID);
	}
	pair_state(h, p, PAIR_UP, up_until(h, p));
}

void pair_lost(struct hub *h, struct pair *p, struct verdict v)
{
	mono_t now = now_of(h);
	dur_t lasted = mono_since(now, p->up_since);

	/* The other one may still have it, and would take no other instead. */
	if (v.by >= 0) {
		pair_remember(h, p, v);
		owe(h, p, 1u << !v.by, true);
	}
	if (lasted.ns >= retry_max(h).ns)
		p->lost = false;
	if (p->lost || lasted.ns < retry(h).ns) {
		pair_failed(h, p, v, 0);
		return;
	}
	p->lost = true;
	pair_over(h, p, v);
	p->until = mono_add(now, retry_max(h));
	pair_arm(h, p);
	pair_judge(h, p);
}

void pair_left(struct hub *h, struct pair *p, struct entry *e)
{
	int side = pair_side(p, e);
	struct entry *other = p->side[!side].entry;

	p->side[side].owed = p->side[side].reported = false;
	p->side[side].doubted = p->up;
	if (pair_pending(p)) {
		pair_remember(h, p, (struct verdict){ WIRE_MR_LOST, -1, bytes_str("it has left") });
		owe(h, p, 1u << !side, false);
	}
	if (p->up) {
		pair_state(h, p, PAIR_UP, up_until(h, p));
		return;
	}
	pair_free(h, p);
	entry_settle(h, other);
}

void pair_rebooted(struct hub *h, struct pair *p)
{
	struct verdict v = { WIRE_MR_LOST, -1, bytes_str("one of both has started anew") };

	if (pair_pending(p)) {
		pair_remember(h, p, v);
		owe(h, p, 3, false);
	}
	if (p->up)
		pair_over(h, p, v);
	else if (pair_pending(p))
		pair_state(h, p, PAIR_IDLE, in_ms(h, MESH_QUIET_MS));
}

void pair_changed(struct hub *h, struct pair *p)
{
	mono_t soonest = mono_add(p->since, retry(h));

	if (p->state == PAIR_UP && p->until.ns != MONO_NEVER.ns && both_present(p)) {
		p->until = doubted(p) ? mono_add(now_of(h), dur_s(MESH_RETURN_S)) : MONO_NEVER;
		pair_arm(h, p);
	}
	if (p->state != PAIR_FAILED)
		return;
	if (p->hard)
		p->backoff = (dur_t){ 0 };
	p->until = mono_min(p->until, later(soonest, now_of(h)));
	pair_arm(h, p);
}

void pair_elsewhere(struct hub *h, struct pair *p)
{
	if (both_present(p) && !entry_here(p->side[0].entry) && !entry_here(p->side[1].entry))
		pair_forget(h, p);
}

void pair_judge(struct hub *h, struct pair *p)
{
	p->topology = topology_of(h->net->conf, p->side[0].entry, p->side[1].entry, &p->rule);
	if (p->topology == MESH_STAR) {
		if (p->up || pair_pending(p))
			pair_withdraw(h, p, WIRE_MR_POLICY, "the topology is a star for both");
		if (p->state != PAIR_BARRED)
			pair_state(h, p, PAIR_BARRED, in_ms(h, MESH_QUIET_MS));
		return;
	}
	if (p->state == PAIR_BARRED)
		pair_state(h, p, PAIR_IDLE, in_ms(h, MESH_QUIET_MS));
	if (p->topology == MESH_FULL && p->state == PAIR_IDLE)
		pair_want(h, p, "the topology is a mesh for both");
}

static bool able(const struct pair *p)
{
	const struct entry *a = p->side[0].entry, *b = p->side[1].entry;

	return entry_takes(a) && entry_takes(b) && (entry_here(a) || entry_here(b));
}

/* They may have a tunnel that we do not know of. */
static bool unspoken(const struct pair *p)
{
	return !p->side[0].entry->spoken || !p->side[1].entry->spoken;
}

void pair_want(struct hub *h, struct pair *p, const char *why)
{
	if (able(p) && (unspoken(p) || suggest(h, p, why) == ST_AGAIN))
		pair_state(h, p, PAIR_WANTED, in_ms(h, MESH_SOON_MS));
}

void pair_hurry(struct hub *h, struct pair *p)
{
	if (p->state != PAIR_WANTED)
		return;
	p->until = now_of(h);
	pair_arm(h, p);
}

/* ---- traffic ------------------------------------------------------------------------------- */

/* It is up, and traffic comes here all the same. */
static void detour(struct hub *h, struct pair *p)
{
	mono_t now = now_of(h);
	mono_t since = later(p->traffic_since, p->up_since);

	if (mono_before(now, mono_add(since, dur_ms(MESH_DETOUR_MS))) ||
	    mono_before(now, p->again) || !able(p) || unspoken(p))
		return;
	if (p->stale)
		pair_withdraw(h, p, WIRE_MR_EXPIRED, "one of both serves more than before");
	if (suggest(h, p, "there is traffic here although they have a tunnel") == ST_AGAIN)
		p->again = in_ms(h, MESH_SOON_MS);
}

void pair_traffic(struct hub *h, struct pair *p, const char *why)
{
	mono_t now = now_of(h);

	if (mono_before(mono_add(p->traffic, dur_ms(MESH_PAUSE_MS)), now))
		p->traffic_since = now;
	p->traffic = now;
	if (p->state == PAIR_UP) {
		detour(h, p);
		return;
	}
	if (p->state != PAIR_IDLE && p->state != PAIR_BARRED)
		return;
	p->until = later(p->until, in_ms(h, MESH_QUIET_MS));
	pair_arm(h, p);
	if (p->state == PAIR_IDLE && mono_since(now, p->traffic_since).ns >= h->net->conf->after.ns)
		pair_want(h, p, why);
}

/* ---- time ---------------------------------------------------------------------------------- */

/* It is remembered for a while how often it failed. */
static void may_again(struct hub *h, struct pair *p)
{
	p->hard = false;
	pair_state(h, p, PAIR_IDLE, mono_add(now_of(h), retry_max(h)));
	pair_judge(h, p);
}

/* One of them has left, or has come back and does not say that it still has it: what became of it
 * meanwhile may not have found its way here. */
static void not_confirmed(struct hub *h, struct pair *p)
{
	static const char why[] = "one of both has come back without it";
	struct verdict v = { WIRE_MR_LOST, -1, bytes_str(why) };

	if (!both_present(p)) {
		pair_forget(h, p);
	} else if (!doubted(p)) {
		p->until = MONO_NEVER;
	} else {
		pair_remember(h, p, v);
		owe(h, p, 3, true);
		pair_over(h, p, v);
		pair_judge(h, p);
	}
}

static void expired(struct hub *h, struct pair *p)
{
	static const struct verdict silent = { WIRE_MR_NO_ANSWER, -1, { NULL, 0 } };

	relay_late(h, p);
	switch (p->state) {
	case PAIR_SUGGESTED:
	case PAIR_ACCEPTED: pair_failed(h, p, silent, 3); break;
	case PAIR_FAILED: may_again(h, p); break;
	case PAIR_WANTED:
		pair_state(h, p, PAIR_IDLE, in_ms(h, MESH_QUIET_MS));
		if (p->topology == MESH_FULL ||
		    mono_since(now_of(h), p->traffic).ns < dur_ms(MESH_PAUSE_MS).ns)
			pair_want(h, p, "there was no room before");
		break;
	case PAIR_UP: not_confirmed(h, p); break;
	case PAIR_IDLE:
	case PAIR_BARRED:
	case PAIR_STATES: pair_forget(h, p); break;
	}
}

void hub_pair_timer(struct mesh *m, struct timer *t)
{
	struct pair *p = CONTAINER_OF(t, struct pair, timer);
	struct hub *h = p->net->hub;

	say_withdraw(h, p);
	if (mono_before(m->now.mono, p->until) || p->side[0].owed || p->side[1].owed)
		pair_arm(h, p);
	else
		expired(h, p);
}
