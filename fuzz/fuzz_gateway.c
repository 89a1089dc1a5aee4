/*
 * Gateway identities (RFC 5685 sections 9.2 and 9.3): what was read is written, and is what was
 * there; a name is one that may be handed to whoever looks names up.
 */
#include "ike_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_identity(const struct wire_gateway *gw)
{
	CHECK(gw->type != WIRE_GW_IPV4 || gw->id.n == 4);
	CHECK(gw->type != WIRE_GW_IPV6 || gw->id.n == 16);
	CHECK(gw->type >= WIRE_GW_IPV4 && gw->type <= WIRE_GW_FQDN);
	for (size_t i = 0; gw->type == WIRE_GW_FQDN && i < gw->id.n; i++)
		CHECK(gw->id.p[i] > ' ' && gw->id.p[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[1 << 17];
	struct bytes all = bytes_of(data, size), rest;
	struct wr w = wr_of(buf, sizeof(buf));
	struct wire_gateway gw;

	if (size > sizeof(buf) || wire_gateway_parse(all, &gw, &rest) != ST_OK)
		return 0;
	check_view(all, gw.id);
	check_view(all, rest);
	check_identity(&gw);
	wire_gateway_put(&w, &gw);
	wr_put(&w, rest);
	CHECK(bytes_eq(wr_bytes_of(&w), all));
	return 0;
}
