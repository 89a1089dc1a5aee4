/*
 * mtu_search.c - the search for the path MTU by probes (RFC 8899, with IKE as the packetization
 * layer), for networks that filter ICMP.
 *
 *	HDR, SK {N(PATH_PROBE, zeros)}  -->	one IP packet of the size in question, with DF
 *				<--  HDR, SK {}	it got through
 *
 * The notify is ours (docs/protocol/path-mtu.md) and means nothing: who gets it answers.  What is
 * measured is the way there; the other end does the same for its own.  Answers are authentic, so
 *nobody else can raise the result, and who drops probes only makes packets small.
 *
 * A request that is lost blocks the window until it is answered, so it must not stay lost: after
 * one try it goes in small fragments (RFC 7383 section 2.5.2), as any large message would.  A peer
 * that takes none is never probed, nor one that is no warren: by the RFC every one that takes
 * fragments would do, but see fragment_never().  All that is done for those is this: when large
 * segments stop getting through, the data plane goes back to what nearly every path carries, for as
 * long as a result counts.
 *
 * The data plane asks for a search, when there is something large to send (dp.h); so SAs that are
 * idle never probe.  It begins with the largest size there is a use for, since most paths carry
 * that: one exchange then is all.  Else it goes on with what ICMP said, should it have said
 * anything; then with a size that any path should carry; then it halves what is left.  Until there
 * is a result the data plane sends what is known so far.
 *
 * There is one search to an address, a bounded number of them, and nothing of it in an SA but a
 * bit: who is not searching has no memory for it.
 */
#include "ike/internal.h"

enum {
	BASE = DP_PMTU_BASE,
	FLOOR_4 = IKE_PACKET_SMALL, /* RFC 791: 576 */
	FLOOR_6 = 1280, /* RFC 8200 section 5 */
};

static struct mtu_search *search_of(const struct ike *ike, const struct ike_sa *sa)
{
	if (!sa->searching)
		return NULL;
	list_for_each(n, &ike->searches) {
		struct mtu_search *s = CONTAINER_OF(n, struct mtu_search, node);

		if (s->sa == sa)
			return s;
	}
	return NULL;
}

static struct mtu_search *search_to(const struct ike *ike, const struct ip *remote)
{
	list_for_each(n, &ike->searches) {
		struct mtu_search *s = CONTAINER_OF(n, struct mtu_search, node);

		if (ip_eq(&s->remote, remote))
			return s;
	}
	return NULL;
}

static void over(struct ike *ike, struct mtu_search *s)
{
	s->sa->searching = false;
	list_del(&s->node);
	ike->n_searches--;
	mem_free(ike->mem, s);
}

/* ---- what comes of it --------------------------------------------------------------------- */

static void tell_data_plane(struct ike *ike, const struct ip *remote, uint16_t mtu)
{
	struct outbox ob;
	struct out_item *it;
	struct dp_op *op;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_DP);
	op = it ? arena_new(&it->mem, sizeof(*op)) : NULL;
	if (!op) {
		/* It goes on as before, and asks again. */
		count(ike, C_NO_MEMORY);
		outbox_drop(&ob);
		return;
	}
	op->op = ++ike->last_op;
	op->kind = DP_PATH_MTU;
	op->u.path_mtu.remote = *remote;
	op->u.path_mtu.mtu = mtu;
	it->out.u.dp = op;
	outbox_commit(ike, &ob);
}

/* Half a result is none: should somebody else send there, he is to ask again. */
void mtu_search_end(struct ike *ike, struct ike_sa *sa)
{
	struct mtu_search *s = search_of(ike, sa);

	if (!s)
		return;
	if (s->told)
		tell_data_plane(ike, &s->remote, 0);
	over(ike, s);
}

void mtu_search_inherit(struct ike *ike, struct ike_sa *from, struct ike_sa *to)
{
	struct mtu_search *s = search_of(ike, from);

	if (!s)
		return;
	s->sa = to;
	to->searching = true;
	from->searching = false;
}

/* Of the new way nothing is known, though it may lead to the same address. */
void mtu_search_moved(struct ike *ike, struct ike_sa *sa)
{
	mtu_search_end(ike, sa);
	sa->path.limit = 0;
	path_mtu_forget(ike, &sa->path.remote.ip);
}

/* What may be sent at present. */
static uint16_t in_force(const struct mtu_search *s)
{
	return !s->proven && s->good < BASE && BASE < s->bad ? BASE : s->good;
}

/* Only what the operator could not expect. */
static void report(struct ike *ike, const struct ike_sa *sa, uint16_t before, uint16_t mtu,
		   uint16_t most, const char *how)
{
	char ip[IP_TEXT_MAX];

	if (before ? mtu == before : mtu + IKE_SEARCH_STEP > most)
		return;
	event_emit(ike, IKE_EV_MTU, (struct event_about){ .sa = sa },
		   "IP packets of up to %u bytes get through to %s, %s; ours would have up to %u",
		   mtu, ip_text(&sa->path.remote.ip, ip), how, most);
}

static void keep(struct ike *ike, struct ike_sa *sa, uint16_t mtu, uint16_t most, bool assumed)
{
	struct path_mtu *p = path_mtu_of(ike, &sa->path.remote.ip);
	uint16_t before = p && p->searched ? p->mtu : 0;

	p = path_mtu_searched(ike, &sa->path.remote.ip, mtu);
	if (p) {
		p->most = most;
		p->assumed = assumed;
	}
	report(ike, sa, before, mtu, most,
	       assumed ? "we assume, since larger ones do not seem to, and the peer takes no probes"
		       : "as probes found");
	tell_data_plane(ike, &sa->path.remote.ip, mtu);
}

/* What our own requests shrank to was a guess. */
static void finish(struct ike *ike, struct ike_sa *sa, struct mtu_search *s)
{
	if (s->proven && sa->path.limit < s->good)
		sa->path.limit = 0;
	keep(ike, sa, in_force(s), s->most, false);
	over(ike, s);
}

/* ---- which size --------------------------------------------------------------------------- */

/* ICMP named it: the first guess, once, and nothing more if any path should carry as much.  Less
 * than that is rather forged. */
static uint16_t hinted(const struct ike *ike, const struct mtu_search *s)
{
	struct path_mtu *p = path_mtu_of(ike, &s->remote);
	uint16_t told = p ? p->told : 0;

	if (told <= s->good || told >= s->bad)
		return 0;
	p->told = 0;
	return told;
}

/* 0: that was all. */
static uint16_t next_size(const struct ike *ike, struct mtu_search *s)
{
	uint16_t told = hinted(ike, s);

	s->named = told;
	if (told)
		return told;
	if (s->good + IKE_SEARCH_STEP >= s->bad)
		return 0;
	if (!s->proven && s->good < BASE && BASE < s->bad)
		return BASE;
	return (uint16_t)(s->good + (s->bad - s->good) / 2);
}

static void next(struct ike *ike, struct ike_sa *sa, struct mtu_search *s)
{
	s->tries = 0;
	s->size = next_size(ike, s);
	if (!s->size) {
		finish(ike, sa, s);
		return;
	}
	s->told = true;
	tell_data_plane(ike, &s->remote, in_force(s));
}

static void passed(struct ike *ike, struct ike_sa *sa, struct mtu_search *s)
{
	s->good = s->size;
	s->proven = true;
	if (s->named && s->good >= BASE)
		s->bad = (uint16_t)(s->good + 1);
	next(ike, sa, s);
}

static void lost(struct ike *ike, struct ike_sa *sa, struct mtu_search *s)
{
	unsigned enough = s->stalled ? 1 : IKE_SEARCH_TRIES;

	count(ike, C_MTU_LOST);
	if (++s->tries < enough)
		return;
	s->stalled = false; /* that one was believed */
	s->bad = s->size;
	next(ike, sa, s);
}

void mtu_search_answered(struct ike *ike, struct ike_sa *sa, bool whole)
{
	struct mtu_search *s = search_of(ike, sa);

	if (!s)
		return;
	if (!ip_eq(&s->remote, &sa->path.remote.ip))
		mtu_search_end(ike, sa);
	else if (whole)
		passed(ike, sa, s);
	else
		lost(ike, sa, s);
}

bool mtu_search_go_on(struct ike *ike, struct ike_sa *sa)
{
	struct mtu_search *s = search_of(ike, sa);
	uint16_t size;

	if (!s || !ip_eq(&s->remote, &sa->path.remote.ip)) {
		mtu_search_end(ike, sa);
		return true;
	}
	if (send_probe(ike, sa, WIRE_N_PATH_PROBE, s->size, &size)) {
		count(ike, C_NO_MEMORY);
		return false;
	}
	/* A cipher with blocks comes to a little less. */
	s->size = size;
	count(ike, C_MTU_PROBES);
	return true;
}

/* ---- beginning ---------------------------------------------------------------------------- */

static void begin(struct ike *ike, struct ike_sa *sa, uint16_t first, uint16_t most, bool stalled)
{
	struct mtu_search *s;

	if (ike->n_searches >= IKE_MAX_SEARCHES) {
		count(ike, C_MTU_NO_PLACE);
		return;
	}
	s = mem_new(ike->mem, sizeof(*s));
	if (!s) {
		count(ike, C_NO_MEMORY);
		return;
	}
	*s = (struct mtu_search){
		.sa = sa,
		.remote = sa->path.remote.ip,
		.most = most,
		.good = sa->path.remote.ip.family == 6 ? FLOOR_6 : FLOOR_4,
		.bad = (uint16_t)(first + 1),
		.size = first,
		.stalled = stalled,
	};
	list_add_tail(&ike->searches, &s->node);
	ike->n_searches++;
	sa->searching = true;
	count(ike, C_MTU_SEARCHES);
	agenda_soon(ike, sa);
}

static bool under_way(struct ike *ike, const struct ip *remote)
{
	struct mtu_search *s = search_to(ike, remote);

	/* That SA will not go on with it. */
	if (s && s->sa->state != SA_UP) {
		mtu_search_end(ike, s->sa);
		s = NULL;
	}
	return s;
}

static bool may_search(struct ike *ike, const struct ike_sa *sa)
{
	return !under_way(ike, &sa->path.remote.ip) && !sa->searching;
}

static bool may_probe(const struct ike_sa *sa)
{
	return sa->warren && sa->path.fragments && sa->peer->conf->mtu_probes;
}

/* The data plane goes by something that we do not know any more, or that came of a search. */
static bool outdated(const struct path_mtu *p, const struct dp_report *r)
{
	return p ? p->searched : r->u.probe.now < r->u.probe.most;
}

/* With a peer that is not probed: see above. */
static void fall_back(struct ike *ike, struct ike_sa *sa, const struct dp_report *r)
{
	const struct ip *remote = &sa->path.remote.ip;

	/* Somebody else at that address is being asked. */
	if (under_way(ike, remote))
		return;
	if (r->u.probe.stalled && sa->peer->conf->mtu_probes) {
		count(ike, C_MTU_FALLBACK);
		keep(ike, sa, BASE, r->u.probe.most, true);
	} else if (outdated(path_mtu_of(ike, remote), r)) {
		path_mtu_forget(ike, remote);
		tell_data_plane(ike, remote, 0);
	}
}

void mtu_search_wanted(struct ike *ike, const struct dp_report *r)
{
	const struct child *c = child_by_id(ike, r->u.probe.id);
	uint16_t most = r->u.probe.most, now = r->u.probe.now;
	struct ike_sa *sa = c ? c->sa : NULL;

	if (!sa || sa->state != SA_UP || most <= BASE || most > IKE_SEARCH_MAX)
		return;
	if (!may_probe(sa))
		fall_back(ike, sa, r);
	else if (may_search(ike, sa))
		/* What stalls is as large as may be sent now. */
		begin(ike, sa, r->u.probe.stalled && now > BASE && now < most ? now : most, most,
		      r->u.probe.stalled);
}

void mtu_search_doubt(struct ike *ike, struct ike_sa *sa)
{
	struct path_mtu *p = path_mtu_of(ike, &sa->path.remote.ip);

	if (!p || !p->searched || p->mtu <= BASE || !may_probe(sa) || !may_search(ike, sa) ||
	    mono_since(ike->now.mono, p->doubted).ns < dur_s(IKE_SEARCH_DOUBT_S).ns)
		return;
	p->doubted = ike->now.mono;
	begin(ike, sa, p->mtu, p->most, true);
}
