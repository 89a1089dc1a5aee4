/*
 * The files of the state directory: whoever can write there must not be able to do more than say
 * which prefixes are blocked.  What is accepted is written the same again, and makes ranges that
 * are sorted and disjoint.
 */
#include <stdlib.h>

#include "guard/guard.h"

#define MUST_HOLD(x)                                                                               \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char said[512];

static void ranges(const struct guard_ranges *r)
{
	for (size_t i = 0; i < r->n; i++) {
		MUST_HOLD(ip_cmp(&r->v[i].first, &r->v[i].last) <= 0);
		MUST_HOLD(i == 0 || ip_cmp(&r->v[i - 1].last, &r->v[i].first) < 0);
	}
}

static void plan(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct guard_plan p, again;
	struct guard_shape s;
	enum status st = guard_plan_parse(in, &why, &p);
	size_t n;
	char *text;

	MUST_HOLD(st == ST_OK || st == ST_NOMEM || (st == ST_INVAL && why.n > 0));
	if (st != ST_OK)
		return;
	MUST_HOLD(guard_device_ok(p.device));
	if (guard_shape_of(&p, &s) == ST_OK) {
		ranges(&s.domain);
		ranges(&s.local);
		guard_shape_done(&s);
	}
	MUST_HOLD(guard_plan_text(&p, &why, &text, &n) == ST_OK);
	MUST_HOLD(guard_plan_parse(bytes_of(text, n), &why, &again) == ST_OK);
	MUST_HOLD(guard_prefixes_eq(&p.domain, &again.domain));
	MUST_HOLD(guard_prefixes_eq(&p.local, &again.local));
	free(text);
	guard_plan_done(&again);
	guard_plan_done(&p);
}

static void domain(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct guard_prefixes l;

	if (guard_learnt_parse(in, &why, &l) == ST_OK)
		guard_prefixes_done(&l);
	else
		MUST_HOLD(why.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	plan(bytes_of(data, n));
	domain(bytes_of(data, n));
	return 0;
}
