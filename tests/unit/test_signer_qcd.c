/* The signer's tokens (RFC 6290): a secret that survives it, in a file that it did not open, and
 * nothing else to be had for it (S4). */
#include "unit/test_util.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/openssl/crypto_openssl.h"
#include "plat/clock.h"
#include "signer/internal.h"

static struct {
	char dir[64];
	char conf[96], file[96];
	struct signer *signer;
	struct crypto_openssl *crypto;
} w;

static int make_dir(void **state)
{
	FILE *f;

	(void)state;
	snprintf(w.dir, sizeof(w.dir), "/tmp/test_signer_qcd.XXXXXX");
	if (!mkdtemp(w.dir))
		return -1;
	snprintf(w.conf, sizeof(w.conf), "%s/warren.conf", w.dir);
	snprintf(w.file, sizeof(w.file), "%s/qcd.secret", w.dir);
	f = fopen(w.conf, "w");
	if (!f)
		return -1;
	fputs("peer \"b\" { address = \"192.0.2.2\"\nlocal_id = \"a\"\nremote_id = \"b\"\n"
	      "psk = \"correct horse\"\nlocal_ts = \"10.1.0.0/16\"\nremote_ts = \"10.2.0.0/16\" "
	      "}\n",
	      f);
	return fclose(f) || crypto_openssl_new(&w.crypto) != ST_OK;
}

static int remove_dir(void **state)
{
	(void)state;
	crypto_openssl_free(w.crypto);
	unlink(w.conf);
	return rmdir(w.dir);
}

static void load(void)
{
	struct signer_snapshot *snap;
	struct conf_errors errs;
	char buf[300];
	struct text why = TEXT_OF(buf);

	conf_errors_init(&errs, &mem_libc);
	if (signer_load(w.signer, w.conf, &errs, &why, &snap) != ST_OK)
		fail_msg("%s %s", buf, errs.head ? errs.head->text : "");
	conf_errors_done(&errs);
	signer_snapshot_free(snap);
	assert_int_equal(signer_commit(w.signer, &why), ST_OK);
}

static int start(void **state)
{
	char buf[300];
	struct text why = TEXT_OF(buf);

	(void)state;
	if (signer_fork(&why, &w.signer) != ST_OK)
		return -1;
	load();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	signer_free(w.signer);
	w.signer = NULL;
	unlink(w.file);
	return 0;
}

static void restart(void)
{
	signer_free(w.signer);
	w.signer = NULL;
	assert_int_equal(start(NULL), 0);
}

static enum status give(int fd, char *ret_why, size_t cap)
{
	struct text why = { ret_why, 0, cap };
	enum status st;

	ret_why[0] = '\0';
	assert_true(fd >= 0);
	st = signer_state(w.signer, fd, &why);
	close(fd);
	return st;
}

static void give_file(void)
{
	char why[300];

	if (give(open(w.file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), why, sizeof(why)) != ST_OK)
		fail_msg("%s", why);
	assert_string_equal(why, "");
}

struct got {
	size_t n;
	struct crypto_result r;
};

static void on_done(void *ctx, uint64_t id, const struct crypto_result *r)
{
	struct got *g = ctx;

	(void)id;
	g->n++;
	g->r = *r;
}

static void ask(uint64_t id, uint64_t spi_i, uint64_t spi_r)
{
	struct crypto_job *job;

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_QCD, &job), ST_OK);
	job->in.qcd = (struct crypto_qcd_in){ spi_i, spi_r };
	signer_job(w.signer, id, NULL, job);
}

static void pump(struct got *g, size_t n)
{
	while (g->n < n) {
		struct pollfd p = { .fd = signer_fd(w.signer), .events = POLLIN };
		char buf[300];
		struct text why = TEXT_OF(buf);

		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_int_equal(signer_pump(w.signer, &why), ST_OK);
	}
}

static struct crypto_result token(uint64_t spi_i, uint64_t spi_r)
{
	struct got g = { 0 };

	signer_on_done(w.signer, on_done, &g);
	ask(7, spi_i, spi_r);
	pump(&g, 1);
	signer_on_done(w.signer, NULL, NULL);
	assert_int_equal(g.r.kind, CRYPTO_JOB_QCD);
	return g.r;
}

static void same(const struct crypto_result *a, const struct crypto_result *b)
{
	assert_int_equal(a->status, ST_OK);
	assert_int_equal(b->status, ST_OK);
	assert_memory_equal(a->qcd, b->qcd, sizeof(a->qcd));
}

static void other(const struct crypto_result *a, const struct crypto_result *b)
{
	assert_int_equal(b->status, ST_OK);
	assert_memory_not_equal(a->qcd, b->qcd, sizeof(a->qcd));
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* Of the same SPIs the same, of others others; also after a crash, and after a reload. */
static void tokens(void **state)
{
	struct crypto_result a, b;

	(void)state;
	give_file();
	a = token(1, 2);
	b = token(1, 2);
	same(&a, &b);
	b = token(2, 1);
	other(&a, &b);
	b = token(1, 3);
	other(&a, &b);
	load();
	b = token(1, 2);
	same(&a, &b);
	assert_int_equal(kill(signer_pid(w.signer), SIGKILL), 0);
	restart();
	give_file();
	b = token(1, 2);
	same(&a, &b);
	/* Another gateway has another secret. */
	unlink(w.file);
	restart();
	give_file();
	b = token(1, 2);
	other(&a, &b);
}

/* As the file says, by somebody else's HMAC: prf(secret, SPIi | SPIr). */
static void by_the_file(void **state)
{
	static const char text[] =
		"warren-qcd-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	struct crypto c = crypto_openssl_ops(w.crypto);
	uint8_t secret[32], spis[16], want[CRYPTO_PRF_MAX];
	struct bytes part = BYTES_OF(spis);
	struct crypto_result r;
	int fd = open(w.file, O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	give_file();
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	store_be64(spis, 0x1122334455667788);
	store_be64(spis + 8, 0x99aabbccddeeff00);
	assert_int_equal(
		c.ops->prf(c.ctx, CRYPTO_PRF_HMAC_SHA2_256, BYTES_OF(secret), &part, 1, want),
		ST_OK);
	r = token(0x1122334455667788, 0x99aabbccddeeff00);
	assert_int_equal(r.status, ST_OK);
	assert_memory_equal(r.qcd, want, sizeof(r.qcd));
}

/* No file, no token. */
static void without(void **state)
{
	struct crypto_result r = token(1, 2);

	(void)state;
	assert_int_equal(r.status, ST_IO);
	assert_non_null(strstr(r.reason, "no secret"));
	for (size_t i = 0; i < sizeof(r.qcd); i++)
		assert_int_equal(r.qcd[i], 0);
	assert_int_equal(signer_counts(w.signer).unknown, 1);
}

/* ---- the file ------------------------------------------------------------------------------ */

/* What is not a secret of ours is left as it is, and used by nobody. */
static void malformed(void **state)
{
	static const char *const rows[] = {
		"x",
		"warren-qcd-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"warren-qcd-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\n",
		"warren-qcd-2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		"warren-qcd-1 000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		"warren-qcd-1 000102030405060708090g0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		"warren-qcd-1  00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		"\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		FILE *f = fopen(w.file, "w");
		struct stat sb;
		char why[300];

		assert_non_null(f);
		fputs(rows[i], f);
		fclose(f);
		assert_int_equal(give(open(w.file, O_RDWR), why, sizeof(why)), ST_INVAL);
		assert_non_null(strstr(why, "malformed"));
		assert_int_equal(stat(w.file, &sb), 0);
		assert_int_equal(sb.st_size, strlen(rows[i]));
		assert_int_equal(token(1, 2).status, ST_IO);
	}
	/* The next one that is good is taken. */
	unlink(w.file);
	give_file();
	assert_int_equal(token(1, 2).status, ST_OK);
}

/* Descriptors of other kinds, and of files that cannot be read or written to. */
static void useless(void **state)
{
	static const char full[] = "/dev/full";
	char why[300];

	(void)state;
	assert_int_equal(give(open(full, O_RDWR), why, sizeof(why)), ST_INVAL);
	assert_int_equal(give(open(w.dir, O_RDONLY), why, sizeof(why)), ST_INVAL);
	close(open(w.file, O_RDWR | O_CREAT, 0600));
	assert_int_equal(give(open(w.file, O_WRONLY), why, sizeof(why)), ST_IO);
	assert_int_equal(give(open(w.file, O_RDONLY), why, sizeof(why)), ST_IO);
	assert_non_null(strstr(why, "cannot be written"));
	assert_int_equal(token(1, 2).status, ST_IO);
}

/* ---- who has taken over the daemon ----------------------------------------------------------- */

/* The secret is what it was at the start: whoever comes later cannot give another one, one that he
 * knows. */
static void once(void **state)
{
	char why[300];

	(void)state;
	give_file();
	unlink(w.file);
	assert_int_equal(give(open(w.file, O_RDWR | O_CREAT, 0600), why, sizeof(why)), ST_IO);
}

/* Tokens of all SAs there could be are not to be had either: the burst, and on a machine that takes
 * its time what the rate gives meanwhile. */
static void rate(void **state)
{
	size_t sent = SIGNER_BURST + 2 * SIGNER_PER_S;
	mono_t began = plat_mono();
	struct got g = { 0 };
	struct signer_counts c;
	dur_t took;

	(void)state;
	give_file();
	signer_on_done(w.signer, on_done, &g);
	for (size_t i = 0; i < sent; i++)
		ask(i + 1, i, ~i);
	pump(&g, sent);
	took = mono_since(plat_mono(), began);
	c = signer_counts(w.signer);
	assert_int_equal(c.done + c.rate, sent);
	assert_true(c.done >= SIGNER_BURST);
	assert_true(c.done <=
		    SIGNER_BURST + 1 + (uint64_t)(took.ns / (dur_s(1).ns / SIGNER_PER_S)));
	signer_on_done(w.signer, NULL, NULL);
}

#define WITH_SIGNER(t) cmocka_unit_test_setup_teardown(t, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SIGNER(tokens),    WITH_SIGNER(by_the_file), WITH_SIGNER(without),
		WITH_SIGNER(malformed), WITH_SIGNER(useless),     WITH_SIGNER(once),
		WITH_SIGNER(rate),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
