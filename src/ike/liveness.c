/*
 * liveness.c - is the peer still there (RFC 7296 section 2.4)?
 *
 * Four things make us ask, with an empty INFORMATIONAL request unless a request is in flight,
 * which tells as well:
 *
 *	nothing was heard for dpd_delay, on the IKE SA or any child		asked at leisure
 *	traffic has no answer (DP_REPORT_SILENT)				asked in a hurry
 *	traffic of a peer that we called has stopped (DP_REPORT_CEASED)	asked in a hurry
 *	somebody says that it is gone, and nothing vouches for that (hints)	asked in a hurry
 *
 * Asked in a hurry means that the request goes out again, on top of its schedule, after a wait of
 * about a round trip; when that is not answered either the peer is *suspect*, in less than a second
 * after the traffic.  A suspicion ends nothing.  Other ways are tried beside the SA, and it goes
 * when one of them has taken over, or when the request has gone unanswered through all its
 * retransmissions.  Any authentic message of the peer ends the suspicion.
 */
#include "ike/partner.h"

/* ---- timers ------------------------------------------------------------------------------- */

/* The peer has come with another one since: that it is heard does not say that it still has this
 * one. */
static bool is_outdated(const struct ike_sa *sa)
{
	list_for_each(n, &sa->peer->sas) {
		const struct ike_sa *other = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (other->state == SA_UP && other->id > sa->id)
			return true;
	}
	return false;
}

/* Where nobody is to be asked an outdated one is, all the same: it may be that only we have it. */
static dur_t delay_of(const struct ike_sa *sa)
{
	dur_t delay = sa->peer->conf->dpd_delay;

	return delay.ns <= 0 && is_outdated(sa) ? dur_s(IKE_OUTDATED_S) : delay;
}

/* When something is to be done unless something is heard until then. */
static mono_t probe_due(const struct ike_sa *sa)
{
	dur_t delay = delay_of(sa);

	return delay.ns > 0 ? mono_add(sa->last_in, delay) : MONO_NEVER;
}

/* The same for what is sent.  RFC 3948 section 4: only the side whose mapping has to be kept open,
 * and only while nothing else does that. */
static mono_t keepalive_due(const struct ike_sa *sa)
{
	dur_t every = sa->peer->conf->keepalive;

	return sa->path.nat_local && sa->path.encap && every.ns > 0 ? mono_add(sa->last_out, every)
								    : MONO_NEVER;
}

/* What is due already was done now, so it is due again after as long. */
static mono_t next(const struct ike *ike, mono_t due, dur_t every)
{
	return mono_before(ike->now.mono, due) ? due : mono_add(ike->now.mono, every);
}

static void arm(struct ike *ike, struct ike_sa *sa)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	mono_t due = mono_min(next(ike, probe_due(sa), delay_of(sa)),
			      next(ike, keepalive_due(sa), conf->keepalive));

	due = mono_min(due, next(ike, idle_due(sa), dur_ms(IKE_IDLE_ASK_MS)));

	if (mono_before(due, MONO_NEVER))
		heap_arm(&ike->timers, &sa->alive, due);
	else
		heap_disarm(&ike->timers, &sa->alive);
}

/* The others are outdated from now on. */
void liveness_begin(struct ike *ike, struct ike_sa *sa)
{
	idle_begin(ike, sa);
	arm(ike, sa);
	list_for_each(n, &sa->peer->sas) {
		struct ike_sa *other = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (other != sa && other->state == SA_UP && other->peer->conf->dpd_delay.ns <= 0)
			arm(ike, other);
	}
}

void liveness_end(struct ike *ike, struct ike_sa *sa)
{
	heap_disarm(&ike->timers, &sa->alive);
}

static void send_keepalive(struct ike *ike, struct ike_sa *sa)
{
	struct outbox ob;
	struct out_item *it;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_SEND);
	if (it) {
		it->out.u.send.local = sa->path.local;
		it->out.u.send.remote = sa->path.remote;
		it->out.u.send.keepalive = true;
		count(ike, C_TX_KEEPALIVES);
	}
	outbox_commit(ike, &ob);
	sa->last_out = ike->now.mono;
}

/* All is known: what is still due is done. */
static void act(struct ike *ike, struct ike_sa *sa)
{
	if (!mono_before(ike->now.mono, keepalive_due(sa)))
		send_keepalive(ike, sa);
	if (!mono_before(ike->now.mono, probe_due(sa)))
		info_probe(ike, sa);
	arm(ike, sa);
}

static void later(mono_t *t, mono_t than)
{
	if (mono_before(*t, than))
		*t = than;
}

void liveness_counted(struct ike *ike, struct ike_sa *sa, const struct dp_counters *c)
{
	if (!sa->counting || sa->state != SA_UP)
		return;
	sa->counting = false;
	if (c) {
		later(&sa->last_in, (mono_t){ ike->now.mono.ns - c->since_in.ns });
		later(&sa->last_out, (mono_t){ ike->now.mono.ns - c->since_out.ns });
	}
	act(ike, sa);
}

/* ESP is a sign of life too (section 2.4), and keeps a mapping as well, so the data plane is asked
 * before the peer is. */
void liveness_timer(struct ike *ike, struct ike_sa *sa)
{
	mono_t due = mono_min(probe_due(sa), keepalive_due(sa));
	bool idle = !mono_before(ike->now.mono, idle_due(sa));

	/* Should the answer never come (no memory for the question), ask again. */
	arm(ike, sa);
	if (idle)
		idle_ask(ike, sa);
	if (mono_before(ike->now.mono, due))
		return;
	sa->counting = true;
	if (list_empty(&sa->children) || is_outdated(sa))
		liveness_counted(ike, sa, NULL);
	else
		child_query(ike, CONTAINER_OF(sa->children.prev, struct child, node));
}

/* ---- round-trip time ---------------------------------------------------------------------- */

enum { RTT_UNIT_NS = 125000 };

static dur_t rtt_of(const struct ike_sa *sa)
{
	return (dur_t){ (int64_t)sa->rtt * RTT_UNIT_NS };
}

dur_t liveness_wait(const struct ike_sa *sa)
{
	dur_t least = dur_ms(IKE_QUICK_WAIT_MIN_MS);
	dur_t most = dur_ms(IKE_QUICK_WAIT_MAX_MS);
	dur_t rtt = sa->rtt ? rtt_of(sa) : partner_rtt(sa->peer);
	dur_t wait = { 2 * rtt.ns };

	if (rtt.ns <= 0)
		return dur_ms(IKE_QUICK_WAIT_MS);
	if (!sa->rtt && rtt.ns > most.ns)
		return most;
	return wait.ns < least.ns ? least : wait;
}

/* Only of requests that went out once: of others nobody knows which one was answered.  When that
 * was is what its timer still knows. */
void liveness_measure(struct ike *ike, struct ike_sa *sa)
{
	dur_t wait = sa->win.quick ? liveness_wait(sa) : request_first_wait(ike, sa);
	int64_t ns = wait.ns - mono_since(sa->retransmit.due, ike->now.mono).ns;
	int64_t units = ns / RTT_UNIT_NS + 1;

	if ((sa->state != SA_UP && sa->state != SA_I_AUTH) || sa->win.tries || sa->win.quick > 1 ||
	    sa->win.probe || ns < 0)
		return;
	if (sa->rtt)
		units = (7 * (int64_t)sa->rtt + units) / 8;
	sa->rtt = (uint16_t)(units > UINT16_MAX ? UINT16_MAX : units < 1 ? 1 : units);
}

/* It was suspected for nothing: the next time we wait longer, until answers are quicker again. */
static void more_patience(struct ike_sa *sa)
{
	int64_t ms = dur_to_ms(liveness_wait(sa));

	if (ms < IKE_QUICK_WAIT_MAX_MS)
		sa->rtt = (uint16_t)(dur_ms(ms).ns / RTT_UNIT_NS);
}

/* ---- suspicion ---------------------------------------------------------------------------- */

/* Nobody waits for the answer longer than he has to. */
static void ask_in_a_hurry(struct ike *ike, struct ike_sa *sa)
{
	if (sa->suspect)
		return;
	if (!per_second_take(ike, &ike->hurries, IKE_HURRIES_PER_S)) {
		count(ike, C_HURRY_LIMITED);
		return;
	}
	if (!sa->win.request.n) {
		sa->hurry = true;
		info_probe(ike, sa);
	} else if (sa->win.tries) {
		sa_suspect(ike, sa);
	} else {
		request_tells(ike, sa);
	}
}

void liveness_hint(struct ike *ike, struct ike_sa *sa)
{
	ask_in_a_hurry(ike, sa);
}

void liveness_asked(struct ike *ike, struct ike_sa *sa)
{
	if (sa->hurry)
		request_tells(ike, sa);
	sa->hurry = false;
}

void liveness_silent(struct ike *ike, const struct dp_report *r)
{
	const struct child *c = child_by_id(ike, r->u.silent.id);

	if (!c || c->sa->state != SA_UP || !c->sa->peer->conf->silence)
		return;
	if (r->kind == DP_REPORT_SILENT) {
		count(ike, C_SILENT_PEER);
		mtu_search_doubt(ike, c->sa);
	} else {
		count(ike, C_CEASED_PEER);
	}
	ask_in_a_hurry(ike, c->sa);
}

/* Other addresses of the peer are tried with this very SA (MOBIKE), others of the section with a
 * new one. */
static void suspect(struct ike *ike, struct ike_sa *sa, bool connect)
{
	char ep[ENDPOINT_TEXT_MAX];
	bool others;

	if (sa->suspect || sa->state != SA_UP)
		return;
	sa->suspect = true;
	count(ike, C_SUSPECT);
	event_emit(ike, IKE_EV_SUSPECT, (struct event_about){ .sa = sa, .reason = IKE_R_NO_ANSWER },
		   "no answer from %s for %lld ms", endpoint_text(&sa->path.remote, ep),
		   (long long)dur_to_ms(mono_since(ike->now.mono, sa->last_in)));
	/* A partner's traffic goes by the hub until it answers, a hub's by another one. */
	children_tell(ike, sa);
	attach_soon(ike, sa->peer);
	others = mobike_try_others(ike, sa);
	if (connect)
		peer_beside(ike, sa, others);
}

void sa_suspect(struct ike *ike, struct ike_sa *sa)
{
	suspect(ike, sa, true);
}

/* Nobody waits for it; but what is always to be up is to be up when somebody does. */
void liveness_unanswered(struct ike *ike, struct ike_sa *sa)
{
	suspect(ike, sa, sa->peer && sa->peer->conf->start == IKE_START_UP);
}

void sa_heard(struct ike *ike, struct ike_sa *sa)
{
	int64_t ms = dur_to_ms(mono_since(ike->now.mono, sa->last_in));

	sa->last_in = ike->now.mono;
	if (!sa->suspect)
		return;
	sa->suspect = false;
	more_patience(sa);
	count(ike, C_ALIVE);
	event_emit(ike, IKE_EV_ALIVE, (struct event_about){ .sa = sa },
		   "answers again, after %lld ms", (long long)ms);
	children_tell(ike, sa);
	attach_soon(ike, sa->peer);
	peer_answers(ike, sa);
}
