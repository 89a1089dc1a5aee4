/*
 * mesh.c - the entries of mesh.h, words both ways, and what goes to which network.
 *
 * Events of the engine are for the host first: mesh_next() looks at one when it is called again,
 * before it asks the engine for more.  Words (ASKED, ANSWERED) are nobody's but ours.
 */
#include "mesh/internal.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- small things -------------------------------------------------------------------------- */

void mesh_random(struct mesh *m, void *buf, size_t n)
{
	m->crypto.ops->random(m->crypto.ctx, buf, n);
}

enum status mesh_mac(struct mesh *m, struct bytes key, const struct bytes *parts, size_t n,
		     uint8_t ret[static 32])
{
	return m->crypto.ops->prf(m->crypto.ctx, CRYPTO_PRF_HMAC_SHA2_256, key, parts, n, ret);
}

enum status ident_dup(struct mesh *m, const struct policy_ident *id, struct policy_ident *ret)
{
	ret->type = id->type;
	return mem_dup(m->mem, id->data, &ret->data);
}

void ident_done(struct mesh *m, struct policy_ident *id)
{
	mem_free(m->mem, (void *)(uintptr_t)id->data.p);
	*id = (struct policy_ident){ 0 };
}

enum status ts_dup(struct mesh *m, const struct wire_ts_list *l, struct wire_ts_list *ret)
{
	struct wire_ts *ts;

	*ret = (struct wire_ts_list){ 0 };
	if (!l->n)
		return ST_OK;
	ts = mem_new(m->mem, l->n * sizeof(*ts));
	if (!ts)
		return ST_NOMEM;
	memcpy(ts, l->ts, l->n * sizeof(*ts));
	*ret = (struct wire_ts_list){ ts, l->n, 0 };
	return ST_OK;
}

void ts_done(struct mesh *m, struct wire_ts_list *l)
{
	mem_free(m->mem, (void *)(uintptr_t)l->ts);
	*l = (struct wire_ts_list){ 0 };
}

int ident_order(const struct policy_ident *a, const struct policy_ident *b)
{
	return a->type != b->type ? a->type - b->type : bytes_cmp(a->data, b->data);
}

const char *mesh_topology_name(enum mesh_topology t)
{
	static const char *const names[MESH_TOPOLOGIES] = { "star", "dynamic", "mesh" };

	return names[t];
}

const char *mesh_try_name(enum mesh_try_result r)
{
	static const char *const names[MESH_TRIES] = { "waiting", "answered", "silent", "unsent",
						       "refused" };

	return names[r];
}

/* ---- outputs ------------------------------------------------------------------------------- */

static struct mesh_out *out_new(struct mesh *m, enum ike_out_kind kind)
{
	struct mesh_out *o = mem_new(m->mem, sizeof(*o));

	if (!o) {
		count(m, M_NO_MEMORY);
		return NULL;
	}
	o->out.kind = kind;
	list_add_tail(&m->outs, &o->node);
	return o;
}

void mesh_send(struct mesh *m, const struct endpoint *local, const struct endpoint *remote,
	       const uint8_t data[static WIRE_PROBE_LEN])
{
	struct mesh_out *o = out_new(m, IKE_OUT_SEND);

	if (!o)
		return;
	memcpy(o->data, data, WIRE_PROBE_LEN);
	o->out.u.send.local = *local;
	o->out.u.send.remote = *remote;
	o->out.u.send.marker = local->port == m->conf->ike->nat_port;
	o->out.u.send.data = BYTES_OF(o->data);
}

void mesh_event(struct mesh *m, enum ike_event_kind kind, struct mesh_about about, const char *fmt,
		...)
{
	struct mesh_out *o = out_new(m, IKE_OUT_EVENT);
	struct ike_event *e;
	struct text t;
	va_list ap;

	if (!o)
		return;
	e = &o->event;
	e->kind = kind;
	e->reason = about.reason;
	e->peer = about.peer;
	e->peer_name = about.peer_name ? about.peer_name : "";
	if (about.local)
		e->local = *about.local;
	if (about.remote)
		e->remote = *about.remote;
	t = TEXT_OF(e->identity);
	if (about.identity)
		policy_ident_text(&t, about.identity);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	o->out.u.event = e;
}

/* ---- networks ------------------------------------------------------------------------------ */

static bool is_site(const struct ike_peer_conf *section)
{
	return section->role == IKE_ROLE_HUB;
}

/* One of the other hubs that a hub calls, or that a site is attached to. */
static bool calls(const struct network *net, ike_peer_id peer)
{
	for (size_t i = 0; i < net->conf->n_hubs; i++)
		if (net->conf->hubs[i] == peer)
			return true;
	return false;
}

/* A member's configuration is that of its section; a partner's is its own. */
static bool concerns(const struct network *net, const struct ike_peer_info *p)
{
	if (p->conf->role == IKE_ROLE_PARTNER)
		return net->site && site_has(net->site, p->id);
	return p->conf->id == net->conf->peer || calls(net, p->conf->id);
}

struct network *network_of(struct mesh *m, ike_peer_id peer, struct ike_peer_info *ret)
{
	if (!peer || !ike_peer(m->ike, m->now, peer, ret))
		return NULL;
	list_for_each(n, &m->networks) {
		struct network *net = CONTAINER_OF(n, struct network, node);

		if (concerns(net, ret))
			return net;
	}
	return NULL;
}

static const struct ike_peer_conf *section_of(const struct mesh_conf *conf, ike_peer_id peer)
{
	for (size_t i = 0; i < conf->ike->n_peers; i++)
		if (conf->ike->peers[i].id == peer)
			return &conf->ike->peers[i];
	return NULL;
}

static void network_free(struct network *net)
{
	struct mesh *m = net->m;

	for (struct map_node *n = map_next(&m->asks, NULL); n; n = map_next(&m->asks, n)) {
		struct ask *a = CONTAINER_OF(n, struct ask, by_id);

		if (a->net == net)
			a->net = NULL;
	}
	hub_free(net);
	site_free(net);
	list_del(&net->node);
	mem_free(m->mem, net);
}

static enum status network_new(struct mesh *m, const struct mesh_network *conf,
			       const struct ike_peer_conf *section, struct network **ret_net)
{
	struct network *net = mem_new(m->mem, sizeof(*net));
	enum status st;

	if (!net)
		return ST_NOMEM;
	list_init(&net->node);
	net->m = m;
	net->conf = conf;
	net->section = section;
	st = is_site(section) ? site_new(net, &net->site) : hub_new(net, &net->hub);
	if (st)
		network_free(net);
	else
		*ret_net = net;
	return st;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Above those of the last start, if we know what time it is; who is told learns of a start all the
 * same, by another SA. */
static uint64_t first_number(struct mesh *m)
{
	uint8_t any[4];

	if (m->now.wall_ok)
		return (uint64_t)m->now.wall.s * 1000;
	mesh_random(m, any, sizeof(any));
	return (uint64_t)load_be32(any) << 8;
}

enum status mesh_new(const struct alloc *mem, const struct crypto *crypto,
		     const uint64_t hash_key[2], struct ike *ike, const struct mesh_conf *conf,
		     struct now now, struct mesh **ret_mesh)
{
	struct mesh *m = mem_new(mem, sizeof(*m));
	enum status st;

	if (!m)
		return ST_NOMEM;
	m->mem = mem;
	m->crypto = *crypto;
	m->ike = ike;
	m->now = now;
	memcpy(m->key, hash_key, sizeof(m->key));
	list_init(&m->networks);
	list_init(&m->outs);
	map_init(&m->asks, mem, hash_key);
	map_init(&m->by_probe, mem, hash_key);
	mesh_random(m, m->boot, sizeof(m->boot));
	m->sequence = first_number(m);
	m->buf = mem_new(mem, MESH_WORD_MAX);
	st = m->buf ? mesh_reconfigure(m, now, conf) : ST_NOMEM;
	if (st) {
		mesh_free(m);
		return st;
	}
	*ret_mesh = m;
	return ST_OK;
}

static void outs_free(struct mesh *m)
{
	list_for_each_safe(n, &m->outs) {
		list_del(n);
		mem_free_secret(m->mem, CONTAINER_OF(n, struct mesh_out, node),
				sizeof(struct mesh_out));
	}
	mem_free(m->mem, m->current);
}

void mesh_free(struct mesh *m)
{
	struct map_node *n;

	if (!m)
		return;
	list_for_each_safe(it, &m->networks)
		network_free(CONTAINER_OF(it, struct network, node));
	while ((n = map_any(&m->asks))) {
		map_remove(&m->asks, n);
		mem_free(m->mem, CONTAINER_OF(n, struct ask, by_id));
	}
	map_done(&m->asks);
	map_done(&m->by_probe);
	outs_free(m);
	if (m->buf)
		mem_free_secret(m->mem, m->buf, MESH_WORD_MAX);
	if (m->conf)
		ike_conf_unref(m->conf->ike);
	mem_free_secret(m->mem, m, sizeof(*m));
}

/* The same network as before, in another configuration. */
static struct network *known(struct mesh *m, const struct mesh_network *conf,
			     const struct ike_peer_conf *section)
{
	list_for_each(n, &m->networks) {
		struct network *net = CONTAINER_OF(n, struct network, node);

		if (net->conf->peer == conf->peer && is_site(section) == (net->site != NULL))
			return net;
	}
	return NULL;
}

/* Networks that are new, on `fresh`; those that there were are left alone. */
static enum status prepare(struct mesh *m, const struct mesh_conf *conf, struct list *fresh)
{
	for (size_t i = 0; i < conf->n_networks; i++) {
		const struct mesh_network *c = &conf->networks[i];
		const struct ike_peer_conf *section = section_of(conf, c->peer);
		struct network *net;
		enum status st;

		if (!section)
			return ST_BUG;
		if (known(m, c, section))
			continue;
		st = network_new(m, c, section, &net);
		if (st)
			return st;
		list_add_tail(fresh, &net->node);
	}
	return ST_OK;
}

static const struct mesh_network *in_conf(const struct mesh_conf *conf, const struct network *net)
{
	for (size_t i = 0; i < conf->n_networks; i++) {
		const struct ike_peer_conf *s = section_of(conf, conf->networks[i].peer);

		if (conf->networks[i].peer == net->conf->peer && s &&
		    is_site(s) == (net->site != NULL))
			return &conf->networks[i];
	}
	return NULL;
}

/* Nothing here fails. */
static void adopt(struct mesh *m, const struct mesh_conf *conf, struct list *fresh)
{
	list_for_each_safe(n, &m->networks) {
		struct network *net = CONTAINER_OF(n, struct network, node);
		const struct mesh_network *c = in_conf(conf, net);

		if (!c) {
			network_free(net);
			continue;
		}
		net->conf = c;
		net->section = section_of(conf, c->peer);
		if (net->hub)
			hub_reconfigured(net);
		else
			site_reconfigured(net);
	}
	list_for_each_safe(n, fresh) {
		list_del(n);
		list_add_tail(&m->networks, n);
	}
}

enum status mesh_reconfigure(struct mesh *m, struct now now, const struct mesh_conf *conf)
{
	const struct mesh_conf *old = m->conf;
	struct list fresh;
	enum status st;

	m->now = now;
	list_init(&fresh);
	st = prepare(m, conf, &fresh);
	if (!st && old)
		st = ike_reconfigure(m->ike, now, conf->ike);
	if (st) {
		list_for_each_safe(n, &fresh)
			network_free(CONTAINER_OF(n, struct network, node));
		return st;
	}
	ike_conf_ref(conf->ike);
	m->conf = conf;
	adopt(m, conf, &fresh);
	if (old)
		ike_conf_unref(old->ike);
	return ST_OK;
}

/* ---- words of ours ------------------------------------------------------------------------- */

static bool same_ask(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct ask, by_id)->id == *(const uint64_t *)key;
}

static uint64_t ask_hash(const struct mesh *m, uint64_t id)
{
	return map_hash(&m->asks, bytes_of(&id, sizeof(id)));
}

/* In m->buf; empty when it is too long. */
static struct bytes build(struct mesh *m, const struct wire_mesh *word)
{
	struct wr w = wr_of(m->buf, MESH_WORD_MAX);

	wire_mesh_put(&w, word);
	return wr_bytes_of(&w);
}

enum status say(struct network *net, ike_peer_id peer, uint16_t kind, const struct wire_mesh *word,
		answered_fn *done, uint64_t about, uint64_t more)
{
	struct mesh *m = net->m;
	struct ask *a = mem_new(m->mem, sizeof(*a));
	struct ike_word w = { kind, build(m, word) };
	enum status st = a && w.data.n ? ST_OK : ST_NOMEM;

	if (!st)
		st = ike_ask(m->ike, m->now, peer, &w, a ? &a->id : NULL);
	wipe(m->buf, w.data.n);
	if (st) {
		mem_free(m->mem, a);
		if (st == ST_NOMEM)
			count(m, M_NO_MEMORY);
		return st;
	}
	a->net = net;
	a->peer = peer;
	a->done = done;
	a->about[0] = about;
	a->about[1] = more;
	map_insert(&m->asks, &a->by_id, ask_hash(m, a->id));
	count(m, M_WORDS_OUT);
	return ST_OK;
}

/* NULL: it makes no sense. */
static const struct wire_mesh *read_answer(struct mesh *m, struct arena *ar,
					   const struct ike_word *word, struct wire_mesh *ret)
{
	enum wire_mesh_fault fault = WIRE_MF_OK;

	if (word->notify != WIRE_N_SHORTCUT_ACCEPT && word->notify != WIRE_N_SHORTCUT_REFUSED)
		return NULL;
	if (wire_mesh_parse(ar, word->notify, word->data, ret, &fault) == ST_OK)
		return ret;
	m->faults[fault]++;
	return NULL;
}

static void answered(struct mesh *m, const struct ike_out *o)
{
	uint64_t id = o->u.answered.id;
	struct map_node *n = map_find(&m->asks, ask_hash(m, id), same_ask, &id);
	const struct wire_mesh *answer = NULL;
	struct wire_mesh msg;
	struct arena ar;
	struct ask *a;

	if (!n)
		return;
	a = CONTAINER_OF(n, struct ask, by_id);
	map_remove(&m->asks, n);
	arena_init(&ar, m->mem, MESH_ARENA);
	if (o->u.answered.status)
		count(m, M_WORDS_LOST);
	else
		answer = read_answer(m, &ar, &o->u.answered.word, &msg);
	if (a->net && a->done)
		a->done(m, a, o->u.answered.word.notify, answer);
	arena_done(&ar);
	mem_free(m->mem, a);
}

/* ---- words of others ----------------------------------------------------------------------- */

static void answer(struct word *w, uint16_t notify, const struct wire_mesh *msg)
{
	struct ike_word out = { notify, build(w->m, msg) };

	if (!w->id)
		return;
	ike_answer(w->m->ike, w->m->now, w->id, &out);
	w->id = 0;
}

void word_accept(struct word *w, const struct wire_mesh *extra)
{
	struct wire_mesh msg = extra ? *extra : (struct wire_mesh){ 0 };

	memcpy(msg.id, w->msg.id, sizeof(msg.id));
	answer(w, WIRE_N_SHORTCUT_ACCEPT, &msg);
}

void word_refuse(struct word *w, enum wire_mesh_reason reason, const char *text)
{
	struct wire_mesh msg = { .reason = (uint16_t)reason, .text = bytes_str(text) };

	if (msg.text.n > WIRE_MESH_TEXT_MAX)
		msg.text.n = WIRE_MESH_TEXT_MAX;
	msg.present = 1u << WIRE_MA_REASON | (msg.text.n ? 1u << WIRE_MA_TEXT : 0);
	memcpy(msg.id, w->msg.id, sizeof(msg.id));
	w->m->refused[reason]++;
	answer(w, WIRE_N_SHORTCUT_REFUSED, &msg);
}

static void understood(struct word *w)
{
	struct ike_peer_info info;

	w->net = network_of(w->m, w->peer, &info);
	if (w->net && w->net->hub)
		hub_word(w->net, w, &info);
	else if (w->net && info.conf->role != IKE_ROLE_PARTNER)
		site_word(w->net, w, &info);
	if (w->id)
		word_refuse(w, WIRE_MR_POLICY, "");
}

static void asked(struct mesh *m, const struct ike_out *o)
{
	struct word w = { .m = m,
			  .id = o->u.asked.id,
			  .peer = o->u.asked.peer,
			  .sa = o->u.asked.sa,
			  .kind = o->u.asked.word.notify };
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct bytes data;
	struct arena ar;

	count(m, M_WORDS_IN);
	arena_init(&ar, m->mem, MESH_ARENA);
	w.ar = &ar;
	/* A copy: what comes of it are inputs of the engine, whose output this is. */
	if (arena_dup(&ar, o->u.asked.word.data, &data)) {
		count(m, M_NO_MEMORY);
		word_refuse(&w, WIRE_MR_INTERNAL, "out of memory");
	} else if (wire_mesh_parse(&ar, w.kind, data, &w.msg, &fault) == ST_OK) {
		understood(&w);
	} else {
		m->faults[fault]++;
		word_refuse(&w,
			    fault == WIRE_MF_CRITICAL ? WIRE_MR_UNKNOWN_ATTRIBUTE
			    : fault == WIRE_MF_NOMEM  ? WIRE_MR_INTERNAL
						      : WIRE_MR_MALFORMED,
			    wire_mesh_fault_name(fault));
	}
	arena_done(&ar);
}

/* ---- what happened to the engine ----------------------------------------------------------- */

static bool is_of_interest(enum ike_event_kind kind)
{
	switch (kind) {
	case IKE_EV_SA_UP:
	case IKE_EV_SA_DOWN:
	case IKE_EV_CHILD_UP:
	case IKE_EV_CHILD_DOWN:
	case IKE_EV_SA_REKEYED:
	case IKE_EV_MOVED:
	case IKE_EV_SUSPECT:
	case IKE_EV_ALIVE:
	case IKE_EV_CARRIES:
	case IKE_EV_PARTNER_OVER: return true;
	default: return false;
	}
}

/* Of a member that is gone the engine knows nothing any more: everybody hears of it. */
static void dispatch_event(struct mesh *m)
{
	struct ike_peer_info info = { .id = m->event.peer };
	struct network *net = network_of(m, m->event.peer, &info);

	if (net && net->site)
		site_event(net, &m->event, &info);
	else if (net)
		hub_event(net, &m->event, &info);
	if (net)
		return;
	list_for_each(n, &m->networks) {
		struct network *each = CONTAINER_OF(n, struct network, node);

		if (each->hub)
			hub_event(each, &m->event, NULL);
		else
			site_event(each, &m->event, NULL);
	}
}

static bool own_output(struct mesh *m, struct ike_out *ret_out)
{
	if (list_empty(&m->outs))
		return false;
	m->current = CONTAINER_OF(m->outs.next, struct mesh_out, node);
	list_del(&m->current->node);
	*ret_out = m->current->out;
	return true;
}

void mesh_next(struct mesh *m, struct now now, struct ike_out *ret_out)
{
	m->now = now;
	mem_free(m->mem, m->current);
	m->current = NULL;
	if (m->noted) {
		m->noted = false;
		dispatch_event(m);
	}
	for (;;) {
		ike_next(m->ike, ret_out);
		if (ret_out->kind == IKE_OUT_ASKED) {
			asked(m, ret_out);
		} else if (ret_out->kind == IKE_OUT_ANSWERED) {
			answered(m, ret_out);
		} else if (ret_out->kind != IKE_OUT_NONE) {
			break;
		} else {
			(void)own_output(m, ret_out);
			return;
		}
	}
	if (ret_out->kind == IKE_OUT_EVENT && is_of_interest(ret_out->u.event->kind)) {
		m->noted = true;
		m->event = *ret_out->u.event;
	}
}

/* ---- entries ------------------------------------------------------------------------------- */

void mesh_input(struct mesh *m, struct now now, const struct ike_datagram *d)
{
	m->now = now;
	if (wire_probe_is(d->data))
		probe_input(m, d);
	else
		ike_input(m->ike, now, d);
}

/* It may have been what another hub was to be given (route.c). */
static void given_failed(struct mesh *m)
{
	list_for_each(n, &m->networks) {
		struct network *net = CONTAINER_OF(n, struct network, node);

		if (net->hub)
			hub_dp_failed(net);
	}
}

void mesh_dp(struct mesh *m, struct now now, const struct dp_report *r)
{
	struct ike_peer_info info;
	struct network *net;

	m->now = now;
	if (r->kind == DP_REPORT_NOT_DIRECT) {
		net = network_of(m, r->u.not_direct.peer, &info);
		if (net && net->site)
			site_not_direct(net, r);
		return;
	}
	if (r->kind == DP_REPORT_DONE && r->u.done.status)
		given_failed(m);
	if (r->kind != DP_REPORT_FLOW) {
		ike_dp(m->ike, now, r);
		return;
	}
	count(m, M_FLOWS);
	net = network_of(m, r->u.flow.to, &info);
	if (net && net->hub)
		hub_flow(net, r);
	else
		count(m, M_FLOWS_UNKNOWN);
}

void mesh_network(struct mesh *m, struct now now, const struct ip *own, size_t n)
{
	m->now = now;
	m->n_own = n < MESH_OWN ? n : MESH_OWN;
	if (m->n_own)
		memcpy(m->own, own, m->n_own * sizeof(*own));
	ike_network(m->ike, now, own, n);
	list_for_each(it, &m->networks) {
		struct network *net = CONTAINER_OF(it, struct network, node);

		if (net->site)
			site_moved(net);
	}
}

static void own_timer(struct mesh *m, struct timer *t)
{
	switch ((enum mesh_timer_kind)t->kind) {
	case T_PARTNER: shortcut_timer(m, t); break;
	case T_PROBE: probe_timer(m, t); break;
	case T_PAIR: hub_pair_timer(m, t); break;
	case T_HUB: hub_timer(m, t); break;
	case T_SITE: site_timer(m, t); break;
	case T_NEWS: news_timer(m, t); break;
	case T_OTHER: other_timer(m, t); break;
	}
}

void mesh_timer(struct mesh *m, struct now now)
{
	struct timer *t;

	m->now = now;
	if (!mono_before(now.mono, ike_deadline(m->ike)))
		ike_timer(m->ike, now);
	while ((t = heap_pop_due(&m->timers, now.mono)))
		own_timer(m, t);
}

mono_t mesh_deadline(const struct mesh *m)
{
	return mono_min(heap_next_due(&m->timers), ike_deadline(m->ike));
}
