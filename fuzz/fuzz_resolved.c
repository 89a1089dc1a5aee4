/* Any bytes as what goes between the daemon and the process that talks to systemd-resolved: what is
 * taken is within its bounds, and is written back to the same bytes. */
#include <stdlib.h>

#include "resolved/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_request(struct bytes b)
{
	struct resolved_request r;
	uint8_t buf[RESOLVED_MESSAGE_MAX];

	if (resolved_parse_request(b, &r) != ST_OK)
		return;
	require(r.n_dns <= RESOLVED_DNS_MAX && r.n_domains <= RESOLVED_DOMAINS_MAX);
	require(bytes_eq(bytes_of(buf, resolved_make_request(&r, buf)), b));
}

static void check_reply(struct bytes b)
{
	struct resolved_reply r;
	uint8_t buf[RESOLVED_MESSAGE_MAX];

	if (resolved_parse_reply(b, &r) == ST_OK)
		require(bytes_eq(bytes_of(buf, resolved_make_reply(&r, buf)), b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request(bytes_of(data, size));
	check_reply(bytes_of(data, size));
	return 0;
}
