/* When memory is given back after a departure: below half of a peak worth it, once things have
 * settled, at most once a minute (P5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/trim.h"

enum { NEVER = -1 };

/* The timer that the daemon would have: goes off when it is due, and once more after that if it is
 * armed again. */
struct clock {
	struct trim t;
	int64_t armed_ms;
	size_t trims;
};

static void at(struct clock *c, int64_t ms, size_t n_sas)
{
	const mono_t now = { ms * 1000000 };

	if (c->armed_ms != NEVER && ms >= c->armed_ms) {
		c->armed_ms = NEVER;
		c->trims += trim_is_due(&c->t, now, n_sas);
	}
	if (trim_note(&c->t, now, n_sas))
		c->armed_ms = c->t.due.ns / 1000000;
}

static void decisions(void **state)
{
	static const struct {
		const char *what;
		struct {
			int64_t ms;
			size_t n;
			size_t trims; /* in all, by then */
			int64_t armed_ms;
		} step[7];
	} rows[] = {
		{ "too few", { { 0, 1000, 0, NEVER }, { 10, 0, 0, NEVER } } },
		{ "half is not below half", { { 0, 2000, 0, NEVER }, { 10, 1000, 0, NEVER } } },
		{ "below half, settled",
		  { { 0, 2000, 0, NEVER },
		    { 10, 999, 0, 2010 },
		    { 20, 0, 0, 2010 },
		    { 2009, 0, 0, 2010 },
		    { 2010, 0, 1, NEVER },
		    { 90000, 0, 1, NEVER } } },
		{ "they come back before",
		  { { 0, 2000, 0, NEVER },
		    { 10, 0, 0, 2010 },
		    { 2010, 1500, 0, NEVER },
		    { 5000, 10, 0, 7000 },
		    { 7000, 10, 1, NEVER } } },
		{ "the peak starts anew",
		  { { 0, 9000, 0, NEVER },
		    { 10, 4000, 0, 2010 },
		    { 2010, 3000, 1, NEVER },
		    { 3000, 1500, 1, NEVER },
		    { 80000, 1499, 1, 82000 },
		    { 82000, 1000, 2, NEVER },
		    { 200000, 0, 2, NEVER } } },
		{ "not twice a minute, but not forgotten",
		  { { 0, 9000, 0, NEVER },
		    { 10, 4000, 0, 2010 },
		    { 2010, 4000, 1, NEVER },
		    { 2020, 1, 1, 62010 },
		    { 62009, 1, 1, 62010 },
		    { 62010, 1, 2, NEVER } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct clock c = { .t = trim_init(), .armed_ms = NEVER };

		for (size_t k = 0; k < ARRAY_LEN(rows[i].step); k++) {
			if (k && rows[i].step[k].ms == 0)
				break;
			at(&c, rows[i].step[k].ms, rows[i].step[k].n);
			if (c.trims != rows[i].step[k].trims ||
			    c.armed_ms != rows[i].step[k].armed_ms)
				fail_msg("%s, step %zu: %zu trims, armed %lld", rows[i].what, k,
					 c.trims, (long long)c.armed_ms);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
