/*
 * guard_util.h - plans for the tests of the block.
 */
#pragma once

#include "unit/test_util.h"

#include <stdio.h>

#include "guard/guard.h"

static inline struct ip ip(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

static inline struct prefix prefix(const char *s)
{
	struct prefix p;

	assert_int_equal(prefix_parse(s, &p), ST_OK);
	return p;
}

static inline void add_all(struct guard_prefixes *l, const char *list)
{
	char copy[512], *save, *s;

	snprintf(copy, sizeof(copy), "%s", list);
	for (s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		struct prefix p = prefix(s);

		assert_int_equal(guard_prefixes_add(l, &p), ST_OK);
	}
}

static inline struct guard_plan plan_of(const char *domain, const char *local)
{
	struct guard_plan p = { .device = "warren0", .ports = { 500, 4500 } };

	add_all(&p.domain, domain);
	add_all(&p.local, local);
	guard_plan_normalise(&p);
	return p;
}
