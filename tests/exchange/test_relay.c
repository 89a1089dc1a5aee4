/* Suggestions for members of two hubs: at once, with losses, without memory, and what hubs say that
 * they may not. */
#include "exchange/cities.h"
#include "wire/mesh/wire_mesh.h"

static int setup(void **state)
{
	static struct cities t;

	cities_init(&t, 62);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	cities_done(*state);
	return 0;
}

#define CITY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void two_towns(struct cities *t)
{
	two_cities(t);
	(void)town_joins(t, 1, 1);
	(void)town_joins(t, 2, 2);
	world_live(t->w, dur_s(1));
}

/* ---- at once --------------------------------------------------------------------------------- */

/* U2, R09: both hubs suggest in the same moment: one tunnel comes of it. */
static void test_both_hubs_suggest(void **state)
{
	struct cities *t = *state;

	two_cities(t);
	(void)town_joins(t, 1, 2);
	(void)town_joins(t, 2, 1);
	world_live(t->w, dur_s(1));
	/* The first hub gives the other one a second to begin; that one sees nothing until then. */
	assert_true(world_ping_via(t->w, t->site[2], "10.2.0.1", t->hub[1].node, t->hub[2].node,
				   "10.1.0.1"));
	while (node_counter(t->hub[1].node, "mesh.suggested") == 0)
		assert_true(world_timer(t->w));
	assert_int_equal(node_counter(t->hub[2].node, "mesh.relayed"), 0);
	assert_true(cities_ping(t, 2, t->hub[1].node, t->hub[2].node, 1));
	assert_int_equal(node_counter(t->hub[2].node, "mesh.suggested"), 1);
	world_live(t->w, dur_s(5));
	assert_true(cities_direct(t, 1, 2));
	assert_int_equal(node_counter(t->site[1], "mesh.direct"), 1);
	assert_int_equal(node_counter(t->site[2], "mesh.direct"), 1);
	assert_string_equal(node_pair_state(t->hub[1].node, town_name(1), town_name(2)), "up");
	assert_string_equal(node_pair_state(t->hub[2].node, town_name(1), town_name(2)), "up");
}

/* ---- post-quantum ---------------------------------------------------------------------------- */

static void has_ppk(struct ike_peer_conf *p)
{
	p->ppk = 5;
	p->ppk_id = bytes_str("x");
}

enum hop { ALL_HOPS, FIRST_SITE, BETWEEN_HUBS, SECOND_SITE, HOPS };

/* All SAs have a PPK but that of one hop. */
static void two_towns_but(struct cities *t, enum hop without)
{
	city_new(t, 1);
	city_new(t, 2);
	for (unsigned k = 1; k <= 2; k++)
		has_ppk(t->hub[k].p);
	if (without == BETWEEN_HUBS)
		(void)city_calls(t, 1, 2);
	else
		has_ppk(city_calls(t, 1, 2));
	city_start(t, 2);
	city_start(t, 1);
	world_live(t->w, dur_s(2));
	for (unsigned n = 1; n <= 2; n++) {
		struct town_site s = town_new(n, city_address(n));

		if (without != (n == 1 ? FIRST_SITE : SECOND_SITE))
			has_ppk(s.p);
		(void)town_start(t, n, &s);
	}
	world_live(t->w, dur_s(2));
}

static bool is_flagged(const struct node *site, const char *partner)
{
	struct node_shortcut s;

	assert_true(node_shortcut(site, partner, &s));
	assert_true(s.info.up);
	return s.info.post_quantum;
}

/* S4: a suggestion by two hubs says so at both ends, if all of its way was. */
static void test_post_quantum(void **state)
{
	(void)state;
	for (enum hop without = ALL_HOPS; without < HOPS; without++) {
		struct cities t;

		cities_init(&t, 70 + without);
		two_towns_but(&t, without);
		assert_true(cities_ping(&t, 1, t.hub[1].node, t.hub[2].node, 2));
		world_live(t.w, dur_s(5));
		assert_int_equal(is_flagged(t.site[1], town_name(2)), without == ALL_HOPS);
		assert_int_equal(is_flagged(t.site[2], town_name(1)), without == ALL_HOPS);
		cities_done(&t);
	}
}

/* ---- WITHDRAW without an id ------------------------------------------------------------------ */

static void withdraw_all(struct cities *t, const char *own, const char *partner)
{
	struct wire_mesh m = { .present = WIRE_MESH_BIT(REASON) | WIRE_MESH_BIT(PARTNER_ID) |
					  WIRE_MESH_BIT(OWN_ID) | WIRE_MESH_BIT(CONTEXT),
			       .reason = WIRE_MR_POLICY,
			       .own = { WIRE_ID_FQDN, bytes_str(own) },
			       .partner = { WIRE_ID_FQDN, bytes_str(partner) },
			       .context = bytes_str("corp") };
	uint8_t buf[512];
	struct wr w = wr_of(buf, sizeof(buf));
	uint64_t id;

	wire_mesh_put(&w, &m);
	assert_int_equal(node_ask(t->hub[1].node, STAR_PEER + 1, WIRE_N_SHORTCUT_WITHDRAW,
				  wr_bytes_of(&w), &id),
			 ST_OK);
	world_live(t->w, dur_s(1));
}

/* R13: it reaches a member at another hub, also when that hub knows of no tunnel. */
static void test_withdraw_without_an_id(void **state)
{
	struct cities *t = *state;
	struct node_shortcut s;

	two_towns(t);
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2));
	world_live(t->w, dur_s(5));
	withdraw_all(t, town_name(1), town_name(2));
	assert_int_equal(node_counter(t->hub[2].node, "mesh.refused.identity"), 1);
	assert_true(cities_direct(t, 1, 2));
	withdraw_all(t, town_name(2), "nobody.example");
	assert_true(cities_direct(t, 1, 2));
	node_kill(t->site[1]);
	withdraw_all(t, town_name(2), town_name(1));
	assert_true(node_shortcut(t->site[2], town_name(1), &s));
	assert_string_equal(s.info.state, "ended");
	assert_int_equal(s.info.reason, WIRE_MR_POLICY);
}

/* ---- a hub dies ---------------------------------------------------------------------------- */

static bool settled(const struct node *site, const char *partner)
{
	const char *s = node_shortcut_state(site, partner);

	return !*s || !strcmp(s, "up") || !strcmp(s, "failed") || !strcmp(s, "ended");
}

/* R02: a hub dies after each datagram: both ends come to an end, the same one. */
static void killed(unsigned k)
{
	bool more = true;
	unsigned n;

	for (n = 0; more; n++) {
		struct cities t;

		cities_init(&t, 63);
		two_towns(&t);
		assert_true(cities_ping(&t, 1, t.hub[1].node, t.hub[2].node, 2));
		for (unsigned i = 0; i < n && world_packets(t.w); i++)
			world_deliver(t.w, world_packet(t.w, 0));
		more = world_packets(t.w);
		node_kill(t.hub[k].node);
		world_live(t.w, dur_s(20));
		assert_true(settled(t.site[1], town_name(2)) && settled(t.site[2], town_name(1)));
		if (!strcmp(node_shortcut_state(t.site[1], town_name(2)), "up"))
			assert_true(cities_direct(&t, 1, 2));
		cities_done(&t);
		assert_in_range(n, 0, 200);
	}
	print_message("# %u datagrams\n", n);
}

static void test_hub_of_the_first_dies(void **state)
{
	(void)state;
	killed(1);
}

static void test_hub_of_the_second_dies(void **state)
{
	(void)state;
	killed(2);
}

/* R11: who does not answer keeps two hubs from talking for a moment, and once. */
static void test_slow_member(void **state)
{
	struct cities *t = *state;
	struct node_pair pair;

	two_towns(t);
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2));
	t->site[2]->unplugged = true;
	world_live(t->w, dur_ms(3500));
	assert_true(node_pair(t->hub[1].node, town_name(1), town_name(2), &pair));
	assert_string_equal(pair.info.state, "failed");
	assert_int_equal(pair.info.reason, WIRE_MR_NO_ANSWER);
	world_live(t->w, dur_s(10));
	(void)world_ping_via(t->w, t->site[1], "10.1.0.1", t->hub[1].node, t->hub[2].node,
			     "10.2.0.1");
	world_live(t->w, dur_ms(100));
	assert_true(node_pair(t->hub[1].node, town_name(1), town_name(2), &pair));
	assert_string_equal(pair.info.state, "failed");
	assert_int_equal(pair.info.reason, WIRE_MR_LIMIT);
	t->site[2]->unplugged = false;
	world_live(t->w, dur_s(60));
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2));
	world_live(t->w, dur_s(15));
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2) || cities_direct(t, 1, 2));
	world_live(t->w, dur_s(5));
	assert_true(cities_direct(t, 1, 2));
}

/* ---- memory -------------------------------------------------------------------------------- */

/* R11: each allocation of a hub fails once; a while later there is a tunnel all the same. */
static void starved(unsigned k)
{
	bool more = true;
	long n;

	for (n = 0; more; n++) {
		struct cities t;
		struct test_mem *mem;

		cities_init(&t, 64);
		two_cities(&t);
		mem = &t.hub[k].node->mem;
		mem->fail_at = mem->calls + n;
		for (unsigned i = 1; i <= 2; i++) {
			struct town_site s = town_new(i, city_address(i));

			(void)town_start(&t, i, &s);
			world_live(t.w, dur_s(2));
		}
		(void)world_ping_via(t.w, t.site[1], "10.1.0.1", t.hub[1].node, t.hub[2].node,
				     "10.2.0.1");
		world_live(t.w, dur_s(1));
		more = mem->refused > 0;
		mem->fail_at = -1;
		world_live(t.w, dur_s(90));
		assert_true(cities_ping(&t, 1, t.hub[1].node, t.hub[2].node, 2) ||
			    cities_direct(&t, 1, 2));
		world_live(t.w, dur_s(15));
		assert_true(cities_direct(&t, 1, 2) ||
			    cities_ping(&t, 1, t.hub[1].node, t.hub[2].node, 2));
		world_live(t.w, dur_s(15));
		assert_true(cities_direct(&t, 1, 2));
		cities_done(&t);
		assert_in_range(n, 0, 2000);
	}
	print_message("# %ld allocations\n", n);
}

static void test_first_hub_without_memory(void **state)
{
	(void)state;
	starved(1);
}

static void test_second_hub_without_memory(void **state)
{
	(void)state;
	starved(2);
}

/* ---- what another hub says ----------------------------------------------------------------- */

/* Hub 2 has no mesh: its words are the test's. */
struct puppet {
	struct cities *t;
	struct arena ar;
	ike_peer_id peer; /* hub 1 */
	uint64_t sequence;
};

static bool is_hub1(void *ctx, const struct ike_peer_info *info)
{
	struct puppet *p = ctx;

	if (strcmp(info->name, city_name(1)) == 0)
		p->peer = info->id;
	return true;
}

static void puppet(struct puppet *p, struct cities *t)
{
	struct city *h = &t->hub[2];

	*p = (struct puppet){ .t = t, .sequence = 100 };
	arena_init(&p->ar, &mem_libc, 1 << 24);
	city_new(t, 1);
	(void)city_calls(t, 1, 2);
	city_new(t, 2);
	h->c->meshed = false;
	city_start(t, 2);
	city_start(t, 1);
	world_live(t->w, dur_s(1));
	ike_each_peer(h->node->ike, t->w->now, 0, is_hub1, p);
	assert_true(p->peer != 0);
}

static struct wire_mesh_member puppet_member(struct puppet *p, const char *name, const char *prefix,
					     uint64_t epoch)
{
	struct wire_ts *ts = arena_new(&p->ar, sizeof(*ts));
	char buf[64];
	struct text why = TEXT_OF(buf);

	assert_int_equal(policy_ts_parse(prefix, &why, ts), ST_OK);
	return (struct wire_mesh_member){ .op = WIRE_MESH_MEMBER_UP,
					  .epoch = epoch,
					  .boot = 7,
					  .capabilities = IKE_CAN_PARTNER,
					  .id = { WIRE_ID_FQDN, bytes_str(name) },
					  .ts = { { IKE_AUTHORITY_CERT, { ts, 1, 0 } } },
					  .n_ts = 1 };
}

/* What hub 1 answers. */
static struct wire_mesh puppet_asks(struct puppet *p, uint16_t kind, const struct wire_mesh *word)
{
	static uint8_t buf[WIRE_MESH_MAX];
	struct wire_mesh answer;
	struct node *node = p->t->hub[2].node;
	enum wire_mesh_fault fault = WIRE_MF_OK;
	const struct node_word *w;
	struct wr wr = wr_of(buf, sizeof(buf));
	uint64_t id;

	wire_mesh_put(&wr, word);
	assert_int_equal(node_ask(node, p->peer, kind, wr_bytes_of(&wr), &id), ST_OK);
	world_run(p->t->w);
	w = node_answered(node);
	assert_non_null(w);
	assert_int_equal(
		wire_mesh_parse(&p->ar, w->notify, bytes_of(w->data, w->n), &answer, &fault),
		ST_OK);
	return answer;
}

static struct wire_mesh puppet_says(struct puppet *p, const struct wire_mesh_member *v, size_t n)
{
	const struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) |
						   WIRE_MESH_BIT(CONTEXT) | WIRE_MESH_BIT(MEMBER),
					.context = bytes_str("corp"),
					.sequence = p->sequence++,
					.members = v,
					.n_members = n };

	return puppet_asks(p, WIRE_N_SHORTCUT_DIRECTORY, &word);
}

/* S1, A1: what is beyond the sender's certificate, or about hubs, is left out, and the rest taken.
 */
static void test_entries_beyond_authority(void **state)
{
	struct cities *t = *state;
	struct puppet p;
	struct wire_mesh_member v[6];

	puppet(&p, t);
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	v[1] = puppet_member(&p, "good.example", "10.7.0.0/16", 1000);
	v[2] = puppet_member(&p, "bad.example", "172.16.0.0/12", 1000);
	v[3] = puppet_member(&p, "hub-1.example", "10.8.0.0/16", 1000);
	v[4] = puppet_member(&p, "hub-2.example", "10.8.0.0/16", 1000);
	v[5] = puppet_member(&p, "late.example", "10.9.0.0/16", UINT64_MAX);
	assert_int_equal(puppet_says(&p, v, 6).reason, 0);
	assert_string_equal(directory(t->hub[1].node), "good.example@hub-2.example");
	assert_int_equal(node_counter(t->hub[1].node, "mesh.rx.directory_refused"), 4);
	arena_done(&p.ar);
}

/* R09: a hole is no word, and all is said anew; what is not said again goes. */
static void test_hole(void **state)
{
	struct cities *t = *state;
	struct puppet p;
	struct wire_mesh_member v[3];

	puppet(&p, t);
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	v[1] = puppet_member(&p, "one.example", "10.7.0.0/16", 1000);
	v[2] = puppet_member(&p, "two.example", "10.8.0.0/16", 1000);
	assert_int_equal(puppet_says(&p, v, 3).reason, 0);
	p.sequence++;
	assert_int_equal(puppet_says(&p, v + 2, 1).reason, WIRE_MR_OLDER);
	assert_int_equal(puppet_says(&p, v + 2, 1).reason, WIRE_MR_OLDER);
	assert_int_equal(node_counter(t->hub[1].node, "mesh.rx.directory_hole"), 2);
	assert_int_equal(puppet_says(&p, v, 2).reason, 0);
	assert_string_equal(directory(t->hub[1].node),
			    "one.example@hub-2.example two.example@hub-2.example");
	world_live(t->w, dur_s(61));
	assert_string_equal(directory(t->hub[1].node), "one.example@hub-2.example");
	v[1].op = WIRE_MESH_MEMBER_GONE;
	v[1].n_ts = 0;
	assert_int_equal(puppet_says(&p, v + 1, 1).reason, 0);
	assert_string_equal(directory(t->hub[1].node), "");
	arena_done(&p.ar);
}

/* A suggestion for site 1 and that member, taken back at once; true: it was passed on. */
static bool puppet_suggests(struct puppet *p, const struct wire_mesh_member *v, uint16_t number)
{
	static const uint8_t secret[WIRE_MESH_SECRET] = { 1 };
	struct wire_ts own = p->t->site[1]->conf->conf.peers[0].ts_local.ts[0];
	struct wire_mesh answer, word = {
		.id = { 1, (uint8_t)(number >> 8), (uint8_t)number },
		.present = WIRE_MESH_BIT(SECRET) | WIRE_MESH_BIT(PARTNER_ID) |
			   WIRE_MESH_BIT(OWN_ID) | WIRE_MESH_BIT(TS_REMOTE) |
			   WIRE_MESH_BIT(TS_LOCAL) | WIRE_MESH_BIT(CONTEXT) |
			   WIRE_MESH_BIT(LIFETIME),
		.secret = secret,
		.partner = v->id,
		.own = { WIRE_ID_FQDN, bytes_str(town_name(1)) },
		.ts_remote = { v->ts[0] },
		.n_ts_remote = 1,
		.ts_local = { { IKE_AUTHORITY_CERT, { &own, 1, 0 } } },
		.n_ts_local = 1,
		.context = bytes_str("corp"),
		.lifetime_s = WIRE_MESH_LIFETIME_MIN,
	};

	answer = puppet_asks(p, WIRE_N_SHORTCUT_RELAY, &word);
	if (WIRE_MESH_HAS(&answer, REASON) && answer.reason == WIRE_MR_LIMIT)
		return false;
	word.present = WIRE_MESH_BIT(REASON);
	word.reason = WIRE_MR_WITHDRAWN;
	(void)puppet_asks(p, WIRE_N_SHORTCUT_WITHDRAW, &word);
	return true;
}

/* R05: another hub, however many members it invents and however fast it takes back what it
 * suggests, has a share of what a member here looks at. */
static void test_flood_of_relays(void **state)
{
	struct cities *t = *state;
	struct puppet p;
	struct wire_mesh_member v[9];
	char name[8][24], prefix[8][24];
	uint64_t heard;
	uint16_t n = 0;
	unsigned taken = 0;

	puppet(&p, t);
	(void)town_joins(t, 1, 1);
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name[i], sizeof(name[i]), "invented-%u.example", i);
		snprintf(prefix[i], sizeof(prefix[i]), "10.%u.0.0/16", 100 + i);
		v[1 + i] = puppet_member(&p, name[i], prefix[i], 1000);
	}
	assert_int_equal(puppet_says(&p, v, 9).reason, 0);
	heard = node_counter(t->site[1], "mesh.rx.words");
	for (; n < 2 * MESH_RELAYS; n++)
		taken += puppet_suggests(&p, &v[1 + n % 8], n);
	assert_int_equal(taken, MESH_RELAYS);
	/* With what takes it back, as far as it was said. */
	assert_in_range(node_counter(t->site[1], "mesh.rx.words") - heard, taken, 2 * taken);
	world_live(t->w, dur_s(1));
	for (; n < 4 * MESH_RELAYS; n++)
		taken += puppet_suggests(&p, &v[1 + n % 8], n);
	assert_int_equal(taken, MESH_RELAYS + MESH_RELAYS_PER_S);
	arena_done(&p.ar);
}

/* R09: of one identity that attachment counts that is the latest, whichever is heard of first. */
static void test_latest_attachment(void **state)
{
	struct cities *t = *state;
	const uint64_t now = (uint64_t)WORLD_WALL * 1000;
	struct puppet p;
	struct wire_mesh_member v[2];

	puppet(&p, t);
	(void)town_joins(t, 1, 1);
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	v[1] = puppet_member(&p, town_name(1), "10.1.0.0/16", now - 1000);
	assert_int_equal(puppet_says(&p, v, 2).reason, 0);
	assert_string_equal(directory(t->hub[1].node), "site-1.example");
	v[1].epoch = now + 60000;
	assert_int_equal(puppet_says(&p, v + 1, 1).reason, 0);
	assert_string_equal(directory(t->hub[1].node), "site-1.example!hub-2.example");
	v[1].op = WIRE_MESH_MEMBER_GONE;
	v[1].n_ts = 0;
	assert_int_equal(puppet_says(&p, v + 1, 1).reason, 0);
	assert_string_equal(directory(t->hub[1].node), "site-1.example");
	arena_done(&p.ar);
}

struct seen_epoch {
	const char *name;
	uint64_t epoch;
};

static bool look_at_epoch(void *ctx, const struct mesh_member_info *info)
{
	struct seen_epoch *s = ctx;

	if (info->identity.data.n == strlen(s->name) &&
	    memcmp(info->identity.data.p, s->name, info->identity.data.n) == 0)
		s->epoch = info->epoch;
	return true;
}

/* R09: a member was elsewhere for a moment, which is over before we hear of it: the other hub has
 * forgotten that it is here, and is told. */
static void test_gone_before_it_came(void **state)
{
	struct cities *t = *state;
	const uint64_t later = (uint64_t)WORLD_WALL * 1000 + 60000;
	struct seen_epoch seen = { .name = town_name(1) };
	struct puppet p;
	struct wire_mesh_member v[2];

	puppet(&p, t);
	(void)town_joins(t, 1, 1);
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	v[1] = puppet_member(&p, town_name(1), "10.1.0.0/16", later);
	v[1].op = WIRE_MESH_MEMBER_GONE;
	v[1].n_ts = 0;
	assert_int_equal(puppet_says(&p, v, 2).reason, 0);
	assert_string_equal(directory(t->hub[1].node), "site-1.example");
	mesh_each_member(t->hub[1].node->mesh, look_at_epoch, &seen);
	assert_true(seen.epoch > later);
	arena_done(&p.ar);
}

/* R11: two that are both at another hub are that hub's. */
static void test_pair_that_is_elsewhere(void **state)
{
	struct cities *t = *state;
	const uint64_t later = (uint64_t)WORLD_WALL * 1000 + 60000;
	struct puppet p;
	struct wire_mesh_member v[3];

	puppet(&p, t);
	(void)town_joins(t, 1, 1);
	(void)town_joins(t, 2, 1);
	world_live(t->w, dur_s(1));
	assert_true(world_ping_via(t->w, t->site[1], "10.1.0.1", t->hub[1].node, t->site[2],
				   "10.2.0.1"));
	world_live(t->w, dur_s(2));
	assert_string_equal(node_pair_state(t->hub[1].node, town_name(1), town_name(2)), "up");
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	v[1] = puppet_member(&p, town_name(1), "10.1.0.0/16", later);
	v[2] = puppet_member(&p, town_name(2), "10.2.0.0/16", later);
	v[1].boot = v[2].boot = 0; /* it has not heard */
	assert_int_equal(puppet_says(&p, v, 2).reason, 0);
	assert_string_equal(node_pair_state(t->hub[1].node, town_name(1), town_name(2)), "up");
	assert_int_equal(puppet_says(&p, v + 2, 1).reason, 0);
	assert_string_equal(node_pair_state(t->hub[1].node, town_name(1), town_name(2)), "");
	assert_true(cities_direct(t, 1, 2));
	arena_done(&p.ar);
}

/* ---- what there is already ----------------------------------------------------------------- */

static void flow(struct city *h, unsigned a, unsigned b)
{
	struct dp_report r = { .kind = DP_REPORT_FLOW };
	char src[32], dst[32];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	r.u.flow.from = STAR_PEER;
	r.u.flow.to = STAR_PEER + 1;
	r.u.flow.src = test_ip(src);
	r.u.flow.dst = test_ip(dst);
	node_report(h->node, &r);
}

/* U2: what two hubs suggest to two that have a tunnel does it no harm: each says so to its own
 * hub, of which neither knows what the other one has said. */
static void test_tunnel_outlives_another_suggestion(void **state)
{
	struct cities *t = *state;

	two_towns(t);
	assert_true(cities_ping(t, 1, t->hub[1].node, t->hub[2].node, 2));
	world_live(t->w, dur_s(2));
	assert_true(cities_direct(t, 1, 2));
	for (unsigned i = 0; i < 5; i++) {
		flow(&t->hub[1], 1, 2);
		world_live(t->w, dur_s(1));
	}
	assert_true(node_counter(t->hub[1].node, "mesh.suggested") > 1);
	assert_true(node_counter(t->hub[2].node, "mesh.relayed") > 1);
	world_live(t->w, dur_s(30));
	assert_int_equal(node_counter(t->site[1], "mesh.direct"), 1);
	assert_true(cities_direct(t, 1, 2));
	assert_string_equal(node_pair_state(t->hub[1].node, town_name(1), town_name(2)), "up");
	assert_string_equal(node_pair_state(t->hub[2].node, town_name(1), town_name(2)), "up");
}

/* P9: two thousand members, in as many words as it takes. */
static void test_many_members(void **state)
{
	struct cities *t = *state;
	static char names[2048][24];
	static struct wire_mesh_member v[64];
	struct puppet p;
	char prefix[32];

	puppet(&p, t);
	for (unsigned i = 0; i < 2000;) {
		size_t n = 0;

		if (i == 0)
			v[n++] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
		for (; n < 64 && i < 2000; i++) {
			snprintf(names[i], sizeof(names[i]), "m%u.example", i);
			snprintf(prefix, sizeof(prefix), "10.%u.%u.0/24", 100 + i / 256, i % 256);
			v[n++] = puppet_member(&p, names[i], prefix, 1000 + i);
		}
		assert_int_equal(puppet_says(&p, v, n).reason, 0);
	}
	assert_int_equal(node_members(t->hub[1].node), 2000);
	v[0] = (struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW };
	assert_int_equal(puppet_says(&p, v, 1).reason, 0);
	world_live(t->w, dur_s(61));
	assert_int_equal(node_members(t->hub[1].node), 0);
	arena_done(&p.ar);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CITY_TEST(test_both_hubs_suggest),
		cmocka_unit_test(test_post_quantum),
		CITY_TEST(test_withdraw_without_an_id),
		cmocka_unit_test(test_hub_of_the_first_dies),
		cmocka_unit_test(test_hub_of_the_second_dies),
		CITY_TEST(test_slow_member),
		CITY_TEST(test_entries_beyond_authority),
		CITY_TEST(test_hole),
		CITY_TEST(test_flood_of_relays),
		CITY_TEST(test_latest_attachment),
		CITY_TEST(test_gone_before_it_came),
		CITY_TEST(test_pair_that_is_elsewhere),
		CITY_TEST(test_tunnel_outlives_another_suggestion),
		CITY_TEST(test_many_members),
		cmocka_unit_test(test_first_hub_without_memory),
		cmocka_unit_test(test_second_hub_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
