/* Other hubs of a hub: who is one, by which ways, where they are, and who is told. */
#include "mesh_town_hubs.h"

enum { A = TOWN_HUB, B, C };

/* Members 1 and 2, and that hub. */
static struct town *with_hub(void **state)
{
	struct town *t = *state;

	town_is_hub(t);
	(void)town_two(state);
	town_pass(t, MESH_HUBS_MS);
	(void)town_hub(t, 0);
	town_comes(t, A);
	return t;
}

static void says_place(struct town *t, unsigned n, uint64_t sequence, uint8_t last)
{
	const struct wire_mesh_hub at = town_hub_at(t, n, last);

	town_says_hubs(t, n, sequence, &at, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

static void is_refused(const struct town *t, enum wire_mesh_reason reason)
{
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_REFUSED);
	assert_int_equal(t->reason, reason);
}

/* The hubs that member n has heard of in the newest word. */
static size_t heard_hubs(struct town *t, unsigned n)
{
	struct heard *h = town_heard(t, n, HUBS);

	assert_non_null(h);
	return h->msg.n_hubs;
}

/* ---- where hubs are -------------------------------------------------------------------------- */

/* R16: a hub is told where we are, says where it is, and members hear of both. */
static void test_hubs_say_where_they_are(void **state)
{
	struct town *t = with_hub(state);

	assert_int_equal(heard_hubs(t, A), 1);
	assert_string_equal(town_hubs(t), "");
	town_hub_accepts(t, A, HUBS);
	says_place(t, A, 1, 2);
	assert_string_equal(town_hubs(t), "hub-a.example*");
	assert_string_equal(town_said(t, IKE_EV_HUBS),
			    "another hub says that it is hub-a.example at 192.0.2.2");
	town_pass(t, MESH_HUBS_MS);
	assert_int_equal(heard_hubs(t, 1), 2);
	assert_int_equal(heard_hubs(t, 2), 2);
	/* Members are told of changes only. */
	says_place(t, A, 2, 2);
	town_pass(t, 10 * MESH_HUBS_MS);
	assert_int_equal(town_events(t, IKE_EV_HUBS), 1);
	assert_int_equal(town_count(t, 1, HUBS), 2);
	says_place(t, A, 3, 7);
	town_pass(t, MESH_HUBS_MS);
	assert_int_equal(town_events(t, IKE_EV_HUBS), 2);
	assert_int_equal(town_count(t, 1, HUBS), 3);
}

/* R16: what it says of others is theirs to say; and it may take back what it said of itself. */
static void test_of_itself_only(void **state)
{
	struct town *t = with_hub(state);
	const struct wire_mesh_hub b = town_hub_at(t, (town_hub(t, 1), B), 3);

	town_says_hubs(t, A, 1, &b, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_string_equal(town_hubs(t), "");
	assert_int_equal(town_events(t, IKE_EV_HUBS), 0);
	says_place(t, A, 2, 2);
	town_says_hubs(t, A, 3, NULL, 0);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_string_equal(town_hubs(t), "");
	assert_string_equal(town_said(t, IKE_EV_HUBS), "hub-a.example does not say where it is");
	town_pass(t, 2 * MESH_HUBS_MS);
	assert_int_equal(heard_hubs(t, 1), 1);
}

static void test_old_and_foreign_words(void **state)
{
	struct town *t = with_hub(state);
	const struct wire_mesh_hub at = town_hub_at(t, A, 9);
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(HUB),
				  .context = bytes_str("other"),
				  .sequence = 7,
				  .hubs = &at,
				  .n_hubs = 1 };

	says_place(t, A, 5, 2);
	town_says_hubs(t, A, 5, &at, 1);
	is_refused(t, WIRE_MR_OLDER);
	assert_int_equal(town_counter(t, "mesh.rx.old"), 1);
	town_says(t, A, HUBS, &word);
	is_refused(t, WIRE_MR_CONTEXT);
	assert_string_equal(t->text, "corp");
	assert_int_equal(town_events(t, IKE_EV_HUBS), 1);
}

/* R11: without memory for it nothing has changed, and the same word is taken the next time. */
static void test_place_without_memory(void **state)
{
	struct town *t = with_hub(state);
	const struct wire_mesh_hub at = town_hub_at(t, A, 9);
	bool refused = false;

	says_place(t, A, 1, 2);
	for (long n = 0; !refused; n++) {
		assert_in_range(n, 0, 20);
		t->mem.fail_at = t->mem.calls + n;
		town_says_hubs(t, A, (uint64_t)n + 2, &at, 1);
		t->mem.fail_at = -1;
		refused = t->answer == WIRE_N_SHORTCUT_REFUSED && t->mem.refused &&
			  town_events(t, IKE_EV_HUBS) == 1 && !strcmp(t->text, "out of memory");
		assert_true(refused || t->answer == WIRE_N_SHORTCUT_REFUSED);
	}
	says_place(t, A, 100, 9);
	assert_int_equal(town_events(t, IKE_EV_HUBS), 2);
}

/* R11: who cannot be told now is told later, until it can; who speaks no such words is not. */
static void test_told_again(void **state)
{
	struct town *t = *state;

	town_is_hub(t);
	town_open(t);
	town_hub(t, 0)->deaf = ST_AGAIN;
	town_comes(t, A);
	town_pass(t, 3 * MESH_SOON_MS);
	assert_int_equal(town_count(t, A, HUBS) + town_count(t, A, DIRECTORY), 0);
	citizen(t, A)->deaf = ST_OK;
	town_pass(t, MESH_SOON_MS);
	assert_int_equal(town_count(t, A, HUBS), 1);
	assert_int_equal(town_count(t, A, DIRECTORY), 1);
	town_dies(t, A);
	town_pass(t, MESH_SOON_MS);
	assert_int_equal(town_count(t, A, HUBS), 2);
	assert_int_equal(town_count(t, A, DIRECTORY), 2);
	town_hub_accepts(t, A, HUBS);
	town_hub_accepts(t, A, DIRECTORY);
	town_hub(t, 1)->deaf = ST_INVAL;
	town_comes(t, B);
	town_pass(t, 10 * MESH_SOON_MS);
	citizen(t, B)->deaf = ST_OK;
	town_pass(t, 10 * MESH_SOON_MS);
	assert_int_equal(town_count(t, A, HUBS), 2);
	assert_int_equal(town_count(t, B, HUBS), 0);
}

/* ---- members ------------------------------------------------------------------------------- */

/* P9, R16: many members hear of a change in turns; who has left meanwhile, or cannot be told, is in
 * nobody's way. */
static void test_members_in_turns(void **state)
{
	struct town *t = *state;
	enum { N = 2 * MESH_HUBS_TURN + 5 };
	size_t told = 0;

	town_is_hub(t);
	town_open(t);
	(void)town_hub(t, 0);
	town_comes(t, A);
	for (unsigned n = 1; n <= N; n++)
		town_join(t, n);
	town_pass(t, 10 * MESH_HUBS_MS);
	town_leaves(t, 3);
	citizen(t, 4)->deaf = ST_AGAIN;
	citizen(t, 5)->deaf = ST_INVAL;
	says_place(t, A, 1, 2);
	town_pass(t, 1);
	for (unsigned n = 1; n <= N; n++)
		told += town_count(t, n, HUBS) == 2;
	assert_in_range(told, 1, MESH_HUBS_TURN);
	town_leaves(t, N);
	town_pass(t, 5 * MESH_HUBS_TURN_MS);
	for (unsigned n = 1; n < N; n++)
		assert_int_equal(town_count(t, n, HUBS), n >= 3 && n <= 5 ? 1 : 2);
	citizen(t, 4)->deaf = ST_OK;
	town_pass(t, MESH_HUBS_TURN_MS);
	assert_int_equal(town_count(t, 4, HUBS), 2);
}

/* R05: a hub that moves and moves costs members a word each second. */
static void test_members_hear_so_often(void **state)
{
	struct town *t = with_hub(state);

	town_pass(t, MESH_HUBS_MS);
	for (unsigned i = 0; i < 100; i++) {
		says_place(t, A, 1 + i, (uint8_t)(2 + i));
		town_pass(t, 100);
	}
	town_pass(t, MESH_HUBS_MS);
	assert_in_range(town_count(t, 1, HUBS), 9, 12);
	assert_int_equal(heard_hubs(t, 1), 2);
	assert_int_equal(town_heard(t, 1, HUBS)->msg.hubs[1].at[0].ip.b[3], 2 + 99);
}

/* Members of a hub that says nothing of hubs, and knows of none, hear nothing. */
static void test_nothing_to_say(void **state)
{
	struct town *t = town_two(state);

	town_pass(t, 10 * MESH_HUBS_MS);
	assert_int_equal(town_count(t, 1, HUBS) + town_count(t, 2, HUBS), 0);
}

/* ---- who is a hub, and by which ways --------------------------------------------------------- */

/* S1: who has not announced it, has no blocks for all of the domain, or our own name, is none. */
static void test_who_is_no_hub(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member anew = TOWN_ANEW;

	town_hub(t, 1)->blocks = (struct wire_ts_list){ citizen(t, 1)->ts, 1, 0 };
	citizen(t, B)->served[IKE_AUTHORITY_CERT] = citizen(t, B)->blocks;
	town_comes(t, B);
	town_says_members(t, B, 1, &anew, 1);
	is_refused(t, WIRE_MR_NOT_A_HUB);
	town_hub(t, 2)->ident.data = bytes_str("hub.example");
	town_comes(t, C);
	town_says_hubs(t, C, 1, NULL, 0);
	is_refused(t, WIRE_MR_NOT_A_HUB);
	assert_int_equal(town_counter(t, "mesh.rx.not_a_hub"), 2);
	assert_int_equal(town_count(t, B, DIRECTORY) + town_count(t, C, DIRECTORY), 0);
}

/* R16, R02: a hub with two SAs is one hub, spoken to by the one that came up last; without either
 * it is remembered for a day. */
static void test_two_ways(void **state)
{
	struct town *t = with_hub(state);
	size_t told;

	says_place(t, A, 1, 2);
	town_hub(t, 1)->ident = citizen(t, A)->ident;
	town_comes(t, B);
	assert_int_equal(town_count(t, B, HUBS), 1);
	says_place(t, B, 2, 3);
	town_leaves(t, A);
	assert_string_equal(town_hubs(t), "hub-a.example*");
	says_place(t, B, 3, 2);
	town_leaves(t, B);
	assert_string_equal(town_hubs(t), "hub-a.example");
	town_pass(t, (int64_t)MESH_HUB_KEEP_S * 1000 - 1000);
	assert_string_equal(town_hubs(t), "hub-a.example");
	town_pass(t, 1000);
	assert_string_equal(town_hubs(t), "");
	town_pass(t, 2 * MESH_HUBS_MS);
	assert_int_equal(heard_hubs(t, 1), 1);
	/* It comes back as one that nothing is known of. */
	told = town_count(t, A, HUBS);
	town_comes(t, A);
	assert_int_equal(town_count(t, A, HUBS), told + 1);
	says_place(t, A, 1, 2);
	assert_string_equal(town_hubs(t), "hub-a.example*");
}

/* More ways than are kept do no harm, and count for nothing. */
static void test_too_many_ways(void **state)
{
	struct town *t = with_hub(state);

	says_place(t, A, 1, 2);
	for (unsigned k = 1; k <= MESH_HUB_WAYS; k++) {
		town_hub(t, k)->ident = citizen(t, A)->ident;
		town_comes(t, TOWN_HUB + k);
	}
	town_says_hubs(t, TOWN_HUB + MESH_HUB_WAYS, 2, NULL, 0);
	is_refused(t, WIRE_MR_NOT_A_HUB);
	for (unsigned k = 0; k < MESH_HUB_WAYS; k++)
		town_leaves(t, TOWN_HUB + k);
	assert_string_equal(town_hubs(t), "hub-a.example");
}

/* Behind one way there is another hub since. */
static void test_a_way_to_another(void **state)
{
	struct town *t = with_hub(state);

	says_place(t, A, 1, 2);
	citizen(t, A)->ident.data = bytes_str("hub-z.example");
	town_comes(t, A);
	says_place(t, A, 1, 3);
	assert_string_equal(town_hubs(t), "hub-a.example hub-z.example*");
}

/* A hub that does not announce it any more is a member like any other, and the other way round. */
static void test_hub_and_member(void **state)
{
	struct town *t = with_hub(state);

	citizen(t, A)->capabilities = IKE_CAN_PARTNER;
	town_comes(t, A);
	assert_string_equal(town_directory(t), "site-1.example site-2.example hub-a.example");
	citizen(t, A)->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	town_comes(t, A);
	assert_string_equal(town_directory(t), "site-1.example site-2.example");
	says_place(t, A, 1, 2);
	assert_string_equal(town_hubs(t), "hub-a.example*");
}

/* R05: hubs above the number that we know at a time are counted and left alone; members hear of as
 * many as a word holds. */
static void test_too_many_hubs(void **state)
{
	struct town *t = with_hub(state);

	for (unsigned k = 0; k <= MESH_HUBS; k++) {
		if (k)
			(void)town_hub(t, k);
		if (k)
			town_comes(t, TOWN_HUB + k);
		if (k < MESH_HUBS)
			says_place(t, TOWN_HUB + k, 1, (uint8_t)(2 + k));
	}
	assert_int_not_equal(town_counter(t, "mesh.hubs_full"), 0);
	town_says_hubs(t, TOWN_HUB + MESH_HUBS, 1, NULL, 0);
	is_refused(t, WIRE_MR_NOT_A_HUB);
	town_pass(t, 2 * MESH_HUBS_MS);
	assert_int_equal(heard_hubs(t, 1), WIRE_MESH_HUBS);
}

/* R11: a hub that there is no memory for is none until the next thing happens to it. */
static void test_hub_without_memory(void **state)
{
	struct town *t = *state;
	long n = 0;

	town_is_hub(t);
	(void)town_two(state);
	(void)town_hub(t, 0);
	for (;; n++) {
		assert_in_range(n, 0, 50);
		t->mem.refused = 0;
		t->mem.fail_at = t->mem.calls + n;
		town_comes(t, A);
		t->mem.fail_at = -1;
		if (!t->mem.refused)
			break;
		town_event(t, A, IKE_EV_CHILD_UP);
		town_pass(t, 2 * MESH_SOON_MS);
		says_place(t, A, 1, 2);
		assert_int_equal(town_heard(t, A, DIRECTORY)->msg.n_members, 3);
		town_leaves(t, A);
		town_pass(t, (int64_t)MESH_HUB_KEEP_S * 1000);
	}
	assert_in_range(n, 2, 50);
}

/* ---- another configuration ------------------------------------------------------------------- */

/* T4: who has no blocks for the domain of now is no hub any more, and what it said is forgotten. */
static void test_another_domain(void **state)
{
	struct town *t = with_hub(state);
	struct wire_ts_list before = t->section.domain;
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 9, 1) };
	struct wire_ts wide[2];

	says_place(t, A, 1, 2);
	town_says_members(t, A, 1, v, 2);
	assert_string_equal(town_directory(t),
			    "site-1.example site-2.example site-9.example@hub-a.example");
	wide[0] = before.ts[0];
	wide[1] = before.ts[0];
	wide[1].start = (struct ip){ 4, { 172, 16 } };
	wide[1].end = (struct ip){ 4, { 172, 16, 255, 255 } };
	t->section.domain = (struct wire_ts_list){ wide, 2, 0 };
	assert_int_equal(town_reload(t), ST_OK);
	assert_string_equal(town_hubs(t), "");
	assert_null(strstr(town_directory(t), "site-9"));
	town_says_members(t, A, 2, v, 2);
	is_refused(t, WIRE_MR_NOT_A_HUB);
	t->section.domain = before;
	assert_int_equal(town_reload(t), ST_OK);
}

/* R16: we are elsewhere: hubs and members hear it, in as many addresses as a word holds. */
static void test_we_are_elsewhere(void **state)
{
	static const char *const there[] = { "hub.example.net", "192.0.2.1", "2001:db8::1",
					     "192.0.2.3",       "192.0.2.4", "192.0.2.5",
					     "192.0.2.6",       "192.0.2.7", "192.0.2.8" };
	struct town *t = with_hub(state);
	const struct wire_mesh_hub *own;

	town_hub_accepts(t, A, HUBS);
	town_pass(t, MESH_HUBS_MS);
	assert_int_equal(town_reload(t), ST_OK);
	assert_int_equal(town_count(t, A, HUBS), 1);
	t->network.announce = there;
	t->network.n_announce = ARRAY_LEN(there);
	assert_int_equal(town_reload(t), ST_OK);
	assert_int_equal(town_count(t, A, HUBS), 2);
	own = town_heard(t, A, HUBS)->msg.hubs;
	assert_int_equal(own->n_at, WIRE_MESH_HUB_ADDRESSES);
	assert_true(bytes_eq(own->at[0].name, bytes_str("hub.example.net")));
	assert_int_equal(own->at[2].ip.family, 6);
	town_pass(t, MESH_HUBS_MS);
	assert_int_equal(town_heard(t, 1, HUBS)->msg.hubs[0].n_at, WIRE_MESH_HUB_ADDRESSES);
	t->network.n_announce = 0;
	assert_int_equal(town_reload(t), ST_OK);
	assert_int_equal(heard_hubs(t, A), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_hubs_say_where_they_are),
		town_test(test_of_itself_only),
		town_test(test_old_and_foreign_words),
		town_test(test_place_without_memory),
		town_test(test_told_again),
		town_test(test_members_in_turns),
		town_test(test_members_hear_so_often),
		town_test(test_nothing_to_say),
		town_test(test_who_is_no_hub),
		town_test(test_two_ways),
		town_test(test_too_many_ways),
		town_test(test_a_way_to_another),
		town_test(test_hub_and_member),
		town_test(test_too_many_hubs),
		town_test(test_hub_without_memory),
		town_test(test_another_domain),
		town_test(test_we_are_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
