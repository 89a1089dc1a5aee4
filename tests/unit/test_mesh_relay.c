/* Suggestions of another hub for a member here, and what comes after them: what is passed on, and
 * what is refused and why. */
#include "mesh_town_hubs.h"

enum { A = TOWN_HUB, B, HERE = 1, THERE = 9 };

/* Members 1 and 2; hub A, at which member 9 is. */
static struct town *with_hub(void **state)
{
	struct town *t = *state;
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, THERE, 1) };

	town_is_hub(t);
	(void)town_two(state);
	(void)town_hub(t, 0);
	town_comes(t, A);
	town_says_members(t, A, 1, v, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	return t;
}

static void is_refused(const struct town *t, enum wire_mesh_reason reason)
{
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_REFUSED);
	assert_int_equal(t->reason, reason);
}

/* What hub A suggests to a member here. */
static struct wire_mesh suggestion(struct town *t, unsigned own, unsigned partner, uint8_t id)
{
	static const uint8_t secret[WIRE_MESH_SECRET] = { 1 };

	return (struct wire_mesh){
		.id = { id },
		.present = WIRE_MESH_BIT(SECRET) | WIRE_MESH_BIT(PARTNER_ID) |
			   WIRE_MESH_BIT(OWN_ID) | WIRE_MESH_BIT(TS_REMOTE) |
			   WIRE_MESH_BIT(TS_LOCAL) | WIRE_MESH_BIT(CONTEXT) |
			   WIRE_MESH_BIT(LIFETIME) | WIRE_MESH_BIT(FLAGS),
		.secret = secret,
		.partner = ident_of_citizen(t, partner),
		.own = ident_of_citizen(t, own),
		.ts_remote = { { IKE_AUTHORITY_CERT, { citizen(t, partner)->ts, 1, 0 } } },
		.n_ts_remote = 1,
		.ts_local = { { IKE_AUTHORITY_CERT, { citizen(t, own)->ts, 1, 0 } } },
		.n_ts_local = 1,
		.context = bytes_str("corp"),
		.lifetime_s = 600,
		.flags = WIRE_MESH_PQ,
	};
}

static void relays(struct town *t, uint8_t id)
{
	const struct wire_mesh word = suggestion(t, HERE, THERE, id);

	town_asks(t, A, RELAY, &word);
}

static void report(struct town *t, unsigned hub, unsigned own, unsigned partner, uint8_t id,
		   enum wire_mesh_outcome outcome)
{
	const struct wire_mesh word = { .id = { id },
					.present = WIRE_MESH_BIT(PARTNER_ID) |
						   WIRE_MESH_BIT(CONTEXT) | WIRE_MESH_BIT(OUTCOME) |
						   (own ? WIRE_MESH_BIT(OWN_ID) : 0),
					.partner = ident_of_citizen(t, partner),
					.own = ident_of_citizen(t, own ? own : 1),
					.context = bytes_str("corp"),
					.outcome = (uint8_t)outcome };

	town_says(t, hub, REPORT, &word);
}

/* Up, by a suggestion of hub A. */
static struct town *with_tunnel(void **state)
{
	struct town *t = with_hub(state);

	relays(t, 5);
	town_accepts(t, HERE);
	report(t, HERE, 0, THERE, 5, WIRE_MO_UP);
	report(t, A, THERE, HERE, 5, WIRE_MO_UP);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "up");
	return t;
}

/* ---- passed on ------------------------------------------------------------------------------- */

/* T2, R09: the member hears it as its hub's own; its answer is ours. */
static void test_passed_on(void **state)
{
	struct town *t = with_hub(state);
	const struct wire_mesh *to;

	relays(t, 5);
	assert_int_equal(t->answer, 0);
	to = &town_heard(t, HERE, SUGGEST)->msg;
	assert_int_equal(to->id[0], 5);
	assert_true(bytes_eq(to->partner.data, bytes_str("site-9.example")));
	assert_false(to->flags & WIRE_MESH_PQ); /* not all of its way was */
	assert_string_equal(town_said(t, IKE_EV_SUGGESTED),
			    "site-1.example and site-9.example: for another hub, hub-a.example");
	town_accepts(t, HERE);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "accepted");
	assert_int_equal(town_counter(t, "mesh.relayed"), 1);
	assert_int_equal(town_counter(t, "mesh.suggested"), 0);
	/* What our member reports is the other hub's to know. */
	report(t, HERE, 0, THERE, 5, WIRE_MO_UP);
	assert_int_equal(town_count(t, A, REPORT), 1);
	assert_true(bytes_eq(town_heard(t, A, REPORT)->msg.own.data, bytes_str("site-1.example")));
	assert_string_equal(town_state(t, HERE, THERE, NULL), "up");
}

/* The member's refusal is ours, with its text, and without; what no reason is becomes one. */
static void test_refused_by_the_member(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh msg = { .id = { 7 },
				 .present = WIRE_MESH_BIT(REASON),
				 .reason = WIRE_MRS + 40 };

	relays(t, 5);
	town_refuses(t, HERE, WIRE_MR_NO_CANDIDATES, "nothing to call from");
	is_refused(t, WIRE_MR_NO_CANDIDATES);
	assert_string_equal(t->text, "nothing to call from");
	assert_string_equal(town_state(t, HERE, THERE, NULL), "failed");
	town_pass(t, 60000);
	relays(t, 7);
	town_answers(t, town_heard(t, HERE, SUGGEST), ST_OK, WIRE_N_SHORTCUT_REFUSED, &msg);
	is_refused(t, WIRE_MR_PARTNER_REFUSED);
	assert_string_equal(t->text, "");
	town_pass(t, 600000);
	relays(t, 8);
	town_dies(t, HERE);
	is_refused(t, WIRE_MR_NO_ANSWER);
	assert_string_equal(t->text, "the member does not answer");
}

/* R11: who does not answer in time is not asked again for a while; his answer comes to nothing. */
static void test_member_is_slow(void **state)
{
	struct town *t = with_hub(state);

	relays(t, 5);
	town_pass(t, (int64_t)MESH_RELAY_S * 1000);
	is_refused(t, WIRE_MR_NO_ANSWER);
	relays(t, 6);
	is_refused(t, WIRE_MR_LIMIT);
	assert_string_equal(t->text, "the member left another one unanswered");
	town_pass(t, (int64_t)MESH_SLOW_S * 1000);
	relays(t, 7);
	assert_int_equal(t->answer, 0);
	town_accepts(t, HERE);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

/* It cannot be told: the other hub hears that at once. */
static void test_member_cannot_be_told(void **state)
{
	struct town *t = with_hub(state);

	citizen(t, HERE)->deaf = ST_AGAIN;
	relays(t, 5);
	is_refused(t, WIRE_MR_NO_ANSWER);
	assert_string_equal(t->text, "the member cannot be told now");
	assert_string_equal(town_state(t, HERE, THERE, NULL), "idle");
	citizen(t, HERE)->deaf = ST_OK;
	relays(t, 6);
	assert_int_equal(t->answer, 0);
}

/* U2: of two suggestions for one pair that with the lower id lives, here and there. */
static void test_lower_id_lives(void **state)
{
	struct town *t = with_hub(state);
	uint64_t first;

	relays(t, 5);
	first = t->engine.last_asked;
	relays(t, 6);
	is_refused(t, WIRE_MR_OLDER);
	assert_string_equal(t->text, "another suggestion, whose id is lower, is under way");
	relays(t, 4);
	is_refused(t, WIRE_MR_NO_ANSWER);
	assert_int_equal(t->answered, first);
	assert_int_equal(town_suggestions(t, HERE), 2);
	assert_int_equal(town_heard(t, HERE, SUGGEST)->msg.id[0], 4);
	town_accepts(t, HERE);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(t->answered, t->engine.last_asked);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "accepted");
}

/* R09: what we suggest goes to the other hub as RELAY, and its answer is its member's. */
static void test_suggested_here(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh w;
	struct heard *h;

	town_flow(t, THERE, HERE);
	h = town_heard(t, A, RELAY);
	assert_non_null(h);
	assert_true(bytes_eq(h->msg.own.data, bytes_str("site-9.example")));
	assert_int_equal(town_suggestions(t, HERE), 1);
	town_accepts(t, HERE);
	town_hub_accepts(t, A, RELAY);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "accepted");
	/* A higher one of that hub comes too late, a lower one takes its place. */
	w = suggestion(t, HERE, THERE, 0);
	memset(w.id, 0xff, sizeof(w.id));
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_OLDER);
	memset(w.id, 0, sizeof(w.id));
	w.id[WIRE_MESH_ID - 1] = 1;
	town_asks(t, A, RELAY, &w);
	assert_int_equal(t->answer, 0);
	assert_int_equal(town_suggestions(t, HERE), 2);
	town_accepts(t, HERE);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

/* ---- refused --------------------------------------------------------------------------------- */

/* S1, A1, A4: each reason, with a text; nothing of it reaches the member. */
static void test_what_is_refused(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 10, 1) };
	struct wire_ts outside = t->section.domain.ts[0];
	struct wire_mesh w;

	outside.start = (struct ip){ 4, { 172, 16 } };
	outside.end = (struct ip){ 4, { 172, 16, 255, 255 } };
	(void)town_hub(t, 1);
	town_comes(t, B);
	town_says_members(t, B, 1, v, 2);
	/* Nobody; who is at the other hub himself; who takes none. */
	w = suggestion(t, 77, THERE, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_IDENTITY);
	w = suggestion(t, 10, THERE, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_IDENTITY);
	citizen(t, 3)->capabilities = IKE_CAN_HUB;
	town_comes(t, 3);
	w = suggestion(t, 3, THERE, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_IDENTITY);
	assert_string_equal(t->text, "there is no such member here that takes suggestions");
	/* Partners whom we do not know there. */
	w = suggestion(t, HERE, 78, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_OLDER);
	w = suggestion(t, HERE, 10, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_OLDER);
	w = suggestion(t, HERE, HERE, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_OLDER);
	/* Selectors that the member has not, or not so; that the partner cannot have. */
	w = suggestion(t, HERE, THERE, 5);
	w.ts_local[0].ts.ts = citizen(t, 2)->ts;
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_SELECTORS);
	w = suggestion(t, HERE, THERE, 5);
	w.ts_local[0].authority = IKE_AUTHORITY_RULE;
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_SELECTORS);
	w = suggestion(t, HERE, THERE, 5);
	w.ts_remote[0].ts.ts = &outside;
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_AUTHORITY);
	citizen(t, A)->blocks = (struct wire_ts_list){ &outside, 1, 0 };
	w = suggestion(t, HERE, THERE, 5);
	town_says(t, A, RELAY, &w);
	is_refused(t, WIRE_MR_AUTHORITY);
	assert_int_equal(town_suggestions(t, HERE), 0);
	/* On the other hub's rule it needs no block. */
	w.ts_remote[0].authority = IKE_AUTHORITY_RULE;
	town_asks(t, A, RELAY, &w);
	assert_int_equal(town_suggestions(t, HERE), 1);
	citizen(t, A)->blocks = town_domain(t);
}

/* A4: what is a star here is none of another hub's business. */
static void test_star_here(void **state)
{
	struct town *t = with_hub(state);

	t->network.topology = MESH_STAR;
	assert_int_equal(town_reload(t), ST_OK);
	relays(t, 5);
	is_refused(t, WIRE_MR_POLICY);
	assert_string_equal(t->text, "the topology is a star for both");
	assert_int_equal(town_suggestions(t, HERE), 0);
}

/* R11: each allocation fails once; the same suggestion is taken the next time. */
static void test_relay_without_memory(void **state)
{
	struct town *t = with_hub(state);
	uint8_t id = 250;
	long n;

	for (n = 0;; n++, id -= 2) {
		assert_in_range(n, 0, 60);
		t->mem.refused = 0;
		t->mem.fail_at = t->mem.calls + n;
		relays(t, id);
		t->mem.fail_at = -1;
		if (!t->mem.refused)
			break;
		if (t->answer)
			assert_true(t->reason == WIRE_MR_INTERNAL ||
				    t->reason == WIRE_MR_NO_ANSWER);
		else
			town_accepts(t, HERE);
		town_pass(t, 10000);
		relays(t, id - 1);
		town_accepts(t, HERE);
		assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
		town_pass(t, (int64_t)MESH_ANSWER_S * 1000);
		town_pass(t, 600000);
	}
	assert_in_range(n, 2, 60);
}

/* ---- what comes after it --------------------------------------------------------------------- */

static void candidates(struct town *t, uint8_t id, uint8_t last, uint64_t sequence)
{
	struct wire_mesh word = { .id = { id },
				  .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(CONTEXT) |
					     WIRE_MESH_BIT(CANDIDATE),
				  .context = bytes_str("corp"),
				  .sequence = sequence,
				  .n_candidates = 1 };

	word.candidates[0] = (struct wire_mesh_candidate){
		WIRE_MC_HOST, 0, 2 << 24, { { 4, { 192, 168, 9, last } }, 4500 }
	};
	town_says(t, A, CANDIDATES, &word);
}

/* T6: the partner's places are passed on, if they are news, and of a suggestion that there is. */
static void test_candidates(void **state)
{
	struct town *t = with_hub(state);

	candidates(t, 5, 1, 1);
	is_refused(t, WIRE_MR_EXPIRED);
	relays(t, 5);
	town_accepts(t, HERE);
	candidates(t, 5, 1, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_count(t, HERE, CANDIDATES), 1);
	assert_int_equal(town_heard(t, HERE, CANDIDATES)->msg.candidates[0].at.ip.b[3], 1);
	candidates(t, 5, 1, 3);
	assert_int_equal(town_count(t, HERE, CANDIDATES), 1);
	candidates(t, 5, 2, 4);
	assert_int_equal(town_count(t, HERE, CANDIDATES), 2);
	candidates(t, 6, 3, 5);
	is_refused(t, WIRE_MR_EXPIRED);
}

static void withdraws(struct town *t, uint8_t id, unsigned own, unsigned partner)
{
	const struct wire_mesh word = { .id = { id },
					.present = WIRE_MESH_BIT(REASON) |
						   (id ? 0
						       : WIRE_MESH_BIT(PARTNER_ID) |
								    WIRE_MESH_BIT(CONTEXT) |
								    WIRE_MESH_BIT(OWN_ID)),
					.reason = WIRE_MR_POLICY,
					.own = ident_of_citizen(t, own),
					.partner = ident_of_citizen(t, partner),
					.context = bytes_str("corp") };

	town_says(t, A, WITHDRAW, &word);
}

/* R13: what is under way, and what is up, is taken back at our member; of what there is not, the
 * other hub need not hear. */
static void test_withdraw(void **state)
{
	struct town *t = with_hub(state);

	withdraws(t, 5, HERE, THERE);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_count(t, HERE, WITHDRAW), 0);
	relays(t, 5);
	town_accepts(t, HERE);
	withdraws(t, 5, HERE, THERE);
	assert_int_equal(town_count(t, HERE, WITHDRAW), 1);
	assert_int_equal(town_withdrawn(t, HERE)->id[0], 5);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "failed");
	withdraws(t, 5, HERE, THERE);
	assert_int_equal(town_count(t, HERE, WITHDRAW), 1);
}

static void test_withdraw_of_a_tunnel(void **state)
{
	struct town *t = with_tunnel(state);
	size_t before = town_count(t, A, WITHDRAW);

	withdraws(t, 5, HERE, THERE);
	assert_int_equal(town_withdrawn(t, HERE)->id[0], 5);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "idle");
	assert_in_range(town_count(t, A, WITHDRAW), before, before + 1);
}

/* R13: without an id: whatever the member has with that one, whom we may not even know. */
static void test_withdraw_whatever_there_is(void **state)
{
	struct town *t = with_tunnel(state);

	withdraws(t, 0, THERE, HERE);
	is_refused(t, WIRE_MR_IDENTITY);
	withdraws(t, 0, 77, HERE);
	is_refused(t, WIRE_MR_IDENTITY);
	withdraws(t, 0, HERE, 77);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_count(t, HERE, WITHDRAW), 1);
	assert_true(bytes_eq(town_withdrawn(t, HERE)->partner.data, bytes_str("site-77.example")));
	withdraws(t, 0, HERE, HERE);
	withdraws(t, 0, HERE, 2);
	assert_int_equal(town_count(t, HERE, WITHDRAW), 3);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "up");
	withdraws(t, 0, HERE, THERE);
	assert_int_equal(town_withdrawn(t, HERE)->id[0], 5);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "idle");
	citizen(t, HERE)->deaf = ST_AGAIN;
	withdraws(t, 0, HERE, 77);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_counter(t, "mesh.tx.unanswered"), 1);
}

/* R09: what happens there is said of that hub's own members, by name. */
static void test_reports(void **state)
{
	struct town *t = with_tunnel(state);

	report(t, A, 0, HERE, 5, WIRE_MO_LOST); /* of whom? */
	is_refused(t, WIRE_MR_IDENTITY);
	report(t, A, HERE, THERE, 5, WIRE_MO_LOST);
	is_refused(t, WIRE_MR_IDENTITY);
	report(t, A, 77, HERE, 5, WIRE_MO_LOST);
	is_refused(t, WIRE_MR_IDENTITY);
	report(t, A, THERE, THERE, 5, WIRE_MO_LOST);
	is_refused(t, WIRE_MR_IDENTITY);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "up");
	report(t, A, THERE, 77, 5, WIRE_MO_UP);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	/* A tunnel that we have not heard of before, and one's end that was none. */
	report(t, A, THERE, 2, 6, WIRE_MO_IDLE);
	assert_string_equal(town_state(t, 2, THERE, NULL), "none");
	report(t, A, THERE, 2, 6, WIRE_MO_UP);
	assert_string_equal(town_state(t, 2, THERE, NULL), "up");
	report(t, A, THERE, HERE, 5, WIRE_MO_IDLE);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "idle");
}

/* Both at other hubs: what they have is theirs. */
static void test_report_of_strangers(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, 10, 1) };

	(void)town_hub(t, 1);
	town_comes(t, B);
	town_says_members(t, B, 1, v, 2);
	report(t, B, 10, THERE, 6, WIRE_MO_UP);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_string_equal(town_state(t, 10, THERE, NULL), "none");
	town_flow(t, 10, THERE);
	assert_int_equal(town_count(t, A, RELAY) + town_count(t, B, RELAY), 0);
}

/* R09: the other hub is lost: what is up stays, and what it would be told is lost. */
static void test_hub_is_lost(void **state)
{
	struct town *t = with_tunnel(state);

	town_leaves(t, A);
	assert_string_equal(town_state(t, HERE, THERE, NULL), "up");
	report(t, HERE, 0, THERE, 5, WIRE_MO_IDLE);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_not_equal(town_counter(t, "mesh.tx.unanswered"), 0);
	town_flow(t, THERE, HERE);
	assert_int_equal(town_count(t, HERE, SUGGEST), 1);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* For the first address of these. */
static void asks(struct town *t, unsigned n, const struct wire_ts *ts, size_t n_ts)
{
	struct wire_ts one[2];
	struct wire_mesh word = { .present = WIRE_MESH_BIT(CONTEXT) | WIRE_MESH_BIT(TS_REMOTE),
				  .context = bytes_str("corp"),
				  .ts_remote = { { IKE_AUTHORITY_CERT, { one, n_ts, 0 } } },
				  .n_ts_remote = 1 };

	for (size_t i = 0; i < n_ts; i++) {
		one[i] = ts[i];
		one[i].end = one[i].start;
	}
	town_says(t, n, WIRE_N_SHORTCUT_ASK, &word);
}

/* R09: who is up elsewhere since has that hub to ask, but for members here; whoever is doubted is
 * suggested to nobody. */
static void test_asked_from_elsewhere(void **state)
{
	struct town *t = with_hub(state);
	struct wire_mesh_member v[] = { TOWN_ANEW, town_member(t, HERE, 1ull << 50) };

	asks(t, HERE, citizen(t, THERE)->ts, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_count(t, A, RELAY), 1);
	town_says_members(t, A, 2, v + 1, 1);
	asks(t, HERE, citizen(t, THERE)->ts, 1);
	is_refused(t, WIRE_MR_OLDER);
	assert_string_equal(t->text, "you are up at another hub since");
	asks(t, HERE, citizen(t, 2)->ts, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	town_says_members(t, A, 3, v, 2);
	asks(t, 2, citizen(t, THERE)->ts, 1);
	is_refused(t, WIRE_MR_PARTNER_REFUSED);
}

/* One address is asked for; and why there is no way, as the other one said. */
static void test_asked_and_refused(void **state)
{
	struct town *t = with_hub(state);
	struct wire_ts two[] = { citizen(t, 2)->ts[0], citizen(t, THERE)->ts[0] };

	asks(t, HERE, two, 2);
	is_refused(t, WIRE_MR_MALFORMED);
	asks(t, HERE, two, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	town_refuses(t, 2, WIRE_MR_NO_CANDIDATES, "nothing to call from");
	asks(t, HERE, two, 1);
	is_refused(t, WIRE_MR_NO_CANDIDATES);
	assert_non_null(strstr(t->text, " s: nothing to call from"));
	town_pass(t, 600000);
	asks(t, HERE, two, 1);
	town_refuses(t, 2, WIRE_MRS + 7, "");
	asks(t, HERE, two, 1);
	is_refused(t, WIRE_MR_NO_ANSWER);
	/* Without memory for the word, then for the pair. */
	for (long n = 0; t->reason != WIRE_MR_LIMIT; n++) {
		assert_in_range(n, 0, 20);
		t->mem.fail_at = t->mem.calls + n;
		asks(t, HERE, two + 1, 1);
		t->mem.fail_at = -1;
		assert_true(t->reason == WIRE_MR_INTERNAL || t->reason == WIRE_MR_LIMIT);
		assert_string_equal(town_state(t, HERE, THERE, NULL), "none");
	}
	t->network.topology = MESH_STAR;
	assert_int_equal(town_reload(t), ST_OK);
	asks(t, HERE, two + 1, 1);
	is_refused(t, WIRE_MR_POLICY);
}

/* ---- looking --------------------------------------------------------------------------------- */

static bool first_member(void *ctx, const struct mesh_member_info *info)
{
	(void)info;
	return ++*(unsigned *)ctx < 2;
}

static bool first_pair(void *ctx, const struct mesh_pair_info *info)
{
	(void)info;
	++*(unsigned *)ctx;
	return false;
}

static bool first_hub(void *ctx, const struct mesh_network *network,
		      const struct wire_mesh_hub *hub, bool connected)
{
	(void)network;
	(void)hub;
	(void)connected;
	++*(unsigned *)ctx;
	return false;
}

/* Who has seen enough is shown no more; a pair that is due is due now. */
static void test_looking_stops(void **state)
{
	struct town *t = with_tunnel(state);
	const struct wire_mesh_hub at = town_hub_at(t, A, 2);
	unsigned members = 0, pairs = 0, hubs = 0;
	const char *name;
	uint64_t value;

	town_says_hubs(t, A, 1, &at, 1);
	town_flow(t, HERE, 2);
	town_leaves(t, 2);
	mesh_each_member(t->mesh, first_member, &members);
	assert_int_equal(members, 2);
	mesh_each_pair(t->mesh, t->now, first_pair, &pairs);
	assert_int_equal(pairs, 1);
	mesh_each_hub(t->mesh, first_hub, &hubs);
	assert_int_equal(hubs, 1);
	assert_false(mesh_counter(t->mesh, 10000, &name, &value));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_passed_on),
		town_test(test_refused_by_the_member),
		town_test(test_member_is_slow),
		town_test(test_member_cannot_be_told),
		town_test(test_lower_id_lives),
		town_test(test_suggested_here),
		town_test(test_what_is_refused),
		town_test(test_star_here),
		town_test(test_relay_without_memory),
		town_test(test_candidates),
		town_test(test_withdraw),
		town_test(test_withdraw_of_a_tunnel),
		town_test(test_withdraw_whatever_there_is),
		town_test(test_reports),
		town_test(test_report_of_strangers),
		town_test(test_hub_is_lost),
		town_test(test_asked_from_elsewhere),
		town_test(test_asked_and_refused),
		town_test(test_looking_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
