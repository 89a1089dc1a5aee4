/*
 * mobike.c - MOBIKE (RFC 4555): what both ends say in IKE_AUTH, and the requests.
 *
 *	HDR, SK {N(UPDATE_SA_ADDRESSES), [N(NAT_DETECTION_*),] [N(ADDITIONAL_*_ADDRESS),]
 *		 [N(NO_NATS_ALLOWED),] [N(COOKIE2)]}  -->		who called moves (3.5)
 *			<--  HDR, SK {[N(NAT_DETECTION_*),] [N(COOKIE2)]}
 *
 *	HDR, SK {N(ADDITIONAL_*_ADDRESS) | N(NO_ADDITIONAL_ADDRESSES)}  -->	either (3.6)
 *	HDR, SK {N(COOKIE2)}  -->		are you there? Who was called (3.7)
 *	HDR, SK {N(NAT_DETECTION_*)}  -->	has my mapping changed? Who called (3.8)
 *
 * Who called, through all rekeys (`called`), decides where the SA is.  It moves at once, with the
 * packets of its children and with the request in flight, and says so as soon as the window is
 * free; only the newest place counts, so an answer to what went out before it moved again says
 * nothing.  move_r.c has the other side, moving.c what both do with the data plane, network.c why.
 */
#include "ike/partner.h"

/* ---- notifies ------------------------------------------------------------------------------ */

static void put(struct wire_out *o, uint16_t type, struct bytes data)
{
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), type, data);
}

/* Those of our addresses that are not in use already.  Returns how many. */
static unsigned put_addresses(const struct ike *ike, const struct path *path, struct wire_out *o)
{
	unsigned n = 0;

	for (size_t i = 0; i < ike->n_own && n < IKE_MAX_TOLD; i++) {
		const struct ip *ip = &ike->own[i];

		if (ip_eq(ip, &path->local.ip))
			continue;
		put(o,
		    ip->family == 4 ? WIRE_N_ADDITIONAL_IP4_ADDRESS : WIRE_N_ADDITIONAL_IP6_ADDRESS,
		    ip_raw(ip));
		n++;
	}
	return n;
}

static void put_all_addresses(const struct ike *ike, const struct path *path, struct wire_out *o)
{
	if (!put_addresses(ike, path, o))
		put(o, WIRE_N_NO_ADDITIONAL_ADDRESSES, bytes_of(NULL, 0));
}

/* Section 4.2.6: source and destination address, source and destination port. */
static struct bytes no_nats(const struct endpoint *from, const struct endpoint *to,
			    uint8_t buf[static 36])
{
	struct wr w = wr_of(buf, 36);

	wr_put(&w, ip_raw(&from->ip));
	wr_put(&w, ip_raw(&to->ip));
	wr_u16(&w, from->port);
	wr_u16(&w, to->port);
	return wr_bytes_of(&w);
}

static void put_no_nats(const struct ike_peer_conf *conf, const struct path *path,
			struct wire_out *o)
{
	uint8_t buf[36];

	/* Section 3.9: nor where the other end does no NAT traversal. */
	if (!conf->nats_allowed || !path->natt)
		put(o, WIRE_N_NO_NATS_ALLOWED, no_nats(&path->local, &path->remote, buf));
}

bool mobike_nat_free(const struct wire_payloads *p, const struct path *path)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_NO_NATS_ALLOWED);
	uint8_t buf[36];

	return !n || bytes_eq(n->data, no_nats(&path->remote, &path->local, buf));
}

/* ---- IKE_AUTH ------------------------------------------------------------------------------ */

void mobike_put_first(const struct ike *ike, const struct ike_peer_conf *conf,
		      const struct path *path, struct wire_out *o)
{
	if (!conf->mobike)
		return;
	put(o, WIRE_N_MOBIKE_SUPPORTED, bytes_of(NULL, 0));
	(void)put_addresses(ike, path, o);
	put_no_nats(conf, path, o);
}

bool mobike_translated(const struct ike_peer_conf *conf, const struct path *path,
		       const struct path *came, const struct wire_payloads *p, struct text *why)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];
	bool forbidden = !conf->nats_allowed && (path->nat_local || path->nat_remote);

	if (!forbidden && (!p || !conf->mobike || mobike_nat_free(p, came)))
		return false;
	text_fmt(why, "addresses are changed between us, at %s, and the peer, as we see it at %s; ",
		 endpoint_text(&came->local, local), endpoint_text(&came->remote, remote));
	text_add(why, forbidden ? "nat = no here" : "it does not allow that (NO_NATS_ALLOWED)");
	return true;
}

bool mobike_supported(const struct wire_payloads *p)
{
	return wire_find_notify(p, WIRE_N_MOBIKE_SUPPORTED) != NULL;
}

/* ---- our requests -------------------------------------------------------------------------- */

/* 10/8, 172.16/12, 192.168/16 (RFC 1918), 100.64/10 (RFC 6598). */
static bool is_private(const struct ip *ip)
{
	static const struct prefix private[] = {
		{ { 4, { 10 } }, 8 },
		{ { 4, { 172, 16 } }, 12 },
		{ { 4, { 192, 168 } }, 16 },
		{ { 4, { 100, 64 } }, 10 },
	};

	for (size_t i = 0; i < ARRAY_LEN(private); i++)
		if (prefix_has(&private[i], ip))
			return true;
	return false;
}

void mobike_old_too(struct ike *ike, const struct ike_sa *sa)
{
	struct ike_sa *old = sa->predecessor;
	bool update = sa->moving && sa->moving->update.on;

	if (!old || old->state != SA_REPLACED || !(update || sa->announce))
		return;
	old->path = sa->path;
	request_moves(ike, old);
	if (!update)
		old->announce = true;
	else if (moving_get(ike, old))
		old->moving->update.on = true;
	agenda_soon(ike, old);
}

/* `path`, from and to elsewhere. */
static struct path placed(const struct path *path, const struct endpoint *local,
			  const struct endpoint *remote)
{
	struct path to = *path;

	to.local = *local;
	to.remote = *remote;
	/* Section 3.5: a NAT is likely, so packets go as if there were one until we know. */
	if (to.floated && is_private(&local->ip) && !is_private(&remote->ip))
		to.encap = true;
	return to;
}

static void going(struct ike *ike, struct ike_sa *sa, const struct path *to, const char *why)
{
	moving_to(ike, sa, to, why);
	sa->moving->away = false;
	sa->moving->update = (struct wish){ .on = true };
	mobike_old_too(ike, sa);
	agenda_soon(ike, sa);
}

void mobike_go(struct ike *ike, struct ike_sa *sa, const struct endpoint *local,
	       const struct endpoint *remote, const char *why)
{
	struct path to = placed(&sa->path, local, remote);

	if (!moving_get(ike, sa))
		return;
	going(ike, sa, &to, why);
	request_moves(ike, sa);
}

bool mobike_urgent(const struct ike *ike, const struct ike_sa *sa)
{
	const struct moving *m = sa->moving;

	return m && !m->away && (wish_due(ike, &m->update) || m->check);
}

bool mobike_wants(const struct ike *ike, const struct ike_sa *sa, bool unproven)
{
	const struct moving *m = sa->moving;

	if (m && wish_due(ike, &m->update))
		return true;
	if (sa->state == SA_REPLACED)
		return sa->announce;
	if (unproven || sa->state != SA_UP)
		return false;
	/* While we look where it goes there may be something better to say in a moment. */
	return mobike_urgent(ike, sa) || (sa->announce && !(m && m->lookup));
}

static void put_request(struct ike *ike, struct ike_sa *sa, enum moving_request what,
			struct wire_out *o)
{
	const struct ike_peer_conf *conf = sa->peer->conf;

	if (what == MOVING_UPDATE) {
		put(o, WIRE_N_UPDATE_SA_ADDRESSES, bytes_of(NULL, 0));
		if (sa->path.natt && natd_wanted(ike, conf))
			natd_put(ike, sa, &sa->path, o);
	}
	if (sa->announce && what != MOVING_CHECK)
		put_all_addresses(ike, &sa->path, o);
	if (what != MOVING_CHECK)
		put_no_nats(conf, &sa->path, o);
}

/* Before it is known that it went out. */
static void put_cookie(struct ike *ike, struct moving *m, struct wire_out *o)
{
	ike->crypto.ops->random(ike->crypto.ctx, m->cookie, sizeof(m->cookie));
	put(o, WIRE_N_COOKIE2, BYTES_OF(m->cookie));
}

static enum moving_request next_request(const struct ike *ike, const struct ike_sa *sa)
{
	const struct moving *m = sa->moving;

	if (m && wish_due(ike, &m->update))
		return MOVING_UPDATE;
	return m && m->check ? MOVING_CHECK : MOVING_ADDRESSES;
}

bool mobike_next(struct ike *ike, struct ike_sa *sa)
{
	enum moving_request what = next_request(ike, sa);
	struct moving *m = sa->moving;
	bool cookie = m && m->checking && what != MOVING_ADDRESSES;
	struct wire_out o;

	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	put_request(ike, sa, what, &o);
	if (cookie)
		put_cookie(ike, m, &o);
	info_send(ike, sa, &o);
	if (!sa->win.request.n)
		return false;
	if (what != MOVING_CHECK)
		sa->announce = false;
	if (!m)
		return true;
	if (what == MOVING_UPDATE)
		m->update.on = false;
	else if (what == MOVING_CHECK)
		m->check = false;
	m->request = what;
	m->asked = cookie;
	return true;
}

/* A partner that was called may be behind a NAT like any other end, or come behind one: it says how
 * it looks from there, and who called draws the conclusions (move_translated()). */
bool mobike_put_probe(struct ike *ike, struct ike_sa *sa, struct wire_out *o)
{
	if (!sa->mobike || !sa->path.natt || !natd_wanted(ike, sa->peer->conf) ||
	    !(sa->called ? sa->moving != NULL : partner_of(sa->peer) != NULL))
		return false;
	natd_put(ike, sa, &sa->path, o);
	return sa->called;
}

void mobike_sent(struct ike_sa *sa, enum moving_request what)
{
	struct moving *m = sa->moving;

	if (!m)
		return;
	m->request = what;
	m->asked = m->several = m->tried = false;
}

/* ---- other pairs of addresses (section 3.10) ------------------------------------------------ */

/* The peer's port at another of its addresses: what a NAT made of it holds for one only. */
struct endpoint mobike_peer_at(const struct ike_sa *sa, const struct ip *ip)
{
	struct endpoint e = { *ip, sa->path.remote.port };

	if (!ip_eq(ip, &sa->path.remote.ip) && sa->path.nat_remote)
		e.port = sa->path.floated ? 4500 : sa->peer->conf->port;
	return e;
}

/* Its tunnel leads there. */
static bool is_inside(const struct ike_sa *sa, const struct ip *ip)
{
	list_for_each(n, &sa->children) {
		const struct wire_ts_list *ts =
			&CONTAINER_OF(n, const struct child, node)->ts_remote;

		for (size_t i = 0; i < ts->n; i++)
			if (ip->family == ts->ts[i].start.family &&
			    !ip_eq(&ts->ts[i].start, &ts->ts[i].end) &&
			    ip_cmp(&ts->ts[i].start, ip) <= 0 && ip_cmp(ip, &ts->ts[i].end) <= 0)
				return true;
	}
	return false;
}

const struct ip *mobike_peer(const struct ike_sa *sa, size_t i)
{
	const struct moving *m = sa->moving;

	for (int inside = 0; inside < 2; inside++)
		for (size_t k = 0; k < m->n_peer; k++)
			if (is_inside(sa, &m->peer[k]) == inside && i-- == 0)
				return &m->peer[k];
	return NULL;
}

/* All that there are, the present one first. */
struct pairs {
	struct ip local[1 + IKE_MAX_OWN], remote[2 + IKE_MAX_PEER_ADDRESSES];
	size_t n_local, n_remote;
};

static void add(struct ip *v, size_t *n, const struct ip *ip)
{
	for (size_t i = 0; i < *n; i++)
		if (ip_eq(&v[i], ip))
			return;
	v[(*n)++] = *ip;
}

/* Who was called tries other addresses of the peer only: where it is itself is not for it to
 * decide.  Where the peer was known to be is one of them as long as it has not shown that it is
 * elsewhere: what it says of its addresses may have been changed on the way (section 5.1). */
static void pairs_of(const struct ike *ike, const struct ike_sa *sa, struct pairs *ret)
{
	*ret = (struct pairs){ 0 };
	add(ret->local, &ret->n_local, &sa->path.local.ip);
	add(ret->remote, &ret->n_remote, &sa->path.remote.ip);
	for (size_t i = 0; sa->called && i < ike->n_own; i++)
		add(ret->local, &ret->n_local, &ike->own[i]);
	for (size_t i = 0; mobike_peer(sa, i); i++)
		add(ret->remote, &ret->n_remote, mobike_peer(sa, i));
	if (sa->moving->checking)
		add(ret->remote, &ret->n_remote, &sa->moving->settled.remote.ip);
}

/* True when it went there. */
static bool try_pair(struct ike *ike, struct ike_sa *sa, const struct ip *local,
		     const struct ip *remote)
{
	struct endpoint from = { *local, sa->path.local.port }, to = mobike_peer_at(sa, remote);
	struct path path = placed(&sa->path, &from, &to);

	if (local->family != remote->family)
		return false;
	count(ike, C_MOVE_TRIED);
	send_request_along(ike, sa, &path);
	/* It may know nothing but the one before; see mobike_old_too(). */
	if (sa->predecessor && sa->predecessor->state == SA_REPLACED)
		send_request_along(ike, sa->predecessor, &path);
	return true;
}

/* Section 3.6: who was called tries others only to tell who decides where it is. */
static bool may_try(const struct ike_sa *sa)
{
	return sa->state == SA_UP && sa->mobike && sa->moving && sa->win.request.n &&
	       (sa->called || sa->moving->request == MOVING_ADDRESSES);
}

bool mobike_try_others(struct ike *ike, struct ike_sa *sa)
{
	struct moving *m = sa->moving;
	struct pairs p;
	unsigned n = 0;
	size_t all;

	if (!may_try(sa))
		return false;
	pairs_of(ike, sa, &p);
	all = p.n_local * p.n_remote;
	for (size_t i = 1; i < all && n < IKE_TRY_PAIRS; i++) {
		/* A different part of them each time; the first pair is the present one. */
		size_t k = 1 + m->next_pair++ % (all - 1);

		n += try_pair(ike, sa, &p.local[k / p.n_remote], &p.remote[k % p.n_remote]);
	}
	m->several |= n > 0;
	m->tried = sa->called;
	return n;
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool among(const struct ip *v, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&v[i], ip))
			return true;
	return false;
}

/* Nothing vouches for the addresses of a datagram, so it has to be one of those that we asked. */
static bool was_tried(const struct ike *ike, const struct ike_sa *sa, const struct ike_datagram *d)
{
	struct endpoint to = mobike_peer_at(sa, &d->remote.ip);
	struct pairs p;

	pairs_of(ike, sa, &p);
	return d->local.port == sa->path.local.port && endpoint_eq(&to, &d->remote) &&
	       among(p.local, p.n_local, &d->local.ip) &&
	       among(p.remote, p.n_remote, &d->remote.ip);
}

/* The peer was silent, and is not any more: along the pair that the answer took, where it may have
 * missed that we moved (section 3.12).  The answer may be one on the IKE SA before. */
void mobike_answered(struct ike *ike, struct ike_sa *asked, const struct ike_datagram *d)
{
	bool older = asked->state == SA_REPLACED && asked->successor;
	struct ike_sa *sa = older ? asked->successor : asked;
	struct moving *m = sa->moving;
	struct path to;

	if (!m || !m->tried || sa->state != SA_UP)
		return;
	m->tried = false;
	to = sa->path;
	if (was_tried(ike, sa, d))
		to = placed(&sa->path, &d->local, &d->remote);
	going(ike, sa, &to, "it answers there, and not where it was");
	if (older)
		request_moves(ike, sa);
}

/* Section 3.7: who sends something else back has not seen what we sent.  An error may come without.
 */
static bool cookie_fits(const struct moving *m, const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_COOKIE2);

	return n ? ct_equal(n->data, BYTES_OF(m->cookie)) : wire_find_error(in) != NULL;
}

static void renew(struct ike *ike, struct ike_sa *sa, const char *text)
{
	struct peer *p = sa->peer;

	peer_error(ike, p, text);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = IKE_R_PATH },
		   "%s", text);
	peer_renew(ike, p);
}

/* Section 3.9 asks to try that again several times, since an attacker may have changed a single
 * packet; what a peer does not accept now it may later. */
static void refused(struct ike *ike, struct ike_sa *sa, const struct wire_notify *n)
{
	struct wish *w = &sa->moving->update;
	char buf[IKE_EVENT_TEXT_MAX], local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];
	struct text t = TEXT_OF(buf);
	const char *name = wire_notify_name(n->type);
	bool over = w->failures + 1 >= IKE_UPDATE_TRIES;

	count(ike, C_MOVE_REFUSED);
	text_fmt(&t, "the peer refused our move to %s and %s with %s; ",
		 endpoint_text(&sa->path.local, local), endpoint_text(&sa->path.remote, remote),
		 name ? name : "an unknown error");
	text_add(&t, over ? "we connect anew" : "we ask again");
	wish_failed(ike, w);
	w->on = !over;
	if (over) {
		wish_granted(w);
		renew(ike, sa, buf);
	} else if (w->failures == 1) {
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .sa = sa, .reason = IKE_R_PATH }, "%s", buf);
	}
	agenda_soon(ike, sa);
}

/* Whether there are NATs there, now that the peer has said what it sees. */
static void learn_nats(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	struct path to = sa->path;

	if (!natd_wanted(ike, sa->peer->conf) ||
	    natd_check(ike, in, sa->spi_i, sa->spi_r, &to.local, &to.remote, &to))
		return;
	if (natd_present(in))
		to.encap = path_encap(ike, &to);
	moving_to(ike, sa, &to, "");
	sa->moving->has_natd = natd_seen(in, sa->moving->natd);
}

static void updated(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in,
		    bool several)
{
	struct moving *m = sa->moving;
	const struct wire_notify *error = wire_find_error(in);

	/* It moved again since: only the next one counts. */
	if (m->update.on)
		return;
	if (several) {
		m->update.on = true;
		agenda_soon(ike, sa);
	} else if (error) {
		refused(ike, sa, error);
	} else {
		wish_granted(&m->update);
		learn_nats(ike, sa, in);
		moving_proven(ike, sa);
	}
}

/* What the hash would be without a NAT: under the SPIs of now, which a rekey changes. */
static bool sees_us(struct ike *ike, const struct ike_sa *sa, const struct wire_payloads *in)
{
	struct path path = sa->path;

	return natd_check(ike, in, sa->spi_i, sa->spi_r, &path.local, &path.remote, &path) ||
	       !path.nat_local;
}

/* Section 3.8: our address as the peer sees it is another one than it was, so its packets go where
 * we are not.  An extra update after a rekey does no harm. */
static void probed(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	struct moving *m = sa->moving;
	uint8_t natd[NATD_LEN];

	if (!natd_present(in) || !natd_seen(in, natd))
		return;
	if (sa->path.nat_local ? m->has_natd && memcmp(natd, m->natd, NATD_LEN) == 0
			       : sees_us(ike, sa, in))
		return;
	m->update.on = true;
	agenda_soon(ike, sa);
}

static void checked(struct ike *ike, struct ike_sa *sa, bool several)
{
	/* Section 3.7: nobody knows from where it was answered. */
	sa->moving->check = several && sa->moving->checking;
	if (sa->moving->check)
		agenda_soon(ike, sa);
	else
		moving_proven(ike, sa);
}

bool mobike_answer(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	struct moving *m = sa->moving;
	enum moving_request what = m ? m->request : MOVING_NOTHING;
	bool several = m && m->several, asked = m && m->asked;

	mobike_sent(sa, MOVING_NOTHING);
	if (sa->state != SA_UP)
		return true;
	if (asked && !cookie_fits(m, in)) {
		const char *text = "another COOKIE2 came back than was sent (RFC 4555 section 3.7)";

		count(ike, C_MOVE_COOKIE);
		renew(ike, sa, text);
		sa_delete(ike, sa, text);
		return false;
	}
	switch (what) {
	case MOVING_UPDATE: updated(ike, sa, in, several); break;
	case MOVING_CHECK: checked(ike, sa, several); break;
	case MOVING_PROBE: probed(ike, sa, in); break;
	case MOVING_ADDRESSES:
		sa->announce |= several;
		if (several)
			agenda_soon(ike, sa);
		break;
	case MOVING_NOTHING: break;
	}
	return true;
}
