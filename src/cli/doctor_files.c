/*
 * doctor_files.c - the configuration, the files it names, and their dates.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "pki/pki.h"

enum {
	CERT_SOON = 30 * 86400,
	CRL_SOON = 7 * 86400,
};

void doctor_config(struct doctor *d)
{
	const struct conf_error *e = d->c.errs.head;
	struct finding f;

	if (d->c.conf) {
		doctor_ok(d, "configuration", "%s is good", d->file);
		return;
	}
	doctor_begin(&f, "configuration", DOCTOR_PROBLEM);
	if (e)
		conf_error_text(&d->c.errs, e, &f.t);
	else
		text_fmt(&f.t, "%s cannot be read", d->file);
	if (d->c.errs.total > 1)
		text_fmt(&f.t, ", and %zu more errors", d->c.errs.total - 1);
	text_add(&f.w, "the daemon does not start with it, nor reload it; what it says cannot be "
		       "checked here");
	if (access(d->file, F_OK) == 0)
		text_fmt(&f.m, "warren check %s", d->file);
	else
		text_add(&f.m, "warren join BUNDLE writes one");
	doctor_end(d, &f);
}

/* ---- who can read secrets ---------------------------------------------------------------- */

static void check_secret(struct doctor *d, const char *path, bool *good)
{
	struct finding f;
	struct stat sb;

	if (stat(path, &sb) || !(sb.st_mode & 077))
		return;
	*good = false;
	doctor_begin(&f, "permissions", DOCTOR_PROBLEM);
	text_fmt(&f.t, "%s has mode %04o", path, (unsigned)(sb.st_mode & 07777));
	text_add(&f.w, "it holds a secret that others on this host can read or replace");
	text_fmt(&f.m, "chmod 600 %s", path);
	doctor_end(d, &f);
}

void doctor_permissions(struct doctor *d)
{
	bool good = true, inline_key = false;
	const char *path;
	crypto_ref ref;

	if (!d->c.conf)
		return;
	for (size_t i = 0; conf_creds_key(d->c.creds, i, &path, &ref); i++)
		check_secret(d, path, &good);
	for (const struct conf_peer *p = d->c.conf->peers; p; p = p->next) {
		if (p->psk_file.s)
			check_secret(d, p->psk_file.s, &good);
		inline_key |= p->auth == CONF_AUTH_PSK && !p->psk_file.s;
	}
	if (inline_key)
		check_secret(d, d->file, &good);
	if (good)
		doctor_ok(d, "permissions", "nobody else can read keys");
}

/* ---- dates ------------------------------------------------------------------------------- */

static void days_left(struct text *t, int64_t s)
{
	text_fmt(t, "%lld day%s", (long long)(s / 86400), s / 86400 == 1 ? "" : "s");
}

static void not_yet(struct finding *f, const char *whose, wall_t from)
{
	f->level = DOCTOR_PROBLEM;
	text_fmt(&f->t, "the certificate of %s is not valid before ", whose);
	pki_time_text(&f->t, from);
	text_add(&f->w, "every peer refuses it; the clock of this host or of the authority is "
			"wrong");
	text_add(&f->m, "timedatectl set-ntp true");
}

static void ends(struct finding *f, const char *whose, wall_t until, int64_t now)
{
	int64_t left = until.s - now;

	text_fmt(&f->t, "the certificate of %s is valid until ", whose);
	pki_time_text(&f->t, until);
	if (left >= CERT_SOON) {
		text_add(&f->t, ", ");
		days_left(&f->t, left);
		return;
	}
	f->level = left < 0 ? DOCTOR_PROBLEM : DOCTOR_WARNING;
	text_add(&f->w, left < 0 ? "it is past its end: every peer refuses it"
				 : "from then on every peer refuses it");
	text_add(&f->m, "a new bundle from the authority (warren pki sign REQUEST --renew), then "
			"warren join BUNDLE --force, or warren reload");
}

static void check_dates(struct doctor *d, const char *whose, wall_t from, wall_t until)
{
	int64_t now = time(NULL);
	struct finding f;

	doctor_begin(&f, "certificate", DOCTOR_OK);
	if (now < from.s)
		not_yet(&f, whose, from);
	else
		ends(&f, whose, until, now);
	doctor_end(d, &f);
}

static void check_chain(struct doctor *d, const char *whose, const struct crypto_chain *chain)
{
	char ignored[256];
	struct text why = TEXT_OF(ignored);
	struct pki_cert_info info;

	if (chain->n && pki_cert_read_der(chain->certs[0], &why, &info) == ST_OK)
		check_dates(d, whose, info.not_before, info.not_after);
}

void doctor_certificates(struct doctor *d)
{
	size_t i = 0;

	if (!d->c.conf)
		return;
	for (const struct conf_network *n = d->c.conf->networks; n; n = n->next) {
		const struct conf_network_creds *c = conf_creds_network(d->c.creds, i++);

		check_dates(d, n->name, c->not_before, c->not_after);
	}
	i = 0;
	for (const struct conf_peer *p = d->c.conf->peers; p; p = p->next) {
		const struct conf_peer_creds *c = conf_creds_peer(d->c.creds, i++);

		if (p->auth == CONF_AUTH_CERT)
			check_chain(d, p->name, &c->chain);
	}
}

/* ---- revocation lists -------------------------------------------------------------------- */

/* False when it has no date, or none that can be read. */
static bool next_update(const X509_CRL *crl, int64_t *ret)
{
	const ASN1_TIME *at = X509_CRL_get0_nextUpdate(crl);
	int days, seconds;

	if (!at || !ASN1_TIME_diff(&days, &seconds, NULL, at))
		return false;
	*ret = (int64_t)days * 86400 + seconds;
	return true;
}

/* Takes the list. */
static void note_update(X509_CRL *crl, int64_t *least)
{
	int64_t left;

	if (crl && next_update(crl, &left) && left < *least)
		*least = left;
	X509_CRL_free(crl);
}

/* Seconds until the first of its lists is out of date: one in DER, or any number in PEM; INT64_MAX:
 * none can be read, and the configuration has an error about it. */
static int64_t first_update(const char *path)
{
	FILE *file = fopen(path, "re");
	int64_t least = INT64_MAX;
	X509_CRL *crl;

	if (!file)
		return least;
	while ((crl = PEM_read_X509_CRL(file, NULL, NULL, NULL)))
		note_update(crl, &least);
	if (least == INT64_MAX) {
		rewind(file);
		note_update(d2i_X509_CRL_fp(file, NULL), &least);
	}
	ERR_clear_error();
	fclose(file);
	return least;
}

static void check_crl(struct doctor *d, const char *path)
{
	int64_t left = first_update(path);
	struct finding f;

	if (left == INT64_MAX)
		return;
	doctor_begin(&f, "crl",
		     left < 0          ? DOCTOR_PROBLEM
		     : left < CRL_SOON ? DOCTOR_WARNING
				       : DOCTOR_OK);
	text_fmt(&f.t, "%s ", path);
	text_add(&f.t, left < 0 ? "is out of date for " : "has to be replaced in ");
	days_left(&f.t, left < 0 ? -left : left);
	text_add(&f.w, "once it is out of date no certificate is accepted any more");
	text_fmt(&f.m, "warren pki crl at the authority, copy crl.pem to %s, warren reload", path);
	doctor_end(d, &f);
}

/* Each file once. */
static void see_crl(struct doctor *d, const struct conf_text *crl, struct cli_list *seen)
{
	if (!crl->s || seen->n == CLI_LIST_MAX)
		return;
	for (size_t i = 0; i < seen->n; i++)
		if (strcmp(seen->v[i], crl->s) == 0)
			return;
	seen->v[seen->n++] = crl->s;
	check_crl(d, crl->s);
}

void doctor_crls(struct doctor *d)
{
	struct cli_list seen = { .n = 0 };

	if (!d->c.conf)
		return;
	see_crl(d, &d->c.conf->crl, &seen);
	for (const struct conf_network *n = d->c.conf->networks; n; n = n->next)
		see_crl(d, &n->crl, &seen);
	for (const struct conf_peer *p = d->c.conf->peers; p; p = p->next)
		see_crl(d, &p->crl, &seen);
}
