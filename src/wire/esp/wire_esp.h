/*
 * wire_esp.h - ESP framing (RFC 4303) and its sharing of UDP port 4500 with IKE (RFC 3948).
 *
 * A pure codec without keys: it tells the three kinds of datagram on port 4500 apart, reads and
 * writes the clear ESP header, and builds and removes the trailer of a payload that somebody else
 * encrypts.  Views point into the caller's memory.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------------------------------------------------------+
 *	|               Security Parameters Index (SPI)                 |
 *	|                      Sequence Number (low 32 bits)            |
 *	|            IV, if the algorithm has one                       |
 *	|            Payload Data, TFC padding                          |
 *	+               +-----------------------------------------------+
 *	|               |     Padding (0-255 bytes: 1, 2, 3, ...)       |
 *	|               |               |  Pad Length   | Next Header   |
 *	|                       ICV                                     |
 *	+---------------------------------------------------------------+
 */
#pragma once

#include "base/base.h"

#define WIRE_ESP_HDR_LEN 8
#define WIRE_ESP_TRAILER_LEN 2 /* pad length and next header */
#define WIRE_ESP_MIN_SPI 256 /* below: reserved (section 2.1) */
#define WIRE_NON_ESP_MARKER_LEN 4

/* Why a parser refused: each is a counter, see wire_esp_fault_name(). */
enum wire_esp_fault {
	WIRE_ESP_OK = 0,
	WIRE_ESP_F_SHORT, /* shorter than anything that may arrive here */
	WIRE_ESP_F_SPI, /* a reserved SPI, 1 to 255 */
	WIRE_ESP_F_PADDING, /* padding longer than the payload, or not 1, 2, 3, ... */
	WIRE_ESP_FAULTS,
};

/* A stable lower-case name such as "padding", for counters. */
const char *wire_esp_fault_name(enum wire_esp_fault f);

enum wire_udp_kind {
	WIRE_UDP_KEEPALIVE, /* to be ignored (section 2.3 of RFC 3948) */
	WIRE_UDP_IKE, /* body: the IKE message behind the non-ESP marker, perhaps empty */
	WIRE_UDP_ESP, /* body: the whole datagram, at least a header and a trailer */
};

/* What a datagram on port 4500 is (RFC 3948 section 2).  ST_DROP with `*fault` set. */
MUST enum status wire_udp_demux(struct bytes datagram, enum wire_udp_kind *ret_kind,
				struct bytes *ret_body, enum wire_esp_fault *fault);

/* Put these four bytes in front of an IKE message that goes to or from port 4500. */
static inline void wire_udp_put_marker(uint8_t at[static WIRE_NON_ESP_MARKER_LEN])
{
	memset(at, 0, WIRE_NON_ESP_MARKER_LEN);
}

struct wire_esp {
	uint32_t spi;
	uint32_t seq; /* the low 32 bits, when extended sequence numbers are in use */
	struct bytes body; /* behind the header: IV, ciphertext, ICV; at least 4 bytes */
};

/* The clear header of an ESP packet, UDP-encapsulated or raw.  ST_DROP with `*fault` set. */
MUST enum status wire_esp_parse(struct bytes packet, struct wire_esp *ret_esp,
				enum wire_esp_fault *fault);

static inline void wire_esp_put_hdr(uint8_t at[static WIRE_ESP_HDR_LEN], uint32_t spi, uint32_t seq)
{
	store_be32(at, spi);
	store_be32(at + 4, seq);
}

/* How many padding bytes (before pad length and next header) make `payload_len` end on a multiple
 * of the cipher's `block` and of 4 (section 2.4); `block` is a power of two up to 128. */
size_t wire_esp_pad_len(size_t payload_len, size_t block);

/* Writes padding, pad length and next header: pad_len + WIRE_ESP_TRAILER_LEN bytes, pad_len up to
 * 255. */
void wire_esp_put_trailer(uint8_t *at, size_t pad_len, uint8_t next_header);

/* Splits a decrypted packet.  The padding is inspected, as section 2.4 advises.  ST_DROP with
 * `*fault` set.  `ret_payload` may still end in TFC padding: the inner packet knows its length. */
MUST enum status wire_esp_strip_trailer(struct bytes plain, struct bytes *ret_payload,
					uint8_t *ret_next_header, enum wire_esp_fault *fault);
