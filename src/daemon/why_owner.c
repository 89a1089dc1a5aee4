/*
 * why_owner.c - whose an address is: people ask with the address that does not answer.
 */
#include "daemon/why.h"

struct owner {
	const struct ike *ike;
	const struct ip *ip;
	ike_peer_id id; /* 0: nobody's so far */
	struct wire_ts ts; /* by which it is that peer's */
	bool up;
};

static bool holds(const struct wire_ts *ts, const struct ip *ip)
{
	return ts->start.family == ip->family && ip_cmp(&ts->start, ip) <= 0 &&
	       ip_cmp(ip, &ts->end) <= 0;
}

/* The narrower claim wins, as it does for packets; of equal ones that of a peer that is up. */
static bool is_better(const struct owner *o, const struct wire_ts *ts, bool up)
{
	bool inside, around;

	if (o->id == 0)
		return true;
	inside = holds(&o->ts, &ts->start) && holds(&o->ts, &ts->end);
	around = holds(ts, &o->ts.start) && holds(ts, &o->ts.end);
	return inside && (!around || (up && !o->up));
}

/* What is behind a peer, whether it is up or not. */
static struct wire_ts_list behind(const struct ike *ike, const struct ike_peer_info *p,
				  struct arena *ar)
{
	struct wire_ts_list allowed = { 0 };
	char ignored[8];
	struct text by = TEXT_OF(ignored);

	switch (p->conf->role) {
	case IKE_ROLE_PARTNER:
	case IKE_ROLE_FIXED: return p->conf->ts_remote;
	case IKE_ROLE_HUB: return p->conf->domain;
	case IKE_ROLE_MEMBERS: break;
	}
	return ike_peer_authority(ike, p->id, ar, &by, &allowed) == ST_OK
		       ? allowed
		       : (struct wire_ts_list){ 0 };
}

static bool is_ours(const struct ike_peer_conf *c, const struct ip *ip)
{
	bool found = false;

	for (size_t i = 0; c->role == IKE_ROLE_HUB && i < c->ts_local.n; i++)
		found |= holds(&c->ts_local.ts[i], ip);
	return found;
}

static bool on_inner(void *ctx, const struct ike_peer_info *p)
{
	bool up = strcmp(p->state, "up") == 0;
	struct owner *o = ctx;
	struct wire_ts_list l;
	struct arena ar;

	arena_init(&ar, &mem_libc, 2048);
	l = behind(o->ike, p, &ar);
	for (size_t i = 0; i < l.n && !is_ours(p->conf, o->ip); i++) {
		if (!holds(&l.ts[i], o->ip) || !is_better(o, &l.ts[i], up))
			continue;
		o->id = p->id;
		o->ts = l.ts[i];
		o->up = up;
	}
	arena_done(&ar);
	return true;
}

static bool on_outer(void *ctx, const struct ike_sa_info *sa)
{
	struct owner *o = ctx;

	if (sa->peer && ip_eq(&sa->remote.ip, o->ip))
		o->id = sa->peer;
	return o->id == 0;
}

ike_peer_id why_owner(const struct host *h, const char *address)
{
	struct ip ip;
	struct owner o = { .ike = h->ike, .ip = &ip };

	if (ip_parse(address, &ip) != ST_OK)
		return 0;
	ike_each_sa(h->ike, plat_now(), on_outer, &o);
	if (o.id == 0)
		ike_each_peer(h->ike, plat_now(), 0, on_inner, &o);
	return o.id;
}
