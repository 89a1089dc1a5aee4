/* limits.h - every bound of the mesh, with its reason. */
#pragma once

#include "wire/mesh/wire_mesh.h"

enum {
	/* A word is built in one buffer of this size, and parsed in an arena of so many. */
	MESH_WORD_MAX = WIRE_MESH_MAX,
	MESH_ARENA = 1 << 20,
	/* Addresses of the host that are looked at. */
	MESH_OWN = 16,

	/* ---- site ---- */
	/* Suggestions that a site looks at in a second, of all hubs: each costs a few derivations
	 * and a handful of probes. */
	MESH_SUGGESTIONS_PER_S = 100,
	/* Refusals among the first so many of a second are events. */
	MESH_REFUSALS_TOLD = 10,
	/* From a suggestion taken until packets get through, else it failed. */
	MESH_SETUP_S = 10,
	/* Outcomes that are remembered for people, oldest forgotten first. */
	MESH_PAST = 64,
	/* And those that a hub has to hear of yet: of as many as an engine has partners. */
	MESH_UNSAID = 1024,
	/* Ids of suggestions that were taken, so that none is taken twice while it is valid; the
	 * oldest is forgotten first.  As many as 17 a second for MESH_SUGGESTION_LIFE_S. */
	MESH_SPENT = 1024,
	/* Of a text that says why: both sides' values. */
	MESH_WHY = 512,
	/* What could not be said to a hub for want of room is tried again in so many ms. */
	MESH_SPEAK_MS = 1000,

	/* Hubs that were known before a start, of all lists; and names of hubs for the engine. */
	MESH_HUBS_LOAD = WIRE_MESH_HUBS * WIRE_MESH_HUBS,
	MESH_LEARNT = 64,

	/* Addresses that are refused to be relayed, and what is known of them. */
	MESH_WANTED = 64,
	MESH_WANTED_S = 60, /* after the last packet */
	/* A hub is asked for an address every so many ms while there is traffic: less than
	 * MESH_PAUSE_MS, with what the data plane takes to report it.  After a refusal after so
	 * long, twice as long each time, up to. */
	MESH_ASK_MS = 1000,
	MESH_ASK_REFUSED_MS = 2000,
	MESH_ASK_REFUSED_MAX_MS = 60000,
	/* Words that ask, for all addresses: so many at once, then so many in a second; half of
	 * what a hub hears (MESH_MEMBER_WORDS_PER_S). */
	MESH_ASKS = 32,
	MESH_ASKS_PER_S = 8,
	MESH_WANTED_TOLD = 10, /* events at once, then one in a second */

	/* ---- probes ---- */
	MESH_PROBE_TRIES = 5, /* at 0, 50, 150, 350, 750 ms: path.c */
	MESH_PROBES_PER_S = 500, /* of all suggestions together: 36 kB/s */
	/* To one address, questions and answers apart, whoever named it: what many suggestions can
	 * do to somebody who has nothing to do with them.  Counted in so many groups of addresses.
	 */
	MESH_PROBES_PER_ADDRESS = 20,
	MESH_PROBE_GROUPS = 1024,
	/* Addresses of ours from which one candidate is asked: a host with two uplinks, and one. */
	MESH_LOCALS = 3,
	/* Pairs of addresses that are tried for one suggestion. */
	MESH_WAYS = WIRE_MESH_CANDIDATES * MESH_LOCALS,
	/* Questions of either side about one suggestion: numbered from 0, each answered once. */
	MESH_TXNS = 256,
	/* After the first pair that answered, how long a better one may take. */
	MESH_PROBE_SETTLE_MS = 200,
	/* After the last question. */
	MESH_PROBE_WAIT_MS = 3000,

	/* ---- hub ---- */
	/* What a hub keeps of a member, beside its selectors and candidates. */
	MESH_ENTRY_MAX = 512,
	/* Prefixes that one selector is cut into: as many as the engine takes. */
	MESH_TS_PREFIXES = 64,
	/* Candidates that a member may have; the address that the hub sees is one more. */
	MESH_OWN_CANDIDATES = WIRE_MESH_CANDIDATES - 1,
	MESH_PRIORITY_SEEN = 1 << 24,
	/* A member's partners hear of new candidates not oftener than that. */
	MESH_MOVED_MS = 1000,
	/* Steps that members' walks through the directory (full mesh) make at a time. */
	MESH_WALK = 256,
	MESH_TURN_MS = 1, /* and others have theirs in between */
	/* Traffic is the same as before after a pause of so much, and two that talk to each other
	 * through us are no news for so long. */
	MESH_PAUSE_MS = 2200,
	MESH_QUIET_MS = 5000,
	/* What is up and has traffic here all the same is looked at after that. */
	MESH_DETOUR_MS = 2000,
	/* Who refused has another suggestion under way, or a word could not be said: once more. */
	MESH_SOON_MS = 1000,
	/* A member that comes up says first what it has, which may have been made by another hub,
	 * or before this one started: nothing is suggested to it before it has, or has said nothing
	 * for so long. */
	MESH_SILENT_S = 10,
	/* What was up when its member left is taken to be up for so long, and if it comes back, for
	 * so long without a word about it: with hundreds it takes a while to name them all. */
	MESH_AWAY_S = 300,
	MESH_RETURN_S = 60,
	MESH_SUGGESTION_LIFE_S = 60,
	/* Suggestions of one member under way: the rest of a full mesh waits its turn. */
	MESH_MEMBER_PENDING = 8,
	/* Suggestions of full meshes under way at a hub: so many at first, no more when nothing
	 * was; one more for each that came up soon while somebody waits, one fewer, down to a few,
	 * for each that took long or was not answered.
	 * What all members together can do, who may share a processor or a line, nobody could
	 * configure, and who waits has the path by the hub; a member gives up after MESH_SETUP_S,
	 * of which these are a fifth and two fifths. */
	MESH_MESH_FIRST = 32,
	MESH_MESH_LEAST = 8,
	MESH_UP_SOON_MS = 2000,
	MESH_UP_LATE_MS = 4000,
	/* And of a network: so many members that accept and never report cannot keep it from all
	 * others. */
	MESH_PENDING = 1 << 14,
	/* REPORT and CANDIDATES of one member: so many at once, as when its hub has started again
	 * and it has as many tunnels as there may be; then so many in a second. */
	MESH_MEMBER_WORDS = 2048,
	MESH_MEMBER_WORDS_PER_S = 16,
	/* Suggestions and withdrawals of one pair: so many at once, then one in so many ms,
	 * whatever one of the two says.  The other one has others to talk to. */
	MESH_PAIR_WORDS = 8,
	MESH_PAIR_WORDS_MS = 1000,
	/* Suggestions of all other hubs to one member here: so many at once, then so many in a
	 * second.  A site looks at MESH_SUGGESTIONS_PER_S: no other hub can use them all up. */
	MESH_RELAYS = 64,
	MESH_RELAYS_PER_S = 25,
	/* Tunnels that a member may say it has though they were not suggested here. */
	MESH_CLAIMS = 1024,
	/* Pairs that are remembered: others are not suggested before one is forgotten. */
	MESH_PAIRS = 1 << 20,
	/* Answers of both, and the report, have to come in this. */
	MESH_ANSWER_S = 20,
	/* Hubs of a network. */
	MESH_HUBS = WIRE_MESH_HUBS,
	/* Of these, ways to each: we call it, it calls us, by two names. */
	MESH_HUB_WAYS = 4,
	/* A hub that is gone is named to members for so long all the same: they may reach it. */
	MESH_HUB_KEEP_S = 86400,
	/* A member hears what hubs there are at most once in so many ms; and so many members hear
	 * of it at a time, 500 in a second. */
	MESH_HUBS_MS = 1000,
	MESH_HUBS_TURN = 50,
	MESH_HUBS_TURN_MS = 100,
	/* Members, ours and at other hubs, up to which those at other hubs are remembered. */
	MESH_REMOTE_MEMBERS = 1 << 17,
	/* What happens to members is told to other hubs together, of so many ms; so many bytes at a
	 * time, and what is around them. */
	MESH_DIRECTORY_MS = 100,
	MESH_DIRECTORY_BYTES = MESH_WORD_MAX - 1024,
	/* Another hub refused, and not for a hole: all anew, after so long. */
	MESH_DIRECTORY_REFUSED_MS = 10000,
	/* Members at a hub that is lost, or has begun anew and not said them again. */
	MESH_DOUBT_S = 60,
	/* A member has so long to answer what its hub says for another one, whose words stand still
	 * meanwhile; after that it is not asked for so long. */
	MESH_RELAY_S = 3,
	MESH_SLOW_S = 60,
	/* The hub of the member with the smaller identity has so long to begin; and after so long
	 * it has that once more. */
	MESH_TURN_OTHERS_MS = 1000,
};
