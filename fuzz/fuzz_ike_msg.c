/* A datagram: header and clear payloads up to SK or SKF. */
#include "ike_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum wire_fault fault = WIRE_OK;
	struct wire_ike_msg m;
	struct arena ar;

	arena_init(&ar, &mem_libc, 1 << 20);
	if (wire_ike_parse(&ar, bytes_of(data, size), &m, &fault) != ST_OK) {
		CHECK(fault > WIRE_OK && fault < WIRE_FAULTS && fault != WIRE_F_NOMEM);
	} else {
		check_payloads(m.raw, &m.clear);
		CHECK(m.encrypted == (has(&m.clear, WIRE_P_SK) || has(&m.clear, WIRE_P_SKF)));
		/* What is authenticated and what is encrypted make up the datagram. */
		CHECK(!m.encrypted || (m.sk.aad.p == data && m.sk.body.p == data + m.sk.aad.n &&
				       m.sk.aad.n + m.sk.body.n == size && m.sk.body.n > 0));
		CHECK(has(&m.clear, WIRE_P_SKF) == (m.sk.fragments > 0));
	}
	arena_done(&ar);
	return 0;
}
