/*
 * redirect.c - sent on to another gateway (RFC 5685), as its client.
 *
 *	IKE_SA_INIT request {.., N(REDIRECT_SUPPORTED)}		-->
 *		<--  IKE_SA_INIT response {N(REDIRECT, gateway, Ni)}	section 3: nothing vouches
 *for it
 *		<--  IKE_AUTH response {IDr, AUTH, N(REDIRECT, gateway)}	section 6
 *		<--  INFORMATIONAL request {N(REDIRECT, gateway)}		section 5
 *	IKE_SA_INIT request {.., N(REDIRECTED_FROM, who)}	-->	to that one
 *
 * Where we go is all that changes: who answers there is held to the same section (section 3, PAD),
 * so a redirect that somebody forged leads to nobody, and is undone.  It never ends an SA that is
 * up: in IKE_SA_INIT there is only an attempt, in a session the new SA comes first, and takes the
 * place of the old one as any that renews it does.
 *
 * The gateway is kept for as long as it serves, and is called first then; after that it is the
 * configuration's list again.  One that leads nowhere, or too many in a short time (section 7), put
 * an end to it for a while, in which we do not say that we could be sent anywhere either: then
 * nobody may, and whom we call has to serve us or to refuse.
 */
#include "ike/internal.h"

/* Where a gateway sent us, and how often; of a section, from the first time on. */
struct steered {
	char gateway[IKE_GATEWAY_TEXT]; /* "": nowhere */
	struct ip from; /* who said so */
	mono_t at[IKE_MAX_REDIRECTS]; /* when we followed, oldest first */
	size_t n;
	mono_t held; /* not before */
	bool renewing; /* an SA is up that is to be replaced for no other reason */
};

static bool held(const struct ike *ike, const struct steered *st)
{
	return st && mono_before(ike->now.mono, st->held);
}

const char *redirect_gateway(const struct peer *p)
{
	const struct steered *st = p->section->steered;

	return st && st->gateway[0] && p->conf->follow ? st->gateway : NULL;
}

void redirect_forget(struct peer *p)
{
	struct steered *st = p->section ? p->section->steered : NULL;

	if (!st)
		return;
	st->gateway[0] = '\0';
	st->renewing = false;
}

void redirect_free(struct ike *ike, struct section *s)
{
	mem_free(ike->mem, s->steered);
	s->steered = NULL;
}

/* ---- what the request says ---------------------------------------------------------------- */

static void put_from(const struct ip *from, struct wire_out *o)
{
	uint8_t data[2 + 16];
	struct wr w = wr_of(data, sizeof(data));

	wire_gateway_put(&w,
			 &(struct wire_gateway){ from->family == 4 ? WIRE_GW_IPV4 : WIRE_GW_IPV6,
						 ip_raw(from) });
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_REDIRECTED_FROM,
			wr_bytes_of(&w));
}

/* Section 9.3: who says where it comes from could leave the other one out. */
void redirect_put_support(const struct ike *ike, struct ike_sa *sa, struct wire_out *o)
{
	const struct steered *st = sa->peer->section->steered;

	sa->redirects = sa->peer->conf->follow && !held(ike, st);
	if (!sa->redirects)
		return;
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_REDIRECT_SUPPORTED,
			bytes_of(NULL, 0));
	if (st && sa->name_index == IKE_NAME_GATEWAY)
		put_from(&st->from, o);
}

/* ---- whether to follow -------------------------------------------------------------------- */

/* A redirect on its way through the checks. */
struct sent_on {
	struct ike_sa *sa;
	const char *where; /* it came */
	char gateway[IKE_GATEWAY_TEXT];
};

/* What the notify names; false: nothing that anybody could call. */
static bool read_gateway(const struct wire_notify *n, char ret_text[IKE_GATEWAY_TEXT],
			 struct bytes *ret_rest)
{
	struct wire_gateway gw;
	struct ip ip;

	if (wire_gateway_parse(n->data, &gw, ret_rest))
		return false;
	if (gw.type == WIRE_GW_FQDN) {
		memcpy(ret_text, gw.id.p, gw.id.n);
		ret_text[gw.id.n] = '\0';
		return true;
	}
	ip = ip_from_raw(gw.id);
	ip_text(&ip, ret_text);
	return ip_is_host(&ip);
}

static void refused(struct ike *ike, const struct sent_on *r, const char *why)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "the gateway sends us on to %s, in %s (RFC 5685), and we stay: %s", r->gateway,
		 r->where, why);
	peer_error(ike, r->sa->peer, buf);
	event_emit(ike, IKE_EV_REFUSED,
		   (struct event_about){ .sa = r->sa, .reason = IKE_R_REDIRECT }, "%s", buf);
}

static void hold_down(struct ike *ike, struct steered *st)
{
	st->gateway[0] = '\0';
	st->held = mono_add(ike->now.mono, dur_s(IKE_REDIRECT_HOLD_S));
}

/* With the SA that was to be replaced for no other reason, and works. */
static bool stays(struct peer *p, struct steered *st)
{
	bool stay = st->renewing && peer_has_child(p);

	if (stay)
		p->section->renew = false;
	st->renewing = false;
	return stay;
}

static struct steered *steered_get(struct ike *ike, struct section *s)
{
	if (!s->steered)
		s->steered = mem_new(ike->mem, sizeof(*s->steered));
	if (!s->steered)
		count(ike, C_NO_MEMORY);
	return s->steered;
}

/* How many do not count any more, it is so long ago. */
static size_t expired(mono_t now, const struct steered *st)
{
	size_t old = 0;

	while (old < st->n && mono_since(now, st->at[old]).ns >= dur_s(IKE_REDIRECT_PERIOD_S).ns)
		old++;
	return old;
}

static void expire(const struct ike *ike, struct steered *st)
{
	size_t old = expired(ike->now.mono, st);

	st->n -= old;
	memmove(st->at, st->at + old, st->n * sizeof(st->at[0]));
}

/* Section 7: a wrong configuration, or somebody who keeps us from being served. */
static bool loops(struct ike *ike, const struct sent_on *r, struct steered *st)
{
	char why[160];
	struct text t = TEXT_OF(why);

	expire(ike, st);
	if (st->n < IKE_MAX_REDIRECTS)
		return false;
	text_fmt(&t, "that makes more than %d times in %d s; for %d s we are sent nowhere",
		 IKE_MAX_REDIRECTS, IKE_REDIRECT_PERIOD_S, IKE_REDIRECT_HOLD_S);
	count(ike, C_REDIRECT_LOOP);
	hold_down(ike, st);
	(void)stays(r->sa->peer, st);
	refused(ike, r, why);
	return true;
}

/* Where we go from now on; the old SA, if there is one, stays until the new one is up. */
static void follow(struct ike *ike, const struct sent_on *r, struct steered *st)
{
	struct section *s = r->sa->peer->section;
	char from[IP_TEXT_MAX];

	expire(ike, st);
	st->at[st->n++] = ike->now.mono;
	st->from = r->sa->path.remote.ip;
	memcpy(st->gateway, r->gateway, sizeof(st->gateway));
	if (r->sa->state == SA_UP && !s->renew)
		st->renewing = true;
	count(ike, C_REDIRECTED);
	event_emit(ike, IKE_EV_REDIRECTED, (struct event_about){ .sa = r->sa },
		   "sent on from %s to %s, in %s", ip_text(&st->from, from), st->gateway, r->where);
}

enum verdict {
	STAY,
	GO, /* peer_steer() leads there */
	AFRESH, /* sent on too often: peer_steer() ends the attempt, and leads to the first
		   address if there is no SA that does */
};

static enum verdict judge(struct ike *ike, const struct sent_on *r)
{
	struct peer *p = r->sa->peer;
	struct steered *st;

	if (p->removed || ike->shutdown)
		return STAY;
	if (!p->conf->follow) {
		count(ike, C_REDIRECT_UNWANTED);
		refused(ike, r, "redirect = no");
		return STAY;
	}
	st = steered_get(ike, p->section);
	if (!st)
		return STAY;
	if (loops(ike, r, st))
		return AFRESH;
	follow(ike, r, st);
	return GO;
}

/* ---- IKE_SA_INIT -------------------------------------------------------------------------- */

/* Section 3: without our nonce it is dropped in silence, and the true answer may still come. */
enum status redirect_i_init(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = wire_find_notify(&rx->msg->clear, WIRE_N_REDIRECT);
	struct sent_on r = { .sa = sa, .where = "IKE_SA_INIT, which nothing vouches for" };
	struct peer *p = sa->peer;
	struct bytes nonce;

	if (!sa->redirects) {
		count(ike, C_REDIRECT_UNASKED);
		return ST_DROP;
	}
	if (rx->msg->hdr.spi_r || !read_gateway(n, r.gateway, &nonce)) {
		count(ike, C_REDIRECT_MALFORMED);
		return ST_DROP;
	}
	if (!ct_equal(nonce, sa->hs->nonce_i)) {
		count(ike, C_REDIRECT_FORGED);
		return ST_DROP;
	}
	if (judge(ike, &r) == STAY)
		return ST_DROP;
	peer_steer(ike, p);
	return ST_OK;
}

/* ---- IKE_AUTH ----------------------------------------------------------------------------- */

/* Section 6: instead of a child. */
const struct wire_notify *redirect_in_auth(const struct wire_payloads *in)
{
	return in->present & WIRE_BIT(WIRE_P_SA) ? NULL : wire_find_notify(in, WIRE_N_REDIRECT);
}

/* The gateway has proved who it is: its word counts.  The IKE SA is of no use, whatever follows. */
void redirect_i_auth(struct ike *ike, struct attempt *at, const struct wire_notify *n)
{
	struct sent_on r = { .sa = at->sa, .where = "IKE_AUTH" };
	struct ike_sa *sa = at->sa;
	struct peer *p = sa->peer;
	struct bytes rest;

	if (!sa->redirects || !read_gateway(n, r.gateway, &rest) || rest.n) {
		count(ike, sa->redirects ? C_REDIRECT_MALFORMED : C_REDIRECT_UNASKED);
		sa_reject(
			ike, sa, IKE_R_REDIRECT,
			"the gateway sends us on (RFC 5685), though we did not say that it might, "
			"or it does not say where to");
		return;
	}
	if (judge(ike, &r) != STAY) {
		peer_steer(ike, p);
		return;
	}
	sa_delete(ike, sa, "sent on to another gateway, where we do not go");
	peer_attempt_failed(ike, p, "sent on to another gateway, where we do not go");
}

/* ---- in a session ------------------------------------------------------------------------- */

void redirect_in_session(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_REDIRECT);
	struct sent_on r = { .sa = sa, .where = "the session" };
	struct bytes rest;

	if (!n || sa->state != SA_UP || sa->life.replaced)
		return;
	/* Section 10: only whom we called may, and only if we said that we would go. */
	if (!sa->called || !sa->redirects) {
		count(ike, C_REDIRECT_UNASKED);
		return;
	}
	if (!read_gateway(n, r.gateway, &rest) || rest.n) {
		count(ike, C_REDIRECT_MALFORMED);
		return;
	}
	if (held(ike, sa->peer->section->steered)) {
		count(ike, C_REDIRECT_HELD);
		return;
	}
	switch (judge(ike, &r)) {
	case STAY: return;
	case GO: sa->peer->section->renew = true; break;
	case AFRESH: break;
	}
	peer_steer(ike, sa->peer);
}

/* ---- what comes of it --------------------------------------------------------------------- */

bool redirect_failed(struct ike *ike, struct peer *p)
{
	struct steered *st = p->section->steered;
	char gateway[IKE_GATEWAY_TEXT];
	bool stay;

	if (!p->section->at_gateway || !st)
		return false;
	p->section->at_gateway = false;
	memcpy(gateway, st->gateway, sizeof(gateway));
	stay = stays(p, st);
	hold_down(ike, st);
	count(ike, C_REDIRECT_FAILED);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .peer = p, .reason = IKE_R_REDIRECT },
		   "%s, where we were sent, is of no use: %s; for %d s we are sent nowhere",
		   gateway,
		   stay ? "the tunnel that there is stays" : "back to the configured addresses",
		   IKE_REDIRECT_HOLD_S);
	return stay;
}

void redirect_served(struct peer *p, const struct ike_sa *sa)
{
	struct steered *st = p->section->steered;

	if (!st)
		return;
	st->renewing = false;
	if (sa->called && sa->name_index != IKE_NAME_GATEWAY)
		st->gateway[0] = '\0';
}

void redirect_info(const struct peer *p, struct now now, struct ike_peer_info *ret)
{
	const struct steered *st = p->section ? p->section->steered : NULL;

	ret->held_in = (dur_t){ -1 };
	if (!st)
		return;
	ret->gateway = st->gateway;
	ret->sent_by = st->from;
	ret->sent_on = st->n - expired(now.mono, st);
	if (mono_before(now.mono, st->held))
		ret->held_in = mono_since(st->held, now.mono);
}
