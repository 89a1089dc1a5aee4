/*
 * vendor.c - whether the other end is a warren as well (RFC 7296 section 3.12).
 *
 *	HDR, SAi1, KEi, Ni, ..., V  -->
 *				    <--  HDR, SAr1, KEr, Nr, ..., V
 *
 * Whatever is not in an RFC, or what we know a foreign implementation to stumble over, is done only
 * with who announced this.  IKE_SA_INIT proves nothing, but AUTH covers it: once the SA is up
 *nobody can have put the payload in or taken it out.
 */
#include "ike/internal.h"

enum {
	HASH = 15,
	VERSION = 1,
};

/* docs/protocol/vendor-id.md: the first octets of the SHA-256 of "warren: auto-discovery VPN over
 * IKEv2 and ESP", then the version. */
static const uint8_t ours[HASH + 1] = { 0xf7, 0xfb, 0xe0, 0xb0, 0xc7, 0xc2, 0x87, 0xc7,
					0x8e, 0x79, 0xc3, 0xbc, 0x0d, 0xd7, 0x22, VERSION };

void vendor_put(struct wire_out *o)
{
	wire_put_vendor(o, BYTES_OF(ours));
}

/* A later version does all that this one does, and may say more behind it. */
static bool is_ours(struct bytes vid)
{
	return vid.n > HASH && memcmp(vid.p, ours, HASH) == 0 && vid.p[HASH] >= VERSION;
}

bool vendor_ours(const struct wire_payloads *p)
{
	for (size_t i = 0; i < p->n_vendors; i++)
		if (is_ours(p->vendors[i]))
			return true;
	return false;
}
