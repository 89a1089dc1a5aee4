#include "daemon/trim.h"

#include <malloc.h>

struct trim trim_init(void)
{
	return (struct trim){ .due = MONO_NEVER };
}

static bool has_fallen(const struct trim *t, size_t n_sas)
{
	return t->peak > TRIM_PEAK_MIN && n_sas < t->peak / 2;
}

bool trim_note(struct trim *t, mono_t now, size_t n_sas)
{
	mono_t due = mono_add(now, dur_s(TRIM_SETTLE_S));
	mono_t again = mono_add(t->last, dur_s(TRIM_EVERY_S));

	if (n_sas > t->peak)
		t->peak = n_sas;
	if (t->due.ns != MONO_NEVER.ns || !has_fallen(t, n_sas))
		return false;
	t->due = t->trimmed && mono_before(due, again) ? again : due;
	return true;
}

bool trim_is_due(struct trim *t, mono_t now, size_t n_sas)
{
	if (mono_before(now, t->due))
		return false;
	t->due = MONO_NEVER;
	if (!has_fallen(t, n_sas))
		return false;
	t->peak = n_sas;
	t->last = now;
	t->trimmed = true;
	return true;
}

void trim_memory(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
