/*
 * Pieces of X.509 as values (RFC 5280 section 4.1), and failures of libcrypto.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "pki/internal.h"

enum status pki_libcrypto(const char *what, struct text *why)
{
	unsigned long err = ERR_peek_error();
	const char *reason = ERR_reason_error_string(err);
	bool nomem = err == 0 || ERR_GET_REASON(err) == ERR_R_MALLOC_FAILURE;

	ERR_clear_error();
	if (nomem)
		return ST_NOMEM;
	text_fmt(why, "libcrypto, %s: %s", what, reason ? reason : "unknown error");
	return ST_BUG;
}

enum status pki_refuse(struct text *why, const char *fmt, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	text_add(why, buf);
	ERR_clear_error();
	return ST_INVAL;
}

void pki_blob_done(struct pki_blob *b)
{
	mem_free_secret(&mem_libc, b->p, b->n);
	*b = (struct pki_blob){ 0 };
}

void hash_of(struct bytes b, uint8_t ret[static PKI_HASH])
{
	unsigned n = PKI_HASH;

	/* Cannot fail but for memory, and then hashes to nothing that anybody has. */
	if (EVP_Digest(b.p, b.n, ret, &n, EVP_sha256(), NULL) != 1)
		memset(ret, 0, PKI_HASH);
}

/* A copy, because the caller frees with our allocator. */
static enum status take_bio(BIO *bio, struct text *why, struct pki_blob *ret)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	struct bytes copy;

	if (n <= 0)
		return pki_libcrypto("PEM", why);
	if (mem_dup(&mem_libc, bytes_of(p, (size_t)n), &copy) != ST_OK)
		return ST_NOMEM;
	*ret = (struct pki_blob){ (uint8_t *)(uintptr_t)copy.p, copy.n };
	return ST_OK;
}

/* Memory of a secure BIO is wiped when it goes, also that which it grew out of: it may be a private
 * key. */
enum status pem_of(int (*write)(BIO *, const void *), const void *what, struct text *why,
		   struct pki_blob *ret_pem)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	enum status st;

	if (!bio || write(bio, what) != 1)
		st = pki_libcrypto("PEM", why);
	else
		st = take_bio(bio, why, ret_pem);
	BIO_free(bio);
	return st;
}

/* ---- names and times ----------------------------------------------------------------------- */

wall_t x509_wall(const ASN1_TIME *t)
{
	struct tm tm;

	/* An unreadable time lies in no validity that anybody asks for. */
	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return (wall_t){ INT64_MIN };
	return (wall_t){ timegm(&tm) };
}

void pki_time_text(struct text *t, wall_t at)
{
	time_t s = (time_t)at.s;
	struct tm tm;
	char buf[40];

	if (gmtime_r(&s, &tm) && strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
		text_add(t, buf);
	else
		text_fmt(t, "%lld s", (long long)at.s);
}

/* As encoded, most general first, escaped by libcrypto. */
void x509_name_text(const X509_NAME *name, struct text *t)
{
	unsigned long flags = ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN;
	BIO *bio = BIO_new(BIO_s_mem());
	char buf[160];
	int n = -1;

	if (bio && X509_NAME_print_ex(bio, name, 0, flags) >= 0)
		n = BIO_read(bio, buf, sizeof(buf));
	for (int i = 0; i < n; i++)
		text_fmt(t, "%c", buf[i] < 0x20 || buf[i] > 0x7e ? '?' : buf[i]);
	if (n <= 0)
		text_add(t, "(empty name)");
	else if (BIO_pending(bio) > 0)
		text_add(t, "...");
	BIO_free(bio);
	ERR_clear_error();
}

bool x509_name_part(const X509_NAME *name, int nid, char *ret, size_t cap)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);
	const ASN1_STRING *s;
	struct bytes b;

	if (at < 0)
		return false;
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	b = bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	if (b.n >= cap)
		return false;
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] < 0x20 || b.p[i] > 0x7e)
			return false;
	memcpy(ret, b.p, b.n);
	ret[b.n] = '\0';
	return true;
}

/* ---- reading ------------------------------------------------------------------------------- */

enum status x509_of_der(struct bytes der, const char *what, struct text *why, X509 **ret_cert)
{
	const uint8_t *p = der.p;
	X509 *cert = der.n <= PKI_FILE_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;

	if (!cert)
		return pki_refuse(why, "%s cannot be read: not an X.509 certificate", what);
	if (p != der.p + der.n) {
		X509_free(cert);
		return pki_refuse(why, "%s is followed by %zu other bytes", what,
				  (size_t)(der.p + der.n - p));
	}
	*ret_cert = cert;
	return ST_OK;
}

enum status x509_to_der(X509 *cert, struct text *why, struct pki_blob *ret_der)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);
	struct bytes copy;
	enum status st;

	if (n <= 0)
		return pki_libcrypto("DER", why);
	st = mem_dup(&mem_libc, bytes_of(der, (size_t)n), &copy);
	OPENSSL_free(der);
	if (st == ST_OK)
		*ret_der = (struct pki_blob){ (uint8_t *)(uintptr_t)copy.p, copy.n };
	return st;
}

enum status x509_id(X509 *cert, struct text *why, struct pki_id *ret_id)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	enum status st = id_from_names(names, why, ret_id);

	GENERAL_NAMES_free(names);
	return st;
}

static enum status note_serial(X509 *cert, struct text *why, struct pki_cert_info *info)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	int n = ASN1_STRING_length(serial);

	if (n <= 0 || n > PKI_SERIAL_MAX || ASN1_STRING_type(serial) != V_ASN1_INTEGER)
		return pki_refuse(why, "the serial number is not positive or longer than %d bytes",
				  PKI_SERIAL_MAX);
	hex_text(bytes_of(ASN1_STRING_get0_data(serial), (size_t)n), info->serial);
	return ST_OK;
}

static void note_texts(X509 *cert, struct pki_cert_info *info)
{
	struct text subject = TEXT_OF(info->subject), issuer = TEXT_OF(info->issuer);
	struct text key = TEXT_OF(info->key);
	EVP_PKEY *pkey = X509_get0_pubkey(cert);

	x509_name_text(X509_get_subject_name(cert), &subject);
	x509_name_text(X509_get_issuer_name(cert), &issuer);
	if (pkey)
		key_text(pkey, &key);
	else
		text_add(&key, "unreadable");
}

enum status x509_info(X509 *cert, struct text *why, struct pki_cert_info *ret)
{
	struct pki_cert_info info = { .ca = X509_check_ca(cert) > 0 };
	unsigned n = PKI_HASH;
	enum status st = note_serial(cert, why, &info);
	char unused[160];
	struct text none = TEXT_OF(unused);

	if (st == ST_OK)
		st = blocks_of_x509(cert, why, &info.blocks);
	if (st != ST_OK)
		return st;
	note_texts(cert, &info);
	info.has_id = x509_id(cert, &none, &info.id) == ST_OK;
	info.not_before = x509_wall(X509_get0_notBefore(cert));
	info.not_after = x509_wall(X509_get0_notAfter(cert));
	if (X509_digest(cert, EVP_sha256(), info.hash, &n) != 1)
		return pki_libcrypto("hash", why);
	ERR_clear_error();
	*ret = info;
	return ST_OK;
}

enum status pki_cert_read_der(struct bytes der, struct text *why, struct pki_cert_info *ret)
{
	X509 *cert;
	enum status st = x509_of_der(der, "the certificate", why, &cert);

	if (st != ST_OK)
		return st;
	st = x509_info(cert, why, ret);
	X509_free(cert);
	return st;
}

enum status x509_of_pem(struct bytes pem, struct text *why, X509 **ret_cert)
{
	BIO *bio = pem.n <= PKI_FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	if (!cert)
		return pki_refuse(why, "no PEM certificate that can be read");
	*ret_cert = cert;
	return ST_OK;
}

enum status pki_cert_read_pem(struct bytes pem, struct text *why, struct pki_cert_info *ret)
{
	X509 *cert;
	enum status st = x509_of_pem(pem, why, &cert);

	if (st != ST_OK)
		return st;
	st = x509_info(cert, why, ret);
	X509_free(cert);
	return st;
}
