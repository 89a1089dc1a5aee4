/*
 * relay.c - suggestions to two members of which one is at another hub
 * (docs/protocol/shortcut.md section 9.3).
 *
 *	B            H1                    H2            C
 *	| <- SUGGEST  |  RELAY --------->  |  SUGGEST -> |
 *	| ACCEPT -->  |                    |  <-- ACCEPT |
 *	|             |  <------- ACCEPT   |             |
 *
 * For the hub that suggests the other one is where a member is: words to it go there, and RELAY is
 * SUGGEST.  What the other hub does is here: it judges, says it to its member, and answers when the
 * member has.  Both have the same pair, found by the id of the suggestion (hub.by_id).
 *
 * Of two suggestions for one pair that lives which has the lower id, as it does at the partners.
 */
#include "mesh/hub.h"

/* ---- by id --------------------------------------------------------------------------------- */

static bool same_id(const struct map_node *n, const void *key)
{
	return memcmp(CONTAINER_OF(n, const struct pair, by_id)->id, key, WIRE_MESH_ID) == 0;
}

static uint64_t id_hash(const struct hub *h, const uint8_t id[static WIRE_MESH_ID])
{
	return map_hash(&h->by_id, bytes_of(id, WIRE_MESH_ID));
}

static struct pair *pair_by_id(const struct hub *h, const uint8_t id[static WIRE_MESH_ID])
{
	struct map_node *n = map_find(&h->by_id, id_hash(h, id), same_id, id);

	return n ? CONTAINER_OF(n, struct pair, by_id) : NULL;
}

bool pair_relayed(const struct pair *p)
{
	return !entry_here(p->side[0].entry) || !entry_here(p->side[1].entry);
}

void pair_named(struct hub *h, struct pair *p, const uint8_t id[static WIRE_MESH_ID])
{
	if (p->in_by_id)
		map_remove(&h->by_id, &p->by_id);
	memmove(p->id, id, WIRE_MESH_ID);
	p->in_by_id = pair_relayed(p);
	if (p->in_by_id)
		map_insert(&h->by_id, &p->by_id, id_hash(h, p->id));
}

void pair_unnamed(struct hub *h, struct pair *p)
{
	if (p->in_by_id)
		map_remove(&h->by_id, &p->by_id);
	p->in_by_id = false;
}

/* The one that is at another hub. */
static int far_side(const struct pair *p)
{
	return entry_here(p->side[0].entry);
}

/* ---- whose turn it is ---------------------------------------------------------------------- */

bool others_turn(const struct hub *h, struct pair *p)
{
	mono_t now = h->net->m->now.mono;

	if (!pair_relayed(p) || entry_here(p->side[0].entry))
		return false;
	if (mono_before(mono_add(p->turn, dur_ms(2 * MESH_TURN_OTHERS_MS)), now))
		p->turn = mono_add(now, dur_ms(MESH_TURN_OTHERS_MS));
	return mono_before(now, p->turn);
}

/* ---- the answer to the hub that suggested -------------------------------------------------- */

static void refuse_on(struct word *w, const struct wire_mesh *answer)
{
	char text[WIRE_MESH_TEXT_MAX + 1] = "the member does not answer";

	if (!answer) {
		word_refuse(w, WIRE_MR_NO_ANSWER, text);
		return;
	}
	memset(text, 0, sizeof(text));
	if (answer->text.n)
		memcpy(text, answer->text.p, answer->text.n);
	word_refuse(w,
		    answer->reason < WIRE_MRS ? (enum wire_mesh_reason)answer->reason
					      : WIRE_MR_PARTNER_REFUSED,
		    text);
}

void relay_answered(struct hub *h, struct pair *p, const struct wire_mesh *answer)
{
	struct word w = { .m = h->net->m, .net = h->net, .id = p->asked };

	if (!p->asked)
		return;
	p->asked = 0;
	memcpy(w.msg.id, p->id, WIRE_MESH_ID);
	if (!answer || WIRE_MESH_HAS(answer, REASON))
		refuse_on(&w, answer);
	else
		word_accept(&w, answer);
}

/* No other word of that hub was heard meanwhile: who lets others wait is not asked again soon. */
void relay_late(struct hub *h, struct pair *p)
{
	if (!p->asked)
		return;
	p->side[!far_side(p)].entry->slow_until = mono_add(h->net->m->now.mono, dur_s(MESH_SLOW_S));
	relay_answered(h, p, NULL);
}

/* ---- RELAY --------------------------------------------------------------------------------- */

static bool inside(const struct wire_mesh_ts *ts, size_t n, const struct entry *e)
{
	for (size_t i = 0; i < n; i++)
		if (!policy_ts_subset(&ts[i].ts, &e->ts[ts[i].authority]))
			return false;
	return true;
}

static bool may_name(const struct other *o, const struct word *w)
{
	const struct wire_ts_list *domain = &o->hub->net->section->domain;
	const struct wire_mesh *msg = &w->msg;

	for (size_t i = 0; i < msg->n_ts_remote; i++) {
		const struct wire_mesh_ts *ts = &msg->ts_remote[i];

		if (!policy_ts_subset(&ts->ts, domain) ||
		    (ts->authority != IKE_AUTHORITY_RULE &&
		     !ike_peer_covers(w->m->ike, w->peer, &ts->ts)))
			return false;
	}
	return true;
}

/* `own`: the member here; `partner`: the one there, by our own directory. */
static enum wire_mesh_reason judge(const struct other *o, const struct word *w,
				   const struct entry *own, const struct entry *partner,
				   const char **why)
{
	const char *rule;

	if (!own || !entry_here(own) || !entry_takes(own)) {
		*why = "there is no such member here that takes suggestions";
		return WIRE_MR_IDENTITY;
	}
	if (mono_before(w->m->now.mono, own->slow_until)) {
		*why = "the member left another one unanswered";
		return WIRE_MR_LIMIT;
	}
	if (!partner || partner == own || !policy_ident_eq(&partner->at, &o->ident)) {
		*why = "the directory does not have the partner at that hub";
		return WIRE_MR_OLDER;
	}
	if (!inside(w->msg.ts_local, w->msg.n_ts_local, own)) {
		*why = "the member has not all of these selectors here";
		return WIRE_MR_SELECTORS;
	}
	if (!may_name(o, w)) {
		*why = "the partner's selectors are not in the address blocks of his hub, or of "
		       "the domain";
		return WIRE_MR_AUTHORITY;
	}
	if (topology_of(o->hub->net->conf, own, partner, &rule) == MESH_STAR) {
		*why = rule ? rule : "the topology is a star for both";
		return WIRE_MR_POLICY;
	}
	return 0;
}

/* Its own suggestion for the two, if one is under way, is given up: this one's id is lower, so the
 * partners take this one. */
static enum status pass_on(struct other *o, struct pair *p, const struct entry *own, struct word *w)
{
	struct hub *h = o->hub;
	mono_t until = mono_add(w->m->now.mono, dur_s(MESH_RELAY_S));
	struct wire_mesh word = w->msg;
	int side = pair_side(p, own);

	if (pair_pending(p))
		pair_state(h, p, PAIR_IDLE, until);
	pair_named(h, p, w->msg.id);
	p->theirs = true;
	p->side[side].answer = SIDE_SILENT;
	p->side[!side].answer = SIDE_ACCEPTED;
	p->side[0].owed = p->side[1].owed = false;
	pair_state(h, p, PAIR_SUGGESTED, until);
	if (!own->post_quantum || !hub_post_quantum(h, w->peer))
		word.flags &= ~(uint32_t)WIRE_MESH_PQ;
	return tell(h, own, WIRE_N_SHORTCUT_SUGGEST, &word, suggest_answered, p);
}

static void relay(struct other *o, struct word *w, struct entry *own, struct entry *partner)
{
	struct hub *h = o->hub;
	struct pair *p = pair_get(h, own, partner);
	char text[IKE_IDENTITY_TEXT + 32];
	struct text t = TEXT_OF(text);

	if (!p) {
		word_refuse(w, WIRE_MR_INTERNAL, "out of memory, or too many pairs");
		return;
	}
	if (pair_pending(p) && memcmp(p->id, w->msg.id, WIRE_MESH_ID) <= 0) {
		word_refuse(w, WIRE_MR_OLDER,
			    "another suggestion, whose id is lower, is under way");
		return;
	}
	if (pass_on(o, p, own, w)) {
		word_refuse(w, WIRE_MR_NO_ANSWER, "the member cannot be told now");
		pair_state(h, p, PAIR_IDLE, mono_add(w->m->now.mono, dur_ms(MESH_QUIET_MS)));
		return;
	}
	p->asked = w->id;
	w->id = 0; /* answered when the member has */
	p->suggestions++;
	count(w->m, M_RELAYED);
	text_add(&t, "for another hub, ");
	policy_ident_text(&t, &o->ident);
	pair_event(h, p, IKE_EV_SUGGESTED, IKE_R_NONE, text);
}

void relay_word(struct other *o, struct word *w)
{
	struct policy_ident own = ident_of(&w->msg.own), partner = ident_of(&w->msg.partner);
	struct entry *e = entry_by_ident(o->hub, &own), *b = entry_by_ident(o->hub, &partner);
	const char *why = "";
	enum wire_mesh_reason r = judge(o, w, e, b, &why);

	if (r)
		word_refuse(w, r, why);
	else if (!pace(&e->relayed, w->m->now.mono, dur_ms(1000 / MESH_RELAYS_PER_S), MESH_RELAYS))
		word_refuse(w, WIRE_MR_LIMIT, "other hubs suggest too much to that member");
	else
		relay(o, w, e, b);
}

/* ---- what comes after it ------------------------------------------------------------------- */

static void candidates(struct other *o, struct word *w)
{
	struct hub *h = o->hub;
	struct pair *p = pair_by_id(h, w->msg.id);
	int side;

	if (!p || !pair_relayed(p)) {
		word_refuse(w, WIRE_MR_EXPIRED, "there is no such suggestion any more");
		return;
	}
	side = far_side(p);
	word_accept(w, NULL);
	if (entry_offers(h, p->side[side].entry, w->msg.candidates, w->msg.n_candidates))
		say_candidates(h, p, side);
}

/* Whatever our member has with that one, known here or not. */
static void withdraw_all(struct hub *h, struct word *w)
{
	struct policy_ident own = ident_of(&w->msg.own), partner = ident_of(&w->msg.partner);
	struct entry *e = entry_by_ident(h, &own), *b = entry_by_ident(h, &partner);
	struct pair *p = e && b && e != b ? pair_find(h, e, b) : NULL;
	struct wire_mesh word = w->msg;

	if (!e || !entry_here(e)) {
		word_refuse(w, WIRE_MR_IDENTITY, "there is no such member here");
		return;
	}
	word_accept(w, NULL);
	if (p && (p->up || pair_pending(p))) {
		pair_withdraw(h, p, word.reason, "another hub has withdrawn it");
		return;
	}
	word.present &= ~(uint32_t)WIRE_MESH_BIT(OWN_ID);
	if (say(h->net, e->peer, WIRE_N_SHORTCUT_WITHDRAW, &word, NULL, 0, 0))
		count(h->net->m, M_WORDS_LOST);
}

static void withdraw(struct other *o, struct word *w)
{
	struct hub *h = o->hub;
	struct pair *p = pair_by_id(h, w->msg.id);
	struct verdict v = { w->msg.reason, -1, w->msg.text };

	if (id_is_zero(w->msg.id)) {
		withdraw_all(h, w);
		return;
	}
	word_accept(w, NULL);
	if (!p || !pair_relayed(p))
		return;
	if (pair_pending(p))
		pair_failed(h, p, v, 1u << !far_side(p));
	else if (p->up && memcmp(p->up_id, w->msg.id, WIRE_MESH_ID) == 0)
		pair_withdraw(h, p, w->msg.reason, "another hub has withdrawn it");
}

static void report(struct other *o, struct word *w)
{
	struct hub *h = o->hub;
	struct policy_ident own = ident_of(&w->msg.own), partner = ident_of(&w->msg.partner);
	struct entry *e = entry_by_ident(h, &own), *b = entry_by_ident(h, &partner);
	struct pair *p;

	if (!WIRE_MESH_HAS(&w->msg, OWN_ID) || !e || e == b ||
	    !policy_ident_eq(&e->at, &o->ident)) {
		word_refuse(w, WIRE_MR_IDENTITY, "of no member that is at your hub");
		return;
	}
	p = b ? pair_find(h, e, b) : NULL;
	if (b && !p && w->msg.outcome == WIRE_MO_UP && entry_here(b) && e->n_pairs < MESH_CLAIMS)
		p = pair_get(h, e, b);
	if (p)
		pair_reported(h, p, pair_side(p, e), &w->msg);
	word_accept(w, NULL);
}

void relayed_word(struct other *o, struct word *w)
{
	switch (w->kind) {
	case WIRE_N_SHORTCUT_CANDIDATES: candidates(o, w); break;
	case WIRE_N_SHORTCUT_WITHDRAW: withdraw(o, w); break;
	case WIRE_N_SHORTCUT_REPORT: report(o, w); break;
	default: break;
	}
}

void report_on(struct hub *h, const struct pair *p, int side, const struct wire_mesh *report)
{
	const struct entry *e = p->side[side].entry, *far = p->side[!side].entry;
	struct wire_mesh word = *report;

	if (entry_here(far) || !far->at.type)
		return;
	word.own = ident_put(&e->ident);
	word.present |= WIRE_MESH_BIT(OWN_ID);
	if (tell(h, far, WIRE_N_SHORTCUT_REPORT, &word, NULL, p))
		count(h->net->m, M_WORDS_LOST);
}
