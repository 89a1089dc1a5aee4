/*
 * The authority's directory: what it signs, what it refuses, what it revokes.
 */
#include "unit/test_pki_util.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <sys/wait.h>

/* ---- the directory ------------------------------------------------------------------------- */

static mode_t mode_of(const char *path)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	return sb.st_mode & 07777;
}

/* S4: the key is for its owner alone, whatever the umask. */
static void directory(void **state)
{
	mode_t before = umask(0);
	char *dir = new_ca("10.0.0.0/8,fd00::/8");
	struct pki_ca_plan plan = { .network = "other", .domain = blocks("192.168.0.0/16") };
	struct pki_ca *ca;

	(void)state;
	umask(before);
	assert_int_equal(mode_of(dir), 0700);
	assert_int_equal(mode_of(in(dir, "ca.key")), 0600);
	ca = open_ca(dir);
	assert_string_equal(pki_ca_about(ca)->network, "corp");
	assert_string_equal(blocks_str(&pki_ca_about(ca)->cert.blocks), "10.0.0.0/8, fd00::/8");
	assert_true(pki_ca_about(ca)->cert.ca);
	assert_true(pki_ca_about(ca)->cert.not_after.s == T0 + PKI_CA_DAYS * DAY);
	pki_ca_close(ca);

	assert_int_equal(pki_ca_create(dir, &plan, (wall_t){ T0 }, why()), ST_INVAL);
	assert_reason("not empty");
	ca = open_ca(dir);
	assert_string_equal(pki_ca_about(ca)->network, "corp");
	pki_ca_close(ca);
	drop_dir(dir);
}

static void bad_plans(void **state)
{
	const struct {
		struct pki_ca_plan plan;
		const char *reason;
	} row[] = {
		{ { .network = "", .domain = blocks("10.0.0.0/8") }, "name of a network" },
		{ { .network = "a b", .domain = blocks("10.0.0.0/8") }, "name of a network" },
		{ { .network = "-a", .domain = blocks("10.0.0.0/8") }, "name of a network" },
		{ { .network = "a/../b", .domain = blocks("10.0.0.0/8") }, "name of a network" },
		{ { .network = "abcdefghijklmnopabcdefghijklmnopq",
		    .domain = blocks("10.0.0.0/8") },
		  "name of a network" },
		{ { .network = "a" }, "domain" },
		{ { .network = "a", .domain = blocks("10.0.0.0/8"), .days = PKI_DAYS_MAX + 1 },
		  "days" },
		{ { .network = "a", .domain = blocks("10.0.0.0/8"), .key_type = "p521" },
		  "unknown type of key" },
	};
	char *parent = new_dir();
	char dir[64];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/ca", parent);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(pki_ca_create(dir, &row[i].plan, (wall_t){ T0 }, why()), ST_INVAL);
		assert_reason(row[i].reason);
		assert_int_not_equal(access(dir, F_OK), 0); /* nothing is left */
	}
	drop_dir(parent);
}

static void overwrite(const char *path, const char *data)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, strlen(data)), (ssize_t)strlen(data));
	close(fd);
}

static void broken_directory(void **state)
{
	char *dir = new_ca("10.0.0.0/8"), *other = new_ca("10.0.0.0/8");
	struct pki_ca *ca;

	(void)state;
	assert_int_equal(pki_ca_open("/nonexistent/ca", true, why(), &ca), ST_IO);
	assert_reason("/nonexistent/ca");
	assert_int_equal(rename(in(other, "ca.key"), in(dir, "ca.key")), 0);
	assert_int_equal(pki_ca_open(dir, true, why(), &ca), ST_INVAL);
	assert_reason("ca.key: not the key of ca.pem");
	/* Reading needs no key: `list` works without. */
	assert_int_equal(pki_ca_open(dir, false, why(), &ca), ST_OK);
	pki_ca_close(ca);
	overwrite(in(dir, "index"), "rubbish\n");
	assert_int_equal(pki_ca_open(dir, false, why(), &ca), ST_INVAL);
	assert_reason("index: not an index");
	unlink(in(dir, "index"));
	assert_int_equal(pki_ca_open(dir, false, why(), &ca), ST_IO);
	overwrite(in(dir, "ca.pem"), "rubbish\n");
	assert_int_equal(pki_ca_open(dir, false, why(), &ca), ST_INVAL);
	assert_reason("ca.pem: no PEM certificate");
	drop_dir(dir);
	drop_dir(other);
}

/* ---- issuing ------------------------------------------------------------------------------- */

static void issued(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant grant = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16") };
	struct pki_cert_info info;
	struct pki_delivery d;
	const struct pki_issued *row;
	size_t n;

	(void)state;
	assert_int_equal(sign(ca, "Site-B.example", &grant, T0, &d), ST_OK);
	assert_int_equal(pki_cert_read_pem(bytes_from(&d.cert), why(), &info), ST_OK);
	assert_string_equal(info.id.text, "site-b.example");
	assert_string_equal(info.serial, d.issued.serial);
	assert_string_equal(info.subject, "O=corp, CN=site-b.example");
	assert_string_equal(info.issuer, "O=corp, CN=corp CA");
	assert_string_equal(blocks_str(&info.blocks), "10.2.0.0/16");
	assert_false(info.ca);
	assert_true(info.not_before.s == T0 - CERT_SKEW);
	assert_true(info.not_after.s == T0 + PKI_SITE_DAYS * DAY);
	pki_ca_close(ca);

	/* It is in the index of whoever opens the directory next. */
	ca = open_ca(dir);
	row = pki_ca_issued(ca, &n);
	assert_int_equal(n, 1);
	assert_string_equal(row[0].serial, d.issued.serial);
	assert_string_equal(row[0].id.text, "site-b.example");
	assert_int_equal(row[0].n_prefixes, 1);
	pki_delivery_done(&d);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* S1: an authority gives away what is its own, to one site at a time. */
static void prefixes_of_others(void **state)
{
	char *dir = new_ca("10.0.0.0/8,fd00::/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant g = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16") };
	struct pki_grant inner = { .role = PKI_SITE, .blocks = blocks("10.2.9.0/24") };
	struct pki_grant outside = { .role = PKI_SITE, .blocks = blocks("10.3.0.0/16,11.0.0.0/8") };
	struct pki_grant wider = { .role = PKI_SITE, .blocks = blocks("fc00::/7") };
	struct pki_grant hub = { .role = PKI_HUB };
	size_t n;

	(void)state;
	assert_int_equal(sign_only(ca, "b.example", outside, T0), ST_INVAL);
	assert_reason("11.0.0.0/8 is not inside the network's domain, 10.0.0.0/8, fd00::/8");
	assert_int_equal(sign_only(ca, "b.example", wider, T0), ST_INVAL);
	assert_int_equal(sign_only(ca, "hub.example", hub, T0),
			 ST_OK); /* has everything, by role */
	assert_int_equal(sign_only(ca, "b.example", g, T0), ST_OK);
	assert_int_equal(sign_only(ca, "c.example", inner, T0), ST_INVAL);
	assert_reason("10.2.9.0/24 overlaps what was issued to b.example (10.2.0.0/16");
	pki_ca_issued(ca, &n);
	assert_int_equal(n, 2); /* a refusal leaves nothing */

	inner.overlap = true;
	assert_int_equal(sign_only(ca, "c.example", inner, T0), ST_OK);
	inner.overlap = false;
	/* The same identity is no conflict with itself, but c.example now is one. */
	g.renew = true;
	assert_int_equal(sign_only(ca, "b.example", g, T0), ST_INVAL);
	assert_reason("c.example");
	assert_int_equal(pki_ca_revoke(ca, "c.example", 0, (wall_t){ T0 }, why(), &n), ST_OK);
	assert_int_equal(n, 1);
	assert_int_equal(sign_only(ca, "b.example", g, T0), ST_OK);
	/* Expired ones claim nothing. */
	assert_int_equal(sign_only(ca, "d.example", g, T0 + PKI_SITE_DAYS * DAY), ST_INVAL);
	assert_int_equal(sign_only(ca, "d.example", g, T0 + PKI_SITE_DAYS * DAY + 1), ST_OK);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* An endpoint has an identity and no prefix, whoever asks for one; its certificate is valid below
 * an authority that has them. */
static void endpoints(void **state)
{
	char *dir = new_ca("10.0.0.0/8,fd00::/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant g = { .role = PKI_ENDPOINT, .blocks = blocks("10.2.0.0/16") };
	const struct pki_issued *row;
	size_t n;

	(void)state;
	assert_int_equal(sign_only(ca, "laptop.example", g, T0), ST_INVAL);
	assert_reason("an endpoint has no prefixes: its hub gives it an address");
	g.blocks.n = 0;
	g.as_requested = true;
	assert_int_equal(sign_only(ca, "laptop.example", g, T0), ST_INVAL);
	assert_reason("an endpoint has no prefixes");
	g.as_requested = false;
	assert_int_equal(sign_only(ca, "laptop.example", g, T0), ST_OK);
	assert_int_equal(sign_only(ca, "phone.example", g, T0), ST_OK);
	pki_ca_close(ca);
	ca = open_ca(dir); /* what was written is read */
	row = pki_ca_issued(ca, &n);
	assert_int_equal(n, 2);
	assert_int_equal(row[1].role, PKI_ENDPOINT);
	assert_int_equal(row[1].n_prefixes, 0);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* R05: a request that names somebody else is not signed by accident. */
static void identities_of_others(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant g = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16") };
	struct pki_id other = ident("c.example");
	struct pki_key *key = new_key();
	struct pki_blob req = request(key, "b.example", "10.2.0.0/16");
	struct pki_delivery d;

	(void)state;
	g.id = &other;
	assert_int_equal(pki_ca_sign(ca, bytes_from(&req), &g, (wall_t){ T0 }, why(), &d),
			 ST_INVAL);
	assert_reason("the request is for b.example, not for c.example");
	g.id = NULL;
	for (int i = 0; i < 2; i++) { /* the same key again: a renewal */
		assert_int_equal(pki_ca_sign(ca, bytes_from(&req), &g, (wall_t){ T0 }, why(), &d),
				 ST_OK);
		pki_delivery_done(&d);
	}
	assert_int_equal(sign_only(ca, "B.example", g, T0), ST_INVAL);
	assert_reason("another key has a certificate for b.example");
	g.renew = true;
	assert_int_equal(sign_only(ca, "B.example", g, T0), ST_OK);
	/* The authority's own key certifies nobody else. */
	pki_blob_done(&req);
	req = request(ca->key, "e.example", "");
	assert_int_equal(pki_ca_sign(ca, bytes_from(&req), &g, (wall_t){ T0 }, why(), &d),
			 ST_INVAL);
	assert_reason("authority's own key");
	pki_blob_done(&req);
	pki_key_free(key);
	pki_ca_close(ca);
	drop_dir(dir);
}

static void what_a_site_wishes(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_key *key = new_key();
	struct pki_blob req = request(key, "b.example", "10.7.0.0/16");
	struct pki_blob greedy = request(key, "b.example", "0.0.0.0/0");
	struct pki_grant g = { .role = PKI_SITE };
	struct pki_delivery d;

	(void)state;
	assert_int_equal(pki_ca_sign(ca, bytes_from(&req), &g, (wall_t){ T0 }, why(), &d),
			 ST_INVAL);
	assert_reason("b.example asks for 10.7.0.0/16; grant that with --as-requested");
	assert_int_equal(sign_only(ca, "x.example", g, T0), ST_INVAL);
	assert_reason("no prefixes");
	g.as_requested = true;
	assert_int_equal(pki_ca_sign(ca, bytes_from(&greedy), &g, (wall_t){ T0 }, why(), &d),
			 ST_INVAL);
	assert_reason("0.0.0.0/0 is not inside");
	assert_int_equal(sign_only(ca, "x.example", g, T0), ST_INVAL); /* asks for nothing */
	assert_int_equal(pki_ca_sign(ca, bytes_from(&req), &g, (wall_t){ T0 }, why(), &d), ST_OK);
	assert_int_equal(d.issued.n_prefixes, 1);
	assert_int_equal(d.issued.prefixes[0].ip.b[1], 7);
	pki_delivery_done(&d);
	pki_blob_done(&req);
	pki_blob_done(&greedy);
	pki_key_free(key);
	pki_ca_close(ca);
	drop_dir(dir);
}

static void hubs_of_a_site(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant hub = { .role = PKI_HUB, .renew = true };
	struct pki_grant site = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16") };
	struct pki_hubs own = { 0 };
	struct pki_delivery d;
	size_t n;

	(void)state;
	assert_int_equal(sign_only(ca, "u@hub.example", hub, T0), ST_INVAL);
	assert_reason("cannot be a hub");
	assert_int_equal(sign_only(ca, "hub1.example", hub, T0), ST_OK);
	assert_int_equal(sign_only(ca, "hub1.example", hub, T0), ST_OK); /* renewed: named once */
	assert_int_equal(sign(ca, "192.0.2.2", &hub, T0, &d), ST_OK);
	assert_int_equal(d.hubs.n, 1); /* of a hub: the others */
	assert_int_equal(d.issued.n_prefixes, 1);
	assert_int_equal(d.issued.prefixes[0].len, 8); /* the whole domain */
	pki_delivery_done(&d);
	assert_int_equal(sign(ca, "b.example", &site, T0, &d), ST_OK);
	assert_int_equal(d.hubs.n, 2);
	assert_string_equal(d.hubs.name[0], "hub1.example");
	assert_string_equal(d.hubs.name[1], "192.0.2.2");
	pki_delivery_done(&d);

	assert_int_equal(pki_ca_revoke(ca, "hub1.example", 0, (wall_t){ T0 }, why(), &n), ST_OK);
	assert_int_equal(n, 2);
	site.renew = true;
	assert_int_equal(sign(ca, "b.example", &site, T0, &d), ST_OK);
	assert_int_equal(d.hubs.n, 1);
	pki_delivery_done(&d);
	assert_int_equal(pki_hubs_add(&own, "far.example", why()), ST_OK);
	site.hubs = &own;
	assert_int_equal(sign(ca, "b.example", &site, T0, &d), ST_OK);
	assert_int_equal(d.hubs.n, 1);
	assert_string_equal(d.hubs.name[0], "far.example");
	pki_delivery_done(&d);
	pki_ca_close(ca);
	drop_dir(dir);
}

static void dates(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant g = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16"), .renew = true };
	int64_t end = T0 + PKI_CA_DAYS * DAY;
	struct pki_delivery d;

	(void)state;
	/* A clock that is wrong is said to be. */
	assert_int_equal(sign_only(ca, "b.example", g, 1000), ST_INVAL);
	assert_reason("clock says 1970-01-01");
	assert_int_equal(sign_only(ca, "b.example", g, end), ST_INVAL);
	assert_reason("clock says 2035-06-13");
	/* Nothing outlives the authority. */
	assert_int_equal(sign(ca, "b.example", &g, end - DAY, &d), ST_OK);
	assert_true(d.issued.not_after.s == end);
	pki_delivery_done(&d);
	g.days = 2;
	assert_int_equal(sign_only(ca, "b.example", g, end - DAY), ST_INVAL);
	assert_reason("2 days go beyond");
	g.days = 1;
	assert_int_equal(sign_only(ca, "b.example", g, end - DAY), ST_OK);
	/* Not before the authority itself, in its first hour. */
	assert_int_equal(sign(ca, "b.example", &g, T0 - CERT_SKEW + 1, &d), ST_OK);
	assert_true(d.issued.not_before.s == T0 - CERT_SKEW);
	pki_delivery_done(&d);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* Years from 2050 are written in another type (RFC 5280 section 4.1.2.5). */
static void far_dates(void **state)
{
	char *dir = new_dir();
	struct pki_ca_plan plan = { .network = "corp",
				    .domain = blocks("10.0.0.0/8"),
				    .days = PKI_DAYS_MAX };
	struct pki_grant g = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16"), .days = 36000 };
	struct pki_delivery d;
	struct pki_ca *ca;

	(void)state;
	assert_int_equal(pki_ca_create(dir, &plan, (wall_t){ T0 }, why()), ST_OK);
	ca = open_ca(dir);
	assert_int_equal(sign(ca, "b.example", &g, T0, &d), ST_OK);
	assert_true(d.issued.not_after.s == T0 + 36000 * DAY);
	pki_delivery_done(&d);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* Four signers at once: the lock makes them one after the other, and no line is lost. */
static void signers_at_once(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca;
	size_t n;

	(void)state;
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct pki_grant g = { .role = PKI_SITE,
					       .blocks = blocks("10.2.0.0/16"),
					       .renew = true };
			enum status st = ST_OK;

			for (int k = 0; st == ST_OK && k < 5; k++) {
				ca = open_ca(dir);
				st = sign_only(ca, "b.example", g, T0);
				pki_ca_close(ca);
			}
			_exit(st == ST_OK ? 0 : 1);
		}
	}
	for (int i = 0; i < 4; i++) {
		int code;

		assert_true(wait(&code) > 0);
		assert_int_equal(code, 0);
	}
	ca = open_ca(dir);
	pki_ca_issued(ca, &n);
	assert_int_equal(n, 20);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* ---- revoking ------------------------------------------------------------------------------ */

static X509_CRL *read_crl(const char *dir)
{
	FILE *f = fopen(in(dir, "crl.pem"), "r");
	X509_CRL *crl = f ? PEM_read_X509_CRL(f, NULL, NULL, NULL) : NULL;

	assert_non_null(crl);
	fclose(f);
	return crl;
}

static void assert_crl(struct pki_ca *ca, const char *dir, int revoked, long number)
{
	X509_CRL *crl = read_crl(dir);
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);

	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(ca->cert)), 1);
	assert_int_equal(ASN1_INTEGER_get(n), number);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), revoked ? revoked : -1);
	ASN1_INTEGER_free(n);
	X509_CRL_free(crl);
}

static void revoking(void **state)
{
	char *dir = new_ca("10.0.0.0/8");
	struct pki_ca *ca = open_ca(dir);
	struct pki_grant b = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16"), .renew = true };
	struct pki_grant c = { .role = PKI_SITE, .blocks = blocks("10.3.0.0/16") };
	struct pki_delivery d;
	char serial[64];
	struct text t;
	size_t n = 0;

	(void)state;
	assert_int_equal(pki_ca_write_crl(ca, 0, (wall_t){ T0 }, why()), ST_OK);
	assert_crl(ca, dir, 0, 1);
	assert_int_equal(sign_only(ca, "b.example", b, T0), ST_OK);
	assert_int_equal(sign_only(ca, "b.example", b, T0), ST_OK);
	assert_int_equal(sign(ca, "c.example", &c, T0, &d), ST_OK);
	/* By serial number, as openssl(1) prints it. */
	t = TEXT_OF(serial);
	text_fmt(&t, "%.2s:%s", d.issued.serial, d.issued.serial + 2);
	for (char *p = serial; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'f' ? *p - 'a' + 'A' : *p);
	pki_delivery_done(&d);
	assert_int_equal(pki_ca_revoke(ca, serial, 0, (wall_t){ T0 + 1 }, why(), &n), ST_OK);
	assert_int_equal(n, 1);
	assert_crl(ca, dir, 1, 2);
	/* By identity: all of them. */
	assert_int_equal(pki_ca_revoke(ca, "B.EXAMPLE", 7, (wall_t){ T0 + 2 }, why(), &n), ST_OK);
	assert_int_equal(n, 2);
	assert_crl(ca, dir, 3, 3);
	assert_int_equal(pki_ca_revoke(ca, "b.example", 0, (wall_t){ T0 }, why(), &n), ST_INVAL);
	assert_reason("revoked already");
	assert_int_equal(pki_ca_revoke(ca, "x.example", 0, (wall_t){ T0 }, why(), &n), ST_INVAL);
	assert_reason("neither an identity nor a serial number");
	assert_crl(ca, dir, 3, 3);
	pki_ca_close(ca);
	ca = open_ca(dir);
	assert_true(pki_ca_issued(ca, &n)[2].revoked.s == T0 + 1);
	pki_ca_close(ca);
	drop_dir(dir);
}

/* ---- files --------------------------------------------------------------------------------- */

static void files(void **state)
{
	char *dir = new_dir();
	const char *path = in(dir, "file");
	struct pki_out out = PKI_OUT_NONE;
	struct pki_blob b;

	(void)state;
	assert_int_equal(pki_out_open(path, PKI_OUT_SECRET, why(), &out), ST_OK);
	pki_out_abort(&out);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(pki_out_open(path, PKI_OUT_SECRET, why(), &out), ST_OK);
	assert_int_equal(pki_out_commit(&out, bytes_str("one"), why()), ST_OK);
	pki_out_abort(&out); /* too late to do anything */
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(pki_out_open(path, PKI_OUT_NEW, why(), &out), ST_INVAL);
	assert_reason("exists already");
	assert_int_equal(pki_out_open(path, PKI_OUT_REPLACE, why(), &out), ST_OK);
	pki_out_abort(&out);
	assert_int_equal(pki_file_read(path, 3, why(), &b), ST_OK);
	assert_int_equal(b.n, 3);
	assert_memory_equal(b.p, "one", 3);
	pki_blob_done(&b);
	assert_int_equal(pki_file_read(path, 2, why(), &b), ST_INVAL);
	assert_int_equal(pki_out_open(path, PKI_OUT_REPLACE, why(), &out), ST_OK);
	assert_int_equal(pki_out_commit(&out, bytes_str("two"), why()), ST_OK);
	assert_int_equal(pki_file_read(path, 100, why(), &b), ST_OK);
	assert_memory_equal(b.p, "two", 3);
	pki_blob_done(&b);
	assert_int_equal(pki_file_read(dir, 100, why(), &b), ST_INVAL);
	assert_reason("not a regular file");
	drop_dir(dir); /* with nothing else in it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directory),
		cmocka_unit_test(bad_plans),
		cmocka_unit_test(broken_directory),
		cmocka_unit_test(issued),
		cmocka_unit_test(prefixes_of_others),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(identities_of_others),
		cmocka_unit_test(what_a_site_wishes),
		cmocka_unit_test(hubs_of_a_site),
		cmocka_unit_test(dates),
		cmocka_unit_test(far_dates),
		cmocka_unit_test(signers_at_once),
		cmocka_unit_test(revoking),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
