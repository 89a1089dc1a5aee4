/*
 * reload.c - another configuration while SAs are up.
 *
 * What did not change stays as it is: no SA, child, timer or datagram of a peer whose section says
 * what it said before.  What changed is looked at per SA:
 *
 *	who it is		revoked, no longer trusted, no longer of that name, no hub any more:
 *				the SA goes at once.
 *	what it would become	other proposals, selectors, names, another certificate of ours: who
 *				made the SA makes another, which takes its place when it is up. What
 *				is not allowed any more goes even if that fails.
 *	what it may carry	as the responder: a child outside of what the peer may have now is
 *				deleted, and the peer asks again.  One inside stays.
 *
 * Everything that can fail comes before anything changes: a reload is done or it is not.
 */
#include "ike/inner.h"
#include "ike/partner.h"

/* What differs between two configurations of one section. */
enum change {
	CH_JUDGE = 1 << 0, /* what the peer is judged by */
	CH_OURS = 1 << 1, /* what we prove ourselves with */
	CH_TERMS = 1 << 2, /* what is negotiated, and where */
	CH_NAMES = 1 << 3, /* where the peer is looked for */
	CH_SELECTORS = 1 << 4,
	CH_TIMERS = 1 << 5,
	CH_START = 1 << 6,
	CH_LIFE = 1 << 7,
	CH_INNER = 1 << 8, /* inner addresses that we ask for */
};

/* ---- comparing ---------------------------------------------------------------------------- */

static bool ts_eq(const struct wire_ts *a, const struct wire_ts *b)
{
	return a->proto == b->proto && a->port_start == b->port_start &&
	       a->port_end == b->port_end && ip_eq(&a->start, &b->start) && ip_eq(&a->end, &b->end);
}

static bool ts_list_eq(const struct wire_ts_list *a, const struct wire_ts_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!ts_eq(&a->ts[i], &b->ts[i]))
			return false;
	return true;
}

static bool same_bytes(const struct policy_ident *a, const struct policy_ident *b)
{
	return a->type == b->type && bytes_eq(a->data, b->data);
}

/* As many names from the first on are the same. */
static size_t same_names(const struct ike_peer_conf *a, const struct ike_peer_conf *b)
{
	size_t n = 0;

	while (n < a->n_addresses && n < b->n_addresses &&
	       strcmp(a->addresses[n], b->addresses[n]) == 0)
		n++;
	return n;
}

/* Limits by bytes and packets are the data plane's: they hold for what comes next. */
static bool life_eq(const struct ike_life *a, const struct ike_life *b)
{
	return a->ike_soft.ns == b->ike_soft.ns && a->ike_hard.ns == b->ike_hard.ns &&
	       a->child_soft.ns == b->child_soft.ns && a->child_hard.ns == b->child_hard.ns &&
	       a->reauth.ns == b->reauth.ns && a->outlive_certs == b->outlive_certs;
}

static unsigned compare(const struct ike_peer_conf *a, const struct ike_peer_conf *b)
{
	size_t names = same_names(a, b);
	unsigned ch = 0;

	if (a->role != b->role || a->auth != b->auth || peer_is_pattern(a) != peer_is_pattern(b) ||
	    memcmp(a->peer_digest, b->peer_digest, sizeof(a->peer_digest)) != 0)
		ch |= CH_JUDGE;
	if (!same_bytes(&a->local_id, &b->local_id) ||
	    memcmp(a->own_digest, b->own_digest, sizeof(a->own_digest)) != 0)
		ch |= CH_OURS;
	if (!proposals_eq(&a->ike, &b->ike) || !proposals_eq(&a->esp, &b->esp) ||
	    a->port != b->port || a->fragmentation != b->fragmentation || a->mobike != b->mobike ||
	    a->nats_allowed != b->nats_allowed || a->capabilities != b->capabilities ||
	    a->direct != b->direct || !ts_list_eq(&a->relayed, &b->relayed))
		ch |= CH_TERMS;
	if (names != a->n_addresses || names != b->n_addresses)
		ch |= CH_NAMES;
	if (!ts_list_eq(&a->ts_local, &b->ts_local) || !ts_list_eq(&a->ts_remote, &b->ts_remote))
		ch |= CH_SELECTORS;
	if (a->dpd_delay.ns != b->dpd_delay.ns || a->keepalive.ns != b->keepalive.ns)
		ch |= CH_TIMERS;
	if (a->ask_v4 != b->ask_v4 || a->ask_v6 != b->ask_v6 || !ip_eq(&a->ask[0], &b->ask[0]) ||
	    !ip_eq(&a->ask[1], &b->ask[1]))
		ch |= CH_INNER;
	if (!life_eq(&a->life, &b->life))
		ch |= CH_LIFE;
	if (a->start != b->start)
		ch |= CH_START;
	return ch;
}

/* ---- SAs that are up ---------------------------------------------------------------------- */

/* Whether the other end is still somebody that this configuration accepts: what is not. */
static enum ike_reason unwelcome(const struct ike_sa *sa, unsigned changes, struct text *why)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	const char *revoked = cred_revoked(conf, sa->cred);

	if (revoked) {
		policy_ident_text(why, &sa->remote_id);
		text_fmt(why, ": its %s is revoked", revoked);
		return IKE_R_REVOKED;
	}
	if (changes & CH_JUDGE) {
		text_add(why, "reload: its pre-shared key or trust anchors have changed");
		return conf->auth == IKE_AUTH_PSK ? IKE_R_KEY : IKE_R_CERTIFICATE;
	}
	if (!policy_ident_match(&conf->remote_id, &sa->remote_id)) {
		text_add(why, "reload: it calls itself ");
		policy_ident_text(why, &sa->remote_id);
		text_add(why, ", configured is ");
		policy_ident_text(why, &conf->remote_id);
		return IKE_R_IDENTITY;
	}
	if (conf->role != IKE_ROLE_HUB || hub_accepted(conf, &sa->remote_id, sa->cred, why))
		return IKE_R_NONE;
	return IKE_R_IDENTITY;
}

/* Whether the child lies in what both ends may have by this configuration. */
static bool still_allowed(struct ike *ike, const struct child *c, struct text *why)
{
	const struct ike_sa *sa = c->sa;
	const struct ike_peer_conf *conf = sa->peer->conf;
	struct wire_ts_list remote;
	struct arena ar;
	enum status st;
	bool ok = true;

	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	if (conf->role == IKE_ROLE_MEMBERS)
		st = member_authorise(&ar, sa->peer, &sa->remote_id, sa->cred, why, &remote);
	else
		st = fixed_authorise(&ar, sa->peer, &sa->remote_id, &remote);
	/* Without memory for asking, what was allowed stays so until the next time. */
	ok = st != ST_REFUSE && (conf->role != IKE_ROLE_PARTNER ||
				 partner_may_source(sa->peer, sa->cred, &c->ts_remote, why));
	if (st == ST_NOMEM) {
		count(ike, C_NO_MEMORY);
		remote = c->ts_remote;
	}
	ok = ok && policy_ts_subset(&c->ts_local, inner_i_local(sa->peer)) &&
	     policy_ts_subset(&c->ts_remote, &remote);
	if (ok && conf->role == IKE_ROLE_HUB)
		ok = hub_may_source(conf, sa->cred, &c->ts_remote, why);
	arena_done(&ar);
	return ok;
}

/* The peer hears of it and asks again. */
static void revoke_child(struct ike *ike, struct child *c, const char *by)
{
	static const char why[] = "reload: its selectors are no longer allowed";
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "%s: ", why);
	policy_ts_list_text(&t, &c->ts_local);
	text_add(&t, " === ");
	policy_ts_list_text(&t, &c->ts_remote);
	if (by[0])
		text_fmt(&t, "; %s", by);
	peer_error(ike, c->sa->peer, buf);
	child_want_delete(ike, c, buf);
}

/* Who made the SA can make another one in its place. */
static bool can_renew(const struct ike_sa *sa)
{
	return sa->called && sa->peer->section && !sa->peer->removed &&
	       peer_names(sa->peer) > 0;
}

/* True when the SA is one that would not be made today. */
static bool check_children(struct ike *ike, struct ike_sa *sa)
{
	bool outside = false;

	list_for_each_safe(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);
		char by[IKE_EVENT_TEXT_MAX];
		struct text why = TEXT_OF(by);

		if (still_allowed(ike, c, &why))
			continue;
		outside = true;
		if (!can_renew(sa))
			revoke_child(ike, c, by);
		if (sa->state != SA_UP)
			break;
	}
	return outside;
}

static void refuse_sa(struct ike *ike, struct ike_sa *sa, enum ike_reason reason, const char *why)
{
	struct peer *p = sa->peer;

	peer_error(ike, p, why);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = reason }, "%s",
		   why);
	partner_useless(ike, sa, reason, why);
	sa_delete(ike, sa, why);
	/* Who wants it connects anew, and hears from the other end what it thinks of that. */
	if (p->section && p->conf->start != IKE_START_LISTEN)
		peer_connect(ike, p);
}

/* Of the SA, and of the one that the peer's rekey made, should that be the one that lives. */
static bool suites_allowed(const struct ike_sa *sa)
{
	const struct ike_peer_conf *conf = sa->peer->conf;

	return suite_allowed(conf, &sa->suite) &&
	       (!sa->successor || suite_allowed(conf, &sa->successor->suite));
}

static bool would_differ(const struct ike_sa *sa, unsigned changes)
{
	const struct section *s = sa->peer->section;

	if (changes & (CH_OURS | CH_TERMS | CH_SELECTORS) ||
	    (changes & CH_INNER && (inner_i_asks(sa->peer->conf) || s->inner)))
		return true;
	return changes & CH_NAMES && sa->name_index >= s->same_names;
}

static void rejudge(struct ike *ike, struct ike_sa *sa, unsigned changes)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum ike_reason reason;
	bool outside;

	if (sa->state != SA_UP)
		return;
	reason = unwelcome(sa, changes, &why);
	if (reason) {
		refuse_sa(ike, sa, reason, buf);
		return;
	}
	if (conf->ppk_required && !sa->ppk && !can_renew(sa)) {
		refuse_sa(ike, sa, IKE_R_KEY,
			  "reload: a post-quantum pre-shared key is required, and it has none");
		return;
	}
	if (!suites_allowed(sa) && !can_renew(sa)) {
		refuse_sa(ike, sa, IKE_R_PROPOSAL,
			  "reload: its algorithms are configured no longer");
		return;
	}
	if (changes & CH_TIMERS)
		sa_reconfigured(ike, sa);
	if (changes & CH_LIFE)
		life_reconfigured(ike, sa);
	outside = check_children(ike, sa);
	if (sa->state == SA_UP && lease_is_stray(sa))
		life_demand(ike, sa, dur_s(IKE_STRAY_S));
	if (sa->state != SA_UP || !can_renew(sa))
		return;
	sa->stale = outside || !suites_allowed(sa) || (conf->ppk_required && !sa->ppk);
	if (sa->stale || would_differ(sa, changes))
		sa->peer->section->renew = true;
}

static void rejudge_all(struct ike *ike, struct peer *p, unsigned changes)
{
	list_for_each_safe(n, &p->sas)
		rejudge(ike, CONTAINER_OF(n, struct ike_sa, peer_node), changes);
}

/* ---- sections ------------------------------------------------------------------------------ */

/* Our own attempt asks for what nobody wants any more: once more, from the beginning. */
static bool restart_attempt(struct ike *ike, struct peer *p, unsigned changes)
{
	const unsigned any = CH_JUDGE | CH_OURS | CH_TERMS | CH_NAMES | CH_SELECTORS | CH_INNER;
	struct section *s = p->section;
	bool looking = s->resolve && !s->lookup_only;
	bool connecting = s->connecting;

	if (changes & CH_NAMES) {
		peer_forget_addresses(ike, p);
		redirect_forget(p);
	}
	if (connecting && changes & any)
		sa_delete(ike, s->connecting, "the configuration changed");
	return (connecting && changes & any) || (looking && changes & CH_NAMES);
}

static void resume(struct ike *ike, struct peer *p)
{
	struct section *s = p->section;
	unsigned changes = s->changes;
	bool again;

	if (changes & (CH_SELECTORS | CH_INNER) || p->conf->start == IKE_START_LISTEN ||
	    peer_names(p) == 0)
		peer_untrap(ike, p);
	rejudge_all(ike, p, changes);
	list_for_each_safe(n, &s->instances)
		rejudge_all(ike, CONTAINER_OF(n, struct peer, node), changes);
	again = restart_attempt(ike, p, changes);
	/* An operator who took it down does not want it up for an unrelated change. */
	if (changes & CH_START)
		s->wanted = p->conf->start == IKE_START_UP;
	if (changes & ~(unsigned)(CH_TIMERS | CH_LIFE)) {
		s->failures = 0;
		heap_disarm(&ike->timers, &s->retry);
	}
	peer_start(ike, p);
	if (again)
		peer_connect(ike, p);
}

static void first_start(struct ike *ike, struct peer *p)
{
	p->section->wanted = p->conf->start == IKE_START_UP;
	peer_start(ike, p);
}

/* A partner is what its network says, which it does still, or not: then it is nobody's to keep, and
 * may be suggested anew. */
static void rejudge_partner(struct ike *ike, struct peer *p)
{
	const unsigned any = CH_JUDGE | CH_OURS | CH_TERMS | CH_SELECTORS;
	struct partner *pt = partner_of(p);
	const struct peer *net = peer_by_id(ike, pt->network->id);
	const struct ike_peer_conf *to = net ? net->conf : NULL;
	unsigned changes = to ? compare(pt->network, to) : any;

	/* Partners announce nothing to each other. */
	if (to && pt->network->capabilities != to->capabilities) {
		struct ike_peer_conf same = *to;

		same.capabilities = pt->network->capabilities;
		changes = compare(pt->network, &same);
	}

	if (!to) {
		partner_disowned(ike, p, "reload: its network is removed from the configuration");
		return;
	}
	if (changes & any || !ts_list_eq(&pt->network->domain, &to->domain)) {
		partner_disowned(ike, p, "reload: its network is configured otherwise");
		return;
	}
	partner_adopt(pt, net->section->owner, to);
	rejudge_all(ike, p, changes & (CH_TIMERS | CH_LIFE));
}

/* A section that is no longer there says goodbye. */
static void retire(struct ike *ike, struct peer *p)
{
	peer_untrap(ike, p);
	p->removed = true;
	leases_close(ike, p->section);
	peer_unnumber(ike, p);
	if (!p->under)
		peer_unindex(ike, p);
	peer_forget_addresses(ike, p);
	if (list_empty(&p->sas) && list_empty(&p->section->instances))
		peer_free(ike, p);
	else
		peer_down(ike, p, "removed from the configuration");
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* What a reload needs, made before anything changes. */
struct reload {
	struct ike_conf *conf;
	struct list added; /* sections that there were not, linked to nothing */
	struct offers offers;
};

static void give_up(struct ike *ike, struct reload *r)
{
	list_for_each(n, &ike->peers)
		leases_forget(CONTAINER_OF(n, struct peer, node)->section);
	list_for_each_safe(n, &r->added)
		peer_free(ike, CONTAINER_OF(n, struct peer, node));
	offers_done(ike, &r->offers);
}

/* For sections that there were, `next` is set. */
static enum status prepare(struct ike *ike, struct reload *r)
{
	list_for_each(n, &ike->peers)
		CONTAINER_OF(n, struct peer, node)->section->next = NULL;
	for (size_t i = 0; i < r->conf->n_peers; i++) {
		struct peer *p = peer_by_id(ike, r->conf->peers[i].id);

		if (p) {
			p->section->next = &r->conf->peers[i];
			if (leases_prepare(ike, p->section, p->section->next))
				return ST_NOMEM;
			continue;
		}
		p = peer_new(ike, r->conf, &r->conf->peers[i]);
		if (!p)
			return ST_NOMEM;
		list_add_tail(&r->added, &p->node);
		if (leases_prepare(ike, p->section, p->conf))
			return ST_NOMEM;
	}
	return offers_collect(ike, r->conf, &r->offers);
}

static void adopt(struct ike *ike, struct peer *p, struct ike_conf *conf)
{
	struct section *s = p->section;
	struct ike_conf *old = s->owner;

	s->changes = compare(p->conf, s->next);
	s->same_names = same_names(p->conf, s->next);
	/* What it is known by belongs to the old configuration, unless it was proven. */
	if (!peer_is_pattern(s->next))
		peer_unbind(ike, p);
	if (!p->under) {
		peer_unindex(ike, p);
		p->ident = (struct policy_ident){ 0 };
	}
	s->owner = ike_conf_ref(conf);
	p->conf = s->next;
	p->name = p->conf->name;
	list_for_each(n, &s->instances)
		CONTAINER_OF(n, struct peer, node)->conf = p->conf;
	leases_commit(ike, s);
	ike_conf_unref(old);
}

static void link_peer(struct ike *ike, struct peer *p)
{
	list_del(&p->node);
	list_add_tail(&ike->peers, &p->node);
	peer_number(ike, p);
	leases_commit(ike, p->section);
}

/* How it is found by those who call us; a hub is not. */
static void index_section(struct ike *ike, struct peer *p, const struct offer *offer)
{
	list_del(&p->section->pattern_node);
	p->section->offer = offer;
	if (!offer)
		return;
	ike->n_callable++;
	if (peer_is_pattern(p->conf)) {
		list_add_tail(&ike->patterns, &p->section->pattern_node);
	} else if (!p->under) {
		p->ident = p->conf->remote_id;
		peer_index(ike, p);
	}
}

static bool known_anchor(const struct ike *ike, const uint8_t *hash)
{
	for (size_t i = 0; i < ike->certreq.n; i++)
		if (!memcmp(ike->certreq.hashes + IKE_ANCHOR_LEN * i, hash, IKE_ANCHOR_LEN))
			return true;
	return false;
}

static void add_anchors(struct ike *ike, struct bytes b)
{
	ike->certreq.wanted = true;
	for (; b.n >= IKE_ANCHOR_LEN && ike->certreq.n < IKE_MAX_ANCHORS;
	     b = bytes_of(b.p + IKE_ANCHOR_LEN, b.n - IKE_ANCHOR_LEN))
		if (!known_anchor(ike, b.p))
			memcpy(ike->certreq.hashes + IKE_ANCHOR_LEN * ike->certreq.n++, b.p,
			       IKE_ANCHOR_LEN);
}

/* Everything that is found by something; and the trust anchors of all that may call us, each once:
 * nobody learns from us whom we trust as our hubs. */
static void index_all(struct ike *ike, const struct ike_conf *conf)
{
	ike->certreq.wanted = false;
	ike->certreq.n = 0;
	ike->n_callable = 0;
	ike->fragments = ike->any_ppk = ike->childless = ike->any_qcd = false;
	for (size_t i = 0; i < conf->n_peers; i++) {
		const struct ike_peer_conf *c = &conf->peers[i];

		index_section(ike, peer_by_id(ike, c->id), ike->offers.of[i]);
		if (!ike_may_call(c))
			continue;
		ike->fragments |= c->fragmentation;
		ike->any_ppk |= c->ppk != 0;
		ike->childless |= c->childless != IKE_CHILDLESS_NEVER;
		ike->any_qcd |= c->qcd;
		if (c->auth == IKE_AUTH_CERT)
			add_anchors(ike, c->trust_hashes);
	}
	ike->silent = conf->n_peers > 0 && ike->n_callable == 0;
}

static void commit(struct ike *ike, struct reload *r)
{
	struct ike_conf *old = ike->conf;

	ike->conf = ike_conf_ref(r->conf);
	offers_done(ike, &ike->offers);
	ike->offers = r->offers;
	list_for_each_safe(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (p->removed)
			continue;
		if (p->section->next)
			adopt(ike, p, r->conf);
		else
			retire(ike, p);
	}
	list_for_each_safe(n, &r->added)
		link_peer(ike, CONTAINER_OF(n, struct peer, node));
	index_all(ike, r->conf);
	ike->steer_common = steer_common(r->conf);
	leases_settle(ike, !old);
	ike_conf_unref(old);
}

enum status peers_configure(struct ike *ike, struct ike_conf *conf)
{
	struct reload r = { .conf = conf };
	enum status st;

	list_init(&r.added);
	st = prepare(ike, &r);
	if (st) {
		give_up(ike, &r);
		return st;
	}
	commit(ike, &r);
	list_for_each_safe(n, &ike->partners) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (!p->removed)
			rejudge_partner(ike, p);
	}
	list_for_each_safe(n, &ike->peers) {
		struct peer *p = CONTAINER_OF(n, struct peer, node);

		if (p->removed)
			continue;
		if (p->section->next)
			resume(ike, p);
		else
			first_start(ike, p);
	}
	attach_reconfigured(ike);
	return ST_OK;
}
