/* Things go wrong on our own side: the n-th allocation, job, data-plane operation, store or look-up
 * of a whole life fails.  No leak (the harness looks), no broken invariant (it ends the process at
 * an IKE_EV_BUG), nothing stuck: once things work again both ends find together.
 *
 * A sample of all n, other ones in each life; WARREN_FAULTS=1 asks for every n. */
#include "exchange/exchange.h"

/* What is made to fail at one of the two. */
struct fault {
	bool at_b;
	long alloc, job, op, store; /* -1: none */
	long call; /* of the provider, inline: PRF, hash, sealing, opening; -1: none */
	bool alloc_on; /* this allocation and all after it, for a minute */
	enum status status;
};

static const struct fault no_fault = { .alloc = -1, .job = -1, .op = -1, .store = -1, .call = -1 };

/* A whole life of two ends; what it lets them do is tried with everything failing at least once. */
struct life {
	unsigned seed;
	void (*configure)(struct pair *p);
	void (*live)(struct pair *p);
	long jobs, ops; /* there are at least so many of them at either end */
	const char *counter; /* what this life is about, at b */
};

/* ---- a provider that fails ------------------------------------------------------------------ */

/* The fake one, with its inline calls counted; libcrypto's may fail for want of memory. */
struct provider {
	struct crypto_fake *fake;
	struct crypto behind;
	long calls, fail_at;
	struct node_provider node;
};

static bool fails(struct provider *p)
{
	return p->calls++ == p->fail_at;
}

static bool has(void *ctx, uint8_t type, uint16_t id, uint16_t key_bits)
{
	const struct provider *p = ctx;

	return p->behind.ops->has(p->behind.ctx, type, id, key_bits);
}

static void fill(void *ctx, void *buf, size_t n)
{
	const struct provider *p = ctx;

	p->behind.ops->random(p->behind.ctx, buf, n);
}

static enum status prf(void *ctx, uint16_t id, struct bytes key, const struct bytes *parts,
		       size_t n_parts, uint8_t *ret_out)
{
	struct provider *p = ctx;

	return fails(p) ? ST_NOMEM
			: p->behind.ops->prf(p->behind.ctx, id, key, parts, n_parts, ret_out);
}

static enum status hash(void *ctx, uint16_t id, const struct bytes *parts, size_t n_parts,
			uint8_t *ret_out)
{
	struct provider *p = ctx;

	return fails(p) ? ST_NOMEM
			: p->behind.ops->hash(p->behind.ctx, id, parts, n_parts, ret_out);
}

static enum status seal(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			struct bytes aad, uint8_t *data, size_t n, uint8_t *ret_icv)
{
	struct provider *p = ctx;

	return fails(p) ? ST_NOMEM
			: p->behind.ops->seal(p->behind.ctx, key, iv, aad, data, n, ret_icv);
}

static enum status open(void *ctx, const struct crypto_key *key, const uint8_t *iv,
			struct bytes aad, uint8_t *data, size_t n, const uint8_t *icv)
{
	struct provider *p = ctx;

	return fails(p) ? ST_NOMEM : p->behind.ops->open(p->behind.ctx, key, iv, aad, data, n, icv);
}

static void run_job(void *ctx, const struct crypto_job *job, struct crypto_result *ret)
{
	struct provider *p = ctx;

	crypto_fake_run(p->fake, job, ret);
}

static void provider_init(struct provider *p, long fail_at)
{
	static const struct crypto_ops ops = { has, fill, prf, hash, seal, open };

	*p = (struct provider){ .fail_at = fail_at };
	assert_int_equal(crypto_fake_new(&mem_libc, 1, &p->fake), ST_OK);
	p->behind = crypto_fake_ops(p->fake);
	p->node = (struct node_provider){ { &ops, p }, run_job, p };
}

/* ---- lives ---------------------------------------------------------------------------------- */

static void both_ways(struct pair *p)
{
	dp_fake_interval(p->a->dp);
	dp_fake_interval(p->b->dp);
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	node_packet(p->b, "10.2.0.1", "10.1.0.1");
	world_live(p->w, dur_s(5));
}

/* A set-up with a lost message, liveness, traffic both ways, a new configuration, farewell, again.
 */
static void live_connected(struct pair *p)
{
	if (world_packet(p->w, 0))
		world_drop(p->w, world_packet(p->w, 0));
	world_live(p->w, dur_s(60));
	both_ways(p);
	node_reconfigure(p->a, test_conf_copy(p->ca));
	world_live(p->w, dur_s(5));
	(void)!node_command(p->a, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(20));
	node_packet(p->b, "10.2.0.1", "10.1.0.1");
	world_live(p->w, dur_s(20));
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	world_live(p->w, dur_s(5));
}

static void with_a_key(struct pair *p)
{
	(void)p;
}

static void with_certificates(struct pair *p)
{
	pair_certs(p);
	p->cb->conf.half_open_cookie = 0;
	p->ca->conf.force_encap = true;
}

static void from_both_ends(struct pair *p)
{
	p->pb->start = IKE_START_UP;
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp256");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-ecp256");
}

/* b is the hub of a, which has two prefixes; a pattern leads to it as well. */
static void in_a_network(struct pair *p)
{
	pair_network(p);
	test_conf_cert_blocks(p->ca, p->pa, 11, 100, 100, "10.1.0.0/16 10.7.0.0/16");
	p->pa->ts_local = test_conf_ts(p->ca, "10.1.0.0/16 10.7.0.0/16");
	p->pa->dpd_delay = dur_s(10);
	(void)test_conf_peer(p->cb, PAIR_PEER + 1, "others", NULL, "b.example", "*.others.example",
			     1);
}

/* What the hub grants to a. */
static void grant(struct test_conf *c, const char *prefixes)
{
	struct ike_member_rule r = { test_conf_ident(c, "a.example"), test_conf_ts(c, prefixes) };

	c->peer[0].rules = (const void *)test_conf_dup(c, bytes_of(&r, sizeof(r))).p;
	c->peer[0].n_rules = 1;
}

static void reload(struct pair *p, const char *granted, uint8_t digest)
{
	struct test_conf *c = test_conf_copy(p->cb);

	if (granted)
		grant(c, granted);
	c->peer[0].own_digest[0] ^= digest;
	node_reconfigure(p->b, c);
	world_live(p->w, dur_s(30));
	both_ways(p);
}

/* The hub takes something away, gives it back, changes its certificate, forgets the network. */
static void live_as_a_member(struct pair *p)
{
	struct test_conf *without = test_conf_copy(p->cb);

	world_live(p->w, dur_s(20));
	both_ways(p);
	reload(p, "10.1.0.0/16", 0);
	reload(p, NULL, 0);
	reload(p, NULL, 1);
	without->conf.n_peers = 0;
	node_reconfigure(p->b, without);
	world_live(p->w, dur_s(20));
	node_reconfigure(p->b, test_conf_copy(p->cb));
	world_live(p->w, dur_s(60));
	(void)!node_command(p->b, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(30));
}

/* Names, a NAT whose mapping changes, one address that nobody has, a look-up that fails first. */
static void behind_a_nat(struct pair *p)
{
	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	test_conf_addresses(p->ca, p->pa, "b.test 192.0.2.77");
	p->pa->remote_id = test_conf_ident(p->ca, "*.example");
	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	p->pb->start = IKE_START_LISTEN;
}

static void live_moving(struct pair *p)
{
	world_live(p->w, dur_s(3));
	world_name(p->w, "b.test", "192.0.2.2");
	world_live(p->w, dur_s(60));
	both_ways(p);
	world_nat_forget(p->w);
	both_ways(p);
	/* A machine that starts again has memory. */
	if (p->a->mem.fail_at < 0)
		node_restart(p->a);
	world_live(p->w, dur_s(60));
	both_ways(p);
}

/* Certificates so large that IKE_AUTH goes in fragments (RFC 7383), sealed by AES-CBC and HMAC. */
static void in_fragments(struct pair *p)
{
	static const uint8_t filler[2000];

	pair_certs(p);
	for (int i = 0; i < 2; i++) {
		p->pa->certs[p->pa->n_certs++] = test_conf_dup(p->ca, BYTES_OF(filler));
		p->pb->certs[p->pb->n_certs++] = test_conf_dup(p->cb, BYTES_OF(filler));
	}
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128-sha256-prfsha256-x25519");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128-sha256-prfsha256-x25519");
}

/* The largest packet towards b turns out to be smaller than we took it for. */
static void live_on_a_narrow_path(struct pair *p)
{
	struct dp_report r = { .kind = DP_REPORT_PMTU };

	if (world_packet(p->w, 0))
		world_deliver(p->w, world_packet(p->w, 0));
	if (world_packet(p->w, 0))
		world_deliver(p->w, world_packet(p->w, 0));
	r.u.pmtu.remote = test_endpoint("192.0.2.2", 500);
	r.u.pmtu.mtu = 1300;
	node_report(p->a, &r);
	/* One fragment is late, another one comes twice. */
	if (world_packets(p->w) > 2) {
		world_copy(p->w, world_packet(p->w, 1));
		world_drop(p->w, world_packet(p->w, 0));
	}
	live_connected(p);
}

/* A pre-shared key against quantum computers (RFC 8784), which both insist on. */
static void with_a_ppk(struct pair *p)
{
	static const char id[] = "ppk-1";

	p->pa->ppk = p->pb->ppk = 9;
	p->pa->ppk_id = test_conf_dup(p->ca, bytes_of(id, sizeof(id) - 1));
	p->pb->ppk_id = test_conf_dup(p->cb, bytes_of(id, sizeof(id) - 1));
	p->pa->ppk_required = p->pb->ppk_required = true;
}

/* Child and IKE SA are replaced by both ends, in turn and at once (RFC 7296 section 2.8), one more
 * child is made. */
static void live_rekeyed(struct pair *p)
{
	world_live(p->w, dur_s(5));
	both_ways(p);
	(void)!node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER);
	world_live(p->w, dur_s(10));
	(void)!node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER);
	world_live(p->w, dur_s(10));
	both_ways(p);
	(void)!node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER);
	(void)!node_command(p->b, IKE_CMD_REKEY_CHILD, PAIR_PEER);
	world_live(p->w, dur_s(10));
	(void)!node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER);
	(void)!node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER);
	world_live(p->w, dur_s(10));
	both_ways(p);
	(void)!node_command(p->b, IKE_CMD_NEW_CHILD, PAIR_PEER);
	world_live(p->w, dur_s(10));
	(void)!node_command(p->b, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(30));
}

/* Whom it does not know has to solve a puzzle (RFC 8019). */
static void with_puzzles(struct pair *p)
{
	test_conf_addresses(p->cb, p->pb, "");
	p->pb->start = IKE_START_LISTEN;
	p->cb->conf.half_open_cookie = p->cb->conf.half_open_puzzle = 0;
	p->cb->conf.puzzle_max = 6;
	p->ca->conf.puzzle_solve = p->cb->conf.puzzle_solve = 8;
}

/* The IKE SA begins without a child (RFC 6023), which follows with a key exchange of its own; of
 * the methods that a offers first b takes none (RFC 7296 section 1.3). */
static void childless(struct pair *p)
{
	p->pa->childless = p->pb->childless = IKE_CHILDLESS_FORCE;
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-ecp256-x25519");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes128gcm16-ecp256-x25519");
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes128gcm16-x25519");
}

/* b insists on being shown a's identity again and again (RFC 4478), of which the first time proves
 * the optional PPK as well; then it insists on that more often. */
static void proven_again(struct pair *p)
{
	static const char id[] = "ppk-1";

	pair_certs(p);
	p->pa->ppk = p->pb->ppk = 9;
	p->pa->ppk_id = test_conf_dup(p->ca, bytes_of(id, sizeof(id) - 1));
	p->pb->ppk_id = test_conf_dup(p->cb, bytes_of(id, sizeof(id) - 1));
	p->pb->life.reauth = dur_s(150);
}

static void live_proven_again(struct pair *p)
{
	struct test_conf *c = test_conf_copy(p->cb);

	world_live(p->w, dur_s(200));
	both_ways(p);
	c->peer[0].life.reauth = dur_s(120);
	node_reconfigure(p->b, c);
	world_live(p->w, dur_s(150));
	both_ways(p);
}

/* SAs end by time, at both ends, and children by what they carry as well. */
static void short_lived(struct pair *p)
{
	/* Two who ask at once for a child in place of one that ended would have two. */
	p->pb->start = IKE_START_LISTEN;
	p->ca->conf.keys = p->cb->conf.keys = true;
	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes128gcm16-x25519");
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes128gcm16-x25519");
	p->pa->life = (struct ike_life){ .ike_soft = dur_s(100),
					 .ike_hard = dur_s(130),
					 .child_soft = dur_s(60),
					 .child_hard = dur_s(80) };
	p->pb->life = p->pa->life;
}

static void passed(struct node *n, bool hard)
{
	struct dp_report r = { .kind = DP_REPORT_EXPIRE };

	if (n->n_children == 0)
		return;
	r.u.expire.id = n->child[0].child.id;
	r.u.expire.hard = hard;
	node_report(n, &r);
}

static void live_shortly(struct pair *p)
{
	world_live(p->w, dur_s(5));
	passed(p->a, false);
	world_live(p->w, dur_s(20));
	both_ways(p);
	passed(p->b, true);
	world_live(p->w, dur_s(200));
	both_ways(p);
}

/* Both ends move (RFC 4555), alone and together, into a NAT and out of it, and while an SA is
 * rekeyed; one of them has no network for a while. */
static void on_the_move(struct pair *p)
{
	p->pa->mobike = p->pb->mobike = true;
	p->pb->start = IKE_START_LISTEN;
	test_conf_addresses(p->cb, p->pb, "");
}

static void live_on_the_move(struct pair *p)
{
	node_moves(p->a, "192.0.2.1", "2001:db8::1");
	node_moves(p->b, "192.0.2.2", "2001:db8::2");
	world_live(p->w, dur_s(5));
	node_moves(p->a, "198.51.100.7", NULL);
	both_ways(p);
	(void)!node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER);
	node_moves(p->a, "2001:db8:7::7", NULL);
	world_live(p->w, dur_s(20));
	both_ways(p);
	node_moves(p->b, "192.0.2.2", NULL);
	node_moves(p->a, NULL, NULL);
	world_live(p->w, dur_s(20));
	world_nat(p->w, "10.99.0.5", "203.0.113.1", 40000);
	(void)!node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER);
	node_moves(p->a, "10.99.0.5", "192.0.2.1");
	world_live(p->w, dur_s(20));
	both_ways(p);
	world_nat_forget(p->w);
	world_live(p->w, dur_s(30));
	node_moves(p->a, "192.0.2.1", NULL);
	both_ways(p);
}

/* b gives a inner addresses, and changes its pool; the disk is slow, and answers late. */
static void with_inner_addresses(struct pair *p)
{
	p->pa->ask_v4 = p->pa->ask_v6 = true;
	test_conf_addresses(p->cb, p->pb, "");
	p->pb->start = IKE_START_LISTEN;
	test_conf_pool(p->cb, p->pb, "10.99.0.0/28 fd00:99::/64");
	test_conf_dns(p->cb, p->pb, "10.2.0.53", "corp.example");
	p->pa->childless = IKE_CHILDLESS_ALLOW;
}

static void change_pool(struct pair *p, const char *words)
{
	struct test_conf *c = test_conf_copy(p->cb);

	test_conf_pool(c, &c->peer[0], words);
	node_reconfigure(p->b, c);
}

static void live_with_inner_addresses(struct pair *p)
{
	world_live(p->w, dur_s(20));
	both_ways(p);
	(void)!node_command(p->a, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(20));
	p->b->hold = HOLD_STORE;
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	world_live(p->w, dur_s(5));
	node_release(p->b);
	world_live(p->w, dur_s(60));
	change_pool(p, "10.98.0.0/28");
	p->b->hold = HOLD_STORE;
	world_live(p->w, dur_s(62));
	node_release(p->b);
	world_live(p->w, dur_s(30));
	both_ways(p);
	change_pool(p, "10.99.0.0/28 fd00:99::/64");
	world_live(p->w, dur_s(100));
	/* A machine that starts again has memory. */
	if (p->b->mem.fail_at < 0)
		node_restart(p->b);
	world_live(p->w, dur_s(100));
	both_ways(p);
}

/* Both ends have upper modules that say something now and then, also while the IKE SA is rekeyed,
 * and are slow to answer. */
static void with_words(struct pair *p)
{
	p->pa->capabilities = IKE_CAN_PARTNER;
	p->pb->capabilities = IKE_CAN_HUB;
	p->pa->fragmentation = p->pb->fragmentation = true;
	p->pb->start = IKE_START_LISTEN;
}

/* Whether it can be said now or not. */
static void say(struct node *n, size_t size)
{
	static const uint8_t word[5000];
	uint64_t id;

	(void)!node_ask(n, PAIR_PEER, WIRE_N_SHORTCUT_REPORT, bytes_of(word, size), &id);
}

static void words_both_ways(struct pair *p)
{
	say(p->a, 40);
	say(p->b, 5000);
	say(p->a, 100);
	world_live(p->w, dur_s(20));
}

static void live_with_words(struct pair *p)
{
	world_live(p->w, dur_s(3));
	words_both_ways(p);
	(void)!node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER);
	words_both_ways(p);
	p->a->hold = p->b->hold = HOLD_WORDS;
	say(p->a, 40);
	say(p->b, 40);
	world_live(p->w, dur_s(5));
	(void)!node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER);
	world_live(p->w, dur_s(5));
	node_release(p->a);
	node_release(p->b);
	both_ways(p);
	say(p->a, 40);
	(void)!node_command(p->a, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(20));
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	world_live(p->w, dur_s(5));
	words_both_ways(p);
}

static const struct life a_key = { 600, with_a_key, live_connected, 5, 4, "ike.sa.established" };
static const struct life certificates = { 601, with_certificates, live_connected, 5,
					  4,   "ike.cookie.sent" };
static const struct life both_ends = { 602, from_both_ends,      live_connected, 5,
				       4,   "ike.sa.established" };
static const struct life network = {
	603, in_a_network, live_as_a_member, 5, 4, "ike.sa.established"
};
static const struct life moving = { 604, behind_a_nat, live_moving, 5, 2, "ike.sa.established" };
static const struct life fragments = { 605, in_fragments,      live_on_a_narrow_path, 5,
				       4,   "ike.rx.fragments" };
static const struct life ppk = { 606, with_a_ppk, live_connected, 6, 4, "ike.sa.established" };
static const struct life puzzles = { 607, with_puzzles, live_connected, 5, 4, "ike.puzzle.solved" };
static const struct life no_child = { 609, childless, live_rekeyed, 8, 8, "ike.child.rekeyed" };
static const struct life anew = {
	610, proven_again, live_proven_again, 8, 4, "ike.sa.established"
};
static const struct life by_limits = { 611, short_lived, live_shortly, 8, 8, "ike.sa.rekeyed" };
static const struct life mobile = { 612, on_the_move, live_on_the_move, 5, 5, "ike.moved" };
static const struct life inner = { 613, with_inner_addresses, live_with_inner_addresses, 8,
				   4,   "ike.sa.established" };
static const struct life words = { 614, with_words, live_with_words, 5, 4, "ike.sa.rekeyed" };
static const struct life rekeyed = {
	608, with_certificates, live_rekeyed, 8, 8, "ike.child.rekeyed"
};

/* ---- one life ------------------------------------------------------------------------------- */

static void configure(struct pair *p, const struct life *life)
{
	p->pa->start = IKE_START_UP;
	p->pb->start = IKE_START_TRAFFIC;
	p->pa->dpd_delay = p->pb->dpd_delay = dur_s(10);
	p->pa->keepalive = dur_s(20);
	life->configure(p);
	p->ca->conf.trace = p->cb->conf.trace = true;
}

/* An engine that does not start leaves nothing and starts when it is asked again. */
static void start(struct node *n)
{
	if (node_start(n) == ST_OK)
		return;
	assert_null(n->ike);
	assert_int_equal(n->mem.live, 0);
	n->mem.fail_at = -1;
	assert_int_equal(node_start(n), ST_OK);
}

static void begin(struct pair *p, const struct fault *f, const struct life *life,
		  const struct provider *provider)
{
	static const char *const at_a[] = { "192.0.2.1", NULL }, *const at_b[] = { "192.0.2.2",
										   NULL };
	struct node *n;

	pair_init(p, life->seed);
	configure(p, life);
	p->a = world_node_bare(p->w, "a", at_a, p->ca);
	p->b = world_node_bare(p->w, "b", at_b, p->cb);
	n = f->at_b ? p->b : p->a;
	n->mem.fail_at = f->alloc;
	n->mem.fail_on = f->alloc_on;
	n->fail_job = f->job;
	n->fail_op = f->op;
	n->fail_store = f->store;
	n->fail_status = f->status;
	if (provider)
		n->provider = &provider->node;
	start(p->a);
	start(p->b);
}

/* Things work again; a reload that was refused for want of memory is asked for once more. */
static void heal(struct node *n)
{
	n->mem.fail_at = -1;
	n->fail_job = n->fail_store = -1;
	/* fail_op stays: it tells the harness that a child may be missing. */
	if (n->mem.refused)
		node_reconfigure(n, test_conf_copy(n->conf));
}

struct counted {
	long allocs, jobs, ops, stores, calls;
};

static bool one_life(const struct fault *f, const struct life *life, struct counted *ret)
{
	struct provider provider;
	struct pair p;
	struct node *n;
	bool hit;

	provider_init(&provider, f->call);
	begin(&p, f, life, &provider);
	n = f->at_b ? p.b : p.a;
	life->live(&p);
	*ret = (struct counted){ n->mem.calls, n->n_jobs, n->n_ops, n->n_stores, provider.calls };
	if (f->alloc < 0 && f->job < 0 && f->op < 0 && f->store < 0 && f->call < 0)
		assert_true(node_counter(p.b, life->counter) > 0);
	hit = n->mem.refused > 0 || f->job >= 0 || f->op >= 0 || f->store >= 0;
	heal(n);
	world_live(p.w, dur_s(400));
	/* One SA may just be taking another one's place, where they do not live long. */
	for (int i = 0; i < 60 && !pair_is_up(&p); i++)
		world_live(p.w, dur_s(1));
	if (!pair_is_up(&p))
		print_error(
			"life %u, %s: alloc %ld%s, job %ld, op %ld, store %ld (%s), call %ld: not "
			"up again\n",
			life->seed, f->at_b ? "b" : "a", f->alloc, f->alloc_on ? "+" : "", f->job,
			f->op, f->store, status_name(f->status), f->call);
	assert_true(pair_is_up(&p));
	assert_int_equal(p.a->n_open + p.b->n_open, 0);
	assert_int_equal(node_command(p.a, IKE_CMD_SHUTDOWN, 0), ST_OK);
	assert_int_equal(node_command(p.b, IKE_CMD_SHUTDOWN, 0), ST_OK);
	world_live(p.w, dur_s(300));
	assert_true(pair_is_down(&p));
	pair_done(&p);
	crypto_fake_free(provider.fake);
	return hit;
}

/* How much there is to fail when nothing does. */
static struct counted count(bool at_b, const struct life *life)
{
	struct fault f = no_fault;
	struct counted c;

	f.at_b = at_b;
	assert_false(one_life(&f, life, &c));
	assert_true(c.allocs > 50);
	assert_true(c.jobs >= life->jobs);
	assert_true(c.ops >= life->ops);
	return c;
}

enum what { ALLOCATION, MEMORY, JOB, OPERATION, STORE, CALL };

/* How many of each are tried at either end, unless all are; as many as there are at the least. */
static const long samples[] = {
	[ALLOCATION] = 50, [MEMORY] = 4, [JOB] = 9, [OPERATION] = 9, [STORE] = 9, [CALL] = 16,
};

/* In how many ways a job or an operation fails, in turn. */
enum { WAYS = 3 };

static long all_of(enum what what, const struct counted *c)
{
	switch (what) {
	case ALLOCATION:
	case MEMORY: return c->allocs;
	case JOB: return c->jobs * WAYS;
	case OPERATION: return c->ops * WAYS;
	case STORE: return c->stores;
	default: return c->calls;
	}
}

/* Never a multiple of WAYS, so that none of them is left out. */
static long step(enum what what, long all)
{
	long n = all / samples[what];

	if (getenv("WARREN_FAULTS"))
		return what == MEMORY ? 7 : 1;
	return n < 1 ? 1 : n + (n % WAYS == 0);
}

static struct fault fault_of(enum what what, bool at_b, long k)
{
	static const enum status job[WAYS] = { ST_IO, ST_NOMEM, ST_REFUSE };
	static const enum status op[WAYS] = { ST_IO, ST_NOMEM, ST_INVAL };
	struct fault f = no_fault;

	f.at_b = at_b;
	switch (what) {
	case MEMORY:
	case ALLOCATION:
		f.alloc_on = what == MEMORY;
		f.alloc = k;
		break;
	case JOB:
		f.job = k / WAYS;
		f.status = job[k % WAYS];
		break;
	case OPERATION:
		f.op = k / WAYS;
		f.status = op[k % WAYS];
		break;
	case STORE:
		f.store = k;
		f.status = ST_IO;
		break;
	case CALL: f.call = k; break;
	}
	return f;
}

static void each(const struct life *life, enum what what)
{
	for (int at_b = 0; at_b < 2; at_b++) {
		struct counted c = count(at_b, life);
		long all = all_of(what, &c), by = step(what, all);

		assert_true(all > 5);
		for (long k = (2 * (long)life->seed + at_b) * 5 % by; k < all; k += by) {
			struct fault f = fault_of(what, at_b, k);
			bool hit = one_life(&f, life, &c);

			assert_true(hit || what == ALLOCATION || what == MEMORY || what == CALL);
		}
	}
}

static void allocation_fails(void **state)
{
	each(*state, ALLOCATION);
}

static void memory_runs_out_for_a_while(void **state)
{
	each(*state, MEMORY);
}

static void job_fails(void **state)
{
	each(*state, JOB);
}

static void operation_fails(void **state)
{
	each(*state, OPERATION);
}

/* Only b has something to store. */
static void store_fails(void **state)
{
	const struct life *life = *state;
	struct counted c = count(true, life);

	assert_true(c.stores > 5);
	for (long k = 0; k < c.stores; k++) {
		struct fault f = fault_of(STORE, true, k);

		assert_true(one_life(&f, life, &c));
	}
}

static void call_of_the_provider_fails(void **state)
{
	each(*state, CALL);
}

/* ---- one exchange, with nothing left out ---------------------------------------------------- */

static void rekeys_the_sa(struct pair *p)
{
	(void)!node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER);
	world_live(p->w, dur_s(3));
}

static void rekeys_the_child(struct pair *p)
{
	(void)!node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER);
	world_live(p->w, dur_s(3));
}

/* The answer, which is to be cut smaller as well, comes late. */
static void narrows(struct pair *p)
{
	struct dp_report r = { .kind = DP_REPORT_PMTU };

	node_reconfigure(p->a, test_conf_copy(p->ca));
	(void)!node_command(p->a, IKE_CMD_DOWN, PAIR_PEER);
	world_run(p->w);
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	for (int i = 0; i < 2 && world_packet(p->w, 0); i++)
		world_deliver(p->w, world_packet(p->w, 0));
	r.u.pmtu.remote = test_endpoint("192.0.2.2", 500);
	r.u.pmtu.mtu = 1300;
	node_report(p->a, &r);
	world_drop_all(p->w);
	world_live(p->w, dur_s(5));
}

static void meets_again(struct pair *p)
{
	/* Who was up before is not asked to solve puzzles; a machine that starts again forgets it,
	 * and has memory. */
	if (p->cb->conf.puzzle_max && p->b->mem.fail_at < 0)
		node_restart(p->b);
	(void)!node_command(p->a, IKE_CMD_DOWN, PAIR_PEER);
	world_live(p->w, dur_s(60));
	(void)!node_command(p->a, IKE_CMD_UP, PAIR_PEER);
	world_live(p->w, dur_s(3));
}

static void moves(struct pair *p)
{
	(void)!node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER);
	node_moves(p->a, "198.51.100.7", NULL);
	world_live(p->w, dur_s(5));
	node_moves(p->b, "192.0.2.2", "203.0.113.2");
	world_live(p->w, dur_s(5));
}

/* While the IKE SA is rekeyed, and after that. */
static void speaks(struct pair *p)
{
	(void)!node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER);
	words_both_ways(p);
	world_live(p->w, dur_s(30));
	assert_int_equal(p->a->n_open + p->b->n_open, 0);
	say(p->a, 40);
	say(p->a, 40);
	world_live(p->w, dur_s(30));
	assert_int_equal(p->a->n_open, 0);
}

/* The PPK is optional here, so the initiator proves itself both ways (RFC 8784 section 3). */
static const struct life a_ppk = { 623, proven_again, meets_again, 0, 0, NULL };
static const struct life a_puzzle = { 624, with_puzzles, meets_again, 0, 0, NULL };
static const struct life a_new_sa = { 620, childless, rekeys_the_sa, 0, 0, NULL };
static const struct life a_new_child = { 621, childless, rekeys_the_child, 0, 0, NULL };
static const struct life a_word = { 626, with_words, speaks, 0, 0, NULL };
static const struct life a_move = { 625, on_the_move, moves, 0, 0, NULL };
static const struct life a_narrow_path = { 622, in_fragments, narrows, 0, 0, NULL };

/* The n-th allocation, call of the provider or job from when it was up; false: there are no more.
 */
static bool one_exchange(const struct life *life, bool at_b, enum what what, long nth)
{
	struct fault f = no_fault;
	struct provider provider;
	struct pair p;
	struct node *n;
	bool hit;

	f.at_b = at_b;
	f.status = ST_IO;
	provider_init(&provider, -1);
	begin(&p, &f, life, &provider);
	world_live(p.w, dur_s(5));
	assert_true(pair_is_up(&p));
	n = at_b ? p.b : p.a;
	if (what == CALL)
		provider.fail_at = provider.calls + nth;
	else if (what == JOB)
		n->fail_job = n->n_jobs + nth;
	else
		n->mem.fail_at = n->mem.calls + nth;
	life->live(&p);
	hit = what == CALL  ? provider.calls > provider.fail_at
	      : what == JOB ? n->n_jobs > n->fail_job
			    : n->mem.refused > 0;
	heal(n);
	world_live(p.w, dur_s(400));
	assert_true(pair_is_up(&p));
	pair_done(&p);
	crypto_fake_free(provider.fake);
	return hit;
}

static void everything_in_it_fails(void **state)
{
	static const enum what whats[] = { ALLOCATION, JOB, CALL };

	for (size_t i = 0; i < 2 * ARRAY_LEN(whats); i++) {
		long n = 0;

		while (one_exchange(*state, i & 1, whats[i / 2], n))
			n++;
		assert_true(n > 0);
	}
}

/* ---- single faults, step by step ------------------------------------------------------------ */

/* The data plane refuses the child: the operator hears it, the peer is told, no child is left. */
static void child_not_installed(void **state)
{
	struct pair *p = *state;

	pair_start(p);
	p->b->fail_op = p->b->n_ops;
	p->b->fail_status = ST_IO;
	connect(p->a);
	world_run(p->w);
	assert_int_equal(node_events(p->b, IKE_EV_DATAPLANE), 1);
	assert_int_equal(node_counter(p->b, "ike.host.dataplane_failed"), 1);
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	assert_int_equal(ike_totals(p->a->ike).children + ike_totals(p->b->ike).children, 0);
}

/* The same for a peer that is wanted up: it is tried again, whoever's data plane it was. */
static void wanted_child_comes_back(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++) {
		struct pair p;
		struct node *n;

		pair_init(&p, 650 + (unsigned)who);
		p.pa->start = IKE_START_UP;
		pair_start(&p);
		n = who ? p.b : p.a;
		n->fail_op = n->n_ops;
		world_live(p.w, dur_s(200));
		assert_int_equal(node_events(n, IKE_EV_DATAPLANE), 1);
		assert_true(pair_is_up(&p));
		pair_done(&p);
	}
}

/* The answer of the data plane comes late, or after the child is gone. */
static void slow_data_plane(void **state)
{
	struct pair *p = *state;

	pair_start(p);
	p->a->hold = p->b->hold = HOLD_DP;
	connect(p->a);
	world_run(p->w);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_UP), 0);
	assert_int_equal(node_held(p->a, PENDING_DONE), 1);
	/* b leaves before its own data plane answered. */
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_run(p->w);
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	node_release(p->a);
	node_release(p->b);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_UP), 0);
	settle(p);
	assert_true(pair_is_down(p));
}

/* Without its trap nobody would hear the traffic that starts a tunnel. */
static void refused_trap_is_asked_for_again(void **state)
{
	struct pair *p = *state;

	p->pa->start = IKE_START_TRAFFIC;
	pair_start_b(p);
	p->a = world_node_bare(p->w, "a", (const char *const[]){ "192.0.2.1", NULL }, p->ca);
	p->a->fail_op = 0;
	assert_int_equal(node_start(p->a), ST_OK);
	assert_null(node_trap(p->a, PAIR_PEER));
	assert_int_equal(node_events(p->a, IKE_EV_DATAPLANE), 1);
	world_live(p->w, dur_s(5));
	assert_non_null(node_trap(p->a, PAIR_PEER));
	node_packet(p->a, "10.1.0.1", "10.2.0.1");
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* A child that cannot follow its peer to another address is of no use; another one is. */
static void refused_address(void **state)
{
	struct pair *p = *state;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	world_nat_forget(p->w);
	p->b->fail_op = p->b->n_ops;
	assert_true(world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1"));
	world_run(p->w);
	says(p->b, IKE_EV_DATAPLANE, "refused the child's new address");
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	world_live(p->w, dur_s(30));
	assert_true(pair_is_up(p));
}

#define one(fn, life)                                                                              \
	{                                                                                          \
#fn ": " #life, fn, NULL, NULL, (void *)(uintptr_t) & (life)                       \
	}
#define each_fault(life)                                                                           \
	one(allocation_fails, life), one(memory_runs_out_for_a_while, life), one(job_fails, life), \
		one(operation_fails, life), one(call_of_the_provider_fails, life)

/* With an argument: only tests of such a name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		each_fault(a_key),
		each_fault(certificates),
		each_fault(both_ends),
		each_fault(network),
		each_fault(moving),
		each_fault(fragments),
		each_fault(ppk),
		each_fault(puzzles),
		each_fault(rekeyed),
		each_fault(no_child),
		each_fault(anew),
		each_fault(by_limits),
		each_fault(mobile),
		each_fault(inner),
		each_fault(words),
		one(store_fails, inner),
		one(everything_in_it_fails, a_ppk),
		one(everything_in_it_fails, a_puzzle),
		one(everything_in_it_fails, a_new_sa),
		one(everything_in_it_fails, a_new_child),
		one(everything_in_it_fails, a_narrow_path),
		one(everything_in_it_fails, a_move),
		one(everything_in_it_fails, a_word),
		pair_test(child_not_installed),
		cmocka_unit_test(wanted_child_comes_back),
		pair_test(slow_data_plane),
		pair_test(refused_trap_is_asked_for_again),
		pair_test(refused_address),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
