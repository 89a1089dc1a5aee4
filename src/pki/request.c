/*
 * Requests: PKCS#10 (RFC 2986) with the identity, and the blocks that are asked for, as requested
 * extensions (RFC 2985 section 5.4.2).
 */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "pki/internal.h"

/* ---- made ---------------------------------------------------------------------------------- */

static bool set_subject(X509_REQ *req, const struct pki_id *id)
{
	X509_NAME *name = X509_NAME_new();
	bool good = name &&
		    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
					       (const uint8_t *)id->text, -1, -1, 0) == 1 &&
		    X509_REQ_set_subject_name(req, name) == 1;

	X509_NAME_free(name);
	return good;
}

static enum status wish_names(STACK_OF(X509_EXTENSION) * *exts, const struct pki_id *id,
			      struct text *why)
{
	GENERAL_NAMES *names;
	enum status st = id_to_names(id, why, &names);

	if (st != ST_OK)
		return st;
	if (X509V3_add1_i2d(exts, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		st = pki_libcrypto("subjectAltName", why);
	GENERAL_NAMES_free(names);
	return st;
}

static enum status wish_blocks(STACK_OF(X509_EXTENSION) * *exts, const struct pki_blocks *blocks,
			       struct text *why)
{
	IPAddrBlocks *ext;
	enum status st;

	if (blocks->n == 0)
		return ST_OK;
	st = blocks_to_ext(blocks, why, &ext);
	if (st != ST_OK)
		return st;
	if (X509V3_add1_i2d(exts, NID_sbgp_ipAddrBlock, ext, 0, X509V3_ADD_DEFAULT) != 1)
		st = pki_libcrypto("address blocks", why);
	sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
	return st;
}

static enum status add_wishes(X509_REQ *req, const struct pki_id *id,
			      const struct pki_blocks *blocks, struct text *why)
{
	STACK_OF(X509_EXTENSION) *exts = NULL;
	enum status st = wish_names(&exts, id, why);

	if (st == ST_OK)
		st = wish_blocks(&exts, blocks, why);
	if (st == ST_OK && X509_REQ_add_extensions(req, exts) != 1)
		st = pki_libcrypto("requested extensions", why);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return st;
}

static int write_request(BIO *bio, const void *what)
{
	return PEM_write_bio_X509_REQ(bio, what);
}

enum status pki_request_make(const struct pki_key *key, const struct pki_id *id,
			     const struct pki_blocks *blocks, struct text *why,
			     struct pki_blob *ret_pem)
{
	X509_REQ *req = X509_REQ_new();
	enum status st = ST_OK;

	if (!req || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 || !set_subject(req, id) ||
	    X509_REQ_set_pubkey(req, key->pkey) != 1)
		st = pki_libcrypto("making a request", why);
	if (st == ST_OK)
		st = add_wishes(req, id, blocks, why);
	if (st == ST_OK && X509_REQ_sign(req, key->pkey, key_digest(key->pkey)) <= 0)
		st = pki_libcrypto("signing a request", why);
	if (st == ST_OK)
		st = pem_of(write_request, req, why, ret_pem);
	X509_REQ_free(req);
	return st;
}

/* ---- read ---------------------------------------------------------------------------------- */

/* Names that are there but not usable are an error; none at all is the signer's to judge. */
static enum status read_names(const STACK_OF(X509_EXTENSION) * exts, struct text *why,
			      struct pki_request_info *info)
{
	int found;
	GENERAL_NAMES *names = X509V3_get_d2i(exts, NID_subject_alt_name, &found, NULL);
	enum status st = ST_OK;

	if (names) {
		st = id_from_names(names, why, &info->id);
		info->has_id = st == ST_OK;
	} else if (found != -1) {
		st = pki_refuse(why, "subjectAltName cannot be read");
	}
	GENERAL_NAMES_free(names);
	return st;
}

static enum status read_blocks(const STACK_OF(X509_EXTENSION) * exts, struct text *why,
			       struct pki_request_info *info)
{
	int found;
	IPAddrBlocks *ext = X509V3_get_d2i(exts, NID_sbgp_ipAddrBlock, &found, NULL);
	enum status st;

	if (!ext && found != -1)
		st = pki_refuse(why, "address blocks cannot be read");
	else
		st = blocks_of_ext(ext, why, &info->blocks);
	sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
	return st;
}

/* The key first: only with a good one does the signature say anything. */
static enum status read_key(X509_REQ *req, struct text *why, struct pki_request_info *info)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);
	struct text t = TEXT_OF(info->key);
	enum status st = key_check(key, "the key of the request", why);

	if (st != ST_OK)
		return st;
	if (X509_REQ_verify(req, key) != 1)
		return pki_refuse(why, "the request's signature does not verify with its own key: "
				       "damaged, or not made by who has the key");
	key_text(key, &t);
	return key_hash(key, why, info->key_hash);
}

static enum status read_request(X509_REQ *req, struct text *why, struct pki_request_info *info)
{
	STACK_OF(X509_EXTENSION) * exts;
	enum status st = read_key(req, why, info);

	if (st != ST_OK)
		return st;
	exts = X509_REQ_get_extensions(req);
	st = read_names(exts, why, info);
	if (st == ST_OK)
		st = read_blocks(exts, why, info);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return st;
}

enum status request_parse(struct bytes pem, struct text *why, struct pki_request_info *ret_info,
			  EVP_PKEY **ret_key)
{
	BIO *bio = pem.n <= PKI_FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509_REQ *req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
	struct pki_request_info info = { 0 };
	enum status st;

	BIO_free(bio);
	if (!req)
		return pki_refuse(why, "no PEM certificate request that can be read");
	st = read_request(req, why, &info);
	if (st == ST_OK) {
		*ret_info = info;
		*ret_key = X509_REQ_get_pubkey(req);
	}
	X509_REQ_free(req);
	ERR_clear_error();
	return st;
}

enum status pki_request_read(struct bytes pem, struct text *why, struct pki_request_info *ret_info)
{
	EVP_PKEY *key = NULL;
	enum status st = request_parse(pem, why, ret_info, &key);

	EVP_PKEY_free(key);
	return st;
}
