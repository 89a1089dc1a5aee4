/*
 * why_way.c - the way to a peer: names, routes, what the network says; and packets through the
 * tunnel, once it is there.
 */
#include "daemon/why_checks.h"

#include "plat/udp.h"

/* ---- names and ways ---------------------------------------------------------------------- */

static void add_addrs(struct text *t, const struct journal_subject *host)
{
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; i < host->n_addrs; i++)
		text_fmt(t, "%s%s", i ? ", " : "", ip_text(&host->addr[i], buf));
}

static void check_lookup(struct why_checks *k, const char *name)
{
	const struct journal_subject *host = journal_find(k->w->h->journal, JOURNAL_HOST, name);
	struct why_row r;
	struct ip ip;

	why_begin(&r, "lookup", WHY_UNKNOWN);
	text_add(&r.o, name);
	if (ip_parse(name, &ip) == ST_OK) {
		r.result = WHY_OK;
		text_add(&r.t, "an address, nothing to look up");
	} else if (!host || !host->looked_up.ms) {
		text_add(&r.t, "not looked up yet");
	} else if (host->lookup_why) {
		r.result = WHY_FAILED;
		text_add(&r.t, host->lookup_why);
		text_add(&r.c, "the name, or the resolver of this host (/etc/resolv.conf); an "
			       "address instead of the name works without");
	} else {
		r.result = WHY_OK;
		add_addrs(&r.t, host);
	}
	why_end(k, &r);
}

static bool route_to(const struct why_checks *k, const struct ip *ip, struct why_row *r)
{
	char to[IP_TEXT_MAX], from[IP_TEXT_MAX], buf[256];
	struct text why = TEXT_OF(buf);
	struct plat_path path;
	struct plat_link link;
	struct ip source;

	if (plat_route_get(k->w->h->nl, ip, PLAT_MARK, &r->t, &path) != ST_OK ||
	    plat_link_get(k->w->h->nl, path.ifindex, &r->t, &link) != ST_OK) {
		text_add(&r->t, "; ");
		return false;
	}
	text_fmt(&r->t, "%s by %s from %s, MTU %u; ", ip_text(ip, to), link.name,
		 ip_text(&path.src, from), path.mtu);
	if (lookup_source(k->w->h->nl, k->w->h->underlay, ip, &why, &source))
		return true;
	text_fmt(&r->t, "but %s; ", buf);
	return false;
}

/* The addresses of one name: a literal, or what was found for it. */
static size_t addrs_of(const struct why_checks *k, const char *name,
		       struct ip ret[JOURNAL_ADDRS_MAX])
{
	const struct journal_subject *host = journal_find(k->w->h->journal, JOURNAL_HOST, name);

	if (ip_parse(name, &ret[0]) == ST_OK)
		return 1;
	if (!host)
		return 0;
	memcpy(ret, host->addr, host->n_addrs * sizeof(*ret));
	return host->n_addrs;
}

static void cut_separator(struct text *t)
{
	if (t->n >= 2 && strcmp(t->p + t->n - 2, "; ") == 0) {
		t->n -= 2;
		t->p[t->n] = '\0';
	}
}

static void check_route(struct why_checks *k, const char *name)
{
	struct ip addr[JOURNAL_ADDRS_MAX];
	size_t n = addrs_of(k, name, addr), good = 0;
	struct why_row r;

	if (n == 0)
		return;
	why_begin(&r, "route", WHY_FAILED);
	for (size_t i = 0; i < n; i++)
		good += route_to(k, &addr[i], &r);
	cut_separator(&r.t);
	if (good)
		r.result = WHY_OK;
	else
		text_add(&r.c, "the routes of this host (\"ip route get\"), or `listen` in the "
			       "configuration");
	why_end(k, &r);
}

/* What the system itself did not let out: a firewall on output says EPERM. */
static void check_unsent(struct why_checks *k, const struct journal_subject *s)
{
	struct why_row r;

	why_begin(&r, "send", WHY_FAILED);
	text_fmt(&r.t, "%llu datagram%s to %s not sent: %s", (unsigned long long)s->unsent,
		 s->unsent == 1 ? "" : "s", s->name, s->unsent_why ? s->unsent_why : "");
	text_add(&r.c,
		 "\"not permitted\" is a firewall of this host that drops output to UDP 500 and "
		 "4500; \"warren doctor\" names it");
	why_end(k, &r);
}

/* What the way said.  It may be forged: it is shown, nothing more. */
static void check_icmp(struct why_checks *k, const struct journal_subject *s)
{
	char from[IP_TEXT_MAX];
	struct why_row r;

	why_begin(&r, "icmp", WHY_FAILED);
	text_fmt(&r.t, "%s says of %s: %s",
		 s->icmp_from.family ? ip_text(&s->icmp_from, from) : "somebody", s->name,
		 s->icmp_text);
	if (s->icmp > 1)
		text_fmt(&r.t, ", %llu times", (unsigned long long)s->icmp);
	text_add(&r.c,
		 "\"port unreachable\" from there: no daemon listens on UDP 500; from elsewhere, "
		 "or anything else: a router or firewall on the way");
	why_end(k, &r);
}

/* Only while there is no answer: what was before one is history. */
static void check_sending(struct why_checks *k, const char *name)
{
	struct ip addr[JOURNAL_ADDRS_MAX];
	size_t n = k->w->stage == WHY_STAGE_INIT ? addrs_of(k, name, addr) : 0;

	for (size_t i = 0; i < n; i++) {
		char buf[IP_TEXT_MAX];
		const struct journal_subject *s =
			journal_find(k->w->h->journal, JOURNAL_ADDRESS, ip_text(&addr[i], buf));

		if (s && s->unsent)
			check_unsent(k, s);
		if (s && s->icmp)
			check_icmp(k, s);
	}
}

/* Where a gateway sent us (RFC 5685), and what came of it. */
void why_redirect(struct why_checks *k)
{
	const struct why *w = k->w;
	char by[IP_TEXT_MAX];
	struct why_row r;

	if (!w->gateway)
		return;
	why_begin(&r, "redirect", w->held_in.ns >= 0 ? WHY_FAILED : WHY_OK);
	text_fmt(&r.t, "%s sent us on, %zu times in the last minutes", ip_text(&w->sent_by, by),
		 w->sent_on);
	if (w->gateway[0])
		text_fmt(&r.t, ", to %s, which is called first", w->gateway);
	if (w->held_in.ns >= 0)
		text_fmt(&r.t,
			 "; that led nowhere, or in circles: for %lld s we go to the configured "
			 "addresses only",
			 (long long)(w->held_in.ns / 1000000000));
	if (w->held_in.ns >= 0)
		text_add(&r.c,
			 "redirect_to, or \"warren redirect\", of that gateway: the other one "
			 "has to serve us, and not to send us back");
	why_end(k, &r);
}

void why_ways(struct why_checks *k)
{
	const struct ike_peer_conf *c = k->w->conf;

	for (size_t i = 0; i < c->n_addresses; i++) {
		check_lookup(k, c->addresses[i]);
		check_route(k, c->addresses[i]);
		check_sending(k, c->addresses[i]);
	}
}

/* ---- is it there? -------------------------------------------------------------------------- */

void why_answers(struct why_checks *k)
{
	const struct why *w = k->w;
	struct why_row r;

	if (!w->has_sa || !w->sa.established)
		return;
	why_begin(&r, "answers", w->sa.suspect ? WHY_FAILED : WHY_OK);
	if (w->sa.suspect) {
		text_add(&r.t, "it does not answer any more; nothing is given up yet, and other "
			       "ways are tried");
		text_add(&r.c, "the other end, or the way to it");
	} else {
		text_add(&r.t, "it answered when it was asked last");
	}
	why_end(k, &r);
}

/* ---- packets ----------------------------------------------------------------------------- */

struct traffic {
	const struct why *w;
	struct dp_counters sum;
	size_t children;
};

static bool on_child(void *ctx, const struct ike_child_info *c)
{
	struct traffic *t = ctx;
	struct dp_counters n = { 0 };

	(void)dataplane_child(t->w->h->dp, c->id, &n);
	t->sum.packets_in += n.packets_in;
	t->sum.packets_out += n.packets_out;
	t->sum.dropped_in += n.dropped_in;
	t->children++;
	return true;
}

/* What gets through to the peer in one piece. */
static void add_path_mtu(struct text *t, const struct ike_sa_info *sa)
{
	if (sa->path_mtu_assumed)
		text_fmt(t,
			 ", the path MTU is assumed to be %u, since larger packets do not seem to "
			 "get through and the peer takes no probes",
			 sa->path_mtu);
	else if (sa->path_mtu)
		text_fmt(t, ", the path MTU %u, as %s", sa->path_mtu,
			 sa->path_mtu_probed ? "probes found" : "ICMP says");
	else if (!sa->warren)
		text_add(t, ", only ICMP tells the path MTU: the peer is no warren, so it is not "
			    "probed");
}

void why_packets(struct why_checks *k)
{
	const struct why *w = k->w;
	struct traffic t = { .w = w };
	struct why_row r;

	if (!w->has_child)
		return;
	ike_each_child(w->h->ike, w->now, &w->sa, on_child, &t);
	why_begin(&r, "packets", WHY_OK);
	text_fmt(&r.t,
		 "%llu in, %llu out, %llu that came were dropped (replayed, or from addresses "
		 "that are not the peer's); the inner MTU is %u",
		 (unsigned long long)t.sum.packets_in, (unsigned long long)t.sum.packets_out,
		 (unsigned long long)t.sum.dropped_in, w->h->mtu);
	add_path_mtu(&r.t, &w->sa);
	if (t.sum.packets_out && !t.sum.packets_in)
		text_add(&r.c, "nothing came back: \"warren doctor\" at both ends (forwarding, "
			       "firewalls); a firewall on the way may pass IKE and drop ESP");
	why_end(k, &r);
}

/* Whether the domain is kept from leaving in clear, and what was kept. */
void why_block(struct why_checks *k)
{
	struct host *h = k->w->h;
	const char *name;
	uint64_t value;
	struct why_row r;

	why_begin(&r, "block", WHY_OK);
	text_add(&r.t, "the domain does not leave in clear");
	for (size_t i = 0; guarding_counter(h, i, &name, &value); i++)
		text_fmt(&r.t, ", %s %llu", name, (unsigned long long)value);
	why_end(k, &r);
}
