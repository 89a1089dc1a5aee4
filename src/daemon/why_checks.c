/*
 * why_checks.c - the checks of a report, in the order in which a tunnel comes up.
 *
 * "init" and "auth" are the two exchanges; the checks after each are what it is about.  When one of
 * them is known to have failed it has the engine's words for that; when all that is known is that
 * the exchange did not succeed, it has them, and the checks after it are "unknown" and say what we
 * would have: one of them it was.
 */
#include "daemon/why_checks.h"

static const char *const result_name[] = {
	[WHY_UNKNOWN] = "unknown",
	[WHY_OK] = "ok",
	[WHY_FAILED] = "failed",
};

void why_begin(struct why_row *r, const char *name, enum why_result result)
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

void why_end(struct why_checks *k, const struct why_row *r)
{
	json_t *o = json_object();

	put(o, "check", r->name);
	put(o, "result", result_name[r->result]);
	put(o, "text", r->text);
	put(o, "ours", r->ours);
	put(o, "change", r->change);
	json_array_append_new(k->list, o);
}

enum why_result why_by_stage(const struct why *w, enum why_stage stage)
{
	if (w->stage > stage)
		return WHY_OK;
	return WHY_UNKNOWN;
}

/* ---- what failed -------------------------------------------------------------------------- */

const char *why_text(const struct why *w)
{
	const struct journal_note *n = why_failure(w);

	return n ? n->what->text : "";
}

enum ike_reason why_reason(const struct why *w)
{
	const struct journal_note *n = why_failure(w);

	return n ? n->what->reason : IKE_R_NONE;
}

/* The check of IKE_AUTH that failed; NULL: it is not known which. */
static const char *failed_proof(const struct why *w)
{
	bool cert = w->conf && w->conf->auth == IKE_AUTH_CERT;

	switch (why_reason(w)) {
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
	bool cert = w->conf && w->conf->auth == IKE_AUTH_CERT;

	switch (why_reason(w)) {
	case IKE_R_AUTHORISATION:
	case IKE_R_CONFLICT: return cert ? "authorisation" : "selectors";
	case IKE_R_ADDRESS:
	case IKE_R_STORE: return "address";
	default: return "selectors";
	}
}

const char *why_failed_check(const struct why *w)
{
	switch (w->stage) {
	case WHY_STAGE_AUTH: return failed_proof(w);
	case WHY_STAGE_CHILD: return failed_wish(w);
	default: return NULL;
	}
}

bool why_is_failed(const struct why *w, const char *check)
{
	const char *failed = why_failed_check(w);

	return failed && strcmp(failed, check) == 0;
}

bool why_mark(const struct why *w, struct why_row *r)
{
	if (!why_is_failed(w, r->name))
		return false;
	r->result = WHY_FAILED;
	text_add(&r->t, why_text(w));
	return true;
}

/* ---- all ---------------------------------------------------------------------------------- */

bool why_own_certificate(const struct ike_peer_conf *c, struct pki_cert_info *ret)
{
	char ignored[256];
	struct text why = TEXT_OF(ignored);

	return c->n_certs > 0 && pki_cert_read_der(c->certs[0], &why, ret) == ST_OK;
}

json_t *why_checks_json(const struct why *w)
{
	struct why_checks k = { w, json_array() };

	if (w->kind == WHY_PARTNER) {
		why_partner(&k);
		return k.list;
	}
	if (w->conf && w->kind != WHY_HUB && w->kind != WHY_MEMBER)
		why_ways(&k);
	why_redirect(&k);
	/* A hub's network is no tunnel, but what its members will be held against. */
	if (w->kind != WHY_HUB) {
		why_init(&k);
		why_auth(&k);
	}
	if (w->conf) {
		why_proofs(&k);
		why_address(&k);
		why_store(&k);
		why_child(&k);
	} else {
		why_nobody(&k);
	}
	why_answers(&k);
	why_packets(&k);
	if (w->kind == WHY_SITE)
		why_wanted(&k);
	if (w->kind == WHY_MEMBER)
		why_pairs(&k);
	if (w->conf)
		why_block(&k);
	return k.list;
}
