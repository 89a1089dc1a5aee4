/*
 * ppk.c - post-quantum pre-shared keys (RFC 8784): whether one is used, and the mixing of it.
 *
 *	HDR, SAi1, KEi, Ni, N(USE_PPK)  -->
 *			    <--  HDR, SAr1, KEr, Nr, [CERTREQ,] N(USE_PPK)
 *	HDR, SK {IDi, ..., AUTH, SAi2, TSi, TSr,
 *		 N(PPK_IDENTITY, PPK_ID), [N(NO_PPK_AUTH)]}  -->
 *			    <--  HDR, SK {IDr, ..., AUTH, SAr2, TSi, TSr, N(PPK_IDENTITY)}
 *
 * SK_d, SK_pi and SK_pr are run through prf+ with the PPK as its key, by the signer (S4).  What
 * protects IKE_AUTH itself stays as it is.  Both ends notice another PPK by AUTH, and whoever wants
 * to talk them out of using one has to break a signature or pre-shared key first, unless they
 * require it: then not even that helps.
 */
#include "ike/internal.h"

/* Section 5.1. */
enum ppk_id_type { PPK_ID_OPAQUE = 1, PPK_ID_FIXED = 2 };

void ppk_put_support(struct wire_out *o)
{
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_USE_PPK, bytes_of(NULL, 0));
}

bool ppk_supported(const struct wire_payloads *p)
{
	return wire_find_notify(p, WIRE_N_USE_PPK) != NULL;
}

enum status ppk_put_identity(struct wire_out *o, struct arena *ar, struct bytes id)
{
	uint8_t *p = arena_new(ar, 1 + id.n);

	if (!p)
		return ST_NOMEM;
	p[0] = PPK_ID_FIXED;
	memcpy(p + 1, id.p, id.n);
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_PPK_IDENTITY,
			bytes_of(p, 1 + id.n));
	return ST_OK;
}

/* That of a partner is no key of the configuration: partner_mix(). */
bool ppk_known(const struct ike_peer_conf *conf)
{
	return conf->ppk || conf->role == IKE_ROLE_PARTNER;
}

/* An opaque id is what both ends understand it to be: between ours the same octets. */
static bool is_named(const struct ike_peer_conf *conf, struct bytes data)
{
	return ppk_known(conf) && data.n > 1 &&
	       (data.p[0] == PPK_ID_FIXED || data.p[0] == PPK_ID_OPAQUE) &&
	       bytes_eq(bytes_of(data.p + 1, data.n - 1), conf->ppk_id);
}

static void add_id(struct text *t, struct bytes id)
{
	text_add(t, "\"");
	text_quote(t, id);
	text_add(t, "\"");
}

/* The rows of section 3, table 1, from top to bottom. */
enum ppk_choice ppk_choose(const struct ike_peer_conf *conf, bool both, struct wire_payloads *in,
			   struct text *why)
{
	const struct wire_notify *id = wire_find_notify(in, WIRE_N_PPK_IDENTITY);
	const struct wire_notify *plain = wire_find_notify(in, WIRE_N_NO_PPK_AUTH);

	if (!both && !(ppk_known(conf) && conf->ppk_required))
		return PPK_UNUSED;
	if (!both) {
		text_fmt(why, "\"%s\" requires the post-quantum pre-shared key ", conf->name);
		add_id(why, conf->ppk_id);
		text_add(why, ", and the peer does not offer to use any");
		return PPK_REFUSED;
	}
	if (!id) {
		text_add(why,
			 "the peer agreed to use a post-quantum pre-shared key and names none");
		return PPK_REFUSED;
	}
	if (is_named(conf, id->data))
		return PPK_USED;
	text_add(why, "the peer uses the post-quantum pre-shared key ");
	add_id(why, id->data.n > 1 ? bytes_of(id->data.p + 1, id->data.n - 1) : id->data);
	text_fmt(why, ", \"%s\" has ", conf->name);
	if (ppk_known(conf))
		add_id(why, conf->ppk_id);
	else
		text_add(why, "none");
	if (plain && !conf->ppk_required) {
		/* The method is that of the AUTH payload. */
		in->auth.data = plain->data;
		return PPK_UNUSED;
	}
	text_add(why, conf->ppk_required ? ", and requires it" : "; the peer requires it");
	return PPK_REFUSED;
}

enum status ppk_job(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf,
		    attempt_step *step)
{
	const struct handshake *hs = at->sa->hs;
	struct crypto_job *job;
	struct crypto_ppk_in *in;
	enum status st = crypto_job_new(ike->mem, CRYPTO_JOB_PPK, &job);

	if (st)
		return st;
	in = &job->in.ppk;
	in->ppk = conf->ppk;
	in->prf = at->sa->suite.prf;
	in->keys.pi = hs->keys.pi;
	in->keys.pr = hs->keys.pr;
	if (secret_set(&in->keys.d, keys_d(&at->sa->keys)))
		return attempt_job(ike, at, job, step);
	crypto_job_free(job);
	return ST_BUG;
}

void ppk_explain(const struct ike_peer_conf *conf, struct text *t)
{
	text_add(t, "; it covers the post-quantum pre-shared key ");
	add_id(t, conf->ppk_id);
	text_add(t, " too, which may be another there");
}
