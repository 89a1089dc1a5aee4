/* A member must not send by its hub, and asks it for a tunnel (docs/protocol/shortcut.md section
 * 5.3): what the hub makes of it, and what it answers (S2, T1, R05). */
#include "mesh_town.h"

#include <stdio.h>

#include "mesh/limits.h"

/* For a packet to `to`. */
static void asks_for(struct town *t, unsigned n, const char *from, const char *to,
		     const char *context)
{
	struct wire_ts ts = { .port_end = 65535 };
	const struct wire_mesh word = {
		.present = WIRE_MESH_BIT(TS_REMOTE) | WIRE_MESH_BIT(CONTEXT),
		.context = bytes_str(context),
		.ts_remote = { { IKE_AUTHORITY_CERT, { &ts, 1, 0 } } },
		.n_ts_remote = 1,
	};

	assert_int_equal(ip_parse(from, &ts.start), ST_OK);
	assert_int_equal(ip_parse(to, &ts.end), ST_OK);
	town_says(t, n, WIRE_N_SHORTCUT_ASK, &word);
}

/* The first address of a member's. */
static void asks(struct town *t, unsigned n, unsigned other)
{
	char to[32];

	snprintf(to, sizeof(to), "10.%u.%u.1", other / 256, other % 256);
	asks_for(t, n, to, to, "corp");
}

static void refused(const struct town *t, enum wire_mesh_reason reason, const char *text)
{
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_REFUSED);
	assert_string_equal(wire_mesh_reason_name(t->reason), wire_mesh_reason_name(reason));
	assert_string_equal(t->text, text);
}

/* As a packet: both hear of it, once. */
static void test_is_a_packet(void **state)
{
	struct town *t = town_two(state);

	asks(t, 1, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_int_equal(town_suggestions(t, 2), 1);
	asks(t, 1, 2);
	asks(t, 2, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_suggestions(t, 1), 1);
	assert_int_equal(town_counter(t, "mesh.rx.asks"), 3);
	town_up(t, 1, 2);
	asks(t, 1, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

/* Traffic has to last: by asking it does. */
static void test_after_a_while(void **state)
{
	struct town *t = *state;

	t->network.after = dur_s(5);
	town_open(t);
	town_join(t, 1);
	town_join(t, 2);
	for (unsigned i = 0; i < 5; i++) {
		asks(t, 1, 2);
		assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
		assert_int_equal(town_suggestions(t, 1), 0);
		town_pass(t, MESH_ASK_MS);
	}
	asks(t, 1, 2);
	assert_int_equal(town_suggestions(t, 1), 1);
}

static void test_refusals(void **state)
{
	struct town *t = town_two(state);

	asks_for(t, 1, "10.0.2.1", "10.0.2.1", "other");
	refused(t, WIRE_MR_CONTEXT, "another network");
	asks_for(t, 1, "10.0.2.1", "10.0.2.2", "corp");
	refused(t, WIRE_MR_MALFORMED, "not one address");
	asks(t, 1, 1);
	refused(t, WIRE_MR_UNKNOWN, "it is your own");
	asks(t, 1, 9);
	refused(t, WIRE_MR_UNKNOWN, "nobody is up that has that address");
	assert_int_equal(town_suggestions(t, 1), 0);
	assert_int_equal(town_counter(t, "mesh.refused.unknown"), 2);
}

static void test_who_takes_no_part(void **state)
{
	struct town *t = town_two(state);

	citizen(t, 2)->capabilities = 0;
	town_event(t, 2, IKE_EV_SA_REKEYED);
	asks(t, 1, 2);
	refused(t, WIRE_MR_PARTNER_REFUSED, "who has it takes no suggestions");
	town_leaves(t, 2);
	asks(t, 1, 2);
	refused(t, WIRE_MR_UNKNOWN, "nobody is up that has that address");
}

static void test_star(void **state)
{
	struct town *t = *state;

	t->network.topology = MESH_STAR;
	town_open(t);
	town_join(t, 1);
	town_join(t, 2);
	asks(t, 1, 2);
	refused(t, WIRE_MR_POLICY, "the topology is a star for both");
	assert_int_equal(town_suggestions(t, 1), 0);
}

/* What failed is not tried again at once because somebody asks. */
static void test_back_off(void **state)
{
	struct town *t = town_two(state);

	asks(t, 1, 2);
	town_accepts(t, 1);
	town_refuses(t, 2, WIRE_MR_NO_CANDIDATES, "nowhere");
	asks(t, 1, 2);
	refused(t, WIRE_MR_NO_CANDIDATES, "it has failed, and is tried again in 10 s: nowhere");
	assert_int_equal(town_suggestions(t, 1), 1);
	town_pass(t, 11000);
	asks(t, 1, 2);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
	assert_int_equal(town_suggestions(t, 1), 2);
}

/* As any words of a member. */
static void test_flood(void **state)
{
	struct town *t = town_two(state);

	for (unsigned i = 0; i < MESH_MEMBER_WORDS + 8 && t->reason != WIRE_MR_LIMIT; i++)
		asks(t, 1, 9);
	refused(t, WIRE_MR_LIMIT, "too many words: once more in a second");
	asks(t, 2, 1);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, town_setup, town_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_is_a_packet), T(test_after_a_while),
		T(test_refusals),    T(test_who_takes_no_part),
		T(test_star),        T(test_back_off),
		T(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
