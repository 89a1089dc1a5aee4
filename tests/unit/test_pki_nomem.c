/*
 * Every allocation of libcrypto refused in turn: nothing that is wrong passes because a check ran
 * out of memory (S2), nothing half made is delivered, and the index never has what was not.
 */
#include "unit/test_pki_util.h"

#include "unit/failing_libcrypto.h"

/* There are thousands of them, most in arithmetic that runs again and again. */
static long next_one(long at)
{
	return at < 100 ? at + 1 : at + 7;
}

/* Runs `once` with the n-th allocation failing, for one n after the other.  It returns its status
 * after it looked at what it got; a failure has a reason, or is ST_NOMEM. */
static void run_failing(enum status (*once)(void *arg), void *arg, enum status want)
{
	size_t failures = 0, refused = 0;

	assert_int_equal(once(arg), want);
	for (long at = 0;; at = next_one(at)) {
		enum status st;
		bool over;

		reason[0] = '\0';
		left = at;
		st = once(arg);
		over = left >= 0;
		left = -1;
		if (over) {
			assert_int_equal(st, want);
			break;
		}
		failures++;
		refused += st != want;
		/* libcrypto does without some allocations; nothing passes that would not anyway. */
		assert_true(st != ST_OK || want == ST_OK);
		if (!(st == ST_OK || st == ST_NOMEM || strlen(reason) > 0))
			fail_msg("allocation %ld: %s", at, status_name(st));
	}
	assert_true(failures > 0);
	if (want == ST_OK)
		assert_true(refused > 0);
}

static enum status read_bundle(void *arg)
{
	const struct pki_blob *text = arg;
	struct now now = { .wall = { T0 }, .wall_ok = true };
	struct pki_bundle *b = NULL;
	enum status st = pki_bundle_read(bytes_from(text), &now, why(), &b);

	assert_true((st == ST_OK) == (b != NULL));
	if (st == ST_OK)
		assert_string_equal(b->manifest.id.text, "b.example");
	pki_bundle_free(b);
	return st;
}

/* What an authority signed that was not its own to give. */
static struct pki_blob outside(struct pki_ca *ca)
{
	struct pki_key *key = new_key();
	struct pki_id id = ident("b.example");
	struct pki_blocks own = blocks("11.0.0.0/8");
	struct pki_manifest m = { .network = "corp",
				  .role = PKI_SITE,
				  .id = id,
				  .serial = { 0x41 },
				  .serial_len = 1,
				  .not_before = { T0 },
				  .not_after = { T0 + DAY } };
	struct cert_plan p = { .organisation = "corp",
			       .common_name = "b.example",
			       .id = &id,
			       .blocks = &own,
			       .serial = bytes_of(m.serial, 1),
			       .not_before = { T0 },
			       .not_after = { T0 + DAY },
			       .key = key->pkey,
			       .issuer = ca->cert,
			       .issuer_key = ca->key->pkey };
	struct pki_blob text;
	X509 *cert;

	m.n_domain = pki_blocks_prefixes(&ca->info.cert.blocks, m.domain, PKI_BLOCKS_MAX);
	assert_int_equal(cert_make(&p, why(), &cert), ST_OK);
	assert_int_equal(bundle_make(&m, cert, ca->cert, ca->key->pkey, why(), &text), ST_OK);
	X509_free(cert);
	pki_key_free(key);
	return text;
}

static void bundles(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_blob good = site_bundle(ca, "b.example", "10.2.0.0/16"), bad = outside(ca);

	(void)state;
	run_failing(read_bundle, &good, ST_OK);
	run_failing(read_bundle, &bad, ST_INVAL);
	pki_blob_done(&good);
	pki_blob_done(&bad);
	pki_ca_close(ca);
	drop_dir(dir);
}

struct signing {
	struct pki_ca *ca;
	struct pki_blob request;
};

static enum status sign_one(void *arg)
{
	struct signing *s = arg;
	struct pki_grant grant = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16") };
	struct pki_delivery d;
	size_t before = s->ca->index.n;
	enum status st =
		pki_ca_sign(s->ca, bytes_from(&s->request), &grant, (wall_t){ T0 }, why(), &d);

	assert_int_equal(s->ca->index.n, before + (st == ST_OK));
	if (st == ST_OK)
		pki_delivery_done(&d);
	return st;
}

static void signing(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_key *key = new_key();
	struct signing s = { open_ca(dir), request(key, "b.example", "") };

	(void)state;
	run_failing(sign_one, &s, ST_OK);
	pki_blob_done(&s.request);
	pki_key_free(key);
	pki_ca_close(s.ca);
	drop_dir(dir);
}

static enum status write_crl(void *arg)
{
	return pki_ca_write_crl(arg, 0, (wall_t){ T0 }, why());
}

static void revocation_lists(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_blob text = site_bundle(ca, "b.example", "10.2.0.0/16");
	size_t n;

	(void)state;
	assert_int_equal(pki_ca_revoke(ca, "b.example", 0, (wall_t){ T0 }, why(), &n), ST_OK);
	run_failing(write_crl, ca, ST_OK);
	pki_blob_done(&text);
	pki_ca_close(ca);
	drop_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bundles),
		cmocka_unit_test(signing),
		cmocka_unit_test(revocation_lists),
	};

	/* Before libcrypto allocates anything. */
	if (!failing_libcrypto())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
