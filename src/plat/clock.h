/*
 * clock.h - the host's clocks as the core wants them.
 *
 * Monotonic time is CLOCK_BOOTTIME: it goes on while the machine sleeps, so that an SA that was
 * alive an hour ago is known to be an hour old when the lid opens.
 *
 * The wall clock is believed (`wall_ok`) when the kernel says that something disciplines it, or
 * when it shows a moment after this program was written: a board without a battery wakes up
 * in 1970 and must not accept an expired certificate because of that.
 */
#pragma once

#include "base/base.h"

struct now plat_now(void);
mono_t plat_mono(void);

/* Whether the kernel says that something (NTP, PTP) keeps the wall clock right. */
bool plat_clock_synced(void);
