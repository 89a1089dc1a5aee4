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
		text_add(&r.t, "refused: \"authorisation\" has why");
	}
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
