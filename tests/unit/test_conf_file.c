/* What a configuration names: pre-shared keys in files, certificates and keys; loaded and checked
 * together with the text. */
#include "unit/conf_util.h"

#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf_creds.h"
#include "unit/test_crypto_pki.h"

struct dir {
	char path[64];
};

static struct dir dir;

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir.path, "/tmp/warren-conf-XXXXXX");
	return mkdtemp(dir.path) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const name[] = { "conf",      "psk",     "ca.pem",
					    "chain.pem", "key.pem", "other.pem" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(name); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir.path, name[i]);
		unlink(path);
	}
	return rmdir(dir.path);
}

static const char *path_of(const char *name)
{
	static char path[4][128];
	static unsigned i;

	snprintf(path[i++ % 4], sizeof(path[0]), "%s/%s", dir.path, name);
	return path[(i - 1) % 4];
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
}

/* The text with every "@" replaced by the directory. */
static void write_conf(const char *text)
{
	static char buf[8192];
	struct text t = TEXT_OF(buf);

	for (; *text; text++)
		if (*text == '@')
			text_add(&t, dir.path);
		else
			text_fmt(&t, "%c", *text);
	write_file("conf", buf);
}

/* ---- pre-shared keys ---- */

/* The configuration with that in the file of its key; NULL: that file, named in the line, is
 * refused, and what it holds is not said. */
static struct conf *load_key(const char *file, unsigned line, const char *error)
{
	struct conf_errors errs;
	struct conf *c = NULL;
	enum status st;

	write_file("psk", file);
	conf_errors_init(&errs, &mem_libc);
	st = conf_load(&mem_libc, &conf_source_files, path_of("conf"), &errs, &c);
	assert_int_equal(st, error ? ST_INVAL : ST_OK);
	if (error) {
		assert_null(c);
		assert_int_equal(errs.total, 1);
		assert_int_equal(errs.head->at.line, line);
		assert_int_equal(errs.head->at.col, 12);
		assert_non_null(strstr(errs.head->text, error));
		assert_null(strstr(errs.head->text, "HUSH"));
	}
	conf_errors_done(&errs);
	return c;
}

static void write_conf_psk(void)
{
	write_conf("local_id = \"a\"\npeer \"b\" { remote_id = \"b\" ; " TS
		   "\npsk_file = \"@/psk\" }\n");
}

static void psk_files(void **state)
{
	static const struct {
		const char *file;
		const char *psk; /* NULL: refused */
		const char *error;
	} row[] = {
		{ "secret", "secret", NULL },
		{ "secret\n", "secret", NULL },
		{ "secret\r\n", "secret", NULL },
		{ "secret\n\n", "secret\n", NULL },
		{ " s \"e\\c ", " s \"e\\c ", NULL },
		{ "0x414243\n", "ABC", NULL },
		{ "0sQUJD\n", "ABC", NULL },
		{ "", NULL, "its key is empty" },
		{ "\n", NULL, "its key is empty" },
		{ "0xHUSHHUSH", NULL, "its key begins with 0x, but" },
	};

	(void)state;
	write_conf_psk();
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct conf *c = load_key(row[i].file, 3, row[i].error);

		if (c)
			assert_true(bytes_eq(c->peers->psk.b, bytes_str(row[i].psk)));
		conf_unref(c);
	}
}

/* RFC 8784 section 6: the file's key counts, and is as long as it has to be. */
static void ppk_files(void **state)
{
	static const struct {
		const char *file;
		size_t n;
		const char *error;
	} row[] = {
		{ "0123456789abcdef0123456789abcdef\n", 32, NULL },
		{ "0sAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 32, NULL },
		{ "0123456789abcdef0123456789abcde\n", 0, "of 31 bytes is none: RFC 8784" },
		{ "0xHUSHHUSH", 0, "ppk_file" },
	};

	(void)state;
	write_conf("local_id = \"a\"\npeer \"b\" { remote_id = \"b\" ; " TS
		   "\npsk = \"k\" ; ppk_id = \"x\"\nppk_file = \"@/psk\" }\n");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct conf *c = load_key(row[i].file, 4, row[i].error);

		if (c)
			assert_int_equal(c->peers->ppk.b.n, row[i].n);
		conf_unref(c);
	}
}

static void long_psk_file(void **state)
{
	static const size_t length[] = { CONF_PSK_MAX, CONF_PSK_MAX + 1, 4096, 4097, 8191 };
	static char text[8192];

	(void)state;
	write_conf_psk();
	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_LEN(length); i++) {
		const char *error = length[i] > 4096           ? "larger than 4096 bytes"
				    : length[i] > CONF_PSK_MAX ? "is too long"
							       : NULL;

		text[length[i]] = '\0';
		conf_unref(load_key(text, 3, error));
		text[length[i]] = 'x';
	}
}

static void no_such_file(void **state)
{
	struct conf_errors errs;
	struct conf *c = NULL;
	char want[256], buf[512];
	struct text t = TEXT_OF(buf);

	(void)state;
	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(conf_load(&mem_libc, &conf_source_files, path_of("absent"), &errs, &c),
			 ST_IO);
	conf_error_text(&errs, errs.head, &t);
	snprintf(want, sizeof(want), "%s: No such file or directory", path_of("absent"));
	assert_string_equal(buf, want);
	conf_errors_done(&errs);

	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(conf_load(&mem_libc, &conf_source_files, dir.path, &errs, &c), ST_IO);
	assert_string_equal(errs.head->text, "Is a directory");
	conf_errors_done(&errs);
}

/* ---- certificates ---- */

/* An authority, ourselves signed by it, and a key that belongs to neither. */
static void make_certs(void)
{
	EVP_PKEY *ca_key = pki_ec("P-256"), *key = pki_ec("P-256"), *other = pki_ec("P-384");
	struct pki_spec ca_spec = { .name = "ca", .key = ca_key, .basic = "critical,CA:TRUE" };
	X509 *ca = pki_cert(&ca_spec);
	struct pki_spec spec = {
		.name = "a", .key = key, .san = "DNS:a.example", .issuer = ca, .issuer_key = ca_key
	};
	X509 *cert = pki_cert(&spec);

	pki_write_certs(path_of("ca.pem"), &ca, 1);
	pki_write_certs(path_of("chain.pem"), &cert, 1);
	pki_write_key(path_of("key.pem"), key, NULL);
	pki_write_key(path_of("other.pem"), other, NULL);
	X509_free(ca);
	X509_free(cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

struct opened {
	struct crypto_store *store;
	struct conf_errors errs;
	struct conf *conf;
	struct conf_creds *creds;
	enum status st;
};

static void open_conf(struct opened *o)
{
	*o = (struct opened){ 0 };
	assert_int_equal(crypto_store_new(&o->store), ST_OK);
	conf_errors_init(&o->errs, &mem_libc);
	o->st = conf_open(&mem_libc, &conf_source_files, path_of("conf"), o->store, &o->errs,
			  &o->conf, &o->creds);
	assert_int_equal(o->st == ST_OK, o->conf && o->creds);
}

static void close_conf(struct opened *o)
{
	conf_creds_free(o->creds);
	conf_unref(o->conf);
	conf_errors_done(&o->errs);
	crypto_store_free(o->store);
}

static void good_certs(void **state)
{
	const struct conf_peer_creds *b, *c, *d;
	struct opened o;

	(void)state;
	make_certs();
	write_conf("local_id = \"a.example\"\ncertificate = \"@/chain.pem\"\nkey = \"@/key.pem\"\n"
		   "trust = { \"@/ca.pem\" }\n"
		   "peer \"b\" { remote_id = \"b\" ; " TS " }\n"
		   "peer \"c\" { remote_id = \"c\" ; " TS
		   " ; trust = { \"@/ca.pem\", \"@/chain.pem\" } }\n"
		   "peer \"d\" { remote_id = \"d\" ; " TS " ; psk = \"k\" }\n");
	open_conf(&o);
	show(&o.errs);
	assert_int_equal(o.st, ST_OK);
	b = conf_creds_peer(o.creds, 0);
	c = conf_creds_peer(o.creds, 1);
	d = conf_creds_peer(o.creds, 2);
	assert_true(b->key && b->trust && !b->psk);
	assert_int_equal(b->chain.n, 1);
	assert_int_equal(b->trust_hashes.n, 20);
	/* What two peers share is loaded once. */
	assert_int_equal(c->key, b->key);
	assert_ptr_equal(c->chain.certs[0].p, b->chain.certs[0].p);
	assert_int_not_equal(c->trust, b->trust);
	assert_int_equal(c->trust_hashes.n, 40);
	assert_true(d->psk && !d->key && !d->trust);
	close_conf(&o);
}

/* Errors of the text and of the files it names, at once and in the order of the text. */
static void all_at_once(void **state)
{
	static const struct {
		unsigned line, col;
		const char *part;
	} want[] = {
		{ 2, 15, "/nonexistent/chain.pem" },
		{ 3, 7, "ca.pem" },
		{ 4, 11, "/dev/null" },
		{ 4, 24, "/nonexistent/ca.pem" },
		{ 5, 1, "unknown key \"colour\"" },
		{ 8, 7, "is not that of certificate" },
		{ 12, 12, "/nonexistent/psk" },
	};
	struct opened o;
	size_t i = 0;

	(void)state;
	make_certs();
	write_conf("local_id = \"a.example\"\ncertificate = \"/nonexistent/chain.pem\"\n"
		   "key = \"@/ca.pem\"\ntrust = { \"/dev/null\", \"/nonexistent/ca.pem\" }\ncolour "
		   "= 1\n"
		   "peer \"b\" { remote_id = \"b\" ; " TS " ; trust = \"@/ca.pem\"\n"
		   "certificate = \"@/chain.pem\"\nkey = \"@/other.pem\" }\n"
		   "peer \"c\" { remote_id = \"c\" ; " TS " }\n"
		   "peer \"d\" { remote_id = \"d\" ; " TS " }\n"
		   "peer \"e\" { remote_id = \"e\"\npsk_file = \"/nonexistent/psk\" ; " TS " }\n");
	open_conf(&o);
	assert_int_equal(o.st, ST_INVAL);
	for (const struct conf_error *e = o.errs.head; e; e = e->next) {
		if (i < ARRAY_LEN(want) && e->at.line == want[i].line && e->at.col == want[i].col &&
		    strstr(e->text, want[i].part)) {
			i++;
			continue;
		}
		show(&o.errs);
		fail_msg("error %zu", i);
	}
	assert_int_equal(i, ARRAY_LEN(want));
	close_conf(&o);
}

/* What is offered unless the operator says otherwise, written out. */
static void defaults_are_here(void **state)
{
	char conf[2048];
	struct text t = TEXT_OF(conf);
	struct opened o;

	(void)state;
	text_add(&t, "local_id = \"a.example\"\npeer \"b\" { remote_id = \"b\" ; " TS
		     " ; psk = \"k\"\nproposals = { ");
	for (const char *const *p = policy_default_proposals(WIRE_PROTO_IKE); *p; p++)
		text_fmt(&t, "\"%s\", ", *p);
	text_add(&t, "}\nesp_proposals = { ");
	for (const char *const *p = policy_default_proposals(WIRE_PROTO_ESP); *p; p++)
		text_fmt(&t, "\"%s\", ", *p);
	text_add(&t, "} }\n");
	write_conf(conf);
	open_conf(&o);
	show(&o.errs);
	assert_int_equal(o.st, ST_OK);
	close_conf(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(psk_files),         cmocka_unit_test(ppk_files),
		cmocka_unit_test(long_psk_file),     cmocka_unit_test(no_such_file),
		cmocka_unit_test(good_certs),        cmocka_unit_test(all_at_once),
		cmocka_unit_test(defaults_are_here),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
