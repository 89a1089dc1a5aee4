/*
 * steer.c - sending our callers on to another gateway (RFC 5685).
 *
 *	IKE_SA_INIT	when it is the same for everybody who may call, and the caller has returned
 *			a cookie: it costs no key exchange, and what nobody has to prove cannot tell
 *			a stranger anything about somebody (section 11)
 *	IKE_AUTH	when we know who it is; or right after it, in the session
 *	a session	by order of the operator, spread in time: each will shake hands elsewhere
 *
 * Where to: `redirect_to` of the section, for newcomers, when there are as many IKE SAs as
 * redirect_above says; or an order (IKE_CMD_REDIRECT), for those who are here and for newcomers.
 *
 * Nobody is sent on who does not say that he can be (section 3), nor who comes from where he would
 * be sent, or was sent to us by ourselves: two gateways that point at each other would bounce him.
 * Who is sent on keeps what he has until he has left, or until redirect_wait is over (section 5).
 */
#include "ike/internal.h"

/* ---- orders ------------------------------------------------------------------------------- */

/* Of the operator. */
struct steer {
	struct list node; /* of ike->steers, newest first */
	ike_peer_id peer; /* 0: all */
	char gateway[IKE_GATEWAY_TEXT];
};

static void forget(struct ike *ike, struct steer *o)
{
	list_del(&o->node);
	ike->n_steers--;
	mem_free(ike->mem, o);
}

void steers_free(struct ike *ike)
{
	list_for_each_safe(n, &ike->steers)
		forget(ike, CONTAINER_OF(n, struct steer, node));
}

static bool is_about(const struct steer *o, const struct peer *p)
{
	if (o->peer == 0)
		return p->conf->role != IKE_ROLE_PARTNER;
	return o->peer == p->id || (p->under && o->peer == p->under->id);
}

/* The newest that is about the peer. */
static const struct steer *order_for(const struct ike *ike, const struct peer *p)
{
	list_for_each(n, &ike->steers) {
		const struct steer *o = CONTAINER_OF(n, const struct steer, node);

		if (is_about(o, p))
			return o;
	}
	return NULL;
}

/* Those about the same peer, and about identities that are here no more. */
static void supersede(struct ike *ike, ike_peer_id peer)
{
	list_for_each_safe(n, &ike->steers) {
		struct steer *o = CONTAINER_OF(n, struct steer, node);

		if (o->peer == peer || peer == 0 || (o->peer && !peer_by_id(ike, o->peer)))
			forget(ike, o);
	}
}

/* ---- gateways ----------------------------------------------------------------------------- */

static bool gateway_of(const char *text, struct ip *ip, struct wire_gateway *ret)
{
	if (ip_parse(text, ip) == ST_OK)
		*ret = (struct wire_gateway){ ip->family == 4 ? WIRE_GW_IPV4 : WIRE_GW_IPV6,
					      ip_raw(ip) };
	else
		*ret = (struct wire_gateway){ WIRE_GW_FQDN, bytes_of(text, strlen(text)) };
	return ret->type == WIRE_GW_FQDN ? host_name_ok(ret->id) : ip_is_host(ip);
}

/* The data of N(REDIRECT); `nonce` only in IKE_SA_INIT. */
static struct bytes redirect_data(const char *gateway, struct bytes nonce, uint8_t *buf, size_t cap)
{
	struct wr w = wr_of(buf, cap);
	struct wire_gateway gw;
	struct ip ip;

	if (gateway_of(gateway, &ip, &gw))
		wire_gateway_put(&w, &gw);
	wr_put(&w, nonce);
	return wr_bytes_of(&w);
}

/* Family 0: it was not sent here. */
static struct ip sent_from(const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_REDIRECTED_FROM);
	struct wire_gateway gw;
	struct bytes rest;

	if (!n || wire_gateway_parse(n->data, &gw, &rest) || gw.type == WIRE_GW_FQDN)
		return (struct ip){ 0 };
	return ip_from_raw(gw.id);
}

void steer_read(struct handshake *hs, const struct wire_payloads *p)
{
	hs->sent_from = sent_from(p);
	hs->redirects = wire_find_notify(p, WIRE_N_REDIRECT_SUPPORTED) ||
			wire_find_notify(p, WIRE_N_REDIRECTED_FROM);
}

/* By ourselves. */
static bool came_back(const struct ike *ike, const struct ip *from, const struct ip *local)
{
	if (!from->family)
		return false;
	for (size_t i = 0; i < ike->n_own; i++)
		if (ip_eq(from, &ike->own[i]))
			return true;
	return ip_eq(from, local);
}

static bool is_gateway(const char *gateway, const struct ip *ip)
{
	struct ip g;

	return ip_parse(gateway, &g) == ST_OK && ip_eq(&g, ip);
}

/* ---- newcomers ---------------------------------------------------------------------------- */

struct newcomer {
	const struct ip *from; /* the gateway that sent it; family 0: none */
	const struct ip *local; /* where it called us */
};

/* Each in turn, rather not where it comes from. */
static const char *next_of(struct ike *ike, const struct ike_peer_conf *c, const struct ip *from)
{
	const char *g = c->redirect_to[ike->steer_turn++ % c->n_redirect_to];

	if (is_gateway(g, from))
		g = c->redirect_to[ike->steer_turn++ % c->n_redirect_to];
	return g;
}

static size_t established(const struct ike *ike)
{
	return ike->n_sas - ike->n_half_open;
}

/* NULL: it is served here. */
static const char *where_to(struct ike *ike, const struct ike_peer_conf *c, const struct steer *o,
			    const struct newcomer *who)
{
	if (o)
		return o->gateway;
	if (!c || !c->n_redirect_to || established(ike) < c->redirect_above)
		return NULL;
	return next_of(ike, c, who->from);
}

static bool bounces(const struct ike *ike, const struct newcomer *who, const char *gateway)
{
	return is_gateway(gateway, who->from) || came_back(ike, who->from, who->local);
}

static bool same_list(const struct ike_peer_conf *a, const struct ike_peer_conf *b)
{
	if (a->n_redirect_to != b->n_redirect_to || a->redirect_above != b->redirect_above)
		return false;
	for (size_t i = 0; i < a->n_redirect_to; i++)
		if (strcmp(a->redirect_to[i], b->redirect_to[i]) != 0)
			return false;
	return true;
}

/* What holds for whoever may call; NULL: it depends on who it is. */
const struct ike_peer_conf *steer_common(const struct ike_conf *conf)
{
	const struct ike_peer_conf *c = NULL;

	for (size_t i = 0; i < conf->n_peers; i++) {
		const struct ike_peer_conf *p = &conf->peers[i];

		if (p->role == IKE_ROLE_HUB)
			continue;
		if (c && !same_list(c, p))
			return NULL;
		c = p;
	}
	return c;
}

static const struct steer *order_for_all(const struct ike *ike)
{
	list_for_each(n, &ike->steers) {
		const struct steer *o = CONTAINER_OF(n, const struct steer, node);

		if (o->peer == 0)
			return o;
	}
	return NULL;
}

bool steer_init(struct ike *ike, const struct ike_datagram *d, const struct wire_ike_msg *msg,
		enum proof proof)
{
	const struct wire_payloads *p = &msg->clear;
	uint8_t data[2 + IKE_GATEWAY_TEXT + WIRE_MAX_NONCE];
	struct ip from = sent_from(p);
	struct newcomer who = { &from, &d->local.ip };
	const char *gateway;

	/* Whom we know may be here already. */
	if ((proof != PROOF_COOKIE && proof != PROOF_SOLVED) ||
	    !(wire_find_notify(p, WIRE_N_REDIRECT_SUPPORTED) || from.family))
		return false;
	gateway = where_to(ike, ike->steer_common, order_for_all(ike), &who);
	if (!gateway || bounces(ike, &who, gateway))
		return false;
	count(ike, C_SENT_ON);
	init_r_refuse(ike, d, &msg->hdr, WIRE_N_REDIRECT,
		      redirect_data(gateway, p->nonce, data, sizeof(data)));
	return true;
}

/* Not while a new SA is being made beside one that there is. */
static bool is_here(const struct peer *p)
{
	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa->state == SA_UP && !sa->sent_away)
			return true;
	}
	return false;
}

/* Who makes a new SA beside one that he has is no newcomer. */
static bool is_known(struct ike *ike, const struct attempt *at, const struct peer *section)
{
	struct policy_ident id = { at->inner.id_i.type, at->inner.id_i.data };
	const struct peer *p = section;

	if (peer_is_pattern(section->conf))
		p = peer_by_ident(ike, section, &id, NULL);
	return p && is_here(p);
}

static void will_be_told(struct ike_sa *sa, uint8_t steer_to)
{
	sa->steer = true;
	sa->steer_to = steer_to;
}

/* Which one of the list, from 1; 0: it is that of an order. */
static uint8_t place(const struct ike_peer_conf *c, const char *gateway)
{
	for (size_t i = 0; i < c->n_redirect_to && i < UINT8_MAX; i++)
		if (c->redirect_to[i] == gateway)
			return (uint8_t)(i + 1);
	return 0;
}

/* strongSwan 5.9.8 and others end with a double free when they are sent on in IKE_AUTH; in a
 * session they go as they should.  They say that EAP alone would do (RFC 5998), which few others
 * do: whoever says so is served first. */
static bool rather_in_session(const struct attempt *at)
{
	return wire_find_notify(&at->inner, WIRE_N_EAP_ONLY_AUTHENTICATION);
}

void steer_auth(struct ike *ike, const struct attempt *at, struct peer *section,
		char ret_gateway[IKE_GATEWAY_TEXT])
{
	const struct handshake *hs = at->sa->hs;
	const struct ike_peer_conf *c = section->conf;
	const struct steer *o = order_for(ike, section);
	struct newcomer who = { &hs->sent_from, &at->sa->path.local.ip };
	const char *gateway;

	if (!o && (!c->n_redirect_to || (c->redirect_above && is_known(ike, at, section))))
		return;
	gateway = where_to(ike, c, o, &who);
	if (!gateway)
		return;
	if (!hs->redirects)
		count(ike, C_REDIRECT_UNSUPPORTED);
	else if (bounces(ike, &who, gateway))
		count(ike, C_REDIRECT_PING_PONG);
	else if (!rather_in_session(at))
		memcpy(ret_gateway, gateway, strlen(gateway) + 1);
	else
		will_be_told(at->sa, place(c, gateway));
}

void steer_put(const char *gateway, struct wire_out *o)
{
	uint8_t data[2 + IKE_GATEWAY_TEXT];

	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_REDIRECT,
			redirect_data(gateway, bytes_of(NULL, 0), data, sizeof(data)));
}

/* It has heard it, and may go now. */
void steer_told(struct ike *ike, struct ike_sa *sa, const char *gateway)
{
	sa->sent_away = true;
	heap_arm(&ike->timers, &sa->reap, mono_add(ike->now.mono, sa->peer->conf->redirect_wait));
	count(ike, C_SENT_ON);
	event_emit(ike, IKE_EV_REDIRECTED, (struct event_about){ .sa = sa },
		   "sent on to %s; what it has here stays for %lld s, should it not leave before",
		   gateway, (long long)(sa->peer->conf->redirect_wait.ns / dur_s(1).ns));
}

/* ---- sessions ----------------------------------------------------------------------------- */

static bool can_be_sent(const struct ike_sa *sa)
{
	return sa->state == SA_UP && !sa->called && sa->redirects && !sa->sent_away;
}

bool steer_wants(const struct ike_sa *sa)
{
	return sa->steer && can_be_sent(sa);
}

void steer_soon(struct ike *ike, struct ike_sa *sa)
{
	if (steer_wants(sa))
		agenda_soon(ike, sa);
}

/* NULL: no more. */
static const char *now_to(const struct ike *ike, const struct ike_sa *sa)
{
	const struct ike_peer_conf *c = sa->peer->conf;
	const struct steer *o = order_for(ike, sa->peer);

	if (o)
		return o->gateway;
	return sa->steer_to && sa->steer_to <= c->n_redirect_to ? c->redirect_to[sa->steer_to - 1]
								: NULL;
}

bool steer_next(struct ike *ike, struct ike_sa *sa)
{
	const char *gateway = now_to(ike, sa);
	uint8_t data[2 + IKE_GATEWAY_TEXT];

	sa->steer = false;
	if (!gateway)
		return true;
	if (!info_redirect(ike, sa,
			   redirect_data(gateway, bytes_of(NULL, 0), data, sizeof(data)))) {
		sa->steer = true;
		return false;
	}
	steer_told(ike, sa, gateway);
	return true;
}

/* The i-th of them has its turn so much later.  It may come earlier, with another exchange. */
static mono_t turn(const struct ike *ike, size_t i)
{
	return mono_add(ike->now.mono, (dur_t){ (int64_t)i * (dur_s(1).ns / IKE_REDIRECTS_PER_S) });
}

/* How many there are that can be sent on. */
static size_t mark(struct ike *ike, const struct steer *o)
{
	size_t marked = 0;

	list_for_each(n, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, node);

		if (!sa->peer || !is_about(o, sa->peer) || sa->state != SA_UP || sa->called)
			continue;
		if (!can_be_sent(sa)) {
			count(ike, C_REDIRECT_UNSUPPORTED);
			continue;
		}
		will_be_told(sa, 0);
		if (marked == 0)
			agenda_soon(ike, sa);
		else if (!sa->win.request.n)
			heap_arm(&ike->timers, &sa->retransmit, turn(ike, marked));
		marked++;
	}
	return marked;
}

static enum status begin(struct ike *ike, const struct ike_cmd *cmd, const struct peer *p)
{
	struct wire_gateway gw;
	struct steer *o;
	struct ip ip;

	if (!cmd->gateway || strlen(cmd->gateway) >= sizeof(o->gateway) ||
	    !gateway_of(cmd->gateway, &ip, &gw))
		return ST_INVAL;
	supersede(ike, cmd->peer);
	if (ike->n_steers >= IKE_MAX_STEERS)
		return ST_AGAIN;
	o = mem_new(ike->mem, sizeof(*o));
	if (!o)
		return ST_NOMEM;
	o->peer = cmd->peer;
	memcpy(o->gateway, cmd->gateway, strlen(cmd->gateway) + 1);
	list_add_tail(ike->steers.next, &o->node);
	ike->n_steers++;
	/* Of somebody who is not here, or cannot be sent on, nothing remains to be done. */
	if (!mark(ike, o) && p && !p->section) {
		forget(ike, o);
		return ST_REFUSE;
	}
	return ST_OK;
}

static enum status end(struct ike *ike, const struct ike_cmd *cmd)
{
	size_t before = ike->n_steers;

	list_for_each_safe(n, &ike->steers) {
		struct steer *o = CONTAINER_OF(n, struct steer, node);

		if (cmd->peer == 0 || o->peer == cmd->peer)
			forget(ike, o);
	}
	return before > ike->n_steers ? ST_OK : ST_REFUSE;
}

enum status steer_command(struct ike *ike, const struct ike_cmd *cmd)
{
	const struct peer *p = peer_by_id(ike, cmd->peer);

	if (cmd->peer && (!p || p->conf->role == IKE_ROLE_HUB || p->conf->role == IKE_ROLE_PARTNER))
		return ST_INVAL;
	return cmd->kind == IKE_CMD_REDIRECT ? begin(ike, cmd, p) : end(ike, cmd);
}

void ike_each_redirect(const struct ike *ike, ike_redirect_fn *fn, void *ctx)
{
	list_for_each(n, &ike->steers) {
		const struct steer *o = CONTAINER_OF(n, const struct steer, node);
		const struct peer *p = peer_by_id(ike, o->peer);
		struct ike_redirect_info info = { o->peer, p ? p->name : "", o->gateway };

		if ((p || !o->peer) && !fn(ctx, &info))
			return;
	}
}
