/* Members of a hub: what they may say, where they are, how they come and go, what they serve. */
#include "mesh_town.h"

#include <stdio.h>

static void is_identity(const struct wire_mesh_ident *id, const char *name)
{
	assert_int_equal(id->type, WIRE_ID_FQDN);
	assert_true(bytes_eq(id->data, bytes_str(name)));
}

/* ---- what members may not say -------------------------------------------------------------- */

static struct wire_mesh a_report(struct town *t, unsigned partner)
{
	struct wire_mesh word = { .present = WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(OUTCOME),
				  .partner = { WIRE_ID_FQDN, citizen(t, partner)->ident.data },
				  .context = bytes_str("corp"),
				  .outcome = WIRE_MO_LOST };

	memset(word.id, 0x77, sizeof(word.id));
	return word;
}

/* R05: a pair is the business of its two members. */
static void test_reports_of_strangers(void **state)
{
	struct town *t = town_two(state);
	struct wire_mesh word = a_report(t, 2);

	town_join(t, 3);
	town_up(t, 1, 2);
	memcpy(word.id, town_heard(t, 1, SUGGEST)->msg.id, sizeof(word.id));
	town_says(t, 3, WIRE_N_SHORTCUT_REPORT, &word);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_string_equal(town_state(t, 2, 3, NULL), "none");
	word = a_report(t, 3);
	town_says(t, 3, WIRE_N_SHORTCUT_REPORT, &word);
	assert_int_equal(t->reason, WIRE_MR_IDENTITY);
	word = a_report(t, 1);
	word.context = bytes_str("other");
	town_says(t, 2, WIRE_N_SHORTCUT_REPORT, &word);
	assert_int_equal(t->reason, WIRE_MR_CONTEXT);
	assert_int_equal(town_counter(t, "mesh.refused.context"), 1);
	/* Of a suggestion that never was. */
	word = a_report(t, 1);
	town_says(t, 2, WIRE_N_SHORTCUT_REPORT, &word);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
}

/* R05 */
static void test_words_that_are_a_hubs(void **state)
{
	struct town *t = town_two(state);
	struct wire_mesh word = { .present = WIRE_MESH_BIT(REASON) | WIRE_MESH_BIT(PARTNER_ID) |
					     WIRE_MESH_BIT(CONTEXT),
				  .reason = WIRE_MR_POLICY,
				  .partner = { WIRE_ID_FQDN, citizen(t, 2)->ident.data },
				  .context = bytes_str("corp") };

	town_up(t, 1, 2);
	town_says(t, 1, WITHDRAW, &word);
	assert_int_equal(t->reason, WIRE_MR_NOT_A_HUB);
	assert_int_equal(town_counter(t, "mesh.rx.not_a_hub"), 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	word = (struct wire_mesh){ .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT),
				   .context = bytes_str("corp") };
	town_says(t, 1, WIRE_N_SHORTCUT_DIRECTORY, &word);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_REFUSED);
	town_says(t, 1, WIRE_N_SHORTCUT_HUBS, &word);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_REFUSED);
}

/* One that has not announced that it takes suggestions has nothing to say about them. */
static void test_words_of_no_partner(void **state)
{
	struct town *t = town_two(state);
	struct wire_mesh word = a_report(t, 1);

	citizen(t, 3)->capabilities = IKE_CAN_HUB;
	town_comes(t, 3);
	town_says(t, 3, WIRE_N_SHORTCUT_REPORT, &word);
	assert_int_equal(t->reason, WIRE_MR_POLICY);
	town_places(t, 3, "192.168.3.3", 4500);
	assert_int_equal(t->reason, WIRE_MR_POLICY);
	assert_int_equal(town_counter(t, "mesh.rx.not_a_partner"), 2);
}

/* ---- candidates ---------------------------------------------------------------------------- */

static void test_candidates_are_passed_on(void **state)
{
	struct town *t = town_two(state);
	const struct wire_mesh *said;

	town_join(t, 3);
	town_up(t, 1, 2);
	town_flow(t, 1, 3);
	town_pass(t, MESH_MOVED_MS);
	town_places(t, 1, "192.168.99.1", 4500);
	said = &town_heard(t, 2, CANDIDATES)->msg;
	assert_memory_equal(said->id, town_heard(t, 2, SUGGEST)->msg.id, WIRE_MESH_ID);
	assert_int_equal(said->n_candidates, 2);
	assert_int_equal(said->candidates[0].at.ip.b[2], 99);
	assert_int_equal(said->candidates[1].kind, WIRE_MC_SEEN);
	assert_int_equal(town_count(t, 3, CANDIDATES), 1);
	assert_null(town_heard(t, 1, CANDIDATES));
	/* Nothing new. */
	town_pass(t, MESH_MOVED_MS);
	town_places(t, 1, "192.168.99.1", 4500);
	assert_int_equal(town_count(t, 3, CANDIDATES), 1);
	/* News all the time: the last is what is said, and not oftener than so. */
	for (unsigned i = 1; i <= 100; i++) {
		char address[32];

		snprintf(address, sizeof(address), "192.168.100.%u", i);
		town_places(t, 1, address, 4500);
	}
	town_pass(t, 2 * MESH_MOVED_MS);
	assert_int_equal(town_count(t, 2, CANDIDATES), 3);
	said = &town_heard(t, 2, CANDIDATES)->msg;
	assert_int_equal(said->candidates[0].at.ip.b[3], 100);
}

/* As an SA moves, so does what the hub sees. */
static void test_a_member_moves(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_pass(t, MESH_MOVED_MS);
	citizen(t, 1)->remote.ip.b[1] = 99;
	town_event(t, 1, IKE_EV_MOVED);
	assert_int_equal(town_heard(t, 2, CANDIDATES)->msg.candidates[1].at.ip.b[1], 99);
}

/* Those of an answer are newer than what it said before. */
static void test_candidates_of_an_answer(void **state)
{
	struct town *t = town_two(state);
	struct heard *h;

	town_flow(t, 1, 2);
	h = town_heard(t, 1, SUGGEST);
	town_accepts_from(t, 1, "192.168.77.1");
	assert_non_null(h);
	assert_int_equal(town_count(t, 2, CANDIDATES), 1);
	assert_int_equal(town_heard(t, 2, CANDIDATES)->msg.candidates[0].at.ip.b[2], 77);
	town_accepts(t, 2);
	assert_int_equal(town_count(t, 1, CANDIDATES), 0);
}

/* What was said before, said again. */
static void test_old_candidates(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	citizen(t, 1)->sequence = 0;
	town_places(t, 1, "192.168.99.1", 4500);
	assert_int_equal(t->reason, WIRE_MR_OLDER);
	assert_int_equal(town_counter(t, "mesh.rx.old"), 1);
	assert_int_equal(town_count(t, 2, CANDIDATES), 0);
}

/* More than there may be, and such as are none: the best of the good ones are kept. */
static void test_too_many_candidates(void **state)
{
	struct town *t = *state;
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(BOOT) |
					     WIRE_MESH_BIT(CANDIDATE),
				  .boot = 5,
				  .sequence = 9,
				  .n_candidates = 8 };
	static const char *const at[] = {
		"192.168.1.1", "127.0.0.1",   "192.168.1.3", "224.0.0.5",
		"169.254.1.1", "192.168.1.6", "0.0.0.0",     "192.168.1.8"
	};
	const struct wire_mesh *said;

	town_open(t);
	town_comes(t, 1);
	town_join(t, 2);
	for (size_t i = 0; i < 8; i++) {
		word.candidates[i] = (struct wire_mesh_candidate){
			.kind = i == 5 ? WIRE_MC_SEEN : WIRE_MC_HOST,
			.flags = 0xff,
			.priority = (uint32_t)i,
			.at.port = i == 7 ? 0 : 4500,
		};
		assert_int_equal(ip_parse(at[i], &word.candidates[i].at.ip), ST_OK);
	}
	town_says(t, 1, WIRE_N_SHORTCUT_CANDIDATES, &word);
	town_flow(t, 1, 2);
	said = &town_heard(t, 2, SUGGEST)->msg;
	assert_int_equal(said->n_candidates, 3);
	assert_int_equal(said->candidates[0].at.ip.b[3], 3);
	assert_int_equal(said->candidates[0].flags, 0);
	assert_int_equal(said->candidates[1].at.ip.b[3], 1);
	assert_int_equal(said->candidates[2].kind, WIRE_MC_SEEN);
	for (size_t i = 0; i < 8; i++) {
		word.candidates[i].kind = WIRE_MC_HOST;
		word.candidates[i].at =
			(struct endpoint){ { 4, { 192, 168, 2, (uint8_t)(i + 1) } }, 4500 };
	}
	word.sequence++;
	town_says(t, 1, WIRE_N_SHORTCUT_CANDIDATES, &word);
	town_pass(t, MESH_MOVED_MS);
	said = &town_heard(t, 2, CANDIDATES)->msg;
	assert_int_equal(said->n_candidates, WIRE_MESH_CANDIDATES);
	assert_int_equal(said->candidates[0].at.ip.b[3], 8);
	assert_int_equal(said->candidates[6].at.ip.b[3], 2);
	assert_int_equal(said->candidates[7].kind, WIRE_MC_SEEN);
	word.sequence++;
	word.present &= ~WIRE_MESH_BIT(BOOT);
	memset(word.id, 1, sizeof(word.id));
	town_says(t, 1, WIRE_N_SHORTCUT_CANDIDATES, &word);
	assert_int_equal(t->reason, WIRE_MR_IDENTITY);
}

/* What failed for want of a way is tried as soon as there may be another one, but not all the
 * time. */
static void test_candidates_end_a_back_off(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_refuses(t, 1, WIRE_MR_POLICY, "");
	town_pass(t, 60000);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 1);
	town_places(t, 2, "192.168.99.1", 4500);
	town_pass(t, 0);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
	town_refuses(t, 1, WIRE_MR_POLICY, "");
	town_places(t, 2, "192.168.99.2", 4500);
	town_talk(t, 1, 2, 9);
	assert_int_equal(town_suggestions(t, 1), 2);
	town_talk(t, 1, 2, 3);
	assert_int_equal(town_suggestions(t, 1), 3);
}

/* ---- coming and going ---------------------------------------------------------------------- */

/* A tunnel outlives its hub, and that hub's memory of a member that is away for a moment. */
static void test_a_member_is_away(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_leaves(t, 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_null(town_heard(t, 2, WITHDRAW));
	town_pass(t, 60000);
	town_join(t, 1);
	town_reports(t, 1, 2, WIRE_MO_UP, 0);
	town_pass(t, MESH_AWAY_S * 1000 + 1000);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_int_equal(town_counter(t, "mesh.up"), 1);
}

/* What became of it meanwhile may not have found its way here: who has it says so. */
static void test_a_member_comes_back_without_it(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_leaves(t, 1);
	town_join(t, 1);
	town_pass(t, MESH_RETURN_S * 1000 - 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_null(town_heard(t, 2, WITHDRAW));
	town_pass(t, 2);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_LOST);
	assert_int_equal(town_withdrawn(t, 2)->reason, WIRE_MR_LOST);
	assert_memory_equal(town_withdrawn(t, 2)->id, town_heard(t, 2, SUGGEST)->msg.id,
			    WIRE_MESH_ID);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
}

/* Each of the two that was away has to say so. */
static void test_both_come_back(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_leaves(t, 1);
	town_leaves(t, 2);
	town_join(t, 2);
	town_reports(t, 2, 1, WIRE_MO_UP, 0);
	town_join(t, 1);
	town_pass(t, MESH_RETURN_S * 1000 + 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
}

static void test_a_member_stays_away(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_leaves(t, 1);
	town_pass(t, MESH_AWAY_S * 1000 - 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	town_leaves(t, 2);
	town_pass(t, MESH_AWAY_S * 1000);
	assert_string_equal(town_state(t, 1, 2, NULL), "none");
}

/* Whatever the other one says of it meanwhile. */
static void test_a_partner_of_who_is_away(void **state)
{
	struct town *t = town_two(state);
	struct wire_mesh word = a_report(t, 1);

	town_up(t, 1, 2);
	town_leaves(t, 1);
	town_pass(t, 1000);
	word.outcome = WIRE_MO_UP; /* another hub's */
	town_says(t, 2, WIRE_N_SHORTCUT_REPORT, &word);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	town_pass(t, MESH_AWAY_S * 1000);
	assert_string_equal(town_state(t, 1, 2, NULL), "none");
}

/* What was only said is nothing any more. */
static void test_a_member_leaves_before_it_answers(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_accepts(t, 1);
	citizen(t, 2)->up = false;
	town_event(t, 2, IKE_EV_CHILD_DOWN); /* the answer comes later: there is none */
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_LOST);
	assert_string_equal(town_state(t, 1, 2, NULL), "none");
	town_dies(t, 2);
	town_join(t, 2);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
}

/* It has started anew: there is no tunnel any more, whatever its partner thinks. */
static void test_a_member_comes_back_as_another(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_leaves(t, 1);
	citizen(t, 1)->boot = 7777;
	citizen(t, 1)->sequence = 0;
	town_join(t, 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	town_flow(t, 2, 1);
	assert_int_equal(town_suggestions(t, 2), 2);
	assert_int_equal(town_heard(t, 2, SUGGEST)->msg.boot, 7777);
}

/* Without having been away, as far as its hub can see; and suggested in between. */
static void test_a_member_is_another_at_once(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	citizen(t, 1)->boot = 7777;
	citizen(t, 1)->sequence = 0;
	town_comes(t, 1);
	town_places(t, 1, "192.168.0.2", 4500);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	assert_int_equal(town_count(t, 1, WITHDRAW), 1);
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
	town_flow(t, 2, 1);
	assert_int_equal(town_heard(t, 2, SUGGEST)->msg.boot, 7777);
}

/* R11: a hub that has started anew hears what there is from either member. */
static void test_a_hub_learns_what_is_up(void **state)
{
	struct town *t = town_two(state);
	struct wire_mesh word = a_report(t, 2);

	word.outcome = WIRE_MO_UP;
	town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 0);
	word.outcome = WIRE_MO_IDLE;
	town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	/* About somebody whom it does not know yet. */
	word = a_report(t, 9);
	word.outcome = WIRE_MO_UP;
	town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

/* So many, and no more, that nobody here suggested: each is remembered. */
static void test_claims_are_bounded(void **state)
{
	struct town *t = *state;

	t->silent_events = true;
	town_open(t);
	for (unsigned i = 1; i <= MESH_CLAIMS + 2; i++)
		town_join(t, i);
	for (unsigned i = 2; i <= MESH_CLAIMS + 2; i++) {
		struct wire_mesh word = a_report(t, i);

		word.outcome = WIRE_MO_UP;
		town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
		assert_int_equal(t->reason, 0);
	}
	assert_int_equal(town_counter(t, "mesh.up"), MESH_CLAIMS);
	assert_int_equal(town_counter(t, "mesh.pairs_full"), 1);
	/* What is suggested is another matter. */
	town_flow(t, 1, MESH_CLAIMS + 2);
	assert_int_equal(town_obeys(t), 2);
	assert_int_equal(town_counter(t, "mesh.up"), MESH_CLAIMS + 1);
}

/* R05, S2: a member that invents tunnels, loses them, has none, all the time: the one that it names
 * hears little of it, and has room for others; the rest is refused, and nobody's log is filled. */
static void test_a_member_says_too_much(void **state)
{
	struct town *t = town_two(state);
	const unsigned says = 2 * MESH_MEMBER_WORDS;
	size_t events;

	town_join(t, 3);
	for (unsigned i = 0; i < says; i++) {
		struct wire_mesh word = a_report(t, 2);

		store_be32(word.id, i / 2);
		word.outcome = i % 2 ? WIRE_MO_LOST : WIRE_MO_UP;
		town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
		assert_int_equal(t->reason, i < MESH_MEMBER_WORDS - 1 ? 0 : WIRE_MR_LIMIT);
	}
	assert_int_equal(town_counter(t, "mesh.rx.flood"), MESH_MEMBER_WORDS + 1);
	assert_in_range(town_count(t, 2, WITHDRAW), 1, MESH_PAIR_WORDS);
	events = t->n_events;
	assert_in_range(events, 1, 3 * MESH_MEMBER_WORDS);
	town_flow(t, 2, 3);
	assert_int_equal(town_suggestions(t, 3), 1);
	assert_int_equal(town_obeys(t), 2);
	assert_string_equal(town_state(t, 2, 3, NULL), "up");
	/* What it lost last is said in the end, once. */
	town_pass(t, 30000);
	assert_in_range(town_count(t, 2, WITHDRAW), 1, MESH_PAIR_WORDS + 1);
	/* It is heard again, as often as others are. */
	for (unsigned i = 0; i < 2 * 30 * MESH_MEMBER_WORDS_PER_S; i++) {
		struct wire_mesh word = a_report(t, 2);

		town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
	}
	assert_in_range(town_counter(t, "mesh.rx.flood"),
			MESH_MEMBER_WORDS + 1 + 29 * MESH_MEMBER_WORDS_PER_S,
			MESH_MEMBER_WORDS + 1 + 31 * MESH_MEMBER_WORDS_PER_S);
}

/* One that takes every suggestion, and is idle at once: so many at once, then one in a second. */
static void test_a_member_wants_too_many(void **state)
{
	struct town *t = town_two(state);

	for (unsigned ms = 0; ms < 20000; ms += 100) {
		struct wire_mesh word = a_report(t, 2);

		town_flow(t, 1, 2);
		memcpy(word.id, town_heard(t, 1, SUGGEST)->msg.id, sizeof(word.id));
		word.outcome = WIRE_MO_UP;
		town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
		word.outcome = WIRE_MO_IDLE;
		town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
		town_pass(t, 100);
	}
	assert_in_range(town_suggestions(t, 2), MESH_PAIR_WORDS, MESH_PAIR_WORDS + 20);
}

/* ---- prefixes ------------------------------------------------------------------------------ */

/* What it had is somebody else's now. */
static void test_prefixes_move_to_another_member(void **state)
{
	struct town *t = town_two(state);
	const struct wire_mesh *to1;

	town_join(t, 3);
	town_up(t, 1, 2);
	town_serves(t, 2, IKE_AUTHORITY_CERT, "10.50.0.0/16");
	town_event(t, 2, IKE_EV_CHILD_UP);
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_AUTHORITY);
	assert_int_equal(town_withdrawn(t, 2)->reason, WIRE_MR_AUTHORITY);
	assert_memory_equal(town_withdrawn(t, 2)->id, town_heard(t, 2, SUGGEST)->msg.id,
			    WIRE_MESH_ID);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	town_serves(t, 3, IKE_AUTHORITY_POOL, "10.0.2.0/24");
	town_event(t, 3, IKE_EV_CHILD_UP);
	town_flow(t, 1, 3);
	to1 = &town_heard(t, 1, SUGGEST)->msg;
	is_identity(&to1->partner, "site-3.example");
	assert_int_equal(to1->ts_remote[0].authority, IKE_AUTHORITY_POOL);
	assert_int_equal(to1->ts_remote[0].ts.ts[0].start.b[2], 2);
}

/* The same prefix on another word is another authority: a partner may judge that otherwise. */
static void test_authority_changes(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_serves(t, 2, IKE_AUTHORITY_RULE, "10.0.2.0/24");
	assert_int_equal(town_reload(t), ST_OK);
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_AUTHORITY);
	town_flow(t, 1, 2);
	assert_int_equal(town_heard(t, 1, SUGGEST)->msg.ts_remote[0].authority, IKE_AUTHORITY_RULE);
}

/* More than before: what is up goes on, until there is traffic that it does not have. */
static void test_prefixes_grow(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_serves(t, 2, IKE_AUTHORITY_CERT, "10.0.2.0/23");
	town_event(t, 2, IKE_EV_CHILD_UP);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_int_equal(t->words, 2);
	town_talk(t, 1, 2, 4);
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_EXPIRED);
	assert_int_equal(town_suggestions(t, 1), 2);
	assert_true(town_heard(t, 1, SUGGEST)->at > town_heard(t, 1, WITHDRAW)->at);
}

/* A member is what it is now: also one that stops to take suggestions. */
static void test_capabilities_change(void **state)
{
	struct town *t = town_two(state);

	citizen(t, 2)->capabilities = 0;
	town_comes(t, 2);
	town_flow(t, 1, 2);
	assert_int_equal(t->words, 0);
	citizen(t, 2)->capabilities = IKE_CAN_PARTNER;
	town_comes(t, 2);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 2), 1);
}

struct seen {
	size_t n;
	uint64_t epoch[8];
};

static bool see(void *ctx, const struct mesh_member_info *info)
{
	struct seen *s = ctx;

	assert_true(info->peer);
	assert_int_equal(info->ts[IKE_AUTHORITY_CERT].n, 1);
	assert_true(info->n_candidates >= 1);
	s->epoch[s->n++] = info->epoch;
	return true;
}

/* The latest attachment is the one with the largest epoch, whatever the clock does. */
static void test_the_directory(void **state)
{
	struct town *t = town_two(state);
	struct seen a = { 0 }, b = { 0 };

	mesh_each_member(t->mesh, see, &a);
	assert_int_equal(a.n, 2);
	assert_true(a.epoch[0] < a.epoch[1]);
	assert_int_equal(a.epoch[0], 1700000000000);
	town_leaves(t, 1);
	t->now.wall.s -= 1000;
	town_join(t, 1);
	mesh_each_member(t->mesh, see, &b);
	assert_int_equal(b.n, 2);
	assert_true(b.epoch[0] > b.epoch[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_reports_of_strangers),
		town_test(test_words_that_are_a_hubs),
		town_test(test_words_of_no_partner),
		town_test(test_candidates_are_passed_on),
		town_test(test_a_member_moves),
		town_test(test_candidates_of_an_answer),
		town_test(test_old_candidates),
		town_test(test_too_many_candidates),
		town_test(test_candidates_end_a_back_off),
		town_test(test_a_member_is_away),
		town_test(test_a_member_stays_away),
		town_test(test_a_partner_of_who_is_away),
		town_test(test_a_member_comes_back_without_it),
		town_test(test_both_come_back),
		town_test(test_a_member_leaves_before_it_answers),
		town_test(test_a_member_comes_back_as_another),
		town_test(test_a_member_is_another_at_once),
		town_test(test_a_hub_learns_what_is_up),
		town_test(test_claims_are_bounded),
		town_test(test_a_member_says_too_much),
		town_test(test_a_member_wants_too_many),
		town_test(test_prefixes_move_to_another_member),
		town_test(test_authority_changes),
		town_test(test_prefixes_grow),
		town_test(test_capabilities_change),
		town_test(test_the_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
