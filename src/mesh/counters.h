/*
 * counters.h - every counter of the mesh: one row each, name as operators see it.
 *
 * `mesh.rx.<fault>` of words come from wire_mesh_fault_name() and are kept beside these;
 * `mesh.refused.<reason>` and `mesh.failed.<reason>` likewise from wire_mesh_reason_name().
 */
#pragma once

#define MESH_COUNTER_TABLE(X)                                                                      \
	X(M_WORDS_IN, "mesh.rx.words")                                                             \
	X(M_WORDS_OUT, "mesh.tx.words")                                                            \
	X(M_WORDS_LOST, "mesh.tx.unanswered") /* their SA ended first */                           \
	X(M_NO_MEMORY, "mesh.no_memory")                                                           \
	/* a hub */                                                                                \
	X(M_FLOWS, "mesh.flows") /* reports of the data plane */                                   \
	X(M_FLOWS_UNKNOWN, "mesh.flows_unknown") /* about nobody in the directory */               \
	X(M_PAIRS_FULL, "mesh.pairs_full") /* more talk to each other than we remember */          \
	X(M_SUGGESTED, "mesh.suggested")                                                           \
	X(M_ACCEPTED, "mesh.accepted") /* by both */                                               \
	X(M_UP, "mesh.up") /* reported by a partner */                                             \
	X(M_ASKED, "mesh.rx.asks") /* members that must not send by us */                          \
	X(M_WITHDRAWN, "mesh.withdrawn")                                                           \
	X(M_NOT_A_PARTNER, "mesh.rx.not_a_partner") /* said what only partners say */              \
	/* a site */                                                                               \
	X(M_TAKEN, "mesh.taken") /* suggestions that were good */                                  \
	X(M_NOT_A_HUB, "mesh.rx.not_a_hub") /* said what only hubs say */                          \
	X(M_FLOOD, "mesh.rx.flood") /* more words than we look at */                         \
	X(M_DIRECT, "mesh.direct") /* tunnels that came up */                                      \
	X(M_ASKED_FOR, "mesh.tx.asks") /* for a tunnel where nothing may be relayed */             \
	X(M_ASK_REFUSED, "mesh.ask_refused") /* by the hub, or it cannot be asked */               \
	X(M_ASKS_LIMITED, "mesh.tx.asks_limited") /* put off: too many in a second */              \
	/* probes */                                                                               \
	X(M_PROBES_OUT, "mesh.tx.probes")                                                          \
	X(M_PROBES_HELD, "mesh.tx.probes_limited") /* put off: too many in a second */             \
	X(M_PROBES_IN, "mesh.rx.probes")                                                           \
	X(M_PROBE_BAD, "mesh.rx.probe_malformed")                                                  \
	X(M_PROBE_UNKNOWN, "mesh.rx.probe_unknown") /* of no suggestion of ours */                 \
	X(M_PROBE_FORGED, "mesh.rx.probe_forged") /* with a wrong MAC */                           \
	X(M_PROBE_STRAY, "mesh.rx.probe_stray") /* an answer to no question */                     \
	/* between hubs */                                                                         \
	X(M_HUBS_FULL, "mesh.hubs_full") /* more other hubs than we know at a time */              \
	X(M_RELAYED, "mesh.relayed")                                                               \
	X(M_DIRECTORY_IN, "mesh.rx.directory")                                                     \
	X(M_DIRECTORY_HOLE, "mesh.rx.directory_hole")                                              \
	X(M_DIRECTORY_FULL, "mesh.directory_full") /* more members than we remember */             \
	X(M_DIRECTORY_REFUSED, "mesh.rx.directory_refused") /* entries beyond its authority */     \
	X(M_OLD, "mesh.rx.old") /* a number that is not above the last */

enum mesh_counter {
#define X(id, name) id,
	MESH_COUNTER_TABLE(X)
#undef X
		MESH_COUNTERS,
};
