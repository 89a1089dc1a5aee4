/* What everything stands on: cursors, memory, maps, timers, addresses, text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

/* Appendix A of "SipHash: a fast short-input PRF": key 00..0f, input 00..0e. */
static void siphash_paper(void **state)
{
	static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	uint8_t in[15];

	(void)state;
	for (uint8_t i = 0; i < sizeof(in); i++)
		in[i] = i;
	assert_true(siphash(key, BYTES_OF(in)) == 0xa129ca6149be45e5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_paper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
