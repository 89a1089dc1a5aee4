/*
 * suggest.c - what a hub says to two members about a tunnel of their own, and what they answer and
 * report (docs/protocol/shortcut.md sections 4, 5 and 11).
 */
#include "mesh/hub.h"

/* ---- saying -------------------------------------------------------------------------------- */

enum status tell(struct hub *h, const struct entry *e, uint16_t kind, const struct wire_mesh *word,
		 answered_fn *done, const struct pair *p)
{
	const struct other *o = entry_here(e) ? NULL : other_by_ident(h, &e->at);
	ike_peer_id peer = entry_here(e) ? e->peer : o && o->n_ways ? o->way[0] : 0;

	if (!peer)
		return ST_INVAL;
	if (o && kind == WIRE_N_SHORTCUT_SUGGEST)
		kind = WIRE_N_SHORTCUT_RELAY;
	return say(h->net, peer, kind, word, done, p->number, (uint64_t)pair_side(p, e));
}

/* What a tunnel of a full mesh does is not a matter of traffic: it has no IDLE. */
static void put_idle(const struct hub *h, const struct pair *p, struct wire_mesh *word)
{
	int64_t s = dur_to_ms(h->net->conf->idle) / 1000;

	if (p->topology == MESH_FULL || s <= 0)
		return;
	if (s < WIRE_MESH_IDLE_MIN)
		s = WIRE_MESH_IDLE_MIN;
	word->idle_s = s > WIRE_MESH_IDLE_MAX ? WIRE_MESH_IDLE_MAX : (uint32_t)s;
	word->present |= WIRE_MESH_BIT(IDLE);
}

static void put_candidates(const struct entry *e, struct wire_mesh *word)
{
	word->n_candidates = entry_candidates(e, word->candidates);
	if (word->n_candidates)
		word->present |= WIRE_MESH_BIT(CANDIDATE);
}

/* All the way: where it is at another hub that says its part. */
static bool reached_safely(const struct hub *h, const struct entry *e)
{
	const struct other *o = e->at.type ? other_by_ident(h, &e->at) : NULL;

	return e->post_quantum &&
	       (entry_here(e) || (o && o->n_ways && hub_post_quantum(h, o->way[0])));
}

/* What the side hears that is not `of`. */
static void build_suggestion(const struct hub *h, const struct pair *p, const struct side *of,
			     const uint8_t *secret, struct wire_mesh *word)
{
	const struct entry *to = p->side[of == &p->side[0]].entry, *e = of->entry;

	*word = (struct wire_mesh){
		.present = WIRE_MESH_BIT(SECRET) | WIRE_MESH_BIT(PARTNER_ID) |
			   WIRE_MESH_BIT(OWN_ID) | WIRE_MESH_BIT(TS_REMOTE) |
			   WIRE_MESH_BIT(TS_LOCAL) | WIRE_MESH_BIT(CONTEXT) |
			   WIRE_MESH_BIT(LIFETIME) | WIRE_MESH_BIT(FLAGS),
		.secret = secret,
		.partner = ident_put(&e->ident),
		.own = ident_put(&to->ident),
		.context = bytes_str(h->net->conf->name),
		.lifetime_s = MESH_SUGGESTION_LIFE_S,
		.flags = reached_safely(h, e) && reached_safely(h, to) ? WIRE_MESH_PQ : 0,
		.boot = e->boot,
	};
	memcpy(word->id, p->id, sizeof(word->id));
	word->n_ts_remote = entry_ts(e, word->ts_remote);
	word->n_ts_local = entry_ts(to, word->ts_local);
	put_candidates(e, word);
	put_idle(h, p, word);
	if (e->boot)
		word->present |= WIRE_MESH_BIT(BOOT);
}

/* Which of the two could be told: bits. */
static unsigned tell_both(struct hub *h, struct pair *p)
{
	uint8_t secret[WIRE_MESH_SECRET];
	struct wire_mesh word;
	unsigned told = 0;

	mesh_random(h->net->m, secret, sizeof(secret));
	for (int i = 0; i < 2; i++) {
		build_suggestion(h, p, &p->side[!i], secret, &word);
		if (tell(h, p->side[i].entry, WIRE_N_SHORTCUT_SUGGEST, &word, suggest_answered, p))
			break;
		told |= 1u << i;
	}
	wipe(secret, sizeof(secret));
	return told;
}

/* One of the two may be after the other's time. */
static bool may_tell(struct hub *h, struct pair *p)
{
	return pace(&p->told, h->net->m->now.mono, dur_ms(MESH_PAIR_WORDS_MS), MESH_PAIR_WORDS);
}

enum status suggest(struct hub *h, struct pair *p, const char *why)
{
	unsigned told;
	uint8_t id[WIRE_MESH_ID];

	if (h->pending >= (p->topology == MESH_FULL ? h->room : MESH_PENDING) || others_turn(h, p))
		return ST_AGAIN;
	for (int i = 0; i < 2; i++)
		if (p->side[i].entry->pending >= MESH_MEMBER_PENDING)
			return ST_AGAIN;
	if (!may_tell(h, p))
		return ST_AGAIN;
	for (int i = 0; i < 2; i++) {
		p->side[i].answer = SIDE_SILENT;
		p->side[i].owed = false;
	}
	mesh_random(h->net->m, id, sizeof(id));
	pair_named(h, p, id);
	p->theirs = false;
	pair_state(h, p, PAIR_SUGGESTED, mono_add(h->net->m->now.mono, dur_s(MESH_ANSWER_S)));
	told = tell_both(h, p);
	if (told != 3) {
		pair_failed(h, p,
			    (struct verdict){ WIRE_MR_INTERNAL, -1,
					      bytes_str("one of both cannot be told now") },
			    told);
		return ST_OK;
	}
	p->suggestions++;
	count(h->net->m, M_SUGGESTED);
	pair_event(h, p, IKE_EV_SUGGESTED, IKE_R_NONE, why);
	return ST_OK;
}

bool id_is_zero(const uint8_t id[static WIRE_MESH_ID])
{
	static const uint8_t zero[WIRE_MESH_ID];

	return memcmp(id, zero, sizeof(zero)) == 0;
}

/* Who said what, for the other one: what stands in `text` is escaped, and may be cut anywhere. */
static void put_reason(const struct pair *p, struct text *t, struct wire_mesh *word)
{
	const char *name = wire_mesh_reason_name(p->reason);

	word->reason = p->reason;
	if (p->by) {
		policy_ident_text(t, &p->side[p->by - 1].entry->ident);
		text_fmt(t, ": %s", name ? name : "a reason that is not known here");
	}
	if (p->by || p->reason == WIRE_MR_NO_ANSWER)
		word->reason = WIRE_MR_PARTNER_REFUSED;
	if (p->text)
		text_fmt(t, "%s%s", t->n ? ": " : "", p->text);
	word->text = bytes_of(t->p, t->n);
	if (t->n)
		word->present |= WIRE_MESH_BIT(TEXT);
}

void say_withdraw(struct hub *h, struct pair *p)
{
	char buf[WIRE_MESH_TEXT_MAX + 1];
	struct text t = TEXT_OF(buf);
	struct wire_mesh word = {
		.present = WIRE_MESH_BIT(REASON),
		.context = bytes_str(h->net->conf->name),
	};

	if ((!p->side[0].owed && !p->side[1].owed) || !may_tell(h, p))
		return;
	memcpy(word.id, p->owed_id, sizeof(word.id));
	if (id_is_zero(p->owed_id)) /* whatever it is that they have */
		word.present |= WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT);
	put_reason(p, &t, &word);
	for (int i = 0; i < 2; i++) {
		enum status st;

		if (!p->side[i].owed)
			continue;
		if (id_is_zero(word.id) && !entry_here(p->side[i].entry))
			word.present |= WIRE_MESH_BIT(OWN_ID); /* another hub asks: of whom? */
		else
			word.present &= ~(uint32_t)WIRE_MESH_BIT(OWN_ID);
		word.own = ident_put(&p->side[i].entry->ident);
		word.partner = ident_put(&p->side[!i].entry->ident);
		st = tell(h, p->side[i].entry, WIRE_N_SHORTCUT_WITHDRAW, &word, NULL, p);
		p->side[i].owed = st == ST_AGAIN || st == ST_NOMEM;
	}
}

/* When it cannot be said now the next news will have it all. */
void say_candidates(struct hub *h, struct pair *p, int side)
{
	struct wire_mesh word = {
		.present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT),
		.context = bytes_str(h->net->conf->name),
		.sequence = ++h->net->m->sequence,
	};

	memcpy(word.id, pair_pending(p) ? p->id : p->up_id, sizeof(word.id));
	if (id_is_zero(word.id))
		return; /* of what they have we know no more than that */
	put_candidates(p->side[side].entry, &word);
	if (tell(h, p->side[!side].entry, WIRE_N_SHORTCUT_CANDIDATES, &word, NULL, p))
		count(h->net->m, M_WORDS_LOST);
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool says_duplicate(const struct side *s)
{
	return s->answer == SIDE_REFUSED && s->reason == WIRE_MR_DUPLICATE;
}

/* One has a tunnel with the other one already. Either both have, or it is half a one; what the
 * other one of another hub's suggestion says is that hub's to know. */
static void duplicate(struct hub *h, struct pair *p, int side)
{
	const struct side *other = &p->side[!side];

	if (says_duplicate(other) || p->theirs)
		pair_duplicate(h, p);
	else if (other->answer == SIDE_ACCEPTED)
		pair_failed(h, p,
			    (struct verdict){ WIRE_MR_DUPLICATE, side,
					      bytes_str("the other one knows of no tunnel") },
			    1u << !side);
}

static void refused(struct hub *h, struct pair *p, int side, const struct wire_mesh *answer)
{
	struct verdict v = { answer->reason, side, answer->text };

	p->side[side].answer = SIDE_REFUSED;
	p->side[side].reason = answer->reason;
	if (answer->reason == WIRE_MR_DUPLICATE)
		duplicate(h, p, side);
	else
		pair_failed(h, p, v,
			    p->theirs || says_duplicate(&p->side[!side]) ? 0 : 1u << !side);
}

static void accepted(struct hub *h, struct pair *p, int side, const struct wire_mesh *answer)
{
	struct entry *e = p->side[side].entry;
	bool news = answer->n_candidates &&
		    entry_offers(h, e, answer->candidates, answer->n_candidates);

	p->side[side].answer = SIDE_ACCEPTED;
	if (news && !entry_moved(h, e))
		say_candidates(h, p, side); /* it cannot wait */
	if (says_duplicate(&p->side[!side])) {
		duplicate(h, p, !side);
	} else if (p->side[!side].answer == SIDE_ACCEPTED) {
		count(h->net->m, M_ACCEPTED);
		pair_state(h, p, PAIR_ACCEPTED,
			   p->theirs ? mono_add(h->net->m->now.mono, dur_s(MESH_ANSWER_S))
				     : p->until);
	}
}

void suggest_answered(struct mesh *m, const struct ask *a, uint16_t notify,
		      const struct wire_mesh *answer)
{
	struct hub *h = a->net->hub;
	struct pair *p = pair_by_number(h, a->about[0]);
	int side = (int)a->about[1];

	(void)m;
	if (!p || p->side[side].answer != SIDE_SILENT)
		return;
	relay_answered(h, p, answer);
	if (!answer)
		pair_failed(h, p,
			    (struct verdict){ WIRE_MR_NO_ANSWER, -1,
					      bytes_str("one of both did not answer") },
			    1u << !side);
	else if (notify == WIRE_N_SHORTCUT_ACCEPT)
		accepted(h, p, side, answer);
	else
		refused(h, p, side, answer);
}

/* ---- reports ------------------------------------------------------------------------------- */

static void lost_pending(struct hub *h, struct pair *p, int side, const struct wire_mesh *r)
{
	uint16_t reason = r->reason ? r->reason : WIRE_MR_NO_PATH;

	pair_failed(h, p, (struct verdict){ reason, side, r->text }, 1u << !side);
}

static void ended(struct hub *h, struct pair *p, int side, const struct wire_mesh *r)
{
	struct verdict v = { r->reason, side, r->text };

	switch ((enum wire_mesh_outcome)r->outcome) {
	case WIRE_MO_FAILED:
		v.reason = v.reason ? v.reason : WIRE_MR_NO_PATH;
		pair_failed(h, p, v, 0);
		break;
	case WIRE_MO_LOST:
		v.reason = v.reason ? v.reason : WIRE_MR_LOST;
		pair_lost(h, p, v);
		break;
	case WIRE_MO_WITHDRAWN:
		v.reason = WIRE_MR_WITHDRAWN;
		pair_failed(h, p, v, 0);
		break;
	case WIRE_MO_IDLE:
		v.reason = WIRE_MR_IDLE;
		p->lost = false;
		p->backoff = (dur_t){ 0 };
		pair_over(h, p, v);
		break;
	case WIRE_MO_REPLACED:
		v.reason = v.reason ? v.reason : WIRE_MR_DUPLICATE;
		pair_over(h, p, v);
		break;
	case WIRE_MO_UP:
	case WIRE_MOS: break;
	}
}

/* What is over already, as the other one said first: he may not have known why. */
static void reported_late(struct hub *h, struct pair *p, int side, const struct wire_mesh *r)
{
	bool lost = p->reason == WIRE_MR_LOST || p->reason == WIRE_MR_PARTNER_ENDED;

	if (p->reason == WIRE_MR_PARTNER_ENDED && r->reason && r->reason != p->reason)
		pair_remember(h, p, (struct verdict){ r->reason, side, r->text });
	if (r->outcome == WIRE_MO_IDLE) {
		p->lost = false;
		if (p->state == PAIR_FAILED && lost)
			pair_state(h, p, PAIR_IDLE,
				   mono_add(h->net->m->now.mono, dur_ms(MESH_QUIET_MS)));
	} else if (r->outcome == WIRE_MO_WITHDRAWN && lost) {
		pair_failed(h, p, (struct verdict){ WIRE_MR_WITHDRAWN, side, r->text },
			    pair_pending(p) ? 3 : 0);
	}
}

/* About what is under way, what is up, or what was last. */
void pair_reported(struct hub *h, struct pair *p, int side, const struct wire_mesh *r)
{
	bool last = memcmp(r->id, p->up_id, WIRE_MESH_ID) == 0;
	bool up = p->up && (last || id_is_zero(p->up_id));

	if (r->outcome == WIRE_MO_UP)
		pair_carries(h, p, side, r);
	else if (pair_pending(p) && memcmp(r->id, p->id, WIRE_MESH_ID) == 0)
		lost_pending(h, p, side, r);
	else if (up && pair_pending(p))
		p->up = false;
	else if (up)
		ended(h, p, side, r);
	else if (last)
		reported_late(h, p, side, r);
}

void report_word(struct hub *h, struct entry *e, struct word *w)
{
	struct policy_ident partner = ident_of(&w->msg.partner);
	struct entry *other = entry_by_ident(h, &partner);
	struct pair *p = NULL;

	if (!bytes_eq(w->msg.context, bytes_str(h->net->conf->name))) {
		word_refuse(w, WIRE_MR_CONTEXT, h->net->conf->name);
		return;
	}
	if (other == e) {
		word_refuse(w, WIRE_MR_IDENTITY, "you are no partner of yourself");
		return;
	}
	if (other)
		p = pair_find(h, e, other);
	if (other && !p && w->msg.outcome == WIRE_MO_UP &&
	    (entry_here(e) || entry_here(other))) { /* we were not there */
		if (e->n_pairs >= MESH_CLAIMS)
			count(h->net->m, M_PAIRS_FULL);
		else
			p = pair_get(h, e, other);
	}
	if (p)
		report_on(h, p, pair_side(p, e), &w->msg);
	if (p)
		pair_reported(h, p, pair_side(p, e), &w->msg);
	word_accept(w, NULL);
}
