/*
 * esp.h - ESP per-SA packet logic (RFC 4303): sequence numbers, replay window, framing.
 *
 * Pure: no sockets, no threads, no clock; cipher work is described as `struct bulk_op` for the
 * caller to run in batches, so that one call covers packets of many SAs.
 *
 *	outbound:  esp_out_reserve() -> esp_seal_prepare() per packet -> bulk_seal()
 *	inbound:   esp_in_prepare() (window test, changes nothing) -> bulk_open() ->
 *		   esp_in_finish() (window update, trailer, inner packet) -> esp_in_check()
 *
 * `struct esp_out` may be used by several threads: its sequence counter is atomic and reserved per
 * batch.  `struct esp_in` has one owner thread at a time.
 *
 * Nonces never repeat: the IV of an AEAD is the 64-bit sequence number itself (RFC 4106 section 3.1
 * and RFC 7634 section 2 ask for uniqueness only), so a sequence number handed out twice would be
 * fatal and is impossible by construction; reservation stops before 2^32 without ESN, 2^64 with.
 * CBC's IV, which nobody may foretell, is made of the same number by bulk/.
 *
 * A packet as esp_seal_prepare() lays it out, with an AEAD and with CBC and an HMAC:
 *
 *	+-----+--------+----+---------------+-----+---------+------+-----+
 *	| SPI | seq lo | IV | inner packet  | pad | pad len | next | ICV |
 *	+-----+--------+----+---------------+-----+---------+------+-----+
 *	 4     4        8    n               0-3   1         1      16		AEAD
 *	 4     4        16   n               0-15  1         1      16-32	CBC
 *	|<---- head ------->|               |<------ up to ESP_TAIL_MAX ->|
 */
#pragma once

#include "base/base.h"
#include "crypto/bulk/bulk.h"
#include "wire/ike/wire_ike.h"
#include "wire/ip/wire_ip.h"

enum {
	ESP_HDR_LEN = 8,
	ESP_IV_LEN = 8, /* of an AEAD */
	ESP_SALT_LEN = 4, /* RFC 4106 section 8.1: behind the key in the keying material */
	ESP_HEAD_MAX = ESP_HDR_LEN + BULK_CBC_IV,
	ESP_TAIL_MAX = 15 + 2 + BULK_ICV_MAX,
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

/* What a cipher puts around an inner packet. */
struct esp_shape {
	uint8_t head; /* ESP header and IV */
	uint8_t align; /* inner packet, padding and trailer are a multiple of it */
	uint8_t icv;
};

/* RFC 4303 section 2.4: at least to four bytes.  Zeros for no cipher. */
struct esp_shape esp_shape_of(struct crypto_cipher cipher);

/* Bytes on the wire, from the SPI to the ICV, of an inner packet of `n` bytes. */
static inline size_t esp_size(const struct esp_shape *s, size_t n)
{
	return s->head + ((n + 2 + s->align - 1) & ~(size_t)(s->align - 1)) + s->icv;
}

/* Largest inner packet whose ESP packet has at most `room` bytes; 0 when none has. */
static inline size_t esp_inner_max(const struct esp_shape *s, size_t room)
{
	size_t around = (size_t)s->head + s->icv;

	return room < around + s->align ? 0 : ((room - around) & ~(size_t)(s->align - 1)) - 2;
}

/* ---- selectors --------------------------------------------------------------------------- */

/*
 * The traffic selectors of one SA or trap, copied into a form that is quick to match.  A packet
 * matches when its source lies in one list and its destination in the other, ports and protocol
 * included (RFC 4301 section 4.4.1.1, RFC 7296 section 2.9).  What a packet does not say (ports
 * of a later fragment, the protocol behind a cut header) matches only selectors that leave it
 * open or ask for OPAQUE.
 */
struct esp_ts;

MUST enum status esp_ts_new(const struct alloc *mem, const struct wire_ts_list *local,
			    const struct wire_ts_list *remote, struct esp_ts **ret_ts);
void esp_ts_free(struct esp_ts *ts);
bool esp_ts_match_out(const struct esp_ts *ts, const struct wire_ip *ip); /* local -> remote */
bool esp_ts_match_in(const struct esp_ts *ts, const struct wire_ip *ip); /* remote -> local */

/* ---- outbound ---------------------------------------------------------------------------- */

struct esp_out;

MUST enum status esp_out_new(const struct alloc *mem, uint32_t spi, const struct esp_keys *keys,
			     bool esn, struct esp_out **ret_out);
void esp_out_free(struct esp_out *o);
uint32_t esp_out_spi(const struct esp_out *o);
const struct esp_shape *esp_out_shape(const struct esp_out *o);

/* Reserves up to `n` consecutive sequence numbers; returns how many there were (0: exhausted, the
 * SA must be replaced) and the first of them. */
size_t esp_out_reserve(struct esp_out *o, size_t n, uint64_t *ret_first);
/* Highest number handed out so far, for lifetimes and status. */
uint64_t esp_out_seq(const struct esp_out *o);
/* Continues behind `seq` (takeover of a counter reserved elsewhere); never goes back. */
void esp_out_advance(struct esp_out *o, uint64_t seq);

/* Frames the inner packet of `n` bytes at `inner`, around which the bytes of the SA's shape are
 * free, and describes the sealing in `*op`.  The ESP packet begins `head` bytes before `inner` and
 * has esp_size(n) bytes. */
void esp_seal_prepare(const struct esp_out *o, uint64_t seq, uint8_t next_header, uint8_t *inner,
		      size_t n, struct bulk_op *op);

/* ---- inbound ----------------------------------------------------------------------------- */

struct esp_in;

/* Why an inbound packet was refused: counter `esp.rx.<name>`. */
enum esp_fault {
	ESP_OK = 0,
	ESP_F_SHORT, /* less than header, IV, trailer and ICV; or no multiple of the block */
	ESP_F_SEQ_ZERO, /* section 3.3.3: the first packet has 1 */
	ESP_F_REPLAY, /* seen before */
	ESP_F_OLD, /* left of the window */
	ESP_F_AUTH, /* ICV */
	ESP_F_PADDING, /* trailer: pad length past the packet, pad bytes not 1,2,3,… */
	ESP_F_NEXT, /* next header is neither IPv4 nor IPv6 nor none */
	ESP_F_INNER, /* inner packet malformed, or not of the family the next header says */
	ESP_F_SELECTOR, /* inner packet outside the SA's selectors (RFC 4301 section 5.2) */
	ESP_F_DUMMY, /* next header 59: not a fault, but nothing to deliver */
	ESP_F_NOT_DIRECT, /* relayed by the peer, which must not: the data plane's word */
	ESP_FAULTS,
};

const char *esp_fault_name(enum esp_fault f);

/* `window` in packets, a multiple of 64, at most ESP_WINDOW_MAX; ST_INVAL otherwise. */
MUST enum status esp_in_new(const struct alloc *mem, uint32_t spi, const struct esp_keys *keys,
			    bool esn, unsigned window, struct esp_in **ret_in);
void esp_in_free(struct esp_in *in);
uint32_t esp_in_spi(const struct esp_in *in);

/* What prepare learnt and finish needs. */
struct esp_in_pkt {
	uint64_t seq; /* with the inferred high half (RFC 4303 appendix A2) */
	uint8_t *plain;
	uint32_t plain_len; /* with trailer */
};

/* Tests the window without changing it and describes the opening; `packet` is decrypted in place.
 */
enum esp_fault esp_in_prepare(const struct esp_in *in, uint8_t *packet, size_t n,
			      struct esp_in_pkt *pkt, struct bulk_op *op);

/* After bulk_open(): tests the window again (two packets of one batch may carry one number),
 * updates it, strips the trailer and parses the inner packet, which is a view into the datagram
 * without any traffic-flow padding (section 2.7). */
enum esp_fault esp_in_finish(struct esp_in *in, const struct esp_in_pkt *pkt, bool authentic,
			     struct wire_ip *ret_ip, struct bytes *ret_inner);

/* The check of RFC 4301 section 5.2: ESP_OK or ESP_F_SELECTOR. */
enum esp_fault esp_in_check(const struct esp_ts *ts, const struct wire_ip *ip);

uint64_t esp_in_seq(const struct esp_in *in); /* right edge of the window */

/* ---- replay window, also on its own for tests and group SAs ------------------------------- */

/* Bit seq mod ESP_WINDOW_MAX says whether `seq` was seen, for every number from top - size + 1 to
 * top; all other bits are zero or stale, never asked. */
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
