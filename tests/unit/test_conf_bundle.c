/*
 * What a network needs, from files: bundles that an authority made, or certificates, held against
 * the section.  Whatever does not fit is an error where it was named (S2, R05).
 */
#include "unit/conf_util.h"

#include <dirent.h>
#include <errno.h>

#include "conf/conf_creds.h"
#include "unit/test_crypto_pki.h"
#include "unit/test_pki_util.h"

static char dir[] = "/tmp/warren-bundle-XXXXXX";
static struct pki_ca *ca;

/* ---- files ---- */

static const char *path_of(const char *name)
{
	return in(dir, name);
}

static void write_bytes(const char *name, struct bytes b)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
	assert_int_equal(fclose(f), 0);
}

static struct pki_blob read_bytes(const char *name)
{
	struct pki_blob b;

	if (pki_file_read(path_of(name), 1 << 20, why(), &b) != ST_OK)
		fail_msg("%s", reason);
	return b;
}

/* The text with every "@" replaced by the directory. */
static void write_conf(const char *text)
{
	static char buf[8192];
	struct text t = TEXT_OF(buf);

	for (; *text; text++)
		if (*text == '@')
			text_add(&t, dir);
		else
			text_fmt(&t, "%c", *text);
	write_bytes("conf", bytes_str(buf));
}

static void copy_file(const char *from, const char *to)
{
	struct pki_blob b = read_bytes(from);

	write_bytes(to, bytes_from(&b));
	pki_blob_done(&b);
}

/* name.warren, name.key, name.pem for an identity with a fresh key. */
static void issue(struct pki_ca *by, const char *name, const char *id, struct pki_grant grant)
{
	struct pki_key *key = new_key();
	struct pki_blob req = request(key, id, ""), pem;
	struct pki_delivery d;
	char file[64];

	if (pki_ca_sign(by, bytes_from(&req), &grant, (wall_t){ T0 }, why(), &d) != ST_OK)
		fail_msg("%s", reason);
	assert_int_equal(pki_key_pem(key, &pem), ST_OK);
	snprintf(file, sizeof(file), "%s.warren", name);
	write_bytes(file, bytes_from(&d.bundle));
	snprintf(file, sizeof(file), "%s.pem", name);
	write_bytes(file, bytes_from(&d.cert));
	snprintf(file, sizeof(file), "%s.key", name);
	write_bytes(file, bytes_from(&pem));
	pki_blob_done(&pem);
	pki_blob_done(&req);
	pki_delivery_done(&d);
	pki_key_free(key);
}

static struct pki_grant site_of(const char *prefixes)
{
	return (struct pki_grant){ .role = PKI_SITE, .blocks = blocks(prefixes) };
}

static struct pki_ca *other_ca(const char *name, const char *network, const char *domain)
{
	struct pki_ca_plan plan = { .network = network,
				    .domain = blocks(domain),
				    .key_type = "ecdsa-p256" };
	struct pki_ca *made;

	assert_int_equal(pki_ca_create(path_of(name), &plan, (wall_t){ T0 }, why()), ST_OK);
	assert_int_equal(pki_ca_open(path_of(name), true, why(), &made), ST_OK);
	return made;
}

static int make_world(void **state)
{
	struct pki_grant hub = { .role = PKI_HUB };
	struct pki_grant small = { .role = PKI_HUB,
				   .blocks = blocks("10.128.0.0/9"),
				   .overlap = true };
	struct pki_grant once = site_of("10.9.0.0/16");
	struct pki_ca *lab, *twin;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	ca = other_ca("ca", "corp", "10.0.0.0/8,fd00::/8");
	lab = other_ca("lab", "lab", "10.0.0.0/8");
	twin = other_ca("twin", "corp", "10.0.0.0/8");
	issue(ca, "early", "early.example", site_of("10.1.0.0/16")); /* before there is a hub */
	issue(ca, "hub1", "hub1.example.net", hub);
	issue(ca, "hub2", "192.0.2.1", small);
	issue(ca, "site-b", "site-b.example", site_of("10.2.0.0/16,10.3.0.0/16,fd00:2::/32"));
	issue(ca, "site-c", "c@site.example", site_of("10.4.0.0/16"));
	issue(ca, "laptop", "laptop.example", (struct pki_grant){ .role = PKI_ENDPOINT });
	once.days = 1;
	issue(ca, "short", "short.example", once);
	issue(lab, "lab-b", "site-b.example", site_of("10.2.0.0/16"));
	issue(twin, "twin-b", "site-b.example", site_of("10.2.0.0/16"));
	copy_file("ca/ca.pem", "ca.pem");
	copy_file("twin/ca.pem", "twin.pem");
	assert_int_equal(pki_ca_write_crl(twin, 0, (wall_t){ T0 }, why()), ST_OK);
	copy_file("twin/crl.pem", "twin-crl.pem");
	pki_ca_close(lab);
	pki_ca_close(twin);
	return 0;
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char file[512];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (unlink(file) && errno == EISDIR)
			remove_all(file);
	}
	closedir(d);
	rmdir(path);
}

static int remove_world(void **state)
{
	(void)state;
	pki_ca_close(ca);
	remove_all(dir);
	return access(dir, F_OK) == 0 ? -1 : 0;
}

/* ---- opening ---- */

struct opened {
	struct crypto_store *store;
	struct conf_errors errs;
	struct conf *conf;
	struct conf_creds *creds;
	enum status st;
};

static void open_from(struct opened *o, const struct alloc *mem, const struct conf_source *source,
		      bool public)
{
	*o = (struct opened){ 0 };
	assert_int_equal(crypto_store_new(&o->store), ST_OK);
	if (public)
		crypto_store_public(o->store);
	conf_errors_init(&o->errs, &mem_libc);
	o->st = conf_open(mem, source, path_of("conf"), o->store, &o->errs, &o->conf, &o->creds);
	assert_int_equal(o->st == ST_OK, o->conf && o->creds);
}

static void open_conf(struct opened *o, const char *text)
{
	write_conf(text);
	open_from(o, &mem_libc, &conf_source_files, false);
}

static void close_conf(struct opened *o)
{
	conf_creds_free(o->creds);
	conf_unref(o->conf);
	conf_errors_done(&o->errs);
	crypto_store_free(o->store);
}

static const struct conf_network_creds *good(struct opened *o, const char *text)
{
	open_conf(o, text);
	if (o->st != ST_OK) {
		show(&o->errs);
		fail_msg("%s", text);
	}
	return conf_creds_network(o->creds, 0);
}

static void assert_ts(const struct wire_ts_list *l, const char *want)
{
	char buf[1024];
	struct text t = TEXT_OF(buf);

	for (size_t i = 0; i < l->n; i++) {
		text_add(&t, i ? " " : "");
		policy_ts_text(&t, &l->ts[i]);
	}
	assert_string_equal(buf, want);
}

static void assert_id(const struct policy_ident *id, uint8_t type, const char *want)
{
	char buf[256];
	struct text t = TEXT_OF(buf);

	policy_ident_text(&t, id);
	assert_int_equal(id->type, type);
	assert_string_equal(buf, want);
}

#define CORP(more) "identity = \"@/site-b.warren\"\nnetwork \"corp\" {\n" more " }\n"
#define HUB(bundle, more)                                                                          \
	"identity = \"@/" bundle ".warren\"\nnetwork \"corp\" { role = hub\n" more " }\n"

/* ---- what a bundle brings ---- */

static void site(void **state)
{
	struct opened o;
	const struct conf_network_creds *n = good(&o, CORP(""));

	(void)state;
	assert_true(n->bundle && n->auth.key && n->auth.trust);
	assert_int_equal(n->auth.chain.n, 1);
	assert_int_equal(n->auth.trust_hashes.n, 20);
	assert_id(&n->local_id, WIRE_ID_FQDN, "site-b.example");
	assert_ts(&n->protect, "10.2.0.0/15 fd00:2::/32");
	assert_ts(&n->domain, "10.0.0.0/8 fd00::/8");
	assert_int_equal(n->n_hubs, 2);
	assert_string_equal(n->hubs[0], "hub1.example.net");
	assert_id(&n->hub_ids[0], WIRE_ID_FQDN, "hub1.example.net");
	assert_string_equal(n->hubs[1], "192.0.2.1");
	assert_id(&n->hub_ids[1], WIRE_ID_IPV4, "192.0.2.1");
	assert_int_equal(n->auth.n_revoked, 0);
	assert_true(n->not_before.s <= T0);
	assert_true(n->not_after.s == T0 + PKI_SITE_DAYS * DAY);
	close_conf(&o);
}

static void hub(void **state)
{
	struct opened o;
	const struct conf_network_creds *n =
		good(&o, HUB("hub1", "domain = { \"10.0.0.0/8\", \"fd00::/8\" }"));

	(void)state;
	assert_id(&n->local_id, WIRE_ID_FQDN, "hub1.example.net");
	assert_ts(&n->domain, "10.0.0.0/8 fd00::/8");
	/* Its blocks are the domain, which is not behind it. */
	assert_int_equal(n->protect.n, 0);
	assert_int_equal(n->n_hubs, 0);
	close_conf(&o);
	n = good(&o, HUB("hub2", "domain = \"10.128.0.0/9\" ; protect = \"10.200.0.0/24\""));
	assert_id(&n->local_id, WIRE_ID_IPV4, "192.0.2.1");
	assert_ts(&n->protect, "10.200.0.0/24");
	close_conf(&o);
}

/* What the section says counts. */
static void own_values(void **state)
{
	struct opened o;
	const struct conf_network_creds *n =
		good(&o, CORP("hubs = { \"Hub.example.\", \"2001:db8::1\" } ; protect = "
			      "\"10.3.1.0/24\"\ndomain = { \"10.0.0.0/9\", \"10.128.0.0/9\" }\n"
			      "local_id = \"SITE-B.example\""));

	(void)state;
	assert_ts(&n->protect, "10.3.1.0/24");
	assert_ts(&n->domain, "10.0.0.0/9 10.128.0.0/9");
	assert_int_equal(n->n_hubs, 2);
	assert_string_equal(n->hubs[0], "Hub.example.");
	assert_id(&n->hub_ids[0], WIRE_ID_FQDN, "Hub.example");
	assert_id(&n->hub_ids[1], WIRE_ID_IPV6, "2001:db8::1");
	close_conf(&o);
	/* Before the first hub there is no name of one to put into a bundle. */
	n = good(&o, "network \"corp\" { identity = \"@/early.warren\" ; hubs = \"h\" }");
	assert_id(&n->local_id, WIRE_ID_FQDN, "early.example");
	close_conf(&o);
	n = good(&o, "network \"corp\" { identity = \"@/site-c.warren\" }");
	assert_id(&n->local_id, WIRE_ID_RFC822, "c@site.example");
	close_conf(&o);
}

/* A key somewhere else, and a bundle of another name. */
static void key_elsewhere(void **state)
{
	struct opened o;

	(void)state;
	copy_file("site-b.warren", "b.bundle");
	copy_file("site-b.key", "secret");
	good(&o, "network \"corp\" { identity = \"@/b.bundle\" ; key = \"@/secret\" }");
	close_conf(&o);
	good(&o, "identity = \"@/b.bundle\"\nnetwork \"corp\" { key = \"@/secret\" }");
	close_conf(&o);
}

/* R01: the files of DESIGN section 5 as they are, but for the directory. */
static void examples(void **state)
{
	static const char *const file[] = { "hub.conf", "site.conf", "endpoint.conf" };
	struct opened o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(file); i++) {
		char path[512], text[2048] = { 0 }, *at;
		FILE *f;

		snprintf(path, sizeof(path), SOURCE_ROOT "/examples/%s", file[i]);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
		fclose(f);
		at = strstr(text, "/etc/warren");
		assert_non_null(at);
		*at = '@';
		memmove(at + 1, at + strlen("/etc/warren"), strlen(at + strlen("/etc/warren")) + 1);
		good(&o, text);
		close_conf(&o);
	}
}

/* U1: who has no blocks and says nothing of what is behind him is an endpoint; who says so, too. */
static void endpoint(void **state)
{
	static const struct {
		const char *text;
		enum conf_role role;
		const char *protect;
	} row[] = {
		{ "network \"corp\" { identity = \"@/laptop.warren\" }", CONF_ROLE_ENDPOINT, "" },
		{ "network \"corp\" { identity = \"@/laptop.warren\" ; role = endpoint }",
		  CONF_ROLE_ENDPOINT, "" },
		{ "network \"corp\" { identity = \"@/laptop.warren\" ; protect = \"10.7.0.0/16\" }",
		  CONF_ROLE_SITE, "10.7.0.0/16" },
		{ "network \"corp\" { identity = \"@/site-b.warren\" }", CONF_ROLE_SITE,
		  "10.2.0.0/15 fd00:2::/32" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct opened o;
		const struct conf_network_creds *n = good(&o, row[i].text);

		assert_int_equal(n->role, row[i].role);
		assert_ts(&n->protect, row[i].protect);
		assert_ts(&n->domain, "10.0.0.0/8 fd00::/8");
		assert_int_equal(n->n_hubs, 2);
		close_conf(&o);
	}
}

/* A bundle whose time is over still says what must not leave in clear (S3). */
static void expired(void **state)
{
	struct opened o;
	const struct conf_network_creds *n = good(&o, "network \"corp\" { identity = "
						      "\"@/short.warren\" }");

	(void)state;
	assert_true(n->not_after.s == T0 + DAY);
	assert_ts(&n->domain, "10.0.0.0/8 fd00::/8");
	close_conf(&o);
}

/* ---- what does not fit ---- */

struct want {
	unsigned line, col;
	const char *part;
};

static void refused(const char *text, const struct want *want)
{
	const struct conf_error *e;
	struct opened o;

	open_conf(&o, text);
	assert_int_equal(o.st, ST_INVAL);
	for (e = o.errs.head; e && want->part; e = e->next, want++)
		if (e->at.line != want->line || e->at.col != want->col ||
		    !strstr(e->text, want->part))
			break;
	if (e || want->part) {
		show(&o.errs);
		fail_msg("--- %s\nexpected %u:%u %s", text, want->line, want->col,
			 want->part ? want->part : "nothing more");
	}
	close_conf(&o);
}

static void misfits(void **state)
{
	static const struct {
		const char *text;
		struct want want[5];
	} row[] = {
		{ "network \"lab\" { identity = \"@/site-b.warren\" }",
		  { { 1, 28, "is a bundle of network \"corp\", and stands in network \"lab\"" } } },
		{ "identity = \"@/lab-b.warren\" ; network \"corp\" { hubs = \"h\" }",
		  { { 1, 12, "is a bundle of network \"lab\", and stands in network \"corp\"" } } },
		{ HUB("site-b", "domain = \"10.2.0.0/16\""),
		  { { 1, 12,
		      "is the bundle of a site, and the role in network \"corp\" is hub" } } },
		{ "network \"corp\" { identity = \"@/hub1.warren\" ; hubs = \"h\" ; protect = "
		  "\"10.1.0.0/16\" }",
		  { { 1, 29,
		      "is the bundle of a hub, and the role in network \"corp\" is site" } } },
		{ HUB("laptop", "domain = \"10.2.0.0/16\""),
		  { { 1, 12,
		      "is the bundle of an endpoint, and the role in network \"corp\" is hub" } } },
		{ "network \"corp\" { identity = \"@/hub1.warren\" ; hubs = \"h\" ; role = "
		  "endpoint }",
		  { { 1, 29,
		      "is the bundle of a hub, and the role in network \"corp\" is endpoint" },
		    { 1, 91, "has address blocks, which are a site's" } } },
		{ "network \"corp\" { identity = \"@/site-b.warren\" ; role = endpoint }",
		  { { 1, 80,
		      "the role in network \"corp\" is endpoint, and the certificate in" } } },
		{ "network \"corp\" { identity = \"@/laptop.warren\" ; role = site }",
		  { { 1, 9,
		      "network \"corp\" lacks protect, what is behind us, and the certificate "
		      "in" } } },
		{ CORP("protect = { \"10.2.0.0/16\", \"10.4.0.0/16\", \"10.0.0.0/8\" }"),
		  { { 3, 28,
		      "protect \"10.4.0.0/16\" is not inside the certificate's address blocks" },
		    { 3, 43, "protect \"10.0.0.0/8\" is not inside the certificate's" } } },
		{ CORP("protect = \"10.0.0.0/14\""), { { 3, 11, "10.2.0.0/15, fd00:2::/32" } } },
		{ CORP("domain = { \"10.0.0.0/8\", \"192.168.0.0/16\" }"),
		  { { 3, 26,
		      "domain \"192.168.0.0/16\" is not inside the authority's address "
		      "blocks" } } },
		{ HUB("hub2", "domain = \"10.0.0.0/8\""),
		  { { 3, 10,
		      "domain \"10.0.0.0/8\" is not inside the address blocks of this hub's "
		      "certificate" } } },
		{ CORP("local_id = \"site-c.example\""),
		  { { 3, 12, "local_id \"site-c.example\" is not the name in" } } },
		{ "network \"corp\" { identity = \"@/early.warren\" }",
		  { { 1, 29, "names no hubs, so network \"corp\" has to: hubs = {" } } },
		{ CORP("key = \"@/site-c.key\""), { { 3, 7, "is not that of certificate" } } },
		{ CORP("key = \"@/absent\""), { { 3, 7, "/absent: No such file or directory" } } },
		{ CORP("key = \"@/site-b.warren\""), { { 3, 7, "no PEM private key" } } },
		{ "identity = \"@/absent.warren\"\nnetwork \"corp\" { }",
		  { { 1, 12, "/absent.warren: No such file or directory" },
		    { 1, 12, "/absent.key: No such file or directory" } } },
		/* Nobody uses it, but it stands there. */
		{ "identity = \"@/ca.pem\"\n" PEER, { { 1, 12, "not a bundle" } } },
		/* All at once, with those of the text. */
		{ "colour = 1\n" CORP("key = \"@/absent\"\nprotect = \"10.8.0.0/16\"\nhubs = 3"),
		  { { 1, 1, "unknown key \"colour\"" },
		    { 4, 7, "/absent: No such file" },
		    { 5, 11, "protect \"10.8.0.0/16\" is not inside the certificate's" },
		    { 6, 8, "hubs wants a string" } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		refused(row[i].text, row[i].want);
}

/* S2: cut anywhere and edited anywhere there is one error, and it stands at `identity`. */
static void damaged(void **state)
{
	struct pki_blob whole = read_bytes("site-b.warren");
	static const char text[] = "network \"corp\" { identity = \"@/bad.warren\" }";
	struct opened o;

	(void)state;
	copy_file("site-b.key", "bad.key");
	for (size_t i = 0; i < whole.n; i += i < 40 ? 1 : 61) {
		struct want want[] = { { 1, 29, i < 16 ? "not a bundle" : "the text ends" },
				       { 0, 0, NULL } };

		write_bytes("bad.warren", bytes_of(whole.p, i));
		refused(text, want);
	}
	for (size_t i = 0; i < whole.n; i += 37) {
		struct want want[] = { { 1, 29, "identity " }, { 0, 0, NULL } };

		whole.p[i] ^= 1;
		write_bytes("bad.warren", bytes_from(&whole));
		whole.p[i] ^= 1;
		refused(text, want);
	}
	write_bytes("bad.warren", bytes_from(&whole));
	good(&o, text);
	close_conf(&o);
	pki_blob_done(&whole);
}

/* R05: parts of two bundles, of one authority and of two of the same name. */
static void mixed(void **state)
{
	static const char *const other[] = { "site-c.warren", "twin-b.warren" };
	static const char begin[] = "-----BEGIN WARREN MANIFEST-----";
	static const struct want want[] = { { 1, 29, "identity " }, { 0, 0, NULL } };
	struct pki_blob a = read_bytes("site-b.warren");
	uint8_t *cut = memmem(a.p, a.n, begin, strlen(begin));

	(void)state;
	copy_file("site-b.key", "bad.key");
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		struct pki_blob b = read_bytes(other[i]);
		uint8_t *from = memmem(b.p, b.n, begin, strlen(begin));
		FILE *f = fopen(path_of("bad.warren"), "w");

		assert_true(f && cut && from);
		fwrite(a.p, 1, (size_t)(cut - a.p), f);
		fwrite(from, 1, (size_t)(b.p + b.n - from), f);
		fclose(f);
		refused("network \"corp\" { identity = \"@/bad.warren\" }", want);
		pki_blob_done(&b);
	}
	pki_blob_done(&a);
}

static void too_large(void **state)
{
	static uint8_t big[CONF_FILE_MAX + 1];
	static const struct want bundle[] = { { 1, 12, "larger than 4194304 bytes" },
					      { 0, 0, NULL } };
	static const struct want key[] = { { 3, 7, "larger than 65536 bytes" }, { 0, 0, NULL } };

	(void)state;
	write_bytes("big.warren", BYTES_OF(big));
	refused("identity = \"@/big.warren\"\nnetwork \"corp\" { key = \"@/site-b.key\" }", bundle);
	refused(CORP("key = \"@/big.warren\""), key);
}

/* ---- certificates instead of a bundle ---- */

#define CERTS(more)                                                                                \
	"certificate = \"@/site-b.pem\" ; key = \"@/site-b.key\" ; trust = \"@/ca.pem\"\n"         \
	"network \"corp\" { hubs = \"h.example\"\n" more " }\n"

static void certificates(void **state)
{
	struct opened o;
	const struct conf_network_creds *n = good(&o, CERTS(""));
	static const struct want two_names[] = { { 1, 15,
						   "not exactly one name, so network \"n\" "
						   "needs local_id" },
						 { 0, 0, NULL } };
	static const struct want outside[] = { { 3, 11, "not inside the certificate's address" },
					       { 0, 0, NULL } };

	(void)state;
	assert_false(n->bundle);
	assert_id(&n->local_id, WIRE_ID_FQDN, "site-b.example");
	assert_ts(&n->protect, "10.2.0.0/15 fd00:2::/32");
	assert_ts(&n->domain, "10.0.0.0/8 fd00::/8");
	assert_true(n->not_after.s == T0 + PKI_SITE_DAYS * DAY);
	close_conf(&o);
	refused(CERTS("protect = \"10.4.0.0/16\""), outside);
	/* With several anchors it is not known whose domain is meant. */
	n = good(&o, CERTS("trust = { \"@/ca.pem\", \"@/twin.pem\" }"));
	assert_int_equal(n->domain.n, 0);
	assert_int_equal(n->auth.trust_hashes.n, 40);
	close_conf(&o);
	refused("certificate = \"@/foreign.pem\" ; key = \"@/foreign.key\" ; trust = "
		"\"@/foreign-ca.pem\"\nnetwork \"n\" { hubs = \"h.example\" }\n",
		two_names);
}

/* Another vendor's: no address blocks anywhere, two names. */
static void foreign_certificates(void **state)
{
	struct opened o;
	const struct conf_network_creds *n =
		good(&o, "certificate = \"@/foreign.pem\" ; key = \"@/foreign.key\" ; trust = "
			 "\"@/foreign-ca.pem\"\nnetwork \"n\" { hubs = \"h.example\"\n"
			 "local_id = \"b.example\" ; protect = \"10.2.0.0/16\" }\n");

	(void)state;
	assert_id(&n->local_id, WIRE_ID_FQDN, "b.example");
	assert_ts(&n->protect, "10.2.0.0/16");
	assert_int_equal(n->domain.n, 0);
	close_conf(&o);
	n = good(&o, "certificate = \"@/foreign.pem\" ; key = \"@/foreign.key\" ; trust = "
		     "\"@/foreign-ca.pem\" ; local_id = \"b.example\"\n"
		     "network \"n\" { role = hub ; domain = \"10.0.0.0/8\" }\n");
	assert_ts(&n->domain, "10.0.0.0/8");
	close_conf(&o);
}

static int make_foreign(void **state)
{
	EVP_PKEY *ca_key = pki_ec("P-256"), *key = pki_ec("P-384");
	struct pki_spec ca_spec = { .name = "ca", .key = ca_key, .basic = "critical,CA:TRUE" };
	X509 *root = pki_cert(&ca_spec), *cert;
	struct pki_spec spec = { .name = "b",
				 .key = key,
				 .san = "DNS:b.example,DNS:c.example",
				 .issuer = root,
				 .issuer_key = ca_key };

	(void)state;
	cert = pki_cert(&spec);
	pki_write_certs(path_of("foreign-ca.pem"), &root, 1);
	pki_write_certs(path_of("foreign.pem"), &cert, 1);
	pki_write_key(path_of("foreign.key"), key, NULL);
	X509_free(root);
	X509_free(cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	return 0;
}

/* ---- revocation ---- */

static void revocation(void **state)
{
	static const struct want foreign[] = { { 3, 7, "twin-crl.pem" }, { 0, 0, NULL } };
	static const struct want none[] = { { 3, 7, "/absent: No such file" }, { 0, 0, NULL } };
	static const struct want garbage[] = { { 3, 7, "ca.pem" }, { 0, 0, NULL } };
	const struct conf_network_creds *n;
	const struct conf_peer_creds *p;
	struct opened o;
	size_t revoked;

	(void)state;
	issue(ca, "gone", "gone.example", site_of("10.50.0.0/16"));
	issue(ca, "gone2", "gone2.example", site_of("10.51.0.0/16"));
	assert_int_equal(pki_ca_revoke(ca, "gone.example", 36500, (wall_t){ T0 }, why(), &revoked),
			 ST_OK);
	assert_int_equal(pki_ca_revoke(ca, "gone2.example", 36500, (wall_t){ T0 }, why(), &revoked),
			 ST_OK);
	copy_file("ca/crl.pem", "crl.pem");
	n = good(&o, CORP("crl = \"@/crl.pem\""));
	assert_int_equal(n->auth.n_revoked, 2);
	assert_true(memcmp(n->auth.revoked[0], n->auth.revoked[1], CRYPTO_REVOCATION_ID) < 0);
	close_conf(&o);
	n = good(&o, "crl = \"@/crl.pem\" ; " CORP(""));
	assert_int_equal(n->auth.n_revoked, 2);
	close_conf(&o);
	n = good(&o, "crl = \"@/crl.pem\" ; " CERTS(""));
	assert_int_equal(n->auth.n_revoked, 2);
	close_conf(&o);
	good(&o, "local_id = \"site-b.example\" ; certificate = \"@/site-b.pem\" ; key = "
		 "\"@/site-b.key\"\ntrust = \"@/ca.pem\" ; crl = \"@/crl.pem\"\n"
		 "peer \"c\" { remote_id = \"c\" ; " TS " }\n"
		 "peer \"d\" { remote_id = \"d\" ; trust = \"@/ca.pem\" ; " TS " }\n");
	p = conf_creds_peer(o.creds, 0);
	assert_int_equal(p->n_revoked, 2);
	assert_int_equal(conf_creds_peer(o.creds, 1)->n_revoked, 0);
	/* The list is no part of what the peer is judged by: what it takes away goes by itself. */
	assert_memory_equal(p->peer_digest, conf_creds_peer(o.creds, 1)->peer_digest, 32);
	close_conf(&o);
	refused(CORP("crl = \"@/twin-crl.pem\""), foreign);
	refused(CORP("crl = \"@/absent\""), none);
	refused(CORP("crl = \"@/ca.pem\""), garbage);
}

/* ---- digests ---- */

struct digests {
	uint8_t own[32], peer[32];
};

static struct digests digests_of(const char *text)
{
	struct digests d;
	struct opened o;

	good(&o, text);
	if (o.conf->n_networks) {
		const struct conf_network_creds *n = conf_creds_network(o.creds, 0);

		memcpy(d.own, n->auth.own_digest, 32);
		memcpy(d.peer, n->auth.peer_digest, 32);
	} else {
		const struct conf_peer_creds *p = conf_creds_peer(o.creds, 0);

		memcpy(d.own, p->own_digest, 32);
		memcpy(d.peer, p->peer_digest, 32);
	}
	close_conf(&o);
	return d;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, 32) == 0;
}

/* Equal as long as nothing changed, whatever the files are called; a renewed certificate is another
 * for the same key. */
static void digests(void **state)
{
	static const char text[] = "network \"corp\" { identity = \"@/renew.warren\" }";
	struct pki_grant grant = site_of("10.60.0.0/16");
	struct pki_key *key = new_key();
	struct pki_blob req = request(key, "renew.example", ""), pem;
	struct digests first, again, certs;

	(void)state;
	assert_int_equal(pki_key_pem(key, &pem), ST_OK);
	write_bytes("renew.key", bytes_from(&pem));
	for (int turn = 0; turn < 2; turn++) {
		struct pki_delivery d;

		grant.renew = turn > 0;
		if (pki_ca_sign(ca, bytes_from(&req), &grant, (wall_t){ T0 + turn * DAY }, why(),
				&d) != ST_OK)
			fail_msg("%s", reason);
		write_bytes("renew.warren", bytes_from(&d.bundle));
		write_bytes("renew.pem", bytes_from(&d.cert));
		pki_delivery_done(&d);
		again = digests_of(text);
		if (turn == 0)
			first = again;
	}
	assert_false(same(first.own, again.own));
	assert_true(same(first.peer, again.peer));
	first = digests_of(text);
	assert_true(same(first.own, again.own) && same(first.peer, again.peer));
	certs = digests_of("certificate = \"@/renew.pem\" ; key = \"@/renew.key\" ; trust = "
			   "\"@/ca.pem\"\nnetwork \"corp\" { hubs = \"h.example\" }");
	assert_true(same(first.own, certs.own));
	assert_false(same(first.own, first.peer));
	pki_blob_done(&pem);
	pki_blob_done(&req);
	pki_key_free(key);
}

static void psk_digests(void **state)
{
	struct digests a, b, c;

	(void)state;
	a = digests_of(BARE("psk = \"ABC\" ; " TS));
	b = digests_of(BARE("psk = \"0x414243\" ; " TS));
	c = digests_of(BARE("psk = \"ABD\" ; " TS));
	assert_true(same(a.peer, b.peer) && same(a.own, b.own));
	assert_false(same(a.peer, c.peer) || same(a.own, c.own));
}

/* ---- sources ---- */

/* Counts what is read of the file system; files of private keys read as `public_keys` says. */
struct watched {
	unsigned reads;
	char path[32][256];
	const struct conf_creds *creds;
	const struct crypto_store *store;
	int fail_at;
	enum status fail_with;
};

static enum status read_public_key(const struct watched *w, crypto_ref key, const struct alloc *mem,
				   uint8_t **ret_p, size_t *ret_n)
{
	char *pem;

	assert_int_equal(crypto_store_public_pem(w->store, key, &pem, ret_n), ST_OK);
	*ret_p = mem_new(mem, *ret_n);
	assert_non_null(*ret_p);
	memcpy(*ret_p, pem, *ret_n);
	free(pem);
	return ST_OK;
}

static enum status read_watched(void *ctx, const char *path, size_t max, const struct alloc *mem,
				struct text *t, uint8_t **ret_p, size_t *ret_n)
{
	struct watched *w = ctx;
	const char *key_path;
	crypto_ref key;

	assert_true(w->reads < ARRAY_LEN(w->path));
	snprintf(w->path[w->reads++], sizeof(w->path[0]), "%s", path);
	if ((int)w->reads == w->fail_at) {
		text_add(t, "the moon is full");
		return w->fail_with;
	}
	for (size_t i = 0; w->creds && conf_creds_key(w->creds, i, &key_path, &key); i++)
		if (strcmp(key_path, path) == 0)
			return read_public_key(w, key, mem, ret_p, ret_n);
	return conf_source_files.read(conf_source_files.ctx, path, max, mem, t, ret_p, ret_n);
}

#define EVERYTHING                                                                                 \
	"local_id = \"site-b.example\" ; certificate = \"@/site-b.pem\" ; key = "                  \
	"\"@/site-b.key\"\ntrust = { \"@/ca.pem\", \"@/twin.pem\" }\n"                             \
	"peer \"c\" { remote_id = \"c\" ; " TS " }\n"                                              \
	"peer \"d\" { remote_id = \"d\" ; trust = \"@/ca.pem\" ; crl = \"@/crl.pem\" ; " TS " }\n" \
	"peer \"e\" { remote_id = \"e\" ; psk_file = \"@/psk\" ; " TS " }\n"                       \
	"network \"corp\" { identity = \"@/site-c.warren\" ; crl = \"@/crl.pem\" }\n"

/* Every file once: two readings could differ. */
static void read_once(void **state)
{
	struct watched w = { 0 };
	const struct conf_source source = { read_watched, &w };
	struct opened o;

	(void)state;
	write_bytes("psk", bytes_str("secret\n"));
	write_conf(EVERYTHING);
	open_from(&o, &mem_libc, &source, false);
	show(&o.errs);
	assert_int_equal(o.st, ST_OK);
	assert_int_equal(w.reads, 9);
	for (unsigned i = 0; i < w.reads; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(w.path[i], w.path[k]);
	close_conf(&o);
}

/* S4: without secrets the same comes out, under the same names. */
static void without_secrets(void **state)
{
	struct watched w = { 0 };
	const struct conf_source source = { read_watched, &w };
	const struct conf_network_creds *a, *b;
	struct opened o, p;

	(void)state;
	write_conf(EVERYTHING);
	open_from(&o, &mem_libc, &conf_source_files, false);
	assert_int_equal(o.st, ST_OK);
	w.creds = o.creds;
	w.store = o.store;
	open_from(&p, &mem_libc, &source, true);
	show(&p.errs);
	assert_int_equal(p.st, ST_OK);
	a = conf_creds_network(o.creds, 0);
	b = conf_creds_network(p.creds, 0);
	assert_string_equal(crypto_store_name(o.store, a->auth.key),
			    crypto_store_name(p.store, b->auth.key));
	assert_string_equal(crypto_store_name(p.store, conf_creds_peer(p.creds, 2)->psk), "psk e");
	assert_int_not_equal(crypto_store_find(o.store, "psk e"), 0);
	assert_memory_equal(a->auth.own_digest, b->auth.own_digest, 32);
	assert_memory_equal(a->auth.peer_digest, b->auth.peer_digest, 32);
	assert_int_equal(b->auth.n_revoked, a->auth.n_revoked);
	close_conf(&p);
	close_conf(&o);
}

/* Whatever cannot be read is one error with the source's words; memory is another matter. */
static void failing_source(void **state)
{
	(void)state;
	write_conf(EVERYTHING);
	for (int at = 1; at <= 9; at++) {
		struct watched w = { .fail_at = at, .fail_with = ST_IO };
		const struct conf_source source = { read_watched, &w };
		struct opened o;

		open_from(&o, &mem_libc, &source, false);
		assert_int_equal(o.st, at == 1 ? ST_IO : ST_INVAL);
		assert_true(o.errs.total >= 1);
		for (const struct conf_error *e = o.errs.head; e; e = e->next)
			if (!strstr(e->text, "the moon is full"))
				fail_msg("%s", e->text);
		close_conf(&o);
		w = (struct watched){ .fail_at = at, .fail_with = ST_NOMEM };
		open_from(&o, &mem_libc, &source, false);
		assert_int_equal(o.st, ST_NOMEM);
		assert_int_equal(o.errs.total, 0);
		close_conf(&o);
	}
}

/* Every allocation refused in turn: ST_NOMEM, and nothing left behind. */
static void out_of_memory(void **state)
{
	enum status st = ST_NOMEM;
	long left = 0;

	(void)state;
	write_conf(EVERYTHING);
	for (; st == ST_NOMEM; left++) {
		struct counting n;
		const struct alloc mem = counting_mem(&n, left);
		struct opened o;

		open_from(&o, &mem, &conf_source_files, false);
		st = o.st;
		conf_creds_free(o.creds);
		conf_unref(o.conf);
		o.creds = NULL;
		o.conf = NULL;
		assert_int_equal(n.live, 0);
		close_conf(&o);
		assert_true(left < 200);
	}
	assert_int_equal(st, ST_OK);
	assert_true(left > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(site),
		cmocka_unit_test(hub),
		cmocka_unit_test(own_values),
		cmocka_unit_test(key_elsewhere),
		cmocka_unit_test(examples),
		cmocka_unit_test(endpoint),
		cmocka_unit_test(expired),
		cmocka_unit_test(misfits),
		cmocka_unit_test(damaged),
		cmocka_unit_test(mixed),
		cmocka_unit_test(too_large),
		cmocka_unit_test_setup(certificates, make_foreign),
		cmocka_unit_test_setup(foreign_certificates, make_foreign),
		cmocka_unit_test(revocation),
		cmocka_unit_test(digests),
		cmocka_unit_test(psk_digests),
		cmocka_unit_test(read_once),
		cmocka_unit_test(without_secrets),
		cmocka_unit_test(failing_source),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, make_world, remove_world);
}
