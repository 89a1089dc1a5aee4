/*
 * Bundles: certificate, trust anchor and manifest, put together and taken apart.
 *
 * Reading goes from form to meaning.  Whatever is changed by accident or by somebody without the
 * authority's key, one of the three parts disagrees with the other two, and the reason names it.
 */
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "pki/internal.h"

#define MAGIC "warren-bundle 1"
#define MAGIC_ANY "warren-bundle "

static const char LABEL_CERT[] = "CERTIFICATE";
static const char LABEL_MANIFEST[] = "WARREN MANIFEST";

/* RSA below 2048 bits and SHA-1 are refused, as where a peer's certificate is verified. */
enum { AUTH_LEVEL = 2 };

static const char *const role_names[] = {
	[PKI_SITE] = "site",
	[PKI_HUB] = "hub",
	[PKI_ENDPOINT] = "endpoint",
};

const char *pki_role_name(enum pki_role role)
{
	return role_names[role];
}

enum status pki_role_parse(const char *name, enum pki_role *ret_role)
{
	for (unsigned i = PKI_SITE; i < ARRAY_LEN(role_names); i++)
		if (strcmp(role_names[i], name) == 0) {
			*ret_role = (enum pki_role)i;
			return ST_OK;
		}
	return ST_INVAL;
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum status write_parts(struct bytes cert, struct bytes anchor, struct bytes manifest,
			       struct pki_blob *ret_text)
{
	size_t room = 512 + (cert.n + anchor.n + manifest.n) * 3 / 2;
	struct pki_blob text = { mem_new(&mem_libc, room), room };
	struct wr w = wr_of(text.p, room);

	if (!text.p)
		return ST_NOMEM;
	wr_put(&w, bytes_str(MAGIC "\n"));
	armour_put(&w, LABEL_CERT, cert);
	armour_put(&w, LABEL_CERT, anchor);
	armour_put(&w, LABEL_MANIFEST, manifest);
	if (w.err || wr_len(&w) > PKI_FILE_MAX) {
		pki_blob_done(&text);
		return ST_BUG;
	}
	text.n = wr_len(&w);
	*ret_text = text;
	return ST_OK;
}

enum status bundle_make(const struct pki_manifest *m, X509 *cert, X509 *anchor, EVP_PKEY *key,
			struct text *why, struct pki_blob *ret_text)
{
	struct pki_blob cert_der = { 0 }, anchor_der = { 0 }, manifest = { 0 };
	struct pki_manifest full = *m;
	enum status st = x509_to_der(cert, why, &cert_der);

	if (st == ST_OK)
		st = x509_to_der(anchor, why, &anchor_der);
	if (st == ST_OK) {
		hash_of(pki_blob_bytes(&cert_der), full.cert_hash);
		hash_of(pki_blob_bytes(&anchor_der), full.anchor_hash);
		st = manifest_make(&full, key, why, &manifest);
	}
	if (st == ST_OK)
		st = write_parts(pki_blob_bytes(&cert_der), pki_blob_bytes(&anchor_der),
				 pki_blob_bytes(&manifest), ret_text);
	pki_blob_done(&cert_der);
	pki_blob_done(&anchor_der);
	pki_blob_done(&manifest);
	return st;
}

/* ---- form ---------------------------------------------------------------------------------- */

/* One bundle being read. */
struct reading {
	struct text *why;
	struct pki_blob cert_der, anchor_der, manifest;
	X509 *cert, *anchor;
	struct pki_cert_info cert_info, anchor_info;
	struct manifest_parts parts;
};

static void reading_done(struct reading *r)
{
	pki_blob_done(&r->cert_der);
	pki_blob_done(&r->anchor_der);
	pki_blob_done(&r->manifest);
	X509_free(r->cert);
	X509_free(r->anchor);
	ERR_clear_error();
}

static enum status take_magic(struct armour *a, struct text *why)
{
	struct bytes line;
	size_t n = strlen(MAGIC_ANY);

	if (armour_line(a, &line) != ST_OK)
		return pki_refuse(why, "not a bundle: its first line is not \"" MAGIC "\"");
	if (bytes_eq(line, bytes_str(MAGIC)))
		return ST_OK;
	if (line.n <= n || memcmp(line.p, MAGIC_ANY, n) != 0)
		return pki_refuse(why, "not a bundle: its first line is not \"" MAGIC "\"");
	text_add(why, "bundle of version \"");
	text_quote(why, bytes_of(line.p + n, line.n - n < 20 ? line.n - n : 20));
	text_add(why, "\"; this warren reads version 1");
	return ST_INVAL;
}

static enum status take_parts(struct bytes text, struct reading *r)
{
	struct armour a = { cur_of(text), 1 };
	enum status st;

	if (text.n > PKI_FILE_MAX)
		return pki_refuse(r->why, "larger than %d KiB: not a bundle", PKI_FILE_MAX >> 10);
	st = take_magic(&a, r->why);
	if (st == ST_OK)
		st = armour_take(&a, LABEL_CERT, "the certificate", r->why, &r->cert_der);
	if (st == ST_OK)
		st = armour_take(&a, LABEL_CERT, "the trust anchor", r->why, &r->anchor_der);
	if (st == ST_OK)
		st = armour_take(&a, LABEL_MANIFEST, "the manifest", r->why, &r->manifest);
	if (st == ST_OK && cur_left(&a.in) > 0)
		st = pki_refuse(r->why,
				"line %u: %zu bytes follow the manifest, which ends a "
				"bundle",
				a.line, cur_left(&a.in));
	return st;
}

static enum status parse_parts(struct reading *r)
{
	enum status st =
		x509_of_der(pki_blob_bytes(&r->cert_der), "the certificate", r->why, &r->cert);

	if (st == ST_OK)
		st = x509_of_der(pki_blob_bytes(&r->anchor_der), "the trust anchor", r->why,
				 &r->anchor);
	if (st == ST_OK)
		st = manifest_parse(pki_blob_bytes(&r->manifest), r->why, &r->parts);
	if (st == ST_OK)
		st = x509_info(r->cert, r->why, &r->cert_info);
	if (st == ST_OK)
		st = x509_info(r->anchor, r->why, &r->anchor_info);
	return st;
}

/* ---- signatures ---------------------------------------------------------------------------- */

static enum status check_anchor(struct reading *r)
{
	EVP_PKEY *key = X509_get0_pubkey(r->anchor);
	enum status st = key_check(key, "the trust anchor's key", r->why);

	if (st != ST_OK)
		return st;
	if (!r->anchor_info.ca)
		return pki_refuse(r->why, "the trust anchor \"%s\" is no authority",
				  r->anchor_info.subject);
	if (X509_NAME_cmp(X509_get_subject_name(r->anchor), X509_get_issuer_name(r->anchor)) != 0 ||
	    X509_verify(r->anchor, key) != 1)
		return pki_refuse(r->why,
				  "the trust anchor \"%s\" is not signed by itself: edited "
				  "or damaged",
				  r->anchor_info.subject);
	return ST_OK;
}

static enum status wrong_certificate(struct reading *r)
{
	if (X509_NAME_cmp(X509_get_issuer_name(r->cert), X509_get_subject_name(r->anchor)) == 0)
		return pki_refuse(r->why,
				  "the certificate \"%s\" is edited or damaged: its "
				  "signature is not that of the trust anchor",
				  r->cert_info.subject);
	text_fmt(r->why,
		 "the certificate \"%s\" was issued by \"%s\", not by the trust anchor \"%s\"",
		 r->cert_info.subject, r->cert_info.issuer, r->anchor_info.subject);
	return ST_INVAL;
}

/* Two of three parts agree: the third is wrong. */
static enum status check_signatures(struct reading *r)
{
	EVP_PKEY *key = X509_get0_pubkey(r->anchor);
	bool manifest_good = false, cert_good = X509_verify(r->cert, key) == 1;
	enum status st = manifest_verify(&r->parts, key, &manifest_good);

	if (st != ST_OK || (cert_good && manifest_good))
		return st;
	if (manifest_good)
		return wrong_certificate(r);
	if (cert_good)
		return pki_refuse(r->why,
				  "the manifest is edited, damaged or of another authority: "
				  "its signature is not that of the trust anchor \"%s\"",
				  r->anchor_info.subject);
	text_fmt(r->why,
		 "the trust anchor \"%s\" signed neither the certificate \"%s\" nor the manifest: "
		 "it is of another authority, or edited",
		 r->anchor_info.subject, r->cert_info.subject);
	return ST_INVAL;
}

/* libcrypto's view of the path: usages, constraints, strength, nested blocks.  Not the dates. */
static enum status run_path(struct reading *r, X509_STORE *store, X509_STORE_CTX *ctx)
{
	X509_VERIFY_PARAM *param;

	if (!store || !ctx || X509_STORE_add_cert(store, r->anchor) != 1 ||
	    X509_STORE_CTX_init(ctx, store, r->cert, NULL) != 1)
		return ST_NOMEM;
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(ctx) == 1)
		return ST_OK;
	if (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_OUT_OF_MEM)
		return ST_NOMEM;
	return pki_refuse(r->why, "the certificate \"%s\" is not acceptable: %s",
			  r->cert_info.subject,
			  X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
}

static enum status check_path(struct reading *r)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum status st = run_path(r, store, ctx);

	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return st;
}

static enum status check_leaf(struct reading *r)
{
	if (r->cert_info.ca)
		return pki_refuse(r->why, "the certificate \"%s\" is one of an authority",
				  r->cert_info.subject);
	if (!(X509_get_key_usage(r->cert) & KU_DIGITAL_SIGNATURE))
		return pki_refuse(r->why, "the certificate's key usage lacks digitalSignature");
	return key_check(X509_get0_pubkey(r->cert), "the certificate's key", r->why);
}

/* ---- whether the parts say the same --------------------------------------------------------- */

static enum status check_hashes(struct reading *r)
{
	const struct pki_manifest *m = &r->parts.m;

	if (memcmp(m->anchor_hash, r->anchor_info.hash, PKI_HASH) != 0)
		return pki_refuse(r->why,
				  "the trust anchor \"%s\" is not the one the manifest names",
				  r->anchor_info.subject);
	if (memcmp(m->cert_hash, r->cert_info.hash, PKI_HASH) == 0)
		return ST_OK;
	if (r->cert_info.has_id && !pki_id_eq(&r->cert_info.id, &m->id))
		return pki_refuse(r->why,
				  "parts of two bundles: the certificate is for %s, the "
				  "manifest for %s",
				  r->cert_info.id.text, m->id.text);
	return pki_refuse(r->why,
			  "parts of two bundles: the certificate has the serial number %s, "
			  "the manifest is for another certificate of %s",
			  r->cert_info.serial, m->id.text);
}

static enum status check_identity(struct reading *r)
{
	const struct pki_manifest *m = &r->parts.m;
	char serial[2 * PKI_SERIAL_MAX + 1];
	struct pki_id id;
	enum status st = x509_id(r->cert, r->why, &id);

	if (st != ST_OK)
		return st;
	if (!pki_id_eq(&id, &m->id))
		return pki_refuse(r->why, "the certificate is for %s, the manifest for %s", id.text,
				  m->id.text);
	hex_text(bytes_of(m->serial, m->serial_len), serial);
	if (strcmp(serial, r->cert_info.serial) != 0)
		return pki_refuse(r->why,
				  "the certificate's serial number is %s, the manifest says "
				  "%s",
				  r->cert_info.serial, serial);
	if (m->not_before.s != r->cert_info.not_before.s ||
	    m->not_after.s != r->cert_info.not_after.s)
		return pki_refuse(r->why, "certificate and manifest differ in their dates");
	return ST_OK;
}

static enum status check_network(struct reading *r)
{
	const struct pki_manifest *m = &r->parts.m;
	char name[PKI_NAME_MAX + 1];

	if (!x509_name_part(X509_get_subject_name(r->anchor), NID_organizationName, name,
			    sizeof(name)) ||
	    strcmp(name, m->network) != 0)
		return pki_refuse(r->why,
				  "the manifest is for the network \"%s\", the trust anchor "
				  "is \"%s\"",
				  m->network, r->anchor_info.subject);
	return ST_OK;
}

/* Both are canonical: the same set is the same list. */
static bool domain_is(const struct pki_manifest *m, const struct pki_blocks *blocks)
{
	struct prefix p[PKI_BLOCKS_MAX];
	size_t n = pki_blocks_prefixes(blocks, p, ARRAY_LEN(p));

	if (n == 0 || n != m->n_domain)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!prefix_eq(&p[i], &m->domain[i]))
			return false;
	return true;
}

static enum status check_blocks(struct reading *r)
{
	const struct pki_blocks *own = &r->cert_info.blocks, *all = &r->anchor_info.blocks;

	if (!domain_is(&r->parts.m, all)) {
		text_add(r->why,
			 "the manifest's domain is not the trust anchor's address blocks, ");
		pki_blocks_text(r->why, all);
		return ST_INVAL;
	}
	if ((own->n == 0) != (r->parts.m.role == PKI_ENDPOINT))
		return pki_refuse(r->why, "the certificate \"%s\" of %s %s has%s address blocks",
				  r->cert_info.subject,
				  r->parts.m.role == PKI_ENDPOINT ? "an" : "a",
				  pki_role_name(r->parts.m.role), own->n ? "" : " no");
	if (pki_blocks_have(all, own))
		return ST_OK;
	text_add(r->why, "the certificate's address blocks ");
	pki_blocks_text(r->why, own);
	text_add(r->why, " lie outside the trust anchor's, ");
	pki_blocks_text(r->why, all);
	return ST_INVAL;
}

static enum status check(struct reading *r)
{
	enum status (*const step[])(struct reading *) = {
		check_anchor, check_signatures, check_hashes, check_identity,
		check_leaf,   check_network,    check_blocks, check_path,
	};
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < ARRAY_LEN(step); i++)
		st = step[i](r);
	return st;
}

/* ---- dates --------------------------------------------------------------------------------- */

enum status pki_bundle_check_dates(const struct pki_bundle *b, const struct now *now,
				   struct text *why)
{
	bool early = now->wall.s<b->not_before.s, late = now->wall.s> b->not_after.s;

	if (now->wall_ok && !early && !late)
		return ST_OK;
	text_add(why, !now->wall_ok ? "this machine's clock is not trusted yet"
		      : late        ? "expired"
				    : "not valid yet");
	text_add(why, ": valid from ");
	pki_time_text(why, b->not_before);
	text_add(why, " until ");
	pki_time_text(why, b->not_after);
	if (!now->wall_ok)
		return ST_AGAIN;
	text_add(why, ", and this machine's clock says ");
	pki_time_text(why, now->wall);
	return ST_INVAL;
}

static wall_t later(wall_t a, wall_t b)
{
	return a.s > b.s ? a : b;
}

static wall_t earlier(wall_t a, wall_t b)
{
	return a.s < b.s ? a : b;
}

/* ---- the value ----------------------------------------------------------------------------- */

void pki_bundle_free(struct pki_bundle *b)
{
	if (!b)
		return;
	free((void *)(uintptr_t)b->cert.p);
	free((void *)(uintptr_t)b->anchor.p);
	free(b);
}

static struct bytes take_blob(struct pki_blob *b)
{
	struct bytes taken = pki_blob_bytes(b);

	*b = (struct pki_blob){ 0 };
	return taken;
}

static enum status make_value(struct reading *r, struct pki_bundle **ret_bundle)
{
	struct pki_bundle *b = calloc(1, sizeof(*b));

	if (!b)
		return ST_NOMEM;
	b->manifest = r->parts.m;
	b->blocks = r->cert_info.blocks;
	b->not_before = later(r->cert_info.not_before, r->anchor_info.not_before);
	b->not_after = earlier(r->cert_info.not_after, r->anchor_info.not_after);
	b->cert = take_blob(&r->cert_der);
	b->anchor = take_blob(&r->anchor_der);
	*ret_bundle = b;
	return ST_OK;
}

static enum status read_value(struct bytes text, struct reading *r, struct pki_bundle **ret_bundle)
{
	enum status st = take_parts(text, r);

	if (st == ST_OK)
		st = parse_parts(r);
	if (st == ST_OK)
		st = check(r);
	return st == ST_OK ? make_value(r, ret_bundle) : st;
}

enum status pki_bundle_read(struct bytes text, const struct now *now, struct text *why,
			    struct pki_bundle **ret_bundle)
{
	struct reading r = { .why = why };
	struct pki_bundle *b = NULL;
	enum status st = read_value(text, &r, &b);

	reading_done(&r);
	if (st == ST_OK && now)
		st = pki_bundle_check_dates(b, now, why);
	if (st == ST_OK)
		*ret_bundle = b;
	else
		pki_bundle_free(b);
	return st;
}
