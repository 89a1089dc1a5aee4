/*
 * units.h - types that carry their unit, so that the compiler refuses to mix them.
 *
 * `mono_t` is a point on the host's monotonic clock, `dur_t` a span on it, both in nanoseconds;
 * `wall_t` is seconds since 1970 UTC and is used only where documents carry dates (certificates,
 * tickets).  Pure modules never read a clock: every entry point takes a `struct now`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
	int64_t ns;
} mono_t;

typedef struct {
	int64_t ns;
} dur_t;

typedef struct {
	int64_t s;
} wall_t;

/* The time of one entry into the core; constant while inside.  `wall_ok` is false while the host
 * has no reason to trust its wall clock (no RTC, before NTP). */
struct now {
	mono_t mono;
	wall_t wall;
	bool wall_ok;
};

#define MONO_NEVER ((mono_t){ INT64_MAX })

static inline dur_t dur_s(int64_t s)
{
	return (dur_t){ s * 1000000000 };
}

static inline dur_t dur_ms(int64_t ms)
{
	return (dur_t){ ms * 1000000 };
}

static inline int64_t dur_to_ms(dur_t d)
{
	return d.ns / 1000000;
}

/* Saturates at MONO_NEVER. */
static inline mono_t mono_add(mono_t t, dur_t d)
{
	int64_t r;

	return __builtin_add_overflow(t.ns, d.ns, &r) ? MONO_NEVER : (mono_t){ r };
}

static inline dur_t mono_since(mono_t later, mono_t earlier)
{
	return (dur_t){ later.ns - earlier.ns };
}

static inline bool mono_before(mono_t a, mono_t b)
{
	return a.ns < b.ns;
}

static inline mono_t mono_min(mono_t a, mono_t b)
{
	return a.ns < b.ns ? a : b;
}
