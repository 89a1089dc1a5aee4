/* A hub and two members: what is suggested when, and what follows from what they answer and report.
 */
#include "mesh_town.h"

#include <stdio.h>

static void is_identity(const struct wire_mesh_ident *id, const char *name)
{
	assert_int_equal(id->type, WIRE_ID_FQDN);
	assert_true(bytes_eq(id->data, bytes_str(name)));
}

static void is_prefix(const struct wire_mesh_ts *ts, size_t n, uint8_t third)
{
	assert_int_equal(n, 1);
	assert_int_equal(ts[0].authority, IKE_AUTHORITY_CERT);
	assert_int_equal(ts[0].ts.n, 1);
	assert_int_equal(ts[0].ts.ts[0].start.b[2], third);
}

/* ---- suggesting ---------------------------------------------------------------------------- */

/* T2: whoever talks to each other is suggested to each other, each with what the hub knows of the
 * other one. */
static void test_traffic_is_what_suggests(void **state)
{
	struct town *t = town_two(state);
	const struct wire_mesh *to1, *to2;

	town_pass(t, 60000);
	assert_int_equal(town_suggestions(t, 1), 0);
	town_flow(t, 1, 2);
	to1 = &town_heard(t, 1, SUGGEST)->msg;
	to2 = &town_heard(t, 2, SUGGEST)->msg;
	assert_memory_equal(to1->id, to2->id, WIRE_MESH_ID);
	assert_memory_equal(to1->secret, to2->secret, WIRE_MESH_SECRET);
	is_identity(&to1->partner, "site-2.example");
	is_identity(&to1->own, "site-1.example");
	is_identity(&to2->partner, "site-1.example");
	is_identity(&to2->own, "site-2.example");
	is_prefix(to1->ts_remote, to1->n_ts_remote, 2);
	is_prefix(to1->ts_local, to1->n_ts_local, 1);
	is_prefix(to2->ts_remote, to2->n_ts_remote, 1);
	assert_int_equal(to1->boot, 1002);
	assert_int_equal(to1->idle_s, 60);
	assert_int_equal(to1->lifetime_s, MESH_SUGGESTION_LIFE_S);
	assert_true(bytes_eq(to1->context, bytes_str("corp")));
	assert_false(to1->flags & WIRE_MESH_PQ);
	assert_string_equal(town_state(t, 2, 1, NULL), "suggested");
	assert_string_equal(town_said(t, IKE_EV_SUGGESTED),
			    "site-1.example and site-2.example: 10.0.1.1 sends to 10.0.2.1");
	town_flow(t, 2, 1);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_int_equal(town_counter(t, "mesh.suggested"), 1);
}

/* Neither id nor secret is ever used again. */
static void test_ids_and_secrets_are_new(void **state)
{
	struct town *t = town_two(state);
	struct wire_mesh first;

	town_flow(t, 1, 2);
	first = town_heard(t, 1, SUGGEST)->msg;
	town_refuses(t, 2, WIRE_MR_LIMIT, "");
	town_pass(t, 10000);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
	assert_memory_not_equal(first.id, town_heard(t, 1, SUGGEST)->msg.id, WIRE_MESH_ID);
	assert_memory_not_equal(first.secret, town_heard(t, 1, SUGGEST)->msg.secret,
				WIRE_MESH_SECRET);
}

/* The address that the hub sees is one of the candidates, with the port that means something. */
static void test_the_hub_adds_what_it_sees(void **state)
{
	struct town *t = *state;
	const struct wire_mesh *to1, *to2;

	town_open(t);
	citizen(t, 1)->nat = true;
	citizen(t, 1)->local.port = 4500;
	citizen(t, 1)->remote.port = 61234;
	citizen(t, 1)->ppk = citizen(t, 2)->ppk = true;
	town_join(t, 1);
	town_join(t, 2);
	town_flow(t, 2, 1);
	to2 = &town_heard(t, 2, SUGGEST)->msg;
	assert_int_equal(to2->n_candidates, 2);
	assert_int_equal(to2->candidates[0].kind, WIRE_MC_HOST);
	assert_int_equal(to2->candidates[0].at.ip.b[0], 192);
	assert_int_equal(to2->candidates[1].kind, WIRE_MC_SEEN);
	assert_int_equal(to2->candidates[1].flags, 1);
	assert_int_equal(to2->candidates[1].at.port, 61234);
	to1 = &town_heard(t, 1, SUGGEST)->msg;
	assert_int_equal(to1->candidates[1].flags, 0);
	assert_int_equal(to1->candidates[1].at.port, 4500);
	assert_true(to1->flags & WIRE_MESH_PQ);
}

/* Traffic has to last. */
static void test_thresholds(void **state)
{
	struct town *t = *state;

	t->network.after = dur_s(5);
	(void)town_two(state);
	town_talk(t, 1, 2, 4);
	assert_int_equal(town_suggestions(t, 1), 0);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	town_pass(t, 3000); /* a pause: it counts anew */
	town_talk(t, 1, 2, 5);
	assert_int_equal(town_suggestions(t, 1), 0);
	town_flow(t, 2, 1);
	assert_int_equal(town_suggestions(t, 1), 1);
}

/* A pair that has nothing to say to each other any more costs nothing. */
static void test_pairs_are_forgotten(void **state)
{
	struct town *t = *state;
	size_t live;

	t->network.after = dur_s(5);
	(void)town_two(state);
	town_flow(t, 1, 2);
	live = t->mem.live;
	town_pass(t, MESH_QUIET_MS);
	assert_true(t->mem.live < live);
	assert_string_equal(town_state(t, 1, 2, NULL), "none");
}

/* Never to anybody who would not know what it is. */
static void test_only_partners_hear_of_it(void **state)
{
	struct town *t = *state;

	town_open(t);
	citizen(t, 2)->capabilities = 0; /* no warren, or one without */
	citizen(t, 3)->capabilities = IKE_CAN_HUB;
	town_join(t, 1);
	town_comes(t, 2);
	town_comes(t, 3);
	town_talk(t, 1, 2, 3);
	town_talk(t, 3, 1, 3);
	town_talk(t, 2, 3, 3);
	assert_int_equal(t->words, 0);
}

static void test_flows_of_nobody(void **state)
{
	struct town *t = town_two(state);

	town_serves(t, 2, IKE_AUTHORITY_CERT, "10.77.0.0/16"); /* it has not got it */
	town_flow(t, 1, 2);
	town_flow(t, 1, 1);
	assert_int_equal(t->words, 0);
	assert_int_equal(town_counter(t, "mesh.flows"), 2);
	assert_int_equal(town_counter(t, "mesh.flows_unknown"), 2);
}

/* However many packets there are. */
static void test_a_flood_of_traffic(void **state)
{
	struct town *t = *state;

	town_open(t);
	for (unsigned i = 1; i <= 40; i++)
		town_join(t, i);
	for (unsigned k = 0; k < 50; k++)
		for (unsigned i = 2; i <= 40; i++)
			town_flow(t, 1, i);
	assert_int_equal(town_suggestions(t, 1), MESH_MEMBER_PENDING);
	assert_int_equal(t->words, 2 * MESH_MEMBER_PENDING);
	/* One is over: the next one has its turn. */
	town_refuses(t, 9, WIRE_MR_POLICY, "");
	for (unsigned i = 2; i <= 40; i++)
		town_flow(t, 1, i);
	town_pass(t, 1000);
	assert_int_equal(town_suggestions(t, 1), MESH_MEMBER_PENDING + 1);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void test_both_accept_and_report(void **state)
{
	struct town *t = town_two(state);
	struct mesh_pair_info info;

	town_flow(t, 1, 2);
	town_accepts(t, 2);
	assert_string_equal(town_state(t, 1, 2, NULL), "suggested");
	town_accepts(t, 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "accepted");
	town_reports(t, 2, 1, WIRE_MO_UP, 0);
	assert_string_equal(town_state(t, 1, 2, &info), "up");
	town_reports(t, 1, 2, WIRE_MO_UP, 0);
	assert_int_equal(town_events(t, IKE_EV_SHORTCUT), 1);
	assert_string_equal(town_said(t, IKE_EV_SHORTCUT),
			    "site-1.example and site-2.example: direct");
	assert_int_equal(info.suggestions, 1);
	assert_true(policy_ident_eq(&info.a, &citizen(t, 1)->ident));
	assert_int_equal(town_counter(t, "mesh.accepted"), 1);
	assert_int_equal(town_counter(t, "mesh.up"), 1);
	town_pass(t, 3600 * 1000);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_null(town_heard(t, 1, WITHDRAW));
}

/* Reports may overtake answers. */
static void test_a_report_before_the_answers(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_reports(t, 1, 2, WIRE_MO_UP, 0);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	town_accepts(t, 2);
	town_accepts(t, 1);
	town_reports(t, 2, 1, WIRE_MO_UP, 0);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_int_equal(town_counter(t, "mesh.up"), 1);
}

static void test_one_refuses(void **state)
{
	struct town *t = town_two(state);
	struct mesh_pair_info info;
	struct heard first;

	town_flow(t, 1, 2);
	first = *town_heard(t, 1, SUGGEST);
	town_accepts(t, 1);
	town_refuses(t, 2, WIRE_MR_LIMIT, "64 \"tunnels\"\n");
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_PARTNER_REFUSED);
	assert_memory_equal(town_withdrawn(t, 1)->id, first.msg.id, WIRE_MESH_ID);
	assert_false(
		WIRE_MESH_HAS(town_withdrawn(t, 1), PARTNER_ID)); /* no other tunnel is meant */
	assert_true(bytes_eq(town_withdrawn(t, 1)->text,
			     bytes_str("site-2.example: limit: 64 \\\"tunnels\\\"\\x0a")));
	assert_null(town_heard(t, 2, WITHDRAW));
	assert_string_equal(town_state(t, 1, 2, &info), "failed");
	assert_int_equal(info.reason, WIRE_MR_LIMIT);
	assert_true(policy_ident_eq(&info.by, &citizen(t, 2)->ident));
	assert_int_equal(dur_to_ms(info.retry_in), 10000);
	assert_string_equal(town_said(t, IKE_EV_SHORTCUT_FAILED),
			    "site-1.example and site-2.example: limit, says site-2.example "
			    "(64 \\\"tunnels\\\"\\x0a); not suggested again for 10000 ms");
	assert_int_equal(town_counter(t, "mesh.failed.limit"), 1);
}

/* It is told at once, also when it has not answered yet. */
static void test_the_first_refuses(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_refuses(t, 1, WIRE_MR_SELECTORS, "");
	assert_int_equal(town_withdrawn(t, 2)->reason, WIRE_MR_PARTNER_REFUSED);
	town_accepts(t, 2); /* it crossed the withdrawal */
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
}

/* 10 s, 20 s, 40 s, and so on to 10 minutes. */
static void test_back_off_doubles_and_ends(void **state)
{
	static const unsigned waits[] = { 10, 20, 40, 80, 160, 320, 600, 600 };
	struct town *t = town_two(state);

	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_int_equal(town_suggestions(t, 1), i);
		town_flow(t, 1, 2);
		assert_int_equal(town_suggestions(t, 1), i + 1);
		town_refuses(t, 1, WIRE_MR_NO_CANDIDATES, "");
		town_talk(t, 1, 2, waits[i] - 1);
		assert_int_equal(town_suggestions(t, 1), i + 1);
		town_pass(t, 1000);
	}
	/* Success ends it. */
	town_up(t, 1, 2);
	town_pass(t, 60000);
	town_reports(t, 1, 2, WIRE_MO_IDLE, WIRE_MR_IDLE);
	town_flow(t, 1, 2);
	town_refuses(t, 1, WIRE_MR_NO_CANDIDATES, "");
	town_talk(t, 1, 2, 11);
	assert_int_equal(town_suggestions(t, 1), ARRAY_LEN(waits) + 3);
}

/* What nobody asks for any more is forgotten, with its back-off. */
static void test_back_off_is_forgotten(void **state)
{
	struct town *t = town_two(state);
	size_t live;

	town_flow(t, 1, 2);
	town_refuses(t, 1, WIRE_MR_NO_CANDIDATES, "no");
	town_dies(t, 2);
	live = t->mem.live;
	town_pass(t, 10000 + 600000 - 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	town_pass(t, 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "none");
	assert_true(t->mem.live < live - 1); /* also what was said about it */
}

static int64_t waits_after(struct town *t, enum wire_mesh_reason reason)
{
	struct mesh_pair_info info;

	town_flow(t, 1, 2);
	town_refuses(t, 2, reason, "");
	assert_string_equal(town_state(t, 1, 2, &info), "failed");
	assert_int_equal(info.reason, reason);
	return dur_to_ms(info.retry_in);
}

/* docs/protocol/shortcut.md section 10: hard, short, and what doubles. */
static void test_each_reason_has_its_back_off(void **state)
{
	static const enum wire_mesh_reason hard[] = {
		WIRE_MR_UNKNOWN_ATTRIBUTE, WIRE_MR_MALFORMED, WIRE_MR_NOT_A_HUB, WIRE_MR_CONTEXT,
		WIRE_MR_IDENTITY,          WIRE_MR_SELECTORS, WIRE_MR_AUTHORITY, WIRE_MR_POLICY,
		WIRE_MR_CERTIFICATE,       WIRE_MR_WITHDRAWN,
	};
	static const enum wire_mesh_reason soft[] = {
		WIRE_MR_LIMIT,
		WIRE_MR_NO_CANDIDATES,
		WIRE_MR_NO_PATH,
		WIRE_MR_NO_ANSWER,
		WIRE_MR_AUTHENTICATION,
		WIRE_MR_PROPOSAL,
		WIRE_MR_TS,
		WIRE_MR_EXPIRED,
		WIRE_MR_SHUTDOWN,
		WIRE_MR_INTERNAL,
		(enum wire_mesh_reason)4711,
	};
	struct town *t = town_two(state);

	for (size_t i = 0; i < ARRAY_LEN(hard); i++) {
		assert_int_equal(waits_after(t, hard[i]), 600000);
		town_pass(t, 2 * 600000 + 1000);
	}
	assert_int_equal(waits_after(t, WIRE_MR_OLDER), 1000);
	town_pass(t, 2 * 600000 + 1000);
	for (size_t i = 0; i < ARRAY_LEN(soft); i++) {
		assert_int_equal(waits_after(t, soft[i]), 10000);
		town_pass(t, 2 * 600000 + 1000);
	}
}

/* Both have one already, by another hub's suggestion. */
static void test_both_have_one(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_refuses(t, 1, WIRE_MR_DUPLICATE, "");
	assert_string_equal(town_state(t, 1, 2, NULL), "suggested");
	town_refuses(t, 2, WIRE_MR_DUPLICATE, "");
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_null(town_heard(t, 1, WITHDRAW));
	/* Traffic that comes here all the same is no reason to ask all the time. */
	town_talk(t, 1, 2, 9);
	assert_int_equal(town_suggestions(t, 1), 1);
	town_talk(t, 1, 2, 3);
	assert_int_equal(town_suggestions(t, 1), 2);
	assert_string_equal(town_state(t, 1, 2, NULL), "suggested");
	town_refuses(t, 1, WIRE_MR_DUPLICATE, "");
	town_refuses(t, 2, WIRE_MR_DUPLICATE, "");
	town_talk(t, 1, 2, 19);
	assert_int_equal(town_suggestions(t, 1), 2);
	/* What was said of either is about that one. */
	town_reports(t, 2, 1, WIRE_MO_IDLE, WIRE_MR_IDLE);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
}

/* Half a tunnel: one has lost it. */
static void test_one_has_one(void **state)
{
	struct town *t = town_two(state);

	for (unsigned first = 1; first <= 2; first++) {
		town_flow(t, 1, 2);
		if (first == 1)
			town_accepts(t, 2);
		town_refuses(t, 1, WIRE_MR_DUPLICATE, "");
		if (first == 2)
			town_accepts(t, 2);
		assert_string_equal(town_state(t, 1, 2, NULL), "failed");
		assert_int_equal(town_withdrawn(t, 2)->reason, WIRE_MR_PARTNER_REFUSED);
		assert_int_equal(town_count(t, 2, WITHDRAW), first);
		assert_int_equal(town_count(t, 1, WITHDRAW), 0);
		town_pass(t, 1200000);
	}
}

/* Its SA ends before it answers. */
static void test_one_never_answers(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_accepts(t, 1);
	town_dies(t, 2);
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_PARTNER_REFUSED);
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
	assert_int_equal(town_counter(t, "mesh.failed.no_answer"), 1);
	assert_int_equal(town_counter(t, "mesh.tx.unanswered"), 1);
}

/* Or it says nothing, or nothing comes of it: that takes so long, and no longer. */
static void test_no_report(void **state)
{
	struct town *t = town_two(state);

	town_flow(t, 1, 2);
	town_accepts(t, 1);
	town_accepts(t, 2);
	town_pass(t, MESH_ANSWER_S * 1000 - 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "accepted");
	town_pass(t, 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
	assert_int_equal(town_count(t, 1, WITHDRAW), 1);
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
}

/* One cannot be told: the other one hears that it is nothing. */
static void test_one_cannot_be_told(void **state)
{
	struct town *t = town_two(state);

	citizen(t, 2)->deaf = ST_AGAIN;
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_int_equal(town_withdrawn(t, 1)->reason, WIRE_MR_INTERNAL);
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
	citizen(t, 2)->deaf = ST_OK;
	town_talk(t, 1, 2, 11);
	assert_int_equal(town_suggestions(t, 2), 1);
}

/* What has to end is said until it can be said. */
static void test_a_withdrawal_waits(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	citizen(t, 2)->deaf = ST_AGAIN;
	t->network.topology = MESH_STAR;
	assert_int_equal(town_reload(t), ST_OK);
	assert_int_equal(town_count(t, 1, WITHDRAW), 1);
	assert_int_equal(town_count(t, 2, WITHDRAW), 0);
	town_pass(t, 20000);
	citizen(t, 2)->deaf = ST_OK;
	town_pass(t, MESH_SOON_MS);
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
	town_pass(t, 20000);
	assert_int_equal(town_count(t, 1, WITHDRAW), 1);
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
	assert_string_equal(town_state(t, 1, 2, NULL), "none");
}

/* ---- reports ------------------------------------------------------------------------------- */

/* Failed: the other one need not find that out for itself. */
static void test_one_reports_failure(void **state)
{
	struct town *t = town_two(state);
	struct mesh_pair_info info;

	town_flow(t, 1, 2);
	town_accepts(t, 1);
	town_accepts(t, 2);
	town_reports(t, 1, 2, WIRE_MO_FAILED, WIRE_MR_NO_PATH);
	assert_string_equal(town_state(t, 1, 2, &info), "failed");
	assert_int_equal(info.reason, WIRE_MR_NO_PATH);
	assert_true(policy_ident_eq(&info.by, &citizen(t, 1)->ident));
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
	town_reports(t, 2, 1, WIRE_MO_FAILED, WIRE_MR_NO_ANSWER);
	town_reports(t, 2, 1, WIRE_MO_UP, 0); /* that it was, for a moment */
	assert_string_equal(town_state(t, 1, 2, &info), "failed");
	assert_int_equal(info.reason, WIRE_MR_NO_PATH);
	assert_int_equal(town_counter(t, "mesh.failed.no_path"), 1);
	assert_int_equal(town_events(t, IKE_EV_SHORTCUT_FAILED), 1);
}

/* Idle is no failure. */
static void test_idle_is_no_failure(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_pass(t, 100000);
	town_reports(t, 2, 1, WIRE_MO_IDLE, WIRE_MR_IDLE);
	town_reports(t, 1, 2, WIRE_MO_LOST, WIRE_MR_LOST);
	assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	assert_string_equal(town_said(t, IKE_EV_SHORTCUT_ENDED),
			    "site-1.example and site-2.example: idle, says site-2.example");
	assert_int_equal(town_events(t, IKE_EV_SHORTCUT_ENDED), 1);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
}

/* The one that was not asked says first that it is gone, again and again: that is no loss. */
static void test_idle_in_any_order(void **state)
{
	struct town *t = town_two(state);

	for (unsigned i = 1; i <= 4; i++) {
		town_up(t, 1, 2);
		assert_int_equal(town_suggestions(t, 1), i);
		town_pass(t, 70000);
		town_reports(t, 2, 1, WIRE_MO_LOST, WIRE_MR_LOST);
		town_reports(t, 1, 2, WIRE_MO_IDLE, WIRE_MR_IDLE);
		assert_string_equal(town_state(t, 1, 2, NULL), "idle");
	}
}

/* Once at once, then with back-off; the other one, who may still have it, hears that it is over. */
static void test_lost(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_pass(t, 60000);
	town_reports(t, 1, 2, WIRE_MO_LOST, WIRE_MR_LOST);
	assert_int_equal(town_count(t, 1, WITHDRAW), 0);
	assert_int_equal(town_count(t, 2, WITHDRAW), 1);
	assert_int_equal(town_heard(t, 2, WITHDRAW)->msg.reason, WIRE_MR_PARTNER_REFUSED);
	town_up(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
	town_pass(t, 60000);
	town_reports(t, 1, 2, WIRE_MO_LOST, WIRE_MR_LOST);
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
	town_talk(t, 1, 2, 10);
	assert_int_equal(town_suggestions(t, 1), 2);
	town_pass(t, 1000);
	/* What lasted long may be lost at once again. */
	town_up(t, 1, 2);
	town_pass(t, 600000);
	town_reports(t, 1, 2, WIRE_MO_LOST, WIRE_MR_LOST);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 4);
}

static void test_lost_as_soon_as_it_was_there(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_pass(t, 3000);
	town_reports(t, 1, 2, WIRE_MO_LOST, WIRE_MR_LOST);
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
}

/* An operator at a member does not want it. */
static void test_a_member_withdraws(void **state)
{
	struct town *t = town_two(state);
	struct mesh_pair_info info;

	for (unsigned other_first = 0; other_first < 2; other_first++) {
		town_up(t, 1, 2);
		town_pass(t, 60000);
		if (other_first)
			town_reports(t, 2, 1, WIRE_MO_LOST, WIRE_MR_LOST);
		town_reports(t, 1, 2, WIRE_MO_WITHDRAWN, WIRE_MR_WITHDRAWN);
		assert_string_equal(town_state(t, 1, 2, &info), "failed");
		assert_int_equal(info.reason, WIRE_MR_WITHDRAWN);
		assert_int_equal(dur_to_ms(info.retry_in), 600000);
		town_pass(t, 1300000);
	}
	/* And while it was suggested anew already. */
	town_up(t, 1, 2);
	town_pass(t, 60000);
	town_reports(t, 2, 1, WIRE_MO_LOST, WIRE_MR_LOST);
	{
		struct heard old = *town_heard(t, 1, SUGGEST);
		struct wire_mesh word = {
			.present = WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT) |
				   WIRE_MESH_BIT(OUTCOME),
			.partner = old.msg.partner,
			.context = old.msg.context,
			.outcome = WIRE_MO_WITHDRAWN,
		};

		memcpy(word.id, old.msg.id, sizeof(word.id));
		town_flow(t, 1, 2);
		assert_string_equal(town_state(t, 1, 2, NULL), "suggested");
		town_says(t, 1, WIRE_N_SHORTCUT_REPORT, &word);
	}
	assert_string_equal(town_state(t, 1, 2, NULL), "failed");
	assert_memory_equal(town_withdrawn(t, 1)->id, town_heard(t, 1, SUGGEST)->msg.id,
			    WIRE_MESH_ID);
	assert_memory_equal(town_withdrawn(t, 2)->id, town_heard(t, 1, SUGGEST)->msg.id,
			    WIRE_MESH_ID);
}

/* Traffic that goes by the hub although there is a tunnel. */
static void test_a_detour_is_looked_at(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_talk(t, 1, 2, 2); /* make before break */
	assert_int_equal(town_suggestions(t, 1), 1);
	town_pass(t, 60000);
	town_talk(t, 1, 2, 2);
	assert_int_equal(town_suggestions(t, 1), 1);
	town_flow(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 2);
	town_accepts(t, 1);
	town_accepts(t, 2);
	/* The old one is given up for it, which is no end of the new one. */
	town_reports(t, 1, 2, WIRE_MO_UP, 0);
	assert_string_equal(town_state(t, 1, 2, NULL), "up");
	assert_int_equal(town_counter(t, "mesh.up"), 2);
}

/* A suggestion that comes to nothing leaves alone what is up. */
static void test_a_detour_that_leads_nowhere(void **state)
{
	struct town *t = town_two(state);

	town_up(t, 1, 2);
	town_pass(t, 60000);
	town_talk(t, 1, 2, 4);
	assert_int_equal(town_suggestions(t, 2), 2);
	town_accepts(t, 2);
	town_refuses(t, 1, WIRE_MR_LIMIT, "");
	assert_memory_equal(town_withdrawn(t, 2)->id, town_heard(t, 2, SUGGEST)->msg.id,
			    WIRE_MESH_ID);
	assert_false(WIRE_MESH_HAS(town_withdrawn(t, 2), PARTNER_ID));
	/* But when neither may be there, both are meant. */
	town_talk(t, 1, 2, 11);
	town_refuses(t, 1, WIRE_MR_DUPLICATE, "");
	town_refuses(t, 2, WIRE_MR_DUPLICATE, "");
	town_talk(t, 1, 2, 31);
	assert_string_equal(town_state(t, 1, 2, NULL), "suggested");
	t->network.topology = MESH_STAR;
	assert_int_equal(town_reload(t), ST_OK);
	assert_true(WIRE_MESH_HAS(town_withdrawn(t, 1), PARTNER_ID));
	is_identity(&town_withdrawn(t, 1)->partner, "site-2.example");
	is_identity(&town_withdrawn(t, 2)->partner, "site-1.example");
	assert_true(bytes_eq(town_withdrawn(t, 1)->context, bytes_str("corp")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		town_test(test_traffic_is_what_suggests),
		town_test(test_ids_and_secrets_are_new),
		town_test(test_the_hub_adds_what_it_sees),
		town_test(test_thresholds),
		town_test(test_pairs_are_forgotten),
		town_test(test_only_partners_hear_of_it),
		town_test(test_flows_of_nobody),
		town_test(test_a_flood_of_traffic),
		town_test(test_both_accept_and_report),
		town_test(test_a_report_before_the_answers),
		town_test(test_one_refuses),
		town_test(test_the_first_refuses),
		town_test(test_back_off_doubles_and_ends),
		town_test(test_back_off_is_forgotten),
		town_test(test_each_reason_has_its_back_off),
		town_test(test_both_have_one),
		town_test(test_one_has_one),
		town_test(test_one_never_answers),
		town_test(test_no_report),
		town_test(test_one_cannot_be_told),
		town_test(test_a_withdrawal_waits),
		town_test(test_one_reports_failure),
		town_test(test_idle_is_no_failure),
		town_test(test_idle_in_any_order),
		town_test(test_lost),
		town_test(test_lost_as_soon_as_it_was_there),
		town_test(test_a_member_withdraws),
		town_test(test_a_detour_is_looked_at),
		town_test(test_a_detour_that_leads_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
