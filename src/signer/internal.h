/*
 * internal.h - how module signer is divided, and what goes over its socket.
 *
 *   wire.c      frames: requests and replies as values and as bytes; pure
 *   octets.c    whether octets may be authenticated; the rate; pure
 *   snapshot.c  files by path, as a conf_source; both ends have such a set
 *   public.c    a set of files without its secrets
 *   serve.c     what the signer does with a request
 *   qcd_file.c  the secret of QCD tokens, which outlives the process
 *   child.c     the signer as a process
 *   signer.c    the end of the process that handles packets
 *
 * A frame is a length (four bytes, what follows), a type (one), an id (eight), and the body of its
 * type; numbers are big-endian.  Both ends parse the other's frames as hostile input: a frame that
 * does not parse ends the conversation, and so both processes.
 *
 *	LOAD      path                           READY     status, text: once, unasked
 *	COMMIT                                   FILE      path, bytes      } of LOAD, in this
 *	SOCKET                                   ERROR     line, col, text  } order, any number
 *	SIGN      method, hashes, name, octets   LOADED    status, total of errors, text
 *	PSK       prf, name, octets              COMMITTED status, text
 *	PPK       prf, name, keys
 *	QCD       SPIs
 *	                                         RESULT    status, refusal, AUTH, keys or token,
 *text STATE     a descriptor, once             STATED    status, text
 */
#pragma once

#include "signer/signer.h"

enum {
	SIGNER_PATH_MAX = 4096,
	SIGNER_NAME_MAX = 1024,
	SIGNER_TEXT_MAX = 8192,
	SIGNER_MESSAGE_MAX = 65536, /* limits.h: the largest IKE message */
	SIGNER_NONCE_MIN = 16, /* RFC 7296 section 3.9 */
	SIGNER_NONCE_MAX = 256,
	SIGNER_OCTETS_MAX = SIGNER_MESSAGE_MAX + SIGNER_NONCE_MAX + CRYPTO_PRF_MAX,
	SIGNER_FILE_MAX = CONF_FILE_MAX,
	SIGNER_FRAME_LEN = 4, /* of the length itself */
	SIGNER_REQUEST_MAX = SIGNER_OCTETS_MAX + SIGNER_NAME_MAX + 64,
	SIGNER_REPLY_MAX = SIGNER_FILE_MAX + SIGNER_PATH_MAX + 64,
	/* Of one snapshot: ten thousand peers with a psk_file each, and the largest lists of
	 * revoked certificates. */
	SIGNER_FILES_MAX = 65536,
	SIGNER_BYTES_MAX = 64 << 20,
	/* Ten thousand sites that come back at once make 20,000 AUTH payloads with pre-shared keys
	 * (ours and the expected one), half of that with certificates; afterwards a rate that two
	 * cores can just about complete handshakes at.  More than that is no network but somebody
	 * who wants signatures. */
	SIGNER_BURST = 20000,
	SIGNER_PER_S = 2000,
};

/* ---- wire.c -------------------------------------------------------------------------------- */

enum signer_request_type {
	SIGNER_LOAD = 1,
	SIGNER_COMMIT,
	SIGNER_SOCKET,
	SIGNER_SIGN,
	SIGNER_PSK,
	SIGNER_PPK,
	SIGNER_QCD,
	SIGNER_STATE, /* the file that comes with it is the one of qcd_file.c */
};

struct signer_request {
	enum signer_request_type type;
	uint64_t id;
	struct bytes path; /* LOAD */
	struct bytes name; /* SIGN, PSK, PPK: without terminator, and no NUL inside */
	uint8_t method; /* SIGN */
	uint16_t hashes;
	uint16_t prf; /* PSK, PPK */
	struct bytes octets; /* SIGN, PSK; PPK: SK_d | SK_pi | SK_pr, as the PRF is long */
	uint64_t spi_i, spi_r; /* QCD */
};

enum signer_reply_type {
	SIGNER_READY = 1,
	SIGNER_FILE,
	SIGNER_ERROR,
	SIGNER_LOADED,
	SIGNER_COMMITTED,
	SIGNER_RESULT,
	SIGNER_STATED,
};

/* Why a RESULT is none. */
enum signer_refusal {
	SIGNER_GRANTED,
	SIGNER_UNKNOWN, /* no such key */
	SIGNER_SHAPE, /* octets that are no AUTH's, or keys that are no SA's */
	SIGNER_RATE,
	SIGNER_FAILED, /* libcrypto's failure, or the peer cannot be satisfied */
};

struct signer_reply {
	enum signer_reply_type type;
	uint64_t id;
	enum status status;
	enum signer_refusal refusal; /* RESULT */
	struct bytes path; /* FILE */
	struct bytes data; /* FILE: the bytes; RESULT: AUTH payload data, of PPK SK_d | SK_pi |
			    * SK_pr, of QCD the token */
	struct bytes text; /* not FILE */
	struct conf_pos at; /* ERROR */
	uint32_t total; /* LOADED */
	uint8_t method; /* RESULT */
	struct bytes how; /* RESULT */
};

/* The first whole frame of a stream: ST_AGAIN when there is none yet, ST_DROP when it is longer
 * than `max`.  `*ret_used` bytes of the stream are done with. */
MUST enum status signer_frame(struct bytes stream, size_t max, struct bytes *ret_frame,
			      size_t *ret_used);
/* ST_DROP unless the frame is exactly one of them.  Views of the frame. */
MUST enum status signer_parse_request(struct bytes frame, struct signer_request *ret);
MUST enum status signer_parse_reply(struct bytes frame, struct signer_reply *ret);
/* With its length, in memory of mem_libc.  ST_BUG: something is longer than its bound. */
MUST enum status signer_make_request(const struct signer_request *r, struct bytes *ret_frame);
MUST enum status signer_make_reply(const struct signer_reply *r, struct bytes *ret_frame);

/* ---- octets.c ------------------------------------------------------------------------------ */

/* Whether these are InitiatorSignedOctets or ResponderSignedOctets of RFC 7296 section 2.15: an
 * IKE_SA_INIT message as a whole, a nonce, the output of a PRF (`prf`; 0: of any that we know). */
bool signer_octets_ok(struct bytes octets, uint16_t prf);

/* Whether these can be SK_d | SK_pi | SK_pr of an SA with that PRF: by their length. */
bool signer_keys_ok(struct bytes keys, uint16_t prf);

/* A token bucket. */
struct signer_rate {
	int64_t debt_ns; /* what was taken in advance, in time */
	mono_t at;
};

bool signer_rate_take(struct signer_rate *r, mono_t now);

/* ---- snapshot.c ---------------------------------------------------------------------------- */

struct signer_file {
	struct map_node node;
	struct signer_file *next; /* in the order in which they came */
	char *path;
	uint8_t *p; /* wiped when it goes: it may be a key */
	size_t n;
	bool redacted;
};

struct signer_snapshot {
	struct map by_path;
	struct signer_file *first;
	struct signer_file **tail;
	size_t count, bytes;
};

MUST enum status snapshot_new(struct signer_snapshot **ret_snap);
/* Takes a copy.  ST_NOMEM: also when there are too many, ST_INVAL: one of that path is there. */
MUST enum status snapshot_add(struct signer_snapshot *s, const char *path, struct bytes data);
/* NULL: none. */
struct signer_file *snapshot_find(const struct signer_snapshot *s, const char *path);
/* Reads files and keeps what was read: a second reading gives the same. */
struct conf_source snapshot_recorder(struct signer_snapshot *s);

/* ---- public.c ------------------------------------------------------------------------------ */

/* What the other process may see of a file, in memory of mem_libc.  Of certificates, revocation
 * lists and bundles all that is one; what is not known to be public is not in it. */
MUST enum status public_form(struct bytes file, struct bytes *ret_public);
/* Puts the public form in place of every file; the configuration's secrets are redacted under
 * `key`.  `conf`, `creds` and `store` were loaded from these files; `path` is the first of them. */
MUST enum status public_all(struct signer_snapshot *s, const char *path, const struct conf *conf,
			    const struct conf_creds *creds, const struct crypto_store *store,
			    const uint64_t key[2]);

/* ---- serve.c ------------------------------------------------------------------------------- */

struct service;

/* Writes all of it; ST_IO: the other end is gone. */
typedef enum status service_write_fn(void *ctx, struct bytes frame);

MUST enum status service_new(service_write_fn *write, void *ctx, struct service **ret_service);
/* Removes the control socket if it is still the one of SOCKET. */
void service_free(struct service *s);
/* ST_DROP: not a request; ST_IO, ST_NOMEM: the end. */
MUST enum status service_frame(struct service *s, struct bytes frame);

/* A descriptor that came along; the service closes it. */
void service_descriptor(struct service *s, int fd);

/* ---- qcd_file.c ----------------------------------------------------------------------------- */

/* Makes it if the file is empty.  ST_INVAL: there is something else. */
MUST enum status qcd_file(int fd, struct secret *ret, struct text *why);

/* ---- child.c ------------------------------------------------------------------------------- */

/* The signer's whole life: a plat_child_fn. */
int signer_child(enum status st, struct text *why);
