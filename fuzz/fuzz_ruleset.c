/* Any JSON as a ruleset of nftables: it is walked to an end, and what is said of where is in it. */
#include <stdlib.h>

#include "cli/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const hooks[] = { "input", "forward", "output" };
	json_t *o = json_loadb((const char *)data, size, 0, NULL);

	for (size_t i = 0; o && i < ARRAY_LEN(hooks); i++) {
		const struct ruleset_packet p = {
			.hook = hooks[i],
			.family = i == 1 ? 6 : 4,
			.iif = i == 2 ? "" : "warren0",
			.oif = i == 0 ? "" : NULL,
			.src = { .family = i == 1 ? 6 : 4, .b = { 10, 2 } },
			.dport = i == 1 ? 0 : 4500,
			.state = "new",
		};
		struct ruleset_where at;
		enum ruleset_fate fate = ruleset_fate(o, "warren", &p, &at);

		require(fate <= RULESET_DROPPED);
		if (fate != RULESET_PASSES)
			require(ruleset_has_chain(o, at.family, at.table, at.chain));
	}
	json_decref(o);
	return 0;
}
