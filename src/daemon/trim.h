/*
 * trim.h - memory of SAs that are gone, given back to the system.
 *
 * The C library keeps what was freed for the next allocation, in pages between others that are in
 * use.  That is right while members come and go, and wrong after thousands left at once: a hub
 * would hold what its busiest moment took for as long as it runs.  So when the SAs have fallen
 * below half of their peak, and a moment later still are, the library is asked for its free pages:
 * at most once a minute, since that takes milliseconds; the peak starts anew from there.  Small
 * numbers are not worth it.
 *
 * The decision is a value, held against a clock by whoever asks; where the C library has no such
 * call there is nothing to do.
 */
#pragma once

#include "base/base.h"

enum {
	TRIM_PEAK_MIN = 1000, /* SAs: some 4 MiB */
	TRIM_SETTLE_S = 2, /* who leaves with others leaves within that */
	TRIM_EVERY_S = 60,
};

struct trim {
	size_t peak;
	mono_t due; /* MONO_NEVER: nothing to do */
	mono_t last;
	bool trimmed; /* `last` is one */
};

struct trim trim_init(void);
/* There are `n_sas` now; returns whether `due` has changed. */
bool trim_note(struct trim *t, mono_t now, size_t n_sas);
/* Whether it is time, and still called for; then the next one is at least a minute away. */
bool trim_is_due(struct trim *t, mono_t now, size_t n_sas);

/* Gives free pages back to the system. */
void trim_memory(void);
