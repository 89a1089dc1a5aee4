/*
 * why_child.c - what a peer may have: authorisation, inner addresses, selectors.
 */
#include "daemon/leases.h"
#include "daemon/why_checks.h"

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

void why_authorised(struct why_checks *k)
{
	const struct journal_note *conflict = why_note(k->w, IKE_EV_CONFLICT);
	const struct ike_peer_conf *c = k->w->conf;
	struct pki_cert_info info;
	struct why_row r;

	why_begin(&r, "authorisation", why_by_stage(k->w, WHY_STAGE_CHILD));
	if (why_mark(k->w, &r)) {
		/* has it all */
	} else if (conflict) {
		r.result = WHY_FAILED;
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
	} else if (why_own_certificate(c, &info)) {
		text_add(&r.o, "the address blocks of our certificate: ");
		pki_blocks_text(&r.o, &info.blocks);
		text_add(&r.c,
			 "what we ask for has to lie in these, or in a `member` rule of the hub; "
			 "a prefix that another site has up is its own until it leaves");
	}
	why_end(k, &r);
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
	case IKE_ROLE_PARTNER:
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
	if (*why_text(w))
		return why_text(w);
	return *w->last_error ? w->last_error
			      : "there is an IKE SA without a child SA: the other end deleted it, "
				"or did not ask for one";
}

void why_child(struct why_checks *k)
{
	const struct why *w = k->w;
	struct why_row r;

	why_begin(&r, "selectors", why_by_stage(w, WHY_STAGE_CHILD));
	if (w->has_child)
		ike_each_child(w->h->ike, w->now, &w->sa, on_agreed, &r.t);
	policy_ts_list_text(&r.o, &w->conf->ts_local);
	text_add(&r.o, " === ");
	policy_ts_list_text(&r.o, &w->conf->ts_remote);
	text_add(&r.o, ", ");
	policy_sa_text(&r.o, &w->conf->esp);
	if (why_is_failed(w, "selectors")) {
		r.result = WHY_FAILED;
		text_add(&r.t, no_child(w));
		child_remedy(w, &r.c);
	} else if (w->stage == WHY_STAGE_CHILD) {
		text_fmt(&r.t, "refused: \"%s\" has why", why_failed_check(w));
	}
	why_end(k, &r);
}

/* ---- inner addresses ---------------------------------------------------------------------- */

static void add_family(struct text *t, const char *name, const struct ike_pool_family *f)
{
	if (f->size)
		text_fmt(t, "; of %zu %s addresses %zu are free", f->size, name, f->left);
}

static const char *exhausted(const struct ike_pool_info *i)
{
	bool no4 = i->v4.size && !i->v4.left, no6 = i->v6.size && !i->v6.left;

	if (no4 && no6)
		return "no address is free";
	return no4 ? "no IPv4 address is free" : no6 ? "no IPv6 address is free" : NULL;
}

/* Use of our pool.  Where nothing is free some lease may be over, which only who asks finds out. */
static void pool_text(const struct why *w, struct why_row *r)
{
	struct ike_pool_info i;

	for (size_t k = 0; k < w->conf->n_pool; k++) {
		const struct wire_ts ts = policy_range_ts(&w->conf->pool[k]);

		text_add(&r->o, k ? ", " : "our pool: ");
		policy_ts_text(&r->o, &ts);
	}
	if (!ike_pool(w->h->ike, w->conf->id, &i))
		return;
	add_family(&r->o, "IPv4", &i.v4);
	add_family(&r->o, "IPv6", &i.v6);
	text_fmt(&r->o, "; %zu leases, of them %zu of who is not connected", i.leases,
		 i.leases - i.in_use);
	if (w->kind != WHY_HUB || !exhausted(&i))
		return;
	r->result = i.leases > i.in_use ? WHY_UNKNOWN : WHY_FAILED;
	text_fmt(&r->t,
		 "%s: who has a lease comes back to it, others get one only when the lease of "
		 "somebody who is absent is over",
		 exhausted(&i));
	text_add(&r->c, "`pool` larger, or `lease_keep` shorter; \"warren leases\" has who has the "
			"addresses");
}

static void asked_text(const struct why *w, struct text *t)
{
	const struct ike_peer_conf *c = w->conf;

	text_fmt(t, "we ask for an %s address",
		 c->ask_v4 && c->ask_v6 ? "IPv4 and an IPv6"
		 : c->ask_v4            ? "IPv4"
					: "IPv6");
}

static void address_remedy(const struct why *w, struct text *t)
{
	if (!w->conf->n_pool)
		text_add(t, "what we ask for (`virtual_ip`, role = endpoint), or the gateway: its "
			    "`pool`, its disk, its \"warren why\" with our identity");
	else if (why_reason(w) == IKE_R_STORE)
		text_add(t, "the disk that \"store\", below, is about");
	else
		text_add(t, "our `pool` or `lease_keep` (\"warren leases\" has who has the "
			    "addresses), or what the other end asks for");
}

/* Who neither gives nor asks for any may have been told that it should. */
static bool is_about_addresses(const struct why *w)
{
	return w->conf->n_pool || w->conf->ask_v4 || w->conf->ask_v6 || why_is_failed(w, "address");
}

static bool has_family(const struct why *w, uint8_t family)
{
	for (size_t i = 0; i < w->n_inner; i++)
		if (w->inner[i].family == family)
			return true;
	return false;
}

static void given_text(const struct why *w, struct why_row *r)
{
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; i < w->n_inner; i++)
		text_fmt(&r->t, "%s%s", i ? ", " : "", ip_text(&w->inner[i], buf));
	if (w->n_inner && w->conf->ask_v4 && !has_family(w, 4))
		text_add(&r->t, "; no IPv4 address was given");
	if (w->n_inner && w->conf->ask_v6 && !has_family(w, 6))
		text_add(&r->t, "; no IPv6 address was given");
	if (r->result == WHY_OK && w->kind != WHY_HUB && !w->n_inner)
		text_add(&r->t, "none: it asked for none");
}

void why_address(struct why_checks *k)
{
	const struct why *w = k->w;
	struct why_row r;

	if (!is_about_addresses(w))
		return;
	why_begin(&r, "address", w->kind == WHY_HUB ? WHY_OK : why_by_stage(w, WHY_STAGE_CHILD));
	if (why_mark(w, &r))
		address_remedy(w, &r.c);
	else
		given_text(w, &r);
	if (w->conf->n_pool)
		pool_text(w, &r);
	else if (w->conf->ask_v4 || w->conf->ask_v6)
		asked_text(w, &r.o);
	why_end(k, &r);
}

/* Who is to get an address gets it stored first. */
void why_store(struct why_checks *k)
{
	const char *trouble = leases_trouble(k->w->h);
	struct why_row r;

	if (k->w->conf->n_pool == 0)
		return;
	why_begin(&r, "store", trouble ? WHY_FAILED : WHY_OK);
	text_add(&r.t, trouble ? trouble : "inner addresses are on the disk before they are given");
	if (trouble)
		text_add(&r.c, "the disk or the file; the daemon notices by itself.  Tunnels that "
			       "are up go on meanwhile");
	why_end(k, &r);
}
