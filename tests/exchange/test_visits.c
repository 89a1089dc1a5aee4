/*
 * What status asks of an engine with many peers: pages in the order of ids, from wherever the last
 * one ended, whoever came or went meanwhile; the SAs of one peer alone (R09).
 */
#include "exchange/exchange.h"
#include "harness/star.h"

enum { SITES = 5 };

struct page {
	ike_peer_id id[SITES + 2];
	size_t n, limit;
};

static bool on_peer(void *ctx, const struct ike_peer_info *p)
{
	struct page *g = ctx;

	g->id[g->n++] = p->id;
	return g->n < g->limit;
}

/* At most `limit` from behind `after`; ascending. */
static struct page page_of(const struct node *n, ike_peer_id after, size_t limit)
{
	struct page g = { .limit = limit };

	ike_each_peer(n->ike, n->w->now, after, on_peer, &g);
	for (size_t i = 0; i < g.n; i++)
		assert_true(g.id[i] > (i ? g.id[i - 1] : after));
	return g;
}

static bool on_sa(void *ctx, const struct ike_sa_info *sa)
{
	struct page *g = ctx;

	g->id[g->n++] = sa->peer;
	return true;
}

static size_t sas_of(const struct node *n, ike_peer_id id)
{
	struct page g = { 0 };

	ike_each_sa_of(n->ike, n->w->now, id, on_sa, &g);
	for (size_t i = 0; i < g.n; i++)
		assert_int_equal(g.id[i], id);
	return g.n;
}

static void pages(void **state)
{
	struct node *site[SITES];
	struct page all, rest;
	struct star s;

	(void)state;
	star_init(&s, 1);
	star_hub(&s);
	for (unsigned i = 0; i < SITES; i++)
		site[i] = star_join(&s, i + 1);
	all = page_of(s.hub, 0, SITES + 2);
	assert_int_equal(all.n, SITES + 1);
	assert_int_equal(ike_totals(s.hub->ike).peers, all.n);
	assert_int_equal(all.id[0], STAR_PEER);
	assert_int_equal(sas_of(s.hub, STAR_PEER), 0);
	assert_int_equal(sas_of(s.hub, all.id[SITES] + 1), 0);
	for (unsigned i = 1; i <= SITES; i++)
		assert_int_equal(sas_of(s.hub, all.id[i]), 1);
	/* From behind any of them, and from where there is none: before all, between, behind. */
	for (size_t i = 0; i < all.n; i++) {
		rest = page_of(s.hub, all.id[i], SITES + 2);
		assert_int_equal(rest.n, all.n - 1 - i);
		assert_memory_equal(rest.id, &all.id[i + 1], rest.n * sizeof(rest.id[0]));
		rest = page_of(s.hub, all.id[i] - 1, 1);
		assert_int_equal(rest.n, 1);
		assert_int_equal(rest.id[0], all.id[i]);
	}
	assert_int_equal(page_of(s.hub, all.id[SITES] + 1, 1).n, 0);
	/* The last of a page leaves, and comes back as somebody new. */
	assert_int_equal(node_command(site[2], IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s.w);
	assert_int_equal(sas_of(s.hub, all.id[3]), 0);
	rest = page_of(s.hub, all.id[3], SITES + 2);
	assert_int_equal(rest.n, 2);
	assert_int_equal(rest.id[0], all.id[4]);
	assert_int_equal(node_command(site[2], IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(s.w);
	rest = page_of(s.hub, all.id[3], SITES + 2);
	assert_int_equal(rest.n, 3);
	assert_true(rest.id[2] > all.id[SITES]);
	star_done(&s);
}

/* Sections stand in the file in any order, and reloads bring others in between. */
static void sections(void **state)
{
	static const char *const at[] = { "192.0.2.1", NULL };
	static const struct {
		ike_peer_id file[4]; /* up to 0 */
		ike_peer_id want[4];
	} rows[] = {
		{ { 7, 2, 5 }, { 2, 5, 7 } },
		{ { 7, 3, 2, 5 }, { 2, 3, 5, 7 } },
		{ { 9, 3 }, { 3, 9 } },
		{ { 1, 9 }, { 1, 9 } },
	};
	struct world *w = world_new(2);
	struct node *n = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct test_conf *c = test_conf_new();
		struct page g;
		size_t k;

		for (k = 0; k < 4 && rows[i].file[k]; k++) {
			char name[16];

			snprintf(name, sizeof(name), "p%u.example", (unsigned)rows[i].file[k]);
			test_conf_peer(c, rows[i].file[k], "peer", NULL, "a.example", name, 1);
		}
		if (n)
			node_reconfigure(n, c);
		else
			n = world_node(w, "a", at, c);
		g = page_of(n, 0, 4);
		assert_int_equal(g.n, k);
		assert_memory_equal(g.id, rows[i].want, k * sizeof(g.id[0]));
	}
	world_free(w);
}

/* What a member may have is told for members alone. */
static void authority(void **state)
{
	struct wire_ts_list allowed;
	char buf[256];
	struct text by = TEXT_OF(buf);
	struct arena ar;
	struct star s;

	(void)state;
	star_init(&s, 3);
	star_hub(&s);
	star_join(&s, 1);
	arena_init(&ar, &mem_libc, 1024);
	assert_int_equal(ike_peer_authority(s.hub->ike, STAR_PEER, &ar, &by, &allowed), ST_INVAL);
	assert_int_equal(ike_peer_authority(s.hub->ike, 12345, &ar, &by, &allowed), ST_INVAL);
	assert_int_equal(ike_peer_authority(s.hub->ike, star_member(&s, "site-1.example"), &ar, &by,
					    &allowed),
			 ST_OK);
	assert_int_equal(allowed.n, 1);
	assert_string_equal(buf, "certificate blocks 10.1.0.0/16");
	arena_done(&ar);
	star_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages),
		cmocka_unit_test(sections),
		cmocka_unit_test(authority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
