/*
 * report.c - what a site says to its hubs: where it is, and what became of suggestions.
 *
 * State, not a queue: `announce` and each shortcut's `owed` say which hubs do not know it yet.
 * What was said and not heard, since the hub went first, is to be said again; when a hub comes up
 * it hears of all that is up, since it may be another one, or have started again.  Where we are
 * comes last: by that a hub knows that it has heard everything.
 */
#include "mesh/site.h"

/* ---- candidates ------------------------------------------------------------------------------ */

/* One that has heard too many of us says so, and wants it once more, later. */
static bool was_heard(struct site *s, uint16_t notify, const struct wire_mesh *answer)
{
	if (!answer)
		return false;
	if (notify != WIRE_N_SHORTCUT_REFUSED || answer->reason != WIRE_MR_LIMIT)
		return true;
	s->quiet = mono_add(s->net->m->now.mono, dur_ms(MESH_SPEAK_MS));
	return false;
}

/* Which hub a word went to; a reload may have come between: then to none, and it is told again. */
static uint16_t hub_bit(const struct ask *a)
{
	return (uint16_t)(1u << hub_index(a->net, a->peer) & all_hubs(a->net));
}

static void candidates_said(struct mesh *m, const struct ask *a, uint16_t notify,
			    const struct wire_mesh *answer)
{
	struct site *s = a->net->site;

	(void)m;
	if (!was_heard(s, notify, answer))
		s->announce |= hub_bit(a);
	site_speak(s);
}

static enum status say_candidates(struct site *s, size_t hub)
{
	struct mesh *m = s->net->m;
	struct wire_mesh word = { .boot = load_be64(m->boot), .sequence = m->sequence + 1 };
	enum status st;

	word.context = bytes_str(s->net->conf->name);
	word.n_candidates = own_candidates(s->net, word.candidates);
	word.present = 1u << WIRE_MA_BOOT | 1u << WIRE_MA_SEQUENCE | 1u << WIRE_MA_CONTEXT;
	if (word.n_candidates)
		word.present |= 1u << WIRE_MA_CANDIDATE;
	st = say(s->net, hub_at(s->net, hub), WIRE_N_SHORTCUT_CANDIDATES, &word, candidates_said, 0,
		 0);
	if (st)
		return st;
	m->sequence++;
	s->announce &= (uint16_t) ~(1u << hub);
	memcpy(s->said, word.candidates, sizeof(s->said));
	s->n_said = word.n_candidates;
	return ST_OK;
}

void site_announce(struct site *s)
{
	struct wire_mesh_candidate now[WIRE_MESH_CANDIDATES] = { 0 };
	size_t n = own_candidates(s->net, now);
	bool same = n == s->n_said;

	for (size_t i = 0; same && i < n; i++)
		same = now[i].kind == s->said[i].kind && endpoint_eq(&now[i].at, &s->said[i].at);
	if (!same)
		s->announce = all_hubs(s->net);
	site_speak(s);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

/* What came up was told to all hubs, and so is its end; what did not is between us and who
 * suggested it. */
void site_owes(struct shortcut *c, enum wire_mesh_outcome outcome)
{
	size_t hub = hub_index(c->net, c->hub);
	bool all = outcome == WIRE_MO_UP || c->outcome == WIRE_MO_UP || hub == n_attached(c->net);

	c->owed = all ? all_hubs(c->net) : (uint16_t)(1u << hub);
	c->unheard = 0;
	c->outcome = (uint8_t)outcome;
}

void site_owes_others(struct shortcut *c, uint16_t knows)
{
	/* To be tried again soon, unless somebody does not want it. */
	if (c->reason == WIRE_MR_LOST)
		c->outcome = WIRE_MO_LOST;
	c->owed = all_hubs(c->net) & (uint16_t)~knows;
	site_speak(c->net->site);
}

static void owes_all(const struct list *l, uint16_t all)
{
	list_for_each(n, l) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		c->owed = c->owed || c->unheard || c->stage == STAGE_UP ? all : 0;
		c->unheard = 0;
	}
}

void site_hubs_other(struct site *s)
{
	ike_peer_id hubs[MESH_ATTACHED] = { 0 };

	for (size_t i = 0; i < n_attached(s->net); i++)
		hubs[i] = hub_at(s->net, i);
	if (memcmp(hubs, s->hubs, sizeof(hubs)) == 0)
		return;
	memcpy(s->hubs, hubs, sizeof(hubs));
	memset(s->told, 0, sizeof(s->told));
	s->announce = all_hubs(s->net);
	owes_all(&s->live, s->announce);
	owes_all(&s->past, s->announce);
}

static struct shortcut *by_number(const struct list *l, uint64_t number)
{
	list_for_each(n, l) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (c->number == number)
			return c;
	}
	return NULL;
}

/* Not heard, and still true. */
static void report_said(struct mesh *m, const struct ask *a, uint16_t notify,
			const struct wire_mesh *answer)
{
	struct site *s = a->net->site;
	struct shortcut *c = by_number(&s->live, a->about[0]);
	bool heard = was_heard(s, notify, answer);
	uint16_t bit = hub_bit(a);

	(void)m;
	if (!c)
		c = by_number(&s->past, a->about[0]);
	if (c && c->outcome == a->about[1]) {
		c->unheard &= (uint16_t)~bit;
		c->owed |= heard ? 0 : bit;
	}
	site_speak(s);
}

static void word_of(const struct shortcut *c, struct wire_mesh *ret)
{
	*ret = (struct wire_mesh){ .partner = ident_put(&c->partner),
				   .context = bytes_str(c->net->conf->name),
				   .outcome = c->outcome };
	memcpy(ret->id, c->id, sizeof(ret->id));
	ret->present = 1u << WIRE_MA_PARTNER_ID | 1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_OUTCOME;
	if (c->outcome == WIRE_MO_UP) {
		ret->path = (struct wire_mesh_path){ c->local, c->remote,
						     (uint32_t)(c->rtt.ns / 1000) };
		ret->present |= 1u << WIRE_MA_PATH;
		return;
	}
	ret->reason = (uint16_t)c->reason;
	ret->text = bytes_str(c->text);
	if (ret->text.n > WIRE_MESH_TEXT_MAX)
		ret->text.n = WIRE_MESH_TEXT_MAX;
	ret->present |= 1u << WIRE_MA_REASON | 1u << WIRE_MA_TEXT;
}

static enum status say_report(struct shortcut *c, size_t hub)
{
	struct network *net = c->net;
	struct wire_mesh word;
	enum status st;

	word_of(c, &word);
	st = say(net, hub_at(net, hub), WIRE_N_SHORTCUT_REPORT, &word, report_said, c->number,
		 c->outcome);
	if (!st) {
		c->owed &= (uint16_t) ~(1u << hub);
		c->unheard |= (uint16_t)(1u << hub);
	}
	return st;
}

static enum status say_reports(const struct list *l, size_t hub)
{
	enum status st = ST_OK;

	list_for_each(n, l) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (c->owed >> hub & 1)
			st = say_report(c, hub);
		if (st)
			return st;
	}
	return ST_OK;
}

/* ---- both ------------------------------------------------------------------------------------ */

static enum status speak_to(struct site *s, size_t hub)
{
	enum status st = say_reports(&s->past, hub);

	if (!st)
		st = say_reports(&s->live, hub);
	return st || !(s->announce >> hub & 1) ? st : say_candidates(s, hub);
}

/* One that does not listen is heard of by site_hub_up() when it does. */
void site_speak(struct site *s)
{
	struct mesh *m = s->net->m;
	bool again = false;

	if (mono_before(m->now.mono, s->quiet)) {
		heap_arm(&m->timers, &s->timer, s->quiet);
		return;
	}
	for (size_t i = 0; i < n_attached(s->net); i++) {
		enum status st = speak_to(s, i);

		again |= st && st != ST_INVAL;
	}
	if (again)
		heap_arm(&m->timers, &s->timer, mono_add(m->now.mono, dur_ms(MESH_SPEAK_MS)));
	else
		heap_disarm(&m->timers, &s->timer);
}

void site_hub_up(struct site *s, size_t hub, ike_sa_id sa)
{
	if (s->told[hub] == sa)
		return;
	s->told[hub] = sa;
	s->announce |= (uint16_t)(1u << hub);
	site_ask_anew(s);
	site_hubs_anew(s);
	list_for_each(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (c->stage == STAGE_UP)
			c->owed |= (uint16_t)(1u << hub);
	}
	site_speak(s);
}
