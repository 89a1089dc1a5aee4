/*
 * Jobs of the daemon: what needs a secret goes to the signer, the rest to the pool; a reload in
 * between finds every job the store that it was made for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "daemon/jobs.h"
#include "plat/plat.h"
#include "unit/test_crypto_pki.h"

enum { ID_FQDN = 2, IDS = 64 };

/* ---- a daemon's worth ---------------------------------------------------------------------- */

static struct {
	uv_loop_t loop;
	char dir[64];
	struct signer *signer;
	struct plat_poll *poll;
	struct jobs *jobs;
	EVP_PKEY *key;
	X509 *cert;
	size_t n; /* results */
	enum status status[IDS];
	char reason[IDS][CRYPTO_REASON_MAX];
} w;

/* A configuration as the main process has it. */
struct version {
	struct crypto_store *store;
	crypto_ref psk, key, trust;
};

static void on_done(void *ctx, uint64_t id, const struct crypto_result *r)
{
	(void)ctx;
	w.n++;
	w.status[id] = r->status;
	memcpy(w.reason[id], r->reason, sizeof(r->reason));
	uv_stop(&w.loop);
}

static void on_signer(void *ctx)
{
	char buf[200];
	struct text why = TEXT_OF(buf);

	(void)ctx;
	if (signer_pump(w.signer, &why) != ST_OK)
		fail_msg("%s", buf);
}

static void wait_for(size_t n)
{
	while (w.n < n)
		uv_run(&w.loop, UV_RUN_DEFAULT);
}

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static unsigned n;
	char *p = path[n++ % 2];

	snprintf(p, sizeof(path[0]), "%s/%s", w.dir, name);
	return p;
}

static void write_conf(void)
{
	FILE *f = fopen(in_dir("warren.conf"), "w");

	assert_non_null(f);
	fprintf(f,
		"local_id = \"a.example\"\n"
		"peer \"psk\" {\n remote_id = \"b.example\"\n psk = \"a shared secret\"\n"
		" local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.2.0.0/16\" }\n}\n"
		"peer \"cert\" {\n remote_id = \"c.example\"\n certificate = \"%s/cert\"\n"
		" key = \"%s/key\"\n trust = { \"%s/cert\" }\n"
		" local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.3.0.0/16\" }\n}\n",
		w.dir, w.dir, w.dir);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	char buf[200];
	struct text why = TEXT_OF(buf);

	(void)state;
	memset(&w, 0, sizeof(w));
	snprintf(w.dir, sizeof(w.dir), "/tmp/test_jobs.XXXXXX");
	if (signer_fork(&why, &w.signer) != ST_OK || uv_loop_init(&w.loop) || !mkdtemp(w.dir))
		return -1;
	w.key = pki_ec("P-256");
	w.cert = pki_cert(&(struct pki_spec){ .name = "a", .san = "DNS:a.example", .key = w.key });
	pki_write_key(in_dir("key"), w.key, NULL);
	pki_write_certs(in_dir("cert"), &w.cert, 1);
	write_conf();
	return plat_poll_new(&w.loop, signer_fd(w.signer), on_signer, NULL, &w.poll) == ST_OK ? 0
											      : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "key", "cert", "warren.conf" };

	(void)state;
	jobs_free(w.jobs);
	plat_poll_free(w.poll);
	signer_free(w.signer);
	assert_int_equal(plat_loop_close(&w.loop), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(in_dir(names[i]));
	X509_free(w.cert);
	EVP_PKEY_free(w.key);
	return rmdir(w.dir);
}

/* What a start or a reload does; the first also makes the jobs. */
static struct version reload(void)
{
	struct signer_snapshot *snap;
	struct conf_source source;
	struct conf_creds *creds;
	struct conf_errors errs;
	struct version v;
	struct conf *conf;
	char buf[200];
	struct text why = TEXT_OF(buf);

	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(signer_load(w.signer, in_dir("warren.conf"), &errs, &why, &snap), ST_OK);
	source = signer_source(snap);
	assert_int_equal(crypto_store_new(&v.store), ST_OK);
	crypto_store_public(v.store);
	assert_int_equal(
		conf_open(&mem_libc, &source, in_dir("warren.conf"), v.store, &errs, &conf, &creds),
		ST_OK);
	assert_int_equal(signer_commit(w.signer, &why), ST_OK);
	v.psk = conf_creds_peer(creds, 0)->psk;
	v.key = conf_creds_peer(creds, 1)->key;
	v.trust = conf_creds_peer(creds, 1)->trust;
	conf_creds_free(creds);
	conf_unref(conf);
	conf_errors_done(&errs);
	signer_snapshot_free(snap);
	if (w.jobs)
		jobs_use_store(w.jobs, v.store);
	else
		assert_int_equal(jobs_new(&w.loop, v.store, w.signer, on_done, NULL, &w.jobs),
				 ST_OK);
	/* The jobs have their own references: this was the only other one. */
	crypto_store_free(v.store);
	return v;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

static struct crypto_job *job_of(enum crypto_job_kind kind)
{
	struct crypto_job *job;

	assert_int_equal(crypto_job_new(&mem_libc, kind, &job), ST_OK);
	return job;
}

static struct bytes dup_into(struct crypto_job *job, struct bytes b)
{
	struct bytes copy;

	assert_int_equal(crypto_job_dup(job, b, &copy), ST_OK);
	return copy;
}

static struct bytes octets(void)
{
	static uint8_t buf[28 + 32 + 32] = { 1, [17] = 0x20, [18] = 34, [27] = 28 };

	return BYTES_OF(buf);
}

static void start_psk(uint64_t id, const struct version *v)
{
	struct crypto_job *job = job_of(CRYPTO_JOB_PSK_AUTH);

	job->in.psk =
		(struct crypto_psk_in){ v->psk, CRYPTO_PRF_HMAC_SHA2_256, dup_into(job, octets()) };
	jobs_start(w.jobs, id, job);
}

static void start_sign(uint64_t id, const struct version *v)
{
	struct crypto_job *job = job_of(CRYPTO_JOB_SIGN);

	job->in.sign = (struct crypto_sign_in){ v->key, 9, 0, dup_into(job, octets()) };
	jobs_start(w.jobs, id, job);
}

/* A signature that is none: refused by who has the anchor, a bug for who has not. */
static void start_verify(uint64_t id, const struct version *v)
{
	struct crypto_job *job = job_of(CRYPTO_JOB_VERIFY);
	struct bytes der = pki_der(w.cert);

	job->in.verify = (struct crypto_verify_in){ .trust = v->trust,
						    .certs = { dup_into(job, der) },
						    .n_certs = 1,
						    .id_type = ID_FQDN,
						    .id = dup_into(job, bytes_str("a.example")),
						    .at = { PKI_NOW },
						    .at_known = true,
						    .method = 9,
						    .signature = dup_into(job, octets()),
						    .octets = dup_into(job, octets()) };
	pki_free(der);
	jobs_start(w.jobs, id, job);
}

static void every_kind(void **state)
{
	struct version v = reload();
	struct crypto_job *ke = job_of(CRYPTO_JOB_KE_GENERATE);

	(void)state;
	ke->in.ke_generate.group = CRYPTO_X25519;
	jobs_start(w.jobs, 1, ke);
	start_psk(2, &v);
	start_sign(3, &v);
	start_verify(4, &v);
	assert_int_equal(jobs_running(w.jobs), 2);
	wait_for(4);
	for (size_t id = 1; id <= 3; id++)
		if (w.status[id] != ST_OK)
			fail_msg("%zu: %s", id, w.reason[id]);
	assert_int_equal(w.status[4], ST_REFUSE);
	assert_non_null(strstr(w.reason[4], "signature has 92 bytes"));
	assert_int_equal(jobs_running(w.jobs), 0);
}

static void cancelled(void **state)
{
	struct version v = reload();

	(void)state;
	for (uint64_t id = 1; id <= 10; id++)
		id % 2 ? start_sign(id, &v) : start_verify(id, &v);
	jobs_cancel(w.jobs, 3);
	jobs_cancel(w.jobs, 4);
	jobs_cancel(w.jobs, 60);
	wait_for(8);
	start_psk(11, &v);
	wait_for(9);
	assert_int_equal(w.status[11], ST_OK);
}

/* Reloaded in the middle: references of the store before find it, those of the one before that
 * find nothing, and never somebody else's entry. */
static void stores(void **state)
{
	struct version a = reload(), b, c;

	(void)state;
	start_verify(1, &a);
	start_sign(2, &a);
	b = reload();
	start_verify(3, &a);
	start_sign(4, &a);
	start_psk(5, &a);
	start_verify(6, &b);
	start_sign(7, &b);
	wait_for(7);
	c = reload();
	start_verify(8, &a);
	start_sign(9, &a);
	start_verify(10, &b);
	start_sign(11, &c);
	wait_for(11);
	for (size_t id = 1; id <= 11; id++) {
		bool verify = id == 1 || id == 3 || id == 6 || id == 10;
		enum status want = id == 8 || id == 9 ? ST_BUG : verify ? ST_REFUSE : ST_OK;

		if (w.status[id] != want)
			fail_msg("%zu: %s, %s", id, status_name(w.status[id]), w.reason[id]);
	}
}

/* The end in the middle of everything: nothing is delivered, nothing is lost. */
static void freed_at_work(void **state)
{
	struct version v = reload();

	(void)state;
	for (uint64_t id = 1; id <= 20; id++)
		id % 2 ? start_sign(id, &v) : start_verify(id, &v);
	jobs_free(w.jobs);
	w.jobs = NULL;
	assert_int_equal(w.n, 0);
}

#define WITH_JOBS(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_JOBS(every_kind),
		WITH_JOBS(cancelled),
		WITH_JOBS(stores),
		WITH_JOBS(freed_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
