/* guarding_plan.c - what a configuration wants guarded. */
#include "daemon/guarding.h"

#include <stdlib.h>

/* A range takes at most twice as many prefixes as its family has bits. */
enum { RANGE_PREFIXES_MAX = 256 };

void guarding_facts_done(struct guarding_facts *f)
{
	guard_prefixes_done(&f->domain);
	guard_prefixes_done(&f->local);
	guard_prefixes_done(&f->given);
}

enum status guarding_add_ts(struct guard_prefixes *l, const struct wire_ts_list *ts)
{
	struct prefix p[RANGE_PREFIXES_MAX];
	enum status st = ST_OK;

	for (size_t i = 0; i < ts->n && st == ST_OK; i++) {
		size_t n = policy_ts_prefixes(&ts->ts[i], p, ARRAY_LEN(p));

		for (size_t k = 0; k < n && st == ST_OK; k++)
			st = guard_prefixes_add(l, &p[k]);
	}
	return st;
}

static enum status peer_facts(const struct conf_peer *peer, struct guarding_facts *ret)
{
	enum status st = guarding_add_ts(&ret->domain, &peer->remote_ts.ts);

	return st == ST_OK ? guarding_add_ts(&ret->local, &peer->local_ts.ts) : st;
}

/* ---- each peer, each network ------------------------------------------------------------- */

typedef enum status facts_fn(void *ctx, const struct guarding_facts *f);

struct every {
	const struct guarding_source *source;
	facts_fn *fn;
	void *ctx;
};

/* Takes `f`, if it could be had. */
static enum status use(const struct every *e, const char *section, enum status st,
		       struct guarding_facts *f)
{
	if (st == ST_OK && e->source->given)
		st = e->source->given(e->source->ctx, section, &f->given);
	if (st == ST_OK)
		st = e->fn(e->ctx, f);
	guarding_facts_done(f);
	return st;
}

static enum status each(const struct conf *conf, const struct guarding_source *source, facts_fn *fn,
			void *ctx)
{
	const struct every e = { source, fn, ctx };
	const struct conf_network *n = conf->networks;
	enum status st = ST_OK;

	for (const struct conf_peer *p = conf->peers; p && st == ST_OK; p = p->next) {
		struct guarding_facts f = { 0 };

		st = use(&e, p->name, peer_facts(p, &f), &f);
	}
	for (size_t i = 0; i < conf->n_networks && st == ST_OK; i++, n = n->next) {
		struct guarding_facts f = { 0 };

		st = use(&e, n->name, source->network(source->ctx, conf, i, &f), &f);
	}
	return st;
}

/* ---- plans ------------------------------------------------------------------------------- */

static enum status append(struct guard_prefixes *to, const struct guard_prefixes *from)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < from->n && st == ST_OK; i++)
		st = guard_prefixes_add(to, &from->v[i]);
	return st;
}

static enum status into_plan(void *ctx, const struct guarding_facts *f)
{
	struct guard_plan *p = ctx;
	enum status st = append(&p->domain, &f->domain);

	if (st == ST_OK)
		st = append(&p->local, &f->local);
	return st == ST_OK ? append(&p->given, &f->given) : st;
}

enum status guarding_plan(const struct conf *conf, const struct guarding_source *source,
			  struct guard_plan *ret_plan)
{
	struct guard_plan p = { .ports = { (uint16_t)conf->port.v, (uint16_t)conf->nat_port.v } };
	struct text name = TEXT_OF(p.device);
	enum status st = each(conf, source, into_plan, &p);

	text_add(&name, conf->interface.s);
	if (st != ST_OK) {
		guard_plan_done(&p);
		return st;
	}
	guard_plan_normalise(&p);
	*ret_plan = p;
	return ST_OK;
}

/* ---- preferred sources ------------------------------------------------------------------- */

struct sources {
	const struct guard_plan *plan;
	const struct ip *own;
	size_t n_own;
	struct ip *src;
	bool *decided;
};

static int by_prefix(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int c = ip_cmp(&x->ip, &y->ip);

	return c ? c : (int)x->len - (int)y->len;
}

static struct ip source_in(const struct sources *s, const struct guard_prefixes *local,
			   uint8_t family)
{
	for (size_t i = 0; i < s->n_own; i++)
		for (size_t k = 0; s->own[i].family == family && k < local->n; k++)
			if (prefix_has(&local->v[k], &s->own[i]))
				return s->own[i];
	return (struct ip){ 0 };
}

static struct ip source_of(const struct sources *s, const struct guarding_facts *f, uint8_t family)
{
	struct ip given = source_in(s, &f->given, family);

	return given.family ? given : source_in(s, &f->local, family);
}

static enum status into_sources(void *ctx, const struct guarding_facts *f)
{
	struct sources *s = ctx;
	const struct ip four = source_of(s, f, 4), six = source_of(s, f, 6);

	for (size_t i = 0; i < f->domain.n && s->plan->domain.n; i++) {
		const struct prefix *at = bsearch(&f->domain.v[i], s->plan->domain.v,
						  s->plan->domain.n, sizeof(*at), by_prefix);
		size_t k = at ? (size_t)(at - s->plan->domain.v) : 0;

		if (!at || s->decided[k])
			continue;
		s->decided[k] = true;
		s->src[k] = at->ip.family == 6 ? six : four;
	}
	return ST_OK;
}

enum status guarding_sources(const struct conf *conf, const struct guarding_source *source,
			     const struct guard_plan *plan, const struct ip *own, size_t n_own,
			     struct ip *ret_src)
{
	struct sources s = { plan, own, n_own, ret_src, calloc(plan->domain.n + 1, sizeof(bool)) };
	enum status st;

	if (!s.decided)
		return ST_NOMEM;
	memset(ret_src, 0, plan->domain.n * sizeof(*ret_src));
	st = each(conf, source, into_sources, &s);
	free(s.decided);
	return st;
}
