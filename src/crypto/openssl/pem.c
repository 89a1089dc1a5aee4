#include "crypto/openssl/internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* Never ask anybody: the daemon has no terminal. `u` notes that it was asked for. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	bool *asked = u;

	(void)buf;
	(void)size;
	(void)rwflag;
	*asked = true;
	return -1;
}

/* BIO_new_mem_buf() counts with int; an empty file is one, too. */
static enum status open_mem(const struct crypto_file *file, struct text *why, BIO **ret_bio)
{
	BIO *bio;

	if (file->data.n > INT32_MAX) {
		text_fmt(why, "%s: too large", file->name);
		return ST_INVAL;
	}
	bio = BIO_new_mem_buf(file->data.n ? (const void *)file->data.p : "", (int)file->data.n);
	if (!bio)
		return ST_NOMEM;
	ERR_clear_error();
	*ret_bio = bio;
	return ST_OK;
}

static bool end_of_pem(void)
{
	unsigned long err = ERR_peek_last_error();

	return ERR_GET_LIB(err) == ERR_LIB_PEM && ERR_GET_REASON(err) == PEM_R_NO_START_LINE;
}

static bool has(const struct crypto_file *file, const char *mark)
{
	return file->data.n && memmem(file->data.p, file->data.n, mark, strlen(mark)) != NULL;
}

/* ---- keys --------------------------------------------------------------------------------- */

enum key_file { KEY_ABSENT, KEY_UNREADABLE, KEY_ENCRYPTED };

static enum status bad_key(const struct crypto_file *file, enum key_file what, struct text *why)
{
	if (what == KEY_ENCRYPTED)
		text_fmt(why, "%s: the private key is encrypted; a plain one is needed",
			 file->name);
	else if (what == KEY_ABSENT)
		text_fmt(why, "%s: no PEM private key in this file", file->name);
	else
		text_fmt(why, "%s: the private key cannot be read", file->name);
	return libcrypto_status(ST_INVAL);
}

/* libcrypto's errors do not tell a file without a key from one with a broken key. */
enum status pem_load_key(const struct crypto_file *file, bool public, struct text *why,
			 EVP_PKEY **ret_key)
{
	bool present = has(file, public ? "PUBLIC KEY-----" : "PRIVATE KEY-----");
	bool asked = false;
	EVP_PKEY *key;
	BIO *bio;
	enum status st = open_mem(file, why, &bio);

	if (st != ST_OK)
		return st;
	key = public ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, &asked)
		     : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (!key)
		return bad_key(file,
			       asked     ? KEY_ENCRYPTED
			       : present ? KEY_UNREADABLE
					 : KEY_ABSENT,
			       why);
	*ret_key = key;
	return ST_OK;
}

/* ---- certificates and CRLs ---------------------------------------------------------------- */

/* Reads and appends one of a kind; 1 done, 0 none could be read, -1 out of memory. */
typedef int pem_fn(BIO *bio, void *list);
typedef int der_fn(const uint8_t **p, long n, void *list);

struct kind {
	const char *name;
	pem_fn *pem;
	der_fn *der;
};

static int push_cert(X509 *cert, void *list)
{
	if (cert && sk_X509_push(list, cert) > 0)
		return 1;
	X509_free(cert);
	return cert ? -1 : 0;
}

static int cert_pem(BIO *bio, void *list)
{
	bool asked = false;

	return push_cert(PEM_read_bio_X509(bio, NULL, no_passphrase, &asked), list);
}

static int cert_der(const uint8_t **p, long n, void *list)
{
	return push_cert(d2i_X509(NULL, p, n), list);
}

static int push_crl(X509_CRL *crl, void *list)
{
	if (crl && sk_X509_CRL_push(list, crl) > 0)
		return 1;
	X509_CRL_free(crl);
	return crl ? -1 : 0;
}

static int crl_pem(BIO *bio, void *list)
{
	bool asked = false;

	return push_crl(PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, &asked), list);
}

static int crl_der(const uint8_t **p, long n, void *list)
{
	return push_crl(d2i_X509_CRL(NULL, p, n), list);
}

static enum status bad_object(const struct crypto_file *file, const struct kind *k, int good,
			      struct text *why)
{
	if (good == 0 && end_of_pem())
		text_fmt(why, "%s: no PEM %s in this file", file->name, k->name);
	else
		text_fmt(why, "%s: %s %d cannot be read", file->name, k->name, good + 1);
	return libcrypto_status(ST_INVAL);
}

static enum status load_pem(const struct crypto_file *file, const struct kind *k, void *list,
			    struct text *why)
{
	int n = 0, got;
	BIO *bio;
	enum status st = open_mem(file, why, &bio);

	if (st != ST_OK)
		return st;
	while ((got = k->pem(bio, list)) == 1)
		n++;
	BIO_free(bio);
	if (got < 0)
		return ST_NOMEM;
	if (n == 0 || !end_of_pem())
		return bad_object(file, k, n, why);
	ERR_clear_error();
	return ST_OK;
}

/* One object, and nothing behind it. */
static enum status load_der(const struct crypto_file *file, const struct kind *k, void *list,
			    struct text *why)
{
	const uint8_t *p = file->data.p;
	int got;

	ERR_clear_error();
	got = k->der(&p, (long)file->data.n, list);
	if (got < 0)
		return ST_NOMEM;
	if (got == 1 && p == file->data.p + file->data.n)
		return ST_OK;
	text_fmt(why, "%s: %s", file->name, got ? "something follows the DER " : "the DER ");
	text_fmt(why, got ? "%s" : "%s cannot be read", k->name);
	return libcrypto_status(ST_INVAL);
}

/* DER begins with a SEQUENCE of a long form length; no text begins so. */
static bool is_der(const struct crypto_file *file)
{
	return file->data.n > 1 && file->data.p[0] == 0x30 && (file->data.p[1] & 0x80);
}

static enum status load(const struct crypto_file *file, const struct kind *k, void *list,
			struct text *why)
{
	return is_der(file) ? load_der(file, k, list, why) : load_pem(file, k, list, why);
}

enum status pem_load_certs(const struct crypto_file *file, STACK_OF(X509) * certs, struct text *why)
{
	static const struct kind kind = { "certificate", cert_pem, cert_der };

	return load(file, &kind, certs, why);
}

enum status pem_load_crls(const struct crypto_file *file, STACK_OF(X509_CRL) * crls,
			  struct text *why)
{
	static const struct kind kind = { "CRL", crl_pem, crl_der };

	return load(file, &kind, crls, why);
}
