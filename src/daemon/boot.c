/*
 * boot.c - the block before there is a daemon: from the configuration and what it names, without
 * any secret; from the plan that was last in force, where that cannot be read.
 */
#include "daemon/guarding.h"

#include <stdio.h>
#include <stdlib.h>

#include "obs/obs.h"
#include "pki/pki.h"
#include "plat/process.h"

#define STATE_DEFAULT "/var/lib/warren"

enum { WHY_MAX = 512, LINE_MAX_LEN = 8192 };

static void say(const char *s)
{
	char buf[LINE_MAX_LEN];
	struct text clean = TEXT_OF(buf);

	obs_clean(&clean, bytes_str(s));
	fprintf(stderr, "warrend: %s\n", buf);
}

/* ---- the configuration, without secrets -------------------------------------------------- */

/* Anything that can be a pre-shared key: nobody will use it. */
static enum status read_but_secrets(void *ctx, const char *path, size_t max,
				    const struct alloc *mem, struct text *why, uint8_t **ret_p,
				    size_t *ret_n)
{
	static const char stand_in[] = "not the pre-shared key";
	struct bytes copy;

	if (strcmp(path, ctx) == 0)
		return conf_source_files.read(conf_source_files.ctx, path, max, mem, why, ret_p,
					      ret_n);
	if (mem_dup(mem, bytes_of(stand_in, sizeof(stand_in) - 1), &copy) != ST_OK)
		return ST_NOMEM;
	*ret_p = (uint8_t *)(uintptr_t)copy.p;
	*ret_n = copy.n;
	return ST_OK;
}

static void say_errors(const struct conf_errors *errs)
{
	for (const struct conf_error *e = errs->head; e; e = e->next) {
		char buf[LINE_MAX_LEN];
		struct text line = TEXT_OF(buf);

		conf_error_text(errs, e, &line);
		say(buf);
	}
}

static enum status read_conf(const char *file, struct conf **ret_conf)
{
	char *path = strdup(file);
	const struct conf_source source = { read_but_secrets, path };
	struct conf_errors errs;
	enum status st = ST_NOMEM;

	if (!path)
		return st;
	conf_errors_init(&errs, &mem_libc);
	st = conf_load(&mem_libc, &source, file, &errs, ret_conf);
	say_errors(&errs);
	conf_errors_done(&errs);
	free(path);
	return st;
}

/* ---- networks ---------------------------------------------------------------------------- */

struct boot {
	bool incomplete; /* a network's domain is not known */
};

static enum status add_blocks(struct guard_prefixes *l, const struct pki_blocks *b)
{
	struct wire_ts ts[PKI_BLOCKS_MAX];

	for (size_t i = 0; i < b->n; i++)
		ts[i] = (struct wire_ts){ .port_end = 65535,
					  .start = b->range[i].first,
					  .end = b->range[i].last };
	return guarding_add_ts(l, &(struct wire_ts_list){ .ts = ts, .n = b->n });
}

/* Dates are not asked: what was secret yesterday is so today. */
static enum status bundle_facts(const struct conf_network *n, struct text *why,
				struct guarding_facts *ret)
{
	struct pki_blob text;
	struct pki_bundle *b;
	enum status st = pki_file_read(n->identity.s, PKI_FILE_MAX, why, &text);

	if (st != ST_OK)
		return st;
	st = pki_bundle_read(pki_blob_bytes(&text), NULL, why, &b);
	pki_blob_done(&text);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < b->manifest.n_domain && st == ST_OK; i++)
		st = guard_prefixes_add(&ret->domain, &b->manifest.domain[i]);
	if (st == ST_OK)
		st = add_blocks(&ret->local, &b->blocks);
	pki_bundle_free(b);
	return st;
}

static enum status cert_blocks(const char *path, struct text *why, struct guard_prefixes *l)
{
	struct pki_cert_info info;
	struct pki_blob pem;
	enum status st = pki_file_read(path, PKI_FILE_MAX, why, &pem);

	if (st != ST_OK)
		return st;
	st = pki_cert_read_pem(pki_blob_bytes(&pem), why, &info);
	pki_blob_done(&pem);
	return st == ST_OK ? add_blocks(l, &info.blocks) : st;
}

static enum status cert_facts(const struct conf_network *n, struct text *why,
			      struct guarding_facts *ret)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < n->trust.n && st == ST_OK; i++)
		st = cert_blocks(n->trust.v[i].s, why, &ret->domain);
	if (st == ST_OK && n->certificate.s)
		st = cert_blocks(n->certificate.s, why, &ret->local);
	return st;
}

/* What the section says stands in place of what the certificates do.  A hub's certificate has the
 * blocks of the whole domain, which are not behind it, and behind an endpoint is nothing. */
static enum status section_facts(const struct conf_network *n, struct guarding_facts *f)
{
	enum status st = ST_OK;

	if (n->domain.ts.n) {
		guard_prefixes_done(&f->domain);
		st = guarding_add_ts(&f->domain, &n->domain.ts);
	}
	if (n->protect.ts.n || n->role.v != CONF_ROLE_SITE)
		guard_prefixes_done(&f->local);
	return st == ST_OK ? guarding_add_ts(&f->local, &n->protect.ts) : st;
}

static enum status learnt_facts(const struct conf *conf, const struct conf_network *n,
				struct guarding_facts *f)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = ST_OK;

	if (f->domain.n == 0)
		st = guard_learnt(conf->state.s, n->name, &why, &f->domain);
	return st == ST_NOMEM ? st : ST_OK;
}

static enum status network_facts(void *ctx, const struct conf *conf, size_t index,
				 struct guarding_facts *ret)
{
	const struct conf_network *n = conf->networks;
	struct boot *b = ctx;
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st;

	for (size_t i = 0; i < index; i++)
		n = n->next;
	st = n->identity.s ? bundle_facts(n, &why, ret) : cert_facts(n, &why, ret);
	if (st == ST_NOMEM)
		return st;
	if (st != ST_OK) {
		b->incomplete = true;
		say(buf);
	}
	st = section_facts(n, ret);
	if (st == ST_OK)
		st = learnt_facts(conf, n, ret);
	if (ret->domain.n == 0)
		b->incomplete = true;
	return st;
}

/* ---- the plan ---------------------------------------------------------------------------- */

static enum status merge(struct guard_prefixes *to, const struct guard_prefixes *from)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < from->n && st == ST_OK; i++)
		st = guard_prefixes_add(to, &from->v[i]);
	return st;
}

/* What was in force last, besides what the configuration wants now. */
static enum status add_saved(const char *state, struct guard_plan *p, struct text *why)
{
	struct guard_plan saved;
	enum status st = guard_plan_load(state, why, &saved);

	if (st != ST_OK)
		return st;
	if (p->device[0]) {
		st = merge(&p->domain, &saved.domain);
		if (st == ST_OK)
			st = merge(&p->local, &saved.local);
		guard_plan_normalise(p);
		guard_plan_done(&saved);
		return st;
	}
	*p = saved;
	return ST_OK;
}

/* `*ret_whole`: the plan is what the configuration wants. */
static enum status make_plan(const char *file, const char *state, struct guard_plan *p,
			     bool *ret_whole)
{
	struct boot b = { 0 };
	const struct guarding_source source = { network_facts, NULL, &b };
	struct conf *conf = NULL;
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = read_conf(file, &conf);

	if (st == ST_OK)
		st = guarding_plan(conf, &source, p);
	*ret_whole = st == ST_OK && !b.incomplete;
	if (!*ret_whole && st != ST_NOMEM) {
		if (!state)
			state = conf ? conf->state.s : STATE_DEFAULT;
		st = add_saved(state, p, &why);
		say(st == ST_OK ? "blocking what the plan in the state directory says" : buf);
		/* What the configuration did say is blocked all the same. */
		if (st != ST_OK && st != ST_NOMEM && p->device[0])
			st = ST_OK;
	}
	conf_unref(conf);
	return st;
}

/* ---- the block --------------------------------------------------------------------------- */

static enum status put_up(const struct guard_plan *p, struct text *why)
{
	struct guard *g;
	enum status st = guard_new(PLAT_NS_HERE, why, &g);

	if (st != ST_OK)
		return st;
	st = guard_block(g, p, why);
	guard_free(g);
	return st;
}

static void say_blocked(const struct guard_plan *p)
{
	char buf[WHY_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "blocked: %zu prefixes of the domain, but for %zu of our own", p->domain.n,
		 p->local.n);
	say(buf);
}

int guarding_boot(const char *file, const char *state)
{
	struct guard_plan p = { 0 };
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	bool whole;
	enum status st = make_plan(file, state, &p, &whole);

	if (st == ST_OK)
		st = put_up(&p, &why);
	if (st == ST_OK)
		say_blocked(&p);
	else if (st == ST_REFUSE)
		say("a daemon lives here, and the block is its own");
	else
		say(why.n ? buf : "nothing is blocked");
	guard_plan_done(&p);
	if (st == ST_REFUSE)
		return EXIT_SUCCESS;
	return st == ST_OK && whole ? EXIT_SUCCESS : EXIT_FAILURE;
}
