/*
 * why_auth.c - who it is: the exchanges IKE_SA_INIT and IKE_AUTH, and what proves an identity.
 */
#include "daemon/why_checks.h"

/* ---- IKE_SA_INIT ------------------------------------------------------------------------- */

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
	switch (why_reason(w)) {
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

void why_init(struct why_checks *k)
{
	const struct why *w = k->w;
	struct why_row r;

	why_begin(&r, "init", why_by_stage(w, WHY_STAGE_INIT));
	if (w->conf)
		policy_sa_text(&r.o, &w->conf->ike);
	if (w->stage == WHY_STAGE_INIT) {
		r.result = WHY_FAILED;
		text_add(&r.t, why_text(w));
		init_remedy(w, &r.c);
	} else if (w->has_sa && w->sa.established) {
		policy_suite_text(&r.t, &w->sa.suite);
	} else if (w->memory && w->memory->repeats) {
		text_fmt(&r.t, "no answer yet, asked %u times", w->memory->repeats + 1);
	}
	why_end(k, &r);
}

/* ---- IKE_AUTH ---------------------------------------------------------------------------- */

static void auth_remedy(const struct why *w, struct text *t)
{
	if (why_reason(w) == IKE_R_NO_ANSWER)
		text_add(t, "IKE_SA_INIT was answered, IKE_AUTH was not: it is larger and may go "
			    "to UDP 4500. Let UDP 4500 through, and fragments of IP as well where "
			    "an end takes none of IKE (fragmentation = yes at both, RFC 7383)");
	else if (why_reason(w) == IKE_R_PATH)
		text_add(t, no_nats);
	else
		text_add(t, "what the text names, of the following. Who was refused by its peer "
			    "is told no reason (RFC 7296 section 2.21.2): then the \"warren why\" "
			    "of that peer has it");
}

void why_auth(struct why_checks *k)
{
	const struct why *w = k->w;
	struct why_row r;

	why_begin(&r, "auth", why_by_stage(w, WHY_STAGE_AUTH));
	if (why_failed_check(w) && w->stage == WHY_STAGE_AUTH) {
		r.result = WHY_FAILED;
		refer(&r.t, why_failed_check(w));
		text_fmt(&r.c, "see \"%s\"", why_failed_check(w));
	} else if (w->stage == WHY_STAGE_AUTH) {
		r.result = WHY_FAILED;
		text_add(&r.t, why_text(w));
		auth_remedy(w, &r.c);
	} else if (w->has_sa && w->sa.established) {
		text_add(&r.t, "the peer proved to be ");
		policy_ident_text(&r.t, &w->sa.remote_id);
		text_fmt(&r.t, " by %s, we by %s", w->sa.auth_remote, w->sa.auth_local);
	}
	why_end(k, &r);
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

static void check_identity(struct why_checks *k)
{
	const struct ike_peer_conf *c = k->w->conf;
	struct why_row r;

	why_begin(&r, "identity", why_by_stage(k->w, WHY_STAGE_AUTH));
	why_mark(k->w, &r);
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
	case IKE_ROLE_PARTNER:
	case IKE_ROLE_FIXED:
		text_add(&r.o, "; it has to be ");
		policy_ident_text(&r.o, &c->remote_id);
		text_add(&r.c, "our local_id has to be the other end's remote_id, and its local_id "
			       "our remote_id");
		break;
	}
	why_end(k, &r);
}

enum { SECTIONS_SHOWN = 8 };

/* Nobody's: whom it might have been. */
void why_nobody(struct why_checks *k)
{
	const struct ike_conf *conf = k->w->h->ike_conf;
	size_t n = 0;
	struct why_row r;

	why_begin(&r, "identity", why_by_stage(k->w, WHY_STAGE_AUTH));
	why_mark(k->w, &r);
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
	why_end(k, &r);
}

/* ---- certificates and keys --------------------------------------------------------------- */

static void add_days(struct text *t, int64_t seconds)
{
	text_fmt(t, " (%lld days)", (long long)(seconds / 86400));
}

static void own_dates(const struct why *w, const struct pki_cert_info *i, struct why_row *r)
{
	text_add(&r->o, "; valid from ");
	pki_time_text(&r->o, i->not_before);
	text_add(&r->o, " until ");
	pki_time_text(&r->o, i->not_after);
	if (w->now.wall.s > i->not_after.s) {
		r->result = WHY_FAILED;
		text_add(&r->t, r->t.n ? "; ours is past its end" : "ours is past its end");
		text_add(&r->c, r->c.n ? "; " : "");
		text_add(&r->c,
			 "a new one from the authority (\"warren pki sign --renew\"), or the "
			 "clock, if that is wrong");
	} else if (w->now.wall.s < i->not_before.s) {
		r->result = WHY_FAILED;
		text_add(&r->t, r->t.n ? "; ours is not valid yet" : "ours is not valid yet");
		text_add(&r->c, r->c.n ? "; " : "");
		text_add(&r->c, "the clock of this host, or that of the authority, is wrong");
	} else {
		add_days(&r->o, i->not_after.s - w->now.wall.s);
	}
}

static void certificate_remedy(const struct why *w, struct text *t)
{
	switch (why_is_failed(w, "certificate") ? why_reason(w) : IKE_R_NONE) {
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

static void check_certificate(struct why_checks *k)
{
	const struct ike_peer_conf *c = k->w->conf;
	struct pki_cert_info info;
	struct why_row r;

	why_begin(&r, "certificate", why_by_stage(k->w, WHY_STAGE_AUTH));
	if (why_mark(k->w, &r))
		certificate_remedy(k->w, &r.c);
	if (why_own_certificate(c, &info)) {
		text_fmt(&r.o, "%s, issued by %s", info.subject, info.issuer);
		own_dates(k->w, &info, &r);
	}
	if (c->n_revoked)
		text_fmt(&r.o, "; our CRL lists %zu", c->n_revoked);
	if (r.result == WHY_UNKNOWN)
		certificate_remedy(k->w, &r.c);
	why_end(k, &r);
}

static void check_clock(struct why_checks *k)
{
	bool synced = plat_clock_synced();
	obs_time t = { k->w->now.wall.s * 1000 };
	char buf[OBS_TIME_TEXT_MAX];
	struct why_row r;

	why_begin(&r, "clock", synced ? WHY_OK : WHY_UNKNOWN);
	text_fmt(&r.o, "%s, %s", obs_time_text(t, buf),
		 synced ? "synchronised" : "not synchronised, as far as the kernel knows");
	if (!k->w->now.wall_ok) {
		r.result = WHY_FAILED;
		text_add(&r.t, "this clock was never set: dates of certificates cannot be judged");
	} else if (why_mark(k->w, &r)) {
		text_add(&r.c,
			 "whose dates are past, the certificate or the CRL, has to be renewed, "
			 "unless a clock is wrong, this one or that of the authority; for "
			 "ours, ");
	}
	if (r.result != WHY_OK)
		text_add(&r.c, "a time service, such as systemd-timesyncd or chrony");
	why_end(k, &r);
}

/* Where the shared key of a peer was written: never the key. */
static void check_key(struct why_checks *k)
{
	const struct conf_peer *p = conf_find_peer(k->w->h->conf, k->w->conf->name);
	struct why_row r;

	why_begin(&r, "key", why_by_stage(k->w, WHY_STAGE_AUTH));
	why_mark(k->w, &r);
	text_add(&r.o, "the pre-shared key ");
	if (p && p->psk_file.s)
		text_fmt(&r.o, "in %s", p->psk_file.s);
	else if (p)
		text_fmt(&r.o, "at %s:%u", k->w->h->conf->file, p->psk.at.line);
	text_add(&r.c,
		 "both ends need the same key, to the last byte; one in a file ends before its "
		 "newline");
	why_end(k, &r);
}

void why_proofs(struct why_checks *k)
{
	check_identity(k);
	if (k->w->conf->auth == IKE_AUTH_PSK) {
		check_key(k);
		return;
	}
	check_certificate(k);
	check_clock(k);
	why_authorised(k);
}
