#include <inttypes.h>

#include "crypto/fake/internal.h"

/* ---- key agreement ------------------------------------------------------------------------ */

/*
 * Multiplication modulo a prime, on four lanes: g*a is the public value of a, and a*(g*b) is
 * b*(g*a).  Division undoes it, of course.  After the lanes a public value is filled up to the
 * length of its group with bytes that depend on them, so that most changes make it invalid, as most
 * byte strings are no point of a curve.
 */
enum { LANES = 4, LANES_LEN = 4 * LANES };
static const uint64_t prime = 4294967291; /* 2^32 - 5 */
static const uint64_t generator = 2654435769;

struct lanes {
	uint32_t v[LANES];
};

static struct lanes lanes_mul(struct lanes a, struct lanes b)
{
	struct lanes r;

	for (size_t i = 0; i < LANES; i++)
		r.v[i] = (uint32_t)((uint64_t)a.v[i] * b.v[i] % prime);
	return r;
}

static struct lanes lanes_load(const uint8_t *p)
{
	struct lanes r;

	for (size_t i = 0; i < LANES; i++)
		r.v[i] = load_be32(p + 4 * i);
	return r;
}

static void lanes_store(struct lanes a, uint8_t *p)
{
	for (size_t i = 0; i < LANES; i++)
		store_be32(p + 4 * i, a.v[i]);
}

static bool lanes_valid(struct lanes a)
{
	for (size_t i = 0; i < LANES; i++) {
		if (a.v[i] == 0 || a.v[i] >= prime)
			return false;
	}
	return true;
}

static struct lanes lanes_public(struct lanes a)
{
	struct lanes g;

	for (size_t i = 0; i < LANES; i++)
		g.v[i] = (uint32_t)(generator + i);
	return lanes_mul(a, g);
}

static void expand(enum mix_domain domain, uint16_t group, struct lanes a, uint8_t *ret_out,
		   size_t n)
{
	uint8_t raw[LANES_LEN];
	struct mix m;

	lanes_store(a, raw);
	mix_init(&m, domain, group);
	mix_add(&m, BYTES_OF(raw));
	mix_out(&m, ret_out, n);
}

static void public_value(uint16_t group, struct lanes pub, uint8_t *ret_pub)
{
	lanes_store(pub, ret_pub);
	expand(MIX_PUBLIC, group, pub, ret_pub + LANES_LEN,
	       crypto_ke_public_len(group) - LANES_LEN);
}

static size_t shared_len(uint16_t group)
{
	switch (group) {
	case CRYPTO_MODP_2048: return 256;
	case CRYPTO_ECP_384: return 48;
	case CRYPTO_ECP_521: return 66;
	default: return 32;
	}
}

static struct lanes generate(struct crypto_fake *p, uint16_t group, struct crypto_result *ret)
{
	uint8_t raw[LANES_LEN];
	struct lanes a;

	do {
		fake_random(p, raw, sizeof(raw));
		a = lanes_load(raw);
	} while (!lanes_valid(a));
	public_value(group, lanes_public(a), ret->ke.pub);
	ret->ke.pub_len = (uint16_t)crypto_ke_public_len(group);
	return a;
}

static enum status derive(uint16_t group, struct lanes a, struct bytes peer,
			  struct crypto_result *ret, struct text *why)
{
	uint8_t want[CRYPTO_KE_PUBLIC_MAX];
	size_t n = crypto_ke_public_len(group);
	struct lanes b;

	if (peer.n == n) {
		b = lanes_load(peer.p);
		public_value(group, b, want);
	}
	if (peer.n != n || !lanes_valid(b) || !bytes_eq(peer, bytes_of(want, n))) {
		text_fmt(why, "public value of the peer is none of group %u", group);
		return ST_REFUSE;
	}
	ret->ke.shared_len = (uint16_t)shared_len(group);
	expand(MIX_SHARED, group, lanes_mul(a, b), ret->ke.shared, ret->ke.shared_len);
	return ST_OK;
}

static enum status run_generate(struct crypto_fake *p, uint16_t group, struct crypto_result *ret)
{
	struct lanes a = generate(p, group, ret);

	lanes_store(a, ret->ke.priv.b);
	ret->ke.priv.n = LANES_LEN;
	return ST_OK;
}

static enum status run_derive(const struct crypto_job *job, struct crypto_result *ret,
			      struct text *why)
{
	const struct secret *priv = &job->in.ke_derive.priv;

	if (priv->n != LANES_LEN || !lanes_valid(lanes_load(priv->b)))
		return ST_BUG;
	return derive(job->in.ke_derive.group, lanes_load(priv->b), job->in.ke_derive.peer, ret,
		      why);
}

static enum status run_respond(struct crypto_fake *p, const struct crypto_job *job,
			       struct crypto_result *ret, struct text *why)
{
	struct lanes a = generate(p, job->in.ke_respond.group, ret);

	return derive(job->in.ke_respond.group, a, job->in.ke_respond.peer, ret, why);
}

/* ---- AUTH --------------------------------------------------------------------------------- */

enum { METHOD_PSK = 2, METHOD_ECDSA_256 = 9, METHOD_ECDSA_384 = 10, METHOD_SIGNATURE = 14 };

/* ecdsa-with-SHA256 (RFC 7427 appendix A.3.2): what a peer's parser expects to see there. */
static const uint8_t algorithm[] = { 12,   0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
				     0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };

/* Writes AUTH data for `method`; 0 when there is no such method. */
static size_t signature(crypto_ref key, uint8_t method, struct bytes octets,
			uint8_t ret_sig[CRYPTO_SIGNATURE_MAX])
{
	size_t head = method == METHOD_SIGNATURE ? sizeof(algorithm) : 0;
	size_t n = method == METHOD_ECDSA_384 ? 96 : 64;
	uint8_t number[4];
	struct mix m;

	if (method != METHOD_SIGNATURE && method != METHOD_ECDSA_256 && method != METHOD_ECDSA_384)
		return 0;
	memcpy(ret_sig, algorithm, head);
	store_be32(number, key);
	mix_init(&m, MIX_SIGNATURE, method);
	mix_add(&m, BYTES_OF(number));
	mix_add(&m, octets);
	mix_out(&m, ret_sig + head, n);
	return head + n;
}

static enum status run_sign(const struct crypto_sign_in *in, struct crypto_result *ret,
			    struct text *why)
{
	uint8_t method = in->method ? in->method : METHOD_ECDSA_256;

	if (in->key == 0)
		return ST_BUG;
	if (method == METHOD_SIGNATURE && !(in->peer_hashes >> CRYPTO_SHA2_256 & 1)) {
		text_add(why, "fake keys sign with SHA2-256, which the peer did not announce");
		return ST_REFUSE;
	}
	ret->auth.len = (uint16_t)signature(in->key, method, in->octets, ret->auth.data);
	memcpy(ret->auth.how, "fake", sizeof("fake"));
	ret->auth.method = method;
	if (ret->auth.len == 0) {
		text_fmt(why, "auth method %u is not implemented", method);
		return ST_REFUSE;
	}
	return ST_OK;
}

/* RFC 7296 section 2.15, with the reference number as the shared secret. */
static enum status run_psk(const struct crypto_psk_in *in, struct crypto_result *ret)
{
	struct bytes pad = bytes_str("Key Pad for IKEv2");
	size_t n = crypto_prf_len(in->prf);
	uint8_t secret[4], padded[CRYPTO_PRF_MAX];

	if (in->psk == 0 || n == 0)
		return ST_BUG;
	store_be32(secret, in->psk);
	fake_prf(in->prf, BYTES_OF(secret), &pad, 1, padded);
	fake_prf(in->prf, bytes_of(padded, n), &in->octets, 1, ret->auth.data);
	memcpy(ret->auth.how, "psk", sizeof("psk"));
	ret->auth.method = METHOD_PSK;
	ret->auth.len = (uint16_t)n;
	return ST_OK;
}

/* RFC 8784 section 3, with the reference number as the PPK. */
static enum status run_ppk(struct crypto_fake *p, const struct crypto_ppk_in *in,
			   struct crypto_result *ret)
{
	struct crypto c = crypto_fake_ops(p);
	uint8_t secret[4];

	if (in->ppk == 0)
		return ST_BUG;
	store_be32(secret, in->ppk);
	return crypto_ppk_mix(&c, in->prf, BYTES_OF(secret), &in->keys, &ret->ppk);
}

static enum status check_dates(const struct fake_cert *cert, const struct crypto_verify_in *in,
			       struct text *why)
{
	if (!in->at_known)
		text_add(why, "our clock is not trusted");
	else if (in->at.s < cert->not_before.s)
		text_fmt(why, "certificate is not valid before %" PRId64 ", now %" PRId64,
			 cert->not_before.s, in->at.s);
	else if (in->at.s > cert->not_after.s)
		text_fmt(why, "certificate expired %" PRId64 ", now %" PRId64, cert->not_after.s,
			 in->at.s);
	else
		return ST_OK;
	return ST_REFUSE;
}

static enum status check_identity(const struct fake_cert *cert, const struct crypto_verify_in *in,
				  struct text *why)
{
	struct bytes id = bytes_of(cert->id, cert->id_len);

	if (cert->id_type == in->id_type && bytes_eq(id, in->id))
		return ST_OK;
	text_fmt(why, "certificate is for %u:", cert->id_type);
	text_quote(why, id);
	text_fmt(why, ", peer claims %u:", in->id_type);
	text_quote(why, in->id);
	return ST_REFUSE;
}

static enum status check_issuer(const struct fake_cert *cert, const struct crypto_verify_in *in,
				struct text *why)
{
	if (cert->issuer == in->trust)
		return ST_OK;
	text_fmt(why, "issuer %" PRIu32 " is not the trust anchor %" PRIu32, cert->issuer,
		 in->trust);
	return ST_REFUSE;
}

static enum status check_signature(const struct fake_cert *cert, const struct crypto_verify_in *in,
				   struct text *why)
{
	uint8_t want[CRYPTO_SIGNATURE_MAX];
	size_t n = signature(cert->key, in->method, in->octets, want);

	if (n > 0 && bytes_eq(bytes_of(want, n), in->signature))
		return ST_OK;
	text_fmt(why, "AUTH does not verify with key %" PRIu32, cert->key);
	return ST_REFUSE;
}

static void note_facts(const struct fake_cert *cert, struct bytes raw,
		       struct crypto_cert_facts *facts)
{
	struct text auth = TEXT_OF(facts->auth);
	struct mix m;

	facts->not_before = cert->not_before;
	facts->not_after = cert->not_after;
	facts->serial_len = 4;
	store_be32(facts->serial, cert->key);
	text_add(&auth, "fake");
	mix_init(&m, MIX_FINGERPRINT, 0);
	mix_add(&m, raw);
	mix_out(&m, facts->fingerprint, sizeof(facts->fingerprint));
	crypto_fake_revocation_id(cert->key, cert->issuer, facts->revocation_ids[0]);
	facts->n_revocation_ids = 1;
	facts->has_blocks = cert->has_blocks;
	facts->n_blocks = (uint16_t)cert->n_blocks;
	memcpy(facts->blocks, cert->blocks, cert->n_blocks * sizeof(cert->blocks[0]));
}

static enum status run_verify(const struct crypto_verify_in *in, struct crypto_result *ret,
			      struct text *why)
{
	struct fake_cert cert;
	enum status st;

	ret->fault = CRYPTO_FAULT_CERTIFICATE;
	if (in->n_certs == 0 || fake_cert_parse(in->certs[0], &cert) != ST_OK) {
		text_add(why, "peer sent no certificate that can be read");
		return ST_REFUSE;
	}
	st = check_issuer(&cert, in, why);
	if (st == ST_OK) {
		ret->fault = CRYPTO_FAULT_DATES;
		st = check_dates(&cert, in, why);
	}
	if (st == ST_OK) {
		ret->fault = CRYPTO_FAULT_IDENTITY;
		st = check_identity(&cert, in, why);
	}
	if (st == ST_OK) {
		ret->fault = CRYPTO_FAULT_SIGNATURE;
		st = check_signature(&cert, in, why);
	}
	if (st == ST_OK) {
		ret->fault = CRYPTO_FAULT_NONE;
		note_facts(&cert, in->certs[0], &ret->cert);
	}
	return st;
}

static enum status run_puzzle(struct crypto_fake *p, const struct crypto_puzzle_in *in,
			      struct crypto_puzzle_out *ret)
{
	struct crypto c = crypto_fake_ops(p);

	return crypto_puzzle_solve(&c, in, ret);
}

static enum status run_qcd(struct crypto_fake *p, const struct crypto_qcd_in *in,
			   struct crypto_result *ret)
{
	struct crypto c = crypto_fake_ops(p);
	uint8_t secret[8];

	store_be64(secret, fake_qcd_secret(p));
	return crypto_qcd_token(&c, BYTES_OF(secret), in, ret->qcd);
}

/* ---- dispatch ----------------------------------------------------------------------------- */

static enum status run_kind(struct crypto_fake *p, const struct crypto_job *job,
			    struct crypto_result *ret, struct text *why)
{
	switch (job->kind) {
	case CRYPTO_JOB_KE_GENERATE:
		return crypto_ke_public_len(job->in.ke_generate.group) > 0
			       ? run_generate(p, job->in.ke_generate.group, ret)
			       : ST_BUG;
	case CRYPTO_JOB_KE_DERIVE:
		return crypto_ke_public_len(job->in.ke_derive.group) > 0 ? run_derive(job, ret, why)
									 : ST_BUG;
	case CRYPTO_JOB_KE_RESPOND:
		return crypto_ke_public_len(job->in.ke_respond.group) > 0
			       ? run_respond(p, job, ret, why)
			       : ST_BUG;
	case CRYPTO_JOB_SIGN: return run_sign(&job->in.sign, ret, why);
	case CRYPTO_JOB_PSK_AUTH: return run_psk(&job->in.psk, ret);
	case CRYPTO_JOB_VERIFY: return run_verify(&job->in.verify, ret, why);
	case CRYPTO_JOB_PPK: return run_ppk(p, &job->in.ppk, ret);
	case CRYPTO_JOB_PUZZLE: return run_puzzle(p, &job->in.puzzle, &ret->puzzle);
	case CRYPTO_JOB_QCD: return run_qcd(p, &job->in.qcd, ret);
	}
	return ST_BUG;
}

void crypto_fake_run(struct crypto_fake *p, const struct crypto_job *job, struct crypto_result *ret)
{
	struct text why;

	memset(ret, 0, sizeof(*ret));
	ret->kind = job->kind;
	why = TEXT_OF(ret->reason);
	ret->status = run_kind(p, job, ret, &why);
	if (ret->status == ST_OK)
		return;
	wipe(&ret->ke, sizeof(ret->ke));
	wipe(&ret->auth, sizeof(ret->auth));
	wipe(&ret->ppk, sizeof(ret->ppk));
	wipe(&ret->cert, sizeof(ret->cert));
	wipe(&ret->puzzle, sizeof(ret->puzzle));
	wipe(&ret->qcd, sizeof(ret->qcd));
	if (why.n == 0)
		text_fmt(&why, "%s failed: %s", crypto_job_name(ret->kind),
			 status_name(ret->status));
}
