#include "bench/bench_host.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void bench_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("bench_engine: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

double bench_cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* ---- memory -------------------------------------------------------------------------------- */

size_t bench_mem_cost(const void *p)
{
	return p ? malloc_usable_size((void *)(uintptr_t)p) + sizeof(size_t) : 0;
}

static void *counted_alloc(void *ctx, size_t n)
{
	struct bench_mem *m = ctx;
	void *p = mem_libc.alloc(NULL, n);

	m->calls++;
	if (p) {
		m->blocks++;
		m->bytes += bench_mem_cost(p);
	}
	return p;
}

static void counted_free(void *ctx, void *p)
{
	struct bench_mem *m = ctx;

	if (p) {
		m->blocks--;
		m->bytes -= bench_mem_cost(p);
	}
	mem_libc.free(NULL, p);
}

void bench_mem_init(struct bench_mem *m)
{
	*m = (struct bench_mem){ .alloc = { counted_alloc, counted_free, m } };
}

static uint64_t libcrypto_allocations;

static void *libcrypto_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	libcrypto_allocations++;
	return malloc(n);
}

static void *libcrypto_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	libcrypto_allocations++;
	return realloc(p, n);
}

static void libcrypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

void bench_count_libcrypto(void)
{
	BENCH_NEED(CRYPTO_set_mem_functions(libcrypto_malloc, libcrypto_realloc, libcrypto_free));
}

uint64_t bench_libcrypto_allocations(void)
{
	return libcrypto_allocations;
}

/* ---- certificates -------------------------------------------------------------------------- */

struct bench_pki {
	EVP_PKEY *root_key, *leaf_key;
	X509 *root;
	long serial;
	BIO *root_pem, *key_pem;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	BENCH_NEED(ext && X509_add_ext(cert, ext, -1));
	X509_EXTENSION_free(ext);
}

/* The same certificates as in setup_ref.c, which the figures are compared with. */
static X509 *make_cert(struct bench_pki *pki, const char *name, EVP_PKEY *key, X509 *issuer)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	char san[128];

	snprintf(san, sizeof(san), "DNS:%s", name);
	BENCH_NEED(X509_set_version(cert, X509_VERSION_3));
	BENCH_NEED(ASN1_INTEGER_set(X509_get_serialNumber(cert), ++pki->serial));
	BENCH_NEED(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
	BENCH_NEED(X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
	BENCH_NEED(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name,
					      -1, -1, 0));
	BENCH_NEED(X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject));
	BENCH_NEED(X509_set_pubkey(cert, key));
	if (!issuer)
		issuer = cert;
	add_extension(cert, issuer, NID_basic_constraints,
		      issuer == cert ? "critical,CA:TRUE" : "CA:FALSE");
	add_extension(cert, issuer, NID_key_usage,
		      issuer == cert ? "critical,keyCertSign" : "digitalSignature");
	add_extension(cert, issuer, NID_subject_key_identifier, "hash");
	if (issuer != cert) {
		add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
		add_extension(cert, issuer, NID_subject_alt_name, san);
	}
	BENCH_NEED(X509_sign(cert, pki->root_key, EVP_sha256()));
	return cert;
}

/* The PEM in a BIO, as the key store takes files. */
static struct crypto_file file_of(const char *name, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	return (struct crypto_file){ name, bytes_of(p, (size_t)n) };
}

static void make_files(struct bench_pki *pki)
{
	pki->root_pem = BIO_new(BIO_s_mem());
	pki->key_pem = BIO_new(BIO_s_mem());
	BENCH_NEED(pki->root_pem && PEM_write_bio_X509(pki->root_pem, pki->root));
	BENCH_NEED(pki->key_pem && PEM_write_bio_PrivateKey(pki->key_pem, pki->leaf_key, NULL, NULL,
							    0, NULL, NULL));
}

struct bench_pki *bench_pki_new(void)
{
	struct bench_pki *pki = calloc(1, sizeof(*pki));

	BENCH_NEED(pki);
	pki->root_key = EVP_EC_gen("P-256");
	pki->leaf_key = EVP_EC_gen("P-256");
	BENCH_NEED(pki->root_key && pki->leaf_key);
	pki->root = make_cert(pki, "root", pki->root_key, NULL);
	make_files(pki);
	return pki;
}

void bench_pki_free(struct bench_pki *pki)
{
	BIO_free(pki->root_pem);
	BIO_free(pki->key_pem);
	X509_free(pki->root);
	EVP_PKEY_free(pki->root_key);
	EVP_PKEY_free(pki->leaf_key);
	free(pki);
}

struct bytes bench_leaf(struct bench_pki *pki, const char *name)
{
	X509 *cert = make_cert(pki, name, pki->leaf_key, pki->root);
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);

	BENCH_NEED(n > 0);
	X509_free(cert);
	return bytes_of(der, (size_t)n);
}

void bench_leaf_free(struct bytes der)
{
	OPENSSL_free((void *)(uintptr_t)der.p);
}

/* ---- hosts --------------------------------------------------------------------------------- */

struct ip bench_initiator = { 4, { 198, 18, 0, 1 } };
struct ip bench_responder = { 4, { 192, 0, 2, 1 } };

static void proposal(struct host *h, uint8_t proto, const char *words, struct wire_sa *ret)
{
	struct wire_proposal *p = arena_new(&h->text, sizeof(*p));
	char buf[256];
	struct text why = TEXT_OF(buf);

	BENCH_NEED(p);
	if (policy_proposal_parse(&h->text, proto, words, &why, p))
		bench_fail("%s: %s", words, buf);
	*ret = (struct wire_sa){ p, 1 };
}

static struct wire_ts_list selector(struct host *h, const char *word)
{
	struct wire_ts *ts = arena_new(&h->text, sizeof(*ts));
	char buf[256];
	struct text why = TEXT_OF(buf);

	BENCH_NEED(ts);
	if (policy_ts_parse(word, &why, ts))
		bench_fail("%s: %s", word, buf);
	return (struct wire_ts_list){ .ts = ts, .n = 1 };
}

void host_selectors(struct host *h, const char *local, const char *remote)
{
	h->peer.ts_local = selector(h, local);
	h->peer.ts_remote = selector(h, remote);
}

static void identity(struct host *h, const char *name, struct policy_ident *ret)
{
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (policy_ident_parse(&h->text, name, true, &why, ret))
		bench_fail("%s: %s", name, buf);
}

static void load_credentials(struct host *h, struct bench_pki *pki)
{
	const struct crypto_file root = file_of("root", pki->root_pem);
	const struct crypto_file key = file_of("key", pki->key_pem);
	char buf[256];
	struct text why = TEXT_OF(buf);

	BENCH_NEED(crypto_store_new(&h->store) == ST_OK);
	if (crypto_store_add_key(h->store, &key, &why, &h->peer.key) ||
	    crypto_store_add_trust(h->store, &root, 1, NULL, &why, &h->peer.trust) ||
	    crypto_store_trust_hashes(h->store, h->peer.trust, &h->peer.trust_hashes))
		bench_fail("%s", buf);
}

static void configure(struct host *h, const char *const *address)
{
	proposal(h, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519", &h->peer.ike);
	proposal(h, WIRE_PROTO_ESP, "aes128gcm16-esn", &h->peer.esp);
	if (address)
		host_selectors(h, "10.0.0.1/32", "10.255.0.0/16");
	else
		host_selectors(h, "10.255.0.0/16", "10.0.0.0/8");
	h->peer.id = 1;
	h->peer.name = "other";
	h->peer.addresses = address;
	h->peer.n_addresses = address ? 1 : 0;
	h->peer.port = 500;
	h->peer.auth = IKE_AUTH_CERT;
	h->peer.start = IKE_START_LISTEN;
	h->peer.mobike = h->peer.nats_allowed = true;
	h->peer.return_routability = IKE_ROUTABILITY_BEFORE;
	h->conf = (struct ike_conf){
		.refs = 1,
		.peers = &h->peer,
		.n_peers = 1,
		.port = 500,
		.nat_port = 4500,
		.retransmit_timeout = dur_s(2),
		.retransmit_tries = 5,
		.half_open_cookie = 64,
		.half_open_puzzle = 500,
		.half_open_max = 1000,
		.init_rate_cookie = 1000000,
		.force_encap = true, /* as with the data plane in user space */
	};
}

struct host *host_new(struct bench_pki *pki, const char *local, const char *remote,
		      const char *address)
{
	struct host *h = calloc(1, sizeof(*h));
	const char **addresses;

	BENCH_NEED(h);
	bench_mem_init(&h->mem);
	BENCH_NEED(crypto_openssl_new(&h->provider) == ST_OK);
	h->crypto = crypto_openssl_ops(h->provider);
	arena_init(&h->text, &mem_libc, 4 << 20); /* each name takes some */
	addresses = arena_new(&h->text, sizeof(*addresses));
	BENCH_NEED(addresses);
	addresses[0] = address;
	load_credentials(h, pki);
	configure(h, address ? addresses : NULL);
	identity(h, remote, &h->peer.remote_id);
	host_rename(h, pki, local);
	h->now = (struct now){ .mono = { 1000000000000 }, .wall = { time(NULL) }, .wall_ok = true };
	return h;
}

void host_rename(struct host *h, struct bench_pki *pki, const char *local)
{
	if (h->ike)
		bench_fail("a running engine is not renamed");
	if (h->peer.n_certs)
		bench_leaf_free(h->peer.certs[0]);
	h->peer.certs[0] = bench_leaf(pki, local);
	h->peer.n_certs = 1;
	identity(h, local, &h->peer.local_id);
}

static void drain(struct host *h);

void host_start(struct host *h)
{
	static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

	BENCH_NEED(ike_new(&h->mem.alloc, &h->crypto, key, &h->conf, h->now, &h->ike) == ST_OK);
	drain(h);
}

void host_stop(struct host *h)
{
	ike_free(h->ike);
	h->ike = NULL;
	if (h->mem.blocks)
		bench_fail("leak of %zu blocks", (size_t)h->mem.blocks);
}

void host_free(struct host *h)
{
	if (h->ike)
		host_stop(h);
	bench_leaf_free(h->peer.certs[0]);
	arena_done(&h->text);
	crypto_store_free(h->store);
	crypto_openssl_free(h->provider);
	free(h);
}

/* ---- carrying out outputs ------------------------------------------------------------------ */

/*
 * Results are handed in only when the engine has nothing more to say: it may not be entered while
 * outputs are pending.  One message gives rise to a few at most.
 */
struct todo {
	enum { TODO_JOB, TODO_OP, TODO_NAME } kind;
	uint64_t id;
	struct crypto_job *job;
	enum status status; /* OP */
};

enum { TODO_MAX = 16 };

struct todo_list {
	struct todo item[TODO_MAX];
	size_t first, n;
};

static void todo_add(struct todo_list *l, struct todo t)
{
	if (l->n == TODO_MAX)
		bench_fail("too much to do at once");
	l->item[(l->first + l->n++) % TODO_MAX] = t;
}

static void out_send(struct host *h, const struct ike_out *o)
{
	struct bench_datagram d = { .from = o->u.send.local,
				    .to = o->u.send.remote,
				    .n = (uint16_t)o->u.send.data.n };

	if (o->u.send.data.n > sizeof(d.data))
		bench_fail("a datagram of %zu bytes", o->u.send.data.n);
	memcpy(d.data, o->u.send.data.p, d.n);
	h->send(h->send_ctx, &d);
}

/* What a bench may bring about; anything else is a failure that nothing is to be measured after. */
static bool is_expected(enum ike_event_kind kind)
{
	switch (kind) {
	case IKE_EV_CONNECTING:
	case IKE_EV_SA_UP:
	case IKE_EV_SA_DOWN:
	case IKE_EV_SA_REKEYED:
	case IKE_EV_CHILD_UP:
	case IKE_EV_CHILD_DOWN:
	case IKE_EV_CHILD_REKEYED:
	case IKE_EV_LOAD: return true;
	default: return false;
	}
}

static void out_event(struct host *h, const struct ike_event *e)
{
	h->events[e->kind]++;
	h->up += e->kind == IKE_EV_CHILD_UP;
	if (!is_expected(e->kind))
		bench_fail("%s: %s", ike_event_name(e->kind), e->text);
}

/* An operation that was not even queued gets no report (dp.h). */
static void out_op(struct host *h, const struct dp_op *op, struct todo_list *l)
{
	enum part before = profile_enter(PART_DP);
	enum status st = h->dp ? h->dp->ops->submit(h->dp, op) : ST_OK;

	(void)profile_enter(before);
	if (!h->dp || st)
		todo_add(l, (struct todo){ TODO_OP, op->op, NULL, st });
}

static void drain_outputs(struct host *h, struct todo_list *l)
{
	struct ike_out o;

	for (ike_next(h->ike, &o); o.kind != IKE_OUT_NONE; ike_next(h->ike, &o)) {
		switch (o.kind) {
		case IKE_OUT_SEND: out_send(h, &o); break;
		case IKE_OUT_JOB:
			todo_add(l, (struct todo){ TODO_JOB, o.u.job.id, o.u.job.job, ST_OK });
			break;
		case IKE_OUT_DP: out_op(h, o.u.dp, l); break;
		case IKE_OUT_RESOLVE:
			todo_add(l, (struct todo){ TODO_NAME, o.u.resolve.id, NULL, ST_OK });
			break;
		case IKE_OUT_EVENT: out_event(h, o.u.event); break;
		default: break;
		}
	}
}

static void do_job(struct host *h, const struct todo *t)
{
	enum part before = profile_enter(profile_of_job(t->job->kind));
	struct crypto_result r;

	crypto_openssl_run(h->store, t->job, &r);
	(void)profile_enter(before);
	if (r.status)
		bench_fail("%s: %s", crypto_job_name(t->job->kind), r.reason);
	crypto_job_free(t->job);
	ike_job_done(h->ike, h->now, t->id, &r);
	crypto_result_done(&r);
}

static void do_op(struct host *h, const struct todo *t)
{
	struct dp_report r = { .kind = DP_REPORT_DONE };

	r.u.done.op = t->id;
	r.u.done.status = t->status;
	ike_dp(h->ike, h->now, &r);
}

static void do_name(struct host *h, const struct todo *t)
{
	struct ike_address a = { .remote = bench_responder, .local = bench_initiator };

	ike_resolved(h->ike, h->now, t->id, &a, 1);
}

static void do_all(struct host *h, struct todo_list *l)
{
	while (l->n) {
		struct todo t = l->item[l->first];

		l->first = (l->first + 1) % TODO_MAX;
		l->n--;
		switch (t.kind) {
		case TODO_JOB: do_job(h, &t); break;
		case TODO_OP: do_op(h, &t); break;
		case TODO_NAME: do_name(h, &t); break;
		}
		drain_outputs(h, l);
	}
}

static bool next_report(struct host *h, struct dp_report *ret)
{
	enum part before = profile_enter(PART_DP);
	bool there = h->dp && h->dp->ops->report(h->dp, ret);

	(void)profile_enter(before);
	return there;
}

static void drain(struct host *h)
{
	struct todo_list l = { .n = 0 };
	struct dp_report r;

	drain_outputs(h, &l);
	do_all(h, &l);
	while (next_report(h, &r)) {
		ike_dp(h->ike, h->now, &r);
		drain_outputs(h, &l);
		do_all(h, &l);
	}
}

void host_input(struct host *h, const struct bench_datagram *d)
{
	struct ike_datagram in = { .local = d->to,
				   .remote = d->from,
				   .data = bytes_of(d->data, d->n) };

	ike_input(h->ike, h->now, &in);
	drain(h);
}

void host_command(struct host *h, enum ike_cmd_kind kind)
{
	struct ike_cmd cmd = { .kind = kind, .peer = h->peer.id };

	BENCH_NEED(ike_command(h->ike, h->now, &cmd) == ST_OK);
	drain(h);
}

void host_advance(struct host *h, dur_t d)
{
	h->now.mono = mono_add(h->now.mono, d);
	while (!mono_before(h->now.mono, ike_deadline(h->ike))) {
		ike_timer(h->ike, h->now);
		drain(h);
	}
}
