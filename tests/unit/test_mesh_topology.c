/* Topologies of a hub: who is suggested to whom, changes of it at run time, a full mesh, many
 * members, and no memory. */
#include "mesh_town.h"

#include <stdio.h>

/* ---- rules --------------------------------------------------------------------------------- */

static struct policy_ident pattern(struct town *t, const char *s)
{
	char buf[128];
	struct text why = TEXT_OF(buf);
	struct policy_ident id;

	assert_int_equal(policy_ident_parse(&t->ar, s, true, &why, &id), ST_OK);
	return id;
}

static struct mesh_group *group(struct town *t, const char *identity, const char *prefix)
{
	struct mesh_group *g = arena_new(&t->ar, sizeof(*g));
	struct policy_ident *id = arena_new(&t->ar, sizeof(*id));
	struct prefix *p = arena_new(&t->ar, sizeof(*p));

	*g = (struct mesh_group){ .name = "group", .identities = id, .networks = p };
	if (identity) {
		*id = pattern(t, identity);
		g->n_identities = 1;
	}
	if (prefix) {
		assert_int_equal(prefix_parse(prefix, p), ST_OK);
		g->n_networks = 1;
	}
	return g;
}

static void rules(struct town *t, const struct mesh_rule *r, size_t n)
{
	struct mesh_rule *copy = arena_new(&t->ar, n * sizeof(*r));

	memcpy(copy, r, n * sizeof(*r));
	t->network.rules = copy;
	t->network.n_rules = n;
}

static void members(struct town *t, unsigned n)
{
	town_open(t);
	for (unsigned i = 1; i <= n; i++)
		town_join(t, i);
}

static bool suggested(struct town *t, unsigned a, unsigned b)
{
	size_t before = town_suggestions(t, a);

	town_flow(t, a, b);
	return town_suggestions(t, a) > before;
}

/* T1 */
static void test_a_star(void **state)
{
	struct town *t = *state;
	struct mesh_pair_info info;

	t->network.topology = MESH_STAR;
	members(t, 3);
	town_talk(t, 1, 2, 10);
	town_talk(t, 3, 2, 10);
	assert_int_equal(t->words, 0);
	assert_string_equal(town_state(t, 2, 3, &info), "not allowed");
	assert_int_equal(info.topology, MESH_STAR);
	assert_null(info.rule);
	assert_true(info.suggestions == 0);
	town_pass(t, MESH_QUIET_MS + 1000);
	assert_string_equal(town_state(t, 2, 3, NULL), "none");
}

/* T4: by identity, by prefix, for everybody; either way round; the first one counts. */
static void test_rules_between_groups(void **state)
{
	struct town *t = *state;
	struct mesh_group *one = group(t, "site-1.example", NULL);
	struct mesh_group *two_three = group(t, NULL, "10.0.2.0/23");
	const struct mesh_rule r[] = {
		{ "one alone", one, two_three, MESH_STAR },
		{ "one", NULL, one, MESH_DYNAMIC },
		{ "shadowed", one, NULL, MESH_STAR },
		{ "pair", two_three, two_three, MESH_DYNAMIC },
	};
	struct mesh_pair_info info;

	t->network.topology = MESH_STAR;
	rules(t, r, ARRAY_LEN(r));
	members(t, 5);
	assert_false(suggested(t, 1, 2));
	assert_false(suggested(t, 3, 1));
	assert_string_equal(town_state(t, 1, 3, &info), "not allowed");
	assert_string_equal(info.rule, "one alone");
	assert_true(suggested(t, 1, 4));
	assert_true(suggested(t, 5, 1));
	assert_string_equal(town_state(t, 1, 5, &info), "suggested");
	assert_string_equal(info.rule, "one");
	assert_true(suggested(t, 2, 3));
	assert_false(suggested(t, 2, 4));
	assert_false(suggested(t, 4, 5));
	assert_string_equal(town_state(t, 4, 5, &info), "not allowed");
	assert_null(info.rule);
}

/* An identity pattern, and a group of both kinds. */
static void test_groups(void **state)
{
	struct town *t = *state;
	struct mesh_group *g = group(t, "*.example", "10.0.0.0/8");
	struct mesh_group *nobody = group(t, "*.other", "10.200.0.0/16");
	const struct mesh_rule r[] = {
		{ "nobody", nobody, NULL, MESH_STAR },
		{ "all", g, g, MESH_DYNAMIC },
	};

	t->network.topology = MESH_STAR;
	rules(t, r, ARRAY_LEN(r));
	members(t, 2);
	town_serves(t, 3, IKE_AUTHORITY_CERT, "10.200.3.0/24");
	town_join(t, 3);
	assert_true(suggested(t, 1, 2));
	assert_false(suggested(t, 1, 3));
}

/* A member that serves something else is in other groups. */
static void test_groups_follow_prefixes(void **state)
{
	struct town *t = *state;
	const struct mesh_rule r[] = { { "lab", group(t, NULL, "10.200.0.0/16"), NULL,
					 MESH_STAR } };
	struct mesh_pair_info info;

	rules(t, r, ARRAY_LEN(r));
	members(t, 2);
	town_up(t, 1, 2);
	town_serves(t, 2, IKE_AUTHORITY_CERT, "10.200.2.0/24");
	town_event(t, 2, IKE_EV_CHILD_UP);
	assert_string_equal(town_state(t, 1, 2, &info), "not allowed");
	assert_string_equal(info.rule, "lab");
	assert_int_equal(town_count(t, 1, WITHDRAW), 1);
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
	assert_false(suggested(t, 1, 2));
}

/* ---- changes ------------------------------------------------------------------------------- */

/* R13: what runs follows, both ways. */
static void test_reload_to_a_star_and_back(void **state)
{
	struct town *t = *state;

	members(t, 4);
	town_up(t, 1, 2);
	town_flow(t, 3, 4);
	town_accepts(t, 4);
	t->network.topology = MESH_STAR;
	assert_int_equal(town_reload(t), ST_OK);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(town_withdrawn(t, i)->reason, WIRE_MR_POLICY);
		assert_memory_equal(town_withdrawn(t, i)->id, town_heard(t, i, SUGGEST)->msg.id,
				    WIRE_MESH_ID);
		assert_int_equal(town_count(t, i, WITHDRAW), 1);
	}
	assert_int_equal(town_events(t, IKE_EV_SHORTCUT_ENDED), 2);
	assert_string_equal(town_state(t, 1, 2, NULL), "not allowed");
	town_accepts(t, 3); /* too late */
	town_reports(t, 3, 4, WIRE_MO_UP, 0);
	assert_string_equal(town_state(t, 3, 4, NULL), "not allowed");
	assert_false(suggested(t, 1, 2));
	t->network.topology = MESH_DYNAMIC;
	assert_int_equal(town_reload(t), ST_OK);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_true(suggested(t, 1, 2));
}

/* T1: what is up at a hub that does not want it, as it hears after it was restarted. */
static void test_a_report_of_what_is_not_allowed(void **state)
{
	struct town *t = *state;
	struct wire_mesh word = { .present = WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(OUTCOME),
				  .context = bytes_str("corp"),
				  .outcome = WIRE_MO_UP };

	t->network.topology = MESH_STAR;
	members(t, 2);
	word.partner = (struct wire_mesh_ident){ WIRE_ID_FQDN, citizen(t, 2)->ident.data };
	memset(word.id, 0x55, sizeof(word.id));
	town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
	assert_memory_equal(town_withdrawn(t, 1)->id, word.id, WIRE_MESH_ID);
	assert_memory_equal(town_withdrawn(t, 2)->id, word.id, WIRE_MESH_ID);
	assert_string_equal(town_state(t, 1, 2, NULL), "not allowed");
}

/* What was refused for good is tried again when somebody changes the rules. */
static void test_reload_ends_back_offs(void **state)
{
	struct town *t = *state;

	members(t, 2);
	town_flow(t, 1, 2);
	town_refuses(t, 1, WIRE_MR_POLICY, "shortcuts = no");
	town_pass(t, 20000);
	assert_false(suggested(t, 1, 2));
	assert_int_equal(town_reload(t), ST_OK);
	town_pass(t, 0);
	assert_true(suggested(t, 1, 2));
}

/* A configuration that cannot be taken changes nothing. */
static void test_reload_without_memory(void **state)
{
	struct town *t = *state;

	members(t, 2);
	town_up(t, 1, 2);
	t->engine.refused_reconfigure = 1;
	assert_int_equal(town_reload(t), ST_NOMEM);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_null(town_heard(t, 1, WITHDRAW));
}

/* ---- a full mesh --------------------------------------------------------------------------- */

/* T3: all are suggested to all, without a packet; and it never ends for want of one. */
static void test_a_full_mesh(void **state)
{
	struct town *t = *state;

	t->network.topology = MESH_FULL;
	members(t, 3);
	town_pass(t, 10);
	assert_int_equal(town_suggestions(t, 1), 2);
	assert_int_equal(town_suggestions(t, 2), 2);
	assert_false(WIRE_MESH_HAS(&town_heard(t, 1, SUGGEST)->msg, IDLE));
	assert_int_equal(town_heard(t, 1, SUGGEST)->msg.n_candidates, 2);
	assert_int_equal(town_obeys(t), 6);
	assert_int_equal(town_counter(t, "mesh.up"), 3);
	/* A newcomer. */
	town_join(t, 4);
	town_pass(t, 10);
	assert_int_equal(town_obeys(t), 6);
	assert_int_equal(town_counter(t, "mesh.up"), 6);
	/* One that was lost, or started anew. */
	town_pass(t, 60000);
	town_reports(t, 1, 4, WIRE_MO_LOST, WIRE_MR_LOST);
	town_pass(t, 10);
	assert_int_equal(town_obeys(t), 2);
	town_leaves(t, 2);
	citizen(t, 2)->boot = 99;
	citizen(t, 2)->sequence = 0;
	town_join(t, 2);
	town_pass(t, 10);
	assert_int_equal(town_obeys(t), 6);
	assert_int_equal(town_counter(t, "mesh.up"), 10);
}

/* What failed comes again by itself. */
static void test_a_full_mesh_tries_again(void **state)
{
	struct town *t = *state;

	t->network.topology = MESH_FULL;
	members(t, 2);
	town_pass(t, 10);
	town_refuses(t, 1, WIRE_MR_LIMIT, "");
	town_pass(t, 9000);
	assert_int_equal(town_suggestions(t, 1), 1);
	town_pass(t, 1000);
	assert_int_equal(town_suggestions(t, 1), 2);
}

/* A rule makes a mesh of some. */
static void test_reload_to_a_mesh_of_some(void **state)
{
	struct town *t = *state;
	struct mesh_group *some = group(t, NULL, "10.0.4.0/22");
	const struct mesh_rule r[] = { { "some", some, some, MESH_FULL } };

	members(t, 9);
	town_pass(t, 1000);
	assert_int_equal(t->words, 0);
	rules(t, r, ARRAY_LEN(r));
	assert_int_equal(town_reload(t), ST_OK);
	town_pass(t, 10);
	assert_int_equal(town_obeys(t), 2 * 6); /* 4 to 7 */
	assert_int_equal(town_suggestions(t, 3), 0);
	assert_int_equal(town_suggestions(t, 4), 3);
	assert_int_equal(town_suggestions(t, 8), 0);
}

static void within_bounds(struct town *t, unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		struct citizen *c = citizen(t, i);
		size_t open = 0;

		for (size_t k = 0; k < c->n_heard; k++)
			open += c->heard[k].kind == SUGGEST && c->heard[k].id;
		assert_true(open <= MESH_MEMBER_PENDING);
	}
}

/* 19,900 tunnels of 200 members, a few of each at a time; what is not begun costs nothing. */
static void test_a_large_mesh_is_paced(void **state)
{
	enum { N = 200 };
	struct town *t = *state;
	size_t members_only, rounds = 0, n;

	t->silent_events = true;
	members(t, N);
	town_pass(t, 10);
	members_only = t->mem.live_bytes;
	t->network.topology = MESH_FULL;
	assert_int_equal(town_reload(t), ST_OK);
	for (;; rounds++) {
		town_pass(t, 100);
		within_bounds(t, N);
		if (rounds == 0)
			assert_true(t->mem.live_bytes - members_only <
				    N * MESH_MEMBER_PENDING * (size_t)1024);
		n = town_obeys(t);
		if (n == 0)
			break;
	}
	assert_int_equal(town_counter(t, "mesh.up"), N * (N - 1) / 2);
	assert_int_equal(town_counter(t, "mesh.suggested"), N * (N - 1) / 2);
	/* Not much longer than it takes when all have as many under way as they may. */
	assert_true(rounds < 4 * (N - 1) / MESH_MEMBER_PENDING);
}

/* The same when they come one after the other while it goes on, and some of them leave. */
static void test_a_mesh_with_comings_and_goings(void **state)
{
	enum { N = 60 };
	struct town *t = *state;

	t->silent_events = true;
	t->network.topology = MESH_FULL;
	town_open(t);
	for (unsigned i = 1; i <= N; i++) {
		town_join(t, i);
		if (i % 3 == 0)
			town_pass(t, 10);
		if (i % 5 == 0)
			town_leaves(t, i - 2);
		if (i % 7 == 0)
			(void)town_obeys(t);
	}
	for (unsigned i = 5; i <= N; i += 5)
		town_join(t, i - 2);
	for (unsigned quiet = 0; quiet < 3;) {
		town_pass(t, 2000);
		quiet = town_obeys(t) ? 0 : quiet + 1;
	}
	for (unsigned a = 1; a <= N; a++)
		for (unsigned b = a + 1; b <= N; b++)
			assert_string_equal(town_state(t, a, b, NULL), "up");
}

/* ---- many ---------------------------------------------------------------------------------- */

/* Each of 2,000 talks to some others. */
static void test_many_members(void **state)
{
	enum { N = 2000, PARTNERS = 5 };
	struct town *t = *state;
	size_t empty, with_members, blocks;

	t->silent_events = true;
	town_open(t);
	empty = t->mem.live_bytes;
	blocks = t->mem.live;
	for (unsigned i = 1; i <= N; i++)
		town_join(t, i);
	with_members = t->mem.live_bytes;
	/* Beside what MESH_ENTRY_MAX says: names, a selector, a candidate, nodes of tables. */
	assert_true(with_members - empty < N * (size_t)(MESH_ENTRY_MAX + 512));
	for (unsigned k = 1; k <= PARTNERS; k++)
		for (unsigned i = 1; i <= N; i++) {
			town_flow(t, i, (i + k * 37 - 1) % N + 1);
			if (i % (MESH_PENDING / 2) == 0 || i == N)
				(void)town_obeys(t);
		}
	assert_int_equal(town_counter(t, "mesh.up"), N * PARTNERS);
	assert_int_equal(town_counter(t, "mesh.flows_unknown"), 0);
	assert_true(t->mem.live_bytes - with_members < N * PARTNERS * (size_t)640);
	for (unsigned i = 1; i <= N; i++)
		town_leaves(t, i);
	town_pass(t, MESH_AWAY_S * 1000);
	assert_true(t->mem.live < blocks + 10); /* tables */
}

/* ---- no memory ----------------------------------------------------------------------------- */

static void story(struct town *t)
{
	for (unsigned i = 1; i <= 3; i++)
		town_join(t, i);
	town_flow(t, 1, 2);
	town_flow(t, 3, 1);
	(void)town_obeys(t);
	town_flow(t, 3, 2);
	town_dies(t, 3);
	town_serves(t, 2, IKE_AUTHORITY_CERT, "10.0.2.0/23");
	town_event(t, 2, IKE_EV_CHILD_UP);
	town_places(t, 1, "192.168.9.9", 4500);
	town_pass(t, 3000);
	t->network.topology = MESH_FULL;
	(void)town_reload(t);
	town_pass(t, 3000);
	(void)town_obeys(t);
	town_leaves(t, 3);
	t->network.topology = MESH_STAR;
	(void)town_reload(t);
	town_pass(t, 3000);
}

/* Whatever is refused, and when: nothing is lost for good. */
static void every_allocation(void **state, bool stays)
{
	struct town *t = *state;

	for (long k = 0;; k++) {
		long refused;

		t->mem.fail_at = k;
		t->mem.fail_on = stays;
		if (town_try_open(t) == ST_OK) {
			story(t);
			refused = t->mem.refused;
			t->mem.fail_at = -1;
			t->network.topology = MESH_DYNAMIC;
			assert_int_equal(town_reload(t), ST_OK);
			town_pass(t, 1300000);
			for (unsigned i = 1; i <= 2; i++)
				town_join(t, i);
			assert_true(suggested(t, 1, 2));
		} else {
			refused = 1;
		}
		town_close(t);
		town_init(t);
		if (!refused) {
			town_open(t); /* for the teardown */
			return;
		}
	}
}

static void test_every_allocation_fails_once(void **state)
{
	every_allocation(state, false);
}

static void test_every_allocation_fails_from_then_on(void **state)
{
	every_allocation(state, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_a_star),
		town_test(test_rules_between_groups),
		town_test(test_groups),
		town_test(test_groups_follow_prefixes),
		town_test(test_reload_to_a_star_and_back),
		town_test(test_a_report_of_what_is_not_allowed),
		town_test(test_reload_ends_back_offs),
		town_test(test_reload_without_memory),
		town_test(test_a_full_mesh),
		town_test(test_a_full_mesh_tries_again),
		town_test(test_reload_to_a_mesh_of_some),
		town_test(test_a_large_mesh_is_paced),
		town_test(test_a_mesh_with_comings_and_goings),
		town_test(test_many_members),
		town_test(test_every_allocation_fails_once),
		town_test(test_every_allocation_fails_from_then_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
