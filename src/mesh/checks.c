/*
 * checks.c - may this suggestion be taken?  docs/protocol/shortcut.md section 5, a to g, in that
 * order; the first that fails is the reason, and its text has both sides' values, since the hub
 * shows it to somebody who knows one side only.
 *
 * A suggestion takes away and never gives: what the partner may source is judged again in IKE_AUTH,
 * by its certificate, but for what a hub vouches for (POOL, RULE), which is judged here.
 */
#include "mesh/site.h"

/* ---- who says so ----------------------------------------------------------------------------- */

struct wanted_sa {
	ike_sa_id id;
	uint8_t capabilities;
	bool found;
	const struct policy_ident *not_this; /* the hub is not to be that one */
	bool is_this;
};

static bool look_at_sa(void *ctx, const struct ike_sa_info *info)
{
	struct wanted_sa *w = ctx;

	if (info->id != w->id)
		return true;
	w->found = true;
	w->capabilities = info->capabilities;
	w->is_this = w->not_this && policy_ident_eq(&info->remote_id, w->not_this);
	return false;
}

static struct wanted_sa sa_of(const struct word *w, const struct policy_ident *not_this)
{
	struct wanted_sa want = { .id = w->sa, .not_this = not_this };

	ike_each_sa_of(w->m->ike, w->m->now, w->peer, look_at_sa, &want);
	return want;
}

bool word_of_hub(const struct word *w)
{
	return sa_of(w, NULL).capabilities & IKE_CAN_HUB;
}

static void ident_add(struct text *t, const struct policy_ident *id)
{
	text_add(t, "\"");
	policy_ident_text(t, id);
	text_add(t, "\"");
}

static enum wire_mesh_reason check_context(const struct network *net, const struct word *w,
					   struct text *why)
{
	if (bytes_eq(w->msg.context, bytes_str(net->conf->name)))
		return 0;
	text_add(why, "the suggestion is for the network \"");
	text_quote(why, w->msg.context);
	text_fmt(why, "\", what this hub has here is \"%s\"", net->conf->name);
	return WIRE_MR_CONTEXT;
}

/* ---- who it is about ----------------------------------------------------------------------- */

static bool look_for_hub(void *ctx, const struct ike_sa_info *info)
{
	struct wanted_sa *w = ctx;

	w->is_this = info->established && policy_ident_eq(&info->remote_id, w->not_this);
	return !w->is_this;
}

/* By name, as one that we are attached to, or as who says so. */
static bool is_a_hub(const struct network *net, const struct word *w, const struct policy_ident *id)
{
	struct wanted_sa want = { .not_this = id };
	struct ike_peer_info hub;

	for (size_t i = 0; i < n_attached(net) && !want.is_this; i++) {
		if (!ike_peer(w->m->ike, w->m->now, hub_at(net, i), &hub))
			continue;
		for (size_t k = 0; k < hub.conf->n_hub_ids; k++)
			if (policy_ident_match(&hub.conf->hub_ids[k], id))
				return true;
		ike_each_sa_of(w->m->ike, w->m->now, hub.id, look_for_hub, &want);
	}
	return want.is_this || sa_of(w, id).is_this;
}

static enum wire_mesh_reason check_identity(const struct network *net, const struct word *w,
					    struct verdict *v, struct text *why)
{
	v->own = ident_of(&w->msg.own);
	v->partner = ident_of(&w->msg.partner);
	if (!policy_ident_eq(&v->own, &net->section->local_id)) {
		text_add(why, "the suggestion is for ");
		ident_add(why, &v->own);
		text_add(why, ", and this is ");
		ident_add(why, &net->section->local_id);
		return WIRE_MR_IDENTITY;
	}
	if (policy_ident_eq(&v->partner, &v->own)) {
		text_add(why, "the partner is to be ");
		ident_add(why, &v->partner);
		text_add(why, ", which is ourselves");
		return WIRE_MR_IDENTITY;
	}
	if (is_a_hub(net, w, &v->partner)) {
		text_add(why, "the partner is to be ");
		ident_add(why, &v->partner);
		text_add(why, ", which is a hub here");
		return WIRE_MR_IDENTITY;
	}
	return 0;
}

/* ---- what it is about ---------------------------------------------------------------------- */

static bool ranges_meet(const struct wire_ts *a, const struct wire_ts *b)
{
	return a->start.family == b->start.family && ip_cmp(&a->start, &b->end) <= 0 &&
	       ip_cmp(&b->start, &a->end) <= 0;
}

static const struct wire_ts *first_meeting(const struct wire_ts *ts, const struct wire_ts_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (ranges_meet(ts, &l->ts[i]))
			return &l->ts[i];
	return NULL;
}

/* Nothing that a tunnel is for goes there. */
static bool is_special(const struct wire_ts *ts)
{
	static const struct prefix special[] = {
		{ { 4, { 0 } }, 8 },         { { 4, { 127 } }, 8 },
		{ { 4, { 169, 254 } }, 16 }, { { 4, { 224 } }, 3 },
		{ { 6, { 0 } }, 127 },       { { 6, { 0xfe, 0x80 } }, 10 },
		{ { 6, { 0xff } }, 8 },      { { 6, { [10] = 0xff, [11] = 0xff } }, 96 },
	};

	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		struct wire_ts s = { .start = prefix_first(&special[i]),
				     .end = prefix_last(&special[i]) };

		if (ranges_meet(ts, &s))
			return true;
	}
	return false;
}

static bool has_own_address(const struct mesh *m, const struct wire_ts *ts)
{
	for (size_t i = 0; i < m->n_own; i++) {
		struct wire_ts own = policy_host_ts(&m->own[i]);

		if (ranges_meet(ts, &own))
			return true;
	}
	return false;
}

/* What we protect: as configured, and inner addresses that a hub gave us. */
struct protected
{
	struct wire_ts ts[WIRE_MAX_TS + 2];
	struct wire_ts_list list;
};

static void protected_of(const struct network *net, struct protected *ret)
{
	const struct wire_ts_list *own = &net->section->ts_local;
	struct ike_peer_info hub;
	size_t n = 0;

	while (n < own->n && n < WIRE_MAX_TS) {
		ret->ts[n] = own->ts[n];
		n++;
	}
	if ((net->section->ask_v4 || net->section->ask_v6) &&
	    ike_peer(net->m->ike, net->m->now, net->conf->peer, &hub))
		for (size_t i = 0; i < hub.n_inner && i < 2; i++)
			ret->ts[n++] = policy_host_ts(&hub.inner[i]);
	ret->list = (struct wire_ts_list){ ret->ts, n, 0 };
}

static const struct wire_ts_list *domain_of(const struct network *net)
{
	return net->section->domain.n ? &net->section->domain : &net->section->ts_remote;
}

static enum wire_mesh_reason say_selectors(struct text *why, const struct wire_ts *ts,
					   const char *what)
{
	policy_ts_text(why, ts);
	text_fmt(why, " %s", what);
	return WIRE_MR_SELECTORS;
}

static enum wire_mesh_reason remote_ok(const struct network *net, const struct wire_ts_list *remote,
				       const struct wire_ts_list *ours, struct text *why)
{
	for (size_t i = 0; i < remote->n; i++) {
		const struct wire_ts *ts = &remote->ts[i], *met;

		if (is_special(ts))
			return say_selectors(why, ts, "is nothing that a partner may have");
		if (!policy_ts_subset(&(struct wire_ts_list){ ts, 1, 0 }, domain_of(net))) {
			say_selectors(why, ts, "of the partner is not inside ");
			policy_ts_list_text(why, domain_of(net));
			return WIRE_MR_SELECTORS;
		}
		met = first_meeting(ts, ours);
		if (met) {
			say_selectors(why, ts, "of the partner overlaps what is protected here: ");
			policy_ts_text(why, met);
			return WIRE_MR_SELECTORS;
		}
		if (has_own_address(net->m, ts))
			return say_selectors(why, ts, "of the partner has an address of this host");
	}
	return 0;
}

static enum wire_mesh_reason local_ok(const struct wire_ts_list *local,
				      const struct wire_ts_list *ours, struct text *why)
{
	for (size_t i = 0; i < local->n; i++)
		if (is_special(&local->ts[i]))
			return say_selectors(why, &local->ts[i], "is nothing that we may have");
	if (policy_ts_subset(local, ours))
		return 0;
	policy_ts_list_text(why, local);
	text_add(why, " is not protected here any more, which is ");
	policy_ts_list_text(why, ours);
	return WIRE_MR_SELECTORS;
}

/* All of one side, whoever vouches for it. */
static enum status together(struct arena *ar, const struct wire_mesh_ts *ts, size_t n, uint8_t of,
			    struct wire_ts_list *ret)
{
	struct wire_ts *all = arena_new(ar, WIRE_MESH_TS * sizeof(*all));
	size_t k = 0;

	if (!all)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; of >> ts[i].authority & 1 && j < ts[i].ts.n; j++)
			if (k < WIRE_MESH_TS)
				all[k++] = ts[i].ts.ts[j];
	*ret = (struct wire_ts_list){ all, k, 0 };
	return ST_OK;
}

enum {
	CERT = 1 << IKE_AUTHORITY_CERT,
	POOL = 1 << IKE_AUTHORITY_POOL,
	RULE = 1 << IKE_AUTHORITY_RULE,
};

static enum status gather(const struct word *w, const struct wire_ts_list *ours, struct verdict *v,
			  struct wire_ts_list *ret_offered, enum status *ret_narrowed)
{
	struct arena *ar = w->ar;
	char buf[MESH_WHY];
	struct text unread = TEXT_OF(buf);
	enum status st = together(ar, w->msg.ts_remote, w->msg.n_ts_remote, CERT | POOL | RULE,
				  &v->ts_remote);

	if (!st)
		st = together(ar, w->msg.ts_remote, w->msg.n_ts_remote, POOL | RULE, &v->ts_given);
	if (!st)
		st = together(ar, w->msg.ts_local, w->msg.n_ts_local, CERT | POOL | RULE,
			      ret_offered);
	if (st)
		return st;
	for (size_t i = 0; i < w->msg.n_ts_remote; i++)
		v->rests_on |= (uint8_t)(1u << w->msg.ts_remote[i].authority);
	*ret_narrowed = policy_ts_narrow(ar, ret_offered, ours, &unread, &v->ts_local);
	return *ret_narrowed == ST_NOMEM ? ST_NOMEM : ST_OK;
}

static enum wire_mesh_reason check_selectors(const struct network *net, const struct word *w,
					     struct verdict *v, struct text *why)
{
	struct protected ours;
	struct wire_ts_list offered;
	enum wire_mesh_reason r;
	enum status narrowed;

	protected_of(net, &ours);
	if (gather(w, &ours.list, v, &offered, &narrowed)) {
		text_add(why, "out of memory");
		return WIRE_MR_INTERNAL;
	}
	if (narrowed) {
		text_add(why, "what we are to have, ");
		policy_ts_list_text(why, &offered);
		text_add(why, ", and what is protected here, ");
		policy_ts_list_text(why, &ours.list);
		text_add(why, ", have nothing in common");
		return WIRE_MR_SELECTORS;
	}
	r = local_ok(&v->ts_local, &ours.list, why);
	return r ? r : remote_ok(net, &v->ts_remote, &ours.list, why);
}

static enum wire_mesh_reason check_authority(const struct network *net, const struct word *w,
					     struct text *why)
{
	for (size_t i = 0; i < w->msg.n_ts_remote; i++) {
		const struct wire_mesh_ts *ts = &w->msg.ts_remote[i];

		if (ts->authority == IKE_AUTHORITY_CERT || net->conf->trust_hub)
			continue;
		if (ts->authority == IKE_AUTHORITY_POOL &&
		    ike_peer_covers(w->m->ike, w->peer, &ts->ts))
			continue;
		policy_ts_list_text(why, &ts->ts);
		text_add(why,
			 ts->authority == IKE_AUTHORITY_POOL
				 ? " is of a pool that the hub's certificate does not have"
				 : " is the partner's by a rule of the hub alone, and rules of "
				   "hubs are not trusted here");
		return WIRE_MR_AUTHORITY;
	}
	return 0;
}

/* ---- whether we want to -------------------------------------------------------------------- */

static enum wire_mesh_reason check_policy(const struct network *net, const struct verdict *v,
					  struct text *why)
{
	size_t n = net->site->n_live - (v->instead ? 1 : 0);

	if (!net->conf->takes) {
		text_add(why, "shortcuts are turned off here");
		return WIRE_MR_POLICY;
	}
	/* A partner judges a certificate, and nothing else. */
	if (net->section->auth != IKE_AUTH_CERT) {
		text_add(why, "we prove who we are by a pre-shared key, and partners go by "
			      "certificates");
		return WIRE_MR_POLICY;
	}
	if (n < net->conf->max)
		return 0;
	text_fmt(why, "%zu shortcuts are up or under way here, and %u are allowed", n,
		 (unsigned)net->conf->max);
	return WIRE_MR_LIMIT;
}

static bool second_is_over(const struct mesh *m, mono_t since)
{
	return mono_since(m->now.mono, since).ns >= dur_s(1).ns;
}

static enum wire_mesh_reason check_rate(struct mesh *m, struct text *why)
{
	if (second_is_over(m, m->suggestions.since)) {
		m->suggestions.since = m->now.mono;
		m->suggestions.n = 0;
	}
	if (m->suggestions.n < MESH_SUGGESTIONS_PER_S) {
		m->suggestions.n++;
		return 0;
	}
	count(m, M_FLOOD);
	text_fmt(why, "more than %d suggestions in a second", MESH_SUGGESTIONS_PER_S);
	return WIRE_MR_LIMIT;
}

/* ---- whether there is one already ---------------------------------------------------------- */

static uint64_t id_hash(const struct site *s, const uint8_t id[static WIRE_MESH_ID])
{
	return siphash(s->net->m->key, bytes_of(id, WIRE_MESH_ID));
}

static bool suggestion_spent(const struct site *s, const uint8_t id[static WIRE_MESH_ID])
{
	uint64_t hash = id_hash(s, id);

	for (size_t i = 0; i < MESH_SPENT; i++)
		if (s->spent[i].hash == hash && mono_before(s->net->m->now.mono, s->spent[i].until))
			return true;
	return false;
}

void suggestion_spend(struct site *s, const struct wire_mesh *msg)
{
	s->spent[s->next_spent] =
		(struct spent){ id_hash(s, msg->id),
				mono_add(s->net->m->now.mono, dur_s(msg->lifetime_s)) };
	s->next_spent = (s->next_spent + 1) % MESH_SPENT;
}

/* It has started again since, and knows nothing of it; or it does not answer. */
static bool is_dead(const struct shortcut *c, const struct wire_mesh *msg)
{
	return c->suspect || (WIRE_MESH_HAS(msg, BOOT) && c->boot && c->boot != msg->boot);
}

static enum wire_mesh_reason check_duplicate(const struct site *s, const struct wire_mesh *msg,
					     const struct verdict *v, struct text *why)
{
	const struct shortcut *c = v->instead;

	if (c && memcmp(c->id, msg->id, sizeof(c->id)) == 0) {
		text_add(why, "this suggestion was taken already");
		return WIRE_MR_DUPLICATE;
	}
	if (suggestion_spent(s, msg->id)) {
		text_add(why, "this suggestion was taken before, and is over");
		return WIRE_MR_OLDER;
	}
	if (!c || is_dead(c, msg))
		return 0;
	if (c->stage == STAGE_UP || c->stage == STAGE_PROVING) {
		text_add(why, "there is a tunnel already");
		return WIRE_MR_DUPLICATE;
	}
	if (memcmp(msg->id, c->id, sizeof(c->id)) < 0)
		return 0;
	text_add(why, "another suggestion, whose id is lower, is under way");
	return WIRE_MR_OLDER;
}

/* ---- whether somebody else has that --------------------------------------------------------- */

static bool lies_in(const struct wire_ts *a, const struct wire_ts *b)
{
	return ip_cmp(&b->start, &a->start) <= 0 && ip_cmp(&a->end, &b->end) <= 0;
}

/* Of two prefixes one of which is inside the other, the longer one decides where a packet goes. */
static bool in_conflict(const struct wire_ts *a, const struct wire_ts *b)
{
	return ranges_meet(a, b) && lies_in(a, b) == lies_in(b, a);
}

static const struct wire_ts *taken(const struct wire_ts_list *l, const struct wire_ts_list *by)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < by->n; k++)
			if (in_conflict(&l->ts[i], &by->ts[k]))
				return &l->ts[i];
	return NULL;
}

static enum wire_mesh_reason check_others(const struct site *s, const struct verdict *v,
					  struct text *why)
{
	list_for_each(n, &s->live) {
		const struct shortcut *c = CONTAINER_OF(n, const struct shortcut, node);
		const struct wire_ts *ts =
			c != v->instead ? taken(&v->ts_remote, &c->ts_remote) : NULL;

		if (!ts)
			continue;
		policy_ts_text(why, ts);
		text_add(why, " of the partner is what another one has here, ");
		ident_add(why, &c->partner);
		return WIRE_MR_CONFLICT;
	}
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum wire_mesh_reason judge(struct network *net, const struct word *w, struct verdict *v,
				   struct text *why)
{
	enum wire_mesh_reason r = check_rate(net->m, why);

	if (!r)
		r = check_context(net, w, why);
	if (!r)
		r = check_identity(net, w, v, why);
	if (!r)
		r = check_selectors(net, w, v, why);
	if (!r)
		r = check_authority(net, w, why);
	if (r)
		return r;
	v->instead = shortcut_with(net->site, &v->partner);
	r = check_policy(net, v, why);
	if (!r)
		r = check_duplicate(net->site, &w->msg, v, why);
	return r ? r : check_others(net->site, v, why);
}

void suggestion_check(struct network *net, const struct word *w, struct verdict *ret)
{
	struct text why;

	*ret = (struct verdict){ 0 };
	why = TEXT_OF(ret->text);
	ret->reason = judge(net, w, ret, &why);
}

/* What rests on a pool was judged by the hub's certificate of then, which is the hub's to end. */
enum wire_mesh_reason shortcut_fits(const struct shortcut *c, struct text *why)
{
	const struct network *net = c->net;
	struct protected ours;
	enum wire_mesh_reason r;

	if (!net->conf->takes) {
		text_add(why, "shortcuts are turned off here");
		return WIRE_MR_POLICY;
	}
	if (c->rests_on & RULE && !net->conf->trust_hub) {
		text_add(why, "rules of hubs are not trusted here any more");
		return WIRE_MR_AUTHORITY;
	}
	protected_of(net, &ours);
	r = local_ok(&c->ts_local, &ours.list, why);
	return r ? r : remote_ok(net, &c->ts_remote, &ours.list, why);
}
