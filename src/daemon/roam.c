#include "daemon/roam.h"

#include <stdlib.h>

#include "daemon/host.h"
#include "daemon/hostnet.h"
#include "daemon/inner.h"
#include "plat/loop.h"

struct roam {
	struct plat_watch *watch;
	struct plat_poll *poll;
	struct plat_timer *later;
	struct plat_clock *clock;
	struct roam_pace pace;
	mono_t rerouted;
	struct plat_timer *reroute;
	unsigned news; /* not looked at yet */
	bool told; /* the engine has `own` */
	struct outer_addr own[HOSTNET_OUTER_MAX];
	size_t n_own;
};

enum { WHY_MAX = 512 };

/* ---- how often --------------------------------------------------------------------------- */

bool roam_pace_take(struct roam_pace *p, mono_t now, mono_t *ret_when)
{
	const dur_t one = { dur_s(1).ns / ROAM_LOOKS_PER_S };
	const mono_t full = p->full.ns > now.ns ? p->full : now;
	const mono_t when = { full.ns - (ROAM_LOOKS_AT_ONCE - 1) * one.ns };

	if (when.ns > now.ns) {
		*ret_when = when;
		return false;
	}
	p->full = mono_add(full, one);
	return true;
}

/* ---- MTU --------------------------------------------------------------------------------- */

static void follow_mtu(struct host *h)
{
	uint16_t mtu = hostnet_mtu(h->nl, h->conf, h->creds, h->tun.ifindex, h->mtu);
	char buf[WHY_MAX];
	struct text t = TEXT_OF(buf);

	if (mtu == h->mtu)
		return;
	if (plat_link_set_mtu(h->nl, h->tun.ifindex, mtu, &t) != ST_OK) {
		host_log(h, OBS_WARNING, NULL, buf);
		return;
	}
	text_fmt(&t, "device %s: mtu %u -> %u, as the underlay's has changed", h->tun.name, h->mtu,
		 mtu);
	h->mtu = mtu;
	dataplane_set_mtu(h->dp, mtu);
	host_log(h, OBS_INFO, NULL, buf);
}

/* ---- addresses --------------------------------------------------------------------------- */

struct used {
	struct ip v[HOSTNET_OUTER_MAX];
	size_t n;
};

static bool has(const struct ip *v, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&v[i], ip))
			return true;
	return false;
}

static bool note_used(void *ctx, const struct ike_sa_info *sa)
{
	struct used *u = ctx;

	if (!has(u->v, u->n, &sa->local.ip))
		u->v[u->n++] = sa->local.ip;
	return u->n < ARRAY_LEN(u->v);
}

struct looking {
	const struct host *h;
	struct used used;
};

static bool in_use(void *ctx, const struct ip *ip)
{
	const struct looking *l = ctx;

	return has(l->used.v, l->used.n, ip);
}

static bool bound(void *ctx, const struct ip *ip)
{
	const struct looking *l = ctx;

	return underlay_can_send(l->h->underlay, ip);
}

static enum status outer_addresses(struct host *h, struct text *why, struct outer_addr *ret,
				   size_t *ret_n)
{
	struct looking l = { .h = h };
	const struct guard_plan *plan = guarding_now(h);
	const struct hostnet_outer o = { .device = h->tun.ifindex,
					 .in_use = in_use,
					 .bound = bound,
					 .inner = { &plan->local, &plan->domain },
					 .ctx = &l };

	ike_each_sa(h->ike, plat_now(), note_used, &l.used);
	return hostnet_outer(h->nl, &o, why, ret, ret_n);
}

static bool same_outer(const struct roam *r, const struct outer_addr *own, size_t n)
{
	for (size_t i = 0; i < n && n == r->n_own; i++)
		if (!ip_eq(&own[i].ip, &r->own[i].ip) || own[i].ifindex != r->own[i].ifindex ||
		    own[i].link.len != r->own[i].link.len)
			return false;
	return n == r->n_own;
}

/* With the same addresses another route may still be news; that of an address is, since until then
 * its look-up was in vain. */
static void tell_engine(struct host *h, bool routes)
{
	struct roam *r = h->roam;
	struct outer_addr own[HOSTNET_OUTER_MAX];
	struct ip ips[HOSTNET_OUTER_MAX];
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	size_t n = 0;

	if (outer_addresses(h, &why, own, &n) != ST_OK) {
		host_log(h, OBS_ERROR, NULL, buf);
		return;
	}
	if (r->told && !routes && same_outer(r, own, n))
		return;
	for (size_t i = 0; i < n; i++) {
		ips[i] = own[i].ip;
		r->own[i] = own[i];
	}
	r->n_own = n;
	r->told = true;
	uplinks_changed(h->uplinks, own, n);
	if (uplinks_several(h->uplinks))
		plat_timer_at(r->reroute, mono_add(r->rerouted, dur_s(ROAM_REROUTE_S)));
	mesh_network(h->mesh, plat_now(), ips, n);
	wiring_drain(h);
}

/* ---- looking ----------------------------------------------------------------------------- */

static void look(struct host *h, unsigned news)
{
	h->counters[HOST_NET_LOOKS]++;
	guarding_network(h, inner_network(h) || (news & PLAT_WATCH_LINK));
	if (h->stopping) /* without a device */
		return;
	follow_mtu(h);
	tell_engine(h, news & (PLAT_WATCH_MAIN | PLAT_WATCH_RULES | PLAT_WATCH_LOCAL));
}

static void look_soon(struct host *h)
{
	struct roam *r = h->roam;
	const unsigned news = r->news;
	mono_t when;

	if (h->stopping || !news)
		return;
	if (!roam_pace_take(&r->pace, plat_mono(), &when)) {
		h->counters[HOST_NET_PUT_OFF]++;
		plat_timer_at(r->later, when);
		return;
	}
	r->news = 0;
	look(h, news);
}

static void on_news(void *host)
{
	struct host *h = host;

	h->roam->news |= plat_watch_read(h->roam->watch);
	look_soon(h);
}

/* Ten thousand paths take a tenth of a second. */
static void on_reroute(void *host)
{
	struct host *h = host;

	dataplane_reroute(h->dp);
	h->roam->rerouted = plat_mono();
}

static void on_later(void *host)
{
	look_soon(host);
}

/* The wall clock was set, or we slept: another network may be around us, and what ends by the wall
 * clock may be over. */
static void on_clock(void *host)
{
	struct host *h = host;

	h->counters[HOST_CLOCK_SET]++;
	if (h->stopping)
		return;
	h->roam->news |= PLAT_WATCH_MAIN;
	look_soon(h);
	mesh_timer(h->mesh, plat_now());
	wiring_drain(h);
}

/* ---- life -------------------------------------------------------------------------------- */

enum status roam_start(struct host *h, struct text *why)
{
	static const unsigned what = PLAT_WATCH_LINKS | PLAT_WATCH_ADDRS | PLAT_WATCH_RULES |
				     PLAT_WATCH_MAIN | PLAT_WATCH_LOCAL;
	struct roam *r = calloc(1, sizeof(*r));
	enum status st;

	if (!r)
		return ST_NOMEM;
	h->roam = r;
	st = plat_watch_new(PLAT_NS_HERE, what, why, &r->watch);
	if (st != ST_OK)
		return st;
	plat_watch_link(r->watch, h->tun.ifindex);
	st = plat_timer_new(&h->loop, on_later, h, &r->later);
	if (st == ST_OK)
		st = plat_timer_new(&h->loop, on_reroute, h, &r->reroute);
	if (st == ST_OK)
		st = plat_clock_new(&h->loop, on_clock, h, &r->clock);
	if (st == ST_OK)
		st = plat_poll_new(&h->loop, plat_watch_fd(r->watch), on_news, h, &r->poll);
	if (st != ST_OK) {
		text_add(why, "the event loop refuses");
		return st;
	}
	/* What has happened since everything was made. */
	look(h, what | PLAT_WATCH_LINK);
	return ST_OK;
}

void roam_stop(struct host *h)
{
	struct roam *r = h->roam;

	if (!r)
		return;
	plat_poll_free(r->poll);
	plat_timer_free(r->later);
	plat_timer_free(r->reroute);
	plat_clock_free(r->clock);
	r->poll = NULL;
	r->later = r->reroute = NULL;
	r->clock = NULL;
}

void roam_free(struct host *h)
{
	if (!h->roam)
		return;
	plat_watch_free(h->roam->watch);
	free(h->roam);
	h->roam = NULL;
}

/* ---- status ------------------------------------------------------------------------------ */

json_t *roam_json(const struct host *h)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < h->roam->n_own; i++) {
		char buf[IP_TEXT_MAX];

		json_array_append_new(list, json_string(ip_text(&h->roam->own[i].ip, buf)));
	}
	return list;
}
