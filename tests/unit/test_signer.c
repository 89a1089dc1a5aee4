/*
 * The signer (S4): a process of its own behind its socket, what it lets out of the files it read,
 * what it signs and what it refuses, and what is left when one of the two ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/openssl/crypto_openssl.h"
#include "signer/internal.h"
#include "unit/test_crypto_pki.h"

#define PSK "correct horse battery staple"
#define PSK_IN_FILE "file-secret-4711-0815"
#define PPK "post quantum horse battery staple!"
#define PPK_IN_FILE "file-secret-4711-0815-of-32-bytes-and-more"

enum { ID_FQDN = 2, HEADER = 28 };

/* ---- a world of files ---------------------------------------------------------------------- */

static struct {
	char dir[64];
	EVP_PKEY *ca_key, *key;
	X509 *ca, *cert;
	struct signer *signer;
	struct crypto_store *store; /* public: what the main process has */
	struct conf *conf;
	struct conf_creds *creds;
} w;

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", w.dir, name);
	return p;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void write_conf(const char *psk)
{
	char text[2048];

	snprintf(
		text, sizeof(text),
		"control = \"%s/control.sock\"\n"
		"local_id = \"a.example\"\n"
		"peer \"inline\" {\n address = \"192.0.2.1\"\n remote_id = \"b.example\"\n"
		" psk = \"%s\"\n ppk_id = \"in\"\n ppk = \"" PPK
		"\"\n local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.2.0.0/16\" "
		"}\n}\n"
		"peer \"file\" {\n address = \"192.0.2.2\"\n remote_id = \"c.example\"\n"
		" psk_file = \"%s/psk\"\n ppk_id = \"on file\"\n ppk_file = \"%s/ppk\"\n local_ts "
		"= { \"10.1.0.0/16\" }\n"
		" remote_ts = { \"10.3.0.0/16\" }\n}\n"
		"peer \"cert\" {\n address = \"192.0.2.3\"\n remote_id = \"d.example\"\n"
		" certificate = \"%s/all.pem\"\n key = \"%s/all.pem\"\n trust = { \"%s/ca.pem\" }\n"
		" local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.4.0.0/16\" }\n}\n",
		w.dir, psk, w.dir, w.dir, w.dir, w.dir, w.dir);
	write_file("warren.conf", text);
}

/* Certificate and private key in one file, as many have it. */
static void write_combined(const char *name, X509 *cert, EVP_PKEY *key)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	assert_int_equal(fclose(f), 0);
}

static int setup_files(void **state)
{
	(void)state;
	snprintf(w.dir, sizeof(w.dir), "/tmp/test_signer.XXXXXX");
	if (!mkdtemp(w.dir))
		return -1;
	w.ca_key = pki_ec("P-256");
	w.key = pki_ec("P-256");
	w.ca = pki_cert(
		&(struct pki_spec){ .name = "CA", .basic = "critical,CA:TRUE", .key = w.ca_key });
	w.cert = pki_cert(&(struct pki_spec){ .name = "a",
					      .san = "DNS:a.example",
					      .key = w.key,
					      .issuer = w.ca,
					      .issuer_key = w.ca_key });
	pki_write_certs(in_dir("ca.pem"), &w.ca, 1);
	write_combined("all.pem", w.cert, w.key);
	write_file("psk", PSK_IN_FILE "\n");
	write_file("ppk", PPK_IN_FILE "\n");
	write_conf(PSK);
	return 0;
}

static int teardown_files(void **state)
{
	static const char *const names[] = { "ca.pem", "all.pem", "psk", "ppk", "warren.conf" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(in_dir(names[i]));
	X509_free(w.ca);
	X509_free(w.cert);
	EVP_PKEY_free(w.ca_key);
	EVP_PKEY_free(w.key);
	return rmdir(w.dir);
}

/* ---- the main process's part --------------------------------------------------------------- */

static void drop_conf(void)
{
	conf_creds_free(w.creds);
	conf_unref(w.conf);
	crypto_store_free(w.store);
	w.creds = NULL;
	w.conf = NULL;
	w.store = NULL;
}

static void open_public(struct signer_snapshot *snap)
{
	struct conf_source source = signer_source(snap);
	struct conf_errors errs;

	drop_conf();
	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(crypto_store_new(&w.store), ST_OK);
	crypto_store_public(w.store);
	if (conf_open(&mem_libc, &source, in_dir("warren.conf"), w.store, &errs, &w.conf,
		      &w.creds) != ST_OK)
		fail_msg("%s", errs.head ? errs.head->text : "?");
	conf_errors_done(&errs);
}

static enum status load(struct conf_errors *errs, struct signer_snapshot **snap)
{
	char buf[300];
	struct text why = TEXT_OF(buf);
	enum status st;

	conf_errors_init(errs, &mem_libc);
	st = signer_load(w.signer, in_dir("warren.conf"), errs, &why, snap);
	assert_string_equal(buf, "");
	return st;
}

static void load_and_commit(void)
{
	struct signer_snapshot *snap = NULL;
	struct conf_errors errs;
	char buf[300];
	struct text why = TEXT_OF(buf);

	if (load(&errs, &snap) != ST_OK)
		fail_msg("%s", errs.head ? errs.head->text : "?");
	open_public(snap);
	signer_snapshot_free(snap);
	conf_errors_done(&errs);
	if (signer_commit(w.signer, &why) != ST_OK)
		fail_msg("%s", buf);
}

static int start(void **state)
{
	char buf[300];
	struct text why = TEXT_OF(buf);

	(void)state;
	if (signer_fork(&why, &w.signer) == ST_OK)
		return 0;
	print_error("%s\n", buf);
	return -1;
}

static int stop(void **state)
{
	(void)state;
	drop_conf();
	signer_free(w.signer);
	w.signer = NULL;
	return 0;
}

/* Octets as an IKE_AUTH signs them; `n` bytes of message. */
static struct bytes octets_of(uint8_t *buf, size_t n, size_t nonce, size_t mac)
{
	struct wr o = wr_of(buf, n + nonce + mac);

	memset(buf, 0x5a, n + nonce + mac);
	wr_u64(&o, 0x0102030405060708);
	wr_u64(&o, 0);
	wr_u8(&o, 33);
	wr_u8(&o, 0x20);
	wr_u8(&o, 34);
	wr_u8(&o, 0x08);
	wr_u32(&o, 0);
	wr_u32(&o, (uint32_t)n);
	return bytes_of(buf, n + nonce + mac);
}

static struct bytes usual_octets(void)
{
	static uint8_t buf[1024];

	return octets_of(buf, 300, 32, 32);
}

static struct crypto_job *new_job(enum crypto_job_kind kind, crypto_ref ref, struct bytes octets)
{
	struct crypto_job *job;
	struct bytes copy;

	assert_int_equal(crypto_job_new(&mem_libc, kind, &job), ST_OK);
	assert_int_equal(crypto_job_dup(job, octets, &copy), ST_OK);
	if (kind == CRYPTO_JOB_SIGN)
		job->in.sign = (struct crypto_sign_in){ ref, 14, 1 << CRYPTO_SHA2_256, copy };
	else
		job->in.psk = (struct crypto_psk_in){ ref, CRYPTO_PRF_HMAC_SHA2_256, copy };
	return job;
}

struct got {
	size_t n;
	uint64_t id;
	struct crypto_result r;
};

static void on_done(void *ctx, uint64_t id, const struct crypto_result *r)
{
	struct got *g = ctx;

	g->n++;
	g->id = id;
	g->r = *r;
}

/* Until `n` results are there. */
static void pump(struct got *g, size_t n)
{
	while (g->n < n) {
		struct pollfd p = { .fd = signer_fd(w.signer), .events = POLLIN };
		char buf[300];
		struct text why = TEXT_OF(buf);

		assert_int_equal(poll(&p, 1, 20000), 1);
		if (signer_pump(w.signer, &why) != ST_OK)
			fail_msg("%s", buf);
	}
}

static struct crypto_result run(enum crypto_job_kind kind, crypto_ref ref, struct bytes octets)
{
	struct got g = { 0 };

	signer_on_done(w.signer, on_done, &g);
	signer_job(w.signer, 42, w.store, new_job(kind, ref, octets));
	pump(&g, 1);
	assert_int_equal(g.id, 42);
	assert_int_equal(g.r.kind, kind);
	signer_on_done(w.signer, NULL, NULL);
	return g.r;
}

static const struct conf_peer_creds *creds_of(size_t index)
{
	return conf_creds_peer(w.creds, index);
}

/* ---- what leaves it ------------------------------------------------------------------------ */

/* Bytes of any of the files of a snapshot. */
static bool snapshot_has(const struct signer_snapshot *s, struct bytes what)
{
	for (const struct signer_file *f = s->first; f; f = f->next)
		if (what.n <= f->n && memmem(f->p, f->n, what.p, what.n))
			return true;
	return false;
}

static void nothing_secret_in(const struct signer_snapshot *s)
{
	struct bytes pem = pki_pem_key(w.key, NULL);
	const uint8_t *line = (const uint8_t *)memchr(pem.p, '\n', pem.n) + 1;

	assert_false(snapshot_has(s, bytes_str(PSK)));
	assert_false(snapshot_has(s, bytes_str("battery")));
	assert_false(snapshot_has(s, bytes_str(PSK_IN_FILE)));
	assert_false(snapshot_has(s, bytes_str(PPK)));
	assert_false(snapshot_has(s, bytes_str(PPK_IN_FILE)));
	assert_false(snapshot_has(s, bytes_str("quantum")));
	assert_false(snapshot_has(s, bytes_str("PRIVATE")));
	assert_false(snapshot_has(s, bytes_of(line, 40)));
}

/* S4: the other process can read all files, and no secret is in them. */
static void snapshot_is_public(void **state)
{
	struct signer_snapshot *snap = NULL;
	struct conf_errors errs;
	char *pem;
	size_t n;

	(void)state;
	assert_int_equal(load(&errs, &snap), ST_OK);
	assert_int_equal(snap->count, 5);
	nothing_secret_in(snap);
	assert_true(snapshot_has(snap, bytes_str("BEGIN PUBLIC KEY")));
	assert_true(snapshot_has(snap, bytes_str("BEGIN CERTIFICATE")));
	open_public(snap);
	assert_int_equal(crypto_store_public_pem(w.store, creds_of(2)->key, &pem, &n), ST_OK);
	free(pem);
	assert_int_equal(creds_of(2)->chain.n, 1);
	signer_snapshot_free(snap);
	conf_errors_done(&errs);
}

/* A changed secret is seen as changed, an unchanged one as the same. */
static void changes_show(void **state)
{
	uint8_t before[3][32];

	(void)state;
	load_and_commit();
	for (size_t i = 0; i < 3; i++)
		memcpy(before[i], creds_of(i)->peer_digest, 32);
	load_and_commit();
	for (size_t i = 0; i < 3; i++)
		assert_memory_equal(creds_of(i)->peer_digest, before[i], 32);
	write_conf("correct horse battery stable");
	load_and_commit();
	assert_memory_not_equal(creds_of(0)->peer_digest, before[0], 32);
	assert_memory_equal(creds_of(1)->peer_digest, before[1], 32);
	memcpy(before[2], creds_of(1)->own_digest, 32);
	write_file("ppk", "file-secret-4711-0815-of-32-bytes-and-most");
	load_and_commit();
	assert_memory_not_equal(creds_of(1)->own_digest, before[2], 32);
	assert_memory_equal(creds_of(1)->peer_digest, before[1], 32);
	write_file("ppk", PPK_IN_FILE "\n");
	memcpy(before[2], creds_of(2)->peer_digest, 32);
	write_file("psk", "file-secret-4711-0816\n");
	load_and_commit();
	assert_memory_not_equal(creds_of(1)->peer_digest, before[1], 32);
	assert_memory_equal(creds_of(2)->peer_digest, before[2], 32);
	write_file("psk", PSK_IN_FILE "\n");
	write_conf(PSK);
}

/* What is wrong is said as `warren check` says it, with its place. */
static void errors_have_places(void **state)
{
	struct signer_snapshot *snap = NULL;
	struct conf_errors errs;
	char line[300];
	struct text t = TEXT_OF(line);

	(void)state;
	write_file("warren.conf",
		   "local_id = \"a.example\"\nport = 99999\npeer \"b\" {\n colour = 3\n}\n");
	assert_int_equal(load(&errs, &snap), ST_INVAL);
	assert_true(errs.total > 2);
	assert_int_equal(errs.head->at.line, 2);
	conf_error_text(&errs, errs.head, &t);
	assert_non_null(strstr(line, "/warren.conf:2:8: "));
	conf_errors_done(&errs);
	unlink(in_dir("warren.conf"));
	assert_int_equal(load(&errs, &snap), ST_IO);
	assert_int_equal(errs.total, 1);
	assert_non_null(strstr(errs.head->text, "No such file"));
	conf_errors_done(&errs);
	assert_null(snap);
	write_conf(PSK);
}

/* Public and secret files mixed in every way. */
static void public_forms(void **state)
{
	static const char secret[] =
		"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
	static const char cert[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	static const struct {
		const char *parts[5];
		const char *want[3];
	} rows[] = {
		{ { cert }, { cert } },
		{ { cert, secret, cert }, { cert, cert } },
		{ { secret }, { "" } },
		{ { "my secret words\n" }, { "" } },
		{ { "subject=x\n", cert, "trailer" }, { cert } },
		/* Blocks that do not end, or end as another. */
		{ { "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n" }, { "" } },
		{ { "-----BEGIN CERTIFICATE-----\nAA\n", secret, cert }, { cert } },
		{ { "-----BEGIN CERTIFICATE-----\nAA\n-----END PRIVATE KEY-----\n", cert },
		  { cert } },
		{ { "-----BEGIN EC PRIVATE KEY-----\nx\n", cert }, { cert } },
		{ { "-----BEGIN CERTIFICATE", cert }, { "" } },
		{ { "-----BEGIN WARREN MANIFEST-----\nAA\n-----END WARREN MANIFEST-----\n",
		    secret },
		  { "-----BEGIN WARREN MANIFEST-----\nAA\n-----END WARREN MANIFEST-----\n" } },
		{ { "-----BEGIN CERTIFICATE-----\r\nAA\r\n-----END CERTIFICATE-----\r\n" },
		  { "-----BEGIN CERTIFICATE-----\r\nAA\r\n-----END CERTIFICATE-----\r\n" } },
		{ { "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----" },
		  { "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----" } },
		{ { "" }, { "" } },
		{ { "-----BEGIN CERTIFICATE-----\nA-----BEGIN PRIVATE KEY-----\nAA\n"
		    "-----END CERTIFICATE-----\n" },
		  { "" } },
		{ { "warren-bundle 1\n", cert }, { "warren-bundle 1\n", cert } },
		{ { "warren-bundle 1\n", secret }, { "warren-bundle 1\n" } },
		{ { cert, "warren-bundle 1\n" }, { cert } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char in[600] = "", want[600] = "";
		struct bytes out;

		for (size_t k = 0; k < 5 && rows[i].parts[k]; k++)
			strcat(in, rows[i].parts[k]);
		for (size_t k = 0; k < 3 && rows[i].want[k]; k++)
			strcat(want, rows[i].want[k]);
		assert_int_equal(public_form(bytes_str(in), &out), ST_OK);
		if (!bytes_eq(out, bytes_str(want)))
			fail_msg("row %zu: \"%.*s\"", i, (int)out.n, (const char *)out.p);
		free((void *)(uintptr_t)out.p);
	}
}

static void public_forms_der(void **state)
{
	struct bytes der = pki_der(w.cert), out;
	uint8_t longer[2000], *key = NULL;
	int n = i2d_PrivateKey(w.key, &key);

	(void)state;
	assert_int_equal(public_form(der, &out), ST_OK);
	assert_true(bytes_eq(out, der));
	free((void *)(uintptr_t)out.p);
	memcpy(longer, der.p, der.n);
	memcpy(longer + der.n, "secret", 6);
	assert_int_equal(public_form(bytes_of(longer, der.n + 6), &out), ST_OK);
	assert_int_equal(out.n, 0);
	free((void *)(uintptr_t)out.p);
	assert_true(n > 0);
	assert_int_equal(public_form(bytes_of(key, (size_t)n), &out), ST_OK);
	assert_int_equal(out.n, 0);
	free((void *)(uintptr_t)out.p);
	OPENSSL_free(key);
	pki_free(der);
}

/* ---- what it signs ------------------------------------------------------------------------- */

static void verifies(const struct crypto_result *s, struct bytes octets)
{
	struct bytes der = pki_der(w.cert);
	struct crypto_job job = { .kind = CRYPTO_JOB_VERIFY };
	struct crypto_result r;

	job.in.verify = (struct crypto_verify_in){ .trust = creds_of(2)->trust,
						   .certs = { der },
						   .n_certs = 1,
						   .id_type = ID_FQDN,
						   .id = bytes_str("a.example"),
						   .at = { PKI_NOW },
						   .at_known = true,
						   .method = s->auth.method,
						   .signature = bytes_of(s->auth.data, s->auth.len),
						   .octets = octets };
	crypto_openssl_run(w.store, &job, &r);
	if (r.status != ST_OK)
		fail_msg("%s", r.reason);
	pki_free(der);
}

static void signs(void **state)
{
	struct crypto_result r;

	(void)state;
	load_and_commit();
	r = run(CRYPTO_JOB_SIGN, creds_of(2)->key, usual_octets());
	if (r.status != ST_OK)
		fail_msg("%s", r.reason);
	assert_int_equal(r.auth.method, 14);
	assert_string_equal(r.auth.how, "ecdsa-p256-sha256");
	verifies(&r, usual_octets());
	assert_int_equal(signer_counts(w.signer).done, 1);
}

static void auth_by_psk(const char *psk, struct bytes octets, struct crypto_result *ret)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_PSK_AUTH };
	struct crypto_store *s;

	assert_int_equal(crypto_store_new(&s), ST_OK);
	assert_int_equal(crypto_store_add_psk(s, "x", bytes_str(psk), &job.in.psk.psk), ST_OK);
	job.in.psk.prf = CRYPTO_PRF_HMAC_SHA2_256;
	job.in.psk.octets = octets;
	crypto_openssl_run(s, &job, ret);
	assert_int_equal(ret->status, ST_OK);
	crypto_store_free(s);
}

static void psk_auth(void **state)
{
	static const char *const psk[] = { PSK, PSK_IN_FILE };

	(void)state;
	load_and_commit();
	for (size_t i = 0; i < 2; i++) {
		struct crypto_result r, want;

		auth_by_psk(psk[i], usual_octets(), &want);
		r = run(CRYPTO_JOB_PSK_AUTH, creds_of(i)->psk, usual_octets());
		if (r.status != ST_OK)
			fail_msg("%s", r.reason);
		assert_int_equal(r.auth.method, 2);
		assert_int_equal(r.auth.len, 32);
		assert_memory_equal(r.auth.data, want.auth.data, 32);
	}
}

/* RFC 8784, S4: keys of an SA go in, and come out mixed with a PPK that only the signer has. */
static struct crypto_result run_ppk(crypto_ref ref, uint16_t prf, uint8_t n)
{
	struct crypto_job *job;
	struct got g = { 0 };

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_PPK, &job), ST_OK);
	job->in.ppk = (struct crypto_ppk_in){ .ppk = ref, .prf = prf };
	job->in.ppk.keys = (struct crypto_ppk_keys){ { n, { 1 } }, { n, { 2 } }, { n, { 3 } } };
	signer_on_done(w.signer, on_done, &g);
	signer_job(w.signer, 77, w.store, job);
	pump(&g, 1);
	assert_int_equal(g.id, 77);
	return g.r;
}

static void mixed_by(const char *ppk, uint16_t prf, struct crypto_ppk_keys *ret)
{
	uint8_t n = (uint8_t)crypto_prf_len(prf);
	struct crypto_ppk_keys in = { { n, { 1 } }, { n, { 2 } }, { n, { 3 } } };
	struct crypto_openssl *p;
	struct crypto c;

	assert_int_equal(crypto_openssl_new(&p), ST_OK);
	c = crypto_openssl_ops(p);
	assert_int_equal(crypto_ppk_mix(&c, prf, bytes_str(ppk), &in, ret), ST_OK);
	crypto_openssl_free(p);
}

static void mixes(void **state)
{
	static const uint16_t prfs[] = { CRYPTO_PRF_HMAC_SHA2_256, CRYPTO_PRF_HMAC_SHA2_384,
					 CRYPTO_PRF_HMAC_SHA2_512 };
	static const char *const ppk[] = { PPK, PPK_IN_FILE };
	struct crypto_result r;

	(void)state;
	load_and_commit();
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < ARRAY_LEN(prfs); k++) {
			struct crypto_ppk_keys want;

			mixed_by(ppk[i], prfs[k], &want);
			r = run_ppk(creds_of(i)->ppk, prfs[k], (uint8_t)crypto_prf_len(prfs[k]));
			if (r.status != ST_OK)
				fail_msg("%s", r.reason);
			assert_memory_equal(&r.ppk, &want, sizeof(want));
		}
	/* By length alone: no other than three keys of an SA. */
	r = run_ppk(creds_of(0)->ppk, CRYPTO_PRF_HMAC_SHA2_256, 31);
	assert_int_equal(r.status, ST_IO);
	assert_int_equal(r.ppk.d.n, 0);
	r = run_ppk(creds_of(0)->ppk, 2, 20);
	assert_int_equal(r.status, ST_IO);
	assert_int_equal(signer_counts(w.signer).shape, 2);
	/* Neither kind of key does the other's work. */
	r = run_ppk(creds_of(0)->psk, CRYPTO_PRF_HMAC_SHA2_256, 32);
	assert_int_not_equal(r.status, ST_OK);
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(0)->ppk, usual_octets());
	assert_int_not_equal(r.status, ST_OK);
	assert_int_equal(signer_counts(w.signer).failed, 2);
	assert_int_equal(signer_counts(w.signer).done, 6);
}

/* Loaded is not yet in force; names tell what of it is still there. */
static void commit_matters(void **state)
{
	struct signer_snapshot *snap = NULL;
	struct crypto_result r, old, new;
	struct conf_errors errs;
	char buf[100];
	struct text why = TEXT_OF(buf);

	(void)state;
	assert_int_equal(signer_commit(w.signer, &why), ST_INVAL);
	assert_string_equal(buf, "nothing was loaded");
	assert_int_equal(load(&errs, &snap), ST_OK);
	open_public(snap);
	signer_snapshot_free(snap);
	conf_errors_done(&errs);
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(0)->psk, usual_octets());
	assert_int_equal(r.status, ST_IO);
	assert_non_null(strstr(r.reason, "has no such key"));
	assert_int_equal(signer_counts(w.signer).unknown, 1);
	load_and_commit();
	auth_by_psk(PSK, usual_octets(), &old);
	auth_by_psk("another secret, quite as long", usual_octets(), &new);
	write_conf("another secret, quite as long");
	assert_int_equal(load(&errs, &snap), ST_OK);
	conf_errors_done(&errs);
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(0)->psk, usual_octets());
	assert_memory_equal(r.auth.data, old.auth.data, 32);
	why = TEXT_OF(buf);
	assert_int_equal(signer_commit(w.signer, &why), ST_OK);
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(0)->psk, usual_octets());
	assert_memory_equal(r.auth.data, new.auth.data, 32);
	signer_snapshot_free(snap);
	/* A load that failed changes nothing, and leaves nothing to commit. */
	write_file("warren.conf", "colour = 3\n");
	assert_int_equal(load(&errs, &snap), ST_INVAL);
	conf_errors_done(&errs);
	assert_int_equal(signer_commit(w.signer, &why), ST_INVAL);
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(0)->psk, usual_octets());
	assert_memory_equal(r.auth.data, new.auth.data, 32);
	write_conf(PSK);
}

/* ---- what it refuses ----------------------------------------------------------------------- */

/* S4: no oracle.  One byte of the header at a time, and every length at its edges. */
static void shapes(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		bool ok;
	} rows[] = {
		{ 17, 0x10, false }, /* version 1 */
		{ 17, 0x30, false }, { 17, 0x21, true }, /* a minor version is nobody's business
							    (section 2.5) */
		{ 18, 35, false }, /* IKE_AUTH */
		{ 18, 36, false },   { 18, 37, false },  { 18, 43, false }, /* IKE_INTERMEDIATE */
		{ 23, 1, false }, /* message id */
		{ 20, 0x80, false }, { 24, 1, false },   { 25, 1, false },  { 19, 0x20, true },
	};
	static const struct {
		size_t n, nonce, mac;
		uint16_t prf;
		bool ok;
	} lengths[] = {
		{ HEADER, 16, 32, 0, true },
		{ HEADER - 1, 16, 32, 0, false },
		{ 300, 16, 32, CRYPTO_PRF_HMAC_SHA2_256, true },
		{ 300, 15, 32, CRYPTO_PRF_HMAC_SHA2_256, false },
		{ 300, 256, 32, CRYPTO_PRF_HMAC_SHA2_256, true },
		{ 300, 257, 32, CRYPTO_PRF_HMAC_SHA2_256, false },
		{ 300, 15, 48, CRYPTO_PRF_HMAC_SHA2_384, false },
		{ 300, 256, 48, CRYPTO_PRF_HMAC_SHA2_384, true },
		{ 300, 256, 64, CRYPTO_PRF_HMAC_SHA2_512, true },
		{ 300, 257, 64, CRYPTO_PRF_HMAC_SHA2_512, false },
		{ 300, 256, 64, 0, true },
		{ 300, 257, 64, 0, false },
		{ 300, 0, 0, 0, false },
		{ 300, 16, 0, 0, false },
		{ 300, 32, 32, 2, false }, /* a PRF that we do not have */
		{ 65536, 256, 64, 0, true },
		{ 65537, 256, 64, 0, false },
	};
	static uint8_t buf[70000];
	struct bytes o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		o = octets_of(buf, 300, 16, 32);
		buf[rows[i].at] = rows[i].value;
		if (signer_octets_ok(o, 0) != rows[i].ok)
			fail_msg("byte %zu = %u", rows[i].at, rows[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		o = octets_of(buf, lengths[i].n, lengths[i].nonce, lengths[i].mac);
		if (signer_octets_ok(o, lengths[i].prf) != lengths[i].ok)
			fail_msg("lengths %zu", i);
	}
	o = octets_of(buf, 300, 32, 32);
	memset(buf, 0, 8);
	assert_false(signer_octets_ok(o, 0));
	o = octets_of(buf, 300, 16, 32);
	for (size_t n = 0; n < o.n; n++)
		assert_false(signer_octets_ok(bytes_of(buf, n), 0));
}

static void no_oracle(void **state)
{
	uint8_t buf[400];
	struct crypto_result r;
	struct bytes o;

	(void)state;
	load_and_commit();
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(0)->psk, bytes_str("Key Pad for IKEv2"));
	assert_int_equal(r.status, ST_IO);
	assert_non_null(strstr(r.reason, "IKE_SA_INIT messages and nothing else"));
	assert_int_equal(r.auth.len, 0);
	o = octets_of(buf, 300, 32, 32);
	buf[18] = 35;
	r = run(CRYPTO_JOB_SIGN, creds_of(2)->key, o);
	assert_int_equal(r.status, ST_IO);
	assert_int_equal(signer_counts(w.signer).shape, 2);
	assert_int_equal(signer_counts(w.signer).done, 0);
	/* What libcrypto refuses comes back with its own reason. */
	r = run(CRYPTO_JOB_PSK_AUTH, creds_of(2)->key, usual_octets());
	assert_int_equal(r.status, ST_BUG);
	assert_int_equal(signer_counts(w.signer).failed, 1);
	/* Neither does a trust anchor have a name, nor nothing. */
	r = run(CRYPTO_JOB_SIGN, creds_of(2)->trust, usual_octets());
	assert_int_equal(r.status, ST_BUG);
	r = run(CRYPTO_JOB_SIGN, 0, usual_octets());
	assert_int_equal(r.status, ST_BUG);
}

/* Ten thousand sites come back at once and none has to wait; who wants more waits. */
static void rate(void **state)
{
	struct signer_rate r = { 0 };
	mono_t t = { 5000000000 };
	size_t n = 0;

	(void)state;
	while (signer_rate_take(&r, t))
		n++;
	assert_int_equal(n, SIGNER_BURST);
	assert_false(signer_rate_take(&r, t));
	for (size_t i = 0; i < 1000; i++) {
		t = mono_add(t, (dur_t){ dur_s(1).ns / SIGNER_PER_S });
		assert_true(signer_rate_take(&r, t));
		assert_false(signer_rate_take(&r, t));
	}
	/* A clock that goes back takes nothing away and gives nothing. */
	assert_false(signer_rate_take(&r, (mono_t){ 0 }));
	t = mono_add(t, dur_s(3600));
	for (n = 0; signer_rate_take(&r, t); n++)
		;
	assert_int_equal(n, SIGNER_BURST);
}

static void rate_over_the_socket(void **state)
{
	struct got g = { 0 };
	struct signer_counts c;
	size_t sent = SIGNER_BURST + 2 * SIGNER_PER_S;

	(void)state;
	load_and_commit();
	signer_on_done(w.signer, on_done, &g);
	for (size_t i = 0; i < sent; i++)
		signer_job(w.signer, i + 1, w.store,
			   new_job(CRYPTO_JOB_PSK_AUTH, creds_of(0)->psk, usual_octets()));
	pump(&g, sent);
	c = signer_counts(w.signer);
	assert_int_equal(c.done + c.rate, sent);
	assert_true(c.done >= SIGNER_BURST);
	signer_on_done(w.signer, NULL, NULL);
}

/* ---- results that nobody wants, and the end ------------------------------------------------ */

static void cancelled(void **state)
{
	struct got g = { 0 };

	(void)state;
	load_and_commit();
	signer_on_done(w.signer, on_done, &g);
	for (uint64_t id = 1; id <= 20; id++)
		signer_job(w.signer, id, w.store,
			   new_job(CRYPTO_JOB_SIGN, creds_of(2)->key, usual_octets()));
	signer_cancel(w.signer, 7);
	signer_cancel(w.signer, 20);
	signer_cancel(w.signer, 99);
	pump(&g, 18);
	assert_int_equal(g.id, 19);
	/* One that failed before it was sent: held back until the next pump. */
	signer_job(w.signer, 30, w.store, new_job(CRYPTO_JOB_SIGN, 0, usual_octets()));
	signer_job(w.signer, 31, w.store, new_job(CRYPTO_JOB_SIGN, 0, usual_octets()));
	signer_cancel(w.signer, 30);
	assert_int_equal(g.n, 18);
	pump(&g, 19);
	assert_int_equal(g.id, 31);
	signer_on_done(w.signer, NULL, NULL);
}

/* Results that come while a load is waited for are delivered afterwards, not in its middle. */
static void results_during_a_load(void **state)
{
	struct signer_snapshot *snap = NULL;
	struct conf_errors errs;
	struct got g = { 0 };

	(void)state;
	load_and_commit();
	signer_on_done(w.signer, on_done, &g);
	for (uint64_t id = 1; id <= 50; id++)
		signer_job(w.signer, id, w.store,
			   new_job(CRYPTO_JOB_SIGN, creds_of(2)->key, usual_octets()));
	assert_int_equal(load(&errs, &snap), ST_OK);
	assert_int_equal(g.n, 0);
	conf_errors_done(&errs);
	signer_snapshot_free(snap);
	pump(&g, 50);
	assert_int_equal(g.id, 50);
	signer_on_done(w.signer, NULL, NULL);
}

/* As warrend's main process would see it. */
static void killed(void **state)
{
	struct pollfd p = { .fd = signer_fd(w.signer), .events = POLLIN };
	struct signer_snapshot *snap = NULL;
	struct conf_errors errs;
	char buf[200];
	struct text why = TEXT_OF(buf);
	int pid = signer_pid(w.signer);
	enum status st = ST_OK;

	(void)state;
	load_and_commit();
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (st == ST_OK) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		st = signer_pump(w.signer, &why);
	}
	assert_int_equal(st, ST_IO);
	assert_string_equal(buf, "the signer process ended by signal 9");
	assert_int_equal(signer_pump(w.signer, &why), ST_IO);
	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(signer_load(w.signer, in_dir("warren.conf"), &errs, &why, &snap), ST_IO);
	conf_errors_done(&errs);
	/* Nobody is left in the process table. */
	assert_int_equal(kill(pid, 0), -1);
}

/* S4: who has taken over the main process cannot have other files read, as a configuration or by
 * one; asking for them is the end of both. */
static void no_other_configuration(void **state)
{
	struct signer_snapshot *snap = NULL;
	struct conf_errors errs;
	char buf[200];
	struct text why = TEXT_OF(buf);

	(void)state;
	write_file("other.conf", "a = \"b\"\n");
	load_and_commit();
	load_and_commit();
	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(signer_load(w.signer, in_dir("other.conf"), &errs, &why, &snap), ST_IO);
	assert_string_equal(buf, "the signer process ended with exit code 1");
	assert_int_equal(errs.total, 0);
	conf_errors_done(&errs);
	unlink(in_dir("other.conf"));
}

static void signals_are_for_the_daemon(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };
	struct crypto_result r;

	(void)state;
	load_and_commit();
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		assert_int_equal(kill(signer_pid(w.signer), signals[i]), 0);
	r = run(CRYPTO_JOB_SIGN, creds_of(2)->key, usual_octets());
	assert_int_equal(r.status, ST_OK);
}

static int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* The control socket goes with the daemon; what stands in its place meanwhile does not. */
static void control_socket(void **state)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s", in_dir("control.sock"));
	for (int replaced = 0; replaced <= 1; replaced++) {
		load_and_commit();
		fd = listen_at(path);
		signer_note_socket(w.signer);
		/* An answer to anything after it says that it has been looked at. */
		(void)run(CRYPTO_JOB_SIGN, creds_of(2)->key, usual_octets());
		if (replaced) {
			unlink(path);
			close(fd);
			fd = listen_at(path);
		}
		stop(state);
		assert_int_equal(access(path, F_OK), replaced ? 0 : -1);
		close(fd);
		assert_int_equal(start(state), 0);
	}
	unlink(path);
}

/* S4: its own sandbox. */
static void confined(void **state)
{
	char path[64], line[200], want[40];
	bool seccomp = false, caps = false, privs = false;
	FILE *f;

	(void)state;
	load_and_commit();
	snprintf(path, sizeof(path), "/proc/%d/status", signer_pid(w.signer));
	snprintf(want, sizeof(want), "CapPrm:\t%016x\n", geteuid() == 0 ? 4 : 0);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		seccomp = seccomp || strcmp(line, "Seccomp:\t2\n") == 0;
		privs = privs || strcmp(line, "NoNewPrivs:\t1\n") == 0;
		caps = caps || strcmp(line, want) == 0;
	}
	fclose(f);
	assert_true(seccomp && privs && caps);
	assert_string_equal(signer_warning(w.signer), "");
}

/* ---- frames -------------------------------------------------------------------------------- */

static void bad_requests(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
		{ "", 0 },
		{ "\0\0\0\0\0\0\0\0\0", 9 },
		{ "\x0a\0\0\0\0\0\0\0\0", 9 },
		{ "\x01\0\0\0\0\0\0\0", 8 },
		{ "\x01\0\0\0\0\0\0\0\0", 9 }, /* LOAD of nothing */
		{ "\x01\0\0\0\0\0\0\0\0a\0b", 12 }, /* a NUL in the path */
		{ "\x02\0\0\0\0\0\0\0\0x", 10 },
		{ "\x03\0\0\0\0\0\0\0\0x", 10 },
		{ "\x04\0\0\0\0\0\0\0\0\x0e\0\x04\0\x05name", 18 }, /* a name longer than it */
		{ "\x04\0\0\0\0\0\0\0\0\x0e\0\x04\0\0", 14 }, /* no name */
		{ "\x05\0\0\0\0\0\0\0\0\0\x05\0\x01\0", 14 }, /* a NUL in the name */
		{ "\x06\0\0\0\0\0\0\0\0\0\x05\0\0", 13 }, /* PPK without a name */
		{ "\x07\0\0\0\0\0\0\0\0", 9 }, /* QCD without SPIs */
		{ "\x08\0\0\0\0\0\0\0\0x", 10 },
		{ "\x09\0\0\0\0\0\0\0\0", 9 },
	};
	struct signer_request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (signer_parse_request(bytes_of(rows[i].bytes, rows[i].n), &r) != ST_DROP)
			fail_msg("row %zu", i);
}

static void requests_return(void **state)
{
	const struct signer_request rows[] = {
		{ .type = SIGNER_LOAD, .id = 1, .path = bytes_str("/etc/warren/warren.conf") },
		{ .type = SIGNER_COMMIT, .id = UINT64_MAX },
		{ .type = SIGNER_SOCKET },
		{ .type = SIGNER_SIGN,
		  .id = 7,
		  .name = bytes_str("k"),
		  .method = 14,
		  .hashes = 0x1c,
		  .octets = bytes_str("octets") },
		{ .type = SIGNER_PSK, .id = 8, .name = bytes_str("peer b"), .prf = 5 },
		{ .type = SIGNER_PPK,
		  .id = 9,
		  .name = bytes_str("ppk b"),
		  .prf = 7,
		  .octets = bytes_str("keys") },
		{ .type = SIGNER_QCD, .id = 10, .spi_i = 0x0102030405060708, .spi_r = 9 },
		{ .type = SIGNER_STATE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes all, frame;
		struct signer_request r;
		size_t used;

		assert_int_equal(signer_make_request(&rows[i], &all), ST_OK);
		for (size_t n = 0; n < all.n; n++)
			assert_int_equal(
				signer_frame(bytes_of(all.p, n), SIGNER_REQUEST_MAX, &frame, &used),
				ST_AGAIN);
		assert_int_equal(signer_frame(all, SIGNER_REQUEST_MAX, &frame, &used), ST_OK);
		assert_int_equal(used, all.n);
		assert_int_equal(signer_frame(all, all.n - 5, &frame, &used), ST_DROP);
		assert_int_equal(signer_parse_request(frame, &r), ST_OK);
		assert_int_equal(r.type, rows[i].type);
		assert_int_equal(r.id, rows[i].id);
		assert_true(bytes_eq(r.path, rows[i].path));
		assert_true(bytes_eq(r.name, rows[i].name));
		assert_true(bytes_eq(r.octets, rows[i].octets));
		assert_int_equal(r.hashes, rows[i].hashes);
		assert_int_equal(r.prf, rows[i].prf);
		assert_true(r.spi_i == rows[i].spi_i && r.spi_r == rows[i].spi_r);
		free((void *)(uintptr_t)all.p);
	}
}

static void replies_return(void **state)
{
	const struct signer_reply rows[] = {
		{ .type = SIGNER_READY, .status = ST_IO, .text = bytes_str("no seccomp") },
		{ .type = SIGNER_FILE, .path = bytes_str("/a"), .data = bytes_str("data") },
		{ .type = SIGNER_FILE, .path = bytes_str("/empty") },
		{ .type = SIGNER_ERROR, .at = { 3, 7 }, .text = bytes_str("wrong") },
		{ .type = SIGNER_LOADED, .status = ST_INVAL, .total = 300 },
		{ .type = SIGNER_COMMITTED },
		{ .type = SIGNER_STATED, .status = ST_INVAL, .text = bytes_str("malformed") },
		{ .type = SIGNER_RESULT,
		  .id = 9,
		  .method = 14,
		  .how = bytes_str("psk"),
		  .data = bytes_str("auth") },
		{ .type = SIGNER_RESULT,
		  .id = 9,
		  .status = ST_IO,
		  .refusal = SIGNER_RATE,
		  .text = bytes_str("too fast") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes all, frame;
		struct signer_reply r;
		size_t used;

		assert_int_equal(signer_make_reply(&rows[i], &all), ST_OK);
		assert_int_equal(signer_frame(all, SIGNER_REPLY_MAX, &frame, &used), ST_OK);
		assert_int_equal(signer_parse_reply(frame, &r), ST_OK);
		assert_int_equal(r.type, rows[i].type);
		assert_int_equal(r.status, rows[i].status);
		assert_int_equal(r.refusal, rows[i].refusal);
		assert_int_equal(r.total, rows[i].total);
		assert_int_equal(r.at.line, rows[i].at.line);
		assert_true(bytes_eq(r.path, rows[i].path));
		assert_true(bytes_eq(r.data, rows[i].data));
		assert_true(bytes_eq(r.text, rows[i].text));
		assert_true(bytes_eq(r.how, rows[i].how));
		/* Cut anywhere it is none, or a shorter text. */
		for (size_t n = 0; n < frame.n; n++)
			if (signer_parse_reply(bytes_of(frame.p, n), &r) == ST_OK)
				assert_true(rows[i].text.n + rows[i].data.n > 0);
		free((void *)(uintptr_t)all.p);
	}
}

/* A result is a yes with data or a no without. */
static void contradictions(void **state)
{
	static const struct {
		enum status st;
		enum signer_refusal why;
		size_t n;
	} rows[] = {
		{ ST_OK, SIGNER_GRANTED, 0 },         { ST_OK, SIGNER_RATE, 4 },
		{ ST_IO, SIGNER_GRANTED, 0 },         { ST_IO, SIGNER_RATE, 4 },
		{ ST_IO, (enum signer_refusal)9, 0 }, { (enum status)99, SIGNER_RATE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct signer_reply in = { .type = SIGNER_RESULT,
						 .status = rows[i].st,
						 .refusal = rows[i].why,
						 .data = bytes_of("auth", rows[i].n) };
		struct signer_reply r;
		struct bytes all;

		assert_int_equal(signer_make_reply(&in, &all), ST_OK);
		assert_int_equal(signer_parse_reply(bytes_of(all.p + 4, all.n - 4), &r), ST_DROP);
		free((void *)(uintptr_t)all.p);
	}
}

#define WITH_SIGNER(t) cmocka_unit_test_setup_teardown(t, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SIGNER(snapshot_is_public),
		WITH_SIGNER(changes_show),
		WITH_SIGNER(errors_have_places),
		cmocka_unit_test(public_forms),
		cmocka_unit_test(public_forms_der),
		WITH_SIGNER(signs),
		WITH_SIGNER(psk_auth),
		WITH_SIGNER(commit_matters),
		WITH_SIGNER(mixes),
		cmocka_unit_test(shapes),
		WITH_SIGNER(no_oracle),
		cmocka_unit_test(rate),
		WITH_SIGNER(rate_over_the_socket),
		WITH_SIGNER(cancelled),
		WITH_SIGNER(results_during_a_load),
		WITH_SIGNER(killed),
		WITH_SIGNER(no_other_configuration),
		WITH_SIGNER(signals_are_for_the_daemon),
		WITH_SIGNER(control_socket),
		WITH_SIGNER(confined),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(requests_return),
		cmocka_unit_test(replies_return),
		cmocka_unit_test(contradictions),
	};

	return cmocka_run_group_tests(tests, setup_files, teardown_files);
}
