/* What hubs tell each other of members: what is said to another one, in which order and how often,
 * and what is taken of what it says. */
#include "mesh_town_hubs.h"

enum { A = TOWN_HUB, B, C };

/* Members 1 and 2, and that hub, which has heard of both. */
static struct town *with_hub(void **state)
{
	struct town *t = *state;

	town_is_hub(t);
	(void)town_two(state);
	town_pass(t, MESH_HUBS_MS);
	(void)town_hub(t, 0);
	town_comes(t, A);
	town_hub_accepts(t, A, HUBS);
	town_hub_accepts(t, A, DIRECTORY);
	return t;
}

static void is_refused(const struct town *t, enum wire_mesh_reason reason)
{
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_REFUSED);
	assert_int_equal(t->reason, reason);
}

/* "* +site-1.example -site-2.example": the newest word that it heard; '*' anew. */
static const char *heard(struct town *t, unsigned hub)
{
	static struct town_text l;
	struct heard *h = town_heard(t, hub, DIRECTORY);

	l.t = TEXT_OF(l.buf);
	for (size_t i = 0; h && i < h->msg.n_members; i++) {
		const struct wire_mesh_member *m = &h->msg.members[i];

		text_fmt(&l.t, "%s%s%.*s", i ? " " : "",
			 m->op == WIRE_MESH_MEMBERS_ANEW  ? "*"
			 : m->op == WIRE_MESH_MEMBER_GONE ? "-"
							  : "+",
			 (int)m->id.data.n, m->id.data.n ? (const char *)m->id.data.p : "");
	}
	return l.buf;
}

/* ---- to the other one ---------------------------------------------------------------------- */

/* R09: all that there is, then what happens, in order; one word at a time. */
static void test_told_what_happens(void **state)
{
	struct town *t = with_hub(state);
	uint64_t first = town_heard(t, A, DIRECTORY)->msg.sequence;

	assert_string_equal(heard(t, A), "* +site-1.example +site-2.example");
	town_join(t, 3);
	town_leaves(t, 1);
	town_pass(t, MESH_DIRECTORY_MS);
	assert_string_equal(heard(t, A), "+site-3.example -site-1.example");
	assert_int_equal(town_heard(t, A, DIRECTORY)->msg.sequence, first + 1);
	/* What happens before the answer waits for it. */
	town_join(t, 4);
	town_join(t, 1);
	town_pass(t, 10 * MESH_DIRECTORY_MS);
	assert_int_equal(town_count(t, A, DIRECTORY), 2);
	town_hub_accepts(t, A, DIRECTORY);
	assert_string_equal(heard(t, A), "+site-4.example +site-1.example");
	town_hub_accepts(t, A, DIRECTORY);
	town_pass(t, 10 * MESH_DIRECTORY_MS);
	assert_int_equal(town_count(t, A, DIRECTORY), 3);
}

/* R09: who refused hears all anew: at once, when it is for a hole; else after a while. */
static void test_told_anew(void **state)
{
	struct town *t = with_hub(state);

	town_join(t, 3);
	town_pass(t, MESH_DIRECTORY_MS);
	town_hub_refuses(t, A, DIRECTORY, WIRE_MR_OLDER);
	town_pass(t, MESH_SOON_MS + 1);
	assert_string_equal(heard(t, A), "* +site-1.example +site-2.example +site-3.example");
	town_hub_refuses(t, A, DIRECTORY, WIRE_MR_INTERNAL);
	town_join(t, 4); /* it is not spoken to before its time */
	town_pass(t, MESH_DIRECTORY_REFUSED_MS - 1);
	assert_int_equal(town_count(t, A, DIRECTORY), 3);
	town_pass(t, 2);
	assert_string_equal(heard(t, A), "* +site-1.example +site-2.example +site-3.example "
					 "+site-4.example");
	town_dies(t, A);
	town_pass(t, MESH_SOON_MS + 1);
	assert_int_equal(town_count(t, A, DIRECTORY), 5);
	assert_int_equal(heard(t, A)[0], '*');
}

/* P9: as many words as it takes, each when the one before has its answer. */
static void test_told_in_pages(void **state)
{
	struct town *t = *state;
	enum { N = 3 * WIRE_MESH_MEMBERS };
	size_t said = 0, words = 0;

	town_is_hub(t);
	town_open(t);
	for (unsigned n = 1; n <= N; n++)
		town_join(t, n);
	(void)town_hub(t, 0);
	town_comes(t, A);
	while (town_heard(t, A, DIRECTORY)->id) {
		said += town_heard(t, A, DIRECTORY)->msg.n_members;
		words++;
		assert_int_equal(town_count(t, A, DIRECTORY), words);
		town_hub_accepts(t, A, DIRECTORY);
	}
	assert_int_equal(said, N + 1);
	assert_int_equal(words, 4);
	/* They all leave while only one word can be under way. */
	for (unsigned n = 1; n <= N; n++)
		town_leaves(t, n);
	town_pass(t, MESH_DIRECTORY_MS);
	assert_int_equal(town_heard(t, A, DIRECTORY)->msg.n_members, WIRE_MESH_MEMBERS);
}

/* As many selectors and places as a member may have. */
static void with_much(struct town *t, unsigned n, const struct wire_ts *ts)
{
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(BOOT) |
					     WIRE_MESH_BIT(CANDIDATE),
				  .boot = citizen(t, n)->boot,
				  .sequence = 1,
				  .n_candidates = MESH_OWN_CANDIDATES };

	citizen(t, n)->served[IKE_AUTHORITY_CERT] = (struct wire_ts_list){ ts, WIRE_MESH_TS, 0 };
	for (unsigned i = 0; i < MESH_OWN_CANDIDATES; i++)
		word.candidates[i] = (struct wire_mesh_candidate){
			WIRE_MC_HOST,
			0,
			(2 << 24) - i,
			{ { 4, { 192, 168, (uint8_t)n, 1 + (uint8_t)i } }, 500 }
		};
	town_comes(t, n);
	town_says(t, n, WIRE_N_SHORTCUT_CANDIDATES, &word);
}

/* A word holds so many bytes: members with much to say of take more words. */
static void test_told_in_bytes(void **state)
{
	struct town *t = *state;
	static struct wire_ts many[WIRE_MESH_TS];
	size_t said = 0, words = 0;

	town_is_hub(t);
	town_open(t);
	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = t->section.domain.ts[0];
		many[i].start = many[i].end = (struct ip){ 4, { 10, 100, (uint8_t)i, 1 } };
	}
	for (unsigned n = 1; n < WIRE_MESH_MEMBERS; n++)
		with_much(t, n, many);
	(void)town_hub(t, 0);
	town_comes(t, A);
	while (town_heard(t, A, DIRECTORY)->id) {
		assert_true(town_heard(t, A, DIRECTORY)->data.n <= WIRE_MESH_MAX);
		said += town_heard(t, A, DIRECTORY)->msg.n_members;
		words++;
		town_hub_accepts(t, A, DIRECTORY);
	}
	assert_int_equal(said, WIRE_MESH_MEMBERS);
	assert_true(words > 1);
}

/* R09: of two hubs each hears who left, whichever asks first; one that comes up does not. */
static void test_two_hubs_are_told(void **state)
{
	struct town *t = with_hub(state);
	size_t live;

	(void)town_hub(t, 1);
	town_comes(t, B);
	town_hub_accepts(t, B, DIRECTORY);
	live = t->mem.live;
	town_leaves(t, 1);
	citizen(t, B)->deaf = ST_AGAIN;
	town_pass(t, MESH_DIRECTORY_MS);
	assert_string_equal(heard(t, A), "-site-1.example");
	citizen(t, B)->deaf = ST_OK;
	(void)town_hub(t, 2);
	town_comes(t, C);
	assert_string_equal(heard(t, C), "* +site-2.example");
	town_pass(t, MESH_SOON_MS);
	assert_string_equal(heard(t, B), "-site-1.example");
	/* Nothing is kept for one that is lost. */
	town_leaves(t, 2);
	town_leaves(t, B);
	town_leaves(t, C);
	town_hub_accepts(t, A, DIRECTORY);
	town_hub_accepts(t, A, DIRECTORY);
	assert_string_equal(heard(t, A), "-site-2.example");
	assert_true(t->mem.live <= live);
}

/* R11: without memory to keep who left, all is said anew. */
static void test_gone_without_memory(void **state)
{
	struct town *t = with_hub(state);
	bool anew = false;

	for (long n = 0; !anew; n++) {
		assert_in_range(n, 0, 30);
		town_join(t, 3);
		town_pass(t, MESH_DIRECTORY_MS);
		town_hub_accepts(t, A, DIRECTORY);
		citizen(t, 3)->up = false;
		t->mem.fail_at = t->mem.calls + n;
		town_event(t, 3, IKE_EV_SA_DOWN);
		t->mem.fail_at = -1;
		town_pass(t, 2 * MESH_SOON_MS);
		anew = heard(t, A)[0] == '*';
		assert_string_equal(heard(t, A),
				    anew ? "* +site-1.example +site-2.example" : "-site-3.example");
		town_hub_accepts(t, A, DIRECTORY);
	}
	/* And without memory for the word it is said later. */
	town_join(t, 4);
	t->mem.fail_at = t->mem.calls;
	t->mem.fail_on = true;
	town_pass(t, 3 * MESH_SOON_MS);
	t->mem.fail_on = false;
	t->mem.fail_at = -1;
	town_pass(t, MESH_SOON_MS);
	assert_string_equal(heard(t, A), "+site-4.example");
}

/* Who asks for it is told all, also while a word has no answer yet. */
static void test_asked_for_all(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(FLAGS),
				  .context = bytes_str("corp"),
				  .sequence = 5,
				  .flags = WIRE_MESH_ASK };
	struct wire_mesh_member v[] = { TOWN_ANEW };
	uint64_t before;

	town_says_members(t, A, 4, v, 1);
	town_join(t, 3);
	town_pass(t, MESH_DIRECTORY_MS);
	before = town_heard(t, A, DIRECTORY)->id;
	town_says(t, A, DIRECTORY, &word);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_string_equal(heard(t, A), "* +site-1.example +site-2.example +site-3.example");
	assert_int_not_equal(town_heard(t, A, DIRECTORY)->id, before);
	/* The answer to the word before comes now, and says nothing any more. */
	for (size_t i = 0; i < citizen(t, A)->n_heard; i++)
		if (citizen(t, A)->heard[i].id == before)
			town_answers(t, &citizen(t, A)->heard[i], ST_IO, 0, NULL);
	town_pass(t, 2 * MESH_SOON_MS);
	assert_int_equal(town_count(t, A, DIRECTORY), 3);
	word.flags = 0;
	word.sequence = 6;
	town_says(t, A, DIRECTORY, &word);
	assert_int_equal(town_count(t, A, DIRECTORY), 3);
}

/* ---- from the other one -------------------------------------------------------------------- */

/* S1, A1: an entry beyond the domain, or the hub's blocks, is left out; what rests on a rule of
 * that hub needs no block. */
static void test_beyond_authority(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW,
					town_member(t, 9, 1),
					town_member(t, 10, 1),
					town_member(t, 11, 1),
					town_member(t, A, 1),
					town_member(t, 12, UINT64_MAX) };
	struct wire_ts outside = t->section.domain.ts[0];

	outside.start = (struct ip){ 4, { 172, 16 } };
	outside.end = (struct ip){ 4, { 172, 16, 255, 255 } };
	v[2].ts[0].ts.ts = &outside;
	v[3].ts[0].authority = IKE_AUTHORITY_RULE;
	town_says_members(t, A, 1, v, 6);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_string_equal(town_directory(t),
			    "site-1.example site-2.example site-9.example@hub-a.example "
			    "site-11.example@hub-a.example");
	assert_int_equal(town_counter(t, "mesh.rx.directory_refused"), 3);
	/* Its certificate has less than it had. */
	citizen(t, A)->blocks = (struct wire_ts_list){ &outside, 1, 0 };
	town_says_members(t, A, 2, &v[1], 1);
	town_says_members(t, A, 3, &v[3], 1);
	assert_int_equal(town_counter(t, "mesh.rx.directory_refused"), 4);
	citizen(t, A)->blocks = town_domain(t);
}

/* R09: numbers follow each other, or all is said anew. */
static void test_holes(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 9, 1) };

	town_says_members(t, A, 7, v + 1, 1);
	is_refused(t, WIRE_MR_OLDER);
	town_says_members(t, A, 7, v, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	town_says_members(t, A, 7, v, 2);
	is_refused(t, WIRE_MR_OLDER);
	town_says_members(t, A, 1, v, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	town_says_members(t, A, 9, v, 2); /* anew, further on */
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_counter(t, "mesh.rx.directory_hole"), 2);
	assert_int_equal(town_counter(t, "mesh.rx.directory"), 5);
}

/* R09: of two hubs that name one identity the later attachment counts; of equal ones that at the
 * hub with the larger identity. Who says that it has gone is believed when it is there. */
static void test_which_attachment(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 9, 100) };
	struct wire_mesh_member gone = town_gone(t, 9);

	(void)town_hub(t, 1);
	town_comes(t, B);
	town_says_members(t, B, 1, v, 2);
	town_says_members(t, A, 1, v, 2);
	assert_non_null(strstr(town_directory(t), "site-9.example@hub-b.example"));
	town_says_members(t, A, 2, &gone, 1);
	assert_non_null(strstr(town_directory(t), "site-9.example@hub-b.example"));
	v[1].epoch = 99;
	town_says_members(t, A, 3, v + 1, 1);
	assert_non_null(strstr(town_directory(t), "site-9.example@hub-b.example"));
	v[1].epoch = 101;
	town_says_members(t, A, 4, v + 1, 1);
	assert_non_null(strstr(town_directory(t), "site-9.example@hub-a.example"));
	v[1].epoch = 101;
	town_says_members(t, B, 2, v + 1, 1);
	assert_non_null(strstr(town_directory(t), "site-9.example@hub-b.example"));
	/* What its own hub says of it later is so, whatever the number. */
	v[1].epoch = 3;
	v[1].ts[0].ts.ts = citizen(t, 8)->ts;
	town_says_members(t, B, 3, v + 1, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	town_says_members(t, B, 4, &gone, 1);
	assert_null(strstr(town_directory(t), "site-9"));
	town_says_members(t, B, 5, &gone, 1); /* once more: nobody */
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

/* R09: one of ours is up elsewhere since, and comes back to us. */
static void test_ours_is_elsewhere(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 1, 1ull << 50) };
	struct wire_mesh_member gone = town_gone(t, 1);

	town_says_members(t, A, 1, v, 2);
	assert_string_equal(town_directory(t), "site-1.example!hub-a.example site-2.example");
	town_pass(t, MESH_DIRECTORY_MS);
	assert_string_equal(heard(t, A), "-site-1.example");
	town_hub_accepts(t, A, DIRECTORY);
	/* A new SA here is later than what was said. */
	town_comes(t, 1);
	town_pass(t, MESH_DIRECTORY_MS);
	assert_string_equal(town_directory(t), "site-1.example site-2.example");
	assert_string_equal(heard(t, A), "+site-1.example");
	town_hub_accepts(t, A, DIRECTORY);
	v[1].epoch = 1ull << 51;
	town_says_members(t, A, 2, v + 1, 1);
	assert_string_equal(town_directory(t), "site-1.example!hub-a.example site-2.example");
	/* It has left there, and what it had here is still up. */
	town_says_members(t, A, 3, &gone, 1);
	assert_string_equal(town_directory(t), "site-1.example site-2.example");
	v[1].epoch = 1ull << 52;
	town_says_members(t, A, 4, v + 1, 1);
	town_leaves(t, 1);
	assert_string_equal(town_directory(t), "site-1.example@hub-a.example site-2.example");
}

/* R09: one that is up at several hubs is here, whatever the others say. */
static void test_at_several(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 3, 1ull << 50) };

	citizen(t, 3)->capabilities |= IKE_AT_SEVERAL;
	town_join(t, 3);
	v[1].capabilities |= IKE_AT_SEVERAL;
	town_says_members(t, A, 1, v, 2);
	town_says_members(t, A, 2, v + 1, 1);
	assert_string_equal(town_directory(t),
			    "site-1.example site-2.example site-3.example!hub-a.example");
	town_flow(t, 1, 3);
	assert_int_equal(town_suggestions(t, 3), 1);
	assert_int_equal(town_count(t, A, RELAY), 0);
}

/* R02: what a hub that begins anew does not say again is doubted for a minute, and gone then; a
 * hub that is lost has said nothing. */
static void test_doubts(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 9, 1), town_member(t, 10, 1) };

	town_says_members(t, A, 1, v, 3);
	town_says_members(t, A, 2, v, 2);
	town_flow(t, 10, 1);
	assert_int_equal(town_suggestions(t, 1), 0); /* nobody is suggested who is doubted */
	town_pass(t, (int64_t)MESH_DOUBT_S * 1000);
	assert_string_equal(town_directory(t),
			    "site-1.example site-2.example site-9.example@hub-a.example");
	town_leaves(t, A);
	town_pass(t, (int64_t)MESH_DOUBT_S * 1000 - 1);
	assert_non_null(strstr(town_directory(t), "site-9"));
	town_pass(t, 1);
	assert_string_equal(town_directory(t), "site-1.example site-2.example");
}

/* R11: each allocation fails once: the word is refused or taken, and what follows makes it good. */
static void test_entries_without_memory(void **state)
{
	struct town *t = with_hub(state);
	uint64_t sequence = 1;
	long n = 0;

	for (;; n++) {
		struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 9, 1),
						town_member(t, 3, 1) };
		struct wire_mesh_member gone[] = { TOWN_ANEW };

		assert_in_range(n, 0, 200);
		v[1].n_candidates = 2;
		v[1].candidates[0] = (struct wire_mesh_candidate){
			WIRE_MC_HOST, 0, 2 << 24, { { 4, { 192, 168, 9, 1 } }, 4500 }
		};
		v[1].candidates[1] = (struct wire_mesh_candidate){
			WIRE_MC_SEEN, 1, 1 << 24, { { 4, { 198, 51, 100, 9 } }, 61000 }
		};
		t->mem.refused = 0;
		t->mem.fail_at = t->mem.calls + n;
		town_says_members(t, A, sequence++, v, 3);
		t->mem.fail_at = -1;
		if (t->answer == WIRE_N_SHORTCUT_REFUSED) {
			is_refused(t, WIRE_MR_INTERNAL);
			town_says_members(t, A, sequence++, v, 3);
		}
		assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
		assert_non_null(strstr(town_directory(t), "site-9.example@hub-a.example"));
		assert_non_null(strstr(town_directory(t), "site-3.example@hub-a.example"));
		town_says_members(t, A, sequence++, gone, 1);
		town_pass(t, (int64_t)MESH_DOUBT_S * 1000);
		assert_null(strstr(town_directory(t), "site-9"));
		if (!t->mem.refused)
			break;
	}
	assert_in_range(n, 3, 200);
}

/* R10: a member at another hub has started again: what it had is over. */
static void test_starts_again(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 9, 1) };
	struct wire_mesh word = { .present = WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(OUTCOME),
				  .id = { 5 },
				  .partner = ident_of_citizen(t, 9),
				  .context = bytes_str("corp"),
				  .outcome = WIRE_MO_UP };

	town_says_members(t, A, 1, v, 2);
	town_says(t, 1, REPORT, &word);
	assert_string_equal(town_state(t, 1, 9, NULL), "up");
	v[1].boot = 0; /* not said */
	town_says_members(t, A, 2, v + 1, 1);
	assert_string_equal(town_state(t, 1, 9, NULL), "up");
	v[1].boot = 4711;
	town_says_members(t, A, 3, v + 1, 1);
	assert_string_equal(town_state(t, 1, 9, NULL), "idle");
	assert_int_equal(town_events(t, IKE_EV_SHORTCUT_ENDED), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_told_what_happens),
		town_test(test_told_anew),
		town_test(test_told_in_pages),
		town_test(test_told_in_bytes),
		town_test(test_two_hubs_are_told),
		town_test(test_gone_without_memory),
		town_test(test_asked_for_all),
		town_test(test_beyond_authority),
		town_test(test_holes),
		town_test(test_which_attachment),
		town_test(test_ours_is_elsewhere),
		town_test(test_at_several),
		town_test(test_doubts),
		town_test(test_entries_without_memory),
		town_test(test_starts_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
