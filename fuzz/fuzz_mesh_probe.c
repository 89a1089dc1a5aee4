/*
 * Probes: what was read is written, and is what was there but for the MAC and flags that nobody
 * knows; an IKE message is never one.
 */
#include "ike_values.h"

#include "wire/mesh/wire_mesh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { FLAGS_AT = 19, COVERED = WIRE_PROBE_LEN - WIRE_PROBE_MAC };
	struct bytes all = bytes_of(data, size), covered;
	enum wire_fault fault;
	struct wire_hdr hdr;
	uint8_t buf[WIRE_PROBE_LEN];
	struct wire_probe p, q;
	const uint8_t *mac;

	if (wire_probe_is(all))
		CHECK(wire_ike_parse_hdr(all, &hdr, &fault) != ST_OK);
	if (wire_probe_parse(all, &p, &covered, &mac) != ST_OK)
		return 0;
	CHECK(wire_probe_is(all) && size == WIRE_PROBE_LEN);
	CHECK(covered.p == data && covered.n == COVERED && mac == data + COVERED);
	CHECK(!(p.flags & WIRE_PROBE_ANSWER) == (p.seen.ip.family == 0));
	CHECK((p.seen.port != 0) == (p.seen.ip.family != 0) && !ip_is_any(&p.seen.ip));
	wire_probe_put(buf, &p);
	CHECK((buf[FLAGS_AT] & ~data[FLAGS_AT]) == 0);
	buf[FLAGS_AT] = data[FLAGS_AT];
	CHECK(memcmp(buf, data, COVERED) == 0);
	wire_probe_put(buf, &p);
	CHECK(wire_probe_parse(BYTES_OF(buf), &q, &covered, &mac) == ST_OK);
	CHECK(memcmp(p.id, q.id, sizeof(p.id)) == 0 && p.flags == q.flags && p.txn == q.txn);
	CHECK(memcmp(p.nonce, q.nonce, sizeof(p.nonce)) == 0 && endpoint_eq(&p.seen, &q.seen));
	return 0;
}
