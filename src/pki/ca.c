/*
 * The authority's directory: ca.key (0600), ca.pem, index, and crl.pem once something was revoked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/internal.h"

enum { INDEX_MAX = 256 << 20 };

static const char INDEX_EMPTY[] = "warren-index 1\ncrl 0\n";

static void path_in(const char *dir, const char *name, char ret[static 4096])
{
	snprintf(ret, 4096, "%s/%s", dir, name);
}

static enum status dir_error(const char *dir, struct text *why)
{
	text_fmt(why, "%s: %s", dir, strerror(errno));
	return ST_IO;
}

/* Also bounds what path_in() makes. */
static enum status check_dir_name(const char *dir, struct text *why)
{
	if (*dir == '\0' || strlen(dir) >= sizeof(((struct pki_ca *)NULL)->dir))
		return pki_refuse(why,
				  "the path of the authority's directory is empty or too long");
	return ST_OK;
}

/* ---- making one ---------------------------------------------------------------------------- */

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = d != NULL;

	while (empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

static enum status make_dir(const char *dir, struct text *why, bool *ret_made)
{
	*ret_made = mkdir(dir, 0700) == 0;
	if (*ret_made)
		return ST_OK;
	if (errno != EEXIST)
		return dir_error(dir, why);
	if (!is_empty(dir))
		return pki_refuse(why,
				  "%s exists already and is not empty: nothing was changed; "
				  "choose another directory",
				  dir);
	return chmod(dir, 0700) == 0 ? ST_OK : dir_error(dir, why);
}

static enum status check_plan(const struct pki_ca_plan *plan, struct text *why)
{
	if (!network_name_ok(plan->network)) {
		text_add(why, "not the name of a network: \"");
		text_quote(why, bytes_str(plan->network));
		text_fmt(why,
			 "\"; accepted: 1 to %d letters, digits, '.', '_', '-', beginning with "
			 "a letter or digit",
			 PKI_NAME_MAX);
		return ST_INVAL;
	}
	if (plan->domain.n == 0)
		return pki_refuse(why, "a network needs a domain");
	if (plan->days > PKI_DAYS_MAX)
		return pki_refuse(why, "more than %d days", PKI_DAYS_MAX);
	return ST_OK;
}

static enum status make_root(const struct pki_ca_plan *plan, struct pki_key *key, wall_t now,
			     struct text *why, struct pki_blob *ret_pem)
{
	unsigned days = plan->days ? plan->days : PKI_CA_DAYS;
	char common_name[PKI_NAME_MAX + 8];
	uint8_t serial[CERT_SERIAL];
	struct cert_plan p = {
		.organisation = plan->network,
		.common_name = common_name,
		.blocks = &plan->domain,
		.serial = BYTES_OF(serial),
		.not_before = { now.s - CERT_SKEW },
		.not_after = { now.s + (int64_t)days * CERT_DAY },
		.key = key->pkey,
		.issuer_key = key->pkey,
	};
	X509 *cert;
	enum status st = cert_serial(serial, why);

	snprintf(common_name, sizeof(common_name), "%s CA", plan->network);
	if (st == ST_OK)
		st = cert_make(&p, why, &cert);
	if (st != ST_OK)
		return st;
	st = cert_pem(cert, why, ret_pem);
	X509_free(cert);
	return st;
}

static enum status put_file(const char *dir, const char *name, enum pki_out_how how,
			    struct bytes data, struct text *why)
{
	struct pki_out out = PKI_OUT_NONE;
	char path[4096];
	enum status st;

	path_in(dir, name, path);
	st = pki_out_open(path, how, why, &out);
	return st == ST_OK ? pki_out_commit(&out, data, why) : st;
}

static enum status fill_dir(const char *dir, const struct pki_ca_plan *plan, wall_t now,
			    struct text *why)
{
	struct pki_blob key_pem = { 0 }, cert_pem = { 0 };
	struct pki_key *key = NULL;
	enum status st = pki_key_new(plan->key_type, why, &key);

	if (st == ST_OK)
		st = pki_key_pem(key, &key_pem);
	if (st == ST_OK)
		st = make_root(plan, key, now, why, &cert_pem);
	if (st == ST_OK)
		st = put_file(dir, "ca.key", PKI_OUT_SECRET, pki_blob_bytes(&key_pem), why);
	if (st == ST_OK)
		st = put_file(dir, "ca.pem", PKI_OUT_NEW, pki_blob_bytes(&cert_pem), why);
	if (st == ST_OK)
		st = put_file(dir, "index", PKI_OUT_NEW, bytes_str(INDEX_EMPTY), why);
	pki_blob_done(&key_pem);
	pki_blob_done(&cert_pem);
	pki_key_free(key);
	return st;
}

/* It was empty before. */
static void clear_dir(const char *dir, bool made)
{
	static const char *const names[] = { "ca.key", "ca.pem", "index" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[4096];

		path_in(dir, names[i], path);
		unlink(path);
	}
	if (made)
		rmdir(dir);
}

enum status pki_ca_create(const char *dir, const struct pki_ca_plan *plan, wall_t now,
			  struct text *why)
{
	bool made = false;
	enum status st = check_plan(plan, why);

	if (st == ST_OK)
		st = check_dir_name(dir, why);
	if (st == ST_OK)
		st = make_dir(dir, why, &made);
	if (st != ST_OK)
		return st;
	st = fill_dir(dir, plan, now, why);
	if (st != ST_OK)
		clear_dir(dir, made);
	return st;
}

/* ---- opening one --------------------------------------------------------------------------- */

/* What is wrong with a file of the directory begins with its path. */
static enum status get_file(const struct pki_ca *ca, const char *name, size_t max, struct text *why,
			    struct pki_blob *ret_blob)
{
	char path[4096];
	enum status st;

	path_in(ca->dir, name, path);
	st = pki_file_read(path, max, why, ret_blob);
	if (st == ST_OK)
		text_fmt(why, "%s: ", path);
	return st;
}

static void forget(struct text *why)
{
	why->n = 0;
	why->p[0] = '\0';
}

static enum status load_cert(struct pki_ca *ca, struct text *why)
{
	struct pki_blob pem = { 0 };
	enum status st = get_file(ca, "ca.pem", PKI_FILE_MAX, why, &pem);

	if (st == ST_OK)
		st = x509_of_pem(pki_blob_bytes(&pem), why, &ca->cert);
	pki_blob_done(&pem);
	if (st == ST_OK)
		st = x509_info(ca->cert, why, &ca->info.cert);
	if (st != ST_OK)
		return st;
	if (!x509_name_part(X509_get_subject_name(ca->cert), NID_organizationName, ca->info.network,
			    sizeof(ca->info.network)) ||
	    !network_name_ok(ca->info.network) || !ca->info.cert.ca || ca->info.cert.blocks.n == 0)
		return pki_refuse(why, "not the certificate of an authority that \"warren pki "
				       "init\" made");
	forget(why);
	return ST_OK;
}

static enum status load_key(struct pki_ca *ca, struct text *why)
{
	struct pki_blob pem = { 0 };
	enum status st = get_file(ca, "ca.key", PKI_FILE_MAX, why, &pem);

	if (st == ST_OK)
		st = pki_key_read(pki_blob_bytes(&pem), why, &ca->key);
	pki_blob_done(&pem);
	if (st != ST_OK)
		return st;
	if (EVP_PKEY_eq(X509_get0_pubkey(ca->cert), ca->key->pkey) != 1)
		return pki_refuse(why, "not the key of ca.pem");
	forget(why);
	return ST_OK;
}

static enum status load_index(struct pki_ca *ca, struct text *why)
{
	struct pki_blob text = { 0 };
	enum status st = get_file(ca, "index", INDEX_MAX, why, &text);

	if (st == ST_OK)
		st = index_parse(pki_blob_bytes(&text), why, &ca->index);
	pki_blob_done(&text);
	if (st == ST_OK)
		forget(why);
	return st;
}

/* One writer at a time; readers need no lock, since files are replaced as a whole. */
static enum status enter(struct pki_ca *ca, bool write, struct text *why)
{
	ca->fd = open(ca->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ca->fd < 0)
		return dir_error(ca->dir, why);
	while (write && flock(ca->fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return dir_error(ca->dir, why);
	return ST_OK;
}

enum status pki_ca_open(const char *dir, bool write, struct text *why, struct pki_ca **ret_ca)
{
	enum status st = check_dir_name(dir, why);
	struct pki_ca *ca = st == ST_OK ? calloc(1, sizeof(*ca)) : NULL;

	if (!ca)
		return st == ST_OK ? ST_NOMEM : st;
	memcpy(ca->dir, dir, strlen(dir) + 1);
	st = enter(ca, write, why);
	if (st == ST_OK)
		st = load_cert(ca, why);
	if (st == ST_OK && write)
		st = load_key(ca, why);
	if (st == ST_OK)
		st = load_index(ca, why);
	if (st == ST_OK)
		*ret_ca = ca;
	else
		pki_ca_close(ca);
	return st;
}

void pki_ca_close(struct pki_ca *ca)
{
	if (!ca)
		return;
	if (ca->fd >= 0)
		close(ca->fd);
	X509_free(ca->cert);
	pki_key_free(ca->key);
	index_done(&ca->index);
	free(ca);
}

const struct pki_ca_info *pki_ca_about(const struct pki_ca *ca)
{
	return &ca->info;
}

const struct pki_issued *pki_ca_issued(const struct pki_ca *ca, size_t *ret_n)
{
	*ret_n = ca->index.n;
	return ca->index.row;
}

/* ---- changing it --------------------------------------------------------------------------- */

enum status ca_save(struct pki_ca *ca, const char *name, struct bytes data, struct text *why)
{
	enum status st = put_file(ca->dir, name, PKI_OUT_REPLACE, data, why);

	/* The name must outlive a power cut as the contents do. */
	if (st == ST_OK && fsync(ca->fd) < 0)
		st = dir_error(ca->dir, why);
	return st;
}

enum status ca_save_index(struct pki_ca *ca, struct text *why)
{
	struct pki_blob text;
	enum status st = index_print(&ca->index, &text);

	if (st != ST_OK)
		return st;
	st = ca_save(ca, "index", pki_blob_bytes(&text), why);
	pki_blob_done(&text);
	return st;
}
