/*
 * wire_ike.h - IKEv2 messages as values (RFC 7296 section 3).
 *
 * A pure codec: it knows no SA, sends nothing, logs nothing.  A datagram is parsed in two steps,
 * because the second needs keys:
 *
 *	wire_ike_parse()        header and clear payloads; finds SK or SKF, which must be last
 *	   ... caller decrypts ...
 *	wire_ike_parse_inner()  the chain inside SK
 *
 * Both fill a `struct wire_payloads`: every payload decoded, every length checked, every count
 * bounded by wire_limits; nothing is acted on before all of it parsed.  Views point into the
 * datagram (or the plaintext), arrays live in the caller's arena; both must outlive the value.
 *
 * Strictness: lengths, counts and substructure must be exact.  Reserved fields are ignored on
 * receipt and zero on sending (section 3.1, 3.2).  Unknown payload types are skipped unless
 * critical; the first unknown critical one is remembered, not an error, since the answer to it
 * (UNSUPPORTED_CRITICAL_PAYLOAD) is a matter of the exchange.  Unknown transforms, notifies and
 * identification types are kept as numbers; of the known ones SPI and data have the size that their
 * definition says, names hold no control characters, ranges do not run backwards.  A payload that
 * may occur once but occurs twice is an error.  What only an SA can tell is left to its owner:
 * zero or reserved SPIs, the first proposal's number, a KE payload's length for its group.
 *
 * The writer mirrors it: wire_ike_begin(), one call per payload, and for encrypted messages
 * wire_ike_sk_begin() ... wire_ike_sk_end(), which leave the spans an AEAD needs.  A fragment
 * (RFC 7383) has wire_put_fragment() in place of the former and the payloads; the chain it holds a
 * piece of is that of a message with open SK, see wire_ike_inner().
 */
#pragma once

#include "base/base.h"

#define WIRE_IKE_HDR_LEN 28
#define WIRE_IKE_VERSION 0x20 /* major 2, minor 0 */
#define WIRE_PAYLOAD_HDR_LEN 4

/* Section 3.1, IANA "IKEv2 Exchange Types". */
enum wire_exchange {
	WIRE_IKE_SA_INIT = 34,
	WIRE_IKE_AUTH = 35,
	WIRE_CREATE_CHILD_SA = 36,
	WIRE_INFORMATIONAL = 37,
	WIRE_IKE_SESSION_RESUME = 38, /* RFC 5723 */
	WIRE_IKE_INTERMEDIATE = 43, /* RFC 9242 */
	WIRE_IKE_FOLLOWUP_KE = 44, /* RFC 9370 */
	WIRE_SHORTCUT = 241, /* private use: docs/protocol/shortcut.md section 4 */
};

/* Section 3.1 header flags. */
enum wire_flag {
	WIRE_FLAG_INITIATOR = 0x08,
	WIRE_FLAG_VERSION = 0x10,
	WIRE_FLAG_RESPONSE = 0x20,
};

/* Section 3.2, IANA "IKEv2 Payload Types". */
enum wire_payload {
	WIRE_P_NONE = 0,
	WIRE_P_SA = 33,
	WIRE_P_KE = 34,
	WIRE_P_IDI = 35,
	WIRE_P_IDR = 36,
	WIRE_P_CERT = 37,
	WIRE_P_CERTREQ = 38,
	WIRE_P_AUTH = 39,
	WIRE_P_NONCE = 40,
	WIRE_P_NOTIFY = 41,
	WIRE_P_DELETE = 42,
	WIRE_P_VENDOR = 43,
	WIRE_P_TSI = 44,
	WIRE_P_TSR = 45,
	WIRE_P_SK = 46,
	WIRE_P_CP = 47,
	WIRE_P_EAP = 48,
	WIRE_P_SKF = 53, /* RFC 7383 */
	WIRE_P_PS = 54, /* RFC 8019: Puzzle Solution */
};

/* The bit of a payload type in `struct wire_payloads.present` and in exchange tables. */
#define WIRE_BIT(type) (1ULL << (type))

/* Section 3.3.1 protocol ids. */
enum wire_proto {
	WIRE_PROTO_NONE = 0,
	WIRE_PROTO_IKE = 1,
	WIRE_PROTO_AH = 2,
	WIRE_PROTO_ESP = 3,
};

/* Section 3.3.2 transform types. */
enum wire_transform_type {
	WIRE_T_ENCR = 1,
	WIRE_T_PRF = 2,
	WIRE_T_INTEG = 3,
	WIRE_T_KE = 4,
	WIRE_T_ESN = 5,
	WIRE_T_TYPES = 6, /* one past the last type a proposal of ours may hold */
};

/* Section 3.5 identification types. */
enum wire_id_type {
	WIRE_ID_IPV4 = 1,
	WIRE_ID_FQDN = 2,
	WIRE_ID_RFC822 = 3,
	WIRE_ID_IPV6 = 5,
	WIRE_ID_DN = 9,
	WIRE_ID_GN = 10,
	WIRE_ID_KEY = 11,
	WIRE_ID_NULL = 13, /* RFC 7619 */
};

/* Section 3.8 and RFC 7427, authentication methods. */
enum wire_auth_method {
	WIRE_AUTH_RSA = 1,
	WIRE_AUTH_PSK = 2,
	WIRE_AUTH_ECDSA_256 = 9,
	WIRE_AUTH_ECDSA_384 = 10,
	WIRE_AUTH_ECDSA_521 = 11,
	WIRE_AUTH_NULL = 13,
	WIRE_AUTH_SIGNATURE = 14,
};

enum wire_cert_encoding {
	WIRE_CERT_X509 = 4,
	WIRE_CERT_CRL = 7,
	WIRE_CERT_HASH_URL = 12,
	WIRE_CERT_HASH_URL_BUNDLE = 13,
};

/* Section 3.7: a CERTREQ for X.509 lists SHA-1 hashes of the CAs' SubjectPublicKeyInfo. */
#define WIRE_CERTREQ_HASH_LEN 20

/* Section 3.13.1 traffic selector types. */
enum wire_ts_type {
	WIRE_TS_IPV4 = 7,
	WIRE_TS_IPV6 = 8,
};

/* Section 3.10.1 and the RFCs named; only those that the code speaks of. */
enum wire_notify_type {
	WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
	WIRE_N_INVALID_IKE_SPI = 4,
	WIRE_N_INVALID_MAJOR_VERSION = 5,
	WIRE_N_INVALID_SYNTAX = 7,
	WIRE_N_INVALID_MESSAGE_ID = 9,
	WIRE_N_INVALID_SPI = 11,
	WIRE_N_NO_PROPOSAL_CHOSEN = 14,
	WIRE_N_INVALID_KE_PAYLOAD = 17,
	WIRE_N_AUTHENTICATION_FAILED = 24,
	WIRE_N_SINGLE_PAIR_REQUIRED = 34,
	WIRE_N_NO_ADDITIONAL_SAS = 35,
	WIRE_N_INTERNAL_ADDRESS_FAILURE = 36,
	WIRE_N_FAILED_CP_REQUIRED = 37,
	WIRE_N_TS_UNACCEPTABLE = 38,
	WIRE_N_INVALID_SELECTORS = 39,
	WIRE_N_UNACCEPTABLE_ADDRESSES = 40, /* RFC 4555 */
	WIRE_N_UNEXPECTED_NAT_DETECTED = 41,
	WIRE_N_TEMPORARY_FAILURE = 43,
	WIRE_N_CHILD_SA_NOT_FOUND = 44,
	WIRE_N_STATUS_FIRST = 16384, /* below: errors */
	WIRE_N_INITIAL_CONTACT = 16384,
	WIRE_N_SET_WINDOW_SIZE = 16385,
	WIRE_N_ADDITIONAL_TS_POSSIBLE = 16386,
	WIRE_N_IPCOMP_SUPPORTED = 16387,
	WIRE_N_NAT_DETECTION_SOURCE_IP = 16388,
	WIRE_N_NAT_DETECTION_DESTINATION_IP = 16389,
	WIRE_N_COOKIE = 16390,
	WIRE_N_USE_TRANSPORT_MODE = 16391,
	WIRE_N_HTTP_CERT_LOOKUP_SUPPORTED = 16392,
	WIRE_N_REKEY_SA = 16393,
	WIRE_N_ESP_TFC_PADDING_NOT_SUPPORTED = 16394,
	WIRE_N_NON_FIRST_FRAGMENTS_ALSO = 16395,
	WIRE_N_MOBIKE_SUPPORTED = 16396, /* RFC 4555 */
	WIRE_N_ADDITIONAL_IP4_ADDRESS = 16397,
	WIRE_N_ADDITIONAL_IP6_ADDRESS = 16398,
	WIRE_N_NO_ADDITIONAL_ADDRESSES = 16399,
	WIRE_N_UPDATE_SA_ADDRESSES = 16400,
	WIRE_N_COOKIE2 = 16401,
	WIRE_N_NO_NATS_ALLOWED = 16402,
	WIRE_N_AUTH_LIFETIME = 16403, /* RFC 4478 */
	WIRE_N_REDIRECT_SUPPORTED = 16406, /* RFC 5685 */
	WIRE_N_REDIRECT = 16407,
	WIRE_N_REDIRECTED_FROM = 16408,
	WIRE_N_EAP_ONLY_AUTHENTICATION = 16417, /* RFC 5998 */
	WIRE_N_CHILDLESS_IKEV2_SUPPORTED = 16418, /* RFC 6023 */
	WIRE_N_QUICK_CRASH_DETECTION = 16419, /* RFC 6290 */
	WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED = 16430, /* RFC 7383 */
	WIRE_N_SIGNATURE_HASH_ALGORITHMS = 16431, /* RFC 7427 */
	WIRE_N_PUZZLE = 16434, /* RFC 8019 */
	WIRE_N_USE_PPK = 16435, /* RFC 8784 */
	WIRE_N_PPK_IDENTITY = 16436,
	WIRE_N_NO_PPK_AUTH = 16437,
	/* Private use: docs/protocol/path-mtu.md. */
	WIRE_N_PATH_PROBE = 41100,
	/* Private use: docs/protocol/shortcut.md section 2. */
	WIRE_N_SHORTCUT_REFUSED = 8301,
	WIRE_N_CAPABILITIES = 41101, /* in IKE_AUTH */
	WIRE_N_SHORTCUT_PROOF = 41102, /* in IKE_SA_INIT */
	WIRE_N_SHORTCUT_SUGGEST = 41103,
	WIRE_N_SHORTCUT_REPORT = 41104,
	WIRE_N_SHORTCUT_WITHDRAW = 41105,
	WIRE_N_SHORTCUT_CANDIDATES = 41106,
	WIRE_N_SHORTCUT_HUBS = 41107,
	WIRE_N_SHORTCUT_DIRECTORY = 41108,
	WIRE_N_SHORTCUT_RELAY = 41109,
	WIRE_N_SHORTCUT_ACCEPT = 41110,
	WIRE_N_SHORTCUT_ASK = 41111,
};

/* Upper bounds of what one message may hold (see also ike/limits.h); more is malformed. */
enum wire_limit {
	WIRE_MAX_PAYLOADS = 64,
	WIRE_MAX_PROPOSALS = 32,
	WIRE_MAX_TRANSFORMS = 128, /* in one SA payload */
	WIRE_MAX_CERTS = 8,
	WIRE_MAX_CERTREQS = 8,
	WIRE_MAX_NOTIFIES = 32,
	WIRE_MAX_VENDORS = 20,
	WIRE_MAX_DELETES = 8,
	WIRE_MAX_DELETE_SPIS = 64,
	WIRE_MAX_TS = 64,
	WIRE_MIN_NONCE = 16, /* section 3.9 */
	WIRE_MAX_NONCE = 256,
};

/* Why a parser refused: each is a counter `ike.rx.<name>`, see wire_fault_name(). */
enum wire_fault {
	WIRE_OK = 0,
	WIRE_F_SHORT, /* shorter than a header */
	WIRE_F_LENGTH, /* header length is not the datagram's */
	WIRE_F_VERSION, /* major version above 2 (the caller may answer) or below */
	WIRE_F_CHAIN, /* payload chain: a length below 4 or past the end, trailing bytes */
	WIRE_F_SK_LAST, /* something after SK/SKF, or SK inside SK */
	WIRE_F_REPEATED, /* a payload that may occur once occurs twice */
	WIRE_F_LIMIT, /* more of something than wire_limit allows */
	WIRE_F_SA, /* inside an SA payload */
	WIRE_F_KE,
	WIRE_F_ID,
	WIRE_F_CERT,
	WIRE_F_CERTREQ,
	WIRE_F_AUTH,
	WIRE_F_NONCE,
	WIRE_F_NOTIFY,
	WIRE_F_DELETE,
	WIRE_F_TS,
	WIRE_F_CP,
	WIRE_F_EAP,
	WIRE_F_SK, /* SK/SKF shorter than its fixed part */
	WIRE_F_PS,
	WIRE_F_FRAGMENT, /* SKF with number 0, or a number above the total */
	WIRE_F_NOMEM,
	WIRE_FAULTS,
};

/* A stable lower-case name such as "repeated", for counters. */
const char *wire_fault_name(enum wire_fault f);

/* Names as the RFCs write them ("IKE_AUTH", "NO_PROPOSAL_CHOSEN"); NULL when unknown. */
const char *wire_exchange_name(unsigned exchange);
const char *wire_payload_name(unsigned type);
const char *wire_notify_name(unsigned type);

struct wire_hdr {
	uint64_t spi_i; /* network order bytes read as a big-endian number */
	uint64_t spi_r;
	uint8_t next;
	uint8_t version; /* major << 4 | minor */
	uint8_t exchange;
	uint8_t flags;
	uint32_t msgid;
	uint32_t length;
};

struct wire_transform {
	uint8_t type;
	uint16_t id;
	uint16_t key_bits; /* KEY_LENGTH attribute, 0 when absent */
	bool unknown_attribute; /* section 3.3.6: such a transform must not be chosen */
};

struct wire_proposal {
	uint8_t number;
	uint8_t proto;
	struct bytes spi; /* 0, 4 or 8 bytes, as the protocol wants */
	const struct wire_transform *transforms;
	size_t n_transforms;
};

struct wire_sa {
	const struct wire_proposal *proposals;
	size_t n;
};

struct wire_ke {
	uint16_t group;
	struct bytes data;
};

struct wire_id {
	uint8_t type;
	struct bytes data;
	struct bytes body; /* payload without its generic header: what AUTH signs (section 2.15) */
};

struct wire_cert {
	uint8_t encoding;
	struct bytes data;
};

struct wire_auth {
	uint8_t method;
	struct bytes data;
};

struct wire_notify {
	uint16_t type;
	uint8_t proto;
	struct bytes spi;
	struct bytes data;
};

struct wire_delete {
	uint8_t proto;
	uint8_t spi_len;
	struct bytes spis; /* spi_len * n bytes; IKE: empty */
};

/* Section 3.13.1.  Ports are host order; "opaque" is start 65535, end 0; for ICMP the ports hold
 * type << 8 | code.  Also the value that module policy narrows. */
struct wire_ts {
	uint8_t proto; /* 0: any */
	uint16_t port_start;
	uint16_t port_end;
	struct ip start;
	struct ip end;
};

struct wire_ts_list {
	const struct wire_ts *ts;
	size_t n; /* selectors of unknown TS types are left out but counted in `unknown` */
	size_t unknown;
};

struct wire_cp {
	uint8_t type;
	struct bytes attributes; /* a well-formed list with lengths that may be, see cp.h */
};

/* A decoded chain.  `present` has WIRE_BIT(type) of every known payload that occurred; the value
 * of an absent one is zero. */
struct wire_payloads {
	uint64_t present;
	uint8_t unknown_critical; /* type of the first unknown critical payload, or 0 */
	struct wire_sa sa;
	struct wire_ke ke;
	struct bytes nonce;
	struct wire_id id_i;
	struct wire_id id_r;
	struct wire_auth auth;
	struct wire_ts_list ts_i;
	struct wire_ts_list ts_r;
	struct wire_cp cp;
	struct bytes eap;
	struct bytes solution; /* of a puzzle: four keys of equal length */
	const struct wire_cert *certs;
	size_t n_certs;
	const struct wire_cert *certreqs;
	size_t n_certreqs;
	const struct wire_notify *notifies;
	size_t n_notifies;
	const struct wire_delete *deletes;
	size_t n_deletes;
	const struct bytes *vendors;
	size_t n_vendors;
};

/* Where an SK (or SKF) payload lies in the datagram. */
struct wire_sk {
	uint8_t inner_next; /* first payload inside */
	struct bytes aad; /* header up to where the IV begins (RFC 5282 section 5.1): with the SK
			     generic header, for SKF also with the two numbers behind it */
	struct bytes body; /* IV, ciphertext, ICV; at least one byte */
	uint16_t fragment; /* SKF only: number from 1, and total */
	uint16_t fragments;
};

struct wire_ike_msg {
	struct wire_hdr hdr;
	struct bytes raw; /* the datagram, without any non-ESP marker */
	struct wire_payloads clear;
	bool encrypted; /* present has SK or SKF; then `sk` is set */
	struct wire_sk sk;
};

/* Header only, for demultiplexing: needs no arena.  ST_DROP with `*fault` set when it is not one.
 * A major version other than 2 is WIRE_F_VERSION with `*ret_hdr` filled, since section 2.5 lets
 * the caller answer. */
MUST enum status wire_ike_parse_hdr(struct bytes datagram, struct wire_hdr *ret_hdr,
				    enum wire_fault *fault);

/* The whole clear part.  ST_DROP with `*fault` set; ST_OK leaves `*fault` alone. */
MUST enum status wire_ike_parse(struct arena *ar, struct bytes datagram,
				struct wire_ike_msg *ret_msg, enum wire_fault *fault);

/* The chain inside SK: `plain` is the plaintext without padding and pad length. */
MUST enum status wire_ike_parse_inner(struct arena *ar, uint8_t first, struct bytes plain,
				      struct wire_payloads *ret_inner, enum wire_fault *fault);

/* First notify of that type, or NULL. */
const struct wire_notify *wire_find_notify(const struct wire_payloads *p, uint16_t type);

/* First error notify (type < 16384), or NULL. */
const struct wire_notify *wire_find_error(const struct wire_payloads *p);

/* ---- gateways (RFC 5685) ------------------------------------------------------------------ */

enum wire_gateway_type {
	WIRE_GW_IPV4 = 1,
	WIRE_GW_IPV6 = 2,
	WIRE_GW_FQDN = 3,
};

struct wire_gateway {
	uint8_t type;
	struct bytes id; /* an address, or a host name */
};

/* What the data of REDIRECT or REDIRECTED_FROM begins with; `*ret_rest` is what comes after it.
 * ST_DROP: it is no gateway. */
MUST enum status wire_gateway_parse(struct bytes data, struct wire_gateway *ret_gw,
				    struct bytes *ret_rest);
void wire_gateway_put(struct wr *w, const struct wire_gateway *gw);

/* ---- parts of payloads, which other formats have as well ----------------------------------- */

/* No control characters. */
bool wire_text_ok(struct bytes b);
/* Whether an identity of that type (section 3.5) may be that; of a type that is not known, any. */
bool wire_id_ok(uint8_t type, struct bytes data);
/* The next selector (section 3.13.1), counted in `list`: as one that `ts` has now, or as one of
 * another type.  False: it is none. */
MUST bool wire_take_selector(struct cur *c, struct wire_ts_list *list, struct wire_ts *ts);
void wire_put_selector(struct wr *w, const struct wire_ts *ts);

/* ---- writing ---------------------------------------------------------------------------- */

struct wire_out {
	struct wr w;
	size_t next_at; /* offset of the `next payload` byte still to be filled */
	size_t sk_at; /* offset of the SK generic header, 0 when none */
	size_t iv_at;
	size_t plain_at;
};

/* Starts a message in `buf`; `h->next` and `h->length` are filled in by the writer. */
void wire_ike_begin(struct wire_out *o, void *buf, size_t cap, const struct wire_hdr *h);

/* Payloads, appended in call order.  Nothing fails before wire_ike_end(). */
void wire_put_sa(struct wire_out *o, const struct wire_sa *sa);
void wire_put_ke(struct wire_out *o, uint16_t group, struct bytes data);
void wire_put_nonce(struct wire_out *o, struct bytes nonce);
void wire_put_id(struct wire_out *o, enum wire_payload idi_or_idr, uint8_t type, struct bytes data);
void wire_put_cert(struct wire_out *o, uint8_t encoding, struct bytes data);
void wire_put_certreq(struct wire_out *o, uint8_t encoding, struct bytes data);
void wire_put_auth(struct wire_out *o, uint8_t method, struct bytes data);
void wire_put_notify(struct wire_out *o, uint8_t proto, struct bytes spi, uint16_t type,
		     struct bytes data);
void wire_put_delete(struct wire_out *o, uint8_t proto, uint8_t spi_len, struct bytes spis);
void wire_put_vendor(struct wire_out *o, struct bytes vid);
void wire_put_ts(struct wire_out *o, enum wire_payload tsi_or_tsr, const struct wire_ts *ts,
		 size_t n);
void wire_put_cp(struct wire_out *o, uint8_t type, struct bytes attributes);
void wire_put_solution(struct wire_out *o, struct bytes keys);
void wire_put_raw(struct wire_out *o, uint8_t type, struct bytes body); /* any other, tests */

/* The ID payload body (type, three reserved bytes, data) as AUTH signs it; `ret` has room for
 * 4 + data.n bytes. */
void wire_id_body(uint8_t type, struct bytes data, uint8_t *ret);

/* Opens SK; payloads put afterwards are inside it.  The IV is left for the caller. */
void wire_ike_sk_begin(struct wire_out *o, size_t iv_len);

/* The chain inside the SK that is open, and the type of its first payload; ST_NOMEM when the
 * message did not fit. */
MUST enum status wire_ike_inner(const struct wire_out *o, uint8_t *ret_first,
				struct bytes *ret_chain);

/* A piece of such a chain. */
struct wire_fragment {
	uint16_t number; /* from 1 */
	uint16_t total;
	uint8_t first; /* type of the chain's first payload; only number 1 tells it */
	struct bytes piece;
};

/* SKF, to be closed by wire_ike_sk_end() as SK is. */
void wire_put_fragment(struct wire_out *o, size_t iv_len, const struct wire_fragment *f);

/* The spans of a finished SK, inside the message buffer. */
struct wire_sk_spans {
	struct bytes aad;
	uint8_t *iv;
	uint8_t *plain; /* encrypt in place: payloads, padding, pad length */
	size_t plain_len;
	uint8_t *icv;
};

/* Closes SK: pads to `block` (1 for AEADs), leaves `icv_len` bytes, fills the lengths of SK and of
 * the header, so that the AAD is final.  ST_NOMEM when the message did not fit.  Replaces
 * wire_ike_end() for encrypted messages. */
MUST enum status wire_ike_sk_end(struct wire_out *o, size_t block, size_t icv_len,
				 struct wire_sk_spans *ret_spans, struct bytes *ret_msg);

/* Closes a clear message. */
MUST enum status wire_ike_end(struct wire_out *o, struct bytes *ret_msg);

/* Removes the padding of a decrypted SK: the plaintext without pad bytes and pad length. */
MUST enum status wire_ike_unpad(struct bytes plain, struct bytes *ret_payloads);
