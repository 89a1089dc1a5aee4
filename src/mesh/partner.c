/*
 * partner.c - a site takes what a hub suggests: words of hubs, events of the engine, and the life
 * of each shortcut between them (site.h).
 *
 * Whatever happens here, the hub's path is there: nothing in this file touches it.  A shortcut
 * outlives the hub that suggested it, and ends by a hub's WITHDRAW, by our own configuration, or
 * with its SA.
 */
#include "mesh/site.h"

#include <stdio.h>

/* ---- finding --------------------------------------------------------------------------------- */

static struct shortcut *with_id(const struct site *s, const uint8_t *id)
{
	list_for_each(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (memcmp(c->id, id, sizeof(c->id)) == 0)
			return c;
	}
	return NULL;
}

static struct shortcut *with_peer(const struct site *s, ike_peer_id peer)
{
	list_for_each(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (peer && c->peer == peer)
			return c;
	}
	return NULL;
}

bool site_has(const struct site *s, ike_peer_id peer)
{
	return with_peer(s, peer) != NULL;
}

/* ---- suggestions ----------------------------------------------------------------------------- */

struct keys {
	uint8_t probe[32], proof[32], ppk[32];
};

static enum status derive(struct mesh *m, const struct wire_mesh *msg, const char *what,
			  uint8_t ret[static 32])
{
	struct bytes parts[] = { bytes_str("warren shortcut "), bytes_str(what),
				 BYTES_OF(msg->id) };

	return mesh_mac(m, bytes_of(msg->secret, WIRE_MESH_SECRET), parts, ARRAY_LEN(parts), ret);
}

static enum status derive_all(struct mesh *m, const struct wire_mesh *msg, struct keys *ret)
{
	enum status st = derive(m, msg, "probe", ret->probe);

	if (!st)
		st = derive(m, msg, "proof", ret->proof);
	return st ? st : derive(m, msg, "ppk", ret->ppk);
}

static enum status engine_add(struct shortcut *c, const struct word *w, const struct verdict *v,
			      const struct keys *keys)
{
	struct mesh *m = c->net->m;
	struct ike_partner p = { .network = c->net->conf->peer,
				 .local_id = c->net->section->local_id,
				 .remote_id = c->partner,
				 .ts_local = c->ts_local,
				 .ts_remote = c->ts_remote,
				 .ts_given = v->ts_given,
				 .idle = dur_s(w->msg.idle_s) };
	enum status st;

	memcpy(p.id, c->id, sizeof(p.id));
	memcpy(p.proof_key, keys->proof, sizeof(p.proof_key));
	memcpy(p.ppk, keys->ppk, sizeof(p.ppk));
	st = ike_partner_add(m->ike, m->now, &p, &c->peer);
	wipe(&p, sizeof(p));
	return st;
}

/* Nothing else has changed when it fails. */
static enum status take(struct network *net, const struct word *w, const struct verdict *v,
			struct shortcut **ret)
{
	struct shortcut *c = shortcut_new(net, w, v);
	enum status st = c ? ST_OK : ST_NOMEM;
	struct keys keys;

	if (!st)
		st = derive_all(net->m, &w->msg, &keys);
	if (!st)
		st = probing_new(c, keys.probe);
	if (!st)
		st = engine_add(c, w, v, &keys);
	wipe(&keys, sizeof(keys));
	if (!st)
		*ret = c;
	else if (c)
		shortcut_free(c);
	return st;
}

/* The one before, if there is one, has not come up, or is dead. */
static void replace(struct shortcut *old)
{
	bool dead = old->stage == STAGE_UP || old->stage == STAGE_PROVING;

	shortcut_over(old, dead ? WIRE_MO_LOST : WIRE_MO_REPLACED,
		      dead ? WIRE_MR_LOST : WIRE_MR_OLDER, true,
		      dead ? "the partner does not know of it any more, a hub suggests anew"
			   : "another suggestion has taken its place");
}

static void begin(struct shortcut *c, struct word *w)
{
	struct site *s = c->net->site;
	struct mesh *m = w->m;
	struct wire_mesh mine = { 0 };
	char buf[MESH_WHY];
	struct text t = TEXT_OF(buf);

	past_forget(s, &c->partner);
	list_add_tail(&s->live, &c->node);
	s->n_live++;
	suggestion_spend(s, &w->msg);
	count(m, M_TAKEN);
	shortcut_text(c, &t);
	mesh_event(m, IKE_EV_SUGGESTED, shortcut_about(c), "suggested by a hub, and taken: %s",
		   buf);
	mine.n_candidates = own_candidates(c->net, mine.candidates);
	mine.present = mine.n_candidates ? 1u << WIRE_MA_CANDIDATE : 0;
	word_accept(w, &mine);
	heap_arm(&m->timers, &c->timer, mono_add(m->now.mono, dur_s(MESH_SETUP_S)));
	spots_set(c, &w->msg);
	probing_go(c);
}

/* For `why`: of somebody with whom there is nothing else. */
static void remember_refusal(struct network *net, const struct word *w, const struct verdict *v)
{
	struct shortcut *c;

	if (!v->partner.type || shortcut_with(net->site, &v->partner))
		return;
	c = shortcut_new(net, w, v);
	if (!c) {
		count(net->m, M_NO_MEMORY);
		return;
	}
	shortcut_close(c, v->reason, v->text, true);
	past_add(net->site, c);
	/* A hub that has many to make is not to fill anybody's log. */
	if (net->m->suggestions.n <= MESH_REFUSALS_TOLD)
		shortcut_say_over(c);
}

static void suggested(struct network *net, struct word *w)
{
	struct shortcut *c;
	struct verdict v;
	enum status st;

	suggestion_check(net, w, &v);
	if (v.reason) {
		word_refuse(w, v.reason, v.text);
		remember_refusal(net, w, &v);
		return;
	}
	st = take(net, w, &v, &c);
	if (st) {
		count(net->m, M_NO_MEMORY);
		word_refuse(w, st == ST_AGAIN ? WIRE_MR_LIMIT : WIRE_MR_INTERNAL,
			    st == ST_NOMEM ? "out of memory" : "the engine takes no more partners");
		return;
	}
	if (v.instead)
		replace(v.instead);
	begin(c, w);
}

/* ---- other words of hubs --------------------------------------------------------------------- */

/* By id, or by who it is with: any hub of the network may end it. */
static struct shortcut *meant(const struct network *net, const struct wire_mesh *msg)
{
	struct shortcut *c = with_id(net->site, msg->id);
	struct policy_ident partner = ident_of(&msg->partner);

	if (c || !WIRE_MESH_HAS(msg, PARTNER_ID) || !WIRE_MESH_HAS(msg, CONTEXT) ||
	    !bytes_eq(msg->context, bytes_str(net->conf->name)))
		return c;
	return shortcut_with(net->site, &partner);
}

/* Who withdraws what is up, unless it has not answered yet that it heard so, which may be after its
 * own word; or is not the one that was told: a hub that we are leaving. */
static uint16_t who_knows(const struct shortcut *c, const struct word *w)
{
	size_t hub = hub_index(c->net, w->peer);

	if (hub >= n_attached(c->net) || c->net->site->told[hub] != w->sa)
		return 0;
	return (uint16_t)(1u << hub & ~c->unheard);
}

static void withdrawn(struct network *net, struct word *w)
{
	struct shortcut *c = meant(net, &w->msg);
	uint16_t reason = w->msg.reason, knows;
	bool was_up;
	char buf[MESH_WHY];
	struct text t = TEXT_OF(buf);

	word_accept(w, NULL);
	if (!c)
		return;
	text_add(&t, "a hub has withdrawn it");
	text_add(&t, w->msg.text.n ? ": " : "");
	text_quote(&t, w->msg.text);
	was_up = c->outcome == WIRE_MO_UP;
	knows = who_knows(c, w);
	shortcut_over(c, WIRE_MO_WITHDRAWN,
		      reason < WIRE_MRS ? (enum wire_mesh_reason)reason : WIRE_MR_WITHDRAWN, false,
		      buf);
	if (was_up)
		site_owes_others(c, knows);
}

static void candidates(struct network *net, struct word *w)
{
	struct shortcut *c = with_id(net->site, w->msg.id);
	struct policy_ident sender = word_sender(w);
	uint64_t of = policy_ident_hash(net->m->key, &sender);

	if (!c) {
		word_refuse(w, WIRE_MR_EXPIRED, "there is no such suggestion any more");
		return;
	}
	word_accept(w, NULL);
	if (of == c->sequence_of && w->msg.sequence <= c->sequence) {
		count(net->m, M_OLD);
		return;
	}
	c->sequence = w->msg.sequence;
	c->sequence_of = of;
	if (!c->probing)
		return;
	spots_set(c, &w->msg);
	probing_go(c);
}

static const struct {
	uint16_t kind;
	void (*said)(struct network *net, struct word *w);
} words[] = {
	{ WIRE_N_SHORTCUT_SUGGEST, suggested },
	{ WIRE_N_SHORTCUT_WITHDRAW, withdrawn },
	{ WIRE_N_SHORTCUT_CANDIDATES, candidates },
	{ WIRE_N_SHORTCUT_HUBS, site_hubs_word },
};

void site_word(struct network *net, struct word *w, const struct ike_peer_info *info)
{
	(void)info;
	if (!word_of_hub(w)) {
		count(net->m, M_NOT_A_HUB);
		word_refuse(w, WIRE_MR_NOT_A_HUB, "who says so has not announced that it is a hub");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].kind == w->kind)
			words[i].said(net, w);
}

/* ---- what the engine says -------------------------------------------------------------------- */

static void note_path(struct shortcut *c, const struct ike_event *e)
{
	if (!e->local.ip.family || !e->remote.ip.family)
		return;
	c->local = e->local;
	c->remote = e->remote;
	for (size_t i = 0; i < c->n_tries; i++)
		if (c->tries[i].result == MESH_TRY_ANSWERED &&
		    endpoint_eq(&c->tries[i].local, &e->local) &&
		    endpoint_eq(&c->tries[i].remote, &e->remote))
			c->rtt = c->tries[i].rtt;
}

static void established(struct shortcut *c, const struct ike_event *e)
{
	if (c->stage < STAGE_PROVING) {
		shortcut_stage(c, STAGE_PROVING);
		note_path(c, e);
	}
}

static void say_up(const struct shortcut *c)
{
	char buf[IKE_EVENT_TEXT_MAX], local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	shortcut_text(c, &t);
	mesh_event(c->net->m, IKE_EV_SHORTCUT, shortcut_about(c), "%s goes directly, from %s to %s",
		   buf, endpoint_text(&c->local, local), endpoint_text(&c->remote, remote));
}

static void carries(struct shortcut *c, const struct ike_event *e)
{
	struct mesh *m = c->net->m;

	if (c->stage == STAGE_UP)
		return;
	note_path(c, e);
	probing_free(c);
	heap_disarm(&m->timers, &c->timer);
	shortcut_stage(c, STAGE_UP);
	site_owes(c, WIRE_MO_UP);
	count(m, M_DIRECT);
	say_up(c);
	site_speak(c->net->site);
}

static enum wire_mesh_reason of_engine(enum ike_reason r)
{
	static const uint8_t reasons[IKE_REASONS] = {
		[IKE_R_NONE] = WIRE_MR_LOST,
		[IKE_R_NO_ANSWER] = WIRE_MR_NO_ANSWER,
		[IKE_R_PROPOSAL] = WIRE_MR_PROPOSAL,
		[IKE_R_KEY_EXCHANGE] = WIRE_MR_PROPOSAL,
		[IKE_R_IDENTITY] = WIRE_MR_AUTHENTICATION,
		[IKE_R_CERTIFICATE] = WIRE_MR_CERTIFICATE,
		[IKE_R_REVOKED] = WIRE_MR_CERTIFICATE,
		[IKE_R_KEY] = WIRE_MR_AUTHENTICATION,
		[IKE_R_CLOCK] = WIRE_MR_CERTIFICATE,
		[IKE_R_AUTHORISATION] = WIRE_MR_AUTHORITY,
		[IKE_R_CONFLICT] = WIRE_MR_TS,
		[IKE_R_SELECTORS] = WIRE_MR_TS,
		[IKE_R_ESP_PROPOSAL] = WIRE_MR_PROPOSAL,
		[IKE_R_OVERLOAD] = WIRE_MR_LIMIT,
		[IKE_R_ADDRESS] = WIRE_MR_INTERNAL,
		[IKE_R_REDIRECT] = WIRE_MR_INTERNAL,
		[IKE_R_STORE] = WIRE_MR_INTERNAL,
		[IKE_R_PATH] = WIRE_MR_NO_PATH,
		[IKE_R_IDLE] = WIRE_MR_IDLE,
		[IKE_R_POLICY] = WIRE_MR_POLICY,
		[IKE_R_PEER_SAID] = WIRE_MR_PARTNER_REFUSED,
		[IKE_R_MALFORMED] = WIRE_MR_MALFORMED,
		[IKE_R_INTERNAL] = WIRE_MR_INTERNAL,
	};

	return (enum wire_mesh_reason)reasons[r];
}

static void engine_over(struct shortcut *c, const struct ike_event *e)
{
	enum wire_mesh_reason reason = of_engine(e->reason);
	enum wire_mesh_outcome outcome = WIRE_MO_FAILED;

	if (c->stage == STAGE_UP && reason == WIRE_MR_PARTNER_REFUSED)
		reason = WIRE_MR_PARTNER_ENDED; /* why, it says itself */
	if (c->stage == STAGE_UP)
		outcome = reason == WIRE_MR_IDLE     ? WIRE_MO_IDLE
			  : reason == WIRE_MR_POLICY ? WIRE_MO_WITHDRAWN
						     : WIRE_MO_LOST;
	shortcut_over(c, outcome, reason, true, e->text);
}

static void partner_event(struct shortcut *c, const struct ike_event *e)
{
	switch (e->kind) {
	case IKE_EV_SA_UP:
	case IKE_EV_CHILD_UP: established(c, e); break;
	case IKE_EV_CARRIES: carries(c, e); break;
	case IKE_EV_MOVED: note_path(c, e); break;
	case IKE_EV_SUSPECT: c->suspect = true; break;
	case IKE_EV_ALIVE: c->suspect = false; break;
	case IKE_EV_PARTNER_OVER: engine_over(c, e); break;
	default: break;
	}
}

void site_event(struct network *net, const struct ike_event *e, const struct ike_peer_info *info)
{
	struct shortcut *c = with_peer(net->site, e->peer);
	size_t hub = hub_index(net, e->peer);

	(void)info;
	if (c)
		partner_event(c, e);
	else if (hub < n_attached(net) && e->kind == IKE_EV_CHILD_UP)
		site_hub_up(net->site, hub, e->sa);
}

/* ---- time ------------------------------------------------------------------------------------ */

void shortcut_timer(struct mesh *m, struct timer *t)
{
	struct shortcut *c = CONTAINER_OF(t, struct shortcut, timer);
	bool path = c->stage == STAGE_PROBING || c->stage == STAGE_PROVING;
	char buf[MESH_WHY];

	(void)m;
	snprintf(buf, sizeof(buf), "%s in %d s",
		 c->stage == STAGE_PROBING      ? "no path was found"
		 : c->stage == STAGE_CONNECTING ? "the partner did not finish IKE"
		 : c->stage == STAGE_WAITING    ? "the partner did not call"
						: "no packet came through",
		 MESH_SETUP_S);
	shortcut_over(c, WIRE_MO_FAILED, path ? WIRE_MR_NO_PATH : WIRE_MR_NO_ANSWER, true, buf);
}

void site_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	site_speak(CONTAINER_OF(t, struct site, timer));
}

/* ---- here, something is different ------------------------------------------------------------ */

static struct network *site_at(struct mesh *m, struct shortcut **ret, uint64_t number)
{
	list_for_each(n, &m->networks) {
		struct network *net = CONTAINER_OF(n, struct network, node);

		if (!net->site)
			continue;
		list_for_each(k, &net->site->live) {
			*ret = CONTAINER_OF(k, struct shortcut, node);
			if ((*ret)->number == number)
				return net;
		}
	}
	return NULL;
}

enum status mesh_withdraw(struct mesh *m, struct now now, uint64_t shortcut)
{
	struct shortcut *c;

	m->now = now;
	if (!site_at(m, &c, shortcut))
		return ST_INVAL;
	shortcut_over(c, WIRE_MO_WITHDRAWN, WIRE_MR_WITHDRAWN, true,
		      "an operator has withdrawn it");
	return ST_OK;
}

/* The last that came, those under way before those that are up. */
static struct shortcut *dearest_last(const struct site *s)
{
	struct shortcut *up = NULL, *under_way = NULL;

	list_for_each(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		if (c->stage == STAGE_UP)
			up = c;
		else
			under_way = c;
	}
	return under_way ? under_way : up;
}

void site_reconfigured(struct network *net)
{
	struct site *s = net->site;
	char buf[MESH_WHY];

	site_hubs_other(s);
	list_for_each_safe(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);
		struct text why = TEXT_OF(buf);
		enum wire_mesh_reason r = shortcut_fits(c, &why);

		if (r)
			shortcut_over(c, WIRE_MO_WITHDRAWN, r, true, buf);
	}
	while (s->n_live > net->conf->max)
		shortcut_over(dearest_last(s), WIRE_MO_WITHDRAWN, WIRE_MR_LIMIT, true,
			      "fewer shortcuts are allowed here from now on");
	site_ask_anew(s);
	site_announce(s);
	site_teach(s);
}

/* See site.h. */
static void moved(struct shortcut *c)
{
	struct mesh *m = c->net->m;
	bool gone = own_gone(m, &c->local.ip);

	if (c->stage == STAGE_PROBING || c->stage == STAGE_WAITING)
		probing_go(c);
	else if (gone && (c->stage == STAGE_CONNECTING || !c->initiator))
		shortcut_over(c, WIRE_MO_LOST, WIRE_MR_LOST, true,
			      "the address that it used here is gone, and it is not up to us to "
			      "move it");
}

void site_moved(struct network *net)
{
	site_announce(net->site);
	list_for_each_safe(n, &net->site->live)
		moved(CONTAINER_OF(n, struct shortcut, node));
}

/* ---- life ------------------------------------------------------------------------------------ */

enum status site_new(struct network *net, struct site **ret_site)
{
	struct site *s = mem_new(net->m->mem, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->net = net;
	s->timer.kind = T_SITE;
	list_init(&s->live);
	list_init(&s->past);
	list_init(&s->told_by);
	site_hubs_other(s);
	s->announce = 0; /* to whom? */
	list_init(&s->wanted);
	*ret_site = s;
	return ST_OK;
}

/* Nobody is told: the network is not ours any more, or we go. */
void site_free(struct network *net)
{
	struct site *s = net->site;
	struct mesh *m = net->m;

	if (!s)
		return;
	list_for_each_safe(n, &s->live) {
		struct shortcut *c = CONTAINER_OF(n, struct shortcut, node);

		ike_partner_drop(m->ike, m->now, c->peer, "its network is gone");
		shortcut_free(c);
	}
	list_for_each_safe(n, &s->past)
		shortcut_free(CONTAINER_OF(n, struct shortcut, node));
	site_wanted_free(s);
	site_hubs_free(s);
	heap_disarm(&m->timers, &s->timer);
	mem_free(m->mem, s);
	net->site = NULL;
}
