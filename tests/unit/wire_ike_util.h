/*
 * wire_ike_util.h - what the tests of the IKE codec share: bytes from hex, parsers that check that
 * a refusal changes nothing, and two messages computed by hand from the figures of RFC 7296
 * section 3.
 */
#pragma once

#include "test_util.h"

#include "hex.h"

#include "wire/ike/wire_ike.h"

static struct arena ar;
static void *held[512];
static size_t n_held;

static inline int setup(void **state)
{
	(void)state;
	arena_init(&ar, &mem_libc, 1 << 20);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	arena_done(&ar);
	while (n_held)
		free(held[--n_held]);
	return 0;
}

/* A block of exactly that size, so that a sanitizer sees a read past its end. */
static inline uint8_t *hold(size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	assert_non_null(p);
	assert_true(n_held < ARRAY_LEN(held));
	held[n_held++] = p;
	return p;
}

static inline void drop_last_held(void)
{
	free(held[--n_held]);
}

/* Hex digits; spaces are for the reader. */
static inline struct bytes hex(const char *s)
{
	uint8_t *p = hold(strlen(s) / 2);
	size_t digits = hex_decode(s, p);

	assert_int_equal(digits % 2, 0);
	return bytes_of(p, digits / 2);
}

static inline uint8_t *copy_of(struct bytes b)
{
	uint8_t *p = hold(b.n);

	if (b.n)
		memcpy(p, b.p, b.n);
	return p;
}

static inline void assert_bytes(struct bytes got, struct bytes want)
{
	assert_int_equal(got.n, want.n);
	if (want.n)
		assert_memory_equal(got.p, want.p, want.n);
}

static inline void assert_hex(struct bytes got, const char *want)
{
	assert_bytes(got, hex(want));
}

/* The fault of a chain, WIRE_OK when it is accepted.  A refusal must leave the result alone. */
static inline enum wire_fault inner_fault(uint8_t first, struct bytes plain)
{
	struct wire_payloads out;
	struct wire_payloads before;
	enum wire_fault fault = WIRE_OK;

	memset(&out, 0x5a, sizeof(out));
	memcpy(&before, &out, sizeof(out));
	switch (wire_ike_parse_inner(&ar, first, plain, &out, &fault)) {
	case ST_OK: assert_int_equal(fault, WIRE_OK); break;
	case ST_DROP:
		assert_int_not_equal(fault, WIRE_OK);
		assert_memory_equal(&out, &before, sizeof(out));
		break;
	default: fail_msg("neither taken nor dropped");
	}
	return fault;
}

static inline enum wire_fault msg_fault(struct bytes datagram)
{
	struct wire_ike_msg out;
	struct wire_ike_msg before;
	enum wire_fault fault = WIRE_OK;

	memset(&out, 0x5a, sizeof(out));
	memcpy(&before, &out, sizeof(out));
	switch (wire_ike_parse(&ar, datagram, &out, &fault)) {
	case ST_OK: assert_int_equal(fault, WIRE_OK); break;
	case ST_DROP:
		assert_int_not_equal(fault, WIRE_OK);
		assert_memory_equal(&out, &before, sizeof(out));
		break;
	default: fail_msg("neither taken nor dropped");
	}
	return fault;
}

static inline void assert_fault(enum wire_fault got, enum wire_fault want, const char *what)
{
	if (got != want)
		fail_msg("%s: %s, not %s", what, wire_fault_name(got), wire_fault_name(want));
}

static inline void parse_ok(struct bytes datagram, struct wire_ike_msg *ret_msg)
{
	enum wire_fault fault = WIRE_OK;

	assert_int_equal(wire_ike_parse(&ar, datagram, ret_msg, &fault), ST_OK);
	assert_int_equal(fault, WIRE_OK);
}

static inline void inner_ok(uint8_t first, struct bytes plain, struct wire_payloads *ret_inner)
{
	enum wire_fault fault = WIRE_OK;

	assert_int_equal(wire_ike_parse_inner(&ar, first, plain, ret_inner, &fault), ST_OK);
}

/* 28 + 84 + 40 + 20 + 28 + 28 + 14 + 8 = 250 bytes. */
static const char init_request[] =
	"0102030405060708 0000000000000000 21 20 22 08 00000000 000000fa"
	/* SA: proposal 1 (AES-GCM-16 with 256 bits, HMAC-SHA-256, X25519 or P-256), proposal 2
	 * (AES-GCM-16 with 128 bits, HMAC-SHA-384, P-384) */
	"22 00 0054"
	"  02 00 002c 01 01 00 04"
	"    03 00 000c 01 00 0014 800e 0100"
	"    03 00 0008 02 00 0005"
	"    03 00 0008 04 00 001f"
	"    00 00 0008 04 00 0013"
	"  00 00 0024 02 01 00 03"
	"    03 00 000c 01 00 0014 800e 0080"
	"    03 00 0008 02 00 0006"
	"    00 00 0008 04 00 0014"
	/* KE for X25519 */
	"28 00 0028 001f 0000"
	"  000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	/* Ni */
	"29 00 0014 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
	/* N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP) */
	"29 00 001c 00 00 4004 1111111111111111111111111111111111111111"
	"29 00 001c 00 00 4005 2222222222222222222222222222222222222222"
	/* N(SIGNATURE_HASH_ALGORITHMS): SHA-256, SHA-384, SHA-512 */
	"2b 00 000e 00 00 402f 0002 0003 0004"
	/* V */
	"00 00 0008 deadbeef";

static const char auth_request[] =
	/* IDi: FQDN a.example */
	"25 00 0011 02 000000 612e6578616d706c65"
	/* CERT, CERTREQ */
	"26 00 000a 04 3003020105"
	"24 00 0019 04 c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3"
	/* IDr: 192.0.2.1; AUTH by signature */
	"27 00 000c 01 000000 c0000201"
	"2f 00 000c 0e 000000 aabbccdd"
	/* CP(CFG_REQUEST): any IPv4 address, one DNS server */
	"21 00 0014 01 000000 0001 0000 0003 0004 0a000001"
	/* SA: ESP, AES-GCM-16 with 128 bits, no ESN */
	"2c 00 0024 00 00 0020 01 03 04 02 c1c2c3c4"
	"    03 00 000c 01 00 0014 800e 0080"
	"    00 00 0008 05 00 0000"
	/* TSi: 10.1.0.0/16, and TCP port 443 of 2001:db8::/112 */
	"2d 00 0040 02 000000"
	"  07 00 0010 0000 ffff 0a010000 0a01ffff"
	"  08 06 0028 01bb 01bb 20010db8000000000000000000000000 20010db800000000000000000000ffff"
	/* TSr: UDP of 10.0.0.0/8 with ports OPAQUE, and a selector of a type unknown to us */
	"29 00 0020 02 000000"
	"  07 11 0010 ffff 0000 0a000000 0affffff"
	"  0a 00 0008 01020304"
	/* N(INITIAL_CONTACT), N(REKEY_SA) */
	"29 00 0008 00 00 4000"
	"2a 00 000c 03 04 4009 b1b2b3b4"
	/* D: two ESP SPIs; EAP: an identity request */
	"30 00 0010 03 04 0002 d1d2d3d4 e1e2e3e4"
	"80 00 000a 01 07 0006 01 41"
	/* two unknown payloads, the second critical; a vendor id */
	"81 00 0006 0102"
	"2b 80 0005 01"
	"00 00 0004";

/* Both SPIs of a header. */
#define HDR_TO "0102030405060708 1112131415161718"

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
