#include "daemon/why.h"

#include <stdlib.h>

#include "daemon/status.h"

/* ---- small pieces ------------------------------------------------------------------------ */

static void put(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

/* What came from a peer may be no UTF-8. */
static void put_text(json_t *o, const char *key, const char *s)
{
	char buf[OBS_LINE_MAX];
	struct text t = TEXT_OF(buf);

	obs_clean(&t, bytes_str(s));
	put(o, key, json_string(buf));
}

static void put_time(json_t *o, const char *key, obs_time t)
{
	char buf[OBS_TIME_TEXT_MAX];

	if (t.ms)
		put_text(o, key, obs_time_text(t, buf));
}

/* ---- what happened ----------------------------------------------------------------------- */

/* A child that came up afterwards makes a note history. */
static bool is_current(const struct why *w, const struct journal_note *n)
{
	return n->last.ms >= w->memory->up.ms;
}

const struct journal_note *why_note(const struct why *w, enum ike_event_kind kind)
{
	for (size_t i = 0; w->memory && i < w->memory->n_notes; i++) {
		const struct journal_note *n = &w->memory->note[i];

		if (n->what->kind == kind && is_current(w, n))
			return n;
	}
	return NULL;
}

/* What the mesh says is about direct tunnels, not about the one with that subject. */
static bool is_of_mesh(enum ike_event_kind kind)
{
	return kind == IKE_EV_SHORTCUT_FAILED || kind == IKE_EV_SHORTCUT_ENDED;
}

/* That an SA went is only the end of the story. */
const struct journal_note *why_failure(const struct why *w)
{
	for (size_t i = 0; w->memory && i < w->memory->n_notes; i++) {
		const struct journal_note *n = &w->memory->note[i];

		if (n->what->kind != IKE_EV_SA_DOWN && !is_of_mesh(n->what->kind) &&
		    is_current(w, n))
			return n;
	}
	return why_note(w, IKE_EV_SA_DOWN);
}

/* How far something came that was refused, or not answered. */
static enum why_stage refused_at(const struct journal_text *t)
{
	switch (t->reason) {
	case IKE_R_PROPOSAL:
	case IKE_R_KEY_EXCHANGE:
	case IKE_R_OVERLOAD: return WHY_STAGE_INIT;
	case IKE_R_AUTHORISATION:
	case IKE_R_ADDRESS:
	case IKE_R_STORE:
	case IKE_R_REDIRECT:
	case IKE_R_CONFLICT:
	case IKE_R_SELECTORS:
	case IKE_R_ESP_PROPOSAL: return WHY_STAGE_CHILD;
	default: return t->keyed ? WHY_STAGE_AUTH : WHY_STAGE_INIT;
	}
}

static enum why_stage stage_of(const struct why *w)
{
	const struct journal_note *n = why_failure(w);

	if (w->has_child)
		return WHY_STAGE_UP;
	if (w->has_sa && w->sa.established)
		return WHY_STAGE_CHILD;
	if (!n)
		return WHY_STAGE_NONE;
	switch (n->what->kind) {
	case IKE_EV_UNREACHABLE:
		if (n->what->remote.ip.family == 0)
			return WHY_STAGE_LOOKUP;
		return refused_at(n->what);
	case IKE_EV_REFUSED: return refused_at(n->what);
	case IKE_EV_CONFLICT:
	case IKE_EV_DATAPLANE: return WHY_STAGE_CHILD;
	case IKE_EV_DEAD: return WHY_STAGE_INIT;
	default: return WHY_STAGE_NONE;
	}
}

static json_t *note_json(const struct journal_note *n)
{
	char ep[ENDPOINT_TEXT_MAX];
	json_t *o = json_object();

	put_text(o, "event", ike_event_name(n->what->kind));
	if (n->what->reason)
		put_text(o, "reason", ike_reason_name(n->what->reason));
	put_time(o, "first", n->first);
	put_time(o, "last", n->last);
	put(o, "count", json_integer((json_int_t)n->count));
	if (n->what->remote.ip.family)
		put_text(o, "remote", endpoint_text(&n->what->remote, ep));
	if (n->what->identity[0])
		put_text(o, "identity", n->what->identity);
	if (n->what->peer[0])
		put_text(o, "peer", n->what->peer);
	put_text(o, "text", n->what->text);
	return o;
}

static json_t *notes_json(const struct journal_subject *s)
{
	json_t *list = json_array();

	for (size_t i = 0; s && i < s->n_notes; i++)
		json_array_append_new(list, note_json(&s->note[i]));
	return list;
}

static const char *kind_name(enum why_kind kind)
{
	static const char *const name[] = {
		[WHY_PEER] = "peer",     [WHY_SITE] = "network",      [WHY_HUB] = "network",
		[WHY_MEMBER] = "member", [WHY_STRANGER] = "stranger", [WHY_PARTNER] = "partner",
	};

	return name[kind];
}

static json_t *subject_json(struct why *w)
{
	json_t *o = json_object();

	w->stage = stage_of(w);
	put_text(o, "subject", w->name);
	put_text(o, "kind", kind_name(w->kind));
	if (w->kind == WHY_SITE || w->kind == WHY_HUB)
		put_text(o, "role", status_role(w->conf));
	put_text(o, "state", w->state);
	put_text(o, "last_error", w->last_error);
	if (w->retry_in.ns >= 0)
		put(o, "retry_in_s", json_integer(w->retry_in.ns / 1000000000));
	if (w->memory)
		put_time(o, "last_up", w->memory->up);
	put(o, "checks", why_checks_json(w));
	put(o, "notes", notes_json(w->memory));
	return o;
}

/* ---- who is meant ------------------------------------------------------------------------ */

struct gather {
	struct host *h;
	const char *name; /* NULL: all that are not up */
	ike_peer_id owner; /* whose address `name` is; 0: it is a name, or nobody's */
	struct why *found;
	size_t n;
	size_t more; /* that there is no room for */
	char addr[IP_TEXT_MAX]; /* `name` in its one spelling */
};

static enum why_kind kind_of(const struct ike_peer_info *p)
{
	if (p->id >= IKE_PEER_DYNAMIC && p->conf->role != IKE_ROLE_PARTNER)
		return WHY_MEMBER;
	switch (p->conf->role) {
	case IKE_ROLE_HUB: return WHY_SITE;
	case IKE_ROLE_MEMBERS: return WHY_HUB;
	case IKE_ROLE_PARTNER: return WHY_PARTNER;
	case IKE_ROLE_FIXED: break;
	}
	return WHY_PEER;
}

static bool is_meant(const struct gather *g, const struct ike_peer_info *p)
{
	if (g->owner)
		return p->id == g->owner;
	if (g->name)
		return strcmp(g->name, p->name) == 0;
	/* A hub's own network is no tunnel: its members have theirs. */
	return (p->id >= IKE_PEER_DYNAMIC || p->conf->role != IKE_ROLE_MEMBERS) &&
	       strcmp(p->state, "up") != 0;
}

static void find_authority(struct why *w, const struct ike *ike)
{
	struct text t = TEXT_OF(w->authority);
	struct wire_ts_list allowed;
	struct arena ar;

	arena_init(&ar, &mem_libc, 2048);
	if (ike_peer_authority(ike, w->id, &ar, &t, &allowed) == ST_OK) {
		text_add(&t, ", so ");
		policy_ts_list_text(&t, &allowed);
	}
	arena_done(&ar);
}

static bool on_peer(void *ctx, const struct ike_peer_info *p)
{
	struct gather *g = ctx;
	struct why *w;

	if (!is_meant(g, p))
		return true;
	if (g->n == WHY_SUBJECTS_MAX) {
		g->more++;
		return true;
	}
	w = &g->found[g->n++];
	*w = (struct why){ .id = p->id,
			   .name = p->name,
			   .kind = kind_of(p),
			   .conf = p->conf,
			   .state = p->state,
			   .last_error = p->last_error,
			   .retry_in = p->retry_in,
			   .gateway = p->gateway,
			   .sent_by = p->sent_by,
			   .sent_on = p->sent_on,
			   .held_in = p->held_in,
			   .n_inner = p->n_inner };
	memcpy(w->inner, p->inner, sizeof(w->inner));
	find_authority(w, g->h->ike);
	w->memory =
		journal_find(g->h->journal,
			     p->id >= IKE_PEER_DYNAMIC ? JOURNAL_IDENTITY : JOURNAL_PEER, w->name);
	return true;
}

/* An established one before others, one with children before one without. */
static bool better(const struct why *w, const struct ike_sa_info *sa)
{
	if (!w->has_sa || sa->established != w->sa.established)
		return !w->has_sa || sa->established;
	return sa->n_children > w->sa.n_children;
}

static bool belongs(const struct why *w, const struct ike_sa_info *sa)
{
	struct ip ip;

	return ip_parse(w->name, &ip) == ST_OK && ip_eq(&ip, &sa->remote.ip);
}

static bool on_sa(void *ctx, const struct ike_sa_info *sa)
{
	struct why *w = ctx;

	if (better(w, sa)) {
		w->sa = *sa;
		w->has_sa = true;
	}
	w->has_child |= sa->established && sa->n_children > 0;
	return true;
}

/* A stranger has no SAs but those from its address. */
static bool on_any_sa(void *ctx, const struct ike_sa_info *sa)
{
	return belongs(ctx, sa) ? on_sa(ctx, sa) : true;
}

static void find_sas(struct gather *g)
{
	struct now now = plat_now();

	for (size_t i = 0; i < g->n; i++) {
		struct why *w = &g->found[i];

		if (w->id)
			ike_each_sa_of(g->h->ike, now, w->id, on_sa, w);
		else if (w->kind != WHY_PARTNER)
			ike_each_sa(g->h->ike, now, on_any_sa, w);
	}
}

/* The section whose word decides about an identity that nobody is yet. */
static const struct ike_peer_conf *section_for(const struct host *h, const char *identity)
{
	struct policy_ident id;
	struct arena ar;
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	const struct ike_peer_conf *found = NULL;

	arena_init(&ar, &mem_libc, 4096);
	if (policy_ident_parse(&ar, identity, false, &why, &id) == ST_OK)
		for (size_t i = 0; !found && i < h->ike_conf->n_peers; i++) {
			const struct ike_peer_conf *c = &h->ike_conf->peers[i];

			if (ike_may_call(c) && policy_ident_match(&c->remote_id, &id))
				found = c;
		}
	arena_done(&ar);
	return found;
}

/* Nobody who has an SA: what the journal knows of the name as identity or address. */
static bool stranger(struct gather *g)
{
	enum journal_kind kind = JOURNAL_IDENTITY;
	struct why *w = &g->found[0];
	struct ip ip;

	*w = (struct why){ .kind = WHY_STRANGER,
			   .name = g->name,
			   .state = "down",
			   .last_error = "",
			   .retry_in = { -1 } };
	if (ip_parse(g->name, &ip) == ST_OK) {
		kind = JOURNAL_ADDRESS;
		w->name = ip_text(&ip, g->addr);
	} else {
		w->conf = section_for(g->h, g->name);
	}
	w->memory = journal_find(g->h->journal, kind, w->name);
	if (kind == JOURNAL_IDENTITY && w->conf && w->conf->role == IKE_ROLE_MEMBERS)
		w->kind = WHY_MEMBER;
	if (w->memory)
		w->last_error = w->memory->n_notes ? w->memory->note[0].what->text : "";
	g->n = 1;
	return w->memory || (w->conf && kind == JOURNAL_IDENTITY);
}

/* Somebody with whom there was, or was tried, a direct tunnel; `anyhow`: or might be. */
static bool partner(struct gather *g, bool anyhow)
{
	struct why *w = &g->found[0];

	*w = (struct why){ .kind = WHY_PARTNER,
			   .name = g->name,
			   .state = "down",
			   .last_error = "",
			   .retry_in = { -1 } };
	if (why_find_partner(g->h, g->name, w->partner, sizeof(w->partner)))
		w->name = w->partner;
	else if (!anyhow)
		return false;
	w->memory = journal_find(g->h->journal, JOURNAL_IDENTITY, w->name);
	g->n = 1;
	return true;
}

/* Whom hubs of ours may have behind them: an identity, and we are a site. */
static bool may_be_partner(const struct gather *g)
{
	bool site = false;
	struct ip ip;

	for (size_t i = 0; i < g->h->ike_conf->n_peers; i++)
		site |= why_is_site(g->h, g->h->ike_conf->peers[i].id);
	return site && strchr(g->name, '.') && ip_parse(g->name, &ip) != ST_OK;
}

/* Who is behind an address has a section too. */
static bool on_owner(void *ctx, const struct ike_peer_info *p)
{
	struct why *w = ctx;

	if (p->id == w->sa.peer)
		w->conf = p->conf;
	return false;
}

static bool find_subjects(struct gather *g)
{
	ike_each_peer(g->h->ike, plat_now(), 0, on_peer, g);
	if (g->n == 0 && g->name && !partner(g, false) && !stranger(g)) {
		g->n = 0;
		g->owner = why_owner(g->h, g->name);
		if (g->owner)
			ike_each_peer(g->h->ike, plat_now(), 0, on_peer, g);
		if (g->n == 0 && !(may_be_partner(g) && partner(g, true)))
			return false;
	}
	find_sas(g);
	if (g->n == 1 && !g->found->conf && g->found->has_sa && g->found->sa.peer)
		ike_each_peer(g->h->ike, plat_now(), g->found->sa.peer - 1, on_owner, g->found);
	return true;
}

/* ---- the answer -------------------------------------------------------------------------- */

static json_t *clock_json(const struct now *now)
{
	json_t *o = json_object();

	put_time(o, "time", (obs_time){ now->wall.s * 1000 });
	put(o, "synchronised", json_boolean(plat_clock_synced()));
	return o;
}

/* Who was refused is no peer, and asks here why. */
static bool on_refusing(void *ctx, const struct ike_peer_info *p)
{
	json_t *list = ctx, *o;

	if (p->id >= IKE_PEER_DYNAMIC || p->conf->role != IKE_ROLE_MEMBERS || !*p->last_error)
		return true;
	o = json_object();
	put_text(o, "network", p->name);
	put_text(o, "text", p->last_error);
	json_array_append_new(list, o);
	return true;
}

static json_t *refused_json(struct gather *g)
{
	json_t *list = json_array();

	if (!g->name)
		ike_each_peer(g->h->ike, plat_now(), 0, on_refusing, list);
	return list;
}

static json_t *answer(struct gather *g)
{
	struct now now = plat_now();
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; i < g->n; i++) {
		g->found[i].h = g->h;
		g->found[i].now = now;
		g->found[i].time = host_time();
		json_array_append_new(list, subject_json(&g->found[i]));
	}
	put(o, "clock", clock_json(&now));
	put(o, "subjects", list);
	put(o, "refused", refused_json(g));
	put(o, "more", json_integer((json_int_t)g->more));
	return o;
}

json_t *why_json(struct host *h, const char *subject, struct text *error)
{
	struct gather g = { .h = h, .name = subject };
	json_t *o = NULL;

	g.found = calloc(WHY_SUBJECTS_MAX, sizeof(*g.found));
	if (!g.found) {
		text_add(error, "out of memory");
		return NULL;
	}
	if (find_subjects(&g)) {
		o = answer(&g);
	} else {
		text_add(error, "\"");
		text_quote(error, bytes_str(subject));
		text_add(error, "\" is no peer, network or member here, and nothing was heard from "
				"such an identity or address; \"warren peers\" lists who there is");
	}
	free(g.found);
	return o;
}
