/*
 * The anti-replay window of RFC 4303 section 3.4.3 and appendix A2: a ring of bits in which a word
 * is cleared when the window moves over it, so that nothing is ever shifted (the idea of RFC 6479),
 * but exact to the bit: the window is as long as it says.
 */
#include "esp/esp.h"

#define RING ESP_WINDOW_MAX
#define LOW32 UINT32_MAX

void esp_window_init(struct esp_window *w, unsigned size, bool esn)
{
	*w = (struct esp_window){ .size = size, .esn = esn };
}

/*
 * Appendix A2.2, with T the top and W the size: the low halves that lie in the window or above it
 * up to the next wrap belong to the subspace they would be in if the window did not wrap.
 *
 *	case A (Tl >= W - 1):	Seql >= Tl - W + 1: Th		else Th + 1
 *	case B (window wraps):	Seql >= Tl - W + 1: Th - 1	else Th
 *
 * In case B with Th = 0 no number precedes zero: the packet can only lie ahead.
 */
uint64_t esp_window_infer(const struct esp_window *w, uint32_t low)
{
	uint64_t high = w->top & ~(uint64_t)LOW32;
	uint32_t top = (uint32_t)w->top;
	uint32_t bottom = top - w->size + 1;

	if (!w->esn)
		return low;
	if (top >= w->size - 1)
		return (low >= bottom ? high : high + LOW32 + 1) | low;
	return (low >= bottom && high ? high - LOW32 - 1 : high) | low;
}

static bool seen(const struct esp_window *w, uint64_t seq)
{
	return w->bits[seq % RING / 64] >> (seq % 64) & 1;
}

enum esp_fault esp_window_test(const struct esp_window *w, uint64_t seq)
{
	if (seq == 0)
		return ESP_F_SEQ_ZERO;
	if (seq > w->top)
		return ESP_OK;
	if (w->top - seq >= w->size)
		return ESP_F_OLD;
	return seen(w, seq) ? ESP_F_REPLAY : ESP_OK;
}

/* Clears the bits of from..to, fewer than RING numbers. */
static void clear(struct esp_window *w, uint64_t from, uint64_t to)
{
	while (from <= to) {
		uint64_t last = from | 63; /* of this word */
		uint64_t mask = UINT64_MAX << (from % 64);

		if (last > to) {
			last = to;
			mask &= UINT64_MAX >> (63 - to % 64);
		}
		w->bits[from % RING / 64] &= ~mask;
		if (last == UINT64_MAX)
			return;
		from = last + 1;
	}
}

void esp_window_set(struct esp_window *w, uint64_t seq)
{
	if (seq > w->top) {
		if (seq - w->top >= RING)
			memset(w->bits, 0, sizeof(w->bits));
		else
			clear(w, w->top + 1, seq);
		w->top = seq;
	}
	w->bits[seq % RING / 64] |= (uint64_t)1 << (seq % 64);
}
