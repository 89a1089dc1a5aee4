/*
 * journal.h - what went wrong lately, by subject: the memory behind `warren why`.
 *
 * Events pass by once; who asks afterwards why there is no tunnel asks about a subject: a peer of
 * the configuration, an identity (proven or merely claimed), an address.  For each the journal
 * keeps the last JOURNAL_NOTES different things that happened, with how often and since when, and
 * how far the present attempt came.  A fourth kind of subject is a host name, with the outcome of
 * its last look-up.
 *
 * Whoever can send a datagram can make subjects, so they are bounded: identities and addresses by
 * JOURNAL_SUBJECTS_MAX of each kind that never proved anything and as many that did, each with the
 * least recently noted going first.  So junk displaces junk, and a member that was connected here
 * before can be displaced only by others that were.  Peers of the configuration and host names are
 * bounded by the configuration, and by JOURNAL_PEERS_MAX across reloads.  A text belongs to all
 * subjects of its event together.
 *
 * Values in, values out: no clock, no system.  Out of memory means that something is not noted.
 */
#pragma once

#include "ike/ike.h"
#include "obs/obs.h"

enum {
	JOURNAL_SUBJECTS_MAX = 512,
	JOURNAL_PEERS_MAX = 16384,
	JOURNAL_NOTES = 3,
	JOURNAL_NAME_MAX = 256, /* longer subjects are not noted */
	JOURNAL_ADDRS_MAX = 8,
};

enum journal_kind {
	JOURNAL_PEER, /* of the configuration: `peer` or `network` */
	JOURNAL_IDENTITY,
	JOURNAL_ADDRESS, /* without port: a NAT changes it */
	JOURNAL_HOST, /* a name that was looked up */
	JOURNAL_KINDS,
};

/* What one event said; shared, never changed. */
struct journal_text {
	unsigned refs;
	enum ike_event_kind kind;
	enum ike_reason reason;
	bool keyed; /* the IKE SA had both its SPIs: IKE_SA_INIT was done */
	struct endpoint local, remote;
	const char *peer; /* "" nobody we know */
	const char *identity; /* "" not said */
	const char *text;
};

struct journal_note {
	const struct journal_text *what;
	uint64_t count;
	obs_time first, last;
};

struct journal_subject {
	struct map_node node;
	struct list lru;
	enum journal_kind kind;
	bool known; /* was connected */
	const char *name;
	struct journal_note note[JOURNAL_NOTES]; /* newest first */
	size_t n_notes;
	obs_time began; /* PEER: last attempt; 0: none */
	obs_time up; /* last time it was connected; 0: never */
	unsigned repeats; /* requests sent again since anything else happened */
	/* ADDRESS: the system refused to send there */
	obs_time unsent_at;
	uint64_t unsent;
	char *unsent_why;
	/* ADDRESS: the network says that datagrams do not get there */
	obs_time icmp_at;
	uint64_t icmp;
	struct ip icmp_from;
	const char *icmp_text; /* constant */
	/* HOST */
	obs_time looked_up;
	struct ip addr[JOURNAL_ADDRS_MAX];
	size_t n_addrs;
	char *lookup_why; /* NULL: it went well */
};

struct journal;

/* `key` seeds the hash table. */
MUST enum status journal_new(const struct alloc *mem, const uint64_t key[2],
			     struct journal **ret_journal);
void journal_free(struct journal *j); /* takes NULL */

void journal_event(struct journal *j, obs_time t, const struct ike_event *ev);

/* n == 0: `why` says what stood in the way. */
void journal_lookup(struct journal *j, obs_time t, const char *host,
		    const struct ike_address *addrs, size_t n, const char *why);

/* A datagram to `remote` that the system did not take. */
void journal_unsent(struct journal *j, obs_time t, const struct ip *remote, const char *why);

/* ICMP about a datagram to `remote`, from whomever; `text` is a constant. */
void journal_icmp(struct journal *j, obs_time t, const struct ip *remote, const struct ip *from,
		  const char *text);

/* NULL: nothing is known.  Letters of names count without case.  Valid until the next call that
 * notes something. */
const struct journal_subject *journal_find(const struct journal *j, enum journal_kind kind,
					   const char *name);

/* How many subjects there are, of all kinds. */
size_t journal_count(const struct journal *j);
