/* The table of exchanges is checked when an engine is made: what a row must have, and that none
 * hides behind an earlier one.  And what operators read by name has one, whatever the number. */
#include "ike/internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define P(type) WIRE_BIT(WIRE_P_##type)

static enum status none(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	(void)ike;
	(void)sa;
	(void)rx;
	return ST_BUG;
}

static const struct exchange_row good = { .story = "HDR, SK {N, SA} (1.3)",
					  .states = 1,
					  .exchange = WIRE_CREATE_CHILD_SA,
					  .encrypted = true,
					  .notify = WIRE_N_COOKIE,
					  .required = P(NOTIFY) | P(SA),
					  .optional = P(VENDOR),
					  .handler = none };

static void our_own(void **state)
{
	(void)state;
	assert_int_equal(table_validate(ike_exchanges, ike_n_exchanges), ST_OK);
	assert_int_equal(table_validate(&good, 1), ST_OK);
}

static void what_a_row_must_have(void **state)
{
	struct exchange_row bad[7];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = good;
	bad[0].handler = NULL;
	bad[1].story = NULL;
	bad[2].states = 0;
	bad[3].states = 1u << SA_STATES;
	bad[4].optional |= P(SA);
	/* A condition on a notify that need not be there. */
	bad[5].required = P(SA);
	bad[6].required = P(SA);
	bad[6].notify = 0;
	bad[6].any_error = true;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(table_validate(&bad[i], 1), ST_BUG);
}

/* The second row can be chosen when it differs from the first in what a message is, or when the
 * first asks for more. */
static void no_row_is_hidden(void **state)
{
	struct {
		struct exchange_row first, second;
		enum status want;
	} rows[12];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i].first = rows[i].second = good;
		rows[i].want = ST_OK;
	}
	rows[0].want = ST_BUG; /* the same twice */
	rows[1].second.exchange = WIRE_INFORMATIONAL;
	rows[2].second.response = true;
	rows[3].second.encrypted = false;
	rows[4].second.states = 3;
	rows[5].second.required = P(NOTIFY);
	rows[6].second.required |= P(KE);
	rows[6].want = ST_BUG;
	rows[7].second.notify = WIRE_N_INVALID_KE_PAYLOAD;
	rows[8].first.notify = 0;
	rows[8].want = ST_BUG;
	rows[9].first.notify = rows[9].second.notify = 0;
	rows[9].first.any_error = true;
	rows[10].first.notify = rows[10].second.notify = 0;
	rows[10].first.any_error = rows[10].second.any_error = true;
	rows[10].want = ST_BUG;
	rows[11].second.any_error = true;
	rows[11].want = ST_BUG;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(table_validate(&rows[i].first, 2), rows[i].want);
}

/* A newer engine's number in an older tool, or a bug: never a read past the end. */
static void names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		assert_non_null(ike_event_name((enum ike_event_kind)i));
		assert_non_null(ike_reason_name((enum ike_reason)i));
		assert_non_null(ike_load_name((enum ike_load)i));
		assert_non_null(sa_state_name((enum sa_state)i));
	}
	assert_string_equal(ike_event_name((enum ike_event_kind)299), "unknown");
	assert_string_equal(ike_load_name((enum ike_load)299), "unknown");
	assert_string_equal(sa_state_name((enum sa_state)299), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own),
		cmocka_unit_test(what_a_row_must_have),
		cmocka_unit_test(no_row_is_hidden),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
