/* dp_fixture.h - cmocka's set-up and tear-down of a data plane of each kind, with the selectors of
 * dp_util.h; the fake's clock begins at 100 s. */
#pragma once

#include "unit/dp_util.h"

static int open_kind(void **state, enum dut_kind kind)
{
	struct dut *d;

	make_selectors();
	d = dut_open(kind);
	d->clock = (mono_t){ dur_s(100).ns };
	if (kind == DUT_FAKE)
		dp_fake_time(d->dp, d->clock);
	*state = d;
	return 0;
}

static int open_fake(void **state)
{
	return open_kind(state, DUT_FAKE);
}

static int open_user(void **state)
{
	return open_kind(state, DUT_USER);
}

static int open_two_queues(void **state)
{
	return open_kind(state, DUT_USER_TWO_QUEUES);
}

static int shut(void **state)
{
	dut_close(*state);
	return 0;
}
