/*
 * filter.c - the second lock: a table of nftables.
 *
 * Text for libnftables, run as one transaction: the old table goes and the new one comes with the
 * same commit, so no packet passes in between.  Counters go on from where they are.
 *
 * libnftables ends the process when it cannot open its socket or gets no memory.  The first is
 * found out before (plat_nft_new()); the second leaves the block standing, like any other end.
 */
#include "guard/internal.h"

#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "plat/process.h"
#include "plat/udp.h"

/* A range and its separator. */
#define RANGE_TEXT_MAX (2 * IP_TEXT_MAX + 8)
#define RULES_TEXT_MAX 8192

enum { APPLY_TRIES = 4 };

struct filter {
	struct plat_nft *nft;
	struct nft_ctx *ctx;
	int ns;
};

static const char *const objects[GUARD_COUNTERS] = {
	[GUARD_IN_CLEAR] = "in_clear",
	[GUARD_OUT_CLEAR] = "out_clear",
	[GUARD_IN_OWN] = "in_own",
	[GUARD_REDIRECTS] = "redirects",
};

/* ---- opening ----------------------------------------------------------------------------- */

static struct nft_ctx *open_ctx(int ns, struct text *why)
{
	struct nft_ctx *ctx;
	struct plat_ns in;

	if (plat_ns_enter(ns, why, &in) != ST_OK)
		return NULL;
	ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	plat_ns_leave(&in);
	if (ctx && (nft_ctx_buffer_error(ctx) || nft_ctx_buffer_output(ctx))) {
		nft_ctx_free(ctx);
		ctx = NULL;
	}
	if (!ctx)
		text_add(why, "cannot make a context of libnftables");
	return ctx;
}

enum status filter_new(int ns, struct text *why, struct filter **ret_filter)
{
	struct filter *f = calloc(1, sizeof(*f));
	enum status st;

	if (!f)
		return ST_NOMEM;
	f->ns = ns;
	st = plat_nft_new(ns, FILTER_TABLE, why, &f->nft);
	if (st == ST_OK) {
		f->ctx = open_ctx(ns, why);
		st = f->ctx ? ST_OK : ST_IO;
	}
	if (st != ST_OK) {
		filter_free(f);
		return st;
	}
	*ret_filter = f;
	return ST_OK;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	plat_nft_free(f->nft);
	if (f->ctx)
		nft_ctx_free(f->ctx);
	free(f);
}

/* ---- text -------------------------------------------------------------------------------- */

/* As big as it has to be from the start: the number of ranges is known. */
struct rules {
	char *p;
	size_t n;
	size_t room;
};

__attribute__((format(printf, 2, 3))) static void put(struct rules *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->p + r->n, r->room - r->n, fmt, ap);
	va_end(ap);
	r->n += n > 0 ? (size_t)n : 0;
	if (r->n > r->room)
		r->n = r->room;
}

static void put_set(struct rules *r, const char *name, const struct guard_ranges *ranges,
		    uint8_t family)
{
	bool any = false;

	put(r, "set %s%u { type ipv%u_addr; flags interval;", name, family, family);
	for (size_t i = 0; i < ranges->n; i++) {
		char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

		if (ranges->v[i].first.family != family)
			continue;
		put(r, "%s%s-%s", any ? "," : " elements = {", ip_text(&ranges->v[i].first, a),
		    ip_text(&ranges->v[i].last, b));
		any = true;
	}
	put(r, "%s }\n", any ? " }" : "");
}

static void put_counters(struct rules *r, const uint64_t counters[static GUARD_COUNTERS])
{
	for (size_t i = 0; i < GUARD_COUNTERS; i++)
		put(r, "counter %s { packets %llu bytes 0 }\n", objects[i],
		    (unsigned long long)counters[i]);
}

/*
 * What comes in.  Before connection tracking (-200): what is dropped leaves no trace there.
 *
 * `clear` sees what came from the domain otherwise than by the tunnel.  IKE and ESP are met by
 * port and protocol only to the host itself.  Fragments of them behind the first have no port: of
 * others there is no first one to go with, since that is dropped.
 */
static void put_in(struct rules *r, const struct guard_plan *p)
{
	put(r,
	    "chain in {\n"
	    "type filter hook prerouting priority -310; policy accept;\n"
	    "iifname \"lo\" accept\n"
	    "iifname \"%s\" goto tunnel\n"
	    "ip saddr @domain4 goto clear\n"
	    "ip6 saddr @domain6 goto clear\n"
	    "}\n"
	    "chain tunnel {\n"
	    "ip saddr @local4 counter name in_own drop\n"
	    "ip6 saddr @local6 counter name in_own drop\n"
	    "}\n",
	    p->device);
	put(r,
	    "chain clear {\n"
	    "fib daddr type local jump host\n"
	    "ip daddr { 224.0.0.0/24, 255.255.255.255 } accept\n"
	    "ip6 daddr { fe80::/10, ff02::/16 } accept\n"
	    "counter name in_clear drop\n"
	    "}\n"
	    "chain host {\n"
	    "udp dport { %u, %u } accept\n"
	    "meta l4proto esp accept\n"
	    "ip frag-off & 0x1fff != 0 ip protocol udp accept\n"
	    "frag frag-off != 0 accept\n"
	    "ip daddr @domain4 accept\n"
	    "ip6 daddr @domain6 accept\n"
	    "}\n",
	    p->ports[0], p->ports[1]);
}

/*
 * What goes out, before source addresses are translated (100).  The host's own uplink (an address
 * of its own inside the domain) is not its sites.
 */
static void put_out(struct rules *r, const struct guard_plan *p)
{
	put(r,
	    "chain out {\n"
	    "type filter hook postrouting priority -310; policy accept;\n"
	    "oifname \"lo\" accept\n"
	    "oifname \"%s\" goto into\n"
	    "meta mark & 0x%x == 0x%x accept\n"
	    "ip daddr @domain4 goto out4\n"
	    "ip6 daddr @domain6 goto out6\n"
	    "}\n"
	    "chain into {\n"
	    "icmp type redirect counter name redirects drop\n"
	    "icmpv6 type nd-redirect counter name redirects drop\n"
	    "}\n",
	    p->device, PLAT_MARK_MASK, PLAT_MARK);
	put(r, "chain out4 {\n"
	       "ip saddr @local4 counter name out_clear drop\n"
	       "fib saddr type local accept\n"
	       "ip saddr @domain4 counter name out_clear drop\n"
	       "}\n"
	       "chain out6 {\n"
	       "ip6 saddr @local6 counter name out_clear drop\n"
	       "fib saddr type local accept\n"
	       "ip6 saddr @domain6 counter name out_clear drop\n"
	       "}\n");
}

static enum status rules_new(const struct guard_plan *p, const struct guard_shape *s,
			     const uint64_t counters[static GUARD_COUNTERS], struct rules *ret)
{
	struct rules r = { .room = RULES_TEXT_MAX + (s->domain.n + s->local.n) * RANGE_TEXT_MAX };

	r.p = malloc(r.room);
	if (!r.p)
		return ST_NOMEM;
	put(&r, "table inet " FILTER_TABLE " { }\ndelete table inet " FILTER_TABLE
		"\ntable inet " FILTER_TABLE " {\n");
	put_counters(&r, counters);
	for (uint8_t family = 4; family <= 6; family += 2) {
		put_set(&r, "domain", &s->domain, family);
		put_set(&r, "local", &s->local, family);
	}
	put_in(&r, p);
	put_out(&r, p);
	put(&r, "}\n");
	if (r.n >= r.room) {
		free(r.p);
		return ST_BUG;
	}
	*ret = r;
	return ST_OK;
}

/* ---- running ----------------------------------------------------------------------------- */

/* The first line of what libnftables has to say; the rest quotes the rules. */
static void say_error(struct nft_ctx *ctx, struct text *why)
{
	const char *s = nft_ctx_get_error_buffer(ctx);
	size_t n = strcspn(s, "\n");

	text_add(why, "nftables: ");
	text_quote(why, bytes_of(s, n));
}

/* libnftables may open its socket anew. */
static enum status run(struct filter *f, const char *rules, struct text *why)
{
	struct plat_ns in;
	int failed;

	if (plat_ns_enter(f->ns, why, &in) != ST_OK)
		return ST_IO;
	failed = nft_run_cmd_from_buffer(f->ctx, rules);
	plat_ns_leave(&in);
	if (failed)
		say_error(f->ctx, why);
	else
		(void)nft_ctx_get_error_buffer(f->ctx); /* takes warnings away */
	(void)nft_ctx_get_output_buffer(f->ctx);
	return failed ? ST_IO : ST_OK;
}

/* Once more when somebody changed the new table before we have heard of our own change. */
static enum status replace_table(struct filter *f, const char *rules, struct text *why)
{
	for (int i = 0; i < APPLY_TRIES; i++) {
		enum status st = run(f, rules, why);

		if (!plat_nft_settle(f->nft) || st != ST_OK)
			return st;
	}
	text_add(why, "somebody keeps changing table inet " FILTER_TABLE);
	return ST_IO;
}

enum status filter_apply(struct filter *f, const struct guard_plan *plan,
			 const struct guard_shape *shape, struct text *why)
{
	uint64_t counters[GUARD_COUNTERS] = { 0 };
	char ignored[8];
	struct text ignore = TEXT_OF(ignored);
	struct rules r;
	enum status st;

	/* Where they cannot be read they begin anew. */
	(void)!filter_counters(f, counters, &ignore);
	st = rules_new(plan, shape, counters, &r);
	if (st != ST_OK)
		return st;
	st = replace_table(f, r.p, why);
	free(r.p);
	return st;
}

enum status filter_remove(struct filter *f, struct text *why)
{
	/* The first makes sure that the second has something to delete. */
	enum status st =
		run(f, "table inet " FILTER_TABLE " { }\ndelete table inet " FILTER_TABLE, why);

	(void)plat_nft_settle(f->nft);
	return st;
}

/* ---- looking ----------------------------------------------------------------------------- */

static void on_counter(void *ctx, const struct plat_nft_counter *c)
{
	uint64_t *counters = ctx;

	for (size_t i = 0; i < GUARD_COUNTERS; i++)
		if (strcmp(objects[i], c->name) == 0)
			counters[i] = c->packets;
}

enum status filter_counters(struct filter *f, uint64_t ret[static GUARD_COUNTERS], struct text *why)
{
	return plat_nft_counters(f->nft, on_counter, ret, why);
}

int filter_fd(const struct filter *f)
{
	return plat_nft_fd(f->nft);
}

bool filter_touched(struct filter *f)
{
	return plat_nft_touched(f->nft);
}
