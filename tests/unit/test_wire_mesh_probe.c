/* Probes: every bit that is not free, every length, where a question came from.  R06, S6. */
#include "wire_ike_util.h"

#include "wire_mesh_vectors.h"

#include "wire/mesh/wire_mesh.h"

/* ---- probes -------------------------------------------------------------------------------- */

static enum status probe_of(const uint8_t *p, size_t n, struct wire_probe *ret)
{
	const uint8_t *mac = NULL;
	struct bytes covered = { NULL, 0 };
	enum status st;

	memset(ret, 0x5a, sizeof(*ret));
	st = wire_probe_parse(bytes_of(copy_of(bytes_of(p, n)), n), ret, &covered, &mac);
	if (st) {
		assert_true(!mac && !covered.p && ret->txn == 0x5a5a5a5a);
	} else {
		assert_int_equal(covered.n, WIRE_PROBE_LEN - WIRE_PROBE_MAC);
		assert_true(mac == covered.p + covered.n);
	}
	drop_last_held();
	return st;
}

/* Every bit that is not free is what it has to be. */
static void probe_bits(void **state)
{
	static const char *const row[] = { vector_probe, vector_probe_answer };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t *p = copy_of(hex(row[i]));
		bool answer = i == 1;
		struct wire_probe v;

		for (size_t bit = 0; bit < 8 * WIRE_PROBE_LEN; bit++) {
			size_t at = bit / 8;
			/* The id, other flags, the transaction, the nonce, the MAC; of an answer
			 * the place, but what says that it is IPv4 can make it IPv6. */
			bool free = (at >= 8 && at < 16) || (at >= 20 && at < 24) ||
				    (at >= 28 && at < 36) || at >= 56 ||
				    (at == 19 && bit % 8 > 0) || (answer && at >= 36 && at < 54);

			p[at] ^= (uint8_t)(1 << bit % 8);
			if ((probe_of(p, WIRE_PROBE_LEN, &v) == ST_OK) != free)
				fail_msg("probe %zu: byte %zu, bit %zu", i, at, bit % 8);
			p[at] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void probe_lengths(void **state)
{
	struct bytes b = hex(vector_probe);
	struct wire_probe v;
	uint8_t more[WIRE_PROBE_LEN + 1] = { 0 };

	(void)state;
	for (size_t n = 0; n < WIRE_PROBE_LEN; n++) {
		assert_int_equal(probe_of(b.p, n, &v), ST_DROP);
		assert_int_equal(wire_probe_is(bytes_of(copy_of(bytes_of(b.p, n)), n)), n >= 18);
		drop_last_held();
	}
	memcpy(more, b.p, b.n);
	assert_int_equal(probe_of(more, sizeof(more), &v), ST_DROP);
	assert_true(wire_probe_is(BYTES_OF(more)));
	/* No IKE message is one, whatever its SPI. */
	more[17] = WIRE_IKE_VERSION;
	assert_false(wire_probe_is(BYTES_OF(more)));
	assert_false(wire_probe_is(hex(init_request)));
}

static void probe_places(void **state)
{
	static const struct {
		const char *seen; /* address, port, zeros */
		uint8_t flags;
		bool ok;
	} row[] = {
		{ "00000000000000000000000000000000 0000 0000", 0, true },
		{ "00000000000000000000ffff00000000 0000 0000", 0, false },
		{ "00000000000000000000000000000000 1194 0000", 0, false },
		{ "00000000000000000000000000000000 0000 0001", 0, false },
		{ "00000000000000000000000000000000 1194 0000", WIRE_PROBE_ANSWER, false },
		{ "00000000000000000000ffff00000000 1194 0000", WIRE_PROBE_ANSWER, false },
		{ "00000000000000000000ffffc0000201 0000 0000", WIRE_PROBE_ANSWER, false },
		{ "00000000000000000000ffffc0000201 1194 0000", WIRE_PROBE_ANSWER, true },
		{ "20010db8000000000000000000000001 1194 0000", WIRE_PROBE_ANSWER, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t *p = copy_of(hex(vector_probe)), out[WIRE_PROBE_LEN];
		struct wire_probe v;

		p[19] = row[i].flags;
		memcpy(p + 36, hex(row[i].seen).p, 20);
		assert_int_equal(probe_of(p, WIRE_PROBE_LEN, &v) == ST_OK, row[i].ok);
		if (!row[i].ok)
			continue;
		assert_int_equal(v.flags, row[i].flags);
		wire_probe_put(out, &v);
		assert_memory_equal(out, p, WIRE_PROBE_LEN - WIRE_PROBE_MAC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(probe_bits),
		TEST(probe_lengths),
		TEST(probe_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
