/*
 * A flood of IKE_SA_INIT requests above the threshold (P6, S2): each is answered with a cookie no
 * longer than itself, or counted as malformed, and leaves nothing behind: no allocation, neither of
 * the engine nor of libcrypto, no state, no output but that one answer.  Whoever sends the cookie
 * back gets in all the same.
 */
#include "unit/test_util.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/openssl/crypto_openssl.h"
#include "harness/conf.h"
#include "harness/harness.h"
#include "harness/mem.h"
#include "ike/ike.h"

enum { THRESHOLD = 4, FLOOD = 2000 };

/* ---- libcrypto's allocations --------------------------------------------------------------- */

static unsigned long libcrypto_calls;

static void *count_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	libcrypto_calls++;
	return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	libcrypto_calls++;
	return realloc(p, n);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* ---- a responder on its own, with the real provider ---------------------------------------- */

struct responder {
	struct test_mem mem;
	struct test_conf *conf;
	struct crypto_openssl *provider;
	struct crypto crypto;
	struct now now;
	struct ike *ike;
};

/* The one answer, copied out of the engine. */
struct answer {
	struct endpoint remote;
	size_t n;
	uint8_t data[512];
};

/* At most one datagram may come out; what is answered below the threshold are jobs. */
static bool drain(struct responder *r, struct answer *ret)
{
	struct ike_out o;
	bool sent = false;

	for (ike_next(r->ike, &o); o.kind != IKE_OUT_NONE; ike_next(r->ike, &o)) {
		if (o.kind == IKE_OUT_JOB)
			crypto_job_free(o.u.job.job);
		if (o.kind != IKE_OUT_SEND)
			continue;
		assert_false(sent);
		assert_true(o.u.send.data.n <= sizeof(ret->data));
		sent = true;
		ret->remote = o.u.send.remote;
		ret->n = o.u.send.data.n;
		memcpy(ret->data, o.u.send.data.p, ret->n);
	}
	return sent;
}

static uint64_t counter(const struct responder *r, const char *want)
{
	const char *name;
	uint64_t value;

	for (size_t i = 0; ike_counter(r->ike, i, &name, &value); i++)
		if (strcmp(name, want) == 0)
			return value;
	fail_msg("no counter %s", want);
	return 0;
}

static void responder_done(struct responder *r)
{
	ike_free(r->ike);
	assert_int_equal(r->mem.live, 0);
	ike_conf_unref(&r->conf->conf);
	crypto_openssl_free(r->provider);
}

/* ---- requests ------------------------------------------------------------------------------ */

/* What varies between requests. */
struct request {
	uint64_t n; /* makes SPI, nonce, address and port */
	bool ipv6;
	size_t nonce_len; /* 0: 32 */
	size_t padding; /* of a Vendor ID payload */
	struct bytes cookie;
	struct bytes ke; /* empty: the base point of X25519 */
	bool no_sa, no_ke, no_nonce; /* malformed */
	size_t cut; /* bytes off the end */
};

struct datagram {
	struct ike_datagram d;
	uint8_t data[2048];
};

static void put_sa(struct wire_out *o)
{
	const struct wire_transform t[] = {
		{ WIRE_T_ENCR, CRYPTO_AES_GCM_16, 128, false },
		{ WIRE_T_PRF, CRYPTO_PRF_HMAC_SHA2_256, 0, false },
		{ WIRE_T_KE, CRYPTO_X25519, 0, false },
	};
	const struct wire_proposal p = {
		.number = 1, .proto = WIRE_PROTO_IKE, .transforms = t, .n_transforms = ARRAY_LEN(t)
	};

	wire_put_sa(o, &(struct wire_sa){ &p, 1 });
}

static struct endpoint source(const struct request *q)
{
	struct endpoint e = { .port = (uint16_t)(1024 + q->n % 50000) };
	uint8_t raw[16] = { 0x20, 0x01, 0x0d, 0xb8 };

	store_be32(raw + 12, (uint32_t)q->n);
	e.ip = ip_from_raw(q->ipv6 ? BYTES_OF(raw) : bytes_of(raw + 12, 4));
	return e;
}

static void make(const struct request *q, struct datagram *ret)
{
	static const uint8_t zeros[1024];
	struct wire_hdr h = { .spi_i = q->n + 1,
			      .version = WIRE_IKE_VERSION,
			      .exchange = WIRE_IKE_SA_INIT,
			      .flags = WIRE_FLAG_INITIATOR };
	uint8_t nonce[WIRE_MAX_NONCE + 1] = { 0 };
	uint8_t ke[32] = { 9 };
	struct wire_out o;
	struct bytes msg;

	store_be64(nonce, q->n);
	wire_ike_begin(&o, ret->data, sizeof(ret->data), &h);
	if (q->cookie.n)
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_COOKIE, q->cookie);
	if (!q->no_sa)
		put_sa(&o);
	if (!q->no_ke)
		wire_put_ke(&o, CRYPTO_X25519, q->ke.n ? q->ke : BYTES_OF(ke));
	if (!q->no_nonce)
		wire_put_nonce(&o, bytes_of(nonce, q->nonce_len ? q->nonce_len : 32));
	if (q->padding)
		wire_put_vendor(&o, bytes_of(zeros, q->padding));
	assert_int_equal(wire_ike_end(&o, &msg), ST_OK);
	ret->d = (struct ike_datagram){ .local = test_endpoint("192.0.2.1", 500),
					.remote = source(q),
					.data = bytes_of(msg.p, msg.n - q->cut) };
	/* The header's length has to be the datagram's, else it is refused for that. */
	store_be32(ret->data + 24, (uint32_t)ret->d.data.n);
	if (q->ipv6)
		ret->d.local = test_endpoint("2001:db8::1", 500);
}

static void responder_init(struct responder *r)
{
	static const uint64_t key[2] = { 1, 2 };
	struct answer a;

	*r = (struct responder){
		.now = { .mono = { 1000000000000 }, .wall = { WORLD_WALL }, .wall_ok = true },
	};
	test_mem_init(&r->mem);
	r->conf = test_conf_new();
	r->conf->conf.half_open_cookie = THRESHOLD;
	test_conf_peer(r->conf, 1, "any", NULL, "b.example", "%any", 1);
	assert_int_equal(crypto_openssl_new(&r->provider), ST_OK);
	r->crypto = crypto_openssl_ops(r->provider);
	assert_int_equal(ike_new(&r->mem.alloc, &r->crypto, key, &r->conf->conf, r->now, &r->ike),
			 ST_OK);
	drain(r, &a);
	for (uint64_t i = 0; i < THRESHOLD; i++) {
		struct datagram d;

		make(&(struct request){ .n = 1000000 + i }, &d);
		ike_input(r->ike, r->now, &d.d);
		assert_false(drain(r, &a)); /* a job first */
	}
	assert_int_equal(ike_totals(r->ike).half_open, THRESHOLD);
}

/* ---- what must not change ------------------------------------------------------------------ */

struct state {
	long engine_calls;
	size_t live;
	unsigned long libcrypto;
	struct ike_totals totals;
	mono_t deadline;
};

static struct state state_of(const struct responder *r)
{
	return (struct state){ r->mem.calls, r->mem.live, libcrypto_calls, ike_totals(r->ike),
			       ike_deadline(r->ike) };
}

static void assert_untouched(const struct state *before, const struct state *after)
{
	assert_int_equal(after->engine_calls, before->engine_calls);
	assert_int_equal(after->live, before->live);
	assert_int_equal(after->libcrypto, before->libcrypto);
	assert_int_equal(after->totals.sas, before->totals.sas);
	assert_int_equal(after->totals.half_open, before->totals.half_open);
	assert_int_equal(after->totals.children, before->totals.children);
	assert_int_equal(after->deadline.ns, before->deadline.ns);
}

/* Nothing but N(COOKIE), to the sender, no longer than the request, and no SPI of ours. */
static struct bytes assert_cookie(const struct answer *a, const struct ike_datagram *d)
{
	static uint8_t cookie[64];
	struct wire_ike_msg msg;
	enum wire_fault fault = WIRE_OK;
	struct arena ar;
	size_t n;

	assert_true(endpoint_eq(&a->remote, &d->remote));
	assert_true(a->n <= d->data.n);
	arena_init(&ar, &mem_libc, 1 << 16);
	assert_int_equal(wire_ike_parse(&ar, bytes_of(a->data, a->n), &msg, &fault), ST_OK);
	assert_int_equal(msg.hdr.exchange, WIRE_IKE_SA_INIT);
	assert_int_equal(msg.hdr.flags, WIRE_FLAG_RESPONSE);
	assert_true(msg.hdr.spi_i == load_be64(d->data.p));
	assert_true(msg.hdr.spi_r == 0);
	assert_true(msg.clear.present == WIRE_BIT(WIRE_P_NOTIFY));
	assert_int_equal(msg.clear.n_notifies, 1);
	assert_int_equal(msg.clear.notifies[0].type, WIRE_N_COOKIE);
	n = msg.clear.notifies[0].data.n;
	assert_in_range(n, 1, sizeof(cookie)); /* RFC 7296 section 2.6 */
	memcpy(cookie, msg.clear.notifies[0].data.p, n);
	arena_done(&ar);
	return bytes_of(cookie, n);
}

/* Sends it; true when a cookie came back. */
static bool one_of_the_flood(struct responder *r, const struct request *q)
{
	struct state before = state_of(r), after;
	struct datagram d;
	struct answer a;
	bool answered;

	make(q, &d);
	ike_input(r->ike, r->now, &d.d);
	answered = drain(r, &a);
	after = state_of(r);
	assert_untouched(&before, &after);
	if (answered)
		assert_cookie(&a, &d.d);
	return answered;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void p6_flood_costs_no_memory(void **state)
{
	static const uint8_t wrong[20] = { 1 }, longest[64] = { 2 };
	const struct request row[] = {
		{ .n = 0 },
		{ .ipv6 = true },
		{ .nonce_len = WIRE_MIN_NONCE },
		{ .nonce_len = WIRE_MAX_NONCE },
		{ .padding = 1000 },
		{ .cookie = BYTES_OF(wrong) },
		{ .cookie = BYTES_OF(longest) },
		{ .cookie = bytes_of(longest, 1) },
	};
	struct responder r;
	struct datagram d;
	struct answer a;
	uint64_t sent;

	(void)state;
	responder_init(&r);
	/* The first cookie draws the secrets; drawing random bytes is not part of a flood. */
	make(&row[0], &d);
	ike_input(r.ike, r.now, &d.d);
	assert_true(drain(&r, &a));
	sent = counter(&r, "ike.cookie.sent");
	for (uint64_t i = 1; i <= FLOOD; i++) {
		struct request q = row[i % ARRAY_LEN(row)];

		q.n = i;
		assert_true(one_of_the_flood(&r, &q));
	}
	assert_int_equal(counter(&r, "ike.cookie.sent") - sent, FLOOD);
	assert_int_equal(counter(&r, "ike.cookie.bad"), FLOOD * 3 / ARRAY_LEN(row));
	responder_done(&r);
}

static void p6_malformed_flood_gets_no_answer(void **state)
{
	const struct request row[] = {
		{ .no_sa = true },
		{ .no_ke = true },
		{ .no_nonce = true },
		{ .nonce_len = WIRE_MIN_NONCE - 1 },
		{ .nonce_len = WIRE_MAX_NONCE + 1 },
		{ .cut = 1 },
		{ .cut = 33 }, /* in the middle of the nonce's header */
	};
	struct responder r;

	(void)state;
	responder_init(&r);
	for (uint64_t i = 0; i < FLOOD; i++) {
		struct request q = row[i % ARRAY_LEN(row)];

		q.n = i;
		assert_false(one_of_the_flood(&r, &q));
	}
	assert_int_equal(counter(&r, "ike.rx.bad_init"), FLOOD);
	assert_int_equal(counter(&r, "ike.cookie.sent"), 0);
	responder_done(&r);
}

/* A cookie is for one address, port, SPI and nonce, so nobody gets state with another's. */
static void p6_cookie_of_another_gets_no_state(void **state)
{
	struct responder r;
	struct datagram d;
	struct answer a;

	(void)state;
	responder_init(&r);
	make(&(struct request){ .n = 7 }, &d);
	ike_input(r.ike, r.now, &d.d);
	assert_true(drain(&r, &a));
	for (uint64_t n = 8; n < 8 + FLOOD; n++)
		assert_true(one_of_the_flood(
			&r, &(struct request){ .n = n, .cookie = assert_cookie(&a, &d.d) }));
	assert_int_equal(counter(&r, "ike.cookie.bad"), FLOOD);

	/* Its owner does. */
	make(&(struct request){ .n = 7, .cookie = assert_cookie(&a, &d.d) }, &d);
	ike_input(r.ike, r.now, &d.d);
	assert_int_equal(ike_totals(r.ike).half_open, THRESHOLD + 1);
	drain(&r, &a);
	responder_done(&r);
}

/* A public value that the fake provider takes. */
static struct bytes fake_public(struct crypto_fake *fake)
{
	static struct crypto_result r;
	struct crypto_job *job;

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_KE_GENERATE, &job), ST_OK);
	job->in.ke_generate.group = CRYPTO_X25519;
	crypto_fake_run(fake, job, &r);
	assert_int_equal(r.status, ST_OK);
	crypto_job_free(job);
	return bytes_of(r.ke.pub, r.ke.pub_len);
}

/* A key exchange value that is none costs a job; so it counts as half-open, and a flood of them is
 * answered with cookies like any other. */
static void p6_bad_key_exchange_values_lead_to_cookies(void **state)
{
	static const char *const addresses[] = { "192.0.2.2", NULL };
	static const uint8_t zero[32];
	struct test_conf *c = test_conf_new();
	struct world *w = world_new(7);
	struct node *b;

	(void)state;
	test_conf_peer(c, 1, "a", NULL, "b.example", "a.example", 1);
	c->conf.half_open_cookie = THRESHOLD;
	b = world_node(w, "b", addresses, c);
	for (uint64_t i = 0; i < FLOOD; i++) {
		struct datagram d;

		make(&(struct request){ .n = i, .ke = BYTES_OF(zero) }, &d);
		node_input(b, d.d.remote, 500, d.d.data);
		world_drop_all(w);
	}
	assert_int_equal(b->n_jobs, THRESHOLD);
	assert_int_equal(node_counter(b, "ike.refused.key_exchange"), THRESHOLD);
	assert_int_equal(node_counter(b, "ike.cookie.sent"), FLOOD - THRESHOLD);
	/* It drains. */
	world_advance(w, dur_s(60));
	assert_int_equal(node_sas(b, NULL, 0), 0);
	world_free(w);
}

/* The whole of it: behind the flood an honest initiator is asked for a cookie, and connects. */
static void p6_honest_initiator_gets_in(void **state)
{
	static const char *const a_addresses[] = { "192.0.2.1", NULL };
	static const char *const b_addresses[] = { "192.0.2.2", NULL };
	struct test_conf *ca = test_conf_new(), *cb = test_conf_new();
	struct world *w = world_new(6);
	struct ike_peer_conf *p;
	struct node *a, *b;
	struct bytes ke;

	(void)state;
	p = test_conf_peer(ca, 1, "b", "192.0.2.2", "a.example", "b.example", 1);
	p->ts_local = p->ts_remote = test_conf_ts(ca, "10.0.0.0/8");
	p = test_conf_peer(cb, 1, "a", NULL, "b.example", "a.example", 1);
	p->ts_local = p->ts_remote = test_conf_ts(cb, "10.0.0.0/8");
	cb->conf.half_open_cookie = THRESHOLD;
	a = world_node(w, "a", a_addresses, ca);
	b = world_node(w, "b", b_addresses, cb);
	ke = fake_public(b->fake);
	for (uint64_t i = 0; i < FLOOD; i++) {
		struct datagram d;

		make(&(struct request){ .n = i, .ke = ke }, &d);
		node_input(b, d.d.remote, 500, d.d.data);
		world_drop_all(w);
	}
	assert_int_equal(node_sas(b, NULL, 0), THRESHOLD);
	assert_int_equal(node_counter(b, "ike.cookie.sent"), FLOOD - THRESHOLD);

	assert_int_equal(node_command(a, IKE_CMD_UP, 1), ST_OK);
	world_run(w);
	assert_int_equal(node_counter(b, "ike.cookie.sent"), FLOOD - THRESHOLD + 1);
	assert_int_equal(node_counter(b, "ike.cookie.bad"), 0);
	assert_true(node_sa(a).info.established);
	assert_true(node_sa(b).info.established);
	assert_int_equal(node_child(b)->spi_out, node_child(a)->spi_in);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p6_flood_costs_no_memory),
		cmocka_unit_test(p6_malformed_flood_gets_no_answer),
		cmocka_unit_test(p6_cookie_of_another_gets_no_state),
		cmocka_unit_test(p6_bad_key_exchange_values_lead_to_cookies),
		cmocka_unit_test(p6_honest_initiator_gets_in),
	};

	if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
