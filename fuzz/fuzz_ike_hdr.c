/* The IKE header alone: what is accepted reads back as it was written. */
#include "ike_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum wire_fault fault = WIRE_OK;
	uint8_t buf[WIRE_IKE_HDR_LEN];
	struct wire_hdr h;
	struct wire_out o;
	struct bytes msg;

	if (wire_ike_parse_hdr(bytes_of(data, size), &h, &fault) != ST_OK) {
		CHECK(fault == WIRE_F_SHORT || fault == WIRE_F_LENGTH || fault == WIRE_F_VERSION);
		CHECK((fault == WIRE_F_SHORT) == (size < WIRE_IKE_HDR_LEN));
		CHECK(fault != WIRE_F_VERSION || data[17] >> 4 != 2);
		return 0;
	}
	CHECK(h.length == size);
	wire_ike_begin(&o, buf, sizeof(buf), &h);
	CHECK(wire_ike_end(&o, &msg) == ST_OK);
	CHECK(memcmp(buf, data, 16) == 0);
	CHECK(memcmp(buf + 17, data + 17, 7) == 0);
	return 0;
}
