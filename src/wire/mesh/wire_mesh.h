/*
 * wire_mesh.h - words between hubs, members and partners as values (docs/protocol/shortcut.md).
 *
 * A pure codec.  A word is the data of one notify payload in the SHORTCUT exchange (section 4 of
 * that document): an id and attributes.  It is parsed as a whole, or not at all: every length and
 * count is checked, every value that has a range is in it, what may occur once does.  Views point
 * into the data, arrays live in the caller's arena.  What an attribute means for who got it is
 * none of the codec's business.
 *
 * Probes (section 7) are datagrams of their own that look like IKE messages of another version.
 */
#pragma once

#include "base/base.h"
#include "wire/ike/wire_ike.h"

/* Section 4: types of attributes. */
enum wire_mesh_attr {
	WIRE_MA_SECRET = 1,
	WIRE_MA_PARTNER_ID,
	WIRE_MA_OWN_ID,
	WIRE_MA_TS_REMOTE, /* authority and selectors; once for each authority */
	WIRE_MA_TS_LOCAL,
	WIRE_MA_CANDIDATE,
	WIRE_MA_CONTEXT,
	WIRE_MA_LIFETIME,
	WIRE_MA_IDLE,
	WIRE_MA_FLAGS,
	WIRE_MA_SEQUENCE,
	WIRE_MA_OUTCOME,
	WIRE_MA_REASON,
	WIRE_MA_TEXT,
	WIRE_MA_PATH,
	WIRE_MA_HUB,
	WIRE_MA_MEMBER,
	WIRE_MA_BOOT,
	WIRE_MAS, /* one past the last */
	WIRE_MA_CRITICAL = 0x8000,
};

enum {
	WIRE_MESH_ID = 16,
	WIRE_MESH_SECRET = 32,
	WIRE_MESH_CANDIDATES = 8,
	WIRE_MESH_TS = 16, /* selectors of one side, of all authorities together */
	WIRE_MESH_CONTEXT_MAX = 64,
	WIRE_MESH_IDENT_MAX = 255,
	WIRE_MESH_TEXT_MAX = 255,
	WIRE_MESH_HUBS = 16,
	WIRE_MESH_HUB_ADDRESSES = 8,
	WIRE_MESH_MEMBERS = 64, /* in one word; a directory takes as many words as it takes */
	WIRE_MESH_LIFETIME_MIN = 60,
	WIRE_MESH_LIFETIME_MAX = 604800,
	WIRE_MESH_IDLE_MIN = 10,
	WIRE_MESH_IDLE_MAX = 86400,
	WIRE_MESH_MAX = 48 << 10, /* bytes of a word */
	WIRE_PROBE_LEN = 72,
	WIRE_PROBE_MAC = 16,
	WIRE_PROOF_LEN = WIRE_MESH_ID + 32,
};

enum wire_mesh_flag {
	WIRE_MESH_PQ = 1 << 0, /* the hub's SAs with both have a PPK or ML-KEM in their keys */
	WIRE_MESH_MEMBER_PQ = 1 << 30, /* capabilities of a MEMBER: so has the one with it */
	WIRE_MESH_ASK = 1u << 31, /* DIRECTORY: the sender has a hole; all, please */
};

enum wire_mesh_outcome {
	WIRE_MO_UP = 1,
	WIRE_MO_FAILED,
	WIRE_MO_IDLE,
	WIRE_MO_LOST,
	WIRE_MO_WITHDRAWN,
	WIRE_MO_REPLACED,
	WIRE_MOS,
};

/* Section 10. */
enum wire_mesh_reason {
	WIRE_MR_UNKNOWN_ATTRIBUTE = 1,
	WIRE_MR_MALFORMED,
	WIRE_MR_NOT_A_HUB,
	WIRE_MR_CONTEXT,
	WIRE_MR_IDENTITY,
	WIRE_MR_SELECTORS,
	WIRE_MR_AUTHORITY,
	WIRE_MR_POLICY,
	WIRE_MR_LIMIT,
	WIRE_MR_DUPLICATE, /* there is a tunnel already */
	WIRE_MR_OLDER, /* another suggestion has precedence */
	WIRE_MR_NO_CANDIDATES,
	WIRE_MR_NO_PATH,
	WIRE_MR_NO_ANSWER,
	WIRE_MR_AUTHENTICATION,
	WIRE_MR_CERTIFICATE,
	WIRE_MR_PROPOSAL,
	WIRE_MR_TS,
	WIRE_MR_PARTNER_REFUSED,
	WIRE_MR_IDLE,
	WIRE_MR_LOST,
	WIRE_MR_WITHDRAWN,
	WIRE_MR_EXPIRED,
	WIRE_MR_SHUTDOWN,
	WIRE_MR_INTERNAL,
	WIRE_MR_PARTNER_ENDED, /* the other end did, and says why to its hub */
	WIRE_MR_CONFLICT, /* another tunnel has those selectors */
	WIRE_MR_UNKNOWN, /* nobody here has that address */
	WIRE_MRS,
};

/* "no_path"; NULL when unknown. */
const char *wire_mesh_reason_name(unsigned reason);
const char *wire_mesh_outcome_name(unsigned outcome);
const char *wire_mesh_kind_name(unsigned kind);

struct wire_mesh_ident {
	uint8_t type; /* enum wire_id_type */
	struct bytes data;
};

/* On whose word: enum ike_authority has the same numbers, from 0. */
struct wire_mesh_ts {
	uint8_t authority;
	struct wire_ts_list ts; /* not empty */
};

enum wire_mesh_candidate_kind {
	WIRE_MC_HOST = 1, /* an address of its own */
	WIRE_MC_SEEN, /* as its hub sees it */
	WIRE_MC_CONFIGURED,
};

struct wire_mesh_candidate {
	uint8_t kind;
	uint8_t flags; /* bit 0: behind a NAT, as the hub sees it; bit 1: the same towards two hubs
			*/
	uint32_t priority; /* the largest is tried first */
	struct endpoint at;
};

struct wire_mesh_path {
	struct endpoint local, remote;
	uint32_t rtt_us;
};

/* Where a hub is: an address, or a name. */
struct wire_mesh_where {
	uint16_t port;
	struct ip ip; /* family 0: `name` */
	struct bytes name;
};

struct wire_mesh_hub {
	struct wire_mesh_ident id;
	struct wire_mesh_where at[WIRE_MESH_HUB_ADDRESSES];
	size_t n_at;
};

enum wire_mesh_op {
	WIRE_MESH_MEMBER_UP = 1, /* or is another now */
	WIRE_MESH_MEMBER_GONE,
	WIRE_MESH_MEMBERS_ANEW, /* forget all of mine: what follows is all; nothing else is in it */
};

struct wire_mesh_member {
	uint8_t op;
	uint64_t epoch;
	uint64_t boot;
	uint32_t capabilities;
	struct wire_mesh_ident id;
	struct wire_mesh_ts ts[3];
	size_t n_ts;
	struct wire_mesh_candidate candidates[WIRE_MESH_CANDIDATES];
	size_t n_candidates;
};

/* `present` has 1 << enum wire_mesh_attr of everything that is there. */
struct wire_mesh {
	uint8_t id[WIRE_MESH_ID];
	uint32_t present;
	const uint8_t *secret; /* WIRE_MESH_SECRET bytes */
	struct wire_mesh_ident partner, own; /* own, REPORT: whose it is, when a hub passes it on */
	struct wire_mesh_ts ts_remote[3], ts_local[3];
	size_t n_ts_remote, n_ts_local;
	struct wire_mesh_candidate candidates[WIRE_MESH_CANDIDATES];
	size_t n_candidates; /* those above the eighth are left out */
	struct bytes context;
	uint32_t lifetime_s, idle_s;
	uint32_t flags;
	uint64_t sequence;
	uint8_t outcome;
	uint16_t reason;
	struct bytes text; /* UTF-8; shown escaped */
	struct wire_mesh_path path;
	const struct wire_mesh_hub *hubs;
	size_t n_hubs;
	const struct wire_mesh_member *members;
	size_t n_members;
	uint64_t boot; /* of who sends, or of the partner: another one each time it starts */
};

#define WIRE_MESH_BIT(attr) (1u << WIRE_MA_##attr)
#define WIRE_MESH_HAS(m, attr) ((m)->present >> WIRE_MA_##attr & 1)

/* Why a word was refused: each is a counter `mesh.rx.<name>`. */
enum wire_mesh_fault {
	WIRE_MF_OK,
	WIRE_MF_SHORT,
	WIRE_MF_LENGTH, /* of an attribute, past the end, or not what its type wants */
	WIRE_MF_CRITICAL, /* unknown, and critical: UNKNOWN_ATTRIBUTE, all others MALFORMED */
	WIRE_MF_REPEATED,
	WIRE_MF_LIMIT,
	WIRE_MF_IDENT,
	WIRE_MF_TS,
	WIRE_MF_CANDIDATE,
	WIRE_MF_RANGE, /* a number outside of what the document allows */
	WIRE_MF_TEXT,
	WIRE_MF_HUB,
	WIRE_MF_MEMBER,
	WIRE_MF_MISPLACED, /* known, but not in a word of that kind */
	WIRE_MF_MISSING, /* what a word of that kind has to have */
	WIRE_MF_NOMEM,
	WIRE_MESH_FAULTS,
};

const char *wire_mesh_fault_name(enum wire_mesh_fault f);

/* ST_DROP or ST_NOMEM, with `*fault` set.  `kind` (WIRE_N_SHORTCUT_...) decides what has to be
 * there and what may be. */
MUST enum status wire_mesh_parse(struct arena *ar, uint16_t kind, struct bytes data,
				 struct wire_mesh *ret, enum wire_mesh_fault *fault);
/* Everything that is `present`. */
void wire_mesh_put(struct wr *w, const struct wire_mesh *m);

/* ---- probes ------------------------------------------------------------------------------- */

enum wire_probe_flag {
	WIRE_PROBE_ANSWER = 1 << 0,
};

struct wire_probe {
	uint8_t id[8]; /* the first half of the suggestion's */
	uint8_t flags;
	uint32_t txn;
	uint8_t nonce[8];
	struct endpoint seen; /* answers: where the question came from; else family 0 */
};

/* Whether a datagram, without the non-ESP marker, is meant to be one. */
bool wire_probe_is(struct bytes datagram);
/* ST_DROP: it is none.  `*ret_covered` is what `*ret_mac` (WIRE_PROBE_MAC bytes) is over. */
MUST enum status wire_probe_parse(struct bytes datagram, struct wire_probe *ret,
				  struct bytes *ret_covered, const uint8_t **ret_mac);
/* All but the MAC, which comes last and is over all before it. */
void wire_probe_put(uint8_t ret[static WIRE_PROBE_LEN], const struct wire_probe *p);
