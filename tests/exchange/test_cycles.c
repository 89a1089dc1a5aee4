/*
 * Set up and torn down again and again: what an engine holds afterwards is what it held before, to
 * the byte, with the fake provider and with libcrypto.  Refusals, losses and peers that vanish are
 * cycles as well.
 *
 * WARREN_CYCLES is their number, 2000 of each kind unless it is set; ./check soak runs 10,000.
 */
#include "exchange/exchange.h"

#include <openssl/crypto.h>

#include "crypto/openssl/crypto_openssl.h"

enum {
	CYCLES = 2000,
	WARM_UP = 40, /* hash tables have grown to what they need */
};

static unsigned cycles(void)
{
	const char *word = getenv("WARREN_CYCLES");
	unsigned long n = word ? strtoul(word, NULL, 10) : CYCLES;

	assert_in_range(n, WARM_UP + 1, 10000000);
	return (unsigned)n;
}

/* ---- what libcrypto holds -------------------------------------------------------------------- */

static size_t libcrypto_blocks;

static void *count_malloc(size_t n, const char *file, int line)
{
	void *p = malloc(n);

	(void)file, (void)line;
	libcrypto_blocks += p != NULL;
	return p;
}

static void *count_realloc(void *old, size_t n, const char *file, int line)
{
	void *p = realloc(old, n);

	(void)file, (void)line;
	libcrypto_blocks += !old && p;
	return p;
}

static void count_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	libcrypto_blocks -= p != NULL;
	free(p);
}

/* ---- kinds of cycles ------------------------------------------------------------------------- */

static void command(struct node *n, enum ike_cmd_kind kind)
{
	assert_int_equal(node_command(n, kind, PAIR_PEER), ST_OK);
	world_run(n->w);
}

static void up(struct pair *p)
{
	command(p->a, IKE_CMD_UP);
	assert_true(pair_is_up(p));
}

/* Either end says goodbye, or both at once. */
static void down(struct pair *p, unsigned i)
{
	struct node *const who[] = { p->a, p->b };

	assert_int_equal(node_command(who[i & 1], IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	if (i % 3 == 0)
		assert_int_equal(node_command(who[!(i & 1)], IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(10));
}

static void up_and_down(struct pair *p, unsigned i)
{
	up(p);
	down(p, i);
}

/* Child and IKE SA are replaced, by either end and by both at once, before they go. */
static void up_rekeyed_and_down(struct pair *p, unsigned i)
{
	struct node *const who[] = { p->a, p->b };
	struct node *one = who[i & 1], *other = who[!(i & 1)];

	up(p);
	command(one, IKE_CMD_REKEY_CHILD);
	command(other, IKE_CMD_REKEY_SA);
	assert_int_equal(node_command(one, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	if (i & 2)
		assert_int_equal(node_command(other, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(10));
	command(one, IKE_CMD_REKEY_SA);
	world_live(p->w, dur_s(10));
	assert_true(node_events(one, IKE_EV_CHILD_REKEYED) >= 2);
	assert_true(node_events(one, IKE_EV_SA_REKEYED) >= 2);
	assert_true(pair_is_up(p));
	down(p, i);
}

/* Both want to be connected at the same time: one of two SAs stays, or both go. */
static void from_both_ends(struct pair *p, unsigned i)
{
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	assert_int_equal(node_command(p->b, IKE_CMD_UP, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(10));
	assert_true(pair_is_up(p));
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	down(p, i);
}

/* The i-th datagram of a set-up is lost, or arrives twice. */
static void with_losses(struct pair *p, unsigned i)
{
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	for (unsigned k = i % 4; k > 0; k--)
		deliver_any(p->w);
	if (i & 4)
		world_drop(p->w, world_packet(p->w, 0));
	else
		world_copy(p->w, world_packet(p->w, 0));
	world_live(p->w, dur_s(30));
	assert_true(pair_is_up(p));
	down(p, i);
}

/* One end falls silent: the other gives up after all its tries. */
static void one_vanishes(struct pair *p, unsigned i)
{
	struct node *const who[] = { p->a, p->b };

	up(p);
	who[i & 1]->unplugged = true;
	command(who[!(i & 1)], IKE_CMD_DOWN);
	world_live(p->w, dur_s(60));
	who[i & 1]->unplugged = false;
	down(p, i);
}

static void configure_nothing(struct pair *p)
{
	(void)p;
}

static void configure_cookies(struct pair *p)
{
	pair_certs(p);
	p->cb->conf.half_open_cookie = 0;
	p->ca->conf.force_encap = true;
}

static void configure_wrong_key(struct pair *p)
{
	p->pb->psk = 2;
}

static void refused(struct pair *p, unsigned i)
{
	command(p->a, IKE_CMD_UP);
	assert_int_equal(node_events(p->a, IKE_EV_REFUSED), 1);
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	down(p, 2 * i);
}

struct cycle {
	void (*configure)(struct pair *p);
	void (*once)(struct pair *p, unsigned i);
};

static const struct cycle plain = { configure_nothing, up_and_down };
static const struct cycle rekeyed = { configure_nothing, up_rekeyed_and_down };
static const struct cycle cookies = { configure_cookies, up_and_down };
static const struct cycle member = { pair_network, up_and_down };
static const struct cycle both = { configure_nothing, from_both_ends };
static const struct cycle losses = { configure_cookies, with_losses };
static const struct cycle vanished = { configure_nothing, one_vanishes };
static const struct cycle wrong_key = { configure_wrong_key, refused };

/* ---- many of them ---------------------------------------------------------------------------- */

struct held {
	size_t blocks[2], bytes[2];
};

static struct held held_now(const struct pair *p)
{
	return (struct held){ { p->a->mem.live, p->b->mem.live },
			      { p->a->mem.live_bytes, p->b->mem.live_bytes } };
}

static void check_same(const struct held *before, const struct held *after)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(after->blocks[i], before->blocks[i]);
		assert_int_equal(after->bytes[i], before->bytes[i]);
	}
}

static void one_cycle(struct pair *p, const struct cycle *c, unsigned i)
{
	struct node *const who[] = { p->a, p->b };

	c->once(p, i);
	/* Long enough that nobody remembers the last answer or pauses before the next try. */
	world_live(p->w, dur_s(200));
	assert_true(pair_is_down(p));
	assert_int_equal(world_packets(p->w), 0);
	for (int k = 0; k < 2; k++) {
		for (enum pending_kind kind = PENDING_JOB; kind <= PENDING_REPORT; kind++)
			assert_int_equal(node_held(who[k], kind), 0);
		assert_int_equal(node_events(who[k], IKE_EV_BUG), 0);
		node_forget_events(who[k]);
	}
}

static void run(struct pair *p, const struct cycle *c, unsigned n)
{
	struct held before = { 0 }, after;

	for (unsigned i = 0; i < n; i++) {
		one_cycle(p, c, i);
		if (i == WARM_UP)
			before = held_now(p);
	}
	after = held_now(p);
	check_same(&before, &after);
}

static void nothing_grows(void **state)
{
	const struct cycle *c = *state;
	struct pair p;

	pair_init(&p, 800);
	p.pb->start = IKE_START_LISTEN;
	c->configure(&p);
	pair_start(&p);
	run(&p, c, cycles());
	pair_done(&p);
}

/* ---- with libcrypto -------------------------------------------------------------------------- */

static void run_job(void *ctx, const struct crypto_job *job, struct crypto_result *ret)
{
	crypto_openssl_run(ctx, job, ret);
}

static void start_real(struct pair *p, const struct node_provider *provider)
{
	static const char *const at_a[] = { "192.0.2.1", NULL }, *const at_b[] = { "192.0.2.2",
										   NULL };

	p->a = world_node_bare(p->w, "a", at_a, p->ca);
	p->b = world_node_bare(p->w, "b", at_b, p->cb);
	p->a->provider = p->b->provider = provider;
	assert_int_equal(node_start(p->a), ST_OK);
	assert_int_equal(node_start(p->b), ST_OK);
}

/* A tenth as many: each is a real key exchange. */
static void nothing_grows_in_libcrypto(void **state)
{
	struct crypto_openssl *ops = NULL;
	struct crypto_store *store = NULL;
	struct node_provider provider;
	crypto_ref psk = 0;
	size_t warm, n = cycles() / 10;
	struct pair p;

	(void)state;
	assert_int_equal(crypto_openssl_new(&ops), ST_OK);
	assert_int_equal(crypto_store_new(&store), ST_OK);
	assert_int_equal(
		crypto_store_add_psk(store, "psk", bytes_str("the same at both ends"), &psk),
		ST_OK);
	provider = (struct node_provider){ crypto_openssl_ops(ops), run_job, store };
	pair_init(&p, 801);
	p.pa->psk = p.pb->psk = psk;
	start_real(&p, &provider);
	for (unsigned i = 0; i < WARM_UP; i++)
		one_cycle(&p, &rekeyed, i);
	warm = libcrypto_blocks;
	assert_true(warm > 0);
	run(&p, &rekeyed, (unsigned)n + WARM_UP + 1);
	assert_int_equal(libcrypto_blocks, warm);
	pair_done(&p);
	crypto_store_free(store);
	crypto_openssl_free(ops);
}

#define of(cycle)                                                                                  \
	{                                                                                          \
		"nothing_grows: " #cycle, nothing_grows, NULL, NULL, (void *)(uintptr_t) & (cycle) \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		of(plain),    of(rekeyed),   of(cookies),
		of(member),   of(both),      of(losses),
		of(vanished), of(wrong_key), cmocka_unit_test(nothing_grows_in_libcrypto),
	};

	/* Before libcrypto asked for anything. */
	if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
