/*
 * esp.h - ESP per-SA packet logic (RFC 4303): sequence numbers, replay window, framing.
 *
 * Pure: no sockets, no threads, no clock; AEAD work is described as `struct bulk_op` for the caller
 * to run in batches, so that one call covers packets of many SAs.
 *
 *	outbound:  esp_out_reserve() -> esp_seal_prepare() per packet -> bulk_seal()
 *	inbound:   esp_in_prepare() (window test, pure) -> bulk_open() -> esp_in_finish() (window
 *		   update, trailer, next header)
 *
 * Hot state (what a packet touches) is split from cold (what people ask for).  `struct esp_out`
 * may be used by several threads: its sequence counter is atomic and reserved per batch.
 * `struct esp_in` has one owner thread at a time.
 *
 * Nonces never repeat: the IV of a counter-mode SA is the 64-bit sequence number itself (RFC 4106
 * section 3.1 asks for uniqueness only), so a sequence number handed out twice would be fatal and
 * is impossible by construction; reservation stops before 2^32 without ESN, 2^64 with.
 *
 * Sizes: ESP_OVERHEAD_HEAD bytes before the inner packet (header and IV), up to
 * ESP_OVERHEAD_TAIL after it (padding, trailer, ICV).
 */
#pragma once

#include "base/base.h"
#include "crypto/bulk/bulk.h"
#include "policy/policy.h"

enum {
	ESP_HDR_LEN = 8,
	ESP_IV_LEN = 8,
	ESP_ICV_LEN = 16,
	ESP_OVERHEAD_HEAD = ESP_HDR_LEN + ESP_IV_LEN,
	ESP_OVERHEAD_TAIL = 3 + 2 + ESP_ICV_LEN, /* pad to 4, pad length, next header, ICV */
	ESP_WINDOW_DEFAULT = 4096,
	ESP_WINDOW_MAX = 4096,
	ESP_NH_IPV4 = 4, /* next header of tunnel mode */
	ESP_NH_IPV6 = 41,
	ESP_NH_NONE = 59, /* dummy packet: discard silently (RFC 4303 section 2.6) */
};

/* Keys of one direction as the IKE engine derives them: cipher key, then salt. */
struct esp_keys {
	struct crypto_cipher cipher;
	struct secret encr;
	struct secret integ;
};

/* ---- outbound ---------------------------------------------------------------------------- */

struct esp_out;

MUST enum status esp_out_new(const struct alloc *mem, uint32_t spi, const struct esp_keys *keys,
			     bool esn, struct esp_out **ret_out);
void esp_out_free(struct esp_out *o);
uint32_t esp_out_spi(const struct esp_out *o);

/* Reserves up to `n` consecutive sequence numbers; returns how many there were (0: exhausted, the
 * SA must be replaced) and the first of them. */
size_t esp_out_reserve(struct esp_out *o, size_t n, uint64_t *ret_first);
/* Highest number handed out so far, for lifetimes and status. */
uint64_t esp_out_seq(const struct esp_out *o);

/* Frames the inner packet of `n` bytes at `inner`, which has ESP_OVERHEAD_HEAD bytes of room in
 * front and ESP_OVERHEAD_TAIL behind, and describes the sealing in `*op`.  `*ret_packet` is the
 * ESP packet from its SPI on.  Pads to 4 bytes (section 2.4). */
void esp_seal_prepare(const struct esp_out *o, uint64_t seq, uint8_t next_header, uint8_t *inner,
		      size_t n, struct bulk_op *op, struct bytes *ret_packet);

/* ---- inbound ----------------------------------------------------------------------------- */

struct esp_in;

/* Why an inbound packet was refused: counter `esp.rx.<name>`. */
enum esp_fault {
	ESP_OK = 0,
	ESP_F_SHORT,     /* less than header, IV, trailer and ICV; or not a multiple of 4 */
	ESP_F_SEQ_ZERO,  /* section 3.3.3: the first packet has 1 */
	ESP_F_REPLAY,    /* seen before */
	ESP_F_OLD,       /* left of the window */
	ESP_F_AUTH,      /* ICV */
	ESP_F_PADDING,   /* trailer: pad length past the packet, pad bytes not 1,2,3,… */
	ESP_F_NEXT,      /* next header is neither IPv4 nor IPv6 nor none */
	ESP_F_INNER,     /* inner packet malformed or its length not the payload's */
	ESP_F_SELECTOR,  /* inner packet outside the SA's selectors (RFC 4301 section 5.2) */
	ESP_F_DUMMY,     /* next header 59: not a fault, but nothing to deliver */
	ESP_FAULTS,
};

const char *esp_fault_name(enum esp_fault f);

/* `window` in packets, a multiple of 64, at most ESP_WINDOW_MAX. `ts_local` and `ts_remote` are
 * copied. */
MUST enum status esp_in_new(const struct alloc *mem, uint32_t spi, const struct esp_keys *keys,
			    bool esn, unsigned window, const struct wire_ts_list *ts_local,
			    const struct wire_ts_list *ts_remote, struct esp_in **ret_in);
void esp_in_free(struct esp_in *in);
uint32_t esp_in_spi(const struct esp_in *in);

/* What prepare learnt and finish needs. */
struct esp_in_pkt {
	uint64_t seq; /* with the inferred high half (RFC 4303 appendix A2) */
	uint8_t *plain;
	uint32_t plain_len; /* with trailer */
	uint8_t aad[12];    /* SPI and sequence number, 8 or 12 bytes (RFC 4106 section 5) */
};

/* Tests the window without changing it and describes the opening.  `*pkt` must stay in place
 * until bulk_open() ran, `packet` is decrypted in place. */
enum esp_fault esp_in_prepare(const struct esp_in *in, uint8_t *packet, size_t n,
			      struct esp_in_pkt *pkt, struct bulk_op *op);

/* After bulk_open(): tests the window again (two packets of one batch may carry one number),
 * updates it, strips the trailer.  The inner packet is a view into the datagram. */
enum esp_fault esp_in_finish(struct esp_in *in, const struct esp_in_pkt *pkt, bool authentic,
			     uint8_t *ret_next_header, struct bytes *ret_inner);

/* The selector check of RFC 4301 section 5.2 on an inner packet: source within remote, destination
 * within local selectors, protocol and ports too.  Fragments without ports pass only selectors
 * that leave the ports open. */
enum esp_fault esp_in_check(const struct esp_in *in, struct bytes inner);

uint64_t esp_in_seq(const struct esp_in *in); /* right edge of the window */

/* ---- replay window, also on its own for tests and group SAs ------------------------------- */

struct esp_window {
	uint64_t top; /* highest number accepted */
	uint32_t size;
	bool esn;
	uint64_t bits[ESP_WINDOW_MAX / 64];
};

void esp_window_init(struct esp_window *w, unsigned size, bool esn);
/* The full number for the low 32 bits on the wire (appendix A2.2). */
uint64_t esp_window_infer(const struct esp_window *w, uint32_t low);
enum esp_fault esp_window_test(const struct esp_window *w, uint64_t seq);
/* Only for authenticated numbers that esp_window_test() accepts. */
void esp_window_set(struct esp_window *w, uint64_t seq);
