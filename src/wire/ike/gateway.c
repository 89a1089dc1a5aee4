/* gateway.c - gateway identities (RFC 5685 sections 9.2 and 9.3). */
#include "wire/ike/wire_ike.h"

static bool length_ok(uint8_t type, struct bytes id)
{
	switch (type) {
	case WIRE_GW_IPV4: return id.n == 4;
	case WIRE_GW_IPV6: return id.n == 16;
	case WIRE_GW_FQDN: return host_name_ok(id);
	default: return false;
	}
}

/*
 *	+---------------+---------------+-------------------------------+
 *	| GW Ident Type |  GW Ident Len |                               |
 *	+---------------+---------------+                               ~
 *	~                   New Responder GW Identity                   ~
 *	+---------------------------------------------------------------+
 *	~                        Nonce Data                             ~
 *	+---------------------------------------------------------------+
 */
enum status wire_gateway_parse(struct bytes data, struct wire_gateway *ret_gw,
			       struct bytes *ret_rest)
{
	struct cur c = cur_of(data);
	uint8_t type = cur_u8(&c);
	size_t n = cur_u8(&c);
	struct bytes id = cur_take(&c, n);

	if (c.err || !length_ok(type, id))
		return ST_DROP;
	*ret_gw = (struct wire_gateway){ type, id };
	*ret_rest = bytes_of(c.p, cur_left(&c));
	return ST_OK;
}

void wire_gateway_put(struct wr *w, const struct wire_gateway *gw)
{
	wr_u8(w, gw->type);
	wr_len8(w, gw->id.n);
	wr_put(w, gw->id);
}
