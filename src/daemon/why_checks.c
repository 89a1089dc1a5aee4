/*
 * why_checks.c - the checks of a report, in the order in which a tunnel comes up.
 *
 * "init" and "auth" are the two exchanges; the checks after each are what it is about.  When one of
 * them is known to have failed it has the engine's words for that; when all that is known is that
 * the exchange did not succeed, it has them, and the checks after it are "unknown" and say what we
 * would have: one of them it was.
 */
#include "daemon/leases.h"
#include "daemon/why.h"

#include "pki/pki.h"
#include "plat/udp.h"

enum {
	VALUE_MAX = 1024,
};

enum result {
	UNKNOWN,
	OK,
	FAILED,
};

static const char *const result_name[] = {
	[UNKNOWN] = "unknown",
	[OK] = "ok",
	[FAILED] = "failed",
};

/* One row; empty texts are left out. */
struct row {
	const char *name;
	enum result result;
	char text[VALUE_MAX]; /* what was found, their values included */
	char ours[VALUE_MAX]; /* our values */
	char change[VALUE_MAX]; /* what to change, or where to look */
	struct text t, o, c; /* writing the above */
};

struct checks {
	const struct why *w;
	json_t *list;
};

static void begin(struct row *r, const char *name, enum result result)
{
	r->name = name;
	r->result = result;
	r->t = TEXT_OF(r->text);
	r->o = TEXT_OF(r->ours);
	r->c = TEXT_OF(r->change);
}

static void put(json_t *o, const char *key, const char *s)
{
	char buf[OBS_LINE_MAX];
	struct text t = TEXT_OF(buf);

	if (!*s)
		return;
	obs_clean(&t, bytes_str(s));
	json_object_set_new(o, key, json_string(buf));
}

static void end(struct checks *k, const struct row *r)
{
	json_t *o = json_object();

	put(o, "check", r->name);
	put(o, "result", result_name[r->result]);
	put(o, "text", r->text);
	put(o, "ours", r->ours);
	put(o, "change", r->change);
	json_array_append_new(k->list, o);
}

/* What a check of that stage is worth when nothing else is known. */
static enum result by_stage(const struct why *w, enum why_stage stage)
{
	if (w->stage > stage)
		return OK;
	return UNKNOWN;
}

/* ---- names and ways ---------------------------------------------------------------------- */

static void add_addrs(struct text *t, const struct journal_subject *host)
{
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; i < host->n_addrs; i++)
		text_fmt(t, "%s%s", i ? ", " : "", ip_text(&host->addr[i], buf));
}

static void check_lookup(struct checks *k, const char *name)
{
	const struct journal_subject *host = journal_find(k->w->h->journal, JOURNAL_HOST, name);
	struct row r;
	struct ip ip;

	begin(&r, "lookup", UNKNOWN);
	text_add(&r.o, name);
	if (ip_parse(name, &ip) == ST_OK) {
		r.result = OK;
		text_add(&r.t, "an address, nothing to look up");
	} else if (!host || !host->looked_up.ms) {
		text_add(&r.t, "not looked up yet");
	} else if (host->lookup_why) {
		r.result = FAILED;
		text_add(&r.t, host->lookup_why);
		text_add(&r.c, "the name, or the resolver of this host (/etc/resolv.conf); an "
			       "address instead of the name works without");
	} else {
		r.result = OK;
		add_addrs(&r.t, host);
	}
	end(k, &r);
}

static bool route_to(const struct checks *k, const struct ip *ip, struct row *r)
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
static size_t addrs_of(const struct checks *k, const char *name, struct ip ret[JOURNAL_ADDRS_MAX])
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

static void check_route(struct checks *k, const char *name)
{
	struct ip addr[JOURNAL_ADDRS_MAX];
	size_t n = addrs_of(k, name, addr), good = 0;
	struct row r;

	if (n == 0)
		return;
	begin(&r, "route", FAILED);
	for (size_t i = 0; i < n; i++)
		good += route_to(k, &addr[i], &r);
	cut_separator(&r.t);
	if (good)
		r.result = OK;
	else
		text_add(&r.c, "the routes of this host (\"ip route get\"), or `listen` in the "
			       "configuration");
	end(k, &r);
}

/* What the system itself did not let out: a firewall on output says EPERM. */
static void check_unsent(struct checks *k, const struct journal_subject *s)
{
	struct row r;

	begin(&r, "send", FAILED);
	text_fmt(&r.t, "%llu datagram%s to %s not sent: %s", (unsigned long long)s->unsent,
		 s->unsent == 1 ? "" : "s", s->name, s->unsent_why ? s->unsent_why : "");
	text_add(&r.c,
		 "\"not permitted\" is a firewall of this host that drops output to UDP 500 and "
		 "4500; \"warren doctor\" names it");
	end(k, &r);
}

/* What the way said.  It may be forged: it is shown, nothing more. */
static void check_icmp(struct checks *k, const struct journal_subject *s)
{
	char from[IP_TEXT_MAX];
	struct row r;

	begin(&r, "icmp", FAILED);
	text_fmt(&r.t, "%s says of %s: %s",
		 s->icmp_from.family ? ip_text(&s->icmp_from, from) : "somebody", s->name,
		 s->icmp_text);
	if (s->icmp > 1)
		text_fmt(&r.t, ", %llu times", (unsigned long long)s->icmp);
	text_add(&r.c,
		 "\"port unreachable\" from there: no daemon listens on UDP 500; from elsewhere, "
		 "or anything else: a router or firewall on the way");
	end(k, &r);
}

/* Only while there is no answer: what was before one is history. */
static void check_sending(struct checks *k, const char *name)
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

/* ---- IKE_SA_INIT ------------------------------------------------------------------------- */

static const char *failure_text(const struct why *w)
{
	const struct journal_note *n = why_failure(w);

	return n ? n->what->text : "";
}

static enum ike_reason reason_of(const struct why *w)
{
	const struct journal_note *n = why_failure(w);

	return n ? n->what->reason : IKE_R_NONE;
}

/* The check of IKE_AUTH that failed; NULL: it is not known which. */
static const char *failed_proof(const struct why *w)
{
	bool cert = w->conf && w->conf->auth == IKE_AUTH_CERT;

	switch (reason_of(w)) {
	case IKE_R_IDENTITY: return "identity";
	case IKE_R_CERTIFICATE:
	case IKE_R_REVOKED: return cert ? "certificate" : NULL;
	case IKE_R_CLOCK: return cert ? "clock" : NULL;
	case IKE_R_KEY: return cert ? "certificate" : w->conf ? "key" : NULL;
	default: return NULL;
	}
}

/* The same of the child SA: whatever is not about who may have what is about what both want. */
static const char *failed_wish(const struct why *w)
{
	if (!w->conf || w->conf->auth != IKE_AUTH_CERT)
		return "selectors";
	switch (reason_of(w)) {
	case IKE_R_AUTHORISATION:
	case IKE_R_CONFLICT: return "authorisation";
	default: return "selectors";
	}
}

static const char *failed_check(const struct why *w)
{
	switch (w->stage) {
	case WHY_STAGE_AUTH: return failed_proof(w);
	case WHY_STAGE_CHILD: return failed_wish(w);
	default: return NULL;
	}
}

static bool is_failed(const struct why *w, const char *check)
{
	const char *failed = failed_check(w);

	return failed && strcmp(failed, check) == 0;
}

/* When it was this one that failed: says so, with what is known about it. */
static bool mark(const struct why *w, struct row *r)
{
	if (!is_failed(w, r->name))
		return false;
	r->result = FAILED;
	text_add(&r->t, failure_text(w));
	return true;
}

static void refer(struct text *t, const char *check)
{
	text_fmt(t, "refused: \"%s\", below, has why", check);
}

/* Whether anybody may call us. */
static bool is_called(const struct why *w)
{
	const struct ike_conf *conf = w->h->ike_conf;

	for (size_t i = 0; i < conf->n_peers; i++)
		if (ike_may_call(&conf->peers[i]))
			return true;
	return false;
}

static const char no_nats[] =
	"an end has nat = no, and addresses are changed between the two: allow "
	"it at both, or find who changes them";

static void init_remedy(const struct why *w, struct text *t)
{
	if (w->kind == WHY_STRANGER && !is_called(w)) {
		text_add(t, "the caller's `hubs`, or its `address`: it has to call a hub, and this "
			    "is a site");
		return;
	}
	switch (reason_of(w)) {
	case IKE_R_NO_ANSWER:
		text_add(t, "when nothing answers: is the daemon running there, and do firewalls "
			    "and NATs in between let UDP 500 and 4500 through, both ways? A site "
			    "of a network is silent to everybody, and only calls its hubs");
		break;
	case IKE_R_OVERLOAD:
		text_add(t, "it is let in when fewer call at once; if that does not end, somebody "
			    "floods this host");
		break;
	case IKE_R_PATH: text_add(t, no_nats); break;
	case IKE_R_INTERNAL: text_add(t, "this host: its memory, its log"); break;
	default: text_add(t, "give both ends a proposal in common (`proposals`)"); break;
	}
}

static void check_init(struct checks *k)
{
	const struct why *w = k->w;
	struct row r;

	begin(&r, "init", by_stage(w, WHY_STAGE_INIT));
	if (w->conf)
		policy_sa_text(&r.o, &w->conf->ike);
	if (w->stage == WHY_STAGE_INIT) {
		r.result = FAILED;
		text_add(&r.t, failure_text(w));
		init_remedy(w, &r.c);
	} else if (w->has_sa && w->sa.established) {
		policy_suite_text(&r.t, &w->sa.suite);
	} else if (w->memory && w->memory->repeats) {
		text_fmt(&r.t, "no answer yet, asked %u times", w->memory->repeats + 1);
	}
	end(k, &r);
}

/* ---- IKE_AUTH ---------------------------------------------------------------------------- */

static void auth_remedy(const struct why *w, struct text *t)
{
	if (reason_of(w) == IKE_R_NO_ANSWER)
		text_add(t, "IKE_SA_INIT was answered, IKE_AUTH was not: it is larger and may go "
			    "to UDP 4500. Let UDP 4500 through, and fragments of IP as well where "
			    "an end takes none of IKE (fragmentation = yes at both, RFC 7383)");
	else if (reason_of(w) == IKE_R_PATH)
		text_add(t, no_nats);
	else
		text_add(t, "what the text names, of the following. Who was refused by its peer "
			    "is told no reason (RFC 7296 section 2.21.2): then the \"warren why\" "
			    "of that peer has it");
}

static void check_auth(struct checks *k)
{
	const struct why *w = k->w;
	struct row r;

	begin(&r, "auth", by_stage(w, WHY_STAGE_AUTH));
	if (failed_check(w) && w->stage == WHY_STAGE_AUTH) {
		r.result = FAILED;
		refer(&r.t, failed_check(w));
		text_fmt(&r.c, "see \"%s\"", failed_check(w));
	} else if (w->stage == WHY_STAGE_AUTH) {
		r.result = FAILED;
		text_add(&r.t, failure_text(w));
		auth_remedy(w, &r.c);
	} else if (w->has_sa && w->sa.established) {
		text_add(&r.t, "the peer proved to be ");
		policy_ident_text(&r.t, &w->sa.remote_id);
		text_fmt(&r.t, " by %s, we by %s", w->sa.auth_remote, w->sa.auth_local);
	}
	end(k, &r);
}

static void hub_names(struct text *t, const struct ike_peer_conf *c)
{
	for (size_t i = 0; i < c->n_hub_ids; i++) {
		text_add(t, i ? ", " : "");
		policy_ident_text(t, &c->hub_ids[i]);
	}
	if (c->n_hub_ids == 0)
		text_add(t, "a hub");
}

static void check_identity(struct checks *k)
{
	const struct ike_peer_conf *c = k->w->conf;
	struct row r;

	begin(&r, "identity", by_stage(k->w, WHY_STAGE_AUTH));
	mark(k->w, &r);
	text_add(&r.o, "we are ");
	policy_ident_text(&r.o, &c->local_id);
	switch (c->role) {
	case IKE_ROLE_HUB:
		text_add(&r.o, "; it has to be ");
		hub_names(&r.o, c);
		text_add(&r.o, ", or have a certificate for the whole domain");
		text_add(&r.c, "`hubs` has to name hubs, by the names in their certificates");
		break;
	case IKE_ROLE_MEMBERS:
		text_add(&r.o, "; it may be whoever our trust anchor vouches for");
		text_add(&r.c,
			 "what it calls itself (local_id) has to be a name in its certificate");
		break;
	case IKE_ROLE_FIXED:
		text_add(&r.o, "; it has to be ");
		policy_ident_text(&r.o, &c->remote_id);
		text_add(&r.c, "our local_id has to be the other end's remote_id, and its local_id "
			       "our remote_id");
		break;
	}
	end(k, &r);
}

enum { SECTIONS_SHOWN = 8 };

/* Nobody's: whom it might have been. */
static void check_nobody(struct checks *k)
{
	const struct ike_conf *conf = k->w->h->ike_conf;
	size_t n = 0;
	struct row r;

	begin(&r, "identity", by_stage(k->w, WHY_STAGE_AUTH));
	mark(k->w, &r);
	for (size_t i = 0; i < conf->n_peers; i++) {
		const struct ike_peer_conf *c = &conf->peers[i];

		if (!ike_may_call(c) || n++ >= SECTIONS_SHOWN)
			continue;
		text_fmt(&r.o, "%s\"%s\" is for ", n > 1 ? "; " : "", c->name);
		policy_ident_text(&r.o, &c->remote_id);
	}
	if (n > SECTIONS_SHOWN)
		text_fmt(&r.o, "; and %zu more", n - SECTIONS_SHOWN);
	if (n == 0)
		text_add(&r.o, "nobody is expected to call here: a site only calls its hubs");
	text_add(&r.c,
		 "the caller's local_id, or the remote_id of the section that is meant for it");
	end(k, &r);
}

/* ---- certificates and keys --------------------------------------------------------------- */

static void add_days(struct text *t, int64_t seconds)
{
	text_fmt(t, " (%lld days)", (long long)(seconds / 86400));
}

static void own_dates(const struct why *w, const struct pki_cert_info *i, struct row *r)
{
	text_add(&r->o, "; valid from ");
	pki_time_text(&r->o, i->not_before);
	text_add(&r->o, " until ");
	pki_time_text(&r->o, i->not_after);
	if (w->now.wall.s > i->not_after.s) {
		r->result = FAILED;
		text_add(&r->t, r->t.n ? "; ours is past its end" : "ours is past its end");
		text_add(&r->c, r->c.n ? "; " : "");
		text_add(&r->c,
			 "a new one from the authority (\"warren pki sign --renew\"), or the "
			 "clock, if that is wrong");
	} else if (w->now.wall.s < i->not_before.s) {
		r->result = FAILED;
		text_add(&r->t, r->t.n ? "; ours is not valid yet" : "ours is not valid yet");
		text_add(&r->c, r->c.n ? "; " : "");
		text_add(&r->c, "the clock of this host, or that of the authority, is wrong");
	} else {
		add_days(&r->o, i->not_after.s - w->now.wall.s);
	}
}

static bool own_certificate(const struct ike_peer_conf *c, struct pki_cert_info *ret)
{
	char ignored[256];
	struct text why = TEXT_OF(ignored);

	return c->n_certs > 0 && pki_cert_read_der(c->certs[0], &why, ret) == ST_OK;
}

static void certificate_remedy(const struct why *w, struct text *t)
{
	switch (is_failed(w, "certificate") ? reason_of(w) : IKE_R_NONE) {
	case IKE_R_REVOKED:
		text_add(t, "the other end needs a new certificate; when the revocation was a "
			    "mistake, our `crl` has to be replaced by a newer one");
		break;
	case IKE_R_KEY:
		text_add(t, "the other end signs with another key than its certificate is for, or "
			    "in a way that we do not accept: its `certificate` and `key`");
		break;
	case IKE_R_CERTIFICATE:
		text_add(t, "each end has to trust the other's issuer: our `trust` (or the bundle "
			    "of `identity`) and the other end's `certificate`");
		break;
	default:
		text_add(t, "each end has to trust the other's issuer, and neither certificate may "
			    "be out of date or revoked; the clock of the end that refuses counts");
		break;
	}
}

static void check_certificate(struct checks *k)
{
	const struct ike_peer_conf *c = k->w->conf;
	struct pki_cert_info info;
	struct row r;

	begin(&r, "certificate", by_stage(k->w, WHY_STAGE_AUTH));
	if (mark(k->w, &r))
		certificate_remedy(k->w, &r.c);
	if (own_certificate(c, &info)) {
		text_fmt(&r.o, "%s, issued by %s", info.subject, info.issuer);
		own_dates(k->w, &info, &r);
	}
	if (c->n_revoked)
		text_fmt(&r.o, "; our CRL lists %zu", c->n_revoked);
	if (r.result == UNKNOWN)
		certificate_remedy(k->w, &r.c);
	end(k, &r);
}

static void check_clock(struct checks *k)
{
	bool synced = plat_clock_synced();
	obs_time t = { k->w->now.wall.s * 1000 };
	char buf[OBS_TIME_TEXT_MAX];
	struct row r;

	begin(&r, "clock", synced ? OK : UNKNOWN);
	text_fmt(&r.o, "%s, %s", obs_time_text(t, buf),
		 synced ? "synchronised" : "not synchronised, as far as the kernel knows");
	if (!k->w->now.wall_ok) {
		r.result = FAILED;
		text_add(&r.t, "this clock was never set: dates of certificates cannot be judged");
	} else if (mark(k->w, &r)) {
		text_add(&r.c,
			 "whose dates are past, the certificate or the CRL, has to be renewed, "
			 "unless a clock is wrong, this one or that of the authority; for "
			 "ours, ");
	}
	if (r.result != OK)
		text_add(&r.c, "a time service, such as systemd-timesyncd or chrony");
	end(k, &r);
}

/* Where the shared key of a peer was written: never the key. */
static void check_key(struct checks *k)
{
	const struct conf_peer *p = conf_find_peer(k->w->h->conf, k->w->conf->name);
	struct row r;

	begin(&r, "key", by_stage(k->w, WHY_STAGE_AUTH));
	mark(k->w, &r);
	text_add(&r.o, "the pre-shared key ");
	if (p && p->psk_file.s)
		text_fmt(&r.o, "in %s", p->psk_file.s);
	else if (p)
		text_fmt(&r.o, "at %s:%u", k->w->h->conf->file, p->psk.at.line);
	text_add(&r.c,
		 "both ends need the same key, to the last byte; one in a file ends before its "
		 "newline");
	end(k, &r);
}

/* ---- authorisation and selectors --------------------------------------------------------- */

static void rules_text(struct text *t, const struct ike_peer_conf *c)
{
	for (size_t i = 0; i < c->n_rules; i++) {
		text_add(t, i ? "; member " : "; our rules: member ");
		policy_ident_text(t, &c->rules[i].id);
		text_add(t, " ");
		policy_ts_list_text(t, &c->rules[i].prefixes);
	}
}

static void check_authorised(struct checks *k)
{
	const struct journal_note *conflict = why_note(k->w, IKE_EV_CONFLICT);
	const struct ike_peer_conf *c = k->w->conf;
	struct pki_cert_info info;
	struct row r;

	begin(&r, "authorisation", by_stage(k->w, WHY_STAGE_CHILD));
	if (mark(k->w, &r)) {
		/* has it all */
	} else if (conflict) {
		r.result = FAILED;
		text_add(&r.t, conflict->what->text);
	} else if (k->w->kind == WHY_MEMBER) {
		text_add(&r.t, k->w->authority);
	}
	if (c->role == IKE_ROLE_MEMBERS) {
		text_add(&r.o, "what a member may have: the address blocks of its certificate");
		rules_text(&r.o, c);
		text_add(&r.c,
			 "certificate with those address blocks, or a `member` rule in this "
			 "file; a prefix that another member has up is its own until it leaves");
	} else if (own_certificate(c, &info)) {
		text_add(&r.o, "the address blocks of our certificate: ");
		pki_blocks_text(&r.o, &info.blocks);
		text_add(&r.c,
			 "what we ask for has to lie in these, or in a `member` rule of the hub; "
			 "a prefix that another site has up is its own until it leaves");
	}
	end(k, &r);
}

static void child_remedy(const struct why *w, struct text *t)
{
	switch (w->conf->role) {
	case IKE_ROLE_HUB:
		text_add(t, "the hub gives what our certificate's address blocks, or a `member` "
			    "rule of "
			    "its file, allow and nobody else has up; its \"warren why\" with our "
			    "identity says what it was. `protect` is what we ask for");
		break;
	case IKE_ROLE_MEMBERS:
		text_add(t, "the site's `protect` to what it may have, or what it may have: see "
			    "authorisation");
		break;
	case IKE_ROLE_FIXED:
		text_add(t, "what one end has as local_ts the other has to have as remote_ts, and "
			    "`esp_proposals` need one in common");
		break;
	}
}

/* What was agreed upon, of the first child SA. */
static bool on_agreed(void *ctx, const struct ike_child_info *c)
{
	struct text *t = ctx;

	policy_ts_list_text(t, &c->ts_local);
	text_add(t, " === ");
	policy_ts_list_text(t, &c->ts_remote);
	text_add(t, ", ");
	policy_suite_text(t, &c->suite);
	return false;
}

static const char *no_child(const struct why *w)
{
	if (*failure_text(w))
		return failure_text(w);
	return *w->last_error ? w->last_error
			      : "there is an IKE SA without a child SA: the other end deleted it, "
				"or did not ask for one";
}

static void check_child(struct checks *k)
{
	const struct why *w = k->w;
	struct row r;

	begin(&r, "selectors", by_stage(w, WHY_STAGE_CHILD));
	if (w->has_child)
		ike_each_child(w->h->ike, w->now, &w->sa, on_agreed, &r.t);
	policy_ts_list_text(&r.o, &w->conf->ts_local);
	text_add(&r.o, " === ");
	policy_ts_list_text(&r.o, &w->conf->ts_remote);
	text_add(&r.o, ", ");
	policy_sa_text(&r.o, &w->conf->esp);
	if (is_failed(w, "selectors")) {
		r.result = FAILED;
		text_add(&r.t, no_child(w));
		child_remedy(w, &r.c);
	} else if (w->stage == WHY_STAGE_CHILD) {
		text_add(&r.t, "refused: \"authorisation\" has why");
	}
	end(k, &r);
}

/* ---- is it there? -------------------------------------------------------------------------- */

static void check_answers(struct checks *k)
{
	const struct why *w = k->w;
	struct row r;

	if (!w->has_sa || !w->sa.established)
		return;
	begin(&r, "answers", w->sa.suspect ? FAILED : OK);
	if (w->sa.suspect) {
		text_add(&r.t, "it does not answer any more; nothing is given up yet, and other "
			       "ways are tried");
		text_add(&r.c, "the other end, or the way to it");
	} else {
		text_add(&r.t, "it answered when it was asked last");
	}
	end(k, &r);
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
	if (sa->path_mtu)
		text_fmt(t, ", the path MTU %u, as %s", sa->path_mtu,
			 sa->path_mtu_probed ? "probes found" : "ICMP says");
}

static void check_packets(struct checks *k)
{
	const struct why *w = k->w;
	struct traffic t = { .w = w };
	struct row r;

	if (!w->has_child)
		return;
	ike_each_child(w->h->ike, w->now, &w->sa, on_child, &t);
	begin(&r, "packets", OK);
	text_fmt(&r.t,
		 "%llu in, %llu out, %llu that came were dropped (replayed, or from addresses "
		 "that are not the peer's); the inner MTU is %u",
		 (unsigned long long)t.sum.packets_in, (unsigned long long)t.sum.packets_out,
		 (unsigned long long)t.sum.dropped_in, w->h->mtu);
	add_path_mtu(&r.t, &w->sa);
	if (t.sum.packets_out && !t.sum.packets_in)
		text_add(&r.c, "nothing came back: \"warren doctor\" at both ends (forwarding, "
			       "firewalls); a firewall on the way may pass IKE and drop ESP");
	end(k, &r);
}

/* Whether the domain is kept from leaving in clear, and what was kept. */
static void check_block(struct checks *k)
{
	struct host *h = k->w->h;
	const char *name;
	uint64_t value;
	struct row r;

	begin(&r, "block", OK);
	text_add(&r.t, "the domain does not leave in clear");
	for (size_t i = 0; guarding_counter(h, i, &name, &value); i++)
		text_fmt(&r.t, ", %s %llu", name, (unsigned long long)value);
	end(k, &r);
}

/* Who is to get an address gets it stored first. */
static void check_store(struct checks *k)
{
	const char *trouble = leases_trouble(k->w->h);
	struct row r;

	if (k->w->conf->n_pool == 0)
		return;
	begin(&r, "store", trouble ? FAILED : OK);
	text_add(&r.t, trouble ? trouble : "inner addresses are on the disk before they are given");
	if (trouble)
		text_add(&r.c, "the disk or the file; the daemon notices by itself.  Tunnels that "
			       "are up go on meanwhile");
	end(k, &r);
}

/* Where a gateway sent us (RFC 5685), and what came of it. */
static void check_redirect(struct checks *k)
{
	const struct why *w = k->w;
	char by[IP_TEXT_MAX];
	struct row r;

	if (!w->gateway)
		return;
	begin(&r, "redirect", w->held_in.ns >= 0 ? FAILED : OK);
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
	end(k, &r);
}

/* ---- all --------------------------------------------------------------------------------- */

static void ways(struct checks *k)
{
	const struct ike_peer_conf *c = k->w->conf;

	for (size_t i = 0; i < c->n_addresses; i++) {
		check_lookup(k, c->addresses[i]);
		check_route(k, c->addresses[i]);
		check_sending(k, c->addresses[i]);
	}
}

static void proofs(struct checks *k)
{
	check_identity(k);
	if (k->w->conf->auth == IKE_AUTH_PSK) {
		check_key(k);
		return;
	}
	check_certificate(k);
	check_clock(k);
	check_authorised(k);
}

json_t *why_checks_json(const struct why *w)
{
	struct checks k = { w, json_array() };

	if (w->conf && w->kind != WHY_HUB && w->kind != WHY_MEMBER)
		ways(&k);
	check_redirect(&k);
	/* A hub's network is no tunnel, but what its members will be held against. */
	if (w->kind != WHY_HUB) {
		check_init(&k);
		check_auth(&k);
	}
	if (w->conf) {
		proofs(&k);
		check_store(&k);
		check_child(&k);
	} else {
		check_nobody(&k);
	}
	check_answers(&k);
	check_packets(&k);
	if (w->conf)
		check_block(&k);
	return k.list;
}
