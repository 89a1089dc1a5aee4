#include "plat/clock.h"

#include <sys/timex.h>
#include <time.h>

/* 2025-01-01: nobody runs this program before it existed. */
#define WALL_FLOOR 1735689600

mono_t plat_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (mono_t){ ts.tv_sec * 1000000000 + ts.tv_nsec };
}

/* STA_UNSYNC is set from boot until the first adjustment by NTP, PTP or the like. */
bool plat_clock_synced(void)
{
	struct timex tx = { .modes = 0 };
	int state = adjtimex(&tx);

	return state >= 0 && state != TIME_ERROR && !(tx.status & STA_UNSYNC);
}

struct now plat_now(void)
{
	struct now now = { .mono = plat_mono() };
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	now.wall.s = ts.tv_sec;
	now.wall_ok = now.wall.s >= WALL_FLOOR || plat_clock_synced();
	return now;
}
