/* Numbers as counters, events and the operator see them. */
#include "wire/mesh/wire_mesh.h"

const char *wire_mesh_fault_name(enum wire_mesh_fault f)
{
	static const char *const names[WIRE_MESH_FAULTS] = {
		[WIRE_MF_OK] = "ok",
		[WIRE_MF_SHORT] = "short",
		[WIRE_MF_LENGTH] = "length",
		[WIRE_MF_CRITICAL] = "critical",
		[WIRE_MF_REPEATED] = "repeated",
		[WIRE_MF_LIMIT] = "limit",
		[WIRE_MF_IDENT] = "ident",
		[WIRE_MF_TS] = "ts",
		[WIRE_MF_CANDIDATE] = "candidate",
		[WIRE_MF_RANGE] = "range",
		[WIRE_MF_TEXT] = "text",
		[WIRE_MF_HUB] = "hub",
		[WIRE_MF_MEMBER] = "member",
		[WIRE_MF_MISPLACED] = "misplaced",
		[WIRE_MF_MISSING] = "missing",
		[WIRE_MF_NOMEM] = "nomem",
	};

	return (unsigned)f < WIRE_MESH_FAULTS ? names[f] : "unknown";
}

const char *wire_mesh_reason_name(unsigned reason)
{
	static const char *const names[WIRE_MRS] = {
		[WIRE_MR_UNKNOWN_ATTRIBUTE] = "unknown_attribute",
		[WIRE_MR_MALFORMED] = "malformed",
		[WIRE_MR_NOT_A_HUB] = "not_a_hub",
		[WIRE_MR_CONTEXT] = "context",
		[WIRE_MR_IDENTITY] = "identity",
		[WIRE_MR_SELECTORS] = "selectors",
		[WIRE_MR_AUTHORITY] = "authority",
		[WIRE_MR_POLICY] = "policy",
		[WIRE_MR_LIMIT] = "limit",
		[WIRE_MR_DUPLICATE] = "duplicate",
		[WIRE_MR_OLDER] = "older",
		[WIRE_MR_NO_CANDIDATES] = "no_candidates",
		[WIRE_MR_NO_PATH] = "no_path",
		[WIRE_MR_NO_ANSWER] = "no_answer",
		[WIRE_MR_AUTHENTICATION] = "authentication",
		[WIRE_MR_CERTIFICATE] = "certificate",
		[WIRE_MR_PROPOSAL] = "proposal",
		[WIRE_MR_TS] = "ts",
		[WIRE_MR_PARTNER_REFUSED] = "partner_refused",
		[WIRE_MR_IDLE] = "idle",
		[WIRE_MR_LOST] = "lost",
		[WIRE_MR_WITHDRAWN] = "withdrawn",
		[WIRE_MR_EXPIRED] = "expired",
		[WIRE_MR_SHUTDOWN] = "shutdown",
		[WIRE_MR_INTERNAL] = "internal",
		[WIRE_MR_PARTNER_ENDED] = "partner_ended",
		[WIRE_MR_CONFLICT] = "conflict",
		[WIRE_MR_UNKNOWN] = "unknown",
	};

	return reason < WIRE_MRS ? names[reason] : NULL;
}

const char *wire_mesh_outcome_name(unsigned outcome)
{
	static const char *const names[WIRE_MOS] = {
		[WIRE_MO_UP] = "up",
		[WIRE_MO_FAILED] = "failed",
		[WIRE_MO_IDLE] = "idle",
		[WIRE_MO_LOST] = "lost",
		[WIRE_MO_WITHDRAWN] = "withdrawn",
		[WIRE_MO_REPLACED] = "replaced",
	};

	return outcome < WIRE_MOS ? names[outcome] : NULL;
}

const char *wire_mesh_kind_name(unsigned kind)
{
	switch (kind) {
	case WIRE_N_SHORTCUT_SUGGEST: return "suggest";
	case WIRE_N_SHORTCUT_REPORT: return "report";
	case WIRE_N_SHORTCUT_WITHDRAW: return "withdraw";
	case WIRE_N_SHORTCUT_CANDIDATES: return "candidates";
	case WIRE_N_SHORTCUT_HUBS: return "hubs";
	case WIRE_N_SHORTCUT_DIRECTORY: return "directory";
	case WIRE_N_SHORTCUT_RELAY: return "relay";
	case WIRE_N_SHORTCUT_ASK: return "ask";
	case WIRE_N_SHORTCUT_ACCEPT: return "accept";
	case WIRE_N_SHORTCUT_REFUSED: return "refused";
	default: return NULL;
	}
}
