/*
 * scenario.h - what happens in a run of the simulator, as text and as values.
 *
 * A scenario is a short text: one thing a line, `#` begins a comment; docs/simulator.md has all
 * words.  What is not said has the default of the daemon, or that of a good network.
 *
 *	sites   200                     # around one hub
 *	lasts   24h
 *	delay   5ms..60ms               # each way; each line draws its own
 *	loss    0.1%
 *	traffic 20s..40s                # each site asks its partner and is answered
 *
 *	every 5m  cut    site  for 5s..3m
 *	every 8h  crash  hub   for 5s..60s
 *	at 12h    crash  sites for 10m
 */
#pragma once

#include "base/base.h"

/* Both ends included: nanoseconds, parts of a million, bytes in a second, or plain numbers. */
struct range {
	int64_t lo, hi;
};

enum act {
	ACT_CUT, /* nothing gets through on its line */
	ACT_DEAFEN, /* nothing gets to it */
	ACT_MUTE, /* nothing that it sends gets anywhere */
	ACT_LOSE, /* so much is lost on its line */
	ACT_CRASH, /* it forgets everything but what its disk has, and is gone for the time */
	ACT_RESTART, /* the same after an orderly farewell */
	ACT_SLOW, /* its slow cryptography takes that long */
	ACT_MOVE, /* it has no address for the time, and then another one */
	ACT_FORGET, /* the NAT in front of it forgets its mappings */
	ACT_AHEAD, /* the clock on its wall is so much ahead */
	ACT_BEHIND,
	ACT_SLOW_DISK, /* a write takes so long */
	ACT_FULL_DISK, /* nothing can be written */
	ACT_FENCE, /* nothing gets through between it and other sites, but to and from hubs */
	ACT_STAR, /* a hub's topology is `star` for the time */
	ACT_WITHDRAW, /* its operator ends one of its shortcuts */
	ACT_SEVER, /* nothing gets through between a hub and every so manyeth site */
	ACT_STEER, /* a hub sends its members, and who comes, to the next hub */
	ACT_HOP, /* a site is sent to the next hub */
	ACT_CALM, /* nothing new happens, all trouble is over; in the end everything must be well */
	ACTS,
};

enum whom {
	WHOM_SITE, /* one, drawn each time */
	WHOM_SITES, /* all */
	WHOM_HUB, /* one */
	WHOM_HUBS,
	WHOM_ANY, /* one of all */
	WHOM_ALL,
	WHOMS,
};

struct fault {
	bool once; /* at `period`; else each time after half to one and a half of it */
	dur_t period;
	enum act act;
	enum whom whom;
	struct range span; /* for how long */
	struct range by;
};

enum {
	SCENARIO_FAULTS = 48,
	SCENARIO_SITES = 20000,
	SCENARIO_HUBS = 4,
	SCENARIO_APART = 16, /* sites of a group */
};

enum swift {
	SWIFT_NO,
	SWIFT_SILENCE, /* a hub that is gone is missed, and another one is there */
	SWIFT_TOKENS, /* one that forgot everything says so */
};

enum topology {
	TOPOLOGY_NONE, /* no mesh, not even one that suggests nothing */
	TOPOLOGY_STAR,
	TOPOLOGY_DYNAMIC,
	TOPOLOGY_MESH,
};

enum hubs_call {
	HUBS_CALL_EARLIER, /* a hub's file names those before it */
	HUBS_CALL_ALL,
};

struct scenario {
	char name[64];
	unsigned hubs, sites;
	dur_t lasts;
	struct range arrival; /* when a site starts first */
	/* lines */
	struct range delay, jitter; /* one way */
	struct range hub_delay; /* of a hub's line */
	struct range loss, duplicates, reordering; /* parts of a million */
	struct range bandwidth; /* bytes in a second */
	/* sites */
	int64_t nat,
		nat_shared; /* parts of a million: behind a NAT; behind that of the one before */
	struct range nat_timeout;
	dur_t queue; /* what waits longer is dropped */
	/* machines */
	int64_t endpoints; /* parts of a million of the sites: asked for an inner address */
	struct range disk; /* time that a write takes */
	struct range jobs; /* time that slow cryptography takes */
	dur_t dpd, keepalive;
	dur_t retransmit;
	unsigned tries;
	dur_t rekey, ike_rekey, reauth;
	dur_t certificates; /* how long they live; 0: for a year */
	unsigned mobike; /* 0: no */
	unsigned routability; /* enum ike_routability */
	unsigned silent; /* unanswered traffic is no reason to ask anybody */
	unsigned to_hub; /* sites ask their hub and not each other */
	unsigned trips; /* round trips within which traffic flows again after a move; 0: whatever */
	struct range traffic; /* pause between questions of one site; hi 0: none */
	struct range talk; /* before a site asks somebody else; hi 0: never */
	/* several hubs that know each other: where there is a mesh */
	struct range named; /* of hubs in a site's file, its own first; hi 0: all */
	unsigned hubs_call; /* enum hubs_call */
	struct range hub_arrival; /* when a hub but the first starts first, after the first calms */
	/* shortcuts */
	unsigned topology; /* enum topology */
	int64_t apart; /* parts of a million of the sites: a rule forbids tunnels between these */
	int64_t words_lost, words_twice; /* of words, probes and their answers */
	struct range words_late; /* so much later do words come */
	dur_t idle, after, retry, retry_max;
	unsigned prompt; /* how long until a direct path carries is bounded */
	unsigned swift; /* enum swift: what makes its bound a short one */
	unsigned lossless; /* each question is answered before the next */
	dur_t bound; /* of a black hole; 0: by the timers of the machines */
	struct fault fault[SCENARIO_FAULTS];
	unsigned n_faults;
};

/* Without sites and time. */
void scenario_init(struct scenario *sc);
/* ST_INVAL: `why` says which line and what about it. */
MUST enum status scenario_parse(const char *text, struct text *why, struct scenario *sc);
/* The text that is read as this one. */
void scenario_text(const struct scenario *sc, struct text *t);
/* One line of it. */
void scenario_fault_text(const struct fault *f, struct text *t);

/* How long two machines may fail to reach each other once everything between them works. */
dur_t scenario_bound(const struct scenario *sc);
