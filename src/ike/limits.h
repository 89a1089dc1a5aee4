/*
 * limits.h - every bound of the engine in one place, with its reason.
 *
 * What a single message may hold is bounded by `enum wire_limit` in wire_ike.h.
 */
#pragma once

enum ike_limit {
	/* A UDP datagram cannot be longer; also the size of the one buffer messages are built in.
	 */
	IKE_MAX_MESSAGE = 65535,
	/* Parsed form of one message: bounded by the counts of wire_limit, a few KiB in practice.
	 */
	IKE_MESSAGE_ARENA = 256 * 1024,
	/* An IKE_SA_INIT request: it is hashed, and kept, before anybody proved anything. Key
	 * exchange values that need more room have exchanges of their own (RFC 9242). */
	IKE_MAX_INIT = 8192,
	/* Addresses of our own host that are known; more are ignored.  A laptop has a handful, a
	 * gateway with many is told to listen on some. */
	IKE_MAX_OWN = 32,
	/* Of them, those that a peer is told.  And those that we remember of a peer, the one in use
	 * included: RFC 4555 has no bound, and each is tried when nothing else answers. */
	IKE_MAX_TOLD = 8,
	IKE_MAX_PEER_ADDRESSES = 8,
	/* IKE SAs that hear of our new addresses in a second, when there are as many. */
	IKE_TOLD_PER_S = 200,
	/* COOKIE2: between 8 and 64 octets (RFC 4555 section 4.2.5). */
	IKE_COOKIE2_LEN = 16,
	IKE_COOKIE2_MIN = 8,
	IKE_COOKIE2_MAX = 64,
	/* Moves of a peer at once, and the seconds after which it may make one more: somebody
	 * between two networks changes a few times in a row; who goes on like that costs us a
	 * check and the data plane a change for each. */
	IKE_MOVES_BURST = 8,
	IKE_MOVE_S = 2,
	/* Seconds in which packets from where the peer was are no sign that it is back: they were
	 * under way. */
	IKE_LEFT_S = 5,
	/* Tries to reach a peer where it moved to, before it is taken to be where it was: nobody
	 * else shall have our questions for longer. */
	IKE_CHECK_TRIES = 3,
	/* Updates that a peer refuses before the SA is replaced. */
	IKE_UPDATE_TRIES = 5,
	/* Other pairs of addresses that a request goes to with each try without an answer. */
	IKE_TRY_PAIRS = 4,
	/* Addresses tried for one name; more are ignored. */
	IKE_MAX_ADDRESSES = 8,
	/* Answers with COOKIE or INVALID_KE_PAYLOAD one IKE_SA_INIT attempt follows before it
	 * fails: one each is normal, a second cookie when the responder's secret rolled over, and
	 * two puzzles in a row (RFC 8019 section 7.1.5). */
	IKE_MAX_INIT_ROUNDS = 6,
	/* Fragments (RFC 7383) of one message, and what they hold together: any message would be
	 * shorter than that before it was cut (section 5). */
	IKE_MAX_FRAGMENTS = 64,
	IKE_MAX_REASSEMBLED = 64 * 1024,
	/* The same for a caller who has proved nothing yet and may send authentic fragments all the
	 * same (section 5): eight certificates with RSA keys of 8192 bits fit. */
	IKE_MAX_REASSEMBLED_HALF_OPEN = 32 * 1024,
	/* Bytes that all fragments of incomplete messages take together: of callers who have proved
	 * nothing, and of everybody else.  When it is not enough, what waits longest goes: a whole
	 * message comes within a moment, so an honest one is never that. */
	IKE_REASSEMBLY_HALF_OPEN_BYTES = 2 << 20,
	IKE_REASSEMBLY_BYTES = 8 << 20,
	/* Seconds an unproven caller's fragments wait for the others; everybody else's wait as long
	 * as we would try to reach a peer (section 2.6). */
	IKE_REASSEMBLY_HALF_OPEN_S = 10,
	/* IP packets that carry our fragments, until more is known of the path.  RFC 7383 section
	 * 2.5.1 recommends 1280 bytes for IPv6 and 576 for IPv4 where nothing is done to find out;
	 * we do, downwards as section 2.5.2 wants, and 1280 bytes pass nearly everywhere: a message
	 * in a third as many datagrams is lost a third as often. */
	IKE_PACKET_USUAL = 1280,
	/* The smallest that is probed; smaller only where the path is known to be that narrow. */
	IKE_PACKET_SMALL = 576,
	IKE_PACKET_MIN = 296,
	/* Tries in vain after which a request goes in smaller packets, and repetitions of a request
	 * after which its response does: one more than a datagram lost by chance. */
	IKE_PROBE_TRIES = 2,
	/* Addresses whose path MTU is remembered, and for how many seconds (RFC 1191 section 6.3).
	 */
	IKE_MAX_PATHS = 256,
	IKE_PATH_KEEP_S = 600,
	/* Searches for a path MTU at once: each is a message now and then.  Who finds no place is
	 * asked for again by the data plane. */
	IKE_MAX_SEARCHES = 64,
	/* Probes of one size that are lost until it counts as too large (RFC 8899 section 5.1.2 has
	 * three; what is believed too small for a while does less harm than a window that waits).
	 */
	IKE_SEARCH_TRIES = 2,
	/* How near the result comes. */
	IKE_SEARCH_STEP = 16,
	/* The largest that is probed: charon takes no IKE message above 10000 bytes. */
	IKE_SEARCH_MAX = 9216,
	/* How long a probe is waited for: so many round trips, within bounds: it meets full queues.
	 */
	IKE_SEARCH_RTTS = 4,
	IKE_SEARCH_WAIT_MIN_MS = 500,
	IKE_SEARCH_WAIT_MAX_MS = 2000,
	/* Seconds until silence is a reason to doubt a path MTU again. */
	IKE_SEARCH_DOUBT_S = 60,
	/* Redirects that are followed (RFC 5685 section 7), in so many seconds; then none is for so
	 * many, as after one that leads to nobody. */
	IKE_MAX_REDIRECTS = 5,
	IKE_REDIRECT_PERIOD_S = 300,
	IKE_REDIRECT_HOLD_S = 300,
	/* Tries for IKE_SA_INIT where we were sent: the configured addresses are still there. */
	IKE_REDIRECT_TRIES = 3,
	/* A gateway as text: a host name of 253 characters, perhaps with a dot at its end. */
	IKE_GATEWAY_TEXT = 256,
	/* The number of the name by which such an SA was made: none of the configuration's. */
	IKE_NAME_GATEWAY = 0xffff,
	/* Sessions that are sent on in a second: each shakes hands elsewhere, at half a millisecond
	 * of a core. */
	IKE_REDIRECTS_PER_S = 100,
	/* Orders for that. */
	IKE_MAX_STEERS = 64,
	/* Cookie data an initiator echoes: RFC 7296 section 2.6 allows 1 to 64. */
	IKE_MAX_COOKIE = 64,
	/* Trust anchors a CERTREQ names, and the length of a name (section 3.7): it is a hint, and
	 * goes out to peers that are not authenticated. */
	IKE_MAX_ANCHORS = 32,
	IKE_ANCHOR_LEN = 20,
	/* Established SAs with one peer: two while one replaces another, as many again when
	 * both ends do so at once. A peer that makes more loses the oldest. */
	IKE_MAX_SAS_PER_PEER = 4,
	/* Children of one IKE SA: each has keys, routes and a place in the data plane. */
	IKE_MAX_CHILDREN = 32,
	/* So many more while they wait for the Delete of what replaced them: each once, since who
	 * rekeys deletes at once (section 2.8). */
	IKE_MAX_REPLACED = IKE_MAX_CHILDREN,
	/* Seconds a child that was replaced, by another one or by the hub's path, still receives:
	 * packets that were on their way when both ends changed over. Never sends; at most so many
	 * of one SA. */
	IKE_CHILD_LINGER_S = 5,
	IKE_MAX_LINGERING = 8,
	/* Seconds that the peer has for the Delete of what its rekey replaced; then we do it. */
	IKE_REPLACED_S = 60,
	/* Pause before a CREATE_CHILD_SA exchange that failed is tried again: doubles from the
	 * first to the last, seconds, give or take a quarter (section 2.25). */
	IKE_CREATE_RETRY_FIRST_S = 2,
	IKE_CREATE_RETRY_LAST_S = 60,
	/* Seconds of nothing but TEMPORARY_FAILURE after which the two ends do not know the same
	 * SA any more ("several minutes", section 2.25). */
	IKE_TEMPORARY_S = 300,
	/* Sections of one address that are told apart by it; behind a NAT there may be many, and
	 * IKE_SA_INIT from there is held against everybody's proposals. */
	IKE_MAX_AT_ADDRESS = 16,
	/* Sections that a refusal names, of those whose values the peer might have meant. */
	IKE_MAX_EXPLAINED = 4,
	/* Who gets no inner address pauses as after so many failures: for as long as there is. */
	IKE_ADDRESS_FAILURES = 8,
	/* Seconds in which the owner of an inner address that is of no pool any more has to come
	 * for another one. */
	IKE_STRAY_S = 60,
	/* Leases whose time is over that one request may end to find an address that is free:
	 * others than the first are of the other family only. */
	IKE_RECLAIM_MAX = 16,
	/* Prefixes that others have up, inside a pool, that one request goes past; the next one
	 * goes on behind them. */
	IKE_SKIP_MAX = 32,
	/* Events about stored leases that do not fit: the counter has all of them. */
	IKE_UNFIT_EVENTS = 16,
	/* Prefixes of one selector (an address range takes up to 62 of IPv4), and of all selectors
	 * of a member's child: each is a route and an entry in the table of claims. */
	IKE_MAX_TS_PREFIXES = 64,
	IKE_MAX_CLAIMS = 256,
	/* Seconds a responder keeps a half-open SA: longer than a peer's retransmissions of one
	 * IKE_AUTH, short enough that a flood drains. */
	IKE_HALF_OPEN_S = 30,
	/* The same while puzzles are demanded, and for prefixes over their soft limit (RFC 8019
	 * section 4.1): still several round trips and one retransmission. */
	IKE_HALF_OPEN_LOAD_S = 15,
	IKE_HALF_OPEN_SUSPECT_S = 10,
	/* IKE_SA_INIT requests that half-open SAs keep for AUTH, all together: with as many SAs as
	 * there may be by default it stays within 32 MiB. */
	IKE_HALF_OPEN_BYTES = 8 * 1024 * 1024,
	/* Key exchanges asked of the pool and not done yet: one is 50 to 100 us of a core, so
	 * these are 3, 12 and 25 ms of waiting for who comes next. */
	IKE_WORK_COOKIE = 32,
	IKE_WORK_PUZZLE = 128,
	IKE_WORK_FULL = 256,
	/* Verifications and signatures for IKE_AUTH not done yet: eight certificates take some ms
	 * of a core and hold up to 130 KiB each. */
	IKE_AUTH_WORK = 64,
	/* What known peers may have on top of both. */
	IKE_WORK_KNOWN = 16,
	/* One of so many slots is for known peers. */
	IKE_KNOWN_SHARE = 4,
	/* Addresses where somebody was up, eight bytes each, and for how long they are known. */
	IKE_KNOWN_MAX = 16384,
	IKE_KNOWN_S = 7 * 24 * 3600,
	/* Handshakes that fail in a second, and messages that fail their integrity check: RFC 8019
	 * section 6 takes more than one a second for a sign of an attack; a site with a certificate
	 * out of date tries once a minute, and a hub may have hundreds of these. */
	IKE_FAILURES_COOKIE = 16,
	IKE_FAILURES_PUZZLE = 256,
	/* Seconds below half of what raised the level until it falls. */
	IKE_LOAD_CALM_S = 3,
	/* A prefix with so many times half_open_prefix has to solve puzzles; an IPv6 /48 may have
	 * so many times what a /64 may: providers assign anything between (RFC 8019 section 4.2).
	 */
	IKE_PREFIX_PUZZLE = 4,
	IKE_PREFIX_WIDE = 4,
	/* Who has a cookie but no solution is served with a chance of one in so many, tried anew
	 * every so many seconds, i.e. with most retransmissions. */
	IKE_LOT_PUZZLES = 2,
	IKE_LOT_FULL = 8,
	IKE_LOT_CROWDED = 2,
	IKE_LOT_S = 2,
	/* The easiest puzzle: RFC 8019 section 4.4 excludes up to 8 bits.  The hardest that may be
	 * configured: half an hour of a core.  Between calm and full it gets harder by so many. */
	IKE_PUZZLE_MIN_BITS = 9,
	IKE_PUZZLE_MAX_BITS = 26,
	IKE_PUZZLE_RANGE = 4,
	/* So many bits less than what is asked by now are taken all the same: it was right when the
	 * search began. */
	IKE_PUZZLE_SLACK = 2,
	/* How hard we make it when we are free to choose: a quarter of a second. */
	IKE_PUZZLE_FREE_BITS = 16,
	/* Keys tried by one job: it holds a thread of the pool for 15 ms. */
	IKE_PUZZLE_SLICE = 16384,
	/* Seconds in which a solution must come back, or it could be hoarded. */
	IKE_PUZZLE_S = 60,
	/* Bits of a set of solutions that were taken (RFC 8019 section 10): of ten thousand in a
	 * minute one in a hundred newcomers has to solve another puzzle for nothing. */
	IKE_PUZZLE_SPENT_BITS = 1 << 17,
	/* Messages of one half-open SA that may fail the integrity check: at once, and for every
	 * second that it lives.  Fragments of an honest IKE_AUTH do not fail. */
	IKE_JUNK_BURST = 16,
	IKE_JUNK_PER_S = 4,
	/* Times that an SA says its last answer again in a second.  Nothing vouches for where a
	 * request that is repeated comes from, and an answer may be longer than its request. */
	IKE_REPEATS_PER_S = 4,
	/* Seconds a failed SA stays to repeat its last answer. */
	IKE_LINGER_S = 10,
	/* Seconds after which a cached response may be forgotten (section 2.1: several minutes). */
	IKE_RESPONSE_KEEP_S = 180,
	/* Seconds a cookie secret is used for new cookies; the one before stays valid as long. */
	IKE_COOKIE_SECRET_S = 60,
	/* Unauthenticated answers with an error, and events about it, per second, all together. */
	IKE_STRAY_ANSWERS_PER_S = 10,
	/* Tries for a DELETE: nobody waits longer for the farewell. */
	IKE_DELETE_TRIES = 3,
	/* A request that is to tell soon whether the peer is still there goes out so many times,
	 * on top of its schedule, before it is suspicious that no answer comes: what is lost by
	 * chance must not look like a peer that is gone.  The wait after each is twice the
	 * round-trip time, within bounds; with the usual one, and DP_SILENCE_MS before, an
	 * unanswered packet is suspicious in less than a second. */
	IKE_QUICK_TRIES = 2,
	IKE_QUICK_WAIT_MS = 200,
	IKE_QUICK_WAIT_MIN_MS = 100,
	IKE_QUICK_WAIT_MAX_MS = 2000, /* that suspicions without ground lead to */
	/* Between two questions to the data plane whether an SA is used. */
	IKE_IDLE_ASK_MS = 1000,
	/* An SA whose peer has come with another one since is asked about, also where dpd_delay is
	 * 0. */
	IKE_OUTDATED_S = 30,
	/* So many more follow, faster than the schedule by IKE_SOON: who is back shall not have to
	 * wait for the next of its tries. */
	IKE_QUICK_MORE = 2,
	IKE_SOON = 4,
	/* Such requests that are begun in a second: a hub whose uplink fails would ask thousands
	 * of peers at once.  The data plane tells again. */
	IKE_HURRIES_PER_S = 500,
	/* Tries of an ordinary request without an answer that are as suspicious. */
	IKE_SUSPECT_TRIES = 3,
	/* Milliseconds after which, at most, a peer that does not answer is called anew where it
	 * was, when there is no other address: all who are connected to it do so.  Not drawn when
	 * there is another address. */
	IKE_BESIDE_MS = 250,
	/* Tries for IKE_SA_INIT where nobody has answered, of a peer that has several addresses:
	 * one that is dead does not hide a living one for longer than 3 s the first time, 12 s
	 * later, with the usual times. */
	IKE_HURRIED_TRIES = 3,
	/* Seconds for which nothing is made beside an SA after that was made, or was no use since
	 * the peer answered. */
	IKE_CALM_S = 10,
	IKE_CALM_FALSE_S = 3,
	/* QCD tokens for SAs that we do not know (RFC 6290 section 8.1), in a second: in the first
	 * minutes, in which ten thousand who were connected to us before find out, and later, when
	 * hardly anybody has a reason to ask; and for one of 256 groups of sources (IPv6: /64),
	 * so that a flood from anywhere leaves some to the others. */
	IKE_QCD_FRESH_S = 600,
	IKE_QCD_FRESH_PER_S = 1000,
	IKE_QCD_PER_S = 20,
	IKE_QCD_SOURCE_PER_S = 8,
	/* Such tokens that are being computed. */
	IKE_QCD_PENDING = 128,
	/* Events about wrong ones. */
	IKE_QCD_EVENTS_PER_S = 1,
	/* Seconds in which a peer that loses SAs and proves it is called once. */
	IKE_LOST_AGAIN_S = 2,
	/* Words in the clear that an SA is gone: those that are read in a second (of each kind),
	 * and those that make us ask; and seconds after a message of the peer in which they do
	 * not. */
	IKE_NOTICES_PER_S = 500,
	IKE_HINTS_PER_S = 20,
	IKE_HINT_AFTER_S = 1,
	/* Packets for SPIs that we do not know that are looked at in a second: whose they may be is
	 * found by walking over all SAs. */
	IKE_UNKNOWN_ESP_PER_S = 4,
	/* Age of a child, in seconds, from which on a peer that does not know it is believed. */
	IKE_INVALID_SPI_AFTER_S = 10,
	/* Reconnect back-off of a peer with start = up: doubles from the first to the last,
	   seconds, give or take a quarter. */
	IKE_RETRY_FIRST_S = 1,
	IKE_RETRY_LAST_S = 60,
	/* Seconds that we keep an SA in whose place we made another: what the other end sends until
	 * it knows that we have that one comes on the old one. */
	IKE_HANDOVER_S = 3,
	/* SAs that a reload looks at in a second, when there are as many: what is over by the new
	 * lifetimes is rekeyed one after the other. */
	IKE_RELOADED_PER_S = 200,
	/* Seconds an authenticated SA is left alone before we authenticate anew, whatever the peer
	 * asks for (RFC 4478 section 5). */
	IKE_REAUTH_MIN_S = 10,
	/* Seconds on top of the time in which a peer has to authenticate anew: a tenth of it,
	 * within these bounds. */
	IKE_REAUTH_GRACE_MIN_S = 10,
	IKE_REAUTH_GRACE_MAX_S = 60,
	/* Seconds, at most, before the end of a certificate at which we want to be done. */
	IKE_REAUTH_AHEAD_S = 3600,
	/* Bytes of a word of an upper module: with what is around it no more than a message, or its
	 * fragments, hold.  And words that wait on one SA: they are said one by one. */
	IKE_MAX_WORD = 48 << 10,
	IKE_MAX_ASKS = 64,
	/* Seconds that an upper module may take for an answer: well below the time in which whoever
	 * asked gives us up. */
	IKE_ANSWER_S = 10,
	/* Of several hubs the preferred one has to be up for so long before it takes traffic from
	 * another one: when it has started again the other members, and the other hubs, are only
	 * coming. */
	IKE_ATTACH_SETTLE_S = 5,
	/* Names of hubs that a section learns beside its own: each is an attempt, when all others
	 * have failed. */
	IKE_MAX_HUBS = 64,
	/* Partners (docs/protocol/shortcut.md): as many as a site may have shortcuts. */
	IKE_MAX_PARTNERS = 1024,
	/* Half-open SAs of one: the one that it means, and a replay that was faster, or one that
	 * it has given up; and seconds that they stay. */
	IKE_PARTNER_OPEN = 2,
	IKE_PARTNER_OPEN_S = 10,
	/* It was there a moment ago, and is or is not.  A request is tried again after twice the
	 * round trip and what the answer has to be computed in, at most so late, or, where nobody
	 * has measured, so late; and so many times, or oftener as far as the waits fit in so
	 * long. */
	IKE_PARTNER_WORK_MS = 100,
	IKE_PARTNER_WAIT_MAX_MS = 1000,
	IKE_PARTNER_WAIT_MS = 180,
	IKE_PARTNER_TRIES_MIN = 3,
	IKE_PARTNER_CALL_MS = 4500,
	/* ESP that has not come through until then does not. */
	IKE_PARTNER_CARRIES_MS = 3000,
	/* Length of nonces we send: at least half the largest PRF key (section 2.10). */
	IKE_NONCE_LEN = 32,
	/* SPIs below are reserved (RFC 4303 section 2.1). */
	IKE_MIN_ESP_SPI = 256,
};
