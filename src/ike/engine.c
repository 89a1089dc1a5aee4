/*
 * engine.c - the entries: every function of ike.h that takes something in.
 *
 * Each sets ike->now, does its work, and pays what is owed to the data plane.
 */
#include "ike/inner.h"
#include "ike/partner.h"

struct ike_conf *ike_conf_ref(struct ike_conf *conf)
{
	conf->refs++;
	return conf;
}

void ike_conf_unref(struct ike_conf *conf)
{
	if (conf && --conf->refs == 0 && conf->free)
		conf->free(conf);
}

static void enter(struct ike *ike, struct now now)
{
	ike->now = now;
	life_clock(ike);
	if (!list_empty(&ike->owed))
		child_pay_owed(ike);
	if (ike->inner_owed)
		inner_i_pay(ike);
}

/* All that the entry led to is committed: SAs do what comes next. */
static void leave(struct ike *ike)
{
	do {
		partners_run(ike);
		attach_run(ike);
		agenda_run(ike);
	} while (!list_empty(&ike->partners_todo));
}

/* ---- life --------------------------------------------------------------------------------- */

static void init_tables(struct ike *ike, const uint64_t key[2])
{
	map_init(&ike->peer_by_id, ike->mem, key);
	map_init(&ike->peer_by_ident, ike->mem, key);
	map_init(&ike->peer_by_addr, ike->mem, key);
	map_init(&ike->peer_by_resolve, ike->mem, key);
	map_init(&ike->moving_by_lookup, ike->mem, key);
	map_init(&ike->sa_by_spi, ike->mem, key);
	map_init(&ike->half_open, ike->mem, key);
	map_init(&ike->jobs, ike->mem, key);
	map_init(&ike->child_by_id, ike->mem, key);
	map_init(&ike->child_by_spi, ike->mem, key);
	map_init(&ike->child_by_op, ike->mem, key);
	ike->network.kind = TIMER_NETWORK;
	list_init(&ike->sas);
	list_init(&ike->peers);
	list_init(&ike->in_order);
	list_init(&ike->partners);
	list_init(&ike->partners_todo);
	map_init(&ike->partner_by_key, ike->mem, key);
	list_init(&ike->patterns);
	list_init(&ike->owed);
	list_init(&ike->pools);
	list_init(&ike->asked);
	map_init(&ike->stores, ike->mem, key);
	list_init(&ike->auth_names);
	list_init(&ike->todo);
	list_init(&ike->large);
	list_init(&ike->searches);
	list_init(&ike->steers);
	list_init(&ike->reassembling[0].list);
	list_init(&ike->reassembling[1].list);
	path_mtus_init(ike, key);
	qcd_init(ike, key);
	admit_init(ike, key);
	outbox_init(&ike->out, ike->mem);
}

enum status ike_new(const struct alloc *mem, const struct crypto *crypto,
		    const uint64_t hash_key[2], struct ike_conf *conf, struct now now,
		    struct ike **ret_ike)
{
	struct ike *ike;
	enum status st = table_validate(ike_exchanges, ike_n_exchanges);

	if (st)
		return st;
	ike = mem_new(mem, sizeof(*ike));
	if (!ike)
		return ST_NOMEM;
	ike->mem = mem;
	ike->crypto = *crypto;
	ike->now = now;
	init_tables(ike, hash_key);
	ike->buf = mem_new(mem, IKE_MAX_MESSAGE);
	st = ike->buf ? policy_table_new(mem, NULL, NULL, &ike->claims) : ST_NOMEM;
	if (!st)
		st = peers_configure(ike, conf);
	if (st) {
		ike_free(ike);
		return st;
	}
	*ret_ike = ike;
	return ST_OK;
}

/* Without a word to anybody: no operations, no events that somebody could still read. */
static void drop_sas(struct ike *ike)
{
	ike->shutdown = true;
	while (!list_empty(&ike->sas))
		sa_remove(ike, CONTAINER_OF(ike->sas.next, struct ike_sa, node), "the engine ends");
}

void ike_free(struct ike *ike)
{
	struct ike_out out;

	if (!ike)
		return;
	drop_sas(ike);
	partners_free(ike);
	peers_free(ike);
	stores_free(ike);
	outbox_drop(&ike->out);
	ike->stateless.full = false;
	ike_next(ike, &out); /* frees the output handed out last */
	list_for_each_safe(n, &ike->owed)
		child_free(ike, CONTAINER_OF(n, struct child, node));
	map_done(&ike->peer_by_id);
	map_done(&ike->partner_by_key);
	map_done(&ike->peer_by_ident);
	map_done(&ike->peer_by_addr);
	map_done(&ike->peer_by_resolve);
	offers_done(ike, &ike->offers);
	auth_names_free(ike);
	policy_table_free(ike->claims);
	path_mtus_done(ike);
	steers_free(ike);
	map_done(&ike->moving_by_lookup);
	map_done(&ike->sa_by_spi);
	map_done(&ike->half_open);
	map_done(&ike->jobs);
	qcd_done(ike);
	admit_done(ike);
	map_done(&ike->child_by_id);
	map_done(&ike->child_by_spi);
	map_done(&ike->child_by_op);
	if (ike->buf)
		mem_free_secret(ike->mem, ike->buf, IKE_MAX_MESSAGE);
	ike_conf_unref(ike->conf);
	mem_free_secret(ike->mem, ike, sizeof(*ike));
}

/* ---- datagrams ---------------------------------------------------------------------------- */

bool per_second_take(const struct ike *ike, struct per_second *s, unsigned max)
{
	if (mono_since(ike->now.mono, s->since).ns >= dur_s(1).ns)
		*s = (struct per_second){ ike->now.mono, 0 };
	if (s->n >= max)
		return false;
	s->n++;
	return true;
}

bool stray_allowed(struct ike *ike)
{
	if (per_second_take(ike, &ike->strays, IKE_STRAY_ANSWERS_PER_S))
		return true;
	count(ike, C_STRAY_LIMITED);
	return false;
}

void stateless_send(struct ike *ike, const struct ike_datagram *d, struct bytes msg)
{
	struct ike_out *o = &ike->stateless.out;

	o->kind = IKE_OUT_SEND;
	o->u.send.local = d->local;
	o->u.send.remote = d->remote;
	o->u.send.marker = d->local.port == ike->conf->nat_port;
	o->u.send.keepalive = false;
	o->u.send.data = msg;
	ike->stateless.full = true;
	count(ike, C_TX_DATAGRAMS);
}

struct wire_hdr stray_header(const struct wire_hdr *h)
{
	struct wire_hdr answer = *h;

	answer.version = WIRE_IKE_VERSION;
	answer.flags = (uint8_t)(WIRE_FLAG_RESPONSE |
				 (h->flags & WIRE_FLAG_INITIATOR ? 0 : WIRE_FLAG_INITIATOR));
	return answer;
}

/* A request that no SA of ours takes is answered with an unprotected notify, sparingly and never in
 * answer to a response (RFC 7296 sections 1.5, 2.5). */
static void stray(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		  uint16_t notify)
{
	struct wire_hdr answer = stray_header(h);
	struct wire_out o;
	struct bytes msg;
	uint8_t major = WIRE_IKE_VERSION >> 4;

	if (h->flags & WIRE_FLAG_RESPONSE || ike->silent || ike->stateless.full ||
	    !stray_allowed(ike))
		return;
	wire_ike_begin(&o, ike->stateless.buf, sizeof(ike->stateless.buf), &answer);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), notify,
			notify == WIRE_N_INVALID_MAJOR_VERSION ? bytes_of(&major, 1)
							       : bytes_of(NULL, 0));
	if (wire_ike_end(&o, &msg) == ST_OK)
		stateless_send(ike, d, msg);
}

static bool is_init_request(const struct wire_hdr *h)
{
	return h->exchange == WIRE_IKE_SA_INIT && !(h->flags & WIRE_FLAG_RESPONSE);
}

/* The peer's SPI has to be right too, once it is known. */
static bool belongs(const struct ike_sa *sa, const struct wire_hdr *h)
{
	bool from_initiator = h->flags & WIRE_FLAG_INITIATOR;

	if (from_initiator == sa->initiator)
		return false;
	if (!sa->initiator)
		return sa->spi_i == h->spi_i;
	/* Until IKE_SA_INIT is answered the responder's SPI is unknown (and zero in a refusal). */
	return sa->spi_r == h->spi_r || sa->spi_r == 0;
}

static void for_sa(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h)
{
	uint64_t ours = h->flags & WIRE_FLAG_INITIATOR ? h->spi_r : h->spi_i;
	struct ike_sa *sa = sa_by_spi(ike, ours);

	if (!sa) {
		count(ike, C_UNKNOWN_SPI);
		if (!hint_invalid_spi(ike, d, h) && !qcd_stranger(ike, d, h))
			stray(ike, d, h, WIRE_N_INVALID_IKE_SPI);
	} else if (!belongs(sa, h)) {
		count(ike, C_WRONG_SPI);
	} else {
		sa_input(ike, sa, d, h);
	}
}

static void input(struct ike *ike, const struct ike_datagram *d)
{
	enum wire_fault fault = WIRE_OK;
	struct wire_hdr h = { 0 };

	count(ike, C_RX_DATAGRAMS);
	/* Whatever the answer would be, it could not be sent there. */
	if (!d->remote.port) {
		count(ike, C_NO_PORT);
		return;
	}
	if (wire_ike_parse_hdr(d->data, &h, &fault)) {
		ike->faults[fault]++;
		/* Noise that happens to have a high version there is not worth an answer. */
		if (fault == WIRE_F_VERSION && h.version >> 4 > WIRE_IKE_VERSION >> 4 &&
		    h.length == d->data.n)
			stray(ike, d, &h, WIRE_N_INVALID_MAJOR_VERSION);
		return;
	}
	if (!is_init_request(&h)) {
		for_sa(ike, d, &h);
	} else if (h.spi_i == 0 || h.spi_r != 0 || h.msgid != 0 ||
		   !(h.flags & WIRE_FLAG_INITIATOR)) {
		count(ike, C_BAD_INIT);
	} else {
		init_r_request(ike, d, &h);
	}
}

void ike_input(struct ike *ike, struct now now, const struct ike_datagram *d)
{
	enter(ike, now);
	input(ike, d);
	leave(ike);
}

/* ---- everything else ---------------------------------------------------------------------- */

void ike_dp(struct ike *ike, struct now now, const struct dp_report *r)
{
	enter(ike, now);
	if (r->kind == DP_REPORT_ACQUIRE)
		peer_acquire(ike, r);
	else if (r->kind == DP_REPORT_SILENT || r->kind == DP_REPORT_CEASED)
		liveness_silent(ike, r);
	else if (r->kind == DP_REPORT_UNKNOWN_SPI)
		hint_unknown_esp(ike, r);
	else if (r->kind == DP_REPORT_UNREACHABLE)
		hint_unreachable(ike, &r->u.unreachable.remote.ip);
	else if (r->kind == DP_REPORT_PMTU)
		path_mtu_learn(ike, &r->u.pmtu.remote.ip, r->u.pmtu.mtu, r->u.pmtu.ours);
	else if (r->kind == DP_REPORT_PROBE)
		mtu_search_wanted(ike, r);
	else
		child_report(ike, r);
	leave(ike);
}

void ike_timer(struct ike *ike, struct now now)
{
	struct timer *t;

	enter(ike, now);
	while ((t = heap_pop_due(&ike->timers, now.mono))) {
		if (t->kind == TIMER_RETRY)
			peer_timer(ike, t);
		else if (t->kind == TIMER_CHILD)
			child_timer(ike, t);
		else if (t->kind == TIMER_REASSEMBLY)
			reassembly_timer(ike, t);
		else if (t->kind == TIMER_LOAD)
			load_timer(ike);
		else if (t->kind == TIMER_NETWORK)
			network_timer(ike);
		else if (t->kind == TIMER_ASKED)
			words_timer(ike, t);
		else if (t->kind == TIMER_PARTNER)
			partner_due(ike, t);
		else if (t->kind == TIMER_ATTACH)
			attach_timer(ike);
		else
			sa_timer(ike, t);
	}
	leave(ike);
}

void ike_job_done(struct ike *ike, struct now now, uint64_t job, const struct crypto_result *r)
{
	enter(ike, now);
	if (!qcd_result(ike, job, r))
		attempt_result(ike, job, r);
	leave(ike);
}

void ike_resolved(struct ike *ike, struct now now, uint64_t resolve,
		  const struct ike_address *addrs, size_t n)
{
	enter(ike, now);
	if (!network_resolved(ike, resolve, addrs, n))
		peer_resolved(ike, resolve, addrs, n);
	leave(ike);
}

void ike_network(struct ike *ike, struct now now, const struct ip *own, size_t n)
{
	enter(ike, now);
	network_changed(ike, own, n);
	leave(ike);
}

void ike_stored(struct ike *ike, struct now now, uint64_t id, enum status st)
{
	enter(ike, now);
	lease_stored(ike, id, st);
	leave(ike);
}

enum status ike_lease_load(struct ike *ike, const struct ike_lease *l)
{
	return lease_load(ike, l);
}

enum status ike_reconfigure(struct ike *ike, struct now now, struct ike_conf *conf)
{
	enum status st;

	enter(ike, now);
	st = peers_configure(ike, conf);
	if (st != ST_OK)
		count(ike, C_NO_MEMORY);
	leave(ike);
	return st;
}

enum status ike_ask(struct ike *ike, struct now now, ike_peer_id peer, const struct ike_word *word,
		    uint64_t *ret_id)
{
	enum status st;

	enter(ike, now);
	st = words_ask(ike, peer, word, ret_id);
	leave(ike);
	return st;
}

void ike_answer(struct ike *ike, struct now now, uint64_t id, const struct ike_word *word)
{
	enter(ike, now);
	words_answer(ike, id, word);
	leave(ike);
}

enum status ike_hubs(struct ike *ike, struct now now, ike_peer_id section,
		     const struct ike_hub_place *at, size_t n)
{
	struct peer *p = peer_by_id(ike, section);
	enum status st;

	if (!p || !p->section || p->removed || p->conf->role != IKE_ROLE_HUB)
		return ST_INVAL;
	enter(ike, now);
	st = peer_learns(ike, p, at, n);
	leave(ike);
	return st;
}

/* ---- partners ----------------------------------------------------------------------------- */

enum status ike_partner_add(struct ike *ike, struct now now, const struct ike_partner *p,
			    ike_peer_id *ret_peer)
{
	enum status st;

	enter(ike, now);
	st = partner_add(ike, p, ret_peer);
	leave(ike);
	return st;
}

void ike_partner_measured(struct ike *ike, struct now now, ike_peer_id peer, dur_t rtt)
{
	enter(ike, now);
	partner_measured(peer_by_id(ike, peer), rtt);
	leave(ike);
}

enum status ike_partner_connect(struct ike *ike, struct now now, ike_peer_id peer,
				const struct endpoint *local, const struct endpoint *remote)
{
	enum status st;

	enter(ike, now);
	st = partner_connect(ike, peer_by_id(ike, peer), local, remote);
	leave(ike);
	return st;
}

void ike_partner_drop(struct ike *ike, struct now now, ike_peer_id peer, const char *why)
{
	enter(ike, now);
	partner_drop(ike, peer_by_id(ike, peer), why);
	leave(ike);
}

/* ---- commands ----------------------------------------------------------------------------- */

static void shut_down(struct ike *ike)
{
	ike->shutdown = true;
	list_for_each_safe(n, &ike->sas)
		sa_delete(ike, CONTAINER_OF(n, struct ike_sa, node), "shutting down");
}

static enum status connect(struct ike *ike, struct peer *p)
{
	if (!p || !p->section || peer_names(p) == 0)
		return ST_INVAL;
	p->section->wanted = true;
	peer_connect(ike, p);
	return ST_OK;
}

static enum status rekey_children(struct ike *ike, struct ike_sa *sa)
{
	enum status st = ST_INVAL;

	list_for_each(n, &sa->children) {
		child_want_rekey(ike, CONTAINER_OF(n, struct child, node));
		st = ST_OK;
	}
	return st;
}

/* Of all that are up; ST_INVAL: there is none. */
static enum status rekey_all(struct ike *ike, struct peer *p, bool children)
{
	enum status st = ST_INVAL;

	if (!p)
		return st;
	list_for_each(n, &p->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa->state != SA_UP)
			continue;
		if (!children)
			sa_want_rekey(ike, sa);
		if (!children || rekey_children(ike, sa) == ST_OK)
			st = ST_OK;
	}
	return st;
}

static enum status about_sa(struct ike *ike, const struct ike_cmd *cmd)
{
	struct ike_sa *sa = sa_by_id(ike, cmd->sa);

	if (!sa || sa->state != SA_UP)
		return ST_INVAL;
	if (cmd->kind == IKE_CMD_REKEY_SA)
		sa_want_rekey(ike, sa);
	else
		sa_delete(ike, sa, "taken down by the operator");
	return ST_OK;
}

static enum status about_child(struct ike *ike, const struct ike_cmd *cmd)
{
	struct child *c = child_by_id(ike, cmd->child);

	if (!c || c->state != CHILD_UP)
		return ST_INVAL;
	if (cmd->kind == IKE_CMD_REKEY_CHILD)
		child_want_rekey(ike, c);
	else
		child_want_delete(ike, c, "taken down by the operator");
	return ST_OK;
}

/* A hub cannot ask for what its member wants. */
static enum status more_children(struct ike *ike, struct peer *p)
{
	if (!p || p->conf->role == IKE_ROLE_MEMBERS || !p->conf->ts_remote.n)
		return ST_INVAL;
	list_for_each(n, &p->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa->state != SA_UP)
			continue;
		sa_want_child(ike, sa);
		return ST_OK;
	}
	return ST_INVAL;
}

static enum status command(struct ike *ike, const struct ike_cmd *cmd)
{
	struct peer *p = peer_by_id(ike, cmd->peer);

	switch (cmd->kind) {
	case IKE_CMD_SHUTDOWN: shut_down(ike); return ST_OK;
	case IKE_CMD_UP: return connect(ike, p);
	case IKE_CMD_DOWN:
		if (!p)
			return ST_INVAL;
		peer_down(ike, p, "taken down by the operator");
		return ST_OK;
	case IKE_CMD_REKEY_SA: return cmd->sa ? about_sa(ike, cmd) : rekey_all(ike, p, false);
	case IKE_CMD_REKEY_CHILD:
		return cmd->child ? about_child(ike, cmd) : rekey_all(ike, p, true);
	case IKE_CMD_DOWN_SA: return about_sa(ike, cmd);
	case IKE_CMD_DOWN_CHILD: return about_child(ike, cmd);
	case IKE_CMD_NEW_CHILD: return more_children(ike, p);
	case IKE_CMD_REDIRECT:
	case IKE_CMD_REDIRECT_OFF: return steer_command(ike, cmd);
	}
	return ST_INVAL;
}

enum status ike_command(struct ike *ike, struct now now, const struct ike_cmd *cmd)
{
	enum status st;

	enter(ike, now);
	st = command(ike, cmd);
	leave(ike);
	return st;
}

bool ike_idle(const struct ike *ike)
{
	return list_empty(&ike->sas);
}

mono_t ike_deadline(const struct ike *ike)
{
	return heap_next_due(&ike->timers);
}
