/* Inside the engine: the table of exchanges is checked when an engine is made, what a row must have
 * and that none hides behind an earlier one; what operators read by name has one, whatever the
 * number; messages back to back; no keys without algorithms. */
#include "crypto/fake/crypto_fake.h"
#include "ike/internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define P(type) WIRE_BIT(WIRE_P_##type)

static enum status none(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	(void)ike;
	(void)sa;
	(void)rx;
	return ST_BUG;
}

static const struct exchange_row good = { .story = "HDR, SK {N, SA} (1.3)",
					  .states = 1,
					  .exchange = WIRE_CREATE_CHILD_SA,
					  .encrypted = true,
					  .notify = WIRE_N_COOKIE,
					  .required = P(NOTIFY) | P(SA),
					  .optional = P(VENDOR),
					  .handler = none };

static void our_own(void **state)
{
	(void)state;
	assert_int_equal(table_validate(ike_exchanges, ike_n_exchanges), ST_OK);
	assert_int_equal(table_validate(&good, 1), ST_OK);
}

static void what_a_row_must_have(void **state)
{
	struct exchange_row bad[7];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = good;
	bad[0].handler = NULL;
	bad[1].story = NULL;
	bad[2].states = 0;
	bad[3].states = 1u << SA_STATES;
	bad[4].optional |= P(SA);
	/* A condition on a notify that need not be there. */
	bad[5].required = P(SA);
	bad[6].required = P(SA);
	bad[6].notify = 0;
	bad[6].any_error = true;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(table_validate(&bad[i], 1), ST_BUG);
}

/* The second row can be chosen when it differs from the first in what a message is, or when the
 * first asks for more. */
static void no_row_is_hidden(void **state)
{
	struct {
		struct exchange_row first, second;
		enum status want;
	} rows[12];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i].first = rows[i].second = good;
		rows[i].want = ST_OK;
	}
	rows[0].want = ST_BUG; /* the same twice */
	rows[1].second.exchange = WIRE_INFORMATIONAL;
	rows[2].second.response = true;
	rows[3].second.encrypted = false;
	rows[4].second.states = 3;
	rows[5].second.required = P(NOTIFY);
	rows[6].second.required |= P(KE);
	rows[6].want = ST_BUG;
	rows[7].second.notify = WIRE_N_INVALID_KE_PAYLOAD;
	rows[8].first.notify = 0;
	rows[8].want = ST_BUG;
	rows[9].first.notify = rows[9].second.notify = 0;
	rows[9].first.any_error = true;
	rows[10].first.notify = rows[10].second.notify = 0;
	rows[10].first.any_error = rows[10].second.any_error = true;
	rows[10].want = ST_BUG;
	rows[11].second.any_error = true;
	rows[11].want = ST_BUG;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(table_validate(&rows[i].first, 2), rows[i].want);
}

/* A newer engine's number in an older tool, or a bug: never a read past the end. */
static void names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		assert_non_null(ike_event_name((enum ike_event_kind)i));
		assert_non_null(ike_reason_name((enum ike_reason)i));
		assert_non_null(ike_load_name((enum ike_load)i));
		assert_non_null(sa_state_name((enum sa_state)i));
	}
	assert_string_equal(ike_event_name((enum ike_event_kind)299), "unknown");
	assert_string_equal(ike_load_name((enum ike_load)299), "unknown");
	assert_string_equal(sa_state_name((enum sa_state)299), "unknown");
}

/* Fragments lie back to back, each with a Length of its own (RFC 7383 section 2.5); bytes that have
 * no such Length are one message. */
static void messages_back_to_back(void **state)
{
	uint8_t buf[3 * WIRE_IKE_HDR_LEN + 5] = { 0 };
	struct bytes rest = BYTES_OF(buf);

	(void)state;
	store_be32(buf + 24, WIRE_IKE_HDR_LEN + 5);
	store_be32(buf + WIRE_IKE_HDR_LEN + 5 + 24, WIRE_IKE_HDR_LEN);
	store_be32(buf + 2 * WIRE_IKE_HDR_LEN + 5 + 24, WIRE_IKE_HDR_LEN);
	assert_int_equal(msgs_largest(rest), WIRE_IKE_HDR_LEN + 5);
	assert_int_equal(msgs_next(&rest).n, WIRE_IKE_HDR_LEN + 5);
	assert_int_equal(msgs_next(&rest).n, WIRE_IKE_HDR_LEN);
	assert_int_equal(msgs_next(&rest).n, WIRE_IKE_HDR_LEN);
	assert_int_equal(rest.n, 0);

	store_be32(buf + 24, WIRE_IKE_HDR_LEN - 1); /* shorter than its header */
	rest = BYTES_OF(buf);
	assert_int_equal(msgs_next(&rest).n, sizeof(buf));
	store_be32(buf + 24, sizeof(buf) + 1); /* longer than there is */
	rest = BYTES_OF(buf);
	assert_int_equal(msgs_next(&rest).n, sizeof(buf));
	rest = bytes_of(buf, WIRE_IKE_HDR_LEN - 1);
	assert_int_equal(msgs_next(&rest).n, WIRE_IKE_HDR_LEN - 1);
	assert_int_equal(rest.n, 0);
}

/* What has no cipher or no PRF gets no keys, whatever led there (section 2.14). */
static void no_keys_without_algorithms(void **state)
{
	static const uint8_t nonce[32] = { 1 }, secret[32] = { 2 };
	const struct nonces nonces = { BYTES_OF(nonce), BYTES_OF(nonce) };
	struct policy_suite suite = { .encr = CRYPTO_AES_GCM_16, .key_bits = 128 };
	struct handshake_keys hs;
	struct esp_keys in, out;
	struct crypto_key key;
	struct crypto_fake *fake;
	struct sa_keys k = { 0 };
	struct crypto c;

	(void)state;
	assert_int_equal(crypto_fake_new(&mem_libc, 1, &fake), ST_OK);
	c = crypto_fake_ops(fake);
	assert_int_not_equal(
		keys_derive(&mem_libc, &c, &suite, &nonces, BYTES_OF(secret), 1, 2, true, &k, &hs),
		ST_OK);
	assert_null(k.mat);
	suite = (struct policy_suite){ .prf = CRYPTO_PRF_HMAC_SHA2_256, .encr = 99 };
	assert_int_not_equal(
		keys_derive(&mem_libc, &c, &suite, &nonces, BYTES_OF(secret), 1, 2, true, &k, &hs),
		ST_OK);
	assert_null(k.mat);
	assert_int_not_equal(keys_child(&c, CRYPTO_PRF_HMAC_SHA2_256, BYTES_OF(secret),
					bytes_of(NULL, 0), &nonces, &suite, true, &in, &out),
			     ST_OK);
	key = keys_out(&k);
	assert_int_equal(key.encr.n, 0);
	assert_int_equal(key.integ.n, 0);
	crypto_fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own),
		cmocka_unit_test(what_a_row_must_have),
		cmocka_unit_test(no_row_is_hidden),
		cmocka_unit_test(names),
		cmocka_unit_test(messages_back_to_back),
		cmocka_unit_test(no_keys_without_algorithms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
