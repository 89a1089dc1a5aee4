/*
 * auth.c - what both sides of IKE_AUTH share: the AUTH payload, made and judged (RFC 7296
 * section 2.15, RFC 7427).
 *
 * Both kinds of AUTH are jobs, because the secrets are elsewhere: a signature by a private key and
 * the path check of a peer's certificate take long, a pre-shared key is not known here at all.
 */
#include "ike/internal.h"

static struct bytes id_body(struct arena *ar, uint8_t type, struct bytes data)
{
	uint8_t *p = arena_new(ar, 4 + data.n);

	if (!p)
		return bytes_of(NULL, 0);
	wire_id_body(type, data, p);
	return bytes_of(p, 4 + data.n);
}

/* The octets that the initiator or the responder authenticates with. */
static enum status octets(struct ike *ike, struct attempt *at, bool initiator,
			  const struct secret *sk_p, struct bytes body, struct bytes *ret)
{
	const struct handshake *hs = at->sa->hs;

	if (!body.n)
		return ST_NOMEM;
	if (initiator)
		return keys_signed_octets(&ike->crypto, at->sa->suite.prf, &at->mem, hs->msg_i,
					  hs->nonce_r, sk_p, body, ret);
	return keys_signed_octets(&ike->crypto, at->sa->suite.prf, &at->mem, hs->msg_r, hs->nonce_i,
				  sk_p, body, ret);
}

static enum status fill_own(struct attempt *at, const struct ike_peer_conf *conf, struct bytes oct,
			    struct crypto_job *job)
{
	if (job->kind == CRYPTO_JOB_PSK_AUTH) {
		job->in.psk.psk = conf->psk;
		job->in.psk.prf = at->sa->suite.prf;
		return crypto_job_dup(job, oct, &job->in.psk.octets);
	}
	job->in.sign.key = conf->key;
	job->in.sign.peer_hashes = at->sa->hs->peer_hashes;
	/* Without the notify the peer does not know RFC 7427: the old methods, by key. */
	job->in.sign.method = job->in.sign.peer_hashes ? WIRE_AUTH_SIGNATURE : 0;
	return crypto_job_dup(job, oct, &job->in.sign.octets);
}

enum status auth_job_own(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf,
			 const struct secret *sk_p, bool as_initiator, attempt_step *step)
{
	struct bytes body = id_body(&at->mem, conf->local_id.type, conf->local_id.data);
	struct crypto_job *job;
	struct bytes oct;
	enum status st = octets(ike, at, as_initiator, sk_p, body, &oct);

	if (!st)
		st = crypto_job_new(
			ike->mem,
			conf->auth == IKE_AUTH_PSK ? CRYPTO_JOB_PSK_AUTH : CRYPTO_JOB_SIGN, &job);
	if (st)
		return st;
	st = fill_own(at, conf, oct, job);
	if (st) {
		crypto_job_free(job);
		return st;
	}
	return attempt_job(ike, at, job, step);
}

/* The end entity is the first CERT, the others help to build the path (section 3.6). */
static enum status copy_certs(const struct wire_payloads *p, struct crypto_job *job)
{
	struct crypto_verify_in *v = &job->in.verify;

	for (size_t i = 0; i < p->n_certs && v->n_certs < CRYPTO_CERTS_MAX; i++) {
		enum status st;

		if (p->certs[i].encoding != WIRE_CERT_X509)
			continue;
		st = crypto_job_dup(job, p->certs[i].data, &v->certs[v->n_certs]);
		if (st)
			return st;
		v->n_certs++;
	}
	return ST_OK;
}

static bool has_cert(const struct wire_payloads *p, uint8_t encoding)
{
	for (size_t i = 0; i < p->n_certs; i++)
		if (p->certs[i].encoding == encoding)
			return true;
	return false;
}

/* Section 3.6: nobody may send these to who did not announce HTTP_CERT_LOOKUP_SUPPORTED, which we
 * never do: to fetch what a stranger names is to let him choose whom we connect to. */
static bool has_hash_url(const struct wire_payloads *p)
{
	return has_cert(p, WIRE_CERT_HASH_URL) || has_cert(p, WIRE_CERT_HASH_URL_BUNDLE);
}

static enum status fill_verify(struct ike *ike, struct attempt *at,
			       const struct ike_peer_conf *conf, const struct wire_id *id,
			       struct bytes oct, struct crypto_job *job)
{
	struct crypto_verify_in *v = &job->in.verify;
	enum status st;

	if (has_hash_url(&at->inner))
		count(ike, C_HASH_URL);
	v->trust = conf->trust;
	v->id_type = id->type;
	v->at = ike->now.wall;
	v->at_known = ike->now.wall_ok;
	v->method = at->inner.auth.method;
	st = crypto_job_dup(job, id->data, &v->id);
	if (!st)
		st = crypto_job_dup(job, at->inner.auth.data, &v->signature);
	if (!st)
		st = crypto_job_dup(job, oct, &v->octets);
	return st ? st : copy_certs(&at->inner, job);
}

enum status auth_job_peer(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf,
			  const struct secret *sk_p, bool peer_is_initiator, attempt_step *step)
{
	const struct wire_id *id = peer_is_initiator ? &at->inner.id_i : &at->inner.id_r;
	bool psk = conf->auth == IKE_AUTH_PSK;
	struct crypto_job *job;
	struct bytes oct;
	enum status st = octets(ike, at, peer_is_initiator, sk_p, id->body, &oct);

	if (!st)
		st = crypto_job_new(ike->mem, psk ? CRYPTO_JOB_PSK_AUTH : CRYPTO_JOB_VERIFY, &job);
	if (st)
		return st;
	if (psk) {
		job->in.psk.psk = conf->psk;
		job->in.psk.prf = at->sa->suite.prf;
		st = crypto_job_dup(job, oct, &job->in.psk.octets);
	} else {
		st = fill_verify(ike, at, conf, id, oct, job);
	}
	if (st) {
		crypto_job_free(job);
		return st;
	}
	return attempt_job(ike, at, job, step);
}

static void peer_ident_text(const struct attempt *at, struct text *t)
{
	const struct wire_id *id = at->sa->initiator ? &at->inner.id_r : &at->inner.id_i;
	struct policy_ident ident = { id->type, id->data };

	policy_ident_text(t, &ident);
}

enum ike_reason reason_of(const struct crypto_result *r)
{
	static const enum ike_reason of[] = {
		[CRYPTO_FAULT_NONE] = IKE_R_INTERNAL,
		[CRYPTO_FAULT_CERTIFICATE] = IKE_R_CERTIFICATE,
		[CRYPTO_FAULT_DATES] = IKE_R_CLOCK,
		[CRYPTO_FAULT_REVOKED] = IKE_R_REVOKED,
		[CRYPTO_FAULT_IDENTITY] = IKE_R_IDENTITY,
		[CRYPTO_FAULT_SIGNATURE] = IKE_R_KEY,
	};

	return (size_t)r->fault < ARRAY_LEN(of) ? of[r->fault] : IKE_R_INTERNAL;
}

/* The provider refuses what the list revoked that it was given; ours may be newer. */
static enum ike_reason not_revoked(const struct ike_peer_conf *conf, const struct crypto_result *r,
				   struct text *why)
{
	const char *what = what_is_revoked(conf, r->cert.revocation_ids, r->cert.n_revocation_ids);

	if (!what)
		return IKE_R_NONE;
	text_fmt(why, "its %s is revoked; the certificate has serial number ", what);
	text_hex(why, bytes_of(r->cert.serial, r->cert.serial_len));
	return IKE_R_REVOKED;
}

/* For a pre-shared key the job computed what the peer's AUTH has to be. */
enum ike_reason auth_verified(const struct attempt *at, const struct ike_peer_conf *conf,
			      const struct crypto_result *r, char ret_how[24], struct text *why)
{
	struct text how = { ret_how, 0, 24 };

	peer_ident_text(at, why);
	text_add(why, ": ");
	if (r->status == ST_REFUSE && has_hash_url(&at->inner) &&
	    !has_cert(&at->inner, WIRE_CERT_X509)) {
		text_add(why,
			 "it sent hash and URL of its certificate, which is not fetched, and no "
			 "certificate");
		return reason_of(r);
	}
	if (r->status) {
		text_add(why, r->reason[0] ? r->reason : "the check could not be carried out");
		return reason_of(r);
	}
	/* The result says what was checked. The configuration may want something else by now, and a
	 * job for a pre-shared key succeeds whatever the peer sent. */
	if ((r->kind == CRYPTO_JOB_PSK_AUTH) != (conf->auth == IKE_AUTH_PSK)) {
		text_add(why, "the configuration changed while the peer was being checked");
		return IKE_R_KEY;
	}
	if (r->kind == CRYPTO_JOB_VERIFY) {
		text_add(&how, r->cert.auth);
		return not_revoked(conf, r, why);
	}
	if (!ct_equal(at->inner.auth.data, bytes_of(r->auth.data, r->auth.len))) {
		text_fmt(why,
			 "the pre-shared keys differ: its AUTH does not verify with the one "
			 "configured for \"%s\"",
			 conf->name);
		return IKE_R_KEY;
	}
	text_add(&how, "psk");
	return IKE_R_NONE;
}

/* There are as many as providers have ways. */
struct auth_name {
	struct list node;
	char how[24];
};

const char *auth_name(struct ike *ike, const char *how)
{
	struct auth_name *name;

	list_for_each(n, &ike->auth_names) {
		name = CONTAINER_OF(n, struct auth_name, node);
		if (strcmp(name->how, how) == 0)
			return name->how;
	}
	name = mem_new(ike->mem, sizeof(*name));
	if (!name)
		return "";
	snprintf(name->how, sizeof(name->how), "%s", how);
	list_add_tail(&ike->auth_names, &name->node);
	return name->how;
}

void auth_names_free(struct ike *ike)
{
	list_for_each_safe(n, &ike->auth_names)
		mem_free(ike->mem, CONTAINER_OF(n, struct auth_name, node));
}

void auth_put(struct wire_out *o, const struct crypto_result *own)
{
	wire_put_auth(o, own->auth.method, bytes_of(own->auth.data, own->auth.len));
}
