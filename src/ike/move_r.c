/*
 * move_r.c - MOBIKE (RFC 4555): what the peer's messages say of its addresses.
 *
 * Where it is comes from the IP header of its request and from nowhere else (section 3.5), so it
 * cannot send our packets to a third party without sending from there; and who cannot be there is
 * found out by a question (COOKIE2, section 3.7).  What else it says it has are hints: who decides
 * tries them when nothing answers.
 *
 * A request is judged, answered and carried out, in this order.
 */
#include "ike/partner.h"

/* ---- what it has beside -------------------------------------------------------------------- */

/* The one that it uses comes first. */
static void add_address(struct ike *ike, struct moving *m, const struct ip *ip)
{
	for (size_t i = 0; i < m->n_peer; i++)
		if (ip_eq(&m->peer[i], ip))
			return;
	if (m->n_peer < ARRAY_LEN(m->peer))
		m->peer[m->n_peer++] = *ip;
	else
		count(ike, C_MOVE_ADDRESSES);
}

/* Family 0: none that could be one. */
static struct ip additional(struct ike *ike, const struct wire_notify *n)
{
	size_t len = n->type == WIRE_N_ADDITIONAL_IP4_ADDRESS ? 4 : 16;
	struct ip ip = { 0 };

	if (n->data.n == len)
		ip = ip_from_raw(n->data);
	if (ip_is_host(&ip))
		return ip;
	count(ike, C_MOVE_MALFORMED);
	return (struct ip){ 0 };
}

static bool is_additional(const struct wire_notify *n)
{
	return n->type == WIRE_N_ADDITIONAL_IP4_ADDRESS || n->type == WIRE_N_ADDITIONAL_IP6_ADDRESS;
}

static bool has_additional(const struct wire_payloads *p)
{
	return wire_find_notify(p, WIRE_N_ADDITIONAL_IP4_ADDRESS) ||
	       wire_find_notify(p, WIRE_N_ADDITIONAL_IP6_ADDRESS);
}

/* The list takes the place of what there was (section 3.6). */
static void learn(struct ike *ike, struct moving *m, const struct ip *used,
		  const struct wire_payloads *p)
{
	m->n_peer = 0;
	add_address(ike, m, used);
	for (size_t i = 0; i < p->n_notifies; i++) {
		struct ip ip;

		if (!is_additional(&p->notifies[i]))
			continue;
		ip = additional(ike, &p->notifies[i]);
		if (ip.family)
			add_address(ike, m, &ip);
	}
}

/* Who decides will need memory when it has to move, which is no time to be without. */
void mobike_agree(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *p)
{
	struct moving *m;

	if (!sa->mobike || (!sa->called && !has_additional(p)))
		return;
	m = moving_get(ike, sa);
	if (!m)
		return;
	learn(ike, m, &sa->path.remote.ip, p);
	m->has_natd = sa->hs->has_natd;
	memcpy(m->natd, sa->hs->natd, sizeof(m->natd));
}

/* ---- judging ------------------------------------------------------------------------------- */

/* A request may come on an IKE SA whose place another one takes: the peer did not know of that yet,
 * or knows more than we.  NULL: what it says is of no use any more. */
static struct ike_sa *holder(struct ike_sa *sa)
{
	struct ike_sa *other = sa->state == SA_RIVAL ? sa->predecessor : sa->successor;

	if (sa->state == SA_UP)
		return sa;
	if (!other || other->state != SA_UP)
		return NULL;
	/* Section 3.5: it has said something newer on the new one. */
	return sa->state != SA_RIVAL && other->moving && other->moving->updated ? NULL : other;
}

static bool elsewhere(const struct ike_sa *sa, const struct ike_datagram *d)
{
	return !endpoint_eq(&sa->path.local, &d->local) ||
	       !endpoint_eq(&sa->path.remote, &d->remote);
}

static unsigned moves_now(const struct ike *ike, const struct moving *m)
{
	int64_t more = mono_since(ike->now.mono, m->counted).ns / dur_s(IKE_MOVE_S).ns;

	return m->moves + more < IKE_MOVES_BURST ? m->moves + (unsigned)more : IKE_MOVES_BURST;
}

static void count_move(const struct ike *ike, struct moving *m)
{
	unsigned now = moves_now(ike, m);

	if (now == IKE_MOVES_BURST)
		m->counted = ike->now.mono;
	else
		m->counted = mono_add(m->counted, dur_s((now - m->moves) * IKE_MOVE_S));
	m->moves = (uint8_t)(now - 1);
}

/* NULL: the SA may go where the request came from. */
static const char *unacceptable(const struct ike *ike, const struct ike_sa *sa, const struct rx *rx,
				enum ike_counter *ret_counter)
{
	const struct ike_datagram *d = rx->d;

	*ret_counter = C_MOVE_UNACCEPTABLE;
	if (sa->called)
		return "we called, so we decide where it goes";
	if (!sa->peer->conf->nats_allowed && !wire_find_notify(rx->inner, WIRE_N_NO_NATS_ALLOWED))
		return "it does not say what its addresses are (NO_NATS_ALLOWED), and nat = no";
	if (!ip_is_host(&d->remote.ip) || !d->remote.port || network_has(ike, &d->remote.ip))
		return "it cannot be there";
	if (ike->conf->force_encap && d->local.port != ike->conf->nat_port)
		return "our data plane needs UDP, which this port has not";
	*ret_counter = C_MOVE_LIMITED;
	if (elsewhere(sa, d) && !moves_now(ike, sa->moving))
		return "it moves too often";
	return NULL;
}

static bool about_addresses(const struct wire_payloads *p)
{
	return has_additional(p) || wire_find_notify(p, WIRE_N_NO_ADDITIONAL_ADDRESSES);
}

enum status move_judge(struct ike *ike, struct ike_sa *sa, const struct rx *rx, struct move *ret)
{
	struct path path = path_of(ike, &rx->d->local, &rx->d->remote);
	struct move m = {
		.update = wire_find_notify(rx->inner, WIRE_N_UPDATE_SA_ADDRESSES) != NULL,
		.addresses = about_addresses(rx->inner),
	};

	*ret = (struct move){ 0 };
	if (!m.update && !m.addresses)
		return ST_OK;
	if (!sa->mobike) {
		count(ike, C_MOVE_UNASKED);
		return ST_OK;
	}
	m.sa = holder(sa);
	if (!m.sa)
		return ST_OK;
	if (!moving_get(ike, m.sa))
		return ST_NOMEM;
	if (!mobike_nat_free(rx->inner, &path)) {
		m.refuse = WIRE_N_UNEXPECTED_NAT_DETECTED;
		m.counter = C_MOVE_TRANSLATED;
		m.why = "its addresses were changed on the way, which it does not allow";
	} else if (m.update) {
		m.why = unacceptable(ike, m.sa, rx, &m.counter);
		m.refuse = m.why ? WIRE_N_UNACCEPTABLE_ADDRESSES : 0;
	}
	*ret = m;
	return ST_OK;
}

/* ---- answering ----------------------------------------------------------------------------- */

static void put_cookie(struct ike *ike, const struct wire_payloads *p, struct wire_out *o)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_COOKIE2);

	if (!n)
		return;
	if (n->data.n >= IKE_COOKIE2_MIN && n->data.n <= IKE_COOKIE2_MAX)
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_COOKIE2, n->data);
	else
		count(ike, C_MOVE_MALFORMED);
}

/* Sections 3.7 and 3.8: the cookie, and what we see of the addresses that this very request has. */
void move_put_answer(struct ike *ike, const struct ike_sa *sa, const struct rx *rx,
		     const struct move *m, struct wire_out *o)
{
	struct path path = path_of(ike, &rx->d->local, &rx->d->remote);

	if (!sa->mobike)
		return;
	if (m->refuse)
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), m->refuse,
				bytes_of(NULL, 0));
	else if (natd_present(rx->inner) && natd_wanted(ike, sa->peer->conf))
		natd_put(ike, sa, &path, o);
	put_cookie(ike, rx->inner, o);
}

/* ---- carrying out -------------------------------------------------------------------------- */

static void refused(struct ike *ike, const struct rx *rx, const struct move *m)
{
	char here[ENDPOINT_TEXT_MAX], was[ENDPOINT_TEXT_MAX], there[ENDPOINT_TEXT_MAX];

	count(ike, m->counter);
	/* Once, and not again for each that follows. */
	if (m->counter == C_MOVE_LIMITED && m->sa->moving->limited)
		return;
	m->sa->moving->limited = m->counter == C_MOVE_LIMITED;
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = m->sa, .reason = IKE_R_PATH },
		   "the peer, at %s until now, wants to be at %s, towards our %s, and may not: %s",
		   endpoint_text(&m->sa->path.remote, was), endpoint_text(&rx->d->remote, there),
		   endpoint_text(&rx->d->local, here), m->why);
}

/* `asked`: the SA that the request came on; the hashes of NAT detection have its SPIs. */
static void relocate(struct ike *ike, struct ike_sa *sa, struct ike_sa *asked, const struct rx *rx)
{
	bool moves = elsewhere(sa, rx->d);
	struct path to = sa->path;

	to.local = rx->d->local;
	to.remote = rx->d->remote;
	to.floated = to.local.port == ike->conf->nat_port;
	if (natd_wanted(ike, sa->peer->conf) &&
	    natd_check(ike, rx->inner, asked->spi_i, asked->spi_r, &to.local, &to.remote, &to))
		count(ike, C_NO_MEMORY);
	if (natd_present(rx->inner) || !to.floated)
		to.encap = path_encap(ike, &to);
	if (moves) {
		count_move(ike, sa->moving);
		sa->moving->limited = false;
		sa->moving->left = sa->path.remote;
		sa->moving->left_until = mono_add(ike->now.mono, dur_s(IKE_LEFT_S));
	}
	moving_to(ike, sa, &to, "the peer moved");
	sa->moving->updated = sa == asked;
	agenda_soon(ike, sa);
	if (moves)
		request_moves(ike, sa);
	if (sa != asked) {
		asked->path = to;
		request_moves(ike, asked);
	}
}

/* Who was called has other addresses: if the one in use is not one of them any more, another one
 * has to be. */
static void look_elsewhere(struct ike *ike, struct ike_sa *sa)
{
	const struct moving *m = sa->moving;

	for (size_t i = 0; i < m->n_peer; i++)
		if (ip_eq(&m->peer[i], &sa->path.remote.ip))
			return;
	network_look_up(ike, sa, 1);
}

void move_commit(struct ike *ike, struct ike_sa *sa, const struct rx *rx, const struct move *m)
{
	if (m->refuse) {
		refused(ike, rx, m);
		return;
	}
	if (m->addresses)
		learn(ike, m->sa->moving, &rx->d->remote.ip, rx->inner);
	if (m->update)
		relocate(ike, m->sa, sa, rx);
	else if (m->addresses && m->sa->called)
		look_elsewhere(ike, m->sa);
}

/* Whether the request of a partner that we called came from elsewhere, since a NAT is in front of
 * it now: what it says of its own address (section 3.8) vouches for that. */
static bool translated(struct ike *ike, const struct ike_sa *sa, const struct rx *rx)
{
	struct path seen = sa->path;

	return sa->state == SA_UP && sa->mobike && sa->called && partner_of(sa->peer) &&
	       natd_present(rx->inner) && !endpoint_eq(&rx->d->remote, &sa->path.remote) &&
	       endpoint_eq(&rx->d->local, &sa->path.local) && ip_is_host(&rx->d->remote.ip) &&
	       !network_has(ike, &rx->d->remote.ip) && natd_wanted(ike, sa->peer->conf) &&
	       natd_check(ike, rx->inner, sa->spi_i, sa->spi_r, &rx->d->local, &rx->d->remote,
			  &seen) == ST_OK &&
	       seen.nat_remote;
}

void move_translated(struct ike *ike, struct ike_sa *sa, const struct rx *rx)
{
	struct moving *m;

	if (!translated(ike, sa, rx))
		return;
	m = moving_get(ike, sa);
	if (!m)
		return;
	if (!moves_now(ike, m)) {
		count(ike, C_MOVE_LIMITED);
		return;
	}
	count_move(ike, m);
	mobike_go(ike, sa, &rx->d->local, &rx->d->remote, "the peer is behind a NAT there");
}

/* A partner may come behind a NAT at any time; without MOBIKE its packets are all that tells. */
static bool may_be_translated(const struct ike_sa *sa)
{
	return sa->path.nat_remote || (!sa->mobike && partner_of(sa->peer));
}

/* RFC 7296 section 2.23, RFC 4555 section 3.8: only where a NAT may have changed the mapping, only
 * for authenticated packets (the caller's promise), never off the NAT-traversal port, and never
 * when we are the one behind the NAT. */
static bool may_be_mapping(const struct ike *ike, const struct ike_sa *sa,
			   const struct endpoint *local)
{
	return sa->path.encap && may_be_translated(sa) && !sa->path.nat_local &&
	       local->port == ike->conf->nat_port && local->ip.family == sa->path.local.ip.family &&
	       sa->peer->conf->nats_allowed;
}

/* Who decides knows best; but for what a NAT makes of a partner that was called, of which nobody
 * knows but who sees its packets.  The other end may be asked to show that it is there. */
static bool may_follow(struct ike *ike, struct ike_sa *sa, const struct endpoint *remote)
{
	bool decides = sa->called && !partner_of(sa->peer);
	struct moving *m = decides ? NULL : moving_get(ike, sa);

	if (!m || (mono_before(ike->now.mono, m->left_until) && endpoint_eq(remote, &m->left)))
		return false;
	if (!moves_now(ike, m)) {
		count(ike, C_MOVE_LIMITED);
		return false;
	}
	count_move(ike, m);
	return true;
}

/* Both are behind NATs, neither has MOBIKE: whom we may not follow, and who hears nothing of us any
 * more if it was its NAT that changed, is asked where it was.  No answer ends the SA in time. */
static void ask_there(struct ike *ike, struct ike_sa *sa)
{
	if (sa->mobike || !sa->path.encap || !sa->path.nat_local || sa->win.request.n)
		return;
	if (per_second_take(ike, &ike->hints.taken, IKE_HINTS_PER_S))
		liveness_hint(ike, sa);
	else
		count(ike, C_HINT_LIMITED);
}

void sa_moved(struct ike *ike, struct ike_sa *sa, const struct endpoint *local,
	      const struct endpoint *remote)
{
	struct path to = sa->path;

	if (sa->state != SA_UP || endpoint_eq(&sa->path.remote, remote))
		return;
	if (!may_be_mapping(ike, sa, local)) {
		ask_there(ike, sa);
		return;
	}
	if (sa->mobike && !may_follow(ike, sa, remote))
		return;
	to.remote = *remote;
	to.nat_remote = true;
	moving_to(ike, sa, &to, "the peer's NAT has given it another address or port");
	agenda_soon(ike, sa);
}
