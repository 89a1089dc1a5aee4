/*
 * inner.h - what the tests of inner addresses share.
 */
#pragma once

#include "exchange/exchange.h"
#include "harness/star.h"
#include "unit/hex.h"
#include "wire/ike/cp.h"

static inline int setup_star(void **state)
{
	static struct star s;

	star_init(&s, 1);
	*state = &s;
	return 0;
}

static inline int teardown_star(void **state)
{
	star_done(*state);
	return 0;
}

#define star_test(fn) cmocka_unit_test_setup_teardown(fn, setup_star, teardown_star)

/* A hub with that pool, and its first endpoint, whose lease the store has not confirmed. */
static inline struct node *stores_first(struct star *s, const char *pool)
{
	struct star_site site;
	struct node *one;

	star_pool(s, pool);
	star_hub(s);
	s->hub->hold = HOLD_STORE;
	site = star_endpoint(s, 1);
	one = star_start(s, &site);
	world_run(s->w);
	return one;
}

/* ---- what a node has ------------------------------------------------------------------------- */

static inline void got_text(const struct node_got *g, bool all, struct text *t)
{
	char buf[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < g->n_addresses; i++)
		text_fmt(t, "%s%s/%u", i ? " " : "", ip_text(&g->addresses[i].ip, buf),
			 g->addresses[i].len);
	if (!all)
		return;
	for (size_t i = 0; i < g->n_dns; i++)
		text_fmt(t, "%s %s", i ? "" : " dns", ip_text(&g->dns[i], buf));
	for (size_t i = 0; i < g->n_domains; i++)
		text_fmt(t, "%s %s", i ? "" : " domains", g->domains[i]);
	for (size_t i = 0; i < g->n_subnets; i++)
		text_fmt(t, "%s %s", i ? "" : " subnets", prefix_text(&g->subnets[i], buf));
}

/* "10.99.0.1/32 fd00:99::1/128 dns ... domains ... subnets ..." */
static inline void has_got(const struct node *n, const char *want)
{
	char buf[1024];
	struct text t = TEXT_OF(buf);

	assert_true(n->got.up);
	got_text(&n->got, true, &t);
	assert_string_equal(buf, want);
}

static inline void has_addresses(const struct node *n, const char *want)
{
	char buf[256];
	struct text t = TEXT_OF(buf);

	got_text(&n->got, false, &t);
	assert_string_equal(buf, want);
	assert_true(n->got.up);
}

static inline void selectors_are(const struct dp_child *c, const char *want)
{
	char buf[512];
	struct text t = TEXT_OF(buf);

	policy_ts_list_text(&t, &c->ts_local);
	text_add(&t, " === ");
	policy_ts_list_text(&t, &c->ts_remote);
	assert_string_equal(buf, want);
}

static inline void child_is(const struct node *n, const char *want)
{
	selectors_are(node_child(n), want);
}

/* `used`: it has SAs, as far as the store knows. */
static inline void stored_as(const struct node *n, const char *identity, const char *v4,
			     const char *v6, bool used)
{
	const struct node_lease *l = node_lease(n, identity);
	struct ip none = { 0 }, want[2] = { v4 ? test_ip(v4) : none, v6 ? test_ip(v6) : none };

	assert_non_null(l);
	assert_true(ip_eq(&l->v4, &want[0]) && ip_eq(&l->v6, &want[1]));
	assert_int_equal(!l->ended.s, used);
}

/* A row of the store, from a life before; `v4`, `v6`: NULL for none. */
static inline void keep(struct node *n, const char *peer, const char *identity, const char *v4,
			const char *v6, int64_t ended)
{
	struct node_lease *l = &n->leases[n->n_leases++];

	*l = (struct node_lease){ .type = WIRE_ID_FQDN, .ended = { ended } };
	snprintf(l->peer, sizeof(l->peer), "%s", peer);
	l->n_id = strlen(identity);
	memcpy(l->id, identity, l->n_id);
	if (v4)
		l->v4 = test_ip(v4);
	if (v6)
		l->v6 = test_ip(v6);
}

static inline void pool_is(const struct star *s, size_t size, size_t taken, size_t leases,
			   size_t in_use)
{
	struct ike_pool_info i;

	assert_true(ike_pool(s->hub->ike, STAR_PEER, &i));
	assert_int_equal(i.v4.size + i.v6.size, size);
	assert_int_equal(size - i.v4.left - i.v6.left, taken);
	assert_int_equal(i.leases, leases);
	assert_int_equal(i.in_use, in_use);
}

/* What the hub has, with another pool; NULL: with none. */
static inline struct test_conf *with_pool(struct star *s, const char *words)
{
	struct test_conf *c = test_conf_copy(s->hub->conf);

	if (words)
		test_conf_pool(c, &c->peer[0], words);
	else
		c->peer[0].n_pool = 0;
	return c;
}

static inline bool star_ping_from(struct star *s, struct node *from, const char *src,
				  struct node *to, const char *dst)
{
	return world_ping_via(s->w, from, src, s->hub, to, dst);
}

/* ---- what a script says -------------------------------------------------------------------- */

static inline struct bytes cp_hex(const char *s)
{
	static uint8_t buf[4096];

	assert_true(strlen(s) / 2 <= sizeof(buf));
	return bytes_of(buf, hex_decode(s, buf) / 2);
}

/* As initiator, up to the answer to IKE_AUTH: with a CP of that type in front of SA. */
static inline void auth_with_cp(struct script *s, uint8_t type, const char *attributes,
				const char *ts_i, const char *ts_r)
{
	script_sa_init(s);
	assert_true(script_exchange(s));
	script_begin(s, WIRE_IKE_AUTH, false);
	script_put_id(s);
	script_put_auth(s);
	wire_put_cp(&s->out, type, cp_hex(attributes));
	script_put_sa(s, s->esp, s->spi_esp);
	script_put_ts(s, ts_i, ts_r);
	script_send(s);
	assert_true(script_exchange(s));
	assert_true(s->opened);
}

/* As initiator: INFORMATIONAL with a CP of that type, up to the answer. */
static inline void inform(struct script *s, uint8_t type, const char *attributes)
{
	script_begin(s, WIRE_INFORMATIONAL, false);
	wire_put_cp(&s->out, type, cp_hex(attributes));
	script_send(s);
	assert_true(script_exchange(s) && s->opened);
}

static inline void check_reply(const struct script *s, const char *want, const char *more)
{
	char all[2048];
	struct bytes bytes;

	assert_true(s->in.present & WIRE_BIT(WIRE_P_CP));
	assert_int_equal(s->in.cp.type, WIRE_CFG_REPLY);
	snprintf(all, sizeof(all), "%s%s", want, more);
	bytes = cp_hex(all);
	assert_int_equal(s->in.cp.attributes.n, bytes.n);
	if (bytes.n)
		assert_memory_equal(s->in.cp.attributes.p, bytes.p, bytes.n);
}

#define reply_is(s, want) check_reply(s, want, "")
