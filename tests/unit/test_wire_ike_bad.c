/*
 * S2: what the IKE parser must refuse: every prefix of a message, every length off by one, every
 * count over its limit, every payload that its definition does not allow.
 */
#include "wire_ike_util.h"

/* S2: for every prefix of a valid message the parser refuses, with the header's length that of the
 * whole and with the header's length that of the prefix. */
static void S2_every_prefix_of_a_message_is_refused(void **state)
{
	struct bytes b = hex(init_request);

	(void)state;
	assert_fault(msg_fault(b), WIRE_OK, "whole");
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *p = copy_of(bytes_of(b.p, n));

		assert_fault(msg_fault(bytes_of(p, n)),
			     n < WIRE_IKE_HDR_LEN ? WIRE_F_SHORT : WIRE_F_LENGTH, "cut");
		if (n >= WIRE_IKE_HDR_LEN) {
			const uint8_t length[4] = { 0, 0, (uint8_t)(n >> 8), (uint8_t)n };

			memcpy(p + 24, length, sizeof(length));
			assert_fault(msg_fault(bytes_of(p, n)), WIRE_F_CHAIN, "cut, length too");
		}
		drop_last_held();
	}
}

static void S2_payloads_shorter_than_their_header_are_refused(void **state)
{
	struct bytes b = hex("00 00 0004 00 00 0000");
	uint8_t *p = copy_of(b);

	(void)state;
	for (uint16_t len = 0; len < 4; len++) {
		store_be16(p + 2, len);
		assert_fault(inner_fault(WIRE_P_VENDOR, bytes_of(p, b.n)), WIRE_F_CHAIN, "known");
		assert_fault(inner_fault(222, bytes_of(p, b.n)), WIRE_F_CHAIN, "unknown");
	}
}

static void S2_trailing_bytes_are_refused(void **state)
{
	struct bytes b = hex(init_request);
	uint8_t *p = hold(b.n + 1);

	(void)state;
	memcpy(p, b.p, b.n);
	p[b.n] = 0;
	assert_fault(msg_fault(bytes_of(p, b.n + 1)), WIRE_F_LENGTH, "behind the message");
	store_be32(p + 24, (uint32_t)b.n + 1);
	assert_fault(msg_fault(bytes_of(p, b.n + 1)), WIRE_F_CHAIN, "behind the chain");
}

/* S2: a major version other than 2 is refused, but the header is there for the answer (section
 * 2.5); the minor version and the reserved flags mean nothing. */
static void S2_versions(void **state)
{
	static const struct {
		uint8_t version;
		enum wire_fault fault;
	} rows[] = {
		{ 0x20, WIRE_OK },        { 0x21, WIRE_OK },        { 0x2f, WIRE_OK },
		{ 0x30, WIRE_F_VERSION }, { 0x10, WIRE_F_VERSION }, { 0x00, WIRE_F_VERSION },
		{ 0xf0, WIRE_F_VERSION },
	};
	uint8_t *p = copy_of(hex(init_request));

	(void)state;
	p[19] = 0xff;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum wire_fault fault = WIRE_OK;
		struct wire_hdr h = { 0 };

		p[17] = rows[i].version;
		assert_int_equal(wire_ike_parse_hdr(bytes_of(p, 250), &h, &fault),
				 rows[i].fault ? ST_DROP : ST_OK);
		assert_fault(fault, rows[i].fault, "version");
		assert_int_equal(h.version, rows[i].version);
		assert_true(h.spi_i == 0x0102030405060708);
		assert_fault(msg_fault(bytes_of(p, 250)), rows[i].fault, "message");
	}
}

static void S2_every_prefix_of_a_chain_is_refused(void **state)
{
	struct bytes b = hex(auth_request);

	(void)state;
	assert_fault(inner_fault(WIRE_P_IDI, b), WIRE_OK, "whole");
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *p = copy_of(bytes_of(b.p, n));

		assert_int_not_equal(inner_fault(WIRE_P_IDI, bytes_of(p, n)), WIRE_OK);
		drop_last_held();
	}
	assert_fault(inner_fault(WIRE_P_NONE, b), WIRE_F_CHAIN, "bytes without a payload");
	assert_fault(inner_fault(WIRE_P_NONE, bytes_of(b.p, 0)), WIRE_OK, "nothing at all");
}

/* S2: each length and count of each payload, one less and one more.  Offsets of the (low) byte
 * within the payload, 0 ends the list. */
static void S2_every_length_off_by_one_is_refused(void **state)
{
	static const struct {
		uint8_t type;
		const char *payload;
		uint8_t at[16];
	} rows[] = {
		{ WIRE_P_SA,
		  "00 00 0044"
		  "02 00 0020 01 03 04 02 c1c2c3c4 03 00 000c 01 00 0014 800e 0080 00 00 0008 05 "
		  "00 0000"
		  "00 00 0020 02 03 04 02 c1c2c3c4 03 00 000c 01 00 0014 800e 0080 00 00 0008 05 "
		  "00 0000",
		  { 3, 7, 10, 11, 19, 31, 39, 42, 43, 51, 63 } },
		{ WIRE_P_KE, "00 00 000c 0013 0000 aabbccdd", { 3 } },
		{ WIRE_P_IDI, "00 00 000c 01 000000 c0000201", { 3 } },
		{ WIRE_P_IDR, "00 00 0018 05 000000 20010db8000000000000000000000001", { 3 } },
		{ WIRE_P_CERT, "00 00 000a 04 3003020105", { 3 } },
		{ WIRE_P_CERTREQ, "00 00 0019 04 c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3", { 3 } },
		{ WIRE_P_AUTH, "00 00 000c 02 000000 aabbccdd", { 3 } },
		{ WIRE_P_NONCE, "00 00 0014 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", { 3 } },
		{ WIRE_P_NOTIFY, "00 00 000c 03 04 4009 b1b2b3b4", { 3, 5 } },
		{ WIRE_P_NOTIFY, "00 00 000a 00 00 0011 0013", { 3, 5 } },
		{ WIRE_P_DELETE, "00 00 0010 03 04 0002 d1d2d3d4 e1e2e3e4", { 3, 5, 7 } },
		{ WIRE_P_DELETE, "00 00 0008 01 00 0000", { 3, 7 } },
		{ WIRE_P_VENDOR, "00 00 0008 deadbeef", { 3 } },
		{ WIRE_P_TSI,
		  "00 00 0028 02 000000 07 00 0010 0000 ffff 0a010000 0a01ffff"
		  "07 00 0010 0000 ffff 0a020000 0a02ffff",
		  { 3, 4, 11, 27 } },
		{ WIRE_P_TSR,
		  "00 00 0030 01 000000 08 06 0028 01bb 01bb"
		  "20010db8000000000000000000000000 20010db800000000000000000000ffff",
		  { 3, 4, 11 } },
		{ WIRE_P_CP, "00 00 0014 01 000000 0001 0000 0003 0004 0a000001", { 3, 11, 15 } },
		{ WIRE_P_EAP, "00 00 000a 01 07 0006 01 41", { 3, 7 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes b = hex(rows[i].payload);

		assert_fault(inner_fault(rows[i].type, b), WIRE_OK, rows[i].payload);
		for (size_t j = 0; rows[i].at[j]; j++) {
			uint8_t *p = copy_of(b);

			p[rows[i].at[j]]++;
			if (inner_fault(rows[i].type, bytes_of(p, b.n)) == WIRE_OK)
				fail_msg("row %zu: one more at %u", i, rows[i].at[j]);
			p[rows[i].at[j]] -= 2;
			if (inner_fault(rows[i].type, bytes_of(p, b.n)) == WIRE_OK)
				fail_msg("row %zu: one less at %u", i, rows[i].at[j]);
		}
	}
}

#define TRANSFORM "00 00 0008 05 00 0000"
#define TS4 "07 00 0010 0000 ffff 0a010000 0a01ffff"
#define NONCE16 "000102030405060708090a0b0c0d0e0f"
#define KEY20 "0000000000000000000000000000000000000000"

struct body_row {
	uint8_t type;
	enum wire_fault fault;
	const char *body; /* without the generic header */
};

/* Each value that a payload may hold next to one that it may not. */
static const struct body_row body_rows[] = {
	/* SA: nothing in it; too short for a proposal */
	{ WIRE_P_SA, WIRE_F_SA, "" },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0008 01 01 00 01" },
	{ WIRE_P_SA, WIRE_OK, "00 00 0010 01 01 00 01" TRANSFORM },
	/* the first proposal of an answer may have another number, but not zero */
	{ WIRE_P_SA, WIRE_OK, "00 00 0010 07 01 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 00 01 00 01" TRANSFORM },
	/* numbers rise by one */
	{ WIRE_P_SA, WIRE_OK,
	  "02 00 0010 01 01 00 01" TRANSFORM "00 00 0010 02 01 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA,
	  "02 00 0010 01 01 00 01" TRANSFORM "00 00 0010 01 01 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA,
	  "02 00 0010 01 01 00 01" TRANSFORM "00 00 0010 03 01 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA,
	  "02 00 0010 ff 01 00 01" TRANSFORM "00 00 0010 00 01 00 01" TRANSFORM },
	/* marks of the last proposal */
	{ WIRE_P_SA, WIRE_F_SA, "02 00 0010 01 01 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "03 00 0010 01 01 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA,
	  "00 00 0010 01 01 00 01" TRANSFORM "00 00 0010 02 01 00 01" TRANSFORM },
	/* marks of the last transform; reserved bytes mean nothing */
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 01 00 01 03 00 0008 05 00 0000" },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0018 01 01 00 02" TRANSFORM TRANSFORM },
	{ WIRE_P_SA, WIRE_OK, "00 ff 0018 01 01 00 02 03 ff 0008 05 ff 0000" TRANSFORM },
	/* no transforms; fewer and more than counted */
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 01 00 00" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 01 00 02 03 00 0008 05 00 0000" },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0018 01 01 00 01" TRANSFORM TRANSFORM },
	/* a transform shorter than its header, longer than its proposal */
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 01 00 01 00 00 0007 05 00 0000" },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 01 00 01 00 00 000c 05 00 0000" },
	/* SPI sizes by protocol: IKE 0 or 8, AH and ESP 4, unknown ones any of these */
	{ WIRE_P_SA, WIRE_OK, "00 00 0018 01 01 08 01 0102030405060708" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0014 01 01 04 01 01020304" TRANSFORM },
	{ WIRE_P_SA, WIRE_OK, "00 00 0014 01 03 04 01 01020304" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 03 00 01" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0018 01 03 08 01 0102030405060708" TRANSFORM },
	{ WIRE_P_SA, WIRE_OK, "00 00 0014 01 02 04 01 01020304" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0012 01 02 02 01 0102" TRANSFORM },
	{ WIRE_P_SA, WIRE_OK, "00 00 0014 01 fa 04 01 01020304" TRANSFORM },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0012 01 fa 02 01 0102" TRANSFORM },
	/* an SPI past the proposal's end */
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0010 01 01 ff 01" TRANSFORM },
	/* attributes: half of one; Key Length in the long form, and twice; one past the end */
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0012 01 01 00 01 00 00 000a 01 00 0014 800e" },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0016 01 01 00 01 00 00 000e 01 00 0014 000e 0002 0080" },
	{ WIRE_P_SA, WIRE_F_SA,
	  "00 00 0018 01 01 00 01 00 00 0010 01 00 0014 800e 0080 800e 0080" },
	{ WIRE_P_SA, WIRE_F_SA, "00 00 0016 01 01 00 01 00 00 000e 01 00 0014 0063 0003 0000" },
	{ WIRE_P_SA, WIRE_OK, "00 00 0016 01 01 00 01 00 00 000e 01 00 0014 0063 0002 0000" },
	/* KE */
	{ WIRE_P_KE, WIRE_F_KE, "" },
	{ WIRE_P_KE, WIRE_F_KE, "001f 0000" },
	{ WIRE_P_KE, WIRE_OK, "001f ffff aa" },
	/* identities */
	{ WIRE_P_IDI, WIRE_F_ID, "01 0000" },
	{ WIRE_P_IDI, WIRE_F_ID, "01 000000" },
	{ WIRE_P_IDI, WIRE_F_ID, "01 000000 c00002" },
	{ WIRE_P_IDI, WIRE_OK, "01 ffffff c0000201" },
	{ WIRE_P_IDI, WIRE_F_ID, "01 000000 c000020101" },
	{ WIRE_P_IDI, WIRE_F_ID, "05 000000 c0000201" },
	{ WIRE_P_IDR, WIRE_OK, "05 000000 20010db8000000000000000000000001" },
	{ WIRE_P_IDR, WIRE_F_ID, "05 000000 20010db800000000000000000000000100" },
	{ WIRE_P_IDR, WIRE_F_ID, "02 000000" },
	{ WIRE_P_IDR, WIRE_OK, "02 000000 61" },
	/* S2: a name cut short by NUL for one reader and not for another */
	{ WIRE_P_IDR, WIRE_F_ID, "02 000000 6100" },
	{ WIRE_P_IDR, WIRE_F_ID, "02 000000 61002e62" },
	{ WIRE_P_IDR, WIRE_F_ID, "02 000000 610d0a62" },
	{ WIRE_P_IDR, WIRE_F_ID, "03 000000 7f" },
	{ WIRE_P_IDR, WIRE_OK, "03 000000 614062" },
	{ WIRE_P_IDR, WIRE_F_ID, "09 000000 30" },
	{ WIRE_P_IDR, WIRE_OK, "09 000000 3000" },
	{ WIRE_P_IDR, WIRE_F_ID, "0a 000000 30" },
	{ WIRE_P_IDR, WIRE_F_ID, "0b 000000" },
	{ WIRE_P_IDR, WIRE_OK, "0b 000000 00" },
	{ WIRE_P_IDR, WIRE_OK, "0d 000000" },
	{ WIRE_P_IDR, WIRE_F_ID, "0d 000000 00" },
	{ WIRE_P_IDR, WIRE_OK, "c9 000000" },
	/* certificates */
	{ WIRE_P_CERT, WIRE_F_CERT, "" },
	{ WIRE_P_CERT, WIRE_F_CERT, "04" },
	{ WIRE_P_CERT, WIRE_OK, "04 30" },
	{ WIRE_P_CERTREQ, WIRE_F_CERTREQ, "" },
	{ WIRE_P_CERTREQ, WIRE_OK, "04" },
	{ WIRE_P_CERTREQ, WIRE_OK, "04" KEY20 },
	{ WIRE_P_CERTREQ, WIRE_OK, "04" KEY20 KEY20 },
	{ WIRE_P_CERTREQ, WIRE_F_CERTREQ, "04" KEY20 "00" },
	{ WIRE_P_CERTREQ, WIRE_F_CERTREQ, "0c 00" },
	{ WIRE_P_CERTREQ, WIRE_F_CERTREQ, "0d 00" },
	{ WIRE_P_CERTREQ, WIRE_OK, "01 00" },
	/* AUTH */
	{ WIRE_P_AUTH, WIRE_F_AUTH, "02 0000" },
	{ WIRE_P_AUTH, WIRE_F_AUTH, "02 000000" },
	{ WIRE_P_AUTH, WIRE_OK, "02 ffffff 00" },
	/* nonces are 16 bytes at least; for the other end see limits */
	{ WIRE_P_NONCE, WIRE_F_NONCE, "" },
	{ WIRE_P_NONCE, WIRE_F_NONCE, "000102030405060708090a0b0c0d0e" },
	{ WIRE_P_NONCE, WIRE_OK, NONCE16 },
	/* notifies: SPI sizes by protocol */
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 40" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 4000" },
	{ WIRE_P_NOTIFY, WIRE_OK, "01 00 4000" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "01 08 4000 0102030405060708" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "03 05 4000 0102030405" },
	{ WIRE_P_NOTIFY, WIRE_OK, "02 04 4000 01020304" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "03 04 4000 010203" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 ff 4000" },
	/* unknown types may hold anything */
	{ WIRE_P_NOTIFY, WIRE_OK, "c8 02 fffe 0102 030405" },
	/* REKEY_SA and CHILD_SA_NOT_FOUND name an SA */
	{ WIRE_P_NOTIFY, WIRE_OK, "03 04 4009 01020304" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "03 00 4009" },
	{ WIRE_P_NOTIFY, WIRE_OK, "03 04 002c 01020304" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "03 00 002c" },
	/* COOKIE: 1 to 64 bytes */
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 4006" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 4006 00" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 4006" NONCE16 NONCE16 NONCE16 NONCE16 },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 4006" NONCE16 NONCE16 NONCE16 NONCE16 "00" },
	/* INVALID_KE_PAYLOAD: a group; UNSUPPORTED_CRITICAL_PAYLOAD: a type */
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 0011 00" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 0011 001f" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 0011 001f00" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 0001" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 0001 81" },
	/* NAT detection: SHA-1; window size: 4 bytes; hash algorithms: pairs of bytes */
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 4004" NONCE16 },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 4004" KEY20 },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 4005" KEY20 "00" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 4001 000001" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 4001 00000001" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 402f" },
	{ WIRE_P_NOTIFY, WIRE_F_NOTIFY, "00 00 402f 000200" },
	{ WIRE_P_NOTIFY, WIRE_OK, "00 00 402f 0002" },
	/* deletes */
	{ WIRE_P_DELETE, WIRE_F_DELETE, "01 00 00" },
	{ WIRE_P_DELETE, WIRE_OK, "01 00 0000" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "01 00 0001" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "01 08 0001 0102030405060708" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "03 04 0000" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "03 00 0000" },
	{ WIRE_P_DELETE, WIRE_OK, "02 04 0001 01020304" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "03 08 0001 0102030405060708" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "00 00 0000" },
	{ WIRE_P_DELETE, WIRE_F_DELETE, "04 04 0001 01020304" },
	/* vendor ids may be anything */
	{ WIRE_P_VENDOR, WIRE_OK, "" },
	/* traffic selectors: none, reserved bytes, an unknown type and nothing else */
	{ WIRE_P_TSI, WIRE_F_TS, "00 000000" },
	{ WIRE_P_TSI, WIRE_F_TS, "00 000000" TS4 },
	{ WIRE_P_TSI, WIRE_OK, "01 ffffff" TS4 },
	{ WIRE_P_TSI, WIRE_OK, "01 000000 09 00 0004" },
	{ WIRE_P_TSI, WIRE_F_TS, "01 000000 09 00 0003" },
	{ WIRE_P_TSI, WIRE_F_TS, "01 000000 09 00 0005" },
	/* addresses and ports that run backwards, except the one that means OPAQUE */
	{ WIRE_P_TSR, WIRE_OK, "01 000000 07 06 0010 0050 0050 0a010000 0a010000" },
	{ WIRE_P_TSR, WIRE_F_TS, "01 000000 07 06 0010 0050 0050 0a010001 0a010000" },
	{ WIRE_P_TSR, WIRE_F_TS, "01 000000 07 06 0010 0051 0050 0a010000 0a010000" },
	{ WIRE_P_TSR, WIRE_OK, "01 000000 07 06 0010 ffff 0000 0a010000 0a010000" },
	{ WIRE_P_TSR, WIRE_F_TS, "01 000000 07 06 0010 ffff 0001 0a010000 0a010000" },
	/* a selector longer than its type's; an IPv6 one of IPv4's size and the other way round */
	{ WIRE_P_TSR, WIRE_F_TS, "01 000000 07 06 0011 0050 0050 0a010000 0a010000 00" },
	{ WIRE_P_TSR, WIRE_F_TS, "01 000000 08 06 0010 0050 0050 0a010000 0a010000" },
	{ WIRE_P_TSR, WIRE_F_TS,
	  "01 000000 07 06 0028 01bb 01bb"
	  "20010db8000000000000000000000000 20010db800000000000000000000ffff" },
	/* configuration: no attributes, half an attribute, reserved bits */
	{ WIRE_P_CP, WIRE_F_CP, "01 0000" },
	{ WIRE_P_CP, WIRE_OK, "01 ffffff" },
	{ WIRE_P_CP, WIRE_F_CP, "01 000000 0001" },
	{ WIRE_P_CP, WIRE_OK, "01 000000 8001 0000" },
	{ WIRE_P_CP, WIRE_F_CP, "01 000000 0001 ffff 00" },
	/* and one that is longer than its definition; of others that is nobody's business */
	{ WIRE_P_CP, WIRE_F_CP, "01 000000 0001 0005 0a00000100" },
	{ WIRE_P_CP, WIRE_OK, "01 000000 5ba0 0005 0a00000100" },
	/* a puzzle's solution: four keys of one length, at least one byte each */
	{ WIRE_P_PS, WIRE_F_PS, "" },
	{ WIRE_P_PS, WIRE_F_PS, "010203" },
	{ WIRE_P_PS, WIRE_OK, "01020304" },
	{ WIRE_P_PS, WIRE_F_PS, "0102030405" },
	{ WIRE_P_PS, WIRE_OK, "0102030405060708" },
	/* EAP: codes and their lengths */
	{ WIRE_P_EAP, WIRE_F_EAP, "01 00 00" },
	{ WIRE_P_EAP, WIRE_F_EAP, "01 00 0004" },
	{ WIRE_P_EAP, WIRE_OK, "02 00 0005 01" },
	{ WIRE_P_EAP, WIRE_OK, "03 00 0004" },
	{ WIRE_P_EAP, WIRE_F_EAP, "04 00 0005 01" },
	{ WIRE_P_EAP, WIRE_F_EAP, "00 00 0004" },
	{ WIRE_P_EAP, WIRE_F_EAP, "05 00 0005 01" },
	{ WIRE_P_EAP, WIRE_F_EAP, "02 00 0006 01" },
};

/* The payload with a generic header before it. */
static struct bytes with_header(uint8_t next, struct bytes body)
{
	uint8_t *p = hold(4 + body.n);

	p[0] = next;
	p[1] = 0;
	store_be16(p + 2, (uint16_t)(4 + body.n));
	if (body.n)
		memcpy(p + 4, body.p, body.n);
	return bytes_of(p, 4 + body.n);
}

static void S2_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(body_rows); i++) {
		const struct body_row *r = &body_rows[i];
		struct bytes b = with_header(0, hex(r->body));

		assert_fault(inner_fault(r->type, b), r->fault, r->body);
	}
}

/* S2: types below 33 are nobody's (section 3.2), so unknown like any other. */
static void S2_low_payload_types_are_unknown(void **state)
{
	struct wire_payloads p;

	(void)state;
	inner_ok(1, hex("20 00 0008 00000000 00 80 0004"), &p);
	assert_int_equal(p.unknown_critical, 0x20);
	assert_true(p.present == 0);
}

/* S2: what may occur once may not occur twice. */
static void S2_repeated_payloads(void **state)
{
	static const struct {
		uint8_t type;
		bool may_repeat;
		const char *body;
	} rows[] = {
		{ WIRE_P_SA, false, "00 00 0010 01 01 00 01" TRANSFORM },
		{ WIRE_P_KE, false, "001f 0000 aa" },
		{ WIRE_P_IDI, false, "02 000000 61" },
		{ WIRE_P_IDR, false, "02 000000 61" },
		{ WIRE_P_CERT, true, "04 30" },
		{ WIRE_P_CERTREQ, true, "04" },
		{ WIRE_P_AUTH, false, "02 000000 00" },
		{ WIRE_P_NONCE, false, NONCE16 },
		{ WIRE_P_NOTIFY, true, "00 00 4000" },
		{ WIRE_P_DELETE, true, "01 00 0000" },
		{ WIRE_P_VENDOR, true, "00" },
		{ WIRE_P_TSI, false, "01 000000" TS4 },
		{ WIRE_P_TSR, false, "01 000000" TS4 },
		{ WIRE_P_CP, false, "01 000000" },
		{ WIRE_P_EAP, false, "03 00 0004" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes one = with_header(rows[i].type, hex(rows[i].body));
		uint8_t *two = hold(2 * one.n);

		memcpy(two, one.p, one.n);
		memcpy(two + one.n, one.p, one.n);
		two[one.n] = WIRE_P_NONE;
		assert_fault(inner_fault(rows[i].type, bytes_of(two, 2 * one.n)),
			     rows[i].may_repeat ? WIRE_OK : WIRE_F_REPEATED, rows[i].body);
	}
}

/* The plaintext of `n` payloads of this type with this body. */
static struct bytes many(uint8_t type, struct bytes body, size_t n)
{
	uint8_t *p = hold(n * (4 + body.n));

	for (size_t i = 0; i < n; i++) {
		struct bytes one = with_header(i + 1 < n ? type : 0, body);

		memcpy(p + i * one.n, one.p, one.n);
		drop_last_held();
	}
	return bytes_of(p, n * (4 + body.n));
}

static void S2_counts_of_payloads(void **state)
{
	static const struct {
		uint8_t type;
		size_t most;
		const char *body;
	} rows[] = {
		{ WIRE_P_CERT, WIRE_MAX_CERTS, "04 30" },
		{ WIRE_P_CERTREQ, WIRE_MAX_CERTREQS, "04" },
		{ WIRE_P_NOTIFY, WIRE_MAX_NOTIFIES, "00 00 4000" },
		{ WIRE_P_VENDOR, WIRE_MAX_VENDORS, "" },
		{ WIRE_P_DELETE, WIRE_MAX_DELETES, "01 00 0000" },
		{ 222, WIRE_MAX_PAYLOADS, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes body = hex(rows[i].body);

		assert_fault(inner_fault(rows[i].type, many(rows[i].type, body, rows[i].most)),
			     WIRE_OK, "most");
		assert_fault(inner_fault(rows[i].type, many(rows[i].type, body, rows[i].most + 1)),
			     WIRE_F_LIMIT, "one more");
	}
}

/* Writes a chain of one SA with `n` proposals of `m` transforms. */
static struct bytes sa_chain(size_t n, size_t m)
{
	static struct wire_transform ts[256];
	static struct wire_proposal ps[64];
	static uint8_t buf[65536];
	const struct wire_hdr h = { .version = WIRE_IKE_VERSION };
	struct wire_out o;
	struct bytes msg;

	for (size_t i = 0; i < n; i++)
		ps[i] = (struct wire_proposal){
			(uint8_t)(i + 1), WIRE_PROTO_IKE, { NULL, 0 }, ts, m
		};
	wire_ike_begin(&o, buf, sizeof(buf), &h);
	wire_put_sa(&o, &(const struct wire_sa){ ps, n });
	assert_int_equal(wire_ike_end(&o, &msg), ST_OK);
	return bytes_of(msg.p + WIRE_IKE_HDR_LEN, msg.n - WIRE_IKE_HDR_LEN);
}

static void S2_counts_inside_an_sa(void **state)
{
	(void)state;
	assert_fault(inner_fault(WIRE_P_SA, sa_chain(WIRE_MAX_PROPOSALS, 1)), WIRE_OK, "proposals");
	assert_fault(inner_fault(WIRE_P_SA, sa_chain(WIRE_MAX_PROPOSALS + 1, 1)), WIRE_F_LIMIT,
		     "proposals");
	assert_fault(inner_fault(WIRE_P_SA, sa_chain(1, WIRE_MAX_TRANSFORMS)), WIRE_OK,
		     "transforms");
	assert_fault(inner_fault(WIRE_P_SA, sa_chain(1, WIRE_MAX_TRANSFORMS + 1)), WIRE_F_LIMIT,
		     "transforms");
	assert_fault(inner_fault(WIRE_P_SA, sa_chain(32, WIRE_MAX_TRANSFORMS / 32)), WIRE_OK,
		     "transforms of many proposals");
	assert_fault(inner_fault(WIRE_P_SA, sa_chain(2, WIRE_MAX_TRANSFORMS / 2 + 1)), WIRE_F_LIMIT,
		     "transforms of two proposals");
}

static void S2_counts_inside_other_payloads(void **state)
{
	static const struct {
		uint8_t type;
		const char *head;
		const char *each;
		size_t n;
		enum wire_fault fault;
	} rows[] = {
		{ WIRE_P_TSI, "40 000000", TS4, WIRE_MAX_TS, WIRE_OK },
		{ WIRE_P_TSI, "41 000000", TS4, WIRE_MAX_TS + 1, WIRE_F_LIMIT },
		{ WIRE_P_DELETE, "03 04 0040", "01020304", WIRE_MAX_DELETE_SPIS, WIRE_OK },
		{ WIRE_P_DELETE, "03 04 0041", "01020304", WIRE_MAX_DELETE_SPIS + 1, WIRE_F_LIMIT },
		{ WIRE_P_NONCE, "00", "00", WIRE_MAX_NONCE - 1, WIRE_OK },
		{ WIRE_P_NONCE, "00", "00", WIRE_MAX_NONCE, WIRE_F_NONCE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes head = hex(rows[i].head);
		struct bytes each = hex(rows[i].each);
		uint8_t *p = hold(head.n + rows[i].n * each.n);

		memcpy(p, head.p, head.n);
		for (size_t j = 0; j < rows[i].n; j++)
			memcpy(p + head.n + j * each.n, each.p, each.n);
		assert_fault(inner_fault(rows[i].type,
					 with_header(0, bytes_of(p, head.n + rows[i].n * each.n))),
			     rows[i].fault, rows[i].head);
	}
}

/* Every allocation fails once; nothing is left and the result is not touched. */
static void memory_runs_out(void **state)
{
	struct bytes b = hex(auth_request);
	struct counting c;
	struct alloc mem = counting_mem(&c, -1);
	enum wire_fault fault = WIRE_OK;
	struct wire_payloads p;
	struct arena a;
	size_t needed;

	(void)state;
	arena_init(&a, &mem, 1 << 20);
	assert_int_equal(wire_ike_parse_inner(&a, WIRE_P_IDI, b, &p, &fault), ST_OK);
	needed = a.used;
	arena_done(&a);
	for (size_t limit = 0; limit < needed; limit++) {
		fault = WIRE_OK;
		arena_init(&a, &mem, limit);
		assert_int_equal(wire_ike_parse_inner(&a, WIRE_P_IDI, b, &p, &fault), ST_DROP);
		assert_fault(fault, WIRE_F_NOMEM, "limit");
		arena_done(&a);
	}
	mem = counting_mem(&c, 0);
	arena_init(&a, &mem, 1 << 20);
	assert_int_equal(wire_ike_parse_inner(&a, WIRE_P_IDI, b, &p, &fault), ST_DROP);
	arena_done(&a);
	assert_int_equal(c.live, 0);
}

static void S2_sk_is_last_and_alone(void **state)
{
	static const struct {
		enum wire_fault fault;
		const char *msg;
	} rows[] = {
		{ WIRE_OK, HDR_TO "2e 20 23 08 00000001 00000021 00 00 0005 aa" },
		/* without a byte of ciphertext */
		{ WIRE_F_SK, HDR_TO "2e 20 23 08 00000001 00000020 00 00 0004" },
		/* bytes behind it, a payload behind it */
		{ WIRE_F_SK_LAST, HDR_TO "2e 20 23 08 00000001 00000022 00 00 0005 aa 00" },
		{ WIRE_F_SK_LAST, HDR_TO "2e 20 23 08 00000001 00000025 2b 00 0005 aa 00 00 0004" },
		/* past the end */
		{ WIRE_F_CHAIN, HDR_TO "2e 20 23 08 00000001 00000021 00 00 0006 aa" },
		/* SKF: number 1 of 1, 2 of 2; zero; more than there are; too short */
		{ WIRE_OK, HDR_TO "35 20 23 08 00000001 00000025 29 00 0009 0001 0001 aa" },
		{ WIRE_OK, HDR_TO "35 20 23 08 00000001 00000025 00 00 0009 0002 0002 aa" },
		{ WIRE_F_FRAGMENT, HDR_TO "35 20 23 08 00000001 00000025 00 00 0009 0000 0001 aa" },
		{ WIRE_F_FRAGMENT, HDR_TO "35 20 23 08 00000001 00000025 00 00 0009 0000 0000 aa" },
		{ WIRE_F_FRAGMENT, HDR_TO "35 20 23 08 00000001 00000025 00 00 0009 0003 0002 aa" },
		{ WIRE_F_SK, HDR_TO "35 20 23 08 00000001 00000024 00 00 0008 0001 0001" },
		{ WIRE_F_SK_LAST,
		  HDR_TO "35 20 23 08 00000001 00000026 29 00 0009 0001 0001 aa 00" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_fault(msg_fault(hex(rows[i].msg)), rows[i].fault, rows[i].msg);
	assert_fault(inner_fault(WIRE_P_SK, hex("00 00 0005 aa")), WIRE_F_SK_LAST, "SK in SK");
	assert_fault(inner_fault(WIRE_P_SKF, hex("00 00 0009 0001 0001 aa")), WIRE_F_SK_LAST,
		     "SKF in SK");
}

static void S2_unpad(void **state)
{
	static const struct {
		const char *plain;
		enum status st;
		size_t n;
	} rows[] = {
		{ "", ST_DROP, 0 },         { "00", ST_OK, 0 },       { "01", ST_DROP, 0 },
		{ "0001", ST_OK, 0 },       { "0002", ST_DROP, 0 },   { "aa00", ST_OK, 1 },
		{ "aabbccff", ST_DROP, 0 }, { "aabbcc03", ST_OK, 0 }, { "aabbcc02", ST_OK, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes got = { NULL, 77 };

		assert_int_equal(wire_ike_unpad(hex(rows[i].plain), &got), rows[i].st);
		assert_int_equal(got.n, rows[i].st == ST_OK ? rows[i].n : 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(S2_every_prefix_of_a_message_is_refused),
		TEST(S2_payloads_shorter_than_their_header_are_refused),
		TEST(S2_trailing_bytes_are_refused),
		TEST(S2_versions),
		TEST(S2_every_prefix_of_a_chain_is_refused),
		TEST(S2_every_length_off_by_one_is_refused),
		TEST(S2_bodies),
		TEST(S2_low_payload_types_are_unknown),
		TEST(S2_repeated_payloads),
		TEST(S2_counts_of_payloads),
		TEST(S2_counts_inside_an_sa),
		TEST(S2_counts_inside_other_payloads),
		TEST(memory_runs_out),
		TEST(S2_sk_is_last_and_alone),
		TEST(S2_unpad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
