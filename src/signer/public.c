/*
 * public.c - what leaves the signer of the files that it read.
 *
 * What is let through is what is known to be public, not what is not known to be secret: of a PEM
 * file the blocks with certificates, revocation lists and manifests; of a DER file all, if it is a
 * certificate or a list; of anything else nothing.  A private key that stands in the same file as
 * its certificate is so left out, and its public half appended.
 */
#include "signer/internal.h"

#include <openssl/x509.h>
#include <stdlib.h>

/* ---- PEM ----------------------------------------------------------------------------------- */

static const char BEGIN[] = "-----BEGIN ", END[] = "-----END ", DASHES[] = "-----";

static struct bytes take_line(struct cur *c)
{
	const uint8_t *nl = memchr(c->p, '\n', cur_left(c));

	return cur_take(c, nl ? (size_t)(nl - c->p) + 1 : cur_left(c));
}

static struct bytes trimmed(struct bytes line)
{
	while (line.n && strchr("\r\n \t", line.p[line.n - 1]) && line.p[line.n - 1])
		line.n--;
	return line;
}

/* "-----BEGIN label-----" -> label; empty: some other line. */
static struct bytes label_of(struct bytes line, const char *mark)
{
	struct cur c = cur_of(trimmed(line));
	size_t n = strlen(mark), tail = sizeof(DASHES) - 1;
	struct bytes label;

	if (!bytes_eq(cur_take(&c, n), bytes_of(mark, n)) || cur_left(&c) <= tail)
		return (struct bytes){ NULL, 0 };
	label = cur_take(&c, cur_left(&c) - tail);
	if (!bytes_eq(cur_rest(&c), bytes_of(DASHES, tail)))
		return (struct bytes){ NULL, 0 };
	return label;
}

static bool is_public(struct bytes label)
{
	static const char *const labels[] = { "CERTIFICATE", "X509 CERTIFICATE", "X509 CRL",
					      "WARREN MANIFEST" };

	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (bytes_eq(label, bytes_str(labels[i])))
			return true;
	return false;
}

static bool is_base64(struct bytes line)
{
	static const char other[] = "+/=\r\n \t";

	for (size_t i = 0; i < line.n; i++) {
		uint8_t c = line.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    !memchr(other, c, sizeof(other) - 1))
			return false;
	}
	return true;
}

/* From a BEGIN line to the END line of the same label, both included; empty when there is none, or
 * anything but base64 in between. */
static struct bytes take_block(struct cur *c, struct bytes first, struct bytes label)
{
	while (cur_left(c)) {
		struct cur before = *c;
		struct bytes line = take_line(c);

		if (bytes_eq(label_of(line, END), label))
			return bytes_of(first.p, (size_t)(c->p - first.p));
		if (!is_base64(line)) {
			*c = before;
			break;
		}
	}
	return (struct bytes){ NULL, 0 };
}

/* docs/protocol/bundle.md section 2: the line that makes a file a bundle. */
static bool is_bundle_line(struct bytes line)
{
	static const char magic[] = "warren-bundle ";

	return line.n > sizeof(magic) - 1 && line.n < 32 &&
	       memcmp(line.p, magic, sizeof(magic) - 1) == 0;
}

static void put_blocks(struct wr *w, struct bytes file)
{
	struct cur c = cur_of(file), first = c;
	struct bytes magic = take_line(&first);

	if (is_bundle_line(magic))
		wr_put(w, magic);
	while (cur_left(&c)) {
		struct bytes line = take_line(&c), label = label_of(line, BEGIN);

		if (label.n && is_public(label))
			wr_put(w, take_block(&c, line, label));
	}
}

/* ---- DER ----------------------------------------------------------------------------------- */

static bool is_public_der(struct bytes file)
{
	const uint8_t *p = file.p, *q = file.p, *end = file.p + file.n;
	X509_CRL *crl;
	X509 *cert;
	bool yes;

	if (file.n < 2 || file.n > INT32_MAX || file.p[0] != 0x30)
		return false;
	cert = d2i_X509(NULL, &p, (long)file.n);
	crl = d2i_X509_CRL(NULL, &q, (long)file.n);
	yes = (cert && p == end) || (crl && q == end);
	X509_free(cert);
	X509_CRL_free(crl);
	return yes;
}

enum status public_form(struct bytes file, struct bytes *ret_public)
{
	uint8_t *p = calloc(1, file.n + 1);
	struct wr w = wr_of(p, file.n);

	if (!p)
		return ST_NOMEM;
	if (is_public_der(file))
		wr_put(&w, file);
	else
		put_blocks(&w, file);
	*ret_public = bytes_of(p, wr_len(&w));
	return ST_OK;
}

/* ---- all files ----------------------------------------------------------------------------- */

static void replace(struct signer_snapshot *s, struct signer_file *f, uint8_t *p, size_t n)
{
	s->bytes = s->bytes - f->n + n;
	mem_free_secret(&mem_libc, f->p, f->n);
	f->p = p;
	f->n = n;
}

static enum status filter(struct signer_snapshot *s, struct signer_file *f)
{
	struct bytes b;
	enum status st = public_form(bytes_of(f->p, f->n), &b);

	if (st == ST_OK)
		replace(s, f, (uint8_t *)(uintptr_t)b.p, b.n);
	return st;
}

static enum status append_public_key(struct signer_snapshot *s, struct signer_file *f,
				     const struct crypto_store *store, crypto_ref key)
{
	char *pem;
	size_t n;
	uint8_t *p;
	enum status st = crypto_store_public_pem(store, key, &pem, &n);

	if (st != ST_OK)
		return st;
	p = malloc(f->n + n);
	if (p) {
		memcpy(p, f->p, f->n);
		memcpy(p + f->n, pem, n);
		replace(s, f, p, f->n + n);
	}
	free(pem);
	return p ? ST_OK : ST_NOMEM;
}

static void redact_file(struct signer_snapshot *s, const char *path, const uint64_t key[2])
{
	struct signer_file *f = path ? snapshot_find(s, path) : NULL;

	if (f && !f->redacted)
		conf_redact_psk_file(key, f->p, f->n);
	if (f)
		f->redacted = true;
}

static void redact_secret_files(struct signer_snapshot *s, const struct conf *conf,
				const uint64_t key[2])
{
	for (const struct conf_peer *p = conf->peers; p; p = p->next) {
		redact_file(s, p->psk_file.s, key);
		redact_file(s, p->ppk_file.s, key);
	}
}

static enum status filter_rest(struct signer_snapshot *s)
{
	enum status st = ST_OK;

	for (struct signer_file *f = s->first; st == ST_OK && f; f = f->next)
		if (!f->redacted)
			st = filter(s, f);
	return st;
}

enum status public_all(struct signer_snapshot *s, const char *path, const struct conf *conf,
		       const struct conf_creds *creds, const struct crypto_store *store,
		       const uint64_t key[2])
{
	struct signer_file *f = snapshot_find(s, path);
	const char *key_path;
	crypto_ref ref;
	enum status st;

	redact_secret_files(s, conf, key);
	if (f && !f->redacted) {
		conf_redact_keyed(key, f->p, f->n);
		f->redacted = true;
	}
	st = filter_rest(s);
	for (size_t i = 0; st == ST_OK && conf_creds_key(creds, i, &key_path, &ref); i++) {
		f = snapshot_find(s, key_path);
		st = f ? append_public_key(s, f, store, ref) : ST_BUG;
	}
	return st;
}
