#include "daemon/guarding.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/host.h"
#include "daemon/hostnet.h"
#include "daemon/inner.h"

/* How long until another try, after something of the block could not be put right. */
#define RETRY_S 1

/* What a hub told, now or in an earlier life; in memory, too: a file that cannot be read any more
 * is no reason to open anything. */
struct told {
	struct list node;
	struct guard_prefixes domain;
	char network[];
};

struct guarding {
	struct guard *guard;
	struct list told;
	struct guard_plan plan; /* as it stands */
	struct plat_poll *polls[GUARD_FDS];
	struct plat_timer *retry;
	struct own_addrs own; /* what the routes were made for */
	bool down; /* the device is, and that was said */
};

enum { WHY_MAX = 512 };

/* That of the start: another one becomes ours with the next. */
static const char *state_dir(const struct host *h)
{
	return h->conf_started->state.s;
}

/* ---- what is known ----------------------------------------------------------------------- */

struct known {
	struct host *h;
	const struct conf_creds *creds;
};

static struct told *told_by(const struct guarding *g, const char *network)
{
	for (struct list *n = g->told.next; n != &g->told; n = n->next) {
		struct told *t = CONTAINER_OF(n, struct told, node);

		if (strcmp(t->network, network) == 0)
			return t;
	}
	return NULL;
}

/* Takes `domain`. */
static enum status remember(struct guarding *g, const char *network, struct guard_prefixes *domain)
{
	struct told *t = told_by(g, network);
	size_t n = strlen(network) + 1;

	if (!t) {
		t = calloc(1, sizeof(*t) + n);
		if (!t) {
			guard_prefixes_done(domain);
			return ST_NOMEM;
		}
		memcpy(t->network, network, n);
		list_add_tail(&g->told, &t->node);
	}
	guard_prefixes_done(&t->domain);
	t->domain = *domain;
	return ST_OK;
}

static enum status append(struct guard_prefixes *to, const struct prefix *v, size_t n)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < n && st == ST_OK; i++)
		st = guard_prefixes_add(to, &v[i]);
	return st;
}

/* No bundle and no configuration says it.  Nothing was told: nothing is known. */
static enum status learnt(struct host *h, const char *network, struct guard_prefixes *ret)
{
	struct guard_prefixes saved;
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = ST_OK;

	if (!told_by(h->guarding, network)) {
		st = guard_learnt(state_dir(h), network, &why, &saved);
		if (st == ST_OK)
			st = remember(h->guarding, network, &saved);
		else if (st == ST_IO || st == ST_INVAL)
			host_log(h, OBS_ERROR, NULL, buf);
		if (st != ST_OK)
			return st == ST_NOMEM ? st : ST_OK;
	}
	return append(ret, told_by(h->guarding, network)->domain.v,
		      told_by(h->guarding, network)->domain.n);
}

static enum status network_facts(void *ctx, const struct conf *conf, size_t index,
				 struct guarding_facts *ret)
{
	const struct known *k = ctx;
	const struct conf_network_creds *c = conf_creds_network(k->creds, index);
	const struct conf_network *n = conf->networks;
	enum status st = guarding_add_ts(&ret->domain, &c->domain);

	for (size_t i = 0; i < index; i++)
		n = n->next;
	if (st == ST_OK && ret->domain.n == 0)
		st = learnt(k->h, n->name, &ret->domain);
	return st == ST_OK ? guarding_add_ts(&ret->local, &c->protect) : st;
}

static enum status given(void *ctx, const char *section, struct guard_prefixes *ret)
{
	const struct known *k = ctx;

	return inner_given(k->h, section, ret);
}

/* ---- addresses --------------------------------------------------------------------------- */

/* The host's addresses where the guard needs them, and the routes into the device.  Takes `own`. */
static enum status attach_to(struct host *h, const struct conf *conf,
			     const struct conf_creds *creds, struct own_addrs *own,
			     struct text *why)
{
	struct known k = { h, creds };
	const struct guarding_source source = { network_facts, given, &k };
	struct guarding *g = h->guarding;
	struct ip *src = calloc(g->plan.domain.n + 1, sizeof(*src));
	enum status st = src ? guard_host(g->guard, own->v, own->n, why) : ST_NOMEM;

	if (st == ST_OK)
		st = guarding_sources(conf, &source, &g->plan, own->v, own->n, src);
	if (st == ST_OK)
		st = guard_attach(g->guard, h->tun.ifindex, src, why);
	free(src);
	hostnet_addrs_done(&g->own);
	g->own = *own;
	*own = (struct own_addrs){ 0 };
	return st;
}

static enum status attach(struct host *h, const struct conf *conf, const struct conf_creds *creds,
			  struct text *why)
{
	struct own_addrs own;
	enum status st = hostnet_addrs(h->nl, why, &own);

	return st == ST_OK ? attach_to(h, conf, creds, &own, why) : st;
}

static bool same_addrs(const struct own_addrs *a, const struct own_addrs *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

/* Devices and addresses of containers come and go, and are none of ours: only where an address has
 * changed, or `anyway`. */
static enum status attach_again(struct host *h, bool anyway, struct text *why)
{
	struct own_addrs own;
	enum status st = hostnet_addrs(h->nl, why, &own);

	if (st != ST_OK)
		return st;
	if (anyway || !same_addrs(&own, &h->guarding->own))
		return attach_to(h, h->conf, h->creds, &own, why);
	hostnet_addrs_done(&own);
	return ST_OK;
}

/* ---- start ------------------------------------------------------------------------------- */

enum status guarding_start(struct host *h, struct text *why)
{
	struct known k = { h, h->creds };
	const struct guarding_source source = { network_facts, given, &k };
	enum status st;

	h->guarding = calloc(1, sizeof(*h->guarding));
	if (!h->guarding)
		return ST_NOMEM;
	list_init(&h->guarding->told);
	st = guarding_plan(h->conf, &source, &h->guarding->plan);
	if (st == ST_OK)
		st = guard_new(PLAT_NS_HERE, why, &h->guarding->guard);
	if (st == ST_OK)
		st = guard_block(h->guarding->guard, &h->guarding->plan, why);
	return st;
}

static void warn(void *ctx, const char *text)
{
	host_log(ctx, OBS_WARNING, NULL, text);
}

enum status guarding_attach(struct host *h, struct text *why)
{
	enum status st = attach(h, h->conf, h->creds, why);

	if (st == ST_OK)
		hostnet_check(h->conf, h->creds, &h->guarding->own, warn, h);
	return st;
}

static void save_plan(struct host *h)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	if (guard_plan_save(state_dir(h), &h->guarding->plan, &why) != ST_OK)
		host_log(h, OBS_WARNING, NULL, buf);
}

/* ---- change ------------------------------------------------------------------------------ */

static void failed(struct host *h, enum status st, const char *why)
{
	host_log(h, OBS_ERROR, NULL, *why ? why : status_name(st));
	if (h->guarding->retry)
		plat_timer_at(h->guarding->retry, mono_add(plat_mono(), dur_s(RETRY_S)));
}

/* Takes `plan`. */
static enum status adopt_plan(struct host *h, struct guard_plan *plan, struct text *why)
{
	struct guarding *g = h->guarding;
	enum status st;

	/* What only a restart changes. */
	memcpy(plan->device, g->plan.device, sizeof(plan->device));
	memcpy(plan->ports, g->plan.ports, sizeof(plan->ports));
	st = guard_block(g->guard, plan, why);
	if (st != ST_OK) {
		guard_plan_done(plan);
		return st;
	}
	guard_plan_done(&g->plan);
	g->plan = *plan;
	return ST_OK;
}

static enum status make_plan(struct host *h, const struct conf *conf,
			     const struct conf_creds *creds, struct guard_plan *ret)
{
	struct known k = { h, creds };
	const struct guarding_source source = { network_facts, given, &k };

	return guarding_plan(conf, &source, ret);
}

/* Sites of the new plan are let through at once where nothing was blocked before. */
static enum status add_sites(struct guard_prefixes *to, const struct guard_prefixes *sites,
			     const struct guard_plan *stands)
{
	struct guard_shape shape;
	enum status st = guard_shape_of(stands, &shape);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < sites->n && st == ST_OK; i++)
		if (!guard_ranges_have(&shape.domain, &sites->v[i].ip))
			st = guard_prefixes_add(to, &sites->v[i]);
	guard_shape_done(&shape);
	return st;
}

enum status guarding_widen(struct host *h, const struct conf *conf, const struct conf_creds *creds,
			   struct text *why)
{
	const struct guard_plan *stands = &h->guarding->plan;
	struct guard_prefixes sites;
	struct guard_plan plan;
	enum status st = make_plan(h, conf, creds, &plan);

	if (st != ST_OK)
		return st;
	sites = plan.local;
	plan.local = (struct guard_prefixes){ 0 };
	st = append(&plan.domain, stands->domain.v, stands->domain.n);
	if (st == ST_OK)
		st = append(&plan.local, stands->local.v, stands->local.n);
	if (st == ST_OK)
		st = add_sites(&plan.local, &sites, stands);
	guard_prefixes_done(&sites);
	if (st != ST_OK) {
		guard_plan_done(&plan);
		return st;
	}
	guard_plan_normalise(&plan);
	return adopt_plan(h, &plan, why);
}

/* The plan of what runs. */
static enum status follow_conf(struct host *h, struct text *why)
{
	struct guard_plan plan;
	enum status st = make_plan(h, h->conf, h->creds, &plan);

	return st == ST_OK ? adopt_plan(h, &plan, why) : st;
}

void guarding_follow(struct host *h)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = follow_conf(h, &why);

	if (st == ST_OK && !h->guarding->down)
		st = attach(h, h->conf, h->creds, &why);
	if (st == ST_OK)
		save_plan(h);
	else
		failed(h, st, buf);
}

/* It is guarded also if it cannot be kept. */
void guarding_learn(struct host *h, const char *network, const struct prefix *v, size_t n)
{
	struct guard_prefixes domain = { 0 };
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = append(&domain, v, n);

	guard_prefixes_sort(&domain);
	if (st == ST_OK && guard_learn(state_dir(h), network, v, n, &why) != ST_OK)
		host_log(h, OBS_WARNING, NULL, buf);
	if (st == ST_OK)
		st = remember(h->guarding, network, &domain);
	else
		guard_prefixes_done(&domain);
	if (st == ST_OK)
		guarding_follow(h);
	else
		host_log(h, OBS_ERROR, NULL, "domain of a network: out of memory");
}

const struct guard_plan *guarding_now(const struct host *h)
{
	return &h->guarding->plan;
}

/* ---- watching ---------------------------------------------------------------------------- */

/* Said once, with its end. */
static void say_down(struct host *h, bool down)
{
	char buf[WHY_MAX];
	struct text t = TEXT_OF(buf);

	if (h->guarding->down == down)
		return;
	h->guarding->down = down;
	text_fmt(&t, "device %s is %s: the domain is %s", h->tun.name, down ? "down" : "up again",
		 down ? "unreachable until it is up" : "led into it again");
	host_log(h, OBS_WARNING, NULL, buf);
}

/* Without the device nothing is of use any more; who started us will start us again. */
static void device_gone(struct host *h)
{
	host_log(h, OBS_ERROR, NULL, "somebody deleted the device of the tunnel");
	h->failed = true;
	host_shutdown(h, "no device");
}

void guarding_network(struct host *h, bool device)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	struct plat_link link;
	enum status st = plat_link_get(h->nl, h->tun.ifindex, &why, &link);

	if (st != ST_OK) {
		if (plat_nl_errno(h->nl) == ENODEV)
			device_gone(h);
		else
			failed(h, st, buf);
		return;
	}
	say_down(h, !link.up);
	st = link.up ? attach_again(h, device, &why) : guard_detach(h->guarding->guard, &why);
	if (st != ST_OK)
		failed(h, st, buf);
}

static void repair(struct host *h)
{
	char buf[WHY_MAX], said[WHY_MAX], line[2 * WHY_MAX];
	struct text why = TEXT_OF(buf), what = TEXT_OF(said), t = TEXT_OF(line);
	enum status st = guard_check(h->guarding->guard, &what, &why);

	if (what.n) {
		text_fmt(&t, "somebody took away or changed part of the block: %s; it is put back",
			 said);
		host_log(h, OBS_WARNING, NULL, line);
	}
	if (st != ST_OK)
		failed(h, st, buf);
}

static void on_guard(void *host)
{
	repair(host);
}

static void on_retry(void *host)
{
	struct host *h = host;
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = follow_conf(h, &why);

	if (st != ST_OK) {
		failed(h, st, buf);
		return;
	}
	save_plan(h);
	if (!h->stopping)
		guarding_network(h, true);
}

enum status guarding_watch(struct host *h, struct text *why)
{
	struct guarding *g = h->guarding;
	int fds[GUARD_FDS];
	enum status st = plat_timer_new(&h->loop, on_retry, h, &g->retry);

	guard_fds(g->guard, fds);
	for (size_t i = 0; i < GUARD_FDS && st == ST_OK; i++)
		st = plat_poll_new(&h->loop, fds[i], on_guard, h, &g->polls[i]);
	if (st != ST_OK) {
		text_add(why, "the event loop refuses");
		return st;
	}
	save_plan(h);
	repair(h); /* what has happened since we looked */
	return ST_OK;
}

/* ---- the end ----------------------------------------------------------------------------- */

void guarding_stop(struct host *h)
{
	struct guarding *g = h->guarding;

	if (!g)
		return;
	plat_timer_free(g->retry);
	for (size_t i = 0; i < GUARD_FDS; i++)
		plat_poll_free(g->polls[i]);
	g->retry = NULL;
	memset(g->polls, 0, sizeof(g->polls));
}

void guarding_free(struct host *h)
{
	struct guarding *g = h->guarding;
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	if (!g)
		return;
	/* Before the device goes: packets to it are told that it does. */
	if (g->guard && guard_detach(g->guard, &why) != ST_OK)
		host_log(h, OBS_WARNING, NULL, buf);
	guard_free(g->guard);
	guard_plan_done(&g->plan);
	hostnet_addrs_done(&g->own);
	list_for_each_safe(n, &g->told) {
		struct told *t = CONTAINER_OF(n, struct told, node);

		guard_prefixes_done(&t->domain);
		free(t);
	}
	free(g);
	h->guarding = NULL;
}

/* ---- status ------------------------------------------------------------------------------ */

bool guarding_counter(const void *host, size_t index, const char **ret_name, uint64_t *ret_value)
{
	const struct host *h = host;
	uint64_t counters[GUARD_COUNTERS];
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);

	if (index >= GUARD_COUNTERS)
		return false;
	*ret_name = guard_counter_names[index];
	if (guard_counters(h->guarding->guard, counters, &why) != ST_OK)
		memset(counters, 0, sizeof(counters));
	*ret_value = counters[index];
	return true;
}

/* A domain of thousands of prefixes is for `ip route show table`; status has the first ones. */
#define LISTED_MAX 100

static json_t *prefixes_json(const struct guard_prefixes *l)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < l->n && i < LISTED_MAX; i++) {
		char buf[PREFIX_TEXT_MAX];

		json_array_append_new(list, json_string(prefix_text(&l->v[i], buf)));
	}
	return list;
}

json_t *guarding_json(const struct host *h)
{
	const struct guarding *g = h->guarding;

	return json_pack("{s:s, s:I, s:o, s:I, s:o}", "state", state_dir(h), "domain_prefixes",
			 (json_int_t)g->plan.domain.n, "domain", prefixes_json(&g->plan.domain),
			 "local_prefixes", (json_int_t)g->plan.local.n, "local",
			 prefixes_json(&g->plan.local));
}
