/*
 * life.c - how long SAs live (RFC 7296 section 2.8), and how long the proof of who made them counts
 * (RFC 4478).
 *
 *	IKE SA		keys made	rekey	 renew	 end	soft, last resort, hard
 *			proven			 renew	 end	again who we are; no longer believed
 *	child		made		rekey		 end	by time here; by volume in the data
 *								plane, which reports
 *
 * Soft limits are drawn once for each SA, below what is configured, so that thousands that came up
 * together do not come back together.  Who made the SA draws from an earlier span than the other
 * end (section 2.8.1 asks for jitter): so the two hardly ever begin at once, and the other end is
 * there when the first cannot.  What is kept is the draw and not the limit: another configuration
 * holds for what is up, from the beginning of its life.
 *
 * What could not be rekeyed is renewed as a whole, by who called, beside the old one, in the last
 * third before its end: there are peers that cannot do CREATE_CHILD_SA (section 4).  A partner's
 * ends then, and another one is suggested.  At a hard
 * limit the data plane is told first and the peer afterwards.
 *
 * Certificates end by the wall clock.  While that is trusted it decides; from then on how long they
 * still had when it last was, which goes on by the monotonic clock.  So a clock that is lost never
 * prolongs anything, and one that is set right cuts off what is over by it, at once.
 */
#include "ike/inner.h"
#include "ike/partner.h"

enum {
	PARTS = 1000000,
	/* Of a soft limit, in so many parts: who made the SA, and the other end. */
	MAKER_FIRST = 800000,
	MAKER_LAST = 950000,
	OTHER_FIRST = 950000,
	OTHER_LAST = 1000000,
};

uint16_t life_draw(struct ike *ike)
{
	uint8_t raw[2];

	ike->crypto.ops->random(ike->crypto.ctx, raw, sizeof(raw));
	return load_be16(raw);
}

/* Of the limit, in PARTS. */
static uint64_t share(uint16_t draw, bool maker)
{
	unsigned first = maker ? MAKER_FIRST : OTHER_FIRST;
	unsigned last = maker ? MAKER_LAST : OTHER_LAST;

	return first + (last - first) * (uint64_t)draw / (UINT16_MAX + 1u);
}

static dur_t part(dur_t d, uint64_t parts)
{
	return (dur_t){ d.ns / PARTS * (int64_t)parts };
}

static mono_t after(mono_t from, dur_t limit, uint64_t parts)
{
	return limit.ns > 0 ? mono_add(from, part(limit, parts)) : MONO_NEVER;
}

/* ---- limits of a child -------------------------------------------------------------------- */

/* warren.conf(5), LIFETIMES, has the reasons. */
static uint64_t cipher_bytes(const struct policy_suite *s)
{
	return s->encr == CRYPTO_CHACHA20_POLY1305 ? 0 : 1ULL << 40;
}

/* The lower of two limits of which 0 is none. */
static uint64_t lower(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

static void limit(uint64_t soft, uint64_t hard, uint64_t most, uint64_t parts, uint64_t *ret_soft,
		  uint64_t *ret_hard)
{
	hard = lower(hard, most);
	if (hard && (!soft || soft >= hard))
		soft = hard - hard / 10;
	*ret_hard = hard;
	*ret_soft = soft / PARTS * parts + soft % PARTS * parts / PARTS;
}

void life_child_limits(const struct ike_life *l, const struct child *c, struct dp_child *ret)
{
	uint64_t parts = share(c->draw, c->maker);
	/* Without extended numbers the SA ends at 2^32 packets. */
	uint64_t packets = c->suite.esn ? 0 : UINT32_MAX;

	limit(l->soft_bytes, l->hard_bytes, cipher_bytes(&c->suite), parts, &ret->soft_bytes,
	      &ret->hard_bytes);
	limit(l->soft_packets, l->hard_packets, packets, parts, &ret->soft_packets,
	      &ret->hard_packets);
}

mono_t life_child_soft(const struct child *c)
{
	return after(c->created, c->sa->peer->conf->life.child_soft, share(c->draw, c->maker));
}

mono_t life_child_hard(const struct child *c)
{
	return after(c->created, c->sa->peer->conf->life.child_hard, PARTS);
}

static mono_t last_third(mono_t soft, mono_t hard)
{
	if (soft.ns == MONO_NEVER.ns || hard.ns == MONO_NEVER.ns)
		return MONO_NEVER;
	return mono_add(hard, (dur_t){ (soft.ns - hard.ns) / 3 });
}

static mono_t next_of(mono_t now, const mono_t *at, size_t n)
{
	mono_t next = MONO_NEVER;

	for (size_t i = 0; i < n; i++)
		if (mono_before(now, at[i]))
			next = mono_min(next, at[i]);
	return next;
}

static void arm(struct ike *ike, struct timer *t, mono_t due)
{
	if (due.ns == MONO_NEVER.ns)
		heap_disarm(&ike->timers, t);
	else
		heap_arm(&ike->timers, t, due);
}

void life_child_begin(struct ike *ike, struct child *c)
{
	mono_t soft = life_child_soft(c), hard = life_child_hard(c);
	const mono_t at[] = { soft, last_third(soft, hard) };

	/* Its end may have come while nobody looked: then it is due now. */
	arm(ike, &c->timer, mono_min(next_of(ike->now.mono, at, ARRAY_LEN(at)), hard));
}

/* Make before break: who called makes another IKE SA, which takes the place of this one when it is
 * up. */
static void renew(struct ike *ike, struct ike_sa *sa)
{
	struct peer *p = sa->peer;

	if (!sa->called || !p->section || p->removed || peer_names(p) == 0)
		return;
	p->section->renew = true;
	/* However often it is wanted: one that waits for its turn goes on waiting. */
	if (!p->section->retry.armed)
		peer_connect(ike, p);
}

/* The data plane hears of it first, then the peer. */
static void child_expired(struct ike *ike, struct child *c, const char *why)
{
	count(ike, C_CHILD_EXPIRED);
	child_want_delete(ike, c, why);
}

void life_child_report(struct ike *ike, struct child *c, bool hard)
{
	if (c->state >= CHILD_DOOMED)
		return;
	if (hard)
		child_expired(ike, c, "as many bytes or packets as it may carry");
	else
		child_want_rekey(ike, c);
}

static bool reached(const struct ike *ike, mono_t at)
{
	return !mono_before(ike->now.mono, at);
}

void life_child_timer(struct ike *ike, struct child *c)
{
	mono_t soft = life_child_soft(c), hard = life_child_hard(c);

	if (reached(ike, hard)) {
		child_expired(ike, c, "its lifetime is over");
		return;
	}
	if (reached(ike, last_third(soft, hard)))
		renew(ike, c->sa);
	else if (reached(ike, soft))
		child_want_rekey(ike, c);
	life_child_begin(ike, c);
}

/* ---- certificates ------------------------------------------------------------------------- */

static void look_at_clock(const struct ike *ike, struct life *l)
{
	int64_t left = l->certs.s - ike->now.wall.s;

	if (l->certs.s == 0 || !ike->now.wall_ok)
		return;
	/* Beyond any clock. */
	if (left > INT64_MAX / 2000000000)
		left = INT64_MAX / 2000000000;
	l->certs_due = mono_add(ike->now.mono, dur_s(left < 0 ? 0 : left));
}

static wall_t earlier(wall_t a, wall_t b)
{
	return a.s && (!b.s || a.s < b.s) ? a : b;
}

/* ---- reauthentication (RFC 4478) ----------------------------------------------------------- */

static mono_t certs_due(const struct life *l, const struct ike_life *conf)
{
	return l->certs.s && !conf->outlive_certs ? l->certs_due : MONO_NEVER;
}

/* Time for a peer that begins when it has to, and meets a lost datagram. */
static dur_t grace(dur_t reauth)
{
	dur_t d = { reauth.ns / 10 };

	if (d.ns < dur_s(IKE_REAUTH_GRACE_MIN_S).ns)
		d = dur_s(IKE_REAUTH_GRACE_MIN_S);
	return d.ns > dur_s(IKE_REAUTH_GRACE_MAX_S).ns ? dur_s(IKE_REAUTH_GRACE_MAX_S) : d;
}

/* Ahead of the end of a certificate, since that is no matter of grace. */
static mono_t before_certs(const struct life *l, const struct ike_life *conf)
{
	mono_t due = certs_due(l, conf);
	dur_t ahead;

	if (due.ns == MONO_NEVER.ns)
		return MONO_NEVER;
	ahead = (dur_t){ mono_since(due, l->proven).ns / 10 };
	if (ahead.ns > dur_s(IKE_REAUTH_AHEAD_S).ns)
		ahead = dur_s(IKE_REAUTH_AHEAD_S);
	return (mono_t){ due.ns - ahead.ns };
}

/* Until then they shall prove who they are again: by our configuration, or because somebody asked.
 */
static mono_t wanted_by(const struct life *l, const struct ike_life *conf)
{
	mono_t by = mono_min(after(l->proven, conf->reauth, PARTS), before_certs(l, conf));

	return mono_min(by, l->asked);
}

/* From then on nobody believes it any more. */
static mono_t proof_ends(const struct life *l, const struct ike_life *conf)
{
	mono_t due = after(l->proven, conf->reauth, PARTS);

	if (conf->reauth.ns > 0)
		due = mono_add(due, grace(conf->reauth));
	return mono_min(due, certs_due(l, conf));
}

/* When we, who called, do it: drawn, and never so soon that the peer could keep us at it. */
static mono_t proves_at(const struct ike_sa *sa)
{
	const struct life *l = &sa->life;
	mono_t by = wanted_by(l, &sa->peer->conf->life);
	mono_t least = mono_add(l->proven, dur_s(IKE_REAUTH_MIN_S));
	mono_t at;

	if (!sa->called || by.ns == MONO_NEVER.ns)
		return MONO_NEVER;
	/* `by` may be the moment of the proof, or before it: an AUTH_LIFETIME of zero. */
	at = mono_add(l->proven, part(mono_since(by, l->proven), share(l->draw, true)));
	return mono_before(at, least) ? least : at;
}

/* ---- what is said about it ---------------------------------------------------------------- */

/* Zero: nothing. */
static uint32_t seconds_left(const struct ike *ike, const struct life *l,
			     const struct ike_life *conf)
{
	mono_t by = wanted_by(l, conf);
	int64_t left;

	if (by.ns == MONO_NEVER.ns)
		return 0;
	left = mono_since(by, ike->now.mono).ns / dur_s(1).ns;
	return left < 1 ? 1 : left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

static void put(struct wire_out *o, uint32_t left)
{
	uint8_t raw[4];

	store_be32(raw, left);
	if (left)
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_AUTH_LIFETIME,
				BYTES_OF(raw));
}

static void prove(const struct ike *ike, const struct ike_peer_conf *conf, const struct cred *cred,
		  struct life *l)
{
	l->proven = ike->now.mono;
	l->asked = l->certs_due = MONO_NEVER;
	l->certs = (wall_t){ 0 };
	if (cred && conf->auth == IKE_AUTH_CERT)
		l->certs = earlier(cred->not_after, conf->not_after);
	look_at_clock(ike, l);
}

void life_put_first(const struct ike *ike, const struct ike_peer_conf *conf,
		    const struct cred *cred, struct wire_out *o)
{
	struct life l = { 0 };

	prove(ike, conf, cred, &l);
	put(o, seconds_left(ike, &l, &conf->life));
}

void life_put(const struct ike *ike, const struct ike_sa *sa, struct wire_out *o)
{
	put(o, seconds_left(ike, &sa->life, &sa->peer->conf->life));
}

/* Section 2: the time is measured from now. */
mono_t life_read(const struct ike *ike, const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_AUTH_LIFETIME);

	return n && n->data.n == 4 ? mono_add(ike->now.mono, dur_s(load_be32(n->data.p)))
				   : MONO_NEVER;
}

static void tell(struct ike *ike, struct ike_sa *sa)
{
	if (sa->life.tell && info_lifetime(ike, sa))
		sa->life.tell = false;
}

/* ---- IKE SAs ------------------------------------------------------------------------------ */

mono_t life_soft(const struct ike_sa *sa)
{
	return after(sa->established, sa->peer->conf->life.ike_soft,
		     share(sa->life.draw, sa->initiator));
}

static mono_t keys_end(const struct ike_sa *sa)
{
	return after(sa->established, sa->peer->conf->life.ike_hard, PARTS);
}

/* That the peer asked us is no reason to end what it made with us. */
static mono_t demand_ends(const struct ike_sa *sa)
{
	return sa->called ? MONO_NEVER : mono_add(sa->life.asked, dur_s(IKE_REAUTH_GRACE_MIN_S));
}

mono_t life_hard(const struct ike_sa *sa)
{
	mono_t proof = proof_ends(&sa->life, &sa->peer->conf->life);

	return mono_min(keys_end(sa), mono_min(proof, demand_ends(sa)));
}

mono_t life_renewal(const struct ike_sa *sa)
{
	return sa->called ? mono_min(last_third(life_soft(sa), keys_end(sa)), proves_at(sa))
			  : MONO_NEVER;
}

void life_arm(struct ike *ike, struct ike_sa *sa)
{
	const mono_t at[] = { life_soft(sa), life_renewal(sa) };
	mono_t next = mono_min(next_of(ike->now.mono, at, ARRAY_LEN(at)), life_hard(sa));

	if (sa->state != SA_UP)
		return;
	if (sa->life.tell)
		next = mono_min(next, mono_add(ike->now.mono, dur_s(1)));
	arm(ike, &sa->life.timer, next);
}

/* After news that may have put a limit behind us, for which no timer was armed: it is due.  Not
 * here, where others walk, or go on with the SA. */
static void life_look(struct ike *ike, struct ike_sa *sa)
{
	bool over = reached(ike, life_hard(sa));

	if (sa->state != SA_UP)
		return;
	if (over || (!sa->life.replaced && reached(ike, life_renewal(sa))))
		heap_arm(&ike->timers, &sa->life.timer, ike->now.mono);
	else if (!sa->life.replaced)
		life_arm(ike, sa);
}

/* Who called is asked; from anybody else it means nothing. */
void life_asked(struct ike *ike, struct ike_sa *sa, mono_t by)
{
	if (by.ns == MONO_NEVER.ns || !sa->called || sa->state != SA_UP || sa->life.replaced)
		return;
	sa->life.asked = by;
	life_look(ike, sa);
}

void life_demand(struct ike *ike, struct ike_sa *sa, dur_t within)
{
	if (sa->called || sa->state != SA_UP)
		return;
	sa->life.asked = mono_min(sa->life.asked, mono_add(ike->now.mono, within));
	sa->life.tell = true;
	life_look(ike, sa);
}

void life_begin(struct ike *ike, struct ike_sa *sa)
{
	sa->life.draw = life_draw(ike);
	prove(ike, sa->peer->conf, sa->cred, &sa->life);
	life_look(ike, sa);
}

void life_inherit(struct ike *ike, const struct ike_sa *from, struct ike_sa *to)
{
	struct life *l = &to->life;

	l->proven = from->life.proven;
	l->asked = from->life.asked;
	l->certs = from->life.certs;
	l->certs_due = from->life.certs_due;
	l->tell = from->life.tell;
	l->draw = life_draw(ike);
	if (from->life.replaced)
		life_replaced(ike, to); /* by one that came up while this one was made */
	else
		life_look(ike, to);
}

/* When it is the turn of something with that draw, after news for all: at once, unless there are so
 * many that it would be too much. */
static mono_t turn(const struct ike *ike, uint16_t draw)
{
	int64_t s = (int64_t)(ike->n_sas / IKE_RELOADED_PER_S);

	return mono_add(ike->now.mono, part(dur_s(s), PARTS * (uint64_t)draw / (UINT16_MAX + 1u)));
}

static void child_reconfigured(struct ike *ike, struct child *c)
{
	mono_t at = turn(ike, c->draw);

	if (reached(ike, at) || reached(ike, life_child_hard(c)))
		life_child_timer(ike, c);
	else
		heap_arm(&ike->timers, &c->timer, mono_min(at, life_child_hard(c)));
}

void life_reconfigured(struct ike *ike, struct ike_sa *sa)
{
	mono_t at = turn(ike, sa->life.draw);

	if (sa->state != SA_UP || sa->life.replaced)
		return;
	/* What the peer was told once, and no longer holds, cannot be taken back: it is early. */
	sa->life.tell = !sa->called && seconds_left(ike, &sa->life, &sa->peer->conf->life);
	if (reached(ike, at) || reached(ike, life_hard(sa)))
		life_timer(ike, sa);
	else
		heap_arm(&ike->timers, &sa->life.timer, mono_min(at, life_hard(sa)));
	list_for_each_safe(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->state == CHILD_UP)
			child_reconfigured(ike, c);
	}
}

static const char *why_over(const struct ike *ike, const struct ike_sa *sa)
{
	if (reached(ike, keys_end(sa)))
		return "its lifetime is over";
	if (reached(ike, certs_due(&sa->life, &sa->peer->conf->life)))
		return "a certificate that it was made with has ended";
	return "the peer did not authenticate again in time";
}

/* Again, but not in haste: the next one may be over as soon. */
static void connect_again(struct ike *ike, struct peer *p, mono_t proven)
{
	mono_t least = mono_add(proven, dur_s(IKE_REAUTH_MIN_S));

	if (reached(ike, least))
		peer_connect(ike, p);
	else
		heap_arm(&ike->timers, &p->section->retry, least);
}

static void expire(struct ike *ike, struct ike_sa *sa)
{
	struct peer *p = sa->peer;
	mono_t proven = sa->life.proven;

	count(ike, C_SA_EXPIRED);
	peer_error(ike, p, why_over(ike, sa));
	/* Nothing was wrong with it: a hub may suggest another one at once. */
	partner_ending(ike, sa, IKE_R_NONE, why_over(ike, sa));
	sa_delete(ike, sa, why_over(ike, sa));
	if (p->section && p->conf->start != IKE_START_LISTEN)
		connect_again(ike, p, proven);
}

bool life_over(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state != SA_UP || !reached(ike, life_hard(sa)))
		return false;
	expire(ike, sa);
	return true;
}

/* A partner is for one IKE SA.  Its traffic goes by the hub, which suggests another one at once,
 * and this is in good time before the end: what is under way is still heard (sa_deleted()). */
static void leave_to_hub(struct ike *ike, struct ike_sa *sa)
{
	const char *why = "it is time to authenticate anew, for which a hub suggests another one";

	partner_ending(ike, sa, IKE_R_NONE, why);
	sa_delete(ike, sa, why);
}

/* Nothing more is wanted of it. */
void life_replaced(struct ike *ike, struct ike_sa *sa)
{
	if (sa->life.replaced)
		return;
	sa->life.replaced = true;
	sa->rekey.on = sa->more.on = false;
	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		c->rekey.on = false;
	}
	heap_arm(&ike->timers, &sa->life.timer,
		 mono_min(mono_add(ike->now.mono, dur_s(IKE_HANDOVER_S)), life_hard(sa)));
}

void life_timer(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state != SA_UP)
		return;
	if (sa->life.replaced) {
		if (!reached(ike, life_hard(sa)))
			children_hand_over(ike, sa, "replaced");
		sa_delete(ike, sa, "replaced");
		return;
	}
	look_at_clock(ike, &sa->life);
	if (life_over(ike, sa))
		return;
	tell(ike, sa);
	if (reached(ike, life_renewal(sa)) && partner_of(sa->peer))
		leave_to_hub(ike, sa);
	else if (reached(ike, life_renewal(sa)))
		renew(ike, sa);
	else if (reached(ike, life_soft(sa)))
		sa_want_rekey(ike, sa);
	life_arm(ike, sa);
}

/* Both clocks run alike, unless one was set or stood still. */
void life_clock(struct ike *ike)
{
	int64_t offset = ike->now.wall.s - ike->now.mono.ns / dur_s(1).ns;
	int64_t moved = offset - ike->clock_offset;

	if (!ike->now.wall_ok || (ike->clock_seen && moved >= -1 && moved <= 1))
		return;
	if (ike->clock_seen)
		lease_clock(ike, moved);
	ike->clock_seen = true;
	ike->clock_offset = offset;
	list_for_each(n, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, node);

		if (sa->state != SA_UP || sa->life.certs.s == 0)
			continue;
		look_at_clock(ike, &sa->life);
		life_look(ike, sa);
	}
}
