/*
 * Bundles: whole ones are read, and whatever is cut, changed or mixed is refused with a reason that
 * names it.
 */
#include "unit/test_pki_util.h"

#include "unit/hex.h"

static const struct now at_t0 = { .wall = { T0 }, .wall_ok = true };

/* ST_OK and no value kept, or the refusal. */
static enum status read_text(struct bytes text, const struct now *now)
{
	struct pki_bundle *b = NULL;
	enum status st = pki_bundle_read(text, now, why(), &b);

	assert_true((st == ST_OK) == (b != NULL));
	pki_bundle_free(b);
	return st;
}

static void assert_refused(struct bytes text, const char *part)
{
	assert_int_equal(read_text(text, &at_t0), ST_INVAL);
	assert_reason(part);
}

/* An authority, open, for one test. */
struct world {
	char *dir;
	struct pki_ca *ca;
};

static struct world begin(const char *domain)
{
	struct world w = { new_ca(domain), NULL };

	w.ca = open_ca(w.dir);
	return w;
}

static void end(struct world *w)
{
	pki_ca_close(w->ca);
	drop_dir(w->dir);
}

/* ---- whole ones ---------------------------------------------------------------------------- */

static void whole(void **state)
{
	struct world w = begin("10.0.0.0/8,fd00::/8");
	struct pki_grant hub = { .role = PKI_HUB };
	struct pki_blob text;
	struct pki_bundle *b;
	struct pki_cert_info info;

	(void)state;
	assert_int_equal(sign_only(w.ca, "hub1.example.net", hub, T0), ST_OK);
	text = site_bundle(w.ca, "site-b.example", "10.2.0.0/16,10.3.0.0/16,fd00:2::/32");
	assert_int_equal(pki_bundle_read(bytes_from(&text), &at_t0, why(), &b), ST_OK);
	assert_string_equal(b->manifest.network, "corp");
	assert_int_equal(b->manifest.role, PKI_SITE);
	assert_string_equal(b->manifest.id.text, "site-b.example");
	assert_int_equal(b->manifest.n_domain, 2);
	assert_int_equal(b->manifest.hubs.n, 1);
	assert_string_equal(b->manifest.hubs.name[0], "hub1.example.net");
	assert_string_equal(blocks_str(&b->blocks), "10.2.0.0/15, fd00:2::/32");
	assert_true(b->not_before.s == T0 - CERT_SKEW);
	assert_true(b->not_after.s == T0 + PKI_SITE_DAYS * DAY);
	assert_int_equal(pki_cert_read_der(b->cert, why(), &info), ST_OK);
	assert_string_equal(info.id.text, "site-b.example");
	assert_int_equal(pki_cert_read_der(b->anchor, why(), &info), ST_OK);
	assert_true(info.ca);
	pki_bundle_free(b);
	/* There is nothing secret in it. */
	assert_null(memmem(text.p, text.n, "PRIVATE", 7));
	pki_blob_done(&text);
	end(&w);
}

/* S3: a domain that is everything. */
static void whole_internet(void **state)
{
	struct world w = begin("0.0.0.0/0,::/0");
	struct pki_blob text = site_bundle(w.ca, "a.example", "10.0.0.0/8,2001:db8::/32");
	struct pki_bundle *b;

	(void)state;
	assert_int_equal(pki_bundle_read(bytes_from(&text), &at_t0, why(), &b), ST_OK);
	assert_int_equal(b->manifest.n_domain, 2);
	assert_int_equal(b->manifest.domain[0].len, 0);
	assert_int_equal(b->manifest.domain[0].ip.family, 4);
	assert_int_equal(b->manifest.domain[1].ip.family, 6);
	pki_bundle_free(b);
	pki_blob_done(&text);
	end(&w);
}

/* As much of everything as fits. */
static void largest(void **state)
{
	struct pki_hubs hubs = { 0 };
	struct pki_grant g = { .role = PKI_SITE, .hubs = &hubs };
	char list[4096];
	struct text t = TEXT_OF(list);
	struct pki_delivery d;
	struct pki_bundle *b;
	struct world w;

	(void)state;
	for (int i = 0; i < PKI_BLOCKS_MAX; i++)
		text_fmt(&t, "%s2001:db8:%x::/48", i ? "," : "", 2 * i);
	for (int i = 0; i < PKI_HUBS_MAX; i++) {
		char name[PKI_HOST_MAX + 1];
		struct text n = TEXT_OF(name);

		for (int k = 0; k < 4; k++)
			text_fmt(&n, "%sh%059d%02d", k ? "." : "", 0, i); /* 62 */
		text_add(&n, "x");
		assert_int_equal(pki_hubs_add(&hubs, name, why()), ST_OK);
	}
	w = begin(list);
	g.blocks = blocks(list);
	assert_int_equal(sign(w.ca, "a.example", &g, T0, &d), ST_OK);
	assert_int_equal(pki_bundle_read(bytes_from(&d.bundle), &at_t0, why(), &b), ST_OK);
	assert_int_equal(b->manifest.n_domain, PKI_BLOCKS_MAX);
	assert_int_equal(b->manifest.hubs.n, PKI_HUBS_MAX);
	assert_memory_equal(&b->manifest.hubs, &hubs, sizeof(hubs));
	pki_bundle_free(b);
	pki_delivery_done(&d);
	end(&w);
}

/* ---- cut and changed ----------------------------------------------------------------------- */

/* S2: cut at every byte.  What is left always says where it ends. */
static void truncated(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = site_bundle(w.ca, "site-b.example", "10.2.0.0/16");

	(void)state;
	for (size_t n = 0; n < text.n; n++) {
		/* An exact copy, so that the address sanitizer sees a read past the end. */
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, text.p, n);
		assert_int_equal(read_text(bytes_of(copy, n), &at_t0), ST_INVAL);
		if (n > strlen("warren-bundle 1\n"))
			assert_reason("the text ends");
		else
			assert_reason(n == strlen("warren-bundle 1\n") ? "the text ends"
								       : "not a bundle");
		free(copy);
	}
	pki_blob_done(&text);
	end(&w);
}

/* S2: every byte changed, one bit of it and all of them. */
static void flipped(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = site_bundle(w.ca, "site-b.example", "10.2.0.0/16");

	(void)state;
	for (size_t i = 0; i < text.n; i++) {
		static const uint8_t masks[] = { 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x80, 0xff };

		for (size_t k = 0; k < ARRAY_LEN(masks); k++) {
			text.p[i] ^= masks[k];
			if (read_text(bytes_from(&text), &at_t0) != ST_INVAL)
				fail_msg("byte %zu with %02x", i, masks[k]);
			assert_true(strlen(reason) > 10);
			text.p[i] ^= masks[k];
		}
	}
	assert_int_equal(read_text(bytes_from(&text), &at_t0), ST_OK);
	pki_blob_done(&text);
	end(&w);
}

/* `text` with everything from `from` for `n` bytes replaced. */
static struct pki_blob spliced(struct bytes text, size_t from, size_t n, const char *put)
{
	size_t m = strlen(put);
	struct pki_blob out = { malloc(text.n - n + m), text.n - n + m };

	memcpy(out.p, text.p, from);
	memcpy(out.p + from, put, m);
	memcpy(out.p + from + m, text.p + from + n, text.n - from - n);
	return out;
}

static size_t position(struct bytes text, const char *what)
{
	const uint8_t *p = memmem(text.p, text.n, what, strlen(what));

	assert_non_null(p);
	return (size_t)(p - text.p);
}

#define MANIFEST_BEGIN "-----BEGIN WARREN MANIFEST-----\n"

static void edited(void **state)
{
	static const struct {
		const char *at; /* before this; NULL: at the end */
		size_t remove;
		const char *put, *reason;
	} row[] = {
		{ "warren-bundle", 0, "\n", "not a bundle" },
		{ "warren-bundle", 0, " ", "not a bundle" },
		{ "1\n", 1, "2", "bundle of version \"2\"; this warren reads version 1" },
		{ "1\n", 1, "\x1b[2J", "bundle of version \"\\x1b[2J\"" },
		{ "-----BEGIN", 0, "a friendly word\n", "line 2: the certificate should begin" },
		{ "-----BEGIN", 0, "\n", "line 2: the certificate should begin" },
		{ MANIFEST_BEGIN, 0, "\n", "the manifest should begin here, found \"\"" },
		{ MANIFEST_BEGIN, 31, "-----BEGIN CERTIFICATE-----", "the manifest should begin" },
		{ NULL, 0, "\n", "1 bytes follow the manifest" },
		{ NULL, 0, "-----BEGIN CERTIFICATE-----\n", "bytes follow the manifest" },
		{ "-----END CERT", 0, "\n", "not the base64 of the certificate" },
		{ "-----END WARREN", 0, "*\n", "not the base64 of the manifest" },
		/* More of it: no base64, or bytes too many, as the length of the signature has it.
		 */
		{ "-----END CERT", 0, "AAAA\n", "certificate" },
		{ "-----END WARREN", 0, "AAAA\n", "manifest" },
		{ "-----END CERT", 1, "", "not the base64 of the certificate" },
	};
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = site_bundle(w.ca, "site-b.example", "10.2.0.0/16");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		size_t at = row[i].at ? position(bytes_from(&text), row[i].at) : text.n;
		struct pki_blob bad = spliced(bytes_from(&text), at, row[i].remove, row[i].put);

		assert_refused(bytes_from(&bad), row[i].reason);
		pki_blob_done(&bad);
	}
	pki_blob_done(&text);
	end(&w);
}

static void other_files(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob pem, big = { calloc(1, PKI_FILE_MAX + 1), PKI_FILE_MAX + 1 };

	(void)state;
	assert_refused(bytes_of(NULL, 0), "not a bundle");
	assert_refused(bytes_str("\n"), "not a bundle");
	assert_refused(bytes_str("warren-bundle 1\n"), "the text ends where the certificate");
	assert_refused(bytes_from(&big), "larger than 64 KiB");
	assert_int_equal(pki_file_read(in(w.dir, "ca.pem"), PKI_FILE_MAX, why(), &pem), ST_OK);
	assert_refused(bytes_from(&pem), "not a bundle");
	pki_blob_done(&pem);
	pki_blob_done(&big);
	end(&w);
}

/* Mail and other systems end lines in their own way; nothing else may change. */
static void crlf(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = site_bundle(w.ca, "site-b.example", "10.2.0.0/16");
	struct pki_blob dos = { malloc(2 * text.n), 0 };

	(void)state;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			dos.p[dos.n++] = '\r';
		dos.p[dos.n++] = text.p[i];
	}
	assert_int_equal(read_text(bytes_from(&dos), &at_t0), ST_OK);
	pki_blob_done(&text);
	pki_blob_done(&dos);
	end(&w);
}

/* ---- parts of two -------------------------------------------------------------------------- */

/* Part 0: the certificate, 1: the anchor, 2: the manifest. */
static struct bytes part_of(struct bytes text, int part)
{
	struct bytes rest = text, head = bytes_str("-----BEGIN ");

	for (int i = 0;; i++) {
		const uint8_t *from = memmem(rest.p, rest.n, head.p, head.n), *to;

		assert_non_null(from);
		rest = bytes_of(from + 1, rest.n - (size_t)(from + 1 - rest.p));
		to = memmem(rest.p, rest.n, head.p, head.n);
		if (i == part)
			return bytes_of(from, to ? (size_t)(to - from)
						 : (size_t)(text.p + text.n - from));
	}
}

static struct pki_blob mixed(const struct bytes from[3])
{
	struct pki_blob out = { malloc(PKI_FILE_MAX), 0 };
	struct wr w = wr_of(out.p, PKI_FILE_MAX);

	wr_put(&w, bytes_str("warren-bundle 1\n"));
	for (int i = 0; i < 3; i++)
		wr_put(&w, part_of(from[i], i));
	out.n = wr_len(&w);
	return out;
}

/* All combinations of parts of three bundles: two of one authority, one of another with the same
 * name.  Only those whose parts belong together are accepted. */
static void parts_of_several(void **state)
{
	struct world w = begin("10.0.0.0/8"), w2 = begin("10.0.0.0/8");
	struct pki_blob text[3] = { site_bundle(w.ca, "b.example", "10.2.0.0/16"),
				    site_bundle(w.ca, "c.example", "10.3.0.0/16"),
				    site_bundle(w2.ca, "b.example", "10.2.0.0/16") };

	(void)state;
	for (int i = 0; i < 27; i++) {
		int p[3] = { i % 3, i / 3 % 3, i / 9 };
		struct bytes from[3];
		bool one = p[0] == p[2] && (p[1] == 2) == (p[0] == 2);
		struct pki_blob mix;

		for (int k = 0; k < 3; k++)
			from[k] = bytes_from(&text[p[k]]);
		mix = mixed(from);
		assert_int_equal(read_text(bytes_from(&mix), &at_t0), one ? ST_OK : ST_INVAL);
		if (p[0] == 1 && p[1] == 0 && p[2] == 0)
			assert_reason("parts of two bundles: the certificate is for c.example, the "
				      "manifest for b.example");
		else if (p[0] == 2 && p[1] == 0 && p[2] == 0)
			assert_reason("the certificate \"O=corp, CN=b.example\" is edited");
		else if (p[0] == 0 && p[1] == 2 && p[2] == 0)
			assert_reason("the trust anchor \"O=corp, CN=corp CA\" signed neither");
		else if (p[0] == 0 && p[1] == 0 && p[2] == 2)
			assert_reason("the manifest is edited");
		pki_blob_done(&mix);
	}
	for (int i = 0; i < 3; i++)
		pki_blob_done(&text[i]);
	end(&w);
	end(&w2);
}

/* The old certificate of a renewed site with the new manifest. */
static void parts_of_a_renewal(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_grant g = { .role = PKI_SITE, .blocks = blocks("10.2.0.0/16"), .renew = true };
	struct pki_blob old = site_bundle(w.ca, "b.example", "10.2.0.0/16"), mix;
	struct pki_delivery d;

	(void)state;
	assert_int_equal(sign(w.ca, "b.example", &g, T0, &d), ST_OK);
	mix = mixed((struct bytes[3]){ bytes_from(&old), bytes_from(&d.bundle),
				       bytes_from(&d.bundle) });
	assert_refused(bytes_from(&mix), "parts of two bundles: the certificate has the serial");
	pki_blob_done(&mix);
	pki_blob_done(&old);
	pki_delivery_done(&d);
	end(&w);
}

static void other_network(void **state)
{
	struct world w = begin("10.0.0.0/8");
	char *dir = new_dir();
	struct pki_ca_plan plan = { .network = "rival", .domain = blocks("10.0.0.0/8") };
	struct pki_blob ours = site_bundle(w.ca, "b.example", "10.2.0.0/16"), theirs, mix;
	struct pki_ca *ca;

	(void)state;
	assert_int_equal(pki_ca_create(dir, &plan, (wall_t){ T0 }, why()), ST_OK);
	ca = open_ca(dir);
	theirs = site_bundle(ca, "b.example", "10.2.0.0/16");
	mix = mixed((struct bytes[3]){ bytes_from(&theirs), bytes_from(&ours), bytes_from(&ours) });
	assert_refused(bytes_from(&mix), "was issued by \"O=rival, CN=rival CA\", not by the trust "
					 "anchor \"O=corp, CN=corp CA\"");
	pki_blob_done(&mix);
	pki_blob_done(&ours);
	pki_blob_done(&theirs);
	pki_ca_close(ca);
	drop_dir(dir);
	end(&w);
}

/* ---- signed, and still wrong --------------------------------------------------------------- */

/* What an authority that has gone wrong might sign. */
struct forgery {
	const char *reason; /* NULL: accepted */
	void (*change)(struct pki_manifest *m, struct cert_plan *p);
	const char *blocks; /* of the certificate, instead of 10.2.0.0/16 */
	const char *key_type; /* its own, instead of the usual */
};

static void no_change(struct pki_manifest *m, struct cert_plan *p)
{
	(void)m;
	(void)p;
}

static void other_name(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	memcpy(m->network, "rival", 6);
}

static void other_id(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->id = ident("c.example");
}

static void other_serial(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->serial[1] ^= 1;
}

static void other_end(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->not_after.s += DAY;
}

static void wider_domain(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->domain[0].ip.b[0] = 0;
	m->domain[0].len = 0;
}

static void more_domain(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->domain[1] = m->domain[0];
	m->domain[1].ip.b[0] = 192;
	m->n_domain = 2;
}

static void no_domain(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->n_domain = 0;
}

static void as_authority(struct pki_manifest *m, struct cert_plan *p)
{
	(void)m;
	p->id = NULL;
}

static void as_endpoint(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->role = PKI_ENDPOINT;
}

static void no_blocks(struct pki_manifest *m, struct cert_plan *p)
{
	static const struct pki_blocks none;

	(void)m;
	p->blocks = &none;
}

static void as_nobody(struct pki_manifest *m, struct cert_plan *p)
{
	(void)p;
	m->role = (enum pki_role)4;
}

/* Made with the authority's key, past all that pki_ca_sign() would say. */
static struct pki_blob forged(struct pki_ca *ca, const struct forgery *f)
{
	struct pki_key *key;
	struct pki_id id = ident("b.example");
	struct pki_blocks own = blocks(f->blocks ? f->blocks : "10.2.0.0/16");
	struct pki_manifest m = { .network = "corp",
				  .role = PKI_SITE,
				  .id = id,
				  .serial = { 0x41, 2 },
				  .serial_len = 2,
				  .not_before = { T0 },
				  .not_after = { T0 + DAY } };
	struct cert_plan p = { .organisation = "corp",
			       .common_name = "b.example",
			       .id = &id,
			       .blocks = &own,
			       .serial = bytes_of((uint8_t[]){ 0x41, 2 }, 2),
			       .not_before = { T0 },
			       .not_after = { T0 + DAY },
			       .issuer = ca->cert,
			       .issuer_key = ca->key->pkey };
	struct pki_blob text;
	X509 *cert;

	assert_int_equal(pki_key_new(f->key_type, why(), &key), ST_OK);
	p.key = key->pkey;
	m.n_domain = pki_blocks_prefixes(&ca->info.cert.blocks, m.domain, PKI_BLOCKS_MAX);
	f->change(&m, &p);
	assert_int_equal(cert_make(&p, why(), &cert), ST_OK);
	assert_int_equal(bundle_make(&m, cert, ca->cert, ca->key->pkey, why(), &text), ST_OK);
	X509_free(cert);
	pki_key_free(key);
	return text;
}

static void forgeries(void **state)
{
	static const struct forgery row[] = {
		{ NULL, no_change, NULL, NULL },
		{ NULL, no_change, NULL, "ecdsa-p384" },
		{ NULL, no_change, NULL, "ed25519" },
		{ NULL, no_change, NULL, "rsa-3072" },
		{ "the manifest is for the network \"rival\"", other_name, NULL, NULL },
		{ "the certificate is for b.example, the manifest for c.example", other_id, NULL,
		  NULL },
		{ "serial number is 4102, the manifest says 4103", other_serial, NULL, NULL },
		{ "differ in their dates", other_end, NULL, NULL },
		{ "domain is not the trust anchor's address blocks, 10.0.0.0/8", wider_domain, NULL,
		  NULL },
		{ "domain is not the trust anchor's address blocks", more_domain, NULL, NULL },
		{ "number of prefixes", no_domain, NULL, NULL },
		{ "no identity", as_authority, NULL, NULL },
		{ "the manifest's role cannot be read", as_nobody, NULL, NULL },
		{ "of an endpoint has address blocks", as_endpoint, NULL, NULL },
		{ "of a site has no address blocks", no_blocks, NULL, NULL },
		/* S1: blocks outside the authority's */
		{ "the certificate's address blocks 11.0.0.0/8 lie outside the trust anchor's, "
		  "10.0.0.0/8",
		  no_change, "11.0.0.0/8", NULL },
		{ "lie outside", no_change, "10.2.0.0/16,fd00::/8", NULL },
		{ "lie outside", no_change, "8.0.0.0/6", NULL },
	};
	struct world w = begin("10.0.0.0/8");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pki_blob text = forged(w.ca, &row[i]);

		if (row[i].reason)
			assert_refused(bytes_from(&text), row[i].reason);
		else
			assert_int_equal(read_text(bytes_from(&text), &at_t0), ST_OK);
		pki_blob_done(&text);
	}
	end(&w);
}

/* A manifest that names other certificates than those beside it, properly signed. */
static void other_hashes(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = forged(w.ca, &(struct forgery){ .change = no_change });
	struct pki_bundle *b;

	(void)state;
	assert_int_equal(pki_bundle_read(bytes_from(&text), &at_t0, why(), &b), ST_OK);
	for (int which = 0; which < 2; which++) {
		struct pki_manifest m = b->manifest;
		struct pki_blob block, bad;
		struct wr wr;

		(which ? m.anchor_hash : m.cert_hash)[31] ^= 1;
		assert_int_equal(manifest_make(&m, w.ca->key->pkey, why(), &block), ST_OK);
		bad = (struct pki_blob){ malloc(PKI_FILE_MAX), 0 };
		wr = wr_of(bad.p, PKI_FILE_MAX);
		wr_put(&wr, bytes_of(text.p, position(bytes_from(&text), MANIFEST_BEGIN)));
		armour_put(&wr, "WARREN MANIFEST", bytes_from(&block));
		bad.n = wr_len(&wr);
		assert_refused(bytes_from(&bad), which ? "is not the one the manifest names"
						       : "parts of two bundles");
		pki_blob_done(&bad);
		pki_blob_done(&block);
	}
	pki_bundle_free(b);
	pki_blob_done(&text);
	end(&w);
}

/* The authority's signature over something else is none over a manifest. */
static void context(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = forged(w.ca, &(struct forgery){ .change = no_change });
	struct armour a = { cur_of(part_of(bytes_from(&text), 2)), 1 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct manifest_parts p;
	struct pki_blob block;
	uint8_t sig[200];
	size_t n = sizeof(sig);
	bool good = false;

	(void)state;
	assert_int_equal(armour_take(&a, "WARREN MANIFEST", "it", why(), &block), ST_OK);
	assert_int_equal(manifest_parse(bytes_from(&block), why(), &p), ST_OK);
	assert_int_equal(manifest_verify(&p, w.ca->key->pkey, &good), ST_OK);
	assert_true(good);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, w.ca->key->pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, p.body.p, p.body.n), 1);
	p.signature = bytes_of(sig, n);
	assert_int_equal(manifest_verify(&p, w.ca->key->pkey, &good), ST_OK);
	assert_false(good);
	EVP_MD_CTX_free(ctx);
	pki_blob_done(&block);
	pki_blob_done(&text);
	end(&w);
}

/* ---- dates --------------------------------------------------------------------------------- */

static void clocks(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct pki_blob text = site_bundle(w.ca, "b.example", "10.2.0.0/16");
	int64_t from = T0 - CERT_SKEW, until = T0 + PKI_SITE_DAYS * DAY;
	const struct {
		struct now now;
		enum status st;
		const char *reason;
	} row[] = {
		{ { .wall = { from }, .wall_ok = true }, ST_OK, "" },
		{ { .wall = { until }, .wall_ok = true }, ST_OK, "" },
		{ { .wall = { from - 1 }, .wall_ok = true },
		  ST_INVAL,
		  "not valid yet: valid from "
		  "2025-06-15 14:06:40 UTC" },
		{ { .wall = { 0 }, .wall_ok = true }, ST_INVAL, "clock says 1970-01-01 00:00:00" },
		{ { .wall = { until + 1 }, .wall_ok = true }, ST_INVAL, "expired: valid from" },
		{ { .wall = { INT64_MAX }, .wall_ok = true }, ST_INVAL, "expired" },
		{ { .wall = { INT64_MIN }, .wall_ok = true }, ST_INVAL, "not valid yet" },
		{ { .wall = { T0 }, .wall_ok = false }, ST_AGAIN, "not trusted yet" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(read_text(bytes_from(&text), &row[i].now), row[i].st);
		assert_reason(row[i].reason);
	}
	/* What it says can be known at any time. */
	assert_int_equal(read_text(bytes_from(&text), NULL), ST_OK);
	pki_blob_done(&text);
	end(&w);
}

/* The certificate would do, the authority is over. */
static void authority_over(void **state)
{
	struct world w = begin("10.0.0.0/8");
	struct forgery f = { .change = no_change };
	struct now now = { .wall = { T0 + DAY / 2 }, .wall_ok = true };
	struct pki_blob text = forged(w.ca, &f);
	struct pki_bundle *b;

	(void)state;
	assert_int_equal(pki_bundle_read(bytes_from(&text), &now, why(), &b), ST_OK);
	b->not_after.s = T0;
	assert_int_equal(pki_bundle_check_dates(b, &now, why()), ST_INVAL);
	assert_reason("expired");
	pki_bundle_free(b);
	pki_blob_done(&text);
	end(&w);
}

/* ---- the manifest by itself ---------------------------------------------------------------- */

/* Whatever is read is written the same: there is one spelling. */
static void one_spelling(void **state)
{
	struct world w = begin("10.0.0.0/8,fd00::/8");
	struct pki_blob text = site_bundle(w.ca, "b.example", "10.2.0.0/16"), block;
	struct armour a = { cur_of(part_of(bytes_from(&text), 2)), 1 };
	struct manifest_parts p, q;

	(void)state;
	assert_int_equal(armour_take(&a, "WARREN MANIFEST", "it", why(), &block), ST_OK);
	assert_int_equal(manifest_parse(bytes_from(&block), why(), &p), ST_OK);
	for (size_t i = 0; i < block.n; i++)
		for (int v = 1; v < 256; v <<= 1) {
			struct pki_blob again;

			block.p[i] ^= (uint8_t)v;
			if (manifest_parse(bytes_from(&block), why(), &p) == ST_OK) {
				assert_int_equal(
					manifest_make(&p.m, w.ca->key->pkey, why(), &again), ST_OK);
				assert_int_equal(manifest_parse(bytes_from(&again), why(), &q),
						 ST_OK);
				assert_true(bytes_eq(p.body, q.body));
				pki_blob_done(&again);
			}
			block.p[i] ^= (uint8_t)v;
		}
	for (size_t n = 0; n < block.n; n++)
		assert_int_equal(manifest_parse(bytes_of(block.p, n), why(), &p), ST_INVAL);
	block.p[0] = 2;
	assert_int_equal(manifest_parse(bytes_from(&block), why(), &p), ST_INVAL);
	assert_reason("manifest of version 2; this warren reads version 1");
	pki_blob_done(&block);
	pki_blob_done(&text);
	end(&w);
}

/* ---- docs/protocol/bundle.md --------------------------------------------------------------- */

/* The fenced block of the page that begins with `first`, in memory of its own. */
static struct pki_blob fenced(const char *first)
{
	struct pki_blob page;
	char mark[64];
	struct bytes copy;
	const uint8_t *from, *to;

	if (pki_file_read(SOURCE_ROOT "/docs/protocol/bundle.md", PKI_FILE_MAX, why(), &page) !=
	    ST_OK)
		fail_msg("%s", reason);
	snprintf(mark, sizeof(mark), "\n```\n%s", first);
	from = memmem(page.p, page.n, mark, strlen(mark));
	assert_non_null(from);
	from += 5;
	to = memmem(from, (size_t)(page.p + page.n - from), "\n```\n", 5);
	assert_non_null(to);
	assert_int_equal(mem_dup(&mem_libc, bytes_of(from, (size_t)(to + 1 - from)), &copy), ST_OK);
	pki_blob_done(&page);
	return (struct pki_blob){ (uint8_t *)(uintptr_t)copy.p, copy.n };
}

/* Hexadecimal digits, with blanks and comments. */
static size_t octets_of(const struct pki_blob *hex, uint8_t *ret)
{
	char digits[4096];
	size_t n = 0;
	bool comment = false;

	for (size_t i = 0; i < hex->n; i++) {
		char c = (char)hex->p[i];

		comment = c == '#' || (comment && c != '\n');
		assert_true(n < sizeof(digits) - 1);
		if (!comment && c != '\n')
			digits[n++] = c;
	}
	digits[n] = '\0';
	n = hex_decode(digits, ret);
	assert_int_equal(n % 2, 0);
	return n / 2;
}

static void published_vector(void **state)
{
	struct pki_blob text = fenced("warren-bundle 1\n"), hex = fenced("01  "), block;
	struct now now = { .wall = { 1800000000 }, .wall_ok = true };
	struct armour a = { cur_of(part_of(bytes_from(&text), 2)), 1 };
	uint8_t want[2048];
	struct pki_bundle *b;
	struct prefix p;

	(void)state;
	if (pki_bundle_read(bytes_from(&text), &now, why(), &b) != ST_OK)
		fail_msg("%s", reason);
	assert_string_equal(b->manifest.network, "corp");
	assert_string_equal(b->manifest.id.text, "site-b.example");
	assert_int_equal(b->manifest.role, PKI_SITE);
	assert_string_equal(blocks_str(&b->blocks), "10.2.0.0/16, fd00:2::/32");
	assert_int_equal(b->manifest.n_domain, 2);
	assert_int_equal(prefix_parse("fd00::/8", &p), ST_OK);
	assert_true(prefix_eq(&b->manifest.domain[1], &p));
	assert_int_equal(b->manifest.hubs.n, 2);
	assert_string_equal(b->manifest.hubs.name[1], "192.0.2.1");
	assert_true(b->manifest.not_before.s == 0x6b014355);
	assert_true(b->manifest.not_after.s == 0x124664165);
	pki_bundle_free(b);

	assert_int_equal(armour_take(&a, "WARREN MANIFEST", "it", why(), &block), ST_OK);
	assert_int_equal(block.n, octets_of(&hex, want));
	assert_memory_equal(block.p, want, block.n);
	pki_blob_done(&block);
	pki_blob_done(&text);
	pki_blob_done(&hex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(whole_internet),
		cmocka_unit_test(largest),
		cmocka_unit_test(truncated),
		cmocka_unit_test(flipped),
		cmocka_unit_test(edited),
		cmocka_unit_test(other_files),
		cmocka_unit_test(crlf),
		cmocka_unit_test(parts_of_several),
		cmocka_unit_test(parts_of_a_renewal),
		cmocka_unit_test(other_network),
		cmocka_unit_test(forgeries),
		cmocka_unit_test(other_hashes),
		cmocka_unit_test(context),
		cmocka_unit_test(clocks),
		cmocka_unit_test(authority_over),
		cmocka_unit_test(one_spelling),
		cmocka_unit_test(published_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
